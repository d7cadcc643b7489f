"""May this request go ahead, and what pays for it: the waterfall, taken with the hold under the lock on the wallet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts import batch, tiers
from accounts.models import TierTerms
from billing import (
    allowance,
    budgets,
    decisions,
    ledger,
    notices,
    pricing,
    snapshots,
    waterfall,
)
from billing.books import Books, preview
from billing.models import Account, Decision, Notice, Operation, PriceVersion
from billing.snapshots import Opened

refusal, find_decision = decisions.refusal, decisions.find


@dataclass(frozen=True)
class AccessRequest:
    """What is asked for. `operation` is "clip" or "code"; `subject` names the work for good, such as "job:<id>"."""

    organization_id: int
    user_id: int | None
    api_key_id: int | None
    operation: str
    subject: str
    units_micro: int
    model: str

    def asked_at(self, now: datetime) -> snapshots.Asked:
        who = (self.organization_id, self.user_id, self.api_key_id)
        return snapshots.Asked(*who, self.operation, self.subject, now)


@dataclass(frozen=True)
class Quote:
    """What a request would cost and whether it would be allowed now. Nothing is held and nothing is stored."""

    amount_micro: int
    units_micro: int
    price_version: PriceVersion
    verdict: waterfall.Verdict
    available_micro: int

    @property
    def allowed(self) -> bool:
        return self.verdict.allowed

    @property
    def message(self) -> str:
        """What it would cost and from where, or why it would be refused and what would be allowed."""
        if not self.allowed:
            return f"{self.verdict.message} What would be allowed: {self.verdict.would_allow}"
        if not self.verdict.takes:
            return "It costs nothing."
        sources = waterfall.sources_in_words(self.verdict.takes)
        return f"At most {pricing.in_credits(self.amount_micro)} credits: {sources}."


def nothing_else(decision: Decision) -> Sequence[batch.Statement]:
    """Of a decision whose caller writes nothing with the hold."""
    return ()


@dataclass(frozen=True)
class Question:
    """A request with what `decide_and_hold` is told of it."""

    request: AccessRequest
    terms: TierTerms
    now: datetime
    top_up_tried: bool = False
    with_hold: Callable[[Decision], Sequence[batch.Statement]] = nothing_else

    def asked(self) -> snapshots.Asked:
        return self.request.asked_at(self.now)


def quote(
    organization_id: int,
    units_micro: int,
    now: datetime,
    *,
    operation: str,
    terms: TierTerms | None = None,
    user_id: int | None = None,
    api_key_id: int | None = None,
) -> Quote:
    """The most that a request of so many units costs (the charge never exceeds it). Reads only, without a lock.

    `terms` are looked up when the caller hasn't them. With `user_id` and `api_key_id` their budgets count too. Raises
    `NoPrice` and `NoTerms` where there are none.
    """
    terms = terms or tiers.terms_for(organization_id, now)
    looked = snapshots.look(snapshots.Asked(organization_id, user_id, api_key_id, operation, "", now))
    price, caps = _price_and_caps(looked, operation, terms)
    books = preview(looked.books, caps, now, looked.facts.overage_limit or 0)
    asked = waterfall.Request(units_micro, pricing.amount_micro(units_micro, price.micro_per_unit))
    verdict = waterfall.decide(snapshots.snapshot(looked, terms, caps, now, api_key_id), asked)
    return Quote(asked.amount, units_micro, price, verdict, books.available)


def decide_and_hold(
    request: AccessRequest,
    terms: TierTerms,
    now: datetime,
    *,
    top_up_tried: bool = False,
    with_hold: Callable[[Decision], Sequence[batch.Statement]] = nothing_else,
) -> Decision:
    """One definitive decision, stored, with its hold when it is allowed; inside the caller's database transaction.

    A refused decision (`decision.allowed` is False) took nothing; the caller lets its transaction commit, so that the
    decision can be read, and only then raises `refusal(decision)`. Where `decision.top_up_helps`, it first asks for an
    automatic top-up, outside of any transaction, and decides again with `top_up_tried`. The same subject again returns
    the decision that holds for it; with other contents it raises `ApiError` idempotency_key_reused. What `with_hold`
    answers for an allowed decision, with its hold, is written in the same round trip as the hold.
    """
    return decide_each([Question(request, terms, now, top_up_tried, with_hold)])[0]


def decide_each(questions: Sequence[Question]) -> list[Decision]:
    """As `decide_and_hold` for several requests of one organization, under one lock: each is decided upon what those
    before it left, and all are written in one round trip."""
    pairs = list(
        zip(questions, snapshots.open_for([question.asked() for question in questions]), strict=True)
    )
    _roll([pair for pair in pairs if pair[1].facts.held_before is None])
    group = _Group()
    made = [group.decide(*pair) for pair in pairs]
    group.write()
    return made


def _roll(pairs: Sequence[tuple[Question, Opened]]) -> None:
    """Post what is due before any of these; the books are the same for all."""
    if not pairs:
        return
    question, opened = max(pairs, key=lambda pair: pair[0].now)
    _, caps = _price_and_caps(opened, question.request.operation, question.terms)
    ledger.roll(opened.books, caps, at=question.now, overage_limit=opened.facts.overage_limit or 0)


@transaction.atomic
def turn_away(
    request: AccessRequest,
    terms: TierTerms,
    now: datetime,
    *,
    layer: str,
    refusal: waterfall.Refusal,
    cause: str,
) -> Decision:
    """Store why a request is refused before any limit is looked at; `layer` is what refused it.

    Nothing is locked, held or taken, not even from the rate. Of one `cause` an organization's and key's first refusal
    of a minute is stored; the rest of that minute's only count and are explained by that one, which is returned.
    """
    looked = snapshots.look(request.asked_at(now))
    price, caps = _price_and_caps(looked, request.operation, terms)
    books = preview(looked.books, caps, now, looked.facts.overage_limit or 0)
    asked = waterfall.Request(
        request.units_micro, pricing.amount_micro(request.units_micro, price.micro_per_unit)
    )
    verdict = waterfall.turn_away(
        snapshots.snapshot(looked, terms, caps, now, request.api_key_id), asked, layer, refusal
    )
    decision = _decision(
        request, terms, price, asked, verdict, snapshots.remaining(books, verdict, asked), now
    )
    (((first,),),) = batch.run([decisions.counted_refusal(decision, cause)])
    if first == decision.pk:
        batch.run([decisions.insertion(decision)])
    decision.pk, decision._state.adding = first, False
    return decision


def allowance_caps(terms: TierTerms, price: PriceVersion) -> allowance.Caps:
    """A tier's allowance in micro-credits. Terms without one (by contract) include nothing here."""
    day, month = terms.allowance_day_micro, terms.allowance_month_micro
    if day is None or month is None:
        return allowance.Caps(0, 0)
    return allowance.Caps(
        pricing.amount_micro(day, price.micro_per_unit), pricing.amount_micro(month, price.micro_per_unit)
    )


