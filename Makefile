# serve, test, check, soak and bench each make what they need first; nothing else is expected but Python, make and a C
# compiler. As root on Debian they also install what the tests talk to the server with (tests/programs.py).
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ADDRESS ?= 127.0.0.1:8000
TURNS ?= 20
LONG = $(addprefix tests/live/, test_no_request_lost.py test_upgrade.py $(addprefix asgi/, test_reload.py \
	test_departures.py test_streams.py test_idle_websockets.py))

.PHONY: serve test soak check bench clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

serve: $(VENV)/.ready  ## serve the example application
	$(BIN)/corral --bind $(ADDRESS) --chdir examples hello:app

test: $(VENV)/.ready  ## run the whole suite
	$(BIN)/python tests/programs.py
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not alone"
	$(BIN)/python -m pytest -m alone
endif

soak: $(VENV)/.ready  ## the tests of what is lost or grows in the long run, for about ten minutes
	SOAK_TURNS=$(TURNS) $(BIN)/python -m pytest --timeout 3600 $(LONG) $(ARGS)

check: $(VENV)/.ready  ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.ready  ## compare with the peers (ARGS="--rounds 3 --only bare,browser")
	$(BIN)/python bench/run.py $(ARGS)

clean:
	rm -rf $(VENV) .bench .peers .mypy_cache .ruff_cache .pytest_cache
