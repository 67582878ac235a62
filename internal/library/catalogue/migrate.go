package catalogue

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"github.com/pressly/goose/v3"
)

// migrations has one folder of SQL files for each dialect. The number of the first file is
// the highest that tables had before the first release, so that older ones are found out.
//
//go:embed migrations
var migrations embed.FS

// migrate makes the tables of db by the files in folder, or brings them up to date.
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string, options ...goose.ProviderOption) error {
	provider, err := newProvider(db, dialect, folder, options...)
	if err != nil {
		return err
	}
	has, makes, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of its tables: %w", err)
	}
	known := slices.ContainsFunc(provider.ListSources(), func(s *goose.Source) bool { return s.Version == has })
	if has != 0 && !known {
		return fmt.Errorf("another version of the program made its tables, which have version %d, and this one makes version %d: "+
			"use the other one, or remove the database and have this program make it from storage (the command rebuild)", has, makes)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring its tables from version %d to %d: %w", has, makes, err)
	}
	return nil
}

func newProvider(db *sql.DB, dialect goose.Dialect, folder string, options ...goose.ProviderOption) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(dialect, db, files, append(options, goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}
