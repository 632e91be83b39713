//! Linear algebra: what our cuBLAS asks an engine for.
//!
//! One record describes every routine of BLAS. Operands have places: a matrix (or the first operand) in place 0, vectors `x`
//! and `y`, or further matrices, in places 1 and 2. Names follow BLAS: `m`, `n`, `k`, `uplo`, `trans`.

use bytemuck::{Pod, Zeroable};

/// Element types, numbered like `cudaDataType_t`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 32-bit float.
    F32 = 0,
    /// 64-bit float.
    F64 = 1,
    /// 16-bit float.
    F16 = 2,
    /// Signed byte.
    I8 = 3,
    /// Complex of two 32-bit floats.
    C32 = 4,
    /// Complex of two 64-bit floats.
    C64 = 5,
    /// 32-bit integer.
    I32 = 10,
    /// bfloat16.
    Bf16 = 14,
    /// 64-bit integer (indices only).
    I64 = 24,
    /// 8-bit float with 4 bits of exponent.
    E4m3 = 28,
    /// 8-bit float with 5 bits of exponent.
    E5m2 = 29,
}

impl Element {
    /// The element type of this number.
    pub fn of(number: u32) -> Option<Element> {
        use Element::*;
        let all = [F32, F64, F16, I8, C32, C64, I32, Bf16, I64, E4m3, E5m2];
        all.into_iter().find(|element| *element as u32 == number)
    }

    /// Bytes.
    pub fn size(self) -> u64 {
        match self {
            Element::C64 => 16,
            Element::F64 | Element::C32 | Element::I64 => 8,
            Element::F32 | Element::I32 => 4,
            Element::F16 | Element::Bf16 => 2,
            Element::I8 | Element::E4m3 | Element::E5m2 => 1,
        }
    }
}

/// A routine of BLAS, without the letter for its type.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "BLAS's own names")]
pub enum Routine {
    Axpy = 1,
    Scal,
    Copy,
    Swap,
    Dotu,
    Dotc,
    Nrm2,
    Asum,
    Iamax,
    Iamin,
    Rot,
    Gemv,
    Gbmv,
    Geru,
    Gerc,
    Symv,
    Hemv,
    Sbmv,
    Hbmv,
    Spmv,
    Hpmv,
    Syr,
    Her,
    Spr,
    Hpr,
    Syr2,
    Her2,
    Spr2,
    Hpr2,
    Trmv,
    Trsv,
    Tbmv,
    Tbsv,
    Tpmv,
    Tpsv,
    Gemm,
    Symm,
    Hemm,
    Syrk,
    Herk,
    Syr2k,
    Her2k,
    Syrkx,
    Herkx,
    Trmm,
    Trsm,
    Geam,
    Dgmm,
    /// From packed to full storage.
    Tpttr,
    /// From full to packed storage.
    Trttp,
    Getrf,
    Getri,
    Getrs,
    /// `getrf` and `getri` in one.
    Matinv,
}

impl Routine {
    /// The routine of this number.
    pub fn of(number: u32) -> Option<Routine> {
        use Routine::*;
        let all = [
            Axpy, Scal, Copy, Swap, Dotu, Dotc, Nrm2, Asum, Iamax, Iamin, Rot, Gemv, Gbmv, Geru, Gerc, Symv,
            Hemv, Sbmv, Hbmv, Spmv, Hpmv, Syr, Her, Spr, Hpr, Syr2, Her2, Spr2, Hpr2, Trmv, Trsv, Tbmv, Tbsv,
            Tpmv, Tpsv, Gemm, Symm, Hemm, Syrk, Herk, Syr2k, Her2k, Syrkx, Herkx, Trmm, Trsm, Geam, Dgmm,
            Tpttr, Trttp, Getrf, Getri, Getrs, Matinv,
        ];
        all.into_iter().find(|routine| *routine as u32 == number)
    }
}

/// Where an operand lies.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Place {
    /// Address; with pointer arrays that of an array of addresses, one per member of the batch.
    pub address: u64,
    /// Elements from column to column of a matrix, or from element to element of a vector.
    pub step: i64,
    /// Elements from one member of a batch to the next.
    pub stride: i64,
}

