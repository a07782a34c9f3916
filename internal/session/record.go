// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/store"
)

// What is sealed and named, and for what.
const (
	purposeRecord = "session"        // a record
	purposeSecret = "session secret" // what seals it, by the cookie's secret
	recordLabel   = "gluu session record"
)

// Times are what an operator sees of a session without its cookie.
type Times struct {
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Expires time.Time `json:"expires"`
}

// timesSize is the length of the times before the sealed session in a record.
const timesSize = 16

// withTimes puts the times of a session before its sealed form. The store seals
// both.
func withTimes(s *Session, sealed []byte) []byte {
	value := make([]byte, 0, timesSize+len(sealed))
	value = binary.BigEndian.AppendUint64(value, uint64(s.Created.Unix()))
	value = binary.BigEndian.AppendUint64(value, uint64(s.Seen.Unix()))
	return append(value, sealed...)
}

// timesOf reads the times of a record.
func timesOf(r store.Record) (t Times, ok bool) {
	if len(r.Value) < timesSize {
		return t, false
	}
	at := func(b []byte) time.Time { return time.Unix(int64(binary.BigEndian.Uint64(b)), 0).UTC() }
	return Times{Created: at(r.Value), Seen: at(r.Value[8:]), Expires: r.Expires.UTC().Truncate(time.Second)}, true
}

// sealRecord seals a session with a key that takes both the secret of the
// cookie and the key of the configuration.
func sealRecord(s *seal.Sealer, ref *reference, session *Session) ([]byte, error) {
	text, err := json.Marshal(session)
	if err != nil {
		return nil, err
	}
	if len(text) > maxRecord {
		return nil, fmt.Errorf("%w: %d bytes, %d of them %s", ErrTooLarge, len(text), session.largest().size, session.largest().name)
	}
	secret := s.MAC(purposeSecret, ref.secret[:])
	sealer, err := seal.New(recordLabel, string(secret[:]))
	if err != nil {
		return nil, err
	}
	return withTimes(session, sealer.Seal(text, purposeRecord, ref.id[:])), nil
}

// openRecord opens a record. A cookie with the right id and another secret
// opens nothing.
func openRecord(s *seal.Sealer, ref *reference, value []byte) (*Session, error) {
	if len(value) < timesSize {
		return nil, ErrNone
	}
	sealed := value[timesSize:]
	for _, secret := range s.MACs(purposeSecret, ref.secret[:]) {
		sealer, err := seal.New(recordLabel, string(secret[:]))
		if err != nil {
			return nil, err
		}
		text, err := sealer.Open(sealed, purposeRecord, ref.id[:])
		if err != nil {
			continue
		}
		session := &Session{ref: *ref}
		if err := json.Unmarshal(text, session); err != nil || len(session.Authentications) == 0 {
			return nil, ErrNone // written by another version, or damaged
		}
		return session, nil
	}
	return nil, ErrNone
}

// part is one of the things that a session is made of.
type part struct {
	name string
	size int
}

// largest is what takes the most room, for the operator who has to make it
// smaller at the OpenID Provider.
func (s *Session) largest() (largest part) {
	claims, permissions := 0, 0
	for _, a := range s.Authentications {
		claims += len(a.Claims)
	}
	for _, p := range s.Permissions {
		permissions += p.size()
	}
	for _, p := range []part{
		{"ID token claims", claims}, {"the ID token", len(s.IDToken)}, {"the access token", len(s.Access.Token)},
		{"the refresh token", len(s.Refresh)}, {"userinfo", len(s.Userinfo)}, {"requesting party tokens", permissions},
	} {
		if p.size > largest.size {
			largest = p
		}
	}
	return largest
}
