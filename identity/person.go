// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"net/http"

	"github.com/caddy-gluu/gateway/internal/session"
)

// Interaction is how a handler that decides about a request asks more of the
// person behind it, without knowing how people log in.
type Interaction interface {
	// Person returns who is logged in, nil without a login.
	Person() Person

	// Satisfies reports whether the person has authenticated as strongly and as
	// recently as a rule asks for: in one of the contexts, if there are any, and
	// at most maxAge seconds ago, if it is not 0.
	Satisfies(acrs []string, maxAge int64) bool

	// StepUp answers a request for which that is not so: it sends a person who
	// opens a page to log in again, and challenges everything else. The refusal
	// has been recorded.
	StepUp(w http.ResponseWriter, r *http.Request, acrs []string, maxAge int64) error

	// LogIn answers a request that needs a login, or a new one: it sends a person
	// who opens a page to log in, and answers everything else with 401. The refusal
	// has been recorded.
	LogIn(w http.ResponseWriter, r *http.Request) error

	// OpensPage reports whether the request is a person opening a page, whom another
	// address can be shown instead.
	OpensPage(r *http.Request) bool

	// Send answers a request whose person opens a page: it sends the person on an
	// errand. The refusal has been recorded.
	Send(w http.ResponseWriter, r *http.Request, errand *Errand) error

	// ShowRefusal answers a person who opens a page with one that says why not. It
	// reports false if the request is not that, and has not been answered. It keeps
	// no records.
	ShowRefusal(w http.ResponseWriter, r *http.Request, refusal Refusal) (shown bool, err error)
}

// Person is someone who is logged in, for a handler that acts on their behalf at
// another server. What it learns there it keeps in their session, so that it ends
// with the session and is never used for anyone else.
type Person interface {
	// Session is the session as it was when the request came, or when this Person
	// was made. It must not be changed.
	Session() *session.Session

	// Update applies a change to the newest version of the session and stores it:
	// see [session.Manager.Update]. The error is [session.ErrNone] if the session
	// has ended.
	Update(ctx context.Context, change func(*session.Session) error) (Person, error)

	// Exclusive does some work for the session one at a time, over all gateways,
	// and gives what it returns to all that wait for it: see
	// [session.Manager.Exclusive].
	Exclusive(ctx context.Context, name string, work func(context.Context, Person) (Person, error)) (Person, error)
}

// Person returns who is logged in, nil without a login and for a program.
func (id *Identity) Person() Person {
	if id == nil || id.Interaction == nil {
		return nil
	}
	return id.Interaction.Person()
}

// ForPerson is how a refused request is answered if it comes from a person in
// front of a browser. The zero value is a page that says why.
type ForPerson struct {
	// LogIn sends the person to log in.
	LogIn bool

	// Errand is the way on for a person who opens a page, nil if there is none.
	Errand *Errand
}

// Errand is a way of a person to another server and back, to say there what that
// server wants to know before it gives a permission.
type Errand struct {
	// Permission is the key of the session's permission that it is about.
	Permission string

	// ReturnPath is the path of this site that the other server sends the person back
	// to, with a ticket ([introspect.App.NoteReturnPath]).
	ReturnPath string

	// Address makes the address of the other server. It is given the absolute
	// address of the return path, and the state to send along.
	Address func(returnTo, state string) string
}
