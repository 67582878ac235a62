package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/retention"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// shelf is the recordings of all nodes, one by one. It implements api.Recordings.
//
// A recording belongs to its node, which is asked to change or delete it. What is
// in shared storage and of a node that the manager does not know any more, or that
// keeps its recordings itself by now, is the manager's own: nobody else is left who
// could delete it.
//
// The feed is that of the manager's own catalogue, and names recordings as that
// does, "@alias/folder" for those that a node has itself: they must not be mistaken
// for one another.
type shelf struct {
	api.Changes
	fleet  *fleet
	keeper *retention.Keeper // of shared storage; nil without it
	*retention.Bin
}

// Recording implements api.Recordings.
func (s *shelf) Recording(ctx context.Context, recordDir string) (media.Recording, error) {
	r, err := s.find(ctx, recordDir)
	return folder.Unmount(r), err
}

func (s *shelf) find(ctx context.Context, recordDir string) (media.Recording, error) {
	r, err := s.fleet.find(ctx, recordDir)
	if errors.Is(err, catalogue.ErrNotFound) {
		return r, fault.Errorf(fault.NotFound, "there is no recording %q", recordDir).Coded("recording_unknown", "recording", recordDir)
	}
	return r, err
}

// owner returns the recording and its node, which is nil if that is unknown.
func (s *shelf) owner(ctx context.Context, recordDir string) (media.Recording, *node, error) {
	r, err := s.find(ctx, recordDir)
	if err != nil {
		return r, nil, err
	}
	n := s.fleet.node(r.Node)
	switch {
	case n != nil && (folder.Mounted(r) || !n.Keeps() || s.keeper == nil):
		err := n.isUp()
		return r, n, err
	case folder.Mounted(r) || s.keeper == nil:
		return r, nil, fault.Errorf(fault.Unavailable, "the recording is on node %q, which the manager does not know any more", r.Node).Coded("node_forgotten", "node", r.Node)
	}
	return r, nil, nil
}

// Protect implements api.Recordings.
func (s *shelf) Protect(ctx context.Context, recordDir string, protected bool) (media.Recording, error) {
	r, n, err := s.owner(ctx, recordDir)
	if err != nil {
		return media.Recording{}, err
	}
	s.fleet.Forget(r.RecordDir)
	defer s.fleet.Forget(r.RecordDir)
	if n == nil {
		if err := s.fleet.verify(ctx, r); err != nil {
			return media.Recording{}, err
		}
		return s.keeper.Protect(ctx, r.RecordDir, protected)
	}
	if n.IsOriginal() {
		return media.Recording{}, fault.Errorf(fault.Unsupported, "node %q is an original live777, which neither deletes nor protects recordings", n.alias).Coded("node_original", "node", n.alias)
	}
	body, err := json.Marshal(map[string]bool{"protected": protected})
	if err != nil {
		return media.Recording{}, fmt.Errorf("encode request: %w", err)
	}
	answer, err := n.pass(ctx, peer.Call{Method: http.MethodPatch, Path: recordingPath(r), Body: body, Wait: s.fleet.o.Control})
	if err != nil {
		return media.Recording{}, err
	}
	if answer.Status != http.StatusOK {
		return media.Recording{}, &api.NodeError{NodeAnswer: answer}
	}
	var now media.Recording
	if err := json.Unmarshal(answer.Body, &now); err != nil {
		return media.Recording{}, fault.Errorf(fault.Unavailable, "node %q: decode its answer: %w", n.alias, err)
	}
	// The node's feed brings the change into the catalogue, in the feed's order. The
	// feed may have told of something newer by now, such as the deletion.
	n.feed.Wake()
	return folder.Unmount(n.Mount(now)), nil
}

// deleteStored deletes a recording from shared storage, if storage has it as the node
// says.
func (s *shelf) deleteStored(ctx context.Context, r media.Recording) (done bool, err error) {
	if err := s.fleet.verify(ctx, r); err != nil {
		return false, err
	}
	return s.keeper.Delete(ctx, r.RecordDir)
}

// Delete implements api.Recordings.
func (s *shelf) Delete(ctx context.Context, recordDir string) (done bool, err error) {
	r, n, err := s.owner(ctx, recordDir)
	if err != nil {
		return false, err
	}
	defer s.fleet.Forget(r.RecordDir)
	if n == nil {
		return s.deleteStored(ctx, r)
	}
	if n.IsOriginal() {
		err := s.deleteOriginal(ctx, n, r)
		return err == nil, err
	}
	answer, err := n.pass(ctx, peer.Call{Method: http.MethodDelete, Path: recordingPath(r), Wait: s.fleet.o.Control})
	switch {
	case err != nil:
		return false, err
	case answer.Status == http.StatusNotFound:
		// The node does not know it: the catalogue was behind, or the node has lost its
		// database while shared storage still has the recording.
		if folder.Mounted(r) {
			break
		}
		stored, err := s.fleet.shared.Has(ctx, r.RecordDir)
		if err != nil {
			return false, fault.Errorf(fault.Unavailable, "shared storage does not answer: %w", err).Coded("storage_away")
		}
		if stored && s.keeper != nil {
			return s.deleteStored(ctx, r)
		}
	case answer.Status != http.StatusNoContent && answer.Status != http.StatusAccepted:
		return false, &api.NodeError{NodeAnswer: answer}
	}
	if err := s.fleet.o.Catalogue.Delete(ctx, r.RecordDir); err != nil {
		s.fleet.log.Warn("the catalogue was not updated at once", "stream", r.Stream, "record_id", r.RecordID, "error", err)
	}
	return answer.Status != http.StatusAccepted, nil
}

// deleteDue is Delete for whom nobody waits: what the node could not do now, it may do later.
func (s *shelf) deleteDue(ctx context.Context, recordDir string) (done bool, err error) {
	done, err = s.Delete(ctx, recordDir)
	if refused := (*api.NodeError)(nil); errors.As(err, &refused) && refused.Status >= http.StatusInternalServerError {
		err = fault.Wrap(fault.Unavailable, err)
	}
	return done, err
}

func recordingPath(r media.Recording) string {
	return "/api/recordings/" + api.EscapePath(folder.Unmount(r).RecordDir)
}
