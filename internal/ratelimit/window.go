// SPDX-License-Identifier: Apache-2.0

package ratelimit

import "time"

// Period is the length of a window.
type Period int

// Periods. Windows begin with the calendar, in UTC.
const (
	Second Period = iota
	Minute
	Hour
	Day
	Month
	Year
)

// Periods are all of them, from the shortest on.
var Periods = []Period{Second, Minute, Hour, Day, Month, Year}

func (p Period) String() string {
	return [...]string{"second", "minute", "hour", "day", "month", "year"}[p]
}

// Seconds is the length of a window, for months and years a usual one.
func (p Period) Seconds() int {
	return [...]int{1, 60, 3600, 86400, 30 * 86400, 365 * 86400}[p]
}

// window returns the window that a time is in.
func (p Period) window(now time.Time) (start, end time.Time) {
	now = now.UTC()
	switch p {
	case Month:
		start = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 1, 0)
	case Year:
		start = time.Date(now.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(1, 0, 0)
	}
	length := time.Duration(p.Seconds()) * time.Second
	start = now.Truncate(length) // since the year 1: days begin at midnight UTC
	return start, start.Add(length)
}
