// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"bytes"
	"testing"

	"github.com/caddy-gluu/gateway/internal/seal"
)

// FuzzOpen looks for a text that opens although it was never sealed. The
// fuzzer is given one that was, so that it starts close to the goal. It has a
// fixed nonce: all processes of the fuzzer must agree on what is genuine.
func FuzzOpen(f *testing.F) {
	s := newSealer(f, "fuzz", secretA, secretB)
	nonce := make([]byte, 24)
	genuine := boxByHand(f, "fuzz").Seal(nonce, nonce, []byte("genuine"), seal.Join("record", []byte("key")))
	f.Add([]byte(nil), []byte(nil))
	f.Add(genuine, []byte("key"))
	f.Add(genuine[:seal.Overhead], []byte("key"))
	f.Fuzz(func(t *testing.T, sealed, part []byte) {
		text, err := s.Open(sealed, "record", part)
		if isGenuine := bytes.Equal(sealed, genuine) && string(part) == "key"; (err == nil) != isGenuine {
			t.Errorf("%x for %x: got %q, %v", sealed, part, text, err)
		}
	})
}

// FuzzSeal looks for texts and parts that do not come back.
func FuzzSeal(f *testing.F) {
	s := newSealer(f, "fuzz", secretA)
	f.Add([]byte("text"), "purpose", []byte("one"), []byte("two"))
	f.Add([]byte(nil), "", []byte(nil), []byte("\x00"))
	f.Fuzz(func(t *testing.T, text []byte, purpose string, one, two []byte) {
		sealed := s.Seal(text, purpose, one, two)
		if got, err := s.Open(sealed, purpose, one, two); err != nil || !bytes.Equal(got, text) {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
		if _, err := s.Open(sealed, purpose, two, one); (err == nil) != bytes.Equal(one, two) {
			t.Errorf("with the parts %q and %q the other way round: %v", one, two, err)
		}
	})
}
