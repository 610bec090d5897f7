-- The posting protocol: one call, one round trip, all or nothing. Runs at READ COMMITTED inside the caller's
-- transaction. A refusal is an answer {"error": code, ...} without any effect, so the caller's transaction lives on;
-- constraints and guards stand behind it as the second line. A later version replaces these functions by running this
-- file again in a new migration.
--
-- Plans: every statement here finds a few rows by key, so one plan per session is right whatever the parameters, and
-- must be the index even while the tables are young and their statistics say they are empty. Holds and resolutions are
-- looked up one by one (LATERAL … OFFSET 0): a join planned while there were few reads all of them for ever after.
-- Nothing here is worth compiling, which an unavoidable sequential scan would otherwise look like.

-- The account of that identity, opened when there is none.
CREATE OR REPLACE FUNCTION ledger_open(
    wanted_kind text, wanted_unit text, wanted_owner text, wanted_programme text, wanted_year integer
) RETURNS bigint LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
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
        INSERT INTO ledger_balance (account_id, posted_dr, posted_cr, held_dr, held_cr, bound, hot)
        SELECT found_id, 0, 0, 0, 0, bound, hot FROM ledger_account_kind WHERE kind = wanted_kind;
        RETURN found_id;
    END IF;
    -- Another session opened it between the two statements, and has committed.
    SELECT id INTO STRICT found_id FROM ledger_account
    WHERE kind = wanted_kind AND unit = wanted_unit AND owner = wanted_owner
      AND programme = wanted_programme AND fiscal_year IS NOT DISTINCT FROM wanted_year;
    RETURN found_id;
END $$;

-- The accounts of those identities, in order, opened where there are none: two statements, however many they are.
CREATE OR REPLACE FUNCTION ledger_open_all(
    kinds text[], units text[], owners text[], programmes text[], years integer[]
) RETURNS bigint[] LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    found_ids bigint[];
BEGIN
    WITH made AS (
        INSERT INTO ledger_account (kind, unit, owner, programme, fiscal_year, opened_at)
        SELECT wanted.*, clock_timestamp()
        FROM (SELECT DISTINCT * FROM unnest(kinds, units, owners, programmes, years)
              AS u (kind, unit, owner, programme, fiscal_year) ORDER BY 1, 2, 3, 4, 5) AS wanted
        ON CONFLICT ON CONSTRAINT ledger_account_identity DO NOTHING
        RETURNING id, kind
    )
    INSERT INTO ledger_balance (account_id, posted_dr, posted_cr, held_dr, held_cr, bound, hot)
    SELECT made.id, 0, 0, 0, 0, k.bound, k.hot FROM made JOIN ledger_account_kind k ON k.kind = made.kind;
    SELECT coalesce(array_agg(a.id ORDER BY wanted.n), '{}') INTO found_ids
    FROM unnest(kinds, units, owners, programmes, years) WITH ORDINALITY
        AS wanted (kind, unit, owner, programme, fiscal_year, n)
    JOIN LATERAL (
        SELECT id FROM ledger_account
        WHERE kind = wanted.kind AND unit = wanted.unit AND owner = wanted.owner AND programme = wanted.programme
          AND fiscal_year IS NOT DISTINCT FROM wanted.fiscal_year OFFSET 0
    ) AS a ON true;
    RETURN found_ids;
END $$;

-- The stored answer to a key, a refusal among them; NULL when the key is new.
CREATE OR REPLACE FUNCTION ledger_replay(wanted_key text, wanted_print bytea) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    stored record;
BEGIN
    SELECT id, fingerprint, NULL::jsonb AS answer INTO stored FROM ledger_journal WHERE key = wanted_key;
    IF NOT FOUND THEN
        SELECT NULL::bigint AS id, fingerprint, answer INTO stored FROM ledger_refusal WHERE key = wanted_key;
    END IF;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF stored.fingerprint <> wanted_print THEN
        RETURN jsonb_build_object('error', 'mismatch');
    END IF;
    IF stored.answer IS NOT NULL THEN
        RETURN stored.answer;
    END IF;
    RETURN jsonb_build_object(
        'journal_id', stored.id, 'replayed', true,
        'hold_ids', coalesce((SELECT jsonb_agg(id ORDER BY line_no) FROM ledger_hold WHERE journal_id = stored.id), '[]')
    );
