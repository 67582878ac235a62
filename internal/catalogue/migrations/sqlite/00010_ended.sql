-- +goose Up
-- For retention: what ended first goes first.
CREATE INDEX recordings_by_end ON recordings (end_ms, record_dir);

-- +goose Down
DROP INDEX recordings_by_end;
