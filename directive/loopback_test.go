// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"strings"
	"testing"
)

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "128.0.0.1": false,
		"localhost.": false, "localhost.example.com": false, "127.0.0.1.example.com": false, "127.1": false, "2130706433": false,
	} {
		if got := IsLoopback(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
}

func TestURL(t *testing.T) {
	for value, want := range map[string]string{
		"https://a.example": "", "https://a.example:8443/x?y=z": "", "http://127.0.0.1:9": "", "http://[::1]/x": "", "http://localhost": "",
		"http://a.example":              "is not protected in transit",
		"ftp://a.example":               "is not protected in transit",
		"a.example":                     "is not a URL with a host",
		"https://":                      "is not a URL with a host",
		"https://:443":                  "is not a URL with a host",
		"https:a.example":               "is not a URL with a host",
		"https://a.example/%zz":         "is not a URL",
		"https://u:s3cret@a.example":    "contains a user name or password",
		"https://a.example/x#y":         "has a fragment",
		"https://a.example/#":           "has a fragment",
		"http://127.0.0.1.evil.example": "is not protected",
	} {
		_, err := URL("issuer", value)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "issuer ") || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: got %v, want %q", value, err, want)
		}
	}
}
