"""People's decisions after the gates: the review queue, permissions, exposure, user reports and incidents.

`safety_scan_lets_out` is what the delivery guard asks of a scan: that it passed, or that people cleared exactly its file.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

from accounts.together import Together

LETS_OUT = """
CREATE FUNCTION safety_scan_lets_out(scan safety_scan) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT scan.purpose = 'final' AND (
    scan.verdict = 'pass'
    OR scan.verdict = 'review' AND EXISTS (
      SELECT 1 FROM safety_clearance c
       WHERE c.scan_id = scan.id AND c.subject = scan.subject AND c.fence = scan.fence AND c.digest = scan.digest))
$$;
"""
REMOVE = "DROP FUNCTION safety_scan_lets_out(safety_scan);"

# class: (people who must agree, clear frames on demand, withheld once reported)
POLICIES = {
    "child_safety": (2, False, True),
    "likeness": (1, True, False),
    "intimate": (2, True, False),
    "violence": (1, True, False),
    "deception": (1, True, False),
    "other": (1, True, False),
}


def ship(apps, schema_editor):
    for name, (people, reveal, withhold) in POLICIES.items():
        apps.get_model("safety", "ReviewPolicy").objects.create(
            review_class=name, people=people, reveal=reveal, withhold_reported=withhold, author="shipped",
            reason="as shipped",
        )
        if name != "child_safety":  # for named people alone: an installation names them
            apps.get_model("safety", "Reviewer").objects.create(
                review_class=name, decides_escalated=True, author="shipped", reason="as shipped"
            )
    apps.get_model("safety", "ReviewLimits").objects.create(pk=1, author="shipped", reason="as shipped")


class Migration(migrations.Migration):
    dependencies = [("safety", "0006_live_policy")]

    operations = [
        migrations.RemoveConstraint(model_name="scan", name="scan_purpose_known"),
        migrations.AlterField(
            model_name="scan",
            name="purpose",
            field=models.CharField(
                choices=[
                    ("final", "Final"), ("preview", "Preview"), ("input", "Input picture"), ("rescan", "Re-scan")
                ],
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="scan",
            constraint=models.CheckConstraint(
                condition=models.Q(("purpose__in", ["final", "preview", "input", "rescan"])),
                name="scan_purpose_known",
            ),
        ),
        migrations.CreateModel(
            name='Clearance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(max_length=200)),
                ('fence', models.BigIntegerField()),
                ('digest', models.CharField(max_length=64)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Exposure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('until', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='IncidentNote',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('author', models.CharField(max_length=254)),
                ('what', models.CharField(max_length=20)),
                ('text', models.TextField()),
                ('detail', models.JSONField(default=dict)),
            ],
        ),
        migrations.CreateModel(
            name='ReviewClaim',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('lease_expires_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('end', models.CharField(blank=True, choices=[('decided', 'Decided'), ('released', 'Released'), ('expired', 'Expired')], default='', max_length=8)),
            ],
        ),
        migrations.CreateModel(
            name='ReviewDecision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verdict', models.CharField(choices=[('pass', 'Pass'), ('block', 'Block'), ('escalate', 'Escalate')], max_length=8)),
                ('reason', models.TextField()),
                ('escalated', models.BooleanField(default=False)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Reviewer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('review_class', models.CharField(choices=[('child_safety', 'Child safety'), ('likeness', 'Celebrity likeness'), ('intimate', 'Intimate imagery'), ('violence', 'Violence and gore'), ('deception', 'Deceptive depiction'), ('other', 'Something else')], max_length=20)),
                ('decides_escalated', models.BooleanField(default=False)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('granted_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('withdrawn_at', models.DateTimeField(null=True)),
                ('withdrawn_by', models.CharField(blank=True, db_default='', max_length=254)),
            ],
        ),
        migrations.CreateModel(
            name='ReviewItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(max_length=200)),
                ('fence', models.BigIntegerField(default=0)),
                ('digest', models.CharField(max_length=64)),
                ('kind', models.CharField(choices=[('scan', 'Frame gates'), ('report', 'User report'), ('pull', 'Pulled'), ('rescan', 'Re-scan')], max_length=8)),
                ('review_class', models.CharField(choices=[('child_safety', 'Child safety'), ('likeness', 'Celebrity likeness'), ('intimate', 'Intimate imagery'), ('violence', 'Violence and gore'), ('deception', 'Deceptive depiction'), ('other', 'Something else')], max_length=20)),
                ('pull', models.CharField(blank=True, default='', max_length=40)),
                ('why', models.TextField()),
                ('people', models.PositiveSmallIntegerField()),
                ('state', models.CharField(choices=[('open', 'Waits'), ('escalated', 'Escalated'), ('passed', 'Passed'), ('refused', 'Refused'), ('returned', 'Returned undecided'), ('expired', 'Nobody decided in time')], default='open', max_length=10)),
                ('withheld', models.BooleanField(default=False)),
                ('opened_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('closed_at', models.DateTimeField(null=True)),
                ('frames', models.JSONField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='ReviewLimits',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('reveals_per_day', models.PositiveIntegerField(default=60)),
                ('minutes_per_day', models.PositiveIntegerField(default=240)),
                ('claim_minutes', models.PositiveIntegerField(default=10)),
                ('reveal_seconds', models.PositiveIntegerField(default=30)),
                ('break_after_minutes', models.PositiveIntegerField(default=45)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='ReviewLimitsEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.PositiveSmallIntegerField(default=1, serialize=False)),
                ('reveals_per_day', models.PositiveIntegerField(default=60)),
                ('minutes_per_day', models.PositiveIntegerField(default=240)),
                ('claim_minutes', models.PositiveIntegerField(default=10)),
                ('reveal_seconds', models.PositiveIntegerField(default=30)),
                ('break_after_minutes', models.PositiveIntegerField(default=45)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ReviewPolicy',
            fields=[
                ('review_class', models.CharField(choices=[('child_safety', 'Child safety'), ('likeness', 'Celebrity likeness'), ('intimate', 'Intimate imagery'), ('violence', 'Violence and gore'), ('deception', 'Deceptive depiction'), ('other', 'Something else')], max_length=20, primary_key=True, serialize=False)),
                ('people', models.PositiveSmallIntegerField(default=1)),
                ('reveal', models.BooleanField(default=True)),
                ('withhold_reported', models.BooleanField(default=False)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='ReviewPolicyEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('review_class', models.CharField(choices=[('child_safety', 'Child safety'), ('likeness', 'Celebrity likeness'), ('intimate', 'Intimate imagery'), ('violence', 'Violence and gore'), ('deception', 'Deceptive depiction'), ('other', 'Something else')], max_length=20, serialize=False)),
                ('people', models.PositiveSmallIntegerField(default=1)),
                ('reveal', models.BooleanField(default=True)),
                ('withhold_reported', models.BooleanField(default=False)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='SafetyIncident',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('child_safety', 'Child-safety block'), ('rescan', 'Re-scan hit'), ('report', 'Confirmed report'), ('evaluation', 'Evaluation'), ('manual', 'Opened by hand')], max_length=12)),
                ('cause', models.CharField(max_length=200, unique=True)),
                ('title', models.CharField(max_length=200)),
                ('subject', models.CharField(blank=True, default='', max_length=200)),
                ('evidence', models.JSONField(default=dict)),
                ('opened_by', models.CharField(max_length=254)),
                ('opened_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('state', models.CharField(choices=[('open', 'Open'), ('closed', 'Closed')], default='open', max_length=6)),
                ('closed_at', models.DateTimeField(null=True)),
                ('closed_by', models.CharField(blank=True, default='', max_length=254)),
                ('close_reason', models.TextField(blank=True, default='')),
            ],
        ),
        migrations.CreateModel(
            name='UserReport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(max_length=200)),
                ('category', models.CharField(choices=[('child_safety', 'Child safety'), ('likeness', 'Celebrity likeness'), ('intimate', 'Intimate imagery'), ('violence', 'Violence and gore'), ('deception', 'Deceptive depiction'), ('other', 'Something else')], max_length=20)),
                ('text', models.TextField(blank=True, max_length=2000)),
                ('reporter', models.CharField(max_length=80)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('state', models.CharField(choices=[('open', 'Open'), ('confirmed', 'Confirmed'), ('dismissed', 'Not confirmed')], default='open', max_length=10)),
                ('closed_at', models.DateTimeField(null=True)),
            ],
        ),
        Together([
        migrations.AddField(
            model_name='clearance',
            name='scan',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='clearance', to='safety.scan'),
        ),
        migrations.AddField(
            model_name='exposure',
            name='person',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='reviewclaim',
            name='person',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='reviewdecision',
            name='person',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='reviewer',
            name='person',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='reviewitem',
            name='scan',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='safety.scan'),
        ),
        migrations.AddField(
            model_name='reviewdecision',
            name='item',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='safety.reviewitem'),
        ),
        migrations.AddField(
            model_name='reviewclaim',
            name='item',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='claims', to='safety.reviewitem'),
        ),
        migrations.AddField(
            model_name='exposure',
            name='item',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='exposures', to='safety.reviewitem'),
        ),
        migrations.AddField(
            model_name='clearance',
            name='item',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='clearance', to='safety.reviewitem'),
        ),
        migrations.AddConstraint(
            model_name='reviewlimits',
            constraint=models.CheckConstraint(condition=models.Q(('id', 1)), name='review_limits_one_row'),
        ),
        migrations.AddConstraint(
            model_name='reviewlimits',
            constraint=models.CheckConstraint(condition=models.Q(('claim_minutes__gte', 1), ('claim_minutes__lte', 60), ('minutes_per_day__lte', 600), ('reveal_seconds__gte', 5), ('reveal_seconds__lte', 120), ('reveals_per_day__lte', 1000)), name='review_limits_sane'),
        ),
        migrations.AddConstraint(
            model_name='reviewlimits',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='review_limits_reason_written'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewlimits',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_reviewlimitsevent" ("author", "break_after_minutes", "changed_at", "claim_minutes", "id", "minutes_per_day", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "reveal_seconds", "reveals_per_day") VALUES (NEW."author", NEW."break_after_minutes", NEW."changed_at", NEW."claim_minutes", NEW."id", NEW."minutes_per_day", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."reason", NEW."reveal_seconds", NEW."reveals_per_day"); RETURN NULL;', hash='7f3774aba37ef729941da2708c2170870a53239d', operation='INSERT', pgid='pgtrigger_insert_insert_3c54a', table='safety_reviewlimits', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewlimits',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "safety_reviewlimitsevent" ("author", "break_after_minutes", "changed_at", "claim_minutes", "id", "minutes_per_day", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "reveal_seconds", "reveals_per_day") VALUES (NEW."author", NEW."break_after_minutes", NEW."changed_at", NEW."claim_minutes", NEW."id", NEW."minutes_per_day", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."reason", NEW."reveal_seconds", NEW."reveals_per_day"); RETURN NULL;', hash='cc9e20b18ac63e6590da4241b90146c48f0c4b7d', operation='UPDATE', pgid='pgtrigger_update_update_273cd', table='safety_reviewlimits', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewlimits',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_reviewlimitsevent" ("author", "break_after_minutes", "changed_at", "claim_minutes", "id", "minutes_per_day", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "reveal_seconds", "reveals_per_day") VALUES (OLD."author", OLD."break_after_minutes", OLD."changed_at", OLD."claim_minutes", OLD."id", OLD."minutes_per_day", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."reason", OLD."reveal_seconds", OLD."reveals_per_day"); RETURN NULL;', hash='6c0eedaea6cc3eaa238dad1580ffc7018b13bc17', operation='DELETE', pgid='pgtrigger_delete_delete_9a3d0', table='safety_reviewlimits', when='AFTER')),
        ),
        migrations.AddField(
            model_name='reviewlimitsevent',
            name='pgh_context',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context'),
        ),
        migrations.AddField(
            model_name='reviewlimitsevent',
            name='pgh_obj',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='safety.reviewlimits'),
        ),
        migrations.AddConstraint(
            model_name='reviewpolicy',
            constraint=models.CheckConstraint(condition=models.Q(('review_class__in', ['child_safety', 'likeness', 'intimate', 'violence', 'deception', 'other'])), name='review_policy_class_known'),
        ),
        migrations.AddConstraint(
            model_name='reviewpolicy',
            constraint=models.CheckConstraint(condition=models.Q(('people__gte', 1), ('people__lte', 2)), name='review_policy_people'),
        ),
        migrations.AddConstraint(
            model_name='reviewpolicy',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('review_class', 'child_safety'), _negated=True), models.Q(('people', 2), ('reveal', False), ('withhold_reported', True)), _connector='OR'), name='review_policy_child_safety_is_strict'),
        ),
        migrations.AddConstraint(
            model_name='reviewpolicy',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='review_policy_reason_written'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewpolicy',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_reviewpolicyevent" ("author", "changed_at", "people", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "reveal", "review_class", "withhold_reported") VALUES (NEW."author", NEW."changed_at", NEW."people", _pgh_attach_context(), NOW(), \'insert\', NEW."review_class", NEW."reason", NEW."reveal", NEW."review_class", NEW."withhold_reported"); RETURN NULL;', hash='f43dc485f8ae6ffd1526b266056db44be484b980', operation='INSERT', pgid='pgtrigger_insert_insert_53d26', table='safety_reviewpolicy', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewpolicy',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "safety_reviewpolicyevent" ("author", "changed_at", "people", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "reveal", "review_class", "withhold_reported") VALUES (NEW."author", NEW."changed_at", NEW."people", _pgh_attach_context(), NOW(), \'update\', NEW."review_class", NEW."reason", NEW."reveal", NEW."review_class", NEW."withhold_reported"); RETURN NULL;', hash='cef6230f6e73fcdbb7544db613dc73e41176f523', operation='UPDATE', pgid='pgtrigger_update_update_25020', table='safety_reviewpolicy', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewpolicy',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "safety_reviewpolicyevent" ("author", "changed_at", "people", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "reveal", "review_class", "withhold_reported") VALUES (OLD."author", OLD."changed_at", OLD."people", _pgh_attach_context(), NOW(), \'delete\', OLD."review_class", OLD."reason", OLD."reveal", OLD."review_class", OLD."withhold_reported"); RETURN NULL;', hash='10f81be891872bb96f969c01d1161682637bf0ba', operation='DELETE', pgid='pgtrigger_delete_delete_956fe', table='safety_reviewpolicy', when='AFTER')),
        ),
        migrations.AddField(
            model_name='reviewpolicyevent',
            name='pgh_context',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context'),
        ),
        migrations.AddField(
            model_name='reviewpolicyevent',
            name='pgh_obj',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='safety.reviewpolicy'),
        ),
        migrations.AddIndex(
            model_name='safetyincident',
            index=models.Index(models.OrderBy(models.F('opened_at'), descending=True), name='incident_newest_first'),
        ),
        migrations.AddIndex(
            model_name='safetyincident',
            index=models.Index(condition=models.Q(('subject', ''), _negated=True), fields=['subject'], name='incident_of_subject'),
        ),
        migrations.AddConstraint(
            model_name='safetyincident',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['child_safety', 'rescan', 'report', 'evaluation', 'manual'])), name='incident_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='safetyincident',
            constraint=models.CheckConstraint(condition=models.Q(('cause__regex', '\\S'), ('title__regex', '\\S')), name='incident_named'),
        ),
        migrations.AddConstraint(
            model_name='safetyincident',
            constraint=models.CheckConstraint(condition=models.Q(('opened_by__regex', '\\S')), name='incident_opened_by_someone'),
        ),
        migrations.AddConstraint(
            model_name='safetyincident',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('close_reason', ''), ('closed_at__isnull', True), ('closed_by', ''), ('state', 'open')), models.Q(('closed_at__isnull', False), ('state', 'closed'), ('closed_by__regex', '\\S'), ('close_reason__regex', '\\S')), _connector='OR'), name='incident_closed_with_a_reason'),
        ),
        migrations.AddField(
            model_name='incidentnote',
            name='incident',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='notes', to='safety.safetyincident'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='safetyincident',
            trigger=pgtrigger.compiler.Trigger(name='evidence_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."cause" IS DISTINCT FROM (NEW."cause") OR OLD."title" IS DISTINCT FROM (NEW."title") OR OLD."subject" IS DISTINCT FROM (NEW."subject") OR OLD."evidence" IS DISTINCT FROM (NEW."evidence") OR OLD."opened_by" IS DISTINCT FROM (NEW."opened_by") OR OLD."opened_at" IS DISTINCT FROM (NEW."opened_at"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='84d5fe93a37e965aaec6bd28e915e9d2525e85b6', operation='UPDATE', pgid='pgtrigger_evidence_is_fixed_f83de', table='safety_safetyincident', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='safetyincident',
            trigger=pgtrigger.compiler.Trigger(name='no_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='839da265f1f589ec39bed81c8e9ede39d0f5edda', operation='DELETE', pgid='pgtrigger_no_delete_04bad', table='safety_safetyincident', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='userreport',
            name='item',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reports', to='safety.reviewitem'),
        ),
        migrations.AddField(
            model_name='userreport',
            name='organization',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization'),
        ),
        migrations.AddConstraint(
            model_name='reviewer',
            constraint=models.UniqueConstraint(condition=models.Q(('withdrawn_at', None)), fields=('person', 'review_class'), name='reviewer_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='reviewer',
            constraint=models.CheckConstraint(condition=models.Q(('review_class__in', ['child_safety', 'likeness', 'intimate', 'violence', 'deception', 'other'])), name='reviewer_class_known'),
        ),
        migrations.AddConstraint(
            model_name='reviewer',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('review_class', 'child_safety'), _negated=True), ('person__isnull', False), _connector='OR'), name='reviewer_of_child_safety_is_named'),
        ),
        migrations.AddConstraint(
            model_name='reviewer',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='reviewer_reason_written'),
        ),
        migrations.AddConstraint(
            model_name='reviewer',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('withdrawn_at__isnull', True), ('withdrawn_by', '')), models.Q(('withdrawn_at__isnull', False), ('withdrawn_by__regex', '\\S')), _connector='OR'), name='reviewer_withdrawn_by_someone'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewer',
            trigger=pgtrigger.compiler.Trigger(name='no_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='9df7a071c5b5fc6b6cdcfa2c2d641ca1bb5b0fcd', operation='DELETE', pgid='pgtrigger_no_delete_fda48', table='safety_reviewer', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='reviewitem',
            index=models.Index(condition=models.Q(('state__in', ['open', 'escalated'])), fields=['opened_at'], name='review_item_queue'),
        ),
        migrations.AddIndex(
            model_name='reviewitem',
            index=models.Index(condition=models.Q(('pull', ''), _negated=True), fields=['pull'], name='review_item_of_pull'),
        ),
        migrations.AddIndex(
            model_name='reviewitem',
            index=models.Index(models.F('subject'), models.OrderBy(models.F('opened_at'), descending=True), name='review_item_of_subject'),
        ),
        migrations.AddConstraint(
            model_name='reviewitem',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['open', 'escalated'])), fields=('subject',), name='review_item_waits_once'),
        ),
        migrations.AddConstraint(
            model_name='reviewitem',
            constraint=models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='review_item_digest_is_sha256'),
        ),
        migrations.AddConstraint(
            model_name='reviewitem',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['scan', 'report', 'pull', 'rescan'])), name='review_item_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='reviewitem',
            constraint=models.CheckConstraint(condition=models.Q(('review_class__in', ['child_safety', 'likeness', 'intimate', 'violence', 'deception', 'other'])), name='review_item_class_known'),
        ),
        migrations.AddConstraint(
            model_name='reviewitem',
            constraint=models.CheckConstraint(condition=models.Q(('people__gte', 1), ('people__lte', 2)), name='review_item_people'),
        ),
        migrations.AddConstraint(
            model_name='reviewitem',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('review_class', 'child_safety'), _negated=True), ('people', 2), _connector='OR'), name='review_item_child_safety_two_people'),
        ),
        migrations.AddConstraint(
            model_name='reviewitem',
            constraint=models.CheckConstraint(condition=models.Q(('why__regex', '\\S')), name='review_item_why_written'),
        ),
        migrations.AddConstraint(
            model_name='reviewitem',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'scan'), _negated=True), ('scan__isnull', False), _connector='OR'), name='review_item_scan_named'),
        ),
        migrations.AddConstraint(
            model_name='reviewitem',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at__isnull', True), ('state__in', ['open', 'escalated'])), models.Q(('closed_at__isnull', False), ('state__in', ['passed', 'refused', 'returned', 'expired'])), _connector='OR'), name='review_item_state_whole'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewitem',
            trigger=pgtrigger.compiler.Trigger(name='what_it_is_about_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."subject" IS DISTINCT FROM (NEW."subject") OR OLD."fence" IS DISTINCT FROM (NEW."fence") OR OLD."digest" IS DISTINCT FROM (NEW."digest") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."scan_id" IS DISTINCT FROM (NEW."scan_id") OR OLD."pull" IS DISTINCT FROM (NEW."pull") OR OLD."opened_at" IS DISTINCT FROM (NEW."opened_at"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='9203787f6924d3f7cc908df5aa4b47627f0cb917', operation='UPDATE', pgid='pgtrigger_what_it_is_about_is_fixed_ed2a1', table='safety_reviewitem', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewitem',
            trigger=pgtrigger.compiler.Trigger(name='no_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='53569d8ca8c96be57405909b48879f4f68dd69f5', operation='DELETE', pgid='pgtrigger_no_delete_4f5f6', table='safety_reviewitem', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewitem',
            trigger=pgtrigger.compiler.Trigger(name='an_end_is_earned', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."people" IS DISTINCT FROM (NEW."people") OR OLD."review_class" IS DISTINCT FROM (NEW."review_class") OR OLD."state" IS DISTINCT FROM (NEW."state"))', declare='DECLARE wanted text;', func="\n            IF NEW.people < OLD.people OR OLD.review_class = 'child_safety' AND NEW.review_class <> 'child_safety' THEN\n                RAISE EXCEPTION 'review item %: what it takes to decide it only rises', OLD.id\n                USING ERRCODE = 'check_violation';\n            END IF;\n            IF NEW.state = OLD.state THEN\n                RETURN NEW;\n            END IF;\n            IF OLD.state NOT IN ('open', 'escalated') OR OLD.state = 'escalated' AND NEW.state = 'open' THEN\n                RAISE EXCEPTION 'review item %: % does not go to %', OLD.id, OLD.state, NEW.state\n                USING ERRCODE = 'check_violation';\n            END IF;\n            wanted := CASE NEW.state WHEN 'passed' THEN 'pass' WHEN 'refused' THEN 'block' END;\n            IF wanted IS NOT NULL AND NOT EXISTS (\n                SELECT 1 FROM safety_reviewdecision WHERE item_id = NEW.id AND verdict = wanted\n                HAVING count(DISTINCT person_id) >= NEW.people OR bool_or(escalated)\n            ) THEN\n                RAISE EXCEPTION 'review item % cannot be %: it lacks the decisions', NEW.id, NEW.state\n                USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NEW;\n        ", hash='f928f5933c998882bd1755d3298a7f9011e06373', operation='UPDATE', pgid='pgtrigger_an_end_is_earned_9db33', table='safety_reviewitem', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='reviewdecision',
            constraint=models.UniqueConstraint(fields=('item', 'person'), name='one_decision_per_person_and_item'),
        ),
        migrations.AddConstraint(
            model_name='reviewdecision',
            constraint=models.CheckConstraint(condition=models.Q(('verdict__in', ['pass', 'block', 'escalate'])), name='review_verdict_known'),
        ),
        migrations.AddConstraint(
            model_name='reviewdecision',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='review_reason_written'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewdecision',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='c1ff6778a3c02c1955fde26ac970831dad5169fa', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_8470a', table='safety_reviewdecision', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewdecision',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;", hash='8a405f1111801e7fdbfc0d8d35c1c6f9765c2ae8', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_d752d', table='safety_reviewdecision', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewdecision',
            trigger=pgtrigger.compiler.Trigger(name='a_decision_takes_a_claim', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE item safety_reviewitem;', func="\n            SELECT * INTO item FROM safety_reviewitem WHERE id = NEW.item_id FOR SHARE;\n            IF item.state NOT IN ('open', 'escalated') THEN\n                RAISE EXCEPTION 'review item % is decided', item.id USING ERRCODE = 'check_violation';\n            END IF;\n            IF NOT EXISTS (\n                SELECT 1 FROM safety_reviewclaim c WHERE c.item_id = item.id AND c.person_id = NEW.person_id\n                AND c.ended_at IS NULL AND c.lease_expires_at > clock_timestamp()\n            ) THEN\n                RAISE EXCEPTION 'review item % is not claimed by who decides', item.id\n                USING ERRCODE = 'check_violation';\n            END IF;\n            NEW.escalated := item.state = 'escalated';\n            IF NOT EXISTS (\n                SELECT 1 FROM safety_reviewer r\n                JOIN accounts_staffrole s ON s.user_id = NEW.person_id AND s.role = 'trust_safety'\n                WHERE r.review_class = item.review_class AND r.withdrawn_at IS NULL\n                AND (r.person_id = NEW.person_id OR r.person_id IS NULL)\n                AND (r.decides_escalated OR NOT NEW.escalated)\n            ) THEN\n                RAISE EXCEPTION 'review item %: this person may not decide %', item.id, item.review_class\n                USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NEW;\n        ", hash='18901ad1df749399db646711ebd8e77136c9176e', operation='INSERT', pgid='pgtrigger_a_decision_takes_a_claim_4b4f6', table='safety_reviewdecision', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='reviewclaim',
            index=models.Index(fields=['person', 'at'], name='review_claim_of_person'),
        ),
        migrations.AddConstraint(
            model_name='reviewclaim',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('item',), name='one_live_claim_per_item'),
        ),
        migrations.AddConstraint(
            model_name='reviewclaim',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('person',), name='one_live_claim_per_person'),
        ),
        migrations.AddConstraint(
            model_name='reviewclaim',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('end', ''), ('ended_at__isnull', True)), models.Q(('end__in', ['decided', 'released', 'expired']), ('ended_at__isnull', False)), _connector='OR'), name='review_claim_end_named'),
        ),
        migrations.AddConstraint(
            model_name='reviewclaim',
            constraint=models.CheckConstraint(condition=models.Q(('lease_expires_at__gt', models.F('at'))), name='review_claim_lease_lies_ahead'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewclaim',
            trigger=pgtrigger.compiler.Trigger(name='claim_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."item_id" IS DISTINCT FROM (NEW."item_id") OR OLD."person_id" IS DISTINCT FROM (NEW."person_id") OR OLD."at" IS DISTINCT FROM (NEW."at"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='105cce24c0342d986bd71ed88d06c56debff13db', operation='UPDATE', pgid='pgtrigger_claim_is_fixed_eb7c9', table='safety_reviewclaim', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reviewclaim',
            trigger=pgtrigger.compiler.Trigger(name='no_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='1e6de36fc441ef2a6135ea8298b93cfaab002d11', operation='DELETE', pgid='pgtrigger_no_delete_1d2b1', table='safety_reviewclaim', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='exposure',
            index=models.Index(fields=['person', 'at'], name='exposure_of_person'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='exposure',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='8a4aa9b6b081a17ede7c38492df76dab6bfdf054', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_4f0b0', table='safety_exposure', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='exposure',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;", hash='fa279747e2144fc2315983416c8ccdd751ff043f', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_9b59c', table='safety_exposure', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='exposure',
            trigger=pgtrigger.compiler.Trigger(name='no_clear_frame_of_child_safety', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            IF NOT EXISTS (\n                SELECT 1 FROM safety_reviewitem i\n                JOIN safety_reviewpolicy p ON p.review_class = i.review_class AND p.reveal\n                JOIN safety_reviewclaim c ON c.item_id = i.id AND c.person_id = NEW.person_id\n                 AND c.ended_at IS NULL AND c.lease_expires_at > clock_timestamp()\n                WHERE i.id = NEW.item_id AND i.review_class <> 'child_safety'\n            ) THEN\n                RAISE EXCEPTION 'review item %: no clear frames for this person', NEW.item_id\n                USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NEW;\n        ", hash='4f1673373a076b37c39e40c207da4207f0d597b2', operation='INSERT', pgid='pgtrigger_no_clear_frame_of_child_safety_aab94', table='safety_exposure', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='clearance',
            index=models.Index(fields=['digest'], name='clearance_of_digest'),
        ),
        migrations.AddConstraint(
            model_name='clearance',
            constraint=models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='clearance_digest_is_sha256'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='clearance',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='8618f73708b530b3c6b02c50dadec4ed5be5c68f', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_4e3d9', table='safety_clearance', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='clearance',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;", hash='410747f355f97cd510bbf89c7317a507a3fa9a2d', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_6644d', table='safety_clearance', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='clearance',
            trigger=pgtrigger.compiler.Trigger(name='a_clearance_is_earned', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE scan safety_scan; item safety_reviewitem; missing text;', func="\n            SELECT * INTO scan FROM safety_scan WHERE id = NEW.scan_id;\n            SELECT * INTO item FROM safety_reviewitem WHERE id = NEW.item_id;\n            IF item.kind <> 'scan' OR item.state <> 'passed' OR item.scan_id IS DISTINCT FROM NEW.scan_id THEN\n                RAISE EXCEPTION 'review item % did not pass this scan', NEW.item_id\n                USING ERRCODE = 'check_violation';\n            END IF;\n            IF scan.verdict IS DISTINCT FROM 'review' OR scan.purpose <> 'final' OR scan.frames_total IS NULL\n               OR (scan.subject, scan.fence, scan.digest) IS DISTINCT FROM (NEW.subject, NEW.fence, NEW.digest)\n               OR (item.subject, item.fence, item.digest) IS DISTINCT FROM (NEW.subject, NEW.fence, NEW.digest)\n            THEN\n                RAISE EXCEPTION 'scan % left no such file to people', NEW.scan_id USING ERRCODE = 'check_violation';\n            END IF;\n            SELECT string_agg(wanted.name || ' frame ' || wanted.i, ', ') INTO missing\n            FROM (\n                SELECT 'child_safety' AS name, i FROM generate_series(0, scan.frames_total - 1) AS i\n                UNION ALL\n                SELECT sampled.name, i\n                FROM generate_series(0, scan.frames_total - 1) AS i, (VALUES ('likeness'), ('intimate'), ('violence')) AS sampled (name)\n                WHERE i % 5 = 0 OR i = scan.frames_total - 1\n            ) AS wanted\n            WHERE NOT EXISTS (\n                SELECT 1 FROM safety_verdict v\n                WHERE v.scan_id = scan.id AND v.frame_class = wanted.name AND v.frame_index = wanted.i\n                AND (v.outcome = 'pass' OR v.outcome = 'review' AND wanted.name <> 'child_safety')\n            );\n            IF missing IS NOT NULL THEN\n                RAISE EXCEPTION 'scan % cannot be cleared: no verdict for %', scan.id, left(missing, 200)\n                USING ERRCODE = 'check_violation';\n            END IF;\n            IF EXISTS (\n                SELECT 1 FROM safety_verdict v WHERE v.scan_id = scan.id\n                AND (v.outcome NOT IN ('pass', 'unusable', 'review')\n                     OR v.frame_class = 'child_safety' AND v.outcome = 'review')\n            ) THEN\n                RAISE EXCEPTION 'scan % cannot be cleared: people do not overrule a block', scan.id\n                USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NEW;\n        ", hash='6dd0694a5ac7e65b09a0b37c89443b9c62361c17', operation='INSERT', pgid='pgtrigger_a_clearance_is_earned_c1ee8', table='safety_clearance', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='incidentnote',
            index=models.Index(fields=['incident', 'at'], name='incident_timeline'),
        ),
        migrations.AddConstraint(
            model_name='incidentnote',
            constraint=models.CheckConstraint(condition=models.Q(('author__regex', '\\S'), ('what__regex', '\\S'), ('text__regex', '\\S')), name='incident_note_written'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incidentnote',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='beb1b27d09161a634a1b9f6f6d1991e55ce811ca', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_ca20b', table='safety_incidentnote', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incidentnote',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;", hash='2a6b8b624f5d8806a021e7550340c4857d86d9c3', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_3662f', table='safety_incidentnote', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='userreport',
            index=models.Index(fields=['reporter', 'at'], name='report_of_reporter'),
        ),
        migrations.AddConstraint(
            model_name='userreport',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('reporter', 'subject'), name='one_open_report_per_reporter'),
        ),
        migrations.AddConstraint(
            model_name='userreport',
            constraint=models.CheckConstraint(condition=models.Q(('category__in', ['child_safety', 'likeness', 'intimate', 'violence', 'deception', 'other'])), name='report_category_known'),
        ),
        migrations.AddConstraint(
            model_name='userreport',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at__isnull', True), ('state', 'open')), models.Q(('closed_at__isnull', False), ('state__in', ['confirmed', 'dismissed'])), _connector='OR'), name='report_state_whole'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='userreport',
            trigger=pgtrigger.compiler.Trigger(name='report_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."subject" IS DISTINCT FROM (NEW."subject") OR OLD."category" IS DISTINCT FROM (NEW."category") OR OLD."text" IS DISTINCT FROM (NEW."text") OR OLD."reporter" IS DISTINCT FROM (NEW."reporter") OR OLD."organization_id" IS DISTINCT FROM (NEW."organization_id") OR OLD."item_id" IS DISTINCT FROM (NEW."item_id") OR OLD."at" IS DISTINCT FROM (NEW."at"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='3de02035375438b8fd8de40e1fdee7cb88cf0055', operation='UPDATE', pgid='pgtrigger_report_is_fixed_9cfb8', table='safety_userreport', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='userreport',
            trigger=pgtrigger.compiler.Trigger(name='no_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='8d8881cb463bf344cab7fb3e54a615f5eec5f471', operation='DELETE', pgid='pgtrigger_no_delete_8759e', table='safety_userreport', when='BEFORE')),
        ),
        ]),
        migrations.RunSQL(LETS_OUT, REMOVE),
        migrations.RunPython(ship, migrations.RunPython.noop),
    ]
