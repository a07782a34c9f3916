// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"fmt"
	"strings"
	"testing"
)

// Every cell of strip_path, path_handling, the service's path and preserve_host, each
// a route of a host of its own, asked of a running gateway. The paths are those of
// the tables in Kong's documentation of path handling.
func TestEveryCellOfPathsAndHosts(t *testing.T) {
	bases := []string{"", "/base", "/base/"}
	upstream := map[string]map[string][3]string{ // by strip_path and path_handling: what /a, /a/x and /ax become below each base
		"true v0":  {"": {"/", "/x", "/x"}, "/base": {"/base", "/base/x", "/base/x"}, "/base/": {"/base", "/base/x", "/base/x"}},
		"true v1":  {"": {"/", "/x", "/x"}, "/base": {"/base", "/base/x", "/basex"}, "/base/": {"/base/", "/base/x", "/base/x"}},
		"false v0": {"": {"/a", "/a/x", "/ax"}, "/base": {"/base/a", "/base/a/x", "/base/ax"}, "/base/": {"/base/a", "/base/a/x", "/base/ax"}},
		"false v1": {"": {"/a", "/a/x", "/ax"}, "/base": {"/basea", "/basea/x", "/baseax"}, "/base/": {"/base/a", "/base/a/x", "/base/ax"}},
	}
	var file strings.Builder
	file.WriteString("_format_version: '2.1'\nservices:\n")
	type cell struct {
		host, name string
		preserved  bool
		want       [3]string
	}
	var cells []cell
	for i, base := range bases {
		fmt.Fprintf(&file, "- name: s%d\n  url: http://UPSTREAM%s\n  routes:\n", i, base)
		for _, handling := range []string{"v0", "v1"} {
			for _, strip := range []bool{true, false} {
				for _, preserved := range []bool{true, false} {
					key := fmt.Sprintf("%t %s", strip, handling)
					c := cell{fmt.Sprintf("c%d.example.com", len(cells)), fmt.Sprintf("service %q, strip_path %s, preserve_host %t", base, key, preserved), preserved, upstream[key][base]}
					fmt.Fprintf(&file, "  - {name: %[1]s, hosts: [%[1]s], paths: [/a], strip_path: %t, path_handling: %s, preserve_host: %t}\n", c.host, strip, handling, preserved)
					cells = append(cells, c)
				}
			}
		}
	}
	g := run(t, file.String(), nil)
	own := g.ask("GET c1.example.com /a").upstream // preserve_host is false there
	if own == nil || !strings.HasPrefix(own.Host, "127.0.0.1:") {
		t.Fatalf("got %+v, want the service's own host", own)
	}
	for _, c := range cells {
		t.Run(c.name, func(t *testing.T) {
			for i, path := range []string{"/a", "/a/x", "/ax"} {
				for _, host := range []string{c.host, c.host + ":8443"} {
					want := own.Host
					if c.preserved {
						want = host
					}
					if got := g.ask("GET " + host + " " + path); got.said() != c.want[i] || got.upstream == nil || got.upstream.Host != want {
						t.Errorf("%s of %s: got %s %+v, want %s at %s", path, host, got.said(), got.upstream, c.want[i], want)
					}
				}
			}
		})
	}
}
