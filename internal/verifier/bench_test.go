// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/testenv"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// BenchmarkVerifyCached is what a request pays for a token that is known:
// hashing it, finding it, comparing the time.
func BenchmarkVerifyCached(b *testing.B) {
	server := providertest.NewServer(b)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	issuer := newTokenIssuer(b, server.URL, "k1")
	server.On("/jwks", issuer.serveKeys)
	p := providerFor(b, provider.Config{Issuer: server.URL, ClientID: "g", ClientSecret: "s"}, tokencache.Settings{})
	p.server.AwaitMetadata(b.Context())
	tokens := map[string]string{
		"opaque":   strings.Repeat("o", 43),
		"JWT":      issuer.sign(b, time.Now().Add(time.Hour), map[string]any{"filler": strings.Repeat("x", 400)}),
		"JWT 4KiB": issuer.sign(b, time.Now().Add(time.Hour), map[string]any{"filler": strings.Repeat("x", 2800)}),
	}
	for _, name := range []string{"opaque", "JWT", "JWT 4KiB"} {
		raw := tokens[name]
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			if _, err := p.Verify(ctx, raw); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := p.Verify(ctx, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+" parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := p.Verify(context.Background(), raw); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkVerifyInactive is what a bad token costs that is known to be bad.
func BenchmarkVerifyInactive(b *testing.B) {
	server := providertest.NewServer(b)
	p := providerFor(b, introspecting(server), tokencache.Settings{})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Verify(ctx, "bad-token"); err == nil {
			b.Fatal("verified")
		}
	}
}

// BenchmarkCacheMillion remembers a million tokens such as Keycloak's
// introspection describes them, and reports what one costs.
func BenchmarkCacheMillion(b *testing.B) {
	const tokens = 1_000_000
	for b.Loop() {
		p := connectTo(providerFor(b, provider.Config{
			Issuer: "https://as.example", ClientID: "g", ClientAuth: provider.ClientAuthNone, Verify: provider.VerifyIntrospection,
			IntrospectionEndpoint: "https://as.example/introspect",
		}, tokencache.Settings{Size: tokens}), http.HandlerFunc(typicalAnswer))
		before := testenv.HeapInUse()
		began := time.Now()
		var wait sync.WaitGroup
		for worker := range 8 {
			wait.Go(func() {
				for i := worker; i < tokens; i += 8 {
					raw := fmt.Sprintf("%08d-0123456789abcdef0123456789abcdef012", i)
					if _, err := p.Verify(context.Background(), raw); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wait.Wait()
		p.cache.CleanUp()
		took := time.Since(began)
		used := testenv.HeapInUse() - before
		kept, _ := p.cache.Sizes()
		b.ReportMetric(float64(used)/float64(kept), "B/token")
		b.ReportMetric(float64(used)/(1<<20), "MiB")
		b.ReportMetric(float64(kept), "tokens")
		b.ReportMetric(float64(took.Nanoseconds())/tokens, "ns/new-token")
		runtime.KeepAlive(p)
	}
}

func typicalAnswer(w http.ResponseWriter, r *http.Request) {
	subject := r.PostForm.Get("token")[:8]
	providertest.Respond(`{"active":true,"exp":4102444800,"iat":1700000000,"jti":"6f2f1c9a-6d6b-4f7e-9a53-`+subject+`abcd","iss":"https://as.example","aud":["account","api"],`+
		`"sub":"3f1c8a52-9c1e-4d58-8a6b-`+subject+`0000","typ":"Bearer","azp":"mobile-app","session_state":"9d2f1c9a-6d6b-4f7e-9a53-`+subject+`abcd","acr":"1",`+
		`"scope":"openid profile email todos:read todos:write","client_id":"mobile-app","username":"user-`+subject+`","token_type":"Bearer"}`)(w, r)
}

// BenchmarkStampede sends a thousand requests at once with a new token, and
// reports how often the authorization server was asked.
func BenchmarkStampede(b *testing.B) {
	const requests = 1000
	server := providertest.NewServer(b)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	p := providerFor(b, introspecting(server), tokencache.Settings{})
	tokens := 0
	for b.Loop() {
		tokens++
		raw := fmt.Sprint("new-token-", tokens)
		start := make(chan struct{})
		var wait sync.WaitGroup
		for range requests {
			wait.Go(func() {
				<-start
				if _, err := p.Verify(context.Background(), raw); err != nil {
					b.Error(err)
				}
			})
		}
		close(start)
		wait.Wait()
	}
	b.ReportMetric(requests, "requests/op")
	b.ReportMetric(float64(server.Count("/introspect"))/float64(tokens), "introspections/op")
}

// BenchmarkInventedKeys brings ten thousand tokens, each with the ID of a key
// that does not exist, within one cool-down, and reports how often the keys of
// the issuer were fetched.
func BenchmarkInventedKeys(b *testing.B) {
	const tokens = 10_000
	server := providertest.NewServer(b)
	issuer := newTokenIssuer(b, server.URL, "k1")
	server.On("/jwks", issuer.serveKeys)
	p := providerFor(b, provider.Config{Issuer: server.URL, Verify: provider.VerifyJWT}, tokencache.Settings{})
	p.server.AwaitMetadata(b.Context())
	if _, err := p.Verify(b.Context(), issuer.sign(b, time.Now().Add(time.Hour), nil)); err != nil {
		b.Fatal(err)
	}
	before, rounds := server.Count("/jwks"), 0
	payload := b64(fmt.Sprintf(`{"iss":%q,"exp":4102444800}`, server.URL))
	for b.Loop() {
		rounds++
		for i := range tokens {
			raw := b64(fmt.Sprintf(`{"alg":"ES256","kid":"invented-%d-%d"}`, rounds, i)) + "." + payload + "." + b64(strings.Repeat("s", 64))
			if _, err := p.Verify(b.Context(), raw); err == nil {
				b.Fatal("verified with a key that does not exist")
			}
		}
	}
	b.ReportMetric(tokens, "tokens/op")
	b.ReportMetric(float64(server.Count("/jwks")-before)/float64(rounds), "fetches/op")
}

// BenchmarkIntrospectFirst is Verify for an opaque token that this process has not
// seen, with the server in this process: its share is in the figures.
func BenchmarkIntrospectFirst(b *testing.B) {
	server := providertest.NewServer(b)
	server.On("/introspect", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"active":true,"client_id":"app","sub":"user","scope":"todos:read","exp":%d}`, time.Now().Add(time.Hour).Unix())
	})
	p := providerFor(b, provider.Config{Issuer: server.URL, ClientID: "gateway", ClientSecret: "secret"}, tokencache.Settings{})
	p.server.AwaitMetadata(b.Context())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := p.Verify(b.Context(), "opaque-"+strconv.Itoa(i)); err != nil {
			b.Fatal(err)
		}
	}
}