def _price_and_caps(opened: Opened, operation: str, terms: TierTerms) -> tuple[PriceVersion, allowance.Caps]:
    return opened.price(operation), allowance_caps(terms, opened.price(Operation.ALLOWANCE))


def _held_before(request: AccessRequest, decision_id: UUID) -> Decision:
    first = Decision.objects.select_related("price_version", "hold_taken").get(pk=decision_id)
    asked = (request.operation, request.units_micro, request.model)
    if (first.operation, first.units_micro, first.model) != asked:
        raise ledger.reused(request.subject)
    return first


class _Group:
    """Decisions under one lock: what they took so far, what they will write, and what is told once it is written."""

    def __init__(self) -> None:
        self._taken = snapshots.Taken()
        self._statements: list[batch.Statement] = []
        self._keeping: list[batch.Statement] = []
        self._written: list[Callable[[list[list[tuple]]], None]] = []

    def decide(self, question: Question, opened: Opened) -> Decision:
        request, terms, now = question.request, question.terms, question.now
        if opened.facts.held_before is not None:
            return _held_before(request, opened.facts.held_before)
        opened = opened.after(self._taken)
        price, caps = _price_and_caps(opened, request.operation, terms)
        asked = waterfall.Request(
            request.units_micro, pricing.amount_micro(request.units_micro, price.micro_per_unit)
        )
        snapshot = snapshots.snapshot(opened, terms, caps, now, request.api_key_id)
        if question.top_up_tried:
            snapshot = replace(snapshot, top_up_micro=None)
        verdict = waterfall.decide(snapshot, asked)
        remaining = snapshots.remaining(opened.books, verdict, asked)
        decision = _decision(request, terms, price, asked, verdict, remaining, now)
        if verdict.allowed:
            self._allow(opened, decision, verdict, question)
        else:
            self._refuse(opened, decision, verdict, now)
        return decision

    def write(self) -> None:
        """One round trip. The wallet's own row is written once, as the last decision left it."""
        statements = self._statements + self._keeping
        found = batch.run(statements) if statements else []
        for written in self._written:
            written(found)

    def _allow(
        self, opened: Opened, decision: Decision, verdict: waterfall.Verdict, question: Question
    ) -> None:
        books, facts, now = opened.books, opened.facts, question.now
        credits_before = _own_credits(books)
        hold, writing = ledger.hold(books, verdict.takes, decision=decision, at=now, number=facts.hold_number)
        decision.hold_taken = hold
        threshold = books.wallet.low_balance_micro
        threshold = facts.low_balance_micro if threshold is None else threshold
        left = _own_credits(books)
        low = not books.wallet.low_balance_told and left < threshold <= credits_before
        books.wallet.low_balance_told = books.wallet.low_balance_told or low
        self._keeping = [
            snapshots.keep(books.wallet, verdict.rate_tat, decision.api_key_id, verdict.key_tat, now)
        ]
        place = len(self._statements) + 1
        counting = budgets.count(opened.budgets, decision.quote_micro, now)
        self._statements += [
            decisions.insertion(decision),
            *writing,
            *counting,
            *question.with_hold(decision),
        ]
        self._taken.hold(opened, decision.units_micro, decision.quote_micro)

        def written(found: list[list[tuple]]) -> None:
            ((_, hold.expires_at),) = found[place]
            decision._state.adding = hold._state.adding = False
            budgets.tell(decision.organization_id, opened.budgets, decision.quote_micro, now)
            if low:
                _tell_low(decision, left, threshold)

        self._written.append(written)

    def _refuse(self, opened: Opened, decision: Decision, verdict: waterfall.Verdict, now: datetime) -> None:
        """Store why. A rate's refusals after a minute's first only count, and are explained by that one."""
        decision.top_up_helps = verdict.top_up_helps
        if decision.code == "rate_limit_exceeded":
            minute = (decision.api_key_id, now.replace(second=0, microsecond=0))
            first = opened.facts.refused_this_minute or self._taken.refused.get(minute)
            decision.pk = first or decision.pk
            self._taken.refused[minute] = decision.pk
            self._statements += [] if first else [decisions.insertion(decision)]
            self._statements.append(decisions.counted_refusal(decision))
        else:
            self._statements.append(decisions.insertion(decision))

        def written(_: list[list[tuple]]) -> None:
            decision._state.adding = False
            if decision.code == "budget_exceeded":
                budgets.tell_refused(decision.organization_id, opened.budgets, decision.quote_micro, now)

        self._written.append(written)


