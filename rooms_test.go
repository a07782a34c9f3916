// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"errors"
	"fmt"
	"go/build"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A room is a folder of Go code, and what it may import of this module.
type room struct {
	dir   string
	state roomState
	may   string // rooms further down; internal/* stands for all of those there
}

type roomState int

const (
	built    roomState = iota
	planned            // the folder may be missing
	forTests           // not part of the product, which must not import it
)

// rooms is the house from top to bottom. An import only ever points down, so
// there is no cycle. A new room is a new line; everything that is not a Caddy
// module or a library that stands alone goes below internal.
var rooms = []room{
	{"cmd/caddy", built, "."},
	{"docs/schema", forTests, ". scopeexpr"},
	{".", built, "authserver caddyadmin caddyconsumer caddycors caddykong caddyoauth caddyoidc caddyopa caddyratelimit caddystore caddyui caddyuma cli directive kongconfig"},

	{"caddyui", built, "cli consumer directive identity introspect pathmatch scopeexpr internal/*"},
	{"cli", built, "authserver directive enforce internal/audit internal/decisions internal/explain internal/liveconfig internal/openapi internal/policylint internal/policytool internal/replay internal/routemap internal/status internal/uilink internal/version internal/visible kongconfig pathmatch scopeexpr"},
	{"caddyadmin", built, "authserver consumer headers introspect jose internal/*"},
	{"caddyopa", built, "consumer directive enforce identity introspect pathmatch internal/*"},
	{"caddyuma", built, "directive enforce headers identity introspect jose pathmatch scopeexpr internal/*"},
	{"caddyoauth", built, "directive enforce headers identity introspect scopeexpr internal/*"},
	{"caddyoidc", built, "caddystore consumer directive headers identity introspect jose pathmatch internal/*"},
	{"caddyconsumer", built, "consumer directive headers identity introspect internal/*"},
	{"caddyratelimit", built, "directive identity internal/* internal/store/redis"},
	{"caddycors", built, "directive identity introspect pathmatch internal/*"},
	{"caddykong", built, "directive internal/kongpath"},
	{"kongconfig", built, "consumer headers internal/authcore internal/kongpath internal/strictjson pathmatch scopeexpr"},
	{"authserver", built, "authserver/kong authserver/rfc caddystore consumer directive jose internal/* internal/store/embedded"},
	{"authserver/kong", built, "internal/*"},
	{"authserver/rfc", built, "directive jose internal/*"},

	{"caddystore", built, "directive internal/* internal/store/embedded internal/store/postgres internal/store/redis"},
	{"enforce", built, "consumer directive identity introspect pathmatch scopeexpr internal/*"},
	{"identity", built, "consumer directive headers introspect pathmatch internal/*"},
	{"introspect", built, "consumer directive headers internal/*"},
	{"consumer", built, "internal/*"},
	{"headers", built, "jose internal/*"},

	{"internal/sessionpool", built, "directive internal/provider internal/seal internal/session internal/store internal/storedsecret internal/streams"},
	{"internal/verifier", built, "jose internal/clientlimit internal/dpop internal/jwtcheck internal/localserver internal/provider internal/strictjson internal/token internal/tokencache"},
	{"internal/streamjudge", built, "internal/explain internal/routemap internal/streams"},
	{"internal/kongpath", built, ""},
	{"internal/ratelimit", built, ""},
	{"internal/clientauth", built, "jose internal/authcore internal/clientlimit internal/jwtcheck"},
	{"internal/clientlimit", built, ""},
	{"internal/routemap", built, "internal/redact internal/siteguard"},
	{"internal/siteguard", built, "directive pathmatch"},
	{"internal/siteorder", built, ""},
	{"internal/redact", built, ""},
	{"internal/policytool", built, ""},
	{"internal/replay", built, "pathmatch scopeexpr internal/decisions"},
	{"internal/policylint", built, "pathmatch scopeexpr"},
	{"internal/openapi", built, "directive pathmatch scopeexpr"},
	{"internal/dpop", built, "jose internal/jwtcheck internal/seal internal/token internal/tokencache"},
	{"internal/tokencache", built, "internal/jwtcheck internal/retry internal/seal internal/spans internal/token"},
	{"internal/provider", planned, "directive jose internal/jwtcheck internal/retry internal/spans internal/storagelock internal/strictjson internal/token"},
	{"internal/provider/providertest", forTests, "jose"},
	{"internal/localserver", built, "internal/token"},
	{"internal/explain", built, "internal/token pathmatch"},
	{"internal/streams", built, "directive internal/token"},
	{"internal/token", built, "jose internal/strictjson"},
	{"internal/jwtcheck", built, "jose"},
	{"internal/optest", forTests, "jose"},
	{"internal/authcore", built, "internal/seal internal/store"},
	{"internal/session", built, "internal/seal internal/store"},
	{"internal/store/storetest", forTests, "internal/store"},
	{"internal/store/embedded", built, "internal/store"},
	{"internal/store/postgres", built, "internal/retry internal/store"},
	{"internal/store/redis", built, "internal/retry internal/store"},
	{"internal/opaengine", built, "internal/retry internal/status internal/strictjson"},
	{"internal/outbound", built, "internal/spans internal/status"},
	{"internal/store", built, "internal/retry internal/seal"},
	{"internal/storedsecret", built, "internal/storagelock"},
	{"internal/storagelock", built, "internal/retry"},

	{"scopeexpr", built, "pathmatch internal/strictjson"},
	{"pathmatch", built, ""},
	{"jose", built, "internal/strictjson"},
	{"directive", built, ""},

	{"internal/retry", built, ""},
	{"internal/apps", built, ""},
	{"internal/collected", built, ""},
	{"internal/seal", built, ""},
	{"internal/spans", built, ""},
	{"internal/decisions", built, ""},
	{"internal/audit", built, ""},
	{"internal/liveconfig", built, ""},
	{"internal/linediff", built, ""},
	{"internal/visible", built, ""},
	{"internal/version", built, ""},
	{"internal/events", built, ""},
	{"internal/uilink", built, ""},
	{"internal/strictjson", built, ""},
	{"internal/status", built, ""},

	{"bench", forTests, "internal/testenv"},
	{"docs", forTests, ""},
	{"kongconfig/fuzz", forTests, ""},
	{"e2e", forTests, "e2e/harness internal/testenv"},
	{"e2e/harness", forTests, "internal/testenv"},
	{"examples/quickstart", forTests, ""},
	{"examples/step-on", forTests, ""},
	{"internal/redistest", forTests, ""},
	{"internal/caddytest", forTests, "internal/testenv"},
	{"internal/testenv", forTests, ""},
}

