package recorder

import (
	"context"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/depacket"
)

const (
	// maxPreroll and maxPrerolls bound the bytes of payload that are kept of a stream for
	// a recording that somebody may start, and of all streams together.
	maxPreroll  = 32 << 20
	maxPrerolls = 256 << 20
	// maxPrerollItems bounds the same by number: packets may be small.
	maxPrerollItems = 1 << 15
	// prerollKeys is how often a key frame is asked for at most, so that there is one to
	// begin with.
	prerollKeys = 2 * time.Second
	// startsKept is how many pictures a key frame may be behind the newest packet.
	startsKept = 64
)

// preroll keeps the newest packets of a stream that is not recorded, from a key frame on.
// A recording that somebody starts goes through them first, as if it had been started
// then. Its goroutine ends when the publisher leaves, or when it is handed over.
type preroll struct {
	r      *Recorder
	st     *live.Stream
	sub    *live.Subscription
	ctx    context.Context //nolint:containedctx // of run, which the registry has to end
	cancel context.CancelFunc
	done   chan struct{} // closed when run has ended

	// Below: run's own, and after done of who takes it over.
	read    int // items of sub
	joined  *live.Publication
	lead    *track // the video by which the others are cut; nil: there is none
	items   []live.Item
	first   int // number of items[0], of all that came since the publisher joined
	bytes   int
	reports map[media.TrackID]live.Item // the last one of each track from before the items
	starts  []pictureStart              // of the newest pictures of lead
	keys    []pictureStart              // of its key frames, within the items
	asked   time.Time
	results []depacket.Result
}

// pictureStart is where the first packet of a picture is.
type pictureStart struct {
	number   int
	ssrc, ts uint32
	at       time.Time
}

// wantsPreroll reports whether the newest packets of a stream are to be kept.
func (r *Recorder) wantsPreroll(stream string) bool {
	return r.o.Preroll > 0 && (len(r.o.PrerollStreams) == 0 || slices.ContainsFunc(r.o.PrerollStreams, func(p string) bool {
		ok, _ := path.Match(p, stream) // New has checked the patterns
		return ok
	}))
}

// beginPreroll keeps the newest packets of a stream that has a publisher and is not
// recorded. Called with mu held.
func (r *Recorder) beginPreroll(st *live.Stream) {
	id := st.ID()
	if r.closed || !r.wantsPreroll(id) || r.sessions[id] != nil || r.prerolls[id] != nil {
		return
	}
	sub, err := st.Subscribe(r.subscribing())
	if err != nil {
		return // it has gone
	}
	p := &preroll{r: r, st: st, sub: sub, done: make(chan struct{}), reports: map[media.TrackID]live.Item{}}
	p.ctx, p.cancel = context.WithCancel(r.ctx)
	r.prerolls[id] = p
	r.wg.Go(p.run)
}

// takePreroll takes the preroll of a stream out of the registry; nil if there is none.
// Called with mu held.
func (r *Recorder) takePreroll(stream string) *preroll {
	p := r.prerolls[stream]
	delete(r.prerolls, stream)
	return p
}

// run keeps packets until the publisher has left, or somebody takes it over.
func (p *preroll) run() {
	defer close(p.done)
	items := make([]live.Item, readBatch)
	for {
		n, err := p.sub.ReadWithin(p.ctx, readTimeout, items)
		p.take(items[:n])
		clear(items)
		switch {
		case p.ctx.Err() != nil, err != nil, p.joined == nil && !p.publishes():
			p.r.mu.Lock()
			p.leave()
			p.r.mu.Unlock()
			return
		}
		p.tick(p.r.o.Now())
	}
}

// publishes reports whether the stream has a publisher. If it has none, the preroll is out
// of the registry, so that the next publisher gets another.
func (p *preroll) publishes() bool {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if _, ok := p.st.Publication(); ok {
		return true // its Joined is on the way
	}
	p.leave()
	return false
}