/// A scalar operand.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Scalar {
    /// Bits of the real and the imaginary part as f64; or an address in device memory, and nothing.
    pub bits: [u64; 2],
    /// [`Element`] of what lies at the address.
    pub element: u32,
    /// 1: `bits` has an address.
    pub on_device: u32,
}

/// One routine on one batch of operands.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Blas {
    /// [`Routine`]
    pub routine: u32,
    /// [`Element`] of what lies at the three places, and of the arithmetic.
    pub elements: [u32; 4],
    /// 0: on the left, 1: on the right.
    pub side: u32,
    /// The triangle that matters; 0: lower, 1: upper.
    pub uplo: u32,
    /// What is done to the first and the second matrix; 0: nothing, 1: transposed, 2: conjugated too.
    pub transpose: [u32; 2],
    /// 1: the diagonal is ones.
    pub unit: u32,
    /// `m`, `n`, `k`, and the diagonals below and above (`kl`, `ku`).
    pub extent: [i64; 5],
    /// Operands.
    pub places: [Place; 3],
    /// `alpha` and `beta`; or a rotation's cosine and sine.
    pub scalars: [Scalar; 2],
    /// Members.
    pub batch: u64,
    /// 1: the places have arrays of addresses.
    pub pointer_arrays: u32,
    /// [`Element`] of the result.
    pub result_element: u32,
    /// Where a result goes; pivots, for the routines that solve.
    pub result: u64,
    /// Where a batch's status goes, one `int` per member; or 0.
    pub info: u64,
}

/// One operand of [`Matmul`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Layout {
    /// Address.
    pub address: u64,
    /// Elements from column to column, or from row to row.
    pub leading: i64,
    /// Elements from one member of the batch to the next.
    pub stride: i64,
    /// [`Element`]
    pub element: u32,
    /// 1: rows lie together, not columns.
    pub row_major: u32,
    /// Address of an f32 that each element is to be multiplied by; or 0.
    pub scale: u64,
}

/// What [`Matmul`] does to the sums, in this order, as bits of `cublasLtEpilogue_t`.
pub mod epilogue {
    /// Negative sums become zero.
    pub const RELU: u32 = 2;
    /// A vector is added to each column.
    pub const BIAS: u32 = 4;
    /// The derivative of ReLU at the auxiliary operand (a bit mask).
    pub const DRELU: u32 = 8;
    /// Sums of rows go where the bias would be.
    pub const BIAS_GRADIENT: u32 = 16;
    /// The Gaussian error linear unit, by its hyperbolic tangent.
    pub const GELU: u32 = 32;
    /// The derivative of GELU at the auxiliary operand.
    pub const DGELU: u32 = 64;
    /// The auxiliary operand: what goes into the unit is kept, or read again.
    pub const AUXILIARY: u32 = 128;
}

/// cuBLASLt's D = epilogue(alpha · op(A) · op(B) + beta · C), for a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Matmul {
    /// Rows of D, columns of D, inner extent.
    pub extent: [u64; 3],
    /// A, B, C, D.
    pub layouts: [Layout; 4],
    /// For A and B: 0: nothing, 1: transposed, 2: conjugated too.
    pub transpose: [u32; 2],
    /// [`Element`] of the arithmetic.
    pub arithmetic: u32,
    /// Bits of [`epilogue`].
    pub epilogue: u32,
    /// `alpha` and `beta`.
    pub scalars: [Scalar; 2],
    /// Members.
    pub batch: u64,
    /// Address of the bias, elements from one member's to the next one's.
    pub bias: u64,
    /// See `bias`.
    pub bias_stride: i64,
    /// The auxiliary operand, by columns.
    pub auxiliary: Layout,
    /// Address of an f32 that the largest magnitude of D goes to; or 0.
    pub largest: u64,
    /// [`Element`] of the bias.
    pub bias_element: u32,
    /// 1: `alpha` is a vector of device memory with a value per row.
    pub alpha_by_row: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_routines_and_elements() {
        for number in 1..=Routine::Matinv as u32 {
            assert_eq!(Routine::of(number).map(|routine| routine as u32), Some(number));
        }
        assert_eq!(Routine::of(0), None);
        assert_eq!(Element::of(14), Some(Element::Bf16));
        assert_eq!(Element::of(7), None);
    }
}
