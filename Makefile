# Coffer's front door. Each target is one script; `make help` lists them.
PREFIX ?= /usr/local
.PHONY: all run check bench fuzz sim lint deps install clean help

all: ## build everything; the programs are in build/bin/
	@scripts/deps build
	@scripts/build build gcc

run: all ## start a demo in ./instance: servers, one simulated iPhone, and what to try next
	@scripts/run

check: ## all tests: gcc, ASan+UBSan, TSan, fuzzing (FAST=1: the gcc build only)
	@scripts/deps build test
	@scripts/check

bench: all ## measure speed and memory, print the table of docs/benchmarks.md
	@scripts/deps build bench
	@scripts/bench

fuzz: ## fuzz every parser for FUZZ_SECONDS each (default 300)
	@scripts/deps build test
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-300} scripts/check fuzz

sim: all ## run SEEDS seeds of the simulator of sync (default 20000: a night)
	@build/tests/sim/sync_sim -q 1 $(or $(SEEDS),20000)

lint: ## layout, static analysis and house rules
	@scripts/deps build lint
	@scripts/lint

deps: ## install the Debian packages that are missing
	@scripts/deps

install: all ## install below PREFIX (default /usr/local), honouring DESTDIR
	@meson configure build -Dprefix="$(PREFIX)"
	@meson install -C build $(if $(DESTDIR),--destdir "$(DESTDIR)")

clean: ## remove what the targets above have built (not ./instance)
	@rm -rf build build-asan build-tsan build-fuzz build-lint

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /make \1\t/p' Makefile | expand -t 14
