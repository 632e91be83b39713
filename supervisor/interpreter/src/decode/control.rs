//! Branches, barriers, ends, and the calls that device code may make of the system.

use ptx::{Instruction, Mnemonic, Modifier, Op, Operand};

use super::{Decoded, Decoder, Terminator};
use crate::launch::FaultKind;
use crate::warp::{Warp, format};

impl Decoder<'_> {
    pub(super) fn terminator(
        &mut self,
        instruction: &Instruction,
        mnemonic: &Mnemonic,
        guard: Option<(u32, bool)>,
        numbers: &[u32],
    ) -> Decoded<Terminator> {
        match mnemonic.op {
            Op::Bra => {
                let Some(Operand::Label(label)) = instruction.operands.first() else {
                    return Err("a branch without a label".into());
                };
                let target = numbers[self.body.labels[*label as usize].target.unwrap_or(0) as usize];
                Ok(match guard {
                    None => Terminator::Jump(target),
                    Some((predicate, negated)) => Terminator::Branch { predicate, negated, target },
                })
            }
            Op::Ret | Op::Exit => Ok(Terminator::Exit(guard)),
            Op::Bar | Op::Barrier => {
                let plain =
                    mnemonic.has(Modifier::Sync) && instruction.operands.len() == 1 && guard.is_none();
                if plain {
                    Ok(Terminator::Barrier)
                } else {
                    Err("this form of barrier is not implemented".into())
                }
            }
            _ => Err("not implemented".into()),
        }
    }

    pub(super) fn control(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let origin = self.index as u32;
        match mnemonic.op {
            // Lanes of a warp run in lock step, so they have met; memory is coherent, and x86 orders stores and loads as the
            // weaker fences ask.
            Op::Bar | Op::Barrier | Op::Membar | Op::Fence => {
                self.push(|_| std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst));
                Ok(())
            }
            Op::Griddepcontrol | Op::Nanosleep | Op::Pmevent | Op::Brkpt => Ok(()),
            Op::Trap => {
                self.push(move |w| {
                    let lane = w.mask.trailing_zeros() as usize;
                    w.fail(FaultKind::Trap, 0, lane, origin);
                });
                Ok(())
            }
            Op::Call => self.call(operands),
            _ => Err("not implemented".into()),
        }
    }

    /// `vprintf` and `__assertfail`; parameters are variables in local memory.
    fn call(&mut self, operands: &[Operand]) -> Decoded<()> {
        let origin = self.index as u32;
        let name = operands.iter().find_map(|operand| match operand {
            Operand::Symbol(name, _) => Some(name.to_string()),
            _ => None,
        });
        let mut places = Vec::new();
        for operand in operands {
            if let Operand::List(list) = operand {
                for entry in list {
                    if let Operand::Variable(index, _) = entry {
                        places.push(self.local_offset(*index).ok_or("a parameter without a place")?);
                    }
                }
            }
        }
        match name.as_deref() {
            Some("vprintf") if places.len() >= 2 => {
                let (result, text, arguments) = match places[..] {
                    [result, text, arguments, ..] => (Some(result), text, arguments),
                    _ => (None, places[0], places[1]),
                };
                self.push(move |w| print(w, result, text, arguments));
                Ok(())
            }
            Some("__assertfail") if places.len() >= 4 => {
                let (message, file, line) = (places[0], places[1], places[2]);
                self.push(move |w| {
                    let lane = w.mask.trailing_zeros() as usize;
                    let text = |offset| string_at(read_local(w, offset, lane));
                    let line = read_local(w, line, lane) as u32;
                    let message = format!("{}:{line}: `{}`", text(file), text(message));
                    w.fail(FaultKind::Assertion(message), 0, lane, origin);
                });
                Ok(())
            }
            Some(name) => Err(format!("calls of `{name}` are not implemented")),
            None => Err("indirect calls are not implemented".into()),
        }
    }
}

fn read_local(w: &Warp, offset: u64, lane: usize) -> u64 {
    let address = crate::exec::local_addresses(w, offset)[lane];
    // SAFETY: the place of a variable in this thread's local memory, eight bytes at least.
    unsafe { (address as *const u64).read() }
}

fn string_at(address: u64) -> String {
    if address == 0 {
        return String::new();
    }
    // SAFETY: device code passes a string constant of its module.
    unsafe { std::ffi::CStr::from_ptr(address as *const std::ffi::c_char) }.to_string_lossy().into_owned()
}

fn print(w: &mut Warp, result: Option<u64>, text: u64, arguments: u64) {
    for lane in 0..32 {
        if w.mask >> lane & 1 == 0 {
            continue;
        }
        let format_text = string_at(read_local(w, text, lane));
        let line = format(&format_text, read_local(w, arguments, lane));
        (w.context().print)(&line);
        if let Some(result) = result {
            let address = crate::exec::local_addresses(w, result)[lane];
            // SAFETY: the place of the call's result in this thread's local memory.
            unsafe { (address as *mut u32).write(1) };
        }
    }
}
