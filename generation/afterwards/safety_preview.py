"""What a change of safety policy would have done: to recent requests, recent scans, and the golden sets.

safety knows how to rule, generation knows the prompts and the files: it passes texts and subjects in.
"""

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.core.files.storage import default_storage
from django.utils import timezone

from accounts.actions import Action, Preview
from generation.afterwards.refused_prompts import RefusedPrompt
from generation.models import Asset, Job
from safety.golden import texts as golden_texts
from safety.models import FrameClass, Rule, Scan
from safety.policy import preview as policy_preview
from safety.policy import seen as policy_seen
from safety.policy.actions import ChangePolicy, ChangeScanPolicy, ChangeThreshold
from safety.policy.preview import Flip, Group, TextSubject
from safety.policy.proposed import Proposed
from safety.policy.rule_actions import AddRule

if TYPE_CHECKING:
    from PIL import Image

BACK = timedelta(days=7)
MOST_PROMPTS = 1000  # of each: admitted, refused
BLURRED_WIDTH = 320  # pixels


@dataclass(frozen=True)
class Effect:
    """What a change would do: the action's own sentence, and per kind of subject what would flip."""

    preview: Preview
    groups: list[Group]

    @property
    def flips(self) -> int:
        return sum(len(group.flips) for group in self.groups)

    @property
    def against(self) -> int:
        return sum(group.against for group in self.groups)

    @property
    def looked(self) -> int:
        return sum(group.looked for group in self.groups)

    @property
    def sentence(self) -> str:
        if not self.looked:
            return "There is nothing to try it on yet: no recent traffic, no golden case."
        if not self.flips:
            return f"Nothing of {self.looked:,} cases would have ended otherwise."
        warning = f" {self.against:,} golden cases would then end as they must not." if self.against else ""
        return f"{self.flips:,} of {self.looked:,} cases would have ended otherwise.{warning}"


def effect(action: Action, now: datetime) -> Effect:
    """Rule everything as it is and as proposed. Raises `ApiError` for a change that can't be made."""
    said = action.preview()
    proposed, new_rule = _proposed(action, now)
    before = policy_preview.policies(now)
    after = policy_preview.policies(now, proposed, new_rule)
    if isinstance(action, ChangeThreshold | ChangeScanPolicy):
        return Effect(said, _frames(now, before, after))
    return Effect(said, _texts(now, before, after))


def _proposed(action: Action, now: datetime) -> tuple[Proposed | None, Rule | None]:
    if isinstance(action, AddRule):
        rule = action.rule()
        rule.pk = 0
        return None, rule
    assert isinstance(action, ChangePolicy)
    return Proposed(action.kind, action.row, action.field, action.value, now), None


def _frames(now: datetime, before: policy_preview.Policies, after: policy_preview.Policies) -> list[Group]:
    pictures, unseen = policy_seen.golden_frames()
    note = ""
    if unseen:
        note = (
            f"{unseen} golden pictures were not shown to the gates of today yet; manage.py golden shows them."
        )
    scans = policy_seen.recent_scans(now)
    most = f"The newest {len(scans)} final scans of the last 24 h, by the scores that were stored."
    return [
        policy_preview.frames_group("Recent clips", scans, before, after, most),
        policy_preview.frames_group("Golden pictures", pictures, before, after, note),
    ]


def _texts(now: datetime, before: policy_preview.Policies, after: policy_preview.Policies) -> list[Group]:
    waiting = golden_texts.unread()
    unread = f"{waiting} were not read by the stages behind the rules yet." if waiting else ""
    ask = policy_seen.LaterStages()
    looks = (
        (
            "Recent requests, admitted",
            admitted(now),
            f"The newest of the last {BACK.days} days, each text once.",
        ),
        (
            "Recent requests, refused",
            refused(now),
            "Of each stored refusal the first prompt, kept for 30 days.",
        ),
        ("Golden prompts", policy_seen.golden_texts("golden"), unread),
        ("Adversarial prompts", policy_seen.golden_texts("adversarial"), ""),
    )
    return [
        policy_preview.texts_group(title, subjects, before, after, note, ask)
        for title, subjects, note in looks
    ]


