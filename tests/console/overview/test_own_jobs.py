"""Jobs that Backlot makes itself are in no figure of customers' work; what their devices took is a line of its own."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import organizations
from accounts.models import User
from billing import revenue
from billing.models import Charge, Entry
from billing.revenue import Span
from console.alarms import synthetic
from console.models import WaitingAges
from console.overview import rounds, waiting
from console.overview.jobs_behind import LISTED, ask, find
from console.overview.known import there_are
from console.overview.policy.spread import size
from generation import dispatch
from generation.costs import summary
from generation.models import Attempt, Job
from tests.console.billing_stage import billing_admin
from tests.console.overview import past
from tests.console.people import clip, operator, person
from tests.console.test_pages_costs import broke, lately, rewritten
from tests.generation.api_stage import deliver, media_folder

__all__ = ["media_folder"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]


@pytest.fixture(autouse=True)
def switched_on(settings):
    settings.SYNTHETIC_JOBS = True


def own_clip(now=None) -> Job:
    """A clip of Backlot's own that waits; its completion waits beside it."""
    (job,) = [one for one in synthetic.run(now or timezone.now()) if one.kind == "clip"]
    return job


def recomputed() -> None:
    now = dispatch.clock()
    rounds.recompute(now - timedelta(hours=2), now, lambda line: None)


def spent(job: Job, gpu_ms: int) -> None:
    rewritten(Attempt.objects.get(job=job), gpu_ms=gpu_ms)


def test_the_overview_counts_customers_alone():
    own = deliver(own_clip())
    spent(own, 700)
    recomputed()
    left = {
        "own_ms": 700,
        "busy_ms": past.sums()["busy_ms"],
        "capacity_ms": past.sums().get("capacity_ms", 0),
    }
    assert {name: count for name, count in past.sums().items() if count} == {
        name: count for name, count in left.items() if count
    }
    spent(deliver(clip(person(tier="pro")[1])), 300)
    recomputed()
    found = past.sums()
    assert {name: found[name] for name in ("submitted", "started", "delivered", "gpu_ms", "own_ms")} == {
        "submitted": 1,
        "started": 1,
        "delivered": 1,
        "gpu_ms": 300,
        "own_ms": 700,
    }
    assert size(past.spread("wait")) == size(past.spread("time")) == size(past.spread("tax")) == 1


def test_who_waits_is_a_customer():
    own = past.at(own_clip(), past.hour_ago())
    assert own.state == "queued"
    recomputed()
    assert waiting.live(timezone.now()) == []
    assert not WaitingAges.objects.exists()
    clip(person()[1])
    (lane,) = waiting.live(timezone.now() + timedelta(seconds=1))
    assert (lane.tier, size(lane.ages)) == ("plus", 1)


def test_no_list_behind_a_point_shows_them():
    deliver(own_clip())
    mine = deliver(clip(person(tier="pro")[1]))
    now = dispatch.clock() + timedelta(seconds=1)
    for did in LISTED:
        rows = find(ask({"did": did}, now, there_are()), now).rows
        assert {job for job, _ in rows} <= {mine.pk}, did
    assert [job for job, _ in find(ask({"did": "ended"}, now, there_are()), now).rows] == [mine.pk]


def test_costs_show_them_on_a_line_of_their_own():
    spent(deliver(own_clip()), 36_000)
    found = lately()
    ours = summary.summary(found)
    assert (ours.delivered, ours.gpu_ms, ours.micro_dollars, ours.clip_micro_dollars) == (0, 0, 0, None)
    hour = found.own[0].price
    assert (ours.own.attempts, ours.own.gpu_ms, ours.own.micro_dollars) == (1, 36_000, hour // 100)
    spent(deliver(clip(person(tier="pro")[1])), 4_000)
    ours = summary.summary(lately())
    assert (ours.delivered, ours.gpu_ms, ours.own.gpu_ms) == (1, 4_000, 36_000)
    assert ours.devices_busy == pytest.approx(40_000 / 3_600_000, rel=1e-3)
    client, _ = operator()
    page = client.get("/operate/costs/?range=1h").content.decode()
    assert "Backlot&#x27;s own checks" in page


def test_an_own_attempt_that_breaks_is_no_customers_waste():
    own_clip()
    broke(step=3, gpu_ms=900)
    ours = summary.summary(lately())
    assert (ours.wasted_gpu_ms, ours.own.gpu_ms) == (0, 900)
    recomputed()
    assert "retries" not in past.sums()


def test_revenue_is_customers_and_theirs_stands_apart():
    deliver(own_clip())
    mine = deliver(clip(person(tier="pro")[1]))
    today = timezone.now().date()
    span = Span(today - timedelta(days=1), today)
    own = Charge.objects.get(organization__slug=synthetic.ORGANIZATION).amount
    assert own > 0
    entries = Entry.objects.filter(account__kind="revenue", account__organization=None)
    assert sum(entries.values_list("amount", flat=True)) == mine.charge_micro + own
    assert revenue.own(span) == revenue.Own(1, own)
    for rows in (revenue.by_day, revenue.by_source, revenue.by_model, revenue.by_organization):
        assert sum(row.micro for row in rows(span)) == mine.charge_micro, rows
    assert {row[2] for row in revenue.line_rows(span, 0, 1000)} == {mine.organization.slug}
    assert {row[0] for row in revenue.unspent_rows()} == {mine.organization.slug}
    client, _ = billing_admin()
    lines = "/staff/billing/revenue/lines/?kind=charge"
    assert "Backlot synthetic jobs" not in client.get(lines).content.decode()
    page = client.get("/staff/billing/revenue/").content.decode()
    assert "of Backlot's own" in page
    assert "Backlot synthetic jobs" not in page
    narrowed = client.get(f"{lines}&organization={synthetic.ORGANIZATION}")
    assert "Backlot synthetic jobs" in narrowed.content.decode()


def test_nobody_else_comes_to_be_called_so():
    owner = User.objects.create_user("somebody@example.com")
    stranger = organizations.create("Backlot Synthetic", "free", owner)
    assert stranger.slug != organizations.OWN
    assert own_clip().organization != stranger
