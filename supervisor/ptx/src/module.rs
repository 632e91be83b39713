//! A module: its head, its variables and its functions, found without reading function bodies.

use crate::body::{Body, BodyParser};
use crate::cursor::{Cursor, place_of};
use crate::error::ParseError;
use crate::types::Space;
use crate::variable::{self, Element, Linkage, Variable};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// A device has 32,764 bytes of parameters; this keeps sums of sizes within 32 bits.
const MOST_PARAMETERS: usize = 1 << 11;

/// A module whose function bodies are parsed on demand.
#[derive(Clone, Debug)]
pub struct Module {
    text: Arc<str>,
    /// `.version`, such as (8, 4).
    pub version: (u32, u32),
    /// `.target`, such as `sm_61`.
    pub target: String,
    /// 32 or 64.
    pub address_size: u32,
    variables: Vec<Variable>,
    functions: Vec<Function>,
    /// `.alias`: name and function.
    aliases: Vec<(Box<str>, Box<str>)>,
    variable_index: HashMap<Box<str>, usize>,
    function_index: HashMap<Box<str>, usize>,
}

/// A kernel (`.entry`) or device function (`.func`).
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: Box<str>,
    /// Whether it is a kernel.
    pub entry: bool,
    /// How it is linked.
    pub linkage: Linkage,
    /// Return parameters; kernels have none.
    pub results: Vec<Variable>,
    /// Parameters in order.
    pub parameters: Vec<Variable>,
    /// `.maxntid`, if given.
    pub max_threads: Option<[u32; 3]>,
    /// `.reqntid`, if given.
    pub required_threads: Option<[u32; 3]>,
    /// `.minnctapersm`, if given.
    pub min_blocks: Option<u32>,
    /// `.maxnreg`, if given.
    pub max_registers: Option<u32>,
    /// `.reqnctapercluster`, if given: the blocks of a cluster in each dimension.
    pub required_cluster: Option<[u32; 3]>,
    /// `.maxclusterrank`, if given.
    pub max_cluster_rank: Option<u32>,
    /// `.explicitcluster`: it has to be launched in clusters.
    pub explicit_cluster: bool,
    /// `.noreturn`.
    pub no_return: bool,
    /// Where the body's text lies, braces included; `None` for a declaration.
    pub(crate) body: Option<Range<usize>>,
}

/// Where a parameter lies in the parameter buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterSlot {
    /// Bytes from the start of the buffer.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
    /// Alignment in bytes.
    pub align: u32,
}

impl Function {
    /// Offset, size and alignment of every parameter, by the C layout rule that the driver uses.
    pub fn parameter_layout(&self) -> Vec<ParameterSlot> {
        let mut offset = 0u32;
        self.parameters
            .iter()
            .map(|parameter| {
                let (size, align) = (parameter.size() as u32, parameter.align);
                offset = offset.next_multiple_of(align);
                let slot = ParameterSlot { offset, size, align };
                offset += size;
                slot
            })
            .collect()
    }

    /// Bytes of the whole parameter buffer.
    pub fn parameter_bytes(&self) -> u32 {
        self.parameter_layout().last().map_or(0, |slot| slot.offset + slot.size)
    }

    /// Whether another function has the same header.
    pub(crate) fn same_header(&self, other: &Function) -> bool {
        let facts = |it: &Function| {
            (
                it.name.clone(),
                it.entry,
                it.linkage,
                it.max_threads,
                it.required_threads,
                it.min_blocks,
                it.max_registers,
            )
        };
        let clusters =
            |it: &Function| (it.required_cluster, it.max_cluster_rank, it.explicit_cluster, it.no_return);
        let alike = |mine: &[Variable], others: &[Variable]| {
            mine.len() == others.len()
                && mine
                    .iter()
                    .zip(others)
                    .all(|(mine, others)| mine.name == others.name && mine.same_but_name(others))
        };
        facts(self) == facts(other)
            && clusters(self) == clusters(other)
            && alike(&self.results, &other.results)
            && alike(&self.parameters, &other.parameters)
    }

    /// Whether it has a body.
    pub fn is_defined(&self) -> bool {
        self.body.is_some()
    }
}

