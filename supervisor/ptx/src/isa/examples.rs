//! An example of every form, written from the table: what tests of parser, verifier and interpreter go over.
//!
//! The words that may vary are not combined in every way, which would be millions: all types are, and to each combination of
//! types every other word is added once.

use super::form::{Choice, Form, Kind, Which, Word};
use super::{Mnemonic, Op, forms, row};
use crate::types::Type;
use std::fmt::Write;

/// Most combinations of types that are written for one form; the next ones are alike.
const MOST: usize = 64;

/// Every example of an instruction: one kernel for each, in one module. The kernels are called `example0`, `example1` …, and
/// each has one instruction besides its end.
pub fn module(op: Op) -> (String, Vec<String>) {
    let spelled: Vec<(&Form, String)> =
        forms(op).iter().flat_map(|form| spellings(form).into_iter().map(move |text| (form, text))).collect();
    let mut text = String::from(".version 9.0\n.target sm_100a\n.address_size 64\n.func helper() { ret; }\n");
    let mut mnemonics = Vec::new();
    for (index, (form, mnemonic)) in spelled.into_iter().enumerate() {
        let _ = write!(text, ".visible .entry example{index}()\n{}", body(form, &mnemonic));
        mnemonics.push(mnemonic);
    }
    (text, mnemonics)
}

/// The mnemonics that are written for a form.
pub fn spellings(form: &Form) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut add = |words: &[Option<String>]| {
        let words = words.iter().flatten().map(|word| format!(".{word}"));
        let text = format!("{}{}", row(form.op).mnemonic, words.collect::<String>());
        if !out.contains(&text) {
            out.push(text);
        }
    };
    for plain in by_types(&form.words) {
        add(&plain);
        for (index, word) in
            form.words.iter().enumerate().filter(|(_, word)| !matches!(word.choice, Choice::Types(_)))
        {
            for name in names(word) {
                let mut varied = plain.clone();
                varied[index] = Some(name);
                add(&varied);
            }
        }
    }
    out
}

/// All combinations of types, with the least of everything else.
fn by_types(words: &[Word]) -> Vec<Vec<Option<String>>> {
    let mut out = vec![Vec::new()];
    for word in words {
        let all = names(word);
        let here: Vec<Option<String>> = match word.choice {
            Choice::Types(_) if word.optional => all.into_iter().map(Some).chain([None]).collect(),
            Choice::Types(_) => all.into_iter().map(Some).collect(),
            _ if word.optional => vec![None],
            _ => vec![all.into_iter().next()],
        };
        out = out
            .iter()
            .flat_map(|before: &Vec<Option<String>>| {
                here.iter().map(|name| before.iter().cloned().chain([name.clone()]).collect())
            })
            .collect();
    }
    // Evenly chosen, so that every type appears.
    let step = out.len().div_ceil(MOST).max(1);
    let step = if step > 1 { step | 1 } else { step };
    out.into_iter().step_by(step).collect()
}

fn names(word: &Word) -> Vec<String> {
    match &word.choice {
        Choice::Types(types) => types.iter().map(|ty| ty.to_string()).collect(),
        Choice::Modifiers(modifiers) => modifiers.iter().map(|modifier| modifier.to_string()).collect(),
        Choice::Shapes(shapes) => shapes
            .iter()
            .map(|shape| {
                let n = if shape.n == 0 { 16 } else { shape.n };
                crate::isa::Shape { n, ..*shape }.to_string()
            })
            .collect(),
    }
}

/// A body with the instruction and the registers that it needs.
fn body(form: &Form, mnemonic: &str) -> String {
    let parsed =
        Mnemonic::parse(mnemonic).unwrap_or_else(|error| panic!("`{mnemonic}` of the table: {error}"));
    let mut writer = Writer { mnemonic: &parsed, declarations: String::new(), registers: 0 };
    let operands = match form.op {
        Op::Call => vec!["helper".to_owned()],
        Op::Brx => vec![writer.register(Type::U32), "targets".to_owned()],
        Op::Mov if parsed.vector() == 1 => {
            let ty = parsed.ty().unwrap_or(Type::B32);
            vec![writer.register(ty), writer.register(ty)]
        }
        _ => form.operands.iter().map(|slot| writer.operand(slot.kind, slot.wider)).collect(),
    };
    let declarations = writer.declarations;
    let operands = operands.join(", ");
    format!("{{\n{declarations}targets: .branchtargets $end;\n{mnemonic} {operands};\n$end:\nret;\n}}\n")
}

struct Writer<'m> {
    mnemonic: &'m Mnemonic,
    declarations: String,
    registers: usize,
}

impl Writer<'_> {
    fn register(&mut self, ty: Type) -> String {
        let name = format!("%x{}y", self.registers);
        self.registers += 1;
        let declared = match ty {
            Type::Pred | Type::F32 | Type::F64 => ty.to_string(),
            _ => format!("b{}", ty.size() * 8),
        };
        let _ = writeln!(self.declarations, ".reg .{declared} {name};");
        name
    }

    fn list(&mut self, ty: Type, count: usize) -> String {
        let list: Vec<String> = (0..count).map(|_| self.register(ty)).collect();
        format!("{{{}}}", list.join(", "))
    }

    fn operand(&mut self, kind: Kind, wider: bool) -> String {
        let named = |writer: &Self, which: Which| {
            let ty = writer.mnemonic.named(which);
            // No compiler declares registers of eight bits where wider ones do.
            if wider && ty.size() == 1 && ty != Type::Pred { Type::B16 } else { ty }
        };
        match kind {
            Kind::Value { ty, .. } => self.register(named(self, ty)),
            Kind::Vector(ty) => match self.mnemonic.vector() {
                1 => self.register(named(self, ty)),
                count => self.list(named(self, ty), count),
            },
            Kind::Braces(ty, count) => {
                let count = count.or(self.mnemonic.matrix_registers()).unwrap_or(4);
                self.list(named(self, ty), count)
            }
            Kind::Fragment(matrix, nth) => {
                let (ty, count) = self.mnemonic.fragment(matrix, nth);
                self.list(ty, count)
            }
            Kind::Memory { extra: false } => format!("[{}]", self.register(Type::B64)),
            Kind::Memory { extra: true } => {
                let (base, coordinates) = (self.register(Type::B64), self.list(Type::B32, 4));
                format!("[{base}, {coordinates}]")
            }
            Kind::Address => self.register(Type::B64),
            Kind::Immediate => "16".into(),
            Kind::Label => "$end".into(),
            Kind::Any => self.register(Type::B32),
        }
    }
}
