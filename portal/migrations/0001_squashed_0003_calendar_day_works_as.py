"""People, organisations, audit and the calendar of working days as they stand after 0003_calendar_day_works_as: a new database is made in one step instead of all that led here."""

import django.contrib.auth.models
import django.contrib.auth.validators
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('portal', '0001_initial'), ('portal', '0002_calendar_day'), ('portal', '0003_calendar_day_works_as')]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.RunSQL('CREATE SEQUENCE portal_number START 1', 'DROP SEQUENCE portal_number'),
        migrations.CreateModel(
            name='Record',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('action', models.CharField(max_length=60)),
                ('actor_user_id', models.BigIntegerField(null=True)),
                ('actor_organisation_id', models.BigIntegerField(null=True)),
                ('actor_label', models.CharField(max_length=160)),
                ('subject', models.CharField(max_length=80)),
                ('organisation_ids', models.JSONField(default=list)),
                ('data', models.JSONField(default=dict)),
                ('request_id', models.CharField(blank=True, max_length=64)),
            ],
            options={
                'db_table': 'audit_record',
                'ordering': ['-pk'],
                'indexes': [models.Index(fields=['subject', '-id'], name='audit_subject'), models.Index(fields=['action', '-id'], name='audit_action'), django.contrib.postgres.indexes.GinIndex(fields=['organisation_ids'], name='audit_organisations', opclasses=['jsonb_path_ops'])],
            },
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('username', models.CharField(error_messages={'unique': 'A user with that username already exists.'}, help_text='Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.', max_length=150, unique=True, validators=[django.contrib.auth.validators.UnicodeUsernameValidator()], verbose_name='username')),
                ('first_name', models.CharField(blank=True, max_length=150, verbose_name='first name')),
                ('last_name', models.CharField(blank=True, max_length=150, verbose_name='last name')),
                ('email', models.EmailField(blank=True, max_length=254, verbose_name='email address')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('display_name', models.CharField(blank=True, max_length=60, verbose_name='姓名')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'verbose_name': 'user',
                'verbose_name_plural': 'users',
                'db_table': 'user_account',
            },
            managers=[
                ('objects', django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name='Organisation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('enterprise', '企业'), ('provider', '资源提供单位'), ('department', '主管部门')], max_length=12)),
                ('name', models.CharField(max_length=120, verbose_name='单位名称')),
                ('name_en', models.CharField(blank=True, max_length=160, verbose_name='英文名称')),
                ('credit_code', models.CharField(max_length=18, unique=True, verbose_name='统一社会信用代码')),
                ('city', models.CharField(max_length=40, verbose_name='所在城市')),
                ('facts', models.JSONField(blank=True, default=dict)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'db_table': 'organisation',
                'ordering': ['name', 'pk'],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['enterprise', 'provider', 'department'])), name='organisation_kind_known'), models.CheckConstraint(condition=models.Q(('credit_code__regex', '^[0-9A-HJ-NP-RT-UW-Y]{18}$')), name='organisation_credit_code_shape')],
            },
        ),
        migrations.CreateModel(
            name='CalendarDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('date', models.DateField(unique=True, verbose_name='日期')),
                ('is_working', models.BooleanField(verbose_name='是否工作日')),
                ('works_as', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='按星期几')),
                ('name', models.CharField(blank=True, max_length=60, verbose_name='名称')),
                ('source', models.CharField(max_length=120, verbose_name='依据')),
            ],
            options={
                'db_table': 'calendar_day',
                'ordering': ['date'],
                'constraints': [models.CheckConstraint(condition=models.Q(('source', ''), _negated=True), name='calendar_day_has_source'), models.CheckConstraint(condition=models.Q(('works_as__isnull', True), models.Q(('is_working', True), ('works_as__gte', 1), ('works_as__lte', 7)), _connector='OR'), name='calendar_day_works_as_a_weekday')],
            },
        ),
        migrations.CreateModel(
            name='Member',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='memberships', to=settings.AUTH_USER_MODEL)),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='members', to='portal.organisation')),
                ('roles', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=24), default=list, size=None)),
                ('joined_at', models.DateTimeField(auto_now_add=True)),
                ('left_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'db_table': 'member',
                'constraints': [models.UniqueConstraint(condition=models.Q(('left_at__isnull', True)), fields=('user', 'organisation'), name='member_once')],
            },
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tokens', to='portal.organisation')),
                ('name', models.CharField(max_length=60, verbose_name='名称')),
                ('prefix', models.CharField(max_length=12)),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('roles', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=24), default=list, size=None)),
                ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('created_at', models.DateTimeField()),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'db_table': 'api_token',
                'ordering': ['-pk'],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='record',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='28beb8f00308b72e86b88a0ad356d479ec4a46fb', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_f396e', table='audit_record', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='record',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'audit_record is append-only' USING ERRCODE = '42501';", hash='58a1d71ea770ce4aad4d6901aed5789f62f33448', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_f2ec5', table='audit_record', when='BEFORE')),
        ),
    ]
