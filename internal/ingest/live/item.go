package live

import "github.com/live777/recorder/internal/media"

// Item is one entry of a subscription, in the order in which things happened.
// Exactly one of its pointers is set, or Left is true. The last item may have
// neither, but Dropped alone.
type Item struct {
	Packet *media.Packet
	Report *media.SenderReport
	// Discarded: packets came of the publisher that are no part of a track. It comes
	// at most once a second for a cause.
	Discarded *media.Discard
	// Joined: a publisher came; what follows is of its tracks. The first item
	// of a subscription to a stream that has a publisher.
	Joined *Publication
	// Left: the publisher went; nothing follows until the next Joined.
	Left bool
	// Dropped is the number of packets that were dropped right before this
	// item, or at the end of the subscription, because its queue was full.
	Dropped int
}

func (i *Item) isReport() bool { return i.Report != nil || i.Discarded != nil }
