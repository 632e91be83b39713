//! Matrix products for our cuBLAS, over the `gemm` crate.
//!
//! 16-bit and 8-bit operands are widened to `f32` (exactly), multiplied and added in `f32`, and rounded once at the end,
//! which is what `CUBLAS_COMPUTE_32F` promises. Integer products go through `f64`, which holds every sum exactly.

use half::{bf16, f16};
use wire::command::{Element, Gemm};

use crate::fault::result;
use crate::transfer::Memory;
use crate::work::Refusal;

/// A column-major matrix operand: rows, columns, elements between columns.
#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    columns: usize,
    leading: usize,
}

impl Shape {
    /// Elements from the first to behind the last one.
    fn span(&self) -> usize {
        if self.rows == 0 || self.columns == 0 { 0 } else { (self.columns - 1) * self.leading + self.rows }
    }
}

/// Runs a batch of products.
pub fn run(order: &Gemm, memory: &Memory, threads: usize) -> Result<(), Refusal> {
    let kinds = order.elements.map(element);
    let [Some(a), Some(b), Some(c), Some(arithmetic)] = kinds else {
        return Err(Refusal::new(
            result::NOT_SUPPORTED,
            format!("matrix product of element types {:?}", order.elements),
        ));
    };
    for index in 0..order.batch {
        let product = Product::locate(order, memory, index, [a, b, c], arithmetic)?;
        match arithmetic {
            Element::F64 | Element::I32 => product.compute::<f64>(threads),
            _ => product.compute::<f32>(threads),
        }
    }
    Ok(())
}

fn element(number: u32) -> Option<Element> {
    use Element::*;
    [F32, F64, F16, I8, I32, Bf16].into_iter().find(|element| *element as u32 == number)
}

fn size_of_element(element: Element) -> u64 {
    match element {
        Element::F64 => 8,
        Element::F32 | Element::I32 => 4,
        Element::F16 | Element::Bf16 => 2,
        Element::I8 => 1,
    }
}

/// One product of the batch, its operands checked.
struct Product {
    extent: [usize; 3],
    addresses: [*mut u8; 3],
    kinds: [Element; 3],
    shapes: [Shape; 3],
    transposed: [bool; 2],
    alpha: f64,
    beta: f64,
}

impl Product {
    fn locate(
        order: &Gemm,
        memory: &Memory,
        index: u64,
        kinds: [Element; 3],
        arithmetic: Element,
    ) -> Result<Product, Refusal> {
        let [rows, columns, inner] = order.extent.map(|extent| extent as usize);
        let leading = order.leading.map(|leading| leading as usize);
        let transposed = order.transpose.map(|transpose| transpose != 0);
        let shape = |rows, columns, leading| Shape { rows, columns, leading };
        let shapes = [
            if transposed[0] { shape(inner, rows, leading[0]) } else { shape(rows, inner, leading[0]) },
            if transposed[1] { shape(columns, inner, leading[1]) } else { shape(inner, columns, leading[1]) },
            shape(rows, columns, leading[2]),
        ];
        let mut addresses = [std::ptr::null_mut(); 3];
        for (operand, address) in addresses.iter_mut().enumerate() {
            let size = size_of_element(kinds[operand]);
            let start = if order.pointer_arrays == 1 {
                let place =
                    memory.at(order.matrices[operand] + 8 * index, 8, "an array of matrix addresses")?;
                // SAFETY: eight granted bytes.
                unsafe { place.cast::<u64>().read_unaligned() }
            } else {
                let step = order.stride[operand].wrapping_mul(index as i64).wrapping_mul(size as i64);
                order.matrices[operand].wrapping_add_signed(step)
            };
            *address = memory.at(start, shapes[operand].span() as u64 * size, ["A", "B", "C"][operand])?;
        }
        let scalar = |bits: u64| scalar(bits, order.scalars_on_device == 1, arithmetic, memory);
        let (alpha, beta) = (scalar(order.alpha)?, scalar(order.beta)?);
        Ok(Product { extent: [rows, columns, inner], addresses, kinds, shapes, transposed, alpha, beta })
    }

