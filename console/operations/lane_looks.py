"""Looking at a change of a lane before it is made: the simulated effect, and the token that lets it be applied.

Applying takes the token that a preview of exactly this change gave out, so that nobody changes a lane unseen.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.core import signing
from django.utils import timezone

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import User
from billing.charts import Chart, Series
from generation.scheduling import lane_preview
from generation.scheduling.lane_actions import ChangeLaneWeight
from generation.scheduling.lane_preview import Effect, LaneEffect
from generation.scheduling.setting_actions import LANE_SETTINGS, ChangeLaneSetting

SEEN_FOR = timedelta(minutes=15)
SALT = "lane change seen"
NOW, PROPOSED = "as it is", "as proposed"


@dataclass(frozen=True)
class Seen:
    """A change with what it would do: the action's own sentence, the simulated effect, and the token to apply it."""

    preview: Preview
    effect: Effect
    value: str
    token: str

    @property
    def charts(self) -> list[Chart]:
        return [_waits(self.effect), _shares(self.effect)]


def look(person: User, slug: str, field: str, given: str) -> Seen:
    """Simulate a change. Raises `ApiError` for one that can't be made."""
    action = action_of(slug, field, given)
    said = action.preview()
    effect = lane_preview.effect(slug, field, LANE_SETTINGS[field].read(given, "value"), timezone.now())
    return Seen(said, effect, given, signing.dumps(_claims(person, action, field, said), salt=SALT))


def require_seen(token: str, person: User, action: Action, field: str) -> None:
    """Refuse a change that this person has not looked at as it is now."""
    try:
        seen = signing.loads(token, salt=SALT, max_age=SEEN_FOR)
    except signing.BadSignature:
        seen = None
    if seen != _claims(person, action, field, action.preview()):
        message = "Look at what this change would do first: it was not previewed, or something changed since."
        raise ApiError("invalid_value", message, param="seen")


def _claims(person: User, action: Action, field: str, said: Preview) -> list:
    return [person.pk, action.target, field, said.before[field], said.after[field]]


def action_of(slug: str, field: str, given: str) -> Action:
    """The action that a form asks for. Raises `ApiError` for an unknown field or a value that is none."""
    if field not in LANE_SETTINGS:
        raise ApiError("not_found", f"A lane has no setting {field!r:.40}.", param="field")
    value = LANE_SETTINGS[field].read(given, "value")
    return ChangeLaneWeight(slug, value) if field == "weight" else ChangeLaneSetting(slug, field, value)


def _waits(effect: Effect) -> Chart:
    series = [
        _series(effect, f"{label} {when}", lambda one, s=side, k=key: _rounded(getattr(getattr(one, s), k)))
        for label, key in (("p50", "wait_p50_s"), ("p95", "wait_p95_s"))
        for when, side in ((NOW, "now"), (PROPOSED, "then"))
    ]
    return Chart(
        "preview-wait",
        "Queue wait",
        "s",
        series,
        dates=False,
        x_head="Lane",
        note="Jobs that still wait count with their age.",
    )


def _shares(effect: Effect) -> Chart:
    series = [
        _series(effect, when, lambda one, s=side: round(100 * getattr(one, s).share, 1))
        for when, side in ((NOW, "now"), (PROPOSED, "then"))
    ]
    return Chart("preview-share", "Share of GPU time", "%", series, dates=False, x_head="Lane")


def _series(effect: Effect, name: str, figure) -> Series:
    lanes_shown: list[LaneEffect] = effect.lanes
    return Series(name, [one.name for one in lanes_shown], [figure(one) for one in lanes_shown])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
