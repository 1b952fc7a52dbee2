/* data.h - finding and loading data sets, and deliberately wrong labels */
#ifndef DATA_H_INCLUDED
#define DATA_H_INCLUDED

#include "files.h"

/* ---- data sets ----------------------------------------------------------------------------- */

#define EX_DATA_DIRECTORY "examples/data"

/* Zero fields: one channel, stored size, all images, not normalized. CIFAR keeps its own format. */
typedef struct ex_data_request {
    const char *directory; /* EX_DATA_DIRECTORY is also searched for beside the program */
    const char *program;   /* argv[0] */
    int64_t channels, pad_to;
    int64_t train_images, test_images; /* only the first ones */
    prun_normalization normalization;  /* MEAN_STD: constants of the training images */
} ex_data_request;

typedef struct ex_data {
    prun_images train, test;
    char name[32];   /* of the data set, for tables */
    int32_t *labels; /* NULL, or training labels that replace those read; from malloc */
} ex_data;

enum { EX_TRAIN_IMAGES, EX_TRAIN_LABELS, EX_TEST_IMAGES, EX_TEST_LABELS };

/* File names: those shipped with the examples, those of the MNIST family's authors, and the binary
   files of CIFAR-10 and CIFAR-100. */
#define EX_DATA_SCHEMES 4

static inline const char *ex__data_name(int scheme, int part) {
    static const char *const names[EX_DATA_SCHEMES][4] = {
        {"fashion-mnist-train-images.idx3-ubyte", "fashion-mnist-train-labels.idx1-ubyte",
         "fashion-mnist-test-images.idx3-ubyte", "fashion-mnist-test-labels.idx1-ubyte"},
        {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
         "t10k-labels-idx1-ubyte"},
        {"data_batch_1.bin", "data_batch_1.bin", "test_batch.bin", "test_batch.bin"},
        {"train.bin", "train.bin", "test.bin", "test.bin"}};

    return names[scheme][part];
}

static inline void ex__data_path(ex_text *path, const char *directory, int scheme, int part) {
    path->length = 0;
    ex_text_add(path, "%s/%s", directory, ex__data_name(scheme, part));
}

/* Number of the naming scheme that a directory follows, -1 if there is no data in it. */
static inline int ex__data_scheme(const char *directory) {
    ex_text path = {NULL, 0, 0};
    int scheme;

    for (scheme = 0; scheme < EX_DATA_SCHEMES; scheme++) {
        FILE *file;

        ex__data_path(&path, directory, scheme, EX_TRAIN_IMAGES);
        file = ex_fopen(path.data, "rb");
        if (file != NULL) {
            fclose(file);
            break;
        }
    }
    ex_text_free(&path);
    return scheme < EX_DATA_SCHEMES ? scheme : -1;
}

/* Whether a directory holds the MNIST family's files still compressed, as distributed. */
static inline int ex__data_is_compressed(const char *directory) {
    ex_text path = {NULL, 0, 0};
    int scheme, found = 0;

    for (scheme = 0; scheme < 2 && !found; scheme++) {
        FILE *file;

        ex__data_path(&path, directory, scheme, EX_TRAIN_IMAGES);
        ex_text_add(&path, ".gz");
        file = ex_fopen(path.data, "rb");
        found = file != NULL;
        if (file != NULL) fclose(file);
    }
    ex_text_free(&path);
    return found;
}

/* Why a directory has no data. */
static inline const char *ex__data_problem(const char *directory) {
#ifdef EX_POSIX
    struct stat there;

    if (stat(directory, &there) != 0)
        return errno == ENOENT ? "there is no such directory" : strerror(errno);
    if (!S_ISDIR(there.st_mode)) return "not a directory";
#endif
    (void)directory;
    return "no data set in it";
}

/* Reports where data was searched for, and which files are needed. */
static inline void ex__data_missing(const ex_data_request *request, const char *tried) {
    if (ex__data_is_compressed(request->directory)) {
        ex_error(
            "%s: the files are compressed; unpack them and give --data data: mkdir -p data && "
            "for f in '%s'/*-ubyte.gz; do gzip -dc \"$f\" > \"data/$(basename \"$f\" .gz)\"; done",
            request->directory, request->directory);
        return;
    }
    ex_error("%s: %s%s%s; --data DIR names a directory with %s or %s (IDX files of the MNIST "
             "family), %s (CIFAR-10, binary) or %s (CIFAR-100, binary)",
             request->directory, ex__data_problem(request->directory),
             *tried != '\0' ? ", and none in " : "", tried, ex__data_name(0, EX_TRAIN_IMAGES),
             ex__data_name(1, EX_TRAIN_IMAGES), ex__data_name(2, EX_TRAIN_IMAGES),
             ex__data_name(3, EX_TRAIN_IMAGES));
}

