// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"io"
	"net"
	"path/filepath"
	"sync"
)

// Link is a way to a server that can be cut: then nothing arrives any more. A
// server that merely hangs finds in its socket what was sent in the meantime.
type Link struct {
	server *Server
	socket string

	mu       sync.Mutex
	listener net.Listener
	ends     []net.Conn
	running  sync.WaitGroup
}

// Link makes a way to the server.
func (s *Server) Link() *Link {
	s.t.Helper()
	l := &Link{server: s, socket: filepath.Join(s.dir, "link")}
	l.Restore()
	s.t.Cleanup(l.Cut)
	return l
}

// URL returns the address of the near end.
func (l *Link) URL() string { return "unix://" + l.socket }

// Restore opens the link again after Cut.
func (l *Link) Restore() {
	l.server.t.Helper()
	listener, err := net.Listen("unix", l.socket)
	if err != nil {
		l.server.t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener = listener
	l.running.Go(func() { l.accept(listener) })
}

func (l *Link) accept(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("unix", l.server.socket)
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
}

// Cut closes all connections and refuses new ones.
func (l *Link) Cut() {
	l.mu.Lock()
	l.listener.Close()
	for _, end := range l.ends {
		end.Close()
	}
	l.ends = nil
	l.mu.Unlock()
	l.running.Wait()
}
