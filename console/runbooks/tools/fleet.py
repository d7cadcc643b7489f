"""Tools of lanes, pools, workers and model revisions."""

from datetime import timedelta
from uuid import UUID

from django.db.models import Count

from accounts.actions import Action
from accounts.errors import ApiError
from accounts.models import OperationalEvent, StaffRole, User
from console.operations import lane_looks
from console.runbooks.tools.shapes import Asked, Choices, Field, Given, Look, Tool, number_of
from generation.fleet.pool_actions import PausePool
from generation.fleet.worker_actions import SetWorkerState
from generation.models import Lane, Pool, RaiseRule, RegisteredModel, Worker
from generation.revisions.rollout_actions import PromoteModel, QuarantineModel
from generation.scheduling.setting_actions import LANE_SETTINGS, ChangeRaiseRule

OPERATOR = StaffRole.Role.OPERATOR
BLAMED_OVER = timedelta(minutes=30)


def lane_choices(asked: Asked) -> Choices:
    """Every lane, those of the alarm's pool first."""
    lanes = Lane.objects.select_related("tier").order_by("pool_id", "tier__rank")
    ordered = sorted(lanes, key=lambda lane: lane.pool_id != asked.scope)
    return [(lane.slug, f"{lane.tier.name} in {lane.pool_id}") for lane in ordered]


def lane_of(tier: str, asked: Asked) -> str:
    """The lane of a tier in the alarm's pool, without one in the first pool of clips; "" where there is none."""
    lanes = Lane.objects.filter(tier=tier).order_by("pool_id")
    found = lanes.filter(pool=asked.scope).first() or lanes.filter(pool__kind="clip").first()
    return found.slug if found else ""


def worker_choices(asked: Asked) -> Choices:
    """The living workers, those that are blamed for blow-ups of the last half hour first."""
    blamed = blow_ups(asked)
    workers = Worker.objects.filter(stopped_at=None).order_by("pool_id", "started_at")
    ordered = sorted(workers, key=lambda one: (-blamed.get(str(one.pk), 0), one.pool_id != asked.scope))
    return [(str(one.pk), _worker_words(one, blamed.get(str(one.pk), 0))) for one in ordered]


def _worker_words(worker: Worker, blamed: int) -> str:
    clips = "" if not blamed else f", {blamed} clip{'' if blamed == 1 else 's'} not finite lately"
    return f"{worker} in {worker.pool_id}, to {worker.desired}{clips}"


def blow_ups(asked: Asked) -> dict[str, int]:
    """Worker → how many of its clips were not finite in the last half hour; one query."""
    events = OperationalEvent.objects.filter(kind="clip.not_finite", at__gte=asked.now - BLAMED_OVER)
    rows = events.values_list("detail__worker").annotate(count=Count("pk"))
    return {worker: count for worker, count in rows if worker}


def worst_worker(asked: Asked) -> Given:
    """The worker whose clips blew up most often; nothing where none did."""
    choices = worker_choices(asked)
    return {"worker": choices[0][0]} if choices and blow_ups(asked) else {}


def pool_choices(asked: Asked) -> Choices:
    pools = Pool.objects.order_by("slug").values_list("slug", flat=True)
    return [(slug, slug) for slug in sorted(pools, key=lambda slug: slug != asked.scope)]


def model_choices(asked: Asked) -> Choices:
    """Every revision that could still make or deliver anything, those that serve first."""
    rows = RegisteredModel.objects.exclude(status="quarantined").order_by("status", "name", "-pk")
    return [(str(row.pk), f"{row}, {row.status}") for row in rows]


def promotable(asked: Asked) -> Choices:
    rows = RegisteredModel.objects.filter(status__in=("candidate", "retired")).order_by("-pk")
    return [(str(row.pk), f"{row}, {row.status}") for row in rows]


