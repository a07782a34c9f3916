// SPDX-License-Identifier: Apache-2.0

package scopeexpr_test

import (
	"fmt"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

func Example() {
	document, err := scopeexpr.ParseDocument([]byte(`[
		{"path": "/todos/?", "conditions": [
			{"httpMethods": ["GET"], "scope_expression": {
				"rule": {"or": [{"var": 0}, {"var": 1}]},
				"data": ["admin", "^todos:(?<PC1>.+)$"]}}]}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	policy, err := document.Compile(scopeexpr.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	token := scopeexpr.NewScopes(policy, []string{"email", "todos:hh"})
	for _, path := range []string{"/todos/hh", "/todos/other"} {
		rule := policy.Find("GET", path)
		fmt.Println(path, rule.Decide(path, token))
	}
	fmt.Println(policy.Find("POST", "/todos/hh"))
	// Output:
	// /todos/hh true
	// /todos/other false
	// <nil>
}

func ExampleParseShort() {
	expression, err := scopeexpr.ParseShort("admin and (employee or customer)")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %q\n", expression.Rule, expression.Data)

	_, err = scopeexpr.ParseShort("admin and employee customer")
	fmt.Println(err)
	// Output:
	// {"and":[{"var":0},{"or":[{"var":1},{"var":2}]}]} ["admin" "employee" "customer"]
	// line 1, column 20: "customer" follows a scope; write "and" or "or" between two scopes
}
