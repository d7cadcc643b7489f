"""A signing folder of the test's own."""

import pytest


@pytest.fixture
def signing_root(tmp_path, settings):
    settings.SIGNING_ROOT = tmp_path / "signing"
    return settings.SIGNING_ROOT
