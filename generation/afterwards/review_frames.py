"""Pictures of the frames that a reviewer decides on: blurred ones, and clear ones where the class shows any.

Made by upkeep from the kept or delivered file, into quarantine. Child safety has blurred pictures alone.
"""

import io
import logging
from datetime import timedelta

import av
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from PIL import Image, ImageFilter

from accounts import operations
from generation.afterwards import quarantine_files
from generation.models import Asset
from safety.models import ReviewClaim, ReviewItem, ReviewPolicy, Scan

logger = logging.getLogger(__name__)

MOST_FRAMES = 4
WIDEST = 480  # of the pictures, pixels
CELLS = 14  # the blurred picture has so many cells across before it is blurred
CLEAR, BLURRED = "clear", "blurred"
KEPT = timedelta(days=7)  # pictures of items that have ended


def name_of(item_id: int, kind: str, frame: int) -> str:
    return f"{quarantine_files.FRAMES}/{item_id}/{kind}-{frame:04d}.webp"


def read(item: ReviewItem, frame: int, kind: str) -> bytes | None:
    """A picture as it is stored, or None where there is none (yet)."""
    place, name = quarantine_files.quarantine(), name_of(item.pk, kind, frame)
    if frame not in (item.frames or []) or not place.exists(name):
        return None
    with place.open(name, "rb") as file:
        return file.read()


def prepare(limit: int = 4) -> int:
    """Make the pictures of items that have none yet, claimed ones first, then the oldest; how many items."""
    waiting = ReviewItem.objects.filter(state__in=ReviewItem.WAITING, frames__isnull=True).select_related(
        "scan"
    )
    done = 0
    claimed = Exists(ReviewClaim.objects.filter(item=OuterRef("pk"), ended_at=None))
    for item in waiting.order_by(claimed.desc(), "opened_at")[:limit]:
        try:
            frames = _pictures(item)
        except (OSError, av.FFmpegError) as problem:
            operations.report("review.no_frames", "error", f"review:{item.pk}", {"error": str(problem)[:300]})
            frames = []
        ReviewItem.objects.filter(pk=item.pk).update(frames=frames)
        done += 1
    return done


def forget_ended(limit: int = 100) -> int:
    """Delete the pictures of items that ended a week ago; how many items."""
    ended = ReviewItem.objects.filter(closed_at__lt=Now() - KEPT, frames__0__isnull=False)
    for item in ended[:limit]:
        quarantine_files.delete_tree(f"{quarantine_files.FRAMES}/{item.pk}")
        ReviewItem.objects.filter(pk=item.pk).update(frames=[])
    return len(ended[:limit])


def blurred(picture: Image.Image) -> Image.Image:
    """What shapes are where, and no more: a few cells, blurred."""
    tiny = picture.resize(
        (CELLS, max(1, round(CELLS * picture.height / picture.width))), Image.Resampling.BOX
    )
    wide = tiny.resize(picture.size, Image.Resampling.BICUBIC)
    return wide.filter(ImageFilter.GaussianBlur(picture.width / CELLS))


def _pictures(item: ReviewItem) -> list[int]:
    content = _content(item)
    clear = ReviewPolicy.objects.filter(pk=item.review_class, reveal=True).exists()
    wanted = _asked_frames(item)
    # A class that has become stricter leaves no clear picture behind.
    quarantine_files.delete_tree(f"{quarantine_files.FRAMES}/{item.pk}")
    found = []
    for frame, picture in _decoded(content, wanted):
        picture.thumbnail((WIDEST, WIDEST))
        _save(item, BLURRED, frame, blurred(picture))
        if clear:
            _save(item, CLEAR, frame, picture)
        found.append(frame)
    return found


def _content(item: ReviewItem) -> bytes:
    if item.kind == ReviewItem.Kind.SCAN:
        name = f"{quarantine_files.REVIEW}/{item.subject}/{item.fence}/clip.mp4"
        with quarantine_files.quarantine().open(name, "rb") as file:
            return file.read()
    asset = Asset.objects.filter(job=item.subject, role="video", removed_at=None).first()
    if asset is None:
        raise FileNotFoundError("the clip has no file any more")
    with default_storage.open(asset.path, "rb") as file:
        return file.read()


def _asked_frames(item: ReviewItem) -> list[int]:
    """The frames that the gates asked about, the surest first; else some spread over the clip."""
    if item.scan_id:
        asked = item.scan.verdicts.filter(
            outcome__in=(Scan.Result.REVIEW, Scan.Result.BLOCK), frame_index__isnull=False
        )
        found = list(
            dict.fromkeys(asked.order_by("-score", "frame_index").values_list("frame_index", flat=True))
        )
        if found:
            return sorted(found[:MOST_FRAMES])
    let_out = Scan.objects.filter(subject=item.subject, fence=item.fence, purpose=Scan.Purpose.FINAL)
    total = let_out.exclude(frames_total=None).values_list("frames_total", flat=True).first() or 1
    return sorted({round(part * (total - 1) / (MOST_FRAMES - 1)) for part in range(MOST_FRAMES)})


def _decoded(content: bytes, wanted: list[int]) -> list[tuple[int, Image.Image]]:
    found = []
    with av.open(io.BytesIO(content), options={"ignore_editlist": "1"}) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                found.append((index, frame.to_image()))
            if index >= wanted[-1]:
                break
    return found


def _save(item: ReviewItem, kind: str, frame: int, picture: Image.Image) -> None:
    output = io.BytesIO()
    picture.save(output, "WEBP", quality=80)
    quarantine_files.put(name_of(item.pk, kind, frame), ContentFile(output.getvalue()))
