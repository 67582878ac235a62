package catalogue

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/live777/recorder/internal/media"
)

// Node is what a manager keeps of a node from one start to the next.
type Node struct {
	Alias string
	URL   string
	Token string // what the manager uses the node with
	// Local says that the node's recordings are on the node.
	Local bool
	// Registered says that the node registered itself.
	Registered bool
	// Feed is the id of the node's feed of changes, and Cursor the place in it up
	// to which this catalogue has followed; both are empty at first.
	Feed, Cursor string
}

// Nodes returns the nodes by their aliases.
func (db *DB) Nodes(ctx context.Context) ([]Node, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	rows, err := db.read.QueryContext(ctx, `SELECT alias, url, token, local, registered, feed, cursor FROM nodes ORDER BY alias`)
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", db.wrap(err))
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	var nodes []Node
	for rows.Next() {
		var n Node
		var local, registered int
		if err := rows.Scan(&n.Alias, &n.URL, &n.Token, &local, &registered, &n.Feed, &n.Cursor); err != nil {
			return nil, fmt.Errorf("list nodes: %w", db.wrap(err))
		}
		n.Local, n.Registered = local != 0, registered != 0
		nodes = append(nodes, n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list nodes: %w", db.wrap(err))
	}
	return nodes, nil
}

// PutNode stores what n says but its Feed and Cursor, in place of what is there
// with the same Alias. One whose Local has changed is followed from the beginning.
func (db *DB) PutNode(ctx context.Context, n Node) error {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	_, err := db.write.ExecContext(ctx, `INSERT INTO nodes (alias, url, token, local, registered, feed, cursor)
		VALUES ($1, $2, $3, $4, $5, '', '')
		ON CONFLICT (alias) DO UPDATE SET url = excluded.url, token = excluded.token, registered = excluded.registered,
			feed = CASE WHEN nodes.local = excluded.local THEN nodes.feed ELSE '' END,
			cursor = CASE WHEN nodes.local = excluded.local THEN nodes.cursor ELSE '' END,
			local = excluded.local`,
		n.Alias, n.URL, n.Token, number(n.Local), number(n.Registered))
	if err != nil {
		return fmt.Errorf("put node %q: %w", n.Alias, db.wrap(err))
	}
	return nil
}

// Gone is the Cursor of a node that was removed, and whose recordings are being taken out.
const Gone = "gone"

// SetCursor notes the place in the feed of a node that is known. A node that is Gone has
// none; it comes back where feed and cursor are empty.
func (db *DB) SetCursor(ctx context.Context, alias, feed, cursor string) error {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	if _, err := db.write.ExecContext(ctx, `UPDATE nodes SET feed = $2, cursor = $3
		WHERE alias = $1 AND (cursor <> '`+Gone+`' OR $2 = '')`, alias, feed, cursor); err != nil {
		return fmt.Errorf("set cursor of node %q: %w", alias, db.wrap(err))
	}
	return nil
}

// DeleteNode forgets a node and its names; one that is not there is no error.
func (db *DB) DeleteNode(ctx context.Context, alias string) error {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	for _, query := range []string{`DELETE FROM node_names WHERE alias = $1`, `DELETE FROM nodes WHERE alias = $1`} {
		if _, err := db.write.ExecContext(ctx, query, alias); err != nil {
			return fmt.Errorf("delete node %q: %w", alias, db.wrap(err))
		}
	}
	return nil
}

// NodeName is a name that recordings have as their Node where they are stored, and
// the node of the manager whose they are.
type NodeName struct {
	Name  string // empty: of recordings that name no node
	Alias string
	// Sure says that the node calls itself so, or that somebody has said it; else
	// it has told of recordings with that name, and may have them from another.
	Sure bool
}

// NodeNames returns all names of nodes, by name and alias. Several nodes may have
// the same name, and a node several: those that it had before.
func (db *DB) NodeNames(ctx context.Context) ([]NodeName, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	rows, err := db.read.QueryContext(ctx, `SELECT name, alias, sure FROM node_names ORDER BY name, alias`)
	if err != nil {
		return nil, fmt.Errorf("list the names of nodes: %w", db.wrap(err))
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	var names []NodeName
	for rows.Next() {
		var n NodeName
		var sure int
		if err := rows.Scan(&n.Name, &n.Alias, &sure); err != nil {
			return nil, fmt.Errorf("list the names of nodes: %w", db.wrap(err))
		}
		n.Sure = sure != 0
		names = append(names, n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the names of nodes: %w", db.wrap(err))
	}
	return names, nil
}

// PutNodeName notes a name. One that is sure stays so. A name that no recording
// can have is a fault.Invalid.
func (db *DB) PutNodeName(ctx context.Context, n NodeName) error {
	if err := checkText(n.Name); err != nil {
		return fmt.Errorf("put name of node %q: %w", n.Alias, err)
	}
	ctx, cancel := db.limit(ctx)
	defer cancel()
	_, err := db.write.ExecContext(ctx, `INSERT INTO node_names (name, alias, sure) VALUES ($1, $2, $3)
		ON CONFLICT (name, alias) DO UPDATE SET sure = excluded.sure WHERE excluded.sure > node_names.sure`,
		n.Name, n.Alias, number(n.Sure))
	if err != nil {
		return fmt.Errorf("put name of node %q: %w", n.Alias, db.wrap(err))
	}
	return nil
}

// Reassign makes recordings of one node those of another, at most limit of them
// and none whose RecordDir begins with except, if that is not empty, and returns
// how many: 0 when there are no more. Each is a change in the feed.
func (db *DB) Reassign(ctx context.Context, from, to, except string, limit int) (n int, err error) {
	err = db.change(ctx, limit, func(tx *sql.Tx, first int64) error {
		dirs, err := texts(tx.QueryContext(ctx, `SELECT record_dir FROM recordings
			WHERE node = $1 AND ($3 = '' OR substr(record_dir, 1, $2) <> $3) ORDER BY record_dir LIMIT $4`, from, len([]rune(except)), except, limit))
		if err != nil {
			return err
		}
		if n = len(dirs); n == 0 {
			return errNothing
		}
		for i, dir := range dirs {
			if _, err := tx.ExecContext(ctx, `UPDATE recordings SET node = $1, seq = $2 WHERE record_dir = $3`, to, first+int64(i), dir); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("give the recordings of node %q to %q: %w", from, to, err)
	}
	return n, nil
}

// DirsOfNode returns the RecordDirs of a node's recordings after the given one, in
// alphabetical order, at most limit. "" is before all.
func (db *DB) DirsOfNode(ctx context.Context, node, after string, limit int) ([]string, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	dirs, err := texts(db.read.QueryContext(ctx,
		`SELECT record_dir FROM recordings WHERE node = $1 AND record_dir > $2 ORDER BY record_dir LIMIT $3`, node, after, limit))
	if err != nil {
		return nil, fmt.Errorf("list the recordings of node %q: %w", node, db.wrap(err))
	}
	return dirs, nil
}

// texts reads all rows of one column.
func texts(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// maxFind bounds the parameters of a statement.
const maxFind = 500

// FindAll returns the recordings with the given RecordDirs, those that there are,
// in no order.
func (db *DB) FindAll(ctx context.Context, recordDirs []string) ([]media.Recording, error) {
	var found []media.Recording
	for len(recordDirs) > 0 {
		part := recordDirs[:min(len(recordDirs), maxFind)]
		recordDirs = recordDirs[len(part):]
		list, err := db.find(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("find recordings: %w", db.wrap(err))
		}
		found = append(found, list...)
	}
	return found, nil
}

func (db *DB) find(ctx context.Context, dirs []string) (found []media.Recording, err error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	names, args := make([]string, len(dirs)), make([]any, len(dirs))
	for i, dir := range dirs {
		names[i], args[i] = fmt.Sprintf("$%d", i+1), dir
	}
	rows, err := db.read.QueryContext(ctx, `SELECT `+columns+` FROM recordings WHERE record_dir IN (`+strings.Join(names, ", ")+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	for rows.Next() {
		r, err := db.scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
