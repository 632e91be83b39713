//! The body of a function: registers, variables, labels and instructions, in one flat list.
//!
//! Scopes (`{ … }`, mostly from inline assembly) are resolved while parsing: every register and variable of a body has
//! its own number, however often its name is reused.

use crate::constant::Constant;
use crate::cursor::Cursor;
use crate::error::ParseError;
use crate::hash::NameMap;
use crate::isa::{Mnemonic, Op};
use crate::module::Function;
use crate::operand::{AddressBase, Operand, Special};
use crate::types::{Space, Type};
use crate::variable::{self, Linkage, Variable};
use std::ops::Range;
use std::sync::Arc;

/// More than any compiler's output has, so that a damaged count takes no memory.
const MOST_REGISTERS: u32 = 1 << 24;

/// The number of a register within its function.
pub type RegisterId = u32;
/// The number of a label within its function.
pub type LabelId = u32;

/// Registers declared together: `.reg .b32 %r<655>` or a single name.
#[derive(Clone, Debug)]
pub struct RegisterRange {
    /// The name, or the prefix before the index.
    pub name: Box<str>,
    /// Type of each.
    pub ty: Type,
    /// First number.
    pub first: RegisterId,
    /// How many; `None` for a single register whose name has no index.
    pub count: Option<u32>,
}

/// One instruction.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// Index into [`Body::mnemonics`].
    pub mnemonic: u32,
    /// `@p` or `@!p`: the predicate and whether it is negated.
    pub guard: Option<(RegisterId, bool)>,
    /// Operands in the order written.
    pub operands: Vec<Operand>,
    /// Byte offset in the module's text.
    pub offset: u32,
}

/// A label and where it points.
#[derive(Clone, Debug)]
pub struct Label {
    /// Its name.
    pub name: Box<str>,
    /// Index of the instruction behind it; `None` while it has only been used.
    pub target: Option<u32>,
}

/// A parsed body.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Registers by range, ascending.
    pub registers: Vec<RegisterRange>,
    /// How many registers there are.
    pub register_count: u32,
    /// How many of the ranges, and of the variables, come from the function's header.
    pub(crate) header_registers: usize,
    pub(crate) header_variables: usize,
    /// Variables declared inside, in any space; parameters come first (results, then parameters).
    pub variables: Vec<Variable>,
    /// Labels.
    pub labels: Vec<Label>,
    /// `.branchtargets` lists by name.
    pub branch_targets: Vec<(Box<str>, Vec<LabelId>)>,
    /// `.calltargets` lists by name.
    pub call_targets: Vec<(Box<str>, Vec<Box<str>>)>,
    /// `.callprototype` lists: name, results, parameters.
    pub prototypes: Vec<(Box<str>, Vec<Variable>, Vec<Variable>)>,
    /// Distinct mnemonics.
    pub mnemonics: Vec<Mnemonic>,
    /// The instructions.
    pub instructions: Vec<Instruction>,
}

impl Body {
    /// The mnemonic of an instruction.
    pub fn mnemonic(&self, instruction: &Instruction) -> &Mnemonic {
        &self.mnemonics[instruction.mnemonic as usize]
    }

    /// The declaration that a register belongs to.
    pub fn register_range(&self, register: RegisterId) -> &RegisterRange {
        &self.registers[self.register_range_index(register)]
    }

    pub(crate) fn register_range_index(&self, register: RegisterId) -> usize {
        self.registers.partition_point(|range| range.first <= register) - 1
    }

    /// The type of a register.
    pub fn register_type(&self, register: RegisterId) -> Type {
        self.register_range(register).ty
    }

    /// The name of a register as the text spells it.
    pub fn register_name(&self, register: RegisterId) -> String {
        let range = self.register_range(register);
        match range.count {
            Some(_) => format!("{}{}", range.name, register - range.first),
            None => range.name.to_string(),
        }
    }

    /// Bytes that the function's own variables take in a space, laid out in order: (offsets by variable, total, alignment).
    pub fn layout(&self, space: Space) -> (Vec<Option<u64>>, u64, u32) {
        let (mut offset, mut most) = (0u64, 1u32);
        let offsets = self
            .variables
            .iter()
            .map(|variable| {
                (variable.space == space && variable.linkage != Linkage::Extern).then(|| {
                    let at = offset.next_multiple_of(u64::from(variable.align));
                    offset = at + variable.size();
                    most = most.max(variable.align);
                    at
                })
            })
            .collect();
        (offsets, offset, most)
    }
}

