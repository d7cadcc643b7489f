"""Alarms: their settings, how they stand, when they fired, silences, and what was measured."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


# name, threshold, healthy, escalate, for_s, clear_s, least_events
SHIPPED = (
    ('not_finite', 0.005, 0.003, 0.05, 0.0, 120.0, 3),
    ('plus_starvation', 60.0, 20.0, 120.0, 20.0, 60.0, 3),
    ('plus_completions', 0.9, 0.95, None, 45.0, 60.0, 3),
    ('rejections', 0.05, 0.03, None, 0.0, 300.0, 4),
    ('retries', 1.0, 0.9, None, 0.0, 300.0, 10),
    ('time_in_system', 1.0, 0.9, None, 0.0, 300.0, 10),
    ('availability', 1.0, 0.9, None, 0.0, 300.0, 10),
    ('ledger_drift', 0.0, 0.0, None, 0.0, 0.0, 1),
    ('unsafe_delivery', 0.0, 0.0, None, 0.0, 0.0, 1),
    ('bypass', 0.0, 0.0, None, 0.0, 0.0, 1),
    ('signing_down', 30.0, 0.0, 600.0, 0.0, 30.0, 1),
    ('scorer_down', 0.0, 0.0, None, 20.0, 30.0, 1),
    ('no_worker', 0.0, 0.0, None, 90.0, 30.0, 1),
    ('outbox_dead', 60.0, 15.0, 600.0, 0.0, 30.0, 1),
    ('outbox_parked', 0.0, 0.0, None, 0.0, 0.0, 1),
    ('webhooks_late', 2.0, 0.0, None, 60.0, 60.0, 1),
)


def ship(apps, schema_editor):
    definitions = apps.get_model("console", "AlarmDefinition")
    names = ("name", "threshold", "healthy", "escalate", "for_s", "clear_s", "least_events")
    definitions.objects.bulk_create(definitions(**dict(zip(names, row, strict=True))) for row in SHIPPED)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='AlarmRound',
            fields=[
                ('minute', models.DateTimeField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('job_event_id', models.BigIntegerField()),
                ('took_ms', models.PositiveIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='AlarmCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('measure', models.CharField(max_length=40)),
                ('scope', models.CharField(blank=True, max_length=100)),
                ('bad', models.BigIntegerField()),
                ('total', models.BigIntegerField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('at', 'measure', 'scope'), name='one_alarm_count_per_step')],
            },
        ),
        migrations.CreateModel(
            name='AlarmDefinition',
            fields=[
                ('name', models.SlugField(primary_key=True, serialize=False)),
                ('enabled', models.BooleanField(default=True)),
                ('threshold', models.FloatField()),
                ('healthy', models.FloatField()),
                ('escalate', models.FloatField(null=True)),
                ('for_s', models.FloatField()),
                ('clear_s', models.FloatField()),
                ('least_events', models.PositiveIntegerField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('clear_s__gte', 0), ('for_s__gte', 0)), name='alarm_times_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='AlarmLevel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('measure', models.CharField(max_length=40)),
                ('scope', models.CharField(blank=True, max_length=100)),
                ('level', models.FloatField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('at', 'measure', 'scope'), name='one_alarm_level_per_step')],
            },
        ),
        migrations.CreateModel(
            name='AlarmOverride',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('field', models.CharField(max_length=40)),
                ('value', models.JSONField()),
                ('author_kind', models.CharField(choices=[('operator', 'Operator'), ('auto_raise', 'Auto-raise rule'), ('runbook', 'Runbook')], max_length=10)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField(null=True)),
                ('removed_at', models.DateTimeField(null=True)),
                ('removed_by', models.CharField(blank=True, default='', max_length=254)),
                ('alarm', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='overrides', to='console.alarmdefinition')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='AlarmSilence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(blank=True, max_length=100)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ends_at', models.DateTimeField()),
                ('removed_at', models.DateTimeField(null=True)),
                ('removed_by', models.CharField(blank=True, default='', max_length=254)),
                ('alarm', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='silences', to='console.alarmdefinition')),
            ],
        ),
        migrations.CreateModel(
            name='AlarmState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(blank=True, max_length=100)),
                ('level', models.PositiveSmallIntegerField(default=0)),
                ('opened_at', models.DateTimeField(null=True)),
                ('over_since', models.DateTimeField(null=True)),
                ('well_since', models.DateTimeField(null=True)),
                ('peak', models.FloatField(null=True)),
                ('value', models.FloatField(null=True)),
                ('bad', models.BigIntegerField(default=0)),
                ('total', models.BigIntegerField(default=0)),
                ('looked_at', models.DateTimeField()),
                ('alarm', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='states', to='console.alarmdefinition')),
            ],
        ),
        migrations.CreateModel(
            name='AlarmFiring',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(blank=True, max_length=100)),
                ('level', models.PositiveSmallIntegerField()),
                ('opened_at', models.DateTimeField()),
                ('value', models.FloatField(null=True)),
                ('peak', models.FloatField(null=True)),
                ('threshold', models.FloatField()),
                ('evidence', models.JSONField(default=dict)),
                ('escalated_at', models.DateTimeField(null=True)),
                ('acknowledged_at', models.DateTimeField(null=True)),
                ('acknowledged_by', models.CharField(blank=True, default='', max_length=254)),
                ('cleared_at', models.DateTimeField(null=True)),
                ('told_level', models.PositiveSmallIntegerField(default=0)),
                ('alarm', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='firings', to='console.alarmdefinition')),
            ],
            options={
                'indexes': [models.Index(models.OrderBy(models.F('opened_at'), descending=True), name='alarm_firing_newest')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('cleared_at', None)), fields=('alarm', 'scope'), name='one_open_firing_per_alarm_and_scope'), models.CheckConstraint(condition=models.Q(('cleared_at', None), ('cleared_at__gte', models.F('opened_at')), _connector='OR'), name='firing_ends_after_it_began'), models.CheckConstraint(condition=models.Q(models.Q(('acknowledged_at__isnull', True), ('acknowledged_by', '')), models.Q(('acknowledged_at__isnull', False), ('acknowledged_by__regex', '\\S')), _connector='OR'), name='firing_acknowledged_by_someone'), models.CheckConstraint(condition=models.Q(('level__gte', 1)), name='firing_has_a_level')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='alarmfiring',
            trigger=pgtrigger.compiler.Trigger(name='firing_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."alarm_id" IS DISTINCT FROM (NEW."alarm_id") OR OLD."scope" IS DISTINCT FROM (NEW."scope") OR OLD."opened_at" IS DISTINCT FROM (NEW."opened_at") OR OLD."threshold" IS DISTINCT FROM (NEW."threshold") OR OLD."evidence" IS DISTINCT FROM (NEW."evidence"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='2a3ec716508f5c124a36dbd2dda54649e53a42dd', operation='UPDATE', pgid='pgtrigger_firing_is_fixed_d910b', table='console_alarmfiring', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='alarmfiring',
            trigger=pgtrigger.compiler.Trigger(name='firing_is_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='d11a0a70d9ffeeb4a3cd93d6563ee772a8d745a7', operation='DELETE', pgid='pgtrigger_firing_is_kept_99807', table='console_alarmfiring', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='alarmoverride',
            index=models.Index(condition=models.Q(('removed_at', None)), fields=['alarm'], name='alarm_override_standing'),
        ),
        migrations.AddConstraint(
            model_name='alarmoverride',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='alarmoverride_reason_written'),
        ),
        migrations.AddConstraint(
            model_name='alarmoverride',
            constraint=models.CheckConstraint(condition=models.Q(('author_kind__in', ['operator', 'auto_raise', 'runbook']), ('author__regex', '\\S')), name='alarmoverride_author_known'),
        ),
        migrations.AddConstraint(
            model_name='alarmoverride',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__isnull', True), ('expires_at__gt', models.F('created_at')), _connector='OR'), name='alarmoverride_expires_later'),
        ),
        migrations.AddConstraint(
            model_name='alarmoverride',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('removed_at__isnull', True), ('removed_by', '')), models.Q(('removed_at__isnull', False), ('removed_by__regex', '\\S')), _connector='OR'), name='alarmoverride_removed_by_someone'),
        ),
        migrations.AddConstraint(
            model_name='alarmoverride',
            constraint=models.CheckConstraint(condition=models.Q(('field__in', ('enabled', 'threshold', 'healthy', 'escalate', 'for_s', 'clear_s', 'least_events'))), name='alarm_override_field_known'),
        ),
        migrations.AddConstraint(
            model_name='alarmsilence',
            constraint=models.CheckConstraint(condition=models.Q(('author__regex', '\\S'), ('reason__regex', '\\S')), name='silence_says_who_and_why'),
        ),
        migrations.AddConstraint(
            model_name='alarmsilence',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('created_at'))), name='silence_ends_later'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='alarmsilence',
            trigger=pgtrigger.compiler.Trigger(name='silence_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."alarm_id" IS DISTINCT FROM (NEW."alarm_id") OR OLD."scope" IS DISTINCT FROM (NEW."scope") OR OLD."author" IS DISTINCT FROM (NEW."author") OR OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."ends_at" IS DISTINCT FROM (NEW."ends_at"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='dda94d9b71927fc1b26b9b02142e51bffb1e7da3', operation='UPDATE', pgid='pgtrigger_silence_is_fixed_8f4c1', table='console_alarmsilence', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='alarmstate',
            constraint=models.UniqueConstraint(fields=('alarm', 'scope'), name='one_state_per_alarm_and_scope'),
        ),
        migrations.AddConstraint(
            model_name='alarmstate',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('level', 0), ('opened_at__isnull', True)), models.Q(('level__gt', 0), ('opened_at__isnull', False)), _connector='OR'), name='alarm_open_since_some_time'),
        ),
        migrations.RunPython(ship, migrations.RunPython.noop),
    ]
