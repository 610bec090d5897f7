# The portal's commands. `make` alone lists them. Settings: make run PORT=8080 HOST=0.0.0.0 STATE=/srv/gongxiang ENGINES=wheels
.DEFAULT_GOAL := help
.PHONY: help run setup test prove check fix messages journey demo-reset status stop lock

HOST ?= 127.0.0.1
PORT ?= 8000
STATE ?= .state
ENGINES ?= auto
DEMO ?= 1
WEB ?= 2

# The first Python on the path that is 3.11 or newer and can make virtual environments.
PYTHON ?= $(shell for each in python3.11 python3 python3.12 python3.13 python3.14 /usr/bin/python3; do \
	"$$each" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && break; done)
LAUNCH = $(if $(PYTHON),$(PYTHON),$(error Python 3.11 with venv is missing: apt-get install python3-venv)) -m portal.launch
VENV = .venv/bin
OURS = portal vouchers scheduler integrations

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

run: ## Start the whole portal with demo data: environment, engines, web, worker, beat, job runner
	@$(LAUNCH) setup --engines $(ENGINES) runtime
	@exec $(VENV)/python -m portal.launch run --state $(STATE) --host $(HOST) --port $(PORT) --engines $(ENGINES) --demo $(DEMO) --web $(WEB)

setup: ## Make the environment with everything for development
	@$(LAUNCH) setup --engines $(ENGINES) runtime engines test check

test: ## Install what the tests need, run them all (one part: make test ARGS="tests/launch -x")
	@$(LAUNCH) setup runtime engines test
	@exec $(VENV)/python -m portal.launch test -- $(ARGS)

SUBJECT ?= vouchers
prove: ## Run the scenarios of one subject and print a line for each (make prove SUBJECT=vouchers)
	@test -f tests/$(SUBJECT)/test_scenarios.py || { echo "no scenarios for SUBJECT=$(SUBJECT); there are: $(patsubst tests/%/test_scenarios.py,%,$(wildcard tests/*/test_scenarios.py))"; exit 2; }
	@$(LAUNCH) setup runtime engines test
	@$(VENV)/python -m portal.launch test -- -p tests.proving -p no:warnings --no-header -q --durations=0 --durations-min=999 tests/$(SUBJECT)/test_scenarios.py

check: check-format check-lint check-types check-contracts check-templates check-django check-translations ## The same gate as CI: format, lint, types, import contracts, templates, deployment, migrations, translations

.PHONY: tools check-format check-lint check-types check-contracts check-templates check-django check-translations
tools:
	@$(LAUNCH) setup runtime test check
check-format: tools
	$(VENV)/ruff format --check --quiet --output-format concise .
check-lint: tools
	$(VENV)/ruff check --quiet --output-format concise .
check-types: tools
	$(VENV)/mypy
check-contracts: tools
	$(VENV)/lint-imports
check-templates: tools
	$(VENV)/djlint --quiet --lint portal/templates
# Settings as production has them: only so can the deployment checks be warnings of nothing.
check-django: tools
	GONGXIANG_HTTPS=1 GONGXIANG_ALLOWED_HOSTS=portal.example GONGXIANG_EMAIL_HOST=mail.example GONGXIANG_PUBLIC_URL=https://portal.example $(VENV)/python -m portal.launch engines --exec sh -ec \
		"$(VENV)/python manage.py check --deploy --fail-level WARNING; $(VENV)/python manage.py makemigrations --check --dry-run"
check-translations: tools
	$(VENV)/python -m portal.launch.translations check

fix: ## Format, and repair what the linter can
	@$(LAUNCH) setup runtime test check
	$(VENV)/ruff format --quiet .
	$(VENV)/ruff check --fix .

messages: ## Bring new texts into the English catalogue
	@$(LAUNCH) setup runtime
	$(VENV)/python -m portal.launch.translations update

journey: ## Walk the main job through the running portal, to "0 fen unaccounted"
	@exec $(VENV)/python -m portal.launch exec --state $(STATE) -- $(VENV)/python manage.py journey

demo-reset: ## Delete the state directory's contents: the next run starts anew
	@$(LAUNCH) reset --state $(STATE)

status: ## Say whether the portal runs, and where
	@$(LAUNCH) status --state $(STATE)

stop: ## End the running portal
	@$(LAUNCH) stop --state $(STATE)

# One resolution for all: the others are held to the versions of runtime.txt. Nothing of this machine gets into a lock.
UV = $(or $(shell command -v uv),$(error make lock needs uv: pip install uv))
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links $(UPGRADE)
lock: ## Resolve pyproject.toml into the hash-pinned requirements/*.txt (make lock UPGRADE=--upgrade)
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) pyproject.toml -c requirements/runtime.txt --group test -o requirements/test.txt
	$(COMPILE) pyproject.toml -c requirements/test.txt --group test --group check -o requirements/check.txt
	$(COMPILE) -c requirements/check.txt --group engines -o requirements/engines.txt
