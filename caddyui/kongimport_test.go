// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/redact"

	_ "github.com/caddy-gluu/gateway/kongconfig" // the adapter "kong"
)

const kongFile = `_format_version: "3.0"
services:
- name: todos
  url: http://127.0.0.1:9000/NAME
  routes:
  - name: todos
    paths: [/todos]
`

func TestAFileOfKongIsReviewed(t *testing.T) {
	s := startEditSite(t)
	b := s.open()
	form := b.form()
	status, page := b.send("configuration-import", url.Values{"token": {form.Get("token")}, "kong": {kongFile}})
	if status != http.StatusOK || !strings.Contains(page, "Load it") || !strings.Contains(page, "127.0.0.1:9000") || s.answer() != "one" {
		t.Errorf("got %d %s; the site answers %q", status, page, s.answer())
	}
}

// A marker stands for a secret of the gateway. A file from elsewhere does not get it.
func TestSec_S410_AFileOfKongHasNoMarkers(t *testing.T) {
	s := startEditSite(t)
	b := s.open()
	form := b.form()
	_, marker, _ := strings.Cut(form.Get("text"), "(secret ")
	marker = "(secret " + marker[:16] + ")"
	if !redact.HasMarker(marker) {
		t.Fatalf("the configuration has no marker: %s", form.Get("text"))
	}
	file := strings.Replace(kongFile, "NAME", marker, 1)
	status, page := b.send("configuration-import", url.Values{"token": {form.Get("token")}, "kong": {file}})
	if status != http.StatusBadRequest || !strings.Contains(page, "marker of a hidden secret") {
		t.Errorf("got %d %s", status, page)
	}
}

func TestNumbersAreNotRoundedByAnImport(t *testing.T) {
	got, err := addTo(`{"a": {"n": 9007199254740993}, "same": 12345678901234567891}`, []byte(`{"a": {"m": 0.10000000000000000001}, "same": 12345678901234567891, "admin": {}}`))
	want := "{\n  \"a\": {\n    \"m\": 0.10000000000000000001,\n    \"n\": 9007199254740993\n  },\n  \"same\": 12345678901234567891\n}\n"
	if err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if got, err := addTo(`{"same": 9007199254740993}`, []byte(`{"same": 9007199254740992}`)); err == nil {
		t.Errorf("two numbers are taken for one: %s", got)
	}
}
