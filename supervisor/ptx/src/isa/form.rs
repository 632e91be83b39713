//! Forms: which words may follow a mnemonic, in which combination, and which operands go with them.
//!
//! The notation is described at the [table](super::instructions). Compilers and libraries write `ld.global.acquire.gpu` and
//! `vote.ballot.sync`, which ptxas takes, so words are compared as it does: types, and what says which operand is meant
//! ([`Modifier::is_ordered`]), in the order written, everything else wherever it stands.

use super::instructions::{INSTRUCTIONS, Op};
use super::modifiers::{Modifier, Modifiers, Shape};
use crate::types::Type;
use std::sync::LazyLock;

/// Names that stand for a choice of words, as the *Syntax* paragraphs use them.
pub const SETS: &[(&str, &str)] = &[
    ("INT", "u16|u32|u64|s16|s32|s64"),
    ("BIT", "b16|b32|b64"),
    ("RND", "rn|rz|rm|rp"),
    ("COMPARE", "eq|ne|lt|le|gt|ge|lo|ls|hi|hs|equ|neu|ltu|leu|gtu|geu|num|nan"),
    ("BOOLEAN", "and|or|xor"),
    ("CONVERT", "u8|u16|u32|u64|s8|s16|s32|s64|bf16|f16|f32|f64"),
    ("MEMORY", "b8|b16|b32|b64|b128|u8|u16|u32|u64|s8|s16|s32|s64|f32|f64"),
    ("VECTOR", "v2|v4|v8"),
    ("LD_SPACE", "const|global|local|param|param::entry|param::func|shared|shared::cta|shared::cluster"),
    ("ST_SPACE", "global|local|param|param::func|shared|shared::cta|shared::cluster"),
    ("ATOMIC_SPACE", "global|shared|shared::cta|shared::cluster"),
    ("ADDRESS_SPACE", "const|global|local|shared|shared::cta|shared::cluster|param|param::entry"),
    ("MATRIX_SPACE", "global|shared|shared::cta"),
    ("SHARED", "shared|shared::cta"),
    ("SCOPE", "cta|cluster|gpu|sys"),
    ("ORDER", "relaxed|acquire|release|acq_rel"),
    ("CACHE_LD", "ca|cg|cs|lu|cv"),
    ("CACHE_ST", "wb|cg|cs|wt"),
    ("L1_EVICT", "L1::evict_normal|L1::evict_unchanged|L1::evict_first|L1::evict_last|L1::no_allocate"),
    ("L2_EVICT", "L2::evict_normal|L2::evict_first|L2::evict_last|L2::evict_unchanged"),
    ("L2_PREFETCH", "L2::64B|L2::128B|L2::256B"),
    ("COMPLETES", "mbarrier::complete_tx::bytes"),
    ("DIMENSIONS", "1d|2d|3d|4d|5d"),
    ("TENSOR_LOAD", "tile|tile::gather4|im2col|im2col::w|im2col::w::128"),
    ("TEXTURE", "1d|2d|3d|a1d|a2d|cube|acube|2dms|a2dms"),
    ("SURFACE", "1d|2d|3d|a1d|a2d"),
    ("OUTSIDE", "trap|clamp|zero"),
    ("SPARSE", "sp|sp::ordered_metadata"),
    ("NARROW", "e4m3|e5m2|e3m2|e2m3|e2m1"),
    ("CTA_GROUP", "cta_group::1|cta_group::2"),
    ("TENSOR_SHAPE", "16x64b|16x128b|16x256b|32x32b|16x32bx2"),
    ("COUNT", "x1|x2|x4|x8|x16|x32|x64|x128"),
    (
        "COLLECTOR",
        "collector::a::fill|collector::a::use|collector::a::lastuse|collector::a::discard|\
         collector::b0::fill|collector::b0::use|collector::b0::lastuse|collector::b0::discard|\
         collector::b1::fill|collector::b1::use|collector::b1::lastuse|collector::b1::discard|\
         collector::b2::fill|collector::b2::use|collector::b2::lastuse|collector::b2::discard|\
         collector::b3::fill|collector::b3::use|collector::b3::lastuse|collector::b3::discard",
    ),
    ("VIDEO", "u32|s32"),
];

