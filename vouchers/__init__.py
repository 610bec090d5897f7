"""What is granted, owed and paid: programmes, vouchers, ledger, charges, payments, settlements."""
