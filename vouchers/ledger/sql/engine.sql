-- Units as data, the heat of kinds, and the guards of seals and closed periods. Applied once, after schema.sql.

CREATE TABLE ledger_unit (
    code  text PRIMARY KEY,
    scale bigint NOT NULL CHECK (scale >= 1)
);
ALTER TABLE ledger_account_kind ADD COLUMN hot boolean NOT NULL DEFAULT false;

CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_seal
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_period
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

-- Second line behind ledger_post: nothing is dated into a period that was closed.
CREATE FUNCTION ledger_period_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM fresh WHERE effective_at < (
            SELECT ends_at FROM ledger_period ORDER BY fiscal_year DESC LIMIT 1)) THEN
        RAISE EXCEPTION 'the period is closed'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_period_open';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_period_guard AFTER INSERT ON ledger_journal
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION ledger_period_guard();
