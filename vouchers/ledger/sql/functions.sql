-- The posting protocol: one call, one round trip, all or nothing. Runs at READ COMMITTED inside the caller's
-- transaction. A refusal is an answer {"error": code, ...} without any effect, so the caller's transaction lives on;
-- constraints and guards stand behind it as the second line. A later version replaces these functions by running this
-- file again in a new migration.

-- The account of that identity, opened when there is none.
CREATE OR REPLACE FUNCTION ledger_open(
    wanted_kind text, wanted_unit text, wanted_owner text, wanted_programme text, wanted_year integer
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found_id bigint;
BEGIN
    SELECT id INTO found_id FROM ledger_account
    WHERE kind = wanted_kind AND unit = wanted_unit AND owner = wanted_owner
      AND programme = wanted_programme AND fiscal_year IS NOT DISTINCT FROM wanted_year;
    IF FOUND THEN
        RETURN found_id;
    END IF;
    INSERT INTO ledger_account (kind, unit, owner, programme, fiscal_year, opened_at)
    VALUES (wanted_kind, wanted_unit, wanted_owner, wanted_programme, wanted_year, clock_timestamp())
    ON CONFLICT ON CONSTRAINT ledger_account_identity DO NOTHING
    RETURNING id INTO found_id;
    IF FOUND THEN
        INSERT INTO ledger_balance (account_id, posted_dr, posted_cr, held_dr, held_cr, bound)
        SELECT found_id, 0, 0, 0, 0, bound FROM ledger_account_kind WHERE kind = wanted_kind;
        RETURN found_id;
    END IF;
    -- Another session opened it between the two statements, and has committed.
    SELECT id INTO STRICT found_id FROM ledger_account
    WHERE kind = wanted_kind AND unit = wanted_unit AND owner = wanted_owner
      AND programme = wanted_programme AND fiscal_year IS NOT DISTINCT FROM wanted_year;
    RETURN found_id;
END $$;

-- The stored answer to a key; NULL when the key is new.
CREATE OR REPLACE FUNCTION ledger_replay(wanted_key text, wanted_print bytea) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    stored ledger_journal%ROWTYPE;
BEGIN
    SELECT * INTO stored FROM ledger_journal WHERE key = wanted_key;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF stored.fingerprint <> wanted_print THEN
        RETURN jsonb_build_object('error', 'mismatch');
    END IF;
    RETURN jsonb_build_object(
        'journal_id', stored.id, 'replayed', true,
        'hold_ids', coalesce((SELECT jsonb_agg(id ORDER BY line_no) FROM ledger_hold WHERE journal_id = stored.id), '[]')
    );
END $$;

-- Post one journal. Request: kind, key, fingerprint (hex), actor, approved_by, reason, source_type, source_id,
-- effective_at, now, reverses, open [{kind, unit, owner, programme, fiscal_year}], transfers [{debit, credit, amount,
-- hold}], holds [{debit, credit, amount, ttl_s}], resolutions [{hold, outcome, captured}]. An account is its id, or
-- -n for the nth of `open`. Answer: {journal_id, hold_ids, replayed} or {error, ...}.
CREATE OR REPLACE FUNCTION ledger_post(request jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    wanted_kind  text := request->>'kind';
    wanted_key   text := request->>'key';
    wanted_print bytea := decode(request->>'fingerprint', 'hex');
    reversed_id  bigint := (request->>'reverses')::bigint;
    rule         ledger_journal_kind%ROWTYPE;
    reversed     ledger_journal%ROWTYPE;
    answer       jsonb;
    opened       bigint[];
    -- Transfers to write, captures included.
    t_debit bigint[]; t_credit bigint[]; t_amount bigint[]; t_hold bigint[];
    -- Holds to write.
    h_debit bigint[]; h_credit bigint[]; h_amount bigint[]; h_ttl bigint[];
    -- Holds to end, and what the table says about them.
    r_hold bigint[]; r_outcome text[]; r_captured bigint[];
    r_debit bigint[]; r_credit bigint[]; r_amount bigint[]; r_deadline timestamptz[];
    -- What all of this does to each account, in account order.
    d_account bigint[]; d_dr bigint[]; d_cr bigint[]; d_held_dr bigint[]; d_held_cr bigint[];
    decided_at   timestamptz;
    new_id       bigint;
    new_holds    jsonb := '[]';
BEGIN
    answer := ledger_replay(wanted_key, wanted_print);
    IF answer IS NOT NULL THEN
        RETURN answer;
    END IF;
    SELECT * INTO rule FROM ledger_journal_kind WHERE kind = wanted_kind;

    -- 1. What is asked, in arrays.
    IF request ? 'open' THEN
        SELECT array_agg(ledger_open(o.kind, o.unit, o.owner, o.programme, o.fiscal_year) ORDER BY o.n) INTO opened
        FROM ROWS FROM (jsonb_to_recordset(request->'open')
            AS (kind text, unit text, owner text, programme text, fiscal_year integer))
            WITH ORDINALITY AS o (kind, unit, owner, programme, fiscal_year, n);
    END IF;
    IF rule.transfers AND request ? 'transfers' THEN
        SELECT array_agg(CASE WHEN t.debit < 0 THEN opened[-t.debit] ELSE t.debit END ORDER BY t.n),
               array_agg(CASE WHEN t.credit < 0 THEN opened[-t.credit] ELSE t.credit END ORDER BY t.n),
               array_agg(t.amount ORDER BY t.n), array_agg(CASE WHEN wanted_kind = 'refund' THEN t.hold END ORDER BY t.n)
        INTO t_debit, t_credit, t_amount, t_hold
        FROM ROWS FROM (jsonb_to_recordset(request->'transfers')
            AS (debit bigint, credit bigint, amount bigint, hold bigint))
            WITH ORDINALITY AS t (debit, credit, amount, hold, n);
    END IF;
    IF rule.holds AND request ? 'holds' THEN
        SELECT array_agg(CASE WHEN h.debit < 0 THEN opened[-h.debit] ELSE h.debit END ORDER BY h.n),
               array_agg(CASE WHEN h.credit < 0 THEN opened[-h.credit] ELSE h.credit END ORDER BY h.n),
               array_agg(h.amount ORDER BY h.n), array_agg(h.ttl_s ORDER BY h.n)
        INTO h_debit, h_credit, h_amount, h_ttl
        FROM ROWS FROM (jsonb_to_recordset(request->'holds')
            AS (debit bigint, credit bigint, amount bigint, ttl_s bigint))
            WITH ORDINALITY AS h (debit, credit, amount, ttl_s, n);
    END IF;
    IF rule.resolves AND request ? 'resolutions' THEN
        SELECT array_agg(r.hold ORDER BY r.n), array_agg(r.outcome ORDER BY r.n),
               array_agg(r.captured ORDER BY r.n),
               array_agg(h.debit_account_id ORDER BY r.n), array_agg(h.credit_account_id ORDER BY r.n),
               array_agg(h.amount ORDER BY r.n), array_agg(h.expires_at ORDER BY r.n),
               coalesce(t_debit, '{}') || coalesce(
                   array_agg(h.debit_account_id ORDER BY r.n) FILTER (WHERE r.outcome = 'captured'), '{}'),
               coalesce(t_credit, '{}') || coalesce(
                   array_agg(h.credit_account_id ORDER BY r.n) FILTER (WHERE r.outcome = 'captured'), '{}'),
               coalesce(t_amount, '{}') || coalesce(
                   array_agg(r.captured ORDER BY r.n) FILTER (WHERE r.outcome = 'captured'), '{}'),
               coalesce(t_hold, '{}') || coalesce(
                   array_agg(r.hold ORDER BY r.n) FILTER (WHERE r.outcome = 'captured'), '{}')
        INTO r_hold, r_outcome, r_captured, r_debit, r_credit, r_amount, r_deadline,
             t_debit, t_credit, t_amount, t_hold
        FROM ROWS FROM (jsonb_to_recordset(request->'resolutions') AS (hold bigint, outcome text, captured bigint))
            WITH ORDINALITY AS r (hold, outcome, captured, n)
        LEFT JOIN ledger_hold h ON h.id = r.hold;
    END IF;
    IF wanted_kind = 'reverse' THEN
        SELECT * INTO reversed FROM ledger_journal WHERE id = reversed_id;
        SELECT array_agg(credit_account_id ORDER BY line_no), array_agg(debit_account_id ORDER BY line_no),
               array_agg(amount ORDER BY line_no), array_agg(NULL::bigint)
        INTO t_debit, t_credit, t_amount, t_hold
        FROM ledger_transfer WHERE journal_id = reversed_id
          AND reversed.kind IN (SELECT kind FROM ledger_journal_kind WHERE reversible);
    END IF;

    -- 2. The effect on each account, and the locks, in account order. FOR NO KEY UPDATE leaves foreign keys alone.
    --    A refund also locks the accounts of the hold it gives back from: two refunds of one hold take turns.
    SELECT array_agg(account ORDER BY account), array_agg(dr ORDER BY account), array_agg(cr ORDER BY account),
           array_agg(held_dr ORDER BY account), array_agg(held_cr ORDER BY account)
    INTO d_account, d_dr, d_cr, d_held_dr, d_held_cr
    FROM (
        SELECT account, sum(dr)::bigint AS dr, sum(cr)::bigint AS cr,
               sum(held_dr)::bigint AS held_dr, sum(held_cr)::bigint AS held_cr
        FROM (
            SELECT unnest(t_debit), unnest(t_amount), 0, 0, 0
            UNION ALL SELECT unnest(t_credit), 0, unnest(t_amount), 0, 0
            UNION ALL SELECT unnest(h_debit), 0, 0, unnest(h_amount), 0
            UNION ALL SELECT unnest(h_credit), 0, 0, 0, unnest(h_amount)
            UNION ALL SELECT unnest(r_debit), 0, 0, -unnest(r_amount), 0
            UNION ALL SELECT unnest(r_credit), 0, 0, 0, -unnest(r_amount)
            UNION ALL SELECT unnest(ARRAY[h.debit_account_id, h.credit_account_id]), 0, 0, 0, 0
                FROM ledger_hold h WHERE wanted_kind = 'refund' AND h.id = ANY (t_hold)
        ) AS change (account, dr, cr, held_dr, held_cr)
        GROUP BY account
    ) AS effect;
    PERFORM FROM ledger_balance WHERE account_id = ANY (d_account) ORDER BY account_id FOR NO KEY UPDATE;
    decided_at := coalesce((request->>'now')::timestamptz, clock_timestamp());

    -- 3. May it be? Nothing has been written yet. Every statement below sees what was committed before the locks.
    answer := ledger_refusal(
        rule, wanted_kind, reversed_id, decided_at, t_debit, t_credit, t_amount, t_hold, h_debit, h_credit, h_amount,
        r_hold, r_outcome, r_captured, r_amount, r_deadline, d_account, d_dr, d_cr, d_held_dr, d_held_cr
    );
    IF answer IS NOT NULL THEN
        -- A twin with the same key may have finished while this one waited: then its answer is ours.
        RETURN coalesce(ledger_replay(wanted_key, wanted_print), answer);
    END IF;

    -- 4. Write.
    INSERT INTO ledger_journal (kind, key, fingerprint, actor, approved_by, reason, source_type, source_id,
                                effective_at, recorded_at, reverses_id)
    VALUES (wanted_kind, wanted_key, wanted_print, request->>'actor', coalesce(request->>'approved_by', ''),
            coalesce(request->>'reason', ''), request->>'source_type', request->>'source_id',
            coalesce((request->>'effective_at')::timestamptz, decided_at), decided_at, reversed_id)
    ON CONFLICT (key) DO NOTHING
    RETURNING id INTO new_id;
    IF new_id IS NULL THEN
        RETURN ledger_replay(wanted_key, wanted_print);
    END IF;
    UPDATE ledger_balance b
    SET posted_dr = b.posted_dr + d.dr, posted_cr = b.posted_cr + d.cr,
        held_dr = b.held_dr + d.held_dr, held_cr = b.held_cr + d.held_cr
    FROM unnest(d_account, d_dr, d_cr, d_held_dr, d_held_cr) AS d (account, dr, cr, held_dr, held_cr)
    WHERE b.account_id = d.account;
    INSERT INTO ledger_transfer (journal_id, line_no, unit, debit_account_id, credit_account_id, amount, hold_id)
    SELECT new_id, t.n, a.unit, t.debit, t.credit, t.amount, t.hold
    FROM unnest(t_debit, t_credit, t_amount, t_hold) WITH ORDINALITY AS t (debit, credit, amount, hold, n)
    JOIN ledger_account a ON a.id = t.debit
    ORDER BY t.n;
    IF h_debit IS NOT NULL THEN
        WITH made AS (
            INSERT INTO ledger_hold (journal_id, line_no, unit, debit_account_id, credit_account_id, amount, expires_at)
            SELECT new_id, h.n, a.unit, h.debit, h.credit, h.amount, decided_at + make_interval(secs => h.ttl)
            FROM unnest(h_debit, h_credit, h_amount, h_ttl) WITH ORDINALITY AS h (debit, credit, amount, ttl, n)
            JOIN ledger_account a ON a.id = h.debit
            ORDER BY h.n
            RETURNING id, line_no, expires_at
        ), queued AS (
            INSERT INTO ledger_hold_open (hold_id, expires_at) SELECT id, expires_at FROM made
        )
        SELECT jsonb_agg(id ORDER BY line_no) INTO new_holds FROM made;
    END IF;
    IF r_hold IS NOT NULL THEN
        INSERT INTO ledger_hold_resolution (hold_id, journal_id, outcome, captured_amount)
        SELECT r.hold, new_id, r.outcome, r.captured
        FROM unnest(r_hold, r_outcome, r_captured) AS r (hold, outcome, captured);
        DELETE FROM ledger_hold_open WHERE hold_id = ANY (r_hold);
    END IF;
    RETURN jsonb_build_object('journal_id', new_id, 'replayed', false, 'hold_ids', new_holds);
END $$;

-- The first ground on which a posting is refused, or NULL. Order: shape, holds, flows, refunds, balances.
CREATE OR REPLACE FUNCTION ledger_refusal(
    rule ledger_journal_kind, wanted_kind text, reversed_id bigint, decided_at timestamptz,
    t_debit bigint[], t_credit bigint[], t_amount bigint[], t_hold bigint[],
    h_debit bigint[], h_credit bigint[], h_amount bigint[],
    r_hold bigint[], r_outcome text[], r_captured bigint[], r_amount bigint[], r_deadline timestamptz[],
    d_account bigint[], d_dr bigint[], d_cr bigint[], d_held_dr bigint[], d_held_cr bigint[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    answer jsonb;
BEGIN
    IF rule.kind IS NULL THEN
        RETURN jsonb_build_object('error', 'bad_request', 'what', 'kind');
    END IF;
    IF wanted_kind = 'reverse' AND EXISTS (SELECT FROM ledger_journal WHERE reverses_id = reversed_id) THEN
        RETURN jsonb_build_object('error', 'reversed');
    END IF;
    IF d_account IS NULL OR array_position(d_account, NULL) IS NOT NULL
       OR array_position(t_amount, NULL) IS NOT NULL OR array_position(h_amount, NULL) IS NOT NULL
       OR 0 >= ANY (t_amount) OR 0 >= ANY (h_amount) THEN
        RETURN jsonb_build_object('error', 'bad_request', 'what', 'operations');
    END IF;

    IF r_hold IS NOT NULL THEN
        SELECT jsonb_build_object('error', bad.error, 'hold', bad.hold)
               || CASE WHEN bad.error = 'exceeds_hold'
                       THEN jsonb_build_object('available_fen', bad.amount, 'needed_fen', bad.captured) ELSE '{}' END
        INTO answer
        FROM (
            SELECT r.hold, r.n, r.amount, r.captured,
                   CASE WHEN e.hold_id IS NOT NULL OR r.again THEN 'resolved'
                        WHEN r.outcome = 'captured' AND decided_at >= r.deadline THEN 'expired'
                        WHEN r.outcome = 'captured' AND r.captured > r.amount THEN 'exceeds_hold'
                        WHEN r.outcome = 'expired' AND decided_at < coalesce(r.deadline, 'infinity') THEN 'bad_request'
                   END AS error
            FROM (
                SELECT *, count(*) OVER (PARTITION BY hold) > 1 AS again
                FROM unnest(r_hold, r_outcome, r_captured, r_amount, r_deadline)
                    WITH ORDINALITY AS u (hold, outcome, captured, amount, deadline, n)
            ) AS r
            LEFT JOIN ledger_hold_resolution e ON e.hold_id = r.hold
        ) AS bad
        WHERE bad.error IS NOT NULL
        ORDER BY bad.n LIMIT 1;
        IF FOUND THEN
            RETURN answer;
        END IF;
    END IF;

    SELECT jsonb_build_object('error', bad.error, 'debit', bad.debit, 'credit', bad.credit) INTO answer
    FROM (
        SELECT leg.debit, leg.credit,
               CASE WHEN d.id IS NULL OR c.id IS NULL OR d.unit <> c.unit THEN 'bad_request'
                    WHEN d.closed_at IS NOT NULL OR c.closed_at IS NOT NULL THEN 'closed'
                    WHEN f.journal_kind IS NULL OR d.programme <> c.programme
                         OR d.fiscal_year IS DISTINCT FROM c.fiscal_year THEN 'flow_not_allowed'
               END AS error
        FROM (
            SELECT unnest(t_debit), unnest(t_credit) UNION ALL SELECT unnest(h_debit), unnest(h_credit)
        ) AS leg (debit, credit)
        LEFT JOIN ledger_account d ON d.id = leg.debit
        LEFT JOIN ledger_account c ON c.id = leg.credit
        LEFT JOIN ledger_flow f ON (f.journal_kind, f.debit_kind, f.credit_kind) = (wanted_kind, d.kind, c.kind)
    ) AS bad
    WHERE bad.error IS NOT NULL LIMIT 1;
    IF FOUND THEN
        RETURN answer;
    END IF;

    IF wanted_kind = 'refund' THEN
        SELECT jsonb_build_object('error', bad.error, 'hold', bad.hold)
               || CASE WHEN bad.error = 'exceeds_capture'
                       THEN jsonb_build_object('available_fen', bad.available, 'needed_fen', bad.needed) ELSE '{}' END
        INTO answer
        FROM (
            SELECT asked.hold, asked.needed, coalesce(e.captured_amount, 0) - coalesce((
                       SELECT sum(t.amount) FROM ledger_transfer t JOIN ledger_journal j ON j.id = t.journal_id
                       WHERE t.hold_id = asked.hold AND j.kind = 'refund'), 0)::bigint AS available,
                   CASE WHEN asked.astray THEN 'bad_request' ELSE 'exceeds_capture' END AS error, asked.astray
            FROM (
                -- Back to the very account it came from, or to `expired`; from the account it went to, or, when
                -- that was paid out already, from what the provider owes.
                SELECT t.hold, sum(t.amount)::bigint AS needed,
                       bool_or(h.id IS NULL
                               OR (t.credit <> h.debit_account_id AND c.kind <> 'expired')
                               OR (t.debit <> h.credit_account_id AND d.kind <> 'receivable_provider')) AS astray
                FROM unnest(t_debit, t_credit, t_amount, t_hold) AS t (debit, credit, amount, hold)
                JOIN ledger_account d ON d.id = t.debit
                JOIN ledger_account c ON c.id = t.credit
                LEFT JOIN ledger_hold h ON h.id = t.hold
                GROUP BY t.hold
            ) AS asked
            LEFT JOIN ledger_hold_resolution e ON e.hold_id = asked.hold
        ) AS bad
        WHERE bad.astray OR bad.needed > bad.available
        ORDER BY bad.hold LIMIT 1;
        IF FOUND THEN
            RETURN answer;
        END IF;
    END IF;

    SELECT jsonb_build_object('error', 'insufficient', 'account', bad.account,
                              'available_fen', bad.available, 'needed_fen', bad.needed) INTO answer
    FROM (
        SELECT b.account_id AS account,
               CASE b.bound WHEN 'credit' THEN b.posted_cr - b.posted_dr - b.held_dr
                            WHEN 'debit' THEN b.posted_dr - b.posted_cr - b.held_cr END AS available,
               CASE b.bound WHEN 'credit' THEN d.dr + d.held_dr - d.cr
                            WHEN 'debit' THEN d.cr + d.held_cr - d.dr END AS needed
        FROM unnest(d_account, d_dr, d_cr, d_held_dr, d_held_cr) AS d (account, dr, cr, held_dr, held_cr)
        JOIN ledger_balance b ON b.account_id = d.account
        WHERE b.bound <> 'none'
    ) AS bad
    WHERE bad.needed > bad.available
    ORDER BY bad.account LIMIT 1;
    RETURN answer;
END $$;
