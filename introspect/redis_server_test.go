// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// redisServer is a real one, on a socket of its own.
type redisServer struct {
	t      *testing.T
	dir    string
	socket string
	cmd    *exec.Cmd
}

const testRedisKey = "a key of thirty-two bytes or more"

// startRedis starts a Redis for the life of the test. Options are those of its
// command line.
func startRedis(t *testing.T, options ...string) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("NOT TESTED: redis-server is not on this machine")
	}
	// Not t.TempDir: the name of a socket must be short.
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{t: t, dir: dir, socket: filepath.Join(dir, "s")}
	t.Cleanup(func() {
		s.kill()
		os.RemoveAll(dir)
	})
	s.start(options...)
	return s
}

func (s *redisServer) start(options ...string) {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", append([]string{
		"--port", "0", "--unixsocket", s.socket, "--dir", s.dir, "--save", "", "--appendonly", "no",
	}, options...)...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "redis-server answers", func() bool {
		client, err := rueidis.NewClient(s.option())
		if err != nil {
			return false
		}
		defer client.Close()
		return client.Do(s.t.Context(), client.B().Ping().Build()).Error() == nil
	})
}

func (s *redisServer) kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

func (s *redisServer) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

func (s *redisServer) url() string { return "unix://" + s.socket }

func (s *redisServer) option() rueidis.ClientOption {
	option, err := redisOption(s.url())
	if err != nil {
		s.t.Fatal(err)
	}
	return option
}

// client is what somebody has who can read and write everything.
func (s *redisServer) client() rueidis.Client {
	s.t.Helper()
	client, err := rueidis.NewClient(s.option())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	return client
}

// records returns the keys of all records.
func (s *redisServer) records(client rueidis.Client) []string {
	s.t.Helper()
	keys, err := client.Do(s.t.Context(), client.B().Keys().Pattern("gluu:*:t:*").Build()).AsStrSlice()
	if err != nil {
		s.t.Fatal(err)
	}
	return keys
}

// cache is the settings of gateways that share this server.
func (s *redisServer) cache() CacheConfig {
	return CacheConfig{Redis: s.url(), RedisKey: testRedisKey}
}

// gateway makes a gateway and waits until it uses the server.
func (s *redisServer) gateway(config ProviderConfig) *Provider {
	s.t.Helper()
	p := providerFor(s.t, config, s.cache())
	s.waitFor(p, sharedOK)
	return p
}

func (s *redisServer) waitFor(p *Provider, state string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("the shared cache is %s", state), func() bool {
		return p.cache.shared.figures().State == state
	})
}

func eventually(t *testing.T, what string, check func() bool) {
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
