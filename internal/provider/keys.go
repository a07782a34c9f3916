// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/retry"
	"github.com/caddy-gluu/gateway/internal/spans"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// An authorization server's keys are fetched when a token names an unknown one.
// Any client can name a key in a token, so the number of fetches must not
// depend on the number of tokens:
//
//   - However many tokens ask, the server is asked at most once per cool-down,
//     and by one request at a time, which those who came meanwhile wait for.
//   - The first token that names an unknown key when all was calm is an exception:
//     a server may have changed its keys right before it signed that token. The
//     set is fetched at once, or a second after the last fetch, and the cool-down
//     begins again. The exception comes back when nothing was denied for a whole
//     cool-down.
//   - A token that asks during the cool-down is answered from what is known,
//     and a fetch is due at the end of the cool-down. A flood of invented keys
//     can therefore neither multiply fetches nor use them up: the key that the
//     server really changed to is known one cool-down later at most.
//   - The last good set stays until there is another good one. An error, junk
//     and a set without a usable key are failures, which change nothing.
//   - A key that is known is returned at once. Nothing that is fetched
//     meanwhile makes its token wait, unless the set was fetched so long
//     ago that the key may have been withdrawn.
//
// There is one goroutine while a fetch runs, one timer while one is due, and
// none of either per token.

const (
	DefaultCoolDown = 30 * time.Second

	// keysMaxAge is when a set that is in use is fetched anew though no key is
	// missing in it: a key that the server has withdrawn must go here too.
	keysMaxAge = 5 * time.Minute

	// keysMaxUse is when a set is no longer used without waiting for a new one.
	// While tokens come it never gets that old, unless fetches fail.
	keysMaxUse = 2 * keysMaxAge

	// firstRetry is the pause after a first fetch that failed. It doubles up to
	// the cool-down: a server that starts together with the gateway should not
	// be found half a minute later.
	firstRetry = time.Second

	// justFetched is how long a set is taken for the newest there is, whatever is
	// missing in it.
	justFetched = time.Second
)

// RemoteKeySetConfig is what a key set needs of the world.
type RemoteKeySetConfig struct {
	// Fetch returns the body of the jwks_uri. It bounds its time and the size
	// of the answer.
	Fetch func(ctx context.Context) ([]byte, error)
	Now   func() time.Time
	// CoolDown is the least time from the start of one fetch to that of the
	// next. 0 is 30 seconds.
	CoolDown time.Duration
	Logger   *zap.Logger
	// OnFetch is told how each fetch went, before anyone sees the outcome, and
	// of one fetch at a time.
	OnFetch func(err error)
}

