#!/usr/bin/env python3
"""Spectral norms of random matrices and convolutions, and all singular values of matrices, through
the library and through SciPy.

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


def spectrum(kind, count):
    """Singular values in descending order, the largest 1."""
    x = numpy.arange(count) / max(count - 1, 1)
    return {"graded": 10 ** (-30 * x), "clustered": 1 - 1e-6 * x, "equal": 1 + 0 * x,
            "rank one": numpy.where(x > 0, 0, 1.0), "half the rank": numpy.where(x > 0.5, 0, 1 - x),
            "one above equal": numpy.where(x > 0, 1 - 1e-3, 1), "evenly spaced": 1 - x,
            "power law": (1 + numpy.arange(count)) ** -0.7}[kind]


def with_spectrum(kind, rows, columns):
    """A matrix with these singular values, up to the rounding to float32."""
    u, s, v = linalg.svd(RANDOM.standard_normal((rows, columns)), full_matrices=False)
    return (u * spectrum(kind, len(s))) @ v


SPECTRA = "graded", "clustered", "equal", "rank one", "half the rank", "one above equal", \
    "evenly spaced", "power law"
NAMED = {
    "zero": lambda rows, columns: numpy.zeros((rows, columns)),
    "ones": lambda rows, columns: numpy.ones((rows, columns)),
    "identity": numpy.eye,
    "Hilbert": lambda rows, columns: 1 / (1 + numpy.add.outer(numpy.arange(rows),
                                                              numpy.arange(columns))),
    "Toeplitz": lambda rows, columns: linalg.toeplitz(RANDOM.standard_normal(rows),
                                                      RANDOM.standard_normal(columns)),
    "triangular": lambda rows, columns: numpy.tril(RANDOM.standard_normal((rows, columns))),
    "pruned": lambda rows, columns: (RANDOM.standard_normal((rows, columns))
                                     * (RANDOM.random((rows, columns)) < 0.02)),
    "graded columns": lambda rows, columns: (RANDOM.standard_normal((rows, columns))
                                             * 10 ** -numpy.linspace(0, 30, columns)),
    "Gaussian": lambda rows, columns: RANDOM.standard_normal((rows, columns)),
}
SIZES = (1, 1), (1, 50), (50, 1), (2, 2), (7, 8), (9, 100), (100, 9), (64, 64), (60, 150)
LARGE = ("Gaussian", 512, 512), ("Gaussian", 784, 10), ("Gaussian", 10, 784), \
    ("power law", 512, 512), ("half the rank", 300, 256), ("pruned", 400, 300), \
    ("Hilbert", 256, 256), ("graded", 200, 500)
SCALES = 1.0, 1e-44, 1e37, 1e-20


def every_matrix():
    """(name, float32 matrix) of every kind, in several sizes and scales."""
    for kind in SPECTRA + tuple(NAMED):
        for number, (rows, columns) in enumerate(SIZES):
            for scale in (1.0, SCALES[1 + number % 3]):
                matrix = with_spectrum(kind, rows, columns) if kind in SPECTRA \
                    else NAMED[kind](rows, columns)
                largest = numpy.abs(matrix).max() or 1  # keeps 1e37 finite
                yield f"{kind} {rows} x {columns} times {scale:g}", \
                    (matrix * (scale / largest)).astype(numpy.float32)
    for kind, rows, columns in LARGE:
        matrix = with_spectrum(kind, rows, columns) if kind in SPECTRA else NAMED[kind](rows, columns)
        yield f"{kind} {rows} x {columns}", matrix.astype(numpy.float32)


def library_values(library, matrix):
    """(status, singular values) of the library for a float32 matrix in any layout."""
    values = numpy.full(min(matrix.shape), numpy.nan)
    rows, columns = (ctypes.c_int64(n) for n in matrix.shape)
    down, across = (ctypes.c_int64(n // matrix.itemsize) for n in matrix.strides)
    status = library.prun_singular_values(None, ctypes.c_void_p(matrix.ctypes.data), rows, columns,
                                          down, across, ctypes.c_void_p(values.ctypes.data))
    return status, values


def compare_singular_values(library):
    """(passed, failed) of all matrices, their error relative to the largest value."""
    passed = failed = 0
    largest = 0.0
    for name, matrix in every_matrix():
        right = linalg.svdvals(matrix.astype(float))
        for layout in matrix, numpy.asfortranarray(matrix), matrix.repeat(2, axis=1)[:, ::2]:
            status, values = library_values(library, layout)
            error = numpy.abs(values - right).max() / (right[0] or 1)
            largest = max(largest, error)
            if status == 0 and error <= 1e-12:
                passed += 1
            else:
                failed += 1
                print(f"FAIL {name}: status {status}, error {error:.3g} of the largest value")
    print(f"{(passed + failed) // 3} matrices, 3 layouts, all singular values: largest error "
          f"{largest:.2g} of the largest value")
    return passed, failed


def main():
    library = ctypes.CDLL(sys.argv[1])
    passed, failed = compare_singular_values(library)
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
