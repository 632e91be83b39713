//! Values of operands and registers, in the shape that an instruction needs them.

use interpreter::VariablePlace;
use ptx::{Constant, Operand, RegisterId, Special};

use super::{Lowered, Lowering, Value};
use crate::kind::{Kind, LANES, Positions, positions};
use crate::text::{constant, constants};

impl Lowering<'_> {
    /// A register's value now.
    pub(super) fn register(&mut self, register: RegisterId) -> Value {
        match self.register_in_pass(register) {
            Some(value) => value,
            None => self.whole(register),
        }
    }

    /// [`Lowering::register`] of all lanes that vectors have outside of passes.
    pub(super) fn whole(&mut self, register: RegisterId) -> Value {
        if let Some(value) = self.written.get(&register) {
            return value.clone();
        }
        let kind = self.kind(register);
        if self.lies_in_file(register) {
            return Value { kind, name: self.load_lanes(register) };
        }
        let (ty, variable) = (self.type_of(register, kind), self.variable(self.world, register));
        Value { kind, name: self.text.value(format!("load {ty}, ptr {variable}")) }
    }

    /// A number of so many bits.
    pub(super) fn operand(&mut self, operand: &Operand, bits: u32) -> Lowered<Value> {
        let uniform = |name: String| Ok(Value { kind: Kind::Uniform, name });
        match operand {
            Operand::Register(register) => {
                let have = self.bits(*register);
                if have == 1 {
                    return Err("a predicate where a number is needed".into());
                }
                let value = self.register(*register);
                Ok(self.in_width(value, have, bits))
            }
            Operand::Constant(number) => {
                let name = constant(bits, false, number.bits(bits_type(bits)));
                let is_integer = matches!(number, Constant::Integer(_));
                uniform(if is_integer || bits != 32 { name } else { self.unfolded(name) })
            }
            Operand::Special(special) => {
                let value = self.special(*special)?;
                Ok(self.in_width(value, 32, bits))
            }
            Operand::Variable(index, offset) => {
                let value = self.variable_address(*index, *offset)?;
                Ok(self.in_width(value, 64, bits))
            }
            Operand::Symbol(name, offset) => {
                let address = self.symbol_address(name, *offset)?;
                let value = Value { kind: Kind::Uniform, name: address };
                Ok(self.in_width(value, 64, bits))
            }
            _ => Err("an operand of this kind".into()),
        }
    }

    /// A floating-point constant keeps its bits, also in a narrower register.
    pub(super) fn in_width(&mut self, value: Value, have: u32, bits: u32) -> Value {
        if have == bits {
            return value;
        }
        let wide = value.kind == Kind::Varying;
        let (from, to) = (self.text.integer(have, wide), self.text.integer(bits, wide));
        let how = if have > bits { "trunc" } else { "zext" };
        Value { kind: value.kind, name: self.text.value(format!("{how} {from} {} to {to}", value.name)) }
    }

    /// A value as a vector, if `wide`, else as the word that all lanes share or add their pattern to.
    pub(super) fn shaped(&mut self, value: &Value, bits: u32, wide: bool) -> String {
        if !wide || value.kind == Kind::Varying {
            return value.name.clone();
        }
        let base = self.moved(&value.name, value.kind, bits);
        let splat = self.splat(&base, bits);
        match value.kind {
            Kind::Pattern(number) => {
                let pattern = self.pattern_here(Kind::Pattern(number));
                let more = constants(bits, pattern.into_iter());
                self.text.value(format!("add {} {splat}, {more}", self.text.integer(bits, true)))
            }
            _ => splat,
        }
    }

    /// Does something on vectors of all lanes, where there are some of fewer.
    pub(super) fn on_all_lanes<T>(&mut self, does: impl FnOnce(&mut Self) -> T) -> T {
        let lanes = std::mem::replace(&mut self.text.lanes, LANES);
        let result = does(self);
        self.text.lanes = lanes;
        result
    }

    /// The pattern of a kind, of the lanes that vectors have here.
    pub(super) fn pattern_here(&self, kind: Kind) -> Vec<i64> {
        let pattern = self.facts().pattern(kind).unwrap_or([0; LANES]);
        pattern[self.first_lane..][..self.text.lanes].to_vec()
    }

    /// The same word in all lanes.
    pub(super) fn splat(&mut self, name: &str, bits: u32) -> String {
        if let Ok(number) = name.parse::<i64>() {
            return constant(bits, true, number as u64);
        }
        let ty = self.text.integer(bits, true);
        let first = self.text.value(format!("insertelement {ty} poison, i{bits} {name}, i32 0"));
        let places = self.text.integer(32, true);
        self.text.value(format!("shufflevector {ty} {first}, {ty} poison, {places} zeroinitializer"))
    }

    /// An operand as [`Lowering::shaped`] gives it.
    pub(super) fn source(&mut self, operand: &Operand, bits: u32, wide: bool) -> Lowered<String> {
        let value = self.operand(operand, bits)?;
        Ok(self.shaped(&value, bits, wide))
    }

    /// A predicate, or its complement.
    pub(super) fn condition(&mut self, register: RegisterId, negated: bool) -> Value {
        let value = self.register(register);
        if !negated {
            return value;
        }
        let ty = if value.kind == Kind::Varying { "i32" } else { "i1" };
        let ones = if value.kind == Kind::Varying { "-1" } else { "true" };
        Value { kind: value.kind, name: self.text.value(format!("xor {ty} {}, {ones}", value.name)) }
    }

    /// A predicate operand.
    pub(super) fn predicate(&mut self, operand: &Operand) -> Lowered<Value> {
        match operand {
            Operand::Register(register) if self.bits(*register) == 1 => Ok(self.condition(*register, false)),
            Operand::NotRegister(register) if self.bits(*register) == 1 => {
                Ok(self.condition(*register, true))
            }
            Operand::Constant(number) => {
                let name = if number.bits(ptx::Type::U64) != 0 { "true" } else { "false" };
                Ok(Value { kind: Kind::Uniform, name: name.into() })
            }
            _ => Err("an operand that is no predicate".into()),
        }
    }

    /// A word with a bit per lane.
    pub(super) fn word_of(&mut self, predicate: &Value) -> String {
        match predicate.kind {
            Kind::Varying => predicate.name.clone(),
            _ => self.text.value(format!("sext i1 {} to i32", predicate.name)),
        }
    }

    /// A vector of bits.
    pub(super) fn vector_of(&mut self, word: &str) -> String {
        let (first, lanes) = (self.first_lane, self.text.lanes);
        let mut bits = word.to_string();
        if first > 0 {
            bits = self.text.value(format!("lshr i32 {bits}, {first}"));
        }
        if lanes < LANES {
            bits = self.text.value(format!("trunc i32 {bits} to i{lanes}"));
        }
        self.text.value(format!("bitcast i{lanes} {bits} to <{lanes} x i1>"))
    }

    /// A word with a bit per lane, of a vector of bits.
    pub(super) fn word_of_bits(&mut self, bits: &str) -> String {
        let lanes = self.text.lanes;
        let word = self.text.value(format!("bitcast <{lanes} x i1> {bits} to i{lanes}"));
        if lanes == LANES {
            return word;
        }
        let word = self.text.value(format!("zext i{lanes} {word} to i32"));
        match self.first_lane {
            0 => word,
            first => self.text.value(format!("shl i32 {word}, {first}")),
        }
    }

    /// Lanes that execute the instruction, if not all do.
    pub(super) fn lanes(&mut self) -> Option<String> {
        let guard = self.guard.clone();
        let word = guard.map(|guard| self.word_of(&guard));
        match (self.mask.clone(), word) {
            (mask, None) => mask,
            (None, word) => word,
            (Some(mask), Some(word)) => Some(self.text.value(format!("and i32 {mask}, {word}"))),
        }
    }

    /// Writes a register. `name` is a value of `kind` and of so many bits.
    pub(super) fn assign(&mut self, target: &Operand, kind: Kind, name: String, bits: u32) -> Lowered<()> {
        let register = match target {
            Operand::Register(register) => *register,
            Operand::Sink => return Ok(()),
            _ => return Err("a destination of this kind".into()),
        };
        let have = self.bits(register);
        if have == 1 || bits == 1 {
            return Err("a predicate where a number is needed".into());
        }
        let value = self.in_width(Value { kind, name }, bits, have);
        let to = self.kind(register);
        let wide = to == Kind::Varying;
        debug_assert!(wide || to == value.kind, "{to:?} from {:?}", value.kind);
        let name = self.shaped(&value, have, wide);
        let name = self.blended(register, name);
        self.write(register, Value { kind: to, name });
        Ok(())
    }

    /// Writes a predicate: an `i1` if it is uniform, a word if not.
    pub(super) fn assign_predicate(&mut self, target: &Operand, value: Value) -> Lowered<()> {
        let register = match target {
            Operand::Register(register) if self.bits(*register) == 1 => *register,
            Operand::Sink => return Ok(()),
            _ => return Err("a destination that is no predicate".into()),
        };
        let to = self.kind(register);
        let name = if to == Kind::Varying { self.word_of(&value) } else { value.name };
        let name = self.blended(register, name);
        self.write(register, Value { kind: to, name });
        Ok(())
    }

    /// A register has another value from now on.
    pub(super) fn write(&mut self, register: RegisterId, value: Value) {
        self.forget(register);
        self.keep(register, value);
    }

    /// What was made of a register's old value is not its any more.
    pub(super) fn forget(&mut self, register: RegisterId) {
        self.matrix.forget(register);
        self.quads.retain(|registers, _| !registers.contains(&register));
        if let Some(pass) = &mut self.pass {
            pass.rows.retain(|registers, _| !registers.contains(&register));
        }
    }

    /// What a register has after a write: for lanes that do not execute what it had, if that matters to anyone.
    fn blended(&mut self, register: RegisterId, fresh: String) -> String {
        let needed = |block: usize| self.graph.live_in[block].has(register as usize);
        let elsewhere = self.waiting.as_ref().is_some_and(|waiting| needed(waiting.block));
        let waited = elsewhere || self.here().frontiers[self.block].iter().any(needed);
        if self.guard.is_none() && !waited {
            return fresh;
        }
        let old = self.register(register).name;
        let kind = self.kind(register);
        let ty = self.type_of(register, kind);
        if kind != Kind::Varying {
            // Only a guard that is the same for all lanes leaves a word to be one.
            let guard = self.guard.clone().map_or("true".into(), |guard| guard.name);
            return self.text.value(format!("select i1 {guard}, {ty} {fresh}, {ty} {old}"));
        }
        let Some(lanes) = self.lanes() else { return fresh };
        if self.bits(register) == 1 {
            // Each bit from one of the two: what has never been written must not touch lanes that execute.
            let others = self.text.value(format!("xor i32 {lanes}, -1"));
            let written = self.text.value(format!("and i32 {fresh}, {lanes}"));
            let kept = self.text.value(format!("and i32 {old}, {others}"));
            return self.text.value(format!("or i32 {written}, {kept}"));
        }
        let chosen = self.vector_of(&lanes);
        self.text.value(format!("select {} {chosen}, {ty} {fresh}, {ty} {old}", self.text.integer(1, true)))
    }

    /// A field of the frame, read once at the function's beginning.
    fn special(&mut self, special: Special) -> Lowered<Value> {
        use Special::*;
        let fixed = |number: u32| constant(32, false, number.into());
        let uniform = |name: String| Ok(Value { kind: Kind::Uniform, name });
        let shape = self.block_shape;
        match special {
            TidX => self.position(0),
            TidY => self.position(1),
            TidZ => self.position(2),
            NtidX => uniform(fixed(shape[0])),
            NtidY => uniform(fixed(shape[1])),
            NtidZ => uniform(fixed(shape[2])),
            CtaidX | ClusterIdX => {
                let name = self.text.value("load i32, ptr %index");
                uniform(name)
            }
            CtaidY | ClusterIdY => uniform("%index1".into()),
            CtaidZ | ClusterIdZ => uniform("%index2".into()),
            NctaidX | NclusterIdX => uniform("%grid0".into()),
            NctaidY | NclusterIdY => uniform("%grid1".into()),
            NctaidZ | NclusterIdZ => uniform("%grid2".into()),
            LaneId => {
                let kind = self.facts().patterns.kind(&std::array::from_fn(|lane| lane as i64));
                Ok(Value { kind, name: "0".into() })
            }
            LanemaskEq => self.lane_masks(|lane| 1 << lane),
            LanemaskLt => self.lane_masks(|lane| (1 << lane) - 1),
            LanemaskLe => self.lane_masks(|lane| (2 << lane) - 1),
            LanemaskGt => self.lane_masks(|lane| !((2 << lane) - 1)),
            LanemaskGe => self.lane_masks(|lane| !((1 << lane) - 1)),
            WarpId => {
                let name = self.text.value("load i32, ptr %warp");
                uniform(name)
            }
            NwarpId => uniform(fixed(shape.iter().product::<u32>().div_ceil(LANES as u32))),
            DynamicSmemSize => uniform("%dynamic".into()),
            TotalSmemSize => {
                let name = self.text.value("trunc i64 %shared_bytes to i32");
                uniform(name)
            }
            _ => Err(format!("special register %{}", special.name())),
        }
    }

    fn lane_masks(&mut self, of: impl Fn(u64) -> i64) -> Lowered<Value> {
        let list = constants(32, (self.first_lane as u64..).take(self.text.lanes).map(of));
        Ok(Value { kind: Kind::Varying, name: list })
    }

    /// A coordinate of the threads of the warp.
    fn position(&mut self, dimension: usize) -> Lowered<Value> {
        match positions(self.block_shape, dimension) {
            Positions::Regular(bases, pattern) => {
                let kind = self.facts().patterns.kind(&pattern);
                if bases.iter().all(|base| *base == bases[0]) {
                    return Ok(Value { kind, name: bases[0].to_string() });
                }
                let warp = self.text.value("load i32, ptr %warp");
                let step = bases[1].wrapping_sub(bases[0]);
                let even =
                    bases.iter().enumerate().all(|(warp, base)| *base == bases[0] + step * warp as u32);
                if even {
                    let far = self.text.value(format!("mul i32 {warp}, {step}"));
                    return Ok(Value { kind, name: self.text.value(format!("add i32 {far}, {}", bases[0])) });
                }
                let table = format!("@bases{dimension}");
                let place = self.text.value(format!("getelementptr i32, ptr {table}, i32 {warp}"));
                Ok(Value {
                    kind,
                    name: self.text.value(format!("load i32, ptr {place}, !invariant.load !0")),
                })
            }
            Positions::Irregular(_) => {
                let warp = self.text.value("load i32, ptr %warp");
                let ty = self.text.integer(32, true);
                let place = self
                    .text
                    .value(format!("getelementptr <{LANES} x i32>, ptr @lanes{dimension}, i32 {warp}"));
                let first = self.first_lane_name();
                let place = self.text.value(format!("getelementptr i32, ptr {place}, i32 {first}"));
                let name = self.text.value(format!("load {ty}, ptr {place}, align 4, !invariant.load !0"));
                Ok(Value { kind: Kind::Varying, name })
            }
        }
    }

    /// The tables that [`Lowering::position`] reads.
    pub(super) fn position_tables(&self) -> String {
        let mut text = String::new();
        for dimension in 0..3 {
            match positions(self.block_shape, dimension) {
                Positions::Regular(bases, _) => {
                    let list: Vec<String> = bases.iter().map(|base| format!("i32 {base}")).collect();
                    let count = bases.len();
                    text += &format!(
                        "@bases{dimension} = private constant [{count} x i32] [{}]\n",
                        list.join(", ")
                    );
                }
                Positions::Irregular(lanes) => {
                    let rows: Vec<String> = lanes
                        .iter()
                        .map(|row| {
                            let list = constants(32, row.iter().map(|place| i64::from(*place)));
                            format!("<{LANES} x i32> {list}")
                        })
                        .collect();
                    let count = rows.len();
                    text += &format!(
                        "@lanes{dimension} = private constant [{count} x <{LANES} x i32>] [{}]\n",
                        rows.join(", ")
                    );
                }
            }
        }
        text
    }

    /// The address of one of the body's variables; of shared ones the offset.
    pub(super) fn variable_address(&mut self, index: u32, offset: i64) -> Lowered<Value> {
        let uniform = |name: String| Ok(Value { kind: Kind::Uniform, name });
        match self.plan.variables[index as usize] {
            VariablePlace::Shared(place) => uniform(place.wrapping_add_signed(offset).to_string()),
            VariablePlace::Parameter(place) => {
                let more = place.wrapping_add_signed(offset);
                uniform(self.text.value(format!("add i64 %parameters, {more}")))
            }
            VariablePlace::Local(place) => {
                let step = self.plan.stack_bytes;
                let kind = self.facts().patterns.kind(&std::array::from_fn(|lane| lane as i64 * step as i64));
                let start = self.local_of_warp();
                let more = place.wrapping_add_signed(offset) as i64;
                Ok(Value { kind, name: self.text.value(format!("add i64 {start}, {more}")) })
            }
            VariablePlace::Register => Err("the address of a register".into()),
        }
    }

    /// Where local memory of the warp's first lane begins.
    pub(super) fn local_of_warp(&mut self) -> String {
        let warp = self.text.value("load i32, ptr %warp");
        let warp = self.text.value(format!("zext i32 {warp} to i64"));
        let far = self.text.value(format!("mul i64 {warp}, {}", self.plan.stack_bytes * LANES as u64));
        self.text.value(format!("add i64 %local, {far}"))
    }

    /// The address of a variable of the module; of shared ones the offset.
    pub(super) fn symbol_address(&mut self, name: &str, offset: i64) -> Lowered<String> {
        if let Some(place) = self.plan.shared.get(name) {
            return Ok(place.wrapping_add_signed(offset).to_string());
        }
        let number = self.symbol(name);
        let place = self.text.value(format!("getelementptr i64, ptr %symbols, i32 {number}"));
        let address = self.text.value(format!("load i64, ptr {place}, !invariant.load !0"));
        Ok(self.text.value(format!("add i64 {address}, {offset}")))
    }

    /// Puts what a block has written, and others need, into variables.
    pub(super) fn write_back(&mut self) {
        let live = self.graph.live_out(self.body, self.block);
        let mut written: Vec<(RegisterId, Value)> =
            self.written.iter().map(|(register, value)| (*register, value.clone())).collect();
        written.sort_by_key(|(register, _)| *register);
        for (register, value) in written.into_iter().filter(|(register, _)| live.has(*register as usize)) {
            if self.lies_in_file(register) {
                self.file(register);
                continue;
            }
            let ty = self.type_of(register, value.kind);
            let variable = self.variable(self.world, register);
            self.text.line(format!("store {ty} {}, ptr {variable}", value.name));
        }
    }

    /// All registers that variables are needed for.
    pub(super) fn all_registers(&self) -> Vec<RegisterId> {
        let guards = self.body.instructions.iter().filter_map(|instruction| instruction.guard);
        let named = self.graph.roles.iter().flat_map(|roles| roles.reads.iter().chain(&roles.writes));
        let mut used: Vec<RegisterId> = named.copied().chain(guards.map(|(register, _)| register)).collect();
        used.sort_unstable();
        used.dedup();
        used.retain(|register| self.bits(*register) != 0);
        used
    }
}

/// A type of so many bits that says no more than that.
fn bits_type(bits: u32) -> ptx::Type {
    match bits {
        16 => ptx::Type::B16,
        32 => ptx::Type::B32,
        _ => ptx::Type::B64,
    }
}