    fn compute<T: Arithmetic>(&self, threads: usize) {
        let [rows, columns, inner] = self.extent;
        if rows == 0 || columns == 0 {
            return;
        }
        let [mut a, mut b, mut c] = [0, 1, 2].map(|operand| T::load(self, operand));
        let shape = self.shapes;
        // Strides of op(A) and op(B): transposing swaps them.
        let strides = |operand: usize| {
            let leading = shape[operand].leading as isize;
            if self.transposed[operand] { (1, leading) } else { (leading, 1) }
        };
        let ((a_column, a_row), (b_column, b_row)) = (strides(0), strides(1));
        let parallelism = if threads > 1 && rows * columns * inner > 1 << 16 {
            gemm::Parallelism::Rayon(threads)
        } else {
            gemm::Parallelism::None
        };
        let (alpha, beta) = (T::from_f64(self.alpha), T::from_f64(self.beta));
        // SAFETY: each operand has the number of elements that its shape and strides reach (`Shape::span`), and C does not
        // overlap A or B: they are buffers of ours, or, for C in place, cuBLAS forbids it.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                inner,
                c.pointer(),
                shape[2].leading as isize,
                1,
                self.beta != 0.0,
                a.pointer(),
                a_column,
                a_row,
                b.pointer(),
                b_column,
                b_row,
                beta,
                alpha,
                false,
                false,
                false,
                parallelism,
            )
        };
        T::store(self, &c);
    }
}

fn scalar(bits: u64, on_device: bool, arithmetic: Element, memory: &Memory) -> Result<f64, Refusal> {
    if !on_device {
        return Ok(f64::from_bits(bits));
    }
    let place = memory.at(bits, size_of_element(arithmetic), "a scalar in device memory")?;
    // SAFETY: as many granted bytes as the type has.
    Ok(unsafe { read_element(place, arithmetic, 0) })
}

/// # Safety
/// Element `index` at `base` must be readable.
unsafe fn read_element(base: *const u8, kind: Element, index: usize) -> f64 {
    // SAFETY: the caller's promise.
    unsafe {
        match kind {
            Element::F32 => f64::from(base.cast::<f32>().add(index).read_unaligned()),
            Element::F64 => base.cast::<f64>().add(index).read_unaligned(),
            Element::F16 => f64::from(base.cast::<f16>().add(index).read_unaligned()),
            Element::Bf16 => f64::from(base.cast::<bf16>().add(index).read_unaligned()),
            Element::I8 => f64::from(base.cast::<i8>().add(index).read_unaligned()),
            Element::I32 => f64::from(base.cast::<i32>().add(index).read_unaligned()),
        }
    }
}

/// # Safety
/// Element `index` at `base` must be writable.
unsafe fn write_element(base: *mut u8, kind: Element, index: usize, value: f64) {
    // SAFETY: the caller's promise.
    unsafe {
        match kind {
            Element::F32 => base.cast::<f32>().add(index).write_unaligned(value as f32),
            Element::F64 => base.cast::<f64>().add(index).write_unaligned(value),
            // From f32: an f64 would round twice differently from what f32 arithmetic gives.
            Element::F16 => base.cast::<f16>().add(index).write_unaligned(f16::from_f32(value as f32)),
            Element::Bf16 => base.cast::<bf16>().add(index).write_unaligned(bf16::from_f32(value as f32)),
            Element::I8 => base.cast::<i8>().add(index).write_unaligned(value as i8),
            Element::I32 => base.cast::<i32>().add(index).write_unaligned(value as i32),
        }
    }
}

/// An operand in the type of the arithmetic: device memory itself, or a widened copy.
enum Operand<T> {
    InPlace(*mut T),
    Widened(Vec<T>),
}

