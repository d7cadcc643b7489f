"""How an address is used: whose ids it takes, and what it takes to be let in."""

from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """What an address is about."""

    TENANT = "something of one organization, by its id"
    OWN = "the caller's own organization or person"
    STAFF = "a room of the staff"
    CLOSED = "something that only the bearer of a secret in the address gets to see"
    PUBLIC = "anybody"


@dataclass(frozen=True)
class Entry:
    """`reads` and `writes` are the scopes of which one is enough; none means that any member may.

    `ids` fill the address and `fields` the body; both name things of the victim, as `world.py` has them, in braces.
    """

    kind: Kind
    ids: dict[str, str] = field(default_factory=dict)
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    fields: dict[str, object] = field(default_factory=dict)
    path: str = ""  # where the route is a regular expression


def _scopes(words: str) -> frozenset[str]:
    return frozenset(words.split("|")) if words else frozenset()


def tenant(reads: str, writes: str = "", fields: dict | None = None, **ids: str) -> Entry:
    """An address with an id in it. `reads` and `writes` as "read|billing"; `writes` is as `reads` unless told."""
    return Entry(Kind.TENANT, ids, _scopes(reads), _scopes(writes or reads), fields=fields or {})


def own(reads: str = "", writes: str = "", **fields: object) -> Entry:
    """An address without an id: whoever comes acts for themselves, whatever ids `fields` name."""
    return Entry(Kind.OWN, {}, _scopes(reads), _scopes(writes or reads), fields=fields)


def own_at(reads: str, writes: str, **ids: str) -> Entry:
    """As `own`, at an address with an id in it that is looked at by nobody."""
    return Entry(Kind.OWN, ids, _scopes(reads), _scopes(writes))


def staff(*roles: str, **ids: str) -> Entry:
    """A page of the staff; `roles` are those that may."""
    return Entry(Kind.STAFF, ids, roles=frozenset(roles))


def closed(**ids: str) -> Entry:
    """An address whose secret the caller doesn't have."""
    return Entry(Kind.CLOSED, ids)


def public(path: str = "", **fields: object) -> Entry:
    """For anybody; nothing may change by what is sent here."""
    return Entry(Kind.PUBLIC, fields=fields, path=path)
