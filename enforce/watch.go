// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/openapi"
)

// watchInterval is how often a document is looked at. A change comes into force when
// two looks in a row have found the same, so that no file is read while it is written.
const watchInterval = time.Second

// documentWatch puts the rules of a changed OpenAPI document into force.
type documentWatch struct {
	enforcer *Enforcer
	source   *RuleSource
	watcher  *openapi.Watcher
}

func (w *documentWatch) run(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look()
		}
	}
}

// look looks at the document once.
func (w *documentWatch) look() {
	api, err := w.watcher.Poll()
	if api == nil && err == nil {
		return
	}
	logger := w.enforcer.answerer.Logger
	if err == nil {
		policy, compileErr := w.source.compileWith(api)
		if err = compileErr; err == nil {
			w.enforcer.use(policy)
			logger.Info("the rules of the changed OpenAPI document are in force", zap.String("file", w.source.OpenAPI.File), zap.Int("operations", len(api.Operations)))
			w.enforcer.warnOfDocument(api)
			return
		}
	}
	logger.Error("the changed OpenAPI document cannot be used; the last good one stays in force", zap.String("file", w.source.OpenAPI.File), zap.Error(err))
}
