// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// A person makes a rule stricter, sees whom that locks out, loads and keeps it, and finds
// it on the admin API.
func TestARuleIsMadeStricterInABrowser(t *testing.T) {
	t.Parallel()
	s := startUISite(t)
	s.traffic()
	window := harness.StartBrowser(t).Window(t)
	tab := window.Tab()
	tab.Open(s.link())
	tab.WaitLocation(s.pages)
	tab.Open(s.pages + "route?at=/apps/http/servers/srv1/routes/2")
	tab.WaitText("Change the rules")
	look := func(name string) {
		t.Helper()
		for _, theme := range []string{"light", "dark"} {
			for _, width := range []int{320, 1280} {
				tab.Look(width, theme)
				if overflow := tab.Eval("String(document.documentElement.scrollWidth > innerWidth)"); overflow != "false" {
					t.Errorf("%s: the page is wider than the window of %d", name, width)
				}
				keepScreenshot(t, fmt.Sprintf("%s-%s-%d.png", name, theme, width), tab.Screenshot())
				for _, fault := range tab.Axe() {
					t.Errorf("%s, axe: %s", name, fault)
				}
			}
		}
	}
	tab.Eval(`document.querySelector('a[href^="rules?"]').click(); ""`)
	tab.WaitText("Empty the path of a rule")
	look("rules")
	tab.Eval(`(() => {
		const at = [...document.querySelectorAll("input[name=path]")].findIndex(e => e.value === "/todos")
		document.querySelectorAll("input[name=requires]")[at].value = "todos:read and todos:admin"
		document.querySelector('form[action="rules-review"] button').click()
		return ""
	})()`)
	tab.WaitText("1 caller loses something")
	tab.WaitText("todo-app-client")
	look("rules-review")
	bearer := harness.Field{Name: "Authorization", Value: "Bearer " + s.token}
	if got := s.Get("/todos", bearer); got.Status != http.StatusOK {
		t.Errorf("after the review: got %s", got)
	}
	tab.Eval(`document.querySelector('form[action="rules"] button').click(); ""`)
	tab.WaitText("This configuration runs on trial")
	tab.Eval(`document.querySelector('form[action="configuration-confirm"] button').click(); ""`)
	tab.WaitText("The configuration is kept")
	if got := s.Get("/todos", bearer); got.Status != http.StatusForbidden {
		t.Errorf("when it is kept: got %s", got)
	}
	response, err := http.Get("http://" + s.Admin + "/config/apps/http/servers")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	if !strings.Contains(string(text), "todos:admin") {
		t.Errorf("the admin API has %s", text)
	}
	for _, problem := range window.Problems() {
		t.Errorf("the browser complains: %s", problem)
	}
}
