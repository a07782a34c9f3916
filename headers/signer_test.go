// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
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

func TestSignedClaims(t *testing.T) {
	clk := newClock()
	now := clk.now()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now}, "")
	mustSync(t, s)
	original := map[string]any{
		"iss": "https://as.example", "sub": "joe", "exp": json.Number("99999999999"), "iat": json.Number("1"), "jti": "original",
		"aud": "api", "scope": "a b", "big": json.Number("12345678901234567890123"), "cnf": map[string]any{"jkt": "x"},
	}
	signed := mustSign(t, s, SignRequest{Claims: original, NotAfter: now.Add(10*time.Minute + 500*time.Millisecond)})
	if err := verify(t, s, signed.Token); err != nil {
		t.Error(err)
	}
	header, claims := decoded(t, signed.Token)
	if header["alg"] != "ES256" || header["typ"] != "JWT" || header["kid"] == "" {
		t.Errorf("header %v", header)
	}
	jti, _ := claims["jti"].(string)
	if jti == "original" || len(jti) < 20 {
		t.Errorf("jti %q", jti)
	}
	delete(claims, "jti")
	got, _ := json.Marshal(claims)
	const want = `{"aud":"api","big":12345678901234567890123,"exp":1900000600,"iat":1900000000,"iss":"gluu-gateway","original_iss":"https://as.example","scope":"a b","sub":"joe"}`
	if string(got) != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
	if original["jti"] != "original" || original["cnf"] == nil {
		t.Error("the original claims were changed")
	}
	if again := mustSign(t, s, SignRequest{Claims: original}); strings.Contains(again.Token, jti) {
		t.Error("a jti was used twice")
	}
	_, claims = decoded(t, mustSign(t, s, SignRequest{Claims: original, Audience: []string{"a", "b"}}).Token)
	if got, _ := json.Marshal(claims["aud"]); string(got) != `["a","b"]` {
		t.Errorf("aud %s", got)
	}
}

func TestATokenNeverOutlivesTheOriginal(t *testing.T) {
	clk := newClock()
	now := clk.now()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now}, "")
	mustSync(t, s)
	for _, c := range []struct {
		left        time.Duration // of the original; 0: no end
		want, renew time.Duration
	}{
		{0, MaxLifetime, MaxLifetime / 2},
		{24 * time.Hour, MaxLifetime, MaxLifetime / 2},
		{10 * time.Minute, 10 * time.Minute, 10 * time.Minute},
		{1900 * time.Millisecond, time.Second, time.Second},
	} {
		req := SignRequest{}
		if c.left != 0 {
			req.NotAfter = now.Add(c.left)
		}
		signed := mustSign(t, s, req)
		if signed.ExpiresAt != now.Add(c.want) || signed.RenewAt != now.Add(c.renew) {
			t.Errorf("%s left: valid for %s, renew after %s; want %s, %s", c.left, signed.ExpiresAt.Sub(now), signed.RenewAt.Sub(now), c.want, c.renew)
		}
	}
	for _, left := range []time.Duration{900 * time.Millisecond, -time.Second} {
		if _, err := s.Sign(SignRequest{Algorithm: AlgorithmES256, NotAfter: now.Add(left)}); !errors.Is(err, ErrExpired) {
			t.Errorf("%s left: got %v, want ErrExpired", left, err)
		}
	}
}

func TestAllAlgorithms(t *testing.T) {
	clk := newClock()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now, Issuer: "https://gw.example"}, AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA)
	mustSync(t, s)
	for _, alg := range []string{AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA} {
		signed := mustSign(t, s, SignRequest{Algorithm: alg})
		header, claims := decoded(t, signed.Token)
		if err := verify(t, s, signed.Token); err != nil || header["alg"] != alg || claims["iss"] != "https://gw.example" {
			t.Errorf("%s: %v %v %v", alg, header, claims, err)
		}
	}
	token := mustSign(t, s, SignRequest{Algorithm: AlgorithmNone, Claims: map[string]any{"sub": "joe"}}).Token
	header, claims := decoded(t, token)
	if header["alg"] != "none" || claims["sub"] != "joe" || claims["exp"] == nil || !strings.HasSuffix(token, ".") {
		t.Errorf("none: %s", token)
	}
	if _, err := s.Require("HS256"); err == nil || !strings.Contains(err.Error(), "ES256, RS256, EdDSA or none") {
		t.Errorf("HS256: got %v", err)
	}
	if _, err := s.Sign(SignRequest{Algorithm: "ES384"}); !errors.Is(err, ErrNotReady) {
		t.Errorf("an algorithm that was not required: got %v", err)
	}
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

