# make            list the targets
# make demo       a small version of the first experiment: one to eight minutes
# CC, CPPFLAGS, CFLAGS, LDFLAGS and LDLIBS are honoured. OPENMP= builds without OpenMP.

CFLAGS ?= -O2
PREFIX ?= /usr/local
export CC CXX

# -fopenmp if the compiler can compile and link with it; tested once, and only when needed.
OPENMP_PROBE = mkdir -p build && \
    printf '\043include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n' | \
    $(CC) $(CPPFLAGS) $(CFLAGS) -fopenmp -x c - -o build/openmp-probe $(LDFLAGS) 2>&1 && \
    rm -f build/openmp-probe
OPENMP = $(eval OPENMP := $$(if $$(shell { $(OPENMP_PROBE); } >/dev/null 2>&1 && echo yes),-fopenmp))$(OPENMP)

COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) $(OPENMP)
LINK = $(LDFLAGS) -lm $(LDLIBS)

EXAMPLES = $(patsubst %.c,build/%,$(notdir $(wildcard examples/*.c examples/*/*.c)))
STUDIES = $(wildcard examples/studies/*.h)
TESTS = $(patsubst tests/%.c,build/%,$(wildcard tests/test_*.c))
GOLDEN = $(patsubst tests/%.c,build/%,$(wildcard tests/golden_check.c))
BENCH = $(patsubst bench/%.c,build/bench_%,$(wildcard bench/*.c))
PYTHON ?= python3
# The longest first, so that no long one starts last.
SCRIPTS = $(wildcard tests/compile.sh tests/studies.sh tests/programs.sh tests/lessons.sh \
    tests/peers/recent.sh tests/embedding.sh tests/peers/pytorch.sh tests/peers/torch_module.sh \
    tests/own_network.sh tests/peers/spectral.sh tests/fork.sh tests/format.sh tests/header.sh \
    tests/docs.sh)
FUZZ = $(patsubst tests/fuzz/%.c,build/%,$(wildcard tests/fuzz/fuzz_*.c))

VERSION = $(shell awk '$$2 == "PRUNABILITY_VERSION" { gsub(/"/, "", $$3); print $$3 }' prunability.h)
# before 1.0 a minor version may change the interface
SONAME = libprunability.so.$(basename $(VERSION))
SHARED = -shared $(if $(filter Darwin,$(shell uname -s)),,-Wl,-soname,$(SONAME))

WATCHED = sanitize tsan msan valgrind coverage
.PHONY: help demo quickstart examples lib test check-docs bits matrix $(WATCHED) fuzz bench \
    bench-peers clean install install-lib uninstall force

help:
	@echo 'make quickstart   train one network: examples/01_train.c (seconds)'
	@echo 'make demo         train 32 networks and compare measures (one to eight minutes)'
	@echo 'make examples     build all programs of examples/ into build/'
	@echo 'make lib          build the shared library build/libprunability.so'
	@echo 'make test         build and run all tests'
	@echo 'make test T=conv  the tests of that name or section; T=prun_prune: those that call it'
	@echo 'make check-docs   check that README and header are correct (part of make test)'
	@echo 'make bits         check that all results equal the recorded ones, bit for bit (a minute)'
	@echo 'make matrix       tests with every available compiler, standard and (emulated) machine;'
	@echo '                  M=--short, M=PATTERN, M=--list, M=--help'
	@echo 'make sanitize     tests and fuzzers under the address, leak and undefined-behaviour sanitizers'
	@echo 'make tsan         two contexts at once under the thread sanitizer'
	@echo 'make msan         tests under the memory sanitizer (clang)'
	@echo 'make valgrind     tests under valgrind'
	@echo 'make coverage     lines and branches of prunability.h that tests reach (gcc, gcov)'
	@echo 'make fuzz         a million mutated files of every format, a hundred thousand random networks'
	@echo '                  (clang, libFuzzer; an hour)'
	@echo 'make bench        kernels, networks, search, curvature, rounding (minutes, on an idle machine)'
	@echo 'make bench-peers  the same networks and search beside PyTorch and ONNX Runtime'
	@echo 'make install      prunability.h and prunability.pc into PREFIX [$(PREFIX)], below DESTDIR'
	@echo 'make install-lib  the shared library and prunability-lib.pc as well'
	@echo 'make uninstall    remove what install and install-lib installed'
	@echo 'make clean        remove build/'
	@echo 'Variables: CC CXX CPPFLAGS CFLAGS LDFLAGS LDLIBS OPENMP PREFIX DESTDIR'

demo: build/demogen
	build/demogen --demo --out build/demo

quickstart: build/01_train
	build/01_train

examples: $(EXAMPLES)

# T: what to test: part of a test's name, a section of the header, or a public function.
ALL_TESTS = $(SCRIPTS) tests/bits.sh $(GOLDEN) $(TESTS) $(FUZZ) tests/peers/statistics.sh
CHOSEN := $(if $(and $(T),$(filter test,$(MAKECMDGOALS))),$(shell sh tests/choose.sh '$(T)' $(ALL_TESTS)),\
    $(ALL_TESTS))

# $(call NEEDS,TEST): the program that a script takes as its argument
NEEDS = $(if $(filter %/bits.sh,$(1)),build/bits)
# $(call RUN,TEST): the commands that run it
RUN = $(or $(if $(filter $(GOLDEN),$(1)),$(RUN_GOLDEN)),\
    $(if $(filter %/compile.sh,$(1)),$(RUN_COMPILE)),\
    $(if $(filter %.sh,$(1)),'sh $(1) $(call NEEDS,$(1))'),$(1))
RUN_COMPILE = $(foreach group,$(shell sh tests/compile.sh --groups),'sh tests/compile.sh $(group)')
RUN_GOLDEN = $(foreach isa,avx512 avx2 neon portable,$(foreach algorithm,direct winograd,\
    '$(GOLDEN) --isa $(isa) --algorithm $(algorithm) --spectra no tests/golden/*.safetensors')) \
    '$(GOLDEN) --spectra only tests/golden/*.safetensors'

test: $(filter build/%,$(CHOSEN)) $(foreach test,$(CHOSEN),$(call NEEDS,$(test))) \
    $(if $(filter %.sh,$(CHOSEN)),build/tests.a)
	@$(if $(CHOSEN),TESTS_LIBRARY=$(CURDIR)/build/tests.a TESTS_FLAGS='$(CPPFLAGS) $(OPENMP)' \
	    sh tests/run.sh $(foreach test,$(CHOSEN),$(call RUN,$(test))),false)

check-docs: build/tests.a
	@TESTS_LIBRARY=$(CURDIR)/build/tests.a TESTS_FLAGS='$(CPPFLAGS) $(OPENMP)' sh tests/docs.sh

bits: build/bits
	@sh tests/bits.sh build/bits

# M: options and names of configurations; make matrix M=--help lists them.
matrix:
	@sh tests/matrix.sh $(M)

sanitize: MODE = address
tsan: MODE = thread
msan: MODE = memory
valgrind: MODE = valgrind
coverage: MODE = coverage
# the script chooses a compiler unless CC is given
$(WATCHED):
	@CC='$(if $(filter default,$(origin CC)),,$(CC))' sh tests/sanitize.sh $(MODE)

bench: $(BENCH)
	build/bench_kernels
	build/bench_networks
	build/bench_search
	build/bench_hessian
	build/bench_statistics
	build/bench_accuracy

# PEERS: options of the comparison; make bench-peers PEERS=--help lists them.
bench-peers: build/bench_networks build/bench_search build/bench_statistics
	@command -v $(PYTHON) >/dev/null || \
	    { echo 'the comparison needs Python and PyTorch: apt-get install python3-torch'; exit 1; }
	@$(PYTHON) bench/peers/compare.py $(PEERS)
	@$(PYTHON) bench/peers/scipy_statistics.py build/bench_statistics

build/bench_%: bench/%.c bench/bench.h $(STUDIES) prunability.h build/command
	$(COMPILE) -DBENCH_FLAGS='"$(strip $(CPPFLAGS) $(CFLAGS) $(OPENMP))"' $< -o $@ $(LINK)

build/bench_accuracy: $(wildcard tests/*reference.h)

build/%: examples/%.c prunability.h build/command
	$(COMPILE) $< -o $@ $(LINK)

build/%: examples/studies/%.c $(STUDIES) prunability.h build/command
	$(COMPILE) $< -o $@ $(LINK)

build/%: examples/pytorch/%.c $(STUDIES) prunability.h build/command
	$(COMPILE) $< -o $@ $(LINK)

# The library for the test programs; position-independent, because scripts also make a shared
# library of it. Programs that test internals include the implementation and take nothing from it.
# Programs compiled with tests/linked.h leave the implementation out and link with it.
build/tests.a: tests/implementation.c tests/implementation.h prunability.h build/command
	$(COMPILE) -fPIC -c $< -o build/implementation.o
	rm -f $@
	$(AR) rc $@ build/implementation.o

LINKED = -include tests/linked.h
TEST_INCLUDE =

build/%: tests/%.c $(wildcard tests/*.h) build/tests.a prunability.h build/command
	$(COMPILE) $(TEST_INCLUDE) $< build/tests.a -o $@ $(LINK)

build/test_evaluate: TEST_INCLUDE = $(LINKED)

build/test_threads: TEST_INCLUDE = -pthread

build/test_evaluate: examples/studies/evaluate.c $(STUDIES)

build/%: tests/fuzz/%.c tests/fuzz/fuzz.h tests/linked.h build/tests.a prunability.h build/command
	$(COMPILE) $(LINKED) $< build/tests.a -o $@ $(LINK)

# compiled with the implementation, because it inspects a network's internals
build/fuzz_graph: tests/fuzz/fuzz_graph.c tests/fuzz/graph.h tests/fuzz/graph_reference.h \
    prunability.h build/command
	$(COMPILE) $< -o $@ $(LINK)

fuzz:
	sh tests/fuzz/run.sh

lib: build/libprunability.so

build/libprunability.so: prunability.h build/command
	printf '\043define PRUNABILITY_IMPLEMENTATION\n\043include "../prunability.h"\n' > build/lib.c
	$(COMPILE) -fPIC $(SHARED) build/lib.c -o $@ $(LINK)

# Changes when the compiler or a flag changes, so that programs are rebuilt.
build/command: export COMMAND = $(COMPILE) $(LINK)
build/command: force
	@mkdir -p build
	@[ "$$(cat $@ 2>/dev/null)" = "$$COMMAND" ] || printf '%s\n' "$$COMMAND" > $@

clean:
	rm -rf build

# INTO: where files are copied to, below DESTDIR. The .pc files themselves name only PREFIX.
INTO = "$(DESTDIR)$(PREFIX)"

# $(call PC,NAME,DESCRIPTION,LIBS)
PC = printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include' 'libdir=$${prefix}/lib' '' \
    'Name: $(1)' 'Description: $(2)' 'Version: $(VERSION)' 'Cflags: -I$${includedir}' 'Libs: $(3)' \
    > $(INTO)/share/pkgconfig/$(1).pc && chmod 644 $(INTO)/share/pkgconfig/$(1).pc

install:
	mkdir -p $(INTO)/include $(INTO)/share/pkgconfig
	cp prunability.h $(INTO)/include/prunability.h
	chmod 644 $(INTO)/include/prunability.h
	@$(call PC,prunability,Why neural networks generalize: one header,-lm)

install-lib: lib install
	mkdir -p $(INTO)/lib
	cp build/libprunability.so $(INTO)/lib/$(SONAME)
	chmod 755 $(INTO)/lib/$(SONAME)
	ln -sf $(SONAME) $(INTO)/lib/libprunability.so
	@$(call PC,prunability-lib,Why neural networks generalize: shared library,-L$${libdir} -lprunability)

uninstall:
	rm -f $(INTO)/include/prunability.h $(INTO)/lib/$(SONAME) $(INTO)/lib/libprunability.so \
	    $(INTO)/share/pkgconfig/prunability.pc $(INTO)/share/pkgconfig/prunability-lib.pc
