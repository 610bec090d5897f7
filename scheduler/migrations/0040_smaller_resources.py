"""Record what was used of a resource that has become smaller since: its claims take no more than they had."""

from django.db import migrations

from scheduler.availability.install import occupancy_sql


class Migration(migrations.Migration):

    dependencies = [
        ("scheduler", "0039_engagement_messages"),
    ]

    operations = [
        migrations.RunSQL(occupancy_sql(), migrations.RunSQL.noop),
    ]
