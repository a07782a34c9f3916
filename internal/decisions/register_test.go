// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// clock is a time that tests set.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func newRegister(size int) (*Register, *clock) {
	c := &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	return NewRegister(size, c.now), c
}

func TestARefusalIsReadAsItWasAdded(t *testing.T) {
	auth := Identify(HandlerInfo{Name: "gluu_oauth_auth", Authenticates: true})
	acl := Identify(HandlerInfo{Name: "gluu_acl"})
	pep := Identify(HandlerInfo{Name: "gluu_oauth_pep"})
	r, c := newRegister(10)
	var passed Trail
	passed.Add(auth)
	passed.Add(acl)
	r.Add(&Refused{
		RequestID: "id-1", Method: "POST", Host: "api.example.com", Path: "/todos", ClientIP: "203.0.113.7",
		Handler: pep, Passed: passed, Caller: Authenticated,
		Status: 403, Reason: "scope_missing", Error: "insufficient_scope", Description: "The token lacks scopes.",
		Rule: "/todos", Operation: "addTodo", Policy: "4f2a", DecisionID: "d-1",
		ClientID: "app", Consumer: "todo-app", Provider: "default",
		Required: "todos:write", Scopes: []string{"todos:read", "mail"}, Enough: "todos:read todos:write", Detail: "cause",
	})
	want := &Decision{
		Number: 1, Time: c.Time, RequestID: "id-1", Method: "POST", Host: "api.example.com", Path: "/todos", ClientIP: "203.0.113.7",
		Handler: "gluu_oauth_pep",
		Chain: []Step{
			{"gluu_oauth_auth", Authenticated}, {"gluu_acl", Passed}, {"gluu_oauth_pep", RefusedIt},
		},
		Status: 403, Reason: "scope_missing", Error: "insufficient_scope", Description: "The token lacks scopes.",
		Rule: "/todos", Operation: "addTodo", Policy: "4f2a", DecisionID: "d-1",
		ClientID: "app", Consumer: "todo-app", Provider: "default",
		Required: "todos:write", Scopes: []string{"todos:read", "mail"}, Enough: []string{"todos:read", "todos:write"},
		Missing: []string{"todos:write"}, Detail: "cause",
	}
	if got := r.Find("id-1"); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTheNewestRefusalsAreKept(t *testing.T) {
	r, _ := newRegister(4)
	if got := r.List(Filter{}, 10); len(got) != 0 {
		t.Fatalf("an empty register lists %v", got)
	}
	for i := range 10 {
		r.Add(&Refused{RequestID: fmt.Sprint("id-", i+1)})
	}
	var ids []string
	for _, d := range r.List(Filter{}, 10) {
		ids = append(ids, fmt.Sprint(d.Number, " ", d.RequestID))
	}
	if got, want := strings.Join(ids, ", "), "10 id-10, 9 id-9, 8 id-8, 7 id-7"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := r.Find("id-6"); len(got) > 0 {
		t.Errorf("an overwritten refusal is found: %+v", got[0])
	}
	if got := r.Find(""); len(got) != 0 {
		t.Errorf("without an id %d are found", len(got))
	}
	if got := r.List(Filter{Before: 9}, 1); len(got) != 1 || got[0].Number != 8 {
		t.Errorf("before 9 comes %+v", got)
	}
}

func TestTheRefusalsOfOneRequestAreInOrder(t *testing.T) {
	r, _ := newRegister(10)
	r.Add(&Refused{RequestID: "a", Reason: "no_rule", DryRun: true})
	r.Add(&Refused{RequestID: "b"})
	r.Add(&Refused{RequestID: "a", Reason: "group_denied"})
	got := r.Find("a")
	if len(got) != 2 || got[0].Reason != "no_rule" || got[1].Reason != "group_denied" {
		t.Fatalf("got %+v", got)
	}
	if got[0].Chain[0].Verdict != WouldRefuse || got[1].Chain[0].Verdict != RefusedIt {
		t.Errorf("the verdicts are %v and %v", got[0].Chain, got[1].Chain)
	}
}

// Whatever a client sends stays text, and short.
func TestLongAndOddTextIsBounded(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	scopes := make([]string, 1000)
	for i := range scopes {
		scopes[i] = fmt.Sprint("scope-", i, long)
	}
	for name, d := range map[string]*Refused{
		"all members long": {long, long, long, long, long, 1, Trail{1, 1, 1, 1, 1, 1, 1}, Passed, 403, long, long, long, long, long, long, long, long, long, long, long, scopes, strings.Join(scopes, " "), long, true},
		"scopes":           {RequestID: "id", Scopes: scopes, Enough: long},
		"empty scopes":     {RequestID: "id", Scopes: []string{"", "a", ""}, Enough: "  a  "},
		"hostile":          {RequestID: "id", Path: "/<script>alert(1)</script>\x00\x1b[31m\u202e\xff\xc3", ClientID: "\u202eevil\u2066", Method: "G\r\nX: y"},
		"nothing":          {},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newRegister(1)
			r.Add(d)
			if got := len(r.slots[0].record.text); got > maxText {
				t.Errorf("%d bytes are kept", got)
			}
			got := r.List(Filter{}, 1)[0]
			text, err := json.Marshal(got)
			if err != nil || !utf8.Valid(text) {
				t.Fatalf("%q: %v", text, err)
			}
			for i, member := range got.texts() {
				if len(*member) > 3*limits[i] || !utf8.ValidString(*member) {
					t.Errorf("member %d is %q", i, *member)
				}
			}
			if len(got.Scopes) > maxScopes+1 {
				t.Errorf("%d scopes are kept", len(got.Scopes))
			}
		})
	}
	r, _ := newRegister(1)
	r.Add(&Refused{Path: long, Scopes: scopes, Enough: "missing"})
	got := r.List(Filter{}, 1)[0]
	if len(got.Path) != 256 || !strings.HasSuffix(got.Path, more) || got.Scopes[len(got.Scopes)-1] != more {
		t.Errorf("what is cut does not say so: %+v", got)
	}
	if !reflect.DeepEqual(got.Missing, []string{"missing"}) {
		t.Errorf("missing is %q", got.Missing)
	}
}

