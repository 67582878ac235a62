# Everything a clone needs. `make run` and `make test` are the two to know.
#
#   make run     build the page and the servers, start the node on http://127.0.0.1:7777
#   make test    install what the tests need, then run all of them
#   make check   formatting, vet, lint, types, scripts, and the race detector
#
# RACE=1 runs the tests of `make test` under the race detector; FUZZTIME and
# BENCH set the length of each fuzzer and the benchmarks to run, CHAOSTIME how long
# `make chaos` runs; with SEED it runs that one, and tells what happened. ATTACK_FOR
# is how long `make attack` runs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

GO       ?= go
FUZZTIME ?= 10s
BENCH    ?= .
CHAOSTIME ?= 30m
ATTACK_FOR ?= 30m
BIN      := bin/live777
LIVEMAN  := bin/liveman
LINT     := .cache/bin/golangci-lint
MINIO    := .cache/bin/minio
SUPPLY   := .cache/bin/supply
RELEASE  := .cache/bin/release
BENCHSTAT := .cache/bin/benchstat

export GO

.PHONY: build run run-liveman web deps prepare programs test e2e interop matrix soak attack site sbom release bench-record check static race chaos fuzz bench bench-catalogue bench-compare clean

# Without cgo and paths, two builds of the same sources are the same.
build: ## the servers, with the page that was built last
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/live777
	CGO_ENABLED=0 $(GO) build -trimpath -o $(LIVEMAN) ./cmd/liveman

run: web build ## the page and the servers, then start the node without a configuration file
	$(BIN)

run-liveman: web build ## the same, and start the manager
	$(LIVEMAN)

web: ## the page, into internal/serve/web/dist
	scripts/web.sh build

deps: $(MINIO) $(RELEASE) ## Debian packages, npm modules and the S3 server that the tests need
	scripts/deps.sh
	scripts/web.sh install
	scripts/python.sh

# The build of the S3 server takes minutes: it goes on while all else is fetched
# and built.
prepare: ## what the tests need, and what they run
	$(MAKE) -j2 --output-sync=target $(MINIO) $(RELEASE) programs

programs:
	scripts/deps.sh
	scripts/python.sh
	scripts/web.sh build
	$(MAKE) build

test: prepare ## all tests: the page's, Go's, end to end, and without the recorder
	scripts/web.sh test
	scripts/test.sh unit
	scripts/web.sh browse
	scripts/test.sh e2e norecorder

e2e: prepare ## the end-to-end tests alone
	scripts/web.sh browse
	scripts/test.sh e2e

# THROUGH=relay or redirect has them publish to a manager of the node.
interop: prepare ## publish with every client that is there, and tell what became of it
	$(GO) build -o .cache/bin/interop ./cmd/interop
	.cache/bin/interop $(if $(THROUGH),-through $(THROUGH)) -out docs/interop.md

soak: deps build ## the end-to-end test of outages of storage, a minute each
	OUTAGE_SECONDS=60 $(GO) test -count=1 -v -timeout 60m -run '^TestOutages$$' ./internal/testkit/e2e

attack: deps build ## everything that somebody with few rights can send, for ATTACK_FOR
	ATTACK_FOR=$(ATTACK_FOR) $(GO) test -count=1 -v -timeout 0 -run '^TestAttack$$' ./internal/testkit/e2e

# SHAPES=word,word plays those alone, MATRIX_DIR keeps the recordings.
matrix: deps ## all shapes of recordings in all players, and the table of what they showed
	MATRIX=full MATRIX_TABLE=$(CURDIR)/.cache/matrix.md $(GO) test -count=1 -v -timeout 60m -run '^TestPlayers' ./internal/testkit/e2e/matrix

check: static race ## everything that judges the code

static: $(LINT) $(SUPPLY) ## formatting, vet, lint, types, scripts, licences and vulnerabilities: no test runs
	scripts/static.sh $(LINT) $(SUPPLY)

site: ## the documentation as a site, into .cache/site/html
	scripts/site.sh

sbom: $(SUPPLY) build ## bills of materials of the programs (CycloneDX)
	scripts/supply.sh $(SUPPLY) sbom

# VERSION=v1.2.3 makes another than the commit's tag; PLATFORMS="linux/amd64" some.
release: web $(RELEASE) $(SUPPLY) ## archives, packages, images, bills of materials and checksums, into dist/
	scripts/site.sh embed
	scripts/release.sh $(RELEASE) $(SUPPLY)

race: deps ## Go's tests but the end-to-end ones, under the race detector
	RACE=1 scripts/test.sh unit

# The linter is a module of its own, so that its two hundred requirements stay
# out of the server's go.mod.
$(LINT): tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $(LINT)

# Tools that look at what the programs are made of.
$(SUPPLY): tools/supply/go.mod tools/supply/go.sum
	mkdir -p $(SUPPLY)
	cd tools/supply && CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o ../../$(SUPPLY)/ tool
	@touch $(SUPPLY)

# What makes packages and images, what reads deploy/, and an ACME server for tests.
$(RELEASE): tools/release/go.mod tools/release/go.sum $(wildcard tools/release/*/*.go)
	mkdir -p $(RELEASE)
	cd tools/release && $(GO) build -o ../../$(RELEASE)/ tool ./image ./manifests
	@touch $(RELEASE)

$(BENCHSTAT): tools/bench/go.mod tools/bench/go.sum
	cd tools/bench && $(GO) build -o ../../$(BENCHSTAT) golang.org/x/perf/cmd/benchstat
	@touch $(BENCHSTAT)

# The S3 server of the tests, a module of its own for the same reason. The build
# takes a few minutes.
$(MINIO): tools/minio/go.mod tools/minio/go.sum
	cd tools/minio && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o ../../$(MINIO) github.com/minio/minio
	@touch $(MINIO)

bench-catalogue: deps ## lists of 1,000,000 recordings; fails where a page takes longer than 10 ms
	$(GO) test -run '^$$' -bench '^BenchmarkMillion$$' -benchtime 30x -timeout 60m ./internal/library/catalogue

# PEERS='-peer name=URL=command' puts other servers beside ours; STREAMS=10,30 sets the steps.
bench-record: build ## what a stream costs a node that records it, beside a receiver that throws it away
	$(GO) build -o .cache/bin/benchrecord ./cmd/benchrecord
	.cache/bin/benchrecord $(if $(STREAMS),-streams $(STREAMS)) $(PEERS)

fuzz: ## every fuzzer, FUZZTIME each
	scripts/fuzz.sh $(FUZZTIME)

chaos: ## recorders in random lives, each judged by the log of what was sent
	CHAOS_SEED=$(SEED) CHAOS_SHRINK=$(SEED) CHAOS_FOR=$(CHAOSTIME) $(GO) test -count=1 -v -timeout 0 -run '^TestChaos$$' ./internal/testkit/chaos \
		| grep --line-buffered -vE '^(=== | *--- PASS)'

bench: ## the benchmarks that match BENCH
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

# BASE=main compares with that revision, BENCH=Take that benchmark alone, ROUNDS=10 more often.
bench-compare: $(BENCHSTAT) ## the micro-benchmarks beside those of revision BASE
	scripts/benchcompare.sh $(BENCHSTAT) '$(BASE)' '$(BENCH)' $(ROUNDS)

clean: ## what was built; recordings in storage/ stay
	rm -rf bin .cache web/node_modules
	find internal/serve/web/dist -mindepth 1 ! -name .gitkeep -delete
