"""After delivery: withdrawals with their way back, pulls into review, the rolling re-scan; and what people cleared.

A clip goes out on a passed scan or on a clearance by people for exactly its file, never while it is withheld. A
withdrawn one comes back only where a second person restored it.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

from accounts.together import Together

GUARDS = r"""
CREATE OR REPLACE FUNCTION generation_assert_deliverable(job generation_job) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF job.kind <> 'clip' THEN
    RETURN;
  END IF;
  IF job.steps_run <> job.steps THEN
    RAISE EXCEPTION 'job % ran % of % steps and cannot be delivered', job.id, job.steps_run, job.steps
      USING ERRCODE = 'check_violation';
  END IF;
  -- The bytes that are delivered are the bytes that were signed, and those are the bytes that were scanned and passed,
  -- or that people cleared after the gates had left them to people.
  IF NOT EXISTS (
    SELECT 1 FROM generation_asset a
      JOIN safety_credential c ON c.signed_digest = a.digest AND c.state = 'Trusted'
       AND c.subject = job.id::text AND c.fence = job.fence
      JOIN safety_scan s ON s.digest = c.unsigned_digest AND s.subject = job.id::text AND s.fence = job.fence
       AND safety_scan_lets_out(s)
     WHERE a.job_id = job.id AND a.fence = job.fence AND a.role = 'video' AND a.removed_at IS NULL
       AND a.withheld_at IS NULL
  ) THEN
    RAISE EXCEPTION 'job % has no file whose scan, digest and Trusted credentials line up', job.id
      USING ERRCODE = 'check_violation';
  END IF;
END $$;

-- What was taken back comes back only where a second person restored it, after it was taken back.
CREATE FUNCTION generation_withdrawn_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (
    SELECT 1 FROM generation_withdrawal w WHERE w.job_id = NEW.id AND w.restored_at >= OLD.state_at AND NOT w.final
  ) THEN
    RAISE EXCEPTION 'job %: withdrawn does not go to delivered unless a second person restored it', NEW.id
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
-- By its name it fires before job_before, which asks for scan and credentials again.
CREATE TRIGGER job_aa_withdrawn_stays BEFORE UPDATE ON generation_job FOR EACH ROW
  WHEN (OLD.state = 'withdrawn' AND NEW.state = 'delivered') EXECUTE FUNCTION generation_withdrawn_stays();

CREATE FUNCTION generation_withheld_until_decided() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM safety_reviewitem i
     WHERE i.subject = NEW.job_id::text AND i.withheld AND i.state IN ('open', 'escalated')
  ) THEN
    RAISE EXCEPTION 'asset % is withheld while people look at it', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER asset_withheld_until_decided BEFORE UPDATE ON generation_asset FOR EACH ROW
  WHEN (OLD.withheld_at IS NOT NULL AND NEW.withheld_at IS NULL)
  EXECUTE FUNCTION generation_withheld_until_decided();

-- The table of transitions as it stands, with the way back from a withdrawal.
DO $patch$
DECLARE
  source text := pg_get_functiondef('generation_job_before'::regproc);
  amended text := replace(source, $q$('delivered', 'withdrawn')$q$,
                                  $q$('delivered', 'withdrawn'), ('withdrawn', 'delivered')$q$);
BEGIN
  IF amended = source THEN
    RAISE EXCEPTION 'the table of transitions was not found';
  END IF;
  EXECUTE amended;
