-- +goose Up
-- Texts compare by their bytes, as in SQLite: pages and cursors depend on the order.
CREATE TABLE recordings (
    record_dir TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    stream     TEXT COLLATE "C" NOT NULL,
    record_id  TEXT             NOT NULL,
    mpd_path   TEXT             NOT NULL,
    node       TEXT COLLATE "C" NOT NULL,
    start_ms   BIGINT           NOT NULL, -- Unix milliseconds
    end_ms     BIGINT,                    -- Unix milliseconds; NULL while recording
    duration   DOUBLE PRECISION NOT NULL, -- seconds
    bytes      BIGINT           NOT NULL,
    status     TEXT COLLATE "C" NOT NULL,
    details    TEXT             NOT NULL, -- the whole recording as JSON; the columns win
    seq        BIGINT           NOT NULL, -- of its newest change, in the feed
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
        ELSE 7 END) STORED,
    -- The first millisecond of which a recording is not, however short; NULL while it runs.
    until_ms BIGINT GENERATED ALWAYS AS (CASE WHEN end_ms IS NOT NULL THEN greatest(end_ms, start_ms + 1) END) STORED
);

CREATE UNIQUE INDEX recordings_by_seq ON recordings (seq);
-- For retention: what ended first goes first.
CREATE INDEX recordings_by_end ON recordings (end_ms, record_dir);
-- For what a manager looks through when it has followed a node's feed from its beginning.
CREATE INDEX recordings_of_node ON recordings (node, record_dir);
-- An index for each way to list, in the order of the list, with what its filters
-- and counts need.
CREATE INDEX recordings_list_start ON recordings (start_ms DESC, record_dir DESC) INCLUDE (end_ms);
CREATE INDEX recordings_list_node ON recordings (node, start_ms DESC, record_dir DESC) INCLUDE (end_ms);
CREATE INDEX recordings_list_status ON recordings (status, start_ms DESC, record_dir DESC) INCLUDE (end_ms);
CREATE INDEX recordings_list_node_status ON recordings ((node || '/' || status), start_ms DESC, record_dir DESC) INCLUDE (end_ms, node, status);
CREATE INDEX recordings_by_length ON recordings ((length + 0), start_ms DESC, record_dir DESC) INCLUDE (length, end_ms, stream, node, status);
-- start_ms + 0, and the like: no other index fits what is asked of these. The columns
-- within are included, without which PostgreSQL would read the table for them.
CREATE INDEX recordings_stream_length ON recordings ((stream || '/' || CAST(length AS TEXT)), (start_ms + 0) DESC, record_dir DESC) INCLUDE (stream, length, start_ms, end_ms);
CREATE INDEX recordings_list_stream ON recordings (stream, (start_ms + 0) DESC, record_dir DESC) INCLUDE (start_ms, end_ms, node, status);
CREATE INDEX recordings_stream_until ON recordings ((stream || ''), until_ms) INCLUDE (stream);

-- Every change takes the next number of the feed; whoever changes anything locks
-- the row of feed until the end of the transaction, so that the numbers are handed
-- out in the order in which the changes are committed.
CREATE TABLE feed (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id       TEXT    NOT NULL, -- random, of this database
    last_seq BIGINT  NOT NULL, -- of the newest change
    floor    BIGINT  NOT NULL, -- removals up to here may have been forgotten
    streams  BIGINT  NOT NULL DEFAULT 0 -- how many have recordings
);
INSERT INTO feed (one, id, last_seq, floor) VALUES (1, replace(gen_random_uuid()::text, '-', ''), 0, 0);

-- What is no longer in recordings, for the followers of the feed.
CREATE TABLE removals (
    record_dir TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    stream     TEXT             NOT NULL,
    seq        BIGINT           NOT NULL,
    deleting   INTEGER          NOT NULL -- 1 while the objects in the storage are being deleted, then 0
);
CREATE UNIQUE INDEX removals_by_seq ON removals (seq);
CREATE INDEX removals_done ON removals (seq) WHERE deleting = 0;
CREATE INDEX removals_deleting ON removals (record_dir) WHERE deleting = 1;

-- Numbers that are not given out: each time the database is opened some are
-- jumped. A number in a gap was given out by what this database has lost.
CREATE TABLE feed_gaps (
    above BIGINT NOT NULL PRIMARY KEY, -- the newest change before it
    below BIGINT NOT NULL              -- numbers up to here, itself included, are not given out
);

-- What a manager knows of its nodes. A node's own database leaves it empty.
CREATE TABLE nodes (
    alias      TEXT    NOT NULL PRIMARY KEY,
    url        TEXT    NOT NULL,
    token      TEXT    NOT NULL, -- for the manager, who has to send it
    local      INTEGER NOT NULL, -- 1: its recordings are on the node
    registered INTEGER NOT NULL, -- 1: it registered itself, 0: it is in the configuration
    feed       TEXT    NOT NULL, -- id of its feed, empty before the first walk through it
    cursor     TEXT    NOT NULL  -- place in it
);

-- What recordings say of the node that made them, and which node of the manager
-- that is: a node may call itself otherwise than the manager does.
CREATE TABLE node_names (
    name  TEXT COLLATE "C" NOT NULL, -- as in recording.json; empty: of a node without a name
    alias TEXT COLLATE "C" NOT NULL, -- of the node
    sure  INTEGER NOT NULL,          -- 1: the node said that it is called so, 0: its recordings do
    PRIMARY KEY (name, alias)
);

-- How many recordings there are; those of all streams are under ''.
CREATE TABLE counts (
    stream     TEXT COLLATE "C" NOT NULL,
    node       TEXT COLLATE "C" NOT NULL,
    status     TEXT COLLATE "C" NOT NULL,
    recordings BIGINT           NOT NULL,
    PRIMARY KEY (stream, node, status)
);

-- The sums over the recordings of each stream that has any.
CREATE TABLE streams (
    stream        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    recordings    BIGINT NOT NULL,
    last_start_ms BIGINT NOT NULL,
    duration_us   BIGINT NOT NULL, -- microseconds: sums of integers do not drift
    bytes         BIGINT NOT NULL
);

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
