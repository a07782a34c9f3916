// SPDX-License-Identifier: Apache-2.0

package e2e

import "time"

// patience is how long anything may take on a slow machine.
const patience = time.Minute
