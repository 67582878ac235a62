-- +goose Up
CREATE TABLE recordings (
    record_dir TEXT    NOT NULL PRIMARY KEY,
    stream     TEXT    NOT NULL,
    record_id  TEXT    NOT NULL,
    mpd_path   TEXT    NOT NULL,
    node       TEXT    NOT NULL,
    start_ms   INTEGER NOT NULL, -- Unix milliseconds
    end_ms     INTEGER,          -- Unix milliseconds; NULL while recording
    duration   REAL    NOT NULL, -- seconds
    bytes      INTEGER NOT NULL,
    status     TEXT    NOT NULL,
    details    TEXT    NOT NULL  -- the whole recording as JSON; the columns win
) STRICT;

-- Both hold all that counting and summing need, so that only the rows of the
-- page itself, with their JSON, are read.
CREATE INDEX recordings_by_stream ON recordings (stream, start_ms DESC, record_dir DESC, end_ms, duration, bytes);
CREATE INDEX recordings_by_start ON recordings (start_ms DESC, record_dir DESC, end_ms);

-- +goose Down
DROP TABLE recordings;
