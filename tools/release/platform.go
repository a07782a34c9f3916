// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
)

// A platform is an operating system and an architecture, as Go names them.
type platform struct{ os, arch string }

var everyPlatform = []platform{
	{"linux", "amd64"}, {"linux", "arm64"},
	{"darwin", "arm64"}, {"darwin", "amd64"},
	{"windows", "amd64"},
}

func (p platform) String() string { return p.os + "/" + p.arch }

// binary is the name of Caddy's binary there.
func (p platform) binary() string {
	if p.os == "windows" {
		return "caddy.exe"
	}
	return "caddy"
}

func platformNames(platforms []platform) []string {
	var names []string
	for _, p := range platforms {
		names = append(names, p.String())
	}
	return names
}

// parsePlatforms reads a list like "linux/amd64,windows/amd64".
func parsePlatforms(list string) ([]platform, error) {
	var parsed []platform
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(everyPlatform, func(p platform) bool { return p.String() == name })
		if i < 0 {
			return nil, fmt.Errorf("platform %q is not built; choose from %s", name, strings.Join(platformNames(everyPlatform), ", "))
		}
		if !slices.Contains(parsed, everyPlatform[i]) {
			parsed = append(parsed, everyPlatform[i])
		}
	}
	return parsed, nil
}
