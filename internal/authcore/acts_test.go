// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"errors"
	"sync"
	"testing"
	"time"
)

func TestClients(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	app := &Client{Name: "App", Consumer: "c1", RedirectURIs: []string{"https://app.example.com/cb"}}
	if err := s.CreateClient(ctx, app); err != nil || app.ID == "" || app.ClientID == "" || app.Created.IsZero() {
		t.Fatalf("got %+v, %v", app, err)
	}
	if err := s.CreateClient(ctx, &Client{ClientID: app.ClientID}); !errors.Is(err, ErrExists) {
		t.Errorf("a client_id that is taken: %v", err)
	}
	if err := s.CreateClient(ctx, &Client{ClientID: "second", Consumer: "c1"}); err != nil {
		t.Error(err)
	}
	byID, err := s.ClientByID(ctx, app.ID)
	if err != nil || byID.ClientID != app.ClientID {
		t.Fatalf("by ID: %+v, %v", byID, err)
	}
	if of, _, err := s.ListClients(ctx, Filter{Consumer: "c1"}, nil, 10); len(of) != 2 || err != nil {
		t.Errorf("of a consumer: %d, %v", len(of), err)
	}
	stale, _ := s.Client(ctx, app.ClientID)
	changed := *byID
	changed.Name = "New name"
	if err := s.ReplaceClient(ctx, byID, &changed); err != nil {
		t.Fatal(err)
	}
	if err := s.ReplaceClient(ctx, stale, stale); !errors.Is(err, ErrChanged) {
		t.Errorf("what was changed meanwhile: %v", err)
	}
	current, err := s.Client(ctx, app.ClientID)
	if err != nil || current.Name != "New name" {
		t.Fatalf("got %+v, %v", current, err)
	}
	taken := *current
	taken.ClientID = "second"
	if err := s.ReplaceClient(ctx, current, &taken); !errors.Is(err, ErrExists) {
		t.Errorf("renamed to one that is taken: %v", err)
	}
	renamed := *current
	renamed.ClientID = "third"
	if err := s.ReplaceClient(ctx, current, &renamed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client(ctx, app.ClientID); !errors.Is(err, ErrNotFound) {
		t.Errorf("the old name: %v", err)
	}
}

// With a client all ends that it has.
func TestSec_S210_DeletingAClientEndsAll(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	app := &Client{ClientID: "app"}
	if err := s.CreateClient(ctx, app); err != nil {
		t.Fatal(err)
	}
	tokens := redeem(t, s, terms)
	own := &AccessToken{Issuer: testIssuer, ClientID: "app", Subject: "app"}
	text, err := s.IssueToken(ctx, own, terms, 10)
	if err != nil {
		t.Fatal(err)
	}
	asked := &Consent{Issuer: testIssuer, Subject: "alice", ClientID: "app", RedirectURI: "https://app.example.com/cb", Scopes: []string{"read"}}
	if err := s.Remember(ctx, asked); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteClient(ctx, app); err != nil {
		t.Fatal(err)
	}
	if isActive(t, s, tokens.AccessText) || isActive(t, s, text) {
		t.Error("a token of a deleted client is active")
	}
	if known, err := s.Remembered(ctx, asked); known || err != nil {
		t.Errorf("the consent for a deleted client: %v, %v", known, err)
	}
}

func TestConsentIsForWhatWasAsked(t *testing.T) {
	s, _ := newStore(t)
	given := Consent{Issuer: testIssuer, Subject: "alice", ClientID: "app", RedirectURI: "https://app.example.com/cb", Scopes: []string{"read", "write"}, Resources: []string{"https://api.example.com"}}
	first := given
	if err := s.Remember(t.Context(), &first); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Consent){
		"subject":      func(c *Consent) { c.Subject = "bob" },
		"client":       func(c *Consent) { c.ClientID = "other" },
		"redirect URI": func(c *Consent) { c.RedirectURI = "https://other.example.com/cb" },
		"issuer":       func(c *Consent) { c.Issuer = "https://other.example.com" },
		"scope":        func(c *Consent) { c.Scopes = []string{"read", "admin"} },
		"resource":     func(c *Consent) { c.Resources = nil },
	} {
		asked := given
		change(&asked)
		if known, err := s.Remembered(t.Context(), &asked); known || err != nil {
			t.Errorf("another %s: %v, %v", name, known, err)
		}
	}
	fewer := given
	fewer.Scopes = []string{"read"}
	if known, err := s.Remembered(t.Context(), &fewer); !known || err != nil {
		t.Errorf("fewer scopes: %v, %v", known, err)
	}
	if err := s.Forget(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if known, err := s.Remembered(t.Context(), &given); known || err != nil {
		t.Errorf("after Forget: %v, %v", known, err)
	}
}

func TestAClientHoldsSoManyTokens(t *testing.T) {
	s, clock := newStore(t)
	issue := func(client string) error {
		_, err := s.IssueToken(t.Context(), &AccessToken{Issuer: testIssuer, ClientID: client, Subject: client}, terms, 3)
		return err
	}
	for range 3 {
		if err := issue("app"); err != nil {
			t.Fatal(err)
		}
	}
	wantFault(t, issue("app"), ReasonTooManyTokens)
	if err := issue("other"); err != nil {
		t.Errorf("another client: %v", err)
	}
	clock.advance(terms.AccessTTL + recountInterval)
	if err := issue("app"); err != nil {
		t.Errorf("after they have expired: %v", err)
	}
}

func TestChallenges(t *testing.T) {
	s, clock := newStore(t)
	ctx := t.Context()
	opened := &Challenge{Issuer: testIssuer, Request: AuthorizationRequest{ClientID: "app"}}
	text, err := s.OpenChallenge(ctx, opened, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Challenge(ctx, testIssuer, text)
	if err != nil || c.Request.ClientID != "app" {
		t.Fatalf("got %+v, %v", c, err)
	}
	if err := s.AnswerChallenge(ctx, text, c, &Answer{Subject: "alice"}); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.AnswerChallenge(ctx, text, c, &Answer{Subject: "mallory"}), ReasonChallengeAnswered)
	if c, err = s.Challenge(ctx, testIssuer, text); err != nil || c.Answer == nil || c.Answer.Subject != "alice" {
		t.Fatalf("got %+v, %v", c, err)
	}
	wantFault(t, s.AnswerChallenge(ctx, text, c, &Answer{Subject: "mallory"}), ReasonChallengeAnswered)
	if _, err := s.IssueCode(ctx, newCode(), time.Minute, nil, c.Close(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.IssueCode(ctx, newCode(), time.Minute, nil, c.Close(text)); !errors.Is(err, ErrChanged) {
		t.Errorf("a second code for one login: %v", err)
	}
	if text, err = s.OpenChallenge(ctx, opened, time.Minute); err != nil {
		t.Fatal(err)
	}
	clock.advance(time.Minute)
	if _, err := s.Challenge(ctx, testIssuer, text); !errors.Is(err, ErrExpired) {
		t.Errorf("after its time: %v", err)
	}
	clock.advance(expiredChallenge)
	if _, err := s.Challenge(ctx, testIssuer, text); !errors.Is(err, ErrNotFound) {
		t.Errorf("long after its time: %v", err)
	}
}

func TestPushedRequests(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	name, err := s.Push(ctx, testIssuer, &Pushed{ClientID: "app", Form: map[string][]string{"scope": {"read"}}}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.TakePushed(ctx, testIssuer, name, "other")
	wantFault(t, err, ReasonForeignClient)
	p, err := s.TakePushed(ctx, testIssuer, name, "app")
	if err != nil || p.Form["scope"][0] != "read" {
		t.Fatalf("got %+v, %v", p, err)
	}
	for _, again := range []string{name, "", pushedPrefix, "https://app.example.com/request.jwt"} {
		_, err = s.TakePushed(ctx, testIssuer, again, "app")
		wantFault(t, err, ReasonPushedUnknown)
	}
}

// The jti of an assertion is used once, also by many at the same moment.
func TestSec_S212_UsedOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, one, other *Store) {
		var wait sync.WaitGroup
		results := make(chan error, 20)
		for i := range 20 {
			s := []*Store{one, other}[i%2]
			wait.Go(func() { results <- s.UseOnce(t.Context(), "jti", "app", "x", time.Now().Add(time.Minute)) })
		}
		wait.Wait()
		close(results)
		first := 0
		for err := range results {
			if err == nil {
				first++
			} else if !errors.Is(err, ErrExists) {
				t.Error(err)
			}
		}
		if first != 1 {
			t.Errorf("%d were first", first)
		}
	})
}

func TestImportedTokens(t *testing.T) {
	s, clock := newStore(t)
	ctx := t.Context()
	now := clock.now().Truncate(time.Second)
	g := &Grant{Issuer: testIssuer, Type: GrantPassword, ClientID: "app", Subject: "alice", Created: now}
	token := &AccessToken{Issuer: testIssuer, ClientID: "app", Subject: "alice", IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
	if err := s.ImportToken(ctx, g, token, "short", "r", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if !isActive(t, s, "short") {
		t.Error("an imported token is not active")
	}
	if err := s.ImportToken(ctx, nil, &AccessToken{Issuer: testIssuer, IssuedAt: now}, "short", "", time.Time{}); !errors.Is(err, ErrExists) {
		t.Errorf("a text that is taken: %v", err)
	}
	tokens, err := s.RotateRefresh(ctx, "r", rotation(terms))
	if err != nil || tokens.RefreshText == "r" {
		t.Errorf("got %v, %v", tokens, err)
	}
}
