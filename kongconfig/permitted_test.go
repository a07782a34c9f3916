// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"encoding/json"
	"testing"
)

// A document with a member twice is refused later, so it has to stay as it is: written
// anew, it would lose a rule without a word.
func TestPermittedKeepsAMemberTwice(t *testing.T) {
	for _, document := range []string{
		`[{"path":"/a","path":"/b","conditions":[{"httpMethods":["GET"]}]}]`,
		`[{"path":"/a","conditions":[{"httpMethods":["GET"]}],"conditions":[{"httpMethods":["PUT"]}]}]`,
		`[{"path":"/a","conditions":[{"httpMethods":["GET"],"httpMethods":["PUT"]}]}]`,
	} {
		if got := permitted(json.RawMessage(document)); string(got) != document {
			t.Errorf("%s becomes %s", document, got)
		}
	}
	const plain, want = `[{"path":"/a","conditions":[{"httpMethods":["GET"]}]}]`, `[{"conditions":[{"access":"permitted","httpMethods":["GET"]}],"path":"/a"}]`
	if got := permitted(json.RawMessage(plain)); string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
