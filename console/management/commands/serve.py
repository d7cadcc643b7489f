"""Start everything: servers, database, web, workers, upkeep; make a sample; stay up until told to stop."""

import io
import os
import subprocess
import sys
import time

import structlog
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from console import embedded, logs
from console.observability.metrics import in_process
from console.supervisor import address, presence
from console.supervisor.output import NamedStream, Output
from console.supervisor.programs import PROJECT, Program, all_programs
from console.supervisor.supervision import Supervision

logger = structlog.get_logger("backlot.serve")

READY_WITHIN_S, ASK_EVERY_S = 300, 1
SAMPLE = Program("sample", (sys.executable, str(PROJECT / "manage.py"), "sample"))
INTERRUPTED = 130


class Command(BaseCommand):
    help = "Run Backlot: web, workers for clips and code, upkeep. Ctrl-C drains and stops everything."
    requires_system_checks = ()  # `migrate`, below, runs them

    def add_arguments(self, parser) -> None:
        parser.add_argument(
            "--no-sample", action="store_true", help="do not make the sample clip and completion"
        )
        parser.add_argument("--once", action="store_true", help="stop after the sample, with its exit status")

    def handle(self, *args, once: bool, no_sample: bool, **options) -> None:
        if once and no_sample:
            raise CommandError("--once stops after the sample, so it can't go with --no-sample")
        port, home = settings.PORT, settings.HOME
        url = f"http://{address.HOST}:{port}"
        claimed = presence.claim(home, presence.Presence(os.getpid(), port, url))
        if claimed is None:
            self._meet_the_other(presence.read(home), once)
        self._require_port(port, once)
        output = Output()
        logs.configure(NamedStream(output, "serve"))
        sign_ins = self._prepare_database()
        in_process.forget(settings.METRICS_FOLDER)
        servers = embedded.ensure("manage.py serve")
        watch = (lambda: self._keep(servers)) if servers else None
        supervision = Supervision(all_programs(port, home, settings.SCORERS), output, watch)
        supervision.catch_signals()
        status = self._serve(supervision, output, once=once, sample=not no_sample, farewell=(url, sign_ins))
        killed = supervision.stop()
        embedded.leave()
        logger.info("stopped")
        # With --once the status is the sample's: what it shows does not depend on how fast a busy machine drains.
        sys.exit(status or (1 if killed and not once else 0))

    def _serve(
        self, supervision: Supervision, output: Output, *, once: bool, sample: bool, farewell: tuple
    ) -> int:
        """From the first start to the reason to stop; the exit status."""
        problem = self._wait_until_ready(supervision)
        if problem:
            logger.error("not ready", reason=problem)
            return 1
        if supervision.stopping:
            return INTERRUPTED
        status = 0
        if sample:
            outcome = supervision.run_once(SAMPLE)
            if outcome is None:
                return INTERRUPTED
            status = outcome if outcome >= 0 else 128 - outcome
            if status:
                logger.error("the sample failed", status=status)
        if once:
            return status
        url, sign_ins = farewell
        output.plain(f"\nBacklot is up at {url}\n{sign_ins}\nCtrl-C drains and stops everything.\n")
        while not supervision.stopping:
            supervision.turn()
        logger.info("draining")
        return 0

    def _wait_until_ready(self, supervision: Supervision) -> str:
        """Until /readyz is content, or we are told to stop; otherwise what is wrong."""
        began = told_at = asked_at = time.monotonic()
        while not supervision.stopping:
            supervision.turn()
            now = time.monotonic()
            if now - asked_at < ASK_EVERY_S:
                continue
            asked_at = now
            missing = address.missing_for_readiness(settings.PORT)
            if not missing:
                logger.info("ready", after_s=round(now - began, 1))
                return ""
            if supervision.hopeless():
                return f"{', '.join(supervision.hopeless())} can't be started; its last lines stand above"
            if now - began > READY_WITHIN_S:
                return missing
            if now - told_at > 15:
                told_at = now
                logger.info("waiting", missing=missing)
        return ""

    def _prepare_database(self) -> str:
        """Migrate and make the demo data; the sign-ins as text. The connections are closed again."""
        began, printed = time.monotonic(), io.StringIO()
        call_command("migrate", interactive=False, verbosity=0)
        call_command("register_models")
        call_command("seed_demo", stdout=printed)
        connection.close()
        connection.close_pool()
        logger.info("database is up to date", after_s=round(time.monotonic() - began, 1))
        return printed.getvalue().rstrip()

    @staticmethod
    def _keep(servers: embedded.Servers) -> None:
        """Embedded servers whose keeper was killed come back on the same ports."""
        try:
            if embedded.revive(servers, "manage.py serve"):
                logger.warning("the embedded servers had gone and were started again")
        except embedded.EmbeddedError as error:
            logger.error("the embedded servers can't be started again", reason=str(error))

    def _meet_the_other(self, other: presence.Presence | None, once: bool) -> None:
        """Another supervisor serves this home: say where. With --once, make the sample there."""
        where = f"at {other.url} (pid {other.pid})" if other else "but has not said where yet"
        self.stdout.write(f"Backlot already runs {where}, data in {settings.HOME}.")
        if not once or other is None:
            sys.exit(1 if once else 0)
        sample = {**os.environ, "PORT": str(other.port)}
        sys.exit(subprocess.run(SAMPLE.command, cwd=PROJECT, env=sample, check=False).returncode)

    def _require_port(self, port: int, once: bool) -> None:
        """The port is ours to take; otherwise say who has it."""
        if address.is_free(port):
            return
        if address.is_backlot(port):
            self.stdout.write(
                f"Another Backlot already runs at http://{address.HOST}:{port}, from another home."
            )
            sys.exit(1 if once else 0)
        raise CommandError(
            f"port {port} is taken by another program: stop it, or choose one, as in PORT=8001 make run"
        )
