// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/jose"
)

// Consumers without a reload, with the addresses and objects of Kong's admin
// API:
//
//	GET    /gluu/consumers?size=100&offset=...    a page of all consumers
//	GET    /gluu/consumers?custom_id=<client id>  the one of a client
//	POST   /gluu/consumers                        create one
//	GET    /gluu/consumers/<username or id>
//	PUT    /gluu/consumers/<username or id>       create or replace
//	PATCH  /gluu/consumers/<username or id>       change the members that are given
//	DELETE /gluu/consumers/<username or id>
//
// A consumer of the configuration is listed too and can only be changed there.
// A change is durable before it is answered and holds from the next request
// on; other gateways that share the storage follow within
// consumer.RefreshInterval.
//
// Bodies are JSON and say so: a browser sends no such request to another origin
// without asking first.
func init() {
	RegisterAdminRoute("consumers", (*App).adminConsumers)
}

const (
	defaultPage     = 100
	largestPage     = 1000
	maxConsumerJSON = 64 << 10
)

func (a *App) adminConsumers(w http.ResponseWriter, r *http.Request, segments []string) error {
	switch len(segments) {
	case 0:
		if err := AdminMethod(w, r, http.MethodGet, http.MethodPost); err != nil {
			return err
		}
		if r.Method == http.MethodPost {
			return a.createConsumer(w, r)
		}
		return a.listConsumers(w, r)
	case 1:
		if segments[0] == "" {
			return ErrNoAdminRoute
		}
		return a.adminConsumer(w, r, segments[0])
	}
	return ErrNoAdminRoute
}