// RemoteKeySet is the jwtcheck.KeySet of a server's jwks_uri.
type RemoteKeySet struct {
	RemoteKeySetConfig

	current atomic.Pointer[fetchedKeys] // the last good set, nil before the first

	mu      sync.Mutex
	running chan struct{} // closed when the fetch that runs has ended; nil if none runs
	due     *time.Timer   // of the fetch at the end of the cool-down; nil if none is asked for
	begun   time.Time     // the latest fetch
	next    time.Time     // no fetch begins before
	hurried bool          // one has, since it was calm
	lastErr error         // of the latest fetch; nil if it went well
	backoff retry.Backoff // before the first good set
	closed  bool

	last        sync.Mutex // guards what happens after Close
	lastFetched bool

	ctx    context.Context // of all fetches, ended by Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// fetchedKeys is one good set. It is never changed.
type fetchedKeys struct {
	keys []jose.Key
	at   time.Time
}

var errNoKeys = errors.New("the key set has no key that could verify a signature")

// NewRemoteKeySet returns a set that is fetched when a token first needs it.
func NewRemoteKeySet(cfg RemoteKeySetConfig) *RemoteKeySet {
	if cfg.CoolDown <= 0 {
		cfg.CoolDown = DefaultCoolDown
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.OnFetch == nil {
		cfg.OnFetch = func(error) {}
	}
	s := &RemoteKeySet{RemoteKeySetConfig: cfg, backoff: retry.Backoff{Min: firstRetry, Max: cfg.CoolDown}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Key implements jwtcheck.KeySet. It waits for a fetch if the key is not known, or has not
// been heard of for long, and one may be made, and no longer than ctx allows.
func (s *RemoteKeySet) Key(ctx context.Context, name jose.KeyName, alg string) (jose.Key, error) {
	known := s.current.Load()
	key, err := known.find(name, alg)
	if err == nil && s.Now().Sub(known.at) > maxAge(name, key, s.CoolDown) {
		s.lookAfter(ctx, known)
		key, err = s.current.Load().find(name, alg)
	}
	if err == nil {
		return key, nil
	}
	if !errors.Is(err, ErrUnknownKey) {
		return jose.Key{}, token.Refuse(token.Invalid, "%w", err)
	}
	if done := s.refresh(ctx); done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return jose.Key{}, token.Unavailable(0, "waiting for the keys of the authorization server: %w", context.Cause(ctx))
		}
		if key, err = s.current.Load().find(name, alg); err == nil {
			return key, nil
		}
	}
	if s.isClosed() {
		return s.keyAfterClose(ctx, name, alg)
	}
	return jose.Key{}, s.refusal(err)
}

// atHand returns a key for which Key would not look anywhere.
func (s *RemoteKeySet) atHand(name jose.KeyName, alg string) (jose.Key, bool) {
	known := s.current.Load()
	key, err := known.find(name, alg)
	if err != nil || s.Now().Sub(known.at) > maxAge(name, key, s.CoolDown) {
		return jose.Key{}, false
	}
	return key, true
}

// lookAfter has a set fetched anew that has become old: in the background, or,
// if it is too old to be trusted, before it returns. While fetches fail no
// token waits for the next one, so a server that hangs delays only the first
// token.
func (s *RemoteKeySet) lookAfter(ctx context.Context, known *fetchedKeys) {
	isOver := s.Now().Sub(known.at) > keysMaxUse && !s.isFailing()
	if done := s.refresh(ctx); done != nil && isOver {
		select {
		case <-done:
		case <-ctx.Done(): // has failed, for who has no more time than a fetch has
		}
	}
}

// isFailing reports whether the latest fetch has failed, a moment ago: within two
// cool-downs of its beginning, which is when the next one has begun if a token
// needs it.
func (s *RemoteKeySet) isFailing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastErr != nil && s.Now().Before(s.next.Add(s.CoolDown))
}

func (s *RemoteKeySet) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// keyAfterClose is for the requests that outlast their configuration: they may
// have started before a reload removed this server, and must not fail because
// of it. The set is fetched once for all of them, by the first one and
// in its own time, so that no fetch runs in vain.
func (s *RemoteKeySet) keyAfterClose(ctx context.Context, name jose.KeyName, alg string) (jose.Key, error) {
	s.last.Lock()
	defer s.last.Unlock()
	if !s.lastFetched {
		keys, err := s.load(ctx)
		if err != nil {
			return jose.Key{}, token.Unavailable(0, "the keys of the authorization server cannot be had: %w", err)
		}
		s.current.Store(&fetchedKeys{keys: keys, at: s.Now()})
		s.lastFetched = true
	}
	key, err := s.current.Load().find(name, alg)
	if err != nil {
		return jose.Key{}, token.Refuse(token.Invalid, "%w", err)
	}
	return key, nil
}

// maxAge is how old a set may get in use. A token without a key ID cannot tell
// that its key has been replaced by another, so the set that it relies on is
// looked at again as often as one with an unknown ID would have it.
func maxAge(name jose.KeyName, key jose.Key, coolDown time.Duration) time.Duration {
	if name.KeyID == "" && !key.IsNamed(name) {
		return coolDown
	}
	return keysMaxAge
}

// refusal decides whether the token or the server is at fault for a missing
// key. That a token's key does not exist can be said only while the latest
// answer of the server says so; while it does not answer, the key may be one
// that it has changed to.
func (s *RemoteKeySet) refusal(err error) *token.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastErr != nil || s.current.Load() == nil {
		return token.Unavailable(s.next.Sub(s.Now()), "the keys of the authorization server cannot be had: %w", s.lastErr)
	}
	return token.Refuse(token.Invalid, "%w", err)
}

// refresh has the set fetched: now if the cool-down is over, otherwise when it
// is. It does not wait. The channel is closed when the fetch that is running
// has ended; it is nil if none is. The context is that of the token which needs
// it; it does not end the fetch.
func (s *RemoteKeySet) refresh(ctx context.Context) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil || s.closed {
		return s.running
	}
	if wait := s.earliest().Sub(s.Now()); wait > 0 {
		if s.due == nil {
			s.due = time.AfterFunc(wait, s.refreshDue)
		}
		return nil
	}
	s.start(ctx)
	return s.running
}

