// SPDX-License-Identifier: Apache-2.0

// Package pathmatch finds the rule that a request falls under.
//
// It does three things, in this order:
//
//   - [Canonicalize] gives the path of a request the one form that decisions
//     are made on, refuses paths that can be read in two ways, and sees to it
//     that the upstream receives what was decided on;
//   - [Parse] reads a [Pattern], such as /users/?/{todos|photos};
//   - a [Tree] holds rules for patterns and methods and finds the right one.
//
// The package decides which rule applies, not what the rule demands, and knows
// nothing of any HTTP server.
//
// # Choice
//
// Several patterns may match a path. Element by element from the left, an
// exact match goes before a regular expression (in order of appearance), an
// expression before ?, and ? before ??, which takes as few elements as
// possible; a pattern that ends goes before one that goes on with an empty ??.
// If a choice leads nowhere the next one is tried, so a rule that fits is
// always found.
//
// Only patterns count that have a rule for the request's method: one for this
// method, or for GET if it is HEAD, or for any. Among the rules of the pattern
// so chosen, that is also their order.
//
//	rule            GET /a/b   POST /a/b   GET /a/c   GET /x/b
//	GET  /a/b       found
//	?    /a/?                  found       found
//	GET  /??                                          found
//
// # Cost
//
// A path that begins like one pattern and goes on like another makes the
// search come back and try again. It cannot be made to do so often. A pattern
// has one ?? at most, so the number of elements of the path alone tells how
// many of them a ?? stands for, and every node of the tree knows how many
// elements are missing to the ends of the patterns below it. The search enters
// a node only if a pattern below it can end where the path does:
//
//   - A search enters at most as many nodes as all patterns together have
//     elements and ends, however long the path is.
//   - In a node, literal text costs one look into a hash table, and a ?? one
//     scan of the path. Of many regular expressions only those are tried that
//     an index leaves over; it knows by what the texts that match begin, end
//     and contain.
//   - An expression costs time proportional to the length of the element,
//     about 2 ns per byte for nearly all that policies contain. Those whose
//     automaton would have more than 255 states cost up to 2 microseconds per
//     byte, and MaxPathLength bounds the bytes.
//
// The first bound holds for patterns of up to 62 elements. Those that are
// longer are not told apart by their number of elements, and at worst each
// node is entered once for each different number of elements that follows ??
// in a pattern. TestBound and BenchmarkMatchHostile have rules that are made to
// be slow.
//
// Expressions with look-around or back-references backtrack. They are stopped
// after a time, and the search with them: see [Tree.Match] for what that means.
//
// Usually all this plays no role: a search enters as many nodes as the path
// has elements, allocates nothing, and takes a fraction of a microsecond, with
// ten rules or ten thousand.
package pathmatch
