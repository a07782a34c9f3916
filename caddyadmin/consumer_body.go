// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/jose"
)

// Bodies are read more strictly than encoding/json does by itself: whatever
// two decoders could read differently is refused, so that what is stored is
// what was meant. Bodies are JSON and have to say so, since a browser sends no
// such request to another origin without asking first.

const maxConsumerJSON = 64 << 10

// consumerMembers are the members of a consumer, by name, each with the
// function that copies it.
var consumerMembers = map[string]func(to, from *consumer.Consumer){
	"id":         func(to, from *consumer.Consumer) { to.ID = from.ID },
	"username":   func(to, from *consumer.Consumer) { to.Username = from.Username },
	"custom_id":  func(to, from *consumer.Consumer) { to.CustomID = from.CustomID },
	"provider":   func(to, from *consumer.Consumer) { to.Provider = from.Provider },
	"tags":       func(to, from *consumer.Consumer) { to.Tags = from.Tags },
	"groups":     func(to, from *consumer.Consumer) { to.Groups = from.Groups },
	"created_at": func(to, from *consumer.Consumer) { to.CreatedAt = from.CreatedAt },
}

// readConsumer reads a consumer, and returns the names of the members that
// are given, which matters for changes.
func readConsumer(w http.ResponseWriter, r *http.Request) (c consumer.Consumer, members map[string]json.RawMessage, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return c, nil, apiError(http.StatusUnsupportedMediaType, errors.New("the body is JSON: send 'Content-Type: application/json'"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxConsumerJSON))
	if err != nil {
		return c, nil, apiError(http.StatusRequestEntityTooLarge, fmt.Errorf("a consumer has at most %d bytes", maxConsumerJSON))
	}
	if c, members, err = parseConsumer(body); err != nil {
		return c, nil, apiError(http.StatusBadRequest, err)
	}
	return c, members, nil
}

func parseConsumer(body []byte) (c consumer.Consumer, members map[string]json.RawMessage, err error) {
	if !utf8.Valid(body) {
		return c, nil, errors.New("the body is not valid UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, nil, fmt.Errorf("the body is not a consumer: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return c, nil, errors.New("there is something after the consumer")
	}
	if members, err = membersOf(body); err != nil {
		return c, nil, fmt.Errorf("the body is not a consumer: %w", err)
	}
	return c, members, nil
}

// membersOf returns the members of a consumer that can be decoded.
func membersOf(body []byte) (map[string]json.RawMessage, error) {
	object, err := jose.ParseObject(body)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"id", "username", "custom_id", "provider"} {
		if _, err := object.Text(name); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"tags", "groups"} {
		if list, ok := object.Get(name); ok && !list.IsNull() {
			if _, err := list.Texts(); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	for name := range members {
		if consumerMembers[name] == nil { // a name in another case, which encoding/json accepts
			return nil, &consumer.InvalidError{Field: name, Reason: "is not a member of a consumer"}
		}
	}
	return members, nil
}
