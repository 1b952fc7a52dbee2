/* vgg_from_pytorch.c - a custom network, trained in PyTorch, rebuilt and measured in C.

       python3 examples/pytorch/from_pytorch.py --family vgg --width 8 --out build/vgg
       cc -O2 -fopenmp examples/pytorch/vgg_from_pytorch.c -o vgg_from_pytorch -lm
       ./vgg_from_pytorch build/vgg/net.safetensors --images build/vgg/train-images.npy \
           --labels build/vgg/train-labels.npy --measure

   This works for any network: give each layer the path of its PyTorch module as its name
   ("features.0", "layer1.0.conv1"), and prun_net_read_safetensors finds "features.0.weight". Here
   the order of the layers, too, follows from the names, as torchvision numbers them in a VGG:

       features.0.weight    of rank 4: convolution 3x3, padding 1      prun_layer_conv2d
       features.1.weight    of rank 1: batch norm                      prun_layer_batch_norm
       features.2           no tensor, after one of these: ReLU        prun_layer_relu
       features.3           no tensor, after a ReLU: max pool 2x2      prun_layer_max_pool
       classifier.0.weight  linear over the flattened (C, H, W)        prun_layer_linear
       classifier.1, .2     ReLU (and dropout, which does nothing once the network is trained)
*/
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../studies/options.h"
#include "../studies/table.h"

typedef struct settings {
    const char *images, *labels;
    int prune, measure;
    int64_t hessian_images;
    ex_reals beta;
} settings;

static prun_context context;

/* The weight of module `group`.`number`, or NULL if it has none. */
static const prun_safetensors_entry *weight_of(const prun_safetensors *file, const char *group,
                                               int number) {
    char name[64];

    snprintf(name, sizeof name, "%s.%d.weight", group, number);
    return prun_safetensors_find(file, name);
}

static int has_bias(const prun_safetensors *file, const char *module) {
    char name[80];

    snprintf(name, sizeof name, "%s.bias", module);
    return prun_safetensors_find(file, name) != NULL;
}

/* Number of the last module of a group that has a weight, or -1. */
static int last_of(const prun_safetensors *file, const char *group) {
    int number, last = -1;

    for (number = 0; number < 1000; number++)
        if (weight_of(file, group, number) != NULL) last = number;
    return last;
}

static int32_t add_features(prun_net *net, const prun_safetensors *file, int32_t value) {
    const int last = last_of(file, "features");
    int number = 0;

    while (number <= last) {
        const prun_safetensors_entry *weight = weight_of(file, "features", number), *norm;
        char module[64];

        if (weight == NULL) {
            value = prun_layer_max_pool(net, value, 2, 2, 0);
            number++;
            continue;
        }
        snprintf(module, sizeof module, "features.%d", number++);
        value =
            prun_layer_conv2d_with(net, value, module,
                                   &(prun_conv2d_options){.channels = weight->shape[0],
                                                          .kernel = {3},
                                                          .stride = {1},
                                                          .padding = {1, 1, 1, 1},
                                                          .omit_bias = !(has_bias(file, module))});
        norm = weight_of(file, "features", number);
        if (norm != NULL && norm->rank == 1) {
            snprintf(module, sizeof module, "features.%d", number++);
            value = prun_layer_batch_norm(net, value, module, 0, 0);
        }
        value = prun_layer_relu(net, value);
        number++;
    }
    return prun_layer_max_pool(net, value, 2, 2, 0);
}

static int32_t add_classifier(prun_net *net, const prun_safetensors *file, int32_t value) {
    const int last = last_of(file, "classifier");
    int number;

    for (number = 0; number <= last; number++) {
        const prun_safetensors_entry *weight = weight_of(file, "classifier", number);
        char module[64];

        if (weight == NULL) continue;
        snprintf(module, sizeof module, "classifier.%d", number);
        value = prun_layer_linear(net, value, module, weight->shape[0], has_bias(file, module));
        if (number < last) value = prun_layer_relu(net, value);
    }
    return value;
}

