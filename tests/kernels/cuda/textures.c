// Textures, surfaces and arrays through the runtime's functions, with kernels loaded by the driver's: textures MODULE.PTX
// What is expected of a lookup is computed here from the programming guide's formulas ("Texture Fetching"), in double
// precision, from a function that gives every texel. Prints a line for each case that differs, then how many held.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *handle;
typedef unsigned long long object;
typedef struct { int bits[4]; unsigned kind; } channels;
typedef struct { size_t width, height, depth; } extent;
typedef struct { size_t x, y, z; } position;
typedef struct { void *pointer; size_t pitch, width, height; } pitched;
typedef struct { handle source_array; position from; pitched source; handle target_array; position to; pitched target; extent size; unsigned kind; } copy3d;
typedef struct { unsigned kind, padding; union { handle array; struct { void *address; channels format; size_t bytes; } linear; struct { void *address; channels format; size_t width, height, pitch; } plane; } u; } resource;
typedef struct { unsigned address[3], filter, read_mode; int srgb; float border[4]; int normalized; unsigned anisotropy, mipmap_filter; float bias, least, most; int rest[2]; } texture;
enum { ARRAY = 0, LINEAR = 2, PLANE = 3 };
enum { WRAP, CLAMP, MIRROR, BORDER };
enum { SIGNED, UNSIGNED, FLOAT };
enum { LAYERED = 1, SURFACE = 2 };

int cudaFree(void *), cudaMalloc(void **, size_t), cudaMallocPitch(void **, size_t *, size_t, size_t), cudaMemcpy(void *, const void *, size_t, int);
int cudaMemcpy2D(void *, size_t, const void *, size_t, size_t, size_t, int), cudaMemcpy3D(const copy3d *), cudaDeviceSynchronize(void);
int cudaMalloc3DArray(handle *, const channels *, extent, unsigned), cudaMallocArray(handle *, const channels *, size_t, size_t, unsigned), cudaFreeArray(handle);
int cudaMemcpy2DToArray(handle, size_t, size_t, const void *, size_t, size_t, size_t, int), cudaMemcpy2DFromArray(void *, size_t, handle, size_t, size_t, size_t, size_t, int);
int cudaMemcpyToArray(handle, size_t, size_t, const void *, size_t, int), cudaMemcpyFromArray(void *, handle, size_t, size_t, size_t, int);
int cudaMemcpy2DArrayToArray(handle, size_t, size_t, handle, size_t, size_t, size_t, size_t, int), cudaArrayGetInfo(channels *, extent *, unsigned *, handle);
int cudaCreateTextureObject(object *, const resource *, const texture *, const void *), cudaDestroyTextureObject(object);
int cudaCreateSurfaceObject(object *, const resource *), cudaDestroySurfaceObject(object), cudaGetLastError(void);
int cuModuleLoadData(handle *, const void *), cuModuleGetFunction(handle *, handle, const char *);
int cuLaunchKernel(handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, handle, void **, void **);
typedef struct { size_t width, height; unsigned format, channels; } array_descriptor;
int cuArrayCreate_v2(handle *, const array_descriptor *), cuArrayDestroy(handle), cuArrayGetDescriptor_v2(array_descriptor *, handle);
int cuMemcpyHtoA_v2(handle, size_t, const void *, size_t), cuMemcpyAtoH_v2(void *, handle, size_t, size_t), cuMemcpyAtoA_v2(handle, size_t, handle, size_t, size_t);

static handle module;
static int held, failed;

static void expect(const char *name, int holds, const char *what)
{
    if (holds) held++;
    else failed++, printf("FAILED %s: %s, last error %d\n", name, what, cudaGetLastError());
}
#define CALL(name, call) expect(name, (call) == 0, #call)

// Every texel of every test.
static int value(int x, int y, int z, int channel) { return (x * 7 + y * 13 + z * 29 + channel * 3) % 64 - 20; }

typedef struct {
    const char *name, *kernel;
    int where, w, h, d, layered;
    channels format;
    int normalized_read, address, linear, normalized;
    int results;     // numbers per lookup: 1, 2 or 4
    int integers;    // whether they are integers
} lookup;

static int channel_count(const channels *f) { int n = 0; while (n < 4 && f->bits[n]) n++; return n; }
static int texel_bytes(const channels *f) { return channel_count(f) * f->bits[0] / 8; }

