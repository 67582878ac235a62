// Package signalling gives a cluster one address for WHIP and WHEP. It chooses a node for
// each publisher and viewer, and passes their requests on to it. Media flow between the
// client and the node; nothing of them comes through here.
//
// A session has the name that its node gave it, with the node's alias before it. So every
// manager of the cluster finds the node of every session, also one that another manager
// has passed on.
package signalling
