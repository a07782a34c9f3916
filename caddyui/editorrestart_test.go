// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// A restart ends a trial: what is resumed then is the former configuration.
func TestSec_S415_ARestartDoesNotResumeATrial(t *testing.T) {
	former := caddy.ConfigAutosavePath
	caddy.ConfigAutosavePath = filepath.Join(t.TempDir(), "autosave.json")
	t.Cleanup(func() { caddy.ConfigAutosavePath = former })
	s := newEditSite(t)
	if err := caddytest.Run(strings.Replace(s.siteWith("one", ""), "persist_config off", "", 1), s.site); err != nil {
		t.Fatal(err)
	}
	b := s.open()
	b.load(`"body": "one"`, `"body": "two"`)
	if saved := contentOf(t, caddy.ConfigAutosavePath); strings.Contains(saved, `"two"`) || !strings.Contains(saved, `"one"`) {
		t.Errorf("on trial, %s would be resumed", saved)
	}
	if status, page := b.confirm(); status != 303 {
		t.Fatalf("got %d %s", status, page)
	}
	if saved := contentOf(t, caddy.ConfigAutosavePath); !strings.Contains(saved, `"two"`) {
		t.Errorf("when it is kept, %s would be resumed", saved)
	}
}
