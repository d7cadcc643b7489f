"""What every page needs around it: the rooms this person may enter, their organization, its balance, their preferences.

A context processor; nothing is asked of the database until a template uses `frame`, so that partial pages cost nothing.
"""

from dataclasses import dataclass
from functools import cached_property

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts.identity import Caller, organizations_of, session_caller
from accounts.models import Membership, Organization, StaffRole, User
from billing import notice_board, statement
from safety.models import FrameClass
from safety.postfilter import gates

THEMES = ("light", "dark")
DENSITIES = ("comfortable", "compact")
BAR_LINKS = 4  # what fits beside "More" on a phone


@dataclass(frozen=True)
class Link:
    """One entry of the rail. `current` means that the page shown lies under it."""

    label: str
    icon: str
    href: str
    current: bool


@dataclass(frozen=True)
class Room:
    name: str
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Place:
    """A page that a room leads to; `scope`, `role` or any role of the staff is what it takes to see it."""

    room: str
    label: str
    icon: str
    page: str  # the name of its URL
    scope: str | None = None
    role: str | None = None
    any_staff: bool = False


PLACES = (
    Place("Make", "Studio", "clapper", "studio", scope="generate"),
    Place("Make", "Code", "brackets", "code", scope="generate"),
    Place("Make", "Library", "film", "library", scope="read"),
    Place("Make", "History", "clock", "history", scope="read"),
    Place("Account", "Usage", "rows", "usage", scope="read"),
    Place("Account", "Statement", "receipt", "statement", scope="read"),
    Place("Account", "Spending", "scales", "spending", scope="billing"),
    Place("Account", "Budgets", "half", "budgets", scope="read"),
    Place("Account", "Buy credits", "coins", "buy_credits", scope="billing"),
    Place("Account", "Invoices", "list", "invoices", scope="billing"),
    Place("Account", "Notices", "info", "notices", scope="read"),
    Place("Account", "Keys", "key", "keys", scope="admin"),
    Place("Account", "Webhooks", "send", "webhooks", scope="admin"),
    Place("Account", "Members", "people", "members", scope="read"),
    Place("Account", "Audit log", "seal", "own_audit", scope="admin"),
    Place("Billing", "Organizations", "people", "billing_organizations", role=StaffRole.Role.BILLING_ADMIN),
    Place("Billing", "Prices", "scales", "billing_prices", role=StaffRole.Role.BILLING_ADMIN),
    Place("Billing", "Promotions", "tag", "billing_promotions", role=StaffRole.Role.BILLING_ADMIN),
    Place("Billing", "Revenue", "chart", "billing_revenue", role=StaffRole.Role.BILLING_ADMIN),
    Place("Billing", "Settings", "sliders", "billing_settings", role=StaffRole.Role.BILLING_ADMIN),
    Place("Billing", "Tiers", "rows", "staff_tiers", role=StaffRole.Role.BILLING_ADMIN),
    Place("Billing", "Access", "key", "staff_access", role=StaffRole.Role.BILLING_ADMIN),
    Place("Operate", "Overview", "chart", "operate_overview", role=StaffRole.Role.OPERATOR),
    Place("Operate", "Jobs", "list", "operate_jobs", role=StaffRole.Role.OPERATOR),
    Place("Operate", "Alarms", "bolt", "operate_alarms", role=StaffRole.Role.OPERATOR),
    Place("Operate", "Incidents", "warning", "operate_incidents", role=StaffRole.Role.OPERATOR),
    Place("Operate", "Runbooks", "check", "operate_runbooks", role=StaffRole.Role.OPERATOR),
    Place("Operate", "Lanes", "lanes", "operate_lanes", role=StaffRole.Role.OPERATOR),
    Place("Operate", "Scheduling", "sliders", "operate_scheduling", role=StaffRole.Role.OPERATOR),
    Place("Operate", "Workers", "worker", "operate_workers", role=StaffRole.Role.OPERATOR),
    Place("Operate", "Models", "film", "operate_models", role=StaffRole.Role.OPERATOR),
    Place("Operate", "Costs", "coins", "operate_costs", role=StaffRole.Role.OPERATOR),
    Place("Operate", "Files", "download", "operate_files", role=StaffRole.Role.OPERATOR),
    Place("Operate", "Changes", "edit", "operate_changes", role=StaffRole.Role.OPERATOR),
    Place("Safety", "Review", "eye", "safety_review", role=StaffRole.Role.TRUST_SAFETY),
    Place("Safety", "Incidents", "warning", "safety_incidents", role=StaffRole.Role.TRUST_SAFETY),
    Place("Safety", "Text filter", "shield", "safety_text", role=StaffRole.Role.TRUST_SAFETY),
    Place("Safety", "Policy", "sliders", "safety_policy", role=StaffRole.Role.TRUST_SAFETY),
    Place("Safety", "Evaluations", "chart", "safety_evaluations", role=StaffRole.Role.TRUST_SAFETY),
    Place("Safety", "Provenance", "seal", "safety_provenance", role=StaffRole.Role.TRUST_SAFETY),
    Place("Staff", "Approvals", "check", "staff_approvals", any_staff=True),
    Place("Staff", "Audit log", "seal", "staff_audit", any_staff=True),
)
# Pages that have no entry of their own light up the one they belong to.
BELONGS_TO = {
    "operate_overview_chart": "operate_overview",
    "operate_job": "operate_jobs",
    "job": "history",
    "job_share": "history",
    "job_unshare": "history",
    "compare": "library",
    "decision": "statement",
    "statement_line": "statement",
    "refusals": "statement",
    "webhook": "webhooks",
    "webhook_rotate": "webhooks",
    "webhook_delivery": "webhooks",
    "code_answer": "code",
    "operate_alarm": "operate_alarms",
    "operate_incident": "operate_incidents",
    "operate_incident_change": "operate_incidents",
    "operate_incident_note": "operate_incidents",
    "operate_incident_follow_up": "operate_incidents",
    "operate_lane": "operate_lanes",
    "operate_runbook": "operate_runbooks",
    "operate_runbook_do": "operate_runbooks",
    "staff_tier": "staff_tiers",
    "billing_organization": "billing_organizations",
    "billing_organization_lines": "billing_organizations",
    "billing_line": "billing_organizations",
    "billing_adjust": "billing_organizations",
    "billing_contract": "billing_organizations",
    "billing_work": "billing_organizations",
    "billing_decision": "billing_organizations",
    "billing_promotion": "billing_promotions",
    "billing_revenue_lines": "billing_revenue",
    "safety_review_item": "safety_review",
    "safety_pull": "safety_review",
    "safety_withdrawals": "safety_review",
    "safety_reviewers": "safety_review",
    "safety_incident": "safety_incidents",
    "safety_labelling": "safety_evaluations",
}