static void put(unsigned char *place, const channels *f, int v)
{
    int bits = f->bits[0];
    if (f->kind == FLOAT && bits == 32) { float number = v * 0.5f; memcpy(place, &number, 4); }
    else if (f->kind == FLOAT) { unsigned short half = 0; double m = fabs(v * 0.5); if (m) { int e; double r = frexp(m, &e); half = (unsigned short)((e + 14) << 10 | (int)(r * 2048) % 1024); } if (v < 0) half |= 0x8000; memcpy(place, &half, 2); }
    else { int number = f->kind == UNSIGNED ? v + 20 : v; memcpy(place, &number, bits / 8); }
}

// What reading a texel gives.
static double seen(const lookup *l, int x, int y, int z, int channel)
{
    int v = value(x, y, z, channel);
    if (channel >= channel_count(&l->format)) return channel == 3;
    if (l->format.kind == FLOAT) return v * 0.5;
    if (l->format.kind == UNSIGNED) v += 20;
    if (!l->normalized_read) return v;
    double most = l->format.kind == UNSIGNED ? (1 << l->format.bits[0]) - 1 : (1 << (l->format.bits[0] - 1)) - 1;
    return v / most;
}

// A coordinate within `count`; -1 is the border.
static int addressed(const lookup *l, int at, int count)
{
    int mode = l->normalized ? l->address : l->address == BORDER ? BORDER : CLAMP;
    if (l->where == LINEAR) mode = BORDER;
    if (at >= 0 && at < count) return at;
    if (mode == CLAMP) return at < 0 ? 0 : count - 1;
    if (mode == BORDER) return -1;
    if (mode == WRAP) return (at % count + count) % count;
    at = (at % (2 * count) + 2 * count) % (2 * count);
    return at < count ? at : 2 * count - 1 - at;
}

static double texel(const lookup *l, int x, int y, int z, int layer, int channel)
{
    x = addressed(l, x, l->w);
    y = l->h ? addressed(l, y, l->h) : 0;
    if (l->layered) z = layer < 0 ? 0 : layer >= l->d ? l->d - 1 : layer;
    else z = l->d ? addressed(l, z, l->d) : 0;
    return x < 0 || y < 0 || z < 0 ? 0 : seen(l, x, y, z, channel);
}

static double sampled(const lookup *l, double x, double y, double z, int channel)
{
    int layer = (int)z, boxes = l->d && !l->layered;
    if (l->normalized) x *= l->w, y *= l->h, z *= l->d;
    if (!l->linear) return texel(l, (int)floor(x), (int)floor(y), (int)floor(z), layer, channel);
    x -= 0.5; y -= 0.5; z -= 0.5;
    double i = floor(x), j = floor(y), k = floor(z), a = x - i, b = l->h ? y - j : 0, c = boxes ? z - k : 0, sum = 0;
    for (int corner = 0; corner < 8; corner++) {
        int p = corner & 1, q = corner >> 1 & 1, r = corner >> 2;
        double share = (p ? a : 1 - a) * (q ? b : 1 - b) * (r ? c : 1 - c);
        if (share > 0) sum += share * texel(l, (int)i + p, (int)j + q, (int)k + r, layer, channel);
    }
    return sum;
}

enum { PLACES = 512 };
static float xs[PLACES], ys[PLACES], zs[PLACES];
static void *coordinates[3];

// Places in and around the texture, at sixteenths of a texel, which every implementation's weights can express.
static void choose_places(const lookup *l, int whole)
{
    unsigned state = 1;
    for (int i = 0; i < PLACES; i++) {
        float *at[] = {xs, ys, zs};
        int size[] = {l->w, l->h ? l->h : 1, l->d ? l->d : 1};
        for (int axis = 0; axis < 3; axis++) {
            state = state * 1664525u + 1013904223u;
            float place = (int)((state >> 8) % (unsigned)(size[axis] * 48)) / 16.0f - size[axis];
            if (whole || (axis == 2 && l->layered)) place = floorf(place);
            // Never on the line between two texels: normalised coordinates would round to either side.
            else if (!l->linear && place == floorf(place)) place += 0.0625f;
            at[axis][i] = l->normalized && !(axis == 2 && l->layered) ? place / size[axis] : place;
        }
    }
    const float *host[] = {xs, ys, zs};
    for (int axis = 0; axis < 3; axis++) CALL("places", cudaMemcpy(coordinates[axis], host[axis], sizeof xs, 4));
}

