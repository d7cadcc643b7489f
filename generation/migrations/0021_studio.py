"""Share links of clips."""

import datetime
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

GUARD = r"""
-- A link leads to a clip that is delivered now, of the organization whose link it is.
CREATE FUNCTION generation_share_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.revoked_at IS NOT NULL OR NOT EXISTS (
    SELECT 1 FROM generation_job WHERE id = NEW.job_id AND organization_id = NEW.organization_id
       AND kind = 'clip' AND state = 'delivered' AND deleted_at IS NULL
       AND (expires_at IS NULL OR expires_at >= NEW.expires_at)) THEN
    RAISE EXCEPTION 'a link to % may not be made', NEW.job_id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER clip_share_stands BEFORE INSERT ON generation_clipshare
  FOR EACH ROW EXECUTE FUNCTION generation_share_stands();
"""
UNGUARD = """
DROP TRIGGER clip_share_stands ON generation_clipshare;
DROP FUNCTION generation_share_stands();
"""


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0007_scopes"),
        ("generation", "0020_overview"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ClipShare',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                ('last_four', models.CharField(editable=False, max_length=4)),
                ('shows_prompt', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField()),
                ('revoked_at', models.DateTimeField(null=True)),
                ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='shares', to='generation.job')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('revoked_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='clip_share_digest_is_one'), models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('created_at')), ('expires_at__lte', django.db.models.expressions.CombinedExpression(models.F('created_at'), '+', models.Value(datetime.timedelta(days=90, seconds=3600))))), name='clip_share_ends'), models.CheckConstraint(condition=models.Q(models.Q(('revoked_at', None), ('revoked_by', None)), models.Q(('revoked_at__isnull', False), ('revoked_by__isnull', False)), _connector='OR'), name='clip_share_revoked_by_somebody')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='clipshare',
            trigger=pgtrigger.compiler.Trigger(name='share_is_fixed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."organization_id" IS DISTINCT FROM (NEW."organization_id") OR OLD."job_id" IS DISTINCT FROM (NEW."job_id") OR OLD."digest" IS DISTINCT FROM (NEW."digest") OR OLD."last_four" IS DISTINCT FROM (NEW."last_four") OR OLD."shows_prompt" IS DISTINCT FROM (NEW."shows_prompt") OR OLD."created_by_id" IS DISTINCT FROM (NEW."created_by_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='0e8c154dc194a1e06bf26f6698868a2664566aeb', operation='UPDATE', pgid='pgtrigger_share_is_fixed_fd097', table='generation_clipshare', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='clipshare',
            trigger=pgtrigger.compiler.Trigger(name='share_stays_revoked', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."revoked_at" IS NOT NULL AND (OLD."revoked_at" IS DISTINCT FROM (NEW."revoked_at") OR OLD."revoked_by_id" IS DISTINCT FROM (NEW."revoked_by_id")))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='42987b8a5cdd4c3480db683c2fc649369707f4cc', operation='UPDATE', pgid='pgtrigger_share_stays_revoked_a1bb9', table='generation_clipshare', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='clipshare',
            trigger=pgtrigger.compiler.Trigger(name='share_no_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='33af3e1c5a2688f4b365298b55c0917933c98980', operation='DELETE', pgid='pgtrigger_share_no_delete_8033a', table='generation_clipshare', when='BEFORE')),
        ),
        migrations.RunSQL(GUARD, UNGUARD),
    ]
