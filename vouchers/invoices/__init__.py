"""Documents of what was paid: invoices, receipts, credit notes, and requests for official tax invoices (发票)."""
