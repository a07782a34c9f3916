// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

func mustVerify(t *testing.T, p *Provider, raw string) *Token {
	t.Helper()
	token, err := p.Verify(t.Context(), raw)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return token
}

// refuses checks that a token is verified anew and refused.
func refuses(t *testing.T, p *Provider, raw string) {
	t.Helper()
	if _, err := p.Verify(t.Context(), raw); err == nil || reasonOf(t, err) != TokenInactive {
		t.Errorf("%s: got %v, want it asked about and refused", raw, err)
	}
}

func revoke(t *testing.T, p *Provider, what selection) {
	t.Helper()
	if err := p.cache.shared.evict(t.Context(), what); err != nil {
		t.Fatal(err)
	}
	p.cache.evict(what, []cacheKey{p.verifier.cacheKeys.key(what.value)})
}

func TestRedisSharesWhatWasVerified(t *testing.T) {
	redis := startRedis(t)
	server := newFakeServer(t)
	server.on("/introspect", respond(active(`"cnf":{"x5t#S256":"k"},"x":{"y":[1,2.50]}`)))
	a, b := redis.gateway(server.introspecting()), redis.gateway(server.introspecting())
	want, got := mustVerify(t, a, "token"), mustVerify(t, b, "token")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	mustVerify(t, b, "token")
	if n := server.count("/introspect"); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}

	// What is there has an end, which Redis keeps too.
	client := redis.client()
	keys := redis.records(client)
	if len(keys) != 1 {
		t.Fatalf("%d records, want 1", len(keys))
	}
	left, err := client.Do(t.Context(), client.B().Pttl().Key(keys[0]).Build()).AsInt64()
	if ms := time.Duration(left) * time.Millisecond; err != nil || ms <= 0 || ms > defaultMaxAge {
		t.Errorf("the record lasts for %s more (%v), want max_age at most", ms, err)
	}
}

// A refusal is not shared: it lasts for seconds, and a place where anybody can
// fill by making tokens up is none to share.
func TestRedisKeepsNoRefusals(t *testing.T) {
	redis := startRedis(t)
	server := newFakeServer(t)
	p := redis.gateway(server.introspecting())
	for i := range 50 {
		refuses(t, p, fmt.Sprint("made up ", i))
	}
	if keys := redis.records(redis.client()); len(keys) != 0 {
		t.Errorf("%d records, want none", len(keys))
	}
}

func TestRevocationsReachAllGateways(t *testing.T) {
	redis := startRedis(t)
	for name, test := range map[string]struct {
		what selection
		gone bool // whether it concerns the token of alice by app
	}{
		"token":           {selection{oneToken, "token"}, true},
		"client":          {selection{tokensOfClient, "app"}, true},
		"subject":         {selection{tokensOfSubject, "alice"}, true},
		"all":             {selection{kind: allTokens}, true},
		"another token":   {selection{oneToken, "token2"}, false},
		"another client":  {selection{tokensOfClient, "alice"}, false},
		"another subject": {selection{tokensOfSubject, "app"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			server.on("/introspect", respond(`{"active":true,"client_id":"app","sub":"alice"}`))
			a, b, c := redis.gateway(server.introspecting()), redis.gateway(server.introspecting()), redis.gateway(server.introspecting())
			mustVerify(t, a, "token")
			mustVerify(t, b, "token")
			server.on("/introspect", respond(`{"active":false}`))
			began := time.Now()
			revoke(t, a, test.what)
			if !test.gone {
				for _, p := range []*Provider{a, b, c} {
					mustVerify(t, p, "token")
				}
				return
			}
			refuses(t, a, "token")
			eventually(t, "the other gateway has heard of it", func() bool {
				positive, _ := b.cache.sizes()
				return positive == 0
			})
			t.Logf("known to the other gateway after %s", time.Since(began))
			refuses(t, b, "token")
			// And c, which did not know the token, does not find it in Redis.
			eventually(t, "the third gateway has heard of it", func() bool {
				return c.cache.shared.(*redisShare).revoked.position() == a.cache.shared.(*redisShare).revoked.position()
			})
			refuses(t, c, "token")
		})
	}
}

// A gateway that begins after a revocation knows of it too.
func TestRevocationsAreKnownToNewGateways(t *testing.T) {
	redis := startRedis(t)
	server := newFakeServer(t)
	server.on("/introspect", respond(`{"active":true,"client_id":"app"}`))
	a := redis.gateway(server.introspecting())
	mustVerify(t, a, "revoked")
	log := &a.cache.shared.(*redisShare).revoked
	before := log.position()
	revoke(t, a, selection{tokensOfClient, "app"})
	// What is verified before a gateway has read its own revocation counts as
	// older than that.
	eventually(t, "the gateway has read its own revocation", func() bool { return log.position() != before })
	mustVerify(t, a, "issued later")
	server.on("/introspect", respond(`{"active":false}`))
	b := redis.gateway(server.introspecting())
	mustVerify(t, b, "issued later")
	refuses(t, b, "revoked")
}

