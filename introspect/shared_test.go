// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"testing"
	"time"
)

// memoryStore is a second level in memory.
type memoryStore struct {
	records map[recordID][]byte
	tokens  map[recordID]*Token
	lasts   map[recordID]time.Duration
	away    bool
}

func newMemoryStore() *memoryStore {
	return &memoryStore{map[recordID][]byte{}, map[recordID]*Token{}, map[recordID]time.Duration{}, false}
}

func (m *memoryStore) name(string) tokenName { return tokenName{} }
func (m *memoryStore) status() *SharedStatus { return new(SharedStatus) }
func (m *memoryStore) close()                {}

func (m *memoryStore) get(_ context.Context, id recordID) ([]byte, position, bool) {
	record, ok := m.records[id]
	return record, position{}, ok && !m.away
}

func (m *memoryStore) set(_ context.Context, id recordID, _ position, record []byte, token *Token, lifetime time.Duration) {
	if !m.away {
		m.records[id], m.tokens[id], m.lasts[id] = record, token, lifetime
	}
}

func (m *memoryStore) evict(_ context.Context, what selection) error {
	if m.away {
		return errors.New("away")
	}
	maps.DeleteFunc(m.records, func(id recordID, _ []byte) bool {
		return what.matches(m.tokens[id]) || what.kind == oneToken && what.value == id.token
	})
	return nil
}

// gatewaysSharing makes two gateways with the same settings.
func gatewaysSharing(t *testing.T, config ProviderConfig, store sharedStore, clock *testClock) (a, b *Provider) {
	a = clock.on(providerFor(t, config, CacheConfig{}))
	b = clock.on(providerFor(t, config, CacheConfig{}))
	a.cache.shared, b.cache.shared = store, store
	return a, b
}

func TestGatewaysShareWhatTheyVerified(t *testing.T) {
	clock := newTestClock()
	server := newFakeServer(t)
	server.on("/introspect", respond(fmt.Sprintf(
		`{"active":true,"client_id":"app","sub":"alice","scope":"read write","exp":%d,"cnf":{"jkt":"k"},"x":[1]}`, clock.now().Add(time.Hour).Unix())))
	a, b := gatewaysSharing(t, server.introspecting(), newMemoryStore(), clock)
	want, err := a.Verify(t.Context(), "token")
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Verify(t.Context(), "token")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n := server.count("/introspect"); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}
}

// max_age counts from the introspection, whoever made it: handing a token from
// gateway to gateway does not keep it alive.
func TestSharingDoesNotProlong(t *testing.T) {
	clock := newTestClock()
	server := newFakeServer(t)
	server.on("/introspect", respond(active("")))
	a, b := gatewaysSharing(t, server.introspecting(), newMemoryStore(), clock)
	if _, err := a.Verify(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	server.on("/introspect", respond(`{"active":false}`))
	clock.advance(defaultMaxAge - time.Second)
	if _, err := b.Verify(t.Context(), "token"); err != nil {
		t.Errorf("within max_age: %v", err)
	}
	clock.advance(time.Second)
	for _, p := range []*Provider{a, b} {
		if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != TokenInactive {
			t.Errorf("after max_age: got %v", err)
		}
	}
}

func TestSharedRecordsThatDoNotHold(t *testing.T) {
	clock := newTestClock()
	now := clock.now().Unix()
	for name, text := range map[string]string{
		"garbage":            `{"at":`,
		"a list":             `[]`,
		"of the future":      fmt.Sprintf(`{"at":%d,"claims":{}}`, now+60),
		"too old":            fmt.Sprintf(`{"at":%d,"claims":{}}`, now-601),
		"of an expired":      fmt.Sprintf(`{"at":%d,"exp":%d,"claims":{}}`, now-5, now),
		"from the beginning": `{"claims":{}}`,
	} {
		server := newFakeServer(t)
		store := newMemoryStore()
		p, _ := gatewaysSharing(t, server.introspecting(), store, clock)
		store.records[p.verifier.recordID("token")] = []byte(text)
		if _, err := p.Verify(t.Context(), "token"); reasonOf(t, err) != TokenInactive {
			t.Errorf("%s: got %v, want what the server says", name, err)
		}
	}
}

func TestSharedStoreThatIsAwayStopsNothing(t *testing.T) {
	server := newFakeServer(t)
	server.on("/introspect", respond(active("")))
	store := newMemoryStore()
	store.away = true
	a, _ := gatewaysSharing(t, server.introspecting(), store, newTestClock())
	if _, err := a.Verify(t.Context(), "token"); err != nil {
		t.Error(err)
	}
}

func TestOnlyEqualSettingsShare(t *testing.T) {
	base := ProviderConfig{Issuer: "https://as.example", ClientID: "g", Audience: []string{"a"}, Verify: verifyAuto}
	want := answerDigest("p", &base, "g")
	same := base
	same.Timeout, same.ClientSecret, same.ClientKey = seconds(9), "other", "/elsewhere"
	if answerDigest("p", &same, "g") != want {
		t.Error("settings that shape no answer make a difference")
	}
	for name, change := range map[string]func(*ProviderConfig){
		"issuer":   func(c *ProviderConfig) { c.Issuer = "https://as.example/" },
		"audience": func(c *ProviderConfig) { c.Audience = []string{"a", ""} },
		"verify":   func(c *ProviderConfig) { c.Verify = verifyJWT },
		"endpoint": func(c *ProviderConfig) { c.IntrospectionEndpoint = "https://as.example/i" },
	} {
		other := base
		change(&other)
		if answerDigest("p", &other, "g") == want {
			t.Errorf("%s makes no difference", name)
		}
	}
	if answerDigest("q", &base, "g") == want || answerDigest("p", &base, "h") == want {
		t.Error("provider or client make no difference")
	}
}

// What is evicted here is evicted there, and does not come back from there.
func TestEvictionReachesTheSharedStore(t *testing.T) {
	server := newFakeServer(t)
	server.on("/introspect", respond(active("")))
	app := mustLoad(t, t.TempDir(), fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(server.introspecting())))
	store := newMemoryStore()
	app.cache.shared = store
	for i, what := range []selection{{kind: allTokens}, {tokensOfClient, "app"}, {tokensOfSubject, "alice"}, {oneToken, "token"}} {
		if _, err := verify(t, app, "", "token"); err != nil {
			t.Fatal(err)
		}
		if _, err := app.forget(t.Context(), what); err != nil {
			t.Fatalf("%v: %v", what, err)
		}
		if len(store.records) != 0 {
			t.Errorf("%v: %d records are left", what, len(store.records))
		}
		if n := server.count("/introspect"); n != i+1 {
			t.Errorf("%v: %d introspections so far, want %d", what, n, i+1)
		}
	}
	_, _ = verify(t, app, "", "token")
	store.away = true
	if _, err := app.ForgetTokens(t.Context()); err == nil {
		t.Error("an eviction that reached only one gateway was reported as complete")
	}
	if positive, _ := app.cache.sizes(); positive != 0 {
		t.Error("the own cache was not evicted")
	}
}