/* Finds the directory to read. The default is relative to the project root, but programs are also
   started in the folders of examples/, or elsewhere by their path. Returns the naming scheme, -1
   after a message. */
static inline int ex__data_directory(const ex_data_request *request, ex_text *directory) {
    static const char *const beside[] = {"data", "../data", "../examples/data"};
    const char *program = request->program != NULL ? request->program : "";
    const char *slash = ex_last_separator(program);
    const int length = slash != NULL ? (int)(slash - program) : 1;
    ex_text tried = {NULL, 0, 0};
    int i, scheme = ex__data_scheme(request->directory);

    ex_text_add(directory, "%s", request->directory);
    ex_text_add(&tried, "%s", "");
    for (i = 0; scheme < 0 && i < 3 && strcmp(request->directory, EX_DATA_DIRECTORY) == 0; i++) {
        directory->length = 0;
        ex_text_add(directory, "%.*s/%s", length, slash != NULL ? program : ".", beside[i]);
        ex_text_add(&tried, "%s%s", i > 0 ? " or " : "", directory->data);
        scheme = ex__data_scheme(directory->data);
        if (scheme > 0) scheme = -1; /* another set there is not the default */
    }
    if (scheme < 0) ex__data_missing(request, tried.data);
    ex_text_free(&tried);
    return scheme;
}

/* Refuses an output that would overwrite a file of the data. Returns 0 or, after a message, the
   exit status. */
static inline int ex_data_apart(const ex_data_request *request, const char *option,
                                const char *path) {
    ex_text directory = {NULL, 0, 0}, file = {NULL, 0, 0};
    const int scheme = path != NULL ? ex__data_directory(request, &directory) : 0;
    int part, k, status = scheme < 0 ? EX_FAILED : 0;

    for (part = 0; path != NULL && status == 0 && part < 4; part++)
        for (k = 1; k <= (scheme == 2 && part == 0 ? 5 : 1) && status == 0; k++) {
            ex__data_path(&file, directory.data, scheme, part);
            if (scheme == 2 && part == 0) file.data[file.length - 5] = (char)('0' + k);
            status = ex_apart(option, path, "data", file.data);
        }
    ex_text_free(&directory);
    ex_text_free(&file);
    return status;
}

/* Loads the five files of CIFAR-10's training set, or one file. */
static inline prun_status ex__data_cifar(prun_context *context, const char *directory, int scheme,
                                         int part, prun_images *images) {
    const int64_t count = scheme == 2 && part == EX_TRAIN_IMAGES ? 5 : 1;
    ex_text path[5];
    const char *paths[5];
    prun_status status;
    int64_t i;

    memset(path, 0, sizeof path);
    for (i = 0; i < count; i++) {
        ex__data_path(&path[i], directory, scheme, part);
        if (count > 1) path[i].data[path[i].length - 5] = (char)('1' + i);
        paths[i] = path[i].data;
    }
    status = prun_images_load_cifar(context, paths, count, scheme == 2 ? 10 : 100, images);
    for (i = 0; i < count; i++) ex_text_free(&path[i]);
    return status;
}

/* Reads one of the two sets (first part: EX_TRAIN_IMAGES or EX_TEST_IMAGES), of which `limit`
   images will be used. */
static inline int ex__data_set(prun_context *context, const ex_data_request *request,
                               const char *directory, int scheme, int part, int64_t limit,
                               prun_images *images) {
    ex_text image_path = {NULL, 0, 0}, label_path = {NULL, 0, 0};
    prun_idx_options options = {0, 0, 0};
    prun_status status;

    options.channels = request->channels;
    options.pad_to = request->pad_to;
    ex__data_path(&image_path, directory, scheme, part);
    ex__data_path(&label_path, directory, scheme, part + 1);
    status = scheme >= 2 ? ex__data_cifar(context, directory, scheme, part, images)
                         : prun_images_load_idx(context, image_path.data, label_path.data, &options,
                                                images);
    ex_text_free(&image_path);
    ex_text_free(&label_path);
    if (status != PRUN_OK) return ex_failure(context, "data");
    if (limit <= images->count) return 0;
    ex_error("%s: the %s set has only %ld of the %ld requested images", directory,
             part == EX_TRAIN_IMAGES ? "training" : "test", (long)images->count, (long)limit);
    prun_images_free(images);
    return EX_USAGE;
}

static inline void ex_free_data(ex_data *data) {
    prun_images_free(&data->train);
    prun_images_free(&data->test);
    free(data->labels);
    data->labels = NULL;
}

