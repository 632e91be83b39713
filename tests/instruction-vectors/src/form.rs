//! From a form of the table to cases: which words are combined, and which operands go with them.

use ptx::isa::form::{Choice, Form, Kind, Word};
use ptx::isa::{Modifier, Op, row};
use ptx::{Mnemonic, Type};

use crate::case::{Case, Cell, Domain, Input, Output};
use crate::values::hash_text;

/// Combinations of words that are asked of one form; of more, so many are chosen. Conversions are asked for all.
const MOST: usize = 800;

/// Immediate operands of `lop3`: constants, single operands, and functions of two and three.
const TABLES: [u8; 12] = [0x00, 0xff, 0xf0, 0xcc, 0xaa, 0x80, 0xfe, 0x96, 0xe8, 0xca, 0x1b, 0x6d];

/// The cases of a form.
pub(crate) fn cases(form: &Form) -> Vec<Case> {
    let spelled = spellings(form);
    let every = if form.op == Op::Cvt { 1 } else { spelled.len().div_ceil(MOST) as u64 };
    let mut out = Vec::new();
    for text in spelled.iter().filter(|text| hash_text(text).is_multiple_of(every)) {
        let Ok(mnemonic) = Mnemonic::parse(text) else { continue };
        // Results are words of 64 bits, and written when the instruction ends.
        if mnemonic.types.contains(&Type::B128) || mnemonic.has(Modifier::Async) {
            continue;
        }
        for variant in variants(form, &mnemonic) {
            out.extend(Writer::case(form, &mnemonic, &variant));
        }
    }
    out
}

/// All combinations of words.
fn spellings(form: &Form) -> Vec<String> {
    let mut out = vec![row(form.op).mnemonic.to_owned()];
    for word in &form.words {
        let mut names = names(form.op, word);
        names.dedup();
        out = out
            .iter()
            .flat_map(|before| {
                names.iter().map(move |name| match name {
                    Some(name) => format!("{before}.{name}"),
                    None => before.clone(),
                })
            })
            .collect();
    }
    out
}

fn names(op: Op, word: &Word) -> Vec<Option<String>> {
    let named: Vec<Option<String>> = match &word.choice {
        Choice::Types(types) => types.iter().map(|ty| Some(ty.to_string())).collect(),
        Choice::Modifiers(modifiers) => modifiers.iter().map(|word| Some(word.to_string())).collect(),
        Choice::Shapes(shapes) => shapes.iter().map(|shape| Some(shape.to_string())).collect(),
    };
    let order = |modifier: &Modifier| {
        use Modifier::*;
        matches!(modifier, L2CacheHint | Relaxed | Cta | Cluster | Gpu | Sys)
    };
    match &word.choice {
        // Who sees it when is no matter of values.
        Choice::Modifiers(modifiers) if word.optional && modifiers.iter().any(order) => vec![None],
        _ if word.optional && matches!(op, Op::Atom | Op::Red) => {
            vec![None, named[0].clone(), named[named.len() / 2].clone()]
        }
        _ if word.optional => [None].into_iter().chain(named).collect(),
        _ => named,
    }
}

/// One way of writing the operands of a mnemonic.
#[derive(Clone, Default)]
struct Variant {
    /// Whether operands that may be left out are there.
    full: bool,
    /// Whether there is a second destination.
    pair: bool,
    /// Whether registers are wider than the types.
    wide: bool,
    /// Whether only some lanes take part.
    partial: bool,
    /// The immediate operand.
    immediate: u8,
    /// Selected parts, operand by operand.
    parts: Vec<Option<&'static str>>,
}

fn variants(form: &Form, mnemonic: &Mnemonic) -> Vec<Variant> {
    let slots = &form.operands;
    let plain = Variant { full: slots.iter().all(|slot| !slot.optional), ..Variant::default() };
    let mut out = vec![plain.clone()];
    let combined = mnemonic.modifiers.first_of(&[Modifier::Add, Modifier::Min, Modifier::Max]).is_some();
    if is_video(form.op) {
        out = video_variants(form, mnemonic, combined);
    }
    if slots.iter().any(|slot| slot.pair) {
        out.push(Variant { pair: true, ..plain.clone() });
    }
    let wider = |ty: &Type| ty.size() < 8 && !ty.is_float();
    if slots.iter().any(|slot| slot.wider) && mnemonic.types.iter().any(wider) {
        out.push(Variant { wide: true, ..plain.clone() });
    }
    if matches!(form.op, Op::Vote | Op::Match | Op::Activemask | Op::Redux | Op::Elect) {
        let more: Vec<Variant> = out.iter().map(|it| Variant { partial: true, ..it.clone() }).collect();
        out.extend(more);
    }
    if slots.iter().any(|slot| slot.kind == Kind::Immediate) {
        let with = |immediate: &u8| Variant { immediate: *immediate, ..plain.clone() };
        out = TABLES.iter().map(with).collect();
    }
    out
}

