from django.db import migrations

from vouchers.ledger.install import sync_engine


class Migration(migrations.Migration):
    """An advance may go over to the charge that takes its charge's place."""

    dependencies = [("vouchers", "0034_reconciliation")]

    operations = [migrations.RunPython(sync_engine, migrations.RunPython.noop)]
