#define NV01_DEVICE_0 (0x80U)
typedef struct { NvU32 deviceId; NV_DECLARE_ALIGNED(NvU64 vaSize, 8); } NV0080_ALLOC_PARAMETERS;
#define NV01_KERNEL_ONLY (0x81U)
#define NV01_MEMORY (0xffff0001U)
