// The rendezvous with the supervisor: payload/wire/src/control.rs in C.
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct call {
    uint64_t cookie;
    uint32_t protocol, operation;
    uint64_t input;
    uint32_t input_length, output_capacity;
    uint64_t output;
    uint32_t output_length, status;
    uint64_t reserved[2];
};

#define REQUEST 0xC0405690u
#define REQUEST_IN_REGISTERS 0xC0005691u
#define COOKIE 0x766770752d72756eull

static int hello_on(int node) {
    uint32_t input[2] = {1, 0};
    unsigned char output[64];
    // In a protocol that nobody has, so that it need not be kept up to date: that is answered as well.
    struct call call = {.cookie = COOKIE, .protocol = 0xffff, .operation = 1};
    call.input = (uintptr_t)input, call.input_length = sizeof input;
    call.output = (uintptr_t)output, call.output_capacity = sizeof output;
    return ioctl(node, REQUEST, &call) == 0 && call.output_length > 0;
}

// Bytes that are free on the first device; negative if nobody answers. `protocol`: wire::PROTOCOL.
static long free_memory_on(int node, uint64_t protocol) {
    const uint64_t free_memory = 23, device = 0;
    return syscall(SYS_ioctl, node, REQUEST_IN_REGISTERS, COOKIE, protocol << 32 | free_memory, device, 0);
}

static int hello(void) {
    int node = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
    if (node < 0)
        return 0;
    int answered = hello_on(node);
    close(node);
    return answered;
}
