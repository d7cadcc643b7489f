"""What workers that were killed could not clear away: checkpoints of jobs that ended, files of attempts that ended."""

import logging
import re
import shutil
from pathlib import Path
from uuid import UUID

from django.conf import settings

from generation.models import OPEN_STATES, Attempt, Job
from generation.worker import checkpoints

logger = logging.getLogger(__name__)

ATTEMPTS_FOLDER = re.compile(r"(\d+)-.+")


def clear() -> list[str]:
    """Delete them; the names of the folders that went. What belongs to anyone else is left alone."""
    gone = [*_checkpoints(settings.CHECKPOINT_ROOT), *_work(settings.WORK_ROOT)]
    if gone:
        logger.info("cleared what killed workers left", extra={"folders": len(gone)})
    return gone


def _checkpoints(root: Path) -> list[str]:
    jobs = {name: job for name in _folders(root) if (job := _job_id(name))}
    known = Job.objects.filter(pk__in=jobs.values()).exclude(state__in=OPEN_STATES)
    over = {str(pk) for pk in known.values_list("pk", flat=True)}
    for name in over:
        checkpoints.remove(root, name)
    return sorted(over)


def _work(root: Path) -> list[str]:
    """An attempt's folder is named by its fence; see finishing.py."""
    fences = {int(match[1]): name for name in _folders(root) if (match := ATTEMPTS_FOLDER.fullmatch(name))}
    ended = Attempt.objects.filter(fence__in=fences, ended_at__isnull=False)
    over = [fences[fence] for fence in ended.values_list("fence", flat=True)]
    for name in over:
        # Whoever lost the attempt may still be at it, and clears it away itself.
        shutil.rmtree(root / name, ignore_errors=True)
    return over


def _folders(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if path.is_dir()] if root.is_dir() else []


def _job_id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