def admitted(now: datetime) -> list[TextSubject]:
    """The prompts of recent jobs, newest first, each text once per kind."""
    rows = Job.objects.filter(created_at__gte=now - BACK).order_by("-created_at")
    found: dict[tuple[str, str], TextSubject] = {}
    for job in rows.only("id", "kind", "prompt", "screening", "created_at")[:MOST_PROMPTS]:
        told = job.screening
        subject = TextSubject(
            job.public_id, job.prompt, job.kind, _about(told), told.get("scores") or {}, at=job.created_at
        )
        found.setdefault((job.kind, job.prompt), subject)
    return list(found.values())


def refused(now: datetime) -> list[TextSubject]:
    """The prompts of recent stored refusals, newest first, each text once per kind."""
    rows = RefusedPrompt.objects.filter(at__gte=now - BACK).order_by("-at")[:MOST_PROMPTS]
    found: dict[tuple[str, str], TextSubject] = {}
    for row in rows:
        # Of the guard no score is kept; and what a row of an earlier version lacks can't be judged anew.
        later = row.category if row.stage == "guard" or (row.stage != "rules" and not row.scores) else ""
        name = f"refusal {row.decision_id}"
        subject = TextSubject(name, row.prompt, row.kind, row.about, row.scores, later, at=row.at)
        found.setdefault((row.kind, row.prompt), subject)
    return list(found.values())


def _about(screening: dict) -> list[str]:
    category = screening.get("category")
    return [category] if category else []


def has_frame(flip: Flip) -> bool:
    """May a blurred picture of it be shown? Of a kept file, and never for child safety."""
    scan_id = getattr(flip.subject, "scan_id", None)
    return (
        scan_id is not None
        and flip.frame_index is not None
        and flip.frame_class != FrameClass.CHILD_SAFETY
        and _file(scan_id) is not None
    )


def blurred_frame(scan_id: int, index: int) -> bytes | None:
    """A frame of a delivered clip as a small blurred JPEG; None where the clip is not kept or may not be shown."""
    path = _file(scan_id)
    if path is None:
        return None
    with default_storage.open(path, "rb") as file:
        picture = _frame(file.read(), index)
    return _jpeg(picture) if picture is not None else None


def _file(scan_id: int) -> str | None:
    """Where the clip lies whose frames may be shown; None once it was taken from delivery, as after a re-scan."""
    scan = Scan.objects.filter(pk=scan_id, purpose=Scan.Purpose.FINAL).first()
    if scan is None or scan.verdicts.filter(frame_class=FrameClass.CHILD_SAFETY, score__gt=0).exists():
        return None
    asset = _asset(scan)
    return asset.path if asset is not None and default_storage.exists(asset.path) else None


def _asset(scan: Scan) -> Asset | None:
    """The delivered file that the scan let out, while it is kept; a gate's or an evaluation's clip has none."""
    try:
        job_id = UUID(scan.subject)
    except ValueError:
        return None
    rows = Asset.objects.filter(job=job_id, fence=scan.fence, role="video", removed_at=None)
    return rows.filter(job__deleted_at=None, job__finished_at__lte=timezone.now()).first()


def _frame(content: bytes, index: int) -> "Image.Image | None":
    import av

    with av.open(io.BytesIO(content), options={"ignore_editlist": "1"}) as container:
        for at, frame in enumerate(container.decode(video=0)):
            if at == index:
                return frame.to_image()
    return None


def _jpeg(picture: "Image.Image") -> bytes:
    from generation.afterwards.review_frames import blurred

    picture.thumbnail((BLURRED_WIDTH, BLURRED_WIDTH))
    output = io.BytesIO()
    blurred(picture).convert("RGB").save(output, "JPEG", quality=60)
    return output.getvalue()
