// SPDX-License-Identifier: Apache-2.0

// Package testenv gives tests and benchmarks what they need from the machine:
// free addresses, the moment at which a reload is complete, and the memory in
// use.
package testenv

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// The ports lie below the ephemeral ranges (Linux from 32768, others from
// 49152), so no outgoing connection can take one between FreeAddress and the
// listener.
const (
	firstPort = 20_000
	numPorts  = 12_000
)

// taken counts the ports of this process. Each process starts at a different
// one, so that test binaries that run at the same time do not collide.
var taken atomic.Int64

func init() { taken.Store(int64(os.Getpid()) * 97 % numPorts) }

// FreeAddress returns a loopback address, 127.0.0.1:port, on which nothing
// listens. It does not repeat an address until all have been used.
func FreeAddress() (string, error) {
	var err error
	for range numPorts {
		address := net.JoinHostPort("127.0.0.1", strconv.FormatInt(firstPort+taken.Add(1)%numPorts, 10))
		var listener net.Listener
		if listener, err = net.Listen("tcp", address); err == nil {
			return address, listener.Close()
		}
	}
	return "", fmt.Errorf("no port from %d to %d is free: %w", firstPort, firstPort+numPorts-1, err)
}

// AwaitOneListener waits until only one socket listens on the port of address.
// During a reload Caddy has two, and the kernel gives new connections to
// either: a request sent after the reload was acknowledged may still be served
// by the old configuration. Systems without /proc/net/tcp (all but Linux) do
// not list their sockets; there it returns at once.
func AwaitOneListener(ctx context.Context, address string) error {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return fmt.Errorf("the port of %s: %w", address, err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		n, err := numListeners(port)
		if err != nil || n <= 1 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d sockets still listen on port %d: %w", n, port, ctx.Err())
		}
	}
}

// numListeners counts the TCP sockets that listen on a port, of any address.
func numListeners(port uint64) (int, error) {
	total := 0
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(name)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		n, err := countListeners(bufio.NewScanner(file), fmt.Sprintf(":%04X", port))
		_ = file.Close()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		total += n
	}
	return total, nil
}

// countListeners reads lines like "0: 0100007F:1F90 00000000:0000 0A ...":
// number, local and remote address, state. Listening sockets (0A) come first,
// so it need not read the others, which may be thousands.
func countListeners(lines *bufio.Scanner, port string) (n int, err error) {
	lines.Scan() // the titles
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != "0A" {
			break
		}
		if strings.HasSuffix(fields[1], port) {
			n++
		}
	}
	return n, lines.Err()
}

// HeapInUse returns the bytes that are reachable on the heap.
func HeapInUse() uint64 {
	// The second run collects what the finalizers of the first released.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