func (a *App) adminConsumer(w http.ResponseWriter, r *http.Request, name string) error {
	if err := AdminMethod(w, r, http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete); err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPut:
		return a.putConsumer(w, r, name)
	case http.MethodPatch:
		return a.patchConsumer(w, r, name)
	case http.MethodDelete:
		if err := a.directory.Delete(r.Context(), name); err != nil {
			return consumerError(err)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	ready := a.directory.Ready() // asked first: what is not found was known then
	found := a.directory.Find(name)
	switch {
	case found == nil && !ready:
		return consumerError(errConsumersUnknown)
	case found == nil:
		return consumerError(consumer.ErrNotFound)
	}
	return WriteAdminJSON(w, http.StatusOK, found)
}

var errConsumersUnknown = errors.New("the live consumers are not known yet, because the storage could not be read")

// consumerPage is a page of a listing, as Kong writes it. The last one has no
// next.
type consumerPage struct {
	Data   []*consumer.Consumer `json:"data"`
	Next   *string              `json:"next"`
	Offset string               `json:"offset,omitempty"`
}

func (a *App) listConsumers(w http.ResponseWriter, r *http.Request) error {
	size, offset, customID := defaultPage, "", ""
	for name, values := range r.URL.Query() {
		value := values[len(values)-1]
		switch name {
		case "size":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > largestPage {
				return AdminError(http.StatusBadRequest, fmt.Errorf("size is a number from 1 to %d, not '%s'", largestPage, value))
			}
			size = n
		case "offset":
			offset = value
		case "custom_id":
			if value == "" { // of a script, perhaps, that knows no client
				return AdminError(http.StatusBadRequest, errors.New("custom_id is empty: name a client, or leave it out to list all consumers"))
			}
			customID = value
		default:
			return AdminError(http.StatusBadRequest, fmt.Errorf("there is no parameter '%s', only size, offset and custom_id", name))
		}
	}
	page := consumerPage{Data: []*consumer.Consumer{}}
	ready := a.directory.Ready() // asked first: what is not found was known then
	if customID != "" {
		if found := a.directory.ByClientID(customID); found != nil {
			page.Data = append(page.Data, found)
		} else if !ready {
			return consumerError(errConsumersUnknown)
		}
		return WriteAdminJSON(w, http.StatusOK, page)
	}
	if !ready {
		return consumerError(errConsumersUnknown)
	}
	data, next, err := a.directory.List(size, offset)
	if err != nil {
		return consumerError(err)
	}
	page.Data = append(page.Data, data...)
	if next != "" {
		address := "/gluu/consumers?" + url.Values{"offset": {next}, "size": {strconv.Itoa(size)}}.Encode()
		page.Next, page.Offset = &address, next
	}
	return WriteAdminJSON(w, http.StatusOK, page)
}

func (a *App) createConsumer(w http.ResponseWriter, r *http.Request) error {
	c, _, err := readConsumer(w, r)
	if err != nil {
		return err
	}
	created, err := a.directory.Create(r.Context(), c)
	if err != nil {
		return consumerError(err)
	}
	return WriteAdminJSON(w, http.StatusCreated, created)
}

func (a *App) putConsumer(w http.ResponseWriter, r *http.Request, name string) error {
	c, _, err := readConsumer(w, r)
	if err != nil {
		return err
	}
	put, created, err := a.directory.Put(r.Context(), name, c)
	if err != nil {
		return consumerError(err)
	}
	if created {
		return WriteAdminJSON(w, http.StatusCreated, put)
	}
	return WriteAdminJSON(w, http.StatusOK, put)
}

// patchConsumer changes what the body names: RFC 7396, in which null removes.
func (a *App) patchConsumer(w http.ResponseWriter, r *http.Request, name string) error {
	given, patch, err := readConsumer(w, r)
	if err != nil {
		return err
	}
	changed, err := a.directory.Update(r.Context(), name, func(c *consumer.Consumer) error {
		for member := range patch {
			switch member {
			case "id":
				c.ID = given.ID
			case "username":
				c.Username = given.Username
			case "custom_id":
				c.CustomID = given.CustomID
			case "tags":
				c.Tags = given.Tags
			case "created_at":
				c.CreatedAt = given.CreatedAt
			}
		}
		return nil
	})
	if err != nil {
		return consumerError(err)
	}
	return WriteAdminJSON(w, http.StatusOK, changed)
}

// readConsumer reads a consumer, and returns the members that are given too.
func readConsumer(w http.ResponseWriter, r *http.Request) (c consumer.Consumer, members map[string]json.RawMessage, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return c, nil, AdminError(http.StatusUnsupportedMediaType, errors.New("the body is JSON: send 'Content-Type: application/json'"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxConsumerJSON))
	if err != nil {
		return c, nil, AdminError(http.StatusRequestEntityTooLarge, fmt.Errorf("a consumer has at most %d bytes", maxConsumerJSON))
	}
	if !utf8.Valid(body) {
		return c, nil, AdminError(http.StatusBadRequest, errors.New("the body is not valid UTF-8"))
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, nil, AdminError(http.StatusBadRequest, fmt.Errorf("the body is no consumer: %w", err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return c, nil, AdminError(http.StatusBadRequest, errors.New("there is something after the consumer"))
	}
	if members, err = consumerMembers(body); err != nil {
		return c, nil, AdminError(http.StatusBadRequest, fmt.Errorf("the body is no consumer: %w", err))
	}
	return c, members, nil
}

// consumerMembers returns the members of a consumer that can be decoded. It
// refuses what decoders read differently: what is stored would not be what was
// meant.
func consumerMembers(body []byte) (map[string]json.RawMessage, error) {
	object, err := jose.ParseObject(body)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"id", "username", "custom_id"} {
		if _, err := object.Text(name); err != nil {
			return nil, err
		}
	}
	if tags, ok := object.Get("tags"); ok && !tags.IsNull() {
		if _, err := tags.Texts(); err != nil {
			return nil, fmt.Errorf("tags: %w", err)
		}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	for name := range members {
		switch name {
		case "id", "username", "custom_id", "tags", "created_at":
		default: // another case of a name, which the decoder has let pass
			return nil, &consumer.InvalidError{Field: name, Reason: "is no member of a consumer"}
		}
	}
	return members, nil
}

// consumerError answers with what went wrong.
func consumerError(err error) error {
	status := http.StatusServiceUnavailable // the storage did not do it
	_, invalid := errors.AsType[*consumer.InvalidError](err)
	_, conflict := errors.AsType[*consumer.ConflictError](err)
	switch {
	case invalid, errors.Is(err, consumer.ErrOffset):
		status = http.StatusBadRequest
	case conflict, errors.Is(err, consumer.ErrConfigured):
		status = http.StatusConflict
	case errors.Is(err, consumer.ErrNotFound):
		status = http.StatusNotFound
	}
	return AdminError(status, err)
}
