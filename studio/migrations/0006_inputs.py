"""Pictures to start from, and what a batch is led by besides its words; what renders at a worker."""

from __future__ import annotations

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """New rows, new columns, and their rules."""

    dependencies = [
        ('studio', '0004_worker_pace'),
    ]

    operations = [
        migrations.AddField(
            model_name='renderbatch',
            name='again_of',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='repeats', to='studio.asset'),
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='control_kind',
            field=models.CharField(blank=True, max_length=10),
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='control_scale',
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='loras',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='negative',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='strength',
            field=models.FloatField(default=1.0),
        ),
        migrations.AddField(
            model_name='worker',
            name='provenance',
            field=models.JSONField(default=dict),
        ),
        migrations.CreateModel(
            name='RenderInput',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('role', models.CharField(choices=[('image', 'Image'), ('mask', 'Mask'), ('control', 'Control')], max_length=10)),
                ('file_key', models.CharField(max_length=200)),
                ('sha256', models.CharField(max_length=64)),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('size_bytes', models.PositiveIntegerField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('used_at', models.DateTimeField()),
                ('campaign', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='inputs', to='studio.campaign')),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='inputs', to='studio.team')),
                ('uploaded_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='inputs', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='control_input',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='studio.renderinput'),
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='mask',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='studio.renderinput'),
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='source',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='studio.renderinput'),
        ),
        migrations.AddConstraint(
            model_name='renderbatch',
            constraint=models.CheckConstraint(condition=models.Q(('guidance__range', (0.0, 20.0))), name='batch_guidance_in_range'),
        ),
        migrations.AddConstraint(
            model_name='renderbatch',
            constraint=models.CheckConstraint(condition=models.Q(('strength__range', (0.01, 1.0))), name='batch_strength_in_range'),
        ),
        migrations.AddConstraint(
            model_name='renderbatch',
            constraint=models.CheckConstraint(condition=models.Q(('source__isnull', False), models.Q(('mask__isnull', True), ('strength', 1.0)), _connector='OR'), name='batch_mask_has_a_source'),
        ),
        migrations.AddConstraint(
            model_name='renderbatch',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('control_input__isnull', True), ('control_kind', ''), ('control_scale__isnull', True)), models.Q(('control_input__isnull', False), ('control_kind__in', ['canny', 'depth', 'pose', 'hed', 'mlsd']), ('control_scale__gt', 0.0), ('control_scale__lte', 2.0)), _connector='OR'), name='batch_control_is_whole'),
        ),
        migrations.AddIndex(
            model_name='renderinput',
            index=models.Index(fields=['used_at'], name='renderinput_used'),
        ),
        migrations.AddIndex(
            model_name='renderinput',
            index=models.Index(fields=['file_key'], name='renderinput_file'),
        ),
        migrations.AddConstraint(
            model_name='renderinput',
            constraint=models.UniqueConstraint(fields=('campaign', 'role', 'sha256'), name='renderinput_one_per_content'),
        ),
        migrations.AddConstraint(
            model_name='renderinput',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['image', 'mask', 'control'])), name='renderinput_role_is_known'),
        ),
        migrations.AddConstraint(
            model_name='renderinput',
            constraint=models.CheckConstraint(condition=models.Q(('height__range', (16, 4096)), ('width__range', (16, 4096))), name='renderinput_size_can_be_rendered'),
        ),
        migrations.AddConstraint(
            model_name='renderinput',
            constraint=models.CheckConstraint(condition=models.Q(('size_bytes__gt', 0)), name='renderinput_is_not_empty'),
        ),
        migrations.AddConstraint(
            model_name='renderinput',
            constraint=models.CheckConstraint(condition=models.Q(('sha256__regex', '^[0-9a-f]{64}$')), name='renderinput_sha256_is_hex'),
        ),
    ]