// earliest is when the next fetch may begin: at the end of the cool-down, or
// earlier once. The caller holds the lock.
func (s *RemoteKeySet) earliest() time.Time {
	soon := s.begun.Add(justFetched)
	if s.hurried || s.lastErr != nil || s.current.Load() == nil || !soon.Before(s.next) {
		return s.next
	}
	return soon
}

// refreshDue is run by the timer. A token that came in the same moment may have
// begun the next cool-down already.
func (s *RemoteKeySet) refreshDue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil && !s.closed && !s.Now().Before(s.earliest()) {
		s.start(s.ctx)
	}
}

// start begins a fetch. The caller holds the lock and has seen that none runs.
func (s *RemoteKeySet) start(ctx context.Context) {
	begun := s.Now()
	switch {
	case begun.Before(s.next):
		s.hurried = true
	case s.due == nil: // nothing was denied
		s.hurried = false
	}
	if s.due != nil {
		s.due.Stop()
		s.due = nil
	}
	s.begun, s.next = begun, begun.Add(s.CoolDown)
	s.running = make(chan struct{})
	s.wg.Go(func() {
		keys, err := s.load(spans.OnBehalfOf(ctx, s.ctx))
		s.ended(begun, keys, err)
	})
}

// load fetches and reads the set. It recovers a panic: no caller of its
// goroutine would, and the whole process would end.
func (s *RemoteKeySet) load(ctx context.Context) (keys []jose.Key, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic while reading the keys: %v", r)
		}
	}()
	body, err := s.Fetch(ctx)
	if err != nil {
		return nil, err
	}
	set, err := jose.ParseKeySet(body)
	if err != nil {
		return nil, err
	}
	if len(set.Ignored) > 0 {
		s.Logger.Debug("some keys of the authorization server are not used", zap.Errors("because", set.Ignored))
	}
	if len(set.Keys) == 0 {
		return nil, errNoKeys
	}
	return set.Keys, nil
}

// ended records how a fetch went and lets those go who wait for it.
func (s *RemoteKeySet) ended(begun time.Time, keys []jose.Key, err error) {
	if err == nil {
		s.current.Store(&fetchedKeys{keys: keys, at: begun})
	}
	if s.ctx.Err() == nil {
		s.report(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastErr = err
	if s.current.Load() == nil {
		s.next = s.Now().Add(s.backoff.Next())
	}
	close(s.running)
	s.running = nil
}

func (s *RemoteKeySet) report(err error) {
	s.OnFetch(err)
	if err != nil {
		s.Logger.Warn("the keys of the authorization server cannot be fetched; known ones go on being used", zap.Error(err))
	}
}

// KeyIDs returns the IDs of the known keys, for the admin endpoint; a key
// without one is named by its thumbprint.
func (s *RemoteKeySet) KeyIDs() []string {
	known := s.current.Load()
	if known == nil {
		return nil
	}
	ids := make([]string, len(known.keys))
	for i, key := range known.keys {
		if ids[i] = key.ID(); ids[i] == "" {
			ids[i] = key.Thumbprint()
		}
	}
	return ids
}

// Close ends what is running and returns when it has. Known keys are still
// found, and requests that need others are served as keyAfterClose says.
func (s *RemoteKeySet) Close() {
	s.mu.Lock()
	s.closed = true
	if s.due != nil {
		s.due.Stop()
		s.due = nil
	}
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}

// takeOver starts with the keys of another set of the same server, and with its
// cool-down.
func (s *RemoteKeySet) takeOver(from *RemoteKeySet) {
	known := from.current.Load()
	if known == nil {
		return
	}
	from.mu.Lock()
	begun, next, hurried := from.begun, from.next, from.hurried
	from.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.CompareAndSwap(nil, known) {
		s.begun, s.next, s.hurried = begun, next, hurried
	}
}

func (f *fetchedKeys) find(name jose.KeyName, alg string) (jose.Key, error) {
	if f == nil {
		return jose.Key{}, ErrUnknownKey
	}
	return StaticKeys(f.keys).find(name, alg)
}
