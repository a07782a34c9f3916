// SPDX-License-Identifier: Apache-2.0

// Package status has what handlers and engines tell operators about themselves: the
// resources of UMA, and the policies of Open Policy Agent. It contains no secret, and
// the names of its JSON members are part of the admin API.
package status

import "time"

// Problem is why something is not as it should be, and since when that is known.
type Problem struct {
	Time  time.Time `json:"time"`
	Error string    `json:"error"`
}

// UMA is a handler `gluu_uma_pep`: which resources its rules protect.
type UMA struct {
	Hosts        []string   `json:"hosts"` // of its site; none: all
	Provider     string     `json:"provider"`
	Issuer       string     `json:"issuer"`
	Registration string     `json:"registration"` // on, off or prune
	ObtainsRPT   bool       `json:"obtain_rpt,omitempty"`
	Resources    []Resource `json:"resources"`
	Left         []Resource `json:"left"` // registered for rules that are gone, and still there
	Tickets      Tickets    `json:"tickets"`

	// Problem is why resources are not what they should be, until they are.
	Problem *Problem `json:"problem,omitempty"`

	// NextAttempt is when the gateway tries again.
	NextAttempt *time.Time `json:"next_attempt,omitempty"`
}

// What a resource is at the authorization server.
const (
	Registered = "registered" // this gateway created it or looks after it
	Existing   = "existing"   // it was there, and this gateway does not change it
	Missing    = "missing"    // not known there yet: its requests are refused
)

// Resource is one at the authorization server.
type Resource struct {
	Name   string   `json:"name,omitempty"` // none if the rule has its id
	ID     string   `json:"id,omitempty"`
	State  string   `json:"state,omitempty"`
	Scopes []string `json:"scopes"`
	Rules  []string `json:"rules,omitempty"` // methods and path
}

// Tickets are the permission tickets of a provider since the configuration was loaded.
type Tickets struct {
	Issued  uint64 `json:"issued"`
	Failed  uint64 `json:"failed"`
	Limited uint64 `json:"limited"` // not asked for: too many
}

// Missing is how many resources are not known at the authorization server.
func (u UMA) Missing() (n int) {
	for _, r := range u.Resources {
		if r.State == Missing {
			n++
		}
	}
	return n
}

// Engine evaluates policies inside the gateway.
type Engine struct {
	Name     string    `json:"name"`
	Ready    bool      `json:"ready"`
	Stale    bool      `json:"stale,omitempty"` // older than max_stale: requests are answered 503
	Revision string    `json:"revision"`        // as decisions have it
	Since    time.Time `json:"since,omitzero"`  // since when these policies decide
	Modules  int       `json:"modules"`
	Files    []string  `json:"files,omitempty"`
	Watched  bool      `json:"watched,omitempty"`
	Bundles  []Bundle  `json:"bundles,omitempty"`

	// Age is how long ago the server of a bundle last said that it is the newest.
	Age      float64 `json:"age_seconds"`
	MaxStale float64 `json:"max_stale_seconds,omitempty"`

	// Problem is why newer policies are not in use, until they are.
	Problem *Problem `json:"problem,omitempty"`
}

// Bundle is one that an engine downloads.
type Bundle struct {
	Name     string    `json:"name"`
	Server   string    `json:"server,omitempty"` // without the path, which may be secret
	Revision string    `json:"revision"`
	Checked  time.Time `json:"checked,omitzero"` // when its server last said that it is the newest
	Problem  *Problem  `json:"problem,omitempty"`
}

// Decider is a handler `gluu_opa_pep`: what decides about its requests.
type Decider struct {
	Hosts    []string `json:"hosts"`    // of its site; none: all
	Kind     string   `json:"kind"`     // engine, opa or authzen
	By       string   `json:"by"`       // the name of the engine, or the address of the server
	Decision string   `json:"decision"` // of an engine
	Breaker  string   `json:"breaker,omitempty"`
	Problem  *Problem `json:"problem,omitempty"`
}

// OPA is all about Open Policy Agent in a gateway.
type OPA struct {
	Engines  []Engine  `json:"engines"`
	Deciders []Decider `json:"handlers"`
}
