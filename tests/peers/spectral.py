#!/usr/bin/env python3
"""Spectral norms of random matrices and convolutions through the library and through SciPy.

    spectral.py LIBRARY

The last line is "spectral: N passed, N failed".
"""
import ctypes
import sys

import numpy
from scipy import linalg

SEEDS = 3
RANDOM = numpy.random.default_rng(12)


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("name", ctypes.c_char_p),
                ("shape", ctypes.c_int64 * 4), ("rank", ctypes.c_int32), ("flags", ctypes.c_uint32)]


class Conv2d(ctypes.Structure):
    _fields_ = [("in_channels", ctypes.c_int64), ("in_height", ctypes.c_int64),
                ("in_width", ctypes.c_int64), ("out_channels", ctypes.c_int64),
                ("kernel", ctypes.c_int64 * 2), ("stride", ctypes.c_int64 * 2),
                ("padding", ctypes.c_int64 * 4), ("algorithm", ctypes.c_int)]


class Spectral(ctypes.Structure):
    _fields_ = [("norm", ctypes.c_double), ("residual", ctypes.c_double),
                ("iterations", ctypes.c_int64), ("error", ctypes.c_double)]


def library_norm(library, weight, geometry, seed):
    """(status, result) of the library for a float32 array of two or four dimensions."""
    tensor = Tensor(weight.ctypes.data, b"weight", (ctypes.c_int64 * 4)(*weight.shape),
                    weight.ndim, 1)
    result = Spectral()
    status = library.prun_spectral_norm(None, ctypes.byref(tensor), None,
                                        ctypes.byref(geometry) if geometry else None,
                                        ctypes.c_double(0), ctypes.c_uint64(seed),
                                        ctypes.byref(result))
    return status, result


def dense(weight, geometry):
    """The convolution's matrix, one column per pixel of the padded image that is kept."""
    out, channels, kh, kw = weight.shape
    height, width = geometry.in_height, geometry.in_width
    top, left, bottom, right = geometry.padding
    sh, sw = geometry.stride
    oh = (height + top + bottom - kh) // sh + 1
    ow = (width + left + right - kw) // sw + 1
    matrix = numpy.zeros((out, oh, ow, channels, height + top + bottom, width + left + right))
    for y in range(oh):
        for x in range(ow):
            matrix[:, y, x, :, y * sh:y * sh + kh, x * sw:x * sw + kw] = weight
    inside = matrix[..., top:top + height, left:left + width]
    return inside.reshape(out * oh * ow, channels * height * width)


def random_matrix(number):
    """Gaussian, with a planted rank-one part, or with a given spectrum."""
    rows, columns = RANDOM.integers(1, 200, 2)
    kind = number % 6
    matrix = RANDOM.standard_normal((rows, columns))
    if kind == 1:
        matrix += 0.1 * number * numpy.outer(RANDOM.standard_normal(rows),
                                             RANDOM.standard_normal(columns))
    if kind > 1:
        u, s, v = linalg.svd(matrix, full_matrices=False)
        x = numpy.arange(len(s)) / len(s)
        s = [10 ** (-12 * x), 1 - 1e-4 * x, 1 + 0 * x, numpy.where(x > 0, 1 - 1e-3, 1)][kind - 2]
        matrix = (u * s) @ v
    return (matrix * 10.0 ** RANDOM.integers(-20, 20)).astype(numpy.float32), None


def random_operator(number):
    """A convolution of any stride and padding, with a planted rank-one part in every second."""
    out, channels = (int(n) for n in RANDOM.integers(1, 9, 2))
    kernel = [int(n) for n in RANDOM.integers(1, 6, 2)]
    weight = RANDOM.standard_normal((out, channels, *kernel))
    if number % 2:
        weight += 0.1 * number * numpy.outer(
            RANDOM.standard_normal(out),
            RANDOM.standard_normal(weight[0].size)).reshape(weight.shape)
    geometry = Conv2d(channels, int(RANDOM.integers(5, 9)), int(RANDOM.integers(5, 9)), out)
    geometry.kernel[:] = kernel
    geometry.stride[:] = [int(n) for n in RANDOM.integers(1, 4, 2)]
    geometry.padding[:] = [int(n) for n in RANDOM.integers(0, 3, 4)]
    return weight.astype(numpy.float32), geometry


def main():
    library = ctypes.CDLL(sys.argv[1])
    passed = failed = 0
    for name, make in ("matrices", random_matrix), ("operators", random_operator):
        largest = 0.0
        for number in range(100):
            weight, geometry = make(number)
            exact = weight.astype(float)
            exact = dense(exact, geometry) if geometry else exact
            right = linalg.svdvals(exact)[0]
            for seed in range(SEEDS):
                status, result = library_norm(library, weight, geometry, seed)
                error = abs(result.norm / right - 1) if right > 0 else result.norm
                largest = max(largest, error)
                if status == 0 and error <= 1e-9 and result.error <= 1e-10:
                    passed += 1
                else:
                    failed += 1
                    print(f"FAIL {name} {number}, seed {seed}: status {status}, {result.norm!r}, "
                          f"should be {right!r}")
        print(f"100 {name}, {SEEDS} seeds: largest relative error {largest:.2g}")
    print(f"spectral: {passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
