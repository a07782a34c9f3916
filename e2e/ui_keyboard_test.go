// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// A rule is changed, reviewed, loaded and kept by keyboard alone, from the list of routes
// on, and without JavaScript.
func TestARuleIsChangedByKeyboardAlone(t *testing.T) {
	t.Parallel()
	s := startUISite(t)
	s.traffic()
	tab := s.openWithoutScript()
	follow := func(selector, text string) {
		t.Helper()
		tab.TabTo(selector)
		tab.Press(kb.Enter)
		tab.WaitText(text)
	}
	follow(`nav a[href="./routes"]`, "behind rules")
	follow(`ol.lane a[href*="srv1%2froutes%2f2%2f"][href$="handle%2f2"]`, "Change the rules")
	follow(`a[href^="rules?"]`, "Empty the path of a rule")
	tab.TabTo(`input[name=requires][value="todos:read"]`)
	tab.Press(kb.End)
	tab.Press(" and todos:admin")
	tab.Press(kb.Enter)
	tab.WaitText("1 caller loses something")
	follow(`form[action="rules"] button`, "This configuration runs on trial")
	follow(`form[action="configuration-confirm"] button`, "The configuration is kept")
	if got := s.Get("/todos", harness.Bearer(s.token)); got.Status != http.StatusForbidden {
		t.Errorf("when it is kept: got %s", got)
	}
}
