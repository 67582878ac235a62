package e2e

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/live777/recorder/internal/testkit/portlock"
)

// testImage starts what the image has, in its file system alone, as its user, with the
// volume of the version before.
func testImage(t *testing.T, first, second release) {
	t.Helper()
	ca, c := newAuthority(t), &container{t: t, dir: t.TempDir(), address: portlock.Address(t)}
	c.reachable()
	c.unpack(first.image)
	for name, data := range map[string][]byte{"cert.pem": ca.cert, "key.pem": ca.key} {
		c.write(name, data)
	}
	upgradeWhileRecording(t, ca, func() *server {
		s := runNode(t, c.command(), c.address, filepath.Join(c.dir, c.image.Config.WorkingDir, "storage"), ca)
		if out, err := c.command("health", "-ready").CombinedOutput(); err != nil || !strings.Contains(string(out), `"ok"`) {
			t.Errorf("health: %v\n%s", err, out)
		}
		return s
	}, func() { c.unpack(second.image) }, second.version)
	if err := c.command("health").Run(); err == nil {
		t.Error("a node that has ended is well")
	}
}

// container is a folder with what an image has.
type container struct {
	t       *testing.T
	dir     string
	address string
	image   imageConfig
}

// reachable has the image's user get to the folder.
func (c *container) reachable() {
	c.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	for up := c.dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil { //nolint:gosec // see above
			c.t.Fatal(err)
		}
	}
}

// user returns who runs the program.
func (c *container) user() (uid, gid int) {
	c.t.Helper()
	if _, err := fmt.Sscanf(c.image.Config.User, "%d:%d", &uid, &gid); err != nil || uid <= 0 || gid <= 0 {
		c.t.Fatalf("the user is %q, %v", c.image.Config.User, err)
	}
	return uid, gid
}

// write writes a file in the volume.
func (c *container) write(name string, data []byte) {
	c.t.Helper()
	file := filepath.Join(c.dir, c.image.Config.WorkingDir, name)
	err := os.WriteFile(file, data, 0o600)
	if err == nil && os.Geteuid() == 0 {
		uid, gid := c.user()
		err = os.Chown(file, uid, gid)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// command is the image's command line with further arguments.
func (c *container) command(args ...string) *exec.Cmd {
	c.t.Helper()
	uid, gid := c.user()
	line := slices.Concat(c.image.Config.Entrypoint, args)
	cmd := exec.CommandContext(context.Background(), line[0], line[1:]...)
	cmd.Dir = c.image.Config.WorkingDir
	cmd.Env = append(slices.Clone(c.image.Config.Env), "LIVE777_HTTP_LISTEN="+c.address, "LIVE777_WEBRTC_LISTEN=127.0.0.1:0", "LIVE777_RECORDER_AUTO_STREAMS=*",
		"LIVE777_HTTP_TLS_CERT=cert.pem", "LIVE777_HTTP_TLS_KEY=key.pem")
	if os.Geteuid() != 0 {
		cmd.Path, cmd.Dir = filepath.Join(c.dir, cmd.Path), filepath.Join(c.dir, cmd.Dir)
		return cmd
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.dir, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}} //nolint:gosec // positive
	return cmd
}

// unpack puts the image's files over those that are there.
func (c *container) unpack(image string) { c.t.Helper(); c.image = unpackImage(c.t, image, c.dir) }

// imageConfig is what the test reads of an image's configuration.
type imageConfig struct {
	Config struct {
		User, WorkingDir string
		Env, Entrypoint  []string
	} `json:"config"`
}

// unpackImage unpacks the layers of the image in an OCI layout, as a container has them.
func unpackImage(t *testing.T, layout, dir string) (config imageConfig) {
	t.Helper()
	f, err := os.Open(layout)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	blobs := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if blobs[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	type descriptor struct {
		Digest   string `json:"digest"`
		Platform *struct {
			Architecture string `json:"architecture"`
		} `json:"platform"`
	}
	blob := func(d descriptor, v any) []byte {
		t.Helper()
		data := blobs["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
		if v != nil {
			if err := json.Unmarshal(data, v); err != nil {
				t.Fatalf("%s: %v", d.Digest, err)
			}
		}
		return data
	}
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal(blobs["index.json"], &index); err != nil || len(index.Manifests) != 1 {
		t.Fatalf("%d images, %v", len(index.Manifests), err)
	}
	blob(index.Manifests[0], &index)
	at := slices.IndexFunc(index.Manifests, func(d descriptor) bool { return d.Platform != nil && d.Platform.Architecture == runtime.GOARCH })
	if at < 0 {
		t.Fatalf("no image is for %s", runtime.GOARCH)
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	blob(index.Manifests[at], &manifest)
	blob(manifest.Config, &config)
	for _, l := range manifest.Layers {
		unpackLayer(t, blob(l, nil), dir)
	}
	return config
}

func unpackLayer(t *testing.T, layer []byte, dir string) {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(string(layer)))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(name, h.FileInfo().Mode().Perm())
		} else {
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				_ = os.Remove(name) // it may run
				err = os.WriteFile(name, data, h.FileInfo().Mode().Perm())
			}
		}
		if err == nil && os.Geteuid() == 0 {
			err = os.Lchown(name, h.Uid, h.Gid)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
