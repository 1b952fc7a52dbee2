# make            what there is to make
# make demo       the first experiment, small enough for a minute on two cores
# Your CC, CPPFLAGS, CFLAGS, LDFLAGS and LDLIBS count. OPENMP= builds without OpenMP.

CFLAGS ?= -O2
PREFIX ?= /usr/local
export CC CXX

# -fopenmp where the compiler accepts it and can link it, found out once and only when needed.
OPENMP_PROBE = mkdir -p build && \
    printf '\043include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n' | \
    $(CC) $(CPPFLAGS) $(CFLAGS) -fopenmp -x c - -o build/openmp-probe $(LDFLAGS) 2>&1 && \
    rm -f build/openmp-probe
OPENMP = $(eval OPENMP := $$(if $$(shell { $(OPENMP_PROBE); } >/dev/null 2>&1 && echo yes),-fopenmp))$(OPENMP)

COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) $(OPENMP)
LINK = $(LDFLAGS) -lm $(LDLIBS)

EXAMPLES = $(patsubst examples/%.c,build/%,$(wildcard examples/*.c))
TESTS = $(patsubst tests/%.c,build/%,$(wildcard tests/test_*.c))
GOLDEN = $(patsubst tests/%.c,build/%,$(wildcard tests/golden_check.c))
BENCH = $(patsubst bench/%.c,build/bench_%,$(wildcard bench/*.c))
PYTHON ?= python3
SCRIPTS = $(wildcard tests/compile.sh tests/header.sh tests/readme.sh)

.PHONY: help demo quickstart examples test bench bench-peers clean install force

help:
	@echo 'make quickstart   train one network and measure it (seconds)'
	@echo 'make demo         train 32 networks and compare measures (about a minute on two cores)'
	@echo 'make examples     build all programs of examples/ into build/; they know --help'
	@echo 'make test         build and run all tests'
	@echo 'make bench        measure kernels, networks, search, curvature (minutes; run nothing beside it)'
	@echo 'make bench-peers  the same networks and search beside PyTorch and ONNX Runtime'
	@echo 'make install      copy prunability.h to PREFIX/include [$(PREFIX)], below DESTDIR'
	@echo 'make clean        remove build/'
	@echo 'Variables: CC CXX CPPFLAGS CFLAGS LDFLAGS LDLIBS OPENMP PREFIX DESTDIR'

demo: build/demogen
	build/demogen --csv build/demo.csv

quickstart: build/quickstart
	build/quickstart

examples: $(EXAMPLES)

test: $(TESTS) $(GOLDEN) build/evaluate
	@sh tests/run.sh $(TESTS) $(foreach isa,avx2 portable,$(foreach algorithm,direct winograd,\
	    '$(GOLDEN) --isa $(isa) --algorithm $(algorithm) tests/golden/*.safetensors')) \
	    $(patsubst %,'sh %',$(SCRIPTS)) 'sh tests/peers/statistics.sh build/evaluate'

bench: $(BENCH)
	build/bench_kernels
	build/bench_networks
	build/bench_search
	build/bench_hessian
	build/bench_statistics

# PEERS: options of the comparison; make bench-peers PEERS=--help lists them.
bench-peers: build/bench_networks build/bench_search build/bench_statistics
	@command -v $(PYTHON) >/dev/null || \
	    { echo 'the comparison is a Python script: apt-get install python3-torch'; exit 1; }
	@$(PYTHON) bench/peers/compare.py $(PEERS)
	@$(PYTHON) bench/peers/scipy_statistics.py build/bench_statistics

build/bench_%: bench/%.c bench/bench.h examples/example.h prunability.h build/command
	$(COMPILE) -DBENCH_FLAGS='"$(strip $(CPPFLAGS) $(CFLAGS) $(OPENMP))"' $< -o $@ $(LINK)

build/%: examples/%.c examples/example.h prunability.h build/command
	$(COMPILE) $< -o $@ $(LINK)

build/%: tests/%.c $(wildcard tests/*.h) prunability.h build/command
	$(COMPILE) $< -o $@ $(LINK)

build/test_evaluate: examples/evaluate.c examples/example.h

# Changes when the compiler or a flag does, so that programs are built anew.
build/command: export COMMAND = $(COMPILE) $(LINK)
build/command: force
	@mkdir -p build
	@[ "$$(cat $@ 2>/dev/null)" = "$$COMMAND" ] || printf '%s\n' "$$COMMAND" > $@

clean:
	rm -rf build

install:
	mkdir -p $(DESTDIR)$(PREFIX)/include
	cp prunability.h $(DESTDIR)$(PREFIX)/include/prunability.h
	chmod 644 $(DESTDIR)$(PREFIX)/include/prunability.h
