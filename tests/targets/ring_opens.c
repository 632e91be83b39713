// ring_opens PATH: opens the file through an io_uring, where no filter sees it, and says what came of it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **arguments) {
    struct io_uring_params setup = {0};
    int ring = syscall(SYS_io_uring_setup, 1, &setup);
    if (count != 2 || ring < 0) return printf("no ring: %s\n", strerrorname_np(errno)), 77;
    size_t length = setup.sq_off.array + setup.sq_entries * sizeof(uint32_t);
    size_t completions = setup.cq_off.cqes + setup.cq_entries * sizeof(struct io_uring_cqe);
    if (completions > length) length = completions;
    // One mapping for both queues (IORING_FEAT_SINGLE_MMAP, Linux 5.4).
    char *queues = mmap(0, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry = mmap(0, setup.sq_entries * sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    if (queues == MAP_FAILED || entry == MAP_FAILED) return 1;
    *entry = (struct io_uring_sqe){.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (uintptr_t)arguments[1],
                                   .open_flags = O_RDONLY | O_CLOEXEC, .user_data = 7};
    *(uint32_t *)(queues + setup.sq_off.array) = 0;
    __atomic_store_n((uint32_t *)(queues + setup.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) != 1) return 1;
    struct io_uring_cqe *done = (void *)(queues + setup.cq_off.cqes);
    char byte;
    if (done->user_data != 7) return 1;
    if (done->res < 0) printf("%s\n", strerrorname_np(-done->res));
    else printf("%s\n", read(done->res, &byte, 1) == 1 ? "read" : "opened");
    return 0;
}
