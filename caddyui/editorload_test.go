// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/liveconfig"
)

// An endpoint that is gone before it answers may have loaded the configuration.
func TestSec_S415_ALoadWithoutAnAnswerStaysOnTrial(t *testing.T) {
	for name, c := range map[string]struct {
		isLoaded, stays bool
	}{"loaded": {true, true}, "not loaded": {false, false}} {
		t.Run(name, func(t *testing.T) {
			etag := "former"
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					if c.isLoaded {
						etag = "new"
					}
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Etag", etag)
				_, _ = w.Write([]byte("{}"))
			}))
			defer server.Close()
			endpoint, err := liveconfig.NewEndpoint(server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			trials := liveconfig.NewTrials(time.Now, func(time.Duration, func()) func() bool { return func() bool { return true } })
			e := &configEditor{endpoint: endpoint, trials: trials}
			from := &source{text: "{}", running: &liveconfig.Config{JSON: []byte("{}"), ETag: "former"}}
			if err := e.load(t.Context(), from, &change{config: []byte("{}")}); err == nil {
				t.Error("got no error")
			}
			if got := trials.Current() != nil; got != c.stays {
				t.Errorf("on trial: %t, want %t", got, c.stays)
			}
		})
	}
}
