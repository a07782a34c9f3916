// SPDX-License-Identifier: Apache-2.0

package decisions

import "time"

// Refused is a refusal as a handler adds it. Strings are copied, and cut where they
// are longer than a person reads.
type Refused struct {
	RequestID, Method, Host, Path, ClientIP string

	// Handler refused it, after those in Passed had let it pass.
	Handler HandlerID
	Passed  Trail

	// Caller is what the last handler found out that authenticates: one of the
	// verdicts Authenticated, Anonymous and NoToken; "" if none ran.
	Caller Verdict

	Status                              int
	Reason, Error, Description          string
	Rule, Operation, Policy, DecisionID string
	ClientID, Consumer, Provider        string

	// Required is the expression of the rule, Scopes are those of the token, and
	// Enough are scopes that would do, separated by spaces; "" if there is no such set.
	Required string
	Scopes   []string
	Enough   string

	// Detail is what the log says about the cause, and not the client.
	Detail string

	// DryRun says that the request passed all the same.
	DryRun bool
}

// Decision is a refusal as it is read. Its names are those of the log where the log
// has them.
type Decision struct {
	// Number counts the refusals of this process, from 1.
	Number uint64    `json:"number"`
	Time   time.Time `json:"time"`

	RequestID string `json:"request_id"`
	Method    string `json:"method"`
	Host      string `json:"host"`
	Path      string `json:"path"`
	ClientIP  string `json:"client_ip"`

	// Handler is the one that refused, Chain the handlers of the gateway that saw
	// the request, in the order in which they ran. It is the last of them.
	Handler string `json:"handler"`
	Chain   []Step `json:"chain"`

	Status      int    `json:"status"`
	Reason      string `json:"reason"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Detail      string `json:"detail,omitempty"`
	DryRun      bool   `json:"dry_run,omitempty"`

	Rule       string `json:"rule"`
	Operation  string `json:"operation,omitempty"`
	Policy     string `json:"policy,omitempty"` // revision of the rules
	DecisionID string `json:"decision_id,omitempty"`

	ClientID string `json:"client_id"`
	Consumer string `json:"consumer"`
	Provider string `json:"provider"`

	// Required is the expression of the rule, Scopes are those of the token. Enough
	// are scopes that would do and Missing those of them that the token lacks; none
	// if no single set would do.
	Required string   `json:"required,omitempty"`
	Scopes   []string `json:"grants,omitempty"`
	Enough   []string `json:"enough,omitempty"`
	Missing  []string `json:"missing,omitempty"`
}

// Step is what one handler did with a request.
type Step struct {
	Handler string  `json:"handler"` // such as gluu_oauth_pep
	Verdict Verdict `json:"verdict"`
}

// Verdict is what a handler decided.
type Verdict string

// The verdicts. Those of a caller are of handlers that authenticate.
const (
	Authenticated Verdict = "authenticated"
	Anonymous     Verdict = "anonymous"
	NoToken       Verdict = "no_token"
	Passed        Verdict = "passed"
	RefusedIt     Verdict = "refused"
	WouldRefuse   Verdict = "would_refuse" // in a dry run
)