static prun_status build(prun_safetensors *file, const prun_images *images, prun_net **net) {
    prun_status status =
        prun_net_create(&context, images->channels, images->height, images->width, net);
    int32_t value;

    if (status != PRUN_OK) return status;
    value = add_features(*net, file, PRUN_INPUT);
    value = add_classifier(*net, file, value);
    status = prun_net_finish(*net, value, 0);
    return status == PRUN_OK ? prun_net_read_safetensors(*net, file, NULL) : status;
}

static int show_loss(prun_net *net, const prun_images *images, const prun_safetensors *file) {
    const char *theirs = prun_safetensors_metadata(file, "train_loss");
    double sum;
    int64_t errors;

    if (prun_net_loss(net, images, NULL, images->count, NULL, &sum, &errors) != PRUN_OK)
        return ex_failure(&context, "loss");
    printf("%lld parameters, %lld of them prunable\n", (long long)prun_net_parameter_count(net),
           (long long)prun_net_weight_count(net));
    printf("loss %.10g\n", sum / (double)images->count);
    printf("error %.6g (%lld images)\n", (double)errors / (double)images->count,
           (long long)images->count);
    if (theirs != NULL)
        printf("training loss in PyTorch, according to the file: %s\n", ex_shown(theirs));
    return 0;
}

/* Called by the search as it decides candidates. */
static int on_progress(void *user, int64_t done, int64_t total) {
    ex_progress *progress = (ex_progress *)user;

    progress->total = (double)total;
    ex_progress_add(progress, (double)done - progress->done);
    return 0;
}

/* Prints the prunable tensors with the fraction of each that is kept, for every tolerance. */
static void show_layers(const prun_net *net, const prun_prunability *found, const double *kept) {
    ex_table table = {0, 0, 0, NULL};
    ex_text header = {NULL, 0, 0};
    int64_t count, i, layer = 0;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    int32_t b;

    ex_text_add(&header, "kept of|weights");
    for (b = 0; b < found->answer_count; b++)
        ex_text_add(&header, "|+%g %%", 100 * found->answer[b].beta);
    ex_table_header(&table, header.data);
    ex_text_free(&header);
    for (i = 0; i < count; i++) {
        if (!(tensors[i].flags & PRUN_TENSOR_WEIGHT)) continue;
        ex_table_cell(&table, "%s", tensors[i].name);
        ex_table_cell(&table, "%lld", (long long)prun_tensor_size(&tensors[i]));
        for (b = 0; b < found->answer_count; b++)
            ex_table_cell(&table, "%.3f", kept[b * found->prunable_tensors + layer]);
        layer++;
    }
    ex_table_cell(&table, "all");
    ex_table_cell(&table, "%lld", (long long)found->prunable);
    for (b = 0; b < found->answer_count; b++)
        ex_table_cell(&table, "%.3f", found->answer[b].kept_fraction);
    ex_table_print(&table, stdout);
    ex_table_free(&table);
}

static int prune(const settings *set, prun_net *net, const prun_images *images) {
    prun_objective objective;
    prun_prune_options options;
    prun_prunability found;
    ex_progress progress;
    double *layers;
    int64_t i;
    int status = 0;

    memset(&options, 0, sizeof options);
    if (prun_net_objective(net, images, &objective) != PRUN_OK)
        return ex_failure(&context, "network");
    for (i = 0; i < set->beta.count; i++) options.beta[i] = set->beta.value[i];
    options.beta_count = set->beta.count;
    options.progress = on_progress;
    options.user = &progress;
    ex_progress_start(&progress, "prunability", 1, 0);
    if (prun_prunability_search(&objective, &options, &found) != PRUN_OK)
        status = ex_failure(&context, "prunability");
    progress.stopped = status;
    ex_progress_end(&progress);
    if (status != 0) return status;
    layers = (double *)ex_allocate((size_t)(found.answer_count * found.prunable_tensors),
                                   sizeof(double));
    for (i = 0; i < found.answer_count && status == 0; i++)
        if (prun_prune_layer_fractions(&objective, found.answer[i].kept_fraction, &options,
                                       layers + i * found.prunable_tensors) != PRUN_OK)
            status = ex_failure(&context, "prunability");
    if (status == 0) show_layers(net, &found, layers);
    free(layers);
    return status;
}

