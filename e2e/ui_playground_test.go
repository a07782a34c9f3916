// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// todosTest is a test file of the site's policies.
const todosTest = `scope_expression:
  - path: /todos
    conditions:
      - {httpMethods: [GET], scope_expression: {rule: {var: 0}, data: [todos:read]}}
tests:
  - {name: a reader, request: GET /todos, scopes: [todos:read], want: allow}
`

// A try becomes a test, the tests run by two drafts side by side, and the drafts say whom
// they would affect.
func TestThePlaygroundInABrowser(t *testing.T) {
	t.Parallel()
	s := startUISite(t)
	s.traffic()
	window := harness.StartBrowser(t).Window(t)
	tab := window.Tab()
	tab.Look(1280, "light")
	tab.Open(s.link())
	tab.WaitLocation(s.pages)
	look := &uiLook{window: window, tab: tab}
	step := func(name, button string, texts ...string) {
		t.Helper()
		tab.Click(button)
		for _, text := range texts {
			tab.WaitText(text)
		}
		look.at(t, name)
		tab.Look(1280, "light")
	}
	rules := func(path, method, scope string) string {
		return `[{"path": "` + path + `", "conditions": [{"httpMethods": ["GET", "` + method + `"], "scope_expression": {"rule": {"var": 0}, "data": ["` + scope + `"]}}]}]`
	}
	tab.Open(s.pages + "playground")
	tab.Type("#request", "GET /todos")
	tab.Type("#host", strings.Split(s.Addr, ":")[0])
	tab.Type("#scopes", "todos:write")
	tab.Type("#text-0", rules("/todos", "POST", "todos:read"))
	tab.Type("#text-1", rules("/todos", "PUT", "todos:admin"))
	step("playground-case", ".filters button", "The try as a case of a test file")
	if got := tab.Eval(`document.querySelector("#case").value`); !strings.Contains(got, "want: deny") {
		t.Errorf("the case is %s", got)
	}
	step("playground-saved", `button[formaction="playground-save"]`, "The case is in todos_test.yaml", "2 passed")
	step("playground-tests", `button[formaction="playground-tests"]`, "a reader", "deny")
	step("playground-replay", `button[formaction="playground-replay"]`, "Compared with the rules in force", "POST /todos", "1 caller loses something")
}
