// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/logging"
	"go.uber.org/zap"
)

// opaLogger has OPA's plugins log to Caddy's log.
type opaLogger struct{ zap *zap.Logger }

func (l opaLogger) Debug(format string, a ...any) { l.zap.Debug(fmt.Sprintf(format, a...)) }
func (l opaLogger) Info(format string, a ...any)  { l.zap.Info(fmt.Sprintf(format, a...)) }
func (l opaLogger) Warn(format string, a ...any)  { l.zap.Warn(fmt.Sprintf(format, a...)) }
func (l opaLogger) Error(format string, a ...any) { l.zap.Error(fmt.Sprintf(format, a...)) }

// WithFields implements logging.Logger.
func (l opaLogger) WithFields(fields map[string]any) logging.Logger {
	added := make([]zap.Field, 0, len(fields))
	for name, value := range fields {
		added = append(added, zap.Any(name, value))
	}
	return opaLogger{l.zap.With(added...)}
}

// GetLevel implements logging.Logger. OPA prepares costly messages only for Debug.
func (opaLogger) GetLevel() logging.Level { return logging.Info }

// SetLevel implements logging.Logger: the level is Caddy's to set.
func (opaLogger) SetLevel(logging.Level) {}

// Interface guard
var _ logging.Logger = opaLogger{}
