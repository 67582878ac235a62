package catalogue

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// migrations has one folder of SQL files for each dialect.
//
//go:embed migrations
var migrations embed.FS

// migrate brings the tables of db up to date with the files in folder.
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string, options ...goose.ProviderOption) error {
	provider, err := newProvider(db, dialect, folder, options...)
	if err != nil {
		return err
	}
	has, knows, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of its tables: %w", err)
	}
	if has > knows {
		return fmt.Errorf("its tables have version %d, this program knows up to %d: a newer program made it, use that", has, knows)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring its tables from version %d to %d: %w", has, knows, err)
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
