"""Files that may not be delivered: put into quarantine, checked by digest, brought back, or deleted. All repeatable."""

import hashlib
import logging

from django.core.files import File
from django.core.files.storage import Storage, default_storage, storages

logger = logging.getLogger(__name__)

REVIEW, WITHDRAWN, FRAMES = "review", "withdrawn", "frames"


class Damaged(OSError):
    """A file is missing or not what its digest says."""


def quarantine() -> Storage:
    return storages["quarantine"]


def put(name: str, file: File) -> None:
    """Store under exactly this name; what an interrupted attempt left there is replaced."""
    _store(quarantine(), name, file)


def move_in(path: str, digest: str) -> bool:
    """Move a delivered file into quarantine. False where it is in neither place (its owner deleted it)."""
    name = f"{WITHDRAWN}/{path}"
    if default_storage.exists(path):
        with default_storage.open(path, "rb") as file:
            put(name, file)
        _check(quarantine(), name, digest)
        default_storage.delete(path)
    return quarantine().exists(name)


def copy_back(path: str, digest: str) -> None:
    """Bring a withdrawn file back to where it was. Raises Damaged where it is not whole any more."""
    name = f"{WITHDRAWN}/{path}"
    if quarantine().exists(name):
        _check(quarantine(), name, digest)
        with quarantine().open(name, "rb") as file:
            _store(default_storage, path, file)
    _check(default_storage, path, digest)


def forget(path: str) -> None:
    """Delete the quarantined copy of a file that was brought back."""
    quarantine().delete(f"{WITHDRAWN}/{path}")


def delete_tree(folder: str, storage: Storage | None = None) -> None:
    """Delete a folder with all that is in it; nothing happens where it isn't there."""
    place = storage or quarantine()
    if not place.exists(folder):
        return
    folders, files = place.listdir(folder)
    for name in files:
        place.delete(f"{folder}/{name}")
    for name in folders:
        delete_tree(f"{folder}/{name}", place)
    place.delete(folder)


def _store(storage: Storage, name: str, file: File) -> None:
    if storage.exists(name):
        storage.delete(name)
    kept = storage.save(name, File(file))
    if kept != name:
        storage.delete(kept)
        raise Damaged(f"{name} is in use")


def _check(storage: Storage, name: str, digest: str) -> None:
    if not storage.exists(name):
        raise Damaged(f"{name} is missing")
    with storage.open(name, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise Damaged(f"{name} is not the file that was delivered")
