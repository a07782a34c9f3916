// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// A Log keeps what a process printed and wakes those who wait for a line.
type Log struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed and replaced with each write
}

func newLog() *Log { return &Log{grown: make(chan struct{})} }

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	close(l.grown)
	l.grown = make(chan struct{})
	return len(p), nil
}

// String returns everything printed so far.
func (l *Log) String() string {
	text, _ := l.state()
	return text
}

func (l *Log) state() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String(), l.grown
}

// Mark returns a place in the log: its end now.
func (l *Log) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

// wait returns the first whole line after a mark that accept takes, as soon
// as there is one.
func (l *Log) wait(ctx context.Context, mark int, accept func(line string) bool) (string, error) {
	read := mark
	for {
		text, grown := l.state()
		for {
			line, _, whole := strings.Cut(text[read:], "\n")
			if !whole {
				break
			}
			read += len(line) + 1
			if accept(line) {
				return line, nil
			}
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return "", fmt.Errorf("%w; it printed:\n%s", context.Cause(ctx), text)
		}
	}
}

// An Entry is one structured log line of Caddy.
type Entry map[string]any

// Text returns a member as a string, or "" if it is missing.
func (e Entry) Text(name string) string {
	text, _ := e[name].(string)
	return text
}

// parseEntry returns nil for a line that is not structured.
func parseEntry(line string) Entry {
	var entry Entry
	if json.Unmarshal([]byte(line), &entry) != nil {
		return nil
	}
	return entry
}

// Entries returns all structured lines that keep takes.
func (l *Log) Entries(keep func(Entry) bool) []Entry {
	var entries []Entry
	for line := range strings.Lines(l.String()) {
		if entry := parseEntry(line); entry != nil && keep(entry) {
			entries = append(entries, entry)
		}
	}
	return entries
}
