from django.db import migrations

from vouchers.ledger.install import functions_sql


class Migration(migrations.Migration):

    dependencies = [
        ('vouchers', '0017_payments_paid_back'),
    ]

    operations = [
        migrations.RunSQL(functions_sql(), reverse_sql=migrations.RunSQL.noop),
    ]
