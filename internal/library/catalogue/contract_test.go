package catalogue_test

import (
	"path/filepath"
	"testing"

	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/catalogue/cataloguetest"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
)

func TestContract(t *testing.T) {
	contract := func(url func(*testing.T) string) func(*testing.T) {
		return func(t *testing.T) {
			cataloguetest.Run(t, func(t *testing.T) *catalogue.DB {
				db, err := catalogue.Open(t.Context(), url(t))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := db.Close(); err != nil {
						t.Error(err)
					}
				})
				return db
			})
		}
	}
	t.Run("file", contract(func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "catalogue.db") }))
	t.Run("memory", contract(func(*testing.T) string { return "sqlite://:memory:" }))
	t.Run("postgres", func(t *testing.T) {
		server := pgtest.Start(t)
		contract(func(*testing.T) string { return server.Database() })(t)
	})
}
