// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPermissionsStaySmall(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	large := strings.Repeat("t", maxPermissions/4)
	s := new(Session)
	s.SetPermission("ended", Permission{Token: "x", ExpiresAt: now}, now.Add(-time.Minute))
	s.SetPermission("waits", Permission{Ticket: "x", NotBefore: now}, now)
	s.SetPermission("lasts", Permission{Token: "x"}, now)
	before := s.Permissions
	for i := range 5 {
		s.SetPermission(fmt.Sprint(i), Permission{Token: large, ExpiresAt: now.Add(time.Duration(10-i) * time.Hour)}, now)
	}
	// 3 and 2 end before 1 and 0, but 4 is the newest.
	if got := slices.Sorted(maps.Keys(s.Permissions)); !slices.Equal(got, []string{"0", "1", "4", "lasts"}) {
		t.Errorf("the session has %q", got)
	}
	if got := slices.Sorted(maps.Keys(before)); !slices.Equal(got, []string{"lasts", "waits"}) {
		t.Errorf("another version of the session has changed: %q", got)
	}
}

func TestClaimsAreSetInOneVersion(t *testing.T) {
	former := new(Session)
	former.SetClaims("a", "1")
	next := *former
	next.SetClaims("a", "2")
	if former.Claims["a"] != "1" || next.Claims["a"] != "2" {
		t.Errorf("got %v and %v", former.Claims, next.Claims)
	}
}
