-- +goose Up
-- For those that began before a time and are still of it: up to 65 minutes long, then
-- up to five times as long each, then longer; 8 have no end. A bound five times the one
-- before keeps those that are looked at in vain few, however long recordings are.
DROP INDEX recordings_by_length;
ALTER TABLE recordings DROP COLUMN length;
ALTER TABLE recordings ADD COLUMN length INTEGER NOT NULL GENERATED ALWAYS AS (CASE
    WHEN end_ms IS NULL THEN 8
    WHEN end_ms - start_ms <= 3900000 THEN 0
    WHEN end_ms - start_ms <= 18000000 THEN 1
    WHEN end_ms - start_ms <= 90000000 THEN 2
    WHEN end_ms - start_ms <= 450000000 THEN 3
    WHEN end_ms - start_ms <= 2250000000 THEN 4
    WHEN end_ms - start_ms <= 11250000000 THEN 5
    WHEN end_ms - start_ms <= 56250000000 THEN 6
    ELSE 7 END) VIRTUAL;
CREATE INDEX recordings_by_length ON recordings ((length + 0), start_ms DESC, record_dir DESC, end_ms, stream, node, status);
-- start_ms + 0, and the like: no other index fits what is asked of these.
CREATE INDEX recordings_stream_length ON recordings ((stream || '/' || CAST(length AS TEXT)), (start_ms + 0) DESC, record_dir DESC, end_ms);
DROP INDEX recordings_list_stream;
CREATE INDEX recordings_list_stream ON recordings (stream, (start_ms + 0) DESC, record_dir DESC, end_ms, node, status);

-- The first millisecond of which a recording is not, however short; NULL while it runs.
ALTER TABLE recordings ADD COLUMN until_ms INTEGER GENERATED ALWAYS AS (max(end_ms, start_ms + 1)) VIRTUAL;
CREATE INDEX recordings_stream_until ON recordings ((stream || ''), until_ms);

-- How many recordings of a stream begin (edge 'start') or are over (edge 'until') in a
-- stretch of time: 2^22 ms (70 minutes) on level 0, on each further one 64 times as long.
CREATE TABLE edges (
    stream     TEXT    NOT NULL,
    edge       TEXT    NOT NULL,
    level      INTEGER NOT NULL,
    bucket     INTEGER NOT NULL, -- Unix milliseconds >> 22 + 6 * level
    recordings INTEGER NOT NULL,
    PRIMARY KEY (stream, edge, level, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO edges SELECT stream, 'start', level, start_ms >> 22 + 6 * level, count(*)
    FROM recordings, (SELECT 0 AS level UNION ALL SELECT 1 UNION ALL SELECT 2) GROUP BY 1, 2, 3, 4;
INSERT INTO edges SELECT stream, 'until', level, until_ms >> 22 + 6 * level, count(*)
    FROM recordings, (SELECT 0 AS level UNION ALL SELECT 1 UNION ALL SELECT 2) WHERE until_ms IS NOT NULL GROUP BY 1, 2, 3, 4;

-- What the triggers below add to edges, one row each.
CREATE VIEW edges_changes AS SELECT '' AS stream, 0 AS start_ms, 0 AS until_ms, 1 AS added;
-- +goose StatementBegin
CREATE TRIGGER edges_changed INSTEAD OF INSERT ON edges_changes BEGIN
    INSERT INTO edges
        SELECT NEW.stream, edge, level, at >> 22 + 6 * level, NEW.added
        FROM (SELECT 'start' AS edge, NEW.start_ms AS at UNION ALL SELECT 'until', NEW.until_ms),
            (SELECT 0 AS level UNION ALL SELECT 1 UNION ALL SELECT 2)
        WHERE at IS NOT NULL
        ON CONFLICT (stream, edge, level, bucket) DO UPDATE SET recordings = recordings + excluded.recordings;
    DELETE FROM edges WHERE NEW.added < 0 AND recordings = 0 AND stream = NEW.stream AND edge = 'start' AND level IN (0, 1, 2)
        AND bucket = NEW.start_ms >> 22 + 6 * level;
    DELETE FROM edges WHERE NEW.added < 0 AND recordings = 0 AND stream = NEW.stream AND edge = 'until' AND level IN (0, 1, 2)
        AND bucket = NEW.until_ms >> 22 + 6 * level;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER edges_added AFTER INSERT ON recordings BEGIN
    INSERT INTO edges_changes VALUES (NEW.stream, NEW.start_ms, NEW.until_ms, 1);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER edges_removed AFTER DELETE ON recordings BEGIN
    INSERT INTO edges_changes VALUES (OLD.stream, OLD.start_ms, OLD.until_ms, -1);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER edges_moved AFTER UPDATE ON recordings
WHEN OLD.stream <> NEW.stream OR OLD.start_ms <> NEW.start_ms OR OLD.end_ms IS NOT NEW.end_ms
BEGIN
    INSERT INTO edges_changes VALUES (NEW.stream, NEW.start_ms, NEW.until_ms, 1);
    INSERT INTO edges_changes VALUES (OLD.stream, OLD.start_ms, OLD.until_ms, -1);
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER edges_moved;
DROP TRIGGER edges_removed;
DROP TRIGGER edges_added;
DROP VIEW edges_changes;
DROP TABLE edges;
DROP INDEX recordings_stream_until;
ALTER TABLE recordings DROP COLUMN until_ms;
DROP INDEX recordings_list_stream;
CREATE INDEX recordings_list_stream ON recordings (stream, start_ms DESC, record_dir DESC, end_ms, node, status);
DROP INDEX recordings_stream_length;
DROP INDEX recordings_by_length;
ALTER TABLE recordings DROP COLUMN length;
ALTER TABLE recordings ADD COLUMN length INTEGER NOT NULL GENERATED ALWAYS AS (CASE
    WHEN end_ms - start_ms <= 3900000 THEN 0
    WHEN end_ms - start_ms <= 18000000 THEN 1
    WHEN end_ms - start_ms <= 90000000 THEN 2
    ELSE 3 END) VIRTUAL;
CREATE INDEX recordings_by_length ON recordings (length, start_ms DESC, record_dir DESC, end_ms, stream, node, status);
