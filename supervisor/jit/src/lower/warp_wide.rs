//! What lanes of a warp do together. In the second world, lanes that are waited for and are not here make a stop.

use interpreter::shuffle_partners;
use ptx::{Mnemonic, Modifier, Operand};

use super::memory::lane_numbers;
use super::{Lowered, Lowering, Value, World};
use crate::kind::Kind;
use crate::text::constant;

impl Lowering<'_> {
    /// Lanes named by a mask meet. `members`: the operand, if there is one.
    pub(super) fn meet(&mut self, members: &[Operand]) -> Lowered<()> {
        let [members] = members else { return Err("a meeting without its mask".into()) };
        if self.guard.is_some() {
            return Err("a meeting under a guard".into());
        }
        if self.world == World::First {
            return Ok(());
        }
        let value = self.operand(members, 32)?;
        let word = match value.kind {
            Kind::Uniform => value.name,
            _ => {
                let vector = self.shaped(&value, 32, true);
                let name = format!("llvm.vector.reduce.or.v{}i32", self.text.lanes);
                self.text.call(&name, "i32", &[(&self.text.integer(32, true), &vector)])
            }
        };
        let waiting = self.waiting_elsewhere();
        let missing = self.text.value(format!("and i32 {word}, {waiting}"));
        let none = self.text.value(format!("icmp eq i32 {missing}, 0"));
        self.assume(&none);
        Ok(())
    }

    /// `shfl.sync.mode.b32 d|p, a, b, c, members`.
    pub(super) fn shuffle(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        use Modifier::*;
        if mnemonic.has(Sync) {
            self.meet(&operands[operands.len() - 1..])?;
        } else if self.world != World::First || self.guard.is_some() {
            return Err("a shuffle of whoever is there".into());
        }
        let mode = mnemonic.modifiers.first_of(&[Up, Down, Bfly, Idx]).ok_or("a shuffle without a mode")?;
        let (target, valid) = match &operands[0] {
            Operand::Pair(target, valid) => (*target, *valid),
            Operand::Register(register) => (Some(*register), None),
            _ => (None, None),
        };
        let kind = self.facts().value(mnemonic, &operands[..operands.len().min(4)]).kind;
        let value = self.operand(&operands[1], 32)?;
        let known = [2, 3].map(|place| self.facts().operand(&operands[place]).constant);
        let (name, inside) = match (kind, known) {
            (Kind::Uniform, _) if value.kind == Kind::Uniform => {
                (value.name, Value { kind: Kind::Uniform, name: "true".into() })
            }
            (Kind::Uniform, _) => {
                let lane = self.source(&operands[2], 32, false)?;
                let lane = self.text.value(format!("and i32 {lane}, 31"));
                let vector = self.shaped(&value, 32, true);
                let name = self
                    .text
                    .value(format!("extractelement {} {vector}, i32 {lane}", self.text.integer(32, true)));
                (name, Value { kind: Kind::Uniform, name: "true".into() })
            }
            (_, [Some(distance), Some(limit)]) => {
                let (sources, inside) = shuffle_partners(mode, |_| (distance as u32, limit as u32));
                let vector = self.shaped(&value, 32, true);
                let places = sources.iter().map(|lane| Some(*lane as usize));
                let name = self.text.shuffle(&self.text.integer(32, true), &vector, "poison", places);
                (name, Value { kind: Kind::Varying, name: constant(32, false, inside.into()) })
            }
            _ => self.shuffle_any(mode, &value, operands)?,
        };
        if let Some(target) = target {
            self.assign(&Operand::Register(target), kind, name, 32)?;
        }
        match valid {
            Some(valid) if kind == Kind::Uniform && inside.kind == Kind::Uniform => {
                self.assign_predicate(&Operand::Register(valid), inside)
            }
            Some(valid) => {
                let name = self.word_of(&inside);
                self.assign_predicate(&Operand::Register(valid), Value { kind: Kind::Varying, name })
            }
            None => Ok(()),
        }
    }

    /// Partners that are computed: the value goes through memory.
    fn shuffle_any(
        &mut self,
        mode: Modifier,
        value: &Value,
        operands: &[Operand],
    ) -> Lowered<(String, Value)> {
        let ty = self.text.integer(32, true);
        let number = |value: u64| constant(32, true, value);
        let vector = self.shaped(value, 32, true);
        let distance = self.source(&operands[2], 32, true)?;
        let distance = self.text.value(format!("and {ty} {distance}, {}", number(31)));
        let limit = self.source(&operands[3], 32, true)?;
        let clamp = self.text.value(format!("and {ty} {limit}, {}", number(31)));
        let segment = self.text.value(format!("lshr {ty} {limit}, {}", number(8)));
        let segment = self.text.value(format!("and {ty} {segment}, {}", number(31)));
        let within = self.text.value(format!("xor {ty} {segment}, {}", number(u64::MAX)));
        let lanes = lane_numbers(self.first_lane, self.text.lanes);
        let least = self.text.value(format!("and {ty} {lanes}, {segment}"));
        let above = self.text.value(format!("and {ty} {clamp}, {within}"));
        let most = self.text.value(format!("or {ty} {least}, {above}"));
        let (source, test) = match mode {
            Modifier::Up => (self.text.value(format!("sub {ty} {lanes}, {distance}")), "sge"),
            Modifier::Down => (self.text.value(format!("add {ty} {lanes}, {distance}")), "sle"),
            Modifier::Bfly => (self.text.value(format!("xor {ty} {lanes}, {distance}")), "sle"),
            _ => {
                let part = self.text.value(format!("and {ty} {distance}, {within}"));
                (self.text.value(format!("or {ty} {least}, {part}")), "sle")
            }
        };
        let inside = self.text.value(format!("icmp {test} {ty} {source}, {most}"));
        let source = self.text.value(format!("and {ty} {source}, {}", number(31)));
        let bits = self.text.integer(1, true);
        let source = self.text.value(format!("select {bits} {inside}, {ty} {source}, {ty} {lanes}"));
        self.text.line(format!("store {ty} {vector}, ptr %buffer, align 32"));
        let pointers = self.text.value(format!("getelementptr i32, ptr %buffer, {ty} {source}"));
        let width = self.text.lanes;
        let (pointer_type, mask) = (format!("<{width} x ptr>"), self.text.integer(1, true));
        let arguments = [
            (pointer_type.as_str(), pointers.as_str()),
            ("i32", "4"),
            (&mask, "splat (i1 true)"),
            (&ty, "poison"),
        ];
        let name = self.text.call(&format!("llvm.masked.gather.v{width}i32.v{width}p0"), &ty, &arguments);
        let word = self.word_of_bits(&inside);
        Ok((name, Value { kind: Kind::Varying, name: word }))
    }

    /// `vote.sync.mode d, a, members`.
    pub(super) fn vote(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        use Modifier::*;
        let mode = mnemonic.modifiers.first_of(&[Ballot, All, Any, Uni]).ok_or("a vote without a mode")?;
        let members = match operands.get(2) {
            Some(operand) => {
                self.meet(&operands[2..])?;
                let value = self.operand(operand, 32)?;
                if value.kind != Kind::Uniform {
                    return Err("a vote of several groups".into());
                }
                value.name
            }
            None if self.guard.is_some() => return Err("a vote under a guard".into()),
            None => "-1".into(),
        };
        let condition = self.predicate(&operands[1])?;
        let held = self.word_of(&condition);
        let here = match &self.mask {
            Some(mask) => {
                let mask = mask.clone();
                self.text.value(format!("and i32 {mask}, {members}"))
            }
            None => members,
        };
        let yes = self.text.value(format!("and i32 {held}, {here}"));
        if mode == Ballot {
            return self.assign(&operands[0], Kind::Uniform, yes, 32);
        }
        let all = self.text.value(format!("icmp eq i32 {yes}, {here}"));
        let any = self.text.value(format!("icmp ne i32 {yes}, 0"));
        let name = match mode {
            All => all,
            Any => any,
            _ => {
                let none = self.text.value(format!("xor i1 {any}, true"));
                self.text.value(format!("or i1 {all}, {none}"))
            }
        };
        self.assign_predicate(&operands[0], Value { kind: Kind::Uniform, name })
    }
}
