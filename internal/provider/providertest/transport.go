// SPDX-License-Identifier: Apache-2.0

package providertest

import (
	"context"
	"net/http"
	"net/http/httptest"
)

// Transport sends requests straight to a handler: no sockets, so that tests can
// run in a bubble where time is what they make it.
type Transport struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		_ = r.ParseForm()
	}
	w := httptest.NewRecorder()
	t.ServeHTTP(w, r)
	if err := context.Cause(r.Context()); err != nil {
		return nil, err
	}
	return w.Result(), nil
}
