// SPDX-License-Identifier: Apache-2.0

package pathmatch

import "strings"

// sharing keeps one copy of values that occur at many nodes. This saves memory,
// and also time: shared values stay in the processor's cache.
type sharing struct {
	texts   map[string]string
	longest int // length of the longest text
	regexps map[string]Regexp
	nodes   []node // preallocated, so that related nodes are adjacent in memory
	given   int
}

func (s *sharing) node() *node {
	if len(s.nodes) == 0 {
		s.nodes = make([]node, min(8+s.given, 512))
	}
	n := &s.nodes[0]
	s.nodes = s.nodes[1:]
	s.given++
	return n
}

func (s *sharing) text(text string) string {
	if s.texts == nil {
		s.texts = make(map[string]string)
	}
	if shared, ok := s.texts[text]; ok {
		return shared
	}
	// The copy is adjacent to other short texts, not inside its pattern.
	text = strings.Clone(text)
	s.texts[text] = text
	s.longest = max(s.longest, len(text))
	return text
}

func (s *sharing) regexp(re Regexp) Regexp {
	if s.regexps == nil {
		s.regexps = make(map[string]Regexp)
	}
	if shared, ok := s.regexps[re.String()]; ok {
		return shared
	}
	s.regexps[re.String()] = re
	return re
}
