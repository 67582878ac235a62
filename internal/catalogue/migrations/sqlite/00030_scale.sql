-- +goose Up
-- An index for each way to list, in the order of the list, with what its filters
-- and counts need.
DROP INDEX recordings_by_stream;
DROP INDEX recordings_by_start;
CREATE INDEX recordings_list_stream ON recordings (stream, start_ms DESC, record_dir DESC, end_ms, node, status);
CREATE INDEX recordings_list_start ON recordings (start_ms DESC, record_dir DESC, end_ms);
CREATE INDEX recordings_list_node ON recordings (node, start_ms DESC, record_dir DESC, end_ms);
CREATE INDEX recordings_list_status ON recordings (status, start_ms DESC, record_dir DESC, end_ms);
CREATE INDEX recordings_list_node_status ON recordings ((node || '/' || status), start_ms DESC, record_dir DESC, end_ms);
-- For those that began before a time and are still of it: up to 65 minutes long, 5
-- hours, 25 hours, and longer or without an end.
ALTER TABLE recordings ADD COLUMN length INTEGER NOT NULL GENERATED ALWAYS AS (CASE
    WHEN end_ms - start_ms <= 3900000 THEN 0
    WHEN end_ms - start_ms <= 18000000 THEN 1
    WHEN end_ms - start_ms <= 90000000 THEN 2
    ELSE 3 END) VIRTUAL;
CREATE INDEX recordings_by_length ON recordings (length, start_ms DESC, record_dir DESC, end_ms, stream, node, status);

-- How many recordings there are; those of all streams are under ''.
CREATE TABLE counts (
    stream     TEXT    NOT NULL,
    node       TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    recordings INTEGER NOT NULL,
    PRIMARY KEY (stream, node, status)
) STRICT, WITHOUT ROWID;
INSERT INTO counts SELECT stream, node, status, count(*) FROM recordings GROUP BY stream, node, status;
INSERT INTO counts SELECT '', node, status, sum(recordings) FROM counts GROUP BY node, status;