/// One way of writing an instruction.
#[derive(Debug)]
pub struct Form {
    /// The instruction.
    pub op: Op,
    /// As the table has it.
    pub text: &'static str,
    /// The words behind the mnemonic.
    pub words: Vec<Word>,
    /// Its operands.
    pub operands: Vec<Slot>,
    modifiers: Modifiers,
    least: usize,
}

/// One place behind a dot.
#[derive(Debug)]
pub struct Word {
    /// What may stand there.
    pub choice: Choice,
    /// Whether it may be left out.
    pub optional: bool,
}

/// The words that may stand in a place.
#[derive(Debug)]
pub enum Choice {
    /// Types.
    Types(Vec<Type>),
    /// Modifiers.
    Modifiers(Vec<Modifier>),
    /// Shapes; an `n` of 0 stands for every multiple of 8 up to 256.
    Shapes(Vec<Shape>),
}

/// One place between the commas.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// What may stand there.
    pub kind: Kind,
    /// Whether it is written.
    pub written: bool,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether a register may be wider than the type.
    pub wider: bool,
    /// Whether a second, predicate destination may follow.
    pub pair: bool,
}

/// A kind of operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A register, number or special register; `parts` says whether bytes of it may be selected.
    Value {
        /// Its type.
        ty: Which,
        /// Whether `.b0` and the like may follow.
        parts: bool,
    },
    /// A value, or as many in braces as `.v2`, `.v4` or `.v8` say.
    Vector(Which),
    /// Values in braces; how many, where that is fixed.
    Braces(Which, Option<usize>),
    /// A matrix fragment of the n-th type.
    Fragment(Matrix, usize),
    /// `[address]`; whether further operands stand inside the brackets.
    Memory {
        /// Coordinates and the like.
        extra: bool,
    },
    /// An address in a register, or of a variable.
    Address,
    /// A number.
    Immediate,
    /// The target of a branch.
    Label,
    /// Not checked here.
    Any,
}

/// A type, by where the instruction names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Which {
    /// The last one.
    Last,
    /// The n-th one, from 0.
    Nth(usize),
    /// Twice as wide as the last one.
    Double,
    /// This one.
    Fixed(Type),
}

/// A matrix of `D = A × B + C`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Matrix {
    /// The left factor.
    A,
    /// The right factor.
    B,
    /// An accumulator: `C` or `D`.
    C,
}

static FORMS: LazyLock<Vec<Vec<Form>>> = LazyLock::new(|| {
    let compile = |op: Op, forms: &[&'static str]| forms.iter().map(|text| Form::compile(op, text)).collect();
    INSTRUCTIONS.iter().map(|row| compile(row.op, row.forms)).collect()
});

/// Every form of an instruction.
pub fn forms(op: Op) -> &'static [Form] {
    &FORMS[op as usize]
}

impl Form {
    /// The operands that have to be there, and all of them.
    pub fn operand_counts(&self) -> (usize, usize) {
        (self.least, self.operands.len())
    }

    /// Whether the words fit.
    pub fn fits(&self, types: &[Type], modifiers: &[Modifier], shape: Option<Shape>) -> bool {
        if !modifiers.iter().all(|modifier| self.modifiers.has(*modifier)) {
            return false;
        }
        let (mut types, mut shape) = (types, shape);
        // One bit for each modifier already accounted for; `.row.row` counts twice.
        let mut taken = 0u64;
        for word in &self.words {
            let found = match &word.choice {
                Choice::Types(choice) => match types.split_first() {
                    Some((first, rest)) if choice.contains(first) => {
                        types = rest;
                        true
                    }
                    _ => false,
                },
                Choice::Modifiers(choice) => {
                    let free = |at: usize| at < 64 && taken >> at & 1 == 0;
                    let next = (0..modifiers.len()).find(|&at| free(at) && choice.contains(&modifiers[at]));
                    let passes =
                        |at: usize| (0..at).any(|before| free(before) && modifiers[before].is_ordered());
                    let at = next.filter(|&at| !modifiers[at].is_ordered() || !passes(at));
                    taken |= at.map_or(0, |at| 1 << at);
                    at.is_some()
                }
                Choice::Shapes(choice) => {
                    let fits = shape.is_some_and(|shape| choice.iter().any(|each| covers(*each, shape)));
                    shape = shape.filter(|_| !fits);
                    fits
                }
            };
            if !found && !word.optional {
                return false;
            }
        }
        types.is_empty() && shape.is_none() && taken.count_ones() as usize == modifiers.len()
    }