// leave ends the subscription, unless somebody has taken it over. Called with the
// recorder's mu held.
func (p *preroll) leave() {
	if p.r.prerolls[p.st.ID()] == p {
		delete(p.r.prerolls, p.st.ID())
		p.sub.Close()
		p.drop(len(p.items))
	}
}

// end ends a preroll that nobody needs.
func (p *preroll) end() {
	p.cancel()
	<-p.done
	p.sub.Close()
	p.drop(len(p.items))
}

// handOver ends the preroll and returns what a recording is to begin with, in order: what
// comes before the packets, and the packets. The subscription goes on behind them.
func (p *preroll) handOver() (before, items []live.Item) {
	p.cancel()
	<-p.done
	more := make([]live.Item, readBatch)
	for { // what waits; the context has ended
		n, _ := p.sub.Read(p.ctx, more)
		if n == 0 {
			break
		}
		p.take(more[:n])
	}
	now := p.r.o.Now()
	p.trim(now)
	defer func() { p.r.prerolled.bytes.Add(int64(-p.bytes)) }()
	if p.joined == nil {
		return nil, nil
	}
	before = append(before, live.Item{Joined: p.joined})
	if n := len(p.items); n == 0 || now.Sub(arrivalOf(&p.items[n-1])) > p.r.o.Preroll || p.lead != nil && len(p.keys) == 0 {
		p.drop(n) // nothing to begin with
	}
	for _, id := range slices.Sorted(maps.Keys(p.reports)) {
		before = append(before, p.reports[id])
	}
	return before, p.items
}

// take keeps what has come.
func (p *preroll) take(items []live.Item) {
	p.read += len(items)
	for i := range items {
		item := &items[i]
		switch {
		case item.Joined != nil:
			p.join(item.Joined)
		case item.Left:
			p.forget()
		case p.joined == nil || item.Packet == nil && item.Report == nil:
		default:
			p.keep(item)
		}
	}
	p.fit()
}

// join begins anew with a publisher.
func (p *preroll) join(pub *live.Publication) {
	p.forget()
	p.joined = pub
	for _, mt := range pub.Tracks() {
		if tr, err := newTrack(mt, 0); err == nil && mt.Kind == media.Video {
			p.lead = tr
			break
		}
	}
}

// forget forgets a publisher.
func (p *preroll) forget() {
	p.drop(len(p.items))
	clear(p.reports)
	p.joined, p.lead, p.starts, p.asked = nil, nil, nil, time.Time{}
}

// keep keeps a packet or a report, and finds the key frames.
func (p *preroll) keep(item *live.Item) {
	p.items = append(p.items, *item)
	if item.Packet == nil {
		return
	}
	size := len(item.Packet.Payload)
	p.bytes += size
	p.r.prerolled.bytes.Add(int64(size))
	if p.lead == nil || item.Packet.Track != p.lead.ID {
		return
	}
	pkt := item.Packet
	if n := len(p.starts); n == 0 || p.starts[n-1].ts != pkt.Timestamp || p.starts[n-1].ssrc != pkt.SSRC {
		if n == startsKept {
			p.starts = append(p.starts[:0], p.starts[1:]...)
		}
		p.starts = append(p.starts, pictureStart{p.first + len(p.items) - 1, pkt.SSRC, pkt.Timestamp, pkt.Arrival})
	}
	p.results = p.lead.dep.Push(pkt, p.results[:0])
	p.find(p.results)
}

// find notes the key frames among the frames of lead.
func (p *preroll) find(results []depacket.Result) {
	for _, res := range results {
		if res.Frame == nil || !res.Frame.Key {
			continue
		}
		ts := uint32(res.Frame.Timestamp + int64(res.Frame.Composition))
		i := slices.IndexFunc(p.starts, func(s pictureStart) bool { return s.ts == ts })
		if i >= 0 && p.starts[i].number >= p.first && (len(p.keys) == 0 || p.keys[len(p.keys)-1].number < p.starts[i].number) {
			p.keys = append(p.keys, p.starts[i])
		}
	}
}

