"""The API: /v1 and /api."""

from tests.console.isolation.entry import own, own_at, public, tenant

VIDEO, JOB, DONE = {"video_id": "{video}"}, {"job_id": "{video}"}, {"video_id": "{done_video}"}
COMPLETION, KEY = {"completion_id": "{completion}"}, {"key_id": "{key}"}
HOOK = {"webhook_id": "{webhook}"}
SENT = {**HOOK, "delivery_id": "{delivery}"}
PROMPT = {"prompt": "a green square moving left on a white background"}
CHAT = {"messages": [{"role": "user", "content": "def f():"}], "stream": True, "max_tokens": 8}
MONEY = "read|billing"

ENTRIES = {
    "api/openapi.json": public(),
    "v1/videos": own("read", "generate", input_reference="{done_video}"),
    "v1/videos/edits": own("read", "generate", **PROMPT, video="{done_video}"),
    "v1/videos/extensions": own("read", "generate", **PROMPT, video="{done_video}", seconds="2"),
    "v1/videos/characters": own("read", "generate"),
    "v1/videos/characters/<character_id>": own_at("read", "generate", character_id="{video}"),
    "v1/videos/<video_id>": tenant("read", "generate", **VIDEO),
    "v1/videos/<video_id>/content": tenant("read", "generate", **DONE),
    "v1/videos/<video_id>/remix": tenant("read", "generate", fields=PROMPT, **DONE),
    "v1/completions": own("read", "generate", prompt=""),
    "v1/completions/<completion_id>/stream": tenant("read", "generate", **COMPLETION),
    "v1/chat/completions": own("read", "generate", messages=[]),
    "v1/chat/completions/<completion_id>/stream": tenant("read", "generate", completion_id="{chat}"),
    "v1/responses": own("read", "generate", input="", previous_response_id="{response}"),
    "v1/responses/<response_id>": tenant("read", "generate", response_id="{response}"),
    "v1/responses/<response_id>/cancel": tenant("read", "generate", response_id="{response}"),
    "v1/models": own("read", "generate"),
    "v1/models/<model>": own_at("read", "generate", model="pocket-video"),
    "api/models": own("read", "generate"),
    "api/quotes": own("read", "generate", **PROMPT),
    "api/jobs": own("read", "generate"),
    "api/jobs/<job_id>": tenant("read", "generate", **JOB),
    "api/jobs/<job_id>/cancel": tenant("read", "generate", **JOB),
    "api/jobs/<job_id>/stream": tenant("read", "generate", **JOB),
    "api/events": own("read", "generate"),
    "api/reports": own("read", "generate", clip="{done_video}", category="other", text="words"),
    "api/decisions/<decision_id>": tenant("read", "generate", decision_id="{decision}"),
    "api/statement": own(MONEY, "billing"),
    "api/usage": own(MONEY, "billing"),
    "api/budgets": own(MONEY, "billing", scope="key", target="{key}", amount_micro=1_000_000),
    "api/budgets/<budget_id>": tenant(MONEY, "billing", budget_id="{budget}"),
    "api/notices": own(MONEY, "billing"),
    "api/invoices": own(MONEY, "billing"),
    "api/promotions/redeem": own("billing", code="NO-SUCH-CODE"),
    "api/credit-packs": own("billing"),
    "api/purchases": own("billing", pack="no-such-pack"),
    "api/purchases/<purchase_id>": tenant("billing", purchase_id="{purchase}"),
    "api/payments/<provider>/webhook": public("/api/payments/sandbox/webhook", id="evt_1"),
    "api/keys": own("admin", name=""),
    "api/keys/<key_id>": tenant("admin", **KEY),
    "api/keys/<key_id>/rotate": tenant("admin", fields={"hours": 0}, **KEY),
    "api/webhooks": own("admin", url=""),
    "api/webhooks/event-types": own("admin"),
    "api/webhooks/<webhook_id>": tenant("admin", fields={"enabled": False}, **HOOK),
    "api/webhooks/<webhook_id>/rotate": tenant("admin", fields={"hours": 0}, **HOOK),
    "api/webhooks/<webhook_id>/test": tenant("admin", **HOOK),
    "api/webhooks/<webhook_id>/deliveries": tenant("admin", **HOOK),
    "api/webhooks/<webhook_id>/deliveries/<delivery_id>": tenant("admin", **SENT),
    "api/webhooks/<webhook_id>/deliveries/<delivery_id>/resend": tenant("admin", **SENT),
}
