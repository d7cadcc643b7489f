"""What is delivered beside the clip; that all of it stays verified; what the audit and the database refuse."""

import io
import uuid
from dataclasses import asdict

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from PIL import Image

from accounts.models import OperationalEvent, OutboxEvent
from generation import announcements, repeat_cache
from generation.credentials import signing, variants, verification
from generation.models import Asset, Job
from generation.worker.encoding import decode_frames
from safety.credentials import provenance
from safety.models import Credential
from tests.generation.api_stage import media_folder, tenant, withdraw
from tests.generation.held_stage import delivered_clip, scanned_clip

__all__ = ["media_folder"]  # a fixture
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("media_folder", "signing_root"),
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous iterators"),
]
KINDS = {
    "video": ("video/mp4", ".mp4"),
    "thumbnail": ("image/webp", "-thumbnail.webp"),
    "spritesheet": ("image/jpeg", "-spritesheet.jpg"),
}
told: list[list[str]] = []


@pytest.fixture
def signing_root(tmp_path, settings):
    settings.SIGNING_ROOT = tmp_path / "signing"
    return settings.SIGNING_ROOT


@pytest.fixture
def plus():
    return tenant("plus")


@pytest.fixture
def clip(plus, tmp_path) -> Job:
    return delivered_clip(plus, tmp_path)


def asset(role: str = "video") -> Asset:
    return Asset.objects.get(role=role)


def spoil(path: str, content: bytes | None) -> None:
    default_storage.delete(path)
    if content is not None:
        default_storage.save(path, ContentFile(content))


def audit(capsys) -> tuple[int, str]:
    try:
        call_command("audit_delivered")
    except SystemExit as stop:
        return stop.code, capsys.readouterr().out
    return 0, capsys.readouterr().out


def get(client, plus, clip, variant: str):
    return client.get(f"/v1/videos/{clip.public_id}/content?variant={variant}", headers=plus.auth)


def refused(sql: str, *values) -> str:
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
    return str(caught.value)


@pytest.mark.parametrize("variant", KINDS)
def test_every_variant_is_delivered_with_credentials_that_hold(client, plus, clip, variant):
    link = get(client, plus, clip, variant)
    assert link.status_code == 302
    file = client.get(link.headers["Location"])
    media_type, ending = KINDS[variant]
    assert file.headers["Content-Type"] == media_type
    assert f'filename="{clip.public_id}{ending}"' in file.headers["Content-Disposition"]
    found = provenance.verify_bytes(b"".join(file))
    assert (found.state, found.claims["job"]) == ("Trusted", str(clip.pk))
    clips_own = Credential.objects.get(scanned_digest=None)
    assert found.claims["scanned_sha256"] == clips_own.unsigned_digest


