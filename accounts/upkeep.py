"""What the beat keeps in order here: the audit log's seals, and requests for approval that nobody decided in time."""

from accounts import approvals, audit_chain


def run() -> None:
    """One round of everything."""
    approvals.expire()
    audit_chain.seal()
