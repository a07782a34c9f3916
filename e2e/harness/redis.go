// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/testenv"
)

// A Redis is a redis-server of the test's own. It keeps nothing: what was
// started again is empty.
type Redis struct {
	*Process
	Addr string // host:port

	t   testing.TB
	dir string
}

// StartRedis starts one for the life of the test. Where there is none the
// test skips itself.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("NOT TESTED: redis-server is not on this machine")
	}
	addr, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	r := &Redis{Addr: addr, t: t, dir: t.TempDir()}
	t.Cleanup(func() { r.Process.Kill() })
	r.Start()
	return r
}

// Start starts it again after Kill, at the same address.
func (r *Redis) Start() {
	r.t.Helper()
	host, port, _ := net.SplitHostPort(r.Addr)
	cmd := exec.Command("redis-server", "--bind", host, "--port", port, "--dir", r.dir, "--save", "", "--appendonly", "no")
	cmd.Env = os.Environ()
	process, err := startProcess("redis-server", cmd)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Process = process
	Eventually(r.t, patience, func() string {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.Addr)
		if err != nil {
			return err.Error()
		}
		conn.Close()
		return ""
	})
}
