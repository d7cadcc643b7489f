"""What can be told, by type. Who tells it is the room it happens in; here is what a customer may choose from."""

TEST = "webhook.test"

# type → what it says to a customer, in the order in which pages list them
KINDS: dict[str, str] = {
    "video.completed": "A clip is ready",
    "video.failed": "A clip failed, was cancelled, blocked or withdrawn",
    "completion.completed": "A completion has ended well",
    "completion.failed": "A completion failed or was cancelled",
    "credits.low": "The balance fell below your line",
    "credits.sla": "A credit for a late clip was posted",
    "budget.alert": "A budget has passed its soft line",
    "budget.reached": "A budget is used up",
    "top_up.succeeded": "Credits were bought by themselves",
    "top_up.failed": "An automatic top-up failed",
    "payment.disputed": "A payment is disputed",
    "invoice.issued": "A month's overage was invoiced",
    "webhook.disabled": "Another of your webhooks was switched off",
}
