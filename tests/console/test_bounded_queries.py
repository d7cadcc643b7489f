"""Every page and call about access and money needs as many queries for one row as for two hundred."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import ApiKey
from accounts.webhooks import endpoints, events
from accounts.webhooks.endpoints import Wanted
from billing import corrections, statement
from billing.models import Decision, Hold, Payment
from generation.models import Job
from safety.models import Rule
from tests.console.billing_stage import billing_admin, bought
from tests.console.crowd import company, crowd
from tests.console.people import operator, signed_in
from tests.generation.api_stage import CLIP, CODE, Tenant, deliver, make_clip, media_folder, tenant

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

MANY = 200
PAGES = (
    "/",
    "/code/",
    "/history/",
    "/library/",
    "/library/?q=red&seconds=2&order=oldest",
    "/library/compare/?clip={job}&clip={job}",
    "/jobs/{job}/",
    "/usage/?range=30d",
    "/usage/?range=30d&by=member",
    "/usage/?range=30d&by=key",
    "/spending/",
    "/statement/",
    "/statement/?show=charges",
    "/statement/refused/",
    "/statement/{line}/",
    "/decisions/{decision}/",
    "/budgets/",
    "/notices/",
    "/credits/",
    "/invoices/",
    "/keys/",
    "/webhooks/",
    "/webhooks/{webhook}/",
    "/webhooks/{webhook}/deliveries/{sent}/",
    "/members/",
    "/audit/",
    "/search",
    "/search?q=red",
)
READS = (
    "/v1/videos",
    "/v1/videos?limit=100",
    "/api/jobs?limit=100",
    "/api/jobs/{job}",
    "/api/keys?limit=100",
    "/api/statement?limit=100",
    "/api/usage?range=30d&by=key",
    "/api/budgets",
    "/api/notices",
    "/api/purchases?limit=50",
    "/api/invoices",
    "/api/decisions/{decision}",
    "/api/webhooks/{webhook}/deliveries?limit=100",
)
STAFF = (
    "/staff/billing/",
    "/staff/billing/?q={slug}",
    "/staff/billing/organizations/{slug}/",
    "/staff/billing/organizations/{slug}/lines/",
    "/staff/billing/organizations/{slug}/lines/{line}/",
    "/staff/billing/organizations/{slug}/credits/grant/",
    "/staff/billing/organizations/{slug}/contract/",
    "/staff/billing/work/{job}/",
    "/staff/billing/decisions/{decision}/",
    "/staff/billing/prices/",
    "/staff/billing/promotions/",
    "/staff/billing/revenue/",
    "/staff/billing/revenue/lines/",
    "/staff/billing/settings/",
    "/staff/tiers/",
    "/staff/tiers/{slug}/",
    "/staff/access/",
    "/staff/approvals/",
    "/staff/audit/",
    "/search?q={job}",
)
OPERATE = (
    "/operate/",
    "/operate/overview/now",
    "/operate/overview/wait/?compare=week",
    "/operate/jobs/?did=ended",
    "/operate/costs/",
    "/operate/costs/figures?rate=40",
    "/operate/runbooks/",
    "/operate/runbooks/plus_starvation/",
    "/operate/runbooks/retries/?do=pause_pool",
    "/operate/changes/",
)
WRITES = (("/v1/videos", CLIP), ("/v1/completions", {**CODE, "stream": True}), ("/api/quotes", CLIP))
# What one request of each kind may take in all; statements that a new connection prepares are not counted.
MOST_PAGE, MOST_STAFF, MOST_READ, MOST_WRITE = 34, 40, 16, 30
TIMES = 20  # of the jobs, holds and decisions that are there already: about 100, half of what the tier may have open


@pytest.fixture
def stage() -> tuple[Tenant, dict[str, object]]:
    """An organization with one of everything: work done, work refused, open work, a purchase, a refund, a person."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '60s'")
    plus = tenant("pro")
    client = Client()
    done = deliver(job_of_first(make_clip(client, plus)))
    bought(plus.organization)
    charge = done.decision.charge
    corrections.refund_charge(
        charge.pk, 1000, idempotency_key="r", reason="test", actor=None, at=done.finished_at
    )
    make_clip(client, plus)  # open
    company(plus.organization, 1)
    line = statement.lines(plus.organization.pk)[-2]
    names = {"job": done.pk, "line": line.id, "decision": done.decision_id, "slug": plus.organization.slug}
    wanted = Wanted("https://hooks.example.com/", "", ("video.completed",))
    hook, _ = endpoints.create(plus.organization, wanted, "test")
    return plus, {**names, "webhook": hook.pk, "sent": events.test(hook, timezone.now()).pk}


def job_of_first(video: dict) -> Job:
    return Job.objects.get(pk=video["id"].rpartition("_")[2])


def queries(client: Client, address: str, **options) -> int:
    """How many a second asking takes: the first may prepare statements and fill caches."""
    client.get(address, **options)
    with CaptureQueriesContext(connection) as found:
        response = client.get(address, **options)
    assert response.status_code == 200, (address, response.status_code)
    return len(found)


def grow(plus: Tenant, times: int = MANY) -> None:
    crowd(plus.organization, times)
    company(plus.organization, times)
    for hook in endpoints.of(plus.organization):
        for _ in range(times):
            events.test(hook, timezone.now())
    assert Decision.objects.filter(organization=plus.organization).count() > times
    assert Payment.objects.filter(organization=plus.organization).count() > times
    assert ApiKey.objects.filter(organization=plus.organization).count() > times


def compared(client: Client, addresses: tuple[str, ...], stage, most: int, **options) -> None:
    plus, names = stage
    named = [address.format(**names) for address in addresses]
    few = {address: queries(client, address, **options) for address in named}
    grow(plus)
    many = {address: queries(client, address, **options) for address in named}
    assert many == few
    assert {address: count for address, count in few.items() if count > most} == {}


def test_pages_of_customers(stage):
    compared(signed_in(stage[0].owner), PAGES, stage, MOST_PAGE)


def test_pages_of_billing_admins(stage):
    compared(billing_admin()[0], STAFF, stage, MOST_STAFF)


def test_pages_of_operators(stage):
    compared(operator()[0], OPERATE, stage, MOST_STAFF)


def test_what_programs_read(client, stage):
    compared(client, READS, stage, MOST_READ, headers=stage[0].auth)


@pytest.fixture
def xyzzy_is_refused():
    Rule.objects.create(pattern="xyzzy", category="violence", kinds=["clip"], author="test", reason="test")


@pytest.mark.usefixtures("xyzzy_is_refused")
def test_what_programs_ask_for(client, stage):
    """A request through the whole stack, middleware included: allowed, quoted, and refused by policy."""
    plus, _ = stage

    def asked(address: str, body: dict, status: int) -> int:
        for _ in range(2):  # the first may prepare statements
            with CaptureQueriesContext(connection) as found:
                response = client.post(address, body, content_type="application/json", headers=plus.auth)
            assert response.status_code == status  # of a stream: that it began; nobody writes into it here
        return len(found)

    def all_of_them() -> dict[str, int]:
        found = {address: asked(address, body, 200) for address, body in WRITES}
        return {**found, "refused": asked("/v1/videos", {**CLIP, "prompt": "xyzzy"}, 400)}

    few = all_of_them()
    grow(plus, TIMES)
    assert Hold.objects.filter(organization=plus.organization, state="open").count() > 50
    many = all_of_them()
    assert many == few
    assert {address: count for address, count in few.items() if count > MOST_WRITE} == {}
