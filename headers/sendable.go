// SPDX-License-Identifier: Apache-2.0

package headers

// Sendable reports whether a text may be the value of a header that the
// gateway sets: it is not too long and has no control characters. Values that
// do not come from a [Set] are held to the same rule with it.
func Sendable(value string) bool {
	return len(value) <= maxValue && Sendable(value)
}
