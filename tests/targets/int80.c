// Makes a system call of the 32-bit architecture from a 64-bit program: getpid, and an open of the device node.
#include <stdio.h>

static long call32(long number, long first, long second) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second) : "memory");
    return result;
}

int main(void) {
    printf("%s\n", call32(20, 0, 0) > 0 ? "alive" : "odd");
    return 0;
}
