#!/bin/sh
# How close the inner loops of the NEON kernels come to the peak according to LLVM-MCA: a static
# analysis of the assembly with scheduling models of CPUs. Nothing is run or timed.
#
#   sh bench/mca.sh [--help]
#
# Variables: COMPILERS  commands for aarch64, one a line  [gcc and any clang that are installed]
#            CPUS       names of LLVM's models            [cortex-a72 neoverse-n1 neoverse-n2 apple-m1]
#            MCA        the analyser                      [the newest llvm-mca that is installed]
#            FLAGS      of the compilers                  [-O2]
#
# A kernel's inner loop is the one in its function with the most fused multiply-adds, among equals
# the shortest. The peak is the rate in the same model of independent multiply-adds of the same
# form, by vector or by element. Prints a table in Markdown: cycles and multiply-adds per iteration,
# multiply-adds per cycle, and share of the peak.

if [ "$1" = --help ]; then
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
    exit
fi
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/prunability-mca.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

if [ -z "$MCA" ]; then
    MCA=$(ls /usr/bin/llvm-mca /usr/bin/llvm-mca-[0-9]* 2> /dev/null | sort -t - -k 3 -n | tail -n 1)
fi
if [ -z "$COMPILERS" ]; then
    COMPILERS=$(
        command -v aarch64-linux-gnu-gcc
        for clang in /usr/bin/clang-[0-9]*; do
            case $clang in
                *-[0-9] | *-[0-9][0-9]) [ -x "$clang" ] && echo "$clang --target=aarch64-linux-gnu" ;;
            esac
        done
    )
fi
if [ -z "$MCA" ] || [ -z "$COMPILERS" ]; then
    echo "skipped: this needs llvm-mca (package llvm-19 or later) and a compiler for aarch64" \
        "(gcc-aarch64-linux-gnu; clang also needs libc6-dev-arm64-cross)"
    exit
fi

# loop FUNCTION FILE: the instructions of its inner loop
loop() {
    awk -v name="$1" '
        $0 ~ "^" name ":" { on = 1 }
        on && /^[ \t]*\.size/ { exit }
        !on { next }
        { line[++n] = $0 }
        /^\.L[A-Za-z0-9_]*:/ { label = $0; sub(/:.*/, "", label); at[label] = n }
        $1 ~ /^(b|b\..*|b[a-z][a-z]|cbn?z|tbn?z)$/ && $NF in at {
            count = 0
            for (i = at[$NF]; i <= n; i++) count += line[i] ~ /^[ \t]*fml[as]/
            length_ = n - at[$NF]
            if (count > most || (count == most && length_ < shortest)) {
                most = count; shortest = length_; from = at[$NF]; to = n
            }
        }
        END { for (i = from; most && i <= to; i++) print line[i] }
    ' "$2"
}

# cycles CPU FILE: cycles of a hundred iterations
cycles() {
    "$MCA" -mtriple=aarch64-linux-gnu -mcpu="$1" -iterations=100 -instruction-info=false \
        -resource-pressure=false "$2" 2> "$work/log" | awk '/^Total Cycles/ { print $3 }'
}

# independent multiply-adds, by vector and by element
for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23; do
    echo "fmla v$i.4s, v30.4s, v31.4s" >> "$work/vector.s"
    echo "fmla v$i.4s, v30.4s, v31.s[0]" >> "$work/element.s"
done

printf '#define PRUNABILITY_IMPLEMENTATION\n#include "%s/prunability.h"\n' "$PWD" > "$work/all.c"
for part in TRAIN HESSIAN STATS FILES OPENMP; do set -- "$@" "-DPRUNABILITY_NO_$part"; done
echo "$("$MCA" --version | sed -n 's/.*\(LLVM version.*\)/llvm-mca, \1/p')"
echo
echo '| kernel | compiler | CPU model | cycles | multiply-adds | per cycle | of peak |'
echo '|---|---|---|---|---|---|---|'
echo "$COMPILERS" | while read -r compiler; do
    # shellcheck disable=SC2086
    $compiler ${FLAGS:--O2} "$@" -S "$work/all.c" -o "$work/all.s" 2> "$work/log" ||
        { echo "$compiler fails:" && head -n 5 "$work/log" && continue; }
    version=$($compiler --version | head -n 1)
    for pair in panel6:forward,_input_gradient panel4:the_same,_four_channels \
        correlate4:weight_gradient sparse:sparse_forward; do
        loop "prun__${pair%%:*}_neon" "$work/all.s" > "$work/loop.s"
        count=$(grep -c 'fml[as]' "$work/loop.s")
        form=vector
        grep -q 'fmla.*\.s\[' "$work/loop.s" && form=element
        for cpu in ${CPUS:-cortex-a72 neoverse-n1 neoverse-n2 apple-m1}; do
            echo "$(echo "${pair##*:}" | tr _ ' ')|$version|$cpu|$(cycles "$cpu" "$work/loop.s")|$count|$(cycles "$cpu" "$work/$form.s")"
        done
    done
done | awk -F '|' '
    NF < 6 { print; next }
    { rate = 100 * $5 / $4; peak = 2400 / $6
      printf "| %s | %s | %s | %.1f | %d | %.2f | %.2f |\n", $1, $2, $3, $4 / 100, $5, rate, rate / peak }'