END $$;

-- Why holds may not end as asked, or NULL: each ends once, is captured within its amount and before its deadline, and
-- expires only after it.
CREATE OR REPLACE FUNCTION ledger_refuse_resolutions(
    decided_at timestamptz, r_hold bigint[], r_outcome text[], r_captured bigint[], r_amount bigint[],
    r_deadline timestamptz[]
) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    answer jsonb;
BEGIN
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
        LEFT JOIN LATERAL (SELECT hold_id FROM ledger_hold_resolution WHERE hold_id = r.hold OFFSET 0) AS e ON true
    ) AS bad
    WHERE bad.error IS NOT NULL
    ORDER BY bad.n LIMIT 1;
    RETURN answer;
END $$;

-- Why refunds may not be made as asked, or NULL: each gives back from one captured hold, at most what is left of the
-- capture, to the account it came from or to `expired`, out of the account it went to or, when that was paid out
-- already, out of what that provider or claimant owes.
CREATE OR REPLACE FUNCTION ledger_refuse_refunds(
    t_debit bigint[], t_credit bigint[], t_amount bigint[], t_hold bigint[]
) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    answer jsonb;
BEGIN
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
            SELECT t.hold, sum(t.amount)::bigint AS needed,
                   bool_or(h.id IS NULL
                           OR (t.credit <> h.debit_account_id AND c.kind <> 'expired')
                           OR (t.debit <> h.credit_account_id AND d.kind <> CASE owed.kind
                                   WHEN 'claimant_payable' THEN 'receivable_enterprise' ELSE 'receivable_provider' END)
                          ) AS astray
            FROM unnest(t_debit, t_credit, t_amount, t_hold) AS t (debit, credit, amount, hold)
            JOIN ledger_account d ON d.id = t.debit
            JOIN ledger_account c ON c.id = t.credit
            LEFT JOIN LATERAL (SELECT * FROM ledger_hold WHERE id = t.hold OFFSET 0) AS h ON true
            LEFT JOIN ledger_account owed ON owed.id = h.credit_account_id
            GROUP BY t.hold
        ) AS asked
        LEFT JOIN LATERAL (
            SELECT captured_amount FROM ledger_hold_resolution WHERE hold_id = asked.hold OFFSET 0) AS e ON true
    ) AS bad
    WHERE bad.astray OR bad.needed > bad.available
    ORDER BY bad.hold LIMIT 1;
    RETURN answer;
END $$;

