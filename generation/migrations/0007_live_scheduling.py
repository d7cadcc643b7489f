"""Live settings of pools and of the auto-raise rule, routing by preference, what endpoints and people were told."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from accounts.together import Together


# An override is history: it is never deleted or altered, and its removal is noted once.
GUARDS = """
CREATE FUNCTION generation_override_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'an override is removed by noting it, not by deleting it' USING ERRCODE = 'check_violation';
  END IF;
  IF OLD.removed_at IS NOT NULL
     OR to_jsonb(NEW) - 'removed_at' - 'removed_by' IS DISTINCT FROM to_jsonb(OLD) - 'removed_at' - 'removed_by' THEN
    RAISE EXCEPTION 'override % cannot change, only be removed once', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER override_fixed BEFORE UPDATE OR DELETE ON generation_laneoverride
  FOR EACH ROW EXECUTE FUNCTION generation_override_fixed();
CREATE TRIGGER override_fixed BEFORE UPDATE OR DELETE ON generation_pooloverride
  FOR EACH ROW EXECUTE FUNCTION generation_override_fixed();
CREATE TRIGGER override_fixed BEFORE UPDATE OR DELETE ON generation_raiseruleoverride
  FOR EACH ROW EXECUTE FUNCTION generation_override_fixed();
"""
UNGUARD = """
DROP TRIGGER override_fixed ON generation_raiseruleoverride;
DROP TRIGGER override_fixed ON generation_pooloverride;
DROP TRIGGER override_fixed ON generation_laneoverride;
DROP FUNCTION generation_override_fixed();
"""

POOLS = {
    # pool: (preempt_after_s, most_preemptions, soon_s, most_wait_s); answers in code are over before one could yield
    "clips": (20.0, 2, 2.0, 3600.0),
    "code": (20.0, 0, 2.0, 300.0),
}
RAISED = ("clips-plus", "code-plus")  # the rule of the specification: p95 over 30 s


def ship(apps, schema_editor):
    Pool = apps.get_model("generation", "Pool")
    Lane = apps.get_model("generation", "Lane")
    PoolSettings = apps.get_model("generation", "PoolSettings")
    RaiseRule = apps.get_model("generation", "RaiseRule")
    for pool in Pool.objects.all():
        after, most, soon, wait = POOLS.get(pool.slug, (20.0, 0, 2.0, 0.0))
        PoolSettings.objects.create(
            pool=pool, preempt_after_s=after, most_preemptions=most, soon_s=soon, most_wait_s=wait
        )
    for lane in Lane.objects.all():
        RaiseRule.objects.create(lane=lane, enabled=lane.slug in RAISED)


class Migration(migrations.Migration):

    dependencies = [
        ('generation', '0006_rollout_guards'),
    ]

    operations = [
        migrations.CreateModel(
            name='EndpointLoad',
            fields=[
                ('pool', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='endpoint_load', serialize=False, to='generation.pool')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('running', models.PositiveIntegerField(default=0)),
                ('waiting', models.PositiveIntegerField(default=0)),
                ('cache_share', models.FloatField(default=0)),
                ('problem', models.TextField(blank=True, default='')),
            ],
        ),
        migrations.CreateModel(
            name='PoolOverride',
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
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='PoolSettings',
            fields=[
                ('pool', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='settings', serialize=False, to='generation.pool')),
                ('preempt_after_s', models.FloatField(default=20.0)),
                ('most_preemptions', models.PositiveSmallIntegerField(default=0)),
                ('soon_s', models.FloatField(default=2.0)),
                ('most_wait_s', models.FloatField(default=0.0)),
            ],
        ),
        migrations.CreateModel(
            name='RaiseRule',
            fields=[
                ('lane', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='raise_rule', serialize=False, to='generation.lane')),
                ('enabled', models.BooleanField(default=False)),
                ('threshold_s', models.FloatField(default=30.0)),
                ('step', models.FloatField(default=1.0)),
                ('limit', models.FloatField(default=6.0)),
                ('pause_s', models.FloatField(default=30.0)),
                ('hold_s', models.FloatField(default=300.0)),
                ('quiet_s', models.FloatField(default=1800.0)),
            ],
        ),
        migrations.CreateModel(
            name='RaiseRuleOverride',
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
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ToldEta',
            fields=[
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='told_eta', serialize=False, to='generation.job')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('position', models.PositiveIntegerField()),
                ('eta_s', models.FloatField()),
                ('low_s', models.FloatField()),
                ('high_s', models.FloatField()),
            ],
        ),
        Together([
        migrations.AddField(
            model_name='job',
            name='repeat_of',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='repeats', to='generation.job'),
        ),
        migrations.AddField(
            model_name='lane',
            name='preference',
            field=models.PositiveSmallIntegerField(db_default=0),
        ),
        migrations.AddField(
            model_name='pool',
            name='metrics_url',
            field=models.CharField(blank=True, db_default='', max_length=300),
        ),
        migrations.AddField(
            model_name='pool',
            name='precision',
            field=models.CharField(blank=True, db_default='', max_length=8),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('kind', 'clip'), ('repeat_of', None), ('state', 'delivered')), fields=['organization', 'spec_hash', '-finished_at'], name='job_repeatable'),
        ),
        migrations.AddConstraint(
            model_name='endpointload',
            constraint=models.CheckConstraint(condition=models.Q(('cache_share__gte', 0), ('cache_share__lte', 1)), name='endpoint_cache_is_a_share'),
        ),
        migrations.AddField(
            model_name='pooloverride',
            name='pool',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='overrides', to='generation.pool'),
        ),
        migrations.AddConstraint(
            model_name='poolsettings',
            constraint=models.CheckConstraint(condition=models.Q(('most_wait_s__gte', 0), ('preempt_after_s__gt', 0), ('soon_s__gte', 0)), name='pool_settings_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='raiserule',
            constraint=models.CheckConstraint(condition=models.Q(('hold_s__gt', 0), ('limit__gt', 0), ('pause_s__gt', 0), ('quiet_s__gte', 0), ('step__gt', 0), ('threshold_s__gt', 0)), name='raise_rule_positive'),
        ),
        migrations.AddField(
            model_name='raiseruleoverride',
            name='lane',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='raise_rule_overrides', to='generation.lane'),
        ),
        migrations.AddConstraint(
            model_name='toldeta',
            constraint=models.CheckConstraint(condition=models.Q(('eta_s__lte', models.F('high_s')), ('low_s__gte', 0), ('low_s__lte', models.F('eta_s'))), name='told_eta_in_its_interval'),
        ),
        migrations.AddIndex(
            model_name='pooloverride',
            index=models.Index(condition=models.Q(('removed_at', None)), fields=['pool'], name='pool_override_standing'),
        ),
        migrations.AddConstraint(
            model_name='pooloverride',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='pooloverride_reason_written'),
        ),
        migrations.AddConstraint(
            model_name='pooloverride',
            constraint=models.CheckConstraint(condition=models.Q(('author_kind__in', ['operator', 'auto_raise', 'runbook']), ('author__regex', '\\S')), name='pooloverride_author_known'),
        ),
        migrations.AddConstraint(
            model_name='pooloverride',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__isnull', True), ('expires_at__gt', models.F('created_at')), _connector='OR'), name='pooloverride_expires_later'),
        ),
        migrations.AddConstraint(
            model_name='pooloverride',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('removed_at__isnull', True), ('removed_by', '')), models.Q(('removed_at__isnull', False), ('removed_by__regex', '\\S')), _connector='OR'), name='pooloverride_removed_by_someone'),
        ),
        migrations.AddConstraint(
            model_name='pooloverride',
            constraint=models.CheckConstraint(condition=models.Q(('field__in', ('preempt_after_s', 'most_preemptions', 'soon_s', 'most_wait_s'))), name='pool_override_field_known'),
        ),
        migrations.AddIndex(
            model_name='raiseruleoverride',
            index=models.Index(condition=models.Q(('removed_at', None)), fields=['lane'], name='raise_rule_override_standing'),
        ),
        migrations.AddConstraint(
            model_name='raiseruleoverride',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='raiseruleoverride_reason_written'),
        ),
        migrations.AddConstraint(
            model_name='raiseruleoverride',
            constraint=models.CheckConstraint(condition=models.Q(('author_kind__in', ['operator', 'auto_raise', 'runbook']), ('author__regex', '\\S')), name='raiseruleoverride_author_known'),
        ),
        migrations.AddConstraint(
            model_name='raiseruleoverride',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__isnull', True), ('expires_at__gt', models.F('created_at')), _connector='OR'), name='raiseruleoverride_expires_later'),
        ),
        migrations.AddConstraint(
            model_name='raiseruleoverride',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('removed_at__isnull', True), ('removed_by', '')), models.Q(('removed_at__isnull', False), ('removed_by__regex', '\\S')), _connector='OR'), name='raiseruleoverride_removed_by_someone'),
        ),
        migrations.AddConstraint(
            model_name='raiseruleoverride',
            constraint=models.CheckConstraint(condition=models.Q(('field__in', ('enabled', 'threshold_s', 'step', 'limit', 'pause_s', 'hold_s', 'quiet_s'))), name='raise_rule_override_field_known'),
        ),
        ]),
        migrations.RunPython(ship, migrations.RunPython.noop),
        migrations.RunSQL(GUARDS, UNGUARD),
    ]
