//! `cp.async`: copies that need not wait, done at once, which is one of the orders that a program must bear.

use ptx::{Mnemonic, Modifier, Operand};

use super::memory::{Access, Room};
use super::{Lowered, Lowering, Value};
use crate::kind::Kind;
use crate::text::constant;

impl Lowering<'_> {
    /// `cp.async [shared], [global], size{, taken or ignored}{, policy}`; there is nothing to commit, and nothing to wait for.
    pub(super) fn copy(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        use Modifier::*;
        let has = |modifier| mnemonic.has(modifier);
        if has(CommitGroup) || has(WaitGroup) || has(WaitAll) {
            return Ok(());
        }
        if has(Bulk) || has(Mbarrier) || has(Tensor) || has(PrefetchCopy) || has(Reduce) {
            return Err("a copy of this kind".into());
        }
        let size = self.facts().operand(&operands[2]).constant;
        let access = match size {
            Some(4) => Access { bits: 32, count: 1, constant: false },
            Some(8) => Access { bits: 32, count: 2, constant: false },
            Some(16) => Access { bits: 32, count: 4, constant: false },
            _ => return Err("a copy of this size".into()),
        };
        let lanes = self.lanes();
        let hinted = usize::from(has(L2CacheHint));
        let taken = match &operands[3..operands.len().saturating_sub(hinted).max(3)] {
            [] => None,
            [taken, ..] => self.taken(taken, access)?,
        };
        let to = self.address(&operands[0], Room::Shared, access)?;
        let to = self.checked(&to, access, lanes.as_deref())?;
        let from = self.address(&operands[1], Room::Window, access)?;
        self.used.note(if taken.is_some() { "copy of what is taken" } else { "copy" });
        let Some(taken) = taken else {
            let from = self.checked(&from, access, lanes.as_deref())?;
            let rows = self.load_rows(&from, access, lanes.as_deref());
            self.store_rows(&to, &rows, access, lanes.as_deref());
            return Ok(());
        };
        // Where nothing is taken the source is not looked at.
        let reading = match &lanes {
            Some(lanes) => self.text.value(format!("and i32 {taken}, {lanes}")),
            None => taken.clone(),
        };
        let mut from = from;
        from.value = Value { kind: Kind::Varying, name: self.shaped(&from.value, 64, true) };
        let from = self.checked(&from, access, Some(&reading))?;
        let mut rows = self.load_rows(&from, access, Some(&reading));
        let chosen = self.vector_of(&taken);
        let ty = format!("<{} x i32>", access.count);
        for (lane, row) in rows.iter_mut().enumerate() {
            let bit = self
                .text
                .value(format!("extractelement {} {chosen}, i32 {lane}", self.text.integer(1, true)));
            *row = self.text.value(format!("select i1 {bit}, {ty} {row}, {ty} zeroinitializer"));
        }
        self.store_rows(&to, &rows, access, lanes.as_deref());
        Ok(())
    }

    /// Lanes that take all bytes; it is assumed that the others take none. `None`: all lanes take all.
    fn taken(&mut self, operand: &Operand, access: Access) -> Lowered<Option<String>> {
        let is_predicate = match operand {
            Operand::NotRegister(_) => true,
            Operand::Register(register) => self.bits(*register) == 1,
            _ => false,
        };
        if is_predicate {
            let ignored = self.predicate(operand)?;
            let word = self.word_of(&ignored);
            return Ok(Some(self.text.value(format!("xor i32 {word}, -1"))));
        }
        let size = access.total() as u64;
        match self.facts().operand(operand).constant {
            Some(bytes) if bytes >= size => return Ok(None),
            Some(bytes) if bytes > 0 => return Err("a copy of a part".into()),
            _ => {}
        }
        let ty = self.text.integer(32, true);
        let bytes = self.source(operand, 32, true)?;
        let mask = |lowering: &mut Self, test: &str, bound: u64| {
            let held =
                lowering.text.value(format!("icmp {test} {ty} {bytes}, {}", constant(32, true, bound)));
            lowering.word_of_bits(&held)
        };
        let (all, some) = (mask(self, "uge", size), mask(self, "ne", 0));
        let same = self.text.value(format!("icmp eq i32 {all}, {some}"));
        self.assume(&same);
        Ok(Some(all))
    }
}
