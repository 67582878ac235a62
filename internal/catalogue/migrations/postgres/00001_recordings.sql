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
    seq        BIGINT           NOT NULL  -- of its newest change, in the feed
);
CREATE UNIQUE INDEX recordings_by_seq ON recordings (seq);
CREATE INDEX recordings_by_stream ON recordings (stream, start_ms DESC, record_dir DESC);
CREATE INDEX recordings_by_start ON recordings (start_ms DESC, record_dir DESC);

-- Every change takes the next number of the feed; whoever changes anything locks
-- the row of feed until the end of the transaction, so that the numbers are handed
-- out in the order in which the changes are committed.
CREATE TABLE feed (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id       TEXT    NOT NULL, -- random, of this database
    last_seq BIGINT  NOT NULL, -- of the newest change
    floor    BIGINT  NOT NULL  -- removals up to here may have been forgotten
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

-- +goose Down
DROP TABLE feed_gaps;
DROP TABLE removals;
DROP TABLE feed;
DROP TABLE recordings;
