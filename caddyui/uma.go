// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-gluu/gateway/internal/status"
)

// umaPage shows the resources of the handlers that protect resources, a page of them.
type umaPage struct {
	Query, State string
	Sites        []umaSite
	Handlers     int    // in all
	Total        int    // resources that fit
	Missing      int    // resources that are missing, of all handlers
	Next         string // address of the next page, "" on the last
}

// umaSite is a handler with those of its resources that are on the page.
type umaSite struct {
	status.UMA
	Position int // among the handlers, from 1
	All      int // resources of the handler
	Shown    []status.Resource
}

// resourcesOnAPage is how many resources there are at once, and handlers that have none.
const resourcesOnAPage = 100

func showUMA(v *visit) error {
	query := v.r.URL.Query()
	page := umaPage{Query: strings.TrimSpace(query.Get("q")), State: query.Get("state")}
	if !slices.Contains([]string{"", status.Registered, status.Existing, status.Missing}, page.State) {
		page.State = "" // as if nothing were chosen
	}
	offset, _ := strconv.Atoi(query.Get("offset")) // what is not a number is the first page
	page.fill(v.app.UMA(), max(offset, 0))
	return v.show(http.StatusOK, "uma", "UMA", &page)
}

// fill chooses what is on the page.
func (p *umaPage) fill(handlers []status.UMA, offset int) {
	p.Handlers = len(handlers)
	for i, h := range handlers {
		p.Missing += h.Missing()
		site := umaSite{UMA: h, Position: i + 1, All: len(h.Resources)}
		for _, r := range h.Resources {
			if !p.fits(r) {
				continue
			}
			if p.Total++; p.Total > offset && p.Total <= offset+resourcesOnAPage {
				site.Shown = append(site.Shown, r)
			}
		}
		isEmpty := site.All == 0 && offset == 0 && p.IsWhole()
		if len(site.Shown) > 0 || isEmpty && len(p.Sites) < resourcesOnAPage {
			p.Sites = append(p.Sites, site)
		}
	}
	if end := offset + resourcesOnAPage; p.Total > end {
		p.Next = "uma?" + url.Values{"q": {p.Query}, "state": {p.State}, "offset": {strconv.Itoa(end)}}.Encode()
	}
}

// IsWhole reports whether nothing was searched for.
func (p *umaPage) IsWhole() bool { return p.Query == "" && p.State == "" }

// fits reports whether a resource is what was searched for.
func (p *umaPage) fits(r status.Resource) bool {
	if p.State != "" && r.State != p.State {
		return false
	}
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(p.Query)) }
	return has(r.Name) || has(r.ID) || slices.ContainsFunc(r.Scopes, has) || slices.ContainsFunc(r.Rules, has)
}
