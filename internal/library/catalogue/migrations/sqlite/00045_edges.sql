-- +goose Up
-- How many recordings of a stream and a node begin and are over in a stretch of time, and the
-- sums that an outline needs. A stretch is 2^20 ms (17 minutes) on level 0, and on each
-- further level 8 times as long.
DROP TRIGGER edges_added;
DROP TRIGGER edges_removed;
DROP TRIGGER edges_moved;
DROP VIEW edges_changes;
DROP TABLE edges;
CREATE TABLE edges (
    stream   TEXT    NOT NULL,
    node     TEXT    NOT NULL,
    level    INTEGER NOT NULL,
    bucket   INTEGER NOT NULL, -- Unix milliseconds >> 20 + 3 * level
    begun    INTEGER NOT NULL, -- recordings that begin in it
    begun_ms INTEGER NOT NULL, -- the sum of how far from the beginning of the stretch
    failed   INTEGER NOT NULL, -- of those that begin
    degraded INTEGER NOT NULL,
    over     INTEGER NOT NULL, -- recordings of which until_ms is in it
    over_ms  INTEGER NOT NULL,
    PRIMARY KEY (stream, level, bucket, node)
) STRICT, WITHOUT ROWID;

INSERT INTO edges
    SELECT stream, node, level, at >> (20 + 3 * level),
        sum(begun), sum(begun * (at & ((1 << (20 + 3 * level)) - 1))), sum(begun * (status = 'failed')), sum(begun * (status = 'degraded')),
        sum(1 - begun), sum((1 - begun) * (at & ((1 << (20 + 3 * level)) - 1)))
    FROM (SELECT stream, node, status, 1 AS begun, start_ms AS at FROM recordings
            UNION ALL SELECT stream, node, status, 0, until_ms FROM recordings WHERE end_ms IS NOT NULL),
        (SELECT 0 AS level UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)
    GROUP BY 1, 2, 3, 4;

-- What the triggers below add to edges, one row each.
CREATE VIEW edges_changes AS SELECT '' AS stream, '' AS node, '' AS status, 0 AS start_ms, 0 AS until_ms, 1 AS added;
-- +goose StatementBegin
CREATE TRIGGER edges_changed INSTEAD OF INSERT ON edges_changes BEGIN
    INSERT INTO edges
        SELECT NEW.stream, NEW.node, level, NEW.start_ms >> (20 + 3 * level),
            NEW.added, NEW.added * (NEW.start_ms & ((1 << (20 + 3 * level)) - 1)), NEW.added * (NEW.status = 'failed'), NEW.added * (NEW.status = 'degraded'), 0, 0
        FROM (SELECT 0 AS level UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) WHERE TRUE
        ON CONFLICT (stream, level, bucket, node) DO UPDATE SET
            begun = begun + excluded.begun, begun_ms = begun_ms + excluded.begun_ms,
            failed = failed + excluded.failed, degraded = degraded + excluded.degraded;
    INSERT INTO edges
        SELECT NEW.stream, NEW.node, level, NEW.until_ms >> (20 + 3 * level), 0, 0, 0, 0, NEW.added, NEW.added * (NEW.until_ms & ((1 << (20 + 3 * level)) - 1))
        FROM (SELECT 0 AS level UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) WHERE NEW.until_ms IS NOT NULL
        ON CONFLICT (stream, level, bucket, node) DO UPDATE SET over = over + excluded.over, over_ms = over_ms + excluded.over_ms;
    DELETE FROM edges WHERE NEW.added < 0 AND begun = 0 AND over = 0 AND stream = NEW.stream AND node = NEW.node
        AND level IN (0, 1, 2, 3) AND bucket IN (NEW.start_ms >> (20 + 3 * level), NEW.until_ms >> (20 + 3 * level));
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER edges_added AFTER INSERT ON recordings BEGIN
    INSERT INTO edges_changes VALUES (NEW.stream, NEW.node, NEW.status, NEW.start_ms, NEW.until_ms, 1);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER edges_removed AFTER DELETE ON recordings BEGIN
    INSERT INTO edges_changes VALUES (OLD.stream, OLD.node, OLD.status, OLD.start_ms, OLD.until_ms, -1);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER edges_moved AFTER UPDATE ON recordings
WHEN OLD.stream <> NEW.stream OR OLD.node <> NEW.node OR OLD.status <> NEW.status OR OLD.start_ms <> NEW.start_ms OR OLD.end_ms IS NOT NEW.end_ms
BEGIN
    INSERT INTO edges_changes VALUES (NEW.stream, NEW.node, NEW.status, NEW.start_ms, NEW.until_ms, 1);
    INSERT INTO edges_changes VALUES (OLD.stream, OLD.node, OLD.status, OLD.start_ms, OLD.until_ms, -1);
END;
-- +goose StatementEnd
