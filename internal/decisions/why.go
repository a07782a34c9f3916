// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"fmt"
	"strings"
)

// Meaning says what a reason means and who can change it.
type Meaning struct {
	Meaning string `json:"meaning"`
	Fix     string `json:"who_can_fix_it"`
}

// meanings are the rows of docs/records.md, with which a test compares them.
var meanings = map[string]Meaning{
	"no_token":             {"the request has no token", "the client"},
	"malformed_request":    {"the Authorization header cannot be read, or there are two; the method is a known one in another case (get)", "the client"},
	"token_invalid":        {"the token is not from this provider, or not for this API (audience)", "the client; you, if audience or issuer is wrong"},
	"token_inactive":       {"the authorization server says that the token is not active", "the client"},
	"token_expired":        {"the token has expired", "the client"},
	"token_bound":          {"the token is sender-constrained (bound to a key), and the request does not prove possession of the key", "the client"},
	"unknown_consumer":     {"the token is valid, but its client matches no consumer's custom_id", "you: add the consumer"},
	"scope_missing":        {"the token does not have the scopes that the rule requires", "the client; the server's administrator"},
	"step_up_required":     {"the user's login was too weak or too long ago for this rule (RFC 9470)", "the user"},
	"no_rule":              {"no rule covers this path and method", "you, if there should be one"},
	"group_missing":        {"the consumer is in no group that gluu_acl allows", "you, if it should be in one"},
	"group_denied":         {"the consumer is in a group that gluu_acl denies", "you, if it should not be"},
	"ambiguous_path":       {"the path can be read in two ways", "the client"},
	"path_too_long":        {"the path is longer than any API's", "the client"},
	"provider_unavailable": {"the authorization server does not answer, or refuses the gateway's own credentials", "the server's administrator; you, if client_id or client_secret is wrong"},
	"answer_unreadable":    {"the authorization server's answer about this token is complete but cannot be read: malformed, too large, too deep, a member twice, a claim of the wrong type", "the server's administrator, by what the log says about the answer"},
	"token_limit":          {"too many unknown tokens came from the client's network", "the client; you, if many clients share an address: see trusted_proxies"},
	"rate_limited":         {"the caller has made more requests than gluu_rate_limit allows; not in gluu_client_refused", "the client"},
	"not_authenticated":    {"no authentication handler ran before the PEP", "you: put one there, with the same matcher"},
	"not_ready":            {"the gateway waits for something of its own, such as its signing key", "you, if it persists: check the storage"},
	"policy_denied":        {"the policy refuses", "the client; the author of the policy"},
	"policy_undefined":     {"the policy says nothing about the request", "you: check decision, add a default rule"},
	"policy_error":         {"the policy's result is neither a boolean nor an object with allow, or its evaluation failed", "the author of the policy"},
	"policy_timeout":       {"an evaluation took too long", "the author of the policy; you, by timeout"},
	"policy_unavailable":   {"the policy server does not answer, or bundles are older than max_stale", "the server's administrator"},
	"body_too_large":       {"the body is longer than a policy is shown", "the client; you, by the limit of body"},
	"body_unsupported":     {"the body is compressed or of another type than a policy is shown", "the client"},
	"too_many_fields":      {"more header fields than a policy is shown", "the client"},
	"login_required":       {"no session, and the request is not one that can log in", "-"},
	"login_state_unknown":  {"a callback that belongs to no login of this browser", "the person: start again; you, if it is frequent: compare hosts and cookies"},
	"login_refused":        {"the person or the OpenID Provider said no", "the person"},
	"login_failed":         {"the OpenID Provider's answer breaks the rules; the line says which", "the provider's administrator"},
	"acr_insufficient":     {"a second login was too weak as well", "the provider's administrator"},
	"session_unavailable":  {"the session store does not answer", "you: check the store"},
	"post_too_large":       {"a form is too large to be kept during a login", "the person"},
	"logout_token_invalid": {"a logout token is not valid here, or was used before", "the provider's administrator"},
	"uma_denied":           {"the UMA authorization server gives the person no permission that satisfies the rule", "the server's administrator"},
	"uma_submitted":        {"the owner of the resource has to approve", "the owner"},
	"uma_claims_needed":    {"the UMA authorization server needs to know more about the person", "you: push more claims, or send people there (redirect_claim_gathering_url)"},
	"uma_state_unknown":    {"a way back from the UMA authorization server belongs to no way there of this session", "the person: start again"},
	"uma_failed":           {"the UMA authorization server's answer cannot be used; the line says why", "the server's administrator"},
	"unknown_host":         {"a Host that the site does not name would become an address", "you: name it, or write base_url"},
	"internal_error":       {"the gateway failed, for example to sign", "you: see the log"},
	"ticket_limit":         {"the client requests too many permission tickets", "the client"},
}

// MeaningOf says what a reason means; in general terms if it is not known here.
func MeaningOf(reason string) Meaning {
	if m, ok := meanings[reason]; ok {
		return m
	}
	return Meaning{"see the reason codes in the documentation", "-"}
}

// Why is a refusal with what people need to know about it.
type Why struct {
	*Decision
	Meaning

	// ForClient can be sent to the client's owner. It says no more than the
	// answer did.
	ForClient string `json:"for_client"`
}

// Explain adds what people need to know.
func (d *Decision) Explain() Why {
	return Why{d, MeaningOf(d.Reason), d.forClient()}
}

func (d *Decision) forClient() string {
	var b strings.Builder
	answered := "was"
	if d.DryRun {
		answered = "passed because the gateway only tries its rules out; it would have been"
	}
	fmt.Fprintf(&b, "The request %s %s to %s at %s %s answered %d %s (request id %s).", d.Method, d.Path, d.Host,
		d.Time.Format("2006-01-02 15:04:05 UTC"), answered, d.Status, d.Error, d.RequestID)
	if d.Description != "" {
		b.WriteString(" " + d.Description)
	}
	if len(d.Missing) > 0 {
		fmt.Fprintf(&b, " A token with these scopes will do: %s; missing are: %s.", strings.Join(d.Enough, " "), strings.Join(d.Missing, " "))
	}
	return b.String()
}
