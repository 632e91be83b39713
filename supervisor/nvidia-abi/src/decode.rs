//! An ioctl as a line of text.
//!
//! Its name, the name of the control or class, what its structs said; behind an arrow what the module changed in them;
//! the status. What is zero is left out, and of a union the first member is shown.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use nix::errno::Errno;

use crate::row::{Field, Form, Kind, Row};
use crate::{Abi, escape};

/// Most runs of equal elements of an array that are shown.
const RUNS: usize = 8;
/// Most bytes of an array of bytes that are shown.
const BYTES: usize = 32;

/// An ioctl on one of NVIDIA's nodes, with what it read and wrote.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The path of the node.
    pub node: &'a str,
    /// The request, the ioctl's second argument.
    pub request: u32,
    /// What it failed with, or 0.
    pub errno: i32,
    /// The argument's struct before the call.
    pub before: &'a [u8],
    /// And after it.
    pub after: &'a [u8],
    /// The parameters of a control or an allocation before the call; empty if there are none.
    pub parameters_before: &'a [u8],
    /// And after it.
    pub parameters_after: &'a [u8],
    /// Buffers that the parameters point to, as far as they are known.
    pub behind: &'a [Behind<'a>],
}

/// A buffer that a pointer in parameters leads to.
#[derive(Clone, Copy, Debug)]
pub struct Behind<'a> {
    /// Where in the parameters the pointer lies.
    pub at: usize,
    /// The buffer before the call.
    pub before: &'a [u8],
    /// And after it.
    pub after: &'a [u8],
}

impl Call<'_> {
    /// It went to `/dev/nvidia-uvm`, whose requests are plain numbers.
    pub fn is_uvm(&self) -> bool {
        self.node.starts_with("/dev/nvidia-uvm")
    }

    /// What chooses the row: all of a UVM request, else the lowest byte. The kernel module ignores type and direction.
    pub fn number(&self) -> u32 {
        if self.is_uvm() { self.request } else { self.request & 0xff }
    }

    /// Bytes of the argument that the request promises; UVM's promise none.
    pub fn promised_size(&self) -> Option<usize> {
        (!self.is_uvm()).then_some((self.request >> 16 & 0x3fff) as usize)
    }
}

impl Abi {
    /// The call as a line of text.
    pub fn line(&self, call: &Call<'_>) -> String {
        Line { abi: self, call }.to_string()
    }

    /// The row of a call's struct, if there is one for its number and, except for UVM, its size.
    pub fn of_call(&self, call: &Call<'_>) -> Option<&Row> {
        match call.promised_size() {
            Some(size) => self.escape_of_size(call.number(), size),
            None => self.uvm(call.number()),
        }
    }

    /// The control or class that a call is about, and its row if it is known.
    pub fn of_parameters(&self, call: &Call<'_>) -> Option<(u32, Option<&Row>)> {
        let field = |name| self.of_call(call)?.read(call.before, name).map(|number| number as u32);
        match call.number() {
            _ if call.is_uvm() => None,
            escape::NV_ESC_RM_CONTROL => field("cmd").map(|number| (number, self.control(number))),
            escape::NV_ESC_RM_ALLOC => field("hClass").map(|number| (number, self.class(number))),
            _ => None,
        }
    }
}

