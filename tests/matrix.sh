#!/bin/sh
# Builds and runs a core of the tests with every compiler, standard, set of flags and machine that
# is available here (foreign machines are emulated), and prints a table of the results.
#
#   sh tests/matrix.sh [--short] [--markdown FILE] [PATTERN...]
#   sh tests/matrix.sh --list | --packages [--short] [PATTERN...]
#
#   PATTERN          only configurations whose name matches one of them: 'gcc *' '*wine*'
#   --short          only the configurations that .ci/run tests
#   --markdown FILE  writes the README's table to FILE as well
#   --list           prints the names of the configurations
#   --packages       prints the Debian packages that are missing for them
#
# JOBS=N in the environment tests N configurations at a time; without it, one per processor.
# A configuration fails if it does not build, if the header gives a warning, or if a test fails; one
# whose compiler or emulator is missing is skipped. The last line is "matrix: N passed, N failed",
# with ", N skipped" for those.

# shellcheck disable=SC2046,SC2086 # compilers, flags and runners are split into words on purpose

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
cd "$here/.." || exit 1
root=$PWD
warnings="-Wall -Wextra -Wpedantic"

# mingw_libraries: the flag for MinGW's libraries, which clang does not find on Debian
mingw_libraries() {
    file=$(x86_64-w64-mingw32-gcc -print-libgcc-file-name 2> /dev/null) && echo "-L${file%/*}"
}

# One configuration per line: s if it is in --short | name | compiler | flags | program that runs
# the tests | set of tests | packages in addition to those of the compiler and the runner. A line
# with several compilers gives one configuration for each; "versions" means every installed gcc-N
# and clang-N. A missing name is made from the compiler and the flags. A C++ standard applies to the
# library only: the tests are C. Emulated machines come first, because they take longest.
table() {
    wasi="-Wl,-z,stack-size=1048576 -Wno-unused-command-line-argument"
    mingw="--target=x86_64-w64-mingw32 -Wno-unused-command-line-argument $(mingw_libraries)"
    sse2='-msse2 -mfpmath=sse'
    cat << END
s|s390x, qemu|s390x-linux-gnu-gcc|-O2 -static|qemu-s390x|few|libc6-dev-s390x-cross
s|AArch64, qemu|aarch64-linux-gnu-gcc|-O2 -static|qemu-aarch64|few|libc6-dev-arm64-cross
 |ARM hard float, qemu|arm-linux-gnueabihf-gcc|-O2 -static|qemu-arm|few|libc6-dev-armhf-cross
 |ppc64le, qemu|powerpc64le-linux-gnu-gcc|-O2 -static|qemu-ppc64le|few|libc6-dev-ppc64el-cross
 |riscv64, qemu|riscv64-linux-gnu-gcc|-O2 -static|qemu-riscv64|few|libc6-dev-riscv64-cross
 |x86-64 without AVX, qemu|gcc|-O2|qemu-x86_64 -cpu Conroe|few|
s|Windows, mingw, wine|x86_64-w64-mingw32-gcc|-O2 -static|wine|files|
 |Windows, clang, wine|clang|$mingw -O2 -static|wine|files|gcc-mingw-w64-x86-64
 |WASI, node|clang|--target=wasm32-wasi -O2 $wasi|wasi|few|wasi-libc lld libclang-rt-14-dev-wasm32
 |i686 x87, qemu|i686-linux-gnu-gcc|-O2 -static -mno-sse -Wno-psabi|qemu-i386|few|libc6-dev-i386-cross
s|i686 SSE2, qemu|i686-linux-gnu-gcc|-O2 -static $sse2|qemu-i386|few|libc6-dev-i386-cross
s|musl|musl-gcc|-O2 -static||core|
 |tcc|tcc|||few|libc6-dev
 ||gcc clang|-O0||core|
 ||gcc clang|-Os||core|
 ||gcc clang|-std=c99 -O2||core|
 ||gcc clang|-std=c11 -O2||core|
 ||gcc clang|-std=gnu17 -O2||core|
 ||gcc clang|-std=c2x -O2||core|
 ||gcc clang|-std=c++11 -O2||core|
 ||gcc clang|-std=c++17 -O2||core|
s||gcc clang|-std=c++20 -O2||core|
s||gcc clang|-std=c99 -O3 -march=native||core|
 ||gcc clang|-O2 -fopenmp||core|libomp-dev
 ||gcc clang|-O2 -DPRUNABILITY_NO_SIMD||core|
 ||versions|-O2||core|
 ||versions|-O3 -march=native||core|
END
}

# tests_of SET: test programs that take seconds and start no processes. "few" is for emulators,
# which are about fifty times slower; "files" adds tests that write files; "core" is all.
tests_of() {
    echo golden_check test_digits test_core test_rng test_build test_train test_perturb test_objective \
        test_stats test_table test_bindings test_file test_dataset test_npy test_csv
    [ "$1" = few ] || echo test_net test_prune test_safetensors test_checkpoint test_paths
    [ "$1" != core ] || echo test_ops test_plan test_eval test_run test_tangent test_hessian \
        test_spectrum test_norms test_resample test_recent test_threads
}

