// SPDX-License-Identifier: Apache-2.0

// Package version says which versions are in this binary.
package version

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"slices"
)

// Versions are those of the modules that matter, and of Go.
type Versions struct {
	Gateway string `json:"gateway"`
	Caddy   string `json:"caddy"`
	Go      string `json:"go"`
}

const (
	gatewayModule = "github.com/caddy-gluu/gateway"
	caddyModule   = "github.com/caddyserver/caddy/v2"
	unknown       = "unknown"
)

// release is the version under which the binary was released. The linker sets
// it: a release is built from a copy of the sources, which has no version.
var release string

// Read returns the versions of this binary. A build from a working tree has the
// version (devel), one without build information the version unknown.
func Read() Versions {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Versions{cmp.Or(release, unknown), unknown, runtime.Version()}
	}
	return Versions{cmp.Or(release, versionOf(info, gatewayModule)), versionOf(info, caddyModule), info.GoVersion}
}

// versionOf returns the version of a module in a binary, whether it is the main
// module, a dependency, or a dependency that is replaced, as xcaddy does for a
// working tree.
func versionOf(info *debug.BuildInfo, path string) string {
	const workingTree = "(devel)"
	if info.Main.Path == path {
		return cmp.Or(info.Main.Version, workingTree)
	}
	i := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == path })
	switch {
	case i < 0:
		return unknown
	case info.Deps[i].Replace != nil:
		return cmp.Or(info.Deps[i].Replace.Version, workingTree)
	}
	return info.Deps[i].Version
}
