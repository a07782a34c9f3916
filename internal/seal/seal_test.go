// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/caddy-gluu/gateway/internal/seal"
)

const (
	secretA = "the first secret, of 32 bytes or more"
	secretB = "the second secret, of 32 bytes or more"
)

func newSealer(t testing.TB, label string, secrets ...string) *seal.Sealer {
	t.Helper()
	s, err := seal.New(label, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	s := newSealer(t, "test", secretA)
	for _, text := range []string{"", "x", "\x00\xff", strings.Repeat("long ", 10_000)} {
		sealed := s.Seal([]byte(text), "record", []byte("key"))
		if len(sealed) != len(text)+seal.Overhead {
			t.Errorf("%d bytes sealed are %d, want %d more", len(text), len(sealed), seal.Overhead)
		}
		got, err := s.Open(sealed, "record", []byte("key"))
		if err != nil || string(got) != text {
			t.Errorf("got %d bytes, %v, want the %d that were sealed", len(got), err, len(text))
		}
		// A short text is among random bytes by chance.
		if len(text) >= 8 && bytes.Contains(sealed, []byte(text)) {
			t.Errorf("%.10q can be read in what was sealed", text)
		}
	}
}

func TestSealedTwiceDiffers(t *testing.T) {
	s := newSealer(t, "test", secretA)
	seen := map[string]bool{}
	for range 1000 {
		seen[string(s.Seal([]byte("the same"), "record"))] = true
	}
	if len(seen) != 1000 {
		t.Errorf("1000 seals gave %d different texts, want 1000", len(seen))
	}
}

func TestOpenRefuses(t *testing.T) {
	s := newSealer(t, "test", secretA)
	key, text := []byte("key"), []byte("text")
	sealed := s.Seal(text, "record", key)
	changed := func(at int) []byte {
		forged := bytes.Clone(sealed)
		forged[(at+len(forged))%len(forged)] ^= 1
		return forged
	}
	for name, open := range map[string]func() ([]byte, error){
		"another purpose":      func() ([]byte, error) { return s.Open(sealed, "entry", key) },
		"another part":         func() ([]byte, error) { return s.Open(sealed, "record", []byte("kez")) },
		"no part":              func() ([]byte, error) { return s.Open(sealed, "record") },
		"one part more":        func() ([]byte, error) { return s.Open(sealed, "record", key, nil) },
		"the part split":       func() ([]byte, error) { return s.Open(sealed, "record", []byte("k"), []byte("ey")) },
		"the part in purpose":  func() ([]byte, error) { return s.Open(sealed, "recordkey") },
		"a changed nonce":      func() ([]byte, error) { return s.Open(changed(0), "record", key) },
		"a changed text":       func() ([]byte, error) { return s.Open(changed(chacha20poly1305.NonceSizeX), "record", key) },
		"a changed tag":        func() ([]byte, error) { return s.Open(changed(-1), "record", key) },
		"one byte less":        func() ([]byte, error) { return s.Open(sealed[:len(sealed)-1], "record", key) },
		"one byte more":        func() ([]byte, error) { return s.Open(append(bytes.Clone(sealed), 0), "record", key) },
		"less than a seal has": func() ([]byte, error) { return s.Open(sealed[:seal.Overhead-1], "record", key) },
		"nothing":              func() ([]byte, error) { return s.Open(nil, "record", key) },
		"another secret":       func() ([]byte, error) { return newSealer(t, "test", secretB).Open(sealed, "record", key) },
		"another label":        func() ([]byte, error) { return newSealer(t, "test2", secretA).Open(sealed, "record", key) },
	} {
		t.Run(name, func(t *testing.T) {
			if text, err := open(); !errors.Is(err, seal.ErrOpen) || text != nil {
				t.Errorf("got %q, %v, want ErrOpen and no text", text, err)
			}
		})
	}
}

func TestSecretsAreReplacedWithoutLoss(t *testing.T) {
	before := newSealer(t, "test", secretA)
	during := newSealer(t, "test", secretB, secretA)
	after := newSealer(t, "test", secretB)

	old, fresh := before.Seal([]byte("old"), "record"), during.Seal([]byte("fresh"), "record")
	for name, c := range map[string]struct {
		sealer *seal.Sealer
		sealed []byte
		opens  bool
	}{
		"old by both secrets":   {during, old, true},
		"fresh by both secrets": {during, fresh, true},
		"fresh by the new one":  {after, fresh, true},
		"fresh by the old one":  {before, fresh, false},
		"old by the new one":    {after, old, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.sealer.Open(c.sealed, "record"); (err == nil) != c.opens {
				t.Errorf("got %v, want that it opens: %t", err, c.opens)
			}
		})
	}
	names := during.MACs("index", []byte("alice"))
	if len(names) != 2 || names[0] != after.MAC("index", []byte("alice")) || names[1] != before.MAC("index", []byte("alice")) {
		t.Error("MACs does not return the name by the new secret, then the one by the old")
	}
	if during.MAC("index", []byte("alice")) != names[0] {
		t.Error("MAC does not name by the first secret")
	}
}

