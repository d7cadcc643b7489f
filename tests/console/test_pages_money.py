"""The pages of money: the statement adds up and opens, usage, budgets, notices and spending in bounded queries."""

import re
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import keys
from accounts.models import AuditEntry
from billing import budget_board, notices, promotions, statement
from billing.models import Budget, Decision, Notice, PromotionCode, Wallet
from safety.models import Rule
from tests.billing.conftest import CREDIT
from tests.billing.csv_reading import read_csv
from tests.console.people import PROMPT, clip, join, person, signed_in
from tests.generation.api_stage import deliver, media_folder

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]

ROOM = 24  # queries: the frame's own (session, person, organizations, balance, notices) and the page's


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


class TestStatement:
    def test_it_adds_up_and_each_line_leads_on(self, django_assert_max_num_queries):
        client, caller = person()
        job = deliver(clip(caller))
        with django_assert_max_num_queries(ROOM):
            html = client.get("/statement/").content.decode()
        lines = statement.lines(caller.organization.pk)
        assert f'href="/jobs/{job.pk}/"' in html
        assert f'href="/decisions/{job.decision_id}/"' in html
        assert f'href="/statement/{lines[0].id}/"' in html
        assert "−0.3" in html
        assert lines[0].balance_after_micro == sum(line.amount_micro for line in lines)
        assert f"{lines[0].balance_after_micro // 10**6}" in html

    def test_a_line_opens_the_whole_chain(self, django_assert_max_num_queries):
        client, caller = person()
        job = deliver(clip(caller))
        line = statement.lines(caller.organization.pk)[0]
        with django_assert_max_num_queries(ROOM):
            html = client.get(f"/statement/{line.id}/").content.decode()
        text = text_of(html)
        for link in ("decision", "price version", "usage event", "charge", "entries"):
            assert link in text.lower()
        assert "Why this was charged: it was delivered." in text
        assert f'href="/jobs/{job.pk}/"' in html
        assert f'href="/decisions/{job.decision_id}/"' in html
        assert client.get(f"/statement/charges/{line.charge_id}/").url == f"/statement/{line.id}/"

    def test_another_organizations_line_is_not_found(self):
        client, _ = person()
        _, stranger = person()
        clip(stranger)
        line = statement.lines(stranger.organization.pk)[0]
        assert client.get(f"/statement/{line.id}/").status_code == 404

    def test_what_was_refused_is_told_and_cost_nothing(self):
        client, caller = person(tier="enterprise", credit=0)
        client.post("/studio/submit", {"prompt": PROMPT})
        decision = Decision.objects.get(organization=caller.organization)
        html = client.get("/statement/refused/").content.decode()
        assert f'href="/decisions/{decision.pk}/"' in html
        assert "credit_balance_exhausted" in html
        assert statement.lines(caller.organization.pk) == []

    def test_a_prompt_refused_by_policy_is_told_too_in_bounded_queries(self, django_assert_max_num_queries):
        client, caller = person()
        rule = {
            "pattern": "xyzzy",
            "category": "violence",
            "kinds": ["clip"],
            "author": "test",
            "reason": "test",
        }
        Rule.objects.create(**rule)
        shown = client.post("/studio/submit", {"prompt": "say xyzzy"}).content.decode()
        decision = Decision.objects.get(organization=caller.organization)
        assert f'href="/decisions/{decision.pk}/"' in shown
        html = client.get("/statement/refused/").content.decode()
        assert f'href="/decisions/{decision.pk}/"' in html
        assert "refused by policy (violence)" in html
        with django_assert_max_num_queries(ROOM):
            text = text_of(client.get(f"/decisions/{decision.pk}/").content.decode())
        assert "Why this was refused" in text
        assert "The text filter Prompts are read before anything is held." in text
        assert "Requests per minute 0 of 60 used in the last minute. not reached" in text
        assert "xyzzy" not in text
        assert [line.kind for line in statement.lines(caller.organization.pk)] == ["grant"]

    def test_an_empty_one_teaches_the_first_step(self):
        client, _ = person(credit=0)
        html = client.get("/statement/").content.decode()
        assert "No movements yet" in html
        assert "Make a clip" in html
        assert "Nothing was refused" in client.get("/statement/refused/").content.decode()
        assert "Nothing matches" in client.get("/statement/?show=charges").content.decode()

    @pytest.mark.parametrize(
        "query", ["before=x", "before=-1", "before=" + "9" * 30, "show=x", "from=x", "key=a", "to=2026-13-01"]
    )
    def test_a_page_that_does_not_exist_is_refused(self, query):
        client, _ = person()
        assert client.get(f"/statement/?{query}").status_code == 400

    def test_the_csv_holds_what_the_filter_lets_through(self):
        client, caller = person()
        deliver(clip(caller))
        rows = read_csv(client.get("/statement.csv"))
        assert [row["kind"] for row in rows] == ["grant", "allowance", "hold", "charge"]
        assert sum(int(row["amount_micro"]) for row in rows) == int(rows[-1]["balance_after_micro"])
        charges = read_csv(client.get("/statement.csv?show=charges"))
        assert [(row["kind"], row["amount_credits"]) for row in charges] == [("charge", "-0.300000")]


