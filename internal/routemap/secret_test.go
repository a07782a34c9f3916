// SPDX-License-Identifier: Apache-2.0

package routemap_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSec_S410_ConditionsAndSummariesShowNoSecrets(t *testing.T) {
	for _, route := range []string{
		`{"match": [{"header": {"X-Auth": ["hunter2"]}}]}`,
		`{"match": [{"header": {"X-Signature": ["hunter2"]}}]}`,
		`{"match": [{"query": {"password": ["hunter2"]}}]}`,
		`{"match": [{"header": {"X-Any": ["Bearer hunter2"]}}]}`,
		`{"match": [{"not": [{"header": {"X-Any": ["Bearer hunter2"]}}]}]}`,
		`{"match": [{"expression": "{query.a} == 'x?api_key=hunter2'"}]}`,
		`{"handle": [{"handler": "rewrite", "uri": "/x?api_key=hunter2"}]}`,
	} {
		text, err := json.Marshal(mapOf(t, server("["+route+"]")))
		if err != nil || strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), "(hidden)") {
			t.Errorf("%s: got %s, %v", route, text, err)
		}
	}
}