// unplug takes a gateway from Redis as a broken network would, until the
// function that it returns is called.
func unplug(redis *redisServer, p *Provider) (join func()) {
	redis.t.Helper()
	store := p.cache.shared.(*redisShare)
	store.cancel()
	<-store.ended
	store.away(errNotConnected)
	return func() {
		store.start()
		redis.waitFor(p, sharedOK)
	}
}

// A revocation holds at a gateway that was not connected when it was made, as
// soon as it is connected again; what was not revoked stays.
func TestRevocationsAreCaughtUpWith(t *testing.T) {
	redis := startRedis(t)
	server := newFakeServer(t)
	server.on("/introspect", func(w http.ResponseWriter, r *http.Request) {
		respond(fmt.Sprintf(`{"active":true,"client_id":%q}`, r.PostForm.Get("token")))(w, r)
	})
	a, b := redis.gateway(server.introspecting()), redis.gateway(server.introspecting())
	for _, token := range []string{"one", "two"} {
		mustVerify(t, a, token)
		mustVerify(t, b, token)
	}
	join := unplug(redis, b)
	revoke(t, a, selection{tokensOfClient, "one"})
	mustVerify(t, b, "one") // it works on its own
	asked := server.count("/introspect")
	join()
	eventually(t, "only the revoked token is forgotten", func() bool {
		positive, _ := b.cache.sizes()
		return positive == 1
	})
	mustVerify(t, b, "two")
	if n := server.count("/introspect"); n != asked {
		t.Errorf("the token that was not revoked was asked about %d times more", n-asked)
	}
	server.on("/introspect", respond(`{"active":false}`))
	refuses(t, b, "one")
}

// Redis may come back without what it was told. Nobody can say what that was,
// so all tokens are asked about anew, once.
func TestRedisThatForgot(t *testing.T) {
	redis := startRedis(t)
	server := newFakeServer(t)
	server.on("/introspect", respond(active("")))
	a, b := redis.gateway(server.introspecting()), redis.gateway(server.introspecting())
	mustVerify(t, a, "token")
	mustVerify(t, b, "token")
	redis.kill()
	for _, p := range []*Provider{a, b} {
		redis.waitFor(p, sharedAway)
		mustVerify(t, p, "token")
	}
	mustVerify(t, b, "new while away")
	redis.start()
	server.on("/introspect", respond(`{"active":false}`))
	for _, p := range []*Provider{a, b} {
		redis.waitFor(p, sharedOK)
		refuses(t, p, "token")
	}
	server.on("/introspect", respond(active("")))
	mustVerify(t, a, "later")
	n := server.count("/introspect")
	mustVerify(t, b, "later")
	if got := server.count("/introspect"); got != n {
		t.Error("after its return Redis is not used")
	}
}

// A revocation that Redis could not be told of waits, and until it is written
// this gateway takes nothing from there.
func TestRevocationsWaitForRedis(t *testing.T) {
	redis := startRedis(t)
	server := newFakeServer(t)
	server.on("/introspect", respond(`{"active":true,"client_id":"app"}`))
	a, b := redis.gateway(server.introspecting()), redis.gateway(server.introspecting())
	mustVerify(t, a, "token")
	mustVerify(t, b, "token")
	server.on("/introspect", respond(`{"active":false}`))

	redis.signal(syscall.SIGSTOP)
	what := selection{tokensOfClient, "app"}
	err := a.cache.shared.evict(t.Context(), what)
	a.cache.evict(what, nil)
	if err == nil || !strings.Contains(err.Error(), "this gateway only") {
		t.Errorf("got %v, want an error that says where it holds", err)
	}
	if f := a.cache.shared.status(); f.State != sharedAway || f.Waiting != 1 {
		t.Errorf("got %+v, want one revocation waiting", f)
	}
	refuses(t, a, "token")
	mustVerify(t, b, "token") // nobody could tell it

	redis.signal(syscall.SIGCONT)
	redis.waitFor(a, sharedOK)
	eventually(t, "the other gateway has heard of it", func() bool {
		positive, _ := b.cache.sizes()
		return positive == 0
	})
	refuses(t, b, "token")
	if f := a.cache.shared.status(); f.Waiting != 0 {
		t.Errorf("got %+v, want none waiting", f)
	}
}

