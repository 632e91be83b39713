//! Variables: declarations in any state space, with their initialisers.

use crate::constant::Constant;
use crate::cursor::Cursor;
use crate::types::{Space, Type};

/// Bounds on what a declaration may ask for, beyond what any device has: damaged text takes no memory, and sums don't overflow.
const MOST_BYTES: u64 = 1 << 40;
const MOST_PARAMETER_BYTES: u64 = 1 << 20;
const MOST_ALIGNMENT: u32 = 1 << 12;
const MOST_COPIES: u64 = 1 << 12;

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
    /// `.attribute(.managed)`: the host may name its address too.
    pub managed: bool,
}

impl Variable {
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.count.saturating_mul(u64::from(self.ty.size()))
    }

    /// Whether another variable is laid out and initialised alike; values are not compared.
    pub(crate) fn same_but_name(&self, other: &Variable) -> bool {
        let facts = |it: &Variable| {
            (it.space, it.linkage, it.ty, it.align, it.count, it.is_initialised(), it.managed)
        };
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
    cursor.enter()?;
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
    cursor.leave();
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
    let mut out = Vec::new();
    loop {
        declarator(cursor, &head, space, linkage, &mut out)?;
        if space == Space::Param || !cursor.eat(b',') {
            return Ok(out);
        }
    }
}

struct Head {
    ty: Type,
    align: Option<u32>,
    lanes: u64,
    pointer: bool,
    managed: bool,
}

fn head(cursor: &mut Cursor<'_>) -> Result<Head, String> {
    let mut head = Head { ty: Type::B8, align: None, lanes: 1, pointer: false, managed: false };
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
            ".attribute" => head.managed |= attribute(cursor)?.contains(".managed"),
            _ => {
                head.ty = Type::from_name(&word[1..])
                    .ok_or_else(|| format!("unknown type `{word}` in a declaration"))?;
                typed = true;
            }
        }
    }
    if typed { Ok(head) } else { Err("a declaration lacks its type".into()) }
}

/// Takes `(.managed, .unified(1, 2))` behind `.attribute`.
pub(crate) fn attribute<'t>(cursor: &mut Cursor<'t>) -> Result<&'t str, String> {
    let mut depth = 0;
    cursor.skip_space();
    let start = cursor.at;
    loop {
        match cursor.peek() {
            b'(' => depth += 1,
            b')' => depth -= 1,
            0 | b';' | b'{' => return Err("`.attribute` lacks its `)`".into()),
            _ => {}
        }
        cursor.at += 1;
        if depth == 0 {
            return Ok(cursor.text.get(start..cursor.at).unwrap_or(""));
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
    out: &mut Vec<Variable>,
) -> Result<(), String> {
    let name = cursor.word();
    if name.is_empty() {
        return Err("a declaration lacks its name".into());
    }
    // `x<3>` declares `x0`, `x1` and `x2` (5.4.6).
    let copies = if cursor.eat(b'<') { Some(number(cursor)?) } else { None };
    if copies.is_some() && !cursor.eat(b'>') || copies.is_some_and(|copies| copies > MOST_COPIES) {
        return Err(format!("the number of variables `{name}` is malformed or too large"));
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
        // PTX ISA 5.4.4.
        if !matches!(space, Space::Global | Space::Const) {
            return Err(format!("`{name}` lies in `.{space}`, which has no initial values"));
        }
        cursor.skip_space();
        initialiser = Some(cursor.at as u32);
        if open {
            count = elements(&mut cursor.clone(), 0)?.len() as u64;
            open = false;
        }
        skip_initialiser(cursor)?;
    }
    let natural = head.ty.size() * head.lanes as u32;
    let align = head.align.unwrap_or(natural).max(1);
    let variable = Variable {
        name: name.into(),
        space,
        linkage,
        ty: head.ty,
        align,
        count: if open { 0 } else { count },
        array,
        initialiser,
        pointer: head.pointer,
        managed: head.managed,
    };
    let most = if space == Space::Param { MOST_PARAMETER_BYTES } else { MOST_BYTES };
    if variable.size() > most || !align.is_power_of_two() || align > MOST_ALIGNMENT {
        let size = variable.size();
        return Err(format!("`{name}` can't have {size} bytes that are aligned to {align}"));
    }
    match copies {
        None => out.push(variable),
        Some(copies) => {
            let copy = |index| Variable { name: format!("{name}{index}").into(), ..variable.clone() };
            out.extend((0..copies).map(copy));
        }
    }
    Ok(())
}

fn skip_initialiser(cursor: &mut Cursor<'_>) -> Result<(), String> {
    if cursor.peek() == b'{' {
        return if cursor.skip_braces() { Ok(()) } else { Err("an initialiser lacks `}`".into()) };
    }
    element(cursor).map(|_| ())
}
