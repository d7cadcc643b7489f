"""The statement: what there is to spend, every line of how it came to that, and the chain behind each line."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller
from accounts.models import ApiKey, Membership
from billing import exports, pricing, promotions, refusals, spans, statement, statement_chain
from billing.payments.outcomes import dollars

LINES = 50
GROUPS = {
    "": "Everything",
    "charges": "Charged",
    "uncharged": "Not charged",
    "added": "Credits in",
    "removed": "Credits out",
    "held": "Set aside",
}


@require_GET
@member("read")
def lines(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Balances by bucket, and the lines with their running balance; `before` is a line's number."""
    organization_id, only, before = caller.organization.pk, _filter(request), _before(request)
    found = statement.lines(organization_id, LINES + 1, before, only)
    page = {
        "balances": statement.balances(organization_id),
        "lines": found[:LINES],
        "older": found[LINES - 1].id if len(found) > LINES else None,
        "paged": before is not None,
        "only": only,
        "filtered": bool(only),
        "groups": GROUPS.items(),
        "narrowed": _narrowed(request, organization_id, only),
        "until": request.GET.get("to", ""),
    }
    return render(request, "billing/statement.html", page)


@require_GET
@member("read")
def line(request: HttpRequest, caller: Caller, line_id: int) -> HttpResponse:
    """One line opened up: job, decision, price version, usage event, charge, entries, and why."""
    found = statement_chain.chain(caller.organization.pk, line_id)
    paid = found.payment
    money = dollars(paid.amount_cents, paid.currency) if paid else ""
    return render(
        request, "billing/statement_line.html", {"chain": found, "line": found.line, "money": money}
    )


@require_GET
@member("read")
def charge(request: HttpRequest, caller: Caller, charge_id: int) -> HttpResponse:
    """The line of a charge; work whose price is nothing has none, and then it is the statement itself."""
    if not statement.has_charge(caller.organization.pk, charge_id):
        raise ApiError("not_found", "There is no such charge in this organization.")
    line_id = statement.line_of_charge(caller.organization.pk, charge_id)
    return redirect("statement_line", line_id) if line_id else redirect("statement")


@require_GET
@member("read")
def csv(request: HttpRequest, caller: Caller) -> StreamingHttpResponse:
    """All lines that the filter lets through, streamed."""
    return exports.statement_csv(caller.organization.pk, caller.organization.slug, _filter(request))


@require_GET
@member("read")
def refused(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Requests that were refused, which cost nothing; each leads to its decision."""
    found, older = refusals.newest(caller.organization.pk, _decision_before(request))
    page = {"refused": found, "older": older, "paged": "before" in request.GET, "groups": GROUPS.items()}
    return render(request, "billing/refusals.html", page)


@require_POST
@member("billing")
def redeem(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Use a promotion code; what it brought, or why not, is said on the statement."""
    try:
        redemption = promotions.redeem(caller, request.POST.get("code", ""), timezone.now())
    except ApiError as error:
        messages.error(request, error.message)
    else:
        code = redemption.promotion
        brought = pricing.in_credits(code.credits_micro)
        messages.success(
            request,
            f"{code.code} brought {brought} promotional credits. They are spent before purchased ones.",
        )
    return redirect("statement")


def _filter(request: HttpRequest) -> statement.Filter:
    given = request.GET
    if given.get("show", "") not in GROUPS:
        raise ApiError("invalid_value", f"`show` is one of {', '.join(statement.GROUPS)}.", param="show")
    return statement.Filter(
        group=given.get("show", ""),
        since=spans.moment(given["from"], "from") if given.get("from") else None,
        until=spans.moment(given["to"], "to", end=True) if given.get("to") else None,
        model=given.get("model", "")[:100],
        api_key_id=_number(given.get("key", ""), "key"),
        user_id=_number(given.get("member", ""), "member"),
    )


def _narrowed(request: HttpRequest, organization_id: int, only: statement.Filter) -> list[tuple[str, str]]:
    """What the address narrows the lines to beside group and days: (parameter, words), each with a way to drop it."""
    narrowed = [("model", f"model {only.model}")] if only.model else []
    if only.api_key_id is not None:
        key = ApiKey.objects.filter(organization=organization_id, pk=only.api_key_id).first()
        narrowed.append(("key", f"key {key.name}" if key else "a key that isn't yours"))
    if only.user_id is not None:
        mine = Membership.objects.filter(organization=organization_id, user=only.user_id)
        who = mine.select_related("user").first()
        narrowed.append(("member", f"member {who.user.get_short_name()}" if who else "a former member"))
    return narrowed


def _before(request: HttpRequest) -> int | None:
    return _number(request.GET.get("before", ""), "before")


def _decision_before(request: HttpRequest) -> UUID | None:
    value = request.GET.get("before")
    try:
        return UUID(value) if value else None
    except ValueError:
        raise ApiError("invalid_value", "`before` is no decision's id.", param="before") from None


def _number(value: str, param: str) -> int | None:
    if not value:
        return None
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        raise ApiError("invalid_value", f"`{param}` is a number.", param=param)
    return int(value)
