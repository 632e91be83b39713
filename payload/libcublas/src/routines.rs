//! The routines of BLAS: each exported function (made by the build of `routines.txt`) fills in a [`Call`] and runs it.

use std::ffi::c_void;

use half::{bf16, f16};
use wire::blas::{Blas, Element, Place, Routine, Scalar};

use crate::door::{Blas as Outcome, Status};
use crate::driver::{self, note_unsupported};
use crate::handles::{self, State};

/// A call under construction.
pub struct Call {
    pub order: Blas,
    /// The caller's scalars, by address; `None` where the routine has none.
    scalars: [Option<*const c_void>; 2],
    /// Where a status goes that concerns the arguments and not the numbers.
    pub host_info: *mut i32,
    batch: i64,
}

impl Call {
    pub fn new(routine: Routine, elements: [Element; 4]) -> Call {
        let order = Blas {
            routine: routine as u32,
            elements: elements.map(|element| element as u32),
            ..Blas::default()
        };
        Call { order, scalars: [None; 2], host_info: std::ptr::null_mut(), batch: 1 }
    }

    pub fn place(&mut self, index: usize, address: u64, step: i64) {
        self.order.places[index] = Place { address, step, stride: 0 };
    }

    pub fn scalar(&mut self, index: usize, address: *const c_void, element: u32) {
        self.scalars[index] = Some(address);
        self.order.scalars[index].element = element;
    }

    fn result(&mut self, address: u64, element: u32) {
        self.order.result = address;
        self.order.result_element = element;
    }

    pub fn batch(&mut self, count: i64) {
        self.batch = count;
    }

    /// Types of arithmetic and scalars, from a `cublasComputeType_t`.
    pub fn compute(&mut self, compute: u32) -> Outcome {
        let is_complex = matches!(element(self.order.elements[2]), Some(Element::C32 | Element::C64));
        let (arithmetic, scalar) = match (compute, is_complex) {
            // 16-bit sums are rounded once, at the end: more exact than the GPU's.
            (64 | 65, false) => (Element::F32, Element::F16),
            (68 | 69 | 74 | 75 | 77 | 78, false) => (Element::F32, Element::F32),
            (68 | 69 | 74 | 75 | 77 | 78, true) => (Element::C32, Element::C32),
            (70 | 71 | 79, false) => (Element::F64, Element::F64),
            (70 | 71 | 79, true) => (Element::C64, Element::C64),
            (72 | 73, false) => (Element::I32, Element::I32),
            _ => {
                note_unsupported("a cuBLAS product with this compute type\0");
                return Err(Status::NOT_SUPPORTED);
            }
        };
        self.order.elements[3] = arithmetic as u32;
        self.order.scalars.iter_mut().for_each(|slot| slot.element = scalar as u32);
        Ok(())
    }

    /// Arithmetic of routines whose operands bring their types: the widest of their kind, so that it adds no rounding.
    fn choose_arithmetic(&mut self) {
        let is_complex = matches!(element(self.order.elements[1]), Some(Element::C32 | Element::C64));
        self.order.elements[3] = if is_complex { Element::C64 } else { Element::F64 } as u32;
    }

    /// Checks the call and appends it to the handle's stream; waits for a result that goes to the host.
    ///
    /// # Safety
    /// Scalars and results must be where the handle's pointer mode says that they are.
    pub unsafe fn run(mut self, handle: usize, name: &'static str) -> Outcome {
        let state = handles::state(handle)?;
        self.check(name)?;
        // SAFETY: the caller's promise.
        unsafe { self.read_scalars(&state)? };
        self.order.batch = self.batch as u64;
        // SAFETY: status words on the host, or null.
        if let Some(info) = unsafe { self.host_info.as_mut() } {
            *info = 0;
        }
        // Pivots lie in device memory, results where the pointer mode says.
        if self.reduces() && state.pointer_mode == 0 {
            // SAFETY: the caller's promise.
            return unsafe { self.run_for_host(handle, &state) };
        }
        driver::submit(state.stream, &self.order)
    }

