"""Time stamps by RFC 3161: with one, credentials outlive the signer's certificate; without, they end with it."""

import hashlib
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import tsp

from accounts.models import OperationalEvent
from safety.credentials import chain, provenance, signers, timestamp_service, timestamps
from safety.models import Credential
from safety.postfilter.scan import scan_file
from tests.safety.clips import encoded, shape_world

CLAIMS = provenance.Claims(subject="job-7", fence=3, model="pocket-video", revision="r1", steps=30)
LIFE_S = (
    12.0  # of a leaf that expires while the test looks on; long enough for two signings on a busy machine
)


@pytest.fixture
def scanned(tmp_path, signing_root):
    path = tmp_path / "clip.mp4"
    path.write_bytes(encoded(shape_world()))
    assert scan_file(path, "job-7", 3, 16).verdict == "pass"
    return path


@pytest.fixture
def authority(signing_root):
    return timestamp_service.authority(signing_root, datetime.now(UTC))


def request(content: bytes = b"signed", *, nonce: int | None = 7, algorithm: str = "sha256") -> bytes:
    asked = {
        "version": "v1",
        "message_imprint": {
            "hash_algorithm": {"algorithm": algorithm},
            "hashed_message": hashlib.sha256(content).digest(),
        },
        "cert_req": True,
    }
    return tsp.TimeStampReq(asked | ({"nonce": nonce} if nonce else {})).dump()


@pytest.mark.django_db
def test_with_a_time_stamp_a_clip_stays_trusted_after_its_signers_certificate_has_expired(
    scanned, signing_root, settings, tmp_path
):
    """The leaf expires in truth, by the clock that the C2PA library reads; nothing is set or patched."""
    made = time.time()
    chain.ensure(signing_root, datetime.now(UTC) - chain.LEAF_LIFE + timedelta(seconds=LIFE_S))
    provenance.sign(scanned, tmp_path / "stamped.mp4", CLAIMS)
    settings.TIMESTAMP_URL = "off"
    provenance.sign(scanned, tmp_path / "plain.mp4", CLAIMS)
    assert [provenance.verify(tmp_path / name).state for name in ("stamped.mp4", "plain.mp4")] == [
        "Trusted"
    ] * 2
    time.sleep(max(0.0, made + LIFE_S + 1.5 - time.time()))

    stamped = provenance.verify(tmp_path / "stamped.mp4")
    assert (stamped.state, stamped.reason) == ("Trusted", "")
    stamp = datetime.fromisoformat(stamped.claims["time_stamp"])
    assert made - 1 <= stamp.timestamp() <= made + LIFE_S
    plain = provenance.verify(tmp_path / "plain.mp4")
    assert plain.state == "Invalid"
    assert "signingCredential.expired" in plain.reason
    assert "time_stamp" not in plain.claims
    with pytest.raises(provenance.SigningUnavailable, match="expired"):
        provenance.sign(scanned, tmp_path / "late.mp4", CLAIMS)
    shutil.rmtree(signing_root / timestamp_service.FOLDER)  # a stamp is worth what its own anchor is
    assert provenance.verify(tmp_path / "stamped.mp4").state == "Invalid"


@pytest.mark.django_db
def test_a_root_for_time_stamps_makes_nobody_a_signer(scanned, signing_root, tmp_path, settings):
    """The C2PA library takes an anchor of any list for any purpose; we don't."""
    provenance.sign(scanned, tmp_path / "ours.mp4", CLAIMS)
    settings.SIGNING_ROOT = tmp_path / "stranger"
    provenance.sign(scanned, tmp_path / "theirs.mp4", CLAIMS)
    (signing_root / timestamp_service.KEPT).mkdir()
    shutil.copy(
        tmp_path / "stranger" / "development" / "root.pem",
        signing_root / timestamp_service.KEPT / "theirs.pem",
    )
    settings.SIGNING_ROOT = signing_root
    assert provenance.verify(tmp_path / "ours.mp4").state == "Trusted"
    assert provenance.verify(tmp_path / "theirs.mp4").state == "Valid"


@pytest.mark.django_db
def test_a_time_stamp_service_that_does_not_answer_makes_signing_fail(scanned, tmp_path, settings):
    settings.TIMESTAMP_URL = "http://127.0.0.1:1/"
    with pytest.raises(provenance.SigningUnavailable):
        provenance.sign(scanned, tmp_path / "signed.mp4", CLAIMS)
    assert not (tmp_path / "signed.mp4").exists()
    assert not Credential.objects.exists()
    assert OperationalEvent.objects.get().kind == "signing.unavailable"


@pytest.mark.django_db
def test_a_proxy_in_the_environment_does_not_stand_before_the_own_authority(scanned, tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "example.test")
    provenance.sign(scanned, tmp_path / "signed.mp4", CLAIMS)
    assert "time_stamp" in provenance.verify(tmp_path / "signed.mp4").claims
    assert os.environ["NO_PROXY"] == "example.test,127.0.0.1"


def test_an_answer_says_what_was_stamped_when_and_by_whom(authority):
    now = datetime(2026, 11, 22, 3, 4, 5, 600_000, tzinfo=UTC)
    answer = tsp.TimeStampResp.load(timestamps.reply(request(), authority, now))
    assert answer["status"]["status"].native == "granted"
    stamp = answer["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
    assert stamp["gen_time"].native == now.replace(microsecond=0)
    assert stamp["nonce"].native == 7
    assert stamp["message_imprint"]["hashed_message"].native == hashlib.sha256(b"signed").digest()
    assert signers.leaf_of(authority.certificates).development


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is the other implementation")
@pytest.mark.parametrize("nonce", [None, 2**63])
def test_another_implementation_accepts_the_answer(authority, signing_root, tmp_path, nonce):
    (tmp_path / "ask.tsq").write_bytes(request(nonce=nonce))
    (tmp_path / "answer.tsr").write_bytes(
        timestamps.reply(request(nonce=nonce), authority, datetime.now(UTC))
    )
    root = signing_root / timestamp_service.FOLDER / "root.pem"
    command = ["openssl", "ts", "-verify", "-in", "answer.tsr", "-queryfile", "ask.tsq", "-CAfile", str(root)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Verification: OK" in done.stdout + done.stderr) == (0, True)


@pytest.mark.parametrize("asked", [b"", b"no request", request()[:-4], request(algorithm="sha512")])
def test_what_is_no_request_is_refused(asked, authority):
    with pytest.raises(timestamps.BadRequest):
        timestamps.reply(asked, authority, datetime.now(UTC))


def test_the_authority_is_made_once_and_for_its_owner_alone(signing_root):
    now = datetime.now(UTC)
    first = timestamp_service.authority(signing_root, now)
    assert timestamp_service.authority(signing_root, now) == first
    key = signing_root / timestamp_service.FOLDER / "stamp.key"
    assert key.stat().st_mode & 0o777 == 0o600
    os.chmod(key, 0o644)
    with pytest.raises(chain.ChainUnusable, match="read by others"):
        timestamp_service.authority(signing_root, now)


def test_anchors_of_another_authority_are_kept_when_the_setting_changes(signing_root, settings, tmp_path):
    settings.TIMESTAMP_URL = "https://stamps.example.test/"
    for name in ("first", "second"):
        (tmp_path / f"{name}.pem").write_text(f"-----BEGIN CERTIFICATE-----\n{name}\n")
        settings.TIMESTAMP_ANCHORS = str(tmp_path / f"{name}.pem")
        assert timestamp_service.url(datetime.now(UTC)) == "https://stamps.example.test/"
    kept = timestamp_service.anchors(signing_root)
    assert all(name in kept for name in ("first", "second"))
