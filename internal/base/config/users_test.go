package config

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/auth"
)

const userHash = "$argon2id$v=19$m=7168,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$ACDRqbVnC4IoQqRFNqu2HQTSAZ5RpmUjq5aAvWPVEqg"

// users is a configuration with one user, some of whose keys are replaced.
func users(replace ...string) string {
	text := "[[auth.users]]\nname = 'anna'\npassword_hash = '" + userHash + "'\nrights = ['view', 'record']\nstreams = ['room-*']\n"
	return strings.NewReplacer(replace...).Replace(text)
}

func TestUsers(t *testing.T) {
	c := mustLoad(t, "[http]\nlisten = ':7777'\n[auth]\ntokens = ['0123456789abcdef']\n"+users()+users("anna", "root", "'view', 'record'", "'admin'"))
	want := auth.Options{Tokens: []string{"0123456789abcdef"}, Accounts: []auth.Account{
		{Name: "anna", PasswordHash: userHash, Rights: []auth.Right{auth.View, auth.Record}, Streams: []string{"room-*"}},
		{Name: "root", PasswordHash: userHash, Rights: []auth.Right{auth.Admin}, Streams: []string{"room-*"}},
	}}
	if got := c.Auth.Options(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	var printed bytes.Buffer
	if err := c.Print(&printed); err != nil || strings.Contains(printed.String(), userHash) || !strings.Contains(printed.String(), "[[auth.users]]\nname = \"anna\"\npassword_hash = \"********\"") {
		t.Errorf("%v: %s", err, printed.String())
	}
	// Users alone ask for credentials, and pages of other origins may send tokens.
	c = mustLoad(t, "[http]\nlisten = ':7777'\n"+users())
	if !c.Auth.Configured() || !reflect.DeepEqual(c.HTTP.CORSOrigins, []string{"*"}) || !auth.New(c.Auth.Options()).HasAccounts() {
		t.Errorf("users ask for nothing: %+v", c.HTTP)
	}
}

func TestUserProblems(t *testing.T) {
	for text, want := range map[string]string{
		users("'anna'", "''"):                             "x.toml:2: auth.users[0].name: is missing",
		users("'anna'", "' anna'"):                        "auth.users[0].name: \" anna\" is no name",
		users("'anna'", `"a\u0000b"`):                     "auth.users[0].name",
		users("'anna'", `"a\u202eb"`):                     `auth.users[0].name: "a\u202eb" is no name`,
		"[recorder]\nnode_alias = \"a\\u2066b\"\n":        "recorder.node_alias",
		users("'anna'", "'"+strings.Repeat("x", 101)+"'"): "auth.users[0].name",
		users() + users():                                 "x.toml:7: auth.users[1].name: \"anna\" is the name of auth.users[0] too",
		users(userHash, "correct horse"):                  "x.toml:3: auth.users[0].password_hash: is no Argon2id or bcrypt hash",
		users(userHash, mask):                             "auth.users[0].password_hash: is the mask",
		users("password_hash = '"+userHash+"'\n", ""):     "x.toml:1: auth.users[0].password_hash: is missing; live777 hash-password makes one",
		users("'view', 'record'", ""):                     "auth.users[0].rights: is missing; use some of publish",
		users("'record'", "'recorder'"):                   "auth.users[0].rights[1]: \"recorder\" is no right",
		users("streams = ['room-*']\n", ""):               "auth.users[0].streams: is missing",
		users("room-*", "room["):                          "auth.users[0].streams[0]: \"room[\" is no pattern",
		users("name", "nam"):                              "x.toml:2: auth.users[0].nam: unknown key; did you mean \"name\"?",
		"[auth]\nanonymous = true\n" + users():            "auth.anonymous: lets everybody do everything",
		"[http]\nlisten = ':7777'\n[auth]\nusers = []\n":  "http.listen",
		users("'"+userHash+"'", "['"+userHash+"']"):       "want a string, got an array",
	} {
		_, err := load("x.toml", []byte(text), nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), userHash) || strings.Contains(err.Error(), "correct horse") {
			t.Errorf("%s\n%v\nwant %s", text, err, want)
		}
	}
}
