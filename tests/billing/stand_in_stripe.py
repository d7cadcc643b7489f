"""A stand-in for Stripe: a small HTTP server that keeps what Stripe would keep, and sends signed webhooks as told.

It knows the calls that Backlot makes and answers them in Stripe's shapes: customers, checkout sessions, payment
intents, refunds, payment methods; idempotency keys with the hash of their request. What a payer, a bank or a person at
Stripe does are methods here (`pay`, `decline`, `dispute`, `refund_by_hand` …). Each puts its events on `events`; `send`
delivers them over HTTP in any order, as often as wanted, with whatever signature, or not at all.
"""

import hashlib
import itertools
import json
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import stripe

KEY = "sk_test_stand_in"
SECRET = "whsec_stand_in"
ROUTES = (
    ("POST", r"/v1/customers", "_create_customer"),
    ("POST", r"/v1/checkout/sessions", "_create_session"),
    ("GET", r"/v1/checkout/sessions/(\w+)", "_read"),
    ("POST", r"/v1/payment_intents", "_create_intent"),
    ("GET", r"/v1/payment_intents", "_list_intents"),
    ("GET", r"/v1/payment_intents/(\w+)", "_read"),
    ("POST", r"/v1/refunds", "_create_refund"),
    ("GET", r"/v1/refunds/(\w+)", "_read"),
    ("POST", r"/v1/payment_methods/(\w+)/detach", "_detach"),
)


class Refused(Exception):
    """An error answer of the API."""

    def __init__(self, status: int, **error: object) -> None:
        super().__init__(error.get("message"))
        self.status, self.body = status, {"error": error}


