// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// versionVariable is what `caddy gluu version` prints.
const versionVariable = gatewayModule + "/cli.release"

const gatewayModule = "github.com/caddy-gluu/gateway"

// compile builds the binary of a platform: static, without paths of this
// machine, for the oldest processors of its architecture.
func (s *stage) compile(ctx context.Context, p platform) error {
	output := s.program(p)
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return err
	}
	// The builder's environment must not influence the result.
	env := []string{
		"GOOS=" + p.os, "GOARCH=" + p.arch, "CGO_ENABLED=0",
		"GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=-mod=mod", "GOWORK=off",
	}
	// The tags leave out what xcaddy leaves out.
	err := s.goCommand(ctx, env, "build", "-o", output, "-trimpath", "-buildvcs=false",
		"-tags", "nobadger,nomysql,nopgx",
		"-ldflags", "-s -w -buildid= -X "+versionVariable+"="+s.version, ".")
	if err != nil {
		return err
	}
	return s.checkVersions(output)
}

// checkVersions refuses a binary that holds another version of a module than
// go.mod pins: what was tested would not be what is shipped.
func (s *stage) checkVersions(binary string) error {
	content, err := os.ReadFile(filepath.Join(s.source(), "go.mod"))
	if err != nil {
		return err
	}
	pinned, err := modfile.ParseLax("go.mod", content, nil)
	if err != nil {
		return err
	}
	want := make(map[string]string, len(pinned.Require))
	for _, requirement := range pinned.Require {
		want[requirement.Mod.Path] = requirement.Mod.Version
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("reading what is in %s: %w", binary, err)
	}
	var differing []string
	for _, dep := range info.Deps {
		if version, ok := want[dep.Path]; ok && version != dep.Version {
			differing = append(differing, fmt.Sprintf("%s is %s in the binary, %s in go.mod", dep.Path, dep.Version, version))
		}
	}
	if len(differing) > 0 {
		return fmt.Errorf("a plugin raises modules beyond what is tested:\n%s", strings.Join(differing, "\n"))
	}
	return nil
}
