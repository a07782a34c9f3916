// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"strings"
	"testing"
)

// A refusal names the parameter, and how often it may be there.
func TestParametersThatAreThereTooOften(t *testing.T) {
	for _, test := range []struct{ form, want string }{
		{"scope=a&scope=b", "the parameter scope is given more than once"},
		{"<b>=a&<b>=b", "the parameter with an unknown name is given more than once"},
		{strings.Repeat("resource=https%3A%2F%2Fa.example&", maxResources+1), "the parameter resource is given more than 20 times"},
		{strings.Repeat("resource=https%3A%2F%2Fa.example&", maxResources), ""},
		{"scope=&scope=a&scope=", ""},
	} {
		got := ""
		if _, err := parseForm(test.form); err != nil {
			got = refusalOf(err).Description
		}
		if got != test.want {
			t.Errorf("%.40s: got %q, want %q", test.form, got, test.want)
		}
	}
}
