//! Products of `f64`.

use crate::{Doubles, Product};

/// `D = A × B + C`: each sum is a chain of fused products, in the order of `A`'s columns.
///
/// # Safety
/// The processor must have FMA. The fragments have the numbers of registers that the product says.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn multiply(
    product: &Product,
    a: &[&Doubles],
    b: &[&Doubles],
    c: &[&Doubles],
    d: &mut [Doubles],
) {
    let halves = product.rows() / 8;
    for half in 0..halves {
        for row in 0..8 {
            let lanes = |column: usize| (4 * row + column / 2, 2 * half + column % 2);
            let mut sums: [f64; 8] = std::array::from_fn(|column| {
                let (lane, register) = lanes(column);
                f64::from_bits(c[register][lane])
            });
            for k in 0..product.shape.k as usize {
                let value = f64::from_bits(a[k / 4 * halves + half][4 * row + k % 4]);
                for (column, sum) in sums.iter_mut().enumerate() {
                    *sum = value.mul_add(f64::from_bits(b[k / 4][4 * column + k % 4]), *sum);
                }
            }
            for (column, sum) in sums.into_iter().enumerate() {
                let (lane, register) = lanes(column);
                d[register][lane] = sum.to_bits();
            }
        }
    }
}
