// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"testing"
)

func TestSec_S410_AModuleIsForeignWhateverElseItNames(t *testing.T) {
	for _, config := range []string{
		`{"handler": "someone_elses", "format": "json", "name": "file_system", "colour": "hunter2"}`,
		`{"handler": "someone_elses", "log": {"format": "json", "colour": "hunter2"}}`,
	} {
		for range 50 {
			shown, err := JSON("key", []byte(config))
			if err != nil || strings.Contains(shown.Text, "hunter2") {
				t.Fatalf("got %s, %v", shown.Text, err)
			}
		}
	}
}

func TestSec_S410_AHandlerShowsNoMoreThanTheConfiguration(t *testing.T) {
	for _, config := range []string{
		`{"handler": "reverse_proxy", "transport": {"module": "someone_elses", "magic": "hunter2"}}`,
		`{"handler": "gluu_oauth_auth", "jwk": {"kty": "oct", "k": "hunter2hunter2hu"}}`,
	} {
		if got := string(Handler([]byte(config))); strings.Contains(got, "hunter2") {
			t.Errorf("got %s", got)
		}
	}
}
