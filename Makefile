# Verbs only; what they do is in bin/ and in the crates.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

.PHONY: help build install uninstall demo check test test-fast e2e soak docs reference ci bench bench-messager install-messager install-testbed

help: ## Lists the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

build: ## Builds the release binaries: the one that bin/launcher runs, and messager
	cargo build --release --locked -p launcher-cli -p messager-server

PREFIX ?= /usr/local
RELEASE = $${CARGO_TARGET_DIR:-target}/release/launcher
MESSAGER = $${CARGO_TARGET_DIR:-target}/release/messager
PLACE = $(DESTDIR)$(PREFIX)

# Builds nothing: whoever may install need not have a compiler. Modes are said,
# so that everybody may read what root installs under a umask of 077. Whoever built
# the launcher alone gets the launcher alone.
install: ## Installs binaries, manual pages, completions and units below PREFIX (/usr/local)
	@test -x $(RELEASE) || { echo "$(RELEASE) is not there: run \`make build\` first" >&2; exit 1; }
	@commit=$$(git rev-parse --short=12 HEAD 2>/dev/null || true); \
	case "$$($(RELEASE) --version)" in *"$$commit"*) ;; \
	*) echo "$(RELEASE) was built from another commit: run \`make build\` first" >&2; exit 1;; esac
	install -Dm755 $(RELEASE) "$(PLACE)/bin/launcher"
	install -dm755 "$(PLACE)/share/man/man1"
	$(RELEASE) man --output "$(PLACE)/share/man/man1"
	chmod 644 "$(PLACE)"/share/man/man1/launcher.1 "$(PLACE)"/share/man/man1/launcher-*.1
	$(RELEASE) completions bash | install -Dm644 /dev/stdin "$(PLACE)/share/bash-completion/completions/launcher"
	$(RELEASE) completions zsh | install -Dm644 /dev/stdin "$(PLACE)/share/zsh/site-functions/_launcher"
	$(RELEASE) completions fish | install -Dm644 /dev/stdin "$(PLACE)/share/fish/vendor_completions.d/launcher.fish"
	sed 's#/usr/local/bin/#$(PREFIX)/bin/#' docs/operations/launcher.service | install -Dm644 /dev/stdin "$(PLACE)/lib/systemd/system/launcher.service"
	@if test -x $(MESSAGER); then $(MAKE) --no-print-directory install-messager; fi

install-messager:
	install -Dm755 $(MESSAGER) "$(PLACE)/bin/messager"
	install -dm755 "$(PLACE)/share/man/man1"
	$(MESSAGER) man --output "$(PLACE)/share/man/man1"
	chmod 644 "$(PLACE)"/share/man/man1/messager.1 "$(PLACE)"/share/man/man1/messager-*.1
	$(MESSAGER) completions bash | install -Dm644 /dev/stdin "$(PLACE)/share/bash-completion/completions/messager"
	$(MESSAGER) completions zsh | install -Dm644 /dev/stdin "$(PLACE)/share/zsh/site-functions/_messager"
	$(MESSAGER) completions fish | install -Dm644 /dev/stdin "$(PLACE)/share/fish/vendor_completions.d/messager.fish"
	sed 's#/usr/local/bin/#$(PREFIX)/bin/#' docs/operations/messager.service | install -Dm644 /dev/stdin "$(PLACE)/lib/systemd/system/messager.service"

uninstall: ## Removes what install put below PREFIX; agents and settings stay
	rm -f "$(PLACE)/bin/launcher" "$(PLACE)"/share/man/man1/launcher.1 "$(PLACE)"/share/man/man1/launcher-*.1
	rm -f "$(PLACE)/share/bash-completion/completions/launcher" "$(PLACE)/share/zsh/site-functions/_launcher"
	rm -f "$(PLACE)/share/fish/vendor_completions.d/launcher.fish" "$(PLACE)/lib/systemd/system/launcher.service"
	rm -f "$(PLACE)/bin/messager" "$(PLACE)"/share/man/man1/messager.1 "$(PLACE)"/share/man/man1/messager-*.1
	rm -f "$(PLACE)/share/bash-completion/completions/messager" "$(PLACE)/share/zsh/site-functions/_messager"
	rm -f "$(PLACE)/share/fish/vendor_completions.d/messager.fish" "$(PLACE)/lib/systemd/system/messager.service"

demo: ## Starts a homeserver and two agents, and opens a chat with one of them
	bin/demo

check: ## Checks format and lints, in a minute when warm
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

# The same packages each time: another choice is another set of features, and
# everything is built again.
TEST := cargo test --workspace --exclude launcher-bench --locked

test: install-testbed ## Runs every test, against a real homeserver and real clients
	$(TEST) --doc
	$(TEST) --lib --bins --test config --test behaviors --test contract --test crypto --test transport --test testbed
	$(TEST) --test e2e

test-fast: ## Runs the tests that need no homeserver
	$(TEST) --lib --bins --test config --test behaviors --test contract --test crypto --test transport

e2e: install-testbed ## Runs only the end-to-end tests
	$(TEST) --test e2e

soak: install-testbed ## Kills the launcher hundreds of times under load; takes half an hour
	$(TEST) --test e2e -- soak
	@cat $${CARGO_TARGET_DIR:-target}/tmp/soak-*.txt

install-testbed:
	@bin/setup-testbed

docs: ## Builds the API documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

reference: ## Writes docs/reference and docs/troubleshooting anew from the code
	UPDATE_REFERENCE=1 $(TEST) --bins reference
	UPDATE_REFERENCE=1 cargo test -p launcher-behaviors --lib --locked protocol
	UPDATE_REFERENCE=1 cargo test -p messager-server --lib --locked openapi

ci: ## What a submission has to pass: format, lints, docs, every test
	$(MAKE) check
	$(MAKE) docs
	$(MAKE) test

bench: install-testbed ## Measures memory, handles and time against a plain matrix-sdk program
	cargo build --release --locked -p launcher-cli
	cargo build --release --locked -p launcher-bench
	$${CARGO_TARGET_DIR:-target}/release/bench

bench-messager: ## Measures how fast Messager hands messages on, against axum alone
	cargo bench --locked -p messager-server
