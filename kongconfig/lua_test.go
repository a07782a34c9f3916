// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/headers"
)

func TestLuaBecomesCEL(t *testing.T) {
	vars := []string{"id_token", "userinfo", "request"}
	for _, test := range []struct{ lua, want string }{
		{"id_token", "id_token"},
		{" userinfo ", "userinfo"},
		{"'api'", `"api"`},
		{`"a"`, `"a"`},
		{"-1.5", "-1.5"},
		{"007", "7"},
		{"9223372036854775807", "9223372036854775807"},
		{"10000000000000000000", "10000000000000000000.0"},
		{"true", "true"},
		{"id_token.address.country", "id_token.address.country"},
		{`id_token['cnf']["x5t#S256"]`, `id_token.cnf["x5t#S256"]`},
		{"userinfo.package", `userinfo["package"]`},
		{`userinfo[""].a`, `userinfo[""].a`},
		{`{[""] = 1}`, `{"": 1}`},
		{"{}", "{}"},
		{"{id_token=id_token,userinfo=userinfo}", `{"id_token": id_token, "userinfo": userinfo}`},
		{"{ name = userinfo.name; }", `{?"name": userinfo.?name}`},
		{`{["a b"] = userinfo.x.y, n = {m = 'is it?'}}`, `{?"a b": userinfo.?x.?y, "n": {"m": "is it?"}}`},
		{"{path=request.get_path(), method=request.get_method(), headers=request.get_headers(), specific_header_host=request.get_header('Host')}",
			`{"path": request.path, "method": request.method, "headers": request.headers, ?"specific_header_host": request.headers.?host}`},
		{`{a = request.get_headers()["X-Tenant"], b = request.get_headers().x_tenant, c = request.get_header("x_tenant")}`,
			`{?"a": request.headers[?"x-tenant"], ?"b": request.headers[?"x-tenant"], ?"c": request.headers[?"x-tenant"]}`},
		{"request.get_headers().Host", "request.headers.host"},
	} {
		t.Run(test.lua, func(t *testing.T) {
			got, err := luaToCEL(test.lua, vars)
			if err != nil || got != test.want {
				t.Fatalf("got %s, %v, want %s", got, err, test.want)
			}
			if _, err := headers.CompileObject(`{"value": `+got+`}`, vars...); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLuaThatIsRefused(t *testing.T) {
	for _, test := range []struct{ lua, want string }{
		{"", "goes beyond"},
		{"ngx.var.uri", "begins with ngx, which is not known here: write id_token or request"},
		{"id_token .. 'x'", "goes beyond"},
		{"id_token.a or 'x'", "goes beyond"},
		{"{id_token}", "goes beyond"},
		{"{a == 1}", "goes beyond"},
		{"{a = 1 b = 2}", "goes beyond"},
		{"{a = 1", "goes beyond"},
		{"function() end", "goes beyond"},
		{"string.upper(id_token.a)", "goes beyond"},
		{"request", "has request without a call"},
		{"request.get_method", "has request without a call"},
		{"request.get_raw_body()", "calls request.get_raw_body, which is not kept"},
		{"request.get_header()", "calls request.get_header, which is not kept"},
		{`"a\"b"`, "goes beyond"},
		{strings.Repeat("9", 400), "goes beyond"},
		{strings.Repeat("{a=", 20) + "1" + strings.Repeat("}", 20), "goes beyond"},
	} {
		t.Run(test.lua, func(t *testing.T) {
			got, err := luaToCEL(test.lua, []string{"id_token", "request"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %s, %v, want %q", got, err, test.want)
			}
		})
	}
}

func FuzzLua(f *testing.F) {
	f.Add(`{a = id_token.b, ["c"] = request.get_header('D'), e = {f = -1}}`)
	f.Add(`id_token['a']["b"]`)
	f.Add(`id_token[""]`)
	f.Add(`10000000000000000000`)
	f.Fuzz(func(t *testing.T, text string) {
		vars := []string{"id_token", "request"}
		expression, err := luaToCEL(text, vars)
		if err != nil || len(text) > 200 {
			return
		}
		if _, err := headers.CompileObject(`{"value": `+expression+`}`, vars...); err != nil && !strings.Contains(err.Error(), "invalid UTF-8") {
			t.Errorf("%q becomes %q: %v", text, expression, err)
		}
	})
}
