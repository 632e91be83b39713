// cc: -static -fno-pie -no-pie
// own_root DIRECTORY WAY: how long the loader's cache is here and, once DIRECTORY is the root, there. WAY is the interface
// through which the root is changed: 64 or 32 (bits).
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[4096];

static long cache_length(void) {
    struct stat facts;
    int cache = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
    return cache >= 0 && fstat(cache, &facts) == 0 ? facts.st_size : -1;
}

static long chroot_by_32_bits(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(61), "b"(directory) : "memory");
    return result;
}

int main(int count, char **arguments) {
    if (count != 3 || strlen(arguments[1]) >= sizeof directory) return 2;
    strcpy(directory, arguments[1]);
    printf("%ld ", cache_length());
    int is_32 = strcmp(arguments[2], "32") == 0;
    if (is_32 ? chroot_by_32_bits() : chroot(directory)) return puts("no chroot"), 1;
    printf("%ld\n", cache_length());
    return 0;
}
