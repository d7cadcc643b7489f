"""Runbooks inside other pages: `{% runbook slug scope incident %}` shows an alarm's, with its actions in place."""

from django import template
from django.utils import timezone

from accounts.errors import ApiError
from console.runbooks import panels
from console.runbooks.books.catalog import BY_SLUG

register = template.Library()


@register.inclusion_tag("console/runbooks/parts/runbook.html", takes_context=True)
def runbook(context: dict, slug: str, scope: str = "", incident: int | None = None) -> dict:
    """The runbook of the alarm `slug`; empty where there is none. The open step stands in the page's own address
    (`?do=<step>`), and applying it comes back to this page."""
    request = context["request"]
    parts = {"request": request, "csrf_token": context.get("csrf_token"), "back": request.path}
    if slug not in BY_SLUG:
        return parts
    where = {"scope": scope, "incident": incident}
    try:
        found = panels.shown(request.user, BY_SLUG[slug], request.GET, timezone.now(), **where)
    except ApiError:  # the address names a step of something else on this page
        found = panels.closed(request.user, BY_SLUG[slug], **where)
    return {**parts, "runbook": found, "here": request.path}
