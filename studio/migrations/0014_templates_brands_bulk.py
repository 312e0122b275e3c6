"""Prompt templates, brand kits, sheets of rows; the brief and the budget of a campaign; rules of formats."""

from __future__ import annotations

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import studio.domain.states
import studio.domain.templating
import studio.domain.terms


class Migration(migrations.Migration):
    """New tables and columns; nothing is filled."""

    dependencies = [
        ('studio', '0013_campaign_needs'),
    ]

    operations = [
        migrations.CreateModel(
            name='BrandFont',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('family', models.CharField(max_length=80)),
                ('script', models.CharField(choices=[('latin', 'Latin'), ('cjk', 'Cjk'), ('both', 'Both')], max_length=5)),
                ('licence', models.CharField(max_length=300)),
                ('file_key', models.CharField(max_length=200)),
                ('sha256', models.CharField(max_length=64)),
                ('size_bytes', models.PositiveIntegerField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='BrandKit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name_zh', models.CharField(blank=True, max_length=80)),
                ('name_en', models.CharField(blank=True, max_length=80)),
                ('slug', models.SlugField(unique=True)),
                ('style_zh', models.CharField(blank=True, max_length=300)),
                ('style_en', models.CharField(blank=True, max_length=300)),
                ('palette', models.JSONField(default=list)),
                ('loras', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('archived_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['name_en', 'name_zh', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='BrandLogo',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60)),
                ('file_key', models.CharField(max_length=200)),
                ('sha256', models.CharField(max_length=64)),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('corner', models.CharField(choices=[('top-left', 'Top Left'), ('top-right', 'Top Right'), ('bottom-left', 'Bottom Left'), ('bottom-right', 'Bottom Right')], default='bottom-right', max_length=12)),
                ('clear', models.FloatField(default=0.04)),
                ('share', models.FloatField(default=0.22)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='BulkRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('cells', models.JSONField(default=list)),
                ('problems', models.JSONField(default=list)),
                ('usable', models.BooleanField(default=False)),
                ('selected', models.BooleanField(default=True)),
                ('attempt', models.PositiveSmallIntegerField(default=0)),
                ('taken_at', models.DateTimeField(null=True)),
            ],
            options={
                'ordering': ['run', 'number'],
            },
        ),
        migrations.CreateModel(
            name='BulkRun',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=120)),
                ('status', models.CharField(choices=[('checking', 'Checking'), ('checked', 'Checked'), ('running', 'Running'), ('paused', 'Paused'), ('done', 'Done'), ('cancelled', 'Cancelled')], default=studio.domain.states.BulkStatus['CHECKING'], max_length=10)),
                ('columns', models.JSONField(default=list)),
                ('mapping', models.JSONField(default=dict)),
                ('count', models.PositiveSmallIntegerField(default=1)),
                ('seed', models.PositiveBigIntegerField(default=0)),
                ('steps', models.PositiveSmallIntegerField(null=True)),
                ('halted', models.CharField(blank=True, max_length=40)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('queued_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Draft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fields', models.JSONField(default=dict)),
                ('saved_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Product',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name_zh', models.CharField(blank=True, max_length=80)),
                ('name_en', models.CharField(blank=True, max_length=80)),
                ('sku', models.CharField(max_length=60)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['sku'],
            },
        ),
        migrations.CreateModel(
            name='PromptTemplate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name_zh', models.CharField(blank=True, max_length=80)),
                ('name_en', models.CharField(blank=True, max_length=80)),
                ('slug', models.SlugField(unique=True)),
                ('shared', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('archived_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['name_en', 'name_zh', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='TemplateVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('status', models.CharField(choices=[('draft', 'Draft'), ('published', 'Published'), ('retired', 'Retired')], default=studio.domain.templating.TemplateStatus['DRAFT'], max_length=10)),
                ('text_zh', models.TextField(blank=True)),
                ('text_en', models.TextField(blank=True)),
                ('variables', models.JSONField(default=list)),
                ('settings', models.JSONField(default=dict)),
                ('locked', models.JSONField(default=list)),
                ('note', models.CharField(blank=True, max_length=200)),
                ('edited_at', models.DateTimeField()),
                ('published_at', models.DateTimeField(null=True)),
            ],
            options={
                'ordering': ['template', '-number'],
            },
        ),
        migrations.CreateModel(
            name='Term',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.CharField(max_length=60)),
                ('action', models.CharField(choices=[('block', 'Block'), ('warn', 'Warn')], default=studio.domain.terms.TermAction['WARN'], max_length=5)),
                ('source', models.CharField(blank=True, max_length=200)),
                ('note', models.CharField(blank=True, max_length=200)),
            ],
            options={
                'ordering': ['text'],
            },
        ),
        migrations.AddField(
            model_name='adformat',
            name='file_type',
            field=models.CharField(choices=[('png', 'Png'), ('jpeg', 'Jpeg'), ('webp', 'Webp')], default='jpeg', max_length=4),
        ),
        migrations.AddField(
            model_name='adformat',
            name='label_rule',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name='adformat',
            name='safe_zones',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='adformat',
            name='white_background',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='asset',
            name='flags',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='campaign',
            name='audience',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='campaign',
            name='budget',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='campaign',
            name='donts',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='campaign',
            name='dos',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='campaign',
            name='goal',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='campaign',
            name='message',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='campaign',
            name='people',
            field=models.ManyToManyField(blank=True, related_name='campaigns', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='campaign',
            name='starts_on',
            field=models.DateField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='overlay',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='values',
            field=models.JSONField(default=dict),
        ),
        migrations.AddConstraint(
            model_name='adformat',
            constraint=models.CheckConstraint(condition=models.Q(('file_type__in', ['png', 'jpeg', 'webp'])), name='adformat_file_type_is_known'),
        ),
        migrations.AddField(
            model_name='brandkit',
            name='created_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='brandkit',
            name='team',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='brand_kits', to='studio.team'),
        ),
        migrations.AddField(
            model_name='brandfont',
            name='kit',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='fonts', to='studio.brandkit'),
        ),
        migrations.AddField(
            model_name='campaign',
            name='brand_kit',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='campaigns', to='studio.brandkit'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('starts_on__isnull', True), ('deadline__isnull', True), ('starts_on__lte', models.F('deadline')), _connector='OR'), name='campaign_starts_before_its_deadline'),
        ),
        migrations.AddField(
            model_name='brandlogo',
            name='kit',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='logos', to='studio.brandkit'),
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='bulk_row',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='batches', to='studio.bulkrow'),
        ),
        migrations.AddField(
            model_name='bulkrun',
            name='campaign',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='bulk_runs', to='studio.campaign'),
        ),
        migrations.AddField(
            model_name='bulkrun',
            name='formats',
            field=models.ManyToManyField(related_name='+', to='studio.adformat'),
        ),
        migrations.AddField(
            model_name='bulkrun',
            name='requested_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='bulk_runs', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='bulkrow',
            name='run',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rows', to='studio.bulkrun'),
        ),
        migrations.AddField(
            model_name='draft',
            name='campaign',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='drafts', to='studio.campaign'),
        ),
        migrations.AddField(
            model_name='draft',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='drafts', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='product',
            name='team',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='products', to='studio.team'),
        ),
        migrations.AddField(
            model_name='prompttemplate',
            name='created_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='prompttemplate',
            name='team',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='templates', to='studio.team'),
        ),
        migrations.AddField(
            model_name='templateversion',
            name='edited_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='templateversion',
            name='published_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='templateversion',
            name='template',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='studio.prompttemplate'),
        ),
        migrations.AddField(
            model_name='bulkrun',
            name='version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='bulk_runs', to='studio.templateversion'),
        ),
        migrations.AddField(
            model_name='renderbatch',
            name='version',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='batches', to='studio.templateversion'),
        ),
        migrations.AddField(
            model_name='term',
            name='kit',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='terms', to='studio.brandkit'),
        ),
        migrations.AddConstraint(
            model_name='brandkit',
            constraint=models.CheckConstraint(condition=models.Q(('name_en', ''), ('name_zh', ''), _negated=True), name='brandkit_has_a_name'),
        ),
        migrations.AddConstraint(
            model_name='brandfont',
            constraint=models.UniqueConstraint(fields=('kit', 'sha256'), name='brandfont_once_a_kit'),
        ),
        migrations.AddConstraint(
            model_name='brandfont',
            constraint=models.CheckConstraint(condition=models.Q(('script__in', ['latin', 'cjk', 'both'])), name='brandfont_script_is_known'),
        ),
        migrations.AddConstraint(
            model_name='brandfont',
            constraint=models.CheckConstraint(condition=models.Q(('licence', ''), _negated=True), name='brandfont_has_a_licence'),
        ),
        migrations.AddConstraint(
            model_name='brandlogo',
            constraint=models.UniqueConstraint(fields=('kit', 'sha256'), name='brandlogo_once_a_kit'),
        ),
        migrations.AddConstraint(
            model_name='brandlogo',
            constraint=models.CheckConstraint(condition=models.Q(('corner__in', ['top-left', 'top-right', 'bottom-left', 'bottom-right'])), name='brandlogo_corner_is_known'),
        ),
        migrations.AddConstraint(
            model_name='brandlogo',
            constraint=models.CheckConstraint(condition=models.Q(('clear__range', (0.0, 0.25))), name='brandlogo_clear_in_range'),
        ),
        migrations.AddConstraint(
            model_name='brandlogo',
            constraint=models.CheckConstraint(condition=models.Q(('share__range', (0.05, 0.9))), name='brandlogo_share_in_range'),
        ),
        migrations.AddIndex(
            model_name='bulkrow',
            index=models.Index(condition=models.Q(('selected', True), ('taken_at__isnull', True), ('usable', True)), fields=['run', 'number'], name='bulkrow_to_take'),
        ),
        migrations.AddConstraint(
            model_name='bulkrow',
            constraint=models.UniqueConstraint(fields=('run', 'number'), name='bulkrow_number_in_run'),
        ),
        migrations.AddConstraint(
            model_name='bulkrow',
            constraint=models.CheckConstraint(condition=models.Q(('taken_at__isnull', True), ('usable', True), _connector='OR'), name='bulkrow_taken_only_if_usable'),
        ),
        migrations.AddConstraint(
            model_name='draft',
            constraint=models.UniqueConstraint(fields=('user', 'campaign'), name='draft_one_a_campaign'),
        ),
        migrations.AddConstraint(
            model_name='product',
            constraint=models.CheckConstraint(condition=models.Q(('name_en', ''), ('name_zh', ''), _negated=True), name='product_has_a_name'),
        ),
        migrations.AddConstraint(
            model_name='product',
            constraint=models.UniqueConstraint(fields=('team', 'sku'), name='product_sku_in_team'),
        ),
        migrations.AddConstraint(
            model_name='product',
            constraint=models.CheckConstraint(condition=models.Q(('sku', ''), _negated=True), name='product_has_a_sku'),
        ),
        migrations.AddConstraint(
            model_name='prompttemplate',
            constraint=models.CheckConstraint(condition=models.Q(('name_en', ''), ('name_zh', ''), _negated=True), name='prompttemplate_has_a_name'),
        ),
        migrations.AddConstraint(
            model_name='templateversion',
            constraint=models.UniqueConstraint(fields=('template', 'number'), name='templateversion_number_in_template'),
        ),
        migrations.AddConstraint(
            model_name='templateversion',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'draft')), fields=('template',), name='templateversion_one_draft'),
        ),
        migrations.AddConstraint(
            model_name='templateversion',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'published')), fields=('template',), name='templateversion_one_published'),
        ),
        migrations.AddConstraint(
            model_name='templateversion',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['draft', 'published', 'retired'])), name='templateversion_status_is_known'),
        ),
        migrations.AddConstraint(
            model_name='bulkrun',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['checking', 'checked', 'running', 'paused', 'done', 'cancelled'])), name='bulkrun_status_is_known'),
        ),
        migrations.AddConstraint(
            model_name='bulkrun',
            constraint=models.CheckConstraint(condition=models.Q(('count__range', (1, 8))), name='bulkrun_count_in_range'),
        ),
        migrations.AddConstraint(
            model_name='bulkrun',
            constraint=models.CheckConstraint(condition=models.Q(('seed__range', (0, 4294967295))), name='bulkrun_seed_in_range'),
        ),
        migrations.AddConstraint(
            model_name='term',
            constraint=models.UniqueConstraint(fields=('kit', 'text'), name='term_once_a_kit'),
        ),
        migrations.AddConstraint(
            model_name='term',
            constraint=models.UniqueConstraint(condition=models.Q(('kit__isnull', True)), fields=('text',), name='term_once_for_all'),
        ),
        migrations.AddConstraint(
            model_name='term',
            constraint=models.CheckConstraint(condition=models.Q(('text', ''), _negated=True), name='term_has_a_text'),
        ),
        migrations.AddConstraint(
            model_name='term',
            constraint=models.CheckConstraint(condition=models.Q(('action__in', ['block', 'warn'])), name='term_action_is_known'),
        ),
    ]
