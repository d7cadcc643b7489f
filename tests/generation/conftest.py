import pytest

from tests.committed import committed as committed_rows


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    """A slow hash per person would be most of the time of these tests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def committed(django_db_setup, django_db_blocker):
    """Rows that other connections see."""
    with committed_rows(django_db_blocker):
        yield
