"""For processes of their own: nothing of Django is loaded."""

import os


async def which(scope, receive, send):
    """An application that answers with the process that it runs in."""
    await receive()
    body = str(os.getpid()).encode()
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