// The first requests after Redis stopped answering wait for it for a moment,
// those after them do not wait at all.
func TestRedisThatHangsSlowsNobodyDown(t *testing.T) {
	redis := startRedis(t)
	server := newFakeServer(t)
	server.on("/introspect", respond(active("")))
	p := redis.gateway(server.introspecting())
	redis.signal(syscall.SIGSTOP)
	defer redis.signal(syscall.SIGCONT)
	began := time.Now()
	mustVerify(t, p, "first")
	first := time.Since(began)
	began = time.Now()
	const n = 50
	for i := range n {
		mustVerify(t, p, fmt.Sprint("token ", i))
	}
	rest := time.Since(began)
	t.Logf("first %s, the %d after it %s", first, n, rest)
	if first > 10*redisPatience {
		t.Errorf("the first request waited for %s", first)
	}
	if rest > n*redisPatience/2 {
		t.Errorf("%d requests took %s: they waited for Redis", n, rest)
	}
}

func TestLoadsWithoutRedis(t *testing.T) {
	server := newFakeServer(t)
	server.on("/introspect", respond(active("")))
	p := providerFor(t, server.introspecting(), CacheConfig{Redis: "redis://127.0.0.1:1", RedisKey: testRedisKey})
	mustVerify(t, p, "token")
	if f := p.cache.status().Shared; f.State != sharedAway {
		t.Errorf("got %+v", f)
	}
}

func TestManyGatewaysAtOnce(t *testing.T) {
	redis := startRedis(t)
	server := newFakeServer(t)
	server.on("/introspect", respond(active("")))
	gateways := []*Provider{redis.gateway(server.introspecting()), redis.gateway(server.introspecting()), redis.gateway(server.introspecting())}
	var all sync.WaitGroup
	for _, p := range gateways {
		for range 4 {
			all.Go(func() {
				for i := range 100 {
					if _, err := p.Verify(t.Context(), fmt.Sprint(i)); err != nil {
						t.Error(err)
					}
					if i%25 == 0 {
						_ = p.cache.shared.evict(t.Context(), selection{oneToken, fmt.Sprint(i)})
					}
				}
			})
		}
	}
	all.Wait()
}

// S-54: whoever reads Redis finds no token, and nothing about whose it is.
func TestSec_S54_RedisHoldsNoToken(t *testing.T) {
	redis := startRedis(t)
	server := newFakeServer(t)
	server.on("/introspect", respond(`{"active":true,"client_id":"client-7f3a","sub":"subject-91bc","scope":"scope-55de"}`))
	p := redis.gateway(server.introspecting())
	const token = "token-0123456789abcdef"
	mustVerify(t, p, token)
	revoke(t, p, selection{oneToken, token})
	revoke(t, p, selection{tokensOfClient, "client-7f3a"})
	revoke(t, p, selection{tokensOfSubject, "subject-91bc"})
	mustVerify(t, p, token)

	client := redis.client()
	keys, err := client.Do(t.Context(), client.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %q (%v), want the log and a record", keys, err)
	}
	var dump strings.Builder
	for _, key := range keys {
		value, err := client.Do(t.Context(), client.B().Dump().Key(key).Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		dump.WriteString(key + value)
	}
	entries, err := client.Do(t.Context(), client.B().Xrange().Key(p.cache.shared.(*redisShare).seal.logKey()).Start("-").End("+").Build()).AsXRange()
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d entries in the log (%v), want its beginning and three revocations", len(entries), err)
	}
	for _, entry := range entries {
		dump.WriteString(entry.FieldValues[logField])
	}
	for _, secret := range []string{token, token[6:], "client-7f3a", "subject-91bc", "scope-55de", "active", testRedisKey} {
		for _, form := range []string{secret, hex.EncodeToString([]byte(secret))} {
			if strings.Contains(dump.String(), form) {
				t.Errorf("%q is in Redis", secret)
			}
		}
	}
}

