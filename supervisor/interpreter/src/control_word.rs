//! The control word of this thread's vector unit: how floats are rounded, and whether subnormal ones count.
//!
//! The compiler believes that it never changes. So it changes only around a kernel's run, where flushing is what the kernel asks
//! for throughout, and around calls of functions that the compiler does not look into.

use std::arch::asm;

use ptx::{Mnemonic, Modifier};

const FLUSH_TO_ZERO: u32 = 1 << 15;
const SUBNORMALS_ARE_ZERO: u32 = 1 << 6;
/// Bits that choose the rounding.
pub(crate) const ROUNDING: u32 = 3 << 13;

/// Flushes subnormal numbers while it lives.
pub(crate) struct FlushAll(u32);

impl FlushAll {
    pub fn begin() -> FlushAll {
        let old = control_word();
        set_control_word(old | FLUSH_TO_ZERO | SUBNORMALS_ARE_ZERO);
        FlushAll(old)
    }
}

impl Drop for FlushAll {
    fn drop(&mut self) {
        set_control_word(self.0);
    }
}

/// What one instruction changes.
#[derive(Clone, Copy)]
pub(crate) struct Control {
    clear: u32,
    set: u32,
}

impl Control {
    /// Subnormal numbers count, which needs a change if the kernel flushes them; results are rounded as asked, else to nearest.
    pub fn new(kernel_flushes: bool, mnemonic: &Mnemonic) -> Control {
        let clear = if kernel_flushes { FLUSH_TO_ZERO | SUBNORMALS_ARE_ZERO } else { 0 };
        Control { clear, set: rounding_bits(mnemonic).unwrap_or(0) }
    }

    /// Subnormal numbers count.
    pub fn exact() -> Control {
        Control { clear: FLUSH_TO_ZERO | SUBNORMALS_ARE_ZERO, set: 0 }
    }

    /// Runs a function that computes floats, and that is not inlined.
    #[inline(always)]
    pub fn during<T>(self, run: impl FnOnce() -> T) -> T {
        if self.clear | self.set == 0 {
            return run();
        }
        let old = control_word();
        set_control_word(old & !self.clear | self.set);
        let result = run();
        set_control_word(old);
        result
    }
}

/// Which of [`ROUNDING`]'s bits an instruction asks for; `None`: to nearest.
pub(crate) fn rounding_bits(mnemonic: &Mnemonic) -> Option<u32> {
    match mnemonic.modifiers.first_of(&[Modifier::Rm, Modifier::Rp, Modifier::Rz])? {
        Modifier::Rm => Some(1 << 13),
        Modifier::Rp => Some(2 << 13),
        _ => Some(ROUNDING),
    }
}

pub(crate) fn control_word() -> u32 {
    let mut value = 0u32;
    // SAFETY: stores the control word of this thread's vector unit into a word of ours.
    unsafe { asm!("stmxcsr [{}]", in(reg) &mut value, options(nostack)) };
    value
}

fn set_control_word(value: u32) {
    // SAFETY: only flushing and rounding differ from what the thread had; between two calls kernels' floats are computed.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &value, options(nostack, readonly)) };
}