impl Module {
    /// Scans the text: module variables and function headers are read, bodies are skipped.
    pub fn parse(text: impl Into<Arc<str>>) -> Result<Module, ParseError> {
        let text: Arc<str> = text.into();
        let mut module = Module {
            text: text.clone(),
            version: (0, 0),
            target: String::new(),
            address_size: 64,
            variables: Vec::new(),
            functions: Vec::new(),
            aliases: Vec::new(),
            variable_index: HashMap::new(),
            function_index: HashMap::new(),
        };
        let mut cursor = Cursor::new(text.trim_end_matches(['\0', '\n', ' ']), 0);
        while cursor.peek() != 0 {
            let start = cursor.at;
            module.item(&mut cursor).map_err(|what| ParseError::at(&text, start, None, what))?;
        }
        if module.version == (0, 0) {
            return Err(ParseError::at(&text, 0, None, "the text has no `.version`: not PTX".into()));
        }
        Ok(module)
    }

    fn item(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        let mut linkage = Linkage::Internal;
        loop {
            let start = cursor.at;
            let word = cursor.directive();
            match word {
                ".version" => return self.version_directive(cursor),
                ".target" => return self.target_directive(cursor),
                ".address_size" => {
                    self.address_size =
                        cursor.word().parse().map_err(|_| "bad `.address_size`".to_string())?;
                    return Ok(());
                }
                ".extern" => linkage = Linkage::Extern,
                ".visible" => linkage = Linkage::Visible,
                ".weak" => linkage = Linkage::Weak,
                ".common" => linkage = Linkage::Common,
                ".entry" | ".func" => return self.function(cursor, word == ".entry", linkage),
                ".global" | ".const" | ".shared" | ".local" | ".param" => {
                    return self.variable(cursor, word, linkage);
                }
                ".texref" | ".samplerref" | ".surfref" => return self.opaque(cursor, word, linkage),
                ".tex" => return self.opaque(cursor, ".texref", linkage),
                ".loc" => {
                    cursor.skip_location();
                    return Ok(());
                }
                ".file" => {
                    cursor.skip_file();
                    return Ok(());
                }
                ".pragma" => {
                    cursor.skip_statement();
                    return Ok(());
                }
                ".alias" => return self.alias(cursor),
                ".section" => return skip_section(cursor),
                _ => {
                    if cursor.eat(b';') {
                        return Ok(());
                    }
                    cursor.at = start;
                    cursor.skip_space();
                    return Err(format!("unexpected text at module level: `{}`", cursor.near()));
                }
            }
        }
    }

    fn version_directive(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        let word = cursor.dotted();
        let parsed =
            word.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        self.version = parsed.ok_or_else(|| format!("bad `.version {word}`"))?;
        Ok(())
    }

    fn target_directive(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        self.target = cursor.word().to_string();
        while cursor.eat(b',') {
            cursor.word();
        }
        if self.target.is_empty() { Err("`.target` names no target".into()) } else { Ok(()) }
    }

    fn variable(&mut self, cursor: &mut Cursor<'_>, space: &str, linkage: Linkage) -> Result<(), String> {
        let space = Space::from_name(&space[1..]).ok_or("unknown state space")?;
        for variable in variable::declarations(cursor, space, linkage)? {
            self.add_variable(variable);
        }
        if cursor.eat(b';') { Ok(()) } else { Err("a variable lacks its `;`".into()) }
    }

    fn opaque(&mut self, cursor: &mut Cursor<'_>, word: &str, linkage: Linkage) -> Result<(), String> {
        let ty = crate::Type::from_name(&word[1..]).ok_or("unknown opaque type")?;
        // `.tex .u64 name` (5.3, deprecated) has a type of its own.
        cursor.directive();
        let name: Box<str> = cursor.word().into();
        if name.is_empty() {
            return Err("a declaration lacks its name".into());
        }
        cursor.skip_statement();
        self.add_variable(Variable {
            name,
            space: Space::Global,
            linkage,
            ty,
            align: 8,
            count: 1,
            array: false,
            initialiser: None,
            pointer: false,
            managed: false,
        });
        Ok(())
    }

    /// `.alias name, function;` (11.6.5): another name for a function that is defined before.
    fn alias(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        let name: Box<str> = cursor.word().into();
        cursor.eat(b',');
        let function: Box<str> = cursor.word().into();
        if !cursor.eat(b';') {
            return Err("`.alias` lacks its `;`".into());
        }
        let index = self.function_index.get(&function).copied();
        let index = index.ok_or_else(|| format!("`.alias {name}`: there is no function `{function}`"))?;
        self.function_index.insert(name.clone(), index);
        self.aliases.push((name, function));
        Ok(())
    }

