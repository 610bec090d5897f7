-- What Django's models cannot say: reference tables, composite foreign keys, storage parameters, guards.
-- Applied once by the first migration of the app; later changes are migrations of their own.

-- The rules as data, seeded from chart.py. No Django model on purpose: they belong to the schema, not to the
-- data, and a test run that empties every table must leave them.
CREATE TABLE ledger_account_kind (
    kind  text PRIMARY KEY,
    bound text NOT NULL CHECK (bound IN ('credit', 'debit', 'none'))
);
CREATE TABLE ledger_journal_kind (
    kind       text PRIMARY KEY,
    transfers  boolean NOT NULL,
    holds      boolean NOT NULL,
    resolves   boolean NOT NULL,
    reversible boolean NOT NULL
);
CREATE TABLE ledger_flow (
    journal_kind text NOT NULL REFERENCES ledger_journal_kind,
    debit_kind   text NOT NULL REFERENCES ledger_account_kind,
    credit_kind  text NOT NULL REFERENCES ledger_account_kind,
    PRIMARY KEY (journal_kind, debit_kind, credit_kind)
);

ALTER TABLE ledger_account
    ADD CONSTRAINT ledger_account_kind_known FOREIGN KEY (kind) REFERENCES ledger_account_kind;
ALTER TABLE ledger_journal
    ADD CONSTRAINT ledger_journal_kind_known FOREIGN KEY (kind) REFERENCES ledger_journal_kind;
-- The unit is part of the reference: a posting that mixes units cannot be written.
ALTER TABLE ledger_hold
    ADD CONSTRAINT ledger_hold_debit_unit
        FOREIGN KEY (debit_account_id, unit) REFERENCES ledger_account (id, unit),
    ADD CONSTRAINT ledger_hold_credit_unit
        FOREIGN KEY (credit_account_id, unit) REFERENCES ledger_account (id, unit);
ALTER TABLE ledger_transfer
    ADD CONSTRAINT ledger_transfer_debit_unit
        FOREIGN KEY (debit_account_id, unit) REFERENCES ledger_account (id, unit),
    ADD CONSTRAINT ledger_transfer_credit_unit
        FOREIGN KEY (credit_account_id, unit) REFERENCES ledger_account (id, unit);

-- Hot rows: leave room for in-page updates, and vacuum by count rather than by share of the table.
ALTER TABLE ledger_balance SET (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
ALTER TABLE ledger_hold_open SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- Refuses the statement itself, whatever rows it would touch and whoever runs it. The row triggers that the models
-- declare refuse UPDATE and DELETE too, but django-pgtrigger has a switch that ignores its triggers; this has none.
CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% refuses %: the ledger is corrected by new postings', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_journal
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_hold
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_hold_resolution
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_append_only BEFORE DELETE OR TRUNCATE ON ledger_account
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_append_only BEFORE DELETE OR TRUNCATE ON ledger_balance
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

-- An account never changes, except that an empty one may be closed, once.
CREATE FUNCTION ledger_account_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.closed_at IS NOT NULL OR NEW.closed_at IS NULL
       OR (NEW.id, NEW.kind, NEW.unit, NEW.owner, NEW.programme, NEW.opened_at)
          IS DISTINCT FROM (OLD.id, OLD.kind, OLD.unit, OLD.owner, OLD.programme, OLD.opened_at)
       OR NEW.fiscal_year IS DISTINCT FROM OLD.fiscal_year
       OR NOT EXISTS (SELECT FROM ledger_balance WHERE account_id = OLD.id
                      AND posted_dr = posted_cr AND held_dr = 0 AND held_cr = 0) THEN
        RAISE EXCEPTION 'account % may only be closed, once, and only when empty', OLD.id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_account_only_closes';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_account_guard BEFORE UPDATE ON ledger_account
    FOR EACH ROW EXECUTE FUNCTION ledger_account_guard();

-- Second line behind ledger_post: every transfer and hold follows the allowed flows, stays within one programme
-- and fiscal year, and touches no closed account.
CREATE FUNCTION ledger_flow_guard() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    offender bigint;
BEGIN
    SELECT leg.id INTO offender
    FROM fresh leg
    JOIN ledger_journal j ON j.id = leg.journal_id
    JOIN ledger_account d ON d.id = leg.debit_account_id
    JOIN ledger_account c ON c.id = leg.credit_account_id
    LEFT JOIN ledger_flow f ON (f.journal_kind, f.debit_kind, f.credit_kind) = (j.kind, d.kind, c.kind)
    WHERE f.journal_kind IS NULL
       OR d.programme <> c.programme
       OR d.fiscal_year IS DISTINCT FROM c.fiscal_year
       OR d.closed_at IS NOT NULL OR c.closed_at IS NOT NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% %: this flow is not allowed', TG_TABLE_NAME, offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_flow_allowed';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_flow_guard AFTER INSERT ON ledger_transfer
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION ledger_flow_guard();
CREATE TRIGGER ledger_flow_guard AFTER INSERT ON ledger_hold
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION ledger_flow_guard();

-- A capture stays within its hold and before its deadline; only an overdue hold expires.
CREATE FUNCTION ledger_resolution_guard() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM fresh r
        JOIN ledger_hold h ON h.id = r.hold_id
        JOIN ledger_journal j ON j.id = r.journal_id
        WHERE r.captured_amount > h.amount
           OR (r.outcome = 'captured' AND j.recorded_at >= h.expires_at)
           OR (r.outcome = 'expired' AND (h.expires_at IS NULL OR j.recorded_at < h.expires_at))
    ) THEN
        RAISE EXCEPTION 'a capture must stay within its hold and before its deadline'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_resolution_within_hold';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_resolution_guard AFTER INSERT ON ledger_hold_resolution
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION ledger_resolution_guard();