fn is_video(op: Op) -> bool {
    (Op::Vadd as u8..=Op::Vset4 as u8).contains(&(op as u8))
}

/// Video instructions select parts of their operands: a few selections for each mnemonic, others for the next.
fn video_variants(form: &Form, mnemonic: &Mnemonic, combined: bool) -> Vec<Variant> {
    const SINGLE: [&str; 6] = ["b0", "b1", "b2", "b3", "h0", "h1"];
    const PAIR: [&str; 5] = ["h10", "h32", "h02", "h31", "h23"];
    const FOUR: [&str; 5] = ["b3210", "b7654", "b0246", "b7531", "b4567"];
    /// A part of a word as destination is disputed ([`crate::known`]) and not asked for.
    const PAIR_MASK: [&str; 3] = ["h0", "h1", "h10"];
    const FOUR_MASK: [&str; 5] = ["b0", "b2", "b31", "b210", "b3210"];
    let name = row(form.op).mnemonic;
    let (sources, targets): (&[&str], &[&str]) = match name.as_bytes().last() {
        Some(b'2') => (&PAIR, &PAIR_MASK),
        Some(b'4') => (&FOUR, &FOUR_MASK),
        _ => (&SINGLE, &SINGLE),
    };
    let alone = sources.len() == SINGLE.len();
    let third_is_optional = form.operands.last().is_some_and(|slot| slot.optional);
    let mut random = hash_text(&mnemonic.text);
    let mut choose = |from: &[&'static str]| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        from[(random >> 33) as usize % from.len()]
    };
    let full = combined || !third_is_optional;
    let mut out = vec![Variant { full, ..Variant::default() }];
    for round in 0..3 {
        let mut parts: Vec<Option<&'static str>> = Vec::new();
        for slot in &form.operands {
            let Kind::Value { parts: true, .. } = slot.kind else { continue };
            let target = slot.written && round > 0 && !alone;
            parts.push(match slot.written {
                true => target.then(|| choose(targets)),
                false => (round < 2 || alone).then(|| choose(sources)),
            });
        }
        out.push(Variant { full, parts, ..Variant::default() });
    }
    out
}

/// Writes the operands of one case.
struct Writer<'m> {
    mnemonic: &'m Mnemonic,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    /// Before and behind the instruction.
    before: String,
    behind: String,
    cell: Vec<Type>,
}

