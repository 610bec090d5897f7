"""Tell free time around holds that have ended before anybody releases them: ``free_gap_ended``."""

from django.db import migrations

from scheduler.availability.install import occupancy_sql


class Migration(migrations.Migration):

    dependencies = [
        ("scheduler", "0035_kept_share"),
    ]

    operations = [
        migrations.RunSQL(occupancy_sql(), migrations.RunSQL.noop),
    ]
