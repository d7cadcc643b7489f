"""A scanned clip whose signer or time stamp is killed, hangs or lies: nothing is delivered, nothing charged, an alarm.

The clip is encoded, scanned and handed on as a worker does it; only its denoising is left out.
"""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.db.models.functions import Now

from accounts.models import OperationalEvent
from billing.models import Charge, Hold
from billing.reconciliation import reconcile
from generation import upkeep
from generation.credentials import held, signing
from generation.models import Asset, Job, SigningOutage, State
from safety.credentials import chain, provenance
from safety.models import Credential
from tests.generation.api_stage import media_folder, tenant
from tests.generation.held_stage import scanned_clip
from tests.safety import kms

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder", "signing_root")]


@pytest.fixture
def signing_root(tmp_path, settings):
    settings.SIGNING_ROOT = tmp_path / "signing"
    settings.SIGNING_BUDGET_SECONDS = 1
    return settings.SIGNING_ROOT


@pytest.fixture
def key_service(tmp_path, settings) -> Iterator[tuple[subprocess.Popen, Path]]:
    """A signer whose key lies in another process."""
    folder = tmp_path / "kms"
    chain.ensure(tmp_path, datetime.now(UTC), "kms")
    service = subprocess.Popen(
        [sys.executable, "-m", "tests.safety.kms", str(folder)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    settings.SIGNING_KMS_URL = f"http://127.0.0.1:{service.stdout.readline().strip()}"
    settings.SIGNING_KMS_TOKEN = kms.TOKEN
    settings.SIGNING_KEY = "callback:safety.credentials.signer_remote.configured"
    yield service, folder
    service.kill()
    service.wait()
    service.stdout.close()


@contextmanager
def time_stamps(answer: bytes | None) -> Iterator[str]:
    """The address of a service that answers so to everything; with None it takes the connection and is silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def serve() -> None:
            taken = []
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    break
                taken.append(connection)
                if answer is not None:
                    connection.recv(65536)
                    connection.sendall(answer)
                    connection.close()
            for connection in taken:
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)


def nothing_leaves_and_nothing_is_charged(tmp_path: Path) -> None:
    """The clip waits unsigned, with the alarm; after its 15 minutes it fails, at no charge."""
    job, lease, unsigned, ran = scanned_clip(tenant("free"), tmp_path)
    with pytest.raises(provenance.SigningUnavailable) as refused:
        signing.sign_all(job, lease.fence, unsigned, tmp_path)
    signing.keep_unsigned(job, lease.fence, unsigned)
    job = held.hold(lease, ran, str(refused.value))
    assert (job.state, job.charge_micro) == (State.HELD, None)
    nothing_is_there(job)
    assert {"signing.unavailable", "signing.down"} <= set(
        OperationalEvent.objects.values_list("kind", flat=True)
    )
    assert OperationalEvent.objects.get(kind="signing.down").severity == "critical"
    SigningOutage.objects.update(next_try_at=Now())
    assert held.drain(seconds=30) == 0
    nothing_is_there(job)
    Job.objects.filter(pk=job.pk).update(state_at=Now() - timedelta(minutes=15, seconds=1))
    assert upkeep.expire_held() == 1
    job.refresh_from_db()
    assert (job.state, job.charge_micro) == (State.FAILED, 0)
    assert Hold.objects.get(pk=job.hold_id).captured == 0
    assert Charge.objects.get(usage_event__subject=str(job.pk)).amount == 0
    assert reconcile().drift == ()
    nothing_is_there(job)


def nothing_is_there(job: Job) -> None:
    assert not Asset.objects.filter(job=job).exists()
    assert not default_storage.exists(f"clips/{job.pk}")
    assert not Credential.objects.filter(state="Trusted").exists()


@pytest.mark.parametrize("how", ["killed", "hang", "wrong", "gone"])
def test_a_signer(key_service, tmp_path, how):
    service, folder = key_service
    if how == "killed":
        service.kill()
        service.wait()
    else:
        (folder / how).touch()
    nothing_leaves_and_nothing_is_charged(tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="hung"),
        pytest.param(b"", id="killed"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\nContent-Length: 4\r\n\r\nnone",
            id="corrupted",
        ),
        pytest.param(b"HTTP/1.1 503 Gone\r\nContent-Length: 0\r\n\r\n", id="away"),
    ],
)
def test_a_time_stamp_service(tmp_path, settings, answer):
    with time_stamps(answer) as url:
        settings.TIMESTAMP_URL = url
        nothing_leaves_and_nothing_is_charged(tmp_path)
