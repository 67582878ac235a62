-- +goose Up
-- How many recordings of a stream and a node begin and are over in a stretch of time, and the
-- sums that an outline needs. A stretch is 2^20 ms (17 minutes) on level 0, and on each
-- further level 8 times as long.
DROP TRIGGER edges_changed ON recordings;
DROP TRIGGER edges_moved ON recordings;
DROP FUNCTION edges_changed();
DROP FUNCTION change_edges(recordings, BIGINT);
DROP TABLE edges;
CREATE TABLE edges (
    stream   TEXT COLLATE "C" NOT NULL,
    node     TEXT COLLATE "C" NOT NULL,
    level    INTEGER          NOT NULL,
    bucket   BIGINT           NOT NULL, -- Unix milliseconds >> 20 + 3 * level
    begun    BIGINT           NOT NULL, -- recordings that begin in it
    begun_ms BIGINT           NOT NULL, -- the sum of how far from the beginning of the stretch
    failed   BIGINT           NOT NULL, -- of those that begin
    degraded BIGINT           NOT NULL,
    over     BIGINT           NOT NULL, -- recordings of which until_ms is in it
    over_ms  BIGINT           NOT NULL,
    PRIMARY KEY (stream, level, bucket, node)
);

INSERT INTO edges
    SELECT stream, node, level, at >> (20 + 3 * level),
        sum(begun), sum(begun * (at & ((1::bigint << (20 + 3 * level)) - 1))), sum(begun * (status = 'failed')::int), sum(begun * (status = 'degraded')::int),
        sum(1 - begun), sum((1 - begun) * (at & ((1::bigint << (20 + 3 * level)) - 1)))
    FROM (SELECT stream, node, status, 1 AS begun, start_ms AS at FROM recordings
            UNION ALL SELECT stream, node, status, 0, until_ms FROM recordings WHERE end_ms IS NOT NULL) AS edge,
        generate_series(0, 3) AS level
    GROUP BY 1, 2, 3, 4;

-- +goose StatementBegin
CREATE FUNCTION change_edges(r recordings, added BIGINT) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO edges AS e
        SELECT r.stream, r.node, level, at >> (20 + 3 * level),
            sum(begun * added), sum(begun * added * (at & ((1::bigint << (20 + 3 * level)) - 1))),
            sum(begun * added * (r.status = 'failed')::int), sum(begun * added * (r.status = 'degraded')::int),
            sum((1 - begun) * added), sum((1 - begun) * added * (at & ((1::bigint << (20 + 3 * level)) - 1)))
        FROM (VALUES (1, r.start_ms), (0, r.until_ms)) AS edge (begun, at), generate_series(0, 3) AS level
        WHERE at IS NOT NULL
        GROUP BY 3, 4
        ON CONFLICT (stream, level, bucket, node) DO UPDATE SET
            begun = e.begun + excluded.begun, begun_ms = e.begun_ms + excluded.begun_ms,
            failed = e.failed + excluded.failed, degraded = e.degraded + excluded.degraded,
            over = e.over + excluded.over, over_ms = e.over_ms + excluded.over_ms;
    IF added < 0 THEN
        DELETE FROM edges AS e USING generate_series(0, 3) AS level
            WHERE e.stream = r.stream AND e.node = r.node AND e.level = level.level
                AND e.bucket IN (r.start_ms >> (20 + 3 * level.level), r.until_ms >> (20 + 3 * level.level)) AND e.begun = 0 AND e.over = 0;
    END IF;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION edges_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        PERFORM change_edges(NEW, 1);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM change_edges(OLD, -1);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER edges_changed AFTER INSERT OR DELETE ON recordings
    FOR EACH ROW EXECUTE FUNCTION edges_changed();
CREATE TRIGGER edges_moved AFTER UPDATE ON recordings
    FOR EACH ROW WHEN ((OLD.stream, OLD.node, OLD.status, OLD.start_ms, OLD.end_ms) IS DISTINCT FROM (NEW.stream, NEW.node, NEW.status, NEW.start_ms, NEW.end_ms))
    EXECUTE FUNCTION edges_changed();
