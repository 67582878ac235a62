package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
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
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/portlock"
)

// release is what is downloaded of one version.
type release struct{ version, deb, image string }

// makeRelease makes the package and the image of live777 for this machine, of the programs
// in binaries, or, if that is empty, of those that it builds.
func makeRelease(t *testing.T, version, binaries string) release {
	t.Helper()
	out := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "scripts/release.sh", ".cache/bin/release", ".cache/bin/supply", "packages", "images")
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "VERSION="+version, "OUT="+out, "PROGRAMS=live777", "FORMATS=deb", "PLATFORMS=linux/"+runtime.GOARCH, "BINARIES="+binaries)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	number := strings.TrimPrefix(version, "v")
	return release{version, filepath.Join(out, fmt.Sprintf("live777_%s_%s.deb", number, runtime.GOARCH)), filepath.Join(out, "live777_"+number+"_oci.tar")}
}

// TestRelease tries what is downloaded, the package and the image: with a certificate of an
// authority it records what is published, is upgraded meanwhile, and plays what it recorded.
func TestRelease(t *testing.T) {
	t.Parallel()
	// What make build has built does as the version before.
	first, second := makeRelease(t, "v9.0.1", "bin"), makeRelease(t, "v9.0.2", "")
	t.Run("package", func(t *testing.T) { t.Parallel(); testPackage(t, first, second) })
	t.Run("image", func(t *testing.T) { t.Parallel(); testImage(t, first, second) })
}

// upgradeWhileRecording starts a version, puts the next one over it while a stream is
// recorded, and starts that: what was published until the one said goodbye is in a
// recording, and what was published from the beginning of the other in the next. No frame is
// lost that was sent while there was a connection; what a publisher has between two
// connections it cannot send.
func upgradeWhileRecording(t *testing.T, ca *authority, start func() *server, upgrade func(), version string) {
	t.Helper()
	s := start()
	a := s.publish("camera", time.Minute)
	before := s.await("3 s", "camera", func(st status) bool { return st.Recording && st.Duration >= 3 })
	upgrade()
	last := s.status("camera")
	if !last.Recording || last.RecordDir != before.RecordDir {
		t.Errorf("the upgrade has ended the recording: %+v", last)
	}
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	a.sentAway()

	s = start()
	if _, info := s.request(http.MethodGet, "/api/info", ""); !strings.Contains(string(info), `"`+version+`"`) {
		t.Errorf("after the upgrade it is %s", info)
	}
	b := s.publish("camera", time.Minute)
	after := s.await("2 s more", "camera", func(st status) bool { return st.Recording && st.Duration >= 2 })
	s.decodeFile(ca, before.RecordDir)
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	b.sentAway()
	t.Logf("there was no connection for %v", b.log.Started.Sub(a.log.Ended).Round(time.Millisecond))
	a.recordedWhole(s.root, last)
	b.recordedWhole(s.root, after)
}

// onTheWay is how many units of a track a publisher may have sent when a server's goodbye
// had not reached it yet, which the server's WebRTC stack does not take any more.
const onTheWay = 6

// sentAway waits until the server has ended the publisher's connection.
func (p *publisher) sentAway() {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.end()
		p.t.Error("the server ended and did not tell its publisher")
	}
}

// recordedWhole compares what was sent until the server said goodbye with the recording
// that it sealed then: nothing is missing but what was on the way.
func (p *publisher) recordedWhole(root string, last status) {
	p.t.Helper()
	rec := read(p.t, root, last.RecordDir)
	report := compare.Recording(p.log, rec, compare.Options{TailUnits: onTheWay})
	if err := report.Err(); err != nil {
		p.t.Errorf("%s: %v", last.RecordDir, err)
	}
	for _, track := range report.Tracks {
		p.t.Logf("%s: %d units of %s sent, %d recorded, the last %d were on the way", last.RecordDir, track.Sent, track.Kind, track.Recorded, track.Sent-1-track.Last)
		if track.First != 0 {
			p.t.Errorf("%s: the %s begins with what was sent as %d", last.RecordDir, track.Kind, track.First)
		}
	}
	if rec.Info.Status != media.StatusComplete || rec.Info.Duration < last.Duration {
		p.t.Errorf("%s is %s and has %.2f s of %.2f s", last.RecordDir, rec.Info.Status, rec.Info.Duration, last.Duration)
	}
}

