// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"crypto/tls"
	"net/http"
	"testing"
)

func TestSec_S167_S196_AHostThatTheSiteDoesNotNameMakesNoAddress(t *testing.T) {
	named := &site{hosts: []string{"app.example.com", "*.apps.example.com", "127.0.0.1"}}
	based := &site{base: "https://app.example.com", hosts: []string{"app.example.com"}}
	for _, test := range []struct {
		site   *site
		host   string
		secure bool
		want   string // "" if it is refused
	}{
		{named, "app.example.com", true, "https://app.example.com"},
		{named, "APP.example.com", true, "https://app.example.com"},
		{named, "app.example.com:8443", true, "https://app.example.com:8443"},
		{named, "127.0.0.1:8080", false, "http://127.0.0.1:8080"},
		{named, "one.apps.example.com", true, "https://one.apps.example.com"},
		{named, "two.one.apps.example.com", true, ""},
		{named, ".apps.example.com", true, ""},
		{named, "apps.example.com", true, ""},
		{named, "evil.example", true, ""},
		{named, "app.example.com.evil.example", true, ""},
		{named, "evil.example/app.example.com", true, ""},
		{named, "app.example.com@evil.example", true, ""},
		{named, "", true, ""},
		{&site{}, "app.example.com", true, ""},
		{based, "evil.example", true, "https://app.example.com"},
		{based, "app.example.com", false, "https://app.example.com"},
	} {
		r := &http.Request{Host: test.host}
		if test.secure {
			r.TLS = new(tls.ConnectionState)
		}
		got, err := test.site.origin(r)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q: got %q, %v; want %q", test.host, got, err, test.want)
		}
	}
}
