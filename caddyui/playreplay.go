// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"encoding/json"
	"net/http"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/replay"
	"github.com/caddy-gluu/gateway/internal/routemap"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// replayed is what the drafts would do to those who are there.
type replayed struct {
	Rules   string // what they are compared with, "" for none
	Note    string // why there is none
	Impacts []*impact
}

// replayDrafts tries the last refusals, and the callers whose tokens are in memory,
// with the drafts in place of the rules in force.
func replayDrafts(v *visit) error {
	page := v.playgroundOf()
	_ = page.decide() // what was tried before stays on the page
	page.Replay = new(replayed)
	inForce, note := v.rulesInForce(page.Host)
	page.Replay.Note = note
	for i := range page.Drafts {
		d := &page.Drafts[i]
		if d.policy == nil {
			continue
		}
		found := d.replay(v, inForce, page.Host)
		found.Name = d.Name
		page.Replay.Impacts = append(page.Replay.Impacts, found)
	}
	if inForce != nil {
		page.Replay.Rules = inForce.name
	}
	if len(page.Replay.Impacts) == 0 {
		page.Problem = "Write a draft that can be read: it is what is replayed."
		return v.showPlaygroundPage(http.StatusBadRequest, page)
	}
	return v.showPlaygroundPage(http.StatusOK, page)
}

func (d *draft) replay(v *visit, inForce *rulesInForce, host string) *impact {
	if inForce != nil {
		return impactBetween(inForce.policy, d.policy, inForce.isOpen, v.app.EachToken, refusalsBy(oauthPEP, inForce.site.Serves))
	}
	refused := decisions.Recent.List(decisions.Filter{Handler: oauthPEP, Host: host}, refusalsTried)
	found := &impact{NoTokens: true}
	found.Passes, found.Refusals = replay.Refusals(refused, replay.Rules{Policy: d.policy})
	found.cutPasses()
	return found
}

const oauthPEP = "gluu_oauth_pep"

// rulesInForce are those of a running handler.
type rulesInForce struct {
	name   string
	policy *scopeexpr.Policy
	isOpen bool
	site   *routemap.Site
}

// rulesInForce finds the one handler with rules that a host reaches, "" for any. If
// there is none or several, note says so.
func (v *visit) rulesInForce(host string) (found *rulesInForce, note string) {
	all, err := v.app.Routes()
	if err != nil {
		return nil, sentence(err.Error())
	}
	for i := range all.Servers {
		for _, site := range all.Servers[i].Sites {
			if host != "" && !site.Serves(host) {
				continue
			}
			for _, h := range ruleHandlersIn(site.Route) {
				decides, ok := routemap.Running(h.Pointer).(interface{ InForce() *scopeexpr.Policy })
				switch {
				case !ok:
				case found != nil:
					return nil, "Several handlers have rules there: write the host of one to see which callers would lose something."
				default:
					found = &rulesInForce{name: h.Name + " of " + siteName(site), policy: decides.InForce(), isOpen: isOpen(h), site: site}
				}
			}
		}
	}
	if found == nil {
		note = "No gluu_oauth_pep runs there, so only the refusals are tried."
	}
	return found, note
}

func ruleHandlersIn(r *routemap.Route) (found []*routemap.Handler) {
	for _, h := range r.Handle {
		if h.Name == oauthPEP {
			found = append(found, h)
		}
		for _, inner := range h.Routes {
			found = append(found, ruleHandlersIn(inner)...)
		}
	}
	return found
}

func isOpen(h *routemap.Handler) bool {
	var members struct {
		DenyByDefault *bool `json:"deny_by_default"`
	}
	return json.Unmarshal(h.Raw(), &members) == nil && members.DenyByDefault != nil && !*members.DenyByDefault
}

func siteName(s *routemap.Site) string {
	if len(s.Hosts) == 0 {
		return "all hosts"
	}
	return s.Hosts[0]
}
