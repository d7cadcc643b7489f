"""What a stream of code costs beside the engine itself: time to the first token, tokens a second, many slow streams.

As deployed: one web process, a scorer, a code worker with two slots, over HTTP. The reference is the same model in this
process, asked directly for the same answer, in turns with ours. Screening and the holding back of text that may begin
something forbidden are on: blanks at the beginning are never held back, so the first word is told apart from the first
token. A rate is that between the first text and the last.

The slow streams are submitted like any other while no worker runs; then a writer here sends each a segment every few
seconds, as a worker does, with the moment in it, and a reader notes when it arrives. Memory is what the web process
grew by.
"""

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from django.db import connection

from bench import stream_readers
from bench.admission import AS_DEPLOYED, STARTS_WITHIN_S, customer, models_serve, roomy_terms, wait_for
from bench.harness import Figure, Run, percentile
from bench.scoring import scoring
from console.embedded.server import free_port
from console.supervisor import programs
from generation import registry
from generation.engines.asked import CodeWork, Sampling
from generation.models import Kind, Worker
from generation.revisions import loading

SHORT = os.environ.get("SHORT") == "1"
TURNS = 10 if SHORT else 40
STREAMS = 100 if SHORT else 1_000
SLOW_S = 5 if SHORT else 12
PROMPT = 'def mean(values):\n    """The arithmetic mean of a list of numbers."""\n'
TOKENS = 128
OPENING = 8  # streams that are opened at the same time
CREDIT = 10**15
LONG = 40  # tokens: the rate of an answer of a few says little


@dataclass(frozen=True)
class Answer:
    """Seconds to the first text, to the first that is not blank, and to the last; and how many tokens there were."""

    first_s: float
    word_s: float
    last_s: float
    tokens: int

    @property
    def per_second(self) -> float:
        """Behind the first token."""
        return (self.tokens - 1) / (self.last_s - self.first_s)


