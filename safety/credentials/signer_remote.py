"""A signer in another process or machine that keeps its key to itself, over HTTP: what a KMS looks like from here.

Named as the callback `safety.credentials.signer_remote.configured`; SIGNING_KMS_URL says where it answers,
SIGNING_KMS_TOKEN is sent as a bearer token. `GET /certificates` answers {"certificates": PEM, "anchors": PEM};
`POST /sign` takes the bytes and answers r and s, 64 bytes. A cloud's own client is a callback of your own of a few
lines: see docs/provenance.md.
"""

import json
import urllib.request
from dataclasses import dataclass
from functools import cached_property

from django.conf import settings

from safety.credentials.signers import SignerUnusable

# Below the budget of signing as a whole; whoever waits longer is told so by its caller anyway.
PATIENCE_S = 0.9
MOST_BYTES = 100_000


@dataclass(frozen=True)
class RemoteSigner:
    """`url` without a slash at its end. Raises OSError where nobody answers, SignerUnusable for nonsense."""

    url: str
    token: str

    @cached_property
    def _chain(self) -> dict[str, str]:
        try:
            answer = json.loads(self._ask("/certificates"))
            return {name: str(answer[name]) for name in ("certificates", "anchors")}
        except (ValueError, KeyError, TypeError) as error:
            raise SignerUnusable(f"{self.url}/certificates answered no chain: {error}") from error

    @property
    def certificates(self) -> str:
        return self._chain["certificates"]

    @property
    def anchors(self) -> str:
        return self._chain["anchors"]

    def sign(self, data: bytes) -> bytes:
        return self._ask("/sign", data)

    def _ask(self, path: str, data: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.read(MOST_BYTES)


def configured() -> RemoteSigner:
    """The one that the settings name. Raises SignerUnusable where they name none, or no http address."""
    url = settings.SIGNING_KMS_URL.rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise SignerUnusable("SIGNING_KMS_URL: set it to the http(s) address of the key service.")
    return RemoteSigner(url, settings.SIGNING_KMS_TOKEN)
