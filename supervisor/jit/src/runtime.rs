//! Functions that code calls: those of mathematics that have no instruction, the interpreter's to the bit.

/// The address of a function by the name that code has for it.
pub(crate) fn function(name: &str) -> Option<*const ()> {
    Some(match name {
        "vgpu_sin" => sin as *const (),
        "vgpu_cos" => cos as *const (),
        "vgpu_lg2" => lg2 as *const (),
        "vgpu_tanh" => tanh as *const (),
        "vgpu_step" => interpreter::compiled::step as *const (),
        _ => return None,
    })
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
