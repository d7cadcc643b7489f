"""Reading a streamed CSV whole, as a spreadsheet would."""

import csv
import io

from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse


def read_csv(response: StreamingHttpResponse) -> list[dict[str, str]]:
    async def collected() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    return list(csv.DictReader(io.StringIO(async_to_sync(collected)().decode())))
