package auth

import "strings"

// The bits of the claim mode in tokens of the original live777.
const (
	modeManage    = 1 // start and stop recordings, end sessions
	modePublish   = 2
	modeSubscribe = 4
	modeAll       = modeManage | modePublish | modeSubscribe
)

// original are the claims of a JSON Web Token that was made for the original live777: one
// stream, or "*", and bits of what may be done to it. Tokens of others may have anything
// under these names.
type original struct {
	ID   any `json:"id,omitempty"`
	Mode any `json:"mode,omitempty"`
}

// grant returns what such a token allows here; nothing where a claim is missing or is no
// stream or no mode. In its stream no character is a wildcard. Who may do everything there
// with all streams may do everything here.
func (o original) grant() (streams []string, rights []Right) {
	id, _ := o.ID.(string)
	number, _ := o.Mode.(float64)
	mode := uint8(number)
	switch {
	case id == "" || float64(mode) != number:
		return nil, nil
	case id == "*" && mode&modeAll == modeAll:
		return []string{"*"}, []Right{Admin}
	case id == "*":
		streams = []string{"*"}
	default:
		streams = []string{strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(id)}
	}
	if mode&modePublish != 0 {
		rights = append(rights, Publish)
	}
	if mode&modeSubscribe != 0 {
		rights = append(rights, Subscribe, View)
	}
	if mode&modeManage != 0 {
		rights = append(rights, Record)
	}
	return streams, rights
}
