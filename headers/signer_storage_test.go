// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
)

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
	storage.fail(errors.New("unavailable"))
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
	storage.fail(errors.New("unavailable again"))
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
		storage.fail(errors.New("unavailable"))
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
		time.Sleep(maxRetry)
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
	storage.fail(errors.New("unavailable"))
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
