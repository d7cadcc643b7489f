"""Usage by minute, model, key and member: exact sums that are the ledger's, in UTC, in a bounded number of queries."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts import keys, organizations
from accounts.errors import ApiError
from accounts.models import User
from billing import corrections, exports, spans, usage
from billing.settlement import settle
from billing.spans import Span
from tests.billing.conftest import CREDIT, NOON, UNIT, buy, new_organization
from tests.billing.csv_reading import read_csv

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
TODAY = Span(NOON.replace(hour=0), NOON.replace(hour=0) + DAY)

REVENUE = """
SELECT coalesce(sum(e.amount) FILTER (WHERE t.kind = 'charge'), 0),
       coalesce(-sum(e.amount) FILTER (WHERE t.kind = 'refund'), 0)
  FROM billing_entry e JOIN billing_account a ON a.id = e.account_id AND a.kind = 'revenue'
  JOIN billing_transaction t ON t.id = e.transaction_id
 WHERE t.organization_id = %s AND t.hold_id IN (
     SELECT u.hold_id FROM billing_usageevent u WHERE u.at >= %s AND u.at < %s)
"""


def revenue(organization, span: Span) -> tuple[int, int]:
    """What the ledger took for the work of a span, and what it gave back of that."""
    with connection.cursor() as cursor:
        cursor.execute(REVENUE, [organization.pk, span.since, span.until])
        return tuple(map(int, cursor.fetchone()))


@pytest.fixture
def work(organization, decide):
    """work(units, at, outcome="delivered", **asked): one piece of work, settled at `at`."""
    buy(organization, 1_000)

    def _work(
        units: float, at: datetime = NOON, outcome: str = "delivered", done: float | None = None, **asked
    ):
        hold = decide(units, now=at, **asked).hold
        return settle(
            hold.pk,
            outcome=outcome,
            units_micro=round((units if done is None else done) * UNIT),
            quantity=30,
            subject=hold.subject,
            reason_code={"failed": "system_failed:internal_error"}.get(outcome, outcome),
            at=at,
        )

    return _work


def asked(organization, by="model", grain="minute", span=TODAY) -> usage.Question:
    return usage.question(organization.pk, span, by, grain)


class TestRows:
    def test_by_the_minute(self, organization, work, django_assert_num_queries):
        work(1)
        work(2, NOON + timedelta(seconds=59))
        work(4, NOON + MINUTE, model="other")
        work(8, NOON + MINUTE, outcome="failed")
        with django_assert_num_queries(1):
            found = usage.rows(asked(organization))
        figures = [
            (row.start, row.name, row.requests, row.charged_requests, row.charged_micro) for row in found
        ]
        assert figures == [
            (NOON, "pocket-video", 2, 2, 0.9 * CREDIT),
            (NOON + MINUTE, "other", 1, 1, 1.2 * CREDIT),
            (NOON + MINUTE, "pocket-video", 1, 0, 0),
        ]
        assert usage.total(found).units_micro == 15 * UNIT

    def test_days_are_days_in_utc(self, organization, work):
        late = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
        work(1, late)
        work(1, late + timedelta(hours=1))
        both = Span(TODAY.since, TODAY.until + DAY)
        starts = [row.start for row in usage.rows(asked(organization, grain="day", span=both))]
        assert starts == [TODAY.since, TODAY.until]

    def test_by_key_and_member(self, organization, work):
        owner = User.objects.create_user("ada@example.com", name="Ada")
        organizations.add_member(organization, owner, "owner", "test", "for this test")
        key, _ = keys.create(organization, "render farm", ["generate"], "test")
        work(1, user_id=owner.pk)
        work(2, api_key_id=key.pk)
        work(2, api_key_id=key.pk)
        by_key = [(row.id, row.name, row.requests) for row in usage.totals(asked(organization, "key"))]
        assert by_key == [(str(key.pk), "render farm", 2), (None, "In the browser", 1)]
        by_member = [(row.id, row.name) for row in usage.totals(asked(organization, "member"))]
        assert by_member == [(None, "Through an API key"), (str(owner.pk), "Ada")]

    def test_only_its_own(self, organization, work):
        work(1)
        assert usage.rows(asked(new_organization())) == []

    def test_a_grain_that_is_too_fine_is_refused_with_the_way_on(self, organization):
        long = Span(NOON, NOON + 30 * DAY)
        with pytest.raises(ApiError, match="coarser grain") as refused:
            usage.rows(asked(organization, span=long))
        assert refused.value.param == "grain"


class TestCsv:
    def test_its_sum_is_what_the_ledger_took(self, organization, work):
        work(9, NOON, outcome="blocked", done=0)
        work(9, NOON, outcome="cancelled", done=0.000003)
        charge = work(5, NOON)
        for number in range(12):
            work(1.234567 + number, NOON + number * timedelta(hours=7), done=1 + number / 3)
        corrections.refund_charge(
            charge.pk, CREDIT // 3, idempotency_key="r", reason="goodwill", actor=None, at=NOON + 3 * DAY
        )
        span = Span(NOON - DAY, NOON + 4 * DAY)
        for by in usage.GROUPS:
            rows = read_csv(exports.usage_csv(asked(organization, by, span=span), "x"))
            sums = tuple(sum(int(row[name]) for row in rows) for name in ("charged_micro", "refunded_micro"))
            assert sums == revenue(organization, span)
            assert sum(int(row["requests"]) for row in rows) == 15

    def test_a_span_that_begins_and_ends_within_a_day(self, organization, work):
        for minutes in range(0, 180, 20):
            work(1, NOON + minutes * MINUTE)
        span = Span(NOON + 20 * MINUTE, NOON + 100 * MINUTE)
        rows = read_csv(exports.usage_csv(asked(organization, span=span), "x"))
        assert [row["start_utc"] for row in rows] == [
            f"2026-11-21T{at}Z" for at in ("12:20", "12:40", "13:00", "13:20")
        ]
        assert (
            sum(int(row["charged_micro"]) for row in rows) == revenue(organization, span)[0] == 1.2 * CREDIT
        )


class TestSpans:
    def test_names_and_ends(self):
        now = NOON + timedelta(seconds=30)
        assert spans.of({}, now, otherwise="24h") == Span(NOON + MINUTE - DAY, NOON + MINUTE, "24h")
        assert spans.of({"range": "month"}, now, otherwise="24h").since == datetime(2026, 11, 1, tzinfo=UTC)
        named = spans.of({"from": "2026-11-01", "to": "2026-11-03"}, now, otherwise="24h")
        assert named == Span(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC))
        offset = spans.of(
            {"from": "2026-11-01T00:00:00+02:00", "to": "2026-11-01T03:00Z"}, now, otherwise="1h"
        )
        assert offset.since == datetime(2026, 10, 31, 22, tzinfo=UTC)
        assert spans.next_month(datetime(2026, 12, 31, 23, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("given", "param"),
        [
            ({"range": "1y"}, "range"),
            ({"from": "yesterday"}, "from"),
            ({"from": "2026-11-22", "to": "2026-11-21"}, "from"),
            ({"from": "2024-01-01", "to": "2026-01-01"}, "from"),
            ({"to": "0000-00-00"}, "to"),
        ],
    )
    def test_what_is_no_span_names_its_field(self, given, param):
        with pytest.raises(ApiError) as refused:
            spans.of(given, NOON, otherwise="24h")
        assert refused.value.param == param


class TestApi:
    @pytest.fixture
    def get(self, client, organization):
        def _get(path: str, *scopes: str):
            _, raw = keys.create(organization, "-".join(scopes), list(scopes), "test")
            return client.get(path, headers={"authorization": f"Bearer {raw}"})

        return _get

    @pytest.mark.parametrize("scope", ["read", "billing"])
    def test_usage_with_either_scope(self, get, work, scope):
        at = timezone.now()
        work(1, at)
        body = get("/api/usage?range=1h&by=model", scope).json()
        assert (body["timezone"], body["grain"], body["by"]) == ("UTC", "minute", "model")
        (row,) = body["data"]
        assert (row["name"], row["requests"], row["charged_micro"]) == ("pocket-video", 1, 0.3 * CREDIT)
        assert datetime.fromisoformat(row["start"]) == at.replace(second=0, microsecond=0)
        assert body["total"]["charged_micro"] == 0.3 * CREDIT
        assert get("/api/statement", scope).status_code == 200

    def test_a_key_that_may_only_generate_reads_no_usage(self, get):
        for path in ("/api/usage", "/api/statement", "/api/budgets", "/api/notices"):
            assert get(path, "generate").status_code == 403

    @pytest.mark.parametrize("query", ["by=colour", "grain=second", "range=1y", "from=x"])
    def test_bad_questions_name_the_field(self, get, query):
        response = get(f"/api/usage?{query}", "read")
        assert response.status_code == 400
        assert response.json()["error"]["param"] == query.partition("=")[0]
