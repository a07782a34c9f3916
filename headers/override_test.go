// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestStripOverrides(t *testing.T) {
	h := http.Header{}
	for _, name := range []string{
		"X-HTTP-Method-Override", "X-Http-Method", "x-method-override", "X_HTTP_METHOD_OVERRIDE", "X.Original.URL", "X-REWRITE-URL",
	} {
		h[name] = []string{"DELETE"}
	}
	kept := []string{"X-Http-Methods", "X-Original-Host", "X-Rewrite", "Accept"}
	for _, name := range kept {
		h[name] = []string{"x"}
	}
	StripOverrides(h)
	slices.Sort(kept)
	if got := slices.Sorted(maps.Keys(h)); !slices.Equal(got, kept) {
		t.Errorf("left %q, want %q", got, kept)
	}
}

// A trailer is read long after the decision: it brings neither a credential nor
// anything else that a header would have been looked at for.
func TestNoCredentialAsTrailer(t *testing.T) {
	s := NewStripper([]string{"X-Own"})
	r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(strings.NewReader("x")))
	r.ContentLength = -1
	s.StripRequest(r)
	r.Trailer = http.Header{"X-Checksum": {"1"}} // as net/http does at the end of the body
	for _, name := range []string{
		"Authorization", "authorization", "Proxy-Authorization", "Dpop", "DPoP", "Cookie", "Host", "X-Forwarded-For",
		"X-Own", "X_consumer_id", "X-Http-Method-Override", "X-Original-Url",
	} {
		r.Trailer[name] = []string{"forged"}
	}
	if _, err := io.ReadAll(r.Body); err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(maps.Keys(r.Trailer)); !slices.Equal(got, []string{"X-Checksum"}) {
		t.Errorf("left the trailers %q", got)
	}
}
