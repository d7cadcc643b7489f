"""What a job's page gives to copy makes the same clip or answer: run as it stands, in a shell and in Python."""

import os
import subprocess
import sys

import pytest

from generation.lineage import remixes
from generation.models import Job, State
from generation.pages.copies import copies_of
from tests.generation.api_stage import deliver, media_folder, tenant
from tests.generation.live import serving, wait_for
from tests.generation.queueing import caller, submit, submit_code

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder", "clean_redis")]
AWKWARD = 'it\'s a "red" ball & $HOME `ls` <b>\\n äß'


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


@pytest.fixture(scope="module")
def address():
    with serving() as found:
        yield found


@pytest.fixture
def plus(db):
    return tenant("plus")


def ran(plus, *command: str) -> str:
    environment = {**os.environ, "BACKLOT_API_KEY": plus.raw}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked_only(python: str) -> str:
    """Without what waits for the result: nobody makes clips here."""
    lines = python.replace("create_and_poll", "create").splitlines()
    kept = [line for line in lines if "poll(" not in line and "download_content" not in line]
    return "\n".join(["import warnings", "warnings.simplefilter('ignore')", *kept, "print(video.id)"])


def newest(but: Job) -> Job:
    return Job.objects.exclude(pk=but.pk).latest("created_at")


def test_a_clip(plus, address):
    made = submit(plus, prompt=AWKWARD, seed=7, size="64x64", seconds="2")
    copies = copies_of(made, f"{address}/v1")
    for command in (("bash", "-c", copies.curl), (sys.executable, "-c", asked_only(copies.python))):
        assert "video_" in ran(plus, *command)
        again = newest(made)
        assert (again.spec_hash, again.prompt, again.seed) == (made.spec_hash, AWKWARD, 7)


def test_a_remix(plus, address):
    parent = deliver(submit(plus, seed=7))
    made = remixes.submit(caller(plus), parent, {"prompt": AWKWARD})
    copies = copies_of(made, f"{address}/v1")
    for command in (("bash", "-c", copies.curl), (sys.executable, "-c", asked_only(copies.python))):
        ran(plus, *command)
        again = newest(made)
        assert (again.spec_hash, again.parent_id) == (made.spec_hash, parent.pk)


def test_code(plus, address):
    made = submit_code(plus, prompt=f"# {AWKWARD}\n", seed=3, stop=["\n\n", "'"])
    curl = copies_of(made, f"{address}/v1").curl
    # Nobody writes answers here: it is enough that the request is the same one.
    background = subprocess.Popen(
        ["bash", "-c", curl], env={**os.environ, "BACKLOT_API_KEY": plus.raw}, stdout=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: Job.objects.exclude(pk=made.pk).exists())
    finally:
        background.kill()
        background.wait()
    assert (newest(made).spec_hash, newest(made).state) == (made.spec_hash, State.QUEUED)
