"""What the headers do not say in a form that can be read out of them: which struct an escape takes, which
numbers are file descriptors, what the pointers of the escapes and of the old controls point at. Each block
names the file that shows it.
"""

# arch/nvalloc/unix/src/escape.c and osapi.c, kernel-open/nvidia/nv.c: the struct that each escape's size is
# compared with. An array's element: `[]` after the name. 0x2b also takes NVOS21, told apart by its size.
ESCAPES = {
    "NV_ESC_RM_ALLOC_MEMORY": "nv_ioctl_nvos02_parameters_with_fd",
    "NV_ESC_RM_ALLOC_OBJECT": "NVOS05_PARAMETERS",
    "NV_ESC_RM_FREE": "NVOS00_PARAMETERS",
    "NV_ESC_RM_CONTROL": "NVOS54_PARAMETERS",
    "NV_ESC_RM_ALLOC": "NVOS64_PARAMETERS",
    "NV_ESC_RM_DUP_OBJECT": "NVOS55_PARAMETERS",
    "NV_ESC_RM_SHARE": "NVOS57_PARAMETERS",
    "NV_ESC_RM_I2C_ACCESS": "NVOS_I2C_ACCESS_PARAMS",
    "NV_ESC_RM_IDLE_CHANNELS": "NVOS30_PARAMETERS",
    "NV_ESC_RM_VID_HEAP_CONTROL": "NVOS32_PARAMETERS",
    "NV_ESC_RM_ACCESS_REGISTRY": "NVOS38_PARAMETERS",
    "NV_ESC_RM_MAP_MEMORY": "nv_ioctl_nvos33_parameters_with_fd",
    "NV_ESC_RM_UNMAP_MEMORY": "NVOS34_PARAMETERS",
    "NV_ESC_RM_GET_EVENT_DATA": "NVOS41_PARAMETERS",
    "NV_ESC_RM_ALLOC_CONTEXT_DMA2": "NVOS39_PARAMETERS",
    "NV_ESC_RM_ADD_VBLANK_CALLBACK": "NVOS61_PARAMETERS",
    "NV_ESC_RM_MAP_MEMORY_DMA": "NVOS46_PARAMETERS",
    "NV_ESC_RM_UNMAP_MEMORY_DMA": "NVOS47_PARAMETERS",
    "NV_ESC_RM_BIND_CONTEXT_DMA": "NVOS49_PARAMETERS",
    "NV_ESC_RM_UPDATE_DEVICE_MAPPING_INFO": "NVOS56_PARAMETERS",
    "NV_ESC_RM_LOCKLESS_DIAGNOSTIC": "NV_LOCKLESS_DIAGNOSTIC_PARAMS",
    "NV_ESC_CARD_INFO": "nv_ioctl_card_info_t[]",
    "NV_ESC_REGISTER_FD": "nv_ioctl_register_fd_t",
    "NV_ESC_ALLOC_OS_EVENT": "nv_ioctl_alloc_os_event_t",
    "NV_ESC_FREE_OS_EVENT": "nv_ioctl_free_os_event_t",
    "NV_ESC_STATUS_CODE": "nv_ioctl_status_code_t",
    "NV_ESC_CHECK_VERSION_STR": "nv_ioctl_rm_api_version_t",
    "NV_ESC_IOCTL_XFER_CMD": "nv_ioctl_xfer_t",
    "NV_ESC_ATTACH_GPUS_TO_FD": "NvU32[]",
    "NV_ESC_QUERY_DEVICE_INTR": "nv_ioctl_query_device_intr",
    "NV_ESC_SYS_PARAMS": "nv_ioctl_sys_params_t",
    "NV_ESC_NUMA_INFO": "nv_ioctl_numa_info_t",
    "NV_ESC_SET_NUMA_STATUS": "nv_ioctl_set_numa_status_t",
    "NV_ESC_EXPORT_TO_DMABUF_FD": "nv_ioctl_export_to_dma_buf_fd_t",
    "NV_ESC_WAIT_OPEN_COMPLETE": "nv_ioctl_wait_open_complete_t",
}

# Structs that two sizes of one escape choose between.
SECOND_FORMS = {"NV_ESC_RM_ALLOC": "NVOS21_PARAMETERS"}

# Those whose `status` is a state of the card's memory.
OTHER_STATUS = {"nv_ioctl_numa_info_t", "nv_ioctl_set_numa_status_t"}

# uvm_linux_ioctl.h and kernel-open/nvidia-uvm/uvm.c.
UVM_WITHOUT_PARAMETERS = {"UVM_DEINITIALIZE"}

# Classes whose controls only a display server sends.
DISPLAY_CLASSES = {0x0073, 0x5070, 0x5080, 0x9010, 0x9072, 0x90EC, 0xC370, 0xC372}