-- The sums over the recordings of each stream that has any.
CREATE TABLE streams (
    stream        TEXT    NOT NULL PRIMARY KEY,
    recordings    INTEGER NOT NULL,
    last_start_ms INTEGER NOT NULL,
    duration_us   INTEGER NOT NULL, -- microseconds: sums of integers do not drift
    bytes         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO streams
    SELECT stream, count(*), max(start_ms), sum(CAST(round(duration * 1e6) AS INTEGER)), sum(bytes) FROM recordings GROUP BY stream;

ALTER TABLE feed ADD COLUMN streams INTEGER NOT NULL DEFAULT 0; -- how many there are
UPDATE feed SET streams = (SELECT count(*) FROM streams);

-- +goose StatementBegin
CREATE TRIGGER recordings_added AFTER INSERT ON recordings BEGIN
    INSERT INTO counts VALUES ('', NEW.node, NEW.status, 1), (NEW.stream, NEW.node, NEW.status, 1)
        ON CONFLICT (stream, node, status) DO UPDATE SET recordings = recordings + 1;
    INSERT INTO streams VALUES (NEW.stream, 1, NEW.start_ms, CAST(round(NEW.duration * 1e6) AS INTEGER), NEW.bytes)
        ON CONFLICT (stream) DO UPDATE SET
            recordings = recordings + 1,
            last_start_ms = max(last_start_ms, excluded.last_start_ms),
            duration_us = duration_us + excluded.duration_us,
            bytes = bytes + excluded.bytes;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER recordings_removed AFTER DELETE ON recordings BEGIN
    UPDATE counts SET recordings = recordings - 1
        WHERE stream IN ('', OLD.stream) AND node = OLD.node AND status = OLD.status;
    DELETE FROM counts WHERE stream IN ('', OLD.stream) AND node = OLD.node AND status = OLD.status AND recordings = 0;
    UPDATE streams SET
            recordings = recordings - 1,
            last_start_ms = CASE WHEN last_start_ms > OLD.start_ms THEN last_start_ms
                ELSE coalesce((SELECT max(start_ms) FROM recordings WHERE stream = OLD.stream), 0) END,
            duration_us = duration_us - CAST(round(OLD.duration * 1e6) AS INTEGER),
            bytes = bytes - OLD.bytes
        WHERE stream = OLD.stream;
    DELETE FROM streams WHERE stream = OLD.stream AND recordings = 0;
END;
-- +goose StatementEnd

-- A recording that grows, as those that run do all the time.
-- +goose StatementBegin
CREATE TRIGGER recordings_grown AFTER UPDATE ON recordings
WHEN OLD.stream = NEW.stream AND OLD.node = NEW.node AND OLD.status = NEW.status AND OLD.start_ms = NEW.start_ms
    AND (OLD.duration <> NEW.duration OR OLD.bytes <> NEW.bytes)
BEGIN
    UPDATE streams SET
            duration_us = duration_us - CAST(round(OLD.duration * 1e6) AS INTEGER) + CAST(round(NEW.duration * 1e6) AS INTEGER),
            bytes = bytes - OLD.bytes + NEW.bytes
        WHERE stream = NEW.stream;
END;
-- +goose StatementEnd

-- Any other change: as if it were removed and added.
-- +goose StatementBegin
CREATE TRIGGER recordings_changed AFTER UPDATE ON recordings
WHEN OLD.stream <> NEW.stream OR OLD.node <> NEW.node OR OLD.status <> NEW.status OR OLD.start_ms <> NEW.start_ms
BEGIN
    INSERT INTO counts VALUES ('', NEW.node, NEW.status, 1), (NEW.stream, NEW.node, NEW.status, 1)
        ON CONFLICT (stream, node, status) DO UPDATE SET recordings = recordings + 1;
    UPDATE counts SET recordings = recordings - 1
        WHERE stream IN ('', OLD.stream) AND node = OLD.node AND status = OLD.status;
    DELETE FROM counts WHERE stream IN ('', OLD.stream) AND node = OLD.node AND status = OLD.status AND recordings = 0;
    INSERT INTO streams VALUES (NEW.stream, 1, NEW.start_ms, CAST(round(NEW.duration * 1e6) AS INTEGER), NEW.bytes)
        ON CONFLICT (stream) DO UPDATE SET
            recordings = recordings + 1,
            last_start_ms = max(last_start_ms, excluded.last_start_ms),
            duration_us = duration_us + excluded.duration_us,
            bytes = bytes + excluded.bytes;
    UPDATE streams SET
            recordings = recordings - 1,
            last_start_ms = CASE WHEN last_start_ms > OLD.start_ms THEN last_start_ms
                ELSE coalesce((SELECT max(start_ms) FROM recordings WHERE stream = OLD.stream), 0) END,
            duration_us = duration_us - CAST(round(OLD.duration * 1e6) AS INTEGER),
            bytes = bytes - OLD.bytes
        WHERE stream = OLD.stream;
    DELETE FROM streams WHERE stream = OLD.stream AND recordings = 0;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER streams_added AFTER INSERT ON streams BEGIN
    UPDATE feed SET streams = streams + 1;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER streams_removed AFTER DELETE ON streams BEGIN
    UPDATE feed SET streams = streams - 1;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER streams_removed;
DROP TRIGGER streams_added;
DROP TRIGGER recordings_changed;
DROP TRIGGER recordings_grown;
DROP TRIGGER recordings_removed;
DROP TRIGGER recordings_added;
ALTER TABLE feed DROP COLUMN streams;
DROP TABLE streams;
DROP TABLE counts;
DROP INDEX recordings_by_length;
ALTER TABLE recordings DROP COLUMN length;
DROP INDEX recordings_list_node_status;
DROP INDEX recordings_list_status;
DROP INDEX recordings_list_node;
DROP INDEX recordings_list_start;
DROP INDEX recordings_list_stream;
CREATE INDEX recordings_by_stream ON recordings (stream, start_ms DESC, record_dir DESC, end_ms, duration, bytes);
CREATE INDEX recordings_by_start ON recordings (start_ms DESC, record_dir DESC, end_ms);
