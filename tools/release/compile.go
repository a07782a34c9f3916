// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/caddy-gluu/gateway/tools/internal/recipe"
)

// versionVariable is what `caddy gluu version` prints.
const versionVariable = gatewayModule + "/internal/version.release"

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
	return recipe.CheckVersions(filepath.Join(s.source(), "go.mod"), output)
}
