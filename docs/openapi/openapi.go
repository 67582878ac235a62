// Package openapi holds the OpenAPI 3.1 documents of the programs, which serve
// them. What both programs have stands once, in common.json, and is part of both
// documents. Tests of package api hold them against the routes and the answers.
package openapi

import (
	"bytes"
	_ "embed" // of the documents
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

var (
	//go:embed common.json
	common []byte
	//go:embed live777.json
	live777 []byte
	//go:embed liveman.json
	liveman []byte
)

var (
	// Live777 returns the description of a node's API, as JSON.
	Live777 = sync.OnceValue(func() []byte { return document(live777) })
	// Liveman returns the description of a manager's API, as JSON.
	Liveman = sync.OnceValue(func() []byte { return document(liveman) })
)

// document returns a whole document. The files are parts of the program, so that an
// error in them is one of the program.
func document(own []byte) []byte {
	whole, err := merge(own, common, 0)
	if err != nil {
		panic(fmt.Sprintf("openapi: %v", err))
	}
	return append(whole, '\n')
}

// mergedLevels is how deep objects of the same name become one: paths and what is
// below a path, components and their kinds. An operation, a schema or a response
// stands in one of the files.
const mergedLevels = 3

// merge returns an object with the members of two, of which those of the first
// come first. The text of what is not merged stays as it is.
func merge(own, other []byte, depth int) ([]byte, error) {
	all, err := membersOf(own)
	if err != nil {
		return nil, err
	}
	others, err := membersOf(other)
	if err != nil {
		return nil, err
	}
	for _, m := range others {
		i := index(all, m.name)
		switch {
		case i < 0:
			all = append(all, m)
		case depth+1 == mergedLevels:
			return nil, fmt.Errorf("%s stands twice", m.name)
		default:
			if all[i].value, err = merge(all[i].value, m.value, depth+1); err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return text(all, strings.Repeat("  ", depth)), nil
}

// member is a member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// membersOf returns the members of an object, in their order.
func membersOf(object []byte) (all []member, err error) {
	d := json.NewDecoder(bytes.NewReader(object))
	switch start, err := d.Token(); {
	case err != nil:
		return nil, fmt.Errorf("read an object: %w", err)
	case start != json.Delim('{'):
		return nil, fmt.Errorf("%.20q is no object", object)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read a name: %w", err)
		}
		m := member{name: fmt.Sprint(name)}
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("read %s: %w", m.name, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// index returns the index of the member with a name, or -1.
func index(all []member, name string) int {
	for i, m := range all {
		if m.name == name {
			return i
		}
	}
	return -1
}

// text returns the object with the members, whose lines begin with an indent.
func text(all []member, indent string) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n%s  %q: %s", indent, m.name, m.value)
	}
	b.WriteString("\n" + indent + "}")
	return b.Bytes()
}
