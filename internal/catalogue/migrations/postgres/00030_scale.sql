-- +goose Up
-- An index for each way to list, in the order of the list, with what its filters
-- and counts need.
DROP INDEX recordings_by_stream;
DROP INDEX recordings_by_start;
CREATE INDEX recordings_list_stream ON recordings (stream, start_ms DESC, record_dir DESC) INCLUDE (end_ms, node, status);
CREATE INDEX recordings_list_start ON recordings (start_ms DESC, record_dir DESC) INCLUDE (end_ms);
CREATE INDEX recordings_list_node ON recordings (node, start_ms DESC, record_dir DESC) INCLUDE (end_ms);
CREATE INDEX recordings_list_status ON recordings (status, start_ms DESC, record_dir DESC) INCLUDE (end_ms);
CREATE INDEX recordings_list_node_status ON recordings ((node || '/' || status), start_ms DESC, record_dir DESC) INCLUDE (end_ms, node, status);
-- For retention: what ended first goes first.
CREATE INDEX recordings_by_end ON recordings (end_ms, record_dir);

-- For those that began before a time and are still of it: up to 65 minutes long, 5
-- hours, 25 hours, and longer or without an end.
ALTER TABLE recordings ADD COLUMN length INTEGER NOT NULL GENERATED ALWAYS AS (CASE
    WHEN end_ms - start_ms <= 3900000 THEN 0
    WHEN end_ms - start_ms <= 18000000 THEN 1
    WHEN end_ms - start_ms <= 90000000 THEN 2
    ELSE 3 END) STORED;
CREATE INDEX recordings_by_length ON recordings (length, start_ms DESC, record_dir DESC) INCLUDE (end_ms, stream, node, status);

-- How many recordings there are; those of all streams are under ''.
CREATE TABLE counts (
    stream     TEXT COLLATE "C" NOT NULL,
    node       TEXT COLLATE "C" NOT NULL,
    status     TEXT COLLATE "C" NOT NULL,
    recordings BIGINT           NOT NULL,
    PRIMARY KEY (stream, node, status)
);
INSERT INTO counts SELECT stream, node, status, count(*) FROM recordings GROUP BY stream, node, status;
INSERT INTO counts SELECT '', node, status, sum(recordings) FROM counts GROUP BY node, status;

-- The sums over the recordings of each stream that has any.
CREATE TABLE streams (
    stream        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    recordings    BIGINT NOT NULL,
    last_start_ms BIGINT NOT NULL,
    duration_us   BIGINT NOT NULL, -- microseconds: sums of integers do not drift
    bytes         BIGINT NOT NULL
);
INSERT INTO streams
    SELECT stream, count(*), max(start_ms), sum(round(duration * 1e6)::bigint), sum(bytes) FROM recordings GROUP BY stream;

ALTER TABLE feed ADD COLUMN streams BIGINT NOT NULL DEFAULT 0; -- how many there are
UPDATE feed SET streams = (SELECT count(*) FROM streams);

-- +goose StatementBegin
CREATE FUNCTION count_recording(r recordings) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counts VALUES ('', r.node, r.status, 1), (r.stream, r.node, r.status, 1)
        ON CONFLICT (stream, node, status) DO UPDATE SET recordings = counts.recordings + 1;
    INSERT INTO streams AS s VALUES (r.stream, 1, r.start_ms, round(r.duration * 1e6)::bigint, r.bytes)
        ON CONFLICT (stream) DO UPDATE SET
            recordings = s.recordings + 1,
            last_start_ms = greatest(s.last_start_ms, excluded.last_start_ms),
            duration_us = s.duration_us + excluded.duration_us,
            bytes = s.bytes + excluded.bytes;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION discount_recording(r recordings) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE counts SET recordings = recordings - 1
        WHERE stream IN ('', r.stream) AND node = r.node AND status = r.status;
    DELETE FROM counts WHERE stream IN ('', r.stream) AND node = r.node AND status = r.status AND recordings = 0;
    UPDATE streams SET
            recordings = recordings - 1,
            last_start_ms = CASE WHEN last_start_ms > r.start_ms THEN last_start_ms
                ELSE coalesce((SELECT max(start_ms) FROM recordings WHERE stream = r.stream), 0) END,
            duration_us = duration_us - round(r.duration * 1e6)::bigint,
            bytes = bytes - r.bytes
        WHERE stream = r.stream;
    DELETE FROM streams WHERE stream = r.stream AND recordings = 0;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION recordings_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        -- A recording that grows, as those that run do all the time.
        IF (OLD.stream, OLD.node, OLD.status, OLD.start_ms) = (NEW.stream, NEW.node, NEW.status, NEW.start_ms) THEN
            UPDATE streams SET
                    duration_us = duration_us - round(OLD.duration * 1e6)::bigint + round(NEW.duration * 1e6)::bigint,
                    bytes = bytes - OLD.bytes + NEW.bytes
                WHERE stream = NEW.stream AND (OLD.duration, OLD.bytes) <> (NEW.duration, NEW.bytes);
            RETURN NULL;
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM count_recording(NEW);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM discount_recording(OLD);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER recordings_counted AFTER INSERT OR UPDATE OR DELETE ON recordings
    FOR EACH ROW EXECUTE FUNCTION recordings_counted();

-- +goose StatementBegin
CREATE FUNCTION streams_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE feed SET streams = streams + CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER streams_counted AFTER INSERT OR DELETE ON streams
    FOR EACH ROW EXECUTE FUNCTION streams_counted();

-- +goose Down
DROP TRIGGER streams_counted ON streams;
DROP TRIGGER recordings_counted ON recordings;
DROP FUNCTION streams_counted;
DROP FUNCTION recordings_counted;
DROP FUNCTION discount_recording;
DROP FUNCTION count_recording;
ALTER TABLE feed DROP COLUMN streams;
DROP TABLE streams;
DROP TABLE counts;
DROP INDEX recordings_by_end;
DROP INDEX recordings_by_length;
ALTER TABLE recordings DROP COLUMN length;
DROP INDEX recordings_list_node_status;
DROP INDEX recordings_list_status;
DROP INDEX recordings_list_node;
DROP INDEX recordings_list_start;
DROP INDEX recordings_list_stream;
CREATE INDEX recordings_by_stream ON recordings (stream, start_ms DESC, record_dir DESC);
CREATE INDEX recordings_by_start ON recordings (start_ms DESC, record_dir DESC);