END $patch$;
"""


def ship(apps, schema_editor):
    apps.get_model("generation", "WithdrawalPolicy").objects.create(
        pk=1, refund_percent=100, author="shipped", reason="as shipped"
    )


class Migration(migrations.Migration):
    dependencies = [("generation", "0014_live_safety"), ("safety", "0007_review")]

    operations = [
        migrations.CreateModel(
            name='ReviewPull',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('since', models.DateTimeField()),
                ('until', models.DateTimeField()),
                ('pattern', models.TextField(blank=True, default='')),
                ('category', models.CharField(blank=True, default='', max_length=30)),
                ('review_class', models.CharField(max_length=20)),
                ('withhold', models.BooleanField(default=True)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('state', models.CharField(choices=[('running', 'Running'), ('done', 'Done'), ('undone', 'Undone')], default='running', max_length=8)),
                ('cursor_at', models.DateTimeField(null=True)),
                ('cursor_id', models.UUIDField(null=True)),
                ('seen', models.PositiveIntegerField(default=0)),
                ('pulled', models.PositiveIntegerField(default=0)),
                ('ended_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Withdrawal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('disposal', models.CharField(choices=[('quarantine', 'Quarantine'), ('delete', 'Delete')], max_length=10)),
                ('final', models.BooleanField(default=False)),
                ('by_name', models.CharField(max_length=254)),
                ('reason', models.TextField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('files', models.JSONField()),
                ('refund_micro', models.BigIntegerField(default=0)),
                ('settled_at', models.DateTimeField(null=True)),
                ('restored_at', models.DateTimeField(null=True)),
                ('restore_reason', models.TextField(blank=True, default='')),
            ],
        ),
        migrations.CreateModel(
            name='WithdrawalPolicy',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('refund_percent', models.PositiveSmallIntegerField(default=100)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name='WithdrawalPolicyEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.PositiveSmallIntegerField(default=1, serialize=False)),
                ('refund_percent', models.PositiveSmallIntegerField(default=100)),
                ('author', models.CharField(max_length=254)),
                ('reason', models.TextField()),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.AddField(
            model_name='asset',
            name='withheld_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name='RescanDay',
            fields=[
                ('day', models.DateField(primary_key=True, serialize=False)),
                ('seed', models.CharField(max_length=32)),
                ('share_percent', models.PositiveSmallIntegerField(default=10)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('share_percent__gte', 1), ('share_percent__lte', 100)), name='rescan_share_sane')],
            },
        ),
        migrations.CreateModel(
            name='Rescan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('lease_expires_at', models.DateTimeField()),
                ('tries', models.PositiveSmallIntegerField(default=1)),
                ('verdict', models.CharField(blank=True, default='', max_length=12)),
                ('finished_at', models.DateTimeField(null=True)),
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='rescan', to='generation.job')),
                ('scan', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='safety.scan')),
                ('day', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rescans', to='generation.rescanday')),
            ],
        ),
        Together([
        pgtrigger.migrations.AddTrigger(
            model_name='rescanday',
            trigger=pgtrigger.compiler.Trigger(name='sample_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='37b8af21ed86c1bb99e46b8413ece2846a35f2b3', operation='UPDATE OR DELETE', pgid='pgtrigger_sample_is_fixed_e67f5', table='generation_rescanday', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='reviewpull',
            name='model',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='generation.registeredmodel'),
        ),
        migrations.AddField(
            model_name='reviewpull',
            name='organization',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization'),
        ),
        migrations.AddField(
            model_name='withdrawal',
            name='by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='withdrawal',
            name='job',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='withdrawals', to='generation.job'),
        ),
        migrations.AddField(
            model_name='withdrawal',
            name='of',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='repeats', to='generation.withdrawal'),
        ),
        migrations.AddField(
            model_name='withdrawal',
            name='restored_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='withdrawalpolicy',
            constraint=models.CheckConstraint(condition=models.Q(('id', 1)), name='withdrawal_policy_one_row'),
        ),
        migrations.AddConstraint(
            model_name='withdrawalpolicy',
            constraint=models.CheckConstraint(condition=models.Q(('refund_percent__lte', 100)), name='withdrawal_refund_is_a_share'),
        ),
        migrations.AddConstraint(
            model_name='withdrawalpolicy',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='withdrawal_policy_reason_written'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='withdrawalpolicy',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "generation_withdrawalpolicyevent" ("author", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "refund_percent") VALUES (NEW."author", NEW."id", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."reason", NEW."refund_percent"); RETURN NULL;', hash='63f98554746e7549b43bd82dde9e1e21a03af774', operation='INSERT', pgid='pgtrigger_insert_insert_89f22', table='generation_withdrawalpolicy', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='withdrawalpolicy',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "generation_withdrawalpolicyevent" ("author", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "refund_percent") VALUES (NEW."author", NEW."id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."reason", NEW."refund_percent"); RETURN NULL;', hash='f6f9e7f7262a52c56f78d0714fed6c22ff528ce4', operation='UPDATE', pgid='pgtrigger_update_update_c58de', table='generation_withdrawalpolicy', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='withdrawalpolicy',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "generation_withdrawalpolicyevent" ("author", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "refund_percent") VALUES (OLD."author", OLD."id", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."reason", OLD."refund_percent"); RETURN NULL;', hash='dfdb1abdf10b6ee2357c2791d7c15a6813041275', operation='DELETE', pgid='pgtrigger_delete_delete_e46f2', table='generation_withdrawalpolicy', when='AFTER')),
        ),
        migrations.AddField(
            model_name='withdrawalpolicyevent',
            name='pgh_context',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context'),
        ),
        migrations.AddField(
            model_name='withdrawalpolicyevent',
            name='pgh_obj',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='generation.withdrawalpolicy'),
        ),
        migrations.AddIndex(
            model_name='rescan',
            index=models.Index(condition=models.Q(('finished_at', None)), fields=['lease_expires_at'], name='rescan_under_way'),
        ),
        migrations.AddConstraint(
            model_name='rescan',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('verdict', '')), models.Q(('finished_at__isnull', False), models.Q(('verdict', ''), _negated=True)), _connector='OR'), name='rescan_finished_with_verdict'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='rescan',
            trigger=pgtrigger.compiler.Trigger(name='result_is_final', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."finished_at" IS NOT NULL)', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='82b1f71434393c890bb3ca020352492c561584a5', operation='UPDATE', pgid='pgtrigger_result_is_final_4856e', table='generation_rescan', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='rescan',
            trigger=pgtrigger.compiler.Trigger(name='no_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='f17ba05824e5f4c5b0c0250d991f50c2cc779e2c', operation='DELETE', pgid='pgtrigger_no_delete_4a363', table='generation_rescan', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='reviewpull',
            index=models.Index(condition=models.Q(('state', 'running')), fields=['id'], name='review_pull_running'),
        ),
        migrations.AddConstraint(
            model_name='reviewpull',
            constraint=models.CheckConstraint(condition=models.Q(('since__lt', models.F('until'))), name='review_pull_window'),
        ),
        migrations.AddConstraint(
            model_name='reviewpull',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='review_pull_reason_written'),
        ),
        migrations.AddConstraint(
            model_name='reviewpull',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('state', 'running')), models.Q(('ended_at__isnull', False), ('state__in', ['done', 'undone'])), _connector='OR'), name='review_pull_state_whole'),
        ),
        migrations.AddIndex(
            model_name='withdrawal',
            index=models.Index(condition=models.Q(('settled_at', None)), fields=['at'], name='withdrawal_unsettled'),
        ),
        migrations.AddConstraint(
            model_name='withdrawal',
            constraint=models.UniqueConstraint(condition=models.Q(('restored_at', None)), fields=('job',), name='one_standing_withdrawal_per_job'),
        ),
        migrations.AddConstraint(
            model_name='withdrawal',
            constraint=models.CheckConstraint(condition=models.Q(('reason__regex', '\\S')), name='withdrawal_reason_written'),
        ),
        migrations.AddConstraint(
            model_name='withdrawal',
            constraint=models.CheckConstraint(condition=models.Q(('by_name__regex', '\\S')), name='withdrawal_by_someone'),
        ),
        migrations.AddConstraint(
            model_name='withdrawal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('restored_at__isnull', True), ('restored_by__isnull', True)), models.Q(('disposal', 'quarantine'), ('final', False), ('restored_at__isnull', False), ('restored_by__isnull', False), ('restore_reason__regex', '\\S'), models.Q(('by__isnull', True), models.Q(('restored_by', models.F('by')), _negated=True), _connector='OR')), _connector='OR'), name='withdrawal_restored_by_a_second_person'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='withdrawal',
            trigger=pgtrigger.compiler.Trigger(name='withdrawal_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."job_id" IS DISTINCT FROM (NEW."job_id") OR OLD."of_id" IS DISTINCT FROM (NEW."of_id") OR OLD."disposal" IS DISTINCT FROM (NEW."disposal") OR OLD."final" IS DISTINCT FROM (NEW."final") OR OLD."by_id" IS DISTINCT FROM (NEW."by_id") OR OLD."by_name" IS DISTINCT FROM (NEW."by_name") OR OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."at" IS DISTINCT FROM (NEW."at") OR OLD."files" IS DISTINCT FROM (NEW."files"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='13439820d38b29b78a44f5138fffa7ea9eb81ef1', operation='UPDATE', pgid='pgtrigger_withdrawal_is_fixed_8274c', table='generation_withdrawal', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='withdrawal',
            trigger=pgtrigger.compiler.Trigger(name='no_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='a05dc393eb35bf0f6e78a2b2ca61a289f4beeb84', operation='DELETE', pgid='pgtrigger_no_delete_3700e', table='generation_withdrawal', when='BEFORE')),
        ),
        ]),
        migrations.RunSQL(GUARDS, migrations.RunSQL.noop),
        migrations.RunPython(ship, migrations.RunPython.noop),
    ]