// What is sealed and named is read by gateways of other versions, so the
// derivation is computed here once more, from the standards alone.
func TestDerivationIsAsDocumented(t *testing.T) {
	s := newSealer(t, "a label", secretA)
	joined := []byte("\x00\x00\x00\x00\x00\x00\x00\x07purpose\x00\x00\x00\x00\x00\x00\x00\x04part")

	mac := hmac.New(sha256.New, derive(t, "a label: index v1"))
	mac.Write(joined)
	if got, want := s.MAC("purpose", []byte("part")), mac.Sum(nil); !bytes.Equal(got[:], want) {
		t.Errorf("got the name %x, want %x", got, want)
	}
	sealed := s.Seal([]byte("text"), "purpose", []byte("part"))
	text, err := boxByHand(t, "a label").Open(nil, sealed[:24], sealed[24:], joined)
	if err != nil || string(text) != "text" {
		t.Errorf("opened by hand: got %q, %v", text, err)
	}
}

// derive derives a key from secretA.
func derive(t testing.TB, info string) []byte {
	t.Helper()
	derived, err := hkdf.Key(sha256.New, []byte(secretA), nil, info, 32)
	if err != nil {
		t.Fatal(err)
	}
	return derived
}

// boxByHand is what seals with secretA under a label.
func boxByHand(t testing.TB, label string) cipher.AEAD {
	t.Helper()
	box, err := chacha20poly1305.NewX(derive(t, label+": seal v1"))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func TestNewRefuses(t *testing.T) {
	if _, err := seal.New("test"); err == nil {
		t.Error("a Sealer was made without a secret")
	}
	for _, secrets := range [][]string{{""}, {strings.Repeat("x", seal.MinSecret-1)}, {secretA, "too short"}} {
		_, err := seal.New("test", secrets...)
		if !errors.Is(err, seal.ErrShortSecret) {
			t.Errorf("%d secrets: got %v, want ErrShortSecret", len(secrets), err)
		}
		if last := secrets[len(secrets)-1]; err != nil && last != "" && strings.Contains(err.Error(), last) {
			t.Errorf("the message shows a secret: %v", err)
		}
	}
}

func TestNamesDiffer(t *testing.T) {
	s := newSealer(t, "test", secretA)
	seen := map[[seal.MACSize]byte]string{}
	for _, parts := range [][]string{
		{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a\x00"}, {"\x00a"}, {"ab", "c"}, {"a", "bc"}, {"abc"},
	} {
		var bound [][]byte
		for _, part := range parts {
			bound = append(bound, []byte(part))
		}
		name, list := s.MAC("index", bound...), fmt.Sprintf("%q", parts)
		if other, twice := seen[name]; twice {
			t.Errorf("%s and %s have the same name", list, other)
		}
		seen[name] = list
	}
}

func BenchmarkSeal(b *testing.B) {
	s := newSealer(b, "bench", secretA)
	text := make([]byte, 512)
	for b.Loop() {
		s.Seal(text, "record", []byte("key"))
	}
}

func BenchmarkOpen(b *testing.B) {
	text := make([]byte, 512)
	sealed := newSealer(b, "bench", secretA).Seal(text, "record", []byte("key"))
	for name, secrets := range map[string][]string{"first": {secretA}, "second": {secretB, secretA}} {
		s := newSealer(b, "bench", secrets...)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Open(sealed, "record", []byte("key")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
