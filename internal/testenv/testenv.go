// SPDX-License-Identifier: Apache-2.0

// Package testenv gives tests and benchmarks what they need of the machine:
// addresses to listen on, the moment at which a reload is over, and the memory
// in use.
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

// Ports are taken from below the ranges from which systems give them to
// outgoing connections (Linux from 32768, others from 49152): nothing but
// another test takes one between FreeAddress and the listener.
const (
	firstPort = 20_000
	numPorts  = 12_000
)

// taken counts the ports of this process. Processes begin at different ones,
// so that those that run at the same time do not meet.
var taken atomic.Int64

func init() { taken.Store(int64(os.Getpid()) * 97 % numPorts) }

// FreeAddress returns an address of loopback, 127.0.0.1:port, on which nothing
// listens. It gives none out twice before all were given out.
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
// During a reload Caddy listens with two, and while both are there the system
// gives new connections to either: a request sent when the reload has been
// answered may still be served by the configuration before. Where the system
// does not tell its sockets (it does on Linux), this returns at once.
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
// number, local and remote address, state. Listening sockets (0A) stand before
// all others, which may be thousands.
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
	// The second one collects what the finalizers of the first let go.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
