//go:build !race

package catalogue

import (
	"testing"

	"github.com/live777/recorder/internal/media"
)

// TestLists: no page of a list reads all recordings or sorts them, with and without
// statistics of the tables, and totals are exact.
func TestLists(t *testing.T) {
	databases(t, shapes(12_000), func(name string, fill func(testing.TB) scaled) {
		t.Run(name, func(t *testing.T) {
			s := fill(t)
			s.checkPlans(t)
			if s.dialect == "sqlite" { // the plans are not those of its own statistics
				s.exec(t, "ANALYZE")
				s.DB = open(t, s.url) // connections read them when they are made
				s.checkPlans(t)
			}
			if s.streams == 1 {
				s.checkTotals(t)
			}
		})
	})
}

// checkTotals counts more of a stream's recordings than MaxCounted.
func (s scaled) checkTotals(t *testing.T) {
	t.Helper()
	for _, tt := range []struct {
		from, to float64 // in recordings from the first; negative: no bound
		want     int
	}{
		{-1, -1, 12_000}, {0, -1, 12_000}, {-1, 12_000, 12_000}, {1, -1, 11_999}, {0.5, -1, 12_000}, {-1, 1, 1}, {-1, 1.01, 2},
		{100, 11_000, 10_900}, {100.5, 11_000.5, 10_901}, {9000, 9000, 0}, {9000.5, 9000.5, 1}, {20_000, -1, 1}, {11_998, 20_000, 2},
	} {
		q := media.RecordingQuery{Stream: "stream-100000", Limit: 1}
		if tt.from >= 0 {
			q.From = s.at(tt.from)
		}
		if tt.to >= 0 {
			q.To = s.at(tt.to)
		}
		if page, err := s.ListPage(t.Context(), q); err != nil || page.Total != tt.want {
			t.Errorf("from %g to %g there are %d, %v; want %d", tt.from, tt.to, page.Total, err, tt.want)
		}
	}
}
