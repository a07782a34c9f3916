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

// documentWatch puts a changed OpenAPI document into force.
type documentWatch struct {
	file    string
	watcher *openapi.Watcher
	logger  *zap.Logger
	use     func(*openapi.API) error
	done    string // what the log says after a change
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
	if err == nil {
		err = w.use(api)
	}
	if err != nil {
		w.logger.Error("the changed OpenAPI document cannot be used; the last good one stays in force", zap.String("file", w.file), zap.Error(err))
		return
	}
	w.logger.Info(w.done, zap.String("file", w.file), zap.Int("operations", len(api.Operations)))
	warnOfDocument(w.logger, api)
}

// maxDocumentWarnings bounds the lines that one document can write to the log.
const maxDocumentWarnings = 20

func warnOfDocument(logger *zap.Logger, api *openapi.API) {
	for i, warning := range api.Warnings {
		if i == maxDocumentWarnings {
			logger.Warn("the OpenAPI document has further mistakes; 'caddy gluu rules --openapi' lists all", zap.Int("count", len(api.Warnings)-i))
			return
		}
		logger.Warn("the OpenAPI document probably has a mistake", zap.String("file", warning.File), zap.Int("line", warning.Line),
			zap.String("operation", warning.Operation), zap.String("warning", warning.Text()))
	}
}
