// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestObject(t *testing.T) {
	vars := map[string]any{"userinfo": map[string]any{"department": "sales", "level": json.Number("3")}}
	for source, want := range map[string]string{
		`userinfo`: `{"department":"sales","level":3}`,
		`{"d": userinfo.department, "n": userinfo.level + 1}`: `{"d":"sales","n":4}`,
		`{"d": userinfo.?other.orValue("none")}`:              `{"d":"none"}`,
		`userinfo.department`:                                 "does not yield an object",
		`{"d": userinfo.other}`:                               "missing",
		`id_token`:                                            "missing",
	} {
		object, err := CompileObject(source, "userinfo", "id_token")
		if err != nil {
			t.Fatal(err)
		}
		value, err := object.Eval(vars)
		got, _ := json.Marshal(value)
		if err != nil {
			got = []byte(err.Error())
		}
		if string(got) != want && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %s, want %s", source, got, want)
		}
	}
	for _, source := range []string{`"sales"`, `7`, `true`, `[userinfo]`, `userinfo.level > 3`, `size(userinfo)`} {
		if _, err := CompileObject(source, "userinfo"); err == nil || !strings.Contains(err.Error(), "does not yield an object: write a map") {
			t.Errorf("%s: got %v", source, err)
		}
	}
	if _, err := CompileObject(`person.mail`, "userinfo"); err == nil || !strings.Contains(err.Error(), "the variables are userinfo") {
		t.Errorf("an unknown variable: %v", err)
	}
}
