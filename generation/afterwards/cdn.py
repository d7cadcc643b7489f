"""What caches in front of this installation is told to forget addresses, after the transaction that took a file back.

Our own links answer no more from that moment on, whatever happens here: each use of one looks at the rows. The setting
CDN_PURGE is an http(s) address, which gets `{"urls": [...]}` as JSON, or the dotted path of a function that takes the
list. A purge that fails is repeated by the outbox, twelve times over some hours, and then parked with an event.
"""

import json
import secrets
import urllib.request
from collections.abc import Callable, Sequence

from django.conf import settings
from django.utils.module_loading import import_string

from accounts import outbox
from accounts.models import OutboxEvent

TOPIC = "cdn.purge"
PATIENCE_S = 5.0


def purge(urls: Sequence[str], key: str = "") -> bool:
    """Ask for addresses to be forgotten, in the caller's transaction. The same `key` asks once.

    Paths become addresses of SITE_URL where it is set. False where there is no CDN, or the key was used before.
    """
    if not settings.CDN_PURGE or not urls:
        return False
    whole = [settings.SITE_URL + url if url.startswith("/") else url for url in urls]
    return outbox.emit(TOPIC, key or secrets.token_hex(16), {"urls": whole})


def tell(event: OutboxEvent) -> None:
    """The outbox's handler. Raises NotDelivered where the CDN did not take it; it is asked again."""
    urls = event.payload["urls"]
    try:
        _hook()(urls)
    except (ImportError, OSError, ValueError) as problem:
        raise outbox.NotDelivered(f"{type(problem).__name__}: {problem}") from problem


def _hook() -> Callable[[list[str]], object]:
    if settings.CDN_PURGE.startswith(("http://", "https://")):
        return _post
    return import_string(settings.CDN_PURGE)


def _post(urls: list[str]) -> None:
    """Raises OSError (HTTPError is one) for everything but a 2xx."""
    request = urllib.request.Request(
        settings.CDN_PURGE,
        data=json.dumps({"urls": urls}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S):
        return
