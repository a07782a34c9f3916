// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/streams"
)

func init() {
	caddy.RegisterModule(streamsAPI{})
}

// streamsAPI lists and ends the streams of this gateway:
//
//	GET    /gluu/streams[?<filter>=<value>...]           those that are open
//	DELETE /gluu/streams?<filter>=<value>... or ?all=true  ends them
//
// Filters are the members that GET shows. Several must all fit.
type streamsAPI struct{}

// CaddyModule implements caddy.Module.
func (streamsAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_streams",
		New: func() caddy.Module { return new(streamsAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (streamsAPI) Routes() []caddy.AdminRoute {
	return audited([]caddy.AdminRoute{{Pattern: "/gluu/streams", Handler: caddy.AdminHandlerFunc(serveStreams)}})
}

// streamFilters are what a stream can be selected by.
var streamFilters = map[string]func(streams.Info) []string{
	"id":        func(s streams.Info) []string { return []string{s.ID} },
	"protocol":  func(s streams.Info) []string { return []string{string(s.Protocol)} },
	"host":      func(s streams.Info) []string { return []string{s.Host} },
	"client_ip": func(s streams.Info) []string { return []string{s.ClientIP} },
	"client_id": func(s streams.Info) []string { return []string{s.ClientID} },
	"subject":   func(s streams.Info) []string { return []string{s.Subject} },
	"consumer":  func(s streams.Info) []string { return []string{s.Consumer, s.ConsumerID} },
	"provider":  func(s streams.Info) []string { return []string{s.Provider} },
	"session":   func(s streams.Info) []string { return []string{s.Session} },
}

func serveStreams(w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet, http.MethodDelete); err != nil {
		return err
	}
	query := r.URL.Query()
	isAll := query.Get("all") == "true"
	query.Del("all")
	selected, err := selectStreams(query)
	if err != nil {
		return apiError(http.StatusBadRequest, err)
	}
	if r.Method == http.MethodGet {
		list := streams.Open.List(selected)
		return writeJSON(w, http.StatusOK, map[string]any{"data": list, "total": len(list)})
	}
	if len(query) == 0 && !isAll {
		return apiError(http.StatusBadRequest, errors.New("name the streams to end, for example ?client_id=<id>, or end all of them with ?all=true"))
	}
	return writeJSON(w, http.StatusOK, map[string]int{"ended": streams.Open.End(streams.Admin, selected)})
}

// selectStreams reads the filters of a request. A filter without a value would
// select what has none.
func selectStreams(query url.Values) (func(streams.Info) bool, error) {
	for name, values := range query {
		if streamFilters[name] == nil {
			return nil, fmt.Errorf("streams cannot be selected by %q", name)
		}
		if len(values) != 1 || values[0] == "" {
			return nil, fmt.Errorf("%s needs one value", name)
		}
	}
	return func(s streams.Info) bool {
		for name, values := range query {
			if !slices.Contains(streamFilters[name](s), values[0]) {
				return false
			}
		}
		return true
	}, nil
}

// Interface guards
var _ caddy.AdminRouter = (*streamsAPI)(nil)
