-- +goose Up
-- For those that began before a time and are still of it: up to 65 minutes long, then
-- up to five times as long each, then longer; 8 have no end. A bound five times the one
-- before keeps those that are looked at in vain few, however long recordings are.
DROP INDEX recordings_by_length;
ALTER TABLE recordings DROP COLUMN length;
ALTER TABLE recordings
    ADD COLUMN length INTEGER NOT NULL GENERATED ALWAYS AS (CASE
        WHEN end_ms IS NULL THEN 8
        WHEN end_ms - start_ms <= 3900000 THEN 0
        WHEN end_ms - start_ms <= 18000000 THEN 1
        WHEN end_ms - start_ms <= 90000000 THEN 2
        WHEN end_ms - start_ms <= 450000000 THEN 3
        WHEN end_ms - start_ms <= 2250000000 THEN 4
        WHEN end_ms - start_ms <= 11250000000 THEN 5
        WHEN end_ms - start_ms <= 56250000000 THEN 6
        ELSE 7 END) STORED,
    -- The first millisecond of which a recording is not, however short; NULL while it runs.
    ADD COLUMN until_ms BIGINT GENERATED ALWAYS AS (CASE WHEN end_ms IS NOT NULL THEN greatest(end_ms, start_ms + 1) END) STORED;
CREATE INDEX recordings_by_length ON recordings ((length + 0), start_ms DESC, record_dir DESC) INCLUDE (length, end_ms, stream, node, status);
-- start_ms + 0, and the like: no other index fits what is asked of these. The columns
-- within are included, without which PostgreSQL would read the table for them.
CREATE INDEX recordings_stream_length ON recordings ((stream || '/' || CAST(length AS TEXT)), (start_ms + 0) DESC, record_dir DESC) INCLUDE (stream, length, start_ms, end_ms);
DROP INDEX recordings_list_stream;
CREATE INDEX recordings_list_stream ON recordings (stream, (start_ms + 0) DESC, record_dir DESC) INCLUDE (start_ms, end_ms, node, status);
CREATE INDEX recordings_stream_until ON recordings ((stream || ''), until_ms) INCLUDE (stream);

-- How many recordings of a stream begin (edge 'start') or are over (edge 'until') in a
-- stretch of time: 2^22 ms (70 minutes) on level 0, on each further one 64 times as long.
CREATE TABLE edges (
    stream     TEXT COLLATE "C" NOT NULL,
    edge       TEXT COLLATE "C" NOT NULL,
    level      INTEGER          NOT NULL,
    bucket     BIGINT           NOT NULL, -- Unix milliseconds >> 22 + 6 * level
    recordings BIGINT           NOT NULL,
    PRIMARY KEY (stream, edge, level, bucket)
);
INSERT INTO edges SELECT stream, 'start', level, start_ms >> 22 + 6 * level, count(*)
    FROM recordings, generate_series(0, 2) AS level GROUP BY 1, 2, 3, 4;
INSERT INTO edges SELECT stream, 'until', level, until_ms >> 22 + 6 * level, count(*)
    FROM recordings, generate_series(0, 2) AS level WHERE until_ms IS NOT NULL GROUP BY 1, 2, 3, 4;

-- +goose StatementBegin
CREATE FUNCTION change_edges(r recordings, added BIGINT) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO edges AS e
        SELECT r.stream, edge, level, at >> 22 + 6 * level, added
        FROM (VALUES ('start', r.start_ms), ('until', r.until_ms)) AS edges (edge, at), generate_series(0, 2) AS level
        WHERE at IS NOT NULL
        ON CONFLICT (stream, edge, level, bucket) DO UPDATE SET recordings = e.recordings + excluded.recordings;
    IF added < 0 THEN
        DELETE FROM edges AS e USING (VALUES ('start', r.start_ms), ('until', r.until_ms)) AS edges (edge, at), generate_series(0, 2) AS level
            WHERE e.stream = r.stream AND e.edge = edges.edge AND e.level = level.level AND e.bucket = edges.at >> 22 + 6 * level.level
                AND e.recordings = 0;
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
    FOR EACH ROW WHEN ((OLD.stream, OLD.start_ms, OLD.end_ms) IS DISTINCT FROM (NEW.stream, NEW.start_ms, NEW.end_ms))
    EXECUTE FUNCTION edges_changed();

-- +goose Down
DROP TRIGGER edges_moved ON recordings;
DROP TRIGGER edges_changed ON recordings;
DROP FUNCTION edges_changed;
DROP FUNCTION change_edges;
DROP TABLE edges;
DROP INDEX recordings_stream_until;
DROP INDEX recordings_list_stream;
CREATE INDEX recordings_list_stream ON recordings (stream, start_ms DESC, record_dir DESC) INCLUDE (end_ms, node, status);
DROP INDEX recordings_stream_length;
DROP INDEX recordings_by_length;
ALTER TABLE recordings DROP COLUMN until_ms, DROP COLUMN length;
ALTER TABLE recordings ADD COLUMN length INTEGER NOT NULL GENERATED ALWAYS AS (CASE
    WHEN end_ms - start_ms <= 3900000 THEN 0
    WHEN end_ms - start_ms <= 18000000 THEN 1
    WHEN end_ms - start_ms <= 90000000 THEN 2
    ELSE 3 END) STORED;
CREATE INDEX recordings_by_length ON recordings (length, start_ms DESC, record_dir DESC) INCLUDE (end_ms, stream, node, status);