#[derive(Default)]
struct Scope<'t> {
    registers: NameMap<&'t str, RegisterId>,
    /// Prefix, first and count: a handful, so that comparing beats hashing.
    ranges: Vec<(&'t str, RegisterId, u32)>,
    /// Name to (first, lanes) of vector registers.
    vectors: NameMap<&'t str, (RegisterId, u32)>,
    variables: NameMap<Box<str>, u32>,
    labels: NameMap<&'t str, LabelId>,
}

pub(crate) struct BodyParser<'f> {
    text: Arc<str>,
    range: Range<usize>,
    function: &'f Function,
}

impl<'f> BodyParser<'f> {
    pub fn new(text: Arc<str>, range: Range<usize>, function: &'f Function) -> Self {
        BodyParser { text, range, function }
    }

    pub fn parse(self) -> Result<Body, ParseError> {
        let mut cursor = Cursor::new(&self.text[..self.range.end], self.range.start);
        let mut state = State::new(self.function);
        let name = &*self.function.name;
        loop {
            cursor.skip_space();
            let at = cursor.at;
            match state.statement(&mut cursor) {
                Ok(true) => {}
                Ok(false) => break,
                Err(what) => return Err(ParseError::at(&self.text, at, Some(name), what)),
            }
        }
        state.join_labels();
        if let Some(label) = state.body.labels.iter().find(|label| label.target.is_none()) {
            let what = format!("label `{}` is used and not defined", label.name);
            return Err(ParseError::at(&self.text, self.range.start, Some(name), what));
        }
        Ok(state.body)
    }
}

struct State<'t> {
    body: Body,
    scopes: Vec<Scope<'t>>,
    mnemonics: NameMap<&'t str, u32>,
    /// Parameters in registers.
    header_registers: NameMap<Box<str>, RegisterId>,
    /// Labels used in an inner scope that an outer one defines: (used, defined).
    same_labels: Vec<(LabelId, LabelId)>,
}

impl<'t> State<'t> {
    fn new(function: &Function) -> Self {
        let mut state = State {
            body: Body::default(),
            scopes: vec![Scope::default()],
            mnemonics: NameMap::default(),
            header_registers: NameMap::default(),
            same_labels: Vec::new(),
        };
        for variable in function.results.iter().chain(&function.parameters) {
            if variable.space == Space::Reg {
                // Old style `.func (.reg .b32 r) f(.reg .b32 a)`: kept as a register and as a variable.
                let id = state.add_range(&variable.name, variable.ty, None);
                state.header_registers.insert(variable.name.clone(), id);
            }
            state.add_variable(variable.clone());
        }
        state.body.header_registers = state.body.registers.len();
        state.body.header_variables = state.body.variables.len();
        state
    }

    fn add_variable(&mut self, variable: Variable) {
        let id = self.body.variables.len() as u32;
        self.scope().variables.insert(variable.name.clone(), id);
        self.body.variables.push(variable);
    }

    fn add_range(&mut self, name: &str, ty: Type, count: Option<u32>) -> RegisterId {
        let first = self.body.register_count;
        self.body.registers.push(RegisterRange { name: name.into(), ty, first, count });
        self.body.register_count += count.unwrap_or(1);
        first
    }

