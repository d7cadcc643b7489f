"""`/search`: a page by itself, and the list inside the palette that Ctrl+K opens over any other page."""

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts import second_factor
from console.frame import Frame
from console.palette import entries, finding
from console.palette.entries import Group

MOST_TYPED = 200


@require_GET
def search(request: HttpRequest) -> HttpResponseBase:
    """What was found for `q`, or everything one can begin with; `part=1` for the list alone."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    frame, typed = Frame(request), request.GET.get("q", "")[:MOST_TYPED].strip()
    roles = second_factor.usable_roles(request)
    groups = [
        Group("Found", finding.found(frame, roles, typed) if typed else []),
        Group("Go to", entries.matching(entries.places(frame), typed)),
        Group("Do", entries.matching(entries.actions(frame, roles), typed)),
        Group("Recent", finding.recent(frame) if not typed else []),
    ]
    page = {"typed": typed, "groups": [group for group in groups if group.entries], "frame": frame}
    template = "console/parts/palette_list.html" if request.GET.get("part") else "console/search.html"
    return render(request, template, page)
