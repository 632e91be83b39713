//! The instruction set as a table: one row, one instruction, and every form that it has.
//!
//! The [table](instructions) says which words may follow a mnemonic and which operands go with them. The parser looks
//! mnemonics up here, the verifier checks operands against the [`Form`], tests write an example of each, and the interpreter
//! matches on [`Op`]. [Modifiers](modifiers) are a table of their own, because most of them mean the same wherever they stand.
//! Source: PTX ISA 9.0, chapter 9.7.

pub mod examples;
pub mod form;
pub mod instructions;
pub mod modifiers;

pub use form::{Form, forms};
pub use instructions::{INSTRUCTIONS, Op, Row};
pub use modifiers::{Modifier, Modifiers, Shape};

use crate::types::Type;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// A mnemonic with everything after its dots: `fma.rn.ftz.f32`.
#[derive(Clone, Debug)]
pub struct Mnemonic {
    /// The instruction.
    pub op: Op,
    /// Its types in the order written; most have one, `cvt` two, `mma` four.
    pub types: Vec<Type>,
    /// Its modifiers as a set.
    pub modifiers: Modifiers,
    /// Its modifiers in the order written (`mma` layouts and `set` combinations depend on it).
    pub order: Vec<Modifier>,
    /// Its shape, where it has one.
    pub shape: Option<Shape>,
    /// The forms of the table that it has; more than one where only the operands tell them apart.
    pub forms: Vec<&'static Form>,
    /// As written.
    pub text: Box<str>,
    /// One bit for each number of operands that a form takes.
    counts: u32,
}

/// Two spellings are the same mnemonic if they are written alike.
impl PartialEq for Mnemonic {
    fn eq(&self, other: &Mnemonic) -> bool {
        self.text == other.text
    }
}

impl Mnemonic {
    /// Splits and looks up.
    pub fn parse(text: &str) -> Result<Mnemonic, UnknownMnemonic> {
        let mut words = text.split('.');
        let first = words.next().unwrap_or_default();
        let op = OPS.get(first).copied().ok_or_else(|| UnknownMnemonic::Instruction(first.into()))?;
        let mut mnemonic = Mnemonic {
            op,
            types: Vec::new(),
            modifiers: Modifiers::default(),
            order: Vec::new(),
            shape: None,
            forms: Vec::new(),
            text: text.into(),
            counts: 0,
        };
        for word in words {
            mnemonic.add(word)?;
        }
        let fits = |form: &&Form| form.fits(&mnemonic.types, &mnemonic.order, mnemonic.shape);
        mnemonic.forms = forms(op).iter().filter(fits).collect();
        if mnemonic.forms.is_empty() {
            return Err(UnknownMnemonic::Form(text.into(), op));
        }
        for form in &mnemonic.forms {
            let (least, most) = form.operand_counts();
            (least..=most).for_each(|count| mnemonic.counts |= 1 << count);
        }
        Ok(mnemonic)
    }

    /// As [`Mnemonic::parse`], remembering what this thread has parsed: a large module repeats a few hundred spellings.
    pub(crate) fn cached(text: &str) -> Result<Arc<Mnemonic>, UnknownMnemonic> {
        thread_local! {
            static CACHE: RefCell<HashMap<Box<str>, Arc<Mnemonic>>> = RefCell::new(HashMap::new());
        }
        CACHE.with_borrow_mut(|cache| {
            if let Some(known) = cache.get(text) {
                return Ok(known.clone());
            }
            let mnemonic = Arc::new(Mnemonic::parse(text)?);
            // The whole census has some two thousand; text that is made to have more does not fill the memory.
            if cache.len() > 10_000 {
                cache.clear();
            }
            cache.insert(text.into(), mnemonic.clone());
            Ok(mnemonic)
        })
    }

    fn add(&mut self, word: &str) -> Result<(), UnknownMnemonic> {
        let unknown = |mnemonic: &Mnemonic| UnknownMnemonic::Word(mnemonic.text.clone(), word.into());
        if let Some(ty) = Type::from_name(word) {
            self.types.push(ty);
        } else if let Some(modifier) = MODIFIERS.get(word) {
            self.modifiers.insert(*modifier);
            self.order.push(*modifier);
        } else {
            let shape = Shape::from_name(word).filter(|_| self.shape.is_none());
            self.shape = Some(shape.ok_or_else(|| unknown(self))?);
        }
        Ok(())
    }

    /// The last type written, which is that of the operands (`cvt`: of the source).
    pub fn ty(&self) -> Option<Type> {
        self.types.last().copied()
    }

    /// Whether the modifier is there.
    pub fn has(&self, modifier: Modifier) -> bool {
        self.modifiers.has(modifier)
    }

    /// Vector length by `.v2`, `.v4` or `.v8`, else 1.
    pub fn vector(&self) -> usize {
        match self.modifiers.first_of(&[Modifier::V2, Modifier::V4, Modifier::V8]) {
            Some(Modifier::V2) => 2,
            Some(Modifier::V4) => 4,
            Some(_) => 8,
            None => 1,
        }
    }

    /// Whether a form takes so many operands.
    pub fn takes(&self, operands: usize) -> bool {
        operands < 32 && self.counts >> operands & 1 != 0
    }

    /// The numbers of operands that its forms take, for messages: `3 or 4`.
    pub fn operand_counts(&self) -> String {
        let counts: Vec<String> =
            (0..32).filter(|count| self.takes(*count)).map(|count| count.to_string()).collect();
        counts.join(" or ")
    }

    /// The forms that have so many operands.
    pub fn forms_with(&self, operands: usize) -> impl Iterator<Item = &'static Form> + '_ {
        let fits = move |form: &&&Form| {
            let (least, most) = form.operand_counts();
            (least..=most).contains(&operands)
        };
        self.forms.iter().filter(fits).copied()
    }
}

/// What the tables lack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownMnemonic {
    /// The instruction.
    Instruction(Box<str>),
    /// A word of an instruction.
    Word(Box<str>, Box<str>),
    /// The combination of words.
    Form(Box<str>, Op),
}

impl fmt::Display for UnknownMnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnknownMnemonic::Instruction(first) => write!(f, "unknown instruction `{first}`"),
            UnknownMnemonic::Word(text, word) => write!(f, "unknown instruction `{text}` (at `{word}`)"),
            UnknownMnemonic::Form(text, op) => {
                write!(f, "`{text}` is no form of `{}`", row(*op).mnemonic)
            }
        }
    }
}

/// The row of an instruction.
pub fn row(op: Op) -> &'static Row {
    &INSTRUCTIONS[op as usize]
}

static OPS: LazyLock<HashMap<&'static str, Op>> =
    LazyLock::new(|| INSTRUCTIONS.iter().map(|row| (row.mnemonic, row.op)).collect());
static MODIFIERS: LazyLock<HashMap<&'static str, Modifier>> =
    LazyLock::new(|| Modifier::ALL.iter().map(|modifier| (modifier.name(), *modifier)).collect());
