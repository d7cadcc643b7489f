"""What a new organization begins with: the promotional credit of the cohort it came by, from the outbox."""

from datetime import datetime, timedelta

from accounts.models import OutboxEvent
from billing import ledger


def greet(event: OutboxEvent) -> None:
    """Grant the cohort's credit, once however often the event comes; without credit there is nothing to do.

    The expiry counts from the sign-up, so that a late event asks for the same grant as a first one.
    """
    told = event.payload
    if not told["credit_micro"]:
        return
    ledger.grant(
        told["organization"],
        told["credit_micro"],
        bucket="promotional",
        idempotency_key="cohort-credit",
        reason=f"credit of the cohort {told['cohort_name']}",
        expires_at=datetime.fromisoformat(told["at"]) + timedelta(days=told["credit_days"]),
        actor="sign-up gate",
    )
