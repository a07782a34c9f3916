// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"reflect"
	"strings"
	"testing"
)

func TestWhatAPathAsksFor(t *testing.T) {
	document, err := parseRules([]byte(`[
		{"path": "/pay/??", "conditions": [
			{"httpMethods": ["GET"], "required_acrs": ["silver", "gold"]},
			{"httpMethods": ["POST", "PUT"], "required_acrs": ["gold"], "max_age": 300}]},
		{"path": "/public/??", "conditions": [{"httpMethods": ["GET"], "no_auth": true}]},
		{"path": "/public/private", "conditions": [{"httpMethods": ["?"]}]}
	]`))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := compileRules(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		request string
		want    requirement
	}{
		{"GET /pay", requirement{acrs: []string{"silver", "gold"}}},
		{"HEAD /pay/1/2", requirement{acrs: []string{"silver", "gold"}}},
		{"POST /pay/1", requirement{acrs: []string{"gold"}, maxAge: 300}},
		{"DELETE /pay/1", requirement{}},
		{"GET /public", requirement{noAuth: true}},
		{"GET /public/logo.png", requirement{noAuth: true}},
		{"POST /public/logo.png", requirement{}},
		{"GET /public/private", requirement{}},
		{"GET /", requirement{}},
	} {
		method, path, _ := strings.Cut(test.request, " ")
		got, err := compiled.find(method, path)
		if err != nil || !reflect.DeepEqual(*got, test.want) {
			t.Errorf("%s: got %+v, %v; want %+v", test.request, got, err, test.want)
		}
	}
	var none *rules
	if got, err := none.find("GET", "/"); err != nil || !reflect.DeepEqual(*got, requirement{}) {
		t.Errorf("without rules: got %+v, %v; want a login of any kind", got, err)
	}
}

func TestADocumentCanBeAString(t *testing.T) {
	for _, text := range []string{
		`[{"path":"/a","conditions":[{"httpMethods":["GET"],"no_auth":true}]}]`,
		`"[{\"path\":\"/a\",\"conditions\":[{\"httpMethods\":[\"GET\"],\"no_auth\":true}]}]"`,
	} {
		document, err := parseRules([]byte(text))
		if err != nil || len(document) != 1 || document[0].Path != "/a" || !document[0].Conditions[0].NoAuth {
			t.Errorf("%s: got %+v, %v", text, document, err)
		}
	}
}

func TestRefusedDocuments(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                            "no paths",
		`{}`:                            "cannot unmarshal",
		`[{"path":"/a"}]`:               "no conditions",
		`[{"path":"/a","condition":1}]`: "unknown field",
		`[{"path":"/a","conditions":[{"httpMethods":["GET"]}]}] []`:                                                    "more after the end",
		`[{"path":"a","conditions":[{"httpMethods":["GET"]}]}]`:                                                        "slash",
		`[{"path":"/a","conditions":[{"httpMethods":[]}]}]`:                                                            "names methods",
		`[{"path":"/a","conditions":[{"httpMethods":["get"]}]}]`:                                                       `"get" is not a method`,
		`[{"path":"/a","conditions":[{"httpMethods":["GET|POST"]}]}]`:                                                  `"GET|POST" is not a method`,
		`[{"path":"/a","conditions":[{"httpMethods":["GET"]},{"httpMethods":["GET"],"no_auth":true}]}]`:                "two conditions",
		`[{"path":"/a","conditions":[{"httpMethods":["GET"]}]},{"path":"/a","conditions":[{"httpMethods":["POST"]}]}]`: "has rules already",
		`[{"path":"/a","conditions":[{"httpMethods":["GET"],"no_auth":true,"required_acrs":["x"]}]}]`:                  "no_auth excludes",
		`[{"path":"/a","conditions":[{"httpMethods":["GET"],"no_auth":true,"max_age":5}]}]`:                            "no_auth excludes",
		`[{"path":"/a","conditions":[{"httpMethods":["GET"],"max_age":-5}]}]`:                                          "max_age",
		`[{"path":"/a","conditions":[{"httpMethods":["GET"],"required_acrs":["a b"]}]}]`:                               `acr "a b"`,
		`[{"path":"/a","conditions":[{"httpMethods":["GET"],"required_acrs":[""]}]}]`:                                  `acr ""`,
		`[{"path":"/a","path":"/b","conditions":[{"httpMethods":["GET"]}]}]`:                                           "name each member once",
		`" [{\"path\":\"/a\",\"path\":\"/b\",\"conditions\":[{\"httpMethods\":[\"GET\"]}]}]"`:                          "name each member once",
	} {
		document, err := parseRules([]byte(text))
		if err == nil {
			_, err = compileRules(document)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, err, want)
		}
	}
}
