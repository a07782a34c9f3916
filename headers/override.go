// SPDX-License-Identifier: Apache-2.0

package headers

import "net/http"

// OverrideNames returns the headers by which a client asks an upstream for
// another method, or another path, than those of the request line. Rails,
// Express, Symfony, Laravel and ASP.NET, among others, do as they say, after the
// gateway has decided on the request line:
//
//	GET /accounts/7 HTTP/1.1
//	X-HTTP-Method-Override: DELETE
func OverrideNames() []string {
	return []string{
		"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
		"X-Original-URL", "X-Rewrite-URL",
	}
}

// overrides finds them in all spellings.
var overrides = func() *Stripper {
	s := &Stripper{exact: make(map[string]struct{})}
	for _, name := range OverrideNames() {
		s.add(name)
	}
	return s
}()

// StripOverrides removes the headers of [OverrideNames], in all spellings. Call
// it where rules decide on the method and the path. It handles only headers: as
// trailers they are removed by [Stripper.StripRequest] in any case.
func StripOverrides(h http.Header) { overrides.stripNames(h) }