class TestUsage:
    def test_totals_chart_and_table(self, django_assert_max_num_queries):
        client, caller = person()
        deliver(clip(caller))
        with django_assert_max_num_queries(ROOM):
            html = client.get("/usage/?range=1h&by=member").content.decode()
        assert caller.user.get_short_name() in html
        assert "UTC" in html
        assert "plotly" in html
        assert "The same as a table" in html
        rows = read_csv(client.get("/usage.csv?range=1h&by=model"))
        assert [(row["by"], row["name"], row["charged_credits"]) for row in rows] == [
            ("model", str(clip_model(rows)), "0.300000")
        ]

    def test_without_use_there_is_no_chart_and_no_plotly(self):
        client, _ = person()
        html = client.get("/usage/").content.decode()
        assert "Nothing in this span" in html
        assert "plotly" not in html

    @pytest.mark.parametrize("query", ["by=x", "range=9y", "grain=second", "range=30d&grain=minute"])
    def test_a_question_that_makes_no_sense_is_refused(self, query):
        client, _ = person()
        assert client.get(f"/usage/?{query}").status_code == 400


def clip_model(rows: list[dict]) -> str:
    return rows[0]["id"]


class TestBudgets:
    def test_an_owner_sets_and_removes_one_and_sees_who_did(self, django_assert_max_num_queries):
        client, caller = person()
        given = {"target": "organization", "amount": "1,000.5", "soft_percent": "75", "hard_stop": "on"}
        assert client.post("/budgets/", given).status_code == 302
        budget = Budget.objects.get(organization=caller.organization)
        assert (budget.amount_micro, budget.soft_percent, budget.hard_stop) == (1_000_500_000, 75, True)
        assert budget.changed_by == caller.user
        deliver(clip(caller))
        with django_assert_max_num_queries(ROOM + 4):
            html = client.get("/budgets/").content.decode()
        assert "0.3 of 1,000.5 credits" in html
        assert caller.user.get_short_name() in html
        client.post(f"/budgets/{budget.pk}/remove")
        budget.refresh_from_db()
        assert budget.removed_at is not None
        actions = AuditEntry.objects.filter(organization=caller.organization).values_list("action", flat=True)
        assert {"budget.set", "budget.remove"} <= set(actions)

    def test_for_a_member_and_a_key(self):
        client, caller = person()
        user = join(caller.organization, "member")
        key, _ = keys.create(caller.organization, "farm", ["generate"], caller.user)
        common = {"amount": "5", "soft_percent": "80"}
        client.post("/budgets/", {"target": f"member:{user.pk}", **common})
        client.post("/budgets/", {"target": f"key:{key.pk}", **common, "hard_stop": "on"})
        found = budget_board.standings(caller.organization.pk, timezone.now())
        assert [(one.budget.scope, one.name, one.budget.hard_stop) for one in found] == [
            ("member", user.get_short_name(), False),
            ("key", "farm", True),
        ]

    @pytest.mark.parametrize(
        ("given", "param"),
        [
            ({"amount": "much"}, "amount"),
            ({"amount": "-1"}, "amount"),
            ({"amount": "0.0000001"}, "amount"),
            ({"soft_percent": "101"}, "soft_percent"),
            ({"target": "planet"}, "scope"),
            ({"target": "member:999999"}, "target"),
            ({"target": "key:999999"}, "target"),
        ],
    )
    def test_what_can_not_be_set_changes_nothing(self, given, param):
        client, caller = person()
        whole = {"target": "organization", "amount": "5", "soft_percent": "80", **given}
        answer = client.post("/budgets/", whole)
        assert answer.status_code == 400
        assert answer.context["error"].param == param
        assert not Budget.objects.exists()

    def test_another_organizations_member_or_key_can_not_have_one(self):
        client, _ = person()
        _, stranger = person()
        key, _ = keys.create(stranger.organization, "theirs", ["generate"], stranger.user)
        for target in (f"member:{stranger.user.pk}", f"key:{key.pk}"):
            given = {"target": target, "amount": "5", "soft_percent": "80"}
            assert client.post("/budgets/", given).status_code == 400
        theirs = budget_board.change(stranger, "organization", None, 5, soft_percent=80, hard_stop=True)
        assert client.post(f"/budgets/{theirs.pk}/remove").status_code == 404
        theirs.refresh_from_db()
        assert theirs.removed_at is None

    def test_a_member_sees_but_does_not_set(self):
        _, caller = person()
        client = signed_in(join(caller.organization, "member"))
        html = client.get("/budgets/").content.decode()
        assert "No budgets yet" in html
        assert 'name="amount"' not in html
        assert client.post("/budgets/", {"target": "organization", "amount": "5"}).status_code == 403
        assert not Budget.objects.exists()

    def test_a_stop_is_explained_with_a_way_on(self):
        client, caller = person()
        budget_board.change(caller, "organization", None, CREDIT // 10, soft_percent=80, hard_stop=True)
        html = client.post("/studio/submit", {"prompt": PROMPT}).content.decode()
        decision = Decision.objects.get(organization=caller.organization)
        assert decision.code == "budget_exceeded"
        assert 'href="/budgets/"' in html
        assert f'href="/decisions/{decision.pk}/"' in html
        assert "Nothing was charged." in html


class TestNotices:
    def tell(self, caller, kind="low_balance", key="1"):
        return notices.tell(caller.organization.pk, kind, key, "12 credits are left.", link="/credits/")

    def test_told_once_read_once(self, django_assert_max_num_queries):
        client, caller = person()
        assert self.tell(caller) is True
        self.tell(caller)
        assert Notice.objects.filter(organization=caller.organization).count() == 1
        with django_assert_max_num_queries(ROOM):
            html = client.get("/notices/").content.decode()
        assert "12 credits are left." in html
        assert '<b>1</b><span class="visually-hidden"> new notices' in html
        client.post("/notices/read", {"up_to": Notice.objects.get().pk})
        assert "hidden" in badge(client.get("/notices/").content.decode())

    def test_what_came_after_the_page_stays_new(self):
        client, caller = person()
        self.tell(caller)
        shown = Notice.objects.get().pk
        self.tell(caller, key="2")
        client.post("/notices/read", {"up_to": shown})
        assert Notice.objects.filter(read_at=None).count() == 1

    def test_the_threshold_is_the_organizations_own(self):
        client, caller = person()
        client.post("/notices/threshold", {"amount": "250.5"})
        assert Wallet.objects.get(pk=caller.organization.pk).low_balance_micro == 250_500_000
        client.post("/notices/threshold", {"amount": ""})
        assert Wallet.objects.get(pk=caller.organization.pk).low_balance_micro is None
        client.post("/notices/threshold", {"amount": "-5"})
        assert Wallet.objects.get(pk=caller.organization.pk).low_balance_micro is None

    def test_a_member_can_not_set_it(self):
        _, caller = person()
        client = signed_in(join(caller.organization, "member"))
        assert client.post("/notices/threshold", {"amount": "1"}).status_code == 403

    def test_an_empty_page_teaches(self):
        client, _ = person()
        assert "Nothing to tell" in client.get("/notices/").content.decode()


def badge(html: str) -> str:
    return re.search(r"<a class=\"notices-badge\"[^>]*>", html)[0]


class TestSpending:
    def test_the_month_by_member_key_and_model(self, django_assert_max_num_queries):
        client, caller = person()
        budget_board.change(caller, "member", caller.user.pk, 5 * CREDIT, soft_percent=80, hard_stop=True)
        deliver(clip(caller))
        with django_assert_max_num_queries(ROOM + 10):
            text = text_of(client.get("/spending/").content.decode())
        assert "Spent this month 0.3 credits" in text
        assert "0.3 of 5, within budget" in text
        assert "Told once there is a full day (UTC) of use to go by." in text
        assert "Your waits and times" in text

    def test_a_member_has_no_such_page(self):
        _, caller = person()
        assert signed_in(join(caller.organization, "member")).get("/spending/").status_code == 403

    def test_empty(self):
        client, _ = person()
        html = client.get("/spending/").content.decode()
        assert "No jobs this month" in html
        assert "plotly" not in html


class TestBeforeSubmit:
    def test_the_studio_tells_quote_layers_and_rules(self):
        client, _ = person()
        text = text_of(client.get("/").content.decode())
        assert "At most 0.30 credits: 0.30 from the included allowance." in text
        assert "What each outcome costs" in text

    def test_so_does_code(self):
        client, _ = person()
        text = text_of(client.get("/code/").content.decode())
        assert re.search(r"At most [\d.]+ credits: [\d.]+ from the included allowance\.", text)
        assert "What each outcome costs" in text
        more = client.post("/code/quote", {"prompt": "def f():\n", "max_tokens": "32"})
        assert "from the included allowance" in more.content.decode()

    @pytest.mark.parametrize("page", ["/", "/code/"])
    def test_an_empty_balance_says_what_to_do_before_and_after(self, page):
        client, caller = person(tier="enterprise", credit=0)
        assert 'href="/credits/"' in client.get(page).content.decode()
        member = signed_in(join(caller.organization, "member"))
        html = member.get(page).content.decode()
        assert "Ask an owner or a billing member" in html
        address = "/studio/submit" if page == "/" else page
        refused = client.post(address, {"prompt": PROMPT, "max_tokens": "32"}).content.decode()
        decision = Decision.objects.filter(organization=caller.organization).latest("at")
        assert f'href="/decisions/{decision.pk}/"' in refused
        assert 'href="/credits/"' in refused


class TestPromotionCode:
    @pytest.fixture
    def code(self):
        now = timezone.now()
        return PromotionCode.objects.create(
            code="WELCOME-1",
            credits_micro=7 * CREDIT,
            credits_last_days=30,
            max_redemptions=5,
            valid_from=now - timedelta(days=1),
            valid_until=now + timedelta(days=1),
            author="test",
            reason="test",
        )

    def test_redeemed_on_the_statement_once(self, code):
        client, caller = person()
        html = client.post("/statement/redeem", {"code": " welcome-1 "}, follow=True).content.decode()
        assert "WELCOME-1 brought 7.00 promotional credits" in html
        assert statement.balances(caller.organization.pk).promotional_micro == 7 * CREDIT
        html = client.post("/statement/redeem", {"code": "WELCOME-1"}, follow=True).content.decode()
        assert "counts once" in html
        assert statement.balances(caller.organization.pk).promotional_micro == 7 * CREDIT

    def test_a_member_can_not(self, code):
        _, caller = person()
        client = signed_in(join(caller.organization, "member"))
        assert "Promotion code" not in client.get("/statement/").content.decode()
        assert client.post("/statement/redeem", {"code": code.code}).status_code == 403
        assert promotions.normal(" a b ") == "AB"


class TestDecisions:
    def test_an_allowed_one_is_told_layer_by_layer(self, django_assert_max_num_queries):
        client, caller = person()
        job = clip(caller)
        with django_assert_max_num_queries(ROOM):
            text = text_of(client.get(f"/decisions/{job.decision_id}/").content.decode())
        assert "Why this was allowed" in text
        assert "The included allowance 119.7 credits left of 120 credits today. −0.3 credits" in text

    def test_a_refused_one_says_what_would_be_allowed(self):
        client, caller = person(tier="enterprise", credit=0)
        client.post("/studio/submit", {"prompt": PROMPT})
        decision = Decision.objects.get(organization=caller.organization)
        html = client.get(f"/decisions/{decision.pk}/").content.decode()
        assert "Why this was refused" in html
        assert "What would be allowed: 0.30 credits more" in html
        assert f"/jobs/{decision.subject}" not in html  # there never was such a job

    def test_another_organizations_is_simply_not_found(self):
        client, _ = person()
        _, stranger = person()
        assert client.get(f"/decisions/{clip(stranger).decision_id}/").status_code == 404
        assert client.get(f"/decisions/{uuid.uuid4()}/").status_code == 404