// A scope that is cut in the list is not missing for that.
func TestMissingScopesAreComparedInFull(t *testing.T) {
	r, _ := newRegister(1)
	scopes := make([]string, 200)
	for i := range scopes {
		scopes[i] = fmt.Sprint("scope-", i)
	}
	r.Add(&Refused{Scopes: scopes, Enough: "scope-199 admin"})
	if got := r.List(Filter{}, 1)[0].Missing; !reflect.DeepEqual(got, []string{"admin"}) {
		t.Errorf("got %q", got)
	}
}

func TestFilters(t *testing.T) {
	yes, no := true, false
	base := Refused{
		RequestID: "id", Method: "GET", Host: "api.example.com", Path: "/todos/5", ClientIP: "203.0.113.7", Reason: "no_rule",
		Rule: "/todos/?", ClientID: "app", Consumer: "anna", Provider: "default", Operation: "getTodo", Status: 403,
		Handler: Identify(HandlerInfo{Name: "gluu_oauth_pep"}),
	}
	r, c := newRegister(3)
	r.Add(&base)
	for name, test := range map[string]struct {
		filter Filter
		want   bool
	}{
		"none":             {Filter{}, true},
		"request id":       {Filter{RequestID: "id"}, true},
		"other request id": {Filter{RequestID: "i"}, false},
		"method":           {Filter{Method: "GET"}, true},
		"other method":     {Filter{Method: "POST"}, false},
		"host":             {Filter{Host: "API.example.com"}, true},
		"other host":       {Filter{Host: "example.com"}, false},
		"path":             {Filter{Path: "/todos/5"}, true},
		"part of the path": {Filter{Path: "/todos"}, false},
		"path prefix":      {Filter{Path: "/todos/*"}, true},
		"other prefix":     {Filter{Path: "/admin/*"}, false},
		"reason":           {Filter{Reason: "no_rule"}, true},
		"other reason":     {Filter{Reason: "no_token"}, false},
		"rule":             {Filter{Rule: "/todos/?"}, true},
		"handler":          {Filter{Handler: "gluu_oauth_pep"}, true},
		"other handler":    {Filter{Handler: "gluu_acl"}, false},
		"client":           {Filter{ClientID: "app"}, true},
		"consumer":         {Filter{Consumer: "bob"}, false},
		"provider":         {Filter{Provider: "default"}, true},
		"operation":        {Filter{Operation: "other"}, false},
		"address":          {Filter{ClientIP: "203.0.113.7"}, true},
		"status":           {Filter{Status: 403}, true},
		"other status":     {Filter{Status: 401}, false},
		"since then":       {Filter{Since: c.Time}, true},
		"since later":      {Filter{Since: c.Time.Add(1)}, false},
		"dry run":          {Filter{DryRun: &yes}, false},
		"no dry run":       {Filter{DryRun: &no}, true},
		"text":             {Filter{Text: "TODO"}, true},
		"other text":       {Filter{Text: "payment"}, false},
		"both must hold":   {Filter{Method: "GET", Reason: "no_token"}, false},
		"before itself":    {Filter{Before: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := len(r.List(test.filter, 10)) == 1; got != test.want {
				t.Errorf("selected: %v", got)
			}
			if d := r.Find("id")[0]; test.filter.Wants(d) != test.want {
				t.Errorf("Wants says %v", !test.want)
			}
		})
	}
}

