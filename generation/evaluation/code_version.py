"""Which code made a figure."""

import subprocess
import tomllib
from functools import cache

from django.conf import settings


@cache
def code_version() -> str:
    """The release, and where the project is a git checkout its commit: `0.1.0+dcf9cb4`, with `.dirty` for changes."""
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))
    release = project["project"]["version"]
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
