// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/internal/decisions"
)

// Bounds of the live tails. A person with many tabs keeps the first ones.
const (
	maxTails           = 20 // of a UI
	maxTailsOfASession = 4
)

// tailAge is when a tail ends by itself. The browser opens it again, and who has
// lost the role meanwhile gets nothing more.
const tailAge = 10 * time.Minute

// beatInterval is how often a tail says that it is alive, so that proxies do not
// cut it, and looks whether the session is.
const beatInterval = 15 * time.Second

// tailLimiter counts the tails that are open.
type tailLimiter struct {
	mu     sync.Mutex
	total  int
	of     map[string]int // by session
	ending context.Context
}

func newTailLimiter(ending context.Context) *tailLimiter {
	return &tailLimiter{of: map[string]int{}, ending: ending}
}

// begin reports whether one more may be open.
func (l *tailLimiter) begin(session string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= maxTails || l.of[session] >= maxTailsOfASession {
		return false
	}
	l.total++
	l.of[session]++
	return true
}

func (l *tailLimiter) end(session string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.of[session]--; l.of[session] == 0 {
		delete(l.of, session)
	}
}

// showTail sends the refusals that a filter wants as they happen, as rows of the
// list. It ends with the configuration; the browser resumes after the last one that
// it has seen.
func showTail(v *visit) error {
	filter, _, err := readFilter(v.r.URL.Query())
	if err != nil {
		return unfit(err)
	}
	if v.r.Method == http.MethodHead {
		return nil
	}
	if !v.tails.begin(v.visitor.session) {
		v.w.Header().Set("Retry-After", "10")
		return &fault{Status: http.StatusTooManyRequests, Title: "Too many live pages", Text: "Close another page that follows the decisions."}
	}
	defer v.tails.end(v.visitor.session)
	ctx, cancel := context.WithTimeout(v.r.Context(), tailAge)
	defer cancel()
	defer context.AfterFunc(v.tails.ending, cancel)()
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	tail := decisions.Recent.Tail(filter)
	defer tail.Close()
	s := &eventWriter{w: v.w, out: http.NewResponseController(v.w)}
	_ = s.comment("open")
	if last, err := strconv.ParseUint(v.r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		_ = s.rows(v, missedSince(filter, last))
	}
	for s.err == nil && ctx.Err() == nil {
		s.follow(ctx, v, tail)
	}
	return nil
}

// missedSince returns the refusals after a number, the oldest first.
func missedSince(f decisions.Filter, last uint64) []*decisions.Decision {
	list := decisions.Recent.List(f, decisionsOnAPage)
	list = slices.DeleteFunc(list, func(d *decisions.Decision) bool { return d.Number <= last })
	slices.Reverse(list)
	return list
}

// follow sends what comes until the next beat.
func (s *eventWriter) follow(ctx context.Context, v *visit, tail *decisions.Tail) {
	beat, cancel := context.WithTimeout(ctx, beatInterval)
	defer cancel()
	found, missed, err := tail.Next(beat)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		if now := v.visitorOf(v.r, false); now == nil || now.role < viewer {
			s.err = errors.New("the session has ended")
			return
		}
		_ = s.comment("beat")
	case err != nil:
		s.err = err
	default:
		if missed > 0 {
			_ = s.event("missed", 0, []byte(groupDigits(int(missed))))
		}
		_ = s.rows(v, found)
	}
}

// eventWriter writes server-sent events. After an error it writes nothing more.
type eventWriter struct {
	w   http.ResponseWriter
	out *http.ResponseController
	err error
}

// rows sends decisions, each as the row of the table that it is.
func (s *eventWriter) rows(v *visit, list []*decisions.Decision) error {
	for _, d := range list {
		var row bytes.Buffer
		if err := templates["decisions"].ExecuteTemplate(&row, "decision", d); err != nil {
			return err
		}
		if err := s.event("decision", d.Number, clean(row.Bytes())); err != nil {
			return err
		}
	}
	return s.flush()
}

func (s *eventWriter) event(name string, id uint64, data []byte) error {
	var b bytes.Buffer
	if id > 0 {
		fmt.Fprintf(&b, "id: %d\n", id)
	}
	fmt.Fprintf(&b, "event: %s\n", name)
	for line := range bytes.Lines(data) {
		fmt.Fprintf(&b, "data: %s\n", bytes.TrimRight(line, "\n"))
	}
	b.WriteByte('\n')
	return s.write(b.Bytes())
}

func (s *eventWriter) comment(text string) error {
	_ = s.write([]byte(": " + text + "\n\n"))
	return s.flush()
}

// writeLimit is how long a browser may take to read what it is sent.
const writeLimit = 10 * time.Second

func (s *eventWriter) write(text []byte) error {
	if s.err == nil {
		_ = s.out.SetWriteDeadline(time.Now().Add(writeLimit)) // not every writer has one
		_, s.err = s.w.Write(text)
	}
	return s.err
}

func (s *eventWriter) flush() error {
	if s.err == nil {
		s.err = s.out.Flush()
	}
	return s.err
}
