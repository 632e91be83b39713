NV_STATUS_CODE(NV_OK,                  0x00000000, "Success")
NV_STATUS_CODE(NV_ERR_NOT_SUPPORTED,   0x00000056, "Call not supported")
