// SPDX-License-Identifier: Apache-2.0

// Package pathmatch finds the rule that applies to a request.
//
// It does three things, in this order:
//
//   - [Canonicalize] normalizes the path of a request, refuses ambiguous paths,
//     and makes the upstream receive exactly the path that was decided on;
//   - [Parse] reads a [Pattern], such as /users/?/{todos|photos};
//   - a [Tree] holds rules for patterns and methods and finds the right one.
//
// The package decides which rule applies, not what the rule demands, and knows
// nothing of any HTTP server.
//
// # Choice
//
// Several patterns may match a path. Element by element from the left, an exact
// match takes precedence over a regular expression (in order of appearance), an
// expression over ?, and ? over ??, which matches as few elements as possible; a
// pattern that ends takes precedence over one that continues with an empty ??.
// A dead end is followed by the next choice, so a matching rule is always found.
//
// Only patterns with a rule for the request's method count: a rule for this
// method, for GET if the method is HEAD, or for any method. Among the rules of
// the chosen pattern, this is also the order of precedence.
//
//	rule            GET /a/b   POST /a/b   GET /a/c   GET /x/b
//	GET  /a/b       found
//	?    /a/?                  found       found
//	GET  /??                                          found
//
// # Cost
//
// A path that starts like one pattern and continues like another makes the
// search backtrack. This is bounded. A pattern has at most one ??, so the number
// of elements of the path determines how many of them a ?? matches, and every
// node of the tree knows how many elements the patterns below it still need. The
// search enters a node only if a pattern below it can end where the path does:
//
//   - A search enters at most as many nodes as all patterns together have
//     elements and ends, however long the path is.
//   - In a node, literal text costs one hash table lookup, and a ?? one scan of
//     the path. Of many regular expressions, an index selects the few to try: it
//     knows how matching texts begin and end, and what they contain.
//   - An expression costs time proportional to the length of the element,
//     about 2 ns per byte for nearly all that policies contain. Those whose
//     automaton would have more than 255 states cost up to 2 microseconds per
//     byte, and MaxPathLength bounds the bytes.
//
// The first bound holds for patterns of up to 62 elements. Longer ones are not
// distinguished by their number of elements, and at worst each node is entered
// once for each different number of elements that follows ?? in a pattern.
// TestBound and BenchmarkMatchHostile use rules that are designed to be slow.
//
// Expressions with look-around or back-references backtrack. A timeout stops
// them, and the search with them: see [Tree.Match].
//
// In practice a search enters as many nodes as the path has elements, does not
// allocate, and takes a fraction of a microsecond, with ten rules or ten
// thousand.
package pathmatch
