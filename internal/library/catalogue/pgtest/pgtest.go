//go:build unix

// Package pgtest runs PostgreSQL servers for tests: the distribution's program,
// with a password, on a port of the loopback interface, with its data in a
// folder that is removed with it.
package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/live777/recorder/internal/testkit/portlock"
)

const (
	// Password is that of the server's superuser. Nothing that a program under
	// test writes may have it.
	Password = "s3cret-p@ss/word"

	superuser = "recorder"
	patience  = time.Minute // for one of the server's programs
)

// Server is a PostgreSQL server. What goes wrong with it fails the test that
// started it. Its methods are for one goroutine at a time.
type Server struct {
	tb        testing.TB
	bin       string              // folder of its programs
	dir       string              // of all its files
	cred      *syscall.Credential // whom it runs as; nil: as the test
	address   string
	databases int
}

// Start starts a server, which ends with the test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{tb: tb, bin: programs(tb)}
	s.makeDir()
	if err := os.WriteFile(filepath.Join(s.dir, "password"), []byte(Password), 0o644); err != nil {
		tb.Fatal(err)
	}
	s.must(s.run("initdb", "--pgdata", s.data(), "--username", superuser, "--pwfile", filepath.Join(s.dir, "password"),
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions"))
	s.guard()
	s.address = portlock.Address(tb)
	s.must(s.start())
	return s
}

// Database returns the URL of a place without tables: a schema of its own, which
// takes a hundredth of the time of a database of its own.
func (s *Server) Database() string {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.databases++
	name := fmt.Sprintf("test_%d", s.databases)
	db, err := sql.Open("pgx", s.url("public"))
	if err == nil {
		_, err = db.ExecContext(ctx, "CREATE SCHEMA "+name)
		err = errors.Join(err, db.Close())
	}
	s.must(err)
	return s.url(name)
}

// Kill ends the server at once, without a word to its clients and without a
// checkpoint, and waits until it is gone.
func (s *Server) Kill() {
	s.tb.Helper()
	s.must(s.run("pg_ctl", "stop", "--pgdata", s.data(), "--mode", "immediate", "--wait"))
}

// Restart starts the server after Kill, on the same port and with the same data,
// and waits until it answers.
func (s *Server) Restart() {
	s.tb.Helper()
	s.must(s.start())
}

// Dump returns all that is in a place that Database returned, as a backup has it.
func (s *Server) Dump(place string) (backup string) {
	s.tb.Helper()
	file := filepath.Join(s.dir, "dump")
	s.must(s.run("pg_dump", "--dbname", s.tools(), "--schema", s.schema(place), "--file", file))
	text, err := os.ReadFile(file)
	s.must(err)
	return string(text)
}

// Load puts what Dump returned in place of all that is in the place now.
func (s *Server) Load(place, backup string) {
	s.tb.Helper()
	file := filepath.Join(s.dir, "backup")
	s.must(os.WriteFile(file, []byte(fmt.Sprintf("DROP SCHEMA %s CASCADE;\n", s.schema(place))+backup), 0o644))
	s.must(s.run("psql", "--dbname", s.tools(), "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--single-transaction", "--file", file))
}

// tools returns the server's URL for its own programs, which know no search_path.
func (s *Server) tools() string { return strings.TrimSuffix(s.url(""), "&search_path=") }

// schema returns the name of the schema that a place is.
func (s *Server) schema(place string) string {
	s.tb.Helper()
	u, err := url.Parse(place)
	s.must(err)
	return u.Query().Get("search_path")
}

func (s *Server) must(err error) {
	s.tb.Helper()
	if err == nil {
		return
	}
	log, _ := os.ReadFile(s.log())
	s.tb.Fatalf("PostgreSQL: %v\n%s", err, log)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) log() string  { return filepath.Join(s.dir, "log") }

func (s *Server) url(schema string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, Password),
		Host: s.address, Path: "postgres", RawQuery: "sslmode=disable&search_path=" + schema,
	}
	return u.String()
}

func (s *Server) start() error {
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	options := fmt.Sprintf("-c listen_addresses=%s -c port=%s -c unix_socket_directories= -c fsync=off "+
		"-c max_connections=50 -c shared_buffers=64MB", host, port)
	return s.run("pg_ctl", "start", "--pgdata", s.data(), "--log", s.log(), "--options", options, "--wait")
}

// guard sees to it that the server ends and its files go with the test, and with
// the test's process, should that end without cleaning up: its end of the pipe is
// closed then.
func (s *Server) guard() {
	s.tb.Helper()
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c",
		`cat >/dev/null; "$1/pg_ctl" stop --pgdata "$2/data" --mode immediate --wait >/dev/null 2>&1; rm -rf "$2"`, "guard", s.bin, s.dir)
	s.asServer(cmd)
	cmd.SysProcAttr.Setpgid = true // an interrupt from the terminal is for the test
	lifeline, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	s.must(err)
	s.tb.Cleanup(func() {
		if err := errors.Join(lifeline.Close(), cmd.Wait()); err != nil {
			s.tb.Errorf("end PostgreSQL: %v", err)
		}
	})
}

// run runs one of the server's programs to its end.
func (s *Server) run(program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	s.asServer(cmd)
	// A file and no pipe: the server inherits it and would keep it open.
	output, err := os.CreateTemp(s.tb.TempDir(), program)
	if err != nil {
		return err
	}
	defer output.Close() //nolint:errcheck // it is read before
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(output.Name())
		return fmt.Errorf("%s: %w\n%s", program, err, said)
	}
	return nil
}

// asServer makes cmd run as who the server runs as.
func (s *Server) asServer(cmd *exec.Cmd) {
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
}

// makeDir makes the server's folder, and decides whom it runs as: it refuses to
// run as root.
func (s *Server) makeDir() {
	s.tb.Helper()
	dir, err := os.MkdirTemp("", "pgtest") // not TempDir: its parents are closed to others
	s.must(err)
	s.dir = dir
	s.tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Geteuid() != 0 {
		return
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	s.must(err)
	uid, err := strconv.Atoi(who.Uid)
	gid, err2 := strconv.Atoi(who.Gid)
	s.must(errors.Join(err, err2, os.Chown(dir, uid, gid)))
	s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// programs returns the folder of the newest server's programs.
func programs(tb testing.TB) string {
	tb.Helper()
	// Debian's place, of which versions are in order until version 100.
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl")
	if err == nil && len(found) > 0 {
		return filepath.Dir(slices.Max(found))
	}
	path, err := exec.LookPath("pg_ctl")
	if err != nil {
		tb.Fatal("PostgreSQL's server is missing: install the Debian package postgresql (scripts/deps.sh does)")
	}
	return filepath.Dir(path)
}
