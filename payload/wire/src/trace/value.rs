//! Named values in a record: what an argument is, whatever its type.
//!
//! A record's text is the name of the thing, then values, each a name, a tag and what the tag says. A [`Writer`] makes it in a
//! place of fixed size, and leaves out what does not fit; a [`Reader`] reads any bytes without panicking.

use std::fmt;

use super::{Head, LONGEST};

/// Longest text of a value; more of it is cut.
pub const LONGEST_TEXT: usize = 120;
/// Most elements of a list.
pub const LONGEST_LIST: usize = 16;
/// How deep values may lie in values.
const DEEPEST: u32 = 4;

mod tag {
    pub const UNSIGNED: u8 = 1;
    pub const SIGNED: u8 = 2;
    pub const ADDRESS: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const TEXT: u8 = 5;
    pub const CUT_TEXT: u8 = 6;
    pub const FIELDS: u8 = 7;
    pub const OPAQUE: u8 = 8;
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Unsigned(u64),
    /// A number.
    Signed(i64),
    /// An address, or a handle.
    Address(u64),
    /// A number.
    Float(f64),
    /// A text; `true`: there is more of it.
    Text(String, bool),
    /// A structure's fields, or, without names, the elements of a list.
    Fields(Vec<Named>),
    /// Something that is not looked into.
    Opaque,
}

/// A value with the name of what has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Empty for an element of a list.
    pub name: String,
    /// What it is.
    pub value: Value,
}

/// Makes a record's bytes.
pub struct Writer {
    bytes: [u8; Writer::CAPACITY],
    used: usize,
    is_cut: bool,
}

impl Writer {
    const CAPACITY: usize = LONGEST - size_of::<Head>();

    /// Begins with these bytes.
    pub fn new(fixed: &[u8]) -> Writer {
        let mut writer = Writer { bytes: [0; Writer::CAPACITY], used: 0, is_cut: false };
        writer.put(&[fixed]);
        writer
    }

    /// All of it, or none. One byte is kept for the mark that something is missing.
    fn put(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if self.is_cut || self.used + length >= Writer::CAPACITY {
            self.is_cut = true;
            return;
        }
        for part in parts {
            self.bytes[self.used..self.used + part.len()].copy_from_slice(part);
            self.used += part.len();
        }
    }

    /// A name on its own.
    pub fn name(&mut self, name: &str) {
        let name = &name.as_bytes()[..name.len().min(255)];
        self.put(&[&[name.len() as u8], name]);
    }

    fn tagged(&mut self, name: &str, tag: u8, bytes: &[u8]) {
        let name = &name.as_bytes()[..name.len().min(255)];
        self.put(&[&[name.len() as u8], name, &[tag], bytes]);
    }

    /// A number.
    pub fn unsigned(&mut self, name: &str, number: u64) {
        self.tagged(name, tag::UNSIGNED, &number.to_ne_bytes());
    }

    /// A number.
    pub fn signed(&mut self, name: &str, number: i64) {
        self.tagged(name, tag::SIGNED, &number.to_ne_bytes());
    }

    /// An address or a handle.
    pub fn address(&mut self, name: &str, address: u64) {
        self.tagged(name, tag::ADDRESS, &address.to_ne_bytes());
    }

    /// A number.
    pub fn float(&mut self, name: &str, number: f64) {
        self.tagged(name, tag::FLOAT, &number.to_ne_bytes());
    }

    /// A text, or the beginning of one.
    pub fn text(&mut self, name: &str, text: &[u8]) {
        let kind = if text.len() > LONGEST_TEXT { tag::CUT_TEXT } else { tag::TEXT };
        let text = &text[..text.len().min(LONGEST_TEXT)];
        let name = &name.as_bytes()[..name.len().min(255)];
        self.put(&[&[name.len() as u8], name, &[kind, text.len() as u8], text]);
    }

    /// Something that is not looked into.
    pub fn opaque(&mut self, name: &str) {
        self.tagged(name, tag::OPAQUE, &[]);
    }

    /// A structure or a list: the next `count` values, without names if they are elements.
    pub fn fields(&mut self, name: &str, count: usize) {
        self.tagged(name, tag::FIELDS, &[count.min(255) as u8]);
    }

    /// A list of numbers.
    pub fn list(&mut self, name: &str, numbers: impl ExactSizeIterator<Item = u64>) {
        self.fields(name, numbers.len().min(LONGEST_LIST));
        numbers.take(LONGEST_LIST).for_each(|number| self.unsigned("", number));
    }

    /// What has been made.
    pub fn finish(&mut self) -> &[u8] {
        if self.is_cut {
            // `put` has left room for it: a name that its letters do not follow.
            self.bytes[self.used] = 255;
            self.used += 1;
        }
        &self.bytes[..self.used]
    }
}

