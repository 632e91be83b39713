//! Writes what was parsed as text again, for error messages and round trips.
//!
//! A body's scopes are flat by then, so names that several of them use are told apart by a number; nothing else changes:
//! parsing the text gives the same registers, variables, labels and instructions.

use crate::body::{Body, Instruction, Label, RegisterId};
use crate::constant::Constant;
use crate::module::{Function, Module};
use crate::operand::{AddressBase, Operand};
use crate::types::{Space, Type};
use crate::variable::{Element, Linkage, Variable};
use std::collections::HashSet;
use std::fmt::Write;

impl Body {
    /// The instruction as text, with its guard and `;`.
    pub fn print(&self, instruction: &Instruction) -> String {
        let mut out = String::new();
        Printer { body: self, names: None }.instruction(instruction, &mut out);
        out
    }
}

impl Module {
    /// The whole module as text; bodies that do not parse are an error.
    pub fn print(&self) -> Result<String, crate::ParseError> {
        let mut out = self.print_head();
        for variable in self.variables() {
            self.print_variable(variable, &mut out)?;
        }
        for function in self.functions() {
            print_header(function, &mut out);
            if function.is_defined() {
                let body = self.body(function)?;
                out.push_str(&self.print_body(&body)?);
            } else {
                out.push_str(";\n");
            }
        }
        for (name, function) in self.aliases() {
            let _ = writeln!(out, ".alias {name}, {function};");
        }
        Ok(out)
    }

    /// The directives that a module begins with.
    pub(crate) fn print_head(&self) -> String {
        let (major, minor) = self.version;
        let target =
            if self.target.is_empty() { String::new() } else { format!(".target {}\n", self.target) };
        format!(".version {major}.{minor}\n{target}.address_size {}\n", self.address_size)
    }

    pub(crate) fn print_variable(
        &self,
        variable: &Variable,
        out: &mut String,
    ) -> Result<(), crate::ParseError> {
        print_linkage(variable.linkage, out);
        print_declaration(variable, &variable.name, out);
        if variable.ty.is_opaque() && variable.is_initialised() {
            let _ = write!(out, " = {}", self.initialiser_text(variable));
        } else if variable.is_initialised() {
            out.push_str(" = {");
            for (index, element) in self.initial_elements(variable)?.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                print_element(element, out);
            }
            out.push('}');
        }
        out.push_str(";\n");
        Ok(())
    }

    /// A body as text, with declarations first and labels in place.
    pub fn print_body(&self, body: &Body) -> Result<String, crate::ParseError> {
        let names = Names::of(body);
        let mut out = String::from("{\n");
        for (range, name) in body.registers.iter().zip(&names.registers).skip(body.header_registers) {
            let count = range.count.map_or(String::new(), |count| format!("<{count}>"));
            let _ = writeln!(out, "\t.reg .{} {name}{count};", range.ty);
        }
        for (variable, name) in body.variables.iter().zip(&names.variables).skip(body.header_variables) {
            out.push('\t');
            self.print_variable(&Variable { name: name.as_str().into(), ..variable.clone() }, &mut out)?;
        }
        let printer = Printer { body, names: Some(&names) };
        printer.lists(&mut out);
        for (index, instruction) in body.instructions.iter().enumerate() {
            printer.labels(index, &mut out);
            out.push('\t');
            printer.instruction(instruction, &mut out);
            out.push('\n');
        }
        printer.labels(body.instructions.len(), &mut out);
        out.push_str("}\n");
        Ok(out)
    }

    /// Prints a body, parses it again, and says what differs.
    pub fn round_trip(&self, function: &Function, body: &Body) -> Result<(), String> {
        let text = self.print_body(body).map_err(|error| error.to_string())?;
        let mut module = self.print_head();
        print_header(function, &mut module);
        module.push_str(&text);
        let again = Module::parse(module).map_err(|error| format!("printed, it does not parse: {error}"))?;
        let other = again.function_named(&function.name).ok_or("printed, it has no such function")?;
        if !function.same_header(other) {
            return Err(format!("printed, its header differs: {}", module_head(function)));
        }
        let parsed = again.body(other).map_err(|error| format!("printed, it does not parse: {error}"))?;
        body.difference(&parsed).map_or(Ok(()), Err)
    }
}