    fn scope(&mut self) -> &mut Scope<'t> {
        self.scopes.last_mut().expect("the outermost scope stays until the body ends")
    }

    /// One statement; false at the end of the body.
    fn statement(&mut self, cursor: &mut Cursor<'t>) -> Result<bool, String> {
        match cursor.peek() {
            b'{' => {
                cursor.at += 1;
                // The body's own brace opens the second scope; parameters live in the first.
                self.scopes.push(Scope::default());
            }
            b'}' => {
                cursor.at += 1;
                self.close_scope();
                return Ok(self.scopes.len() > 1);
            }
            b';' => cursor.at += 1,
            b'.' => self.directive(cursor)?,
            b'@' => {
                cursor.at += 1;
                let negated = cursor.eat(b'!');
                let word = cursor.word();
                let register =
                    self.register(word).ok_or_else(|| format!("guard `{word}` is not declared"))?;
                self.instruction(cursor, Some((register, negated)))?;
            }
            0 => return Err("the body ends too early".into()),
            _ => self.label_or_instruction(cursor)?,
        }
        Ok(true)
    }

    /// Leaves a scope; labels that it used and did not define are looked for in the one around it.
    fn close_scope(&mut self) {
        let Some(inner) = self.scopes.pop() else { return };
        let Some(outer) = self.scopes.last_mut() else { return };
        for (name, id) in inner.labels {
            if self.body.labels[id as usize].target.is_none() {
                let defined = *outer.labels.entry(name).or_insert(id);
                if defined != id {
                    self.same_labels.push((id, defined));
                }
            }
        }
    }

    /// Where labels of inner scopes point, once all are known.
    fn join_labels(&mut self) {
        // Outer scopes are left last, so going back resolves chains.
        for (used, defined) in self.same_labels.iter().rev() {
            self.body.labels[*used as usize].target = self.body.labels[*defined as usize].target;
        }
    }

    fn label_or_instruction(&mut self, cursor: &mut Cursor<'t>) -> Result<(), String> {
        let start = cursor.at;
        let word = cursor.word();
        if !word.is_empty() && cursor.peek() == b':' {
            cursor.at += 1;
            match cursor.clone().directive() {
                ".branchtargets" => return self.branch_targets(cursor, word),
                ".calltargets" => return self.call_targets(cursor, word),
                ".callprototype" => return self.prototype(cursor, word),
                _ => {}
            }
            let target = self.body.instructions.len() as u32;
            let mut id = self.label(word);
            if self.body.labels[id as usize].target.is_some() {
                // Another scope's label of this name; a branch from here on means this one.
                if self.scope().labels.get(word) == Some(&id) {
                    return Err(format!("label `{word}` is defined twice"));
                }
                id = self.new_label(word, self.scopes.len() - 1);
            }
            self.body.labels[id as usize].target = Some(target);
            return Ok(());
        }
        cursor.at = start;
        self.instruction(cursor, None)
    }

    fn branch_targets(&mut self, cursor: &mut Cursor<'t>, name: &str) -> Result<(), String> {
        cursor.directive();
        let mut list = Vec::new();
        loop {
            let label = cursor.word();
            list.push(self.label(label));
            if !cursor.eat(b',') {
                break;
            }
        }
        self.body.branch_targets.push((name.into(), list));
        if cursor.eat(b';') { Ok(()) } else { Err("`.branchtargets` lacks its `;`".into()) }
    }

    fn call_targets(&mut self, cursor: &mut Cursor<'t>, name: &str) -> Result<(), String> {
        cursor.directive();
        let mut list = Vec::new();
        loop {
            list.push(cursor.word().into());
            if !cursor.eat(b',') {
                break;
            }
        }
        self.body.call_targets.push((name.into(), list));
        if cursor.eat(b';') { Ok(()) } else { Err("`.calltargets` lacks its `;`".into()) }
    }

    fn prototype(&mut self, cursor: &mut Cursor<'t>, name: &str) -> Result<(), String> {
        cursor.directive();
        let results = if cursor.peek() == b'(' { prototype_list(cursor)? } else { Vec::new() };
        cursor.word();
        let parameters = if cursor.peek() == b'(' { prototype_list(cursor)? } else { Vec::new() };
        self.body.prototypes.push((name.into(), results, parameters));
        cursor.skip_statement();
        Ok(())
    }

    fn directive(&mut self, cursor: &mut Cursor<'t>) -> Result<(), String> {
        let word = cursor.directive();
        match word {
            ".reg" => self.registers(cursor),
            ".loc" => {
                cursor.skip_location();
                Ok(())
            }
            ".file" => {
                cursor.skip_file();
                Ok(())
            }
            ".pragma" => {
                cursor.skip_statement();
                Ok(())
            }
            ".local" | ".shared" | ".param" | ".global" | ".const" | ".extern" | ".visible" | ".weak" => {
                let linkage = if word == ".extern" { Linkage::Extern } else { Linkage::Internal };
                let space = if word.len() > 6 && Space::from_name(word.get(1..).unwrap_or("")).is_none()
                    || word == ".weak"
                {
                    cursor.directive()
                } else {
                    word
                };
                let space = Space::from_name(space.get(1..).unwrap_or(""))
                    .ok_or_else(|| format!("unknown state space `{space}`"))?;
                for variable in variable::declarations(cursor, space, linkage)? {
                    self.add_variable(variable);
                }
                if cursor.eat(b';') { Ok(()) } else { Err("a declaration lacks its `;`".into()) }
            }
            _ => Err(format!("unknown directive `{word}`")),
        }
    }

    fn registers(&mut self, cursor: &mut Cursor<'t>) -> Result<(), String> {
        let mut word = cursor.directive();
        let lanes = match word {
            ".v2" => 2,
            ".v4" => 4,
            _ => 1,
        };
        if lanes > 1 {
            word = cursor.directive();
        }
        let ty = Type::from_name(word.get(1..).unwrap_or(""))
            .ok_or_else(|| format!("unknown register type `{word}`"))?;
        loop {
            let name = cursor.word();
            if name.is_empty() {
                return Err("`.reg` lacks a name".into());
            }
            if lanes > 1 {
                self.vector_register(name, ty, lanes);
            } else if cursor.eat(b'<') {
                let count = cursor.word();
                let count: u32 = count.parse().map_err(|_| format!("bad register count `{count}`"))?;
                if count > MOST_REGISTERS || self.body.register_count > MOST_REGISTERS {
                    return Err(format!("{count} registers `{name}` are more than a function can have"));
                }
                if !cursor.eat(b'>') {
                    return Err("a register range lacks `>`".into());
                }
                let first = self.add_range(name, ty, Some(count));
                self.scope().ranges.push((name, first, count));
            } else {
                let first = self.add_range(name, ty, None);
                self.scope().registers.insert(name, first);
            }
            if !cursor.eat(b',') {
                break;
            }
        }
        if cursor.eat(b';') { Ok(()) } else { Err("`.reg` lacks its `;`".into()) }
    }

    /// `.reg .v4 .f32 v` (5.4.2): four registers in a row, that `v` names together and `v.x` … `v.w` one by one.
    fn vector_register(&mut self, name: &'t str, ty: Type, lanes: u32) {
        let first = self.body.register_count;
        for component in ["x", "y", "z", "w"].iter().take(lanes as usize) {
            self.add_range(&format!("{name}.{component}"), ty, None);
        }
        self.scope().vectors.insert(name, (first, lanes));
    }

    /// `v`, `v.x`, `v.r` of a vector register.
    fn vector_operand(&self, cursor: &mut Cursor<'t>, name: &str) -> Option<Result<Operand, String>> {
        let (first, lanes) = *self.scopes.iter().rev().find_map(|scope| scope.vectors.get(name))?;
        let selector = cursor.directive();
        let index = match selector {
            "" => return Some(Ok(Operand::Vector((first..first + lanes).map(Operand::Register).collect()))),
            ".x" | ".r" => 0,
            ".y" | ".g" => 1,
            ".z" | ".b" => 2,
            ".w" | ".a" => 3,
            _ => lanes,
        };
        let operand = (index < lanes).then_some(Operand::Register(first + index));
        Some(operand.ok_or_else(|| format!("`{name}{selector}`: the vector has no such element")))
    }

    fn register(&self, name: &str) -> Option<RegisterId> {
        let (prefix, index) = indexed(name);
        for scope in self.scopes.iter().rev() {
            if let Some(id) = scope.registers.get(name) {
                return Some(*id);
            }
            let Some(index) = index else { continue };
            let named = |range: &&(&str, RegisterId, u32)| range.0 == prefix && index < range.2;
            if let Some((_, first, _)) = scope.ranges.iter().rev().find(named) {
                return Some(first + index);
            }
        }
        self.header_registers.get(name).copied()
    }

    fn local_variable(&self, name: &str) -> Option<u32> {
        self.scopes.iter().rev().find_map(|scope| scope.variables.get(name).copied())
    }

    /// Labels belong to the scope they are defined in; a use from outside or before finds them too, if the name is unique.
    fn label(&mut self, name: &'t str) -> LabelId {
        for (depth, scope) in self.scopes.iter().enumerate().rev() {
            if let Some(id) = scope.labels.get(name) {
                // A label of an inline-assembly scope may shadow one of the same name that is already placed.
                let placed = self.body.labels[*id as usize].target.is_some();
                if !placed || depth + 1 == self.scopes.len() || depth <= 1 {
                    return *id;
                }
            }
        }
        let depth = if name.starts_with('$') { 1.min(self.scopes.len() - 1) } else { self.scopes.len() - 1 };
        self.new_label(name, depth)
    }

    fn new_label(&mut self, name: &'t str, depth: usize) -> LabelId {
        let id = self.body.labels.len() as LabelId;
        self.body.labels.push(Label { name: name.into(), target: None });
        self.scopes[depth].labels.insert(name, id);
        id
    }

    fn instruction(
        &mut self,
        cursor: &mut Cursor<'t>,
        guard: Option<(RegisterId, bool)>,
    ) -> Result<(), String> {
        let word = cursor.dotted();
        let offset = (cursor.at - word.len()) as u32;
        if word.is_empty() {
            return Err(format!("unexpected text `{}`", cursor.near()));
        }
        let mnemonic = self.mnemonic(word)?;
        let op = self.body.mnemonics[mnemonic as usize].op;
        let mut operands = Vec::with_capacity(4);
        if cursor.peek() != b';' {
            loop {
                operands.push(self.operand(cursor, op)?);
                if !cursor.eat(b',') {
                    break;
                }
            }
        }
        if !cursor.eat(b';') {
            return Err(format!("`{word}` is followed by `{}` where `;` was expected", cursor.near()));
        }
        let mnemonic_row = &self.body.mnemonics[mnemonic as usize];
        if !mnemonic_row.takes(operands.len()) {
            let counts = mnemonic_row.operand_counts();
            return Err(format!("`{word}` has {} operands, {counts} were expected", operands.len()));
        }
        self.body.instructions.push(Instruction { mnemonic, guard, operands, offset });
        Ok(())
    }

    fn mnemonic(&mut self, word: &'t str) -> Result<u32, String> {
        if let Some(id) = self.mnemonics.get(word) {
            return Ok(*id);
        }
        let mnemonic = Mnemonic::cached(word).map_err(|unknown| unknown.to_string())?;
        let id = self.body.mnemonics.len() as u32;
        self.body.mnemonics.push((*mnemonic).clone());
        self.mnemonics.insert(word, id);
        Ok(id)
    }

    fn operand(&mut self, cursor: &mut Cursor<'t>, op: Op) -> Result<Operand, String> {
        match cursor.peek() {
            b'{' => {
                cursor.at += 1;
                let list = self.list(cursor, b'}', op)?;
                if !cursor.eat(b'|') {
                    return Ok(Operand::Vector(list));
                }
                let word = cursor.word();
                let resident = match word {
                    "_" => None,
                    _ => Some(self.register(word).ok_or_else(|| format!("`{word}` is not declared"))?),
                };
                Ok(Operand::Texel(list, resident))
            }
            b'(' => {
                cursor.at += 1;
                Ok(Operand::List(self.list(cursor, b')', op)?))
            }
            b'[' => {
                cursor.at += 1;
                self.address(cursor)
            }
            b'!' => {
                cursor.at += 1;
                let word = cursor.word();
                let register = self.register(word).ok_or_else(|| format!("`!{word}`: no such predicate"))?;
                Ok(Operand::NotRegister(register))
            }
            b'-' => {
                cursor.at += 1;
                if op == Op::Vmad && !cursor.peek().is_ascii_digit() {
                    return Ok(Operand::Negated(Box::new(self.named(cursor, op)?)));
                }
                let word = cursor.dotted();
                let constant =
                    Constant::parse(word, true).ok_or_else(|| format!("`-{word}` is no number"))?;
                Ok(Operand::Constant(constant))
            }
            b if b.is_ascii_digit() => {
                let word = cursor.dotted();
                let constant =
                    Constant::parse(word, false).ok_or_else(|| format!("`{word}` is no number"))?;
                Ok(Operand::Constant(constant))
            }
            _ => self.named(cursor, op),
        }
    }

    fn list(&mut self, cursor: &mut Cursor<'t>, end: u8, op: Op) -> Result<Vec<Operand>, String> {
        let mut out = Vec::new();
        cursor.enter()?;
        while !cursor.eat(end) {
            out.push(self.operand(cursor, op)?);
            if !cursor.eat(b',') && cursor.peek() != end {
                return Err("a list of operands is malformed".into());
            }
        }
        cursor.leave();
        Ok(out)
    }

    fn address(&mut self, cursor: &mut Cursor<'t>) -> Result<Operand, String> {
        let base = if cursor.peek().is_ascii_digit() || cursor.peek() == b'-' {
            let negative = cursor.eat(b'-');
            let word = cursor.word();
            match Constant::parse(word, negative) {
                Some(Constant::Integer(value)) => AddressBase::Absolute(value),
                _ => return Err(format!("`{word}` is no address")),
            }
        } else {
            let word = cursor.word();
            match (self.register(word), self.local_variable(word)) {
                (Some(register), _) => AddressBase::Register(register),
                (None, Some(variable)) => AddressBase::Variable(variable),
                (None, None) if word.is_empty() => return Err("an address is malformed".into()),
                (None, None) => AddressBase::Global(word.into()),
            }
        };
        let offset = variable::signed_offset(cursor)?;
        let mut extra = Vec::new();
        cursor.enter()?;
        while cursor.eat(b',') {
            extra.push(self.operand(cursor, Op::Tex)?);
        }
        cursor.leave();
        if !cursor.eat(b']') {
            return Err("an address lacks `]`".into());
        }
        Ok(Operand::Address { base, offset, extra })
    }

    fn named(&mut self, cursor: &mut Cursor<'t>, op: Op) -> Result<Operand, String> {
        let word = cursor.word();
        if word.is_empty() {
            return Err(format!("unexpected text `{}` in an operand", cursor.near()));
        }
        if word == "_" && self.register(word).is_none() {
            return if cursor.eat(b'|') { self.pair(cursor, None) } else { Ok(Operand::Sink) };
        }
        if let Some(register) = self.register(word) {
            let start = cursor.at;
            let selector = cursor.directive();
            match selector {
                "" => {}
                _ if is_part(selector) => {
                    return Ok(Operand::Part(register, selector.trim_start_matches('.').into()));
                }
                _ => {
                    cursor.at = start;
                    return Err(format!("`{word}{selector}`: the register has no such part"));
                }
            }
            if cursor.eat(b'|') {
                return self.pair(cursor, Some(register));
            }
            return Ok(Operand::Register(register));
        }
        if let Some(operand) = self.vector_operand(cursor, word) {
            return operand;
        }
        // GCC calls parameters `%P0` and `%in_ar0`.
        if let Some(name) = word.strip_prefix('%').filter(|_| self.local_variable(word).is_none()) {
            let start = cursor.at;
            let component = cursor.directive();
            return Special::from_name(name, component).map(Operand::Special).ok_or_else(|| {
                cursor.at = start;
                format!("register `{word}{component}` is not declared")
            });
        }
        if matches!(op, Op::Bra) {
            return Ok(Operand::Label(self.label(word)));
        }
        if word == "WARP_SZ" {
            return Ok(Operand::Constant(Constant::Integer(32)));
        }
        let offset = variable::signed_offset(cursor)?;
        Ok(match self.local_variable(word) {
            Some(variable) => Operand::Variable(variable, offset),
            None => Operand::Symbol(word.into(), offset),
        })
    }

    fn pair(&mut self, cursor: &mut Cursor<'t>, first: Option<RegisterId>) -> Result<Operand, String> {
        let word = cursor.word();
        let second = match word {
            "_" => None,
            _ => Some(self.register(word).ok_or_else(|| format!("`{word}` is not declared"))?),
        };
        Ok(Operand::Pair(first, second))
    }
}

