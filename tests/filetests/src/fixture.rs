//! Reading the header comment of a fixture.

use std::collections::HashMap;

use crate::executor::Shape;
use crate::value::{Bound, Element, Kind};

/// A parsed file.
#[derive(Debug)]
pub struct Fixture {
    /// Named contents of buffers.
    pub data: HashMap<String, Vec<u8>>,
    /// What to run, in order.
    pub runs: Vec<Run>,
}

/// One launch and what to expect.
#[derive(Debug)]
pub struct Run {
    /// The kernel.
    pub kernel: String,
    /// Grid, block, shared memory; one thread where the fixture says nothing.
    pub shape: Shape,
    /// In the order of the kernel's parameters.
    pub arguments: Vec<Argument>,
    /// Expectations; at least one.
    pub checks: Vec<Check>,
}

/// An argument of a launch.
#[derive(Debug)]
pub enum Argument {
    /// A number, as its two's complement or as f64 bits cut to the parameter's size.
    Number(i128),
    /// A buffer by name.
    Buffer(String),
}

/// What a run has to leave behind.
#[derive(Debug)]
pub enum Check {
    /// A buffer holds these elements.
    Memory {
        /// The buffer's name.
        buffer: String,
        /// Type of its elements.
        kind: Kind,
        /// What they are to be.
        elements: Vec<Element>,
        /// How far off they may be.
        bound: Bound,
    },
    /// The kernel printed this.
    Printed(String),
    /// The launch ended with a fault whose text contains this.
    Fault(String),
}

impl Fixture {
    /// Reads the comments at the start of a file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut fixture = Self { data: HashMap::new(), runs: Vec::new() };
        for line in statements(text) {
            let context = |error| format!("`{}…`: {error}", line.chars().take(60).collect::<String>());
            if let Some(data) = line.strip_prefix("data: ") {
                let (name, value) = parse_data(data).map_err(context)?;
                fixture.data.insert(name, value);
            } else if let Some(run) = line.strip_prefix("run: ") {
                fixture.runs.push(Run::parse(run).map_err(context)?);
            }
        }
        if fixture.runs.is_empty() { Err("no `// run:` line".to_owned()) } else { Ok(fixture) }
    }
}

/// The comment lines before the code, continuation lines joined.
fn statements(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().map_while(|line| line.strip_prefix("//")) {
        match (line.strip_prefix("   "), lines.last_mut()) {
            (Some(more), Some(last)) => *last += &format!(" {more}"),
            _ => lines.push(line.trim().to_owned()),
        }
    }
    lines
}

fn parse_data(text: &str) -> Result<(String, Vec<u8>), String> {
    let (name, list) = text.split_once(" = ").ok_or("no ` = `")?;
    let (kind, elements) = parse_list(list)?;
    let mut bytes = Vec::new();
    elements.iter().for_each(|element| element.write(kind, &mut bytes));
    Ok((name.to_owned(), bytes))
}

/// `u32[1, 2, 0 x 30, 0..32]`: a repeated element and a range save typing.
fn parse_list(text: &str) -> Result<(Kind, Vec<Element>), String> {
    let (kind, list) = text.split_once('[').ok_or("no list")?;
    let list = list.strip_suffix(']').ok_or("no `]`")?;
    let kind = Kind::parse(kind)?;
    let mut elements = Vec::new();
    for item in list.split(',').map(str::trim) {
        if let Some((element, count)) = item.split_once(" x ") {
            let count = count.parse().map_err(|_| format!("`{count}` is no count"))?;
            elements.extend(std::iter::repeat_n(Element::parse(element, kind)?, count));
        } else if let Some((first, last)) = item.split_once("..") {
            let bound = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` ends no range"));
            elements.extend((bound(first)?..bound(last)?).map(Element::Bits));
        } else {
            elements.push(Element::parse(item, kind)?);
        }
    }
    Ok((kind, elements))
}

impl Run {
    fn parse(text: &str) -> Result<Self, String> {
        let (call, checks) = text.split_once(" -> ").ok_or("no ` -> `")?;
        let (head, arguments) = call.strip_suffix(')').and_then(|it| it.split_once('(')).ok_or("no `(…)`")?;
        let (kernel, shape) = head.split_once("<<<").unwrap_or((head, "1, 1, 0>>>"));
        let arguments = arguments.split(',').map(str::trim).filter(|it| !it.is_empty()).map(Argument::parse);
        Ok(Self {
            kernel: kernel.to_owned(),
            shape: parse_shape(shape.strip_suffix(">>>").ok_or("no `>>>`")?)?,
            arguments: arguments.collect(),
            checks: checks.split("; ").map(Check::parse).collect::<Result<_, _>>()?,
        })
    }
}

impl Argument {
    fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(number) => Argument::Number(number),
            Err(_) => Argument::Buffer(text.to_owned()),
        }
    }
}

/// `2x3, 32x4, 1024`.
fn parse_shape(text: &str) -> Result<Shape, String> {
    let mut parts = text.split(',').map(str::trim);
    let (grid, block) = (extent(parts.next())?, extent(parts.next())?);
    let shared = parts.next().map_or(Ok(0), str::parse).map_err(|_| "the third of `<<<…>>>` is no number")?;
    Ok(Shape { grid, block, shared, cooperative: false })
}

fn extent(text: Option<&str>) -> Result<[u32; 3], String> {
    let mut extent = [1; 3];
    for (axis, number) in extent.iter_mut().zip(text.unwrap_or("1").split('x')) {
        *axis = number.parse().map_err(|_| format!("`{number}` is no extent"))?;
    }
    Ok(extent)
}

impl Check {
    fn parse(text: &str) -> Result<Self, String> {
        let quoted = |text: &str| text.trim_matches('"').replace("\\n", "\n");
        if let Some(text) = text.strip_prefix("printed ") {
            return Ok(Check::Printed(quoted(text)));
        }
        if let Some(text) = text.strip_prefix("fault ") {
            return Ok(Check::Fault(quoted(text)));
        }
        let (buffer, expected) = text.split_once(" == ").ok_or("no ` == `")?;
        let (list, bound) = match expected.split_once(" within ") {
            Some((list, bound)) => (list, Bound::parse(bound)?),
            None => (expected, Bound::Exact),
        };
        let (kind, elements) = parse_list(list)?;
        Ok(Check::Memory { buffer: buffer.to_owned(), kind, elements, bound })
    }
}