/* Applies the normalization to both sets. Returns 0 or, after a message, the exit status. */
static inline int ex__normalize(prun_context *context, prun_normalization normalization,
                                ex_data *data) {
    data->train.normalization = normalization;
    data->test.normalization = normalization;
    if (normalization != PRUN_NORMALIZATION_MEAN_STD) return 0;
    if (prun_images_standardize(context, &data->train) != PRUN_OK)
        return ex_failure(context, "data");
    memcpy(data->test.mean, data->train.mean, sizeof data->test.mean);
    memcpy(data->test.std, data->train.std, sizeof data->test.std);
    return 0;
}

/* FNV-1a of the first labels. */
static inline uint32_t ex__data_checksum(const prun_images *images, int64_t count) {
    uint32_t hash = 2166136261u;
    int64_t i;

    for (i = 0; i < count; i++) hash = (hash ^ (uint32_t)images->labels[i]) * 16777619u;
    return hash;
}

/* Checksum of the training labels that ship with the project. */
#define EX_SHIPPED_LABELS 0xe9687c4du

/* Names a data set, of which `count` training images are used. Files of different sets have the
   same names, so a checksum of the labels tells the sets apart, and no study resumes on another
   one. Only the images that ship with the project need none. */
static inline void ex__data_identify(int scheme, const prun_images *all, int64_t count,
                                     char name[32]) {
    static const char *const labels[EX_DATA_SCHEMES] = {"fashion-mnist", "idx", "cifar10",
                                                        "cifar100"};
    const uint32_t whole = ex__data_checksum(all, all->count);

    if (scheme == 0 && whole == EX_SHIPPED_LABELS) snprintf(name, 32, "%s", labels[0]);
    else
        snprintf(name, 32, "%s-%08lx", labels[scheme],
                 (unsigned long)(scheme == 1 ? ex__data_checksum(all, count) : whole));
}

/* Loads training and test images. Returns 0 or, after a message, the exit status. */
static inline int ex_load_data(prun_context *context, const ex_data_request *request,
                               ex_data *data) {
    ex_text directory = {NULL, 0, 0};
    const int64_t train = request->train_images, test = request->test_images;
    int scheme = ex__data_directory(request, &directory);
    int status = scheme < 0 ? EX_FAILED : 0;

    memset(data, 0, sizeof *data);
    if (status == 0)
        status = ex__data_set(context, request, directory.data, scheme, EX_TRAIN_IMAGES, train,
                              &data->train);
    if (status == 0)
        status = ex__data_set(context, request, directory.data, scheme, EX_TEST_IMAGES, test,
                              &data->test);
    if (status == 0) {
        ex__data_identify(scheme, &data->train, train > 0 ? train : data->train.count, data->name);
        if (train > 0) data->train.count = train;
        if (test > 0) data->test.count = test;
        status = ex__normalize(context, request->normalization, data);
    }
    if (status != 0) ex_free_data(data);
    ex_text_free(&directory);
    return status;
}

/* Normalizes CIFAR by the constants that the paper's sources use for both sets (A.4). */
static inline void ex_cifar_constants(ex_data *data) {
    static const float mean[3] = {0.4914f, 0.4822f, 0.4465f}, std[3] = {0.2023f, 0.1994f, 0.2010f};

    if (strncmp(data->name, "cifar", 5) != 0) return;
    memcpy(data->train.mean, mean, sizeof mean);
    memcpy(data->train.std, std, sizeof std);
    memcpy(data->test.mean, mean, sizeof mean);
    memcpy(data->test.std, std, sizeof std);
}

/* ---- label noise --------------------------------------------------------------------------- */

#define EX_NOISE_ORDER 0x6e6f697365ULL
#define EX_NOISE_LABEL 0x6e6f697366ULL

/* Gives a share of the training images a wrong label, all other classes being equally likely. The
   choice depends only on the seed. */
static inline void ex_label_noise(ex_data *data, double share, uint64_t seed) {
    prun_images *images = &data->train;
    const size_t n = (size_t)images->count;
    const int64_t wrong = (int64_t)(share * (double)n + 0.5);
    int32_t *labels = (int32_t *)ex_allocate(n, sizeof *labels);
    int64_t *order = (int64_t *)ex_allocate(n, sizeof *order), i;

    memcpy(labels, images->labels, n * sizeof *labels);
    prun_random_permutation(seed, EX_NOISE_ORDER, images->count, order);
    for (i = 0; i < wrong; i++) {
        const double u = prun_random_uniform(seed, EX_NOISE_LABEL, (uint64_t)order[i]);
        const int32_t shift = 1 + (int32_t)(u * (double)(images->classes - 1));

        labels[order[i]] = (int32_t)((labels[order[i]] + shift) % images->classes);
    }
    free(order);
    images->labels = data->labels = labels;
}

#endif /* DATA_H_INCLUDED */
