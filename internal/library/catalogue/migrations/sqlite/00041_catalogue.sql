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
    details    TEXT    NOT NULL, -- the whole recording as JSON; the columns win
    seq        INTEGER NOT NULL DEFAULT 0, -- of its newest change, in the feed
    -- For those that began before a time and are still of it: up to 65 minutes long, then
    -- up to five times as long each, then longer; 8 have no end. A bound five times the one
    -- before keeps those that are looked at in vain few, however long recordings are.
    length INTEGER NOT NULL GENERATED ALWAYS AS (CASE
        WHEN end_ms IS NULL THEN 8
        WHEN end_ms - start_ms <= 3900000 THEN 0
        WHEN end_ms - start_ms <= 18000000 THEN 1
        WHEN end_ms - start_ms <= 90000000 THEN 2
        WHEN end_ms - start_ms <= 450000000 THEN 3
        WHEN end_ms - start_ms <= 2250000000 THEN 4
        WHEN end_ms - start_ms <= 11250000000 THEN 5
        WHEN end_ms - start_ms <= 56250000000 THEN 6
        ELSE 7 END) VIRTUAL,
    -- The first millisecond of which a recording is not, however short; NULL while it runs.
    until_ms INTEGER GENERATED ALWAYS AS (max(end_ms, start_ms + 1)) VIRTUAL
) STRICT;

CREATE UNIQUE INDEX recordings_by_seq ON recordings (seq);
-- For retention: what ended first goes first.
CREATE INDEX recordings_by_end ON recordings (end_ms, record_dir);
-- For what a manager looks through when it has followed a node's feed from its beginning.
CREATE INDEX recordings_of_node ON recordings (node, record_dir);
-- An index for each way to list, in the order of the list, with what its filters
-- and counts need.
CREATE INDEX recordings_list_start ON recordings (start_ms DESC, record_dir DESC, end_ms);
CREATE INDEX recordings_list_node ON recordings (node, start_ms DESC, record_dir DESC, end_ms);
CREATE INDEX recordings_list_status ON recordings (status, start_ms DESC, record_dir DESC, end_ms);
CREATE INDEX recordings_list_node_status ON recordings ((node || '/' || status), start_ms DESC, record_dir DESC, end_ms);
CREATE INDEX recordings_by_length ON recordings ((length + 0), start_ms DESC, record_dir DESC, end_ms, stream, node, status);
-- start_ms + 0, and the like: no other index fits what is asked of these.
CREATE INDEX recordings_stream_length ON recordings ((stream || '/' || CAST(length AS TEXT)), (start_ms + 0) DESC, record_dir DESC, end_ms);
CREATE INDEX recordings_list_stream ON recordings (stream, (start_ms + 0) DESC, record_dir DESC, end_ms, node, status);
CREATE INDEX recordings_stream_until ON recordings ((stream || ''), until_ms);

-- Every change takes the next number of the feed; the row of feed hands them out
-- in the order in which the changes are committed.
CREATE TABLE feed (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id       TEXT    NOT NULL, -- random, of this database
    last_seq INTEGER NOT NULL, -- of the newest change
    floor    INTEGER NOT NULL, -- removals up to here may have been forgotten
    streams  INTEGER NOT NULL DEFAULT 0 -- how many have recordings
) STRICT;
INSERT INTO feed (one, id, last_seq, floor) VALUES (1, lower(hex(randomblob(16))), 0, 0);

-- What is no longer in recordings, for the followers of the feed.
CREATE TABLE removals (
    record_dir TEXT    NOT NULL PRIMARY KEY,
    stream     TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    deleting   INTEGER NOT NULL -- 1 while the objects in the storage are being deleted, then 0
) STRICT;
CREATE UNIQUE INDEX removals_by_seq ON removals (seq);
CREATE INDEX removals_done ON removals (seq) WHERE deleting = 0;
CREATE INDEX removals_deleting ON removals (record_dir) WHERE deleting = 1;

-- Numbers that are not given out: each time the database is opened some are
-- jumped. A number in a gap was given out by what this database has lost.
CREATE TABLE feed_gaps (
    above INTEGER NOT NULL PRIMARY KEY, -- the newest change before it
    below INTEGER NOT NULL              -- numbers up to here, itself included, are not given out
) STRICT;

-- What a manager knows of its nodes. A node's own database leaves it empty.
CREATE TABLE nodes (
    alias      TEXT    NOT NULL PRIMARY KEY,
    url        TEXT    NOT NULL,
    token      TEXT    NOT NULL, -- for the manager, who has to send it
    local      INTEGER NOT NULL, -- 1: its recordings are on the node
    registered INTEGER NOT NULL, -- 1: it registered itself, 0: it is in the configuration
    feed       TEXT    NOT NULL, -- id of its feed, empty before the first walk through it
    cursor     TEXT    NOT NULL  -- place in it
) STRICT;

-- What recordings say of the node that made them, and which node of the manager
-- that is: a node may call itself otherwise than the manager does.
CREATE TABLE node_names (
    name  TEXT    NOT NULL, -- as in recording.json; empty: of a node without a name
    alias TEXT    NOT NULL, -- of the node
    sure  INTEGER NOT NULL, -- 1: the node said that it is called so, 0: its recordings do
    PRIMARY KEY (name, alias)
) STRICT, WITHOUT ROWID;

-- How many recordings there are; those of all streams are under ''.
CREATE TABLE counts (
    stream     TEXT    NOT NULL,
    node       TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    recordings INTEGER NOT NULL,
    PRIMARY KEY (stream, node, status)
) STRICT, WITHOUT ROWID;

-- The sums over the recordings of each stream that has any.
CREATE TABLE streams (
    stream        TEXT    NOT NULL PRIMARY KEY,
    recordings    INTEGER NOT NULL,
    last_start_ms INTEGER NOT NULL,
    duration_us   INTEGER NOT NULL, -- microseconds: sums of integers do not drift
    bytes         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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