// TestSec_S53 follows a rotation through its life: at no time is there a valid
// token whose key an upstream cannot find, with a key set as old as the
// gateway allows, and at its end the old key is gone.
func TestSec_S53_noTokenOutlivesItsKey(t *testing.T) {
	for name, immediately := range map[string]bool{"gracefully": false, "immediately": true} {
		t.Run(name, func(t *testing.T) {
			clk := newClock()
			storage := newMemoryStorage()
			s := newSigner(t, SignerConfig{Storage: storage, Now: clk.now}, "")
			mustSync(t, s)
			first := mustSign(t, s, SignRequest{})
			if err := s.Rotate(t.Context(), immediately); err != nil {
				t.Fatal(err)
			}
			rotated := clk.now()
			type seen struct {
				kid string
				end time.Time
			}
			firstKid := kidOf(t, first.Token)
			tokens := []seen{{firstKid, first.ExpiresAt}}
			held := kids(t, s) // by an upstream, for as long as it may
			heldSince := clk.now()
			for clk.now().Before(rotated.Add(3 * time.Hour)) {
				signed := mustSign(t, s, SignRequest{})
				tokens = append(tokens, seen{kidOf(t, signed.Token), signed.ExpiresAt})
				if clk.now().Sub(heldSince) >= PublishLead {
					held, heldSince = kids(t, s), clk.now()
				}
				for _, token := range tokens {
					if clk.now().Before(token.end) && !slices.Contains(held, token.kid) {
						t.Fatalf("after %s: an upstream does not know the key of a valid token", clk.now().Sub(rotated))
					}
				}
				clk.advance(30 * time.Second)
				if clk.now().Unix()%60 == 0 {
					mustSync(t, s)
				}
				if clk.now().Sub(rotated) == time.Hour {
					// A restart in the middle: nothing is known but the storage.
					s = newSigner(t, SignerConfig{Storage: storage, Now: clk.now}, "")
					mustSync(t, s)
				}
			}
			if firstKid == tokens[len(tokens)-1].kid {
				t.Error("nothing was rotated")
			}
			if got := kids(t, s); len(got) != 1 {
				t.Errorf("%d keys are left, want one", len(got))
			}
			if wait := tokens[1].kid == firstKid; wait == immediately {
				t.Errorf("the old key signed after the rotation: %v", wait)
			}
		})
	}
}

