// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/liveconfig"
)

// startFileSite runs a gateway from a Caddyfile that its pages edit.
func startFileSite(t *testing.T) (s *editSite, file string) {
	t.Helper()
	s = newEditSite(t)
	file = filepath.Join(t.TempDir(), "Caddyfile")
	text := s.siteWith("one", "\t\tconfig_file "+file+"\n")
	if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := caddytest.Run(text, s.site); err != nil {
		t.Fatal(err)
	}
	return s, file
}

func contentOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A Caddyfile is written when what it says has been kept, and never before: a restart
// meanwhile brings the former one back.
func TestSec_S414_ACaddyfileIsWrittenWhenItIsKept(t *testing.T) {
	s, file := startFileSite(t)
	former := contentOf(t, file)
	if err := os.WriteFile(file+".bak", nil, 0o644); err != nil { // an older one of someone else
		t.Fatal(err)
	}
	b := s.open()
	if form := b.form(); strings.Contains(form.Get("text"), "$2a$") || !strings.Contains(form.Get("text"), "(secret ") {
		t.Error("the page has the hash of a password")
	}
	b.load("respond one", "respond two")
	if s.answer() != "two" || contentOf(t, file) != former {
		t.Errorf("on trial the site answers %q, and the file is\n%s", s.answer(), contentOf(t, file))
	}
	if status, page := b.confirm(); status != http.StatusSeeOther {
		t.Fatalf("confirming: got %d %s", status, page)
	}
	want := strings.Replace(former, "respond one", "respond two", 1)
	if got := contentOf(t, file); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
	if got := contentOf(t, file+".bak"); got != former {
		t.Errorf("the backup is\n%s", got)
	}
	for name, want := range map[string]os.FileMode{file: 0o640, file + ".bak": 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("the mode of %s is %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	if status, page := b.get("configuration"); status != http.StatusOK || strings.Contains(page, "not what runs") {
		t.Errorf("got %d: the file is said not to run", status)
	}
}

func TestACaddyfileThatNobodyKeepsIsNotWritten(t *testing.T) {
	s, file := startFileSite(t)
	former := contentOf(t, file)
	b := s.open()
	b.load("respond one", "respond two")
	s.clock.pass(liveconfig.TrialTime)
	if s.answer() != "one" || contentOf(t, file) != former {
		t.Errorf("the site answers %q, and the file is\n%s", s.answer(), contentOf(t, file))
	}
	if _, err := os.Stat(file + ".bak"); err == nil {
		t.Error("there is a backup")
	}
}

func TestACaddyfileIsChecked(t *testing.T) {
	s, file := startFileSite(t)
	b := s.open()
	form := edited(t, b.form(), "respond one", "respond one {\n\tnonsense\n}", "review")
	before, _, _ := strings.Cut(form.Get("text"), "nonsense")
	status, page := b.send("configuration", form)
	if status != http.StatusBadRequest || !strings.Contains(page, fmt.Sprintf("Caddyfile:%d.", strings.Count(before, "\n")+1)) {
		t.Errorf("a mistake: got %d %s, want its line", status, page)
	}
	empty := b.form()
	empty.Set("text", " \n")
	empty.Set("action", "review")
	if status, page := b.send("configuration", empty); status != http.StatusBadRequest || !strings.Contains(page, "The Caddyfile is empty") {
		t.Errorf("no text: got %d %s", status, page)
	}
	status, page = b.send("configuration", edited(t, b.form(), "respond one", "     respond   one", "format"))
	if status != http.StatusOK || !strings.Contains(formOf(t, page).Get("text"), "\trespond one\n") {
		t.Errorf("formatting: got %d %s", status, page)
	}
	// A comment needs no reload.
	if status, page := b.send("configuration", edited(t, b.form(), "respond one", "respond one # the first", "load")); status != http.StatusSeeOther {
		t.Errorf("a comment: got %d %s", status, page)
	}
	if !strings.Contains(contentOf(t, file), "# the first") || liveconfig.Trial.Current() != nil {
		t.Error("a comment was not written at once")
	}
}

// Someone else has edited the file itself.
func TestSec_S412_AFileIsNotOverwrittenUnseen(t *testing.T) {
	s, file := startFileSite(t)
	b := s.open()
	form := b.form()
	other := strings.Replace(contentOf(t, file), "respond one", "respond other", 1)
	if err := os.WriteFile(file, []byte(other), 0o640); err != nil {
		t.Fatal(err)
	}
	if status, _ := b.send("configuration", edited(t, form, "respond one", "respond two", "load")); status != http.StatusPreconditionFailed {
		t.Errorf("got %d", status)
	}
	if _, page := b.get("configuration"); !strings.Contains(page, "not what runs") {
		t.Error("the page does not say that the file is not what runs")
	}
	b.load("respond other", "respond two")
	if err := os.WriteFile(file, []byte("# all new\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	token := url.Values{"token": {form.Get("token")}}
	if status, page := b.send("configuration-confirm", token); status != http.StatusInternalServerError || !strings.Contains(page, "was changed by someone else") {
		t.Errorf("confirming: got %d %s", status, page)
	}
	if contentOf(t, file) != "# all new\n" {
		t.Error("the file was overwritten")
	}
	s.clock.pass(time.Hour)
}