/* Called while a measure is computed. */
static int keep_going(void *user, int64_t done, int64_t total) {
    (void)done;
    (void)total;
    ex_progress_add((ex_progress *)user, 0); /* redraws the bar */
    return 0;
}

/* Computes every measure. A checkpoint does not contain the initial weights and the history of
   training; the table shows which measures need them. */
static int measure(const settings *set, prun_net *net, const prun_images *images,
                   const prun_safetensors *file) {
    const char *decay = prun_safetensors_metadata(file, "weight_decay");
    int64_t i, count;
    const prun_measure_info *info = prun_measures(&count);
    prun_measure_result *results =
        (prun_measure_result *)ex_allocate((size_t)count, sizeof *results);
    ex_measures measures;
    ex_progress progress;
    prun_objective objective;
    prun_measure_options options;
    prun_measurement *m = NULL;
    prun_status status;

    memset(&options, 0, sizeof options);
    options.hessian_samples = set->hessian_images > 0 ? set->hessian_images : images->count;
    options.weight_decay = decay != NULL ? strtod(decay, NULL) : 0;
    options.seconds = ex_clock;
    options.progress = keep_going;
    options.user = &progress;
    status = prun_net_objective(net, images, &objective);
    if (status == PRUN_OK) status = prun_measurement_create(&objective, &options, &m);
    if (status != PRUN_OK) {
        free(results);
        return ex_failure(&context, "measures");
    }
    ex_progress_start(&progress, "measuring", (double)count, 0);
    for (i = 0; i < count && status != PRUN_ERR_MEMORY; i++) {
        status = prun_measure(m, info[i].name, &results[i]);
        ex_progress_add(&progress, 1);
    }
    ex_progress_end(&progress);
    prun_measurement_free(m);
    memset(&measures, 0, sizeof measures);
    measures.info = info;
    measures.count = i;
    measures.plain = results;
    putchar('\n');
    ex_measures_print(&measures);
    free(results);
    return status == PRUN_ERR_MEMORY ? ex_failure(&context, "measures") : 0;
}

int main(int argc, char **argv) {
    static settings set;
    prun_safetensors *file = NULL;
    prun_images images;
    prun_net *net = NULL;
    int status;
    const ex_option options[] = {
        {"images", EX_TEXT, &set.images, NULL, 0, 0, "npy file: N,C,H,W or N,H,W,C"},
        {"labels", EX_TEXT, &set.labels, NULL, 0, 0, "npy file: N integers"},
        {"prune", EX_FLAG, &set.prune, NULL, 0, 0, "also find its prunability on these images"},
        {"measure", EX_FLAG, &set.measure, NULL, 0, 0,
         "also compute every generalization measure (minutes)"},
        {"hessian-images", EX_INT, &set.hessian_images, "500", 0, 1e9,
         "random images for measures of curvature; 0: all"},
        {"beta", EX_REAL_LIST, &set.beta, "0.05,0.1,0.2,0.5", 1e-9, 1e9, "tolerances on the loss"}};
    const ex_program program = {
        "vgg_from_pytorch",
        "FILE",
        "Builds a VGG from the names in a PyTorch checkpoint and measures it on images.",
        options,
        sizeof options / sizeof *options,
        1,
        1};

    status = ex_parse(&program, argc, argv, NULL);
    if (status >= 0) return status;
    if (set.images == NULL || set.labels == NULL || set.beta.count > PRUN_MAX_BETAS) {
        ex_error("needs --images and --labels, and at most %d tolerances; see --help",
                 PRUN_MAX_BETAS);
        return EX_USAGE;
    }
    memset(&images, 0, sizeof images);
    if (prun_images_load_npy(&context, set.images, set.labels, NULL, &images) != PRUN_OK)
        status = ex_failure(&context, "data");
    else if (prun_safetensors_open(&context, argv[1], &file) != PRUN_OK)
        status = ex_failure(&context, "checkpoint");
    else if (build(file, &images, &net) != PRUN_OK) status = ex_failure(&context, "network");
    else status = show_loss(net, &images, file);
    if (status == 0 && set.prune) status = prune(&set, net, &images);
    if (status == 0 && set.measure) status = measure(&set, net, &images, file);
    prun_net_free(net);
    prun_safetensors_close(file);
    prun_images_free(&images);
    return status;
}