/// Reads what a [`Writer`] has made, or anything.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Of a record's body behind its fixed part.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// The fixed part.
    pub fn fixed<T: bytemuck::Pod>(&mut self) -> Option<T> {
        self.take(size_of::<T>()).map(bytemuck::pod_read_unaligned)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A name on its own.
    pub fn name(&mut self) -> Option<String> {
        let [length] = *self.take(1)? else { return None };
        Some(String::from_utf8_lossy(self.take(length.into())?).into_owned())
    }

    /// All values that are left, and whether some are missing.
    pub fn values(mut self) -> (Vec<Named>, bool) {
        let mut values = Vec::new();
        while !self.0.is_empty() {
            match self.value(0) {
                Some(value) => values.push(value),
                None => return (values, true),
            }
        }
        (values, false)
    }

    fn value(&mut self, depth: u32) -> Option<Named> {
        let name = self.name()?;
        let [tag] = *self.take(1)? else { return None };
        let word = |reader: &mut Self| reader.take(8)?.try_into().ok().map(u64::from_ne_bytes);
        let value = match tag {
            tag::UNSIGNED => Value::Unsigned(word(self)?),
            tag::SIGNED => Value::Signed(word(self)? as i64),
            tag::ADDRESS => Value::Address(word(self)?),
            tag::FLOAT => Value::Float(f64::from_bits(word(self)?)),
            tag::TEXT | tag::CUT_TEXT => {
                let [length] = *self.take(1)? else { return None };
                let text = String::from_utf8_lossy(self.take(length.into())?).into_owned();
                Value::Text(text, tag == tag::CUT_TEXT)
            }
            tag::FIELDS if depth < DEEPEST => {
                let [count] = *self.take(1)? else { return None };
                Value::Fields((0..count).map_while(|_| self.value(depth + 1)).collect())
            }
            tag::OPAQUE => Value::Opaque,
            _ => return None,
        };
        Some(Named { name, value })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unsigned(number) => write!(out, "{number}"),
            Value::Signed(number) => write!(out, "{number}"),
            Value::Address(0) => write!(out, "NULL"),
            Value::Address(address) => write!(out, "{address:#x}"),
            Value::Float(number) => write!(out, "{number}"),
            Value::Text(text, is_cut) => write!(out, "{text:?}{}", if *is_cut { "…" } else { "" }),
            Value::Opaque => write!(out, "…"),
            Value::Fields(fields) => {
                let is_list = fields.iter().all(|field| field.name.is_empty());
                let (open, close) = if is_list { ('[', ']') } else { ('{', '}') };
                write!(out, "{open}")?;
                for (index, field) in fields.iter().enumerate() {
                    write!(out, "{}{field}", if index > 0 { ", " } else { "" })?;
                }
                write!(out, "{close}")
            }
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.name.is_empty() {
            write!(out, "{}: ", self.name)?;
        }
        self.value.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_were_written() {
        let mut writer = Writer::new(&7u64.to_ne_bytes());
        writer.name("cuThing");
        writer.unsigned("count", 3);
        writer.signed("device", -1);
        writer.address("place", 0x3000);
        writer.float("factor", 0.5);
        writer.text("name", b"saxpy");
        writer.text("long", &[b'x'; 300]);
        writer.fields("size", 2);
        writer.unsigned("x", 1);
        writer.unsigned("y", 2);
        writer.list("grid", [4, 5, 6].into_iter());
        writer.opaque("rest");
        let mut reader = Reader::new(writer.finish());
        assert_eq!(reader.fixed::<u64>(), Some(7));
        assert_eq!(reader.name().as_deref(), Some("cuThing"));
        let (values, is_cut) = reader.values();
        let text = values.iter().map(Named::to_string).collect::<Vec<_>>().join("; ");
        let long = "x".repeat(LONGEST_TEXT);
        let expected = format!(
            "count: 3; device: -1; place: 0x3000; factor: 0.5; name: \"saxpy\"; long: \"{long}\"…; \
             size: {{x: 1, y: 2}}; grid: [4, 5, 6]; rest: …"
        );
        assert_eq!((text, is_cut), (expected, false));
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_that_is_told() {
        let mut writer = Writer::new(&[]);
        (0..1000).for_each(|number| writer.unsigned("number", number));
        let bytes = writer.finish().to_vec();
        assert!(bytes.len() <= LONGEST - size_of::<Head>());
        let (values, is_cut) = Reader::new(&bytes).values();
        assert!(is_cut && values.len() > 200, "{}", values.len());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        let mut state = 1u32;
        for length in 0..2000 {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8 % 12
            };
            let bytes: Vec<u8> = (0..length % 60).map(|_| next()).collect();
            Reader::new(&bytes).values();
        }
    }
}
