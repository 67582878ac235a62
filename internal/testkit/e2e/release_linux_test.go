package e2e

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/portlock"
)

// makeRelease makes the package and the image of live777 for this machine.
func makeRelease(t *testing.T, version string) (deb, image string) {
	t.Helper()
	out := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "scripts/release.sh", ".cache/bin/release", ".cache/bin/supply", "packages", "images")
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "VERSION="+version, "OUT="+out, "PROGRAMS=live777", "FORMATS=deb", "PLATFORMS=linux/"+runtime.GOARCH)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	number := strings.TrimPrefix(version, "v")
	return filepath.Join(out, fmt.Sprintf("live777_%s_%s.deb", number, runtime.GOARCH)), filepath.Join(out, "live777_"+number+"_oci.tar")
}

// TestRelease tries what is downloaded: the package and the image.
func TestRelease(t *testing.T) {
	t.Parallel()
	deb, image := makeRelease(t, "v9.0.1")
	t.Run("package", func(t *testing.T) { t.Parallel(); testPackage(t, deb) })
	t.Run("image", func(t *testing.T) { t.Parallel(); testImage(t, image) })
}

// testPackage installs the package on this machine, starts its unit's command line as its
// user, and installs another version over it while it records: nothing ends by that, and
// after the restart that the package asks for the stream is recorded further, by the
// configuration as somebody has changed it. Removal leaves the recordings.
func testPackage(t *testing.T, first string) {
	t.Helper()
	second, _ := makeRelease(t, "v9.0.2")
	i := newInstallation(t)
	i.install(first)
	config := i.path(configFile)
	address := portlock.Address(t)
	if err := os.WriteFile(config, fmt.Appendf(nil, "[http]\nlisten = %q\n[recorder]\nauto_streams = [\"*\"]\nreconnect_seconds = 30\n", address), 0o640); err != nil {
		t.Fatal(err)
	}
	i.say("enable --quiet live777.service", "start live777.service")
	s := i.start(address)
	a := s.publish("camera", time.Minute)
	before := s.await("4 s", "camera", func(st status) bool { return st.Recording && st.Duration >= 4 })

	i.install(second)
	i.say("try-restart live777.service")
	if st := s.status("camera"); !st.Recording || st.RecordDir != before.RecordDir {
		t.Errorf("the upgrade has ended the recording: %+v", st)
	}
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	a.end()
	s = i.start(address)
	if _, info := s.request(http.MethodGet, "/api/info", ""); !strings.Contains(string(info), `"v9.0.2"`) {
		t.Errorf("after the upgrade it is %s", info)
	}
	b := s.publish("camera", time.Minute)
	after := s.await("3 s more", "camera", func(st status) bool { return st.Recording && st.Duration >= 3 })
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	b.end()
	i.remove()
	i.say("disable --now live777.service")
	for dir, p := range map[string]*publisher{before.RecordDir: a, after.RecordDir: b} {
		if err := compare.Recording(p.log, read(t, s.root, dir), compare.Options{TailUnits: -1}).Err(); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// installation is where the package is: this machine, if that may be changed and has none,
// or else a folder that it is unpacked to.
type installation struct {
	t       *testing.T
	root    string // "" is this machine
	log     string // what systemctl was asked for
	systemd string // the folder of a systemctl that only writes that down
	read    int
}

// configFile is where the package has the configuration.
const configFile = "/etc/live777/live777.toml"

// path returns where the file of the package is.
func (i *installation) path(name string) string { return filepath.Join(i.root, name) }

func newInstallation(t *testing.T) *installation {
	t.Helper()
	i := &installation{t: t, systemd: t.TempDir()}
	i.log = filepath.Join(i.systemd, "log")
	script := fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%s\n", i.log)
	if err := os.WriteFile(filepath.Join(i.systemd, "systemctl"), []byte(script), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	_, err := user.Lookup("live777")
	if os.Geteuid() != 0 || err == nil {
		i.root = t.TempDir()
		return i
	}
	t.Cleanup(func() {
		_ = i.dpkg("--purge", "live777")
		_ = exec.CommandContext(context.Background(), "userdel", "live777").Run()
		_ = os.RemoveAll("/var/lib/live777")
	})
	return i
}

// dpkg calls dpkg, by which the package's scripts find the systemctl.
func (i *installation) dpkg(args ...string) error {
	cmd := exec.CommandContext(context.Background(), "dpkg", args...)
	cmd.Env = append(os.Environ(), "PATH="+i.systemd+":"+os.Getenv("PATH")+":/usr/sbin:/sbin", "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg %q: %w\n%s", args, err, out)
	}
	return nil
}

func (i *installation) install(deb string) {
	i.t.Helper()
	var err error
	if i.root == "" {
		err = i.dpkg("--install", deb)
	} else {
		kept, _ := os.ReadFile(i.path(configFile))
		err = exec.CommandContext(i.t.Context(), "dpkg-deb", "--extract", deb, i.root).Run()
		if kept != nil { // as dpkg does with what somebody has changed
			err = errors.Join(err, os.WriteFile(i.path(configFile), kept, 0o640)) //nolint:gosec // it has no secret
		}
	}
	if err != nil {
		i.t.Fatal(err)
	}
}

func (i *installation) remove() {
	i.t.Helper()
	if i.root != "" {
		return
	}
	if err := i.dpkg("--remove", "live777"); err != nil {
		i.t.Error(err)
	}
	if _, err := os.Stat("/usr/bin/live777"); err == nil {
		i.t.Error("the program is still there")
	}
}

// say checks what the package's scripts have asked systemctl for since.
func (i *installation) say(want ...string) {
	i.t.Helper()
	if i.root != "" {
		return // no script has run
	}
	data, err := os.ReadFile(i.log)
	if err != nil {
		i.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	said := slices.DeleteFunc(lines[i.read:], func(s string) bool { return s == "daemon-reload" })
	i.read = strings.Count(string(data), "\n")
	if !slices.Equal(said, want) {
		i.t.Errorf("systemctl was asked for %q, want %q", said, want)
	}
}

// unit reads a setting of the unit.
func (i *installation) unit(key string) string {
	i.t.Helper()
	data, err := os.ReadFile(i.path("/usr/lib/systemd/system/live777.service"))
	if err != nil {
		i.t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			return value
		}
	}
	i.t.Fatalf("the unit has no %s", key)
	return ""
}

// start does what systemd does with the unit.
func (i *installation) start(address string) *server {
	i.t.Helper()
	state := i.path("/var/lib/" + i.unit("StateDirectory"))
	if err := os.MkdirAll(state, 0o750); err != nil {
		i.t.Fatal(err)
	}
	line := strings.Fields(i.unit("ExecStart"))
	cmd := exec.CommandContext(context.Background(), filepath.Join(i.root, line[0]))
	for _, arg := range line[1:] {
		if strings.HasPrefix(arg, "/") {
			arg = filepath.Join(i.root, arg)
		}
		cmd.Args = append(cmd.Args, arg)
	}
	cmd.Dir = filepath.Join(i.root, i.unit("WorkingDirectory"))
	if i.root == "" {
		u, err := user.Lookup(i.unit("User"))
		if err != nil {
			i.t.Fatal(err)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		if err := os.Chown(state, int(uid), int(gid)); err != nil { //nolint:gosec // 32 bits
			i.t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	return runNode(i.t, cmd, address, filepath.Join(state, "storage"))
}

// runNode runs a node that listens on address until the test ends, and waits for its answer.
func runNode(t *testing.T, cmd *exec.Cmd, address, storage string) *server {
	t.Helper()
	s := &server{t: t, cmd: cmd, url: "http://" + address, root: storage, log: &logtest.Buffer{}, done: make(chan error, 1)}
	cmd.Stderr, cmd.Env = s.log, append(cmd.Env, "PATH="+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = s.stop(syscall.SIGKILL) // how it ends does not matter any more
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log)
		}
	})
	within(t, "the node answers", time.Minute, func() bool {
		return ask(t, http.MethodGet, s.url+"/healthz", "").status == http.StatusOK
	})
	return s
}

// testImage starts what the image has, in its file system alone, as its user: it records,
// and says that it is well.
func testImage(t *testing.T, image string) {
	t.Helper()
	dir := t.TempDir()
	config := unpackImage(t, image, dir)
	address := portlock.Address(t)
	env := append(config.Config.Env, "LIVE777_HTTP_LISTEN="+address, "LIVE777_RECORDER_AUTO_STREAMS=*") //nolint:gocritic // a new one
	inside := func(args ...string) *exec.Cmd {
		line := slices.Concat(config.Config.Entrypoint, args)
		cmd := exec.CommandContext(context.Background(), line[0], line[1:]...)
		cmd.Dir, cmd.Env = config.Config.WorkingDir, slices.Clone(env)
		if os.Geteuid() != 0 {
			cmd.Path, cmd.Dir = filepath.Join(dir, cmd.Path), filepath.Join(dir, cmd.Dir)
			return cmd
		}
		var uid, gid uint32
		if _, err := fmt.Sscanf(config.Config.User, "%d:%d", &uid, &gid); err != nil || uid == 0 {
			t.Fatalf("the user is %q, %v", config.Config.User, err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		return cmd
	}
	if os.Geteuid() == 0 { // whoever looks for folders above has to get there
		for up := dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
			if err := os.Chmod(up, 0o755); err != nil { //nolint:gosec // see above
				t.Fatal(err)
			}
		}
	}
	s := runNode(t, inside(), address, filepath.Join(dir, config.Config.WorkingDir, "storage"))
	p := s.publish("camera", time.Minute)
	st := s.await("3 s", "camera", func(st status) bool { return st.Recording && st.Duration >= 3 })
	if out, err := inside("health", "-ready").CombinedOutput(); err != nil || !strings.Contains(string(out), `"ok"`) {
		t.Errorf("health: %v\n%s", err, out)
	}
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	p.end()
	if err := compare.Recording(p.log, read(t, s.root, st.RecordDir), compare.Options{TailUnits: -1}).Err(); err != nil {
		t.Error(err)
	}
	if err := inside("health").Run(); err == nil {
		t.Error("a node that has ended is well")
	}
}

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
