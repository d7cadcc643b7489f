"""Between processes: one drains and is killed -9 at any moment; several sign first at once. Nothing is lost."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings as installed
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.functions import Now

from billing.models import Charge, Hold
from billing.reconciliation import reconcile
from generation.credentials import held, signing
from generation.credentials.delivered_audit import audit
from generation.models import Asset, SigningOutage, State, UnsignedClip
from safety.credentials import signer_keys
from safety.models import Credential, SignerKey
from tests.generation.api_stage import tenant
from tests.generation.drainer import MOMENTS
from tests.generation.held_stage import held_clip

PROJECT = Path(__file__).parents[2]


def drain_and_die(moment: str) -> int:
    database = connection.settings_dict
    url = f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
    environment = {
        **os.environ,
        "DATABASE_URL": f"{url}/{database['NAME']}",
        "BACKLOT_HOME": str(installed.HOME),
        "SIGNING_BUDGET_SECONDS": "20",
    }
    command = [sys.executable, "-m", "tests.generation.drainer", moment]
    return subprocess.run(command, cwd=PROJECT, env=environment, check=False, timeout=120).returncode


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_in_the_midst_of_draining_it_is_delivered_once(moment, committed, tmp_path, monkeypatch):
    job = held_clip(tenant("plus"), tmp_path)
    SigningOutage.objects.update(next_try_at=Now())
    assert drain_and_die(moment) == -signal.SIGKILL
    job.refresh_from_db()
    delivered = moment == "delivered"
    assert job.state == (State.DELIVERED if delivered else State.HELD)
    assert Asset.objects.count() == (3 if delivered else 0)
    if not delivered:  # what it waits for is still there, and so is its hold
        assert default_storage.exists(signing.unsigned_name(job, job.fence))
        assert Hold.objects.get(pk=job.hold_id).state == Hold.State.OPEN

    assert held.drain(seconds=60) == (0 if delivered else 1)
    job.refresh_from_db()
    assert job.state == State.DELIVERED
    assert Charge.objects.filter(usage_event__subject=str(job.pk)).count() == 1
    assert reconcile().drift == ()
    folder = f"clips/{job.pk}/{job.fence}"
    assert sorted(default_storage.listdir(folder)[1]) == ["clip.mp4", "spritesheet.jpg", "thumbnail.webp"]
    found = set(audit())  # of other tests too, whose rows are gone
    assert {f"{folder}/clip.mp4", f"{folder}/thumbnail.webp", f"{folder}/spritesheet.jpg"} <= found
    monkeypatch.setattr(held, "YOUNG", timedelta(0))
    held.clear_leftovers()
    assert not default_storage.exists(signing.unsigned_name(job, job.fence))
    assert UnsignedClip.objects.get().removed_at is not None


def test_processes_that_sign_first_at_once_register_one_key(committed, tmp_path, settings):
    settings.SIGNING_ROOT = tmp_path / "signing"

    def register(_: int) -> int:
        try:
            return signer_keys.active(datetime.now(UTC)).row.pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(register, range(8)))
    assert len(found) == 1
    assert SignerKey.objects.count() == 1
    assert not Credential.objects.exists()
