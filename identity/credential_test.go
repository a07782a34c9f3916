// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/provider"
)

func TestReadCredential(t *testing.T) {
	long := strings.Repeat("a", provider.DefaultMaxToken)
	tests := []struct {
		name   string
		values []string
		want   Credential
		err    error
	}{
		{"no header", nil, Credential{}, nil},
		{"empty", []string{""}, Credential{}, nil},
		{"spaces", []string{"  "}, Credential{}, nil},
		{"bearer", []string{"Bearer abc"}, Credential{Bearer, "abc"}, nil},
		{"any case, many spaces", []string{"  bEARER    abc \t"}, Credential{Bearer, "abc"}, nil},
		{"DPoP", []string{"dpop abc"}, Credential{DPoP, "abc"}, nil},
		{"all characters", []string{"Bearer azAZ09-._~+/=="}, Credential{Bearer, "azAZ09-._~+/=="}, nil},
		{"longest", []string{"Bearer " + long}, Credential{Bearer, long}, nil},
		{"other schemes", []string{"Basic YTpi"}, Credential{}, nil},
		{"scheme that begins alike", []string{"Bearerabc"}, Credential{}, nil},
		{"scheme that begins alike, with a token", []string{"Bearers abc"}, Credential{}, nil},
		{"scheme alone", []string{"Bearer"}, Credential{}, errMissingToken},
		{"scheme and spaces", []string{"Bearer   "}, Credential{}, errMissingToken},
		{"DPoP alone", []string{"DPoP"}, Credential{}, errMissingToken},
		{"too long", []string{"Bearer a" + long}, Credential{}, tooLong(provider.DefaultMaxToken)},
		{"tab", []string{"Bearer\tabc"}, Credential{}, errTokenCharacters},
		{"space and tab", []string{"Bearer \tabc"}, Credential{}, errTokenCharacters},
		{"two tokens", []string{"Bearer abc def"}, Credential{}, errTokenCharacters},
		{"list", []string{"Bearer abc, Bearer def"}, Credential{}, errTokenCharacters},
		{"quoted", []string{`Bearer "abc"`}, Credential{}, errTokenCharacters},
		{"padding first", []string{"Bearer =abc"}, Credential{}, errTokenCharacters},
		{"padding within", []string{"Bearer ab=c"}, Credential{}, errTokenCharacters},
		{"nothing but padding", []string{"Bearer ="}, Credential{}, errTokenCharacters},
		{"beyond ASCII", []string{"Bearer abcé"}, Credential{}, errTokenCharacters},
		{"control character", []string{"Bearer ab\x00c"}, Credential{}, errTokenCharacters},
		{"two headers", []string{"Bearer abc", "Bearer abc"}, Credential{}, errSeveralCredentials},
		{"two headers, one empty", []string{"", "Bearer abc"}, Credential{}, errSeveralCredentials},
		{"two headers of other schemes", []string{"Basic YTpi", "Negotiate x"}, Credential{}, errSeveralCredentials},
	}
	for _, test := range tests {
		got, err := presented(http.Header{"Authorization": test.values})
		if got != test.want || err != test.err {
			t.Errorf("%s: got %.40q, %v; want %.40q, %v", test.name, got, err, test.want, test.err)
		}
	}
	if got, err := ReadCredential(http.Header{"Proxy-Authorization": {"Bearer abc"}, "X-Authorization": {"Bearer abc"}}); got != (Credential{}) || err != nil {
		t.Errorf("other headers: got %q, %v", got, err)
	}
}

// presented reads a credential and checks its token, as a handler does with
// one that it does not know.
func presented(h http.Header) (Credential, error) {
	c, err := ReadCredential(h)
	if err == nil && c.Token != "" {
		err = c.CheckToken()
	}
	if err != nil {
		return Credential{}, err
	}
	return c, nil
}

// FuzzCredential compares with what the standards say in their own words.
func FuzzCredential(f *testing.F) {
	for _, seed := range []string{"", "Bearer abc", "bearer  a==", "Bearer\tx", "DPoP a.b.c", "Basic x", "Bearer", "Bearer ", "Bearer a b", "Bearer é", "Bearer \x00"} {
		f.Add(seed)
	}
	wellFormed := regexp.MustCompile(`^(?i:(bearer)|dpop) +([A-Za-z0-9\-._~+/]+=*)$`)
	ours := regexp.MustCompile(`^(?i:bearer|dpop)(?:[ \t]|$)`)
	f.Fuzz(func(t *testing.T, value string) {
		got, err := presented(http.Header{"Authorization": {value}})
		value = strings.Trim(value, " \t")
		match := wellFormed.FindStringSubmatch(value)
		switch {
		case match != nil && len(match[2]) <= provider.DefaultMaxToken:
			want := Credential{DPoP, match[2]}
			if match[1] != "" {
				want.Scheme = Bearer
			}
			if err != nil || got != want {
				t.Errorf("%q: got %q, %v; want %q", value, got, err, want)
			}
		case ours.MatchString(value):
			if err == nil {
				t.Errorf("%q: got %q, want an error", value, got)
			}
		case err != nil || got != (Credential{}):
			t.Errorf("%q: got %q, %v; want no credential", value, got, err)
		}
	})
}

func BenchmarkReadCredential(b *testing.B) {
	h := http.Header{"Authorization": {"Bearer " + strings.Repeat("a", 800)}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadCredential(h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckToken(b *testing.B) {
	c := Credential{Bearer, strings.Repeat("a", 800)}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.CheckToken(); err != nil {
			b.Fatal(err)
		}
	}
}
