-- What the hash chain covers. Changing the fields or their order breaks every seal there is. A later version replaces
-- these functions by running this file again in a new migration.

-- One field of a sealed row, preceded by its length: no two different rows read the same.
CREATE OR REPLACE FUNCTION ledger_field(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(octet_length(value)::text || ':' || value || ',', '-,');

-- An instant as whole microseconds since 1970, whatever the session's time zone.
CREATE OR REPLACE FUNCTION ledger_instant(value timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN (extract(epoch FROM value) * 1000000)::bigint::text;

-- What an account is for: a row's hash names it by that, not only by number.
CREATE OR REPLACE FUNCTION ledger_named(a ledger_account) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ledger_field(a.id::text) || ledger_field(a.kind) || ledger_field(a.owner) || ledger_field(a.programme)
    || ledger_field(a.fiscal_year::text);

-- The hash of every row that belongs to the journals with low <= txid < high. `block` is how many of `uptos` the
-- journal's transaction has reached; `part` is 0 for the journal, 1 for transfers, 2 for holds, 3 for resolutions.
-- Rows count in the order (txid, journal, part, line).
CREATE OR REPLACE FUNCTION ledger_leaves(low xid8, high xid8, uptos xid8[])
RETURNS TABLE (block integer, txid xid8, journal bigint, part integer, line bigint, id bigint, leaf bytea)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH j AS MATERIALIZED (
        SELECT width_bucket(own.txid, uptos) AS block, own.txid, own.id, sha256(convert_to(
            ledger_field('journal') || ledger_field(own.id::text) || ledger_field(own.kind) || ledger_field(own.key)
            || ledger_field(encode(own.fingerprint, 'hex')) || ledger_field(own.actor) || ledger_field(own.approved_by)
            || ledger_field(own.reason) || ledger_field(own.source_type) || ledger_field(own.source_id)
            || ledger_field(ledger_instant(own.effective_at)) || ledger_field(ledger_instant(own.recorded_at))
            || ledger_field(own.reverses_id::text) || ledger_field(own.txid::text), 'UTF8')) AS leaf
        FROM ledger_journal own WHERE own.txid >= low AND own.txid < high
    )
    SELECT j.block, j.txid, j.id, 0, 0::bigint, j.id, j.leaf FROM j
    UNION ALL
    SELECT j.block, j.txid, j.id, 1, t.line_no, t.id, sha256(convert_to(
        ledger_field('transfer') || ledger_field(t.id::text) || ledger_field(t.journal_id::text)
        || ledger_field(t.line_no::text) || ledger_field(t.unit) || ledger_named(d) || ledger_named(c)
        || ledger_field(t.amount::text) || ledger_field(t.hold_id::text) || ledger_field(t.txid::text), 'UTF8'))
    FROM j JOIN ledger_transfer t ON t.journal_id = j.id
    JOIN ledger_account d ON d.id = t.debit_account_id JOIN ledger_account c ON c.id = t.credit_account_id
    UNION ALL
    SELECT j.block, j.txid, j.id, 2, h.line_no, h.id, sha256(convert_to(
        ledger_field('hold') || ledger_field(h.id::text) || ledger_field(h.journal_id::text)
        || ledger_field(h.line_no::text) || ledger_field(h.unit) || ledger_named(d) || ledger_named(c)
        || ledger_field(h.amount::text) || ledger_field(ledger_instant(h.expires_at)), 'UTF8'))
    FROM j JOIN ledger_hold h ON h.journal_id = j.id
    JOIN ledger_account d ON d.id = h.debit_account_id JOIN ledger_account c ON c.id = h.credit_account_id
    UNION ALL
    SELECT j.block, j.txid, j.id, 3, r.hold_id, r.hold_id, sha256(convert_to(
        ledger_field('resolution') || ledger_field(r.hold_id::text) || ledger_field(r.journal_id::text)
        || ledger_field(r.outcome) || ledger_field(r.captured_amount::text), 'UTF8'))
    FROM j JOIN ledger_hold_resolution r ON r.journal_id = j.id
$$;

-- Each block's count of journals, count of rows, digest, and the first eight bytes of each row's hash in order.
CREATE OR REPLACE FUNCTION ledger_digests(low xid8, high xid8, uptos xid8[], with_leaves boolean)
RETURNS TABLE (block integer, journals bigint, row_count bigint, digest bytea, leaves bytea) LANGUAGE sql STABLE AS $$
    SELECT block, count(*) FILTER (WHERE part = 0), count(*),
           sha256(string_agg(leaf, ''::bytea ORDER BY txid, journal, part, line)),
           string_agg(substring(leaf FOR 8), ''::bytea ORDER BY txid, journal, part, line) FILTER (WHERE with_leaves)
    FROM ledger_leaves(low, high, uptos) GROUP BY block ORDER BY block
$$;
