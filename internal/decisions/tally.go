// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Interval is the length of the intervals that are counted.
const Interval = 10 * time.Second

// intervals is how many are remembered: those of an hour.
const intervals = int(time.Hour / Interval)

// Counts are the requests of a stretch of time.
type Counts struct {
	From    time.Time     `json:"from"`
	To      time.Time     `json:"to"`
	Granted uint64        `json:"granted"`
	Refused uint64        `json:"refused"`
	DryRun  uint64        `json:"would_refuse"` // passed, as the handler is in a dry run
	Reasons []ReasonCount `json:"reasons"`      // of both, the most frequent first
}

// ReasonCount says how often there was a reason.
type ReasonCount struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// tally counts decisions by intervals.
type tally struct {
	mu      sync.Mutex
	reasons []string // by index
	index   map[string]int
	ring    [intervals]interval
}

// interval holds the counts of one. It is the one of its number, counted from 1970,
// or an old one of the same place in the ring.
type interval struct {
	number                   int64
	granted, refused, dryRun uint64
	byReason                 [maxReasons]uint32
}

// maxReasons bounds the reasons, of which the handlers have some 60. Further ones are
// counted as the last.
const maxReasons = 96

// otherReasons is the name of the last one.
const otherReasons = "other"

func (t *tally) refused(now time.Time, reason string, dryRun bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.at(now)
	if dryRun {
		i.dryRun++
	} else {
		i.refused++
	}
	i.byReason[t.indexOf(reason)]++
}

func (t *tally) granted(now time.Time, n uint64) {
	if n == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(now).granted += n
}

// at returns the interval of a time, empty if it begins.
func (t *tally) at(now time.Time) *interval {
	number := now.UnixNano() / int64(Interval)
	i := &t.ring[number%int64(len(t.ring))]
	if i.number != number {
		*i = interval{number: number}
	}
	return i
}

func (t *tally) indexOf(reason string) int {
	if i, ok := t.index[reason]; ok {
		return i
	}
	if len(t.reasons) >= maxReasons-1 {
		return maxReasons - 1
	}
	if t.index == nil {
		t.index = make(map[string]int)
	}
	t.index[reason] = len(t.reasons)
	t.reasons = append(t.reasons, reason)
	return t.index[reason]
}

// nameOf returns the reason with an index.
func (t *tally) nameOf(i int) string {
	if i < len(t.reasons) {
		return t.reasons[i]
	}
	return otherReasons
}

// Last returns the counts of the last so many whole intervals and of the one that is
// under way: of 60 to 70 seconds for 6.
func (r *Register) Last(whole int) Counts {
	t, now := &r.tally, r.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	newest := now.UnixNano() / int64(Interval)
	first := newest - int64(min(max(whole, 0), intervals-1))
	counts := Counts{From: startOf(first), To: now.UTC()}
	var byReason [maxReasons]uint64
	for number := first; number <= newest; number++ {
		counts.add(&t.ring[number%int64(intervals)], number, &byReason)
	}
	counts.Reasons = t.sorted(&byReason)
	return counts
}

// History returns the counts of the last hour by intervals, the oldest first. The
// last one is under way.
func (r *Register) History() []Counts {
	t, newest := &r.tally, r.now().UnixNano()/int64(Interval)
	t.mu.Lock()
	defer t.mu.Unlock()
	history := make([]Counts, 0, intervals)
	for number := newest - int64(intervals) + 1; number <= newest; number++ {
		counts := Counts{From: startOf(number), To: startOf(number + 1)}
		var byReason [maxReasons]uint64
		counts.add(&t.ring[number%int64(intervals)], number, &byReason)
		counts.Reasons = t.sorted(&byReason)
		history = append(history, counts)
	}
	return history
}

func startOf(number int64) time.Time { return time.Unix(0, number*int64(Interval)).UTC() }

// add adds an interval, unless its place in the ring holds an old one.
func (c *Counts) add(i *interval, number int64, byReason *[maxReasons]uint64) {
	if i.number != number {
		return
	}
	c.Granted += i.granted
	c.Refused += i.refused
	c.DryRun += i.dryRun
	for reason, n := range i.byReason {
		byReason[reason] += uint64(n)
	}
}

func (t *tally) sorted(byReason *[maxReasons]uint64) []ReasonCount {
	counts := []ReasonCount{}
	for i, n := range byReason {
		if n > 0 {
			counts = append(counts, ReasonCount{t.nameOf(i), n})
		}
	}
	slices.SortFunc(counts, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return counts
}
