"""Signatures of webhooks, checked and made by the stripe library's own code, for both providers."""

import json
import time

from billing.payments.provider import BadSignature, Body


def verified(body: bytes, signature: str | None, secret: str) -> Body:
    """The event in a signed body. Raises `BadSignature` for a wrong, missing or old (5 min) signature."""
    import stripe

    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, stripe.Webhook.DEFAULT_TOLERANCE)
        event = json.loads(body)
    except stripe.SignatureVerificationError as problem:
        raise BadSignature(problem.user_message or "The signature does not match.") from problem
    except ValueError as problem:  # no JSON, or no text at all
        raise BadSignature("The body is no event.") from problem
    if not isinstance(event, dict) or not event.get("id") or not isinstance(event.get("data"), dict):
        raise BadSignature("The body is no event.")
    return event


def signed(body: str, secret: str) -> str:
    """The signature header of a body, now."""
    import stripe

    return stripe.WebhookSignature.generate_signature_header(body, secret, int(time.time()))
