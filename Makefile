# The menu. `make help` lists it; scripts/ does the work.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

MODULES := proto pkg services
PACKAGES := ./proto/... ./pkg/... ./services/...
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X github.com/narrowcast/narrowcast/services/suite.Version=$(VERSION)
IMAGE ?= narrowcast:dev
PREVIOUS ?= HEAD~1
BIN := .cache/bin

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the programs into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./services/suite/cmd/narrowcast ./services/profile/cmd/profile ./services/segment/cmd/segment ./services/persona/cmd/persona ./services/campaign/cmd/campaign

.PHONY: run
run: ## first run: start the suite, fill it, resolve a narrow audience, keep serving (ONCE=1: exit after printing)
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./services/suite/cmd/narrowcast
	@exec bin/narrowcast demo $(if $(ONCE),--once)

.PHONY: test
test: ## run the tests (TESTFLAGS=-race for the race detector)
	@TESTFLAGS='$(TESTFLAGS)' scripts/test.sh

.PHONY: test-containers
test-containers: ## run the block-store conformance suite against Redis in a container
	@NARROWCAST_TEST_REDIS_PROVIDER=container TESTFLAGS='-count=1 $(TESTFLAGS)' scripts/test.sh ./pkg/audience/blocks/redisblocks/...

.PHONY: e2e
e2e: ## run the scenarios of the whole suite
	@TESTFLAGS='-count=1 $(TESTFLAGS)' scripts/test.sh ./services/suite/...

.PHONY: bench
bench: ## measure the suite on N people (N=200000, BENCHFLAGS='--store servers'); docs/bench says how to read it
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./services/suite/cmd/narrowcast
	@mkdir -p .tmp
	@bin/narrowcast bench --people $(or $(N),200000) --json .tmp/bench.json --markdown .tmp/bench.md $(BENCHFLAGS)

.PHONY: bench-go
bench-go: ## run the Go benchmarks of the packages (BENCH=regexp)
	go test -run '^$$' -bench '$(or $(BENCH),.)' -benchmem work

.PHONY: fuzz
fuzz: ## fuzz each target for FUZZTIME (default 30s)
	@scripts/fuzz.sh $(or $(FUZZTIME),30s)

.PHONY: prove
prove: ## run what takes too long for every commit
	@scripts/prove.sh

.PHONY: generate
generate: ## make the Go code of the contract
	@scripts/generate.sh

.PHONY: verify
verify: verify-generated verify-proto verify-format verify-tidy verify-lint verify-law verify-charts ## all checks that are not tests

.PHONY: verify-generated
verify-generated: ## generated code is current
	@scripts/verify-generated.sh

.PHONY: verify-proto
verify-proto: ## the contract passes buf lint, its format, and breaks nobody since PREVIOUS
	@scripts/install-tools.sh buf && scripts/protodeps.sh
	@$(BIN)/buf lint
	@$(BIN)/buf format -d --exit-code proto
	@scripts/breaking.sh $(PREVIOUS)

.PHONY: verify-format
verify-format: ## Go code is formatted
	@scripts/install-tools.sh golangci-lint
	@$(BIN)/golangci-lint fmt --diff $(addsuffix /...,$(addprefix ./,pkg services))

.PHONY: verify-tidy
verify-tidy: ## each module is tidy and builds on its own
	@scripts/verify-tidy.sh

.PHONY: verify-lint
verify-lint: ## the linter finds nothing
	@scripts/install-tools.sh golangci-lint
	@$(BIN)/golangci-lint run ./pkg/... ./services/...

.PHONY: verify-law
verify-law: ## who may import whom
	@go test -count=1 -run 'TestImportLaw|TestPackageDoc|TestFileLength' ./services/suite

.PHONY: verify-charts
verify-charts: ## the Helm chart lints and templates
	@scripts/install-tools.sh helm
	@scripts/verify-charts.sh

.PHONY: fix
fix: ## format, tidy and generate
	@scripts/install-tools.sh golangci-lint buf
	@$(BIN)/buf format -w proto
	@$(BIN)/golangci-lint fmt ./pkg/... ./services/...
	@for module in $(MODULES); do (cd $$module && GOWORK=off go mod tidy); done
	@scripts/generate.sh

.PHONY: lint
lint: verify-lint ## the linter

.PHONY: image
image: ## build the container image (IMAGE=name:tag, GO_IMAGE=builder)
	@scripts/image.sh $(IMAGE)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin .tmp
