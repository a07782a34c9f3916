// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddy-gluu/gateway/internal/routemap"
)

// lanesPage shows each site as a lane of handlers.
type lanesPage struct {
	Query, Request string
	Problem        string
	Taken          *routemap.Taken
	Lanes          []lane
	Total          int    // sites that fit
	Unprotected    int    // of all sites
	Next           string // address of the next page, "" on the last
}

// lane is a site with its handlers below each other.
type lane struct {
	*routemap.Site
	Rows []laneRow
	Cut  int // handlers that are not shown
}

// laneRow is a condition, or a handler.
type laneRow struct {
	Depth     int
	Condition string // of the rows that follow, deeper
	Handler   *routemap.Handler
	IsTaken   bool // a request that was asked about meets it
	IsCurrent bool
}

// Bounds of a page: of handlers on all lanes, and of one lane where there are others.
const (
	rowsOnAPage = 250
	rowsOfALane = 60
)

func showLanes(v *visit) error {
	query := v.r.URL.Query()
	page := lanesPage{Query: strings.TrimSpace(query.Get("q")), Request: strings.TrimSpace(query.Get("request"))}
	status := http.StatusOK
	found, err := v.app.Routes()
	if err != nil {
		page.Problem, status = sentence(err.Error()), http.StatusServiceUnavailable
		return v.show(status, "routes", "Routes", page)
	}
	if page.Request != "" {
		if page.Taken, err = routemap.Take(v.r.Context(), page.Request); err != nil {
			page.Problem, status = sentence(err.Error()), http.StatusBadRequest
		}
	}
	offset, _ := strconv.Atoi(query.Get("offset")) // what is not a number is the first page
	page.fill(found, max(offset, 0))
	return v.show(status, "routes", "Routes", page)
}

// fill chooses the lanes of a page. If a request was asked about, that is the one of
// its site.
func (p *lanesPage) fill(found *routemap.Map, offset int) {
	rows := 0
	for _, server := range found.Servers {
		for _, site := range server.Sites {
			if site.Unprotected {
				p.Unprotected++
			}
			if p.Taken != nil && site.Pointer != p.Taken.Site || !site.Mentions(p.Query) {
				continue
			}
			if p.Total++; p.Total <= offset || p.Next != "" {
				continue
			}
			if rows >= rowsOnAPage {
				p.Next = "routes?" + url.Values{"q": {p.Query}, "offset": {strconv.Itoa(p.Total - 1)}}.Encode()
				continue
			}
			l := laneOf(site, p.Taken, "", rowsOfALane)
			rows += len(l.Rows)
			p.Lanes = append(p.Lanes, l)
		}
	}
}

// laneOf puts the handlers of a site below each other.
func laneOf(site *routemap.Site, taken *routemap.Taken, current string, most int) lane {
	l := lane{Site: site}
	l.add(site.Route, 0, false, func(row laneRow) {
		if len(l.Rows) >= most {
			if row.Handler != nil {
				l.Cut++
			}
			return
		}
		if h := row.Handler; h != nil {
			row.IsTaken, row.IsCurrent = taken.Has(h.Pointer), h.Pointer == current
		}
		l.Rows = append(l.Rows, row)
	})
	return l
}

// maxLaneDepth is how far rows are moved to the right.
const maxLaneDepth = 5

// add goes through the handlers of a route. Handlers that only contain others are not
// shown, unless what is inside comes from elsewhere. The rest is what other routes of
// the same group have left.
func (l *lane) add(r *routemap.Route, depth int, isRest bool, row func(laneRow)) {
	if len(r.Match) > 0 {
		row(laneRow{Depth: depth, Condition: strings.Join(r.Match, ", or ")})
		depth = min(depth+1, maxLaneDepth)
	} else if isRest {
		row(laneRow{Depth: depth, Condition: "anything else"})
		depth = min(depth+1, maxLaneDepth)
	}
	for _, h := range r.Handle {
		if h.Role != routemap.Contains || h.Named != "" || len(h.Routes) == 0 {
			row(laneRow{Depth: depth, Handler: h})
		}
		groups := map[string]bool{"": false}
		for _, inner := range h.Routes {
			l.add(inner, depth, groups[inner.Group], row)
			groups[inner.Group] = inner.Group != ""
		}
	}
}

// protections are what stands before a handler, for people.
var protections = map[routemap.Protection]struct{ State, Text string }{
	routemap.ByRules: {"good", "behind rules"},
	routemap.ByLogin: {"good", "behind authentication"},
	routemap.Partly:  {"warn", "partly unprotected"},
	routemap.None:    {"bad", "unprotected"},
}
