#!/bin/sh
# Counts the instructions of whole networks on another processor with an emulator: the number per
# additional image of a pass, with the kernels of each tier.
#
#   sh bench/instructions.sh [COMPILER...]    [aarch64-linux-gnu-gcc "clang --target=aarch64-linux-gnu"]
#
# Needs qemu-aarch64 with plugins, and the cross compilers. Counts are not times: a vector
# instruction counts as one. They do not depend on the machine that runs the emulator.

# shellcheck disable=SC2086 # compilers are split into words on purpose

cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/prunability-instructions.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# A plugin that adds up the lengths of all executed blocks. The declarations are those of QEMU's
# plugin interface, version 1.
cat > "$work/count.c" << 'END'
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
struct qemu_plugin_tb;
typedef uint64_t identity;
extern void qemu_plugin_register_vcpu_tb_trans_cb(identity, void (*)(identity, struct qemu_plugin_tb *));
extern void qemu_plugin_register_atexit_cb(identity, void (*)(identity, void *), void *);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
int qemu_plugin_version = 1;
static uint64_t count;
static void translated(identity id, struct qemu_plugin_tb *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, 0, &count, qemu_plugin_tb_n_insns(block));
}
static void ended(identity id, void *user) {
    (void)id;
    (void)user;
    fprintf(stderr, "instructions %" PRIu64 "\n", count);
}
int qemu_plugin_install(identity id, const void *info, int argc, char **argv) {
    (void)info;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
END
cc -O2 -shared -fPIC "$work/count.c" -o "$work/count.so" || exit 1

# instructions ARGUMENT...: instructions of a run of the program with these arguments
instructions() {
    qemu-aarch64 -plugin "$work/count.so" "$work/program" "$@" 2>&1 | sed -n 's/^instructions //p'
}

# one_more FAMILY WIDTH PASS ISA: millions of instructions per additional image, from 16 to 48
# images
one_more() {
    few=$(instructions "$1" "$2" 16 "$3" "$4")
    many=$(instructions "$1" "$2" 48 "$3" "$4")
    awk "BEGIN { printf \"%.3f\", (${many:-0} - ${few:-0}) / 32e6 }"
}

[ $# -gt 0 ] || set -- aarch64-linux-gnu-gcc "clang --target=aarch64-linux-gnu"
qemu-aarch64 --version | head -n 1
echo
echo '| network | pass | compiler | portable | NEON | NEON / portable |'
echo '|---|---|---|---|---|---|'
for compiler in "$@"; do
    $compiler -O2 -static bench/instructions.c -o "$work/program" -lm || exit 1
    for network in 'cnn 16' 'nin 48' 'resnet18 8'; do
        for pass in forward gradient; do
            portable=$(one_more $network $pass portable)
            neon=$(one_more $network $pass neon)
            printf '| %s | %s | %s | %s | %s | %s |\n' "$network" $pass "${compiler%% *}" \
                "$portable" "$neon" "$(awk "BEGIN { printf \"%.2f\", $neon / $portable }")"
        done
    done
done
echo
echo 'Millions of instructions per additional image.'
