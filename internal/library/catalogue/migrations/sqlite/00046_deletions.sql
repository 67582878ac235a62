-- +goose Up
-- Recordings that are deleted in a while, so that this can be taken back.
CREATE TABLE deletions (
    record_dir TEXT    NOT NULL PRIMARY KEY,
    stream     TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL, -- Unix milliseconds
    held_ms    INTEGER           -- it has begun: until then only who has begun it goes on
) STRICT, WITHOUT ROWID;