/// A name in two: `%r12` is element 12 of `%r`, and `%r01` is element 1 of nothing.
fn indexed(name: &str) -> (&str, Option<u32>) {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (prefix, index) = name.split_at(name.len() - digits);
    if digits == 0 || digits > 9 || digits > 1 && index.starts_with('0') {
        return (prefix, None);
    }
    (prefix, Some(index.bytes().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'))))
}

/// `.b0` … `.b7654` and `.h0` … `.h32`: bytes and halves that video instructions select (9.7.17).
fn is_part(selector: &str) -> bool {
    let digits = |most: usize, last: char| {
        let digits = selector.get(2..).unwrap_or("");
        (1..=most).contains(&digits.len()) && digits.chars().all(|digit| ('0'..=last).contains(&digit))
    };
    match selector.as_bytes().get(1) {
        Some(b'b') => digits(4, '7'),
        Some(b'h') => digits(2, '3'),
        _ => false,
    }
}

fn prototype_list(cursor: &mut Cursor<'_>) -> Result<Vec<Variable>, String> {
    cursor.eat(b'(');
    let mut out = Vec::new();
    while !cursor.eat(b')') {
        cursor.directive();
        out.append(&mut variable::declarations(cursor, Space::Param, Linkage::Internal)?);
        cursor.eat(b',');
    }
    Ok(out)
}
