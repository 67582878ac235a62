package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/config"
)

// kubeObject is what the test reads of an object of Kubernetes.
type kubeObject struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Data     map[string]string
	Spec     struct {
		Selector             json.RawMessage
		Ports                []struct{ Name, Protocol, TargetPort string }
		Template             podTemplate
		VolumeClaimTemplates []struct{ Metadata struct{ Name string } }
	}
}

type podTemplate struct {
	Metadata struct{ Labels map[string]string }
	Spec     struct {
		Volumes    []struct{ Name string }
		Containers []podContainer
	}
}

type podContainer struct {
	Name         string
	Env          []podVariable
	Ports        []struct{ Name, Protocol string }
	VolumeMounts []struct{ Name, MountPath string }

	StartupProbe, LivenessProbe, ReadinessProbe *podProbe
}

type podVariable struct {
	Name, Value string
	ValueFrom   struct {
		FieldRef     *struct{ FieldPath string }
		SecretKeyRef *struct{ Name, Key string }
	}
}

type podProbe struct {
	HTTPGet struct{ Path, Port string }
}

// TestKubernetes has kustomize make what is in deploy/kubernetes, by the types of the API,
// and holds its parts against each other: the programs take their configurations, and what
// is named is there.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(repository, "deploy", "kubernetes"))); err != nil {
		t.Fatal(err)
	}
	if _, err := deployment(t, "kubernetes", dir); err == nil {
		t.Error("it can be applied without secrets")
	}
	secrets, err := os.ReadFile(filepath.Join(dir, "example.env"))
	if err != nil {
		t.Fatal(err)
	}
	filled := ""
	for name := range strings.FieldsSeq(string(secrets)) {
		value := strings.ToLower(strings.TrimSuffix(name, "=")) + "-of-sixteen-letters-or-more"
		if name == "DATABASE_URL=" {
			value = "postgres://live777:password@db.example.com/live777"
		}
		filled += name + value + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "secrets.env"), []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := deployment(t, "kubernetes", dir)
	if err != nil {
		t.Fatal(err)
	}
	var objects []kubeObject
	if err := json.Unmarshal(out, &objects); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"live777", "liveman"} {
		t.Run(program, func(t *testing.T) { checkPods(t, dir, program, objects) })
	}
}

// checkPods checks the pods of a program.
func checkPods(t *testing.T, dir, program string, objects []kubeObject) {
	t.Helper()
	at := slices.IndexFunc(objects, func(o kubeObject) bool {
		return len(o.Spec.Template.Spec.Containers) == 1 && o.Metadata.Name == program
	})
	if at < 0 {
		t.Fatal("it has no pods")
	}
	of := objects[at]
	c := of.Spec.Template.Spec.Containers[0]
	environ := podEnvironment(t, c, objects)
	var err error
	if file := filepath.Join(dir, program+".toml"); program == "live777" {
		_, err = config.Load(file, true, environ)
	} else {
		_, err = config.LoadLiveman(file, true, environ)
	}
	if err != nil {
		t.Errorf("it does not start: %v", err)
	}
	ports := map[string]string{}
	for _, p := range c.Ports {
		ports[p.Name] = p.Protocol
	}
	for _, p := range []struct {
		probe *podProbe
		path  string
	}{{c.StartupProbe, "/healthz"}, {c.LivenessProbe, "/healthz"}, {c.ReadinessProbe, "/readyz"}} {
		if p.probe == nil || p.probe.HTTPGet.Path != p.path || ports[p.probe.HTTPGet.Port] != "TCP" {
			t.Errorf("the probe of %s is %+v", p.path, p.probe)
		}
	}
	volumes := []string{}
	for _, v := range of.Spec.Template.Spec.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, v := range of.Spec.VolumeClaimTemplates {
		volumes = append(volumes, v.Metadata.Name)
	}
	for _, m := range c.VolumeMounts {
		if !slices.Contains(volumes, m.Name) {
			t.Errorf("there is no volume %s for %s", m.Name, m.MountPath)
		}
	}
	checkService(t, program, of.Spec.Template.Metadata.Labels, ports, objects)
}

// podEnvironment returns the variables that a container gets.
func podEnvironment(t *testing.T, c podContainer, objects []kubeObject) (environ []string) {
	t.Helper()
	fields := map[string]string{"metadata.name": "live777-0", "status.hostIP": "192.0.2.1"}
	values := map[string]string{}
	for _, v := range c.Env {
		value := v.Value
		for name, known := range values {
			value = strings.ReplaceAll(value, "$("+name+")", known)
		}
		if f := v.ValueFrom.FieldRef; f != nil {
			value = fields[f.FieldPath]
		}
		if s := v.ValueFrom.SecretKeyRef; s != nil {
			i := slices.IndexFunc(objects, func(o kubeObject) bool { return o.Kind == "Secret" && o.Metadata.Name == s.Name })
			if i < 0 || objects[i].Data[s.Key] == "" {
				t.Fatalf("%s: there is no secret %s with %s", v.Name, s.Name, s.Key)
			}
			var secret []byte
			if err := json.Unmarshal([]byte(`"`+objects[i].Data[s.Key]+`"`), &secret); err != nil {
				t.Fatal(err)
			}
			value = string(secret)
		}
		values[v.Name] = value
		environ = append(environ, v.Name+"="+value)
	}
	return environ
}

// checkService checks the Service by which a program's pods are found.
func checkService(t *testing.T, program string, labels, ports map[string]string, objects []kubeObject) {
	t.Helper()
	at := slices.IndexFunc(objects, func(o kubeObject) bool { return o.Kind == "Service" && o.Metadata.Name == program })
	if at < 0 {
		t.Fatal("it has no Service")
	}
	var selector map[string]string
	if err := json.Unmarshal(objects[at].Spec.Selector, &selector); err != nil || !maps.Equal(selector, labels) {
		t.Errorf("the Service selects %v, the pods have %v; %v", selector, labels, err)
	}
	served := map[string]string{}
	for _, p := range objects[at].Spec.Ports {
		served[p.TargetPort] = p.Protocol
	}
	if !maps.Equal(served, ports) {
		t.Errorf("the Service has the ports %v, the pods %v", served, ports)
	}
}
