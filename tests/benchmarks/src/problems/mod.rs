//! The benchmarks of kernels.

mod integers;
mod latency;
mod mat_vec;
mod matrices;
mod pixels;
mod streams;

use crate::problem::Benchmark;

/// All, in the table's order.
pub const ALL: &[Benchmark] = &[
    Benchmark { name: "saxpy", unit: "GB/s", problem: streams::saxpy_million },
    Benchmark { name: "saxpy_cache", unit: "GB/s", problem: streams::saxpy_cache },
    Benchmark { name: "saxpy_memory", unit: "GB/s", problem: streams::saxpy_memory },
    Benchmark { name: "warp_sum", unit: "GB/s", problem: streams::warp_sum },
    Benchmark { name: "tree_sum", unit: "GB/s", problem: streams::tree_sum },
    Benchmark { name: "mat_vec_q4_0_cache", unit: "GFLOP/s", problem: mat_vec::q4_0_cache },
    Benchmark { name: "mat_vec_q4_0_memory", unit: "GFLOP/s", problem: mat_vec::q4_0_memory },
    Benchmark { name: "mat_vec_q4_k", unit: "GFLOP/s", problem: mat_vec::q4_k },
    Benchmark { name: "mat_vec_q8_0", unit: "GFLOP/s", problem: mat_vec::q8_0 },
    Benchmark { name: "sgemm_tile", unit: "GFLOP/s", problem: matrices::sgemm_tile },
    Benchmark { name: "mma_int8", unit: "Gop/s", problem: matrices::mma_int8 },
    Benchmark { name: "mma_f16", unit: "GFLOP/s", problem: matrices::mma_f16 },
    Benchmark { name: "flash_attention", unit: "GFLOP/s", problem: matrices::flash_attention },
    Benchmark { name: "divergent", unit: "Mpixel/s", problem: pixels::divergent },
    Benchmark { name: "histogram", unit: "GB/s", problem: integers::histogram },
    Benchmark { name: "scan", unit: "GB/s", problem: integers::scan },
    Benchmark { name: "radix_sort", unit: "Mkey/s", problem: integers::radix_sort },
    Benchmark { name: "launch_latency", unit: "launch/ms", problem: latency::launch_latency },
];
