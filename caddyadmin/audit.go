// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/audit"
)

func init() {
	caddy.RegisterModule(auditAPI{})
}

// auditAPI shows who changed what lately:
//
//	GET /gluu/audit[?limit=<n>][&before=<number>]  the newest first
type auditAPI struct{}

// CaddyModule implements caddy.Module.
func (auditAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_audit",
		New: func() caddy.Module { return new(auditAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (auditAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/gluu/audit", Handler: caddy.AdminHandlerFunc(listChanges)}}
}

func listChanges(w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	limit, before := defaultPage, uint64(0)
	for name, values := range r.URL.Query() {
		value := values[len(values)-1]
		var err error
		switch name {
		case "limit":
			if limit, err = strconv.Atoi(value); err != nil || limit < 1 || limit > audit.Size {
				return apiError(http.StatusBadRequest, fmt.Errorf("limit is a number from 1 to %d, not %q", audit.Size, value))
			}
		case "before":
			if before, err = strconv.ParseUint(value, 10, 64); err != nil || before == 0 {
				return apiError(http.StatusBadRequest, fmt.Errorf("before is the number of a change, not %q", value))
			}
		default:
			return apiError(http.StatusBadRequest, fmt.Errorf("unknown parameter %q: use limit or before", name))
		}
	}
	found := audit.Recent.List(before, limit)
	answer := map[string]any{"changes": found}
	if len(found) == limit {
		answer["before"] = found[limit-1].Number // for the next page
	}
	return writeJSON(w, http.StatusOK, answer)
}

// changes says what a request has done, by its method and pattern. A test compares
// the table with the routes.
var changes = map[string]string{
	"DELETE /gluu/sessions":                 "sessions ended",
	"POST /gluu/ui":                         "link to the pages made",
	"DELETE /gluu/streams":                  "streams ended",
	"DELETE /gluu/tokens":                   "tokens forgotten: all",
	"DELETE /gluu/tokens/client/{id}":       "tokens forgotten: client",
	"DELETE /gluu/tokens/subject/{subject}": "tokens forgotten: subject",
	"DELETE /gluu/tokens/token":             "tokens forgotten: one",
	"POST /gluu/signing-keys/rotate":        "signing keys rotated",
	"POST /gluu/consumers":                  "consumer created",
	"PUT /gluu/consumers/{name}":            "consumer saved",
	"PATCH /gluu/consumers/{name}":          "consumer saved",
	"DELETE /gluu/consumers/{name}":         "consumer deleted",
	"POST /gluu/oauth2":                     "credential created",
	"PUT /gluu/oauth2/{x}":                  "credential saved",
	"PATCH /gluu/oauth2/{x}":                "credential saved",
	"DELETE /gluu/oauth2/{x}":               "credential deleted",
	"POST /gluu/oauth2/{x}/secret":          "secret of a credential renewed",
	"POST /gluu/consumers/{c}/oauth2":       "credential created",
	"PUT /gluu/consumers/{c}/oauth2/{x}":    "credential saved",
	"PATCH /gluu/consumers/{c}/oauth2/{x}":  "credential saved",
	"DELETE /gluu/consumers/{c}/oauth2/{x}": "credential deleted",
	"POST /gluu/oauth2_tokens":              "token imported",
	"PATCH /gluu/oauth2_tokens/{id}":        "token changed",
	"DELETE /gluu/oauth2_tokens/{id}":       "token deleted",
	"POST /gluu/oauth2_tokens/revoke":       "token revoked",
	"DELETE /gluu/oauth2_grants":            "grants deleted",
	"DELETE /gluu/oauth2_grants/{id}":       "grant deleted",
}

// questions are the requests with another method than GET that change nothing.
var questions = []string{"POST /gluu/explain", "POST /gluu/oauth2_tokens/lookup"}

// audited records the changes that requests for these routes make.
func audited(routes []caddy.AdminRoute) []caddy.AdminRoute {
	for i := range routes {
		routes[i].Handler = &auditor{routes[i].Pattern, routes[i].Handler}
	}
	return routes
}

type auditor struct {
	pattern string
	next    caddy.AdminHandler
}

// ServeHTTP implements caddy.AdminHandler.
func (a *auditor) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	change := changes[r.Method+" "+a.pattern]
	if change == "" {
		return a.next.ServeHTTP(w, r)
	}
	noted := &noter{ResponseWriter: w, status: http.StatusOK, subject: subjectOf(r)}
	err := a.next.ServeHTTP(noted, r)
	failed, isAPIError := err.(caddy.APIError) //nolint:errorlint // Caddy looks at it in the same way
	switch {
	case isAPIError:
		noted.status = failed.HTTPStatus
	case err != nil:
		noted.status = http.StatusInternalServerError
	}
	// A change that was made here but not everywhere is one, too.
	if noted.status < http.StatusBadRequest || noted.status == http.StatusBadGateway {
		audit.Recent.Add(audit.Change{By: operatorOf(r), From: audit.AdminAPI, Address: addressOf(r), Change: change, Subject: noted.subject})
	}
	return err
}

// noter remembers the status of an answer, and what the request was about.
type noter struct {
	http.ResponseWriter
	status  int
	subject string
}

// WriteHeader implements http.ResponseWriter.
func (n *noter) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (n *noter) Unwrap() http.ResponseWriter { return n.ResponseWriter }

// noteSubject says what a request has made, where the address does not.
func noteSubject(w http.ResponseWriter, subject string) {
	if n, ok := w.(*noter); ok {
		n.subject = subject
	}
}

// subjectOf is what the address of a request names. Tokens and secrets are never in
// addresses.
func subjectOf(r *http.Request) string {
	for _, name := range []string{"x", "name", "id", "subject", "c"} {
		if value := r.PathValue(name); value != "" {
			return value
		}
	}
	return r.URL.RawQuery
}

// operatorOf is who sends a request: the subject of a client certificate at a remote
// admin endpoint, and otherwise anyone who reaches the endpoint.
func operatorOf(r *http.Request) string {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return r.TLS.PeerCertificates[0].Subject.String()
	}
	return ""
}

// addressOf is where a request comes from.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil { // a Unix socket
		return strings.TrimSpace("socket " + strings.Trim(r.RemoteAddr, "@"))
	}
	return host
}

// Interface guards
var (
	_ caddy.AdminRouter  = (*auditAPI)(nil)
	_ caddy.AdminHandler = (*auditor)(nil)
)
