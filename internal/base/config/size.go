package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// units are the units of sizes, longer ones before those that they end with.
var units = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// parseSize reads a size such as "10GiB", "1.5 TB" or "1000".
func parseSize(text string) (int64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(strings.TrimSpace(text), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if n *= u.bytes; err != nil || n < 0 || n > math.MaxInt64/2 || math.IsNaN(n) {
			break
		}
		return int64(n), nil
	}
	return 0, fmt.Errorf(`%q is no size; write "10GiB", "500MB" or a number of bytes`, text)
}
