// SPDX-License-Identifier: Apache-2.0

package redis_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/store/storetest"
	"github.com/caddy-gluu/gateway/internal/testenv"
)

// process starts a redis-server with a configuration file, which Sentinel
// insists on, and returns its address.
func process(t *testing.T, settings string, arguments ...string) (addr string) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("NOT TESTED: redis-server is not on this machine")
	}
	addr, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	file := filepath.Join(dir, "redis.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\n%s", port, dir, settings)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", append([]string{file}, arguments...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	harness.Eventually(t, patience, func() string {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err.Error()
		}
		conn.Close()
		return ""
	})
	return addr
}

// direct is a client of exactly one server.
func direct(t *testing.T, addr string) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// One node has all slots: what a Cluster refuses, such as a script that touches
// keys of several slots, it refuses too.
func TestConformanceInCluster(t *testing.T) {
	addr := process(t, "cluster-enabled yes\nsave \"\"\n")
	node := direct(t, addr)
	if err := node.Do(t.Context(), node.B().Arbitrary("CLUSTER", "ADDSLOTSRANGE", "0", "16383").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, func() string {
		info, err := node.Do(t.Context(), node.B().ClusterInfo().Build()).ToString()
		if err != nil || !strings.Contains(info, "cluster_state:ok") {
			return fmt.Sprintf("the cluster is not ready: %v", err)
		}
		return ""
	})
	address := "redis://" + addr
	if client := newPlace(t, address).client; client.Mode() != rueidis.ClientModeCluster {
		t.Fatalf("the client is in mode %v, want that of a Cluster", client.Mode())
	}
	storetest.Suite{Shared: true, New: func(t testing.TB) storetest.Place { return newPlace(t, address) }}.Run(t)
}

func TestConformanceBehindSentinel(t *testing.T) {
	primary := process(t, "save \"\"\n")
	host, port, _ := net.SplitHostPort(primary)
	sentinel := process(t, fmt.Sprintf("sentinel monitor main %s %s 1\n", host, port), "--sentinel")
	address := "redis://" + sentinel + "?master_set=main"
	if client := newPlace(t, address).client; client.Mode() != rueidis.ClientModeSentinel {
		t.Fatalf("the client is in mode %v, want that of Sentinel", client.Mode())
	}
	storetest.Suite{Shared: true, New: func(t testing.TB) storetest.Place { return newPlace(t, address) }}.Run(t)
}
