// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/json"
	"fmt"

	"github.com/caddy-gluu/gateway/internal/seal"
)

// What is sealed and named, and for what.
const (
	purposeRecord = "session"        // a record
	purposeSecret = "session secret" // what seals it, by the cookie's secret
	recordLabel   = "gluu session record"
)

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
	return sealer.Seal(text, purposeRecord, ref.id[:]), nil
}

// openRecord opens a record. A cookie with the right id and another secret
// opens nothing.
func openRecord(s *seal.Sealer, ref *reference, sealed []byte) (*Session, error) {
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
		permissions += len(p.Token)
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
