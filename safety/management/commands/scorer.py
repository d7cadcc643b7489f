"""The process that scores texts: `manage.py scorer [ADDRESS]`."""

import asyncio
import signal

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Score texts for the text filter, at ADDRESS (unix:/path or host:port; by default the first of SCORERS)."
    requires_system_checks = ()

    def add_arguments(self, parser) -> None:
        parser.add_argument("address", nargs="?", help="where to listen")

    def handle(self, *args, address: str | None, **options) -> None:
        asyncio.run(_serve(address or settings.SCORERS[0]))


async def _serve(address: str) -> None:
    from safety.scorer.server import Server

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await Server(address, settings.SCORER_SECRET.encode(), _load).run(stopping)


def _load():
    from safety.scorer.engine import Engine

    return Engine(settings.SCORER_MODEL, guard_model=settings.GUARD_MODEL).answer
