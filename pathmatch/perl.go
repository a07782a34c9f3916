// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// This file runs expressions that RE2 cannot express on regexp2, an engine
// that backtracks and may therefore take exponential time.

const (
	// perlTimeout bounds one attempt to match. Ordinary expressions need
	// microseconds. A timeout is retried once, because it also strikes a process
	// that was not scheduled: a CPU quota can suspend a process for 100 ms.
	perlTimeout = 50 * time.Millisecond
	// perlClock is how often regexp2 checks the time. With its default of 100 ms
	// a limit of 50 ms would become 200 ms.
	perlClock = 10 * time.Millisecond
)

// backtracked counts the texts that the engine was asked about.
var backtracked atomic.Uint64

// Backtracked returns how many texts an expression that backtracks has been run on,
// in this process. Tests see by it that none runs for a caller whose answer is known.
func Backtracked() uint64 { return backtracked.Load() }

func init() { regexp2.SetTimeoutCheckPeriod(perlClock) }

// perl is a Regexp that regexp2 runs.
type perl struct {
	source string
	re     *regexp2.Regexp
	names  []string
	groups []int // groups[i] is regexp2's number of the group names[i]
}

func compilePerl(source string) (re Regexp, err error) {
	defer func() {
		if r := recover(); r != nil { // the parser panics on some hostile input
			re, err = nil, fmt.Errorf("invalid regular expression: %v", r)
		}
	}()
	if _, err := regexp2.Compile(source, regexp2.RE2); err != nil {
		return nil, err
	}
	// The source is valid by itself, so it cannot close the group. It can only
	// swallow what closes it, with a comment that (?x) allows.
	whole, err := regexp2.Compile(`\A(?:`+source+`)\z`, regexp2.RE2)
	if err != nil {
		return nil, fmt.Errorf("%w (comments are not supported)", err)
	}
	whole.MatchTimeout = perlTimeout
	p := &perl{source: source, re: whole}
	if err := p.numberGroups(); err != nil {
		return nil, err
	}
	return p, nil
}

// numberGroups finds the order of the groups in the source, since regexp2
// numbers unnamed groups first, as .NET does.
func (p *perl) numberGroups() error {
	names, numeric, err := groupOpenings(p.source)
	if err != nil {
		return err
	}
	unnamed, named := 0, 0
	seen := make(map[string]bool)
	for _, name := range names {
		if name == "" {
			unnamed++
			p.groups = append(p.groups, unnamed)
			continue
		}
		named++
		if seen[name] {
			return fmt.Errorf("duplicate group name %q", name)
		}
		seen[name] = true
		p.groups = append(p.groups, p.re.GroupNumberFromName(name))
	}
	if len(names)+1 != len(p.re.GetGroupNumbers()) {
		return fmt.Errorf("the groups of this expression cannot be counted: remove comments, conditions, and flags that change the meaning of parentheses")
	}
	if named > 0 && unnamed > 0 && numeric {
		return fmt.Errorf(`a numbered back-reference cannot be combined with named groups; write \k<name>`)
	}
	p.names = names
	return nil
}

// groupOpenings returns the name of each capturing group of source, "" where
// it has none, and whether source refers back to a group by its number. It
// refuses escapes that have a meaning in Perl but are a plain letter for regexp2.
func groupOpenings(source string) (names []string, numeric bool, err error) {
	class := 0
	for i := 0; i < len(source); i++ {
		rest := source[i:]
		switch {
		case rest[0] == '\\':
			if c := rest[1]; isLetter(c) && strings.IndexByte(perlEscapes, c) < 0 {
				return nil, false, fmt.Errorf("unsupported escape sequence: `%s`", rest[:2])
			} else if '1' <= c && c <= '9' && class == 0 {
				numeric = true
			}
			i++
		case rest[0] == '[':
			class++
			if strings.HasPrefix(rest, "[^]") {
				i += 2
			} else if strings.HasPrefix(rest, "[]") {
				i++
			}
		case rest[0] == ']' && class > 0:
			class--
		case class > 0 || rest[0] != '(':
		case !strings.HasPrefix(rest, "(?"):
			names = append(names, "")
		default:
			if name, ok := groupName(rest[2:]); ok {
				names = append(names, name)
			}
		}
	}
	return names, numeric, nil
}

// perlEscapes are the letters that mean the same to regexp2 and Perl after a
// backslash.
const perlEscapes = "dDwWsSbBAzZnrtfvaxpPk"

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// groupName returns the name of the group if s, which follows "(?", begins
// with one.
func groupName(s string) (string, bool) {
	s = strings.TrimPrefix(s, "P")
	var end byte
	switch {
	case strings.HasPrefix(s, "<="), strings.HasPrefix(s, "<!"), s == "":
		return "", false
	case s[0] == '<':
		end = '>'
	case s[0] == '\'':
		end = '\''
	default:
		return "", false
	}
	name, _, ok := strings.Cut(s[1:], string(end))
	if _, err := strconv.Atoi(name); err == nil {
		return "", false // numbered explicitly: the count will not fit
	}
	return name, ok
}

func (p *perl) String() string       { return p.source }
func (p *perl) NumGroups() int       { return len(p.names) }
func (p *perl) GroupNames() []string { return p.names }

func (p *perl) Match(s string) (bool, error) {
	backtracked.Add(1)
	ok, err := p.re.MatchString(s)
	if err != nil {
		ok, err = p.re.MatchString(s)
	}
	if err != nil {
		return false, ErrRegexpTimeout
	}
	return ok, nil
}

func (p *perl) MatchWhole(s string) bool {
	ok, err := p.Match(s)
	return ok && err == nil
}

func (p *perl) Find(s string, dst []Capture) ([]Capture, bool, error) {
	backtracked.Add(1)
	match, err := p.re.FindStringMatch(s)
	if err != nil {
		match, err = p.re.FindStringMatch(s)
	}
	if err != nil {
		return dst, false, ErrRegexpTimeout
	}
	if match == nil {
		return dst, false, nil
	}
	for _, number := range p.groups {
		group := match.GroupByNumber(number)
		if group == nil || len(group.Captures) == 0 {
			dst = append(dst, Capture{})
			continue
		}
		// regexp2 counts in characters, and would return U+FFFD for a byte
		// that is not valid UTF-8.
		start := byteOffset(s, group.Index)
		end := start + byteOffset(s[start:], group.Length)
		dst = appendGroup(dst, s, start, end)
	}
	return dst, true, nil
}

func (p *perl) Groups(s string, dst []Capture) ([]Capture, bool) {
	dst, ok, err := p.Find(s, dst)
	return dst, ok && err == nil
}

// byteOffset returns where the character with index n begins in s.
func byteOffset(s string, n int) int {
	offset := 0
	for ; n > 0; n-- {
		_, width := utf8.DecodeRuneInString(s[offset:])
		offset += width
	}
	return offset
}
