"""The development chain: made once, by one of several, for its owner's eyes alone, and named for what it is."""

import os
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime

import pytest
from cryptography import x509

from safety.credentials import chain

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def fingerprint(root) -> str:
    return chain.load(root, NOW).fingerprint


def test_processes_that_start_at_once_use_one_chain(tmp_path):
    root = tmp_path / "signing"
    with ProcessPoolExecutor(4) as pool:
        found = set(pool.map(fingerprint, [root] * 8))
    assert len(found) == 1
    assert sorted(entry.name for entry in root.iterdir()) == ["development"]


def test_keys_are_for_their_owner_alone(tmp_path):
    folder = chain.ensure(tmp_path / "signing", NOW)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    os.chmod(folder / "leaf.key", 0o644)
    with pytest.raises(chain.ChainUnusable, match="read by others"):
        chain.load(tmp_path / "signing", NOW)


def test_every_certificate_says_that_it_is_for_development(tmp_path):
    folder = chain.ensure(tmp_path / "signing", NOW)
    for path in folder.glob("*.pem"):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        assert certificate.subject.rfc4514_string().startswith(
            "O=Backlot development,CN=Backlot development "
        )


def test_the_chain_is_loaded_whole_or_not_at_all(tmp_path):
    loaded = chain.load(tmp_path / "signing", NOW)
    assert loaded.certificates.count("BEGIN CERTIFICATE") == 2
    assert loaded.anchors.count("BEGIN CERTIFICATE") == 1
    assert loaded.not_after == NOW + chain.LEAF_LIFE
    (tmp_path / "signing" / "development" / "intermediate.pem").unlink()
    with pytest.raises(chain.ChainUnusable, match="can't be read"):
        chain.load(tmp_path / "signing", NOW)
