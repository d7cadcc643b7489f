"""Once a second: who waits too long, and what is done about it."""

from django.utils import timezone

from generation import auto_raise, preemption


def run() -> None:
    now = timezone.now()
    preemption.run(now)
    auto_raise.run(now)
