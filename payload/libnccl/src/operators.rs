//! Element types and reductions.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Mutex;

use wire::blas::{Blas, Element, Place, Routine, Scalar};

use crate::communicators;
use crate::door::{Failure, Nccl, fail, out};
use crate::driver;

/// `ncclDataType_t`: bytes, and the element that the engine can multiply.
const TYPES: &[(usize, Option<Element>)] = &[
    (1, Some(Element::I8)),
    (1, None),
    (4, Some(Element::I32)),
    (4, None),
    (8, Some(Element::I64)),
    (8, None),
    (2, Some(Element::F16)),
    (4, Some(Element::F32)),
    (8, Some(Element::F64)),
    (2, Some(Element::Bf16)),
    (1, Some(Element::E4m3)),
    (1, Some(Element::E5m2)),
];

fn kind(number: u32) -> Nccl<(usize, Option<Element>)> {
    let found = TYPES.get(number as usize).copied();
    found.map_or_else(|| fail(Failure::INVALID_ARGUMENT, format!("there is no data type {number}")), Ok)
}

/// Bytes of `count` elements of an `ncclDataType_t`.
pub fn bytes(count: usize, number: u32) -> Nccl<usize> {
    let bytes = count.checked_mul(kind(number)?.0);
    bytes.map_or_else(|| fail(Failure::INVALID_ARGUMENT, format!("{count} elements are too many")), Ok)
}

/// `ncclSum`, `ncclProd`, `ncclMax`, `ncclMin`, `ncclAvg`.
const PLAIN: u32 = 5;

/// An operator of `ncclRedOpCreatePreMulSum`: what each rank's elements are multiplied by.
#[derive(Clone, Copy)]
struct Factor {
    element: Element,
    scalar: Scalar,
}

static FACTORS: Mutex<Option<HashMap<u32, Factor>>> = Mutex::new(None);

fn with<T>(action: impl FnOnce(&mut HashMap<u32, Factor>) -> T) -> T {
    let mut factors = FACTORS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    action(factors.get_or_insert_with(HashMap::new))
}

/// Applies an operator to the elements of the only rank, which lie at `target` already.
pub fn apply(operator: u32, target: u64, count: usize, number: u32, stream: usize) -> Nccl {
    let (_, element) = kind(number)?;
    if operator < PLAIN {
        return Ok(());
    }
    let Some(factor) = with(|factors| factors.get(&operator).copied()) else {
        return fail(Failure::INVALID_ARGUMENT, format!("there is no operator {operator}"));
    };
    if element != Some(factor.element) {
        return fail(Failure::INVALID_ARGUMENT, "the operator was made for another data type");
    }
    let element = factor.element as u32;
    let order = Blas {
        routine: Routine::Scal as u32,
        elements: [element, element, element, Element::F64 as u32],
        extent: [0, count as i64, 0, 0, 0],
        places: [Place::default(), Place { address: target, step: 1, stride: 0 }, Place::default()],
        scalars: [factor.scalar, Scalar::default()],
        batch: 1,
        ..Blas::default()
    };
    driver::submit(&order, stream)
}

/// # Safety
/// `address` must be readable as the element.
unsafe fn read(address: *const c_void, element: Element) -> f64 {
    // SAFETY: the caller's promise.
    unsafe {
        match element {
            Element::F32 => address.cast::<f32>().read_unaligned().into(),
            Element::I8 => address.cast::<i8>().read_unaligned().into(),
            Element::I32 => address.cast::<i32>().read_unaligned().into(),
            Element::I64 => address.cast::<i64>().read_unaligned() as f64,
            _ => address.cast::<f64>().read_unaligned(),
        }
    }
}

exports! {
    fn ncclRedOpCreatePreMulSum |pncclRedOpCreatePreMulSum (
        made: *mut u32,
        scalar: *const c_void,
        number: u32,
        residence: u32,
        communicator: usize,
    ) {
        communicators::device(communicator)?;
        const ON_DEVICE: u32 = 0;
        let Some(element) = kind(number)?.1 else {
            driver::note_unsupported("ncclRedOpCreatePreMulSum of unsigned integers\0");
            return fail(Failure::INVALID_USAGE, "operators that multiply unsigned integers are not supported");
        };
        let on_host = residence != ON_DEVICE;
        if on_host && matches!(element, Element::F16 | Element::Bf16 | Element::E4m3 | Element::E5m2) {
            driver::note_unsupported("ncclRedOpCreatePreMulSum with a 16-bit or 8-bit scalar on the host\0");
            return fail(Failure::INVALID_USAGE, "16-bit and 8-bit scalars are supported in device memory only");
        }
        if scalar.is_null() {
            return fail(Failure::INVALID_ARGUMENT, "the scalar is NULL");
        }
        let bits = if on_host { [read(scalar, element).to_bits(), 0] } else { [scalar as u64, 0] };
        let scalar = Scalar { bits, element: element as u32, on_device: (!on_host).into() };
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(PLAIN);
        let operator = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        with(|factors| factors.insert(operator, Factor { element, scalar }));
        *out(made)? = operator;
        Ok(())
    }

    fn ncclRedOpDestroy |pncclRedOpDestroy (operator: u32, _communicator: usize) {
        match with(|factors| factors.remove(&operator)) {
            Some(_) => Ok(()),
            None => fail(Failure::INVALID_ARGUMENT, "only operators that were made can be destroyed"),
        }
    }
}
