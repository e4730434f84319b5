# The project's commands. Each installs the packages that it needs, and says so.

.DEFAULT_GOAL := help
.PHONY: help run build docs test test-api test-crash test-attack test-cut test-differential test-zones test-package package static-probe bench bench-probe bench-store bench-growth bench-zones recall fuzz lint screenshots clean-run

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, then run a central and a probe on this machine with sample data; Ctrl-C stops them
	@scripts/run.sh

build: ## build both programs
	@scripts/build.sh

test: ## run every test
	@scripts/test.sh

test-api: ## fuzz a running central by its OpenAPI document (schemathesis), for about a minute
	@scripts/test-api.sh

test-crash: ## kill the central under load 100 times; compare 20,000 random schedules of the store with a model
	@ZONEPULSE_TESTS_CRASHES=100 scripts/test.sh killed_under_full_load
	@ZONEPULSE_TESTS_SCHEDULES=20000 scripts/test.sh answers_are_those_of_a_plain_model

test-backup: ## kill the central 20 times while it makes backups, and restore every backup
	@ZONEPULSE_TESTS_BACKUP_KILLS=20 scripts/test.sh backups

test-attack: ## run all attacks on a central at once for five minutes
	@ZONEPULSE_TESTS_ATTACK_S=300 scripts/test.sh all_attacks_at_once

test-cut: ## disconnect machines of a fleet for two minutes, twice
	@ZONEPULSE_TESTS_CUT_S=120 scripts/test.sh in_a_fleet

test-differential: ## ask 60,000 random questions about random batches; compare each answer with a plain model
	@ZONEPULSE_TESTS_QUESTIONS=60000 scripts/test.sh random_questions

test-zones: ## compare a million lookups and transferred records, and 1,000 removals, with Knot, BIND and NSD; 50,000 verdicts with Python
	@ZONEPULSE_TESTS_LOOKUPS=1000000 scripts/test.sh random_lookups
	@ZONEPULSE_TESTS_TRANSFER_RECORDS=1000000 scripts/test.sh full_zone
	@ZONEPULSE_TESTS_REMOVALS=1000 scripts/test.sh answers_change_as_predicted
	@ZONEPULSE_TESTS_VERDICT_RECORDS=50000 scripts/test.sh verdicts_on_a_large_zone
	@ZONEPULSE_TESTS_VERDICT_RECORDS=50000 ZONEPULSE_TESTS_FLOOD_NAMES=400000 scripts/test.sh names_folded_in_a_flood

package: ## build deb and rpm packages of both programs, and the probe as a static file, into target/packages
	@scripts/package.sh

static-probe: ## build the probe as a static file, for ARCHITECTURES ("x86_64 aarch64"; this machine's)
	@scripts/static-probe.sh $(ARCHITECTURES)

test-package: ## install, upgrade and remove the packages in systems made for that; run the commands of docs/INSTALL.md (root)
	@scripts/test-package.sh

bench: ## benchmark the real programs and write a report (docs/BENCHMARKS.md has the figures)
	@scripts/bench.sh

bench-probe: ## benchmark the probe against Debian's tools for the same job
	@scripts/bench.sh probe

bench-store: ## benchmark the store, also against VictoriaMetrics, DuckDB and ClickHouse
	@scripts/bench.sh store
	@scripts/bench.sh peers

bench-growth: ## benchmark the store with 1 to 30 days, 10 to 1,000 servers, 1 million records (plots in docs/img)
	@scripts/bench.sh growth

bench-zones: ## benchmark zones: import a million resources, ask for verdicts, ingest with and without (plot in docs/img)
	@scripts/bench.sh zones

recall: ## measure recall on the captures of the corpus, and write docs/RECALL.md
	@scripts/recall.sh

fuzz: ## fuzz the parsers of packets, files, batches, heartbeats and settings, each for SECONDS (600)
	@scripts/fuzz.sh $(SECONDS)

docs: ## build the documentation site into target/book, and check its links
	@scripts/docs.sh

lint: ## check format, clippy and dependency rules
	@scripts/lint.sh

screenshots: ## take pictures of every view of the page, into target/screenshots and docs/img/page
	@scripts/screenshots.sh

clean-run: ## delete the data of `make run`
	@scripts/clean-run.sh
