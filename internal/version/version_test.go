// SPDX-License-Identifier: Apache-2.0

package version

import (
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	const caddy = "github.com/caddyserver/caddy/v2"
	for name, test := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"a dependency":      {debug.BuildInfo{Deps: []*debug.Module{{Path: caddy, Version: "v2.11.9"}, {Path: gatewayModule, Version: "v1.2.3"}}}, "v1.2.3"},
		"a working tree":    {debug.BuildInfo{Deps: []*debug.Module{{Path: gatewayModule, Version: "v0.0.0", Replace: &debug.Module{Path: "/src"}}}}, "(devel)"},
		"a fork":            {debug.BuildInfo{Deps: []*debug.Module{{Path: gatewayModule, Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.0.1"}}}}, "v1.0.1"},
		"the main module":   {debug.BuildInfo{Main: debug.Module{Path: gatewayModule, Version: "v1.2.4"}}, "v1.2.4"},
		"without a version": {debug.BuildInfo{Main: debug.Module{Path: gatewayModule}}, "(devel)"},
		"not in the binary": {debug.BuildInfo{Deps: []*debug.Module{{Path: caddy, Version: "v2.11.9"}}}, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := versionOf(&test.info, gatewayModule); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
