// What nvcc makes of device code: a container with one entry of PTX, not compressed, and the wrapper that points to it.
// `register_ptx` does what the constructor of such a program does first. All of it lives until the process ends.
#include <stdlib.h>
#include <string.h>

void **__cudaRegisterFatBinary(void *);

struct fat_image {
    unsigned magic; unsigned short version, header; unsigned long long size;
    struct { unsigned short kind, version; unsigned header; unsigned long long size; unsigned packed, zero;
             unsigned short minor, major; unsigned arch, name, name_length; unsigned long long flags, zero2, unpacked; } entry;
    char ptx[];
};

static struct fat_image *fat_image(const char *text) {
    size_t length = (strlen(text) + 8) / 8 * 8;
    struct fat_image *image = calloc(1, sizeof *image + length);
    strcpy(image->ptx, text);
    image->magic = 0xba55ed50; image->version = 1; image->header = 16;
    image->entry.kind = 1; image->entry.version = 0x101; image->entry.header = sizeof image->entry;
    image->entry.size = length; image->entry.major = 6; image->entry.arch = 50; image->entry.flags = 0x11;
    image->size = sizeof image->entry + length;
    return image;
}

static inline void **register_ptx(const char *text) {
    static struct { int magic, version; const void *data; void *file; } wrapper = {0x466243b1, 1, 0, 0};
    wrapper.data = fat_image(text);
    return __cudaRegisterFatBinary(&wrapper);
}

// The same of `nvcc -rdc=true`: one container with what was linked, which is machine code that is left out here, and a list of the
// containers of the objects.
static inline void **register_linked(int count, const char **texts) {
    static struct fat_image linked = {.magic = 0xba55ed50, .version = 1, .header = 16};
    static const void *objects[8];
    static struct { int magic, version; const void *data; const void **objects; } wrapper = {0x466243b1, 2, &linked, objects};
    for (int i = 0; i < count; i++) objects[i] = fat_image(texts[i]);
    return __cudaRegisterFatBinary(&wrapper);
}
