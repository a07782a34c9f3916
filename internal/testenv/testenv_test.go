// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFreeAddress(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		address, err := FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		if seen[address] {
			t.Fatalf("%s was given out twice", address)
		}
		seen[address] = true
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
}

// Two sockets on one port, as Caddy has during a reload: the wait ends when
// the first is closed, and not before.
func TestAwaitOneListener(t *testing.T) {
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		t.Skipf("NOT TESTED: the wait for the end of a reload: %v", err)
	}
	address, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	first, second := listenShared(t, address), listenShared(t, address)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := AwaitOneListener(short, address); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with two listeners: got %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- AwaitOneListener(t.Context(), address) }()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("with one listener: %v", err)
	}
	_ = second.Close()
	for _, bad := range []string{"127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"} {
		if err := AwaitOneListener(t.Context(), bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func listenShared(t *testing.T, address string) net.Listener {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var failed error
		err := conn.Control(func(descriptor uintptr) {
			failed = unix.SetsockoptInt(int(descriptor), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, failed)
	}}
	l, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
