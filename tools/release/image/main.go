// Command image makes the OCI image of a program: a layout in a tar file, for several
// architectures. Nothing is fetched and no daemon is asked: the image has the static
// program, a user and the folder of its state, and no more.
//
// usage: image -name live777 -version v1.2.3 -time 0 -out FILE ARCH=FOLDER...
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is who runs the program in a container: nobody's id on a usual system.
const user = 65532

// program is what the image is of.
type program struct {
	name, version string
	time          time.Time
}

func main() {
	name := flag.String("name", "live777", "the program")
	version := flag.String("version", "", "its version")
	at := flag.Int64("time", 0, "when it was made, in Unix seconds")
	out := flag.String("out", "image.tar", "write the layout to `file`")
	flag.Parse()
	p := program{*name, *version, time.Unix(*at, 0).UTC()}
	if err := p.write(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// write writes an image of the program in each of the folders, ARCH=FOLDER.
func (p program) write(out string, folders []string) error {
	var index v1.ImageIndex = empty.Index
	index = mutate.IndexMediaType(index, types.OCIImageIndex)
	for _, folder := range folders {
		arch, dir, _ := strings.Cut(folder, "=")
		img, err := p.image(arch, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	// The layout names one thing: the index of all architectures.
	named := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: index,
		Descriptor: v1.Descriptor{Annotations: map[string]string{
			"org.opencontainers.image.ref.name": strings.TrimPrefix(p.version, "v"), "io.containerd.image.name": p.name + ":" + strings.TrimPrefix(p.version, "v"),
		}},
	})
	dir, err := os.MkdirTemp("", "image")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := layout.Write(dir, named); err != nil {
		return err
	}
	return p.pack(out, dir)
}

// image makes the image for an architecture.
func (p program) image(arch, dir string) (v1.Image, error) {
	binary, err := os.ReadFile(filepath.Join(dir, p.name))
	if err != nil {
		return nil, err
	}
	content, err := p.files(binary)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: p.time}, CreatedBy: p.name + " " + p.version}})
	if err != nil {
		return nil, err
	}
	f, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	f = f.DeepCopy()
	state := "/var/lib/" + p.name
	ports := map[string]struct{}{"8888/tcp": {}}
	env := "LIVEMAN_HTTP_LISTEN=:8888"
	if p.name == "live777" {
		ports, env = map[string]struct{}{"7777/tcp": {}, "7777/udp": {}}, "LIVE777_HTTP_LISTEN=:7777"
	}
	f.OS, f.Architecture, f.Created = "linux", arch, v1.Time{Time: p.time}
	f.Config = v1.Config{
		User: fmt.Sprintf("%d:%d", user, user), WorkingDir: state, Env: []string{"PATH=/usr/bin", env},
		Entrypoint: []string{"/usr/bin/" + p.name}, ExposedPorts: ports, Volumes: map[string]struct{}{state: {}}, StopSignal: "SIGTERM",
		// Docker reads it, and Kubernetes has probes of its own.
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/usr/bin/" + p.name, "health"}, Interval: 10 * time.Second, Timeout: 5 * time.Second, StartPeriod: 30 * time.Second},
		Labels: map[string]string{
			"org.opencontainers.image.title": p.name, "org.opencontainers.image.version": strings.TrimPrefix(p.version, "v"),
			"org.opencontainers.image.created": p.time.Format(time.RFC3339),
		},
	}
	return mutate.ConfigFile(img, f)
}

// files is what the image has, as a tar file.
func (p program) files(binary []byte) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	passwd := fmt.Sprintf("root:x:0:0::/:/\nlive777:x:%d:%d::/var/lib/%s:/\n", user, user, p.name)
	group := fmt.Sprintf("root:x:0:\nlive777:x:%d:\n", user)
	for _, f := range []struct {
		name  string
		mode  int64
		owner int
		data  []byte
	}{
		{"etc/", 0o755, 0, nil}, {"etc/passwd", 0o644, 0, []byte(passwd)}, {"etc/group", 0o644, 0, []byte(group)},
		{"tmp/", 0o1777, 0, nil}, {"usr/", 0o755, 0, nil}, {"usr/bin/", 0o755, 0, nil}, {"usr/bin/" + p.name, 0o755, 0, binary},
		{"var/", 0o755, 0, nil}, {"var/lib/", 0o755, 0, nil}, {"var/lib/" + p.name + "/", 0o750, user, nil},
	} {
		h := &tar.Header{Name: f.name, Mode: f.mode, Uid: f.owner, Gid: f.owner, Size: int64(len(f.data)), ModTime: p.time, Typeflag: tar.TypeReg}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), w.Close()
}

// pack writes a folder as a tar file that is the same whenever it is written.
func (p program) pack(out, dir string) error {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	w := tar.NewWriter(f)
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: path.Clean(filepath.ToSlash(rel)), Mode: 0o644, Size: int64(len(data)), ModTime: p.time, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}
