//! What the CPU engine can't do, whatever card it stands for: these attributes win over every profile.
//!
//! A program asks before it uses such a feature, and a "no" here sends it another way; a "yes" that the engine could not keep
//! would be a failure far from its cause.

/// (attribute, value, why).
pub const CPU_ENGINE: &[(usize, i32, &str)] = &[
    (86, 0, "host native atomics: no link to speak of"),
    (91, 0, "registered memory has no address for kernels: it serves copies"),
    (92, 0, "first form of stream memory operations"),
    (96, 0, "cooperative launch on several devices"),
    (99, 0, "registration of host memory, as far as kernels would use it"),
    (107, 0, "compressible memory"),
    (110, 0, "GPUDirect RDMA with virtual memory management"),
    (112, 0, "sparse arrays"),
    (113, 0, "read-only registration of host memory"),
    (114, 0, "timeline semaphores of graphics interfaces"),
    (116, 0, "GPUDirect RDMA"),
    (119, 0, "handle types of memory pools"),
    (120, 0, "thread-block clusters"),
    (124, 0, "device memory by DMA-BUF"),
    (127, 0, "tensor maps"),
    (128, 0, "fabric handles"),
    (129, 0, "unified function pointers"),
    (132, 0, "multicast objects"),
    (142, 0, "memory pools of the host's NUMA nodes"),
    (144, 0, "memory pools of the host"),
];
