"""Jobs of every organization: what waits and runs, where, and for how long already; or those behind a figure."""

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import StaffRole, Tier, User
from console.overview import jobs_behind
from console.overview.known import there_are
from console.overview.plain import read_plainly
from generation import history
from generation.models import OPEN_STATES, Pool, State, Worker
from generation.pages.job import body
from generation.scheduling import lane_board

SHOWN = 100
STATES: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("Open", tuple(OPEN_STATES)),
    "waiting": ("Waiting", (State.SCREENING, State.QUEUED)),
    "running": ("Running", (State.RUNNING, State.FINISHING)),
    "stuck": ("Held or in review", (State.HELD, State.REVIEW)),
    "delivered": ("Delivered", (State.DELIVERED,)),
    "stopped": ("Stopped", (State.CANCELLED, State.BLOCKED, State.FAILED, State.WITHDRAWN)),
}


@require_GET
@staff(StaffRole.Role.OPERATOR)
def jobs(request: HttpRequest, person: User) -> HttpResponse:
    """The table. Filters in the address: `state`, `pool`, `tier`. Prompts stay with their owners.

    With `did` it holds the rows that a point of the overview counts: what jobs did, `from` when `to` when.
    """
    if request.GET.get("did"):
        return _behind(request)
    pools = [(pool.slug, pool.slug.capitalize()) for pool in Pool.objects.order_by("slug")]
    tiers = [(tier.slug, tier.name) for tier in Tier.objects.all()]
    state = _choice(request, "state", STATES)
    pool, tier = _choice(request, "pool", dict(pools)), _choice(request, "tier", dict(tiers))
    found = history.for_operators(states=STATES[state][1], pool=pool, tier=tier, limit=SHOWN + 1)
    page = {
        "jobs": found[:SHOWN],
        "more": len(found) > SHOWN,
        "state": state,
        "pool": pool,
        "tier": tier,
        "states": [(slug, words) for slug, (words, _) in STATES.items()],
        "pools": pools,
        "tiers": tiers,
        "boards": lane_board.board(timezone.now()),
        "workers": _workers(),
    }
    return render(request, "console/operate_jobs.html", page)


@read_plainly
def _behind(request: HttpRequest) -> HttpResponse:
    now, known = timezone.now(), there_are()
    asked = jobs_behind.ask(request.GET, now, known)
    found = jobs_behind.find(asked, now)
    jobs = history.those_for_operators([job_id for job_id, _ in found.rows])
    narrowed = [known[name][value] for name, value in asked.only.items()]
    page = {
        "asked": asked,
        "found": found,
        "rows": [(jobs[job_id], at) for job_id, at in found.rows],
        "narrowed": [*narrowed, *([asked.reason.replace("_", " ")] if asked.reason else [])],
        "query": urlencode(asked.given),
        "older": asked.offset + jobs_behind.SHOWN,
        "newer": max(0, asked.offset - jobs_behind.SHOWN),
    }
    return render(request, "console/overview/jobs.html", page)


@require_GET
@staff(StaffRole.Role.OPERATOR)
def job(request: HttpRequest, person: User, job_id: UUID) -> HttpResponse:
    """Everything that happened to one job, whoever owns it; the clip itself stays with its owner."""
    found = history.find_for_operators(job_id)
    return render(request, "console/operate_job.html", {**body(found, True), "private": True})


def _choice(request: HttpRequest, name: str, known: dict) -> str:
    value = request.GET.get(name, "")
    if value and value not in known:
        raise ApiError("invalid_value", f"There is no {name} {value!r:.40} to filter by.", param=name)
    return value


def _workers() -> dict[str, int]:
    """Pool → slots of its living workers."""
    slots: dict[str, int] = {}
    for pool, count in Worker.objects.filter(stopped_at=None).values_list("pool_id", "slots"):
        slots[pool] = slots.get(pool, 0) + count
    return slots
