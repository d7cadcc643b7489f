"""Operational events: what on-call staff and alarms should know, written by every room."""

from accounts.models import OperationalEvent

Severity = OperationalEvent.Severity


def report(kind: str, severity: str, subject: str, detail: dict) -> OperationalEvent:
    """Write an event in the caller's transaction.

    `kind` is dotted ("worker.lease_lost"), `severity` one of info, warning, error, critical, `subject` is
    "kind:id", `detail` JSON without prompts, secrets or other personal content. What must outlive a failing
    transaction has to be reported after it was rolled back.
    """
    return OperationalEvent.objects.create(
        kind=kind, severity=Severity(severity), subject=subject, detail=detail
    )