func TestRotatingTwiceMakesOneKey(t *testing.T) {
	clk := newClock()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now}, "")
	mustSync(t, s)
	for range 5 {
		if err := s.Rotate(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(kids(t, s)); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
	// An immediate one goes before the one that waits, which never signs.
	if err := s.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	newest := kidOf(t, mustSign(t, s, SignRequest{}).Token)
	clk.advance(PublishLead + time.Minute)
	mustSync(t, s)
	if got := kidOf(t, mustSign(t, s, SignRequest{}).Token); got != newest {
		t.Error("a key that was passed over signs")
	}
	var err error
	for range maxRing {
		err = s.Rotate(t.Context(), true)
	}
	if err == nil || !strings.Contains(err.Error(), "wait until some have expired") {
		t.Errorf("rotating without end: got %v", err)
	}
}

func TestRotationAtIntervals(t *testing.T) {
	clk := newClock()
	storage := newMemoryStorage()
	s := newSigner(t, SignerConfig{Storage: storage, Now: clk.now, RotateEvery: 24 * time.Hour}, "")
	used := make(map[string]int)
	for range 4 * 24 * 60 {
		mustSync(t, s)
		used[kidOf(t, mustSign(t, s, SignRequest{}).Token)]++
		clk.advance(time.Minute)
	}
	if len(used) != 4 {
		t.Errorf("%d keys in four days, want 4", len(used))
	}
	if storage.stores > 12 {
		t.Errorf("the storage was written %d times for 4 keys", storage.stores)
	}
}

func TestGatewaysThatShareAStorageShareTheKey(t *testing.T) {
	clk := newClock()
	storage := newMemoryStorage()
	signers := make([]*Signer, 8)
	var wg sync.WaitGroup
	for i := range signers {
		signers[i] = newSigner(t, SignerConfig{Storage: storage, Now: clk.now}, "")
		wg.Go(func() { mustSync(t, signers[i]) })
	}
	wg.Wait()
	for i, s := range signers {
		token := mustSign(t, s, SignRequest{}).Token
		for j, other := range signers {
			if err := verify(t, other, token); err != nil {
				t.Errorf("a token of %d at %d: %v", i, j, err)
			}
		}
	}
	// One rotates; the others notice within a minute, before the key is used.
	if err := signers[0].Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	clk.advance(pollInterval)
	for _, s := range signers {
		mustSync(t, s)
	}
	clk.advance(PublishLead)
	token := mustSign(t, signers[0], SignRequest{}).Token
	if err := verify(t, signers[7], token); err != nil {
		t.Error(err)
	}
	if n := len(kids(t, signers[7])); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
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

func TestAKeyFile(t *testing.T) {
	clk := newClock()
	storage := newMemoryStorage()
	path := filepath.Join(t.TempDir(), "key.pem")
	writeKey(t, path, "EdDSA")
	config := SignerConfig{Storage: storage, KeyFile: path, Now: clk.now}
	s := newSigner(t, config, "")
	if _, err := s.Require("ES256"); err == nil || !strings.Contains(err.Error(), "key for EdDSA") {
		t.Errorf("ES256: got %v", err)
	}
	// The storage is not needed to sign.
	first := mustSign(t, s, SignRequest{Algorithm: AlgorithmEdDSA})
	mustSync(t, s)
	if got := mustSign(t, s, SignRequest{Algorithm: AlgorithmEdDSA}); kidOf(t, got.Token) != kidOf(t, first.Token) {
		t.Error("another key after the storage was read")
	}
	if strings.Contains(string(storage.values[ringKeyName]), "PRIVATE") {
		t.Error("a key from a file is in the storage")
	}
	if err := s.Rotate(t.Context(), false); err == nil || !strings.Contains(err.Error(), "replace the file") {
		t.Errorf("rotating: got %v", err)
	}

	// The file changes: both keys are published, the old one signs until every
	// upstream can know the new one.
	writeKey(t, path, "EdDSA")
	mustSync(t, s)
	during := mustSign(t, s, SignRequest{Algorithm: AlgorithmEdDSA})
	if kidOf(t, during.Token) != kidOf(t, first.Token) || len(kids(t, s)) != 2 {
		t.Error("the new key is used before it could be known")
	}
	clk.advance(PublishLead)
	second := mustSign(t, s, SignRequest{Algorithm: AlgorithmEdDSA})
	if kidOf(t, second.Token) == kidOf(t, first.Token) {
		t.Error("the new key is not used")
	}

	// And while the gateway is down: the old key is gone, its public half not.
	writeKey(t, path, "EdDSA")
	s = newSigner(t, config, "")
	mustSync(t, s)
	third := mustSign(t, s, SignRequest{Algorithm: AlgorithmEdDSA})
	if kidOf(t, third.Token) == kidOf(t, second.Token) {
		t.Error("a key that is gone signs")
	}
	for _, token := range []*Signed{first, during, second, third} {
		if err := verify(t, s, token.Token); err != nil {
			t.Error(err)
		}
	}

	// A file that cannot be read any more changes nothing.
	if err := os.WriteFile(path, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustSync(t, s)
	if got := mustSign(t, s, SignRequest{Algorithm: AlgorithmEdDSA}); kidOf(t, got.Token) != kidOf(t, third.Token) {
		t.Error("another key after the file was damaged")
	}
}

func TestReturningToAnEarlierKeyFile(t *testing.T) {
	clk := newClock()
	storage := newMemoryStorage()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.pem"), filepath.Join(dir, "b.pem")
	writeKey(t, a, "ES256")
	writeKey(t, b, "ES256")
	want := ""
	for _, path := range []string{a, b, a} {
		s := newSigner(t, SignerConfig{Storage: storage, KeyFile: path, Now: clk.now}, "")
		mustSync(t, s)
		want = kidOf(t, mustSign(t, s, SignRequest{}).Token)
	}
	clk.advance(24 * time.Hour)
	s := newSigner(t, SignerConfig{Storage: storage, KeyFile: a, Now: clk.now}, "")
	mustSync(t, s)
	token := mustSign(t, s, SignRequest{}).Token
	if kidOf(t, token) != want || verify(t, s, token) != nil || len(kids(t, s)) != 1 {
		t.Errorf("got keys %v, want %s alone", kids(t, s), want)
	}
}

func TestKeyFilesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p384 := filepath.Join(dir, "p384.pem")
	writeKey(t, p384, "ES384")
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"): "no such file",
		write("junk", "junk"):         "signing_key",
		p384:                          "use an EC key on P-256",
	} {
		_, err := NewSigner(SignerConfig{Storage: newMemoryStorage(), KeyFile: path})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestAStorageThatFails(t *testing.T) {
	clk := newClock()
	storage := newMemoryStorage()
	storage.fail(errors.New("away"))
	s := newSigner(t, SignerConfig{Storage: storage, Now: clk.now}, "")
	if err := s.sync(t.Context()); err == nil {
		t.Error("a failure was silent")
	}
	if _, err := s.Sign(SignRequest{Algorithm: AlgorithmES256}); !errors.Is(err, ErrNotReady) {
		t.Errorf("without keys: got %v, want ErrNotReady", err)
	}
	if _, err := s.JWKS(); !errors.Is(err, ErrNotReady) {
		t.Errorf("without keys: got %v, want ErrNotReady", err)
	}
	storage.fail(nil)
	mustSync(t, s)
	token := mustSign(t, s, SignRequest{}).Token
	storage.fail(errors.New("away again"))
	clk.advance(time.Minute)
	if err := s.sync(t.Context()); err == nil {
		t.Error("a failure was silent")
	}
	if got := mustSign(t, s, SignRequest{}); kidOf(t, got.Token) != kidOf(t, token) || verify(t, s, token) != nil {
		t.Error("keys that were known are lost")
	}
	// What cannot be read is not overwritten.
	storage.fail(nil)
	for _, junk := range []string{"junk", `{"version":2}`, `{"version":1,"keys":[{"alg":"ES256","public":{}}]}`} {
		storage.values[ringKeyName] = []byte(junk)
		if err := s.sync(t.Context()); err == nil || string(storage.values[ringKeyName]) != junk {
			t.Errorf("%s: got %v, and now it is %s", junk, err, storage.values[ringKeyName])
		}
	}
}

// The background task goes on trying, and neither the start nor a request waits
// for it.
func TestAStorageThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		storage.fail(errors.New("away"))
		s := newSigner(t, SignerConfig{Storage: storage}, "")
		start := time.Now()
		s.Start()
		defer s.Stop()
		if took := time.Since(start); took > startPatience {
			t.Errorf("the start took %s", took)
		}
		if _, err := s.Sign(SignRequest{Algorithm: AlgorithmES256}); !errors.Is(err, ErrNotReady) {
			t.Errorf("got %v, want ErrNotReady", err)
		}
		storage.fail(nil)
		time.Sleep(maxBackOff)
		synctest.Wait()
		mustSign(t, s, SignRequest{})
	})
}

func TestAStorageThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		if err := storage.Lock(t.Context(), ""); err != nil { // another gateway has it
			t.Fatal(err)
		}
		s := newSigner(t, SignerConfig{Storage: storage}, "")
		start := time.Now()
		s.Start()
		defer s.Stop()
		if took := time.Since(start); took != startPatience {
			t.Errorf("the start took %s, want %s", took, startPatience)
		}
		if err := storage.Unlock(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		mustSign(t, s, SignRequest{})
	})
}

func TestAReloadDoesNotNeedTheStorage(t *testing.T) {
	clk := newClock()
	storage := newMemoryStorage()
	memory := new(Memory)
	before := newSigner(t, SignerConfig{Storage: storage, Now: clk.now, Memory: memory}, "")
	mustSync(t, before)
	token := mustSign(t, before, SignRequest{}).Token
	storage.fail(errors.New("away"))
	after := newSigner(t, SignerConfig{Storage: storage, Now: clk.now, Memory: memory}, "")
	if got := mustSign(t, after, SignRequest{}); kidOf(t, got.Token) != kidOf(t, token) {
		t.Error("another key after a reload")
	}
	// A storage that lost the keys gets them back.
	storage.fail(nil)
	clear(storage.values)
	mustSync(t, after)
	other := newSigner(t, SignerConfig{Storage: storage, Now: clk.now}, "")
	mustSync(t, other)
	if err := verify(t, other, token); err != nil {
		t.Error(err)
	}
}

func TestThePrivateKeyIsReadableForItsOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	s := newSigner(t, SignerConfig{Storage: &certmagic.FileStorage{Path: dir}}, "")
	s.Start()
	defer s.Stop()
	token := mustSign(t, s, SignRequest{}).Token // Start waits for a storage on disk
	info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(ringKeyName)))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %o, want 600", got)
	}
	again := newSigner(t, SignerConfig{Storage: &certmagic.FileStorage{Path: dir}}, "")
	again.Start()
	defer again.Stop()
	if err := verify(t, again, token); err != nil {
		t.Error(err)
	}
}

func TestTheKeySetTellsNoSecret(t *testing.T) {
	clk := newClock()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now}, AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA)
	mustSync(t, s)
	jwks, err := s.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(jwks.Body, &set); err != nil || len(set.Keys) != 3 {
		t.Fatal(err, string(jwks.Body))
	}
	for _, key := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if key[private] != nil {
				t.Errorf("%s of %s is published", private, key["kid"])
			}
		}
		if key["use"] != "sig" || key["alg"] == nil {
			t.Errorf("key %v lacks use or alg", key)
		}
	}
	if jwks.MaxAge != PublishLead || !strings.HasPrefix(jwks.ETag, `"`) {
		t.Errorf("max-age %s, ETag %s", jwks.MaxAge, jwks.ETag)
	}
	etag := jwks.ETag
	if err := s.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if jwks, _ = s.JWKS(); jwks.ETag == etag {
		t.Error("the same ETag for other keys")
	}
}

// A key leaves the set on time, although the storage is away and nothing is
// read any more.
func TestTheKeySetFollowsTheClock(t *testing.T) {
	clk := newClock()
	s := newSigner(t, SignerConfig{Storage: newMemoryStorage(), Now: clk.now}, "")
	mustSync(t, s)
	if err := s.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	clk.advance(retention - time.Second)
	if n := len(kids(t, s)); n != 2 {
		t.Errorf("%d keys before the end, want 2", n)
	}
	clk.advance(time.Second)
	if n := len(kids(t, s)); n != 1 {
		t.Errorf("%d keys after the end, want 1", n)
	}
}

func BenchmarkSign(b *testing.B) {
	s := newSigner(b, SignerConfig{Storage: newMemoryStorage()}, AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA)
	mustSync(b, s)
	claims := map[string]any{"sub": "joe", "scope": "a b c", "client_id": "app", "iss": "https://as.example"}
	for _, alg := range []string{AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA, AlgorithmNone} {
		b.Run(alg, func(b *testing.B) {
			for b.Loop() {
				mustSign(b, s, SignRequest{Claims: claims, Algorithm: alg})
			}
		})
	}
}