static void launch(const char *kernel, object texture, void *out)
{
    handle function;
    int n = PLACES;
    void *arguments[] = {&texture, &coordinates[0], &coordinates[1], &coordinates[2], &out, &n};
    CALL(kernel, cuModuleGetFunction(&function, module, kernel));
    CALL(kernel, cuLaunchKernel(function, PLACES / 64, 1, 1, 64, 1, 1, 0, 0, arguments, 0));
    CALL(kernel, cudaDeviceSynchronize());
}

static resource made(const lookup *l, handle *memory)
{
    int bytes = texel_bytes(&l->format), h = l->h ? l->h : 1, d = l->d ? l->d : 1, n = channel_count(&l->format);
    unsigned char *host = calloc((size_t)l->w * h * d, bytes);
    for (int z = 0; z < d; z++) for (int y = 0; y < h; y++) for (int x = 0; x < l->w; x++) for (int c = 0; c < n; c++)
        put(host + ((size_t)(z * h + y) * l->w + x) * bytes + c * (bytes / n), &l->format, value(x, y, z, c));
    size_t row = (size_t)l->w * bytes, pitch;
    resource r;
    memset(&r, 0, sizeof r);
    r.kind = l->where;
    if (l->where == LINEAR) {
        CALL(l->name, cudaMalloc(memory, row));
        CALL(l->name, cudaMemcpy(*memory, host, row, 4));
        r.u.linear.address = *memory; r.u.linear.format = l->format; r.u.linear.bytes = row;
    } else if (l->where == PLANE) {
        CALL(l->name, cudaMallocPitch(memory, &pitch, row, h));
        CALL(l->name, cudaMemcpy2D(*memory, pitch, host, row, row, h, 4));
        r.u.plane.address = *memory; r.u.plane.format = l->format; r.u.plane.width = l->w; r.u.plane.height = h; r.u.plane.pitch = pitch;
    } else if (l->d) {
        extent size = {l->w, l->h, l->d};
        CALL(l->name, cudaMalloc3DArray(memory, &l->format, size, l->layered ? LAYERED : 0));
        copy3d order = {.source = {host, row, l->w, h}, .target_array = *memory, .size = {l->w, h, d}, .kind = 4};
        CALL(l->name, cudaMemcpy3D(&order));
        r.u.array = *memory;
    } else {
        CALL(l->name, cudaMallocArray(memory, &l->format, l->w, l->h, 0));
        if (l->h) CALL(l->name, cudaMemcpy2DToArray(*memory, 0, 0, host, row, row, h, 4));
        else CALL(l->name, cudaMemcpyToArray(*memory, 0, 0, host, row, 4));
        r.u.array = *memory;
    }
    free(host);
    return r;
}

static void check(const lookup *l)
{
    static union { float f[PLACES * 4]; int i[PLACES * 4]; } out;
    handle memory = 0, results = 0;
    object t = 0;
    resource r = made(l, &memory);
    texture description = {.address = {l->address, l->address, l->address}, .filter = l->linear, .read_mode = l->normalized_read, .normalized = l->normalized};
    CALL(l->name, cudaCreateTextureObject(&t, &r, &description, 0));
    CALL(l->name, cudaMalloc(&results, sizeof out));
    choose_places(l, l->where == LINEAR);
    launch(l->kernel, t, results);
    CALL(l->name, cudaMemcpy(&out, results, sizeof out, 4));
    for (int i = 0; i < PLACES * l->results; i++) {
        int place = i / l->results, channel = i % l->results;
        double wanted = sampled(l, xs[place], ys[place], zs[place], channel), got = l->integers ? out.i[i] : out.f[i];
        if (fabs(wanted - got) > 1e-4) {
            printf("FAILED %s[%d] at (%g, %g, %g) channel %d: %g, not %g\n", l->name, place, xs[place], ys[place], zs[place], channel, got, wanted);
            failed++;
            break;
        }
    }
    held++;
    CALL(l->name, cudaDestroyTextureObject(t));
    CALL(l->name, l->where == ARRAY ? cudaFreeArray(memory) : cudaFree(memory));
    CALL(l->name, cudaFree(results));
}

