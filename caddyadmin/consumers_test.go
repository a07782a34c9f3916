// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// lockedStorage has no lock files, whose goroutines live on for seconds after
// the lock has been released.
type lockedStorage struct {
	*certmagic.FileStorage
	mu          sync.Mutex
	unavailable atomic.Bool
}

func (s *lockedStorage) Load(ctx context.Context, key string) ([]byte, error) {
	if s.unavailable.Load() {
		return nil, errors.New("the storage is unavailable")
	}
	return s.FileStorage.Load(ctx, key)
}

func (s *lockedStorage) Lock(context.Context, string) error   { s.mu.Lock(); return nil }
func (s *lockedStorage) Unlock(context.Context, string) error { s.mu.Unlock(); return nil }

// consumerAdmin is the admin endpoint of a directory of consumers.
type consumerAdmin struct {
	testing.TB
	directory *consumer.Directory
	http.Handler
}

func newConsumerAdmin(t testing.TB, static ...consumer.Consumer) consumerAdmin {
	return newConsumerAdminOver(t, newLockedStorage(t), static...)
}

func newLockedStorage(t testing.TB) *lockedStorage {
	return &lockedStorage{FileStorage: &certmagic.FileStorage{Path: t.TempDir()}}
}

func newConsumerAdminOver(t testing.TB, storage certmagic.Storage, static ...consumer.Consumer) consumerAdmin {
	store := consumer.Open(storage, zap.NewNop())
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	directory, err := consumer.NewDirectory(static, store)
	if err != nil {
		t.Fatal(err)
	}
	routes := new(notFound).Routes()
	for pattern, serve := range consumerRoutes {
		routes = append(routes, caddy.AdminRoute{
			Pattern: pattern,
			Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
				return serve(directory, w, r)
			}),
		})
	}
	return consumerAdmin{t, directory, caddytest.AdminMux(t, routes)}
}

// do sends a request and returns the status and the body, or the text of the
// error.
func (a consumerAdmin) do(method, target, body string) (int, string) {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return a.serve(r)
}

