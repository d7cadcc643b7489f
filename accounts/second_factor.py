"""The second factor: an authenticator app or a passkey, which staff need before they enter a room of theirs.

allauth keeps the factors, asks for one when a person signs in and lets them enrol; here is what Backlot adds: whether
this very session has shown one, where to send who has not, and secrets that are stored encrypted.
"""

import base64
import time
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from accounts.models import User

FACTORS = (
    Authenticator.Type.TOTP,
    Authenticator.Type.WEBAUTHN,
)  # recovery codes stand in for one, they are none
ENROL = "Staff rooms need a second factor. Set one up here; your rooms open as soon as you have used it once."
PERIOD_S = 30


class SecondFactorAdapter(DefaultMFAAdapter):
    """Named in settings as MFA_ADAPTER: secrets are encrypted under SECRET_KEY, old keys are in the fallbacks."""

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        try:
            return _cipher().decrypt(encrypted_text.encode()).decode()
        except InvalidToken as failure:
            raise ImproperlyConfigured(
                "A second factor was stored under another SECRET_KEY: name that key in SECRET_KEY_FALLBACKS, "
                "or remove the person's factors (manage.py reset_second_factor) so that they enrol anew."
            ) from failure


def enrolled(user: User) -> frozenset[str]:
    """The kinds of factors this person has; one query."""
    rows = Authenticator.objects.filter(user=user, type__in=FACTORS)
    return frozenset(rows.values_list("type", flat=True))


def shown(request: HttpRequest) -> bool:
    """Whether this session has passed the second step, at sign-in or later. No query."""
    return any(record["method"] == "mfa" for record in get_authentication_records(request, request.user))


def usable_roles(request: HttpRequest) -> frozenset[str]:
    """The staff roles that this session may act in: none before a second factor was shown."""
    if not request.user.is_authenticated or not request.user.staff_roles:
        return frozenset()
    return request.user.staff_roles if shown(request) and enrolled(request.user) else frozenset()


def way_in(request: HttpRequest) -> HttpResponseRedirect | None:
    """Where to send a member of staff first: to enrol, or to show their factor; None for who may go in."""
    factors = enrolled(request.user)
    if not factors:
        messages.warning(request, ENROL)
        return HttpResponseRedirect(reverse("mfa_index"))
    if shown(request):
        return None
    page = "mfa_reauthenticate" if Authenticator.Type.TOTP in factors else "mfa_reauthenticate_webauthn"
    back = request.get_full_path() if request.method in ("GET", "HEAD") else "/"
    return HttpResponseRedirect(f"{reverse(page)}?{urlencode({'next': back})}")


def new_secret() -> str:
    """A fresh TOTP secret in base32, as an authenticator app takes it."""
    return generate_totp_secret()


def enrol_app(user: User, secret: str) -> bool:
    """Give a person an authenticator app by its secret. False where they have one already."""
    if Authenticator.Type.TOTP in enrolled(user):
        return False
    TOTP.activate(user, secret)
    return True


def current_code(secret: str, now_s: float | None = None) -> tuple[str, int]:
    """What an authenticator app with this secret shows, and for how many seconds it still counts."""
    now_s = time.time() if now_s is None else now_s
    left = PERIOD_S - int(now_s) % PERIOD_S
    return format_hotp_value(hotp_value(secret, int(now_s) // PERIOD_S)), left


def reset(user: User) -> int:
    """Remove all factors and recovery codes of a person who lost them; the number removed."""
    return Authenticator.objects.filter(user=user).delete()[0]


def _cipher() -> MultiFernet:
    return MultiFernet([_fernet(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _fernet(secret: str) -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"backlot second factors").derive(
        secret.encode()
    )
    return Fernet(base64.urlsafe_b64encode(key))
