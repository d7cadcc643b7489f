"""The tool of promised times: the credits of clips that were late."""

from accounts.models import StaffRole
from console.runbooks.tools.safety import last_hours
from console.runbooks.tools.shapes import Asked, Field, Given, Tool, moment_of
from generation.late_credit_actions import GrantSlaCredits


def _window(asked: Asked) -> Given:
    found = last_hours(asked)
    return {"since": found["since"], "until": found["until"]}


SLA_CREDITS = Tool(
    "sla_credits",
    "Grant SLA credits",
    "Clips over their target that earned no credit by themselves, because they failed or were given up late.",
    StaffRole.Role.OPERATOR,
    (Field("since", "Ended from, UTC", "moment"), Field("until", "Until, UTC", "moment")),
    lambda given: GrantSlaCredits(moment_of(given, "since"), moment_of(given, "until")),
    expires=False,
    preset=_window,
)
TOOLS = (SLA_CREDITS,)
