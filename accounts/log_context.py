"""What a piece of work is about, for every log line written on its way: request, job, attempt, decision, trace.

One dictionary for each piece of work, kept in a context variable. What is noted later, in a thread or task that began
with a copy of the context, is in the same dictionary, so the line at the end of a request knows the job it made.
Ids alone: never a prompt, an address or a name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_about: ContextVar[dict[str, str] | None] = ContextVar("backlot_log_context", default=None)


@contextmanager
def about(**ids: str) -> Iterator[dict[str, str]]:
    """A new piece of work, known by these; it begins with what the one around it is known by."""
    token = _about.set({**(_about.get() or {}), **ids})
    try:
        yield _about.get()
    finally:
        _about.reset(token)


def note(**ids: str) -> None:
    """The work at hand is known by these as well; outside of any, nothing is kept."""
    known = _about.get()
    if known is not None:
        known.update(ids)


def current() -> dict[str, str]:
    """What the work at hand is known by."""
    return _about.get() or {}
