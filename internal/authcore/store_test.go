// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

var terms = Terms{AccessTTL: 10 * time.Minute, Refresh: true, Idle: 14 * 24 * time.Hour, Absolute: 90 * 24 * time.Hour}

const grace = 10 * time.Second

func newCode() *Code {
	return &Code{
		Grant: Grant{
			Issuer: testIssuer, Type: GrantAuthorizationCode, ClientID: "app", Subject: "alice",
			Scopes: []string{"read", "write"}, Resources: []string{"https://api.example.com"},
		},
		RedirectURI: "https://app.example.com/cb", Asked: true, Challenge: challenge,
	}
}

func issueCode(t testing.TB, s *Store) string {
	t.Helper()
	text, err := s.IssueCode(t.Context(), newCode(), time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func accept(terms Terms) func(*Grant) (Terms, error) {
	return func(*Grant) (Terms, error) { return terms, nil }
}

func redemption(terms Terms) Redemption {
	return Redemption{Issuer: testIssuer, ClientID: "app", RedirectURI: "https://app.example.com/cb", Verifier: verifier, Accept: accept(terms)}
}

func rotation(terms Terms) Rotation {
	return Rotation{Issuer: testIssuer, ClientID: "app", Grace: grace, Accept: accept(terms)}
}

func redeem(t testing.TB, s *Store, terms Terms) *Tokens {
	t.Helper()
	tokens, err := s.RedeemCode(t.Context(), issueCode(t, s), redemption(terms))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// wantFault fails the test unless the error is a fault with a reason.
func wantFault(t testing.TB, err error, reason string) *Fault {
	t.Helper()
	f, ok := errors.AsType[*Fault](err)
	if !ok || f.Reason != reason {
		t.Fatalf("got %v, want a fault with the reason %q", err, reason)
	}
	return f
}

func isActive(t testing.TB, s *Store, text string) bool {
	t.Helper()
	_, err := s.FindToken(t.Context(), testIssuer, text)
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// Of 50 redemptions of one code over two servers one wins. The others end the grant.
func TestSec_S201_S203_OneOfManyRedemptionsWins(t *testing.T) {
	onEachEngine(t, func(t *testing.T, one, other *Store) {
		text := issueCode(t, one)
		won, faults := inParallel(t, one, other, func(s *Store) (*Tokens, error) {
			return s.RedeemCode(t.Context(), text, redemption(terms))
		})
		if len(won) != 1 {
			t.Errorf("%d redemptions won", len(won))
		}
		for _, f := range faults {
			if f.Code != InvalidGrant || f.Reason != ReasonCodeReused {
				t.Errorf("got %v", f)
			}
		}
		if isActive(t, one, won[0].AccessText) {
			t.Error("a code was used twice, and its token is still active")
		}
		_, err := other.RotateRefresh(t.Context(), won[0].RefreshText, rotation(terms))
		if f, ok := errors.AsType[*Fault](err); !ok || f.Code != InvalidGrant {
			t.Errorf("the refresh token of a code that was used twice: %v", err)
		}
	})
}

// Of 50 rotations of one refresh token over two servers one wins. Within the grace period
// the others get the same successor.
func TestSec_S202_S204_S206_OneOfManyRotationsWins(t *testing.T) {
	onEachEngine(t, func(t *testing.T, one, other *Store) {
		text := redeem(t, one, terms).RefreshText
		won, faults := inParallel(t, one, other, func(s *Store) (*Tokens, error) {
			return s.RotateRefresh(t.Context(), text, rotation(terms))
		})
		if len(faults) > 0 {
			t.Fatalf("within the grace period: %v", faults[0])
		}
		first := 0
		for _, tokens := range won {
			if !tokens.Repeated {
				first++
			}
			if tokens.RefreshText != won[0].RefreshText || tokens.AccessText != won[0].AccessText {
				t.Error("one refresh token has two successors")
			}
		}
		if first != 1 {
			t.Errorf("%d rotations won", first)
		}
		grants, _, err := one.ListTokens(t.Context(), Filter{GrantID: won[0].Grant.ID}, nil, 100)
		if err != nil || len(grants) != 2 {
			t.Errorf("the grant has %d access tokens (%v), want that of the code and one more", len(grants), err)
		}
	})
}

// Without grace a second use at the same moment is a reuse.
func TestSec_S202_OneOfManyRotationsWinsWithoutGrace(t *testing.T) {
	onEachEngine(t, func(t *testing.T, one, other *Store) {
		strict := rotation(terms)
		strict.Grace = 0
		text := redeem(t, one, terms).RefreshText
		won, faults := inParallel(t, one, other, func(s *Store) (*Tokens, error) {
			return s.RotateRefresh(t.Context(), text, strict)
		})
		if len(won) != 1 {
			t.Fatalf("%d rotations won", len(won))
		}
		if !slices.ContainsFunc(faults, func(f *Fault) bool { return f.Reason == ReasonRefreshReused && f.Grant != nil }) {
			t.Error("no fault names the grant that ended")
		}
		if isActive(t, other, won[0].AccessText) {
			t.Error("the winner's token is active after a reuse")
		}
	})
}

// inParallel does the same 50 times at once, by two servers in turn.
func inParallel(t *testing.T, one, other *Store, do func(*Store) (*Tokens, error)) (won []*Tokens, faults []*Fault) {
	t.Helper()
	var wait sync.WaitGroup
	var mu sync.Mutex
	start := make(chan struct{})
	for i := range 50 {
		s := one
		if i%2 == 1 {
			s = other
		}
		wait.Go(func() {
			<-start
			tokens, err := do(s)
			mu.Lock()
			defer mu.Unlock()
			if f, ok := errors.AsType[*Fault](err); ok {
				faults = append(faults, f)
			} else if err != nil {
				t.Error(err)
			} else {
				won = append(won, tokens)
			}
		})
	}
	close(start)
	wait.Wait()
	return won, faults
}

// A code is bound to its client, redirect URI, service and verifier. Who has one of them
// wrong gets nothing, and the owner can still use it.
func TestSec_S207_S208_S232_S233_ACodeIsBound(t *testing.T) {
	s, _ := newStore(t)
	for _, test := range []struct {
		name, code, reason string
		change             func(*Redemption)
	}{
		{"client", InvalidGrant, ReasonForeignClient, func(r *Redemption) { r.ClientID = "other" }},
		{"service", InvalidGrant, ReasonForeignService, func(r *Redemption) { r.Service = "other" }},
		{"issuer", InvalidGrant, ReasonCodeUnknown, func(r *Redemption) { r.Issuer = "https://other.example.com" }},
		{"redirect URI", InvalidGrant, ReasonRedirectURI, func(r *Redemption) { r.RedirectURI += "/" }},
		{"verifier", InvalidGrant, ReasonVerifier, func(r *Redemption) { r.Verifier = verifier + "x" }},
		{"the challenge as verifier", InvalidGrant, ReasonVerifier, func(r *Redemption) { r.Verifier = challenge }},
		{"no verifier", InvalidGrant, ReasonVerifierMissing, func(r *Redemption) { r.Verifier = "" }},
		{"resource", InvalidTarget, ReasonTarget, func(r *Redemption) { r.Resources = []string{"https://other.example.com"} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := issueCode(t, s)
			wrong := redemption(terms)
			test.change(&wrong)
			_, err := s.RedeemCode(t.Context(), text, wrong)
			if f := wantFault(t, err, test.reason); f.Code != test.code {
				t.Errorf("got %q, want %q", f.Code, test.code)
			}
			if _, err := s.RedeemCode(t.Context(), text, redemption(terms)); err != nil {
				t.Errorf("the owner: %v", err)
			}
		})
	}
}

func TestACodeWithoutChallenge(t *testing.T) {
	s, _ := newStore(t)
	c := newCode()
	c.Challenge = ""
	text, err := s.IssueCode(t.Context(), c, time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.RedeemCode(t.Context(), text, redemption(terms))
	if f := wantFault(t, err, ReasonVerifierUnwanted); f.Code != InvalidRequest {
		t.Errorf("a verifier without challenge: %v", f)
	}
	without := redemption(terms)
	without.Verifier, without.RedirectURI = "", ""
	_, err = s.RedeemCode(t.Context(), text, without)
	wantFault(t, err, ReasonRedirectURI)
	without.RedirectURI = c.RedirectURI
	if _, err := s.RedeemCode(t.Context(), text, without); err != nil {
		t.Error(err)
	}
}

// A refresh token is bound to its client and service, and does not go beyond the grant.
func TestSec_S207_S232_S233_ARefreshTokenIsBound(t *testing.T) {
	s, _ := newStore(t)
	text := redeem(t, s, terms).RefreshText
	for _, test := range []struct {
		name, reason string
		change       func(*Rotation)
	}{
		{"client", ReasonForeignClient, func(r *Rotation) { r.ClientID = "other" }},
		{"service", ReasonForeignService, func(r *Rotation) { r.Service = "other" }},
		{"issuer", ReasonRefreshUnknown, func(r *Rotation) { r.Issuer = "https://other.example.com" }},
		{"scope", ReasonScope, func(r *Rotation) { r.Scopes = []string{"read", "admin"} }},
		{"resource", ReasonTarget, func(r *Rotation) { r.Resources = []string{"https://other.example.com"} }},
		{"a client that lost the grant", "grant_not_allowed", func(r *Rotation) {
			r.Accept = func(*Grant) (Terms, error) {
				return Terms{}, &Fault{Code: UnauthorizedClient, Reason: "grant_not_allowed"}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			wrong := rotation(terms)
			test.change(&wrong)
			_, err := s.RotateRefresh(t.Context(), text, wrong)
			wantFault(t, err, test.reason)
		})
	}
	narrow := rotation(terms)
	narrow.Scopes = []string{"read"}
	tokens, err := s.RotateRefresh(t.Context(), text, narrow)
	if err != nil || !slices.Equal(tokens.Access.Scopes, []string{"read"}) {
		t.Fatalf("got %v, %v", tokens, err)
	}
	again, err := s.RotateRefresh(t.Context(), tokens.RefreshText, rotation(terms))
	if err != nil || !slices.Equal(again.Access.Scopes, []string{"read", "write"}) {
		t.Errorf("a narrowed access token has narrowed the grant: %v, %v", again, err)
	}
}

// After the grace period a token that comes again was stolen.
func TestSec_S204_S205_GraceThenReuse(t *testing.T) {
	s, clock := newStore(t)
	first := redeem(t, s, terms)
	second, err := s.RotateRefresh(t.Context(), first.RefreshText, rotation(terms))
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(grace - time.Second)
	again, err := s.RotateRefresh(t.Context(), first.RefreshText, rotation(terms))
	if err != nil || !again.Repeated || again.RefreshText != second.RefreshText || again.AccessText != second.AccessText {
		t.Fatalf("within the grace period: %v, %v", again, err)
	}
	clock.advance(2 * time.Second)
	_, err = s.RotateRefresh(t.Context(), first.RefreshText, rotation(terms))
	f := wantFault(t, err, ReasonRefreshReused)
	if f.Grant == nil || f.Grant.ClientID != "app" || f.Grant.Subject != "alice" || f.Age < grace {
		t.Errorf("the log learns %+v, %s", f.Grant, f.Age)
	}
	_, err = s.RotateRefresh(t.Context(), second.RefreshText, rotation(terms))
	wantFault(t, err, ReasonRefreshUnknown)
	for _, tokens := range []*Tokens{first, second} {
		if isActive(t, s, tokens.AccessText) {
			t.Error("an access token of a stolen grant is active")
		}
	}
}

func TestRefreshTokensEnd(t *testing.T) {
	s, clock := newStore(t)
	text := redeem(t, s, terms).RefreshText
	for range 6 { // 13 days each: idle for less than 14, in all less than 90
		clock.advance(13 * 24 * time.Hour)
		tokens, err := s.RotateRefresh(t.Context(), text, rotation(terms))
		if err != nil {
			t.Fatal(err)
		}
		text = tokens.RefreshText
	}
	clock.advance(12*24*time.Hour - 5*time.Minute)
	tokens, err := s.RotateRefresh(t.Context(), text, rotation(terms))
	if err != nil || tokens.Access.ExpiresIn(clock.now()) > 5*60 {
		t.Fatalf("an access token outlives its grant: %v, %v", tokens, err)
	}
	clock.advance(5 * time.Minute)
	_, err = s.RotateRefresh(t.Context(), tokens.RefreshText, rotation(terms))
	wantFault(t, err, ReasonRefreshUnknown)

	idle := redeem(t, s, terms).RefreshText
	clock.advance(terms.Idle)
	_, err = s.RotateRefresh(t.Context(), idle, rotation(terms))
	wantFault(t, err, ReasonRefreshUnknown)
}

// A grant without absolute limit lasts as long as it is used, and then leaves nothing.
func TestGrantsWithoutAbsoluteLimit(t *testing.T) {
	for _, keep := range []bool{false, true} {
		s, clock := newStore(t)
		sliding := terms
		sliding.Absolute, sliding.Keep = 0, keep
		tokens := redeem(t, s, sliding)
		for range 20 {
			clock.advance(13 * 24 * time.Hour)
			next, err := s.RotateRefresh(t.Context(), tokens.RefreshText, rotation(sliding))
			if err != nil {
				t.Fatal(err)
			}
			if (next.RefreshText == tokens.RefreshText) != keep {
				t.Errorf("keep %v: the refresh token was replaced or not", keep)
			}
			tokens = next
		}
		clock.advance(15 * 24 * time.Hour)
		if _, err := s.Grant(t.Context(), tokens.Grant.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("keep %v: the grant is still there: %v", keep, err)
		}
	}
}

// A grant that has ended ends all that came from it, at once.
func TestEndGrants(t *testing.T) {
	s, _ := newStore(t)
	var all []*Tokens
	for range 70 { // more than a page
		all = append(all, redeem(t, s, terms))
	}
	if err := s.EndGrant(t.Context(), all[0].Grant.ID); err != nil || isActive(t, s, all[0].AccessText) || !isActive(t, s, all[1].AccessText) {
		t.Errorf("ending one grant: %v", err)
	}
	if n, err := s.EndGrants(t.Context(), Filter{Subject: "alice", ClientID: "other"}); n != 0 || err != nil {
		t.Errorf("those of another client: %d, %v", n, err)
	}
	if n, err := s.EndGrants(t.Context(), Filter{Subject: "alice"}); n != 69 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	for _, tokens := range all {
		if isActive(t, s, tokens.AccessText) {
			t.Fatal("a token of a grant that has ended is active")
		}
	}
	if left, _, err := s.ListTokens(t.Context(), Filter{}, nil, 100); len(left) > 0 || err != nil {
		t.Errorf("%d tokens are left, %v", len(left), err)
	}
}
