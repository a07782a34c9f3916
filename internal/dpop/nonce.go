// SPDX-License-Identifier: Apache-2.0

package dpop

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// nonces gives out nonces (RFC 9449, section 9). A nonce is a time and its HMAC:
// nothing is stored for it, and it cannot be made elsewhere. Each is given out for
// half a minute and valid for three.
type nonces struct{ key [32]byte }

const (
	noncePeriod = 30 * time.Second
	nonceMaxAge = 3 * time.Minute
)

func newNonces() (n nonces) {
	rand.Read(n.key[:]) // never fails, see its documentation
	return n
}

func (n *nonces) next(now time.Time) string {
	return n.at(now.Truncate(noncePeriod).Unix())
}

func (n *nonces) at(second int64) string {
	made := binary.BigEndian.AppendUint64(nil, uint64(second))
	mac := hmac.New(sha256.New, n.key[:])
	mac.Write(made)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(made)[:8+16])
}

func (n *nonces) valid(nonce string, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 8+16 {
		return false
	}
	second := int64(binary.BigEndian.Uint64(b))
	if !hmac.Equal([]byte(nonce), []byte(n.at(second))) {
		return false
	}
	return now.Sub(time.Unix(second, 0)) <= nonceMaxAge
}
