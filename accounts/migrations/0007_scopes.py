"""What calls that create answered under an Idempotency-Key."""

import django.core.serializers.json
import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_webhooks")]
    operations = [
        migrations.CreateModel(
            name="IdempotentCall",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("operation", models.CharField(max_length=40)),
                ("key", models.CharField(max_length=255)),
                ("request_hash", models.CharField(max_length=64)),
                (
                    "answer",
                    models.JSONField(encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
                ),
                ("at", models.DateTimeField(db_default=Now(), db_index=True)),
                (
                    "organization",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "operation", "key"), name="one_answer_per_idempotency_key"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("request_hash__regex", "^[0-9a-f]{64}$")),
                        name="idempotent_call_hash_is_sha256",
                    ),
                ],
            },
        ),
    ]
