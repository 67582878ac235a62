-- +goose Up
-- Where the managers that use this database have just sent the publishers of streams, so
-- that two of them send those of one stream to one node. The times are those of the server:
-- the managers' clocks may differ.
CREATE TABLE placements (
    stream TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    node   TEXT             NOT NULL,
    at     TIMESTAMPTZ      NOT NULL
);
CREATE INDEX placements_by_time ON placements (at);
