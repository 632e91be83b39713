//! Matrix products: every form of GEMM becomes one `wire::command::Gemm`.

use std::ffi::c_void;

use half::f16;
use wire::command::{Element, Gemm};

use crate::door::{Blas, Status};
use crate::{driver, handles};

/// One product, or a batch, as the C functions describe it.
struct Order {
    handle: usize,
    transpose: [u32; 2],
    extent: [i32; 3],
    leading: [i32; 3],
    matrices: [u64; 3],
    stride: [i64; 3],
    batch: i32,
    pointer_arrays: bool,
    elements: [u32; 3],
    arithmetic: Arithmetic,
    alpha: *const c_void,
    beta: *const c_void,
}

/// What a product is computed in, and the type of its scalars.
#[derive(Clone, Copy)]
enum Arithmetic {
    Half,
    Single,
    Double,
    Integer,
}

impl Arithmetic {
    /// From a `cublasComputeType_t`.
    fn of(compute: u32) -> Blas<Arithmetic> {
        match compute {
            64 | 65 => Ok(Arithmetic::Half),
            68 | 69 | 74 | 75 | 77 => Ok(Arithmetic::Single),
            70 | 71 => Ok(Arithmetic::Double),
            72 | 73 => Ok(Arithmetic::Integer),
            _ => {
                driver::note_unsupported("cublasGemmEx with an unknown compute type\0");
                Err(Status::NOT_SUPPORTED)
            }
        }
    }

    fn element(self) -> Element {
        match self {
            // 16-bit sums are rounded once, at the end: more exact than the GPU's.
            Arithmetic::Half | Arithmetic::Single => Element::F32,
            Arithmetic::Double => Element::F64,
            Arithmetic::Integer => Element::I32,
        }
    }

    /// # Safety
    /// `scalar` must be readable as the scalar's type.
    unsafe fn read(self, scalar: *const c_void) -> f64 {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Arithmetic::Half => f64::from(scalar.cast::<f16>().read_unaligned()),
                Arithmetic::Single => f64::from(scalar.cast::<f32>().read_unaligned()),
                Arithmetic::Double => scalar.cast::<f64>().read_unaligned(),
                Arithmetic::Integer => f64::from(scalar.cast::<i32>().read_unaligned()),
            }
        }
    }
}

/// # Safety
/// Scalars must be readable where the handle's pointer mode says that they are on the host.
unsafe fn run(order: &Order) -> Blas {
    let state = handles::state(order.handle)?;
    let table = driver::table().ok_or(Status::NOT_INITIALIZED)?;
    let positive = |values: &[i32]| values.iter().all(|value| *value >= 0);
    if !positive(&order.extent) || !positive(&[order.batch]) || order.alpha.is_null() || order.beta.is_null()
    {
        return Err(Status::INVALID_VALUE);
    }
    let on_device = state.pointer_mode == 1;
    if on_device && matches!(order.arithmetic, Arithmetic::Half) {
        driver::note_unsupported("cublasGemmEx with 16-bit scalars in device memory\0");
        return Err(Status::NOT_SUPPORTED);
    }
    let scalar = |pointer: *const c_void| {
        // SAFETY: the caller's promise.
        if on_device { pointer as u64 } else { unsafe { order.arithmetic.read(pointer) }.to_bits() }
    };
    let [a, b, c] = order.elements;
    let gemm = Gemm {
        extent: order.extent.map(|extent| extent as u64),
        leading: order.leading.map(|leading| leading as u64),
        matrices: order.matrices,
        stride: order.stride,
        batch: order.batch as u64,
        elements: [a, b, c, order.arithmetic.element() as u32],
        transpose: order.transpose,
        pointer_arrays: order.pointer_arrays.into(),
        scalars_on_device: on_device.into(),
        alpha: scalar(order.alpha),
        beta: scalar(order.beta),
    };
    // SAFETY: a stream handle and an order of ours.
    match unsafe { (table.gemm)(state.stream as *mut c_void, (&raw const gemm).cast()) } {
        0 => Ok(()),
        801 => Err(Status::NOT_SUPPORTED),
        _ => Err(Status::EXECUTION_FAILED),
    }
}

const F32: [u32; 3] = [Element::F32 as u32; 3];
const F64: [u32; 3] = [Element::F64 as u32; 3];

