// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// Root returns the folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Binary returns the path of the gateway that most tests run: Caddy with the
// modules of this working tree, under the race detector unless RACE=0. It is
// built at the first call; Go's build cache makes that quick.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := developmentBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var developmentBinary = sync.OnceValues(func() (string, error) {
	name, args := "caddy-race", []string{"build", "-race"}
	if os.Getenv("RACE") == "0" {
		name, args = "caddy", []string{"build"}
	}
	path := filepath.Join(Root(), ".cache", "e2e", name)
	return path, runInRoot("go", append(args, "-o", path, "./cmd/caddy")...)
})

// StandardBinary returns the path of bin/caddy, which xcaddy builds: what
// people run, with the plugins that come with it.
func StandardBinary(t testing.TB) string {
	t.Helper()
	path, err := standardBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var standardBinary = sync.OnceValues(func() (string, error) {
	return filepath.Join(Root(), "bin", "caddy"), runInRoot("go", "-C", "tools", "run", "./build")
})

func runInRoot(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}
