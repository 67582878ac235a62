package manager

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/serve/api"
)

const (
	// maxURL and maxToken bound what a node registers with, in bytes.
	maxURL   = 2048
	maxToken = 4096
	// maxRegistered bounds the nodes that have registered, because each is asked all
	// the time.
	maxRegistered = 1000
)

// maxProving bounds how many known nodes are asked at the same time whether they are
// the one that registers.
const maxProving = 8

var errProving = fault.New(fault.Unavailable, "too many nodes register at the same time; it will be tried again")

// Register implements api.Fleet. A node that registers as before changes nothing. All
// nodes know the registration token, so it lets nobody take the place of another node.
// What is known of an alias is changed only by administrators, and by a node that
// proves to be the one (prove).
func (f *fleet) Register(ctx context.Context, r api.NodeRegistration, admin bool) (api.FleetNode, bool, error) {
	if !config.IsAlias(r.Alias) {
		return api.FleetNode{}, false, fault.New(fault.Invalid, "alias is no name of a node; set recorder.node_alias to letters, digits, -, _ and .")
	}
	if len(r.URL) > maxURL || len(r.Token) > maxToken {
		return api.FleetNode{}, false, fault.Errorf(fault.Invalid, "url has more than %d bytes, or token more than %d", maxURL, maxToken)
	}
	if !config.IsBaseURL(r.URL) {
		return api.FleetNode{}, false, fault.New(fault.Invalid, `url is no URL of a server; set manager.node_url to "http://host:port"`)
	}
	if err := peer.Allowed(ctx, f.o.Allow, r.URL, f.o.Timeout); err != nil {
		return api.FleetNode{}, false, err
	}
	proven, err := f.inPlaceOf(ctx, r)
	for i := range proven {
		if err == nil && !admin {
			err = f.prove(ctx, &proven[i], r) // without the lock: it waits for a node
		}
	}
	if err != nil {
		return api.FleetNode{}, false, err
	}
	f.changing.Lock()
	defer f.changing.Unlock()
	release, err := f.claimNode(ctx, r.Alias)
	if err != nil {
		return api.FleetNode{}, false, err
	}
	defer release()
	now, err := f.inPlaceOf(ctx, r)
	if err == nil && !admin && !slices.EqualFunc(proven, now, sameRegistration) {
		err = fault.Errorf(fault.Conflict, "node %q has just been registered by somebody else; it will be tried again", r.Alias)
	}
	if err != nil {
		return api.FleetNode{}, false, err
	}
	return f.replace(ctx, r)
}

