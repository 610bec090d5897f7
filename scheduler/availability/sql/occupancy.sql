-- What keeps time honest below the code: how many may share a resource, and where free time is left.
-- Every writer holds the resource's advisory lock (71, id) already; the functions take it again (it is re-entrant), so
-- that a writer who forgot cannot oversell or leave a stale gap.

CREATE OR REPLACE FUNCTION claim_blocks(state text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT state IN ('held', 'confirmed', 'in_use', 'outage', 'external')
$$;

-- The most units in use at any moment of `span`. The peak of half-open spans lies at the start of one of them.
CREATE OR REPLACE FUNCTION claim_peak(wanted_resource bigint, span tstzrange) RETURNS integer
LANGUAGE sql STABLE AS $$
    WITH held AS (
        SELECT lower(blocked) AS starts, upper(blocked) AS ends, units
        FROM claim
        WHERE resource_id = wanted_resource AND blocked && span
            AND state IN ('held', 'confirmed', 'in_use', 'outage', 'external')
    )
    SELECT coalesce(max(used), 0)::integer
    FROM (
        SELECT (SELECT sum(units) FROM held WHERE starts <= moment AND moment < ends) AS used
        FROM (SELECT greatest(starts, lower(span)) AS moment FROM held) AS moments
    ) AS uses
$$;

-- A fungible resource counts places and numbers none; any other numbers its units from 1 to its capacity. A claim that
-- takes no more than it had is not asked: what was used before a resource became smaller is still recorded afterwards.
CREATE OR REPLACE FUNCTION claim_capacity_guard() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    places record;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NOT claim_blocks(NEW.state) OR (
            claim_blocks(OLD.state) AND OLD.resource_id = NEW.resource_id AND OLD.unit_no IS NOT DISTINCT FROM NEW.unit_no
            AND OLD.units >= NEW.units AND OLD.blocked @> NEW.blocked
        ) THEN
            RETURN NULL;
        END IF;
    END IF;
    SELECT capacity, counting INTO STRICT places FROM resource WHERE id = NEW.resource_id;
    IF places.counting <> 'fungible' THEN
        IF NEW.unit_no IS NULL OR NEW.unit_no > places.capacity OR NEW.units <> 1 THEN
            RAISE check_violation USING MESSAGE = 'a claim names one unit of its resource',
                CONSTRAINT = 'claim_names_its_unit';
        END IF;
        RETURN NULL;
    END IF;
    IF NEW.unit_no IS NOT NULL THEN
        RAISE check_violation USING MESSAGE = 'places of a fungible resource have no number',
            CONSTRAINT = 'claim_names_its_unit';
    END IF;
    IF NEW.state NOT IN ('held', 'confirmed', 'in_use', 'outage', 'external') THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(71, NEW.resource_id::integer);
    IF claim_peak(NEW.resource_id, NEW.blocked) > places.capacity THEN
        RAISE exclusion_violation USING MESSAGE = 'more places taken than there are',
            CONSTRAINT = 'claim_within_capacity';
    END IF;
    RETURN NULL;
END
$$;

DROP TRIGGER IF EXISTS claim_capacity_guard ON claim;
CREATE TRIGGER claim_capacity_guard AFTER INSERT OR UPDATE OF resource_id, unit_no, units, blocked, state ON claim
    FOR EACH ROW EXECUTE FUNCTION claim_capacity_guard();

-- When a unit is taken. Of a fungible resource (unit 0): when no place at all is left. Holds that had ended by `seen_at`
-- are left out; without it they count until somebody releases them.
DROP FUNCTION IF EXISTS claim_taken(bigint, integer, tstzrange);
CREATE OR REPLACE FUNCTION claim_taken(
    wanted_resource bigint, wanted_unit integer, span tstzrange, seen_at timestamptz DEFAULT '-infinity'
)
RETURNS tstzmultirange LANGUAGE sql STABLE AS $$
    WITH held AS (
        SELECT blocked, units FROM claim
        WHERE resource_id = wanted_resource AND blocked && span
            AND state IN ('held', 'confirmed', 'in_use', 'outage', 'external')
            AND (hold_until IS NULL OR hold_until > seen_at)
            AND (wanted_unit = 0 OR unit_no = wanted_unit)
    ), steps AS (
        SELECT moment, sum(sum(change)) OVER (ORDER BY moment) AS used,
            lead(moment) OVER (ORDER BY moment) AS next
        FROM (
            SELECT lower(blocked) AS moment, units AS change FROM held
            UNION ALL
            SELECT upper(blocked), -units FROM held
        ) AS changes
        GROUP BY moment
    )
    SELECT coalesce(range_agg(tstzrange(moment, next)), '{}')
    FROM steps
    WHERE used >= CASE WHEN wanted_unit = 0 THEN (SELECT capacity FROM resource WHERE id = wanted_resource) ELSE 1 END
$$;

-- Write anew what is free of one unit around `span`: its gaps that touch the span, and the span itself.
CREATE OR REPLACE FUNCTION free_gap_refresh(wanted_resource bigint, wanted_unit integer, span tstzrange)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    around tstzrange;
BEGIN
    WITH gone AS (
        DELETE FROM free_gap
        WHERE resource_id = wanted_resource AND unit_no = wanted_unit AND (during && span OR during -|- span)
        RETURNING during
    )
    SELECT range_merge(range_agg(during)) INTO around
    FROM (SELECT during FROM gone UNION ALL SELECT span) AS touched;
    INSERT INTO free_gap (resource_id, unit_no, during)
    SELECT wanted_resource, wanted_unit, gap
    FROM unnest((
        SELECT coalesce(range_agg(during * around), '{}') FROM open_period
        WHERE resource_id = wanted_resource AND during && around AND audience <> 'own'
    ) - claim_taken(wanted_resource, wanted_unit, around)) AS gap
    WHERE wanted_unit IN (SELECT resource_units(wanted_resource));
END
$$;

-- The numbers under which a resource's free time is kept.
CREATE OR REPLACE FUNCTION resource_units(wanted_resource bigint) RETURNS SETOF integer
LANGUAGE sql STABLE AS $$
    SELECT 0 FROM resource WHERE id = wanted_resource AND counting = 'fungible'
    UNION ALL
    SELECT generate_series(1, capacity) FROM resource WHERE id = wanted_resource AND counting <> 'fungible'
$$;

-- Write all free time of a resource anew, after its opening or its capacity has changed.
CREATE OR REPLACE FUNCTION free_gap_rebuild(wanted_resource bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(71, wanted_resource::integer);
    DELETE FROM free_gap WHERE resource_id = wanted_resource;
    INSERT INTO free_gap (resource_id, unit_no, during)
    SELECT wanted_resource, unit, gap
    FROM resource_units(wanted_resource) AS unit, (
        SELECT coalesce(range_agg(during), '{}') AS opened FROM open_period
        WHERE resource_id = wanted_resource AND audience <> 'own'
    ) AS hours, unnest(opened - claim_taken(wanted_resource, unit, tstzrange(NULL, NULL))) AS gap;
END
$$;

-- What is free at `seen_at` around holds that have ended and that nobody has released yet: whole spans, which contain
-- those of free_gap that they touch. Few at any time: the next writer or the clock releases them.
CREATE OR REPLACE FUNCTION free_gap_ended(seen_at timestamptz)
RETURNS TABLE (resource_id bigint, unit_no integer, starts_at timestamptz, ends_at timestamptz, secs integer)
LANGUAGE sql STABLE AS $$
    WITH ended AS (
        SELECT c.resource_id, coalesce(c.unit_no, 0) AS unit, range_merge(range_agg(c.blocked)) AS span
        FROM claim c WHERE c.state = 'held' AND c.hold_until <= seen_at GROUP BY 1, 2
    ), reach AS (
        SELECT e.resource_id, e.unit, (
            SELECT range_merge(range_agg(touched.during))
            FROM (
                SELECT g.during FROM free_gap g
                WHERE g.resource_id = e.resource_id AND g.unit_no = e.unit AND (g.during && e.span OR g.during -|- e.span)
                UNION ALL SELECT e.span
            ) AS touched
        ) AS around
        FROM ended e
    )
    SELECT r.resource_id, r.unit, lower(gap), upper(gap), extract(epoch FROM upper(gap) - lower(gap))::integer
    FROM reach r, unnest((
        SELECT coalesce(range_agg(o.during * r.around), '{}') FROM open_period o
        WHERE o.resource_id = r.resource_id AND o.during && r.around AND o.audience <> 'own'
    ) - claim_taken(r.resource_id, r.unit, r.around, seen_at)) AS gap
$$;

CREATE OR REPLACE FUNCTION claim_gaps_follow() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    change record;
BEGIN
    -- Parts of one statement may lie far apart: one refresh over their hull reads the claims between them, which is
    -- right, and cheaper than one per claim.
    FOR change IN EXECUTE format(
        'SELECT resource_id, coalesce(unit_no, 0) AS unit, range_merge(range_agg(blocked)) AS span'
        ' FROM (%s) AS touched GROUP BY 1, 2 ORDER BY 1, 2',
        CASE TG_OP
            WHEN 'INSERT' THEN 'SELECT resource_id, unit_no, blocked FROM born'
            WHEN 'DELETE' THEN 'SELECT resource_id, unit_no, blocked FROM gone'
            ELSE 'SELECT side.* FROM born JOIN gone USING (id), LATERAL (VALUES'
                ' (born.resource_id, born.unit_no, born.blocked), (gone.resource_id, gone.unit_no, gone.blocked)'
                ') AS side (resource_id, unit_no, blocked) WHERE'
                ' (born.resource_id, born.unit_no, born.units, born.blocked, claim_blocks(born.state)) IS DISTINCT FROM'
                ' (gone.resource_id, gone.unit_no, gone.units, gone.blocked, claim_blocks(gone.state))'
        END
    ) LOOP
        PERFORM pg_advisory_xact_lock(71, change.resource_id::integer);
        PERFORM free_gap_refresh(change.resource_id, change.unit, change.span);
    END LOOP;
    RETURN NULL;
END
$$;

DROP TRIGGER IF EXISTS claim_gaps_follow_insert ON claim;
DROP TRIGGER IF EXISTS claim_gaps_follow_update ON claim;
DROP TRIGGER IF EXISTS claim_gaps_follow_delete ON claim;
CREATE TRIGGER claim_gaps_follow_insert AFTER INSERT ON claim
    REFERENCING NEW TABLE AS born FOR EACH STATEMENT EXECUTE FUNCTION claim_gaps_follow();
CREATE TRIGGER claim_gaps_follow_update AFTER UPDATE ON claim
    REFERENCING NEW TABLE AS born OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION claim_gaps_follow();
CREATE TRIGGER claim_gaps_follow_delete AFTER DELETE ON claim
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION claim_gaps_follow();
