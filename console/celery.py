"""The Celery application: three queues, and the beat that keeps things moving.

A message is only a hint that work exists (PostgreSQL is the truth), so nothing here needs to survive Redis.
Queues: `clips` and `code` carry tickets for the workers of those pools, `upkeep` everything that is short.
"""

import os

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging

from console import logs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

app = Celery("backlot")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

app.conf.broker_connection_max_retries = None  # Redis may be away for as long as it likes
app.conf.beat_schedule = {
    # A beat that nobody took in time is dropped: the next one does the same work.
    "reap": {
        "task": "generation.tasks.reap",
        "schedule": 2.0,
        "options": {"queue": "upkeep", "expires": 10},
    },
    "mind_waits": {
        "task": "generation.tasks.mind_waits",
        "schedule": 1.0,
        "options": {"queue": "upkeep", "expires": 5},
    },
    "dispatch_outbox": {
        "task": "generation.tasks.dispatch_outbox",
        "schedule": 1.0,
        "options": {"queue": "upkeep", "expires": 10},
    },
    "keep_accounts": {
        "task": "generation.tasks.keep_accounts",
        "schedule": 30.0,
        "options": {"queue": "upkeep", "expires": 60},
    },
    "mind_payments": {
        "task": "billing.tasks.mind_payments",
        "schedule": 2.0,
        "options": {"queue": "upkeep", "expires": 10},
    },
    "mind_money": {
        "task": "generation.tasks.mind_money",
        "schedule": 20.0,
        "options": {"queue": "upkeep", "expires": 30},
    },
    "mail_notices": {
        "task": "billing.tasks.mail_notices",
        "schedule": 5.0,
        "options": {"queue": "upkeep", "expires": 30},
    },
    "reconcile_nightly": {
        "task": "billing.tasks.reconcile_nightly",
        "schedule": crontab(hour=3, minute=17),  # UTC
        "options": {"queue": "upkeep", "expires": 6 * 3600},
    },
    "watch_signing_certificate": {
        "task": "safety.tasks.watch_signing_certificate",
        "schedule": 24 * 3600.0,
        "options": {"queue": "upkeep", "expires": 3600},
    },
}


@setup_logging.connect
def _configure_logs(**kwargs: object) -> None:
    """Being connected is what keeps Celery from configuring logs and capturing stdout itself."""
    logs.configure()
