"""Where clips and previews lie, and the short-lived URLs that serve them.

`url` takes the `parameters` that S3-style storages take, so that delivery.py works with either: for those the object
store answers, for this local folder generation/api/media.py does.
"""

from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.core.files.storage import FileSystemStorage
from django.urls import reverse
from django.utils.deconstruct import deconstructible

SALT = "backlot.delivery"


class LinkDead(Exception):
    """The token is forged, damaged or older than DELIVERY_URL_SECONDS."""


@dataclass(frozen=True)
class Grant:
    """What a token allows: one stored file, and the Content-Disposition to send with it."""

    path: str
    disposition: str


def read_token(token: str) -> Grant:
    """The grant inside a token; raises LinkDead."""
    try:
        value = signing.loads(token, salt=SALT, max_age=settings.DELIVERY_URL_SECONDS)
    except signing.BadSignature as error:
        raise LinkDead(str(error)) from error
    return Grant(path=value["p"], disposition=value["d"])


@deconstructible(path="generation.storage.SignedFileSystemStorage")
class SignedFileSystemStorage(FileSystemStorage):
    """A local folder that no web server exposes: a file is reached only through a signed URL of 60 s at most."""

    def url(self, name: str, parameters: dict[str, str] | None = None) -> str:
        """A URL that dies after DELIVERY_URL_SECONDS, or at once when the file is withdrawn.

        `parameters["ResponseContentDisposition"]` is sent with the file.
        """
        disposition = (parameters or {}).get("ResponseContentDisposition", "inline")
        token = signing.dumps({"p": name, "d": disposition}, salt=SALT)
        return reverse("media", args=[token])


class NeverDelivered(Exception):
    """A file of the quarantine has no address: nothing in there may be delivered."""


@deconstructible(path="generation.storage.QuarantineStorage")
class QuarantineStorage(FileSystemStorage):
    """A local folder for what may not be delivered: readable by the service alone, and no URL leads into it."""

    def url(self, name: str | None, parameters: dict[str, str] | None = None) -> str:
        raise NeverDelivered(f"{name} lies in quarantine")
