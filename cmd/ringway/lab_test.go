//go:build linux

package main

import (
	"slices"
	"testing"
)

// TestPartsAfter completes what stands behind the last comma or slash.
func TestPartsAfter(t *testing.T) {
	names := []string{"fra", "lon", "nyc"}
	for typed, want := range map[string][]string{
		"":          {"fra", "lon", "nyc"},
		"l":         {"fra", "lon", "nyc"}, // the shell keeps what fits
		"lon,":      {"lon,fra", "lon,nyc"},
		"lon,f":     {"lon,fra", "lon,nyc"},
		"lon,fra/":  {"lon,fra/nyc"},
		"lon,fra/n": {"lon,fra/nyc"},
	} {
		if got := partsAfter(typed, names); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", typed, got, want)
		}
	}
}
