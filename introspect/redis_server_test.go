// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
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
		return p.cache.shared.status().State == state
	})
}

// redisLink is a way to a Redis that can be cut: then nothing arrives any more,
// unlike at a server that is stopped and finds in its socket what came meanwhile.
type redisLink struct {
	redis  *redisServer
	socket string

	mu       sync.Mutex
	listener net.Listener
	ends     []net.Conn
	running  sync.WaitGroup
}

func (s *redisServer) link() *redisLink {
	s.t.Helper()
	l := &redisLink{redis: s, socket: filepath.Join(s.dir, "link")}
	l.mend()
	s.t.Cleanup(l.cut)
	return l
}

func (l *redisLink) mend() {
	l.redis.t.Helper()
	listener, err := net.Listen("unix", l.socket)
	if err != nil {
		l.redis.t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener = listener
	l.running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", l.redis.socket)
			if err != nil {
				near.Close()
				continue
			}
			l.mu.Lock()
			l.ends = append(l.ends, near, far)
			l.mu.Unlock()
			for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
				l.running.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					near.Close()
					far.Close()
				})
			}
		}
	})
}

func (l *redisLink) cut() {
	l.mu.Lock()
	l.listener.Close()
	for _, end := range l.ends {
		end.Close()
	}
	l.ends = nil
	l.mu.Unlock()
	l.running.Wait()
}

// cache is the settings of a gateway at the near end.
func (l *redisLink) cache() CacheConfig {
	return CacheConfig{Redis: "unix://" + l.socket, RedisKey: testRedisKey}
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