exports! {
    fn cublasSgemm_v2(
        handle: usize, ta: u32, tb: u32, m: i32, n: i32, k: i32, alpha: *const c_void,
        a: u64, lda: i32, b: u64, ldb: i32, beta: *const c_void, c: u64, ldc: i32,
    ) {
        run(&Order {
            handle, transpose: [ta, tb], extent: [m, n, k], leading: [lda, ldb, ldc], matrices: [a, b, c], stride: [0; 3],
            batch: 1, pointer_arrays: false, elements: F32, arithmetic: Arithmetic::Single, alpha, beta,
        })
    }

    fn cublasDgemm_v2(
        handle: usize, ta: u32, tb: u32, m: i32, n: i32, k: i32, alpha: *const c_void,
        a: u64, lda: i32, b: u64, ldb: i32, beta: *const c_void, c: u64, ldc: i32,
    ) {
        run(&Order {
            handle, transpose: [ta, tb], extent: [m, n, k], leading: [lda, ldb, ldc], matrices: [a, b, c], stride: [0; 3],
            batch: 1, pointer_arrays: false, elements: F64, arithmetic: Arithmetic::Double, alpha, beta,
        })
    }

    fn cublasGemmEx(
        handle: usize, ta: u32, tb: u32, m: i32, n: i32, k: i32, alpha: *const c_void,
        a: u64, a_type: u32, lda: i32, b: u64, b_type: u32, ldb: i32, beta: *const c_void,
        c: u64, c_type: u32, ldc: i32, compute: u32, _algorithm: i32,
    ) {
        run(&Order {
            handle, transpose: [ta, tb], extent: [m, n, k], leading: [lda, ldb, ldc], matrices: [a, b, c], stride: [0; 3],
            batch: 1, pointer_arrays: false, elements: [a_type, b_type, c_type], arithmetic: Arithmetic::of(compute)?, alpha, beta,
        })
    }

    fn cublasGemmStridedBatchedEx(
        handle: usize, ta: u32, tb: u32, m: i32, n: i32, k: i32, alpha: *const c_void,
        a: u64, a_type: u32, lda: i32, a_stride: i64, b: u64, b_type: u32, ldb: i32, b_stride: i64, beta: *const c_void,
        c: u64, c_type: u32, ldc: i32, c_stride: i64, batch: i32, compute: u32, _algorithm: i32,
    ) {
        run(&Order {
            handle, transpose: [ta, tb], extent: [m, n, k], leading: [lda, ldb, ldc], matrices: [a, b, c],
            stride: [a_stride, b_stride, c_stride], batch, pointer_arrays: false,
            elements: [a_type, b_type, c_type], arithmetic: Arithmetic::of(compute)?, alpha, beta,
        })
    }

    fn cublasGemmBatchedEx(
        handle: usize, ta: u32, tb: u32, m: i32, n: i32, k: i32, alpha: *const c_void,
        a: u64, a_type: u32, lda: i32, b: u64, b_type: u32, ldb: i32, beta: *const c_void,
        c: u64, c_type: u32, ldc: i32, batch: i32, compute: u32, _algorithm: i32,
    ) {
        run(&Order {
            handle, transpose: [ta, tb], extent: [m, n, k], leading: [lda, ldb, ldc], matrices: [a, b, c], stride: [0; 3],
            batch, pointer_arrays: true, elements: [a_type, b_type, c_type], arithmetic: Arithmetic::of(compute)?, alpha, beta,
        })
    }

    fn cublasSgemmBatched(
        handle: usize, ta: u32, tb: u32, m: i32, n: i32, k: i32, alpha: *const c_void,
        a: u64, lda: i32, b: u64, ldb: i32, beta: *const c_void, c: u64, ldc: i32, batch: i32,
    ) {
        run(&Order {
            handle, transpose: [ta, tb], extent: [m, n, k], leading: [lda, ldb, ldc], matrices: [a, b, c], stride: [0; 3],
            batch, pointer_arrays: true, elements: F32, arithmetic: Arithmetic::Single, alpha, beta,
        })
    }

    fn cublasSgemmStridedBatched(
        handle: usize, ta: u32, tb: u32, m: i32, n: i32, k: i32, alpha: *const c_void,
        a: u64, lda: i32, a_stride: i64, b: u64, ldb: i32, b_stride: i64, beta: *const c_void,
        c: u64, ldc: i32, c_stride: i64, batch: i32,
    ) {
        run(&Order {
            handle, transpose: [ta, tb], extent: [m, n, k], leading: [lda, ldb, ldc], matrices: [a, b, c],
            stride: [a_stride, b_stride, c_stride], batch, pointer_arrays: false,
            elements: F32, arithmetic: Arithmetic::Single, alpha, beta,
        })
    }
}
