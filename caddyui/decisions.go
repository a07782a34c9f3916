// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/caddy-gluu/gateway/internal/decisions"
)

// decisionsPage lists refusals, the newest first.
type decisionsPage struct {
	Form      filterForm
	Decisions []*decisions.Decision
	Older     string // address of the next page, "" on the last
	Tail      string // address of the live tail, "" on pages of older ones
	Reasons   []string
}

// filterForm is the filter as it is written in the address.
type filterForm struct {
	Text, Reason, Host, Client, Consumer, Status string
	isSet                                        bool
}

// decisionsOnAPage is how many there are at once, in the list and in the tail.
const decisionsOnAPage = 100

func showDecisions(v *visit) error {
	filter, form, err := readFilter(v.r.URL.Query())
	if err != nil {
		return unfit(err)
	}
	page := decisionsPage{Form: form, Decisions: decisions.Recent.List(filter, decisionsOnAPage)}
	query := form.query()
	if n := len(page.Decisions); n == decisionsOnAPage {
		older := form.query()
		older.Set("before", strconv.FormatUint(page.Decisions[n-1].Number, 10))
		page.Older = "decisions?" + older.Encode()
	}
	if filter.Before == 0 {
		page.Tail = "tail?" + query.Encode()
	}
	hour := decisions.Recent.Last(int(60 * 60 / decisions.Interval.Seconds()))
	for _, r := range hour.Reasons {
		page.Reasons = append(page.Reasons, r.Reason)
	}
	return v.show(http.StatusOK, "decisions", "Decisions", page)
}

// readFilter reads the filter of a request for the list or for its tail.
func readFilter(query url.Values) (f decisions.Filter, form filterForm, err error) {
	form = filterForm{
		Text: query.Get("q"), Reason: query.Get("reason"), Host: query.Get("host"),
		Client: query.Get("client"), Consumer: query.Get("consumer"), Status: query.Get("status"),
	}
	form.isSet = form != filterForm{}
	f = decisions.Filter{Text: form.Text, Reason: form.Reason, Host: form.Host, ClientID: form.Client, Consumer: form.Consumer}
	if form.Status != "" {
		if f.Status, err = strconv.Atoi(form.Status); err != nil || f.Status < 100 || f.Status > 599 {
			return f, form, fmt.Errorf("a status is a number such as 403, not %q", form.Status)
		}
	}
	if before := query.Get("before"); before != "" {
		if f.Before, err = strconv.ParseUint(before, 10, 64); err != nil {
			return f, form, fmt.Errorf("before is the number of a refusal, not %q", before)
		}
	}
	return f, form, nil
}

// query is the filter as a part of an address.
func (f filterForm) query() url.Values {
	query := url.Values{}
	for name, value := range map[string]string{
		"q": f.Text, "reason": f.Reason, "host": f.Host, "client": f.Client, "consumer": f.Consumer, "status": f.Status,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// IsSet reports whether something is filtered.
func (f filterForm) IsSet() bool { return f.isSet }

// whyPage is all that is known about one request.
type whyPage struct {
	ID    string // that was asked for
	Found []decisions.Why
}

func showWhy(v *visit) error {
	page := whyPage{ID: v.r.URL.Query().Get("id")}
	if page.ID != "" {
		for _, d := range decisions.Recent.Find(page.ID) {
			page.Found = append(page.Found, d.Explain())
		}
	}
	status := http.StatusOK
	if page.ID != "" && len(page.Found) == 0 {
		status = http.StatusNotFound
	}
	return v.show(status, "why", "Why was it refused?", page)
}

// verdicts are what the chain of handlers says, for people.
var verdicts = map[decisions.Verdict]string{
	decisions.Authenticated: "knows the caller",
	decisions.Anonymous:     "takes the caller for the anonymous consumer",
	decisions.NoToken:       "found no token",
	decisions.Passed:        "let it pass",
	decisions.RefusedIt:     "refused it",
	decisions.WouldRefuse:   "would refuse it, but is in a dry run",
}

func verdictText(v decisions.Verdict) string {
	if text, ok := verdicts[v]; ok {
		return text
	}
	return string(v)
}
