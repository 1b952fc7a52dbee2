/* prunability.h - v0.1.0 - why neural networks generalize, measured in plain C - MIT (see end)

   Trains small convolutional networks, prunes them, and measures how well they generalize:
   the system of "Robustness to Pruning Predicts Generalization in Deep Neural Networks"
   (Kuhn, Lyle, Gomez, Rothfuss, Gal), as one header that needs libc and libm alone.
*/
/* [QUICK] do this */
/*
   In exactly one .c or .cpp file:

       #define PRUNABILITY_IMPLEMENTATION
       #include "prunability.h"

   Everywhere else just include it. Compile with   cc -O2 app.c -lm   (-fopenmp: all cores).

   A complete program, to be run where examples/data lies (about ten seconds on two cores):

       #include <stdio.h>
       #define PRUNABILITY_IMPLEMENTATION
       #include "prunability.h"
       #define SET "examples/data/fashion-mnist-train-"

       int main(void) {
           prun_images images;
           prun_net *net;
           prun_objective objective;
           prun_prunability found;
           if (prun_images_load_idx(NULL, SET "images.idx3-ubyte", SET "labels.idx1-ubyte",
                                    &(prun_idx_options){.pad_to = 32}, &images)) return 1;
           prun_images_standardize(NULL, &images);
           if (prun_net_create_cnn(NULL, &(prun_arch){.width = 8, .image_channels = 1}, &net))
               return 1;
           if (prun_train(net, &images, &(prun_train_options){.batch = 32, .momentum = 0.9}, NULL))
               return 1;
           prun_net_objective(net, &images, &objective);
           if (prun_prunability_search(&objective, NULL, &found)) return 1;
           printf("training loss %.4f; %.0f %% of the weights suffice to stay within 10 %% of it\n",
                  found.base_loss, 100 * found.answer[0].kept_fraction);
           prun_net_free(net);
           prun_images_free(&images);
           return 0;
       }

   It prints:

       training loss 0.1554; 65 % of the weights suffice to stay within 10 % of it
*/
/* [CONTENTS] sections; `grep -n '^/\* \[' prunability.h` prints them with line numbers */
/*
   [QUICK]          do this
   [DOCS]           what a reader of the API should know
   [CONFIG]         build options and versions
   [CORE]           status codes, context, tensors
   [RNG]            counter-based random numbers: a value belongs to its counter, not to a thread
   [OPS]            tensor operations in the lane layout
   [IMAGES]         labelled image sets
   [NET]            layers, builder, the three families, forward and backward
   [OBJECTIVE]      what every measure takes: weights and callbacks, of a prun_net or of your own
   [TRAIN]          stochastic gradient descent
   [PRUNE]          pruning, perturbation, and the searches on both
   [HESSIAN]        curvature: eigenvalues, spectrum, trace, effective dimensionality
   [MEASURE]        generalization measures: formulas, and the table of all of them
   [STATS]          evaluation statistics and tables of models
   [FILES]          data sets, checkpoints, tables
   [BINDINGS]       the layout of the public structs, for other languages
   [CORE.I]         status, memory, threads, numbers, sorting
   [RNG.I]          Philox4x32-10 and what is drawn from it
   [OPS.I]          what needs no kernels: shapes, lane layout, losses, linear maps
   [KERNELS.I]      the kernels of all tiers, where convolutions multiply and add; the portable tier
   [X86.I]          the kernels for AVX2 and AVX-512
   [ARM.I]          the kernels for NEON
   [TIERS.I]        the choice of a tier
   [CONV.I]         direct convolution: plan, packed weights, one block through the kernels
   [WINOGRAD.I]     convolution by Winograd: when it is used, its transforms, its exact zeros
   [KERNELGRAD.I]   gradients with respect to kernels, direct and by Winograd
   [CONV2D.I]       a whole convolution by any algorithm: packing, runs, sparse weights
   [IMAGES.I]       checks, normalisation, augmentation, packing
   [BUILD.I]        the types of a net, and layers being added
   [PLAN.I]         from layers to operations and storage; parameters; the families
   [RUN.I]          passes over a batch, forward and backward
   [EVAL.I]         logits and losses
   [TANGENT.I]      Hessian times vector
   [NET.I]          copies, hidden margins, the path norm
   [OBJECTIVE.I]    checks and calls of an objective; a net as one; gradient noise
   [TRAIN.I]        stochastic gradient descent
   [PRUNE.I]        masks, exact search, loss curves
   [PERTURB.I]      noise, perturbation curves, radii, sharpness
   [HESSIAN.I]      products with the Hessian, exact or by differences
   [SPECTRUM.I]     Lanczos: eigenvalues, trace, spectrum, effective dimensionality
   [NORMS.I]        norms, margins and bounds
   [SINGULAR.I]     singular values of weight matrices, power laws of their squares
   [MEASURE.I]      the table of measures, and what computes them
   [MEASURING.I]    a measurement: options, what it begins with, one measure and all of them
   [STATS.I]        Kendall, information, sign errors
   [REGRESSION.I]   least squares and cross-validation
   [RESAMPLE.I]     bootstrap, comparison, permutation
   [TABLE.I]        tables of models
   [OUTPUT.I]       files that are written whole or not at all
   [FILE.I]         opening and reading files, what kind they are, their elements
   [DATASET.I]      images: IDX, CIFAR
   [SAFETENSORS.I]  reading and writing safetensors
   [CHECKPOINT.I]   nets and trainers as safetensors
   [NPY.I]          NumPy arrays, and data sets made of two
   [CSV.I]          tables of models from CSV
   [BINDINGS.I]     the layout of the public structs
   [LICENSE]        MIT
*/
/* [DOCS] what a reader of the API should know */
/*
   WHAT IS MEASURED. A trained network's prunability is the smallest fraction of its weights that
   can be kept, the rest set to zero without retraining, while its training loss stays within
   (1 + beta) times what it was (paper, Definition 1; beta 0.1). The smaller, the simpler the
   network, and the better it is expected to generalize. "Weights" are the kernels of convolutions
   and linear layers; biases and norms join on request. All of them stand in one ranking, or every
   layer in its own.

   EXACT, NOT BISECTED. The loss is not monotone in the kept fraction, so bisection can stop at the
   wrong place. The search goes through the grid 0, 1 %, ... from the sparse end and gives up on a
   candidate as soon as its partial loss sum exceeds the tolerance, hardest samples first. The
   answer is the one that evaluating every grid point in full would give. Only where the losses may
   be negative (`nonnegative` of the objective is 0) is every candidate evaluated in full.

   LEVELS. Measures take a prun_objective: weight tensors and callbacks. Level 0 is the weights
   alone, 1 adds the loss, 2 its gradient, 3 the Hessian times a vector, 4 the logits. Each function
   says which level it needs. A prun_net fills all it can; your own network fills what it has.

   OPTIONS are structs passed by pointer, for example to a compound literal. Zero is the documented
   default of every field, and NULL is the same as an empty struct, so that { .epochs = 20 } changes
   one thing. Where zero is itself a sensible choice it is the default (momentum 0 is plain SGD);
   tolerances, whose default is the paper's, take DBL_MIN for none. prun_..._resolved returns the
   options as they will be used: record those. Arguments come in one order: context, what is acted
   on, inputs, options, outputs; a callback gets `user` first. `width` alone is a number of
   channels; beside a `height` it is an extent of images.

   MEASURES are listed in one table, prun_measures: name, source, direction, what each needs.
   prun_measure computes one by its name, reusing what prun_measurement_create and earlier measures
   have computed. Where something is missing or undefined the result is NaN, with a status and a
   message that say why. Random ones take a seed and return a standard error. Batch norms run in
   eval mode; measures flagged PRUN_TRAIT_FOLDABLE change on a copy whose batch norms are folded
   into its weights (prun_net_copy), although that network computes the same function.

   PERTURBATION draws noise by (seed, draw, weight): the same random numbers at every radius, so
   that curves are smooth and radii comparable.

   CURVATURE is that of the mean loss in eval mode with respect to the weights, unless asked
   otherwise; in measures, that of 500 random samples unless more are asked for. Effective
   dimensionality comes in two forms, each also divided by the number of parameters: as Maddox et
   al. compute it, from the Ritz values of 100 steps, and as an estimate over the whole spectrum,
   with its errors.

   WEIGHTS ARE RESTORED bit by bit on every way out of a measure: success, failing callback,
   cancellation, lack of memory. Only functions that say so (prun_prune, prun_train) change them.

   ERRORS. Every function that can fail returns a prun_status; the context's message names the file,
   field or index. The library never prints, exits or reads the environment. Its only global state
   is a pointer to a constant table of kernels and, with OpenMP, the id of the process that first
   used threads. Pointers are not NULL unless a comment allows it. Asking for a file's data checks
   the file first: sizes against the bytes there are, before anything is allocated.

   MEMORY. All of it comes from the context's allocator, or PRUNABILITY_MALLOC. A net keeps its
   workspaces: a training batch needs every activation of the batch, its gradients reuse a few
   buffers; evaluation needs a few blocks of sixteen images per thread. A call that multiplies the
   Hessian by several vectors keeps up to 2 GiB of activations and their gradients.

   THREADS. OpenMP where the program is compiled with it, or the context's parallel_for, else
   serial. A call from within an OpenMP region of the application is serial too, so that a program
   can train one model per core.
   A child that fork makes after the library has used OpenMP computes serially, because threads do
   not survive a fork. Parallel regions of the application itself before the fork are not covered:
   set `threads` to 1 in the child, or fork first.
   Results are the same bits for any number of threads: work is cut by its shape alone, every output
   is made by one task in a fixed order, and sums that cross tasks are added in index order.

   OTHER CPUs, OTHER BITS. Kernels for AVX-512, or for AVX2 with FMA, are chosen when the CPU has
   them, those for NEON on aarch64; everywhere else portable ones run. They differ in the last
   digits, which training amplifies. prun_isa_set("portable") gives the portable digits anywhere.

   WINDOWS. Paths are UTF-8 there too. One that is not valid UTF-8 is read in the code page of the
   system, as fopen does. GCC for Windows misaligns vectors of AVX on the stack, so what it compiles
   has the portable kernels alone, and so has what MSVC compiles; Clang's programs have all kernels.

   NUMBERS. Products are rounded before they are added, whatever the compiler, its -std, -march and
   -ffp-contract, except in the kernels for AVX2, AVX-512 and NEON, which always fuse them. So one
   kind of kernels gives the same bits everywhere, as far as log, exp and the like of the C
   libraries agree. Two ways to compile are outside of this rule: Clang with -ffp-contract=fast,
   which cannot be overruled, and x87 arithmetic (FLT_EVAL_METHOD 2).

   IEEE arithmetic is required: flags such as -ffast-math are refused where the compiler
   announces them. Clang does not announce -funsafe-math-optimizations and -fno-honor-nans, so do
   not use them. In a thread that flushes subnormals to zero, ranks, orders and files stay exact;
   results that depend on numbers below 1e-38 (float) or 1e-308 (double) do not.

   Winograd keeps exact zeros: an output all of whose products are zero equals its bias. Where
   products cancel exactly, either algorithm leaves a rounding error of about 1e-7 of their size,
   Winograd also one of the outputs beside it.

   Tensors are float32. Losses are double from float logits, sums of losses and batch
   statistics are double. Kernel sums run in float, gradients of many samples in batches of 128.

   RANDOM NUMBERS are counters, not sequences: a value depends on (seed, stream, index), never on
   the order of calls. The seed of a net and that of its training may be equal: they use other
   streams. Dropout decides with 16 bits: its probability is rounded to 1/65536.

   FOR CONTRIBUTORS. A section calls only sections before it and opens with what is in it. Names
   are prun_<noun>_<verb>, private ones prun__<noun>_<verb>, with one of these verbs: make free init
   begin end open close load save read write copy clear check resolve find count compare sort select
   run step apply add fill pack unpack get set put note fail scale mark split join draw restore
   replace remove sync.
   A predicate says is, has, uses or can. A function that only computes a quantity is named after
   it; tasks of prun__for end in _task, orders of qsort begin with by_. Every function has a
   comment. tests/header.sh checks what can be checked, tests/format.sh the layout.

   LIMITS. CPU, float32, images of one size, cross-entropy. Sizes of one layer stay below 2^31. File
   positions have 64 bits, on 32-bit Unix with -D_FILE_OFFSET_BITS=64 (and -std=gnu99, as -std=c99
   hides fseeko). Convolutions, norms and pools do not follow a flatten of more than one pixel.
*/
#ifndef PRUNABILITY_H_INCLUDED
#define PRUNABILITY_H_INCLUDED

/* [CONFIG] build options and versions */
/*
   PRUNABILITY_IMPLEMENTATION   compile the implementation here (exactly one file of a program)
   PRUNABILITY_STATIC           make every function static: several private copies can coexist, and
                                a program of one file leaves out what it does not use, which halves
                                the time to compile and more than halves the size
   PRUNABILITY_MALLOC(size), PRUNABILITY_FREE(pointer)
                                replace malloc and free (both or neither)
   PRUNABILITY_NO_OPENMP        ignore OpenMP even when the compiler has it switched on
   PRUNABILITY_NO_SIMD          portable kernels only
   PRUNABILITY_NO_NET           no networks of the library, so no training and no checkpoints of
                                nets: for programs that measure networks of their own
   PRUNABILITY_NO_TRAIN         no training
   PRUNABILITY_NO_HESSIAN       no curvature; its measures say that they were left out
   PRUNABILITY_NO_STATS         no evaluation statistics, no tables of models
   PRUNABILITY_NO_FILES         no files at all
   PRUNDEF                      linkage of public functions; overrides PRUNABILITY_STATIC
   The implementation compiles to 400 KB of object code in 9 s (gcc 12 -O2, x86-64). NO_NET leaves
   out 6,000 lines, 190 KB and 45 % of the time; NO_FILES 3,000, 60 KB and 9 %; NO_STATS 2,100, 50
   KB and 6 %; NO_HESSIAN 1,500, 40 KB and 4 %; NO_TRAIN 300, 9 KB. With all of them 90 KB remain,
   compiled in 2 s. Define these for the declarations and the implementation alike.
*/
#define PRUNABILITY_VERSION_MAJOR 0
#define PRUNABILITY_VERSION_MINOR 1
#define PRUNABILITY_VERSION_PATCH 0
#define PRUNABILITY_VERSION "0.1.0"

#if defined(PRUNABILITY_NO_NET) && !defined(PRUNABILITY_NO_TRAIN)
#define PRUNABILITY_NO_TRAIN
#endif

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifndef PRUNDEF
#if defined(PRUNABILITY_STATIC) && (defined(__GNUC__) || defined(__clang__))
/* Not inlined, or GCC warns of variables in the program that it no longer sees written. */
#define PRUNDEF static __attribute__((unused, noinline))
#elif defined(PRUNABILITY_STATIC)
#define PRUNDEF static
#else
#define PRUNDEF extern
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* [CORE] status codes, context, tensors */

/* The version of the compiled library, as PRUNABILITY_VERSION was then: "1.0.0". */
PRUNDEF const char *prun_version(void);

/* Every function that can fail returns one of these; 0 is success. Results are written only on
   success unless a comment says otherwise. */
typedef enum prun_status {
    PRUN_OK = 0,
    PRUN_ERR_ARGUMENT = -1,     /* invalid argument */
    PRUN_ERR_MEMORY = -2,       /* out of memory */
    PRUN_ERR_SHAPE = -3,        /* shape is empty or does not fit */
    PRUN_ERR_OVERFLOW = -4,     /* size too large */
    PRUN_ERR_OPEN = -5,         /* file cannot be opened */
    PRUN_ERR_READ = -6,         /* file cannot be read */
    PRUN_ERR_WRITE = -7,        /* file cannot be written */
    PRUN_ERR_MAGIC = -8,        /* file is of another kind */
    PRUN_ERR_TRUNCATED = -9,    /* file is shorter than its header says */
    PRUN_ERR_OVERSIZED = -10,   /* file is longer than its header says */
    PRUN_ERR_LABEL = -11,       /* label out of range */
    PRUN_ERR_FORMAT = -12,      /* file contents are malformed */
    PRUN_ERR_MISSING = -13,     /* named item not found */
    PRUN_ERR_UNSUPPORTED = -14, /* not supported */
    PRUN_ERR_NONFINITE = -15,   /* value is not finite */
    PRUN_ERR_CALLBACK = -16,    /* callback failed */
    PRUN_ERR_CANCELLED = -17,   /* cancelled by callback */
    PRUN_ERR_CONVERGENCE = -18  /* iteration did not converge */
} prun_status;

/* Constant text for a status; never NULL, also for unknown values. */
PRUNDEF const char *prun_status_string(prun_status status);

/* Allocator, threads and last error text. Zero-initialise it for the defaults; every function that
   takes a context also takes NULL, which means the defaults without an error text.
   Objects remember the context they were made with, which must outlive them. A context, and the
   objects made with it, are used by one thread at a time; different contexts are independent. */
typedef struct prun_context {
    void *(*allocate)(void *user, size_t size); /* NULL: PRUNABILITY_MALLOC; may return NULL */
    void (*release)(void *user, void *pointer); /* set both or neither */
    void *allocator_user;
    /* Calls body(argument, i) for i = 0 .. count-1 in any order and returns when all are done.
       NULL: OpenMP if compiled in, else a plain loop. A hook needs `threads` set. */
    void (*parallel_for)(void *user, void (*body)(void *argument, int64_t i), void *argument,
                         int64_t count);
    void *parallel_user;
    int64_t threads;    /* 0: all the OpenMP runtime offers, or 1 without OpenMP and hook */
    prun_status status; /* of the last failure, with its text; set by the library */
    char message[256];
} prun_context;

/* Text of the last failure ("" if none), naming the file, field or index. NULL context: "". */
PRUNDEF const char *prun_message(const prun_context *context);

#define PRUN_MAX_RANK 4
enum prun_tensor_flags {
    PRUN_TENSOR_WEIGHT = 1,    /* kernel of a convolution or linear layer: prunable */
    PRUN_TENSOR_BIAS = 2,      /* bias of a convolution or linear layer */
    PRUN_TENSOR_NORM = 4,      /* scale or shift of a batch norm */
    PRUN_TENSOR_STATISTIC = 8, /* running mean or variance: not trained */
    PRUN_TENSOR_OTHER = 16     /* trained, but none of these: embeddings, positions */
};

/* A non-owning view of a float array. Row-major; kernels are (out, in, height, width). */
typedef struct prun_tensor {
    float *data;
    const char *name;
    int64_t shape[PRUN_MAX_RANK]; /* only the first `rank` count */
    int32_t rank;
    uint32_t flags; /* enum prun_tensor_flags */
} prun_tensor;

/* Number of elements: the product of the shape, 1 for rank 0. */
PRUNDEF int64_t prun_tensor_size(const prun_tensor *tensor);

#ifndef PRUNABILITY_NO_NET
/* Instruction set of the kernels: "portable", "avx2", "avx512" or "neon". Chosen once, from the
   CPU. */
PRUNDEF const char *prun_isa(void);
/* For tests and comparisons: use the named kernels from now on, NULL for the best. Not thread
   safe: call it while no other library call runs. PRUN_ERR_UNSUPPORTED if the CPU lacks it. */
PRUNDEF prun_status prun_isa_set(const char *name);
#endif

/* [RNG] counter-based random numbers: a value belongs to its counter, not to a thread */

/* Philox4x32-10 (Salmon et al. 2011): key = seed, counter = (index, stream), little end first. */
PRUNDEF void prun_random_block(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4]);
PRUNDEF uint64_t prun_random_bits(uint64_t seed, uint64_t stream, uint64_t index);
/* Uniform in [0, 1) with 53 bits. */
PRUNDEF double prun_random_uniform(uint64_t seed, uint64_t stream, uint64_t index);
/* Standard normal by Box-Muller; its last bits depend on the platform's libm. */
PRUNDEF double prun_random_normal(uint64_t seed, uint64_t stream, uint64_t index);
/* A uniform permutation of 0 .. n-1 (Fisher-Yates). out: n. */
PRUNDEF void prun_random_permutation(uint64_t seed, uint64_t stream, int64_t n, int64_t *out);

/* [OPS] tensor operations in the lane layout */
/*
   Activations are stored [N/16][H][W][C][16]: blocks of sixteen images, which are the SIMD lanes.
   The last block is padded with empty lanes, which hold finite values that nothing depends on.
*/
#define PRUN_LANES 16

/* Floats that n images of c x h x w take in the lane layout (16 * ceil(n/16) * c * h * w), or -1
   when a size is not positive or the product overflows. */
PRUNDEF int64_t prun_lanes_size(int64_t n, int64_t c, int64_t h, int64_t w);
/* (n, c, h, w) row-major to the lane layout, empty lanes zero; and back. No overlap. */
PRUNDEF void prun_lanes_pack(const float *nchw, int64_t n, int64_t c, int64_t h, int64_t w,
                             float *lanes);
PRUNDEF void prun_lanes_unpack(const float *lanes, int64_t n, int64_t c, int64_t h, int64_t w,
                               float *nchw);

/* How a convolution is computed. Winograd needs a 3x3 kernel, stride 1 or 2 in both axes and
   padding of at most 2; it multiplies four times less, at stride 2 1.8 times, and rounds more
   coarsely: errors are about 1e-6 of the largest output in a tile of 4x4, not 1e-7 of the output
   itself, and more where large inputs lie beside small ones. An output without a product that is
   not zero is exact. AUTO takes Winograd where it was measured to be faster. */
typedef enum prun_algorithm {
    PRUN_ALGORITHM_AUTO = 0,
    PRUN_ALGORITHM_DIRECT = 1,
    PRUN_ALGORITHM_WINOGRAD = 2 /* wherever possible */
} prun_algorithm;

/* Geometry of a 2-D convolution (cross-correlation, as in PyTorch). Zero in kernel[1] or stride[1]
   means "as the first", stride 0 means 1. */
typedef struct prun_conv2d {
    int64_t in_channels, in_height, in_width;
    int64_t out_channels;
    int64_t kernel[2]; /* height, width */
    int64_t stride[2];
    int64_t padding[4]; /* zeros added at top, left, bottom, right */
    prun_algorithm algorithm;
} prun_conv2d;

/* Output height and width; PRUN_ERR_SHAPE when the kernel does not fit. */
PRUNDEF prun_status prun_conv2d_output(prun_context *context, const prun_conv2d *conv,
                                       int64_t *height, int64_t *width);
/* Cross-entropy -ln softmax(logits)[label] of one sample in double precision. With probability not
   NULL also writes the softmax (classes). Never negative; finite for finite logits. */
PRUNDEF double prun_cross_entropy(const float *logits, int64_t classes, int64_t label,
                                  double *probability);

#ifndef PRUNABILITY_NO_NET
/* y = conv(x, weight) + bias for n images. x, y: lane layout; weight (O, I, KH, KW); bias (O) or
   NULL. Allocates the packed weights. Threads: over image blocks. */
PRUNDEF prun_status prun_conv2d_forward(prun_context *context, const prun_conv2d *conv, int64_t n,
                                        const float *x, const float *weight, const float *bias,
                                        float *y);
/* dx = gradient with respect to x, given dy. Empty lanes of dy may hold anything finite. */
PRUNDEF prun_status prun_conv2d_input_gradient(prun_context *context, const prun_conv2d *conv,
                                               int64_t n, const float *dy, const float *weight,
                                               float *dx);
/* dweight (O, I, KH, KW) = gradient with respect to weight. Empty lanes of dy must be zero. */
PRUNDEF prun_status prun_conv2d_weight_gradient(prun_context *context, const prun_conv2d *conv,
                                                int64_t n, const float *x, const float *dy,
                                                float *dweight);
#endif

/* [IMAGES] labelled image sets */

typedef enum prun_normalization {
    PRUN_NORMALIZATION_NONE = 0,     /* v, where v = byte / 255 or the float itself */
    PRUN_NORMALIZATION_MEAN_STD = 1, /* (v - mean[c]) / std[c] */
    PRUN_NORMALIZATION_PER_IMAGE =
        2 /* (v - mean) / max(std, 1/sqrt(size)), moments of that image */
} prun_normalization;

#define PRUN_MAX_IMAGE_CHANNELS 4

/* A labelled image set, (N, C, H, W) row-major: bytes or floats, one of the two pointers set. Fill
   it by hand (then you own the arrays; storage NULL) or with a loader of FILES. To use the first n
   images only, lower `count` of a copy of the struct. Read-only for the library: many threads may
   share one. */
typedef struct prun_images {
    int64_t count, channels, height, width, classes;
    const uint8_t *pixels;
    const float *values;
    const int32_t *labels; /* count, each in 0 .. classes-1 */
    prun_normalization normalization;
    float mean[PRUN_MAX_IMAGE_CHANNELS], std[PRUN_MAX_IMAGE_CHANNELS];
    void *storage;         /* what prun_images_free releases; NULL: borrowed */
    prun_context *context; /* who allocated it */
} prun_images;

/* Checks pointers, sizes, labels and that floats are finite; names the first offender. */
PRUNDEF prun_status prun_images_check(prun_context *context, const prun_images *images);
/* Sets mean, std and normalization from the images themselves, per channel over all pixels
   (population standard deviation). At most PRUN_MAX_IMAGE_CHANNELS channels. */
PRUNDEF prun_status prun_images_standardize(prun_context *context, prun_images *images);
/* Releases what a loader allocated and clears the struct; NULL and borrowed sets are fine. */
PRUNDEF void prun_images_free(prun_images *images);

/* Random changes of a training image, drawn anew for every (epoch, position). Zero: none. Vacated
   pixels of crop_padding are raw zeros; those of shift repeat the border. Normalization follows. */
typedef struct prun_augment {
    int64_t crop_padding; /* pad by this many pixels, crop back to size at a random place */
    int64_t shift;        /* translate by up to this many pixels along each axis */
    int32_t flip;         /* 1: mirror left-right with probability 1/2 */
} prun_augment;

/* The random draws of one pass over images. Zero-initialise for none. */
typedef struct prun_pass {
    const prun_augment *augment; /* NULL: none. Image i draws from (seed, stream, position i) */
    uint64_t seed, stream;       /* of augmentation and dropout */
    int32_t freeze_statistics;   /* 1: training leaves the running statistics alone */
} prun_pass;

/* Writes images index[0..n) (NULL: 0 .. n-1) as a network sees them, normalised and augmented, as
   plain (n, C, H, W) floats: what a network of your own takes. pass NULL: no augmentation. Works
   for bytes and floats alike; `pixels` and `values` of a set are its storage, not its images. */
PRUNDEF prun_status prun_images_copy(prun_context *context, const prun_images *images,
                                     const int64_t *index, int64_t n, const prun_pass *pass,
                                     float *nchw);
/* The same in the lane layout: prun_lanes_size(n, C, H, W) floats. */
PRUNDEF prun_status prun_images_pack(prun_context *context, const prun_images *images,
                                     const int64_t *index, int64_t n, const prun_pass *pass,
                                     float *lanes);

/* [NET] layers, builder, the three families, forward and backward */

/* A network: layers in a small graph, and its parameters. Build one layer by layer, then finish:

       int32_t v = PRUN_INPUT;
       v = prun_layer_conv2d(net, v, "conv0", 16, 3, 1, 1);
       v = prun_layer_batch_norm(net, v, "bn0", 0, 0);
       v = prun_layer_relu(net, v);
       ...
       status = prun_net_finish(net, v, seed);

   A layer function takes value numbers and returns its own (> 0), or -1 after an error, which every
   later call passes on and prun_net_finish reports. A net and its workspaces are used by one thread
   at a time. Names are copied and must be unique; tensors are then called "conv0.weight",
   "conv0.bias", "bn0.running_mean" and so on. */
typedef struct prun_net prun_net;

#ifndef PRUNABILITY_NO_NET

#define PRUN_INPUT 0

typedef enum prun_padding {
    PRUN_PADDING_ZEROS = 0, /* zeros as `padding` says */
    PRUN_PADDING_SAME = 1   /* TensorFlow's SAME: output = ceil(input/stride), the odd zero after */
} prun_padding;

/* A convolutional layer. Zero-initialise; zero fields take the default in brackets. */
typedef struct prun_conv2d_options {
    int64_t channels;   /* of the output; required */
    int64_t kernel[2];  /* height, required, and width [as the height] */
    int64_t stride[2];  /* [1; along the width: as along the height] */
    int64_t padding[4]; /* zeros added at top, left, bottom, right */
    prun_padding padding_mode;
    prun_algorithm algorithm;
    int32_t omit_bias; /* 1: the layer has no bias */
} prun_conv2d_options;

typedef enum prun_initializer {
    PRUN_INITIALIZER_PYTORCH =
        0, /* weight and bias uniform in +-1/sqrt(fan_in) (torch.nn default) */
    PRUN_INITIALIZER_GLOROT =
        1 /* weight uniform in +-sqrt(6/(fan_in+fan_out)), bias 0 (tf.layers) */
} prun_initializer;

/* Starts a net for images of channels x height x width. Release with prun_net_free. */
PRUNDEF prun_status prun_net_create(prun_context *context, int64_t channels, int64_t height,
                                    int64_t width, prun_net **net);
PRUNDEF void prun_net_free(prun_net *net); /* NULL is fine */
/* How layers added from now on are initialised (default PRUN_INITIALIZER_PYTORCH). */
PRUNDEF void prun_net_set_initializer(prun_net *net, prun_initializer init);
/* How all convolutions are computed from now on, in a net that is finished or not; overrides
   prun_conv2d_options.algorithm. Unknown values mean AUTO. */
PRUNDEF void prun_net_set_algorithm(prun_net *net, prun_algorithm algorithm);

/* A square kernel, `padding` zeros on all four sides, and a bias. */
PRUNDEF int32_t prun_layer_conv2d(prun_net *net, int32_t input, const char *name, int64_t channels,
                                  int64_t kernel, int64_t stride, int64_t padding);
/* Any convolution. */
PRUNDEF int32_t prun_layer_conv2d_with(prun_net *net, int32_t input, const char *name,
                                       const prun_conv2d_options *options);
/* The options as they will be used, defaults filled in; so in all functions of this name. NULL:
   all of them defaults. */
PRUNDEF prun_conv2d_options prun_conv2d_resolved(const prun_conv2d_options *options);
/* Fully connected over the flattened (C, H, W) input; its weight is (features, C*H*W). */
PRUNDEF int32_t prun_layer_linear(prun_net *net, int32_t input, const char *name, int64_t features,
                                  int32_t bias);
/* epsilon [1e-5; DBL_MIN for none]; momentum: share of the new batch in the running statistics
   [0.1; DBL_MIN for none]. */
PRUNDEF int32_t prun_layer_batch_norm(prun_net *net, int32_t input, const char *name,
                                      double epsilon, double momentum);
PRUNDEF int32_t prun_layer_relu(prun_net *net, int32_t input);
/* Square window; stride 0: the kernel. Padding never wins a maximum and counts as zero in a mean
   (as in PyTorch); at most half the kernel. */
PRUNDEF int32_t prun_layer_max_pool(prun_net *net, int32_t input, int64_t kernel, int64_t stride,
                                    int64_t padding);
PRUNDEF int32_t prun_layer_avg_pool(prun_net *net, int32_t input, int64_t kernel, int64_t stride,
                                    int64_t padding);
/* Mean over all positions. */
PRUNDEF int32_t prun_layer_global_avg_pool(prun_net *net, int32_t input);
/* In training each element is zero with this probability (rounded to 1/65536), else divided by its
   complement. */
PRUNDEF int32_t prun_layer_dropout(prun_net *net, int32_t input, double probability);
PRUNDEF int32_t prun_layer_add(prun_net *net, int32_t a, int32_t b);
PRUNDEF int32_t prun_layer_flatten(prun_net *net, int32_t input);
/* Ends building: `output` (C x 1 x 1: the logits) is the net's result. Allocates the parameters and
   initialises them from `seed`. Layers that do not lead to the output are allowed; their weights
   count as prunable all the same. */
PRUNDEF prun_status prun_net_finish(prun_net *net, int32_t output, uint64_t seed);
/* Fresh parameters from `seed`; running statistics back to 0 and 1. */
PRUNDEF void prun_net_initialize(prun_net *net, uint64_t seed);

/* The families of the paper's studies. */
typedef enum prun_family {
    PRUN_FAMILY_CNN = 0,
    PRUN_FAMILY_NIN = 1,
    PRUN_FAMILY_RESNET18 = 2
} prun_family;

/* A member of one of the paper's three families. Zero fields take the default in brackets. */
typedef struct prun_arch {
    prun_family family;
    int64_t width;                     /* CNN and ResNet18: k [64]; NiN: filters [192] */
    int64_t depth;                     /* NiN blocks, 2 .. 4 [3]; ignored by the others */
    int64_t classes;                   /* [10] */
    int64_t image_channels;            /* [3] */
    int64_t image_height, image_width; /* pixels [32] */
    double dropout;                    /* NiN: drop probability after each block, in [0, 1) */
    int32_t symmetric_padding;         /* NiN: PyTorch's padding 1 instead of TensorFlow's SAME */
    int32_t pytorch_defaults;          /* NiN: PyTorch's initialisation and batch norm constants */
    uint64_t seed;
} prun_arch;

/* The arch as it will be used; NULL: all defaults. */
PRUNDEF prun_arch prun_arch_resolved(const prun_arch *arch);

/* Network in Network of the DEMOGEN study (paper A.3): `depth` blocks of 3x3 stride 2, 1x1, 1x1
   convolutions, each with batch norm and ReLU, dropout after each block; then one VALID convolution
   of kernel min(4, size) to the classes and the mean over positions. */
PRUNDEF prun_status prun_net_create_nin(prun_context *context, const prun_arch *arch,
                                        prun_net **net);
/* The five-layer CNN of the double descent study (paper A.4): 3x3 convolutions to k, 2k, 4k, 8k
   channels, each with batch norm and ReLU, max pooling 2, 2, 2 and 4, one linear layer. */
PRUNDEF prun_status prun_net_create_cnn(prun_context *context, const prun_arch *arch,
                                        prun_net **net);
/* Pre-activation ResNet18 of width k (paper A.4, A.5): no norm before the final mean. */
PRUNDEF prun_status prun_net_create_resnet18(prun_context *context, const prun_arch *arch,
                                             prun_net **net);
/* Whichever arch->family names. */
PRUNDEF prun_status prun_net_create_family(prun_context *context, const prun_arch *arch,
                                           prun_net **net);

/* All tensors in order of creation, running statistics included: a layer's weight, bias (and
   running_mean, running_var). They are the live parameters: change them between calls as you like.
   Valid until prun_net_free. */
PRUNDEF const prun_tensor *prun_net_tensors(const prun_net *net, int64_t *count);
PRUNDEF int64_t prun_net_parameter_count(const prun_net *net); /* floats that are trained */
PRUNDEF int64_t prun_net_weight_count(const prun_net *net);    /* floats that are prunable */
PRUNDEF int64_t prun_net_class_count(const prun_net *net);

/* Eval mode (running statistics, no dropout) for images index[0..n), NULL: 0 .. n-1. */
PRUNDEF prun_status prun_net_logits(prun_net *net, const prun_images *images, const int64_t *index,
                                    int64_t n, float *logits /* n x classes */);
/* Cross-entropy of each sample (losses: n, or NULL), their sum in the given order, and the number
   of samples whose largest logit is not the label's (the first of equals counts). A non-finite loss
   is reported as it is, not as an error. */
PRUNDEF prun_status prun_net_loss(prun_net *net, const prun_images *images, const int64_t *index,
                                  int64_t n, double *losses, double *sum, int64_t *wrong);
/* Gradient of the summed loss in eval mode: prun_net_parameter_count floats, in tensor order
   without the statistics. sum, wrong: as above, may be NULL. */
PRUNDEF prun_status prun_net_gradient(prun_net *net, const prun_images *images,
                                      const int64_t *index, int64_t n, float *gradient, double *sum,
                                      int64_t *wrong);

/* Hessian of the summed loss in eval mode times v; v, product: as a gradient, no overlap. Exact, by
   forward and backward tangents (Pearlmutter 1994); ReLU and max pooling count as linear where they
   are smooth. About 8/3 of the gradient's work, in the same memory. */
PRUNDEF prun_status prun_net_hessian_vector(prun_net *net, const prun_images *images,
                                            const int64_t *index, int64_t n, const float *v,
                                            float *product);

/* Where prun_net_train_pass writes; NULL: not wanted. */
typedef struct prun_pass_outputs {
    float *gradient; /* of the summed loss; without it there is no backward pass */
    float *logits;   /* n x classes */
    double *sum;     /* of the losses */
    int64_t *wrong;  /* answers */
} prun_pass_outputs;

/* One training-mode forward and backward pass over a batch: batch statistics, dropout, running
   statistics updated. A batch norm needs two values per channel: n x height x width of its input.
   pass NULL: nothing random. */
PRUNDEF prun_status prun_net_train_pass(prun_net *net, const prun_images *images,
                                        const int64_t *index, int64_t n, const prun_pass *pass,
                                        const prun_pass_outputs *outputs);

/* The trained tensors, in the order of a flat gradient: what prun_net_objective hands out. Those of
   a copy made before training serve as prun_objective.initial. */
PRUNDEF const prun_tensor *prun_net_trained_tensors(const prun_net *net, int64_t *count);
/* An independent copy with the same parameters and statistics. fold_norms 1: every batch norm that
   alone reads a convolution is multiplied into it (which then has a bias) and left out, so that
   eval mode stays the same function up to rounding and the weights are the effective ones. Release
   with prun_net_free. */
PRUNDEF prun_status prun_net_copy(const prun_net *net, int32_t fold_norms, prun_net **copy);

/* Layers are named by their weight tensor's number in prun_net_tensors. This fills in those whose
   inputs are the images and the ends of the blocks at a third, two thirds and all of the depth
   (paper 5.1 after Jiang et al. 2019). A block begins at every convolution wider than 1x1 and every
   linear layer; the last layer counts too. Layers that do not lead to the logits do not count; -1
   if none does. */
PRUNDEF void prun_net_margin_layers(const prun_net *net, int32_t layers[4]);
/* Where prun_net_hidden_margins writes. */
typedef struct prun_margin_outputs {
    double *margins; /* layers x n */
    double *spread;  /* per layer: root of the total population variance of its input over the
                        images, which normalizes the margins */
} prun_margin_outputs;

/* For each of `count` layers with input x and each of n images, the distance to the boundary to
   first order, (f_y - f_j) / sqrt(1e-6 + ||grad_x f_y - grad_x f_j||^2), f the logits in eval mode,
   y the label, j the best other class (Jiang et al. 2019, arXiv 1810.00113). index NULL: 0 ..
   n-1. */
PRUNDEF prun_status prun_net_hidden_margins(prun_net *net, const prun_images *images,
                                            const int64_t *index, int64_t n, const int32_t *layers,
                                            int64_t count, const prun_margin_outputs *outputs);
#endif

/* [OBJECTIVE] what every measure takes: weights and callbacks, of a prun_net or of your own */

/* Callbacks return PRUN_OK or what the measure is to return (any other status). They are given the
   objective they belong to, or a copy of it, and read the weights through its `tensors` (the
   measure changes them in place and restores them bit-exactly on every exit path; so one objective,
   or objectives of one net, serve one call at a time). `index` NULL means samples 0 .. n-1. Leave
   callbacks NULL that you lack: a measure that needs one says so with PRUN_ERR_UNSUPPORTED.
   Callbacks run in the thread that called the library and always return to it: no longjmp, no C++
   exception. They do not write to the tensors, keep nothing that depends on the weights from one
   call to the next, and start no other measure on them. To explain a failure, set both `status` and
   `message` of the context; otherwise the library writes a message that names the callback.
   prun_measure_all says which statuses leave one measure undefined and which end the run. Weights
   that several layers share are listed once: tensors that overlap in memory are an error. All
   pointers are borrowed. */
typedef struct prun_objective prun_objective;
struct prun_objective {
    void *user; /* for the callbacks */
    prun_context *context;
    const prun_tensor *tensors; /* the trained tensors, in the order of a flat gradient */
    int64_t tensor_count;
    const prun_tensor *initial; /* the same before training, or NULL; only data is read */
    int64_t samples;
    int64_t classes;
    int32_t nonnegative; /* 1: no sample's loss is below zero; allows early exit */
    /* Level 1: per-sample losses (n, or NULL), their sum, number of wrong answers (NULL: not
       wanted). The searches check, at the unpruned weights, that losses add up to the sum. */
    prun_status (*loss)(const prun_objective *objective, const int64_t *index, int64_t n,
                        double *losses, double *sum, int64_t *wrong);
    /* Level 2: gradient of the summed loss, flat over `tensors`; sum may be NULL. */
    prun_status (*gradient)(const prun_objective *objective, const int64_t *index, int64_t n,
                            float *gradient, double *sum);
    /* Level 3: Hessian of the summed loss times v, both flat over `tensors`. */
    prun_status (*hessian_vector)(const prun_objective *objective, const int64_t *index, int64_t n,
                                  const float *v, float *product);
    /* Level 4: n x classes. */
    prun_status (*logits)(const prun_objective *objective, const int64_t *index, int64_t n,
                          float *logits);
    const int32_t *labels; /* per sample, for margins; NULL: unknown */
    /* The network and its images, where prun_net_objective made the objective; else NULL. */
    prun_net *net;
    const prun_images *images;
};

#ifndef PRUNABILITY_NO_NET
/* Objective of a net in eval mode on these images. Borrows both. */
PRUNDEF prun_status prun_net_objective(prun_net *net, const prun_images *images,
                                       prun_objective *objective);
#endif

/* [TRAIN] stochastic gradient descent */

/* What training reports after each epoch. */
typedef struct prun_epoch {
    int64_t epoch, epochs; /* finished so far, and in all */
    double learning_rate;
    double loss, error_rate; /* running means over the epoch's batches, in training mode */
    double evaluated_loss;   /* end of epoch, eval mode, no augmentation; NaN unless asked for */
    int64_t steps;           /* taken so far */
    double gradient_noise;   /* prun_gradient_noise after the first and last epoch; else NaN */
} prun_epoch;

#ifndef PRUNABILITY_NO_TRAIN
typedef enum prun_schedule {
    PRUN_SCHEDULE_CONSTANT = 0,
    PRUN_SCHEDULE_STEP = 1,  /* times `schedule_factor` [0.1] every `schedule_epochs` [100] */
    PRUN_SCHEDULE_MADDOX = 2 /* constant to half time, then linear to 1 % at 90 %, then constant */
} prun_schedule;

typedef enum prun_decay { PRUN_DECAY_WEIGHTS = 0, PRUN_DECAY_ALL = 1 } prun_decay;

/* Zero-initialise; zero fields take the default in brackets. */
typedef struct prun_train_options {
    int64_t epochs;       /* [10] */
    int64_t batch;        /* [128]; the last one of an epoch may be smaller */
    double learning_rate; /* [0.01] */
    double momentum;      /* v = momentum v + g, w -= rate v. 0: plain SGD; the paper's is 0.9 */
    double weight_decay;  /* coupled: g += weight_decay w */
    prun_decay decay;     /* which tensors decay */
    prun_schedule schedule;
    int64_t schedule_epochs;
    double schedule_factor;
    prun_augment augment;
    uint64_t seed;       /* of batch order, augmentation and dropout */
    int32_t evaluate;    /* 1: also evaluate the whole set after each epoch */
    int64_t noise_pairs; /* > 0: pairs of batches for prun_epoch.gradient_noise */
    /* Called after each epoch; non-zero stops with PRUN_ERR_CANCELLED (the net keeps its state). */
    int (*on_epoch)(void *user, const prun_epoch *epoch);
    void *user;
} prun_train_options;

/* The options as they will be used; NULL: all defaults. */
PRUNDEF prun_train_options prun_train_resolved(const prun_train_options *options);
/* Learning rate of an epoch (0-based). */
PRUNDEF double prun_learning_rate(const prun_train_options *options, int64_t epoch);

/* Trains for options->epochs epochs; options NULL: defaults. history: one entry per epoch, or NULL;
   after a failure, set up to where it stopped. When the loss of a batch is not finite:
   PRUN_ERR_NONFINITE, naming epoch and batch. */
PRUNDEF prun_status prun_train(prun_net *net, const prun_images *images,
                               const prun_train_options *options, prun_epoch *history);

/* The same, step by step: create, then epochs or single steps on samples of your choice, free.
   `net` and `images` are borrowed. prun_trainer_save_safetensors keeps where it stands. */
typedef struct prun_trainer prun_trainer;
PRUNDEF prun_status prun_trainer_create(prun_net *net, const prun_images *images,
                                        const prun_train_options *options, prun_trainer **trainer);
PRUNDEF prun_status prun_trainer_run_epoch(prun_trainer *trainer, prun_epoch *result);
PRUNDEF prun_status prun_trainer_step(prun_trainer *trainer, const int64_t *index, int64_t n,
                                      double learning_rate, double *sum, int64_t *wrong);
PRUNDEF int64_t prun_trainer_epoch_count(const prun_trainer *trainer); /* finished so far */
PRUNDEF void prun_trainer_free(prun_trainer *trainer);
#endif

/* [PRUNE] pruning, perturbation, and the searches on both */

/* How weights are ranked. */
typedef enum prun_prune_method {
    PRUN_PRUNE_MAGNITUDE = 0,
    PRUN_PRUNE_RANDOM = 1
} prun_prune_method;
typedef enum prun_prune_scope {
    PRUN_PRUNE_GLOBAL = 0,   /* one ranking over all prunable weights */
    PRUN_PRUNE_PER_LAYER = 1 /* the same fraction of every tensor */
} prun_prune_scope;

#define PRUN_MAX_BETAS 8

/* Zero-initialise; zero fields take the default in brackets. */
typedef struct prun_prune_options {
    prun_prune_method method;
    prun_prune_scope scope;
    int32_t include_biases, include_norms; /* 1: they are prunable too */
    int64_t grid;                          /* n: kept fractions i/n for i = 0 .. n [100] */
    double beta[PRUN_MAX_BETAS]; /* tolerances on the loss [0.1 alone]; DBL_MIN for none */
    int64_t beta_count;          /* [those before the first 0] */
    int64_t repetitions;         /* PRUN_PRUNE_RANDOM: permutations whose mean loss is taken [5] */
    uint64_t seed;               /* PRUN_PRUNE_RANDOM */
    /* Called as candidates are decided; non-zero stops with PRUN_ERR_CANCELLED. */
    int (*progress)(void *user, int64_t done, int64_t total);
    void *user;
} prun_prune_options;

/* The options as they will be used; NULL: all defaults. */
PRUNDEF prun_prune_options prun_prune_resolved(const prun_prune_options *options);

/* Answer for one beta. Losses are means over the samples (and over repetitions). */
typedef struct prun_prunability_answer {
    double beta, threshold; /* base loss + beta |base loss| */
    double kept_fraction;   /* the measure: i/n, smallest feasible */
    int64_t kept;           /* weights kept there */
    double loss;            /* there */
} prun_prunability_answer;

typedef struct prun_prunability {
    double base_loss;
    int64_t prunable, prunable_tensors; /* weights and tensors that could be pruned */
    int64_t grid;
    int64_t answer_count;
    prun_prunability_answer answer[PRUN_MAX_BETAS]; /* in the order of options->beta */
    double passes; /* sample evaluations spent / samples, the base loss included */
} prun_prunability;

/* Weights kept at grid point i of n out of `count`: (2 i count + n) / (2 n) in integers. */
PRUNDEF int64_t prun_kept_count(int64_t i, int64_t n, int64_t count);

/* Prunability, Definition 1: the smallest kept fraction i/n whose loss is at most (1 + beta) times
   the unpruned loss; exact for the grid, no monotonicity assumed. Needs level 1. Ties in |w| go by
   flat index: the lower index is kept first. options NULL: defaults.
   This function and all below change the weights while they run. Those that are not said to keep
   the change restore them bit by bit. One objective serves one call at a time, and so do
   objectives that share weights. */
PRUNDEF prun_status prun_prunability_search(const prun_objective *objective,
                                            const prun_prune_options *options,
                                            prun_prunability *result);
/* Mean loss at every grid point: losses[0 .. grid], i-th at kept fraction i/grid. error_rates: the
   mean error rates, or NULL. beta is not used. After a failure, set up to where it stopped. */
PRUNDEF prun_status prun_loss_curve(const prun_objective *objective,
                                    const prun_prune_options *options, double *losses,
                                    double *error_rates);
/* Prunes for good to the given kept fraction, in [0, 1] (random: first permutation). Needs level 0.
   A fraction on the grid follows the grid's rounding. kept: NULL or the number of weights left. */
PRUNDEF prun_status prun_prune(const prun_objective *objective, double kept_fraction,
                               const prun_prune_options *options, int64_t *kept);
/* What pruning to that fraction would keep of each prunable tensor: its kept fraction, as the mean
   over options->repetitions at random. The fraction is rounded to the grid. Needs level 0. */
PRUNDEF prun_status prun_prune_layer_fractions(const prun_objective *objective,
                                               double kept_fraction,
                                               const prun_prune_options *options,
                                               double *fractions);

/* Loss when only one layer is pruned: losses[t (grid + 1) + i] is the mean loss with the t-th
   prunable tensor at kept fraction i/grid and everything else untouched. scope and beta are not
   used. Needs level 1; prunable tensors x grid passes. */
PRUNDEF prun_status prun_loss_curve_by_layer(const prun_objective *objective,
                                             const prun_prune_options *options, double *losses);

/* Perturbations: random noise of size `radius` on the weights. */
typedef enum prun_noise {
    PRUN_NOISE_DEFAULT = 0,   /* MAGNITUDE; GAUSSIAN for sharpness and prun_same_size_curve */
    PRUN_NOISE_MAGNITUDE = 1, /* variance radius^2 |w| + epsilon (as paper 5.1 prints it) */
    PRUN_NOISE_SQUARED = 2,   /* variance radius^2 w^2 + epsilon^2 (Jiang et al. 2020, eq. 61) */
    PRUN_NOISE_GAUSSIAN = 3,  /* variance radius^2 */
    PRUN_NOISE_SIGN_FLIP = 4  /* w becomes -w with probability `radius` */
} prun_noise;

/* Zero-initialise; zero fields take the default in brackets. */
typedef struct prun_perturb_options {
    prun_noise noise;
    double epsilon;     /* MAGNITUDE and sharpness [1e-6], SQUARED [1e-3]; DBL_MIN for none */
    double fraction;    /* > 0: only this fraction of the weights, the smallest ones [all] */
    double norm;        /* > 0: noise is scaled to this Euclidean norm [as drawn] */
    int32_t match_norm; /* 1: noise is scaled to the norm of the weights it falls on */
    int32_t include_biases, include_norms; /* 1: they are perturbed too */
    int64_t draws;                         /* [10] */
    int64_t restarts;                      /* sharpness [3] */
    uint64_t seed;
    double beta;         /* radius: tolerated relative rise of the loss [0.1] */
    double displacement; /* > 0: tolerated rise of the error rate instead (Jiang et al.: 0.1) */
    double first, cap;   /* radii: where the search begins [1/16], where it ends [1024; flips 1] */
    double precision;    /* relative width of the final bracket [0.01] */
    int64_t steps;       /* sharpness: ascent steps [20] */
    int64_t batch;       /* sharpness: random samples per step [256] */
    /* Called after every evaluation, `total` an upper bound; non-zero stops with
       PRUN_ERR_CANCELLED. */
    int (*progress)(void *user, int64_t done, int64_t total);
    void *user;
} prun_perturb_options;

/* The options as prun_perturb, prun_perturbation_curve and _radius use them; as sharpness does; and
   as prun_same_size_curve does. */
PRUNDEF prun_perturb_options prun_perturb_resolved(const prun_perturb_options *options);
PRUNDEF prun_perturb_options prun_sharpness_resolved(const prun_perturb_options *options);
PRUNDEF prun_perturb_options prun_same_size_resolved(const prun_perturb_options *options);

/* Perturbs for good by draw number `draw`. Needs level 0. */
PRUNDEF prun_status prun_perturb(const prun_objective *objective, double radius, int64_t draw,
                                 const prun_perturb_options *options);
/* Mean loss over the draws at each of `count` radii; the same random numbers at all of them. Also
   its standard errors over draws (NaN with one draw) and mean error rates; either may be NULL. A
   loss that is not finite is reported as it is. Needs level 1. */
PRUNDEF prun_status prun_perturbation_curve(const prun_objective *objective, const double *radii,
                                            int64_t count, const prun_perturb_options *options,
                                            double *losses, double *standard_errors,
                                            double *error_rates);
/* The same at kept fractions i/grid, i = 0 .. grid (grid + 1 values): noise on the weights that
   magnitude pruning would remove there, of the Euclidean norm of what it would remove (paper,
   figures 2 and 5: pruning against random perturbation of the same size). Its partner is
   prun_loss_curve. options->fraction, norm and match_norm are not used. */
PRUNDEF prun_status prun_same_size_curve(const prun_objective *objective, int64_t grid,
                                         const prun_perturb_options *options, double *losses,
                                         double *standard_errors, double *error_rates);

typedef enum prun_radius_state {
    PRUN_RADIUS_FOUND = 0,
    PRUN_RADIUS_SATURATED = 1, /* even the cap is tolerated: radius = cap */
    PRUN_RADIUS_NONE = 2       /* no radius is (epsilon alone is too much): 0, flatness +infinity */
} prun_radius_state;

typedef struct prun_radius {
    prun_radius_state state;
    double radius;         /* the largest one found within the tolerance */
    double infeasible;     /* the smallest one found outside, +infinity if none */
    double standard_error; /* of radius, over draws; NaN: one draw, sharpness, or none found */
    double flatness;       /* 1 / radius^2 */
    double base, threshold, reached; /* loss (or error rate): unperturbed, allowed, at radius */
    double passes;                   /* sample evaluations spent / samples, without gradients */
} prun_radius;

/* Largest radius whose mean loss over the draws is at most (1 + beta) times the unperturbed one
   (paper 5.1: random-perturbation robustness is its `flatness`). Doubles (or halves) `first` until
   the answer is bracketed, then bisects; common random numbers make the loss a smooth function of
   the radius, and candidates end as soon as their partial sum is too large. Needs level 1. */
PRUNDEF prun_status prun_perturbation_radius(const prun_objective *objective,
                                             const prun_perturb_options *options,
                                             prun_radius *result);
/* Sharpness (Jiang et al. 2020, eq. 54 and 62): the same with the worst perturbation that projected
   gradient ascent finds in the box |u_i| <= radius (GAUSSIAN), or radius |w_i| + epsilon (SQUARED,
   MAGNITUDE). Each of `restarts` begins uniformly in half the box and takes `steps` steps of a
   tenth of the box along the gradient over its root mean square. An upper bound on the radius:
   ascent can miss the worst point. Needs level 2. */
PRUNDEF prun_status prun_sharpness_radius(const prun_objective *objective,
                                          const prun_perturb_options *options, prun_radius *result);

/* Mean error rate of random subnetworks with noise, E_{v~Q} of paper Eq. (1): every weight is kept
   with probability `kept`, survivors get Gaussian noise of deviation `sigma`. standard_error: over
   options->draws, may be NULL. Needs level 1. */
PRUNDEF prun_status prun_dropout_error(const prun_objective *objective, double kept, double sigma,
                                       const prun_perturb_options *options, double *error_rate,
                                       double *standard_error);

/* [HESSIAN] curvature: products, eigenvalues, spectrum, trace, effective dimensionality */
/*
   H is the k x k Hessian of the loss with respect to the chosen tensors, which stand one after the
   other in tensor order. Everything is made of products H v: exact ones where the objective has
   level 3, else central differences of its gradient (level 2). Weights are restored bit by bit.

       prun_hessian_options options = {0};
       prun_spectrum spectrum;
       prun_effective_dimension n;
       status = prun_hessian_spectrum(&objective, &options, &spectrum);
       if (status == PRUN_OK) status = prun_effective_dimensionality(&spectrum, 1.0, &n);
       prun_spectrum_free(&spectrum);
*/
#ifndef PRUNABILITY_NO_HESSIAN

typedef enum prun_hessian_scope {
    PRUN_HESSIAN_WEIGHTS = 0, /* tensors flagged PRUN_TENSOR_WEIGHT */
    PRUN_HESSIAN_ALL = 1      /* every trained tensor */
} prun_hessian_scope;

/* Zero-initialise; zero fields take the default in brackets. */
typedef struct prun_hessian_options {
    prun_hessian_scope scope;
    const uint8_t *mask;     /* NULL, or tensor_count flags that choose instead of `scope` */
    int32_t summed;          /* 1: H of the summed loss, not of the mean */
    const int64_t *index;    /* samples that the loss runs over; NULL: 0, 1, ... */
    int64_t samples;         /* how many [all; needed with `index`] */
    int32_t use_differences; /* 1: finite differences even where products are exact */
    double step;             /* of finite differences [chosen, see prun_hessian_difference] */
    int64_t steps;           /* of a Lanczos run [100]; never more than k */
    int64_t probes;          /* random vectors [10] */
    int32_t smallest;        /* eigenpairs: 1: from the lower end of the spectrum */
    uint64_t seed;           /* of the random vectors */
    /* Called after each product; non-zero stops with PRUN_ERR_CANCELLED. */
    int (*progress)(void *user, int64_t done, int64_t total);
    void *user;
} prun_hessian_options;

/* A Monte-Carlo estimate: mean over `count` random vectors. */
typedef struct prun_estimate {
    double value;
    double standard_error;   /* of the mean; infinite for a single vector. Of prun_spectrum_trace no
                                smaller than the spectrum found implies */
    double quadrature_error; /* Lanczos quadrature: how far the value moved while the second half
                                of the steps was made (mean over the vectors of the largest of
                                eight differences); else, and at steps = k, 0 */
    int64_t count;
    double difference_error; /* what finite differences add, estimated; 0: exact products */
    double error;            /* all of it: root of the sum of the three squares */
} prun_estimate;

/* The options as they will be used with this objective, defaults filled in. options NULL here and
   below: defaults. */
PRUNDEF prun_hessian_options prun_hessian_resolved(const prun_objective *objective,
                                                   const prun_hessian_options *options);
/* k, the length of all vectors below. Needs level 0. */
PRUNDEF prun_status prun_hessian_size(const prun_objective *objective,
                                      const prun_hessian_options *options, int64_t *k);
/* product = H v. Finite differences are (g(w + h v) - g(w - h v)) / 2h with h |v| = step (1 + |w|),
   norms over the chosen tensors: two gradients with options->step, about twenty more to choose a
   step for this v without. PRUN_ERR_NONFINITE names the first weight, or element of the product,
   that is not finite; the product is then partly set. */
PRUNDEF prun_status prun_hessian_vector(const prun_objective *objective, const float *v,
                                        const prun_hessian_options *options, double *product);

/* The step of finite differences, and what they err by. */
typedef struct prun_difference {
    double step;       /* as options->step; 0: none is needed */
    double error;      /* of a product, relative to its norm, estimated; usually two to four times
                          the error made, 0 for exact products, infinite where all is lost */
    double noise;      /* how much of a product with a unit vector is rounding, in units of H */
    int64_t gradients; /* evaluated to find out */
} prun_difference;

/* Chooses the step for products with v, or, v NULL, for Lanczos runs, where it is judged in a
   direction of large curvature; a step in options->step is only judged. Differences over lengths
   from (1 + |w|) / 32 down to where rounding is all there is, each a quarter of the one before, are
   compared; about twenty gradients. The functions below do the same once per call. With float32
   gradients smooth losses err by 1e-5 to 1e-3. Networks with ReLU or max pooling have gradients
   that jump; a second derivative does not contain the jumps, which differences see when they lie
   between w - h v and w + h v. `error` tells where they lie too close to be avoided, but not where
   every step crosses thousands of them, which look smooth: use exact products there. Needs
   level 2, or level 3, where there is nothing to choose. */
PRUNDEF prun_status prun_hessian_difference(const prun_objective *objective, const float *v,
                                            const prun_hessian_options *options,
                                            prun_difference *result);
/* The `count` largest eigenvalues in descending order (with `smallest`: the smallest, ascending)
   after options->steps Lanczos steps from a random vector. residuals (or NULL): |H v - value v|,
   which bounds the distance to an eigenvalue: more steps make it smaller. With finite differences
   it contains by how much H v changes when their step is halved. vectors: count x k unit vectors,
   or NULL. A run sees a multiple eigenvalue once, unless it goes on to step k. Memory: a
   float vector per step. `count` more products where residuals are asked for. After a failure the
   results are partly set. */
PRUNDEF prun_status prun_hessian_eigenpairs(const prun_objective *objective, int64_t count,
                                            const prun_hessian_options *options, double *values,
                                            double *residuals, float *vectors);
/* Trace of H by Hutchinson's estimator with Rademacher vectors, options->probes products; exact for
   a diagonal H. by_tensor: NULL, or the traces of the diagonal blocks of the chosen tensors. */
PRUNDEF prun_status prun_hessian_trace(const prun_objective *objective,
                                       const prun_hessian_options *options, prun_estimate *trace,
                                       prun_estimate *by_tensor);

/* Result of options->probes Lanczos runs, each started from a Gaussian vector and `steps` products
   long: the nodes (Ritz values, ascending) and weights (adding up to 1) of each run's quadrature
   rule. */
typedef struct prun_spectrum {
    int64_t parameters; /* k */
    int64_t probes, steps;
    double *values, *weights;     /* probes x steps */
    double *diagonal, *couplings; /* probes x steps: the tridiagonal matrices behind them */
    prun_context *context;
    double difference_error; /* of finite differences, relative, in the direction of the largest
                                curvature or as far as the runs found H not symmetric, whichever is
                                larger; 0: exact products */
    double difference_noise; /* how much of a product with a unit vector is rounding */
} prun_spectrum;

/* Runs them: probes x steps products; memory: a float vector per step. Full reorthogonalisation.
   Where a run ends early (an invariant subspace), it goes on from a fresh orthogonal vector with
   weight 0, so that at steps = k all eigenvalues are there, multiple ones too. A struct that was
   not filled is empty; prun_spectrum_free is then allowed, not needed. */
PRUNDEF prun_status prun_hessian_spectrum(const prun_objective *objective,
                                          const prun_hessian_options *options,
                                          prun_spectrum *spectrum);
PRUNDEF void prun_spectrum_free(prun_spectrum *spectrum);
/* Trace of f(H), the sum of f over all k eigenvalues, by stochastic Lanczos quadrature (Ubaru, Chen
   and Saad 2017). */
PRUNDEF prun_status prun_spectrum_trace(const prun_spectrum *spectrum,
                                        double (*f)(void *user, double eigenvalue), void *user,
                                        prun_estimate *trace);
/* Spectral density at the `points` of `grid`: the share of eigenvalues per unit of length, smoothed
   by a Gaussian of standard deviation `bandwidth` (0: a hundredth of the grid's range).
   standard_errors: NULL, or those over the probes. */
PRUNDEF prun_status prun_spectrum_density(const prun_spectrum *spectrum, const double *grid,
                                          int64_t points, double bandwidth, double *density,
                                          double *standard_errors);

/* Effective dimensionality N_eff(z) = sum over eigenvalues e > 0 of e / (e + z). */
typedef struct prun_effective_dimension {
    double z;
    double ritz;            /* as Maddox et al. 2020 compute it: over the Ritz values of one run
                                 (the first); never more than `steps`, and below the true sum */
    double ritz_fraction;   /* divided by k */
    prun_estimate estimate; /* over the whole spectrum, by Lanczos quadrature */
    prun_estimate fraction; /* divided by k */
} prun_effective_dimension;

/* z > 0, on the scale of H: Maddox's default is 1; their published curves correspond to 1/391 of a
   mean loss. How far the Ritz sum lies below the sum over all eigenvalues depends on the steps and
   on how many eigenvalues are a tenth of z or larger. On small trained networks 100 steps missed
   10 to 21 % where these were 8 to 22 (z = 1) and 60 to 75 % where they were 220 to 490
   (z = 1/391); 30 steps missed a third and almost nine tenths. The estimate has no such bias, its
   `error` says what it has. */
PRUNDEF prun_status prun_effective_dimensionality(const prun_spectrum *spectrum, double z,
                                                  prun_effective_dimension *result);
#endif

/* [MEASURE] generalization measures */

/* Squared Frobenius (Euclidean) norm of a tensor. */
PRUNDEF double prun_frobenius_squared(const prun_tensor *tensor);
/* "Sum of squared Frobenius norms", paper 5.1: d (prod_i ||W_i||_F^2)^(1/d) over the d tensors
   flagged PRUN_TENSOR_WEIGHT; computed in logarithms. 0 if one of them is all zero; NaN if two of
   the tensors share memory. */
PRUNDEF double prun_sum_of_frobenius(const prun_tensor *tensors, int64_t count);
/* Sum of train losses, paper 5.1 (Ru et al. 2020): minus the sum of the epochs' mean losses. */
PRUNDEF double prun_sum_of_train_losses(const prun_epoch *history, int64_t epochs);
/* Output margins f_y - max_{j != y} f_j of n samples. classes >= 2. */
PRUNDEF void prun_output_margins(const float *logits, const int32_t *labels, int64_t n,
                                 int64_t classes, double *margins);

/* Largest singular value of a linear map A, with the residual ||A'A v - norm^2 v|| of its unit
   vector v. */
typedef struct prun_spectral_norm_result {
    double norm, residual;
    int64_t iterations; /* products with A'A or AA', whichever is smaller */
    double error;       /* a singular value of A lies within error * norm of norm */
} prun_spectral_norm_result;

/* Spectral norm of `weight` minus `initial` (NULL: nothing). geometry NULL: of the matrix
   (out, all the rest), Jiang et al. 2020 after Yoshida & Miyato. Otherwise of the convolution as it
   acts on an image, zero padding and stride included; sizes must fit the tensor.
   Lanczos iteration in double precision from a vector that `seed` draws, until the residual is at
   most `tolerance` times norm^2 [0: 1e-10]. A tolerance below 1e-12 counts as 1e-12, because
   products are rounded. On success `error` is about half the tolerance, and norm exceeds the
   spectral norm by no more than rounding, 1e-13 of it. No iteration from one start can prove that
   the value it found is the largest: with u the vector of the largest, norm is too small by at most
   the fraction error / |u'v|. |u'v| is small only where the start was nearly orthogonal to u, in n
   dimensions below t / sqrt(n) with probability 0.8 t, and other values are close to the largest.
   After 1000 products PRUN_ERR_CONVERGENCE, with the result written. Memory: 21 vectors of doubles
   as long as the smaller of image and output, and one as long as the larger. A weight that is not
   finite: PRUN_ERR_NONFINITE, naming it. */
PRUNDEF prun_status prun_spectral_norm(prun_context *context, const prun_tensor *weight,
                                       const float *initial, const prun_conv2d *geometry,
                                       double tolerance, uint64_t seed,
                                       prun_spectral_norm_result *result);
/* Singular values of the matrix whose element (i, j) is matrix[i * row_step + j * column_step], in
   descending order: min(rows, columns) of them. Computed in double, each is off by a few roundings
   of the largest. Takes memory for a copy of the matrix in double. An element that is not finite:
   PRUN_ERR_NONFINITE, naming it. */
PRUNDEF prun_status prun_singular_values(prun_context *context, const float *matrix, int64_t rows,
                                         int64_t columns, int64_t row_step, int64_t column_step,
                                         double *values);
/* Eigenvalues of W'W, the squares of a weight's singular values, in ascending order. The kernel of
   a convolution (out, in, height, width) is height x width matrices (out, in), whose eigenvalues
   are pooled; with `whole` it is one matrix (out, all the rest). eigenvalues NULL: only counts
   them. */
PRUNDEF prun_status prun_weight_eigenvalues(prun_context *context, const prun_tensor *weight,
                                            int whole, double *eigenvalues, int64_t *count);

/* A power law, density ~ x^-alpha from `least` on, and the values that it was fitted to. */
typedef struct prun_power_law {
    double alpha, sigma; /* maximum likelihood, and its standard error (alpha - 1) / sqrt(tail) */
    double least;        /* smallest value of the tail */
    double distance; /* Kolmogorov-Smirnov, from the lower steps of the empirical distribution */
    int64_t tail;    /* values in the tail */
} prun_power_law;

/* Fits a power law to the tail of `count` ascending values that has the smallest distance (Clauset,
   Shalizi and Newman 2009; as Martin, Peng and Mahoney 2021 apply it). Values up to 1e-5 are left
   out. PRUN_ERR_MISSING where fewer than two different ones are left; alpha is NaN then. */
PRUNDEF prun_status prun_power_law_fit(prun_context *context, const double *values, int64_t count,
                                       prun_power_law *law);

/* What the eigenvalues of a weight say (Martin, Peng and Mahoney 2021). */
typedef struct prun_weight_spectrum_result {
    int64_t count; /* eigenvalues */
    double sum, largest;
    prun_power_law law;      /* alpha NaN: there is none */
    double log_alpha_norm;   /* log10 of the sum of their alpha-th powers */
    double stable_rank;      /* sum / largest */
    double spectral_entropy; /* of the eigenvalues over their sum, relative to that of equal ones */
    double soft_rank;        /* edge of the Marchenko-Pastur law of the same variance / largest */
} prun_weight_spectrum_result;

/* The spectrum of one weight. whole: as above. halved: eigenvalues of a convolution's matrices
   count half, which is WeightWatcher's default. A weight that is all zero: PRUN_ERR_MISSING. */
PRUNDEF prun_status prun_weight_spectrum(prun_context *context, const prun_tensor *weight,
                                         int whole, int halved,
                                         prun_weight_spectrum_result *result);
#ifndef PRUNABILITY_NO_NET
/* Path norm (Jiang et al. 2020, eq. 44): sum of the outputs for an image of ones, every parameter
   squared. Batch norm counts as its scale and shift; in a folded copy as the affine map it is in
   eval mode, which is what Dziugaite et al. compute. */
PRUNDEF prun_status prun_path_norm(const prun_net *net, double *value);
#endif
/* Pseudo-norms of the PAC-Bayes family: ||v||^2 / (4 sigma^2) + ln(m / sigma) + 10 (Jiang et al.
   2020, eq. 48 and 49), v = w - w0 or w given by its squared norm. */
PRUNDEF double prun_pacbayes_bound(double squared_norm, double sigma, int64_t samples);
/* Magnitude-aware (eq. 56, and 57 with w_i in the denominator, as its derivation demands):
   1/4 sum_i ln((epsilon^2 + (sigma^2 + prior) ||d||^2 / omega) / (epsilon^2 + sigma^2 d_i^2))
   + ln(m / sigma) + 10, d = w - initial (NULL: w) over the omega weights flagged
   PRUN_TENSOR_WEIGHT. prior 1; for sharpness 4 ln(2 omega / delta) (eq. 59, 60). NaN if two of the
   tensors share memory. */
PRUNDEF double prun_pacbayes_magnitude_bound(const prun_tensor *tensors, const prun_tensor *initial,
                                             int64_t count, double sigma, double epsilon,
                                             double prior, int64_t samples);

/* Paper Eq. (1): with probability 1 - delta over the m samples, for all candidates at once,
       E_{v~Q} L(v) <= E_{v~Q} L_hat(v) + sqrt((KL + ln(m / delta) + ln c) / (2 (m - 1))),
       KL = kept ||w||^2 / (2 sigma^2).
   Holds for a loss in [0, 1] (the error rate, not cross-entropy), for v = s (w + sigma xi) with
   s_i ~ Bernoulli(kept) and xi Gaussian (masks alone have infinite KL), w all the weights that are
   masked, and for c values of `kept` fixed beforehand; the paper's 5 is ln c for c = 148, its alpha
   is 1 - kept. lambda > 1/2: McAllester 2013 instead,
       (L_hat + lambda / m (KL + ln(c / delta))) / (1 - 1 / (2 lambda)).
   At 1 or above the bound says nothing. */
typedef struct prun_dropout_bound {
    double empirical; /* E_{v~Q} L_hat, see prun_dropout_error */
    double kept, squared_norm;
    double sigma;      /* [1] */
    int64_t samples;   /* m */
    double delta;      /* [0.05] */
    double candidates; /* c [101] */
    double lambda;     /* [0: Eq. (1)] */
} prun_dropout_bound;
PRUNDEF prun_dropout_bound prun_dropout_bound_resolved(const prun_dropout_bound *bound);
/* NaN unless samples >= 2, delta in (0, 1), kept in [0, 1], c >= 1 and lambda 0 or > 1/2. */
PRUNDEF double prun_dropout_bound_value(const prun_dropout_bound *bound);

/* Logarithms of lower whisker, Q1, median, Q3, upper whisker of the positive ones among n values
   (Jiang et al. 2019): quartiles by linear interpolation, whiskers the extreme values within 1.5
   interquartile ranges of the box. PRUN_ERR_MISSING when none is positive. */
PRUNDEF prun_status prun_margin_features(prun_context *context, const double *margins, int64_t n,
                                         double features[5]);
/* Variance of the mean gradient of a minibatch of `batch` independent draws from the samples,
   averaged over all parameters (Jiang et al. 2020, eq. 65, 66): the variance between samples over
   `batch`, which may exceed the number of samples. Estimated without bias from `pairs` pairs of
   random minibatches that share no sample: half the mean squared difference; where two of them do
   not fit, smaller ones, as the variance goes with 1 / batch. With its standard error over pairs
   (NaN for one pair). A single sample has no variance: PRUN_ERR_MISSING. Needs level 2. */
PRUNDEF prun_status prun_gradient_noise(const prun_objective *objective, int64_t batch,
                                        int64_t pairs, uint64_t seed, double *variance,
                                        double *standard_error);

/* First and second moments of the gradients of samples, over all tensors. C is E g g', centred or
   not; both traces are sums over the parameters. */
typedef struct prun_gradient_moments_result {
    int64_t samples, parameters;
    double squared_norm;    /* |E g|^2 */
    double uncentred_trace; /* E |g|^2: trace of the empirical Fisher matrix, by the labels given */
    double centred_trace;   /* E |g - E g|^2 */
    double signal_to_noise; /* mean over parameters of (E g)^2 / (Var g + epsilon) */
} prun_gradient_moments_result;

/* Moments of the gradients of `samples` samples: those in index, or 0, 1, ... if it is NULL. One
   gradient for each, of which none is kept: memory for two doubles a parameter. With epsilon 0
   parameters whose gradient is always 0 do not count. A gradient that is not finite:
   PRUN_ERR_NONFINITE, naming the sample. Needs level 2. */
PRUNDEF prun_status prun_gradient_moments(const prun_objective *objective, const int64_t *index,
                                          int64_t samples, double epsilon,
                                          prun_gradient_moments_result *result);

/* What a measure asks for, beyond the weights. */
enum prun_needs {
    PRUN_NEEDS_LOSS = 1,     /* level 1 */
    PRUN_NEEDS_GRADIENT = 2, /* level 2 */
    PRUN_NEEDS_HESSIAN = 4,  /* level 3 */
    PRUN_NEEDS_LOGITS = 8,   /* level 4 */
    PRUN_NEEDS_INITIAL = 16, /* objective->initial */
    PRUN_NEEDS_HISTORY = 32, /* options->history */
    PRUN_NEEDS_NET = 64,     /* an objective made by prun_net_objective */
    PRUN_NEEDS_LABELS = 128  /* objective->labels, of two classes or more: margins */
};

/* What kind of measure it is. */
enum prun_trait {
    PRUN_TRAIT_MONTE_CARLO = 1, /* random: depends on options->seed, has a standard error */
    PRUN_TRAIT_FOLDABLE = 2,    /* differs on a copy with batch norms folded */
    PRUN_TRAIT_SLOW = 4         /* many passes over the samples, or long iterations */
};

/* One line per measure. `direction`: 1 when larger values are to go with a larger gap, -1 the other
   way, 0 when its source claims nothing. */
typedef struct prun_measure_info {
    const char *name;   /* lower case and underscores */
    const char *source; /* equation or section */
    const char *what;
    int32_t direction;
    uint32_t needs;  /* enum prun_needs */
    uint32_t traits; /* enum prun_trait */
} prun_measure_info;

/* The table of all measures. Their names are stable, their places are those of this version. */
PRUNDEF const prun_measure_info *prun_measures(int64_t *count);
PRUNDEF int64_t prun_measure_find(const char *name); /* place in the table; -1: there is none */

/* Zero-initialise; zero fields take the default in brackets. */
typedef struct prun_measure_options {
    double beta; /* tolerance on the loss, of all searches [0.1]; DBL_MIN for none */
    int32_t include_biases, include_norms; /* 1: they are pruned and perturbed too, and belong to
                                              the norms of the bounds that follow from that */
    int64_t grid;                          /* of kept fractions [100] */
    int64_t repetitions;                   /* of random pruning [5] */
    int64_t draws;                         /* of noise, and random vectors of the trace [10] */
    int64_t restarts;                      /* of sharpness [3; Jiang et al.: 15] */
    double precision;                      /* of radii [0.01] */
    double displacement; /* > 0: PAC-Bayes and sharpness radii tolerate this rise of the error rate
                             instead (Jiang et al.: 0.1) */
    double delta;        /* of bounds [0.05] */
    double sigma;        /* noise of the dropout bound [1] */
    int64_t noise_batch, noise_pairs; /* gradient noise [128, 8] */
    int64_t hessian_samples; /* curvature is that of the mean loss of so many samples, drawn once
                                without replacement [500; no more than there are] */
    int64_t hessian_steps, hessian_probes; /* Lanczos steps of a run, and runs [100, 3] */
    double z;                              /* of effective dimensionality [1] */
    double weight_decay;                   /* of training: another z [0: that measure is missing] */
    int64_t least_eigenvalues; /* spectra of weights leave out layers that have fewer [50] */
    int32_t
        halve_convolutions; /* 1: they count eigenvalues of convolutions half, as WeightWatcher */
    uint64_t seed;
    const prun_epoch *history; /* of training, or NULL */
    int64_t epochs;
    double (*seconds)(void *user); /* a clock [NULL: processor time, with WASI the time of day] */
    /* Called during searches; non-zero stops with PRUN_ERR_CANCELLED. */
    int (*progress)(void *user, int64_t done, int64_t total);
    void *user;
} prun_measure_options;

/* The options as they will be used; NULL: all defaults. */
PRUNDEF prun_measure_options prun_measure_resolved(const prun_measure_options *options);

/* If status is PRUN_OK, value is valid and may be +infinity (a radius or margin that does not exist
   ranks last); the message then says why, or that a search ended at its cap. Otherwise the value is
   NaN and the message says why. */
typedef struct prun_measure_result {
    double value;
    double standard_error; /* Monte-Carlo measures; NaN elsewhere, or where one draw gives none.
                              Curvature: all errors known, those of quadrature and finite
                              differences too; the message names the largest above 10 % */
    double seconds;        /* what an earlier measure found out already costs nothing */
    prun_status status;
    char message[200];
} prun_measure_result;

/* State shared by the measures of one objective. Losses, logits and margins are computed by
   prun_measurement_create, the rest on first use. */
typedef struct prun_measurement prun_measurement;

/* Checks options, weights and losses and computes what is shared. A weight that is not finite:
   PRUN_ERR_NONFINITE, naming it; losses that are not make the measures undefined that need them.
   options NULL: defaults. What the objective points to must outlive the measurement. */
PRUNDEF prun_status prun_measurement_create(const prun_objective *objective,
                                            const prun_measure_options *options,
                                            prun_measurement **measurement);
PRUNDEF void prun_measurement_free(prun_measurement *measurement); /* NULL is fine */
/* Mean loss and error rate over the samples; NaN without level 1. */
PRUNDEF double prun_measurement_loss(const prun_measurement *measurement);
PRUNDEF double prun_measurement_error_rate(const prun_measurement *measurement);
/* Per sample: losses (NULL without level 1), logits (samples x classes; NULL without level 4) and
   output margins (NULL without logits or labels). Valid until the measurement is freed. */
PRUNDEF const double *prun_measurement_losses(const prun_measurement *measurement);
PRUNDEF const float *prun_measurement_logits(const prun_measurement *measurement);
PRUNDEF const double *prun_measurement_margins(const prun_measurement *measurement);

/* One measure by its name; PRUN_ERR_MISSING: there is none. Returns result->status, which a
   callback's error becomes. */
PRUNDEF prun_status prun_measure(prun_measurement *measurement, const char *name,
                                 prun_measure_result *result);
/* All of them, or those with a non-zero byte in `wanted` (one per measure; the others stay as they
   are). A measure that is undefined or lacks something (PRUN_ERR_UNSUPPORTED, _MISSING, _NONFINITE,
   _OVERFLOW, _CONVERGENCE) says so in its result and does not affect the others. Any other status,
   of a callback or for lack of memory, ends the work and is returned. */
PRUNDEF prun_status prun_measure_all(const prun_objective *objective, const uint8_t *wanted,
                                     const prun_measure_options *options,
                                     prun_measure_result *results);

/* [STATS] evaluation statistics and tables of models */
/*
   Models are rows: measures, targets and hyperparameters are arrays of n doubles. What is undefined
   is NaN, and the result's `reason` says why. Functions are thread safe for different contexts;
   those that say so use the context's threads, with the same bits for any number.

   Infinite values are values: they rank first or last, and equal ones tie. Every statistic that
   depends on order alone takes them: Kendall's tau, granulated and partial, conditional
   information, the measure of a sign error, and what resampling makes of these; so do axes, seeds,
   clusters and controls. R2 and regressions of infinite values are undefined, with a reason. The
   target of a sign error must be finite, and so must seed means (infinities of both signs have
   none): otherwise PRUN_ERR_NONFINITE. NaN is PRUN_ERR_NONFINITE everywhere. The message of either
   names the variable and the index.
*/
#ifndef PRUNABILITY_NO_STATS

/* Kendall rank correlation of n pairs, n >= 2; Knight's algorithm, O(n log n). */
typedef struct prun_kendall {
    int64_t n;
    double tau_a;    /* (C - D) / (n (n-1) / 2): the paper's */
    double tau_b;    /* tie-corrected; NaN when one variable is constant (undefined) */
    double tau_c;    /* Stuart's, for tables that are not square; NaN as tau_b */
    double p;        /* two-sided, SciPy's rule for exact or normal; NaN where tau_b is undefined */
    double p_normal; /* the normal approximation in any case */
    double standard_error; /* of tau_a under independence: sqrt(2 (2n+5) / (9 n (n-1))) */
    int32_t p_is_exact;    /* 1: not from the normal approximation */
    const char *reason;    /* why tau_b, tau_c and p are undefined, or NULL */
} prun_kendall;

/* NaN in either variable is PRUN_ERR_NONFINITE. */
PRUNDEF prun_status prun_kendall_tau(prun_context *context, const double *x, const double *y,
                                     int64_t n, prun_kendall *result);

/* How granulated tau treats models that differ only in the seed. */
typedef enum prun_seeds {
    PRUN_SEEDS_FIXED = 0,   /* compared within equal seed */
    PRUN_SEEDS_POOLED = 1,  /* all in one group: pairs of equal setting count too */
    PRUN_SEEDS_AVERAGED = 2 /* replaced by their mean before anything else, in every statistic */
} prun_seeds;

#define PRUN_MAX_AXES 16

/* The hyperparameters of n models: what was varied. Settings are equal when their numbers are. */
typedef struct prun_axes {
    int64_t n, count;            /* models; axes, at most PRUN_MAX_AXES */
    const double *const *values; /* count arrays of n */
    const double *seed;          /* n, or NULL */
    prun_seeds seeds;
} prun_axes;

/* Granulated Kendall (Jiang et al. 2020): psi of an axis is the mean tau_a over the groups of
   models that differ in that axis alone; Psi is the mean of the psi. Missing cells: a group counts
   when it has two settings of the axis. Standard errors are those under independence,
   sqrt(sum of the groups' variances) / groups, and not what the paper's table prints. */
typedef struct prun_granulated {
    double psi[PRUN_MAX_AXES], psi_standard_error[PRUN_MAX_AXES];
    int64_t groups[PRUN_MAX_AXES];
    const char *reason[PRUN_MAX_AXES]; /* why that psi is undefined, or NULL */
    double mean, mean_standard_error;  /* Psi over the axes with a psi; NaN: none has one */
    int64_t axis_count;                /* how many those are */
} prun_granulated;

/* Of measure x and target y. */
PRUNDEF prun_status prun_granulated_kendall(prun_context *context, const prun_axes *axes,
                                            const double *x, const double *y,
                                            prun_granulated *result);
/* Means of `values` over models equal in every axis, sorted by the axes. means: room for n, of
   which *count are set; NULL: count only. */
PRUNDEF prun_status prun_seed_means(prun_context *context, const prun_axes *axes,
                                    const double *values, double *means, int64_t *count);

/* Treatment of pairs that tie in x or y; the paper's V takes only the values -1 and 1. */
typedef enum prun_ties {
    PRUN_TIES_DROP = 0,   /* left out, and the cells weighted by what is left */
    PRUN_TIES_STRICT = 1, /* count as -1 */
    PRUN_TIES_HALF = 2    /* half as 1, half as -1 */
} prun_ties;

#define PRUN_MAX_SUBSETS (1 + PRUN_MAX_AXES + PRUN_MAX_AXES * (PRUN_MAX_AXES - 1) / 2)

/* Information between the signs of differences in x and in y, given both models' settings of a set
   of axes (A.1.3), over ordered pairs of different models; in bits, plug-in estimates, which are
   too high where `pairs` is not much larger than `cells`. */
typedef struct prun_information {
    int32_t axis[2];                          /* -1: none */
    int64_t cells;                            /* pairs of settings that occur */
    double pairs;                             /* ordered pairs that count */
    double information, entropy_x, entropy_y; /* I, H(V_x | U), H(V_y | U) */
    double value;     /* I / entropy_y, in 0 .. 1; NaN where that entropy is 0 */
    double symmetric; /* I / min(entropy_x, entropy_y) */
} prun_information;

typedef struct prun_cmi {
    double k, symmetric;  /* minima over the subsets where they are defined; blind to tau's sign */
    int64_t best;         /* subset of k, -1: undefined */
    int64_t subset_count; /* the empty one, then single axes, then pairs */
    prun_information subset[PRUN_MAX_SUBSETS];
    const char *reason;
} prun_cmi;

/* Conditional mutual information K between a measure and a target, or two measures (x is judged by
   the entropy of y); seeds are no axis. O(n^2 subsets), with threads. */
PRUNDEF prun_status prun_conditional_information(prun_context *context, const prun_axes *axes,
                                                 const double *x, const double *y, prun_ties ties,
                                                 prun_cmi *result);

/* Zero-initialise; zero fields take the default in brackets. */
typedef struct prun_regression_options {
    int64_t folds;      /* of cross-validation, at most n [10] */
    int32_t contiguous; /* 1: folds are runs of rows, as scikit-learn's KFold without shuffling */
    uint64_t seed;      /* of the shuffle */
} prun_regression_options;

/* The options as they will be used; NULL: all defaults. */
PRUNDEF prun_regression_options prun_regression_resolved(const prun_regression_options *options);

/* n models: `variables` arrays of n values, and the target. */
typedef struct prun_regression_data {
    const double *const *x;
    int64_t variables;
    const double *y;
    int64_t n;
} prun_regression_data;

/* Where prun_regression_fit writes arrays; NULL: not wanted. */
typedef struct prun_regression_outputs {
    double *coefficients; /* one per variable */
    double *standardized; /* the same in units of standard deviations */
    double *fitted;       /* n: predictions */
    double *crossfitted;  /* n: for each model the prediction of a fit without its fold */
} prun_regression_outputs;

typedef struct prun_regression {
    int64_t n, variables, rank, folds; /* rank: variables left without the dependent ones */
    double intercept, r2;
    double adjusted_r2;    /* 1 - (1 - r2)(n - 1) / (n - rank - 1) */
    double cv_r2;          /* cross-fitted predictions against the mean of all */
    double cv_r2_training; /* ... against the means of the training folds */
    double cv_r2_folds;    /* mean of the folds' R2; NaN when one has no variance */
    int64_t best;          /* variable of the largest |standardized|, -1: none */
    const char *reason;    /* why R2 or adjusted R2 are undefined, or NULL */
    int64_t infinite;      /* variable of infinite values, which undo the fit; -1: none */
} prun_regression;

/* Least squares with an intercept by pivoted QR; dependent and constant variables get coefficient
   0. n >= 2. options NULL: defaults; outputs NULL: no arrays. */
PRUNDEF prun_status prun_regression_fit(prun_context *context, const prun_regression_data *data,
                                        const prun_regression_options *options,
                                        prun_regression *result,
                                        const prun_regression_outputs *outputs);

/* Weight of a pair of runs (Dziugaite et al. 2020): max(0, w - 1/2), where w is what Hoeffding's
   bound leaves of the certainty that errors measured on `test_samples` samples really differ. A
   difference of NaN gives NaN. */
PRUNDEF double prun_sign_error_weight(double difference, double test_samples);
/* The runs of one setting: n values of the measure and of the target. */
typedef struct prun_runs {
    const double *measure, *target;
    int64_t n;
} prun_runs;
/* Sign error of one environment: all pairs of a run of one setting and of another. weight,
   effective_size: sum of the weights and effective sample size; NULL: not wanted. NaN without
   weight. */
PRUNDEF double prun_sign_error_pair(const prun_runs *first, const prun_runs *second,
                                    double test_samples, double *weight, double *effective_size);

/* Zero-initialise; zero fields take the default in brackets. */
typedef struct prun_sign_error_options {
    double test_samples;   /* what the error rates in y were measured on [10000] */
    double effective_size; /* smallest of an environment that counts [12]; DBL_MIN for any */
} prun_sign_error_options;

/* The options as they will be used; NULL: all defaults. */
PRUNDEF prun_sign_error_options prun_sign_error_resolved(const prun_sign_error_options *options);

typedef struct prun_sign_error_summary {
    double mean, p90, max;         /* max: the robust sign error; NaN without environments */
    int64_t environments, dropped; /* unordered pairs of settings; dropped for their size */
} prun_sign_error_summary;

/* Over all environments, and over those of each axis. */
typedef struct prun_sign_error {
    prun_sign_error_summary all, axis[PRUN_MAX_AXES];
} prun_sign_error;

/* Robust sign error (Dziugaite et al. 2020): an environment is two settings that differ in one
   axis, with all their runs; lower is better, 1/2 is chance. y: an error rate or gap in 0 .. 1.
   options NULL: defaults. */
PRUNDEF prun_status prun_robust_sign_error(prun_context *context, const prun_axes *axes,
                                           const double *x, const double *y,
                                           const prun_sign_error_options *options,
                                           prun_sign_error *result);

typedef enum prun_statistic {
    PRUN_STATISTIC_TAU_A = 0,
    PRUN_STATISTIC_TAU_B = 1,
    PRUN_STATISTIC_PARTIAL_TAU = 2, /* tau_b of measure and target given `control` */
    PRUN_STATISTIC_R2 = 3,
    PRUN_STATISTIC_ADJUSTED_R2 = 4,
    PRUN_STATISTIC_PSI = 5, /* of `axis` */
    PRUN_STATISTIC_PSI_MEAN = 6,
    PRUN_STATISTIC_CMI = 7,
    PRUN_STATISTIC_SIGN_ERROR_MEAN = 8,
    PRUN_STATISTIC_SIGN_ERROR_P90 = 9,
    PRUN_STATISTIC_SIGN_ERROR_MAX = 10,
    PRUN_STATISTIC_CUSTOM = 11 /* `custom` */
} prun_statistic;

/* What resampling draws from. Pointers that the statistic does not need may be NULL. */
typedef struct prun_sample {
    int64_t n;
    const double *measure, *target;
    const double *control; /* a size to hold fixed: parameter count, width */
    const prun_axes *axes;
    const double *cluster; /* models of equal value are drawn together: runs of one configuration */
} prun_sample;

/* Zero-initialise; zero fields take the default in brackets. */
typedef struct prun_resampling_options {
    prun_statistic statistic;
    int32_t axis;      /* of PRUN_STATISTIC_PSI */
    int64_t resamples; /* [10000] */
    double level;      /* of the interval [0.95] */
    uint64_t seed;
    prun_ties ties;
    prun_sign_error_options sign_error;
    /* The statistic of the given rows, which repeat in a bootstrap and are an order of the target's
       rows in a permutation test. NaN: undefined. Called by several threads at once. */
    double (*custom)(void *user, const int64_t *rows, int64_t n);
    void *user;
} prun_resampling_options;

/* The options as they will be used; NULL: all defaults. */
PRUNDEF prun_resampling_options prun_resampling_resolved(const prun_resampling_options *options);

typedef struct prun_interval {
    double estimate, lower, upper; /* percentile interval */
    double standard_error, bias;   /* of the resamples: deviation; mean - estimate */
    double positive;               /* share of the resamples above 0, ties by half */
    double p;                      /* two-sided, for 0, from the resamples */
    int64_t used, undefined;       /* resamples where the statistic is and is not defined */
    const char *reason;            /* why there is no interval, or NULL */
} prun_interval;

/* One statistic of a sample by name, as the functions above give it. */
PRUNDEF prun_status prun_statistic_value(prun_context *context, const prun_sample *sample,
                                         const prun_resampling_options *options, double *value);
/* Bootstrap, with clusters where the sample has them. Two resampled copies of one model do not form
   a pair, and count as different seeds where groups are formed, so that they do not pull tau to 0.
   With threads. */
PRUNDEF prun_status prun_bootstrap(prun_context *context, const prun_sample *sample,
                                   const prun_resampling_options *options, prun_interval *result);
/* Tests whether the measure beats another one: bootstrap of the difference of their statistics over
   the same draws. `positive` is the confidence that the measure's is larger. */
PRUNDEF prun_status prun_compare(prun_context *context, const prun_sample *sample,
                                 const double *other, const prun_resampling_options *options,
                                 prun_interval *result);
/* p of independence: share of the permutations of the target that reach the statistic (with it
   itself among them), two-sided for taus, from above for R2 and CMI, from below for sign errors.
   Clusters move as a whole, among those of their size. With threads. */
PRUNDEF prun_status prun_permutation_test(prun_context *context, const prun_sample *sample,
                                          const prun_resampling_options *options, double *p);
/* Holm's correction: adjusted p-values of n tests; NaN stays NaN and does not count. The arrays
   differ. */
PRUNDEF void prun_holm(const double *p, int64_t n, double *adjusted);
/* tau_b of x and y given z: (t_xy - t_xz t_yz) / sqrt((1 - t_xz^2)(1 - t_yz^2)); NaN where one of
   them is constant or z decides x or y. */
PRUNDEF prun_status prun_partial_kendall(prun_context *context, const double *x, const double *y,
                                         const double *z, int64_t n, double *tau);

/* A table of models: rows are models, columns have names. Fill it by hand (storage all NULL) or
   with prun_table_load_csv. Columns are contiguous, so each is a plain array. */
typedef struct prun_table {
    int64_t rows, columns;
    const char *const *names;
    double *values;      /* column after column; NaN: missing. A column of text holds the number of
                          the first row with the same text */
    const uint8_t *text; /* per column, enum prun_column; NULL: all are numbers */
    const char **cells;  /* as in the file, row after row, or NULL */
    int64_t *lines;      /* of the file, where each row begins, or NULL */
    const char *source;  /* for messages, or NULL */
    void *storage[3];
    prun_context *context;
} prun_table;

typedef enum prun_column {
    PRUN_COLUMN_NUMBERS = 0,
    PRUN_COLUMN_TEXT = 1, /* not one number in it */
    PRUN_COLUMN_MIXED = 2 /* text among numbers: as text, but likely a mistake */
} prun_column;

/* Releases what a reader allocated and clears the struct; NULL is fine. */
PRUNDEF void prun_table_free(prun_table *table);
/* Index of a column, the first of that name; -1: there is none. */
PRUNDEF int64_t prun_table_find(const prun_table *table, const char *name);
/* The array of a column of numbers without gaps, some of which may be infinite; otherwise a failure
   whose message names line and column: PRUN_ERR_MISSING (missing value; no such column: those that
   there are), PRUN_ERR_FORMAT (text). */
PRUNDEF prun_status prun_table_numbers(prun_context *context, const prun_table *table,
                                       const char *name, const double **values);
/* The same for a hyperparameter, which may be text. */
PRUNDEF prun_status prun_table_settings(prun_context *context, const prun_table *table,
                                        const char *name, const double **values);
/* Removes the rows whose flag in keep (one per row) is 0; cells and lines follow, the numbers of
   texts stay as they were: equal where the texts are. A mixed column that was read from a file and
   has lost its texts becomes one of numbers. */
PRUNDEF void prun_table_keep_rows(prun_table *table, const uint8_t *keep);
#endif

/* [FILES] data sets, checkpoints, tables */
#ifndef PRUNABILITY_NO_FILES

/* A file that is written whole or not at all: into a temporary file beside the target, which is
   synced and renamed over the target when it is closed. Until then, and after any failure, the old
   file is there unchanged.
   - The temporary file is called ".NAME.PID-RANDOM.tmp" and created exclusively. Every function
     below removes it on failure; only a program that is killed leaves it behind.
   - Symbolic links are followed once, when the file is opened: what the link leads to is replaced,
     and created if it does not exist. A link in a sticky folder that everyone may write to has to
     belong to the user or to the owner of the folder.
   - The mode of a file that is replaced is kept, its owner and group where that is allowed (set-id
     bits and rights of the group only with them). Access lists are not kept. Other hard links to
     the old file keep the old contents. A new file gets the mode that fopen gives.
   - A pipe, a device or a socket is written in place, and so is what /proc or /dev/fd name. It is
     an error if the target is a folder or may not be written, or if no file can be created in the
     target's folder.
   Several processes and threads may write one path at once: a reader finds one of the files whole.
   On Windows links are replaced themselves, and nothing of the old file is kept; while another
   program has it open, it cannot be replaced, which is an error after a second. On systems other
   than Unix and Windows the old file is moved aside for the moment of the rename if the system
   requires it. */
typedef struct prun_output prun_output;
/* path: copied. The context must outlive the output. Opening a pipe waits for its reader. */
PRUNDEF prun_status prun_output_open(prun_context *context, const char *path, prun_output **output);
/* The stream to write to. Errors may be left to prun_output_close, which finds them; the stream is
   closed there, not by the caller. */
PRUNDEF FILE *prun_output_stream(prun_output *output);
/* Name of the temporary file, for programs that remove it when they are interrupted; valid until
   the output is closed. NULL: the file is written in place. */
PRUNDEF const char *prun_output_temporary(const prun_output *output);
/* Flushes, syncs, renames, and frees the output, also on failure. */
PRUNDEF prun_status prun_output_close(prun_output *output);
/* Gives up: removes the temporary file and frees the output. NULL is fine. What was written in
   place stays written. */
PRUNDEF void prun_output_discard(prun_output *output);

/* IDX files of the MNIST family: images (magic 2051) and labels (magic 2049). */
typedef struct prun_idx_options {
    int64_t classes;  /* [10] */
    int64_t channels; /* copies of the grey channel, 1 .. 16 [1] */
    int64_t pad_to;   /* zero-pad height and width to this, centred; 0: as stored */
} prun_idx_options;
PRUNDEF prun_idx_options prun_idx_resolved(const prun_idx_options *options);
/* options NULL: defaults. The set is owned by the caller: prun_images_free. Bytes, no
   normalization yet. The context must outlive it. */
PRUNDEF prun_status prun_images_load_idx(prun_context *context, const char *image_path,
                                         const char *label_path, const prun_idx_options *options,
                                         prun_images *images);
/* CIFAR-10 (classes 10) or CIFAR-100 (classes 100: fine labels; 20: coarse) binary files, joined in
   the given order. */
PRUNDEF prun_status prun_images_load_cifar(prun_context *context, const char *const *paths,
                                           int64_t count, int64_t classes, prun_images *images);

/* Element types of files, named as in safetensors. */
typedef enum prun_dtype {
    PRUN_DTYPE_F32 = 0,
    PRUN_DTYPE_I64 = 1,
    PRUN_DTYPE_OTHER = 2, /* listed, but cannot be read: floats below 16 bits, complex, unknown */
    PRUN_DTYPE_F64 = 3,
    PRUN_DTYPE_F16 = 4,
    PRUN_DTYPE_BF16 = 5,
    PRUN_DTYPE_I32 = 6,
    PRUN_DTYPE_I16 = 7,
    PRUN_DTYPE_I8 = 8,
    PRUN_DTYPE_U64 = 9,
    PRUN_DTYPE_U32 = 10,
    PRUN_DTYPE_U16 = 11,
    PRUN_DTYPE_U8 = 12,
    PRUN_DTYPE_BOOL = 13
} prun_dtype;
#define PRUN_MAX_FILE_RANK 8

/* safetensors files. The header is read and checked when the file is opened, tensors are read when
   asked for: a file may be larger than memory. A failure names the tensor. */
typedef struct prun_safetensors prun_safetensors;
typedef struct prun_safetensors_entry {
    const char *name; /* valid UTF-8 */
    prun_dtype dtype;
    int32_t rank;
    int64_t shape[PRUN_MAX_FILE_RANK];
    int64_t count; /* elements */
} prun_safetensors_entry;

/* Reads and checks the header. Close the file when its tensors are read. */
PRUNDEF prun_status prun_safetensors_open(prun_context *context, const char *path,
                                          prun_safetensors **file);
PRUNDEF void prun_safetensors_close(prun_safetensors *file); /* NULL is fine */
/* Entries ordered by their place in the file. */
PRUNDEF int64_t prun_safetensors_entry_count(const prun_safetensors *file);
PRUNDEF const prun_safetensors_entry *prun_safetensors_at(const prun_safetensors *file, int64_t i);
PRUNDEF const prun_safetensors_entry *prun_safetensors_find(const prun_safetensors *file,
                                                            const char *name); /* or NULL */
/* Value of a metadata key, or NULL. */
PRUNDEF const char *prun_safetensors_metadata(const prun_safetensors *file, const char *key);
/* Reads a tensor's elements; `entry` is one of the file's. f32 takes F16, BF16, F32 and F64, which
   is rounded (to infinity beyond float); i64 takes integers and BOOL, of U64 those below 2^63.
   Where the metadata have a key "crc32." + name, its value, zlib's CRC-32 of the tensor's bytes as
   8 hex digits, has to agree (else PRUN_ERR_FORMAT, with `out` written). "crc32.__metadata__" is
   that of the other metadata in any order, and checked when the file is opened. */
PRUNDEF prun_status prun_safetensors_read_f32(prun_safetensors *file,
                                              const prun_safetensors_entry *entry, float *out);
PRUNDEF prun_status prun_safetensors_read_i64(prun_safetensors *file,
                                              const prun_safetensors_entry *entry, int64_t *out);
/* Writes F32 tensors that do not share memory, as a prun_output. metadata: pairs of strings,
   pairs * 2 pointers, may be NULL. */
PRUNDEF prun_status prun_tensors_save_safetensors(prun_context *context, const prun_tensor *tensors,
                                                  int64_t count, const char *const *metadata,
                                                  int64_t pairs, const char *path);
#ifndef PRUNABILITY_NO_NET
/* A net's tensors, names and layouts as PyTorch's; saved with CRCs. Load (and read, from an open
   file) requires every tensor of the net with its shape, of a float type and with finite values,
   each name preceded by `prefix` (NULL: ""), and leaves the net unchanged on failure. A tensor that
   belongs by its name to a layer of the net, but has no place there, is an error: a bias that the
   layer lacks, the weight_orig and weight_mask of torch.nn.utils.prune, the parts of a weight norm.
   (The layer is the one with the longest name that the tensor's name begins with.) PyTorch's
   num_batches_tracked and what belongs to no layer of the net, such as another head, may be there.

   A network of PyTorch's is built with its module paths as layer names: what PyTorch stores as
   "features.0.weight" or "layer1.0.conv1.weight" belongs to the layer named "features.0" or
   "layer1.0.conv1"; what a wrapper puts before all names ("module.", "net.") is the prefix.
       nn.Conv2d(i, o, k, s, p)          prun_layer_conv2d(net, v, name, o, k, s, p)
       nn.Conv2d(..., bias=False)        prun_layer_conv2d_with, omit_bias = 1
       nn.BatchNorm2d(c, eps, momentum)  prun_layer_batch_norm(net, v, name, eps, momentum)
       nn.Linear(i, o, bias=b)           prun_layer_linear(net, v, name, o, b): flattens C, H, W
       nn.MaxPool2d, nn.AvgPool2d        prun_layer_max_pool, prun_layer_avg_pool(net, v, k, s, p)
       nn.AdaptiveAvgPool2d(1)           prun_layer_global_avg_pool(net, v)
       nn.ReLU, nn.Dropout(p), x + y     prun_layer_relu, _dropout, _add */
PRUNDEF prun_status prun_net_save_safetensors(const prun_net *net, const char *path);
PRUNDEF prun_status prun_net_load_safetensors(prun_net *net, const char *path, const char *prefix);
PRUNDEF prun_status prun_net_read_safetensors(prun_net *net, prun_safetensors *file,
                                              const char *prefix);
#ifndef PRUNABILITY_NO_TRAIN
/* A net in training: its tensors as above (prun_net_load_safetensors takes the file too), the
   momentum as "momentum." + name, CRCs of all, and the position of the training: epochs and steps
   taken, which also place its random numbers. Training resumes from there with the same bits, if
   the trainer that loads it was made with the same options and images; another seed, batch size or
   number of images is an error. Failure leaves net and trainer unchanged. Inside an epoch of
   prun_trainer_run_epoch there is nothing to save; when you drive training with prun_trainer_step,
   you must remember which samples come next. */
PRUNDEF prun_status prun_trainer_save_safetensors(const prun_trainer *trainer, const char *path);
PRUNDEF prun_status prun_trainer_load_safetensors(prun_trainer *trainer, const char *path);
PRUNDEF prun_status prun_trainer_read_safetensors(prun_trainer *trainer, prun_safetensors *file);
#endif
/* Reads width, depth, classes and channels of a family off the shapes of a checkpoint; that they
   make a net is checked when it is built. Image size and dropout are left at 0. */
PRUNDEF prun_status prun_arch_read_safetensors(const prun_safetensors *file, prun_family family,
                                               const char *prefix, prun_arch *arch);
#endif

/* Arrays of NumPy (.npy): format versions 1 to 3, C or Fortran order, either byte order. */
typedef struct prun_array {
    prun_dtype dtype; /* in the file */
    int32_t rank;
    int64_t shape[PRUN_MAX_FILE_RANK];
    int64_t count;         /* elements; in C order here, and one of the three pointers set: */
    float *values;         /* float16, float32, float64 (rounded; beyond float: infinity) */
    int64_t *integers;     /* integers; of uint64 those below 2^63 */
    uint8_t *bytes;        /* uint8, bool */
    prun_context *context; /* who allocated them */
} prun_array;
PRUNDEF prun_status prun_array_load_npy(prun_context *context, const char *path, prun_array *array);
PRUNDEF void prun_array_free(prun_array *array); /* and clears the struct; NULL is fine */

/* A data set of two arrays: images (N,C,H,W), (N,H,W,C) or (N,H,W) of uint8 or floats, and N labels
   of any integer type. Float pixels are taken as they are, bytes as byte / 255. */
typedef enum prun_layout {
    PRUN_LAYOUT_AUTO = 0, /* N,H,W,C if the last axis is at most 4 and the second is not */
    PRUN_LAYOUT_NCHW = 1,
    PRUN_LAYOUT_NHWC = 2
} prun_layout;
typedef struct prun_npy_options {
    int64_t classes; /* [the largest label + 1] */
    prun_layout layout;
} prun_npy_options;
/* A number of classes that is not given stays 0: the labels tell. */
PRUNDEF prun_npy_options prun_npy_resolved(const prun_npy_options *options);
/* options NULL: defaults. The set is owned by the caller, as with prun_images_load_idx. */
PRUNDEF prun_status prun_images_load_npy(prun_context *context, const char *image_path,
                                         const char *label_path, const prun_npy_options *options,
                                         prun_images *images);

#ifndef PRUNABILITY_NO_STATS
/* CSV tables with a header line: fields quoted or not, LF or CRLF, byte-order mark, blank lines;
   separators , ; or tab, whichever the header has first, or what a first line such as "sep=;"
   says. Decimals have a point. Names of columns are unique, but for empty ones.
   Missing values, in capitals or not: empty cells; NA, N/A, #N/A, "#N/A N/A", #NA, <NA>, null, a
   point, a question mark; NaN with or without sign and with what C libraries put behind it, as
   -nan(ind) and 1.#QNAN; the errors of spreadsheets: #DIV/0!, #NUM!, #VALUE!, #REF!, #NAME?,
   #NULL!; and None, but not none, which is a setting. Infinite values: inf, infinity, 1.#INF.
   Failures name line and column. A pipe is read to its end, as <(zcat table.csv.gz) of a shell.
   Free with prun_table_free; the context must outlive it. */
PRUNDEF prun_status prun_table_load_csv(prun_context *context, const char *path, prun_table *table);
#endif
#endif

/* [BINDINGS] the layout of the public structs, for other languages */

/* A field of a public struct: where it lies in this build, and its C type as declared. */
typedef struct prun_field {
    const char *structure, *name, *type;
    int64_t offset, size; /* bytes */
} prun_field;
/* All fields of all public structs, in the order of this file. A binding that compares them with
   its own layout, once when it is loaded, cannot misread memory. */
PRUNDEF const prun_field *prun_fields(int64_t *count);
/* Bytes of a public struct of this name; -1: there is none. */
PRUNDEF int64_t prun_struct_size(const char *structure);

#ifdef __cplusplus
}
#endif
#endif /* PRUNABILITY_H_INCLUDED */

/* Stop here if you only need the API. */

#ifdef PRUNABILITY_IMPLEMENTATION
#ifndef PRUNABILITY_IMPLEMENTATION_INCLUDED
#define PRUNABILITY_IMPLEMENTATION_INCLUDED

/* [CORE.I] status, memory, threads, numbers, sorting */
/*
   What every other section uses. Memory comes from the context; work is dealt out to threads by its
   number alone, so results do not depend on how many there are.
*/

/* MSVC calls functions of the standard library deprecated, which projects make an error. */
#if defined(_MSC_VER)
#pragma warning(push)
#pragma warning(disable : 4996)
#endif

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(PRUNABILITY_MALLOC) != defined(PRUNABILITY_FREE)
#error "define both PRUNABILITY_MALLOC and PRUNABILITY_FREE, or neither"
#endif
#ifndef PRUNABILITY_MALLOC
#define PRUNABILITY_MALLOC(size) malloc(size)
#define PRUNABILITY_FREE(pointer) free(pointer)
#endif

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(_M_FP_FAST)
#error "prunability.h relies on IEEE arithmetic: compile it without -ffast-math, " \
       "-ffinite-math-only, -fassociative-math, -freciprocal-math, " \
       "-funsafe-math-optimizations, /fp:fast"
#endif

#if defined(_OPENMP) && !defined(PRUNABILITY_NO_OPENMP)
#define PRUN__OPENMP 1
#include <omp.h>
#if defined(__unix__) || defined(__APPLE__)
#define PRUN__FORKS 1
#include <unistd.h>
#endif
#else
#define PRUN__OPENMP 0
#endif

/* tcc claims to be GNU C without its vectors and attributes; Clang in the place of MSVC has them
   and does not say so. */
#if (defined(__GNUC__) || defined(__clang__)) && !defined(__TINYC__)
#define PRUN__GNU 1
#else
#define PRUN__GNU 0
#endif

/* Asks for the line so many floats behind p, which need not be memory of ours, into the
   second-level cache: the first is busy. */
#if PRUN__GNU
#define PRUN__PREFETCH(p, floats) \
    __builtin_prefetch((const void *)((uintptr_t)(p) + 4 * (uintptr_t)(floats)), 0, 2)
#else
#define PRUN__PREFETCH(p, floats) ((void)0)
#endif

/* Before a loop of at most sixteen rounds that must be written out. */
#if defined(__clang__)
#define PRUN__UNROLL _Pragma("clang loop unroll(full)")
#define PRUN__ROLL _Pragma("clang loop unroll(disable)")
#elif PRUN__GNU && __GNUC__ >= 8
#define PRUN__UNROLL _Pragma("GCC unroll 16")
#define PRUN__ROLL _Pragma("GCC unroll 1")
#else
#define PRUN__UNROLL
#define PRUN__ROLL
#endif

/* GCC for Windows keeps vectors of 32 bytes on stacks of 16, where they crash (GCC bug 54412). */
#if PRUN__GNU && (defined(__x86_64__) || defined(__i386__)) && !defined(PRUNABILITY_NO_SIMD) && \
    (defined(__clang__) || !(defined(_WIN32) || defined(__CYGWIN__)))
#define PRUN__X86 1
#include <cpuid.h>
#include <immintrin.h>
#if defined(_MSC_VER)
/* Where Clang stands in for MSVC, <immintrin.h> leaves out what the command line does not name. */
#include <smmintrin.h>
#include <avxintrin.h>
#include <avx2intrin.h>
#include <avx512fintrin.h>
#include <fmaintrin.h>
#endif
#else
#define PRUN__X86 0
#endif

#if PRUN__GNU && defined(__AARCH64EL__) && defined(__ARM_NEON) && !defined(PRUNABILITY_NO_SIMD)
#define PRUN__NEON 1
#include <arm_neon.h>
#else
#define PRUN__NEON 0
#endif

/* Products are rounded before they are added, or results would depend on the compiler's flags: GCC
   fuses both wherever the target can, unless -std=c99 or the like is given, and Clang those of one
   expression. So neither may from here to the end of the implementation, but for the kernels of
   tiers that fuse by name. GCC 12 vectorizes a sum beside a difference of products into one fused
   instruction all the same (x86 FMA), so it must not look for such pairs. Clang disregards the
   pragma under -ffp-contract=fast. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif PRUN__GNU
#pragma GCC push_options
#if defined(__FMA__) || defined(__FMA4__) || defined(__ARM_FEATURE_COMPLEX)
#pragma GCC optimize("fp-contract=off", "no-tree-slp-vectorize")
#else
#pragma GCC optimize("fp-contract=off")
#endif
#endif

/* Marks functions that no caller is left for when certain parts are left out. */
#if PRUN__GNU
#define PRUN__SHARED __attribute__((__unused__))
#else
#define PRUN__SHARED
#endif

#if PRUN__GNU
#define PRUN__RESTRICT __restrict__
#define PRUN__PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define PRUN__RESTRICT
#define PRUN__PRINTF(text, first)
#endif

#define PRUN__TRY(call) \
    do { \
        prun_status prun__s = (call); \
        if (prun__s != PRUN_OK) return prun__s; \
    } while (0)
#define PRUN__MIN(a, b) ((a) < (b) ? (a) : (b))
#define PRUN__MAX(a, b) ((a) > (b) ? (a) : (b))
#define PRUN__NAN ((double)NAN)

PRUNDEF const char *prun_version(void) { return PRUNABILITY_VERSION; }

PRUNDEF const char *prun_status_string(prun_status status) {
    switch (status) {
        case PRUN_OK: return "ok";
        case PRUN_ERR_ARGUMENT: return "invalid argument";
        case PRUN_ERR_MEMORY: return "out of memory";
        case PRUN_ERR_SHAPE: return "shape is empty or does not fit";
        case PRUN_ERR_OVERFLOW: return "size too large";
        case PRUN_ERR_OPEN: return "file cannot be opened";
        case PRUN_ERR_READ: return "file cannot be read";
        case PRUN_ERR_WRITE: return "file cannot be written";
        case PRUN_ERR_MAGIC: return "file is of another kind";
        case PRUN_ERR_TRUNCATED: return "file is shorter than its header says";
        case PRUN_ERR_OVERSIZED: return "file is longer than its header says";
        case PRUN_ERR_LABEL: return "label out of range";
        case PRUN_ERR_FORMAT: return "file contents are malformed";
        case PRUN_ERR_MISSING: return "named item not found";
        case PRUN_ERR_UNSUPPORTED: return "not supported";
        case PRUN_ERR_NONFINITE: return "value is not finite";
        case PRUN_ERR_CALLBACK: return "callback failed";
        case PRUN_ERR_CANCELLED: return "cancelled by callback";
        case PRUN_ERR_CONVERGENCE: return "iteration did not converge";
    }
    return "unknown status";
}

PRUNDEF const char *prun_message(const prun_context *context) {
    return context ? context->message : "";
}

/* Bytes of the UTF-8 character at p (shortest form, no surrogate), or 0. */
static int prun__utf8_length(const char *p, const char *end) {
    static const int32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char first = (unsigned char)*p;
    const int n = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    int32_t c = n == 1 ? first : first & (0x7f >> n);
    int i;
    if (first >= 0xf8 || end - p < n) return 0;
    for (i = 1; i < n; i++) {
        if (((unsigned char)p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

/* The character at p as it may be shown on a terminal: control characters, marks that reverse the
   direction of text, and bytes that are not UTF-8 are escaped. Returns its bytes in the text. */
static int prun__character_write_escaped(const char *p, const char *end, char out[8]) {
    static const char known[] = "\n\r\t", letters[] = "nrt";
    const int n = prun__utf8_length(p, end);
    const unsigned first = (unsigned char)*p;
    unsigned c = first;
    if (n == 2) c = (first & 0x1fu) << 6 | ((unsigned char)p[1] & 0x3fu);
    if (n == 3)
        c = (first & 0x0fu) << 12 | ((unsigned char)p[1] & 0x3fu) << 6 |
            ((unsigned char)p[2] & 0x3fu);
    if (c > 0 && c < 0x20 && strchr(known, (int)c)) {
        snprintf(out, 8, "\\%c", letters[strchr(known, (int)c) - known]);
    } else if (n == 0 || c < 0x20 || c == 0x7f) {
        snprintf(out, 8, "\\x%02x", first);
    } else if ((c >= 0x80 && c < 0xa0) || (c >= 0x200e && c <= 0x200f) ||
               (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)) {
        snprintf(out, 8, "\\u%04x", c);
    } else {
        memcpy(out, p, (size_t)n);
        out[n] = 0;
    }
    return PRUN__MAX(n, 1);
}

/* Copies a text as it may be shown, into size >= 32 bytes. Of a text that is too long the middle is
   left out: names come first, and what is to be done about them last. */
static void prun__text_copy_escaped(const char *text, char *out, size_t size) {
    const char *p, *end = strchr(text, 0);
    size_t total = 0, at = 0, left;
    char shown[8];
    int cut = 0;
    for (p = text; p < end; total += strlen(shown))
        p += prun__character_write_escaped(p, end, shown);
    left = total;
    for (p = text; p < end; left -= strlen(shown)) {
        p += prun__character_write_escaped(p, end, shown);
        if (total < size || (!cut && at + strlen(shown) <= size / 4) || at + left < size) {
            memcpy(out + at, shown, strlen(shown));
            at += strlen(shown);
        } else if (!cut) {
            memcpy(out + at, "...", 3);
            at += 3;
            cut = 1;
        }
    }
    out[at] = 0;
}

static prun_status prun__fail(prun_context *context, prun_status status, const char *format, ...)
    PRUN__PRINTF(3, 4);

/* Records the text of a failure and hands the status back. Names that come from files may contain
   anything, and paths may be longer than the message. */
static prun_status prun__fail(prun_context *context, prun_status status, const char *format, ...) {
    va_list arguments;
    char text[5120];
    if (!context) return status;
    context->status = status;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    prun__text_copy_escaped(text, context->message, sizeof context->message);
    return status;
}

/* a * b for sizes >= 0; -1 on overflow or when either already is -1, so that products chain. */
static int64_t prun__size_product(int64_t a, int64_t b) {
    if (a < 0 || b < 0) return -1;
    if (a != 0 && b > INT64_MAX / a) return -1;
    return a * b;
}

/* Blocks are 64-byte aligned with any allocator; the raw pointer sits just before the block. */
static void *prun__alloc(prun_context *context, int64_t count, size_t size, const char *what) {
    const size_t slack = 64 + sizeof(void *);
    void *raw, **block;
    int64_t bytes = prun__size_product(count, (int64_t)size);
    if (bytes < 0 || (uint64_t)bytes > (uint64_t)SIZE_MAX / 2) {
        prun__fail(context, PRUN_ERR_MEMORY, "%s: more bytes than can be addressed", what);
        return NULL;
    }
    raw = context && context->allocate
              ? context->allocate(context->allocator_user, (size_t)bytes + slack)
              : PRUNABILITY_MALLOC((size_t)bytes + slack);
    if (!raw) {
        prun__fail(context, PRUN_ERR_MEMORY, "%s: out of memory for %lld bytes", what,
                   (long long)bytes);
        return NULL;
    }
    block = (void **)(((uintptr_t)raw + slack) & ~(uintptr_t)63);
    block[-1] = raw;
    return block;
}

/* A block as above with all bytes zero, or NULL. */
static void *prun__alloc_zero(prun_context *context, int64_t count, size_t size, const char *what) {
    void *block = prun__alloc(context, count, size, what);
    if (block) memset(block, 0, (size_t)count * size);
    return block;
}

/* Gives a block, which may be NULL, back to the allocator of the context that made it. */
static void prun__free(prun_context *context, void *block) {
    void *raw;
    if (!block) return;
    raw = ((void **)block)[-1];
    if (context && context->allocate) context->release(context->allocator_user, raw);
    else PRUNABILITY_FREE(raw);
}

/* Makes *buffer hold `count` elements, contents lost; keeps it when it is large enough. */
static PRUN__SHARED prun_status prun__buffer_make(prun_context *context, void **buffer,
                                                  int64_t *capacity, int64_t count, size_t size,
                                                  const char *what) {
    if (*buffer && *capacity >= count) return PRUN_OK;
    prun__free(context, *buffer);
    *capacity = 0;
    *buffer = prun__alloc(context, count, size, what);
    if (!*buffer) return PRUN_ERR_MEMORY;
    *capacity = count;
    return PRUN_OK;
}

/* The array with room for one more element: itself, or a copy that is twice as large. */
static PRUN__SHARED void *prun__array_make(prun_context *context, void *old, int64_t count,
                                           int64_t *capacity, size_t size, const char *what) {
    void *bigger;
    if (count < *capacity) return old;
    bigger = prun__alloc(context, *capacity ? 2 * *capacity : 16, size, what);
    if (!bigger) return NULL;
    if (old) memcpy(bigger, old, (size_t)count * size);
    *capacity = *capacity ? 2 * *capacity : 16;
    prun__free(context, old);
    return bigger;
}

/* GNU's OpenMP keeps its threads after a parallel region. A forked child inherits the record of
   them, but not the threads, and its first region would wait for them for ever. So the process that
   first ran a region is remembered, and its children run serially. */
#ifdef PRUN__FORKS
static long prun__team_process; /* 0: no region yet; the library's second writable global */

/* Remembers the process of the first parallel region; later calls change nothing. */
static void prun__team_note(void) {
    if (__atomic_load_n(&prun__team_process, __ATOMIC_RELAXED) == 0)
        __atomic_store_n(&prun__team_process, (long)getpid(), __ATOMIC_RELAXED);
}

/* True in a child of the process that ran the first parallel region. */
static int prun__process_is_forked(void) {
    const long process = __atomic_load_n(&prun__team_process, __ATOMIC_RELAXED);
    return process != 0 && process != (long)getpid();
}
#endif

/* Inside a parallel region of the application the library runs serially, so that a study can train
   one model per core. */
static int64_t prun__threads(const prun_context *context) {
    int64_t threads = context ? context->threads : 0;
    if (context && context->parallel_for) return PRUN__MAX(threads, 1);
#if PRUN__OPENMP
    if (omp_get_level() > 0) return 1; /* also in a region of one thread: ours would be nested */
#ifdef PRUN__FORKS
    if (prun__process_is_forked()) return 1;
#endif
    if (threads < 1) threads = omp_get_max_threads();
    return PRUN__MAX(threads, 1);
#else
    return 1;
#endif
}

typedef void (*prun__task)(void *argument, int64_t item, int64_t worker);

typedef struct prun__loop {
    prun__task task;
    void *argument;
    int64_t items, workers;
} prun__loop;

/* Items are dealt out by number alone, so each is computed the same way for any worker count. */
static void prun__loop_run(void *pointer, int64_t worker) {
    const prun__loop *loop = (const prun__loop *)pointer;
    int64_t item;
    for (item = worker; item < loop->items; item += loop->workers)
        loop->task(loop->argument, item, worker);
}

/* task(argument, item, worker) for all items; worker < prun__threads() owns scratch memory. */
static void prun__for(const prun_context *context, prun__task task, void *argument, int64_t items) {
    prun__loop loop;
    loop.task = task;
    loop.argument = argument;
    loop.items = items;
    loop.workers = PRUN__MIN(prun__threads(context), items);
    if (loop.workers <= 1) {
        loop.workers = 1;
        prun__loop_run(&loop, 0);
    } else if (context && context->parallel_for) {
        context->parallel_for(context->parallel_user, prun__loop_run, &loop, loop.workers);
    } else {
#if PRUN__OPENMP
        int i, workers = (int)loop.workers;
#ifdef PRUN__FORKS
        prun__team_note();
#endif
#pragma omp parallel for schedule(static) num_threads(workers)
        for (i = 0; i < workers; i++) prun__loop_run(&loop, i);
#endif
    }
}

/* ---- one block of memory cut into arrays ---- */

/* One block that is cut into arrays. Passed by value, so that returning gives everything back. */
typedef struct prun__arena {
    char *at;
} prun__arena;

/* Arrays begin 64 bytes apart, as prun__arena_size counts. */
static PRUN__SHARED void *prun__arena_get(prun__arena *arena, int64_t count, size_t size) {
    char *block = arena->at;
    arena->at += ((size_t)count * size + 63) & ~(size_t)63;
    return block;
}

/* Bytes of `arrays` arrays of n int32 each; -1: too many. */
static PRUN__SHARED int64_t prun__arena_size(int64_t arrays, int64_t n) {
    return n < 0 || n > INT64_MAX / 8 ? -1 : prun__size_product(arrays, (4 * n + 131) / 64 * 64);
}

/* a + b for sizes >= 0; -1 on overflow or when either already is -1, so that sums chain. */
static PRUN__SHARED int64_t prun__size_sum(int64_t a, int64_t b) {
    return a < 0 || b < 0 || a > INT64_MAX - b ? -1 : a + b;
}

/* ---- tensors ---- */

PRUNDEF int64_t prun_tensor_size(const prun_tensor *tensor) {
    int64_t size = 1;
    int32_t i;
    for (i = 0; i < tensor->rank; i++) size *= tensor->shape[i];
    return size;
}

/* True for NaN and infinities, by bits: holds under any compiler flags. */
static int prun__float_is_nonfinite(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7f800000u) == 0x7f800000u;
}

/* Index of the first non-finite element, or -1. */
static int64_t prun__values_find_nonfinite(const float *values, int64_t count) {
    int64_t i;
    for (i = 0; i < count; i++)
        if (prun__float_is_nonfinite(values[i])) return i;
    return -1;
}

/* Fails if two of the tensors, whose shapes are valid, share memory: changing one would change the
   other, and they would be counted and saved twice. what: who lists them. */
static prun_status prun__tensors_check_overlap(prun_context *context, const char *what,
                                               const prun_tensor *tensors, int64_t count) {
    int64_t i, j;
    for (i = 1; i < count; i++) {
        const uintptr_t a = (uintptr_t)tensors[i].data;
        const uintptr_t size = (uintptr_t)prun_tensor_size(&tensors[i]) * sizeof(float);
        for (j = 0; j < i; j++) {
            const uintptr_t b = (uintptr_t)tensors[j].data;
            const uintptr_t other = (uintptr_t)prun_tensor_size(&tensors[j]) * sizeof(float);
            if (!a || !b || size == 0 || other == 0 || (a >= b ? a - b >= other : b - a >= size))
                continue;
            return prun__fail(context, PRUN_ERR_ARGUMENT,
                              "%s: tensors %lld (%s) and %lld (%s) share memory; list shared "
                              "weights once",
                              what, (long long)j, tensors[j].name ? tensors[j].name : "no name",
                              (long long)i, tensors[i].name ? tensors[i].name : "no name");
        }
    }
    return PRUN_OK;
}

/* ---- sorting ---- */

/* Order of descending keys; equal keys keep the lower index first. Keys are non-negative or
   infinite floats, whose bit patterns order as integers (NaN ends up first). LSD radix sort:
   three passes of 11 bits over (key, index) pairs, O(count). scratch: count. */
static void prun__keys_sort_descending(const float *keys, int64_t count, int64_t *order,
                                       int64_t *scratch) {
    int64_t histogram[2048], i, *from = scratch, *to = order;
    int shift;
    for (i = 0; i < count; i++) scratch[i] = i;
    for (shift = 0; shift < 33; shift += 11) {
        int64_t total = 0, *swap;
        int b;
        memset(histogram, 0, sizeof histogram);
        for (i = 0; i < count; i++) {
            uint32_t bits;
            memcpy(&bits, &keys[i], sizeof bits);
            histogram[2047 - ((bits & 0x7fffffffu) >> shift & 2047)]++;
        }
        for (b = 0; b < 2048; b++) {
            int64_t here = histogram[b];
            histogram[b] = total;
            total += here;
        }
        for (i = 0; i < count; i++) {
            uint32_t bits;
            memcpy(&bits, &keys[from[i]], sizeof bits);
            to[histogram[2047 - ((bits & 0x7fffffffu) >> shift & 2047)]++] = from[i];
        }
        swap = from;
        from = to;
        to = swap;
    }
}

/* Ascending doubles. */
static int prun__by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- numbers in text ---- */

#define PRUN__WORDS 256  /* of 32 bits: PRUN__DIGITS digits times 10^309, or over 10^1125 */
#define PRUN__DIGITS 800 /* more cannot decide how a number rounds */

/* A natural number, the lowest word first, times 2^exponent; rest: what division left over. */
typedef struct prun__big {
    uint32_t word[PRUN__WORDS];
    int words, exponent, rest;
} prun__big;

/* b times a factor, plus a carry: with factor 10 this appends a decimal digit. */
static void prun__big_scale_up(prun__big *b, uint32_t factor, uint32_t carry) {
    int i;
    for (i = 0; i < b->words || carry; i++) {
        const uint64_t product = (uint64_t)(i < b->words ? b->word[i] : 0) * factor + carry;
        b->word[i] = (uint32_t)product;
        carry = (uint32_t)(product >> 32);
    }
    b->words = PRUN__MAX(b->words, i);
}

/* b by a divisor, rounded down; a remainder is noted in b->rest. */
static void prun__big_scale_down(prun__big *b, uint32_t divisor) {
    uint64_t rest = 0;
    int i;
    for (i = b->words - 1; i >= 0; i--) {
        rest = rest << 32 | b->word[i];
        b->word[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    b->rest |= rest != 0;
    while (b->words > 0 && b->word[b->words - 1] == 0) b->words--;
}

/* Bit i of the words; 0 outside them. */
static int prun__big_bit(const prun__big *b, int i) {
    return i >= 0 && i < 32 * b->words && (b->word[i / 32] >> (i % 32) & 1);
}

/* The nearest double, to even. */
static double prun__big_nearest(const prun__big *b) {
    uint64_t mantissa = 0;
    int top = 32 * b->words, low, i, rest = b->rest;
    while (top > 0 && !prun__big_bit(b, top - 1)) top--;
    low = PRUN__MAX(top - 53, -1074 - b->exponent); /* the last bit that a double keeps */
    for (i = top - 1; i >= low; i--) mantissa = mantissa << 1 | (uint64_t)prun__big_bit(b, i);
    for (i = 0; i < low - 1 && !rest; i++) rest = prun__big_bit(b, i);
    mantissa += prun__big_bit(b, low - 1) && (rest || (mantissa & 1));
    return ldexp((double)mantissa, low + b->exponent);
}

/* Times 10^power. Division needs more than 64 bits in the quotient. */
static double prun__big_value(prun__big *b, int64_t power) {
    int zeros;
    if (power < 0) {
        zeros = (int)(-power * 10 / 3 / 32) + 3;
        memmove(b->word + zeros, b->word, (size_t)b->words * sizeof *b->word);
        memset(b->word, 0, (size_t)zeros * sizeof *b->word);
        b->words += zeros;
        b->exponent = -32 * zeros;
    }
    for (; power <= -9; power += 9) prun__big_scale_down(b, 1000000000u);
    for (; power < 0; power++) prun__big_scale_down(b, 10u);
    for (; power > 0; power--) prun__big_scale_up(b, 10u, 0);
    return prun__big_nearest(b);
}

/* The rest of a text after a word that it begins with, in capitals or not; NULL: it does not. */
static const char *prun__text_after(const char *text, const char *word) {
    for (; *word; text++, word++) {
        const char a = *text >= 'A' && *text <= 'Z' ? (char)(*text + 32) : *text;
        const char b = *word >= 'A' && *word <= 'Z' ? (char)(*word + 32) : *word;
        if (a != b) return NULL;
    }
    return text;
}

/* True if the text is the word, in capitals or not. */
static int prun__text_is_word(const char *text, const char *word) {
    const char *rest = prun__text_after(text, word);
    return rest && *rest == '\0';
}

/* The same up to digits, which Microsoft's printf puts behind 1.#INF. */
static int prun__text_is_word_and_digits(const char *text, const char *word) {
    const char *rest = prun__text_after(text, word);
    while (rest && *rest >= '0' && *rest <= '9') rest++;
    return rest && *rest == '\0';
}

/* True for infinity as C spells it, in capitals or not, or Microsoft's printf; without its sign. */
static int prun__text_is_infinite(const char *unsigned_text) {
    return prun__text_is_word(unsigned_text, "inf") ||
           prun__text_is_word(unsigned_text, "infinity") ||
           prun__text_is_word_and_digits(unsigned_text, "1.#inf");
}

/* "nan", or with what printf puts behind it: "nan(ind)". */
static PRUN__SHARED int prun__text_is_nan(const char *unsigned_text) {
    const char *rest = prun__text_after(unsigned_text, "nan");
    if (rest && (*rest == '\0' || (*rest == '(' && rest[strlen(rest) - 1] == ')'))) return 1;
    return prun__text_is_word_and_digits(unsigned_text, "1.#ind") ||
           prun__text_is_word_and_digits(unsigned_text, "1.#qnan") ||
           prun__text_is_word_and_digits(unsigned_text, "1.#snan");
}

/* Whether the text is a number in C's decimal notation or infinity; the nearest double. Not strtod,
   which goes by the locale. */
static PRUN__SHARED int prun__number_read(const char *text, double *out) {
    const char *s = text + (*text == '-' || *text == '+');
    const double sign = *text == '-' ? -1.0 : 1.0;
    int64_t digits = 0, used = 0, power = 0, exponent = 0;
    int point = 0, minus;
    prun__big b;
    b.words = b.exponent = b.rest = 0;
    *out = sign * HUGE_VAL;
    if (prun__text_is_infinite(s)) return 1;
    for (; (*s >= '0' && *s <= '9') || (*s == '.' && !point); s++) {
        if (*s == '.') point = 1;
        if (*s == '.') continue;
        digits++;
        power -= point;
        if (used == 0 && *s == '0') continue;
        if (++used <= PRUN__DIGITS) {
            prun__big_scale_up(&b, 10u, (uint32_t)(*s - '0'));
        } else {
            power++;
            b.rest |= *s != '0';
        }
    }
    if (digits > 0 && (*s == 'e' || *s == 'E')) {
        minus = s[1] == '-';
        s += 1 + (s[1] == '-' || s[1] == '+');
        digits = 0; /* from here on of the exponent */
        for (; *s >= '0' && *s <= '9'; s++, digits++)
            if (exponent < 100000000) exponent = 10 * exponent + (*s - '0');
        power += minus ? -exponent : exponent;
    }
    if (digits == 0 || *s != '\0') return 0;
    used = PRUN__MIN(used, PRUN__DIGITS);
    if (used == 0 || used + power < -330) *out = sign * 0.0;
    else if (used + power <= 310) *out = sign * prun__big_value(&b, power);
    return 1;
}

/* [RNG.I] Philox4x32-10 and what is drawn from it */
/*
   Every random number is a function of (seed, stream, index). The streams are listed here, so that
   no two uses share one.
*/

/* Streams of one seed. Parameters take those below 2^32, by tensor. */
#define PRUN__STREAM_MEASURE (UINT64_C(1) << 33) /* choices of measures */
#define PRUN__STREAM_PRUNE (UINT64_C(1) << 36)   /* random pruning, by repetition and segment */
#define PRUN__STREAM_ORDER (UINT64_C(1) << 40)   /* order of the images, by epoch */
#define PRUN__STREAM_AUGMENT (UINT64_C(1) << 44) /* by the stream of the pass */
#define PRUN__STREAM_DROPOUT (UINT64_C(1) << 48) /* by the stream of the pass and layer */
#define PRUN__STREAM_HESSIAN (UINT64_C(1) << 56) /* Lanczos runs, by probe */
#define PRUN__STREAM_RESTART (PRUN__STREAM_HESSIAN + (UINT64_C(1) << 40)) /* ... their restarts */
#define PRUN__STREAM_TRACE (PRUN__STREAM_HESSIAN + (UINT64_C(2) << 40))   /* ... and the trace */
#define PRUN__STREAM_PERTURB (UINT64_C(1) << 60)                          /* noise, by draw */
#define PRUN__STREAM_MASK (UINT64_C(1) << 61) /* which weights it falls on, by draw */
/* Those of statistics, whose seeds are others. */
#define PRUN__STREAM_FOLDS (UINT64_C(1) << 52)
#define PRUN__STREAM_BOOTSTRAP (UINT64_C(1) << 56)
#define PRUN__STREAM_PERMUTE (UINT64_C(1) << 60)

PRUNDEF void prun_random_block(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4]) {
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    uint32_t x0 = (uint32_t)index, x1 = (uint32_t)(index >> 32);
    uint32_t x2 = (uint32_t)stream, x3 = (uint32_t)(stream >> 32);
    int round;
    for (round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * x0, b = (uint64_t)0xCD9E8D57u * x2;
        x0 = (uint32_t)(b >> 32) ^ x1 ^ key0;
        x1 = (uint32_t)b;
        x2 = (uint32_t)(a >> 32) ^ x3 ^ key1;
        x3 = (uint32_t)a;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

PRUNDEF uint64_t prun_random_bits(uint64_t seed, uint64_t stream, uint64_t index) {
    uint32_t block[4];
    prun_random_block(seed, stream, index, block);
    return (uint64_t)block[1] << 32 | block[0];
}

PRUNDEF double prun_random_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
    return (double)(prun_random_bits(seed, stream, index) >> 11) * (1.0 / 9007199254740992.0);
}

PRUNDEF double prun_random_normal(uint64_t seed, uint64_t stream, uint64_t index) {
    uint32_t block[4];
    double radius, angle;
    prun_random_block(seed, stream, index, block);
    /* (0, 1]: the logarithm of zero never occurs. */
    radius = (double)(((uint64_t)block[1] << 32 | block[0]) >> 11) + 1.0;
    angle = (double)(((uint64_t)block[3] << 32 | block[2]) >> 11);
    radius = sqrt(-2.0 * log(radius * (1.0 / 9007199254740992.0)));
    return radius * cos(angle * (6.283185307179586476925 / 9007199254740992.0));
}

/* Uniform in 0 .. n-1 up to a bias below n / 2^32, for n < 2^32; two words beyond that. */
static int64_t prun__random_below(uint64_t bits, int64_t n) {
    if (n <= INT64_C(0xffffffff)) return (int64_t)((bits >> 32) * (uint64_t)n >> 32);
    return (int64_t)(bits % (uint64_t)n);
}

PRUNDEF void prun_random_permutation(uint64_t seed, uint64_t stream, int64_t n, int64_t *out) {
    int64_t i;
    for (i = 0; i < n; i++) {
        int64_t j = prun__random_below(prun_random_bits(seed, stream, (uint64_t)i), i + 1);
        out[i] = out[j];
        out[j] = i;
    }
}

/* [OPS.I] what needs no kernels: shapes, lane layout, losses, linear maps */
/*
   Geometry of convolutions, the lane layout, cross-entropy, and convolutions of one image in double
   precision, which norms of operators and the path norm use.
*/

/* ---- the lane layout ---- */

PRUNDEF int64_t prun_lanes_size(int64_t n, int64_t c, int64_t h, int64_t w) {
    if (n <= 0 || c <= 0 || h <= 0 || w <= 0 || n > INT64_MAX - PRUN_LANES) return -1;
    n = (n + PRUN_LANES - 1) / PRUN_LANES * PRUN_LANES;
    return prun__size_product(prun__size_product(n, c), prun__size_product(h, w));
}

PRUNDEF void prun_lanes_pack(const float *nchw, int64_t n, int64_t c, int64_t h, int64_t w,
                             float *lanes) {
    const int64_t size = c * h * w, blocks = (n + PRUN_LANES - 1) / PRUN_LANES;
    int64_t b, p, k, l;
    for (b = 0; b < blocks; b++)
        for (p = 0; p < h * w; p++)
            for (k = 0; k < c; k++)
                for (l = 0; l < PRUN_LANES; l++, lanes++) {
                    int64_t i = b * PRUN_LANES + l;
                    *lanes = i < n ? nchw[i * size + k * h * w + p] : 0.0f;
                }
}

PRUNDEF void prun_lanes_unpack(const float *lanes, int64_t n, int64_t c, int64_t h, int64_t w,
                               float *nchw) {
    const int64_t size = c * h * w;
    int64_t i, k, p;
    for (i = 0; i < n; i++)
        for (k = 0; k < c; k++)
            for (p = 0; p < h * w; p++)
                nchw[i * size + k * h * w + p] =
                    lanes[(i / PRUN_LANES * size + p * c + k) * PRUN_LANES + i % PRUN_LANES];
}

/* Blocks of PRUN_LANES images that n images fill, the last one perhaps in part. */
static int64_t prun__block_count(int64_t n) { return (n + PRUN_LANES - 1) / PRUN_LANES; }

/* ---- geometry of a convolution ---- */

/* Fills in the defaults of the numbers that are 0: a square kernel, stride 1, the same stride in
   both axes. */
static void prun__window_resolve(int64_t kernel[2], int64_t stride[2]) {
    if (kernel[1] == 0) kernel[1] = kernel[0];
    if (stride[0] == 0) stride[0] = 1;
    if (stride[1] == 0) stride[1] = stride[0];
}

/* Bounds that keep every later index within 31 bits and every product within 63. */
static prun_status prun__conv_check(prun_context *context, const prun_conv2d *s) {
    const int64_t limit = INT64_C(1) << 24;
    int64_t fields[13], in, out;
    /* clang-format off */
    static const char *const names[13] = {
        "in_channels", "in_height", "in_width", "out_channels", "kernel height", "kernel width",
        "stride height", "stride width", "top padding", "left padding", "bottom padding",
        "right padding", ""};
    /* clang-format on */
    int i;
    fields[0] = s->in_channels;
    fields[1] = s->in_height;
    fields[2] = s->in_width;
    fields[3] = s->out_channels;
    for (i = 0; i < 2; i++) {
        fields[4 + i] = s->kernel[i];
        fields[6 + i] = s->stride[i];
    }
    for (i = 0; i < 4; i++) fields[8 + i] = s->padding[i];
    for (i = 0; i < 12; i++) {
        if (fields[i] < (i < 8))
            return prun__fail(context, PRUN_ERR_SHAPE, "convolution: %s is %lld", names[i],
                              (long long)fields[i]);
        if (fields[i] > limit)
            return prun__fail(context, PRUN_ERR_OVERFLOW, "convolution: %s %lld is too large",
                              names[i], (long long)fields[i]);
    }
    if (s->algorithm < PRUN_ALGORITHM_AUTO || s->algorithm > PRUN_ALGORITHM_WINOGRAD)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "convolution: unknown algorithm %d",
                          (int)s->algorithm);
    in = prun__size_product(s->in_channels, s->in_height * s->in_width);
    out = prun__size_product(prun__size_product(s->in_channels, s->out_channels),
                             s->kernel[0] * s->kernel[1]);
    if (in < 0 || in > INT32_MAX || out < 0 || out > INT32_MAX)
        return prun__fail(context, PRUN_ERR_OVERFLOW,
                          "convolution: more than 2^31 inputs or weights");
    return PRUN_OK;
}

PRUNDEF prun_status prun_conv2d_output(prun_context *context, const prun_conv2d *conv,
                                       int64_t *height, int64_t *width) {
    prun_conv2d s = *conv;
    int64_t h, w, outputs;
    prun__window_resolve(s.kernel, s.stride);
    PRUN__TRY(prun__conv_check(context, &s));
    h = s.in_height + s.padding[0] + s.padding[2] - s.kernel[0];
    w = s.in_width + s.padding[1] + s.padding[3] - s.kernel[1];
    if (h < 0 || w < 0)
        return prun__fail(context, PRUN_ERR_SHAPE,
                          "convolution: kernel %lldx%lld is larger than the padded input %lldx%lld",
                          (long long)s.kernel[0], (long long)s.kernel[1],
                          (long long)(h + s.kernel[0]), (long long)(w + s.kernel[1]));
    h = h / s.stride[0] + 1;
    w = w / s.stride[1] + 1;
    outputs = prun__size_product(prun__size_product(h, w), s.out_channels);
    if (outputs < 0 || outputs > INT32_MAX)
        return prun__fail(context, PRUN_ERR_OVERFLOW, "convolution: more than 2^31 outputs");
    *height = h;
    *width = w;
    return PRUN_OK;
}

/* Outputs [*from, *to) for which tap d stays inside an axis of n inputs. */
static void prun__tap_range(int64_t d, int64_t padding, int64_t stride, int64_t n, int64_t outputs,
                            int64_t *from, int64_t *to) {
    int64_t low = padding - d, high = n - 1 + padding - d;
    *from = low > 0 ? (low + stride - 1) / stride : 0;
    *to = high < 0 ? 0 : PRUN__MIN(high / stride + 1, outputs);
    if (*to < *from) *to = *from;
}

/* ---- losses ---- */

/* ln sum exp - logit[label], from float logits in double: float32 would be off by 4e-4 relative at
   losses near 5e-5, which decides prunability. log1p keeps the digits where the label dominates. */
PRUNDEF double prun_cross_entropy(const float *logits, int64_t classes, int64_t label,
                                  double *probability) {
    double top = (double)logits[0], others = 0.0, total;
    int64_t j, best = 0;
    for (j = 1; j < classes; j++)
        if ((double)logits[j] > top) {
            top = (double)logits[j];
            best = j;
        }
    for (j = 0; j < classes; j++)
        if (j != best) others += exp((double)logits[j] - top);
    total = 1.0 + others;
    if (probability)
        for (j = 0; j < classes; j++)
            probability[j] = (j == best ? 1.0 : exp((double)logits[j] - top)) / total;
    return (top - (double)logits[label]) + log1p(others);
}

/* ---- linear maps of one image, in double precision ---- */

/* Linear maps in double precision: convolutions and matrices on one image. */
typedef struct prun__linear {
    prun_conv2d shape; /* defaults filled in */
    int64_t out_height, out_width;
    const double *kernel; /* (O, I, KH, KW) */
    const double *from;
    double *to;
    int transposed;
} prun__linear;

/* The linear map of a convolution; the kernel is borrowed. */
static prun_status prun__linear_make(prun_context *context, const prun_conv2d *shape,
                                     const double *kernel, prun__linear *map) {
    memset(map, 0, sizeof *map);
    map->shape = *shape;
    prun__window_resolve(map->shape.kernel, map->shape.stride);
    map->kernel = kernel;
    return prun_conv2d_output(context, &map->shape, &map->out_height, &map->out_width);
}

/* One output channel (transposed: input channel), all others read in order. */
static void prun__linear_task(void *pointer, int64_t channel, int64_t worker) {
    const prun__linear *m = (const prun__linear *)pointer;
    const prun_conv2d *s = &m->shape;
    const int64_t in = s->in_height * s->in_width, out = m->out_height * m->out_width;
    const int64_t taps = s->kernel[0] * s->kernel[1];
    const int64_t others = m->transposed ? s->out_channels : s->in_channels;
    double *to = m->to + channel * (m->transposed ? in : out);
    int64_t other, tap, y, x;
    (void)worker;
    memset(to, 0, (size_t)(m->transposed ? in : out) * sizeof *to);
    for (other = 0; other < others; other++) {
        const double *from = m->from + other * (m->transposed ? out : in);
        const double *k =
            m->kernel +
            (m->transposed ? other * s->in_channels + channel : channel * others + other) * taps;
        for (tap = 0; tap < taps; tap++) {
            const int64_t dy = tap / s->kernel[1], dx = tap % s->kernel[1];
            int64_t y0, y1, x0, x1;
            prun__tap_range(dy, s->padding[0], s->stride[0], s->in_height, m->out_height, &y0, &y1);
            prun__tap_range(dx, s->padding[1], s->stride[1], s->in_width, m->out_width, &x0, &x1);
            for (y = y0; y < y1 && k[tap] != 0.0; y++) {
                const int64_t row =
                    (y * s->stride[0] + dy - s->padding[0]) * s->in_width + dx - s->padding[1];
                if (m->transposed)
                    for (x = x0; x < x1; x++)
                        to[row + x * s->stride[1]] += k[tap] * from[y * m->out_width + x];
                else
                    for (x = x0; x < x1; x++)
                        to[y * m->out_width + x] += k[tap] * from[row + x * s->stride[1]];
            }
        }
    }
}

/* A plain matrix: the loops above would start anew for every element. Sixteen columns at a time. */
static void prun__linear_matrix_task(void *pointer, int64_t group, int64_t worker) {
    const prun__linear *m = (const prun__linear *)pointer;
    const int64_t rows = m->shape.out_channels, columns = m->shape.in_channels;
    const int64_t first = group * 16, last = PRUN__MIN(first + 16, m->transposed ? columns : rows);
    int64_t r, c;
    (void)worker;
    for (c = first; c < last; c++) m->to[c] = 0.0;
    if (m->transposed)
        for (r = 0; r < rows; r++)
            for (c = first; c < last; c++) m->to[c] += m->kernel[r * columns + c] * m->from[r];
    else
        for (r = first; r < last; r++)
            for (c = 0; c < columns; c++) m->to[r] += m->kernel[r * columns + c] * m->from[c];
}

/* The map, or its transpose, of `from`. */
static void prun__linear_apply(const prun_context *context, prun__linear *m, int transposed,
                               const double *from, double *to) {
    const prun_conv2d *s = &m->shape;
    const int64_t channels = transposed ? s->in_channels : s->out_channels;
    const int64_t area = m->out_height * m->out_width;
    const int matrix = s->in_height * s->in_width * area == 1;
    const int64_t items = matrix ? (channels + 15) / 16 : channels;
    const prun__task task = matrix ? prun__linear_matrix_task : prun__linear_task;
    const double work =
        (double)(s->in_channels * s->out_channels * area) * (double)(s->kernel[0] * s->kernel[1]);
    int64_t i;
    m->from = from;
    m->to = to;
    m->transposed = transposed;
    if (work > 1e5) prun__for(context, task, m, items);
    else
        for (i = 0; i < items; i++) task(m, i, 0); /* not worth waking threads */
}

/* [KERNELS.I] the kernels of all tiers, where convolutions multiply and add; the portable tier */
/*
   A convolution is computed for one block of sixteen images at a time. For one output pixel the
   inputs under a kernel row, (dx, channel), are one contiguous run of 16-float vectors; so the work
   of a pixel is a short list of segments (run in x, run in the packed weights), made once a layer.
   Taps outside the image have no segment: borders cost less, not more. The gradient with respect to
   the input is the same loop over other segments.
   A tier is a table of functions, prun__kernels. Most have one text for all tiers, which takes the
   tier's vector operations as a constant that the compiler resolves.
*/
#ifndef PRUNABILITY_NO_NET

/* A run of `length` 16-float vectors of x against `length` rows of a packed panel. */
typedef struct prun__segment {
    int32_t x, w, length;
} prun__segment;

/* Segments of output pixel p: segment[first[p]] .. segment[first[p + 1] - 1]. */
typedef struct prun__segments {
    prun__segment *segment;
    int32_t *first;
    int64_t pixels;
} prun__segments;

/* One panel of output channels over a range of pixels. */
typedef struct prun__panel {
    const float *weights; /* [k][width]; channels from `channels` on are zero */
    const float *x;       /* block */
    const prun__segment *segment;
    const int32_t *first;     /* of the first pixel */
    float *y;                 /* first pixel, first channel of the panel */
    const float *bias;        /* `channels`, or NULL */
    int64_t pixels, y_stride; /* floats between pixels of y */
    int32_t channels;         /* that exist, <= width */
    int32_t relu, accumulate; /* accumulate: add to y; `bias` is NULL then */
} prun__panel;

/* Tiles of the weight gradient: sums over pixels and lanes of x times dy, for `tile_rows` rows (a
   kernel tap and in-channel each) and up to `tile_columns` out-channels. */
typedef struct prun__correlation {
    const float *x, *y;              /* of the first pixel; y: of the first out-channel */
    const int32_t *offset;           /* of each row from x, in floats; unused rows repeat another */
    int64_t tiles;                   /* one below the other */
    int64_t blocks, rows, pixels;    /* pixels: in a row */
    int64_t x_block, x_row, x_pixel; /* floats between them in x */
    int64_t y_block, y_row, y_pixel;
    float *sum;         /* [column][row], added to */
    int64_t sum_column; /* floats between columns */
} prun__correlation;

/* A weight that was kept, and where its input lies from the pixel's corner, in floats. */
typedef struct prun__nonzero {
    int32_t offset;
    float weight;
} prun__nonzero;

/* One output channel of up to eight pixels in a row. */
#define PRUN__SPARSE_PIXELS 8
typedef struct prun__sparse_job {
    const prun__nonzero *nonzero;
    int64_t count;
    const float *x;
    float *y;
    int64_t x_step, y_step; /* floats between pixels */
    int32_t pixels;         /* 1 .. PRUN__SPARSE_PIXELS */
    int32_t relu;
    float bias;
} prun__sparse_job;

/* Batch norm, ReLU and pooling of one block: its coefficients per channel, and its shape. */
typedef struct prun__norm_job {
    const float *mean, *scale, *shift; /* y = (x - mean) * scale + shift */
    const float *m1, *m2;              /* backward: subtracted from g, from g per (x - mean) */
    int64_t channels, in_width, out_height, out_width;
    int64_t window; /* square, its own stride; 1: no pooling */
    float low;      /* floor of the output: 0 for ReLU, else -infinity */
    int relu, add;  /* add: to dx, instead of setting it */
} prun__norm_job;

/* How the result of a convolution is finished. */
typedef struct prun__finish {
    const float *bias; /* per output channel, or NULL */
    int32_t relu, accumulate;
} prun__finish;

typedef struct prun__kernels {
    const char *name;
    int32_t wide; /* channels of the widest panel; see prun__cut_make */
    int32_t tile_rows, tile_columns;
    void (*panel[9])(const prun__panel *panel);         /* by width / 2 */
    void (*correlate[7])(const prun__correlation *job); /* by number of columns */
    void (*sparse)(const prun__sparse_job *job);
    /* Winograd transforms of `channels` consecutive vectors, by stride - 1. in: 6 x 6 or 9 x 9
       pixels of a tile to as many rows v, `stride` floats apart; out: rows m to the 4 x 4 pixels y
       of a tile, third: to the 8 x 8 of the input gradient at stride 2. least: NULL, or out: each
       channel's smallest absolute result before bias, per lane. */
    void (*winograd_in[2])(const float *const *x, int64_t channels, float *v, int64_t stride);
    void (*winograd_out[3])(const float *m, int64_t stride, int64_t channels,
                            const prun__finish *finish, float *least, float *const *y);
    /* The transpose of winograd_out's transform: 4 x 4 pixels y of a tile to the rows d. */
    void (*winograd_dy[2])(const float *const *y, int64_t channels, float *d, int64_t stride);
    /* `found` with the bits of all lanes that are not zero in one of `count` vectors. */
    uint32_t (*nonzero)(const float *x, int64_t count, uint32_t found);
    /* Largest absolute value of each lane in `count` vectors. */
    void (*largest)(const float *x, int64_t count, float *top);
    /* In double, per channel: sums of a and of a times b over pixels and live lanes. out: pairs. */
    void (*sums)(const float *a, const float *b, int64_t pixels, int64_t channels, int64_t live,
                 double *out);
    /* Batch norm and what follows it; g: gradient behind ReLU and pool; dx: behind the norm. */
    void (*norm)(const prun__norm_job *job, const float *x, float *y);
    void (*norm_mask)(const prun__norm_job *job, const float *x, const float *dy, float *g);
    void (*norm_apply)(const prun__norm_job *job, const float *x, const float *g, float *dx);
    /* Tangent `to` of norm's output from t, that of x; m1, m2: those of scale, shift. */
    void (*norm_tangent)(const prun__norm_job *job, const float *x, const float *t, float *to);
} prun__kernels;

/* Of a function: inlined wherever it is called; everything that it calls is inlined into it. */
#if PRUN__GNU
#define PRUN__INLINE static inline __attribute__((always_inline))
#define PRUN__FLAT __attribute__((flatten))
#else
#define PRUN__INLINE static inline
#define PRUN__FLAT
#endif

/* Portable tier: 16 lanes as four 4-float vectors, which GCC and Clang map to SSE2, NEON, VSX or
   wasm SIMD; a plain struct elsewhere. */
#if PRUN__GNU
typedef float prun__f4 __attribute__((vector_size(16)));
typedef float prun__f4u __attribute__((vector_size(16), aligned(4), may_alias));
/* Four floats at p, which need not be aligned. */
static inline prun__f4 prun__f4_load(const float *p) { return *(const prun__f4u *)p; }
/* Writes four lanes to p, which need not be aligned. */
static inline void prun__f4_store(float *p, prun__f4 v) { *(prun__f4u *)p = v; }
/* a in all lanes. */
static inline prun__f4 prun__f4_set(float a) {
    prun__f4 v = {a, a, a, a};
    return v;
}
/* a + b in each lane. */
static inline prun__f4 prun__f4_add(prun__f4 a, prun__f4 b) { return a + b; }
/* a - b in each lane. */
static inline prun__f4 prun__f4_sub(prun__f4 a, prun__f4 b) { return a - b; }
/* a times b in each lane. */
static inline prun__f4 prun__f4_mul(prun__f4 a, prun__f4 b) { return a * b; }
typedef int32_t prun__i4 __attribute__((vector_size(16)));
/* v where a > b (a == b, a != b), else 0. */
static inline prun__f4 prun__f4_if_gt(prun__f4 a, prun__f4 b, prun__f4 v) {
    return (prun__f4)((prun__i4)(a > b) & (prun__i4)v);
}
/* v where a == b, else 0. */
static inline prun__f4 prun__f4_if_eq(prun__f4 a, prun__f4 b, prun__f4 v) {
    return (prun__f4)((prun__i4)(a == b) & (prun__i4)v);
}
/* v where a != b, else 0; a NaN differs from everything. */
static inline prun__f4 prun__f4_if_ne(prun__f4 a, prun__f4 b, prun__f4 v) {
    return (prun__f4)((prun__i4)(a != b) & (prun__i4)v);
}
/* a where a > b or a is NaN, else b. */
static inline prun__f4 prun__f4_top(prun__f4 a, prun__f4 b) {
    const prun__i4 mask = (prun__i4)(a > b) | (prun__i4)(a != a);
    return (prun__f4)((mask & (prun__i4)a) | (~mask & (prun__i4)b));
}
/* a where a > b, else b: b also when a is NaN. */
static inline prun__f4 prun__f4_max(prun__f4 a, prun__f4 b) {
    const prun__i4 mask = (prun__i4)(a > b);
    return (prun__f4)((mask & (prun__i4)a) | (~mask & (prun__i4)b));
}
/* a where a < b, else b: b also when a is NaN. */
static inline prun__f4 prun__f4_min(prun__f4 a, prun__f4 b) {
    const prun__i4 mask = (prun__i4)(a < b);
    return (prun__f4)((mask & (prun__i4)a) | (~mask & (prun__i4)b));
}
/* Absolute values. */
static inline prun__f4 prun__f4_abs(prun__f4 a) {
    const prun__i4 size = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX};
    return (prun__f4)((prun__i4)a & size);
}
/* Bit i: a[i] is not zero. */
static inline uint32_t prun__f4_nonzero(prun__f4 a) {
    return (uint32_t)((a[0] != 0.0f) | (a[1] != 0.0f) << 1 | (a[2] != 0.0f) << 2 |
                      (a[3] != 0.0f) << 3);
}
#else
typedef struct prun__f4 {
    float v[4];
} prun__f4;
/* Four floats at p, which need not be aligned. */
static prun__f4 prun__f4_load(const float *p) {
    prun__f4 r;
    memcpy(r.v, p, sizeof r.v);
    return r;
}
/* Writes four lanes to p, which need not be aligned. */
static void prun__f4_store(float *p, prun__f4 a) { memcpy(p, a.v, sizeof a.v); }
/* a in all lanes. */
static prun__f4 prun__f4_set(float a) {
    prun__f4 r;
    r.v[0] = r.v[1] = r.v[2] = r.v[3] = a;
    return r;
}
/* a + b in each lane. */
static prun__f4 prun__f4_add(prun__f4 a, prun__f4 b) {
    int i;
    for (i = 0; i < 4; i++) a.v[i] += b.v[i];
    return a;
}
/* a - b in each lane. */
static prun__f4 prun__f4_sub(prun__f4 a, prun__f4 b) {
    int i;
    for (i = 0; i < 4; i++) a.v[i] -= b.v[i];
    return a;
}
/* a times b in each lane. */
static prun__f4 prun__f4_mul(prun__f4 a, prun__f4 b) {
    int i;
    for (i = 0; i < 4; i++) a.v[i] *= b.v[i];
    return a;
}
/* v where a > b, else 0. */
static prun__f4 prun__f4_if_gt(prun__f4 a, prun__f4 b, prun__f4 v) {
    int i;
    for (i = 0; i < 4; i++) v.v[i] = a.v[i] > b.v[i] ? v.v[i] : 0.0f;
    return v;
}
/* v where a == b, else 0. */
static prun__f4 prun__f4_if_eq(prun__f4 a, prun__f4 b, prun__f4 v) {
    int i;
    for (i = 0; i < 4; i++) v.v[i] = a.v[i] == b.v[i] ? v.v[i] : 0.0f;
    return v;
}
/* v where a != b, else 0; a NaN differs from everything. */
static prun__f4 prun__f4_if_ne(prun__f4 a, prun__f4 b, prun__f4 v) {
    int i;
    for (i = 0; i < 4; i++) v.v[i] = a.v[i] != b.v[i] ? v.v[i] : 0.0f;
    return v;
}
/* a where a > b or a is NaN, else b. */
static prun__f4 prun__f4_top(prun__f4 a, prun__f4 b) {
    int i;
    for (i = 0; i < 4; i++) b.v[i] = a.v[i] > b.v[i] || a.v[i] != a.v[i] ? a.v[i] : b.v[i];
    return b;
}
/* a where a > b, else b: b also when a is NaN. */
static prun__f4 prun__f4_max(prun__f4 a, prun__f4 b) {
    int i;
    for (i = 0; i < 4; i++) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
    return a;
}
/* a where a < b, else b: b also when a is NaN. */
static prun__f4 prun__f4_min(prun__f4 a, prun__f4 b) {
    int i;
    for (i = 0; i < 4; i++) a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
    return a;
}
/* Absolute values. */
static prun__f4 prun__f4_abs(prun__f4 a) {
    int i;
    for (i = 0; i < 4; i++) a.v[i] = fabsf(a.v[i]);
    return a;
}
/* Bit i: a[i] is not zero. */
static uint32_t prun__f4_nonzero(prun__f4 a) {
    uint32_t i, bits = 0;
    for (i = 0; i < 4; i++) bits |= (uint32_t)(a.v[i] != 0.0f) << i;
    return bits;
}
#endif

/* a b + c, rounded twice. */
static inline prun__f4 prun__f4_mla(prun__f4 a, prun__f4 b, prun__f4 c) {
    return prun__f4_add(prun__f4_mul(a, b), c);
}
/* c - a b, rounded twice. */
static inline prun__f4 prun__f4_mls(prun__f4 a, prun__f4 b, prun__f4 c) {
    return prun__f4_sub(c, prun__f4_mul(a, b));
}

/* The operations of a tier on memory, for kernels with one text for all tiers. An operand is the
   first `width` floats at a pointer; r may be one of them. Such a kernel is inlined into an entry
   of each tier with one of these tables as a constant: then every operation is an instruction or
   two, and every array of lanes a register. Without optimisation a debugger steps into them. */
typedef struct prun__vector {
    int width;
    void (*set)(float *r, float a); /* a in all lanes */
    void (*copy)(float *r, const float *a);
    void (*add)(float *r, const float *a, const float *b);
    void (*sub)(float *r, const float *a, const float *b);
    void (*mul)(float *r, const float *a, const float *b);
    /* a b + c and c - a b. */
    void (*mla)(float *r, const float *a, const float *b, const float *c);
    void (*mls)(float *r, const float *a, const float *b, const float *c);
    void (*maximum)(float *r, const float *a, const float *b); /* a where a > b, else b */
    void (*minimum)(float *r, const float *a, const float *b); /* a where a < b, else b */
    void (*top)(float *r, const float *a, const float *b);     /* a where a > b or NaN, else b */
    void (*absolute)(float *r, const float *a);
    /* c where a > b (a == b, a != b), else 0. */
    void (*if_gt)(float *r, const float *a, const float *b, const float *c);
    void (*if_eq)(float *r, const float *a, const float *b, const float *c);
    void (*if_ne)(float *r, const float *a, const float *b, const float *c);
    uint32_t (*nonzero)(const float *a); /* bit i: a[i] is not zero */
    /* Adds the lanes of each row of a tile of the weight gradient, and the results to sum[0] .. */
    void (*add_rows)(const float *rows, float *sum);
} prun__vector;

/* A vector of any tier: the narrow ones use its beginning. */
typedef float prun__lanes[PRUN_LANES];

/* The operations of the portable tier. */
static inline void prun__vector_set_portable(float *r, float a) {
    prun__f4_store(r, prun__f4_set(a));
}
/* r = a. */
static inline void prun__vector_copy_portable(float *r, const float *a) {
    prun__f4_store(r, prun__f4_load(a));
}
/* r = a + b. */
static inline void prun__vector_add_portable(float *r, const float *a, const float *b) {
    prun__f4_store(r, prun__f4_add(prun__f4_load(a), prun__f4_load(b)));
}
/* r = a - b. */
static inline void prun__vector_sub_portable(float *r, const float *a, const float *b) {
    prun__f4_store(r, prun__f4_sub(prun__f4_load(a), prun__f4_load(b)));
}
/* r = a b. */
static inline void prun__vector_mul_portable(float *r, const float *a, const float *b) {
    prun__f4_store(r, prun__f4_mul(prun__f4_load(a), prun__f4_load(b)));
}
/* r = a b + c, rounded twice. */
static inline void prun__vector_mla_portable(float *r, const float *a, const float *b,
                                             const float *c) {
    prun__f4_store(r, prun__f4_mla(prun__f4_load(a), prun__f4_load(b), prun__f4_load(c)));
}
/* r = c - a b, rounded twice. */
static inline void prun__vector_mls_portable(float *r, const float *a, const float *b,
                                             const float *c) {
    prun__f4_store(r, prun__f4_mls(prun__f4_load(a), prun__f4_load(b), prun__f4_load(c)));
}
/* r = a where a > b, else b. */
static inline void prun__vector_maximum_portable(float *r, const float *a, const float *b) {
    prun__f4_store(r, prun__f4_max(prun__f4_load(a), prun__f4_load(b)));
}
/* r = a where a < b, else b. */
static inline void prun__vector_minimum_portable(float *r, const float *a, const float *b) {
    prun__f4_store(r, prun__f4_min(prun__f4_load(a), prun__f4_load(b)));
}
/* r = a where a > b or a is NaN, else b. */
static inline void prun__vector_top_portable(float *r, const float *a, const float *b) {
    prun__f4_store(r, prun__f4_top(prun__f4_load(a), prun__f4_load(b)));
}
/* r = |a|. */
static inline void prun__vector_absolute_portable(float *r, const float *a) {
    prun__f4_store(r, prun__f4_abs(prun__f4_load(a)));
}
/* r = c where a > b, else 0. */
static inline void prun__vector_if_gt_portable(float *r, const float *a, const float *b,
                                               const float *c) {
    prun__f4_store(r, prun__f4_if_gt(prun__f4_load(a), prun__f4_load(b), prun__f4_load(c)));
}
/* r = c where a == b, else 0. */
static inline void prun__vector_if_eq_portable(float *r, const float *a, const float *b,
                                               const float *c) {
    prun__f4_store(r, prun__f4_if_eq(prun__f4_load(a), prun__f4_load(b), prun__f4_load(c)));
}
/* r = c where a != b, else 0. */
static inline void prun__vector_if_ne_portable(float *r, const float *a, const float *b,
                                               const float *c) {
    prun__f4_store(r, prun__f4_if_ne(prun__f4_load(a), prun__f4_load(b), prun__f4_load(c)));
}
/* Bit i: a[i] is not zero. */
static inline uint32_t prun__vector_nonzero_portable(const float *a) {
    return prun__f4_nonzero(prun__f4_load(a));
}
/* Adds the lanes of three vectors to sum[0], [1], [2]. */
static inline void prun__vector_add_rows_portable(const float *rows, float *sum) {
    float lanes[3][4];
    int i;
    PRUN__UNROLL for (i = 0; i < 3; i++)
        prun__f4_store(lanes[i], prun__f4_load(rows + i * PRUN_LANES));
    for (i = 0; i < 3; i++) sum[i] += (lanes[i][0] + lanes[i][2]) + (lanes[i][1] + lanes[i][3]);
}

static const prun__vector prun__vector_portable = {
    4,
    prun__vector_set_portable,
    prun__vector_copy_portable,
    prun__vector_add_portable,
    prun__vector_sub_portable,
    prun__vector_mul_portable,
    prun__vector_mla_portable,
    prun__vector_mls_portable,
    prun__vector_maximum_portable,
    prun__vector_minimum_portable,
    prun__vector_top_portable,
    prun__vector_absolute_portable,
    prun__vector_if_gt_portable,
    prun__vector_if_eq_portable,
    prun__vector_if_ne_portable,
    prun__vector_nonzero_portable,
    prun__vector_add_rows_portable,
};

/* Start value of output channel i: what is there, or the bias. */
static void prun__panel_begin(const prun__panel *p, const float *y, int32_t i, float *lanes) {
    int l;
    if (p->accumulate) {
        for (l = 0; l < PRUN_LANES; l++) lanes[l] = y[i * PRUN_LANES + l];
    } else {
        for (l = 0; l < PRUN_LANES; l++) lanes[l] = p->bias ? p->bias[i] : 0.0f;
    }
}

/* Sets what is below 0 to 0. Written so that a NaN passes. */
static void prun__relu_apply(float *y) {
    int l;
    for (l = 0; l < PRUN_LANES; l++) y[l] = y[l] < 0.0f ? 0.0f : y[l];
}

/* Two output channels of one pixel: eight accumulators, named so that they stay in registers. */
static void prun__panel_pair_portable(const prun__panel *p, const prun__segment *s,
                                      const prun__segment *end, int width, int32_t i, float *a,
                                      float *b) {
    prun__f4 a0 = prun__f4_load(a), a1 = prun__f4_load(a + 4), a2 = prun__f4_load(a + 8),
             a3 = prun__f4_load(a + 12), b0 = prun__f4_load(b), b1 = prun__f4_load(b + 4),
             b2 = prun__f4_load(b + 8), b3 = prun__f4_load(b + 12);
    for (; s < end; s++) {
        const float *x = p->x + (int64_t)s->x * PRUN_LANES;
        const float *w = p->weights + (int64_t)s->w * width + i;
        int32_t k;
        for (k = 0; k < s->length; k++, x += PRUN_LANES, w += width) {
            prun__f4 u = prun__f4_set(w[0]), v = prun__f4_set(w[1]), q = prun__f4_load(x);
            a0 = prun__f4_add(a0, prun__f4_mul(u, q));
            b0 = prun__f4_add(b0, prun__f4_mul(v, q));
            q = prun__f4_load(x + 4);
            a1 = prun__f4_add(a1, prun__f4_mul(u, q));
            b1 = prun__f4_add(b1, prun__f4_mul(v, q));
            q = prun__f4_load(x + 8);
            a2 = prun__f4_add(a2, prun__f4_mul(u, q));
            b2 = prun__f4_add(b2, prun__f4_mul(v, q));
            q = prun__f4_load(x + 12);
            a3 = prun__f4_add(a3, prun__f4_mul(u, q));
            b3 = prun__f4_add(b3, prun__f4_mul(v, q));
        }
    }
    prun__f4_store(a, a0);
    prun__f4_store(a + 4, a1);
    prun__f4_store(a + 8, a2);
    prun__f4_store(a + 12, a3);
    prun__f4_store(b, b0);
    prun__f4_store(b + 4, b1);
    prun__f4_store(b + 8, b2);
    prun__f4_store(b + 12, b3);
}

/* All pixels of a panel, two output channels at a time. */
static void prun__panel_portable(const prun__panel *p, int width) {
    int64_t pixel;
    for (pixel = 0; pixel < p->pixels; pixel++) {
        const prun__segment *s = p->segment + p->first[pixel];
        const prun__segment *end = p->segment + p->first[pixel + 1];
        float *y = p->y + pixel * p->y_stride, pair[2][PRUN_LANES];
        int32_t i, c;
        for (i = 0; i < p->channels; i += 2) {
            int32_t live = PRUN__MIN(p->channels - i, 2);
            memset(pair, 0, sizeof pair);
            for (c = 0; c < live; c++) prun__panel_begin(p, y, i + c, pair[c]);
            prun__panel_pair_portable(p, s, end, width, i, pair[0], pair[1]);
            for (c = 0; c < live; c++) {
                if (p->relu) prun__relu_apply(pair[c]);
                memcpy(y + (i + c) * PRUN_LANES, pair[c], sizeof pair[c]);
            }
        }
    }
}

/* Panels of six and of four output channels. */
static void prun__panel6_portable(const prun__panel *p) { prun__panel_portable(p, 6); }
static void prun__panel4_portable(const prun__panel *p) { prun__panel_portable(p, 4); }

/* One pixel at a time: four accumulators, in the order of the dense kernel. */
static void prun__sparse_portable(const prun__sparse_job *j) {
    const prun__f4 low = prun__f4_set(j->relu ? 0.0f : -(float)HUGE_VAL);
    int64_t k;
    int32_t p;
    for (p = 0; p < j->pixels; p++) {
        const float *x = j->x + p * j->x_step;
        float *y = j->y + p * j->y_step;
        prun__f4 a0 = prun__f4_set(j->bias), a1 = a0, a2 = a0, a3 = a0;
        for (k = 0; k < j->count; k++) {
            const float *z = x + j->nonzero[k].offset;
            const prun__f4 w = prun__f4_set(j->nonzero[k].weight);
            a0 = prun__f4_add(a0, prun__f4_mul(w, prun__f4_load(z)));
            a1 = prun__f4_add(a1, prun__f4_mul(w, prun__f4_load(z + 4)));
            a2 = prun__f4_add(a2, prun__f4_mul(w, prun__f4_load(z + 8)));
            a3 = prun__f4_add(a3, prun__f4_mul(w, prun__f4_load(z + 12)));
        }
        prun__f4_store(y, prun__f4_max(low, a0));
        prun__f4_store(y + 4, prun__f4_max(low, a1));
        prun__f4_store(y + 8, prun__f4_max(low, a2));
        prun__f4_store(y + 12, prun__f4_max(low, a3));
    }
}

/* Up to eight pixels through a kernel that takes four. */
PRUN__INLINE void prun__sparse_split(const prun__sparse_job *job,
                                     void (*four)(const prun__sparse_job *)) {
    prun__sparse_job j = *job;
    for (; j.pixels > 0; j.pixels -= 4, j.x += 4 * j.x_step, j.y += 4 * j.y_step) four(&j);
}

/* Adds the live lanes of one channel's sums in order. */
static void prun__sums_add_lanes(const double *sum, const double *product, int64_t live,
                                 double *out) {
    int64_t l;
    out[0] = out[1] = 0.0;
    for (l = 0; l < live; l++) {
        out[0] += sum[l];
        out[1] += product[l];
    }
}

/* Sums of a and of a times b in double: each lane adds up its pixels first, then the live lanes are
   added. */
static void prun__sums_portable(const float *a, const float *b, int64_t pixels, int64_t channels,
                                int64_t live, double *out) {
    const int64_t step = channels * PRUN_LANES;
    int64_t c, p;
    int l;
    for (c = 0; c < step; c += PRUN_LANES, out += 2) {
        double sum[PRUN_LANES], product[PRUN_LANES];
        for (l = 0; l < PRUN_LANES; l++) sum[l] = product[l] = 0.0;
        for (p = 0; p < pixels * step; p += step)
            for (l = 0; l < PRUN_LANES; l++) {
                const double u = (double)a[p + c + l];
                sum[l] += u;
                product[l] += u * (double)b[p + c + l];
            }
        prun__sums_add_lanes(sum, product, live, out);
    }
}

/* Kernels with one text for all tiers: v holds the operations of the tier. */

/* Weight gradient of `rows` x `columns`: at most twelve accumulators where there are 16 registers,
   24 of 32. Lanes are added up once, at the end. */
PRUN__INLINE void prun__correlate(const prun__vector *v, int rows, int columns,
                                  const prun__correlation *job) {
    const int64_t x_gap = job->x_pixel - PRUN_LANES, y_gap = job->y_pixel - PRUN_LANES;
    int64_t tile, block, row, pixel;
    int i, j, l;
    for (tile = 0; tile < job->tiles; tile++) {
        prun__lanes sum[6][4], in[4], out;
        int64_t offset[4];
        PRUN__UNROLL for (i = 0; i < rows; i++) offset[i] = job->offset[tile * rows + i];
        PRUN__UNROLL for (j = 0; j < columns; j++) {
            PRUN__UNROLL for (i = 0; i < rows; i++) v->set(sum[j][i], 0.0f);
        }
        for (block = 0; block < job->blocks; block++)
            for (row = 0; row < job->rows; row++) {
                const float *x = job->x + block * job->x_block + row * job->x_row;
                const float *y = job->y + block * job->y_block + row * job->y_row;
                for (pixel = 0; pixel < job->pixels; pixel++, x += x_gap, y += y_gap)
                    for (l = 0; l < PRUN_LANES; l += v->width, x += v->width, y += v->width) {
                        PRUN__UNROLL for (i = 0; i < rows; i++) v->copy(in[i], x + offset[i]);
                        PRUN__UNROLL for (j = 0; j < columns; j++) {
                            v->copy(out, y + j * PRUN_LANES);
                            PRUN__UNROLL for (i = 0; i < rows; i++)
                                v->mla(sum[j][i], in[i], out, sum[j][i]);
                        }
                    }
            }
        PRUN__UNROLL for (j = 0; j < columns; j++)
            v->add_rows(sum[j][0], job->sum + tile * rows + j * job->sum_column);
    }
}

/* Winograd (Lavin and Gray 2016). Along an axis, four outputs of a 3-tap filter of stride 1 come
   from six points: 0, 1, -1, 2, -2, infinity. At stride 2 the inputs that meet the two outer taps
   and those that meet the middle one make two filters: of 2 taps, with the points 0, 1, -1, 2 and
   infinity, and of 1 tap, whose four points are the inputs themselves; nine points in all.
   b: inputs to points; a: points to outputs; t: the transpose of a. All work in place. */
#define PRUN__MOST_POINTS 9
typedef enum prun__transform {
    PRUN__B6,
    PRUN__B9,
    PRUN__T6,
    PRUN__T9,
    PRUN__A6,
    PRUN__A9,
    PRUN__PHASES
} prun__transform;

/* Stride 1: six inputs to six points. */
PRUN__INLINE void prun__transform_b6(const prun__vector *v, prun__lanes *d) {
    prun__lanes two, four, five, a, b, c, e, f;
    v->set(two, 2.0f);
    v->set(four, 4.0f);
    v->set(five, 5.0f);
    v->mls(a, four, d[2], d[4]); /* a = d4 - 4 d2 */
    v->mls(b, four, d[1], d[3]); /* b = d3 - 4 d1 */
    v->sub(c, d[4], d[2]);
    v->sub(e, d[3], d[1]);
    v->mls(f, five, d[2], d[4]);
    v->mla(d[0], four, d[0], f); /* 4 d0 - 5 d2 + d4 */
    v->mls(f, five, d[3], d[5]);
    v->mla(d[5], four, d[1], f); /* 4 d1 - 5 d3 + d5 */
    v->add(d[1], a, b);
    v->sub(d[2], a, b);
    v->mla(d[3], two, e, c); /* c + 2 e */
    v->mls(d[4], two, e, c); /* c - 2 e */
}

/* Stride 1: six points to four outputs. */
PRUN__INLINE void prun__transform_a6(const prun__vector *v, prun__lanes *m) {
    prun__lanes two, four, eight, a, b, c, d;
    v->set(two, 2.0f);
    v->set(four, 4.0f);
    v->set(eight, 8.0f);
    v->add(a, m[1], m[2]);
    v->sub(b, m[1], m[2]);
    v->add(c, m[3], m[4]);
    v->sub(d, m[3], m[4]);
    v->add(m[1], a, c);
    v->add(m[0], m[0], m[1]); /* m0 + (a + c) */
    v->mla(m[1], two, d, b);  /* b + 2 d */
    v->mla(m[2], four, c, a); /* a + 4 c */
    v->mla(m[3], eight, d, b);
    v->add(m[3], m[3], m[5]); /* b + 8 d + m5 */
}

/* Stride 1: the gradients of four outputs to those of six points. */
PRUN__INLINE void prun__transform_t6(const prun__vector *v, prun__lanes *y) {
    prun__lanes two, four, a, b, c, d;
    v->set(two, 2.0f);
    v->set(four, 4.0f);
    v->add(a, y[0], y[2]);
    v->add(b, y[1], y[3]);
    v->mla(c, four, y[2], y[0]); /* c = y0 + 4 y2 */
    v->mla(d, four, y[3], y[1]); /* d = y1 + 4 y3 */
    v->copy(y[5], y[3]);
    v->add(y[1], a, b);
    v->sub(y[2], a, b);
    v->mla(y[3], two, d, c); /* c + 2 d */
    v->mls(y[4], two, d, c); /* c - 2 d */
}

/* Stride 2: nine inputs to nine points, of which the last four are inputs. */
PRUN__INLINE void prun__transform_b9(const prun__vector *v, prun__lanes *d) {
    prun__lanes two, a, b, c, e;
    v->set(two, 2.0f);
    v->sub(e, d[3], d[1]);
    v->sub(a, d[3], d[2]);
    v->mls(b, two, d[2], a); /* b = d3 - 3 d2 */
    v->sub(c, d[4], d[2]);
    v->mls(d[4], two, e, c); /* d4 - d2 - 2 e */
    v->sub(c, d[0], d[2]);
    v->mla(d[0], two, c, e); /* 2 (d0 - d2) + e */
    v->mla(d[2], two, d[1], b);
    v->mls(d[1], two, d[1], a);
    v->copy(d[3], e);
}

/* Stride 2: the four outputs of the two taps, then those of the one tap, which are points. */
PRUN__INLINE void prun__transform_phases(const prun__vector *v, prun__lanes *m) {
    prun__lanes two, four, eight, a, b, c;
    v->set(two, 2.0f);
    v->set(four, 4.0f);
    v->set(eight, 8.0f);
    v->add(a, m[1], m[2]);
    v->sub(b, m[1], m[2]);
    v->add(c, a, m[3]);
    v->add(m[0], m[0], c);
    v->mla(m[1], two, m[3], b);
    v->mla(m[2], four, m[3], a);
    v->mla(c, eight, m[3], b);
    v->add(m[3], c, m[4]); /* b + 8 m3 + m4 */
    v->copy(m[4], m[5]);
    v->copy(m[5], m[6]);
    v->copy(m[6], m[7]);
    v->copy(m[7], m[8]);
}

/* Stride 2: nine points to four outputs. */
PRUN__INLINE void prun__transform_a9(const prun__vector *v, prun__lanes *m) {
    prun__transform_phases(v, m);
    v->add(m[0], m[0], m[4]);
    v->add(m[1], m[1], m[5]);
    v->add(m[2], m[2], m[6]);
    v->add(m[3], m[3], m[7]);
}

/* Stride 2: the gradients of four outputs to those of nine points. */
PRUN__INLINE void prun__transform_t9(const prun__vector *v, prun__lanes *y) {
    prun__lanes two, four, a, b, c, d;
    v->set(two, 2.0f);
    v->set(four, 4.0f);
    v->add(a, y[0], y[2]);
    v->add(b, y[1], y[3]);
    v->mla(c, four, y[2], y[0]); /* c = y0 + 4 y2 */
    v->mla(d, four, y[3], y[1]); /* d = y1 + 4 y3 */
    v->copy(y[4], y[3]);
    v->copy(y[8], y[3]);
    v->copy(y[5], y[0]);
    v->copy(y[6], y[1]);
    v->copy(y[7], y[2]);
    v->add(y[1], a, b);
    v->sub(y[2], a, b);
    v->mla(y[3], two, d, c); /* c + 2 d */
}

/* Transform t along one axis, in place. t is a constant wherever this is inlined, so no branch is
   left. */
PRUN__INLINE void prun__transform_apply(const prun__vector *v, prun__transform t, prun__lanes *d) {
    switch (t) {
        case PRUN__B6: prun__transform_b6(v, d); break;
        case PRUN__B9: prun__transform_b9(v, d); break;
        case PRUN__T6: prun__transform_t6(v, d); break;
        case PRUN__T9: prun__transform_t9(v, d); break;
        case PRUN__A6: prun__transform_a6(v, d); break;
        case PRUN__A9: prun__transform_a9(v, d); break;
        default: prun__transform_phases(v, d); break;
    }
}

/* Values that a transform takes along an axis. */
PRUN__INLINE int prun__transform_inputs(prun__transform t) {
    if (t == PRUN__T6 || t == PRUN__T9) return 4;
    return t == PRUN__B6 || t == PRUN__A6 ? 6 : 9;
}

/* Values that it makes of them. */
PRUN__INLINE int prun__transform_outputs(prun__transform t) {
    if (t == PRUN__A6 || t == PRUN__A9) return 4;
    if (t == PRUN__PHASES) return 8;
    return t == PRUN__B6 || t == PRUN__T6 ? 6 : 9;
}

/* Transforms go through both axes, rows first. Those of six points are unrolled in the tier whose
   registers hold the halves between; elsewhere loops are as fast and a fraction of the code. */
PRUN__INLINE int prun__transform_is_flat(const prun__vector *v, prun__transform t) {
    return v->width == PRUN_LANES && (t == PRUN__B6 || t == PRUN__T6 || t == PRUN__A6);
}

/* Row i of the inputs of a tile, transformed, to `half`. Pixels are often a multiple of 4 KB apart,
   where the first-level cache holds only eight of them and the hardware does not see them coming:
   so each is read once, and asked for early. */
PRUN__INLINE void prun__winograd_in_row(const prun__vector *v, prun__transform t, int i,
                                        const float *const *x, int64_t at, prun__lanes *half) {
    const int from = prun__transform_inputs(t), to = prun__transform_outputs(t);
    prun__lanes d[PRUN__MOST_POINTS];
    int j;
    PRUN__UNROLL for (j = 0; j < from; j++) {
        v->copy(d[j], x[from * i + j] + at);
        PRUN__PREFETCH(x[from * i + j] + at, 128);
    }
    prun__transform_apply(v, t, d);
    PRUN__UNROLL for (j = 0; j < to; j++) v->copy(half[j * from + i], d[j]);
}

/* Column i of the points of a tile, from `half`; stride: floats between points. */
PRUN__INLINE void prun__winograd_in_column(const prun__vector *v, prun__transform t, int i,
                                           prun__lanes *half, float *points, int64_t stride) {
    const int from = prun__transform_inputs(t), to = prun__transform_outputs(t);
    prun__lanes d[PRUN__MOST_POINTS];
    int j;
    PRUN__UNROLL for (j = 0; j < from; j++) v->copy(d[j], half[i * from + j]);
    prun__transform_apply(v, t, d);
    PRUN__UNROLL for (j = 0; j < to; j++) v->copy(points + (to * j + i) * stride, d[j]);
}

/* The pixels x of a tile to its points. */
PRUN__INLINE void prun__winograd_in(const prun__vector *v, prun__transform t, const float *const *x,
                                    int64_t channels, float *points, int64_t stride) {
    const int from = prun__transform_inputs(t), to = prun__transform_outputs(t);
    prun__lanes half[PRUN__MOST_POINTS * PRUN__MOST_POINTS];
    int64_t at;
    int i;
    for (at = 0; at < channels * PRUN_LANES; at += v->width) {
        if (prun__transform_is_flat(v, t)) {
            PRUN__UNROLL for (i = 0; i < from; i++) prun__winograd_in_row(v, t, i, x, at, half);
            PRUN__UNROLL for (i = 0; i < to; i++)
                prun__winograd_in_column(v, t, i, half, points + at, stride);
        } else {
            PRUN__ROLL for (i = 0; i < from; i++) prun__winograd_in_row(v, t, i, x, at, half);
            PRUN__ROLL for (i = 0; i < to; i++)
                prun__winograd_in_column(v, t, i, half, points + at, stride);
        }
    }
}

/* Where the points of a tile lie: `stride` floats apart. */
typedef struct prun__tile_points {
    const float *first;
    int64_t stride;
} prun__tile_points;

/* How the pixels of a channel are finished, in all lanes. */
typedef struct prun__tile_finish {
    prun__lanes low, bias; /* floor of the outputs; the channel's bias */
    prun__lanes closest;   /* out: smallest absolute result before the bias, where it is judged */
    int early, judged, accumulate; /* early: the bias is added to the point (1, 1) */
} prun__tile_finish;

/* Row i of the points of a tile, at `first`, transformed, to `half`. The point (1, 1) goes to every
   output as it is, so the bias may be added there; not so in phases, which have none, nor where the
   results are judged without it. */
PRUN__INLINE void prun__winograd_out_row(const prun__vector *v, prun__transform t, int i,
                                         prun__tile_points points, const prun__tile_finish *f,
                                         prun__lanes *half) {
    const int from = prun__transform_inputs(t), to = prun__transform_outputs(t);
    prun__lanes d[PRUN__MOST_POINTS];
    int j;
    PRUN__UNROLL for (j = 0; j < from; j++)
        v->copy(d[j], points.first + (from * i + j) * points.stride);
    if (i == 1 && f->early) v->add(d[1], d[1], f->bias);
    prun__transform_apply(v, t, d);
    PRUN__UNROLL for (j = 0; j < to; j++) v->copy(half[j * from + i], d[j]);
}

/* Column i of the pixels y of a tile, from `half`, finished. */
PRUN__INLINE void prun__winograd_out_column(const prun__vector *v, prun__transform t, int i,
                                            prun__lanes *half, prun__tile_finish *f,
                                            float *const *y, int64_t at) {
    const int from = prun__transform_inputs(t), to = prun__transform_outputs(t);
    prun__lanes d[PRUN__MOST_POINTS], size;
    int j;
    PRUN__UNROLL for (j = 0; j < from; j++) v->copy(d[j], half[i * from + j]);
    prun__transform_apply(v, t, d);
    PRUN__UNROLL for (j = 0; j < to; j++) {
        float *pixel = y[to * j + i] + at;
        if (f->judged) {
            v->absolute(size, d[j]);
            v->minimum(f->closest, f->closest, size);
            v->add(d[j], d[j], f->bias);
        }
        if (f->accumulate) v->add(d[j], d[j], pixel);
        v->maximum(pixel, f->low, d[j]);
    }
}

/* The points of a tile to its output pixels, finished with bias, ReLU or addition. least: NULL, or
   out: each channel's smallest absolute result before the bias, per lane. */
PRUN__INLINE void prun__winograd_out(const prun__vector *v, prun__transform t,
                                     prun__tile_points points, int64_t channels,
                                     const prun__finish *finish, float *least, float *const *y) {
    const int from = prun__transform_inputs(t), to = prun__transform_outputs(t);
    const float *bias = finish->bias;
    prun__lanes half[PRUN__MOST_POINTS * PRUN__MOST_POINTS];
    prun__tile_finish f;
    int64_t at;
    int i;
    f.accumulate = finish->accumulate;
    f.judged = least != NULL;
    f.early = bias && !least;
    v->set(f.low, finish->relu ? 0.0f : -(float)HUGE_VAL);
    for (at = 0; at < channels * PRUN_LANES; at += v->width, points.first += v->width) {
        v->set(f.bias, bias ? bias[at / PRUN_LANES] : 0.0f);
        v->set(f.closest, (float)HUGE_VAL);
        if (prun__transform_is_flat(v, t)) {
            PRUN__UNROLL for (i = 0; i < from; i++)
                prun__winograd_out_row(v, t, i, points, &f, half);
            PRUN__UNROLL for (i = 0; i < to; i++)
                prun__winograd_out_column(v, t, i, half, &f, y, at);
        } else {
            PRUN__ROLL for (i = 0; i < from; i++) prun__winograd_out_row(v, t, i, points, &f, half);
            PRUN__ROLL for (i = 0; i < to; i++) prun__winograd_out_column(v, t, i, half, &f, y, at);
        }
        if (least) v->copy(least + at, f.closest);
    }
}

#define PRUN__ALL_LANES 0xffffu

/* `found` with the bits of the lanes that are not zero in one of `count` vectors; it stops early
   when all lanes are found. */
PRUN__INLINE uint32_t prun__nonzero_lanes(const prun__vector *v, const float *x, int64_t count,
                                          uint32_t found) {
    const float *end = x + count * PRUN_LANES;
    int l;
    for (; x < end && found != PRUN__ALL_LANES; x += PRUN_LANES)
        for (l = 0; l < PRUN_LANES; l += v->width) found |= v->nonzero(x + l) << l;
    return found;
}

/* Largest absolute value of each lane in `count` vectors; NaNs do not count. */
PRUN__INLINE void prun__largest(const prun__vector *v, const float *x, int64_t count, float *top) {
    const float *end = x + count * PRUN_LANES, *at;
    prun__lanes most, size;
    int l;
    for (l = 0; l < PRUN_LANES; l += v->width) {
        v->set(most, 0.0f);
        for (at = x + l; at < end; at += PRUN_LANES) {
            v->absolute(size, at);
            v->maximum(most, size, most);
        }
        v->copy(top + l, most);
    }
}

/* Batch norm with ReLU and pooling: the coefficients of one channel in all lanes. They are kept
   apart from the job, which the compiler must read again after every store. */
typedef struct prun__norm_channel {
    int64_t step, line; /* floats between the pixels and the rows of x */
    prun__lanes mean, scale, shift;
    prun__lanes dscale, dshift; /* tangents of scale and shift, where there are any */
} prun__norm_channel;

/* Puts the coefficients of channel c into all lanes. */
PRUN__INLINE void prun__norm_channel_set(const prun__vector *v, const prun__norm_job *job,
                                         int64_t c, prun__norm_channel *n) {
    v->set(n->mean, job->mean[c]);
    v->set(n->scale, job->scale[c]);
    v->set(n->shift, job->shift[c]);
}

/* y = (x - mean) scale + shift. Subtracting the mean first keeps the digits when it is large
   against the deviation. Backward recomputes the same values: same operations, same bits. */
PRUN__INLINE void prun__norm_value(const prun__vector *v, const prun__norm_channel *n,
                                   const float *x, float *y) {
    v->sub(y, x, n->mean);
    v->mla(y, y, n->scale, n->shift);
}

/* Largest output of the pooling window at x; a NaN wins, as in PyTorch. */
PRUN__INLINE void prun__norm_window_max(const prun__vector *v, const prun__norm_job *job,
                                        const prun__norm_channel *n, const float *x, float *best) {
    prun__lanes value;
    int64_t ky, kx;
    prun__norm_value(v, n, x, best);
    if (job->window > 1) {
        for (ky = 0; ky < job->window; ky++)
            for (kx = 0; kx < job->window; kx++) {
                prun__norm_value(v, n, x + ky * n->line + kx * n->step, value);
                v->top(best, value, best);
            }
    }
}

/* Batch norm, ReLU and pooling of one block, output pixel by output pixel. */
PRUN__INLINE void prun__norm(const prun__vector *v, const prun__norm_job *job, const float *x,
                             float *y) {
    prun__norm_channel n;
    prun__lanes low, best;
    int64_t oy, ox, c;
    int l;
    n.step = job->channels * PRUN_LANES;
    n.line = job->in_width * n.step;
    v->set(low, job->low);
    for (oy = 0; oy < job->out_height; oy++)
        for (ox = 0; ox < job->out_width; ox++) {
            const float *z = x + (oy * n.line + ox * n.step) * job->window;
            for (c = 0; c < job->channels; c++) {
                prun__norm_channel_set(v, job, c, &n);
                if (job->window == 1) {
                    for (l = 0; l < PRUN_LANES; l += v->width) {
                        prun__norm_value(v, &n, z + l, best);
                        v->maximum(y + l, low, best);
                    }
                } else {
                    for (l = 0; l < PRUN_LANES; l += v->width) {
                        prun__norm_window_max(v, job, &n, z + l, best);
                        v->maximum(y + l, low, best);
                    }
                }
                z += PRUN_LANES;
                y += PRUN_LANES;
            }
        }
}

/* The gradient dy of one output to the pixels of its window: the first maximum gets all of it
   (PyTorch's rule), and nothing where the ReLU is shut. */
PRUN__INLINE void prun__norm_window_mask(const prun__vector *v, const prun__norm_job *job,
                                         const prun__norm_channel *n, const float *x,
                                         const float *dy, float *g) {
    prun__lanes zero, best, left, value, part;
    int64_t ky, kx;
    v->set(zero, 0.0f);
    v->copy(left, dy);
    prun__norm_window_max(v, job, n, x, best);
    if (job->relu) v->if_gt(left, best, zero, left);
    if (job->window == 1) {
        v->copy(g, left);
        return;
    }
    for (ky = 0; ky < job->window; ky++)
        for (kx = 0; kx < job->window; kx++) {
            const int64_t here = ky * n->line + kx * n->step;
            prun__norm_value(v, n, x + here, value);
            v->if_eq(part, value, best, left);
            v->copy(g + here, part);
            v->if_ne(left, value, best, left);
        }
}

/* The gradient dy of a block's outputs, taken back through pooling and ReLU to the gradient g of
   the normalised values. */
PRUN__INLINE void prun__norm_mask(const prun__vector *v, const prun__norm_job *job, const float *x,
                                  const float *dy, float *g) {
    prun__norm_channel n;
    int64_t oy, ox, c;
    int l;
    n.step = job->channels * PRUN_LANES;
    n.line = job->in_width * n.step;
    for (oy = 0; oy < job->out_height; oy++)
        for (ox = 0; ox < job->out_width; ox++) {
            int64_t at = (oy * n.line + ox * n.step) * job->window;
            for (c = 0; c < job->channels; c++) {
                prun__norm_channel_set(v, job, c, &n);
                for (l = 0; l < PRUN_LANES; l += v->width, at += v->width, dy += v->width)
                    prun__norm_window_mask(v, job, &n, x + at, dy, g + at);
            }
        }
}

/* dx (+)= scale (g - m1 - (x - mean) m2) at the input's resolution; g may be dx. */
PRUN__INLINE void prun__norm_apply(const prun__vector *v, const prun__norm_job *job, const float *x,
                                   const float *g, float *dx) {
    const int64_t pixels = job->out_height * job->out_width;
    prun__lanes mean, scale, m1, m2, d, result;
    int64_t p, c;
    int l;
    for (p = 0; p < pixels; p++)
        for (c = 0; c < job->channels; c++) {
            v->set(mean, job->mean[c]);
            v->set(scale, job->scale[c]);
            v->set(m1, job->m1[c]);
            v->set(m2, job->m2[c]);
            for (l = 0; l < PRUN_LANES; l += v->width) {
                v->sub(d, x, mean);
                v->sub(result, g, m1);
                v->mls(result, d, m2, result);
                v->mul(result, scale, result);
                if (job->add) v->add(dx, dx, result);
                else v->copy(dx, result);
                x += v->width;
                g += v->width;
                dx += v->width;
            }
        }
}

/* The tangent `to` of the best output of the pooling window at x, from t, that of x: the first
   maximum hands on its own. */
PRUN__INLINE void prun__norm_window_tangent(const prun__vector *v, const prun__norm_job *job,
                                            const prun__norm_channel *n, const float *x,
                                            const float *t, float *to) {
    prun__lanes zero, left, best, value, d, dy;
    int64_t ky, kx;
    v->set(zero, 0.0f);
    v->set(left, 1.0f);
    v->copy(to, zero);
    prun__norm_window_max(v, job, n, x, best);
    for (ky = 0; ky < job->window; ky++)
        for (kx = 0; kx < job->window; kx++) {
            const int64_t here = ky * n->line + kx * n->step;
            prun__norm_value(v, n, x + here, value);
            v->sub(d, x + here, n->mean);
            v->mla(dy, d, n->dscale, n->dshift);
            v->mla(dy, t + here, n->scale, dy);
            v->if_eq(dy, value, best, dy);
            v->if_gt(dy, left, zero, dy);
            v->add(to, to, dy);
            v->if_ne(left, value, best, left);
        }
    if (job->relu) v->if_gt(to, best, zero, to);
}

/* The tangents `to` of one block's outputs of batch norm, ReLU and pooling, from t, those of x.
   job->m1 and m2 are the tangents of scale and shift. */
PRUN__INLINE void prun__norm_tangent(const prun__vector *v, const prun__norm_job *job,
                                     const float *x, const float *t, float *to) {
    prun__norm_channel n;
    prun__lanes tangent;
    int64_t oy, ox, c;
    int l;
    n.step = job->channels * PRUN_LANES;
    n.line = job->in_width * n.step;
    for (oy = 0; oy < job->out_height; oy++)
        for (ox = 0; ox < job->out_width; ox++) {
            int64_t at = (oy * n.line + ox * n.step) * job->window;
            for (c = 0; c < job->channels; c++) {
                prun__norm_channel_set(v, job, c, &n);
                v->set(n.dscale, job->m1[c]);
                v->set(n.dshift, job->m2[c]);
                for (l = 0; l < PRUN_LANES; l += v->width, at += v->width, to += v->width) {
                    prun__norm_window_tangent(v, job, &n, x + at, t + at, tangent);
                    v->copy(to, tangent);
                }
            }
        }
}

/* The entries of a tier T, with its attribute TARGET. */
#define PRUN__ENTER_CORRELATE(T, TARGET, ROWS, COLUMNS) \
    TARGET PRUN__FLAT static void prun__correlate##COLUMNS##T(const prun__correlation *job) { \
        prun__correlate(&prun__vector##T, ROWS, COLUMNS, job); \
    }
#define PRUN__ENTER_IN(T, TARGET, NAME, TRANSFORM) \
    TARGET PRUN__FLAT static void prun__winograd_##NAME##T( \
        const float *const *x, int64_t channels, float *points, int64_t stride) { \
        prun__winograd_in(&prun__vector##T, TRANSFORM, x, channels, points, stride); \
    }
#define PRUN__ENTER_OUT(T, TARGET, NAME, TRANSFORM) \
    TARGET PRUN__FLAT static void prun__winograd_##NAME##T( \
        const float *m, int64_t stride, int64_t channels, const prun__finish *finish, \
        float *least, float *const *y) { \
        prun__tile_points points; \
        points.first = m; \
        points.stride = stride; \
        prun__winograd_out(&prun__vector##T, TRANSFORM, points, channels, finish, least, y); \
    }
#define PRUN__ENTER_WINOGRAD(T, TARGET) \
    PRUN__ENTER_IN(T, TARGET, in6, PRUN__B6) \
    PRUN__ENTER_IN(T, TARGET, in9, PRUN__B9) \
    PRUN__ENTER_IN(T, TARGET, dy6, PRUN__T6) \
    PRUN__ENTER_IN(T, TARGET, dy9, PRUN__T9) \
    PRUN__ENTER_OUT(T, TARGET, out6, PRUN__A6) \
    PRUN__ENTER_OUT(T, TARGET, out9, PRUN__A9) \
    PRUN__ENTER_OUT(T, TARGET, phases, PRUN__PHASES)
#define PRUN__ENTER_SEARCHES(T, TARGET) \
    TARGET PRUN__FLAT static uint32_t prun__nonzero##T(const float *x, int64_t count, \
                                                       uint32_t found) { \
        return prun__nonzero_lanes(&prun__vector##T, x, count, found); \
    } \
    TARGET PRUN__FLAT static void prun__largest##T(const float *x, int64_t count, float *top) { \
        prun__largest(&prun__vector##T, x, count, top); \
    }
#define PRUN__ENTER_NORM(T, TARGET) \
    TARGET PRUN__FLAT static void prun__norm##T(const prun__norm_job *job, const float *x, \
                                                float *y) { \
        prun__norm(&prun__vector##T, job, x, y); \
    } \
    TARGET PRUN__FLAT static void prun__norm_mask##T(const prun__norm_job *job, const float *x, \
                                                     const float *dy, float *g) { \
        prun__norm_mask(&prun__vector##T, job, x, dy, g); \
    }
#define PRUN__ENTER_NORM_REST(T, TARGET) \
    TARGET PRUN__FLAT static void prun__norm_apply##T(const prun__norm_job *job, const float *x, \
                                                      const float *g, float *dx) { \
        prun__norm_apply(&prun__vector##T, job, x, g, dx); \
    } \
    TARGET PRUN__FLAT static void prun__norm_tangent##T(const prun__norm_job *job, const float *x, \
                                                        const float *t, float *to) { \
        prun__norm_tangent(&prun__vector##T, job, x, t, to); \
    }
#define PRUN__ENTER_TIER(T, TARGET) \
    PRUN__ENTER_WINOGRAD(T, TARGET) \
    PRUN__ENTER_SEARCHES(T, TARGET) \
    PRUN__ENTER_NORM(T, TARGET) \
    PRUN__ENTER_NORM_REST(T, TARGET)

/* The end of a tier's table: from the sparse kernel on, all tiers have the same entries. */
#define PRUN__TIER_REST(T) \
    prun__sparse##T, {prun__winograd_in6##T, prun__winograd_in9##T}, \
        {prun__winograd_out6##T, prun__winograd_out9##T, prun__winograd_phases##T}, \
        {prun__winograd_dy6##T, prun__winograd_dy9##T}, prun__nonzero##T, prun__largest##T, \
        prun__sums##T, prun__norm##T, prun__norm_mask##T, prun__norm_apply##T, \
        prun__norm_tangent##T

/* clang-format off: macros whose calls are definitions */
PRUN__ENTER_TIER(_portable, )
PRUN__ENTER_CORRELATE(_portable, , 3, 1)
PRUN__ENTER_CORRELATE(_portable, , 3, 2)
PRUN__ENTER_CORRELATE(_portable, , 3, 3)
PRUN__ENTER_CORRELATE(_portable, , 3, 4)
/* clang-format on */

static const prun__kernels prun__kernels_portable = {
    "portable",
    6,
    3,
    4,
    {NULL, NULL, prun__panel4_portable, prun__panel6_portable, NULL, NULL, NULL, NULL, NULL},
    {NULL, prun__correlate1_portable, prun__correlate2_portable, prun__correlate3_portable,
     prun__correlate4_portable, NULL, NULL},
    PRUN__TIER_REST(_portable)};

#endif

/* [X86.I] the kernels for AVX2 and AVX-512 */
/*
   The same tables for x86-64 CPUs that have AVX2 with FMA, or AVX-512.
*/
#ifndef PRUNABILITY_NO_NET

#if PRUN__X86
/* AVX2 + FMA tier. The vector types stay inside functions with the target attribute, so the rest of
   the program runs on any CPU. 6 channels x 16 lanes are 12 accumulators: enough to hide the FMA
   latency, and with two loads and one broadcast in flight they fit into the 16 registers. */
#define PRUN__AVX2 __attribute__((target("avx2,fma")))

/* Sixteen lanes of every channel of a panel are two accumulators c[i] and d[i]. */
PRUN__AVX2 PRUN__INLINE void prun__panel_avx2(const prun__panel *p, const int width) {
    const __m256 zero = _mm256_setzero_ps();
    int64_t pixel;
    int i;
    for (pixel = 0; pixel < p->pixels; pixel++) {
        const prun__segment *s = p->segment + p->first[pixel];
        const prun__segment *end = p->segment + p->first[pixel + 1];
        float *y = p->y + pixel * p->y_stride;
        __m256 c[6], d[6];
        PRUN__UNROLL for (i = 0; i < width; i++) {
            c[i] = d[i] = i < p->channels && p->bias ? _mm256_broadcast_ss(p->bias + i) : zero;
            if (i < p->channels && p->accumulate) {
                c[i] = _mm256_loadu_ps(y + 16 * i);
                d[i] = _mm256_loadu_ps(y + 16 * i + 8);
            }
        }
        for (; s < end; s++) {
            const float *x = p->x + (int64_t)s->x * PRUN_LANES;
            const float *w = p->weights + (int64_t)s->w * width;
            const float *stop = w + (int64_t)s->length * width;
            for (; w < stop; w += width, x += PRUN_LANES) {
                const __m256 x0 = _mm256_loadu_ps(x), x1 = _mm256_loadu_ps(x + 8);
                PRUN__UNROLL for (i = 0; i < width; i++) {
                    const __m256 v = _mm256_broadcast_ss(w + i);
                    c[i] = _mm256_fmadd_ps(v, x0, c[i]);
                    d[i] = _mm256_fmadd_ps(v, x1, d[i]);
                }
            }
        }
        /* max(0, v) with v second returns v when v is NaN. */
        PRUN__UNROLL for (i = 0; i < width; i++) {
            if (i < p->channels) {
                if (p->relu) {
                    c[i] = _mm256_max_ps(zero, c[i]);
                    d[i] = _mm256_max_ps(zero, d[i]);
                }
                _mm256_storeu_ps(y + 16 * i, c[i]);
                _mm256_storeu_ps(y + 16 * i + 8, d[i]);
            }
        }
    }
}
/* Panels of six and of four output channels. */
PRUN__AVX2 static void prun__panel6_avx2(const prun__panel *p) { prun__panel_avx2(p, 6); }
PRUN__AVX2 static void prun__panel4_avx2(const prun__panel *p) { prun__panel_avx2(p, 4); }

/* The operations of the AVX2 tier. */
PRUN__AVX2 static inline void prun__vector_set_avx2(float *r, float a) {
    _mm256_storeu_ps(r, _mm256_set1_ps(a));
}
PRUN__AVX2 static inline void prun__vector_copy_avx2(float *r, const float *a) {
    _mm256_storeu_ps(r, _mm256_loadu_ps(a));
}
PRUN__AVX2 static inline void prun__vector_add_avx2(float *r, const float *a, const float *b) {
    _mm256_storeu_ps(r, _mm256_add_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b)));
}
PRUN__AVX2 static inline void prun__vector_sub_avx2(float *r, const float *a, const float *b) {
    _mm256_storeu_ps(r, _mm256_sub_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b)));
}
PRUN__AVX2 static inline void prun__vector_mul_avx2(float *r, const float *a, const float *b) {
    _mm256_storeu_ps(r, _mm256_mul_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b)));
}
PRUN__AVX2 static inline void prun__vector_mla_avx2(float *r, const float *a, const float *b,
                                                    const float *c) {
    _mm256_storeu_ps(r,
                     _mm256_fmadd_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), _mm256_loadu_ps(c)));
}
PRUN__AVX2 static inline void prun__vector_mls_avx2(float *r, const float *a, const float *b,
                                                    const float *c) {
    _mm256_storeu_ps(r,
                     _mm256_fnmadd_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), _mm256_loadu_ps(c)));
}
PRUN__AVX2 static inline void prun__vector_maximum_avx2(float *r, const float *a, const float *b) {
    _mm256_storeu_ps(r, _mm256_max_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b)));
}
PRUN__AVX2 static inline void prun__vector_minimum_avx2(float *r, const float *a, const float *b) {
    _mm256_storeu_ps(r, _mm256_min_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b)));
}
PRUN__AVX2 static inline void prun__vector_top_avx2(float *r, const float *a, const float *b) {
    const __m256 v = _mm256_loadu_ps(a), w = _mm256_loadu_ps(b);
    const __m256 greater = _mm256_cmp_ps(v, w, _CMP_GT_OQ), nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
    _mm256_storeu_ps(r, _mm256_blendv_ps(w, v, _mm256_or_ps(greater, nan)));
}
PRUN__AVX2 static inline void prun__vector_absolute_avx2(float *r, const float *a) {
    _mm256_storeu_ps(r, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_loadu_ps(a)));
}
PRUN__AVX2 static inline void prun__vector_if_gt_avx2(float *r, const float *a, const float *b,
                                                      const float *c) {
    const __m256 mask = _mm256_cmp_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), _CMP_GT_OQ);
    _mm256_storeu_ps(r, _mm256_and_ps(mask, _mm256_loadu_ps(c)));
}
PRUN__AVX2 static inline void prun__vector_if_eq_avx2(float *r, const float *a, const float *b,
                                                      const float *c) {
    const __m256 mask = _mm256_cmp_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), _CMP_EQ_OQ);
    _mm256_storeu_ps(r, _mm256_and_ps(mask, _mm256_loadu_ps(c)));
}
PRUN__AVX2 static inline void prun__vector_if_ne_avx2(float *r, const float *a, const float *b,
                                                      const float *c) {
    const __m256 mask = _mm256_cmp_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), _CMP_NEQ_UQ);
    _mm256_storeu_ps(r, _mm256_and_ps(mask, _mm256_loadu_ps(c)));
}
PRUN__AVX2 static inline uint32_t prun__vector_nonzero_avx2(const float *a) {
    const __m256 zero = _mm256_setzero_ps();
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(a), zero, _CMP_NEQ_UQ));
}
/* Adds the lanes of three vectors to sum[0], [1], [2]. */
PRUN__AVX2 static inline void prun__vector_add_rows_avx2(const float *rows, float *sum) {
    const __m256 a = _mm256_loadu_ps(rows), b = _mm256_loadu_ps(rows + PRUN_LANES);
    const __m256 c = _mm256_loadu_ps(rows + 2 * PRUN_LANES), zero = _mm256_setzero_ps();
    const __m256 u = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, zero));
    float total[4];
    int i;
    _mm_storeu_ps(total, _mm_add_ps(_mm256_castps256_ps128(u), _mm256_extractf128_ps(u, 1)));
    for (i = 0; i < 3; i++) sum[i] += total[i];
}

static const prun__vector prun__vector_avx2 = {
    8,
    prun__vector_set_avx2,
    prun__vector_copy_avx2,
    prun__vector_add_avx2,
    prun__vector_sub_avx2,
    prun__vector_mul_avx2,
    prun__vector_mla_avx2,
    prun__vector_mls_avx2,
    prun__vector_maximum_avx2,
    prun__vector_minimum_avx2,
    prun__vector_top_avx2,
    prun__vector_absolute_avx2,
    prun__vector_if_gt_avx2,
    prun__vector_if_eq_avx2,
    prun__vector_if_ne_avx2,
    prun__vector_nonzero_avx2,
    prun__vector_add_rows_avx2,
};

/* Four pixels share each weight: eight accumulators hide the FMA latency. Pixels beyond the last
   repeat it and are not stored. */
PRUN__AVX2 static void prun__sparse4_avx2(const prun__sparse_job *j) {
    const __m256 zero = _mm256_setzero_ps(), start = _mm256_broadcast_ss(&j->bias);
    const prun__nonzero *n = j->nonzero, *end = n + j->count;
    const float *x[4];
    __m256 c[4], d[4];
    int i;
    PRUN__UNROLL for (i = 0; i < 4; i++) {
        x[i] = j->x + PRUN__MIN(i, j->pixels - 1) * j->x_step;
        c[i] = d[i] = start;
    }
    for (; n < end; n++) {
        const __m256 w = _mm256_broadcast_ss(&n->weight);
        PRUN__UNROLL for (i = 0; i < 4; i++) {
            c[i] = _mm256_fmadd_ps(w, _mm256_loadu_ps(x[i] + n->offset), c[i]);
            d[i] = _mm256_fmadd_ps(w, _mm256_loadu_ps(x[i] + n->offset + 8), d[i]);
        }
    }
    PRUN__UNROLL for (i = 0; i < 4; i++) {
        if (i < j->pixels) {
            _mm256_storeu_ps(j->y + i * j->y_step, j->relu ? _mm256_max_ps(zero, c[i]) : c[i]);
            _mm256_storeu_ps(j->y + i * j->y_step + 8, j->relu ? _mm256_max_ps(zero, d[i]) : d[i]);
        }
    }
}

/* Up to eight pixels. */
static void prun__sparse_avx2(const prun__sparse_job *job) {
    prun__sparse_split(job, prun__sparse4_avx2);
}

/* Sums of a and of a times b in double: the sixteen lanes of a channel are four vectors of each
   sum. */
PRUN__AVX2 static void prun__sums_avx2(const float *a, const float *b, int64_t pixels,
                                       int64_t channels, int64_t live, double *out) {
    const int64_t step = channels * PRUN_LANES;
    int64_t c, p;
    int i;
    for (c = 0; c < step; c += PRUN_LANES, out += 2, a += PRUN_LANES, b += PRUN_LANES) {
        double sum[PRUN_LANES], product[PRUN_LANES];
        __m256d s[4], q[4];
        PRUN__UNROLL for (i = 0; i < 4; i++) s[i] = q[i] = _mm256_setzero_pd();
        for (p = 0; p < pixels * step; p += step) {
            PRUN__UNROLL for (i = 0; i < 4; i++) {
                const __m256d u = _mm256_cvtps_pd(_mm_loadu_ps(a + p + 4 * i));
                const __m256d v = _mm256_cvtps_pd(_mm_loadu_ps(b + p + 4 * i));
                s[i] = _mm256_add_pd(s[i], u);
                q[i] = _mm256_fmadd_pd(u, v, q[i]);
            }
        }
        PRUN__UNROLL for (i = 0; i < 4; i++) {
            _mm256_storeu_pd(sum + 4 * i, s[i]);
            _mm256_storeu_pd(product + 4 * i, q[i]);
        }
        prun__sums_add_lanes(sum, product, live, out);
    }
}

/* clang-format off: macros whose calls are definitions */
PRUN__ENTER_TIER(_avx2, PRUN__AVX2)
PRUN__ENTER_CORRELATE(_avx2, PRUN__AVX2, 3, 1)
PRUN__ENTER_CORRELATE(_avx2, PRUN__AVX2, 3, 2)
PRUN__ENTER_CORRELATE(_avx2, PRUN__AVX2, 3, 3)
PRUN__ENTER_CORRELATE(_avx2, PRUN__AVX2, 3, 4)
/* clang-format on */

static const prun__kernels prun__kernels_avx2 = {
    "avx2",
    6,
    3,
    4,
    {NULL, NULL, prun__panel4_avx2, prun__panel6_avx2, NULL, NULL, NULL, NULL, NULL},
    {NULL, prun__correlate1_avx2, prun__correlate2_avx2, prun__correlate3_avx2,
     prun__correlate4_avx2, NULL, NULL},
    PRUN__TIER_REST(_avx2)};

/* AVX-512 tier: a vector is all sixteen lanes, and 32 registers hold sixteen channels or a weight
   gradient of 4 x 6. Where the units are no wider than AVX2's (Zen 4) it still gains, because half
   the instructions and loads keep them busy. */
#define PRUN__AVX512 __attribute__((target("avx512f")))

/* Full masks cost nothing. The plain intrinsics start from an undefined vector, of which GCC warns
   in C++. */
#define PRUN__ALL16 ((__mmask16)-1)
#define PRUN__ALL8 ((__mmask8)-1)

/* The operations of the AVX-512 tier. */
PRUN__AVX512 static inline void prun__vector_set_avx512(float *r, float a) {
    _mm512_storeu_ps(r, _mm512_set1_ps(a));
}
PRUN__AVX512 static inline void prun__vector_copy_avx512(float *r, const float *a) {
    _mm512_storeu_ps(r, _mm512_loadu_ps(a));
}
PRUN__AVX512 static inline void prun__vector_add_avx512(float *r, const float *a, const float *b) {
    _mm512_storeu_ps(r, _mm512_add_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b)));
}
PRUN__AVX512 static inline void prun__vector_sub_avx512(float *r, const float *a, const float *b) {
    _mm512_storeu_ps(r, _mm512_sub_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b)));
}
PRUN__AVX512 static inline void prun__vector_mul_avx512(float *r, const float *a, const float *b) {
    _mm512_storeu_ps(r, _mm512_mul_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b)));
}
PRUN__AVX512 static inline void prun__vector_mla_avx512(float *r, const float *a, const float *b,
                                                        const float *c) {
    _mm512_storeu_ps(r,
                     _mm512_fmadd_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b), _mm512_loadu_ps(c)));
}
PRUN__AVX512 static inline void prun__vector_mls_avx512(float *r, const float *a, const float *b,
                                                        const float *c) {
    _mm512_storeu_ps(r,
                     _mm512_fnmadd_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b), _mm512_loadu_ps(c)));
}
PRUN__AVX512 static inline void prun__vector_maximum_avx512(float *r, const float *a,
                                                            const float *b) {
    _mm512_storeu_ps(r, _mm512_maskz_max_ps(PRUN__ALL16, _mm512_loadu_ps(a), _mm512_loadu_ps(b)));
}
PRUN__AVX512 static inline void prun__vector_minimum_avx512(float *r, const float *a,
                                                            const float *b) {
    _mm512_storeu_ps(r, _mm512_maskz_min_ps(PRUN__ALL16, _mm512_loadu_ps(a), _mm512_loadu_ps(b)));
}
PRUN__AVX512 static inline void prun__vector_top_avx512(float *r, const float *a, const float *b) {
    const __m512 v = _mm512_loadu_ps(a), w = _mm512_loadu_ps(b);
    const int greater = _mm512_cmp_ps_mask(v, w, _CMP_GT_OQ);
    const int nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    _mm512_storeu_ps(r, _mm512_mask_mov_ps(w, (__mmask16)(greater | nan), v));
}
PRUN__AVX512 static inline void prun__vector_absolute_avx512(float *r, const float *a) {
    _mm512_storeu_ps(r, _mm512_abs_ps(_mm512_loadu_ps(a)));
}
PRUN__AVX512 static inline void prun__vector_if_gt_avx512(float *r, const float *a, const float *b,
                                                          const float *c) {
    const __mmask16 mask = _mm512_cmp_ps_mask(_mm512_loadu_ps(a), _mm512_loadu_ps(b), _CMP_GT_OQ);
    _mm512_storeu_ps(r, _mm512_maskz_mov_ps(mask, _mm512_loadu_ps(c)));
}
PRUN__AVX512 static inline void prun__vector_if_eq_avx512(float *r, const float *a, const float *b,
                                                          const float *c) {
    const __mmask16 mask = _mm512_cmp_ps_mask(_mm512_loadu_ps(a), _mm512_loadu_ps(b), _CMP_EQ_OQ);
    _mm512_storeu_ps(r, _mm512_maskz_mov_ps(mask, _mm512_loadu_ps(c)));
}
PRUN__AVX512 static inline void prun__vector_if_ne_avx512(float *r, const float *a, const float *b,
                                                          const float *c) {
    const __mmask16 mask = _mm512_cmp_ps_mask(_mm512_loadu_ps(a), _mm512_loadu_ps(b), _CMP_NEQ_UQ);
    _mm512_storeu_ps(r, _mm512_maskz_mov_ps(mask, _mm512_loadu_ps(c)));
}
PRUN__AVX512 static inline uint32_t prun__vector_nonzero_avx512(const float *a) {
    return (uint32_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(a), _mm512_setzero_ps(), _CMP_NEQ_UQ);
}
/* Some channels of a panel, `channels` from `first` on, for `pixels` pixels whose segments have the
   same weights: an accumulator each. Without ReLU the lower limit is -infinity, so there is no
   branch. */
PRUN__AVX512 PRUN__INLINE void prun__panel_tile_avx512(const prun__panel *p, const int width,
                                                       const int first, const int channels,
                                                       int64_t pixel, const int pixels) {
    const __m512 low = _mm512_set1_ps(p->relu ? 0.0f : -(float)HUGE_VAL);
    const prun__segment *s = p->segment + p->first[pixel];
    const prun__segment *end = p->segment + p->first[pixel + 1];
    const int64_t step = end - s; /* segments from pixel to pixel */
    float *y = p->y + pixel * p->y_stride + 16 * first;
    __m512 c[3][16], v[3];
    const float *x[3];
    int i, n;
    PRUN__UNROLL for (i = 0; i < channels; i++) {
        const int live = p->bias && first + i < p->channels;
        PRUN__UNROLL for (n = 0; n < pixels; n++) c[n][i] =
            _mm512_set1_ps(live ? p->bias[first + i] : 0.0f);
    }
    for (; s < end; s++) {
        const float *w = p->weights + (int64_t)s->w * width + first;
        const float *stop = w + (int64_t)s->length * width;
        PRUN__UNROLL for (n = 0; n < pixels; n++) x[n] = p->x + (int64_t)s[n * step].x * PRUN_LANES;
        for (; w < stop; w += width) {
            PRUN__UNROLL for (n = 0; n < pixels; n++) {
                v[n] = _mm512_loadu_ps(x[n]);
                x[n] += PRUN_LANES;
            }
            PRUN__UNROLL for (i = 0; i < channels; i++) {
                const __m512 weight = _mm512_set1_ps(w[i]);
                PRUN__UNROLL for (n = 0; n < pixels; n++) c[n][i] =
                    _mm512_fmadd_ps(weight, v[n], c[n][i]);
            }
        }
    }
    PRUN__UNROLL for (n = 0; n < pixels; n++, y += p->y_stride) {
        PRUN__UNROLL for (i = 0; i < channels; i++) {
            if (first + i < p->channels) {
                if (p->accumulate) c[n][i] = _mm512_add_ps(c[n][i], _mm512_loadu_ps(y + 16 * i));
                _mm512_storeu_ps(y + 16 * i, _mm512_maskz_max_ps(PRUN__ALL16, low, c[n][i]));
            }
        }
    }
}
/* Pixels from `pixel` on, at most `most`, whose segments have the same weights. */
static int prun__panel_count_alike(const prun__panel *p, int64_t pixel, int most) {
    const prun__segment *s = p->segment + p->first[pixel];
    const int32_t count = p->first[pixel + 1] - p->first[pixel];
    int32_t i;
    int n;
    for (n = 1; n < most && pixel + n < p->pixels; n++) {
        const prun__segment *t = p->segment + p->first[pixel + n];
        if (p->first[pixel + n + 1] - p->first[pixel + n] != count) return n;
        for (i = 0; i < count; i++)
            if (t[i].w != s[i].w || t[i].length != s[i].length) return n;
    }
    return n;
}
/* All pixels of a panel, up to three at a time. Sixteen channels of one pixel need a vector of x
   and sixteen weights for sixteen sums, which two loads a cycle barely deliver; eight channels of
   three pixels need eleven loads for twenty-four sums. */
PRUN__AVX512 PRUN__INLINE void prun__panel_avx512(const prun__panel *p, const int width) {
    const int most = width == 12 ? 2 : 3, channels = width == 16 ? 8 : width;
    int64_t pixel = 0;
    while (pixel < p->pixels) {
        /* four pixels are two pairs */
        const int pixels = prun__panel_count_alike(p, pixel, p->pixels - pixel == 4 ? 2 : most);
        int i;
        for (i = 0; pixels > 1 && i < width; i += channels) {
            if (pixels == 3) prun__panel_tile_avx512(p, width, i, channels, pixel, 3);
            else prun__panel_tile_avx512(p, width, i, channels, pixel, 2);
        }
        if (pixels == 1) prun__panel_tile_avx512(p, width, 0, width, pixel, 1);
        pixel += pixels;
    }
}
/* Panels of 4, 8, 12 and 16 output channels. */
PRUN__AVX512 static void prun__panel4_avx512(const prun__panel *p) { prun__panel_avx512(p, 4); }
PRUN__AVX512 static void prun__panel8_avx512(const prun__panel *p) { prun__panel_avx512(p, 8); }
PRUN__AVX512 static void prun__panel12_avx512(const prun__panel *p) { prun__panel_avx512(p, 12); }
PRUN__AVX512 static void prun__panel16_avx512(const prun__panel *p) { prun__panel_avx512(p, 16); }

/* Adds the lanes of four vectors to sum[0] .. sum[3]: pairs, then quarters. */
PRUN__AVX512 static inline void prun__vector_add_rows_avx512(const float *rows, float *sum) {
    const __m512 a = _mm512_loadu_ps(rows), b = _mm512_loadu_ps(rows + PRUN_LANES);
    const __m512 c = _mm512_loadu_ps(rows + 2 * PRUN_LANES);
    const __m512 d = _mm512_loadu_ps(rows + 3 * PRUN_LANES);
    const __m512 e = _mm512_add_ps(_mm512_maskz_unpacklo_ps(PRUN__ALL16, a, b),
                                   _mm512_maskz_unpackhi_ps(PRUN__ALL16, a, b));
    const __m512 f = _mm512_add_ps(_mm512_maskz_unpacklo_ps(PRUN__ALL16, c, d),
                                   _mm512_maskz_unpackhi_ps(PRUN__ALL16, c, d));
    const __m512 g = _mm512_add_ps(_mm512_maskz_shuffle_ps(PRUN__ALL16, e, f, 0x44),
                                   _mm512_maskz_shuffle_ps(PRUN__ALL16, e, f, 0xee));
    const __m128 low = _mm_add_ps(_mm512_maskz_extractf32x4_ps(PRUN__ALL8, g, 0),
                                  _mm512_maskz_extractf32x4_ps(PRUN__ALL8, g, 1));
    const __m128 high = _mm_add_ps(_mm512_maskz_extractf32x4_ps(PRUN__ALL8, g, 2),
                                   _mm512_maskz_extractf32x4_ps(PRUN__ALL8, g, 3));
    _mm_storeu_ps(sum, _mm_add_ps(_mm_loadu_ps(sum), _mm_add_ps(low, high)));
}

static const prun__vector prun__vector_avx512 = {
    16,
    prun__vector_set_avx512,
    prun__vector_copy_avx512,
    prun__vector_add_avx512,
    prun__vector_sub_avx512,
    prun__vector_mul_avx512,
    prun__vector_mla_avx512,
    prun__vector_mls_avx512,
    prun__vector_maximum_avx512,
    prun__vector_minimum_avx512,
    prun__vector_top_avx512,
    prun__vector_absolute_avx512,
    prun__vector_if_gt_avx512,
    prun__vector_if_eq_avx512,
    prun__vector_if_ne_avx512,
    prun__vector_nonzero_avx512,
    prun__vector_add_rows_avx512,
};

/* Up to eight pixels share each weight. Pixels beyond the last repeat it and are not stored. */
PRUN__AVX512 PRUN__INLINE void prun__sparse_pixels_avx512(const prun__sparse_job *j,
                                                          const int pixels) {
    const __m512 low = _mm512_set1_ps(j->relu ? 0.0f : -(float)HUGE_VAL);
    const __m512 start = _mm512_set1_ps(j->bias);
    const prun__nonzero *n = j->nonzero, *end = n + j->count;
    const float *x[PRUN__SPARSE_PIXELS];
    __m512 c[PRUN__SPARSE_PIXELS];
    int i;
    PRUN__UNROLL for (i = 0; i < pixels; i++) {
        x[i] = j->x + PRUN__MIN(i, j->pixels - 1) * j->x_step;
        c[i] = start;
    }
    for (; n < end; n++) {
        const __m512 w = _mm512_set1_ps(n->weight);
        PRUN__UNROLL for (i = 0; i < pixels; i++) c[i] =
            _mm512_fmadd_ps(w, _mm512_loadu_ps(x[i] + n->offset), c[i]);
    }
    PRUN__UNROLL for (i = 0; i < pixels; i++) {
        if (i < j->pixels)
            _mm512_storeu_ps(j->y + i * j->y_step, _mm512_maskz_max_ps(PRUN__ALL16, low, c[i]));
    }
}
/* Eight accumulators, or four where no more pixels than that are left. */
PRUN__AVX512 static void prun__sparse_avx512(const prun__sparse_job *j) {
    if (j->pixels > 4) prun__sparse_pixels_avx512(j, 8);
    else prun__sparse_pixels_avx512(j, 4);
}

/* Four channels at a time: sixteen chains hide the latency of additions in double, and four lines
   in a row are easier on memory than one from every pixel. s, q: sums and products of the first
   eight lanes; t, r: of the others. */
PRUN__AVX512 static void prun__sums_avx512(const float *a, const float *b, int64_t pixels,
                                           int64_t channels, int64_t live, double *out) {
    const int64_t step = channels * PRUN_LANES;
    int64_t c, p;
    int i;
    for (c = 0; c < channels; c += 4) {
        double sum[PRUN_LANES], product[PRUN_LANES];
        __m512d s[4], t[4], q[4], r[4];
        int64_t offset[4];
        /* Channels beyond the last are the last once more. */
        PRUN__UNROLL for (i = 0; i < 4; i++) {
            offset[i] = PRUN__MIN(i, channels - 1 - c) * PRUN_LANES;
            s[i] = t[i] = q[i] = r[i] = _mm512_setzero_pd();
        }
        for (p = c * PRUN_LANES; p < pixels * step; p += step) {
            PRUN__UNROLL for (i = 0; i < 4; i++) {
                const float *from = a + p + offset[i], *with = b + p + offset[i];
                __m512d u = _mm512_maskz_cvtps_pd(PRUN__ALL8, _mm256_loadu_ps(from));
                __m512d v = _mm512_maskz_cvtps_pd(PRUN__ALL8, _mm256_loadu_ps(with));
                s[i] = _mm512_add_pd(s[i], u);
                q[i] = _mm512_fmadd_pd(u, v, q[i]);
                u = _mm512_maskz_cvtps_pd(PRUN__ALL8, _mm256_loadu_ps(from + 8));
                v = _mm512_maskz_cvtps_pd(PRUN__ALL8, _mm256_loadu_ps(with + 8));
                t[i] = _mm512_add_pd(t[i], u);
                r[i] = _mm512_fmadd_pd(u, v, r[i]);
            }
        }
        PRUN__UNROLL for (i = 0; i < 4; i++) {
            if (c + i < channels) {
                _mm512_storeu_pd(sum, s[i]);
                _mm512_storeu_pd(sum + 8, t[i]);
                _mm512_storeu_pd(product, q[i]);
                _mm512_storeu_pd(product + 8, r[i]);
                prun__sums_add_lanes(sum, product, live, out + 2 * (c + i));
            }
        }
    }
}

/* clang-format off: macros whose calls are definitions */
PRUN__ENTER_TIER(_avx512, PRUN__AVX512)
PRUN__ENTER_CORRELATE(_avx512, PRUN__AVX512, 4, 1)
PRUN__ENTER_CORRELATE(_avx512, PRUN__AVX512, 4, 2)
PRUN__ENTER_CORRELATE(_avx512, PRUN__AVX512, 4, 3)
PRUN__ENTER_CORRELATE(_avx512, PRUN__AVX512, 4, 4)
PRUN__ENTER_CORRELATE(_avx512, PRUN__AVX512, 4, 5)
PRUN__ENTER_CORRELATE(_avx512, PRUN__AVX512, 4, 6)
/* clang-format on */

static const prun__kernels prun__kernels_avx512 = {
    "avx512",
    16,
    4,
    6,
    {NULL, NULL, prun__panel4_avx512, NULL, prun__panel8_avx512, NULL, prun__panel12_avx512, NULL,
     prun__panel16_avx512},
    {NULL, prun__correlate1_avx512, prun__correlate2_avx512, prun__correlate3_avx512,
     prun__correlate4_avx512, prun__correlate5_avx512, prun__correlate6_avx512},
    PRUN__TIER_REST(_avx512)};

/* What the CPU has and the operating system saves: 0 portable, 1 AVX2 and FMA (XCR0 bits 1, 2),
   2 AVX-512F too (bits 5 to 7). */
static int prun__cpu_level(void) {
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    if (!(c & (1u << 27)) || !(c & (1u << 28)) || !(c & (1u << 12))) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6u) != 6u) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & (1u << 5))) return 0;
    return (b & (1u << 16)) && (low & 0xe6u) == 0xe6u ? 2 : 1;
}
#endif
#endif

/* [ARM.I] the kernels for NEON */
/*
   The same table for aarch64, where every CPU has NEON: the compiler's target decides.
*/
#ifndef PRUNABILITY_NO_NET

#if PRUN__NEON
/* NEON tier: a vector is four lanes, as in the portable tier, whose operations it takes where no
   product is added. Products and sums are fused by name, so that compilers and their flags have no
   choice. 6 channels x 16 lanes are 24 accumulators of the 32 registers; four vectors of x and six
   weights, which instructions take from their lanes, leave two. */

/* The compiler loads nothing before this that is loaded after it: too early, and it spills sums. */
#define PRUN__WAIT_NEON __asm__ volatile("" ::: "memory")
/* The pointer p is one register from here on, not a sum of two, which no pair is loaded from. */
#define PRUN__ONE_NEON(p) __asm__("" : "+r"(p))

/* a where a > b, else b: b also when a is NaN. */
static inline float32x4_t prun__max_neon(float32x4_t a, float32x4_t b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

/* Start value of output channel i: what is there, or the bias; of one that does not exist, 0. */
PRUN__INLINE void prun__panel_begin_neon(const prun__panel *p, const float *y, int i,
                                         float32x4_t *c) {
    const int live = i < p->channels;
    int l;
    PRUN__UNROLL for (l = 0; l < 4; l++) {
        c[l] = vdupq_n_f32(live && p->bias ? p->bias[i] : 0.0f);
        if (live && p->accumulate) c[l] = vld1q_f32(y + 16 * i + 4 * l);
    }
}

/* Adds the sixteen lanes of x, times lane LANE of the weights w, to those of a channel c. */
#define PRUN__CHANNEL_NEON(c, x, w, LANE) \
    ((c)[0] = vfmaq_laneq_f32((c)[0], (x)[0], w, LANE), \
     (c)[1] = vfmaq_laneq_f32((c)[1], (x)[1], w, LANE), \
     (c)[2] = vfmaq_laneq_f32((c)[2], (x)[2], w, LANE), \
     (c)[3] = vfmaq_laneq_f32((c)[3], (x)[3], w, LANE))

/* Adds one run of x against its weights to the channels c of a panel. */
PRUN__INLINE void prun__panel_add_neon(const float *x, const float *w, int64_t length,
                                       const int width, float32x4_t c[6][4]) {
    const float *stop = w + length * width;
    for (; w < stop; w += width, x += PRUN_LANES) {
        const float32x4_t v[4] = {vld1q_f32(x), vld1q_f32(x + 4), vld1q_f32(x + 8),
                                  vld1q_f32(x + 12)};
        const float32x4_t four = vld1q_f32(w);
        PRUN__CHANNEL_NEON(c[0], v, four, 0);
        PRUN__CHANNEL_NEON(c[1], v, four, 1);
        PRUN__CHANNEL_NEON(c[2], v, four, 2);
        PRUN__CHANNEL_NEON(c[3], v, four, 3);
        if (width == 6) {
            const float32x4_t two = vcombine_f32(vld1_f32(w + 4), vdup_n_f32(0.0f));
            PRUN__CHANNEL_NEON(c[4], v, two, 0);
            PRUN__CHANNEL_NEON(c[5], v, two, 1);
        }
    }
}

/* All pixels of a panel. Without ReLU the lower limit is -infinity, so there is no branch. */
PRUN__INLINE void prun__panel_neon(const prun__panel *p, const int width) {
    const float32x4_t low = vdupq_n_f32(p->relu ? 0.0f : -(float)HUGE_VAL);
    int64_t pixel;
    int i, l;
    for (pixel = 0; pixel < p->pixels; pixel++) {
        const prun__segment *s = p->segment + p->first[pixel];
        const prun__segment *end = p->segment + p->first[pixel + 1];
        float *y = p->y + pixel * p->y_stride;
        float32x4_t c[6][4];
        PRUN__UNROLL for (i = 0; i < width; i++) prun__panel_begin_neon(p, y, i, c[i]);
        for (; s < end; s++)
            prun__panel_add_neon(p->x + (int64_t)s->x * PRUN_LANES,
                                 p->weights + (int64_t)s->w * width, s->length, width, c);
        PRUN__UNROLL for (i = 0; i < width; i++) {
            if (i < p->channels) {
                PRUN__UNROLL for (l = 0; l < 4; l++)
                    vst1q_f32(y + 16 * i + 4 * l, prun__max_neon(low, c[i][l]));
            }
        }
    }
}
/* Panels of six and of four output channels. */
static void prun__panel6_neon(const prun__panel *p) { prun__panel_neon(p, 6); }
static void prun__panel4_neon(const prun__panel *p) { prun__panel_neon(p, 4); }

/* The operations of the NEON tier that are not the portable tier's. */
static inline void prun__vector_mla_neon(float *r, const float *a, const float *b, const float *c) {
    const float32x4_t u = (float32x4_t)prun__f4_load(a), v = (float32x4_t)prun__f4_load(b);
    prun__f4_store(r, (prun__f4)vfmaq_f32((float32x4_t)prun__f4_load(c), u, v));
}
static inline void prun__vector_mls_neon(float *r, const float *a, const float *b, const float *c) {
    const float32x4_t u = (float32x4_t)prun__f4_load(a), v = (float32x4_t)prun__f4_load(b);
    prun__f4_store(r, (prun__f4)vfmsq_f32((float32x4_t)prun__f4_load(c), u, v));
}
static inline uint32_t prun__vector_nonzero_neon(const float *a) {
    static const uint32_t bit[4] = {1, 2, 4, 8};
    return vaddvq_u32(vbicq_u32(vld1q_u32(bit), vceqzq_f32(vld1q_f32(a))));
}
static const prun__vector prun__vector_neon = {
    4,
    prun__vector_set_portable,
    prun__vector_copy_portable,
    prun__vector_add_portable,
    prun__vector_sub_portable,
    prun__vector_mul_portable,
    prun__vector_mla_neon,
    prun__vector_mls_neon,
    prun__vector_maximum_portable,
    prun__vector_minimum_portable,
    prun__vector_top_portable,
    prun__vector_absolute_portable,
    prun__vector_if_gt_portable,
    prun__vector_if_eq_portable,
    prun__vector_if_ne_portable,
    prun__vector_nonzero_neon,
    NULL,
};

/* Adds the products of one pixel to the sums c of `columns` x 4 vectors. Eight lanes at a time need
   two registers for each row and two for a column, which one instruction each loads. */
PRUN__INLINE void prun__correlate_add_neon(const float *x, const int64_t *offset, const float *y,
                                           const int columns, float32x4_t c[4][4]) {
    const float *row[4];
    float32x4_t in[4][2];
    int i, j, l;
    PRUN__UNROLL for (i = 0; i < 4; i++) {
        row[i] = x + offset[i];
        PRUN__ONE_NEON(row[i]);
    }
    PRUN__UNROLL for (l = 0; l < PRUN_LANES; l += 8) {
        PRUN__UNROLL for (i = 0; i < 4; i++) {
            in[i][0] = vld1q_f32(row[i] + l);
            in[i][1] = vld1q_f32(row[i] + l + 4);
        }
        PRUN__UNROLL for (j = 0; j < columns; j++) {
            const float32x4_t u = vld1q_f32(y + j * PRUN_LANES + l);
            const float32x4_t v = vld1q_f32(y + j * PRUN_LANES + l + 4);
            PRUN__UNROLL for (i = 0; i < 4; i++) c[j][i] = vfmaq_f32(c[j][i], in[i][0], u);
            PRUN__UNROLL for (i = 0; i < 4; i++) c[j][i] = vfmaq_f32(c[j][i], in[i][1], v);
        }
        PRUN__WAIT_NEON;
    }
}

/* Weight gradient of four rows and up to four columns: 16 accumulators. It is prun__correlate with
   the sums in vectors, because GCC 12 does not keep arrays of lanes in registers here. */
PRUN__INLINE void prun__correlate_neon(const prun__correlation *job, const int columns) {
    const int64_t pixels = job->pixels, x_pixel = job->x_pixel, y_pixel = job->y_pixel;
    int64_t tile, block, row, pixel;
    int i, j;
    for (tile = 0; tile < job->tiles; tile++) {
        float32x4_t c[4][4];
        int64_t offset[4];
        PRUN__UNROLL for (i = 0; i < 4; i++) offset[i] = job->offset[tile * 4 + i];
        PRUN__UNROLL for (j = 0; j < columns; j++) {
            PRUN__UNROLL for (i = 0; i < 4; i++) c[j][i] = vdupq_n_f32(0.0f);
        }
        for (block = 0; block < job->blocks; block++)
            for (row = 0; row < job->rows; row++) {
                const float *x = job->x + block * job->x_block + row * job->x_row;
                const float *y = job->y + block * job->y_block + row * job->y_row;
                for (pixel = 0; pixel < pixels; pixel++, x += x_pixel, y += y_pixel)
                    prun__correlate_add_neon(x, offset, y, columns, c);
            }
        PRUN__UNROLL for (j = 0; j < columns; j++) {
            float *sum = job->sum + tile * 4 + j * job->sum_column;
            const float32x4_t total =
                vpaddq_f32(vpaddq_f32(c[j][0], c[j][1]), vpaddq_f32(c[j][2], c[j][3]));
            vst1q_f32(sum, vaddq_f32(vld1q_f32(sum), total));
        }
    }
}
/* By the number of columns. */
static void prun__correlate1_neon(const prun__correlation *job) { prun__correlate_neon(job, 1); }
static void prun__correlate2_neon(const prun__correlation *job) { prun__correlate_neon(job, 2); }
static void prun__correlate3_neon(const prun__correlation *job) { prun__correlate_neon(job, 3); }
static void prun__correlate4_neon(const prun__correlation *job) { prun__correlate_neon(job, 4); }

/* Four pixels share each weight: sixteen accumulators hide the latency. Pixels beyond the last
   repeat it and are not stored. */
static void prun__sparse4_neon(const prun__sparse_job *j) {
    const float32x4_t low = vdupq_n_f32(j->relu ? 0.0f : -(float)HUGE_VAL);
    const prun__nonzero *n = j->nonzero, *end = n + j->count;
    const float *x[4];
    float32x4_t c[4][4];
    int i, l;
    PRUN__UNROLL for (i = 0; i < 4; i++) {
        x[i] = j->x + PRUN__MIN(i, j->pixels - 1) * j->x_step;
        c[i][0] = c[i][1] = c[i][2] = c[i][3] = vdupq_n_f32(j->bias);
    }
    for (; n < end; n++) {
        const int64_t offset = n->offset;
        const float weight = n->weight;
        PRUN__UNROLL for (i = 0; i < 4; i++) {
            const float *z = x[i] + offset;
            PRUN__ONE_NEON(z);
            PRUN__UNROLL for (l = 0; l < 4; l++) c[i][l] =
                vfmaq_n_f32(c[i][l], vld1q_f32(z + 4 * l), weight);
            if (i % 2) PRUN__WAIT_NEON;
        }
    }
    PRUN__UNROLL for (i = 0; i < 4; i++) {
        if (i < j->pixels) {
            PRUN__UNROLL for (l = 0; l < 4; l++)
                vst1q_f32(j->y + i * j->y_step + 4 * l, prun__max_neon(low, c[i][l]));
        }
    }
}

/* Up to eight pixels. */
static void prun__sparse_neon(const prun__sparse_job *job) {
    prun__sparse_split(job, prun__sparse4_neon);
}

/* Sums of a and of a times b in double: the sixteen lanes of a channel are eight vectors of each
   sum. */
static void prun__sums_neon(const float *a, const float *b, int64_t pixels, int64_t channels,
                            int64_t live, double *out) {
    const int64_t step = channels * PRUN_LANES;
    int64_t c, p;
    int i;
    for (c = 0; c < step; c += PRUN_LANES, out += 2, a += PRUN_LANES, b += PRUN_LANES) {
        double sum[PRUN_LANES], product[PRUN_LANES];
        float64x2_t s[8], q[8];
        PRUN__UNROLL for (i = 0; i < 8; i++) s[i] = q[i] = vdupq_n_f64(0.0);
        for (p = 0; p < pixels * step; p += step) {
            PRUN__UNROLL for (i = 0; i < 4; i++) {
                const float32x4_t u = vld1q_f32(a + p + 4 * i), v = vld1q_f32(b + p + 4 * i);
                const float64x2_t u0 = vcvt_f64_f32(vget_low_f32(u)), u1 = vcvt_high_f64_f32(u);
                s[2 * i] = vaddq_f64(s[2 * i], u0);
                s[2 * i + 1] = vaddq_f64(s[2 * i + 1], u1);
                q[2 * i] = vfmaq_f64(q[2 * i], u0, vcvt_f64_f32(vget_low_f32(v)));
                q[2 * i + 1] = vfmaq_f64(q[2 * i + 1], u1, vcvt_high_f64_f32(v));
            }
        }
        PRUN__UNROLL for (i = 0; i < 8; i++) {
            vst1q_f64(sum + 2 * i, s[i]);
            vst1q_f64(product + 2 * i, q[i]);
        }
        prun__sums_add_lanes(sum, product, live, out);
    }
}

/* clang-format off: macros whose calls are definitions */
PRUN__ENTER_TIER(_neon, )
/* clang-format on */

static const prun__kernels prun__kernels_neon = {
    "neon",
    6,
    4,
    4,
    {NULL, NULL, prun__panel4_neon, prun__panel6_neon, NULL, NULL, NULL, NULL, NULL},
    {NULL, prun__correlate1_neon, prun__correlate2_neon, prun__correlate3_neon,
     prun__correlate4_neon, NULL, NULL},
    PRUN__TIER_REST(_neon)};
#endif
#endif

/* [TIERS.I] the choice of a tier */
/*
   The best tier that the CPU can run is chosen when the first kernel runs.
*/
#ifndef PRUNABILITY_NO_NET

/* The library's first writable global: which constant table is in use. Threads that race here store
   the same pointer. */
static const prun__kernels *prun__active;

/* The tables that this CPU can run, best first. */
static int prun__kernels_find(const prun__kernels *table[3]) {
    int count = 0;
#if PRUN__X86
    const int level = prun__cpu_level();
    if (level >= 2) table[count++] = &prun__kernels_avx512;
    if (level >= 1) table[count++] = &prun__kernels_avx2;
#elif PRUN__NEON
    table[count++] = &prun__kernels_neon;
#endif
    table[count++] = &prun__kernels_portable;
    return count;
}

/* The kernels of the best tier that this CPU can run. */
static const prun__kernels *prun__kernels_select(void) {
    const prun__kernels *table[3];
    prun__kernels_find(table);
    return table[0];
}
/* The kernels in use; the first call selects the best. */
static const prun__kernels *prun__kernels_get(void) {
#if PRUN__GNU
    const prun__kernels *table = __atomic_load_n(&prun__active, __ATOMIC_RELAXED);
    if (!table) {
        table = prun__kernels_select();
        __atomic_store_n(&prun__active, table, __ATOMIC_RELAXED);
    }
    return table;
#else
    if (!prun__active) prun__active = prun__kernels_select();
    return prun__active;
#endif
}

PRUNDEF const char *prun_isa(void) { return prun__kernels_get()->name; }

PRUNDEF prun_status prun_isa_set(const char *name) {
    const prun__kernels *table[3];
    const int count = prun__kernels_find(table);
    int i;
    for (i = 0; i < count; i++)
        if (!name || strcmp(name, table[i]->name) == 0) {
            prun__active = table[i];
            return PRUN_OK;
        }
    return PRUN_ERR_UNSUPPORTED;
}
#endif

/* [CONV.I] direct convolution: plan, packed weights, one block through the kernels */
/*
   A prun__conv is the plan of one convolution: segments of every pixel for both directions. Weights
   are packed into panels of as many output channels as a kernel computes at a time.
*/
#ifndef PRUNABILITY_NO_NET

/* Everything about a convolution's shape, made once. */
typedef struct prun__conv {
    prun_conv2d shape; /* defaults filled in */
    int64_t out_height, out_width, taps;
    prun__segments forward, backward;
    int32_t *channel; /* weight gradient: where the rows of a tap lie, one per in-channel */
    int32_t *joined;  /* and those of all taps in a row, for few in-channels; else NULL */
} prun__conv;

/* Output channels are cut into panels: first those of the larger width, then the others. */
typedef struct prun__cut {
    int64_t wide_count, wide_width, narrow_count, narrow_width;
} prun__cut;

/* Where sixteen channels fit the registers: full panels, and one of 4, 8 or 12 for the rest. Else
   panels of 6 and 4 that waste at most one channel in all, from 3 on. */
static prun__cut prun__cut_make(int64_t channels) {
    prun__cut cut;
    cut.wide_width = prun__kernels_get()->wide;
    if (cut.wide_width == 16) {
        cut.wide_count = channels / 16;
        cut.narrow_width = (channels % 16 + 3) / 4 * 4;
        cut.narrow_count = cut.narrow_width > 0;
    } else {
        const int64_t even = PRUN__MAX(channels + channels % 2, 4);
        cut.narrow_width = 4;
        cut.narrow_count = 0;
        while ((even - 4 * cut.narrow_count) % 6 != 0) cut.narrow_count++;
        cut.wide_count = (even - 4 * cut.narrow_count) / 6;
    }
    return cut;
}

/* Number of panels. */
static int64_t prun__cut_panels(prun__cut cut) { return cut.wide_count + cut.narrow_count; }

/* Channels with what the panels waste; at most (channels + 3) / 4 * 4 for every tier. */
static int64_t prun__cut_total(prun__cut cut) {
    return cut.wide_width * cut.wide_count + cut.narrow_width * cut.narrow_count;
}

/* First channel of a panel. */
static int64_t prun__cut_start(prun__cut cut, int64_t panel) {
    return panel <= cut.wide_count
               ? cut.wide_width * panel
               : cut.wide_width * cut.wide_count + cut.narrow_width * (panel - cut.wide_count);
}

/* Output channels of a panel, unused ones included. */
static int64_t prun__cut_width(prun__cut cut, int64_t panel) {
    return panel < cut.wide_count ? cut.wide_width : cut.narrow_width;
}

/* The source vector of tap (dy, dx) at target pixel (ty, tx), or -1. forward: target is an output
   pixel; else an input pixel, whose gradient comes from the outputs that read it. */
static int64_t prun__tap_source(const prun__conv *c, int forward, int64_t ty, int64_t tx,
                                int64_t dy, int64_t dx) {
    const prun_conv2d *s = &c->shape;
    int64_t y, x;
    if (forward) {
        y = ty * s->stride[0] + dy - s->padding[0];
        x = tx * s->stride[1] + dx - s->padding[1];
        if (y < 0 || y >= s->in_height || x < 0 || x >= s->in_width) return -1;
        return (y * s->in_width + x) * s->in_channels;
    }
    y = ty + s->padding[0] - dy;
    x = tx + s->padding[1] - dx;
    if (y < 0 || y % s->stride[0] || x < 0 || x % s->stride[1]) return -1;
    y /= s->stride[0];
    x /= s->stride[1];
    if (y >= c->out_height || x >= c->out_width) return -1;
    return (y * c->out_width + x) * s->out_channels;
}

/* Appends the segments of one pixel, joining runs that are contiguous in x and in the weights. The
   backward weights hold the taps in reverse order, which makes stride 1 contiguous there too.
   out NULL: only counts. */
static int64_t prun__segments_write_pixel(const prun__conv *c, int forward, int64_t ty, int64_t tx,
                                          prun__segment *out) {
    const int64_t depth = forward ? c->shape.in_channels : c->shape.out_channels;
    int64_t tap, count = 0;
    prun__segment last = {0, 0, 0};
    for (tap = 0; tap < c->taps; tap++) {
        int64_t t = forward ? tap : c->taps - 1 - tap;
        int64_t x =
            prun__tap_source(c, forward, ty, tx, t / c->shape.kernel[1], t % c->shape.kernel[1]);
        if (x < 0) continue;
        if (count && last.x + last.length == x && last.w + last.length == tap * depth) {
            last.length += (int32_t)depth;
        } else {
            last.x = (int32_t)x;
            last.w = (int32_t)(tap * depth);
            last.length = (int32_t)depth;
            count++;
        }
        if (out) out[count - 1] = last;
    }
    return count;
}

/* Makes the segments of all target pixels of one direction: counts them first, then writes them. */
static prun_status prun__segments_make(prun_context *context, const prun__conv *c, int forward,
                                       prun__segments *s) {
    const int64_t h = forward ? c->out_height : c->shape.in_height;
    const int64_t w = forward ? c->out_width : c->shape.in_width;
    int64_t p, total = 0;
    s->pixels = h * w;
    s->first = (int32_t *)prun__alloc(context, s->pixels + 1, sizeof(int32_t), "convolution");
    if (!s->first) return PRUN_ERR_MEMORY;
    for (p = 0; p < s->pixels; p++) {
        s->first[p] = (int32_t)total;
        total += prun__segments_write_pixel(c, forward, p / w, p % w, NULL);
        if (total > INT32_MAX)
            return prun__fail(context, PRUN_ERR_OVERFLOW, "convolution: too many kernel taps");
    }
    s->first[s->pixels] = (int32_t)total;
    s->segment = (prun__segment *)prun__alloc(context, total, sizeof(prun__segment), "convolution");
    if (!s->segment) return PRUN_ERR_MEMORY;
    for (p = 0; p < s->pixels; p++)
        prun__segments_write_pixel(c, forward, p / w, p % w, s->segment + s->first[p]);
    return PRUN_OK;
}

/* Rows of an input channel with its padding. */
static int64_t prun__padded_height(const prun__conv *c) {
    return c->shape.in_height + c->shape.padding[0] + c->shape.padding[2];
}

/* Columns of an input channel with its padding. */
static int64_t prun__padded_width(const prun__conv *c) {
    return c->shape.in_width + c->shape.padding[1] + c->shape.padding[3];
}

/* Floats of the zero-padded copy of a block, 0 if the input itself will do. */
static int64_t prun__padded_size(const prun__conv *c) {
    const int64_t h = prun__padded_height(c), w = prun__padded_width(c);
    if (h == c->shape.in_height && w == c->shape.in_width) return 0;
    return h * w * c->shape.in_channels * PRUN_LANES;
}

/* Few in-channels would leave most of a tile of the weight gradient empty: then its rows are the
   taps and channels in one run. That needs x with its padding. */
static int prun__conv_has_joined_taps(const prun__conv *c) {
    return c->shape.in_channels < 4 && c->taps > 1;
}

/* Places of the weight gradient's rows in x; tiles may reach three rows beyond the last, which is
   repeated. */
static prun_status prun__conv_make_rows(prun_context *context, prun__conv *c) {
    const int64_t ins = c->shape.in_channels, width = c->shape.kernel[1], all = c->taps * ins;
    int64_t i;
    c->channel = (int32_t *)prun__alloc(context, ins + 3, sizeof(int32_t), "convolution");
    if (!c->channel) return PRUN_ERR_MEMORY;
    for (i = 0; i < ins + 3; i++) c->channel[i] = (int32_t)(PRUN__MIN(i, ins - 1) * PRUN_LANES);
    if (!prun__conv_has_joined_taps(c)) return PRUN_OK;
    c->joined = (int32_t *)prun__alloc(context, all + 3, sizeof(int32_t), "convolution");
    if (!c->joined) return PRUN_ERR_MEMORY;
    for (i = 0; i < all + 3; i++) {
        const int64_t row = PRUN__MIN(i, all - 1), tap = row / ins;
        const int64_t at = tap / width * prun__padded_width(c) + tap % width;
        c->joined[i] = (int32_t)((at * ins + row % ins) * PRUN_LANES);
    }
    return PRUN_OK;
}

/* Frees the arrays of a plan, even of one that is only partly made, and clears it. */
static void prun__conv_free(prun_context *context, prun__conv *c) {
    prun__free(context, c->forward.segment);
    prun__free(context, c->forward.first);
    prun__free(context, c->backward.segment);
    prun__free(context, c->backward.first);
    prun__free(context, c->channel);
    prun__free(context, c->joined);
    memset(c, 0, sizeof *c);
}

/* On failure everything is released again. */
static prun_status prun__conv_make(prun_context *context, const prun_conv2d *shape, prun__conv *c) {
    prun_status status;
    memset(c, 0, sizeof *c);
    c->shape = *shape;
    prun__window_resolve(c->shape.kernel, c->shape.stride);
    PRUN__TRY(prun_conv2d_output(context, &c->shape, &c->out_height, &c->out_width));
    c->taps = c->shape.kernel[0] * c->shape.kernel[1];
    status = prun__segments_make(context, c, 1, &c->forward);
    if (status == PRUN_OK) status = prun__segments_make(context, c, 0, &c->backward);
    if (status == PRUN_OK) status = prun__conv_make_rows(context, c);
    if (status != PRUN_OK) prun__conv_free(context, c);
    return status;
}

/* Winograd takes this shape. */
static int prun__conv_can_use_winograd(const prun_conv2d *s) {
    int i, fits = s->kernel[0] == 3 && s->kernel[1] == 3 && s->stride[0] == s->stride[1] &&
                  s->stride[0] <= 2;
    for (i = 0; i < 4; i++) fits = fits && s->padding[i] <= 2;
    return fits;
}

/* Floats of packed weights, forward or backward, whichever algorithm is used. */
static int64_t prun__packed_size(const prun__conv *c, int forward) {
    const int64_t out = forward ? c->shape.out_channels : c->shape.in_channels;
    const int64_t in = forward ? c->shape.in_channels : c->shape.out_channels;
    const int64_t plane = (out + 3) / 4 * 4 * in; /* enough for the panels of every tier */
    if (!prun__conv_can_use_winograd(&c->shape)) return plane * c->taps;
    return 36 * (plane + 16) + (out + (out * in + 1) / 2 + 15) / 16 * 16; /* see prun__holes */
}

/* A weight with the scale of its output channel (NULL: 1), which folds a batch norm. What is too
   small for a normal float becomes zero, because subnormals slow some CPUs ten times. */
static float prun__folded_weight(float weight, const double *scale, int64_t channel) {
    const float v = scale ? (float)((double)weight * scale[channel]) : weight;
    return fabsf(v) < 1.17549435e-38f ? 0.0f : v;
}

/* One panel of packed weights: [tap][in][width]. */
static void prun__direct_pack_panel(const prun__conv *c, int forward, const float *weight,
                                    const double *scale, int64_t panel, float *packed) {
    const int64_t outs = c->shape.out_channels, ins = c->shape.in_channels, taps = c->taps;
    const int64_t out = forward ? outs : ins, in = forward ? ins : outs;
    const prun__cut cut = prun__cut_make(out);
    const int64_t start = prun__cut_start(cut, panel), width = prun__cut_width(cut, panel);
    int64_t tap, k, i;
    packed += start * in * taps;
    for (i = 0; i < width; i++) {
        float *to = packed + i;
        if (start + i >= out) {
            for (k = 0; k < in * taps; k++) to[k * width] = 0.0f;
            continue;
        }
        for (k = 0; k < in; k++) {
            const int64_t o = forward ? start + i : k, s = forward ? k : start + i;
            const float *from = weight + (o * ins + s) * taps;
            for (tap = 0; tap < taps; tap++)
                to[(tap * in + k) * width] =
                    prun__folded_weight(from[forward ? tap : taps - 1 - tap], scale, o);
        }
    }
}

/* Forward (or input gradient) of one block. A panel's weights stay in the first-level cache while a
   row of pixels streams past. */
static void prun__direct_run(const prun__conv *c, int forward, const float *x, const float *packed,
                             prun__finish finish, float *y) {
    const prun__kernels *kernels = prun__kernels_get();
    const prun__segments *s = forward ? &c->forward : &c->backward;
    const int64_t in = forward ? c->shape.in_channels : c->shape.out_channels;
    const int64_t out = forward ? c->shape.out_channels : c->shape.in_channels;
    const int64_t row = forward ? c->out_width : c->shape.in_width;
    const prun__cut cut = prun__cut_make(out);
    int64_t pixel, i;
    prun__panel p;
    p.x = x;
    p.segment = s->segment;
    p.y_stride = out * PRUN_LANES;
    p.relu = finish.relu;
    p.accumulate = finish.accumulate;
    for (pixel = 0; pixel < s->pixels; pixel += row) {
        p.pixels = PRUN__MIN(row, s->pixels - pixel);
        p.first = s->first + pixel;
        for (i = 0; i < prun__cut_panels(cut); i++) {
            const int64_t start = prun__cut_start(cut, i), width = prun__cut_width(cut, i);
            p.weights = packed + start * in * c->taps;
            p.bias = finish.bias ? finish.bias + start : NULL;
            p.y = y + pixel * p.y_stride + start * PRUN_LANES;
            p.channels = (int32_t)PRUN__MIN(width, out - start);
            kernels->panel[width / 2](&p);
        }
    }
}
#endif

/* [WINOGRAD.I] convolution by Winograd: when it is used, its transforms, its exact zeros */
/*
   Winograd: each 4x4 tile of the result comes from a 6x6 tile of x, at stride 2 from 9x9. Both are
   taken to 36 (81) points, called frequencies; in each of them the channels are joined by the dense
   panel kernel, with tiles in the place of pixels. Weights are the same at the four points of a
   1-tap filter, so there are 36 planes of them at either stride. At stride 2 the input gradient
   makes 8x8 pixels of dx from 5x5 of dy: those that meet two taps along an axis alternate with
   those that meet one.
*/
#ifndef PRUNABILITY_NO_NET

/* Where Winograd was measured to win: from so many channels and such an extent of the result on
   the products saved pay for the transforms. */
static int prun__conv_uses_winograd_from(const prun__conv *c, int64_t channels, int64_t extent) {
    const prun_conv2d *s = &c->shape;
    if (s->algorithm == PRUN_ALGORITHM_DIRECT || !prun__conv_can_use_winograd(s)) return 0;
    if (s->algorithm == PRUN_ALGORITHM_WINOGRAD) return 1;
    return s->in_channels >= channels && s->out_channels >= channels && c->out_height >= extent &&
           c->out_width >= extent;
}

/* True at stride 2. The only other stride of Winograd is 1. */
static int prun__conv_is_strided(const prun__conv *c) { return c->shape.stride[0] == 2; }

/* True if the forward pass and the input gradient use Winograd. The thresholds are measured. */
static int prun__conv_uses_winograd(const prun__conv *c) {
    return prun__conv_uses_winograd_from(c, prun__conv_is_strided(c) ? 32 : 8, 4);
}

/* True if the weight gradient uses Winograd, which pays there from larger sizes on than forward
   (measured). */
static int prun__weight_gradient_uses_winograd(const prun__conv *c) {
    if (prun__conv_is_strided(c)) return prun__conv_uses_winograd_from(c, 48, 8);
    return prun__conv_uses_winograd_from(c, 8, 8) || prun__conv_uses_winograd_from(c, 32, 4);
}

/* Points along an axis. */
static int64_t prun__winograd_points(const prun__conv *c) {
    return prun__conv_is_strided(c) ? 9 : 6;
}

/* Points of both axes together. */
static int64_t prun__winograd_frequencies(const prun__conv *c) {
    return prun__winograd_points(c) * prun__winograd_points(c);
}

/* Plane of weights of frequency f. */
static int64_t prun__frequency_plane(const prun__conv *c, int64_t f) {
    const int64_t points = prun__winograd_points(c);
    return 6 * PRUN__MIN(f / points, 5) + PRUN__MIN(f % points, 5);
}

/* Most tiles that go through the frequencies together. Their frequencies are read one after the
   other from at most 4 MB (more only where four tiles need more), which the third-level cache
   serves fast enough. Fewer tiles would read the weights, and add up the lanes of weight gradients,
   more often. */
#define PRUN__WINOGRAD_TILES 16

/* Tiles whose frequencies, of `channels` vectors each, fit into `bytes`: at least `least`, at most
   PRUN__WINOGRAD_TILES. */
static int64_t prun__tiles_within(const prun__conv *c, int64_t bytes, int64_t channels,
                                  int64_t least) {
    const int64_t tile = prun__winograd_frequencies(c) * 64 * channels;
    return PRUN__MAX(least, PRUN__MIN(bytes / tile, PRUN__WINOGRAD_TILES));
}

/* Tiles that the forward pass and the input gradient transform together; their frequencies take
   about 4 MB. */
static int64_t prun__winograd_tiles(const prun__conv *c) {
    return prun__tiles_within(c, INT64_C(1) << 22, c->shape.in_channels + c->shape.out_channels, 4);
}

/* Vectors from one tile to the next: an odd number, because powers of two would send tiles, and the
   36 or 81 streams of a transform, into the same few cache sets. */
static int64_t prun__tile_stride(int64_t channels) { return channels | 1; }

/* Floats from one frequency of `tiles` tiles to the next: an odd number of vectors as well. */
static int64_t prun__frequency_stride(int64_t tiles, int64_t channels) {
    return (tiles * prun__tile_stride(channels) | 1) * PRUN_LANES;
}

/* Floats of scratch for a block: frequencies of x and of y, a zero pixel, a pixel for leftovers;
   for exact zeros the pixels of a tile as they were, and the least results of its channels. */
static int64_t prun__winograd_scratch(const prun__conv *c) {
    const int64_t in = c->shape.in_channels, out = c->shape.out_channels;
    const int64_t tiles = prun__winograd_tiles(c), pixels = prun__conv_is_strided(c) ? 64 : 16;
    return prun__winograd_frequencies(c) *
               (prun__frequency_stride(tiles, in) + prun__frequency_stride(tiles, out)) +
           (in + out) * PRUN_LANES + (pixels + 1) * PRUN__MAX(in, out) * PRUN_LANES;
}

/* Kernels to planes along an axis, by stride - 1. */
static const float prun__winograd_g[2][6][3] = {{{1 / 4.0f, 0, 0},
                                                 {-1 / 6.0f, -1 / 6.0f, -1 / 6.0f},
                                                 {-1 / 6.0f, 1 / 6.0f, -1 / 6.0f},
                                                 {1 / 24.0f, 1 / 12.0f, 1 / 6.0f},
                                                 {1 / 24.0f, -1 / 12.0f, 1 / 6.0f},
                                                 {0, 0, 1}},
                                                {{1 / 2.0f, 0, 0},
                                                 {-1 / 2.0f, 0, -1 / 2.0f},
                                                 {-1 / 6.0f, 0, 1 / 6.0f},
                                                 {1 / 6.0f, 0, 1 / 3.0f},
                                                 {0, 0, 1},
                                                 {0, 1, 0}}};

/* G g along one axis: `step` values apart, for four kernels at a time. */
static inline void prun__winograd_axis_planes(int strided, const prun__f4 *g, int g_step,
                                              prun__f4 *u, int u_step) {
    const prun__f4 g0 = g[0], g1 = g[g_step], g2 = g[2 * g_step];
    const prun__f4 sixth = prun__f4_set(1 / 6.0f), twelfth = prun__f4_set(1 / 12.0f);
    const prun__f4 a = prun__f4_mul(prun__f4_add(g0, g2), prun__f4_set(-1 / 6.0f));
    const prun__f4 b = prun__f4_mla(g0, prun__f4_set(1 / 24.0f), prun__f4_mul(g2, sixth));
    if (strided) {
        u[0] = prun__f4_mul(g0, prun__f4_set(0.5f));
        u[u_step] = prun__f4_mul(prun__f4_add(g0, g2), prun__f4_set(-0.5f));
        u[2 * u_step] = prun__f4_mul(prun__f4_sub(g2, g0), sixth);
        u[3 * u_step] = prun__f4_mla(g0, sixth, prun__f4_mul(g2, prun__f4_set(1 / 3.0f)));
        u[4 * u_step] = g2;
        u[5 * u_step] = g1;
        return;
    }
    u[0] = prun__f4_mul(g0, prun__f4_set(0.25f));
    u[u_step] = prun__f4_mls(g1, sixth, a);
    u[2 * u_step] = prun__f4_mla(g1, sixth, a);
    u[3 * u_step] = prun__f4_mla(g1, twelfth, b);
    u[4 * u_step] = prun__f4_mls(g1, twelfth, b);
    u[5 * u_step] = g2;
}

/* U = G g G' of four kernels, [plane][16]. */
static void prun__winograd_kernel_planes(int strided, const float *g, float *u) {
    prun__f4 in[9], t[18], row[6];
    int i, j;
    for (i = 0; i < 9; i++) in[i] = prun__f4_load(g + 16 * i);
    for (j = 0; j < 3; j++) prun__winograd_axis_planes(strided, in + j, 3, t + j, 3);
    for (i = 0; i < 6; i++) {
        prun__winograd_axis_planes(strided, t + 3 * i, 1, row, 1);
        for (j = 0; j < 6; j++) prun__f4_store(u + 16 * (6 * i + j), row[j]);
    }
}

/* Floats from one plane of weights to the next: as with frequencies, off the powers of two. */
static int64_t prun__plane_stride(prun__cut cut, int64_t in) {
    return prun__cut_total(cut) * in + 16;
}

/* Follows the planes of weights in the packed buffer. reach: per output channel the sum of absolute
   weights if some of the filter's weights are zero, -1 if all are, 0 if none is. taps, where reach
   is positive: per (output channel, input channel) a bit for each tap whose weight is not zero. */
typedef struct prun__holes {
    float *reach;
    uint16_t *taps;
} prun__holes;

/* Where the holes lie in a packed buffer. Packing writes through this, hence the cast. */
static prun__holes prun__holes_get(const prun__conv *c, int forward, const float *packed) {
    const int64_t out = forward ? c->shape.out_channels : c->shape.in_channels;
    const int64_t in = forward ? c->shape.in_channels : c->shape.out_channels;
    prun__holes holes;
    holes.reach = (float *)(uintptr_t)packed + 36 * prun__plane_stride(prun__cut_make(out), in);
    holes.taps = (uint16_t *)(void *)(holes.reach + out);
    return holes;
}

/* Records which weights of filter i, of which some are zero, are not. */
static void prun__holes_find(const prun__conv *c, int forward, const float *weight,
                             const double *scale, int64_t i, const prun__holes *holes) {
    const int64_t outs = c->shape.out_channels, ins = c->shape.in_channels;
    const int64_t in = forward ? ins : outs;
    uint16_t *taps = holes->taps + i * in;
    double sum = 0.0;
    int64_t k, t;
    for (k = 0; k < in; k++) {
        const int64_t o = forward ? i : k;
        const float *from = weight + (forward ? i * ins + k : k * ins + i) * 9;
        for (t = 0, taps[k] = 0; t < 9; t++) {
            const float v = prun__folded_weight(from[t], scale, o);
            if (v == 0.0f) continue;
            taps[k] = (uint16_t)(taps[k] | 1u << t);
            sum += fabs((double)v);
        }
    }
    holes->reach[i] = (float)sum;
}

/* One panel in all planes: [plane][panel][in][width]; kernels flipped backward. */
static void prun__winograd_pack_panel(const prun__conv *c, int forward, const float *weight,
                                      const double *scale, int64_t panel, float *packed) {
    const int64_t outs = c->shape.out_channels, ins = c->shape.in_channels;
    const int64_t out = forward ? outs : ins, in = forward ? ins : outs;
    const prun__cut cut = prun__cut_make(out);
    const int64_t start = prun__cut_start(cut, panel), width = prun__cut_width(cut, panel);
    const int64_t live = PRUN__MIN(width, out - start), plane = prun__plane_stride(cut, in);
    const prun__holes holes = prun__holes_get(c, forward, packed);
    float g[9 * 16], u[36 * 16];
    int64_t i, k, t, zeros[16];
    packed += start * in;
    memset(g, 0, sizeof g);
    memset(zeros, 0, sizeof zeros);
    for (k = 0; k < in; k++) {
        for (i = 0; i < live; i++) {
            const int64_t o = forward ? start + i : k, s = forward ? k : start + i;
            const float *from = weight + (o * ins + s) * 9;
            for (t = 0; t < 9; t++) {
                g[16 * t + i] = prun__folded_weight(from[forward ? t : 8 - t], scale, o);
                zeros[i] += g[16 * t + i] == 0.0f;
            }
        }
        for (i = 0; i < width; i += 4)
            prun__winograd_kernel_planes(prun__conv_is_strided(c), g + i, u + i);
        for (t = 0; t < 36; t++)
            memcpy(packed + t * plane + k * width, u + 16 * t, (size_t)width * sizeof(float));
    }
    for (i = 0; i < live; i++) {
        if (zeros[i] > 0 && zeros[i] < 9 * in)
            prun__holes_find(c, forward, weight, scale, start + i, &holes);
        else holes.reach[start + i] = zeros[i] > 0 ? -1.0f : 0.0f;
    }
}

/* What one axis, and one direction, of a convolution looks like to Winograd. */
typedef struct prun__axis {
    int64_t in, out;           /* pixels */
    int64_t in_step, out_step; /* from tile to tile */
    int64_t from[9], to[8];    /* pixels of the points and of the outputs, from a tile's corner */
    int64_t tiles;
} prun__axis;

typedef struct prun__tiling {
    prun__axis axis[2];
    int64_t in, out;         /* channels */
    int64_t points, outputs; /* along an axis */
    int64_t count;           /* tiles */
} prun__tiling;

/* At stride 2 and backward, pixel e of dx meets tap k of dy's pixel i where e + padding = 2 i + k:
   taps 0 and 2 where e + padding is even, tap 1 where it is odd. */
static prun__axis prun__axis_make(const prun__conv *c, int forward, int axis) {
    const prun_conv2d *s = &c->shape;
    const int64_t x = axis ? s->in_width : s->in_height, y = axis ? c->out_width : c->out_height;
    const int64_t padding = s->padding[axis], half = padding / 2, odd = padding % 2;
    const int strided = prun__conv_is_strided(c);
    prun__axis a;
    int64_t i;
    a.in = forward ? x : y;
    a.out = forward ? y : x;
    a.in_step = strided && forward ? 8 : 4;
    a.out_step = strided && !forward ? 8 : 4;
    a.tiles = (a.out + a.out_step - 1) / a.out_step;
    for (i = 0; i < 9; i++)
        if (!strided) a.from[i] = i - (forward ? padding : 2 - padding);
        else if (forward) a.from[i] = (i < 5 ? 2 * i : 2 * i - 9) - padding;
        else a.from[i] = i < 5 ? i + half + odd - 1 : i - 5 + half;
    for (i = 0; i < 8; i++)
        if (!strided || forward) a.to[i] = i;
        else a.to[i] = i < 4 ? 2 * i + odd : 2 * i - 7 - odd;
    return a;
}

/* Makes the tiling of one direction of a convolution. */
static prun__tiling prun__tiling_make(const prun__conv *c, int forward) {
    prun__tiling t;
    t.axis[0] = prun__axis_make(c, forward, 0);
    t.axis[1] = prun__axis_make(c, forward, 1);
    t.in = forward ? c->shape.in_channels : c->shape.out_channels;
    t.out = forward ? c->shape.out_channels : c->shape.in_channels;
    t.points = prun__winograd_points(c);
    t.outputs = t.axis[0].out_step;
    t.count = t.axis[0].tiles * t.axis[1].tiles;
    return t;
}

/* Place of a tile. Tiles are walked through in order, because divisions would cost about 1 % of a
   narrow layer. */
typedef struct prun__tile {
    int64_t block, row, column;
} prun__tile;

/* The tile with this number, counted through all blocks. */
static prun__tile prun__tile_find(const prun__tiling *t, int64_t number) {
    const int64_t columns = t->axis[1].tiles, inside = number % t->count;
    prun__tile tile;
    tile.block = number / t->count;
    tile.row = inside / columns;
    tile.column = inside % columns;
    return tile;
}

/* Steps to the next tile: along the row, then to the next row, then to the next block. */
static void prun__tile_step(const prun__tiling *t, prun__tile *tile) {
    if (++tile->column < t->axis[1].tiles) return;
    tile->column = 0;
    if (++tile->row < t->axis[0].tiles) return;
    tile->row = 0;
    tile->block++;
}

/* The input pixels of a tile; `zero` where it reaches over the border. x: its block. */
static void prun__tile_find_inputs(const prun__tiling *t, const prun__tile *tile, const float *x,
                                   const float *zero, const float **pixel) {
    const prun__axis *h = &t->axis[0], *w = &t->axis[1];
    const int64_t y0 = tile->row * h->in_step, x0 = tile->column * w->in_step;
    int64_t i, j;
    for (i = 0; i < t->points; i++)
        for (j = 0; j < t->points; j++) {
            const int64_t py = y0 + h->from[i], px = x0 + w->from[j];
            const int inside = py >= 0 && py < h->in && px >= 0 && px < w->in;
            *pixel++ = inside ? x + (py * w->in + px) * t->in * PRUN_LANES : zero;
        }
}

/* The output pixels of a tile; `rest` where the image ends inside it. */
static void prun__tile_find_outputs(const prun__tiling *t, const prun__tile *tile, const float *y,
                                    const float *rest, const float **pixel) {
    const prun__axis *h = &t->axis[0], *w = &t->axis[1];
    const int64_t y0 = tile->row * h->out_step, x0 = tile->column * w->out_step;
    int64_t i, j;
    for (i = 0; i < t->outputs; i++)
        for (j = 0; j < t->outputs; j++) {
            const int64_t py = y0 + h->to[i], px = x0 + w->to[j];
            const int inside = py < h->out && px < w->out;
            *pixel++ = inside ? y + (py * w->out + px) * t->out * PRUN_LANES : rest;
        }
}

/* Joins the channels of `tiles` tiles in every frequency: v to m, or added to it. */
static void prun__winograd_join(const prun__conv *c, const prun__tiling *t, int64_t tiles,
                                const float *packed, const float *v, int accumulate, float *m) {
    const prun__kernels *kernels = prun__kernels_get();
    const prun__cut cut = prun__cut_make(t->out);
    prun__segment segment[PRUN__WINOGRAD_TILES];
    int32_t first[PRUN__WINOGRAD_TILES + 1];
    int64_t f, i;
    prun__panel p;
    memset(&p, 0, sizeof p);
    for (i = 0; i <= tiles; i++) {
        first[i] = (int32_t)i;
        if (i == tiles) break;
        segment[i].x = (int32_t)(i * prun__tile_stride(t->in));
        segment[i].w = 0;
        segment[i].length = (int32_t)t->in;
    }
    p.segment = segment;
    p.first = first;
    p.pixels = tiles;
    p.accumulate = accumulate;
    p.y_stride = prun__tile_stride(t->out) * PRUN_LANES;
    for (f = 0; f < prun__winograd_frequencies(c); f++) {
        const float *plane = packed + prun__frequency_plane(c, f) * prun__plane_stride(cut, t->in);
        p.x = v + f * prun__frequency_stride(prun__winograd_tiles(c), t->in);
        for (i = 0; i < prun__cut_panels(cut); i++) {
            const int64_t start = prun__cut_start(cut, i), width = prun__cut_width(cut, i);
            p.weights = plane + start * t->in;
            p.y = m + f * prun__frequency_stride(prun__winograd_tiles(c), t->out) +
                  start * PRUN_LANES;
            p.channels = (int32_t)PRUN__MIN(width, t->out - start);
            kernels->panel[width / 2](&p);
        }
    }
}

/* Exact zeros. The transforms mix the pixels of a tile, so an output whose products are all zero
   would come out as a rounding error of its neighbours' products, and a ReLU behind it would let a
   gradient pass. Such outputs are found and set to their bias. Without zeros among the weights only
   the inputs matter, and a few pixels prove that a tile has no such output. A filter with zeros
   among its weights is examined when one of its results is small enough to be a rounding error. */

/* Bounds the rounding error of an output, relative to the largest input times the filter's sum of
   absolute weights. The largest error seen in 3 million outputs was 3.2e-6. */
#define PRUN__WINOGRAD_NOISE (1.0f / 16384.0f)

/* Lanes of output pixel (py, px) in which every product is zero. taps: of the filter, NULL: any. */
static uint32_t prun__zero_lanes(const prun__conv *c, int forward, const float *x, int64_t py,
                                 int64_t px, const uint16_t *taps) {
    const prun__kernels *kernels = prun__kernels_get();
    const prun_conv2d *s = &c->shape;
    const int64_t in = forward ? s->in_channels : s->out_channels;
    const int64_t height = forward ? s->in_height : c->out_height;
    const int64_t width = forward ? s->in_width : c->out_width;
    uint32_t found = 0;
    int64_t t, k;
    for (t = 0; t < 9 && found != PRUN__ALL_LANES; t++) {
        const int64_t down = t / 3 - s->padding[0], right = t % 3 - s->padding[1];
        const int64_t stride = s->stride[0]; /* the same in both axes */
        int64_t y = forward ? py * stride + down : py - down;
        int64_t z = forward ? px * stride + right : px - right;
        const float *from;
        if (!forward && (y % stride != 0 || z % stride != 0)) continue;
        if (!forward) {
            y /= stride;
            z /= stride;
        }
        if (y < 0 || y >= height || z < 0 || z >= width) continue;
        from = x + (y * width + z) * in * PRUN_LANES;
        if (!taps) found = kernels->nonzero(from, in, found);
        for (k = 0; taps && k < in && found != PRUN__ALL_LANES; k++)
            if (taps[k] >> t & 1) found = kernels->nonzero(from + k * PRUN_LANES, 1, found);
    }
    return ~found & PRUN__ALL_LANES;
}

/* True when every output of a tile certainly has a non-zero input in every lane: when each group of
   pixels that several outputs share has. kind: 0 stride 1, 1 stride 2, 2 its input gradient. */
static int prun__tile_is_full(const prun__tiling *t, int kind, const prun__tile *tile,
                              const float *const *pixel) {
    const prun__kernels *kernels = prun__kernels_get();
    const prun__axis *h = &t->axis[0], *w = &t->axis[1];
    const int64_t rows = h->out - tile->row * h->out_step;
    const int64_t columns = w->out - tile->column * w->out_step;
    const int start = kind < 2, step = kind < 2 ? 2 : 1, size = kind == 0 ? 2 : 1;
    const int groups = kind < 2 ? 2 : 5;
    int gy, gx, i;
    for (gy = 0; gy < groups && (kind == 2 || 2 * gy < rows); gy++)
        for (gx = 0; gx < groups && (kind == 2 || 2 * gx < columns); gx++) {
            uint32_t found = 0;
            for (i = 0; i < size * size && found != PRUN__ALL_LANES; i++)
                found = kernels->nonzero(pixel[(start + step * gy + i / size) * t->points + start +
                                               step * gx + i % size],
                                         t->in, found);
            if (found != PRUN__ALL_LANES) return 0;
        }
    return 1;
}

/* A convolution of a sum of several of the same shape: its input and packed weights. */
typedef struct prun__term {
    const float *x, *packed;
} prun__term;

/* What a call of Winograd works on, and its scratch. */
typedef struct prun__winograd {
    const prun__conv *conv;
    const prun__term *term;
    int terms;
    prun__tiling tiling;
    int forward, kind; /* as in prun__tile_is_full */
    int64_t x_size, y_size;
    int64_t v_tile, v_stride, m_tile, m_stride; /* from tile to tile, from point to point */
    float *v, *m, *zero, *rest, *before, *least;
    prun__finish finish;
    prun__holes holes;
    int has_holes;
    int64_t measured; /* block whose inputs `largest` is of, or -1 */
    float largest[PRUN_LANES];
} prun__winograd;

/* Makes channel o of one pixel what it is without products, in the given lanes. */
static void prun__zero_put(const prun__winograd *w, int64_t pixel, int64_t o, uint32_t lanes,
                           float *y) {
    const float bias = w->finish.bias ? w->finish.bias[o] : 0.0f;
    const float value = w->finish.relu && bias < 0.0f ? 0.0f : bias;
    const float *before = w->before + (pixel * w->tiling.out + o) * PRUN_LANES;
    int l;
    for (l = 0; l < PRUN_LANES; l++)
        if (lanes >> l & 1) y[l] = w->finish.accumulate ? before[l] : value;
}

/* True if, in some lane, the result of filter o may be nothing but rounding error. */
static int prun__result_is_small(const prun__winograd *w, int64_t o) {
    const float *least = w->least + o * PRUN_LANES;
    const float limit = PRUN__WINOGRAD_NOISE * w->holes.reach[o];
    int l, tiny = 0;
    for (l = 0; l < PRUN_LANES; l++) tiny |= least[l] <= limit * w->largest[l];
    return tiny && limit > 0.0f;
}

/* Gives a tile's outputs without products their exact values. full: no output lacks inputs. y: the
   tile's pixels. */
static void prun__zeros_restore(const prun__winograd *w, const prun__tile *tile, int full,
                                float *const *y) {
    const prun__tiling *t = &w->tiling;
    const prun__axis *rows = &t->axis[0], *columns = &t->axis[1];
    const int64_t y0 = tile->row * rows->out_step, x0 = tile->column * columns->out_step;
    int64_t o, k;
    /* Channel -1: all of them, where the inputs alone are zero. */
    for (o = full ? 0 : -1; o < (w->has_holes ? t->out : 0); o++) {
        if (o >= 0 && !prun__result_is_small(w, o)) continue;
        for (k = 0; k < t->outputs * t->outputs; k++) {
            const int64_t py = y0 + rows->to[k / t->outputs], px = x0 + columns->to[k % t->outputs];
            const uint16_t *taps = o < 0 ? NULL : w->holes.taps + o * t->in;
            int64_t c = PRUN__MAX(o, 0), end = o < 0 ? t->out : o + 1;
            uint32_t lanes = PRUN__ALL_LANES;
            int i;
            if (y[k] == w->rest) continue;
            for (i = 0; i < w->terms && lanes; i++)
                lanes &= prun__zero_lanes(w->conv, w->forward,
                                          w->term[i].x + tile->block * w->x_size, py, px, taps);
            for (; lanes && c < end; c++) prun__zero_put(w, k, c, lanes, y[k] + c * PRUN_LANES);
        }
    }
}

/* True when a filter has zeros among its weights. */
static int prun__has_holes(const prun__holes *holes, int64_t filters) {
    int64_t o;
    for (o = 0; o < filters; o++)
        if (holes->reach[o] > 0.0f) return 1;
    return 0;
}

/* True when no weight of a packed convolution is zero. */
static int prun__weights_are_full(const prun__conv *c, int forward, const float *packed) {
    const prun__holes holes = prun__holes_get(c, forward, packed);
    int64_t o;
    for (o = 0; o < (forward ? c->shape.out_channels : c->shape.in_channels); o++)
        if (holes.reach[o] != 0.0f) return 0;
    return 1;
}

/* Prepares a call: tiling, strides, and the scratch memory cut into its arrays, with the zero pixel
   cleared. */
static prun__winograd prun__winograd_make(const prun__conv *c, int forward, const prun__term *term,
                                          int terms, prun__finish finish, float *scratch) {
    const int64_t tiles = prun__winograd_tiles(c);
    const int strided = prun__conv_is_strided(c);
    prun__winograd w;
    w.conv = c;
    w.term = term;
    w.terms = terms;
    w.tiling = prun__tiling_make(c, forward);
    w.forward = forward;
    w.kind = strided && !forward ? 2 : strided;
    w.x_size = w.tiling.axis[0].in * w.tiling.axis[1].in * w.tiling.in * PRUN_LANES;
    w.y_size = w.tiling.axis[0].out * w.tiling.axis[1].out * w.tiling.out * PRUN_LANES;
    w.v_tile = prun__tile_stride(w.tiling.in) * PRUN_LANES;
    w.m_tile = prun__tile_stride(w.tiling.out) * PRUN_LANES;
    w.v_stride = prun__frequency_stride(tiles, w.tiling.in);
    w.m_stride = prun__frequency_stride(tiles, w.tiling.out);
    w.v = scratch;
    w.m = w.v + prun__winograd_frequencies(c) * w.v_stride;
    w.zero = w.m + prun__winograd_frequencies(c) * w.m_stride;
    w.rest = w.zero + w.tiling.in * PRUN_LANES;
    w.least = w.rest + w.tiling.out * PRUN_LANES;
    w.before = w.least + w.tiling.out * PRUN_LANES;
    w.finish = finish;
    w.holes = prun__holes_get(c, forward, term[0].packed);
    w.has_holes = prun__has_holes(&w.holes, w.tiling.out);
    w.measured = -1;
    memset(w.zero, 0, (size_t)((w.tiling.in + w.tiling.out) * PRUN_LANES) * sizeof(float));
    return w;
}

/* Takes a tile, number i of those at hand, back from the frequencies. */
static void prun__winograd_write_tile(prun__winograd *w, int64_t i, const prun__tile *tile,
                                      int full, float *y) {
    const prun__kernels *kernels = prun__kernels_get();
    const prun__tiling *t = &w->tiling;
    const int64_t pixels = t->outputs * t->outputs, pixel = t->out * PRUN_LANES;
    const int exact = w->has_holes || !full, adds = exact && w->finish.accumulate;
    const float *target[64];
    float *to[64];
    int64_t k;
    prun__tile_find_outputs(t, tile, y + tile->block * w->y_size, w->rest, target);
    for (k = 0; k < pixels; k++) {
        to[k] = (float *)(uintptr_t)target[k];
        if (adds) memcpy(w->before + k * pixel, to[k], (size_t)pixel * sizeof(float));
    }
    kernels->winograd_out[w->kind](w->m + i * w->m_tile, w->m_stride, t->out, &w->finish,
                                   w->has_holes ? w->least : NULL, to);
    if (!exact) return;
    if (w->has_holes && w->measured != tile->block)
        kernels->largest(w->term[0].x + tile->block * w->x_size, w->x_size / PRUN_LANES,
                         w->largest);
    w->measured = tile->block;
    prun__zeros_restore(w, tile, full, to);
}

/* Forward or input gradient of some blocks: one convolution, or the sum of two, which are joined in
   the frequencies and may have no zeros among their weights. scratch: prun__winograd_scratch
   floats. */
static void prun__winograd_run(const prun__conv *c, int forward, int64_t blocks,
                               const prun__term *term, int terms, prun__finish finish,
                               float *scratch, float *y) {
    const prun__kernels *kernels = prun__kernels_get();
    const int64_t capacity = prun__winograd_tiles(c);
    prun__winograd w = prun__winograd_make(c, forward, term, terms, finish, scratch);
    const prun__tiling *t = &w.tiling;
    const int strided = prun__conv_is_strided(c);
    prun__tile in[2] = {{0, 0, 0}, {0, 0, 0}}, out = {0, 0, 0};
    int k, full[PRUN__WINOGRAD_TILES];
    const float *from[81];
    int64_t at, i;
    for (at = 0; at < blocks * t->count; at += capacity) {
        const int64_t tiles = PRUN__MIN(capacity, blocks * t->count - at);
        for (k = 0; k < terms; k++) {
            for (i = 0; i < tiles; i++, prun__tile_step(t, &in[k])) {
                prun__tile_find_inputs(t, &in[k], term[k].x + in[k].block * w.x_size, w.zero, from);
                kernels->winograd_in[strided](from, t->in, w.v + i * w.v_tile, w.v_stride);
                full[i] = (k > 0 && full[i]) || prun__tile_is_full(t, w.kind, &in[k], from);
            }
            prun__winograd_join(c, t, tiles, term[k].packed, w.v, k > 0, w.m);
        }
        for (i = 0; i < tiles; i++, prun__tile_step(t, &out))
            prun__winograd_write_tile(&w, i, &out, full[i], y);
    }
}
#endif

/* [KERNELGRAD.I] gradients with respect to kernels, direct and by Winograd */
/*
   Sums over pixels and images. Groups of blocks add up partial sums of their own, which are added
   in the order of the groups.
*/
#ifndef PRUNABILITY_NO_NET

/* Floats of a block's input. */
static int64_t prun__conv_in_size(const prun__conv *c) {
    return c->shape.in_channels * c->shape.in_height * c->shape.in_width * PRUN_LANES;
}

/* Floats of a block's output. */
static int64_t prun__conv_out_size(const prun__conv *c) {
    return c->shape.out_channels * c->out_height * c->out_width * PRUN_LANES;
}

/* Copies a block into the middle of zeros. */
static void prun__block_copy_padded(const prun__conv *c, const float *x, float *padded) {
    const int64_t row = c->shape.in_width * c->shape.in_channels * PRUN_LANES;
    const int64_t left = c->shape.padding[1] * c->shape.in_channels * PRUN_LANES;
    const int64_t wide = prun__padded_width(c) * c->shape.in_channels * PRUN_LANES;
    int64_t y;
    memset(padded, 0, (size_t)(c->shape.padding[0] * wide) * sizeof(float));
    padded += c->shape.padding[0] * wide;
    for (y = 0; y < c->shape.in_height; y++, x += row, padded += wide) {
        memset(padded, 0, (size_t)left * sizeof(float));
        memcpy(padded + left, x, (size_t)row * sizeof(float));
        memset(padded + left + row, 0, (size_t)(wide - left - row) * sizeof(float));
    }
    memset(padded, 0, (size_t)(c->shape.padding[2] * wide) * sizeof(float));
}

/* Weight gradient -- sums over pixels and images of x times dy, in register tiles of tile_rows
   kernel positions x tile_columns out-channels. Tasks are (group of blocks) x (chunk of
   out-channels). The number of groups depends on the shape alone, so the order of summation never
   depends on the threads. Groups give narrow layers enough tasks; wide layers have them already and
   need no extra buffers. */
typedef struct prun__weight_job {
    const prun__conv *conv;
    const float *x, *dy;   /* of the first `first` blocks */
    const float *x2, *dy2; /* of the others */
    int64_t first;
    float *partial, *strips; /* strips: scratch per worker */
    float *dweight;
    int64_t blocks, groups, chunks, task_sums; /* task_sums: floats of one task's sums */
} prun__weight_job;

/* Input of a block. */
static const float *prun__weight_job_x(const prun__weight_job *job, int64_t block) {
    const int64_t size = prun__conv_in_size(job->conv);
    return block < job->first ? job->x + block * size : job->x2 + (block - job->first) * size;
}

/* Gradient of a block's output. */
static const float *prun__weight_job_dy(const prun__weight_job *job, int64_t block) {
    const int64_t size = prun__conv_out_size(job->conv);
    return block < job->first ? job->dy + block * size : job->dy2 + (block - job->first) * size;
}

/* Rows of the tiles: a kernel tap and in-channel each. */
typedef struct prun__rows {
    int64_t runs, length, padded, tap; /* padded: slots of a run; tap: slots from tap to tap */
    int joined;
} prun__rows;

/* Makes the layout of the gradient's rows for the tiles of the present tier. */
static prun__rows prun__rows_make(const prun__conv *c) {
    const int64_t tile = prun__kernels_get()->tile_rows, ins = c->shape.in_channels;
    prun__rows r;
    r.joined = prun__conv_has_joined_taps(c);
    r.runs = r.joined ? 1 : c->taps;
    r.length = r.joined ? c->taps * ins : ins;
    r.padded = (r.length + tile - 1) / tile * tile;
    r.tap = r.joined ? ins : r.padded;
    return r;
}

/* Out-channels of a chunk: their gradients of a strip and the sums stay in the caches. */
static int64_t prun__direct_chunk(const prun__conv *c) {
    return PRUN__MIN(c->shape.out_channels, 48);
}

/* The same for Winograd, which transforms x anew for every chunk. */
static int64_t prun__winograd_chunk(const prun__conv *c) {
    return PRUN__MIN(c->shape.out_channels, 96);
}

/* Number of chunks of at most `most` out-channels. */
static int64_t prun__weight_chunks(const prun__conv *c, int64_t most) {
    return (c->shape.out_channels + most - 1) / most;
}

/* Out-channels of a chunk; the last one may have fewer. */
static int64_t prun__chunk_channels(const prun__conv *c, int64_t most, int64_t chunk) {
    return PRUN__MIN(most, c->shape.out_channels - chunk * most);
}

/* Number of groups of blocks: enough for eight tasks in all, but none is empty. Threads play no
   part, so that sums do not depend on them. */
static int64_t prun__weight_groups(const prun__conv *c, int64_t most, int64_t blocks) {
    const int64_t chunks = prun__weight_chunks(c, most);
    return PRUN__MIN(blocks, (7 + chunks) / chunks);
}

/* Enough for the tiles of every tier. */
static int64_t prun__direct_partial_size(const prun__conv *c, int64_t blocks) {
    const int64_t slots = PRUN__MAX(c->taps * (c->shape.in_channels + 3), 4);
    return prun__weight_groups(c, prun__direct_chunk(c), blocks) *
           prun__weight_chunks(c, prun__direct_chunk(c)) * prun__direct_chunk(c) * slots;
}

/* Output pixels whose tile is summed at a time: few enough for a column of dy to stay in the
   first-level cache beside the rows of x that stream past, many enough for the adding up of lanes
   at the end to cost little. */
#define PRUN__WEIGHT_PIXELS 48

/* Some rows of one block, or all rows of several. */
typedef struct prun__strip {
    const float *x, *dy; /* of the first block; dy of the chunk's first channel */
    int64_t blocks, row, rows;
    float *column; /* dy of the columns at work, [block][pixel][column] */
} prun__strip;

/* Columns at work are copied side by side: pixels of dy are often a multiple of 4 KB apart, where
   they would push one another out of the cache. */
static void prun__strip_copy_columns(const prun__conv *c, const prun__strip *s, int64_t from,
                                     int64_t columns) {
    const int64_t outs = c->shape.out_channels, pixels = s->rows * c->out_width;
    int64_t b, p;
    float *to = s->column;
    for (b = 0; b < s->blocks; b++) {
        const float *dy =
            s->dy + b * prun__conv_out_size(c) + (s->row * c->out_width * outs + from) * PRUN_LANES;
        for (p = 0; p < pixels; p++, dy += outs * PRUN_LANES, to += columns * PRUN_LANES)
            memcpy(to, dy, (size_t)(columns * PRUN_LANES) * sizeof(float));
    }
}

/* Width of the next columns out of `left`: all as equal as can be. */
static int64_t prun__tile_width(int64_t left) {
    const int64_t most = prun__kernels_get()->tile_columns, tiles = (left + most - 1) / most;
    return (left + tiles - 1) / tiles;
}

/* One run of rows (tap) from in-channel `from` to `to`, against some columns. */
static void prun__strip_add_tap(const prun__conv *c, const prun__rows *r, const prun__strip *s,
                                int64_t tap, int64_t from, int64_t to, int64_t column,
                                int64_t columns, float *sums) {
    const prun__kernels *kernels = prun__kernels_get();
    const prun_conv2d *shape = &c->shape;
    const int64_t ky = tap / shape->kernel[1], kx = tap % shape->kernel[1];
    const int64_t wide = r->joined ? prun__padded_width(c) : shape->in_width;
    const int64_t ins = shape->in_channels;
    int64_t y0 = 0, y1 = c->out_height, x0 = 0, x1 = c->out_width, top = 0, left = 0;
    prun__correlation j;
    if (!r->joined) {
        prun__tap_range(ky, shape->padding[0], shape->stride[0], shape->in_height, c->out_height,
                        &y0, &y1);
        prun__tap_range(kx, shape->padding[1], shape->stride[1], shape->in_width, c->out_width, &x0,
                        &x1);
        top = ky - shape->padding[0];
        left = kx - shape->padding[1];
    }
    y0 = PRUN__MAX(y0, s->row);
    y1 = PRUN__MIN(y1, s->row + s->rows);
    if (y0 >= y1 || x0 >= x1) return;
    j.blocks = s->blocks;
    j.rows = y1 - y0;
    j.pixels = x1 - x0;
    j.x_pixel = shape->stride[1] * ins * PRUN_LANES;
    j.x_row = shape->stride[0] * wide * ins * PRUN_LANES;
    j.x_block = prun__conv_in_size(c);
    j.x = s->x +
          ((y0 * shape->stride[0] + top) * wide + x0 * shape->stride[1] + left) * ins * PRUN_LANES;
    j.y_pixel = columns * PRUN_LANES;
    j.y_row = c->out_width * j.y_pixel;
    j.y_block = s->rows * j.y_row;
    j.y = s->column + (y0 - s->row) * j.y_row + x0 * j.y_pixel;
    j.sum_column = r->runs * r->padded;
    j.tiles = (to - from + kernels->tile_rows - 1) / kernels->tile_rows;
    j.offset = (r->joined ? c->joined : c->channel) + from;
    j.sum = sums + column * j.sum_column + tap * r->padded + from;
    kernels->correlate[columns](&j);
}

/* A strip against a chunk. In-channels go in portions that stay in the second-level cache while all
   columns pass. */
static void prun__strip_add(const prun__conv *c, const prun__rows *r, const prun__strip *s,
                            int64_t channels, float *sums) {
    const int64_t rows = prun__kernels_get()->tile_rows;
    const int64_t area = c->shape.stride[0] * c->shape.stride[1];
    const int64_t portion = PRUN__MAX(64 / area, 4) / rows * rows;
    int64_t from, column, columns, tap;
    for (from = 0; from < r->length; from += portion)
        for (column = 0; column < channels; column += columns) {
            columns = prun__tile_width(channels - column);
            prun__strip_copy_columns(c, s, column, columns);
            for (tap = 0; tap < r->runs; tap++)
                prun__strip_add_tap(c, r, s, tap, from, PRUN__MIN(from + portion, r->length),
                                    column, columns, sums);
        }
}

/* Rows of a strip, and blocks of one where a block is small. */
static int64_t prun__strip_rows(const prun__conv *c) {
    return PRUN__MAX(1, PRUN__MIN(c->out_height, PRUN__WEIGHT_PIXELS / c->out_width));
}

/* Blocks of a strip where a block has fewer pixels than a strip should have. */
static int64_t prun__strip_blocks(const prun__conv *c) {
    return PRUN__MAX(1, PRUN__WEIGHT_PIXELS / (c->out_height * c->out_width));
}

/* A padded block, and columns of dy: no tier has more than six. */
static int64_t prun__direct_weight_scratch(const prun__conv *c) {
    return prun__padded_size(c) +
           prun__strip_blocks(c) * prun__strip_rows(c) * c->out_width * 6 * PRUN_LANES;
}

/* Sums of one group of blocks and one chunk of out-channels, strip by strip. */
static void prun__direct_weight_task(void *pointer, int64_t item, int64_t worker) {
    const prun__weight_job *job = (const prun__weight_job *)pointer;
    const prun__conv *c = job->conv;
    const prun__rows r = prun__rows_make(c);
    const int64_t group = item / job->chunks, chunk = item % job->chunks;
    const int64_t to = (group + 1) * job->blocks / job->groups;
    const int64_t rows = prun__strip_rows(c), several = r.joined ? 1 : prun__strip_blocks(c);
    float *sums = job->partial + item * job->task_sums;
    float *padded = job->strips + worker * prun__direct_weight_scratch(c);
    int64_t b;
    prun__strip s;
    s.column = padded + prun__padded_size(c);
    memset(sums, 0, (size_t)job->task_sums * sizeof(float));
    for (b = group * job->blocks / job->groups; b < to; b += s.blocks) {
        s.x = prun__weight_job_x(job, b);
        s.dy = prun__weight_job_dy(job, b) + chunk * prun__direct_chunk(c) * PRUN_LANES;
        s.blocks = PRUN__MIN(several, (b < job->first ? PRUN__MIN(to, job->first) : to) - b);
        if (r.joined && prun__padded_size(c) > 0) {
            prun__block_copy_padded(c, s.x, padded);
            s.x = padded;
        }
        for (s.row = 0; s.row < c->out_height; s.row += s.rows) {
            s.rows = PRUN__MIN(rows, c->out_height - s.row);
            prun__strip_add(c, &r, &s, prun__chunk_channels(c, prun__direct_chunk(c), chunk), sums);
        }
    }
}

/* Adds the groups' sums to the first group's, in order; a piece at a time. */
#define PRUN__PIECES 64
static void prun__groups_add_task(void *pointer, int64_t piece, int64_t worker) {
    const prun__weight_job *job = (const prun__weight_job *)pointer;
    const int64_t total = job->chunks * job->task_sums;
    const int64_t to = (piece + 1) * total / PRUN__PIECES;
    float *PRUN__RESTRICT sum = job->partial;
    int64_t g, i;
    (void)worker;
    for (g = 1; g < job->groups; g++) {
        const float *PRUN__RESTRICT more = job->partial + g * total;
        for (i = piece * total / PRUN__PIECES; i < to; i++) sum[i] += more[i];
    }
}

/* Unpacks one out-channel into (O, I, KH, KW). */
static void prun__direct_unpack_task(void *pointer, int64_t o, int64_t worker) {
    const prun__weight_job *job = (const prun__weight_job *)pointer;
    const prun__conv *c = job->conv;
    const prun__rows r = prun__rows_make(c);
    const float *sum = job->partial + o / prun__direct_chunk(c) * job->task_sums +
                       o % prun__direct_chunk(c) * r.runs * r.padded;
    float *to = job->dweight + o * c->shape.in_channels * c->taps;
    int64_t i, tap;
    (void)worker;
    for (i = 0; i < c->shape.in_channels; i++)
        for (tap = 0; tap < c->taps; tap++) *to++ = sum[tap * r.tap + i];
}

/* The weight gradient without Winograd: the sums of all tasks, added over groups, then unpacked. */
static void prun__direct_weight_gradient(prun_context *context, prun__weight_job *job) {
    const prun__rows r = prun__rows_make(job->conv);
    job->chunks = prun__weight_chunks(job->conv, prun__direct_chunk(job->conv));
    job->groups = prun__weight_groups(job->conv, prun__direct_chunk(job->conv), job->blocks);
    job->task_sums = prun__direct_chunk(job->conv) * r.runs * r.padded;
    prun__for(context, prun__direct_weight_task, job, job->groups * job->chunks);
    if (job->groups > 1) prun__for(context, prun__groups_add_task, job, PRUN__PIECES);
    prun__for(context, prun__direct_unpack_task, job, job->conv->shape.out_channels);
}

/* Winograd: dW = G' (sum over tiles of (B' x B) times (A dy A')) G, 36 products per tile, at stride
   2 81, instead of 144. Sums of a task: [plane][out-channel of the chunk][in-channel]. */
static int64_t prun__winograd_sums_size(const prun__conv *c) {
    return 36 * prun__winograd_chunk(c) * (c->shape.in_channels + 3);
}

/* As many groups as give each eight tiles on average: the lanes of all sums are added up once per
   group. */
static int64_t prun__winograd_groups(const prun__conv *c, int64_t blocks) {
    const int64_t tiles = blocks * prun__tiling_make(c, 1).count;
    return PRUN__MAX(1,
                     PRUN__MIN(prun__weight_groups(c, prun__winograd_chunk(c), blocks), tiles / 8));
}

/* Tiles at a time: here adding up the lanes is what costs for too few of them, so more of the
   third-level cache is spent. */
static int64_t prun__weight_tiles(const prun__conv *c) {
    return prun__tiles_within(c, INT64_C(1) << 23, c->shape.in_channels + prun__winograd_chunk(c),
                              8);
}

/* Frequencies of x and of a chunk of dy, a zero pixel. */
static int64_t prun__winograd_weight_scratch(const prun__conv *c) {
    return prun__winograd_frequencies(c) *
               (prun__frequency_stride(prun__weight_tiles(c), c->shape.in_channels) +
                prun__frequency_stride(prun__weight_tiles(c), prun__winograd_chunk(c))) +
           PRUN__MAX(c->shape.in_channels, c->shape.out_channels) * PRUN_LANES;
}

/* Adds `tiles` tiles in every frequency to the sums. v and d: frequencies of x and dy. */
static void prun__winograd_add_tiles(const prun__conv *c, int64_t tiles, int64_t channels,
                                     const float *v, const float *d, float *sums) {
    const prun__kernels *kernels = prun__kernels_get();
    const int64_t ins = c->shape.in_channels, points = prun__winograd_points(c);
    const int64_t x_stride = prun__frequency_stride(prun__weight_tiles(c), ins);
    const int64_t y_stride = prun__frequency_stride(prun__weight_tiles(c), channels);
    int64_t plane, column, columns;
    prun__correlation j;
    memset(&j, 0, sizeof j);
    j.pixels = tiles;
    j.x_pixel = prun__tile_stride(ins) * PRUN_LANES;
    j.y_pixel = prun__tile_stride(channels) * PRUN_LANES;
    j.x_row = x_stride; /* where points share a plane of weights */
    j.y_row = y_stride;
    j.x_block = points * x_stride;
    j.y_block = points * y_stride;
    j.sum_column = ins + 3;
    j.offset = c->channel;
    j.tiles = (ins + kernels->tile_rows - 1) / kernels->tile_rows;
    for (plane = 0; plane < 36; plane++, sums += prun__winograd_chunk(c) * j.sum_column) {
        const int64_t f = plane / 6 * points + plane % 6;
        j.blocks = plane / 6 == 5 ? points - 5 : 1;
        j.rows = plane % 6 == 5 ? points - 5 : 1;
        j.x = v + f * x_stride;
        for (column = 0; column < channels; column += columns) {
            columns = prun__tile_width(channels - column);
            j.y = d + f * y_stride + column * PRUN_LANES;
            j.sum = sums + column * j.sum_column;
            kernels->correlate[columns](&j);
        }
    }
}

/* Sums of one group of blocks and one chunk of out-channels in every frequency; tiles are
   transformed as they come. */
static void prun__winograd_weight_task(void *pointer, int64_t item, int64_t worker) {
    const prun__weight_job *job = (const prun__weight_job *)pointer;
    const prun__kernels *kernels = prun__kernels_get();
    const prun__conv *c = job->conv;
    const prun__tiling t = prun__tiling_make(c, 1);
    const int64_t group = item / job->chunks, chunk = item % job->chunks;
    const int64_t channels = prun__chunk_channels(c, prun__winograd_chunk(c), chunk);
    const int64_t capacity = prun__weight_tiles(c), frequencies = prun__winograd_frequencies(c);
    const int64_t v_stride = prun__frequency_stride(capacity, t.in);
    const int64_t d_stride = prun__frequency_stride(capacity, channels);
    const int64_t v_tile = prun__tile_stride(t.in) * PRUN_LANES;
    const int64_t d_tile = prun__tile_stride(channels) * PRUN_LANES;
    const int64_t from = group * job->blocks / job->groups * t.count;
    const int64_t to = (group + 1) * job->blocks / job->groups * t.count;
    float *v = job->strips + worker * prun__winograd_weight_scratch(c);
    float *d = v + frequencies * v_stride, *zero = d + frequencies * d_stride;
    float *sums = job->partial + item * job->task_sums;
    const float *x_pixel[81], *y_pixel[16];
    const int strided = prun__conv_is_strided(c);
    prun__tile tile = prun__tile_find(&t, from);
    int64_t at, i, k;
    memset(zero, 0, (size_t)(PRUN__MAX(t.in, t.out) * PRUN_LANES) * sizeof(float));
    memset(sums, 0, (size_t)job->task_sums * sizeof(float));
    for (at = from; at < to; at += capacity) {
        const int64_t tiles = PRUN__MIN(capacity, to - at);
        for (i = 0; i < tiles; i++, prun__tile_step(&t, &tile)) {
            prun__tile_find_inputs(&t, &tile, prun__weight_job_x(job, tile.block), zero, x_pixel);
            kernels->winograd_in[strided](x_pixel, t.in, v + i * v_tile, v_stride);
            prun__tile_find_outputs(&t, &tile, prun__weight_job_dy(job, tile.block), zero, y_pixel);
            for (k = 0; k < 16; k++)
                if (y_pixel[k] != zero) y_pixel[k] += chunk * prun__winograd_chunk(c) * PRUN_LANES;
            kernels->winograd_dy[strided](y_pixel, channels, d + i * d_tile, d_stride);
        }
        prun__winograd_add_tiles(c, tiles, channels, v, d, sums);
    }
}

/* G' u G: 36 sums to the 9 weights, of four kernels. u: `step` floats apart. most: the largest
   absolute sum of each. */
static void prun__winograd_kernel_weights(int strided, const float *u, int64_t step, float *w,
                                          float *most) {
    const float(*g)[3] = prun__winograd_g[strided];
    prun__f4 t[18], top = prun__f4_set(0.0f);
    int i, j, k;
    for (i = 0; i < 36; i++) top = prun__f4_max(prun__f4_abs(prun__f4_load(u + i * step)), top);
    prun__f4_store(most, top);
    for (i = 0; i < 3; i++)
        for (j = 0; j < 6; j++) {
            prun__f4 sum = prun__f4_set(0.0f);
            for (k = 0; k < 6; k++)
                sum =
                    prun__f4_mla(prun__f4_set(g[k][i]), prun__f4_load(u + (6 * k + j) * step), sum);
            t[6 * i + j] = sum;
        }
    for (i = 0; i < 3; i++)
        for (j = 0; j < 3; j++) {
            prun__f4 sum = prun__f4_set(0.0f);
            for (k = 0; k < 6; k++) sum = prun__f4_mla(t[6 * i + k], prun__f4_set(g[k][j]), sum);
            prun__f4_store(w + 4 * (3 * i + j), sum);
        }
}

/* Keeps in list[0 .. n) the in-channels i whose weight (o, i) at a tap has no product that is not
   zero, in any block, and returns how many they are. The search begins in the middle of the images,
   where there is more to see than in the corner. */
static int64_t prun__weights_select_empty(const prun__weight_job *job, int64_t o, int64_t tap,
                                          int32_t *list, int64_t n) {
    const prun__kernels *kernels = prun__kernels_get();
    const prun__conv *c = job->conv;
    const prun_conv2d *s = &c->shape;
    int64_t b, row, column;
    for (b = 0; n > 0 && b < job->blocks; b++)
        for (row = 0; row < c->out_height; row++) {
            const int64_t y = (row + c->out_height / 2) % c->out_height;
            const int64_t iy = y * s->stride[0] - s->padding[0] + tap / 3;
            if (iy < 0 || iy >= s->in_height) continue;
            for (column = 0; column < c->out_width; column++) {
                const int64_t x = (column + c->out_width / 2) % c->out_width;
                const int64_t ix = x * s->stride[1] - s->padding[1] + tap % 3;
                const int64_t to = (y * c->out_width + x) * s->out_channels + o;
                const float *from = prun__weight_job_x(job, b) +
                                    (iy * s->in_width + ix) * s->in_channels * PRUN_LANES;
                int64_t k, left = 0;
                uint32_t lanes;
                if (ix < 0 || ix >= s->in_width) continue;
                lanes = kernels->nonzero(prun__weight_job_dy(job, b) + to * PRUN_LANES, 1, 0);
                for (k = 0; lanes != 0 && k < n; k++)
                    if (!(kernels->nonzero(from + list[k] * PRUN_LANES, 1, 0) & lanes))
                        list[left++] = list[k];
                if (lanes != 0) n = left;
                if (n == 0) return 0;
            }
        }
    return n;
}

/* A weight gradient that is this small beside the kernel's largest sum may be a rounding error. It
   is set to zero unless one of its products is not zero. Where all sums of a kernel cancel to
   rounding errors, a gradient whose products are all zero may be one of them. */
#define PRUN__WINOGRAD_SUM_NOISE (1.0f / 32.0f)

/* Bits of the taps that lie inside the image for some output; the others have no products. */
static uint32_t prun__taps_inside(const prun__conv *c) {
    const prun_conv2d *s = &c->shape;
    uint32_t rows = 0, columns = 0, taps = 0;
    int64_t i, k;
    for (k = 0; k < 3; k++) {
        for (i = 0; i < c->out_height; i++) {
            const int64_t y = i * s->stride[0] - s->padding[0] + k;
            if (y >= 0 && y < s->in_height) rows |= 1u << k;
        }
        for (i = 0; i < c->out_width; i++) {
            const int64_t x = i * s->stride[1] - s->padding[1] + k;
            if (x >= 0 && x < s->in_width) columns |= 1u << k;
        }
    }
    for (k = 0; k < 9; k++)
        if (rows >> k / 3 & columns >> k % 3 & 1) taps |= 1u << k;
    return taps;
}

/* In-channels whose gradients are judged together. */
#define PRUN__JUDGED 64

/* Takes in-channels from .. to - 1 of an out-channel back from the frequencies, four at a time. */
static void prun__winograd_unpack(const prun__weight_job *job, int64_t o, int64_t from,
                                  int64_t to) {
    const prun__conv *c = job->conv;
    const int64_t ins = c->shape.in_channels, column = ins + 3, chunk = prun__winograd_chunk(c);
    const float *sums = job->partial + o / chunk * job->task_sums + o % chunk * column;
    const uint32_t inside = prun__taps_inside(c);
    float *dweight = job->dweight + o * ins * 9;
    int32_t tiny[9][PRUN__JUDGED];
    int64_t i, k, t, count[9];
    memset(count, 0, sizeof count);
    for (i = from; i < to; i += 4) {
        float w[9 * 4], most[4];
        prun__winograd_kernel_weights(prun__conv_is_strided(c), sums + i, chunk * column, w, most);
        for (k = 0; k < PRUN__MIN(4, to - i); k++)
            for (t = 0; t < 9; t++) {
                const float v = inside >> t & 1 ? w[4 * t + k] : 0.0f;
                dweight[(i + k) * 9 + t] = v;
                if (v != 0.0f && fabsf(v) <= PRUN__WINOGRAD_SUM_NOISE * most[k])
                    tiny[t][count[t]++] = (int32_t)(i + k);
            }
    }
    for (t = 0; t < 9; t++) {
        const int64_t n = prun__weights_select_empty(job, o, t, tiny[t], count[t]);
        for (k = 0; k < n; k++) dweight[tiny[t][k] * 9 + t] = 0.0f;
    }
}

/* Takes one out-channel back from the frequencies. */
static void prun__winograd_unpack_task(void *pointer, int64_t o, int64_t worker) {
    const prun__weight_job *job = (const prun__weight_job *)pointer;
    const int64_t ins = job->conv->shape.in_channels;
    int64_t i;
    (void)worker;
    for (i = 0; i < ins; i += PRUN__JUDGED)
        prun__winograd_unpack(job, o, i, PRUN__MIN(i + PRUN__JUDGED, ins));
}

/* The weight gradient by Winograd: the sums of all tasks, added over groups, then taken back to
   taps. */
static void prun__winograd_weight_gradient(prun_context *context, prun__weight_job *job) {
    job->chunks = prun__weight_chunks(job->conv, prun__winograd_chunk(job->conv));
    job->groups = prun__winograd_groups(job->conv, job->blocks);
    job->task_sums = prun__winograd_sums_size(job->conv);
    prun__for(context, prun__winograd_weight_task, job, job->groups * job->chunks);
    if (job->groups > 1) prun__for(context, prun__groups_add_task, job, PRUN__PIECES);
    prun__for(context, prun__winograd_unpack_task, job, job->conv->shape.out_channels);
}

/* Floats of partial sums, and of each worker's scratch. */
static int64_t prun__weight_partial_size(const prun__conv *c, int64_t blocks) {
    if (!prun__weight_gradient_uses_winograd(c)) return prun__direct_partial_size(c, blocks);
    return prun__winograd_groups(c, blocks) * prun__weight_chunks(c, prun__winograd_chunk(c)) *
           prun__winograd_sums_size(c);
}

/* Floats of scratch that each worker of a weight gradient needs. */
static int64_t prun__weight_scratch(const prun__conv *c) {
    return prun__weight_gradient_uses_winograd(c) ? prun__winograd_weight_scratch(c)
                                                  : prun__direct_weight_scratch(c);
}

/* The sums of a job, which has its blocks and buffers, into dweight. partial:
   prun__weight_partial_size floats; strips: workers x prun__weight_scratch. */
static void prun__weight_job_run(prun_context *context, prun__weight_job *job) {
    if (prun__weight_gradient_uses_winograd(job->conv))
        prun__winograd_weight_gradient(context, job);
    else prun__direct_weight_gradient(context, job);
}

/* The weight gradient of consecutive blocks. */
static void prun__weight_gradient(prun_context *context, const prun__conv *c, int64_t blocks,
                                  const float *x, const float *dy, float *partial, float *strips,
                                  float *dweight) {
    prun__weight_job job;
    memset(&job, 0, sizeof job);
    job.conv = c;
    job.x = x;
    job.dy = dy;
    job.first = blocks;
    job.partial = partial;
    job.strips = strips;
    job.dweight = dweight;
    job.blocks = blocks;
    prun__weight_job_run(context, &job);
}
#endif

/* [CONV2D.I] a whole convolution by any algorithm: packing, runs, sparse weights */
/*
   What networks call for a block or a gradient, and the public functions for a batch.
*/
#ifndef PRUNABILITY_NO_NET

/* Packs one panel of weights for the algorithm that the convolution uses. */
static void prun__conv_pack_panel(const prun__conv *c, int forward, const float *weight,
                                  const double *scale, int64_t panel, float *packed) {
    if (prun__conv_uses_winograd(c))
        prun__winograd_pack_panel(c, forward, weight, scale, panel, packed);
    else prun__direct_pack_panel(c, forward, weight, scale, panel, packed);
}

/* The weights of one direction, to be packed. */
typedef struct prun__pack_job {
    const prun__conv *conv;
    const float *weight;
    float *packed;
    const double *scale;
    int forward;
} prun__pack_job;

/* Packs panel number `panel` of a job. */
static void prun__conv_pack_task(void *pointer, int64_t panel, int64_t worker) {
    const prun__pack_job *job = (const prun__pack_job *)pointer;
    (void)worker;
    prun__conv_pack_panel(job->conv, job->forward, job->weight, job->scale, panel, job->packed);
}

/* Packs all panels of one direction, in parallel. */
static void prun__conv_pack(prun_context *context, prun__pack_job *job) {
    const prun__cut cut =
        prun__cut_make(job->forward ? job->conv->shape.out_channels : job->conv->shape.in_channels);
    prun__for(context, prun__conv_pack_task, job, prun__cut_panels(cut));
}

/* Floats of scratch that prun__conv_run needs. */
static int64_t prun__conv_scratch(const prun__conv *c) {
    return prun__conv_can_use_winograd(&c->shape) ? prun__winograd_scratch(c) : 0;
}

/* Some blocks in one direction, by whichever algorithm the weights were packed for. */
static void prun__conv_run(const prun__conv *c, int forward, int64_t blocks, const float *x,
                           const float *packed, prun__finish finish, float *scratch, float *y) {
    const int64_t in = forward ? prun__conv_in_size(c) : prun__conv_out_size(c);
    const int64_t out = forward ? prun__conv_out_size(c) : prun__conv_in_size(c);
    prun__term term;
    int64_t b;
    if (prun__conv_uses_winograd(c)) {
        term.x = x;
        term.packed = packed;
        prun__winograd_run(c, forward, blocks, &term, 1, finish, scratch, y);
        return;
    }
    for (b = 0; b < blocks; b++)
        prun__direct_run(c, forward, x + b * in, packed, finish, y + b * out);
}

/* The sum of two convolutions of the same shape, for tangents. */
static PRUN__SHARED void prun__conv_run_sum(const prun__conv *c, int forward, int64_t blocks,
                                            const prun__term term[2], prun__finish finish,
                                            float *scratch, float *y) {
    if (prun__conv_uses_winograd(c) && prun__weights_are_full(c, forward, term[0].packed) &&
        prun__weights_are_full(c, forward, term[1].packed)) {
        prun__winograd_run(c, forward, blocks, term, 2, finish, scratch, y);
        return;
    }
    prun__conv_run(c, forward, blocks, term[0].x, term[0].packed, finish, scratch, y);
    finish.bias = NULL;
    finish.accumulate = 1;
    prun__conv_run(c, forward, blocks, term[1].x, term[1].packed, finish, scratch, y);
}

/* Sparse forward: only kept weights, each a scalar that multiplies 16 images of a few pixels. The
   sums run in the order of the direct kernel and a zero weight adds nothing, so for finite values
   the two agree bit by bit (Winograd rounds otherwise). The choice depends on the shape and the
   weights, never on images or threads. */

/* Below these shares of kept weights the sparse kernel is faster than the direct one, faster than
   Winograd, and than Winograd at stride 2 (measured). */
#define PRUN__SPARSE_DENSITY 0.45
#define PRUN__SPARSE_WINOGRAD 0.15
#define PRUN__SPARSE_STRIDED 0.27

/* True when few enough weights are left and offsets fit their type. */
static int prun__conv_is_sparse(const prun__conv *c, const float *weight) {
    const int64_t size = c->shape.out_channels * c->shape.in_channels * c->taps;
    const double most = !prun__conv_uses_winograd(c) ? PRUN__SPARSE_DENSITY
                        : prun__conv_is_strided(c)   ? PRUN__SPARSE_STRIDED
                                                     : PRUN__SPARSE_WINOGRAD;
    int64_t i, kept = 0;
    if (prun__padded_height(c) * prun__padded_width(c) * c->shape.in_channels >
        INT32_MAX / PRUN_LANES)
        return 0;
    for (i = 0; i < size; i++) kept += weight[i] != 0.0f;
    return (double)kept <= most * (double)size;
}

/* Kept weights of each output channel, by (tap, in-channel); row[o] .. row[o + 1] bounds them. */
static void prun__sparse_pack(const prun__conv *c, const float *weight, const double *scale,
                              prun__nonzero *out, int32_t *row) {
    const int64_t ins = c->shape.in_channels, taps = c->taps, width = prun__padded_width(c);
    int64_t o, t, k;
    int32_t n = 0;
    for (o = 0; o < c->shape.out_channels; o++) {
        row[o] = n;
        for (t = 0; t < taps; t++) {
            const int64_t corner = (t / c->shape.kernel[1] * width + t % c->shape.kernel[1]) * ins;
            for (k = 0; k < ins; k++) {
                const float v = prun__folded_weight(weight[(o * ins + k) * taps + t], scale, o);
                if (v == 0.0f) continue;
                out[n].offset = (int32_t)((corner + k) * PRUN_LANES);
                out[n++].weight = v;
            }
        }
    }
    row[o] = n;
}

/* Forward of one block from its kept weights; padded: prun__padded_size floats. */
static void prun__sparse_run(const prun__conv *c, const float *x, const prun__nonzero *nonzero,
                             const int32_t *row, prun__finish finish, float *padded, float *y) {
    const prun__kernels *kernels = prun__kernels_get();
    const int64_t ins = c->shape.in_channels, outs = c->shape.out_channels;
    const int64_t line = c->shape.stride[0] * prun__padded_width(c) * ins * PRUN_LANES;
    int64_t oy, ox, o;
    prun__sparse_job j;
    if (prun__padded_size(c) > 0) {
        prun__block_copy_padded(c, x, padded);
        x = padded;
    }
    j.x_step = c->shape.stride[1] * ins * PRUN_LANES;
    j.y_step = outs * PRUN_LANES;
    j.relu = finish.relu;
    for (oy = 0; oy < c->out_height; oy++) {
        for (ox = 0; ox < c->out_width; ox += PRUN__SPARSE_PIXELS) {
            j.pixels = (int32_t)PRUN__MIN(PRUN__SPARSE_PIXELS, c->out_width - ox);
            j.x = x + oy * line + ox * j.x_step;
            j.y = y + (oy * c->out_width + ox) * j.y_step;
            for (o = 0; o < outs; o++, j.y += PRUN_LANES) {
                j.nonzero = nonzero + row[o];
                j.count = row[o + 1] - row[o];
                j.bias = finish.bias ? finish.bias[o] : 0.0f;
                kernels->sparse(&j);
            }
        }
    }
}

typedef struct prun__conv_job {
    const prun__conv *conv;
    const float *x, *packed;
    float *y, *scratch; /* scratch: prun__conv_scratch floats per worker */
    prun__finish finish;
    int forward;
} prun__conv_job;

/* One block of a batch in one direction, with the worker's own scratch. */
static void prun__conv_task(void *pointer, int64_t block, int64_t worker) {
    const prun__conv_job *job = (const prun__conv_job *)pointer;
    const int64_t in = prun__conv_in_size(job->conv), out = prun__conv_out_size(job->conv);
    prun__conv_run(job->conv, job->forward, 1, job->x + block * (job->forward ? in : out),
                   job->packed, job->finish, job->scratch + worker * prun__conv_scratch(job->conv),
                   job->y + block * (job->forward ? out : in));
}

/* The two public convolutions that differ only in direction. */
static prun_status prun__conv2d_run(prun_context *context, const prun_conv2d *shape, int forward,
                                    int64_t n, const float *x, const float *weight,
                                    const float *bias, float *y) {
    prun__conv conv;
    prun__conv_job job;
    prun__pack_job pack;
    float *packed, *scratch;
    if (n <= 0) return prun__fail(context, PRUN_ERR_ARGUMENT, "convolution of no images");
    PRUN__TRY(prun__conv_make(context, shape, &conv));
    packed = (float *)prun__alloc(context, prun__packed_size(&conv, forward), sizeof(float),
                                  "packed weights");
    scratch = (float *)prun__alloc(context, prun__threads(context) * prun__conv_scratch(&conv),
                                   sizeof(float), "convolution");
    if (!packed || !scratch) {
        prun__free(context, packed);
        prun__free(context, scratch);
        prun__conv_free(context, &conv);
        return PRUN_ERR_MEMORY;
    }
    memset(&pack, 0, sizeof pack);
    pack.conv = &conv;
    pack.weight = weight;
    pack.packed = packed;
    pack.forward = forward;
    prun__conv_pack(context, &pack);
    memset(&job, 0, sizeof job);
    job.conv = &conv;
    job.x = x;
    job.packed = packed;
    job.y = y;
    job.finish.bias = bias;
    job.forward = forward;
    job.scratch = scratch;
    prun__for(context, prun__conv_task, &job, prun__block_count(n));
    prun__free(context, scratch);
    prun__free(context, packed);
    prun__conv_free(context, &conv);
    return PRUN_OK;
}

PRUNDEF prun_status prun_conv2d_forward(prun_context *context, const prun_conv2d *conv, int64_t n,
                                        const float *x, const float *weight, const float *bias,
                                        float *y) {
    return prun__conv2d_run(context, conv, 1, n, x, weight, bias, y);
}

PRUNDEF prun_status prun_conv2d_input_gradient(prun_context *context, const prun_conv2d *conv,
                                               int64_t n, const float *dy, const float *weight,
                                               float *dx) {
    return prun__conv2d_run(context, conv, 0, n, dy, weight, NULL, dx);
}

PRUNDEF prun_status prun_conv2d_weight_gradient(prun_context *context, const prun_conv2d *conv,
                                                int64_t n, const float *x, const float *dy,
                                                float *dweight) {
    prun__conv c;
    float *partial, *strips;
    const int64_t blocks = prun__block_count(n);
    prun_status status = PRUN_OK;
    if (n <= 0) return prun__fail(context, PRUN_ERR_ARGUMENT, "convolution of no images");
    PRUN__TRY(prun__conv_make(context, conv, &c));
    partial = (float *)prun__alloc(context, prun__weight_partial_size(&c, blocks), sizeof(float),
                                   "weight gradient");
    strips = (float *)prun__alloc(context, prun__weight_scratch(&c) * prun__threads(context),
                                  sizeof(float), "weight gradient");
    if (partial && strips)
        prun__weight_gradient(context, &c, blocks, x, dy, partial, strips, dweight);
    else status = PRUN_ERR_MEMORY;
    prun__free(context, strips);
    prun__free(context, partial);
    prun__conv_free(context, &c);
    return status;
}
#endif

/* [IMAGES.I] checks, normalisation, augmentation, packing */
/*
   An image is read, changed and normalised anew for every pass; what it draws depends on the pass
   and its position alone.
*/

/* Values of one image. */
static int64_t prun__image_size(const prun_images *images) {
    return images->channels * images->height * images->width;
}

/* Checks sizes and pointers, but no label and no value. */
static prun_status prun__images_check_shape(prun_context *context, const prun_images *m) {
    const int64_t sizes[5] = {m->count, m->channels, m->height, m->width, m->classes};
    static const char *const names[5] = {"count", "channels", "height", "width", "classes"};
    int i;
    for (i = 0; i < 5; i++)
        if (sizes[i] <= 0)
            return prun__fail(context, PRUN_ERR_SHAPE, "images: %s is %lld", names[i],
                              (long long)sizes[i]);
    if (prun__size_product(
            m->count, prun__size_product(m->channels, prun__size_product(m->height, m->width))) <
            0 ||
        m->classes > INT32_MAX)
        return prun__fail(context, PRUN_ERR_OVERFLOW, "images: sizes overflow");
    if ((m->pixels == NULL) == (m->values == NULL))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "images: exactly one of pixels and values must be set");
    if (!m->labels) return prun__fail(context, PRUN_ERR_ARGUMENT, "images: labels is NULL");
    return PRUN_OK;
}

/* Checks the normalisation, and mean and std of every channel where it uses them. */
static prun_status prun__images_check_normalization(prun_context *context, const prun_images *m) {
    int64_t c;
    if (m->normalization == PRUN_NORMALIZATION_NONE ||
        m->normalization == PRUN_NORMALIZATION_PER_IMAGE)
        return PRUN_OK;
    if (m->normalization != PRUN_NORMALIZATION_MEAN_STD)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "images: unknown normalization %d",
                          (int)m->normalization);
    if (m->channels > PRUN_MAX_IMAGE_CHANNELS)
        return prun__fail(context, PRUN_ERR_UNSUPPORTED,
                          "images: mean and std exist for %d channels, not %lld",
                          PRUN_MAX_IMAGE_CHANNELS, (long long)m->channels);
    for (c = 0; c < m->channels; c++)
        if (!(m->std[c] >= FLT_MIN) || prun__float_is_nonfinite(m->mean[c]) ||
            prun__float_is_nonfinite(m->std[c]))
            return prun__fail(context, PRUN_ERR_ARGUMENT, "images: mean %g, std %g of channel %lld",
                              (double)m->mean[c], (double)m->std[c], (long long)c);
    return PRUN_OK;
}

PRUNDEF prun_status prun_images_check(prun_context *context, const prun_images *images) {
    int64_t i;
    PRUN__TRY(prun__images_check_shape(context, images));
    PRUN__TRY(prun__images_check_normalization(context, images));
    for (i = 0; i < images->count; i++)
        if (images->labels[i] < 0 || images->labels[i] >= images->classes)
            return prun__fail(context, PRUN_ERR_LABEL, "label %d of image %lld is not in 0 .. %lld",
                              (int)images->labels[i], (long long)i, (long long)images->classes - 1);
    if (images->values) {
        i = prun__values_find_nonfinite(images->values, images->count * prun__image_size(images));
        if (i >= 0)
            return prun__fail(context, PRUN_ERR_NONFINITE, "image %lld: value %lld is not finite",
                              (long long)(i / prun__image_size(images)),
                              (long long)(i % prun__image_size(images)));
    }
    return PRUN_OK;
}

/* The raw value of an element: byte / 255 or the float. */
static double prun__raw_value(const prun_images *m, int64_t i) {
    return m->pixels ? (double)m->pixels[i] / 255.0 : (double)m->values[i];
}

PRUNDEF prun_status prun_images_standardize(prun_context *context, prun_images *images) {
    float mean[PRUN_MAX_IMAGE_CHANNELS], std[PRUN_MAX_IMAGE_CHANNELS];
    int64_t i, c, p, area;
    PRUN__TRY(prun__images_check_shape(context, images));
    area = images->height * images->width;
    if (images->channels > PRUN_MAX_IMAGE_CHANNELS)
        return prun__fail(context, PRUN_ERR_UNSUPPORTED, "standardisation of %lld channels",
                          (long long)images->channels);
    for (c = 0; c < images->channels; c++) {
        double sum = 0.0, square = 0.0, n = (double)images->count * (double)area;
        for (i = 0; i < images->count; i++)
            for (p = 0; p < area; p++)
                sum += prun__raw_value(images, (i * images->channels + c) * area + p);
        sum /= n;
        for (i = 0; i < images->count; i++)
            for (p = 0; p < area; p++) {
                double d = prun__raw_value(images, (i * images->channels + c) * area + p) - sum;
                square += d * d;
            }
        mean[c] = (float)sum;
        std[c] = (float)sqrt(square / n);
        if (!(std[c] >= FLT_MIN && std[c] <= FLT_MAX))
            return prun__fail(context, PRUN_ERR_NONFINITE,
                              "channel %lld: standard deviation %g cannot be a scale", (long long)c,
                              (double)std[c]);
    }
    memcpy(images->mean, mean, (size_t)images->channels * sizeof(float));
    memcpy(images->std, std, (size_t)images->channels * sizeof(float));
    images->normalization = PRUN_NORMALIZATION_MEAN_STD;
    return PRUN_OK;
}

PRUNDEF void prun_images_free(prun_images *images) {
    if (!images) return;
    prun__free(images->context, images->storage);
    memset(images, 0, sizeof *images);
}

/* What one image draws; zero: unchanged. */
typedef struct prun__draw {
    int64_t crop_y, crop_x, shift_y, shift_x;
    int mirror;
} prun__draw;

/* Uniform in -radius .. radius. */
static int64_t prun__offset_draw(uint64_t bits, int64_t radius) {
    return radius > 0 ? prun__random_below(bits, 2 * radius + 1) - radius : 0;
}

/* What the image at this position of a pass draws. Each position has four random words of its own.
   */
static prun__draw prun__image_draw(const prun_augment *a, uint64_t seed, uint64_t stream,
                                   int64_t position) {
    prun__draw d;
    uint64_t index = (uint64_t)position * 4;
    memset(&d, 0, sizeof d);
    if (!a) return d;
    d.crop_y = prun__offset_draw(prun_random_bits(seed, stream, index), a->crop_padding);
    d.crop_x = prun__offset_draw(prun_random_bits(seed, stream, index + 1), a->crop_padding);
    d.shift_y = prun__offset_draw(prun_random_bits(seed, stream, index + 2), a->shift);
    d.shift_x = prun__offset_draw(prun_random_bits(seed, stream, index + 3), a->shift);
    /* The lowest bit: the offsets used the highest ones of the same word. */
    d.mirror = a->flip ? (int)(prun_random_bits(seed, stream, index) & 1) : 0;
    return d;
}

/* Source of target position t on an axis of n: crop leaves -1 outside, shift repeats the border. */
static int64_t prun__draw_source(int64_t t, int64_t n, int64_t crop, int64_t shift) {
    t += shift;
    t = t < 0 ? 0 : t >= n ? n - 1 : t;
    t += crop;
    return t < 0 || t >= n ? -1 : t;
}

/* A constant length, which compilers vectorise under plain -O2. */
#define PRUN__STEP 16

/* `count` raw values from element `from` on. */
static void prun__raw_read(const prun_images *m, int64_t from, int64_t count,
                           float *PRUN__RESTRICT out) {
    const uint8_t *PRUN__RESTRICT bytes;
    int64_t i = 0;
    int k;
    if (m->values) {
        memcpy(out, m->values + from, (size_t)count * sizeof(float));
        return;
    }
    bytes = m->pixels + from;
    for (; i + PRUN__STEP <= count; i += PRUN__STEP)
        for (k = 0; k < PRUN__STEP; k++) out[i + k] = (float)bytes[i + k] * (1.0f / 255.0f);
    for (; i < count; i++) out[i] = (float)bytes[i] * (1.0f / 255.0f);
}

/* A row of a drawn image, whose source begins at element `row`. Most of it is a piece of the
   source; beyond that the border repeats or zeros begin. */
static void prun__row_read(const prun_images *m, int64_t row, const prun__draw *d, float *out) {
    const int64_t n = m->width, move = d->shift_x + d->crop_x;
    const int64_t from = PRUN__MIN(n, PRUN__MAX(0, -PRUN__MIN(d->shift_x, move)));
    const int64_t to = PRUN__MAX(from, PRUN__MIN(n, n - PRUN__MAX(d->shift_x, move)));
    int64_t x;
    if (to > from) prun__raw_read(m, row + from + move, to - from, out + from);
    for (x = 0; x < n; x++) {
        const int64_t source = prun__draw_source(x, n, d->crop_x, d->shift_x);
        if (x == from && to > from) x = to - 1;
        else if (source < 0) out[x] = 0.0f;
        else prun__raw_read(m, row + source, 1, out + x);
    }
    for (x = 0; d->mirror && x < n / 2; x++) {
        const float t = out[x];
        out[x] = out[n - 1 - x];
        out[n - 1 - x] = t;
    }
}

/* Raw values of one drawn image, (C, H, W). */
static void prun__image_read_raw(const prun_images *m, int64_t image, prun__draw d, float *out) {
    const int64_t base = image * prun__image_size(m);
    int64_t c, y;
    if (!d.mirror && !d.crop_y && !d.crop_x && !d.shift_y && !d.shift_x) {
        prun__raw_read(m, base, prun__image_size(m), out);
        return;
    }
    for (c = 0; c < m->channels; c++)
        for (y = 0; y < m->height; y++, out += m->width) {
            const int64_t source = prun__draw_source(y, m->height, d.crop_y, d.shift_y);
            if (source < 0) memset(out, 0, (size_t)m->width * sizeof(float));
            else prun__row_read(m, base + (c * m->height + source) * m->width, &d, out);
        }
}

/* Per-image standardisation of the DEMOGEN study, from the sums of v - shift and of its square over
   n values: std at least 1/sqrt(n). */
static void prun__image_moments(double sum, double square, double shift, double n, float *mean,
                                float *scale) {
    double std = sqrt(PRUN__MAX(square / n - sum / n * (sum / n), 0.0));
    std = PRUN__MAX(std, 1.0 / sqrt(n));
    *mean = (float)(shift + sum / n);
    *scale = (float)(1.0 / std);
}

/* Normalises one image (C, H, W) in place, as its set says. The sums go through it pixel by pixel,
   as in prun__lanes_normalize, so that both give the same bits. */
static void prun__image_normalize(const prun_images *m, float *v) {
    const int64_t area = m->height * m->width;
    float mean = 0.0f, scale = 1.0f;
    double sum = 0.0, square = 0.0;
    int64_t c, i;
    if (m->normalization == PRUN_NORMALIZATION_NONE) return;
    if (m->normalization == PRUN_NORMALIZATION_PER_IMAGE) {
        for (i = 0; i < area; i++)
            for (c = 0; c < m->channels; c++) {
                const double d = (double)v[c * area + i] - (double)v[0];
                sum += d;
                square += d * d;
            }
        prun__image_moments(sum, square, (double)v[0], (double)prun__image_size(m), &mean, &scale);
    }
    for (c = 0; c < m->channels; c++, v += area) {
        if (m->normalization == PRUN_NORMALIZATION_MEAN_STD) {
            mean = m->mean[c];
            scale = 1.0f / m->std[c];
        }
        for (i = 0; i < area; i++) v[i] = (v[i] - mean) * scale;
    }
}

/* Mean and scale of each lane of a packed block. */
static void prun__lanes_moments(const float *PRUN__RESTRICT lanes, int64_t vectors,
                                float *PRUN__RESTRICT mean, float *PRUN__RESTRICT scale) {
    double sum[PRUN_LANES] = {0.0}, square[PRUN_LANES] = {0.0}, shift[PRUN_LANES];
    int64_t i;
    int l;
    for (l = 0; l < PRUN_LANES; l++) shift[l] = (double)lanes[l];
    for (i = 0; i < vectors; i++)
        for (l = 0; l < PRUN_LANES; l++) {
            const double d = (double)lanes[i * PRUN_LANES + l] - shift[l];
            sum[l] += d;
            square[l] += d * d;
        }
    for (l = 0; l < PRUN_LANES; l++)
        prun__image_moments(sum[l], square[l], shift[l], (double)vectors, mean + l, scale + l);
}

/* Normalises a packed block in place. The first `live` lanes are images, the others stay 0. */
static void prun__lanes_normalize(const prun_images *m, int64_t live, float *PRUN__RESTRICT lanes) {
    const int64_t vectors = prun__image_size(m);
    float mean[PRUN_LANES] = {0.0f}, scale[PRUN_LANES] = {0.0f};
    int64_t i, c;
    int l;
    if (m->normalization == PRUN_NORMALIZATION_NONE) return;
    if (m->normalization == PRUN_NORMALIZATION_PER_IMAGE)
        prun__lanes_moments(lanes, vectors, mean, scale);
    for (c = 0; c < m->channels; c++) {
        for (l = 0; m->normalization == PRUN_NORMALIZATION_MEAN_STD && l < live; l++) {
            mean[l] = m->mean[c];
            scale[l] = 1.0f / m->std[c];
        }
        for (i = c; i < vectors; i += m->channels) {
            float *PRUN__RESTRICT v = lanes + i * PRUN_LANES;
            for (l = 0; l < PRUN_LANES; l++) v[l] = (v[l] - mean[l]) * scale[l];
        }
    }
}

/* Where a batch of images comes from. */
typedef struct prun__source {
    const prun_images *images;
    const int64_t *index; /* NULL: first, first + 1, ... */
    int64_t first, n;
    const prun_augment *augment;
    uint64_t seed, stream;
} prun__source;

/* Restricts a source to samples from .. from + n - 1 of what index (NULL: 0, 1, ...) lists. Without
   an index the images themselves are offset, so no list is needed. */
static PRUN__SHARED void prun__source_set_part(prun__source *s, const int64_t *index, int64_t from,
                                               int64_t n) {
    s->index = index ? index + from : NULL;
    s->first = index ? 0 : from;
    s->n = n;
}

/* Index of sample i in the set of images. */
static int64_t prun__source_image(const prun__source *s, int64_t i) {
    return s->index ? s->index[i] : s->first + i;
}

/* Unaugmented images index[0..n) (NULL: 0 .. n-1). */
static prun__source prun__source_make(const prun_images *images, const int64_t *index, int64_t n) {
    prun__source s;
    memset(&s, 0, sizeof s);
    s.images = images;
    s.index = index;
    s.n = n;
    return s;
}

/* Image i of the source with its draws, not normalised, (C, H, W). */
static void prun__source_read_raw(const prun__source *s, int64_t i, float *out) {
    prun__image_read_raw(s->images, prun__source_image(s, i),
                         prun__image_draw(s->augment, s->seed, s->stream, i), out);
}

/* Image i of the source as a network sees it, (C, H, W). */
static void prun__source_read(const prun__source *s, int64_t i, float *out) {
    prun__source_read_raw(s, i, out);
    prun__image_normalize(s->images, out);
}

/* Images lie this many floats apart in the scratch memory: sixteen streams a power of two apart
   would fall into the same few cache sets. */
static int64_t prun__scratch_stride(int64_t image_size) { return image_size + 16; }

/* One block in the lane layout; scratch: 16 strides. Empty lanes become 0. */
static void prun__source_pack_block(const prun__source *s, int64_t block, float *scratch,
                                    float *PRUN__RESTRICT lanes) {
    const prun_images *m = s->images;
    const int64_t size = prun__image_size(m), area = m->height * m->width;
    const int64_t stride = prun__scratch_stride(size), first = block * PRUN_LANES;
    const int64_t live = PRUN__MIN(PRUN_LANES, s->n - first);
    float *to = lanes;
    int64_t l, p, c;
    for (l = 0; l < PRUN_LANES; l++) {
        float *v = scratch + l * stride;
        if (l < live) prun__source_read_raw(s, first + l, v);
        else memset(v, 0, (size_t)size * sizeof(float));
    }
    for (p = 0; p < area; p++)
        for (c = 0; c < m->channels; c++, to += PRUN_LANES)
            for (l = 0; l < PRUN_LANES; l++) to[l] = scratch[l * stride + c * area + p];
    prun__lanes_normalize(m, live, lanes);
}

/* Sizes, normalisation and every index; labels of the chosen images as well. */
static prun_status prun__source_check(prun_context *context, const prun__source *s) {
    int64_t i;
    PRUN__TRY(prun__images_check_shape(context, s->images));
    PRUN__TRY(prun__images_check_normalization(context, s->images));
    if (s->n <= 0 || (!s->index && s->n > s->images->count - s->first))
        return prun__fail(context, PRUN_ERR_ARGUMENT, "%lld images wanted of a set of %lld",
                          (long long)s->n, (long long)s->images->count);
    for (i = 0; i < s->n; i++) {
        const int64_t k = prun__source_image(s, i);
        if (k < 0 || k >= s->images->count)
            return prun__fail(context, PRUN_ERR_ARGUMENT, "index[%lld] = %lld is not in 0 .. %lld",
                              (long long)i, (long long)k, (long long)s->images->count - 1);
        if (s->images->labels[k] < 0 || s->images->labels[k] >= s->images->classes)
            return prun__fail(context, PRUN_ERR_LABEL, "label %d of image %lld is not in 0 .. %lld",
                              (int)s->images->labels[k], (long long)k,
                              (long long)s->images->classes - 1);
    }
    if (s->augment && (s->augment->crop_padding < 0 || s->augment->crop_padding > INT32_MAX ||
                       s->augment->shift < 0 || s->augment->shift > INT32_MAX))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "augment: crop_padding %lld or shift %lld is not in 0 .. 2^31",
                          (long long)s->augment->crop_padding, (long long)s->augment->shift);
    return PRUN_OK;
}

/* Images index[0..n) with the draws of a pass. */
static prun__source prun__source_make_pass(const prun_images *images, const int64_t *index,
                                           int64_t n, const prun_pass *pass) {
    prun__source s = prun__source_make(images, index, n);
    if (!pass) return s;
    s.augment = pass->augment;
    s.seed = pass->seed;
    s.stream = PRUN__STREAM_AUGMENT + pass->stream;
    return s;
}

PRUNDEF prun_status prun_images_copy(prun_context *context, const prun_images *images,
                                     const int64_t *index, int64_t n, const prun_pass *pass,
                                     float *nchw) {
    const prun__source s = prun__source_make_pass(images, index, n, pass);
    int64_t i;
    PRUN__TRY(prun__source_check(context, &s));
    for (i = 0; i < n; i++) prun__source_read(&s, i, nchw + i * prun__image_size(images));
    return PRUN_OK;
}

PRUNDEF prun_status prun_images_pack(prun_context *context, const prun_images *images,
                                     const int64_t *index, int64_t n, const prun_pass *pass,
                                     float *lanes) {
    const prun__source s = prun__source_make_pass(images, index, n, pass);
    float *scratch;
    int64_t b;
    PRUN__TRY(prun__source_check(context, &s));
    scratch =
        (float *)prun__alloc(context, PRUN_LANES * prun__scratch_stride(prun__image_size(images)),
                             sizeof(float), "images");
    if (!scratch) return PRUN_ERR_MEMORY;
    for (b = 0; b < prun__block_count(n); b++)
        prun__source_pack_block(&s, b, scratch, lanes + b * PRUN_LANES * prun__image_size(images));
    prun__free(context, scratch);
    return PRUN_OK;
}

/* [BUILD.I] the types of a net, and layers being added */
/*
   A net has four parts, each with an owner that makes and changes it:
   - what was built: layers, tensors, parameters and statistics (struct prun_net itself);
   - the plan (prun__plan): operations and storage, made once by prun_net_finish, read by everyone;
   - the evaluation buffers (prun__eval), made and written by evaluation;
   - the batch (prun__batch), made and written by passes in training mode, gradients and tangents.

   Layers become operations when the net is finished: batch norm, ReLU and non-overlapping max
   pooling that follow one another become one NORM operation; flatten disappears; dropout works in
   place. An operation handles one block of sixteen images; batch statistics are the only thing that
   crosses blocks. Training keeps every value of the batch; evaluation runs one block through all
   operations in a few reused buffers, with batch norms folded into the convolutions before them.

   Types of all parts, and the layers that the user adds. A layer function appends to net->layer and
   net->tensor; its first error stays in net->status and makes all later calls fail.
*/
#ifndef PRUNABILITY_NO_NET

typedef enum prun__kind {
    PRUN__CONV,
    PRUN__BATCH_NORM,
    PRUN__RELU,
    PRUN__MAX_POOL,
    PRUN__AVG_POOL,
    PRUN__DROPOUT,
    PRUN__ADD,
    PRUN__FLATTEN,
    PRUN__NORM /* fused; operations only */
} prun__kind;

/* What the user asked for; value i + 1 is the output of layer i, value 0 the images. */
typedef struct prun__layer {
    prun__kind kind;
    int32_t input[2];        /* values; -1: none */
    int64_t c, h, w;         /* of the output */
    int32_t flat;            /* flattened: only element-wise and linear layers may follow */
    int32_t tensor, tensors; /* first of its tensors, and how many */
    prun_conv2d conv;
    int32_t linear, bias;
    prun_initializer init;
    int64_t kernel[2], stride, padding; /* pools */
    double epsilon, momentum, probability;
} prun__layer;

/* One step of the plan. Values are storage numbers: aliases are resolved. */
typedef struct prun__op {
    prun__kind kind; /* CONV, NORM, MAX_POOL, AVG_POOL, DROPOUT or ADD */
    int32_t in, in2, out;
    int32_t layer;        /* of the convolution, pool, dropout or add */
    int32_t norm;         /* NORM: batch norm layer, or -1 */
    int32_t relu, window; /* NORM: ReLU?, pooling window (1: none) */
    int32_t fold;         /* CONV: the NORM operation folded into it in evaluation, or -1 */
    int32_t folded;       /* NORM: 1 when a convolution does its work in evaluation */
    int32_t add, add2;    /* backward: the gradient of in / in2 is added to, not set */
    prun__conv conv;      /* CONV */
    int64_t phase_packed; /* CONV: offset of its weights in batch.packed */
    int64_t eval_packed, eval_bias; /* CONV: offsets in eval.prepared */
    int64_t eval_nonzero, eval_row; /* CONV: offsets in eval.nonzero and eval.nonzero_row */
} prun__op;

/* Storage of one value or more: shape and buffers. */
typedef struct prun__value {
    int64_t c, h, w, size; /* size: floats per block */
    int32_t slot;          /* buffer in evaluation */
    int32_t grad;          /* buffer of its gradient, -1: none */
} prun__value;

/* What the layers became. prun_net_finish makes it from the layers, when they are complete; from
   then on it is only read, by passes of every kind, until prun_net_free. The one exception is
   prun_net_set_algorithm, which changes the algorithm of the convolutions: no offset or size here
   depends on it. */
typedef struct prun__plan {
    prun__op *op; /* in the order in which they run */
    int32_t ops;
    prun__value *value; /* per storage number; 0 is the images */
    int32_t values, output;
    int64_t *slot_size, *grad_size; /* floats per block of each buffer that values share */
    int32_t slots, grads;
    int64_t max_channels;
    int64_t group;        /* blocks that a task takes through the operations side by side */
    int64_t conv_scratch; /* floats, of the convolution that needs most */
    int64_t padded_size;  /* the same for the padded input of a sparse layer */
    int64_t packed_size; /* floats of batch.packed: the phase or transposed layer that needs most */
    int64_t prepared_size, nonzero_count, row_count; /* elements of the arrays in prun__eval */
} prun__plan;

/* Buffers of evaluation, empty until the first one. They are made for the plan and grow with the
   samples and threads of a call. The weights in them are packed anew by every call, because the
   parameters are the caller's to change: nothing but memory outlives a call. */
typedef struct prun__eval {
    float *coefficients;    /* as in prun__batch */
    double *scale;          /* max_channels: scratch for folding */
    float *prepared;        /* folded packed weights and biases */
    int32_t *sparse;        /* per operation: 1 for a convolution whose many zeros are left out */
    prun__nonzero *nonzero; /* kept weights of sparse layers; made when a layer is sparse */
    int32_t *nonzero_row;
    float *arena; /* slots and scratch of each worker */
    int64_t arena_capacity;
    double *losses; /* per sample, for a caller who wants only their sum */
    int64_t loss_capacity;
    int32_t *wrong; /* per sample */
    int64_t wrong_capacity;
} prun__eval;

/* Buffers of a training batch, also of gradients, tangents and hidden margins; empty until the
   first pass. prun__batch_make replaces them when a batch has more blocks or there are more workers
   than they were made for; prun_net_set_algorithm releases them, because convolutions then need
   other sizes. Nothing in them outlives a call. */
typedef struct prun__batch {
    int64_t blocks, workers; /* what they were made for */
    float **value;           /* per storage number */
    float **grad;            /* per gradient buffer */
    uint16_t **mask;         /* per operation: dropout, a bit per lane */
    float *coefficients;     /* per operation: PRUN__COEFFICIENTS x max_channels */
    float *packed;           /* weights of the operations at work */
    float *partial;          /* weight gradients */
    float *strips;           /* per worker */
    float *scratch;          /* per worker: 16 images */
    double *sums;            /* per block: 2 x max_channels, and as many for tangents */
    float *spare;            /* gradient of a norm whose input has another reader */
    double *head;            /* per worker: loss scratch */
    double *losses;          /* per sample */
    int32_t *wrong;          /* per sample */
} prun__batch;

/* What products of the Hessian with several vectors share: values and gradients of the network as
   it is, batch by batch. Empty but within a call that asks for several products, while weights and
   images stay as they are. */
typedef struct prun__base {
    int64_t open, all;    /* such calls; those that need products of more than weights */
    const int64_t *index; /* of the samples: `n` of `images` */
    const prun_images *images;
    int64_t n;
    int64_t *place; /* floats per block before each value, then before each operation's gradient */
    int64_t size;   /* floats per block in all */
    float **batch;  /* what was computed: as many as fit PRUN__BASE_MEMORY are kept */
    int64_t batches, kept;
    float *spare; /* of a batch that is not kept */
    int64_t spare_size;
    float *packed; /* weights of v */
} prun__base;

/* What was built, and the three structs above. The layers may grow until the net is finished; they
   and the tensors are then fixed, and only parameters and statistics change. */
struct prun_net {
    prun_context *context;
    prun_status status; /* first error of the builder */
    int32_t finished;
    int64_t channels, height, width, classes;
    prun_initializer init;
    prun_algorithm algorithm;
    prun__layer *layer;
    int64_t layers, layer_capacity;
    int32_t result; /* the value that prun_net_finish was given */
    prun_tensor *tensor;
    int64_t tensors, tensor_capacity;
    prun_tensor *trained; /* the tensors without the statistics */
    int64_t trained_count;
    float *parameters, *statistics;
    int64_t parameter_count, statistic_count, weight_count;
    prun__plan plan;
    prun__eval eval;
    prun__batch batch;
    prun__base base;
};

/* A finished net stays usable: what is refused then is only reported. */
static int32_t prun__net_fail(prun_net *net, prun_status status) {
    if (net->status == PRUN_OK && !net->finished) net->status = status;
    return -1;
}

PRUNDEF prun_status prun_net_create(prun_context *context, int64_t channels, int64_t height,
                                    int64_t width, prun_net **out) {
    prun_net *net;
    if (channels <= 0 || height <= 0 || width <= 0)
        return prun__fail(context, PRUN_ERR_SHAPE, "net: images of %lld x %lld x %lld",
                          (long long)channels, (long long)height, (long long)width);
    if (prun__size_product(channels, prun__size_product(height, width)) > (INT64_C(1) << 30) ||
        prun__size_product(channels, prun__size_product(height, width)) < 0)
        return prun__fail(context, PRUN_ERR_OVERFLOW, "net: images of %lld x %lld x %lld",
                          (long long)channels, (long long)height, (long long)width);
    net = (prun_net *)prun__alloc_zero(context, 1, sizeof *net, "net");
    if (!net) return PRUN_ERR_MEMORY;
    net->context = context;
    net->channels = channels;
    net->height = height;
    net->width = width;
    *out = net;
    return PRUN_OK;
}

PRUNDEF void prun_net_set_initializer(prun_net *net, prun_initializer init) { net->init = init; }

/* Shape of a value while building. */
static prun__layer prun__value_shape(const prun_net *net, int32_t value) {
    prun__layer images;
    if (value > 0) return net->layer[value - 1];
    memset(&images, 0, sizeof images);
    images.c = net->channels;
    images.h = net->height;
    images.w = net->width;
    return images;
}

/* True when a layer can be added on `input`; records the first error otherwise. */
static int prun__net_can_add(prun_net *net, int32_t input, const char *what) {
    if (!net || net->status != PRUN_OK) return 0;
    if (!what) {
        prun__net_fail(net, prun__fail(net->context, PRUN_ERR_ARGUMENT, "layer without a name"));
        return 0;
    }
    if (net->finished) {
        prun__net_fail(
            net, prun__fail(net->context, PRUN_ERR_ARGUMENT, "%s: the net is finished", what));
        return 0;
    }
    if (input < 0 || input > net->layers) {
        prun__net_fail(net, prun__fail(net->context, PRUN_ERR_ARGUMENT, "%s: there is no value %d",
                                       what, (int)input));
        return 0;
    }
    return 1;
}

/* Appends a layer and returns its value. */
static int32_t prun__layer_put(prun_net *net, const prun__layer *layer) {
    prun__layer *grown;
    if (prun__size_product(layer->c, prun__size_product(layer->h, layer->w)) > (INT64_C(1) << 30) ||
        prun__size_product(layer->c, prun__size_product(layer->h, layer->w)) < 0)
        return prun__net_fail(net, prun__fail(net->context, PRUN_ERR_OVERFLOW,
                                              "layer %lld: %lld x %lld x %lld values per image",
                                              (long long)net->layers, (long long)layer->c,
                                              (long long)layer->h, (long long)layer->w));
    grown = (prun__layer *)prun__array_make(net->context, net->layer, net->layers,
                                            &net->layer_capacity, sizeof *grown, "layers");
    if (!grown) return prun__net_fail(net, PRUN_ERR_MEMORY);
    net->layer = grown;
    net->layer[net->layers++] = *layer;
    return (int32_t)net->layers;
}

/* Appends a tensor; its name is allocated here, its data in prun_net_finish. */
static prun_status prun__layer_put_tensor(prun_net *net, const char *layer, const char *part,
                                          uint32_t flags, const int64_t *shape, int32_t rank) {
    const size_t length = strlen(layer) + strlen(part) + 2;
    prun_tensor *grown, *t;
    char *name;
    int64_t i;
    if (!layer[0] || strlen(layer) > 200)
        return prun__fail(net->context, PRUN_ERR_ARGUMENT, "layer name is empty or too long");
    grown = (prun_tensor *)prun__array_make(net->context, net->tensor, net->tensors,
                                            &net->tensor_capacity, sizeof *grown, "tensors");
    if (!grown) return PRUN_ERR_MEMORY;
    net->tensor = grown;
    name = (char *)prun__alloc(net->context, (int64_t)length, 1, "tensor name");
    if (!name) return PRUN_ERR_MEMORY;
    snprintf(name, length, "%s.%s", layer, part);
    for (i = 0; i < net->tensors; i++)
        if (strcmp(net->tensor[i].name, name) == 0) {
            prun__fail(net->context, PRUN_ERR_ARGUMENT, "two layers named %s", layer);
            prun__free(net->context, name);
            return PRUN_ERR_ARGUMENT;
        }
    t = &net->tensor[net->tensors++];
    memset(t, 0, sizeof *t);
    t->name = name;
    t->flags = flags;
    t->rank = rank;
    for (i = 0; i < rank; i++) t->shape[i] = shape[i];
    return PRUN_OK;
}

/* Convolution and linear layer: tensors, then the layer. */
static int32_t prun__layer_put_conv(prun_net *net, const char *name, prun__layer *layer) {
    const prun_conv2d *s = &layer->conv;
    int64_t shape[4];
    int32_t rank = layer->linear ? 2 : 4;
    prun_status status;
    shape[0] = s->out_channels;
    shape[1] = layer->linear ? s->in_channels * s->kernel[0] * s->kernel[1] : s->in_channels;
    shape[2] = s->kernel[0];
    shape[3] = s->kernel[1];
    layer->tensor = (int32_t)net->tensors;
    layer->tensors = layer->bias ? 2 : 1;
    layer->init = net->init;
    if (layer->conv.algorithm == PRUN_ALGORITHM_AUTO) layer->conv.algorithm = net->algorithm;
    status = prun__layer_put_tensor(net, name, "weight", PRUN_TENSOR_WEIGHT, shape, rank);
    if (status == PRUN_OK && layer->bias)
        status = prun__layer_put_tensor(net, name, "bias", PRUN_TENSOR_BIAS, shape, 1);
    if (status != PRUN_OK) return prun__net_fail(net, status);
    return prun__layer_put(net, layer);
}

PRUNDEF prun_conv2d_options prun_conv2d_resolved(const prun_conv2d_options *options) {
    prun_conv2d_options o;
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    prun__window_resolve(o.kernel, o.stride);
    return o;
}

/* The zeros that TensorFlow's SAME adds to input `in`; nothing where the options are invalid. */
static void prun__padding_same(const prun__layer *in, const prun_conv2d_options *o,
                               int64_t padding[4]) {
    int axis;
    for (axis = 0; axis < 2; axis++) {
        const int64_t n = axis == 0 ? in->h : in->w, kernel = o->kernel[axis];
        int64_t last, total;
        if (kernel < 1 || o->stride[axis] < 1) continue;
        last = (n - 1) / o->stride[axis] * o->stride[axis]; /* where the last window begins */
        total = PRUN__MAX(kernel - (n - last), 0);
        padding[axis] = total / 2;
        padding[axis + 2] = total - total / 2;
    }
}

PRUNDEF int32_t prun_layer_conv2d_with(prun_net *net, int32_t input, const char *name,
                                       const prun_conv2d_options *options) {
    const prun_conv2d_options o = prun_conv2d_resolved(options);
    prun__layer layer, in;
    prun_status status;
    if (!prun__net_can_add(net, input, name)) return -1;
    in = prun__value_shape(net, input);
    memset(&layer, 0, sizeof layer);
    layer.kind = PRUN__CONV;
    layer.input[0] = input;
    layer.input[1] = -1;
    layer.conv.in_channels = in.c;
    layer.conv.in_height = in.h;
    layer.conv.in_width = in.w;
    layer.conv.out_channels = o.channels;
    memcpy(layer.conv.kernel, o.kernel, sizeof o.kernel);
    memcpy(layer.conv.stride, o.stride, sizeof o.stride);
    memcpy(layer.conv.padding, o.padding, sizeof o.padding);
    layer.conv.algorithm = o.algorithm;
    layer.bias = !o.omit_bias;
    if (o.padding_mode == PRUN_PADDING_SAME) prun__padding_same(&in, &o, layer.conv.padding);
    if (in.flat)
        return prun__net_fail(net, prun__fail(net->context, PRUN_ERR_SHAPE,
                                              "%s: convolution of a flattened value", name));
    status = prun_conv2d_output(net->context, &layer.conv, &layer.h, &layer.w);
    if (status != PRUN_OK) {
        char text[160];
        snprintf(text, sizeof text, "%.150s", prun_message(net->context));
        return prun__net_fail(net, prun__fail(net->context, status, "%s: %s", name, text));
    }
    layer.c = layer.conv.out_channels;
    return prun__layer_put_conv(net, name, &layer);
}

/* The options of a square kernel with zeros on all sides. */
static prun_conv2d_options prun__square_conv(int64_t channels, int64_t kernel, int64_t stride,
                                             int64_t padding) {
    prun_conv2d_options o;
    int side;
    memset(&o, 0, sizeof o);
    o.channels = channels;
    o.kernel[0] = kernel;
    o.stride[0] = stride;
    for (side = 0; side < 4; side++) o.padding[side] = padding;
    return o;
}

PRUNDEF int32_t prun_layer_conv2d(prun_net *net, int32_t input, const char *name, int64_t channels,
                                  int64_t kernel, int64_t stride, int64_t padding) {
    const prun_conv2d_options options = prun__square_conv(channels, kernel, stride, padding);
    return prun_layer_conv2d_with(net, input, name, &options);
}

PRUNDEF int32_t prun_layer_linear(prun_net *net, int32_t input, const char *name, int64_t features,
                                  int32_t bias) {
    prun__layer layer, in;
    if (!prun__net_can_add(net, input, name)) return -1;
    in = prun__value_shape(net, input);
    memset(&layer, 0, sizeof layer);
    layer.kind = PRUN__CONV;
    layer.input[0] = input;
    layer.input[1] = -1;
    layer.linear = 1;
    layer.bias = bias != 0;
    layer.conv.in_channels = in.c;
    layer.conv.in_height = layer.conv.kernel[0] = in.h;
    layer.conv.in_width = layer.conv.kernel[1] = in.w;
    layer.conv.out_channels = features;
    layer.conv.stride[0] = layer.conv.stride[1] = 1;
    if (prun__conv_check(net->context, &layer.conv) != PRUN_OK)
        return prun__net_fail(net, prun__fail(net->context, PRUN_ERR_SHAPE,
                                              "%s: linear layer with %lld features", name,
                                              (long long)features));
    layer.c = features;
    layer.h = layer.w = 1;
    return prun__layer_put_conv(net, name, &layer);
}

/* A layer that keeps its input's shape. */
static prun__layer prun__layer_make(const prun_net *net, prun__kind kind, int32_t input) {
    const prun__layer in = prun__value_shape(net, input);
    prun__layer layer;
    memset(&layer, 0, sizeof layer);
    layer.kind = kind;
    layer.input[0] = input;
    layer.input[1] = -1;
    layer.c = in.c;
    layer.h = in.h;
    layer.w = in.w;
    layer.flat = in.flat;
    return layer;
}

PRUNDEF int32_t prun_layer_batch_norm(prun_net *net, int32_t input, const char *name,
                                      double epsilon, double momentum) {
    static const char *const parts[4] = {"weight", "bias", "running_mean", "running_var"};
    prun__layer layer;
    int i;
    if (!prun__net_can_add(net, input, name)) return -1;
    layer = prun__layer_make(net, PRUN__BATCH_NORM, input);
    layer.epsilon = epsilon == 0.0 ? 1e-5 : epsilon;
    layer.momentum = momentum == 0.0 ? 0.1 : momentum;
    layer.tensor = (int32_t)net->tensors;
    layer.tensors = 4;
    if (!(layer.epsilon > 0.0) || !(layer.momentum >= 0.0 && layer.momentum <= 1.0))
        return prun__net_fail(net,
                              prun__fail(net->context, PRUN_ERR_ARGUMENT,
                                         "%s: epsilon %g, momentum %g", name, epsilon, momentum));
    if (layer.flat)
        return prun__net_fail(net, prun__fail(net->context, PRUN_ERR_SHAPE,
                                              "%s: batch norm of a flattened value", name));
    for (i = 0; i < 4; i++) {
        prun_status status = prun__layer_put_tensor(
            net, name, parts[i],
            i < 2 ? (uint32_t)PRUN_TENSOR_NORM : (uint32_t)PRUN_TENSOR_STATISTIC, &layer.c, 1);
        if (status != PRUN_OK) return prun__net_fail(net, status);
    }
    return prun__layer_put(net, &layer);
}

PRUNDEF int32_t prun_layer_relu(prun_net *net, int32_t input) {
    prun__layer layer;
    if (!prun__net_can_add(net, input, "relu")) return -1;
    layer = prun__layer_make(net, PRUN__RELU, input);
    return prun__layer_put(net, &layer);
}

/* Appends a pooling layer with a square window. */
static int32_t prun__layer_put_pool(prun_net *net, prun__kind kind, int32_t input, const char *what,
                                    int64_t kernel, int64_t stride, int64_t padding) {
    prun__layer layer;
    if (!prun__net_can_add(net, input, what)) return -1;
    layer = prun__layer_make(net, kind, input);
    layer.kernel[0] = layer.kernel[1] = kernel;
    layer.stride = stride == 0 ? kernel : stride;
    layer.padding = padding;
    if (kernel <= 0 || layer.stride <= 0 || padding < 0 || padding > kernel / 2 ||
        kernel > (1 << 20) || layer.stride > (1 << 20))
        return prun__net_fail(net,
                              prun__fail(net->context, PRUN_ERR_ARGUMENT,
                                         "%s: kernel %lld, stride %lld, padding %lld", what,
                                         (long long)kernel, (long long)stride, (long long)padding));
    if (layer.flat || kernel > layer.h + 2 * padding || kernel > layer.w + 2 * padding)
        return prun__net_fail(net, prun__fail(net->context, PRUN_ERR_SHAPE,
                                              "%s: kernel %lld does not fit an input of %lldx%lld",
                                              what, (long long)kernel, (long long)layer.h,
                                              (long long)layer.w));
    layer.h = (layer.h + 2 * padding - kernel) / layer.stride + 1;
    layer.w = (layer.w + 2 * padding - kernel) / layer.stride + 1;
    return prun__layer_put(net, &layer);
}

PRUNDEF int32_t prun_layer_max_pool(prun_net *net, int32_t input, int64_t kernel, int64_t stride,
                                    int64_t padding) {
    return prun__layer_put_pool(net, PRUN__MAX_POOL, input, "max pool", kernel, stride, padding);
}

PRUNDEF int32_t prun_layer_avg_pool(prun_net *net, int32_t input, int64_t kernel, int64_t stride,
                                    int64_t padding) {
    return prun__layer_put_pool(net, PRUN__AVG_POOL, input, "average pool", kernel, stride,
                                padding);
}

PRUNDEF int32_t prun_layer_global_avg_pool(prun_net *net, int32_t input) {
    prun__layer layer;
    if (!prun__net_can_add(net, input, "global average pool")) return -1;
    layer = prun__layer_make(net, PRUN__AVG_POOL, input);
    if (layer.flat)
        return prun__net_fail(net, prun__fail(net->context, PRUN_ERR_SHAPE,
                                              "global average pool of a flattened value"));
    layer.kernel[0] = layer.h;
    layer.kernel[1] = layer.w;
    layer.stride = layer.h = layer.w = 1;
    return prun__layer_put(net, &layer);
}

PRUNDEF int32_t prun_layer_dropout(prun_net *net, int32_t input, double probability) {
    prun__layer layer;
    if (!prun__net_can_add(net, input, "dropout")) return -1;
    if (!(probability >= 0.0 && probability < 1.0))
        return prun__net_fail(net,
                              prun__fail(net->context, PRUN_ERR_ARGUMENT,
                                         "dropout: probability %g is not in [0, 1)", probability));
    layer = prun__layer_make(net, PRUN__DROPOUT, input);
    layer.probability = probability;
    return prun__layer_put(net, &layer);
}

PRUNDEF int32_t prun_layer_add(prun_net *net, int32_t a, int32_t b) {
    prun__layer layer, other;
    if (!prun__net_can_add(net, a, "add") || !prun__net_can_add(net, b, "add")) return -1;
    layer = prun__layer_make(net, PRUN__ADD, a);
    other = prun__value_shape(net, b);
    layer.input[1] = b;
    if (layer.c != other.c || layer.h != other.h || layer.w != other.w || layer.flat != other.flat)
        return prun__net_fail(
            net, prun__fail(net->context, PRUN_ERR_SHAPE, "add: %lldx%lldx%lld and %lldx%lldx%lld",
                            (long long)layer.c, (long long)layer.h, (long long)layer.w,
                            (long long)other.c, (long long)other.h, (long long)other.w));
    return prun__layer_put(net, &layer);
}

PRUNDEF int32_t prun_layer_flatten(prun_net *net, int32_t input) {
    prun__layer layer;
    if (!prun__net_can_add(net, input, "flatten")) return -1;
    layer = prun__layer_make(net, PRUN__FLATTEN, input);
    layer.flat = layer.h * layer.w > 1;
    return prun__layer_put(net, &layer);
}
#endif

/* [PLAN.I] from layers to operations and storage; parameters; the families */
/*
   prun_net_finish: from layers to operations, storage numbers, shared buffers and sizes; then the
   memory of the parameters, and what releases all of it. Planning reads the layers and writes the
   plan, nothing else.
*/
#ifndef PRUNABILITY_NO_NET

/* Layers that read each value, and the last of them. */
typedef struct prun__use {
    int32_t count, last;
} prun__use;

/* A flattened value is the same storage: its readers count as readers of the original, and a
   flatten without readers is no reader itself. */
static void prun__use_count(const prun__layer *layer, int32_t layers, int32_t output,
                            prun__use *use) {
    int32_t i, j;
    memset(use, 0, (size_t)(layers + 1) * sizeof *use);
    use[output].count = 2; /* read by the loss: never fused away */
    for (i = layers - 1; i >= 0; i--) {
        const int flat = layer[i].kind == PRUN__FLATTEN;
        for (j = 0; j < 2; j++) {
            prun__use *in;
            if (layer[i].input[j] < 0) continue;
            in = &use[layer[i].input[j]];
            in->count += flat ? use[i + 1].count : 1;
            in->last = PRUN__MAX(in->last, flat ? use[i + 1].last : i);
        }
    }
    for (i = 0; i < layers; i++)
        if (layer[i].kind == PRUN__FLATTEN) use[i + 1] = use[layer[i].input[0]];
}

/* True for a max pool whose windows neither overlap nor leave the image: a norm can do it. */
static int prun__layer_is_simple_pool(const prun__layer *layer) {
    return layer->kind == PRUN__MAX_POOL && layer->stride == layer->kernel[0] &&
           layer->padding == 0;
}

/* Makes layer i a NORM operation, which absorbs a ReLU and a pool that are the only readers; they
   all have the same storage then. Returns the last layer absorbed. */
static int32_t prun__op_fill_norm(const prun__layer *layer, int32_t i, const prun__use *use,
                                  prun__op *op, int32_t *root) {
    const prun__layer *first = &layer[i];
    op->kind = PRUN__NORM;
    op->norm = first->kind == PRUN__BATCH_NORM ? i : -1;
    op->relu = first->kind == PRUN__RELU;
    op->window = prun__layer_is_simple_pool(first) ? (int32_t)first->kernel[0] : 1;
    while (op->window == 1 && use[i + 1].count == 1) {
        const int32_t next = use[i + 1].last;
        if (layer[next].kind == PRUN__RELU && !op->relu) op->relu = 1;
        else if (prun__layer_is_simple_pool(&layer[next]))
            op->window = (int32_t)layer[next].kernel[0];
        else break;
        i = next;
        root[i + 1] = op->out;
    }
    return i;
}

/* True when layer i may overwrite its first input, which has storage `in`: there is no other
   reader, and its producer, the last operation so far, does not need it again in the backward pass.
   NORM and CONV do not. */
static int prun__layer_is_in_place(const prun__layer *layer, int32_t i, const prun__use *use,
                                   const prun__plan *plan, int32_t in) {
    const int32_t input = layer[i].input[0];
    if (use[input].count != 1 || input == 0) return 0;
    if (layer[i].kind == PRUN__ADD) return layer[input - 1].kind == PRUN__CONV;
    return layer[i].kind == PRUN__DROPOUT && plan->ops > 0 &&
           plan->op[plan->ops - 1].kind == PRUN__NORM && plan->op[plan->ops - 1].out == in;
}

/* Turns layers into operations. root[value]: storage that holds it, -1 while not made. */
static prun_status prun__plan_make_ops(prun_context *context, const prun__layer *layer,
                                       int32_t layers, const prun__use *use, int32_t *root,
                                       prun__plan *plan) {
    int32_t i, values = 1;
    for (i = 0; i <= layers; i++) root[i] = -1;
    root[0] = 0;
    for (i = 0; i < layers; i++) {
        prun__op *op = &plan->op[plan->ops];
        int32_t last = i, in = root[layer[i].input[0]];
        if (root[i + 1] >= 0) continue; /* absorbed already */
        if (layer[i].kind == PRUN__FLATTEN) {
            root[i + 1] = in;
            continue;
        }
        memset(op, 0, sizeof *op);
        op->kind = layer[i].kind;
        op->layer = i;
        op->norm = op->fold = -1;
        op->in = in;
        op->in2 = layer[i].input[1] >= 0 ? root[layer[i].input[1]] : -1;
        op->out = prun__layer_is_in_place(layer, i, use, plan, in) ? in : values++;
        root[i + 1] = op->out;
        if (layer[i].kind == PRUN__BATCH_NORM || layer[i].kind == PRUN__RELU ||
            prun__layer_is_simple_pool(&layer[i]))
            last = prun__op_fill_norm(layer, i, use, op, root);
        if (op->kind == PRUN__CONV) PRUN__TRY(prun__conv_make(context, &layer[i].conv, &op->conv));
        plan->ops++;
        plan->value[op->out].c = layer[last].c;
        plan->value[op->out].h = layer[last].h;
        plan->value[op->out].w = layer[last].w;
    }
    plan->values = values;
    return PRUN_OK;
}

/* A batch norm that is the only reader of a convolution is folded into it in evaluation. */
static void prun__plan_find_folds(prun__plan *plan, const prun__use *use) {
    prun__op *op = plan->op;
    int32_t i, j;
    for (i = 0; i < plan->ops; i++) {
        if (op[i].kind != PRUN__CONV || use[op[i].layer + 1].count != 1) continue;
        for (j = i + 1; j < plan->ops; j++) {
            if (op[j].in != op[i].out && op[j].in2 != op[i].out) continue;
            if (op[j].kind == PRUN__NORM) {
                op[i].fold = j;
                op[j].folded = 1;
            }
            break;
        }
    }
}

/* Takes a free buffer, or a new one, and makes it large enough. */
static int32_t prun__slot_select(int64_t *sizes, unsigned char *busy, int32_t *count,
                                 int64_t size) {
    int32_t i;
    for (i = 0; i < *count && busy[i]; i++) {
    }
    if (i == *count) {
        sizes[i] = 0;
        (*count)++;
    }
    busy[i] = 1;
    sizes[i] = PRUN__MAX(sizes[i], size);
    return i;
}

/* True when evaluation leaves the operation out: its convolution has done its work. */
static int prun__op_is_skipped(const prun__op *op) {
    return (op->kind == PRUN__NORM && op->folded && op->window == 1) || op->kind == PRUN__DROPOUT;
}

/* Marks the evaluation buffers of values that are still read after operation i. */
static void prun__plan_note_busy(const prun__plan *plan, int32_t i, unsigned char *busy) {
    int32_t v, j;
    memset(busy, 0, (size_t)plan->slots);
    for (v = 0; v < plan->values; v++) {
        int32_t last = v == plan->output ? plan->ops : -1, made = v == 0;
        for (j = 0; j < plan->ops; j++) {
            if (plan->op[j].in == v || plan->op[j].in2 == v) last = PRUN__MAX(last, j);
            if (plan->op[j].out == v && j <= i) made = 1;
        }
        if (made && last > i) busy[plan->value[v].slot] = 1;
    }
}

/* Evaluation buffers: a value's is free again after its last reader. */
static void prun__plan_set_slots(prun__plan *plan, unsigned char *busy) {
    prun__value *value = plan->value;
    int32_t i;
    value[0].slot = prun__slot_select(plan->slot_size, busy, &plan->slots, value[0].size);
    for (i = 0; i < plan->ops; i++) {
        const prun__op *op = &plan->op[i];
        if (op->out == op->in || prun__op_is_skipped(op)) value[op->out].slot = value[op->in].slot;
        else
            value[op->out].slot =
                prun__slot_select(plan->slot_size, busy, &plan->slots, value[op->out].size);
        prun__plan_note_busy(plan, i, busy);
    }
}

/* Gradient buffers, walking the operations backward. */
static void prun__plan_set_grads(prun__plan *plan, unsigned char *busy) {
    prun__value *value = plan->value;
    int32_t i, j;
    for (i = 0; i < plan->values; i++) value[i].grad = -1;
    value[plan->output].grad =
        prun__slot_select(plan->grad_size, busy, &plan->grads, value[plan->output].size);
    for (i = plan->ops - 1; i >= 0; i--) {
        prun__op *op = &plan->op[i];
        if (value[op->out].grad < 0) continue;
        for (j = 0; j < 2; j++) {
            const int32_t in = j == 0 ? op->in : op->in2;
            if (in <= 0 || in == op->out) continue;
            if (j == 0) op->add = value[in].grad >= 0;
            else op->add2 = value[in].grad >= 0;
            if (value[in].grad < 0)
                value[in].grad =
                    prun__slot_select(plan->grad_size, busy, &plan->grads, value[in].size);
        }
        if (op->out != op->in) busy[value[op->out].grad] = 0;
    }
}

/* Weights of a convolution. */
static int64_t prun__op_weight_size(const prun__op *op) {
    return op->conv.shape.out_channels * op->conv.shape.in_channels * op->conv.taps;
}

/* True for an operation that needs the statistics of the whole batch: a phase ends before it. */
static int prun__op_uses_batch(const prun__op *op) {
    return op->kind == PRUN__NORM && op->norm >= 0;
}

/* A block at a time stays in cache. Where the weights are larger than that, they are what is read
   again and again, unless several blocks share them. */
enum { PRUN__GROUP = 4, PRUN__GROUP_WEIGHTS = 1 << 21 };

/* Sizes of values. */
static prun_status prun__plan_set_values(prun_context *context, prun__plan *plan) {
    int32_t i;
    for (i = 0; i < plan->values; i++) {
        prun__value *v = &plan->value[i];
        v->size = prun_lanes_size(1, v->c, v->h, v->w);
        if (v->size < 0) return prun__fail(context, PRUN_ERR_OVERFLOW, "net: value too large");
        plan->max_channels = PRUN__MAX(plan->max_channels, v->c);
    }
    return PRUN_OK;
}

/* Where the convolutions' weights lie in the buffers, and how large these have to be. */
static void prun__plan_set_sizes(prun__plan *plan) {
    int64_t phase = 0; /* floats of packed weights since the phase began */
    int32_t i;
    plan->group = plan->packed_size = 1;
    for (i = 0; i < plan->ops; i++) {
        prun__op *op = &plan->op[i];
        const prun__conv *conv = &op->conv;
        if (prun__op_uses_batch(op)) phase = 0;
        if (op->kind != PRUN__CONV) continue;
        op->phase_packed = phase;
        phase += prun__packed_size(conv, 1);
        plan->packed_size = PRUN__MAX(plan->packed_size, phase);
        plan->packed_size = PRUN__MAX(plan->packed_size, prun__packed_size(conv, 0));
        op->eval_packed = plan->prepared_size;
        plan->prepared_size += prun__packed_size(conv, 1);
        op->eval_bias = plan->prepared_size;
        plan->prepared_size += conv->shape.out_channels;
        op->eval_nonzero = plan->nonzero_count;
        plan->nonzero_count +=
            (int64_t)(PRUN__SPARSE_DENSITY * (double)prun__op_weight_size(op)) + 1;
        op->eval_row = plan->row_count;
        plan->row_count += conv->shape.out_channels + 1;
        plan->padded_size = PRUN__MAX(plan->padded_size, prun__padded_size(conv));
        plan->conv_scratch = PRUN__MAX(plan->conv_scratch, prun__conv_scratch(conv));
        if (prun__conv_can_use_winograd(&conv->shape) &&
            prun__packed_size(conv, 1) > PRUN__GROUP_WEIGHTS)
            plan->group = PRUN__GROUP;
    }
}

/* Fills the plan's arrays, which have room for an operation per layer. */
static prun_status prun__plan_fill(const prun_net *net, int32_t output, prun__use *use,
                                   int32_t *root, prun__plan *plan) {
    const int32_t layers = (int32_t)net->layers;
    plan->value[0].c = net->channels;
    plan->value[0].h = net->height;
    plan->value[0].w = net->width;
    prun__use_count(net->layer, layers, output, use);
    PRUN__TRY(prun__plan_make_ops(net->context, net->layer, layers, use, root, plan));
    plan->output = root[output];
    prun__plan_find_folds(plan, use);
    PRUN__TRY(prun__plan_set_values(net->context, plan));
    prun__plan_set_sizes(plan);
    return PRUN_OK;
}

/* Plans the net's layers; what a failure leaves behind is for prun__plan_free. */
static prun_status prun__plan_make(const prun_net *net, int32_t output, prun__plan *plan) {
    prun_context *context = net->context;
    const int64_t n = net->layers + 1;
    prun__use *use = (prun__use *)prun__alloc(context, n, sizeof *use, "plan");
    int32_t *root = (int32_t *)prun__alloc(context, n, sizeof *root, "plan");
    unsigned char *busy = (unsigned char *)prun__alloc_zero(context, 2 * n, 1, "plan");
    prun_status status = PRUN_ERR_MEMORY;
    memset(plan, 0, sizeof *plan);
    plan->op = (prun__op *)prun__alloc_zero(context, n, sizeof *plan->op, "plan");
    plan->value = (prun__value *)prun__alloc_zero(context, n, sizeof *plan->value, "plan");
    plan->slot_size = (int64_t *)prun__alloc_zero(context, n, sizeof(int64_t), "plan");
    plan->grad_size = (int64_t *)prun__alloc_zero(context, n, sizeof(int64_t), "plan");
    if (use && root && busy && plan->op && plan->value && plan->slot_size && plan->grad_size)
        status = prun__plan_fill(net, output, use, root, plan);
    if (status == PRUN_OK) {
        prun__plan_set_slots(plan, busy);
        prun__plan_set_grads(plan, busy + n);
    }
    prun__free(context, busy);
    prun__free(context, root);
    prun__free(context, use);
    return status;
}

/* Releases a plan, also one whose making failed halfway. */
static void prun__plan_free(prun_context *context, prun__plan *plan) {
    int32_t i;
    for (i = 0; i < plan->ops; i++)
        if (plan->op[i].kind == PRUN__CONV) prun__conv_free(context, &plan->op[i].conv);
    prun__free(context, plan->op);
    prun__free(context, plan->value);
    prun__free(context, plan->slot_size);
    prun__free(context, plan->grad_size);
    memset(plan, 0, sizeof *plan);
}

/* Releases the buffers of evaluation; the next one makes them anew. */
static void prun__eval_free(prun_context *context, prun__eval *eval) {
    prun__free(context, eval->coefficients);
    prun__free(context, eval->scale);
    prun__free(context, eval->prepared);
    prun__free(context, eval->sparse);
    prun__free(context, eval->nonzero);
    prun__free(context, eval->nonzero_row);
    prun__free(context, eval->arena);
    prun__free(context, eval->losses);
    prun__free(context, eval->wrong);
    memset(eval, 0, sizeof *eval);
}

/* Releases the buffers of a batch; the next pass makes them anew. */
static void prun__batch_free(prun_context *context, const prun__plan *plan, prun__batch *batch) {
    int32_t i;
    for (i = 0; batch->value && i < plan->values; i++) prun__free(context, batch->value[i]);
    for (i = 0; batch->grad && i < plan->grads; i++) prun__free(context, batch->grad[i]);
    for (i = 0; batch->mask && i < plan->ops; i++) prun__free(context, batch->mask[i]);
    prun__free(context, batch->value);
    prun__free(context, batch->grad);
    prun__free(context, batch->mask);
    prun__free(context, batch->coefficients);
    prun__free(context, batch->packed);
    prun__free(context, batch->partial);
    prun__free(context, batch->strips);
    prun__free(context, batch->scratch);
    prun__free(context, batch->sums);
    prun__free(context, batch->spare);
    prun__free(context, batch->head);
    prun__free(context, batch->losses);
    prun__free(context, batch->wrong);
    memset(batch, 0, sizeof *batch);
}

/* Forgets the base and frees all of it but the spare batch, which is memory alone. */
static void prun__base_clear(prun_context *context, prun__base *base) {
    int64_t i;
    for (i = 0; base->batch && i < base->batches; i++) prun__free(context, base->batch[i]);
    prun__free(context, base->batch);
    base->batch = NULL;
}

/* Frees everything that belongs to the base. */
static void prun__base_free(prun_context *context, prun__base *base) {
    prun__base_clear(context, base);
    prun__free(context, base->place);
    prun__free(context, base->spare);
    prun__free(context, base->packed);
    base->place = NULL;
    base->packed = NULL;
    base->spare = NULL;
    base->spare_size = 0;
}

/* Blocks of a task: at most plan->group, and such that all threads get equally many tasks. */
static int64_t prun__plan_group(const prun__plan *plan, int64_t threads, int64_t blocks) {
    int64_t tasks = (blocks + plan->group - 1) / plan->group;
    tasks = (tasks + threads - 1) / threads * threads;
    return (blocks + tasks - 1) / tasks;
}

/* Floats of scratch memory for one block of images. */
static int64_t prun__image_scratch(const prun__plan *plan) {
    const prun__value *images = &plan->value[0];
    return PRUN_LANES * prun__scratch_stride(images->c * images->h * images->w);
}

/* Floats of scratch of a worker in training: the images, then convolutions. */
static int64_t prun__batch_scratch(const prun__plan *plan) {
    return PRUN__MAX(prun__image_scratch(plan), plan->conv_scratch);
}

/* Gives every tensor its place: trained ones in one block, statistics in another. */
static prun_status prun__net_make_tensors(prun_net *net) {
    int64_t i, trained = 0, rest = 0, weights = 0;
    for (i = 0; i < net->tensors; i++) {
        const int64_t size = prun_tensor_size(&net->tensor[i]);
        if (net->tensor[i].flags & PRUN_TENSOR_STATISTIC) rest += size;
        else trained += size;
        if (net->tensor[i].flags & PRUN_TENSOR_WEIGHT) weights += size;
    }
    net->parameter_count = trained;
    net->statistic_count = rest;
    net->weight_count = weights;
    net->parameters = (float *)prun__alloc(net->context, trained, sizeof(float), "parameters");
    net->statistics = (float *)prun__alloc(net->context, rest, sizeof(float), "statistics");
    net->trained =
        (prun_tensor *)prun__alloc(net->context, net->tensors, sizeof(prun_tensor), "tensors");
    if (!net->parameters || !net->statistics || !net->trained) return PRUN_ERR_MEMORY;
    for (i = trained = rest = 0; i < net->tensors; i++) {
        prun_tensor *t = &net->tensor[i];
        const int64_t size = prun_tensor_size(t);
        t->data =
            t->flags & PRUN_TENSOR_STATISTIC ? net->statistics + rest : net->parameters + trained;
        if (t->flags & PRUN_TENSOR_STATISTIC) rest += size;
        else {
            trained += size;
            net->trained[net->trained_count++] = *t;
        }
    }
    return PRUN_OK;
}

PRUNDEF prun_status prun_net_finish(prun_net *net, int32_t output, uint64_t seed) {
    prun__layer last;
    if (!prun__net_can_add(net, output, "finish"))
        return net && net->status != PRUN_OK ? net->status : PRUN_ERR_ARGUMENT;
    last = prun__value_shape(net, output);
    if (output == PRUN_INPUT || last.h != 1 || last.w != 1 || last.c < 2)
        return net->status = prun__fail(net->context, PRUN_ERR_SHAPE,
                                        "finish: logits must be classes x 1 x 1 with at least 2 "
                                        "classes, not %lld x %lld x %lld",
                                        (long long)last.c, (long long)last.h, (long long)last.w);
    net->classes = last.c;
    net->result = output;
    net->status = prun__plan_make(net, output, &net->plan);
    if (net->status == PRUN_OK) net->status = prun__net_make_tensors(net);
    if (net->status == PRUN_OK) prun_net_initialize(net, seed);
    net->finished = 1;
    return net->status;
}

/* Uniform in +-bound, each element keyed by its place. */
static void prun__tensor_fill_uniform(prun_tensor *t, uint64_t seed, uint64_t stream,
                                      double bound) {
    const int64_t size = prun_tensor_size(t);
    int64_t i;
    for (i = 0; i < size; i++)
        t->data[i] = (float)((2.0 * prun_random_uniform(seed, stream, (uint64_t)i) - 1.0) * bound);
}

/* The same value everywhere. */
static void prun__tensor_fill_constant(prun_tensor *t, float value) {
    const int64_t size = prun_tensor_size(t);
    int64_t i;
    for (i = 0; i < size; i++) t->data[i] = value;
}

/* A layer's first tensor; NULL if it has none. */
static prun_tensor *prun__layer_tensors(const prun_net *net, const prun__layer *layer) {
    return layer->tensors ? net->tensor + layer->tensor : NULL;
}

PRUNDEF void prun_net_initialize(prun_net *net, uint64_t seed) {
    int64_t i;
    for (i = 0; i < net->layers; i++) {
        const prun__layer *layer = &net->layer[i];
        prun_tensor *t = prun__layer_tensors(net, layer);
        const uint64_t stream = (uint64_t)layer->tensor;
        if (layer->kind == PRUN__CONV) {
            const double area = (double)(layer->conv.kernel[0] * layer->conv.kernel[1]);
            const double in = (double)layer->conv.in_channels * area;
            const double out = (double)layer->conv.out_channels * area;
            const int glorot = layer->init == PRUN_INITIALIZER_GLOROT;
            prun__tensor_fill_uniform(t, seed, stream,
                                      glorot ? sqrt(6.0 / (in + out)) : 1.0 / sqrt(in));
            if (layer->bias && glorot) prun__tensor_fill_constant(t + 1, 0.0f);
            else if (layer->bias)
                prun__tensor_fill_uniform(t + 1, seed, stream + 1, 1.0 / sqrt(in));
        } else if (layer->kind == PRUN__BATCH_NORM) {
            prun__tensor_fill_constant(t, 1.0f);
            prun__tensor_fill_constant(t + 1, 0.0f);
            prun__tensor_fill_constant(t + 2, 0.0f);
            prun__tensor_fill_constant(t + 3, 1.0f);
        }
    }
}

PRUNDEF void prun_net_set_algorithm(prun_net *net, prun_algorithm algorithm) {
    int64_t i;
    if (algorithm < PRUN_ALGORITHM_AUTO || algorithm > PRUN_ALGORITHM_WINOGRAD)
        algorithm = PRUN_ALGORITHM_AUTO;
    net->algorithm = algorithm;
    for (i = 0; i < net->layers; i++) net->layer[i].conv.algorithm = algorithm;
    for (i = 0; i < net->plan.ops; i++) net->plan.op[i].conv.shape.algorithm = algorithm;
    /* its buffers were as large as the old algorithm needs */
    prun__batch_free(net->context, &net->plan, &net->batch);
    prun__base_free(net->context, &net->base);
}

PRUNDEF void prun_net_free(prun_net *net) {
    prun_context *context;
    int64_t i;
    if (!net) return;
    context = net->context;
    prun__batch_free(context, &net->plan, &net->batch);
    prun__base_free(context, &net->base);
    prun__eval_free(context, &net->eval);
    prun__plan_free(context, &net->plan);
    for (i = 0; i < net->tensors; i++) prun__free(context, (void *)(uintptr_t)net->tensor[i].name);
    prun__free(context, net->tensor);
    prun__free(context, net->trained);
    prun__free(context, net->layer);
    prun__free(context, net->parameters);
    prun__free(context, net->statistics);
    prun__free(context, net);
}

PRUNDEF const prun_tensor *prun_net_tensors(const prun_net *net, int64_t *count) {
    *count = net->tensors;
    return net->tensor;
}

PRUNDEF int64_t prun_net_parameter_count(const prun_net *net) { return net->parameter_count; }
PRUNDEF int64_t prun_net_weight_count(const prun_net *net) { return net->weight_count; }
PRUNDEF int64_t prun_net_class_count(const prun_net *net) { return net->classes; }

/* ---- the three families ---- */

PRUNDEF prun_arch prun_arch_resolved(const prun_arch *arch) {
    prun_arch a;
    memset(&a, 0, sizeof a);
    if (arch) a = *arch;
    if (a.width == 0) a.width = a.family == PRUN_FAMILY_NIN ? 192 : 64;
    if (a.depth == 0) a.depth = 3;
    if (a.classes == 0) a.classes = 10;
    if (a.image_channels == 0) a.image_channels = 3;
    if (a.image_height == 0) a.image_height = 32;
    if (a.image_width == 0) a.image_width = 32;
    return a;
}

/* The arch of one family with its defaults, checked. */
static prun_status prun__arch_check(prun_context *context, const prun_arch *arch,
                                    prun_family family, prun_arch *a) {
    memset(a, 0, sizeof *a);
    if (arch) *a = *arch;
    a->family = family;
    *a = prun_arch_resolved(a);
    if (a->width < 1 || a->width > (1 << 20))
        return prun__fail(context, PRUN_ERR_ARGUMENT, "width %lld is not in 1 .. 2^20",
                          (long long)a->width);
    if (a->classes < 2 || a->classes > (1 << 20))
        return prun__fail(context, PRUN_ERR_ARGUMENT, "classes %lld is not in 2 .. 2^20",
                          (long long)a->classes);
    if (a->family == PRUN_FAMILY_NIN && (a->depth < 2 || a->depth > 4))
        return prun__fail(context, PRUN_ERR_ARGUMENT, "depth %lld is not in 2 .. 4",
                          (long long)a->depth);
    if (!(a->dropout >= 0.0 && a->dropout < 1.0))
        return prun__fail(context, PRUN_ERR_ARGUMENT, "dropout %g is not in [0, 1)", a->dropout);
    return PRUN_OK;
}

/* Finishes a family's net, or releases it. */
static prun_status prun__family_end(prun_net *net, int32_t output, uint64_t seed, prun_net **out) {
    const prun_status status = prun_net_finish(net, output, seed);
    if (status != PRUN_OK) prun_net_free(net);
    else *out = net;
    return status;
}

PRUNDEF prun_status prun_net_create_nin(prun_context *context, const prun_arch *arch,
                                        prun_net **out) {
    prun_conv2d_options first;
    prun_arch a;
    prun_net *net;
    int32_t v = PRUN_INPUT, b, j;
    char name[32];
    int64_t size;
    PRUN__TRY(prun__arch_check(context, arch, PRUN_FAMILY_NIN, &a));
    PRUN__TRY(prun_net_create(context, a.image_channels, a.image_height, a.image_width, &net));
    prun_net_set_initializer(net, a.pytorch_defaults ? PRUN_INITIALIZER_PYTORCH
                                                     : PRUN_INITIALIZER_GLOROT);
    first = prun__square_conv(a.width, 3, 2, 1);
    first.padding_mode = a.symmetric_padding ? PRUN_PADDING_ZEROS : PRUN_PADDING_SAME;
    for (b = 0; b < (int32_t)a.depth; b++) {
        for (j = 0; j < 3; j++) {
            snprintf(name, sizeof name, "block%d_conv%d", (int)b, (int)j);
            v = j == 0 ? prun_layer_conv2d_with(net, v, name, &first)
                       : prun_layer_conv2d(net, v, name, a.width, 1, 1, 0);
            snprintf(name, sizeof name, "block%d_bn%d", (int)b, (int)j);
            v = prun_layer_batch_norm(net, v, name, a.pytorch_defaults ? 1e-5 : 1e-3,
                                      a.pytorch_defaults ? 0.1 : 0.01);
            v = prun_layer_relu(net, v);
        }
        if (a.dropout > 0.0) v = prun_layer_dropout(net, v, a.dropout);
    }
    size = v > 0 ? PRUN__MIN(prun__value_shape(net, v).h, prun__value_shape(net, v).w) : 1;
    v = prun_layer_conv2d(net, v, "head", a.classes, PRUN__MIN(4, size), 1, 0);
    v = prun_layer_global_avg_pool(net, v);
    v = prun_layer_flatten(net, v);
    return prun__family_end(net, v, a.seed, out);
}

PRUNDEF prun_status prun_net_create_cnn(prun_context *context, const prun_arch *arch,
                                        prun_net **out) {
    prun_arch a;
    prun_net *net;
    int32_t v = PRUN_INPUT, i;
    char name[16];
    PRUN__TRY(prun__arch_check(context, arch, PRUN_FAMILY_CNN, &a));
    PRUN__TRY(prun_net_create(context, a.image_channels, a.image_height, a.image_width, &net));
    for (i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "conv%d", (int)i);
        v = prun_layer_conv2d(net, v, name, a.width << i, 3, 1, 1);
        snprintf(name, sizeof name, "bn%d", (int)i);
        v = prun_layer_batch_norm(net, v, name, 0.0, 0.0);
        v = prun_layer_relu(net, v);
        if (i > 0) v = prun_layer_max_pool(net, v, 2, 2, 0);
    }
    v = prun_layer_max_pool(net, v, 4, 4, 0);
    v = prun_layer_flatten(net, v);
    v = prun_layer_linear(net, v, "fc", a.classes, 1);
    return prun__family_end(net, v, a.seed, out);
}

/* A square convolution without bias. */
static int32_t prun__plain_conv(prun_net *net, int32_t input, const char *name, int64_t channels,
                                int64_t kernel, int64_t stride) {
    prun_conv2d_options options = prun__square_conv(channels, kernel, stride, kernel / 2);
    options.omit_bias = 1;
    return prun_layer_conv2d_with(net, input, name, &options);
}

/* A pre-activation block; the projection takes the activated input, the identity the raw one. */
static int32_t prun__resnet18_add_block(prun_net *net, int32_t x, const char *prefix, int64_t in,
                                        int64_t out, int64_t stride) {
    char name[64];
    int32_t a, y, s = x;
    snprintf(name, sizeof name, "%s.bn1", prefix);
    a = prun_layer_batch_norm(net, x, name, 0.0, 0.0);
    a = prun_layer_relu(net, a);
    snprintf(name, sizeof name, "%s.conv1", prefix);
    y = prun__plain_conv(net, a, name, out, 3, stride);
    snprintf(name, sizeof name, "%s.bn2", prefix);
    y = prun_layer_batch_norm(net, y, name, 0.0, 0.0);
    y = prun_layer_relu(net, y);
    snprintf(name, sizeof name, "%s.conv2", prefix);
    y = prun__plain_conv(net, y, name, out, 3, 1);
    if (stride != 1 || in != out) {
        snprintf(name, sizeof name, "%s.shortcut", prefix);
        s = prun__plain_conv(net, a, name, out, 1, stride);
    }
    return prun_layer_add(net, y, s);
}

PRUNDEF prun_status prun_net_create_resnet18(prun_context *context, const prun_arch *arch,
                                             prun_net **out) {
    prun_arch a;
    prun_net *net;
    int32_t v, stage, b;
    char name[40];
    int64_t in;
    PRUN__TRY(prun__arch_check(context, arch, PRUN_FAMILY_RESNET18, &a));
    PRUN__TRY(prun_net_create(context, a.image_channels, a.image_height, a.image_width, &net));
    v = prun__plain_conv(net, PRUN_INPUT, "conv1", a.width, 3, 1);
    in = a.width;
    for (stage = 0; stage < 4; stage++) {
        for (b = 0; b < 2; b++) {
            const int64_t width = a.width << stage;
            snprintf(name, sizeof name, "layer%d_%d", (int)stage + 1, (int)b);
            v = prun__resnet18_add_block(net, v, name, in, width, stage > 0 && b == 0 ? 2 : 1);
            in = width;
        }
    }
    v = prun_layer_avg_pool(net, v, 4, 4, 0);
    v = prun_layer_flatten(net, v);
    v = prun_layer_linear(net, v, "linear", a.classes, 1);
    return prun__family_end(net, v, a.seed, out);
}

PRUNDEF prun_status prun_net_create_family(prun_context *context, const prun_arch *arch,
                                           prun_net **net) {
    switch (arch->family) {
        case PRUN_FAMILY_CNN: return prun_net_create_cnn(context, arch, net);
        case PRUN_FAMILY_NIN: return prun_net_create_nin(context, arch, net);
        case PRUN_FAMILY_RESNET18: return prun_net_create_resnet18(context, arch, net);
        default:
            return prun__fail(context, PRUN_ERR_ARGUMENT, "unknown family %d", (int)arch->family);
    }
}
#endif

/* [RUN.I] passes over a batch, forward and backward */
/*
   What one block of images goes through, forward and backward, and passes over a batch: in training
   mode, and in eval mode for gradients. They read layers and plan, and write the batch, the flat
   gradient and, in training mode, the running statistics.
*/
#ifndef PRUNABILITY_NO_NET

/* ---- work on one block of any pass ---- */

/* Rows of coefficients of one NORM operation, a number per channel:
   y = (x - mean) * scale + shift. */
typedef struct prun__norm_rows {
    float *mean;
    float *inverse; /* 1 / standard deviation */
    float *scale, *shift;
    float *m1, *m2; /* backward: see prun__norm_job */
} prun__norm_rows;

enum { PRUN__COEFFICIENTS = sizeof(prun__norm_rows) / sizeof(float *) };

/* Where an operation's rows lie in the coefficients of a batch or of evaluation. */
static prun__norm_rows prun__norm_rows_get(const prun__plan *plan, const prun__op *op,
                                           float *coefficients) {
    const int64_t size = plan->max_channels;
    prun__norm_rows rows;
    rows.mean = coefficients + (op - plan->op) * PRUN__COEFFICIENTS * size;
    rows.inverse = rows.mean + size;
    rows.scale = rows.inverse + size;
    rows.shift = rows.scale + size;
    rows.m1 = rows.shift + size;
    rows.m2 = rows.m1 + size;
    return rows;
}

/* Room for the coefficients of all operations. */
static float *prun__norm_rows_make(prun_context *context, const prun__plan *plan) {
    return (float *)prun__alloc(
        context, prun__size_product(plan->max_channels, (int64_t)plan->ops * PRUN__COEFFICIENTS),
        sizeof(float), "coefficients");
}

/* Coefficients of one channel from its moments and the layer's scale and shift. */
static void prun__norm_set(const prun_net *net, const prun__op *op, const prun__norm_rows *rows,
                           int64_t c, double mean, double variance) {
    const prun__layer *layer = &net->layer[op->norm];
    const prun_tensor *t = net->tensor + layer->tensor;
    const double inverse = 1.0 / sqrt(variance + layer->epsilon);
    rows->mean[c] = (float)mean;
    rows->inverse[c] = (float)inverse;
    rows->scale[c] = (float)((double)t[0].data[c] * inverse);
    rows->shift[c] = t[1].data[c];
    rows->m1[c] = rows->m2[c] = 0.0f;
}

/* Coefficients of a NORM operation from the running statistics, or of the identity. */
static void prun__norm_set_fixed(const prun_net *net, const prun__op *op, int identity,
                                 float *coefficients) {
    const prun__norm_rows rows = prun__norm_rows_get(&net->plan, op, coefficients);
    const int64_t channels = net->plan.value[op->in].c;
    int64_t c;
    for (c = 0; c < channels; c++) {
        if (op->norm >= 0 && !identity) {
            const prun_tensor *t = net->tensor + net->layer[op->norm].tensor;
            prun__norm_set(net, op, &rows, c, (double)t[2].data[c], (double)t[3].data[c]);
        } else {
            rows.mean[c] = rows.inverse[c] = rows.shift[c] = rows.m1[c] = rows.m2[c] = 0.0f;
            rows.scale[c] = 1.0f;
        }
    }
}

/* A NORM operation as the kernels see it; backward is at the input's resolution. */
static prun__norm_job prun__norm_job_make(const prun__plan *plan, const prun__op *op,
                                          float *coefficients) {
    const prun__value *in = &plan->value[op->in], *out = &plan->value[op->out];
    const prun__norm_rows rows = prun__norm_rows_get(plan, op, coefficients);
    prun__norm_job job;
    job.mean = rows.mean;
    job.scale = rows.scale;
    job.shift = rows.shift;
    job.m1 = rows.m1;
    job.m2 = rows.m2;
    job.channels = in->c;
    job.in_width = in->w;
    job.out_height = out->h;
    job.out_width = out->w;
    job.window = op->window;
    job.low = op->relu ? 0.0f : -(float)HUGE_VAL;
    job.relu = op->relu;
    job.add = op->add;
    return job;
}

/* Zeros the lanes beyond the last image: batch norm's means do not vanish there. */
static void prun__lanes_clear(float *x, int64_t size, int64_t live) {
    int64_t i, l;
    if (live == PRUN_LANES) return;
    for (i = 0; i < size; i += PRUN_LANES)
        for (l = live; l < PRUN_LANES; l++) x[i + l] = 0.0f;
}

/* Overlapping or padded pooling windows, clipped to the image. */
typedef struct prun__window {
    int64_t y0, y1, x0, x1;
} prun__window;

/* The window of output pixel (oy, ox) in an image of height x width. */
static prun__window prun__window_make(const prun__layer *layer, int64_t height, int64_t width,
                                      int64_t oy, int64_t ox) {
    const int64_t y = oy * layer->stride - layer->padding, x = ox * layer->stride - layer->padding;
    prun__window w;
    w.y0 = PRUN__MAX(y, 0);
    w.y1 = PRUN__MIN(y + layer->kernel[0], height);
    w.x0 = PRUN__MAX(x, 0);
    w.x1 = PRUN__MIN(x + layer->kernel[1], width);
    return w;
}

/* One output vector of a pool: maximum, or sum / kernel area. where: NULL, or the winners. */
static void prun__pool_run_vector(const prun__layer *layer, const prun__value *in, prun__window w,
                                  const float *x, float *y, int32_t *where) {
    const float scale = 1.0f / (float)(layer->kernel[0] * layer->kernel[1]);
    float sum[PRUN_LANES];
    int64_t py, px;
    int l, first = 1;
    memset(sum, 0, sizeof sum);
    for (py = w.y0; py < w.y1; py++)
        for (px = w.x0; px < w.x1; px++, first = 0) {
            const float *z = x + (py * in->w + px) * in->c * PRUN_LANES;
            for (l = 0; l < PRUN_LANES; l++) {
                if (layer->kind == PRUN__AVG_POOL) {
                    sum[l] += z[l];
                } else if (first || z[l] > sum[l] || z[l] != z[l]) { /* NaN wins, as in PyTorch */
                    sum[l] = z[l];
                    if (where) where[l] = (int32_t)(py * in->w + px);
                }
            }
        }
    for (l = 0; l < PRUN_LANES; l++) y[l] = layer->kind == PRUN__AVG_POOL ? sum[l] * scale : sum[l];
}

/* A pool that no norm does, on one block. */
static void prun__pool_run(const prun_net *net, const prun__op *op, const float *x, float *y) {
    const prun__layer *layer = &net->layer[op->layer];
    const prun__value *in = &net->plan.value[op->in], *out = &net->plan.value[op->out];
    int64_t oy, ox, c;
    for (oy = 0; oy < out->h; oy++)
        for (ox = 0; ox < out->w; ox++)
            for (c = 0; c < out->c; c++, y += PRUN_LANES)
                prun__pool_run_vector(layer, in, prun__window_make(layer, in->h, in->w, oy, ox),
                                      x + c * PRUN_LANES, y, NULL);
}

/* Adds one output vector's gradient to the window's pixels. */
static void prun__pool_add_gradient(const prun__layer *layer, const prun__value *in, prun__window w,
                                    const float *x, const float *dy, float *dx) {
    const float scale = 1.0f / (float)(layer->kernel[0] * layer->kernel[1]);
    int32_t where[PRUN_LANES];
    float y[PRUN_LANES];
    int64_t py, px;
    int l;
    if (layer->kind == PRUN__MAX_POOL) {
        prun__pool_run_vector(layer, in, w, x, y, where);
        for (l = 0; l < PRUN_LANES; l++) dx[where[l] * in->c * PRUN_LANES + l] += dy[l];
        return;
    }
    for (py = w.y0; py < w.y1; py++)
        for (px = w.x0; px < w.x1; px++) {
            float *to = dx + (py * in->w + px) * in->c * PRUN_LANES;
            for (l = 0; l < PRUN_LANES; l++) to[l] += dy[l] * scale;
        }
}

/* The gradient of prun__pool_run's input from that of its output, dy. */
static void prun__pool_run_backward(const prun_net *net, const prun__op *op, const float *x,
                                    const float *dy, float *dx) {
    const prun__layer *layer = &net->layer[op->layer];
    const prun__value *in = &net->plan.value[op->in], *out = &net->plan.value[op->out];
    int64_t oy, ox, c;
    if (!op->add) memset(dx, 0, (size_t)in->size * sizeof(float));
    for (oy = 0; oy < out->h; oy++)
        for (ox = 0; ox < out->w; ox++)
            for (c = 0; c < out->c; c++, dy += PRUN_LANES)
                prun__pool_add_gradient(layer, in, prun__window_make(layer, in->h, in->w, oy, ox),
                                        x + c * PRUN_LANES, dy, dx + c * PRUN_LANES);
}

/* Sets values, or adds to them. */
static void prun__lanes_put(const float *PRUN__RESTRICT from, int64_t size, int add,
                            float *PRUN__RESTRICT to) {
    int64_t i;
    if (!add) memcpy(to, from, (size_t)size * sizeof(float));
    else
        for (i = 0; i < size; i++) to[i] += from[i];
}

/* y = a + b; y may be a. */
static void prun__lanes_add(const float *a, const float *b, int64_t size, float *y) {
    if (y != a) memcpy(y, a, (size_t)size * sizeof(float));
    prun__lanes_put(b, size, 1, y);
}

/* Dropout decisions are 16-bit: the threshold is exact to 1/65536 and the scale uses the
   probability that really acts, so the expectation is exact. */
static uint32_t prun__dropout_threshold(double probability) {
    return (uint32_t)PRUN__MIN(probability * 65536.0 + 0.5, 65535.0);
}

/* One bit per lane for each 16-float vector: 1 keeps. Two Philox calls decide sixteen lanes. */
static void prun__dropout_fill_masks(uint64_t seed, uint64_t stream, uint64_t first,
                                     int64_t vectors, uint32_t threshold, uint16_t *mask) {
    int64_t v;
    int half, word;
    for (v = 0; v < vectors; v++) {
        unsigned bits = 0;
        for (half = 0; half < 2; half++) {
            uint32_t r[4];
            prun_random_block(seed, stream, (first + (uint64_t)v) * 2 + (uint64_t)half, r);
            for (word = 0; word < 4; word++) {
                const int lane = half * 8 + word * 2;
                bits |= (unsigned)((r[word] & 0xffffu) >= threshold) << lane;
                bits |= (unsigned)(r[word] >> 16 >= threshold) << (lane + 1);
            }
        }
        mask[v] = (uint16_t)bits;
    }
}

/* A lane is kept where its bit is set; four lanes at a time through a table of 0 and 1. */
static void prun__dropout_apply(const uint16_t *mask, int64_t vectors, float scale, const float *x,
                                int add, float *y) {
    static const float bits[16][4] = {{0, 0, 0, 0}, {1, 0, 0, 0}, {0, 1, 0, 0}, {1, 1, 0, 0},
                                      {0, 0, 1, 0}, {1, 0, 1, 0}, {0, 1, 1, 0}, {1, 1, 1, 0},
                                      {0, 0, 0, 1}, {1, 0, 0, 1}, {0, 1, 0, 1}, {1, 1, 0, 1},
                                      {0, 0, 1, 1}, {1, 0, 1, 1}, {0, 1, 1, 1}, {1, 1, 1, 1}};
    const prun__f4 zero = prun__f4_set(0.0f), factor = prun__f4_set(scale);
    int64_t v;
    int l;
    for (v = 0; v < vectors; v++, x += PRUN_LANES, y += PRUN_LANES)
        for (l = 0; l < PRUN_LANES; l += 4) {
            prun__f4 kept = prun__f4_load(bits[mask[v] >> l & 15]);
            kept = prun__f4_if_gt(kept, zero, prun__f4_mul(prun__f4_load(x + l), factor));
            prun__f4_store(y + l, add ? prun__f4_add(prun__f4_load(y + l), kept) : kept);
        }
}

/* Packs a convolution's weights for the forward or the backward pass; scale: as in the job. */
static void prun__op_pack(const prun_net *net, const prun__op *op, int forward, const double *scale,
                          float *packed) {
    prun__pack_job job;
    job.conv = &op->conv;
    job.weight = net->tensor[net->layer[op->layer].tensor].data;
    job.packed = packed;
    job.scale = scale;
    job.forward = forward;
    prun__conv_pack(net->context, &job);
}

/* Losses of one block from its logits; with dlogits also their gradient, 0 on empty lanes. */
static void prun__loss_run(const prun__source *source, int64_t block, int64_t classes,
                           const float *logits, double *scratch, double *losses, int32_t *wrong,
                           float *dlogits) {
    float *row = (float *)(scratch + classes);
    int64_t l, j;
    for (l = 0; l < PRUN_LANES; l++) {
        const int64_t i = block * PRUN_LANES + l;
        int64_t label, best = 0;
        if (i >= source->n) {
            for (j = 0; dlogits && j < classes; j++) dlogits[j * PRUN_LANES + l] = 0.0f;
            continue;
        }
        label = source->images->labels[prun__source_image(source, i)];
        for (j = 0; j < classes; j++) {
            row[j] = logits[j * PRUN_LANES + l];
            if (row[j] > row[best]) best = j;
        }
        losses[i] = prun_cross_entropy(row, classes, label, dlogits ? scratch : NULL);
        wrong[i] = best != label || !(losses[i] <= DBL_MAX); /* NaN predicts nothing */
        for (j = 0; dlogits && j < classes; j++)
            dlogits[j * PRUN_LANES + l] = (float)(scratch[j] - (j == label ? 1.0 : 0.0));
    }
}

/* Doubles of scratch that prun__loss_run needs. */
static int64_t prun__loss_scratch(int64_t classes) { return classes + (classes + 1) / 2; }

/* Sums in sample order; sum and errors may be NULL. */
static void prun__losses_add(const double *losses, const int32_t *wrong, int64_t n, double *sum,
                             int64_t *errors) {
    int64_t i;
    if (sum)
        for (*sum = 0.0, i = 0; i < n; i++) *sum += losses[i];
    if (errors)
        for (*errors = 0, i = 0; i < n; i++) *errors += wrong[i];
}

/* Logits as rows per sample from the lane layout. */
static void prun__logits_unpack(const float *lanes, int64_t n, int64_t classes, float *logits) {
    prun_lanes_unpack(lanes, n, classes, 1, 1, logits);
}

/* The images must have the net's shape and no more classes. */
static prun_status prun__net_check(const prun_net *net, const prun__source *source) {
    const prun_images *m = source->images;
    if (net->status != PRUN_OK || !net->parameters)
        return prun__fail(net->context, PRUN_ERR_ARGUMENT, "the net is not finished");
    PRUN__TRY(prun__source_check(net->context, source));
    if (m->channels != net->channels || m->height != net->height || m->width != net->width)
        return prun__fail(net->context, PRUN_ERR_SHAPE,
                          "images of %lldx%lldx%lld for a net of %lldx%lldx%lld",
                          (long long)m->channels, (long long)m->height, (long long)m->width,
                          (long long)net->channels, (long long)net->height, (long long)net->width);
    if (m->classes > net->classes)
        return prun__fail(net->context, PRUN_ERR_SHAPE, "images of %lld classes for a net of %lld",
                          (long long)m->classes, (long long)net->classes);
    return PRUN_OK;
}

/* ---- a pass over a batch, forward and backward ---- */

/* One pass over a batch: what the tasks below share. */
typedef struct prun__run {
    const prun_net *net; /* layers and tensors; the running statistics are written through them */
    const prun__plan *plan;
    prun__batch *batch;
    const prun__source *source;
    const prun__op *op;    /* backward: the operation at work */
    int32_t first, last;   /* forward: the operations of the phase at work */
    int packs_images;      /* forward: the phase begins by packing the images */
    int64_t blocks, group; /* group: blocks that a task takes at a time */
    int training;          /* batch statistics and dropout */
    int freeze;            /* running statistics stay */
    uint64_t seed, stream;
} prun__run;

/* A pass in eval mode over the net's batch. */
static void prun__run_init(prun_net *net, const prun__source *source, prun__run *run) {
    memset(run, 0, sizeof *run);
    run->net = net;
    run->plan = &net->plan;
    run->batch = &net->batch;
    run->source = source;
}

/* Images in a block: the lanes in use. */
static int64_t prun__run_images(const prun__run *run, int64_t block) {
    return PRUN__MIN(PRUN_LANES, run->source->n - block * PRUN_LANES);
}

/* A value of one block. */
static float *prun__run_value(const prun__run *run, int32_t value, int64_t block) {
    return run->batch->value[value] + block * run->plan->value[value].size;
}

/* The gradient of a value of one block. */
static float *prun__run_grad(const prun__run *run, int32_t value, int64_t block) {
    const prun__value *v = &run->plan->value[value];
    return run->batch->grad[v->grad] + block * v->size;
}

/* Mean and sum of squared deviations of each channel of a value's block; in double, because float
   sums would move the running statistics by more than their own rounding. */
static void prun__norm_fill_moments(const prun__run *run, int32_t value, int64_t block) {
    const prun__value *in = &run->plan->value[value];
    const float *x = prun__run_value(run, value, block);
    double *sums = run->batch->sums + block * 2 * run->plan->max_channels;
    const int64_t live = prun__run_images(run, block);
    const double n = (double)(in->h * in->w * live);
    int64_t c;
    prun__kernels_get()->sums(x, x, in->h * in->w, in->c, live, sums);
    for (c = 0; c < in->c; c++) {
        sums[2 * c] /= n;
        sums[2 * c + 1] -= sums[2 * c] * sums[2 * c] * n;
    }
}

/* Joins the blocks' moments of a channel in order (Chan et al. 1979). */
static void prun__norm_add_moments(const prun__run *run, const prun__op *op, int64_t c,
                                   double *mean, double *squares) {
    const prun__value *in = &run->plan->value[op->in];
    double n = 0.0;
    int64_t b;
    *mean = *squares = 0.0;
    for (b = 0; b < run->blocks; b++) {
        const double *s = run->batch->sums + (b * run->plan->max_channels + c) * 2;
        const double m = (double)(in->h * in->w * prun__run_images(run, b)), d = s[0] - *mean;
        n += m;
        *mean += d * m / n;
        *squares += s[1] + d * d * m * (n - m) / n;
    }
    if (*squares < 0.0) *squares = 0.0; /* rounding of a constant channel; NaN stays */
}

/* Gradient of ReLU and pooling only: g at the input's resolution from dy; what no window covers
   gets nothing. */
static void prun__norm_run_mask(const prun__run *run, const float *x, const float *dy, float *g) {
    const prun__op *op = run->op;
    const prun__value *in = &run->plan->value[op->in];
    const prun__norm_job job = prun__norm_job_make(run->plan, op, run->batch->coefficients);
    if (job.out_height * op->window != in->h || job.out_width * op->window != in->w)
        memset(g, 0, (size_t)in->size * sizeof(float));
    prun__kernels_get()->norm_mask(&job, x, dy, g);
}

/* Gradient of the norm itself, from g. */
static void prun__norm_run_apply(const prun__run *run, const float *x, const float *g, float *dx) {
    const prun__value *in = &run->plan->value[run->op->in];
    prun__norm_job job = prun__norm_job_make(run->plan, run->op, run->batch->coefficients);
    job.out_height = in->h;
    job.out_width = in->w;
    prun__kernels_get()->norm_apply(&job, x, g, dx);
}

/* Batch statistics, and the running ones moved towards them (with Bessel's correction). */
static void prun__norm_set_batch(const prun__run *run, const prun__op *op) {
    const prun_net *net = run->net;
    const prun__value *in = &run->plan->value[op->in];
    const prun__norm_rows rows = prun__norm_rows_get(run->plan, op, run->batch->coefficients);
    const prun__layer *layer = &net->layer[op->norm];
    prun_tensor *t = net->tensor + layer->tensor;
    const double n = (double)(in->h * in->w * run->source->n);
    int64_t c;
    for (c = 0; c < in->c; c++) {
        double mean, squares;
        prun__norm_add_moments(run, op, c, &mean, &squares);
        prun__norm_set(net, op, &rows, c, mean, squares / n);
        if (run->freeze) continue;
        t[2].data[c] =
            (float)((1.0 - layer->momentum) * (double)t[2].data[c] + layer->momentum * mean);
        t[3].data[c] = (float)((1.0 - layer->momentum) * (double)t[3].data[c] +
                               layer->momentum * squares / (n - 1.0));
    }
}

/* The random stream of a dropout in this pass. */
static uint64_t prun__dropout_stream(const prun__run *run, const prun__op *op) {
    return PRUN__STREAM_DROPOUT + run->stream * 1024 + (uint64_t)op->layer;
}

/* Forward of an operation that is no convolution on one block; coefficients are ready. */
static void prun__op_run_simple(const prun__run *run, const prun__op *op, int64_t block) {
    const prun_net *net = run->net;
    const prun__plan *plan = run->plan;
    const prun__batch *batch = run->batch;
    const prun__layer *layer = &net->layer[op->layer];
    const float *x = prun__run_value(run, op->in, block);
    float *y = prun__run_value(run, op->out, block);
    const int64_t vectors = plan->value[op->out].size / PRUN_LANES;
    if (op->kind == PRUN__NORM) {
        const prun__norm_job job = prun__norm_job_make(plan, op, batch->coefficients);
        prun__kernels_get()->norm(&job, x, y);
    } else if (op->kind == PRUN__ADD) {
        prun__lanes_add(x, prun__run_value(run, op->in2, block), plan->value[op->out].size, y);
    } else if (op->kind == PRUN__DROPOUT) {
        const uint32_t threshold = prun__dropout_threshold(layer->probability);
        uint16_t *mask = batch->mask[op - plan->op] + block * vectors;
        if (!run->training) {
            if (y != x) memcpy(y, x, (size_t)plan->value[op->out].size * sizeof(float));
            return;
        }
        prun__dropout_fill_masks(run->seed, prun__dropout_stream(run, op),
                                 (uint64_t)(block * vectors), vectors, threshold, mask);
        prun__dropout_apply(mask, vectors, 65536.0f / (float)(65536u - threshold), x, 0, y);
    } else {
        prun__pool_run(net, op, x, y);
    }
}

/* Batch statistics need two values per channel; asked before anything is changed. */
static prun_status prun__batch_check(const prun_net *net, int64_t n) {
    const prun__plan *plan = &net->plan;
    int32_t i;
    for (i = 0; i < plan->ops; i++) {
        const prun__op *op = &plan->op[i];
        const prun__value *in = &plan->value[op->in];
        if (prun__op_uses_batch(op) && in->h * in->w * n < 2)
            return prun__fail(net->context, PRUN_ERR_ARGUMENT,
                              "%s: one value per channel has no variance; use batches of more "
                              "images",
                              net->tensor[net->layer[op->norm].tensor].name);
    }
    return PRUN_OK;
}

/* True if a norm's gradient g has memory of its own, because that of its input has another reader
   or does not exist. */
static int prun__norm_uses_spare(const prun__op *op) { return op->add || op->in == 0; }

/* True if g is not yet the gradient of the norm's input: a bare ReLU or pool whose gradient went
   straight to its place is done. */
static int prun__norm_has_input_gradient(const prun__op *op) {
    return op->in > 0 && (op->norm >= 0 || op->add);
}

/* Tasks that take the blocks of a pass group by group. */
static int64_t prun__run_groups(const prun__run *run) {
    return (run->blocks + run->group - 1) / run->group;
}

/* Forward of a convolution on a group of blocks; its weights are packed. */
static void prun__op_run_conv(const prun__run *run, const prun__op *op, int64_t block,
                              int64_t blocks, float *scratch) {
    const prun_net *net = run->net;
    const prun__batch *batch = run->batch;
    const prun__layer *layer = &net->layer[op->layer];
    prun__finish finish = {NULL, 0, 0};
    if (layer->bias) finish.bias = net->tensor[layer->tensor + 1].data;
    prun__conv_run(&op->conv, 1, blocks, prun__run_value(run, op->in, block),
                   batch->packed + op->phase_packed, finish, scratch,
                   prun__run_value(run, op->out, block));
}

/* A group of blocks through a phase, while it is in cache: images or norm, convolutions and what
   follows them, and the moments that the next phase begins with. */
static void prun__phase_task(void *pointer, int64_t group, int64_t worker) {
    const prun__run *run = (const prun__run *)pointer;
    const prun__plan *plan = run->plan;
    const prun__batch *batch = run->batch;
    float *scratch = batch->scratch + worker * prun__batch_scratch(plan);
    const int64_t from = group * run->group, to = PRUN__MIN(from + run->group, run->blocks);
    int64_t b;
    int32_t i;
    for (b = from; run->packs_images && b < to; b++)
        prun__source_pack_block(run->source, b, scratch, prun__run_value(run, 0, b));
    for (i = run->first; i < run->last; i++) {
        const prun__op *op = &plan->op[i];
        if (op->kind == PRUN__CONV) prun__op_run_conv(run, op, from, to - from, scratch);
        else
            for (b = from; b < to; b++) prun__op_run_simple(run, op, b);
    }
    if (!run->training || run->last == plan->ops) return;
    for (b = from; b < to; b++) prun__norm_fill_moments(run, plan->op[run->last].in, b);
}

/* The first operation from `i` on that begins another phase. */
static int32_t prun__phase_find_end(const prun__plan *plan, int32_t i) {
    while (i < plan->ops && !prun__op_uses_batch(&plan->op[i])) i++;
    return i;
}

/* Forward, phase by phase: a batch norm's statistics need all blocks of its input. */
static void prun__run_forward(prun__run *run) {
    const prun_net *net = run->net;
    const prun__plan *plan = run->plan;
    const prun__batch *batch = run->batch;
    run->packs_images = 1;
    run->first = 0;
    run->last = prun__phase_find_end(plan, 0);
    for (;;) {
        int32_t i;
        for (i = run->first; i < run->last; i++) {
            const prun__op *op = &plan->op[i];
            if (op->kind == PRUN__CONV)
                prun__op_pack(net, op, 1, NULL, batch->packed + op->phase_packed);
            if (op->kind != PRUN__NORM) continue;
            if (op->norm >= 0 && run->training) prun__norm_set_batch(run, op);
            else prun__norm_set_fixed(net, op, 0, batch->coefficients);
        }
        prun__for(net->context, prun__phase_task, run, prun__run_groups(run));
        if (run->last == plan->ops) return;
        run->packs_images = 0;
        run->first = run->last;
        run->last = prun__phase_find_end(plan, run->first + 1);
    }
}

/* Losses of a block and the gradient of its logits. */
static void prun__loss_task(void *pointer, int64_t block, int64_t worker) {
    const prun__run *run = (const prun__run *)pointer;
    const prun_net *net = run->net;
    const prun__plan *plan = run->plan;
    const prun__batch *batch = run->batch;
    double *scratch = batch->head + worker * prun__loss_scratch(net->classes);
    prun__loss_run(run->source, block, net->classes, prun__run_value(run, plan->output, block),
                   scratch, batch->losses, batch->wrong, prun__run_grad(run, plan->output, block));
}

/* Gradient through ReLU and pool into the norm's input resolution, and its sums. */
static void prun__norm_mask_task(void *pointer, int64_t block, int64_t worker) {
    const prun__run *run = (const prun__run *)pointer;
    const prun__plan *plan = run->plan;
    const prun__batch *batch = run->batch;
    const prun__op *op = run->op;
    const prun__value *in = &plan->value[op->in];
    const float *x = prun__run_value(run, op->in, block);
    double *sums = batch->sums + block * 2 * plan->max_channels;
    float *g = prun__norm_uses_spare(op) ? batch->spare + block * in->size
                                         : prun__run_grad(run, op->in, block);
    (void)worker;
    prun__norm_run_mask(run, x, prun__run_grad(run, op->out, block), g);
    if (op->norm < 0) return;
    prun__kernels_get()->sums(g, x, in->h * in->w, in->c, prun__run_images(run, block), sums);
}

/* Gradient through the norm itself into its place. */
static void prun__norm_apply_task(void *pointer, int64_t block, int64_t worker) {
    const prun__run *run = (const prun__run *)pointer;
    const prun__op *op = run->op;
    const float *x = prun__run_value(run, op->in, block);
    float *dx = prun__run_grad(run, op->in, block);
    const float *g = op->add ? run->batch->spare + block * run->plan->value[op->in].size : dx;
    (void)worker;
    prun__norm_run_apply(run, x, g, dx);
    prun__lanes_clear(dx, run->plan->value[op->in].size, prun__run_images(run, block));
}

/* Where a tensor's gradient begins in the flat gradient. */
static float *prun__tensor_gradient(const prun_net *net, int32_t tensor, float *gradient) {
    return gradient + (net->tensor[tensor].data - net->parameters);
}

/* Gradients of the norm's scale and shift, and of its input. */
static void prun__norm_run_backward(prun__run *run, float *gradient) {
    const prun_net *net = run->net;
    const prun__plan *plan = run->plan;
    const prun__op *op = run->op;
    const prun__value *in = &plan->value[op->in];
    const prun__norm_rows rows = prun__norm_rows_get(plan, op, run->batch->coefficients);
    const double n = (double)(in->h * in->w * run->source->n);
    int64_t c, b;
    prun__for(net->context, prun__norm_mask_task, run, run->blocks);
    for (c = 0; op->norm >= 0 && c < in->c; c++) {
        const int32_t tensor = net->layer[op->norm].tensor;
        const double inverse = (double)rows.inverse[c];
        double s1 = 0.0, s2 = 0.0; /* sums of g and of g (x - mean) */
        for (b = 0; b < run->blocks; b++) {
            s1 += run->batch->sums[(b * plan->max_channels + c) * 2];
            s2 += run->batch->sums[(b * plan->max_channels + c) * 2 + 1];
        }
        s2 -= s1 * (double)rows.mean[c];
        prun__tensor_gradient(net, tensor, gradient)[c] = (float)(s2 * inverse);
        prun__tensor_gradient(net, tensor + 1, gradient)[c] = (float)s1;
        rows.m1[c] = run->training ? (float)(s1 / n) : 0.0f;
        rows.m2[c] = run->training ? (float)(s2 * inverse / n) * (float)inverse : 0.0f;
    }
    if (prun__norm_has_input_gradient(op))
        prun__for(net->context, prun__norm_apply_task, run, run->blocks);
}

/* Gradient of a convolution's input on a group of blocks. */
static void prun__conv_backward_task(void *pointer, int64_t group, int64_t worker) {
    const prun__run *run = (const prun__run *)pointer;
    const int64_t from = group * run->group, to = PRUN__MIN(from + run->group, run->blocks);
    prun__finish finish = {NULL, 0, 0};
    finish.accumulate = run->op->add;
    prun__conv_run(&run->op->conv, 0, to - from, prun__run_grad(run, run->op->out, from),
                   run->batch->packed, finish,
                   run->batch->scratch + worker * prun__batch_scratch(run->plan),
                   prun__run_grad(run, run->op->in, from));
}

/* Gradient of the input of the convolution at work. */
static void prun__input_gradient_run(prun__run *run) {
    prun__op_pack(run->net, run->op, 0, NULL, run->batch->packed);
    prun__for(run->net->context, prun__conv_backward_task, run, prun__run_groups(run));
}

/* Sums of a block's output gradient per channel. */
static void prun__bias_task(void *pointer, int64_t block, int64_t worker) {
    const prun__run *run = (const prun__run *)pointer;
    const prun__value *out = &run->plan->value[run->op->out];
    const float *dy = prun__run_grad(run, run->op->out, block);
    (void)worker;
    prun__kernels_get()->sums(dy, dy, out->h * out->w, out->c, prun__run_images(run, block),
                              run->batch->sums + block * 2 * run->plan->max_channels);
}

/* Gradient of a convolution's bias. */
static void prun__bias_run_backward(prun__run *run, float *dbias) {
    const prun_net *net = run->net;
    const prun__plan *plan = run->plan;
    const prun__batch *batch = run->batch;
    int64_t c, b;
    prun__for(net->context, prun__bias_task, run, run->blocks);
    for (c = 0; c < plan->value[run->op->out].c; c++) {
        double sum = 0.0;
        for (b = 0; b < run->blocks; b++) sum += batch->sums[(b * plan->max_channels + c) * 2];
        dbias[c] = (float)sum;
    }
}

/* Gradients of a convolution's weights, bias and input. */
static void prun__op_run_conv_backward(prun__run *run, float *gradient) {
    const prun_net *net = run->net;
    const prun__plan *plan = run->plan;
    const prun__batch *batch = run->batch;
    const prun__op *op = run->op;
    const prun__layer *layer = &net->layer[op->layer];
    /* Batch statistics take the mean away again: the bias has no gradient at all. */
    const int cancelled = run->training && op->fold >= 0 && plan->op[op->fold].norm >= 0;
    prun__weight_gradient(net->context, &op->conv, run->blocks, prun__run_value(run, op->in, 0),
                          prun__run_grad(run, op->out, 0), batch->partial, batch->strips,
                          prun__tensor_gradient(net, layer->tensor, gradient));
    if (layer->bias && !cancelled)
        prun__bias_run_backward(run, prun__tensor_gradient(net, layer->tensor + 1, gradient));
    if (op->in > 0) prun__input_gradient_run(run);
}

/* ADD, DROPOUT and general pools on one block. */
static void prun__simple_backward_task(void *pointer, int64_t block, int64_t worker) {
    const prun__run *run = (const prun__run *)pointer;
    const prun_net *net = run->net;
    const prun__plan *plan = run->plan;
    const prun__batch *batch = run->batch;
    const prun__op *op = run->op;
    const float *dy = prun__run_grad(run, op->out, block);
    const int64_t size = plan->value[op->out].size;
    float *dx = op->in > 0 ? prun__run_grad(run, op->in, block) : NULL;
    (void)worker;
    if (op->kind == PRUN__ADD) {
        if (dx && dx != dy) prun__lanes_put(dy, size, op->add, dx);
        if (op->in2 > 0) prun__lanes_put(dy, size, op->add2, prun__run_grad(run, op->in2, block));
    } else if (op->kind == PRUN__DROPOUT && dx) {
        const uint32_t threshold = prun__dropout_threshold(net->layer[op->layer].probability);
        const uint16_t *mask = batch->mask[op - plan->op] + block * (size / PRUN_LANES);
        const int add = op->out != op->in && op->add;
        if (run->training)
            prun__dropout_apply(mask, size / PRUN_LANES, 65536.0f / (float)(65536u - threshold), dy,
                                add, dx);
        else if (dx != dy) prun__lanes_put(dy, size, add, dx);
    } else if (dx) {
        prun__pool_run_backward(net, op, prun__run_value(run, op->in, block), dy, dx);
    }
}

/* gradient: of the summed loss, flat; overwritten. */
static void prun__run_backward(prun__run *run, float *gradient) {
    const prun_net *net = run->net;
    const prun__plan *plan = run->plan;
    int32_t i;
    memset(gradient, 0, (size_t)net->parameter_count * sizeof(float));
    for (i = plan->ops - 1; i >= 0; i--) {
        run->op = &plan->op[i];
        if (plan->value[run->op->out].grad < 0) continue; /* nothing depends on it */
        if (run->op->kind == PRUN__CONV) prun__op_run_conv_backward(run, gradient);
        else if (run->op->kind == PRUN__NORM) prun__norm_run_backward(run, gradient);
        else prun__for(net->context, prun__simple_backward_task, run, run->blocks);
    }
}

/* Values (each storage once), gradients and dropout masks. */
static prun_status prun__batch_make_values(prun_context *context, const prun__plan *plan,
                                           int64_t blocks, prun__batch *b) {
    int32_t i;
    b->value = (float **)prun__alloc_zero(context, plan->values, sizeof(float *), "batch");
    b->grad = (float **)prun__alloc_zero(context, plan->grads, sizeof(float *), "batch");
    b->mask = (uint16_t **)prun__alloc_zero(context, plan->ops, sizeof(uint16_t *), "batch");
    if (!b->value || !b->grad || !b->mask) return PRUN_ERR_MEMORY;
    for (i = 0; i < plan->values; i++) {
        b->value[i] = (float *)prun__alloc(context, prun__size_product(blocks, plan->value[i].size),
                                           sizeof(float), "batch");
        if (!b->value[i]) return PRUN_ERR_MEMORY;
    }
    for (i = 0; i < plan->grads; i++) {
        b->grad[i] = (float *)prun__alloc(context, prun__size_product(blocks, plan->grad_size[i]),
                                          sizeof(float), "batch");
        if (!b->grad[i]) return PRUN_ERR_MEMORY;
    }
    for (i = 0; i < plan->ops; i++) {
        if (plan->op[i].kind != PRUN__DROPOUT) continue;
        b->mask[i] = (uint16_t *)prun__alloc(
            context, prun__size_product(blocks, plan->value[plan->op[i].out].size / PRUN_LANES),
            sizeof(uint16_t), "dropout");
        if (!b->mask[i]) return PRUN_ERR_MEMORY;
    }
    return PRUN_OK;
}

/* Buffers of weight gradients, and the spare gradient: each as large as any operation needs. */
static prun_status prun__batch_make_gradients(prun_context *context, const prun__plan *plan,
                                              int64_t blocks, int64_t workers, prun__batch *b) {
    int64_t partial = 1, strip = 1, spare = 1;
    int32_t i;
    for (i = 0; i < plan->ops; i++) {
        const prun__op *op = &plan->op[i];
        if (op->kind == PRUN__NORM && prun__norm_uses_spare(op))
            spare = PRUN__MAX(spare, blocks * plan->value[op->in].size);
        if (op->kind != PRUN__CONV) continue;
        /* Tangents add up twice as many blocks. */
        partial = PRUN__MAX(partial, prun__weight_partial_size(&op->conv, 2 * blocks));
        strip = PRUN__MAX(strip, prun__weight_scratch(&op->conv));
    }
    b->partial = (float *)prun__alloc(context, partial, sizeof(float), "batch");
    b->strips =
        (float *)prun__alloc(context, prun__size_product(workers, strip), sizeof(float), "batch");
    b->spare = (float *)prun__alloc(context, spare, sizeof(float), "batch");
    return b->partial && b->strips && b->spare ? PRUN_OK : PRUN_ERR_MEMORY;
}

/* Packed weights, coefficients, losses, and scratch of workers. */
static prun_status prun__batch_make_scratch(prun_context *context, const prun__plan *plan,
                                            int64_t blocks, int64_t workers, prun__batch *b) {
    const int64_t classes = plan->value[plan->output].c;
    b->coefficients = prun__norm_rows_make(context, plan);
    b->packed = (float *)prun__alloc(context, plan->packed_size, sizeof(float), "batch");
    b->scratch = (float *)prun__alloc(
        context, prun__size_product(workers, prun__batch_scratch(plan)), sizeof(float), "batch");
    b->sums = (double *)prun__alloc(context, prun__size_product(blocks, 4 * plan->max_channels),
                                    sizeof(double), "batch");
    b->head = (double *)prun__alloc(context, workers * prun__loss_scratch(classes), sizeof(double),
                                    "batch");
    b->losses = (double *)prun__alloc(context, blocks * PRUN_LANES, sizeof(double), "batch");
    b->wrong = (int32_t *)prun__alloc(context, blocks * PRUN_LANES, sizeof(int32_t), "batch");
    return b->coefficients && b->packed && b->scratch && b->sums && b->head && b->losses && b->wrong
               ? PRUN_OK
               : PRUN_ERR_MEMORY;
}

/* Buffers for this many images and all workers; what was made for at least as many is kept. */
static prun_status prun__batch_make(prun_context *context, const prun__plan *plan, int64_t n,
                                    prun__batch *b) {
    const int64_t blocks = prun__block_count(n), workers = prun__threads(context);
    prun_status status;
    if (b->value && b->blocks >= blocks && b->workers >= workers) return PRUN_OK;
    prun__batch_free(context, plan, b);
    status = prun__batch_make_values(context, plan, blocks, b);
    if (status == PRUN_OK) status = prun__batch_make_gradients(context, plan, blocks, workers, b);
    if (status == PRUN_OK) status = prun__batch_make_scratch(context, plan, blocks, workers, b);
    if (status != PRUN_OK) prun__batch_free(context, plan, b);
    b->blocks = status == PRUN_OK ? blocks : 0;
    b->workers = status == PRUN_OK ? workers : 0;
    return status;
}

/* Blocks of the source's images and tasks of the pass, and buffers for them. */
static prun_status prun__run_begin(prun__run *run) {
    prun_context *context = run->net->context;
    run->blocks = prun__block_count(run->source->n);
    run->group = prun__plan_group(run->plan, prun__threads(context), run->blocks);
    return prun__batch_make(context, run->plan, run->source->n, run->batch);
}

/* Forward, loss and, with gradient, backward over one batch that fits the buffers. */
static prun_status prun__batch_run(prun__run *run, float *gradient, double *sum, int64_t *errors) {
    const prun_net *net = run->net;
    PRUN__TRY(prun__run_begin(run));
    if (run->training) PRUN__TRY(prun__batch_check(net, run->source->n));
    prun__run_forward(run);
    prun__for(net->context, prun__loss_task, run, run->blocks);
    if (gradient) prun__run_backward(run, gradient);
    prun__losses_add(run->batch->losses, run->batch->wrong, run->source->n, sum, errors);
    return PRUN_OK;
}

PRUNDEF prun_status prun_net_train_pass(prun_net *net, const prun_images *images,
                                        const int64_t *index, int64_t n, const prun_pass *pass,
                                        const prun_pass_outputs *outputs) {
    const prun__source source = prun__source_make_pass(images, index, n, pass);
    prun__run run;
    prun__run_init(net, &source, &run);
    run.training = 1;
    if (pass) {
        run.seed = pass->seed;
        run.stream = pass->stream;
        run.freeze = pass->freeze_statistics;
    }
    PRUN__TRY(prun__net_check(net, &source));
    PRUN__TRY(prun__batch_run(&run, outputs->gradient, outputs->sum, outputs->wrong));
    if (outputs->logits)
        prun__logits_unpack(prun__run_value(&run, run.plan->output, 0), n, net->classes,
                            outputs->logits);
    return PRUN_OK;
}

/* Images per batch where the caller does not choose; a constant, so results never depend on it. */
#define PRUN__GRADIENT_BATCH 128

PRUNDEF prun_status prun_net_gradient(prun_net *net, const prun_images *images,
                                      const int64_t *index, int64_t n, float *gradient, double *sum,
                                      int64_t *wrong) {
    prun__source source = prun__source_make(images, index, n);
    prun__run run;
    double total = 0.0;
    int64_t errors = 0, done, i;
    float *part = NULL;
    prun__run_init(net, &source, &run);
    PRUN__TRY(prun__net_check(net, &source));
    part = (float *)prun__alloc(net->context, net->parameter_count, sizeof(float), "gradient");
    if (!part) return PRUN_ERR_MEMORY;
    for (done = 0; done < n; done += source.n) {
        double batch_sum;
        int64_t batch_wrong;
        prun_status status;
        prun__source_set_part(&source, index, done, PRUN__MIN(PRUN__GRADIENT_BATCH, n - done));
        status = prun__batch_run(&run, done ? part : gradient, &batch_sum, &batch_wrong);
        if (status != PRUN_OK) {
            prun__free(net->context, part);
            return status;
        }
        for (i = 0; done && i < net->parameter_count; i++) gradient[i] += part[i];
        total += batch_sum;
        errors += batch_wrong;
    }
    prun__free(net->context, part);
    if (sum) *sum = total;
    if (wrong) *wrong = errors;
    return PRUN_OK;
}
#endif

/* [EVAL.I] logits and losses */
/*
   Logits and losses: weights packed with norms folded in, then groups of blocks through the whole
   net in a worker's arena. They read layers and plan, and write only prun__eval.
*/
#ifndef PRUNABILITY_NO_NET

/* Floats of scratch of a worker in evaluation: also the padded input of a sparse layer. */
static int64_t prun__eval_scratch(const prun__plan *plan) {
    return PRUN__MAX(prun__batch_scratch(plan), plan->padded_size);
}

/* Floats of a worker's scratch for losses, in whole lines of memory. */
static int64_t prun__eval_head(const prun__plan *plan) {
    return (2 * prun__loss_scratch(plan->value[plan->output].c) + 15) / 16 * 16;
}

/* Floats of a worker's evaluation memory: slots, scratch, loss scratch. */
static int64_t prun__eval_arena_size(const prun__plan *plan) {
    int64_t size = prun__eval_scratch(plan) + prun__eval_head(plan);
    int32_t i;
    for (i = 0; i < plan->slots; i++) size += plan->group * plan->slot_size[i];
    return size;
}

/* Where a value's blocks lie in a worker's memory. */
static float *prun__eval_slot(const prun__plan *plan, float *arena, int32_t value) {
    int32_t i;
    for (i = 0; i < plan->value[value].slot; i++) arena += plan->group * plan->slot_size[i];
    return arena;
}

/* Buffers that depend only on the plan, made by the first evaluation: a net that is only trained
   does without. */
static prun_status prun__eval_make_weights(prun_context *context, const prun__plan *plan,
                                           prun__eval *eval) {
    if (!eval->coefficients) eval->coefficients = prun__norm_rows_make(context, plan);
    if (!eval->scale)
        eval->scale = (double *)prun__alloc(context, plan->max_channels, sizeof(double), "scale");
    if (!eval->prepared)
        eval->prepared =
            (float *)prun__alloc(context, plan->prepared_size, sizeof(float), "packed weights");
    if (!eval->sparse)
        eval->sparse =
            (int32_t *)prun__alloc_zero(context, plan->ops, sizeof(int32_t), "sparse weights");
    return eval->coefficients && eval->scale && eval->prepared && eval->sparse ? PRUN_OK
                                                                               : PRUN_ERR_MEMORY;
}

/* Buffers for n samples and all workers. */
static prun_status prun__eval_make(prun_context *context, const prun__plan *plan, int64_t n,
                                   prun__eval *eval) {
    PRUN__TRY(
        prun__buffer_make(context, (void **)&eval->arena, &eval->arena_capacity,
                          prun__size_product(prun__eval_arena_size(plan), prun__threads(context)),
                          sizeof(float), "evaluation"));
    PRUN__TRY(prun__buffer_make(context, (void **)&eval->losses, &eval->loss_capacity, n,
                                sizeof(double), "losses"));
    PRUN__TRY(prun__buffer_make(context, (void **)&eval->wrong, &eval->wrong_capacity, n,
                                sizeof(int32_t), "errors"));
    return prun__eval_make_weights(context, plan, eval);
}

/* Decides which layers run sparse; memory for them is taken when the first one does. */
static prun_status prun__eval_select_sparse(const prun_net *net, prun__eval *eval) {
    const prun__plan *plan = &net->plan;
    int32_t i, any = 0;
    for (i = 0; i < plan->ops; i++) {
        const prun__op *op = &plan->op[i];
        if (op->kind != PRUN__CONV) continue;
        eval->sparse[i] =
            prun__conv_is_sparse(&op->conv, net->tensor[net->layer[op->layer].tensor].data);
        any |= eval->sparse[i];
    }
    if (!any || eval->nonzero) return PRUN_OK;
    if (!eval->nonzero_row)
        eval->nonzero_row = (int32_t *)prun__alloc(net->context, plan->row_count, sizeof(int32_t),
                                                   "sparse weights");
    if (!eval->nonzero_row) return PRUN_ERR_MEMORY;
    eval->nonzero = (prun__nonzero *)prun__alloc(net->context, plan->nonzero_count,
                                                 sizeof *eval->nonzero, "sparse weights");
    return eval->nonzero ? PRUN_OK : PRUN_ERR_MEMORY;
}

/* Packs a convolution with the batch norm after it folded in: weight gamma/sigma, bias
   beta + (b - mean) gamma/sigma, in double. */
static void prun__eval_pack_conv(const prun_net *net, int32_t i, const prun__eval *eval) {
    const prun__op *op = &net->plan.op[i];
    const prun__op *fold = op->fold >= 0 ? &net->plan.op[op->fold] : NULL;
    const prun__layer *layer = &net->layer[op->layer];
    const prun_tensor *norm =
        fold && fold->norm >= 0 ? net->tensor + net->layer[fold->norm].tensor : NULL;
    const float *bias = layer->bias ? net->tensor[layer->tensor + 1].data : NULL;
    float *out = eval->prepared + op->eval_bias;
    double *scale = norm ? eval->scale : NULL;
    int64_t c;
    for (c = 0; c < op->conv.shape.out_channels; c++) {
        const double b = bias ? (double)bias[c] : 0.0;
        out[c] = (float)b;
        if (!norm) continue;
        scale[c] = (double)norm[0].data[c] /
                   sqrt((double)norm[3].data[c] + net->layer[fold->norm].epsilon);
        out[c] = (float)((double)norm[1].data[c] + (b - (double)norm[2].data[c]) * scale[c]);
    }
    if (eval->sparse[i])
        prun__sparse_pack(&op->conv, net->tensor[layer->tensor].data, scale,
                          eval->nonzero + op->eval_nonzero, eval->nonzero_row + op->eval_row);
    else prun__op_pack(net, op, 1, scale, eval->prepared + op->eval_packed);
}

/* Packs all convolutions; norms that are not folded get their running statistics. */
static prun_status prun__eval_pack(const prun_net *net, prun__eval *eval) {
    const prun__op *op = net->plan.op;
    int32_t i;
    PRUN__TRY(prun__eval_select_sparse(net, eval));
    for (i = 0; i < net->plan.ops; i++) {
        if (op[i].kind == PRUN__CONV) prun__eval_pack_conv(net, i, eval);
        else if (op[i].kind == PRUN__NORM)
            prun__norm_set_fixed(net, &op[i], op[i].folded, eval->coefficients);
    }
    return PRUN_OK;
}

/* One evaluation: what its tasks share. */
typedef struct prun__eval_job {
    const prun_net *net;
    const prun__plan *plan;
    const prun__eval *eval;
    const prun__source *source;
    double *losses;
    int32_t *wrong;
    float *logits; /* instead of losses */
    int64_t group; /* blocks of a task */
} prun__eval_job;

/* A convolution on a group of blocks, with its bias and the ReLU after it. */
static void prun__eval_run_conv(const prun__plan *plan, const prun__eval *eval, int32_t i,
                                int64_t blocks, const float *x, float *scratch, float *y) {
    const prun__op *op = &plan->op[i];
    prun__finish finish = {NULL, 0, 0};
    int64_t b;
    finish.bias = eval->prepared + op->eval_bias;
    finish.relu = op->fold >= 0 && plan->op[op->fold].relu;
    if (!eval->sparse[i]) {
        prun__conv_run(&op->conv, 1, blocks, x, eval->prepared + op->eval_packed, finish, scratch,
                       y);
        return;
    }
    for (b = 0; b < blocks; b++)
        prun__sparse_run(&op->conv, x + b * prun__conv_in_size(&op->conv),
                         eval->nonzero + op->eval_nonzero, eval->nonzero_row + op->eval_row, finish,
                         scratch, y + b * prun__conv_out_size(&op->conv));
}

/* A group of blocks through the whole net, in buffers small enough to stay in cache. */
static void prun__eval_run_blocks(const prun__eval_job *e, int64_t blocks, float *arena,
                                  float *scratch) {
    const prun__plan *plan = e->plan;
    int64_t b;
    int32_t i;
    for (i = 0; i < plan->ops; i++) {
        const prun__op *op = &plan->op[i];
        const int64_t in = plan->value[op->in].size, out = plan->value[op->out].size;
        const float *x = prun__eval_slot(plan, arena, op->in);
        float *y = prun__eval_slot(plan, arena, op->out);
        if (prun__op_is_skipped(op)) continue;
        if (op->kind == PRUN__CONV) {
            prun__eval_run_conv(plan, e->eval, i, blocks, x, scratch, y);
        } else if (op->kind == PRUN__NORM) {
            prun__norm_job job = prun__norm_job_make(plan, op, e->eval->coefficients);
            if (op->folded) job.low = -(float)HUGE_VAL;
            for (b = 0; b < blocks; b++) prun__kernels_get()->norm(&job, x + b * in, y + b * out);
        } else if (op->kind == PRUN__ADD) {
            prun__lanes_add(x, prun__eval_slot(plan, arena, op->in2), blocks * out, y);
        } else {
            for (b = 0; b < blocks; b++) prun__pool_run(e->net, op, x + b * in, y + b * out);
        }
    }
}

/* A group of blocks from images to logits or losses. */
static void prun__eval_task(void *pointer, int64_t group, int64_t worker) {
    const prun__eval_job *e = (const prun__eval_job *)pointer;
    const prun__plan *plan = e->plan;
    const int64_t classes = e->net->classes;
    float *arena = e->eval->arena + worker * prun__eval_arena_size(plan);
    float *end = arena + prun__eval_arena_size(plan);
    double *head = (double *)(void *)(end - prun__eval_head(plan));
    float *scratch = (float *)(void *)head - prun__eval_scratch(plan);
    const float *logits = prun__eval_slot(plan, arena, plan->output);
    const int64_t from = group * e->group;
    const int64_t to = PRUN__MIN(from + e->group, prun__block_count(e->source->n));
    int64_t b;
    for (b = from; b < to; b++)
        prun__source_pack_block(e->source, b, scratch,
                                prun__eval_slot(plan, arena, 0) + (b - from) * plan->value[0].size);
    prun__eval_run_blocks(e, to - from, arena, scratch);
    for (b = from; b < to; b++, logits += plan->value[plan->output].size)
        if (e->logits)
            prun__logits_unpack(logits, PRUN__MIN(PRUN_LANES, e->source->n - b * PRUN_LANES),
                                classes, e->logits + b * PRUN_LANES * classes);
        else prun__loss_run(e->source, b, classes, logits, head, e->losses, e->wrong, NULL);
}

/* Evaluates the samples of the job's source into its logits or, where these are NULL, its losses
   (NULL: in the buffers). */
static prun_status prun__eval_run(prun_net *net, prun__eval_job *e) {
    const int64_t blocks = prun__block_count(e->source->n);
    prun__eval *eval = &net->eval;
    PRUN__TRY(prun__net_check(net, e->source));
    PRUN__TRY(prun__eval_make(net->context, &net->plan, e->source->n, eval));
    PRUN__TRY(prun__eval_pack(net, eval));
    e->net = net;
    e->plan = &net->plan;
    e->eval = eval;
    if (!e->losses) e->losses = eval->losses;
    e->wrong = eval->wrong;
    e->group = prun__plan_group(e->plan, prun__threads(net->context), blocks);
    prun__for(net->context, prun__eval_task, e, (blocks + e->group - 1) / e->group);
    return PRUN_OK;
}

PRUNDEF prun_status prun_net_logits(prun_net *net, const prun_images *images, const int64_t *index,
                                    int64_t n, float *logits) {
    prun__source source = prun__source_make(images, index, n);
    prun__eval_job e;
    memset(&e, 0, sizeof e);
    e.source = &source;
    e.logits = logits;
    return prun__eval_run(net, &e);
}

PRUNDEF prun_status prun_net_loss(prun_net *net, const prun_images *images, const int64_t *index,
                                  int64_t n, double *losses, double *sum, int64_t *wrong) {
    prun__source source = prun__source_make(images, index, n);
    prun__eval_job e;
    memset(&e, 0, sizeof e);
    e.source = &source;
    e.losses = losses;
    PRUN__TRY(prun__eval_run(net, &e));
    prun__losses_add(e.losses, e.wrong, n, sum, wrong);
    return PRUN_OK;
}
#endif

/* [TANGENT.I] Hessian times vector */
/*
   Hessian times vector by the R-operator (Pearlmutter 1994): every value x and every gradient g get
   a tangent, x' and g', their derivative as the parameters move along v. x and g depend on the
   weights alone: the base, which products that follow one another share as far as memory allows.
   The product's part for a convolution, x * g' + x' * g, is one weight gradient over twice the
   blocks. Masks of ReLU and pooling are those of x: their second derivative is zero.
*/
#if !defined(PRUNABILITY_NO_NET) && !defined(PRUNABILITY_NO_HESSIAN)

/* ---- the base ---- */

/* Bytes of values and gradients that are kept between products. */
#define PRUN__BASE_MEMORY (sizeof(void *) > 4 ? INT64_C(1) << 31 : INT64_C(1) << 28)

/* One product: the batch has tangents as its values and gradients; `run.source` is a part. */
typedef struct prun__tangent {
    prun__run run;
    float *base;            /* of the part */
    const float *direction; /* v: flat over the trained parameters */
    float *product;
    int backward;
} prun__tangent;

/* A value of the base. */
static float *prun__base_value(const prun__tangent *s, int32_t value, int64_t block) {
    const int64_t *place = s->run.net->base.place;
    return s->base + s->run.blocks * place[value] + block * s->run.plan->value[value].size;
}

/* The value whose gradient an operation keeps: a convolution its output's, a norm that of the
   normalised values, which is as large as its input; -1: none. */
static int32_t prun__op_kept_gradient(const prun__plan *plan, const prun__op *op) {
    if (plan->value[op->out].grad < 0) return -1;
    return op->kind == PRUN__CONV ? op->out : op->kind == PRUN__NORM && op->norm >= 0 ? op->in : -1;
}

/* The gradient that an operation keeps. */
static float *prun__base_gradient(const prun__tangent *s, int64_t block) {
    const prun__plan *plan = s->run.plan;
    const int64_t *place = s->run.net->base.place + plan->values;
    const int32_t value = prun__op_kept_gradient(plan, s->run.op);
    return s->base + s->run.blocks * place[s->run.op - plan->op] + block * plan->value[value].size;
}

/* Room for packed weights, and the places of values and gradients of a block. */
static prun_status prun__base_make_places(prun_net *net) {
    const prun__plan *plan = &net->plan;
    prun__base *base = &net->base;
    int32_t i;
    if (!base->packed)
        base->packed =
            (float *)prun__alloc(net->context, plan->packed_size, sizeof(float), "products");
    if (!base->packed) return PRUN_ERR_MEMORY;
    if (base->place) return PRUN_OK;
    base->place =
        (int64_t *)prun__alloc(net->context, plan->values + plan->ops, sizeof(int64_t), "products");
    if (!base->place) return PRUN_ERR_MEMORY;
    for (base->size = 0, i = 0; i < plan->values; i++) {
        base->place[i] = base->size;
        base->size += plan->value[i].size;
    }
    for (i = 0; i < plan->ops; i++) {
        const int32_t value = prun__op_kept_gradient(plan, &plan->op[i]);
        base->place[plan->values + i] = base->size;
        if (value >= 0) base->size += plan->value[value].size;
    }
    return PRUN_OK;
}

/* Makes room for the base of `n` samples, unless that is what is there. */
static prun_status prun__base_make(prun_net *net, const prun_images *images, const int64_t *index,
                                   int64_t n) {
    prun__base *base = &net->base;
    const int64_t blocks = prun__block_count(PRUN__MIN(n, PRUN__GRADIENT_BATCH));
    PRUN__TRY(prun__base_make_places(net));
    if (base->batch && base->images == images && base->index == index && base->n == n)
        return PRUN_OK;
    prun__base_clear(net->context, base);
    base->images = images;
    base->index = index;
    base->n = n;
    base->batches = (n + PRUN__GRADIENT_BATCH - 1) / PRUN__GRADIENT_BATCH;
    base->kept =
        base->open > 0 ? PRUN__BASE_MEMORY / (base->size * blocks * (int64_t)sizeof(float)) : 0;
    if (base->kept < base->batches)
        PRUN__TRY(prun__buffer_make(net->context, (void **)&base->spare, &base->spare_size,
                                    prun__size_product(base->size, blocks), sizeof(float),
                                    "products"));
    base->batch =
        (float **)prun__alloc_zero(net->context, base->batches, sizeof(float *), "products");
    return base->batch ? PRUN_OK : PRUN_ERR_MEMORY;
}

/* Copies the values of one block into the base. */
static void prun__base_value_task(void *pointer, int64_t block, int64_t worker) {
    const prun__tangent *s = (const prun__tangent *)pointer;
    const prun__plan *plan = s->run.plan;
    int32_t i;
    (void)worker;
    for (i = 0; i < plan->values; i++)
        memcpy(prun__base_value(s, i, block), prun__run_value(&s->run, i, block),
               (size_t)plan->value[i].size * sizeof(float));
}

/* Copies a gradient of one block into the base: that of the operation at work. */
static void prun__base_gradient_task(void *pointer, int64_t block, int64_t worker) {
    const prun__tangent *s = (const prun__tangent *)pointer;
    const prun__op *op = s->run.op;
    const int64_t size = s->run.plan->value[prun__op_kept_gradient(s->run.plan, op)].size;
    const int spare = op->kind == PRUN__NORM && prun__norm_uses_spare(op);
    const float *g =
        spare ? s->run.batch->spare + block * size
              : prun__run_grad(&s->run, op->kind == PRUN__NORM ? op->in : op->out, block);
    (void)worker;
    memcpy(prun__base_gradient(s, block), g, (size_t)size * sizeof(float));
}

/* Gradients of the values, without those of the weights. */
static void prun__base_run_backward(prun__tangent *s) {
    const prun_net *net = s->run.net;
    const prun__plan *plan = s->run.plan;
    int32_t i;
    for (i = plan->ops - 1; i >= 0; i--) {
        const prun__op *op = s->run.op = &plan->op[i];
        if (plan->value[op->out].grad < 0) continue;
        if (op->kind == PRUN__NORM)
            prun__for(net->context, prun__norm_mask_task, &s->run, s->run.blocks);
        if (prun__op_kept_gradient(plan, op) >= 0)
            prun__for(net->context, prun__base_gradient_task, s, s->run.blocks);
        if (op->kind == PRUN__NORM) {
            if (prun__norm_has_input_gradient(op))
                prun__for(net->context, prun__norm_apply_task, &s->run, s->run.blocks);
        } else if (op->kind == PRUN__CONV) {
            if (op->in > 0) prun__input_gradient_run(&s->run);
        } else {
            prun__for(net->context, prun__simple_backward_task, &s->run, s->run.blocks);
        }
    }
}

/* Makes the base of batch number `number` the tangent's, which may be there from an earlier
   product. */
static prun_status prun__base_select(prun__tangent *s, prun_net *net, int64_t number) {
    prun__base *base = &net->base;
    const int keeps = number < base->kept, ready = keeps && base->batch[number];
    if (keeps && !ready)
        base->batch[number] = (float *)prun__alloc(
            net->context, prun__size_product(base->size, s->run.blocks), sizeof(float), "products");
    s->base = keeps ? base->batch[number] : base->spare;
    if (!s->base) return PRUN_ERR_MEMORY;
    if (ready) return PRUN_OK;
    prun__run_forward(&s->run);
    prun__for(net->context, prun__base_value_task, s, s->run.blocks);
    prun__for(net->context, prun__loss_task, &s->run, s->run.blocks);
    prun__base_run_backward(s);
    return PRUN_OK;
}

/* From here to prun__net_close_products, products share what depends on weights and images alone,
   which must not change. all: 0 if the caller reads only the weights' part of a product, which is
   then all that is computed. Calls nest. */
static void prun__net_open_products(prun_net *net, int all) {
    net->base.open++;
    net->base.all += all;
}

/* Ends what prun__net_open_products began. */
static void prun__net_close_products(prun_net *net, int all) {
    net->base.all -= all;
    if (--net->base.open == 0) prun__base_clear(net->context, &net->base);
}

/* ---- forward ---- */

/* The part of the direction that belongs to a tensor. */
static const float *prun__tangent_direction(const prun__tangent *s, int32_t tensor) {
    return s->direction + (s->run.net->tensor[tensor].data - s->run.net->parameters);
}

/* Convolution of a group of blocks: W over tangents plus v over the base. The images have no
   tangent. */
static void prun__tangent_conv_task(void *pointer, int64_t group, int64_t worker) {
    const prun__tangent *s = (const prun__tangent *)pointer;
    const prun__run *run = &s->run;
    const prun__op *op = run->op;
    const prun__layer *layer = &run->net->layer[op->layer];
    const int64_t from = group * run->group, blocks = PRUN__MIN(run->group, run->blocks - from);
    float *scratch = run->batch->scratch + worker * prun__batch_scratch(run->plan), *y;
    prun__finish finish = {NULL, 0, 0};
    prun__term term[2];
    term[0].packed = run->batch->packed;
    term[1].packed = run->net->base.packed;
    if (s->backward) {
        term[0].x = prun__run_grad(run, op->out, from);
        term[1].x = prun__base_gradient(s, from);
        finish.accumulate = op->add;
        y = prun__run_grad(run, op->in, from);
    } else {
        term[0].x = prun__run_value(run, op->in, from);
        term[1].x = prun__base_value(s, op->in, from);
        if (layer->bias) finish.bias = prun__tangent_direction(s, layer->tensor + 1);
        y = prun__run_value(run, op->out, from);
    }
    if (op->in > 0) prun__conv_run_sum(&op->conv, !s->backward, blocks, term, finish, scratch, y);
    else prun__conv_run(&op->conv, 1, blocks, term[1].x, term[1].packed, finish, scratch, y);
}

/* The tangents of a convolution's output or, backward, of the gradient of its input. */
static void prun__tangent_run_conv(prun__tangent *s, int backward) {
    const prun_net *net = s->run.net;
    const prun__op *op = s->run.op;
    prun__pack_job job;
    s->backward = backward;
    if (op->in > 0) prun__op_pack(net, op, !backward, NULL, s->run.batch->packed);
    job.conv = &op->conv;
    job.weight = prun__tangent_direction(s, net->layer[op->layer].tensor);
    job.packed = net->base.packed;
    job.scale = NULL;
    job.forward = !backward;
    prun__conv_pack(net->context, &job);
    prun__for(net->context, prun__tangent_conv_task, s, prun__run_groups(&s->run));
}

/* Coefficients of a norm; the tangents of scale and shift are in the rows m1 and m2, which only
   training needs. */
static void prun__tangent_set_rows(const prun__tangent *s) {
    const prun_net *net = s->run.net;
    const prun__op *op = s->run.op;
    const prun__norm_rows rows = prun__norm_rows_get(s->run.plan, op, s->run.batch->coefficients);
    int64_t c;
    prun__norm_set_fixed(net, op, 0, s->run.batch->coefficients);
    for (c = 0; op->norm >= 0 && c < s->run.plan->value[op->in].c; c++) {
        const int32_t tensor = net->layer[op->norm].tensor;
        rows.m1[c] = prun__tangent_direction(s, tensor)[c] * rows.inverse[c];
        rows.m2[c] = prun__tangent_direction(s, tensor + 1)[c];
    }
}

/* Overlapping or padded maximum: the tangent of the winner. */
static void prun__tangent_run_max_pool(const prun__tangent *s, int64_t block) {
    const prun__plan *plan = s->run.plan;
    const prun__op *op = s->run.op;
    const prun__layer *layer = &s->run.net->layer[op->layer];
    const prun__value *in = &plan->value[op->in], *out = &plan->value[op->out];
    const float *x = prun__base_value(s, op->in, block);
    const float *t = prun__run_value(&s->run, op->in, block);
    float *to = prun__run_value(&s->run, op->out, block), y[PRUN_LANES];
    int32_t where[PRUN_LANES];
    int64_t oy, ox, c;
    int l;
    for (oy = 0; oy < out->h; oy++)
        for (ox = 0; ox < out->w; ox++)
            for (c = 0; c < out->c; c++, to += PRUN_LANES) {
                prun__pool_run_vector(layer, in, prun__window_make(layer, in->h, in->w, oy, ox),
                                      x + c * PRUN_LANES, y, where);
                for (l = 0; l < PRUN_LANES; l++) to[l] = t[(where[l] * in->c + c) * PRUN_LANES + l];
            }
}

/* Tangents of everything but convolutions. */
static void prun__tangent_forward_task(void *pointer, int64_t block, int64_t worker) {
    const prun__tangent *s = (const prun__tangent *)pointer;
    const prun__run *run = &s->run;
    const prun__op *op = run->op;
    const int64_t size = run->plan->value[op->out].size;
    const float *t = prun__run_value(run, op->in, block);
    float *to = prun__run_value(run, op->out, block);
    (void)worker;
    if (op->kind == PRUN__NORM) {
        const prun__norm_job job = prun__norm_job_make(run->plan, op, run->batch->coefficients);
        prun__kernels_get()->norm_tangent(&job, prun__base_value(s, op->in, block), t, to);
    } else if (op->kind == PRUN__MAX_POOL) {
        prun__tangent_run_max_pool(s, block);
    } else if (op->kind == PRUN__AVG_POOL) {
        prun__pool_run(run->net, op, t, to);
    } else if (op->kind == PRUN__ADD) {
        prun__lanes_add(t, prun__run_value(run, op->in2, block), size, to);
    } else if (to != t) {
        prun__lanes_put(t, size, 0, to); /* dropout */
    }
}

/* Tangent g'_j = p_j (z'_j - sum p z') of the gradient of the logits. Tangents of the logits are
   taken relative to the label's, so that no digits cancel when its probability is almost 1. */
static void prun__tangent_loss_task(void *pointer, int64_t block, int64_t worker) {
    const prun__tangent *s = (const prun__tangent *)pointer;
    const prun__run *run = &s->run;
    const prun__plan *plan = run->plan;
    const prun__source *source = run->source;
    const int64_t classes = run->net->classes, live = prun__run_images(run, block);
    double *p = run->batch->head + worker * prun__loss_scratch(classes);
    float *row = (float *)(p + classes);
    const float *z = prun__base_value(s, plan->output, block);
    const float *t = prun__run_value(run, plan->output, block);
    float *tangent = prun__run_grad(run, plan->output, block);
    int64_t l, j;
    for (l = 0; l < PRUN_LANES; l++, z++, t++, tangent++) {
        int64_t label = 0;
        double mean = 0.0;
        if (l < live) {
            label = source->images->labels[prun__source_image(source, block * PRUN_LANES + l)];
            for (j = 0; j < classes; j++) row[j] = z[j * PRUN_LANES];
            prun_cross_entropy(row, classes, label, p);
        }
        for (j = 0; l < live && j < classes; j++)
            mean += p[j] * ((double)t[j * PRUN_LANES] - (double)t[label * PRUN_LANES]);
        for (j = 0; j < classes; j++) {
            const double d = (double)t[j * PRUN_LANES] - (double)t[label * PRUN_LANES];
            tangent[j * PRUN_LANES] = l < live ? (float)(p[j] * (d - mean)) : 0.0f;
        }
    }
}

/* ---- backward ---- */

/* True if the product is wanted for weights alone. */
static int prun__tangent_skips(const prun__tangent *s) {
    return s->run.net->base.open > 0 && s->run.net->base.all == 0;
}

/* g' through ReLU and pool, and the sums of g' and of g' x + g x'. */
static void prun__tangent_mask_task(void *pointer, int64_t block, int64_t worker) {
    const prun__tangent *s = (const prun__tangent *)pointer;
    const prun__run *run = &s->run;
    const prun__batch *batch = run->batch;
    const prun__op *op = run->op;
    const prun__value *in = &run->plan->value[op->in];
    const int64_t pixels = in->h * in->w, row = 2 * run->plan->max_channels;
    const int64_t live = prun__run_images(run, block);
    const float *x = prun__base_value(s, op->in, block);
    double *sums = batch->sums + block * row, *other = sums + run->blocks * row;
    float *g = prun__norm_uses_spare(op) ? batch->spare + block * in->size
                                         : prun__run_grad(run, op->in, block);
    int64_t c;
    (void)worker;
    prun__norm_run_mask(run, x, prun__run_grad(run, op->out, block), g);
    if (op->norm < 0 || prun__tangent_skips(s)) return;
    prun__kernels_get()->sums(g, x, pixels, in->c, live, sums);
    prun__kernels_get()->sums(prun__base_gradient(s, block), prun__run_value(run, op->in, block),
                              pixels, in->c, live, other);
    for (c = 0; c < in->c; c++) sums[2 * c + 1] += other[2 * c + 1];
}

/* Into the tangent of the gradient of the norm's input: g' scale + g scale'. */
static void prun__tangent_apply_task(void *pointer, int64_t block, int64_t worker) {
    const prun__tangent *s = (const prun__tangent *)pointer;
    const prun__run *run = &s->run;
    const prun__op *op = run->op;
    const prun__value *in = &run->plan->value[op->in];
    float *to = prun__run_grad(run, op->in, block);
    const float *t = op->add ? run->batch->spare + block * in->size : to;
    const float *g = op->norm >= 0 ? prun__base_gradient(s, block) : NULL;
    const prun__norm_rows rows = prun__norm_rows_get(run->plan, op, run->batch->coefficients);
    int64_t i, c, at = 0;
    int l;
    (void)worker;
    if (!g) { /* a bare ReLU or pool */
        prun__lanes_put(t, in->size, 1, to);
        return;
    }
    for (i = 0; i < in->h * in->w; i++)
        for (c = 0; c < in->c; c++)
            for (l = 0; l < PRUN_LANES; l += 4, at += 4) {
                prun__f4 a = prun__f4_mul(prun__f4_set(rows.m1[c]), prun__f4_load(g + at));
                a = prun__f4_mla(prun__f4_set(rows.scale[c]), prun__f4_load(t + at), a);
                prun__f4_store(to + at, op->add ? prun__f4_add(prun__f4_load(to + at), a) : a);
            }
}

/* Tangents of the gradients of a norm's scale, shift and input. */
static void prun__tangent_run_norm_backward(prun__tangent *s) {
    const prun_net *net = s->run.net;
    const prun__plan *plan = s->run.plan;
    const prun__batch *batch = s->run.batch;
    const prun__op *op = s->run.op;
    const prun__norm_rows rows = prun__norm_rows_get(plan, op, batch->coefficients);
    int64_t c, b;
    prun__for(net->context, prun__tangent_mask_task, s, s->run.blocks);
    for (c = 0; op->norm >= 0 && !prun__tangent_skips(s) && c < plan->value[op->in].c; c++) {
        const int32_t tensor = net->layer[op->norm].tensor;
        double s1 = 0.0, s2 = 0.0;
        for (b = 0; b < s->run.blocks; b++) {
            s1 += batch->sums[(b * plan->max_channels + c) * 2];
            s2 += batch->sums[(b * plan->max_channels + c) * 2 + 1];
        }
        s2 -= s1 * (double)rows.mean[c];
        prun__tensor_gradient(net, tensor, s->product)[c] = (float)(s2 * (double)rows.inverse[c]);
        prun__tensor_gradient(net, tensor + 1, s->product)[c] = (float)s1;
    }
    if (prun__norm_has_input_gradient(op))
        prun__for(net->context, prun__tangent_apply_task, s, s->run.blocks);
}

/* Tangents of the gradients of a convolution's weights, bias and input. */
static void prun__tangent_run_conv_backward(prun__tangent *s) {
    const prun_net *net = s->run.net;
    const prun__batch *batch = s->run.batch;
    const prun__op *op = s->run.op;
    const prun__layer *layer = &net->layer[op->layer];
    prun__weight_job job;
    memset(&job, 0, sizeof job);
    job.conv = &op->conv;
    job.x = prun__base_value(s, op->in, 0);
    job.dy = prun__run_grad(&s->run, op->out, 0);
    job.x2 = prun__run_value(&s->run, op->in, 0);
    job.dy2 = prun__base_gradient(s, 0);
    job.first = s->run.blocks;
    job.blocks = op->in > 0 ? 2 * job.first : job.first;
    job.partial = batch->partial;
    job.strips = batch->strips;
    job.dweight = prun__tensor_gradient(net, layer->tensor, s->product);
    prun__weight_job_run(net->context, &job);
    if (layer->bias && !prun__tangent_skips(s))
        prun__bias_run_backward(&s->run, prun__tensor_gradient(net, layer->tensor + 1, s->product));
    if (op->in > 0) prun__tangent_run_conv(s, 1);
}

/* ADD, DROPOUT and pools: g' with the winners of x. */
static void prun__tangent_backward_task(void *pointer, int64_t block, int64_t worker) {
    const prun__tangent *s = (const prun__tangent *)pointer;
    const prun__run *run = &s->run;
    const prun__op *op = run->op;
    const float *dy = prun__run_grad(run, op->out, block);
    const int64_t size = run->plan->value[op->out].size;
    float *dx = op->in > 0 ? prun__run_grad(run, op->in, block) : NULL;
    (void)worker;
    if (dx && (op->kind == PRUN__MAX_POOL || op->kind == PRUN__AVG_POOL))
        prun__pool_run_backward(run->net, op, prun__base_value(s, op->in, block), dy, dx);
    else if (dx && op->out != op->in) prun__lanes_put(dy, size, op->add, dx);
    if (op->kind == PRUN__ADD && op->in2 > 0)
        prun__lanes_put(dy, size, op->add2, prun__run_grad(run, op->in2, block));
}

/* One batch, whose base is ready. */
static void prun__tangent_run(prun__tangent *s) {
    const prun_net *net = s->run.net;
    const prun__plan *plan = s->run.plan;
    int32_t i;
    memset(prun__run_value(&s->run, 0, 0), 0,
           (size_t)(s->run.blocks * plan->value[0].size) * sizeof(float));
    for (i = 0; i < plan->ops; i++) {
        s->run.op = &plan->op[i];
        if (s->run.op->kind == PRUN__CONV) {
            prun__tangent_run_conv(s, 0);
            continue;
        }
        if (s->run.op->kind == PRUN__NORM) prun__tangent_set_rows(s);
        prun__for(net->context, prun__tangent_forward_task, s, s->run.blocks);
    }
    prun__for(net->context, prun__tangent_loss_task, s, s->run.blocks);
    memset(s->product, 0, (size_t)net->parameter_count * sizeof(float));
    for (i = plan->ops - 1; i >= 0; i--) {
        s->run.op = &plan->op[i];
        if (plan->value[s->run.op->out].grad < 0) continue; /* nothing depends on it */
        if (s->run.op->kind == PRUN__CONV) prun__tangent_run_conv_backward(s);
        else if (s->run.op->kind == PRUN__NORM) prun__tangent_run_norm_backward(s);
        else prun__for(net->context, prun__tangent_backward_task, s, s->run.blocks);
    }
}

/* Adds up the products of all batches. part: room for one. */
static prun_status prun__tangent_run_batches(prun__tangent *s, prun_net *net, prun__source *source,
                                             float *product, float *part) {
    const prun__base *base = &net->base;
    int64_t b, i;
    for (b = 0; b < base->batches; b++) {
        const int64_t from = b * PRUN__GRADIENT_BATCH;
        prun__source_set_part(source, base->index, from,
                              PRUN__MIN(PRUN__GRADIENT_BATCH, base->n - from));
        PRUN__TRY(prun__run_begin(&s->run));
        PRUN__TRY(prun__base_select(s, net, b));
        s->product = b > 0 ? part : product;
        prun__tangent_run(s);
        for (i = 0; b > 0 && i < net->parameter_count; i++) product[i] += part[i];
    }
    return PRUN_OK;
}

PRUNDEF prun_status prun_net_hessian_vector(prun_net *net, const prun_images *images,
                                            const int64_t *index, int64_t n, const float *v,
                                            float *product) {
    prun__source source = prun__source_make(images, index, n);
    prun__tangent s;
    float *part;
    prun_status status;
    memset(&s, 0, sizeof s);
    prun__run_init(net, &source, &s.run);
    s.direction = v;
    PRUN__TRY(prun__net_check(net, &source));
    part = (float *)prun__alloc(net->context, net->parameter_count, sizeof(float), "product");
    if (!part) return PRUN_ERR_MEMORY;
    status = prun__base_make(net, images, index, n);
    if (status == PRUN_OK) status = prun__tangent_run_batches(&s, net, &source, product, part);
    if (status != PRUN_OK || net->base.open == 0) prun__base_clear(net->context, &net->base);
    prun__free(net->context, part);
    return status;
}
#endif

/* [NET.I] copies, hidden margins, the path norm */
/*
   What is done with a whole net: copies, margins inside the network (passes over the batch), and
   what measures ask of its layers.
*/
#ifndef PRUNABILITY_NO_NET

/* ---- copies ---- */

PRUNDEF const prun_tensor *prun_net_trained_tensors(const prun_net *net, int64_t *count) {
    *count = net->trained_count;
    return net->trained;
}

/* The batch norm that evaluation folds into convolution `layer`, or -1; also whether any
   convolution takes in the batch norm `norm`. */
static int32_t prun__plan_find_folded(const prun__plan *plan, int32_t layer, int32_t norm) {
    int32_t i;
    for (i = 0; i < plan->ops; i++) {
        const prun__op *op = &plan->op[i];
        if (op->kind != PRUN__CONV || op->fold < 0 || plan->op[op->fold].norm < 0) continue;
        if (op->layer == layer || plan->op[op->fold].norm == norm) return plan->op[op->fold].norm;
    }
    return -1;
}

/* Adds layer i to the copy; map: the copy's value for each of the net's. */
static int32_t prun__layer_copy(const prun_net *net, prun_net *copy, int32_t i, int fold,
                                const int32_t *map) {
    prun__layer layer = net->layer[i];
    char name[256] = "";
    int j;
    if (layer.tensors > 0) {
        snprintf(name, sizeof name, "%s", net->tensor[layer.tensor].name);
        name[strlen(name) - strlen(".weight")] = 0;
    }
    for (j = 0; j < 2; j++)
        if (layer.input[j] >= 0) layer.input[j] = map[layer.input[j]];
    if (layer.input[0] < 0) return -1; /* an earlier layer failed */
    if (layer.kind == PRUN__BATCH_NORM && fold && prun__plan_find_folded(&net->plan, -1, i) >= 0)
        return layer.input[0];
    if (layer.kind == PRUN__BATCH_NORM)
        return prun_layer_batch_norm(copy, layer.input[0], name, layer.epsilon, layer.momentum);
    if (layer.kind != PRUN__CONV) return prun__layer_put(copy, &layer);
    if (fold && prun__plan_find_folded(&net->plan, i, -2) >= 0) layer.bias = 1;
    copy->init = layer.init;
    return prun__layer_put_conv(copy, name, &layer);
}

/* Scales a convolution's weights and makes its bias, in double; subnormal weights become 0. */
static void prun__layer_copy_folded(const prun_net *net, const prun__layer *conv, int32_t norm,
                                    prun_tensor *to) {
    const prun_tensor *from = net->tensor + conv->tensor;
    const prun_tensor *n = net->tensor + net->layer[norm].tensor;
    const int64_t channels = from->shape[0], size = prun_tensor_size(from) / channels;
    int64_t c, i;
    for (c = 0; c < channels; c++) {
        const double scale =
            (double)n[0].data[c] / sqrt((double)n[3].data[c] + net->layer[norm].epsilon);
        const double bias = conv->bias ? (double)from[1].data[c] : 0.0;
        for (i = c * size; i < (c + 1) * size; i++) {
            to[0].data[i] = (float)((double)from->data[i] * scale);
            if (fabsf(to[0].data[i]) < FLT_MIN) to[0].data[i] = 0.0f;
        }
        to[1].data[c] = (float)((double)n[1].data[c] + (bias - (double)n[2].data[c]) * scale);
    }
}

PRUNDEF prun_status prun_net_copy(const prun_net *net, int32_t fold, prun_net **out) {
    prun_context *context = net->context;
    prun_net *copy = NULL;
    int32_t *map, i, j;
    prun_status status;
    if (net->status != PRUN_OK || !net->parameters)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "the net is not finished");
    map = (int32_t *)prun__alloc_zero(context, net->layers + 1, sizeof *map, "copy");
    if (!map) return PRUN_ERR_MEMORY;
    status = prun_net_create(context, net->channels, net->height, net->width, &copy);
    for (i = 0; status == PRUN_OK && i < (int32_t)net->layers; i++)
        map[i + 1] = prun__layer_copy(net, copy, i, fold, map);
    if (status == PRUN_OK) copy->init = net->init;
    if (status == PRUN_OK) copy->algorithm = net->algorithm;
    if (status == PRUN_OK) status = prun_net_finish(copy, map[net->result], 0);
    for (i = 0; status == PRUN_OK && i < (int32_t)net->layers; i++) {
        const prun__layer *layer = &net->layer[i];
        const int32_t norm =
            fold && layer->kind == PRUN__CONV ? prun__plan_find_folded(&net->plan, i, -2) : -1;
        prun_tensor *to = layer->tensors ? copy->tensor + copy->layer[map[i + 1] - 1].tensor : NULL;
        if (norm >= 0) prun__layer_copy_folded(net, layer, norm, to);
        if (norm >= 0 || map[i + 1] == map[layer->input[0]]) continue; /* done, or left out */
        for (j = 0; j < layer->tensors; j++)
            memcpy(to[j].data, net->tensor[layer->tensor + j].data,
                   (size_t)prun_tensor_size(&to[j]) * sizeof(float));
    }
    prun__free(context, map);
    if (status != PRUN_OK) prun_net_free(copy);
    else *out = copy;
    return status;
}

/* ---- margins inside the network ---- */

/* True for a convolution or linear layer that leads to the logits. */
static int prun__op_is_used_conv(const prun__plan *plan, int32_t i) {
    return plan->op[i].kind == PRUN__CONV && plan->value[plan->op[i].out].grad >= 0;
}

PRUNDEF void prun_net_margin_layers(const prun_net *net, int32_t layers[4]) {
    const prun__plan *plan = &net->plan;
    int32_t i, j, ends = 0, seen, last = -1;
    for (i = 0; i < plan->ops; i++)
        if (prun__op_is_used_conv(plan, i)) last = i;
    for (j = 0; j < 4; j++) layers[j] = last < 0 ? -1 : net->layer[plan->op[last].layer].tensor;
    for (i = plan->ops - 1; i >= 0; i--)
        if (prun__op_is_used_conv(plan, i) && plan->op[i].in == 0)
            layers[0] = net->layer[plan->op[i].layer].tensor;
    for (j = 0, seen = 0; j < 2; j++, ends = seen, seen = 0) /* count, then pick */
        for (i = 0; i < plan->ops; i++) {
            const prun__op *op = &plan->op[i];
            int k;
            if (!prun__op_is_used_conv(plan, i) || op->in == 0 ||
                (op->conv.taps == 1 && !net->layer[op->layer].linear && i != last))
                continue;
            seen++;
            for (k = 1; k < 4; k++)
                if (j && seen == PRUN__MAX((2 * k * ends + 3) / 6, 1))
                    layers[k] = net->layer[op->layer].tensor;
        }
}

/* Margins of one batch at a time; the passes are those of the gradient, without weights. */
typedef struct prun__margins {
    prun__run run;
    int32_t count;
    int32_t *value;   /* per layer: the value it reads */
    int32_t at;       /* value at hand */
    float *image;     /* gradient of the images */
    double *squares;  /* of the value at hand, per sample of the batch */
    double *sums;     /* of activations over the samples, per element of one layer */
    double **element; /* per layer: its sums */
} prun__margins;

/* The gradient of the value at hand in one block. */
static const float *prun__margin_gradient(const prun__margins *m, int64_t block) {
    if (m->at == 0) return m->image + block * m->run.plan->value[0].size;
    return prun__run_grad(&m->run, m->at, block);
}

/* ||gradient||^2 of every sample in a block. */
static void prun__margin_squares_task(void *pointer, int64_t block, int64_t worker) {
    const prun__margins *m = (const prun__margins *)pointer;
    const float *g = prun__margin_gradient(m, block);
    double *out = m->squares + block * PRUN_LANES;
    int64_t i, l;
    (void)worker;
    for (l = 0; l < PRUN_LANES; l++) out[l] = 0.0;
    for (i = 0; i < m->run.plan->value[m->at].size; i += PRUN_LANES)
        for (l = 0; l < PRUN_LANES; l++) out[l] += (double)g[i + l] * (double)g[i + l];
}

/* Adds the batch to the sums of one pixel-channel and of its square: sample order, any thread. */
static void prun__margin_moments_task(void *pointer, int64_t element, int64_t worker) {
    const prun__margins *m = (const prun__margins *)pointer;
    int64_t b, l;
    (void)worker;
    for (b = 0; b < m->run.blocks; b++) {
        const float *x = prun__run_value(&m->run, m->at, b) + element * PRUN_LANES;
        for (l = 0; l < prun__run_images(&m->run, b); l++) {
            m->sums[2 * element] += (double)x[l];
            m->sums[2 * element + 1] += (double)x[l] * (double)x[l];
        }
    }
}

/* Adds to the gradient of a block of images what a convolution that reads them passes back. */
static void prun__margin_image_task(void *pointer, int64_t block, int64_t worker) {
    const prun__margins *m = (const prun__margins *)pointer;
    const prun__plan *plan = m->run.plan;
    const prun__batch *batch = m->run.batch;
    prun__finish finish = {NULL, 0, 0};
    finish.accumulate = 1;
    prun__conv_run(&m->run.op->conv, 0, 1, prun__run_grad(&m->run, m->run.op->out, block),
                   batch->packed, finish, batch->scratch + worker * prun__batch_scratch(plan),
                   m->image + block * plan->value[0].size);
}

/* Writes f_y - f_j of each sample and makes its gradient that of the logits. */
static void prun__margin_init(const prun__margins *m, double *differences) {
    const int64_t classes = m->run.net->classes;
    int64_t i, j;
    for (i = 0; i < m->run.blocks * PRUN_LANES; i++) {
        const int64_t block = i / PRUN_LANES, l = i % PRUN_LANES;
        const float *f = prun__run_value(&m->run, m->run.plan->output, block) + l;
        float *g = prun__run_grad(&m->run, m->run.plan->output, block) + l;
        int64_t label, other = -1;
        for (j = 0; j < classes; j++) g[j * PRUN_LANES] = 0.0f;
        if (i >= m->run.source->n) continue;
        label = m->run.source->images->labels[prun__source_image(m->run.source, i)];
        for (j = 0; j < classes; j++)
            if (j != label && (other < 0 || f[j * PRUN_LANES] > f[other * PRUN_LANES])) other = j;
        differences[i] = (double)f[label * PRUN_LANES] - (double)f[other * PRUN_LANES];
        g[label * PRUN_LANES] = 1.0f;
        g[other * PRUN_LANES] = -1.0f;
    }
}

/* The gradient at value `at` is complete: turns differences into margins. */
static void prun__margin_put(prun__margins *m, int32_t at, const double *differences, int64_t n,
                             double *margins) {
    int64_t i;
    int32_t k;
    for (k = 0; k < m->count; k++) {
        if (m->value[k] != at) continue;
        m->at = at;
        prun__for(m->run.net->context, prun__margin_squares_task, m, m->run.blocks);
        for (i = 0; i < m->run.source->n; i++)
            margins[k * n + i] = differences[i] / sqrt(1e-6 + m->squares[i]);
        m->sums = m->element[k];
        prun__for(m->run.net->context, prun__margin_moments_task, m,
                  m->run.plan->value[at].size / PRUN_LANES);
    }
}

/* True when a later addition puts its result in the place of operation i's. */
static int prun__op_is_overwritten(const prun__plan *plan, int32_t i) {
    int32_t j;
    for (j = i + 1; j < plan->ops; j++)
        if (plan->op[j].kind == PRUN__ADD && plan->op[j].out == plan->op[i].out) return 1;
    return 0;
}

/* One batch; margins: of its first sample in the first layer; layers are n apart. */
static prun_status prun__margin_run(prun__margins *m, int64_t n, double *differences,
                                    double *margins) {
    const prun_net *net = m->run.net;
    const prun__plan *plan = m->run.plan;
    const prun__batch *batch = m->run.batch;
    prun__run *run = &m->run;
    int32_t i;
    PRUN__TRY(prun__run_begin(run));
    prun__run_forward(run);
    prun__margin_init(m, differences);
    memset(m->image, 0, (size_t)(run->blocks * plan->value[0].size) * sizeof(float));
    for (i = plan->ops - 1; i >= 0; i--) {
        const prun__op *op = run->op = &plan->op[i];
        if ((op->out == op->in && op->kind != PRUN__ADD) || plan->value[op->out].grad < 0) continue;
        if (!prun__op_is_overwritten(plan, i))
            prun__margin_put(m, op->out, differences, n, margins);
        if (op->kind == PRUN__CONV) {
            prun__op_pack(net, op, 0, NULL, batch->packed);
            if (op->in == 0) prun__for(net->context, prun__margin_image_task, m, run->blocks);
            else prun__for(net->context, prun__conv_backward_task, run, prun__run_groups(run));
        } else if (op->kind == PRUN__NORM) {
            prun__for(net->context, prun__norm_mask_task, run, run->blocks);
            if (prun__norm_has_input_gradient(op))
                prun__for(net->context, prun__norm_apply_task, run, run->blocks);
        } else {
            prun__for(net->context, prun__simple_backward_task, run, run->blocks);
        }
    }
    prun__margin_put(m, 0, differences, n, margins);
    return PRUN_OK;
}

/* The value each layer reads; its gradient must be one that the passes make. */
static prun_status prun__margin_find_values(prun__margins *m, const int32_t *layers) {
    const prun_net *net = m->run.net;
    const prun__plan *plan = m->run.plan;
    int32_t k, i;
    for (k = 0; k < m->count; k++) {
        m->value[k] = -1;
        for (i = 0; i < plan->ops; i++)
            if (plan->op[i].kind == PRUN__CONV &&
                net->layer[plan->op[i].layer].tensor == layers[k] &&
                plan->value[plan->op[i].out].grad >= 0)
                m->value[k] = plan->op[i].in;
        if (m->value[k] < 0)
            return prun__fail(
                net->context, layers[k] < 0 ? PRUN_ERR_UNSUPPORTED : PRUN_ERR_ARGUMENT,
                "margins: tensor %d is no weight that leads to the logits", (int)layers[k]);
        for (i = 0; i < plan->ops; i++)
            if (m->value[k] == 0 && plan->op[i].kind != PRUN__CONV &&
                (plan->op[i].in == 0 || (plan->op[i].kind == PRUN__ADD && plan->op[i].in2 == 0)))
                return prun__fail(net->context, PRUN_ERR_UNSUPPORTED,
                                  "margins: the images are read by more than convolutions");
        m->element[k] =
            (double *)prun__alloc_zero(net->context, 2 * plan->value[m->value[k]].size / PRUN_LANES,
                                       sizeof(double), "margins");
        if (!m->element[k]) return PRUN_ERR_MEMORY;
    }
    return PRUN_OK;
}

/* Root of the summed variances. */
static double prun__margin_spread(const double *sums, int64_t elements, double n) {
    double total = 0.0;
    int64_t e;
    for (e = 0; e < elements; e++)
        total += PRUN__MAX(sums[2 * e + 1] / n - sums[2 * e] / n * (sums[2 * e] / n), 0.0);
    return sqrt(total);
}

PRUNDEF prun_status prun_net_hidden_margins(prun_net *net, const prun_images *images,
                                            const int64_t *index, int64_t n, const int32_t *layers,
                                            int64_t count, const prun_margin_outputs *outputs) {
    const prun__plan *plan = &net->plan;
    prun__source source = prun__source_make(images, index, n);
    prun_context *context = net->context;
    const int64_t batch = PRUN__GRADIENT_BATCH;
    prun__margins m;
    double *differences;
    int64_t done;
    int32_t k;
    prun_status status;
    memset(&m, 0, sizeof m);
    prun__run_init(net, &source, &m.run);
    PRUN__TRY(prun__net_check(net, &source));
    if (count < 0 || count > INT32_MAX)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "margins of %lld layers", (long long)count);
    m.count = (int32_t)count;
    differences = (double *)prun__alloc(context, batch, sizeof(double), "margins");
    m.squares = (double *)prun__alloc(context, batch, sizeof(double), "margins");
    m.value = (int32_t *)prun__alloc(context, count, sizeof(int32_t), "margins");
    m.element = (double **)prun__alloc_zero(context, count, sizeof(double *), "margins");
    m.image = (float *)prun__alloc(context, prun__block_count(batch) * plan->value[0].size,
                                   sizeof(float), "margins");
    status = differences && m.squares && m.value && m.element && m.image
                 ? prun__margin_find_values(&m, layers)
                 : PRUN_ERR_MEMORY;
    for (done = 0; status == PRUN_OK && done < n; done += source.n) {
        prun__source_set_part(&source, index, done, PRUN__MIN(batch, n - done));
        status = prun__margin_run(&m, n, differences, outputs->margins + done);
    }
    for (k = 0; m.element && k < m.count; k++) {
        if (status == PRUN_OK)
            outputs->spread[k] = prun__margin_spread(
                m.element[k], plan->value[m.value[k]].size / PRUN_LANES, (double)n);
        prun__free(context, m.element[k]);
    }
    prun__free(context, differences);
    prun__free(context, m.squares);
    prun__free(context, m.value);
    prun__free(context, m.element);
    prun__free(context, m.image);
    return status;
}

/* ---- what the measures ask of a net ---- */

/* Pooling of one channel of non-negative values. */
static void prun__path_run_pool(const prun__layer *layer, const prun__layer *in, const double *x,
                                double *y) {
    int64_t p, py, px;
    for (p = 0; p < layer->h * layer->w; p++) {
        const prun__window w = prun__window_make(layer, in->h, in->w, p / layer->w, p % layer->w);
        double sum = 0.0;
        for (py = w.y0; py < w.y1; py++)
            for (px = w.x0; px < w.x1; px++) {
                const double value = x[py * in->w + px];
                sum = layer->kind == PRUN__AVG_POOL ? sum + value : PRUN__MAX(sum, value);
            }
        y[p] = layer->kind == PRUN__AVG_POOL ? sum / (double)(layer->kernel[0] * layer->kernel[1])
                                             : sum;
    }
}

/* One layer with squared parameters; nothing is negative, so ReLU is the identity. kernel: room
   for its weights. */
static prun_status prun__path_run_layer(const prun_net *net, const prun__layer *layer,
                                        double *const *value, double *kernel, double *y) {
    const prun_tensor *t = prun__layer_tensors(net, layer);
    const prun__layer in = prun__value_shape(net, layer->input[0]);
    const double *x = value[layer->input[0]];
    const int64_t area = layer->h * layer->w, size = layer->c * area;
    int64_t i;
    if (layer->kind == PRUN__CONV) {
        prun__linear map;
        PRUN__TRY(prun__linear_make(net->context, &layer->conv, kernel, &map));
        for (i = 0; i < prun_tensor_size(t); i++)
            kernel[i] = (double)t->data[i] * (double)t->data[i];
        prun__linear_apply(net->context, &map, 0, x, y);
        for (i = 0; layer->bias && i < size; i++)
            y[i] += (double)t[1].data[i / area] * (double)t[1].data[i / area];
        return PRUN_OK;
    }
    for (i = 0; i < size; i++) {
        const int64_t c = i / area;
        if (layer->kind == PRUN__MAX_POOL || layer->kind == PRUN__AVG_POOL) {
            if (i % area == 0) prun__path_run_pool(layer, &in, x + c * in.h * in.w, y + i);
        } else if (layer->kind == PRUN__BATCH_NORM) {
            y[i] = (double)t[0].data[c] * (double)t[0].data[c] * x[i] +
                   (double)t[1].data[c] * (double)t[1].data[c];
        } else if (layer->kind == PRUN__ADD) {
            y[i] = x[i] + value[layer->input[1]][i];
        } else {
            y[i] = x[i];
        }
    }
    return PRUN_OK;
}

/* The path norm, infinity included: the sum of the logits of an image of ones when every parameter
   is squared. */
static prun_status prun__net_path_norm(const prun_net *net, double *result) {
    prun_context *context = net->context;
    int64_t i, total, largest = 1;
    double **value, *memory = NULL, sum = 0.0;
    prun_status status = PRUN_ERR_MEMORY;
    if (net->status != PRUN_OK || !net->parameters)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "the net is not finished");
    value = (double **)prun__alloc(context, net->layers + 1, sizeof *value, "path norm");
    total = net->channels * net->height * net->width;
    for (i = 0; i < net->layers; i++) total += net->layer[i].c * net->layer[i].h * net->layer[i].w;
    for (i = 0; i < net->tensors; i++)
        largest = PRUN__MAX(largest, prun_tensor_size(&net->tensor[i]));
    if (value)
        memory = (double *)prun__alloc(context, total + largest, sizeof(double), "path norm");
    if (memory) {
        value[0] = memory + largest;
        total = net->channels * net->height * net->width;
        for (i = 0; i < total; i++) value[0][i] = 1.0;
        status = PRUN_OK;
    }
    for (i = 0; status == PRUN_OK && i < net->layers; i++) {
        value[i + 1] = value[i] + total;
        total = net->layer[i].c * net->layer[i].h * net->layer[i].w;
        status = prun__path_run_layer(net, &net->layer[i], value, memory, value[i + 1]);
    }
    for (i = 0; status == PRUN_OK && i < net->classes; i++) sum += value[net->result][i];
    prun__free(context, memory);
    prun__free(context, value);
    if (status == PRUN_OK) *result = sum;
    return status;
}

/* Geometry of the convolution that owns a weight tensor; NULL if none does. */
static const prun_conv2d *prun__net_find_geometry(const prun_net *net, const prun_tensor *weight) {
    int64_t i;
    for (i = 0; i < net->layers; i++)
        if (net->layer[i].kind == PRUN__CONV &&
            net->tensor[net->layer[i].tensor].data == weight->data)
            return &net->layer[i].conv;
    return NULL;
}
#endif

/* [OBJECTIVE.I] checks and calls of an objective; a net as one; gradient noise */
/*
   The one check of an objective, and the calls of its callbacks, are here; sections below call
   these and no callback directly.
*/

/* A tensor that a user may have filled in by hand. */
static prun_status prun__tensor_check(prun_context *context, const prun_tensor *t, int64_t index) {
    const char *name = t->name ? t->name : "?";
    int64_t size = 1;
    int32_t d;
    if (!t->data || t->rank < 0 || t->rank > PRUN_MAX_RANK)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "objective: tensor %lld (%s) has %s",
                          (long long)index, name, t->data ? "a rank outside 0 .. 4" : "no data");
    for (d = 0; d < t->rank; d++) {
        size = t->shape[d] > 0 ? prun__size_product(size, t->shape[d]) : -1;
        if (size < 0 || size > INT32_MAX)
            return prun__fail(context, PRUN_ERR_SHAPE,
                              "objective: tensor %lld (%s): size %lld of axis %d", (long long)index,
                              name, (long long)t->shape[d], (int)d);
    }
    return PRUN_OK;
}

/* Checks the tensors of an objective, and that no weight is listed twice. */
static prun_status prun__objective_check(const prun_objective *o) {
    int64_t i;
    if (o->tensor_count <= 0 || !o->tensors)
        return prun__fail(o->context, PRUN_ERR_ARGUMENT, "objective: %lld tensors",
                          (long long)o->tensor_count);
    for (i = 0; i < o->tensor_count; i++)
        PRUN__TRY(prun__tensor_check(o->context, &o->tensors[i], i));
    return prun__tensors_check_overlap(o->context, "objective", o->tensors, o->tensor_count);
}

/* Floats of all tensors. */
static int64_t prun__objective_parameters(const prun_objective *o) {
    int64_t i, parameters = 0;
    for (i = 0; i < o->tensor_count; i++) parameters += prun_tensor_size(&o->tensors[i]);
    return parameters;
}

/* Calls of the callbacks. A callback that fails without a message gets one that names it, so that
   the text of an earlier failure is not taken for the cause. */

/* Forgets the status of the last failure, to see whether the callback leaves one. */
static prun_status prun__callback_begin(const prun_objective *o) {
    const prun_status before = o->context ? o->context->status : PRUN_OK;
    if (o->context) o->context->status = PRUN_OK;
    return before;
}

/* Puts the earlier status back after a success; after a failure keeps the callback's message or
   writes one that names the callback. */
static prun_status prun__callback_end(const prun_objective *o, const char *name, prun_status before,
                                      prun_status status) {
    if (!o->context) return status;
    if (status == PRUN_OK) o->context->status = before;
    else if (o->context->status != PRUN_OK) o->context->status = status; /* with its own message */
    else
        prun__fail(o->context, status, "the %s callback returned %d (%s)", name, (int)status,
                   prun_status_string(status));
    return status;
}

/* Calls the loss callback. */
static prun_status prun__objective_loss(const prun_objective *o, const int64_t *index, int64_t n,
                                        double *losses, double *sum, int64_t *wrong) {
    const prun_status before = prun__callback_begin(o);
    return prun__callback_end(o, "loss", before, o->loss(o, index, n, losses, sum, wrong));
}

/* Calls the gradient callback. */
static prun_status prun__objective_gradient(const prun_objective *o, const int64_t *index,
                                            int64_t n, float *gradient, double *sum) {
    const prun_status before = prun__callback_begin(o);
    return prun__callback_end(o, "gradient", before, o->gradient(o, index, n, gradient, sum));
}

/* Calls the callback for the product of the Hessian and a vector. */
static PRUN__SHARED prun_status prun__objective_product(const prun_objective *o,
                                                        const int64_t *index, int64_t n,
                                                        const float *v, float *product) {
    const prun_status before = prun__callback_begin(o);
    return prun__callback_end(o, "hessian_vector", before,
                              o->hessian_vector(o, index, n, v, product));
}

/* Calls the logits callback. */
static prun_status prun__objective_logits(const prun_objective *o, const int64_t *index, int64_t n,
                                          float *logits) {
    const prun_status before = prun__callback_begin(o);
    return prun__callback_end(o, "logits", before, o->logits(o, index, n, logits));
}

/* ---- a net as an objective ---- */

#ifndef PRUNABILITY_NO_NET
/* The loss callback of a net. */
static prun_status prun__net_loss_callback(const prun_objective *o, const int64_t *index, int64_t n,
                                           double *losses, double *sum, int64_t *wrong) {
    return prun_net_loss(o->net, o->images, index, n, losses, sum, wrong);
}

/* The gradient callback of a net. */
static prun_status prun__net_gradient_callback(const prun_objective *o, const int64_t *index,
                                               int64_t n, float *gradient, double *sum) {
    return prun_net_gradient(o->net, o->images, index, n, gradient, sum, NULL);
}

#ifndef PRUNABILITY_NO_HESSIAN
/* The callback of a net for products of its Hessian with a vector. */
static prun_status prun__net_hessian_callback(const prun_objective *o, const int64_t *index,
                                              int64_t n, const float *v, float *product) {
    return prun_net_hessian_vector(o->net, o->images, index, n, v, product);
}
#endif

/* The logits callback of a net. */
static prun_status prun__net_logits_callback(const prun_objective *o, const int64_t *index,
                                             int64_t n, float *logits) {
    return prun_net_logits(o->net, o->images, index, n, logits);
}

PRUNDEF prun_status prun_net_objective(prun_net *net, const prun_images *images,
                                       prun_objective *objective) {
    const prun__source all = prun__source_make(images, NULL, images->count);
    PRUN__TRY(prun__net_check(net, &all));
    memset(objective, 0, sizeof *objective);
    objective->net = net;
    objective->images = images;
    objective->context = net->context;
    objective->tensors = net->trained;
    objective->tensor_count = net->trained_count;
    objective->samples = all.n;
    objective->classes = net->classes;
    objective->nonnegative = 1;
    objective->loss = prun__net_loss_callback;
    objective->gradient = prun__net_gradient_callback;
#ifndef PRUNABILITY_NO_HESSIAN
    objective->hessian_vector = prun__net_hessian_callback;
#endif
    objective->logits = prun__net_logits_callback;
    objective->labels = images->labels;
    return PRUN_OK;
}
#endif

/* Marks the beginning (open 1) and the end (open 0) of products of the Hessian with several
   vectors, between which the weights stay as they are: a net then computes once what the products
   have in common. all: 0 if only the weights' part of the products is read. */
static PRUN__SHARED void prun__objective_mark_products(const prun_objective *o, int open, int all) {
#if !defined(PRUNABILITY_NO_NET) && !defined(PRUNABILITY_NO_HESSIAN)
    if (o->hessian_vector != prun__net_hessian_callback) return;
    if (open) prun__net_open_products(o->net, all);
    else prun__net_close_products(o->net, all);
#else
    (void)o;
    (void)open;
    (void)all;
#endif
}

/* ---- gradient noise ---- */

typedef prun_status (*prun__gradient)(void *user, const int64_t *index, int64_t n, float *gradient,
                                      double *sum);

/* Half the mean squared difference of two batches' gradients: no mean needed. Pairs are cut one
   after the other from a random order, and from a new one at its end, so that the two batches of a
   pair share no sample. Then it is S^2 / n on average, S^2 with N - 1, however much of the set the
   two cover together; where two batches do not fit, they are as large as fit. Times (N - 1) / N and
   n / batch, this is the variance of `batch` independent draws from the set. */
static prun_status prun__gradient_noise(prun_context *context, prun__gradient gradient, void *user,
                                        int64_t samples, int64_t parameters, int64_t batch,
                                        int64_t pairs, uint64_t seed, double *variance,
                                        double *standard_error) {
    const int64_t n = PRUN__MIN(batch, samples / 2);
    const double scale = (double)n / (double)batch * (double)(samples - 1) / (double)samples;
    float *g = (float *)prun__alloc(context, prun__size_product(2, parameters), sizeof(float),
                                    "gradients");
    int64_t *order = (int64_t *)prun__alloc(context, samples, sizeof(int64_t), "gradients");
    int64_t k, i, at = samples;
    double mean = 0.0, squares = 0.0;
    prun_status status = g && order ? PRUN_OK : PRUN_ERR_MEMORY;
    for (k = 0; status == PRUN_OK && k < 2 * pairs; k++) {
        double sum = 0.0;
        if (k % 2 == 0 && at + 2 * n > samples) {
            prun_random_permutation(seed, PRUN__STREAM_MEASURE + 3 + (uint64_t)k, samples, order);
            at = 0;
        }
        status = gradient(user, order + at, n, g + k % 2 * parameters, NULL);
        at += n;
        if (status != PRUN_OK || k % 2 == 0) continue;
        for (i = 0; i < parameters; i++) {
            const double d = ((double)g[i] - (double)g[parameters + i]) / (double)n;
            sum += d * d;
        }
        sum = scale * sum / (2.0 * (double)parameters) - mean;
        squares += (double)(k / 2) / (double)(k / 2 + 1) * sum * sum;
        mean += sum / (double)(k / 2 + 1);
    }
    prun__free(context, g);
    prun__free(context, order);
    if (status != PRUN_OK) return status;
    if (!(mean <= DBL_MAX))
        return prun__fail(context, PRUN_ERR_NONFINITE, "gradient noise: a gradient is not finite");
    *variance = mean;
    if (standard_error)
        *standard_error =
            pairs > 1 ? sqrt(squares / (double)(pairs - 1) / (double)pairs) : PRUN__NAN;
    return PRUN_OK;
}

/* The gradient of an objective, which `user` is, for the estimate of gradient noise. */
static prun_status prun__objective_gradient_callback(void *user, const int64_t *index, int64_t n,
                                                     float *gradient, double *sum) {
    return prun__objective_gradient((const prun_objective *)user, index, n, gradient, sum);
}

PRUNDEF prun_status prun_gradient_noise(const prun_objective *objective, int64_t batch,
                                        int64_t pairs, uint64_t seed, double *variance,
                                        double *standard_error) {
    if (!objective->gradient)
        return prun__fail(objective->context, PRUN_ERR_UNSUPPORTED,
                          "objective: the gradient callback is missing");
    if (batch < 1 || pairs < 1 || objective->samples < 1 || objective->tensor_count < 1)
        return prun__fail(objective->context, PRUN_ERR_ARGUMENT,
                          "gradient noise: batch %lld, pairs %lld, samples %lld", (long long)batch,
                          (long long)pairs, (long long)objective->samples);
    if (objective->samples == 1)
        return prun__fail(objective->context, PRUN_ERR_MISSING,
                          "gradient noise: one sample alone has no variance, two are needed");
    PRUN__TRY(prun__objective_check(objective));
    return prun__gradient_noise(objective->context, prun__objective_gradient_callback,
                                (void *)(uintptr_t)objective, objective->samples,
                                prun__objective_parameters(objective), batch, pairs, seed, variance,
                                standard_error);
}

/* Adds the gradient g of one more sample to the moments, of which there are pairs: mean, and sum of
   squared deviations (Welford 1962). Returns |g|^2. */
static double prun__gradient_moments_add(double *moments, int64_t parameters, const float *g,
                                         int64_t count) {
    const double share = 1.0 / (double)count;
    double square = 0.0;
    int64_t i;
    for (i = 0; i < parameters; i++) {
        const double value = (double)g[i], before = value - moments[2 * i];
        moments[2 * i] += before * share;
        moments[2 * i + 1] += before * (value - moments[2 * i]);
        square += value * value;
    }
    return square;
}

/* What the moments come to. */
static void prun__gradient_moments_fill(const double *moments, double epsilon,
                                        prun_gradient_moments_result *r) {
    double ratios = 0.0, counted = 0.0;
    int64_t i;
    for (i = 0; i < r->parameters; i++) {
        const double square = moments[2 * i] * moments[2 * i];
        const double variance = moments[2 * i + 1] / (double)r->samples;
        r->squared_norm += square;
        r->centred_trace += variance;
        if (square == 0.0 && variance + epsilon == 0.0) continue;
        ratios += square / (variance + epsilon);
        counted += 1.0;
    }
    r->signal_to_noise = counted > 0.0 ? ratios / counted : 0.0;
}

PRUNDEF prun_status prun_gradient_moments(const prun_objective *objective, const int64_t *index,
                                          int64_t samples, double epsilon,
                                          prun_gradient_moments_result *result) {
    prun_context *context = objective->context;
    float *g;
    double *moments;
    prun_gradient_moments_result r;
    int64_t k;
    prun_status status;
    if (!objective->gradient)
        return prun__fail(context, PRUN_ERR_UNSUPPORTED,
                          "objective: the gradient callback is missing");
    if (samples < 1 || samples > objective->samples || !(epsilon >= 0.0))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "gradient moments: %lld samples of %lld, epsilon %g", (long long)samples,
                          (long long)objective->samples, epsilon);
    PRUN__TRY(prun__objective_check(objective));
    memset(&r, 0, sizeof r);
    r.samples = samples;
    r.parameters = prun__objective_parameters(objective);
    g = (float *)prun__alloc(context, r.parameters, sizeof *g, "gradient moments");
    moments = (double *)prun__alloc_zero(context, prun__size_product(2, r.parameters),
                                         sizeof *moments, "gradient moments");
    status = g && moments ? PRUN_OK : PRUN_ERR_MEMORY;
    for (k = 0; status == PRUN_OK && k < samples; k++) {
        const int64_t sample = index ? index[k] : k;
        double square;
        status = prun__objective_gradient(objective, &sample, 1, g, NULL);
        if (status != PRUN_OK) break;
        square = prun__gradient_moments_add(moments, r.parameters, g, k + 1);
        r.uncentred_trace += square / (double)samples;
        if (!(square <= DBL_MAX))
            status = prun__fail(context, PRUN_ERR_NONFINITE,
                                "gradient moments: the gradient of sample %lld is not finite",
                                (long long)sample);
    }
    if (status == PRUN_OK) {
        prun__gradient_moments_fill(moments, epsilon, &r);
        *result = r;
    }
    prun__free(context, g);
    prun__free(context, moments);
    return status;
}

/* [TRAIN.I] stochastic gradient descent */
/*
   A trainer borrows net and images. An epoch takes the images in an order of its own; a step draws
   from the number of steps taken.
*/
#ifndef PRUNABILITY_NO_TRAIN

PRUNDEF prun_train_options prun_train_resolved(const prun_train_options *options) {
    prun_train_options o;
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    if (o.epochs == 0) o.epochs = 10;
    if (o.batch == 0) o.batch = 128;
    if (o.learning_rate == 0.0) o.learning_rate = 0.01;
    if (o.schedule_epochs == 0) o.schedule_epochs = 100;
    if (o.schedule_factor == 0.0) o.schedule_factor = 0.1;
    return o;
}

PRUNDEF double prun_learning_rate(const prun_train_options *options, int64_t epoch) {
    const prun_train_options o = prun_train_resolved(options);
    const double t = (double)epoch / (double)o.epochs, end = 0.01;
    if (o.schedule == PRUN_SCHEDULE_STEP)
        return o.learning_rate * pow(o.schedule_factor, (double)(epoch / o.schedule_epochs));
    if (o.schedule != PRUN_SCHEDULE_MADDOX || t <= 0.5) return o.learning_rate;
    if (t > 0.9) return o.learning_rate * end;
    return o.learning_rate * (1.0 - (1.0 - end) * (t - 0.5) / 0.4);
}

struct prun_trainer {
    prun_net *net;
    const prun_images *images;
    prun_train_options options; /* resolved */
    float *velocity, *gradient;
    int64_t *order;
    int64_t count; /* of images when the trainer was made */
    int64_t epoch, steps;
};

/* Checks resolved training options. */
static prun_status prun__train_check(prun_context *context, const prun_train_options *o) {
    if (o->epochs < 0 || o->batch < 0 || o->schedule_epochs < 0)
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "training: epochs %lld, batch %lld, schedule_epochs %lld",
                          (long long)o->epochs, (long long)o->batch, (long long)o->schedule_epochs);
    if (!(o->learning_rate >= 0.0) || !(o->weight_decay >= 0.0) ||
        !(o->momentum >= 0.0 && o->momentum < 1.0))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "training: learning_rate %g, momentum %g, weight_decay %g",
                          o->learning_rate, o->momentum, o->weight_decay);
    if (o->noise_pairs < 0)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "training: noise_pairs %lld",
                          (long long)o->noise_pairs);
    if (o->schedule < PRUN_SCHEDULE_CONSTANT || o->schedule > PRUN_SCHEDULE_MADDOX)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "training: unknown schedule %d",
                          (int)o->schedule);
    return PRUN_OK;
}

/* Images in the smallest batch of an epoch. */
static int64_t prun__last_batch(int64_t count, const prun_train_options *options) {
    return count % options->batch ? count % options->batch : options->batch;
}

PRUNDEF prun_status prun_trainer_create(prun_net *net, const prun_images *images,
                                        const prun_train_options *options, prun_trainer **trainer) {
    prun_context *context = net->context;
    const prun_train_options resolved = prun_train_resolved(options);
    prun__source all = prun__source_make(images, NULL, images->count);
    prun_trainer *t;
    PRUN__TRY(prun__train_check(context, &resolved));
    all.augment = &resolved.augment;
    PRUN__TRY(prun__net_check(net, &all));
    PRUN__TRY(prun__batch_check(net, prun__last_batch(images->count, &resolved)));
    t = (prun_trainer *)prun__alloc_zero(context, 1, sizeof *t, "trainer");
    if (!t) return PRUN_ERR_MEMORY;
    t->net = net;
    t->images = images;
    t->count = images->count;
    t->options = resolved;
    t->velocity =
        (float *)prun__alloc_zero(context, net->parameter_count, sizeof(float), "momentum");
    t->gradient = (float *)prun__alloc(context, net->parameter_count, sizeof(float), "gradient");
    t->order = (int64_t *)prun__alloc(context, images->count, sizeof(int64_t), "batch order");
    if (!t->velocity || !t->gradient || !t->order) {
        prun_trainer_free(t);
        return PRUN_ERR_MEMORY;
    }
    *trainer = t;
    return PRUN_OK;
}

PRUNDEF int64_t prun_trainer_epoch_count(const prun_trainer *t) { return t->epoch; }

PRUNDEF void prun_trainer_free(prun_trainer *t) {
    prun_context *context;
    if (!t) return;
    context = t->net->context;
    prun__free(context, t->velocity);
    prun__free(context, t->gradient);
    prun__free(context, t->order);
    prun__free(context, t);
}

/* v = momentum v + g/n + decay w, w -= rate v, in float as PyTorch does. */
static void prun__sgd_step(float *PRUN__RESTRICT w, float *PRUN__RESTRICT v,
                           const float *PRUN__RESTRICT g, int64_t count, float scale, float decay,
                           float momentum, float rate) {
    int64_t i;
    for (i = 0; i < count; i++) {
        v[i] = momentum * v[i] + (g[i] * scale + decay * w[i]);
        w[i] -= rate * v[i];
    }
}

PRUNDEF prun_status prun_trainer_step(prun_trainer *t, const int64_t *index, int64_t n,
                                      double learning_rate, double *sum, int64_t *wrong) {
    const prun_net *net = t->net;
    prun_pass pass;
    prun_pass_outputs outputs;
    double total;
    int64_t i, errors;
    memset(&pass, 0, sizeof pass);
    memset(&outputs, 0, sizeof outputs);
    outputs.gradient = t->gradient;
    outputs.sum = &total;
    outputs.wrong = &errors;
    pass.augment = &t->options.augment;
    pass.seed = t->options.seed;
    pass.stream = (uint64_t)t->steps;
    PRUN__TRY(prun_net_train_pass(t->net, t->images, index, n, &pass, &outputs));
    if (!(fabs(total) <= 1e300))
        return prun__fail(net->context, PRUN_ERR_NONFINITE, "step %lld: the loss is not finite",
                          (long long)t->steps);
    for (i = 0; i < net->trained_count; i++) {
        const prun_tensor *tensor = &net->trained[i];
        const int decays =
            t->options.decay == PRUN_DECAY_ALL || (tensor->flags & PRUN_TENSOR_WEIGHT);
        const int64_t at = tensor->data - net->parameters;
        prun__sgd_step(tensor->data, t->velocity + at, t->gradient + at, prun_tensor_size(tensor),
                       1.0f / (float)n, decays ? (float)t->options.weight_decay : 0.0f,
                       (float)t->options.momentum, (float)learning_rate);
    }
    t->steps++;
    if (sum) *sum = total;
    if (wrong) *wrong = errors;
    return PRUN_OK;
}

/* The gradient of a trainer, which `user` is, for the estimate of gradient noise. */
static prun_status prun__trainer_gradient_callback(void *user, const int64_t *index, int64_t n,
                                                   float *gradient, double *sum) {
    const prun_trainer *t = (const prun_trainer *)user;
    return prun_net_gradient(t->net, t->images, index, n, gradient, sum, NULL);
}

PRUNDEF prun_status prun_trainer_run_epoch(prun_trainer *t, prun_epoch *result) {
    const int64_t count = t->count;
    const double rate = prun_learning_rate(&t->options, t->epoch);
    double total = 0.0, sum;
    int64_t wrong = 0, errors = 0, at;
    prun_epoch e;
    if (t->images->count != count)
        return prun__fail(t->net->context, PRUN_ERR_ARGUMENT,
                          "training: %lld images, %lld when it began", (long long)t->images->count,
                          (long long)count);
    prun_random_permutation(t->options.seed, PRUN__STREAM_ORDER + (uint64_t)t->epoch, count,
                            t->order);
    for (at = 0; at < count; at += t->options.batch) {
        const int64_t n = PRUN__MIN(t->options.batch, count - at);
        const prun_status status = prun_trainer_step(t, t->order + at, n, rate, &sum, &errors);
        if (status == PRUN_ERR_NONFINITE)
            return prun__fail(t->net->context, status,
                              "epoch %lld, batch %lld: the training loss is not finite",
                              (long long)t->epoch + 1, (long long)(at / t->options.batch) + 1);
        if (status != PRUN_OK) return status;
        total += sum;
        wrong += errors;
    }
    memset(&e, 0, sizeof e);
    e.learning_rate = rate;
    e.loss = total / (double)count;
    e.error_rate = (double)wrong / (double)count;
    e.evaluated_loss = PRUN__NAN;
    if (t->options.evaluate) {
        PRUN__TRY(prun_net_loss(t->net, t->images, NULL, count, NULL, &sum, NULL));
        e.evaluated_loss = sum / (double)count;
    }
    e.steps = t->steps;
    e.gradient_noise = PRUN__NAN;
    if (t->options.noise_pairs > 0 && count > 1 &&
        (t->epoch == 0 || t->epoch + 1 == t->options.epochs))
        PRUN__TRY(prun__gradient_noise(
            t->net->context, prun__trainer_gradient_callback, t, count, t->net->parameter_count,
            t->options.batch, t->options.noise_pairs, t->options.seed, &e.gradient_noise, NULL));
    e.epoch = ++t->epoch;
    e.epochs = t->options.epochs;
    if (result) *result = e;
    return PRUN_OK;
}

PRUNDEF prun_status prun_train(prun_net *net, const prun_images *images,
                               const prun_train_options *options, prun_epoch *history) {
    prun_trainer *t;
    prun_status status = PRUN_OK;
    int64_t i;
    PRUN__TRY(prun_trainer_create(net, images, options, &t));
    for (i = 0; i < t->options.epochs && status == PRUN_OK; i++) {
        prun_epoch epoch;
        status = prun_trainer_run_epoch(t, &epoch);
        if (status != PRUN_OK) break;
        if (history) history[i] = epoch;
        if (t->options.on_epoch && t->options.on_epoch(t->options.user, &epoch))
            status = prun__fail(net->context, PRUN_ERR_CANCELLED, "cancelled after epoch %lld",
                                (long long)epoch.epoch);
    }
    prun_trainer_free(t);
    return status;
}
#endif

/* [PRUNE.I] masks, exact search, loss curves */
/*
   A candidate is "keep the first K weights of an order". The search tries candidates from the
   sparsest up and rejects one as soon as its partial loss sum passes the largest tolerance that is
   still open (prun__candidate_run). That is exact where no sample's loss is negative; where the
   objective does not promise that, nothing is rejected early. The samples that were hardest so far
   come first. A candidate is accepted by its full sum in sample order, the one that prun_loss_curve
   prints, and rejected early only if its partial sum exceeds the limit by more than rounding, so
   that the two never disagree.
*/

PRUNDEF int64_t prun_kept_count(int64_t i, int64_t n, int64_t count) {
    return (2 * i * count + n) / (2 * n);
}

/* Noise on the ranked weights instead of pruning. */
typedef struct prun__noise {
    int kind; /* prun_noise, or one of the private kinds below */
    double epsilon, radius;
    double norm; /* as in prun_perturb_options, and so is match_norm */
    int match_norm;
    double kept;    /* dropout: probability */
    int64_t spared; /* so many of the largest weights stay as they are */
    int64_t draw;
} prun__noise;

typedef struct prun__search {
    const prun_objective *o;
    prun_context *context;
    prun_prune_options options; /* resolved */
    int64_t tensors, count;     /* prunable tensors and weights */
    int64_t *which, *start;     /* per tensor: index in o->tensors; first flat index, and the end */
    float *saved, *flat;        /* original weights; weights of the candidate */
    int32_t *order;             /* repetitions x count: kept first, within each segment */
    int64_t segments;           /* 1, or one per tensor */
    int64_t *kept;              /* per segment: in `flat` now */
    int64_t applied;            /* repetition in `flat` now */
    double *losses;             /* repetitions x samples of the candidate */
    double *chunk;              /* of samples evaluated together */
    float *hardness;            /* per sample */
    int64_t *queue, *scratch;   /* samples, hardest first */
    int64_t evaluations;
    int64_t only;       /* prune this segment alone, counted from 1; 0: all */
    prun__noise *noise; /* NULL: prune */
    int by_error;       /* count errors instead of adding up losses */
} prun__search;

/* Frees the arrays of a search, even of one that is only partly made. The weights stay as they are.
   */
static void prun__search_free(prun__search *s) {
    prun__free(s->context, s->which);
    prun__free(s->context, s->start);
    prun__free(s->context, s->saved);
    prun__free(s->context, s->flat);
    prun__free(s->context, s->order);
    prun__free(s->context, s->kept);
    prun__free(s->context, s->losses);
    prun__free(s->context, s->chunk);
    prun__free(s->context, s->hardness);
    prun__free(s->context, s->queue);
    prun__free(s->context, s->scratch);
}

PRUNDEF prun_prune_options prun_prune_resolved(const prun_prune_options *options) {
    prun_prune_options o;
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    if (o.grid == 0) o.grid = 100;
    if (o.beta_count == 0)
        while (o.beta_count < PRUN_MAX_BETAS && o.beta[o.beta_count] != 0.0) o.beta_count++;
    if (o.beta_count == 0) {
        o.beta_count = 1;
        o.beta[0] = 0.1;
    }
    if (o.repetitions == 0) o.repetitions = 5;
    if (o.method != PRUN_PRUNE_RANDOM) o.repetitions = 1;
    return o;
}

/* Checks the objective and resolved pruning options. */
static prun_status prun__prune_check(const prun_objective *o, const prun_prune_options *p) {
    prun_context *context = o->context;
    int32_t i;
    PRUN__TRY(prun__objective_check(o));
    if (p->method != PRUN_PRUNE_MAGNITUDE && p->method != PRUN_PRUNE_RANDOM)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "pruning: unknown method %d", (int)p->method);
    if (p->scope != PRUN_PRUNE_GLOBAL && p->scope != PRUN_PRUNE_PER_LAYER)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "pruning: unknown scope %d", (int)p->scope);
    if (p->grid < 1 || p->grid > (1 << 24))
        return prun__fail(context, PRUN_ERR_ARGUMENT, "pruning: grid %lld is not in 1 .. 2^24",
                          (long long)p->grid);
    if (p->repetitions < 1 || p->repetitions > (1 << 20))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "pruning: repetitions %lld is not in 1 .. 2^20",
                          (long long)p->repetitions);
    if (p->beta_count < 1 || p->beta_count > PRUN_MAX_BETAS)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "pruning: beta_count %lld is not in 1 .. %d",
                          (long long)p->beta_count, PRUN_MAX_BETAS);
    for (i = 0; i < p->beta_count; i++)
        if (!(p->beta[i] >= 0.0 && p->beta[i] <= 1e300))
            return prun__fail(context, PRUN_ERR_ARGUMENT, "pruning: beta[%d] is %g", (int)i,
                              p->beta[i]);
    return PRUN_OK;
}

/* Collects the prunable tensors and their flat places. */
static prun_status prun__search_find_tensors(prun__search *s) {
    const prun_objective *o = s->o;
    uint32_t wanted = PRUN_TENSOR_WEIGHT;
    int64_t i, at;
    if (s->options.include_biases) wanted |= PRUN_TENSOR_BIAS;
    if (s->options.include_norms) wanted |= PRUN_TENSOR_NORM;
    s->which = (int64_t *)prun__alloc(s->context, o->tensor_count, sizeof(int64_t), "pruning");
    s->start = (int64_t *)prun__alloc(s->context, o->tensor_count + 1, sizeof(int64_t), "pruning");
    if (!s->which || !s->start) return PRUN_ERR_MEMORY;
    s->start[0] = 0;
    for (i = 0; i < o->tensor_count; i++) {
        const prun_tensor *t = &o->tensors[i];
        if (!(t->flags & wanted)) continue;
        at = prun__values_find_nonfinite(t->data, prun_tensor_size(t));
        if (at >= 0)
            return prun__fail(s->context, PRUN_ERR_NONFINITE, "weight %s[%lld] is not finite",
                              t->name ? t->name : "?", (long long)at);
        s->count += prun_tensor_size(t);
        s->which[s->tensors++] = i;
        s->start[s->tensors] = s->count;
    }
    if (s->count == 0)
        return prun__fail(s->context, PRUN_ERR_ARGUMENT, "objective: no tensor is prunable");
    if (s->count > INT32_MAX)
        return prun__fail(s->context, PRUN_ERR_OVERFLOW, "pruning: more than 2^31 weights");
    s->segments = s->options.scope == PRUN_PRUNE_PER_LAYER ? s->tensors : 1;
    return PRUN_OK;
}

/* First flat index of a segment, or the end for the segment after the last. */
static int64_t prun__segment_start(const prun__search *s, int64_t segment) {
    if (s->segments == 1) return segment == 0 ? 0 : s->count;
    return s->start[segment];
}

/* Order of one segment: by magnitude, ties to the lower index, or a random permutation. */
static void prun__segment_make_order(prun__search *s, int64_t repetition, int64_t segment,
                                     float *keys, int64_t *order, int64_t *scratch) {
    const int64_t from = prun__segment_start(s, segment);
    const int64_t n = prun__segment_start(s, segment + 1) - from;
    int32_t *to = s->order + repetition * s->count + from;
    int64_t i;
    if (s->options.method == PRUN_PRUNE_RANDOM) {
        prun_random_permutation(s->options.seed,
                                PRUN__STREAM_PRUNE + (uint64_t)(repetition * s->segments + segment),
                                n, order);
    } else {
        for (i = 0; i < n; i++) keys[i] = fabsf(s->saved[from + i]);
        prun__keys_sort_descending(keys, n, order, scratch);
    }
    for (i = 0; i < n; i++) to[i] = (int32_t)(from + order[i]);
}

/* Makes the orders of all repetitions and segments. */
static prun_status prun__search_make_orders(prun__search *s) {
    int64_t *order = (int64_t *)prun__alloc(s->context, s->count, sizeof(int64_t), "pruning");
    int64_t *scratch = (int64_t *)prun__alloc(s->context, s->count, sizeof(int64_t), "pruning");
    const int ready = order && scratch;
    int64_t r, g;
    /* `flat` is free until the first candidate: it holds the sort keys. */
    for (r = 0; ready && r < s->options.repetitions; r++)
        for (g = 0; g < s->segments; g++)
            prun__segment_make_order(s, r, g, s->flat, order, scratch);
    prun__free(s->context, scratch);
    prun__free(s->context, order);
    return ready ? PRUN_OK : PRUN_ERR_MEMORY;
}

/* Everything that needs the weights alone. */
static prun_status prun__search_make_ranking(const prun_objective *o,
                                             const prun_prune_options *options, prun__search *s) {
    int64_t i;
    memset(s, 0, sizeof *s);
    s->o = o;
    s->context = o->context;
    s->options = prun_prune_resolved(options);
    s->applied = -1;
    PRUN__TRY(prun__prune_check(o, &s->options));
    PRUN__TRY(prun__search_find_tensors(s));
    s->saved = (float *)prun__alloc(s->context, s->count, sizeof(float), "pruning");
    s->flat = (float *)prun__alloc(s->context, s->count, sizeof(float), "pruning");
    s->order =
        (int32_t *)prun__alloc(s->context, prun__size_product(s->options.repetitions, s->count),
                               sizeof(int32_t), "pruning");
    s->kept = (int64_t *)prun__alloc_zero(s->context, s->segments, sizeof(int64_t), "pruning");
    if (!s->saved || !s->flat || !s->order || !s->kept) return PRUN_ERR_MEMORY;
    for (i = 0; i < s->tensors; i++)
        memcpy(s->saved + s->start[i], o->tensors[s->which[i]].data,
               (size_t)(s->start[i + 1] - s->start[i]) * sizeof(float));
    return prun__search_make_orders(s);
}

/* Samples evaluated between two looks at the partial sum, at most. */
#define PRUN__LARGEST_CHUNK 8192

/* Room for the losses of all repetitions. */
static prun_status prun__search_make_losses(prun__search *s) {
    const int64_t m = s->o->samples;
    if (!s->o->loss)
        return prun__fail(s->context, PRUN_ERR_UNSUPPORTED,
                          "objective: the loss callback is missing");
    if (m <= 0)
        return prun__fail(s->context, PRUN_ERR_ARGUMENT, "objective: %lld samples", (long long)m);
    s->losses = (double *)prun__alloc(s->context, prun__size_product(s->options.repetitions, m),
                                      sizeof(double), "pruning");
    s->hardness = (float *)prun__alloc(s->context, m, sizeof(float), "pruning");
    s->queue = (int64_t *)prun__alloc(s->context, m, sizeof(int64_t), "pruning");
    s->scratch = (int64_t *)prun__alloc(s->context, m, sizeof(int64_t), "pruning");
    if (!s->losses || !s->hardness || !s->queue || !s->scratch) return PRUN_ERR_MEMORY;
    s->chunk = (double *)prun__alloc(s->context, PRUN__MIN(m, PRUN__LARGEST_CHUNK), sizeof(double),
                                     "pruning");
    return s->chunk ? PRUN_OK : PRUN_ERR_MEMORY;
}

/* The ranking, and room for losses. */
static prun_status prun__search_begin(const prun_objective *o, const prun_prune_options *options,
                                      prun__search *s) {
    PRUN__TRY(prun__search_make_ranking(o, options, s));
    return prun__search_make_losses(s);
}

/* Writes a flat copy into the objective's tensors. */
static void prun__search_write(const prun__search *s, const float *flat) {
    int64_t i;
    for (i = 0; i < s->tensors; i++)
        memcpy(s->o->tensors[s->which[i]].data, flat + s->start[i],
               (size_t)(s->start[i + 1] - s->start[i]) * sizeof(float));
}

/* Restores the weights, which only a search that was made completely has touched. */
static void prun__search_end(prun__search *s) {
    if (s->chunk) prun__search_write(s, s->saved);
    prun__search_free(s);
}

/* Brings a segment to `target` kept weights by the difference alone. */
static void prun__segment_set_kept(prun__search *s, int64_t repetition, int64_t segment,
                                   int64_t target) {
    const int32_t *order = s->order + repetition * s->count + prun__segment_start(s, segment);
    int64_t r;
    for (r = s->kept[segment]; r < target; r++) s->flat[order[r]] = s->saved[order[r]];
    for (r = target; r < s->kept[segment]; r++) s->flat[order[r]] = 0.0f;
    s->kept[segment] = target;
}

/* Kinds of noise that only the library itself asks for, beyond those of prun_noise. */
enum { PRUN__NOISE_DROPOUT = 100, PRUN__NOISE_FIXED = 101 /* whatever `flat` holds */ };
#define PRUN__NOISE_CHUNK 4096

/* Writes the noise of one chunk of weights to `flat`. Each weight has a random number of its own,
   so chunks are independent. */
static void prun__noise_task(void *pointer, int64_t chunk, int64_t worker) {
    prun__search *s = (prun__search *)pointer;
    const prun__noise *n = s->noise;
    const uint64_t seed = s->options.seed, stream = PRUN__STREAM_PERTURB + (uint64_t)n->draw;
    const int64_t from = chunk * PRUN__NOISE_CHUNK;
    int64_t i;
    (void)worker;
    for (i = from; i < PRUN__MIN(from + PRUN__NOISE_CHUNK, s->count); i++) {
        const double w = (double)s->saved[i], square = n->radius * n->radius;
        double u = n->radius;
        if (n->kind == PRUN_NOISE_SIGN_FLIP) {
            u = prun_random_uniform(seed, stream, (uint64_t)i) < n->radius ? -2.0 * w : 0.0;
        } else {
            if (n->kind == PRUN_NOISE_MAGNITUDE) u = sqrt(square * fabs(w) + n->epsilon);
            if (n->kind == PRUN_NOISE_SQUARED) u = sqrt(square * w * w + n->epsilon * n->epsilon);
            u *= prun_random_normal(seed, stream, (uint64_t)i);
        }
        if (n->kind == PRUN__NOISE_DROPOUT &&
            prun_random_uniform(seed, PRUN__STREAM_MASK + (uint64_t)n->draw, (uint64_t)i) >=
                n->kept)
            u = -w;
        s->flat[i] = (float)u;
    }
}

/* flat = saved + noise on the weights that the ranking does not spare. */
static void prun__noise_apply(prun__search *s, int64_t draw) {
    prun__noise *n = s->noise;
    double noise = 0.0, weights = 0.0, scale = 1.0;
    int64_t i;
    n->draw = draw;
    prun__for(s->context, prun__noise_task, s,
              (s->count + PRUN__NOISE_CHUNK - 1) / PRUN__NOISE_CHUNK);
    for (i = 0; i < n->spared; i++) s->flat[s->order[i]] = 0.0f;
    for (i = n->spared; (n->norm > 0.0 || n->match_norm) && i < s->count; i++) {
        const double u = (double)s->flat[s->order[i]], w = (double)s->saved[s->order[i]];
        noise += u * u;
        weights += w * w;
    }
    if (n->norm > 0.0 && noise > 0.0) scale = n->norm / sqrt(noise);
    else if (n->match_norm && noise > 0.0) scale = sqrt(weights / noise);
    for (i = 0; i < s->count; i++)
        s->flat[i] = (float)((double)s->saved[i] + scale * (double)s->flat[i]);
}

/* Makes grid point i of a repetition (or that draw of the noise) the objective's weights. */
static void prun__candidate_apply(prun__search *s, int64_t repetition, int64_t i) {
    int64_t g;
    if (s->noise) {
        if (s->noise->kind != PRUN__NOISE_FIXED) prun__noise_apply(s, repetition);
        prun__search_write(s, s->flat);
        return;
    }
    if (s->applied != repetition) { /* another order: start from nothing */
        memset(s->flat, 0, (size_t)s->count * sizeof(float));
        memset(s->kept, 0, (size_t)s->segments * sizeof(int64_t));
        s->applied = repetition;
    }
    for (g = 0; g < s->segments; g++)
        prun__segment_set_kept(
            s, repetition, g,
            prun_kept_count(s->only && s->only != g + 1 ? s->options.grid : i, s->options.grid,
                            prun__segment_start(s, g + 1) - prun__segment_start(s, g)));
    prun__search_write(s, s->flat);
}

/* The one way to add up a candidate: repetition by repetition, in sample order. */
static double prun__mean_loss(const prun__search *s) {
    const int64_t m = s->o->samples;
    double total = 0.0;
    int64_t r, i;
    for (r = 0; r < s->options.repetitions; r++) {
        double sum = 0.0;
        for (i = 0; i < m; i++) sum += s->losses[r * m + i];
        total += sum;
    }
    return total / ((double)m * (double)s->options.repetitions);
}

/* A loss as a sort key: not finite counts as hardest. */
static float prun__hardness(double loss) {
    if (!(loss <= 3e38)) return 3e38f;
    return loss > 0.0 ? (float)loss : 0.0f;
}

/* Evaluates the unpruned weights: their mean loss, and the hardness of every sample. */
static prun_status prun__base_run(prun__search *s, double *base) {
    const int64_t m = s->o->samples;
    double sum = 0.0, size = 0.0, told = PRUN__NAN;
    int64_t i;
    for (i = 0; i < m; i++) s->losses[i] = PRUN__NAN;
    PRUN__TRY(prun__objective_loss(s->o, NULL, m, s->losses, &told, NULL));
    s->evaluations += m;
    for (i = 0; i < m; i++) {
        sum += s->losses[i];
        size += fabs(s->losses[i]);
    }
    if (!(fabs(sum) <= 1e300))
        return prun__fail(s->context, PRUN_ERR_NONFINITE, "the unpruned loss is not finite");
    if (!(fabs(sum - told) <= 1e-5 * size))
        return prun__fail(s->context, PRUN_ERR_CALLBACK,
                          "loss callback: the losses add up to %g, but sum is %g", sum, told);
    for (i = 0; i < m; i++) s->hardness[i] = prun__hardness(s->losses[i]);
    *base = sum / (double)m;
    return PRUN_OK;
}

/* Evaluates samples queue[from .. from + n) of a repetition into place; adds to *partial. The
   hardness of a sample becomes its mean loss over the repetitions. */
static prun_status prun__chunk_run(prun__search *s, int64_t repetition, int64_t from, int64_t n,
                                   double *partial) {
    double ignored, *chunk = s->chunk, *losses = s->losses + repetition * s->o->samples;
    const float share = 1.0f / (float)s->options.repetitions;
    int64_t i, wrong = 0;
    PRUN__TRY(prun__objective_loss(s->o, s->queue + from, n, chunk, &ignored,
                                   s->by_error ? &wrong : NULL));
    s->evaluations += n;
    for (i = 0; i < n; i++) {
        const int64_t sample = s->queue[from + i];
        s->hardness[sample] =
            (repetition > 0 ? s->hardness[sample] : 0.0f) + share * prun__hardness(chunk[i]);
        /* Errors are known per chunk only: all of them are booked on its first sample. */
        if (s->by_error) chunk[i] = i == 0 ? (double)wrong : 0.0;
        losses[sample] = chunk[i];
        *partial += chunk[i];
    }
    return PRUN_OK;
}

/* Samples of the queue's next chunk, at most `most`: as many as should carry the sum over what is
   left of the limit, if their losses are what they were the last time. At least a quarter of
   `most`, so that an underestimate does not lead to many small chunks. */
static int64_t prun__chunk_size(const prun__search *s, int64_t at, double left, int64_t most) {
    const int64_t least = PRUN__MAX(2 * PRUN_LANES, most / 4);
    int64_t n = 0;
    double sum = 0.0;
    while (n < most && !(sum > left)) sum += (double)s->hardness[s->queue[at + n++]];
    return PRUN__MIN(PRUN__MAX((n + PRUN_LANES - 1) / PRUN_LANES * PRUN_LANES, least), most);
}

/* Samples of the first chunk. Writing the weights of the next draw costs as much as evaluating a
   few dozen samples. */
#define PRUN__SMALLEST_CHUNK 64
#define PRUN__SMALLEST_NOISE_CHUNK 256

/* Evaluates grid point i. *rejected is set as soon as the mean must exceed `threshold`; otherwise
   *mean is the full loss. The bound leaves room for rounding, so that only sums that are surely too
   large are cut off; the last word is the comparison of full sums. All repetitions see a chunk of
   samples before the next chunk, because the hardest samples of all of them carry the sum over the
   limit sooner than all samples of one. */
static prun_status prun__candidate_run(prun__search *s, int64_t i, double threshold, int *rejected,
                                       double *mean) {
    const int64_t m = s->o->samples, repetitions = s->options.repetitions;
    const double limit = threshold * (double)m * (double)repetitions * (1.0 + 1e-9) + 1e-300;
    double partial = 0.0;
    int64_t r, at, n, most = s->noise ? PRUN__SMALLEST_NOISE_CHUNK : PRUN__SMALLEST_CHUNK;
    *rejected = 0;
    if (s->o->nonnegative) {
        prun__keys_sort_descending(s->hardness, m, s->queue, s->scratch);
    } else {
        for (at = 0; at < m; at++) s->queue[at] = at;
        most = PRUN__LARGEST_CHUNK;
    }
    for (at = 0; at < m; at += n, most = PRUN__MIN(2 * most, PRUN__LARGEST_CHUNK)) {
        n = PRUN__MIN(most, m - at);
        if (s->o->nonnegative && !s->by_error)
            n = prun__chunk_size(s, at, (limit - partial) / (double)repetitions, n);
        for (r = 0; r < repetitions; r++) {
            if (at == 0 || repetitions > 1) prun__candidate_apply(s, r, i);
            PRUN__TRY(prun__chunk_run(s, r, at, n, &partial));
            if (s->o->nonnegative && !(partial <= limit)) {
                *rejected = 1;
                return PRUN_OK;
            }
        }
    }
    *mean = prun__mean_loss(s);
    *rejected = !(*mean <= threshold);
    return PRUN_OK;
}

/* The largest tolerance that has no answer yet, or -1. */
static int32_t prun__tolerance_find_open(const prun_prunability *result, const int *closed) {
    int32_t b, best = -1;
    for (b = 0; b < result->answer_count; b++)
        if (!closed[b] &&
            (best < 0 || result->answer[b].threshold > result->answer[best].threshold))
            best = b;
    return best;
}

/* Fails unless kept_fraction is in [0, 1]. */
static prun_status prun__kept_check(prun_context *context, double kept_fraction) {
    if (kept_fraction >= 0.0 && kept_fraction <= 1.0) return PRUN_OK;
    return prun__fail(context, PRUN_ERR_ARGUMENT, "pruning: kept fraction %g is not in [0, 1]",
                      kept_fraction);
}

/* Fraction of each prunable tensor that grid point i keeps, mean over repetitions. */
static void prun__layer_fractions(const prun__search *s, int64_t i, double *out) {
    int64_t r, g, k, t;
    for (t = 0; t < s->tensors; t++) out[t] = 0.0;
    for (r = 0; r < s->options.repetitions; r++) {
        for (g = 0; g < s->segments; g++) {
            const int64_t from = prun__segment_start(s, g);
            const int64_t n = prun__segment_start(s, g + 1) - from;
            for (k = 0; k < prun_kept_count(i, s->options.grid, n); k++) {
                const int64_t flat = s->order[r * s->count + from + k];
                int64_t low = 0, high = s->tensors;
                while (high - low > 1) {
                    const int64_t middle = (low + high) / 2;
                    if (s->start[middle] <= flat) low = middle;
                    else high = middle;
                }
                out[low] += 1.0;
            }
        }
    }
    for (t = 0; t < s->tensors; t++)
        out[t] /= (double)(s->start[t + 1] - s->start[t]) * (double)s->options.repetitions;
}

/* Weights that grid point i keeps. */
static int64_t prun__kept_total(const prun__search *s, int64_t i) {
    int64_t g, kept = 0;
    for (g = 0; g < s->segments; g++)
        kept += prun_kept_count(i, s->options.grid,
                                prun__segment_start(s, g + 1) - prun__segment_start(s, g));
    return kept;
}

/* Enters grid point i as the answer to tolerance b. */
static void prun__answer_set(const prun__search *s, int64_t i, double loss, int32_t b,
                             prun_prunability *result) {
    prun_prunability_answer *answer = &result->answer[b];
    answer->kept_fraction = (double)i / (double)s->options.grid;
    answer->kept = prun__kept_total(s, i);
    answer->loss = loss;
}

/* From the sparsest candidate up, until every tolerance has its answer. */
static prun_status prun__search_run(prun__search *s, prun_prunability *result) {
    const int64_t grid = s->options.grid;
    int closed[PRUN_MAX_BETAS];
    int64_t i;
    int32_t b, open;
    memset(closed, 0, sizeof closed);
    for (i = 0; i <= grid && (open = prun__tolerance_find_open(result, closed)) >= 0; i++) {
        double mean = result->base_loss;
        int rejected = 0;
        /* Everything kept is the network itself: within any tolerance by definition. */
        if (i < grid)
            PRUN__TRY(prun__candidate_run(s, i, result->answer[open].threshold, &rejected, &mean));
        for (b = 0; !rejected && b < result->answer_count; b++)
            if (!closed[b] && mean <= result->answer[b].threshold) {
                prun__answer_set(s, i, mean, b, result);
                closed[b] = 1;
            }
        if (s->options.progress && s->options.progress(s->options.user, i + 1, grid + 1))
            return prun__fail(s->context, PRUN_ERR_CANCELLED, "cancelled at kept fraction %g",
                              (double)i / (double)grid);
    }
    return PRUN_OK;
}

PRUNDEF prun_status prun_prunability_search(const prun_objective *objective,
                                            const prun_prune_options *options,
                                            prun_prunability *result) {
    prun__search s;
    prun_prunability answer;
    prun_status status = prun__search_begin(objective, options, &s);
    int32_t b;
    memset(&answer, 0, sizeof answer);
    if (status == PRUN_OK) status = prun__base_run(&s, &answer.base_loss);
    if (status == PRUN_OK) {
        answer.prunable = s.count;
        answer.prunable_tensors = s.tensors;
        answer.grid = s.options.grid;
        answer.answer_count = s.options.beta_count;
        for (b = 0; b < answer.answer_count; b++) {
            answer.answer[b].beta = s.options.beta[b];
            /* A negative loss gets a tolerance of the same size upward. */
            answer.answer[b].threshold = answer.base_loss >= 0.0
                                             ? (1.0 + s.options.beta[b]) * answer.base_loss
                                             : (1.0 - s.options.beta[b]) * answer.base_loss;
        }
        status = prun__search_run(&s, &answer);
        answer.passes = (double)s.evaluations / (double)objective->samples;
    }
    if (status == PRUN_OK) *result = answer;
    prun__search_end(&s);
    return status;
}

/* Loss and, unless error is NULL, error rate at grid point i: mean over repetitions. */
static prun_status prun__curve_run_point(prun__search *s, int64_t i, double *loss, double *error) {
    const int64_t m = s->o->samples;
    int64_t r, wrong = 0, errors = 0;
    for (r = 0; r < s->options.repetitions; r++) {
        double ignored;
        prun__candidate_apply(s, r, i);
        PRUN__TRY(prun__objective_loss(s->o, NULL, m, s->losses + r * m, &ignored,
                                       error ? &wrong : NULL));
        errors += wrong;
    }
    *loss = prun__mean_loss(s);
    if (error) *error = (double)errors / ((double)m * (double)s->options.repetitions);
    return PRUN_OK;
}

PRUNDEF prun_status prun_loss_curve(const prun_objective *objective,
                                    const prun_prune_options *options, double *losses,
                                    double *error_rates) {
    prun__search s;
    prun_status status = prun__search_begin(objective, options, &s);
    int64_t i;
    for (i = 0; status == PRUN_OK && i <= s.options.grid; i++) {
        status = prun__curve_run_point(&s, i, losses + i, error_rates ? error_rates + i : NULL);
        if (status == PRUN_OK && s.options.progress &&
            s.options.progress(s.options.user, i + 1, s.options.grid + 1))
            status = prun__fail(s.context, PRUN_ERR_CANCELLED, "cancelled at kept fraction %g",
                                (double)i / (double)s.options.grid);
    }
    prun__search_end(&s);
    return status;
}

PRUNDEF prun_status prun_prune(const prun_objective *objective, double kept_fraction,
                               const prun_prune_options *options, int64_t *kept) {
    prun__search s;
    prun_prune_options one = prun_prune_resolved(options);
    double point;
    prun_status status;
    PRUN__TRY(prun__prune_check(objective, &one));
    PRUN__TRY(prun__kept_check(objective->context, kept_fraction));
    one.repetitions = 1;
    /* On a grid point use the grid's integer rule; elsewhere a grid fine enough to round once. */
    point = kept_fraction * (double)one.grid;
    if (fabs(point - floor(point + 0.5)) > 1e-9) {
        one.grid = 1 << 24;
        point = kept_fraction * (double)one.grid;
    }
    status = prun__search_make_ranking(objective, &one, &s);
    if (status == PRUN_OK) {
        prun__candidate_apply(&s, 0, (int64_t)floor(point + 0.5));
        if (kept) *kept = prun__kept_total(&s, (int64_t)floor(point + 0.5));
    }
    prun__search_free(&s);
    return status;
}

PRUNDEF prun_status prun_prune_layer_fractions(const prun_objective *objective,
                                               double kept_fraction,
                                               const prun_prune_options *options,
                                               double *fractions) {
    prun__search s;
    prun_status status;
    PRUN__TRY(prun__kept_check(objective->context, kept_fraction));
    status = prun__search_make_ranking(objective, options, &s);
    if (status == PRUN_OK)
        prun__layer_fractions(&s, (int64_t)floor(kept_fraction * (double)s.options.grid + 0.5),
                              fractions);
    prun__search_free(&s);
    return status;
}

PRUNDEF prun_status prun_loss_curve_by_layer(const prun_objective *objective,
                                             const prun_prune_options *options, double *losses) {
    prun__search s;
    prun_prune_options one = prun_prune_resolved(options);
    const int64_t points = one.grid + 1;
    prun_status status;
    int64_t i, done = 0;
    one.scope = PRUN_PRUNE_PER_LAYER;
    status = prun__search_begin(objective, &one, &s);
    for (i = 0; status == PRUN_OK && i < s.tensors * points; i++) {
        s.only = i / points + 1;
        /* With everything kept all layers agree. */
        if (i >= points && i % points == points - 1) losses[i] = losses[points - 1];
        else status = prun__curve_run_point(&s, i % points, losses + i, NULL);
        if (status == PRUN_OK && one.progress && one.progress(one.user, ++done, s.tensors * points))
            status = prun__fail(s.context, PRUN_ERR_CANCELLED, "cancelled at layer %s",
                                objective->tensors[s.which[i / points]].name
                                    ? objective->tensors[s.which[i / points]].name
                                    : "?");
    }
    prun__search_end(&s);
    return status;
}

/* Sum of the tensors' Euclidean norms with `kept` weights left, without pruning them. */
static prun_status prun__kept_norm_sum(const prun_objective *o, const prun_prune_options *options,
                                       int64_t kept, double *value) {
    prun__search s;
    const prun_status status = prun__search_make_ranking(o, options, &s);
    int64_t t, i;
    for (i = 0; status == PRUN_OK && i < s.count; i++) s.flat[s.order[i]] = i < kept ? 1.0f : 0.0f;
    for (t = 0, *value = 0.0; status == PRUN_OK && t < s.tensors; t++) {
        double sum = 0.0;
        for (i = s.start[t]; i < s.start[t + 1]; i++)
            sum += (double)s.flat[i] * (double)s.saved[i] * (double)s.saved[i];
        *value += sqrt(sum);
    }
    prun__search_free(&s);
    return status;
}

/* [PERTURB.I] noise, perturbation curves, radii, sharpness */
/*
   Draws are repetitions of the search's state with noise instead of a mask: the same random numbers
   at every radius.
*/

/* The options with their defaults. `noise` replaces PRUN_NOISE_DEFAULT; `epsilon` is the default of
   PRUN_NOISE_SQUARED. */
static prun_perturb_options prun__perturb_resolve(const prun_perturb_options *options,
                                                  prun_noise noise, double epsilon) {
    prun_perturb_options o;
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    if (o.noise == PRUN_NOISE_DEFAULT) o.noise = noise;
    if (o.noise == PRUN_NOISE_GAUSSIAN || o.noise == PRUN_NOISE_SIGN_FLIP) o.epsilon = 0.0;
    else if (o.epsilon == 0.0) o.epsilon = o.noise == PRUN_NOISE_SQUARED ? epsilon : 1e-6;
    if (o.draws == 0) o.draws = 10;
    if (o.restarts == 0) o.restarts = 3;
    if (o.beta == 0.0) o.beta = 0.1;
    if (o.first == 0.0) o.first = 0.0625;
    if (o.cap == 0.0) o.cap = 1024.0;
    if (o.noise == PRUN_NOISE_SIGN_FLIP) o.cap = PRUN__MIN(o.cap, 1.0);
    if (o.precision == 0.0) o.precision = 0.01;
    if (o.steps == 0) o.steps = 20;
    if (o.batch == 0) o.batch = 256;
    return o;
}

PRUNDEF prun_perturb_options prun_perturb_resolved(const prun_perturb_options *options) {
    return prun__perturb_resolve(options, PRUN_NOISE_MAGNITUDE, 1e-3);
}

/* Sharpness searches a box of half-width radius |w| + epsilon; 1e-3 would make it too large. */
PRUNDEF prun_perturb_options prun_sharpness_resolved(const prun_perturb_options *options) {
    return prun__perturb_resolve(options, PRUN_NOISE_GAUSSIAN, 1e-6);
}

PRUNDEF prun_perturb_options prun_same_size_resolved(const prun_perturb_options *options) {
    return prun__perturb_resolve(options, PRUN_NOISE_GAUSSIAN, 1e-3);
}

/* Checks a radius and resolved perturbation options. */
static prun_status prun__perturb_check(prun_context *context, const prun_perturb_options *o,
                                       double radius) {
    if (o->noise < PRUN_NOISE_MAGNITUDE || o->noise > PRUN_NOISE_SIGN_FLIP)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "perturbation: unknown noise %d",
                          (int)o->noise);
    if (!(radius >= 0.0 && radius <= 1e30) || !(o->epsilon >= 0.0 && o->epsilon <= 1e30) ||
        !(o->fraction >= 0.0 && o->fraction <= 1.0) || !(o->norm >= 0.0 && o->norm <= 1e30))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "perturbation: radius %g, epsilon %g, fraction %g, norm %g", radius,
                          o->epsilon, o->fraction, o->norm);
    if (o->norm > 0.0 && o->match_norm)
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "perturbation: norm %g and match_norm exclude each other", o->norm);
    if (o->draws < 1 || o->draws > (1 << 20) || o->restarts < 1 || o->restarts > (1 << 20))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "perturbation: draws %lld or restarts %lld is not in 1 .. 2^20",
                          (long long)o->draws, (long long)o->restarts);
    if (o->steps < 1 || o->batch < 1)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "perturbation: steps %lld, batch %lld",
                          (long long)o->steps, (long long)o->batch);
    if (!(o->beta >= 0.0 && o->beta <= 1e300) || !(o->displacement >= 0.0) ||
        !(o->first > 0.0 && o->first <= o->cap) || !(o->cap <= 1e30) || !(o->precision > 1e-12))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "perturbation: beta %g, displacement %g, first %g, cap %g, precision %g",
                          o->beta, o->displacement, o->first, o->cap, o->precision);
    return PRUN_OK;
}

/* The search state with noise in it. losses: also room for them. */
static prun_status prun__noise_make(const prun_objective *o, const prun_perturb_options *p,
                                    double radius, int losses, prun__search *s,
                                    prun__noise *noise) {
    prun_prune_options plain;
    memset(s, 0, sizeof *s);
    memset(noise, 0, sizeof *noise);
    memset(&plain, 0, sizeof plain);
    plain.include_biases = p->include_biases;
    plain.include_norms = p->include_norms;
    plain.seed = p->seed;
    PRUN__TRY(prun__perturb_check(o->context, p, radius));
    PRUN__TRY(prun__search_make_ranking(o, &plain, s));
    s->options.repetitions = p->draws;
    s->noise = noise;
    noise->kind = (int)p->noise;
    noise->epsilon = p->epsilon;
    noise->radius = radius;
    noise->norm = p->norm;
    noise->match_norm = p->match_norm;
    if (p->fraction > 0.0)
        noise->spared = s->count - (int64_t)floor(p->fraction * (double)s->count + 0.5);
    return losses ? prun__search_make_losses(s) : PRUN_OK;
}

PRUNDEF prun_status prun_perturb(const prun_objective *objective, double radius, int64_t draw,
                                 const prun_perturb_options *options) {
    const prun_perturb_options p = prun_perturb_resolved(options);
    prun__search s;
    prun__noise noise;
    const prun_status status = prun__noise_make(objective, &p, radius, 0, &s, &noise);
    if (status == PRUN_OK) prun__candidate_apply(&s, draw, 0);
    prun__search_free(&s);
    return status;
}

/* Standard error of the mean over repetitions, from the losses of the candidate just evaluated. */
static double prun__repetition_error(const prun__search *s) {
    const int64_t m = s->o->samples, n = s->options.repetitions;
    const double mean = prun__mean_loss(s);
    double squares = 0.0;
    int64_t r, i;
    for (r = 0; r < n; r++) {
        double sum = 0.0;
        for (i = 0; i < m; i++) sum += s->losses[r * m + i];
        squares += (sum / (double)m - mean) * (sum / (double)m - mean);
    }
    return n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : PRUN__NAN;
}

/* Both curves: over radii, or (radii NULL) over the supports of kept fractions i/(count - 1). */
static prun_status prun__noise_curve(const prun_objective *o, const prun_perturb_options *options,
                                     const double *radii, int64_t count, double *losses,
                                     double *standard_errors, double *error_rates) {
    prun_perturb_options p = *options;
    prun__search s;
    prun__noise noise;
    prun_status status = prun__noise_make(o, &p, radii ? 0.0 : 1.0, 1, &s, &noise);
    int64_t i;
    for (i = 0; status == PRUN_OK && i < count; i++) {
        if (radii) {
            noise.radius = radii[i];
            status = prun__perturb_check(s.context, &p, radii[i]);
        } else {
            noise.spared = prun_kept_count(i, count - 1, s.count);
            noise.match_norm = 1;
        }
        if (status == PRUN_OK)
            status = prun__curve_run_point(&s, 0, losses + i, error_rates ? error_rates + i : NULL);
        if (status == PRUN_OK && standard_errors) standard_errors[i] = prun__repetition_error(&s);
        if (status == PRUN_OK && p.progress && p.progress(p.user, i + 1, count))
            status = prun__fail(s.context, PRUN_ERR_CANCELLED, "cancelled at perturbation %lld",
                                (long long)i + 1);
    }
    prun__search_end(&s);
    return status;
}

PRUNDEF prun_status prun_perturbation_curve(const prun_objective *objective, const double *radii,
                                            int64_t count, const prun_perturb_options *options,
                                            double *losses, double *standard_errors,
                                            double *error_rates) {
    const prun_perturb_options p = prun_perturb_resolved(options);
    return prun__noise_curve(objective, &p, radii, count, losses, standard_errors, error_rates);
}

PRUNDEF prun_status prun_same_size_curve(const prun_objective *objective, int64_t grid,
                                         const prun_perturb_options *options, double *losses,
                                         double *standard_errors, double *error_rates) {
    prun_perturb_options p = prun_same_size_resolved(options);
    p.norm = 0.0;
    if (grid < 1 || grid > (1 << 24))
        return prun__fail(objective->context, PRUN_ERR_ARGUMENT,
                          "perturbation: grid %lld is not in 1 .. 2^24", (long long)grid);
    return prun__noise_curve(objective, &p, NULL, grid + 1, losses, standard_errors, error_rates);
}

PRUNDEF prun_status prun_dropout_error(const prun_objective *objective, double kept, double sigma,
                                       const prun_perturb_options *options, double *error_rate,
                                       double *standard_error) {
    const prun_perturb_options p = prun_perturb_resolved(options);
    prun__search s;
    prun__noise noise;
    prun_status status = prun__noise_make(objective, &p, sigma, 1, &s, &noise);
    double mean = PRUN__NAN;
    int ignored;
    if (status == PRUN_OK && !(kept >= 0.0 && kept <= 1.0))
        status =
            prun__fail(s.context, PRUN_ERR_ARGUMENT, "dropout: kept %g is not in [0, 1]", kept);
    noise.kind = PRUN__NOISE_DROPOUT;
    noise.kept = kept;
    s.by_error = 1;
    if (status == PRUN_OK) {
        memset(s.hardness, 0, (size_t)objective->samples * sizeof(float));
        status = prun__candidate_run(&s, 0, HUGE_VAL, &ignored, &mean);
    }
    if (status == PRUN_OK) *error_rate = mean;
    if (status == PRUN_OK && standard_error) *standard_error = prun__repetition_error(&s);
    prun__search_end(&s);
    return status;
}

/* Search for a radius, of noise or of the worst perturbation. */
typedef struct prun__hunt {
    prun_perturb_options p;
    float *gradient, *place; /* sharpness: of all tensors; position in the box, -1 .. 1 */
    float *worst;            /* the last position that was too much */
    int found;               /* there is one */
    int64_t *index;
} prun__hunt;

/* Half the width of the box along weight i. */
static double prun__box_half_width(const prun__search *s, const prun__hunt *h, int64_t i) {
    if (h->p.noise == PRUN_NOISE_GAUSSIAN) return s->noise->radius;
    return s->noise->radius * fabs((double)s->saved[i]) + s->noise->epsilon;
}

/* Makes the position h->place in the box the objective's weights. */
static void prun__box_apply(prun__search *s, const prun__hunt *h) {
    int64_t i;
    for (i = 0; i < s->count; i++)
        s->flat[i] =
            (float)((double)s->saved[i] + prun__box_half_width(s, h, i) * (double)h->place[i]);
    prun__search_write(s, s->flat);
}

/* One ascent step in the coordinates of the box, where its sides are equal. */
static prun_status prun__hunt_step(prun__search *s, prun__hunt *h, uint64_t stream) {
    const int64_t m = s->o->samples, n = PRUN__MIN(h->p.batch, m);
    double squares = 0.0;
    int64_t i, t, at = 0;
    for (i = 0; n < m && i < n; i++)
        h->index[i] = prun__random_below(prun_random_bits(h->p.seed, stream, (uint64_t)i), m);
    PRUN__TRY(prun__objective_gradient(s->o, n < m ? h->index : NULL, n, h->gradient, NULL));
    for (i = t = 0; t < s->tensors; i++) {
        const int64_t size = prun_tensor_size(&s->o->tensors[i]);
        int64_t k;
        for (k = 0; i == s->which[t] && k < size; k++) {
            const double slope =
                (double)h->gradient[at + k] * prun__box_half_width(s, h, s->start[t] + k);
            s->flat[s->start[t] + k] = (float)slope;
            squares += slope * slope;
        }
        t += i == s->which[t];
        at += size;
    }
    if (!(squares <= DBL_MAX) || squares == 0.0) return PRUN_OK; /* nowhere to go from here */
    for (i = 0; i < s->count; i++) {
        const double step = 0.1 * (double)s->flat[i] / sqrt(squares / (double)s->count);
        h->place[i] = (float)PRUN__MAX(-1.0, PRUN__MIN(1.0, (double)h->place[i] + step));
    }
    prun__box_apply(s, h);
    return PRUN_OK;
}

/* Evaluates one radius: *rejected, or the mean loss (noise), or the largest found (sharpness). */
static prun_status prun__radius_run(prun__search *s, prun__hunt *h, double threshold, int *rejected,
                                    double *loss) {
    int64_t r, k, i;
    if (!h->place) return prun__candidate_run(s, 0, threshold, rejected, loss);
    *rejected = 0;
    *loss = -HUGE_VAL;
    /* What was too much in another box often is in this one: no ascent needed to reject it. */
    if (h->found) {
        memcpy(h->place, h->worst, (size_t)s->count * sizeof(float));
        prun__box_apply(s, h);
        PRUN__TRY(prun__candidate_run(s, 0, threshold, rejected, loss));
    }
    for (r = 0; r < h->p.restarts && !*rejected; r++) {
        const uint64_t stream = PRUN__STREAM_PERTURB + ((uint64_t)(r + 1) << 24);
        double mean = PRUN__NAN;
        for (i = 0; i < s->count; i++)
            h->place[i] = (float)(prun_random_uniform(h->p.seed, stream, (uint64_t)i) - 0.5);
        prun__box_apply(s, h);
        for (k = 0; k < h->p.steps; k++) PRUN__TRY(prun__hunt_step(s, h, stream + 1 + (uint64_t)k));
        prun__box_apply(s, h);
        PRUN__TRY(prun__candidate_run(s, 0, threshold, rejected, &mean));
        *loss = PRUN__MAX(*loss, mean);
        h->found |= *rejected;
        if (*rejected) memcpy(h->worst, h->place, (size_t)s->count * sizeof(float));
    }
    return PRUN_OK;
}

/* Error of the radius from that of the loss there and the slope of the loss, which a secant to the
   feasible point before gives, or the parabola through the unperturbed loss. */
static double prun__radius_error(const prun_radius *r, double before, double loss_before,
                                 double loss_error) {
    const double slope = before > 0.0 ? (r->reached - loss_before) / (r->radius - before)
                                      : 2.0 * (r->reached - r->base) / r->radius;
    return slope > 0.0 ? loss_error / slope : PRUN__NAN;
}

/* The radius at which the loss should reach the threshold: by a power law of its rise through the
   last two feasible points or, with the exponent of a parabola, through the last one. 0: unknown.
   */
static double prun__radius_guess(const prun_radius *r, double before, double loss_before) {
    const double rise = r->reached - r->base, earlier = loss_before - r->base;
    double exponent = 2.0;
    if (!(r->radius > 0.0) || !(rise > 0.0)) return 0.0;
    if (before > 0.0 && earlier > 0.0 && rise > earlier)
        exponent = log(rise / earlier) / log(r->radius / before);
    exponent = PRUN__MAX(0.5, PRUN__MIN(exponent, 16.0));
    return r->radius * pow((r->threshold - r->base) / rise, 1.0 / exponent);
}

/* The radius to try after `tried` others: a little below the guess, so that it is likely to be
   feasible, then a step of the wanted precision above it, which is likely not to be. What is known
   bounds the guess, and every third turn ignores it: it then doubles, halves or bisects. */
static double prun__radius_next(const prun_radius *r, const prun_perturb_options *p, double guess,
                                int tried) {
    const double low = r->radius, high = r->infeasible, step = 1.0 + 0.99 * p->precision;
    double next = guess * (1.0 - 0.3 * p->precision);
    if (low == 0.0) return high < HUGE_VAL ? 0.5 * high : p->first;
    if (!(guess > 0.0) || tried % 3 == 2)
        return high < HUGE_VAL ? 0.5 * (low + high) : PRUN__MIN(2.0 * low, p->cap);
    if (high < HUGE_VAL) next = PRUN__MIN(next, high / step);
    return PRUN__MIN(PRUN__MAX(PRUN__MIN(next, 4.0 * low), low * step), p->cap);
}

/* Radius 0 first where epsilon alone perturbs; then what prun__radius_next says, until a feasible
   radius and one that is not are close enough. */
static prun_status prun__hunt_run(prun__search *s, prun__hunt *h, prun_radius *r) {
    enum { MOST = 128 };
    const prun_perturb_options *p = &h->p;
    double next = s->noise->epsilon > DBL_MIN ? 0.0 : p->first, before = 0.0, loss_before;
    int k, rejected;
    r->infeasible = HUGE_VAL;
    r->standard_error = PRUN__NAN;
    r->reached = loss_before = r->base;
    for (k = 0; k < MOST; k++) {
        double loss = PRUN__NAN;
        s->noise->radius = next;
        PRUN__TRY(prun__radius_run(s, h, r->threshold, &rejected, &loss));
        if (p->progress && p->progress(p->user, k + 1, MOST))
            return prun__fail(s->context, PRUN_ERR_CANCELLED, "cancelled at radius %g", next);
        if (rejected) {
            r->infeasible = next;
        } else {
            before = r->radius;
            loss_before = r->reached;
            r->radius = next;
            r->reached = loss;
            if (next > 0.0 && !h->place)
                r->standard_error =
                    prun__radius_error(r, before, loss_before, prun__repetition_error(s));
        }
        if (r->infeasible == 0.0 || r->infeasible < p->first * 1e-12 || r->radius >= p->cap) break;
        if (r->radius > 0.0 && r->infeasible - r->radius <= p->precision * r->radius) break;
        next = prun__radius_next(r, p, prun__radius_guess(r, before, loss_before), k);
    }
    if (r->radius >= p->cap) r->state = PRUN_RADIUS_SATURATED;
    if (r->radius == 0.0) r->state = PRUN_RADIUS_NONE;
    if (r->state != PRUN_RADIUS_FOUND) r->standard_error = PRUN__NAN;
    r->flatness = r->radius > 0.0 ? 1.0 / (r->radius * r->radius) : HUGE_VAL;
    return PRUN_OK;
}

/* Base loss and threshold. */
static prun_status prun__radius_set_base(prun__search *s, const prun_perturb_options *p,
                                         prun_radius *r) {
    PRUN__TRY(prun__base_run(s, &r->base));
    r->threshold = r->base + p->beta * fabs(r->base);
    if (p->displacement > 0.0) {
        double sum;
        int64_t wrong = 0;
        s->by_error = 1;
        PRUN__TRY(prun__objective_loss(s->o, NULL, s->o->samples, NULL, &sum, &wrong));
        s->evaluations += s->o->samples;
        r->base = (double)wrong / (double)s->o->samples;
        r->threshold = r->base + p->displacement;
    }
    return PRUN_OK;
}

/* The radius of noise or, for sharpness, of the worst perturbation. */
static prun_status prun__radius_find(const prun_objective *o, const prun_perturb_options *p,
                                     int sharpness, prun_radius *result) {
    prun__search s;
    prun__noise noise;
    prun__hunt h;
    prun_radius r;
    prun_status status = prun__noise_make(o, p, 0.0, 1, &s, &noise);
    memset(&h, 0, sizeof h);
    memset(&r, 0, sizeof r);
    h.p = *p;
    if (status == PRUN_OK && sharpness) {
        h.gradient = (float *)prun__alloc(s.context, prun__objective_parameters(o), sizeof(float),
                                          "sharpness");
        h.place = (float *)prun__alloc(s.context, s.count, sizeof(float), "sharpness");
        h.worst = (float *)prun__alloc(s.context, s.count, sizeof(float), "sharpness");
        h.index = (int64_t *)prun__alloc(s.context, PRUN__MIN(p->batch, o->samples),
                                         sizeof(int64_t), "sharpness");
        if (!h.gradient || !h.place || !h.worst || !h.index) status = PRUN_ERR_MEMORY;
        noise.kind = PRUN__NOISE_FIXED;
        s.options.repetitions = 1;
    }
    if (status == PRUN_OK) status = prun__radius_set_base(&s, p, &r);
    if (status == PRUN_OK) status = prun__hunt_run(&s, &h, &r);
    r.passes = (double)s.evaluations / (double)o->samples;
    if (status == PRUN_OK) *result = r;
    prun__free(s.context, h.gradient);
    prun__free(s.context, h.place);
    prun__free(s.context, h.worst);
    prun__free(s.context, h.index);
    prun__search_end(&s);
    return status;
}

PRUNDEF prun_status prun_perturbation_radius(const prun_objective *objective,
                                             const prun_perturb_options *options,
                                             prun_radius *result) {
    const prun_perturb_options p = prun_perturb_resolved(options);
    return prun__radius_find(objective, &p, 0, result);
}

PRUNDEF prun_status prun_sharpness_radius(const prun_objective *objective,
                                          const prun_perturb_options *options,
                                          prun_radius *result) {
    const prun_perturb_options p = prun_sharpness_resolved(options);
    if (!objective->gradient)
        return prun__fail(objective->context, PRUN_ERR_UNSUPPORTED,
                          "objective: the gradient callback is missing");
    if (p.noise == PRUN_NOISE_SIGN_FLIP || p.fraction > 0.0 || p.norm > 0.0 || p.match_norm)
        return prun__fail(objective->context, PRUN_ERR_ARGUMENT,
                          "sharpness: a box has no sign flips, fraction or norm");
    return prun__radius_find(objective, &p, 1, result);
}

/* [HESSIAN.I] products with the Hessian, exact or by differences */
/*
   H v for the tensors that were chosen, exact where the objective has products and else by central
   differences of its gradient, whose step is chosen and whose error is estimated here.
*/
#ifndef PRUNABILITY_NO_HESSIAN

typedef struct prun__hessian {
    const prun_objective *o;
    prun_context *context;
    prun_hessian_options options;   /* resolved */
    int64_t tensors, k, all;        /* chosen tensors, their floats, floats of all tensors */
    int64_t *which, *start, *place; /* chosen: number, first float among k and among all */
    float *v, *product, *saved;     /* flat over all tensors; the chosen weights */
    double weight_norm;
    double length;       /* of the displacement that differences use */
    double error, noise; /* of differences: relative; rounding, for a unit vector */
    int64_t gradients;   /* evaluated */
    int64_t done, total; /* products */
    int opened;          /* products share what does not depend on the vector */
    int others;          /* chosen tensors are not all weights */
} prun__hessian;

/* Frees what prun__hessian_make allocated, even after it failed. The weights stay as they are. */
static void prun__hessian_free(prun__hessian *h) {
    if (h->opened) prun__objective_mark_products(h->o, 0, h->others);
    prun__free(h->context, h->start);
    prun__free(h->context, h->v);
}

PRUNDEF prun_hessian_options prun_hessian_resolved(const prun_objective *objective,
                                                   const prun_hessian_options *options) {
    prun_hessian_options o;
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    if (o.samples == 0 && !o.index) o.samples = objective->samples;
    if (o.steps == 0) o.steps = 100;
    if (o.probes == 0) o.probes = 10;
    if (!objective->hessian_vector) o.use_differences = 1;
    return o;
}

/* Checks resolved options against the objective; the objective itself is checked with its tensors.
   */
static prun_status prun__hessian_check(const prun_objective *o, const prun_hessian_options *p) {
    prun_context *context = o->context;
    int64_t i;
    if (p->scope != PRUN_HESSIAN_WEIGHTS && p->scope != PRUN_HESSIAN_ALL)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "Hessian: unknown scope %d", (int)p->scope);
    if (p->samples < 1 || (!p->index && p->samples > o->samples))
        return prun__fail(context, PRUN_ERR_ARGUMENT, "Hessian: %lld samples of %lld",
                          (long long)p->samples, (long long)o->samples);
    for (i = 0; p->index && i < p->samples; i++)
        if (p->index[i] < 0 || p->index[i] >= o->samples)
            return prun__fail(context, PRUN_ERR_ARGUMENT, "Hessian: index[%lld] is %lld of %lld",
                              (long long)i, (long long)p->index[i], (long long)o->samples);
    if (!(p->step >= 0.0 && p->step <= 1.0))
        return prun__fail(context, PRUN_ERR_ARGUMENT, "Hessian: step %g is not in [0, 1]", p->step);
    if (p->steps < 1 || p->probes < 1 || p->probes > INT32_MAX)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "Hessian: %lld steps, %lld probes",
                          (long long)p->steps, (long long)p->probes);
    return PRUN_OK;
}

/* Chooses the tensors. All are checked: the callbacks' flat vectors run over all of them. */
static prun_status prun__hessian_select_tensors(prun__hessian *h) {
    const prun_objective *o = h->o;
    int64_t i;
    PRUN__TRY(prun__objective_check(o));
    h->start =
        (int64_t *)prun__alloc(h->context, 3 * o->tensor_count + 1, sizeof(int64_t), "Hessian");
    if (!h->start) return PRUN_ERR_MEMORY;
    h->place = h->start + o->tensor_count + 1;
    h->which = h->place + o->tensor_count;
    h->start[0] = 0;
    for (i = 0; i < o->tensor_count; i++) {
        const prun_tensor *t = &o->tensors[i];
        const int takes = h->options.mask ? h->options.mask[i] != 0
                                          : h->options.scope == PRUN_HESSIAN_ALL ||
                                                (t->flags & PRUN_TENSOR_WEIGHT) != 0;
        if (takes) {
            h->others |= !(t->flags & PRUN_TENSOR_WEIGHT);
            h->which[h->tensors] = i;
            h->place[h->tensors++] = h->all;
            h->start[h->tensors] = h->k += prun_tensor_size(t);
        }
        h->all += prun_tensor_size(t);
    }
    if (h->k == 0) return prun__fail(h->context, PRUN_ERR_ARGUMENT, "Hessian: no tensor is chosen");
    h->options.steps = PRUN__MIN(h->options.steps, h->k);
    return PRUN_OK;
}

/* Where element i of all tensors stands, for messages. */
static prun_status prun__hessian_fail_nonfinite(const prun__hessian *h, const char *what,
                                                int64_t i) {
    int64_t t = 0;
    while (i >= prun_tensor_size(&h->o->tensors[t])) i -= prun_tensor_size(&h->o->tensors[t++]);
    return prun__fail(h->context, PRUN_ERR_NONFINITE, "%s %s[%lld] is not finite", what,
                      h->o->tensors[t].name ? h->o->tensors[t].name : "?", (long long)i);
}

/* Copies the chosen weights; all must be finite. */
static prun_status prun__hessian_copy_weights(prun__hessian *h) {
    int64_t i, t, before = 0;
    for (t = 0; t < h->o->tensor_count; t++) {
        const int64_t size = prun_tensor_size(&h->o->tensors[t]);
        i = prun__values_find_nonfinite(h->o->tensors[t].data, size);
        if (i >= 0) return prun__hessian_fail_nonfinite(h, "weight", before + i);
        before += size;
    }
    for (t = 0; t < h->tensors; t++)
        memcpy(h->saved + h->start[t], h->o->tensors[h->which[t]].data,
               (size_t)(h->start[t + 1] - h->start[t]) * sizeof(float));
    for (i = 0; i < h->k; i++) h->weight_norm += (double)h->saved[i] * (double)h->saved[i];
    h->weight_norm = sqrt(h->weight_norm);
    return PRUN_OK;
}

/* Everything that a product needs. Free it in any case. */
static prun_status prun__hessian_make(const prun_objective *o, const prun_hessian_options *options,
                                      prun__hessian *h) {
    memset(h, 0, sizeof *h);
    h->o = o;
    h->context = o->context;
    h->options = prun_hessian_resolved(o, options);
    PRUN__TRY(prun__hessian_check(o, &h->options));
    if (h->options.use_differences && !o->gradient)
        return prun__fail(h->context, PRUN_ERR_UNSUPPORTED, "objective: the %s callback is missing",
                          o->hessian_vector ? "gradient" : "hessian_vector (or gradient)");
    PRUN__TRY(prun__hessian_select_tensors(h));
    h->v = (float *)prun__alloc_zero(h->context, 2 * h->all + h->k, sizeof(float), "Hessian");
    if (!h->v) return PRUN_ERR_MEMORY;
    h->product = h->v + h->all;
    h->saved = h->product + h->all;
    return prun__hessian_copy_weights(h);
}

/* Makes w + step v the objective's weights; step 0: w, bit by bit. */
static void prun__hessian_set_weights(const prun__hessian *h, const float *v, double step) {
    int64_t t, i;
    for (t = 0; t < h->tensors; t++) {
        float *to = h->o->tensors[h->which[t]].data;
        for (i = h->start[t]; i < h->start[t + 1]; i++, to++)
            *to = step == 0.0 ? h->saved[i] : (float)((double)h->saved[i] + step * (double)v[i]);
    }
}

/* Euclidean norm of n floats, summed in double. */
static double prun__values_norm(const float *v, int64_t n) {
    double sum = 0.0;
    int64_t i;
    for (i = 0; i < n; i++) sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

/* Gradients at w + h v and w - h v, h |v| = length, into h->product and h->v; *scale: what their
   difference is to be multiplied by. */
static prun_status prun__hessian_run_gradients(prun__hessian *h, const float *v, double length,
                                               double *scale) {
    const prun_hessian_options *p = &h->options;
    const double norm = prun__values_norm(v, h->k), step = norm > 0.0 ? length / norm : 1.0;
    prun_status status;
    prun__hessian_set_weights(h, v, step);
    status = prun__objective_gradient(h->o, p->index, p->samples, h->product, NULL);
    if (status == PRUN_OK) {
        prun__hessian_set_weights(h, v, -step);
        status = prun__objective_gradient(h->o, p->index, p->samples, h->v, NULL);
    }
    prun__hessian_set_weights(h, v, 0.0);
    h->gradients += 2;
    *scale = 0.5 / step;
    return status;
}

/* out = H v, exact or by differences over `length`; whatever comes out. */
static prun_status prun__hessian_product(prun__hessian *h, const float *v, double length,
                                         double *out) {
    const prun_hessian_options *p = &h->options;
    double scale = 1.0;
    int64_t t, i, at;
    if (p->use_differences) {
        PRUN__TRY(prun__hessian_run_gradients(h, v, length, &scale));
    } else {
        for (t = 0; t < h->tensors; t++)
            memcpy(h->v + h->place[t], v + h->start[t],
                   (size_t)(h->start[t + 1] - h->start[t]) * sizeof(float));
        PRUN__TRY(prun__objective_product(h->o, p->index, p->samples, h->v, h->product));
    }
    if (!p->summed) scale /= (double)p->samples;
    for (t = 0; t < h->tensors; t++)
        for (i = h->start[t], at = h->place[t]; i < h->start[t + 1]; i++, at++) {
            out[i] = (double)h->product[at];
            if (p->use_differences) out[i] -= (double)h->v[at];
            out[i] *= scale;
        }
    return PRUN_OK;
}

/* out = H v, which must be finite, and the progress report. */
static prun_status prun__hessian_apply(prun__hessian *h, const float *v, double *out) {
    const prun_hessian_options *p = &h->options;
    int64_t t, i;
    if (!h->opened && h->total > 1 && !p->use_differences) {
        prun__objective_mark_products(h->o, 1, h->others);
        h->opened = 1;
    }
    PRUN__TRY(prun__hessian_product(h, v, h->length, out));
    for (t = 0; t < h->tensors; t++)
        for (i = h->start[t]; i < h->start[t + 1]; i++)
            if (!(fabs(out[i]) <= DBL_MAX))
                return prun__hessian_fail_nonfinite(h, "Hessian-vector product: element",
                                                    h->place[t] + i - h->start[t]);
    h->done++;
    if (p->progress && p->progress(p->user, h->done, h->total))
        return prun__fail(h->context, PRUN_ERR_CANCELLED, "cancelled after %lld of %lld products",
                          (long long)h->done, (long long)h->total);
    return PRUN_OK;
}

/* ---- the step of finite differences ---- */
/*
   The error of a difference over the length h is truncation, which falls as h^2, rounding, which
   rises as 1/h, and kinks: one that lies within h adds its jump over 2h, one that lies outside
   adds nothing. The ladder compares differences over lengths that fall by four, down to where
   rounding is all there is, because kinks may be left behind at any rung. A rung is as good as it
   agrees with the next one, unless lower rungs disagree by more than rounding explains.
*/

#define PRUN__RUNGS 16

typedef struct prun__ladder {
    int count; /* of rungs: pairs of neighbouring lengths */
    double length[PRUN__RUNGS + 1];
    double size[PRUN__RUNGS + 1]; /* norm of the product of each length */
    double apart[PRUN__RUNGS];    /* norm of the difference between length i and i + 1 */
} prun__ladder;

/* Norms of b and of a - b; +infinity where they are not finite. */
static void prun__ladder_compare(const double *a, const double *b, int64_t k, double *size,
                                 double *apart) {
    double square = 0.0, other = 0.0;
    int64_t i;
    for (i = 0; i < k; i++) {
        square += b[i] * b[i];
        other += (a[i] - b[i]) * (a[i] - b[i]);
    }
    *size = square <= DBL_MAX ? sqrt(square) : HUGE_VAL;
    *apart = other <= DBL_MAX ? sqrt(other) : HUGE_VAL;
}

/* Whether everything below a length is rounding: of the weights, or of the gradient, whose last
   value is in h->v. */
static int prun__ladder_has_ended(const prun__hessian *h, double length, double size) {
    const double unit = 0.5 * (double)FLT_EPSILON;
    double square = 0.0, norm;
    int64_t t;
    if (unit * h->weight_norm > 0.1 * length) return 1;
    for (t = 0; t < h->tensors; t++) {
        norm = prun__values_norm(h->v + h->place[t], h->start[t + 1] - h->start[t]);
        square += norm * norm;
    }
    norm = sqrt(square) / (h->options.summed ? 1.0 : (double)h->options.samples);
    return size < HUGE_VAL && unit * norm > 0.1 * length * size;
}

/* Differences along the unit vector v over lengths that fall from `top`. room: 2 k. */
static prun_status prun__ladder_run(prun__hessian *h, const float *v, double top, int most,
                                    double *room, prun__ladder *l) {
    double *a = room, *b = room + h->k, *t, ignored;
    int i;
    l->count = 0;
    l->length[0] = top;
    PRUN__TRY(prun__hessian_product(h, v, top, a));
    prun__ladder_compare(a, a, h->k, &l->size[0], &ignored);
    for (i = 0; i < most; i++) {
        l->length[i + 1] = 0.25 * l->length[i];
        PRUN__TRY(prun__hessian_product(h, v, l->length[i + 1], b));
        prun__ladder_compare(a, b, h->k, &l->size[i + 1], &l->apart[i]);
        l->count++;
        if (prun__ladder_has_ended(h, l->length[i + 1], l->size[i + 1])) break;
        t = a;
        a = b;
        b = t;
    }
    return PRUN_OK;
}

/* The best rung's middle becomes the length: its truncation is a quarter to a half of what the
   rung's two ends differ by, and its rounding half of it. */
static void prun__ladder_select(prun__hessian *h, const prun__ladder *l) {
    double rounding = HUGE_VAL, below = 0.0, best = HUGE_VAL;
    int i;
    for (i = PRUN__MAX(0, l->count - 3); i < l->count; i++)
        rounding = PRUN__MIN(rounding, l->apart[i] * l->length[i + 1]);
    h->length = 0.5 * l->length[l->count - 1];
    h->error = h->noise = HUGE_VAL;
    for (i = l->count - 1; i >= 0; i--) {
        const double expected = 3.0 * rounding / l->length[i + 1];
        const double apart = PRUN__MAX(0.5 * l->apart[i], below);
        const double error = apart == 0.0 ? 0.0 : apart / l->size[i + 1];
        if (error <= best && l->apart[i] < HUGE_VAL) {
            best = h->error = error;
            h->length = 0.5 * l->length[i];
            h->noise = PRUN__MIN(0.5 * l->apart[i], rounding / h->length);
        }
        if (l->apart[i] > expected) below = PRUN__MAX(below, l->apart[i] - expected);
    }
}

/* Turns u towards the largest curvature by `turns` products of unit length. room: k. */
static prun_status prun__power_iteration_run(prun__hessian *h, float *u, int turns, double *room) {
    double size, ignored;
    int64_t i;
    for (; turns > 0; turns--) {
        PRUN__TRY(prun__hessian_product(h, u, h->length, room));
        prun__ladder_compare(room, room, h->k, &size, &ignored);
        if (!(size > 0.0 && size < HUGE_VAL)) return PRUN_OK;
        for (i = 0; i < h->k; i++) u[i] = (float)(room[i] / size);
    }
    return PRUN_OK;
}

#define PRUN__TURNS 2

/* Chooses the length of differences: along v, or, where that is NULL, in a direction of large
   curvature. A step that was asked for is only judged. */
static prun_status prun__hessian_select_length(prun__hessian *h, const float *v) {
    const double scale = 1.0 + h->weight_norm, step = h->options.step;
    double *room, norm;
    float *u;
    prun__ladder l;
    prun_status status;
    int64_t i;
    if (!h->options.use_differences) return PRUN_OK;
    h->length = (step > 0.0 ? step : 0.003) * scale;
    room =
        (double *)prun__alloc(h->context, prun__size_product(3, h->k), sizeof(double), "Hessian");
    if (!room) return PRUN_ERR_MEMORY;
    u = (float *)(room + 2 * h->k);
    for (i = 0; i < h->k; i++)
        u[i] = v ? v[i]
                 : (float)prun_random_normal(h->options.seed, PRUN__STREAM_HESSIAN, (uint64_t)i);
    norm = prun__values_norm(u, h->k);
    for (i = 0; norm > 0.0 && i < h->k; i++) u[i] = (float)((double)u[i] / norm);
    status = v ? PRUN_OK : prun__power_iteration_run(h, u, PRUN__TURNS, room);
    if (status == PRUN_OK && norm > 0.0) {
        status = prun__ladder_run(h, u, step > 0.0 ? 2.0 * h->length : scale / 32.0,
                                  step > 0.0 ? 1 : PRUN__RUNGS, room, &l);
        if (status == PRUN_OK) prun__ladder_select(h, &l);
    }
    prun__free(h->context, room);
    return status;
}

/* How much the product with v changes when the length of its differences is halved: other becomes
   that product, `apart` the norm of the change, relative to it. Halved, not doubled: a kink that
   only the longer one crosses would say nothing about the shorter. */
static prun_status prun__hessian_compare_lengths(prun__hessian *h, const float *v,
                                                 const double *product, double *other,
                                                 double *apart) {
    double size;
    PRUN__TRY(prun__hessian_product(h, v, 0.5 * h->length, other));
    prun__ladder_compare(product, other, h->k, &size, apart);
    if (*apart > 0.0) *apart /= size;
    return PRUN_OK;
}

/* A caller's v must be finite. */
static prun_status prun__hessian_check_direction(const prun__hessian *h, const float *v) {
    const int64_t bad = prun__values_find_nonfinite(v, h->k);
    return bad < 0 ? PRUN_OK
                   : prun__fail(h->context, PRUN_ERR_NONFINITE, "Hessian: v[%lld] is not finite",
                                (long long)bad);
}

PRUNDEF prun_status prun_hessian_size(const prun_objective *objective,
                                      const prun_hessian_options *options, int64_t *k) {
    prun__hessian h;
    prun_status status;
    memset(&h, 0, sizeof h);
    h.o = objective;
    h.context = objective->context;
    h.options = prun_hessian_resolved(objective, options);
    status = prun__hessian_select_tensors(&h);
    if (status == PRUN_OK) *k = h.k;
    prun__hessian_free(&h);
    return status;
}

PRUNDEF prun_status prun_hessian_vector(const prun_objective *objective, const float *v,
                                        const prun_hessian_options *options, double *product) {
    prun__hessian h;
    prun_status status = prun__hessian_make(objective, options, &h);
    h.total = 1;
    if (status == PRUN_OK) status = prun__hessian_check_direction(&h, v);
    h.length = h.options.step * (1.0 + h.weight_norm);
    if (status == PRUN_OK && h.options.step == 0.0) status = prun__hessian_select_length(&h, v);
    if (status == PRUN_OK) status = prun__hessian_apply(&h, v, product);
    prun__hessian_free(&h);
    return status;
}

PRUNDEF prun_status prun_hessian_difference(const prun_objective *objective, const float *v,
                                            const prun_hessian_options *options,
                                            prun_difference *result) {
    prun__hessian h;
    prun_status status = prun__hessian_make(objective, options, &h);
    if (status == PRUN_OK && v) status = prun__hessian_check_direction(&h, v);
    if (status == PRUN_OK) status = prun__hessian_select_length(&h, v);
    if (status == PRUN_OK) {
        memset(result, 0, sizeof *result);
        result->step = h.length / (1.0 + h.weight_norm);
        result->error = h.error;
        result->noise = h.noise;
        result->gradients = h.gradients;
    }
    prun__hessian_free(&h);
    return status;
}
#endif

/* [SPECTRUM.I] Lanczos: eigenvalues, trace, spectrum, effective dimensionality */
/*
   Lanczos vectors are kept as floats: the operator takes floats, so the vector that is multiplied
   is exactly the one that is stored, and the reorthogonalisation, which is what a step costs beside
   its product, reads half the memory. Everything else is double.
*/
#ifndef PRUNABILITY_NO_HESSIAN

/* ---- tridiagonal eigenproblem ---- */

/* One implicit QR step with Wilkinson's shift on rows lo .. hi of the matrix with diagonal a and
   couplings b (Golub and Van Loan 2013, 8.3.5). Columns of z, `rows` long, turn along. */
static void prun__qr_step(double *a, double *b, int64_t lo, int64_t hi, double *z, int64_t rows) {
    const double half = 0.5 * (a[hi - 1] - a[hi]), last = b[hi - 1];
    const double root = sqrt(half * half + last * last);
    double x = a[lo] - (a[hi] - last * last / (half < 0.0 ? half - root : half + root));
    double y = b[lo];
    int64_t i, j;
    for (i = lo; i < hi; i++) {
        const double r = sqrt(x * x + y * y), c = r > 0.0 ? x / r : 1.0, s = r > 0.0 ? y / r : 0.0;
        const double p = a[i], q = a[i + 1], w = b[i];
        double *u = z + i * rows, *v = u + rows;
        if (i > lo) b[i - 1] = r;
        a[i] = c * c * p + s * (2.0 * c * w + s * q);
        a[i + 1] = c * c * q + s * (s * p - 2.0 * c * w);
        b[i] = c * s * (q - p) + (c * c - s * s) * w;
        if (i + 1 < hi) { /* the bulge, chased down in the next turn */
            x = b[i];
            y = s * b[i + 1];
            b[i + 1] *= c;
        }
        for (j = 0; j < rows; j++) {
            const double t = u[j];
            u[j] = c * t + s * v[j];
            v[j] = c * v[j] - s * t;
        }
    }
}

/* Ascending a, its columns of z along with it. */
static void prun__eigenpairs_sort(double *a, int64_t n, double *z, int64_t rows) {
    int64_t i, j, best;
    for (i = 0; i < n; i++) {
        double t;
        for (best = i, j = i + 1; j < n; j++)
            if (a[j] < a[best]) best = j;
        if (best == i) continue;
        t = a[i];
        a[i] = a[best];
        a[best] = t;
        for (j = 0; j < rows; j++) {
            t = z[i * rows + j];
            z[i * rows + j] = z[best * rows + j];
            z[best * rows + j] = t;
        }
    }
}

/* Eigenvalues, ascending, in place of a; b is lost. z: n columns of `rows`, which start as rows of
   the identity and end as those rows of the eigenvectors. Scaled, so that squares stay in range. */
static prun_status prun__tridiagonal_find_eigenpairs(prun_context *context, double *a, double *b,
                                                     int64_t n, double *z, int64_t rows) {
    int64_t hi = n - 1, lo, i, steps = 0;
    double scale = 0.0;
    for (i = 0; i < n; i++) {
        scale = PRUN__MAX(scale, fabs(a[i]));
        if (i + 1 < n) scale = PRUN__MAX(scale, fabs(b[i]));
    }
    for (i = 0; scale > 0.0 && i < n; i++) {
        a[i] /= scale;
        if (i + 1 < n) b[i] /= scale;
    }
    while (hi > 0) {
        for (lo = hi; lo > 0; lo--)
            if (fabs(b[lo - 1]) <= DBL_EPSILON * (fabs(a[lo - 1]) + fabs(a[lo])) ||
                fabs(b[lo - 1]) <= DBL_MIN)
                break;
        if (lo == hi) hi--;
        else if (++steps > 60 * n)
            return prun__fail(context, PRUN_ERR_NONFINITE,
                              "Lanczos: the tridiagonal matrix has no eigenvalues");
        else prun__qr_step(a, b, lo, hi, z, rows);
    }
    prun__eigenpairs_sort(a, n, z, rows);
    for (i = 0; i < n; i++) a[i] *= scale;
    return PRUN_OK;
}

/* ---- Lanczos ---- */

typedef struct prun__lanczos {
    prun__hessian *h;
    int64_t steps, made;  /* basis vectors in all and so far */
    float *basis;         /* steps x k */
    double *r;            /* k: the next vector */
    double *alpha, *beta; /* steps: diagonal and couplings of the tridiagonal matrix */
    double *part;         /* steps: inner products */
    double asymmetry;     /* largest norm of what a product has where, by symmetry, it has none */
    double *a, *b, *z;    /* steps, and steps x rows: eigenproblem */
} prun__lanczos;

/* Frees the basis and the arrays, even of one that is only partly made. */
static void prun__lanczos_free(prun__lanczos *l) {
    prun__free(l->h->context, l->basis);
    prun__free(l->h->context, l->alpha);
}

/* rows: of the eigenvectors of the tridiagonal matrix that are wanted. */
static prun_status prun__lanczos_make(prun__hessian *h, int64_t rows, prun__lanczos *l) {
    prun_context *context = h->context;
    const int64_t steps = h->options.steps;
    memset(l, 0, sizeof *l);
    l->h = h;
    l->steps = steps;
    l->basis =
        (float *)prun__alloc(context, prun__size_product(steps, h->k), sizeof(float), "Lanczos");
    l->alpha = (double *)prun__alloc(context, h->k + prun__size_product(steps, 5 + rows),
                                     sizeof(double), "Lanczos");
    if (!l->basis || !l->alpha) return PRUN_ERR_MEMORY;
    l->beta = l->alpha + steps;
    l->part = l->beta + steps;
    l->a = l->part + steps;
    l->b = l->a + steps;
    l->r = l->b + steps;
    l->z = l->r + h->k;
    return PRUN_OK;
}

/* Inner product of r with basis vector i; four sums that fit vector registers. */
static void prun__lanczos_inner_product_task(void *pointer, int64_t i, int64_t worker) {
    const prun__lanczos *l = (const prun__lanczos *)pointer;
    const int64_t k = l->h->k;
    const float *q = l->basis + i * k;
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    int64_t e;
    (void)worker;
    for (e = 0; e + 4 <= k; e += 4) {
        sum[0] += (double)q[e] * l->r[e];
        sum[1] += (double)q[e + 1] * l->r[e + 1];
        sum[2] += (double)q[e + 2] * l->r[e + 2];
        sum[3] += (double)q[e + 3] * l->r[e + 3];
    }
    for (; e < k; e++) sum[0] += (double)q[e] * l->r[e];
    l->part[i] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

#define PRUN__LANCZOS_PIECE 2048

/* Takes the basis vectors' parts away from a piece of r. */
static void prun__lanczos_projection_task(void *pointer, int64_t piece, int64_t worker) {
    const prun__lanczos *l = (const prun__lanczos *)pointer;
    const int64_t k = l->h->k, from = piece * PRUN__LANCZOS_PIECE;
    const int64_t n = PRUN__MIN(PRUN__LANCZOS_PIECE, k - from);
    double *PRUN__RESTRICT r = l->r + from;
    int64_t i, e, j;
    (void)worker;
    for (i = 0; i < l->made; i++) {
        const float *PRUN__RESTRICT q = l->basis + i * k + from;
        const double part = l->part[i];
        for (e = 0; e + 8 <= n; e += 8) /* a constant length vectorises under plain -O2 */
            for (j = 0; j < 8; j++) r[e + j] -= part * (double)q[e + j];
        for (; e < n; e++) r[e] -= part * (double)q[e];
    }
}

/* What the product r with the last basis vector has along earlier ones is the coupling to the one
   before; the rest is the error of the products, seen from within their space. */
static void prun__lanczos_note_asymmetry(prun__lanczos *l) {
    double square = 0.0;
    int64_t i;
    for (i = 0; i + 1 < l->made; i++) {
        const double d = l->part[i] - (i + 2 == l->made ? l->beta[i] : 0.0);
        square += d * d;
    }
    l->asymmetry = PRUN__MAX(l->asymmetry, sqrt(square));
}

/* Makes r orthogonal to all basis vectors: classical Gram-Schmidt, twice, which is enough (Giraud
   et al. 2005). Returns r's part along the last of them. product: r is one, with the last. */
static double prun__lanczos_make_orthogonal(prun__lanczos *l, int product) {
    prun_context *context = l->h->context;
    double along = 0.0;
    int pass;
    for (pass = 0; pass < 2; pass++) {
        prun__for(context, prun__lanczos_inner_product_task, l, l->made);
        if (product && pass == 0) prun__lanczos_note_asymmetry(l);
        if (l->made > 0) along += l->part[l->made - 1];
        prun__for(context, prun__lanczos_projection_task, l,
                  (l->h->k + PRUN__LANCZOS_PIECE - 1) / PRUN__LANCZOS_PIECE);
    }
    return along;
}

/* Euclidean norm of r. */
static double prun__lanczos_norm(const prun__lanczos *l) {
    double sum = 0.0;
    int64_t e;
    for (e = 0; e < l->h->k; e++) sum += l->r[e] * l->r[e];
    return sqrt(sum);
}

/* r / norm becomes the next basis vector. */
static void prun__lanczos_add(prun__lanczos *l, double norm) {
    float *q = l->basis + l->made * l->h->k;
    int64_t e;
    for (e = 0; e < l->h->k; e++) q[e] = (float)(l->r[e] / norm);
    l->made++;
}

/* A Gaussian vector, orthogonal to what is there, is the next basis vector. */
static void prun__lanczos_add_random(prun__lanczos *l, uint64_t stream) {
    int64_t e;
    for (e = 0; e < l->h->k; e++)
        l->r[e] = prun_random_normal(l->h->options.seed, stream, (uint64_t)e);
    if (l->made > 0) prun__lanczos_make_orthogonal(l, 0);
    prun__lanczos_add(l, prun__lanczos_norm(l));
}

/* Runs all steps of one probe. What is left of r below the rounding of the float products says that
   the subspace is invariant: couple nothing and start afresh. */
static prun_status prun__lanczos_run(prun__lanczos *l, int64_t probe) {
    double size = 0.0;
    int64_t j;
    l->made = 0;
    prun__lanczos_add_random(l, PRUN__STREAM_HESSIAN + (uint64_t)probe);
    for (j = 0; j < l->steps; j++) {
        double norm;
        PRUN__TRY(prun__hessian_apply(l->h, l->basis + j * l->h->k, l->r));
        l->alpha[j] = prun__lanczos_make_orthogonal(l, 1);
        norm = prun__lanczos_norm(l);
        size = PRUN__MAX(size, fabs(l->alpha[j]) + (j ? l->beta[j - 1] : 0.0));
        l->beta[j] = norm > 8.0 * FLT_EPSILON * size ? norm : 0.0;
        if (j + 1 == l->steps) break;
        if (l->beta[j] > 0.0) prun__lanczos_add(l, norm);
        else prun__lanczos_add_random(l, PRUN__STREAM_RESTART + (uint64_t)(probe * l->steps + j));
    }
    return PRUN_OK;
}

/* Eigenvalues of the leading n x n part into l->a, `rows` rows of its eigenvectors into l->z. */
static prun_status prun__lanczos_find_eigenpairs(prun__lanczos *l, int64_t n, int64_t rows) {
    int64_t i;
    memcpy(l->a, l->alpha, (size_t)n * sizeof(double));
    memcpy(l->b, l->beta, (size_t)n * sizeof(double));
    memset(l->z, 0, (size_t)(n * rows) * sizeof(double));
    for (i = 0; i < rows; i++) l->z[i * rows + i] = 1.0;
    return prun__tridiagonal_find_eigenpairs(l->h->context, l->a, l->b, n, l->z, rows);
}

/* Adds to a residual, whose vector is in r, what another length of the differences changes. */
static prun_status prun__ritz_add_difference_error(prun__lanczos *l, int64_t column,
                                                   const float *vector, double *residual) {
    const int64_t k = l->h->k;
    double *other = (double *)prun__alloc(l->h->context, k, sizeof(double), "Hessian");
    double square = 0.0;
    prun_status status =
        other ? prun__hessian_product(l->h, vector, 0.5 * l->h->length, other) : PRUN_ERR_MEMORY;
    int64_t i;
    for (i = 0; status == PRUN_OK && i < k; i++) {
        const double d = l->r[i] + l->a[column] * (double)vector[i] - other[i];
        square += d * d;
    }
    *residual += sqrt(square);
    prun__free(l->h->context, other);
    return status;
}

/* Ritz vector of column `column`, the basis times an eigenvector of the tridiagonal matrix, and how
   far it is from an eigenvector of H. */
static prun_status prun__ritz_pair(prun__lanczos *l, int64_t column, float *vector,
                                   double *residual) {
    const int64_t k = l->h->k;
    double norm;
    int64_t i;
    memset(l->r, 0, (size_t)k * sizeof(double));
    for (i = 0; i < l->steps; i++) l->part[i] = -l->z[column * l->steps + i];
    for (i = 0; i * PRUN__LANCZOS_PIECE < k; i++) prun__lanczos_projection_task(l, i, 0);
    norm = prun__lanczos_norm(l);
    for (i = 0; i < k; i++) vector[i] = (float)(l->r[i] / norm);
    if (!residual) return PRUN_OK;
    PRUN__TRY(prun__hessian_apply(l->h, vector, l->r));
    for (i = 0; i < k; i++) l->r[i] -= l->a[column] * (double)vector[i];
    *residual = prun__lanczos_norm(l);
    return l->h->options.use_differences
               ? prun__ritz_add_difference_error(l, column, vector, residual)
               : PRUN_OK;
}

PRUNDEF prun_status prun_hessian_eigenpairs(const prun_objective *objective, int64_t count,
                                            const prun_hessian_options *options, double *values,
                                            double *residuals, float *vectors) {
    prun__hessian h;
    prun__lanczos l;
    float *spare = NULL;
    int64_t i;
    prun_status status = prun__hessian_make(objective, options, &h);
    memset(&l, 0, sizeof l);
    l.h = &h;
    if (status == PRUN_OK && (count < 1 || count > h.options.steps))
        status = prun__fail(h.context, PRUN_ERR_ARGUMENT, "Hessian: %lld eigenpairs of %lld steps",
                            (long long)count, (long long)h.options.steps);
    if (status == PRUN_OK) status = prun__lanczos_make(&h, h.options.steps, &l);
    if (status == PRUN_OK && !vectors) {
        spare = (float *)prun__alloc(h.context, h.k, sizeof(float), "eigenvector");
        if (!spare) status = PRUN_ERR_MEMORY;
    }
    h.total = h.options.steps + (residuals ? count : 0);
    if (status == PRUN_OK) status = prun__hessian_select_length(&h, NULL);
    if (status == PRUN_OK) status = prun__lanczos_run(&l, 0);
    if (status == PRUN_OK) status = prun__lanczos_find_eigenpairs(&l, l.steps, l.steps);
    for (i = 0; status == PRUN_OK && i < count; i++) {
        const int64_t column = h.options.smallest ? i : l.steps - 1 - i;
        values[i] = l.a[column];
        if (vectors || residuals)
            status = prun__ritz_pair(&l, column, vectors ? vectors + i * h.k : spare,
                                     residuals ? residuals + i : NULL);
    }
    prun__free(h.context, spare);
    prun__lanczos_free(&l);
    prun__hessian_free(&h);
    return status;
}

/* ---- estimates ---- */

/* Mean and standard error from a sum and a sum of squared deviations. */
static prun_estimate prun__estimate_make(const double *values, int64_t count, int64_t stride) {
    prun_estimate e;
    double squares = 0.0;
    int64_t i;
    memset(&e, 0, sizeof e);
    e.count = count;
    for (i = 0; i < count; i++) e.value += values[i * stride];
    e.value /= (double)count;
    for (i = 0; i < count; i++)
        squares += (values[i * stride] - e.value) * (values[i * stride] - e.value);
    e.standard_error = count > 1 ? sqrt(squares / ((double)(count - 1) * (double)count)) : HUGE_VAL;
    e.error = e.standard_error;
    return e;
}

/* Fills in the errors that do not show in the spread. */
static void prun__estimate_set_errors(prun_estimate *e, double quadrature, double difference) {
    e->quadrature_error = quadrature;
    e->difference_error = difference;
    e->error = sqrt(e->standard_error * e->standard_error + quadrature * quadrature +
                    difference * difference);
}

/* Fills v with the random signs of a probe, as in Hutchinson's estimator. */
static void prun__trace_fill_vector(const prun__hessian *h, int64_t probe, float *v) {
    int64_t i;
    for (i = 0; i < h->k; i++)
        v[i] =
            prun_random_bits(h->options.seed, PRUN__STREAM_TRACE + (uint64_t)probe, (uint64_t)i) & 1
                ? 1.0f
                : -1.0f;
}

/* Inner products of v and `product`, tensor by tensor, and their sum. */
static void prun__trace_parts(const prun__hessian *h, const float *v, const double *product,
                              double *parts) {
    int64_t t, i;
    parts[h->tensors] = 0.0;
    for (t = 0; t < h->tensors; t++) {
        parts[t] = 0.0;
        for (i = h->start[t]; i < h->start[t + 1]; i++) parts[t] += (double)v[i] * product[i];
        parts[h->tensors] += parts[t];
    }
}

/* One probe: v' H v, tensor by tensor, and how much each part changes when the length of the
   differences is halved, added to `doubts`. A vector that changes much more than the first did lies
   nearer to a kink: it gets a length of its own. product: 2 k. */
static prun_status prun__trace_run_probe(prun__hessian *h, int64_t probe, float *v, double *product,
                                         double *parts, double *doubts) {
    const double length = h->length, error = h->error;
    double *other = product + h->k, *change = doubts + h->tensors + 1, apart;
    int64_t i, t;
    prun__trace_fill_vector(h, probe, v);
    PRUN__TRY(prun__hessian_apply(h, v, product));
    if (h->options.use_differences) {
        PRUN__TRY(prun__hessian_compare_lengths(h, v, product, other, &apart));
        if (h->options.step == 0.0 && apart > PRUN__MAX(8.0 * error, 0.003)) {
            PRUN__TRY(prun__hessian_select_length(h, v));
            PRUN__TRY(prun__hessian_product(h, v, h->length, product));
            PRUN__TRY(prun__hessian_compare_lengths(h, v, product, other, &apart));
            h->length = length;
            h->error = PRUN__MAX(h->error, error);
        }
        for (i = 0; i < h->k; i++) other[i] -= product[i];
        prun__trace_parts(h, v, other, change);
        for (t = 0; t <= h->tensors; t++) doubts[t] += fabs(change[t]) / (double)h->options.probes;
    }
    prun__trace_parts(h, v, product, parts);
    return PRUN_OK;
}

/* Part t of the trace with its errors, from rows of parts and the doubts. */
static prun_estimate prun__trace_estimate(const prun__hessian *h, const double *parts,
                                          const double *doubts, int64_t t) {
    prun_estimate e = prun__estimate_make(parts + t, h->options.probes, h->tensors + 1);
    const double share = e.value != 0.0 ? h->error * fabs(e.value) : 0.0; /* no 0 x infinity */
    if (h->options.use_differences) prun__estimate_set_errors(&e, 0.0, doubts[t] + share);
    return e;
}

PRUNDEF prun_status prun_hessian_trace(const prun_objective *objective,
                                       const prun_hessian_options *options, prun_estimate *trace,
                                       prun_estimate *by_tensor) {
    prun__hessian h;
    float *v = NULL;
    double *product = NULL, *parts = NULL, *doubts = NULL;
    prun_status status = prun__hessian_make(objective, options, &h);
    const int64_t probes = h.options.probes, row = h.tensors + 1;
    int64_t i;
    if (status == PRUN_OK) {
        v = (float *)prun__alloc(h.context, h.k, sizeof(float), "trace");
        product = (double *)prun__alloc_zero(
            h.context, 2 * h.k + prun__size_product(probes + 2, row), sizeof(double), "trace");
        if (!v || !product) status = PRUN_ERR_MEMORY;
    }
    h.total = probes;
    if (status == PRUN_OK) {
        doubts = product + 2 * h.k;
        parts = doubts + 2 * row;
        prun__trace_fill_vector(&h, 0, v);
        status = prun__hessian_select_length(&h, v);
    }
    for (i = 0; status == PRUN_OK && i < probes; i++)
        status = prun__trace_run_probe(&h, i, v, product, parts + i * row, doubts);
    if (status == PRUN_OK) {
        *trace = prun__trace_estimate(&h, parts, doubts, h.tensors);
        for (i = 0; by_tensor && i < h.tensors; i++)
            by_tensor[i] = prun__trace_estimate(&h, parts, doubts, i);
    }
    prun__free(h.context, product);
    prun__free(h.context, v);
    prun__hessian_free(&h);
    return status;
}

PRUNDEF void prun_spectrum_free(prun_spectrum *s) {
    prun__free(s->context, s->values);
    memset(s, 0, sizeof *s);
}

/* Runs Lanczos for all probes and fills in the nodes, weights and tridiagonal matrices, and what
   finite differences may be wrong by. */
static prun_status prun__spectrum_run(prun__hessian *h, prun_spectrum *s) {
    prun__lanczos l;
    prun_status status = prun__lanczos_make(h, 1, &l);
    int64_t i, j;
    double largest = 0.0;
    h->total = s->probes * s->steps;
    if (status == PRUN_OK) status = prun__hessian_select_length(h, NULL);
    for (i = 0; status == PRUN_OK && i < s->probes; i++) {
        status = prun__lanczos_run(&l, i);
        if (status == PRUN_OK) status = prun__lanczos_find_eigenpairs(&l, s->steps, 1);
        for (j = 0; status == PRUN_OK && j < s->steps; j++) {
            s->values[i * s->steps + j] = l.a[j];
            s->weights[i * s->steps + j] = l.z[j] * l.z[j];
            s->diagonal[i * s->steps + j] = l.alpha[j];
            s->couplings[i * s->steps + j] = l.beta[j];
            largest = PRUN__MAX(largest, fabs(l.a[j]));
        }
    }
    if (h->options.use_differences) {
        s->difference_error = largest > 0.0 ? PRUN__MAX(h->error, l.asymmetry / largest) : 0.0;
        s->difference_noise = h->noise;
    }
    prun__lanczos_free(&l);
    return status;
}

PRUNDEF prun_status prun_hessian_spectrum(const prun_objective *objective,
                                          const prun_hessian_options *options,
                                          prun_spectrum *spectrum) {
    prun__hessian h;
    prun_spectrum s;
    prun_status status = prun__hessian_make(objective, options, &h);
    memset(&s, 0, sizeof s);
    memset(spectrum, 0, sizeof *spectrum);
    s.context = h.context;
    s.parameters = h.k;
    s.probes = h.options.probes;
    s.steps = h.options.steps;
    if (status == PRUN_OK) {
        const int64_t full = prun__size_product(s.probes, s.steps);
        s.values = (double *)prun__alloc(h.context, prun__size_product(4, full), sizeof(double),
                                         "spectrum");
        if (!s.values) status = PRUN_ERR_MEMORY;
        else {
            s.weights = s.values + full;
            s.diagonal = s.weights + full;
            s.couplings = s.diagonal + full;
            status = prun__spectrum_run(&h, &s);
        }
    }
    if (status == PRUN_OK) *spectrum = s;
    else prun_spectrum_free(&s);
    prun__hessian_free(&h);
    return status;
}

/* Sum of f over one probe's rule, times k. */
static double prun__quadrature_sum(const double *values, const double *weights, int64_t n, double k,
                                   double (*f)(void *, double), void *user) {
    double sum = 0.0;
    int64_t i;
    for (i = 0; i < n; i++)
        if (weights[i] > 0.0) sum += weights[i] * f(user, values[i]);
    return k * sum;
}

typedef struct prun__function {
    double (*f)(void *user, double eigenvalue);
    void *user;
} prun__function;

/* The square of a function of an eigenvalue, as a callback of its own; user: the prun__function. */
static double prun__function_square(void *user, double eigenvalue) {
    const prun__function *function = (const prun__function *)user;
    const double value = function->f(function->user, eigenvalue);
    return value * value;
}

/* Standard error of a trace of f(H): among few vectors the spread can be small by accident. For
   uniform directions the variance is 2 (k tr f(H)^2 - (tr f(H))^2) / (k + 2), and the same rules
   estimate it. */
static double prun__spectrum_standard_error(const prun_spectrum *s, double trace,
                                            double (*f)(void *, double), void *user) {
    const double k = (double)s->parameters, probes = (double)s->probes;
    prun__function function;
    double squares = 0.0;
    int64_t i;
    function.f = f;
    function.user = user;
    for (i = 0; i < s->probes; i++)
        squares += prun__quadrature_sum(s->values + i * s->steps, s->weights + i * s->steps,
                                        s->steps, k, prun__function_square, &function) /
                   probes;
    return sqrt(PRUN__MAX(2.0 * (k * squares - trace * trace), 0.0) / (k + 2.0) / probes);
}

/* Largest distance between `sum` and what eight shorter rules of the same run give: one alone can
   be near by accident, because around a step of f the values swing. room: 3 x steps. */
static prun_status prun__quadrature_error(const prun_spectrum *s, int64_t probe, double sum,
                                          double (*f)(void *, double), void *user, double *room,
                                          double *swing) {
    double *a = room, *b = a + s->steps, *z = b + s->steps;
    int64_t i, j;
    *swing = 0.0;
    for (i = 0; i < 8; i++) {
        const int64_t n = PRUN__MAX(1, s->steps / 2 + i * s->steps / 16);
        double d;
        memcpy(a, s->diagonal + probe * s->steps, (size_t)n * sizeof(double));
        memcpy(b, s->couplings + probe * s->steps, (size_t)n * sizeof(double));
        memset(z, 0, (size_t)n * sizeof(double));
        z[0] = 1.0;
        PRUN__TRY(prun__tridiagonal_find_eigenpairs(s->context, a, b, n, z, 1));
        for (j = 0; j < n; j++) z[j] *= z[j];
        d = fabs(sum - prun__quadrature_sum(a, z, n, (double)s->parameters, f, user));
        if (d > *swing || d != d) *swing = d; /* NaN stays */
    }
    return PRUN_OK;
}

/* How far the errors of finite differences move one probe's sum: the relative error stretches its
   Ritz values, rounding shifts them by up to its norm (Weyl's inequality). room: steps. */
static double prun__difference_error(const prun_spectrum *s, int64_t probe, double sum,
                                     double (*f)(void *, double), void *user, double *room) {
    const double *values = s->values + probe * s->steps, *weights = s->weights + probe * s->steps;
    const double k = (double)s->parameters;
    double moved[3];
    int64_t j;
    int way;
    if (!(s->difference_error + s->difference_noise <= DBL_MAX)) return HUGE_VAL;
    for (way = 0; way < 3; way++) {
        for (j = 0; j < s->steps; j++)
            room[j] = way == 2 ? values[j] * (1.0 + s->difference_error)
                               : values[j] + (way ? 1.0 : -1.0) * s->difference_noise;
        moved[way] = fabs(sum - prun__quadrature_sum(room, weights, s->steps, k, f, user));
    }
    return PRUN__MAX(moved[0], moved[1]) + moved[2];
}

PRUNDEF prun_status prun_spectrum_trace(const prun_spectrum *spectrum,
                                        double (*f)(void *user, double eigenvalue), void *user,
                                        prun_estimate *trace) {
    const prun_spectrum *s = spectrum;
    double *sums, swing, short_rules = 0.0, differences = 0.0;
    prun_estimate e;
    prun_status status = PRUN_OK;
    int64_t i;
    if (s->probes < 1 || s->steps < 1)
        return prun__fail(s->context, PRUN_ERR_ARGUMENT, "spectrum: empty");
    sums = (double *)prun__alloc(s->context, s->probes + 3 * s->steps, sizeof(double), "spectrum");
    if (!sums) return PRUN_ERR_MEMORY;
    for (i = 0; status == PRUN_OK && i < s->probes; i++) {
        sums[i] = prun__quadrature_sum(s->values + i * s->steps, s->weights + i * s->steps,
                                       s->steps, (double)s->parameters, f, user);
        if (s->difference_error > 0.0)
            differences += prun__difference_error(s, i, sums[i], f, user, sums + s->probes) /
                           (double)s->probes;
        if (s->steps == s->parameters) continue; /* exact */
        status = prun__quadrature_error(s, i, sums[i], f, user, sums + s->probes, &swing);
        short_rules += swing / (double)s->probes;
    }
    e = prun__estimate_make(sums, s->probes, 1);
    e.standard_error =
        PRUN__MAX(e.standard_error, prun__spectrum_standard_error(s, e.value, f, user));
    /* A single step has no shorter rule to compare with. */
    if (s->steps == 1 && s->parameters > 1) short_rules = HUGE_VAL;
    prun__estimate_set_errors(&e, short_rules, differences);
    prun__free(s->context, sums);
    if (status == PRUN_OK && (!(fabs(e.value) <= DBL_MAX) || short_rules != short_rules))
        status = prun__fail(s->context, PRUN_ERR_NONFINITE,
                            "spectrum: the function is not finite at a Ritz value");
    if (status == PRUN_OK) *trace = e;
    return status;
}

/* Density of one probe's rule at a point. */
static double prun__probe_density(const prun_spectrum *s, int64_t probe, double at, double width) {
    const double *values = s->values + probe * s->steps, *weights = s->weights + probe * s->steps;
    double sum = 0.0;
    int64_t i;
    for (i = 0; i < s->steps; i++) {
        const double d = (at - values[i]) / width;
        sum += weights[i] * exp(-0.5 * d * d);
    }
    return sum / (width * 2.506628274631000502415765); /* sqrt(2 pi) */
}

PRUNDEF prun_status prun_spectrum_density(const prun_spectrum *spectrum, const double *grid,
                                          int64_t points, double bandwidth, double *density,
                                          double *standard_errors) {
    const prun_spectrum *s = spectrum;
    double low = HUGE_VAL, high = -HUGE_VAL, *values;
    int64_t i, p;
    for (i = 0; i < points; i++) {
        if (!(fabs(grid[i]) <= DBL_MAX))
            return prun__fail(s->context, PRUN_ERR_ARGUMENT, "density: grid[%lld] is %g",
                              (long long)i, grid[i]);
        low = PRUN__MIN(low, grid[i]);
        high = PRUN__MAX(high, grid[i]);
    }
    if (bandwidth == 0.0) bandwidth = 0.01 * (high - low);
    if (points < 1 || s->probes < 1 || !(bandwidth > 0.0 && bandwidth <= DBL_MAX))
        return prun__fail(s->context, PRUN_ERR_ARGUMENT,
                          "density: %lld points, bandwidth %g, %lld probes", (long long)points,
                          bandwidth, (long long)s->probes);
    values = (double *)prun__alloc(s->context, s->probes, sizeof(double), "density");
    if (!values) return PRUN_ERR_MEMORY;
    for (i = 0; i < points; i++) {
        prun_estimate e;
        for (p = 0; p < s->probes; p++) values[p] = prun__probe_density(s, p, grid[i], bandwidth);
        e = prun__estimate_make(values, s->probes, 1);
        density[i] = e.value;
        if (standard_errors) standard_errors[i] = e.standard_error;
    }
    prun__free(s->context, values);
    return PRUN_OK;
}

/* What bounds the distance of a run's largest Ritz value from an eigenvalue: |H v - value v|, the
   last coupling times the last component of its eigenvector. */
static prun_status prun__spectrum_residual(const prun_spectrum *s, int64_t probe,
                                           double *residual) {
    const double *diagonal = s->diagonal + probe * s->steps;
    const double *couplings = s->couplings + probe * s->steps;
    double *a, *b, *z;
    prun_status status;
    int64_t i;
    a = (double *)prun__alloc(s->context, prun__size_product(3, s->steps), sizeof(double),
                              "Lanczos");
    if (!a) return PRUN_ERR_MEMORY;
    b = a + s->steps;
    z = b + s->steps;
    for (i = 0; i < s->steps; i++) { /* backwards: the last component comes first */
        a[i] = diagonal[s->steps - 1 - i];
        b[i] = i + 1 < s->steps ? couplings[s->steps - 2 - i] : 0.0;
        z[i] = i == 0 ? 1.0 : 0.0;
    }
    status = prun__tridiagonal_find_eigenpairs(s->context, a, b, s->steps, z, 1);
    *residual = s->steps < s->parameters ? couplings[s->steps - 1] * fabs(z[s->steps - 1]) : 0.0;
    prun__free(s->context, a);
    return status;
}

/* e / (e + z) above zero; user: z. */
static double prun__dimension_term(void *user, double eigenvalue) {
    return eigenvalue > 0.0 ? eigenvalue / (eigenvalue + *(const double *)user) : 0.0;
}

PRUNDEF prun_status prun_effective_dimensionality(const prun_spectrum *spectrum, double z,
                                                  prun_effective_dimension *result) {
    const double k = (double)spectrum->parameters;
    prun_effective_dimension r;
    int64_t i;
    memset(&r, 0, sizeof r);
    r.z = z;
    if (!(z > 0.0 && z <= DBL_MAX))
        return prun__fail(spectrum->context, PRUN_ERR_ARGUMENT,
                          "effective dimensionality: z %g is not positive", z);
    PRUN__TRY(prun_spectrum_trace(spectrum, prun__dimension_term, &z, &r.estimate));
    for (i = 0; i < spectrum->steps; i++) r.ritz += prun__dimension_term(&z, spectrum->values[i]);
    r.ritz_fraction = r.ritz / k;
    r.fraction = r.estimate;
    r.fraction.value /= k;
    r.fraction.standard_error /= k;
    r.fraction.quadrature_error /= k;
    r.fraction.difference_error /= k;
    r.fraction.error /= k;
    *result = r;
    return PRUN_OK;
}
#endif

/* [NORMS.I] norms, margins and bounds */
/*
   Formulas that take tensors or numbers. The spectral norm is a Lanczos iteration of its own, in
   double precision, on linear maps.
*/

PRUNDEF double prun_frobenius_squared(const prun_tensor *tensor) {
    const int64_t n = prun_tensor_size(tensor);
    double sum = 0.0;
    int64_t i;
    for (i = 0; i < n; i++) sum += (double)tensor->data[i] * (double)tensor->data[i];
    return sum;
}

PRUNDEF double prun_sum_of_frobenius(const prun_tensor *tensors, int64_t count) {
    double logs = 0.0, layers = 0.0;
    int64_t i;
    if (prun__tensors_check_overlap(NULL, "", tensors, count) != PRUN_OK) return PRUN__NAN;
    for (i = 0; i < count; i++) {
        double square;
        if (!(tensors[i].flags & PRUN_TENSOR_WEIGHT)) continue;
        square = prun_frobenius_squared(&tensors[i]);
        if (square == 0.0) return 0.0;
        logs += log(square);
        layers += 1.0;
    }
    return layers > 0.0 ? layers * exp(logs / layers) : 0.0;
}

PRUNDEF double prun_sum_of_train_losses(const prun_epoch *history, int64_t epochs) {
    double sum = 0.0;
    int64_t i;
    for (i = 0; i < epochs; i++) sum += history[i].loss;
    return -sum;
}

PRUNDEF void prun_output_margins(const float *logits, const int32_t *labels, int64_t n,
                                 int64_t classes, double *margins) {
    int64_t i, j;
    for (i = 0; i < n; i++, logits += classes) {
        double other = -HUGE_VAL;
        for (j = 0; j < classes; j++)
            if (j != labels[i]) other = PRUN__MAX(other, (double)logits[j]);
        margins[i] = (double)logits[labels[i]] - other;
    }
}

/* Inner product of two arrays of doubles. */
static double prun__inner_product(const double *a, const double *b, int64_t n) {
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    int64_t i;
    for (i = 0; i + 4 <= n; i += 4) { /* four sums fit vector registers */
        sum[0] += a[i] * b[i];
        sum[1] += a[i + 1] * b[i + 1];
        sum[2] += a[i + 2] * b[i + 2];
        sum[3] += a[i + 3] * b[i + 3];
    }
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Spectral norms: Lanczos on A'A with a basis that is kept orthogonal in full and restarted with
   its best vectors (Wu and Simon 2000). Where A has fewer outputs than inputs, AA' instead: its
   vectors are shorter and its largest eigenvalue is the same. */
enum { PRUN__KRYLOV_ROOM = 20, PRUN__KRYLOV_KEPT = 8 };

typedef struct prun__krylov {
    const prun_context *context;
    prun__linear *a;
    int wide;              /* AA' */
    int64_t n, room, made; /* length of a basis vector, how many fit, how many there are */
    double *basis, *next;  /* room vectors and the one that follows the last */
    double *image;         /* A (wide: A') times a basis vector */
    double t[PRUN__KRYLOV_ROOM][PRUN__KRYLOV_ROOM]; /* the map within the basis */
    double z[PRUN__KRYLOV_ROOM][PRUN__KRYLOV_ROOM]; /* its eigenvectors, as rows */
    double values[PRUN__KRYLOV_ROOM];               /* and eigenvalues, descending */
} prun__krylov;

/* next = A'A times the last basis vector, made orthogonal to all of them; the inner products are
   the last row and column of t. Returns its length. */
static double prun__krylov_step(prun__krylov *k) {
    const int64_t last = k->made - 1, n = k->n;
    int64_t i, e;
    int pass;
    prun__linear_apply(k->context, k->a, k->wide, k->basis + last * n, k->image);
    prun__linear_apply(k->context, k->a, !k->wide, k->image, k->next);
    for (i = 0; i <= last; i++) k->t[i][last] = 0.0;
    for (pass = 0; pass < 2; pass++) /* twice is enough (Giraud et al. 2005) */
        for (i = 0; i <= last; i++) {
            const double *q = k->basis + i * n;
            const double part = prun__inner_product(q, k->next, n);
            for (e = 0; e < n; e++) k->next[e] -= part * q[e];
            k->t[i][last] += part;
        }
    for (i = 0; i < last; i++) k->t[last][i] = k->t[i][last];
    return sqrt(prun__inner_product(k->next, k->next, n));
}

/* One Jacobi rotation of s and z, which makes s[p][q] zero. */
static void prun__krylov_apply_rotation(prun__krylov *k, double s[][PRUN__KRYLOV_ROOM], int64_t p,
                                        int64_t q) {
    const double half = 0.5 * (s[q][q] - s[p][p]), x = s[p][q];
    const double size = fabs(half) + sqrt(half * half + x * x);
    const double tangent = half < 0.0 ? -x / size : x / size;
    const double cosine = 1.0 / sqrt(1.0 + tangent * tangent), sine = tangent * cosine;
    int64_t i;
    for (i = 0; i < k->made; i++) {
        const double u = s[i][p], v = s[i][q];
        s[i][p] = cosine * u - sine * v;
        s[i][q] = sine * u + cosine * v;
    }
    for (i = 0; i < k->made; i++) {
        const double u = s[p][i], v = s[q][i], a = k->z[p][i], b = k->z[q][i];
        s[p][i] = cosine * u - sine * v;
        s[q][i] = sine * u + cosine * v;
        k->z[p][i] = cosine * a - sine * b;
        k->z[q][i] = sine * a + cosine * b;
    }
}

/* Eigenvalues of t, largest first, and its eigenvectors, by Jacobi's cyclic method. */
static void prun__krylov_find_eigenpairs(prun__krylov *k) {
    enum { SWEEPS = 40 }; /* never reached: convergence is quadratic */
    double s[PRUN__KRYLOV_ROOM][PRUN__KRYLOV_ROOM], size = 0.0, swap;
    const int64_t n = k->made;
    int64_t i, j, best, sweep, turned = 1;
    memcpy(s, k->t, sizeof s);
    memset(k->z, 0, sizeof k->z);
    for (i = 0; i < n; i++) k->z[i][i] = 1.0;
    for (i = 0; i < n; i++) size = PRUN__MAX(size, fabs(s[i][i]));
    for (sweep = 0; turned && sweep < SWEEPS; sweep++)
        for (i = 0, turned = 0; i < n; i++)
            for (j = i + 1; j < n; j++) {
                if (!(fabs(s[i][j]) > 0.1 * DBL_EPSILON * size)) continue;
                prun__krylov_apply_rotation(k, s, i, j);
                turned = 1;
            }
    for (i = 0; i < n; i++) k->values[i] = s[i][i];
    for (i = 0; i < n; i++) {
        for (best = i, j = i + 1; j < n; j++)
            if (k->values[j] > k->values[best]) best = j;
        swap = k->values[i];
        k->values[i] = k->values[best];
        k->values[best] = swap;
        for (j = 0; best != i && j < n; j++) {
            swap = k->z[i][j];
            k->z[i][j] = k->z[best][j];
            k->z[best][j] = swap;
        }
    }
}

/* Leaves the best Ritz vectors in the basis, in which the map is diagonal. */
static void prun__krylov_select_best(prun__krylov *k) {
    enum { PIECE = 64 };
    const int64_t kept = PRUN__MIN((int64_t)PRUN__KRYLOV_KEPT, k->made / 2), n = k->n;
    double piece[PRUN__KRYLOV_KEPT][PIECE];
    int64_t from, i, c, e;
    for (from = 0; from < n; from += PIECE) {
        const int64_t length = PRUN__MIN((int64_t)PIECE, n - from);
        memset(piece, 0, sizeof piece);
        for (c = 0; c < kept; c++)
            for (i = 0; i < k->made; i++)
                for (e = 0; e < length; e++) piece[c][e] += k->z[c][i] * k->basis[i * n + from + e];
        for (c = 0; c < kept; c++)
            memcpy(k->basis + c * n + from, piece[c], (size_t)length * sizeof(double));
    }
    memset(k->t, 0, sizeof k->t);
    for (c = 0; c < kept; c++) k->t[c][c] = k->values[c];
    k->made = kept;
}

/* Appends vector / length to the basis. */
static void prun__krylov_add(prun__krylov *k, const double *vector, double length) {
    double *q = k->basis + k->made * k->n;
    int64_t e;
    for (e = 0; e < k->n; e++) q[e] = vector[e] / length;
    k->made++;
}

/* Steps until the residual of the largest eigenvalue is at most tolerance times that. */
static prun_status prun__krylov_run(prun__krylov *k, double tolerance, uint64_t seed,
                                    prun_spectral_norm_result *result) {
    enum { MOST = 1000 };
    double length;
    int64_t e;
    for (e = 0; e < k->n; e++)
        k->next[e] = prun_random_normal(seed, PRUN__STREAM_MEASURE + 1, (uint64_t)e);
    length = sqrt(prun__inner_product(k->next, k->next, k->n));
    for (;;) {
        prun__krylov_add(k, k->next, length);
        length = prun__krylov_step(k);
        result->iterations++;
        prun__krylov_find_eigenpairs(k);
        result->norm = sqrt(PRUN__MAX(k->values[0], 0.0));
        result->residual = length * fabs(k->z[0][k->made - 1]);
        if (!(result->residual > tolerance * k->values[0])) return PRUN_OK;
        if (result->iterations == MOST) return PRUN_ERR_CONVERGENCE;
        if (k->made == k->room) prun__krylov_select_best(k);
    }
}

/* Bound on the relative distance between the norm and a singular value: its square is off by no
   more than the residual and what products of doubles round. */
static double prun__spectral_error(const prun_spectral_norm_result *s) {
    const double ratio = s->norm > 0.0 ? s->residual / s->norm / s->norm + 1e-13 : 0.0;
    return ratio < 1.0 ? ratio / (1.0 + sqrt(1.0 - ratio)) : 1.0;
}

/* Checks and copies the weights in double precision. */
static prun_status prun__spectral_copy_kernel(prun_context *context, const prun_tensor *weight,
                                              const float *initial, double *kernel) {
    const int64_t size = prun_tensor_size(weight);
    const char *name = weight->name ? weight->name : "the tensor";
    int64_t i = prun__values_find_nonfinite(weight->data, size);
    if (i >= 0)
        return prun__fail(context, PRUN_ERR_NONFINITE, "spectral norm: %s[%lld] is not finite",
                          name, (long long)i);
    i = initial ? prun__values_find_nonfinite(initial, size) : -1;
    if (i >= 0)
        return prun__fail(context, PRUN_ERR_NONFINITE,
                          "spectral norm: initial %s[%lld] is not finite", name, (long long)i);
    for (i = 0; i < size; i++)
        kernel[i] = (double)weight->data[i] - (initial ? (double)initial[i] : 0.0);
    return PRUN_OK;
}

/* The map of a weight tensor, still without its kernel. */
static prun_status prun__spectral_make_map(prun_context *context, const prun_tensor *weight,
                                           const prun_conv2d *geometry, prun__linear *a) {
    const int64_t size = prun_tensor_size(weight);
    prun_conv2d matrix;
    memset(&matrix, 0, sizeof matrix);
    matrix.out_channels = weight->rank > 0 ? weight->shape[0] : 1;
    matrix.in_channels = matrix.out_channels > 0 ? size / matrix.out_channels : 0;
    matrix.in_height = matrix.in_width = matrix.kernel[0] = 1;
    PRUN__TRY(prun__linear_make(context, geometry ? geometry : &matrix, NULL, a));
    if (a->shape.out_channels * a->shape.in_channels * a->shape.kernel[0] * a->shape.kernel[1] ==
        size)
        return PRUN_OK;
    return prun__fail(context, PRUN_ERR_SHAPE, "spectral norm: %s does not fit the geometry",
                      weight->name ? weight->name : "the tensor");
}

PRUNDEF prun_status prun_spectral_norm(prun_context *context, const prun_tensor *weight,
                                       const float *initial, const prun_conv2d *geometry,
                                       double tolerance, uint64_t seed,
                                       prun_spectral_norm_result *result) {
    prun__linear a;
    prun__krylov k;
    double *kernel;
    int64_t in, out, longer;
    prun_status status;
    PRUN__TRY(prun__spectral_make_map(context, weight, geometry, &a));
    tolerance = tolerance > 0.0 ? PRUN__MAX(tolerance, 1e-12) : 1e-10;
    in = a.shape.in_channels * a.shape.in_height * a.shape.in_width;
    out = a.shape.out_channels * a.out_height * a.out_width;
    longer = PRUN__MAX(in, out);
    memset(&k, 0, sizeof k);
    k.context = context;
    k.a = &a;
    k.wide = out < in;
    k.n = PRUN__MIN(in, out);
    k.room = PRUN__MIN((int64_t)PRUN__KRYLOV_ROOM, k.n);
    kernel =
        (double *)prun__alloc(context, prun_tensor_size(weight), sizeof(double), "spectral norm");
    k.basis = (double *)prun__alloc(context, prun__size_product(k.room + 1, k.n), sizeof(double),
                                    "spectral norm");
    k.image = (double *)prun__alloc(context, longer, sizeof(double), "spectral norm");
    status = kernel && k.basis && k.image ? PRUN_OK : PRUN_ERR_MEMORY;
    if (status == PRUN_OK) status = prun__spectral_copy_kernel(context, weight, initial, kernel);
    if (status == PRUN_OK) {
        a.kernel = kernel;
        k.next = k.basis + k.room * k.n;
        memset(result, 0, sizeof *result);
        status = prun__krylov_run(&k, tolerance, seed, result);
        result->error = prun__spectral_error(result);
        if (status == PRUN_ERR_CONVERGENCE)
            prun__fail(context, status,
                       "spectral norm of %s did not converge: %.9g with relative residual %.2g "
                       "after %lld steps, tolerance %.2g",
                       weight->name ? weight->name : "the tensor", result->norm,
                       result->residual / result->norm / result->norm,
                       (long long)result->iterations, tolerance);
    }
    prun__free(context, kernel);
    prun__free(context, k.basis);
    prun__free(context, k.image);
    return status;
}

#ifndef PRUNABILITY_NO_NET
PRUNDEF prun_status prun_path_norm(const prun_net *net, double *result) {
    double sum = 0.0;
    prun_status status = prun__net_path_norm(net, &sum);
    if (status == PRUN_OK && !(sum <= DBL_MAX))
        status = prun__fail(net->context, PRUN_ERR_NONFINITE, "path norm: beyond double precision");
    if (status == PRUN_OK) *result = sum;
    return status;
}
#endif

PRUNDEF double prun_pacbayes_bound(double squared_norm, double sigma, int64_t samples) {
    return squared_norm / (4.0 * sigma * sigma) + log((double)samples / sigma) + 10.0;
}

/* Squared norm of w - initial over the weights of tensors flagged PRUN_TENSOR_WEIGHT; *count: how
   many weights there are. */
static double prun__squared_distance(const prun_tensor *tensors, const prun_tensor *initial,
                                     int64_t count, int64_t *weights) {
    double sum = 0.0;
    int64_t i, k;
    *weights = 0;
    for (i = 0; i < count; i++) {
        const int64_t size = prun_tensor_size(&tensors[i]);
        if (!(tensors[i].flags & PRUN_TENSOR_WEIGHT)) continue;
        *weights += size;
        for (k = 0; k < size; k++) {
            const double d =
                (double)tensors[i].data[k] - (initial ? (double)initial[i].data[k] : 0.0);
            sum += d * d;
        }
    }
    return sum;
}

PRUNDEF double prun_pacbayes_magnitude_bound(const prun_tensor *tensors, const prun_tensor *initial,
                                             int64_t count, double sigma, double epsilon,
                                             double prior, int64_t samples) {
    int64_t omega, i, k;
    const double distance = prun__squared_distance(tensors, initial, count, &omega);
    const double e2 = epsilon * epsilon, s2 = sigma * sigma;
    const double top = e2 + (s2 + prior) * distance / (double)omega;
    double sum = 0.0;
    if (prun__tensors_check_overlap(NULL, "", tensors, count) != PRUN_OK) return PRUN__NAN;
    for (i = 0; i < count; i++)
        for (k = 0; (tensors[i].flags & PRUN_TENSOR_WEIGHT) && k < prun_tensor_size(&tensors[i]);
             k++) {
            const double d =
                (double)tensors[i].data[k] - (initial ? (double)initial[i].data[k] : 0.0);
            sum += log(top / (e2 + s2 * d * d));
        }
    return 0.25 * sum + log((double)samples / sigma) + 10.0;
}

PRUNDEF prun_dropout_bound prun_dropout_bound_resolved(const prun_dropout_bound *bound) {
    prun_dropout_bound b;
    memset(&b, 0, sizeof b);
    if (bound) b = *bound;
    if (b.sigma == 0.0) b.sigma = 1.0;
    if (b.delta == 0.0) b.delta = 0.05;
    if (b.candidates == 0.0) b.candidates = 101.0;
    return b;
}

PRUNDEF double prun_dropout_bound_value(const prun_dropout_bound *bound) {
    const prun_dropout_bound b = prun_dropout_bound_resolved(bound);
    const double m = (double)b.samples;
    const double kl = b.kept * b.squared_norm / (2.0 * b.sigma * b.sigma);
    if (!(m >= 2.0) || !(b.delta > 0.0 && b.delta < 1.0) || !(b.candidates >= 1.0) ||
        !(b.kept >= 0.0 && b.kept <= 1.0) || !(b.lambda == 0.0 || b.lambda > 0.5))
        return PRUN__NAN;
    if (b.lambda > 0.0)
        return (b.empirical + b.lambda / m * (kl + log(b.candidates / b.delta))) /
               (1.0 - 0.5 / b.lambda);
    return b.empirical + sqrt((kl + log(m / b.delta) + log(b.candidates)) / (2.0 * (m - 1.0)));
}

PRUNDEF prun_status prun_margin_features(prun_context *context, const double *margins, int64_t n,
                                         double features[5]) {
    double *sorted = (double *)prun__alloc(context, n, sizeof *sorted, "margins");
    double fence;
    int64_t i, k = 0;
    if (!sorted) return PRUN_ERR_MEMORY;
    for (i = 0; i < n; i++)
        if (margins[i] > 0.0) sorted[k++] = margins[i];
    if (k == 0) {
        prun__free(context, sorted);
        return prun__fail(context, PRUN_ERR_MISSING, "margins: none of %lld is positive",
                          (long long)n);
    }
    qsort(sorted, (size_t)k, sizeof *sorted, prun__by_value);
    for (i = 1; i < 4; i++) {
        const double place = 0.25 * (double)i * (double)(k - 1);
        const int64_t low = (int64_t)place;
        features[i] = sorted[low];
        if (low + 1 < k) features[i] += (place - (double)low) * (sorted[low + 1] - sorted[low]);
    }
    fence = 1.5 * (features[3] - features[1]);
    for (i = 0; sorted[i] < features[1] - fence; i++) {
    }
    features[0] = sorted[i];
    for (i = k - 1; sorted[i] > features[3] + fence; i--) {
    }
    features[4] = sorted[i];
    for (i = 0; i < 5; i++) features[i] = log(features[i]);
    prun__free(context, sorted);
    return PRUN_OK;
}

/* [SINGULAR.I] singular values of weight matrices, power laws of their squares */
/*
   Householder reflections make a matrix bidiagonal; bisection finds the singular values of that.
   Both work in double precision. Bisection counts the values below a point by Sturm sequences: it
   cannot fail to converge, and eight points are counted at once in vector registers. It costs less
   than the reflections.
*/

/* A matrix in column-major order with rows >= columns; becomes its bidiagonal form. */
typedef struct prun__bidiagonal {
    double *a;          /* column j at a + j * rows */
    double *row, *sums; /* a reflection of rows, and what it multiplies: `columns` and `rows` */
    double *band;       /* 2 columns - 1: d_1, e_1, d_2, e_2, ..., d_n */
    int64_t rows, columns;
} prun__bidiagonal;

/* Takes x, of n numbers, to (*length, 0, 0, ...) by I - 2 u u', and leaves sqrt(2) u in x. */
static void prun__reflect(double *x, int64_t n, double *length) {
    const double norm = sqrt(prun__inner_product(x, x, n));
    double factor;
    int64_t i;
    *length = x[0] > 0.0 ? -norm : norm; /* of the other sign: nothing cancels in x[0] - *length */
    if (norm == 0.0) return;
    x[0] -= *length;
    factor = 1.0 / sqrt(norm * fabs(x[0])); /* |x|^2 is 2 norm |x[0]| now */
    for (i = 0; i < n; i++) x[i] *= factor;
}

/* Reflects the columns after column j by what that column holds from row j on. */
static void prun__bidiagonal_reflect_columns(prun__bidiagonal *b, int64_t j) {
    const double *u = b->a + j * b->rows + j;
    const int64_t n = b->rows - j;
    int64_t k, i;
    for (k = j + 1; k < b->columns; k++) {
        double *x = b->a + k * b->rows + j;
        const double product = prun__inner_product(u, x, n);
        for (i = 0; i < n; i++) x[i] -= product * u[i];
    }
}

/* Reflects the rows below row j by b->row, which holds row j after column j. */
static void prun__bidiagonal_reflect_rows(prun__bidiagonal *b, int64_t j) {
    const int64_t n = b->rows - j - 1;
    int64_t k, i;
    memset(b->sums, 0, (size_t)n * sizeof *b->sums);
    for (k = j + 1; k < b->columns; k++) {
        const double *x = b->a + k * b->rows + j + 1, u = b->row[k - j - 1];
        for (i = 0; i < n; i++) b->sums[i] += u * x[i];
    }
    for (k = j + 1; k < b->columns; k++) {
        double *x = b->a + k * b->rows + j + 1;
        const double u = b->row[k - j - 1];
        for (i = 0; i < n; i++) x[i] -= b->sums[i] * u;
    }
}

/* Householder bidiagonalisation (Golub and Kahan 1965). */
static void prun__bidiagonalise(prun__bidiagonal *b) {
    int64_t j, k;
    for (j = 0; j < b->columns; j++) {
        const int64_t rest = b->columns - j - 1;
        prun__reflect(b->a + j * b->rows + j, b->rows - j, &b->band[2 * j]);
        prun__bidiagonal_reflect_columns(b, j);
        if (rest == 0) return;
        for (k = 0; k < rest; k++) b->row[k] = b->a[(j + 1 + k) * b->rows + j];
        prun__reflect(b->row, rest, &b->band[2 * j + 1]);
        prun__bidiagonal_reflect_rows(b, j);
    }
}

/* The singular values of a bidiagonal matrix are the positive eigenvalues of the symmetric
   tridiagonal one whose diagonal is zero and whose other entries are d_1, e_1, d_2, ... (Golub and
   Kahan). squares: of those 2 n - 1 entries, none of them 0. below[l]: how many are less than
   x[l]. */
#define PRUN__POINTS 8
static void prun__singular_count(const double *squares, int64_t n, const double *x,
                                 int64_t *below) {
    double pivot[PRUN__POINTS];
    int64_t i;
    int l;
    for (l = 0; l < PRUN__POINTS; l++) {
        pivot[l] = -x[l];
        below[l] = 1 - n; /* the first pivot is negative; n eigenvalues are */
    }
    for (i = 0; i < 2 * n - 1; i++)
        for (l = 0; l < PRUN__POINTS; l++) {
            /* A pivot of 0 is +0: the next one is -infinity, and the one after it finite. */
            pivot[l] = -x[l] - squares[i] / pivot[l];
            below[l] += pivot[l] < 0.0;
        }
}

typedef struct prun__bisection {
    const double *squares; /* of the entries */
    double bound;          /* no value exceeds it */
    double *values;        /* descending */
    int64_t n;
} prun__bisection;

/* Eight singular values, those from number 8 group on counted from below. Halving the bound sixty
   times leaves less than rounding has done to the matrix. */
static void prun__singular_bisect_task(void *pointer, int64_t group, int64_t worker) {
    const prun__bisection *b = (const prun__bisection *)pointer;
    const int64_t first = group * PRUN__POINTS;
    double low[PRUN__POINTS], high[PRUN__POINTS], middle[PRUN__POINTS];
    int64_t below[PRUN__POINTS];
    int step, l;
    (void)worker;
    for (l = 0; l < PRUN__POINTS; l++) {
        low[l] = 0.0;
        high[l] = b->bound;
    }
    for (step = 0; step < 60; step++) {
        for (l = 0; l < PRUN__POINTS; l++) middle[l] = 0.5 * (low[l] + high[l]);
        prun__singular_count(b->squares, b->n, middle, below);
        for (l = 0; l < PRUN__POINTS; l++) {
            if (below[l] > first + l) high[l] = middle[l];
            else low[l] = middle[l];
        }
    }
    for (l = 0; l < PRUN__POINTS && first + l < b->n; l++)
        b->values[b->n - 1 - first - l] = 0.5 * (low[l] + high[l]);
}

/* What finds the singular values of the bidiagonal matrix with this band, which becomes squares.
   Returns the number of its tasks; 0: all values are 0, and written. */
static int64_t prun__bisection_make(double *band, int64_t n, double *values, prun__bisection *b) {
    double least;
    int64_t i;
    b->squares = band;
    b->bound = fabs(band[0]);
    b->values = values;
    b->n = n;
    for (i = 0; i < 2 * n - 2; i++) /* Gershgorin: rows hold two neighbours each */
        b->bound = PRUN__MAX(b->bound, fabs(band[i]) + fabs(band[i + 1]));
    if (b->bound == 0.0) {
        memset(values, 0, (size_t)n * sizeof *values);
        return 0;
    }
    /* No square is 0, so that no quotient is 0 / 0; values change by 1e-50 of the bound. */
    least = 1e-100 * b->bound * b->bound;
    for (i = 0; i < 2 * n - 1; i++) band[i] = PRUN__MAX(band[i] * band[i], least);
    b->bound *= 1.0 + 4.0 * DBL_EPSILON;
    return (n + PRUN__POINTS - 1) / PRUN__POINTS;
}

/* Floats that a matrix takes; -1: more than there are numbers for. */
static int64_t prun__bidiagonal_size(int64_t rows, int64_t columns) {
    const int64_t size = prun__size_product(rows, columns);
    return size < 0 || size > INT64_MAX / 8 ? -1 : size + rows + 3 * columns;
}

/* Lays the matrix out in `memory`, transposed if it is wider than high: those have the same
   singular values. */
static void prun__bidiagonal_fill(prun__bidiagonal *b, double *memory, const float *matrix,
                                  int64_t rows, int64_t columns, int64_t row_step,
                                  int64_t column_step) {
    const int wide = rows < columns;
    const int64_t down = wide ? column_step : row_step, across = wide ? row_step : column_step;
    int64_t i, j;
    b->rows = PRUN__MAX(rows, columns);
    b->columns = PRUN__MIN(rows, columns);
    b->a = memory;
    b->sums = b->a + rows * columns;
    b->row = b->sums + b->rows;
    b->band = b->row + b->columns;
    for (j = 0; j < b->columns; j++)
        for (i = 0; i < b->rows; i++) b->a[j * b->rows + i] = (double)matrix[i * down + j * across];
}

PRUNDEF prun_status prun_singular_values(prun_context *context, const float *matrix, int64_t rows,
                                         int64_t columns, int64_t row_step, int64_t column_step,
                                         double *values) {
    prun__bidiagonal b;
    prun__bisection halves;
    double *memory;
    int64_t i, j;
    if (rows < 1 || columns < 1)
        return prun__fail(context, PRUN_ERR_SHAPE, "singular values: a matrix of %lld x %lld",
                          (long long)rows, (long long)columns);
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++)
            if (!(fabsf(matrix[i * row_step + j * column_step]) <= FLT_MAX))
                return prun__fail(context, PRUN_ERR_NONFINITE,
                                  "singular values: element (%lld, %lld) is not finite",
                                  (long long)i, (long long)j);
    memory = (double *)prun__alloc(
        context, prun__bidiagonal_size(PRUN__MAX(rows, columns), PRUN__MIN(rows, columns)),
        sizeof(double), "singular values");
    if (!memory) return PRUN_ERR_MEMORY;
    prun__bidiagonal_fill(&b, memory, matrix, rows, columns, row_step, column_step);
    prun__bidiagonalise(&b);
    prun__for(context, prun__singular_bisect_task, &halves,
              prun__bisection_make(b.band, b.columns, values, &halves));
    prun__free(context, memory);
    return PRUN_OK;
}

/* The matrices of a weight, each in the memory of its worker. */
typedef struct prun__slices {
    const float *data;
    int64_t rows, columns, count, n; /* n: singular values of each */
    double *memory, *values;
    int64_t size; /* of a worker's memory */
} prun__slices;

/* The matrices that a weight, which is not empty, consists of; without memory and results. */
static prun__slices prun__slices_of(const prun_tensor *weight, int whole) {
    const int64_t size = prun_tensor_size(weight);
    prun__slices s;
    memset(&s, 0, sizeof s);
    s.data = weight->data;
    s.rows = weight->rank > 0 ? weight->shape[0] : 1;
    s.columns = whole || weight->rank < 3 ? size / s.rows : weight->shape[1];
    s.count = size / (s.rows * s.columns);
    s.n = PRUN__MIN(s.rows, s.columns);
    return s;
}

/* Singular values of one of the matrices. */
static void prun__slices_task(void *pointer, int64_t slice, int64_t worker) {
    const prun__slices *s = (const prun__slices *)pointer;
    prun__bidiagonal b;
    prun__bisection halves;
    int64_t i, tasks;
    prun__bidiagonal_fill(&b, s->memory + worker * s->size, s->data + slice, s->rows, s->columns,
                          s->columns * s->count, s->count);
    prun__bidiagonalise(&b);
    tasks = prun__bisection_make(b.band, b.columns, s->values + slice * s->n, &halves);
    for (i = 0; i < tasks; i++) prun__singular_bisect_task(&halves, i, 0);
}

PRUNDEF prun_status prun_weight_eigenvalues(prun_context *context, const prun_tensor *weight,
                                            int whole, double *eigenvalues, int64_t *count) {
    const char *name = weight->name ? weight->name : "the tensor";
    const int64_t size = prun_tensor_size(weight);
    prun__slices s;
    int64_t i;
    if (size < 1) return prun__fail(context, PRUN_ERR_SHAPE, "spectrum: %s is empty", name);
    s = prun__slices_of(weight, whole);
    if (!eigenvalues) {
        *count = s.n * s.count;
        return PRUN_OK;
    }
    i = prun__values_find_nonfinite(weight->data, size);
    if (i >= 0)
        return prun__fail(context, PRUN_ERR_NONFINITE, "spectrum: %s[%lld] is not finite", name,
                          (long long)i);
    s.size = prun__bidiagonal_size(PRUN__MAX(s.rows, s.columns), s.n);
    s.values = eigenvalues;
    s.memory = (double *)prun__alloc(
        context, prun__size_product(PRUN__MIN(prun__threads(context), s.count), s.size),
        sizeof(double), "spectrum");
    if (!s.memory) return PRUN_ERR_MEMORY;
    prun__for(context, prun__slices_task, &s, s.count);
    prun__free(context, s.memory);
    *count = s.n * s.count;
    for (i = 0; i < *count; i++) eigenvalues[i] *= eigenvalues[i];
    qsort(eigenvalues, (size_t)*count, sizeof *eigenvalues, prun__by_value);
    return PRUN_OK;
}

/* The exponent of a power law for the values x[0] <= ... <= x[n - 1], whose logarithms are given,
   and the distance of its distribution from theirs. NaN if all are equal. */
static double prun__power_law_fit_tail(const double *logs, int64_t n, double *distance) {
    double sum = 0.0, alpha;
    int64_t j;
    for (j = 0; j < n; j++) sum += logs[j] - logs[0];
    *distance = 0.0;
    if (!(sum > 0.0)) return PRUN__NAN;
    alpha = 1.0 + (double)n / sum;
    for (j = 0; j < n; j++) {
        const double model = 1.0 - exp((1.0 - alpha) * (logs[j] - logs[0]));
        *distance = PRUN__MAX(*distance, fabs(model - (double)j / (double)n));
    }
    return alpha;
}

#define PRUN__LEAST_EIGENVALUE 1e-5
PRUNDEF prun_status prun_power_law_fit(prun_context *context, const double *values, int64_t count,
                                       prun_power_law *law) {
    double *logs = (double *)prun__alloc(context, PRUN__MAX(count, 1), sizeof(double), "power law");
    int64_t i, first = 0;
    if (!logs) return PRUN_ERR_MEMORY;
    memset(law, 0, sizeof *law);
    law->alpha = law->sigma = law->least = PRUN__NAN;
    law->distance = HUGE_VAL;
    while (first < count && !(values[first] > PRUN__LEAST_EIGENVALUE)) first++;
    for (i = first; i < count; i++) logs[i] = log(values[i]);
    for (i = first; i + 1 < count; i++) {
        double distance, alpha;
        if (i > first && values[i] == values[i - 1]) continue;
        alpha = prun__power_law_fit_tail(logs + i, count - i, &distance);
        if (!(alpha > 1.0) || !(distance < law->distance)) continue;
        law->alpha = alpha;
        law->distance = distance;
        law->tail = count - i;
        law->least = values[i];
        law->sigma = (alpha - 1.0) / sqrt((double)law->tail);
    }
    prun__free(context, logs);
    if (law->tail > 0) return PRUN_OK;
    return prun__fail(context, PRUN_ERR_MISSING,
                      "power law: fewer than two different values above %g",
                      PRUN__LEAST_EIGENVALUE);
}

/* Fills what follows from the eigenvalues alone; `longer`: the larger side of their matrices. */
static void prun__weight_spectrum_fill(const double *values, int64_t longer,
                                       prun_weight_spectrum_result *r) {
    const double least = (double)longer * DBL_EPSILON;
    double power = 0.0, entropy = 0.0;
    int64_t i, rank = 0;
    r->largest = values[r->count - 1];
    for (i = 0; i < r->count; i++) r->sum += values[i];
    for (i = 0; i < r->count; i++) {
        const double share = values[i] / r->sum;
        if (share > 0.0) entropy -= share * log(share);
        if (sqrt(values[i] / r->largest) > least) rank++;
        power += pow(values[i] / r->largest, r->law.alpha);
    }
    r->log_alpha_norm = r->law.alpha * log10(r->largest) + log10(power);
    r->stable_rank = r->sum / r->largest;
    r->spectral_entropy = rank > 1 ? entropy / log((double)rank) : 0.0;
}

/* What the eigenvalues say, of which there are result->count, and the power law of them. */
static prun_status prun__weight_spectrum_of(prun_context *context, const double *values,
                                            const prun_tensor *weight, int whole,
                                            prun_weight_spectrum_result *result) {
    const prun__slices s = prun__slices_of(weight, whole);
    const int64_t longer = PRUN__MAX(s.rows, s.columns);
    /* squared and times the variance of the elements */
    const double edge = sqrt((double)s.rows) + sqrt((double)s.columns);
    prun_status status;
    if (!(values[result->count - 1] > 0.0))
        return prun__fail(context, PRUN_ERR_MISSING, "spectrum: %s is all zero",
                          weight->name ? weight->name : "the tensor");
    status = prun_power_law_fit(context, values, result->count, &result->law);
    if (status != PRUN_OK && status != PRUN_ERR_MISSING) return status;
    prun__weight_spectrum_fill(values, longer, result);
    result->soft_rank =
        result->sum / (double)result->count / (double)longer * edge * edge / result->largest;
    return PRUN_OK;
}

PRUNDEF prun_status prun_weight_spectrum(prun_context *context, const prun_tensor *weight,
                                         int whole, int halved,
                                         prun_weight_spectrum_result *result) {
    prun_weight_spectrum_result found;
    double *values;
    prun_status status;
    int64_t i;
    memset(&found, 0, sizeof found);
    PRUN__TRY(prun_weight_eigenvalues(context, weight, whole, NULL, &found.count));
    values = (double *)prun__alloc(context, found.count, sizeof *values, "spectrum");
    if (!values) return PRUN_ERR_MEMORY;
    status = prun_weight_eigenvalues(context, weight, whole, values, &found.count);
    if (status == PRUN_OK) {
        if (halved && weight->rank > 2 && !whole)
            for (i = 0; i < found.count; i++) values[i] *= 0.5;
        status = prun__weight_spectrum_of(context, values, weight, whole, &found);
    }
    prun__free(context, values);
    if (status == PRUN_OK) *result = found;
    return status;
}

/* [MEASURE.I] the table of measures, and what computes them */
/*
   To add a measure, add a row to PRUN__MEASURES: name, source, text, direction, needs and traits,
   the family that computes it, and which quantity of the family it is. Family `norm` is computed by
   prun__measure_norm, and so on; declare the function of a new family beside those.
   prun__measure_run in [MEASURING.I] checks the needs and calls it. What several measures share is
   computed once and kept in prun_measurement, with a bit of `known`; prun_measurement_free releases
   it. A new option also needs its default in prun_measure_resolved and a row in [BINDINGS.I].
*/

/* ---- the table of measures ---- */

/* What measures share; `known` says which parts have been computed. */
struct prun_measurement {
    prun_objective objective;     /* as it was given */
    prun_measure_options options; /* resolved */
    int64_t layers, weights;      /* tensors and floats flagged PRUN_TENSOR_WEIGHT */
    int64_t parameters;           /* all floats */
    double *losses;               /* per sample; NULL without level 1 */
    double loss, error_rate;      /* means */
    float *logits;                /* samples x classes; NULL without level 4 */
    double *margins;              /* of the output, per sample; NULL without logits or labels */
    double margin; /* their 10th percentile: the max(1, m/10)-th smallest, with its sign */
    prun_prunability pruned[2]; /* by magnitude, at random */
    double pruned_error;        /* standard error of the random kept fraction */
    prun_radius radius[5]; /* noise: PRUN_NOISE_MAGNITUDE, plain, PRUN_NOISE_SQUARED; sharpness:
                              plain, in a box scaled by the weights */
    double *layer[6];      /* squared: Frobenius, spectral, operator; norm and distance of each */
    double features[5][5]; /* margins at the output and in four layers */
    double shape[2][8];   /* spectra of weights: means over layers; of matrices, of whole kernels */
    int64_t shaped[2][2]; /* layers in them, and those of these that a power law fits */
    prun_gradient_moments_result moments;
#ifndef PRUNABILITY_NO_HESSIAN

    prun_spectrum spectrum; /* of the Hessian, over tensors flagged PRUN_TENSOR_WEIGHT */
    prun_estimate trace[2]; /* of the same, and of the Hessian over all tensors */
#endif
    uint32_t known;       /* which of these are there */
    double norm_error[6]; /* rows of `layer`: largest relative error among spectral norms that
                                   did not converge, and the tensor's number; 0: all did */
    int64_t norm_tensor[6];
    prun_tensor *included;    /* the tensors; PRUN_TENSOR_WEIGHT marks those pruned and perturbed */
    int64_t included_weights; /* floats in them */
    int32_t feature_state[5]; /* of features: 0, or why there are none */
};

/* Rows of prun_measurement.layer. A measure that carries PRUN__OPERATOR means the last two instead
   of the two before. */
enum { PRUN__FRO, PRUN__DIST, PRUN__SPEC, PRUN__SPEC_DIST, PRUN__OP, PRUN__OP_DIST, PRUN__NONE };
enum {
    PRUN__MEAN_FORM = 1,
    PRUN__MARGIN = 2,
    PRUN__OPERATOR = 4,
    PRUN__ROOTS = 8,
    PRUN__ROOT = 16,
    PRUN__FROM_INITIAL = 32 /* bounds: the prior is at the initial weights, not at 0 */
};

/* What a row of the table is computed from. */
typedef struct prun__recipe prun__recipe;
typedef prun_status prun__compute(prun_measurement *m, const prun__recipe *recipe,
                                  prun_measure_result *result);
struct prun__recipe {
    prun__compute *compute;
    int32_t which, variant;        /* quantity of the family, and its variant */
    int32_t product, sum, divisor; /* norms: rows of prun_measurement.layer, or PRUN__NONE */
    int32_t flags;
};
static prun__compute prun__measure_pruning, prun__measure_count, prun__measure_norm,
    prun__measure_path, prun__measure_loss, prun__measure_radius, prun__measure_margin,
    prun__measure_history, prun__measure_noise, prun__measure_curvature, prun__measure_spectrum,
    prun__measure_gradient;

/* In the rows below, traits share a word with the needs. */
#define PRUN__TRAIT_SHIFT 16
#define PRUN__TRAIT(name) (PRUN_TRAIT_##name << PRUN__TRAIT_SHIFT)
#define PRUN__SEARCH (PRUN_NEEDS_LOSS | PRUN__TRAIT(FOLDABLE) | PRUN__TRAIT(SLOW))
#define PRUN__RANDOM (PRUN__SEARCH | PRUN__TRAIT(MONTE_CARLO))
#define PRUN__SHARP (PRUN__SEARCH | PRUN_NEEDS_GRADIENT)
#define PRUN__FOLD PRUN__TRAIT(FOLDABLE)
#define PRUN__START (PRUN_NEEDS_INITIAL | PRUN__TRAIT(FOLDABLE))
#define PRUN__GAMMA (PRUN__LABELLED | PRUN__TRAIT(FOLDABLE))
#define PRUN__CURVED \
    (PRUN_NEEDS_HESSIAN | PRUN__TRAIT(MONTE_CARLO) | PRUN__TRAIT(FOLDABLE) | PRUN__TRAIT(SLOW))
#define PRUN__INNER (PRUN_NEEDS_NET | PRUN__LABELLED)
#define PRUN__LABELLED (PRUN_NEEDS_LOGITS | PRUN_NEEDS_LABELS)
#define PRUN__NORM(X, name, eq, what, needs, product, sum, divisor, flags) \
    X(name, eq, what, 1, needs, norm, 0, 0, PRUN__##product, PRUN__##sum, PRUN__##divisor, flags)
/* Measures that are not made of rows of layers. */
#define PRUN__PLAIN(X, name, eq, what, direction, needs, family, which, variant, flags) \
    X(name, eq, what, direction, needs, family, which, variant, PRUN__NONE, PRUN__NONE, \
      PRUN__NONE, flags)
#define PRUN__MARGINS(X, place, needs, layer) \
    PRUN__PLAIN(X, "margin_" place "_lower", "Jiang 2019", "log of the lower whisker", -1, needs, \
                margin, layer, 0, 0) \
    PRUN__PLAIN(X, "margin_" place "_q1", "Jiang 2019", "log of the first quartile", -1, needs, \
                margin, layer, 1, 0) \
    PRUN__PLAIN(X, "margin_" place "_median", "Jiang 2019", "log of the median", -1, needs, \
                margin, layer, 2, 0) \
    PRUN__PLAIN(X, "margin_" place "_q3", "Jiang 2019", "log of the third quartile", -1, needs, \
                margin, layer, 3, 0) \
    PRUN__PLAIN(X, "margin_" place "_upper", "Jiang 2019", "log of the upper whisker", -1, needs, \
                margin, layer, 4, 0)
/* The spectral family, once for reshaped kernels and once for operators: S is a layer's ||W||_2^2,
   F its ||W||_F^2, g the margin. */
#define PRUN__SPECTRAL(X, end, more, op) \
    PRUN__NORM(X, "spectral_init" end, "Jiang 29", "prod S / g^2 x sum of ||W - W0||_F^2 / S", \
               (more) | PRUN__GAMMA | PRUN__START, SPEC, DIST, SPEC, PRUN__MARGIN | (op)) \
    PRUN__NORM(X, "spectral_orig" end, "Jiang 30", "prod S / g^2 x sum of F / S", \
               (more) | PRUN__GAMMA, SPEC, FRO, SPEC, PRUN__MARGIN | (op)) \
    PRUN__NORM(X, "prod_of_spectral_over_margin" end, "Jiang 31", "prod S / g^2", \
               (more) | PRUN__GAMMA, SPEC, NONE, NONE, PRUN__MARGIN | (op)) \
    PRUN__NORM(X, "prod_of_spectral" end, "Jiang 32", "prod S", (more) | PRUN__FOLD, SPEC, NONE, \
               NONE, (op)) \
    PRUN__NORM(X, "frobenius_over_spectral" end, "Jiang 33", "sum of F / S", (more) | PRUN__FOLD, \
               NONE, FRO, SPEC, (op)) \
    PRUN__NORM(X, "sum_of_spectral_over_margin" end, "Jiang 34", "d (prod S / g^2)^(1/d)", \
               (more) | PRUN__GAMMA, SPEC, NONE, NONE, PRUN__MEAN_FORM | PRUN__MARGIN | (op)) \
    PRUN__NORM(X, "sum_of_spectral" end, "Jiang 35", "d (prod S)^(1/d)", (more) | PRUN__FOLD, \
               SPEC, NONE, NONE, PRUN__MEAN_FORM | (op)) \
    PRUN__NORM(X, "spectral_distance" end, "Jiang 41", "sum of ||W - W0||_2^2", \
               (more) | PRUN__START, NONE, SPEC_DIST, NONE, (op)) \
    PRUN__NORM(X, "sum_of_spectral_norms" end, "Kuhn 5.1, variant", "sum of ||W||_2", \
               (more) | PRUN__FOLD, NONE, SPEC, NONE, PRUN__ROOTS | (op))
/* Spectra of weights, once for the matrices of a convolution's kernel and once for all of it as one
   matrix; l: eigenvalues of a layer's W'W. Means over layers. */
#define PRUN__SPECTRUM(X, end, whole) \
    PRUN__PLAIN(X, "alpha" end, "Martin 2021", "exponent of the power law of l", 1, PRUN__FOLD, \
                spectrum, 0, whole, 0) \
    PRUN__PLAIN(X, "alpha_weighted" end, "Martin 2021", "alpha log10 of the largest l", 1, \
                PRUN__FOLD, spectrum, 1, whole, 0) \
    PRUN__PLAIN(X, "log_alpha_norm" end, "Martin 2021", "log10 of the sum of l^alpha", 1, \
                PRUN__FOLD, spectrum, 2, whole, 0) \
    PRUN__PLAIN(X, "log_norm" end, "Martin 2021", "log10 of the sum of l", 1, PRUN__FOLD, \
                spectrum, 3, whole, 0) \
    PRUN__PLAIN(X, "log_spectral_norm" end, "Martin 2021", "log10 of the largest l", 1, \
                PRUN__FOLD, spectrum, 4, whole, 0) \
    PRUN__PLAIN(X, "stable_rank" end, "Martin 2021", "sum of l / largest l", 0, PRUN__FOLD, \
                spectrum, 5, whole, 0) \
    PRUN__PLAIN(X, "spectral_entropy" end, "Martin 2021", \
                "entropy of l / sum, 1 if all are equal", 0, PRUN__FOLD, spectrum, 6, whole, 0) \
    PRUN__PLAIN(X, "soft_rank" end, "Martin 2021", "edge of random l / largest l", 0, PRUN__FOLD, \
                spectrum, 7, whole, 0)
/* Effective dimensionality, from the same spectrum at each z. */
#define PRUN__DIMENSION(X, end, at, z) \
    PRUN__PLAIN(X, "effective_dimensionality" end, "Maddox 2020", \
                "sum of e / (e + z) over Ritz values, " at, 1, PRUN__CURVED, curvature, 0, z, 0) \
    PRUN__PLAIN(X, "effective_dimensionality_fraction" end, "Kuhn 5.1", \
                "the same per weight, " at, 1, PRUN__CURVED, curvature, 1, z, 0) \
    PRUN__PLAIN(X, "effective_dimensionality_slq" end, "Maddox 2020", \
                "over the whole spectrum, " at, 1, PRUN__CURVED, curvature, 2, z, 0) \
    PRUN__PLAIN(X, "effective_dimensionality_slq_fraction" end, "Kuhn 5.1", \
                "the same per weight, " at, 1, PRUN__CURVED, curvature, 3, z, 0)

/* name, source, what, direction, needs; family, which, variant and flags; for norms the rows
   product, sum and divisor, then flags */
#define PRUN__MEASURES(X) \
    PRUN__PLAIN(X, "prunability", "Kuhn Def. 1", "kept fraction, by magnitude", 1, PRUN__SEARCH, \
                pruning, 0, 0, 0) \
    PRUN__PLAIN(X, "prunability_random", "Kuhn Def. 1", "kept fraction, at random", 1, \
                PRUN__RANDOM, pruning, 1, 0, 0) \
    PRUN__PLAIN(X, "pruned_parameters", "Kuhn 5.1", "parameters left at prunability", 1, \
                PRUN__SEARCH, pruning, 2, 0, 0) \
    PRUN__PLAIN(X, "sum_of_two_norms_pruned", "Kuhn 5.1", "sum of ||W||_F left at prunability", 1, \
                PRUN__SEARCH, pruning, 3, 0, 0) \
    PRUN__PLAIN(X, "dropout_bound", "Kuhn Eq. (1)", "PAC-Bayes bound on the error rate", 1, \
                PRUN__RANDOM, pruning, 4, 0, 0) \
    PRUN__PLAIN(X, "parameters", "Kuhn 5.1", "trained parameters", 1, 0, count, 0, 0, 0) \
    PRUN__PLAIN(X, "parameters_jiang", "Jiang 20", "sum of kernel x (in + 1) x out", 1, 0, count, \
                1, 0, 0) \
    PRUN__PLAIN(X, "train_loss", "Kuhn 5.1", "mean cross-entropy", 1, PRUN_NEEDS_LOSS, loss, 0, 0, \
                0) \
    PRUN__PLAIN(X, "negative_entropy", "Jiang 21", "mean of sum p ln p", 0, PRUN_NEEDS_LOGITS, \
                loss, 1, 0, 0) \
    PRUN__NORM(X, "inverse_margin", "Jiang 22", "1 / g^2, g the 10th percentile of margins", \
               PRUN__LABELLED, NONE, NONE, NONE, PRUN__MARGIN) \
    PRUN__NORM(X, "sum_of_frobenius", "Kuhn 5.1, Jiang 39", "d (prod F)^(1/d)", PRUN__FOLD, FRO, \
               NONE, NONE, PRUN__MEAN_FORM) \
    PRUN__NORM(X, "sum_of_frobenius_over_margin", "Jiang 38", "d (prod F / g^2)^(1/d)", \
               PRUN__GAMMA, FRO, NONE, NONE, PRUN__MEAN_FORM | PRUN__MARGIN) \
    PRUN__NORM(X, "prod_of_frobenius", "Jiang 37", "prod F", PRUN__FOLD, FRO, NONE, NONE, 0) \
    PRUN__NORM(X, "prod_of_frobenius_over_margin", "Jiang 36", "prod F / g^2", PRUN__GAMMA, FRO, \
               NONE, NONE, PRUN__MARGIN) \
    PRUN__NORM(X, "sum_of_two_norms", "Kuhn 5.1", "sum of ||W||_F", PRUN__FOLD, NONE, FRO, NONE, \
               PRUN__ROOTS) \
    PRUN__NORM(X, "parameter_norm", "Jiang 42", "sum of F", PRUN__FOLD, NONE, FRO, NONE, 0) \
    PRUN__NORM(X, "l2_norm", "Dziugaite 2020", "root of it", PRUN__FOLD, NONE, FRO, NONE, \
               PRUN__ROOT) \
    PRUN__NORM(X, "frobenius_distance", "Jiang 40", "sum of ||W - W0||_F^2", PRUN__START, NONE, \
               DIST, NONE, 0) \
    PRUN__NORM(X, "l2_distance", "Dziugaite 2020", "root of it", PRUN__START, NONE, DIST, NONE, \
               PRUN__ROOT) \
    PRUN__SPECTRAL(X, "", 0, 0) \
    PRUN__SPECTRAL(X, "_operator", PRUN_NEEDS_NET | PRUN__TRAIT(SLOW), PRUN__OPERATOR) \
    PRUN__SPECTRUM(X, "", 0) \
    PRUN__SPECTRUM(X, "_matrix", 1) \
    PRUN__PLAIN(X, "path_norm", "Jiang 44", "outputs for ones with squared parameters", 1, \
                PRUN_NEEDS_NET | PRUN__FOLD, path, 0, 0, 0) \
    PRUN__PLAIN(X, "path_norm_over_margin", "Jiang 43", "the same / g^2", 1, \
                PRUN_NEEDS_NET | PRUN__GAMMA, path, 0, 0, PRUN__MARGIN) \
    PRUN__PLAIN(X, "perturbation_flatness", "Kuhn 5.1", "1 / radius^2, noise variance ~ |w|", 1, \
                PRUN__RANDOM, radius, 0, 0, 0) \
    PRUN__PLAIN(X, "pacbayes_flat", "Jiang 53", "1 / sigma^2, plain noise", 1, PRUN__RANDOM, \
                radius, 1, 0, 0) \
    PRUN__PLAIN(X, "pacbayes_init", "Jiang 48", "bound, prior at W0", 1, \
                PRUN__RANDOM | PRUN__START, radius, 1, 1, PRUN__FROM_INITIAL) \
    PRUN__PLAIN(X, "pacbayes_orig", "Jiang 49", "bound, prior at 0", 1, PRUN__RANDOM, radius, 1, \
                1, 0) \
    PRUN__PLAIN(X, "pacbayes_mag_flat", "Jiang 61", "1 / sigma^2, noise variance ~ w^2", 1, \
                PRUN__RANDOM, radius, 2, 0, 0) \
    PRUN__PLAIN(X, "pacbayes_mag_init", "Jiang 56", "bound by magnitude, prior at W0", 1, \
                PRUN__RANDOM | PRUN__START, radius, 2, 2, PRUN__FROM_INITIAL) \
    PRUN__PLAIN(X, "pacbayes_mag_orig", "Jiang 57", "bound by magnitude, prior at 0", 1, \
                PRUN__RANDOM, radius, 2, 2, 0) \
    PRUN__PLAIN(X, "sharpness_flat", "Jiang 54", "1 / alpha^2, worst point of a box", 1, \
                PRUN__SHARP, radius, 3, 0, 0) \
    PRUN__PLAIN(X, "sharpness_init", "Jiang 51", "bound, prior at W0", 1, \
                PRUN__SHARP | PRUN__START, radius, 3, 1, PRUN__FROM_INITIAL) \
    PRUN__PLAIN(X, "sharpness_orig", "Jiang 52", "bound, prior at 0", 1, PRUN__SHARP, radius, 3, \
                1, 0) \
    PRUN__PLAIN(X, "sharpness_mag_flat", "Jiang 62", "1 / alpha^2, box by magnitude", 1, \
                PRUN__SHARP, radius, 4, 0, 0) \
    PRUN__PLAIN(X, "sharpness_mag_init", "Jiang 59", "bound by magnitude, prior at W0", 1, \
                PRUN__SHARP | PRUN__START, radius, 4, 2, PRUN__FROM_INITIAL) \
    PRUN__PLAIN(X, "sharpness_mag_orig", "Jiang 60", "bound by magnitude, prior at 0", 1, \
                PRUN__SHARP, radius, 4, 2, 0) \
    PRUN__DIMENSION(X, "", "z = 1 unless set", 0) \
    PRUN__DIMENSION(X, "_z391", "z = 1/391", 1) \
    PRUN__DIMENSION(X, "_decay", "z = weight decay", 2) \
    PRUN__PLAIN(X, "hessian_largest", "Keskar 2017", "largest eigenvalue that Lanczos finds", 1, \
                PRUN_NEEDS_HESSIAN | PRUN__FOLD | PRUN__TRAIT(SLOW), curvature, 4, 0, 0) \
    PRUN__PLAIN(X, "hessian_trace", "Hutchinson 1990", "sum of eigenvalues", 1, PRUN__CURVED, \
                curvature, 5, 0, 0) \
    PRUN__PLAIN(X, "fisher_rao_norm", "Liang 2019", "d root of mean (p.f - f_y)^2", 1, \
                PRUN__LABELLED | PRUN__FOLD, loss, 2, 0, 0) \
    PRUN__PLAIN(X, "gradient_norm", "textbook", "|mean gradient|^2", 0, PRUN_NEEDS_GRADIENT, \
                gradient, 0, 0, 0) \
    PRUN__PLAIN(X, "gradient_norm_fraction", "textbook", "the same per parameter", 0, \
                PRUN_NEEDS_GRADIENT, gradient, 1, 0, 0) \
    PRUN__PLAIN(X, "fisher_trace", "Jastrzebski 2021", "mean |gradient of a sample|^2", 1, \
                PRUN_NEEDS_GRADIENT | PRUN__TRAIT(SLOW), gradient, 2, 0, 0) \
    PRUN__PLAIN(X, "takeuchi_ratio", "Thomas 2020", "fisher_trace / trace of H", 1, PRUN__CURVED, \
                gradient, 3, 0, 0) \
    PRUN__PLAIN(X, "takeuchi_ratio_centred", "Thomas 2020", "with centred gradients", 1, \
                PRUN__CURVED, gradient, 4, 0, 0) \
    PRUN__PLAIN(X, "gradient_signal_to_noise", "Liu 2020", "mean of (E g)^2 / (Var g + 1e-5)", -1, \
                PRUN_NEEDS_GRADIENT | PRUN__TRAIT(SLOW), gradient, 5, 0, 0) \
    PRUN__PLAIN(X, "sum_of_train_losses", "Kuhn 5.1", "minus the sum over epochs", 1, \
                PRUN_NEEDS_HISTORY, history, 0, 0, 0) \
    PRUN__PLAIN(X, "steps_to_0.1", "Jiang 63", "steps until an epoch's loss is 0.1", 0, \
                PRUN_NEEDS_HISTORY, history, 1, 0, 0) \
    PRUN__PLAIN(X, "steps_0.1_to_0.01", "Jiang 64", "steps from there to 0.01", 0, \
                PRUN_NEEDS_HISTORY, history, 2, 0, 0) \
    PRUN__PLAIN(X, "gradient_noise_first", "Jiang 65", \
                "variance of batch gradients after epoch 1", 0, PRUN_NEEDS_HISTORY, history, 3, 0, \
                0) \
    PRUN__PLAIN(X, "gradient_noise_final", "Jiang 66", "variance of batch gradients now", 0, \
                PRUN_NEEDS_GRADIENT | PRUN__TRAIT(MONTE_CARLO), noise, 0, 0, 0) \
    PRUN__MARGINS(X, "output", PRUN__LABELLED, 0) \
    PRUN__MARGINS(X, "input", PRUN__INNER, 1) \
    PRUN__MARGINS(X, "third", PRUN__INNER, 2) \
    PRUN__MARGINS(X, "two_thirds", PRUN__INNER, 3) \
    PRUN__MARGINS(X, "last", PRUN__INNER, 4) \
    PRUN__PLAIN(X, "prunable_weights", "Kuhn 5.1", "weights that can be pruned", 1, 0, count, 2, \
                0, 0)

#define PRUN__ROW(name, source, what, direction, needs, family, which, variant, product, sum, \
                  divisor, flags) \
    {name, \
     source, \
     what, \
     direction, \
     (needs) & ((1 << PRUN__TRAIT_SHIFT) - 1), \
     (uint32_t)(needs) >> PRUN__TRAIT_SHIFT},
static const prun_measure_info prun__infos[] = {PRUN__MEASURES(PRUN__ROW)};
#undef PRUN__ROW
#define PRUN__ROW(name, source, what, direction, needs, family, which, variant, product, sum, \
                  divisor, flags) \
    {prun__measure_##family, which, variant, product, sum, divisor, flags},
static const prun__recipe prun__recipes[] = {PRUN__MEASURES(PRUN__ROW)};
#undef PRUN__ROW

PRUNDEF const prun_measure_info *prun_measures(int64_t *count) {
    *count = (int64_t)(sizeof prun__infos / sizeof prun__infos[0]);
    return prun__infos;
}

PRUNDEF int64_t prun_measure_find(const char *name) {
    int64_t i, count;
    const prun_measure_info *info = prun_measures(&count);
    for (i = 0; i < count; i++)
        if (strcmp(info[i].name, name) == 0) return i;
    return -1;
}

/* Bits of prun_measurement.known: 0-1 pruned, 2-6 radius, 8-13 layer, 16-20 features, 21 spectrum,
   22 trace, 23 trace over all tensors, 24-25 spectra, 26 moments. */
enum {
    PRUN__KNOWN_RADIUS = 2,
    PRUN__KNOWN_LAYER = 8,
    PRUN__KNOWN_MARGIN = 16,
    PRUN__KNOWN_CURVATURE = 21,
    PRUN__KNOWN_SPECTRUM = 24,
    PRUN__KNOWN_MOMENTS = 26
};

static prun_status prun__result_note(prun_measure_result *result, prun_status status,
                                     const char *format, ...) PRUN__PRINTF(3, 4);

/* Explains a result, and hands the status back. */
static prun_status prun__result_note(prun_measure_result *result, prun_status status,
                                     const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->message, sizeof result->message, format, arguments);
    va_end(arguments);
    return status;
}

/* What the table says a measure needs and the objective lacks. */
static prun_status prun__measure_check_needs(const prun_measurement *m, uint32_t needs,
                                             prun_measure_result *result) {
    const prun_objective *o = &m->objective;
    int64_t i;
    if ((needs & PRUN_NEEDS_LOSS) && !o->loss)
        return prun__result_note(result, PRUN_ERR_UNSUPPORTED, "the loss callback is missing");
    if ((needs & PRUN_NEEDS_GRADIENT) && !o->gradient)
        return prun__result_note(result, PRUN_ERR_UNSUPPORTED, "the gradient callback is missing");
    if ((needs & PRUN_NEEDS_HESSIAN) && !o->hessian_vector && !o->gradient)
        return prun__result_note(result, PRUN_ERR_UNSUPPORTED, "the gradient callback is missing");
    if ((needs & PRUN_NEEDS_NET) && !o->net)
        return prun__result_note(result, PRUN_ERR_UNSUPPORTED, "needs a prun_net");
    if ((needs & PRUN_NEEDS_LOGITS) && !o->logits)
        return prun__result_note(result, PRUN_ERR_UNSUPPORTED, "the logits callback is missing");
    if ((needs & PRUN_NEEDS_LABELS) && o->classes < 2)
        return prun__result_note(result, PRUN_ERR_UNSUPPORTED, "one class has no margins");
    if ((needs & PRUN_NEEDS_LABELS) && !m->margins)
        return prun__result_note(result, PRUN_ERR_UNSUPPORTED, "the labels are missing");
    if ((needs & PRUN_NEEDS_INITIAL) && !o->initial)
        return prun__result_note(result, PRUN_ERR_MISSING, "the initial weights are missing");
    if ((needs & PRUN_NEEDS_HISTORY) && (!m->options.history || m->options.epochs < 1))
        return prun__result_note(result, PRUN_ERR_MISSING, "the history of training is missing");
    for (i = 0; (needs & PRUN_NEEDS_LOSS) && i < o->samples; i++)
        if (!(fabs(m->losses[i]) <= DBL_MAX))
            return prun__result_note(result, PRUN_ERR_NONFINITE, "the loss of sample %lld is %g",
                                     (long long)i, m->losses[i]);
    if ((needs & PRUN_NEEDS_LOGITS) &&
        (i = prun__values_find_nonfinite(m->logits, o->samples * o->classes)) >= 0)
        return prun__result_note(result, PRUN_ERR_NONFINITE,
                                 "logit %lld of sample %lld is not finite",
                                 (long long)(i % o->classes), (long long)(i / o->classes));
    return PRUN_OK;
}

/* The searches, with the options of the measurement. Random pruning also runs once per permutation:
   the spread of those answers is its standard error. */
static prun_status prun__measurement_find_pruned(prun_measurement *m, int random) {
    const prun_measure_options *mo = &m->options;
    prun_prune_options o;
    prun_prunability one;
    double sum = 0.0, squares = 0.0;
    int64_t r;
    if (m->known >> random & 1) return PRUN_OK;
    memset(&o, 0, sizeof o);
    o.method = random ? PRUN_PRUNE_RANDOM : PRUN_PRUNE_MAGNITUDE;
    o.grid = mo->grid;
    o.beta[0] = mo->beta;
    o.beta_count = 1;
    o.repetitions = mo->repetitions;
    o.seed = mo->seed;
    o.include_biases = mo->include_biases;
    o.include_norms = mo->include_norms;
    o.progress = mo->progress;
    o.user = mo->user;
    PRUN__TRY(prun_prunability_search(&m->objective, &o, &m->pruned[random]));
    o.repetitions = 1;
    for (r = 0; random && mo->repetitions > 1 && r < mo->repetitions; r++) {
        const double n = (double)mo->repetitions;
        o.seed = prun_random_bits(mo->seed, PRUN__STREAM_MEASURE + 2, (uint64_t)r);
        PRUN__TRY(prun_prunability_search(&m->objective, &o, &one));
        sum += one.answer[0].kept_fraction;
        squares += one.answer[0].kept_fraction * one.answer[0].kept_fraction;
        m->pruned_error = sqrt(PRUN__MAX(squares - sum * sum / n, 0.0) / (n - 1.0) / n);
    }
    m->known |= 1u << random;
    return PRUN_OK;
}

/* PAC-Bayes bound on the error rate at the answer of random pruning, and a remark where it is
   vacuous. */
static prun_status prun__measure_dropout_bound(prun_measurement *m, prun_measure_result *result) {
    const prun_objective *o = &m->objective;
    prun_perturb_options p;
    prun_dropout_bound bound;
    int64_t ignored;
    PRUN__TRY(prun__measurement_find_pruned(m, 1));
    memset(&p, 0, sizeof p);
    memset(&bound, 0, sizeof bound);
    p.draws = m->options.draws;
    p.seed = m->options.seed;
    p.include_biases = m->options.include_biases;
    p.include_norms = m->options.include_norms;
    p.progress = m->options.progress;
    p.user = m->options.user;
    bound.kept = m->pruned[1].answer[0].kept_fraction;
    bound.squared_norm = prun__squared_distance(m->included, NULL, o->tensor_count, &ignored);
    bound.sigma = m->options.sigma;
    bound.delta = m->options.delta;
    bound.samples = o->samples;
    bound.candidates = (double)(m->options.grid + 1);
    PRUN__TRY(prun_dropout_error(o, bound.kept, bound.sigma, &p, &bound.empirical,
                                 &result->standard_error));
    result->value = prun_dropout_bound_value(&bound);
    if (result->value >= 1.0)
        prun__result_note(result, PRUN_OK, "vacuous: 1 or more; empirical term %.4f at %.2f kept",
                          bound.empirical, bound.kept);
    return o->samples >= 2
               ? PRUN_OK
               : prun__result_note(result, PRUN_ERR_NONFINITE, "one sample has no bound");
}

/* Sum of Euclidean norms after pruning to the answer of the search. */
static prun_status prun__measure_pruned_norms(prun_measurement *m, double *value) {
    prun_prune_options p;
    memset(&p, 0, sizeof p);
    p.grid = m->options.grid;
    p.include_biases = m->options.include_biases;
    p.include_norms = m->options.include_norms;
    return prun__kept_norm_sum(&m->objective, &p, m->pruned[0].answer[0].kept, value);
}

/* Measures of the pruning search. which: 0 and 1 kept fraction by magnitude and at random; after
   pruning by magnitude 2 parameters, 3 norms; 4 dropout bound. */
static prun_status prun__measure_pruning(prun_measurement *m, const prun__recipe *r,
                                         prun_measure_result *result) {
    if (r->which == 4) return prun__measure_dropout_bound(m, result);
    PRUN__TRY(prun__measurement_find_pruned(m, r->which == 1));
    if (r->which == 3) return prun__measure_pruned_norms(m, &result->value);
    result->value = m->pruned[r->which == 1].answer[0].kept_fraction;
    if (r->which == 1) result->standard_error = m->pruned_error;
    if (r->which == 2)
        result->value =
            (double)(m->parameters - m->pruned[0].prunable + m->pruned[0].answer[0].kept);
    return PRUN_OK;
}

/* Counts of parameters. which: 0 all, 1 kernel x (in + 1) x out summed over layers, as Jiang et al.
   count, 2 those that can be pruned. */
static prun_status prun__measure_count(prun_measurement *m, const prun__recipe *r,
                                       prun_measure_result *result) {
    const prun_objective *o = &m->objective;
    int64_t i;
    result->value = r->which == 0   ? (double)m->parameters
                    : r->which == 2 ? (double)m->included_weights
                                    : 0.0;
    for (i = 0; r->which == 1 && i < o->tensor_count; i++) {
        const prun_tensor *t = &o->tensors[i];
        if (!(t->flags & PRUN_TENSOR_WEIGHT)) continue;
        result->value +=
            (double)prun_tensor_size(t) * (t->rank > 1 ? 1.0 + 1.0 / (double)t->shape[1] : 1.0);
    }
    return PRUN_OK;
}

/* Computes one row of layer quantities. */
static prun_status prun__measurement_find_layers(prun_measurement *m, int32_t row) {
    const prun_objective *o = &m->objective;
    const int distance = row == PRUN__DIST || row == PRUN__SPEC_DIST || row == PRUN__OP_DIST;
    const prun_conv2d *geometry = NULL;
    int64_t i, at = 0, ignored;
    if (row == PRUN__NONE || (m->known >> (PRUN__KNOWN_LAYER + row) & 1)) return PRUN_OK;
    for (i = 0; i < o->tensor_count; i++) {
        const prun_tensor *t = &o->tensors[i], *t0 = distance ? &o->initial[i] : NULL;
        prun_spectral_norm_result s;
        prun_status status;
        if (!(t->flags & PRUN_TENSOR_WEIGHT)) continue;
        if (row <= PRUN__DIST) {
            m->layer[row][at++] = prun__squared_distance(t, t0, 1, &ignored);
            continue;
        }
#ifndef PRUNABILITY_NO_NET
        if (row >= PRUN__OP) geometry = prun__net_find_geometry(o->net, t);
#endif
        status = prun_spectral_norm(o->context, t, t0 ? t0->data : NULL, geometry, 0.0,
                                    m->options.seed, &s);
        if (status != PRUN_OK && status != PRUN_ERR_CONVERGENCE) return status;
        if (status != PRUN_OK && s.error > m->norm_error[row]) {
            m->norm_error[row] = s.error;
            m->norm_tensor[row] = i;
        }
        m->layer[row][at++] = s.norm * s.norm;
        if (m->options.progress && m->options.progress(m->options.user, at, m->layers))
            return prun__fail(o->context, PRUN_ERR_CANCELLED, "cancelled at the norm of %s",
                              t->name ? t->name : "?");
    }
    m->known |= 1u << (PRUN__KNOWN_LAYER + row);
    return PRUN_OK;
}

/* Names the worst of the norms of this row that did not converge, if any. */
static void prun__result_note_norm(const prun_measurement *m, int32_t row,
                                   prun_measure_result *result) {
    const double error = m->norm_error[row];
    const char *name = m->objective.tensors[m->norm_tensor[row]].name;
    if (error > 0.0)
        prun__result_note(result, PRUN_OK,
                          "spectral norm of %.80s did not converge: relative error up to "
                          "%.2g",
                          name ? name : "a layer", error);
}

/* All the norm measures: product (or d times the geometric mean) of one row over margin^2, times
   the sum of another over a third. In logarithms, because products of many layers are large. */
static prun_status prun__measure_norm(prun_measurement *m, const prun__recipe *r,
                                      prun_measure_result *result) {
    const int shift = r->flags & PRUN__OPERATOR ? 2 : 0;
    const int32_t rows[3] = {r->product == PRUN__SPEC ? r->product + shift : r->product,
                             r->sum == PRUN__SPEC || r->sum == PRUN__SPEC_DIST ? r->sum + shift
                                                                               : r->sum,
                             r->divisor == PRUN__SPEC ? r->divisor + shift : r->divisor};
    double logs = 0.0, sum = 0.0;
    int64_t i;
    for (i = 0; i < 3; i++) {
        PRUN__TRY(prun__measurement_find_layers(m, rows[i]));
        if (rows[i] != PRUN__NONE) prun__result_note_norm(m, rows[i], result);
    }
    if ((r->flags & PRUN__MARGIN) && m->margin <= 0.0) {
        result->value = HUGE_VAL;
        return prun__result_note(
            result, PRUN_OK, "the 10th percentile of the margins is %g: not positive", m->margin);
    }
    for (i = 0; rows[0] != PRUN__NONE && i < m->layers; i++) logs += log(m->layer[rows[0]][i]);
    if (r->flags & PRUN__MARGIN) logs -= 2.0 * log(m->margin);
    result->value =
        r->flags & PRUN__MEAN_FORM ? (double)m->layers * exp(logs / (double)m->layers) : exp(logs);
    if (rows[1] == PRUN__NONE) return PRUN_OK;
    for (i = 0; i < m->layers; i++) {
        const double top = m->layer[rows[1]][i];
        const double bottom = rows[2] == PRUN__NONE ? 1.0 : m->layer[rows[2]][i];
        if (bottom == 0.0)
            return prun__result_note(result, PRUN_ERR_NONFINITE, "layer %lld has no weight but 0",
                                     (long long)i);
        sum += (r->flags & PRUN__ROOTS ? sqrt(top) : top) / bottom;
    }
    result->value *= r->flags & PRUN__ROOT ? sqrt(sum) : sum;
    return PRUN_OK;
}

/* Means over the layers that have eigenvalues enough; of alpha, over those with a power law. */
static prun_status prun__measurement_find_spectra(prun_measurement *m, int32_t whole) {
    const prun_objective *o = &m->objective;
    double *sum = m->shape[whole];
    int64_t i, *layers = m->shaped[whole];
    if (m->known >> (PRUN__KNOWN_SPECTRUM + whole) & 1) return PRUN_OK;
    memset(sum, 0, sizeof m->shape[whole]);
    layers[0] = layers[1] = 0;
    for (i = 0; i < o->tensor_count; i++) {
        const prun_tensor *t = &o->tensors[i];
        prun_weight_spectrum_result s;
        int64_t count = 0;
        if (!(t->flags & PRUN_TENSOR_WEIGHT)) continue;
        PRUN__TRY(prun_weight_eigenvalues(o->context, t, whole, NULL, &count));
        if (count < m->options.least_eigenvalues) continue;
        PRUN__TRY(prun_weight_spectrum(o->context, t, whole, m->options.halve_convolutions, &s));
        layers[0]++;
        sum[3] += log10(s.sum);
        sum[4] += log10(s.largest);
        sum[5] += s.stable_rank;
        sum[6] += s.spectral_entropy;
        sum[7] += s.soft_rank;
        if (s.law.tail > 0) {
            layers[1]++;
            sum[0] += s.law.alpha;
            sum[1] += s.law.alpha * log10(s.largest);
            sum[2] += s.log_alpha_norm;
        }
        if (m->options.progress && m->options.progress(m->options.user, layers[0], m->layers))
            return prun__fail(o->context, PRUN_ERR_CANCELLED, "cancelled at the spectrum of %s",
                              t->name ? t->name : "?");
    }
    for (i = 0; i < 8; i++) sum[i] /= (double)layers[i < 3]; /* NaN where there are none */
    m->known |= 1u << (PRUN__KNOWN_SPECTRUM + whole);
    return PRUN_OK;
}

/* Spectra of weights. */
static prun_status prun__measure_spectrum(prun_measurement *m, const prun__recipe *r,
                                          prun_measure_result *result) {
    PRUN__TRY(prun__measurement_find_spectra(m, r->variant));
    if (m->shaped[r->variant][0] == 0)
        return prun__result_note(result, PRUN_ERR_MISSING, "no layer has %lld eigenvalues",
                                 (long long)m->options.least_eigenvalues);
    if (r->which < 3 && m->shaped[r->variant][1] == 0)
        return prun__result_note(result, PRUN_ERR_MISSING,
                                 "no layer has two eigenvalues above 1e-5");
    result->value = m->shape[r->variant][r->which];
    return PRUN_OK;
}

/* The path norm, over the squared margin where the flags ask for it. A margin that is not positive
   makes it infinite. */
static prun_status prun__measure_path(prun_measurement *m, const prun__recipe *r,
                                      prun_measure_result *result) {
    double path = PRUN__NAN;
    PRUN__TRY(prun__measure_norm(m, r, result)); /* of no layer: 1, or 1 / margin^2 */
    if (result->value == HUGE_VAL) return PRUN_OK;
#ifndef PRUNABILITY_NO_NET
    PRUN__TRY(prun_path_norm(m->objective.net, &path));
#endif
    result->value *= path;
    return PRUN_OK;
}

/* Measures of losses and logits. which: 0 mean loss, 1 negative entropy of the predicted
   distributions, 2 Fisher-Rao norm by its closed form. */
static prun_status prun__measure_loss(prun_measurement *m, const prun__recipe *r,
                                      prun_measure_result *result) {
    const prun_objective *o = &m->objective;
    double *p, sum = 0.0;
    int64_t i, j;
    result->value = m->loss;
    if (r->which == 0) return PRUN_OK;
    p = (double *)prun__alloc(o->context, o->classes, sizeof *p, "probabilities");
    if (!p) return PRUN_ERR_MEMORY;
    for (i = 0; i < o->samples; i++) {
        const float *logits = m->logits + i * o->classes;
        prun_cross_entropy(logits, o->classes, 0, p);
        if (r->which == 1) {
            for (j = 0; j < o->classes; j++)
                if (p[j] > 0.0) sum += p[j] * log(p[j]);
        } else {
            double mean = -(double)logits[o->labels[i]];
            for (j = 0; j < o->classes; j++) mean += p[j] * (double)logits[j];
            sum += mean * mean;
        }
    }
    prun__free(o->context, p);
    result->value = sum / (double)o->samples;
    if (r->which == 2) result->value = (double)m->layers * sqrt(result->value);
    return PRUN_OK;
}

/* The radius of one kind of noise (which < 3) or of sharpness, searched for when it is first
   needed. */
static prun_status prun__measurement_find_radius(prun_measurement *m, int32_t which) {
    const prun_measure_options *mo = &m->options;
    prun_perturb_options p;
    if (m->known >> (PRUN__KNOWN_RADIUS + which) & 1) return PRUN_OK;
    memset(&p, 0, sizeof p);
    p.noise = which == 0  ? PRUN_NOISE_MAGNITUDE
              : which % 2 ? PRUN_NOISE_GAUSSIAN
                          : PRUN_NOISE_SQUARED;
    p.draws = mo->draws;
    p.restarts = mo->restarts;
    p.seed = mo->seed;
    p.beta = mo->beta;
    p.displacement = which == 0 ? 0.0 : mo->displacement;
    p.precision = mo->precision;
    p.include_biases = mo->include_biases;
    p.include_norms = mo->include_norms;
    p.progress = mo->progress;
    p.user = mo->user;
    PRUN__TRY(which < 3 ? prun_perturbation_radius(&m->objective, &p, &m->radius[which])
                        : prun_sharpness_radius(&m->objective, &p, &m->radius[which]));
    m->known |= 1u << (PRUN__KNOWN_RADIUS + which);
    return PRUN_OK;
}

/* which: the radius. variant: 0 flatness, 1 plain bound, 2 magnitude-aware bound.
   Sharpness bounds follow from sigma = alpha / (2 sqrt(ln(2 omega / delta))). */
static prun_status prun__measure_radius(prun_measurement *m, const prun__recipe *r,
                                        prun_measure_result *result) {
    const prun_objective *o = &m->objective;
    const prun_radius *found = &m->radius[r->which];
    const prun_tensor *initial = r->flags & PRUN__FROM_INITIAL ? o->initial : NULL;
    const double spread = 4.0 * log(2.0 * (double)m->included_weights / m->options.delta);
    double sigma, slope;
    int64_t ignored;
    PRUN__TRY(prun__measurement_find_radius(m, r->which));
    sigma = found->radius;
    if (found->state == PRUN_RADIUS_NONE) {
        result->value = HUGE_VAL;
        return prun__result_note(result, PRUN_OK,
                                 "no feasible radius: %.6g at radius 0 already, %.6g "
                                 "allowed",
                                 found->base, found->threshold);
    }
    if (found->state == PRUN_RADIUS_SATURATED)
        prun__result_note(result, PRUN_OK, "saturated: the cap %g is still within the tolerance",
                          sigma);
    if (r->variant == 0) {
        result->value = found->flatness;
        slope = -2.0 * found->flatness / sigma;
    } else if (r->variant == 1) {
        const double square =
            prun__squared_distance(m->included, initial, o->tensor_count, &ignored);
        if (r->which >= 3) sigma /= sqrt(spread);
        result->value = prun_pacbayes_bound(square, sigma, o->samples);
        slope = -square / (2.0 * sigma * sigma * sigma) - 1.0 / sigma;
    } else {
        const double h = 1e-5 * sigma, prior = r->which < 3 ? 1.0 : spread;
        double v[3];
        int k;
        for (k = 0; k < 3; k++)
            v[k] = prun_pacbayes_magnitude_bound(m->included, initial, o->tensor_count,
                                                 sigma + (k - 1) * h, r->which < 3 ? 1e-3 : 1e-6,
                                                 prior, o->samples);
        result->value = v[1];
        slope = (v[2] - v[0]) / (2.0 * h);
    }
    result->standard_error = fabs(slope) * found->standard_error;
    return PRUN_OK;
}

static void prun__result_add_note(prun_measure_result *result, const char *format, ...)
    PRUN__PRINTF(2, 3);

/* Appends a remark to a result's message, after what is there; what does not fit is cut off. */
static void prun__result_add_note(prun_measure_result *result, const char *format, ...) {
    size_t used = strlen(result->message);
    va_list arguments;
    if (used > 0 && used + 2 < sizeof result->message) {
        memcpy(result->message + used, "; ", 3);
        used += 2;
    }
    va_start(arguments, format);
    vsnprintf(result->message + used, sizeof result->message - used, format, arguments);
    va_end(arguments);
}

/* Puts the samples of curvature and of gradients' moments into a new array: at random, as sets may
   be sorted by class. NULL: all samples. */
static prun_status prun__measurement_draw_samples(const prun_measurement *m, int64_t **order) {
    const prun_objective *o = &m->objective;
    *order = NULL;
    if (m->options.hessian_samples >= o->samples) return PRUN_OK;
    *order = (int64_t *)prun__alloc(o->context, o->samples, sizeof **order, "samples");
    if (!*order) return PRUN_ERR_MEMORY;
    prun_random_permutation(m->options.seed, PRUN__STREAM_MEASURE, o->samples, *order);
    return PRUN_OK;
}

/* Says that not all samples were used, where that is so. */
static void prun__result_add_samples_note(const prun_measurement *m, prun_measure_result *result) {
    if (m->options.hessian_samples < m->objective.samples)
        prun__result_add_note(result, "over %lld of %lld samples",
                              (long long)m->options.hessian_samples,
                              (long long)m->objective.samples);
}

/* Moments of the samples' gradients. */
static prun_status prun__measurement_find_moments(prun_measurement *m) {
    const prun_objective *o = &m->objective;
    int64_t *order;
    prun_status status;
    if (m->known >> PRUN__KNOWN_MOMENTS & 1) return PRUN_OK;
    PRUN__TRY(prun__measurement_draw_samples(m, &order));
    status = prun_gradient_moments(o, order, PRUN__MIN(m->options.hessian_samples, o->samples),
                                   1e-5, &m->moments);
    prun__free(o->context, order);
    if (status == PRUN_OK) m->known |= 1u << PRUN__KNOWN_MOMENTS;
    return status;
}

#ifndef PRUNABILITY_NO_HESSIAN
enum { PRUN__SPECTRUM_OF_WEIGHTS, PRUN__TRACE, PRUN__WHOLE_TRACE };

/* The spectrum of the Hessian, or its trace, over the weights or over all tensors; all of them over
   the same samples. */
static prun_status prun__measurement_find_curvature(prun_measurement *m, int kind) {
    const prun_measure_options *mo = &m->options;
    const prun_objective *o = &m->objective;
    prun_hessian_options p;
    int64_t *order;
    prun_status status;
    if (m->known >> (PRUN__KNOWN_CURVATURE + kind) & 1) return PRUN_OK;
    memset(&p, 0, sizeof p);
    p.scope = kind == PRUN__WHOLE_TRACE ? PRUN_HESSIAN_ALL : PRUN_HESSIAN_WEIGHTS;
    p.samples = PRUN__MIN(mo->hessian_samples, o->samples);
    p.steps = mo->hessian_steps;
    p.probes = kind == PRUN__SPECTRUM_OF_WEIGHTS ? mo->hessian_probes : mo->draws;
    p.seed = mo->seed;
    p.progress = mo->progress;
    p.user = mo->user;
    PRUN__TRY(prun__measurement_draw_samples(m, &order));
    p.index = order;
    if (kind == PRUN__SPECTRUM_OF_WEIGHTS) status = prun_hessian_spectrum(o, &p, &m->spectrum);
    else status = prun_hessian_trace(o, &p, &m->trace[kind == PRUN__WHOLE_TRACE], NULL);
    prun__free(o->context, order);
    if (status == PRUN_OK) m->known |= 1u << (PRUN__KNOWN_CURVATURE + kind);
    return status;
}

/* The Ritz sum is that of the first run, as Maddox et al. have one. What another start vector would
   have changed is the deviation between the runs. */
static double prun__ritz_deviation(const prun_spectrum *s, double z) {
    const double n = (double)s->probes;
    double sum = 0.0, squares = 0.0;
    int64_t i, j;
    for (i = 0; i < s->probes; i++) {
        double one = 0.0;
        for (j = 0; j < s->steps; j++) one += prun__dimension_term(&z, s->values[i * s->steps + j]);
        sum += one;
        squares += one * one;
    }
    return n > 1.0 ? sqrt(PRUN__MAX(squares - sum * sum / n, 0.0) / (n - 1.0)) : PRUN__NAN;
}

/* Adds a remark to a result's message. */
/* Says what most of an estimate's error is, where it exceeds a tenth of the value. z 0: a trace. */
static void prun__result_add_error_note(prun_measure_result *result, const prun_estimate *e,
                                        int64_t steps, double z) {
    const double spread = e->standard_error <= DBL_MAX ? e->standard_error : 0.0;
    const double all = sqrt(spread * spread + e->quadrature_error * e->quadrature_error +
                            e->difference_error * e->difference_error);
    if (!(all > 0.1 * fabs(e->value))) return;
    if (all <= 100.0 * fabs(e->value))
        prun__result_add_note(result,
                              "uncertain by %s %.2g %%: ", spread > 0.0 ? "about" : "at least",
                              100.0 * all / fabs(e->value));
    else prun__result_add_note(result, "uncertain by more than its size: ");
    if (e->quadrature_error >= PRUN__MAX(spread, e->difference_error))
        snprintf(result->message + strlen(result->message),
                 sizeof result->message - strlen(result->message),
                 "%lld Lanczos steps do not resolve z = %.2g, raise hessian_steps",
                 (long long)steps, z);
    else
        snprintf(result->message + strlen(result->message),
                 sizeof result->message - strlen(result->message), "%s",
                 e->difference_error > spread ? "exact products are needed"
                 : z > 0.0                    ? "raise hessian_probes"
                                              : "raise draws");
}

/* The largest Ritz value of all runs, and a remark when it has not converged. */
static prun_status prun__measure_largest_eigenvalue(const prun_spectrum *s,
                                                    prun_measure_result *result) {
    double residual;
    int64_t i, best = 0;
    for (i = 1; i < s->probes; i++)
        if (s->values[(i + 1) * s->steps - 1] > s->values[(best + 1) * s->steps - 1]) best = i;
    result->value = s->values[(best + 1) * s->steps - 1];
    PRUN__TRY(prun__spectrum_residual(s, best, &residual));
    if (residual > 0.01 * fabs(result->value))
        prun__result_add_note(result, "not converged, residual %.2g: raise hessian_steps",
                              residual);
    return PRUN_OK;
}

/* Either form of the effective dimensionality, not yet divided. share: what finite differences err
   by, relative to it. */
static prun_status prun__measure_dimension(const prun_spectrum *s, double z, int ritz,
                                           prun_measure_result *result, double *share) {
    prun_effective_dimension d;
    double missing;
    PRUN__TRY(prun_effective_dimensionality(s, z, &d));
    *share = d.estimate.value > 0.0 ? d.estimate.difference_error / d.estimate.value : 0.0;
    if (!ritz) {
        result->value = d.estimate.value;
        result->standard_error = d.estimate.error;
        prun__result_add_error_note(result, &d.estimate, s->steps, z);
        return PRUN_OK;
    }
    result->value = d.ritz;
    result->standard_error = sqrt(pow(prun__ritz_deviation(s, z), 2.0) + pow(*share * d.ritz, 2.0));
    missing = d.estimate.value - d.ritz;
    if (missing > PRUN__MAX(0.1 * d.estimate.value, d.estimate.error))
        prun__result_add_note(result, "the %lld Ritz values miss about %.2g %% of the sum over all",
                              (long long)s->steps, 100.0 * missing / d.estimate.value);
    return PRUN_OK;
}

/* which: 0, 1 Ritz sum, raw and per weight; 2, 3 quadrature, likewise; 4 largest eigenvalue;
   5 trace. variant: the z. */
static prun_status prun__measure_curvature(prun_measurement *m, const prun__recipe *r,
                                           prun_measure_result *result) {
    const double z = r->variant == 0   ? m->options.z
                     : r->variant == 1 ? 1.0 / 391.0
                                       : m->options.weight_decay;
    const double per = r->which == 1 || r->which == 3 ? (double)m->weights : 1.0;
    double share = 0.0;
    if (r->variant == 2 && z == 0.0)
        return prun__result_note(result, PRUN_ERR_MISSING,
                                 "the weight decay of training is not given");
    PRUN__TRY(prun__measurement_find_curvature(m, r->which == 5 ? PRUN__TRACE
                                                                : PRUN__SPECTRUM_OF_WEIGHTS));
    if (r->which == 5) {
        result->value = m->trace[0].value;
        result->standard_error = m->trace[0].error;
        share =
            m->trace[0].value != 0.0 ? m->trace[0].difference_error / fabs(m->trace[0].value) : 0.0;
        prun__result_add_error_note(result, &m->trace[0], 0, 0.0);
    } else if (r->which == 4) {
        share = m->spectrum.difference_error;
        PRUN__TRY(prun__measure_largest_eigenvalue(&m->spectrum, result));
    } else {
        PRUN__TRY(prun__measure_dimension(&m->spectrum, z, r->which < 2, result, &share));
    }
    result->value /= per;
    result->standard_error /= per;
    prun__result_add_samples_note(m, result);
    if (!m->objective.hessian_vector)
        prun__result_add_note(result, "finite differences, off by about %.1g %%", 100.0 * share);
    if (result->standard_error > DBL_MAX) result->standard_error = PRUN__NAN; /* one vector */
    return PRUN_OK;
}
#else
/* Fails: this build has no products with the Hessian. */
static prun_status prun__measure_curvature(prun_measurement *m, const prun__recipe *r,
                                           prun_measure_result *result) {
    (void)m;
    (void)r;
    return prun__result_note(result, PRUN_ERR_UNSUPPORTED, "compiled with PRUNABILITY_NO_HESSIAN");
}
#endif

/* Why a layer has no margin features. */
enum { PRUN__FEATURES_THERE, PRUN__FEATURES_SAME, PRUN__FEATURES_NEGATIVE, PRUN__FEATURES_IMAGES };

/* Features of one layer's margins, or why there are none. */
static prun_status prun__measurement_set_features(prun_measurement *m, int32_t layer,
                                                  const double *margins) {
    const int64_t n = m->objective.samples;
    const prun_status status =
        prun_margin_features(m->objective.context, margins, n, m->features[layer]);
    if (status != PRUN_OK && status != PRUN_ERR_MISSING) return status;
    m->feature_state[layer] = status == PRUN_OK ? PRUN__FEATURES_THERE : PRUN__FEATURES_NEGATIVE;
    m->known |= 1u << (PRUN__KNOWN_MARGIN + layer);
    return PRUN_OK;
}

#ifndef PRUNABILITY_NO_NET
/* Hidden margins of all four layers at once; of the last three where the images are read by more
   than convolutions. */
static prun_status prun__measurement_find_hidden_margins(prun_measurement *m) {
    const prun_objective *o = &m->objective;
    const int64_t n = o->samples;
    double *margins, spread[4];
    prun_margin_outputs outputs;
    int32_t layers[4], k, first = 0;
    int64_t i;
    prun_status status;
    prun_net_margin_layers(o->net, layers);
    margins =
        (double *)prun__alloc(o->context, prun__size_product(4, n), sizeof(double), "margins");
    if (!margins) return PRUN_ERR_MEMORY;
    outputs.margins = margins;
    outputs.spread = spread;
    status = prun_net_hidden_margins(o->net, o->images, NULL, n, layers, 4, &outputs);
    if (status == PRUN_ERR_UNSUPPORTED && layers[1] != layers[0]) {
        m->feature_state[1] = PRUN__FEATURES_IMAGES;
        m->known |= 1u << (PRUN__KNOWN_MARGIN + 1);
        first = 1;
        outputs.margins += n;
        outputs.spread++;
        status = prun_net_hidden_margins(o->net, o->images, NULL, n, layers + 1, 3, &outputs);
    }
    for (k = first; status == PRUN_OK && k < 4; k++) {
        for (i = 0; spread[k] > 0.0 && i < n; i++) margins[k * n + i] /= spread[k];
        if (spread[k] > 0.0) {
            status = prun__measurement_set_features(m, k + 1, margins + k * n);
        } else {
            m->feature_state[k + 1] = PRUN__FEATURES_SAME;
            m->known |= 1u << (PRUN__KNOWN_MARGIN + 1 + k);
        }
    }
    prun__free(o->context, margins);
    return status;
}
#else
/* Fails: hidden margins are those of a prun_net, which this build does not have. */
static prun_status prun__measurement_find_hidden_margins(prun_measurement *m) {
    return prun__fail(m->objective.context, PRUN_ERR_UNSUPPORTED, "needs a prun_net");
}
#endif

/* Log of a margin statistic. which: 0 the output, 1 .. 4 four layers; variant: 0 .. 4 lower
   whisker, quartiles, upper whisker. */
static prun_status prun__measure_margin(prun_measurement *m, const prun__recipe *r,
                                        prun_measure_result *result) {
    if (!(m->known >> (PRUN__KNOWN_MARGIN + r->which) & 1))
        PRUN__TRY(r->which == 0 ? prun__measurement_set_features(m, 0, m->margins)
                                : prun__measurement_find_hidden_margins(m));
    switch (m->feature_state[r->which]) {
        case PRUN__FEATURES_SAME:
            return prun__result_note(result, PRUN_ERR_NONFINITE,
                                     "the layer's input is the same for all "
                                     "samples");
        case PRUN__FEATURES_NEGATIVE:
            return prun__result_note(result, PRUN_ERR_MISSING, "none of %lld margins is positive",
                                     (long long)m->objective.samples);
        case PRUN__FEATURES_IMAGES:
            return prun__result_note(result, PRUN_ERR_UNSUPPORTED,
                                     "the images are read by more than "
                                     "convolutions");
        default: result->value = m->features[r->which][r->variant]; return PRUN_OK;
    }
}

/* Steps taken by the end of the first epoch whose mean loss is at most `loss`, or +infinity. */
static double prun__steps_to_loss(const prun_measure_options *o, double loss) {
    int64_t i;
    for (i = 0; i < o->epochs; i++)
        if (o->history[i].loss <= loss) return (double)o->history[i].steps;
    return HUGE_VAL;
}

/* Measures of the training history. which: 0 sum of losses, 1 steps to loss 0.1, 2 from there to
   0.01, 3 gradient noise after the first epoch. */
static prun_status prun__measure_history(prun_measurement *m, const prun__recipe *r,
                                         prun_measure_result *result) {
    const prun_measure_options *o = &m->options;
    if (r->which == 0) result->value = prun_sum_of_train_losses(o->history, o->epochs);
    if (r->which == 1) result->value = prun__steps_to_loss(o, 0.1);
    if (r->which == 2) {
        result->value = prun__steps_to_loss(o, 0.01);
        if (result->value < HUGE_VAL) result->value -= prun__steps_to_loss(o, 0.1);
    }
    if (r->which == 3) {
        result->value = o->history[0].gradient_noise;
        if (!(result->value >= 0.0))
            return prun__result_note(result, PRUN_ERR_MISSING,
                                     "training was not asked for noise_pairs");
    } else if (result->value == HUGE_VAL) {
        prun__result_note(result, PRUN_OK, "the training loss never came down to %s",
                          r->which == 1 ? "0.1" : "0.01");
    }
    return PRUN_OK;
}

/* Variance of batch gradients at the present weights. */
static prun_status prun__measure_noise(prun_measurement *m, const prun__recipe *r,
                                       prun_measure_result *result) {
    (void)r;
    return prun_gradient_noise(&m->objective, m->options.noise_batch, m->options.noise_pairs,
                               m->options.seed, &result->value, &result->standard_error);
}

/* Square of the mean gradient's norm over all samples. */
static prun_status prun__measure_gradient_norm(const prun_measurement *m,
                                               prun_measure_result *result) {
    const prun_objective *o = &m->objective;
    float *g = (float *)prun__alloc(o->context, m->parameters, sizeof *g, "gradient");
    double sum = 0.0;
    int64_t i;
    prun_status status = g ? PRUN_OK : PRUN_ERR_MEMORY;
    if (status == PRUN_OK) status = prun__objective_gradient(o, NULL, o->samples, g, NULL);
    for (i = 0; status == PRUN_OK && i < m->parameters; i++) {
        const double mean = (double)g[i] / (double)o->samples;
        sum += mean * mean;
    }
    prun__free(o->context, g);
    if (status == PRUN_OK && !(sum <= DBL_MAX))
        status = prun__fail(o->context, PRUN_ERR_NONFINITE, "the gradient is not finite");
    result->value = sum;
    return status;
}

/* The ratio of the gradients' variance to the trace of the Hessian, over all tensors. */
static prun_status prun__measure_takeuchi(prun_measurement *m, int centred,
                                          prun_measure_result *result) {
#ifndef PRUNABILITY_NO_HESSIAN
    const prun_estimate *trace = &m->trace[1];
    PRUN__TRY(prun__measurement_find_curvature(m, PRUN__WHOLE_TRACE));
    if (!(trace->value > 0.0))
        return prun__fail(m->objective.context, PRUN_ERR_MISSING,
                          "the trace of the Hessian is %.3g, where a positive one is needed",
                          trace->value);
    PRUN__TRY(prun__measurement_find_moments(m));
    result->value =
        (centred ? m->moments.centred_trace : m->moments.uncentred_trace) / trace->value;
    result->standard_error = result->value * trace->error / trace->value;
    if (result->standard_error > DBL_MAX) result->standard_error = PRUN__NAN; /* one vector */
    prun__result_add_error_note(result, trace, 0, 0.0);
    return PRUN_OK;
#else
    (void)m;
    (void)centred;
    return prun__result_note(result, PRUN_ERR_UNSUPPORTED, "compiled with PRUNABILITY_NO_HESSIAN");
#endif
}

/* which: 0, 1 squared norm of the mean gradient, and per parameter; 2 trace of the empirical Fisher
   matrix; 3, 4 the same, and centred, over that of the Hessian; 5 signal to noise. */
static prun_status prun__measure_gradient(prun_measurement *m, const prun__recipe *r,
                                          prun_measure_result *result) {
    if (r->which < 2) {
        PRUN__TRY(prun__measure_gradient_norm(m, result));
        if (r->which == 1) result->value /= (double)m->parameters;
        return PRUN_OK;
    }
    if (r->which == 3 || r->which == 4) {
        PRUN__TRY(prun__measure_takeuchi(m, r->which == 4, result));
    } else {
        PRUN__TRY(prun__measurement_find_moments(m));
        result->value = r->which == 2 ? m->moments.uncentred_trace : m->moments.signal_to_noise;
    }
    prun__result_add_samples_note(m, result);
    return PRUN_OK;
}

/* [MEASURING.I] a measurement: its options, what it begins with, one measure and all of them */

PRUNDEF prun_measure_options prun_measure_resolved(const prun_measure_options *options) {
    prun_measure_options o;
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    if (o.beta == 0.0) o.beta = 0.1;
    if (o.grid == 0) o.grid = 100;
    if (o.repetitions == 0) o.repetitions = 5;
    if (o.draws == 0) o.draws = 10;
    if (o.restarts == 0) o.restarts = 3;
    if (o.precision == 0.0) o.precision = 0.01;
    if (o.delta == 0.0) o.delta = 0.05;
    if (o.sigma == 0.0) o.sigma = 1.0;
    if (o.noise_batch == 0) o.noise_batch = 128;
    if (o.noise_pairs == 0) o.noise_pairs = 8;
    if (o.hessian_samples == 0) o.hessian_samples = 500;
    if (o.hessian_steps == 0) o.hessian_steps = 100;
    if (o.hessian_probes == 0) o.hessian_probes = 3;
    if (o.z == 0.0) o.z = 1.0;
    if (o.least_eigenvalues == 0) o.least_eigenvalues = 50;
    return o;
}

/* Searches would find these faults one by one, after other measures were computed. */
static prun_status prun__measure_check(prun_context *context, const prun_measure_options *o) {
    if (!(o->beta >= 0.0 && o->beta <= 1e300) || o->grid < 1 || o->grid > (1 << 24) ||
        o->repetitions < 1 || o->repetitions > (1 << 20))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "measures: beta %g, grid %lld (1 .. 2^24), "
                          "repetitions %lld (1 .. 2^20)",
                          o->beta, (long long)o->grid, (long long)o->repetitions);
    if (o->draws < 1 || o->draws > (1 << 20) || o->restarts < 1 || o->restarts > (1 << 20) ||
        !(o->precision > 1e-12) || !(o->displacement >= 0.0))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "measures: draws %lld, restarts %lld "
                          "(1 .. 2^20), precision %g, displacement %g",
                          (long long)o->draws, (long long)o->restarts, o->precision,
                          o->displacement);
    if (!(o->delta > 0.0 && o->delta < 1.0) || !(o->sigma > 0.0 && o->sigma <= 1e30))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "measures: delta %g is not in (0, 1), or "
                          "sigma %g is not above 0",
                          o->delta, o->sigma);
    if (o->noise_batch < 1 || o->noise_pairs < 1 || o->hessian_samples < 1 ||
        o->hessian_steps < 1 || o->hessian_probes < 1 || o->hessian_probes > INT32_MAX)
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "measures: noise_batch %lld, noise_pairs "
                          "%lld, hessian_samples %lld, hessian_steps %lld, hessian_probes %lld",
                          (long long)o->noise_batch, (long long)o->noise_pairs,
                          (long long)o->hessian_samples, (long long)o->hessian_steps,
                          (long long)o->hessian_probes);
    if (!(o->z > 0.0 && o->z <= DBL_MAX) || !(o->weight_decay >= 0.0 && o->weight_decay <= DBL_MAX))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "measures: z %g or weight_decay %g is "
                          "negative or not finite",
                          o->z, o->weight_decay);
    if (o->least_eigenvalues < 1)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "measures: least_eigenvalues %lld is below 1",
                          (long long)o->least_eigenvalues);
    return PRUN_OK;
}

/* Copies the tensors, marking those that are pruned and perturbed. */
static prun_status prun__measurement_copy_tensors(prun_measurement *m) {
    const prun_objective *o = &m->objective;
    uint32_t wanted = PRUN_TENSOR_WEIGHT;
    int64_t i;
    if (m->options.include_biases) wanted |= PRUN_TENSOR_BIAS;
    if (m->options.include_norms) wanted |= PRUN_TENSOR_NORM;
    m->included =
        (prun_tensor *)prun__alloc(o->context, o->tensor_count, sizeof *m->included, "measures");
    if (!m->included) return PRUN_ERR_MEMORY;
    for (i = 0; i < o->tensor_count; i++) {
        m->included[i] = o->tensors[i];
        m->included[i].flags = o->tensors[i].flags & wanted ? PRUN_TENSOR_WEIGHT : 0;
        if (m->included[i].flags) m->included_weights += prun_tensor_size(&o->tensors[i]);
    }
    return PRUN_OK;
}

/* Checks tensors and counts them. */
static prun_status prun__measurement_check_tensors(prun_measurement *m) {
    const prun_objective *o = &m->objective;
    int64_t i, at;
    PRUN__TRY(prun__objective_check(o));
    for (i = 0; i < o->tensor_count; i++) {
        const prun_tensor *t = &o->tensors[i];
        at = prun__values_find_nonfinite(t->data, prun_tensor_size(t));
        if (at >= 0)
            return prun__fail(o->context, PRUN_ERR_NONFINITE, "weight %s[%lld] is not finite",
                              t->name ? t->name : "?", (long long)at);
        if (o->initial && !o->initial[i].data)
            return prun__fail(o->context, PRUN_ERR_ARGUMENT,
                              "objective: initial tensor %lld has no data", (long long)i);
        m->parameters += prun_tensor_size(t);
        if (!(t->flags & PRUN_TENSOR_WEIGHT)) continue;
        m->layers++;
        m->weights += prun_tensor_size(t);
    }
    if (m->layers == 0)
        return prun__fail(o->context, PRUN_ERR_ARGUMENT, "objective: no tensor is a weight");
    if ((o->loss || o->gradient || o->logits) && o->samples <= 0)
        return prun__fail(o->context, PRUN_ERR_ARGUMENT, "objective: %lld samples",
                          (long long)o->samples);
    for (i = 0; i < 6; i++) {
        m->layer[i] = (double *)prun__alloc(o->context, m->layers, sizeof(double), "measures");
        if (!m->layer[i]) return PRUN_ERR_MEMORY;
    }
    return prun__measurement_copy_tensors(m);
}

/* Losses of all samples in one pass, with their mean and the error rate. */
static prun_status prun__measurement_fill_losses(prun_measurement *m) {
    const prun_objective *o = &m->objective;
    const int64_t n = o->samples;
    double sum;
    int64_t wrong = 0, i;
    m->losses = (double *)prun__alloc(o->context, n, sizeof(double), "losses");
    if (!m->losses) return PRUN_ERR_MEMORY;
    PRUN__TRY(prun__objective_loss(o, NULL, n, m->losses, &sum, &wrong));
    for (i = 0, m->loss = 0.0; i < n; i++) m->loss += m->losses[i];
    m->loss /= (double)n;
    m->error_rate = (double)wrong / (double)n;
    return PRUN_OK;
}

/* Logits of all samples and, where there are labels, the output margins and their 10th percentile.
   */
static prun_status prun__measurement_fill_logits(prun_measurement *m) {
    const prun_objective *o = &m->objective;
    const int64_t n = o->samples;
    double *sorted;
    int64_t i;
    if (o->classes < 1)
        return prun__fail(o->context, PRUN_ERR_ARGUMENT, "objective: %lld classes",
                          (long long)o->classes);
    m->logits = (float *)prun__alloc(o->context, prun__size_product(n, o->classes), sizeof(float),
                                     "logits");
    if (!m->logits) return PRUN_ERR_MEMORY;
    PRUN__TRY(prun__objective_logits(o, NULL, n, m->logits));
    if (!o->labels || o->classes < 2) return PRUN_OK;
    for (i = 0; i < n; i++)
        if (o->labels[i] < 0 || o->labels[i] >= o->classes)
            return prun__fail(o->context, PRUN_ERR_LABEL, "label %d of sample %lld",
                              (int)o->labels[i], (long long)i);
    m->margins = (double *)prun__alloc(o->context, n, sizeof(double), "margins");
    sorted = (double *)prun__alloc(o->context, n, sizeof(double), "margins");
    if (m->margins && sorted) {
        prun_output_margins(m->logits, o->labels, n, o->classes, m->margins);
        memcpy(sorted, m->margins, (size_t)n * sizeof(double));
        qsort(sorted, (size_t)n, sizeof(double), prun__by_value);
        m->margin = sorted[PRUN__MAX(n / 10, 1) - 1];
    }
    prun__free(o->context, sorted);
    return m->margins && sorted ? PRUN_OK : PRUN_ERR_MEMORY;
}

PRUNDEF prun_status prun_measurement_create(const prun_objective *objective,
                                            const prun_measure_options *options,
                                            prun_measurement **measurement) {
    prun_measurement *m =
        (prun_measurement *)prun__alloc_zero(objective->context, 1, sizeof *m, "measurement");
    prun_status status;
    if (!m) return PRUN_ERR_MEMORY;
    m->objective = *objective;
    m->options = prun_measure_resolved(options);
    m->loss = m->error_rate = m->margin = m->pruned_error = PRUN__NAN;
    status = prun__measure_check(objective->context, &m->options);
    if (status == PRUN_OK) status = prun__measurement_check_tensors(m);
    if (status == PRUN_OK && objective->loss) status = prun__measurement_fill_losses(m);
    if (status == PRUN_OK && objective->logits) status = prun__measurement_fill_logits(m);
    if (status == PRUN_OK) *measurement = m;
    else prun_measurement_free(m);
    return status;
}

PRUNDEF void prun_measurement_free(prun_measurement *m) {
    prun_context *context;
    int i;
    if (!m) return;
    context = m->objective.context;
    prun__free(context, m->losses);
    prun__free(context, m->logits);
    prun__free(context, m->margins);
    prun__free(context, m->included);
    for (i = 0; i < 6; i++) prun__free(context, m->layer[i]);
#ifndef PRUNABILITY_NO_HESSIAN
    if (m->spectrum.values) prun_spectrum_free(&m->spectrum);
#endif
    prun__free(context, m);
}

PRUNDEF double prun_measurement_loss(const prun_measurement *m) { return m->loss; }
PRUNDEF double prun_measurement_error_rate(const prun_measurement *m) { return m->error_rate; }
PRUNDEF const double *prun_measurement_losses(const prun_measurement *m) { return m->losses; }
PRUNDEF const float *prun_measurement_logits(const prun_measurement *m) { return m->logits; }
PRUNDEF const double *prun_measurement_margins(const prun_measurement *m) { return m->margins; }

/* Seconds of the caller's clock, or processor time if there is none. Programs under WASI have none
   either, without a library of its own. */
static double prun__clock_seconds(const prun_measure_options *o) {
#if defined(__wasi__)
    struct timespec now = {0, 0};
    if (!o->seconds) timespec_get(&now, TIME_UTC);
    return o->seconds ? o->seconds(o->user) : (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
#else
    return o->seconds ? o->seconds(o->user) : (double)clock() / (double)CLOCKS_PER_SEC;
#endif
}

/* Computes the measure in a place of the table. */
static prun_status prun__measure_run(prun_measurement *m, int64_t place,
                                     prun_measure_result *result) {
    prun_context *context = m->objective.context;
    const prun_status before = context ? context->status : PRUN_OK;
    const double start = prun__clock_seconds(&m->options);
    memset(result, 0, sizeof *result);
    result->value = result->standard_error = PRUN__NAN;
    if (context) context->status = PRUN_OK; /* any message found afterwards is this measure's */
    result->status = prun__measure_check_needs(m, prun__infos[place].needs, result);
    if (result->status == PRUN_OK)
        result->status = prun__recipes[place].compute(m, &prun__recipes[place], result);
    if (result->status == PRUN_OK && !(fabs(result->value) <= HUGE_VAL))
        result->status = prun__result_note(result, PRUN_ERR_NONFINITE, "the value is not a number");
    if (result->status == PRUN_OK && fabs(result->value) > DBL_MAX && !result->message[0])
        prun__result_note(result, PRUN_OK, "beyond double precision");
    if (result->status != PRUN_OK) result->value = result->standard_error = PRUN__NAN;
    if (result->status != PRUN_OK && !result->message[0])
        prun__result_note(result, PRUN_OK, "%.180s",
                          context && context->status == result->status && context->message[0]
                              ? context->message
                              : prun_status_string(result->status));
    if (context && context->status == PRUN_OK) context->status = before;
    result->seconds = PRUN__MAX(prun__clock_seconds(&m->options) - start, 0.0);
    return result->status;
}

/* True when a status means that a measure is undefined; others may come from any measure. */
static int prun__status_is_undefined(prun_status status) {
    return status == PRUN_ERR_UNSUPPORTED || status == PRUN_ERR_MISSING ||
           status == PRUN_ERR_NONFINITE || status == PRUN_ERR_OVERFLOW ||
           status == PRUN_ERR_CONVERGENCE;
}

PRUNDEF prun_status prun_measure(prun_measurement *measurement, const char *name,
                                 prun_measure_result *result) {
    const int64_t place = prun_measure_find(name);
    if (place >= 0) return prun__measure_run(measurement, place, result);
    memset(result, 0, sizeof *result);
    result->value = result->standard_error = PRUN__NAN;
    result->status =
        prun__result_note(result, PRUN_ERR_MISSING, "there is no measure \"%.60s\"", name);
    return prun__fail(measurement->objective.context, PRUN_ERR_MISSING, "%s", result->message);
}

PRUNDEF prun_status prun_measure_all(const prun_objective *objective, const uint8_t *wanted,
                                     const prun_measure_options *options,
                                     prun_measure_result *results) {
    prun_measurement *m;
    int64_t i, count;
    prun_status status = PRUN_OK;
    PRUN__TRY(prun_measurement_create(objective, options, &m));
    prun_measures(&count);
    for (i = 0; status == PRUN_OK && i < count; i++) {
        if (wanted && !wanted[i]) continue;
        status = prun__measure_run(m, i, &results[i]);
        if (prun__status_is_undefined(status)) status = PRUN_OK;
    }
    prun_measurement_free(m);
    return status;
}

/* [STATS.I] Kendall, information, sign errors */
/*
   Models become codes first: ranks of their values, equal where the values are. Each statistic
   works on codes in memory that its caller cuts from one block, so that resampling allocates once.
*/
#ifndef PRUNABILITY_NO_STATS

/* Infinite values have a rank, NaN has none. */
static prun_status prun__doubles_check_nan(prun_context *context, const char *what, const double *v,
                                           int64_t n) {
    int64_t i;
    for (i = 0; i < n; i++)
        if (v[i] != v[i])
            return prun__fail(context, PRUN_ERR_NONFINITE, "%s: value %lld is NaN", what,
                              (long long)i);
    return PRUN_OK;
}

/* The first value above `most` in magnitude, n: none. */
static int64_t prun__doubles_find_large(const double *v, int64_t n, double most) {
    int64_t i;
    for (i = 0; i < n && fabs(v[i]) <= most;) i++;
    return i;
}

/* For targets whose differences are taken. */
static prun_status prun__doubles_check_finite(prun_context *context, const char *what,
                                              const double *v, int64_t n) {
    const int64_t i = prun__doubles_find_large(v, n, DBL_MAX);
    if (i == n) return PRUN_OK;
    return prun__fail(context, PRUN_ERR_NONFINITE, "%s: value %lld is not finite", what,
                      (long long)i);
}

/* Ranks are int32. */
static prun_status prun__models_check_count(prun_context *context, const char *what, int64_t n) {
    if (n < 2)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "%s of %lld models, at least 2 are needed",
                          what, (long long)n);
    if (n > 1000000000)
        return prun__fail(context, PRUN_ERR_OVERFLOW, "%s of %lld models", what, (long long)n);
    return PRUN_OK;
}

typedef struct prun__key {
    uint64_t bits;
    int64_t index;
} prun__key;

/* Doubles in ascending order, stable, -0 equal to 0: radix sort over the bytes that differ, of keys
   that order as the numbers do. Returns the one of the two arrays that holds the result. */
static prun__key *prun__doubles_sort(const double *v, int64_t n, prun__key *keys,
                                     prun__key *scratch) {
    int64_t counts[8][256], i;
    int b, d;
    memset(counts, 0, sizeof counts);
    for (i = 0; i < n; i++) {
        const uint64_t sign = UINT64_C(1) << 63;
        uint64_t bits; /* alone: arithmetic could flush subnormals to zero */
        memcpy(&bits, &v[i], sizeof bits);
        if (bits == sign) bits = 0;
        bits = bits >> 63 ? ~bits : bits | sign;
        keys[i].bits = bits;
        keys[i].index = i;
        for (b = 0; b < 8; b++) counts[b][bits >> (8 * b) & 255]++;
    }
    for (b = 0; b < 8; b++) {
        prun__key *swap = keys;
        int64_t total = 0;
        if (n == 0 || counts[b][keys[0].bits >> (8 * b) & 255] == n) continue;
        for (d = 0; d < 256; d++) {
            const int64_t here = counts[b][d];
            counts[b][d] = total;
            total += here;
        }
        for (i = 0; i < n; i++) scratch[counts[b][keys[i].bits >> (8 * b) & 255]++] = keys[i];
        keys = scratch;
        scratch = swap;
    }
    return keys;
}

/* Dense ranks from 0, through which alone most statistics depend on values; returns how many there
   are. Room for eight arrays. */
static int32_t prun__ranks_fill(const double *v, int64_t n, int32_t *rank, prun__arena arena) {
    prun__key *keys = (prun__key *)prun__arena_get(&arena, n, sizeof *keys);
    prun__key *scratch = (prun__key *)prun__arena_get(&arena, n, sizeof *keys);
    int32_t level = 0;
    int64_t i;
    keys = prun__doubles_sort(v, n, keys, scratch);
    for (i = 0; i < n; i++) {
        level += i > 0 && keys[i].bits != keys[i - 1].bits;
        rank[keys[i].index] = level;
    }
    return level + 1;
}

/* Linear interpolation between order statistics; every value stands `times` times. */
static double prun__quantile(const double *sorted, int64_t n, int64_t times, double q) {
    const double at = q * (double)(n * times - 1), floor_at = floor(at);
    const int64_t low = (int64_t)floor_at, high = PRUN__MIN(low + 1, n * times - 1);
    const double from = sorted[low / times], to = sorted[high / times];
    /* Infinite values have no difference. */
    if (at <= floor_at || from >= to || from < -DBL_MAX) return from;
    return from + (at - floor_at) * (to - from);
}

/* Stable counting sort of the rows in `order` (NULL: 0, 1, ...) by codes below `range`; afterwards
   counts[c] is where the group of code c ends. counts: range + 1. */
static void prun__codes_sort(const int32_t *code, int64_t range, int64_t n, const int32_t *order,
                             int32_t *sorted, int32_t *counts) {
    int64_t i;
    memset(counts, 0, (size_t)(range + 1) * sizeof *counts);
    for (i = 0; i < n; i++) counts[code[i] + 1]++;
    for (i = 0; i < range; i++) counts[i + 1] += counts[i];
    for (i = 0; i < n; i++) {
        const int32_t row = order ? order[i] : (int32_t)i;
        sorted[counts[code[row]]++] = row;
    }
}

/* What Kendall's statistics depend on; exact as doubles up to 1e8 models. */
typedef struct prun__pairs {
    double all, tied_x, tied_y, tied_both, discordant;
    double x0, x1, y0, y1; /* sums over tie groups: t(t-1)(t-2), t(t-1)(2t+5) */
} prun__pairs;

/* Tied pairs of groups with the given ends; adds the higher sums, which pass 2^63 as integers. */
static double prun__tied_pairs(const int32_t *ends, int64_t groups, double *s0, double *s1) {
    double pairs = 0.0;
    int64_t i;
    int32_t start = 0;
    for (i = 0; i < groups; i++) {
        const double t = (double)(ends[i] - start);
        pairs += t * (t - 1.0) / 2.0;
        *s0 += t * (t - 1.0) * (t - 2.0);
        *s1 += t * (t - 1.0) * (2.0 * t + 5.0);
        start = ends[i];
    }
    return pairs;
}

/* Merge sort; returns the number of pairs that were in the wrong order. Branches on random data
   cost more than the arithmetic that replaces them. */
static double prun__inversions_count(int32_t *v, int32_t *scratch, int64_t n) {
    int64_t width, left, total = 0;
    for (width = 1; width < n; width *= 2) {
        int32_t *swap = v;
        for (left = 0; left < n; left += 2 * width) {
            const int64_t middle = PRUN__MIN(left + width, n);
            const int64_t right = PRUN__MIN(left + 2 * width, n);
            int64_t a = left, b = middle, k = left;
            while (a < middle && b < right) {
                const int32_t x = v[a], y = v[b];
                const int64_t smaller = y < x;
                scratch[k++] = smaller ? y : x;
                total += (middle - a) & -smaller;
                a += 1 - smaller;
                b += smaller;
            }
            memcpy(scratch + k, v + a, (size_t)(middle - a) * sizeof *v);
            memcpy(scratch + k + (middle - a), v + b, (size_t)(right - b) * sizeof *v);
        }
        v = scratch;
        scratch = swap;
    }
    return (double)total;
}

#define PRUN__PAIRS_ROOM 3

/* Knight's algorithm on codes below `range`. Room for PRUN__PAIRS_ROOM arrays of max(n, range). */
static prun__pairs prun__pairs_count(const int32_t *x, const int32_t *y, int64_t n, int64_t range,
                                     prun__arena arena) {
    int32_t *order = (int32_t *)prun__arena_get(&arena, n, sizeof *order);
    int32_t *sorted = (int32_t *)prun__arena_get(&arena, n, sizeof *sorted);
    int32_t *counts = (int32_t *)prun__arena_get(&arena, range + 1, sizeof *counts);
    prun__pairs p;
    double t;
    int64_t i, start = 0;
    memset(&p, 0, sizeof p);
    p.all = (double)n * (double)(n - 1) / 2.0;
    prun__codes_sort(y, range, n, NULL, order, counts);
    p.tied_y = prun__tied_pairs(counts, range, &p.y0, &p.y1);
    prun__codes_sort(x, range, n, order, sorted, counts);
    p.tied_x = prun__tied_pairs(counts, range, &p.x0, &p.x1);
    for (i = 1; i <= n; i++) {
        if (i < n && x[sorted[i]] == x[sorted[start]] && y[sorted[i]] == y[sorted[start]]) continue;
        t = (double)(i - start);
        p.tied_both += t * (t - 1.0) / 2.0;
        start = i;
    }
    for (i = 0; i < n; i++) order[i] = y[sorted[i]];
    p.discordant = prun__inversions_count(order, sorted, n);
    return p;
}

/* Kendall's score: concordant minus discordant pairs, tied ones not counted. */
static double prun__kendall_score(const prun__pairs *p) {
    return p->all - p->tied_x - p->tied_y + p->tied_both - 2.0 * p->discordant;
}

/* tau_b; NaN if either variable is constant. */
static double prun__tau_b(const prun__pairs *p) {
    if (p->tied_x >= p->all || p->tied_y >= p->all) return PRUN__NAN;
    return prun__kendall_score(p) / sqrt((p->all - p->tied_x) * (p->all - p->tied_y));
}

/* Variance of tau_a under independence. */
static double prun__tau_variance(double n) { return 2.0 * (2.0 * n + 5.0) / (9.0 * n * (n - 1.0)); }

/* Two-sided exact p without ties: probability of at most min(D, all - D) inversions, twice. The
   distribution for j elements is a moving average of the one for j - 1. */
static double prun__kendall_exact_p(int64_t n, double discordant, double all) {
    const double c = PRUN__MIN(discordant, all - discordant);
    double chance[640], next[640], sum = 0.0; /* n <= 33: at most 528 inversions, c <= 264 */
    int64_t j, k, top = (int64_t)c;
    if (n <= 2 || 2.0 * c == all) return 1.0;
    if (n > 33) return 2.0 * exp((c == 0.0 ? 0.0 : log((double)n)) - lgamma((double)n + 1.0));
    memset(chance, 0, sizeof chance);
    chance[0] = 1.0;
    for (j = 2; j <= n; j++) {
        double window = 0.0;
        for (k = 0; k <= top; k++) {
            window += chance[k];
            if (k >= j) window -= chance[k - j];
            next[k] = window / (double)j;
        }
        memcpy(chance, next, (size_t)(top + 1) * sizeof(double));
    }
    for (k = 0; k <= top; k++) sum += chance[k];
    return PRUN__MIN(2.0 * sum, 1.0);
}

/* Normal approximation with SciPy's variance under ties. */
static double prun__kendall_normal_p(int64_t n, const prun__pairs *p, double surplus) {
    const double m = (double)n * (double)(n - 1);
    double variance =
        (m * (2.0 * (double)n + 5.0) - p->x1 - p->y1) / 18.0 + 2.0 * p->tied_x * p->tied_y / m;
    if (n > 2) variance += p->x0 * p->y0 / (9.0 * m * (double)(n - 2));
    return erfc(fabs(surplus) / sqrt(variance) / 1.41421356237309504880);
}

PRUNDEF prun_status prun_kendall_tau(prun_context *context, const double *x, const double *y,
                                     int64_t n, prun_kendall *result) {
    prun__arena arena;
    prun__pairs p;
    int32_t *rank_x, *rank_y, levels, levels_y;
    void *block;
    PRUN__TRY(prun__models_check_count(context, "Kendall's tau", n));
    PRUN__TRY(prun__doubles_check_nan(context, "Kendall's tau, first variable", x, n));
    PRUN__TRY(prun__doubles_check_nan(context, "Kendall's tau, second variable", y, n));
    block = prun__alloc(context, prun__arena_size(10, n), 1, "Kendall's tau");
    if (!block) return PRUN_ERR_MEMORY;
    arena.at = (char *)block;
    rank_x = (int32_t *)prun__arena_get(&arena, n, sizeof *rank_x);
    rank_y = (int32_t *)prun__arena_get(&arena, n, sizeof *rank_y);
    levels = prun__ranks_fill(x, n, rank_x, arena);
    levels_y = prun__ranks_fill(y, n, rank_y, arena);
    levels = PRUN__MIN(levels, levels_y);
    p = prun__pairs_count(rank_x, rank_y, n, n, arena);
    prun__free(context, block);
    memset(result, 0, sizeof *result);
    result->n = n;
    result->tau_a = prun__kendall_score(&p) / p.all;
    result->standard_error = sqrt(prun__tau_variance((double)n));
    result->tau_b = prun__tau_b(&p);
    result->tau_c = result->p = result->p_normal = PRUN__NAN;
    result->reason = p.tied_x == p.all   ? "the first variable is constant"
                     : p.tied_y == p.all ? "the second variable is constant"
                                         : NULL;
    if (result->reason) return PRUN_OK;
    result->tau_c = 2.0 * prun__kendall_score(&p) * levels / ((double)n * (double)n * (levels - 1));
    result->p_is_exact = p.tied_x == 0.0 && p.tied_y == 0.0 &&
                         (n <= 33 || PRUN__MIN(p.discordant, p.all - p.discordant) <= 1.0);
    result->p_normal = prun__kendall_normal_p(n, &p, prun__kendall_score(&p));
    result->p =
        result->p_is_exact ? prun__kendall_exact_p(n, p.discordant, p.all) : result->p_normal;
    return PRUN_OK;
}

/* ---- models as codes ---- */

/* Variables of a model. */
enum { PRUN__X, PRUN__Y, PRUN__OTHER, PRUN__CONTROL, PRUN__SEED, PRUN__CLUSTER, PRUN__AXES };
#define PRUN__CODES (PRUN__AXES + PRUN_MAX_AXES)

/* What statistics are computed from: codes that order as the values do, or name groups. */
typedef struct prun__models {
    int64_t n, range, axes;       /* rows; codes are below range, which is at least n */
    int32_t *code[PRUN__CODES];   /* n each; NULL: not there */
    double *level[PRUN__SEED];    /* value of each code */
    const int32_t *source, *copy; /* of a resample: row copied, ascending, and which copy it is */
    double self_pairs;            /* pairs of copies of one model */
    int64_t environments;         /* upper bound on those of the sign error */
    prun_seeds seeds;
} prun__models;

/* Room of each function below, in arrays. */
#define PRUN__JOIN_ROOM 3
#define PRUN__GROUPS_ROOM (2 + PRUN__JOIN_ROOM)
#define PRUN__PSI_ROOM (2 + PRUN__GROUPS_ROOM + PRUN__PAIRS_ROOM)
#define PRUN__CMI_ROOM (22 + PRUN__GROUPS_ROOM)
#define PRUN__SIGN_ROOM (5 + PRUN__GROUPS_ROOM)
#define PRUN__STATISTIC_ROOM PRUN__CMI_ROOM

/* code becomes dense codes of the pairs (code, other), ordered as the pairs are; returns how many
   there are. order: NULL or the rows sorted by them. */
static int64_t prun__codes_join(int32_t *code, const int32_t *other, int64_t n, int64_t range,
                                int32_t *order, prun__arena arena) {
    int32_t *first = (int32_t *)prun__arena_get(&arena, n, sizeof *first);
    int32_t *sorted = order ? order : (int32_t *)prun__arena_get(&arena, n, sizeof *sorted);
    int32_t *counts = (int32_t *)prun__arena_get(&arena, range + 1, sizeof *counts);
    int32_t last_code = 0, last_other = 0, level = 0;
    int64_t i;
    prun__codes_sort(other, range, n, NULL, first, counts);
    prun__codes_sort(code, range, n, first, sorted, counts);
    for (i = 0; i < n; i++) {
        const int32_t row = sorted[i];
        level += i > 0 && (code[row] != last_code || other[row] != last_other);
        last_code = code[row];
        last_other = other[row];
        code[row] = level;
    }
    return level + 1;
}

/* Codes of the models' settings in all axes but `except` (-1: all). */
static int64_t prun__models_join_axes(const prun__models *m, int64_t except, int32_t *code,
                                      prun__arena arena) {
    int64_t a, groups = 1;
    memset(code, 0, (size_t)m->n * sizeof *code);
    for (a = 0; a < m->axes; a++) {
        if (a == except) continue;
        groups = prun__codes_join(code, m->code[PRUN__AXES + a], m->n, m->range, NULL, arena);
    }
    return groups;
}

/* End of the run of equal codes that begins at `start` of `order`. */
static int64_t prun__group_find_end(const int32_t *code, const int32_t *order, int64_t n,
                                    int64_t start) {
    int64_t end = start + 1;
    while (end < n && code[order[end]] == code[order[start]]) end++;
    return end;
}

/* tau_a of the rows in a group, by definition where that is faster. Room for PRUN__PAIRS_ROOM + 2
   arrays. */
static double prun__group_tau(const prun__models *m, const int32_t *rows, int64_t n,
                              prun__arena arena) {
    int64_t i, j, surplus = 0;
    int32_t *x, *y;
    prun__pairs p;
    if (n <= 64) {
        for (i = 1; i < n; i++) {
            const int32_t xi = m->code[PRUN__X][rows[i]], yi = m->code[PRUN__Y][rows[i]];
            for (j = 0; j < i; j++) {
                const int32_t xj = m->code[PRUN__X][rows[j]], yj = m->code[PRUN__Y][rows[j]];
                surplus += ((xi > xj) - (xi < xj)) * ((yi > yj) - (yi < yj));
            }
        }
        return 2.0 * (double)surplus / ((double)n * (double)(n - 1));
    }
    x = (int32_t *)prun__arena_get(&arena, n, sizeof *x);
    y = (int32_t *)prun__arena_get(&arena, n, sizeof *y);
    for (i = 0; i < n; i++) {
        x[i] = m->code[PRUN__X][rows[i]];
        y[i] = m->code[PRUN__Y][rows[i]];
    }
    p = prun__pairs_count(x, y, n, m->range, arena);
    return prun__kendall_score(&p) / p.all;
}

/* psi of an axis; NaN without groups. */
static double prun__psi(const prun__models *m, int64_t axis, double *error, int64_t *groups,
                        prun__arena arena) {
    int32_t *code = (int32_t *)prun__arena_get(&arena, m->n, sizeof *code);
    int32_t *order = (int32_t *)prun__arena_get(&arena, m->n, sizeof *order);
    const int32_t *level = m->code[PRUN__AXES + axis];
    double sum = 0.0, variance = 0.0;
    int64_t start, end, i;
    prun__models_join_axes(m, axis, code, arena);
    if (m->code[PRUN__SEED] && m->seeds == PRUN_SEEDS_FIXED)
        prun__codes_join(code, m->code[PRUN__SEED], m->n, m->range, NULL, arena);
    if (m->copy) prun__codes_join(code, m->copy, m->n, m->range, NULL, arena);
    prun__codes_sort(code, m->range, m->n, NULL, order,
                     (int32_t *)prun__arena_get(&arena, m->range + 1, sizeof *order));
    *groups = 0;
    for (start = 0; start < m->n; start = end) {
        end = prun__group_find_end(code, order, m->n, start);
        for (i = start; i < end && level[order[i]] == level[order[start]];) i++;
        if (i == end) continue; /* one setting: nothing varies */
        sum += prun__group_tau(m, order + start, end - start, arena);
        variance += prun__tau_variance((double)(end - start));
        ++*groups;
    }
    *error = *groups ? sqrt(variance) / (double)*groups : PRUN__NAN;
    return *groups ? sum / (double)*groups : PRUN__NAN;
}

/* psi of every axis, and their mean over the axes that have groups. */
static void prun__granulated_fill(const prun__models *m, prun_granulated *g, prun__arena arena) {
    double variance = 0.0;
    int64_t a;
    memset(g, 0, sizeof *g);
    for (a = 0; a < m->axes; a++) {
        g->psi[a] = prun__psi(m, a, &g->psi_standard_error[a], &g->groups[a], arena);
        if (g->groups[a] == 0) {
            g->reason[a] = "no two models differ in this axis alone";
            continue;
        }
        g->mean += g->psi[a];
        variance += g->psi_standard_error[a] * g->psi_standard_error[a];
        g->axis_count++;
    }
    g->mean = g->axis_count ? g->mean / (double)g->axis_count : PRUN__NAN;
    g->mean_standard_error = g->axis_count ? sqrt(variance) / (double)g->axis_count : PRUN__NAN;
}

/* Checks the axes of n models: their number, the rule for seeds, and that every setting can be
   ranked. */
static prun_status prun__axes_check(prun_context *context, const prun_axes *axes, int64_t n,
                                    const char *what) {
    char name[80];
    int64_t a;
    if (!axes)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "%s: hyperparameters are needed", what);
    if (axes->n != n)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "%s: axes of %lld models, values of %lld",
                          what, (long long)axes->n, (long long)n);
    if (axes->count < 0 || axes->count > PRUN_MAX_AXES)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "%s: %lld axes, at most %d", what,
                          (long long)axes->count, PRUN_MAX_AXES);
    if (axes->seeds < PRUN_SEEDS_FIXED || axes->seeds > PRUN_SEEDS_AVERAGED)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "%s: unknown rule %d for seeds", what,
                          (int)axes->seeds);
    for (a = 0; a < axes->count; a++) {
        snprintf(name, sizeof name, "%s, axis %d", what, (int)a);
        PRUN__TRY(prun__doubles_check_nan(context, name, axes->values[a], n));
    }
    snprintf(name, sizeof name, "%s, seeds", what);
    return axes->seed ? prun__doubles_check_nan(context, name, axes->seed, n) : PRUN_OK;
}

/* Means of v over the rows of each group, in row order. */
static void prun__group_means(const double *v, const int32_t *group, int64_t n, int64_t groups,
                              double *means, prun__arena arena) {
    int64_t *size = (int64_t *)prun__arena_get(&arena, groups, sizeof *size), i;
    for (i = 0; i < groups; i++) {
        means[i] = 0.0;
        size[i] = 0;
    }
    for (i = 0; i < n; i++) {
        means[group[i]] += v[i];
        size[group[i]]++;
    }
    for (i = 0; i < groups; i++) means[i] /= (double)size[i];
}

/* Codes of a variable, and what measures and targets need besides: the value of each code. group:
   NULL, or which of m->n groups each of n rows belongs to, whose means are encoded. */
static void prun__models_set_variable(prun__models *m, int64_t variable, const double *v, int64_t n,
                                      const int32_t *group, prun__arena *arena) {
    int32_t *code;
    double *level, *means;
    prun__arena scratch;
    int64_t i;
    if (!v) return;
    m->code[variable] = code = (int32_t *)prun__arena_get(arena, n, sizeof *code);
    if (variable < PRUN__SEED) m->level[variable] = (double *)prun__arena_get(arena, n, sizeof *v);
    scratch = *arena;
    if (group) {
        means = (double *)prun__arena_get(&scratch, m->n, sizeof *means);
        prun__group_means(v, group, n, m->n, means, scratch);
        v = means;
    }
    prun__ranks_fill(v, m->n, code, scratch);
    level = variable < PRUN__SEED ? m->level[variable] : NULL;
    for (i = 0; level && i < m->n; i++) level[code[i]] = v[i];
}

/* Leaves one model of those that are equal in all axes; its codes are those of the first. */
static int32_t *prun__models_join_seeds(prun__models *m, prun__arena *arena) {
    const int64_t n = m->n;
    int32_t *group = (int32_t *)prun__arena_get(arena, n, sizeof *group), *first;
    prun__arena scratch = *arena;
    int64_t i, k;
    m->n = prun__models_join_axes(m, -1, group, scratch);
    m->code[PRUN__SEED] = NULL;
    first = (int32_t *)prun__arena_get(&scratch, m->n, sizeof *first);
    for (k = PRUN__CLUSTER; k < PRUN__AXES + m->axes; k++) {
        if (!m->code[k]) continue;
        for (i = n - 1; i >= 0; i--) first[group[i]] = m->code[k][i];
        memcpy(m->code[k], first, (size_t)m->n * sizeof *first);
    }
    return group;
}

/* The mean of infinite values of both signs is NaN. */
static prun_status prun__models_check_means(prun_context *context, const char *what,
                                            const prun__models *m) {
    int64_t variable, i;
    for (variable = 0; variable < PRUN__SEED; variable++)
        for (i = 0; m->level[variable] && i < m->n; i++) {
            const double mean = m->level[variable][m->code[variable][i]];
            if (mean != mean)
                return prun__fail(context, PRUN_ERR_NONFINITE,
                                  "%s: models of equal setting have infinite values of both signs, "
                                  "which have no mean",
                                  what);
        }
    return PRUN_OK;
}

#define PRUN__OPEN_ROOM (PRUN__CODES + 8 + 1 + 12) /* values of codes, groups, scratch */

/* Values that can be ranked everywhere? */
static prun_status prun__sample_check(prun_context *context, const char *what, const prun_sample *s,
                                      const double *const *given) {
    static const char *const names[PRUN__SEED] = {"measure", "target", "second measure", "control"};
    char name[80];
    int i;
    PRUN__TRY(prun__models_check_count(context, what, s->n));
    for (i = 0; i < PRUN__SEED; i++) {
        snprintf(name, sizeof name, "%s, %s", what, names[i]);
        if (given[i]) PRUN__TRY(prun__doubles_check_nan(context, name, given[i], s->n));
    }
    snprintf(name, sizeof name, "%s, clusters", what);
    if (s->cluster) PRUN__TRY(prun__doubles_check_nan(context, name, s->cluster, s->n));
    return s->axes ? prun__axes_check(context, s->axes, s->n, what) : PRUN_OK;
}

/* Fills m from a sample. *block is to be freed, also after a failure; `arena` is what is left of
   it, with room for `more` bytes. other: NULL or a second measure. */
static prun_status prun__models_make(prun_context *context, const char *what, const prun_sample *s,
                                     const double *other, int64_t more, prun__models *m,
                                     prun__arena *arena, void **block) {
    const double *given[PRUN__SEED];
    int32_t *group = NULL;
    int64_t i;
    *block = NULL;
    memset(m, 0, sizeof *m);
    given[PRUN__X] = s->measure;
    given[PRUN__Y] = s->target;
    given[PRUN__OTHER] = other;
    given[PRUN__CONTROL] = s->control;
    PRUN__TRY(prun__sample_check(context, what, s, given));
    *block = prun__alloc(context, prun__size_sum(prun__arena_size(PRUN__OPEN_ROOM, s->n), more), 1,
                         what);
    if (!*block) return PRUN_ERR_MEMORY;
    arena->at = (char *)*block;
    m->n = m->range = s->n;
    prun__models_set_variable(m, PRUN__CLUSTER, s->cluster, s->n, NULL, arena);
    if (s->axes) {
        m->axes = s->axes->count;
        m->seeds = s->axes->seeds;
        prun__models_set_variable(m, PRUN__SEED, s->axes->seed, s->n, NULL, arena);
    }
    for (i = 0; i < m->axes; i++)
        prun__models_set_variable(m, PRUN__AXES + i, s->axes->values[i], s->n, NULL, arena);
    if (m->seeds == PRUN_SEEDS_AVERAGED) group = prun__models_join_seeds(m, arena);
    for (i = 0; i < PRUN__SEED; i++) prun__models_set_variable(m, i, given[i], s->n, group, arena);
    if (group) PRUN__TRY(prun__models_check_means(context, what, m));
    return prun__models_check_count(context, "averages over seeds", m->n);
}

/* The same for axes and two variables. */
static prun_status prun__models_make_from_axes(prun_context *context, const char *what,
                                               const prun_axes *axes, const double *x,
                                               const double *y, int64_t more, prun__models *m,
                                               prun__arena *arena, void **block) {
    prun_sample s;
    memset(&s, 0, sizeof s);
    *block = NULL;
    if (!axes)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "%s: hyperparameters are needed", what);
    s.n = axes->n;
    s.axes = axes;
    s.measure = x;
    s.target = y;
    return prun__models_make(context, what, &s, NULL, more, m, arena, block);
}

PRUNDEF prun_status prun_granulated_kendall(prun_context *context, const prun_axes *axes,
                                            const double *x, const double *y,
                                            prun_granulated *result) {
    prun__arena arena;
    prun__models m;
    void *block;
    prun_status status;
    memset(&m, 0, sizeof m);
    status = prun__models_make_from_axes(context, "granulated Kendall", axes, x, y,
                                         prun__arena_size(PRUN__PSI_ROOM, axes ? axes->n : 0), &m,
                                         &arena, &block);
    if (status == PRUN_OK) prun__granulated_fill(&m, result, arena);
    prun__free(context, block);
    return status;
}

PRUNDEF prun_status prun_seed_means(prun_context *context, const prun_axes *axes,
                                    const double *values, double *means, int64_t *count) {
    prun__arena arena;
    prun__models m;
    void *block;
    prun_axes averaged;
    prun_status status;
    int64_t i;
    memset(&m, 0, sizeof m);
    if (axes) averaged = *axes;
    if (axes) averaged.seeds = PRUN_SEEDS_AVERAGED;
    status = prun__models_make_from_axes(context, "seed means", axes ? &averaged : NULL, values,
                                         NULL, 0, &m, &arena, &block);
    if (status == PRUN_OK) *count = m.n;
    for (i = 0; status == PRUN_OK && means && i < m.n; i++)
        means[i] = m.level[PRUN__X][m.code[PRUN__X][i]];
    prun__free(context, block);
    return status;
}

/* ---- conditional mutual information ---- */

/* Adds a cell's N I, N H_x and N H_y; w: its pairs by the signs (-,-), (-,+), (+,-), (+,+). */
static void prun__information_add_cell(const double *w, prun_information *s) {
    const double row[2] = {w[0] + w[1], w[2] + w[3]}, column[2] = {w[0] + w[2], w[1] + w[3]};
    const double n = row[0] + row[1];
    int a, b;
    if (n <= 0.0) return;
    s->cells++;
    s->pairs += n;
    if (PRUN__MAX(PRUN__MAX(w[0], w[1]), PRUN__MAX(w[2], w[3])) >= n) return; /* adds nothing */
    for (a = 0; a < 2; a++) {
        if (row[a] > 0.0) s->entropy_x -= row[a] * log2(row[a] / n);
        if (column[a] > 0.0) s->entropy_y -= column[a] * log2(column[a] / n);
        for (b = 0; b < 2; b++)
            if (w[2 * a + b] > 0.0)
                s->information += w[2 * a + b] * log2(w[2 * a + b] * n / (row[a] * column[b]));
    }
}

/* Pairs of a cell, by sign of x and of y in {-1, 0, 1}, to signs in {-1, 1}; flip: of the pairs the
   other way round. Adds to w. */
static void prun__signs_add(const int64_t *count, prun_ties ties, int flip, double *w) {
    const double half = ties == PRUN_TIES_HALF ? 0.5 : 0.0;
    const double tie[2] = {ties == PRUN_TIES_STRICT ? 1.0 : half, half}; /* shares of - and + */
    int k, i, j;
    for (k = 0; k < 9; k++) {
        const int a = k / 3, b = k % 3;
        const double n = (double)count[flip ? 8 - k : k];
        if (n == 0.0) continue;
        for (i = 0; i < 2; i++)
            for (j = 0; j < 2; j++)
                w[2 * i + j] += n * (a == 1 ? tie[i] : (double)(a == 2 * i)) *
                                (b == 1 ? tie[j] : (double)(b == 2 * j));
    }
}

/* Cells (u, v) for all v >= u, and their mirrors. count: nine per v. */
static void prun__information_add_row(const int64_t *count, int64_t u, int64_t cells,
                                      prun_ties ties, prun_information *s) {
    int64_t v;
    for (v = u; v < cells; v++) {
        const int64_t *here = count + 9 * v;
        double w[4] = {0, 0, 0, 0};
        prun__signs_add(here, ties, 0, w);
        if (v > u) {
            prun__information_add_cell(w, s);
            memset(w, 0, sizeof w);
        }
        prun__signs_add(here, ties, 1, w);
        prun__information_add_cell(w, s);
    }
}

/* Models in the order of their cells of one subset of axes. */
typedef struct prun__cells {
    int64_t n, count;
    int32_t *cell, *x, *y, *source; /* of each row; source: rows of one are copies of one model */
} prun__cells;

/* Sorts the models into the cells of the subset's axes. */
static prun__cells prun__cells_make(const prun__models *m, const prun_information *s,
                                    prun__arena *arena) {
    prun__cells c;
    prun__arena scratch;
    int32_t *code, *order;
    int64_t i;
    c.n = m->n;
    c.count = 1;
    c.cell = (int32_t *)prun__arena_get(arena, c.n, sizeof *c.cell);
    c.x = (int32_t *)prun__arena_get(arena, c.n, sizeof *c.x);
    c.y = (int32_t *)prun__arena_get(arena, c.n, sizeof *c.y);
    c.source = (int32_t *)prun__arena_get(arena, c.n, sizeof *c.source);
    scratch = *arena;
    code = (int32_t *)prun__arena_get(&scratch, c.n, sizeof *code);
    order = (int32_t *)prun__arena_get(&scratch, c.n, sizeof *order);
    memset(code, 0, (size_t)c.n * sizeof *code);
    for (i = 0; i < c.n; i++) order[i] = (int32_t)i;
    for (i = 0; i < 2 && s->axis[i] >= 0; i++)
        c.count =
            prun__codes_join(code, m->code[PRUN__AXES + s->axis[i]], c.n, m->range, order, scratch);
    for (i = 0; i < c.n; i++) {
        c.cell[i] = code[order[i]];
        c.x[i] = m->code[PRUN__X][order[i]];
        c.y[i] = m->code[PRUN__Y][order[i]];
        c.source[i] = m->source ? m->source[order[i]] : (int32_t)i;
    }
    return c;
}

/* Pairs of the cell of rows start .. end - 1 with all later ones and with itself, one by one. */
static void prun__cell_count_pairs(const prun__cells *c, int64_t start, int64_t end,
                                   int64_t *count) {
    int64_t i, j;
    for (i = start; i < end; i++) {
        const int32_t x = c->x[i], y = c->y[i];
        for (j = i + 1; j < c->n && c->source[j] == c->source[i];) j++; /* copies of itself */
        for (; j < c->n; j++)
            count[9 * c->cell[j] + 3 * ((x > c->x[j]) - (x < c->x[j])) + (y > c->y[j]) -
                  (y < c->y[j]) + 4]++;
    }
}

/* The same for large cells, without going through the pairs: the rows of a cell and of all later
   ones pass in the order of x, and the sweep knows how many rows of the cell that passed already
   have which y. */
typedef struct prun__sweep {
    const prun__cells *cells;
    int64_t rows;           /* that are left: all of the cell at work and of later ones, and more */
    int32_t *by_x, *by_y;   /* they, in the order of x and of y */
    int32_t *below, *up_to; /* per row: how many of the cell have a smaller y; no larger one */
    int32_t *inside, *before; /* of those that passed, a smaller place: in the block; before it */
} prun__sweep;

/* Places of a block of the counters: near the root of a large cell's size. */
#define PRUN__SWEEP_BLOCK 64

/* Makes the orders that all cells share. */
static prun__sweep prun__sweep_make(const prun__cells *c, int64_t range, prun__arena *arena) {
    prun__sweep s;
    prun__arena scratch;
    int32_t *counts;
    s.cells = c;
    s.rows = c->n;
    s.by_x = (int32_t *)prun__arena_get(arena, c->n, sizeof *s.by_x);
    s.by_y = (int32_t *)prun__arena_get(arena, c->n, sizeof *s.by_y);
    s.below = (int32_t *)prun__arena_get(arena, c->n, sizeof *s.below);
    s.up_to = (int32_t *)prun__arena_get(arena, c->n, sizeof *s.up_to);
    s.inside = (int32_t *)prun__arena_get(arena, c->n + PRUN__SWEEP_BLOCK, sizeof *s.inside);
    s.before = (int32_t *)prun__arena_get(arena, c->n / PRUN__SWEEP_BLOCK + 1, sizeof *s.before);
    scratch = *arena;
    counts = (int32_t *)prun__arena_get(&scratch, range + 1, sizeof *counts);
    prun__codes_sort(c->x, range, c->n, NULL, s.by_x, counts);
    prun__codes_sort(c->y, range, c->n, NULL, s.by_y, counts);
    return s;
}

/* Leaves out the rows of cells before u, of which there are c->n - left, where they are many. */
static void prun__sweep_drop_rows(prun__sweep *s, int64_t u, int64_t left) {
    const prun__cells *c = s->cells;
    int64_t i, x = 0, y = 0;
    if (left > s->rows / 8 * 7) return;
    for (i = 0; i < s->rows; i++) {
        if (c->cell[s->by_x[i]] >= u) s->by_x[x++] = s->by_x[i];
        if (c->cell[s->by_y[i]] >= u) s->by_y[y++] = s->by_y[i];
    }
    s->rows = x;
}

/* Ranks the y of every row among those of cell u. */
static void prun__sweep_rank(const prun__sweep *s, int64_t u) {
    const prun__cells *c = s->cells;
    int32_t passed = 0, inside;
    int64_t i, end;
    for (i = 0; i < s->rows; i = end) {
        const int32_t y = c->y[s->by_y[i]];
        for (inside = 0, end = i; end < s->rows && c->y[s->by_y[end]] == y; end++)
            inside += c->cell[s->by_y[end]] == u;
        for (; i < end; i++) {
            s->below[s->by_y[i]] = passed;
            s->up_to[s->by_y[i]] = passed + inside;
        }
        passed += inside;
    }
}

/* How many rows of the cell that passed stand below a place in the order of y. */
static int32_t prun__sweep_count(const prun__sweep *s, int32_t place) {
    return s->inside[place] + s->before[place / PRUN__SWEEP_BLOCK];
}

/* Lets a row of the cell, whose size is n, pass. */
static void prun__sweep_add(const prun__sweep *s, int32_t place, int64_t n) {
    int64_t i = place + 1;
    for (; i % PRUN__SWEEP_BLOCK != 0; i++) s->inside[i]++;
    for (i /= PRUN__SWEEP_BLOCK; i <= n / PRUN__SWEEP_BLOCK; i++) s->before[i]++;
}

/* Adds to count[0 .. 2], by y, a row's pairs with the `passed` rows of the cell that passed; with
   rest, to count[6 .. 8] those with the others of its n rows. */
static void prun__sweep_add_pairs(const prun__sweep *s, int32_t row, int32_t passed, int64_t n,
                                  int rest, int64_t *count) {
    const int32_t below = s->below[row], up_to = s->up_to[row];
    const int32_t less = prun__sweep_count(s, below);
    const int32_t equal = up_to > below ? prun__sweep_count(s, up_to) - less : 0;
    const int32_t more = passed - less - equal;
    if (rest) {
        count[6] += below - less;
        count[7] += up_to - below - equal;
        count[8] += n - up_to - more;
    }
    count[0] += less;
    count[1] += equal;
    count[2] += more;
}

/* Rows i .. next - 1 in the order of x, which share an x with rows of cell u: before and after they
   pass. What is added after comes from smaller and equal x. */
static void prun__sweep_add_run(const prun__sweep *s, int32_t u, int64_t i, int64_t next,
                                const int32_t passed[2], int64_t n, int64_t *count) {
    const prun__cells *c = s->cells;
    int64_t j, k;
    for (j = i; j < next; j++) {
        int64_t *here = count + 9 * c->cell[s->by_x[j]], smaller[9] = {0};
        if (c->cell[s->by_x[j]] < u) continue;
        prun__sweep_add_pairs(s, s->by_x[j], passed[0], n, 0, smaller);
        for (k = 0; k < 3; k++) {
            here[k] += smaller[k];
            here[3 + k] -= smaller[k];
        }
    }
    for (j = i; j < next; j++)
        if (c->cell[s->by_x[j]] == u) prun__sweep_add(s, s->below[s->by_x[j]], n);
    for (j = i; j < next; j++) {
        int64_t *here = count + 9 * c->cell[s->by_x[j]], up_to[9] = {0};
        if (c->cell[s->by_x[j]] < u) continue;
        prun__sweep_add_pairs(s, s->by_x[j], passed[1], n, 1, up_to);
        for (k = 0; k < 3; k++) {
            here[3 + k] += up_to[k];
            here[6 + k] += up_to[6 + k];
        }
    }
}

/* Pairs of cell u, rows start .. end - 1, with all later cells and with itself. A pair within the
   cell is met from both sides: half of what they say is kept. */
static void prun__sweep_count_pairs(prun__sweep *s, int64_t start, int64_t end, int64_t *count) {
    const prun__cells *c = s->cells;
    const int64_t n = end - start;
    const int32_t u = c->cell[start];
    int64_t *own = count + 9 * u;
    int32_t passed[2] = {0, 0}; /* rows of the cell with smaller x; with no larger x */
    int64_t i, j, k, next, copies = 0;
    prun__sweep_drop_rows(s, u, c->n - start);
    prun__sweep_rank(s, u);
    memset(s->inside, 0, (size_t)(n + PRUN__SWEEP_BLOCK) * sizeof *s->inside);
    memset(s->before, 0, (size_t)(n / PRUN__SWEEP_BLOCK + 1) * sizeof *s->before);
    for (i = 0; i < s->rows; i = next, passed[0] = passed[1]) {
        const int32_t x = c->x[s->by_x[i]];
        for (next = i; next < s->rows && c->x[s->by_x[next]] == x; next++)
            passed[1] += c->cell[s->by_x[next]] == u;
        if (passed[1] > passed[0]) {
            prun__sweep_add_run(s, u, i, next, passed, n, count);
            continue;
        }
        for (j = i; j < next; j++) {
            const int32_t row = s->by_x[j];
            if (c->cell[row] > u)
                prun__sweep_add_pairs(s, row, passed[0], n, 1, count + 9 * c->cell[row]);
        }
    }
    for (i = start; i < end; i = j) { /* copies of a model stand together */
        for (j = i; j < end && c->source[j] == c->source[i];) j++;
        copies += (j - i) * (j - i);
    }
    own[4] = (own[4] - copies) / 2;
    for (k = 5; k < 9; k++) own[k] = 0;
}

/* Rows per cell, on average, from which on the sweep is faster (measured). Fewer rows than a block
   have no room for its counters. */
#define PRUN__SWEEP_FROM 6

/* All pairs, row by row of the matrix of cells, so that memory is linear in the number of cells. */
static void prun__information_add_pairs(const prun__models *m, prun_ties ties, prun_information *s,
                                        prun__arena arena) {
    const prun__cells c = prun__cells_make(m, s, &arena);
    const int sweeps = c.n >= PRUN__SWEEP_FROM * c.count && c.n >= PRUN__SWEEP_BLOCK;
    int64_t *count = (int64_t *)prun__arena_get(&arena, 9 * c.count, sizeof *count), start, end;
    prun__sweep sweep;
    if (sweeps) sweep = prun__sweep_make(&c, m->range, &arena);
    for (start = 0; start < c.n; start = end) {
        const int64_t u = c.cell[start];
        memset(count + 9 * u, 0, (size_t)(9 * (c.count - u)) * sizeof *count);
        for (end = start; end < c.n && c.cell[end] == u;) end++;
        if (sweeps) prun__sweep_count_pairs(&sweep, start, end, count);
        else prun__cell_count_pairs(&c, start, end, count);
        prun__information_add_row(count, u, c.count, ties, s);
    }
}

/* Entropies below this, in bits, are rounding. */
#define PRUN__NO_ENTROPY 1e-12

/* Conditional mutual information given one subset of axes, in both normalisations; NaN where the
   entropy it is divided by is zero. */
static void prun__information_run(const prun__models *m, prun_ties ties, prun_information *s,
                                  prun__arena arena) {
    double least;
    prun__information_add_pairs(m, ties, s, arena);
    s->value = s->symmetric = PRUN__NAN;
    if (s->pairs <= 0.0) return;
    s->information = PRUN__MAX(s->information / s->pairs, 0.0);
    s->entropy_x /= s->pairs;
    s->entropy_y /= s->pairs;
    least = PRUN__MIN(s->entropy_x, s->entropy_y);
    if (s->entropy_y >= PRUN__NO_ENTROPY) s->value = s->information / s->entropy_y;
    if (least >= PRUN__NO_ENTROPY) s->symmetric = s->information / least;
}

/* Lists the subsets: none, single axes, pairs. */
static void prun__cmi_begin(prun_cmi *c, int64_t axes) {
    int32_t a, b;
    memset(c, 0, sizeof *c);
    for (a = -1; a < axes; a++) {
        c->subset[c->subset_count].axis[0] = a;
        c->subset[c->subset_count++].axis[1] = -1;
    }
    for (a = 0; a < axes; a++)
        for (b = a + 1; b < axes; b++) {
            c->subset[c->subset_count].axis[0] = a;
            c->subset[c->subset_count++].axis[1] = b;
        }
}

/* Takes the minimum over the subsets in both normalisations, and gives the reason if there is none.
   */
static void prun__cmi_end(prun_cmi *c) {
    int32_t i;
    c->best = -1;
    c->k = c->symmetric = PRUN__NAN;
    for (i = 0; i < c->subset_count; i++) {
        const prun_information *s = &c->subset[i];
        if (s->value < c->k || (c->best < 0 && s->value >= 0.0)) {
            c->k = s->value;
            c->best = i;
        }
        if (s->symmetric < c->symmetric || (c->symmetric != c->symmetric && s->symmetric >= 0.0))
            c->symmetric = s->symmetric;
    }
    if (c->best < 0)
        c->reason = c->subset[0].pairs <= 0.0 ? "every pair of models ties"
                                              : "the second variable has no entropy";
}

typedef struct prun__cmi_job {
    const prun__models *models;
    prun_ties ties;
    prun_cmi *cmi;
    char *memory;
    int64_t room; /* of a worker */
} prun__cmi_job;

/* One subset, in the worker's own memory. */
static void prun__cmi_task(void *argument, int64_t item, int64_t worker) {
    const prun__cmi_job *job = (const prun__cmi_job *)argument;
    prun__arena arena;
    arena.at = job->memory + worker * job->room;
    prun__information_run(job->models, job->ties, &job->cmi->subset[item], arena);
}

PRUNDEF prun_status prun_conditional_information(prun_context *context, const prun_axes *axes,
                                                 const double *x, const double *y, prun_ties ties,
                                                 prun_cmi *result) {
    const char *what = "conditional mutual information";
    const int64_t threads = PRUN__MIN(prun__threads(context), PRUN_MAX_SUBSETS);
    prun__arena arena;
    prun__models m;
    prun__cmi_job job;
    prun_status status;
    void *block;
    if (ties < PRUN_TIES_DROP || ties > PRUN_TIES_HALF)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "%s: unknown rule %d for ties", what,
                          (int)ties);
    job.room = prun__arena_size(PRUN__CMI_ROOM, axes ? axes->n : 0);
    status = prun__models_make_from_axes(context, what, axes, x, y,
                                         prun__size_product(threads, job.room), &m, &arena, &block);
    if (status == PRUN_OK) {
        job.models = &m;
        job.ties = ties;
        job.cmi = result;
        job.memory = arena.at;
        prun__cmi_begin(result, m.axes);
        prun__for(context, prun__cmi_task, &job, result->subset_count);
        prun__cmi_end(result);
    }
    prun__free(context, block);
    return status;
}

/* ---- robust sign error ---- */

PRUNDEF double prun_sign_error_weight(double difference, double test_samples) {
    const double half = difference / 2.0;
    const double sure = PRUN__MAX(0.0, 1.0 - 2.0 * exp(-2.0 * test_samples * half * half));
    return PRUN__MAX(0.0, sure * sure - 0.5);
}

PRUNDEF double prun_sign_error_pair(const prun_runs *first, const prun_runs *second,
                                    double test_samples, double *weight, double *effective_size) {
    double sum = 0.0, squares = 0.0, errors = 0.0;
    int64_t i, j;
    for (i = 0; i < first->n; i++)
        for (j = 0; j < second->n; j++) {
            const double x1 = first->measure[i], x2 = second->measure[j];
            const double y1 = first->target[i], y2 = second->target[j];
            const int x = (x1 > x2) - (x1 < x2), y = (y1 > y2) - (y1 < y2);
            const double w = prun_sign_error_weight(y ? y1 - y2 : 0.0, test_samples);
            sum += w;
            squares += w * w;
            errors += w * 0.5 * (double)(1 - x * y);
        }
    if (weight) *weight = sum;
    if (effective_size) *effective_size = sum > 0.0 ? sum * sum / squares : 0.0;
    return sum > 0.0 ? errors / sum : PRUN__NAN;
}

/* The runs in rows from .. to - 1 of x and y. */
static prun_runs prun__runs_make(double *const v[2], int64_t from, int64_t to) {
    prun_runs r;
    r.measure = v[0] + from;
    r.target = v[1] + from;
    r.n = to - from;
    return r;
}

/* Appends the errors of an axis's environments to list; list NULL: counts them alone. Sorts rows by
   setting, so that settings that differ in the axis alone follow one another. */
static int64_t prun__environments_add(const prun__models *m, int64_t axis,
                                      const prun_sign_error_options *o, double *list,
                                      int64_t *dropped, prun__arena arena) {
    int32_t *group = (int32_t *)prun__arena_get(&arena, m->n, sizeof *group); /* all other axes */
    int32_t *setting = (int32_t *)prun__arena_get(&arena, m->n, sizeof *setting);
    int32_t *order = (int32_t *)prun__arena_get(&arena, m->n, sizeof *order);
    double *v[2]; /* x and y in that order */
    int64_t first, second, end, end2, i, k, kept = 0;
    prun__models_join_axes(m, axis, group, arena);
    memcpy(setting, group, (size_t)m->n * sizeof *group);
    prun__codes_join(setting, m->code[PRUN__AXES + axis], m->n, m->range, order, arena);
    for (k = 0; list && k < 2; k++) {
        v[k] = (double *)prun__arena_get(&arena, m->n, sizeof *v[k]);
        for (i = 0; i < m->n; i++) v[k][i] = m->level[k][m->code[k][order[i]]];
    }
    for (first = 0; first < m->n; first = end) {
        end = prun__group_find_end(setting, order, m->n, first);
        for (second = end; second < m->n && group[order[second]] == group[order[first]];
             second = end2) {
            double error, size;
            prun_runs a, b;
            end2 = prun__group_find_end(setting, order, m->n, second);
            kept++;
            if (!list) continue;
            a = prun__runs_make(v, first, end);
            b = prun__runs_make(v, second, end2);
            error = prun_sign_error_pair(&a, &b, o->test_samples, NULL, &size);
            list[kept - 1] = error;
            if (error == error && size >= o->effective_size) continue;
            ++*dropped;
            kept--;
        }
    }
    return kept;
}

/* Environments of all axes, which bound the length of the list of errors. */
static int64_t prun__environments_count(const prun__models *m, prun__arena arena) {
    int64_t a, count = 0;
    for (a = 0; a < m->axes; a++) count += prun__environments_add(m, a, NULL, NULL, NULL, arena);
    return count;
}

/* Sorts list. The reference counts pairs of settings twice, which its 90th percentile shows. */
static void prun__summary_fill(double *list, int64_t n, int64_t dropped,
                               prun_sign_error_summary *s) {
    double sum = 0.0;
    int64_t i;
    s->environments = n;
    s->dropped = dropped;
    s->mean = s->p90 = s->max = PRUN__NAN;
    if (n == 0) return;
    for (i = 0; i < n; i++) sum += list[i];
    qsort(list, (size_t)n, sizeof *list, prun__by_value);
    s->mean = sum / (double)n;
    s->p90 = prun__quantile(list, n, 2, 0.9);
    s->max = list[n - 1];
}

/* Errors of one axis, then of all; what lies behind PRUN__SIGN_ROOM is for m->environments. */
static void prun__sign_error_fill(const prun__models *m, const prun_sign_error_options *o,
                                  prun_sign_error *result, prun__arena arena) {
    const prun__arena scratch = arena;
    double *list;
    int64_t a, kept = 0, dropped = 0;
    memset(result, 0, sizeof *result);
    arena.at += prun__arena_size(PRUN__SIGN_ROOM, m->range);
    list = (double *)prun__arena_get(&arena, m->environments, sizeof *list);
    for (a = 0; a < m->axes; a++) {
        int64_t out = 0, count = prun__environments_add(m, a, o, list + kept, &out, scratch);
        prun__summary_fill(list + kept, count, out, &result->axis[a]);
        kept += count;
        dropped += out;
    }
    prun__summary_fill(list, kept, dropped, &result->all);
}

/* Bytes that prun__sign_error_fill needs. */
static int64_t prun__sign_error_size(int64_t range, int64_t environments) {
    return prun__size_sum(prun__arena_size(PRUN__SIGN_ROOM, range),
                          prun__arena_size(2, environments));
}

PRUNDEF prun_sign_error_options prun_sign_error_resolved(const prun_sign_error_options *options) {
    prun_sign_error_options o;
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    if (o.test_samples == 0.0) o.test_samples = 10000.0;
    if (o.effective_size == 0.0) o.effective_size = 12.0;
    return o;
}

/* Fails unless the numbers of samples are possible. */
static prun_status prun__sign_error_check(prun_context *context, const prun_sign_error_options *o) {
    if (o->test_samples > 0.0 && o->effective_size >= 0.0) return PRUN_OK;
    return prun__fail(context, PRUN_ERR_ARGUMENT, "sign error: test_samples %g, effective_size %g",
                      o->test_samples, o->effective_size);
}

PRUNDEF prun_status prun_robust_sign_error(prun_context *context, const prun_axes *axes,
                                           const double *x, const double *y,
                                           const prun_sign_error_options *options,
                                           prun_sign_error *result) {
    const prun_sign_error_options o = prun_sign_error_resolved(options);
    prun__arena arena, own;
    prun__models m;
    prun_status status;
    void *block, *memory;
    PRUN__TRY(prun__sign_error_check(context, &o));
    status = prun__models_make_from_axes(context, "sign error", axes, x, y,
                                         prun__arena_size(PRUN__SIGN_ROOM, axes ? axes->n : 0), &m,
                                         &arena, &block);
    if (status == PRUN_OK)
        status = prun__doubles_check_finite(context, "sign error, target", y, axes->n);
    if (status == PRUN_OK) {
        m.environments = prun__environments_count(&m, arena);
        memory =
            prun__alloc(context, prun__sign_error_size(m.range, m.environments), 1, "sign error");
        own.at = (char *)memory;
        if (memory) prun__sign_error_fill(&m, &o, result, own);
        else status = PRUN_ERR_MEMORY;
        prun__free(context, memory);
    }
    prun__free(context, block);
    return status;
}
#endif

/* [REGRESSION.I] least squares and cross-validation */
/*
   Pivoted QR by Householder reflections, in units that keep squares from overflowing.
*/
#ifndef PRUNABILITY_NO_STATS

/* A least squares problem: rows of x and y, chosen by index. */
typedef struct prun__fit {
    const double *const *x;
    const double *y;
    int64_t variables;
    double *matrix, *target;     /* rows x variables, column after column; rows */
    double *mean, *scale, *beta; /* per variable; beta in standard units */
    int64_t *pivot;
    double y_mean, unit; /* unit: factor of residuals before they are squared */
} prun__fit;

/* A power of two that takes v to about 1, for squares that neither overflow nor vanish. */
static double prun__unit_factor(double v) {
    int exponent = 0;
    if (v > 0.0 && v <= DBL_MAX) (void)frexp(v, &exponent);
    return ldexp(1.0, PRUN__MIN(-exponent, 1000));
}

/* Mean and deviation; the second pass removes the rounding error of the first mean. */
static void prun__moments(const double *v, const int64_t *rows, int64_t n, double *mean,
                          double *deviation) {
    double sum = 0.0, square = 0.0, rest = 0.0, largest = 0.0, unit;
    int64_t i;
    for (i = 0; i < n; i++) sum += v[rows[i]] / (double)n;
    for (i = 0; i < n; i++) rest += (v[rows[i]] - sum) / (double)n;
    sum += rest;
    for (i = 0; i < n; i++) largest = PRUN__MAX(largest, fabs(v[rows[i]] - sum));
    unit = prun__unit_factor(largest);
    for (i = 0; i < n; i++) square += unit * (v[rows[i]] - sum) * (unit * (v[rows[i]] - sum));
    *mean = sum;
    *deviation = sqrt(square / (double)n) / unit;
    /* What is left of a constant is rounding. */
    if (*deviation <= 1e-14 * fabs(sum)) *deviation = 0.0;
}

/* Step k of QR with pivoting: the longest remaining column becomes the k-th, and a Householder
   reflection takes it to a multiple of the unit vector k, the others and the target along. Returns
   0 when all that remains depends on the columns before: of length sqrt(n), 1e-10 is left. */
static int prun__fit_step(prun__fit *f, int64_t n, int64_t k) {
    double *v, head, longest = 0.0;
    int64_t i, j, best = k, index;
    for (j = k; j < f->variables; j++) {
        double square = 0.0;
        for (v = f->matrix + f->pivot[j] * n, i = k; i < n; i++) square += v[i] * v[i];
        if (square > longest) best = j;
        longest = PRUN__MAX(longest, square);
    }
    if (!(longest > 1e-20 * (double)n)) return 0;
    index = f->pivot[best];
    f->pivot[best] = f->pivot[k];
    f->pivot[k] = index;
    v = f->matrix + index * n;
    head = v[k] > 0.0 ? -sqrt(longest) : sqrt(longest);
    v[k] -= head;
    for (j = k + 1; j <= f->variables; j++) {
        double *other = j < f->variables ? f->matrix + f->pivot[j] * n : f->target, dot = 0.0;
        for (i = k; i < n; i++) dot += v[i] * other[i];
        dot /= head * v[k]; /* = -|v|^2 / 2 */
        for (i = k; i < n; i++) other[i] += dot * v[i];
    }
    v[k] = head;
    return 1;
}

/* Solves for the given rows; returns the rank. */
static int64_t prun__fit_run(prun__fit *f, const int64_t *rows, int64_t n) {
    const int64_t p = f->variables;
    double ignored;
    int64_t i, j, k, rank = 0;
    prun__moments(f->y, rows, n, &f->y_mean, &ignored);
    for (i = 0; i < n; i++) f->target[i] = f->y[rows[i]] - f->y_mean;
    for (j = 0; j < p; j++) {
        prun__moments(f->x[j], rows, n, &f->mean[j], &f->scale[j]);
        f->pivot[j] = j;
        f->beta[j] = 0.0;
        for (i = 0; i < n; i++)
            f->matrix[j * n + i] =
                f->scale[j] > 0.0 ? (f->x[j][rows[i]] - f->mean[j]) / f->scale[j] : 0.0;
    }
    while (rank < p && rank < n && prun__fit_step(f, n, rank)) rank++;
    for (k = rank - 1; k >= 0; k--) {
        double sum = f->target[k];
        for (j = k + 1; j < rank; j++) sum -= f->matrix[f->pivot[j] * n + k] * f->beta[f->pivot[j]];
        f->beta[f->pivot[k]] = sum / f->matrix[f->pivot[k] * n + k];
    }
    return rank;
}

/* Prediction of the last fit for a row, which need not be one of those it was fitted to. */
static double prun__fit_prediction(const prun__fit *f, int64_t row) {
    double sum = f->y_mean;
    int64_t j;
    for (j = 0; j < f->variables; j++)
        if (f->scale[j] > 0.0) sum += f->beta[j] * ((f->x[j][row] - f->mean[j]) / f->scale[j]);
    return sum;
}

/* Cross-fitted predictions of all rows and the three R2 they give; sst: around the mean of all. */
static void prun__fit_run_folds(prun__fit *f, const int64_t *order, int64_t n, double sst,
                                double *predictions, prun_regression *r, int64_t *rest) {
    double sse = 0.0, baseline = 0.0, folds = 0.0;
    int64_t k, i, begin, end = 0;
    for (k = 0; k < r->folds; k++) {
        double error = 0.0, mean, deviation;
        begin = end;
        end += n / r->folds + (k < n % r->folds);
        memcpy(rest, order, (size_t)begin * sizeof *rest);
        memcpy(rest + begin, order + end, (size_t)(n - end) * sizeof *rest);
        prun__fit_run(f, rest, n - (end - begin));
        prun__moments(f->y, order + begin, end - begin, &mean, &deviation);
        deviation *= f->unit;
        for (i = begin; i < end; i++) {
            const double y = f->y[order[i]], prediction = prun__fit_prediction(f, order[i]);
            error += f->unit * (y - prediction) * (f->unit * (y - prediction));
            baseline += f->unit * (y - f->y_mean) * (f->unit * (y - f->y_mean));
            if (predictions) predictions[order[i]] = prediction;
        }
        sse += error;
        /* 0 / 0 or x / 0: no R2 of a fold without variance */
        folds += deviation > 0.0 ? 1.0 - error / (deviation * deviation * (double)(end - begin))
                                 : PRUN__NAN;
    }
    r->cv_r2 = sst > 0.0 ? 1.0 - sse / sst : PRUN__NAN;
    r->cv_r2_training = sst > 0.0 ? 1.0 - sse / baseline : PRUN__NAN;
    r->cv_r2_folds = folds / (double)r->folds;
}

/* The fit on all rows; returns the total sum of squares in units of f->unit. */
static double prun__fit_run_all(prun__fit *f, const int64_t *rows, int64_t n,
                                const prun_regression_outputs *out, prun_regression *r) {
    double mean, deviation, sse = 0.0, sst, largest = 0.0;
    int64_t i, j;
    prun__moments(f->y, rows, n, &mean, &deviation);
    f->unit = prun__unit_factor(deviation);
    sst = f->unit * deviation * (f->unit * deviation) * (double)n;
    r->rank = prun__fit_run(f, rows, n);
    r->intercept = f->y_mean;
    r->best = -1;
    for (j = 0; j < f->variables; j++) {
        const double slope = f->scale[j] > 0.0 ? f->beta[j] / f->scale[j] : 0.0;
        r->intercept -= slope * f->mean[j];
        if (out->coefficients) out->coefficients[j] = slope;
        if (out->standardized)
            out->standardized[j] = sst > 0.0 ? f->beta[j] / deviation : PRUN__NAN;
        if (fabs(f->beta[j]) > largest) {
            largest = fabs(f->beta[j]);
            r->best = j;
        }
    }
    for (i = 0; i < n; i++) {
        const double prediction = prun__fit_prediction(f, i);
        sse += f->unit * (f->y[i] - prediction) * (f->unit * (f->y[i] - prediction));
        if (out->fitted) out->fitted[i] = prediction;
    }
    r->r2 = sst > 0.0 ? 1.0 - sse / sst : PRUN__NAN;
    r->adjusted_r2 = n - r->rank - 1 > 0
                         ? 1.0 - (1.0 - r->r2) * (double)(n - 1) / (double)(n - r->rank - 1)
                         : PRUN__NAN;
    if (sst == 0.0) r->reason = "the target is constant";
    else if (r->r2 != r->r2) r->reason = "squares of the values overflow";
    else if (n - r->rank - 1 <= 0) r->reason = "as many coefficients as models";
    return sst;
}

PRUNDEF prun_regression_options prun_regression_resolved(const prun_regression_options *options) {
    prun_regression_options o;
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    if (o.folds == 0) o.folds = 10;
    return o;
}

/* Checks the data and resolved options of a regression. Infinite values pass: the result is
   undefined then, which is no error. */
static prun_status prun__regression_check(prun_context *context, const prun_regression_data *data,
                                          const prun_regression_options *o) {
    char name[64];
    int64_t j;
    PRUN__TRY(prun__models_check_count(context, "regression", data->n));
    if (data->variables < 0 || o->folds < 2)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "regression: %lld variables, %lld folds",
                          (long long)data->variables, (long long)o->folds);
    PRUN__TRY(prun__doubles_check_nan(context, "regression, target", data->y, data->n));
    for (j = 0; j < data->variables; j++) {
        snprintf(name, sizeof name, "regression, variable %lld", (long long)j);
        PRUN__TRY(prun__doubles_check_nan(context, name, data->x[j], data->n));
    }
    return PRUN_OK;
}

/* Sets n values to NaN; v may be NULL. */
static void prun__doubles_fill_nan(double *v, int64_t n) {
    int64_t i;
    for (i = 0; v && i < n; i++) v[i] = PRUN__NAN;
}

/* Whether infinite values leave nothing to fit; all results are undefined then. */
static int prun__regression_is_undefined(const double *const *x, const double *y,
                                         const prun_regression_outputs *out, prun_regression *r) {
    const double most = DBL_MAX / 4.0; /* differences of larger values overflow */
    const int64_t n = r->n, variables = r->variables;
    int64_t j = 0;
    r->infinite = -1;
    if (prun__doubles_find_large(y, n, most) < n) {
        r->reason = "the target has infinite values";
    } else {
        while (j < variables && prun__doubles_find_large(x[j], n, most) == n) j++;
        if (j == variables) return 0;
        r->infinite = j;
        r->reason = "a variable has infinite values";
    }
    r->best = -1;
    r->intercept = r->r2 = r->adjusted_r2 = PRUN__NAN;
    r->cv_r2 = r->cv_r2_training = r->cv_r2_folds = PRUN__NAN;
    prun__doubles_fill_nan(out->coefficients, variables);
    prun__doubles_fill_nan(out->standardized, variables);
    prun__doubles_fill_nan(out->fitted, n);
    prun__doubles_fill_nan(out->crossfitted, n);
    return 1;
}

PRUNDEF prun_status prun_regression_fit(prun_context *context, const prun_regression_data *data,
                                        const prun_regression_options *options,
                                        prun_regression *result,
                                        const prun_regression_outputs *outputs) {
    const prun_regression_options o = prun_regression_resolved(options);
    const int64_t n = data->n, variables = data->variables;
    prun_regression_outputs out;
    prun_regression r;
    prun__fit f;
    prun__arena arena;
    int64_t *order, *rest, i, bytes;
    void *block;
    double sst;
    PRUN__TRY(prun__regression_check(context, data, &o));
    memset(&out, 0, sizeof out);
    if (outputs) out = *outputs;
    memset(&r, 0, sizeof r);
    r.n = n;
    r.variables = variables;
    r.folds = PRUN__MIN(o.folds, n);
    if (prun__regression_is_undefined(data->x, data->y, &out, &r)) {
        *result = r;
        return PRUN_OK;
    }
    bytes = prun__size_product(n, variables);
    bytes = prun__size_sum(prun__arena_size(2, bytes),
                           prun__size_sum(prun__arena_size(6, n), prun__arena_size(8, variables)));
    block = prun__alloc(context, bytes, 1, "regression");
    if (!block) return PRUN_ERR_MEMORY;
    arena.at = (char *)block;
    f.x = data->x;
    f.y = data->y;
    f.variables = variables;
    f.matrix = (double *)prun__arena_get(&arena, n * variables, sizeof(double));
    f.target = (double *)prun__arena_get(&arena, n, sizeof(double));
    f.mean = (double *)prun__arena_get(&arena, 3 * variables, sizeof(double));
    f.scale = f.mean + variables;
    f.beta = f.scale + variables;
    f.pivot = (int64_t *)prun__arena_get(&arena, variables, sizeof(int64_t));
    order = (int64_t *)prun__arena_get(&arena, n, sizeof *order);
    rest = (int64_t *)prun__arena_get(&arena, n, sizeof *rest);
    for (i = 0; i < n; i++) order[i] = i;
    sst = prun__fit_run_all(&f, order, n, &out, &r);
    if (!o.contiguous) prun_random_permutation(o.seed, PRUN__STREAM_FOLDS, n, order);
    prun__fit_run_folds(&f, order, n, sst, out.crossfitted, &r, rest);
    prun__free(context, block);
    *result = r;
    return PRUN_OK;
}
#endif

/* [RESAMPLE.I] bootstrap, comparison, permutation */
/*
   A resample is a list of rows; its codes are gathered and the statistic of STATS computed on them,
   by several threads at once.
*/
#ifndef PRUNABILITY_NO_STATS

/* R2 of a regression on the measure alone; NaN where a value is infinite. */
static double prun__simple_r2(const prun__models *m, int adjusted) {
    const double n = (double)m->n;
    const int32_t *x = m->code[PRUN__X], *y = m->code[PRUN__Y];
    const double *u = m->level[PRUN__X], *v = m->level[PRUN__Y];
    double a = 0.0, b = 0.0, aa = 0.0, ab = 0.0, bb = 0.0, largest[2] = {0.0, 0.0}, r2;
    int64_t i;
    for (i = 0; i < m->n; i++) {
        a += u[x[i]] / n;
        b += v[y[i]] / n;
    }
    for (i = 0; i < m->n; i++) {
        const double du = fabs(u[x[i]] - a), dv = fabs(v[y[i]] - b);
        if (!(du <= DBL_MAX && dv <= DBL_MAX)) return PRUN__NAN;
        largest[0] = PRUN__MAX(largest[0], du);
        largest[1] = PRUN__MAX(largest[1], dv);
    }
    largest[0] = prun__unit_factor(largest[0]);
    largest[1] = prun__unit_factor(largest[1]);
    for (i = 0; i < m->n; i++) {
        const double du = largest[0] * (u[x[i]] - a), dv = largest[1] * (v[y[i]] - b);
        aa += du * du;
        ab += du * dv;
        bb += dv * dv;
    }
    if (!(bb > 0.0)) return PRUN__NAN;
    r2 = aa > 0.0 ? PRUN__MIN(ab / aa * (ab / bb), 1.0) : 0.0;
    if (!adjusted || !(aa > 0.0)) return r2;
    return m->n > 2 ? 1.0 - (1.0 - r2) * (n - 1.0) / (n - 2.0) : PRUN__NAN;
}

/* Pairs of two variables without those of two copies of one model. */
static prun__pairs prun__models_count_pairs(const prun__models *m, int x, int y,
                                            prun__arena arena) {
    prun__pairs p = prun__pairs_count(m->code[x], m->code[y], m->n, m->range, arena);
    p.all -= m->self_pairs;
    p.tied_x -= m->self_pairs;
    p.tied_y -= m->self_pairs;
    p.tied_both -= m->self_pairs;
    return p;
}

/* Partial tau_b of measure and target given the control; NaN where tau_b with the control is 1, -1
   or undefined. */
static double prun__partial_tau(const prun__models *m, prun__arena arena) {
    const prun__pairs xy = prun__models_count_pairs(m, PRUN__X, PRUN__Y, arena);
    const prun__pairs xz = prun__models_count_pairs(m, PRUN__X, PRUN__CONTROL, arena);
    const prun__pairs yz = prun__models_count_pairs(m, PRUN__Y, PRUN__CONTROL, arena);
    const double a = prun__tau_b(&xy), b = prun__tau_b(&xz), c = prun__tau_b(&yz);
    const double rest = (1.0 - b * b) * (1.0 - c * c);
    /* tau_b of equal rankings can miss 1 by a few ulps */
    return rest > 1e-14 ? (a - b * c) / sqrt(rest) : PRUN__NAN;
}

/* The minimum of prun_conditional_information, serially, because resamples run in parallel. */
static double prun__cmi_k(const prun__models *m, prun_ties ties, prun__arena arena) {
    prun_cmi c;
    int32_t i;
    prun__cmi_begin(&c, m->axes);
    for (i = 0; i < c.subset_count; i++) prun__information_run(m, ties, &c.subset[i], arena);
    prun__cmi_end(&c);
    return c.k;
}

/* The statistic that the options name, of models whose codes are set; NaN where it is undefined.
   Custom statistics are not called here. */
static double prun__statistic(const prun__models *m, const prun_resampling_options *o,
                              prun__arena arena) {
    prun_sign_error errors;
    prun_granulated g;
    prun__pairs p;
    double ignored;
    int64_t groups;
    switch (o->statistic) {
        case PRUN_STATISTIC_TAU_A:
            p = prun__models_count_pairs(m, PRUN__X, PRUN__Y, arena);
            return p.all > 0.0 ? prun__kendall_score(&p) / p.all : PRUN__NAN;
        case PRUN_STATISTIC_TAU_B:
            p = prun__models_count_pairs(m, PRUN__X, PRUN__Y, arena);
            return prun__tau_b(&p);
        case PRUN_STATISTIC_PARTIAL_TAU: return prun__partial_tau(m, arena);
        case PRUN_STATISTIC_R2: return prun__simple_r2(m, 0);
        case PRUN_STATISTIC_ADJUSTED_R2: return prun__simple_r2(m, 1);
        case PRUN_STATISTIC_PSI: return prun__psi(m, o->axis, &ignored, &groups, arena);
        case PRUN_STATISTIC_PSI_MEAN: prun__granulated_fill(m, &g, arena); return g.mean;
        case PRUN_STATISTIC_CMI: return prun__cmi_k(m, o->ties, arena);
        default: break;
    }
    prun__sign_error_fill(m, &o->sign_error, &errors, arena);
    return o->statistic == PRUN_STATISTIC_SIGN_ERROR_MEAN  ? errors.all.mean
           : o->statistic == PRUN_STATISTIC_SIGN_ERROR_P90 ? errors.all.p90
                                                           : errors.all.max;
}

typedef enum prun__scheme { PRUN__VALUE, PRUN__BOOTSTRAP, PRUN__PERMUTE } prun__scheme;

typedef struct prun__resampler {
    prun_resampling_options options;
    prun__scheme scheme;
    prun__models models;
    int64_t capacity; /* most rows of a resample */
    int64_t clusters;
    int32_t *cluster;           /* of each row */
    int32_t *by_cluster, *ends; /* rows by cluster; where each cluster ends */
    int32_t *by_size;           /* clusters by size */
    char *memory;
    int64_t room; /* of a worker */
    double *values;
} prun__resampler;

/* The statistic, minus that of the other measure where there is one. source: NULL or the rows of a
   resample, which are all that custom statistics know. */
static double prun__statistic_difference(const prun__resampler *r, prun__models *m,
                                         const int32_t *source, prun__arena arena) {
    double value;
    int64_t *rows, i;
    if (r->options.statistic == PRUN_STATISTIC_CUSTOM) {
        rows = (int64_t *)prun__arena_get(&arena, m->n, sizeof *rows);
        for (i = 0; i < m->n; i++) rows[i] = source ? source[i] : i;
        return r->options.custom(r->options.user, rows, m->n);
    }
    value = prun__statistic(m, &r->options, arena);
    if (!m->code[PRUN__OTHER]) return value;
    m->code[PRUN__X] = m->code[PRUN__OTHER];
    m->level[PRUN__X] = m->level[PRUN__OTHER];
    return value - prun__statistic(m, &r->options, arena);
}

/* Codes of the rows in source; NULL: not there. */
static int32_t *prun__codes_copy_rows(const int32_t *from, const int32_t *source, int64_t n,
                                      prun__arena *arena) {
    int32_t *to;
    int64_t i;
    if (!from) return NULL;
    to = (int32_t *)prun__arena_get(arena, n, sizeof *to);
    for (i = 0; i < n; i++) to[i] = from[source[i]];
    return to;
}

/* Draws as many clusters as there are. Rows keep their order, so that copies stand together. */
static int64_t prun__clusters_draw(const prun__resampler *r, uint64_t draw, int32_t *source,
                                   int32_t *copy, double *self_pairs, prun__arena arena) {
    int32_t *times = (int32_t *)prun__arena_get(&arena, r->clusters, sizeof *times), t;
    int64_t i, n = 0;
    memset(times, 0, (size_t)r->clusters * sizeof *times);
    for (i = 0; i < r->clusters; i++)
        times[prun__random_below(
            prun_random_bits(r->options.seed, PRUN__STREAM_BOOTSTRAP + draw, (uint64_t)i),
            r->clusters)]++;
    *self_pairs = 0.0;
    for (i = 0; i < r->models.n; i++) {
        const double k = (double)times[r->cluster[i]];
        *self_pairs += k * (k - 1.0) / 2.0;
        for (t = 0; t < times[r->cluster[i]]; t++) {
            source[n] = (int32_t)i;
            copy[n++] = t;
        }
    }
    return n;
}

/* The statistic of one bootstrap resample: clusters of models, drawn with replacement. */
static double prun__bootstrap_run(const prun__resampler *r, uint64_t draw, prun__arena arena) {
    prun__models m = r->models;
    int32_t *source = (int32_t *)prun__arena_get(&arena, r->capacity, sizeof *source);
    int32_t *copy = (int32_t *)prun__arena_get(&arena, r->capacity, sizeof *copy);
    int64_t i;
    m.range = r->capacity;
    m.source = source;
    m.copy = copy;
    m.n = prun__clusters_draw(r, draw, source, copy, &m.self_pairs, arena);
    for (i = 0; i < PRUN__AXES + m.axes; i++)
        m.code[i] = prun__codes_copy_rows(r->models.code[i], source, m.n, &arena);
    return prun__statistic_difference(r, &m, source, arena);
}

/* Where the rows of a cluster begin in by_cluster. */
static int64_t prun__cluster_start(const prun__resampler *r, int64_t cluster) {
    return cluster > 0 ? r->ends[cluster - 1] : 0;
}

/* source[i]: the row whose target row i gets. Clusters trade places within their size. */
static void prun__permutation_make(const prun__resampler *r, uint64_t draw, int32_t *source,
                                   prun__arena arena) {
    int32_t *place = (int32_t *)prun__arena_get(&arena, r->clusters, sizeof *place);
    int64_t i, j, k, first = 0, size = 0;
    for (i = 0; i < r->clusters; i++) {
        const int64_t here = r->ends[r->by_size[i]] - prun__cluster_start(r, r->by_size[i]);
        if (here != size) first = i;
        size = here;
        j = first + prun__random_below(
                        prun_random_bits(r->options.seed, PRUN__STREAM_PERMUTE + draw, (uint64_t)i),
                        i - first + 1);
        place[i] = place[j]; /* inside out, as prun_random_permutation */
        place[j] = (int32_t)i;
    }
    for (i = 0; i < r->clusters; i++) {
        const int64_t to = prun__cluster_start(r, r->by_size[i]);
        const int64_t from = prun__cluster_start(r, r->by_size[place[i]]);
        for (k = 0; to + k < r->ends[r->by_size[i]]; k++)
            source[r->by_cluster[to + k]] = r->by_cluster[from + k];
    }
}

/* The statistic after one permutation of the targets among the models. */
static double prun__permutation_run(const prun__resampler *r, uint64_t draw, prun__arena arena) {
    prun__models m = r->models;
    int32_t *source = (int32_t *)prun__arena_get(&arena, m.n, sizeof *source);
    prun__permutation_make(r, draw, source, arena);
    m.code[PRUN__Y] = prun__codes_copy_rows(m.code[PRUN__Y], source, m.n, &arena);
    return prun__statistic_difference(r, &m, source, arena);
}

/* Item 0 is the statistic of the sample itself. */
static void prun__resample_task(void *argument, int64_t item, int64_t worker) {
    const prun__resampler *r = (const prun__resampler *)argument;
    prun__models m = r->models;
    prun__arena arena;
    arena.at = r->memory + worker * r->room;
    r->values[item] = item == 0 ? prun__statistic_difference(r, &m, NULL, arena)
                      : r->scheme == PRUN__BOOTSTRAP
                          ? prun__bootstrap_run(r, (uint64_t)item, arena)
                          : prun__permutation_run(r, (uint64_t)item, arena);
}

/* Groups rows by cluster, each row its own where there are none. */
static void prun__clusters_find(prun__resampler *r, prun__arena *arena) {
    const int64_t n = r->models.n;
    const int32_t *given = r->models.code[PRUN__CLUSTER];
    int32_t *size = (int32_t *)prun__arena_get(arena, n, sizeof *size);
    int32_t *counts = (int32_t *)prun__arena_get(arena, n + 2, sizeof *counts);
    int64_t i, largest = 1;
    r->cluster = (int32_t *)prun__arena_get(arena, n, sizeof *r->cluster);
    r->by_cluster = (int32_t *)prun__arena_get(arena, n, sizeof *r->by_cluster);
    r->ends = (int32_t *)prun__arena_get(arena, n + 1, sizeof *r->ends);
    r->by_size = (int32_t *)prun__arena_get(arena, n, sizeof *r->by_size);
    for (i = 0; i < n; i++) {
        r->cluster[i] = given ? given[i] : (int32_t)i;
        r->clusters = PRUN__MAX(r->clusters, r->cluster[i] + 1);
    }
    prun__codes_sort(r->cluster, n, n, NULL, r->by_cluster, r->ends);
    for (i = 0; i < r->clusters; i++) {
        size[i] = (int32_t)(r->ends[i] - prun__cluster_start(r, i));
        largest = PRUN__MAX(largest, size[i]);
    }
    prun__codes_sort(size, n + 1, r->clusters, NULL, r->by_size, counts);
    r->capacity = r->scheme == PRUN__BOOTSTRAP ? prun__size_product(r->clusters, largest) : n;
}

PRUNDEF prun_resampling_options prun_resampling_resolved(const prun_resampling_options *options) {
    prun_resampling_options o;
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    if (o.resamples == 0) o.resamples = 10000;
    if (o.level == 0.0) o.level = 0.95;
    o.sign_error = prun_sign_error_resolved(&o.sign_error);
    return o;
}

/* Checks that the sample has what the statistic needs, and the resolved options. */
static prun_status prun__resampling_check(prun_context *context, const prun_sample *s,
                                          const double *other, const prun_resampling_options *o) {
    const int32_t kind = (int32_t)o->statistic;
    const char *missing = NULL;
    if (kind < PRUN_STATISTIC_TAU_A || kind > PRUN_STATISTIC_CUSTOM)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "unknown statistic %d", (int)kind);
    if (kind == PRUN_STATISTIC_CUSTOM && !o->custom) missing = "a function";
    if (kind != PRUN_STATISTIC_CUSTOM && (!s->measure || !s->target))
        missing = "a measure and a target";
    if (kind == PRUN_STATISTIC_PARTIAL_TAU && !s->control) missing = "a control variable";
    if (kind >= PRUN_STATISTIC_PSI && kind < PRUN_STATISTIC_CUSTOM && !s->axes)
        missing = "hyperparameters";
    if (missing) return prun__fail(context, PRUN_ERR_ARGUMENT, "the statistic needs %s", missing);
    if (kind == PRUN_STATISTIC_CUSTOM &&
        (other || (s->axes && s->axes->seeds == PRUN_SEEDS_AVERAGED)))
        return prun__fail(context, PRUN_ERR_UNSUPPORTED,
                          "a custom statistic knows neither a second measure nor seed means");
    if (kind == PRUN_STATISTIC_PSI && (o->axis < 0 || o->axis >= s->axes->count))
        return prun__fail(context, PRUN_ERR_ARGUMENT, "axis %d of %lld", (int)o->axis,
                          (long long)s->axes->count);
    if (o->resamples < 1 || o->resamples > INT64_MAX / 64 || !(o->level > 0.0 && o->level < 1.0))
        return prun__fail(context, PRUN_ERR_ARGUMENT, "%lld resamples, level %g",
                          (long long)o->resamples, o->level);
    if (o->ties < PRUN_TIES_DROP || o->ties > PRUN_TIES_HALF)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "unknown rule %d for ties", (int)o->ties);
    return prun__sign_error_check(context, &o->sign_error);
}

/* Values of the sample (item 0) and of all resamples; *values is to be freed. */
static prun_status prun__resampling_run(prun_context *context, prun__scheme scheme,
                                        const prun_sample *sample, const double *other,
                                        const prun_resampling_options *options, double **values) {
    prun__resampler r;
    prun__arena arena;
    prun_status status;
    void *block = NULL;
    int64_t items, threads = prun__threads(context);
    const int signs = options->statistic >= PRUN_STATISTIC_SIGN_ERROR_MEAN &&
                      options->statistic < PRUN_STATISTIC_CUSTOM;
    *values = NULL;
    PRUN__TRY(prun__resampling_check(context, sample, other, options));
    memset(&r, 0, sizeof r);
    r.options = *options;
    r.scheme = scheme;
    items = scheme == PRUN__VALUE ? 1 : options->resamples + 1;
    status = prun__models_make(context, "resampling", sample, other,
                               prun__arena_size(7 + PRUN__STATISTIC_ROOM, sample->n), &r.models,
                               &arena, &block);
    if (status == PRUN_OK && signs)
        status =
            prun__doubles_check_finite(context, "sign error, target", sample->target, sample->n);
    if (status == PRUN_OK) {
        prun__clusters_find(&r, &arena);
        if (signs) r.models.environments = prun__environments_count(&r.models, arena);
        r.room =
            prun__size_sum(prun__arena_size(PRUN__CODES + 4 + PRUN__STATISTIC_ROOM, r.capacity),
                           prun__sign_error_size(r.capacity, r.models.environments));
        r.memory = (char *)prun__alloc(
            context, prun__size_product(PRUN__MIN(threads, items), r.room), 1, "resampling");
        r.values = *values = (double *)prun__alloc(context, items, sizeof(double), "resampling");
        if (r.memory && r.values) prun__for(context, prun__resample_task, &r, items);
        else status = PRUN_ERR_MEMORY;
        prun__free(context, r.memory);
    }
    prun__free(context, block);
    return status;
}

PRUNDEF prun_status prun_statistic_value(prun_context *context, const prun_sample *sample,
                                         const prun_resampling_options *options, double *value) {
    const prun_resampling_options o = prun_resampling_resolved(options);
    double *values;
    prun_status status = prun__resampling_run(context, PRUN__VALUE, sample, NULL, &o, &values);
    if (status == PRUN_OK) *value = values[0];
    prun__free(context, values);
    return status;
}

PRUNDEF prun_status prun_partial_kendall(prun_context *context, const double *x, const double *y,
                                         const double *z, int64_t n, double *tau) {
    prun_resampling_options options;
    prun_sample s;
    memset(&options, 0, sizeof options);
    memset(&s, 0, sizeof s);
    options.statistic = PRUN_STATISTIC_PARTIAL_TAU;
    s.n = n;
    s.measure = x;
    s.target = y;
    s.control = z;
    return prun_statistic_value(context, &s, &options, tau);
}

/* Interval and p from the defined resamples, which move to the front of v[1 .. resamples]. */
static void prun__interval_make(double *v, int64_t resamples, double level, prun_interval *r) {
    double sum = 0.0, square = 0.0, above = 0.0, below = 0.0, n;
    int64_t i;
    memset(r, 0, sizeof *r);
    r->estimate = v[0];
    for (i = 1; i <= resamples; i++) {
        if (v[i] != v[i]) continue;
        v[++r->used] = v[i];
        above += (v[i] > 0.0) + 0.5 * (v[i] == 0.0);
        below += (v[i] < 0.0) + 0.5 * (v[i] == 0.0);
        sum += v[i];
    }
    r->undefined = resamples - r->used;
    n = (double)r->used;
    for (i = 1; i <= r->used; i++) square += (v[i] - sum / n) * (v[i] - sum / n);
    r->lower = r->upper = r->standard_error = r->bias = r->positive = r->p = PRUN__NAN;
    if (r->estimate != r->estimate) r->reason = "the statistic is undefined";
    else if (r->used < 2 || r->used <= resamples / 2)
        r->reason = "the statistic is undefined for most resamples";
    if (r->reason) return;
    qsort(v + 1, (size_t)r->used, sizeof *v, prun__by_value);
    r->lower = prun__quantile(v + 1, r->used, 1, (1.0 - level) / 2.0);
    r->upper = prun__quantile(v + 1, r->used, 1, (1.0 + level) / 2.0);
    r->standard_error = sqrt(square / (n - 1.0));
    r->bias = sum / n - r->estimate;
    r->positive = above / n;
    r->p = PRUN__MIN(1.0, 2.0 * (PRUN__MIN(above, below) + 1.0) / (n + 1.0));
}

/* Which variable's infinite values make R2 undefined; otherwise `reason`. */
static const char *prun__infinite_reason(const prun_sample *s, const double *other,
                                         const char *reason) {
    if (prun__doubles_find_large(s->target, s->n, DBL_MAX) < s->n)
        return "the target has infinite values";
    if (prun__doubles_find_large(s->measure, s->n, DBL_MAX) < s->n)
        return "the measure has infinite values";
    if (other && prun__doubles_find_large(other, s->n, DBL_MAX) < s->n)
        return "the other measure has infinite values";
    return reason;
}

PRUNDEF prun_status prun_compare(prun_context *context, const prun_sample *sample,
                                 const double *other, const prun_resampling_options *options,
                                 prun_interval *result) {
    const prun_resampling_options o = prun_resampling_resolved(options);
    double *values;
    prun_status status = prun__resampling_run(context, PRUN__BOOTSTRAP, sample, other, &o, &values);
    if (status == PRUN_OK) prun__interval_make(values, o.resamples, o.level, result);
    if (status == PRUN_OK && values[0] != values[0] &&
        (o.statistic == PRUN_STATISTIC_R2 || o.statistic == PRUN_STATISTIC_ADJUSTED_R2))
        result->reason = prun__infinite_reason(sample, other, result->reason);
    prun__free(context, values);
    return status;
}

PRUNDEF prun_status prun_bootstrap(prun_context *context, const prun_sample *sample,
                                   const prun_resampling_options *options, prun_interval *result) {
    return prun_compare(context, sample, NULL, options, result);
}

PRUNDEF prun_status prun_permutation_test(prun_context *context, const prun_sample *sample,
                                          const prun_resampling_options *options, double *p) {
    const double rounding = 1e-12; /* equal statistics differ by so much at most */
    const prun_resampling_options o = prun_resampling_resolved(options);
    double *values, reached = 0.0, used = 0.0;
    prun_status status = prun__resampling_run(context, PRUN__PERMUTE, sample, NULL, &o, &values);
    int64_t i;
    for (i = 1; status == PRUN_OK && i <= o.resamples; i++) {
        const prun_statistic kind = o.statistic;
        const double v = values[i], own = values[0];
        if (v != v) continue;
        used += 1.0;
        if (kind == PRUN_STATISTIC_R2 || kind == PRUN_STATISTIC_ADJUSTED_R2 ||
            kind == PRUN_STATISTIC_CMI)
            reached += v >= own - rounding;
        else if (kind >= PRUN_STATISTIC_SIGN_ERROR_MEAN && kind <= PRUN_STATISTIC_SIGN_ERROR_MAX)
            reached += v <= own + rounding;
        else reached += fabs(v) >= fabs(own) - rounding;
    }
    if (status == PRUN_OK)
        *p = values[0] == values[0] && used > 0.0 ? (reached + 1.0) / (used + 1.0) : PRUN__NAN;
    prun__free(context, values);
    return status;
}

PRUNDEF void prun_holm(const double *p, int64_t n, double *adjusted) {
    int64_t i, j;
    for (i = 0; i < n; i++) {
        double rest = 0.0;
        for (j = 0; j < n; j++) rest += p[j] >= p[i];
        adjusted[i] = PRUN__MIN(1.0, rest * p[i]);
    }
    /* No p-value may pass a larger one; maxima of maxima change nothing, so in place. */
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++)
            if (p[j] <= p[i]) adjusted[i] = PRUN__MAX(adjusted[i], adjusted[j]);
    for (i = 0; i < n; i++)
        if (p[i] != p[i]) adjusted[i] = PRUN__NAN;
}
#endif

/* [TABLE.I] tables of models */
/*
   Columns are arrays; texts are numbered by the first row that has them.
*/
#ifndef PRUNABILITY_NO_STATS

PRUNDEF void prun_table_free(prun_table *table) {
    int i;
    if (!table) return;
    for (i = 0; i < 3; i++) prun__free(table->context, table->storage[i]);
    memset(table, 0, sizeof *table);
}

PRUNDEF int64_t prun_table_find(const prun_table *table, const char *name) {
    int64_t i;
    for (i = 0; i < table->columns; i++)
        if (strcmp(table->names[i], name) == 0) return i;
    return -1;
}

/* What messages call the table: its file, or "table". */
static const char *prun__table_source(const prun_table *table) {
    return table->source ? table->source : "table";
}

/* "FILE: line 7, column 3 (gap): what", with the cell where there is one. */
static prun_status prun__cell_fail(prun_context *context, const prun_table *t, int64_t row,
                                   int64_t column, prun_status status, const char *what) {
    const char *cell = t->cells ? t->cells[row * t->columns + column] : "";
    return prun__fail(context, status, "%s: %s %lld, column %lld (%.40s): %s%.30s%s%s",
                      prun__table_source(t), t->lines ? "line" : "row",
                      (long long)(t->lines ? t->lines[row] : row), (long long)column + 1,
                      t->names[column], *cell ? "\"" : "", cell, *cell ? "\" " : "", what);
}

/* The columns there are, as many as fit; names of more than 80 characters are cut. */
static prun_status prun__missing_column_fail(prun_context *context, const prun_table *t,
                                             const char *name) {
    const char *source = prun__table_source(t);
    char names[sizeof context->message] = "none";
    const int before = snprintf(NULL, 0, "%s: no column named %.80s; there are ", source, name);
    int64_t i, room = (int64_t)sizeof names - before - 6, length = 0, shown = 0, named = 0;
    for (i = 0; i < t->columns; i++) {
        const int64_t wanted = (int64_t)PRUN__MIN(strlen(t->names[i]), 80);
        if (wanted == 0) continue;
        if (named++ > shown || length + wanted + 2 > room) continue;
        length += snprintf(names + length, sizeof names - (size_t)length, "%s%.80s",
                           shown > 0 ? ", " : "", t->names[i]);
        shown++;
    }
    return prun__fail(context, PRUN_ERR_MISSING, "%s: no column named %.80s; there are %s%s",
                      source, name, shown > 0 || named == 0 ? names : "others",
                      shown > 0 && shown < named ? ", ..." : "");
}

/* Finds a column by name, in which no value may be missing. numbers: text is refused as well. */
static prun_status prun__table_find_column(prun_context *context, const prun_table *t,
                                           const char *name, int numbers, const double **values) {
    const int64_t column = prun_table_find(t, name);
    const double *v = t->values + column * t->rows;
    const int kind = column >= 0 && t->text ? (int)t->text[column] : (int)PRUN_COLUMN_NUMBERS;
    int64_t i;
    if (column < 0) return prun__missing_column_fail(context, t, name);
    for (i = 0; i < t->rows; i++) {
        const char *cell = t->cells ? t->cells[i * t->columns + column] : NULL;
        double ignored;
        if (v[i] != v[i])
            return prun__cell_fail(context, t, i, column, PRUN_ERR_MISSING, "missing value");
        if (kind != PRUN_COLUMN_NUMBERS && numbers && !(cell && prun__number_read(cell, &ignored)))
            return prun__cell_fail(context, t, i, column, PRUN_ERR_FORMAT,
                                   cell && strchr(cell, ',')
                                       ? "is not a number (decimals have a point, no comma)"
                                       : "is not a number");
    }
    *values = v;
    return PRUN_OK;
}

PRUNDEF prun_status prun_table_numbers(prun_context *context, const prun_table *table,
                                       const char *name, const double **values) {
    return prun__table_find_column(context, table, name, 1, values);
}

PRUNDEF prun_status prun_table_settings(prun_context *context, const prun_table *table,
                                        const char *name, const double **values) {
    return prun__table_find_column(context, table, name, 0, values);
}

/* A mixed column that was read and has no text any more becomes one of numbers. */
static void prun__column_read_numbers(prun_table *t, int64_t column) {
    double *v = t->values + column * t->rows, value;
    uint8_t *text;
    int64_t i;
    if (!t->storage[2] || t->text[column] != PRUN_COLUMN_MIXED) return;
    for (i = 0; i < t->rows; i++)
        if (v[i] == v[i] && !prun__number_read(t->cells[i * t->columns + column], &value)) return;
    for (i = 0; i < t->rows; i++)
        if (v[i] == v[i]) prun__number_read(t->cells[i * t->columns + column], &v[i]);
    text = (uint8_t *)t->storage[2]; /* where t->text lies, behind the values */
    text[t->text - text + column] = PRUN_COLUMN_NUMBERS;
}

PRUNDEF void prun_table_keep_rows(prun_table *t, const uint8_t *keep) {
    const int64_t rows = t->rows, columns = t->columns;
    int64_t row, column, kept = 0;
    for (row = 0; row < rows; row++) kept += keep[row] != 0;
    t->rows = kept;
    /* Everything moves to the front, so that it can stay in place. */
    for (column = 0; column < columns; column++) {
        double *to = t->values + column * kept;
        for (row = 0; row < rows; row++)
            if (keep[row]) *to++ = t->values[column * rows + row];
    }
    for (row = 0, kept = 0; row < rows; row++) {
        if (!keep[row]) continue;
        if (t->lines) t->lines[kept] = t->lines[row];
        for (column = 0; t->cells && column < columns; column++)
            t->cells[kept * columns + column] = t->cells[row * columns + column];
        kept++;
    }
    for (column = 0; column < columns; column++) prun__column_read_numbers(t, column);
}
#endif

/* [OUTPUT.I] files that are written whole or not at all */
/*
   Unix, Windows and plain C each have functions of the same names: begin, copy_rights, sync,
   replace.
*/
#ifndef PRUNABILITY_NO_FILES

#include <errno.h>

#if (defined(__unix__) || defined(__APPLE__)) && !defined(__EMSCRIPTEN__)
#define PRUN__UNIX 1
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
/* Strict C modes hide these functions of POSIX even when the headers are included, and feature test
   macros come too late here. In C a second declaration does no harm; C++ compilers hide nothing.
   The parentheses keep macros of the same names from being expanded. */
#ifndef __cplusplus
extern int(fileno)(FILE *stream);
extern FILE *(fdopen)(int descriptor, const char *mode);
extern int(fsync)(int descriptor);
extern int(fchmod)(int descriptor, mode_t mode);
extern int(fchown)(int descriptor, uid_t owner, gid_t group);
extern ssize_t(readlink)(const char *path, char *text, size_t size);
extern char *(realpath)(const char *path, char *resolved);
/* glibc: where `struct stat` has 64 bits on a 32-bit machine, a hidden lstat has another name. */
#if defined(__USE_FILE_OFFSET64) && !defined(__USE_XOPEN_EXTENDED) && !defined(__USE_XOPEN2K) && \
    !defined(__LP64__)
#ifdef __USE_TIME_BITS64
#define PRUN__LSTAT __lstat64_time64
#else
#define PRUN__LSTAT lstat64
#endif
extern int(PRUN__LSTAT)(const char *path, struct stat *status);
#else
#define PRUN__LSTAT lstat
extern int(lstat)(const char *path, struct stat *status);
#endif
#else
#define PRUN__LSTAT lstat
#endif
#else
#define PRUN__UNIX 0
#endif

#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <wchar.h>
/* <windows.h> would bring its macros along. */
#ifdef __cplusplus
extern "C" {
#endif
__declspec(dllimport) int __stdcall MoveFileExW(const wchar_t *from, const wchar_t *to,
                                                unsigned long flags);
__declspec(dllimport) int __stdcall MultiByteToWideChar(unsigned page, unsigned long flags,
                                                        const char *text, int bytes, wchar_t *wide,
                                                        int size);
__declspec(dllimport) unsigned long __stdcall GetLastError(void);
__declspec(dllimport) void __stdcall Sleep(unsigned long milliseconds);
#ifdef __cplusplus
}
#endif

/* A path as Windows takes it. */
typedef struct prun__wide {
    wchar_t text[4096];
} prun__wide;

/* Reads a path as UTF-8, or, if it is not valid UTF-8, in the code page of the system, as fopen
   does. 0: it is too long. */
static int prun__wide_init(prun__wide *wide, const char *path) {
    const unsigned utf8 = 65001, system = 0;
    const unsigned long strict = 8;
    const int size = (int)(sizeof wide->text / sizeof *wide->text);
    if (MultiByteToWideChar(utf8, strict, path, -1, wide->text, size) > 0 ||
        MultiByteToWideChar(system, 0, path, -1, wide->text, size) > 0)
        return 1;
    errno = ENAMETOOLONG;
    return 0;
}

/* As fopen, with a path in UTF-8. */
static FILE *prun__path_open(const char *path, const char *mode) {
    prun__wide wide;
    wchar_t letters[8] = {0};
    int i;
    for (i = 0; i < 7 && mode[i]; i++) letters[i] = (wchar_t)mode[i];
    return prun__wide_init(&wide, path) ? _wfopen(wide.text, letters) : NULL;
}

/* As remove, with a path in UTF-8. */
static int prun__path_remove(const char *path) {
    prun__wide wide;
    return prun__wide_init(&wide, path) ? _wremove(wide.text) : -1;
}
#else
/* As fopen and remove, which other systems give the path as it is. */
static FILE *prun__path_open(const char *path, const char *mode) { return fopen(path, mode); }
static int prun__path_remove(const char *path) { return remove(path); }
#endif

struct prun_output {
    prun_context *context;
    FILE *stream;
    char *name;      /* as the caller gave it */
    char *path;      /* where the links lead to; on Unix absolute if that can be found out */
    char *folder;    /* of path; "." if it names none */
    char *temporary; /* NULL: written in place */
#if PRUN__UNIX
    int replaces; /* there is a file, with this status */
    struct stat old;
#endif
};

/* Length of the folder in front of a file's name, with its separator; 0 if there is none. */
static size_t prun__folder_length(const char *path) {
    size_t i, length = 0;
    for (i = 0; path[i]; i++) {
        if (path[i] == '/') length = i + 1;
#if defined(_WIN32)
        if (path[i] == '\\' || path[i] == ':') length = i + 1;
#endif
    }
    return length;
}

/* Joins a folder of `length` bytes and a name to an allocated path; NULL: out of memory. */
static char *prun__path_join(prun_context *context, const char *folder, size_t length,
                             const char *name) {
    const size_t size = strlen(name) + 1;
    const size_t slash = length > 0 && folder[length - 1] != '/' && folder[length - 1] != '\\' &&
                         folder[length - 1] != ':';
    char *path = (char *)prun__alloc(context, (int64_t)(length + slash + size), 1, "file name");
    if (!path) return NULL;
    memcpy(path, folder, length);
    if (slash) path[length] = '/';
    memcpy(path + length + slash, name, size);
    return path;
}

/* Finds the folder of o->path. */
static prun_status prun__output_find_folder(prun_output *o) {
    const size_t length = prun__folder_length(o->path);
    prun__free(o->context, o->folder);
    o->folder = prun__path_join(o->context, length ? o->path : ".", length ? length : 1, "");
    if (!o->folder) return PRUN_ERR_MEMORY;
    if (length > 1 && o->folder[length - 1] == '/') o->folder[length - 1] = 0;
    return PRUN_OK;
}

/* Fails with what the system says about it. */
static prun_status prun__output_fail(const prun_output *o, const char *what, int error) {
    return prun__fail(o->context, PRUN_ERR_WRITE, "%s: %s%s%s", o->name, what, error ? ": " : "",
                      error ? strerror(error) : "");
}

/* Number `attempt` of the names for the temporary file: it says whose it is, and has at most 140
   bytes, which every file system takes. */
static prun_status prun__output_make_name(prun_output *o, int attempt) {
    const size_t length = prun__folder_length(o->path);
    const char *base = o->path + length;
    long process = 0;
    size_t most = strlen(base);
    uint64_t bits;
    char name[160];
    if (most > 96)
        for (most = 96; most > 0 && ((unsigned char)base[most] & 0xc0) == 0x80;) most--;
#if PRUN__UNIX
    process = (long)getpid();
#elif defined(_WIN32)
    process = (long)_getpid();
#endif
    bits = prun_random_bits((uint64_t)time(NULL), (uint64_t)(uintptr_t)o ^ (uint64_t)process << 40,
                            (uint64_t)(uintptr_t)name + (uint64_t)attempt);
    snprintf(name, sizeof name, ".%.*s.%ld-%08lx%08lx.tmp", (int)most, base, process,
             (unsigned long)(bits >> 32), (unsigned long)(bits & 0xffffffffu));
    prun__free(o->context, o->temporary);
    o->temporary = prun__path_join(o->context, o->path, length, name);
    return o->temporary ? PRUN_OK : PRUN_ERR_MEMORY;
}

/* Fails because no temporary file can be made beside the target. */
static prun_status prun__output_folder_fail(prun_output *o, int error) {
    char folder[100];
    prun__text_copy_escaped(o->folder, folder, sizeof folder);
    prun__free(o->context, o->temporary);
    o->temporary = NULL;
    return prun__fail(o->context, PRUN_ERR_WRITE, "%s: no file can be created in folder %s: %s",
                      o->name, folder, strerror(error));
}

#if PRUN__UNIX

#ifdef O_CLOEXEC
#define PRUN__CLOEXEC O_CLOEXEC
#else
#define PRUN__CLOEXEC 0
#endif
#define PRUN__OPEN_FLAGS (O_WRONLY | O_NOCTTY | PRUN__CLOEXEC)

/* In a folder like /tmp another user can plant a link to make this one overwrite a file. The rule
   is that of Linux's fs.protected_symlinks. */
static prun_status prun__output_check_link(prun_output *o) {
    struct stat link, folder;
    PRUN__TRY(prun__output_find_folder(o));
    if (PRUN__LSTAT(o->path, &link) != 0 || stat(o->folder, &folder) != 0)
        return prun__output_fail(o, "the link cannot be followed", errno);
    if ((folder.st_mode & 01002) == 01002 && link.st_uid != geteuid() &&
        link.st_uid != folder.st_uid)
        return prun__output_fail(o,
                                 "a link of another user in a folder that everyone may write to;"
                                 " remove it, or write to what it leads to",
                                 0);
    return PRUN_OK;
}

/* Replaces o->path, a link with this text, by what it leads to. */
static prun_status prun__output_step(prun_output *o, const char *text) {
    char *next =
        prun__path_join(o->context, o->path, *text == '/' ? 0 : prun__folder_length(o->path), text);
    if (!next) return PRUN_ERR_MEMORY;
    prun__free(o->context, o->path);
    o->path = next;
    return PRUN_OK;
}

/* Follows the links that o->path ends in; *descriptor: one of them names an open file. */
static prun_status prun__output_resolve_links(prun_output *o, int *descriptor) {
    const int64_t size = 1 << 14;
    prun_status status = PRUN_OK;
    char *text = (char *)prun__alloc(o->context, size, 1, "file name");
    int links;
    if (!text) return PRUN_ERR_MEMORY;
    for (links = 0; status == PRUN_OK; links++) {
        const ssize_t n = readlink(o->path, text, (size_t)size);
        if (n < 0) break;
        if (links == 40 || n >= size)
            status = prun__output_fail(
                o, links == 40 ? "its links lead in a circle" : "its link is too long", 0);
        if (status == PRUN_OK) status = prun__output_check_link(o);
        if (status != PRUN_OK) break;
        *descriptor |= strncmp(o->path, "/proc/", 6) == 0 || strncmp(o->path, "/dev/fd/", 8) == 0;
        text[n] = 0;
        status = prun__output_step(o, text);
    }
    prun__free(o->context, text);
    return status;
}

/* Makes o->path absolute, so that it names the same file when the working directory or a link in
   front of it has changed; leaves it if that is too long or cannot be found out. */
static prun_status prun__output_resolve_path(prun_output *o) {
    const size_t length = prun__folder_length(o->path);
    char *real, *anchored;
    PRUN__TRY(prun__output_find_folder(o));
    real = realpath(o->folder, NULL);
    if (real && strlen(real) < 3500) {
        anchored = prun__path_join(o->context, real, strlen(real), o->path + length);
        free(real); /* the C library's */
        if (!anchored) return PRUN_ERR_MEMORY;
        prun__free(o->context, o->path);
        o->path = anchored;
        return prun__output_find_folder(o);
    }
    free(real);
    return PRUN_OK;
}

/* Opens what is not replaced: pipes, devices, and files by their descriptor. */
static prun_status prun__output_open_in_place(prun_output *o) {
    const int descriptor = open(o->name, PRUN__OPEN_FLAGS | O_TRUNC);
    if (descriptor < 0) return prun__output_fail(o, "cannot be opened for writing", errno);
    o->stream = fdopen(descriptor, "wb");
    if (o->stream) return PRUN_OK;
    close(descriptor);
    return prun__fail(o->context, PRUN_ERR_MEMORY, "%s: out of memory", o->name);
}

/* In a sticky folder only the owners of the file and of the folder may replace a file. */
static int prun__output_is_protected(const prun_output *o) {
    struct stat folder;
    return stat(o->folder, &folder) == 0 && (folder.st_mode & 01000) != 0 && geteuid() != 0 &&
           geteuid() != folder.st_uid && geteuid() != o->old.st_uid;
}

/* A file that may not be written is not replaced either. Opening it tells more than its mode:
   read-only file systems, flags of the file. */
static prun_status prun__output_check_target(prun_output *o) {
    const char *base = o->path + prun__folder_length(o->path);
    int descriptor;
    o->replaces = stat(o->path, &o->old) == 0;
    if (!o->replaces && errno != ENOENT && errno != ENOTDIR && errno != EACCES)
        return prun__output_fail(o, "cannot be examined", errno);
    if (o->replaces && S_ISDIR(o->old.st_mode)) return prun__output_fail(o, "is a folder", 0);
    if (*base == 0 || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
        return prun__output_fail(o, "has no file name", 0);
    if (!o->replaces) return PRUN_OK;
    if (prun__output_is_protected(o))
        return prun__output_fail(o, "another user's file in a sticky folder cannot be replaced", 0);
    descriptor = open(o->path, PRUN__OPEN_FLAGS | O_NONBLOCK);
    if (descriptor >= 0) close(descriptor);
    else if (errno == ENOENT) o->replaces = 0; /* removed meanwhile */
    else if (errno != ETXTBSY) return prun__output_fail(o, "may not be written", errno);
    return PRUN_OK;
}

/* Creates the temporary file; one that will replace a private file is private from the start. */
static prun_status prun__output_make_temporary(prun_output *o) {
    int attempt, descriptor = -1;
    for (attempt = 0; attempt < 100 && descriptor < 0; attempt++) {
        PRUN__TRY(prun__output_make_name(o, attempt));
        descriptor =
            open(o->temporary, PRUN__OPEN_FLAGS | O_CREAT | O_EXCL, o->replaces ? 0600 : 0666);
        if (descriptor < 0 && errno != EEXIST) break;
    }
    if (descriptor < 0) return prun__output_folder_fail(o, errno);
    o->stream = fdopen(descriptor, "wb");
    if (o->stream) return PRUN_OK;
    close(descriptor);
    prun__path_remove(o->temporary);
    return prun__fail(o->context, PRUN_ERR_MEMORY, "%s: out of memory", o->name);
}

/* Finds out how the file is to be written, and opens it. */
static prun_status prun__output_begin(prun_output *o) {
    struct stat named;
    int descriptor = 0;
    const int there = stat(o->name, &named) == 0;
    PRUN__TRY(prun__output_resolve_links(o, &descriptor));
    if (there && !S_ISDIR(named.st_mode) && (descriptor || !S_ISREG(named.st_mode)))
        return prun__output_open_in_place(o);
    PRUN__TRY(prun__output_resolve_path(o));
    PRUN__TRY(prun__output_check_target(o));
    return prun__output_make_temporary(o);
}

/* Gives the temporary file the owner, group and mode of the file that it replaces. Rights that were
   meant for another owner or group are left out. 0: failed, errno says why. */
static int prun__output_copy_rights(const prun_output *o) {
    const int descriptor = fileno(o->stream);
    mode_t mode = o->old.st_mode & 07777;
    struct stat now;
    if (!o->replaces) return 1;
    if (fstat(descriptor, &now) != 0) return 0;
    if ((now.st_uid != o->old.st_uid || now.st_gid != o->old.st_gid) &&
        fchown(descriptor, o->old.st_uid, o->old.st_gid) != 0 &&
        fchown(descriptor, (uid_t)-1, o->old.st_gid) != 0 && errno != EPERM && errno != EINVAL)
        return 0;
    if (fstat(descriptor, &now) != 0) return 0;
    if (now.st_uid != o->old.st_uid) mode &= (mode_t)~04000u;
    if (now.st_gid != o->old.st_gid) mode &= (mode_t)(~02070u | (mode & 07u) << 3);
    return fchmod(descriptor, mode) == 0 || errno == EPERM || errno == ENOSYS;
}

/* Whether all data is on the disk. Pipes and terminals cannot be synced, which is no error. */
static int prun__output_sync(FILE *stream) {
    return fsync(fileno(stream)) == 0 || errno == EINVAL || errno == ENOSYS || errno == EROFS ||
           errno == ENOTSUP;
}

/* Puts the new file in the place of the old one, in one step. The name of the file is safe once its
   folder is synced, which some file systems cannot do. */
static int prun__output_replace(const prun_output *o) {
    int descriptor;
    if (rename(o->temporary, o->path) != 0) return 0;
    descriptor = open(o->folder, O_RDONLY | PRUN__CLOEXEC);
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
    return 1;
}

#elif defined(_WIN32)

/* Checks what can be checked of the target and opens the stream; o->temporary stays NULL if the
   target is written in place. */
static prun_status prun__output_begin(prun_output *o) {
    struct _stat64 old;
    prun__wide wide;
    int there, attempt, descriptor = -1;
    if (!prun__wide_init(&wide, o->name))
        return prun__output_fail(o, "cannot be opened for writing", errno);
    there = _wstat64(wide.text, &old) == 0;
    if (there && old.st_mode & _S_IFDIR) return prun__output_fail(o, "is a folder", 0);
    if (there && !(old.st_mode & _S_IFREG)) {
        o->stream = _wfopen(wide.text, L"wb");
        return o->stream ? PRUN_OK : prun__output_fail(o, "cannot be opened for writing", errno);
    }
    if (there && _waccess(wide.text, 2) != 0)
        return prun__output_fail(o, "may not be written", errno);
    PRUN__TRY(prun__output_find_folder(o));
    for (attempt = 0; attempt < 100 && descriptor < 0; attempt++) {
        PRUN__TRY(prun__output_make_name(o, attempt));
        if (!prun__wide_init(&wide, o->temporary)) break;
        descriptor = _wopen(wide.text, _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY | _O_NOINHERIT,
                            _S_IREAD | _S_IWRITE);
        if (descriptor < 0 && errno != EEXIST) break;
    }
    if (descriptor < 0) return prun__output_folder_fail(o, errno);
    o->stream = _fdopen(descriptor, "wb");
    if (o->stream) return PRUN_OK;
    _close(descriptor);
    prun__path_remove(o->temporary);
    return prun__fail(o->context, PRUN_ERR_MEMORY, "%s: out of memory", o->name);
}

/* Succeeds: no owner, group or mode is copied on this platform. */
static int prun__output_copy_rights(const prun_output *o) { return o->stream != NULL; }

/* Flushes all data as far as this platform can; returns whether that worked. */
static int prun__output_sync(FILE *stream) { return _commit(_fileno(stream)) == 0; }

/* Puts the new file in the place of the old one, in one step, written through to the disk. While
   another program has the old file open, such as one that looks for viruses, Windows refuses: it is
   asked again for about a second. */
static int prun__output_replace(const prun_output *o) {
    const unsigned long replace_existing = 1, write_through = 8, denied = 5, shared = 32;
    prun__wide from, to;
    unsigned long wait, error;
    if (!prun__wide_init(&from, o->temporary) || !prun__wide_init(&to, o->path)) return 0;
    for (wait = 1;; wait *= 2) {
        if (MoveFileExW(from.text, to.text, replace_existing | write_through)) return 1;
        error = GetLastError();
        errno = error == denied || error == shared ? EACCES : EIO;
        if (errno == EIO || wait > 512) return 0;
        Sleep(wait);
    }
}

#else

/* Whether a file can be opened in a mode that does not change it. */
static int prun__path_can_open(const char *path, const char *mode) {
    FILE *stream = prun__path_open(path, mode);
    if (stream) fclose(stream);
    return stream != NULL;
}

/* Checks what can be checked of the target and opens the stream; o->temporary stays NULL if the
   target is written in place. */
static prun_status prun__output_begin(prun_output *o) {
    int attempt = 0;
    if (prun__path_can_open(o->path, "rb") && !prun__path_can_open(o->path, "r+b"))
        return prun__output_fail(o, "is a folder, or may not be written", 0);
    PRUN__TRY(prun__output_find_folder(o));
    do {
        PRUN__TRY(prun__output_make_name(o, attempt));
    } while (++attempt < 100 && prun__path_can_open(o->temporary, "rb"));
    o->stream = prun__path_open(o->temporary, "wb");
    return o->stream ? PRUN_OK : prun__output_folder_fail(o, errno);
}

/* Succeeds: no owner, group or mode is copied on this platform. */
static int prun__output_copy_rights(const prun_output *o) { return o->stream != NULL; }

/* Flushes all data as far as this platform can; returns whether that worked. */
static int prun__output_sync(FILE *stream) { return fflush(stream) == 0; }

/* Puts the new file in the place of the old one. Where rename does not replace files, the old one
   is moved aside first, and back if the new one cannot take its place. */
static int prun__output_replace(const prun_output *o) {
    const size_t length = strlen(o->temporary);
    char *aside;
    int done;
    if (rename(o->temporary, o->path) == 0) return 1;
    aside = prun__path_join(o->context, o->temporary, 0, o->temporary);
    if (!aside) return 0;
    memcpy(aside + length - 3, "old", 3);
    done = rename(o->path, aside) == 0;
    if (done && rename(o->temporary, o->path) != 0) {
        rename(aside, o->path);
        done = 0;
    }
    if (done) prun__path_remove(aside);
    prun__free(o->context, aside);
    return done;
}

#endif

/* Frees everything but the files. */
static void prun__output_free(prun_output *o) {
    prun__free(o->context, o->name);
    prun__free(o->context, o->path);
    prun__free(o->context, o->folder);
    prun__free(o->context, o->temporary);
    prun__free(o->context, o);
}

PRUNDEF prun_status prun_output_open(prun_context *context, const char *path,
                                     prun_output **output) {
    prun_output *o;
    prun_status status = PRUN_ERR_MEMORY;
    if (!path) return prun__fail(context, PRUN_ERR_ARGUMENT, "no file name");
    if (!*path) return prun__fail(context, PRUN_ERR_ARGUMENT, "the file name is empty");
    o = (prun_output *)prun__alloc_zero(context, 1, sizeof *o, "output");
    if (!o) return PRUN_ERR_MEMORY;
    o->context = context;
    o->name = prun__path_join(context, path, 0, path);
    o->path = prun__path_join(context, path, 0, path);
    if (o->name && o->path) status = prun__output_begin(o);
    if (status == PRUN_OK) *output = o;
    else prun__output_free(o);
    return status;
}

PRUNDEF FILE *prun_output_stream(prun_output *output) { return output->stream; }

PRUNDEF const char *prun_output_temporary(const prun_output *output) { return output->temporary; }

PRUNDEF prun_status prun_output_close(prun_output *o) {
    const char *what = NULL;
    prun_status status = PRUN_OK;
    int error = 0;
    if (!o) return PRUN_ERR_ARGUMENT;
    if (ferror(o->stream)) {
        what = "a write failed; is the disk full?";
    } else if (fflush(o->stream) != 0 || (o->temporary && !prun__output_copy_rights(o)) ||
               !prun__output_sync(o->stream)) {
        what = "cannot be written";
        error = errno;
    }
    if (fclose(o->stream) != 0 && !what) {
        what = "cannot be written";
        error = errno;
    }
    if (!what && o->temporary && !prun__output_replace(o)) {
        what = "cannot be replaced";
        error = errno;
    }
    if (what && o->temporary) prun__path_remove(o->temporary);
    if (what) status = prun__output_fail(o, what, error);
    prun__output_free(o);
    return status;
}

PRUNDEF void prun_output_discard(prun_output *o) {
    if (!o) return;
    fclose(o->stream);
    if (o->temporary) prun__path_remove(o->temporary);
    prun__output_free(o);
}
#endif

/* [FILE.I] opening and reading files, what kind they are, their elements */
/*
   Every loader opens its file here: a file of another kind is named before it is parsed.
*/
#ifndef PRUNABILITY_NO_FILES

/* An open file and its size. */
typedef struct prun__file {
    FILE *stream;
    const char *path;
    int64_t size;
} prun__file;

/* 64-bit positions where `long` has fewer bits and the C library shows its functions for them. */
#if LONG_MAX < INT64_MAX && defined(_WIN32)
static int prun__stream_set_position(FILE *stream, int64_t at, int from) {
    return _fseeki64(stream, at, from);
}
/* The position in the stream, or -1. */
static int64_t prun__stream_get_position(FILE *stream) { return _ftelli64(stream); }
#elif LONG_MAX < INT64_MAX && (defined(__unix__) || defined(__APPLE__)) && \
    (!defined(__STRICT_ANSI__) || defined(__cplusplus) || _POSIX_C_SOURCE >= 200112L)
#include <sys/types.h>
/* Sets the position as fseek does; nonzero on failure, also where the C library cannot represent
   the position. */
static int prun__stream_set_position(FILE *stream, int64_t at, int from) {
    return (off_t)at == at ? fseeko(stream, (off_t)at, from) : -1;
}
/* The position in the stream, or -1. */
static int64_t prun__stream_get_position(FILE *stream) { return ftello(stream); }
#else
/* Sets the position as fseek does; nonzero on failure, also where the C library cannot represent
   the position. */
static int prun__stream_set_position(FILE *stream, int64_t at, int from) {
    return at <= LONG_MAX ? fseek(stream, (long)at, from) : -1;
}
/* The position in the stream, or -1. */
static int64_t prun__stream_get_position(FILE *stream) { return ftell(stream); }
#endif

/* What is not a regular file has no size, and opening a pipe would wait for a writer. */
static prun_status prun__file_check_path(prun_context *context, const char *path) {
#if PRUN__UNIX
    struct stat status;
    if (stat(path, &status) != 0) return PRUN_OK; /* opening it will tell why */
    if (S_ISREG(status.st_mode)) return PRUN_OK;
    if (!S_ISDIR(status.st_mode))
        return prun__fail(context, PRUN_ERR_READ,
                          "%s: a %s, not a file; write what comes from it to a file first", path,
                          S_ISFIFO(status.st_mode) ? "pipe" : "device or socket");
#elif defined(_WIN32)
    struct _stat64 status;
    prun__wide wide;
    if (!prun__wide_init(&wide, path) || _wstat64(wide.text, &status) != 0 ||
        !(status.st_mode & _S_IFDIR))
        return PRUN_OK;
#else
    (void)context;
    (void)path;
    return PRUN_OK;
#endif
#if PRUN__UNIX || defined(_WIN32)
    return prun__fail(context, PRUN_ERR_READ, "%s: a folder; name a file in it", path);
#endif
}

/* Opens a file for reading; file->stream is NULL on failure. */
static prun_status prun__file_open(prun_context *context, const char *path, prun__file *file) {
    int64_t size;
    file->stream = NULL;
    file->path = path;
    file->size = 0;
    if (!path) return prun__fail(context, PRUN_ERR_ARGUMENT, "no file name");
    PRUN__TRY(prun__file_check_path(context, path));
    file->stream = prun__path_open(path, "rb");
    if (!file->stream)
        return prun__fail(context, PRUN_ERR_OPEN, "%s: cannot be opened: %s", path,
                          strerror(errno));
    size = prun__stream_set_position(file->stream, 0, SEEK_END) == 0
               ? prun__stream_get_position(file->stream)
               : -1;
    /* Opening a directory succeeds on some systems; its "size" is then nonsense. */
    if (size < 0 || size == LONG_MAX || size == INT64_MAX ||
        prun__stream_set_position(file->stream, 0, SEEK_SET) != 0) {
        fclose(file->stream);
        file->stream = NULL;
        return prun__fail(context, PRUN_ERR_READ, "%s: not a regular file, or too large", path);
    }
    file->size = size;
    return PRUN_OK;
}

/* Reads exactly `bytes` bytes; fewer are an error. */
static prun_status prun__file_read(prun_context *context, prun__file *file, void *out,
                                   int64_t bytes) {
    const int64_t most = 1 << 30; /* some C libraries fail from 2 GB on */
    int64_t at;
    for (at = 0; at < bytes; at += most) {
        const size_t n = (size_t)PRUN__MIN(most, bytes - at);
        if (fread((char *)out + at, 1, n, file->stream) != n)
            return prun__fail(context, feof(file->stream) ? PRUN_ERR_TRUNCATED : PRUN_ERR_READ,
                              "%s: %s", file->path,
                              feof(file->stream) ? "ends too early" : "read error");
    }
    return PRUN_OK;
}

/* What a loader wants, and what a file can turn out to be instead. */
typedef enum prun__format {
    PRUN__IDX,
    PRUN__CIFAR,
    PRUN__SAFETENSORS,
    PRUN__NPY,
    PRUN__CSV,
    PRUN__FOREIGN /* none that this library reads */
} prun__format;

/* A kind of file that is often given in place of another. */
typedef struct prun__file_kind {
    const char *bytes; /* it has these at this place */
    int32_t length, at;
    const char *what, *advice; /* NULL: that for checkpoints and arrays of Python's */
    prun__format format;
} prun__file_kind;

#define PRUN__UNPACK(how) "unpack it first: " how
#define PRUN__FETCH "fetch the file itself"
#define PRUN__CONVERT "convert it first"

static const prun__file_kind prun__file_kinds[] = {
    {"\x1f\x8b", 2, 0, "a file compressed by gzip", PRUN__UNPACK("gzip -d"), PRUN__FOREIGN},
    {"BZh", 3, 0, "a file compressed by bzip2", PRUN__UNPACK("bzip2 -d"), PRUN__FOREIGN},
    {"\xfd"
     "7zXZ",
     6, 0, "a file compressed by xz", PRUN__UNPACK("xz -d"), PRUN__FOREIGN},
    {"\x28\xb5\x2f\xfd", 4, 0, "a file compressed by zstd", PRUN__UNPACK("zstd -d"), PRUN__FOREIGN},
    {"\x04\x22\x4d\x18", 4, 0, "a file compressed by lz4", PRUN__UNPACK("lz4 -d"), PRUN__FOREIGN},
    {"\x5d\0\0", 3, 0, "a file compressed by lzma", PRUN__UNPACK("xz -d"), PRUN__FOREIGN},
    {"\x78\x01", 2, 0, "zlib data", PRUN__UNPACK("zlib-flate -uncompress"), PRUN__FOREIGN},
    {"\x78\x9c", 2, 0, "zlib data", PRUN__UNPACK("zlib-flate -uncompress"), PRUN__FOREIGN},
    {"\x78\xda", 2, 0, "zlib data", PRUN__UNPACK("zlib-flate -uncompress"), PRUN__FOREIGN},
    {"\x1f\x9d", 2, 0, "a file compressed by compress", PRUN__UNPACK("gzip -d"), PRUN__FOREIGN},
    {"7z\xbc\xaf\x27\x1c", 6, 0, "a 7z archive", PRUN__UNPACK("7z x"), PRUN__FOREIGN},
    {"Rar!", 4, 0, "a RAR archive", PRUN__UNPACK("unrar x"), PRUN__FOREIGN},
    {"ustar", 5, 257, "a tar archive", PRUN__UNPACK("tar -xf"), PRUN__FOREIGN},
    {"PK\x03\x04", 4, 0, "a zip archive", PRUN__UNPACK("unzip"), PRUN__FOREIGN},
    {"PK\x05\x06", 4, 0, "an empty zip archive", PRUN__FETCH, PRUN__FOREIGN},
    {"\x80\x02", 2, 0, "a Python pickle (torch.save?)", NULL, PRUN__FOREIGN},
    {"\x80\x03", 2, 0, "a Python pickle (torch.save?)", NULL, PRUN__FOREIGN},
    {"\x80\x04", 2, 0, "a Python pickle (torch.save?)", NULL, PRUN__FOREIGN},
    {"\x80\x05", 2, 0, "a Python pickle (torch.save?)", NULL, PRUN__FOREIGN},
    {"version https://git-lfs", 23, 0, "a Git LFS pointer", "fetch the data: git lfs pull",
     PRUN__FOREIGN},
    {"\xff\xfe", 2, 0, "a text in UTF-16", "save it as UTF-8", PRUN__FOREIGN},
    {"\xfe\xff", 2, 0, "a text in UTF-16", "save it as UTF-8", PRUN__FOREIGN},
    {"\x89HDF\r\n\x1a\n", 8, 0, "an HDF5 file", PRUN__CONVERT, PRUN__FOREIGN},
    {"GGUF", 4, 0, "a GGUF file", PRUN__CONVERT, PRUN__FOREIGN},
    {"MATLAB ", 7, 0, "a MATLAB file", PRUN__CONVERT, PRUN__FOREIGN},
    {"PAR1", 4, 0, "a Parquet table", PRUN__CONVERT, PRUN__FOREIGN},
    {"ARROW1", 6, 0, "an Arrow table", PRUN__CONVERT, PRUN__FOREIGN},
    {"\x89PNG\r\n\x1a\n", 8, 0, "a PNG image", PRUN__CONVERT, PRUN__FOREIGN},
    {"\xff\xd8\xff", 3, 0, "a JPEG image", PRUN__CONVERT, PRUN__FOREIGN},
    {"%PDF-", 5, 0, "a PDF document", PRUN__CONVERT, PRUN__FOREIGN},
    {"\x93NUMPY", 6, 0, "a NumPy array", "prun_array_load_npy and prun_images_load_npy read it",
     PRUN__NPY}};

#undef PRUN__UNPACK
#undef PRUN__FETCH
#undef PRUN__CONVERT

/* Whether a header of safetensors begins a file of this size. */
static int prun__file_is_safetensors(const unsigned char *bytes, int64_t n, int64_t size) {
    uint64_t length = 0;
    int i;
    if (n < 9 || bytes[8] != '{') return 0;
    for (i = 7; i >= 0; i--) length = length << 8 | bytes[i];
    return length <= (uint64_t)(size - 8);
}

/* Whether an IDX file begins so: two zeros, an element type, the number of dimensions. */
static int prun__file_is_idx(const unsigned char *bytes, int64_t n) {
    return n >= 8 && bytes[0] == 0 && bytes[1] == 0 && bytes[2] >= 8 && bytes[2] <= 14 &&
           bytes[2] != 10 && bytes[3] >= 1 && bytes[3] <= 8;
}

/* Whether bytes are a text in UTF-8, of which the end may be cut off. */
static int prun__file_is_text(const char *bytes, int64_t n) {
    int64_t i;
    int length;
    for (i = 0; i < n; i += length) {
        length = prun__utf8_length(bytes + i, bytes + n);
        if (length == 0) return n - i < 4 && i > 0;
        if (bytes[i] == 0 || ((unsigned char)bytes[i] < 0x20 && !strchr("\n\r\t\f", bytes[i])))
            return 0;
    }
    return n >= 8;
}

/* Texts: `what` is NULL if it is none. */
static prun__file_kind prun__text_kind(const char *bytes, int64_t n) {
    prun__file_kind kind = {NULL, 0, 0, NULL, "fetch the file again", PRUN__FOREIGN};
    const char *p = bytes, *end = bytes + n, *next;
    if (!prun__file_is_text(bytes, n)) return kind;
    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) p += 3;
    while (p < end - 1 && strchr(" \n\r\t", *p)) p++;
    for (next = p + 1; next < end - 1 && strchr(" \n\r\t", *next);) next++;
    kind.format = PRUN__CSV; /* any other text may be a table */
    kind.what = "a text";
    kind.advice = "look into it: it may say what went wrong";
    if (*p == '<' && next < end && strchr("!?/hHbBsSrRmM", *next)) {
        kind.what = "an HTML or XML page";
        kind.advice = "fetch the file itself; the page may say what went wrong";
        kind.format = PRUN__FOREIGN;
    } else if ((*p == '{' || *p == '[') && next < end && strchr(*p == '{' ? "\"}" : "{", *next)) {
        kind.what = "a JSON text";
        kind.advice = "name the file of data that belongs to it";
        kind.format = PRUN__FOREIGN;
    }
    return kind;
}

/* What a zip archive is by the name of its first file. */
static void prun__zip_find_kind(const unsigned char *bytes, int64_t n, prun__file_kind *kind) {
    const int64_t length = n < 30 ? 0 : PRUN__MIN(n - 30, (int64_t)(bytes[26] | bytes[27] << 8));
    char name[512];
    memcpy(name, bytes + PRUN__MIN(n, 30), (size_t)length);
    name[length] = 0;
    if (length > 4 && strcmp(name + length - 4, ".npy") == 0) {
        kind->what = "an archive of NumPy arrays";
    } else if (strstr(name, "data.pkl") || strstr(name, "/data/") || strstr(name, "/code/")) {
        kind->what = "a checkpoint of torch.save";
        kind->advice = NULL;
    }
}

/* What a file is by its first n bytes; `what` is NULL if they tell nothing. */
static prun__file_kind prun__file_find_kind(const unsigned char *bytes, int64_t n, int64_t size) {
    prun__file_kind kind = {NULL, 0, 0, NULL, NULL, PRUN__FOREIGN};
    const size_t count = sizeof prun__file_kinds / sizeof prun__file_kinds[0];
    size_t i;
    for (i = 0; i < count && !kind.what; i++) {
        const prun__file_kind *k = &prun__file_kinds[i];
        if (n >= k->at + k->length && memcmp(bytes + k->at, k->bytes, (size_t)k->length) == 0)
            kind = *k;
    }
    if (kind.what && bytes[0] == 'P' && bytes[1] == 'K') prun__zip_find_kind(bytes, n, &kind);
    if (kind.what) return kind;
    if (prun__file_is_safetensors(bytes, n, size)) {
        kind.what = "a safetensors file";
        kind.advice = "prun_safetensors_open reads it";
        kind.format = PRUN__SAFETENSORS;
    } else if (prun__file_is_idx(bytes, n)) {
        kind.what = "an IDX file";
        kind.advice = "prun_images_load_idx reads it";
        kind.format = PRUN__IDX;
    } else {
        kind = prun__text_kind((const char *)bytes, n);
    }
    return kind;
}

/* True for a text that may be a table, whatever letters its first column's name begins with. */
static int prun__file_can_be_table(const unsigned char *bytes, int64_t n) {
    static const char lfs[] = "version https://git-lfs", pdf[] = "%PDF-";
    if (n >= (int64_t)sizeof lfs - 1 && memcmp(bytes, lfs, sizeof lfs - 1) == 0) return 0;
    if (n >= (int64_t)sizeof pdf - 1 && memcmp(bytes, pdf, sizeof pdf - 1) == 0) return 0;
    return prun__file_is_text((const char *)bytes, n);
}

/* Fails if the first n of a file's `size` bytes show another kind than the one that is wanted. */
static prun_status prun__bytes_check_kind(prun_context *context, const char *path,
                                          const unsigned char *bytes, int64_t n, int64_t size,
                                          prun__format wanted) {
    static const char *const names[] = {"an IDX file", "a binary CIFAR file", "a safetensors file",
                                        "a NumPy array", "a CSV table"};
    static const char *const advice[] = {
        "save the arrays with numpy.save, for prun_images_load_npy",
        "take the binary version of the data",
        "save it by safetensors.torch.save_file, or see examples/pytorch/from_pytorch.py",
        "save the array with numpy.save", "write the table as CSV"};
    const prun__file_kind kind = wanted == PRUN__CSV && prun__file_can_be_table(bytes, n)
                                     ? prun__text_kind((const char *)bytes, n)
                                     : prun__file_find_kind(bytes, n, size);
    if (!kind.what || kind.format == wanted) return PRUN_OK;
    return prun__fail(context, PRUN_ERR_MAGIC, "%s: %s, not %s; %s", path, kind.what, names[wanted],
                      kind.advice ? kind.advice : advice[wanted]);
}

/* Looks at the beginning of a file: fails if it is empty, or known to be of another kind than the
   one that is wanted. Every loader asks here before it says that a file is malformed; where a
   format has no header, only once size or contents do not fit. Leaves the file at its start. */
static prun_status prun__file_check_kind(prun_context *context, prun__file *file,
                                         prun__format wanted) {
    unsigned char bytes[512];
    int64_t n;
    if (file->size == 0)
        return prun__fail(context, PRUN_ERR_TRUNCATED, "%s: the file is empty", file->path);
    n = prun__stream_set_position(file->stream, 0, SEEK_SET) == 0
            ? (int64_t)fread(bytes, 1, sizeof bytes, file->stream)
            : 0;
    if (n == 0 || prun__stream_set_position(file->stream, 0, SEEK_SET) != 0)
        return prun__fail(context, PRUN_ERR_READ, "%s: read error", file->path);
    return prun__bytes_check_kind(context, file->path, bytes, n, file->size, wanted);
}

/* The file must have exactly this many bytes; -1: more than can be. */
static prun_status prun__file_check_size(prun_context *context, const prun__file *file,
                                         int64_t bytes) {
    if (bytes < 0 || file->size < bytes)
        return prun__fail(context, PRUN_ERR_TRUNCATED,
                          "%s: %lld bytes, fewer than its header announces", file->path,
                          (long long)file->size);
    if (file->size > bytes)
        return prun__fail(context, PRUN_ERR_OVERSIZED, "%s: %lld bytes, its header announces %lld",
                          file->path, (long long)file->size, (long long)bytes);
    return PRUN_OK;
}

/* Elements of files: whatever their type, bytes and order, they pass one by one into a sink. */

typedef struct prun__type {
    const char *name, *npy; /* in safetensors, in NumPy's dtypes */
    prun_dtype dtype;
    int32_t bits; /* 0: not known */
} prun__type;

/* The type of a name; NULL if there is none in NumPy, a type without size if safetensors may have
   got it meanwhile. */
static const prun__type *prun__type_find(const char *name, int npy) {
    /* clang-format off */
    static const prun__type types[] = {
        {"F32", "f4", PRUN_DTYPE_F32, 32}, {"F64", "f8", PRUN_DTYPE_F64, 64},
        {"F16", "f2", PRUN_DTYPE_F16, 16}, {"BF16", NULL, PRUN_DTYPE_BF16, 16},
        {"I64", "i8", PRUN_DTYPE_I64, 64}, {"I32", "i4", PRUN_DTYPE_I32, 32},
        {"I16", "i2", PRUN_DTYPE_I16, 16}, {"I8", "i1", PRUN_DTYPE_I8, 8},
        {"U64", "u8", PRUN_DTYPE_U64, 64}, {"U32", "u4", PRUN_DTYPE_U32, 32},
        {"U16", "u2", PRUN_DTYPE_U16, 16}, {"U8", "u1", PRUN_DTYPE_U8, 8},
        {"BOOL", "b1", PRUN_DTYPE_BOOL, 8}, {"C64", NULL, PRUN_DTYPE_OTHER, 64},
        {"F8_E4M3", NULL, PRUN_DTYPE_OTHER, 8}, {"F8_E5M2", NULL, PRUN_DTYPE_OTHER, 8},
        {"F8_E8M0", NULL, PRUN_DTYPE_OTHER, 8}, {"F8_E4M3FNUZ", NULL, PRUN_DTYPE_OTHER, 8},
        {"F8_E5M2FNUZ", NULL, PRUN_DTYPE_OTHER, 8}, {"F6_E2M3", NULL, PRUN_DTYPE_OTHER, 6},
        {"F6_E3M2", NULL, PRUN_DTYPE_OTHER, 6}, {"F4", NULL, PRUN_DTYPE_OTHER, 4}};
    /* clang-format on */
    static const prun__type unknown = {"", NULL, PRUN_DTYPE_OTHER, 0};
    size_t i;
    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        const char *known = npy ? types[i].npy : types[i].name;
        if (known && strcmp(known, name) == 0) return &types[i];
    }
    return npy ? NULL : &unknown;
}

/* True for the types that are read as floats. */
static int prun__dtype_is_float(prun_dtype dtype) {
    return dtype == PRUN_DTYPE_F32 || (dtype >= PRUN_DTYPE_F64 && dtype <= PRUN_DTYPE_BF16);
}

/* True if this machine stores the most significant byte first. */
static int prun__host_is_big_endian(void) {
    const uint16_t probe = 1;
    return *(const unsigned char *)&probe == 0;
}

/* CRC-32 as in zlib, eight bytes at a step (Kounavis and Berry 2005). The tables are made where
   they are needed. */
typedef struct prun__crc {
    uint32_t table[8][256];
} prun__crc;

/* Fills the tables: entry i of table k is the CRC of byte i with k zero bytes after it. */
static void prun__crc_init(prun__crc *c) {
    uint32_t i, k;
    for (i = 0; i < 256; i++) {
        uint32_t value = i;
        for (k = 0; k < 8; k++) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
        c->table[0][i] = value;
    }
    for (i = 0; i < 256; i++)
        for (k = 1; k < 8; k++)
            c->table[k][i] = c->table[k - 1][i] >> 8 ^ c->table[0][c->table[k - 1][i] & 255];
}

/* The CRC of what came before, `crc` (0 at the start), and n more bytes. */
static uint32_t prun__crc_add(const prun__crc *c, uint32_t crc, const void *bytes, int64_t n) {
    const unsigned char *p = (const unsigned char *)bytes;
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        const uint32_t low =
            crc ^ (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = c->table[7][low & 255] ^ c->table[6][low >> 8 & 255] ^ c->table[5][low >> 16 & 255] ^
              c->table[4][low >> 24] ^ c->table[3][p[4]] ^ c->table[2][p[5]] ^ c->table[1][p[6]] ^
              c->table[0][p[7]];
    }
    for (; n > 0; n--) crc = crc >> 8 ^ c->table[0][(crc ^ *p++) & 255];
    return ~crc;
}

/* Where elements go, of which the file's axes (slowest first) say the order. */
typedef struct prun__sink {
    float *floats; /* one of the three is set */
    int64_t *integers;
    uint8_t *bytes;
    int32_t axes;
    int64_t size[PRUN_MAX_FILE_RANK], stride[PRUN_MAX_FILE_RANK];
    int64_t at[PRUN_MAX_FILE_RANK], offset; /* of the next element */
    const prun__crc *check;                 /* NULL, or adds the bytes of the file to crc */
    uint32_t crc;
} prun__sink;

/* The float nearest to an element of a floating-point type, given by its bits. */
static float prun__float_unpack(prun_dtype dtype, uint64_t bits) {
    const uint32_t magnitude = (uint32_t)bits & 0x7fffu, sign = ((uint32_t)bits & 0x8000u) << 16;
    uint32_t single = (uint32_t)bits;
    float value;
    double wide;
    if (dtype == PRUN_DTYPE_F64) {
        memcpy(&wide, &bits, sizeof wide);
        return (float)wide;
    }
    if (dtype == PRUN_DTYPE_BF16) {
        single <<= 16;
    } else if (dtype == PRUN_DTYPE_F16) {
        value = (float)magnitude * (1.0f / 16777216.0f); /* below 2^-14 a multiple of 2^-24 */
        memcpy(&single, &value, sizeof single);
        if (magnitude >= 0x0400u) single = (magnitude << 13) + (112u << 23);
        if (magnitude >= 0x7c00u) single += 112u << 23; /* infinity, NaN */
        single |= sign;
    }
    memcpy(&value, &single, sizeof value);
    return value;
}

/* Stores the next element; 0 if it is an integer that does not fit. */
static int prun__sink_put(prun__sink *s, const prun__type *type, uint64_t bits) {
    const uint64_t sign = type->name[0] == 'I' ? UINT64_C(1) << (type->bits - 1) : 0;
    int32_t a = s->axes - 1;
    if (s->floats) {
        s->floats[s->offset] = prun__float_unpack(type->dtype, bits);
    } else if (s->bytes) {
        s->bytes[s->offset] = type->dtype == PRUN_DTYPE_BOOL ? bits != 0 : (uint8_t)bits;
    } else {
        if (!sign && bits >> 63) return 0;
        bits = type->dtype == PRUN_DTYPE_BOOL ? bits != 0 : (bits ^ sign) - sign;
        memcpy(&s->integers[s->offset], &bits, sizeof bits);
    }
    if (a >= 0) s->offset += s->stride[a];
    for (; a > 0 && ++s->at[a] == s->size[a]; a--) {
        s->at[a] = 0;
        s->offset += s->stride[a - 1] - s->size[a] * s->stride[a];
    }
    return 1;
}

/* Whether the file's bytes, in their order, are what the sink is to hold. */
static int prun__sink_can_copy(const prun__sink *s, const prun__type *type, int big) {
    int64_t dense = 1;
    int32_t a;
    for (a = s->axes - 1; a >= 0; dense *= s->size[a--])
        if (s->stride[a] != dense) return 0;
    if (s->bytes) return type->dtype == PRUN_DTYPE_U8;
    return big == prun__host_is_big_endian() &&
           type->dtype == (s->floats ? PRUN_DTYPE_F32 : PRUN_DTYPE_I64);
}

/* Reads all elements, of the tensor `what` or (NULL) an array, from where the file stands. */
static prun_status prun__file_read_elements(prun_context *context, prun__file *file,
                                            const char *what, const prun__type *type, int big,
                                            prun__sink *s) {
    const int32_t bytes = type->bits / 8;
    unsigned char buffer[8192];
    int64_t count = 1, done = 0, i;
    int32_t b;
    for (b = 0; b < s->axes; b++) count *= s->size[b];
    if (prun__sink_can_copy(s, type, big)) {
        void *out = s->floats     ? (void *)s->floats
                    : s->integers ? (void *)s->integers
                                  : (void *)s->bytes;
        PRUN__TRY(prun__file_read(context, file, out, count * bytes));
        if (s->check) s->crc = prun__crc_add(s->check, s->crc, out, count * bytes);
        return PRUN_OK;
    }
    while (done < count) {
        const unsigned char *p = buffer;
        const int64_t n = PRUN__MIN(count - done, (int64_t)sizeof buffer / bytes);
        PRUN__TRY(prun__file_read(context, file, buffer, n * bytes));
        if (s->check) s->crc = prun__crc_add(s->check, s->crc, buffer, n * bytes);
        for (i = 0; i < n; i++, p += bytes) {
            uint64_t bits = 0;
            for (b = 0; b < bytes; b++) bits = bits << 8 | p[big ? b : bytes - 1 - b];
            if (!prun__sink_put(s, type, bits))
                return prun__fail(context, PRUN_ERR_OVERFLOW,
                                  "%s: %s%s: element %lld is 2^63 or more", file->path,
                                  what ? "tensor " : "array", what ? what : "",
                                  (long long)(done + i));
        }
        done += n;
    }
    return PRUN_OK;
}
#endif

/* [DATASET.I] images: IDX, CIFAR */
/*
   Sizes are checked against the bytes there are before memory is allocated.
*/
#ifndef PRUNABILITY_NO_FILES

/* A number of four bytes, the most significant first. */
static uint32_t prun__uint32_read_big_endian(const unsigned char *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Gives a set its storage: labels first, pixels of `element` bytes behind. */
static prun_status prun__images_make(prun_context *context, prun_images *m, size_t element,
                                     int32_t **labels, void **pixels) {
    const int64_t bytes =
        prun__size_product(prun__size_product(m->count, prun__image_size(m)), (int64_t)element);
    void *storage;
    if (bytes < 0 || m->count > INT64_MAX / 4 - bytes)
        return prun__fail(context, PRUN_ERR_OVERFLOW, "images: sizes overflow");
    storage = prun__alloc(context, 4 * m->count + bytes, 1, "images");
    if (!storage) return PRUN_ERR_MEMORY;
    m->storage = storage;
    m->context = context;
    m->labels = *labels = (int32_t *)storage;
    *pixels = *labels + m->count;
    if (element == 1) m->pixels = (uint8_t *)*pixels;
    else m->values = (float *)*pixels;
    return PRUN_OK;
}

/* Fails because of a label out of range, and names the image. */
static prun_status prun__label_fail(prun_context *context, const char *path, int64_t label,
                                    int64_t i, int64_t classes) {
    return prun__fail(context, PRUN_ERR_LABEL, "%s: label %lld of image %lld is not in 0 .. %lld",
                      path, (long long)label, (long long)i, (long long)classes - 1);
}

/* Header of an IDX file of unsigned bytes: dims (1 or 3) into size. */
static prun_status prun__idx_read_header(prun_context *context, prun__file *file, int dims,
                                         int64_t *size) {
    unsigned char bytes[16];
    int64_t product = 1;
    int i;
    if (file->size >= 4) PRUN__TRY(prun__file_read(context, file, bytes, 4));
    if (file->size < 4 || prun__uint32_read_big_endian(bytes) != 0x800u + (uint32_t)dims)
        PRUN__TRY(prun__file_check_kind(context, file, PRUN__IDX));
    if (file->size >= 4 && prun__uint32_read_big_endian(bytes) != 0x800u + (uint32_t)dims)
        return prun__fail(context, PRUN_ERR_MAGIC, "%s: magic number %lu, expected %lu for %s%s",
                          file->path, (unsigned long)prun__uint32_read_big_endian(bytes),
                          (unsigned long)(0x800u + (uint32_t)dims), dims == 1 ? "labels" : "images",
                          prun__uint32_read_big_endian(bytes) == 0x804u - (uint32_t)dims
                              ? "; are the two paths exchanged?"
                              : "");
    if (file->size < 4 + 4 * dims)
        return prun__fail(context, PRUN_ERR_TRUNCATED, "%s: no IDX header", file->path);
    PRUN__TRY(prun__file_read(context, file, bytes + 4, 4 * dims));
    for (i = 0; i < dims; i++) {
        size[i] = (int64_t)prun__uint32_read_big_endian(bytes + 4 + 4 * i);
        if (size[i] == 0)
            return prun__fail(context, PRUN_ERR_SHAPE, "%s: dimension %d is 0", file->path, i);
        product = prun__size_product(product, size[i]);
    }
    return prun__file_check_size(context, file, product < 0 ? -1 : product + 4 + 4 * dims);
}

/* Reads the images of an open file, padded and repeated over the channels. */
static prun_status prun__idx_read_pixels(prun_context *context, prun__file *file,
                                         const int64_t *size, const prun_images *m,
                                         uint8_t *pixels) {
    const int64_t area = m->height * m->width;
    const int64_t top = (m->height - size[1]) / 2, left = (m->width - size[2]) / 2;
    int64_t i, y, c;
    memset(pixels, 0, (size_t)(m->count * m->channels * area));
    for (i = 0; i < m->count; i++) {
        uint8_t *image = pixels + i * m->channels * area;
        for (y = 0; y < size[1]; y++)
            PRUN__TRY(prun__file_read(context, file, image + (top + y) * m->width + left, size[2]));
        for (c = 1; c < m->channels; c++) memcpy(image + c * area, image, (size_t)area);
    }
    return PRUN_OK;
}

/* Reads the labels of an open file and checks their range. */
static prun_status prun__idx_read_labels(prun_context *context, prun__file *file, int64_t count,
                                         int64_t classes, int32_t *labels) {
    uint8_t *bytes = (uint8_t *)labels; /* read in place: expand from the end */
    int64_t i;
    PRUN__TRY(prun__file_read(context, file, bytes, count));
    for (i = count - 1; i >= 0; i--) labels[i] = bytes[i];
    for (i = 0; i < count; i++)
        if (labels[i] >= classes)
            return prun__label_fail(context, file->path, labels[i], i, classes);
    return PRUN_OK;
}

PRUNDEF prun_idx_options prun_idx_resolved(const prun_idx_options *options) {
    prun_idx_options o;
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    if (o.classes == 0) o.classes = 10;
    if (o.channels == 0) o.channels = 1;
    return o;
}

/* Reads a set from two open files. Both headers and the options are checked before memory is
   allocated. */
static prun_status prun__idx_load(prun_context *context, prun__file *images, prun__file *labels,
                                  const prun_idx_options *o, prun_images *m) {
    int64_t size[3] = {0, 0, 0}, count = 0;
    void *pixels = NULL;
    int32_t *to = NULL;
    PRUN__TRY(prun__idx_read_header(context, images, 3, size));
    PRUN__TRY(prun__idx_read_header(context, labels, 1, &count));
    if (count != size[0])
        return prun__fail(context, PRUN_ERR_FORMAT, "%s has %lld labels, %s %lld images",
                          labels->path, (long long)count, images->path, (long long)size[0]);
    m->count = size[0];
    m->channels = o->channels;
    m->classes = o->classes;
    m->height = o->pad_to ? o->pad_to : size[1];
    m->width = o->pad_to ? o->pad_to : size[2];
    if (m->channels < 1 || m->channels > 16 || m->classes < 1 || m->classes > 256)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "IDX options: channels %lld, classes %lld",
                          (long long)m->channels, (long long)m->classes);
    if (m->height < size[1] || m->width < size[2] || m->height > (1 << 20))
        return prun__fail(context, PRUN_ERR_ARGUMENT,
                          "IDX options: pad_to %lld for %s of %lldx%lld", (long long)o->pad_to,
                          images->path, (long long)size[1], (long long)size[2]);
    PRUN__TRY(prun__images_make(context, m, 1, &to, &pixels));
    PRUN__TRY(prun__idx_read_labels(context, labels, count, m->classes, to));
    return prun__idx_read_pixels(context, images, size, m, (uint8_t *)pixels);
}

PRUNDEF prun_status prun_images_load_idx(prun_context *context, const char *image_path,
                                         const char *label_path, const prun_idx_options *options,
                                         prun_images *out) {
    prun__file images, labels;
    const prun_idx_options o = prun_idx_resolved(options);
    prun_images m;
    prun_status status;
    memset(&m, 0, sizeof m);
    PRUN__TRY(prun__file_open(context, image_path, &images));
    status = prun__file_open(context, label_path, &labels);
    if (status == PRUN_OK) {
        status = prun__idx_load(context, &images, &labels, &o, &m);
        fclose(labels.stream);
    }
    fclose(images.stream);
    if (status == PRUN_OK) *out = m;
    else prun__free(context, m.storage);
    return status;
}

/* Bytes of a CIFAR record before its pixels: CIFAR-100 has coarse and fine labels. */
static int64_t prun__cifar_label_size(int64_t classes) { return classes == 10 ? 1 : 2; }

/* One CIFAR file's records into the set from image `at` on. */
static prun_status prun__cifar_read_file(prun_context *context, prun__file *file, int64_t at,
                                         const prun_images *m, int32_t *labels, uint8_t *pixels) {
    const int64_t head = prun__cifar_label_size(m->classes), records = file->size / (head + 3072);
    int64_t i;
    for (i = 0; i < records; i++) {
        uint8_t bytes[2] = {0, 0}, label;
        PRUN__TRY(prun__file_read(context, file, bytes, head));
        label = bytes[m->classes == 100 ? 1 : 0];
        if (label >= m->classes) {
            PRUN__TRY(prun__file_check_kind(context, file, PRUN__CIFAR));
            return prun__label_fail(context, file->path, label, i, m->classes);
        }
        labels[at + i] = label;
        PRUN__TRY(prun__file_read(context, file, pixels + (at + i) * 3072, 3072));
    }
    return PRUN_OK;
}

/* Opens the files and counts their images by size alone: the format has no header. All of them stay
   open, so that what was counted is what is read. */
static prun_status prun__cifar_open(prun_context *context, const char *const *paths, int64_t count,
                                    prun__file *files, prun_images *m) {
    const int64_t record = prun__cifar_label_size(m->classes) + 3072;
    int64_t i;
    for (i = 0; i < count; i++) {
        PRUN__TRY(prun__file_open(context, paths[i], &files[i]));
        if (files[i].size == 0 || files[i].size % record != 0) {
            PRUN__TRY(prun__file_check_kind(context, &files[i], PRUN__CIFAR));
            return prun__fail(context, PRUN_ERR_TRUNCATED,
                              "%s: %lld bytes are not a whole number of %lld-byte CIFAR-%s records",
                              paths[i], (long long)files[i].size, (long long)record,
                              m->classes == 10 ? "10" : "100");
        }
        m->count += files[i].size / record;
    }
    return PRUN_OK;
}

/* Opens the files and reads all records, in their order. The caller closes the files, also after a
   failure. */
static prun_status prun__cifar_load(prun_context *context, const char *const *paths, int64_t count,
                                    prun__file *files, prun_images *m) {
    void *pixels;
    int32_t *labels;
    int64_t i, at = 0;
    PRUN__TRY(prun__cifar_open(context, paths, count, files, m));
    PRUN__TRY(prun__images_make(context, m, 1, &labels, &pixels));
    for (i = 0; i < count; i++) {
        PRUN__TRY(prun__cifar_read_file(context, &files[i], at, m, labels, (uint8_t *)pixels));
        at += files[i].size / (prun__cifar_label_size(m->classes) + 3072);
    }
    return PRUN_OK;
}

PRUNDEF prun_status prun_images_load_cifar(prun_context *context, const char *const *paths,
                                           int64_t count, int64_t classes, prun_images *images) {
    prun__file *files;
    prun_images m;
    prun_status status;
    int64_t i;
    if (classes != 10 && classes != 20 && classes != 100)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "CIFAR: classes %lld is not 10, 20 or 100",
                          (long long)classes);
    if (count < 1 || !paths) return prun__fail(context, PRUN_ERR_ARGUMENT, "CIFAR: no files");
    files = (prun__file *)prun__alloc_zero(context, count, sizeof *files, "CIFAR files");
    if (!files) return PRUN_ERR_MEMORY;
    memset(&m, 0, sizeof m);
    m.channels = 3;
    m.height = m.width = 32;
    m.classes = classes;
    status = prun__cifar_load(context, paths, count, files, &m);
    for (i = 0; i < count; i++)
        if (files[i].stream) fclose(files[i].stream);
    prun__free(context, files);
    if (status == PRUN_OK) *images = m;
    else prun__free(context, m.storage);
    return status;
}
#endif

/* [SAFETENSORS.I] reading and writing safetensors */
/*
   8 bytes of header length in little-endian order, a JSON object, then the data. The header is read
   and checked as a whole; tensors are read on request.
*/
#ifndef PRUNABILITY_NO_FILES

/* An entry and its place, relative to the data. */
typedef struct prun__placed {
    prun_safetensors_entry entry; /* first, so that users' pointers lead here */
    const prun__type *type;
    const char *type_name; /* in the file */
    int64_t begin, end;
} prun__placed;

struct prun_safetensors {
    prun_context *context;
    prun__file file;
    char *path;
    char *header;         /* strings of the JSON text, unescaped in place */
    int64_t header_bytes; /* with the length field: where the data starts */
    prun__placed *placed;
    int64_t count, capacity;
    const char **metadata; /* key, value pairs */
    int64_t pairs, pair_capacity;
    prun__crc crc;
};

/* Before the names of tensors in keys of the metadata whose values are CRCs; and the key with that
   of the metadata themselves: the exclusive or of the CRCs of all other pairs, each of a key and
   its value with the zeros that end them. */
#define PRUN__CRC_KEY "crc32."
#define PRUN__CRC_METADATA "crc32.__metadata__"

/* Header text being read. */
typedef struct prun__json {
    prun_context *context;
    const char *path, *tensor; /* the tensor whose fields are read, or NULL */
    char *start, *at, *end;
    int python; /* not JSON but a literal of Python's: other quotes, tuples, a last comma */
} prun__json;

/* A reader at the start of a text, which it changes in place. python: a literal of Python's, not
   JSON. */
static prun__json prun__json_make(prun_context *context, const char *path, char *text,
                                  int64_t length, int python) {
    prun__json j;
    j.context = context;
    j.path = path;
    j.tensor = NULL;
    j.start = j.at = text;
    j.end = text + length;
    j.python = python;
    return j;
}

/* Fails with the place in the header and the tensor that is being read, if any. */
static prun_status prun__json_fail(const prun__json *j, const char *what) {
    return prun__fail(j->context, PRUN_ERR_FORMAT, "%s: %s%s%sheader byte %lld: %s", j->path,
                      j->tensor ? "tensor " : "", j->tensor ? j->tensor : "", j->tensor ? ": " : "",
                      (long long)(j->at - j->start), what);
}

/* Skips white space. */
static void prun__json_read_space(prun__json *j) {
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\n' || *j->at == '\t' || *j->at == '\r'))
        j->at++;
}

/* True and past it if the next character is c. */
static int prun__json_read_char(prun__json *j, char c) {
    prun__json_read_space(j);
    if (j->at >= j->end || *j->at != c) return 0;
    j->at++;
    return 1;
}

/* Value of a hex digit, or -1. */
static int prun__hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Four hex digits at p, or -1. */
static int32_t prun__hex4_value(const char *p, const char *end) {
    int32_t value = 0;
    int i;
    if (end - p < 4) return -1;
    for (i = 0; i < 4; i++) {
        const int digit = prun__hex_digit(p[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Writes a code point as UTF-8, 1 to 4 bytes, and returns the end of what it wrote. */
static char *prun__utf8_put(char *out, int32_t c) {
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 63));
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    }
    return out;
}

/* \uXXXX, with a following low surrogate if it is a high one. j->at is past the 'u'. */
static int prun__json_read_unicode(prun__json *j, char **out) {
    int32_t c = prun__hex4_value(j->at, j->end);
    if (c <= 0) return 0; /* names with NUL cannot be C strings */
    j->at += 4;
    if (c >= 0xd800 && c < 0xdc00) {
        int32_t low = j->end - j->at >= 6 && j->at[0] == '\\' && j->at[1] == 'u'
                          ? prun__hex4_value(j->at + 2, j->end)
                          : -1;
        if (low < 0xdc00 || low > 0xdfff) return 0;
        j->at += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        return 0;
    }
    *out = prun__utf8_put(*out, c);
    return 1;
}

/* A string, unescaped in place and ended by NUL: never longer than its escaped form. */
static prun_status prun__json_read_string(prun__json *j, const char **out) {
    static const char escapes[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char quote = j->python && prun__json_read_char(j, '\'') ? '\'' : '"';
    char *to;
    if (quote == '"' && !prun__json_read_char(j, '"')) return prun__json_fail(j, "string expected");
    *out = to = j->at;
    for (;;) {
        char c;
        if (j->at >= j->end) return prun__json_fail(j, "string without end");
        c = *j->at++;
        if (c == quote) break;
        if ((unsigned char)c < 0x20) return prun__json_fail(j, "control character in a string");
        if ((unsigned char)c >= 0x80) {
            const int n = prun__utf8_length(j->at - 1, j->end);
            if (n == 0) return prun__json_fail(j, "invalid UTF-8");
            memmove(to, j->at - 1, (size_t)n);
            to += n;
            j->at += n - 1;
            continue;
        }
        if (c == '\\') {
            const char *known;
            if (j->at >= j->end) return prun__json_fail(j, "string without end");
            c = *j->at++;
            if (c == 'u') {
                if (!prun__json_read_unicode(j, &to)) return prun__json_fail(j, "bad \\u escape");
                continue;
            }
            known = c ? strchr(escapes, c) : NULL;
            if (!known) return prun__json_fail(j, "unknown escape");
            c = values[known - escapes];
        }
        *to++ = c;
    }
    *to = 0; /* overwrites the closing quote or an escaped character */
    return PRUN_OK;
}

/* A non-negative integer below 2^63. */
static prun_status prun__json_read_integer(prun__json *j, int64_t *out) {
    int64_t value = 0;
    prun__json_read_space(j);
    if (j->at >= j->end || *j->at < '0' || *j->at > '9')
        return prun__json_fail(j, "non-negative integer expected");
    while (j->at < j->end && *j->at >= '0' && *j->at <= '9') {
        if (value > (INT64_MAX - 9) / 10) return prun__json_fail(j, "integer too large");
        value = value * 10 + (*j->at++ - '0');
    }
    *out = value;
    return PRUN_OK;
}

/* At most `capacity` integers: [a, b, ...], or the tuples (a, b) and (a,). */
static prun_status prun__json_read_integers(prun__json *j, int64_t *out, int32_t capacity,
                                            int32_t *count) {
    const char close = j->python ? ')' : ']';
    *count = 0;
    if (!prun__json_read_char(j, j->python ? '(' : '['))
        return prun__json_fail(j, "list of integers expected");
    if (prun__json_read_char(j, close)) return PRUN_OK;
    do {
        if (j->python && *count && prun__json_read_char(j, close)) return PRUN_OK;
        if (*count == capacity) return prun__json_fail(j, "list too long");
        PRUN__TRY(prun__json_read_integer(j, &out[(*count)++]));
        if (j->python) prun__json_read_char(j, 'L'); /* Python 2 wrote 3L */
    } while (prun__json_read_char(j, ','));
    return prun__json_read_char(j, close) ? PRUN_OK : prun__json_fail(j, "end of list expected");
}

/* Any value of an unknown key; depth bounds the recursion. */
static prun_status prun__json_read_any(prun__json *j, int depth) {
    const char *ignored;
    prun__json_read_space(j);
    if (j->at >= j->end) return prun__json_fail(j, "value expected");
    if (depth > 32) return prun__json_fail(j, "nested too deeply");
    if (*j->at == '"') return prun__json_read_string(j, &ignored);
    if (*j->at == '{' || *j->at == '[') {
        const char close = *j->at == '{' ? '}' : ']';
        j->at++;
        if (prun__json_read_char(j, close)) return PRUN_OK;
        do {
            if (close == '}') {
                PRUN__TRY(prun__json_read_string(j, &ignored));
                if (!prun__json_read_char(j, ':')) return prun__json_fail(j, ": expected");
            }
            PRUN__TRY(prun__json_read_any(j, depth + 1));
        } while (prun__json_read_char(j, ','));
        return prun__json_read_char(j, close) ? PRUN_OK
                                              : prun__json_fail(j, "end of list expected");
    }
    if (!strchr("-0123456789tfn", *j->at)) return prun__json_fail(j, "value expected");
    while (j->at < j->end && *j->at && strchr("-+.0123456789abcdefghijklmnopqrstuvwxyzE", *j->at))
        j->at++;
    return PRUN_OK;
}

/* The metadata: an object whose values are all strings. */
static prun_status prun__json_read_metadata(prun__json *j, prun_safetensors *f) {
    if (!prun__json_read_char(j, '{')) return prun__json_fail(j, "__metadata__ is not an object");
    if (prun__json_read_char(j, '}')) return PRUN_OK;
    do {
        const char *pair[2];
        const char **grown;
        PRUN__TRY(prun__json_read_string(j, &pair[0]));
        if (!prun__json_read_char(j, ':')) return prun__json_fail(j, ": expected");
        PRUN__TRY(prun__json_read_string(j, &pair[1]));
        grown =
            (const char **)prun__array_make(f->context, (void *)(uintptr_t)f->metadata, f->pairs,
                                            &f->pair_capacity, sizeof pair, "metadata");
        if (!grown) return PRUN_ERR_MEMORY;
        f->metadata = grown;
        f->metadata[2 * f->pairs] = pair[0];
        f->metadata[2 * f->pairs + 1] = pair[1];
        f->pairs++;
    } while (prun__json_read_char(j, ','));
    return prun__json_read_char(j, '}') ? PRUN_OK : prun__json_fail(j, "} expected");
}

/* The fields of one tensor; each must be there once. */
static prun_status prun__json_read_tensor(prun__json *j, prun__placed *p, int64_t offsets[2]) {
    int seen_dtype = 0, seen_shape = 0, seen_offsets = 0;
    if (!prun__json_read_char(j, '{')) return prun__json_fail(j, "tensor is not an object");
    do {
        const char *key, *text;
        int32_t n;
        PRUN__TRY(prun__json_read_string(j, &key));
        if (!prun__json_read_char(j, ':')) return prun__json_fail(j, ": expected");
        if (strcmp(key, "dtype") == 0) {
            if (seen_dtype++) return prun__json_fail(j, "dtype given twice");
            PRUN__TRY(prun__json_read_string(j, &text));
            p->type = prun__type_find(text, 0);
            p->type_name = text;
            p->entry.dtype = p->type->dtype;
        } else if (strcmp(key, "shape") == 0) {
            if (seen_shape++) return prun__json_fail(j, "shape given twice");
            PRUN__TRY(
                prun__json_read_integers(j, p->entry.shape, PRUN_MAX_FILE_RANK, &p->entry.rank));
        } else if (strcmp(key, "data_offsets") == 0) {
            if (seen_offsets++) return prun__json_fail(j, "data_offsets given twice");
            PRUN__TRY(prun__json_read_integers(j, offsets, 2, &n));
            if (n != 2) return prun__json_fail(j, "data_offsets needs two numbers");
        } else {
            PRUN__TRY(prun__json_read_any(j, 0));
        }
    } while (prun__json_read_char(j, ','));
    if (!seen_dtype || !seen_shape || !seen_offsets)
        return prun__json_fail(j, "tensor without dtype, shape or data_offsets");
    return prun__json_read_char(j, '}') ? PRUN_OK : prun__json_fail(j, "} expected");
}

/* Appends a tensor after checking its place and size. */
static prun_status prun__safetensors_add_entry(prun__json *j, prun_safetensors *f) {
    const int64_t data = f->file.size - f->header_bytes;
    prun__placed p, *grown;
    int64_t offsets[2] = {0, 0}, bits;
    int32_t i;
    memset(&p, 0, sizeof p);
    PRUN__TRY(prun__json_read_tensor(j, &p, offsets));
    p.entry.name = j->tensor;
    p.entry.count = 1;
    for (i = 0; i < p.entry.rank; i++)
        p.entry.count = prun__size_product(p.entry.count, p.entry.shape[i]);
    bits = prun__size_product(p.entry.count, p.type->bits);
    p.begin = offsets[0];
    p.end = offsets[1];
    if (bits < 0)
        return prun__fail(f->context, PRUN_ERR_OVERFLOW, "%s: tensor %s: shape overflows", f->path,
                          j->tensor);
    if (p.begin > p.end)
        return prun__fail(f->context, PRUN_ERR_FORMAT, "%s: tensor %s: offsets %lld, %lld", f->path,
                          j->tensor, (long long)p.begin, (long long)p.end);
    if (p.end > data)
        return prun__fail(f->context, PRUN_ERR_TRUNCATED,
                          "%s: tensor %s ends at byte %lld of %lld bytes of data", f->path,
                          j->tensor, (long long)p.end, (long long)data);
    if (p.type->bits && prun__size_product(p.end - p.begin, 8) != bits)
        return prun__fail(f->context, PRUN_ERR_FORMAT,
                          "%s: tensor %s: %lld bytes for %lld elements of %s", f->path, j->tensor,
                          (long long)(p.end - p.begin), (long long)p.entry.count, p.type_name);
    grown = (prun__placed *)prun__array_make(f->context, f->placed, f->count, &f->capacity,
                                             sizeof *grown, "tensors");
    if (!grown) return PRUN_ERR_MEMORY;
    f->placed = grown;
    f->placed[f->count++] = p;
    return PRUN_OK;
}

/* The header's JSON object, as a whole: metadata at most once, and the tensors. */
static prun_status prun__safetensors_read_json(prun_safetensors *f, int64_t bytes) {
    prun__json j = prun__json_make(f->context, f->path, f->header, bytes, 0);
    int metadata = 0;
    if (!prun__json_read_char(&j, '{'))
        return prun__json_fail(&j, "the header is not a JSON object");
    if (!prun__json_read_char(&j, '}')) {
        do {
            const char *name;
            PRUN__TRY(prun__json_read_string(&j, &name));
            j.tensor = strcmp(name, "__metadata__") != 0 ? name : NULL;
            if (!prun__json_read_char(&j, ':')) return prun__json_fail(&j, ": expected");
            if (j.tensor) PRUN__TRY(prun__safetensors_add_entry(&j, f));
            else if (metadata++) return prun__json_fail(&j, "__metadata__ given twice");
            else PRUN__TRY(prun__json_read_metadata(&j, f));
            j.tensor = NULL;
        } while (prun__json_read_char(&j, ','));
        if (!prun__json_read_char(&j, '}')) return prun__json_fail(&j, "} expected");
    }
    prun__json_read_space(&j);
    return j.at == j.end ? PRUN_OK : prun__json_fail(&j, "text after the header object");
}

/* Ascending places, then names: tensors without elements may share a place. */
static int prun__by_place(const void *a, const void *b) {
    const prun__placed *u = (const prun__placed *)a, *v = (const prun__placed *)b;
    if (u->begin != v->begin) return u->begin < v->begin ? -1 : 1;
    if (u->end != v->end) return u->end < v->end ? -1 : 1;
    return strcmp(u->entry.name, v->entry.name);
}

/* Ascending strings. */
static int prun__by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The data must be covered without holes, overlaps or leftovers (the format's rule). */
static prun_status prun__safetensors_check_places(prun_safetensors *f) {
    const int64_t data = f->file.size - f->header_bytes;
    int64_t i, at = 0;
    for (i = 0; i < f->count; at = f->placed[i++].end)
        if (f->placed[i].begin != at)
            return prun__fail(
                f->context, PRUN_ERR_FORMAT, "%s: tensor %s %s", f->path, f->placed[i].entry.name,
                f->placed[i].begin < at ? "overlaps the one before" : "leaves a hole before it");
    if (at != data)
        return prun__fail(f->context, PRUN_ERR_OVERSIZED, "%s: %lld bytes after the last tensor",
                          f->path, (long long)(data - at));
    return PRUN_OK;
}

/* Sorts the names; two equal ones are an error. */
static prun_status prun__names_check_unique(prun_context *context, const char *path,
                                            const char **names, int64_t count) {
    int64_t i;
    qsort((void *)(uintptr_t)names, (size_t)count, sizeof *names, prun__by_name);
    for (i = 1; i < count; i++)
        if (strcmp(names[i], names[i - 1]) == 0)
            return prun__fail(context, PRUN_ERR_FORMAT, "%s: two tensors named %s", path, names[i]);
    return PRUN_OK;
}

/* Checks that no two tensors of the file have the same name. */
static prun_status prun__safetensors_check_names(prun_safetensors *f) {
    const char **names = (const char **)prun__alloc(f->context, f->count, sizeof *names, "names");
    prun_status status;
    int64_t i;
    if (!names) return PRUN_ERR_MEMORY;
    for (i = 0; i < f->count; i++) names[i] = f->placed[i].entry.name;
    status = prun__names_check_unique(f->context, f->path, names, f->count);
    prun__free(f->context, (void *)(uintptr_t)names);
    return status;
}

/* Compares a CRC with the eight hex digits in the metadata; NULL: there are none. */
static prun_status prun__safetensors_check_crc(const prun_safetensors *f, const char *text,
                                               const char *what, uint32_t crc) {
    uint32_t value = 0;
    int i;
    if (!text) return PRUN_OK;
    for (i = 0; i < 8 && prun__hex_digit(text[i]) >= 0; i++)
        value = value << 4 | (uint32_t)prun__hex_digit(text[i]);
    if (i < 8 || text[8])
        return prun__fail(f->context, PRUN_ERR_FORMAT,
                          "%s: metadata " PRUN__CRC_KEY "%s is not a CRC of 8 hex digits: %.20s",
                          f->path, what, text);
    if (value == crc) return PRUN_OK;
    return prun__fail(f->context, PRUN_ERR_FORMAT,
                      "%s: the file is damaged in %s%s: CRC-32 %08lx, %08lx when it was written; "
                      "take another copy, or remove the crc32 keys if it was changed on purpose",
                      f->path, strcmp(what, "__metadata__") ? "tensor " : "",
                      strcmp(what, "__metadata__") ? what : "its metadata", (unsigned long)crc,
                      (unsigned long)value);
}

/* The CRC that the metadata have of a tensor, or NULL. */
static const char *prun__safetensors_find_crc(const prun_safetensors *f, const char *name) {
    const size_t skip = strlen(PRUN__CRC_KEY);
    int64_t i;
    for (i = 0; i < f->pairs; i++)
        if (strncmp(f->metadata[2 * i], PRUN__CRC_KEY, skip) == 0 &&
            strcmp(f->metadata[2 * i] + skip, name) == 0)
            return f->metadata[2 * i + 1];
    return NULL;
}

/* The CRC of metadata, but for the pair that has it: those of the pairs combined by exclusive or,
   because other programs write them in any order. */
static uint32_t prun__metadata_crc(const prun__crc *c, const char *const *metadata, int64_t pairs) {
    uint32_t crc = 0, pair;
    int64_t i;
    for (i = 0; i < pairs; i++) {
        const char *key = metadata[2 * i], *value = metadata[2 * i + 1];
        if (strcmp(key, PRUN__CRC_METADATA) == 0) continue;
        pair = prun__crc_add(c, 0, key, (int64_t)strlen(key) + 1);
        crc ^= prun__crc_add(c, pair, value, (int64_t)strlen(value) + 1);
    }
    return crc;
}

/* Compares the metadata with their CRC. No CRC covers its own key: where every tensor has one and
   the metadata have none, the key was changed. */
static prun_status prun__safetensors_check_metadata(const prun_safetensors *f) {
    const char *text = prun__safetensors_find_crc(f, "__metadata__");
    int64_t i, keys = 0;
    for (i = 0; i < f->pairs; i++)
        keys += strncmp(f->metadata[2 * i], PRUN__CRC_KEY, strlen(PRUN__CRC_KEY)) == 0;
    if (!text && keys > 0 && keys >= f->count)
        return prun__fail(f->context, PRUN_ERR_FORMAT,
                          "%s: the file is damaged: every tensor has a CRC and the metadata have "
                          "none; take another copy",
                          f->path);
    return prun__safetensors_check_crc(f, text, "__metadata__",
                                       prun__metadata_crc(&f->crc, f->metadata, f->pairs));
}

/* Reads the header and checks all that it says, before any tensor is read. The tensors end up
   sorted by place. */
static prun_status prun__safetensors_read_header(prun_safetensors *f) {
    unsigned char length[8];
    uint64_t bytes = 0;
    int i;
    memset(length, 0, sizeof length);
    if (f->file.size >= 8) PRUN__TRY(prun__file_read(f->context, &f->file, length, 8));
    for (i = 7; i >= 0; i--) bytes = bytes << 8 | length[i];
    if (f->file.size < 8 || bytes > (uint64_t)(f->file.size - 8) || bytes > 100000000u)
        PRUN__TRY(prun__file_check_kind(f->context, &f->file, PRUN__SAFETENSORS));
    if (f->file.size < 8)
        return prun__fail(f->context, PRUN_ERR_TRUNCATED, "%s: no safetensors header", f->path);
    if (bytes > (uint64_t)(f->file.size - 8))
        return prun__fail(f->context, PRUN_ERR_TRUNCATED,
                          "%s: header of %llu bytes in a file of %lld", f->path,
                          (unsigned long long)bytes, (long long)f->file.size);
    if (bytes > 100000000u) /* the format's own limit */
        return prun__fail(f->context, PRUN_ERR_FORMAT, "%s: header of %llu bytes", f->path,
                          (unsigned long long)bytes);
    f->header = (char *)prun__alloc(f->context, (int64_t)bytes + 1, 1, "header");
    if (!f->header) return PRUN_ERR_MEMORY;
    f->header_bytes = (int64_t)bytes + 8;
    PRUN__TRY(prun__file_read(f->context, &f->file, f->header, (int64_t)bytes));
    if (bytes == 0 || f->header[0] != '{')
        PRUN__TRY(prun__file_check_kind(f->context, &f->file, PRUN__SAFETENSORS));
    PRUN__TRY(prun__safetensors_read_json(f, (int64_t)bytes));
    if (f->count) qsort(f->placed, (size_t)f->count, sizeof *f->placed, prun__by_place);
    PRUN__TRY(prun__safetensors_check_names(f));
    PRUN__TRY(prun__safetensors_check_places(f));
    return prun__safetensors_check_metadata(f);
}

PRUNDEF prun_status prun_safetensors_open(prun_context *context, const char *path,
                                          prun_safetensors **out) {
    prun__file file;
    prun_safetensors *f;
    prun_status status;
    PRUN__TRY(prun__file_open(context, path, &file));
    f = (prun_safetensors *)prun__alloc_zero(context, 1, sizeof *f, "safetensors");
    if (!f) {
        fclose(file.stream);
        return PRUN_ERR_MEMORY;
    }
    f->context = context;
    f->file = file;
    prun__crc_init(&f->crc);
    f->path = (char *)prun__alloc(context, (int64_t)strlen(path) + 1, 1, "file name");
    status = f->path ? PRUN_OK : PRUN_ERR_MEMORY;
    if (f->path) {
        strcpy(f->path, path);
        f->file.path = f->path;
        status = prun__safetensors_read_header(f);
    }
    if (status == PRUN_OK) *out = f;
    else prun_safetensors_close(f);
    return status;
}

PRUNDEF void prun_safetensors_close(prun_safetensors *f) {
    prun_context *context;
    if (!f) return;
    context = f->context;
    fclose(f->file.stream);
    prun__free(context, f->path);
    prun__free(context, f->header);
    prun__free(context, f->placed);
    prun__free(context, (void *)(uintptr_t)f->metadata);
    prun__free(context, f);
}

PRUNDEF int64_t prun_safetensors_entry_count(const prun_safetensors *file) { return file->count; }

PRUNDEF const prun_safetensors_entry *prun_safetensors_at(const prun_safetensors *file, int64_t i) {
    return i >= 0 && i < file->count ? &file->placed[i].entry : NULL;
}

/* The entry prefix + name, or NULL. */
static const prun_safetensors_entry *prun__safetensors_find_prefixed(const prun_safetensors *file,
                                                                     const char *prefix,
                                                                     const char *name) {
    const size_t skip = prefix ? strlen(prefix) : 0;
    int64_t i;
    for (i = 0; i < file->count; i++)
        if (strncmp(file->placed[i].entry.name, prefix ? prefix : "", skip) == 0 &&
            strcmp(file->placed[i].entry.name + skip, name) == 0)
            return &file->placed[i].entry;
    return NULL;
}

PRUNDEF const prun_safetensors_entry *prun_safetensors_find(const prun_safetensors *file,
                                                            const char *name) {
    return prun__safetensors_find_prefixed(file, NULL, name);
}

PRUNDEF const char *prun_safetensors_metadata(const prun_safetensors *file, const char *key) {
    int64_t i;
    for (i = 0; i < file->pairs; i++)
        if (strcmp(file->metadata[2 * i], key) == 0) return file->metadata[2 * i + 1];
    return NULL;
}

/* Reads a tensor into one of the two. */
static prun_status prun__safetensors_read_entry(prun_safetensors *f,
                                                const prun_safetensors_entry *entry, float *floats,
                                                int64_t *integers) {
    const prun__placed *p = (const prun__placed *)entry;
    const char *crc;
    prun__sink sink;
    if (entry->dtype == PRUN_DTYPE_OTHER)
        return prun__fail(f->context, PRUN_ERR_UNSUPPORTED,
                          "%s: tensor %s: elements of type %s are not supported", f->path,
                          entry->name, p->type_name);
    if (prun__dtype_is_float(entry->dtype) != (floats != NULL))
        return prun__fail(f->context, PRUN_ERR_UNSUPPORTED,
                          "%s: tensor %s is of type %s, not of %s", f->path, entry->name,
                          p->type_name, floats ? "floats" : "integers");
    if (prun__stream_set_position(f->file.stream, f->header_bytes + p->begin, SEEK_SET) != 0)
        return prun__fail(f->context, PRUN_ERR_READ, "%s: tensor %s: seek failed", f->path,
                          entry->name);
    memset(&sink, 0, sizeof sink);
    sink.floats = floats;
    sink.integers = integers;
    sink.axes = 1;
    sink.size[0] = entry->count;
    sink.stride[0] = 1;
    crc = prun__safetensors_find_crc(f, entry->name);
    sink.check = crc ? &f->crc : NULL;
    PRUN__TRY(prun__file_read_elements(f->context, &f->file, entry->name, p->type, 0, &sink));
    return prun__safetensors_check_crc(f, crc, entry->name, sink.crc);
}

PRUNDEF prun_status prun_safetensors_read_f32(prun_safetensors *file,
                                              const prun_safetensors_entry *entry, float *out) {
    return prun__safetensors_read_entry(file, entry, out, NULL);
}

PRUNDEF prun_status prun_safetensors_read_i64(prun_safetensors *file,
                                              const prun_safetensors_entry *entry, int64_t *out) {
    return prun__safetensors_read_entry(file, entry, NULL, out);
}

/* Text that grows; out NULL: only measures. */
typedef struct prun__text {
    char *out;
    int64_t length;
} prun__text;

/* Appends a string without the zero that ends it, or only adds its length where there is no memory
   yet. */
static void prun__text_put(prun__text *t, const char *text) {
    const size_t n = strlen(text);
    if (t->out) memcpy(t->out + t->length, text, n);
    t->length += (int64_t)n;
}

/* Appends an integer in decimal digits. */
static void prun__text_put_integer(prun__text *t, int64_t value) {
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    prun__text_put(t, digits);
}

/* Appends a string as JSON: in quotes, and escaped where JSON demands it. */
static void prun__text_put_string(prun__text *t, const char *text) {
    char piece[8];
    prun__text_put(t, "\"");
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20)
            snprintf(piece, sizeof piece, "\\u%04x", (unsigned)(unsigned char)*text);
        else snprintf(piece, sizeof piece, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
        prun__text_put(t, piece);
    }
    prun__text_put(t, "\"");
}

/* Appends the whole header, padded to a multiple of 8 bytes. It is called twice: to measure and to
   write. */
static void prun__text_put_header(prun__text *t, const prun_tensor *tensors, int64_t count,
                                  const char *const *metadata, int64_t pairs) {
    int64_t i, at = 0;
    int32_t d;
    prun__text_put(t, "{");
    for (i = 0; i < pairs; i++) {
        prun__text_put(t, i ? "," : "\"__metadata__\":{");
        prun__text_put_string(t, metadata[2 * i]);
        prun__text_put(t, ":");
        prun__text_put_string(t, metadata[2 * i + 1]);
        if (i == pairs - 1) prun__text_put(t, count ? "}," : "}");
    }
    for (i = 0; i < count; i++) {
        if (i) prun__text_put(t, ",");
        prun__text_put_string(t, tensors[i].name);
        prun__text_put(t, ":{\"dtype\":\"F32\",\"shape\":[");
        for (d = 0; d < tensors[i].rank; d++) {
            if (d) prun__text_put(t, ",");
            prun__text_put_integer(t, tensors[i].shape[d]);
        }
        prun__text_put(t, "],\"data_offsets\":[");
        prun__text_put_integer(t, at);
        prun__text_put(t, ",");
        at += prun_tensor_size(&tensors[i]) * 4;
        prun__text_put_integer(t, at);
        prun__text_put(t, "]}");
    }
    prun__text_put(t, "}");
    while (t->length % 8) prun__text_put(t, " "); /* the data starts aligned */
}

/* At most 1024 of the floats as little-endian bytes, whatever the machine; returns their number. */
static int64_t prun__floats_pack(const float *data, int64_t count, unsigned char bytes[4096]) {
    const int64_t n = PRUN__MIN(count, 1024);
    int64_t i;
    for (i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &data[i], sizeof bits);
        bytes[4 * i] = (unsigned char)bits;
        bytes[4 * i + 1] = (unsigned char)(bits >> 8);
        bytes[4 * i + 2] = (unsigned char)(bits >> 16);
        bytes[4 * i + 3] = (unsigned char)(bits >> 24);
    }
    return n;
}

/* Writes floats; 0 when that failed. */
static int prun__floats_write(FILE *stream, const float *data, int64_t count) {
    unsigned char bytes[4096];
    int64_t i, n;
    for (i = 0; i < count; i += n) {
        n = prun__floats_pack(data + i, count - i, bytes);
        if (fwrite(bytes, 4, (size_t)n, stream) != (size_t)n) return 0;
    }
    return 1;
}

/* The whole file; 0 when a write failed. */
static int prun__safetensors_write(FILE *stream, const prun__text *header,
                                   const prun_tensor *tensors, int64_t count) {
    unsigned char length[8];
    int64_t i;
    for (i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)header->length >> (8 * i));
    if (fwrite(length, 1, 8, stream) != 8) return 0;
    if (fwrite(header->out, 1, (size_t)header->length, stream) != (size_t)header->length) return 0;
    for (i = 0; i < count; i++)
        if (!prun__floats_write(stream, tensors[i].data, prun_tensor_size(&tensors[i]))) return 0;
    return 1;
}

/* Every tensor needs a name of its own: a reader would refuse the file otherwise. */
static prun_status prun__safetensors_check_tensors(prun_context *context, const char *path,
                                                   const prun_tensor *tensors, int64_t count) {
    const char **names;
    prun_status status;
    int64_t i;
    int32_t d;
    if (count < 0) return prun__fail(context, PRUN_ERR_ARGUMENT, "%s: negative count", path);
    for (i = 0; i < count; i++) {
        const prun_tensor *t = &tensors[i];
        const char *c = t->name ? t->name : "";
        if (!t->name || !t->data || strcmp(t->name, "__metadata__") == 0)
            return prun__fail(context, PRUN_ERR_ARGUMENT, "%s: tensor %lld has no %s", path,
                              (long long)i,
                              t->name && t->data ? "name of its own"
                              : t->name          ? "data"
                                                 : "name");
        for (; *c; c += prun__utf8_length(c, strchr(c, 0)))
            if (!prun__utf8_length(c, strchr(c, 0)))
                return prun__fail(context, PRUN_ERR_ARGUMENT,
                                  "%s: the name of tensor %lld is not UTF-8", path, (long long)i);
        for (d = 0; d < t->rank && t->rank <= PRUN_MAX_RANK; d++)
            if (t->shape[d] < 0) break;
        if (t->rank < 0 || d != t->rank)
            return prun__fail(context, PRUN_ERR_SHAPE, "%s: tensor %s: rank %d or a negative size",
                              path, t->name, (int)t->rank);
    }
    names = (const char **)prun__alloc(context, count, sizeof *names, "names");
    if (!names) return PRUN_ERR_MEMORY;
    for (i = 0; i < count; i++) names[i] = tensors[i].name;
    status = prun__names_check_unique(context, path, names, count);
    prun__free(context, (void *)(uintptr_t)names);
    return status;
}

PRUNDEF prun_status prun_tensors_save_safetensors(prun_context *context, const prun_tensor *tensors,
                                                  int64_t count, const char *const *metadata,
                                                  int64_t pairs, const char *path) {
    prun__text header = {NULL, 0};
    prun_output *output = NULL;
    prun_status status;
    if (!path) return prun__fail(context, PRUN_ERR_ARGUMENT, "no file name");
    PRUN__TRY(prun__safetensors_check_tensors(context, path, tensors, count));
    PRUN__TRY(prun__tensors_check_overlap(context, path, tensors, count));
    prun__text_put_header(&header, tensors, count, metadata, pairs);
    header.out = (char *)prun__alloc(context, header.length, 1, "header");
    if (!header.out) return PRUN_ERR_MEMORY;
    header.length = 0;
    prun__text_put_header(&header, tensors, count, metadata, pairs);
    status = prun_output_open(context, path, &output);
    if (status == PRUN_OK) {
        prun__safetensors_write(output->stream, &header, tensors, count);
        status = prun_output_close(output);
    }
    prun__free(context, header.out);
    return status;
}

#endif

#if !defined(PRUNABILITY_NO_FILES) && !defined(PRUNABILITY_NO_NET)
/* A tensor's CRC in the file. */
static uint32_t prun__tensor_crc(const prun__crc *c, const prun_tensor *t) {
    const int64_t count = prun_tensor_size(t);
    unsigned char bytes[4096];
    uint32_t crc = 0;
    int64_t i, n;
    for (i = 0; i < count; i += n) {
        n = prun__floats_pack(t->data + i, count - i, bytes);
        crc = prun__crc_add(c, crc, bytes, 4 * n);
    }
    return crc;
}

/* Writes tensors with CRCs of them and of the metadata behind the metadata given. */
static prun_status prun__tensors_save_with_crc(prun_context *context, const char *path,
                                               const prun_tensor *tensors, int64_t count,
                                               const char *const *metadata, int64_t pairs) {
    const size_t key = strlen(PRUN__CRC_KEY), metadata_key = sizeof PRUN__CRC_METADATA;
    int64_t i, bytes = (int64_t)(sizeof(prun__crc) + metadata_key) + 9;
    const char **all;
    char *text;
    prun__crc *c;
    prun_status status;
    bytes += 2 * (pairs + count + 1) * (int64_t)sizeof *all;
    for (i = 0; i < count; i++) bytes += (int64_t)(key + strlen(tensors[i].name)) + 1 + 9;
    c = (prun__crc *)prun__alloc(context, bytes, 1, "checks");
    if (!c) return PRUN_ERR_MEMORY;
    prun__crc_init(c);
    all = (const char **)(void *)(c + 1);
    text = (char *)(void *)(all + 2 * (pairs + count + 1));
    for (i = 0; i < 2 * pairs; i++) all[i] = metadata[i];
    for (i = 0; i <= count; i++) {
        const uint32_t crc = i < count ? prun__tensor_crc(c, &tensors[i])
                                       : prun__metadata_crc(c, all, pairs + count);
        all[2 * (pairs + i)] = text;
        text = strcpy(strcpy(text, PRUN__CRC_KEY) + key,
                      i < count ? tensors[i].name : &PRUN__CRC_METADATA[key]);
        text += strlen(text) + 1;
        all[2 * (pairs + i) + 1] = text;
        text += snprintf(text, 9, "%08lx", (unsigned long)crc) + 1;
    }
    status = prun_tensors_save_safetensors(context, tensors, count, all, pairs + count + 1, path);
    prun__free(context, c);
    return status;
}

/* [CHECKPOINT.I] nets and trainers as safetensors */
/*
   Everything is read and checked before the net changes.
*/
PRUNDEF prun_status prun_net_save_safetensors(const prun_net *net, const char *path) {
    static const char *const metadata[4] = {"format", "pt", "prunability.h", PRUNABILITY_VERSION};
    if (!net->parameters)
        return prun__fail(net->context, PRUN_ERR_ARGUMENT, "the net is not finished");
    return prun__tensors_save_with_crc(net->context, path, net->tensor, net->tensors, metadata, 2);
}

/* A shape as text: "16x3x3x3". */
static const char *prun__shape_text(const int64_t *shape, int32_t rank, char text[96]) {
    int32_t d, n = 0;
    strcpy(text, "()");
    for (d = 0; d < rank && n < 70; d++)
        n += snprintf(text + n, 96 - (size_t)n, d ? "x%lld" : "%lld", (long long)shape[d]);
    return text;
}

/* Before the names of the momentum's tensors. */
#define PRUN__MOMENTUM "momentum."

/* Length of the layer's name in the name of a tensor. */
static size_t prun__layer_name_length(const char *tensor) {
    const char *dot = strrchr(tensor, '.');
    return dot ? (size_t)(dot - tensor) : 0;
}

/* The longest name of a layer that `name` begins with, up to a dot: its length, or -1; *known: the
   net has a tensor of just this name. */
static int64_t prun__net_find_layer(const prun_net *net, const char *name, int *known) {
    int64_t i, best = -1;
    *known = 0;
    for (i = 0; i < net->tensors && !*known; i++) {
        const char *tensor = net->tensor[i].name;
        const size_t length = prun__layer_name_length(tensor);
        *known = strcmp(name, tensor) == 0;
        if (strncmp(name, tensor, length) == 0 && name[length] == '.')
            best = PRUN__MAX(best, (int64_t)length);
    }
    return best;
}

/* What to do about a tensor that a layer has no place for. */
static const char *prun__unexpected_advice(const char *field) {
    if (strcmp(field, "bias") == 0) return "the net has to be built with a bias there";
    if (strncmp(field, "running_", 8) == 0) return "the net needs a batch norm there";
    if (strstr(field, "_orig") || strstr(field, "_mask"))
        return "call torch.nn.utils.prune.remove before saving (or remove_spectral_norm)";
    if (strstr(field, "parametrizations.") || strcmp(field, "weight_g") == 0 ||
        strcmp(field, "weight_v") == 0 || strcmp(field, "weight_u") == 0)
        return "remove the parametrization (weight or spectral norm) before saving";
    return "the network that was saved is another one";
}

/* Fails if a tensor belongs by its name to a layer of the net, but has no place there: it would be
   silently left out. PyTorch's count of batches has no meaning here. */
static prun_status prun__net_check_unexpected(const prun_net *net, const prun_safetensors *file,
                                              const char *prefix) {
    const size_t skip = prefix ? strlen(prefix) : 0;
    const int state = skip == 0 && prun_safetensors_metadata(file, "trainer.epochs") != NULL;
    int64_t i, length;
    int known;
    for (i = 0; i < file->count; i++) {
        const char *name = file->placed[i].entry.name, *rest = name + skip;
        if (skip && strncmp(name, prefix, skip) != 0) continue;
        length = prun__net_find_layer(net, rest, &known);
        if (known || length < 0 || strcmp(rest + length, ".num_batches_tracked") == 0) continue;
        if (state && strncmp(rest, PRUN__MOMENTUM, strlen(PRUN__MOMENTUM)) == 0) {
            prun__net_find_layer(net, rest + strlen(PRUN__MOMENTUM), &known);
            if (known) continue;
        }
        return prun__fail(net->context, PRUN_ERR_SHAPE,
                          "%s: tensor %s has no place in layer %.*s of the net; %s", file->path,
                          name, (int)PRUN__MIN(length, 80), rest,
                          prun__unexpected_advice(rest + length + 1));
    }
    return PRUN_OK;
}

/* Finds what precedes the names of all these tensors in the file, if one of them is missing. */
static int prun__safetensors_find_prefix(const prun_safetensors *file, const char *missing,
                                         const prun_tensor *tensors, int64_t count,
                                         char prefix[100]) {
    const size_t tail = strlen(missing);
    int64_t i, j;
    for (i = 0; i < file->count; i++) {
        const char *name = file->placed[i].entry.name;
        const size_t length = strlen(name);
        if (length < tail || length - tail >= 100 || strcmp(name + length - tail, missing) != 0)
            continue;
        memcpy(prefix, name, length - tail);
        prefix[length - tail] = 0;
        for (j = 0; j < count; j++)
            if (!prun__safetensors_find_prefixed(file, prefix, tensors[j].name)) break;
        if (j == count) return 1;
    }
    return 0;
}

/* Fails because of a missing tensor; says so if only the prefix is wrong. */
static prun_status prun__missing_tensor_fail(prun_context *context, const prun_safetensors *file,
                                             const char *prefix, const char *missing,
                                             const prun_tensor *tensors, int64_t count) {
    char right[100];
    if (!prefix) prefix = "";
    if (!prun__safetensors_find_prefix(file, missing, tensors, count, right))
        return prun__fail(context, PRUN_ERR_MISSING, "%s: tensor %s%s is missing", file->path,
                          prefix, missing);
    return prun__fail(context, PRUN_ERR_MISSING,
                      "%s: tensor %s%s is missing, but is there with the prefix \"%s\"", file->path,
                      prefix, missing, right);
}

/* Reads one tensor of the net, if the entry has its shape. */
static prun_status prun__tensor_load(prun_context *context, prun_safetensors *file,
                                     const prun_safetensors_entry *e, const prun_tensor *t,
                                     float *out) {
    char has[96], wants[96];
    int same;
    int64_t at;
    int32_t d;
    same = e->rank == t->rank;
    for (d = 0; same && d < t->rank; d++) same = e->shape[d] == t->shape[d];
    if (!same)
        return prun__fail(context, PRUN_ERR_SHAPE, "%s: tensor %s is %s, the net wants %s",
                          file->path, e->name, prun__shape_text(e->shape, e->rank, has),
                          prun__shape_text(t->shape, t->rank, wants));
    PRUN__TRY(prun_safetensors_read_f32(file, e, out));
    at = prun__values_find_nonfinite(out, e->count);
    if (at >= 0)
        return prun__fail(context, PRUN_ERR_NONFINITE, "%s: tensor %s: element %lld is not finite",
                          file->path, e->name, (long long)at);
    return PRUN_OK;
}

/* Reads all of `tensors`, one after the other. */
static prun_status prun__tensors_load(prun_context *context, prun_safetensors *file,
                                      const char *prefix, const prun_tensor *tensors, int64_t count,
                                      float *out) {
    int64_t i;
    for (i = 0; i < count; i++) {
        const prun_safetensors_entry *e =
            prun__safetensors_find_prefixed(file, prefix, tensors[i].name);
        if (!e)
            return prun__missing_tensor_fail(context, file, prefix, tensors[i].name, tensors,
                                             count);
        PRUN__TRY(prun__tensor_load(context, file, e, &tensors[i], out));
        out += prun_tensor_size(&tensors[i]);
    }
    return PRUN_OK;
}

/* Loads into the net and, if not NULL, the momentum: all of it or nothing. */
static prun_status prun__net_load_state(prun_net *net, prun_safetensors *file, const char *prefix,
                                        float *velocity) {
    const int64_t total = net->parameter_count + net->statistic_count;
    prun_status status;
    float *all;
    int64_t i, at = 0;
    if (!net->parameters)
        return prun__fail(net->context, PRUN_ERR_ARGUMENT, "the net is not finished");
    PRUN__TRY(prun__net_check_unexpected(net, file, prefix));
    if (velocity) PRUN__TRY(prun__net_check_unexpected(net, file, PRUN__MOMENTUM));
    all = (float *)prun__alloc(net->context, total + net->parameter_count, sizeof(float),
                               "checkpoint");
    if (!all) return PRUN_ERR_MEMORY;
    status = prun__tensors_load(net->context, file, prefix, net->tensor, net->tensors, all);
    if (velocity && status == PRUN_OK)
        status = prun__tensors_load(net->context, file, PRUN__MOMENTUM, net->trained,
                                    net->trained_count, all + total);
    for (i = 0; i < net->tensors && status == PRUN_OK; i++) {
        const int64_t size = prun_tensor_size(&net->tensor[i]);
        memcpy(net->tensor[i].data, all + at, (size_t)size * sizeof(float));
        at += size;
    }
    if (velocity && status == PRUN_OK)
        memcpy(velocity, all + total, (size_t)net->parameter_count * sizeof(float));
    prun__free(net->context, all);
    return status;
}

PRUNDEF prun_status prun_net_read_safetensors(prun_net *net, prun_safetensors *file,
                                              const char *prefix) {
    return prun__net_load_state(net, file, prefix, NULL);
}

PRUNDEF prun_status prun_net_load_safetensors(prun_net *net, const char *path, const char *prefix) {
    prun_safetensors *file;
    prun_status status;
    PRUN__TRY(prun_safetensors_open(net->context, path, &file));
    status = prun_net_read_safetensors(net, file, prefix);
    prun_safetensors_close(file);
    return status;
}

#ifndef PRUNABILITY_NO_TRAIN
/* What a trainer's file says in its metadata beside the tensors. The first two are restored, the
   others have to be the same. */
enum { PRUN__STATES = 5, PRUN__RESTORED = 2 };
static const char *const prun__state_keys[PRUN__STATES] = {
    "trainer.epochs", "trainer.steps", "trainer.seed", "trainer.batch", "trainer.images"};

/* The values of prun__state_keys, as text. */
static void prun__state_fill_values(const prun_trainer *t, char values[PRUN__STATES][24]) {
    snprintf(values[0], 24, "%lld", (long long)t->epoch);
    snprintf(values[1], 24, "%lld", (long long)t->steps);
    snprintf(values[2], 24, "%llu", (unsigned long long)t->options.seed);
    snprintf(values[3], 24, "%lld", (long long)t->options.batch);
    snprintf(values[4], 24, "%lld", (long long)t->count);
}

/* The momentum as tensors behind the net's own; names: where to put theirs. */
static void prun__state_fill_tensors(const prun_trainer *t, prun_tensor *tensors, char *names) {
    const prun_net *net = t->net;
    int64_t i;
    memcpy(tensors, net->tensor, (size_t)net->tensors * sizeof *tensors);
    for (i = 0; i < net->trained_count; i++) {
        prun_tensor *v = &tensors[net->tensors + i];
        *v = net->trained[i];
        v->data = t->velocity + (net->trained[i].data - net->parameters);
        v->name = strcpy(names, PRUN__MOMENTUM);
        strcpy(names + strlen(names), net->trained[i].name);
        names += strlen(names) + 1;
    }
}

PRUNDEF prun_status prun_trainer_save_safetensors(const prun_trainer *t, const char *path) {
    const prun_net *net = t->net;
    const int64_t count = net->tensors + net->trained_count;
    const char *metadata[4 + 2 * PRUN__STATES] = {"format", "pt", "prunability.h",
                                                  PRUNABILITY_VERSION};
    char values[PRUN__STATES][24], *names;
    int64_t i, length = 1;
    prun_tensor *tensors;
    prun_status status = PRUN_ERR_MEMORY;
    prun__state_fill_values(t, values);
    for (i = 0; i < PRUN__STATES; i++) {
        metadata[4 + 2 * i] = prun__state_keys[i];
        metadata[5 + 2 * i] = values[i];
    }
    for (i = 0; i < net->trained_count; i++)
        length += (int64_t)(strlen(net->trained[i].name) + sizeof PRUN__MOMENTUM);
    tensors = (prun_tensor *)prun__alloc(net->context, count, sizeof *tensors, "tensors");
    names = (char *)prun__alloc(net->context, length, 1, "names");
    if (tensors && names) {
        prun__state_fill_tensors(t, tensors, names);
        status = prun__tensors_save_with_crc(net->context, path, tensors, count, metadata,
                                             2 + PRUN__STATES);
    }
    prun__free(net->context, names);
    prun__free(net->context, tensors);
    return status;
}

PRUNDEF prun_status prun_trainer_read_safetensors(prun_trainer *t, prun_safetensors *file) {
    prun_context *context = t->net->context;
    char values[PRUN__STATES][24], *end;
    int64_t position[PRUN__RESTORED];
    int i;
    prun__state_fill_values(t, values);
    for (i = 0; i < PRUN__STATES; i++) {
        const char *key = prun__state_keys[i], *text = prun_safetensors_metadata(file, key);
        if (!text)
            return prun__fail(context, PRUN_ERR_MISSING, "%s: no state of training: %s is missing",
                              file->path, key);
        if (i >= PRUN__RESTORED && strcmp(text, values[i]) != 0)
            return prun__fail(context, PRUN_ERR_ARGUMENT, "%s: %s is %s, the trainer has %s",
                              file->path, key, text, values[i]);
        if (i >= PRUN__RESTORED) continue;
        position[i] = strtoll(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || position[i] == INT64_MAX)
            return prun__fail(context, PRUN_ERR_FORMAT, "%s: %s is not a count: %s", file->path,
                              key, text);
    }
    PRUN__TRY(prun__net_load_state(t->net, file, NULL, t->velocity));
    t->epoch = position[0];
    t->steps = position[1];
    return PRUN_OK;
}

PRUNDEF prun_status prun_trainer_load_safetensors(prun_trainer *trainer, const char *path) {
    prun_safetensors *file;
    prun_status status;
    PRUN__TRY(prun_safetensors_open(trainer->net->context, path, &file));
    status = prun_trainer_read_safetensors(trainer, file);
    prun_safetensors_close(file);
    return status;
}
#endif

/* A tensor that a family must have, with its rank. */
static prun_status prun__arch_find_tensor(const prun_safetensors *file, const char *prefix,
                                          const char *name, int32_t rank,
                                          const prun_safetensors_entry **entry) {
    *entry = prun__safetensors_find_prefixed(file, prefix, name);
    if (!*entry) return prun__missing_tensor_fail(file->context, file, prefix, name, NULL, 0);
    if ((*entry)->rank != rank)
        return prun__fail(file->context, PRUN_ERR_SHAPE, "%s: tensor %s has rank %d, not %d",
                          file->path, (*entry)->name, (int)(*entry)->rank, (int)rank);
    return PRUN_OK;
}

PRUNDEF prun_status prun_arch_read_safetensors(const prun_safetensors *file, prun_family family,
                                               const char *prefix, prun_arch *arch) {
    static const char *const first[3] = {"conv0.weight", "block0_conv0.weight", "conv1.weight"};
    static const char *const last[3] = {"fc.weight", "head.weight", "linear.weight"};
    const prun_safetensors_entry *stem, *head;
    prun_arch a;
    char name[40];
    if (family < PRUN_FAMILY_CNN || family > PRUN_FAMILY_RESNET18)
        return prun__fail(file->context, PRUN_ERR_ARGUMENT, "unknown family %d", (int)family);
    PRUN__TRY(prun__arch_find_tensor(file, prefix, first[family], 4, &stem));
    PRUN__TRY(prun__arch_find_tensor(file, prefix, last[family], family == PRUN_FAMILY_NIN ? 4 : 2,
                                     &head));
    memset(&a, 0, sizeof a);
    a.family = family;
    a.width = stem->shape[0];
    a.image_channels = stem->shape[1];
    a.classes = head->shape[0];
    if (family == PRUN_FAMILY_NIN) {
        for (a.depth = 0; a.depth < 1000; a.depth++) {
            snprintf(name, sizeof name, "block%d_conv0.weight", (int)a.depth);
            if (!prun__safetensors_find_prefixed(file, prefix, name)) break;
        }
    }
    *arch = a;
    return PRUN_OK;
}
#endif

/* [NPY.I] NumPy arrays, and data sets made of two */
/*
   Magic, version, length and text of a header, then the elements.
*/
#ifndef PRUNABILITY_NO_FILES

/* An open file and what its header says. */
typedef struct prun__npy {
    prun__file file;
    prun_array array; /* without elements */
    const prun__type *type;
    int big, fortran;
} prun__npy;

/* "<f4" and the like. */
static prun_status prun__npy_read_type(prun__json *j, prun__npy *n) {
    const char *text, *name;
    prun__json_read_space(j);
    if (j->at < j->end && *j->at == '[')
        return prun__fail(j->context, PRUN_ERR_UNSUPPORTED, "%s: an array of records", j->path);
    PRUN__TRY(prun__json_read_string(j, &text));
    name = text + (*text && strchr("<>=|", *text) ? 1 : 0);
    n->type = prun__type_find(name, 1);
    if (!n->type)
        return prun__fail(j->context, PRUN_ERR_UNSUPPORTED,
                          "%s: elements of type %.20s, neither float16, 32, 64, bool nor integers",
                          j->path, text);
    n->big = *text == '>' || (*text != '<' && prun__host_is_big_endian());
    n->array.dtype = n->type->dtype;
    return PRUN_OK;
}

/* {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } */
static prun_status prun__npy_read_dictionary(prun__json *j, prun__npy *n) {
    int seen[3] = {0, 0, 0}, key;
    if (!prun__json_read_char(j, '{')) return prun__json_fail(j, "the header is not a dictionary");
    while (!prun__json_read_char(j, '}')) {
        const char *name;
        PRUN__TRY(prun__json_read_string(j, &name));
        key = strcmp(name, "descr") == 0 ? 0 : strcmp(name, "fortran_order") == 0 ? 1 : 2;
        if (key == 2 && strcmp(name, "shape") != 0) return prun__json_fail(j, "unknown key");
        if (seen[key]++) return prun__json_fail(j, "key given twice");
        if (!prun__json_read_char(j, ':')) return prun__json_fail(j, ": expected");
        prun__json_read_space(j);
        if (key == 0) {
            PRUN__TRY(prun__npy_read_type(j, n));
        } else if (key == 2) {
            PRUN__TRY(
                prun__json_read_integers(j, n->array.shape, PRUN_MAX_FILE_RANK, &n->array.rank));
        } else {
            n->fortran = j->end - j->at >= 4 && memcmp(j->at, "True", 4) == 0;
            if (!n->fortran && (j->end - j->at < 5 || memcmp(j->at, "False", 5) != 0))
                return prun__json_fail(j, "True or False expected");
            j->at += n->fortran ? 4 : 5;
        }
        if (prun__json_read_char(j, ',')) continue;
        if (!prun__json_read_char(j, '}')) return prun__json_fail(j, "} expected");
        break;
    }
    prun__json_read_space(j);
    if (j->at != j->end) return prun__json_fail(j, "text after the header");
    return seen[0] && seen[1] && seen[2]
               ? PRUN_OK
               : prun__json_fail(j, "descr, fortran_order or shape is missing");
}

/* Reads the header and checks that the file has just the elements it announces. */
static prun_status prun__npy_read_header(prun_context *context, prun__npy *n) {
    unsigned char bytes[12] = {0};
    int64_t length, start, total = 1;
    int32_t i;
    char *text;
    prun__json j;
    prun_status status;
    if (n->file.size >= 12) PRUN__TRY(prun__file_read(context, &n->file, bytes, 8));
    if (memcmp(bytes, "\x93NUMPY", 6) != 0)
        PRUN__TRY(prun__file_check_kind(context, &n->file, PRUN__NPY));
    if (n->file.size < 12)
        return prun__fail(context, PRUN_ERR_TRUNCATED, "%s: no npy header", n->file.path);
    if (memcmp(bytes, "\x93NUMPY", 6) != 0)
        return prun__fail(context, PRUN_ERR_MAGIC, "%s: not an npy file", n->file.path);
    if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
        return prun__fail(context, PRUN_ERR_UNSUPPORTED, "%s: npy version %d.%d", n->file.path,
                          (int)bytes[6], (int)bytes[7]);
    start = bytes[6] == 1 ? 10 : 12;
    PRUN__TRY(prun__file_read(context, &n->file, bytes + 8, start - 8));
    length = (int64_t)(bytes[8] | (uint32_t)bytes[9] << 8 | (uint32_t)bytes[10] << 16 |
                       (uint32_t)bytes[11] << 24);
    if (length > n->file.size - start)
        return prun__fail(context, PRUN_ERR_TRUNCATED, "%s: header of %lld bytes in a file of %lld",
                          n->file.path, (long long)length, (long long)n->file.size);
    if (length > 1 << 20) /* plain arrays need a few hundred */
        return prun__fail(context, PRUN_ERR_FORMAT, "%s: header of %lld bytes", n->file.path,
                          (long long)length);
    text = (char *)prun__alloc(context, length + 1, 1, "npy header");
    if (!text) return PRUN_ERR_MEMORY;
    j = prun__json_make(context, n->file.path, text, length, 1);
    status = prun__file_read(context, &n->file, text, length);
    if (status == PRUN_OK) status = prun__npy_read_dictionary(&j, n);
    prun__free(context, text);
    PRUN__TRY(status);
    for (i = 0; i < n->array.rank; i++) total = prun__size_product(total, n->array.shape[i]);
    n->array.count = total;
    total = prun__size_product(total, n->type->bits / 8);
    if (total < 0 || total > INT64_MAX - start - length)
        return prun__fail(context, PRUN_ERR_OVERFLOW, "%s: shape overflows", n->file.path);
    return prun__file_check_size(context, &n->file, start + length + total);
}

/* Reads the elements; stride: of each axis in memory, in elements. */
static prun_status prun__npy_read_elements(prun_context *context, prun__npy *n,
                                           const int64_t *stride, prun__sink *s) {
    int32_t i;
    s->axes = n->array.rank;
    for (i = 0; i < s->axes; i++) {
        const int32_t axis = n->fortran ? s->axes - 1 - i : i;
        s->size[i] = n->array.shape[axis];
        s->stride[i] = stride[axis];
    }
    return prun__file_read_elements(context, &n->file, NULL, n->type, n->big, s);
}

/* Reads an open file with its elements. n->array owns the memory, also after a failure. */
static prun_status prun__npy_read_array(prun_context *context, prun__npy *n) {
    prun_array *a = &n->array;
    int64_t stride[PRUN_MAX_FILE_RANK], step = 1;
    prun__sink sink;
    int32_t i;
    PRUN__TRY(prun__npy_read_header(context, n));
    memset(&sink, 0, sizeof sink);
    a->context = context;
    if (prun__dtype_is_float(a->dtype))
        sink.floats = a->values = (float *)prun__alloc(context, a->count, sizeof(float), "array");
    else if (a->dtype == PRUN_DTYPE_U8 || a->dtype == PRUN_DTYPE_BOOL)
        sink.bytes = a->bytes = (uint8_t *)prun__alloc(context, a->count, 1, "array");
    else
        sink.integers = a->integers =
            (int64_t *)prun__alloc(context, a->count, sizeof(int64_t), "array");
    if (!sink.floats && !sink.bytes && !sink.integers) return PRUN_ERR_MEMORY;
    if (a->count == 0) return PRUN_OK; /* the other sizes may be anything */
    for (i = a->rank - 1; i >= 0; step *= a->shape[i--]) stride[i] = step;
    return prun__npy_read_elements(context, n, stride, &sink);
}

PRUNDEF prun_status prun_array_load_npy(prun_context *context, const char *path,
                                        prun_array *array) {
    prun__npy n;
    prun_status status;
    memset(&n, 0, sizeof n);
    PRUN__TRY(prun__file_open(context, path, &n.file));
    status = prun__npy_read_array(context, &n);
    fclose(n.file.stream);
    if (status == PRUN_OK) *array = n.array;
    else prun_array_free(&n.array);
    return status;
}

PRUNDEF void prun_array_free(prun_array *array) {
    if (!array) return;
    prun__free(array->context, array->values);
    prun__free(array->context, array->integers);
    prun__free(array->context, array->bytes);
    memset(array, 0, sizeof *array);
}

/* Checks the labels of a set whose count is known, and finds the number of classes. */
static prun_status prun__npy_check_labels(prun_context *context, const char *path,
                                          const prun_array *a, const prun_npy_options *o,
                                          prun_images *m) {
    int64_t i;
    if (a->values)
        return prun__fail(context, PRUN_ERR_UNSUPPORTED, "%s: labels are floats, not integers",
                          path);
    if (a->rank < 1 || a->count != m->count || a->shape[0] != m->count)
        return prun__fail(context, PRUN_ERR_SHAPE, "%s: %lld labels for %lld images", path,
                          (long long)a->count, (long long)m->count);
    m->classes = o->classes;
    for (i = 0; i < a->count; i++) {
        const int64_t label = a->bytes ? a->bytes[i] : a->integers[i];
        const int64_t classes = o->classes ? o->classes : INT32_MAX;
        if (label < 0 || label >= classes)
            return prun__label_fail(context, path, label, i, classes);
        if (!o->classes) m->classes = PRUN__MAX(m->classes, label + 1);
    }
    return PRUN_OK;
}

/* Shape of the set, and the strides that bring the file's axes into the order N, C, H, W. */
static prun_status prun__npy_set_shape(prun_context *context, const prun__npy *n,
                                       prun_layout layout, prun_images *m, int64_t stride[4]) {
    const int64_t *shape = n->array.shape;
    const int32_t rank = n->array.rank;
    int last;
    if (rank != 3 && rank != 4)
        return prun__fail(context, PRUN_ERR_SHAPE, "%s: images of %d axes, neither 3 nor 4",
                          n->file.path, (int)rank);
    if (!prun__dtype_is_float(n->array.dtype) && n->array.dtype != PRUN_DTYPE_U8)
        return prun__fail(context, PRUN_ERR_UNSUPPORTED, "%s: images are neither uint8 nor floats",
                          n->file.path);
    last = rank == 4 && (layout == PRUN_LAYOUT_NHWC ||
                         (layout == PRUN_LAYOUT_AUTO && shape[3] <= 4 && shape[1] > 4));
    m->count = shape[0];
    m->channels = rank == 3 ? 1 : shape[last ? 3 : 1];
    m->height = shape[rank == 3 || last ? 1 : 2];
    m->width = shape[rank == 3 || last ? 2 : 3];
    if (n->array.count == 0)
        return prun__fail(context, PRUN_ERR_SHAPE, "%s: no images, or images without pixels",
                          n->file.path);
    stride[0] = prun__image_size(m);
    stride[rank - 1] = 1;
    stride[rank - 2] = m->width;
    if (rank == 4) stride[1] = m->height * m->width;
    if (last) {
        stride[1] = m->width;
        stride[2] = 1;
        stride[3] = m->height * m->width;
    }
    return PRUN_OK;
}

/* Reads the images of an open file whose header is read, and takes over their labels. The set keeps
   its storage after a failure. */
static prun_status prun__npy_load(prun_context *context, prun__npy *n, const char *label_path,
                                  const prun_array *labels, const prun_npy_options *o,
                                  prun_images *m) {
    const int floats = prun__dtype_is_float(n->array.dtype);
    int64_t stride[4], i;
    prun__sink sink;
    int32_t *to = NULL;
    void *pixels = NULL;
    PRUN__TRY(prun__npy_set_shape(context, n, o->layout, m, stride));
    PRUN__TRY(prun__npy_check_labels(context, label_path, labels, o, m));
    PRUN__TRY(prun__images_make(context, m, floats ? sizeof(float) : 1, &to, &pixels));
    for (i = 0; i < m->count; i++)
        to[i] = (int32_t)(labels->bytes ? labels->bytes[i] : labels->integers[i]);
    memset(&sink, 0, sizeof sink);
    if (floats) sink.floats = (float *)pixels;
    else sink.bytes = (uint8_t *)pixels;
    PRUN__TRY(prun__npy_read_elements(context, n, stride, &sink));
    i = floats ? prun__values_find_nonfinite(sink.floats, n->array.count) : -1;
    if (i >= 0)
        return prun__fail(context, PRUN_ERR_NONFINITE, "%s: image %lld: value %lld is not finite",
                          n->file.path, (long long)(i / prun__image_size(m)),
                          (long long)(i % prun__image_size(m)));
    return PRUN_OK;
}

PRUNDEF prun_npy_options prun_npy_resolved(const prun_npy_options *options) {
    prun_npy_options o;
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    return o;
}

PRUNDEF prun_status prun_images_load_npy(prun_context *context, const char *image_path,
                                         const char *label_path, const prun_npy_options *options,
                                         prun_images *images) {
    const prun_npy_options o = prun_npy_resolved(options);
    prun__npy n;
    prun_array labels;
    prun_images m;
    prun_status status;
    memset(&n, 0, sizeof n);
    memset(&labels, 0, sizeof labels);
    memset(&m, 0, sizeof m);
    if (o.classes < 0 || o.classes > INT32_MAX || o.layout < PRUN_LAYOUT_AUTO ||
        o.layout > PRUN_LAYOUT_NHWC)
        return prun__fail(context, PRUN_ERR_ARGUMENT, "npy options: classes %lld, layout %d",
                          (long long)o.classes, (int)o.layout);
    PRUN__TRY(prun__file_open(context, image_path, &n.file));
    status = prun__npy_read_header(context, &n);
    if (status == PRUN_OK) status = prun_array_load_npy(context, label_path, &labels);
    if (status == PRUN_OK) status = prun__npy_load(context, &n, label_path, &labels, &o, &m);
    fclose(n.file.stream);
    prun_array_free(&labels);
    if (status == PRUN_OK) *images = m;
    else prun__free(context, m.storage);
    return status;
}
#endif

/* [CSV.I] tables of models from CSV */
/*
   The text is read whole, cut into cells in place, and columns are typed afterwards.
*/
#if !defined(PRUNABILITY_NO_FILES) && !defined(PRUNABILITY_NO_STATS)

/* A text that is cut into cells where it stands: quotes are taken out, ends become 0. */
typedef struct prun__csv {
    prun_context *context;
    const char *path;
    char *at, *end; /* *end can be written */
    char separator;
    const char **cells; /* of all records, one after the other */
    int64_t *lines;     /* where each record begins */
    int64_t count, records, columns, line;
} prun__csv;

/* Fails with a line and a column, both counted from 1. */
static prun_status prun__csv_fail(const prun__csv *c, int64_t line, int64_t column,
                                  const char *what) {
    return prun__fail(c->context, PRUN_ERR_FORMAT, "%s: line %lld, column %lld: %s", c->path,
                      (long long)line, (long long)column, what);
}

/* A quoted field: moves its text together at *to, and c->at behind the closing quote. */
static prun_status prun__csv_read_quoted(prun__csv *c, int64_t column, char **to) {
    const int64_t line = c->line;
    for (c->at++; c->at < c->end; c->at++) {
        if (*c->at == '"' && *++c->at != '"') return PRUN_OK;
        if (*c->at == '\0') return prun__csv_fail(c, c->line, column, "zero byte, not a text");
        if (c->at < c->end && *c->at == '\n') c->line++;
        *(*to)++ = *c->at;
    }
    return prun__csv_fail(c, line, column, "quote without end");
}

/* One field, without blanks around it; *tail is where it ends, c->at on what ends it. */
static prun_status prun__csv_read_field(prun__csv *c, int64_t column, char **tail) {
    int quoted;
    while (c->at < c->end && *c->at == ' ') c->at++;
    c->cells[c->count++] = *tail = c->at;
    quoted = c->at < c->end && *c->at == '"';
    if (quoted) PRUN__TRY(prun__csv_read_quoted(c, column, tail));
    for (; c->at < c->end; c->at++) {
        if (*c->at == c->separator || *c->at == '\n' || *c->at == '\r') break;
        if (*c->at == '\0') return prun__csv_fail(c, c->line, column, "zero byte, not a text");
        if (*c->at == ' ') continue;
        if (quoted) return prun__csv_fail(c, c->line, column, "text behind a closing quote");
        *tail = c->at + 1;
    }
    return PRUN_OK;
}

/* One line, or several where quoted fields contain ends of lines. */
static prun_status prun__csv_read_record(prun__csv *c) {
    const int64_t line = c->line;
    int64_t fields = 0;
    char stop, *tail, text[120];
    do {
        PRUN__TRY(prun__csv_read_field(c, ++fields, &tail));
        stop = c->at < c->end ? *c->at : '\n';
        *tail = '\0';
        c->at++;
    } while (stop == c->separator);
    if (stop == '\r' && c->at < c->end && *c->at == '\n') c->at++;
    c->line++;
    if (c->records == 0) c->columns = fields;
    c->lines[c->records++] = line;
    if (fields == c->columns) return PRUN_OK;
    snprintf(text, sizeof text, "%lld fields, the header has %lld%s", (long long)fields,
             (long long)c->columns,
             fields > c->columns && c->separator == ',' ? " (is there a decimal comma?)" : "");
    return prun__csv_fail(c, line, PRUN__MIN(fields, c->columns) + 1, text);
}

/* All records; lines without a character but blanks are none. */
static prun_status prun__csv_read_records(prun__csv *c) {
    for (;;) {
        char *start = c->at;
        while (start < c->end && (*start == ' ' || *start == '\r')) start++;
        if (start >= c->end) return PRUN_OK;
        if (*start == '\n') {
            c->at = start + 1;
            c->line++;
            continue;
        }
        PRUN__TRY(prun__csv_read_record(c));
    }
}

typedef struct prun__word {
    const char *text;
    int64_t index;
} prun__word;

/* Ascending texts; equal ones in the order of their indices. */
static int prun__by_word(const void *left, const void *right) {
    const prun__word *a = (const prun__word *)left, *b = (const prun__word *)right;
    const int order = strcmp(a->text, b->text);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

/* Whether a text cell means that a value is missing. "none" in small letters is a setting. */
static int prun__cell_is_missing(const char *cell) {
    static const char *const words[] = {
        "",     ".",    "?",      "NA",      "N/A",   "#N/A",    "#N/A N/A", "#NA",
        "<NA>", "NULL", "#NULL!", "#DIV/0!", "#NUM!", "#VALUE!", "#REF!",    "#NAME?"};
    size_t i;
    for (i = 0; i < sizeof words / sizeof *words; i++)
        if (prun__text_is_word(cell, words[i])) return 1;
    return strcmp(cell, "None") == 0 || prun__text_is_nan(cell + (*cell == '-' || *cell == '+'));
}

/* A column of text: every cell becomes the row where its text stands first. */
static void prun__csv_fill_words(double *v, int64_t count, prun__word *words) {
    int64_t i, first = 0;
    qsort(words, (size_t)count, sizeof *words, prun__by_word);
    for (i = 0; i < count; i++) {
        if (strcmp(words[i].text, words[first].text) != 0) first = i;
        v[words[i].index] = (double)words[first].index;
    }
}

/* Values and kind of a column. */
static uint8_t prun__csv_fill_column(const prun_table *t, int64_t column, prun__word *words) {
    double *v = t->values + column * t->rows;
    int64_t i, numbers = 0, count = 0;
    for (i = 0; i < t->rows; i++) {
        const char *cell = t->cells[i * t->columns + column];
        const int missing = prun__cell_is_missing(cell);
        v[i] = PRUN__NAN;
        if (missing) continue;
        numbers += prun__number_read(cell, &v[i]);
        words[count].text = cell;
        words[count++].index = i;
    }
    if (numbers == count) return PRUN_COLUMN_NUMBERS;
    prun__csv_fill_words(v, count, words);
    return numbers > 0 ? PRUN_COLUMN_MIXED : PRUN_COLUMN_TEXT;
}

/* Columns without a name may be many; other names are unique. */
static prun_status prun__csv_check_names(const prun__csv *c, prun__word *words) {
    char text[120];
    int64_t i;
    for (i = 0; i < c->columns; i++) {
        words[i].text = c->cells[i];
        words[i].index = i;
    }
    qsort(words, (size_t)c->columns, sizeof *words, prun__by_word);
    for (i = 1; i < c->columns; i++) {
        if (*words[i].text == '\0' || strcmp(words[i].text, words[i - 1].text) != 0) continue;
        snprintf(text, sizeof text, "the name %.60s stands in column %lld already", words[i].text,
                 (long long)words[i - 1].index + 1);
        return prun__csv_fail(c, c->lines[0], words[i].index + 1, text);
    }
    return PRUN_OK;
}

/* Cells to values. */
static prun_status prun__csv_fill_table(prun__csv *c, prun_table *t) {
    const int64_t cells = prun__size_product(c->records - 1, c->columns);
    prun__word *words;
    uint8_t *text;
    prun_status status;
    int64_t i;
    t->rows = c->records - 1;
    t->columns = c->columns;
    t->names = c->cells;
    t->cells = c->cells + c->columns;
    t->lines = c->lines + 1;
    words = (prun__word *)prun__alloc(c->context, PRUN__MAX(c->records, c->columns), sizeof *words,
                                      "table");
    t->storage[2] = prun__alloc(
        c->context, prun__size_sum(prun__size_product(cells, 8), c->columns), 1, "table");
    status = words && t->storage[2] ? prun__csv_check_names(c, words) : PRUN_ERR_MEMORY;
    if (status == PRUN_OK) {
        t->values = (double *)t->storage[2];
        t->text = text = (uint8_t *)(t->values + cells);
        for (i = 0; i < t->columns; i++) text[i] = prun__csv_fill_column(t, i, words);
    }
    prun__free(c->context, words);
    return status;
}

/* A first line "sep=;" names the separator, for spreadsheets. */
static prun_status prun__csv_read_separator(prun__csv *c) {
    const int quoted = *c->at == '"';
    const char *s = prun__text_after(c->at + quoted, "sep=");
    char *end;
    if (!s) return PRUN_OK;
    end = c->at + (s - c->at) + (*s != '\0' && *s != '\n' && *s != '\r');
    if (quoted && *end == '"') end++;
    while (*end == ' ') end++;
    if (*end != '\0' && *end != '\n' && *end != '\r') return PRUN_OK; /* a name like others */
    if (!strchr(",;\t|:", *s) || *s == '\0')
        return prun__csv_fail(c, 1, 1, "the separator of \"sep=\" must be one of , ; | : or tab");
    c->separator = *s;
    c->at = end;
    if (*c->at == '\r') c->at++;
    if (*c->at == '\n') c->at++;
    c->line = 2;
    return PRUN_OK;
}

/* Skips a byte-order mark, finds the separator, and makes room for as many cells as can be. */
static prun_status prun__csv_begin(prun__csv *c, prun_table *t) {
    int64_t cells = 2, records = 2;
    int quoted = 0, content = 0;
    const char *s;
    c->line = 1;
    if (c->end - c->at >= 3 && memcmp(c->at, "\xef\xbb\xbf", 3) == 0) c->at += 3;
    PRUN__TRY(prun__csv_read_separator(c));
    for (s = c->at; s < c->end; s++) {
        quoted ^= *s == '"';
        if (!c->separator && !quoted && (*s == ',' || *s == ';' || *s == '\t')) c->separator = *s;
        content |= *s != ' ' && *s != '\n' && *s != '\r';
        if (!c->separator && !quoted && content && (*s == '\n' || *s == '\r')) c->separator = ',';
        cells +=
            *s == ',' || *s == ';' || *s == '\t' || *s == c->separator || *s == '\n' || *s == '\r';
        records += *s == '\n' || *s == '\r';
    }
    if (!c->separator) c->separator = ',';
    t->storage[1] =
        prun__alloc(c->context, prun__size_product(prun__size_sum(cells, records), 8), 1, "table");
    if (!t->storage[1]) return PRUN_ERR_MEMORY;
    c->cells = (const char **)t->storage[1];
    c->lines = (int64_t *)(void *)(c->cells + cells);
    return PRUN_OK;
}

/* Cuts a text that is read as a whole into records and cells, and fills the table. */
static prun_status prun__csv_read_table(prun__csv *c, prun_table *t) {
    PRUN__TRY(prun__csv_begin(c, t));
    PRUN__TRY(prun__csv_read_records(c));
    if (c->records == 0) return prun__csv_fail(c, 1, 1, "empty, a header line is needed");
    return prun__csv_fill_table(c, t);
}

/* Opens a file, or a pipe, whose size is not known before its end. */
static prun_status prun__csv_open(prun_context *context, const char *path, prun__file *file) {
#if PRUN__UNIX
    struct stat status;
    if (path && stat(path, &status) == 0 && S_ISFIFO(status.st_mode)) {
        file->path = path;
        file->size = 0;
        file->stream = fopen(path, "rb");
        if (file->stream) return PRUN_OK;
        return prun__fail(context, PRUN_ERR_OPEN, "%s: cannot be opened: %s", path,
                          strerror(errno));
    }
#endif
    return prun__file_open(context, path, file);
}

/* Room for at least `bytes` of text and a byte behind it; what was read moves along. */
static prun_status prun__csv_make_room(prun__csv *c, prun_table *t, int64_t bytes) {
    const int64_t length = (int64_t)strlen(c->path) + 1, used = c->at ? c->end - c->at : 0;
    char *block = (char *)prun__alloc(c->context, prun__size_sum(bytes, length + 1), 1, "table");
    if (!block) return PRUN_ERR_MEMORY;
    memcpy(block, c->path, (size_t)length);
    if (used > 0) memcpy(block + length, c->at, (size_t)used);
    prun__free(c->context, t->storage[0]);
    t->storage[0] = block;
    t->source = block;
    c->at = block + length;
    c->end = c->at + used;
    return PRUN_OK;
}

/* Reads everything, whatever the size was said to be: a pipe has none, and a file may grow. */
static prun_status prun__csv_read_text(prun__csv *c, prun_table *t, prun__file *file) {
    const int64_t most = 1 << 30; /* as prun__file_read */
    int64_t room = PRUN__MAX(file->size, 16383) + 1, used = 0, got;
    do {
        if (used == 0 || used == room) {
            room = used ? prun__size_sum(room, room) : room;
            PRUN__TRY(prun__csv_make_room(c, t, room));
        }
        got = (int64_t)fread(c->end, 1, (size_t)PRUN__MIN(room - used, most), file->stream);
        c->end += got;
        if (used == 0)
            PRUN__TRY(prun__bytes_check_kind(c->context, c->path, (const unsigned char *)c->at,
                                             PRUN__MIN(got, 512), PRUN__MAX(file->size, got),
                                             PRUN__CSV));
        used += got;
    } while (got > 0);
    if (ferror(file->stream))
        return prun__fail(c->context, PRUN_ERR_READ, "%s: read error", c->path);
    *c->end = '\0';
    return PRUN_OK;
}

PRUNDEF prun_status prun_table_load_csv(prun_context *context, const char *path,
                                        prun_table *table) {
    prun__file file;
    prun__csv c;
    prun_table t;
    prun_status status;
    memset(&c, 0, sizeof c);
    memset(&t, 0, sizeof t);
    t.context = c.context = context;
    c.path = path;
    PRUN__TRY(prun__csv_open(context, path, &file));
    status = prun__csv_read_text(&c, &t, &file);
    fclose(file.stream);
    if (status == PRUN_OK) status = prun__csv_read_table(&c, &t);
    if (status == PRUN_OK) *table = t;
    else prun_table_free(&t);
    return status;
}
#endif

/* [BINDINGS.I] the layout of the public structs */
/*
   One row per field of a public struct, checked against the declarations by the tests.
*/

#define PRUN__FIELD(structure, field, type) \
    { \
#structure, #field, type, (int64_t)offsetof(structure, field), \
            (int64_t)sizeof(((structure *)0)->field) \
    }

static const prun_field prun__field_table[] = {
    PRUN__FIELD(prun_context, allocate, "void *(*)(void *, size_t)"),
    PRUN__FIELD(prun_context, release, "void (*)(void *, void *)"),
    PRUN__FIELD(prun_context, allocator_user, "void *"),
    PRUN__FIELD(prun_context, parallel_for,
                "void (*)(void *, void (*)(void *, int64_t), void *, int64_t)"),
    PRUN__FIELD(prun_context, parallel_user, "void *"),
    PRUN__FIELD(prun_context, threads, "int64_t"),
    PRUN__FIELD(prun_context, status, "prun_status"),
    PRUN__FIELD(prun_context, message, "char[256]"),
    PRUN__FIELD(prun_tensor, data, "float *"),
    PRUN__FIELD(prun_tensor, name, "const char *"),
    PRUN__FIELD(prun_tensor, shape, "int64_t[PRUN_MAX_RANK]"),
    PRUN__FIELD(prun_tensor, rank, "int32_t"),
    PRUN__FIELD(prun_tensor, flags, "uint32_t"),
    PRUN__FIELD(prun_conv2d, in_channels, "int64_t"),
    PRUN__FIELD(prun_conv2d, in_height, "int64_t"),
    PRUN__FIELD(prun_conv2d, in_width, "int64_t"),
    PRUN__FIELD(prun_conv2d, out_channels, "int64_t"),
    PRUN__FIELD(prun_conv2d, kernel, "int64_t[2]"),
    PRUN__FIELD(prun_conv2d, stride, "int64_t[2]"),
    PRUN__FIELD(prun_conv2d, padding, "int64_t[4]"),
    PRUN__FIELD(prun_conv2d, algorithm, "prun_algorithm"),
    PRUN__FIELD(prun_images, count, "int64_t"),
    PRUN__FIELD(prun_images, channels, "int64_t"),
    PRUN__FIELD(prun_images, height, "int64_t"),
    PRUN__FIELD(prun_images, width, "int64_t"),
    PRUN__FIELD(prun_images, classes, "int64_t"),
    PRUN__FIELD(prun_images, pixels, "const uint8_t *"),
    PRUN__FIELD(prun_images, values, "const float *"),
    PRUN__FIELD(prun_images, labels, "const int32_t *"),
    PRUN__FIELD(prun_images, normalization, "prun_normalization"),
    PRUN__FIELD(prun_images, mean, "float[PRUN_MAX_IMAGE_CHANNELS]"),
    PRUN__FIELD(prun_images, std, "float[PRUN_MAX_IMAGE_CHANNELS]"),
    PRUN__FIELD(prun_images, storage, "void *"),
    PRUN__FIELD(prun_images, context, "prun_context *"),
    PRUN__FIELD(prun_augment, crop_padding, "int64_t"),
    PRUN__FIELD(prun_augment, shift, "int64_t"),
    PRUN__FIELD(prun_augment, flip, "int32_t"),
    PRUN__FIELD(prun_pass, augment, "const prun_augment *"),
    PRUN__FIELD(prun_pass, seed, "uint64_t"),
    PRUN__FIELD(prun_pass, stream, "uint64_t"),
    PRUN__FIELD(prun_pass, freeze_statistics, "int32_t"),
#ifndef PRUNABILITY_NO_NET
    PRUN__FIELD(prun_conv2d_options, channels, "int64_t"),
    PRUN__FIELD(prun_conv2d_options, kernel, "int64_t[2]"),
    PRUN__FIELD(prun_conv2d_options, stride, "int64_t[2]"),
    PRUN__FIELD(prun_conv2d_options, padding, "int64_t[4]"),
    PRUN__FIELD(prun_conv2d_options, padding_mode, "prun_padding"),
    PRUN__FIELD(prun_conv2d_options, algorithm, "prun_algorithm"),
    PRUN__FIELD(prun_conv2d_options, omit_bias, "int32_t"),
    PRUN__FIELD(prun_arch, family, "prun_family"),
    PRUN__FIELD(prun_arch, width, "int64_t"),
    PRUN__FIELD(prun_arch, depth, "int64_t"),
    PRUN__FIELD(prun_arch, classes, "int64_t"),
    PRUN__FIELD(prun_arch, image_channels, "int64_t"),
    PRUN__FIELD(prun_arch, image_height, "int64_t"),
    PRUN__FIELD(prun_arch, image_width, "int64_t"),
    PRUN__FIELD(prun_arch, dropout, "double"),
    PRUN__FIELD(prun_arch, symmetric_padding, "int32_t"),
    PRUN__FIELD(prun_arch, pytorch_defaults, "int32_t"),
    PRUN__FIELD(prun_arch, seed, "uint64_t"),
    PRUN__FIELD(prun_pass_outputs, gradient, "float *"),
    PRUN__FIELD(prun_pass_outputs, logits, "float *"),
    PRUN__FIELD(prun_pass_outputs, sum, "double *"),
    PRUN__FIELD(prun_pass_outputs, wrong, "int64_t *"),
    PRUN__FIELD(prun_margin_outputs, margins, "double *"),
    PRUN__FIELD(prun_margin_outputs, spread, "double *"),
#endif
    PRUN__FIELD(prun_objective, user, "void *"),
    PRUN__FIELD(prun_objective, context, "prun_context *"),
    PRUN__FIELD(prun_objective, tensors, "const prun_tensor *"),
    PRUN__FIELD(prun_objective, tensor_count, "int64_t"),
    PRUN__FIELD(prun_objective, initial, "const prun_tensor *"),
    PRUN__FIELD(prun_objective, samples, "int64_t"),
    PRUN__FIELD(prun_objective, classes, "int64_t"),
    PRUN__FIELD(prun_objective, nonnegative, "int32_t"),
    PRUN__FIELD(prun_objective, loss,
                "prun_status (*)(const prun_objective *, const int64_t *, int64_t, double *, "
                "double *, int64_t *)"),
    PRUN__FIELD(prun_objective, gradient,
                "prun_status (*)(const prun_objective *, const int64_t *, int64_t, float *, "
                "double *)"),
    PRUN__FIELD(prun_objective, hessian_vector,
                "prun_status (*)(const prun_objective *, const int64_t *, int64_t, "
                "const float *, float *)"),
    PRUN__FIELD(prun_objective, logits,
                "prun_status (*)(const prun_objective *, const int64_t *, int64_t, float *)"),
    PRUN__FIELD(prun_objective, labels, "const int32_t *"),
    PRUN__FIELD(prun_objective, net, "prun_net *"),
    PRUN__FIELD(prun_objective, images, "const prun_images *"),
    PRUN__FIELD(prun_epoch, epoch, "int64_t"),
    PRUN__FIELD(prun_epoch, epochs, "int64_t"),
    PRUN__FIELD(prun_epoch, learning_rate, "double"),
    PRUN__FIELD(prun_epoch, loss, "double"),
    PRUN__FIELD(prun_epoch, error_rate, "double"),
    PRUN__FIELD(prun_epoch, evaluated_loss, "double"),
    PRUN__FIELD(prun_epoch, steps, "int64_t"),
    PRUN__FIELD(prun_epoch, gradient_noise, "double"),
#ifndef PRUNABILITY_NO_TRAIN
    PRUN__FIELD(prun_train_options, epochs, "int64_t"),
    PRUN__FIELD(prun_train_options, batch, "int64_t"),
    PRUN__FIELD(prun_train_options, learning_rate, "double"),
    PRUN__FIELD(prun_train_options, momentum, "double"),
    PRUN__FIELD(prun_train_options, weight_decay, "double"),
    PRUN__FIELD(prun_train_options, decay, "prun_decay"),
    PRUN__FIELD(prun_train_options, schedule, "prun_schedule"),
    PRUN__FIELD(prun_train_options, schedule_epochs, "int64_t"),
    PRUN__FIELD(prun_train_options, schedule_factor, "double"),
    PRUN__FIELD(prun_train_options, augment, "prun_augment"),
    PRUN__FIELD(prun_train_options, seed, "uint64_t"),
    PRUN__FIELD(prun_train_options, evaluate, "int32_t"),
    PRUN__FIELD(prun_train_options, noise_pairs, "int64_t"),
    PRUN__FIELD(prun_train_options, on_epoch, "int (*)(void *, const prun_epoch *)"),
    PRUN__FIELD(prun_train_options, user, "void *"),
#endif
    PRUN__FIELD(prun_prune_options, method, "prun_prune_method"),
    PRUN__FIELD(prun_prune_options, scope, "prun_prune_scope"),
    PRUN__FIELD(prun_prune_options, include_biases, "int32_t"),
    PRUN__FIELD(prun_prune_options, include_norms, "int32_t"),
    PRUN__FIELD(prun_prune_options, grid, "int64_t"),
    PRUN__FIELD(prun_prune_options, beta, "double[PRUN_MAX_BETAS]"),
    PRUN__FIELD(prun_prune_options, beta_count, "int64_t"),
    PRUN__FIELD(prun_prune_options, repetitions, "int64_t"),
    PRUN__FIELD(prun_prune_options, seed, "uint64_t"),
    PRUN__FIELD(prun_prune_options, progress, "int (*)(void *, int64_t, int64_t)"),
    PRUN__FIELD(prun_prune_options, user, "void *"),
    PRUN__FIELD(prun_prunability_answer, beta, "double"),
    PRUN__FIELD(prun_prunability_answer, threshold, "double"),
    PRUN__FIELD(prun_prunability_answer, kept_fraction, "double"),
    PRUN__FIELD(prun_prunability_answer, kept, "int64_t"),
    PRUN__FIELD(prun_prunability_answer, loss, "double"),
    PRUN__FIELD(prun_prunability, base_loss, "double"),
    PRUN__FIELD(prun_prunability, prunable, "int64_t"),
    PRUN__FIELD(prun_prunability, prunable_tensors, "int64_t"),
    PRUN__FIELD(prun_prunability, grid, "int64_t"),
    PRUN__FIELD(prun_prunability, answer_count, "int64_t"),
    PRUN__FIELD(prun_prunability, answer, "prun_prunability_answer[PRUN_MAX_BETAS]"),
    PRUN__FIELD(prun_prunability, passes, "double"),
    PRUN__FIELD(prun_perturb_options, noise, "prun_noise"),
    PRUN__FIELD(prun_perturb_options, epsilon, "double"),
    PRUN__FIELD(prun_perturb_options, fraction, "double"),
    PRUN__FIELD(prun_perturb_options, norm, "double"),
    PRUN__FIELD(prun_perturb_options, match_norm, "int32_t"),
    PRUN__FIELD(prun_perturb_options, include_biases, "int32_t"),
    PRUN__FIELD(prun_perturb_options, include_norms, "int32_t"),
    PRUN__FIELD(prun_perturb_options, draws, "int64_t"),
    PRUN__FIELD(prun_perturb_options, restarts, "int64_t"),
    PRUN__FIELD(prun_perturb_options, seed, "uint64_t"),
    PRUN__FIELD(prun_perturb_options, beta, "double"),
    PRUN__FIELD(prun_perturb_options, displacement, "double"),
    PRUN__FIELD(prun_perturb_options, first, "double"),
    PRUN__FIELD(prun_perturb_options, cap, "double"),
    PRUN__FIELD(prun_perturb_options, precision, "double"),
    PRUN__FIELD(prun_perturb_options, steps, "int64_t"),
    PRUN__FIELD(prun_perturb_options, batch, "int64_t"),
    PRUN__FIELD(prun_perturb_options, progress, "int (*)(void *, int64_t, int64_t)"),
    PRUN__FIELD(prun_perturb_options, user, "void *"),
    PRUN__FIELD(prun_radius, state, "prun_radius_state"),
    PRUN__FIELD(prun_radius, radius, "double"),
    PRUN__FIELD(prun_radius, infeasible, "double"),
    PRUN__FIELD(prun_radius, standard_error, "double"),
    PRUN__FIELD(prun_radius, flatness, "double"),
    PRUN__FIELD(prun_radius, base, "double"),
    PRUN__FIELD(prun_radius, threshold, "double"),
    PRUN__FIELD(prun_radius, reached, "double"),
    PRUN__FIELD(prun_radius, passes, "double"),
#ifndef PRUNABILITY_NO_HESSIAN
    PRUN__FIELD(prun_hessian_options, scope, "prun_hessian_scope"),
    PRUN__FIELD(prun_hessian_options, mask, "const uint8_t *"),
    PRUN__FIELD(prun_hessian_options, summed, "int32_t"),
    PRUN__FIELD(prun_hessian_options, index, "const int64_t *"),
    PRUN__FIELD(prun_hessian_options, samples, "int64_t"),
    PRUN__FIELD(prun_hessian_options, use_differences, "int32_t"),
    PRUN__FIELD(prun_hessian_options, step, "double"),
    PRUN__FIELD(prun_hessian_options, steps, "int64_t"),
    PRUN__FIELD(prun_hessian_options, probes, "int64_t"),
    PRUN__FIELD(prun_hessian_options, smallest, "int32_t"),
    PRUN__FIELD(prun_hessian_options, seed, "uint64_t"),
    PRUN__FIELD(prun_hessian_options, progress, "int (*)(void *, int64_t, int64_t)"),
    PRUN__FIELD(prun_hessian_options, user, "void *"),
    PRUN__FIELD(prun_estimate, value, "double"),
    PRUN__FIELD(prun_estimate, standard_error, "double"),
    PRUN__FIELD(prun_estimate, quadrature_error, "double"),
    PRUN__FIELD(prun_estimate, count, "int64_t"),
    PRUN__FIELD(prun_estimate, difference_error, "double"),
    PRUN__FIELD(prun_estimate, error, "double"),
    PRUN__FIELD(prun_difference, step, "double"),
    PRUN__FIELD(prun_difference, error, "double"),
    PRUN__FIELD(prun_difference, noise, "double"),
    PRUN__FIELD(prun_difference, gradients, "int64_t"),
    PRUN__FIELD(prun_spectrum, parameters, "int64_t"),
    PRUN__FIELD(prun_spectrum, probes, "int64_t"),
    PRUN__FIELD(prun_spectrum, steps, "int64_t"),
    PRUN__FIELD(prun_spectrum, values, "double *"),
    PRUN__FIELD(prun_spectrum, weights, "double *"),
    PRUN__FIELD(prun_spectrum, diagonal, "double *"),
    PRUN__FIELD(prun_spectrum, couplings, "double *"),
    PRUN__FIELD(prun_spectrum, context, "prun_context *"),
    PRUN__FIELD(prun_spectrum, difference_error, "double"),
    PRUN__FIELD(prun_spectrum, difference_noise, "double"),
    PRUN__FIELD(prun_effective_dimension, z, "double"),
    PRUN__FIELD(prun_effective_dimension, ritz, "double"),
    PRUN__FIELD(prun_effective_dimension, ritz_fraction, "double"),
    PRUN__FIELD(prun_effective_dimension, estimate, "prun_estimate"),
    PRUN__FIELD(prun_effective_dimension, fraction, "prun_estimate"),
#endif
    PRUN__FIELD(prun_spectral_norm_result, norm, "double"),
    PRUN__FIELD(prun_spectral_norm_result, residual, "double"),
    PRUN__FIELD(prun_spectral_norm_result, iterations, "int64_t"),
    PRUN__FIELD(prun_spectral_norm_result, error, "double"),
    PRUN__FIELD(prun_power_law, alpha, "double"),
    PRUN__FIELD(prun_power_law, sigma, "double"),
    PRUN__FIELD(prun_power_law, least, "double"),
    PRUN__FIELD(prun_power_law, distance, "double"),
    PRUN__FIELD(prun_power_law, tail, "int64_t"),
    PRUN__FIELD(prun_weight_spectrum_result, count, "int64_t"),
    PRUN__FIELD(prun_weight_spectrum_result, sum, "double"),
    PRUN__FIELD(prun_weight_spectrum_result, largest, "double"),
    PRUN__FIELD(prun_weight_spectrum_result, law, "prun_power_law"),
    PRUN__FIELD(prun_weight_spectrum_result, log_alpha_norm, "double"),
    PRUN__FIELD(prun_weight_spectrum_result, stable_rank, "double"),
    PRUN__FIELD(prun_weight_spectrum_result, spectral_entropy, "double"),
    PRUN__FIELD(prun_weight_spectrum_result, soft_rank, "double"),
    PRUN__FIELD(prun_dropout_bound, empirical, "double"),
    PRUN__FIELD(prun_dropout_bound, kept, "double"),
    PRUN__FIELD(prun_dropout_bound, squared_norm, "double"),
    PRUN__FIELD(prun_dropout_bound, sigma, "double"),
    PRUN__FIELD(prun_dropout_bound, samples, "int64_t"),
    PRUN__FIELD(prun_dropout_bound, delta, "double"),
    PRUN__FIELD(prun_dropout_bound, candidates, "double"),
    PRUN__FIELD(prun_dropout_bound, lambda, "double"),
    PRUN__FIELD(prun_gradient_moments_result, samples, "int64_t"),
    PRUN__FIELD(prun_gradient_moments_result, parameters, "int64_t"),
    PRUN__FIELD(prun_gradient_moments_result, squared_norm, "double"),
    PRUN__FIELD(prun_gradient_moments_result, uncentred_trace, "double"),
    PRUN__FIELD(prun_gradient_moments_result, centred_trace, "double"),
    PRUN__FIELD(prun_gradient_moments_result, signal_to_noise, "double"),
    PRUN__FIELD(prun_measure_info, name, "const char *"),
    PRUN__FIELD(prun_measure_info, source, "const char *"),
    PRUN__FIELD(prun_measure_info, what, "const char *"),
    PRUN__FIELD(prun_measure_info, direction, "int32_t"),
    PRUN__FIELD(prun_measure_info, needs, "uint32_t"),
    PRUN__FIELD(prun_measure_info, traits, "uint32_t"),
    PRUN__FIELD(prun_measure_options, beta, "double"),
    PRUN__FIELD(prun_measure_options, include_biases, "int32_t"),
    PRUN__FIELD(prun_measure_options, include_norms, "int32_t"),
    PRUN__FIELD(prun_measure_options, grid, "int64_t"),
    PRUN__FIELD(prun_measure_options, repetitions, "int64_t"),
    PRUN__FIELD(prun_measure_options, draws, "int64_t"),
    PRUN__FIELD(prun_measure_options, restarts, "int64_t"),
    PRUN__FIELD(prun_measure_options, precision, "double"),
    PRUN__FIELD(prun_measure_options, displacement, "double"),
    PRUN__FIELD(prun_measure_options, delta, "double"),
    PRUN__FIELD(prun_measure_options, sigma, "double"),
    PRUN__FIELD(prun_measure_options, noise_batch, "int64_t"),
    PRUN__FIELD(prun_measure_options, noise_pairs, "int64_t"),
    PRUN__FIELD(prun_measure_options, hessian_samples, "int64_t"),
    PRUN__FIELD(prun_measure_options, hessian_steps, "int64_t"),
    PRUN__FIELD(prun_measure_options, hessian_probes, "int64_t"),
    PRUN__FIELD(prun_measure_options, z, "double"),
    PRUN__FIELD(prun_measure_options, weight_decay, "double"),
    PRUN__FIELD(prun_measure_options, least_eigenvalues, "int64_t"),
    PRUN__FIELD(prun_measure_options, halve_convolutions, "int32_t"),
    PRUN__FIELD(prun_measure_options, seed, "uint64_t"),
    PRUN__FIELD(prun_measure_options, history, "const prun_epoch *"),
    PRUN__FIELD(prun_measure_options, epochs, "int64_t"),
    PRUN__FIELD(prun_measure_options, seconds, "double (*)(void *)"),
    PRUN__FIELD(prun_measure_options, progress, "int (*)(void *, int64_t, int64_t)"),
    PRUN__FIELD(prun_measure_options, user, "void *"),
    PRUN__FIELD(prun_measure_result, value, "double"),
    PRUN__FIELD(prun_measure_result, standard_error, "double"),
    PRUN__FIELD(prun_measure_result, seconds, "double"),
    PRUN__FIELD(prun_measure_result, status, "prun_status"),
    PRUN__FIELD(prun_measure_result, message, "char[200]"),
#ifndef PRUNABILITY_NO_STATS
    PRUN__FIELD(prun_kendall, n, "int64_t"),
    PRUN__FIELD(prun_kendall, tau_a, "double"),
    PRUN__FIELD(prun_kendall, tau_b, "double"),
    PRUN__FIELD(prun_kendall, tau_c, "double"),
    PRUN__FIELD(prun_kendall, p, "double"),
    PRUN__FIELD(prun_kendall, p_normal, "double"),
    PRUN__FIELD(prun_kendall, standard_error, "double"),
    PRUN__FIELD(prun_kendall, p_is_exact, "int32_t"),
    PRUN__FIELD(prun_kendall, reason, "const char *"),
    PRUN__FIELD(prun_axes, n, "int64_t"),
    PRUN__FIELD(prun_axes, count, "int64_t"),
    PRUN__FIELD(prun_axes, values, "const double *const *"),
    PRUN__FIELD(prun_axes, seed, "const double *"),
    PRUN__FIELD(prun_axes, seeds, "prun_seeds"),
    PRUN__FIELD(prun_granulated, psi, "double[PRUN_MAX_AXES]"),
    PRUN__FIELD(prun_granulated, psi_standard_error, "double[PRUN_MAX_AXES]"),
    PRUN__FIELD(prun_granulated, groups, "int64_t[PRUN_MAX_AXES]"),
    PRUN__FIELD(prun_granulated, reason, "const char *[PRUN_MAX_AXES]"),
    PRUN__FIELD(prun_granulated, mean, "double"),
    PRUN__FIELD(prun_granulated, mean_standard_error, "double"),
    PRUN__FIELD(prun_granulated, axis_count, "int64_t"),
    PRUN__FIELD(prun_information, axis, "int32_t[2]"),
    PRUN__FIELD(prun_information, cells, "int64_t"),
    PRUN__FIELD(prun_information, pairs, "double"),
    PRUN__FIELD(prun_information, information, "double"),
    PRUN__FIELD(prun_information, entropy_x, "double"),
    PRUN__FIELD(prun_information, entropy_y, "double"),
    PRUN__FIELD(prun_information, value, "double"),
    PRUN__FIELD(prun_information, symmetric, "double"),
    PRUN__FIELD(prun_cmi, k, "double"),
    PRUN__FIELD(prun_cmi, symmetric, "double"),
    PRUN__FIELD(prun_cmi, best, "int64_t"),
    PRUN__FIELD(prun_cmi, subset_count, "int64_t"),
    PRUN__FIELD(prun_cmi, subset, "prun_information[PRUN_MAX_SUBSETS]"),
    PRUN__FIELD(prun_cmi, reason, "const char *"),
    PRUN__FIELD(prun_regression_options, folds, "int64_t"),
    PRUN__FIELD(prun_regression_options, contiguous, "int32_t"),
    PRUN__FIELD(prun_regression_options, seed, "uint64_t"),
    PRUN__FIELD(prun_regression_data, x, "const double *const *"),
    PRUN__FIELD(prun_regression_data, variables, "int64_t"),
    PRUN__FIELD(prun_regression_data, y, "const double *"),
    PRUN__FIELD(prun_regression_data, n, "int64_t"),
    PRUN__FIELD(prun_regression_outputs, coefficients, "double *"),
    PRUN__FIELD(prun_regression_outputs, standardized, "double *"),
    PRUN__FIELD(prun_regression_outputs, fitted, "double *"),
    PRUN__FIELD(prun_regression_outputs, crossfitted, "double *"),
    PRUN__FIELD(prun_regression, n, "int64_t"),
    PRUN__FIELD(prun_regression, variables, "int64_t"),
    PRUN__FIELD(prun_regression, rank, "int64_t"),
    PRUN__FIELD(prun_regression, folds, "int64_t"),
    PRUN__FIELD(prun_regression, intercept, "double"),
    PRUN__FIELD(prun_regression, r2, "double"),
    PRUN__FIELD(prun_regression, adjusted_r2, "double"),
    PRUN__FIELD(prun_regression, cv_r2, "double"),
    PRUN__FIELD(prun_regression, cv_r2_training, "double"),
    PRUN__FIELD(prun_regression, cv_r2_folds, "double"),
    PRUN__FIELD(prun_regression, best, "int64_t"),
    PRUN__FIELD(prun_regression, reason, "const char *"),
    PRUN__FIELD(prun_regression, infinite, "int64_t"),
    PRUN__FIELD(prun_runs, measure, "const double *"),
    PRUN__FIELD(prun_runs, target, "const double *"),
    PRUN__FIELD(prun_runs, n, "int64_t"),
    PRUN__FIELD(prun_sign_error_options, test_samples, "double"),
    PRUN__FIELD(prun_sign_error_options, effective_size, "double"),
    PRUN__FIELD(prun_sign_error_summary, mean, "double"),
    PRUN__FIELD(prun_sign_error_summary, p90, "double"),
    PRUN__FIELD(prun_sign_error_summary, max, "double"),
    PRUN__FIELD(prun_sign_error_summary, environments, "int64_t"),
    PRUN__FIELD(prun_sign_error_summary, dropped, "int64_t"),
    PRUN__FIELD(prun_sign_error, all, "prun_sign_error_summary"),
    PRUN__FIELD(prun_sign_error, axis, "prun_sign_error_summary[PRUN_MAX_AXES]"),
    PRUN__FIELD(prun_sample, n, "int64_t"),
    PRUN__FIELD(prun_sample, measure, "const double *"),
    PRUN__FIELD(prun_sample, target, "const double *"),
    PRUN__FIELD(prun_sample, control, "const double *"),
    PRUN__FIELD(prun_sample, axes, "const prun_axes *"),
    PRUN__FIELD(prun_sample, cluster, "const double *"),
    PRUN__FIELD(prun_resampling_options, statistic, "prun_statistic"),
    PRUN__FIELD(prun_resampling_options, axis, "int32_t"),
    PRUN__FIELD(prun_resampling_options, resamples, "int64_t"),
    PRUN__FIELD(prun_resampling_options, level, "double"),
    PRUN__FIELD(prun_resampling_options, seed, "uint64_t"),
    PRUN__FIELD(prun_resampling_options, ties, "prun_ties"),
    PRUN__FIELD(prun_resampling_options, sign_error, "prun_sign_error_options"),
    PRUN__FIELD(prun_resampling_options, custom, "double (*)(void *, const int64_t *, int64_t)"),
    PRUN__FIELD(prun_resampling_options, user, "void *"),
    PRUN__FIELD(prun_interval, estimate, "double"),
    PRUN__FIELD(prun_interval, lower, "double"),
    PRUN__FIELD(prun_interval, upper, "double"),
    PRUN__FIELD(prun_interval, standard_error, "double"),
    PRUN__FIELD(prun_interval, bias, "double"),
    PRUN__FIELD(prun_interval, positive, "double"),
    PRUN__FIELD(prun_interval, p, "double"),
    PRUN__FIELD(prun_interval, used, "int64_t"),
    PRUN__FIELD(prun_interval, undefined, "int64_t"),
    PRUN__FIELD(prun_interval, reason, "const char *"),
    PRUN__FIELD(prun_table, rows, "int64_t"),
    PRUN__FIELD(prun_table, columns, "int64_t"),
    PRUN__FIELD(prun_table, names, "const char *const *"),
    PRUN__FIELD(prun_table, values, "double *"),
    PRUN__FIELD(prun_table, text, "const uint8_t *"),
    PRUN__FIELD(prun_table, cells, "const char **"),
    PRUN__FIELD(prun_table, lines, "int64_t *"),
    PRUN__FIELD(prun_table, source, "const char *"),
    PRUN__FIELD(prun_table, storage, "void *[3]"),
    PRUN__FIELD(prun_table, context, "prun_context *"),
#endif
#ifndef PRUNABILITY_NO_FILES
    PRUN__FIELD(prun_idx_options, classes, "int64_t"),
    PRUN__FIELD(prun_idx_options, channels, "int64_t"),
    PRUN__FIELD(prun_idx_options, pad_to, "int64_t"),
    PRUN__FIELD(prun_safetensors_entry, name, "const char *"),
    PRUN__FIELD(prun_safetensors_entry, dtype, "prun_dtype"),
    PRUN__FIELD(prun_safetensors_entry, rank, "int32_t"),
    PRUN__FIELD(prun_safetensors_entry, shape, "int64_t[PRUN_MAX_FILE_RANK]"),
    PRUN__FIELD(prun_safetensors_entry, count, "int64_t"),
    PRUN__FIELD(prun_array, dtype, "prun_dtype"),
    PRUN__FIELD(prun_array, rank, "int32_t"),
    PRUN__FIELD(prun_array, shape, "int64_t[PRUN_MAX_FILE_RANK]"),
    PRUN__FIELD(prun_array, count, "int64_t"),
    PRUN__FIELD(prun_array, values, "float *"),
    PRUN__FIELD(prun_array, integers, "int64_t *"),
    PRUN__FIELD(prun_array, bytes, "uint8_t *"),
    PRUN__FIELD(prun_array, context, "prun_context *"),
    PRUN__FIELD(prun_npy_options, classes, "int64_t"),
    PRUN__FIELD(prun_npy_options, layout, "prun_layout"),
#endif
    PRUN__FIELD(prun_field, structure, "const char *"),
    PRUN__FIELD(prun_field, name, "const char *"),
    PRUN__FIELD(prun_field, type, "const char *"),
    PRUN__FIELD(prun_field, offset, "int64_t"),
    PRUN__FIELD(prun_field, size, "int64_t"),
};

PRUNDEF const prun_field *prun_fields(int64_t *count) {
    *count = (int64_t)(sizeof prun__field_table / sizeof prun__field_table[0]);
    return prun__field_table;
}

/* Name and size of a struct. */
typedef struct prun__structure {
    const char *name;
    int64_t size;
} prun__structure;

#define PRUN__STRUCT(name) \
    { #name, (int64_t)sizeof(name) }

static const prun__structure prun__structures[] = {
    PRUN__STRUCT(prun_context),
    PRUN__STRUCT(prun_tensor),
    PRUN__STRUCT(prun_conv2d),
    PRUN__STRUCT(prun_images),
    PRUN__STRUCT(prun_augment),
    PRUN__STRUCT(prun_pass),
#ifndef PRUNABILITY_NO_NET
    PRUN__STRUCT(prun_conv2d_options),
    PRUN__STRUCT(prun_arch),
    PRUN__STRUCT(prun_pass_outputs),
    PRUN__STRUCT(prun_margin_outputs),
#endif
    PRUN__STRUCT(prun_objective),
    PRUN__STRUCT(prun_epoch),
#ifndef PRUNABILITY_NO_TRAIN
    PRUN__STRUCT(prun_train_options),
#endif
    PRUN__STRUCT(prun_prune_options),
    PRUN__STRUCT(prun_prunability_answer),
    PRUN__STRUCT(prun_prunability),
    PRUN__STRUCT(prun_perturb_options),
    PRUN__STRUCT(prun_radius),
#ifndef PRUNABILITY_NO_HESSIAN
    PRUN__STRUCT(prun_hessian_options),
    PRUN__STRUCT(prun_estimate),
    PRUN__STRUCT(prun_difference),
    PRUN__STRUCT(prun_spectrum),
    PRUN__STRUCT(prun_effective_dimension),
#endif
    PRUN__STRUCT(prun_spectral_norm_result),
    PRUN__STRUCT(prun_power_law),
    PRUN__STRUCT(prun_weight_spectrum_result),
    PRUN__STRUCT(prun_dropout_bound),
    PRUN__STRUCT(prun_gradient_moments_result),
    PRUN__STRUCT(prun_measure_info),
    PRUN__STRUCT(prun_measure_options),
    PRUN__STRUCT(prun_measure_result),
#ifndef PRUNABILITY_NO_STATS
    PRUN__STRUCT(prun_kendall),
    PRUN__STRUCT(prun_axes),
    PRUN__STRUCT(prun_granulated),
    PRUN__STRUCT(prun_information),
    PRUN__STRUCT(prun_cmi),
    PRUN__STRUCT(prun_regression_options),
    PRUN__STRUCT(prun_regression_data),
    PRUN__STRUCT(prun_regression_outputs),
    PRUN__STRUCT(prun_regression),
    PRUN__STRUCT(prun_runs),
    PRUN__STRUCT(prun_sign_error_options),
    PRUN__STRUCT(prun_sign_error_summary),
    PRUN__STRUCT(prun_sign_error),
    PRUN__STRUCT(prun_sample),
    PRUN__STRUCT(prun_resampling_options),
    PRUN__STRUCT(prun_interval),
    PRUN__STRUCT(prun_table),
#endif
#ifndef PRUNABILITY_NO_FILES
    PRUN__STRUCT(prun_idx_options),
    PRUN__STRUCT(prun_safetensors_entry),
    PRUN__STRUCT(prun_array),
    PRUN__STRUCT(prun_npy_options),
#endif
    PRUN__STRUCT(prun_field),
};

PRUNDEF int64_t prun_struct_size(const char *structure) {
    size_t i;
    for (i = 0; i < sizeof prun__structures / sizeof prun__structures[0]; i++)
        if (strcmp(prun__structures[i].name, structure) == 0) return prun__structures[i].size;
    return -1;
}

/* Private macros end here, so that a unity build does not see them; PRUN__OPENMP, PRUN__X86 and
   PRUN__STREAM_HESSIAN stay for the tests. */
#undef PRUN__ALL16
#undef PRUN__ALL8
#undef PRUN__ALL_LANES
#undef PRUN__AVX2
#undef PRUN__AVX512
#undef PRUN__BASE_MEMORY
#undef PRUN__CHANNEL_NEON
#undef PRUN__CLOEXEC
#undef PRUN__CMI_ROOM
#undef PRUN__CODES
#undef PRUN__CRC_KEY
#undef PRUN__CRC_METADATA
#undef PRUN__CURVED
#undef PRUN__DIGITS
#undef PRUN__DIMENSION
#undef PRUN__ENTER_CORRELATE
#undef PRUN__ENTER_IN
#undef PRUN__ENTER_NORM
#undef PRUN__ENTER_NORM_REST
#undef PRUN__ENTER_OUT
#undef PRUN__ENTER_SEARCHES
#undef PRUN__ENTER_TIER
#undef PRUN__ENTER_WINOGRAD
#undef PRUN__FIELD
#undef PRUN__FLAT
#undef PRUN__FOLD
#undef PRUN__FORKS
#undef PRUN__GAMMA
#undef PRUN__GNU
#undef PRUN__GRADIENT_BATCH
#undef PRUN__GROUPS_ROOM
#undef PRUN__INLINE
#undef PRUN__INNER
#undef PRUN__JOIN_ROOM
#undef PRUN__JUDGED
#undef PRUN__LABELLED
#undef PRUN__LANCZOS_PIECE
#undef PRUN__LARGEST_CHUNK
#undef PRUN__LEAST_EIGENVALUE
#undef PRUN__LSTAT
#undef PRUN__MARGINS
#undef PRUN__MAX
#undef PRUN__MEASURES
#undef PRUN__MIN
#undef PRUN__MOMENTUM
#undef PRUN__MOST_POINTS
#undef PRUN__NAN
#undef PRUN__NOISE_CHUNK
#undef PRUN__NORM
#undef PRUN__NO_ENTROPY
#undef PRUN__ONE_NEON
#undef PRUN__OPEN_FLAGS
#undef PRUN__OPEN_ROOM
#undef PRUN__PAIRS_ROOM
#undef PRUN__PIECES
#undef PRUN__PLAIN
#undef PRUN__POINTS
#undef PRUN__PREFETCH
#undef PRUN__PRINTF
#undef PRUN__PSI_ROOM
#undef PRUN__RANDOM
#undef PRUN__RESTRICT
#undef PRUN__ROLL
#undef PRUN__RUNGS
#undef PRUN__SEARCH
#undef PRUN__SHARED
#undef PRUN__SHARP
#undef PRUN__SIGN_ROOM
#undef PRUN__SMALLEST_CHUNK
#undef PRUN__SMALLEST_NOISE_CHUNK
#undef PRUN__SPARSE_DENSITY
#undef PRUN__SPARSE_PIXELS
#undef PRUN__SPARSE_STRIDED
#undef PRUN__SPARSE_WINOGRAD
#undef PRUN__SPECTRAL
#undef PRUN__SPECTRUM
#undef PRUN__START
#undef PRUN__STATISTIC_ROOM
#undef PRUN__STEP
#undef PRUN__STREAM_AUGMENT
#undef PRUN__STREAM_BOOTSTRAP
#undef PRUN__STREAM_DROPOUT
#undef PRUN__STREAM_FOLDS
#undef PRUN__STREAM_MASK
#undef PRUN__STREAM_MEASURE
#undef PRUN__STREAM_ORDER
#undef PRUN__STREAM_PERMUTE
#undef PRUN__STREAM_PERTURB
#undef PRUN__STREAM_PRUNE
#undef PRUN__STREAM_RESTART
#undef PRUN__STREAM_TRACE
#undef PRUN__STRUCT
#undef PRUN__SWEEP_BLOCK
#undef PRUN__SWEEP_FROM
#undef PRUN__TIER_REST
#undef PRUN__TRAIT
#undef PRUN__TRAIT_SHIFT
#undef PRUN__TRY
#undef PRUN__TURNS
#undef PRUN__UNIX
#undef PRUN__UNROLL
#undef PRUN__WAIT_NEON
#undef PRUN__WEIGHT_PIXELS
#undef PRUN__WINOGRAD_NOISE
#undef PRUN__WINOGRAD_SUM_NOISE
#undef PRUN__WINOGRAD_TILES
#undef PRUN__WORDS

#if defined(__clang__)
#pragma STDC FP_CONTRACT DEFAULT
#elif defined(__GNUC__) && !defined(__TINYC__)
#pragma GCC pop_options
#endif

#if defined(_MSC_VER)
#pragma warning(pop)
#endif

#endif /* PRUNABILITY_IMPLEMENTATION_INCLUDED */
#endif /* PRUNABILITY_IMPLEMENTATION */

/* [LICENSE] MIT */
/*
   MIT License

   Copyright (c) 2026 the prunability.h authors

   Permission is hereby granted, free of charge, to any person obtaining a copy
   of this software and associated documentation files (the "Software"), to deal
   in the Software without restriction, including without limitation the rights
   to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
   copies of the Software, and to permit persons to whom the Software is
   furnished to do so, subject to the following conditions:

   The above copyright notice and this permission notice shall be included in all
   copies or substantial portions of the Software.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
   IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
   FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
   AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
   LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
   OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
   SOFTWARE.
*/
