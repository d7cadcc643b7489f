"""Webhooks: endpoints with their secrets, events, deliveries and tries."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_first_sign_up_policy'),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('url', models.CharField(max_length=2000)),
                ('description', models.CharField(blank=True, default='', max_length=200)),
                ('event_types', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), size=None)),
                ('state', models.CharField(choices=[('enabled', 'On'), ('disabled', 'Off')], default='enabled', max_length=10)),
                ('disabled_because', models.CharField(blank=True, choices=[('owner', 'Switched off by hand'), ('gone', 'It answered 410 Gone'), ('failing', 'Nothing was accepted for three days')], default='', max_length=10)),
                ('disabled_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('failures', models.PositiveIntegerField(db_default=0)),
                ('accepted_at', models.DateTimeField(null=True)),
                ('served_at', models.DateTimeField(null=True)),
                ('lease_until', models.DateTimeField(null=True)),
                ('fence', models.PositiveBigIntegerField(db_default=0)),
                ('removed_at', models.DateTimeField(null=True)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='webhook_endpoints', to='accounts.organization')),
            ],
        ),
        migrations.CreateModel(
            name='WebhookEvent',
            fields=[
                ('id', models.CharField(max_length=40, primary_key=True, serialize=False)),
                ('type', models.CharField(max_length=40)),
                ('body', models.TextField()),
                ('source', models.CharField(max_length=300)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('pending', 'Waiting'), ('delivered', 'Delivered'), ('failed', 'Failed')], default='pending', max_length=10)),
                ('tries', models.PositiveSmallIntegerField(db_default=0)),
                ('attempts', models.PositiveIntegerField(db_default=0)),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(null=True)),
                ('last_status', models.PositiveIntegerField(null=True)),
                ('endpoint', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='accounts.webhookendpoint')),
                ('event', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='accounts.webhookevent')),
            ],
        ),
        migrations.CreateModel(
            name='WebhookSecret',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sealed', models.TextField(editable=False)),
                ('last_four', models.CharField(editable=False, max_length=4)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ends_at', models.DateTimeField(null=True)),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='secrets', to='accounts.webhookendpoint')),
            ],
        ),
        migrations.CreateModel(
            name='WebhookAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('outcome', models.CharField(choices=[('under_way', 'Under way'), ('accepted', 'Accepted'), ('declined', 'Declined'), ('unreachable', 'No answer'), ('forbidden', 'Not sent'), ('interrupted', 'Interrupted')], default='under_way', max_length=12)),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(null=True)),
                ('duration_ms', models.PositiveIntegerField(null=True)),
                ('status', models.PositiveIntegerField(null=True)),
                ('snippet', models.TextField(blank=True, default='')),
                ('detail', models.TextField(blank=True, default='')),
                ('delivery', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='tried', to='accounts.webhookdelivery')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('delivery', 'number'), name='webhook_attempt_once'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('outcome', 'under_way')), models.Q(('ended_at__isnull', False), ('outcome__in', ['accepted', 'declined', 'unreachable', 'forbidden', 'interrupted'])), _connector='OR'), name='webhook_attempt_outcome_known')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='webhookattempt',
            trigger=pgtrigger.compiler.Trigger(name='what_came_of_it_stays', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."outcome" IS DISTINCT FROM \'under_way\')', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='12b312aee730b6e0b6079f2b361b2f8fe1980ccc', operation='UPDATE', pgid='pgtrigger_what_came_of_it_stays_26ae7', table='accounts_webhookattempt', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='webhookendpoint',
            index=models.Index(models.OrderBy(models.F('served_at'), nulls_first=True), condition=models.Q(('state', 'enabled')), name='webhook_next'),
        ),
        migrations.AddConstraint(
            model_name='webhookendpoint',
            constraint=models.CheckConstraint(condition=models.Q(('url__regex', '^https?://')), name='webhook_endpoint_is_http'),
        ),
        migrations.AddConstraint(
            model_name='webhookendpoint',
            constraint=models.CheckConstraint(condition=models.Q(('event_types__len__gte', 1)), name='webhook_endpoint_hears_something'),
        ),
        migrations.AddConstraint(
            model_name='webhookendpoint',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('disabled_at__isnull', True), ('disabled_because', ''), ('state', 'enabled')), models.Q(('disabled_at__isnull', False), ('disabled_because__in', ['owner', 'gone', 'failing']), ('state', 'disabled')), _connector='OR'), name='webhook_endpoint_off_for_a_cause'),
        ),
        migrations.AddConstraint(
            model_name='webhookendpoint',
            constraint=models.CheckConstraint(condition=models.Q(('removed_at__isnull', True), ('state', 'disabled'), _connector='OR'), name='webhook_endpoint_gone_is_off'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='webhookendpoint',
            trigger=pgtrigger.compiler.Trigger(name='endpoint_is_its_owners', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."organization_id" IS DISTINCT FROM (NEW."organization_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='5ecfc8a9a8132756bf1ca6f57708176fd4895683', operation='UPDATE', pgid='pgtrigger_endpoint_is_its_owners_b5e25', table='accounts_webhookendpoint', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='webhookendpoint',
            trigger=pgtrigger.compiler.Trigger(name='fence_only_rises', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW."fence" < (OLD."fence"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='759fb59db12a92229011a1ec8bed4e752a96f4f6', operation='UPDATE', pgid='pgtrigger_fence_only_rises_ae180', table='accounts_webhookendpoint', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='webhookevent',
            index=models.Index(fields=['created_at'], name='webhook_event_by_age'),
        ),
        migrations.AddConstraint(
            model_name='webhookevent',
            constraint=models.UniqueConstraint(fields=('organization', 'source'), name='webhook_event_once'),
        ),
        migrations.AddConstraint(
            model_name='webhookevent',
            constraint=models.CheckConstraint(condition=models.Q(('id__regex', '^evt_[0-9a-f]{32}$')), name='webhook_event_is_named'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='webhookevent',
            trigger=pgtrigger.compiler.Trigger(name='event_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='c997055f99fd553d7c47c5059cfcd2a064d1b1fe', operation='UPDATE', pgid='pgtrigger_event_is_fixed_35c0c', table='accounts_webhookevent', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['endpoint', 'due_at'], name='webhook_due'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(models.F('endpoint'), models.OrderBy(models.F('id'), descending=True), name='webhook_delivery_newest'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.UniqueConstraint(fields=('event', 'endpoint'), name='webhook_delivery_once'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('state', 'pending')), models.Q(('ended_at__isnull', False), ('state__in', ['delivered', 'failed'])), _connector='OR'), name='webhook_delivery_state_known'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='webhookdelivery',
            trigger=pgtrigger.compiler.Trigger(name='delivery_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."endpoint_id" IS DISTINCT FROM (NEW."endpoint_id") OR OLD."event_id" IS DISTINCT FROM (NEW."event_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='e416069e95bc1aea4e97e7593ce5562cbb67855a', operation='UPDATE', pgid='pgtrigger_delivery_is_fixed_3773f', table='accounts_webhookdelivery', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='webhooksecret',
            constraint=models.UniqueConstraint(condition=models.Q(('ends_at__isnull', True)), fields=('endpoint',), name='webhook_secret_one_is_current'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='webhooksecret',
            trigger=pgtrigger.compiler.Trigger(name='secret_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."endpoint_id" IS DISTINCT FROM (NEW."endpoint_id") OR OLD."sealed" IS DISTINCT FROM (NEW."sealed") OR OLD."last_four" IS DISTINCT FROM (NEW."last_four") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='479bdda8bbb0cd3db3c9fe3ff4de36e0816c8a9c', operation='UPDATE', pgid='pgtrigger_secret_is_fixed_f2a52', table='accounts_webhooksecret', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='webhooksecret',
            trigger=pgtrigger.compiler.Trigger(name='end_is_never_put_off', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."ends_at" IS NOT NULL AND (NEW."ends_at" IS NULL OR NEW."ends_at" > (OLD."ends_at")))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='7ecd8ef7d15e7ced0cf87ae768c61b25b8d66dd7', operation='UPDATE', pgid='pgtrigger_end_is_never_put_off_33632', table='accounts_webhooksecret', when='BEFORE')),
        ),
    ]
