# Every command of the house; `make help` lists them. A fresh machine needs Python 3.11 or newer
# with its headers, gcc, make and git: the rest is installed into .venv. Stamp files in .venv
# remember what is done, so a second call does nothing that the first one did.
#
#   PYTHON=python3.12   makes .venv with this interpreter (anew, if it was made with another one)
#   ARGS='-k router'    is handed to pytest, highperf-serve or the benchmarks

.SUFFIXES:
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL = help
.PHONY: help serve dev test check hot debug asan fuzz cov bench soak wheel clean FORCE

bin = .venv/bin
say = @echo "make:"
install = $(bin)/python -m pip install -qq --disable-pip-version-check
sources := $(shell find highperf -name '*.pyx' -o -name '*.pxd' -o -name '*.h')

help: ## list the targets
	@awk -F ': .*## ' '/^[a-z]+: .*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: .venv/built .venv/installed ## build, then serve the reference API on http://127.0.0.1:8080
	@exec $(bin)/highperf-serve $(ARGS)

test: .venv/built .venv/installed .venv/test ## build, then run the whole test suite
	@$(bin)/pytest $(ARGS)

dev: .venv/built .venv/installed .venv/dev ## build and install everything for development, commit hooks too
	@git config core.hooksPath >/dev/null || $(bin)/pre-commit install --install-hooks
	$(say) "ready: $(bin)/ has highperf-serve, pytest and the linters; next: make test"

check: export PATH := $(CURDIR)/$(bin):$(PATH)
check: .venv/built .venv/installed .venv/test .venv/check ## lint, types, stubs against the compiled modules, import rules
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/cython-lint highperf
	@HIGHPERF_BUILD=annotate $(bin)/python setup.py -q --version >/dev/null
	$(bin)/mypy
	$(bin)/stubtest --ignore-disjoint-bases --allowlist tools/stubtest.txt --ignore-unused-allowlist \
	    $(subst /,.,$(basename $(filter %.pyx,$(sources))))
	$(bin)/pytest -q tests/quality

hot: .venv/built .venv/installed ## count Python operations in the hot functions against their budget
	@$(bin)/python tools/check_hot_functions.py

debug: .venv/test .venv/built .venv/installed ## the tests in Python's development mode, on a build that checks bounds and owners
	@$(bin)/python tools/flavour.py debug $(ARGS)

asan: .venv/test .venv/built .venv/installed ## the compiled core's tests under address and undefined-behaviour sanitizers
	@$(bin)/python tools/flavour.py asan $(wildcard tests/unit tests/protocol tests/memory) $(ARGS)

FUZZ_SECONDS ?= 300
fuzz: .venv/test .venv/built .venv/installed ## fuzz the compiled core, guided by coverage, for FUZZ_SECONDS=300; ARGS=parser for one target
	@$(bin)/python tools/flavour.py fuzz --seconds $(FUZZ_SECONDS) $(ARGS)

cov: .venv/test .venv/built .venv/installed ## line coverage of Python and Cython, at least 90 %
	@$(bin)/python tools/flavour.py cov $(ARGS)

bench: .venv/built .venv/installed .venv/bench ## all benchmarks, quickly, beside other servers; ARGS=--full for the record, ARGS=micro for one
	@$(bin)/python -m bench $(ARGS)

SOAK_SECONDS ?= 600
soak: .venv/built .venv/installed ## a million mixed requests, then everything at once for SOAK_SECONDS=600: does anything pile up?
	@$(bin)/python -m tests.memory.mixed_requests 1000000
	@$(bin)/python -m bench.load.soak --seconds $(SOAK_SECONDS) $(ARGS)

wheel: .venv/built .venv/installed .venv/wheel ## a manylinux wheel, installed and served in a clean environment
	@$(bin)/python tools/build_wheel.py

clean: ## remove what was built; .venv stays
	rm -rf build dist wheelhouse htmlcov .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f .venv/built
	find highperf -name '*.so' -delete

# --- set-up ---------------------------------------------------------------------------------

# Made anew when it no longer runs (Python was upgraded, the folder moved) or PYTHON asks for another.
remembered := $(shell grep -qsF '$(CURDIR)/.venv' $(bin)/pip && $(bin)/python -c '' 2>/dev/null && cat .venv/python 2>/dev/null)
.venv/python: $(if $(and $(remembered),$(if $(PYTHON),$(filter $(PYTHON),$(remembered)),yes)),,FORCE)
	$(say) "creating .venv"
	@python=$$(tools/find-python $(PYTHON)) && "$$python" -m venv --clear .venv
	@$(install) --upgrade 'pip>=25.1'
	@echo "$(or $(PYTHON),default)" >$@

.venv/ready: .venv/python pyproject.toml
	$(say) "installing what the build needs"
	@$(install) --group build
	@touch $@

# An extension without its source would shadow the Python module that took its place.
.venv/built: .venv/ready setup.py $(sources)
	@find highperf -name '*.so' | while read -r so; do test -e "$${so%%.*}.pyx" || rm -v "$$so"; done
	@$(if $(filter setup.py,$?),CYTHON_FORCE_REGEN=1) \
	    $(bin)/python setup.py -q build_ext --inplace $(if $(filter setup.py,$?),--force)
	@touch $@

.venv/installed: .venv/ready pyproject.toml | .venv/built
	$(say) "installing highperf and what it runs on"
	@HIGHPERF_BUILD=none $(install) --no-build-isolation --editable .
	@touch $@

.venv/test .venv/check .venv/bench .venv/wheel .venv/dev: .venv/%: .venv/ready pyproject.toml
	$(say) "installing what 'make $*' needs"
	@$(install) --group $*
	@touch $@