// S-56: whoever writes to Redis makes nobody somebody.
func TestSec_S56_ForgedRecordsAreMisses(t *testing.T) {
	redis := startRedis(t)
	server := newFakeServer(t)
	server.on("/introspect", func(w http.ResponseWriter, r *http.Request) {
		if token := r.PostForm.Get("token"); strings.HasPrefix(token, "good") {
			respond(fmt.Sprintf(`{"active":true,"client_id":"app","sub":%q}`, token))(w, r)
			return
		}
		respond(`{"active":false}`)(w, r)
	})
	clock := newTestClock()
	a := clock.on(redis.gateway(server.introspecting()))
	store := a.cache.shared.(*redisShare)
	store.now = clock.now
	client := redis.client()
	key := func(token string) string { return store.seal.recordKey(a.verifier.recordID(token)) }
	read := func(key string) []byte {
		value, err := client.Do(t.Context(), client.B().Get().Key(key).Build()).AsBytes()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	write := func(key string, value []byte) {
		if err := client.Do(t.Context(), client.B().Set().Key(key).Value(rueidis.BinaryString(value)).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	good := mustVerify(t, a, "good")
	sealed := read(key("good"))
	plain, _ := encodeRecord(good, clock.now())
	changed := func(at int) []byte {
		value := append([]byte(nil), sealed...)
		value[(at+len(value))%len(value)] ^= 1
		return value
	}
	other, err := newRedisSealer("another key of thirty-two bytes..")
	if err != nil {
		t.Fatal(err)
	}
	record := fmt.Appendf(nil, `{"since":{"run":%q,"id":{"t":99999999999999,"n":0}},"record":%s}`, store.revoked.position().Run, plain)
	for name, value := range map[string][]byte{
		"plain":                      plain,
		"empty":                      {},
		"short":                      sealed[:20],
		"huge":                       make([]byte, 8<<20),
		"of another token":           sealed,
		"of another token, longer":   append(append([]byte(nil), sealed...), 0),
		"changed version":            changed(0),
		"changed end":                changed(8),
		"changed nonce":              changed(12),
		"changed text":               changed(50),
		"changed tag":                changed(-1),
		"sealed with another key":    other.sealRecord(key("bad"), a.verifier.recordID("bad").settings, clock.now().Add(time.Hour), record),
		"sealed for other settings":  store.seal.sealRecord(key("bad"), digest{1}, clock.now().Add(time.Hour), record),
		"sealed, of an unknown time": store.seal.sealRecord(key("bad"), a.verifier.recordID("bad").settings, clock.now().Add(time.Hour), []byte(`{"record":{}}`)),
	} {
		t.Run(name, func(t *testing.T) {
			write(key("bad"), value)
			refuses(t, a, "bad")
			a.cache.evict(selection{kind: allTokens}, nil)
		})
	}
	t.Run("this is how a record would be taken", func(t *testing.T) {
		write(key("bad"), store.seal.sealRecord(key("bad"), a.verifier.recordID("bad").settings, clock.now().Add(time.Hour), record))
		mustVerify(t, a, "bad")
		a.cache.evict(selection{kind: allTokens}, nil)
	})
	t.Run("put back after its time", func(t *testing.T) {
		n := server.count("/introspect")
		clock.advance(defaultMaxAge)
		write(key("good"), sealed)
		mustVerify(t, a, "good")
		if got := server.count("/introspect"); got != n+1 {
			t.Errorf("%d introspections, want one more: the record is over", got-n)
		}
	})
	t.Run("put back after its revocation", func(t *testing.T) {
		sealed := read(key("good"))
		revoke(t, a, selection{oneToken, "good"})
		write(key("good"), sealed)
		n := server.count("/introspect")
		mustVerify(t, a, "good")
		if got := server.count("/introspect"); got != n+1 {
			t.Errorf("%d introspections, want one more: the token was revoked", got-n)
		}
	})
	t.Run("forged revocations", func(t *testing.T) {
		at := store.revoked.position()
		for _, value := range []string{"", "x", string(other.sealEntry(revoked{Kind: allTokens}.encode())), revokedText()} {
			if err := client.Do(t.Context(), client.B().Xadd().Key(store.seal.logKey()).Id("*").FieldValue().
				FieldValue(logField, value).Build()).Error(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the entries were read", func() bool { return at.ID.before(store.revoked.position().ID) })
		n := server.count("/introspect")
		mustVerify(t, a, "good")
		if got := server.count("/introspect"); got != n {
			t.Error("a token was forgotten because somebody said so who is no gateway")
		}
	})
}

func revokedText() string { return string(revoked{Kind: allTokens}.encode()) }

func TestSealNamesEveryPart(t *testing.T) {
	s, err := newRedisSealer(testRedisKey)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]recordID{}
	for _, id := range []recordID{
		{digest{}, ""}, {digest{}, "a"}, {digest{}, "a\x00"}, {digest{1}, "a"}, {digest{31: 'a'}, ""}, {digest{}, "\x00a"},
	} {
		key := s.recordKey(id)
		if other, twice := seen[key]; twice {
			t.Errorf("%v and %v have the same key", id, other)
		}
		seen[key] = id
	}
}