# arguments_of TEST SET
arguments_of() {
    [ "$1" = golden_check ] || return 0
    echo --spectra no tests/golden/nin_w4_d2.safetensors
    [ "$2" != core ] || echo tests/golden/cnn_k2.safetensors tests/golden/resnet18_k2.safetensors
}

# versions: the compilers gcc-N and clang-N in the directories of PATH
versions() {
    for folder in $(echo "$PATH" | tr : ' '); do
        for file in "$folder"/gcc-[0-9]* "$folder"/clang-[0-9]*; do
            [ ! -x "$file" ] || basename "$file"
        done
    done | grep -Ex '(gcc|clang)-[0-9]+' | sort -u | tr '\n' ' '
}

# configurations: the table with one line per compiler and with every name filled in
configurations() {
    table | awk -F '|' -v OFS='|' -v versions="$(versions)" '{
        count = split($3 == "versions" ? versions : $3, compiler, " ")
        for (i = 1; i <= count; i++)
            print $1, $2 == "" ? compiler[i] " " $4 : $2, compiler[i], $4, $5, $6, $7
    }'
}

# chosen: the configurations that the arguments name
chosen() {
    configurations | while IFS='|' read -r in_short name rest; do
        [ -z "$short" ] || [ "$in_short" = s ] || continue
        [ -n "$patterns" ] || echo "$in_short|$name|$rest"
        printf '%s' "$patterns" | while IFS= read -r pattern; do
            # shellcheck disable=SC2254 # a pattern
            case $name in $pattern) echo "$in_short|$name|$rest"; break ;; esac
        done
    done
}

# select_configuration LINE: sets name, compiler, flags, runner, set, packages; for a standard of
# C++ also language, and c_flags without it
select_configuration() {
    IFS='|' read -r _ name compiler flags runner set packages << END
$1
END
    language='' c_flags=$flags
    case $flags in
    *-std=c++*)
        language='-x c++'
        c_flags=$(printf '%s\n' "$flags" | sed 's/-std=c++[0-9a-z]*//')
        ;;
    esac
}

# package_of COMMAND: the Debian package that has it
package_of() {
    case $1 in
    qemu-*) echo qemu-user ;;
    wasi) echo nodejs ;;
    musl-gcc) echo musl-tools ;;
    x86_64-w64-mingw32-gcc) echo gcc-mingw-w64-x86-64 ;;
    *-linux-gnu*-gcc) echo "gcc-${1%-gcc}" ;;
    *) echo "$1" ;;
    esac
}

# missing: the packages that the selected configuration lacks; all of them if programs do not link
missing() {
    for command in "$compiler" ${runner%% *}; do
        [ "$command" != wasi ] || command=node
        command -v "$command" > /dev/null || package_of "$command"
    done
    printf '#include <math.h>\n#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' \
        > "${work:?}/probe.c"
    $compiler $c_flags "$work/probe.c" -o "$work/probe" -lm > "$work/log" 2>&1 ||
        echo ${packages:-"$(package_of "$compiler")"}
    [ -z "$language" ] || $compiler $flags $language -fsyntax-only "$work/probe.c" 2> "$work/log" ||
        echo g++
}

# run_program PROGRAM ARGUMENT...: runs it with the runner of the selected configuration
run_program() {
    case $runner in
    wasi) set -- node --no-warnings "$MATRIX/wasi.mjs" "$@" ;;
    *) set -- $runner "$@" ;;
    esac
    if command -v timeout > /dev/null; then timeout 900 "$@"; else "$@"; fi
}

# run_test TEST: builds and runs the test, and adds its counts
run_test() {
    library=implementation.o
    ! grep -q '"implementation.h"' "$here/$1.c" || library= # brings its own
    if ! $compiler $c_flags "$here/$1.c" $library -o "$1.exe" -lm 2>> log; then
        fail "$1 does not build" log
        built=no
        return
    fi
    run_program "./$1.exe" $(arguments_of "$1" "$set") > output 2>&1 < /dev/null
    status=$?
    counts=$(tail -n 1 output | tr -d '\r' | sed -n \
        's/^[^:]*: \([0-9]*\) passed, \([0-9]*\) failed\(, [0-9]* skipped\)\{0,1\}$/\1 \2/p')
    [ -n "$counts" ] || counts="0 1"
    bad=${counts#* }
    [ $status -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    passed=$((passed + ${counts% *}))
    failed=$((failed + bad))
    if [ "$bad" -ne 0 ]; then
        printf '%s: exit status %d\n' "$1" $status
        tail -n 30 output
    fi
}

# version: the version of the selected configuration's compiler
version() {
    case $compiler in
    tcc) tcc -v | sed 's/^tcc version \([0-9.]*\).*/tcc \1/' ;;
    clang*) echo "clang $($compiler -dumpversion)" ;;
    *) echo "gcc $($compiler -dumpfullversion)" ;;
    esac
}

