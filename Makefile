# The commands of the project. What each needs and does not find it installs, and says so.

.DEFAULT_GOAL := help
.PHONY: help run build test test-api test-crash test-attack test-cut test-differential bench bench-probe bench-store bench-growth recall fuzz lint clean-run

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, start the central and a probe on this machine, show data; Ctrl-C ends it
	@scripts/run.sh

build: ## build both programs
	@scripts/build.sh

test: ## run every test
	@scripts/test.sh

test-api: ## ask a running central whatever its OpenAPI document allows (schemathesis), for about a minute
	@scripts/test-api.sh

test-crash: ## kill the central under load 100 times, and compare 20,000 random schedules of the store with a model
	@ZONEPULSE_TESTS_CRASHES=100 scripts/test.sh killed_under_full_load
	@ZONEPULSE_TESTS_SCHEDULES=20000 scripts/test.sh answers_are_those_of_a_plain_model

test-attack: ## attack a central in every way at once for five minutes
	@ZONEPULSE_TESTS_ATTACK_S=300 scripts/test.sh all_attacks_at_once

test-cut: ## cut machines of a fleet off for two minutes, twice
	@ZONEPULSE_TESTS_CUT_S=120 scripts/test.sh in_a_fleet

test-differential: ## ask 60,000 random questions about random batches, and compare each answer with a plain model
	@ZONEPULSE_TESTS_QUESTIONS=60000 scripts/test.sh random_questions

bench: ## measure the real programs, write a report (docs/BENCHMARKS.md keeps the figures)
	@scripts/bench.sh

bench-probe: ## measure the probe beside Debian's tools for the same work
	@scripts/bench.sh probe

bench-store: ## measure the store, and beside VictoriaMetrics, DuckDB and ClickHouse
	@scripts/bench.sh store
	@scripts/bench.sh peers

bench-growth: ## measure the store with 1 to 30 days, 10 to 1,000 servers, 1 million records (docs/img has the plots)
	@scripts/bench.sh growth

recall: ## count what is found in the captures of the corpus (docs/RECALL.md)
	@scripts/recall.sh

fuzz: ## fuzz what reads packets, files, batches, heartbeats and settings: each target for SECONDS (600)
	@scripts/fuzz.sh $(SECONDS)

lint: ## format, clippy, dependency rules
	@scripts/lint.sh

clean-run: ## forget the data of `make run`
	@scripts/clean-run.sh
