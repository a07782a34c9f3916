// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/jose"
)

func readText(text string) (*metadata, error) {
	document, err := jose.ParseObject([]byte(text))
	if err != nil {
		return nil, err
	}
	return readMetadata(document)
}

func TestMetadataHasOneReading(t *testing.T) {
	const good = `{"issuer":"https://as","token_endpoint":"https://as/t","permission_endpoint":"https://as/p",
		"resource_registration_endpoint":"https://as/r","uma_profiles_supported":[{"a":1}],"policy_uri":null}`
	got, err := readText(good)
	want := metadata{Token: "https://as/t", Permission: "https://as/p", Registration: "https://as/r"}
	if err != nil || *got != want {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
	for name, text := range map[string]string{
		"an endpoint twice":        strings.Replace(good, "{", `{"token_endpoint":"https://evil/t",`, 1),
		"twice, once with escapes": strings.Replace(good, "{", `{"token\u005fendpoint":"https://evil/t",`, 1),
		"twice further down":       strings.Replace(good, `{"a":1}`, `{"a":1,"a":2}`, 1),
		"not a string":             strings.Replace(good, `"https://as/t"`, `["https://as/t"]`, 1),
		"a second document":        good + "{}",
		"a list":                   "[" + good + "]",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := readText(text); err == nil {
				t.Errorf("got %+v and no error", got)
			}
		})
	}
	t.Run("names are compared exactly", func(t *testing.T) {
		got, err := readText(strings.Replace(good, `"token_endpoint"`, `"Token_Endpoint"`, 1))
		if err != nil || got.Token != "" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
