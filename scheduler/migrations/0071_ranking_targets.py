"""Keep with each list the balance it was drafted by."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("scheduler", "0070_visit_promised"),
    ]

    operations = [
        migrations.AddField(
            model_name="ranking",
            name="targets",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.RunSQL(
            "UPDATE ranking SET targets = panel.targets FROM panel WHERE panel.id = ranking.panel_id",
            migrations.RunSQL.noop,
        ),
    ]
