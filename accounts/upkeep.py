"""What the beat keeps in order here: the audit log's seals, requests for approval that nobody decided in time, and
idempotency keys that nobody repeats any more."""

from accounts import approvals, audit_chain
from accounts.api import once


def run() -> None:
    """One round of everything."""
    approvals.expire()
    audit_chain.seal()
    once.forget_old()
