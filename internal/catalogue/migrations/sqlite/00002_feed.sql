-- +goose Up
-- Every change takes the next number of the feed; the row of feed hands them out
-- in the order in which the changes are committed.
CREATE TABLE feed (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id       TEXT    NOT NULL, -- random, of this database
    last_seq INTEGER NOT NULL, -- of the newest change
    floor    INTEGER NOT NULL  -- removals up to here may have been forgotten
) STRICT;
INSERT INTO feed (one, id, last_seq, floor)
    SELECT 1, lower(hex(randomblob(16))), coalesce(max(rowid), 0), 0 FROM recordings;

ALTER TABLE recordings ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
UPDATE recordings SET seq = rowid;
CREATE UNIQUE INDEX recordings_by_seq ON recordings (seq);

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

-- +goose Down
DROP TABLE feed_gaps;
DROP TABLE removals;
DROP INDEX recordings_by_seq;
ALTER TABLE recordings DROP COLUMN seq;
DROP TABLE feed;
