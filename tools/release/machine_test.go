// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// These tests install what is shipped, with the binary of `make build`. They
// run in namespaces of their own, on a throw-away copy of this machine's root.

// onAMachine runs a script of testdata as root of such a copy, or skips.
func onAMachine(t *testing.T, programs []string, script string, args ...string) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("missing on this machine: Linux and root, to make namespaces")
	}
	for _, program := range append(programs, "unshare", "ip", "setpriv", "curl", "chroot") {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("missing on this machine: %s", program)
		}
	}
	if out, err := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		t.Skipf("missing on this machine: namespaces (unshare: %v: %s)", err, out)
	}
	script, err := filepath.Abs(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	flags := []string{"--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", script, t.TempDir()}
	cmd := exec.CommandContext(t.Context(), "unshare", append(flags, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(script), err, out)
	}
	return string(out)
}

// realPackages makes two versions of a package of the built gateway.
func realPackages(t *testing.T, format string) (older, newer string) {
	t.Helper()
	program := builtGateway(t)
	p := samplePacker(t)
	p.program, p.arch = program, runtime.GOARCH
	m, err := writeManual(t.Context(), program, t.TempDir(), p.release)
	if err != nil {
		t.Fatal(err)
	}
	p.manual = m
	var paths []string
	for _, version := range []string{"v1.2.3", "v1.3.0"} {
		p.version = version
		dir := t.TempDir()
		if err := p.pack(format, dir); err != nil {
			t.Fatal(err)
		}
		made, err := filepath.Glob(filepath.Join(dir, "*."+format))
		if err != nil || len(made) != 1 {
			t.Fatalf("got %v (%v)", made, err)
		}
		paths = append(paths, made[0])
	}
	return paths[0], paths[1]
}

// TestPackagesOnAMachine installs a package, starts what its unit starts, gets
// an answer through the packaged quickstart, upgrades, removes.
func TestPackagesOnAMachine(t *testing.T) {
	for format, programs := range map[string][]string{"deb": {"dpkg"}, "rpm": {"rpm"}} {
		t.Run(format, func(t *testing.T) {
			older, newer := realPackages(t, format)
			out := onAMachine(t, programs, "package.sh", format, older, newer)
			for _, want := range []string{
				"runs as caddy", "quickstart: 401 without a token, 200 with one", "upgraded, configuration kept",
				"removed, data kept",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("no line %q in:\n%s", want, out)
				}
			}
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "from the package to 200") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}

// TestTheImageOnAMachine unpacks the image and runs it as its user, on a root
// that is read-only, without any capability.
func TestTheImageOnAMachine(t *testing.T) {
	program := builtGateway(t)
	image := imageFor(t, openImage(t, sampleImage(t, program)), runtime.GOARCH)
	root := t.TempDir()
	if os.Getuid() == 0 {
		unpackImage(t, image, root)
	}
	out := onAMachine(t, nil, "image.sh", append([]string{root}, command(t, image)...)...)
	for _, want := range []string{"HTTP/1.1 200 OK", "runs as 65532", "the root is read-only", "no capability"} {
		if !strings.Contains(out, want) {
			t.Errorf("no line %q in:\n%s", want, out)
		}
	}
}

// command is what an engine would run: the user, then the variables, then the
// program with its arguments.
func command(t *testing.T, image v1.Image) []string {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	args := append([]string{c.User, fmt.Sprint(len(c.Env))}, c.Env...)
	return append(append(args, c.Entrypoint...), c.Cmd...)
}

// TestTheUnitIsHardened has systemd judge the unit: 0 is locked in, 10 is open.
func TestTheUnitIsHardened(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("missing on this machine: systemd-analyze")
	}
	unit := filepath.Join(sources, "packaging", "caddy.service")
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", unit).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Log(lines[len(lines)-1])
}
