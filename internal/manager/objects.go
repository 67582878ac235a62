package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/storage"
)

// objects are those of all recordings, to be read by the keys of the manager's catalogue:
// from nodes, of which no more is asked than is wanted, and from shared storage. It
// implements storage.Readable.
type objects struct{ *library }

// Get implements storage.Readable.
func (o objects) Get(ctx context.Context, key string, offset, length int64) (body io.ReadCloser, err error) {
	err = o.read(ctx, key, ways{
		relay: func(n *node, key string) (err error) {
			body, err = o.getFrom(ctx, n, key, offset, length)
			return err
		},
		stored: func(_ media.Recording, key string) (err error) {
			body, err = o.fleet.o.Storage.Get(ctx, key, offset, length)
			return err
		},
	})
	return body, err
}

// Stat implements storage.Readable.
func (o objects) Stat(ctx context.Context, key string) (object storage.Object, err error) {
	err = o.read(ctx, key, ways{
		relay: func(n *node, key string) (err error) {
			object, err = o.statOf(ctx, n, key)
			return err
		},
		stored: func(_ media.Recording, key string) (err error) {
			object, err = o.fleet.o.Storage.Stat(ctx, key)
			return err
		},
	})
	object.Key = key
	return object, err
}

// read has an object from where it is, if shared storage has it as the catalogue says.
func (o objects) read(ctx context.Context, key string, from ways) error {
	stored := from.stored
	from.stored = func(rec media.Recording, key string) error {
		if err := o.fleet.verify(ctx, rec); err != nil {
			return err
		}
		return stored(rec, key)
	}
	err := o.object(ctx, key, from)
	if fault.KindOf(err) == fault.NotFound && !errors.Is(err, storage.ErrNotFound) {
		err = fmt.Errorf("%w: %w", storage.ErrNotFound, err)
	}
	return err
}

// getFrom opens an object of a node.
func (o objects) getFrom(ctx context.Context, n *node, key string, offset, length int64) (io.ReadCloser, error) {
	if length == 0 { // no range can say that
		_, err := o.statOf(ctx, n, key)
		return http.NoBody, err
	}
	h := http.Header{}
	switch {
	case length > 0:
		h.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		h.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := o.ask(ctx, n, http.MethodGet, key, h)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable { // it ends before offset
		return http.NoBody, resp.Body.Close()
	}
	b := &nodeBody{Reader: resp.Body, Closer: resp.Body, ctx: ctx, fleet: o.fleet, node: n, key: key}
	err = b.begin(resp, offset)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if length > 0 {
		b.Reader = io.LimitReader(b.Reader, length)
	}
	return b, nil
}

// statOf asks a node about an object.
func (o objects) statOf(ctx context.Context, n *node, key string) (storage.Object, error) {
	method := http.MethodHead
	if n.IsOriginal() {
		method = http.MethodGet // else it does not say why there is none
	}
	resp, err := o.ask(ctx, n, method, key, nil)
	if err != nil {
		return storage.Object{}, err
	}
	_ = resp.Body.Close() // it is not read
	if resp.ContentLength < 0 {
		return storage.Object{}, fault.Errorf(fault.Unavailable, "node %q does not say how long %q is", n.alias, key)
	}
	modified, _ := http.ParseTime(resp.Header.Get("Last-Modified"))
	return storage.Object{Size: resp.ContentLength, Modified: modified, ETag: resp.Header.Get("ETag")}, nil
}

// ask sends a request for an object to a node. What is answered is the object, a part of
// it, or that it is shorter.
func (o objects) ask(ctx context.Context, n *node, method, key string, h http.Header) (*http.Response, error) {
	failed := func(err error) error {
		o.fleet.relayed(n, 0, true)
		return fault.Errorf(fault.Unavailable, "%w from node %q: %w", errNotRelayed, n.alias, err)
	}
	resp, err := n.client.Do(ctx, peer.Call{Method: method, Path: "/api/record/object/" + api.EscapePath(key), Header: h, Wait: o.fleet.o.Timeout})
	if err != nil {
		n.suspect()
		return nil, failed(err)
	}
	switch {
	case resp.Header.Get(playback.StandInHeader) != "":
		_ = resp.Body.Close() // a file has nothing in its place, and says so
		return nil, fmt.Errorf("%w: %w", noObject(key), errNotRelayed)
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusPartialContent, resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return resp, nil
	}
	said := peer.ErrorText(resp)
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound || n.IsOriginal() && isMissing(resp.StatusCode, said) {
		return nil, fmt.Errorf("%w: %w", noObject(key), errNotRelayed)
	}
	return nil, failed(peer.StatusError(resp.StatusCode, said))
}

// nodeBody is an object of a node that is being read.
type nodeBody struct {
	io.Reader
	io.Closer
	ctx   context.Context
	fleet *fleet
	node  *node
	key   string
	read  int64
	err   error
}

// begin goes to where the object is wanted from. A node may answer with all of it.
func (b *nodeBody) begin(resp *http.Response, offset int64) error {
	if resp.StatusCode == http.StatusOK {
		_, err := io.CopyN(io.Discard, b, offset)
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	var first int64
	if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &first); err != nil || first != offset {
		return fault.Errorf(fault.Unavailable, "node %q answers with other bytes of %q than it was asked for", b.node.alias, b.key)
	}
	return nil
}

// Read implements io.Reader. An object that breaks off is not shorter: the node is away.
func (b *nodeBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += int64(n)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fault.New(fault.Unavailable, "it broke off")
	}
	b.err = fault.Errorf(fault.Unavailable, "%q from node %q: %w", b.key, b.node.alias, peer.Explain(b.ctx, err))
	return n, b.err
}

// Close implements io.Closer.
func (b *nodeBody) Close() error {
	broken := b.err != nil && b.ctx.Err() == nil
	b.fleet.relayed(b.node, b.read, broken)
	if broken {
		b.node.suspect()
	}
	return b.Closer.Close()
}
