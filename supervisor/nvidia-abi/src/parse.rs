//! The tables' text. [`crate`] says what it looks like; what is not so is a mistake in a file of ours, and a panic.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::row::{Access, Count, Field, Form, Kept, Kind, Node, Place, Pointee, Row};

/// What the tables say of one release; `build.rs` has taken them apart.
pub(crate) struct Release {
    pub version: &'static str,
    pub parent: Option<&'static str>,
    /// Rows that its parent does not have so, and `no` for those it has and this one has not.
    pub lines: &'static [&'static str],
}

/// What a line is about.
pub(crate) type Key = (Kind, u32);

/// Lets a line change what was inherited.
pub(crate) fn apply(lines: &mut HashMap<Key, &'static str>, line: &'static str) {
    if let Some(key) = line.strip_prefix("no ") {
        let removed = lines.remove(&key_of(key).0);
        assert!(removed.is_some(), "{line}: there is none to take away");
    } else {
        let (key, rest) = key_of(line);
        lines.insert(key, rest);
    }
}

/// The key at a line's start, and the rest.
fn key_of(line: &'static str) -> (Key, &'static str) {
    let (kind, rest) = word(line);
    let kind = match kind {
        "escape" => Kind::Escape,
        "form" => Kind::Form,
        "uvm" => Kind::Uvm,
        "class" => Kind::Class,
        "control" => Kind::Control,
        "page" => Kind::Page,
        "index" => Kind::Index,
        "status" => Kind::Status,
        other => panic!("{other}: no such kind of row"),
    };
    let (number, rest) = word(rest);
    ((kind, self::number(number)), rest)
}

/// The row of a key, from the rest of its line.
pub(crate) fn row((kind, number): Key, line: &'static str) -> Row {
    let (name, mut rest) = word(line);
    let mut next = || {
        let (word, behind) = word(rest);
        rest = behind;
        word
    };
    let name = (name != "?").then_some(name);
    let size = if matches!(kind, Kind::Status | Kind::Index) { 0 } else { self::number(next()) as usize };
    let is_escape = matches!(kind, Kind::Escape | Kind::Form);
    let many = is_escape && next() == "many";
    let node = is_escape.then(|| node(next()));
    let is_optional = kind == Kind::Class && next() == "optional";
    let access = matches!(kind, Kind::Class | Kind::Control).then(|| access(next()));
    let place = (kind == Kind::Class).then(|| place(next()));
    let (objects, kept) = if kind == Kind::Control { objects(next()) } else { Default::default() };
    Row {
        kind,
        number,
        name,
        size,
        many,
        node,
        is_optional,
        access,
        place,
        objects,
        kept,
        layout: rest,
        fields: OnceLock::new(),
    }
}

/// The first word, and what follows it.
fn word(text: &'static str) -> (&'static str, &'static str) {
    text.split_once(' ').unwrap_or((text, ""))
}

fn node(word: &str) -> Node {
    match word {
        "control" => Node::Control,
        "gpu" => Node::Gpu,
        "any" => Node::Any,
        other => panic!("{other}: no such node"),
    }
}

fn access(word: &str) -> Access {
    match word {
        "user" => Access::User,
        "nice" => Access::Nice,
        "admin" => Access::Admin,
        "none" => Access::NoHandler,
        "recorded" => Access::Recorded,
        other => panic!("{other}: nobody's access"),
    }
}

fn place(word: &'static str) -> Place {
    let (names, parents) = word.split_once('<').expect("parents follow");
    let mut names = names.split(':');
    let internal = names.next().expect("split has a first part");
    let any_parent = parents == "any";
    let parents = parents.split(',').filter(|parent| !parent.is_empty() && !any_parent).collect();
    Place { internal, also: names.collect(), parents, any_parent }
}

/// What takes a control, and when an answer is given again.
fn objects(word: &'static str) -> (Vec<&'static str>, Option<Kept>) {
    let (names, kept) = word.split_once('/').map_or((word, None), |(names, kept)| (names, Some(kept)));
    let kept = kept.map(|kept| match kept {
        "kept" => Kept::Always,
        "by-input" => Kept::ByInput,
        other => panic!("{other}: no way to keep answers"),
    });
    (names.split(',').filter(|name| *name != "-").collect(), kept)
}

/// `name[3*40][16]@offset:form`.
pub(crate) fn field(word: &'static str) -> Field {
    let (place, form) = word.split_once(':').expect("a form follows");
    let (shape, offset) = place.split_once('@').expect("an offset follows");
    let mut shape = shape.split('[');
    let name = shape.next().expect("split has a first part");
    let mut field =
        Field { name, offset: number(offset) as usize, form: self::form(form), dimensions: vec![] };
    let width = field.width();
    for dimension in shape {
        let dimension = dimension.strip_suffix(']').expect("a bracket closes");
        let (count, stride) =
            dimension.split_once('*').map_or((dimension, width), |(n, by)| (n, number(by) as usize));
        field.dimensions.push((number(count) as usize, stride));
    }
    field
}

fn form(text: &'static str) -> Form {
    if let Some(pointee) = text.strip_prefix("ptr>") {
        return Form::Pointer(Some(self::pointee(pointee)));
    }
    if let Some(bits) = text.strip_prefix("bits") {
        let (lowest, bits) = bits.split_once(':').expect("a lowest bit and how many");
        return Form::Bits(number(lowest) as u8, number(bits) as u8);
    }
    match text {
        "u8" => Form::Unsigned(1),
        "u16" => Form::Unsigned(2),
        "u32" => Form::Unsigned(4),
        "u64" => Form::Unsigned(8),
        "i8" => Form::Signed(1),
        "i16" => Form::Signed(2),
        "i32" => Form::Signed(4),
        "i64" => Form::Signed(8),
        "char" => Form::Character,
        "bool" => Form::Bool,
        "handle" => Form::Handle,
        "status" => Form::Status,
        "fd" => Form::Descriptor(4),
        "fd64" => Form::Descriptor(8),
        "ptr" => Form::Pointer(None),
        other => panic!("{other}: no such form of field"),
    }
}

/// `count*element:direction`.
fn pointee(text: &'static str) -> Pointee {
    let (extent, direction) = text.split_once(':').expect("a direction follows");
    let (count, element) = extent.rsplit_once('*').expect("an element's size follows");
    let count = match count.split_once('*') {
        Some((of, _)) => Count::Square(of),
        None if count == "class" => Count::OfClass,
        None if count.starts_with(|c: char| c.is_ascii_digit()) => Count::Fixed(number(count) as usize),
        None => Count::Field(count),
    };
    Pointee { count, element: number(element) as usize, read: direction != "out", written: direction != "in" }
}

fn number(text: &str) -> u32 {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.unwrap_or_else(|_| panic!("{text}: no number"))
}