def rule_choices(asked: Asked) -> Choices:
    rules = RaiseRule.objects.select_related("lane__tier").order_by("lane__pool_id", "lane__tier__rank")
    return [(rule.lane_id, f"{rule.lane.tier.name} in {rule.lane.pool_id}") for rule in rules]


def _lane_tool(slug: str, title: str, field: str, about: str) -> Tool:
    setting = LANE_SETTINGS[field]

    def build(given: Given) -> Action:
        return lane_looks.action_of(given.get("lane", ""), field, given.get("value", ""))

    def look(person: User, action: Action, given: Given) -> Look:
        seen = lane_looks.look(person, given.get("lane", ""), field, given.get("value", ""))
        return Look(seen.preview, lane=seen)

    fields = (
        Field("lane", "Lane", "choice", lane_choices),
        Field("value", setting.label, "number", unit=setting.unit),
    )
    return Tool(slug, title, about, OPERATOR, fields, build, look)


LANE_WEIGHT = _lane_tool(
    "lane_weight",
    "Change a lane's weight",
    "weight",
    "Its part of GPU time while others wait too. Simulated on the last hour.",
)
BURST_CAP = _lane_tool(
    "burst_cap",
    "Set a burst cap",
    "max_running",
    "How many jobs one organization may have running in the lane. Simulated on the last hour.",
)


def _raise_rule(given: Given) -> Action:
    action = ChangeRaiseRule(given.get("lane", ""), "enabled")
    return ChangeRaiseRule(action.slug, "enabled", action.setting.read(given.get("value", ""), "value"))


RAISE_RULE = Tool(
    "raise_rule",
    "Switch the auto-raise rule",
    "While the lane waits too long its weight rises by steps, and returns by itself.",
    OPERATOR,
    (
        Field("lane", "Lane", "choice", rule_choices),
        Field("value", "Auto-raise rule", "choice", lambda asked: (("1", "On"), ("0", "Off"))),
    ),
    _raise_rule,
)

STATES = (
    ("restart", "Restart: end, and be started anew"),
    ("drain", "Drain: take nothing new"),
    ("quarantine", "Quarantine: take nothing until set to run"),
    ("run", "Run: take jobs"),
)


def _worker(given: Given) -> Action:
    try:
        worker = UUID(given.get("worker", ""))
    except ValueError:
        raise ApiError("invalid_value", "Choose one of the workers.", param="worker") from None
    return SetWorkerState(worker, given.get("state", ""))


WORKER_STATE = Tool(
    "worker_state",
    "Drain or restart a worker",
    "It gives back what it denoises between two steps; the job keeps its progress.",
    OPERATOR,
    (
        Field("worker", "Worker", "choice", worker_choices),
        Field("state", "New state", "choice", lambda asked: STATES),
    ),
    _worker,
    preset=worst_worker,
)
PAUSE_POOL = Tool(
    "pause_pool",
    "Pause a pool",
    "Nothing new is claimed in it. What runs goes on, what waits keeps its place.",
    OPERATOR,
    (Field("pool", "Pool", "choice", pool_choices),),
    lambda given: PausePool(given.get("pool", "")),
    preset=lambda asked: {"pool": asked.scope} if asked.scope else {},
)
QUARANTINE_MODEL = Tool(
    "quarantine_model",
    "Quarantine a model revision",
    "Nothing more is made or delivered by it; its open jobs end uncharged.",
    OPERATOR,
    (Field("model", "Revision", "choice", model_choices),),
    lambda given: QuarantineModel(number_of(given, "model")),
    expires=False,
)
PROMOTE_MODEL = Tool(
    "promote_model",
    "Promote a revision",
    "New requests are made by it; it must have passed the deploy gate lately.",
    OPERATOR,
    (Field("model", "Revision", "choice", promotable),),
    lambda given: PromoteModel(number_of(given, "model")),
    expires=False,
)

TOOLS = (LANE_WEIGHT, BURST_CAP, RAISE_RULE, WORKER_STATE, PAUSE_POOL, QUARANTINE_MODEL, PROMOTE_MODEL)