    /// A definition replaces an earlier declaration of the same name.
    fn add_variable(&mut self, variable: Variable) {
        match self.variable_index.get(&variable.name) {
            Some(&index) if self.variables[index].linkage == Linkage::Extern => {
                self.variables[index] = variable
            }
            Some(_) if variable.linkage == Linkage::Extern => {}
            _ => {
                self.variable_index.insert(variable.name.clone(), self.variables.len());
                self.variables.push(variable);
            }
        }
    }

    fn function(&mut self, cursor: &mut Cursor<'_>, entry: bool, linkage: Linkage) -> Result<(), String> {
        if cursor.clone().directive() == ".attribute" {
            cursor.directive();
            variable::attribute(cursor)?;
        }
        let results = if cursor.peek() == b'(' { parameters(cursor)? } else { Vec::new() };
        let mut function = Function {
            name: "".into(),
            entry,
            linkage,
            results,
            parameters: Vec::new(),
            max_threads: None,
            required_threads: None,
            min_blocks: None,
            max_registers: None,
            required_cluster: None,
            max_cluster_rank: None,
            explicit_cluster: false,
            no_return: false,
            body: None,
        };
        function.name = cursor.word().into();
        if function.name.is_empty() {
            return Err("a function lacks its name".into());
        }
        if cursor.peek() == b'(' {
            function.parameters = parameters(cursor)?;
        }
        performance_directives(cursor, &mut function)?;
        if cursor.peek() == b'{' {
            let start = cursor.at;
            if !cursor.skip_braces() {
                return Err(format!("the body of `{}` has no end", function.name));
            }
            function.body = Some(start..cursor.at);
        } else if !cursor.eat(b';') {
            return Err(format!("`{}` has neither body nor `;`", function.name));
        }
        match self.function_index.get(&function.name) {
            Some(&index) if self.functions[index].is_defined() && !function.is_defined() => {}
            Some(&index) => self.functions[index] = function,
            None => {
                self.function_index.insert(function.name.clone(), self.functions.len());
                self.functions.push(function);
            }
        }
        Ok(())
    }

    /// The text.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Module-level variables.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// A module-level variable.
    pub fn variable_named(&self, name: &str) -> Option<&Variable> {
        self.variable_index.get(name).map(|&index| &self.variables[index])
    }

    /// Further names of functions: name and function.
    pub fn aliases(&self) -> &[(Box<str>, Box<str>)] {
        &self.aliases
    }

    /// Kernels and device functions.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// A kernel or device function.
    pub fn function_named(&self, name: &str) -> Option<&Function> {
        self.function_index.get(name).map(|&index| &self.functions[index])
    }

    /// Its position in [`Module::functions`].
    pub fn function_position(&self, name: &str) -> Option<usize> {
        self.function_index.get(name).copied()
    }

    /// The kernels.
    pub fn entries(&self) -> impl Iterator<Item = &Function> {
        self.functions.iter().filter(|function| function.entry)
    }

    /// The values a variable starts with; empty where it has no initialiser (then it is zero).
    pub fn initial_elements(&self, variable: &Variable) -> Result<Vec<Element>, ParseError> {
        let Some(at) = variable.initialiser else { return Ok(Vec::new()) };
        let mut cursor = Cursor::new(&self.text, at as usize);
        if variable.ty.is_opaque() {
            let what = format!("the settings of `{}` are not implemented", variable.name);
            return Err(ParseError::at(&self.text, at as usize, None, what));
        }
        variable::elements(&mut cursor, variable.count).map_err(|what| {
            ParseError::at(&self.text, at as usize, None, format!("variable `{}`: {what}", variable.name))
        })
    }

    /// The text of an initialiser; empty where there is none.
    pub(crate) fn initialiser_text(&self, variable: &Variable) -> &str {
        let Some(at) = variable.initialiser else { return "" };
        let mut cursor = Cursor::new(&self.text, at as usize);
        if cursor.peek() == b'{' {
            cursor.skip_braces();
        }
        self.text.get(at as usize..cursor.at).unwrap_or("")
    }

    /// Parses the body of a function.
    pub fn body(&self, function: &Function) -> Result<Body, ParseError> {
        let Some(range) = function.body.clone() else {
            let what = format!("`{}` is declared and not defined in this module", function.name);
            return Err(ParseError {
                line: 0,
                column: 0,
                at: 0,
                function: Some(function.name.to_string()),
                what,
            });
        };
        BodyParser::new(self.text.clone(), range, function).parse()
    }

    /// The text of a function's body, braces included; empty for a declaration.
    pub fn body_text(&self, function: &Function) -> &str {
        function.body.clone().map_or("", |range| &self.text[range])
    }

