//! Grouped products: several batches in one call, each with extents, leading dimensions and scalars of its own. The lists of these
//! are on the host, the arrays of addresses in device memory, those of one group behind those of the one before. Programs pass them
//! in memory of their own as well (cudarc does); then each product goes alone.

use std::ffi::c_void;

use wire::blas::{Element, Routine};

use crate::door::{Blas as Outcome, Status};
use crate::driver;
use crate::routines::Call;

/// The caller's lists.
struct Groups<I> {
    transpose: [*const u32; 2],
    extent: [*const I; 3],
    scalars: [*const c_void; 2],
    addresses: [u64; 3],
    leading: [*const I; 3],
    count: I,
    sizes: *const I,
}

impl<I: Copy + Into<i64>> Groups<I> {
    /// Runs one product per group. `call` makes a call with the types.
    ///
    /// # Safety
    /// Each list must have as many entries as there are groups.
    unsafe fn run(&self, handle: usize, name: &'static str, call: impl Fn() -> Outcome<Call>) -> Outcome {
        let own = self.addresses.into_iter().all(driver::is_own_memory);
        let mut before = 0u64;
        let count: i64 = self.count.into();
        for group in 0..count.max(0) as usize {
            // SAFETY: the caller's promise.
            unsafe {
                let size: i64 = (*self.sizes.add(group)).into();
                if own {
                    for member in before..before + size.max(0) as u64 {
                        let addresses =
                            self.addresses.map(|list| (list as *const u64).add(member as usize).read());
                        self.describe(group, addresses, call()?)?.run(handle, name)?;
                    }
                } else {
                    let addresses = self.addresses.map(|list| list + 8 * before);
                    let mut call = self.describe(group, addresses, call()?)?;
                    call.order.pointer_arrays = 1;
                    call.batch(size);
                    call.run(handle, name)?;
                }
                before += size.max(0) as u64;
            }
        }
        Ok(())
    }

    /// Fills in what a group's products have in common.
    ///
    /// # Safety
    /// As `run`.
    unsafe fn describe(&self, group: usize, addresses: [u64; 3], mut call: Call) -> Outcome<Call> {
        // SAFETY: the caller's promise.
        unsafe {
            call.order.transpose = self.transpose.map(|list| *list.add(group));
            for (target, list) in call.order.extent.iter_mut().zip(self.extent) {
                *target = (*list.add(group)).into();
            }
            for (index, (address, list)) in addresses.into_iter().zip(self.leading).enumerate() {
                call.place(index, address, (*list.add(group)).into());
            }
            for (index, list) in self.scalars.into_iter().enumerate() {
                let element = call.order.scalars[index].element;
                let bytes = Element::of(element).ok_or(Status::NOT_SUPPORTED)?.size() as usize;
                call.scalar(index, list.cast::<u8>().add(group * bytes).cast(), element);
            }
        }
        Ok(call)
    }
}

/// A product whose operands, arithmetic and scalars have one type.
fn plain(element: Element) -> Outcome<Call> {
    let mut call = Call::new(Routine::Gemm, [element; 4]);
    call.order.scalars.iter_mut().for_each(|scalar| scalar.element = element as u32);
    Ok(call)
}

/// A product whose operands have these `cudaDataType_t`s, and whose arithmetic is a `cublasComputeType_t`.
fn typed(operands: [u32; 3], compute: u32) -> Outcome<Call> {
    let mut call = plain(Element::F32)?;
    call.order.elements[..3].copy_from_slice(&operands);
    call.compute(compute)?;
    Ok(call)
}

macro_rules! grouped {
    ($($name:ident($int:ty $(, $a_type:ident $b_type:ident $c_type:ident $compute:ident)?) = $call:expr;)*) => {
        exports! {$(
            fn $name(
                handle: usize,
                ta: *const u32,
                tb: *const u32,
                m: *const $int,
                n: *const $int,
                k: *const $int,
                alpha: *const c_void,
                a: u64,
                $($a_type: u32,)?
                lda: *const $int,
                b: u64,
                $($b_type: u32,)?
                ldb: *const $int,
                beta: *const c_void,
                c: u64,
                $($c_type: u32,)?
                ldc: *const $int,
                count: $int,
                sizes: *const $int,
                $($compute: u32,)?
            ) {
                let groups = Groups {
                    transpose: [ta, tb],
                    extent: [m, n, k],
                    scalars: [alpha, beta],
                    addresses: [a, b, c],
                    leading: [lda, ldb, ldc],
                    count,
                    sizes,
                };
                groups.run(handle, concat!(stringify!($name), "\0"), || $call)
            }
        )*}
    };
}

// The build looks for names behind `fn`: fn cublasSgemmGroupedBatched, fn cublasSgemmGroupedBatched_64,
// fn cublasDgemmGroupedBatched, fn cublasDgemmGroupedBatched_64, fn cublasGemmGroupedBatchedEx, fn cublasGemmGroupedBatchedEx_64.
grouped! {
    cublasSgemmGroupedBatched(i32) = plain(Element::F32);
    cublasSgemmGroupedBatched_64(i64) = plain(Element::F32);
    cublasDgemmGroupedBatched(i32) = plain(Element::F64);
    cublasDgemmGroupedBatched_64(i64) = plain(Element::F64);
    cublasGemmGroupedBatchedEx(i32, at bt ct compute) = typed([at, bt, ct], compute);
    cublasGemmGroupedBatchedEx_64(i64, at bt ct compute) = typed([at, bt, ct], compute);
}
