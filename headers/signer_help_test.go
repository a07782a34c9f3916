// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-gluu/gateway/jose"
)

// clock is a time that only a test moves.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nanos.Store(time.Unix(1_900_000_000, 0).UnixNano())
	return c
}

func (c *clock) now() time.Time { return time.Unix(0, c.nanos.Load()) }

func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// memoryStorage is a storage that several signers share, and that can fail.
type memoryStorage struct {
	certmagic.Storage // what a signer does not need
	mu                sync.Mutex
	lock              chan struct{} // holds a value while locked
	values            map[string][]byte
	err               error
	stores            int
}

func newMemoryStorage() *memoryStorage {
	return &memoryStorage{lock: make(chan struct{}, 1), values: make(map[string][]byte)}
}

func (m *memoryStorage) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *memoryStorage) Lock(ctx context.Context, _ string) error {
	select {
	case m.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memoryStorage) Unlock(context.Context, string) error { <-m.lock; return nil }

func (m *memoryStorage) Load(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	value, ok := m.values[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return value, nil
}

func (m *memoryStorage) Store(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.stores++
	m.values[key] = value
	return nil
}

// newSigner returns a signer whose background task the test runs by hand.
func newSigner(t testing.TB, config SignerConfig, algorithms ...string) *Signer {
	t.Helper()
	s, err := NewSigner(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range algorithms {
		if _, err := s.Require(alg); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func mustSync(t testing.TB, s *Signer) {
	t.Helper()
	if err := s.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func mustSign(t testing.TB, s *Signer, req SignRequest) *Signed {
	t.Helper()
	if req.Algorithm == "" {
		req.Algorithm = AlgorithmES256
	}
	signed, err := s.Sign(req)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// verify checks a token against a key set, as an upstream does.
func verify(t testing.TB, s *Signer, token string) error {
	t.Helper()
	jwks, err := s.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.ParseKeySet(jwks.Body)
	if err != nil || len(set.Ignored) > 0 {
		t.Fatal(err, set.Ignored)
	}
	header, _ := decoded(t, token)
	parsed, err := jose.Parse(token, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		if key.ID() == header["kid"] {
			if key.ID() != key.Thumbprint() {
				t.Errorf("kid %s is not the thumbprint", key.ID())
			}
			return parsed.Verify(key, header["alg"].(string))
		}
	}
	return errors.New("no key with this kid")
}

// decoded returns header and claims of a token.
func decoded(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	for i, target := range []*map[string]any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		decoder.UseNumber()
		if err := decoder.Decode(target); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// kids returns the key IDs in the key set.
func kids(t testing.TB, s *Signer) (ids []string) {
	t.Helper()
	jwks, err := s.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.ParseKeySet(jwks.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		ids = append(ids, key.ID())
	}
	return ids
}

func kidOf(t testing.TB, token string) string {
	t.Helper()
	header, _ := decoded(t, token)
	return header["kid"].(string)
}

func writeKey(t *testing.T, path, alg string) {
	t.Helper()
	key, err := jose.GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem, 0o600); err != nil {
		t.Fatal(err)
	}
}
