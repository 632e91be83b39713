// Functions that our libraries use and that older C libraries do not have, written with what those have. Their names are
// given in assembly, because headers of newer C libraries declare them, with types that older headers lack.
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <stdint.h>

// Until 2.33 these were inline calls of a form that carries the structure's version, 1 on x86-64.
int __xstat64(int version, const char *path, void *status);
int __fxstat64(int version, int descriptor, void *status);

int state_of_path(const char *path, void *status) __asm__("stat64");
int state_of_path(const char *path, void *status) { return __xstat64(1, path, status); }
int state_of_descriptor(int descriptor, void *status) __asm__("fstat64");
int state_of_descriptor(int descriptor, void *status) { return __fxstat64(1, descriptor, status); }

// Since 2.35, and what gcc's unwinder calls once it was built with that. The layout is part of the C library's interface
// (dlfcn.h); the last member is reserved.
struct found_object {
    unsigned long long flags;
    void *start, *end;
    struct link_map *map;
    void *unwind_table;
    unsigned long long reserved[7];
};

struct search { uintptr_t wanted; struct found_object *result; };

static int look_at(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    struct search *search = data;
    uintptr_t table = 0, start = UINTPTR_MAX, end = 0;
    int inside = 0;
    for (int at = 0; at < info->dlpi_phnum; at++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[at];
        uintptr_t begin = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_GNU_EH_FRAME) table = begin;
        if (part->p_type != PT_LOAD) continue;
        if (begin < start) start = begin;
        if (begin + part->p_memsz > end) end = begin + part->p_memsz;
        inside |= search->wanted >= begin && search->wanted < begin + part->p_memsz;
    }
    if (!inside || !table) return 0;
    *search->result = (struct found_object){.start = (void *)start, .end = (void *)end, .unwind_table = (void *)table};
    return 1;
}

int find_object(void *address, struct found_object *result) __asm__("_dl_find_object");
int find_object(void *address, struct found_object *result) {
    struct search search = {(uintptr_t)address, result};
    return dl_iterate_phdr(look_at, &search) == 1 ? 0 : -1;
}