// decodeFile plays a recording over HTTPS.
func (s *server) decodeFile(ca *authority, dir string) {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "ffmpeg", "-v", "error", "-tls_verify", "1", "-ca_file", ca.file,
		"-i", s.url+"/api/record/object/"+dir+"/file.mp4", "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		s.t.Errorf("ffmpeg plays %s: %v\n%s", dir, err, out)
	}
}

// authority signs certificates for this machine.
type authority struct {
	roots     *x509.CertPool
	file      string // its own certificate
	cert, key []byte // of a server
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority for tests"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	var keys [2]*ecdsa.PrivateKey
	var err error
	for i := range keys {
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	sign := func(c *x509.Certificate, key *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), keys[0])
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	key, err := x509.MarshalPKCS8PrivateKey(keys[1])
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{
		roots: x509.NewCertPool(), file: filepath.Join(t.TempDir(), "authority.pem"),
		cert: sign(leaf, keys[1]), key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}
	own := sign(ca, keys[0])
	a.roots.AppendCertsFromPEM(own)
	if err := os.WriteFile(a.file, own, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// testPackage installs the package on this machine, starts its unit's command line as its
// user, and installs another version over it while it records: nothing ends by that, and
// after the restart that the package asks for the stream is recorded further, by the
// configuration as somebody has changed it. Removal leaves the recordings.
func testPackage(t *testing.T, first, second release) {
	t.Helper()
	ca, address := newAuthority(t), portlock.Address(t)
	i := newInstallation(t)
	i.install(first.deb)
	i.write("/etc/live777/cert.pem", ca.cert)
	i.write("/etc/live777/key.pem", ca.key)
	i.write(configFile, fmt.Appendf(nil, "[http]\nlisten = %q\n[http.tls]\ncert = %q\nkey = %q\n[webrtc]\nlisten = \"127.0.0.1:0\"\n[recorder]\nauto_streams = [\"*\"]\nreconnect_seconds = 30\n",
		address, i.path("/etc/live777/cert.pem"), i.path("/etc/live777/key.pem")))
	i.say("enable --quiet live777.service", "start live777.service")
	upgradeWhileRecording(t, ca, func() *server { return i.start(address, ca) }, func() {
		i.install(second.deb)
		i.say("try-restart live777.service")
	}, second.version)
	i.remove()
	i.say("disable --now live777.service")
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
		_ = os.RemoveAll("/etc/live777")
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
			i.write(configFile, kept)
		}
	}
	if err != nil {
		i.t.Fatal(err)
	}
}

// write writes a file that the program's user may read, and others not.
func (i *installation) write(name string, data []byte) {
	i.t.Helper()
	if err := os.WriteFile(i.path(name), data, 0o640); err != nil { //nolint:gosec // see above
		i.t.Fatal(err)
	}
	if i.root != "" {
		return
	}
	group, err := user.LookupGroup(i.unit("Group"))
	if err == nil {
		var gid int
		if gid, err = strconv.Atoi(group.Gid); err == nil {
			err = os.Chown(name, 0, gid)
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
func (i *installation) start(address string, ca *authority) *server {
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
	return runNode(i.t, cmd, address, filepath.Join(state, "storage"), ca)
}

// runNode runs a node that listens on address until the test ends, and waits for its answer.
func runNode(t *testing.T, cmd *exec.Cmd, address, storage string, ca *authority) *server {
	t.Helper()
	s := &server{t: t, cmd: cmd, url: "https://" + address, roots: ca.roots, root: storage, log: &logtest.Buffer{}, done: make(chan error, 1)}
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
	await.Until(t, "the node answers", func() bool {
		select {
		case err := <-s.done:
			s.ended = true
			t.Fatalf("the node ended before it answered: %v", err)
		default:
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/healthz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.client().Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return s
}
