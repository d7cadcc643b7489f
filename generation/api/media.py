"""Serves what a link grants: whole or one range, in chunks, by HTTP's rules (RFC 9110 §§ 13 and 14)."""

from collections.abc import AsyncIterator
from typing import BinaryIO

from asgiref.sync import sync_to_async
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse

from accounts.errors import ApiError
from generation import delivery, ranges
from generation.delivery import Deliverable
from generation.pooling import give_back
from generation.storage import Grant, LinkDead, read_token

CHUNK = 256 * 1024
DEAD = "This link is no longer valid. Links live for a minute: ask for the content again to get a new one."


async def media(request: HttpRequest, token: str) -> HttpResponse:
    """GET or HEAD of a delivery link."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    try:
        grant = read_token(token)
    except LinkDead as error:
        raise ApiError("not_found", DEAD) from error
    found, file, size = await sync_to_async(_open)(grant)
    response = _respond(request, grant, found, file, size)
    if not response.streaming:
        file.close()
    return response


def _open(grant: Grant) -> tuple[Deliverable, BinaryIO, int]:
    """The file, opened, with its size; the connection goes back to the pool before a byte is sent."""
    try:
        found = delivery.deliverable(grant.path)
        file = default_storage.open(found.path, "rb")
        return found, file, file.size
    except (FileNotFoundError, SuspiciousFileOperation) as error:
        raise ApiError("not_found", "This file is no longer stored.") from error
    finally:
        give_back()


def _respond(
    request: HttpRequest, grant: Grant, found: Deliverable, file: BinaryIO, size: int
) -> HttpResponse:
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": grant.disposition,
        "Content-Type": found.media_type,
    }
    etag = f'"{found.digest}"' if found.digest else None
    if etag:
        headers["ETag"] = etag
    if etag and etag in _tags(request.headers.get("If-None-Match", "")):
        return HttpResponse(status=304, headers=headers)
    part = None
    try:
        if request.method == "GET" and ranges.applies(request.headers.get("If-Range"), etag or ""):
            part = ranges.requested(request.headers.get("Range"), size)
    except ranges.Unsatisfiable:
        return HttpResponse(status=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    if part is not None:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{size}"
    whole = part or ranges.ByteRange(0, size - 1)
    headers["Content-Length"] = str(whole.length)
    if request.method == "HEAD":
        return HttpResponse(headers=headers)
    return StreamingHttpResponse(_chunks(file, whole), status=206 if part else 200, headers=headers)


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}


async def _chunks(file: BinaryIO, part: ranges.ByteRange) -> AsyncIterator[bytes]:
    """The bytes of a range; the disk is read in a thread, so that a slow client holds up nobody else."""
    read = sync_to_async(_read, thread_sensitive=False)
    left, at = part.length, part.first
    try:
        while left > 0:
            block = await read(file, at, min(CHUNK, left))
            if not block:
                return
            left -= len(block)
            at += len(block)
            yield block
    finally:
        file.close()


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)
