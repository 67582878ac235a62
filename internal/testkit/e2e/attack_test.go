package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/docs/openapi"
	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

const (
	attackToken  = "administrators-token-of-the-attack" //nolint:gosec // of a test
	attackSecret = "secret-of-the-attack-on-the-node"   //nolint:gosec // of a test
	// warmUp is how long the first attack is, after which is measured what a program
	// keeps.
	warmUp = 5 * time.Second
)

// attackFor is how long the adversaries are at it: a moment in every test run, and
// as long as ATTACK_FOR says for make attack.
func attackFor(t *testing.T) time.Duration {
	t.Helper()
	s := os.Getenv("ATTACK_FOR")
	if s == "" {
		return 15 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("ATTACK_FOR: %v; say how long, as in 30m", err)
	}
	return d
}

// Everything that somebody with few rights can send to a node, all at once, costs
// those who use it nothing; nor does storage that lies to another node, nor nodes that
// lie to their manager. The streams beside it are recorded whole, all of them are
// listed, and memory, goroutines and descriptors are what they were before.
func TestAttack(t *testing.T) {
	d := attackFor(t)
	g := newSiege(t)
	g.warmUp()
	g.run(d, true)
	for _, i := range g.intruders {
		i.finish(t)
	}
	g.endBystanders()
	g.each(func(p *besieged) { p.recovers(t) })
	for _, p := range g.programs {
		if strings.Contains(p.log.String(), "panic") {
			t.Errorf("%s: the log tells of a panic", p.name)
		}
		if n := strings.Count(p.log.String(), "\n"); float64(n) > 2000+50*(d+warmUp).Seconds() {
			t.Errorf("%s: %d lines of log in %v", p.name, n, d)
		}
	}
}

// siege is all programs of the test, and who is in it.
type siege struct {
	t       *testing.T
	storage *hostileStorage
	hostile hostileNodes

	main, cloud *server
	manager     *service
	programs    []*besieged

	attack      *attack
	adversaries []adversary
	intruders   []*intruder // of them

	// Those who are to notice nothing: of the one node, and of the other.
	bystander, cloudBystander *publisher
	dir, cloudDir             string
	prey                      *publisher
}

// newSiege starts everything: a node that is attacked, one whose storage is, and the
// manager of both, which has nodes that are not what they should be, too.
func newSiege(t *testing.T) *siege {
	t.Helper()
	g := &siege{t: t}
	m := miniotest.Start(t)
	g.storage = &hostileStorage{server: m, proxy: miniotest.NewProxy(t, m.Endpoint)}
	access := fmt.Sprintf("[auth]\ntokens = [%q]\nsecret = %q\n", attackToken, attackSecret)
	const soon = "connect_timeout_seconds = 5\n"
	g.main = start(t, soon+access+"[recorder]\nnode_alias = \"main\"\nauto_streams = [\"bystander\", \"prey\", \"prey-media-*\"]\nsegment_seconds = 2\n")
	g.cloud = start(t, soon+access+s3Config(m, g.storage.proxy.Endpoint, "node_alias = \"cloud\"\nsegment_seconds = 2\n"))
	nodes := fmt.Sprintf("[[nodes]]\nalias = \"main\"\nurl = %q\ntoken = %q\n[[nodes]]\nalias = \"cloud\"\nurl = %q\ntoken = %[2]q\n",
		g.main.url, attackToken, g.cloud.url)
	for alias, name := range map[string]string{"liar": "liar", "double": "main"} {
		n := newHostileNode(t, name)
		g.hostile = append(g.hostile, n)
		nodes += fmt.Sprintf("[[nodes]]\nalias = %q\nurl = %q\n", alias, n.URL)
	}
	g.manager = newService(t, "liveman", nodes+"[http]\nlisten = \"%s\"\n"+access+
		fmt.Sprintf("[registration]\ntoken = %q\n[fleet]\npoll_seconds = 1\n", registrationToken))
	g.main.token, g.cloud.token, g.manager.token, g.manager.server.token = attackToken, attackToken, attackToken, attackToken
	g.programs = []*besieged{
		{server: g.main, name: "the node", most: 400e6}, {server: g.cloud, name: "the node with storage", most: 200e6}, {server: g.manager.server, name: "the manager", most: 700e6},
	}
	return g
}

