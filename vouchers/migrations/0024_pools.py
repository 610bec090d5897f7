from django.db import migrations, models

YEARS = """
    UPDATE application SET fiscal_year = v.fiscal_year,
           reserved_at = CASE WHEN reserve_hold_id IS NULL THEN NULL ELSE submitted_at END
    FROM programme_version v WHERE v.id = application.version_id
"""


class Migration(migrations.Migration):
    dependencies = [("vouchers", "0023_campaigns")]

    operations = [
        migrations.AddField("application", "reserved_at", models.DateTimeField(null=True, blank=True)),
        migrations.AddField("application", "fiscal_year", models.PositiveIntegerField(null=True)),
        migrations.RunSQL(YEARS, migrations.RunSQL.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.AlterField("application", "fiscal_year", models.PositiveIntegerField()),
    ]
