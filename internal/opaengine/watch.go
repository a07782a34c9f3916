// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// watchPause is how often files are looked at. They are read and compared, rather
// than waiting for the system to tell: that says nothing about network file systems,
// and Kubernetes replaces a mounted folder by a link to another one.
const watchPause = 2 * time.Second

// watch reads the files again when they change. Files that cannot be used change
// nothing, and are named once.
func (e *Engine) watch(ctx context.Context) {
	last, _ := FilesRevision(e.settings.Files)
	var broken error // what is wrong with the files of that revision
	var failed string
	for e.settings.Clock.Sleep(ctx, watchPause) {
		files, err := readFiles(e.settings.Files)
		if err == nil {
			if revision := revisionOf(files); revision != last {
				last, broken = revision, e.useFiles(files)
			}
			err = broken
		}
		e.problems.note("", e.settings.Now(), err)
		switch {
		case err == nil:
			failed = ""
		case err.Error() != failed:
			failed = err.Error()
			e.logger.Error("changed policies cannot be used: the ones before stay in use", zap.Error(err))
		}
	}
}
