"""Revenue: figures that are sums of the ledger, points that lead to the lines they count, CSV that adds up."""

import json
import re
import uuid
from datetime import UTC, timedelta

import pytest
from django.db.models import Sum
from django.utils import timezone

from accounts import approvals
from billing import revenue
from billing.actions.adjustments import RefundCharge
from billing.models import Account, Charge, Entry, Transaction
from billing.revenue import Span
from tests.billing.csv_reading import read_csv
from tests.console.billing_stage import CREDIT, billing_admin, bought, charged, customer, decided

pytestmark = pytest.mark.django_db

REVENUE = "/staff/billing/revenue/"


def days(count: int) -> Span:
    today = timezone.now().astimezone(UTC).date()
    return Span(today - timedelta(days=count - 1), today)


def revenue_entries() -> int:
    kind = {"account__kind": "revenue", "account__organization": None}
    return Entry.objects.filter(**kind).aggregate(sum=Sum("amount", default=0))["sum"]


@pytest.fixture
def busy():
    """Two organizations over three days: charges from several buckets, a refund, open and failed work, a purchase."""
    now = timezone.now()
    one, other = (
        customer("Atelier Lumen", credits=100),
        customer("Hobby Corner", tier="enterprise", credits=50),
    )
    for back in (2, 1, 0):
        charged(one, 10, at=now - timedelta(days=back))
        charged(other, 20, at=now - timedelta(days=back))
    charged(one, 5, outcome="failed", reason_code="system_failed", at=now)
    decided(one, 7)
    bought(other)
    _, admin = billing_admin()
    charge = Charge.objects.filter(organization=other).earliest("pk")
    action = RefundCharge(organization=other, key=str(uuid.uuid4()), charge=charge, micro=2 * CREDIT)
    approvals.submit(action, admin, "Goodwill: late")
    return one, other


def test_the_figures_are_the_ledgers(busy):
    one, other = busy
    span = days(7)
    assert sum(row.micro for row in revenue.by_day(span)) == revenue_entries() == 25 * CREDIT
    assert sum(row.micro for row in revenue.by_source(span)) == 27 * CREDIT
    assert {row.bucket for row in revenue.by_source(span)} == {"allowance", "purchased"}
    assert sum(row.micro for row in revenue.by_model(span)) == 27 * CREDIT
    assert [(row.name, row.micro) for row in revenue.by_organization(span)] == [
        ("Hobby Corner", 16 * CREDIT),
        ("Atelier Lumen", 9 * CREDIT),
    ]
    stored = dict(
        Account.objects.filter(organization__isnull=False).values_list("kind").annotate(Sum("balance"))
    )
    assert {row.kind: row.micro for row in revenue.unspent()} == stored
    assert {kind: ends[-1] for kind, ends in revenue.unspent_by_day(span).items()} == stored
    (paid,) = revenue.payments(span)
    assert (paid.state, paid.cents, paid.refunded_cents) == ("paid", 5_000, 0)


def test_what_was_unspent_is_counted_back_from_now(busy):
    span = days(7)
    at_the_end = revenue.unspent_by_day(span)["purchased"]
    for day, micro in zip(span.days, at_the_end, strict=True):
        entries = Entry.objects.filter(
            account__kind="purchased",
            account__organization__isnull=False,
            transaction__at__lt=Span(day, day).end,
        )
        assert micro == entries.aggregate(sum=Sum("amount", default=0))["sum"], day


def test_a_span_leaves_out_what_lies_outside(busy):
    today = days(1)
    assert sum(row.micro for row in revenue.by_day(today)) <= revenue_entries()
    earlier = Span(today.first - timedelta(days=30), today.first - timedelta(days=10))
    assert list(revenue.by_day(earlier)) == []
    assert list(revenue.by_organization(earlier)) == []
    with pytest.raises(ValueError, match="a span has 1 to"):
        Span(today.last, today.first - timedelta(days=1))


