// SPDX-License-Identifier: Apache-2.0

// Package policylint finds rules that load but probably do not do what was meant:
// shadowed and redundant ones, those that allow or refuse every token, paths whose
// wildcards are literal text. A warning is always right; what is too complex to
// compare produces none.
//
// Handlers log the warnings when the configuration loads, `caddy gluu rules` prints
// them.
package policylint