class StandIn:
    """The server. `calls` are (method, path, idempotency key); `fail_next` answers that many calls with a 500 first,
    `lose_next` does what was asked and then answers that many with a 500; `slow_s` makes every call wait."""

    def __init__(self) -> None:
        self.objects: dict[str, dict] = {}
        self.events: list[dict] = []
        self.calls: list[tuple[str, str, str | None]] = []
        self.fail_next = self.lose_next = 0
        self.slow_s = 0.0
        self.off_session = "succeeds"  # or declines, authentication_required
        self._keys: dict[str, tuple[str, int, dict]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "StandIn":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    # ---- What people do

    def pay(self, session_id: str, *, last4: str = "4242") -> dict:
        """The payer pays a checkout; the session."""
        with self._lock:
            session = self.objects[session_id]
            intent = self._intent_of(session)
            self._succeed(intent, last4, "pm" + last4)
            invoice = self._make("invoice", "in", metadata=session["metadata"])
            invoice["hosted_invoice_url"] = f"https://invoice.example/{invoice['id']}"
            session |= {"status": "complete", "payment_status": "paid", "invoice": invoice["id"]}
            self._tell("invoice.paid", invoice)
            self._tell("checkout.session.completed", session)
            return session

    def decline(self, session_id: str) -> dict:
        """A card is declined at a checkout, which stays open; the intent."""
        with self._lock:
            return self._fail(self._intent_of(self.objects[session_id]), "card_declined")

    def expire(self, session_id: str) -> None:
        with self._lock:
            self.objects[session_id]["status"] = "expired"
            self._tell("checkout.session.expired", self.objects[session_id])

    def dispute(self, intent_id: str) -> dict:
        """The payer claims the money back; the dispute."""
        with self._lock:
            intent = self.objects[intent_id]
            dispute = self._make("dispute", "dp", amount=intent["amount"], payment_intent=intent_id)
            dispute |= {"status": "needs_response", "reason": "fraudulent", "metadata": {}}
            self._tell("charge.dispute.created", dispute)
            return dispute

    def close_dispute(self, dispute_id: str, status: str) -> None:
        with self._lock:
            self.objects[dispute_id]["status"] = status
            self._tell("charge.dispute.closed", self.objects[dispute_id])

    def refund_by_hand(self, intent_id: str, amount: int) -> dict:
        """Somebody refunds at Stripe, past Backlot."""
        with self._lock:
            refund = self._make("refund", "re", amount=amount, payment_intent=intent_id, status="succeeded")
            refund["metadata"] = {}
            self._tell("refund.created", refund)
            return refund

    def fail_refund(self, refund_id: str) -> None:
        """A bank sends a refund back."""
        with self._lock:
            self.objects[refund_id]["status"] = "failed"
            self._tell("refund.failed", self.objects[refund_id])

    def foreign_payment(self) -> dict:
        """Another system on the same account sells something; its intent."""
        with self._lock:
            intent = self._make("payment_intent", "pi", amount=777, currency="usd", metadata={"order": "77"})
            intent |= {"customer": None, "description": "a mug"}
            self._succeed(intent, "1111", "pm_other")
            return intent

    # ---- Webhooks

    def send(
        self,
        to: str,
        events: Iterable[dict] | None = None,
        *,
        copies: int = 1,
        secret: str = SECRET,
        age_s: int = 0,
    ) -> list[int]:
        """Deliver events (all that are waiting, unless given) to an address; the statuses it answered."""
        if events is None:
            events, self.events = self.events, []
        return [post(to, *signed(event, secret, age_s)) for event in events for _ in range(copies)]

    # ---- The API's own side

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self._answer("GET")

            def do_POST(self) -> None:
                self._answer("POST")

            def _answer(self, method: str) -> None:
                path, _, query = self.path.partition("?")
                length = int(self.headers.get("Content-Length") or 0)
                form = nested(self.rfile.read(length).decode() if method == "POST" else query)
                status, body = stand_in._called(method, path, form, self.headers)
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                if status == 500:  # as Stripe asks of its library, so that tests see each failure once
                    self.send_header("Stripe-Should-Retry", "false")
                self.end_headers()
                self.wfile.write(content)

        return Handler

    def _called(self, method: str, path: str, form: dict, headers) -> tuple[int, dict]:
        key = headers.get("Idempotency-Key")
        self.calls.append((method, path, key))
        time.sleep(self.slow_s)
        with self._lock:
            if headers.get("Authorization") != f"Bearer {KEY}":
                return 401, {
                    "error": {"message": "Invalid API Key provided", "type": "invalid_request_error"}
                }
            if self.fail_next:
                self.fail_next -= 1
                return 500, {"error": {"message": "down", "type": "api_error"}}
            status, body = self._once(method, path, form, key if method == "POST" else None)
            if self.lose_next:
                self.lose_next -= 1
                return 500, {"error": {"message": "the answer was lost", "type": "api_error"}}
            return status, body

    def _once(self, method: str, path: str, form: dict, key: str | None) -> tuple[int, dict]:
        asked = hashlib.sha256(json.dumps([path, form], sort_keys=True).encode()).hexdigest()
        if key in self._keys:
            first, status, body = self._keys[key]
            if first != asked:
                problem = "Keys for idempotent requests can only be used with the same parameters."
                return 400, {"error": {"message": problem, "type": "idempotency_error"}}
            return status, body
        try:
            status, body = 200, json.loads(json.dumps(self._route(method, path, form)))
        except Refused as refused:
            status, body = refused.status, json.loads(json.dumps(refused.body))
        if key:
            self._keys[key] = (asked, status, body)
        return status, body

    def _route(self, method: str, path: str, form: dict) -> dict:
        for verb, pattern, name in ROUTES:
            match = re.fullmatch(pattern, path)
            if verb == method and match:
                return getattr(self, name)(form, *match.groups())
        raise Refused(
            404, message=f"Unrecognized request URL ({method}: {path}).", type="invalid_request_error"
        )

    def _create_customer(self, form: dict) -> dict:
        return self._make("customer", "cus", **form)

    def _create_session(self, form: dict) -> dict:
        (line,) = form["line_items"].values()
        price = line["price_data"]
        session = self._make("checkout.session", "cs", metadata=form["metadata"], customer=form["customer"])
        session |= {
            "status": "open",
            "payment_status": "unpaid",
            "amount_total": int(price["unit_amount"]) * int(line["quantity"]),
            "currency": price["currency"],
            "client_reference_id": form["client_reference_id"],
            "payment_intent": None,
            "invoice": None,
            "expires_at": int(form["expires_at"]),
            "success_url": form["success_url"],
            "intent_data": form["payment_intent_data"],
        }
        session["url"] = f"https://checkout.example/{session['id']}"
        return session

    def _create_intent(self, form: dict) -> dict:
        intent = self._make("payment_intent", "pi", metadata=form["metadata"], customer=form["customer"])
        intent |= {"amount": int(form["amount"]), "currency": form["currency"], "description": ""}
        if self.off_session == "succeeds":
            self._succeed(intent, "4242", form["payment_method"])
            return self._expanded(intent, form)
        self._fail(intent, "card_declined" if self.off_session == "declines" else self.off_session)
        error = intent["last_payment_error"]
        raise Refused(402, type="card_error", payment_intent=intent, **error)

    def _list_intents(self, form: dict) -> dict:
        since = int(form.get("created", {}).get("gte", 0))
        found = [
            one
            for one in self.objects.values()
            if one["object"] == "payment_intent"
            and one["customer"] == form["customer"]
            and one["created"] >= since
        ]
        return {"object": "list", "data": found[::-1], "has_more": False, "url": "/v1/payment_intents"}

    def _create_refund(self, form: dict) -> dict:
        intent = self.objects.get(form["payment_intent"])
        if intent is None or intent["status"] != "succeeded":
            raise Refused(
                400, message="No such payment_intent", type="invalid_request_error", code="resource_missing"
            )
        if intent.get("refunding") == "refused":
            raise Refused(400, message="This charge can't be refunded.", type="invalid_request_error")
        refund = self._make("refund", "re", amount=int(form["amount"]), payment_intent=intent["id"])
        refund |= {"status": "succeeded", "metadata": form["metadata"]}
        self._tell("refund.created", refund)
        return refund

    def _detach(self, form: dict, method_id: str) -> dict:
        return {"id": method_id, "object": "payment_method", "customer": None}

    def _read(self, form: dict, identity: str) -> dict:
        if identity not in self.objects:
            message = f"No such object: {identity}"
            raise Refused(404, message=message, type="invalid_request_error", code="resource_missing")
        return self._expanded(self.objects[identity], form)

    def _expanded(self, one: dict, form: dict) -> dict:
        """The object with what `expand[]` names in place of its id."""
        whole = dict(one)
        for way in form.get("expand", {}).values():
            name, _, rest = way.partition(".")
            if whole.get(name):
                inner = whole[name] if isinstance(whole[name], dict) else self.objects[whole[name]]
                whole[name] = self._expanded(inner, {"expand": {"0": rest}} if rest else {})
        return whole

    def _intent_of(self, session: dict) -> dict:
        if session["payment_intent"] is None:
            data = session["intent_data"]
            intent = self._make(
                "payment_intent", "pi", customer=session["customer"], metadata=data["metadata"]
            )
            intent |= {"amount": session["amount_total"], "currency": session["currency"]}
            intent |= {"description": data["description"], "status": "requires_payment_method"}
            session["payment_intent"] = intent["id"]
        return self.objects[session["payment_intent"]]

    def _succeed(self, intent: dict, last4: str, method_id: str) -> None:
        charge = self._make("charge", "ch", payment_intent=intent["id"], metadata=intent["metadata"])
        charge |= {"paid": True, "customer": intent["customer"], "payment_method": method_id}
        charge |= {"receipt_url": f"https://receipt.example/{charge['id']}"}
        charge["payment_method_details"] = {"type": "card", "card": {"brand": "visa", "last4": last4}}
        intent |= {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge["id"]}
        intent["last_payment_error"] = None
        self._tell("payment_intent.succeeded", intent)
        self._tell("charge.succeeded", charge)

    def _fail(self, intent: dict, code: str) -> dict:
        error = {"code": code, "decline_code": "generic_decline", "message": "Your card was declined."}
        if code == "authentication_required":
            error = {"code": code, "message": "The bank asks its customer to confirm this payment."}
        intent |= {"status": "requires_payment_method", "last_payment_error": error}
        self._tell("payment_intent.payment_failed", intent)
        return intent

    def _make(self, kind: str, prefix: str, **fields: object) -> dict:
        one = {
            "id": f"{prefix}_{next(self._numbers):06}",
            "object": kind,
            "created": int(time.time()),
            **fields,
        }
        self.objects[one["id"]] = one
        return one

    def _tell(self, kind: str, one: dict) -> None:
        """Events carry the object as it was then."""
        event = {"id": f"evt_{next(self._numbers):06}", "object": "event", "type": kind}
        event |= {"created": int(time.time()), "data": {"object": json.loads(json.dumps(one))}}
        self.events.append(event)


def signed(event: dict, secret: str = SECRET, age_s: int = 0) -> tuple[bytes, str]:
    """The body of an event and its signature header, made so many seconds ago."""
    body = json.dumps(event)
    at = int(time.time()) - age_s
    return body.encode(), stripe.WebhookSignature.generate_signature_header(body, secret, at)


def post(address: str, body: bytes, signature: str) -> int:
    """One delivery over HTTP; the status of the answer."""
    headers = {"Content-Type": "application/json", "Stripe-Signature": signature}
    request = urllib.request.Request(address, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def nested(form: str) -> dict:
    """A form as Stripe's library writes it, `a[b][0]=c`, as nested dicts (lists under their numbers)."""
    found: dict = {}
    for name, value in urllib.parse.parse_qsl(form, keep_blank_values=True):
        keys = re.findall(r"[^\[\]]+", name)
        place = found
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
    return found
