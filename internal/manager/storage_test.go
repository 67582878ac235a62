//go:build !norecorder

package manager

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/logging/logtest"
)

// What is wrong with the storage is said by the names that the manager's own
// configuration has for it, which are not those of a node's.
func TestStorageProblems(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s3 := config.Storage{
		Type: config.StorageS3, Bucket: "recordings", Region: "us-east-1", Endpoint: "http://127.0.0.1:1",
		AccessKeyID: "key", SecretAccessKey: "secret", DisableConfigLoad: true,
	}
	halfKey := s3
	halfKey.SecretAccessKey = ""
	for option, o := range map[string]config.Storage{
		"storage.root":              {Type: config.StorageFS, Root: filepath.Join(file, "below")},
		"storage.secret_access_key": halfKey,
	} {
		_, err := openStorage(t.Context(), o, logger(t))
		if err == nil || !strings.Contains(err.Error(), option) || strings.Contains(err.Error(), "recorder.") {
			t.Errorf("want an error that names %s: %v", option, err)
		}
		if o.Type == config.StorageS3 && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v is of the kind %v", err, fault.KindOf(err))
		}
	}
	var log logtest.Buffer
	if _, err := openStorage(t.Context(), s3, logger(t, &log)); err != nil { // it may come
		t.Errorf("storage that is away: %v", err)
	}
	if said := log.String(); !strings.Contains(said, "storage.endpoint") || strings.Contains(said, "recorder.") {
		t.Errorf("it is logged as %s", said)
	}
}
