package spool

import "slices"

// folderState says whose a folder is, in remote storage and here.
type folderState uint8

const (
	unclaimed folderState = iota // nobody is known to have claimed it
	claiming                     // recording.json was made here, and the remote has not acknowledged it yet
	claimed                      // the remote has acknowledged it
	foreign                      // the remote has another's recording.json
	abandoned                    // foreign or held, and recording.json was deleted here
	held                         // something in it has to be repaired, and could not be
	folderStates
)

// String implements fmt.Stringer.
func (s folderState) String() string {
	return [...]string{"unclaimed", "claiming", "claimed", "foreign", "abandoned", "held"}[s]
}

// ours reports whether this process need not ask the remote before it makes something in
// the folder: nobody else does, or nothing of it will be uploaded.
func (s folderState) ours() bool { return s != unclaimed && s != abandoned }

// stays reports whether nothing of the folder is uploaded, or deleted remotely, because
// what is there may be another's.
func (s folderState) stays() bool { return s == foreign || s == abandoned || s == held }

// folderEvent is what happens to a folder.
type folderEvent uint8

const (
	foundObject    folderEvent = iota // New finds an object of it
	foundWithClaim                    // New finds recording.json, and its claim
	foundClaimOnly                    // New finds the claim alone: the deletion of a foreign folder was interrupted
	createdAlone                      // recording.json is created, and nothing else is here
	created                           // recording.json is created beside other objects
	acknowledged                      // the remote has stored the claim
	denied                            // the remote has another's recording.json
	heldBack                          // Hold is called
	infoDeleted                       // recording.json is deleted
	folderEvents
)

// String implements fmt.Stringer.
func (e folderEvent) String() string {
	return [...]string{
		"found", "found with its claim", "found with the rest of a claim", "created alone", "created", "acknowledged",
		"denied", "held back", "recording.json deleted",
	}[e]
}

// transitions has all that can happen to a folder, and what it is then.
var transitions = [folderStates]map[folderEvent]folderState{
	unclaimed: {
		foundObject: claimed, createdAlone: claiming, created: claiming,
		heldBack: held, infoDeleted: unclaimed,
	},
	claiming: {
		acknowledged: claimed, denied: foreign, heldBack: held, infoDeleted: unclaimed,
	},
	claimed: {
		foundObject: claimed, foundWithClaim: claiming, foundClaimOnly: foreign,
		createdAlone: claiming, created: claiming, // the remote has lost it
		heldBack: held, infoDeleted: unclaimed,
	},
	foreign: {
		createdAlone: claiming, created: foreign, // the other's is gone
		acknowledged: foreign, // before the other's was seen
		heldBack:     foreign, infoDeleted: abandoned,
	},
	abandoned: {
		createdAlone: claiming, created: foreign,
		heldBack: abandoned, infoDeleted: abandoned,
	},
	held: {
		createdAlone: claiming, created: held,
		acknowledged: held, denied: foreign, // of an upload that was under way
		heldBack: held, infoDeleted: abandoned,
	},
}

// happens changes a folder's state. Called with mu held.
func (s *Spool) happens(f *folder, e folderEvent) {
	next, ok := transitions[f.state][e]
	if !ok {
		state := f.state
		s.note(func() {
			s.log.Error("a folder of the spool is in a state in which this cannot happen", "record_dir", f.name, "state", state, "event", e)
		})
		return
	}
	f.state = next
}

// folder has the entries of one recording.
type folder struct {
	name      string
	state     folderState
	media     []*entry // by seq; those that wait no more are dropped when they come first
	manifests []*entry // a few
	info      *entry
	count     int // entries of all classes and states
	inFlight  int
	lost      int  // entries that are
	listed    bool // is in Spool.active
}

// trim drops from the queue what does not wait any more.
func (f *folder) trim() {
	waits := func(e *entry) bool { return e.state == waiting || e.state == uploading }
	for len(f.media) > 0 && !waits(f.media[0]) {
		f.media[0] = nil
		f.media = f.media[1:]
	}
	// Deleting from the back must not leave a long tail of nothing.
	if n := len(f.media); n > 0 && !waits(f.media[n-1]) {
		f.media = f.media[:n-1]
	}
}

// next returns the folder's entry that is to be uploaded next, or when there may be one.
func (f *folder) next(now int64, probe bool) (best *entry, at int64) {
	if f.state.stays() {
		return nil, 0
	}
	consider := func(e *entry) {
		switch {
		case e.state != waiting || e.deleted || e.busy:
		case e.notBefore > now && (!probe || e.check):
			if at == 0 || e.notBefore < at {
				at = e.notBefore
			}
		case best == nil || e.before(best, probe):
			best = e
		}
	}
	if f.state == claiming { // and nothing else is uploaded
		consider(f.info)
		return best, at
	}
	for _, m := range f.manifests {
		if f.sentBefore(m.seq) && !f.manifestBefore(m.seq) {
			consider(m)
		}
	}
	if i := f.info; i != nil && f.sentBefore(i.seq) && !f.manifestBefore(i.seq) {
		consider(i)
	}
	for _, e := range f.media {
		if consider(e); best != nil && (!probe || best.attempts == 0) {
			break
		}
	}
	return best, at
}

// manifestBefore reports whether a manifest from before seq is to be uploaded.
func (f *folder) manifestBefore(seq uint64) bool {
	return slices.ContainsFunc(f.manifests, func(m *entry) bool { return !m.check && !m.stuck() && m.seq < seq })
}

// sentBefore reports whether all media before seq has been acknowledged, or never
// will be.
func (f *folder) sentBefore(seq uint64) bool {
	f.trim()
	return len(f.media) == 0 || f.media[0].seq > seq
}
