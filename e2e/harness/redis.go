// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/testenv"
)

// A Redis is a redis-server that belongs to one test. It stores nothing on
// disk, so it is empty after a restart, unless it is a durable one.
type Redis struct {
	*Process
	Addr string // host:port

	// Certificate is what its clients must trust, PEM; "" without TLS.
	Certificate string

	t       testing.TB
	dir     string
	options []string
}

// StartRedis starts a server for the life of the test. The test skips itself if
// redis-server is not installed.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	r := newRedis(t)
	r.options = []string{"--port", r.port()}
	r.Start()
	return r
}

// StartDurableRedis starts a server that writes each change to disk, and has it
// again after a restart.
func StartDurableRedis(t testing.TB) *Redis {
	t.Helper()
	r := newRedis(t)
	r.options = []string{"--port", r.port(), "--appendonly", "yes", "--appendfsync", "always"}
	r.Start()
	return r
}

// StartSecuredRedis starts a server that only speaks TLS and has one user, with
// the rights of an ACL rule such as "+get ~prefix:*".
func StartSecuredRedis(t testing.TB, user, password, rights string) *Redis {
	t.Helper()
	r := newRedis(t)
	certificate, key := Certificate(t)
	r.Certificate = certificate
	files := map[string]string{
		"certificate.pem": certificate, "key.pem": key,
		"users": "user default off\nuser " + user + " on >" + password + " " + rights + "\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.options = []string{
		"--port", "0", "--tls-port", r.port(), "--tls-auth-clients", "no", "--aclfile", "users",
		"--tls-cert-file", "certificate.pem", "--tls-key-file", "key.pem",
	}
	r.Start()
	return r
}

func newRedis(t testing.TB) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skipf("NOT TESTED: what needs Redis: %v: redis-server", ErrMissing)
	}
	addr, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	r := &Redis{Addr: addr, t: t, dir: t.TempDir()}
	t.Cleanup(func() {
		if r.Process != nil {
			_ = r.Kill()
		}
	})
	return r
}

func (r *Redis) port() string {
	_, port, _ := net.SplitHostPort(r.Addr)
	return port
}

// Start starts the server again after Kill, at the same address.
func (r *Redis) Start() {
	r.t.Helper()
	host, _, _ := net.SplitHostPort(r.Addr)
	cmd := exec.Command("redis-server", append([]string{"--bind", host, "--dir", r.dir, "--save", "", "--appendonly", "no"}, r.options...)...)
	cmd.Dir = r.dir
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
