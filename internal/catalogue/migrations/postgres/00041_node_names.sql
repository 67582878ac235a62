-- +goose Up
-- What recordings say of the node that made them, and which node of the manager
-- that is: a node may call itself otherwise than the manager does.
CREATE TABLE node_names (
    name  TEXT COLLATE "C" NOT NULL, -- as in recording.json; empty: of a node without a name
    alias TEXT COLLATE "C" NOT NULL, -- of the node
    sure  INTEGER NOT NULL,          -- 1: the node said that it is called so, 0: its recordings do
    PRIMARY KEY (name, alias)
);

-- +goose Down
DROP TABLE node_names;