#define F1 {{32}, FLOAT}
#define F2 {{32, 32}, FLOAT}
#define F4 {{32, 32, 32, 32}, FLOAT}
#define H1 {{16}, FLOAT}
#define U1 {{8}, UNSIGNED}
#define S1 {{8}, SIGNED}
#define U4 {{8, 8, 8, 8}, UNSIGNED}
#define W1 {{16}, SIGNED}
#define V1 {{16}, UNSIGNED}
#define I1 {{32}, SIGNED}
static const lookup lookups[] = {
    // name, kernel, where, w, h, d, layered, format, normalised read, address, linear, normalised coordinates, results, integers
    {"linear memory", "fetch_float", LINEAR, 100, 0, 0, 0, F1, 0, CLAMP, 0, 0, 1, 0},
    {"linear memory of integers", "fetch_int", LINEAR, 77, 0, 0, 0, I1, 0, CLAMP, 0, 0, 1, 1},
    {"linear memory of shorts", "fetch_short", LINEAR, 33, 0, 0, 0, W1, 0, CLAMP, 0, 0, 1, 1},
    {"linear memory of vectors", "fetch_float4", LINEAR, 20, 0, 0, 0, F4, 0, CLAMP, 0, 0, 4, 0},
    {"linear memory of halves", "fetch_float", LINEAR, 40, 0, 0, 0, H1, 0, CLAMP, 0, 0, 1, 0},
    {"linear memory of bytes as numbers", "fetch_float", LINEAR, 40, 0, 0, 0, U1, 1, CLAMP, 0, 0, 1, 0},
    {"line, nearest, clamped", "line_float", ARRAY, 19, 0, 0, 0, F1, 0, CLAMP, 0, 0, 1, 0},
    {"line, nearest, border", "line_float", ARRAY, 19, 0, 0, 0, F1, 0, BORDER, 0, 0, 1, 0},
    {"line, linear, clamped", "line_float", ARRAY, 19, 0, 0, 0, F1, 0, CLAMP, 1, 0, 1, 0},
    {"line, linear, wrapped", "line_float", ARRAY, 16, 0, 0, 0, F1, 0, WRAP, 1, 1, 1, 0},
    {"line of integers", "line_int", ARRAY, 19, 0, 0, 0, I1, 0, CLAMP, 0, 0, 1, 1},
    {"plane, nearest, clamped", "plane_float", ARRAY, 13, 9, 0, 0, F1, 0, CLAMP, 0, 0, 1, 0},
    {"plane, nearest, border", "plane_float", ARRAY, 13, 9, 0, 0, F1, 0, BORDER, 0, 0, 1, 0},
    {"plane, nearest, wrapped", "plane_float", ARRAY, 16, 8, 0, 0, F1, 0, WRAP, 0, 1, 1, 0},
    {"plane, nearest, mirrored", "plane_float", ARRAY, 16, 8, 0, 0, F1, 0, MIRROR, 0, 1, 1, 0},
    {"plane, nearest, clamped, normalised", "plane_float", ARRAY, 16, 8, 0, 0, F1, 0, CLAMP, 0, 1, 1, 0},
    {"plane, wrapping without normalised coordinates", "plane_float", ARRAY, 13, 9, 0, 0, F1, 0, WRAP, 0, 0, 1, 0},
    {"plane, linear, clamped", "plane_float", ARRAY, 13, 9, 0, 0, F1, 0, CLAMP, 1, 0, 1, 0},
    {"plane, linear, border", "plane_float", ARRAY, 13, 9, 0, 0, F1, 0, BORDER, 1, 0, 1, 0},
    {"plane, linear, wrapped", "plane_float", ARRAY, 16, 8, 0, 0, F1, 0, WRAP, 1, 1, 1, 0},
    {"plane, linear, mirrored", "plane_float", ARRAY, 16, 8, 0, 0, F1, 0, MIRROR, 1, 1, 1, 0},
    {"plane, linear, border, normalised", "plane_float", ARRAY, 16, 8, 0, 0, F1, 0, BORDER, 1, 1, 1, 0},
    {"plane of two", "plane_float2", ARRAY, 13, 9, 0, 0, F2, 0, CLAMP, 1, 0, 2, 0},
    {"plane of four", "plane_float4", ARRAY, 13, 9, 0, 0, F4, 0, CLAMP, 1, 0, 4, 0},
    {"plane of four bytes as numbers", "plane_float4", ARRAY, 13, 9, 0, 0, U4, 1, CLAMP, 1, 0, 4, 0},
    {"plane of bytes", "plane_byte", ARRAY, 13, 9, 0, 0, U1, 0, CLAMP, 0, 0, 1, 1},
    {"plane of signed bytes", "plane_signed", ARRAY, 13, 9, 0, 0, S1, 0, BORDER, 0, 0, 1, 1},
    {"plane of integers", "plane_int", ARRAY, 13, 9, 0, 0, I1, 0, CLAMP, 0, 0, 1, 1},
    {"plane of bytes as numbers", "plane_float", ARRAY, 13, 9, 0, 0, U1, 1, CLAMP, 0, 0, 1, 0},
    {"plane of signed bytes as numbers, linear", "plane_float", ARRAY, 13, 9, 0, 0, S1, 1, CLAMP, 1, 0, 1, 0},
    {"plane of shorts as numbers, linear", "plane_float", ARRAY, 13, 9, 0, 0, V1, 1, CLAMP, 1, 0, 1, 0},
    {"plane of signed shorts as numbers", "plane_float", ARRAY, 13, 9, 0, 0, W1, 1, CLAMP, 0, 0, 1, 0},
    {"plane of halves, linear", "plane_float", ARRAY, 13, 9, 0, 0, H1, 0, CLAMP, 1, 0, 1, 0},
    {"plane with a level", "plane_lod", ARRAY, 13, 9, 0, 0, F1, 0, CLAMP, 1, 0, 1, 0},
    {"plane with gradients", "plane_grad", ARRAY, 13, 9, 0, 0, F1, 0, CLAMP, 0, 0, 1, 0},
    {"pitched memory, nearest", "plane_float", PLANE, 13, 9, 0, 0, F1, 0, CLAMP, 0, 0, 1, 0},
    {"pitched memory, linear", "plane_float", PLANE, 13, 9, 0, 0, F1, 0, CLAMP, 1, 0, 1, 0},
    {"pitched memory, wrapped", "plane_float", PLANE, 16, 8, 0, 0, F1, 0, WRAP, 1, 1, 1, 0},
    {"pitched memory of four bytes", "plane_float4", PLANE, 13, 9, 0, 0, U4, 1, BORDER, 0, 0, 4, 0},
    {"box, nearest", "box_float", ARRAY, 7, 6, 5, 0, F1, 0, CLAMP, 0, 0, 1, 0},
    {"box, linear", "box_float", ARRAY, 7, 6, 5, 0, F1, 0, CLAMP, 1, 0, 1, 0},
    {"box, linear, wrapped", "box_float", ARRAY, 8, 4, 4, 0, F1, 0, WRAP, 1, 1, 1, 0},
    {"box, linear, border", "box_float", ARRAY, 7, 6, 5, 0, F1, 0, BORDER, 1, 0, 1, 0},
    {"box of bytes as numbers", "box_float", ARRAY, 7, 6, 5, 0, U1, 1, CLAMP, 1, 0, 1, 0},
    {"layers of lines", "line_layered", ARRAY, 17, 0, 5, 1, F1, 0, CLAMP, 1, 0, 1, 0},
    {"layers of planes", "plane_layered", ARRAY, 9, 7, 4, 1, F1, 0, CLAMP, 0, 0, 1, 0},
    {"layers of planes, linear", "plane_layered", ARRAY, 9, 7, 4, 1, F1, 0, BORDER, 1, 0, 1, 0},
};

