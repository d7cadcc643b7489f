"""Grants, captures and releases, and the allowance as it rolls from day to day."""

from datetime import timedelta

import pytest
from django.db import transaction

from accounts.errors import ApiError
from accounts.models import AuditEntry, User
from billing import ledger
from billing.models import Account, Charge, Hold, Transaction, UsageEvent, Wallet
from tests.billing.conftest import CREDIT, NOON, UNIT, buy, new_organization, promote, stored

DAY = timedelta(days=1)


def entries(posted: Transaction) -> list[tuple[str, bool, int]]:
    """(kind of account, is it the organization's, amount)."""
    found = posted.entries.values_list("account__kind", "account__organization", "amount")
    return sorted((kind, organization is not None, amount) for kind, organization, amount in found)


class TestGrant:
    def test_credits_come_from_the_platforms_grants(self, organization):
        posted = buy(organization, 5)
        assert entries(posted) == [("grants", False, -5 * CREDIT), ("purchased", True, 5 * CREDIT)]
        assert (posted.kind, posted.available_after, posted.held_after) == ("grant", 5 * CREDIT, 0)
        assert stored(organization)["purchased"] == 5 * CREDIT

    def test_platform_accounts_store_no_balance(self, organization):
        buy(organization, 5)
        assert set(Account.objects.filter(organization=None).values_list("balance", flat=True)) == {None}

    def test_the_same_key_grants_once(self, organization):
        first = buy(organization, 5, key="k")
        assert buy(organization, 5, key="k") == first
        assert stored(organization)["purchased"] == 5 * CREDIT

    def test_the_same_key_with_another_amount_is_refused(self, organization):
        buy(organization, 5, key="k")
        with pytest.raises(ApiError) as caught:
            buy(organization, 6, key="k")
        assert caught.value.code == "idempotency_key_reused"
        assert stored(organization)["purchased"] == 5 * CREDIT

    def test_keys_are_an_organizations_own(self, organization):
        assert buy(organization, 5, key="k") != buy(new_organization(), 5, key="k")

    def test_each_promotion_is_an_account_of_its_own(self, organization):
        promote(organization, 1, NOON + DAY)
        promote(organization, 2, NOON + 2 * DAY)
        found = Account.objects.filter(organization=organization, kind="promotional").order_by("expires_at")
        assert [(a.balance, a.expires_at) for a in found] == [
            (1 * CREDIT, NOON + DAY),
            (2 * CREDIT, NOON + 2 * DAY),
        ]

    def test_a_promotion_without_an_expiry_lasts_a_year_and_can_be_repeated(self, organization):
        fields = {"bucket": "promotional", "idempotency_key": "demo", "reason": "demo", "at": NOON}
        first = ledger.grant(organization.pk, CREDIT, **fields)
        assert ledger.grant(organization.pk, CREDIT, **{**fields, "at": NOON + DAY}) == first
        assert Account.objects.get(kind="promotional").expires_at == NOON + 365 * DAY

    @pytest.mark.parametrize(
        ("changes", "param"),
        [
            ({"amount_micro": 0}, "amount"),
            ({"amount_micro": -1}, "amount"),
            ({"amount_micro": 1.5}, "amount"),
            ({"amount_micro": 10**15 + 1}, "amount"),
            ({"bucket": "allowance"}, "bucket"),
            ({"bucket": "held"}, "bucket"),
            ({"reason": " "}, "reason"),
            ({"idempotency_key": ""}, "idempotency_key"),
            ({"idempotency_key": "k" * 201}, "idempotency_key"),
            ({"bucket": "promotional", "expires_at": NOON}, "expires_at"),
            ({"expires_at": NOON + DAY}, "expires_at"),
        ],
    )
    def test_bad_grants_name_the_field_and_move_nothing(self, organization, changes, param):
        fields = {
            "amount_micro": CREDIT,
            "bucket": "purchased",
            "idempotency_key": "k",
            "reason": "r",
            "at": NOON,
        }
        with pytest.raises(ApiError) as caught:
            ledger.grant(organization.pk, **{**fields, **changes})
        assert (caught.value.code, caught.value.param) == ("invalid_value", param)
        assert not Transaction.objects.exists()
        assert not Account.objects.filter(kind="promotional").exists()

    def test_a_persons_grant_is_audited(self, organization):
        admin = User.objects.create(email="admin@example.com")
        fields = {"bucket": "purchased", "idempotency_key": "k", "reason": "goodwill", "actor": admin}
        posted = ledger.grant(organization.pk, CREDIT, **fields)
        ledger.grant(organization.pk, CREDIT, **fields)
        assert posted.actor == admin
        entry = AuditEntry.objects.get(action="credits.grant")
        assert (entry.actor, entry.reason, entry.organization) == (admin, "goodwill", organization)
        assert entry.before == {"available_micro": 0}
        assert entry.after == {"available_micro": CREDIT, "bucket": "purchased", "transaction": posted.pk}


