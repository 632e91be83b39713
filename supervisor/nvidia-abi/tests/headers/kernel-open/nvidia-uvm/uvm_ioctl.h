#define UVM_IOCTL_BASE(i) i
#define UVM_REGISTER_GPU                                              UVM_IOCTL_BASE(37)
typedef struct { NvU8 gpu_uuid[16]; NvS32 rmCtrlFd; NV_STATUS rmStatus; } UVM_REGISTER_GPU_PARAMS;
