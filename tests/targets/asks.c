// asks INDEX [DEVICE]: what the card's INDEX-th fact about its memory is, by the driver's nodes; the device gets that handle.
#include "nodes.h"

int main(int count, char **arguments) {
    if (count < 2) return 2;
    uint32_t handle = count > 2 ? strtoul(arguments[2], NULL, 0) : DEVICE, subdevice = 0;
    struct session session;
    begin(&session);
    struct device device = { 0 };
    HOLDS(make(&session, session.client, handle, CLASS_DEVICE, &device, sizeof device) == FINE);
    HOLDS(make(&session, handle, SUBDEVICE, CLASS_SUBDEVICE, &subdevice, sizeof subdevice) == FINE);
    expect_name(&session);
    struct memory memory = { 1, { { strtoul(arguments[1], NULL, 0), 0 } } };
    struct control call = { session.client, SUBDEVICE, GET_MEMORY, 0, (uintptr_t)&memory, sizeof memory, 0 };
    int error = escape(session.control_node, CONTROL, &call, sizeof call);
    if (error) printf("%s\n", strerror(error));
    else printf("%u, status %#x\n", memory.list[0].value, call.status);
    return error != 0;
}
