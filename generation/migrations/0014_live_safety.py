# Prompts that the text filter refused, kept for a time.

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generation", "0013_held_clips")]

    operations = [
        migrations.CreateModel(
            name='RefusedPrompt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('kind', models.CharField(choices=[('clip', 'Clip'), ('code', 'Code')], max_length=8)),
                ('prompt', models.TextField()),
                ('category', models.CharField(max_length=30)),
                ('stage', models.CharField(max_length=20)),
                ('about', models.JSONField(default=list)),
                ('scores', models.JSONField(default=dict)),
                ('versions', models.JSONField(default=dict)),
                ('decision', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='refused_prompt', to='billing.decision')),
            ],
            options={
                'indexes': [models.Index(fields=['-at'], name='refused_prompt_newest_first')],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['clip', 'code'])), name='refused_prompt_kind_known'), models.CheckConstraint(condition=models.Q(('category', ''), _negated=True), name='refused_prompt_category_named')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='refusedprompt',
            trigger=pgtrigger.compiler.Trigger(name='refused_prompts_stand', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='4a2463e4fb3bd5ef867de75781d7e77dccb3a0ce', operation='UPDATE', pgid='pgtrigger_refused_prompts_stand_828ef', table='generation_refusedprompt', when='BEFORE')),
        ),
    ]
