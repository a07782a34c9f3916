// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/retry"
	"github.com/caddy-gluu/gateway/internal/storagelock"
	"github.com/caddy-gluu/gateway/jose"
)

// One background task connects the storage with the keys in use. It reads the
// stored ring once a minute and writes only if something has to change, under
// the storage's lock and after reading again: when several gateways start at
// the same time, one makes the key and the others find it.

const (
	ringKeyName = "gluu/signing_keys.json"
	ringLock    = "gluu_signing_keys"

	// pollInterval is how long a gateway may not know of a key that another has
	// added. It is much shorter than PublishLead, so that every gateway
	// publishes a key before any of them uses it.
	pollInterval = time.Minute

	// startPatience is how long Start waits for the keys. A storage on disk
	// answers within milliseconds; Start does not wait for one that is
	// unavailable, and requests that need a signature get 503.
	startPatience = time.Second

	// syncTimeout bounds one round, waiting for the lock included.
	syncTimeout = 20 * time.Second

	minRetry = time.Second
	maxRetry = 30 * time.Second
)

// Start begins to read the keys, and to make those that are missing. It returns
// when they are there, or after a second.
func (s *Signer) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	ready := make(chan struct{})
	go s.run(ctx, ready)
	patience := time.NewTimer(startPatience)
	defer patience.Stop()
	select {
	case <-ready:
	case <-patience.C:
		s.log.Warn("storage is slow to answer; requests that need a signature get 503 until the signing key is there")
	}
}

// Stop ends what Start began. It does not wait: a storage that does not answer
// would hold up a reload.
func (s *Signer) Stop() {
	if s.cancel != nil {
		s.cancel()
	}
}

func (s *Signer) run(ctx context.Context, ready chan<- struct{}) {
	backoff := retry.Backoff{Min: minRetry, Max: maxRetry}
	for {
		next := pollInterval
		if err := s.sync(ctx); err == nil {
			backoff.Reset()
		} else if ctx.Err() == nil {
			next = backoff.Next()
			s.log.Error("signing keys: storage failed; going on with the keys that are known", zap.Error(err), zap.Duration("retry_in", next))
		}
		if ready != nil {
			close(ready)
			ready = nil
		}
		if !backoff.Clock.Sleep(ctx, next) {
			return
		}
	}
}

// sync brings the ring in memory, the ring in the storage and the key file
// together.
func (s *Signer) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	s.rereadKeyFile()
	return s.update(ctx, func(ring *keyRing, now time.Time) plan {
		return due(ring, s.upkeep(), now)
	})
}

// upkeep returns what this gateway wants of the ring at this moment.
func (s *Signer) upkeep() upkeep {
	return upkeep{
		known: s.memory.ring.Load(), file: s.fileKey(),
		algorithms: s.algorithms(), rotateEvery: s.config.RotateEvery,
	}
}

// update changes the stored ring as planned and publishes the outcome. The plan
// is made a second time under the lock, because another gateway may have done
// the same meanwhile.
func (s *Signer) update(ctx context.Context, planner func(*keyRing, time.Time) plan) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()

	ring, err := s.load(ctx)
	if err != nil {
		return err
	}
	if !planner(ring, s.now()).empty() {
		if ring, err = s.updateLocked(ctx, planner); err != nil {
			return err
		}
	}
	s.publish(ring)
	return nil
}

func (s *Signer) updateLocked(ctx context.Context, planner func(*keyRing, time.Time) plan) (*keyRing, error) {
	release, err := storagelock.Acquire(ctx, s.config.Storage, ringLock, s.log)
	if err != nil {
		return nil, err
	}
	defer release()
	ring, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	now := s.now()
	planned := planner(ring, now)
	if planned.empty() {
		return ring, nil
	}
	changed, err := s.apply(ring, planned, now)
	if err != nil {
		return nil, err
	}
	data, err := changed.marshal()
	if err != nil {
		return nil, fmt.Errorf("encoding signing keys: %w", err)
	}
	if err := s.config.Storage.Store(ctx, ringKeyName, data); err != nil {
		return nil, fmt.Errorf("storing signing keys: %w", err)
	}
	for _, a := range planned.add {
		key, _ := changed.last(a.alg)
		s.log.Info("new signing key", zap.String("kid", key.public.ID()), zap.String("alg", key.alg), zap.Time("use_from", key.useFrom), zap.Bool("from_file", key.file))
	}
	return changed, nil
}

func (s *Signer) apply(ring *keyRing, p plan, now time.Time) (*keyRing, error) {
	if p.restore != nil {
		ring = p.restore
	}
	ring = ring.pruned(now)
	for _, a := range p.add {
		if len(ring.keys) >= maxRing {
			return nil, fmt.Errorf("%w: there are %d keys that valid tokens may be signed with; wait until some have expired (%s)", ErrCannotRotate, len(ring.keys), MaxLifetime)
		}
		key, err := a.key()
		if err != nil {
			return nil, err
		}
		ring = ring.with(key, retention)
	}
	return ring, nil
}

func (a addition) key() (ringKey, error) {
	if a.file != nil {
		key := *a.file
		key.useFrom = a.useFrom
		return key, nil
	}
	private, err := jose.GenerateKey(a.alg)
	if err != nil {
		return ringKey{}, err
	}
	return newRingKey(private, a.alg, a.useFrom, false)
}

// load reads the stored ring and adds the private halves that are only known
// here.
func (s *Signer) load(ctx context.Context) (*keyRing, error) {
	data, err := s.config.Storage.Load(ctx, ringKeyName)
	if errors.Is(err, fs.ErrNotExist) {
		return &keyRing{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loading signing keys: %w", err)
	}
	ring, err := parseRing(data)
	if err != nil {
		return nil, fmt.Errorf("%s in the storage: %w", ringKeyName, err)
	}
	ring = ring.joined(s.memory.ring.Load())
	if file := s.fileKey(); file != nil {
		ring = ring.joined(&keyRing{[]ringKey{*file}})
	}
	return ring, nil
}

// rereadKeyFile notices a changed file. One that has become unreadable changes
// nothing: the key is still known.
func (s *Signer) rereadKeyFile() {
	before := s.fileKey()
	if before == nil {
		return
	}
	key, err := s.readKeyFile()
	if err == nil && key.alg != before.alg {
		err = fmt.Errorf("signing_key: %s now holds a key for %s instead of %s: reload the configuration", s.config.KeyFile, key.alg, before.alg)
	}
	if err != nil {
		s.log.Error("going on with the signing key as it was", zap.Error(err))
		return
	}
	if key.public.Thumbprint() != before.public.Thumbprint() {
		s.mu.Lock()
		s.file = &key
		s.mu.Unlock()
	}
}

func (s *Signer) fileKey() *ringKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file
}

func (s *Signer) algorithms() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.required))
}

// Rotate makes new keys. They are published at once and used after PublishLead,
// when every upstream has had the time to see them; immediately makes them
// used at once, for a key that can no longer be trusted to be secret. The old
// ones are published until the last token signed with them has expired.
func (s *Signer) Rotate(ctx context.Context, immediately bool) error {
	if s.config.KeyFile != "" {
		return fmt.Errorf("%w: it is the one in %s; replace the file, the change is noticed within a minute", ErrCannotRotate, s.config.KeyFile)
	}
	return s.update(ctx, func(ring *keyRing, now time.Time) plan {
		return rotation(ring, generatedAlgorithms(ring, s.algorithms()), immediately, now)
	})
}
