// SPDX-License-Identifier: Apache-2.0

package liveconfig

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// tried is the configuration on trial.
var tried = &Config{JSON: []byte(`{"tried":1}`), ETag: "tried"}

// newTrials returns trials whose time is over when a test says so.
func newTrials() (trials *Trials, expire func()) {
	var due func()
	trials = NewTrials(time.Now, func(_ time.Duration, f func()) func() bool {
		due = f
		return func() bool { return true } // too late: the timer has fired already
	})
	return trials, func() { due() }
}

// pendingIn returns a configuration that counts how often the former one was loaded.
func pendingIn(restored *int, fails error) *Pending {
	return &Pending{Serial: 5, Config: tried.JSON, ETag: tried.ETag, Restore: func(context.Context, *Pending) error { *restored++; return fails }}
}

func TestTrials(t *testing.T) {
	fails := errors.New("fails")
	for name, c := range map[string]struct {
		do       func(trials *Trials, p *Pending, expire func()) error
		want     error
		restored int
	}{
		"time is over": {func(_ *Trials, _ *Pending, expire func()) error { expire(); return nil }, nil, 1},
		"over twice":   {func(_ *Trials, _ *Pending, expire func()) error { expire(); expire(); return nil }, nil, 1},
		"kept":         {func(trials *Trials, _ *Pending, _ func()) error { _, err := trials.Confirm(6, tried); return err }, nil, 0},
		"kept when the timer fires": {func(trials *Trials, _ *Pending, expire func()) error {
			_, err := trials.Confirm(6, tried)
			expire()
			return err
		}, nil, 0},
		"kept too late": {func(trials *Trials, _ *Pending, expire func()) error {
			expire()
			_, err := trials.Confirm(6, tried)
			return err
		}, ErrNonePends, 1},
		"kept from the former one": {func(trials *Trials, _ *Pending, expire func()) error {
			_, err := trials.Confirm(5, tried)
			expire()
			return err
		}, ErrOldConfirm, 1},
		"returned at once": {func(trials *Trials, _ *Pending, expire func()) error { err := trials.Return(); expire(); return err }, nil, 1},
		"returned twice":   {func(trials *Trials, _ *Pending, _ func()) error { _ = trials.Return(); return trials.Return() }, ErrNonePends, 1},
		"a second one":     {func(trials *Trials, _ *Pending, _ func()) error { return trials.Begin(&Pending{}) }, ErrPending, 0},
		"a second one after it was kept": {func(trials *Trials, _ *Pending, _ func()) error {
			_, _ = trials.Confirm(6, tried)
			return trials.Begin(&Pending{})
		}, nil, 0},
		"kept when someone else has loaded another one": {func(trials *Trials, _ *Pending, _ func()) error {
			_, err := trials.Confirm(6, &Config{JSON: tried.JSON, ETag: "another"})
			return err
		}, ErrChanged, 0},
		"kept without knowing its ETag": {func(trials *Trials, p *Pending, _ func()) error {
			trials.Loaded(p, "")
			_, err := trials.Confirm(6, tried)
			return err
		}, nil, 0},
		"another one without knowing its ETag": {func(trials *Trials, p *Pending, _ func()) error {
			trials.Loaded(p, "")
			_, err := trials.Confirm(6, &Config{JSON: []byte("{}"), ETag: tried.ETag})
			return err
		}, ErrChanged, 0},
		"not loaded": {func(trials *Trials, p *Pending, expire func()) error {
			trials.Cancel(p)
			expire()
			_, err := trials.Confirm(6, tried)
			return err
		}, ErrNonePends, 0},
	} {
		t.Run(name, func(t *testing.T) {
			trials, expire := newTrials()
			var restored int
			p := pendingIn(&restored, nil)
			if err := trials.Begin(p); err != nil {
				t.Fatal(err)
			}
			if err := c.do(trials, p, expire); !errors.Is(err, c.want) || restored != c.restored {
				t.Errorf("got %v, and the former one was loaded %d times; want %v and %d", err, restored, c.want, c.restored)
			}
		})
	}
	t.Run("what cannot return is reported", func(t *testing.T) {
		trials, expire := newTrials()
		var restored int
		var ended error
		p := pendingIn(&restored, fails)
		p.Ended = func(_ *Pending, err error) { ended = err }
		if err := trials.Begin(p); err != nil {
			t.Fatal(err)
		}
		expire()
		if !errors.Is(ended, fails) || trials.Current() != nil {
			t.Errorf("got %v, and %v is pending", ended, trials.Current())
		}
	})
}

