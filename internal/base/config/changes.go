package config

import (
	"reflect"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
)

// Changes returns the keys in which next differs from c. The error names those for which
// a running node has to be restarted.
func (c *Config) Changes(next *Config) (keys []string, err error) {
	return changes(live777.leaves(reflect.ValueOf(c).Elem()), live777.leaves(reflect.ValueOf(next).Elem()))
}

// Changes is Config.Changes.
func (c *Liveman) Changes(next *Liveman) (keys []string, err error) {
	return changes(liveman.leaves(reflect.ValueOf(c).Elem()), liveman.leaves(reflect.ValueOf(next).Elem()))
}

func changes(old, next []leaf) (keys []string, err error) {
	var restart []string
	for i, f := range old {
		if same(f.value, next[i].value) {
			continue
		}
		keys = append(keys, f.path)
		if f.tag.Get("reload") == "" {
			restart = append(restart, f.path)
		}
	}
	if len(restart) > 0 {
		return keys, fault.Errorf(fault.Conflict, "nothing was changed: a restart is needed for %s", strings.Join(restart, ", "))
	}
	return keys, nil
}

// same takes no list and an empty one for the same.
func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
