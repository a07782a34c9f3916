// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/caddy-gluu/gateway/internal/audit"
)

// changesPage lists who changed what, the newest first.
type changesPage struct {
	Changes []audit.Change
	Older   string // address of the next page, "" on the last
	IsFirst bool
}

// changesOnAPage is how many there are at once.
const changesOnAPage = 100

func showChanges(v *visit) error {
	var before uint64
	if text := v.r.URL.Query().Get("before"); text != "" {
		var err error
		if before, err = strconv.ParseUint(text, 10, 64); err != nil {
			return &fault{Status: http.StatusBadRequest, Title: "Cannot do that", Text: "before is the number of a change."}
		}
	}
	page := changesPage{Changes: audit.Recent.List(before, changesOnAPage), IsFirst: before == 0}
	if n := len(page.Changes); n == changesOnAPage {
		page.Older = "changes?" + url.Values{"before": {strconv.FormatUint(page.Changes[n-1].Number, 10)}}.Encode()
	}
	return v.show(http.StatusOK, "changes", "Changes", page)
}
