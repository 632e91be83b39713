// Made up for the generator's test: as little as it needs, in the manner of the module's headers.
typedef unsigned char NvU8;
typedef unsigned int NvU32;
typedef int NvS32;
typedef unsigned long long NvU64;
typedef NvU32 NvHandle;
typedef NvU8 NvBool;
typedef NvU64 NvP64;
typedef NvU32 NV_STATUS;
#define NV_DECLARE_ALIGNED(member, alignment) member __attribute__((aligned(alignment)))