func TestTheHistoryIsBoundedAndReadAgain(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { now = now.Add(time.Second); return now }
	h := OpenHistory(dir, clock)
	for i := range HistorySize + 10 {
		for range 2 { // the same text again is no version
			if err := h.Note(string(rune('A'+i)), "ann", "note"); err != nil {
				t.Fatal(err)
			}
		}
	}
	again := OpenHistory(dir, clock)
	for name, list := range map[string][]Version{"in memory": h.List(), "in files": again.List()} {
		if len(list) != HistorySize || list[0].Text != string(rune('A'+HistorySize+9)) || list[HistorySize-1].Text != string(rune('A'+10)) || list[0].By != "ann" {
			t.Errorf("%s: %d versions from %q to %q", name, len(list), list[0].Text, list[len(list)-1].Text)
		}
	}
	if v, ok := again.Find(IDOf("Z")); !ok || v.Text != "Z" {
		t.Errorf("got %+v", v)
	}
}

// Whatever the versions are, they are at most so long together, in memory and in files.
func TestTheHistoryIsBoundedInBytes(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { now = now.Add(time.Second); return now }
	h := OpenHistory(dir, clock)
	text := strings.Repeat("x", HistoryBytes/3)
	for i := range 5 {
		if err := h.Note(text+strconv.Itoa(i), "ann", "note"); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	if list := h.List(); len(list) != 2 || list[0].Text != text+"4" || len(files) != 2 {
		t.Errorf("%d versions are kept, %d of them in files", len(list), len(files))
	}
	if list := OpenHistory(dir, clock).List(); len(list) != 2 || list[0].Text != text+"4" {
		t.Errorf("%d versions are read", len(list))
	}
	if err := h.Note(strings.Repeat("y", HistoryBytes+1), "ann", "note"); err != nil || len(h.List()) != 1 {
		t.Errorf("the newest is not kept alone: %d versions, %v", len(h.List()), err)
	}
}

func TestAFileIsReplacedWithAMode(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	for _, step := range []struct {
		write      func(string, []byte, os.FileMode) error
		mode, want os.FileMode
	}{{WriteFile, 0o640, 0o640}, {WriteFile, 0o600, 0o640}, {ReplaceFile, 0o600, 0o600}} {
		if err := step.write(name, []byte("text"), step.mode); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != step.want {
			t.Errorf("the mode is %v, %v, want %v", info.Mode(), err, step.want)
		}
	}
}

// The endpoint of a configuration that has just been loaded takes the place of another
// one, whose connections end.
func TestReadingTriesAgain(t *testing.T) {
	var asked atomic.Int32 // a connection that ends is not an answer to wait for
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 3 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Etag", "one")
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	e, err := NewEndpoint(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Read(t.Context()); err != nil || got.ETag != "one" {
		t.Errorf("got %+v, %v", got, err)
	}
	asked.Store(0)
	if err := e.Replace(t.Context(), "one", []byte("{}")); err == nil || asked.Load() != 1 {
		t.Errorf("a change was sent %d times, %v", asked.Load(), err)
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]bool{"": true, "localhost:2019": true, "unix//run/caddy.sock|0200": true, "localhost:1-5": false} {
		if _, err := NewEndpoint(address); (err == nil) != want {
			t.Errorf("%q: got %v", address, err)
		}
	}
}