# interface/deprecated/rmapi_deprecated_control.c: numbers without a handler that are rewritten to ones with.
CONVERTED = {0x101, 0x73136A, 0x801B01, 0x801C01, 0x20800101, 0x20800802, 0x20801301, 0x20801802}

# File descriptors: every field of 32 or 64 bits and such a name is one, besides those of FILE_DESCRIPTORS, whose names or
# types do not tell. A capability's descriptor is an open file below /dev/nvidia-caps.
DESCRIPTOR_NAME = r"(?:^|\.)(?:fd|\w*Fd|\w*_fd|capDescriptor|devDescriptor|\w*FileDescriptor)$"
FILE_DESCRIPTORS = {
    # class/cl0005.h; an os-event is found by the number that ALLOC_OS_EVENT registered.
    ("NV0005_ALLOC_PARAMETERS", "data"),
    ("NV_EVENT_BUFFER_ALLOC_PARAMETERS", "notificationHandle"),
    ("NV00F1_ALLOCATION_PARAMETERS", "pOsEvent"),
    ("NV00F9_ALLOCATION_PARAMETERS", "pOsEvent"),
    ("NV00FD_ALLOCATION_PARAMETERS", "pOsEvent"),
    ("NV00FD_CTRL_REGISTER_EVENT_PARAMS", "pOsEvent"),
    ("NV_SEMAPHORE_SURFACE_CTRL_REGISTER_WAITER_PARAMS", "notificationHandle"),
    ("NV_SEMAPHORE_SURFACE_CTRL_UNREGISTER_WAITER_PARAMS", "notificationHandle"),
}

# Pointers: (struct, field) -> (number of elements: a field or a constant, bytes of one, direction). No element: nobody
# looks there, the number is only passed on. None: RM or the card looks there in a way that no such triple says.
_HANDLES = ("numChannels", 4, "in")
_LOOKED_AT_BY_NOBODY = (0, 1, "out")
POINTERS = {
    # nvos.h. What RM_ALLOC points at has the size of its class; "class" says so.
    ("NVOS54_PARAMETERS", "params"): ("paramsSize", 1, "inout"),
    ("NVOS64_PARAMETERS", "pAllocParms"): ("class", 1, "inout"),
    ("NVOS21_PARAMETERS", "pAllocParms"): ("class", 1, "inout"),
    ("NVOS64_PARAMETERS", "pRightsRequested"): (1, 4, "in"),
    ("NVOS_I2C_ACCESS_PARAMS", "paramStructPtr"): ("paramSize", 1, "inout"),
    ("nv_ioctl_xfer_t", "ptr"): ("size", 1, "inout"),
    ("NVOS41_PARAMETERS", "pEvent"): (1, "NvUnixEvent", "out"),
    # osapi.c, RmAccessRegistry.
    ("NVOS38_PARAMETERS", "pDevNode"): ("DevNodeLength", 1, "in"),
    ("NVOS38_PARAMETERS", "pParmStr"): ("ParmStrLength", 1, "in"),
    ("NVOS38_PARAMETERS", "pBinaryData"): ("BinaryDataLength", 1, "inout"),
    # interface/deprecated/rmapi_deprecated_misc.c, and control.c of the client.
    ("NVOS30_PARAMETERS", "phClients"): _HANDLES,
    ("NVOS30_PARAMETERS", "phDevices"): _HANDLES,
    ("NVOS30_PARAMETERS", "phChannels"): _HANDLES,
    ("NV0000_CTRL_GPU_IDLE_CHANNELS_PARAMS", "phClients"): _HANDLES,
    ("NV0000_CTRL_GPU_IDLE_CHANNELS_PARAMS", "phDevices"): _HANDLES,
    ("NV0000_CTRL_GPU_IDLE_CHANNELS_PARAMS", "phChannels"): _HANDLES,
    # osapi.c: mappings are known by a number that looks like an address.
    ("nv_ioctl_nvos33_parameters_with_fd", "params.pLinearAddress"): _LOOKED_AT_BY_NOBODY,
    ("NVOS34_PARAMETERS", "pLinearAddress"): _LOOKED_AT_BY_NOBODY,
    ("NVOS56_PARAMETERS", "pOldCpuAddress"): _LOOKED_AT_BY_NOBODY,
    ("NVOS56_PARAMETERS", "pNewCpuAddress"): _LOOKED_AT_BY_NOBODY,
    # standard_mem.c sets it to null.
    ("NV_MEMORY_ALLOCATION_PARAMS", "address"): _LOOKED_AT_BY_NOBODY,
    # interface/deprecated/rmapi_deprecated_control.c: rewritten to controls without pointers.
    ("NV0000_CTRL_SYSTEM_GET_BUILD_VERSION_PARAMS", "pDriverVersionBuffer"): ("sizeOfStrings", 1, "out"),
    ("NV0000_CTRL_SYSTEM_GET_BUILD_VERSION_PARAMS", "pVersionBuffer"): ("sizeOfStrings", 1, "out"),
    ("NV0000_CTRL_SYSTEM_GET_BUILD_VERSION_PARAMS", "pTitleBuffer"): ("sizeOfStrings", 1, "out"),
    ("NV2080_CTRL_GPU_GET_INFO_PARAMS", "gpuInfoList"): ("gpuInfoListSize", 8, "inout"),
    ("NV2080_CTRL_FB_GET_INFO_PARAMS", "fbInfoList"): ("fbInfoListSize", 8, "inout"),
    ("NV2080_CTRL_BUS_GET_INFO_PARAMS", "busInfoList"): ("busInfoListSize", 8, "inout"),
    ("NV0080_CTRL_BSP_GET_CAPS_PARAMS", "capsTbl"): ("capsTblSize", 1, "out"),
    ("NV0080_CTRL_MSENC_GET_CAPS_PARAMS", "capsTbl"): ("capsTblSize", 1, "out"),
    # gpuCount squared: said by embedded_param_copy.c in an expression of its own.
    ("NV0000_CTRL_SYSTEM_GET_P2P_CAPS_PARAMS", "busPeerIds"): ("gpuCount*gpuCount", 4, "out"),
    ("NV0000_CTRL_SYSTEM_GET_P2P_CAPS_PARAMS", "busEgmPeerIds"): ("gpuCount*gpuCount", 4, "out"),
    # No file of the module reads it.
    ("NV0000_CTRL_GPU_GET_ID_INFO_PARAMS", "szName"): _LOOKED_AT_BY_NOBODY,
    # kernel-open/nvidia-uvm/uvm_ioctl.h.
    ("UVM_TOOLS_READ_PROCESS_MEMORY_PARAMS", "buffer"): ("size", 1, "out"),
    ("UVM_TOOLS_WRITE_PROCESS_MEMORY_PARAMS", "buffer"): ("size", 1, "in"),
    ("UVM_TOOLS_INIT_EVENT_TRACKER_PARAMS", "queueBuffer"): None,
    ("UVM_TOOLS_INIT_EVENT_TRACKER_PARAMS", "controlBuffer"): None,
    ("UVM_TOOLS_INIT_EVENT_TRACKER_V2_PARAMS", "queueBuffer"): None,
    ("UVM_TOOLS_INIT_EVENT_TRACKER_V2_PARAMS", "controlBuffer"): None,
    ("UVM_TOOLS_GET_PROCESSOR_UUID_TABLE_PARAMS", "tablePtr"): None,
    ("UVM_TOOLS_GET_PROCESSOR_UUID_TABLE_V2_PARAMS", "tablePtr"): None,
}