// The four texels of a bilinear lookup, from the lower left one on against the clock.
static void check_gather(const char *kernel, int channel)
{
    lookup l = {"gather", kernel, ARRAY, 13, 9, 0, 0, F4, 0, CLAMP, 1, 0, 4, 0};
    static float out[PLACES * 4];
    handle memory = 0, results = 0;
    object t = 0;
    resource r = made(&l, &memory);
    texture description = {.address = {CLAMP, CLAMP, CLAMP}, .filter = 1};
    CALL(kernel, cudaCreateTextureObject(&t, &r, &description, 0));
    CALL(kernel, cudaMalloc(&results, sizeof out));
    choose_places(&l, 0);
    launch(kernel, t, results);
    CALL(kernel, cudaMemcpy(out, results, sizeof out, 4));
    const int dx[] = {0, 1, 1, 0}, dy[] = {1, 1, 0, 0};
    int wrong = 0;
    for (int i = 0; i < PLACES * 4; i++)
        wrong += out[i] != (float)texel(&l, (int)floor(xs[i / 4] - 0.5) + dx[i % 4], (int)floor(ys[i / 4] - 0.5) + dy[i % 4], 0, 0, channel);
    expect(kernel, !wrong, "gathers the texels around");
    cudaDestroyTextureObject(t), cudaFreeArray(memory), cudaFree(results);
}

