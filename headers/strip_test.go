// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// spellings returns a name in the ways in which a client may write it so that
// some upstream takes it for the same.
func spellings(name string) []string {
	base := []string{name, strings.ToLower(name), strings.ToUpper(name), swapCase(name)}
	var all []string
	for _, s := range base {
		for _, sep := range []string{"-", "_", ".", "~", "!", "+", "|", "'", "`", "^", "$", "%", "&", "*", "#"} {
			all = append(all, strings.ReplaceAll(s, "-", sep))
		}
		all = append(all, strings.Replace(s, "-", "_", 1), strings.Replace(s, "-", ".", 1))
	}
	return all
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, s)
}

func TestSec_S18_everyNameThatCanBeProducedIsStripped(t *testing.T) {
	s := NewStripper([]string{"X-Custom", "Kong-Id-Token-{*}", "9-Lives", "X-{*}-Claim"})
	for _, name := range append(StandardNames(), "X-Custom", "Kong-Id-Token-email", "Kong-Id-Token-a-b", "Kong-Id-Token-", "9-Lives", "X-role-Claim") {
		for _, spelling := range spellings(name) {
			h := http.Header{spelling: {"forged"}, "Accept": {"*/*"}}
			s.Strip(h)
			if len(h) != 1 {
				t.Errorf("%q is left: %v", spelling, h)
			}
		}
	}
}

func TestStripLeavesAllElse(t *testing.T) {
	s := NewStripper([]string{"X-{*}", "Via-Gateway"})
	h := http.Header{}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "Cookie", "Host", "Origin", "User-Agent",
		"Via", "Sec-Fetch-Mode", "Te", "A", "Z-Consumer-ID", "Dpop", "Access-Control-Request-Method", "",
		// X-{*} can produce none of these: a configuration that asks for all
		// names with X- must not cut the chain of trusted proxies.
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
	} {
		h[name] = []string{"v"}
	}
	want := maps.Clone(h)
	s.Strip(h)
	if !maps.EqualFunc(h, want, slices.Equal) {
		t.Errorf("got %v, want %v", h, want)
	}
}

func TestStripperTakesNoNamesThatASiteNeeds(t *testing.T) {
	s := NewStripper([]string{"Host", "authorization", "Content-Type", "{*}", "", "Cookie"})
	for _, name := range []string{"Host", "Authorization", "Content-Type", "Cookie", "Accept", "X-Anything"} {
		if s.Reserved(name) {
			t.Errorf("%s is stripped", name)
		}
	}
}

func TestReservedNamesOfAnyLength(t *testing.T) {
	long := "X-" + strings.Repeat("a", 150)
	s := NewStripper([]string{long, "Y-" + strings.Repeat("b", 200) + "{*}"})
	for name, want := range map[string]bool{
		long:                                  true,
		strings.ToUpper(long):                 true,
		long + "a":                            false,
		long[:100]:                            false,
		"y_" + strings.Repeat("B", 200) + "c": true,
		"y_" + strings.Repeat("B", 199):       false,
	} {
		if got := s.Reserved(name); got != want {
			t.Errorf("%.20s (%d bytes): got %v, want %v", name, len(name), got, want)
		}
	}
}

func TestSec_S22_connectionCannotNameHeadersAway(t *testing.T) {
	s := NewStripper([]string{"X-Claim-{*}"})
	for _, c := range []struct{ sent, want []string }{
		{[]string{"keep-alive"}, []string{"keep-alive"}},
		{[]string{"X-Consumer-ID"}, nil},
		{[]string{"close, x-consumer-id"}, []string{"close"}},
		{[]string{"x-consumer-id,close"}, []string{"close"}},
		{[]string{"X-CONSUMER-ID , \tX-OAuth-Client-ID\t"}, nil},
		{[]string{"close", "x-claim-email", "upgrade"}, []string{"close", "upgrade"}},
		{[]string{"X_Consumer.ID, X-Other"}, []string{" X-Other"}},
		{[]string{"authorization"}, nil}, // it carries the phantom token
		{[]string{"X-Other, te"}, []string{"X-Other, te"}},
		{[]string{""}, []string{""}},
	} {
		h := http.Header{"Connection": slices.Clone(c.sent)}
		s.Strip(h)
		if got := h["Connection"]; !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.sent, got, c.want)
		}
		// What Caddy's reverse_proxy does then (removeConnectionHeaders).
		h.Set("X-Consumer-ID", "ours")
		for _, f := range h["Connection"] {
			for sf := range strings.SplitSeq(f, ",") {
				if sf = textproto.TrimString(sf); sf != "" {
					h.Del(sf)
				}
			}
		}
		if h.Get("X-Consumer-ID") != "ours" {
			t.Errorf("%q removed the gateway's header", c.sent)
		}
	}
}

// rawServer serves one handler and returns a function that sends it a request
// as bytes, so that every spelling survives.
func rawServer(t *testing.T, handler http.HandlerFunc) func(request string) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return func(request string) string {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
}

