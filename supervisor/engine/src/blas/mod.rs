//! Linear algebra for our cuBLAS: BLAS's routines over the `gemm` crate.
//!
//! Each operand becomes a *view*: a pointer, extents, and the distance from row to row and from column to column. Transposing,
//! walking backwards and taking a block only change a view, so one product and one triangular solver serve every form.
//!
//! Operands of another type than the arithmetic's are copied into it (exactly: 16-bit and 8-bit ones into `f32`), and results
//! are rounded once at the end, which is what `CUBLAS_COMPUTE_32F` promises. Integer products go through `f64`, which holds
//! every sum exactly.
//!
//! - `element`, `operand`: types, views, and how operands come from and go back to device memory.
//! - `triangle`: symmetric, Hermitian and triangular matrices, in full, banded or packed storage, made dense.
//! - `vectors`, `matrix_vector`, `matrices`, `solvers`: BLAS's levels 1, 2 and 3, and cuBLAS's batched LU.
//! - `matmul`: cuBLASLt's product with its epilogues.

mod element;
mod matmul;
mod matrices;
mod matrix_vector;
mod operand;
mod solvers;
mod triangle;
mod vectors;

#[cfg(test)]
mod tests;

use gemm::{c32, c64};
use wire::blas::{Blas, Element, Routine};

use crate::fault::result;
use crate::transfer::Memory;
use crate::work::Refusal;
use element::Number;
use operand::Task;

pub use matmul::run as matmul;

/// Runs a routine on every member of its batch.
pub fn run(order: &Blas, memory: &Memory, threads: usize) -> Result<(), Refusal> {
    let routine = Routine::of(order.routine)
        .ok_or_else(|| refused(format!("linear algebra routine {}", order.routine)))?;
    for member in 0..order.batch {
        let task = Task { order, memory, threads, member };
        match arithmetic(order.elements[3])? {
            Element::F64 | Element::I32 => perform::<f64>(routine, &task)?,
            Element::C32 => perform::<c32>(routine, &task)?,
            Element::C64 => perform::<c64>(routine, &task)?,
            _ => perform::<f32>(routine, &task)?,
        }
    }
    Ok(())
}

/// The type to compute in, from an element's number.
fn arithmetic(number: u32) -> Result<Element, Refusal> {
    Element::of(number).ok_or_else(|| refused(format!("arithmetic in element type {number}")))
}

fn refused(text: String) -> Refusal {
    Refusal::new(result::NOT_SUPPORTED, text)
}

fn perform<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    use Routine::*;
    match routine {
        Axpy | Scal | Copy | Swap | Rot => vectors::update::<T>(routine, task),
        Dotu | Dotc | Nrm2 | Asum | Iamax | Iamin => vectors::reduce::<T>(routine, task),
        Gemv => matrix_vector::general::<T>(task),
        Gbmv => matrix_vector::banded::<T>(task),
        Symv | Hemv | Sbmv | Hbmv | Spmv | Hpmv => matrix_vector::symmetric::<T>(routine, task),
        Geru | Gerc => matrix_vector::outer::<T>(routine, task),
        Syr | Her | Spr | Hpr | Syr2 | Her2 | Spr2 | Hpr2 => {
            matrix_vector::outer_triangle::<T>(routine, task)
        }
        Trmv | Tbmv | Tpmv | Trsv | Tbsv | Tpsv => matrix_vector::triangular::<T>(routine, task),
        Gemm => matrices::product::<T>(task),
        Symm | Hemm => matrices::symmetric::<T>(routine, task),
        Syrk | Herk | Syr2k | Her2k | Syrkx | Herkx => matrices::rank_update::<T>(routine, task),
        Trmm | Trsm => matrices::triangular::<T>(routine, task),
        Geam => matrices::sum::<T>(task),
        Dgmm => matrices::diagonal::<T>(task),
        Tpttr | Trttp => matrices::repack::<T>(routine, task),
        Getrf | Getri | Getrs | Matinv => solvers::run::<T>(routine, task),
    }
}
