// The runner of an Ollama-shaped tree: loads ggml's CUDA backend from the directories that it is told, and says what
// devices that finds.
//
//   runner --ollama-engine --port N    directories in OLLAMA_LIBRARY_PATH; answers GET /info; with GGML_CUDA_INIT also
//                                      computes on each device, and holds memory of it
//   gpu-discover --lib-dir DIRECTORY…  prints them, with what the driver's own libraries say
//
// A backend that can't be loaded is passed over in silence, as there.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HELD = 300 << 20, COUNT = 4096 };

static void *backend;

// A function of the backend, or of a library that it needs.
static void *look_up(const char *name) {
    void *found = dlsym(backend, name);
    if (!found) fprintf(stderr, "no %s\n", name), _exit(4);
    return found;
}
#define CALL(result, name, types) ((result(*) types)look_up(#name))

static void must(int holds, const char *what) {
    if (!holds) fprintf(stderr, "failed: %s\n", what), _exit(5);
}
#define MUST(condition) must(!!(condition), #condition)

// ----- as ggml's registry does it

// `struct ggml_backend_reg` begins with this.
struct registration {
    int api_version;
};

static struct registration *load(const char *directory) {
    char path[4096];
    // Only what is part of the installation.
    if (!strstr(directory, "lib/ollama")) return 0;
    snprintf(path, sizeof path, "%s/libggml-cuda.so", directory);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return 0;
    struct registration *(*begin)(void) = (struct registration *(*)(void))dlsym(library, "ggml_backend_init");
    struct registration *found = begin ? begin() : 0;
    if (!found || found->api_version < 1) return 0;
    backend = library;
    return found;
}

// ----- one device

typedef struct {
    char name[256];
    unsigned char uuid[16];
    char rest[4096];
} properties;

// Adds two vectors on the device.
static void compute(void *stream) {
    struct { size_t size; void *buffer; char no_allocation; } parameters = {1 << 20, 0, 1};
    void *(*init)(__typeof__(parameters)) = look_up("ggml_init");
    void *context = init(parameters);
    MUST(context);
    void *(*vector)(void *, int, long) = look_up("ggml_new_tensor_1d");
    void *first = vector(context, 0, COUNT), *second = vector(context, 0, COUNT);
    void *sum = CALL(void *, ggml_add, (void *, void *, void *))(context, first, second);
    void *graph = CALL(void *, ggml_new_graph, (void *))(context);
    CALL(void, ggml_build_forward_expand, (void *, void *))(graph, sum);
    MUST(CALL(void *, ggml_backend_alloc_ctx_tensors, (void *, void *))(context, stream));
    static float numbers[2][COUNT], sums[COUNT];
    for (int at = 0; at < COUNT; at++) numbers[0][at] = at * 0.5f, numbers[1][at] = 1000 - at;
    void (*set)(void *, const void *, size_t, size_t) = look_up("ggml_backend_tensor_set");
    set(first, numbers[0], 0, sizeof numbers[0]);
    set(second, numbers[1], 0, sizeof numbers[1]);
    MUST(CALL(int, ggml_backend_graph_compute, (void *, void *))(stream, graph) == 0);
    CALL(void, ggml_backend_tensor_get, (void *, void *, size_t, size_t))(sum, sums, 0, sizeof sums);
    for (int at = 0; at < COUNT; at++) MUST(sums[at] == numbers[0][at] + numbers[1][at]);
}

// Memory that stays until this process ends.
static void hold(void *device) {
    void *stream = CALL(void *, ggml_backend_dev_init, (void *, const char *))(device, 0);
    MUST(stream);
    compute(stream);
    void *buffer = CALL(void *, ggml_backend_alloc_buffer, (void *, size_t))(stream, HELD);
    MUST(buffer);
    CALL(void, ggml_backend_buffer_clear, (void *, unsigned char))(buffer, 7);
}

// Free bytes as NVML tells them. Each question loads and unloads the library, which is looked for where Windows' subsystem
// for Linux has it first.
static size_t free_by_nvml(const char *uuid) {
    void *library = dlopen("/usr/lib/wsl/lib/libnvidia-ml.so.1", RTLD_LAZY);
    if (!library) library = dlopen("libnvidia-ml.so.1", RTLD_LAZY);
    MUST(library);
#define ASK(library, name, types) ((int(*) types)dlsym(library, #name))
    struct { unsigned long long total, free, used; } memory;
    void *device;
    MUST(ASK(library, nvmlInit_v2, (void))() == 0);
    MUST(ASK(library, nvmlDeviceGetHandleByUUID, (const char *, void **))(uuid, &device) == 0);
    MUST(ASK(library, nvmlDeviceGetMemoryInfo, (void *, void *))(device, &memory) == 0);
    MUST(ASK(library, nvmlShutdown, (void))() == 0);
    MUST(dlclose(library) == 0);
    return memory.free;
}

static int native(char *text, size_t room, int index);

