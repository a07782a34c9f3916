// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/internal/uilink"
)

// How long a link that was opened lasts.
const (
	idleLimit = 30 * time.Minute
	ageLimit  = 8 * time.Hour
)

// maxLocalSessions bounds how many people there are on this machine. The one who
// was idle longest makes room.
const maxLocalSessions = 64

// attemptsPerMinute bounds how often a secret can be tried. All addresses are the
// same one: that of this machine.
const attemptsPerMinute = 10

// doors let in who has opened a link. They outlive a reload.
type doors struct {
	address string // of the UI, as uilink knows it
	links   *uilink.Register
	now     func() time.Time

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]*localSession // by the hash of the cookie
	minute   time.Time
	attempts int
}

type localSession struct{ began, seen time.Time }

// allDoors are those of this process, by address.
var allDoors struct {
	sync.Mutex
	byAddress map[string]*doors
}

// openDoors returns the doors of a UI, and what to call when its configuration
// ends. A later configuration with the same UI has the same doors.
func openDoors(address string) (*doors, func()) {
	allDoors.Lock()
	defer allDoors.Unlock()
	if allDoors.byAddress == nil {
		allDoors.byAddress = map[string]*doors{}
	}
	d := allDoors.byAddress[address]
	if d == nil {
		d = newDoors(address, uilink.Open, time.Now)
		allDoors.byAddress[address] = d
	}
	return d, uilink.Open.Add(address)
}

func newDoors(address string, links *uilink.Register, now func() time.Time) *doors {
	return &doors{address: address, links: links, now: now, sessions: map[[sha256.Size]byte]*localSession{}}
}

// open exchanges the secret of a link for a cookie. It is "" if the secret is
// wrong, or too many were tried.
func (d *doors) open(secret string) (cookie string, tooMany bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if now.Sub(d.minute) >= time.Minute {
		d.minute, d.attempts = now, 0
	}
	if d.attempts++; d.attempts > attemptsPerMinute {
		return "", true
	}
	if !d.links.Redeem(d.address, secret) {
		return "", false
	}
	d.makeRoom(now)
	cookie = rand.Text() + rand.Text() // 260 bits
	d.sessions[sha256.Sum256([]byte(cookie))] = &localSession{now, now}
	return cookie, false
}

// makeRoom removes the sessions that are over, and the one that was idle longest
// if there are too many.
func (d *doors) makeRoom(now time.Time) {
	var oldest [sha256.Size]byte
	var found *localSession
	for key, s := range d.sessions {
		if s.isOver(now) {
			delete(d.sessions, key)
		} else if found == nil || s.seen.Before(found.seen) {
			oldest, found = key, s
		}
	}
	if len(d.sessions) >= maxLocalSessions {
		delete(d.sessions, oldest)
	}
}

func (s *localSession) isOver(now time.Time) bool {
	return now.Sub(s.seen) >= idleLimit || now.Sub(s.began) >= ageLimit
}

// isOpen reports whether a cookie is that of a session. Looking at a page that
// keeps itself up to date does not keep a session alive: stays is false then.
func (d *doors) isOpen(cookie string, stays bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	key, now := sha256.Sum256([]byte(cookie)), d.now()
	s := d.sessions[key]
	switch {
	case s == nil:
		return false
	case s.isOver(now):
		delete(d.sessions, key)
		return false
	case stays:
		s.seen = now
	}
	return true
}

// shut ends a session.
func (d *doors) shut(cookie string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sessions, sha256.Sum256([]byte(cookie)))
}

// localCookie is the cookie of a session. Browsers share cookies between the ports
// of a machine, so its name has the port.
func localCookie(r *http.Request, value string) *http.Cookie {
	c := &http.Cookie{
		Name: "gluu-ui", Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil,
	}
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		c.Name += "-" + port
	}
	if c.Secure {
		c.Name = "__Host-" + c.Name
	}
	return c
}
