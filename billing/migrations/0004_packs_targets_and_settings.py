"""The rows that buying, promises and staff work begin with: packs, targets, settings, the price of a repeat."""

from datetime import UTC, datetime

from django.db import migrations

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
CREDIT = 1_000_000  # micro-credits; 1 credit = $0.01
WRITTEN = {"effective_from": FIRST, "author": "installation"}

PACKS = [  # slug, name, credits, cents: 1 credit = $0.01 whatever the size, so that a refund is the same everywhere
    ("starter", "1,000 credits", 1_000, 1_000),
    ("maker", "5,000 credits", 5_000, 5_000),
    ("studio", "25,000 credits", 25_000, 25_000),
]
# tier, clips up to so many seconds, target in seconds, credits a breach earns
TARGETS = [
    ("free", 60, 300, 0),
    *((tier, *row) for tier in ("plus", "pro", "enterprise") for row in ((10, 120, 20), (20, 240, 20), (60, 720, 20))),
]


def seed(apps, schema_editor):
    model = lambda name: apps.get_model("billing", name)  # noqa: E731
    model("PriceVersion").objects.create(
        operation="cached",
        micro_per_unit=30_000,
        reason="A clip served from the cache costs a tenth of one that is made.",
        **WRITTEN,
    )
    model("CreditPack").objects.bulk_create(
        model("CreditPack")(
            slug=slug,
            name=name,
            credits_micro=credits * CREDIT,
            amount_cents=cents,
            currency="usd",
            on_sale=True,
            reason="The first packs: 1 credit = $0.01.",
            **WRITTEN,
        )
        for slug, name, credits, cents in PACKS
    )
    model("SlaTarget").objects.bulk_create(
        model("SlaTarget")(
            tier_id=tier,
            model="",
            max_seconds=seconds,
            target_s=target,
            credit_micro=credits * CREDIT,
            reason="The first targets: 120 s for 10 s of clip on paid tiers, $0.20 where it is missed.",
            **WRITTEN,
        )
        for tier, seconds, target, credits in TARGETS
    )
    model("BillingSettings").objects.create(
        approval_above_micro=10_000 * CREDIT,
        low_balance_micro=100 * CREDIT,
        sla_credit_days=365,
        reads_per_minute_factor=10,
        reason="The first settings: a second person above $100, a notice below $1.",
        **WRITTEN,
    )
    Account = model("Account")
    Account.objects.bulk_create(Account(kind=kind) for kind in ("overage", "sla"))


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_access_and_money"), ("accounts", "0002_tiers")]

    # The rows are append-only; going back drops the tables with them.
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
