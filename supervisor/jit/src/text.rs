//! LLVM IR as text: temporaries, types, constants and declarations of intrinsics.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use crate::kind::LANES;

/// A function's text while it is written.
pub(crate) struct Text {
    /// Lanes of a vector: those of a warp, or the first few of them.
    pub lanes: usize,
    lines: String,
    temporaries: u32,
    labels: u32,
    declarations: BTreeMap<String, String>,
}

/// A type of so many bits, of one value or of one for each of some lanes.
pub(crate) fn integer(bits: u32, wide: bool, lanes: usize) -> String {
    if wide { format!("<{lanes} x i{bits}>") } else { format!("i{bits}") }
}

/// How an intrinsic's name spells a type.
fn suffix(ty: &str) -> String {
    let inner = |name: &str| match name.trim() {
        "half" => "f16".to_string(),
        "float" => "f32".to_string(),
        "double" => "f64".to_string(),
        "ptr" => "p0".to_string(),
        other => other.to_string(),
    };
    match ty.trim_matches(['<', '>']).split_once(" x ") {
        Some((count, element)) => format!("v{count}{}", inner(element)),
        None => inner(ty),
    }
}

/// A constant of so many bits; of more than 64, one that is not negative.
pub(crate) fn constant(bits: u32, wide: bool, value: u64) -> String {
    let value = if bits < 64 { value & ((1 << bits) - 1) } else { value };
    // Printed with a sign, as LLVM does: an unsigned number with the highest bit set would be out of range.
    let shift = 64u32.saturating_sub(bits);
    let signed = ((value << shift) as i64) >> shift;
    if wide { format!("splat (i{bits} {signed})") } else { signed.to_string() }
}

/// A constant of another value for each lane.
pub(crate) fn constants(bits: u32, values: impl Iterator<Item = i64>) -> String {
    let shift = 64 - bits;
    let list: Vec<String> = values.map(|value| format!("i{bits} {}", (value << shift) >> shift)).collect();
    format!("<{}>", list.join(", "))
}

impl Default for Text {
    fn default() -> Text {
        Text { lanes: LANES, lines: String::new(), temporaries: 0, labels: 0, declarations: BTreeMap::new() }
    }
}

impl Text {
    /// A type of so many bits, of one value or of one per lane.
    pub fn integer(&self, bits: u32, wide: bool) -> String {
        integer(bits, wide, self.lanes)
    }

    /// A floating-point type.
    pub fn float(&self, bits: u32, wide: bool) -> String {
        let name = match bits {
            16 => "half",
            32 => "float",
            _ => "double",
        };
        let lanes = self.lanes;
        if wide { format!("<{lanes} x {name}>") } else { name.into() }
    }

    /// How much there is.
    pub fn mark(&self) -> usize {
        self.lines.len()
    }

    /// Takes away what has been written since a mark.
    pub fn back_to(&mut self, mark: usize) {
        self.lines.truncate(mark);
    }

    /// A line.
    pub fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.lines, "  {text}");
    }

    /// A value with a name of its own.
    pub fn value(&mut self, text: impl Display) -> String {
        self.temporaries += 1;
        let name = format!("%t{}", self.temporaries);
        let _ = writeln!(self.lines, "  {name} = {text}");
        name
    }

    /// A name for a block.
    pub fn label(&mut self) -> String {
        self.labels += 1;
        format!("l{}", self.labels)
    }

    /// Begins a block.
    pub fn begin(&mut self, label: &str) {
        let _ = writeln!(self.lines, "{label}:");
    }

    /// Elements of two vectors of a type, by their places in the two side by side; `None`: any.
    pub fn shuffle(
        &mut self,
        ty: &str,
        first: &str,
        second: &str,
        places: impl Iterator<Item = Option<usize>>,
    ) -> String {
        let list: Vec<String> =
            places.map(|place| place.map_or("i32 poison".into(), |place| format!("i32 {place}"))).collect();
        let (count, list) = (list.len(), list.join(", "));
        self.value(format!("shufflevector {ty} {first}, {ty} {second}, <{count} x i32> <{list}>"))
    }

    /// Vectors of so many elements, a power of two of them, as one.
    pub fn joined(&mut self, mut parts: Vec<String>, mut length: usize, bits: u32) -> String {
        while parts.len() > 1 {
            let ty = format!("<{length} x i{bits}>");
            length *= 2;
            let join = |pair: &[String]| self.shuffle(&ty, &pair[0], &pair[1], (0..length).map(Some));
            parts = parts.chunks(2).map(join).collect();
        }
        parts.remove(0)
    }

    /// Calls an intrinsic whose name ends in its type: `llvm.fma` of `float` is `llvm.fma.f32`.
    pub fn intrinsic(&mut self, name: &str, ty: &str, arguments: &[String]) -> String {
        let name = format!("llvm.{name}.{}", suffix(ty));
        let typed: Vec<(&str, &str)> = arguments.iter().map(|argument| (ty, argument.as_str())).collect();
        self.call(&name, ty, &typed)
    }

    /// An intrinsic whose name ends in two types.
    pub fn converting(&mut self, name: &str, to: &str, from: &str, argument: &str) -> String {
        let name = format!("llvm.{name}.{}.{}", suffix(to), suffix(from));
        self.call(&name, to, &[(from, argument)])
    }

    /// Calls a function of this name, with types and arguments.
    pub fn call(&mut self, name: &str, result: &str, arguments: &[(&str, &str)]) -> String {
        self.declare(name, result, arguments);
        let list: Vec<String> = arguments.iter().map(|(ty, value)| format!("{ty} {value}")).collect();
        self.value(format!("call {result} @{name}({})", list.join(", ")))
    }

    /// Calls a function without a result.
    pub fn perform(&mut self, name: &str, arguments: &[(&str, &str)]) {
        self.declare(name, "void", arguments);
        let list: Vec<String> = arguments.iter().map(|(ty, value)| format!("{ty} {value}")).collect();
        self.line(format!("call void @{name}({})", list.join(", ")));
    }

    fn declare(&mut self, name: &str, result: &str, arguments: &[(&str, &str)]) {
        let types: Vec<&str> = arguments.iter().map(|(ty, _)| *ty).collect();
        let text = format!("declare {result} @{name}({})", types.join(", "));
        self.declarations.entry(name.into()).or_insert(text);
    }

    /// What has been written since the last call.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.lines)
    }

    /// What was taken, in front of what has been written since.
    pub fn put_before(&mut self, mut taken: String) {
        std::mem::swap(&mut self.lines, &mut taken);
        self.lines += &taken;
    }

    /// Declarations of all that was called.
    pub fn declarations(&self) -> String {
        self.declarations.values().map(|text| format!("{text}\n")).collect()
    }
}
