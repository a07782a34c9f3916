// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

// fullValues switches on everything that the chart can make.
const fullValues = `
replicas: 3
envFromSecrets: [gateway]
image: {digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
ingress: {enabled: true, className: nginx, hosts: [api.example.com]}
persistence: {enabled: true, storageClassName: fast}
autoscaling: {enabled: true}
podAnnotations: {team: a}
`

// packedChart writes the chart as it is shipped.
func packedChart(t *testing.T) *v2.Chart {
	t.Helper()
	files, err := chartFiles(sources, release{version: "v1.2.3", time: commitTime})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "chart.tgz")
	if err := writeTarGz(path, files, commitTime); err != nil {
		t.Fatal(err)
	}
	chart, err := loader.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return chart
}

// render renders the chart with values in YAML and returns its manifests by kind.
func render(t *testing.T, values string) (map[string]map[string]any, error) {
	t.Helper()
	chart := packedChart(t)
	overrides, err := common.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	all, err := util.ToRenderValues(chart, overrides, common.ReleaseOptions{Name: "gw", Namespace: "edge", IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	texts, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	manifests := map[string]map[string]any{}
	for name, text := range texts {
		if strings.HasSuffix(name, ".txt") || strings.TrimSpace(text) == "" {
			continue
		}
		var manifest map[string]any
		if err := yaml.UnmarshalStrict([]byte(text), &manifest); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		manifests[manifest["kind"].(string)] = manifest
	}
	return manifests, nil
}

// at follows a path of keys through a manifest; a list is entered at its first
// element.
func at(manifest any, path ...string) any {
	for _, key := range path {
		if list, ok := manifest.([]any); ok && len(list) > 0 {
			manifest = list[0]
		}
		object, _ := manifest.(map[string]any)
		manifest = object[key]
	}
	return manifest
}

func TestTheChartIsClean(t *testing.T) {
	for name, values := range map[string]string{"defaults": "", "everything": fullValues} {
		t.Run(name, func(t *testing.T) {
			overrides, err := common.ReadValues([]byte(values))
			if err != nil {
				t.Fatal(err)
			}
			for _, message := range lint.RunAll(filepath.Join(sources, "packaging", "chart"), overrides, "edge").Messages {
				t.Errorf("helm lint: %s", message)
			}
		})
	}
}

func TestWhatTheChartMakes(t *testing.T) {
	for name, test := range map[string]struct {
		values string
		kinds  []string
	}{
		"defaults":   {"", []string{"ConfigMap", "Deployment", "PodDisruptionBudget", "Service"}},
		"everything": {fullValues, []string{"ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Ingress", "PersistentVolumeClaim", "PodDisruptionBudget", "Service"}},
		"a claim of one's own": {"persistence: {enabled: true, existingClaim: mine}\npodDisruptionBudget: {enabled: false}",
			[]string{"ConfigMap", "Deployment", "Service"}},
	} {
		t.Run(name, func(t *testing.T) {
			manifests, err := render(t, test.values)
			if err != nil {
				t.Fatal(err)
			}
			var kinds []string
			for kind, manifest := range manifests {
				kinds = append(kinds, kind)
				if got := at(manifest, "metadata", "name"); got != "gw-caddy-gluu" {
					t.Errorf("%s has the name %v", kind, got)
				}
			}
			slices.Sort(kinds)
			if !slices.Equal(kinds, test.kinds) {
				t.Errorf("got %v, want %v", kinds, test.kinds)
			}
		})
	}
}

func TestThePods(t *testing.T) {
	for name, test := range map[string]struct {
		values string
		path   []string
		want   any
	}{
		"not root":             {"", []string{"securityContext", "runAsNonRoot"}, true},
		"the image's user":     {"", []string{"securityContext", "runAsUser"}, float64(nonroot)},
		"system calls":         {"", []string{"securityContext", "seccompProfile", "type"}, "RuntimeDefault"},
		"no service account":   {"", []string{"automountServiceAccountToken"}, false},
		"a read-only root":     {"", []string{"containers", "securityContext", "readOnlyRootFilesystem"}, true},
		"no more rights":       {"", []string{"containers", "securityContext", "allowPrivilegeEscalation"}, false},
		"the released image":   {"", []string{"containers", "image"}, "caddy-gluu:1.2.3"},
		"an image by digest":   {fullValues, []string{"containers", "image"}, "caddy-gluu@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
		"whether it can judge": {"", []string{"containers", "readinessProbe", "httpGet", "path"}, "/ready"},
		"secrets":              {fullValues, []string{"containers", "envFrom", "secretRef", "name"}, "gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			manifests, err := render(t, test.values)
			if err != nil {
				t.Fatal(err)
			}
			path := append([]string{"spec", "template", "spec"}, test.path...)
			if got := at(manifests["Deployment"], path...); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestReplicasAreLeftToTheAutoscaler(t *testing.T) {
	manifests, err := render(t, fullValues)
	if err != nil {
		t.Fatal(err)
	}
	if got := at(manifests["Deployment"], "spec", "replicas"); got != nil {
		t.Errorf("the deployment also sets replicas to %v", got)
	}
}

func TestValuesThatTheChartRefuses(t *testing.T) {
	for name, values := range map[string]string{
		"a misspelled value":       "replica: 3",
		"a misspelled inner value": "image: {digset: x}",
		"a digest that is none":    "image: {digest: latest}",
		"no configuration":         `caddyfile: ""`,
		"a port that is none":      "probePort: 70000",
		"an ingress without hosts": "ingress: {enabled: true}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := render(t, values); err == nil {
				t.Error("the chart was rendered")
			}
		})
	}
}

// TestTheChartsConfigurationLoads asks the gateway itself.
func TestTheChartsConfigurationLoads(t *testing.T) {
	program := builtGateway(t)
	manifests, err := render(t, "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "Caddyfile")
	text, _ := at(manifests["ConfigMap"], "data", "Caddyfile").(string)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "validate", "--config", path).CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, text)
	}
}

// builtGateway is the binary of `make build`.
func builtGateway(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(sources, "bin", "caddy"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("missing on this machine: bin/caddy (make build)")
	}
	return path
}
