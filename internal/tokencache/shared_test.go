// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

// memoryStore is a second level in memory.
type memoryStore struct {
	records map[RecordID][]byte
	tokens  map[RecordID]*token.Token
	lasts   map[RecordID]time.Duration
	down    bool
}

func newMemoryStore() *memoryStore {
	return &memoryStore{map[RecordID][]byte{}, map[RecordID]*token.Token{}, map[RecordID]time.Duration{}, false}
}

func (m *memoryStore) name(string) tokenName { return tokenName{} }
func (m *memoryStore) status() *SharedStatus { return new(SharedStatus) }
func (m *memoryStore) close()                {}

func (m *memoryStore) get(_ context.Context, id RecordID) ([]byte, Position, bool) {
	record, ok := m.records[id]
	return record, Position{}, ok && !m.down
}

func (m *memoryStore) set(_ context.Context, id RecordID, _ Position, record []byte, token *token.Token, lifetime time.Duration) {
	if !m.down {
		m.records[id], m.tokens[id], m.lasts[id] = record, token, lifetime
	}
}

func (m *memoryStore) forget(_ context.Context, what Selection) error {
	if m.down {
		return errors.New("down")
	}
	maps.DeleteFunc(m.records, func(id RecordID, _ []byte) bool {
		return what.matches(m.tokens[id]) || what.kind == oneToken && what.value == id.Token
	})
	return nil
}

// gatewaysSharing makes two gateways on one store.
func gatewaysSharing(t *testing.T, server *issuer, store sharedStore, clock *testClock) (a, b *gateway) {
	a = clock.on(gatewayWith(cacheFor(t, testSettings()), server))
	b = clock.on(gatewayWith(cacheFor(t, testSettings()), server))
	a.cache.shared, b.cache.shared = store, store
	return a, b
}

func TestGatewaysShareWhatTheyVerified(t *testing.T) {
	clock := newTestClock()
	server := newIssuer()
	server.answer(active(fmt.Sprintf(`"exp":%d,"cnf":{"jkt":"k"},"x":[1]`, clock.now().Add(time.Hour).Unix())))
	a, b := gatewaysSharing(t, server, newMemoryStore(), clock)
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
	if n := server.count(); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}
}

// The age of a token counts from its introspection, whichever gateway made it:
// handing a token from gateway to gateway does not keep it alive.
func TestSharingDoesNotProlong(t *testing.T) {
	clock := newTestClock()
	server := newIssuer()
	server.answer(active(""))
	a, b := gatewaysSharing(t, server, newMemoryStore(), clock)
	if _, err := a.Verify(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	server.answer(inactive)
	clock.advance(testMaxAge - time.Second)
	if _, err := b.Verify(t.Context(), "token"); err != nil {
		t.Errorf("within max_age: %v", err)
	}
	clock.advance(time.Second)
	for _, p := range []*gateway{a, b} {
		refuses(t, p, "token")
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
		t.Run(name, func(t *testing.T) {
			store := newMemoryStore()
			g, _ := gatewaysSharing(t, newIssuer(), store, clock)
			store.records[g.recordID("token")] = []byte(text)
			refuses(t, g, "token")
		})
	}
}

func TestUnavailableStoreStopsNothing(t *testing.T) {
	server := newIssuer()
	server.answer(active(""))
	store := newMemoryStore()
	store.down = true
	a, _ := gatewaysSharing(t, server, store, newTestClock())
	if _, err := a.Verify(t.Context(), "token"); err != nil {
		t.Error(err)
	}
}

// What is forgotten here is forgotten there, and does not come back from there.
func TestForgettingReachesTheSharedStore(t *testing.T) {
	server := newIssuer()
	server.answer(active(""))
	store := newMemoryStore()
	g, _ := gatewaysSharing(t, server, store, newTestClock())
	forget := func(what Selection) error {
		_, err := g.cache.Forget(t.Context(), what, []Key{g.keys.Key("token")})
		return err
	}
	for i, what := range []Selection{All(), OfClient("app"), OfSubject("alice"), One("token")} {
		mustVerify(t, g, "token")
		if err := forget(what); err != nil {
			t.Fatalf("%v: %v", what, err)
		}
		if len(store.records) != 0 {
			t.Errorf("%v: %d records are left", what, len(store.records))
		}
		if n := server.count(); n != i+1 {
			t.Errorf("%v: %d introspections so far, want %d", what, n, i+1)
		}
	}
	mustVerify(t, g, "token")
	store.down = true
	if err := forget(All()); err == nil {
		t.Error("an eviction that reached only one gateway was reported as complete")
	}
	if positive, _ := g.cache.Sizes(); positive != 0 {
		t.Error("the tokens of this gateway were not forgotten")
	}
}