struct Line<'a> {
    abi: &'a Abi,
    call: &'a Call<'a>,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let Self { abi, call } = *self;
        let Some(outer) = abi.of_call(call) else {
            return write!(
                f,
                "{} {:#x}: no such ioctl in {}{}",
                call.node,
                call.request,
                abi.version(),
                Failure(call)
            );
        };
        write!(f, "{}", outer.name.unwrap_or("?"))?;
        let parameters = abi.of_parameters(call);
        if let Some((number, row)) = parameters {
            match row.and_then(|row| row.name) {
                Some(name) => write!(f, " {name}")?,
                None => write!(f, " {number:#x}")?,
            }
        }
        let mut told = Told::default();
        let shown = |field: &Field| !is_told_otherwise(outer, field, parameters.is_some());
        told.compare(abi, outer, call.before, call.after, shown);
        if let Some((_, row)) = parameters {
            told.parameters(abi, row, call.parameters_before, call.parameters_after);
            for buffer in call.behind {
                told.buffer(row, buffer);
            }
        }
        for text in told.said {
            write!(f, " {text}")?;
        }
        if !told.answered.is_empty() {
            write!(f, " → {}", told.answered.join(" "))?;
        }
        let status = outer.fields().iter().find(|field| field.form == Form::Status);
        if let Some(code) = status.and_then(|field| field.read(call.after, 0)) {
            write!(f, " status={}", Status(abi, code as u32))?;
        }
        write!(f, "{}", Failure(call))
    }
}

/// A field of a call's struct that the rest of the line says.
fn is_told_otherwise(outer: &Row, field: &Field, has_parameters: bool) -> bool {
    let of_parameters = ["cmd", "hClass", "params", "pAllocParms", "paramsSize"].contains(&field.name);
    has_parameters && of_parameters
        || outer.fields().iter().find(|other| other.form == Form::Status) == Some(field)
}

/// What the two sides of the arrow say.
#[derive(Default)]
struct Told {
    said: Vec<String>,
    answered: Vec<String>,
}

impl Told {
    /// By their fields, or if those are not known by how many bytes there are and how many have changed.
    fn parameters(&mut self, abi: &Abi, row: Option<&Row>, before: &[u8], after: &[u8]) {
        if let Some(row) = row.filter(|row| !row.fields().is_empty()) {
            self.compare(abi, row, before, after, |_| true);
        } else if !before.is_empty() {
            self.said.push(format!("bytes={}", before.len()));
            let changed = before.iter().zip(after).filter(|(before, after)| before != after).count();
            self.answered.extend((changed > 0).then(|| format!("changed={changed}")));
        }
    }

    /// A buffer behind a pointer, named by it.
    fn buffer(&mut self, row: Option<&Row>, buffer: &Behind<'_>) {
        let pointers = row.into_iter().flat_map(Row::pointers);
        let (name, element) = pointers.into_iter().find(|(field, _)| field.offset == buffer.at).map_or_else(
            || (format!("[{}]", buffer.at), 1),
            |(field, pointee)| (field.name.to_owned(), pointee.map_or(1, |pointee| pointee.element)),
        );
        let text = |bytes: &[u8]| elements(bytes, element).map(|value| format!("*{name}={value}"));
        let (old, new) = (text(buffer.before), text(buffer.after));
        if old != new {
            self.answered.push(new.unwrap_or_else(|| format!("*{name}=0")));
        }
        self.said.extend(old);
    }

    fn compare(&mut self, abi: &Abi, row: &Row, before: &[u8], after: &[u8], shown: impl Fn(&Field) -> bool) {
        let elements = if row.many { before.len() / row.size } else { 1 };
        for element in 0..elements {
            let prefix = if row.many { format!("[{element}].") } else { String::new() };
            let part = |bytes| slice(bytes, element * row.size..(element + 1) * row.size);
            let mut end = 0;
            for field in row.fields().iter().filter(|field| shown(field)) {
                // A further member of a union begins where an earlier one lies.
                if field.offset < end && !matches!(field.form, Form::Bits(..)) {
                    continue;
                }
                end = end.max(field.end());
                let text = |bytes| {
                    value(abi, row, field, part(bytes)).map(|value| format!("{prefix}{}={value}", field.name))
                };
                let (old, new) = (text(before), text(after));
                if old != new {
                    self.answered.push(new.unwrap_or_else(|| format!("{prefix}{}=0", field.name)));
                }
                self.said.extend(old);
            }
        }
    }
}

fn slice(bytes: &[u8], range: Range<usize>) -> &[u8] {
    bytes.get(range.start..range.end.min(bytes.len())).unwrap_or_default()
}

