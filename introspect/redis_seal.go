// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// Redis is a place to put things, not somebody to believe. Whoever can read
// it learns neither tokens nor who has them; whoever can write to it cannot
// make a gateway take anybody for somebody.
//
//   - A key is an HMAC over the token and everything that shaped the answer,
//     each part with its length.
//   - A value is sealed: XChaCha20-Poly1305, whose nonces are long enough to be
//     drawn at random by any number of gateways. The seal binds the value to
//     its key, to the provider's settings and to its end, so that one that was
//     forged, put in another's place or put back after its time does not open.

// tokenName stands for a token among gateways with the same key, whatever
// their providers are called. The token cannot be found from it.
type tokenName [16]byte

// seal makes keys and values.
type seal struct {
	index  []byte // key of the HMAC
	box    cipher.AEAD
	prefix string // of all keys: gateways with another secret have another one
}

func newSeal(secret string) (*seal, error) {
	index, err1 := hkdf.Key(sha256.New, []byte(secret), nil, "gluu gateway shared cache: index v1", sha256.Size)
	boxKey, err2 := hkdf.Key(sha256.New, []byte(secret), nil, "gluu gateway shared cache: seal v1", chacha20poly1305.KeySize)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	box, err := chacha20poly1305.NewX(boxKey)
	if err != nil {
		return nil, err
	}
	s := &seal{index: index, box: box}
	space := s.mac("space", nil)
	s.prefix = fmt.Sprintf("gluu:%x:", space[:4])
	return s, nil
}

// mac returns the HMAC of some parts for a purpose.
func (s *seal) mac(purpose string, parts ...[]byte) [sha256.Size]byte {
	mac := hmac.New(sha256.New, s.index)
	mac.Write(joined(purpose, parts...))
	return [sha256.Size]byte(mac.Sum(nil))
}

// joined writes parts so that they can be told apart again: no two lists of
// parts have the same form.
func joined(purpose string, parts ...[]byte) []byte {
	text := binary.BigEndian.AppendUint64(nil, uint64(len(purpose)))
	text = append(text, purpose...)
	for _, part := range parts {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	return text
}

// logKey is where the log of revocations is.
func (s *seal) logKey() string { return s.prefix + "log" }

// recordKey is where a record is.
func (s *seal) recordKey(id recordID) string {
	sum := s.mac("record", id.settings[:], []byte(id.token))
	return s.prefix + "t:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *seal) tokenName(token string) tokenName {
	sum := s.mac("token", []byte(token))
	return tokenName(sum[:16])
}

const (
	sealVersion = 1
	sealHeader  = 1 + 8 // version, end in milliseconds since 1970
)

var errSeal = errors.New("not sealed by a gateway with this key, for this place and this time")

// sealRecord closes what is kept under a key until its end.
func (s *seal) sealRecord(key string, settings digest, end time.Time, text []byte) []byte {
	header := binary.BigEndian.AppendUint64([]byte{sealVersion}, uint64(end.UnixMilli()))
	return append(header, s.close(text, joined("record", []byte(key), settings[:], header))...)
}

// openRecord opens what was found under a key, unless its time is over.
func (s *seal) openRecord(key string, settings digest, now time.Time, sealed []byte) ([]byte, error) {
	if len(sealed) < sealHeader || sealed[0] != sealVersion {
		return nil, errSeal
	}
	header := sealed[:sealHeader]
	text, err := s.open(sealed[sealHeader:], joined("record", []byte(key), settings[:], header))
	if err != nil {
		return nil, err
	}
	if end := binary.BigEndian.Uint64(header[1:]); now.UnixMilli() >= int64(end) {
		return nil, errSeal
	}
	return text, nil
}

// sealEntry closes an entry of the log.
func (s *seal) sealEntry(text []byte) []byte { return s.close(text, joined("entry")) }

func (s *seal) openEntry(sealed []byte) ([]byte, error) { return s.open(sealed, joined("entry")) }

func (s *seal) close(text, bound []byte) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(text)+chacha20poly1305.Overhead)
	rand.Read(nonce) // never fails, see its documentation
	return s.box.Seal(nonce, nonce, text, bound)
}

func (s *seal) open(sealed, bound []byte) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, errSeal
	}
	text, err := s.box.Open(nil, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], bound)
	if err != nil {
		return nil, errSeal
	}
	return text, nil
}
