# What can be done here. Every target sets up what it needs first, and says so: see scripts/setup.

.PHONY: help demo test test-quick check bench soak clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## From a git tag to a switched port and back, on a host of its own
	@scripts/demo

test: ## All tests but the soak's; without root, those that need none
	@scripts/test $(ARGS)

test-quick: ## The units alone: no root, no engine, under two minutes
	@scripts/test-quick $(ARGS)

check: ## Lint, format, types, documentation
	@scripts/check

bench: ## Measure against the alternatives; a table, and JSON in bench/results
	@scripts/setup --for bench
	@scripts/bench $(ARGS)

soak: ## Ten thousand switches under load, and what `make test` leaves out
	@scripts/test tests/host -m soak
	@scripts/bench --soak $(ARGS)

clean: ## Remove what was made in this folder (not what was installed)
	rm -rf .venv .cache build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