/// The header of a function, up to its body or `;`.
pub(crate) fn print_header(function: &Function, out: &mut String) {
    print_linkage(function.linkage, out);
    out.push_str(if function.entry { ".entry " } else { ".func " });
    if !function.results.is_empty() {
        print_parameters(&function.results, out);
        out.push(' ');
    }
    out.push_str(&function.name);
    print_parameters(&function.parameters, out);
    let triple = |size: [u32; 3]| format!("{}, {}, {}", size[0], size[1], size[2]);
    let directives = [
        function.max_threads.map(|size| format!(".maxntid {}", triple(size))),
        function.required_threads.map(|size| format!(".reqntid {}", triple(size))),
        function.min_blocks.map(|count| format!(".minnctapersm {count}")),
        function.max_registers.map(|count| format!(".maxnreg {count}")),
        function.required_cluster.map(|size| format!(".reqnctapercluster {}", triple(size))),
        function.max_cluster_rank.map(|count| format!(".maxclusterrank {count}")),
        function.explicit_cluster.then(|| ".explicitcluster".into()),
        function.no_return.then(|| ".noreturn".into()),
    ];
    for directive in directives.into_iter().flatten() {
        let _ = write!(out, " {directive}");
    }
    out.push('\n');
}

fn print_parameters(list: &[Variable], out: &mut String) {
    out.push('(');
    for (index, variable) in list.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        print_declaration(variable, &variable.name, out);
    }
    out.push(')');
}

fn print_linkage(linkage: Linkage, out: &mut String) {
    out.push_str(match linkage {
        Linkage::Internal => "",
        Linkage::Extern => ".extern ",
        Linkage::Visible => ".visible ",
        Linkage::Weak => ".weak ",
        Linkage::Common => ".common ",
    });
}

fn print_declaration(variable: &Variable, name: &str, out: &mut String) {
    let _ = write!(out, ".{} ", variable.space);
    if variable.managed {
        out.push_str(".attribute(.managed) ");
    }
    if variable.align != variable.ty.size() && variable.space != Space::Reg {
        let _ = write!(out, ".align {} ", variable.align);
    }
    let _ = write!(out, ".{} ", variable.ty);
    if variable.pointer {
        out.push_str(".ptr ");
    }
    out.push_str(name);
    match variable.count {
        0 => out.push_str("[]"),
        1 if !variable.array => {}
        count => {
            let _ = write!(out, "[{count}]");
        }
    }
}

fn print_element(element: &Element, out: &mut String) {
    match element {
        Element::Constant(constant) => print_constant(*constant, out),
        Element::Address { symbol, offset, generic, mask } => {
            let mut address = if *generic { format!("generic({symbol})") } else { symbol.clone() };
            print_offset(*offset, &mut address);
            let _ = match mask {
                Some(mask) => write!(out, "{mask}({address})"),
                None => write!(out, "{address}"),
            };
        }
    }
}

/// Names that are unique within a body.
struct Names {
    registers: Vec<String>,
    variables: Vec<String>,
    labels: Vec<String>,
}

impl Names {
    fn of(body: &Body) -> Names {
        let mut taken = Taken::default();
        // A name that the body uses for something of the module is not a local one's.
        for operand in body.instructions.iter().flat_map(|it| &it.operands) {
            operand.symbols(&mut |symbol| taken.add(symbol, false));
        }
        let mut registers = Vec::new();
        for (index, range) in body.registers.iter().enumerate() {
            let keeps = index < body.header_registers;
            registers.push(taken.name(&range.name, range.count.is_some(), keeps, &format!("_r{index}_")));
        }
        let mut variables = Vec::new();
        for (index, variable) in body.variables.iter().enumerate() {
            let keeps = index < body.header_variables;
            variables.push(taken.name(&variable.name, false, keeps, &format!("_v{index}_")));
        }
        let label =
            |(index, label): (usize, &Label)| taken.name(&label.name, false, false, &format!("_l{index}_"));
        let labels = body.labels.iter().enumerate().map(label).collect();
        Names { registers, variables, labels }
    }
}

/// Names in use.
#[derive(Default)]
struct Taken {
    names: HashSet<String>,
    /// What stands before the digits of names, and of ranges: `%r` of `%r<5>` takes `%r3` as well.
    stems: HashSet<String>,
    ranges: HashSet<String>,
}

