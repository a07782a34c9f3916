// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// sources is the repository.
const sources = "../.."

// samplePacker makes packages of a program that is not one.
func samplePacker(t *testing.T) packer {
	t.Helper()
	program := filepath.Join(t.TempDir(), "caddy")
	if err := os.WriteFile(program, []byte("a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := manual{
		pages:       []file{{name: "caddy.8", content: []byte(".TH CADDY 8")}, {name: "caddy-gluu-explain.8", content: []byte(".TH X 8")}},
		completions: map[string]file{},
	}
	for _, shell := range shells {
		m.completions[shell.name] = file{name: shell.file, content: []byte("# for " + shell.name)}
	}
	return packer{
		release: release{version: "v1.2.3-rc.1", time: commitTime}, source: sources,
		program: program, arch: "amd64", scratch: t.TempDir(), manual: m,
	}
}

// packed makes a package and returns its name and content.
func packed(t *testing.T, p packer, format string) (string, []byte) {
	t.Helper()
	dir := t.TempDir()
	if err := p.pack(format, dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("got %v (%v), want one package", entries, err)
	}
	content, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	return entries[0].Name(), content
}

func TestPackagesDependOnTheFilesAlone(t *testing.T) {
	for format, name := range map[string]string{
		"deb": "caddy-gluu_1.2.3~rc.1_amd64.deb", "rpm": "caddy-gluu-1.2.3~rc.1-1.x86_64.rpm",
	} {
		t.Run(format, func(t *testing.T) {
			got, first := packed(t, samplePacker(t), format)
			if got != name {
				t.Errorf("got the name %s, want %s", got, name)
			}
			if _, second := packed(t, samplePacker(t), format); !bytes.Equal(first, second) {
				t.Error("two packages of the same files differ")
			}
		})
	}
}

func TestADebianPackage(t *testing.T) {
	_, content := packed(t, samplePacker(t), "deb")
	members := unpackAr(t, content)
	_, control := untarGz(t, members["control.tar.gz"])
	headers, files := untarGz(t, members["data.tar.gz"])

	for _, line := range []string{
		"Package: caddy-gluu", "Version: 1.2.3~rc.1", "Architecture: amd64",
		"Provides: caddy", "Conflicts: caddy", "Replaces: caddy", "Depends: passwd",
	} {
		if !strings.Contains(control["./control"], line+"\n") {
			t.Errorf("the control file has no line %q:\n%s", line, control["./control"])
		}
	}
	if got := control["./conffiles"]; got != "/etc/caddy/Caddyfile\n" {
		t.Errorf("got the conffiles %q", got)
	}
	for _, script := range []string{"./postinst", "./prerm", "./postrm"} {
		if !strings.HasPrefix(control[script], "#!/bin/sh\n") {
			t.Errorf("%s is %q", script, control[script])
		}
	}
	for name, mode := range map[string]int64{
		"./usr/bin/caddy": 0o755, "./etc/caddy/Caddyfile": 0o644,
		"./usr/lib/systemd/system/caddy.service":                   0o644,
		"./usr/share/man/man8/caddy-gluu-explain.8.gz":             0o644,
		"./usr/share/bash-completion/completions/caddy":            0o644,
		"./usr/share/zsh/site-functions/_caddy":                    0o644,
		"./usr/share/fish/vendor_completions.d/caddy.fish":         0o644,
		"./usr/share/doc/caddy-gluu/copyright":                     0o644,
		"./usr/share/doc/caddy-gluu/examples/quickstart.Caddyfile": 0o644,
	} {
		h := headers[name]
		if h == nil || h.Mode != mode || h.Uname != "root" || !h.ModTime.Equal(commitTime) {
			t.Errorf("%s: got %+v, want mode %o", name, h, mode)
		}
	}
	if got := files["./usr/bin/caddy"]; got != "a program" {
		t.Errorf("/usr/bin/caddy is %q", got)
	}
}

// unpackAr reads the members of an ar archive, which a Debian package is.
func unpackAr(t *testing.T, content []byte) map[string][]byte {
	t.Helper()
	const magic, header = "!<arch>\n", 60
	rest, ok := bytes.CutPrefix(content, []byte(magic))
	if !ok {
		t.Fatalf("not an ar archive: %.8q", content)
	}
	members := map[string][]byte{}
	for len(rest) >= header {
		name := strings.TrimRight(string(rest[:16]), " /")
		size, err := strconv.Atoi(strings.TrimSpace(string(rest[48:58])))
		if err != nil {
			t.Fatal(fmt.Errorf("the size of %s: %w", name, err))
		}
		members[name] = rest[header : header+size]
		rest = rest[min(header+size+size%2, len(rest)):]
	}
	return members
}
