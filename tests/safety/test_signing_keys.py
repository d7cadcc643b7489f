"""Where a key may lie, its budget, its rotation, its expiry; and that what was signed before stays Trusted."""

import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, transaction

from accounts import actions, staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, OperationalEvent, User
from safety.credentials import chain, provenance, signer_actions, signer_keys, signers
from safety.models import Credential, SignerKey
from safety.postfilter.scan import scan_file
from tests.safety import kms
from tests.safety.clips import encoded, shape_world

pytestmark = pytest.mark.django_db

CLAIMS = provenance.Claims(subject="job-7", fence=3, model="pocket-video", revision="r1", steps=30)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def scanned(tmp_path, signing_root):
    path = tmp_path / "clip.mp4"
    path.write_bytes(encoded(shape_world()))
    assert scan_file(path, "job-7", 3, 16).verdict == "pass"
    return path


@pytest.fixture
def key_service(tmp_path, settings):
    """A chain of its own, production by name, whose key only another process reads."""
    folder = tmp_path / "kms"
    chain.ensure(tmp_path, datetime.now(UTC), "kms")
    service = subprocess.Popen(
        [sys.executable, "-m", "tests.safety.kms", str(folder)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    settings.SIGNING_KMS_URL = f"http://127.0.0.1:{service.stdout.readline().strip()}"
    settings.SIGNING_KMS_TOKEN = kms.TOKEN
    settings.SIGNING_KEY = "callback:safety.credentials.signer_remote.configured"
    yield folder
    service.kill()
    service.wait()
    service.stdout.close()


def production(folder: Path) -> Path:
    """A chain that doesn't call itself one for development."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "ORGANIZATION", "Example Studio")
        return chain.ensure(folder.parent, datetime.now(UTC), folder.name)


def staff_member(role: str = "trust_safety") -> User:
    person, made = User.objects.get_or_create(email=f"{role}@example.com")
    if made:
        staff.grant(person, role, "test", "for this test")
    return person


def signed(scanned: Path, name: str) -> Path:
    path = scanned.with_name(name)
    provenance.sign(scanned, path, CLAIMS)
    return path


def kinds() -> list[str]:
    return list(OperationalEvent.objects.order_by("pk").values_list("kind", flat=True))


def refused(sql: str, *values) -> str:
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
    return str(caught.value)


def test_the_first_signing_registers_the_development_key(scanned):
    signed(scanned, "a.mp4")
    (row,) = SignerKey.objects.all()
    assert (row.source, row.location, row.state, row.development) == ("file", "development", "active", True)
    assert row.subject.startswith("O=Backlot development,CN=Backlot development signer")
    assert Credential.objects.get().signer_fingerprint == row.fingerprint


def test_a_key_from_a_folder(scanned, tmp_path, settings):
    chain.ensure(tmp_path, datetime.now(UTC), "own")
    settings.SIGNING_KEY = f"file:{tmp_path / 'own'}"
    assert provenance.verify(signed(scanned, "a.mp4")).state == "Trusted"
    assert SignerKey.objects.get().location == str(tmp_path / "own")


def test_a_key_from_the_environment(scanned, tmp_path, settings, monkeypatch):
    read = chain.read(chain.ensure(tmp_path, datetime.now(UTC), "own"))
    settings.SIGNING_KEY = "environment:OWN"
    with pytest.raises(provenance.SigningUnavailable, match="OWN_CERTIFICATES, OWN_ANCHORS, OWN_KEY"):
        signed(scanned, "a.mp4")
    monkeypatch.setenv("OWN_CERTIFICATES", read.certificates)
    monkeypatch.setenv("OWN_ANCHORS", read.anchors)
    monkeypatch.setenv("OWN_KEY", read.private_key)
    assert provenance.verify(signed(scanned, "a.mp4")).state == "Trusted"


def test_a_key_that_another_process_keeps_to_itself(scanned, key_service, signing_root):
    assert provenance.verify(signed(scanned, "a.mp4")).state == "Trusted"
    assert SignerKey.objects.get().source == "callback"
    assert not list(signing_root.rglob("leaf.key"))


@pytest.mark.parametrize("trouble", ["hang", "wrong", "gone"])
def test_a_key_service_that_hangs_lies_or_is_away_signs_nothing(scanned, key_service, trouble, settings):
    signed(scanned, "a.mp4")
    (key_service / trouble).touch()
    settings.SIGNING_BUDGET_SECONDS = 1
    began = time.monotonic()
    with pytest.raises(provenance.SigningUnavailable):
        signed(scanned, "b.mp4")
    assert time.monotonic() - began < kms.HANGS_S
    assert not scanned.with_name("b.mp4").exists()
    assert kinds() == ["signing.unavailable"]
    assert Credential.objects.filter(state="Trusted").count() == 1


def test_a_signing_that_is_late_counts_as_failed(scanned, monkeypatch, settings):
    """The signer answers well, after its budget: what it made is not used."""
    signed(scanned, "a.mp4")
    settings.SIGNING_BUDGET_SECONDS = 1
    in_time = signers.PemSigner.sign

    def late(self, data: bytes) -> bytes:
        time.sleep(1.3)
        return in_time(self, data)

    monkeypatch.setattr(signers.PemSigner, "sign", late)
    with pytest.raises(provenance.SigningUnavailable, match="no answer within"):
        signed(scanned, "b.mp4")
    time.sleep(0.6)  # what was left behind comes to its end
    assert not scanned.with_name("b.mp4").exists()
    assert Credential.objects.count() == 1
    assert kinds() == ["signing.unavailable"]


def test_a_verification_that_is_late_counts_as_failed(scanned, monkeypatch, settings):
    settings.SIGNING_BUDGET_SECONDS = 1
    verify_bytes = provenance.verify_bytes
    monkeypatch.setattr(provenance, "verify_bytes", lambda content: time.sleep(1.1) or verify_bytes(content))
    with pytest.raises(provenance.SigningUnavailable, match="longer than its budget|no answer within"):
        signed(scanned, "a.mp4")
    assert not scanned.with_name("a.mp4").exists()
    assert not Credential.objects.exists()


def test_a_rotation_is_in_force_at_the_next_signing_and_undone(scanned):
    first = signed(scanned, "a.mp4")
    person = staff_member()
    action = signer_actions.RotateSigner("development")
    assert "1 signatures of the present key stay Trusted" in action.preview().sentence
    assert SignerKey.objects.count() == 1  # a preview makes nothing
    entry = actions.perform(action, person, "a year has gone by")
    old, new = SignerKey.objects.order_by("pk")
    assert (old.state, new.state, new.location) == ("retiring", "active", "development-2")
    second = signed(scanned, "b.mp4")
    prints = list(Credential.objects.order_by("pk").values_list("signer_fingerprint", flat=True))
    assert prints == [old.fingerprint, new.fingerprint]
    assert [provenance.verify(path).state for path in (first, second)] == ["Trusted", "Trusted"]

    actions.revert(action, entry, person, "too early")
    assert list(SignerKey.objects.order_by("pk").values_list("state", flat=True)) == ["active", "retired"]
    signed(scanned, "c.mp4")
    assert Credential.objects.latest("pk").signer_fingerprint == old.fingerprint
    assert provenance.verify(second).state == "Trusted"
    assert AuditEntry.objects.filter(action__startswith="signer.rotate").count() == 2
    with pytest.raises(ApiError, match="can't be undone|was retired"):
        actions.revert(action, entry, person, "again")


def test_old_clips_stay_trusted_when_the_old_keys_folder_is_gone(scanned, signing_root):
    first = signed(scanned, "a.mp4")
    actions.perform(signer_actions.RotateSigner("development"), staff_member(), "new year")
    shutil.rmtree(signing_root / "development")
    assert provenance.verify(first).state == "Trusted"


@pytest.mark.parametrize(
    ("source", "location", "words"),
    [
        ("file", "nowhere", "can't be read"),
        ("environment", "NOT_SET", "not set in this process"),
        ("callback", "safety.credentials.signer_remote.nothing", "can't be made"),
        ("callback", "", "Say where"),
        ("smoke", "x", "Choose one of"),
    ],
)
def test_a_signer_that_can_not_sign_is_not_rotated_to(source, location, words, scanned):
    signed(scanned, "a.mp4")
    with pytest.raises(ApiError, match=words):
        signer_actions.RotateSigner(source, location).preview()
    person = staff_member()
    with pytest.raises(ApiError, match=words):
        actions.perform(signer_actions.RotateSigner(source, location), person, "a try")
    assert list(SignerKey.objects.values_list("state", flat=True)) == ["active"]


def test_an_expired_key_or_one_of_another_certificate_is_not_rotated_to(scanned, tmp_path):
    signed(scanned, "a.mp4")
    chain.ensure(tmp_path, datetime.now(UTC) - chain.LEAF_LIFE - timedelta(days=2), "expired")
    with pytest.raises(ApiError, match="in force from"):
        signer_actions.RotateSigner("file", str(tmp_path / "expired")).preview()
    own, other = (chain.ensure(tmp_path, datetime.now(UTC), name) for name in ("own", "other"))
    shutil.copy(other / "leaf.key", own / "leaf.key")
    with pytest.raises(ApiError, match="does not belong to its certificate"):
        signer_actions.RotateSigner("file", str(own)).preview()


def test_only_trust_and_safety_rotates(scanned):
    signed(scanned, "a.mp4")
    with pytest.raises(ApiError):
        actions.perform(signer_actions.RotateSigner("development"), staff_member("operator"), "a try")
    assert SignerKey.objects.count() == 1


def test_a_production_key_that_was_exchanged_behind_our_back_signs_nothing(scanned, tmp_path, settings):
    own = production(tmp_path / "own")
    settings.SIGNING_KEY = f"file:{own}"
    first = signed(scanned, "a.mp4")
    assert not SignerKey.objects.get().development
    shutil.rmtree(own)
    production(own)
    with pytest.raises(provenance.SigningUnavailable, match="another one than was registered: rotate"):
        signed(scanned, "b.mp4")
    assert SignerKey.objects.count() == 1
    assert provenance.verify(first).state == "Trusted"
    actions.perform(signer_actions.RotateSigner("file", str(own)), staff_member(), "the old one was lost")
    assert provenance.verify(signed(scanned, "b.mp4")).state == "Trusted"


def test_the_expiry_is_told_as_early_as_the_setting_says_and_louder_in_the_last_week(signing_root, settings):
    settings.SIGNING_EXPIRY_NOTICE_DAYS = 60
    chain.ensure(signing_root, NOW)
    end = NOW + chain.LEAF_LIFE
    signer_keys.watch_expiry(end - timedelta(days=61))
    assert kinds() == []
    signer_keys.watch_expiry(end - timedelta(days=59))
    signer_keys.watch_expiry(end - timedelta(days=6))
    found = OperationalEvent.objects.order_by("pk").values_list("kind", "severity")
    assert list(found) == [
        ("signing.certificate_expires", "warning"),
        ("signing.certificate_expires", "critical"),
    ]


def test_keys_that_were_rotated_out_are_retired_after_a_week(scanned):
    signed(scanned, "a.mp4")
    actions.perform(signer_actions.RotateSigner("development"), staff_member(), "new year")
    now = datetime.now(UTC)
    assert signer_keys.retire_old(now + timedelta(days=6)) == 0
    assert signer_keys.retire_old(now + timedelta(days=8)) == 1
    assert list(SignerKey.objects.order_by("pk").values_list("state", flat=True)) == ["retired", "active"]


def test_the_database_keeps_every_key_and_allows_one_active(scanned):
    signed(scanned, "a.mp4")
    row = SignerKey.objects.get()
    assert "Cannot delete" in refused("DELETE FROM safety_signerkey")
    assert "are kept" in refused("TRUNCATE safety_signerkey CASCADE")
    assert "only its state changes" in refused("UPDATE safety_signerkey SET anchors = 'BEGIN CERTIFICATE x'")
    assert "only its state changes" in refused("UPDATE safety_signerkey SET fingerprint = %s", "0" * 64)
    assert "signer_key_state_dated" in refused("UPDATE safety_signerkey SET state = 'retired'")
    copy = "source, location, certificates, anchors, subject, not_before, not_after, development, state, author, reason"
    sql = f"INSERT INTO safety_signerkey (fingerprint, {copy}) SELECT %s, {copy} FROM safety_signerkey"
    assert "signer_key_one_active" in refused(sql, "0" * 64)
    SignerKey.objects.filter(pk=row.pk).update(state="retired", retired_at=datetime.now(UTC))
    back = "UPDATE safety_signerkey SET state = 'active', retired_at = NULL"
    assert "does not go to active" in refused(back)
