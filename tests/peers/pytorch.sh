#!/bin/sh
# Losses of the same weights here and in PyTorch, in both directions; see pytorch.py. Skipped with a
# message if PyTorch is missing (apt-get install python3-torch).
#
#   [CC=cc] [PYTHON=python3] sh tests/peers/pytorch.sh

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
cd "$here/../.." || exit 1
find_python torch
for source in examples/pytorch/checkpoint examples/pytorch/vgg_from_pytorch tests/peers/train; do
    if ! build_program "$source.c" "$work/$(basename "$source")"; then
        fail "$source.c does not compile"
        finish
        exit 1
    fi
done
"$python" tests/peers/pytorch.py "$work" examples/data