def resolve(organization, hold: Hold, amount: int | None, at=NOON) -> Transaction | None:
    """Capture so much with its usage event and charge; None releases."""
    with transaction.atomic():
        books = ledger.open_books(organization.pk)
        if amount is None:
            return ledger.release(books, hold, reason="test", at=at)
        usage = UsageEvent.objects.create(
            organization=organization,
            hold=hold,
            subject=hold.subject,
            operation="clip",
            model="m",
            outcome="delivered",
            units_micro=1,
            quantity=1,
            reason_code="test",
            at=at,
        )
        charge = Charge.objects.create(
            organization=organization,
            usage_event=usage,
            price_version=hold.decision.price_version,
            quoted=hold.amount,
            amount=amount,
            reason_code="test",
            at=at,
        )
        return ledger.capture(books, hold, amount, charge=charge, reason="test", at=at)


class TestHolds:
    @pytest.fixture
    def hold(self, organization, decide) -> Hold:
        """15 credits of allowance, 2 promotional and 1 purchased; 9 purchased ones stay."""
        buy(organization, 10)
        promote(organization, 2, NOON + 3 * DAY)
        return decide(60).hold

    def test_a_capture_in_part_takes_in_the_order_held_and_releases_the_rest(self, organization, hold):
        posted = resolve(organization, hold, 16 * CREDIT)
        assert entries(posted) == [
            ("held", True, -18 * CREDIT),
            ("promotional", True, 1 * CREDIT),
            ("purchased", True, 1 * CREDIT),
            ("revenue", False, 16 * CREDIT),
        ]
        hold.refresh_from_db()
        assert (hold.state, hold.captured, hold.resolved_at) == ("captured", 16 * CREDIT, NOON)
        assert (posted.available_after, posted.held_after) == (11 * CREDIT, 0)
        assert stored(organization) == {
            "purchased": 10 * CREDIT,
            "promotional": CREDIT,
            "allowance": 0,
            "held": 0,
        }

    def test_a_whole_capture(self, organization, hold):
        posted = resolve(organization, hold, 18 * CREDIT)
        assert entries(posted) == [("held", True, -18 * CREDIT), ("revenue", False, 18 * CREDIT)]

    def test_a_release_gives_everything_back(self, organization, hold):
        posted = resolve(organization, hold, None)
        hold.refresh_from_db()
        assert (hold.state, hold.captured) == ("released", 0)
        assert posted.kind == "release"
        assert stored(organization) == {
            "purchased": 10 * CREDIT,
            "promotional": 2 * CREDIT,
            "allowance": 15 * CREDIT,
            "held": 0,
        }

    @pytest.mark.parametrize("second", [None, 0, 1, 18 * CREDIT])
    def test_a_hold_resolves_once(self, organization, hold, second):
        resolve(organization, hold, None)
        before = stored(organization)
        with pytest.raises(ledger.HoldResolved):
            resolve(organization, hold, second)
        assert stored(organization) == before

    @pytest.mark.parametrize("amount", [-1, 18 * CREDIT + 1])
    def test_more_than_was_held_is_never_captured(self, organization, hold, amount):
        with transaction.atomic(), pytest.raises(ValueError, match="can't be captured"):
            ledger.capture(
                ledger.open_books(organization.pk), hold, amount, charge=None, reason="test", at=NOON
            )
        assert stored(organization)["held"] == 18 * CREDIT

    def test_another_organizations_books_do_not_resolve_it(self, organization, hold):
        with pytest.raises(ledger.HoldResolved):
            resolve(new_organization(), hold, None)
        assert stored(organization)["held"] == 18 * CREDIT

    def test_a_promotion_that_ran_out_meanwhile_does_not_come_back(self, organization, hold):
        resolve(organization, hold, 15 * CREDIT, at=NOON + 4 * DAY)
        assert stored(organization)["promotional"] == 0
        late = Transaction.objects.get(kind="expiry")
        assert entries(late) == [("grants", False, 2 * CREDIT), ("promotional", True, -2 * CREDIT)]
        assert late.available_after == 10 * CREDIT