impl Taken {
    /// The name itself where it is free or has to be kept, else one with the suffix.
    fn name(&mut self, name: &str, range: bool, keeps: bool, suffix: &str) -> String {
        let name = name.replace('.', "_");
        let stem = stem(&name);
        let clashes = self.ranges.contains(stem)
            || if range { self.stems.contains(stem) } else { self.names.contains(&name) };
        let name = if clashes && !keeps { format!("{stem}{suffix}") } else { name };
        self.add(&name, range);
        name
    }

    fn add(&mut self, name: &str, range: bool) {
        self.names.insert(name.to_owned());
        self.stems.insert(stem(name).to_owned());
        if range {
            self.ranges.insert(stem(name).to_owned());
        }
    }
}

fn stem(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit())
}

impl Operand {
    /// Calls `found` for each name of the module in it.
    fn symbols(&self, found: &mut dyn FnMut(&str)) {
        match self {
            Operand::Symbol(name, _) => found(name),
            Operand::Vector(list) | Operand::List(list) | Operand::Texel(list, _) => {
                list.iter().for_each(|operand| operand.symbols(found));
            }
            Operand::Address { base, extra, .. } => {
                if let AddressBase::Global(name) = base {
                    found(name);
                }
                extra.iter().for_each(|operand| operand.symbols(found));
            }
            _ => {}
        }
    }
}

/// Writes parts of a body, with its own names or with unique ones.
struct Printer<'b> {
    body: &'b Body,
    names: Option<&'b Names>,
}

impl Printer<'_> {
    fn instruction(&self, instruction: &Instruction, out: &mut String) {
        if let Some((register, negated)) = instruction.guard {
            let _ = write!(out, "@{}{} ", if negated { "!" } else { "" }, self.register(register));
        }
        out.push_str(&self.body.mnemonic(instruction).text);
        for (index, operand) in instruction.operands.iter().enumerate() {
            out.push_str(if index == 0 { " " } else { ", " });
            self.operand(operand, out);
        }
        out.push(';');
    }

    /// `.branchtargets`, `.calltargets` and `.callprototype`.
    fn lists(&self, out: &mut String) {
        for (name, labels) in &self.body.branch_targets {
            let labels: Vec<String> = labels.iter().map(|label| self.label(*label)).collect();
            let _ = writeln!(out, "{name}: .branchtargets {};", labels.join(", "));
        }
        for (name, functions) in &self.body.call_targets {
            let _ = writeln!(out, "{name}: .calltargets {};", functions.join(", "));
        }
        for (name, results, parameters) in &self.body.prototypes {
            let _ = write!(out, "{name}: .callprototype ");
            if !results.is_empty() {
                print_parameters(results, out);
                out.push(' ');
            }
            out.push('_');
            print_parameters(parameters, out);
            out.push_str(";\n");
        }
    }

    fn labels(&self, index: usize, out: &mut String) {
        let here = |label: &usize| self.body.labels[*label].target == Some(index as u32);
        for label in (0..self.body.labels.len()).filter(here) {
            let _ = writeln!(out, "{}:", self.label(label as u32));
        }
    }

    fn label(&self, label: u32) -> String {
        match self.names {
            Some(names) => names.labels[label as usize].clone(),
            None => self.body.labels[label as usize].name.to_string(),
        }
    }

    fn variable(&self, variable: u32) -> &str {
        match self.names {
            Some(names) => &names.variables[variable as usize],
            None => &self.body.variables[variable as usize].name,
        }
    }

    fn register(&self, register: RegisterId) -> String {
        let Some(names) = self.names else { return self.body.register_name(register) };
        let index = self.body.register_range_index(register);
        let range = &self.body.registers[index];
        match range.count {
            Some(_) => format!("{}{}", names.registers[index], register - range.first),
            None => names.registers[index].clone(),
        }
    }

    fn operand(&self, operand: &Operand, out: &mut String) {
        let name = |register: &Option<RegisterId>| {
            register.map_or("_".to_string(), |register| self.register(register))
        };
        match operand {
            Operand::Register(register) => out.push_str(&self.register(*register)),
            Operand::NotRegister(register) => out.push_str(&format!("!{}", self.register(*register))),
            Operand::Pair(first, second) => out.push_str(&format!("{}|{}", name(first), name(second))),
            Operand::Sink => out.push('_'),
            Operand::Constant(constant) => print_constant(*constant, out),
            Operand::Special(special) => out.push_str(&format!("%{}", special.name())),
            Operand::Part(register, part) => out.push_str(&format!("{}.{part}", self.register(*register))),
            Operand::Negated(operand) => {
                out.push('-');
                self.operand(operand, out);
            }
            Operand::Vector(list) => self.list(list, "{", "}", out),
            Operand::Texel(list, resident) => {
                self.list(list, "{", "}", out);
                let _ = write!(out, "|{}", name(resident));
            }
            Operand::List(list) => self.list(list, "(", ")", out),
            Operand::Variable(variable, offset) => {
                out.push_str(self.variable(*variable));
                print_offset(*offset, out);
            }
            Operand::Symbol(symbol, offset) => {
                out.push_str(symbol);
                print_offset(*offset, out);
            }
            Operand::Label(label) => out.push_str(&self.label(*label)),
            Operand::Address { base, offset, extra } => {
                out.push('[');
                match base {
                    AddressBase::Register(register) => out.push_str(&self.register(*register)),
                    AddressBase::Variable(variable) => out.push_str(self.variable(*variable)),
                    AddressBase::Global(symbol) => out.push_str(symbol),
                    AddressBase::Absolute(value) => out.push_str(&value.to_string()),
                }
                print_offset(*offset, out);
                for operand in extra {
                    out.push_str(", ");
                    self.operand(operand, out);
                }
                out.push(']');
            }
        }
    }

    fn list(&self, list: &[Operand], open: &str, close: &str, out: &mut String) {
        out.push_str(open);
        for (index, operand) in list.iter().enumerate() {
            if index != 0 {
                out.push_str(", ");
            }
            self.operand(operand, out);
        }
        out.push_str(close);
    }
}

