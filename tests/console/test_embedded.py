"""The embedded servers: found, shared, healed, and gone when their last user is gone."""

import contextlib
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from console.embedded import state
from console.embedded.postgres import answers
from tests.console.holders import Holder, alive, end_those_left, pids, seconds_until_gone

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the embedded servers need POSIX")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One home for the tests that leave it stopped: in a path with spaces that every user can reach."""
    root = Path(tempfile.mkdtemp(prefix="backlot test "))
    root.chmod(0o755)
    yield root / "a home"
    shutil.rmtree(root)


@pytest.fixture(autouse=True)
def _one_failure_is_one() -> Iterator[None]:
    yield
    end_those_left()


def query(url: str, statement: str):
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchone()[0]


def test_a_cold_start_gives_a_guarded_postgresql_and_valkey_and_leaves_nothing(home):
    holder = Holder(home)
    found, processes = holder.found(), pids(home)
    assert found["started_here"]
    assert found["sentence"].startswith("PostgreSQL 18.")
    assert query(found["DATABASE_URL"], "SHOW server_version").startswith("18.")
    assert query(found["DATABASE_URL"], "SHOW listen_addresses") == "127.0.0.1"
    assert query(
        found["DATABASE_URL"],
        "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'backlot'",
    )
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(found["DATABASE_URL"].replace("backlot:", "backlot:wrong"))
    with redis.Redis.from_url(found["REDIS_URL"]) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
    host_and_port = found["REDIS_URL"].rpartition("@")[2]
    with (
        redis.Redis.from_url(f"redis://{host_and_port}") as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    assert stat.S_IMODE((home / "run" / "services.json").stat().st_mode) == 0o600
    assert holder.leave() == 0
    assert alive(processes) == set()
    assert not (home / "run" / "services.json").exists()


def test_a_second_start_finds_the_first_and_says_so_and_the_last_one_out_stops_them(home):
    first = Holder(home)
    theirs, processes = first.found(), pids(home)
    second = Holder(home)
    ours = second.found()
    assert not ours["started_here"]
    assert f"found running in {home}" in ours["sentence"]
    assert ours["DATABASE_URL"] == theirs["DATABASE_URL"]
    assert ours["REDIS_URL"] == theirs["REDIS_URL"]
    first.leave()
    assert alive(processes) == {"keeper", "postgres", "valkey"}, "the second still uses them"
    assert query(ours["DATABASE_URL"], "SELECT 1") == 1
    second.leave()
    assert alive(processes) == set()


def test_starting_at_the_same_moment_makes_one_pair(home):
    holders = [Holder(home) for _ in range(3)]
    found = [holder.found() for holder in holders]
    assert [one["started_here"] for one in found].count(True) == 1
    assert len({one["DATABASE_URL"] for one in found}) == 1
    for holder in holders:
        holder.leave()


def test_kill_9_of_the_launcher_stops_both_and_loses_nothing(home):
    holder = Holder(home)
    found, processes = holder.found(), pids(home)
    with psycopg.connect(found["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    holder.kill()
    seconds_until_gone(processes, 2)
    again = Holder(home)
    assert query(again.found()["DATABASE_URL"], "SELECT answer FROM kept") == 42
    again.leave()


def test_kill_9_of_the_keeper_stops_both_and_its_user_can_have_them_back_where_they_were(home):
    holder = Holder(home)
    found, processes = holder.found(), pids(home)
    os.kill(processes["keeper"], 9)
    seconds_until_gone(processes, 2)
    assert holder.order("revive") == {"revived": True}
    assert query(found["DATABASE_URL"], "SELECT 1") == 1
    with redis.Redis.from_url(found["REDIS_URL"]) as client:
        assert client.ping()
    assert holder.order("revive") == {"revived": False}
    after = pids(home)
    holder.leave()
    assert alive(after) == set()


def test_a_server_that_ends_by_itself_comes_back_on_its_port(home):
    holder = Holder(home)
    found, before = holder.found(), pids(home)
    os.kill(before["valkey"], 9)
    seconds_until_gone({"valkey": before["valkey"]}, 2)
    with redis.Redis.from_url(
        found["REDIS_URL"], retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.1), 50)
    ) as client:
        assert client.ping()
    assert pids(home)["postgres"] == before["postgres"]
    holder.leave()


def test_postgresql_comes_back_on_its_port_though_a_backend_of_the_killed_one_still_works(home):
    """The server refuses to start beside it; whoever holds the URL must find the next one there all the same."""
    holder = Holder(home)
    found, before = holder.found(), pids(home)
    with contextlib.closing(psycopg.connect(found["DATABASE_URL"])) as connection:
        backend = connection.info.backend_pid
        busy = threading.Thread(target=_counts_long, args=[connection])
        busy.start()
        time.sleep(0.3)
        os.kill(before["postgres"], 9)
        seconds_until_gone({"postgres": before["postgres"]}, 2)
        assert os.path.exists(f"/proc/{backend}") or sys.platform != "linux"
        deadline = time.monotonic() + 40
        while not answers(found["DATABASE_URL"]):
            assert time.monotonic() < deadline, "nothing answers at the old URL"
            time.sleep(0.1)
        busy.join()
    holder.leave()


def _counts_long(connection: psycopg.Connection) -> None:
    with contextlib.suppress(psycopg.OperationalError):
        connection.execute("SELECT sum(n) FROM generate_series(1, 20000000) AS n")


def test_a_server_that_keeps_ending_is_given_up_and_comes_back_where_it_was(home):
    holder = Holder(home)
    found, keeper = holder.found(), pids(home)["keeper"]
    deadline = time.monotonic() + 60
    while alive({"keeper": keeper}):
        assert time.monotonic() < deadline, "it is never given up"
        now = state.read(home)
        if now and (pid := now.servers["valkey"].pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        time.sleep(0.1)
    assert holder.order("revive") == {"revived": True}
    with redis.Redis.from_url(found["REDIS_URL"]) as client:
        assert client.ping()
    assert query(found["DATABASE_URL"], "SELECT 1") == 1
    holder.leave()


def test_a_pid_file_that_names_a_stranger_does_not_stop_the_start(home):
    """After kill -9 and a restart of the machine the number may belong to any program, here to this one."""
    Holder(home).leave()
    (home / "postgres" / "data" / "postmaster.pid").write_text(
        f"{os.getpid()}\n/elsewhere\n1\n5432\n\n127.0.0.1\n"
    )
    holder = Holder(home)
    assert query(holder.found()["DATABASE_URL"], "SELECT 1") == 1
    holder.leave()


def test_an_append_only_file_that_cannot_be_read_is_moved_aside(home):
    Holder(home).leave()
    folder = home / "valkey" / "data" / "appendonlydir"
    for path in folder.glob("*.manifest"):
        path.write_text("this is no manifest\n")
    holder = Holder(home)
    with redis.Redis.from_url(holder.found()["REDIS_URL"]) as client:
        assert client.ping()
    assert (home / "valkey" / "data.unreadable").exists()
    holder.leave()


def test_a_data_folder_of_another_version_is_refused_with_what_to_do(home):
    Holder(home).leave()
    version = home / "postgres" / "data" / "PG_VERSION"
    ours = version.read_text()
    version.write_text("15\n")
    holder = Holder(home)
    assert "was written by PostgreSQL 15, the wheel is 18" in holder.found()["error"]
    assert holder.process.wait() == 1
    version.write_text(ours)


def test_with_one_url_given_only_the_other_server_starts(home):
    holder = Holder(home, env={"DATABASE_URL": "postgresql://given@127.0.0.1:1/given"})
    found = holder.found()
    assert found["DATABASE_URL"] == "postgresql://given@127.0.0.1:1/given"
    assert set(pids(home)) == {"keeper", "valkey"}
    other = Holder(home)
    assert "without PostgreSQL" in other.found()["error"]
    assert other.process.wait() == 1
    holder.leave()


def test_an_initialization_that_was_cut_short_is_made_again(tmp_path):
    """Under pytest's own folder, which only its owner may enter: as root the data must go elsewhere."""
    home = tmp_path / "shut"
    draft = home / "postgres" / "data.draft"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    holder = Holder(home)
    found = holder.found()
    assert query(found["DATABASE_URL"], "SELECT 1") == 1
    data = Path(query(found["DATABASE_URL"], "SHOW data_directory"))
    holder.leave()
    if os.geteuid() == 0:
        pointer = home / "postgres" / "LOCATION"
        assert data.parent == Path(pointer.read_text().strip())
        assert home not in data.parents
        shutil.rmtree(data.parent)
    else:
        assert data == home / "postgres" / "data"
        assert not draft.exists()