// inPlaceOf returns the registered nodes that have the alias or the URL of r, by alias.
// The error is a fault.Conflict if the configuration has it.
func (f *fleet) inPlaceOf(ctx context.Context, r api.NodeRegistration) ([]catalogue.Node, error) {
	base := peer.New(f.http, r.URL, "").Base
	var known []catalogue.Node
	others := 0
	for _, n := range f.all() {
		if n.source == registered && n.alias != r.Alias {
			others++
		}
		switch {
		case n.alias != r.Alias && strings.EqualFold(n.alias, r.Alias):
			return nil, fault.Errorf(fault.Conflict, "there is a node %q: aliases differ by more than the case of letters", n.alias)
		case n.alias != r.Alias && n.client.Base != base:
			continue
		case n.source == configured && n.alias == r.Alias:
			return nil, fault.Errorf(fault.Conflict, "node %q is in the manager's configuration ([[nodes]]), which holds; "+
				"take manager.url out of the node's, or give it another recorder.node_alias", n.alias)
		case n.source == configured:
			return nil, fault.Errorf(fault.Conflict, "the node with that URL is %q in the manager's configuration ([[nodes]]), which holds", n.alias)
		}
		known = append(known, n.registration())
	}
	if others >= maxRegistered {
		return nil, fault.Errorf(fault.Unavailable, "the manager has %d nodes that have registered, and takes no more: remove some, DELETE /api/nodes/{alias}", others)
	}
	if f.node(r.Alias) != nil {
		return known, nil
	}
	// The nodes of the catalogue may not have been loaded yet.
	saved, err := f.o.Catalogue.Nodes(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	for _, s := range saved {
		if s.Alias != r.Alias && strings.EqualFold(s.Alias, r.Alias) {
			return nil, fault.Errorf(fault.Conflict, "there was a node %q: aliases differ by more than the case of letters", s.Alias)
		}
		if s.Registered && (s.Alias == r.Alias || s.URL == base) && f.node(s.Alias) == nil {
			known = append(known, s)
		}
	}
	return known, nil
}

func sameRegistration(a, b catalogue.Node) bool {
	return a.Alias == b.Alias && a.URL == b.URL && a.Token == b.Token && a.Local == b.Local
}

// prove returns nil if the node that registers is the one that is known by its alias or
// URL: it brings the token that the manager has of that node, or one to which the node
// at the known address gives all rights. The token of the known node is sent nowhere
// for this.
func (f *fleet) prove(ctx context.Context, known *catalogue.Node, r api.NodeRegistration) error {
	unmoved := known.URL == peer.New(f.http, r.URL, "").Base && known.Local == f.keepsItself(r)
	if sameToken(known.Token, r.Token) && (unmoved || r.Token != "") {
		return nil
	}
	select {
	case f.proving <- struct{}{}:
		defer func() { <-f.proving }()
	default:
		return errProving
	}
	var me struct {
		Kind    auth.Kind    `json:"kind"`
		Rights  []auth.Right `json:"rights"`
		Streams []string     `json:"streams"`
	}
	err := peer.New(f.guarded, known.URL, r.Token).GetJSON(ctx, "/api/me", f.o.Timeout, &me)
	switch {
	case err != nil:
	case !slices.Contains(me.Rights, auth.Admin) || !slices.Contains(me.Streams, "*"):
		err = errors.New("it does not give the token all rights")
	case me.Kind == auth.KindAnonymous && !unmoved: // it accepts any token, which shows nothing
		err = errors.New("it asks nobody for credentials, so that this cannot be shown")
	default:
		return nil
	}
	return fault.Errorf(fault.Conflict, "another node %q has registered, and the one at its address is not shown to be this one (%s): "+
		"where the node has moved or has new credentials, an administrator removes the old one first, DELETE /api/nodes/%s; "+
		"where it is another, give it another recorder.node_alias", known.Alias, fault.Text(err), known.Alias)
}

// sameToken compares in a time that does not depend on how far they match.
func sameToken(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// keepsItself reports whether the node that registers keeps its recordings itself.
func (f *fleet) keepsItself(r api.NodeRegistration) bool { return r.LocalStorage || f.o.Storage == nil }

// replace puts the node that registers in the place of what is known by its alias.
// It is called with f.changing locked.
func (f *fleet) replace(ctx context.Context, r api.NodeRegistration) (api.FleetNode, bool, error) {
	old := f.node(r.Alias)
	n := newNode(f, r.Alias, registered, r.URL, r.Token, f.keepsItself(r))
	if err := f.takePlace(ctx, n); err != nil {
		return api.FleetNode{}, false, err
	}
	if err := f.comeBack(ctx, r.Alias); err != nil {
		return api.FleetNode{}, false, err
	}
	if old != nil && old.client.Base == n.client.Base && old.local == n.local {
		if old.client.Token() == r.Token {
			return old.describe(), false, nil
		}
		// JSON Web Tokens expire, and nodes bring new ones.
		if err := f.o.Catalogue.PutNode(ctx, n.registration()); err != nil {
			return api.FleetNode{}, false, err
		}
		old.client.SetToken(r.Token)
		return old.describe(), false, nil
	}
	// The follower of the old address would overwrite the new node's cursor.
	f.stop(r.Alias)
	if err := f.o.Catalogue.PutNode(ctx, n.registration()); err != nil {
		f.goOn(old)
		return api.FleetNode{}, false, err
	}
	f.log.Info("node registered", "node", n.alias, "url", n.client.Base)
	f.add(n)
	return n.describe(), old == nil, nil
}

// takePlace stops following other nodes that registered with the URL of n: two nodes
// cannot have one URL, and n came last. It may be the same node with a new name, which
// its feed tells (succeed), or another machine.
func (f *fleet) takePlace(ctx context.Context, n *node) error {
	for _, other := range f.all() {
		if other.alias == n.alias || other.client.Base != n.client.Base {
			continue
		}
		f.stop(other.alias)
		if err := f.o.Catalogue.PutNode(ctx, catalogue.Node{Alias: other.alias, URL: other.client.Base, Local: other.local}); err != nil {
			f.goOn(other)
			return err
		}
		f.log.Info("another node has registered with this node's URL", "node", other.alias, "by", n.alias)
	}
	return nil
}

// registration returns what the catalogue keeps of a node that has registered.
func (n *node) registration() catalogue.Node {
	return catalogue.Node{
		Alias: n.alias, URL: n.client.Base, Token: n.client.Token(), Local: n.local, Registered: true,
	}
}
