// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddy-gluu/gateway/consumer"
)

// consumersPage is a page of all consumers, or what a search has found.
type consumersPage struct {
	Query     string
	Consumers []consumerRow
	Next      string // address of the next page, "" on the last
	IsCut     bool   // the search has found more than it shows
}

type consumerRow struct {
	*consumer.Consumer
	IsConfigured bool
}

// consumersOnAPage is how many there are at once.
const consumersOnAPage = 50

func showConsumers(v *visit) error {
	directory, query := v.app.Directory(), v.r.URL.Query()
	page := consumersPage{Query: strings.TrimSpace(query.Get("q"))}
	var found []*consumer.Consumer
	var next string
	var err error
	if page.Query == "" {
		found, next, err = directory.List(consumersOnAPage, query.Get("offset"))
	} else {
		found, page.IsCut, err = search(directory, page.Query)
	}
	if err != nil {
		return consumerFault(err)
	}
	for _, c := range found {
		page.Consumers = append(page.Consumers, consumerRow{c, directory.IsConfigured(c)})
	}
	if next != "" {
		page.Next = "consumers?" + url.Values{"offset": {next}}.Encode()
	}
	return v.show(http.StatusOK, "consumers", "Consumers", page)
}

// search returns the consumers that have a text in their names, tags or groups, in
// any case of its letters. Whom it names exactly comes first.
func search(d *consumer.Directory, text string) (found []*consumer.Consumer, isCut bool, err error) {
	exact := d.Find(text)
	if exact != nil {
		found = append(found, exact)
	}
	wanted := strings.ToLower(text)
	for offset := ""; ; {
		page, next, err := d.List(1000, offset)
		if err != nil {
			return nil, false, err
		}
		for _, c := range page {
			if c == exact || !mentions(c, wanted) {
				continue
			}
			if len(found) == consumersOnAPage {
				return found, true, nil
			}
			found = append(found, c)
		}
		if next == "" {
			return found, false, nil
		}
		offset = next
	}
}

func mentions(c *consumer.Consumer, wanted string) bool {
	has := func(text string) bool { return containsFold(text, wanted) }
	return has(c.Username) || has(c.CustomID) || has(c.ID) || slices.ContainsFunc(c.Groups, has) || slices.ContainsFunc(c.Tags, has)
}

// containsFold reports whether a text has another in it, in any case of its letters.
// What is wanted is in lower case. A search asks this of every field of 100,000
// consumers, so that most of them are passed over by their bytes.
func containsFold(text, wanted string) bool {
	if wanted == "" || strings.ContainsFunc(wanted, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return strings.Contains(strings.ToLower(text), wanted)
	}
	for i := 0; i+len(wanted) <= len(text); i++ {
		if lower(text[i]) == wanted[0] && strings.EqualFold(text[i:i+len(wanted)], wanted) {
			return true
		}
	}
	return false
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}

// consumerPage is one consumer, or the form for a new one.
type consumerPage struct {
	*consumer.Consumer
	IsNew        bool
	IsConfigured bool
	State        string // of the consumer that the form shows
	Providers    []string
	Problem      string
}

func showConsumer(v *visit) error {
	id := v.r.URL.Query().Get("id")
	if id == "" {
		return v.showConsumerForm(http.StatusOK, &consumerPage{Consumer: new(consumer.Consumer), IsNew: true})
	}
	c, err := v.app.Directory().Lookup(id)
	if err != nil {
		return consumerFault(err)
	}
	return v.showConsumerForm(http.StatusOK, &consumerPage{Consumer: c, IsConfigured: v.app.Directory().IsConfigured(c), State: stateOf(c)})
}

func (v *visit) showConsumerForm(status int, page *consumerPage) error {
	for _, p := range v.app.ProviderStatuses() {
		page.Providers = append(page.Providers, p.Name)
	}
	title := page.Name()
	if page.IsNew {
		title = "New consumer"
	}
	return v.show(status, "consumer", title, page)
}

// saveConsumer creates a consumer, or changes what the form has. Members that it does
// not have stay.
func saveConsumer(v *visit) error {
	form := v.r.PostForm
	edited := consumer.Consumer{
		Username: strings.TrimSpace(form.Get("username")), CustomID: strings.TrimSpace(form.Get("custom_id")), Provider: form.Get("provider"),
		Groups: lines(form.Get("groups")), Tags: lines(form.Get("tags")),
	}
	id := form.Get("id")
	saved, err := v.saveConsumer(id, form.Get("state"), edited)
	if err == nil {
		v.changed("consumer saved", saved.ID)
		v.redirect("./consumer?" + url.Values{"id": {saved.ID}, "done": {"consumer-saved"}}.Encode())
		return nil
	}
	fault := consumerFault(err)
	if fault.Status >= http.StatusInternalServerError || fault.Status == http.StatusNotFound {
		return fault
	}
	edited.ID = id
	return v.showConsumerForm(fault.Status, &consumerPage{Consumer: &edited, IsNew: id == "", State: form.Get("state"), Problem: fault.Text})
}

func (v *visit) saveConsumer(id, state string, edited consumer.Consumer) (*consumer.Consumer, error) {
	if id == "" {
		return v.app.Directory().Create(v.r.Context(), edited)
	}
	return v.app.Directory().Update(v.r.Context(), id, func(c *consumer.Consumer) error {
		if stateOf(c) != state {
			return errChanged
		}
		c.Username, c.CustomID, c.Provider, c.Groups, c.Tags = edited.Username, edited.CustomID, edited.Provider, edited.Groups, edited.Tags
		return nil
	})
}

func deleteConsumer(v *visit) error {
	id := v.r.PostForm.Get("id")
	c, err := v.app.Directory().Lookup(id)
	if err == nil && stateOf(c) != v.r.PostForm.Get("state") {
		err = errChanged
	}
	if err == nil {
		err = v.app.Directory().Delete(v.r.Context(), id)
	}
	if err != nil {
		return consumerFault(err)
	}
	v.changed("consumer deleted", id)
	v.redirect("./consumers?done=consumer-deleted")
	return nil
}

// errChanged says that a form shows a consumer as it was before another change.
var errChanged = errors.New("someone else has changed this consumer since the page was opened: open it again and repeat your change")

// stateOf stands for a consumer as it is.
func stateOf(c *consumer.Consumer) string {
	text, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// lines returns the lines of a text that are not empty.
func lines(text string) (found []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			found = append(found, line)
		}
	}
	return found
}

func consumerFault(err error) *fault {
	status := http.StatusServiceUnavailable
	var invalid *consumer.InvalidError
	var conflict *consumer.ConflictError
	switch {
	case errors.Is(err, consumer.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, errChanged):
		status = http.StatusPreconditionFailed
	case errors.Is(err, consumer.ErrConfigured), errors.As(err, &conflict):
		status = http.StatusConflict
	case errors.Is(err, consumer.ErrOffset), errors.As(err, &invalid):
		status = http.StatusBadRequest
	}
	return &fault{Status: status, Title: "Consumers", Text: sentence(err.Error())}
}
