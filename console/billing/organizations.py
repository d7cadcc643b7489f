"""Organizations for billing admins: finding one, and everything about its money on a page."""

from django.core.paginator import Paginator
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import Approval, AuditEntry, Organization, StaffRole, User
from billing import origins, statement
from billing.actions.adjustments import AdjustCredits
from billing.models import (
    Account,
    Adjustment,
    Charge,
    Decision,
    Hold,
    Invoice,
    OverageContract,
    Payment,
    Redemption,
    SlaCredit,
)
from console.billing import search

ADMIN = StaffRole.Role.BILLING_ADMIN
PER_PAGE, RECENT, LINES, CHANGES = 50, 8, 12, 10


@require_GET
@staff(ADMIN)
def find(request: HttpRequest, person: User) -> HttpResponse:
    """`?q=` is a name, a slug, an address, or the id of a job, decision, payment or key."""
    wanted = request.GET.get("q", "").strip()[:200]
    rows = search.organizations(wanted, timezone.now())
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    balances = _balances([one.pk for one in page.object_list])
    shown = {
        "wanted": wanted,
        "hits": search.by_id(wanted),
        "page": page,
        "rows": [(one, balances.get(one.pk, {})) for one in page.object_list],
    }
    return render(request, "console/billing/organizations.html", shown)


@require_GET
@staff(ADMIN)
def organization(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    """Wallet by bucket, what happened last of every kind, and the ways to change it."""
    found = get_object_or_404(search.organizations("", timezone.now()), slug=slug)
    page = {
        "organization": found,
        "balances": statement.balances(found.pk),
        "origins": origins.of_purchased(found.pk),
        "lines": statement.lines(found.pk, LINES),
        "members": found.memberships.select_related("user").order_by("created_at", "id")[:RECENT],
        **_work(found),
        **_money(found),
        **_staff(found, person),
    }
    return render(request, "console/billing/organization.html", page)


@require_GET
@staff(ADMIN)
def lines(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    """The whole statement of an organization, as its people see it; `before` is a line's number."""
    found = get_object_or_404(Organization, slug=slug)
    before = number(request.GET.get("before", ""), "before")
    lines = statement.lines(found.pk, PER_PAGE + 1, before)
    page = {
        "organization": found,
        "lines": lines[:PER_PAGE],
        "older": lines[PER_PAGE - 1].id if len(lines) > PER_PAGE else None,
        "paged": before is not None,
    }
    return render(request, "console/billing/lines.html", page)


def number(text: str, param: str) -> int | None:
    """A line's number out of an address; None where there is none."""
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ApiError("invalid_value", f"`{param}` is the number of a line.", param=param)
    return int(text)


def _balances(organization_ids: list[int]) -> dict[int, dict[str, int]]:
    """Organization → what lies in it by kind, as stored; one query for all of a page."""
    rows = Account.objects.filter(organization__in=organization_ids).values_list("organization", "kind")
    found: dict[int, dict[str, int]] = {}
    for organization_id, kind, total in rows.annotate(total=Sum("balance")):
        found.setdefault(organization_id, {})[kind] = int(total)
    return found


def _work(found: Organization) -> dict:
    """The last decisions and charges, and the holds that are open; three queries."""
    decisions = Decision.objects.filter(organization=found).select_related("user", "api_key")
    charges = Charge.objects.filter(organization=found).select_related("usage_event", "price_version")
    holds = Hold.objects.filter(organization=found, state=Hold.State.OPEN)
    return {
        "decisions": decisions.order_by("-at")[:RECENT],
        "charges": charges.order_by("-pk")[:RECENT],
        "holds": holds.select_related("decision").order_by("held_at")[:RECENT],
    }


def _money(found: Organization) -> dict:
    """Payments with their refunds, invoices, the contract, codes and credits for late clips; seven queries."""
    payments = Payment.objects.filter(organization=found).select_related("pack").prefetch_related("refunds")
    redeemed = Redemption.objects.filter(organization=found).select_related("promotion", "user")
    late = SlaCredit.objects.filter(organization=found).select_related("usage_event", "target")
    contracts = OverageContract.objects.filter(organization=found, effective_from__lte=timezone.now())
    return {
        "payments": payments.order_by("-created_at")[:RECENT],
        "redemptions": redeemed.order_by("-at")[:RECENT],
        "sla_credits": late.order_by("-at")[:RECENT],
        "contract": contracts.order_by("-effective_from").first(),
        "invoices": Invoice.objects.filter(organization=found).order_by("-month")[:RECENT],
    }


def _staff(found: Organization, person: User) -> dict:
    """What staff changed here and what waits for a second person; three queries."""
    adjustments = Adjustment.objects.filter(organization=found).select_related("requested_by", "approved_by")
    waiting = Approval.objects.filter(
        organization=found, role=AdjustCredits.role, state=Approval.State.PENDING
    )
    entries = AuditEntry.objects.filter(organization=found).order_by("-at", "-id")
    return {
        "adjustments": adjustments.order_by("-pk")[:RECENT],
        "waiting": waiting.select_related("requested_by").order_by("id")[:RECENT],
        "entries": entries[:CHANGES],
        "person": person,
    }
