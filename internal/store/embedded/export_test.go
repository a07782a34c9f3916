// SPDX-License-Identifier: Apache-2.0

package embedded

import "go.etcd.io/bbolt"

// Database lets tests look into the file.
func Database(e *Engine) *bbolt.DB { return e.db }
