// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-gluu/gateway/internal/seal"
)

// Redis is a place to put things, not a party to trust. Read access to it shows
// neither tokens nor who has them; write access allows deleting entries, not
// forging identities.
//
//   - A key is an HMAC over the token and everything that shaped the answer,
//     each part with its length.
//   - A value is sealed (package seal). The seal binds the value to its key, to
//     the provider's settings and to its end, so that one that was forged, put
//     in another's place or put back after its time does not open.

// tokenName identifies a token among gateways with the same key, whatever their
// providers are called. The token cannot be derived from it.
type tokenName [16]byte

// sealer makes keys and values.
type sealer struct {
	*seal.Sealer
	prefix string // of all keys: gateways with another secret have another one
}

func newSealer(secret string) (*sealer, error) {
	s, err := seal.New("gluu gateway shared cache", secret)
	if err != nil {
		return nil, err
	}
	space := s.MAC("space", nil)
	return &sealer{Sealer: s, prefix: fmt.Sprintf("gluu:%x:", space[:4])}, nil
}

// logKey is where the log of revocations is.
func (s *sealer) logKey() string { return s.prefix + "log" }

// recordKey is where a record is.
func (s *sealer) recordKey(id RecordID) string {
	sum := s.MAC("record", id.Settings[:], []byte(id.Token))
	return s.prefix + "t:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *sealer) tokenName(token string) tokenName {
	sum := s.MAC("token", []byte(token))
	return tokenName(sum[:16])
}

const (
	sealVersion = 1
	sealHeader  = 1 + 8 // version, end in milliseconds since 1970
)

var errRecordEnded = errors.New("the record is over, or not one of this version")

// sealRecord closes what is kept under a key until its end.
func (s *sealer) sealRecord(key string, settings [32]byte, end time.Time, text []byte) []byte {
	header := binary.BigEndian.AppendUint64([]byte{sealVersion}, uint64(end.UnixMilli()))
	return append(header, s.Seal(text, "record", []byte(key), settings[:], header)...)
}

// openRecord opens what was found under a key, unless its time is over.
func (s *sealer) openRecord(key string, settings [32]byte, now time.Time, sealed []byte) ([]byte, error) {
	if len(sealed) < sealHeader || sealed[0] != sealVersion {
		return nil, errRecordEnded
	}
	header := sealed[:sealHeader]
	text, err := s.Open(sealed[sealHeader:], "record", []byte(key), settings[:], header)
	if err != nil {
		return nil, err
	}
	if end := binary.BigEndian.Uint64(header[1:]); now.UnixMilli() >= int64(end) {
		return nil, errRecordEnded
	}
	return text, nil
}

// sealEntry closes an entry of the log.
func (s *sealer) sealEntry(text []byte) []byte { return s.Seal(text, "entry") }

func (s *sealer) openEntry(sealed []byte) ([]byte, error) { return s.Open(sealed, "entry") }
