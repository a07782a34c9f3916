// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

func TestWhatRunsAgain(t *testing.T) {
	many := make([]string, mostAgain+1)
	for i := range many {
		many[i] = fmt.Sprintf("e2e Test%d", i)
	}
	for name, tc := range map[string]struct {
		failed []string
		want   map[string][]string // nil: nothing
	}{
		"nothing failed":                 {nil, nil},
		"one test":                       {[]string{"e2e TestA"}, map[string][]string{"e2e": {"TestA"}}},
		"a test and its parts":           {[]string{"e2e TestA/one", "e2e TestA/two", "e2e TestA"}, map[string][]string{"e2e": {"TestA"}}},
		"two packages":                   {[]string{"e2e TestA", "headers TestA"}, map[string][]string{"e2e": {"TestA"}, "headers": {"TestA"}}},
		"a package that does not build":  {[]string{"e2e TestA", "headers"}, nil},
		"go test itself":                 {[]string{"go test: exit status 2"}, nil},
		"a fuzz target's found input":    {[]string{"headers FuzzValue"}, nil},
		"as many as may run again":       {many[1:], map[string][]string{"e2e": {"Test1", "Test2", "Test3", "Test4"}}},
		"more than the machine explains": {many, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := topLevel(tc.failed)
			if ok != (tc.want != nil) || ok && !maps.EqualFunc(got, tc.want, slices.Equal[[]string]) {
				t.Errorf("got %v, %t; want %v", got, ok, tc.want)
			}
		})
	}
}
