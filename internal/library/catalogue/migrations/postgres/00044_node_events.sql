-- +goose Up
-- What the managers that use this database tell of nodes: one of them writes, all read. The
-- last row of a node says what was told of it. n has no gaps when it is written.
CREATE TABLE node_events (
    n    BIGINT           NOT NULL PRIMARY KEY,
    node TEXT COLLATE "C" NOT NULL,
    kind TEXT             NOT NULL,
    at   TIMESTAMPTZ      NOT NULL,
    data TEXT             NOT NULL -- JSON
);
CREATE INDEX node_events_by_node ON node_events (node, n);
