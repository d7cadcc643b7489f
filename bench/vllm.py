"""Completions by a vLLM server through Backlot, beside the same requests sent to the server itself.

As deployed: one web process, a scorer, a worker with 16 slots; all of them and this process share the processors that
the server does not have. Requests go in turns, ours and direct ones, with the same prompts and seeds. The text filter
is on. Throughput is asked of two models, because a step of the small one takes about as much of a processor as Backlot
does for its tokens: of it the figure says what Backlot costs, of the larger one what a server of that size loses by it.
What the prefix cache gains is measured on the engine, by the server's own counters.
"""

import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from bench import stream, vllm_server
from bench.admission import customer, models_serve, roomy_terms
from bench.harness import Figure, Run, percentile
from bench.scoring import scoring
from console.embedded.server import free_port
from generation.engines.asked import CodeWork, Sampling
from generation.models import EndpointLoad, Lane, RegisteredModel
from generation.revisions import loading, registering
from generation.revisions.presets import PRESETS
from generation.scheduling import endpoints

SHORT = os.environ.get("SHORT") == "1"
AT_ONCE = 16
ROUNDS = 2 if SHORT else 3  # requests of each of the 16 in a turn
TURNS = 3 if SHORT else 7
TOKENS = 96
FIRSTS = 10 if SHORT else 40
SHARED = 24 if SHORT else 60  # lines that long prompts begin with
MODEL, POOL = "pocket-code-vllm", "coder"
CREDIT = 10**15

Ask = Callable[[str, int], tuple[float, float, int]]


def measure(run: Run) -> Iterable[Figure]:
    """`tokens_per_second_16`, `added_first_token_ms_p50` and `_p99`, `prefix_hit_rate`, `first_token_cached_ms`; of the
    larger model `tokens_per_second_16_half_billion`."""
    if not vllm_server.PYTHON.exists():
        print("vllm: left out, vLLM is not installed (make vllm-install)", file=sys.stderr)
        return
    port = free_port(None)
    with TemporaryDirectory() as place:
        with _server(Path(place), vllm_server.DEEP, port) as (folder, url):
            model, raw = _registered(folder, url)
            yield from _prefix(model)
            with _asked_both_ways(Path(place), url, raw) as (ours, direct):
                yield from _throughput(ours, direct, ROUNDS, "")
                yield from _first_tokens(ours, direct)
        # At the same address and under the same name: to Backlot the server was away for a while.
        with (
            _server(Path(place), vllm_server.WIDE, port) as (_, url),
            _asked_both_ways(Path(place), url, raw) as (ours, direct),
        ):
            yield from _throughput(ours, direct, 1, "_half_billion")


@contextmanager
def _server(place: Path, size: vllm_server.Size, port: int) -> Iterator[tuple[Path, str]]:
    folder = vllm_server.write_model(place / f"layers-{size.layers}", size)
    with vllm_server.running(folder, port, MODEL) as url, scoring():  # which inherits the other processors
        endpoints.look()
        yield folder, url


@contextmanager
def _asked_both_ways(place: Path, url: str, raw: str) -> Iterator[tuple[Ask, Ask]]:
    with stream.serving(place) as web, stream.working(place, POOL, AT_ONCE):
        yield _asking(web.url, _headers(raw), _asked), _asking(url, _headers(""), _asked_of_it)


def _registered(folder: Path, url: str) -> tuple[RegisteredModel, str]:
    """The model serves, for a customer whom only credits bound."""
    preset = PRESETS[MODEL]
    preset = replace(preset, facts={**preset.facts, "context": vllm_server.CONTEXT})
    row = registering.register(preset, registering.Place(folder, "bench", url=url), "bench", "a benchmark")
    models_serve()
    roomy_terms()
    Lane.objects.filter(pool=POOL).update(max_running=10 * AT_ONCE)
    row.refresh_from_db()
    return row, customer("bench-vllm", CREDIT)[1]


def _asking(url: str, headers: dict[str, str], body: Callable[[str, int], dict]) -> Ask:
    """A request's seconds to its first text that is not blank and to its end, and its tokens."""
    place = urlsplit(url)

    def ask(prompt: str, seed: int) -> tuple[float, float, int]:
        client = http.client.HTTPConnection(place.hostname, place.port, timeout=300)
        began, first, tokens = time.perf_counter(), 0.0, 0
        client.request("POST", "/v1/completions", json.dumps(body(prompt, seed)), headers)
        response = client.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{url} refused: {response.read(2000)!r}")
        while line := response.readline():
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise RuntimeError(f"the stream broke off: {chunk}")
            if not first and chunk["choices"] and chunk["choices"][0]["text"].strip():
                first = time.perf_counter() - began
            if chunk.get("usage"):
                tokens = chunk["usage"]["completion_tokens"]
        client.close()
        return first, time.perf_counter() - began, tokens

    return ask


