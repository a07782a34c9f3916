// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// No handler of the gateway lets a header pass that only the gateway may set,
// even where it is the only one on its site.
func TestSec_S18_NoSiteLetsForgedHeadersPass(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			w.Header().Add("Received", name)
		}
	}))
	defer upstream.Close()
	caddytest.StopAfter(t)
	for name, handler := range map[string]string{
		"gluu_oauth_server":      "gluu_oauth_server {\nissuer http://%s\nclient x {\nsecret $2a$04$jUYWAWLjI0NoRSN5mQmN4eXGZTyzJmVXGLbb/gGfC0WvVzg.8/cYO\n}\n}",
		"gluu_cors":              "gluu_cors",
		"gluu_jwks":              "gluu_jwks",
		"gluu_resource_metadata": "gluu_resource_metadata {\nresource https://api.example.com\n}",
	} {
		address := caddytest.FreeAddress(t)
		if strings.Contains(handler, "%s") {
			handler = fmt.Sprintf(handler, address)
		}
		source := fmt.Sprintf("{\nadmin off\npersist_config off\nstorage file_system %s\ngluu {\nconsumer ann\n}\n}\nhttp://%s {\n%s\nreverse_proxy %s\n}\n",
			t.TempDir(), address, handler, strings.TrimPrefix(upstream.URL, "http://"))
		config, err := caddytest.Adapt(source)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := caddytest.Load(config, address); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Consumer-ID", "forged")
		request.Header.Set("X-Harmless", "kept")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = response.Body.Close()
		received := strings.Join(response.Header["Received"], " ")
		if strings.Contains(received, "Consumer") || !strings.Contains(received, "X-Harmless") {
			t.Errorf("%s: the upstream received %s", name, received)
		}
	}
}
