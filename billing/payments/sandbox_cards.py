"""The sandbox's test cards: numbers that are no real card's, each with what becomes of a payment with it. Pure."""

from dataclasses import dataclass

SUCCEEDS, DECLINED, CONFIRMS, DISPUTED, FAILS_LATER = (
    "succeeds",
    "declined",
    "confirms",
    "disputed",
    "fails_later",
)


@dataclass(frozen=True)
class SandboxCard:
    """A card of the sandbox; the numbers are those that Stripe's own test mode uses for the same."""

    number: str
    brand: str
    behaviour: str
    words: str

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def spaced(self) -> str:
        return " ".join(self.number[start : start + 4] for start in range(0, 16, 4))


CARDS = (
    SandboxCard("4242424242424242", "visa", SUCCEEDS, "The payment succeeds"),
    SandboxCard("4000000000000002", "visa", DECLINED, "The payment is declined"),
    SandboxCard(
        "4000002760003184", "visa", CONFIRMS, "The bank asks for a confirmation on a page of its own"
    ),
    SandboxCard(
        "4000000000000259", "visa", DISPUTED, "The payment succeeds and is disputed half a minute later"
    ),
    SandboxCard(
        "4000000000000341", "visa", FAILS_LATER, "The payment succeeds; automatic top-ups with it fail"
    ),
)


def card(number: str) -> SandboxCard | None:
    """The test card of this number, spaces aside."""
    plain = number.replace(" ", "")
    return next((one for one in CARDS if one.number == plain), None)


def refusal(code: str) -> dict:
    """The error of a payment that was not made, in Stripe's shape."""
    words = {
        "card_declined": "The card was declined.",
        "authentication_required": "The bank asks its customer to confirm this payment.",
        "payment_intent_authentication_failure": "The payment was not confirmed.",
    }
    return {"type": "card_error", "code": code, "message": words[code]}