fn print_offset(offset: i64, out: &mut String) {
    if offset != 0 {
        let _ = write!(out, "+{offset}");
    }
}

fn print_constant(constant: Constant, out: &mut String) {
    let _ = match constant {
        Constant::Integer(value) => write!(out, "{}", value as i64),
        Constant::F32(bits) => write!(out, "0f{bits:08X}"),
        Constant::F64(bits) => write!(out, "0d{bits:016X}"),
    };
}

/// What two bodies differ in, apart from names and places in the text.
impl Body {
    /// The first difference, as a sentence.
    pub fn difference(&self, other: &Body) -> Option<String> {
        let registers = |body: &Body| -> Vec<(Type, u32, Option<u32>)> {
            body.registers.iter().map(|range| (range.ty, range.first, range.count)).collect()
        };
        if registers(self) != registers(other) {
            return Some("the registers differ".into());
        }
        let same = |(mine, others): (&Variable, &Variable)| mine.same_but_name(others);
        let variables = self.variables.iter().zip(&other.variables).all(same);
        if !variables || self.variables.len() != other.variables.len() {
            return Some("the variables differ".into());
        }
        if self.instructions.len() != other.instructions.len() {
            return Some("the number of instructions differs".into());
        }
        let pairs = self.instructions.iter().zip(&other.instructions);
        let mut differing = pairs.filter(|(mine, others)| !self.same_instruction(other, mine, others));
        if let Some((mine, others)) = differing.next() {
            return Some(format!("`{}` became `{}`", self.print(mine), other.print(others)));
        }
        let targets = |body: &Body| -> Vec<(Box<str>, Vec<Option<u32>>)> {
            let target = |label: &u32| body.labels[*label as usize].target;
            let list =
                |(name, labels): &(Box<str>, Vec<u32>)| (name.clone(), labels.iter().map(target).collect());
            body.branch_targets.iter().map(list).collect()
        };
        let lists = targets(self) == targets(other) && self.call_targets == other.call_targets;
        (!lists || self.prototypes.len() != other.prototypes.len())
            .then(|| "the lists of targets differ".into())
    }

    fn same_instruction(&self, other: &Body, mine: &Instruction, others: &Instruction) -> bool {
        self.mnemonic(mine).text == other.mnemonic(others).text
            && mine.guard == others.guard
            && mine.operands.len() == others.operands.len()
            && mine.operands.iter().zip(&others.operands).all(|pair| match pair {
                // Labels are numbered as they are met, which may be in another order.
                (Operand::Label(mine), Operand::Label(others)) => {
                    self.labels[*mine as usize].target == other.labels[*others as usize].target
                }
                (mine, others) => mine == others,
            })
    }
}

/// A header as text, for messages.
fn module_head(function: &Function) -> String {
    let mut out = String::new();
    print_header(function, &mut out);
    out.trim_end().to_owned()
}