-- A journal of one operation between two accounts, which most are: the same rules as in ledger_post, without arrays. The
-- walk runs both. Gives the answer, or a refusal without any effect.
CREATE OR REPLACE FUNCTION ledger_post_one(
    request jsonb, wanted_kind text, wanted_key text, wanted_print bytea, closed_until timestamptz, shape text,
    opened bigint[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    op         jsonb := request->shape->0;
    debit_id   bigint := (op->>'debit')::bigint;
    credit_id  bigint := (op->>'credit')::bigint;
    amount     bigint := (op->>'amount')::bigint;
    ending     text;
    ended      ledger_hold%ROWTYPE;
    -- What it posts on both accounts, and how what is held on both changes.
    moved      bigint := 0;
    held       bigint := 0;
    side       record;
    leg_unit   text;
    leg_error  text;
    overdrawn  jsonb;
    decided_at timestamptz;
    effective  timestamptz;
    new_id     bigint;
    new_hold   bigint;
BEGIN
    IF shape = 'resolutions' THEN
        ending := op->>'outcome';
        SELECT * INTO ended FROM ledger_hold WHERE id = (op->>'hold')::bigint;
        debit_id := ended.debit_account_id;
        credit_id := ended.credit_account_id;
        amount := CASE ending WHEN 'captured' THEN (op->>'captured')::bigint ELSE ended.amount END;
        moved := CASE ending WHEN 'captured' THEN amount ELSE 0 END;
        held := -ended.amount;
    ELSE
        debit_id := CASE WHEN debit_id < 0 THEN opened[-debit_id] ELSE debit_id END;
        credit_id := CASE WHEN credit_id < 0 THEN opened[-credit_id] ELSE credit_id END;
        moved := CASE shape WHEN 'transfers' THEN amount ELSE 0 END;
        held := CASE shape WHEN 'holds' THEN amount ELSE 0 END;
    END IF;
    IF debit_id IS NULL OR credit_id IS NULL OR amount IS NULL OR amount <= 0 THEN
        RETURN '{"error": "bad_request"}';
    END IF;

    FOR side IN
        SELECT account_id, CASE WHEN account_id = debit_id AND bound = 'credit' THEN posted_cr - posted_dr - held_dr
                                WHEN account_id = credit_id AND bound = 'debit' THEN posted_dr - posted_cr - held_cr
                           END AS available
        FROM ledger_balance WHERE account_id IN (debit_id, credit_id) ORDER BY hot, account_id FOR NO KEY UPDATE
    LOOP
        IF moved + held > side.available AND (overdrawn IS NULL OR side.account_id < (overdrawn->>'account')::bigint) THEN
            overdrawn := jsonb_build_object('error', 'insufficient', 'account', side.account_id,
                                            'available_fen', side.available, 'needed_fen', moved + held);
        END IF;
    END LOOP;
    decided_at := coalesce((request->>'now')::timestamptz, clock_timestamp());
    effective := coalesce((request->>'effective_at')::timestamptz, decided_at);

    IF effective < closed_until THEN
        RETURN '{"error": "period_closed"}';
    END IF;
    IF ending IS NOT NULL THEN
        IF EXISTS (SELECT FROM ledger_hold_resolution WHERE hold_id = ended.id) THEN
            RETURN jsonb_build_object('error', 'resolved', 'hold', ended.id);
        ELSIF ending = 'captured' AND decided_at >= ended.expires_at THEN
            RETURN jsonb_build_object('error', 'expired', 'hold', ended.id);
        ELSIF moved > ended.amount THEN
            RETURN jsonb_build_object('error', 'exceeds_hold', 'hold', ended.id, 'unit', ended.unit,
                                      'available_fen', ended.amount, 'needed_fen', moved);
        ELSIF ending = 'expired' AND decided_at < coalesce(ended.expires_at, 'infinity') THEN
            RETURN jsonb_build_object('error', 'bad_request', 'hold', ended.id);
        END IF;
    END IF;
    IF ending IS NULL OR moved > 0 THEN
        SELECT d.unit, CASE WHEN d.id IS NULL OR c.id IS NULL OR d.unit <> c.unit THEN 'bad_request'
                            WHEN d.closed_at IS NOT NULL OR c.closed_at IS NOT NULL THEN 'closed'
                            WHEN f.journal_kind IS NULL OR d.programme <> c.programme
                                 OR d.fiscal_year IS DISTINCT FROM c.fiscal_year THEN 'flow_not_allowed'
                       END INTO leg_unit, leg_error
        FROM (VALUES (debit_id, credit_id)) AS asked (debit, credit)
        LEFT JOIN ledger_account d ON d.id = asked.debit
        LEFT JOIN ledger_account c ON c.id = asked.credit
        LEFT JOIN ledger_flow f ON f.journal_kind = wanted_kind AND f.debit_kind = d.kind AND f.credit_kind = c.kind;
        IF leg_error IS NOT NULL THEN
            RETURN jsonb_build_object('error', leg_error, 'debit', debit_id, 'credit', credit_id);
        END IF;
    END IF;
    IF overdrawn IS NOT NULL THEN
        RETURN overdrawn || jsonb_build_object('unit', leg_unit);
    END IF;

    INSERT INTO ledger_journal (kind, key, fingerprint, actor, approved_by, reason, source_type, source_id,
                                effective_at, recorded_at)
    VALUES (wanted_kind, wanted_key, wanted_print, request->>'actor', coalesce(request->>'approved_by', ''),
            coalesce(request->>'reason', ''), request->>'source_type', request->>'source_id', effective, decided_at)
    RETURNING id INTO new_id;
    UPDATE ledger_balance
    SET posted_dr = posted_dr + CASE account_id WHEN debit_id THEN moved ELSE 0 END,
        posted_cr = posted_cr + CASE account_id WHEN credit_id THEN moved ELSE 0 END,
        held_dr = held_dr + CASE account_id WHEN debit_id THEN held ELSE 0 END,
        held_cr = held_cr + CASE account_id WHEN credit_id THEN held ELSE 0 END
    WHERE account_id IN (debit_id, credit_id);
    IF moved > 0 THEN
        INSERT INTO ledger_transfer (journal_id, line_no, unit, debit_account_id, credit_account_id, amount, hold_id)
        VALUES (new_id, 1, leg_unit, debit_id, credit_id, moved, ended.id);
    END IF;
    IF shape = 'holds' THEN
        INSERT INTO ledger_hold (journal_id, line_no, unit, debit_account_id, credit_account_id, amount, expires_at)
        VALUES (new_id, 1, leg_unit, debit_id, credit_id, held,
                decided_at + make_interval(secs => (op->>'ttl_s')::bigint))
        RETURNING id INTO new_hold;
        INSERT INTO ledger_hold_open (hold_id, expires_at)
        VALUES (new_hold, decided_at + make_interval(secs => (op->>'ttl_s')::bigint));
    ELSIF ending IS NOT NULL THEN
        INSERT INTO ledger_hold_resolution (hold_id, journal_id, outcome, captured_amount)
        VALUES (ended.id, new_id, ending, moved);
        DELETE FROM ledger_hold_open WHERE hold_id = ended.id;
    END IF;
    RETURN jsonb_build_object('journal_id', new_id, 'replayed', false, 'hold_ids',
                              CASE WHEN new_hold IS NULL THEN '[]'::jsonb ELSE jsonb_build_array(new_hold) END);
END $$;

-- What came of a posting: a refusal that must stick is stored under its key, in the caller's transaction. Mistakes of the
-- program (bad_request, flow_not_allowed) are not: a mended program may send the key again.
CREATE OR REPLACE FUNCTION ledger_remember(wanted_key text, wanted_print bytea, answer jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    IF answer->>'error' NOT IN ('bad_request', 'flow_not_allowed', 'mismatch') THEN
        INSERT INTO ledger_refusal (key, fingerprint, answer, refused_at)
        VALUES (wanted_key, wanted_print, answer, clock_timestamp()) ON CONFLICT (key) DO NOTHING;
    END IF;
    RETURN answer;
END $$;

-- Post one journal. Request: kind, key, fingerprint (hex), actor, approved_by, reason, source_type, source_id,
-- effective_at, now, reverses, open [{kind, unit, owner, programme, fiscal_year}], transfers [{debit, credit, amount,
-- hold}], holds [{debit, credit, amount, ttl_s}], resolutions [{hold, outcome, captured}]. An account is its id, or
-- -n for the nth of `open`. Answer: {journal_id, hold_ids, replayed} or {error, ...}.
CREATE OR REPLACE FUNCTION ledger_post(request jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off SET lock_timeout = '2s' AS $$
DECLARE
    wanted_kind  text := request->>'kind';
    wanted_key   text := request->>'key';
    wanted_print bytea := decode(request->>'fingerprint', 'hex');
    reversed_id  bigint := (request->>'reverses')::bigint;
    rule         record;
    answer       jsonb;
    opened       bigint[];
    -- Where the one operation is, of a journal that has only one and is neither a refund nor a reversal.
    shape        text;
    -- Transfers to write, captures included.
    t_debit bigint[]; t_credit bigint[]; t_amount bigint[]; t_hold bigint[];
    -- Holds to write.
    h_debit bigint[]; h_credit bigint[]; h_amount bigint[]; h_ttl bigint[];
    -- Holds to end, and what the table says about them.
    r_hold bigint[]; r_outcome text[]; r_captured bigint[];
    r_debit bigint[]; r_credit bigint[]; r_amount bigint[]; r_deadline timestamptz[];
    -- What all of this does to each account, in account order.
    d_account bigint[]; d_dr bigint[]; d_cr bigint[]; d_held_dr bigint[]; d_held_cr bigint[];
    -- Accounts to lock only; how many transfers, holds and resolutions there are; the first overdrawn account.
    w_account bigint[]; t_n integer; h_n integer; r_n integer; overdrawn jsonb;
    decided_at   timestamptz;
    new_id       bigint;
    new_holds    jsonb := '[]';
BEGIN
    -- Postings share this lock, the closing of a year takes it alone: none slips into a year being closed.
    PERFORM pg_advisory_xact_lock_shared(7151, 1);
    -- Twins with one key take turns, so that the second sees what came of the first, a refusal too.
    PERFORM pg_advisory_xact_lock(7152, hashtext(wanted_key));
    SELECT k.*, EXISTS (SELECT FROM ledger_journal WHERE key = wanted_key)
                OR EXISTS (SELECT FROM ledger_refusal WHERE key = wanted_key) AS known,
           (SELECT ends_at FROM ledger_period ORDER BY fiscal_year DESC LIMIT 1) AS closed_until INTO rule
    FROM (VALUES (1)) AS once LEFT JOIN ledger_journal_kind k ON k.kind = wanted_kind;
    IF rule.known THEN
        RETURN ledger_replay(wanted_key, wanted_print);
    END IF;

    -- 1. What is asked, in arrays.
    IF request ? 'open' THEN
        SELECT ledger_open_all(array_agg(o.kind ORDER BY o.n), array_agg(o.unit ORDER BY o.n),
                               array_agg(o.owner ORDER BY o.n), array_agg(o.programme ORDER BY o.n),
                               array_agg(o.fiscal_year ORDER BY o.n)) INTO opened
        FROM ROWS FROM (jsonb_to_recordset(request->'open')
            AS (kind text, unit text, owner text, programme text, fiscal_year integer))
            WITH ORDINALITY AS o (kind, unit, owner, programme, fiscal_year, n);
    END IF;
    IF wanted_kind NOT IN ('refund', 'reverse') AND reversed_id IS NULL THEN
        shape := CASE
            WHEN jsonb_array_length(coalesce(request->'transfers', '[]')) + jsonb_array_length(
                coalesce(request->'holds', '[]')) + jsonb_array_length(coalesce(request->'resolutions', '[]')) <> 1 THEN NULL
            WHEN rule.transfers AND request ? 'transfers' THEN 'transfers'
            WHEN rule.holds AND request ? 'holds' THEN 'holds'
            WHEN rule.resolves AND request ? 'resolutions' THEN 'resolutions'
        END;
    END IF;
    IF shape IS NOT NULL THEN
        answer := ledger_post_one(request, wanted_kind, wanted_key, wanted_print, rule.closed_until, shape, opened);
        RETURN CASE WHEN answer ? 'error' THEN ledger_remember(wanted_key, wanted_print, answer) ELSE answer END;
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
        LEFT JOIN LATERAL (SELECT * FROM ledger_hold WHERE id = r.hold OFFSET 0) AS h ON true;
    END IF;
    IF wanted_kind = 'reverse' THEN
        SELECT array_agg(credit_account_id ORDER BY line_no), array_agg(debit_account_id ORDER BY line_no),
               array_agg(amount ORDER BY line_no), array_agg(NULL::bigint)
        INTO t_debit, t_credit, t_amount, t_hold
        FROM ledger_transfer WHERE journal_id = reversed_id AND EXISTS (
            SELECT FROM ledger_journal j JOIN ledger_journal_kind k ON k.kind = j.kind
            WHERE j.id = reversed_id AND k.reversible);
    END IF;

    -- 2. The effect on each account. A refund also counts the accounts of the hold it gives back from, with nothing:
    --    they are locked too, so that two refunds of one hold take turns.
    IF wanted_kind = 'refund' THEN
        SELECT array_agg(debit_account_id) || array_agg(credit_account_id) INTO w_account
        FROM ledger_hold WHERE id = ANY (t_hold);
    END IF;
    t_n := coalesce(cardinality(t_debit), 0);
    h_n := coalesce(cardinality(h_debit), 0);
    r_n := coalesce(cardinality(r_debit), 0);
    SELECT array_agg(account ORDER BY account), array_agg(dr ORDER BY account), array_agg(cr ORDER BY account),
           array_agg(held_dr ORDER BY account), array_agg(held_cr ORDER BY account)
    INTO d_account, d_dr, d_cr, d_held_dr, d_held_cr
    FROM (
        SELECT account, coalesce(sum(amount) FILTER (WHERE side = 'dr'), 0)::bigint AS dr,
               coalesce(sum(amount) FILTER (WHERE side = 'cr'), 0)::bigint AS cr,
               coalesce(sum(amount) FILTER (WHERE side = 'hold dr'), 0)::bigint
                   - coalesce(sum(amount) FILTER (WHERE side = 'free dr'), 0)::bigint AS held_dr,
               coalesce(sum(amount) FILTER (WHERE side = 'hold cr'), 0)::bigint
                   - coalesce(sum(amount) FILTER (WHERE side = 'free cr'), 0)::bigint AS held_cr
        FROM unnest(
            t_debit || t_credit || h_debit || h_credit || r_debit || r_credit || w_account,
            array_fill('dr'::text, ARRAY[t_n]) || array_fill('cr'::text, ARRAY[t_n])
                || array_fill('hold dr'::text, ARRAY[h_n]) || array_fill('hold cr'::text, ARRAY[h_n])
                || array_fill('free dr'::text, ARRAY[r_n]) || array_fill('free cr'::text, ARRAY[r_n]),
            t_amount || t_amount || h_amount || h_amount || r_amount || r_amount
        ) AS change (account, side, amount)
        GROUP BY account
    ) AS effect;

    -- 3. Lock, in account order but the hot ones last, and see what would be overdrawn. FOR NO KEY UPDATE leaves foreign
    --    keys alone. Every later statement sees what was committed before the locks were granted.
    WITH locked AS MATERIALIZED (
        SELECT account_id, bound, posted_cr - posted_dr - held_dr AS credit_left,
               posted_dr - posted_cr - held_cr AS debit_left
        FROM ledger_balance WHERE account_id = ANY (d_account) ORDER BY hot, account_id FOR NO KEY UPDATE
    )
    SELECT jsonb_agg(jsonb_build_object('error', 'insufficient', 'account', account,
                                        'available_fen', available, 'needed_fen', needed) ORDER BY account)
               FILTER (WHERE needed > available) -> 0
    INTO overdrawn
    FROM (
        SELECT account, CASE bound WHEN 'credit' THEN credit_left WHEN 'debit' THEN debit_left END AS available,
               CASE bound WHEN 'credit' THEN dr + held_dr - cr WHEN 'debit' THEN cr + held_cr - dr END AS needed
        FROM unnest(d_account, d_dr, d_cr, d_held_dr, d_held_cr) AS d (account, dr, cr, held_dr, held_cr)
        JOIN locked ON account_id = account
    ) AS checked;
    decided_at := coalesce((request->>'now')::timestamptz, clock_timestamp());

    -- 4. May it be? Nothing has been written yet.
    IF rule.kind IS NULL OR (request ? 'transfers' AND NOT rule.transfers) OR (request ? 'holds' AND NOT rule.holds)
       OR (request ? 'resolutions' AND NOT rule.resolves) OR d_account IS NULL OR array_position(d_account, NULL) IS NOT NULL
       OR array_position(t_amount, NULL) IS NOT NULL OR array_position(h_amount, NULL) IS NOT NULL
       OR 0 >= ANY (t_amount) OR 0 >= ANY (h_amount) THEN
        answer := '{"error": "bad_request"}';
    ELSIF reversed_id IS NOT NULL AND EXISTS (SELECT FROM ledger_journal WHERE reverses_id = reversed_id) THEN
        answer := '{"error": "reversed"}';
    ELSIF coalesce((request->>'effective_at')::timestamptz, decided_at) < rule.closed_until THEN
        answer := '{"error": "period_closed"}';
    ELSIF r_hold IS NOT NULL THEN
        answer := ledger_refuse_resolutions(decided_at, r_hold, r_outcome, r_captured, r_amount, r_deadline);
    END IF;
    IF answer IS NULL THEN
        SELECT jsonb_build_object('error', bad.error, 'debit', bad.debit, 'credit', bad.credit) INTO answer
        FROM (
            SELECT leg.debit, leg.credit,
                   CASE WHEN d.id IS NULL OR c.id IS NULL OR d.unit <> c.unit THEN 'bad_request'
                        WHEN d.closed_at IS NOT NULL OR c.closed_at IS NOT NULL THEN 'closed'
                        WHEN f.journal_kind IS NULL OR d.programme <> c.programme
                             OR d.fiscal_year IS DISTINCT FROM c.fiscal_year THEN 'flow_not_allowed'
                   END AS error
            FROM unnest(t_debit || h_debit, t_credit || h_credit) AS leg (debit, credit)
            LEFT JOIN ledger_account d ON d.id = leg.debit
            LEFT JOIN ledger_account c ON c.id = leg.credit
            LEFT JOIN ledger_flow f ON f.journal_kind = wanted_kind AND f.debit_kind = d.kind AND f.credit_kind = c.kind
        ) AS bad
        WHERE bad.error IS NOT NULL LIMIT 1;
    END IF;
    IF answer IS NULL AND wanted_kind = 'refund' THEN
        answer := ledger_refuse_refunds(t_debit, t_credit, t_amount, t_hold);
    END IF;
    answer := coalesce(answer, overdrawn);
    IF answer IS NOT NULL THEN
        IF answer ? 'needed_fen' THEN
            answer := answer || jsonb_build_object('unit', coalesce(
                (SELECT unit FROM ledger_account WHERE id = (answer->>'account')::bigint),
                (SELECT unit FROM ledger_hold WHERE id = (answer->>'hold')::bigint)));
        END IF;
        RETURN ledger_remember(wanted_key, wanted_print, answer);
    END IF;

    -- 5. Write.
    INSERT INTO ledger_journal (kind, key, fingerprint, actor, approved_by, reason, source_type, source_id,
                                effective_at, recorded_at, reverses_id)
    VALUES (wanted_kind, wanted_key, wanted_print, request->>'actor', coalesce(request->>'approved_by', ''),
            coalesce(request->>'reason', ''), request->>'source_type', request->>'source_id',
            coalesce((request->>'effective_at')::timestamptz, decided_at), decided_at, reversed_id)
    RETURNING id INTO new_id;
    UPDATE ledger_balance b
    SET posted_dr = b.posted_dr + d.dr, posted_cr = b.posted_cr + d.cr,
        held_dr = b.held_dr + d.held_dr, held_cr = b.held_cr + d.held_cr
    FROM unnest(d_account, d_dr, d_cr, d_held_dr, d_held_cr) AS d (account, dr, cr, held_dr, held_cr)
    WHERE b.account_id = d.account;
    IF t_n > 0 THEN
        INSERT INTO ledger_transfer (journal_id, line_no, unit, debit_account_id, credit_account_id, amount, hold_id)
        SELECT new_id, t.n, a.unit, t.debit, t.credit, t.amount, t.hold
        FROM unnest(t_debit, t_credit, t_amount, t_hold) WITH ORDINALITY AS t (debit, credit, amount, hold, n)
        JOIN ledger_account a ON a.id = t.debit
        ORDER BY t.n;
    END IF;
    IF h_n > 0 THEN
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
    IF r_n > 0 THEN
        INSERT INTO ledger_hold_resolution (hold_id, journal_id, outcome, captured_amount)
        SELECT r.hold, new_id, r.outcome, r.captured
        FROM unnest(r_hold, r_outcome, r_captured) AS r (hold, outcome, captured);
        DELETE FROM ledger_hold_open WHERE hold_id = ANY (r_hold);
    END IF;
    RETURN jsonb_build_object('journal_id', new_id, 'replayed', false, 'hold_ids', new_holds);
END $$;
