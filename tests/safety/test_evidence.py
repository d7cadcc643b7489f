"""What the database itself refuses: a pass that wasn't earned, and any change of evidence. Python is bypassed."""

import hashlib

import pytest
from django.db import DatabaseError, connection, transaction

from safety.models import Credential, HashEntry, Scan, Threshold, ThresholdOverride, Verdict
from safety.postfilter import canary
from safety.postfilter.scan import scan_frames
from tests.safety.clips import shape_world

pytestmark = pytest.mark.django_db

DIGEST = hashlib.sha256(b"clip").hexdigest()
PASS = "UPDATE safety_scan SET verdict = 'pass', finished_at = now(), elapsed_ms = 1, frames_scanned = %s WHERE id = %s"
ALL = '{"child_safety": 6}'


def refused(sql: str, *values) -> str:
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
    return str(caught.value)


def open_scan(total: int | None = 6, **fields) -> Scan:
    return Scan.objects.create(
        **{"subject": "job-1", "fence": 1, "purpose": "final", "digest": DIGEST, "policy_version": 1}
        | fields,
        frames_total=total,
    )


def judge(scan: Scan, skip: tuple[str, int] | None = None, outcome: str = "pass") -> None:
    wanted = [("child_safety", index) for index in range(6)]
    wanted += [(name, index) for name in ("likeness", "intimate", "violence") for index in (0, 5)]
    for name, index in wanted:
        if (name, index) != skip:
            Verdict.objects.create(
                scan=scan, gate="g", gate_version="1", frame_class=name, frame_index=index, score=0,
                outcome=outcome, threshold_version="1",
            )  # fmt: skip


def test_an_earned_pass_is_accepted():
    scan = open_scan()
    judge(scan)
    with connection.cursor() as cursor:
        cursor.execute(PASS, [ALL, scan.pk])
    scan.refresh_from_db()
    assert scan.verdict == "pass"


@pytest.mark.parametrize("skip", [("child_safety", 3), ("child_safety", 5), ("likeness", 0), ("violence", 5)])
def test_a_pass_with_one_frame_unseen_is_refused(skip):
    scan = open_scan()
    judge(scan, skip)
    assert f"no passing verdict for {skip[0]} frame {skip[1]}" in refused(PASS, ALL, scan.pk)


def test_an_unusable_frame_is_no_pass():
    scan = open_scan()
    judge(scan, skip=("child_safety", 2))
    Verdict.objects.create(
        scan=scan, gate="g", gate_version="1", frame_class="child_safety", frame_index=2, score=0,
        outcome="unusable", threshold_version="1",
    )  # fmt: skip
    assert "no passing verdict for child_safety frame 2" in refused(PASS, ALL, scan.pk)


@pytest.mark.parametrize("outcome", ["block", "review", "unavailable"])
def test_a_pass_beside_another_outcome_is_refused(outcome):
    scan = open_scan()
    judge(scan)
    Verdict.objects.create(
        scan=scan, gate="other", gate_version="1", frame_class="violence", frame_index=5, score=1,
        outcome=outcome, threshold_version="1",
    )  # fmt: skip
    assert "it has a verdict that is no pass" in refused(PASS, ALL, scan.pk)


@pytest.mark.parametrize("total", [None, 0])
def test_a_pass_of_no_frames_is_refused(total):
    assert "scan_pass_saw_every_frame" in refused(PASS, ALL, open_scan(total).pk)


@pytest.mark.parametrize("scanned", ["{}", '{"child_safety": 5}', '{"likeness": 6}'])
def test_a_pass_that_says_itself_that_frames_are_missing_is_refused(scanned):
    scan = open_scan()
    judge(scan)
    assert "scan_pass_saw_every_frame" in refused(PASS, scanned, scan.pk)


def test_a_pass_of_a_final_scan_without_digest_is_refused():
    scan = open_scan(digest=None)
    judge(scan)
    assert "scan_digest_is_sha256" in refused(PASS, ALL, scan.pk)


