"""Why was I charged, or not: from a job, a decision or a line to the whole chain, for staff."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import Organization, StaffRole, User
from billing import statement_chain, work_chain
from billing.models import Transaction
from generation.models import Job
from generation.pages.addresses import JobAddress

ADMIN = StaffRole.Role.BILLING_ADMIN


@require_GET
@staff(ADMIN)
def job(request: HttpRequest, person: User, job_id: UUID) -> HttpResponse:
    """The chain of any job, also of one that its owner has deleted; prompts stay with their owners."""
    found = _jobs().filter(pk=job_id).first()
    if found is None:
        raise ApiError("not_found", "There is no such job. A refused request has a decision and no job.")
    if found.decision_id is None:
        return _page(request, found, None)
    return _page(request, found, work_chain.of_decision(found.decision_id))


@require_GET
@staff(ADMIN)
def decision(request: HttpRequest, person: User, decision_id: UUID) -> HttpResponse:
    """The same from a decision, which a refused request has as well."""
    chain = work_chain.of_decision(decision_id)
    subject = chain.decision.subject
    try:
        found = _jobs().filter(pk=JobAddress().to_python(subject)).first() if chain.decision.allowed else None
    except ValueError:  # the work was no job
        found = None
    return _page(request, found, chain)


@require_GET
@staff(ADMIN)
def line(request: HttpRequest, person: User, slug: str, line_id: int) -> HttpResponse:
    """One line of a statement with its entries, and the ways to take it back."""
    organization = get_object_or_404(Organization, slug=slug)
    chain = statement_chain.chain(organization.pk, line_id)
    page = {
        "organization": organization,
        "chain": chain,
        "line": chain.line,
        "voidable": _voidable(chain),
    }
    return render(request, "console/billing/line.html", page)


def _jobs():
    return Job.objects.select_related("organization", "model", "lane", "created_by").defer("prompt", "spec")


def _voidable(chain: statement_chain.Chain) -> bool:
    """Whether a void would be taken: of these kinds, and not taken back before."""
    kind = Transaction.Kind
    kinds = (kind.GRANT, kind.PROMOTION, kind.ADJUSTMENT, kind.SLA_CREDIT)
    return chain.line.kind in kinds and chain.reversed_by is None


def _page(request: HttpRequest, found: Job | None, chain: work_chain.WorkChain | None) -> HttpResponse:
    organization = chain.decision.organization if chain else found.organization
    page = {"job": found, "chain": chain, "organization": organization}
    return render(request, "console/billing/work.html", page)
