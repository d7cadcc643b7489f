"""Who runs PostgreSQL, and which folders that user can reach.

PostgreSQL refuses to run as root. As root we run it as `nobody`, who may be shut out of the home of the
person that installed Backlot (0700) or of the environment below it.
"""

import os
import pwd
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from console.embedded.errors import EmbeddedError

# Where root keeps what `nobody` must reach, first choice first. /var/tmp outlives a restart; /tmp may not.
ELSEWHERE = (Path("/var/lib/backlot"), Path("/var/tmp/backlot"))


@dataclass(frozen=True)
class Runner:
    """The user that a server runs as; None means: as we are."""

    uid: int | None
    gid: int | None

    def popen_arguments(self) -> dict:
        """The arguments of Popen that change to this user before anything else runs."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_reach(self, path: Path) -> bool:
        """Whether this user may enter (or, for a file, read) the path: asked as that user, not worked out."""
        if self.uid is None:
            return os.access(path, os.R_OK)
        child = os.fork()
        if child == 0:
            answer = 1
            try:
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
                answer = 0 if os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK) else 1
            finally:
                os._exit(answer)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) == 0

    def own(self, path: Path) -> None:
        """Give the folder or file to this user."""
        if self.uid is not None:
            os.chown(path, self.uid, self.gid)


def runner_for(data: Path) -> Runner:
    """Not root: as we are. Root: as the data folder's owner where that is not root, else `nobody`."""
    if os.geteuid() != 0:
        return Runner(None, None)
    if data.exists() and data.stat().st_uid != 0:
        found = data.stat()
        return Runner(found.st_uid, found.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Runner(65534, 65534)
    return Runner(nobody.pw_uid, nobody.pw_gid)


def open_folder(path: Path) -> Path:
    """Make a folder that every user may enter (its contents have their own rights)."""
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    if stat.S_IMODE(path.stat().st_mode) & 0o055 != 0o055 and os.geteuid() == path.stat().st_uid:
        path.chmod(0o755)
    return path


def elsewhere(name: str, runner: Runner) -> Path:
    """A folder of that name outside the home that the user can reach and nobody else could have put there."""
    for root in ELSEWHERE:
        try:
            folder = open_folder(open_folder(root) / name)
        except OSError:
            continue  # read-only system folder: the next choice
        if folder.stat().st_uid == root.stat().st_uid == os.geteuid() and runner.can_reach(folder):
            return folder
    places = " or ".join(map(str, ELSEWHERE))
    raise EmbeddedError(f"user {runner.uid}, who runs PostgreSQL for root, can reach no folder in {places}")


def place_for(home: Path, name: str, runner: Runner) -> Path:
    """The folder of a server: `home/name`, or one elsewhere, remembered in `home/name/LOCATION`."""
    own = open_folder(home / name)
    pointer = own / "LOCATION"
    if pointer.exists():
        place = Path(pointer.read_text().strip())
        if not place.is_dir():  # starting empty without a word would look like a loss of everything
            raise EmbeddedError(
                f"the data of {home} was in {place}, which is gone: restore it, or remove {pointer}"
            )
        return place
    if runner.can_reach(own):
        return own
    place = elsewhere(f"{name}-{secrets.token_hex(6)}", runner)
    pointer.write_text(f"{place}\n")
    return place


def reachable_copy(trees: list[Path], probes: list[Path], name: str, runner: Runner) -> Path:
    """The folder that holds `trees` side by side, where the user can reach them: theirs, or that of a copy.

    `probes` are files inside the trees that must be readable. A copy is made in a draft folder and renamed,
    so that it is whole or absent.
    """
    if all(runner.can_reach(probe) for probe in probes):
        return trees[0].parent
    target = elsewhere("software", runner) / name
    if not target.exists():
        draft = target.with_name(f"{name}.{os.getpid()}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        for tree in trees:
            ignored = shutil.ignore_patterns("__pycache__", "include")
            shutil.copytree(tree, draft / tree.name, symlinks=True, ignore=ignored)
        for path in [draft, *draft.rglob("*")]:
            if path.is_symlink():
                continue  # what it points at has its own turn
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        draft.rename(target)
    return target