    fn reduces(&self) -> bool {
        use Routine::*;
        let reductions = [Dotu, Dotc, Nrm2, Asum, Iamax, Iamin];
        reductions.iter().any(|routine| *routine as u32 == self.order.routine)
    }

    fn check(&self, name: &'static str) -> Outcome {
        if self.order.extent.iter().any(|extent| *extent < 0) || self.batch < 0 {
            return Err(Status::INVALID_VALUE);
        }
        if self.reduces() && self.order.result == 0 {
            return Err(Status::INVALID_VALUE);
        }
        let scalars = self.order.scalars.map(|scalar| scalar.element);
        let mut elements = self.order.elements.into_iter().chain(scalars).chain([self.order.result_element]);
        if elements.any(|number| element(number).is_none()) {
            note_unsupported(name);
            return Err(Status::NOT_SUPPORTED);
        }
        Ok(())
    }

    /// # Safety
    /// As `run`.
    unsafe fn read_scalars(&mut self, state: &State) -> Outcome {
        for (scalar, address) in self.order.scalars.iter_mut().zip(self.scalars) {
            let Some(address) = address else { continue };
            if address.is_null() {
                return Err(Status::INVALID_VALUE);
            }
            if state.pointer_mode == 1 {
                *scalar = Scalar { bits: [address as u64, 0], on_device: 1, ..*scalar };
                continue;
            }
            let kind = element(scalar.element).ok_or(Status::NOT_SUPPORTED)?;
            // SAFETY: the caller's promise.
            let (real, imaginary) = unsafe { read(address, kind)? };
            scalar.bits = [real.to_bits(), imaginary.to_bits()];
        }
        Ok(())
    }

    /// Lets the result go to memory of the driver's, waits, and takes it from there.
    ///
    /// # Safety
    /// The result's address must be writable.
    unsafe fn run_for_host(mut self, handle: usize, state: &State) -> Outcome {
        let target = std::mem::replace(&mut self.order.result, handles::scratch(handle)?);
        driver::submit(state.stream, &self.order)?;
        driver::synchronize(state.stream)?;
        let size = element(self.order.result_element).ok_or(Status::NOT_SUPPORTED)?.size() as usize;
        // SAFETY: the scratch place holds the largest element, and the engine has written it; the caller's promise for the rest.
        unsafe { std::ptr::copy_nonoverlapping(self.order.result as *const u8, target as *mut u8, size) };
        Ok(())
    }
}

/// The element type of a `cudaDataType_t` that the engine knows.
pub fn element(number: u32) -> Option<Element> {
    Element::of(number)
}

/// A number of the caller's.
///
/// # Safety
/// `address` must be readable as the element.
pub unsafe fn read(address: *const c_void, kind: Element) -> Outcome<(f64, f64)> {
    // SAFETY: the caller's promise.
    unsafe {
        Ok(match kind {
            Element::F32 => (address.cast::<f32>().read_unaligned().into(), 0.0),
            Element::F64 => (address.cast::<f64>().read_unaligned(), 0.0),
            Element::F16 => (address.cast::<f16>().read_unaligned().into(), 0.0),
            Element::Bf16 => (address.cast::<bf16>().read_unaligned().into(), 0.0),
            Element::I32 => (address.cast::<i32>().read_unaligned().into(), 0.0),
            Element::C32 => {
                let [real, imaginary] = address.cast::<[f32; 2]>().read_unaligned();
                (real.into(), imaginary.into())
            }
            Element::C64 => {
                let [real, imaginary] = address.cast::<[f64; 2]>().read_unaligned();
                (real, imaginary)
            }
            _ => return Err(Status::NOT_SUPPORTED),
        })
    }
}

/// What the build has made.
mod exported {
    #![allow(clippy::unnecessary_cast, reason = "extents have 32 or 64 bits")]
    use super::*;
    include!(concat!(env!("OUT_DIR"), "/routines.rs"));
}
pub use exported::*;
