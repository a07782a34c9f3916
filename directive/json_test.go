// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// inner is embedded, as the settings of a provider are.
type inner struct {
	Issuer string   `json:"issuer,omitempty"`
	Hosts  []string `json:"hosts,omitempty"`
}

type module struct {
	inner
	Name    string            `json:"name,omitempty"`
	Limit   int               `json:"limit,omitempty"`
	Ratio   float64           `json:"ratio,omitempty"`
	On      *bool             `json:"on,omitempty"`
	Timeout caddy.Duration    `json:"timeout,omitempty"`
	Parts   map[string]*inner `json:"parts,omitempty"`
	List    []inner           `json:"list,omitempty"`
	Raw     json.RawMessage   `json:"raw,omitempty"`
	Skipped string            `json:"-"`
}

func (m *module) UnmarshalJSON(text []byte) error {
	type plain module
	return UnmarshalJSON("gluu_module", text, (*plain)(m))
}

func TestUnmarshalJSONNamesTheOption(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown", `{"colour":"x"}`, `there is no "colour" in gluu_module: it has hosts, issuer, limit, list, name, on, parts, ratio, raw, timeout`},
		{"unknown in a map", `{"parts":{"a":{"isuer":"x"}}}`, `there is no "isuer" in gluu_module: parts.a: it has hosts, issuer`},
		{"unknown in a list", `{"list":[{},{"x":1}]}`, `there is no "x" in gluu_module: list.1: it has hosts, issuer`},
		{"not exported", `{"hidden":"x"}`, `there is no "hidden"`},
		{"left out", `{"Skipped":"x"}`, `there is no "Skipped"`},
		{"a number for a text", `{"name":5}`, `gluu_module: name is a text, not this number`},
		{"a text for a number", `{"limit":"5"}`, `gluu_module: limit is a whole number, not a text`},
		{"a fraction", `{"limit":1.5}`, `gluu_module: limit is a whole number, not this number`},
		{"a text for a ratio", `{"ratio":"1"}`, `gluu_module: ratio is a number, not a text`},
		{"a text for a boolean", `{"on":"true"}`, `gluu_module: on is true or false, not a text`},
		{"a text for a list", `{"hosts":"a"}`, `gluu_module: hosts is a list, not a text`},
		{"an element", `{"hosts":["a",true]}`, `gluu_module: hosts.1 is a text, not true or false`},
		{"a list for an object", `{"parts":[]}`, `gluu_module: parts is an object, not a list`},
		{"a list for the module", `[]`, `gluu_module is an object, not a list`},
		{"a duration", `{"timeout":"soon"}`, `gluu_module: timeout: `},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := json.Unmarshal([]byte(test.text), new(module))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
	if err := json.Unmarshal([]byte(`{"handler":"gluu_module","name":"b"}`), new(module)); err != nil {
		t.Errorf("with the name of the handler: %v", err)
	}
	var m module
	if err := json.Unmarshal([]byte(`{"issuer":"a","Name":"b","limit":null,"timeout":"5s","parts":{"x":{"hosts":["c"]}},"raw":{"any":1}}`), &m); err != nil {
		t.Fatal(err)
	}
	if m.Issuer != "a" || m.Name != "b" || m.Parts["x"].Hosts[0] != "c" || string(m.Raw) != `{"any":1}` {
		t.Errorf("got %+v", m)
	}
}