class TestAllowance:
    def wallet(self, organization) -> tuple:
        wallet = Wallet.objects.get(pk=organization.pk)
        return wallet.allowance_day.day, wallet.allowance_day_granted, wallet.allowance_month_spent

    def test_first_use_of_a_day_grants_and_the_next_day_expires_the_rest(self, organization, decide):
        decide(20)
        assert stored(organization)["allowance"] == 9 * CREDIT
        assert self.wallet(organization) == (21, 15 * CREDIT, 0)
        decide(1, now=NOON + DAY)
        kinds = list(Transaction.objects.order_by("pk").values_list("kind", "reason"))
        assert kinds == [
            ("allowance", "Allowance of 2026-11-21"),
            ("hold", "Set aside for pocket-video"),
            ("expiry", "Rest of the allowance of 2026-11-21"),
            ("allowance", "Allowance of 2026-11-22"),
            ("hold", "Set aside for pocket-video"),
        ]
        assert stored(organization)["allowance"] == 14.7 * CREDIT
        assert self.wallet(organization) == (22, 15 * CREDIT, 6 * CREDIT)

    def test_the_month_is_counted_by_what_was_spent(self, organization, decide, terms):
        terms.allowance_month_micro = 60 * UNIT  # 18 credits
        decide(40)  # 12 credits
        decide(1, now=NOON + DAY)
        assert self.wallet(organization) == (22, 6 * CREDIT, 12 * CREDIT)
        december = NOON.replace(month=12, day=1)
        decide(1, now=december)
        assert self.wallet(organization) == (1, 15 * CREDIT, 0)

    def test_what_comes_back_the_same_day_can_be_spent_again(self, organization, decide):
        resolve(organization, decide(50).hold, None)
        assert stored(organization)["allowance"] == 15 * CREDIT
        assert decide(50).allowed

    def test_what_comes_back_on_a_later_day_returns_to_the_month_alone(self, organization, decide, terms):
        terms.allowance_month_micro = 60 * UNIT
        late = decide(40).hold
        decide(20, now=NOON + DAY)  # all 6 credits that the month has left
        assert stored(organization)["allowance"] == 0
        resolve(organization, late, None, at=NOON + DAY)
        assert stored(organization)["allowance"] == 0
        assert self.wallet(organization) == (22, 6 * CREDIT, 0)
        # The month has 12 credits left again, of which today, at 15 a day, may have 9 more.
        decide(10, now=NOON + DAY)
        assert self.wallet(organization) == (22, 15 * CREDIT, 0)
        assert stored(organization)["allowance"] == 6 * CREDIT

    def test_a_capture_in_part_on_a_later_day(self, organization, decide):
        late = decide(40).hold
        decide(1, now=NOON + DAY)
        resolve(organization, late, 2 * CREDIT, at=NOON + DAY)
        assert self.wallet(organization) == (22, 15 * CREDIT, 2 * CREDIT)
        assert stored(organization)["allowance"] == 14.7 * CREDIT

    def test_back_on_a_later_day_before_any_use_expires_at_the_roll(self, organization, decide):
        late = decide(40).hold
        resolve(organization, late, None, at=NOON + DAY)
        assert (
            stored(organization)["allowance"] == 15 * CREDIT
        )  # of yesterday, and it expires before anything is used
        decide(1, now=NOON + DAY)
        assert self.wallet(organization) == (22, 15 * CREDIT, 0)
        assert stored(organization)["allowance"] == 14.7 * CREDIT


def test_a_wallet_opens_once_with_its_accounts(organization):
    wallet = ledger.wallet_for(organization.pk)
    assert ledger.wallet_for(organization.pk) == wallet
    kinds = Account.objects.filter(organization=organization).values_list("kind", "balance")
    assert sorted(kinds) == [("allowance", 0), ("held", 0), ("purchased", 0)]
