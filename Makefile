# Everything a contributor runs. `make` alone builds.
GO        ?= go
BIN       := bin
LINT      := $(BIN)/golangci-lint
LINT_VER  := v2.15.0
FUZZTIME  ?=
SIMTIME   ?= 2m

.PHONY: build test race fuzz sim scenarios uml bench lint demo clean

# build the one binary into bin/
build:
	$(GO) build -o $(BIN)/ringway ./cmd/ringway

# all tests, as the README says
test:
	$(GO) test ./...

# all tests under the race detector (needs a C compiler)
race:
	$(GO) test -race ./...

# every fuzz target, each for FUZZTIME, or all together for 100 s
fuzz:
	GO=$(GO) FUZZTIME=$(FUZZTIME) ./scripts/fuzz

# random federations in virtual time for SIMTIME, judged by internal/evs
sim:
	$(GO) test ./internal/sim -count=1 -v -run TestRandom -timeout 24h -sim.for=$(SIMTIME)

# real nodes and clients in the lab, broken as internal/scenario/scripts say (root)
scenarios:
	$(GO) test ./internal/scenario -run TestScripts -count=1 -v

# examples/netem under a kernel with netem, and steps of the clock (user-mode Linux)
uml:
	./scripts/uml-test

# micro benchmarks of the hot path, then throughput of a three-node site
bench: build
	$(GO) test -run '^$$' -bench . -benchmem ./...
	./scripts/bench-site

# gofmt, go vet, golangci-lint with the import rules
lint: $(LINT)
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	$(GO) vet ./...
	$(LINT) run

$(LINT):
	GOBIN=$(abspath $(BIN)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VER)

# three sites on this machine, no root, no file
demo:
	$(GO) run ./cmd/ringway demo

clean:
	rm -rf $(BIN)
