// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"strings"

	"go.uber.org/zap"
)

// showOpen is where a link of `caddy gluu ui` leads. The secret is in the
// fragment; the script sends it. Without a script it is pasted.
func showOpen(v *visit) error {
	if v.doors == nil {
		return &faultNoPage
	}
	return v.show(http.StatusOK, "open", "Open the gateway", &fault{})
}

// openDoor exchanges the secret of a link for a session.
func openDoor(v *visit) error {
	if v.doors == nil {
		return &faultNoPage
	}
	// Someone may paste the whole link.
	secret := v.r.PostForm.Get("secret")
	secret = strings.TrimSpace(secret[strings.LastIndexByte(secret, '#')+1:])
	cookie, tooMany := v.doors.open(secret)
	switch {
	case tooMany:
		v.w.Header().Set("Retry-After", "60")
		return &fault{Status: http.StatusTooManyRequests, Title: "Open the gateway", Text: "Too many attempts. Wait for a minute.", page: "open"}
	case cookie == "":
		return &fault{Status: http.StatusForbidden, Title: "Open the gateway", Text: "This link has been used, or is older than a minute.", page: "open"}
	}
	http.SetCookie(v.w, localCookie(v.r, cookie))
	v.logger.Info("the UI was opened by a link", zap.String("remote_addr", v.r.RemoteAddr))
	v.redirect("./")
	return nil
}

// closeDoor ends a session that a link began.
func closeDoor(v *visit) error {
	if v.doors == nil {
		return &faultNoPage
	}
	if cookie, err := v.r.Cookie(localCookie(v.r, "").Name); err == nil {
		v.doors.shut(cookie.Value)
	}
	expired := localCookie(v.r, "")
	expired.MaxAge = -1
	http.SetCookie(v.w, expired)
	v.redirect("./open")
	return nil
}
