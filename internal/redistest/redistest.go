// SPDX-License-Identifier: Apache-2.0

// Package redistest runs a real redis-server for the length of a test, and can
// make it unavailable: by killing it, by stopping it, or by cutting the
// connection.
package redistest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// Server is a redis-server on a socket of its own. It keeps nothing on disk.
type Server struct {
	t      testing.TB
	dir    string
	socket string
	cmd    *exec.Cmd
}

// Start starts a server. Options are those of its command line. Without
// redis-server on the machine the test is skipped.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("NOT TESTED: redis-server is not installed on this machine")
	}
	// Not t.TempDir: the name of a socket must be short.
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, dir: dir, socket: filepath.Join(dir, "s")}
	t.Cleanup(func() {
		s.Kill()
		os.RemoveAll(dir)
	})
	s.Restart(options...)
	return s
}

// Restart starts the server again after Kill, as one that has forgotten
// everything.
func (s *Server) Restart(options ...string) {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", append([]string{
		"--port", "0", "--unixsocket", s.socket, "--dir", s.dir, "--save", "", "--appendonly", "no",
	}, options...)...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	Eventually(s.t, "redis-server answers", func() bool {
		client, err := rueidis.NewClient(s.option())
		if err != nil {
			return false
		}
		defer client.Close()
		return client.Do(s.t.Context(), client.B().Ping().Build()).Error() == nil
	})
}

// Kill ends the server.
func (s *Server) Kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// Hang stops the process, so that connections stay but nothing is answered,
// until the function that it returns is called.
func (s *Server) Hang() (resume func()) {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	return func() { s.signal(syscall.SIGCONT) }
}

func (s *Server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// URL returns the address of the server.
func (s *Server) URL() string { return "unix://" + s.socket }

func (s *Server) option() rueidis.ClientOption {
	option, err := rueidis.ParseURL(s.URL())
	if err != nil {
		s.t.Fatal(err)
	}
	option.DisableCache, option.ForceSingleClient = true, true
	return option
}

// Client returns a client with all rights, as an attacker might have.
func (s *Server) Client() rueidis.Client {
	s.t.Helper()
	client, err := rueidis.NewClient(s.option())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	return client
}

// Eventually waits for a condition, for 20 seconds at most.
func Eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !check() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("not even after 20 seconds: %s", what)
		}
	}
}