def test_the_pictures_come_from_the_scanned_frames(clip, plus, tmp_path):
    frames = decode_frames(tmp_path / f"{clip.pk}.mp4")
    with Image.open(default_storage.open(asset("thumbnail").path)) as thumbnail:
        assert thumbnail.size == (64, 64)
        middle = Image.fromarray(frames[len(frames) // 2])
        difference = [
            abs(a - b) for a, b in zip(thumbnail.convert("RGB").tobytes(), middle.tobytes(), strict=True)
        ]
    assert sum(difference) / len(difference) < 6
    with Image.open(default_storage.open(asset("spritesheet").path)) as sheet:
        assert sheet.size == (4 * variants.SPRITE_WIDTH, 4 * variants.SPRITE_WIDTH)


@pytest.mark.parametrize(
    ("frames", "places"),
    [(1, [0]), (2, [0, 1]), (16, list(range(16))), (240, [round(i * 239 / 15) for i in range(16)])],
)
def test_sprites_are_evenly_spaced_first_and_last_included(frames, places):
    assert variants.sprite_places(frames) == places


def test_a_changed_pixel_of_a_picture_is_noticed(clip):
    content = bytearray(default_storage.open(asset("thumbnail").path).read())
    at = content.index(b"VP8 ") + 60
    content[at] ^= 1
    assert provenance.verify_bytes(bytes(content)).state == "Invalid"


def test_a_picture_of_anything_else_is_not_signed(clip, tmp_path):
    output = io.BytesIO()
    Image.new("RGB", (8, 8)).save(output, "PNG")
    claims = signing.claims_of(clip, clip.fence)
    with pytest.raises(provenance.NotScanned):
        provenance.sign_picture(
            output.getvalue(), "image/png", tmp_path / "x.png", claims, scanned_sha256="0" * 64
        )
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("variant", KINDS)
def test_links_to_every_variant_are_dead_after_a_withdrawal(client, plus, clip, variant):
    link = get(client, plus, clip, variant).headers["Location"]
    withdraw(clip)
    assert client.get(link).status_code == 410
    assert get(client, plus, clip, variant).json()["error"]["code"] == "content_withdrawn"


def test_a_clip_from_before_there_were_pictures_says_so(client, plus, clip):
    Asset.objects.filter(role="thumbnail").update(removed_at="2026-01-01T00:00Z")
    answer = get(client, plus, clip, "thumbnail")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert get(client, plus, clip, "video").status_code == 302


def test_the_oldest_verified_are_read_first_and_no_more_than_asked(plus, tmp_path):
    for seed in (1, 2):
        delivered_clip(plus, tmp_path, seed=seed)
    assert verification.run(limit=4, seconds=60) == verification.Round(checked=4)
    first = set(Asset.objects.exclude(verified_at=None).values_list("pk", flat=True))
    assert verification.run(limit=2, seconds=60) == verification.Round(checked=2)
    assert not Asset.objects.filter(verified_at=None).exists()
    oldest = list(Asset.objects.order_by("verified_at").values_list("pk", flat=True)[:4])
    assert set(oldest) == first
    assert verification.figures() | {"newest": 0, "oldest": 0} == {
        "files": 6, "unread": 0, "newest": 0, "oldest": 0, "failing": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("trouble", "state"), [("missing", "Missing"), ("changed", "Changed")])
@pytest.mark.parametrize("role", ["video", "thumbnail"])
def test_a_file_that_does_not_verify_is_taken_out_told_once_and_comes_back(
    client, plus, clip, role, trouble, state
):
    kept = default_storage.open(asset(role).path).read()
    link = get(client, plus, clip, role).headers["Location"]
    spoil(asset(role).path, None if trouble == "missing" else kept[:-1] + bytes([kept[-1] ^ 1]))
    assert verification.run(seconds=60) == verification.Round(3, quarantined=1)
    assert verification.run(seconds=60) == verification.Round(3)
    (event,) = OperationalEvent.objects.filter(kind="verification.failed")
    assert (event.severity, event.detail["state"], event.detail["role"]) == ("critical", state, role)
    assert client.get(link).status_code == 410
    assert get(client, plus, clip, role).json()["error"]["code"] == "content_withdrawn"
    assert [one.role for one in verification.failing()] == [role]
    if role == "video":
        assert repeat_cache.find(clip.organization_id, clip.spec_hash) is None

    spoil(asset(role).path, kept)
    assert verification.run(seconds=60) == verification.Round(3, restored=1)
    assert get(client, plus, clip, role).status_code == 302
    assert OperationalEvent.objects.filter(kind="verification.restored").count() == 1


def test_a_stored_file_that_a_stranger_signed_is_taken_out(clip, tmp_path, settings, signing_root):
    """Even with rows that say otherwise: what counts is what the file says now."""
    row = asset()
    settings.SIGNING_ROOT = tmp_path / "stranger"
    provenance.sign(tmp_path / f"{clip.pk}.mp4", tmp_path / "theirs.mp4", signing.claims_of(clip, clip.fence))
    settings.SIGNING_ROOT = signing_root
    theirs = (tmp_path / "theirs.mp4").read_bytes()
    spoil(row.path, theirs)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        digest = Credential.objects.order_by("-pk").values_list("signed_digest", flat=True)[0]
        Asset.objects.filter(pk=row.pk).update(digest=digest)
        cursor.execute("DELETE FROM safety_signerkey WHERE state = 'active'")  # a row of another installation
        cursor.execute("UPDATE safety_signerkey SET state = 'active', retired_at = NULL")
        cursor.execute("SET LOCAL session_replication_role = origin")
    assert verification.run().quarantined == 1
    assert asset().verified_state == "Valid"


def test_without_anchors_nothing_is_read_and_nothing_is_taken_out(clip, monkeypatch, settings, tmp_path):
    settings.SIGNING_ROOT = tmp_path / "not-a-folder"
    settings.SIGNING_ROOT.write_text("")
    assert verification.run() == verification.Round()
    assert OperationalEvent.objects.get(kind="verification.impossible").severity == "error"
    assert not Asset.objects.exclude(quarantined_at=None).exists()


def test_the_audit_passes_what_was_delivered(clip, capsys):
    assert audit(capsys) == (0, "3 files are Trusted and scanned; 0 are not.\n")


@pytest.mark.parametrize("trouble", ["missing", "changed", "unsigned", "another job", "stray", "unscanned"])
def test_the_audit_names_what_fails(plus, clip, tmp_path, capsys, trouble):
    path = asset().path
    content = default_storage.open(path).read()
    expected = path
    if trouble == "missing":
        spoil(path, None)
    elif trouble == "changed":
        spoil(path, content[:-1] + b"\0")
    elif trouble == "unsigned":
        spoil(path, (tmp_path / f"{clip.pk}.mp4").read_bytes())
    elif trouble == "another job":
        expected = f"clips/{uuid.uuid4()}/1/clip.mp4"
        default_storage.save(expected, ContentFile(content))
    elif trouble == "stray":
        expected = "clips/notes.txt"
        default_storage.save(expected, ContentFile(b"a note"))
    else:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("UPDATE safety_scan SET verdict = 'review'")
            cursor.execute("SET LOCAL session_replication_role = origin")
    code, out = audit(capsys)
    assert code == 1
    assert any(line.startswith(f"{expected}: ") for line in out.splitlines()), out


@pytest.mark.parametrize("role", ["video", "thumbnail", "spritesheet"])
def test_no_row_names_a_file_for_delivery_that_was_not_signed_from_a_passed_scan(plus, clip, tmp_path, role):
    """By SQL, past every line of Python."""
    insert = (
        "INSERT INTO generation_asset (job_id, fence, role, path, media_type, bytes, digest, created_at)"
        " VALUES (%s, %s, %s, 'clips/x', 'video/mp4', 1, %s, now())"
    )
    other, lease, _, _ = scanned_clip(plus, tmp_path, seed=2)
    words = "no scan that passed and Trusted credentials line up"
    assert words in refused(insert, other.pk, lease.fence, role, "0" * 64)
    assert words in refused(insert, other.pk, lease.fence, role, asset(role).digest)  # of another clip
    credential = (
        "INSERT INTO safety_credential (subject, fence, unsigned_digest, scanned_digest, signed_digest, state,"
        " manifest_label, signer_fingerprint, claims) VALUES (%s, %s, %s, %s, %s, %s, '', %s, '{}')"
    )
    scanned = signing._sha256(tmp_path / f"{other.pk}.mp4")
    with connection.cursor() as cursor:
        for state, of, digest in (("Valid", scanned, "1" * 64), ("Trusted", "2" * 64, "3" * 64)):
            cursor.execute(credential, [str(other.pk), lease.fence, "4" * 64, of, digest, state, "5" * 64])
    for digest in ("1" * 64, "3" * 64):  # not Trusted; Trusted, from a file that no scan passed
        assert words in refused(insert, other.pk, lease.fence, role, digest)
    assert Asset.objects.filter(job=other).count() == 0
    deliver = "UPDATE generation_job SET state = 'delivered', state_cause = 'x' WHERE id = %s"
    assert "line up" in refused(deliver, other.pk)


def test_a_picture_does_not_stand_for_its_clip(plus, tmp_path):
    """A thumbnail's credentials rest on the same scan; as the clip's own file it is refused."""
    job, lease, unsigned, _ = scanned_clip(plus, tmp_path)
    _, thumbnail, _ = signing.sign_all(job, lease.fence, unsigned, tmp_path)
    digest = signing._sha256(thumbnail.path)
    insert = (
        "INSERT INTO generation_asset (job_id, fence, role, path, media_type, bytes, digest, created_at)"
        " VALUES (%s, %s, 'video', 'clips/x', 'video/mp4', 1, %s, now())"
    )
    assert "line up" in refused(insert, job.pk, lease.fence, digest)


def test_a_job_whose_file_is_in_quarantine_is_not_delivered_by_sql(plus, tmp_path):
    job, lease, unsigned, _ = scanned_clip(plus, tmp_path)
    clip, thumbnail, _ = signing.stored_all(
        job, lease.fence, signing.sign_all(job, lease.fence, unsigned, tmp_path)
    )
    Asset.objects.create(job=job, fence=lease.fence, **asdict(clip))
    Asset.objects.update(quarantined_at="2026-01-01T00:00Z")
    deliver = "UPDATE generation_job SET state = 'delivered', state_cause = 'x' WHERE id = %s"
    assert "its file is in quarantine" in refused(deliver, job.pk)
    insert = (
        "INSERT INTO generation_asset (job_id, fence, role, path, media_type, bytes, digest, created_at)"
        " VALUES (%s, %s, 'poster', 'clips/x', 'image/webp', 1, %s, now())"
    )
    assert "asset_role_known" in refused(insert, job.pk, lease.fence, thumbnail.digest)


def note_purged(urls: list[str]) -> None:
    told.append(urls)


def refuse_purge(urls: list[str]) -> None:
    raise OSError("the CDN is away")


def test_a_cdn_is_told_once_the_transaction_is_over_and_again_until_it_listens(clip, settings):
    told.clear()
    settings.SITE_URL = "https://backlot.example"
    spoil(asset().path, None)
    verification.run()
    assert not OutboxEvent.objects.filter(topic="cdn.purge").exists()  # no CDN, nothing to tell

    Asset.objects.update(quarantined_at=None)
    settings.CDN_PURGE = f"{__name__}.refuse_purge"
    verification.run()
    announcements.dispatch()
    waiting = OutboxEvent.objects.get(topic="cdn.purge")
    assert (waiting.dispatched_at, "the CDN is away" in waiting.last_error) == (None, True)
    settings.CDN_PURGE = f"{__name__}.note_purged"
    OutboxEvent.objects.update(due_at="2026-01-01T00:00Z")
    announcements.dispatch()
    assert told == [[f"https://backlot.example/v1/videos/{clip.public_id}/content"]]
    assert OutboxEvent.objects.get(topic="cdn.purge").dispatched_at is not None
