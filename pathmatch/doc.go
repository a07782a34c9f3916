// SPDX-License-Identifier: Apache-2.0

// Package pathmatch finds the rule that a request path falls under.
package pathmatch
