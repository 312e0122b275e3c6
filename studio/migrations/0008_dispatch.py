import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('studio', '0007_trained_sizes'),
    ]

    operations = [
        migrations.CreateModel(
            name='Chore',
            fields=[
                ('name', models.CharField(max_length=40, primary_key=True, serialize=False)),
                ('begun_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Pace',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model_sha256', models.CharField(blank=True, max_length=64)),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('step_ms', models.FloatField()),
                ('rest_ms', models.FloatField()),
            ],
        ),
        migrations.CreateModel(
            name='Pool',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40, unique=True)),
                ('priority', models.PositiveSmallIntegerField(blank=True, choices=[(0, 'Urgent'), (1, 'Normal'), (2, 'Batch')], null=True, unique=True)),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Share',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('virtual_time', models.FloatField(default=0)),
            ],
        ),
        migrations.RemoveIndex(
            model_name='renderjob',
            name='renderjob_queued',
        ),
        migrations.RemoveField(
            model_name='team',
            name='served_at',
        ),
        migrations.AddField(
            model_name='campaign',
            name='paused_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='renderjob',
            name='priority',
            field=models.PositiveSmallIntegerField(choices=[(0, 'Urgent'), (1, 'Normal'), (2, 'Batch')], default=1),
        ),
        migrations.AddField(
            model_name='renderjob',
            name='rank',
            field=models.IntegerField(default=0),
        ),
        migrations.AddField(
            model_name='team',
            name='virtual_time',
            field=models.FloatField(default=0),
        ),
        migrations.AddField(
            model_name='worker',
            name='draining',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='worker',
            name='host',
            field=models.CharField(blank=True, max_length=120),
        ),
        migrations.AddField(
            model_name='pace',
            name='worker',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='paces', to='studio.worker'),
        ),
        migrations.AddConstraint(
            model_name='pool',
            constraint=models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='pool_has_a_name'),
        ),
        migrations.AddConstraint(
            model_name='pool',
            constraint=models.CheckConstraint(condition=models.Q(('priority__isnull', True), ('priority__in', [0, 1, 2]), _connector='OR'), name='pool_priority_is_known'),
        ),
        migrations.AddField(
            model_name='team',
            name='pool',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='teams', to='studio.pool'),
        ),
        migrations.AddField(
            model_name='worker',
            name='pool',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='workers', to='studio.pool'),
        ),
        migrations.AddField(
            model_name='share',
            name='team',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='shares', to='studio.team'),
        ),
        migrations.AddField(
            model_name='share',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='shares', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='renderjob',
            name='share',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='studio.share'),
        ),
        migrations.AddIndex(
            model_name='renderjob',
            index=models.Index(condition=models.Q(('status', 'queued')), fields=['share', 'priority', 'rank', 'created_at', 'batch', 'position'], name='renderjob_queued'),
        ),
        migrations.AddConstraint(
            model_name='renderjob',
            constraint=models.CheckConstraint(condition=models.Q(('priority__in', [0, 1, 2])), name='renderjob_priority_is_known'),
        ),
        migrations.AddConstraint(
            model_name='pace',
            constraint=models.UniqueConstraint(fields=('worker', 'model_sha256', 'width', 'height'), name='pace_one_per_worker_model_and_size'),
        ),
        migrations.AddConstraint(
            model_name='share',
            constraint=models.UniqueConstraint(fields=('team', 'user'), name='share_one_per_person_and_team'),
        ),
    ]