impl<T> Operand<T> {
    fn pointer(&mut self) -> *mut T {
        match self {
            Operand::InPlace(pointer) => *pointer,
            Operand::Widened(values) => values.as_mut_ptr(),
        }
    }
}

/// A type that products are computed in.
trait Arithmetic: Copy + 'static {
    const ELEMENT: Element;
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;

    fn load(product: &Product, operand: usize) -> Operand<Self> {
        let (address, kind) = (product.addresses[operand], product.kinds[operand]);
        let aligned = (address as usize).is_multiple_of(align_of::<Self>());
        if kind == Self::ELEMENT && aligned {
            return Operand::InPlace(address.cast());
        }
        let span = product.shapes[operand].span();
        // SAFETY: `locate` has checked that the whole span is granted.
        let widen = |index| Self::from_f64(unsafe { read_element(address, kind, index) });
        Operand::Widened((0..span).map(widen).collect())
    }

    fn store(product: &Product, result: &Operand<Self>) {
        let Operand::Widened(values) = result else { return };
        let shape = product.shapes[2];
        for column in 0..shape.columns {
            for row in 0..shape.rows {
                let index = column * shape.leading + row;
                // SAFETY: inside the span that `locate` has checked; rows between `rows` and `leading` are left alone.
                unsafe {
                    write_element(product.addresses[2], product.kinds[2], index, values[index].to_f64())
                };
            }
        }
    }
}

impl Arithmetic for f32 {
    const ELEMENT: Element = Element::F32;
    fn from_f64(value: f64) -> f32 {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Arithmetic for f64 {
    const ELEMENT: Element = Element::F64;
    fn from_f64(value: f64) -> f64 {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::area::SharedArea;
    use crate::grants::Grants;

    fn order(a: &[f32], b: &[f32], c: &mut [f32], extent: [u64; 3], transpose: [u32; 2]) -> (Gemm, Grants) {
        let grants = Grants::default();
        for (address, length) in [(a.as_ptr(), a.len()), (b.as_ptr(), b.len()), (c.as_ptr(), c.len())] {
            grants.insert(address as u64, 4 * length as u64);
        }
        let [rows, columns, inner] = extent;
        let order = Gemm {
            extent,
            leading: [
                if transpose[0] == 0 { rows } else { inner },
                if transpose[1] == 0 { inner } else { columns },
                rows,
            ],
            matrices: [a.as_ptr() as u64, b.as_ptr() as u64, c.as_mut_ptr() as u64],
            batch: 1,
            transpose,
            alpha: 2f64.to_bits(),
            beta: 1f64.to_bits(),
            ..Gemm::default()
        };
        (order, grants)
    }

    #[test]
    fn product_equals_the_definition_for_every_transposition() {
        let [rows, columns, inner] = [5usize, 4, 7];
        let a: Vec<f32> = (0..rows * inner).map(|i| (i % 11) as f32 - 5.0).collect();
        let b: Vec<f32> = (0..inner * columns).map(|i| (i % 7) as f32 - 3.0).collect();
        for transpose in [[0, 0], [1, 0], [0, 1], [1, 1]] {
            let mut c: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let expected: Vec<f32> = (0..rows * columns)
                .map(|index| {
                    let (row, column) = (index % rows, index / rows);
                    let at =
                        |i: usize| if transpose[0] == 0 { a[i * rows + row] } else { a[row * inner + i] };
                    let bt = |i: usize| {
                        if transpose[1] == 0 { b[column * inner + i] } else { b[i * columns + column] }
                    };
                    c[index] + 2.0 * (0..inner).map(|i| at(i) * bt(i)).sum::<f32>()
                })
                .collect();
            let extent = [rows as u64, columns as u64, inner as u64];
            let (order, grants) = order(&a, &b, &mut c, extent, transpose);
            run(&order, &Memory { area: SharedArea::for_test(), grants: &grants }, 1).expect("granted");
            assert_eq!(c, expected, "transposition {transpose:?}");
        }
    }
}
