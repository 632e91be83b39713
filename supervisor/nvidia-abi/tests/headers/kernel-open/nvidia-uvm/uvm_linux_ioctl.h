#include "uvm_ioctl.h"
#define UVM_DEINITIALIZE    0x30000002
