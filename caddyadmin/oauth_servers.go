// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/authserver"
	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/introspect"
)

// oauthServer is a running authorization server as the admin API sees it.
type oauthServer authserver.View

// oauthAdmin answers requests about the authorization servers of a configuration.
type oauthAdmin struct {
	servers   []oauthServer
	directory *consumer.Directory
	hash      func(secret []byte) (string, error)
}

// oauthHandler answers one request. Its error is answered in Kong's shape.
type oauthHandler func(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error

// route is the handler as Caddy's admin endpoint calls it.
func (h oauthHandler) route(pattern string) caddy.AdminRoute {
	return caddy.AdminRoute{Pattern: pattern, Handler: handler(func(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
		h.serve(&oauthAdmin{runningServers(), app.Directory(), authserver.HashSecret}, w, r)
		return nil
	})}
}

func (h oauthHandler) serve(a *oauthAdmin, w http.ResponseWriter, r *http.Request) {
	var err error
	switch {
	case len(a.servers) > 0:
		err = h(a, w, r)
	case serversAreStarting():
		err = simpleFault(http.StatusServiceUnavailable, "%v", errStarting)
	default:
		err = simpleFault(http.StatusNotFound, "%v", errNoServer)
	}
	if err != nil {
		f := oauthFaultOf(err)
		_ = writeJSON(w, f.status, f)
	}
}

// server returns the server that a request is for: that of `issuer`, or the only one. Servers
// that share one store are one, since credentials are not bound to an issuer.
func (a *oauthAdmin) server(r *http.Request) (*oauthServer, error) {
	issuer := r.URL.Query().Get("issuer")
	var found *oauthServer
	for i := range a.servers {
		s := &a.servers[i]
		switch {
		case issuer != "" && s.Issuer != issuer:
		case found == nil:
			found = s
		case !found.Store.IsSame(s.Store):
			return nil, simpleFault(http.StatusBadRequest, "there are several gluu_oauth_server with stores of their own: say which one, '?issuer=%s'", url.QueryEscape(found.Issuer))
		}
	}
	if found == nil {
		return nil, simpleFault(http.StatusBadRequest, "no gluu_oauth_server has the issuer %q", issuer)
	}
	return found, nil
}

// peers are the servers that share the store of one.
func (a *oauthAdmin) peers(of *oauthServer) []oauthServer {
	var peers []oauthServer
	for _, s := range a.servers {
		if s.Store.IsSame(of.Store) {
			peers = append(peers, s)
		}
	}
	return peers
}

// oauthMethods calls the handler of a method.
func oauthMethods(handlers map[string]oauthHandler) oauthHandler {
	return func(a *oauthAdmin, w http.ResponseWriter, r *http.Request) error {
		if h, ok := handlers[r.Method]; ok {
			return h(a, w, r)
		}
		var methods []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			if handlers[method] != nil {
				methods = append(methods, method)
			}
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		return simpleFault(http.StatusMethodNotAllowed, "Method not allowed")
	}
}

// oauthPage is a page of a listing, as Kong writes it.
type oauthPage struct {
	Data   []any   `json:"data"`
	Next   *string `json:"next"`
	Offset string  `json:"offset,omitempty"`
}

// writePage answers with a page. The next one is at the same address, with the offset.
func writePage(w http.ResponseWriter, r *http.Request, data []any, next []byte) error {
	page := oauthPage{Data: append([]any{}, data...)}
	if next != nil {
		page.Offset = base64.RawURLEncoding.EncodeToString(next)
		query := r.URL.Query()
		query.Set("offset", page.Offset)
		address := r.URL.Path + "?" + query.Encode()
		page.Next = &address
	}
	return writeJSON(w, http.StatusOK, page)
}

// oauthListing reads the parameters of a listing: size, offset, issuer and filters.
func oauthListing(r *http.Request, filters ...string) (size int, offset []byte, by map[string]string, err error) {
	size, by = defaultPage, make(map[string]string)
	query := r.URL.Query()
	for name, values := range query {
		value := values[len(values)-1]
		switch {
		case name == "size":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > largestPage {
				return 0, nil, nil, &oauthFault{http.StatusBadRequest, "size must be an integer between 1 and " + strconv.Itoa(largestPage), "invalid size", 9, nil}
			}
			size = n
		case name == "offset":
			if offset, err = base64.RawURLEncoding.DecodeString(value); err != nil || len(offset) == 0 {
				return 0, nil, nil, &oauthFault{http.StatusBadRequest, "offset is not one that a listing returned", "invalid offset", 7, nil}
			}
		case name == "issuer":
		case !slices.Contains(filters, name):
			return 0, nil, nil, simpleFault(http.StatusBadRequest, "unknown parameter %q: use %s", name, strings.Join(append([]string{"size", "offset", "issuer"}, filters...), ", "))
		case value == "":
			return 0, nil, nil, simpleFault(http.StatusBadRequest, "%s is empty: give it a value, or leave it out", name)
		default:
			by[name] = value
		}
	}
	return size, offset, by, nil
}
