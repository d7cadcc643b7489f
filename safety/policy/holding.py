"""Every clip goes to a person before it is delivered: what an evaluation does that saw something get through.

It is an override like one made on the page *Policy*, audited, and undone there once the incident is understood.
"""

from accounts import audit
from accounts.models import Override
from safety.policy.actions import ChangeScanPolicy
from safety.policy.records import ReviewLevel, ScanPolicyOverride
from safety.policy.scans import LEVELS


def hold_every_clip(frame_class: str | None, by: str, reason: str) -> list[ScanPolicyOverride]:
    """Send all clips to review for this class, or for every class where it has no review level; those made now.

    Nothing is delivered from the next scan on, in every worker, without somebody's decision. Inside the caller's
    transaction. A class whose every clip is reviewed already is left as it is.
    """
    made = []
    for level in [frame_class] if frame_class in LEVELS else LEVELS:
        change = ChangeScanPolicy(level, level, ReviewLevel.EVERYTHING)
        row, before = change.baseline(lock=True), change.in_force()
        if before == ReviewLevel.EVERYTHING:
            continue
        override = ScanPolicyOverride.objects.create(
            policy=row,
            field=level,
            value=ReviewLevel.EVERYTHING,
            author_kind=Override.AuthorKind.RUNBOOK,
            author=by,
            reason=reason,
        )
        audit.record(
            actor=by,
            action=ChangeScanPolicy.name,
            target=change.target,
            reason=reason,
            before={level: before},
            after={level: ReviewLevel.EVERYTHING},
            undo={"override": override.pk},
        )
        made.append(override)
    return made