# Controls with lists of indices: (control, field with them) -> what the headers' names for them begin with.
INDICES = {
    ("NV2080_CTRL_CMD_GPU_GET_INFO_V2", "gpuInfoList.index"): "NV2080_CTRL_GPU_INFO_INDEX_",
    ("NV2080_CTRL_CMD_FB_GET_INFO_V2", "fbInfoList.index"): "NV2080_CTRL_FB_INFO_INDEX_",
    ("NV2080_CTRL_CMD_BUS_GET_INFO_V2", "busInfoList.index"): "NV2080_CTRL_BUS_INFO_INDEX_",
    ("NV2080_CTRL_CMD_BIOS_GET_INFO_V2", "biosInfoList.index"): "NV2080_CTRL_BIOS_INFO_INDEX_",
    ("NV2080_CTRL_CMD_GR_GET_INFO_V2", "grInfoList.index"): "NV2080_CTRL_GR_INFO_INDEX_",
    ("NV2080_CTRL_CMD_EVENT_SET_NOTIFICATION", "event"): "NV2080_NOTIFIERS_",
}

# A value of `…COMPR_BIT_BACKING_COPY_TYPE`, misspelt.
NO_INDEX = "NV2080_CTRL_GPU_INFO_INDEX_COMP_BIT_BACKING_COPY_TYPE_"

# What clients map of an object of a class: the class and the struct at the start of the mapping.
PAGES = {"RM_USER_SHARED_DATA": "NV00DE_SHARED_DATA"}

# Which tags become tables: from the first release of the oldest branch on, without those for developers of Vulkan
# and of vGPU, which have numbers of their own between the branches'.
OLDEST = "550.54.14"
UNWANTED = [r"580\.94\.", r"570\.123\."]
