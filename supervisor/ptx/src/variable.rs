//! Variables: declarations in any state space, with their initialisers.

use crate::constant::Constant;
use crate::cursor::Cursor;
use crate::types::{Space, Type};

/// How a symbol meets those of other modules (PTX ISA 11.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Linkage {
    /// Seen in this module only.
    #[default]
    Internal,
    /// Declared here, defined elsewhere.
    Extern,
    /// Seen by others.
    Visible,
    /// Seen by others, and one of several definitions is taken.
    Weak,
    /// Seen by others, the largest definition is taken.
    Common,
}

/// A variable or parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: Box<str>,
    /// Where it lives.
    pub space: Space,
    /// How it is linked.
    pub linkage: Linkage,
    /// Element type.
    pub ty: Type,
    /// Alignment in bytes.
    pub align: u32,
    /// Elements; 0 for an unsized (extern) array.
    pub count: u64,
    /// Whether it was declared with brackets.
    pub array: bool,
    /// Where the initialiser's text starts, if there is one.
    pub(crate) initialiser: Option<u32>,
    /// Whether a `.ptr` parameter or the like says what it points to: not used for execution.
    pub pointer: bool,
}

impl Variable {
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.count * u64::from(self.ty.size())
    }

    /// Whether another variable is laid out and initialised alike; values are not compared.
    pub(crate) fn same_but_name(&self, other: &Variable) -> bool {
        let facts = |it: &Variable| (it.space, it.linkage, it.ty, it.align, it.count, it.is_initialised());
        facts(self) == facts(other)
    }

    /// Whether it has an initialiser.
    pub fn is_initialised(&self) -> bool {
        self.initialiser.is_some()
    }
}

/// One element of an initialiser.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    /// A number.
    Constant(Constant),
    /// An address, or one byte of it by `mask` (`0xFF00(symbol)`).
    Address {
        /// The variable or function.
        symbol: String,
        /// Added to its address.
        offset: i64,
        /// Whether `generic(…)` was written.
        generic: bool,
        /// The byte selected, when a mask was written.
        mask: Option<u64>,
    },
}

/// Parses `= value` or `= { values }` from behind the `=`; nested braces are flattened with their padding.
pub(crate) fn elements(cursor: &mut Cursor<'_>, count_hint: u64) -> Result<Vec<Element>, String> {
    let mut out = Vec::with_capacity(count_hint.min(1 << 20) as usize);
    if cursor.eat(b'{') {
        list(cursor, &mut out)?
    } else {
        out.push(element(cursor)?)
    }
    Ok(out)
}

fn list(cursor: &mut Cursor<'_>, out: &mut Vec<Element>) -> Result<(), String> {
    while !cursor.eat(b'}') {
        if cursor.eat(b'{') {
            list(cursor, out)?;
        } else {
            out.push(element(cursor)?);
        }
        if !cursor.eat(b',') && cursor.peek() != b'}' {
            return Err("an initialiser list lacks `,` or `}`".into());
        }
    }
    Ok(())
}

fn element(cursor: &mut Cursor<'_>) -> Result<Element, String> {
    let negative = cursor.eat(b'-');
    let word = cursor.dotted();
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        return address(cursor, word, None);
    }
    let constant = Constant::parse(word, negative).ok_or_else(|| format!("`{word}` is no number"))?;
    match constant {
        Constant::Integer(mask) if cursor.eat(b'(') => {
            let word = cursor.word();
            let mut value = address(cursor, word, Some(mask))?;
            if let Element::Address { offset, .. } = &mut value {
                *offset += signed_offset(cursor)?;
            }
            cursor.eat(b')');
            Ok(value)
        }
        _ => Ok(Element::Constant(constant)),
    }
}

fn address(cursor: &mut Cursor<'_>, word: &str, mask: Option<u64>) -> Result<Element, String> {
    if word.is_empty() {
        return Err("an initialiser lacks a value".into());
    }
    let generic = word == "generic" && cursor.eat(b'(');
    let symbol = if generic { cursor.word() } else { word };
    let mut offset = signed_offset(cursor)?;
    if generic {
        cursor.eat(b')');
        offset += signed_offset(cursor)?;
    }
    Ok(Element::Address { symbol: symbol.into(), offset, generic, mask })
}

