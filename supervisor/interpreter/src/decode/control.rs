//! Branches, barriers, ends, calls, and the system's functions that device code may call.

use std::sync::atomic::{Ordering, fence};

use ptx::{Instruction, Mnemonic, Modifier, Op, Operand, Type};

use super::layout::{Place, callee};
use super::operands::{Decoded, Decoder};
use crate::code::{Barrier, BarrierKind, Call, Callee, Terminator};
use crate::launch::FaultKind;
use crate::memory::local_address;
use crate::print::{format, string_at};
use crate::registers::Condition;
use crate::warp::Warp;
use crate::watch::watch_of;

impl Decoder<'_> {
    /// Whether an instruction may send lanes elsewhere.
    pub(super) fn ends_block(&self, mnemonic: &Mnemonic, operands: &[Operand]) -> bool {
        match mnemonic.op {
            Op::Bra | Op::Ret | Op::Exit | Op::Brx => true,
            Op::Bar | Op::Barrier => !mnemonic.has(Modifier::Warp),
            Op::Call => match callee(operands) {
                Some(name) => self.defined(name).is_some(),
                None => true,
            },
            _ => false,
        }
    }

    /// The index of a function that the module defines.
    fn defined(&self, name: &str) -> Option<u32> {
        let module = self.image.module();
        let position = module.function_position(name)?;
        if module.functions()[position].is_defined() { self.program.index_of(position) } else { None }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn terminator(
        &mut self,
        instruction: &Instruction,
        mnemonic: &Mnemonic,
        guard: Option<Condition>,
        numbers: &[u32],
    ) -> Decoded<Terminator> {
        let block_of = |decoder: &Self, label: u32| {
            numbers[decoder.body.labels[label as usize].target.unwrap_or(0) as usize]
        };
        match mnemonic.op {
            Op::Bra => {
                let Some(Operand::Label(label)) = instruction.operands.first() else {
                    return Err("a branch without a label".into());
                };
                let target = block_of(self, *label);
                Ok(match guard {
                    None => Terminator::Jump(target),
                    Some(condition) => Terminator::Branch { condition, target },
                })
            }
            Op::Brx => {
                let Some(Operand::Symbol(name, _)) = instruction.operands.get(1) else {
                    return Err("a branch without a table".into());
                };
                let table = self.body.branch_targets.iter().find(|(known, _)| known == name);
                let (_, labels) = table.ok_or_else(|| format!("`{name}` is no table of labels"))?;
                let targets = labels.iter().map(|label| block_of(self, *label)).collect();
                let index = self.source::<u32>(&instruction.operands[0])?;
                if guard.is_some() {
                    return Err("a branch through a table under a guard is not implemented".into());
                }
                Ok(Terminator::Table { index, targets })
            }
            Op::Ret if self.number != 0 => Ok(Terminator::Return(guard)),
            Op::Ret | Op::Exit => Ok(Terminator::Exit(guard)),
            Op::Call => Ok(Terminator::Call(guard, Box::new(self.call(&instruction.operands)?))),
            _ => Ok(Terminator::Barrier(guard, Box::new(self.barrier(mnemonic, &instruction.operands)?))),
        }
    }

    /// `bar.sync a{, b}`, `bar.arrive a, b`, `bar.red.op d, a{, b}, p`.
    fn barrier(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<Barrier> {
        if mnemonic.has(Modifier::Cluster) {
            return Err("barriers of a cluster are not implemented".into());
        }
        let reduces = mnemonic.has(Modifier::Red);
        let places = if reduces { operands.get(1..operands.len() - 1) } else { Some(operands) };
        let (number, threads) = match places {
            Some([number]) => (number, None),
            Some([number, threads]) => (number, Some(self.source::<u32>(threads)?)),
            _ => return Err("a barrier with other operands than known".into()),
        };
        let number = self.source::<u32>(number)?;
        let kind = if reduces {
            let of = self.condition(&operands[operands.len() - 1])?;
            match mnemonic.modifiers.first_of(&[Modifier::Popc, Modifier::And, Modifier::Or]) {
                Some(Modifier::Popc) => BarrierKind::Count { of, result: self.target(&operands[0])? },
                Some(Modifier::And) => BarrierKind::All { of, result: self.target_predicate(&operands[0])? },
                _ => BarrierKind::Any { of, result: self.target_predicate(&operands[0])? },
            }
        } else if mnemonic.has(Modifier::Arrive) {
            BarrierKind::Arrive
        } else {
            BarrierKind::Sync
        };
        Ok(Barrier { number, threads, kind })
    }

    /// Places in this function's frame of what a call passes (or gets back).
    fn passed(&self, list: Option<&Operand>) -> Decoded<Vec<u64>> {
        let Some(Operand::List(entries)) = list else { return Ok(Vec::new()) };
        let place = |entry: &Operand| match entry {
            Operand::Variable(index, _) => match self.places[*index as usize] {
                Place::Local(offset) => Ok(offset),
                _ => Err("a call that passes a variable in another space".into()),
            },
            _ => Err("calls that pass registers are not implemented".into()),
        };
        entries.iter().map(place).collect()
    }

    fn call(&mut self, operands: &[Operand]) -> Decoded<Call> {
        let target = operands.iter().position(|operand| !matches!(operand, Operand::List(_)));
        let target = target.ok_or("a call of nothing")?;
        let results = self.passed(operands[..target].last())?;
        let arguments = self.passed(operands[target + 1..].first())?;
        let target = match callee(operands) {
            Some(name) => Callee::Function(self.defined(name).ok_or("a call of nothing known")?),
            None => Callee::Pointer(self.source::<u64>(&operands[target])?),
        };
        Ok(Call { target, arguments, results, origin: self.origin() })
    }

    pub(super) fn control(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let origin = self.origin();
        match mnemonic.op {
            Op::Bar | Op::Barrier | Op::Membar | Op::Fence => self.push(|_| fence(Ordering::SeqCst)),
            Op::Griddepcontrol | Op::Nanosleep | Op::Pmevent | Op::Brkpt => {}
            Op::Trap => self.push(move |w| {
                let lane = w.first();
                if w.mask != 0 {
                    w.fail(FaultKind::Trap, 0, lane, origin);
                }
            }),
            Op::Call => return self.call_of_system(operands),
            _ => return Err("not implemented".into()),
        }
        Ok(())
    }

    /// `vprintf`, `__assertfail`, `malloc` and `free`, and declared functions that nobody defines.
    fn call_of_system(&mut self, operands: &[Operand]) -> Decoded<()> {
        let origin = self.origin();
        let name = callee(operands).ok_or("a call of nothing")?;
        let lists: Vec<_> = operands.iter().filter(|operand| matches!(operand, Operand::List(_))).collect();
        let (results, arguments) = match lists[..] {
            [results, arguments] => (self.passed(Some(results))?, self.passed(Some(arguments))?),
            [arguments] => (Vec::new(), self.passed(Some(arguments))?),
            _ => (Vec::new(), Vec::new()),
        };
        match (name, &arguments[..]) {
            ("vprintf", &[text, packed]) => {
                let result = results.first().copied();
                self.push(move |w| print(w, result, text, packed));
            }
            ("__assertfail", &[message, file, line, ..]) => self.push(move |w| {
                if w.mask == 0 {
                    return;
                }
                let lane = w.first();
                let text = |offset| string_at(w.memory(), read_local(w, offset, lane));
                let line = read_local(w, line, lane) as u32;
                let message = format!("{}:{line}: `{}`", text(file), text(message));
                w.fail(FaultKind::Assertion(message), 0, lane, origin);
            }),
            ("malloc", &[size]) if results.len() == 1 => {
                let (heap, result) = (self.image.heap.clone(), results[0]);
                self.push(move |w| {
                    for lane in w.active() {
                        let bytes = read_local(w, size, lane);
                        let address = heap.take(bytes);
                        if address != 0
                            && let Some(mut watch) = watch_of(w)
                        {
                            watch.taken(address, bytes);
                        }
                        // SAFETY: the place of the call's result in this thread's frame.
                        unsafe { (local_address(w, lane, result) as *mut u64).write(address) };
                    }
                });
            }
            ("free", &[pointer]) => {
                let heap = self.image.heap.clone();
                self.push(move |w| {
                    for lane in w.active() {
                        let address = read_local(w, pointer, lane);
                        if let Some(mut watch) = watch_of(w) {
                            watch.given(address);
                        }
                        if address != 0 && !heap.give(address) {
                            return w.fail(FaultKind::IllegalAddress, address, lane, origin);
                        }
                    }
                });
            }
            (name, _) => return Err(format!("`{name}` is called and not defined")),
        }
        Ok(())
    }

    /// Logic on predicates.
    pub(super) fn logic_of_predicates(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let d = self.target_predicate(&operands[0])?;
        let a = self.condition(&operands[1])?;
        let b = operands.get(2).map_or(Ok(a), |operand| self.condition(operand))?;
        match (mnemonic.op, mnemonic.ty()) {
            (Op::And, Some(Type::Pred)) => self.push(move |w| w.set_predicate(d, w.holds(a) & w.holds(b))),
            (Op::Or, _) => self.push(move |w| w.set_predicate(d, w.holds(a) | w.holds(b))),
            (Op::Xor, _) => self.push(move |w| w.set_predicate(d, w.holds(a) ^ w.holds(b))),
            (Op::Not, _) => self.push(move |w| w.set_predicate(d, !w.holds(a))),
            _ => return Err("not implemented".into()),
        }
        Ok(())
    }
}

fn read_local(w: &Warp, offset: u64, lane: usize) -> u64 {
    // SAFETY: the place of a variable in this thread's frame, eight bytes at least.
    unsafe { (local_address(w, lane, offset) as *const u64).read() }
}

fn print(w: &mut Warp, result: Option<u64>, text: u64, arguments: u64) {
    for lane in w.active() {
        let template = string_at(w.memory(), read_local(w, text, lane));
        let (line, count) = format(w.memory(), &template, read_local(w, arguments, lane));
        (w.memory().print)(&line);
        if let Some(result) = result {
            // SAFETY: the place of the call's result in this thread's frame.
            unsafe { (local_address(w, lane, result) as *mut u32).write(count) };
        }
    }
}
