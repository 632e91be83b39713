// cc: -pthread
// Asks for mappings like libcuda's of managed memory: of /dev/nvidia-uvm, which here is a device that the kernel has none of (ENODEV), and of
// another file, alone and beside a thread. Then waits for the end of its input.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void ask(const char *what, int file, size_t mebibytes, int how)
{
    static uintptr_t at = 0x200000000000;
    at += 1ull << 40;
    void *mapped = mmap((void *)at, mebibytes << 20, PROT_READ | PROT_WRITE, MAP_SHARED | how, file, (off_t)at);
    printf("%s %zu MiB: %s\n", what, mebibytes, mapped == MAP_FAILED ? strerrorname_np(errno) : "mapped");
}

static void *wait_as_well(void *nothing)
{
    pause();
    return nothing;
}

int main(void)
{
    int node = open("/dev/nvidia-uvm", O_RDWR | O_CLOEXEC), other = open("/dev/zero", O_RDWR | O_CLOEXEC);
    pthread_t thread;
    ask("node", node, 2048, MAP_FIXED);
    ask("node", node, 2048, 0);
    ask("node", node, 512, MAP_FIXED);
    ask("other", other, 2048, MAP_FIXED);
    if (pthread_create(&thread, NULL, wait_as_well, NULL))
        return 1;
    ask("other", other, 2048, MAP_FIXED);
    ask("node", node, 2048, MAP_FIXED);
    ask("node", node, 256, MAP_FIXED);
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    return 0;
}