static int describe(char *text, size_t room, void *device, int index, int discovers) {
    properties card;
    int major, minor, driver;
    char pci[32];
    size_t free, total, left;
    void (*memory)(void *, size_t *, size_t *) = look_up("ggml_backend_dev_memory");
    memory(device, &free, &total);
    // CUDA 13 has only this form of the structure, and so a plain name.
    const char *name = dlsym(backend, "cudaGetDeviceProperties_v2") ? "cudaGetDeviceProperties_v2" : "cudaGetDeviceProperties";
    int (*describe_card)(properties *, int) = look_up(name);
    MUST(describe_card(&card, index) == 0);
    MUST(CALL(int, cudaDeviceGetAttribute, (int *, int, int))(&major, 75, index) == 0);
    MUST(CALL(int, cudaDeviceGetAttribute, (int *, int, int))(&minor, 76, index) == 0);
    MUST(CALL(int, cudaDeviceGetPCIBusId, (char *, int, int))(pci, sizeof pci, index) == 0);
    MUST(CALL(int, cudaDriverGetVersion, (int *))(&driver) == 0);
    int holds = getenv("GGML_CUDA_INIT") != 0;
    if (holds) hold(device);
    memory(device, &left, &total);
    unsigned char *id = card.uuid;
    char uuid[48];
    snprintf(uuid, sizeof uuid, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[0], id[1], id[2],
             id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]);
    // Before anything is held there are others, which come and go.
    if (holds) MUST(free_by_nvml(uuid) == left);
    int length = snprintf(
        text, room,
        "{\"name\":\"%s\",\"description\":\"%s\",\"compute\":\"%d.%d\",\"driver\":\"%d.%d\",\"pci\":\"%s\","
        "\"total\":%zu,\"free\":%zu,\"held\":%d,\"left\":%zu,"
        "\"id\":\"%s\"",
        CALL(const char *, ggml_backend_dev_name, (void *))(device),
        CALL(const char *, ggml_backend_dev_description, (void *))(device), major, minor, driver / 1000,
        driver % 1000 / 10, pci, total, free, holds ? HELD : 0, left, uuid);
    if (discovers) length += native(text + length, room - length, index);
    return length + snprintf(text + length, room - length, "}");
}

// What libcuda and libnvidia-ml say when they are asked directly.
static int native(char *text, size_t room, int index) {
    void *cuda = dlopen("libcuda.so.1", RTLD_NOW), *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    MUST(cuda && nvml);
    int device, major, minor;
    char name[256], pci[32], driver[80];
    MUST(ASK(cuda, cuInit, (unsigned))(0) == 0);
    MUST(ASK(cuda, cuDeviceGet, (int *, int))(&device, index) == 0);
    MUST(ASK(cuda, cuDeviceGetName, (char *, int, int))(name, sizeof name, device) == 0);
    MUST(ASK(cuda, cuDeviceGetAttribute, (int *, int, int))(&major, 75, device) == 0);
    MUST(ASK(cuda, cuDeviceGetAttribute, (int *, int, int))(&minor, 76, device) == 0);
    MUST(ASK(cuda, cuDeviceGetPCIBusId, (char *, int, int))(pci, sizeof pci, device) == 0);
    MUST(ASK(nvml, nvmlInit_v2, (void))() == 0);
    MUST(ASK(nvml, nvmlSystemGetDriverVersion, (char *, unsigned))(driver, sizeof driver) == 0);
    MUST(ASK(nvml, nvmlShutdown, (void))() == 0);
    return snprintf(text, room, ",\"native\":{\"name\":\"%s\",\"pci\":\"%s\",\"compute\":\"%d.%d\",\"driver\":\"%s\"}",
                    name, pci, major, minor, driver);
}

// All devices, as JSON.
static char *describe_all(struct registration *found, int discovers) {
    enum { ROOM = 1 << 16 };
    static char text[ROOM];
    int length = sprintf(text, "[");
    size_t count = found ? CALL(size_t, ggml_backend_reg_dev_count, (void *))(found) : 0;
    for (size_t at = 0; at < count; at++) {
        void *device = CALL(void *, ggml_backend_reg_dev_get, (void *, size_t))(found, at);
        length += snprintf(text + length, ROOM - length, at ? "," : "");
        length += describe(text + length, ROOM - length, device, at, discovers);
    }
    snprintf(text + length, ROOM - length, "]\n");
    return text;
}

// ----- the two ways

static struct registration *load_from_environment(void) {
    struct registration *found = 0;
    char *paths = strdup(getenv("OLLAMA_LIBRARY_PATH") ? getenv("OLLAMA_LIBRARY_PATH") : "");
    for (char *path = strtok(paths, ":"); path && !found; path = strtok(0, ":")) found = load(path);
    return found;
}

// The first question loads the backend.
static void serve(int port) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    MUST(bind(listener, (void *)&here, sizeof here) == 0 && listen(listener, 8) == 0);
    const char *answer = 0;
    for (;;) {
        char request[4096];
        int client = accept(listener, 0, 0);
        ssize_t length = read(client, request, sizeof request - 1);
        if (length > 0 && !strncmp(request, "GET /info ", 10)) {
            if (!answer) answer = describe_all(load_from_environment(), 0);
            dprintf(client, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", strlen(answer), answer);
        }
        close(client);
    }
}

static void discover(int count, char **arguments) {
    struct registration *found = 0;
    for (int at = 0; at + 1 < count && !found; at += 2)
        if (!strcmp(arguments[at], "--lib-dir")) found = load(arguments[at + 1]);
    fputs(describe_all(found, 1), stdout);
}

int main(int count, char **arguments) {
    if (count == 5 && !strcmp(arguments[1], "runner")) serve(atoi(arguments[4]));
    else if (count > 1 && !strcmp(arguments[1], "gpu-discover")) discover(count - 2, arguments + 2);
    else return 2;
    return 0;
}