def test_a_scan_can_not_be_inserted_as_passed():
    message = refused(
        "INSERT INTO safety_scan (subject, fence, purpose, digest, frames_total, frames_scanned, verdict, reason,"
        " policy_version, elapsed_ms, finished_at) VALUES ('j', 1, 'final', %s, 6, %s, 'pass', '', 1, 1, now())",
        DIGEST,
        ALL,
    )
    assert "cannot pass" in message


def test_a_finished_scan_is_final():
    frames = shape_world(6)
    frames[2] = canary.paint(frames[2], "child_safety")
    scan = scan_frames(frames, "job-1", 1)
    assert scan.verdict == "block"
    assert "Cannot update" in refused("UPDATE safety_scan SET verdict = 'review' WHERE id = %s", scan.pk)
    assert "Cannot delete" in refused("DELETE FROM safety_scan WHERE id = %s", scan.pk)
    assert "Cannot update" in refused("UPDATE safety_verdict SET outcome = 'pass'")
    assert "Cannot update or delete" in refused("DELETE FROM safety_verdict")
    message = refused(
        "INSERT INTO safety_verdict (scan_id, gate, gate_version, frame_class, frame_index, score, outcome,"
        " threshold_version, evidence) VALUES (%s, 'late', '1', 'child_safety', 2, 0, 'pass', '1', '{}')",
        scan.pk,
    )
    assert "takes no further verdicts" in message
    scan.refresh_from_db()
    assert scan.verdict == "block"


@pytest.mark.parametrize("table", ["safety_scan", "safety_verdict", "safety_credential"])
def test_evidence_can_not_be_truncated(table):
    refused(f"TRUNCATE {table} CASCADE")


def test_credentials_are_append_only_and_well_formed():
    fields = {"subject": "j", "fence": 1, "unsigned_digest": DIGEST, "signed_digest": "a" * 64}
    Credential.objects.create(**fields, state="Trusted", signer_fingerprint="b" * 64, claims={})
    assert "Cannot update" in refused("UPDATE safety_credential SET state = 'Valid'")
    assert "Cannot update or delete" in refused("DELETE FROM safety_credential")
    insert = (
        "INSERT INTO safety_credential (subject, fence, unsigned_digest, signed_digest, state, manifest_label,"
        " signer_fingerprint, claims) VALUES ('j', 1, %s, %s, 'Trusted', '', %s, '{}')"
    )
    assert "signed_digest" in refused(insert, DIGEST, "a" * 64, "b" * 64)  # unique
    assert "credential_signing_changes_the_file" in refused(insert, DIGEST, DIGEST, "b" * 64)
    assert "credential_digests_are_sha256" in refused(insert, DIGEST, "short", "b" * 64)


@pytest.mark.parametrize(
    ("frame_class", "block", "review"),
    [("violence", 0.5, 0.6), ("violence", 1.5, 0.5), ("violence", 0.5, 0.0), ("child_safety", 0.9, 0.5)],
)
def test_thresholds_that_would_let_anything_through_are_refused(frame_class, block, review):
    refused(
        "UPDATE safety_threshold SET block_score = %s, review_score = %s WHERE frame_class = %s",
        block,
        review,
        frame_class,
    )


@pytest.mark.parametrize("value", ["2", "0", "-1", '"high"', "true", "null"])
def test_an_override_is_a_share_of_one(value):
    threshold = Threshold.objects.get(frame_class="violence")
    refused(
        "INSERT INTO safety_thresholdoverride (threshold_id, field, value, author_kind, author, reason, removed_by)"
        " VALUES (%s, 'block_score', %s, 'operator', 'a', 'r', '')",
        threshold.pk,
        value,
    )
    assert not ThresholdOverride.objects.exists()


@pytest.mark.parametrize("pdq", ["", "a" * 63, "G" * 64, "A" * 64])
def test_a_hash_is_64_hex_digits(pdq):
    refused(
        "INSERT INTO safety_hashentry (pdq, frame_class, source, radius, note, author)"
        " VALUES (%s, 'child_safety', 's', 31, '', 'a')",
        pdq,
    )
    assert not HashEntry.objects.exists()
