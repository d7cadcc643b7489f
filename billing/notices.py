"""What a customer is told, once per occasion: a row for the page, an outbox event for webhooks and mail."""

from accounts import outbox
from billing.models import Notice

# The topics of webhooks; a kind without one is told on the page alone.
TOPICS = {
    Notice.Kind.LOW_BALANCE: "credits.low",
    Notice.Kind.BUDGET_ALERT: "budget.alert",
    Notice.Kind.BUDGET_REACHED: "budget.reached",
    Notice.Kind.TOP_UP_DONE: "top_up.succeeded",
    Notice.Kind.TOP_UP_FAILED: "top_up.failed",
    Notice.Kind.PAYMENT_DISPUTED: "payment.disputed",
    Notice.Kind.SLA_CREDIT: "credits.sla",
    Notice.Kind.INVOICE: "invoice.issued",
    Notice.Kind.WEBHOOK_DISABLED: "webhook.disabled",
}


def tell(
    organization_id: int, kind: str, key: str, message: str, *, link: str = "", detail: dict | None = None
) -> bool:
    """Tell it in the caller's transaction. False where this kind and key were told before."""
    detail = detail or {}
    payload = {"message": message, "link": link, **detail}
    if not outbox.emit(TOPICS[Notice.Kind(kind)], f"{organization_id}:{key}", payload, organization_id):
        return False
    notice = Notice(
        organization_id=organization_id, kind=kind, key=key, message=message, link=link, detail=detail
    )
    Notice.objects.bulk_create([notice], ignore_conflicts=True)
    return True