// warmUp has all programs do what they do, and all adversaries for a moment: what is
// kept after that is what there is before the attack.
func (g *siege) warmUp() {
	for _, s := range []*server{g.main, g.cloud} {
		<-s.publish("warm-up", 2*time.Second).done
	}
	g.each(func(p *besieged) { p.before = p.server.idle(g.t) })
	g.beginBystanders()
	g.prepare()
	g.each(func(p *besieged) { p.running = p.server.idle(g.t) })
	g.run(warmUp, false)
	g.each(func(p *besieged) { p.rest(g.t) })
}

// each does something of all programs at once.
func (g *siege) each(do func(p *besieged)) {
	var wg sync.WaitGroup
	for _, p := range g.programs {
		wg.Go(func() { do(p) })
	}
	wg.Wait()
}

func (g *siege) beginBystanders() {
	running := func(st status) bool { return st.Recording && st.Duration > 0 }
	g.bystander, g.cloudBystander = g.main.publishApart("bystander"), g.cloud.publishApart("bystander-cloud")
	g.dir = g.main.await("the bystander's recording", "bystander", running).RecordDir
	g.cloudDir = g.cloud.await("the bystander's recording", "bystander-cloud", running).RecordDir
	g.prey = g.main.publish("prey", 0)
	g.main.await("the recording of the prey", "prey", running)
	for _, n := range g.hostile {
		n.dir, n.whose = g.dir, "bystander"
	}
}

// prepare makes the adversaries.
func (g *siege) prepare() {
	a := &attack{
		server: g.main, viewer: rights(g.t, auth.Subscribe), publisher: rights(g.t, auth.Publish, auth.Subscribe), recordist: rights(g.t, auth.Record),
		dir: g.dir, video: source(g.t, "h264_baseline.h264"), audio: source(g.t, "opus_stereo.ogg"),
	}
	g.attack = a
	whose := owned{
		"stream": "bystander", "session": g.session("bystander"), "record_dir": g.dir, "path": g.dir + "/manifest.mpd", "token": "guess", "mount": "@main", "alias": "main",
	}
	span := owned{"time": "now", "from": strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10), "to": "now", "name": "manifest.mpd"}
	maps.Copy(whose, span)
	ofManager := owned{"record_dir": g.dir, "path": "@main/" + g.dir + "/manifest.mpd", "stream": "bystander", "token": "guess", "mount": "@main", "alias": "main", "session": "main~" + g.session("bystander")}
	maps.Copy(ofManager, span)
	node, manager := newIntruder(g.t, a, g.main.url, openapi.Live777(), whose), newIntruder(g.t, a, g.manager.url, openapi.Liveman(), ofManager)
	g.intruders = []*intruder{node, manager}
	for _, i := range g.intruders {
		i.control(g.t)
	}
	g.adversaries = slices.Concat(adversaries, []adversary{
		{"every route of a node with every right", node.run}, {"every route of a manager with every right", manager.run}, {"who records to the bystander's folder", takeOver},
		{"hostile storage", g.storage.attack}, {"hostile nodes", g.hostile.attack}, g.manager.registrations(g.hostile), g.manager.relayed(),
		g.manager.watchman(g.dir, "bystander", "main"), g.manager.watchman(g.cloudDir, "bystander-cloud", "cloud"),
	})
}

// session returns the id of a publisher's session.
func (g *siege) session(stream string) string {
	var s struct {
		Publish struct{ Sessions []struct{ ID string } }
	}
	_, body := g.main.request(http.MethodGet, "/api/streams/"+stream, "")
	if err := json.Unmarshal(body, &s); err != nil || len(s.Publish.Sessions) != 1 {
		g.t.Fatalf("%s has the sessions %s: %v", stream, body, err)
	}
	return s.Publish.Sessions[0].ID
}