// tick drops what is too old, and asks for a key frame where the newest is.
func (p *preroll) tick(now time.Time) {
	if p.lead != nil {
		p.results = p.lead.dep.Advance(now, p.results[:0])
		p.find(p.results)
		last := p.asked
		if n := len(p.keys); n > 0 {
			last = media.Later(last, p.keys[n-1].at)
		}
		if now.Sub(last) >= max(p.r.o.Preroll, prerollKeys) {
			p.asked = now
			p.sub.RequestKeyFrame(p.lead.ID)
		}
	}
	p.trim(now)
}

// trim drops what is from before the last key frame that is old enough.
func (p *preroll) trim(now time.Time) {
	old := now.Add(-p.r.o.Preroll)
	if p.lead == nil {
		p.dropBefore(old)
		return
	}
	if len(p.keys) == 0 { // nothing of it can be decoded, but for what is coming
		p.dropBefore(now.Add(-prerollKeys))
	}
	for i, k := range slices.Backward(p.keys) {
		if !k.at.After(old) || i == 0 {
			p.drop(k.number - p.first)
			return
		}
	}
}

// fit keeps the bounds: it drops what is before the second key frame, or, if there is
// none, everything.
func (p *preroll) fit() {
	for len(p.items) > 0 && (p.bytes > maxPreroll || len(p.items) > maxPrerollItems || p.r.prerolled.bytes.Load() > maxPrerolls) {
		switch {
		case len(p.keys) > 1:
			p.drop(p.keys[1].number - p.first)
		case p.lead == nil:
			p.drop((len(p.items) + 1) / 2)
		default:
			p.drop(len(p.items))
		}
	}
}

// dropBefore drops what arrived before a time.
func (p *preroll) dropBefore(t time.Time) {
	n := 0
	for n < len(p.items) && arrivalOf(&p.items[n]).Before(t) {
		n++
	}
	p.drop(n)
}

// drop drops the first n items. Of the reports among them the last of each track stays.
func (p *preroll) drop(n int) {
	if n <= 0 {
		return
	}
	freed := 0
	for i := range p.items[:n] {
		switch item := &p.items[i]; {
		case item.Packet != nil:
			freed += len(item.Packet.Payload)
		case item.Report != nil:
			p.reports[item.Report.Track] = *item
		}
	}
	p.items = slices.Delete(p.items, 0, n)
	p.first += n
	p.bytes -= freed
	p.r.prerolled.bytes.Add(int64(-freed))
	p.keys = slices.DeleteFunc(p.keys, func(k pictureStart) bool { return k.number < p.first })
}

// Prerolled returns how many bytes of packets are kept for recordings that may be started.
func (r *Recorder) Prerolled() int64 { return r.prerolled.bytes.Load() }

// kept is what a session takes over.
type kept struct {
	preroll *preroll
	read    int         // items of the subscription that somebody else has read
	before  []live.Item // the publisher and its reports
	items   []live.Item // in order of their arrival
}

// takeOver lets the session begin with what has been kept of its stream. It is called
// before run.
func (s *session) takeOver() {
	p := s.kept.preroll
	if p == nil {
		return
	}
	s.kept.preroll = nil
	s.kept.before, s.kept.items = p.handOver()
	s.kept.read = p.read - len(s.kept.items)
	if len(s.kept.items) > 0 {
		s.now = arrivalOf(&s.kept.items[0])
		s.leftAt = s.now
	}
}

// beginWithKept handles what comes before the packets that were kept: it is from before
// the recording's beginning.
func (s *session) beginWithKept() {
	for i := range s.kept.before {
		s.record(&s.kept.before[i])
	}
	s.kept.before = nil
}

// next moves items to dst that came within a short time: so the session does what time
// makes due as if they came now.
func (k *kept) next(dst []live.Item) (n int) {
	for n < min(len(dst), len(k.items)) && (n == 0 || arrivalOf(&k.items[n]).Sub(arrivalOf(&k.items[0])) < readTimeout) {
		dst[n] = k.items[n]
		n++
	}
	clear(k.items[:n]) // so that the packets can be freed
	if k.items = k.items[n:]; len(k.items) == 0 {
		k.items = nil
	}
	return n
}
