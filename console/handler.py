"""Django's ASGI handler, by which a view that isn't async takes one way into a thread and one out of it.

As Django has it, each request starts a thread and an executor of its own and crosses between them and the event loop
some six times, which was more of an admission's processor time than all that it decides. Here a fixed set of threads
answers such requests as WSGI would; async views, which the open streams are, go Django's way.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import IO, Any

from asgiref.sync import ThreadSensitiveContext, iscoroutinefunction, sync_to_async
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, ResolverMatch, get_resolver, set_script_prefix


class Handler(ASGIHandler):
    """`threads` requests at once are answered by views that aren't async; those beyond wait their turn."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._in_thread = _InThread()
        self._in_thread.load_middleware()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="view")

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        match = _match(scope)
        if scope["type"] != "http" or (match and iscoroutinefunction(match.func)):
            await super().__call__(scope, receive, send)
            return
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        answer = copy_context().run, self._answer, scope, body, match
        response = await asyncio.get_running_loop().run_in_executor(self._threads, *answer)
        if not response.streaming:
            await self.send_response(response, send)
            return
        async with (
            ThreadSensitiveContext()
        ):  # as Django would: its file or rows are read in a thread of its own
            try:
                await self.send_response(response, send)
            finally:
                await sync_to_async(response.close)()

    def _answer(self, scope: dict, body: IO[bytes], match: ResolverMatch | None) -> HttpResponseBase:
        """The whole answer. What a response keeps open until it is sent ends here too, unless it is a stream."""
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=self.__class__, scope=scope)
        request, refused = self.create_request(scope, body)
        if request is None:
            body.close()
            response = refused
        else:
            request.matched = match
            response = self._in_thread.get_response(request)
        response._handler_class = self.__class__
        if response.streaming:
            close_old_connections()
        else:
            response.close()
        return response


class _InThread(BaseHandler):
    """The middleware and the view, all in the caller's thread."""

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """By the match that the request came with: looking a path up twice would be twice the work."""
        if request.matched is None:
            return super().resolve_request(request)
        request.resolver_match = request.matched
        return request.matched


def _match(scope: dict) -> ResolverMatch | None:
    """Whose path it is, None where it is nobody's."""
    try:
        return get_resolver().resolve(scope.get("path", "").removeprefix(scope.get("root_path", "")))
    except Resolver404:
        return None
