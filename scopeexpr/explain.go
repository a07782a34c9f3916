// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/pathmatch"
)

// An Explanation shows people how a rule decides, and why.
type Explanation struct {
	// Granted is what Decide returns.
	Granted bool
	// Captures are the captures of the path.
	Captures []pathmatch.Capture
	// Data are the entries of the expression, in the order of the document.
	Data []EntryResult
	// Tree is the rule with the result of each part, nil for a rule with an Access.
	Tree *TreeNode
	// Failed says why the rule denied although the tree may say otherwise: a
	// regular expression timed out. It is usually empty.
	Failed string
}

// EntryResult is the result of an entry of the data.
type EntryResult struct {
	Entry   string
	Used    bool   // the rule refers to it
	Matched bool   // a scope satisfies it
	By      string // that scope
	Note    string // a near miss, if there is one
}

// TreeNode is a part of a rule.
type TreeNode struct {
	Label    string // the operator, the entry or the constant
	Operator bool
	Value    any // its result, usually a bool
	Operands []*TreeNode
}

// Explain decides like Decide, and shows how. It is slower.
func (r *Rule) Explain(path string, scopes []string) *Explanation {
	x := &Explanation{Captures: r.pattern.Captures(path, nil)}
	if len(x.Captures) != r.pattern.NumCaptures() {
		x.Failed = "a regular expression in the path timed out"
		return x
	}
	if r.condition.Access != "" {
		// Who passes does not depend on scopes, so there is nothing to show.
		x.Granted = r.Decide(path, NewScopes(r.policy, scopes))
		return x
	}
	document := r.condition.ScopeExpression
	rule, _ := parseLogic(document.Rule, len(document.Data)) // Compile has read it
	used := make(map[int]bool)
	rule.walk(func(n *node) { used[n.ref] = true })
	values := make([]any, len(document.Data))
	for i, text := range document.Data {
		result := EntryResult{Entry: text, Used: used[i]}
		e, _ := newEntry(text)
		result.Matched, result.By, result.Note = e.explain(scopes, x.Captures)
		values[i] = result.Matched
		x.Data = append(x.Data, result)
	}
	x.Tree = rule.tree(document.Data, values)
	x.Granted = r.Decide(path, NewScopes(r.policy, scopes))
	if !x.Granted && x.Tree.Value == true {
		x.Failed = "a regular expression in the scopes timed out"
	}
	return x
}

// explain says which scope satisfies e, or which one nearly does.
func (e *entry) explain(scopes []string, captures []pathmatch.Capture) (matched bool, by, note string) {
	if e.pattern == nil {
		if slices.Contains(scopes, e.text) {
			return true, e.text, ""
		}
		return false, "", e.nearMiss(scopes)
	}
	for _, scope := range scopes {
		groups, ok := e.pattern.Groups(scope, nil)
		if !ok {
			continue
		}
		different := e.difference(groups, captures)
		if different == "" {
			return true, scope, ""
		}
		if note == "" {
			note = scope + " matches, but " + different
		}
	}
	return false, "", note
}

// nearMiss returns a note on a scope that differs from e in case only.
func (e *entry) nearMiss(scopes []string) string {
	for _, scope := range scopes {
		if strings.EqualFold(scope, e.text) {
			return scope + " differs in case"
		}
	}
	return ""
}

// difference says where groups and captures differ, "" if they do not.
func (e *entry) difference(groups, captures []pathmatch.Capture) string {
	for _, b := range e.bound {
		group, capture := groups[b.group], captures[b.capture]
		switch {
		case !group.Present:
			return fmt.Sprintf("its group PC%d matched nothing", b.capture+1)
		case !capture.Present:
			return fmt.Sprintf("this path has no capture PC%d", b.capture+1)
		case group.Value != capture.Value:
			return fmt.Sprintf("PC%d is %q there and %q in the path", b.capture+1, group.Value, capture.Value)
		}
	}
	return ""
}

// tree evaluates each part of a rule by itself.
func (n *node) tree(data []string, values []any) *TreeNode {
	t := &TreeNode{Operator: n.op != ""}
	switch {
	case n.ref >= 0:
		t.Label, t.Value = data[n.ref], values[n.ref]
		return t
	case n.op == "":
		t.Label, t.Value = fmt.Sprint(n.constant), n.constant
		return t
	}
	t.Label = n.op
	t.Value, _ = apply(n.logic(), values)
	for _, o := range n.operands {
		t.Operands = append(t.Operands, o.tree(data, values))
	}
	return t
}