// run has all adversaries at it for some time. It is said whether each has to have
// done something.
func (g *siege) run(d time.Duration, all bool) {
	end := time.Now().Add(d)
	ctx, cancel := context.WithDeadline(g.t.Context(), end)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range g.programs {
		wg.Go(func() { p.watch(ctx, g.t) })
	}
	for _, adversary := range g.adversaries {
		wg.Go(func() {
			n, err := adversary.run(ctx, g.attack)
			if err != nil && ctx.Err() == nil && time.Until(end) > 0 { // sockets know of the end a moment before
				g.t.Errorf("%s: %v", adversary.name, err)
			}
			if n == 0 && all {
				g.t.Errorf("%s did nothing", adversary.name)
			}
			if all {
				g.t.Logf("%s: %d", adversary.name, n)
			}
		})
	}
	wg.Wait()
	g.manager.unregister()
}

// endBystanders checks what was recorded.
func (g *siege) endBystanders() {
	g.prey.end()
	g.bystander.end()
	g.cloudBystander.end()
	if err := errors.Join(g.bystander.err, g.cloudBystander.err); err != nil {
		g.t.Fatalf("the bystanders: %v", err)
	}
	g.main.await("the end", "bystander", func(st status) bool { return !st.Recording })
	rec := read(g.t, g.main.root, g.dir)
	if info := ledger(g.t, g.main, g.dir); info.Status != media.StatusComplete || info.Protected {
		g.t.Errorf("the bystander's recording is %s, protected %v: %s", info.Status, info.Protected, info.Reason)
	}
	if err := compare.Recording(g.bystander.log, rec, compare.Options{TailUnits: -1}).Err(); err != nil {
		g.t.Errorf("the bystander's recording: %v", err)
	}
	inBucket(g.t, openBucket(g.t, g.storage.server), g.cloudBystander.log, g.cloud.awaitEnd("bystander-cloud"))
	for stream, dir := range map[string]string{"bystander": g.dir, "bystander-cloud": g.cloudDir} {
		await.Until(g.t, "the manager has the end of "+stream, func() bool {
			list, _ := g.manager.recordings([]string{stream})
			return len(list) == 1 && list[0].RecordDir == dir && list[0].Status == media.StatusComplete
		})
	}
	g.playedByManager()
	g.whatTheySent()
}

// whatTheySent checks that what is recorded of adversaries is what it says, however
// little that is.
func (g *siege) whatTheySent() {
	dirs, err := filepath.Glob(filepath.Join(g.main.root, "prey-media-*", "*", media.InfoName))
	if err != nil || len(dirs) == 0 {
		g.t.Errorf("nothing was recorded of mutated media: %v", err)
	}
	if code, out := runCommand(g.t, g.main.dir, nil, "verify"); code != 0 {
		g.t.Errorf("live777 verify ends with %d:\n%s", code, out)
	}
}

// playedByManager gets the bystander's segments by way of the manager.
func (g *siege) playedByManager() {
	files, err := filepath.Glob(filepath.Join(g.main.root, g.dir, "v_seg_*.m4s"))
	if err != nil || len(files) < 3 {
		g.t.Fatalf("%d segments: %v", len(files), err)
	}
	for _, file := range files {
		want, err := os.ReadFile(file)
		if err != nil {
			g.t.Fatal(err)
		}
		a := g.manager.ask(http.MethodGet, "/api/record/object/@main/"+g.dir+"/"+filepath.Base(file), "")
		if a.status != http.StatusOK || !slices.Equal(a.body, want) {
			g.t.Errorf("%s is answered with %d and %d bytes of %d", file, a.status, len(a.body), len(want))
		}
	}
}

// rights returns a token for the stream "prey" alone.
func rights(t *testing.T, rights ...auth.Right) string {
	t.Helper()
	token, err := auth.Sign(attackSecret, time.Now().Add(2*time.Hour), []string{"prey", "prey-*"}, rights...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// pauseFor waits; it is false when the time of the attack is over.
func pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// adversaries are those who attack a node, each in its own way. What they return is
// how often they did what they do.
var adversaries = slices.Concat(packetAdversaries, mediaAdversaries, requestAdversaries)

type adversary struct {
	name string
	run  func(context.Context, *attack) (int, error)
}

// attack is what adversaries know: the node, tokens for one stream of it, and the
// folder of a recording that is not theirs.
type attack struct {
	server                       *server
	viewer, publisher, recordist string
	dir                          string
	video, audio                 *load.Source
}
