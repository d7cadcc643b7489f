"""The URL map as it stands: every address that the resolver knows, ninja's among them."""

import re
from collections.abc import Iterator

from django.urls import URLPattern, get_resolver

# Answered by every view, or refused by it with 405: what a view takes is its own business.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# What stands before a part of the map to say what may follow; it takes nothing of the address itself.
LOOKAHEAD = re.compile(r"\^?\(\?=[^)]*\)")


def routes() -> list[str]:
    """Each address once, as it is written in the URL map."""
    found = (LOOKAHEAD.sub("", route) for route, _ in _walk(get_resolver().url_patterns, ""))
    return list(dict.fromkeys(found))


def _walk(patterns: list, before: str) -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route, pattern
        else:
            yield from _walk(pattern.url_patterns, route)


def filled(route: str, ids: dict[str, object]) -> str:
    """The route with its ids in place; a KeyError names the one that its entry forgot."""
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(ids[found[1]]), route)
