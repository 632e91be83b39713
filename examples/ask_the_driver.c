// Asks the kernel driver which cards there are, by ioctls on its nodes: no library of NVIDIA's, and none of ours.
//   cc -o /tmp/ask_the_driver ask_the_driver.c && vgpu-run --gpu h100 /tmp/ask_the_driver
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

// What the headers of NVIDIA's open kernel modules would declare, as of driver 580.
enum { FREE = 0x29, CONTROL = 0x2a, ALLOC = 0x2b, REGISTER_FD = 201, CHECK_VERSION = 210 };
enum { CLASS_CLIENT = 0x41, CLASS_DEVICE = 0x80, CLASS_SUBDEVICE = 0x2080 };
enum { GET_PROBED_IDS = 0x214, ATTACH_IDS = 0x215, GET_ID_INFO = 0x205, GET_NAME = 0x20800110, GET_MEMORY = 0x20801303 };
struct version { uint32_t command, reply; char text[64]; };
struct alloc { uint32_t client, parent, object, class; uint64_t parameters, rights; uint32_t size, flags, status, unused; };
struct control { uint32_t client, object, command, flags; uint64_t parameters; uint32_t size, status; };
struct free { uint32_t client, parent, object, status; };
struct probed_ids { uint32_t ids[32], excluded[32], flags[32]; };
struct attach_ids { uint32_t ids[32], failed; };
struct id_info { uint32_t id, flags, device, subdevice, rest[4]; };
struct device { uint32_t number, rest[13]; };
struct name { uint32_t flags; char text[128]; };
struct memory { uint32_t count; struct { uint32_t index, value; } list[128]; };

static int control_node;
static uint32_t client;

static void fail(const char *what, uint32_t error) {
    fprintf(stderr, "%s failed with error %#x\n", what, error);
    exit(1);
}

static void escape(int node, int number, void *structure, size_t size, const char *what) {
    if (ioctl(node, _IOC(_IOC_READ | _IOC_WRITE, 'F', number, size), structure)) fail(what, errno);
}

static uint32_t control(uint32_t object, uint32_t command, void *parameters, uint32_t size) {
    struct control call = { client, object, command, 0, (uintptr_t)parameters, size, 0 };
    escape(control_node, CONTROL, &call, sizeof call, "a control");
    return call.status;
}
#define ASK(object, command, parameters) do { \
        uint32_t error_ = control(object, command, &(parameters), sizeof (parameters)); \
        if (error_) fail(#command, error_); \
    } while (0)

static uint32_t make(uint32_t parent, uint32_t object, uint32_t class, void *parameters, uint32_t size) {
    struct alloc call = { client, parent, object, class, (uintptr_t)parameters, 0, size, 0, 0, 0 };
    escape(control_node, ALLOC, &call, sizeof call, "an allocation");
    if (call.status) fail("an allocation", call.status);
    return call.object;
}

static uint32_t release(uint32_t parent, uint32_t object) {
    struct free call = { client, parent, object, 0 };
    escape(control_node, FREE, &call, sizeof call, "a free");
    return call.status;
}

static void describe(uint32_t id) {
    enum { DEVICE = 0x5c000001, SUBDEVICE };
    enum { TOTAL = 0x08, FREE_NOW = 0x16 };
    struct attach_ids attach = { .ids = { id, 0xffffffff } };
    ASK(client, ATTACH_IDS, attach);
    struct id_info info = { .id = id };
    ASK(client, GET_ID_INFO, info);
    // Only who has the card's own node open may make a device of it.
    char path[32];
    snprintf(path, sizeof path, "/dev/nvidia%u", info.device);
    int node = open(path, O_RDWR | O_CLOEXEC);
    if (node < 0) fail(path, errno);
    escape(node, REGISTER_FD, &control_node, sizeof control_node, "the registration");

    struct device device = { info.device, { 0 } };
    uint32_t subdevice = 0;
    make(client, DEVICE, CLASS_DEVICE, &device, sizeof device);
    make(DEVICE, SUBDEVICE, CLASS_SUBDEVICE, &subdevice, sizeof subdevice);
    struct name name = { 0 };
    ASK(SUBDEVICE, GET_NAME, name);
    struct memory memory = { 2, { { TOTAL, 0 }, { FREE_NOW, 0 } } };
    ASK(SUBDEVICE, GET_MEMORY, memory);
    printf("%u: %s, %u of %u MiB free\n", info.device, name.text, memory.list[1].value >> 10, memory.list[0].value >> 10);
    // What is below an object goes with it.
    if (release(client, DEVICE)) fail("freeing the device", 0);
    printf("   without a device: error %#x\n", control(SUBDEVICE, GET_NAME, &name, sizeof name));
}

int main(void) {
    struct version version = { '2', 0, "" };
    control_node = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
    if (control_node < 0) fail("/dev/nvidiactl", errno);
    escape(control_node, CHECK_VERSION, &version, sizeof version, "the version");
    printf("driver %s\n", version.text);
    client = make(0, 0, CLASS_CLIENT, NULL, 0);
    struct probed_ids probed = { 0 };
    ASK(client, GET_PROBED_IDS, probed);
    for (int i = 0; i < 32 && probed.ids[i] != 0xffffffff; i++) describe(probed.ids[i]);
    return release(client, client) != 0;
}