func TestSec_S20_trailersAreStrippedAnnouncedOrNot(t *testing.T) {
	s := NewStripper(nil)
	send := rawServer(t, func(w http.ResponseWriter, r *http.Request) {
		s.StripRequest(r)
		s.StripRequest(r) // by a second handler of the same route

		// As Caddy's reverse_proxy does: a copy of the request, and its
		// trailers are taken in the Read that ends the body.
		seen := http.Header{}
		for {
			_, err := r.Body.Read(make([]byte, 3))
			if err != nil {
				maps.Copy(seen, r.Trailer)
				break
			}
		}
		io.WriteString(w, strings.Join(slices.Sorted(maps.Keys(seen)), " "))
	})
	for _, announced := range []string{"", "Trailer: X-Consumer-ID\r\n", "Trailer: X-Consumer-ID, X-Checksum\r\n", "Trailer: X-Checksum\r\n", "Trailer: x_consumer_id, X-Checksum\r\n"} {
		got := send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n" + announced +
			"\r\n5\r\nhello\r\n0\r\nX-Consumer-ID: forged\r\nX_Consumer_Id: forged\r\nx.consumer.id: forged\r\nX-Checksum: 1\r\n\r\n")
		if got != "X-Checksum" {
			t.Errorf("announced %q: trailers %q, want X-Checksum alone", announced, got)
		}
	}
}

func TestABodyIsOnlyWrappedIfTrailersMayFollow(t *testing.T) {
	s := NewStripper(nil)
	for _, c := range []struct {
		what    string
		length  int64
		body    io.ReadCloser
		trailer http.Header
		want    bool
	}{
		{"no body", 0, http.NoBody, nil, false},
		{"known length", 5, io.NopCloser(strings.NewReader("hello")), nil, false},
		{"unknown length", -1, io.NopCloser(strings.NewReader("hello")), nil, true},
		{"known length, announced trailers", 5, io.NopCloser(strings.NewReader("hello")), http.Header{"A": nil}, true},
	} {
		r := &http.Request{Header: http.Header{}, ContentLength: c.length, Body: c.body, Trailer: c.trailer}
		s.StripRequest(r)
		if _, got := r.Body.(*trailerStripper); got != c.want {
			t.Errorf("%s: wrapped %v, want %v", c.what, got, c.want)
		}
	}
}

func FuzzStrip(f *testing.F) {
	f.Add("X-Consumer-ID", "x_consumer.username", "X-Claim-email", "close, X-Consumer-ID")
	f.Add("X-Forwarded-For", "accept", "", ",,")
	s := NewStripper([]string{"X-Claim-{*}", "Kong_Version", "A-{*}-Z"})
	reserved := func(name string) bool { // the plain definition, without a prefilter
		folded := Fold(name)
		for _, n := range append(StandardNames(), "Kong_Version") {
			if folded == Fold(n) {
				return true
			}
		}
		return strings.HasPrefix(folded, "x-claim-") || (len(folded) >= 4 && strings.HasPrefix(folded, "a-") && strings.HasSuffix(folded, "-z"))
	}
	f.Fuzz(func(t *testing.T, a, b, c, connection string) {
		h := http.Header{a: {"1"}, b: {"2"}, c: {"3"}, "Connection": {connection}}
		keep := maps.Clone(h)
		s.Strip(h)
		for name := range keep {
			if _, left := h[name]; left && reserved(name) {
				t.Errorf("%q is left", name)
			} else if !left && !reserved(name) && name != "Connection" {
				t.Errorf("%q is gone", name)
			}
		}
		for _, value := range h["Connection"] {
			for token := range strings.SplitSeq(value, ",") {
				if reserved(textproto.TrimString(token)) {
					t.Errorf("Connection still names %q", token)
				}
			}
		}
	})
}

// ordinary are the headers of a browser's request.
func ordinary() http.Header {
	return http.Header{
		"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Accept-Language": {"en"}, "Authorization": {"Bearer x"},
		"Connection": {"keep-alive"}, "Cookie": {"a=b"}, "Referer": {"https://example.com/"}, "User-Agent": {"test"},
		"X-Request-Id": {"1"}, "X-Forwarded-For": {"192.0.2.1"},
	}
}

func TestStripAllocatesNothing(t *testing.T) {
	s := NewStripper([]string{"X-Claim-{*}"})
	r := &http.Request{Header: ordinary(), Body: http.NoBody}
	if n := testing.AllocsPerRun(100, func() { s.StripRequest(r) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkStrip(b *testing.B) {
	for name, names := range map[string][]string{
		"standard": nil,
		"wildcard": {"X-Claim-{*}"},
		"hundred": func() (names []string) {
			for i := range 100 {
				names = append(names, "X-Custom-Header-"+strings.Repeat("a", i%20)+string(rune('a'+i%26)))
			}
			return names
		}(),
	} {
		b.Run(name, func(b *testing.B) {
			s := NewStripper(names)
			r := &http.Request{Header: ordinary(), Body: http.NoBody}
			b.ReportAllocs()
			for b.Loop() {
				s.StripRequest(r)
			}
		})
	}
}
