// Package remote opens the remote storage that a configuration names: the one
// place where the options of S3 and OSS meet their backends.
package remote

import (
	"context"
	"log/slog"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/oss"
	"github.com/live777/recorder/internal/storage/s3"
)

// Storage is a store that other processes use too.
type Storage interface {
	storage.Store
	storage.Presigner
	// Check finds out whether the storage can be used: a fault.Invalid names the
	// option that is wrong, a fault.Unavailable says that nobody answers.
	Check(ctx context.Context) error
}

// Open makes the client of a storage of type s3 or oss; nothing is asked of it.
func Open(ctx context.Context, o config.Storage, log *slog.Logger) (Storage, error) {
	if o.Type == config.StorageOSS {
		return oss.New(ctx, oss.Options{
			Bucket: o.Bucket, Root: o.Root, Region: o.Region, Endpoint: o.Endpoint,
			AccessKeyID: o.AccessKeyID, AccessKeySecret: string(o.AccessKeySecret), SecurityToken: string(o.SecurityToken), Logger: log,
		})
	}
	return s3.New(ctx, s3.Options{
		Bucket: o.Bucket, Root: o.Root, Region: o.Region, Endpoint: o.Endpoint,
		AccessKeyID: o.AccessKeyID, SecretAccessKey: string(o.SecretAccessKey), SessionToken: string(o.SessionToken),
		DisableConfigLoad: o.DisableConfigLoad, EnableVirtualHostStyle: o.EnableVirtualHostStyle, Logger: log,
	})
}
