"""What the palette leads to: the rooms of this person and the actions that begin there. No queries of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.urls import reverse

from accounts.models import StaffRole
from console.frame import Frame


@dataclass(frozen=True)
class Entry:
    """One line: where it leads, a quieter word beside it, and further words by which it is found."""

    label: str
    icon: str
    href: str
    hint: str = ""
    words: str = ""

    @property
    def sought(self) -> str:
        """What a typed word is looked for in."""
        return f"{self.label} {self.hint} {self.words}".casefold()


@dataclass(frozen=True)
class Group:
    name: str
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True)
class Deed:
    """An action as a verb: the page where it is done, and the scope or the role of the staff that may do it."""

    label: str
    icon: str
    page: str
    scope: str = ""
    role: str = ""
    query: str = ""
    words: str = ""


_OPERATOR, _BILLING = StaffRole.Role.OPERATOR.value, StaffRole.Role.BILLING_ADMIN.value
_SAFETY = StaffRole.Role.TRUST_SAFETY.value
DEEDS = (
    Deed("Make a clip", "clapper", "studio", scope="generate", query="#prompt", words="new video prompt"),
    Deed("Write code", "brackets", "code", scope="generate", query="#prompt", words="new completion python"),
    Deed("Explain a charge", "receipt", "statement", scope="read", query="?show=charges", words="why cost"),
    Deed(
        "Redeem a code",
        "tag",
        "statement",
        scope="billing",
        query="#promotion-code",
        words="promotion coupon",
    ),
    Deed("Set a budget", "half", "budgets", scope="billing", words="limit cap spending"),
    Deed("Download the statement", "download", "statement_csv", scope="read", words="csv export"),
    Deed("Download the usage", "download", "usage_csv", scope="read", words="csv export"),
    Deed("Make an API key", "key", "keys", scope="admin", words="token new"),
    Deed("Add a webhook", "send", "webhooks", scope="admin", words="endpoint new"),
    Deed("Invite a member", "people", "members", scope="admin", words="person team add"),
    Deed("Change a lane's weight", "lanes", "operate_lanes", role=_OPERATOR, words="share floor cap burst"),
    Deed("Drain or restart a worker", "worker", "operate_workers", role=_OPERATOR, words="fleet stop gpu"),
    Deed("Pause a pool", "pause", "operate_scheduling", role=_OPERATOR, words="capacity preemption raise"),
    Deed("Quarantine a model revision", "film", "operate_models", role=_OPERATOR, words="roll back"),
    Deed(
        "Follow a runbook",
        "check",
        "operate_runbooks",
        role=_OPERATOR,
        words="mitigate suspend faces credits",
    ),
    Deed("Undo a change", "undo", "operate_changes", role=_OPERATOR, words="revert audit back"),
    Deed("Silence an alarm", "bolt", "operate_alarms", role=_OPERATOR, words="mute acknowledge page"),
    Deed("Find an organization", "people", "billing_organizations", role=_BILLING, words="customer wallet"),
    Deed("Schedule a price", "scales", "billing_prices", role=_BILLING, words="tariff change"),
    Deed(
        "Add a hard rule",
        "shield",
        "safety_policy",
        role=_SAFETY,
        query="?change=new_rule",
        words="block term",
    ),
    Deed(
        "Tighten a threshold", "sliders", "safety_policy", role=_SAFETY, words="block score category suspend"
    ),
    Deed("Pull a window into review", "eye", "safety_pull", role=_SAFETY, words="bypass clips"),
    Deed("Delete confirmed clips", "cross", "safety_withdrawals", role=_SAFETY, words="withdraw remove"),
    Deed("Rotate the signer", "seal", "safety_provenance", role=_SAFETY, words="credentials c2pa key"),
)
OPEN_TO_ALL = (
    Deed("Verify a clip's credentials", "shield-check", "verify", words="provenance c2pa"),
    Deed("Read the API documentation", "brackets", "api_docs", words="docs reference curl"),
    Deed("Look at the styleguide", "rows", "styleguide", words="parts design"),
)


def places(frame: Frame) -> list[Entry]:
    """The pages of this person's rooms, as the rail has them."""
    return [
        Entry(link.label, link.icon, link.href, hint=room.name) for room in frame.rooms for link in room.links
    ]


def actions(frame: Frame, roles: frozenset[str]) -> list[Entry]:
    """What this person may do, each leading to the page where it is done."""
    return list(_actions(frame, roles))


def _actions(frame: Frame, roles: frozenset[str]) -> Iterator[Entry]:
    scopes = frame.caller.scopes if frame.caller else frozenset()
    for deed in DEEDS:
        if deed.scope in scopes or deed.role in roles:
            yield _entry(deed)
    for deed in OPEN_TO_ALL:
        yield _entry(deed)


def _entry(deed: Deed) -> Entry:
    return Entry(deed.label, deed.icon, reverse(deed.page) + deed.query, words=deed.words)


def matching(entries: list[Entry], text: str) -> list[Entry]:
    """The entries that have every typed word somewhere; all of them for no text."""
    wanted = text.casefold().split()
    return [entry for entry in entries if all(word in entry.sought for word in wanted)]
