// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestCutParameter(t *testing.T) {
	for _, test := range []struct {
		name, text, rest string
		values           []string
	}{
		{"empty", "", "", nil},
		{"none", "a=1&b=%2f&&c", "a=1&b=%2f&&c", nil},
		{"alone", "access_token=abc", "", []string{"abc"}},
		{"first", "access_token=abc&a=%2f", "a=%2f", []string{"abc"}},
		{"between", "a=%2f&access_token=abc&b=+", "a=%2f&b=+", []string{"abc"}},
		{"last, beside empty parts", "a&&=&access_token=abc", "a&&=", []string{"abc"}},
		{"encoded name", "a=1&access%5Ftoken=abc&b=2", "a=1&b=2", []string{"abc"}},
		{"encoded value", "access_token=a%2Bb%3D", "", []string{"a+b="}},
		{"a plus is a space", "access_token=a+b", "", []string{"a b"}},
		{"an escape that is none", "access_token=a%zz", "", []string{"a%zz"}},
		{"a name that is none", "access_token%zz=abc", "access_token%zz=abc", nil},
		{"twice", "access_token=a&x=1&access_token=b", "x=1", []string{"a", "b"}},
		{"without a value", "access_token&x=1", "x=1", []string{""}},
		{"another case", "Access_Token=abc", "Access_Token=abc", nil},
		{"behind a semicolon", "a=1;access_token=abc", "a=1;access_token=abc", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if rest, values := cutParameter(test.text, "access_token"); rest != test.rest || !slices.Equal(values, test.values) {
				t.Errorf("got %q, %q, want %q, %q", rest, values, test.rest, test.values)
			}
		})
	}
}

func TestCutCookie(t *testing.T) {
	for _, test := range []struct {
		name, line, rest string
		values           []string
	}{
		{"none", `a=1; tok2=2;b="3"`, `a=1; tok2=2;b="3"`, nil},
		{"alone", "tok=abc", "", []string{"abc"}},
		{"first", "tok=abc; a=1;  b=2", "a=1;  b=2", []string{"abc"}},
		{"between", "a=1;tok=abc; b=2", "a=1; b=2", []string{"abc"}},
		{"last", "a=1; tok=abc", "a=1", []string{"abc"}},
		{"quoted", `tok="abc"`, "", []string{"abc"}},
		{"spaces around", "a=1; tok = abc ; b=2", "a=1; b=2", []string{"abc"}},
		{"twice", "tok=a; x=1; tok=b", "x=1", []string{"a", "b"}},
		{"another case", "Tok=abc", "Tok=abc", nil},
		{"no value", "tok; a=1", "tok; a=1", nil},
		{"a value with =", "tok=abc==; a=1", "a=1", []string{"abc=="}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if rest, values := cutCookie(test.line, "tok"); rest != test.rest || !slices.Equal(values, test.values) {
				t.Errorf("got %q, %q, want %q, %q", rest, values, test.rest, test.values)
			}
		})
	}
}

// A body is read to its end only if it is a form of bounded size, and what comes
// out of it afterwards is what was sent.
func TestFormsAreReplayed(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	const most = 100 + formRoom
	failure := errors.New("connection lost")
	for _, test := range []struct {
		name, method, kind, body, token, want string
		length                                int64 // announced; -1: chunked
		fails                                 error
	}{
		{"with a token", "POST", form, "a=%2f&access_token=abc&b", "abc", "a=%2f&b", 0, nil},
		{"chunked", "POST", form, "access_token=abc&b=1", "abc", "b=1", -1, nil},
		{"with parameters", "PUT", form + "; charset=utf-8", "access_token=abc", "abc", "", 0, nil},
		{"in capitals", "PATCH", strings.ToUpper(form), "access_token=abc", "abc", "", 0, nil},
		{"without a token", "POST", form, "a=%2f&b", "", "a=%2f&b", 0, nil},
		{"of another type", "POST", "text/plain", "access_token=abc", "", "access_token=abc", 0, nil},
		{"of GET", "GET", form, "access_token=abc", "", "access_token=abc", 0, nil},
		{"as long as allowed", "POST", form, "access_token=abc&" + strings.Repeat("x", most-17), "abc", strings.Repeat("x", most-17), 0, nil},
		{"too long", "POST", form, "access_token=abc&" + strings.Repeat("x", most-16), "", "access_token=abc&" + strings.Repeat("x", most-16), 0, nil},
		{"too long and chunked", "POST", form, "access_token=abc&" + strings.Repeat("x", most), "", "access_token=abc&" + strings.Repeat("x", most), -1, nil},
		{"broken off", "POST", form, "access_token=abc", "", "access_token=abc", -1, failure},
	} {
		t.Run(test.name, func(t *testing.T) {
			var sent io.Reader = strings.NewReader(test.body)
			if test.fails != nil {
				sent = io.MultiReader(sent, after{err: test.fails})
			}
			r := httptest.NewRequest(test.method, "/", sent)
			r.Header.Set("Content-Type", test.kind)
			if r.ContentLength = int64(len(test.body)); test.length < 0 {
				r.ContentLength = -1
			}
			take := &takeout{places: []TokenPlace{{In: inForm}}, most: 100}
			got, elsewhere, err := take.take(r)
			if got.Token != test.token || elsewhere != (test.token != "") || err != nil {
				t.Errorf("got %q, %t, %v, want %q", got.Token, elsewhere, err, test.token)
			}
			body, err := io.ReadAll(r.Body)
			if string(body) != test.want || !errors.Is(err, test.fails) {
				t.Errorf("then got a body of %d bytes, %.40q, %v, want %d bytes, %.40q, %v", len(body), body, err, len(test.want), test.want, test.fails)
			}
			if r.ContentLength >= 0 && r.ContentLength != int64(len(test.want)) {
				t.Errorf("announced %d bytes, want %d", r.ContentLength, len(test.want))
			}
		})
	}
}

// In a dry run the token is read and stays where it is.
func TestATakeoutThatKeepsChangesNothing(t *testing.T) {
	for _, test := range []struct {
		name  string
		place TokenPlace
	}{
		{"header", TokenPlace{inHeader, "X-Access-Token"}},
		{"query", TokenPlace{inQuery, "token"}},
		{"cookie", TokenPlace{inCookie, "token"}},
		{"form", TokenPlace{In: inForm}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/?token=abc&x", strings.NewReader("access_token=abc&x"))
			r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Access-Token": {"abc"}, "X_access_token": {"other"}, "Cookie": {"a; token=abc"}}
			sent := r.Header.Clone()
			got, _, err := (&takeout{places: []TokenPlace{test.place}, most: 100, keep: true}).take(r)
			if got.Token != "abc" || err != nil {
				t.Fatalf("got %q, %v, want abc", got.Token, err)
			}
			body, _ := io.ReadAll(r.Body)
			if r.URL.RawQuery != "token=abc&x" || string(body) != "access_token=abc&x" {
				t.Errorf("then the query is %q and the form %q", r.URL.RawQuery, body)
			}
			for name, values := range sent {
				if !slices.Equal(r.Header[name], values) {
					t.Errorf("then the header %s is %q, want %q", name, r.Header[name], values)
				}
			}
		})
	}
}
