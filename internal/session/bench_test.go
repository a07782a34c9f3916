// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// BenchmarkMemory holds 100,000 sessions of usual size in memory and reports what
// one of them takes: the tokens and claims, and what the cache adds to them.
func BenchmarkMemory(b *testing.B) {
	const sessions = 100_000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for range b.N {
		near, err := newNearCache(sessions)
		if err != nil {
			b.Fatal(err)
		}
		before, now, content := heap(), time.Now(), 0
		for i := range sessions {
			s := &Session{
				Issuer: "https://op.example.com", ClientID: "web", Subject: fmt.Sprint("subject-", i), Created: now, Seen: now, ref: newReference(),
				IDToken: strings.Repeat("i", 1000), Refresh: strings.Repeat("r", 600),
				Access:   AccessToken{Token: strings.Repeat("a", 1000), ExpiresAt: now},
				Userinfo: []byte(strings.Repeat("u", 300)),
				Authentications: []Authentication{{
					ACR: "silver", IssuedAt: now, ExpiresAt: now, Claims: []byte(strings.Repeat("c", 700)),
				}},
			}
			content += len(s.IDToken) + len(s.Refresh) + len(s.Access.Token) + len(s.Userinfo) + len(s.Authentications[0].Claims)
			near.put(s, now, near.mark(s.ref.id))
		}
		near.entries.CleanUp()
		b.ReportMetric(float64(heap()-before)/sessions, "B/session")
		b.ReportMetric(float64(content)/sessions, "content-B/session")
		runtime.KeepAlive(near)
	}
}

// BenchmarkOpen opens a session that is in memory.
func BenchmarkOpen(b *testing.B) {
	near, err := newNearCache(100)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	m := &Manager{Config: Config{Now: func() time.Time { return now }}, near: near}
	s := &Session{ref: newReference()}
	near.put(s, now, near.mark(s.ref.id))
	cookie := s.ref.cookie()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Open(b.Context(), cookie); err != nil {
			b.Fatal(err)
		}
	}
}
