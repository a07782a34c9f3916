// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
)

// clock is one that a test moves.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nanos.Store(time.Unix(1_790_000_000, 0).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func openStore(t *testing.T, c *clock) *store.Store {
	t.Helper()
	s, _ := openFlakyStore(t, c)
	return s
}

// flaky is an engine that a test makes unavailable.
type flaky struct {
	store.Engine
	away atomic.Bool

	// afterGet runs once, when a session was read and before the caller has it.
	afterGet atomic.Pointer[func()]
}

var errAway = errors.New("unavailable on purpose")

func (f *flaky) Get(ctx context.Context, kind string, key store.Hash) (store.Row, error) {
	if f.away.Load() {
		return store.Row{}, errAway
	}
	row, err := f.Engine.Get(ctx, kind, key)
	if kind == kindSession && err == nil {
		if then := f.afterGet.Swap(nil); then != nil {
			(*then)()
		}
	}
	return row, err
}

func (f *flaky) Commit(ctx context.Context, now time.Time, ops []store.RowOp, announcements [][]byte) error {
	if f.away.Load() {
		return errAway
	}
	return f.Engine.Commit(ctx, now, ops, announcements)
}

func openFlakyStore(t *testing.T, c *clock) (*store.Store, *flaky) {
	t.Helper()
	file, err := embedded.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	engine := &flaky{Engine: file}
	s, err := store.New(engine, store.Options{Secrets: []string{strings.Repeat("s", 32)}, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, engine
}

func newManager(t *testing.T, s *store.Store, c *clock, keys ...string) *Manager {
	t.Helper()
	if len(keys) == 0 {
		keys = []string{strings.Repeat("k", 32)}
	}
	sealer, err := seal.New(Label, keys...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewManager(Config{Store: s, Sealer: sealer, Size: 1000, Grace: time.Minute, Shared: true, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// sessionOf is a session of a person.
func sessionOf(c *clock, subject, sid string) Session {
	return Session{
		Issuer: "https://op", ClientID: "web", Subject: subject, SID: sid, Created: c.now(), Seen: c.now(),
		Authentications: []Authentication{{ACR: "silver", AuthTime: c.now(), IssuedAt: c.now(), Claims: []byte(`{"sub":"` + subject + `"}`)}},
	}
}

func inAnHour(s *Session) time.Time { return s.Created.Add(time.Hour) }

func create(t *testing.T, m *Manager, s Session) string {
	t.Helper()
	_, cookie, err := m.Create(t.Context(), s, inAnHour)
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

func TestASessionIsOpenedByItsCookieAlone(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	m, other := newManager(t, s, c), newManager(t, s, c)
	cookie := create(t, m, sessionOf(c, "alice", "1"))
	for name, at := range map[string]*Manager{"here": m, "at another gateway": other} {
		got, err := at.Open(t.Context(), cookie)
		if err != nil || got.Subject != "alice" || got.Newest().ACR != "silver" {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	ref, _ := parseCookie(cookie)
	ref.secret[0] ^= 1
	if got, err := other.Open(t.Context(), ref.cookie()); !errors.Is(err, ErrNone) {
		t.Errorf("with another secret: got %+v, %v; want no session", got, err)
	}
	if _, err := m.Open(t.Context(), newReference().cookie()); !errors.Is(err, ErrNone) {
		t.Errorf("with another id: got %v, want no session", err)
	}
	c.advance(time.Hour)
	if _, err := other.Open(t.Context(), cookie); !errors.Is(err, ErrNone) {
		t.Errorf("after its end: got %v, want no session", err)
	}
}

func TestSec_S139_AnEndedSessionOpensNowhere(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	m, other := newManager(t, s, c), newManager(t, s, c)
	for name, end := range map[string]func(cookie string) error{
		"by the session": func(cookie string) error {
			opened, err := m.Open(t.Context(), cookie)
			if err != nil {
				return err
			}
			return m.End(t.Context(), opened)
		},
		"by sid":     func(string) error { _, err := m.EndBy(t.Context(), "https://op", "sid-1", ""); return err },
		"by subject": func(string) error { _, err := m.EndBy(t.Context(), "https://op", "", "alice"); return err },
	} {
		cookie := create(t, m, sessionOf(c, "alice", "sid-1"))
		if _, err := other.Open(t.Context(), cookie); err != nil {
			t.Fatal(err)
		}
		if err := end(cookie); err != nil {
			t.Fatal(err)
		}
		for where, at := range map[string]*Manager{"here": m, "at another gateway": other} {
			if got, err := at.Open(t.Context(), cookie); !errors.Is(err, ErrNone) {
				t.Errorf("%s, %s: got %v, %v; want no session", name, where, got, err)
			}
		}
	}
}

func TestALogoutEndsWhatItNames(t *testing.T) {
	c := newClock()
	m := newManager(t, openStore(t, c), c)
	for _, test := range []struct {
		name              string
		issuer, sid, sub  string
		ended             int
		alice1, alice2, b bool // still there
	}{
		{"sid", "https://op", "1", "", 1, false, true, true},
		{"subject: all sessions of the person", "https://op", "", "alice", 2, false, false, true},
		{"both that fit", "https://op", "1", "alice", 1, false, true, true},
		{"both that do not fit", "https://op", "1", "bob", 0, true, true, true},
		{"unknown sid", "https://op", "9", "", 0, true, true, true},
		{"another issuer", "https://other", "1", "", 0, true, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cookies := []string{create(t, m, sessionOf(c, "alice", "1")), create(t, m, sessionOf(c, "alice", "2")), create(t, m, sessionOf(c, "bob", "3"))}
			ended, err := m.EndBy(t.Context(), test.issuer, test.sid, test.sub)
			if err != nil || ended != test.ended {
				t.Errorf("ended %d, %v; want %d", ended, err, test.ended)
			}
			for i, want := range []bool{test.alice1, test.alice2, test.b} {
				if _, err := m.Open(t.Context(), cookies[i]); (err == nil) != want {
					t.Errorf("session %d: got %v, want it there: %t", i, err, want)
				}
			}
			for _, subject := range []string{"alice", "bob"} { // for the next case
				if _, err := m.EndBy(t.Context(), "https://op", "", subject); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestChangesAtTheSameTimeAreAllKept(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	managers := []*Manager{newManager(t, s, c), newManager(t, s, c)}
	cookie := create(t, managers[0], sessionOf(c, "alice", "1"))
	opened, err := managers[0].Open(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for i, name := range names {
		wait.Go(func() {
			_, err := managers[i%2].Update(t.Context(), opened, inAnHour, func(s *Session) error {
				if s.Permissions == nil {
					s.Permissions = make(map[string]Permission)
				}
				s.Permissions[name] = Permission{Token: name}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	got, err := managers[1].Reload(t.Context(), opened)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if got.Permissions[name].Token != name {
			t.Errorf("the change %s is lost: %v", name, got.Permissions)
		}
	}
}

func TestSec_S124_WorkIsDoneOnceForAllWhoWait(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	managers := []*Manager{newManager(t, s, c), newManager(t, s, c)}
	cookie := create(t, managers[0], sessionOf(c, "alice", "1"))
	var works atomic.Int64
	started, release := make(chan struct{}, 50), make(chan struct{})
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			m := managers[i%2]
			opened, err := m.Open(t.Context(), cookie)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := m.Exclusive(t.Context(), opened, "renew", func(ctx context.Context, current *Session) (*Session, error) {
				if current.Refresh == "second" {
					return current, nil
				}
				works.Add(1)
				started <- struct{}{}
				<-release
				return m.Update(ctx, current, inAnHour, func(s *Session) error { s.Refresh = "second"; return nil })
			})
			if err != nil || got.Refresh != "second" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	<-started
	close(release)
	wait.Wait()
	if n := works.Load(); n != 1 {
		t.Errorf("the work was done %d times, want once", n)
	}
}

func TestWorkGoesOnWhenItsRequestEnds(t *testing.T) {
	c := newClock()
	m := newManager(t, openStore(t, c), c)
	opened, err := m.Open(t.Context(), create(t, m, sessionOf(c, "alice", "1")))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	_, err = m.Exclusive(ctx, opened, "renew", func(ctx context.Context, current *Session) (*Session, error) {
		cancel()
		updated, err := m.Update(ctx, current, inAnHour, func(s *Session) error { s.Refresh = "new"; return nil })
		done <- err
		return updated, err
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("the work was cut off: %v", err)
	}
}

func TestSec_S150_KeysAreReplacedOneAfterTheOther(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	older, newer := strings.Repeat("o", 32), strings.Repeat("n", 32)
	before := newManager(t, s, c, older)
	cookie := create(t, before, sessionOf(c, "alice", "1"))
	both := newManager(t, s, c, newer, older)
	opened, err := both.Open(t.Context(), cookie)
	if err != nil {
		t.Fatalf("with the new key before the old one: %v", err)
	}
	if _, err := both.Update(t.Context(), opened, inAnHour, func(s *Session) error { s.Seen = c.now(); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := newManager(t, s, c, newer).Open(t.Context(), cookie); err != nil {
		t.Errorf("after the session was written with the new key: %v", err)
	}
	stale := create(t, before, sessionOf(c, "bob", "2"))
	if _, err := newManager(t, s, c, newer).Open(t.Context(), stale); !errors.Is(err, ErrNone) {
		t.Errorf("with the old key gone: got %v, want no session", err)
	}
}

func TestWhatIsGoodOnceIsGoodOnce(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	managers := []*Manager{newManager(t, s, c), newManager(t, s, c)}
	var firsts atomic.Int64
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			first, err := managers[i%2].Once(t.Context(), "logout token", c.now().Add(time.Minute), "https://op", "jti-1")
			if err != nil {
				t.Error(err)
			}
			if first {
				firsts.Add(1)
			}
		})
	}
	wait.Wait()
	if n := firsts.Load(); n != 1 {
		t.Errorf("it was the first time %d times", n)
	}
	if err := managers[0].Keep(t.Context(), "id", []byte("sealed"), c.now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"sealed", ""} {
		if got, err := managers[1].Take(t.Context(), "id"); err != nil || string(got) != want {
			t.Errorf("taken %d times before: got %q, %v; want %q", i, got, err, want)
		}
	}
}

func TestASessionThatIsTooLargeSaysWhatOf(t *testing.T) {
	c := newClock()
	m := newManager(t, openStore(t, c), c)
	s := sessionOf(c, "alice", "1")
	s.Userinfo = []byte(`"` + strings.Repeat("x", maxRecord) + `"`)
	_, _, err := m.Create(t.Context(), s, inAnHour)
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "userinfo") {
		t.Errorf("got %v, want ErrTooLarge that names userinfo", err)
	}
}

func TestAuthenticationsAreReplacedByContextAndBounded(t *testing.T) {
	var s Session
	for i := range 12 {
		s.Authenticated(Authentication{ACR: string(rune('a' + i)), IssuedAt: time.Unix(int64(i), 0)})
	}
	s.Authenticated(Authentication{ACR: "f", IssuedAt: time.Unix(99, 0)})
	var acrs []string
	for _, a := range s.Authentications {
		acrs = append(acrs, a.ACR)
	}
	if want := []string{"e", "g", "h", "i", "j", "k", "l", "f"}; !slices.Equal(acrs, want) || s.Newest().IssuedAt.Unix() != 99 {
		t.Errorf("got %v, want %v", acrs, want)
	}
}

func TestSec_S128_SessionsOutliveAStoreThatIsUnavailableForAWhile(t *testing.T) {
	c := newClock()
	s, engine := openFlakyStore(t, c)
	m, other := newManager(t, s, c), newManager(t, s, c)
	cookie := create(t, m, sessionOf(c, "alice", "1"))
	engine.away.Store(true)
	c.advance(30 * time.Second)
	if _, err := m.Open(t.Context(), cookie); err != nil {
		t.Errorf("within the grace: got %v", err)
	}
	if _, err := other.Open(t.Context(), cookie); !errors.Is(err, ErrUnavailable) {
		t.Errorf("where it was never seen: got %v, want unavailable", err)
	}
	c.advance(30 * time.Second)
	if _, err := m.Open(t.Context(), cookie); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after the grace: got %v, want unavailable and not the end of the session", err)
	}
	engine.away.Store(false)
	for _, at := range []*Manager{m, other} {
		if _, err := at.Open(t.Context(), cookie); err != nil {
			t.Errorf("when the store is back: got %v", err)
		}
	}
}

func TestALockOfAGatewayThatDiedRunsOut(t *testing.T) {
	c := newClock()
	m := newManager(t, openStore(t, c), c)
	opened, err := m.Open(t.Context(), create(t, m, sessionOf(c, "alice", "1")))
	if err != nil {
		t.Fatal(err)
	}
	dead := &lock{manager: m, key: m.name(kindLock, "renew", string(opened.ref.id[:])), owner: "dead"}
	if err := dead.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.advance(lease)
	got, err := m.Exclusive(t.Context(), opened, "renew", func(_ context.Context, current *Session) (*Session, error) { return current, nil })
	if err != nil || got.Subject != "alice" {
		t.Errorf("got %+v, %v", got, err)
	}
}
