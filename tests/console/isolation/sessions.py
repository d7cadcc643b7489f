"""Sessions in the database that are read from there once: some ten thousand requests come with a dozen of them.

What a request does to its session is undone with all else it does, and the next one finds the session as it was.
"""

from copy import deepcopy

from django.contrib.sessions.backends import db

_read: dict[str, dict] = {}


class SessionStore(db.SessionStore):
    """The name that SESSION_ENGINE looks for; to be named there once everybody has signed in."""

    def load(self) -> dict:
        key = self.session_key
        if key in _read:
            return deepcopy(_read[key])
        found = super().load()
        if self.session_key is not None:  # or there is none of that name
            _read[key] = deepcopy(found)
        return found
