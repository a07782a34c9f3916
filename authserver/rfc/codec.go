// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"net/http"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// What a codec of another protocol shares with this one: limits, metrics and the log.

// ClientDefaults are what a client can have that names none.
type ClientDefaults struct{ Grants, Scopes []string }

// complete returns a client with the defaults.
func (d ClientDefaults) complete(client *authcore.Client) *authcore.Client {
	if len(client.Grants) > 0 && len(client.Scopes) > 0 || len(d.Grants)+len(d.Scopes) == 0 {
		return client
	}
	completed := *client
	if len(client.Grants) == 0 {
		completed.Grants = d.Grants
	}
	if len(client.Scopes) == 0 {
		completed.Scopes = d.Scopes
	}
	return &completed
}

// Refused is a request that another codec has refused.
type Refused struct {
	Endpoint string // its label
	Status   int
	Reason   string
	ClientID string          // of a client that exists
	Fault    *authcore.Fault // nil if the core had no part in it
	Err      error           // for the log
}

// Report counts and logs a request that another codec has refused, and emits its event.
func (s *Server) Report(r *http.Request, refused Refused) {
	f := authcore.Fault{Reason: refused.Reason}
	if refused.Fault != nil {
		f = *refused.Fault
	}
	c := &call{Server: s, r: r, endpoint: Endpoint("/oauth2/" + refused.Endpoint), clientID: refused.ClientID}
	c.report(&refusal{status: refused.Status, Fault: &f, err: refused.Err})
}

// CountIssued counts an opaque token that another codec has issued.
func (s *Server) CountIssued(grant string) { s.Metrics.issued.WithLabelValues(grant, "opaque").Inc() }

// WithLimit checks a secret unless too many were wrong: in the name of a client, if there is
// one, or from the network of the request. A client that is known, because its secret was
// right before, is not limited.
func (s *Server) WithLimit(r *http.Request, name string, isKnown func() bool, check func() (right bool, err error)) (limited bool, err error) {
	c := &call{Server: s, r: r}
	refused := c.withLimit(name[:min(len(name), 255)], isKnown, func() error {
		var right bool
		if right, err = check(); err == nil && !right {
			return unauthenticated("")
		}
		return nil
	})
	if refused != nil && err == nil {
		limited = refusalOf(refused).status == http.StatusTooManyRequests
	}
	return limited, err
}