@dataclass(frozen=True)
class Unguarded:
    """What was accepted, in the words that the settings hold."""

    classes: tuple[str, ...]
    words: str


def _unguarded() -> Unguarded | None:
    words = gates.acceptance()
    missing = gates.classes_without_judge() if words else []
    return Unguarded(tuple(FrameClass(name).label for name in missing), words) if missing else None


class Frame:
    """Computed on first use, one query each for memberships, staff roles and new notices, a few for the balance."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    @cached_property
    def person(self) -> User | None:
        user = getattr(self.request, "user", None)
        return user if user is not None and user.is_authenticated else None

    @cached_property
    def caller(self) -> Caller | None:
        return session_caller(self.request) if self.person else None

    @property
    def organization(self) -> Organization | None:
        return self.caller.organization if self.caller else None

    @cached_property
    def memberships(self) -> list[Membership]:
        return organizations_of(self.person) if self.person else []

    @cached_property
    def balance_micro(self) -> int | None:
        """What can be spent now, over all buckets, in micro-credits."""
        return statement.balances(self.organization.pk).available_micro if self.organization else None

    @cached_property
    def new_notices(self) -> int:
        """How many notices of the organization nobody has read."""
        return notice_board.unread(self.organization.pk) if self.organization else 0

    @property
    def initials(self) -> str:
        words = (
            (self.person.name or self.person.email.partition("@")[0])
            .replace(".", " ")
            .replace("-", " ")
            .split()
        )
        return "".join(word[0] for word in words[:2]).upper()

    @cached_property
    def rooms(self) -> tuple[Room, ...]:
        """The rooms with the pages that are this person's; a room without any is not there."""
        links: dict[str, list[Link]] = {}
        for place in PLACES:
            if self._may_see(place):
                links.setdefault(place.room, []).append(self._link(place))
        return tuple(Room(name, tuple(found)) for name, found in links.items())

    def _may_see(self, place: Place) -> bool:
        if place.any_staff:
            return self.person is not None and bool(self.person.staff_roles)
        if place.role is not None:
            return self.person is not None and place.role in self.person.staff_roles
        return self.caller is not None and place.scope in self.caller.scopes

    def _link(self, place: Place) -> Link:
        match = self.request.resolver_match
        name = match.url_name if match else None
        current = BELONGS_TO.get(name, name) == place.page
        return Link(place.label, place.icon, reverse(place.page), current)

    @property
    def home(self) -> str:
        """The first page of this person's first room."""
        return self.rooms[0].links[0].href if self.rooms else "/"

    @property
    def bar(self) -> list[Link]:
        """The links of the bottom bar on a phone; the rest are behind "More"."""
        return [link for room in self.rooms for link in room.links][:BAR_LINKS]

    @property
    def bar_more(self) -> list[Room]:
        shown = set(self.bar)
        rest = [
            Room(room.name, tuple(link for link in room.links if link not in shown)) for room in self.rooms
        ]
        return [room for room in rest if room.links]

    @property
    def bar_more_current(self) -> bool:
        return any(link.current for room in self.bar_more for link in room.links)

    @property
    def theme(self) -> str:
        """The remembered choice, or nothing to follow the system."""
        choice = self.request.COOKIES.get("theme", "")
        return choice if choice in THEMES else ""

    @property
    def density(self) -> str:
        """The remembered row height; without one, compact for operators and comfortable for everyone else."""
        choice = self.request.COOKIES.get("density", "")
        if choice in DENSITIES:
            return choice
        match = self.request.resolver_match
        return "compact" if match and (match.url_name or "").startswith("operate") else "comfortable"

    @cached_property
    def unguarded(self) -> "Unguarded | None":
        """Which frame classes nothing but canaries and lists guards, where an operator has accepted that in writing.

        Read from the settings alone: with DEBUG off the service does not start without that acceptance.
        """
        return None if settings.DEBUG else _unguarded()

    @property
    def demo(self) -> bool:
        """Whether this installation runs with the gates that only recognise test marks."""
        return settings.DEBUG


def frame(request: HttpRequest) -> dict[str, Frame]:
    """The context processor."""
    return {"frame": Frame(request)}