impl Writer<'_> {
    fn case(form: &Form, mnemonic: &Mnemonic, variant: &Variant) -> Option<Case> {
        let mut writer = Writer {
            mnemonic,
            inputs: Vec::new(),
            outputs: Vec::new(),
            before: String::new(),
            behind: String::new(),
            cell: Vec::new(),
        };
        let cell = writer.memory(form);
        writer.carry(form.op);
        let mut operands = Vec::new();
        let mut parts = variant.parts.iter().copied();
        for (index, slot) in form.operands.iter().enumerate() {
            if slot.optional && !variant.full {
                continue;
            }
            let members = index + 1 == form.operands.len()
                && mnemonic.has(Modifier::Sync)
                && matches!(form.op, Op::Shfl | Op::Vote | Op::Match | Op::Redux | Op::Elect);
            let wide = variant.wide && slot.wider;
            let operand = match slot.kind {
                Kind::Value { .. } if members => {
                    let domain = if variant.partial { Domain::Members } else { Domain::AllLanes };
                    writer.read(Type::B32, domain, false)
                }
                Kind::Value { ty, parts: selects } => {
                    let ty = mnemonic.named(ty);
                    let name = if slot.written {
                        writer.write(ty, wide)
                    } else {
                        let domain = writer.domain(form.op, index);
                        writer.read(ty, domain, wide)
                    };
                    match selects.then(|| parts.next().flatten()).flatten() {
                        Some(part) => format!("{name}.{part}"),
                        None => name,
                    }
                }
                Kind::Vector(ty) => {
                    let ty = mnemonic.named(ty);
                    let domain = writer.domain(form.op, index);
                    let each = |writer: &mut Writer| match slot.written {
                        true => writer.write(ty, false),
                        false => writer.read(ty, domain, false),
                    };
                    let list: Vec<String> = (0..mnemonic.vector()).map(|_| each(&mut writer)).collect();
                    if list.len() == 1 { list[0].clone() } else { format!("{{{}}}", list.join(", ")) }
                }
                Kind::Braces(ty, Some(count)) => {
                    let ty = mnemonic.named(ty);
                    let list: Vec<String> = (0..count).map(|_| writer.read(ty, Domain::Any, false)).collect();
                    format!("{{{}}}", list.join(", "))
                }
                Kind::Memory { extra: false } => "[%cell]".into(),
                Kind::Immediate => format!("{:#x}", variant.immediate),
                _ => return None,
            };
            operands.push(if slot.pair && variant.pair {
                format!("{operand}|{}", writer.write(Type::Pred, false))
            } else {
                operand
            });
        }
        writer.finish(form.op, &operands.join(", "), variant.partial, cell)
    }

    fn read(&mut self, ty: Type, domain: Domain, wide: bool) -> String {
        self.inputs.push(Input { ty, domain, wide: wide && ty.size() < 8 && !ty.is_float() });
        format!("%i{}", self.inputs.len() - 1)
    }

    fn write(&mut self, ty: Type, wide: bool) -> String {
        self.outputs.push(Output { ty, wide: wide && ty.size() < 8 && !ty.is_float() });
        format!("%o{}", self.outputs.len() - 1)
    }

    /// Values for an operand, by its place among the form's.
    fn domain(&self, op: Op, index: usize) -> Domain {
        match (op, index) {
            (Op::Fns, 2) => Domain::AtMost(31),
            (Op::Fns, 3) => Domain::Offset,
            // "Restricted to 0..255" (PTX ISA); of words an H100 reads eight bits, of doubled ones more.
            (Op::Bfe, 2 | 3) | (Op::Bfi, 3 | 4) if self.mnemonic.ty().is_some_and(|ty| ty.size() == 8) => {
                Domain::AtMost(255)
            }
            (Op::Vote | Op::Match, 1) => Domain::Few,
            // So that they meet what is in memory.
            (Op::Atom, 2 | 3) if self.mnemonic.has(Modifier::Cas) => Domain::Few,
            _ => Domain::Any,
        }
    }

    /// Memory that an atomic operation works on: what is in it comes first among the inputs.
    fn memory(&mut self, form: &Form) -> Cell {
        if !form.operands.iter().any(|slot| slot.kind == Kind::Memory { extra: false }) {
            return Cell::None;
        }
        let ty = self.mnemonic.ty().unwrap_or(Type::B32);
        self.cell = vec![ty; self.mnemonic.vector()];
        let domain = if self.mnemonic.has(Modifier::Cas) { Domain::Few } else { Domain::Any };
        for _ in 0..self.cell.len() {
            self.read(ty, domain, false);
        }
        let shared = [Modifier::Shared, Modifier::SharedCta, Modifier::SharedCluster];
        if self.mnemonic.modifiers.first_of(&shared).is_some() { Cell::Shared } else { Cell::Global }
    }

    /// The carry that it reads is set before, the one that it writes is read behind.
    fn carry(&mut self, op: Op) {
        let down = matches!(op, Op::Sub | Op::Subc);
        if matches!(op, Op::Addc | Op::Subc | Op::Madc) {
            let carry = self.read(Type::Pred, Domain::Any, false);
            self.before = format!("selp.u32 %t, 1, 0, {carry}; ");
            self.before += if down { "sub.cc.u32 %t, 0, %t; " } else { "add.cc.u32 %t, %t, 0xffffffff; " };
        }
        if self.mnemonic.has(Modifier::Cc) {
            self.behind = if down { "; subc.u32 CARRY, 0, 0" } else { "; addc.u32 CARRY, 0, 0" }.into();
        }
    }

    fn finish(mut self, op: Op, operands: &str, partial: bool, cell: Cell) -> Option<Case> {
        let mut text = format!("{}{} {operands}", self.before, self.mnemonic.text);
        if !self.behind.is_empty() {
            let carry = self.write(Type::U32, false);
            text += &self.behind.replace("CARRY", &carry);
        }
        if partial {
            if op == Op::Activemask {
                self.read(Type::B32, Domain::Members, false);
            }
            let mask = self.inputs.len() - 1;
            text = format!(
                "mov.u32 %t, %laneid; shr.u32 %t, %i{mask}, %t; and.b32 %t, %t, 1; setp.eq.u32 %apart, %t, 0; \
                 @%apart bra $apart; {text}; $apart:"
            );
        }
        let cell_values = self.cell.len();
        for ty in self.cell.clone() {
            self.write(ty, false);
        }
        let mnemonic = self.mnemonic.clone();
        Some(Case { text, mnemonic, inputs: self.inputs, outputs: self.outputs, cell, cell_values })
    }
}
