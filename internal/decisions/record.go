// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// record is a refusal as it is kept: all of its text in one piece of memory, which
// belongs to the slot and is used again.
type record struct {
	at      int64
	status  int32
	dryRun  bool
	caller  Verdict
	handler HandlerID
	passed  Trail
	text    []byte
}

// set overwrites the record.
func (r *record) set(now time.Time, d *Refused, text []byte) {
	r.at, r.status, r.dryRun = now.UnixNano(), int32(d.Status), d.DryRun
	r.caller, r.handler, r.passed = d.Caller, d.Handler, d.Passed
	r.text = append(r.text[:0], text...)
}

// maxText bounds the text of a refusal. What is beyond it is cut.
const maxText = 2048

// members is the number of single texts, and limits are their bounds. What can be
// spared comes last.
const members = 17

var limits = [members]int{64, 32, 255, 64, 64, 256, 64, 64, 64, 256, 128, 128, 128, 64, 512, 256, 512}

func (d *Refused) texts() [members]string {
	return [members]string{
		d.RequestID, d.Method, d.Host, d.Reason, d.Error, d.Path, d.ClientIP, d.Policy, d.DecisionID,
		d.Rule, d.Operation, d.ClientID, d.Consumer, d.Provider, d.Required, d.Description, d.Detail,
	}
}

// texts are the same members, where they are read to.
func (d *Decision) texts() [members]*string {
	return [members]*string{
		&d.RequestID, &d.Method, &d.Host, &d.Reason, &d.Error, &d.Path, &d.ClientIP, &d.Policy, &d.DecisionID,
		&d.Rule, &d.Operation, &d.ClientID, &d.Consumer, &d.Provider, &d.Required, &d.Description, &d.Detail,
	}
}

// Bounds of a list of scopes.
const (
	maxScopes = 50
	maxScope  = 128
)

// appendText writes the text of a refusal into a buffer, which never grows.
func appendText(b []byte, d *Refused) []byte {
	for i, text := range d.texts() {
		b = appendMember(b, text, min(limits[i], left(b)))
	}
	b = appendList(b, d.Enough, nil)
	b = appendList(b, d.Enough, d.Scopes)
	has := scopeList{text: b}
	for _, scope := range d.Scopes {
		has = has.with(scope)
	}
	return has.end()
}

// appendList writes those of some scopes, separated by spaces, that are not among
// others.
func appendList(b []byte, scopes string, others []string) []byte {
	list := scopeList{text: b}
	for scopes != "" { // not an iterator, which would move the buffer to the heap
		var scope string
		if scope, scopes, _ = strings.Cut(scopes, " "); !slices.Contains(others, scope) {
			list = list.with(scope)
		}
	}
	return list.end()
}

// left is how long a text may be so that there is room for what follows: the lengths
// of the other members and the marks of the lists, if all of them are empty.
func left(b []byte) int { return max(cap(b)-len(b)-3*members, 0) }

// more stands for what was left out.
const more = "..."

func appendMember(b []byte, text string, most int) []byte {
	if len(text) <= most {
		return append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	mark := more[:min(len(more), most)]
	b = binary.AppendUvarint(b, uint64(most))
	return append(append(b, text[:most-len(mark)]...), mark...)
}

// scopeList is a list of scopes that is being written: each is a member, and an empty
// one is at the end.
type scopeList struct {
	text []byte
	n    int
}

func (l scopeList) with(scope string) scopeList {
	if scope == "" || l.n > maxScopes {
		return l
	}
	if l.n++; l.n > maxScopes || left(l.text) < min(len(scope), maxScope) {
		l.n, scope = maxScopes+1, more
	}
	l.text = appendMember(l.text, scope, maxScope)
	return l
}

func (l scopeList) end() []byte { return append(l.text, 0) }

// decision reads the record.
func (r *record) decision(number uint64) *Decision {
	d := &Decision{Number: number, Time: time.Unix(0, r.at).UTC(), Status: int(r.status), DryRun: r.dryRun}
	rest := string(r.text) // one copy, which all members share
	for _, member := range d.texts() {
		*member, rest = next(rest)
	}
	d.Enough, rest = list(rest)
	d.Missing, rest = list(rest)
	d.Scopes, _ = list(rest)
	d.Handler = r.handler.Info().Name
	d.Chain = r.chain()
	return d
}

// next takes a member off the text. Characters that are cut in the middle, and bytes
// that are none, become U+FFFD.
func next(text string) (member, rest string) {
	n, width := binary.Uvarint([]byte(text[:min(len(text), binary.MaxVarintLen16)]))
	text = text[width:]
	return strings.ToValidUTF8(text[:n], "\ufffd"), text[n:]
}

func list(text string) (scopes []string, rest string) {
	for {
		var scope string
		if scope, text = next(text); scope == "" {
			return scopes, text
		}
		scopes = append(scopes, scope)
	}
}

// requestID returns the first member without reading the others.
func (r *record) requestID() []byte {
	n, width := binary.Uvarint(r.text)
	return r.text[width : width+int(n)]
}

// chain says what each handler did, in order.
func (r *record) chain() []Step {
	steps := []Step{}
	last := -1 // of those that authenticate
	for _, id := range r.passed {
		info := id.Info()
		if id == 0 {
			break
		}
		if info.Authenticates {
			last = len(steps)
		}
		steps = append(steps, Step{info.Name, Passed})
	}
	if last >= 0 && r.caller != "" {
		steps[last].Verdict = r.caller
	}
	verdict := RefusedIt
	if r.dryRun {
		verdict = WouldRefuse
	}
	info := r.handler.Info()
	return append(steps, Step{info.Name, verdict})
}
