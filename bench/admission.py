"""Decisions a second through HTTP, and their latency in an open loop at 70 % load, beside the raw reference.

Over many organizations and over one hot one. As deployed, with one uvicorn process per core and a scorer, a clip per
request, always of the same words (the scorer remembers what it made of them; `bench/safety.py` measures new ones), no
worker; the reference is pgbench with the same UPDATE and INSERTs in the same run (raw_admission.py). Afterwards a
wallet with credits for a few clips is asked for many at once, and all books are reconciled: a single over-grant ends
the benchmark.
"""

import itertools
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from django.db import connection, transaction
from django.utils import timezone

from accounts import keys, organizations
from accounts.models import Enrollment, Organization, Tier, TierTerms, User
from bench import open_loop, raw_admission
from bench.harness import Figure, Run, percentile
from bench.scoring import scoring
from billing import ledger
from billing.models import Account, Decision, Hold
from billing.reconciliation import reconcile
from console.embedded.server import free_port
from console.supervisor import programs
from generation.models import Evaluation, RegisteredModel
from generation.revisions import rollout

ORGANIZATIONS = 200
CREDIT = 1_000_000
CLIP = {"model": "pocket-video", "prompt": "a red ball rolls over grass", "size": "64x64", "seconds": "2"}
SHORT = os.environ.get("SHORT") == "1"
REPEATS, SECONDS = (1, 3) if SHORT else (3, 6)
LOAD = 0.7
STARTS_WITHIN_S = 240
AS_DEPLOYED = {
    "DEBUG": "0",
    "SAFETY_ACCEPT_CANARIES_ONLY": "The benchmark of admission makes no clips at all.",
}
SCARCE = 20  # clips that the last wallet can pay for
ROOMY = {"requests_per_minute": 10**7, "requests_per_minute_key": 10**7, "max_open": 10**9}
ROOMY |= {"units_in_flight_micro": 10**17, "allowance_day_micro": None, "allowance_month_micro": None}


def measure(run: Run) -> Iterable[Figure]:
    """`decisions_per_second_*`, `decision_p50_ms_*`, `decision_p99_ms_*` for spread and hot."""
    models_serve()
    roomy_terms()
    customers = [customer(f"bench-{number}", 10**9 * CREDIT) for number in range(ORGANIZATIONS)]
    with scoring(), tempfile.TemporaryDirectory() as folder, _serving(Path(folder)) as url:
        asked = {
            "spread": itertools.cycle(
                [open_loop.request(url, "/v1/videos", raw, CLIP) for _, raw in customers]
            ),
            "hot": itertools.repeat(open_loop.request(url, "/v1/videos", customers[0][1], CLIP)),
        }
        _ok(open_loop.closed(url, asked["spread"], 2))
        _statistics()
        pattern = Hold.objects.latest("pk").pk
        scripts = raw_admission.prepare(Path(folder), pattern, [one.pk for one, _ in customers])
        for name, requests in asked.items():
            yield from _figures(name, url, requests, scripts[name], run)
        yield _never_more_than_there_is(url)


