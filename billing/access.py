"""May this request go ahead, and what pays for it: the waterfall, taken with the hold under the lock on the wallet."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Sum

from accounts import tiers
from accounts.errors import ApiError
from accounts.models import TierTerms
from billing import allowance, ledger, prices, pricing, waterfall
from billing.books import Books, open_books, preview_books
from billing.models import Account, Decision, Hold, Operation, PriceVersion

_LAYER_OF = {
    Account.Kind.ALLOWANCE: waterfall.ALLOWANCE,
    Account.Kind.PROMOTIONAL: waterfall.PROMOTIONAL,
    Account.Kind.PURCHASED: waterfall.PURCHASED,
}


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


def quote(
    organization_id: int, units_micro: int, now: datetime, *, operation: str, terms: TierTerms | None = None
) -> Quote:
    """The most that a request of so many units costs (the charge never exceeds it). Reads only, without a lock.

    `terms` are looked up when the caller hasn't them. Raises `NoPrice` and `NoTerms` where there are none.
    """
    terms = terms or tiers.terms_for(organization_id, now)
    price, caps = _price_and_caps(operation, terms, now)
    books = preview_books(organization_id, caps, now)
    asked = waterfall.Request(units_micro, pricing.amount_micro(units_micro, price.micro_per_unit))
    verdict = waterfall.decide(_snapshot(books, terms, caps, now), asked)
    return Quote(asked.amount, units_micro, price, verdict, books.available)


def decide_and_hold(request: AccessRequest, terms: TierTerms, now: datetime) -> Decision:
    """One definitive decision, stored, with its hold when it is allowed; inside the caller's database transaction.

    A refused decision (`decision.allowed` is False) took nothing; the caller lets its transaction commit, so that the
    decision can be read, and only then raises `refusal(decision)`. The same subject again returns the decision that
    holds for it; with other contents it raises `ApiError` idempotency_key_reused.
    """
    books = open_books(request.organization_id)
    if earlier := _held_before(request):
        return earlier
    price, caps = _price_and_caps(request.operation, terms, now)
    ledger.roll(books, caps, at=now)
    asked = waterfall.Request(
        request.units_micro, pricing.amount_micro(request.units_micro, price.micro_per_unit)
    )
    verdict = waterfall.decide(_snapshot(books, terms, caps, now), asked)
    decision = _store(request, terms, price, asked, verdict, _remaining(books, verdict, asked), now)
    if verdict.allowed:
        decision.hold_taken = ledger.hold(books, verdict.takes, decision=decision, at=now)
        books.wallet.rate_tat = verdict.rate_tat
        books.wallet.save(update_fields=["rate_tat"])
    return decision


def refusal(decision: Decision) -> ApiError:
    """The error of a refused decision: what refused, what would have allowed it, and when to come back."""
    headers = {}
    if decision.code == "rate_limit_exceeded":
        rate = decision.layers[0]
        headers = {
            "x-ratelimit-limit-requests": str(rate["limit"]),
            "x-ratelimit-remaining-requests": str(rate["remaining"]),
            "x-ratelimit-reset-requests": f"{decision.retry_after_s:.3f}s",
        }
    return ApiError(
        decision.code,
        f"{decision.message} What would be allowed: {decision.would_allow}",
        decision_id=str(decision.pk),
        retry_after_s=decision.retry_after_s,
        headers=headers,
    )


def find_decision(organization_id: int, decision_id: str | UUID) -> Decision:
    """One of the organization's decisions with its hold, usage, charge and price, in one query.

    Raises `ApiError` not_found; another organization's decision is simply not found.
    """
    try:
        wanted = UUID(str(decision_id))
    except ValueError:
        wanted = None
    related = ("price_version", "terms", "hold_taken__usage_event__charge", "user", "api_key")
    found = (
        Decision.objects.select_related(*related).filter(organization_id=organization_id, pk=wanted).first()
    )
    if found is None:
        raise ApiError("not_found", "There is no such decision in this organization.", param="id")
    return found


def allowance_caps(terms: TierTerms, price: PriceVersion) -> allowance.Caps:
    """A tier's allowance in micro-credits. Terms without one (by contract) include nothing here."""
    day, month = terms.allowance_day_micro, terms.allowance_month_micro
    if day is None or month is None:
        return allowance.Caps(0, 0)
    return allowance.Caps(
        pricing.amount_micro(day, price.micro_per_unit), pricing.amount_micro(month, price.micro_per_unit)
    )


def _price_and_caps(operation: str, terms: TierTerms, now: datetime) -> tuple[PriceVersion, allowance.Caps]:
    found = prices.in_force([operation, Operation.ALLOWANCE], now)
    return found[operation], allowance_caps(terms, found[Operation.ALLOWANCE])


def _held_before(request: AccessRequest) -> Decision | None:
    held = (
        Hold.objects.filter(organization_id=request.organization_id, subject=request.subject)
        .select_related("decision__price_version")
        .first()
    )
    if held is None:
        return None
    first = held.decision
    asked = (request.operation, request.units_micro, request.model)
    if (first.operation, first.units_micro, first.model) != asked:
        raise ledger.reused(request.subject)
    return first


def _snapshot(books: Books, terms: TierTerms, caps: allowance.Caps, now: datetime) -> waterfall.Snapshot:
    open_holds = Hold.objects.filter(organization_id=books.wallet.pk, state=Hold.State.OPEN)
    in_flight = open_holds.aggregate(jobs=Count("pk"), units=Sum("units_micro", default=0))
    state = books.allowance_state()
    renews_at, renews_to = allowance.next_day(state, caps)
    return waterfall.Snapshot(
        now=now,
        limits=waterfall.Limits(terms.requests_per_minute, terms.max_open, terms.units_in_flight_micro),
        rate_tat=books.wallet.rate_tat,
        open_jobs=in_flight["jobs"],
        units_in_flight_micro=int(in_flight["units"]),
        buckets=tuple(_bucket(account, state.granted) for account in books.buckets()),
        next_allowance_at=renews_at if renews_to else None,
        next_allowance=renews_to,
    )


def _bucket(account: Account, granted_today: int) -> waterfall.Bucket:
    limit = granted_today if account.kind == Account.Kind.ALLOWANCE else None
    return waterfall.Bucket(
        _LAYER_OF[account.kind], account.pk, account.balance, limit, expires_at=account.expires_at
    )


def _remaining(books: Books, verdict: waterfall.Verdict, asked: waterfall.Request) -> dict[str, int]:
    """Micro-credits per bucket, available and held, once the decision is carried out."""
    left = dict.fromkeys(waterfall.ORDER, 0)
    for account in books.buckets():
        left[_LAYER_OF[account.kind]] += account.balance
    for take in verdict.takes:
        left[take.layer] -= take.amount
    held = books.held + (asked.amount if verdict.allowed else 0)
    return {**left, "available": sum(left.values()), "held": held}


def _store(
    request: AccessRequest,
    terms: TierTerms,
    price: PriceVersion,
    asked: waterfall.Request,
    verdict: waterfall.Verdict,
    remaining: dict[str, int],
    now: datetime,
) -> Decision:
    return Decision.objects.create(
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
