"""What the vLLM engine promises, against a stand-in over real sockets, and the same against vLLM itself (long)."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from generation.engines.asked import CodeWork, Message, Piece, Sampling, Structure
from generation.engines.errors import (
    ContextTooLong,
    EndpointAway,
    EndpointBusy,
    ModelUnavailable,
    UnsupportedWork,
)
from generation.engines.tokens import tokenizer_of
from generation.engines.vllm.engine import CannotContinue, VllmEngine
from generation.engines.vllm.options import VllmOptions, read
from generation.engines.vllm.wire import ConnectionGone
from generation.policy import endpoint
from generation.scheduling import endpoints
from tests.generation.live import wait_for
from tests.generation.vllm_stand_in import standing_in

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "generation/weights/pocket-code"
PROMPT = "def mean(values):\n"
SCHEMA = '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}'
SEATS, QUEUE = 2, 2  # requests at once, and more that wait
PRIORITIES = {"first": -500, "last": -100}
EMPTY = Piece("", ())


@dataclass
class Served:
    """A server, whichever it is: its address, an engine for it, and how to see its books."""

    options: VllmOptions
    engine: VllmEngine

    def samples(self) -> dict[str, float]:
        with urllib.request.urlopen(self.options.metrics_url, timeout=10) as answer:
            return endpoints.samples(answer.read().decode())

    def load(self) -> endpoint.Load:
        return endpoint.load(self.samples())


def served_at(url: str) -> Served:
    options = VllmOptions(url, "pocket-code", patience_s=5.0)
    return Served(options, VllmEngine(FOLDER, "test", options, 512, lambda lane: PRIORITIES.get(lane, 0)))


@pytest.fixture(scope="module", params=["stand-in", pytest.param("vllm", marks=pytest.mark.long)])
def served(request) -> Iterator[Served]:
    """With few seats, so that it is full soon."""
    if request.param == "stand-in":
        with standing_in(FOLDER, seats=SEATS, most=SEATS + QUEUE, token_s=0.005) as stand_in:
            yield served_at(stand_in.url)
    else:
        with vllm_itself() as url:
            yield served_at(url)


@contextmanager
def vllm_itself() -> Iterator[str]:
    """`make vllm-up` with few places, on a port of its own, stopped at the end; or one that runs so, VLLM_TEST_URL."""
    if running := os.environ.get("VLLM_TEST_URL"):
        yield running
        return
    if not (ROOT / "var/vllm/venv/bin/python").exists():
        pytest.skip("vLLM is not installed; make vllm-install")
    few = f"--max-num-seqs {SEATS} --max-num-queued-reqs {SEATS + QUEUE}"
    environment = os.environ | {"VLLM_PORT": "8117", "VLLM_ARGS": few}
    process = subprocess.Popen(["make", "vllm-up"], cwd=ROOT, env=environment, start_new_session=True)
    try:
        wait_for(lambda: process.poll() is not None or answers("http://127.0.0.1:8117"), within=300)
        assert process.poll() is None
        yield "http://127.0.0.1:8117"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(f"{url}/v1/models", timeout=5).status == 200
    except OSError:
        return False


def work(
    max_tokens: int = 12, *, lane: str = "", given: tuple[int, ...] = (), prompt: str = PROMPT, **sampling
):
    values = {"temperature": 0.8, "top_p": 1.0, "seed": 1} | sampling
    return CodeWork(prompt, Sampling(max_tokens=max_tokens, **values), given=given, lane=lane)


def whole(served: Served, asked: CodeWork) -> tuple[str, tuple[int, ...], str]:
    """Text, ids and how it ended."""
    pieces = list(served.engine.stream(asked))
    assert [piece.finish_reason for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    ids = tuple(token for piece in pieces for token in piece.ids)
    return "".join(piece.text for piece in pieces), ids, pieces[-1].finish_reason


class TestAnswers:
    def test_text_and_tokens_belong_together_and_the_length_is_exact(self, served):
        text, ids, reason = whole(served, work(12, temperature=0.0))
        assert (len(ids), reason) == (12, "length")
        assert text == tokenizer_of(FOLDER).decode(list(ids))
        assert served.engine.device_name == "vllm 0.32.0"

    def test_the_seed_decides(self, served):
        first, again, other = (whole(served, work(24, seed=seed)) for seed in (5, 5, 6))
        assert first == again
        assert first != other

    def test_what_was_given_is_gone_on_from_and_not_sent_again(self, served):
        _, ids, _ = whole(served, work(20, temperature=0.0))
        _, rest, reason = whole(served, work(12, temperature=0.0, given=ids[:8]))
        assert (rest, reason) == (ids[8:], "length")
        _, once, _ = whole(served, work(12, given=ids[:8]))
        assert once == whole(served, work(12, given=ids[:8]))[1]

    def test_no_more_than_the_context_holds(self, served):
        prompt = tokenizer_of(FOLDER).decode([200] * 490)
        asked = work(600, prompt=prompt, temperature=0.0)
        _, ids, reason = whole(served, asked)
        room = 512 - len(tokenizer_of(FOLDER).encode(prompt).ids)
        assert reason in ("length", "stop")
        assert len(ids) == room or reason == "stop"
        assert whole(served, replace(asked, given=(200,) * room)) == ("", (), "length")

    def test_a_stop_sequence_ends_it_and_is_no_part_of_it(self, served):
        text, ids, _ = whole(served, work(20, temperature=0.0))
        stop = text[9:14]
        cut, _, reason = whole(served, work(20, temperature=0.0, stop=(stop,)))
        assert (cut, reason) == (text[: text.index(stop)], "stop")

    def test_half_a_stop_sequence_that_was_given_counts(self, served):
        text, ids, _ = whole(served, work(20, temperature=0.0))
        tokenizer = tokenizer_of(FOLDER)
        before = tokenizer.decode(list(ids[:8]))
        stop = text[len(before) - 2 : len(before) + 2]
        if stop in before:
            return
        cut, _, reason = whole(served, work(12, temperature=0.0, given=ids[:8], stop=(stop,)))
        assert (cut, reason) == ("", "stop")

    def test_a_conversation_without_a_template_is_read_plainly(self, served):
        asked = CodeWork("", work(4, temperature=0.0).sampling, messages=(Message("user", PROMPT),))
        assert whole(served, asked) == whole(served, work(4, temperature=0.0))


class TestStructures:
    @pytest.mark.parametrize(
        ("structure", "fits"),
        [
            (Structure("regex", "[0-9]{3}"), lambda text: len(text) == 3 and text.isdigit()),
            (Structure("grammar", 'start: "yes" | "no"\n'), lambda text: text in ("yes", "no")),
            (Structure("json_schema", SCHEMA), lambda text: isinstance(json.loads(text)["a"], int)),
            (Structure("json_object"), lambda text: isinstance(json.loads(text), dict)),
        ],
    )
    def test_the_answer_keeps_to_it_and_can_be_continued(self, served, structure, fits):
        seed = next(
            seed for seed in range(30) if whole(served, work(60, structure=structure, seed=seed))[2] == "stop"
        )
        text, ids, _ = whole(served, work(60, structure=structure, seed=seed))
        assert fits(text), text
        asked = work(60, structure=structure, seed=seed, given=ids[:1])
        assert whole(served, asked)[1] == ids[1:]

    def test_what_the_server_can_not_compile_is_refused(self, served):
        with pytest.raises(UnsupportedWork, match="Grammar error"):
            whole(served, work(8, structure=Structure("regex", "((")))

    def test_one_that_comes_out_differently_is_not_patched_together(self, served):
        with pytest.raises(CannotContinue):
            whole(served, work(8, structure=Structure("regex", "[0-9]{3}"), given=(70, 71)))


class TestRefusals:
    def test_a_prompt_over_the_context_is_told_with_both_numbers(self, served):
        with pytest.raises(ContextTooLong) as told:
            served.engine.stream(work(prompt="x = 1\n" * 400))
        assert (told.value.limit, told.value.asked) == (512, 1601)

    def test_so_is_one_that_only_the_server_finds_too_long(self, served):
        engine = served_at(served.options.url).engine
        engine.context_length = 4_096
        with pytest.raises(ContextTooLong):
            list(engine.stream(work(8, prompt="x = 1\n" * 400)))

    @pytest.mark.parametrize(
        ("change", "context", "why"),
        [
            ({"model": "another"}, 512, "serves pocket-code, not another"),
            ({}, 4_096, "a context of 512 tokens; the registry promises 4096"),
        ],
    )
    def test_a_server_that_is_not_what_the_registry_says_is_not_used(self, served, change, context, why):
        with pytest.raises(ModelUnavailable, match=why):
            VllmEngine(FOLDER, "test", replace(served.options, **change), context)

    def test_one_that_reads_texts_otherwise_is_not_used(self, served, tmp_path):
        letters = json.loads((FOLDER / "tokenizer.json").read_text())
        letters["model"]["merges"] = []
        (tmp_path / "tokenizer.json").write_text(json.dumps(letters))
        with pytest.raises(ModelUnavailable, match="reads a text as other tokens"):
            VllmEngine(tmp_path, "test", served.options, 512)


def slow(served: Served, lane: str = "") -> CodeWork:
    """An answer that is under way for a while: it may not end before nine Q, which are unlikely."""
    return work(480, lane=lane, structure=Structure("regex", "[a-z ]*Q{9}"))


class _Reader(threading.Thread):
    """Reads a stream beside the test; `began` once something came."""

    def __init__(self, served: Served, asked: CodeWork) -> None:
        super().__init__(daemon=True)
        self.pieces, self.asked, self.served = [], asked, served
        self.began, self.leave = threading.Event(), threading.Event()
        self.problem = None
        self.start()

    def run(self) -> None:
        try:
            with closing(self.served.engine.stream(self.asked)) as stream:
                for piece in stream:
                    self.pieces.append(piece)
                    if piece.ids:
                        self.began.set()
                    if self.leave.is_set():
                        return
        except (EndpointBusy, ConnectionGone) as problem:
            self.problem = problem


class TestOfManyAtOnce:
    def test_leaving_aborts_the_work_within_a_second(self, served):
        reader = _Reader(served, slow(served))
        assert reader.began.wait(10)
        assert served.load().running == 1
        reader.leave.set()
        assert wait_for(lambda: served.load().running == 0, within=10) < 1.0

    def test_a_lane_of_more_weight_goes_first_and_who_waits_hears_a_beat(self, served):
        occupying = [_Reader(served, slow(served)) for _ in range(SEATS)]
        assert all(reader.began.wait(10) for reader in occupying)
        late = _Reader(served, slow(served, "last"))
        wait_for(lambda: served.load().waiting == 1)
        first = _Reader(served, slow(served, "first"))
        wait_for(lambda: served.load().waiting == 2)
        time.sleep(0.6)
        occupying[0].leave.set()
        assert first.began.wait(10)
        assert not late.began.is_set()
        assert {piece for piece in first.pieces if not piece.ids} == {EMPTY}
        occupying[1].leave.set()
        assert late.began.wait(10)
        for reader in (first, late):
            reader.leave.set()
        wait_for(lambda: served.load().running == 0)

    def test_a_full_server_is_waited_for_and_then_told(self, served):
        everyone = [_Reader(served, slow(served)) for _ in range(SEATS + QUEUE)]
        wait_for(lambda: served.load().waiting == QUEUE)
        assert served.load().full
        impatient = Served(served.options, served_at(served.options.url).engine)
        impatient.engine.options = replace(served.options, patience_s=0.3)
        with pytest.raises(EndpointBusy):
            whole(impatient, work(4))
        patient = _Reader(served, work(4))
        time.sleep(0.3)
        for reader in everyone:
            reader.leave.set()
        assert patient.began.wait(10)
        patient.join(10)
        assert patient.problem is None
        assert sum(len(piece.ids) for piece in patient.pieces) == 4

    def test_the_same_beginning_comes_from_the_cache(self, served):
        new = f"# {time.time_ns()}\n"  # to a server that runs for longer than this test
        prompt = new + "".join(f"value_{number} = {number}\n" for number in range(40))
        before = served.samples()
        whole(served, work(2, prompt=prompt))
        whole(served, work(2, prompt=prompt))
        after = served.samples()
        length = len(tokenizer_of(FOLDER).encode(prompt).ids)
        queries, hits = (after[name] - before[name] for name in endpoint.PREFIX)
        assert queries == 2 * length
        assert length / 2 < hits <= length


class TestDeath:
    """The stand-in dies as often as it takes; vLLM itself only once, at the end of `make bench NAME=vllm`."""

    def test_a_server_that_dies_under_an_answer_is_told_with_what_came_before(self):
        with standing_in(FOLDER, dies_after=5) as stand_in:
            served = served_at(stand_in.url)
            reader = _Reader(served, work(12, temperature=0.0))
            reader.join(10)
            assert isinstance(reader.problem, ConnectionGone)
            ids = [token for piece in reader.pieces for token in piece.ids]
            assert len(ids) == 5
            stand_in.dies_after = 10_000
            assert tuple(ids) == whole(served, work(12, temperature=0.0))[1][:5]

    def test_one_that_comes_back_in_time_is_waited_for(self):
        with standing_in(FOLDER) as stand_in:
            served = served_at(stand_in.url)
        reader = _Reader(served, work(4))
        time.sleep(0.6)
        assert reader.problem is None
        assert set(reader.pieces) == {EMPTY}
        with standing_in(FOLDER, port=stand_in.port):
            assert reader.began.wait(10)
            reader.join(10)

    def test_one_that_stays_away_is_told_of(self):
        with standing_in(FOLDER) as stand_in:
            served = served_at(stand_in.url)
        served.engine.options = replace(served.options, patience_s=0.3)
        with pytest.raises(EndpointAway, match="can't be reached"):
            whole(served, work(4))
        with pytest.raises(EndpointAway):
            VllmEngine(FOLDER, "test", served.engine.options, 512)

    def test_one_that_falls_silent_is_not_waited_for_for_ever(self):
        with standing_in(FOLDER, token_s=30.0) as stand_in:
            served = served_at(stand_in.url)
            served.engine.options = replace(served.options, silence_s=0.5)
            with pytest.raises(ConnectionGone, match="said nothing"):
                whole(served, work(4))


def test_a_rows_options_are_read_or_refused_by_name():
    assert read({"url": "http://host:8000/", "model": "coder"}) == VllmOptions("http://host:8000", "coder")
    for written, why in [
        ({"model": "coder"}, "options.url is missing"),
        ({"url": "http://host", "model": "c", "urls": 1}, "unknown keys: urls"),
        ({"url": "ftp://host", "model": "c"}, "it is http:// or https://"),
        ({"url": "http://host/v1", "model": "c"}, "without a path"),
        ({"url": "http://me:secret@host", "model": "c"}, "holds a password"),
        ({"url": "http://host", "model": "c", "patience_s": 0}, "above 0"),
    ]:
        with pytest.raises(ModelUnavailable, match=why):
            read(written)


def test_a_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("CODER_KEY", "k")
    assert read({"url": "http://host", "model": "c", "key_env": "CODER_KEY"}).key == "k"
    assert VllmOptions("http://host", "c", key_env="NOT_SET").key == ""