/// Parses `+4`, `-4` or `+-4`; 0 if neither is next.
pub(crate) fn signed_offset(cursor: &mut Cursor<'_>) -> Result<i64, String> {
    let plus = cursor.eat(b'+');
    let negative = cursor.eat(b'-');
    if !plus && !negative {
        return Ok(0);
    }
    let word = cursor.word();
    match Constant::parse(word, negative) {
        Some(Constant::Integer(value)) => Ok(value as i64),
        _ => Err(format!("`{word}` is no offset")),
    }
}

/// Parses a declaration from behind its state space up to `,`, `)` or `;`; several names share one type.
pub(crate) fn declarations(
    cursor: &mut Cursor<'_>,
    space: Space,
    linkage: Linkage,
) -> Result<Vec<Variable>, String> {
    let head = head(cursor)?;
    let mut out = vec![declarator(cursor, &head, space, linkage)?];
    while space != Space::Param && cursor.eat(b',') {
        out.push(declarator(cursor, &head, space, linkage)?);
    }
    Ok(out)
}

struct Head {
    ty: Type,
    align: Option<u32>,
    lanes: u64,
    pointer: bool,
}

fn head(cursor: &mut Cursor<'_>) -> Result<Head, String> {
    let mut head = Head { ty: Type::B8, align: None, lanes: 1, pointer: false };
    let mut typed = false;
    loop {
        let word = cursor.directive();
        match word {
            "" => break,
            ".align" => {
                let value: u32 = number(cursor)? as u32;
                // Behind `.ptr` it speaks of what the pointer points to.
                if !head.pointer {
                    head.align = Some(value);
                }
            }
            ".ptr" => head.pointer = true,
            ".v2" => head.lanes = 2,
            ".v4" => head.lanes = 4,
            ".global" | ".shared" | ".local" | ".const" | ".generic" if head.pointer => {}
            ".attribute" => skip_attribute(cursor)?,
            _ => {
                head.ty = Type::from_name(&word[1..])
                    .ok_or_else(|| format!("unknown type `{word}` in a declaration"))?;
                typed = true;
            }
        }
    }
    if typed { Ok(head) } else { Err("a declaration lacks its type".into()) }
}

/// Skips `(.managed, .unified(1, 2))` behind `.attribute`: where memory is placed is the same for all variables here.
pub(crate) fn skip_attribute(cursor: &mut Cursor<'_>) -> Result<(), String> {
    let mut depth = 0;
    loop {
        match cursor.peek() {
            b'(' => depth += 1,
            b')' => depth -= 1,
            0 | b';' | b'{' => return Err("`.attribute` lacks its `)`".into()),
            _ => {}
        }
        cursor.at += 1;
        if depth == 0 {
            return Ok(());
        }
    }
}

fn number(cursor: &mut Cursor<'_>) -> Result<u64, String> {
    let word = cursor.word();
    match Constant::parse(word, false) {
        Some(Constant::Integer(value)) => Ok(value),
        _ => Err(format!("`{word}` is no number")),
    }
}

fn declarator(
    cursor: &mut Cursor<'_>,
    head: &Head,
    space: Space,
    linkage: Linkage,
) -> Result<Variable, String> {
    let name = cursor.word();
    if name.is_empty() {
        return Err("a declaration lacks its name".into());
    }
    let mut count = head.lanes;
    let mut array = false;
    let mut open = false;
    while cursor.eat(b'[') {
        array = true;
        if cursor.peek() == b']' {
            open = true;
        } else {
            count = count.checked_mul(number(cursor)?).ok_or("an array is too large")?;
        }
        if !cursor.eat(b']') {
            return Err(format!("array `{name}` lacks `]`"));
        }
    }
    let mut initialiser = None;
    if cursor.eat(b'=') {
        cursor.skip_space();
        initialiser = Some(cursor.at as u32);
        if open {
            count = elements(&mut cursor.clone(), 0)?.len() as u64;
            open = false;
        }
        skip_initialiser(cursor)?;
    }
    let natural = head.ty.size() * head.lanes as u32;
    Ok(Variable {
        name: name.into(),
        space,
        linkage,
        ty: head.ty,
        align: head.align.unwrap_or(natural).max(1),
        count: if open { 0 } else { count },
        array,
        initialiser,
        pointer: head.pointer,
    })
}

fn skip_initialiser(cursor: &mut Cursor<'_>) -> Result<(), String> {
    if cursor.peek() == b'{' {
        return if cursor.skip_braces() { Ok(()) } else { Err("an initialiser lacks `}`".into()) };
    }
    element(cursor).map(|_| ())
}
