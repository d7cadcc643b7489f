"""A notice of a webhook that was switched off by itself."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0008_second_person_and_refusals_alike'),
    ]

    operations = [
        migrations.AlterField(
            model_name='notice',
            name='kind',
            field=models.CharField(choices=[('low_balance', 'Low balance'), ('budget_alert', 'Budget alert'), ('budget_reached', 'Budget reached'), ('top_up_done', 'Automatic top-up'), ('top_up_failed', 'Automatic top-up failed'), ('payment_disputed', 'Payment disputed'), ('sla_credit', 'Credit for a late clip'), ('invoice', 'Invoice'), ('webhook_disabled', 'Webhook switched off')], max_length=20),
        ),
    ]
