// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Session is what is known about a person who has logged in. It is read by
// many requests at once and never changes: [Manager.Update] makes a new one.
type Session struct {
	// Issuer and ClientID are the OpenID Provider and the client that the
	// session belongs to. Subject is the person (`sub`), unique at the issuer.
	Issuer   string `json:"iss"`
	ClientID string `json:"client_id"`
	Subject  string `json:"sub"`

	// SID is the OpenID Provider's own session, "" if it did not name one.
	SID string `json:"sid,omitempty"`

	// Created is when the person logged in, Seen when the session was last
	// used, to the minute.
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`

	// Authentications are how and when the person authenticated, the newest
	// last, at most MaxAuthentications.
	Authentications []Authentication `json:"authentications"`

	// IDToken is the newest ID token as it was issued: a hint for the OpenID
	// Provider.
	IDToken string `json:"id_token,omitempty"`

	// Access is the access token of the person, zero if there is none.
	Access AccessToken `json:"access,omitzero"`

	// Refresh is the refresh token, "" if there is none.
	Refresh string `json:"refresh,omitempty"`

	// Userinfo is the answer of the userinfo endpoint, a JSON object, and
	// UserinfoAt when it was fetched.
	Userinfo   json.RawMessage `json:"userinfo,omitempty"`
	UserinfoAt time.Time       `json:"userinfo_at,omitzero"`

	// Permissions are what UMA authorization servers have granted, and Claims their
	// persisted claims tokens (PCT), by the caller's own keys.
	Permissions map[string]Permission `json:"rpt,omitempty"`
	Claims      map[string]string     `json:"pct,omitempty"`

	// RenewedAt is when the session was renewed last, zero if it never was.
	RenewedAt time.Time `json:"renewed_at,omitzero"`

	// Succeeded says that the session went on under another id (after a step-up).
	// This one is good for requests that were under way, until then, with the
	// authentications it has.
	Succeeded time.Time `json:"succeeded,omitzero"`

	values  *sync.Map // what handlers keep with this version of the session
	ref     reference
	version uint64 // of its record as it was read, 0 if it was only written
}

// Authentication is one event of a person proving who they are, as an ID token
// told it.
type Authentication struct {
	ACR       string          `json:"acr,omitempty"`
	AMR       []string        `json:"amr,omitempty"`
	AuthTime  time.Time       `json:"auth_time,omitzero"` // zero if the ID token did not say
	IssuedAt  time.Time       `json:"iat"`
	ExpiresAt time.Time       `json:"exp"`
	Claims    json.RawMessage `json:"claims"` // all claims of the ID token
}

// AccessToken is an access token and what the token endpoint said of it.
type AccessToken struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"exp,omitzero"` // zero if unknown
	Scopes    []string  `json:"scopes,omitempty"`
}

// MaxAuthentications is how many authentications a session remembers. More
// levels than that are not in use anywhere, and the record has to stay small.
const MaxAuthentications = 8

// Value returns what was kept with this version of the session under a key, nil
// if nothing was.
func (s *Session) Value(key any) any {
	if s.values == nil {
		return nil
	}
	value, _ := s.values.Load(key)
	return value
}

// SetValue keeps something that was made of this version of the session, for as
// long as it is in memory.
func (s *Session) SetValue(key, value any) {
	if s.values != nil {
		s.values.Store(key, value)
	}
}

// IsOf reports whether the session is that of a person, whose subject is unique
// at their issuer only.
func (s *Session) IsOf(issuer, subject string) bool {
	return s.Issuer == issuer && s.Subject == subject
}

// Newest returns the newest authentication. Every session has one.
func (s *Session) Newest() *Authentication {
	return &s.Authentications[len(s.Authentications)-1]
}

// Tag names the session in logs and to the upstream: 16 hex digits that open
// nothing.
func (s *Session) Tag() string { return s.ref.tag() }

// Authenticated adds an authentication and forgets the oldest one that is too
// many. One with the same context replaces the former.
func (s *Session) Authenticated(a Authentication) {
	kept := slices.DeleteFunc(slices.Clone(s.Authentications), func(old Authentication) bool { return old.ACR == a.ACR })
	kept = append(kept, a)
	s.Authentications = kept[max(0, len(kept)-MaxAuthentications):]
}

// Inherit takes over what a former session of the same person at the same
// client has, and this one does not.
func (s *Session) Inherit(former *Session) {
	newest := s.Authentications
	s.Authentications = slices.Clone(former.Authentications)
	for _, a := range newest {
		s.Authenticated(a)
	}
	s.Permissions, s.Claims = former.Permissions, former.Claims
	if s.Refresh == "" {
		s.Refresh = former.Refresh
	}
	if s.SID == "" {
		s.SID = former.SID
	}
	if s.Userinfo == nil {
		s.Userinfo, s.UserinfoAt = former.Userinfo, former.UserinfoAt
	}
}
