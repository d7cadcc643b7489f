"""Which code made a figure."""

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from django.conf import settings


@cache
def code_version() -> str:
    """The release, and where the project is a git checkout its commit: `0.1.0+dcf9cb4`, with `.dirty` for changes."""
    try:
        release = version("backlot")
    except PackageNotFoundError:
        release = "unreleased"
    described = _git("describe", "--always", "--dirty=.dirty", "--exclude=*", "--abbrev=7")
    return f"{release}+{described}" if described else release


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # no git here: the release alone says it
    return done.stdout.strip() if done.returncode == 0 else ""