func TestCountsByReason(t *testing.T) {
	r, c := newRegister(10)
	add := func(reason string, n int, dryRun bool) {
		for range n {
			r.Add(&Refused{Reason: reason, DryRun: dryRun})
		}
	}
	add("no_token", 5, false)
	c.Time = c.Add(55 * time.Minute)
	add("no_token", 2, false)
	add("no_rule", 3, false)
	add("scope_missing", 1, true)
	r.Granted(7)
	c.Time = c.Add(30 * time.Second)
	got := r.Last(6)
	if got.Refused != 5 || got.Granted != 7 || got.DryRun != 1 || got.To.Sub(got.From) < time.Minute || got.To.Sub(got.From) > 70*time.Second {
		t.Errorf("got %+v", got)
	}
	if want := []ReasonCount{{"no_rule", 3}, {"no_token", 2}, {"scope_missing", 1}}; !reflect.DeepEqual(got.Reasons, want) {
		t.Errorf("the reasons are %v, want %v", got.Reasons, want)
	}
	history := r.History()
	var refused uint64
	for _, counts := range history {
		refused += counts.Refused
	}
	if len(history) != 360 || refused != 10 {
		t.Errorf("%d intervals with %d refusals", len(history), refused)
	}
	c.Time = c.Add(2 * time.Hour)
	if got := r.Last(360); got.Refused != 0 || got.Granted != 0 {
		t.Errorf("after two hours the last hour has %+v", got)
	}
}

// Reasons come from policies as well, so that their number must be bounded.
func TestReasonsAreBounded(t *testing.T) {
	r, _ := newRegister(1)
	for i := range 1000 {
		r.Add(&Refused{Reason: fmt.Sprint("reason-", i)})
	}
	got := r.Last(6)
	if len(got.Reasons) != maxReasons || got.Reasons[0] != (ReasonCount{otherReasons, 1000 - maxReasons + 1}) || got.Refused != 1000 {
		t.Errorf("%d reasons, the first %v, %d refused", len(got.Reasons), got.Reasons[0], got.Refused)
	}
}

func TestHandlersAreTheSameAcrossConfigurations(t *testing.T) {
	one := Identify(HandlerInfo{Name: "gluu_acl"})
	if again := Identify(HandlerInfo{Name: "gluu_acl"}); again != one || one == 0 {
		t.Errorf("got %d and %d", one, again)
	}
	if other := Identify(HandlerInfo{Name: "gluu_acl", Authenticates: true}); other == one {
		t.Error("two handlers have one id")
	}
	if got := HandlerID(65535).Info(); got != (HandlerInfo{}) {
		t.Errorf("an unknown id is %+v", got)
	}
	var trail Trail
	for range 20 {
		trail.Add(one)
	}
	if trail[6] != one {
		t.Error("the trail has no room for seven")
	}
}

func TestWhatAClientIsTold(t *testing.T) {
	r, _ := newRegister(2)
	r.Add(&Refused{
		RequestID: "id-1", Method: "POST", Host: "api.example.com", Path: "/todos", Status: 403, Error: "insufficient_scope", Reason: "scope_missing",
		Description: "The access token does not have the scopes.", Scopes: []string{"a"}, Enough: "a b", Detail: "internal", Rule: "/todos",
	})
	got := r.Find("id-1")[0].Explain()
	want := "The request POST /todos to api.example.com at 2026-03-01 12:00:00 UTC was answered 403 insufficient_scope (request id id-1). " +
		"The access token does not have the scopes. A token with these scopes will do: a b; missing are: b."
	if got.ForClient != want {
		t.Errorf("got %q, want %q", got.ForClient, want)
	}
	if got.Meaning.Meaning == "" || got.Fix == "" || MeaningOf("no such reason").Meaning == "" {
		t.Errorf("there is no meaning: %+v", got.Meaning)
	}
}
