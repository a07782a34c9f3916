// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"time"

	"github.com/caddy-gluu/gateway/internal/status"
)

// opaPage shows what decides by policies, and how old they are.
type opaPage struct {
	status.OPA
	Now time.Time
}

func showOPA(v *visit) error {
	return v.show(http.StatusOK, "opa", "OPA", opaPage{v.app.OPAStatus(), v.now()})
}

// age writes how long ago something was, in the two largest units.
func age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Second:
		return "less than a second"
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < 24*time.Hour:
		return shortDuration(d.Truncate(time.Minute))
	}
	days := int(d / (24 * time.Hour))
	return groupDigits(days) + plural(days, " day", " days")
}

// shortDuration writes whole minutes without the seconds that they do not have.
func shortDuration(d time.Duration) string {
	text := d.String()
	return text[:len(text)-len("0s")]
}