const module = "github.com/caddy-gluu/gateway"

// Tests may import what they like; the rest of a room imports what its line in
// the table allows.
func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	folders := goFolders(t)
	for _, r := range rooms {
		if !slices.Contains(folders, r.dir) && r.state != planned {
			t.Errorf("there is no Go code in %q: remove its line from rooms", r.dir)
		}
	}
	for _, dir := range folders {
		i := indexOfRoom(dir)
		if i < 0 {
			t.Errorf("%q has no line in rooms: add one, and everything it imports further down", dir)
			continue
		}
		for _, imported := range importsOf(t, dir) {
			if !rooms[i].allows(imported) {
				t.Errorf("%s -> %s: its line in rooms does not allow this import: %+v", dir, imported, rooms[i])
			}
		}
	}
}

// The table itself is a drawing without arrows that point up or sideways.
func TestRoomsPointDown(t *testing.T) {
	for i, r := range rooms {
		if indexOfRoom(r.dir) != i {
			t.Errorf("%q has two lines", r.dir)
		}
		for below := range strings.FieldsSeq(r.may) {
			if below == "internal/*" {
				continue
			}
			if err := checkArrow(i, below); err != nil {
				t.Errorf("%s -> %s: %v: %+v", r.dir, below, err, r)
			}
		}
	}
}

func checkArrow(from int, to string) error {
	i := indexOfRoom(to)
	switch {
	case i < 0:
		return errors.New("there is no such room")
	case i <= from:
		return errors.New("points up")
	case areNeighbours(rooms[from].dir, to):
		return errors.New("points sideways: move what both need down")
	}
	return nil
}

// areNeighbours reports whether two rooms are of the same kind and so must not
// know each other: parts of one room, or two modules for Caddy. The pages do
// what the admin endpoints do, by their operations.
func areNeighbours(a, b string) bool {
	if a == "caddyui" && b == "caddyadmin" || b == "caddystore" {
		return false // what handlers keep, and how an operator sees it, is below them
	}
	if strings.HasPrefix(a, "caddy") && strings.HasPrefix(b, "caddy") {
		return true
	}
	parent := path.Dir(a)
	return parent != "." && parent != "internal" && parent == path.Dir(b)
}

func TestWrongArrowsAreFound(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{"introspect", "identity", "points up"},
		{"identity", "identity", "points up"},
		{"caddyuma", "caddyoauth", "points sideways"},
		{"authserver/kong", "authserver/rfc", "points sideways"},
		{"internal/store", "introspect", "points up"},
		{"jose", "internal/missing", "no such room"},
		{"caddyui", "caddyadmin", ""},
		{"internal/storagelock", "internal/retry", ""},
	} {
		t.Run(test.from+" to "+test.to, func(t *testing.T) {
			err := checkArrow(indexOfRoom(test.from), test.to)
			if got := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(got, test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	for to, want := range map[string]bool{"consumer": true, "internal/token": true, "identity": false, "pathmatch": false, "internal/testenv": false} {
		if got := rooms[indexOfRoom("introspect")].allows(to); got != want {
			t.Errorf("introspect -> %s: allowed is %v", to, got)
		}
	}
}

// allows reports whether r may import a room.
func (r room) allows(dir string) bool {
	may := strings.Fields(r.may)
	if slices.Contains(may, dir) {
		return true
	}
	i := indexOfRoom(dir)
	return slices.Contains(may, "internal/*") && path.Dir(dir) == "internal" &&
		i > indexOfRoom(r.dir) && rooms[i].state != forTests
}

func indexOfRoom(dir string) int {
	return slices.IndexFunc(rooms, func(r room) bool { return r.dir == dir })
}

// goFolders returns the folders of this module that hold Go code, tests alone
// included.
func goFolders(t *testing.T) []string {
	t.Helper()
	var folders []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if base := entry.Name(); name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" || name == "tools") {
				return fs.SkipDir // tools is a module of its own
			}
			return nil
		}
		if dir := filepath.ToSlash(filepath.Dir(name)); strings.HasSuffix(name, ".go") && !slices.Contains(folders, dir) {
			folders = append(folders, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

// importsOf returns the rooms that the code in a folder imports, whatever its
// build constraints.
func importsOf(t *testing.T, dir string) []string {
	t.Helper()
	context := build.Default
	context.UseAllFiles = true
	pkg, err := context.ImportDir(filepath.FromSlash(dir), 0)
	if _, noGo := errors.AsType[*build.NoGoError](err); err != nil && !noGo {
		t.Fatalf("%s: %v", dir, err)
	}
	var imported []string
	for _, name := range pkg.Imports {
		if name == module {
			imported = append(imported, ".")
		} else if dir, ok := strings.CutPrefix(name, module+"/"); ok {
			imported = append(imported, dir)
		}
	}
	return imported
}