def test_the_page_needs_few_queries_and_carries_charts_with_tables(busy, django_assert_max_num_queries):
    client, _ = billing_admin()
    with django_assert_max_num_queries(20):
        html = client.get(f"{REVENUE}?range=7d").content.decode()
    assert html.count('<figure class="chart-figure"') == 3
    assert html.count("The same as a table") == 3
    assert "plotly/plotly.min.js" in html
    assert "plotly" not in client.get("/staff/billing/").content.decode()
    assert f"{REVENUE}lines/?from=" in html


def test_every_point_of_a_chart_leads_to_the_lines_that_it_counts(busy):
    client, _ = billing_admin()
    html = client.get(f"{REVENUE}?range=7d").content.decode()
    (data,) = re.findall(r'<script id="revenue-data" type="application/json">(.+?)</script>', html)
    counted = 0
    for series in json.loads(data)["series"]:
        for credits, link in zip(series["y"], series["links"], strict=True):
            page = client.get(link)
            assert page.status_code == 200
            assert page.context["found"].micro == round(credits * CREDIT)
            counted += page.context["found"].micro
    assert counted == revenue_entries()


def test_the_lines_are_paged_and_filtered_in_few_queries(busy, django_assert_max_num_queries):
    client, _ = billing_admin()
    one, _ = busy
    for _ in range(55):
        charged(one, 1)
    for query in ("kind=charge", "bucket=allowance", "model=pocket-video", f"organization={one.slug}"):
        with django_assert_max_num_queries(12):
            first = client.get(f"{REVENUE}lines/?range=7d&{query}")
        older = first.context["found"].older
        shown = {one.line.pk for one in first.context["found"].counted}
        second = client.get(f"{REVENUE}lines/?range=7d&{query}&before={older}")
        assert len(shown) == 50
        assert shown.isdisjoint({one.line.pk for one in second.context["found"].counted})
        assert second.context["found"].micro == first.context["found"].micro


@pytest.mark.parametrize(
    "query", ["range=1y", "from=soon", "from=2026-11-21&to=2026-11-20", "from=2020-01-01"]
)
def test_a_span_that_is_none_is_refused(query):
    client, _ = billing_admin()
    assert client.get(f"{REVENUE}?{query}").status_code == 400
    assert client.get(f"{REVENUE}lines/?{query}").status_code == 400


@pytest.mark.parametrize("query", ["kind=gift", "bucket=held", "before=x"])
def test_lines_that_are_none_are_refused(query):
    client, _ = billing_admin()
    assert client.get(f"{REVENUE}lines/?{query}").status_code == 400


def test_each_csv_sums_to_the_ledger(busy):
    client, _ = billing_admin()

    def rows(report: str) -> list[dict[str, str]]:
        return read_csv(client.get(f"{REVENUE}{report}.csv?range=7d"))

    def total(report: str, column: str) -> int:
        return sum(int(row[column]) for row in rows(report))

    net = revenue_entries()
    assert total("days", "revenue_micro") == net
    assert total("organizations", "revenue_micro") == net
    assert total("lines", "revenue_micro") == net
    charges = Charge.objects.aggregate(sum=Sum("amount"))["sum"]
    assert total("sources", "charged_micro") == total("models", "charged_micro") == charges
    wallets = Entry.objects.filter(account__organization__isnull=False)
    moved = wallets.aggregate(sum=Sum("amount"))["sum"]
    assert total("lines", "wallet_micro") == total("kinds", "wallets_micro") == moved
    assert total("unspent", "balance_micro") == moved  # what ever came in and did not go out
    assert len(rows("lines")) == Transaction.objects.count()
    assert total("payments", "cents") == 5_000
    assert client.get(f"{REVENUE}secrets.csv").status_code == 404


def test_an_empty_installation_has_a_page_that_teaches():
    client, _ = billing_admin()
    html = client.get(REVENUE).content.decode()
    for words in ("Nobody was charged", "No work ended", "Nothing moved", "Nothing was bought"):
        assert words in html
