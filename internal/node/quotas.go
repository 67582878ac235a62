package node

import (
	"cmp"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/quota"
)

// quotasOf returns what the configuration allows. The sessions of all are counted by
// package whip, apart from those that are not connected.
func quotasOf(c config.Limits) *quota.Quotas {
	o := quota.Options{
		All:  limitsOf(config.Quota{Publishers: c.Publishers, Viewers: c.Viewers, Recordings: c.Recordings, StreamKbps: c.StreamKbps, TotalKbps: c.TotalKbps}),
		Each: limitsOf(c.Each),
	}
	for _, r := range c.Rules {
		account, subject := "", ""
		if r.Account != "" {
			account = auth.OwnerOf(auth.KindAccount, r.Account)
		}
		if r.Subject != "" {
			subject = auth.OwnerOf(auth.KindJWT, r.Subject)
		}
		o.Rules = append(o.Rules, quota.Rule{Streams: r.Streams, Owner: cmp.Or(account, subject), Limits: limitsOf(r.Quota())})
	}
	return quota.New(o)
}

// refused counts what the server of the API has refused.
func (n *Node) refused(of, limit string) { n.quotas.Refuse(quota.Refusal{Of: of, Limit: limit}) }

// refusals returns how often what was refused: streams are counted where they are.
func (n *Node) refusals() map[quota.Refusal]int64 {
	all := n.quotas.Refused()
	if streams := n.streams.Refused(); streams > 0 {
		all[quota.Refusal{Of: "node", Limit: "streams"}] = streams
	}
	return all
}

func limitsOf(q config.Quota) quota.Limits {
	return quota.Limits{
		Count: quota.Counts{
			quota.Sessions: q.Sessions, quota.Publishers: q.Publishers, quota.Viewers: q.Viewers, quota.Recordings: q.Recordings,
		},
		StreamBitrate: int64(q.StreamKbps) * 1000, Bitrate: int64(q.TotalKbps) * 1000,
	}
}