    /// 1-based line of a byte offset.
    pub fn line_of(&self, offset: u32) -> u32 {
        self.place_of(offset).0
    }

    /// File and line that a byte offset in a function's body was compiled from, where the text says so (`.loc`, PTX ISA 11.5.4).
    pub fn source_of(&self, offset: u32) -> Option<(String, u32)> {
        let inside = |body: &&Range<usize>| body.contains(&(offset as usize));
        let body = self.functions.iter().filter_map(|function| function.body.as_ref()).find(inside)?;
        let before = &self.text[body.start..offset as usize];
        let location = &before[before.rfind(".loc")? + ".loc".len()..];
        let mut numbers = location.split_ascii_whitespace().map(str::parse::<u32>);
        let (Some(Ok(file)), Some(Ok(line))) = (numbers.next(), numbers.next()) else { return None };
        Some((self.file_named(file)?, line))
    }

    /// The name that `.file` gives to a number.
    fn file_named(&self, number: u32) -> Option<String> {
        let mut places = self.text.match_indices(".file");
        places.find_map(|(at, word)| {
            let mut cursor = Cursor::new(&self.text, at + word.len());
            let known = cursor.word().parse() == Ok(number);
            known.then(|| cursor.quoted().map(str::to_owned)).flatten()
        })
    }

    /// 1-based line and column of a byte offset.
    pub fn place_of(&self, offset: u32) -> (u32, u32) {
        place_of(&self.text, offset as usize)
    }
}

fn skip_section(cursor: &mut Cursor<'_>) -> Result<(), String> {
    cursor.dotted();
    cursor.skip_space();
    if cursor.peek() == b'{' && cursor.skip_braces() {
        Ok(())
    } else {
        Err("a section lacks its braces".into())
    }
}

fn parameters(cursor: &mut Cursor<'_>) -> Result<Vec<Variable>, String> {
    let mut out = Vec::new();
    cursor.eat(b'(');
    while !cursor.eat(b')') {
        let word = cursor.directive();
        let space = match word {
            ".param" => Space::Param,
            ".reg" => Space::Reg,
            "" => return Err("a parameter list is malformed".into()),
            _ => return Err(format!("a parameter lies in `{word}`")),
        };
        let mut declared = variable::declarations(cursor, Space::Param, Linkage::Internal)?;
        for variable in &mut declared {
            variable.space = space;
        }
        out.append(&mut declared);
        if out.len() > MOST_PARAMETERS {
            return Err("there are too many parameters".into());
        }
        cursor.eat(b',');
    }
    Ok(out)
}

fn performance_directives(cursor: &mut Cursor<'_>, function: &mut Function) -> Result<(), String> {
    loop {
        match cursor.directive() {
            "" => return Ok(()),
            ".maxntid" => function.max_threads = Some(triple(cursor)?),
            ".reqntid" => function.required_threads = Some(triple(cursor)?),
            ".minnctapersm" | ".maxnctapersm" => function.min_blocks = Some(triple(cursor)?[0]),
            ".maxnreg" => function.max_registers = Some(triple(cursor)?[0]),
            ".reqnctapercluster" => function.required_cluster = Some(triple(cursor)?),
            ".maxclusterrank" => function.max_cluster_rank = Some(triple(cursor)?[0]),
            ".explicitcluster" | ".blocksareclusters" => function.explicit_cluster = true,
            ".noreturn" => function.no_return = true,
            // What they promise to callers that they name is of no use to an interpreter or a compiler of ours.
            ".abi_preserve" | ".abi_preserve_control" => {
                number_list(cursor);
            }
            ".pragma" => cursor.skip_statement(),
            ".attribute" => {
                variable::attribute(cursor)?;
            }
            other => return Err(format!("unknown directive `{other}` on `{}`", function.name)),
        }
    }
}

fn number_list(cursor: &mut Cursor<'_>) -> Vec<u32> {
    let mut out = Vec::new();
    while cursor.peek().is_ascii_digit() {
        out.push(cursor.word().parse().unwrap_or(0));
        if !cursor.eat(b',') {
            break;
        }
    }
    out
}

fn triple(cursor: &mut Cursor<'_>) -> Result<[u32; 3], String> {
    let list = number_list(cursor);
    let get = |index: usize| list.get(index).copied().unwrap_or(1);
    if list.is_empty() { Err("a directive lacks its number".into()) } else { Ok([get(0), get(1), get(2)]) }
}
