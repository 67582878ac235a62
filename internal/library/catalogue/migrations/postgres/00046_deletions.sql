-- +goose Up
-- Recordings that are deleted in a while, so that this can be taken back.
CREATE TABLE deletions (
    record_dir TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    stream     TEXT COLLATE "C" NOT NULL,
    at_ms      BIGINT           NOT NULL, -- Unix milliseconds, by the clock of the server
    held_ms    BIGINT                     -- it has begun: until then only who has begun it goes on
);