func (a consumerAdmin) serve(r *http.Request) (int, string) {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestConsumersAreKeptThroughTheAdminAPI(t *testing.T) {
	admin := newConsumerAdmin(t, consumer.Consumer{Username: "static", CustomID: "client-s"})
	const slash = "/gluu/consumers/team%2Fone"
	steps := []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/gluu/consumers/ann", "", 404, "consumer not found"},
		{"POST", "/gluu/consumers", `{"username":"ann","custom_id":"client-a","tags":["x"]}`, 201, `"custom_id":"client-a"`},
		{"POST", "/gluu/consumers", `{"username":"ann"}`, 409, "username \"ann\" belongs to another consumer"},
		{"POST", "/gluu/consumers", `{"username":"bob","custom_id":"client-s"}`, 409, "belongs to a consumer of the configuration"},
		{"POST", "/gluu/consumers", `{}`, 400, "username is required"},
		{"POST", "/gluu/consumers", `{"name":"ann"}`, 400, "unknown field"},
		{"POST", "/gluu/consumers", `{"username":"c"}{"username":"d"}`, 400, "something after the consumer"},
		{"POST", "/gluu/consumers", `null`, 400, "not a JSON object"},
		{"POST", "/gluu/consumers", "{\"username\":\"\xff\"}", 400, "not valid UTF-8"},
		{"POST", "/gluu/consumers", `{"username":"\ud800"}`, 400, "username: not valid Unicode"},
		{"POST", "/gluu/consumers", `{"username":"c","tags":["x","\udc00x"]}`, 400, "not valid Unicode"},
		{"POST", "/gluu/consumers", `{"username":"c","username":"d"}`, 400, `two members are named "username"`},
		{"POST", "/gluu/consumers", `{"USERNAME":"d"}`, 400, "USERNAME is not a member"},
		{"POST", "/gluu/consumers", `{"username":"..","custom_id":"c"}`, 400, "cannot be part of an address"},
		{"PUT", "/gluu/consumers/c", `{"Tags":["x"]}`, 400, "Tags is not a member"},
		{"PATCH", "/gluu/consumers/c", `{"tags":["x"],"tags":["y"]}`, 400, `two members are named "tags"`},
		{"PUT", "/gluu/consumers/b31e6d8b-8f9b-5e7f-a5a9-3a6b5a1f0c52", `{"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","username":"c"}`, 400, "not that of the consumer named in the address"},
		{"GET", "/gluu/consumers/c", "", 404, "consumer not found"},
		{"POST", "/gluu/consumers", `{"username":"` + strings.Repeat("a", 70_000) + `"}`, 413, "at most 65536 bytes"},
		{"GET", "/gluu/consumers/ann", "", 200, `"username":"ann"`},
		{"GET", "/gluu/consumers?custom_id=client-a", "", 200, `"username":"ann"`},
		{"GET", "/gluu/consumers?custom_id=client-x", "", 200, `{"data":[],"next":null}`},
		{"POST", "/gluu/consumers", `{"username":"c","groups":["x","x"]}`, 400, `contain "x" twice`},
		{"POST", "/gluu/consumers", `{"username":"c","groups":["x","\udc00x"]}`, 400, "not valid Unicode"},
		{"PATCH", "/gluu/consumers/ann", `{"groups":["x,y"]}`, 400, "a comma separates groups"},
		{"PATCH", "/gluu/consumers/ann", `{"groups":["staff"]}`, 200, `"groups":["staff"]`},
		{"PATCH", "/gluu/consumers/ann", `{"tags":["w"]}`, 200, `"groups":["staff"]`},
		{"PATCH", "/gluu/consumers/ann", `{"custom_id":null,"tags":["y","z"]}`, 200, `"tags":["y","z"]`},
		{"GET", "/gluu/consumers?custom_id=client-a", "", 200, `{"data":[],"next":null}`},
		{"PATCH", "/gluu/consumers/ann", `{"USERNAME":"eve"}`, 400, "USERNAME is not a member"},
		{"PATCH", "/gluu/consumers/ann", `{"id":"b31e6d8b-8f9b-5e7f-a5a9-3a6b5a1f0c52"}`, 400, "id cannot be changed"},
		{"PATCH", "/gluu/consumers/static", `{"tags":["y"]}`, 409, "can only be changed there"},
		{"PUT", "/gluu/consumers/static", `{"tags":["y"]}`, 409, "can only be changed there"},
		{"DELETE", "/gluu/consumers/static", "", 409, "can only be changed there"},
		{"PUT", slash, `{"custom_id":"client-t"}`, 201, `"username":"team/one"`},
		{"PUT", slash, `{"custom_id":"client-u"}`, 200, `"custom_id":"client-u"`},
		{"GET", slash, "", 200, `"custom_id":"client-u"`},
		{"DELETE", slash, "", 204, ""},
		{"DELETE", slash, "", 404, "consumer not found"},
		{"GET", "/gluu/consumers?size=0", "", 400, "size is a number from 1 to 1000"},
		{"GET", "/gluu/consumers?size=1001", "", 400, "size is a number from 1 to 1000"},
		{"GET", "/gluu/consumers?custom_id=", "", 400, "custom_id is empty"},
		{"GET", "/gluu/consumers?custom_id", "", 400, "custom_id is empty"},
		{"GET", "/gluu/consumers?page=2", "", 400, "unknown parameter \"page\""},
		{"GET", "/gluu/consumers?offset=zzz", "", 400, "offset is not one"},
		{"GET", "/gluu/consumers/", "", 404, "nothing here"},
		{"GET", "/gluu/consumers/ann/plugins", "", 404, "nothing here"},
		{"DELETE", "/gluu/consumers", "", 405, "method not allowed"},
		{"POST", "/gluu/consumers/ann", `{}`, 405, "method not allowed"},
	}
	for _, step := range steps {
		status, body := admin.do(step.method, step.target, step.body)
		if status != step.status || !strings.Contains(body, step.want) {
			t.Errorf("%s %s %.80s: got %d %s, want %d with %s", step.method, step.target, step.body, status, body, step.status, step.want)
		}
	}
}

