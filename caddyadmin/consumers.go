// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(consumers{})
}

// consumers manages consumers without a reload, with the addresses and objects
// of Kong's admin API:
//
//	GET    /gluu/consumers?size=100&offset=...    a page of all consumers
//	GET    /gluu/consumers?custom_id=<client id>  the consumers of a client, one for each provider
//	POST   /gluu/consumers                        create a consumer
//	GET    /gluu/consumers/{name}                 by username or id
//	PUT    /gluu/consumers/{name}                 create or replace
//	PATCH  /gluu/consumers/{name}                 change the given members
//	DELETE /gluu/consumers/{name}
//
// Consumers of the configuration are listed too, but can only be changed there.
// A change is durable before it is answered and holds from the next request
// on; other gateways that share the storage follow within
// consumer.RefreshInterval.
type consumers struct{}

// CaddyModule implements caddy.Module.
func (consumers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_consumers",
		New: func() caddy.Module { return new(consumers) },
	}
}

// Routes implements caddy.AdminRouter.
func (consumers) Routes() []caddy.AdminRoute {
	var routes []caddy.AdminRoute
	for pattern, serve := range consumerRoutes {
		routes = append(routes, caddy.AdminRoute{
			Pattern: pattern,
			Handler: handler(func(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
				return serve(app.Directory(), w, r)
			}),
		})
	}
	return audited(routes)
}

// directoryHandler answers a request about the consumers of a directory.
type directoryHandler func(d *consumer.Directory, w http.ResponseWriter, r *http.Request) error

var consumerRoutes = map[string]directoryHandler{
	"/gluu/consumers":        serveConsumers,
	"/gluu/consumers/{name}": serveConsumer,
}

func serveConsumers(d *consumer.Directory, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet, http.MethodPost); err != nil {
		return err
	}
	if r.Method == http.MethodPost {
		return createConsumer(d, w, r)
	}
	return listConsumers(d, w, r)
}

func serveConsumer(d *consumer.Directory, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete); err != nil {
		return err
	}
	name := r.PathValue("name")
	switch r.Method {
	case http.MethodPut:
		return putConsumer(d, w, r, name)
	case http.MethodPatch:
		return patchConsumer(d, w, r, name)
	case http.MethodDelete:
		return deleteConsumer(d, w, r, name)
	}
	found, err := d.Lookup(name)
	if err != nil {
		return consumerError(err)
	}
	return writeJSON(w, http.StatusOK, found)
}

// consumerPage is a page of a listing, as Kong writes it. The last one has no
// next.
type consumerPage struct {
	Data   []*consumer.Consumer `json:"data"`
	Next   *string              `json:"next"`
	Offset string               `json:"offset,omitempty"`
}

func listConsumers(d *consumer.Directory, w http.ResponseWriter, r *http.Request) error {
	query, err := parseListing(r.URL.Query())
	if err != nil {
		return apiError(http.StatusBadRequest, err)
	}
	page := consumerPage{Data: []*consumer.Consumer{}}
	if query.customID != "" {
		found, err := d.OfClient(query.customID)
		if err != nil {
			return consumerError(err)
		}
		page.Data = append(page.Data, found...)
		return writeJSON(w, http.StatusOK, page)
	}
	data, next, err := d.List(query.size, query.offset)
	if err != nil {
		return consumerError(err)
	}
	page.Data = append(page.Data, data...)
	if next != "" {
		address := "/gluu/consumers?" + url.Values{"offset": {next}, "size": {strconv.Itoa(query.size)}}.Encode()
		page.Next, page.Offset = &address, next
	}
	return writeJSON(w, http.StatusOK, page)
}

const (
	defaultPage = 100
	largestPage = 1000
)

// listing is which consumers a request asks for.
type listing struct {
	size     int
	offset   string
	customID string
}

func parseListing(query url.Values) (listing, error) {
	l := listing{size: defaultPage}
	for name, values := range query {
		value := values[len(values)-1]
		switch name {
		case "size":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > largestPage {
				return l, fmt.Errorf("size is a number from 1 to %d, not %q", largestPage, value)
			}
			l.size = n
		case "offset":
			l.offset = value
		case "custom_id":
			if value == "" { // perhaps from a script whose variable is empty
				return l, errors.New("custom_id is empty: name a client, or leave it out to list all consumers")
			}
			l.customID = value
		default:
			return l, fmt.Errorf("unknown parameter %q: use size, offset or custom_id", name)
		}
	}
	return l, nil
}

func createConsumer(d *consumer.Directory, w http.ResponseWriter, r *http.Request) error {
	c, _, err := readConsumer(w, r)
	if err != nil {
		return err
	}
	created, err := d.Create(r.Context(), c)
	if err != nil {
		return consumerError(err)
	}
	noteSubject(w, created.ID)
	return writeJSON(w, http.StatusCreated, created)
}

func putConsumer(d *consumer.Directory, w http.ResponseWriter, r *http.Request, name string) error {
	c, _, err := readConsumer(w, r)
	if err != nil {
		return err
	}
	put, created, err := d.Put(r.Context(), name, c)
	if err != nil {
		return consumerError(err)
	}
	if created {
		return writeJSON(w, http.StatusCreated, put)
	}
	return writeJSON(w, http.StatusOK, put)
}

// patchConsumer changes what the body names: RFC 7396, in which null removes.
func patchConsumer(d *consumer.Directory, w http.ResponseWriter, r *http.Request, name string) error {
	given, members, err := readConsumer(w, r)
	if err != nil {
		return err
	}
	changed, err := d.Update(r.Context(), name, func(c *consumer.Consumer) error {
		for member := range members {
			consumerMembers[member](c, &given)
		}
		return nil
	})
	if err != nil {
		return consumerError(err)
	}
	return writeJSON(w, http.StatusOK, changed)
}

// deleteConsumer deletes a consumer with the credentials that it has at the authorization
// server, their grants and tokens. If only the former succeeds, they are refused all the
// same, and a second request with the consumer's id deletes them.
func deleteConsumer(d *consumer.Directory, w http.ResponseWriter, r *http.Request, name string) error {
	servers := runningServers()
	if len(servers) == 0 && serversAreStarting() { // the credentials would stay
		return apiError(http.StatusServiceUnavailable, errStarting)
	}
	id := name
	if c := d.Find(name); c != nil {
		id = c.ID
	}
	err := d.Delete(r.Context(), name)
	if err != nil && !errors.Is(err, consumer.ErrNotFound) {
		return consumerError(err)
	}
	if d.Find(id) == nil {
		admin := oauthAdmin{servers: servers, directory: d}
		found, failed := admin.forgetConsumer(r.Context(), id)
		if failed != nil {
			return apiError(http.StatusServiceUnavailable, fmt.Errorf("the consumer is deleted, its OAuth credentials are not yet: repeat the request with its id %s: %w", id, failed))
		}
		if found {
			err = nil
		}
	}
	if err != nil {
		return consumerError(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// consumerError answers with what went wrong.
func consumerError(err error) error {
	status := http.StatusServiceUnavailable // the storage failed
	_, invalid := errors.AsType[*consumer.InvalidError](err)
	_, conflict := errors.AsType[*consumer.ConflictError](err)
	switch {
	case invalid, errors.Is(err, consumer.ErrOffset):
		status = http.StatusBadRequest
	case conflict, errors.Is(err, consumer.ErrConfigured):
		status = http.StatusConflict
	case errors.Is(err, consumer.ErrNotFound):
		status = http.StatusNotFound
	}
	return apiError(status, err)
}

// Interface guards
var _ caddy.AdminRouter = (*consumers)(nil)
