/* checkpoint.c - lists a safetensors file, or computes the loss of the network in it.

       cc -O2 -fopenmp examples/pytorch/checkpoint.c -o checkpoint -lm
       ./checkpoint net.safetensors
       ./checkpoint net.safetensors --images test-images.npy --labels test-labels.npy

   The network belongs to one of the three families; its sizes follow from the tensors' shapes.
   Images are NumPy arrays as the network takes them: floats, or uint8 (read as byte / 255). */
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../studies/options.h"
#include "../studies/table.h"

typedef struct settings {
    ex_choice family;
    const char *prefix, *images, *labels;
    int pytorch_nin, quiet;
} settings;

static prun_context context;

static const char *const type_names[] = {"F32", "I64", "other", "F64", "F16", "BF16", "I32",
                                         "I16", "I8",  "U64",   "U32", "U16", "U8",   "BOOL"};

/* Euclidean norm of a tensor of floats; NaN for others. */
static double norm_of(prun_safetensors *file, const prun_safetensors_entry *entry) {
    float *values = (float *)ex_allocate((size_t)entry->count, sizeof *values);
    double sum = 0;
    int64_t i;

    if (prun_safetensors_read_f32(file, entry, values) != PRUN_OK) sum = (double)NAN;
    for (i = 0; i < entry->count; i++) sum += (double)values[i] * (double)values[i];
    free(values);
    return sqrt(sum);
}

static void list_tensors(prun_safetensors *file) {
    ex_table table = {0, 0, 0, NULL};
    int64_t i;
    int32_t d;

    ex_table_header(&table, "tensor|type|shape|norm");
    for (i = 0; i < prun_safetensors_entry_count(file); i++) {
        const prun_safetensors_entry *entry = prun_safetensors_at(file, i);
        const double norm = norm_of(file, entry);
        ex_text shape = {NULL, 0, 0};

        ex_text_add(&shape, "%s", entry->rank > 0 ? "" : "scalar");
        for (d = 0; d < entry->rank; d++)
            ex_text_add(&shape, d > 0 ? " x %lld" : "%lld", (long long)entry->shape[d]);
        ex_table_cell(&table, "%s", entry->name);
        ex_table_cell(&table, "%s", type_names[entry->dtype]);
        ex_table_cell(&table, "%s", shape.data);
        if (norm == norm) ex_table_cell(&table, "%.6g", norm);
        else ex_table_cell(&table, "%s", "");
        ex_text_free(&shape);
    }
    ex_table_print(&table, stdout);
    ex_table_free(&table);
}

/* Reads the sizes of the chosen family, or of the first family whose tensors are in the file. */
static prun_status find_arch(const settings *set, prun_safetensors *file, prun_arch *arch) {
    prun_status status = PRUN_ERR_MISSING;
    int family;

    for (family = 0; family < 3 && status != PRUN_OK; family++)
        if (set->family.value == 0 || set->family.value == family + 1)
            status = prun_arch_read_safetensors(file, (prun_family)family, set->prefix, arch);
    return status;
}

static int show_loss(prun_net *net, const prun_images *images, prun_safetensors *file) {
    const char *const metadata[2] = {prun_safetensors_metadata(file, "train_loss"),
                                     prun_safetensors_metadata(file, "test_loss")};
    double sum;
    int64_t errors;

    if (prun_net_loss(net, images, NULL, images->count, NULL, &sum, &errors) != PRUN_OK)
        return ex_failure(&context, "loss");
    printf("loss %.10g\n", sum / (double)images->count);
    printf("error %.6g (%lld of %lld images)\n", (double)errors / (double)images->count,
           (long long)errors, (long long)images->count);
    if (metadata[0] != NULL && metadata[1] != NULL)
        printf("in the file: training loss %s, test loss %s\n", ex_shown(metadata[0]),
               ex_shown(metadata[1]));
    return 0;
}

static int evaluate(const settings *set, prun_safetensors *file) {
    static const char *const names[] = {"CNN", "NiN", "ResNet18"};
    prun_images images;
    prun_arch arch;
    prun_net *net = NULL;
    int status = 0;

    if (find_arch(set, file, &arch) != PRUN_OK)
        return ex_failure(&context, "no network of a known family");
    printf("%s of width %lld, image channels %lld, classes %lld\n", names[arch.family],
           (long long)arch.width, (long long)arch.image_channels, (long long)arch.classes);
    if (prun_images_load_npy(&context, set->images, set->labels, NULL, &images) != PRUN_OK)
        return ex_failure(&context, "data");
    images.classes = images.classes > arch.classes ? images.classes : arch.classes;
    arch.image_height = images.height;
    arch.image_width = images.width;
    arch.symmetric_padding = arch.pytorch_defaults = set->pytorch_nin;
    if (prun_net_create_family(&context, &arch, &net) != PRUN_OK ||
        prun_net_read_safetensors(net, file, set->prefix) != PRUN_OK)
        status = ex_failure(&context, "network");
    if (status == 0) status = show_loss(net, &images, file);
    prun_net_free(net);
    prun_images_free(&images);
    return status;
}

int main(int argc, char **argv) {
    static settings set;
    prun_safetensors *file = NULL;
    int status;
    const ex_option options[] = {
        {"family", EX_CHOICE, &set.family, "auto", 0, 0, "family of the network"},
        {"prefix", EX_TEXT, &set.prefix, NULL, 0, 0, "prefix of all tensor names"},
        {"images", EX_TEXT, &set.images, NULL, 0, 0, "npy file: N,C,H,W or N,H,W,C"},
        {"labels", EX_TEXT, &set.labels, NULL, 0, 0, "npy file: N integers"},
        {"pytorch-nin", EX_FLAG, &set.pytorch_nin, NULL, 0, 0,
         "a NiN with padding 1 on all sides and PyTorch's batch norm"},
        {"quiet", EX_FLAG, &set.quiet, NULL, 0, 0, "no list of tensors"}};
    const ex_program program = {
        "checkpoint",
        "FILE",
        "Lists the tensors of a safetensors file or, given images, prints its network's loss.",
        options,
        sizeof options / sizeof *options,
        1,
        1};

    set.family.names = "auto|cnn|nin|resnet18";
    status = ex_parse(&program, argc, argv, NULL);
    if (status >= 0) return status;
    if ((set.images != NULL) != (set.labels != NULL)) {
        ex_error("--images and --labels must be given together");
        return EX_USAGE;
    }
    if (prun_safetensors_open(&context, argv[1], &file) != PRUN_OK)
        return ex_failure(&context, "checkpoint");
    if (!set.quiet && set.images == NULL) list_tensors(file);
    status = set.images != NULL ? evaluate(&set, file) : 0;
    prun_safetensors_close(file);
    return status;
}
