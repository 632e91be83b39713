//! Functions that code calls: those of mathematics that have no instruction, the interpreter's to the bit; its single steps; and
//! the parts of matrix products.

use tensor::parts::{self, Sum};

/// The address of a function by the name that code has for it.
pub(crate) fn function(name: &str) -> Option<*const ()> {
    Some(match name {
        "vgpu_sin" => sin as *const (),
        "vgpu_cos" => cos as *const (),
        "vgpu_lg2" => lg2 as *const (),
        "vgpu_tanh" => tanh as *const (),
        "vgpu_step" => interpreter::compiled::step as *const (),
        _ => return matrix_function(name),
    })
}

/// `vgpu_left_…` and `vgpu_right_…` pack a factor, `vgpu_sum_…` and `vgpu_exact_…` sum a tile.
fn matrix_function(name: &str) -> Option<*const ()> {
    let (what, name) = name.strip_prefix("vgpu_")?.split_once('_')?;
    match what {
        "left" => parts::packings().find(|packing| packing.name == name).map(|it| it.left as *const ()),
        "right" => parts::packings().find(|packing| packing.name == name).map(|it| it.right as *const ()),
        "sum" => parts::summings().find(|summing| summing.name == name).map(|it| it.sum as *const ()),
        "exact" => EXACT.iter().find(|(known, _)| *known == name).map(|(_, sum)| *sum as *const ()),
        _ => None,
    }
}

/// Sums of floats in kernels that flush subnormal numbers, which matrix instructions do not.
const EXACT: [(&str, Sum); 4] =
    [("floats1", exact::<1>), ("floats2", exact::<2>), ("floats4", exact::<4>), ("floats8", exact::<8>)];

/// Of words of so many floats.
unsafe extern "C" fn exact<const STEPS: usize>(
    base: *mut u8,
    places: *const u32,
    left: *const u8,
    right: *const u8,
    word: u32,
) {
    let sum = parts::sum_of_floats::<STEPS>();
    // SAFETY: code keeps the promises of `Sum`.
    interpreter::compiled::without_flushing(|| unsafe { sum(base, places, left, right, word) });
}

macro_rules! functions {
    ($($name:ident $method:ident;)*) => {$(
        /// Replaces each of `count` numbers.
        unsafe extern "C" fn $name(numbers: *mut f32, count: u32) {
            // SAFETY: code passes its own buffer, which holds a warp's numbers.
            let numbers = unsafe { std::slice::from_raw_parts_mut(numbers, count as usize) };
            numbers.iter_mut().for_each(|number| *number = number.$method());
        }
    )*};
}

functions! {
    sin sin;
    cos cos;
    lg2 log2;
    tanh tanh;
}