def _asked(prompt: str, seed: int) -> dict:
    asked = {"model": MODEL, "prompt": prompt, "max_tokens": TOKENS, "temperature": 0.7, "top_p": 1.0}
    return {**asked, "seed": seed, "stream": True, "stream_options": {"include_usage": True}}


def _asked_of_it(prompt: str, seed: int) -> dict:
    return {**_asked(prompt, seed), "top_k": 0}


def _headers(raw: str) -> dict[str, str]:
    own = {"Authorization": f"Bearer {raw}"} if raw else {}
    return {"Content-Type": "application/json", **own}


def _throughput(ours: Ask, direct: Ask, rounds: int, suffix: str) -> Iterable[Figure]:
    rates: dict[str, list[float]] = {"ours": [], "direct": []}
    for turn in range(TURNS + 1):
        for name, ask in (("ours", ours), ("direct", direct)):
            rate = _tokens_per_second(ask, turn, rounds)
            if turn:  # the first opens connections and fills caches
                rates[name].append(rate)
    yield Figure(
        f"tokens_per_second_{AT_ONCE}{suffix}",
        median(rates["ours"]),
        "1/s",
        "the server asked directly",
        median(rates["direct"]),
    )
    ratios = [a / b for a, b in zip(rates["ours"], rates["direct"], strict=True)]
    yield Figure(
        f"tokens_per_second_{AT_ONCE}{suffix}_worst_turn",
        min(ratios),
        "1",
        "the best turn's ratio",
        max(ratios),
    )


def _tokens_per_second(ask: Ask, turn: int, rounds: int) -> float:
    """16 clients that each ask for the next answer when the last has come."""

    def client(number: int) -> int:
        return sum(
            ask(f"def task_{number}_{round_}(values):\n", 1000 * turn + 100 * round_ + number)[2]
            for round_ in range(rounds)
        )

    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as clients:
        tokens = sum(clients.map(client, range(AT_ONCE)))
    return tokens / (time.perf_counter() - began)


def _first_tokens(ours: Ask, direct: Ask) -> Iterable[Figure]:
    pairs = [
        (ours(stream.PROMPT, 50_000 + turn)[0], direct(stream.PROMPT, 50_000 + turn)[0])
        for turn in range(FIRSTS)
    ]
    added = [1000 * (one - other) for one, other in pairs]
    own = 1000 * median(other for _, other in pairs)
    reference = "the server's own time to first token, p50"
    yield Figure("added_first_token_ms_p50", percentile(added, 0.5), "ms", reference, own)
    yield Figure("added_first_token_ms_p99", percentile(added, 0.99), "ms", reference, own)


def _prefix(model: RegisteredModel) -> Iterable[Figure]:
    """Long prompts that share their beginning, beside ones of the same length that share nothing."""
    engine = loading.load(model, model.precision)
    lines = "".join(f"field_{number} = column('field_{number}', {number})\n" for number in range(SHARED))

    def first_s(prompt: str) -> float:
        began = time.perf_counter()
        pieces = engine.stream(CodeWork(prompt, Sampling(4, 0.0, 1.0, 0)))
        seconds = next(time.perf_counter() - began for piece in pieces if piece.ids or piece.finish_reason)
        pieces.close()
        return seconds

    cold, cached = [], []
    first_s(f"{lines}# the first fills the cache\n")
    queries = hits = 0
    for turn in range(FIRSTS):
        cold.append(first_s(f"# {turn:06}\n{lines}"))
        before = _counted()
        cached.append(first_s(f"{lines}# {turn:06}\n"))
        after = _counted()
        queries, hits = queries + after[0] - before[0], hits + after[1] - before[1]
    yield Figure("prefix_hit_rate", hits / queries, "1", "all prompt tokens looked up", 1.0)
    reference = "prompts of the same length that share nothing"
    yield Figure("first_token_cached_ms", 1000 * median(cached), "ms", reference, 1000 * median(cold))


def _counted() -> tuple[int, int]:
    endpoints.look()
    load = EndpointLoad.objects.get(pk=POOL)
    return load.prefix_queries, load.prefix_hits