def _statistics() -> None:
    """What autovacuum gathers within a minute of the first work; until then plans are those of empty tables."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _figures(name: str, url: str, requests: Iterator[bytes], script: Path, run: Run) -> Iterable[Figure]:
    rates, raw, halves, tails = [], [], [], []
    for repeat in range(REPEATS):
        raw.append(raw_admission.per_second(script, run.database_url, SECONDS))
        rates.append(_ok(open_loop.closed(url, requests, SECONDS)).per_second)
        seen = _ok(open_loop.opened(url, requests, LOAD * rates[-1], SECONDS, seed=repeat))
        halves.append(percentile(seen.latencies, 0.5) * 1000)
        tails.append(percentile(seen.latencies, 0.99) * 1000)
    reference = f"pgbench, same UPDATE and INSERTs, {name}"
    yield Figure(f"decisions_per_second_{name}", median(rates), "1/s", reference, median(raw))
    yield Figure(
        f"decision_p50_ms_{name}", median(halves), "ms", "1 / closed-loop rate", 1000 / median(rates)
    )
    yield Figure(f"decision_p99_ms_{name}", median(tails), "ms", "its p50 in the open loop", median(halves))


def _never_more_than_there_is(url: str) -> Figure:
    """Many at once on a wallet that can pay for a few; then every book is reconciled."""
    scarce, raw = customer("bench-scarce", 0)
    quote = Decision.objects.filter(allowed=True).latest("at").quote_micro
    opening = {"bucket": "purchased", "idempotency_key": "scarce", "reason": "a benchmark"}
    ledger.grant(scarce.pk, SCARCE * quote, **opening)
    requests = itertools.repeat(open_loop.request(url, "/v1/videos", raw, CLIP))
    seen = open_loop.closed(url, requests, 2)
    allowed = seen.statuses.get(200, 0)
    left = Account.objects.get(organization=scarce, kind="purchased").balance
    if (allowed, left, Hold.objects.filter(organization=scarce).count()) != (SCARCE, 0, SCARCE):
        raise RuntimeError(
            f"{SCARCE} clips were paid for; {allowed} were allowed, {left} micro-credits are left"
        )
    if drift := reconcile().drift:
        raise RuntimeError(f"the books drifted: {drift[:5]}")
    return Figure("allowed_on_a_scarce_wallet", allowed, "clips", "clips it can pay for", SCARCE)


def _ok(seen: open_loop.Seen) -> open_loop.Seen:
    if set(seen.statuses) != {200}:
        raise RuntimeError(f"not every request was admitted: {seen.statuses} (status: how many)")
    return seen


def models_serve() -> None:
    """The shipped clip model is active, as after its gate; nothing is generated here."""
    for model in RegisteredModel.objects.filter(status="candidate"):
        figures = {"figures": {"finite": 1.0}, "floors": {"finite": 1.0}, "passed": True, "seconds": 0.1}
        Evaluation.objects.create(
            model=model,
            suite=Evaluation.Suite.DEPLOY,
            suite_version=1,
            precision=model.precision,
            seed=1,
            count=1,
            code_version="bench",
            author="bench",
            **figures,
        )
        with transaction.atomic():
            rollout.activate(model.pk, timezone.now())


def roomy_terms() -> None:
    """Terms under which only credits decide."""
    terms = TierTerms.objects.filter(tier=Tier.objects.get(pk="plus")).latest("effective_from")
    terms.pk, terms.effective_from = None, timezone.now()
    for name, value in ROOMY.items():
        setattr(terms, name, value)
    terms._state.adding = True
    terms.save(force_insert=True)


def customer(name: str, micro: int) -> tuple[Organization, str]:
    """A new organization with a key, and so many purchased micro-credits."""
    owner = User.objects.create_user(f"{name}@example.com")
    made = organizations.create(name, "plus", owner)
    assert Enrollment.objects.filter(organization=made).exists()
    if micro:
        opening = {"bucket": "purchased", "idempotency_key": "opening", "reason": "a benchmark"}
        ledger.grant(made.pk, micro, **opening)
    return made, keys.create(made, "bench", keys.SCOPES, owner)[1]


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """The application as `make run` serves it, with a process a core."""
    connection.close()
    port = free_port(None)
    web = programs.web(port)
    with (folder / "web.log").open("wb") as log:
        server = subprocess.Popen(
            [*web.command, "--workers", str(os.cpu_count() or 1)],
            env={**web.surroundings(), **AS_DEPLOYED},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, server, folder / "web.log")
        yield url
    except RuntimeError as problem:
        problem.add_note((folder / "web.log").read_text()[-3000:])
        raise
    finally:
        server.terminate()
        server.wait(20)


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    """Return once the server answers; raises RuntimeError where it doesn't in time."""
    end = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):
                return
        except OSError as problem:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}") from problem
            time.sleep(0.1)
