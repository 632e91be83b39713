typedef struct { NvHandle hRoot; NvHandle hObject; NvU32 status; } NVOS00_PARAMETERS;
typedef struct {
    NvHandle hClient;
    NvU32 cmd;
    NV_DECLARE_ALIGNED(NvP64 params, 8);
    NvU32 paramsSize;
    NvU32 status;
} NVOS54_PARAMETERS;
