-- After the units were seeded: an account counts a unit that exists.
ALTER TABLE ledger_account ADD CONSTRAINT ledger_account_unit_known FOREIGN KEY (unit) REFERENCES ledger_unit;
UPDATE ledger_balance b SET hot = k.hot
FROM ledger_account a JOIN ledger_account_kind k ON k.kind = a.kind WHERE a.id = b.account_id AND b.hot <> k.hot;
