-- +goose Up
-- What one of the managers that use this database does, so that no other does it too: until
-- a time of the server, or for good. What is done is remembered until then.
CREATE TABLE claims (
    name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder TEXT             NOT NULL, -- random, of a process
    until  TIMESTAMPTZ      NOT NULL,
    done   BOOLEAN          NOT NULL
);
CREATE INDEX claims_by_time ON claims (until);