enum { W = 12, H = 10, D = 3 };

static handle surface_array(const channels *format, int depth, unsigned flags, object *surface)
{
    handle array = 0;
    extent size = {W, H, depth};
    resource r;
    memset(&r, 0, sizeof r);
    CALL("surface", cudaMalloc3DArray(&array, format, size, flags | SURFACE));
    r.u.array = array;
    CALL("surface", cudaCreateSurfaceObject(surface, &r));
    return array;
}

// Coordinates from -2 to beyond the edges, whole.
static void surface_places(int inside)
{
    for (int i = 0; i < PLACES; i++) {
        xs[i] = inside ? i % W : i % (W + 4) - 2;
        ys[i] = inside ? i / W % H : i / (W + 4) % (H + 4) - 2;
        zs[i] = i % D;
    }
    const float *host[] = {xs, ys, zs};
    for (int axis = 0; axis < 3; axis++) CALL("places", cudaMemcpy(coordinates[axis], host[axis], sizeof xs, 4));
}

static void check_surfaces(void)
{
    static int out[PLACES], host[W * H];
    static short narrow[W * H];
    static int vectors[W * H][4];
    channels one = I1, half = W1, four = {{32, 32, 32, 32}, SIGNED};
    handle results = 0, array;
    object s;
    int wrong = 0;
    CALL("surface", cudaMalloc(&results, sizeof out));

    array = surface_array(&one, 0, 0, &s);
    surface_places(0);
    launch("surface_writes", s, results);
    CALL("surface", cudaMemcpy2DFromArray(host, W * 4, array, 0, 0, W * 4, H, 4));
    for (int i = 0; i < W * H; i++) wrong += host[i] != i % W * 1000 + i / W;
    expect("surface writes", !wrong, "and leaves out what is outside");
    launch("surface_reads", s, results);
    CALL("surface", cudaMemcpy(out, results, sizeof out, 4));
    for (int i = wrong = 0; i < PLACES; i++) {
        int in = xs[i] >= 0 && xs[i] < W && ys[i] >= 0 && ys[i] < H;
        wrong += out[i] != (in ? (int)(xs[i] * 1000 + ys[i]) : 0);
    }
    expect("surface reads", !wrong, "and zeros outside");
    launch("surface_clamps", s, results);
    CALL("surface", cudaMemcpy(out, results, sizeof out, 4));
    for (int i = wrong = 0; i < PLACES; i++) {
        int x = xs[i] < 0 ? 0 : xs[i] >= W ? W - 1 : (int)xs[i], y = ys[i] < 0 ? 0 : ys[i] >= H ? H - 1 : (int)ys[i];
        wrong += out[i] != x * 1000 + y;
    }
    expect("surface clamps", !wrong, "to its edges");

    handle copy = 0;
    CALL("array to array", cudaMallocArray(&copy, &one, W, H, 0));
    CALL("array to array", cudaMemcpy2DArrayToArray(copy, 4, 2, array, 0, 0, (W - 1) * 4, H - 2, 3));
    CALL("array to array", cudaMemcpyFromArray(host, copy, 0, 2, (size_t)W * (H - 2) * 4, 4));
    for (int i = wrong = 0; i < W * (H - 2); i++) wrong += i % W && host[i] != (i % W - 1) * 1000 + i / W;
    expect("array to array", !wrong, "moved by one texel and two rows");
    cudaFreeArray(copy), cudaDestroySurfaceObject(s), cudaFreeArray(array);

    surface_places(1);
    array = surface_array(&half, 0, 0, &s);
    launch("surface_writes_shorts", s, results);
    CALL("surface", cudaMemcpy2DFromArray(narrow, W * 2, array, 0, 0, W * 2, H, 4));
    for (int i = wrong = 0; i < W * H; i++) wrong += narrow[i] != i % W * 100 + i / W;
    expect("surface of shorts", !wrong, "is written");
    cudaDestroySurfaceObject(s), cudaFreeArray(array);

    array = surface_array(&four, 0, 0, &s);
    launch("surface_writes_vectors", s, results);
    CALL("surface", cudaMemcpy2DFromArray(vectors, W * 16, array, 0, 0, W * 16, H, 4));
    for (int i = wrong = 0; i < W * H; i++) wrong += vectors[i][0] != i % W || vectors[i][1] != i / W || vectors[i][2] != 3 || vectors[i][3] != 4;
    expect("surface of vectors", !wrong, "is written");
    cudaDestroySurfaceObject(s), cudaFreeArray(array);

    for (int layers = 0; layers < 2; layers++) {
        const char *kernel = layers ? "surface_of_layers" : "surface_of_boxes";
        array = surface_array(&one, D, layers ? LAYERED : 0, &s);
        launch(kernel, s, results);
        CALL(kernel, cudaMemcpy(out, results, sizeof out, 4));
        for (int i = wrong = 0; i < PLACES; i++) wrong += out[i] != (int)(xs[i] * 100 + ys[i] * 10 + zs[i]);
        expect(kernel, !wrong, "gives what was written");
        cudaDestroySurfaceObject(s), cudaFreeArray(array);
    }
    cudaFree(results);
}

