"""The kinds of change that an operator makes: how each is made again to undo it, and what it is meant to move."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from accounts.actions import Action
from accounts.models import AuditEntry
from console.alarms.changes import Acknowledge, ChangeAlarmSetting, EndSilence, SilenceAlarm
from console.changes import figures
from console.changes.figures import Figure
from generation.afterwards import pulls
from generation.afterwards.pulls import PullIntoReview
from generation.afterwards.withdrawal_actions import RestoreClip, WithdrawClip, WithdrawClips
from generation.credentials.held_actions import RetrySigning
from generation.fleet.pool_actions import PausePool
from generation.fleet.worker_actions import SetWorkerState
from generation.late_credit_actions import GrantSlaCredits
from generation.models import ReviewPull
from generation.retention.actions import ChangeFileRetention
from generation.revisions.rollout_actions import ACTIONS as MODEL_ACTIONS
from generation.scheduling.calibration import Calibrate
from generation.scheduling.lane_actions import ChangeLaneWeight
from generation.scheduling.setting_actions import ChangeLaneSetting, ChangePoolSetting, ChangeRaiseRule
from safety.credentials.signer_actions import NEW_DEVELOPMENT, RotateSigner
from safety.policy.actions import (
    ChangeScanPolicy,
    ChangeTextThreshold,
    ChangeThreshold,
    SuspendCategory,
    SwitchRule,
)
from safety.policy.rule_actions import AddRule

Again = Callable[[AuditEntry], Action]
Moves = Callable[[AuditEntry], Figure | None]


def nothing(entry: AuditEntry) -> Figure | None:
    return None


@dataclass(frozen=True)
class Kind:
    """A change by the name of its action. `again` makes the action that its undo is asked of; None: there is no undo.

    `moves` names the figure that the change is meant to move.
    """

    action: type[Action]
    again: Again | None = None
    moves: Moves = nothing

    @property
    def name(self) -> str:
        return self.action.name

    @property
    def title(self) -> str:
        return self.action.title

    @property
    def role(self) -> str:
        return self.action.role


def after_colon(entry: AuditEntry) -> str:
    """What the target names, without its kind."""
    return entry.target.partition(":")[2]


def field_of(entry: AuditEntry) -> str:
    return (entry.undo or {}).get("field") or next(iter(entry.before or {}), "")


def _setting(action: type) -> Again:
    return lambda entry: action(after_colon(entry), field_of(entry))


def _policy(action: type) -> Again:
    return action.of_entry


def _pulled(entry: AuditEntry) -> Action:
    return pulls.action_of(ReviewPull.objects.get(pk=int(after_colon(entry))))


def _credits(entry: AuditEntry) -> Action:
    since, _, until = after_colon(entry).partition("/")
    return GrantSlaCredits.from_payload({"since": f"{since}+00:00", "until": f"{until}+00:00"})


def _withdrawn(entry: AuditEntry) -> Action:
    return WithdrawClips(tuple(UUID(one) for one in (entry.after or {}).get("jobs", ())))


def _lane(entry: AuditEntry) -> Figure | None:
    return figures.lane_wait(after_colon(entry))


KINDS: tuple[Kind, ...] = (
    Kind(ChangeLaneWeight, lambda entry: ChangeLaneWeight(after_colon(entry)), _lane),
    Kind(ChangeLaneSetting, _setting(ChangeLaneSetting), _lane),
    Kind(ChangeRaiseRule, _setting(ChangeRaiseRule), _lane),
    Kind(
        ChangePoolSetting,
        _setting(ChangePoolSetting),
        lambda entry: figures.pool_completions(after_colon(entry)),
    ),
    Kind(
        PausePool,
        lambda entry: PausePool(after_colon(entry)),
        lambda entry: figures.pool_completions(after_colon(entry)),
    ),
    Kind(
        SetWorkerState,
        lambda entry: SetWorkerState(UUID(after_colon(entry))),
        lambda entry: figures.worker_trouble(after_colon(entry)),
    ),
    *(
        Kind(
            action,
            lambda entry, made=action: made(int(after_colon(entry))),
            lambda entry: figures.not_finite(),
        )
        for action in MODEL_ACTIONS.values()
    ),
    Kind(
        AddRule, _policy(AddRule), lambda entry: figures.refused(str((entry.after or {}).get("category", "")))
    ),
    Kind(SwitchRule, _policy(SwitchRule), lambda entry: figures.refused("")),
    Kind(ChangeTextThreshold, _policy(ChangeTextThreshold), lambda entry: figures.refused(_category(entry))),
    Kind(SuspendCategory, _policy(SuspendCategory), lambda entry: figures.requests_of(_category(entry))),
    Kind(ChangeThreshold, _policy(ChangeThreshold), lambda entry: figures.rejected()),
    Kind(ChangeScanPolicy, _policy(ChangeScanPolicy), lambda entry: figures.rejected()),
    Kind(PullIntoReview, _pulled, lambda entry: figures.in_review()),
    Kind(
        WithdrawClip,
        lambda entry: WithdrawClip(UUID(after_colon(entry))),
        lambda entry: figures.delivered(entry),
    ),
    Kind(WithdrawClips, _withdrawn, lambda entry: figures.delivered(entry)),
    Kind(RestoreClip),
    Kind(RotateSigner, lambda entry: RotateSigner(NEW_DEVELOPMENT), lambda entry: figures.signed()),
    Kind(RetrySigning, None, lambda entry: figures.signed()),
    Kind(GrantSlaCredits, _credits, lambda entry: figures.without_credit(after_colon(entry))),
    Kind(ChangeFileRetention, lambda entry: ChangeFileRetention(after_colon(entry), None)),
    Kind(Calibrate),
    Kind(ChangeAlarmSetting, _setting(ChangeAlarmSetting)),
    Kind(SilenceAlarm, lambda entry: SilenceAlarm(after_colon(entry))),
    Kind(EndSilence),
    Kind(Acknowledge),
)


def _category(entry: AuditEntry) -> str:
    return after_colon(entry).partition("/")[0]


BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}
UNDO = ".undo"
NAMES = [*BY_NAME, *(f"{name}{UNDO}" for name in BY_NAME)]


def of(entry: AuditEntry) -> Kind:
    """The kind of a change, or of the change that it undid."""
    return BY_NAME[entry.action.removesuffix(UNDO)]
