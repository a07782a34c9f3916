// SPDX-License-Identifier: Apache-2.0

package clientauth

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// cheapHash is a hash that takes no time, for tests that are not about that.
func cheapHash(secret string) string {
	salt := []byte("salt of " + secret)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", encode(salt), encode(argon2.IDKey([]byte(secret), salt, 1, 8, 1, 16)))
}

func ExampleHash() {
	hash, err := Hash([]byte("correct horse battery staple"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(hash[:30])
	// Output: $argon2id$v=19$m=47104,t=1,p=1
}

func TestHashedSecretIsRecognised(t *testing.T) {
	hash, err := Hash([]byte("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Hash([]byte("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	if hash == again {
		t.Error("two hashes of one secret are the same: there is no salt")
	}
	blowfish, err := bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{hash, string(blowfish), "$2y" + string(blowfish)[3:], cheapHash("s3cret")} {
		parsed, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for secret, want := range map[string]bool{"s3cret": true, "s3cret ": false, "S3cret": false, "s3cre": false, "": false, text: false} {
			if got := parsed.verify([]byte(secret)); got != want {
				t.Errorf("%.10s...: %q: got %v, want %v", text, secret, got, want)
			}
		}
	}
}

func TestPBKDF2SecretOfKongIsRecognised(t *testing.T) {
	salt := []byte("salt of a test")
	key, err := pbkdf2.Key(sha512.New, "s3cret", salt, 10000, 32)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawStdEncoding.EncodeToString
	parsed, err := Parse("$pbkdf2-sha512$i=10000,l=32$" + encode(salt) + "$" + encode(key))
	if err != nil {
		t.Fatal(err)
	}
	if !parsed.verify([]byte("s3cret")) || parsed.verify([]byte("s3cre")) || parsed.verify(nil) {
		t.Error("the secret of the hash is refused, or another one accepted")
	}
	for _, text := range []string{
		"$pbkdf2-sha512$i=10,l=32$" + encode(salt) + "$" + encode(key), "$pbkdf2-sha512$i=9999999,l=32$" + encode(salt) + "$" + encode(key),
		"$pbkdf2-sha512$i=10000,l=31$" + encode(salt) + "$" + encode(key), "$pbkdf2-sha512$i=10000,l=32$" + encode(salt), "$pbkdf2-sha512$i=10000$YQ$" + encode(key),
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// S-252: bcrypt looks at the first 72 bytes only: what follows must not be free.
func TestSec_S252_BcryptSecretIsComparedAsAWhole(t *testing.T) {
	longest := strings.Repeat("x", maxBcryptSecret)
	hash, err := bcrypt.GenerateFromPassword([]byte(longest), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse(string(hash))
	if err != nil {
		t.Fatal(err)
	}
	if !parsed.verify([]byte(longest)) {
		t.Error("a secret of 72 bytes is refused")
	}
	if parsed.verify([]byte(longest + "y")) {
		t.Error("a secret with something after 72 bytes is accepted")
	}
}

func TestWhatIsNoSecretHashIsRefusedWithoutShowingIt(t *testing.T) {
	const salt, key = "c2FsdHNhbHQ", "MDEyMzQ1Njc4OWFiY2RlZg"
	tests := map[string]string{ // the text: part of the error
		"hunter2":                            "caddy gluu hash-secret",
		"":                                   "caddy gluu hash-secret",
		"$argon2i$v=19$m=8,t=1,p=1$a$b":      "caddy gluu hash-secret",
		"$1$salt$md5":                        "caddy gluu hash-secret",
		"$argon2id$":                         "incomplete",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt: "incomplete",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key + "$":       "incomplete",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key + "\n":      "incomplete",
		"$argon2id$v=19$m=8,t=1,p=1$sal$" + key:                      "base64",
		"$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + key:             "version 16",
		"$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + key:             "out of bounds",
		"$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + key:             "out of bounds",
		"$argon2id$v=19$m=7,t=1,p=1$" + salt + "$" + key:             "out of bounds",
		"$argon2id$v=19$m=999999999,t=1,p=1$" + salt + "$" + key:     "out of bounds",
		"$argon2id$v=19$m=65536,t=999999999,p=1$" + salt + "$" + key: "out of bounds",
		"$argon2id$v=19$m=8,t=1,p=1$c2Fs$" + key:                     "at least 8 and 16",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$c2FsdA":             "at least 8 and 16",
		"$2a$10$short":                                                        "incomplete",
		"$2a$31$" + strings.Repeat("a", 53):                                   "cost 31",
		"$2a$10$" + strings.Repeat("a", 52) + "!":                             "incomplete",
		"$2a$10$" + strings.Repeat("a", 54):                                   "incomplete",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat("A", 4e5): "at least 8 and 16",
	}
	for text, want := range tests {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want an error with %q", text, err, want)
			continue
		}
		if text == "hunter2" && strings.Contains(err.Error(), text) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

// S-252: a slow hash costs its time once, not with every request of a client.
func TestSec_S252_SecretIsCheckedOnceAndThenRemembered(t *testing.T) {
	var checks atomic.Int32
	hash := &Secret{text: "hash", verify: func(secret []byte) bool {
		checks.Add(1)
		return string(secret) == "right"
	}}
	v := NewVerifier()
	var wait sync.WaitGroup
	for range 100 {
		wait.Go(func() {
			if ok, err := v.Verify(t.Context(), Asker{}, hash, "right"); !ok || err != nil {
				t.Errorf("the right secret: got %v, %v", ok, err)
			}
		})
	}
	wait.Wait()
	if got := checks.Load(); got != 1 {
		t.Errorf("the right secret was checked %d times by concurrent requests, want once", got)
	}
	checks.Store(0)
	for range 3 {
		if ok, _ := v.Verify(t.Context(), Asker{}, hash, "wrong"); ok {
			t.Error("a wrong secret is accepted")
		}
	}
	if got := checks.Load(); got != 3 {
		t.Errorf("a wrong secret was checked %d times, want each of 3 times", got)
	}
	other := &Secret{text: "other", verify: func([]byte) bool { return false }}
	if ok, _ := v.Verify(t.Context(), Asker{}, other, "right"); ok {
		t.Error("the right secret of another client is accepted")
	}
	for text := range v.right {
		if strings.Contains(text, "right") {
			t.Error("the secret itself is kept")
		}
	}
}

func TestSecretsBeyondWhatCanBeCheckedAreTurnedAway(t *testing.T) {
	v := NewVerifier()
	known := &Secret{text: "known", verify: func([]byte) bool { return true }}
	if ok, err := v.Verify(t.Context(), Asker{}, known, "right"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	slow := &Secret{text: "slow", verify: func([]byte) bool {
		t.Error("a secret was checked out of turn")
		return false
	}}
	v.turns.free = 0
	for i := range queueLength {
		v.turns.waiting = append(v.turns.waiting, &waiter{Asker: Asker{flow: flow{"app", fmt.Sprint(i)}}, called: make(chan error, 1)})
	}
	if _, err := v.Verify(t.Context(), Asker{}, slow, "x"); !errors.Is(err, ErrBusy) {
		t.Errorf("a secret that was never seen: got %v, want ErrBusy", err)
	}
	if err := v.Pretend(t.Context(), Asker{}, slow, "x"); !errors.Is(err, ErrBusy) {
		t.Errorf("an unknown client: got %v, want ErrBusy", err)
	}
	if ok, err := v.Verify(t.Context(), Asker{}, known, "right"); !ok || err != nil {
		t.Errorf("a client that was seen before: got %v, %v; it must not have to wait", ok, err)
	}
	v.turns.remove(v.turns.waiting[0])
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(gone, Asker{}, slow, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that has hung up: got %v, want context.Canceled", err)
	}
	for deadline := time.Now().Add(10 * time.Second); v.turns.length() != queueLength-1; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("a client that has hung up still stands in the queue")
		}
	}
}