    fn compile(op: Op, text: &'static str) -> Form {
        let (words, operands) = split(text);
        let words: Vec<Word> = words.split('.').filter(|word| !word.is_empty()).map(word).collect();
        let operands: Vec<Slot> = operands.split_whitespace().map(slot).collect();
        let mut modifiers = Modifiers::default();
        for word in &words {
            if let Choice::Modifiers(choice) = &word.choice {
                choice.iter().for_each(|modifier| modifiers.insert(*modifier));
            }
        }
        let least = operands.iter().filter(|slot| !slot.optional).count();
        Form { op, text, words, operands, modifiers, least }
    }
}

fn covers(pattern: Shape, shape: Shape) -> bool {
    let any_n = pattern.n == 0 && shape.n.is_multiple_of(8) && (8..=256).contains(&shape.n);
    (pattern.m, pattern.k) == (shape.m, shape.k) && (any_n || pattern.n == shape.n)
}

/// Words and operands: a form without words begins with an operand's mark or a space.
fn split(text: &'static str) -> (&'static str, &'static str) {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let only_operands = first.starts_with(['=', '[', '{']) || matches!(first, "imm" | "any" | "label");
    if only_operands { ("", text) } else { (first, rest) }
}

// The table is part of the program, so a mistake in it is found by the first test that looks at it: these panic.

fn word(text: &str) -> Word {
    let (text, optional) = text.strip_suffix('?').map_or((text, false), |text| (text, true));
    let list = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    let mut names = Vec::new();
    for name in list.split('|') {
        match SETS.iter().find(|(set, _)| *set == name) {
            Some((_, members)) => names.extend(members.split('|')),
            None => names.push(name),
        }
    }
    let all = |what: &str| -> ! { panic!("the table's word `{text}` is neither {what}") };
    let choice = if let Some(types) = names.iter().map(|name| Type::from_name(name)).collect() {
        Choice::Types(types)
    } else if let Some(modifiers) = names.iter().map(|name| Modifier::from_name(name)).collect() {
        Choice::Modifiers(modifiers)
    } else if let Some(shapes) = names.iter().map(|name| Shape::from_name(&name.replace('N', "0"))).collect()
    {
        Choice::Shapes(shapes)
    } else {
        all("types nor modifiers nor shapes")
    };
    Word { choice, optional }
}

fn slot(text: &str) -> Slot {
    let (text, optional) = text.strip_suffix('?').map_or((text, false), |text| (text, true));
    let (text, written) = text.strip_prefix('=').map_or((text, false), |text| (text, true));
    let (text, pair) = text.strip_suffix("|p").map_or((text, false), |text| (text, true));
    let (text, wider) = text.strip_suffix('~').map_or((text, false), |text| (text, true));
    Slot { kind: kind(text), written, optional, wider, pair }
}

fn kind(text: &str) -> Kind {
    let place = |text: &str| text.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    if let Some((inside, count)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        return Kind::Braces(which(inside), count.parse().ok());
    }
    let fragment = |matrix, text: &str| place(text).map(|nth| Kind::Fragment(matrix, nth));
    let matrix = match text.as_bytes() {
        [b'A', ..] => fragment(Matrix::A, &text[1..]),
        [b'B', ..] => fragment(Matrix::B, &text[1..]),
        [b'C', ..] => fragment(Matrix::C, &text[1..]),
        _ => None,
    };
    match (text, matrix) {
        (_, Some(fragment)) => fragment,
        ("[]", _) => Kind::Memory { extra: false },
        ("[,]", _) => Kind::Memory { extra: true },
        ("a", _) => Kind::Address,
        ("imm", _) => Kind::Immediate,
        ("label", _) => Kind::Label,
        ("any", _) => Kind::Any,
        ("V", _) => Kind::Vector(Which::Last),
        _ => {
            let (name, parts) = text.strip_suffix('.').map_or((text, false), |name| (name, true));
            Kind::Value { ty: which(name), parts }
        }
    }
}

fn which(text: &str) -> Which {
    match text {
        "T" => Which::Last,
        "W" => Which::Double,
        "T1" => Which::Nth(0),
        "T2" => Which::Nth(1),
        "T3" => Which::Nth(2),
        "T4" => Which::Nth(3),
        _ => Which::Fixed(
            Type::from_name(text).unwrap_or_else(|| panic!("the table's operand `{text}` is unknown")),
        ),
    }
}