// Forms and plain text are what a browser sends to another origin without
// asking first.
func TestConsumersAreWrittenOnlyAsJSON(t *testing.T) {
	admin := newConsumerAdmin(t)
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json-patch+json"} {
		r := httptest.NewRequest("POST", "/gluu/consumers", strings.NewReader(`{"username":"ann"}`))
		r.Header.Set("Content-Type", kind)
		if status, body := admin.serve(r); status != http.StatusUnsupportedMediaType {
			t.Errorf("%s: got %d %s, want 415", kind, status, body)
		}
	}
	if admin.directory.Find("ann") != nil {
		t.Error("a consumer was created from a body that is not JSON")
	}
}

// A client that is told "not found" may create the consumer a second time, and
// one that gets an incomplete list may delete the rest elsewhere.
func TestUnknownConsumersAreNotReportedMissing(t *testing.T) {
	storage := newLockedStorage(t)
	storage.unavailable.Store(true)
	admin := newConsumerAdminOver(t, storage, consumer.Consumer{Username: "static", CustomID: "client-s"})
	steps := []struct {
		method, target string
		unknown, known int
	}{
		{"GET", "/gluu/consumers", 503, 200},
		{"GET", "/gluu/consumers?size=1", 503, 200},
		{"GET", "/gluu/consumers?custom_id=client-a", 503, 200},
		{"GET", "/gluu/consumers?custom_id=client-s", 200, 200},
		{"GET", "/gluu/consumers?size=0", 400, 400},
		{"GET", "/gluu/consumers/ann", 503, 404},
		{"GET", "/gluu/consumers/static", 200, 200},
		{"DELETE", "/gluu/consumers/ann", 503, 404},
		{"DELETE", "/gluu/consumers/static", 409, 409},
	}
	for _, step := range steps {
		if status, body := admin.do(step.method, step.target, ""); status != step.unknown {
			t.Errorf("%s %s while the storage is unavailable: got %d %s, want %d", step.method, step.target, status, body, step.unknown)
		}
	}
	storage.unavailable.Store(false)
	for !admin.directory.Ready() {
		admin.do("DELETE", "/gluu/consumers/ann", "") // reads the storage
	}
	for _, step := range steps {
		if status, body := admin.do(step.method, step.target, ""); status != step.known {
			t.Errorf("%s %s: got %d %s, want %d", step.method, step.target, status, body, step.known)
		}
	}
}

func TestConsumersAreListedPageByPage(t *testing.T) {
	admin := newConsumerAdmin(t, consumer.Consumer{Username: "static"})
	for _, name := range []string{"a", "b", "c", "d"} {
		if status, body := admin.do("POST", "/gluu/consumers", `{"username":"`+name+`"}`); status != http.StatusCreated {
			t.Fatalf("got %d %s", status, body)
		}
	}
	var names []string
	for next := "/gluu/consumers?size=2"; next != ""; {
		status, body := admin.do("GET", next, "")
		if status != http.StatusOK {
			t.Fatalf("%s: got %d %s", next, status, body)
		}
		var page struct {
			Data   []consumer.Consumer
			Next   *string
			Offset string
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Data {
			names = append(names, c.Username)
		}
		next = ""
		if page.Next != nil {
			next = *page.Next
			if u, err := url.Parse(next); err != nil || u.Query().Get("offset") != page.Offset {
				t.Errorf("got next %s beside offset %s", next, page.Offset)
			}
		}
	}
	if len(names) != 5 || names[0] != "static" {
		t.Errorf("got %v, want five, the configured one first", names)
	}
}