# test_configuration NUMBER: builds and tests the chosen configuration of that line, in a separate
# directory in which the tests find their input files and may write any files
test_configuration() {
    select_configuration "$(sed -n "$1p" "$MATRIX/chosen")"
    mkdir "$work/build"
    ln -s "$root/tests" "$root/examples" "$work"
    cd "$work" || exit 1
    start=$(date +%s)
    built=yes
    if $compiler $flags $warnings $language -c "$here/implementation.c" -o implementation.o \
        2> log; then
        for test in $(tests_of "$set"); do run_test "$test"; done
    else
        fail 'the library does not build' log
        built=no
    fi
    count=$(grep -c 'warning:' log)
    [ "$count" -eq 0 ] || cat log
    seconds=$(($(date +%s) - start))
    echo "$name|$(version)|$built|$count|$passed|$failed|$seconds" > "$MATRIX/row.$1"
    failed=$((failed + count))
    # shellcheck disable=SC2034 # finish uses it
    suite=$name
    finish
}

# prepare_runners: one-time setup of the emulators for the configurations in $work/chosen
prepare_runners() {
    if grep -q '|wine|' "$work/chosen"; then
        mkdir "$work/wine"
        export WINEPREFIX="$work/wine" WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml='
        # The server of this directory keeps running, so that programs start faster.
        wineserver -p
        trap 'wineserver -k; rm -rf "$work"' EXIT
        wineboot --init > "$work/log" 2>&1 < /dev/null
    fi
    cat > "$work/wasi.mjs" << 'END'
import { WASI } from 'node:wasi';
import { readFileSync } from 'node:fs';
const wasi = new WASI({
    version: 'preview1', args: process.argv.slice(2), preopens: { '.': '.' }, returnOnExit: true,
});
const program = await WebAssembly.compile(readFileSync(process.argv[2]));
process.exitCode = wasi.start(await WebAssembly.instantiate(program, wasi.getImportObject()));
END
}

# print_table: rows from standard input as aligned columns: text to the left, numbers to the right
print_table() {
    awk -F '|' '{
        for (i = 1; i <= NF; i++) {
            cell[NR, i] = $i
            if (length($i) > width[i]) width[i] = length($i)
        }
        columns = NF
    }
    END {
        for (row = 1; row <= NR; row++) {
            line = ""
            for (i = 1; i <= columns; i++)
                line = line sprintf("%" (i < 3 ? "-" : "") width[i] "s  ", cell[row, i])
            sub(/ +$/, "", line)
            print line
        }
    }'
}

# print_markdown: rows from standard input without their seconds
print_markdown() {
    awk -F '|' '{ printf "| %s | %s | %s | %s | %s | %s |\n", $1, $2, $3, $4, $5, $6 }'
}

# rows: the rows of the configurations that ran, in order
rows() {
    number=0
    while [ "$number" -lt "$count" ]; do
        number=$((number + 1))
        cat "$work/row.$number" 2> /dev/null
    done
}

short='' mode=run markdown='' patterns=''
while [ $# -gt 0 ]; do
    case $1 in
    --one)
        test_configuration "$2"
        exit
        ;;
    --short) short=1 ;;
    --list | --packages) mode=${1#--} ;;
    --markdown)
        markdown=$2
        shift
        ;;
    --help)
        sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
        exit
        ;;
    -*)
        echo "matrix.sh: there is no option \"$1\"; --help lists them" >&2
        exit 2
        ;;
    *) patterns="$patterns$1
" ;;
    esac
    shift
done

chosen > "$work/all"
if [ $mode = list ]; then
    cut -d '|' -f 2 "$work/all"
    exit
elif [ $mode = packages ]; then
    while IFS= read -r line; do
        select_configuration "$line"
        missing
    done < "$work/all" | tr ' ' '\n' | sort -u
    exit
fi

touch "$work/chosen"
while IFS= read -r line; do
    select_configuration "$line"
    lacking=$(missing | tr '\n' ' ')
    if [ -n "$lacking" ]; then
        skip "$name: apt-get install ${lacking% }"
    else
        echo "$line" >> "$work/chosen"
    fi
done < "$work/all"

export MATRIX="$work"
prepare_runners
set --
count=$(wc -l < "$work/chosen")
while [ $# -lt "$count" ]; do
    set -- "$@" "sh tests/matrix.sh --one $(($# + 1))"
done
[ "$count" -eq 0 ] || sh "$here/run.sh" "$@"

heading='configuration|compiler|built|warnings|passed|failed|seconds'
echo
{ echo "$heading"; rows; } | print_table
if [ -n "$markdown" ]; then
    { echo "$heading" && echo '---|---|---|---|---|---'; rows; } | print_markdown > "$markdown"
fi
passed=$(rows | grep -c '|yes|0|[0-9]*|0|[0-9]*$')
failed=$((count - passed))
finish
