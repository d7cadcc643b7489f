"""The course of an incident: its states, what may follow what, and its severity."""

OPEN, ACKNOWLEDGED, MITIGATED, RESOLVED = "open", "acknowledged", "mitigated", "resolved"
STATES = {OPEN: "Open", ACKNOWLEDGED: "Acknowledged", MITIGATED: "Mitigated", RESOLVED: "Resolved"}
# What was mitigated and does harm again goes back to how it stood before. What was resolved stays so.
TRANSITIONS = (
    (OPEN, ACKNOWLEDGED),
    (OPEN, MITIGATED),
    (OPEN, RESOLVED),
    (ACKNOWLEDGED, MITIGATED),
    (ACKNOWLEDGED, RESOLVED),
    (MITIGATED, OPEN),
    (MITIGATED, ACKNOWLEDGED),
    (MITIGATED, RESOLVED),
)
SEVERITIES = {
    1: "Severity 1: everybody",
    2: "Severity 2: now",
    3: "Severity 3: today",
    4: "Severity 4: when there is time",
}
PAGED_AS = {"critical": 1, "error": 2, "warning": 3}


def severity_of(paged_as: str) -> int:
    """The severity of what people are paged for as critical, error or warning."""
    return PAGED_AS[paged_as]


def may_follow(state: str, after: str) -> bool:
    return (state, after) in TRANSITIONS


def ends_with_its_alarm(grave: int, counts_happenings: bool) -> bool:
    """Whether an incident counts as mitigated once its alarms have cleared.

    Where safety is at stake a person says so. So they do where the alarm counts what has happened: it clears because
    its window is over.
    """
    return grave < 3 and not counts_happenings
