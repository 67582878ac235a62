package config

import (
	"os"
	"reflect"
	"runtime"
	"strconv"
)

// FileMode is the mode of files in octal: "0640".
type FileMode string

// Mode returns the mode; 0 for what is none, which Load refuses.
func (m FileMode) Mode() os.FileMode {
	n, err := strconv.ParseUint(string(m), 8, 9)
	if err != nil {
		return 0
	}
	return os.FileMode(n)
}

// checkFileMode wants a mode with which the program itself can go on working, and with
// which nobody else can change what was recorded.
func (l *loader) checkFileMode(at string, m FileMode) {
	if mode := m.Mode(); mode&0o600 != 0o600 || mode&^0o664 != 0 {
		l.fail(at, `%q is no mode of recordings; write "0600" (this user alone), "0640" (its group may read) or "0644" (everybody may), "0660" or "0664"`, string(m))
	}
}

// exposed reports whether everybody on the machine can read the file of a configuration
// that has secrets. c is made for this: it gets what the file has.
func exposed(c settings, p *program, file string) bool {
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o004 == 0 || runtime.GOOS == "windows" {
		return false
	}
	text, err := readFile(file, true)
	if err != nil {
		return false
	}
	_ = loadInto(c, p, file, text, nil) // what is wrong with it has been told
	return hasSecret(reflect.ValueOf(c).Elem())
}

// hasSecret reports whether a secret is set anywhere in v.
func hasSecret(v reflect.Value) bool {
	switch x := v.Interface().(type) {
	case Secret:
		return x != ""
	case DatabaseURL:
		return x.String() != string(x)
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if hasSecret(v.Field(i)) {
				return true
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if hasSecret(v.Index(i)) {
				return true
			}
		}
	}
	return false
}

// Exposed reports whether everybody on the machine can read the secrets of a
// configuration file.
func Exposed(file string) bool { return exposed(new(Config), live777, file) }

// ExposedLiveman is Exposed for the file of a liveman.
func ExposedLiveman(file string) bool { return exposed(new(Liveman), liveman, file) }
