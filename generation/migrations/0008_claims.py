"""What a cheap claim reads: caps in units, who is at its cap, and indexes that hold only what may be next.

No rows change here, so that the tables can; migration 0009 counts what runs.
"""

import django.db.models.deletion
from django.db import migrations, models

from accounts.together import Together


class Migration(migrations.Migration):

    dependencies = [
        ('generation', '0007_live_scheduling'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='laneoverride',
            name='lane_override_field_known',
        ),
        migrations.RemoveIndex(
            model_name='job',
            name='job_waiting_in_lane',
        ),
        migrations.RemoveIndex(
            model_name='laneorganization',
            name='lane_organization_waiting',
        ),
        Together([
        migrations.AddField(
            model_name='lane',
            name='at_cap_under',
            field=models.CharField(blank=True, db_default='', max_length=60),
        ),
        migrations.AddField(
            model_name='lane',
            name='max_units_micro',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='laneorganization',
            name='at_cap',
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddField(
            model_name='laneorganization',
            name='running_units_micro',
            field=models.BigIntegerField(db_default=0),
        ),
        migrations.AddField(
            model_name='pool',
            name='capacity_units_micro',
            field=models.BigIntegerField(null=True),
        ),
        ]),
        migrations.AlterField(
            model_name='attempt',
            name='lane',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='generation.lane'),
        ),
        migrations.AlterField(
            model_name='attempt',
            name='organization',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization'),
        ),
        migrations.AlterField(
            model_name='job',
            name='lane',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='generation.lane'),
        ),
        migrations.AlterField(
            model_name='job',
            name='organization',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='accounts.organization'),
        ),
        Together([
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('state', 'queued')), fields=['lane', 'organization', '-ahead_of_lane', 'queued_at', 'id'], name='job_next_in_lane'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('ahead_of_lane', True), ('state', 'finishing')), fields=['lane', 'queued_at'], name='job_orphan'),
        ),
        migrations.AddIndex(
            model_name='laneorganization',
            index=models.Index(condition=models.Q(('at_cap', False), ('waiting__gt', 0)), fields=['lane', 'tag', 'id'], name='lane_organization_next'),
        ),
        migrations.AddIndex(
            model_name='laneorganization',
            index=models.Index(condition=models.Q(('running__gt', 0)), fields=['lane'], include=('running_units_micro',), name='lane_organization_running'),
        ),
        migrations.AddConstraint(
            model_name='lane',
            constraint=models.CheckConstraint(condition=models.Q(('max_units_micro__gt', 0)), name='lane_units_cap_positive'),
        ),
        migrations.AddConstraint(
            model_name='laneorganization',
            constraint=models.CheckConstraint(condition=models.Q(('running_units_micro__gte', 0)), name='lane_units_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='laneoverride',
            constraint=models.CheckConstraint(condition=models.Q(('field__in', ('weight', 'floor', 'max_running', 'max_units_micro'))), name='lane_override_field_known'),
        ),
        migrations.AddConstraint(
            model_name='pool',
            constraint=models.CheckConstraint(condition=models.Q(('capacity_units_micro__gt', 0)), name='pool_capacity_positive'),
        ),
        ]),
    ]
