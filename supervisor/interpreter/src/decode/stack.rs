//! Dynamic stack memory: `alloca`, `stacksave`, `stackrestore`.
//!
//! A function that uses it has a region of fixed size behind its variables; a register of the decoder's own says how much of
//! the region each lane has taken.

use ptx::{Body, Constant, Mnemonic, Op, Operand, Type};

use super::operands::{Decoded, Decoder};
use crate::launch::FaultKind;
use crate::memory::local_address;
use crate::registers::Reg;

/// Bytes that one call may take.
pub(super) const BYTES: u64 = 16 << 10;

/// A function's region.
#[derive(Clone, Copy)]
pub(super) struct Region {
    /// Where it begins in the function's frame.
    start: u64,
    /// Bytes taken.
    taken: Reg<u64>,
}

/// Whether a body needs a region.
pub(super) fn is_used(body: &Body) -> bool {
    body.mnemonics.iter().any(|mnemonic| matches!(mnemonic.op, Op::Alloca | Op::Stacksave | Op::Stackrestore))
}

impl Decoder<'_> {
    /// Gives the function a region from `start` on in its frame. A kernel's registers outlive a block of the grid, so the first
    /// operation makes the region empty.
    pub(super) fn open_stack(&mut self, start: u64) {
        let taken = self.temporary();
        self.stack = Some(Region { start, taken });
        self.push(move |w| w.fill(taken, 0));
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn stack(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let Region { start, taken } = self.stack.ok_or("a function without dynamic stack memory")?;
        match mnemonic.op {
            Op::Stacksave => {
                let d = self.target_slot(&operands[0])?;
                self.push(move |w| {
                    let values = w.values(taken);
                    w.write_slot(d, &values);
                });
            }
            Op::Stackrestore => {
                let a = self.source_as::<u64>(&operands[0], Type::U64)?;
                self.push(move |w| w.write(taken, |w, lane| w.value(a, lane)));
            }
            _ => {
                let align = match operands.get(2) {
                    None => 8,
                    Some(Operand::Constant(Constant::Integer(align))) if align.is_power_of_two() => *align,
                    _ => return Err("an alignment that is no power of two".into()),
                };
                let d = self.target_slot(&operands[0])?;
                let size = self.source_as::<u64>(&operands[1], Type::U64)?;
                let origin = self.origin();
                self.push(move |w| {
                    let mut addresses = w.slot_values(d);
                    for lane in w.active() {
                        let base = local_address(w, lane, start);
                        let address = (base + w.value(taken, lane)).next_multiple_of(align);
                        let end = (address - base).saturating_add(w.value(size, lane));
                        if end > BYTES {
                            let what = format!("`alloca` beyond {BYTES} bytes of a call");
                            return w.fail(FaultKind::InvalidCall(what), 0, lane, origin);
                        }
                        w.set_value(taken, lane, end);
                        addresses[lane] = address;
                    }
                    w.write_slot(d, &addresses);
                });
            }
        }
        Ok(())
    }
}
