import pytest

from accounts import organizations
from accounts.models import User


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    """A slow hash per person would be most of the time of these tests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.ACCOUNT_RATE_LIMITS = False  # all of these come from one address


@pytest.fixture
def owner(db):
    return User.objects.create_user("owner@example.com", "a long enough password", name="Olga Owner")


@pytest.fixture
def stranger(db):
    return User.objects.create_user("stranger@example.com", "a long enough password")


@pytest.fixture
def organization(owner):
    return organizations.create("Acme Films", "plus", owner)
