// SPDX-License-Identifier: Apache-2.0

package headers_test

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddy-gluu/gateway/headers"
)

func Example() {
	set, err := headers.CompileSet([]headers.HeaderConfig{
		{HeaderName: "X-Tenant", Value: "introspect_data.tenant"},
		{HeaderName: "X-Roles", Value: "introspect_data.roles", Format: headers.FormatList},
		{HeaderName: "X-Claim-{*}", Value: "introspect_data", Format: headers.FormatString, Iterate: true},
	}, "introspect_data")
	if err != nil {
		fmt.Println(err)
		return
	}
	stripper := headers.NewStripper(set.Names())

	// With each request: what a client made up goes first.
	request := http.Header{"X_tenant": {"forged"}, "X-Claim-Admin": {"true"}, "Accept": {"*/*"}}
	stripper.Strip(request)
	fmt.Println(request)

	// With each new token: what the upstream is told about it.
	lines, problems := set.Render(map[string]any{
		"introspect_data": map[string]any{"tenant": "blue", "roles": []any{"a", "b"}, "level": json.Number("1e3")},
	}, nil)
	for _, line := range lines {
		fmt.Println(line.Name+":", line.Value)
	}
	fmt.Println(len(problems), "problems")
	// Output:
	// map[Accept:[*/*]]
	// X-Tenant: blue
	// X-Roles: a,b
	// X-Claim-Level: 1000
	// X-Claim-Roles: ["a","b"]
	// X-Claim-Tenant: blue
	// 0 problems
}

// A constant without its quotes is the mistake that everybody makes once.
func ExampleCompileHeader() {
	_, err := headers.CompileHeader(headers.HeaderConfig{HeaderName: "Kong-Version", Value: "stable"}, "introspect_data")
	fmt.Println(err)
	// Output:
	// header "Kong-Version": expression "stable", column 1: undeclared reference to 'stable': the variables are introspect_data; if a constant is meant it needs quotes, "stable", which a Caddyfile wants between backticks, `"stable"`
}
