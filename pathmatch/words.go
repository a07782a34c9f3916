// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"regexp/syntax"
	"slices"
)

// maxWords is how many texts of an expression are tried one by one.
const maxWords = 200

// wordsOf returns all texts that an expression matches as a whole, if they are
// few. There may be some among them that it does not match: x(?:^a) has xa.
func wordsOf(re *syntax.Regexp) (words []string, finite bool) {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return nil, false
		}
		return []string{string(re.Rune)}, true
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpCapture:
		return wordsOf(re.Sub[0])
	case syntax.OpCharClass:
		return wordsOfClass(re.Rune)
	case syntax.OpQuest:
		words, finite = wordsOf(re.Sub[0])
		return append(words, ""), finite
	case syntax.OpAlternate:
		return wordsOfAlternatives(re.Sub)
	case syntax.OpConcat:
		return wordsOfSequence(re.Sub)
	}
	return nil, false
}

func wordsOfClass(ranges []rune) (words []string, finite bool) {
	for i := 0; i < len(ranges); i += 2 {
		if int(ranges[i+1]-ranges[i])+len(words) >= maxWords {
			return nil, false
		}
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			words = append(words, string(r))
		}
	}
	return words, true
}

func wordsOfAlternatives(alternatives []*syntax.Regexp) (words []string, finite bool) {
	for _, alternative := range alternatives {
		more, ok := wordsOf(alternative)
		if !ok || len(words)+len(more) > maxWords {
			return nil, false
		}
		words = append(words, more...)
	}
	return words, true
}

func wordsOfSequence(parts []*syntax.Regexp) (words []string, finite bool) {
	words = []string{""}
	for _, part := range trimAnchors(parts) {
		more, ok := wordsOf(part)
		if !ok || len(words)*len(more) > maxWords {
			return nil, false
		}
		var longer []string
		for _, a := range words {
			for _, b := range more {
				longer = append(longer, a+b)
			}
		}
		words = longer
	}
	return words, true
}

// trimAnchors drops ^ at the beginning and $ at the end, which change nothing
// where a text is matched as a whole.
func trimAnchors(parts []*syntax.Regexp) []*syntax.Regexp {
	if len(parts) > 0 && parts[0].Op == syntax.OpBeginText {
		parts = parts[1:]
	}
	if len(parts) > 0 && parts[len(parts)-1].Op == syntax.OpEndText {
		parts = parts[:len(parts)-1]
	}
	return parts
}

// matchesAll recognizes .* in its usual forms. No element of a canonical path
// contains the line feed that the dot leaves out.
func matchesAll(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpCapture:
		return matchesAll(re.Sub[0])
	case syntax.OpConcat:
		parts := trimAnchors(re.Sub)
		return len(parts) == 1 && matchesAll(parts[0])
	case syntax.OpStar:
		switch sub := re.Sub[0]; sub.Op {
		case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
			return true
		case syntax.OpCharClass: // [^\x2f]
			return slices.Equal(sub.Rune, []rune{0, '/' - 1, '/' + 1, 0x10ffff})
		}
	}
	return false
}