static void check_driver_arrays(void)
{
    enum { S32 = 0x0a };
    static int host[40], back[40];
    handle a = 0, b = 0;
    array_descriptor described = {40, 0, S32, 1}, found;
    for (int i = 0; i < 40; i++) host[i] = i * i;
    CALL("driver's array", cuArrayCreate_v2(&a, &described));
    CALL("driver's array", cuArrayCreate_v2(&b, &described));
    CALL("driver's array", cuArrayGetDescriptor_v2(&found, a));
    expect("driver's array", found.width == 40 && found.format == S32 && found.channels == 1, "is as described");
    CALL("driver's array", cuMemcpyHtoA_v2(a, 0, host, sizeof host));
    CALL("driver's array", cuMemcpyAtoA_v2(b, 40, a, 80, 80));
    CALL("driver's array", cuMemcpyAtoH_v2(back, b, 40, 80));
    expect("driver's array", !memcmp(back, host + 20, 80), "holds what was copied");
    expect("driver's array", cuMemcpyHtoA_v2(a, 100, host, sizeof host) != 0, "refuses a copy beyond its end");
    CALL("driver's array", cuArrayDestroy(a));
    expect("driver's array", cuArrayDestroy(a) != 0, "is gone");
    CALL("driver's array", cuArrayDestroy(b));
}

static void check_information(void)
{
    handle array = 0;
    channels given = U4, found;
    extent size = {6, 5, 4}, told;
    unsigned flags;
    CALL("information", cudaMalloc3DArray(&array, &given, size, LAYERED));
    CALL("information", cudaArrayGetInfo(&found, &told, &flags, array));
    expect("information", !memcmp(&given, &found, sizeof given) && !memcmp(&size, &told, sizeof size) && flags == LAYERED, "is as given");
    cudaFreeArray(array);
    channels odd = {{8, 8, 8, 0}, UNSIGNED};
    expect("information", cudaMallocArray(&array, &odd, 4, 4, 0) == 20, "three channels are refused");
}

int main(int count, char **arguments)
{
    FILE *file = count > 1 ? fopen(arguments[1], "rb") : 0;
    static char text[1 << 20];
    if (!file || !fread(text, 1, sizeof text - 1, file)) return puts("usage: textures MODULE.PTX"), 2;
    cudaFree(0);
    CALL("module", cuModuleLoadData(&module, text));
    for (int axis = 0; axis < 3; axis++) CALL("places", cudaMalloc(&coordinates[axis], sizeof xs));
    for (unsigned i = 0; i < sizeof lookups / sizeof *lookups; i++) check(&lookups[i]);
    check_gather("gather_x", 0);
    check_gather("gather_w", 3);
    check_surfaces();
    check_driver_arrays();
    check_information();
    printf("%zu kinds of lookups; %d expectations held, %d failed\n", sizeof lookups / sizeof *lookups + 2, held, failed);
    return failed != 0;
}
