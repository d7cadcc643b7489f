"""A small server that speaks as vLLM 0.32 does, over real sockets, and keeps the same books.

It has a batch of so many places, a queue by priority, a cache of prompt blocks, the counters of /metrics, and vLLM's
own ways: numbers as error codes, no Retry-After, an abort when the client leaves, errors of grammars inside the
stream, silence about fields that it doesn't know. Its tokens come from a hash, so the same seed and text give the
same answer.
"""

import asyncio
import contextlib
import hashlib
import itertools
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from generation.engines import tokens

BLOCK = 16
FOREVER = 10_000
SHORT = "[0-9]{3}"  # any other pattern is taken for one that words fit
STRUCTURED = {"regex": "401", "json": '{"a":7}', "json_object": "{}", "grammar": "no"}


@dataclass
class Request:
    """One stream under way: what was asked, and how far it is."""

    asked: dict
    number: int
    prompt: list[int]
    place: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def rank(self) -> tuple[int, int]:
        return self.asked.get("priority", 0), self.number


@dataclass
class StandIn:
    """Turn its knobs at any time: `seats` in the batch, the `most` in and before it, `token_s`, `dies_after` so many
    tokens of a stream, `context`. `asked` keeps every request's body."""

    folder: Path
    name: str = "pocket-code"
    seats: int = 16
    most: int | None = None
    token_s: float = 0.002
    dies_after: int = FOREVER
    context: int = 512
    waiting: list[Request] = field(default_factory=list)
    running: list[Request] = field(default_factory=list)
    asked: list[dict] = field(default_factory=list)
    counters: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("queries", "hits", "aborted", "rejected"), 0)
    )
    port: int = 0

    def __post_init__(self) -> None:
        self._tokenizer = tokens.tokenizer_of(self.folder)
        size = self._tokenizer.get_vocab_size()
        plain = (
            token for token in range(size) if re.fullmatch(r"[ a-z]{2,}", self._tokenizer.decode([token]))
        )
        self._words = list(itertools.islice(plain, 64))
        self._blocks: set[str] = set()
        self._numbers = itertools.count()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # HTTP.

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, path, _ = head.split(" ", 2)
            length = re.search(r"(?i)content-length: (\d+)", head)
            body = json.loads(await reader.readexactly(int(length[1]))) if length else {}
            if path == "/v1/completions":
                await self._complete(body, reader, writer)
            else:
                self._answer(writer, *self._short(path, body))
            await writer.drain()
        writer.close()

    def _short(self, path: str, body: dict) -> tuple[int, str]:
        match path:
            case "/version":
                return 200, json.dumps({"version": "0.32.0"})
            case "/v1/models":
                return 200, json.dumps({"data": [{"id": self.name, "max_model_len": self.context}]})
            case "/tokenize":
                return 200, json.dumps({"tokens": self._tokenizer.encode(body["prompt"]).ids})
            case "/metrics":
                return 200, self.metrics()
        return 404, _error(404, "Not Found")

    def _answer(self, writer: asyncio.StreamWriter, status: int, text: str) -> None:
        body = text.encode()
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)

    async def _complete(self, asked: dict, reader, writer) -> None:
        self.asked.append(asked)
        refused = self._refused(asked)
        if refused:
            self._answer(writer, *refused)
            return
        request = Request(asked, next(self._numbers), asked["prompt"])
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        left = asyncio.ensure_future(reader.read(1))  # nothing more comes but the end of the connection
        work = asyncio.ensure_future(self._stream(request, writer))
        await asyncio.wait({left, work}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            self.counters["aborted"] += 1
            work.cancel()
        left.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await work
        self._leave(request)

    def _refused(self, asked: dict) -> tuple[int, str] | None:
        if not all(type(asked[name]) is int for name in ("priority", "max_tokens", "seed")):
            return 400, _error(400, "Input should be a valid integer")
        if asked["model"] != self.name:
            return 404, _error(404, f"The model `{asked['model']}` does not exist.", "model")
        if len(asked["prompt"]) >= self.context:
            message = f"This model's maximum context length is {self.context} tokens."
            return 400, _error(400, message, "input_tokens", len(asked["prompt"]))
        if asked["max_tokens"] > self.context:
            return 400, _error(400, "max_tokens cannot be greater than max_model_len", "max_tokens")
        if self.most is not None and len(self.waiting) + len(self.running) >= self.most:
            self.counters["rejected"] += 1
            return 503, _error(503, "The request queue is full.")
        return None

    # The engine.

    async def _stream(self, request: Request, writer: asyncio.StreamWriter) -> None:
        structured = request.asked.get("structured_outputs")
        if structured and any(text == "((" for text in structured.values()):
            _send(writer, json.dumps({"error": {"message": "Grammar error", "code": 400, "param": None}}))
            _send(writer, "[DONE]")
            writer.write(b"0\r\n\r\n")
            return
        self.waiting.append(request)
        self._seat()
        await request.place.wait()
        self._count_prefix(request.prompt)
        await self._write(request, list(self._tokens(request)), writer)

    async def _write(self, request: Request, ids: list[tuple[int, str | None]], writer) -> None:
        for place, (token, reason) in enumerate(ids):
            await asyncio.sleep(self.token_s)
            if place >= self.dies_after:
                writer.transport.abort()
                return
            choice = {"index": 0, "text": "…", "token_ids": [token], "finish_reason": reason}
            _send(writer, json.dumps({"choices": [choice]}))
            await writer.drain()
        _send(writer, "[DONE]")
        writer.write(b"0\r\n\r\n")

    def _tokens(self, request: Request) -> Iterator[tuple[int, str | None]]:
        """The answer's ids; greedy ones depend on the text alone, so that a continuation goes on as it would have."""
        asked = request.asked
        structured = asked.get("structured_outputs")
        if structured and structured.get("regex", SHORT) == SHORT:
            kind = next(iter(structured))
            ids = self._tokenizer.encode(STRUCTURED[kind], add_special_tokens=False).ids
            yield from ((token, None) for token in ids)
            yield min(tokens.end_ids(self.folder)), "stop"
            return
        text, seed = list(request.prompt), asked["seed"] if asked["temperature"] else ""
        most = min(asked["max_tokens"], self.context - len(request.prompt))
        said = ""
        for place in range(most):
            digest = hashlib.sha256(f"{seed}/{text[-4:]}/{len(text)}".encode()).digest()
            text.append(self._words[digest[0] % len(self._words)])
            said += self._tokenizer.decode([text[-1]])
            stopped = any(stop in said for stop in asked["stop"])
            yield text[-1], "stop" if stopped else "length" if place + 1 == most else None
            if stopped:
                return

    def _seat(self) -> None:
        self.waiting.sort(key=lambda one: one.rank)
        while self.waiting and len(self.running) < self.seats:
            request = self.waiting.pop(0)
            self.running.append(request)
            request.place.set()

    def _leave(self, request: Request) -> None:
        for books in (self.waiting, self.running):
            if request in books:
                books.remove(request)
        self._seat()

    def _count_prefix(self, prompt: list[int]) -> None:
        self.counters["queries"] += len(prompt)
        for end in range(BLOCK, len(prompt) + 1, BLOCK):
            block = str(prompt[:end])
            self.counters["hits"] += BLOCK * (block in self._blocks)
            self._blocks.add(block)

    def metrics(self) -> str:
        label = f'{{engine="0",model_name="{self.name}"}}'
        gauges = {"num_requests_running": len(self.running), "num_requests_waiting": len(self.waiting)}
        gauges["kv_cache_usage_perc"] = min(1.0, 0.05 * len(self.running))
        lines = []
        for name, value in gauges.items():
            lines += [f"# TYPE vllm:{name} gauge", f"vllm:{name}{label} {float(value)}"]
        for name in ("queries", "hits"):
            lines += [f"# TYPE vllm:prefix_cache_{name} counter"]
            lines += [f"vllm:prefix_cache_{name}_total{label} {float(self.counters[name])}"]
        return "\n".join([*lines, ""])


def _error(status: int, message: str, param: str | None = None, value: int | None = None) -> str:
    if value is not None:
        message += f" (parameter={param}, value={value})"
    return json.dumps({"error": {"message": message, "type": "Error", "param": param, "code": status}})


def _send(writer: asyncio.StreamWriter, data: str) -> None:
    event = f"data: {data}\n\n".encode()
    writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")


@contextlib.contextmanager
def standing_in(folder: Path, **knobs) -> Iterator[StandIn]:
    """The server in a thread of this process, on a port of its own (or `port=`); gone at the end."""
    stand_in = StandIn(folder, **knobs)
    loop, stopping = asyncio.new_event_loop(), threading.Event()
    started = threading.Event()

    async def run() -> None:
        server = await asyncio.start_server(stand_in.serve, "127.0.0.1", stand_in.port)
        stand_in.port = server.sockets[0].getsockname()[1]
        started.set()
        while not stopping.is_set():
            await asyncio.sleep(0.01)
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert started.wait(5)
    try:
        yield stand_in
    finally:
        stopping.set()
        thread.join(5)
        loop.close()
