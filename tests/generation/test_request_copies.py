"""What a job's page gives to copy makes the same clip or answer: run as it stands, in a shell and in Python."""

import os
import subprocess
import sys

import httpx2
import numpy as np
import pytest

from generation.lineage import extensions, remixes
from generation.models import Job, State
from generation.pages.copies import copies_of
from generation.worker.encoding import encode
from tests.generation.api_stage import deliver, media_folder, tenant
from tests.generation.live import answering, serving
from tests.generation.queueing import caller, submit, submit_code
from tests.generation.test_input_pictures import able_model

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder", "clean_redis")]
SAID = [{"role": "system", "content": "Be short."}, {"role": "user", "content": 'def f():\n  "$y" \'\\`'}]
SAMPLED = {"model": "pocket-code", "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ["\n\n", "'"]}
OWN = {"partial": "ast", "language": "typescript"}
ASKED = [
    ("/completions", {"prompt": "def f(x):\n", "max_tokens": 16, "backlot": OWN}),
    ("/chat/completions", {"messages": SAID, "max_completion_tokens": 16, "backlot": OWN}),
    ("/responses", {"input": SAID[1:], "instructions": "Be short.", "max_output_tokens": 16, "store": False}),
    ("/responses", {"input": "def f(x):\n", "background": True, "metadata": {"for": "a 'test'"}}),
]
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


def test_an_extension(plus, address, tmp_path):
    able_model()
    film = encode(np.zeros((6, 48, 64, 3), np.uint8), 5, tmp_path / "clip.mp4").path.read_bytes()
    parent = deliver(submit(plus, model="pocket-picture", size="64x48", seconds="1"), film, own_digest=True)
    made = extensions.submit(caller(plus), parent, {"prompt": AWKWARD, "seconds": "1", "seed": 7})
    copies = copies_of(made, f"{address}/v1")
    for command in (("bash", "-c", copies.curl), (sys.executable, "-c", asked_only(copies.python))):
        assert "video_" in ran(plus, *command)
        again = newest(made)
        assert (again.spec_hash, again.parent_id, again.parent_relation) == (
            made.spec_hash,
            parent.pk,
            "extension",
        )
        assert (again.prompt, again.seed, again.state) == (AWKWARD, 7, State.SCREENING)


@pytest.mark.parametrize("asked", ASKED, ids=lambda path_and_fields: path_and_fields[0])
def test_code_in_each_contract(plus, address, asked):
    path, fields = asked
    with answering("pass\n"):
        first = httpx2.post(f"{address}/v1{path}", json=SAMPLED | fields, headers=plus.auth, timeout=60)
        assert first.status_code == 200, first.text
        made = Job.objects.get()
        copies = copies_of(made, f"{address}/v1")
        for command in (("bash", "-c", copies.curl), (sys.executable, "-c", copies.python)):
            said = ran(plus, *command)
            again = newest(made)
            assert (again.spec_hash, again.spec) == (made.spec_hash, made.spec)
            assert (again.prompt, again.seed) == (made.prompt, 3)
            assert fields.get("background") or "pass" in said


def test_code_is_asked_for_with_words_that_shells_know(plus, address):
    made = submit_code(plus, prompt=f"# {AWKWARD}\n", seed=3, stop=["\n\n", "'"])
    with answering():
        ran(plus, "bash", "-c", copies_of(made, f"{address}/v1").curl)
    assert newest(made).spec_hash == made.spec_hash
