"""The application behind a real socket, and someone who writes completions as a worker does."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from django.db import connection

from console.edge import Edge
from console.handler import Handler
from generation import dispatch, finalization, streams
from generation.finalization import Ran
from generation.models import TokenSegment
from generation.scheduling.leases import Lease, lease_of
from tests.generation.api_stage import claimed, worker


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The address of a server in a thread of this process."""
    config = uvicorn.Config(
        Edge(Handler(16)),
        port=0,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def wait_for(condition: Callable[[], object], within: float = 10.0) -> float:
    """Wait until something holds; the seconds that it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within, "it did not come to hold in time"
        time.sleep(0.01)
    return time.monotonic() - started


@contextlib.contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Do some work in a thread with a connection of its own; what it raises is raised at the end."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as threads:
        done = threads.submit(run)
        yield
        done.result(20)


def take() -> Lease:
    """Claim the next completion, waiting for one to be submitted."""
    found: list[Lease] = []

    def one() -> bool:
        with contextlib.suppress(AttributeError):  # nothing waits yet
            found.append(claimed("code")[1])
        return bool(found)

    wait_for(one)
    return found[0]


def write(lease: Lease, *texts: str) -> None:
    """Send segments on, each first to PostgreSQL and then to Redis."""
    begun = TokenSegment.objects.filter(job=lease.job_id).count()
    for seq, text in enumerate(texts, begun + 1):
        TokenSegment.objects.create(job_id=lease.job_id, seq=seq, fence=lease.fence, text=text, ids=[seq])
        streams.append_tokens(lease.job_id, seq, text)


def finish(lease: Lease, finish_reason: str = "stop", tokens: int = 3) -> None:
    finalization.deliver_code(lease, Ran(gpu_ms=5, tokens_in=7, tokens_out=tokens), finish_reason)
    streams.end_tokens(lease.job_id)


def break_off(lease: Lease) -> None:
    finalization.fail(lease, Ran(), "internal_error", "The model stopped answering.")
    streams.end_tokens(lease.job_id)


@contextlib.contextmanager
def answering(text: str = "x = 1\n") -> Iterator[None]:
    """A worker that ends every completion at once with this text, so that plain ones are answered."""
    over = threading.Event()

    def work() -> None:
        mine = worker("code")
        while not over.wait(0.05):
            while (attempt := dispatch.claim(mine, "code")) is not None:
                lease = lease_of(attempt)
                write(lease, text)
                finish(lease)

    with beside(work):
        try:
            yield
        finally:
            over.set()