/// A field's value as text; none if it is zero throughout, or lies behind the bytes.
fn value(abi: &Abi, row: &Row, field: &Field, bytes: &[u8]) -> Option<String> {
    let values: Vec<u64> = (0..field.len()).map_while(|index| field.read(bytes, index)).collect();
    let used = values.iter().rposition(|value| *value != 0)? + 1;
    if field.width() == 1 && field.form != Form::Bool && !field.dimensions.is_empty() {
        let bytes: Vec<u8> = values.iter().map(|value| *value as u8).collect();
        return Some(text(&bytes).unwrap_or_else(|| digits(&bytes[..used])));
    }
    let name = |value| match row.kind {
        Kind::Control if field.name == "classList" => abi.class(value as u32)?.name,
        Kind::Control => abi.index(row.number, field.name, value as u32),
        _ => None,
    };
    let show = |value| name(value).map_or_else(|| scalar(abi, field.form, value), str::to_owned);
    Some(if field.dimensions.is_empty() { show(values[0]) } else { list(&values[..used], show) })
}

/// What a pointer leads to, by the size of its elements; none if it is zero throughout.
fn elements(bytes: &[u8], size: usize) -> Option<String> {
    let used = bytes.iter().rposition(|byte| *byte != 0)? + 1;
    let words =
        |bytes: &[u8]| bytes.as_chunks().0.iter().copied().map(u32::from_le_bytes).collect::<Vec<_>>();
    let used_elements = &bytes[..used.next_multiple_of(size).min(bytes.len())];
    match size {
        4 => Some(list(&words(used_elements), |word| plain(word.into()))),
        // Every list of such elements is of indices and answers.
        8 => Some(list(words(used_elements).as_chunks().0, |[index, answer]| {
            format!("{}:{}", plain(index.into()), plain(answer.into()))
        })),
        _ => Some(text(bytes).unwrap_or_else(|| digits(&bytes[..used]))),
    }
}

fn list<T: Copy + PartialEq>(values: &[T], show: impl Fn(T) -> String) -> String {
    let runs: Vec<_> = values.chunk_by(|one, next| one == next).collect();
    let mut shown: Vec<_> = runs.iter().take(RUNS).map(|run| repeated(show(run[0]), run.len())).collect();
    if runs.len() > RUNS {
        shown.push("…".into());
    }
    format!("[{}]", shown.join(", "))
}

fn repeated(value: String, times: usize) -> String {
    if times > 1 { format!("{value} ×{times}") } else { value }
}

fn scalar(abi: &Abi, form: Form, value: u64) -> String {
    match form {
        Form::Status => Status(abi, value as u32).to_string(),
        Form::Signed(_) | Form::Descriptor(4) => {
            let value = if form == Form::Descriptor(4) { i64::from(value as i32) } else { value as i64 };
            value.to_string()
        }
        Form::Handle | Form::Pointer(_) => format!("{value:#x}"),
        _ => plain(value),
    }
}

/// Small numbers count something; large ones are masks, addresses and names.
fn plain(value: u64) -> String {
    if value < 4096 { value.to_string() } else { format!("{value:#x}") }
}

/// Bytes that are text, with nothing behind its end.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let is_text = end > 1 && bytes[..end].iter().all(|byte| (b' '..=b'~').contains(byte));
    (is_text && bytes[end..].iter().all(|byte| *byte == 0))
        .then(|| format!("{:?}", String::from_utf8_lossy(&bytes[..end])))
}

fn digits(bytes: &[u8]) -> String {
    let shown: String = bytes.iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > BYTES { shown + "…" } else { shown }
}

struct Status<'a>(&'a Abi, u32);

impl Display for Status<'_> {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self.0.status(self.1) {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}", self.1),
        }
    }
}

/// The end of a line about a call that the kernel refused.
struct Failure<'a>(&'a Call<'a>);

impl Display for Failure<'_> {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self.0.errno {
            0 => Ok(()),
            errno => write!(f, " = {:?}", Errno::from_raw(errno)),
        }
    }
}
