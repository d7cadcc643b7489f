"""The pages of customers, of doors and of nobody in particular."""

from tests.console.isolation.entry import closed, own, public, tenant

CLIP, CODE = {"job_id": "{clip}"}, {"job_id": "{code}"}
HOOK = {"endpoint_id": "{webhook}"}
SENT = {**HOOK, "delivery_id": "{delivery}"}
LOGIN = {"login": "{owner_email}", "password": "a wrong password"}

ENTRIES = {
    # Doors: nothing here names a tenant but by a person's address, and a wrong password changes nothing.
    "accounts/login/": public(**LOGIN),
    "accounts/signup/": public(email="{owner_email}", password1="short"),
    "accounts/logout/": own(),
    "accounts/inactive/": public(),
    "accounts/reauthenticate/": own(password="a wrong password"),
    "accounts/email/": own(email="{owner_email}", action_remove=""),
    "accounts/confirm-email/": public(),
    "accounts/password/change/": own(oldpassword="x", password1="y", password2="y"),
    "accounts/password/set/": own(password1="y", password2="y"),
    "accounts/password/reset/": public(email="nobody@example.com"),
    "accounts/login/code/confirm/": public(code="123456"),
    "accounts/^confirm-email/(?P<key>[-:\\w]+)/$": public("/accounts/confirm-email/x:y/"),
    "accounts/password/reset/key/done/": public(),
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": public(
        "/accounts/password/reset/key/{owner_base36}-x/"
    ),
    "accounts/password/reset/done/": public(),
    "accounts/2fa/": own(),
    "accounts/2fa/authenticate/": public(code="123456"),
    "accounts/2fa/reauthenticate/": own(code="123456"),
    "accounts/2fa/totp/activate/": own(code="123456"),
    "accounts/2fa/totp/deactivate/": own(),
    "accounts/2fa/recovery-codes/": own(),
    "accounts/2fa/recovery-codes/generate/": own(),
    "accounts/2fa/recovery-codes/download/": own(),
    "accounts/2fa/webauthn/": own(),
    "accounts/2fa/webauthn/add/": own(),
    "accounts/2fa/webauthn/reauthenticate/": own(),
    "accounts/2fa/webauthn/keys/<int:pk>/remove/": tenant("", pk="{passkey}"),
    "accounts/2fa/webauthn/keys/<int:pk>/edit/": tenant("", pk="{passkey}", fields={"name": "mine now"}),
    "join/<str:token>/": closed(token="no-such-token"),
    "media/<str:token>": closed(token="{forged_media}"),
    # Where a provider's own site would stand: the id in the address is the secret.
    "sandbox/checkout/<slug:session_id>/": closed(session_id="cs_unknown"),
    "sandbox/checkout/<slug:session_id>/confirm": closed(session_id="cs_unknown"),
    "sandbox/receipts/<slug:charge_id>/": closed(charge_id="ch_unknown"),
    "healthz": public(),
    "readyz": public(),
    "metrics": public(),  # to this machine alone; it names nobody
    "report": public(),
    "verify": public(),
    "styleguide": public(),
    "docs/api/": public(),
    "docs/api/<slug:subject>/": public("/docs/api/webhooks/"),
    "preferences": public(theme="dark"),
    # Making
    "": own(),
    "studio/submit": own("generate", prompt="", remix="{clip}"),
    "studio/quote": own("generate"),
    "studio/events": own("generate"),
    "jobs/<job:job_id>/": tenant("read", **CLIP),
    "jobs/<job:job_id>/events": tenant("read", **CLIP),
    "jobs/<job:job_id>/cancel": tenant("generate", **CLIP),
    "jobs/<job:job_id>/clip": tenant("read", job_id="{done}"),
    "jobs/<job:job_id>/preview": tenant("read", **CLIP),
    "jobs/<job:job_id>/report": tenant(
        "read", fields={"category": "other", "text": "words"}, job_id="{done}"
    ),
    "jobs/<job:job_id>/share": tenant("generate", fields={"days": "7"}, job_id="{done}"),
    "jobs/<job:job_id>/shares/<int:share_id>/revoke": tenant(
        "generate", job_id="{done}", share_id="{share}"
    ),
    "s/<str:token>/": closed(token="{forged_share}"),
    "s/<str:token>/clip": closed(token="{forged_share}"),
    "code/": own("generate", prompt=""),
    "code/quote": own("generate", prompt="x"),
    "code/<job:job_id>/": tenant("generate", **CODE),
    "code/<job:job_id>/events": tenant("generate", **CODE),
    "library/": own("read"),
    "library/compare/": own("read"),
    "history/": own("read"),
    # Money
    "usage/": own("read"),
    "usage.csv": own("read"),
    "spending/": own("billing"),
    "statement/": own("read"),
    "statement.csv": own("read"),
    "statement/refused/": own("read"),
    "statement/<int:line_id>/": tenant("read", line_id="{line}"),
    "statement/charges/<int:charge_id>/": tenant("read", charge_id="{charge}"),
    "statement/redeem": own("billing", code="NO-SUCH-CODE"),
    "budgets/": own("read", "billing", scope="member", target="{owner_id}", amount="1"),
    "budgets/<int:budget_id>/remove": tenant("billing", budget_id="{budget}"),
    "notices/": own("read"),
    "notices/read": own("read", up_to="{notice}"),
    "notices/threshold": own("billing", amount="12"),
    "balance/events": own("read"),
    "decisions/<uuid:decision_id>/": tenant("read", decision_id="{decision}"),
    "credits/": own("billing"),
    "credits/buy": own("billing", pack="no-such-pack"),
    "credits/events": own("billing"),
    "credits/top-up": own("billing", pack="no-such-pack"),
    "credits/card/forget": own("billing"),
    "invoices/": own("billing"),
    # The organization
    "keys/": own("admin", name=""),
    "keys/<int:key_id>/revoke": tenant("admin", key_id="{key}"),
    "keys/<int:key_id>/rotate": tenant("admin", fields={"hours": "0"}, key_id="{key}"),
    "webhooks/": own("admin", url=""),
    "webhooks/<int:endpoint_id>/": tenant(
        "admin", fields={"url": "https://example.com/", "event_types": "video.failed"}, **HOOK
    ),
    "webhooks/<int:endpoint_id>/rotate": tenant("admin", fields={"hours": "0"}, **HOOK),
    "webhooks/<int:endpoint_id>/switch": tenant("admin", fields={"on": "0"}, **HOOK),
    "webhooks/<int:endpoint_id>/test": tenant("admin", **HOOK),
    "webhooks/<int:endpoint_id>/remove": tenant("admin", **HOOK),
    "webhooks/<int:endpoint_id>/deliveries/<int:delivery_id>/": tenant("admin", **SENT),
    "webhooks/<int:endpoint_id>/deliveries/<int:delivery_id>/resend": tenant("admin", **SENT),
    "members/": own("read"),
    "members/invite": own("admin", email="", role="owner"),
    "members/invitations/<int:invitation_id>/revoke": tenant("admin", invitation_id="{invitation}"),
    "members/<int:member_id>/role": tenant("admin", fields={"role": "owner"}, member_id="{membership}"),
    "members/<int:member_id>/remove": tenant("admin", member_id="{membership}"),
    "audit/": own("admin"),
    "organization": own("read", organization="{slug}"),
}
