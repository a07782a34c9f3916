// SPDX-License-Identifier: Apache-2.0

package caddystore

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/store"
)

const (
	keyA = "the first key of a test, of 32 bytes or more"
	keyB = "the second key of a test, of 32 bytes or more"
)

func TestCaddyfileIsRead(t *testing.T) {
	for text, want := range map[string]caddyfile.Unmarshaler{
		"postgres postgres://u@a.example/db {\nkey {env.KEY}\n}": &Postgres{
			DSN: "postgres://u@a.example/db", Settings: Settings{Keys: []string{"{env.KEY}"}},
		},
		"postgres {env.DSN} {\nkey " + strings.Repeat("k", 32) + " {file./key}\ntimeout 500ms\n}": &Postgres{
			DSN:      "{env.DSN}",
			Settings: Settings{Keys: []string{strings.Repeat("k", 32), "{file./key}"}, Timeout: caddy.Duration(500 * time.Millisecond)},
		},
		"redis redis://a.example:26379?addr=b.example:26379&master_set=main {\nkey {env.KEY}\ntimeout 1s\n}": &Redis{
			URL:      "redis://a.example:26379?addr=b.example:26379&master_set=main",
			Settings: Settings{Keys: []string{"{env.KEY}"}, Timeout: caddy.Duration(time.Second)},
		},
	} {
		t.Run(text, func(t *testing.T) {
			got := reflect.New(reflect.TypeOf(want).Elem()).Interface().(caddyfile.Unmarshaler)
			if err := got.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
				t.Fatal(err)
			}
			a, _ := json.Marshal(got)
			b, _ := json.Marshal(want)
			if string(a) != string(b) {
				t.Errorf("got %s, want %s", a, b)
			}
		})
	}
}

func TestCaddyfileIsRefused(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"postgres", "names no server"},
		{"postgres {\nkey {env.KEY}\n}", "names no server"},
		{"postgres postgres://u:secret@a.example/db?sslmode=maybe {\nkey {env.KEY}\n}", "not a connection string"},
		{"postgres postgres://u:secret@a.example/db?default_query_exec_mode=simple_protocol {\nkey {env.KEY}\n}", "simple_protocol"},
		{"redis http://u:secret@a.example {\nkey {env.KEY}\n}", "not a URL of a Redis"},
		{"redis redis://a.example redis://b.example {\nkey {env.KEY}\n}", "takes one address"},
		{"redis redis://a.example {\nkey secret\n}", "6 bytes, 32 are needed"},
		{"redis redis://a.example {\nkey\n}", "key"},
		{"redis redis://a.example {\nkey {env.A}\nkey {env.B}\n}", "twice"},
		{"redis redis://a.example {\nkey {env.A}\ntimeout 0\n}", "3s"},
		{"redis redis://a.example {\nkey {env.A}\ntimeout soon\n}", "soon"},
		{"redis redis://a.example {\nkey {env.A}\nretries 3\n}", "retries"},
	} {
		t.Run(test.text, func(t *testing.T) {
			var module caddyfile.Unmarshaler = new(Redis)
			if strings.HasPrefix(test.text, "postgres") {
				module = new(Postgres)
			}
			err := module.UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret@") {
				t.Errorf("the message shows a password: %v", err)
			}
		})
	}
}

func TestProvisionRefuses(t *testing.T) {
	t.Setenv("SHORT", "short")
	keys := Settings{Keys: []string{keyA}}
	for name, test := range map[string]struct {
		module caddy.Provisioner
		want   string
	}{
		"no key":               {&Redis{URL: "redis://a.example"}, "needs a key"},
		"a short key":          {&Redis{URL: "redis://a.example", Settings: Settings{Keys: []string{keyA, "{env.SHORT}"}}}, "key 2: it has 5 bytes"},
		"a key without value":  {&Redis{URL: "redis://a.example", Settings: Settings{Keys: []string{"{env.NOT_SET}"}}}, "NOT_SET"},
		"a key of the request": {&Redis{URL: "redis://a.example", Settings: Settings{Keys: []string{"{http.request.host}"}}}, "http.request.host"},
		"no URL":               {&Redis{Settings: keys}, "not a URL"},
		"no DSN":               {&Postgres{Settings: keys}, "dsn is missing"},
		"a negative timeout":   {&Postgres{DSN: "postgres://a.example", Settings: Settings{Keys: keys.Keys, Timeout: -1}}, "cannot be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.module.Provision(caddy.Context{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// module is a way to a store that was provisioned.
func module(t *testing.T, url string, keys ...string) store.Opener {
	t.Helper()
	r := &Redis{URL: url, Settings: Settings{Keys: keys}}
	if err := r.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAStoreOutlivesReloads(t *testing.T) {
	url := "redis://" + harness.StartRedis(t).Addr
	before, releaseBefore, err := module(t, url, keyA).OpenStore()
	if err != nil {
		t.Fatal(err)
	}
	after, releaseAfter, err := module(t, url, keyA).OpenStore()
	if err != nil {
		t.Fatal(err)
	}
	if before != after {
		t.Error("the same settings opened two stores")
	}
	other, releaseOther, err := module(t, url, keyB, keyA).OpenStore()
	if err != nil {
		t.Fatal(err)
	}
	if other == before {
		t.Error("other keys got the same store")
	}
	for range 2 { // twice is once
		if err := releaseBefore(); err != nil {
			t.Fatal(err)
		}
	}
	record := store.Record{Kind: "grant", Key: []byte("g"), Value: []byte("v"), Expires: store.Forever}
	harness.Eventually(t, 30*time.Second, func() string {
		if err := after.Commit(t.Context(), store.Put(record)); err != nil {
			return err.Error()
		}
		return ""
	})
	harness.Eventually(t, 30*time.Second, func() string {
		if got, err := other.Get(t.Context(), "grant", []byte("g")); err != nil || string(got.Value) != "v" {
			return "what the first key sealed does not open with it in second place"
		}
		return ""
	})
	for _, release := range []func() error{releaseAfter, releaseOther} {
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
	open := 0
	stores.Range(func(_, _ any) bool {
		open++
		return true
	})
	if open != 0 {
		t.Errorf("%d stores are still open", open)
	}
}
