"""The Celery application: three queues, and the beat that keeps things moving.

A message is only a hint that work exists (PostgreSQL is the truth), so nothing here needs to survive Redis.
Queues: `clips` and `code` carry tickets for the workers of those pools, `upkeep` everything that is short.
"""

import os
import time
from typing import Any, ClassVar

from celery import Celery, Task, bootsteps
from celery.schedules import crontab
from celery.signals import setup_logging, worker_init

from console import logs
from console.observability import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")


class Hint(Task):
    """A task of the beat says in its header `every` (seconds) how often it comes. What piled up of it while nobody took
    it is one round's work: of two that are taken within half that time, the second does nothing.

    By this process's monotonic clock. An expiry in the message would be the beat's wall clock against the worker's,
    and every hint too old for a machine whose clock is ahead.
    """

    _taken_at: ClassVar[dict[str, float]] = {}

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        every = None if self.request.called_directly else self.request.get("every")
        if every:
            now, before = time.monotonic(), self._taken_at.get(self.name)
            if before is not None and now - before < every / 2:
                return None
            self._taken_at[self.name] = now
        return self._timed(arguments, named)

    def _timed(self, arguments: tuple, named: dict[str, Any]) -> Any:
        from console.observability.metrics import in_process  # behind the settings, which say where it counts

        if self.request.called_directly:
            return super().__call__(*arguments, **named)
        began, outcome = time.perf_counter(), "failed"
        try:
            answer = super().__call__(*arguments, **named)
            outcome = "done"
            return answer
        finally:
            in_process.TASKS.labels(self.name, outcome).observe(time.perf_counter() - began)


class Awake(bootsteps.StartStopStep):
    """Looks for the next ticket as soon as a thread is free.

    The loop that asks Redis sleeps in a poll of up to a second, and a task that ends in a thread of the pool doesn't
    wake it: a request that came right after another one waited that second out.
    """

    requires: ClassVar[set[str]] = {"celery.worker.components:Hub"}
    EVERY_S = 0.02

    def start(self, worker: Any) -> None:
        if worker.hub is not None:
            worker.hub.call_repeatedly(self.EVERY_S, _nothing)


def _nothing() -> None:
    """The loop turns around it."""


app = Celery("backlot", task_cls=Hint)
app.steps["worker"].add(Awake)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

app.conf.broker_connection_max_retries = None  # Redis may be away for as long as it likes
app.conf.beat_scheduler = "console.beat:SteadyScheduler"


def _every(seconds: float, task: str, queue: str = "upkeep") -> dict[str, Any]:
    options = {"queue": queue, "headers": {"every": seconds}}
    return {"task": task, "schedule": seconds, "options": options}


app.conf.beat_schedule = {
    "reap": _every(2.0, "generation.tasks.reap"),
    "mind_waits": _every(1.0, "generation.tasks.mind_waits"),
    "raise_weights": _every(5.0, "generation.tasks.raise_weights"),
    "dispatch_outbox": _every(1.0, "generation.tasks.dispatch_outbox"),
    "deliver_webhooks": _every(1.0, "accounts.tasks.deliver_webhooks"),
    "forget_webhook_deliveries": _every(3600.0, "accounts.tasks.forget_webhook_deliveries"),
    "keep_accounts": _every(30.0, "generation.tasks.keep_accounts"),
    "mind_payments": _every(2.0, "billing.tasks.mind_payments"),
    "mind_review": _every(5.0, "generation.tasks.mind_review"),
    "look_again": _every(60.0, "generation.tasks.look_again", queue="clips"),
    "mind_money": _every(20.0, "generation.tasks.mind_money"),
    "mail_notices": _every(5.0, "billing.tasks.mail_notices"),
    "reconcile_nightly": {
        "task": "billing.tasks.reconcile_nightly",
        "schedule": crontab(hour=3, minute=17),  # UTC
        "options": {"queue": "upkeep", "headers": {"every": 3600.0}},
    },
    "evaluate": {
        "task": "generation.tasks.evaluate",
        "schedule": crontab(hour=2, minute=41),  # UTC
        "options": {"queue": "clips", "headers": {"every": 3600.0}},
    },
    "forget_evaluation_clips": _every(24 * 3600.0, "generation.tasks.forget_evaluation_clips"),
    "forget_refused_prompts": _every(24 * 3600.0, "generation.tasks.forget_refused_prompts"),
    "read_golden_prompts": _every(60.0, "safety.tasks.read_golden_prompts"),
    "show_golden_pictures": _every(900.0, "safety.tasks.show_golden_pictures", queue="clips"),
    "watch_signing_certificate": _every(24 * 3600.0, "safety.tasks.watch_signing_certificate"),
    "look_at_alarms": _every(5.0, "console.tasks.look_at_alarms"),
    "page": _every(2.0, "console.tasks.page"),
    "reckon_incidents": _every(10.0, "console.tasks.reckon_incidents"),
    "roll_up": _every(20.0, "console.tasks.roll_up"),
    "forget_rollups": _every(3600.0, "console.tasks.forget_rollups"),
    "make_synthetic_jobs": _every(300.0, "console.tasks.make_synthetic_jobs"),
    "measure_effects": _every(30.0, "console.tasks.measure_effects"),
    "forget_alarm_counts": _every(3600.0, "console.tasks.forget_alarm_counts"),
    "verify_files": _every(10.0, "generation.tasks.verify_files"),
    "count_metrics": _every(10.0, "console.tasks.count_metrics"),
}


@setup_logging.connect
def _configure_logs(**kwargs: object) -> None:
    """Being connected is what keeps Celery from configuring logs and capturing stdout itself."""
    logs.configure()


@worker_init.connect
def _begin_traces(**kwargs: object) -> None:
    tracing.begin("worker")
