// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// This file compiles regular expressions to deterministic automata.
//
// The expressions of path patterns are small: \d+, todos|photos, a UUID. Such
// an automaton has a dozen states, and each character of the path costs one
// table lookup. That is ten times faster than package regexp, and stops at the
// first character that does not fit. The automaton also shows what all matching
// texts have in common, which lets siblings.go skip most of many expressions.
//
// Expressions with a large automaton, or with assertions other than the
// beginning and the end of the text, fall back to package regexp.

// Limits on automata. States are numbered by a byte.
const (
	maxStates  = 255
	maxClasses = 128
	maxSteps   = 1 << 16 // of building one, against exponential blow-up
)

const (
	deadState  = 0 // no continuation can match
	startState = 1
)

// An automaton decides whether an expression matches a whole text.
type automaton struct {
	// A class holds characters that the expression does not distinguish.
	// Class i begins with the character bounds[i].
	bounds []rune
	ascii  [utf8.RuneSelf]uint8 // the classes of ASCII characters

	next  []uint8 // next[state*len(bounds)+class] is the next state
	final []bool  // final[state] says whether the text may end here
}

// matches reports whether the expression matches s as a whole.
func (a *automaton) matches(s string) bool {
	state := startState
	for i := 0; i < len(s); {
		var class int
		if c := s[i]; c < utf8.RuneSelf {
			class = int(a.ascii[c])
			i++
		} else {
			r, width := utf8.DecodeRuneInString(s[i:])
			class = a.class(r)
			i += width
		}
		state = int(a.next[state*len(a.bounds)+class])
		if state == deadState {
			return false
		}
	}
	return a.final[state]
}

func (a *automaton) class(r rune) int {
	if last := len(a.bounds) - 1; r >= a.bounds[last] {
		return last
	}
	i, found := slices.BinarySearch(a.bounds, r)
	if !found {
		i--
	}
	return i
}

// newAutomaton returns the automaton of a program that is anchored at both
// ends, or nil if there is none within the limits.
func newAutomaton(prog *syntax.Prog) *automaton {
	bounds := classBounds(prog)
	if bounds == nil {
		return nil
	}
	b := &builder{prog: prog, states: make(map[string]int), seen: make([]int, len(prog.Inst))}
	b.bounds = bounds
	for c := range b.ascii {
		b.ascii[c] = uint8(b.class(rune(c)))
	}
	if !b.build() {
		return nil
	}
	return &b.automaton
}

// classBounds returns the first character of each class, or nil if there are
// too many classes or an instruction cannot be part of an automaton.
func classBounds(prog *syntax.Prog) []rune {
	bounds := []rune{0}
	add := func(low, high rune) {
		bounds = append(bounds, low)
		if high < unicode.MaxRune {
			bounds = append(bounds, high+1)
		}
	}
	for i := range prog.Inst {
		switch inst := &prog.Inst[i]; inst.Op {
		case syntax.InstRune1:
			add(inst.Rune[0], inst.Rune[0])
		case syntax.InstRuneAnyNotNL:
			add('\n', '\n')
		case syntax.InstRune:
			if len(inst.Rune) == 1 {
				// One character, in all its cases if the program ignores case.
				r := inst.Rune[0]
				add(r, r)
				for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
					add(f, f)
				}
				continue
			}
			if len(inst.Rune) > 4*maxClasses {
				return nil
			}
			for j := 0; j < len(inst.Rune); j += 2 {
				add(inst.Rune[j], inst.Rune[j+1])
			}
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^(syntax.EmptyBeginText|syntax.EmptyEndText) != 0 {
				return nil
			}
		}
	}
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	if len(bounds) > maxClasses {
		return nil
	}
	return slices.Clip(bounds)
}

// A builder makes an automaton by subset construction: a state is the set of
// instructions at which the program may be after reading a text.
type builder struct {
	automaton
	prog   *syntax.Prog
	sets   [][]uint32     // by state
	states map[string]int // by set
	seen   []int          // seen[pc] == round if this round of closure has met it
	round  int
	steps  int
	key    []byte
}

func (b *builder) build() bool {
	b.addState(nil, false) // deadState
	start := b.closure([]uint32{uint32(b.prog.Start)}, syntax.EmptyBeginText)
	b.addState(start, true)
	for state := startState; state < len(b.sets); state++ {
		row := len(b.next)
		b.next = append(b.next, make([]uint8, len(b.bounds))...)
		for class, r := range b.bounds {
			var after []uint32
			for _, pc := range b.sets[state] {
				if inst := &b.prog.Inst[pc]; consumes(inst, r) {
					after = append(after, inst.Out)
				}
			}
			if after == nil {
				continue
			}
			next, ok := b.state(b.closure(after, 0))
			if b.steps += len(b.sets[state]); !ok || b.steps > maxSteps {
				return false
			}
			b.next[row+class] = uint8(next)
		}
	}
	b.next = slices.Clip(b.next)
	return true
}

func consumes(inst *syntax.Inst, r rune) bool {
	switch inst.Op {
	case syntax.InstRune1:
		return r == inst.Rune[0]
	case syntax.InstRuneAny:
		return true
	case syntax.InstRuneAnyNotNL:
		return r != '\n'
	case syntax.InstRune:
		return inst.MatchRune(r)
	}
	return false
}

// state returns the state for a set of instructions, and adds it if it is new.
func (b *builder) state(set []uint32) (int, bool) {
	if len(set) == 0 {
		return deadState, true
	}
	b.key = b.key[:0]
	for _, pc := range set {
		b.key = append(b.key, byte(pc), byte(pc>>8), byte(pc>>16))
	}
	if state, ok := b.states[string(b.key)]; ok {
		return state, true
	}
	if len(b.sets) == maxStates {
		return 0, false
	}
	state := b.addState(set, false)
	b.states[string(b.key)] = state
	return state, true
}

// addState adds a state. The start state is never shared with a later state of
// the same set, because only the start state is at the beginning of the text.
func (b *builder) addState(set []uint32, start bool) int {
	at := syntax.EmptyEndText
	if start {
		at |= syntax.EmptyBeginText
	}
	final := slices.ContainsFunc(b.closure(set, at), func(pc uint32) bool {
		return b.prog.Inst[pc].Op == syntax.InstMatch
	})
	b.sets = append(b.sets, set)
	b.final = append(b.final, final)
	if len(b.sets) == 1 {
		b.next = make([]uint8, len(b.bounds))
	}
	return len(b.sets) - 1
}

// closure returns the instructions that can be reached from set without
// reading a character, in order, of those that read one, end the program, or
// wait for the end of the text.
func (b *builder) closure(set []uint32, at syntax.EmptyOp) []uint32 {
	b.round++
	var reached []uint32
	stack := slices.Clone(set)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if b.seen[pc] == b.round {
			continue
		}
		b.seen[pc] = b.round
		b.steps++
		switch inst := &b.prog.Inst[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, inst.Out)
		case syntax.InstEmptyWidth:
			if need := syntax.EmptyOp(inst.Arg); need&^at == 0 {
				stack = append(stack, inst.Out)
			} else if need&^at == syntax.EmptyEndText {
				reached = append(reached, pc)
			}
		case syntax.InstFail:
		default:
			reached = append(reached, pc)
		}
	}
	slices.Sort(reached)
	return reached
}
