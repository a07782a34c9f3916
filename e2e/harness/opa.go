// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/testenv"
)

// An OPA is a server of Open Policy Agent that belongs to one test. It is the
// program itself, built from the module tools/opa.
type OPA struct {
	*Process
	Addr string // host:port
}

// StartOPA starts a server with these arguments, files of policies among them,
// for the life of the test and waits until it has activated them.
func StartOPA(t testing.TB, args ...string) *OPA {
	t.Helper()
	binary, err := opaBinary()
	if err != nil {
		t.Fatal(err)
	}
	addr, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, append([]string{"run", "--server", "--addr", addr, "--disable-telemetry"}, args...)...)
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	process, err := startProcess("the OPA server", cmd)
	if err != nil {
		t.Fatal(err)
	}
	o := &OPA{process, addr}
	t.Cleanup(func() { _ = o.Kill() })
	Eventually(t, patience, o.health)
	return o
}

// RunOPA runs a command of the program in a folder.
func RunOPA(t testing.TB, dir string, args ...string) {
	t.Helper()
	binary, err := opaBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("opa %v: %v\n%s", args, err, out)
	}
}

// health says why the server is not ready, or nothing.
func (o *OPA) health() string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.Addr+"/health?bundles", nil)
	if err != nil {
		return err.Error()
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error() + "\n" + o.Log.String()
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return answer.Status
	}
	return ""
}

var opaBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(Root(), ".cache", "e2e", "opa")
	return path, runInRoot("go", "-C", "tools/opa", "build", "-o", path, "github.com/open-policy-agent/opa")
})
