// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
)

// The resource registration endpoint (Federated Authorization for UMA 2.0,
// section 3).

// description is a resource as the server describes it.
type description struct {
	id, name string
	scopes   []string
	members  map[string]any // all of it, for an update that changes only the scopes
}

// finder finds resources by name. It reads each description once, however many
// names are looked for, since not every server can search.
type finder struct {
	authority *authority
	read      map[string]*description // by id
	failed    map[string]error        // descriptions that cannot be read, by id
	down      bool                    // the server does not answer at all
}

// mostResources bounds how many descriptions are read in search of a name.
const mostResources = 20_000

// find returns the resource of this name, nil if there is none. The query
// parameters are Keycloak's; a server that knows them not lists everything,
// and each description is compared in any case.
func (f *finder) find(ctx context.Context, name string) (*description, error) {
	places, err := f.authority.endpoints(ctx)
	if err != nil {
		f.down = true
		return nil, err
	}
	for _, each := range f.read {
		if each.name == name {
			return each, nil
		}
	}
	query := "?" + url.Values{"name": {name}, "exactName": {"true"}}.Encode()
	var ids []string
	if err := f.get(ctx, name, places.registration+query, &ids); err != nil {
		return nil, fmt.Errorf("list resources: %w", err)
	}
	if len(ids) > mostResources {
		return nil, fmt.Errorf("list resources: the server has %d and cannot search; name the resource by its id (resource_id)", len(ids))
	}
	return f.search(ctx, places.registration, name, ids)
}

// search reads descriptions until it finds the one of this name. One that cannot
// be read is passed over: only if none of the others is it, it may be the one.
func (f *finder) search(ctx context.Context, endpoint, name string, ids []string) (*description, error) {
	var unknown error
	for _, id := range ids {
		if f.read[id] != nil {
			continue
		}
		each, err := f.describe(ctx, endpoint, id)
		switch {
		case f.down:
			return nil, fmt.Errorf("read resource: %w", err)
		case err != nil:
			unknown = fmt.Errorf("read resource %q, which may be the one: %w", id, err)
			continue
		}
		if each.name == name {
			return each, nil
		}
	}
	return nil, unknown
}

// describe reads a description, once.
func (f *finder) describe(ctx context.Context, endpoint, id string) (*description, error) {
	if err := f.failed[id]; err != nil {
		return nil, err
	}
	each := &description{id: id}
	if err := f.get(ctx, id, resourceAddress(endpoint, id), &each.members); err != nil {
		if f.failed == nil {
			f.failed = make(map[string]error)
		}
		f.failed[id] = err
		return nil, err
	}
	each.name, _ = each.members["name"].(string)
	each.scopes = scopesOf(each.members)
	if f.read == nil {
		f.read = make(map[string]*description)
	}
	f.read[id] = each
	return each, nil
}

func (f *finder) get(ctx context.Context, about, address string, into any) error {
	status, answer, err := f.authority.callProtected(ctx, aboutResource(about), http.MethodGet, address, nil)
	if err != nil {
		f.down = !isAboutOne(err)
		return err
	}
	if status != http.StatusOK {
		return problem(status, answer)
	}
	return json.Unmarshal(answer, into)
}

// aboutResource is a question about one resource, by its name or id.
func aboutResource(about string) provider.Question {
	return provider.Question{Endpoint: "resource_registration_endpoint", About: about}
}

// isAboutOne reports whether a call may have failed for the sake of the resource
// that it was about. It has not if the circuit breaker is open, for example, or if there is
// no protection API token.
func isAboutOne(err error) bool {
	refusal, ok := errors.AsType[*token.Error](err)
	return ok && !errors.Is(err, errNoProtectionToken) && (refusal.Reason == token.Unreadable || provider.HasFailed(refusal))
}

// scopesOf reads the scopes of a description: a list of names, or of objects
// with names, as Keycloak writes them.
func scopesOf(members map[string]any) []string {
	list, ok := members["resource_scopes"].([]any)
	if !ok {
		list, _ = members["scopes"].([]any)
	}
	var scopes []string
	for _, each := range list {
		switch each := each.(type) {
		case string:
			scopes = append(scopes, each)
		case map[string]any:
			if name, ok := each["name"].(string); ok {
				scopes = append(scopes, name)
			}
		}
	}
	return scopes
}

func resourceAddress(endpoint, id string) string {
	return strings.TrimSuffix(endpoint, "/") + "/" + url.PathEscape(id)
}

// create registers a resource (section 3.2.1) and returns its id.
func (a *authority) create(ctx context.Context, name string, scopes []string) (string, error) {
	places, err := a.endpoints(ctx)
	if err != nil {
		return "", err
	}
	body := map[string]any{"name": name, "resource_scopes": scopes}
	status, answer, err := a.callProtected(ctx, aboutResource(name), http.MethodPost, places.registration, body)
	if err != nil {
		return "", err
	}
	if status != http.StatusCreated && status != http.StatusOK {
		return "", problem(status, answer)
	}
	var created struct {
		ID string `json:"_id"`
	}
	if err := json.Unmarshal(answer, &created); err != nil {
		return "", err
	}
	if created.ID == "" {
		return "", errors.New("the answer has no _id")
	}
	return created.ID, nil
}

// update changes the scopes of a resource (section 3.2.3) and keeps its other
// members, which may have been added at the server.
func (a *authority) update(ctx context.Context, found *description, scopes []string) error {
	places, err := a.endpoints(ctx)
	if err != nil {
		return err
	}
	body := make(map[string]any, len(found.members))
	for name, value := range found.members {
		if name != "scopes" { // Keycloak's other name for resource_scopes
			body[name] = value
		}
	}
	body["resource_scopes"] = scopes
	status, answer, err := a.callProtected(ctx, aboutResource(found.id), http.MethodPut, resourceAddress(places.registration, found.id), body)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return problem(status, answer)
	}
	return nil
}

// remove deletes a resource (section 3.2.4). One that is not there is as
// good as deleted.
func (a *authority) remove(ctx context.Context, id string) error {
	places, err := a.endpoints(ctx)
	if err != nil {
		return err
	}
	status, answer, err := a.callProtected(ctx, aboutResource(id), http.MethodDelete, resourceAddress(places.registration, id), nil)
	if err != nil {
		return err
	}
	if status/100 != 2 && status != http.StatusNotFound {
		return problem(status, answer)
	}
	return nil
}