def _own_credits(books: Books) -> int:
    """What the customer bought or was given: what a low balance is about. An allowance comes back by itself."""
    return sum(
        a.balance for a in books.buckets() if a.kind in (Account.Kind.PURCHASED, Account.Kind.PROMOTIONAL)
    )


def _tell_low(decision: Decision, left: int, threshold: int) -> None:
    notices.tell(
        decision.organization_id,
        Notice.Kind.LOW_BALANCE,
        f"low:{decision.pk}",
        f"{pricing.in_credits(left)} credits are left, fewer than the {pricing.in_credits(threshold)} from which you "
        "want to be told.",
        link="/credits/",
        detail={"left_micro": left, "threshold_micro": threshold},
    )


def _decision(
    request: AccessRequest,
    terms: TierTerms,
    price: PriceVersion,
    asked: waterfall.Request,
    verdict: waterfall.Verdict,
    remaining: dict[str, int],
    now: datetime,
) -> Decision:
    return Decision(
        organization_id=request.organization_id,
        user_id=request.user_id,
        api_key_id=request.api_key_id,
        operation=request.operation,
        subject=request.subject,
        model=request.model,
        units_micro=asked.units_micro,
        quote_micro=asked.amount,
        price_version=price,
        terms=terms,
        rules_version=waterfall.VERSION,
        allowed=verdict.allowed,
        code=verdict.code,
        message=verdict.message,
        would_allow=verdict.would_allow,
        layers=verdict.layer_rows(),
        remaining=remaining,
        retry_after_s=verdict.retry_after_s,
        at=now,
    )
