// Command manifests reads what the programs are deployed by, as those read it who deploy
// them, and writes it as JSON: compose files by the library of Docker Compose, which checks
// them by the schema of the specification, and manifests of Kubernetes by kustomize and the
// types of Kubernetes' API, which know every field.
//
// usage: manifests compose FILE [VARIABLES]
//
//	manifests kubernetes FOLDER
//
// VARIABLES is a file of variables as Compose reads .env.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	switch {
	case len(args) >= 2 && args[0] == "compose":
		return compose(args[1], args[2:], out)
	case len(args) == 2 && args[0] == "kubernetes":
		return kubernetes(args[1], out)
	}
	return fmt.Errorf("want compose FILE [VARIABLES] or kubernetes FOLDER")
}

// compose writes the project that Compose makes of a file: variables are in, and paths are whole.
func compose(file string, variables []string, out io.Writer) error {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnvFiles(variables...), cli.WithDotEnv, cli.WithProfiles([]string{"*"}))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(project)
}

// kinds are the types of what the folder may have.
var kinds = map[string]func() any{
	"v1/ConfigMap":                  func() any { return new(core.ConfigMap) },
	"v1/Namespace":                  func() any { return new(core.Namespace) },
	"v1/Secret":                     func() any { return new(core.Secret) },
	"v1/Service":                    func() any { return new(core.Service) },
	"v1/ServiceAccount":             func() any { return new(core.ServiceAccount) },
	"apps/v1/Deployment":            func() any { return new(apps.Deployment) },
	"apps/v1/StatefulSet":           func() any { return new(apps.StatefulSet) },
	"policy/v1/PodDisruptionBudget": func() any { return new(policy.PodDisruptionBudget) },
}

// kubernetes writes the objects that kustomize makes of a folder.
func kubernetes(folder string, out io.Writer) error {
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return err
	}
	objects := []any{}
	for _, resource := range made.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return err
		}
		id := resource.CurId()
		kind := id.ApiVersion() + "/" + id.Kind
		typed := kinds[kind]
		if typed == nil {
			return fmt.Errorf("%s: no type for %s", id.Name, kind)
		}
		object := typed()
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			return fmt.Errorf("%s %s: %w", kind, id.Name, err)
		}
		objects = append(objects, object)
	}
	return json.NewEncoder(out).Encode(objects)
}
