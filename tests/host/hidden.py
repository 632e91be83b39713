"""What a process gets of cards: devices that RM gives it, and with the number of a node what opening it and calling it says."""
import ctypes
import errno
import fcntl
import os
import struct
import sys
import tempfile

RM_ALLOC, SYS_PARAMS, REGISTER_FD = 0xC030462B, 0xC00846D6, 0xC00446C9
ROOT, DEVICE = 0x41, 0x80


def allocate(control, root, handle, kind, parameters):
    """The status, and what the call has left of its struct."""
    address = ctypes.addressof(parameters) if parameters else 0
    call = bytearray(struct.pack("<IIIIQQIIII", root, root, handle, kind, address, 0, 0, 0, 0, 0))
    fcntl.ioctl(control, RM_ALLOC, call)
    return struct.unpack_from("<I", call, 40)[0], call


def word(error):
    return errno.errorcode.get(error.errno, error.errno)


cuda = ctypes.CDLL("libcuda.so.1")
print("cuInit", cuda.cuInit(0))
control = os.open("/dev/nvidiactl", os.O_RDWR)
status, call = allocate(control, 0, 0, ROOT, None)
client = struct.unpack_from("<I", call, 8)[0]
statuses = []
for instance in range(16):
    parameters = (ctypes.c_uint32 * 14)(instance)
    statuses.append(allocate(control, client, 0x5C000000 + instance, DEVICE, parameters)[0])
print("devices", statuses.count(0), "refused for want of an open card", statuses.count(0x1B))

for minor in sys.argv[1:]:
    node = f"/dev/nvidia{minor}"
    try:
        os.close(os.open(node, os.O_RDWR))
        print(node, "opens")
    except OSError as error:
        print(node, word(error))
    with tempfile.TemporaryDirectory() as directory:
        os.symlink(node, f"{directory}/card")
        card = os.open(f"{directory}/card", os.O_RDWR)
    for name, descriptor, request, argument in [("on it", card, SYS_PARAMS, bytes(8)), ("about it", control, REGISTER_FD, struct.pack("<i", card))]:
        try:
            fcntl.ioctl(descriptor, request, argument)
            print(" ", name, "done")
        except OSError as error:
            print(" ", name, word(error))
