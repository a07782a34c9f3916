// SPDX-License-Identifier: Apache-2.0

package siteguard

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// An answer about one person at one time must not be cached, whatever a site says
// about its pages. A directive such as
//
//	header >Cache-Control "public, max-age=600"
//
// changes the header when the answer is written, after the handler that wrote it.
// So a handler that is first in the route sees the answer last.

// KeepNoStore makes NoStore hold against deferred header operations in the route
// of the handler that is being provisioned.
func KeepNoStore(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return // not in a server, as in tests of one handler
	}
	if current := slices.IndexFunc(server.Routes, isUnderWay); current >= 0 {
		addFirst(&server.Routes[current], func(name string) caddyhttp.MiddlewareHandler { return noStoreKeeper{name} })
	}
}

// NoStore forbids every cache to keep the answer that is about to be written.
func NoStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", noStore)
	for {
		switch inner := w.(type) {
		case *noStoreWriter:
			inner.keep = true
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return
		}
	}
}

const noStore = "no-store"

// noStoreKeeper is a handler, the first one of a route.
type noStoreKeeper struct {
	name string // of the handler that was first, for Caddy's metrics of the route
}

// CaddyModule makes Caddy's metrics name the route as they would without it.
func (k noStoreKeeper) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: caddy.ModuleID("http.handlers." + k.name), New: func() caddy.Module { return k }}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (noStoreKeeper) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(&noStoreWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}, r)
}

// noStoreWriter writes `no-store` last, if it has to.
type noStoreWriter struct {
	caddyhttp.ResponseWriterWrapper
	keep bool
}

// WriteHeader implements http.ResponseWriter.
func (w *noStoreWriter) WriteHeader(status int) {
	if w.keep {
		w.Header().Set("Cache-Control", noStore)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter. An answer without a call of WriteHeader
// begins here.
func (w *noStoreWriter) Write(body []byte) (int, error) {
	if w.keep {
		w.Header().Set("Cache-Control", noStore) // too late, and harmless, after the first
	}
	return w.ResponseWriter.Write(body)
}

// Interface guards
var (
	_ caddy.Module                = noStoreKeeper{}
	_ caddyhttp.MiddlewareHandler = noStoreKeeper{}
	_ http.ResponseWriter         = (*noStoreWriter)(nil)
)
