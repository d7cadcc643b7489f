"""Incidents: how each stands, the alarms in it, its timeline, follow-ups, and what an hour on call costs."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


def ship(apps, schema_editor):
    apps.get_model("console", "IncidentSettings").objects.create(name="incidents")


class Migration(migrations.Migration):

    dependencies = [
        ('console', '0002_overview'),
        ('safety', '0009_trials'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Incident',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('title', models.CharField(max_length=200)),
                ('grave', models.PositiveSmallIntegerField()),
                ('severity', models.PositiveSmallIntegerField()),
                ('state', models.CharField(choices=[('open', 'Open'), ('acknowledged', 'Acknowledged'), ('mitigated', 'Mitigated'), ('resolved', 'Resolved')], default='open', max_length=12)),
                ('began_at', models.DateTimeField()),
                ('opened_at', models.DateTimeField()),
                ('opened_by', models.CharField(max_length=254)),
                ('acknowledged_at', models.DateTimeField(null=True)),
                ('mitigated_at', models.DateTimeField(null=True)),
                ('resolved_at', models.DateTimeField(null=True)),
                ('changed_at', models.DateTimeField()),
                ('changed_by', models.CharField(max_length=254)),
                ('change_reason', models.TextField()),
                ('gpu_waste_micro_dollars', models.BigIntegerField(default=0)),
                ('sla_micro_dollars', models.BigIntegerField(default=0)),
                ('on_call_micro_dollars', models.BigIntegerField(null=True)),
                ('affected_jobs', models.PositiveIntegerField(default=0)),
                ('affected_organizations', models.PositiveIntegerField(default=0)),
                ('affected', models.JSONField(default=dict)),
                ('reckoned_at', models.DateTimeField(null=True)),
                ('alarm', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='incidents', to='console.alarmdefinition')),
                ('assignee', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('changed_by_person', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('safety_incident', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='operated_as', to='safety.safetyincident')),
            ],
        ),
        migrations.CreateModel(
            name='FollowUp',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.CharField(max_length=400)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('created_by', models.CharField(max_length=254)),
                ('done_at', models.DateTimeField(null=True)),
                ('done_by', models.CharField(blank=True, default='', max_length=254)),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('incident', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='follow_ups', to='console.incident')),
            ],
        ),
        migrations.CreateModel(
            name='IncidentFiring',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('level', models.PositiveSmallIntegerField()),
                ('cleared_at', models.DateTimeField(null=True)),
                ('firing', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='incident_link', to='console.alarmfiring')),
                ('incident', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='firings', to='console.incident')),
            ],
        ),
        migrations.CreateModel(
            name='IncidentLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('author', models.CharField(max_length=254)),
                ('what', models.CharField(max_length=16)),
                ('text', models.TextField()),
                ('detail', models.JSONField(default=dict)),
                ('incident', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='console.incident')),
                ('person', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='IncidentSettings',
            fields=[
                ('name', models.SlugField(default='incidents', primary_key=True, serialize=False)),
                ('on_call_hour_micro_dollars', models.BigIntegerField(default=300000000)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('name', 'incidents')), name='incident_settings_once'), models.CheckConstraint(condition=models.Q(('on_call_hour_micro_dollars__gte', 0)), name='on_call_hour_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='IncidentOverride',
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
                ('settings', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='overrides', to='console.incidentsettings')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.AddIndex(
            model_name='incident',
            index=models.Index(models.OrderBy(models.F('opened_at'), descending=True), name='operated_incident_newest'),
        ),
        migrations.AddIndex(
            model_name='incident',
            index=models.Index(condition=models.Q(('state', 'resolved'), _negated=True), fields=['grave'], name='operated_incident_open'),
        ),
        migrations.AddConstraint(
            model_name='incident',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'resolved'), _negated=True), fields=('alarm',), name='one_open_incident_per_alarm'),
        ),
        migrations.AddConstraint(
            model_name='incident',
            constraint=models.CheckConstraint(condition=models.Q(('grave__in', [1, 2, 3])), name='incident_grave_known'),
        ),
        migrations.AddConstraint(
            model_name='incident',
            constraint=models.CheckConstraint(condition=models.Q(('severity__in', [1, 2, 3, 4])), name='incident_severity_known'),
        ),
        migrations.AddConstraint(
            model_name='incident',
            constraint=models.CheckConstraint(condition=models.Q(('opened_by__regex', '\\S'), ('title__regex', '\\S'), ('change_reason__regex', '\\S'), ('changed_by__regex', '\\S')), name='incident_says_who_and_why'),
        ),
        migrations.AddConstraint(
            model_name='incident',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('acknowledged_at', None), ('mitigated_at', None), ('resolved_at', None), ('state', 'open')), models.Q(('acknowledged_at__isnull', False), ('mitigated_at', None), ('resolved_at', None), ('state', 'acknowledged')), models.Q(('mitigated_at__isnull', False), ('resolved_at', None), ('state', 'mitigated')), models.Q(('mitigated_at__isnull', False), ('resolved_at__isnull', False), ('state', 'resolved')), _connector='OR'), name='incident_state_whole'),
        ),
        migrations.AddConstraint(
            model_name='incident',
            constraint=models.CheckConstraint(condition=models.Q(('began_at__lte', models.F('opened_at')), models.Q(('acknowledged_at', None), ('acknowledged_at__gte', models.F('opened_at')), _connector='OR'), models.Q(('mitigated_at', None), ('mitigated_at__gte', models.F('opened_at')), _connector='OR'), models.Q(('resolved_at', None), ('resolved_at__gte', models.F('mitigated_at')), _connector='OR')), name='incident_goes_forward'),
        ),
        migrations.AddConstraint(
            model_name='incident',
            constraint=models.CheckConstraint(condition=models.Q(('gpu_waste_micro_dollars__gte', 0), ('sla_micro_dollars__gte', 0), models.Q(models.Q(('on_call_micro_dollars__gte', 0), ('on_call_micro_dollars__isnull', False), ('state', 'resolved')), models.Q(models.Q(('state', 'resolved'), _negated=True), ('on_call_micro_dollars', None)), _connector='OR')), name='incident_cost_whole'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incident',
            trigger=pgtrigger.compiler.Trigger(name='moves_on', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{open:acknowledged,open:mitigated,open:resolved,acknowledged:mitigated,acknowledged:resolved,mitigated:open,mitigated:acknowledged,mitigated:resolved}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='4523c01251d9b6b793180fe5d25929802d804b00', operation='UPDATE', pgid='pgtrigger_moves_on_ce0a5', table='console_incident', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incident',
            trigger=pgtrigger.compiler.Trigger(name='opening_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."alarm_id" IS DISTINCT FROM (NEW."alarm_id") OR OLD."opened_at" IS DISTINCT FROM (NEW."opened_at") OR OLD."opened_by" IS DISTINCT FROM (NEW."opened_by"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='6e80441069e7d35e001a48d8f597318ffc4a760d', operation='UPDATE', pgid='pgtrigger_opening_is_fixed_12a56', table='console_incident', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incident',
            trigger=pgtrigger.compiler.Trigger(name='resolved_is_kept', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."state" = \'resolved\')', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='106ae0d3a07f04c1f98a397501dbd8f16a5be635', operation='UPDATE', pgid='pgtrigger_resolved_is_kept_be7e1', table='console_incident', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incident',
            trigger=pgtrigger.compiler.Trigger(name='no_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='5b8ebd76246181a00c5e2fb5d156aea0b8a6e663', operation='DELETE', pgid='pgtrigger_no_delete_3f333', table='console_incident', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incident',
            trigger=pgtrigger.compiler.Trigger(name='begins_open', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n                IF NEW.state <> 'open' THEN\n                    RAISE EXCEPTION 'an incident begins open' USING ERRCODE = 'check_violation';\n                END IF;\n                RETURN NEW;\n                ", hash='453337cbfc3d46096b5b06cfa7b6dcefbe389b50', operation='INSERT', pgid='pgtrigger_begins_open_a04d2', table='console_incident', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incident',
            trigger=pgtrigger.compiler.Trigger(name='opening_is_a_line', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    INSERT INTO console_incidentline (incident_id, at, author, person_id, what, text, detail)\n    VALUES (NEW.id, NEW.changed_at, NEW.changed_by, NEW.changed_by_person_id,\n            CASE WHEN TG_OP = 'INSERT' THEN 'opened'\n                 ELSE NEW.state END,\n            NEW.change_reason, jsonb_build_object('state', NEW.state));\n    RETURN NULL;\n", hash='25fb9086f3104aa2a8f20fb8f7bedba7fde2ffd6', operation='INSERT', pgid='pgtrigger_opening_is_a_line_42559', table='console_incident', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incident',
            trigger=pgtrigger.compiler.Trigger(name='state_is_a_line', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."state" IS DISTINCT FROM (NEW."state"))', func="\n    INSERT INTO console_incidentline (incident_id, at, author, person_id, what, text, detail)\n    VALUES (NEW.id, NEW.changed_at, NEW.changed_by, NEW.changed_by_person_id,\n            CASE WHEN TG_OP = 'INSERT' THEN 'opened'\n                 WHEN OLD.state = 'mitigated' AND NEW.state <> 'resolved' THEN 'reopened' ELSE NEW.state END,\n            NEW.change_reason, jsonb_build_object('state', NEW.state));\n    RETURN NULL;\n", hash='577237507cd74e3e04d0edfe26da4a421e2364e9', operation='UPDATE', pgid='pgtrigger_state_is_a_line_12575', table='console_incident', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='followup',
            constraint=models.CheckConstraint(condition=models.Q(('created_by__regex', '\\S'), ('text__regex', '\\S')), name='follow_up_written'),
        ),
        migrations.AddConstraint(
            model_name='followup',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('done_at', None), ('done_by', '')), models.Q(('done_at__isnull', False), ('done_by__regex', '\\S')), _connector='OR'), name='follow_up_done_by_someone'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='followup',
            trigger=pgtrigger.compiler.Trigger(name='follow_up_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."incident_id" IS DISTINCT FROM (NEW."incident_id") OR OLD."text" IS DISTINCT FROM (NEW."text") OR OLD."owner_id" IS DISTINCT FROM (NEW."owner_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."created_by" IS DISTINCT FROM (NEW."created_by"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='b72db12f869b288eb90ca738139c2705e8010150', operation='UPDATE', pgid='pgtrigger_follow_up_is_fixed_b22e9', table='console_followup', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='followup',
            trigger=pgtrigger.compiler.Trigger(name='done_is_done', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."done_at" IS NOT NULL)', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='29187b3f049deac066cf570ffb044d4000d4aa48', operation='UPDATE', pgid='pgtrigger_done_is_done_e020d', table='console_followup', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='followup',
            trigger=pgtrigger.compiler.Trigger(name='no_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='96fc6c88592dfd8101aa081c6973d7d4b27ad49d', operation='DELETE', pgid='pgtrigger_no_delete_f846c', table='console_followup', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='incidentfiring',
            index=models.Index(condition=models.Q(('cleared_at', None)), fields=['incident'], name='incident_firing_standing'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incidentfiring',
            trigger=pgtrigger.compiler.Trigger(name='belonging_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."incident_id" IS DISTINCT FROM (NEW."incident_id") OR OLD."firing_id" IS DISTINCT FROM (NEW."firing_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='b614338d286ceb3fdd65aee71bf8be363a30c454', operation='UPDATE', pgid='pgtrigger_belonging_is_fixed_ec401', table='console_incidentfiring', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incidentfiring',
            trigger=pgtrigger.compiler.Trigger(name='no_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='386439588ff507367b1874f6d80b974e16c9947f', operation='DELETE', pgid='pgtrigger_no_delete_4a272', table='console_incidentfiring', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='incidentline',
            index=models.Index(fields=['incident', 'at', 'id'], name='operated_incident_lines'),
        ),
        migrations.AddConstraint(
            model_name='incidentline',
            constraint=models.CheckConstraint(condition=models.Q(('what__in', ('opened', 'acknowledged', 'mitigated', 'reopened', 'resolved', 'fired', 'escalated', 'cleared', 'assigned', 'severity', 'linked', 'note', 'follow_up', 'follow_up_done'))), name='incident_line_known'),
        ),
        migrations.AddConstraint(
            model_name='incidentline',
            constraint=models.CheckConstraint(condition=models.Q(('author__regex', '\\S'), ('text__regex', '\\S')), name='incident_line_written'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incidentline',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='81a3387a86c9ba0a1413032d64724c368d01aa27', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_0d31c', table='console_incidentline', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incidentline',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;", hash='4ebbdae74d2ed2bf9aee59ae56b38244d7e237f7', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_339c2', table='console_incidentline', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='incidentoverride',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='incidentoverride_reason_written'),
        ),
        migrations.AddConstraint(
            model_name='incidentoverride',
            constraint=models.CheckConstraint(condition=models.Q(('author_kind__in', ['operator', 'auto_raise', 'runbook']), ('author__regex', '\\S')), name='incidentoverride_author_known'),
        ),
        migrations.AddConstraint(
            model_name='incidentoverride',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__isnull', True), ('expires_at__gt', models.F('created_at')), _connector='OR'), name='incidentoverride_expires_later'),
        ),
        migrations.AddConstraint(
            model_name='incidentoverride',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('removed_at__isnull', True), ('removed_by', '')), models.Q(('removed_at__isnull', False), ('removed_by__regex', '\\S')), _connector='OR'), name='incidentoverride_removed_by_someone'),
        ),
        migrations.AddConstraint(
            model_name='incidentoverride',
            constraint=models.CheckConstraint(condition=models.Q(('field', 'on_call_hour_micro_dollars')), name='incident_override_field_known'),
        ),
        migrations.RunPython(ship, migrations.RunPython.noop),
    ]
