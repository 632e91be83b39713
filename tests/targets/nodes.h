// A client of the driver's nodes without a library, as of driver 580: what hostile_nodes.c is made of.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include "checks.h"

enum { FREE = 0x29, CONTROL = 0x2a, ALLOC = 0x2b, REGISTER_FD = 201, CHECK_VERSION = 210, XFER = 211 };
enum { CLASS_CLIENT = 0x41, CLASS_DEVICE = 0x80, CLASS_SUBDEVICE = 0x2080 };
enum { GET_BUILD_VERSION = 0x101, GET_PROBED_IDS = 0x214, GET_NAME = 0x20800110, GET_MEMORY = 0x20801303, BUS_INFO = 0x20801802 };
enum { FINE = 0, INVALID_ADDRESS = 0x1e, INVALID_ARGUMENT = 0x1f, INVALID_CLIENT = 0x23, INSUFFICIENT_RESOURCES = 0x1a };
enum { DEVICE = 0x5c000001, SUBDEVICE };
struct version { uint32_t command, reply; char text[64]; };
struct alloc { uint32_t client, parent, object, class; uint64_t parameters, rights; uint32_t size, flags, status, unused; };
struct control { uint32_t client, object, command, flags; uint64_t parameters; uint32_t size, status; };
struct free { uint32_t client, parent, object, status; };
struct xfer { uint32_t command, size; uint64_t pointer; };
struct probed_ids { uint32_t ids[32], excluded[32], flags[32]; };
struct device { uint32_t number, rest[13]; };
struct name { uint32_t flags; char text[128]; };
struct memory { uint32_t count; struct { uint32_t index, value; } list[128]; };

// What the program has: nodes, and a client.
struct session { int control_node, gpu_node; uint32_t client; };

static inline unsigned long request(int number, size_t size) { return _IOC(_IOC_READ | _IOC_WRITE, 'F', number, size); }

// 0, or the error of the call itself.
static inline int escape(int node, int number, void *structure, size_t size) {
    return ioctl(node, request(number, size), structure) ? errno : 0;
}

// The status; UINT32_MAX if the call itself failed.
static inline uint32_t ask(struct session *session, uint32_t object, uint32_t command, void *parameters, uint32_t size) {
    struct control call = { session->client, object, command, 0, (uintptr_t)parameters, size, UINT32_MAX };
    return escape(session->control_node, CONTROL, &call, sizeof call) ? UINT32_MAX : call.status;
}

static inline uint32_t make(struct session *session, uint32_t parent, uint32_t object, uint32_t class, void *parameters, uint32_t size) {
    struct alloc call = { session->client, parent, object, class, (uintptr_t)parameters, 0, size, 0, UINT32_MAX, 0 };
    return escape(session->control_node, ALLOC, &call, sizeof call) ? UINT32_MAX : call.status;
}

static inline uint32_t release(struct session *session, uint32_t object) {
    struct free call = { session->client, session->client, object, UINT32_MAX };
    return escape(session->control_node, FREE, &call, sizeof call) ? UINT32_MAX : call.status;
}

// Nodes without close-on-exec, and a client.
static inline void begin(struct session *session) {
    HOLDS((session->control_node = open("/dev/nvidiactl", O_RDWR)) >= 0);
    HOLDS((session->gpu_node = open("/dev/nvidia0", O_RDWR)) >= 0);
    struct alloc root = { .class = CLASS_CLIENT };
    HOLDS(escape(session->control_node, ALLOC, &root, sizeof root) == 0 && root.status == FINE);
    session->client = root.object;
}

static inline void make_device(struct session *session) {
    struct device device = { 0 };
    uint32_t subdevice = 0;
    HOLDS(make(session, session->client, DEVICE, CLASS_DEVICE, &device, sizeof device) == FINE);
    HOLDS(make(session, DEVICE, SUBDEVICE, CLASS_SUBDEVICE, &subdevice, sizeof subdevice) == FINE);
}

static inline void expect_name(struct session *session) {
    struct name name = { 0 };
    HOLDS(ask(session, SUBDEVICE, GET_NAME, &name, sizeof name) == FINE);
    HOLDS(!strncmp(name.text, "NVIDIA H100", 11));
}

static inline void end(struct session *session) {
    close(session->control_node);
    close(session->gpu_node);
}

// What a well-behaved client does, from beginning to end.
static inline void be_served(void) {
    struct session session;
    begin(&session);
    make_device(&session);
    expect_name(&session);
    HOLDS(release(&session, session.client) == FINE);
    end(&session);
}
