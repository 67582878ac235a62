-- +goose Up
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

-- For what a manager looks through when it has followed a node's feed from its beginning.
CREATE INDEX recordings_of_node ON recordings (node, record_dir);

-- +goose Down
DROP INDEX recordings_of_node;
DROP TABLE nodes;
