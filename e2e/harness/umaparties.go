// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// parties is what a UMAServer knows of the people for whom a client asks, and wants
// to know of them.
type parties struct {
	asksFor      map[string]bool   // users who have to say more about themselves
	approvals    map[string]bool   // users whose requests wait for the owner
	gathered     map[string]bool   // tickets whose person has said it
	pcts         map[string]string // persisted claims tokens, with their user
	requests     []url.Values      // requests for RPTs, in order
	neverContent bool              // whatever they say
	redirects    []string          // claims redirect URIs that are registered; nil: any
}

func newParties() parties {
	return parties{asksFor: map[string]bool{}, approvals: map[string]bool{}, gathered: map[string]bool{}, pcts: map[string]string{}}
}

// AskForClaims has a user say more in a browser before anything is granted.
func (s *UMAServer) AskForClaims(user string, asks bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parties.asksFor[user] = asks
}

// NeverContent has nothing suffice that users say about themselves.
func (s *UMAServer) NeverContent(never bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parties.neverContent = never
}

// AskOwner has requests of a user wait for the owner of the resource, or not any
// more.
func (s *UMAServer) AskOwner(user string, asks bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parties.approvals[user] = asks
}

// RegisterClaimsRedirect registers where people may be sent back to.
func (s *UMAServer) RegisterClaimsRedirect(uris ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parties.redirects = uris
}

// RPTRequests returns the forms of the requests for RPTs, with the header
// Authorization as "authorization".
func (s *UMAServer) RPTRequests() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.parties.requests)
}

// partyOf finds out who asks for an RPT. The parameter "user" stands for what any
// other client would have to prove.
func (s *UMAServer) partyOf(r *http.Request) (user string, known bool) {
	if user := r.PostFormValue("user"); user != "" {
		return user, true
	}
	form := maps.Clone(r.PostForm)
	form.Set("authorization", r.Header.Get("Authorization"))
	s.parties.requests = append(s.parties.requests, form)
	if accessToken, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		if s.config.UserOf == nil {
			return "", false
		}
		user = s.config.UserOf(accessToken)
		return user, user != ""
	}
	if !s.isGateway(r) {
		return "", false
	}
	if claimToken := r.PostFormValue("claim_token"); claimToken != "" {
		return subjectOf(claimToken)
	}
	return UMAClient, true
}

// subjectOf reads the subject of a claim token. The client vouches for it.
func subjectOf(claimToken string) (subject string, ok bool) {
	parts := strings.Split(claimToken, ".")
	if len(parts) != 3 {
		return "", false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", false
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	err = json.Unmarshal(payload, &claims)
	return claims.Subject, err == nil && claims.Subject != ""
}

// asksBack answers a request about which more has to be known, or that someone has
// to approve (section 3.3.6). The next ticket asks for the same.
func (s *UMAServer) asksBack(w http.ResponseWriter, r *http.Request, user string, asked UMATicket) bool {
	p := &s.parties
	said := !p.neverContent && (p.gathered[r.PostFormValue("ticket")] || p.pcts[r.PostFormValue("pct")] == user)
	next := rand.Text()
	switch {
	case p.asksFor[user] && !said:
		s.tickets[next] = asked
		reply(w, http.StatusForbidden, map[string]any{"error": "need_info", "ticket": next, "redirect_user": s.Issuer + "/claims?tenant=1"})
	case p.approvals[user]:
		s.tickets[next] = asked
		reply(w, http.StatusForbidden, map[string]any{"error": "request_submitted", "ticket": next, "interval": 1})
	default:
		return false
	}
	return true
}

// issuePCT returns a token with what a person has said for a ticket, "" if nothing.
func (p *parties) issuePCT(ticket, user string) string {
	if !p.gathered[ticket] {
		return ""
	}
	pct := rand.Text()
	p.pcts[pct] = user
	return pct
}

// gatherClaims is the claims interaction endpoint (section 3.3.2). The person says
// at once what it wants to know, and is sent back (section 3.3.3).
func (s *UMAServer) gatherClaims(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	back := query.Get("claims_redirect_uri")
	asked, ok := s.tickets[query.Get("ticket")]
	if query.Get("client_id") != UMAClient || !ok || back == "" || s.parties.redirects != nil && !slices.Contains(s.parties.redirects, back) {
		fail(w, http.StatusBadRequest, "invalid_request")
		return
	}
	delete(s.tickets, query.Get("ticket"))
	next := rand.Text()
	s.tickets[next] = asked
	s.parties.gathered[next] = true
	w.Header().Set("Location", back+"?"+url.Values{"ticket": {next}, "state": {query.Get("state")}}.Encode())
	w.WriteHeader(http.StatusFound)
}
