// Makes system calls in the other two numberings that a 64-bit program can use, i386's and x32's, and says what they answer.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static long i386(long number, long first, long second, long third) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory");
    return (int)result;
}

static void show(const char *what, long result) {
    const char *name = result < 0 && result > -4096 ? strerrorname_np(-result) : 0;
    if (result >= 3) close(result);
    printf("%s: %s\n", what, name ? name : "fine");
}

int main(int count, char **arguments) {
    enum { X32 = 0x40000000, I386_OPEN = 5, I386_GETPID = 20, I386_OPENAT = 295 };
    // In reach of 32-bit pointers.
    char *path = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (count != 2 || path == MAP_FAILED) return 2;
    strcpy(path, arguments[1]);
    show("i386 getpid", i386(I386_GETPID, 0, 0, 0));
    show("i386 open", i386(I386_OPEN, (long)path, O_RDONLY, 0));
    show("i386 openat", i386(I386_OPENAT, AT_FDCWD, (long)path, O_RDONLY));
    show("i386 no such call", i386(4000, 0, 0, 0));
    show("x32 getpid", syscall(X32 | SYS_getpid) < 0 ? -errno : 0);
    show("x32 openat", syscall(X32 | SYS_openat, AT_FDCWD, path, O_RDONLY) < 0 ? -errno : 0);
    show("no such call", syscall(4000) < 0 ? -errno : 0);
    show("minus one", syscall(-1) < 0 ? -errno : 0);
    return 0;
}