class Watch:
    """Notes when text comes."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.first = self.word = self.last = 0.0

    def see(self, text: str) -> None:
        if text:
            self.last = time.perf_counter() - self.began
            self.first = self.first or self.last
            if text.strip():
                self.word = self.word or self.last

    def answer(self, tokens: int) -> Answer:
        return Answer(self.first, self.word, self.last, tokens)


def measure(run: Run) -> Iterable[Figure]:
    """`added_first_token_ms_p50`, `_p99`, the same for the first word, `tokens_per_second`; of the slow streams
    `slow_streams_added_ms_p99` and `slow_stream_kb`."""
    models_serve()
    roomy_terms()
    _, raw = customer("bench-stream", CREDIT)
    with scoring(), TemporaryDirectory() as folder, serving(Path(folder)) as web:
        yield from _slow(web, raw)
        with working(Path(folder)):
            yield from _answers(web.url, raw)


@dataclass(frozen=True)
class Web:
    url: str
    pid: int


def _answers(url: str, raw: str) -> Iterable[Figure]:
    engine = loading.load(registry.find(None, Kind.CODE), "fp32")
    ours, direct = [], []
    for turn in range(TURNS + 3):
        both = streamed(url, raw, turn), asked_directly(engine, turn)
        if turn >= 3:  # the first ones open connections and fill caches
            ours.append(both[0])
            direct.append(both[1])
    pairs = list(zip(ours, direct, strict=True))
    tokens = [(one.first_s - other.first_s) * 1000 for one, other in pairs]
    words = [(one.word_s - other.word_s) * 1000 for one, other in pairs]
    engine_ms = 1000 * median(one.first_s for one in direct), 1000 * median(one.word_s for one in direct)
    for name, added, reference_ms in (("token", tokens, engine_ms[0]), ("word", words, engine_ms[1])):
        reference = f"the engine's own time to the first {name}, p50"
        yield Figure(f"added_first_{name}_ms_p50", percentile(added, 0.5), "ms", reference, reference_ms)
        yield Figure(f"added_first_{name}_ms_p99", percentile(added, 0.99), "ms", reference, reference_ms)
    long = [pair for pair in pairs if pair[1].tokens >= LONG]
    rates = [
        median(answers) for answers in zip(*((a.per_second, b.per_second) for a, b in long), strict=True)
    ]
    yield Figure("tokens_per_second", rates[0], "1/s", "the engine asked directly", rates[1])


def asked_directly(engine, turn: int) -> Answer:
    sampling = Sampling(max_tokens=TOKENS, temperature=0.7, top_p=1.0, seed=turn)
    watch, tokens = Watch(), 0
    for piece in engine.stream(CodeWork(PROMPT, sampling)):
        tokens += piece.tokens
        watch.see(piece.text)
    return watch.answer(tokens)


def streamed(url: str, raw: str, turn: int) -> Answer:
    """The same answer through the API."""
    place = urlsplit(url)
    client = http.client.HTTPConnection(place.hostname, place.port, timeout=120)
    client.connect()
    watch, tokens = Watch(), 0
    client.request("POST", "/v1/completions", json.dumps(_fields(turn)), _headers(raw))
    response = client.getresponse()
    if response.status != 200:
        raise RuntimeError(f"the stream was refused: {response.read(2000)!r}")
    while line := response.readline():
        if not line.startswith(b"data: {"):
            continue
        chunk = json.loads(line[6:])
        if "error" in chunk:
            raise RuntimeError(f"the stream broke off: {chunk}")
        if chunk.get("usage"):
            tokens = chunk["usage"]["completion_tokens"]
        else:
            watch.see(chunk["choices"][0]["text"])
    client.close()
    return watch.answer(tokens)


def _fields(seed: int) -> dict:
    asked = {"prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0.7, "seed": seed}
    return {**asked, "stream": True, "stream_options": {"include_usage": True}}


def _headers(raw: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {raw}", "Content-Type": "application/json"}


def _slow(web: Web, raw: str) -> Iterable[Figure]:
    body = json.dumps(_fields(0)).encode()
    asked = stream_readers.request(web.url, raw, body)
    stream_readers.run(web.url, asked, OPENING, OPENING, 1)  # what a first stream loads is no stream's own
    before = memory_kb(web.pid)
    seen = stream_readers.run(web.url, asked, STREAMS, OPENING, SLOW_S, lambda: memory_kb(web.pid))
    if seen.broken:
        raise RuntimeError(f"{seen.broken} of {STREAMS} streams broke off")
    late = [1000 * seconds for seconds in seen.late]
    reference = "the median of the same"
    yield Figure("slow_streams_added_ms_p99", percentile(late, 0.99), "ms", reference, median(late))
    each = (seen.measured - before) / STREAMS
    yield Figure("slow_stream_kb", each, "kB", "the web process without streams, whole", before)


def memory_kb(pid: int) -> int:
    """What a process alone has in memory, and its share of what it has with others."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("this system does not tell the memory of a process")


@contextmanager
def serving(folder: Path) -> Iterator[Web]:
    """One web process, as `serve` starts it."""
    port = free_port(None)
    many = {"STREAMS_PER_KEY": str(2 * STREAMS)}
    with _running(folder, programs.web(port), {**AS_DEPLOYED, **many}) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, process, folder / "web.log")
        yield Web(url, process.pid)


@contextmanager
def working(folder: Path, pool: str = "code", slots: int = 2) -> Iterator[None]:
    """The worker of a pool, as `serve` starts it, with its model loaded."""
    with _running(folder, programs.worker(pool, slots), {}) as process:
        ends_at = time.monotonic() + STARTS_WITHIN_S
        while not Worker.objects.filter(pool_id=pool, stopped_at=None).exists():
            if process.poll() is not None or time.monotonic() > ends_at:
                raise RuntimeError(f"no worker: {(folder / f'{pool}.log').read_text()[-2000:]}")
            time.sleep(0.2)
        yield


@contextmanager
def _running(folder: Path, program: programs.Program, more: dict[str, str]) -> Iterator[subprocess.Popen]:
    connection.close()
    with (folder / f"{program.name}.log").open("wb") as log:
        process = subprocess.Popen(
            program.command,
            cwd=programs.PROJECT,
            env={**program.surroundings(), **more},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    except RuntimeError as problem:
        problem.add_note((folder / f"{program.name}.log").read_text()[-3000:])
        raise
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
