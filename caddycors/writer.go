// SPDX-License-Identifier: Apache-2.0

package caddycors

import (
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/identity"
)

// decidingWriter has the last word on the CORS headers of a response. An
// upstream that sets its own would have them added to those of the gateway, and
// a browser refuses a response with two values; or it would allow an origin
// that the gateway does not.
type decidingWriter struct {
	*caddyhttp.ResponseWriterWrapper
	request      *http.Request
	ours         http.Header
	upstreamSays bool // which headers are exposed, if the origin is allowed
	decided      bool
}

const (
	prefix        = "Access-Control-"
	allowOrigin   = "Access-Control-Allow-Origin"
	exposeHeaders = "Access-Control-Expose-Headers"
)

// newDecidingWriter remembers the CORS headers that are set now.
func newDecidingWriter(w http.ResponseWriter, r *http.Request, upstreamSays bool) *decidingWriter {
	ours := make(http.Header, 4)
	for name, values := range w.Header() {
		if strings.HasPrefix(name, prefix) {
			ours[name] = values
		}
	}
	_, allowed := ours[allowOrigin]
	return &decidingWriter{
		ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
		request:               r,
		ours:                  ours, upstreamSays: upstreamSays && allowed,
	}
}

func (w *decidingWriter) decide() {
	if w.decided {
		return
	}
	w.decided = true
	if identity.IsPublic(w.request) {
		// The gateway's keys, say: no browser need send cookies for them.
		w.ours = http.Header{allowOrigin: {"*"}}
	}
	h := w.Header()
	for name := range h {
		if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
			continue
		}
		if _, ok := w.ours[name]; !ok && !(w.upstreamSays && name == exposeHeaders) {
			delete(h, name)
		}
	}
	maps.Copy(h, w.ours)
	h["Vary"] = varyOnOrigin(h["Vary"])
}

// varyOnOrigin returns the values of Vary with Origin in it once.
func varyOnOrigin(values []string) []string {
	found := false
	kept := make([]string, 0, len(values)+1)
	for _, value := range values {
		var fields []string
		for field := range strings.SplitSeq(value, ",") {
			field = strings.TrimSpace(field)
			if field == "" || (found && strings.EqualFold(field, "Origin")) {
				continue
			}
			found = found || strings.EqualFold(field, "Origin")
			fields = append(fields, field)
		}
		if len(fields) > 0 {
			kept = append(kept, strings.Join(fields, ", "))
		}
	}
	if !found {
		kept = append(kept, "Origin")
	}
	return kept
}

// WriteHeader implements http.ResponseWriter. What comes before the response
// (1xx) has no say in it.
func (w *decidingWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.decide()
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *decidingWriter) Write(p []byte) (int, error) {
	w.decide()
	return w.ResponseWriterWrapper.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (w *decidingWriter) ReadFrom(r io.Reader) (int64, error) {
	w.decide()
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// Interface guards
var (
	_ http.ResponseWriter = (*decidingWriter)(nil)
	_ io.ReaderFrom       = (*decidingWriter)(nil)
)
