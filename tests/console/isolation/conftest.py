import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def silence() -> Iterator[None]:
    """Of each of some ten thousand refusals the log has a line."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)
