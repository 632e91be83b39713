//! Regions, the loop over warps, and how blocks end in both worlds.

use std::mem::offset_of;

use interpreter::compiled::{ENDED, Frame, Place};
use ptx::{Body, RegisterId};

use super::{Ends, Lowering, Queue, Value, World};
use crate::graph::{End, Graph, Set};
use crate::kind::{Kind, LANES};
use crate::text::{constant, integer};

/// Turns of loops that lanes which have parted get.
const PATIENCE: u32 = 1 << 20;
/// Registers that are compared where lanes come together, to go on in the first world.
const MOST_COMPARED: usize = 8;

impl Lowering<'_> {
    /// The head of a region's loop over warps, up to its first block.
    pub(super) fn region_head(&mut self, entry: usize) {
        let region = self.region;
        self.text.begin(&format!("r{region}h"));
        let warp = self.text.value("load i32, ptr %warp");
        let more = self.text.value(format!("icmp ult i32 {warp}, %count"));
        self.text.line(format!("br i1 {more}, label %r{region}w, label %r{region}t"));
        self.text.begin(&format!("r{region}w"));
        self.text.line(format!(
            "%place{region} = getelementptr [{} x i8], ptr %warps, i32 {warp}",
            size_of::<Place>()
        ));
        let file = offset_of!(Place, registers);
        let words = offset_of!(Place, words);
        for (name, offset) in [("file", file), ("words", words)] {
            let place = self.text.value(format!("getelementptr i8, ptr %place{region}, i64 {offset}"));
            self.text.line(format!("%{name}{region} = load ptr, ptr {place}"));
        }
        let next = offset_of!(Place, next);
        self.text.line(format!("%next{region} = getelementptr i8, ptr %place{region}, i64 {next}"));
        if region == 0 {
            self.text.line("br label %r0b");
        } else if self.turns.contains_key(&entry) {
            self.take_turn();
        } else {
            let next = self.text.value(format!("load i32, ptr %next{region}"));
            let ended = self.text.value(format!("icmp eq i32 {next}, {}", ENDED as i32));
            self.text.line(format!("br i1 {ended}, label %r{region}n, label %r{region}b"));
        }
        self.text.begin(&format!("r{region}b"));
        if let Some(rounds) = self.turns.get(&entry) {
            self.text.line(format!("store i32 {rounds}, ptr %rounds"));
        }
        let live = self.graph.live_in[entry].clone();
        for register in live.iter().map(|register| register as RegisterId) {
            if self.bits(register) != 0 {
                self.load_in(register);
            }
        }
        let label = self.label(World::First, entry);
        self.text.line(format!("br label %{label}"));
    }

    /// Warps that are at other regions are passed over, and remembered.
    fn take_turn(&mut self) {
        let region = self.region;
        let next = self.text.value(format!("load i32, ptr %next{region}"));
        let here = self.text.value(format!("icmp eq i32 {next}, {region}"));
        self.text.line(format!("br i1 {here}, label %r{region}b, label %r{region}o"));
        self.text.begin(&format!("r{region}o"));
        let ended = self.text.value(format!("icmp eq i32 {next}, {}", ENDED as i32));
        let place = self.text.value(format!("select i1 {ended}, i32 0, i32 {next}"));
        let place = self.text.value(format!("zext i32 {place} to i64"));
        let bit = self.text.value(format!("shl i64 1, {place}"));
        let bit = self.text.value(format!("select i1 {ended}, i64 0, i64 {bit}"));
        self.see(&bit);
        self.text.line(format!("br label %r{region}n"));
    }

    /// Remembers that a warp has come to a region.
    fn see(&mut self, bit: &str) {
        let seen = self.text.value("load i64, ptr %seen");
        let all = self.text.value(format!("or i64 {seen}, {bit}"));
        self.text.line(format!("store i64 {all}, ptr %seen"));
    }

    /// Behind a region: the next warp, or, behind the last, the region that all warps have come to.
    pub(super) fn region_tail(&mut self) {
        let region = self.region;
        self.text.begin(&format!("r{region}n"));
        let warp = self.text.value("load i32, ptr %warp");
        let next = self.text.value(format!("add i32 {warp}, 1"));
        self.text.line(format!("store i32 {next}, ptr %warp"));
        self.text.line(format!("br label %r{region}h"));
        self.text.begin(&format!("r{region}t"));
        let seen = self.text.value("load i64, ptr %seen");
        self.text.line("store i64 0, ptr %seen");
        self.text.line("store i32 0, ptr %warp");
        for (next, _) in self.regions.iter().enumerate().filter(|(_, entry)| self.turns.contains_key(entry)) {
            let some = self.text.value(format!("and i64 {seen}, {}", 1u64 << next));
            let some = self.text.value(format!("icmp ne i64 {some}, 0"));
            let other = self.text.label();
            self.text.line(format!("br i1 {some}, label %r{next}h, label %{other}"));
            self.text.begin(&other);
        }
        let mut cases = String::from("i64 0, label %done ");
        for next in reachable_regions(self.graph, &self.regions, self.regions[region]) {
            cases += &format!("i64 {}, label %r{next}h ", 1u64 << next);
        }
        self.text.line(format!("switch i64 {seen}, label %parted [ {cases}]"));
    }

    /// The end of a block.
    pub(super) fn end(&mut self, queue: &mut Queue) {
        match self.world {
            World::First => self.end_first(queue),
            World::Second => self.end_second(queue),
        }
    }

    fn end_first(&mut self, queue: &mut Queue) {
        match self.graph.blocks[self.block].end {
            End::Jump(next) => {
                self.write_back();
                self.go_first(next, queue);
            }
            End::Exit => self.warp_ended(),
            End::Barrier { next } => self.arrive(next),
            End::Stop => self.write_stop(self.at),
            End::Branch { predicate, negated, taken, next } => {
                self.branch(predicate, negated, taken, next, queue)
            }
        }
    }

    fn go_first(&mut self, block: usize, queue: &mut Queue) {
        queue.want(World::First, block);
        let label = self.label(World::First, block);
        self.text.line(format!("br label %{label}"));
    }

    fn branch(
        &mut self,
        predicate: RegisterId,
        negated: bool,
        taken: Option<usize>,
        next: usize,
        queue: &mut Queue,
    ) {
        let condition = self.condition(predicate, negated);
        self.write_back();
        let ended = self.text.label();
        queue.want(World::First, next);
        let there = match taken {
            Some(taken) => {
                queue.want(World::First, taken);
                self.label(World::First, taken)
            }
            None => ended.clone(),
        };
        let here = self.label(World::First, next);
        let (there, here) = (self.round(there, taken), self.round(here, Some(next)));
        if condition.kind == Kind::Varying {
            let parted = self.text.label();
            let word = condition.name;
            if let Some(Ends { any, all }) = self.ends.take() {
                let some = self.text.label();
                let (yes, no) = if negated { (&here, &there) } else { (&there, &here) };
                self.text.line(format!("br i1 {any}, label %{some}, label %{no}"));
                self.text.begin(&some);
                self.text.line(format!("br i1 {all}, label %{yes}, label %{parted}, !prof !1"));
            } else {
                self.text.line(format!(
                    "switch i32 {word}, label %{parted} [ i32 -1, label %{there} i32 0, label %{here} ]"
                ));
            }
            self.text.begin(&parted);
            self.part(&word, taken, next, queue);
        } else {
            self.text.line(format!("br i1 {}, label %{there}, label %{here}", condition.name));
        }
        if taken.is_none() {
            self.text.begin(&ended);
            self.warp_ended();
        }
        self.end_round();
    }

    /// Whether a block's branch to itself is one of the rounds in which warps take turns.
    fn is_round(&self, target: Option<usize>) -> bool {
        target == Some(self.block) && self.turns.contains_key(&self.block)
    }

    /// Where a branch leads: not straight to the loop's head if others may have their turn.
    fn round(&self, label: String, target: Option<usize>) -> String {
        if self.is_round(target) { format!("{label}t") } else { label }
    }

    /// Behind a round: another one, or the next warp's turn.
    fn end_round(&mut self) {
        if !self.is_round(Some(self.block)) {
            return;
        }
        let head = self.label(World::First, self.block);
        self.text.begin(&format!("{head}t"));
        let rounds = self.text.value("load i32, ptr %rounds");
        let left = self.text.value(format!("sub i32 {rounds}, 1"));
        self.text.line(format!("store i32 {left}, ptr %rounds"));
        let last = self.text.value(format!("icmp eq i32 {left}, 0"));
        let over = self.text.label();
        self.text.line(format!("br i1 {last}, label %{over}, label %{head}"));
        self.text.begin(&over);
        self.arrive(self.block);
    }

    /// From the first world to the second: lanes go two ways.
    fn part(&mut self, word: &str, taken: Option<usize>, next: usize, queue: &mut Queue) {
        let rest = self.text.value(format!("xor i32 {word}, -1"));
        self.text.line(format!("store i32 {PATIENCE}, ptr %patience"));
        self.set_pending(next, &rest);
        if let Some(taken) = taken {
            self.set_pending(taken, word);
        }
        let mut live = self.graph.live_in[next].clone();
        taken.iter().for_each(|taken| live.add_all(&self.graph.live_in[*taken]));
        self.convert_variables(&live);
        let lower = taken.map_or(next, |taken| taken.min(next));
        queue.want(World::Second, lower);
        let label = self.label(World::Second, lower);
        self.text.line(format!("br label %{label}"));
    }

    /// From the first world to the second with all lanes, because a test forces it.
    pub(super) fn leave_first(&mut self, block: usize, queue: &mut Queue) {
        self.text.line(format!("store i32 {PATIENCE}, ptr %patience"));
        self.set_pending(block, "-1");
        let live = self.graph.live_in[block].clone();
        self.convert_variables(&live);
        queue.want(World::Second, block);
        let label = self.label(World::Second, block);
        self.text.line(format!("br label %{label}"));
    }

    /// Lets some of the lanes that have come to a block wait there for the others, if a test forces it.
    fn split(&mut self, block: usize, mask: String) -> String {
        let Some(ahead) = self.manner.forced.split(block) else { return mask };
        let ahead = self.text.value(format!("and i32 {mask}, {ahead}"));
        let none = self.text.value(format!("icmp eq i32 {ahead}, 0"));
        let ahead = self.text.value(format!("select i1 {none}, i32 {mask}, i32 {ahead}"));
        let rest = self.text.value(format!("xor i32 {mask}, {ahead}"));
        self.set_pending(block, &rest);
        ahead
    }

    /// Gives registers that the second world keeps as vectors their variables there.
    fn convert_variables(&mut self, live: &Set) {
        for register in live.iter().map(|register| register as RegisterId) {
            let (from, to) = (self.variable(World::First, register), self.variable(World::Second, register));
            if from == to || self.bits(register) == 0 {
                continue;
            }
            let kind = self.first.facts.kinds[register as usize];
            let (bits, ty) = (self.bits(register), self.type_of(register, kind));
            let value = Value { kind, name: self.text.value(format!("load {ty}, ptr {from}")) };
            let name = if bits == 1 { self.word_of(&value) } else { self.shaped(&value, bits, true) };
            let ty = self.type_of(register, Kind::Varying);
            self.text.line(format!("store {ty} {name}, ptr {to}"));
        }
    }

    /// The beginning of a block in the second world: who runs it, and whether that is all lanes.
    pub(super) fn enter_second(&mut self, block: usize, queue: &mut Queue) {
        let mask = self.take_pending(block);
        let mask = self.split(block, mask);
        self.mask = Some(mask.clone());
        if self.is_loop_head(block) {
            self.spend_patience();
        }
        if self.manner.forced.leaves_first(block) {
            return;
        }
        let live = self.graph.live_in[block].clone();
        let others = self.kept_otherwise(&live);
        // Where nobody can wait elsewhere lanes are mostly all here, and it is worth a look whether registers are as before.
        let together = self.here().frontiers[block].iter().next().is_none();
        if !others.is_empty() && (!together || others.len() > MOST_COMPARED) {
            return;
        }
        queue.want(World::First, block);
        let (all, rest) = (self.text.value(format!("icmp eq i32 {mask}, -1")), self.text.label());
        let label = self.label(World::First, block);
        if others.is_empty() {
            self.text.line(format!("br i1 {all}, label %{label}, label %{rest}"));
        } else {
            let (test, back) = (self.text.label(), self.text.label());
            self.text.line(format!("br i1 {all}, label %{test}, label %{rest}"));
            self.text.begin(&test);
            let (alike, values) = self.as_in_first(&others);
            self.text.line(format!("br i1 {alike}, label %{back}, label %{rest}"));
            self.text.begin(&back);
            for (register, value) in values {
                let (ty, variable) =
                    (self.type_of(register, value.kind), self.variable(World::First, register));
                self.text.line(format!("store {ty} {}, ptr {variable}", value.name));
            }
            self.text.line(format!("br label %{label}"));
        }
        self.text.begin(&rest);
    }

    /// Registers of a set that the two worlds keep in different ways.
    fn kept_otherwise(&self, live: &Set) -> Vec<RegisterId> {
        let registers = live.iter().map(|register| register as RegisterId);
        registers
            .filter(|register| {
                let place = *register as usize;
                self.bits(*register) != 0 && self.first.facts.kinds[place] != self.second.facts.kinds[place]
            })
            .collect()
    }

    /// In the second world: whether lanes of some registers are as the first world keeps them, and what it would keep.
    fn as_in_first(&mut self, registers: &[RegisterId]) -> (String, Vec<(RegisterId, Value)>) {
        let mut alike = String::from("true");
        let mut values = Vec::new();
        for register in registers.iter().copied() {
            let kind = self.first.facts.kinds[register as usize];
            let value = self.register(register);
            if value.kind != Kind::Varying {
                // The first world knows nothing of it.
                return ("false".into(), Vec::new());
            }
            let bits = self.bits(register);
            let (same, name) = if bits == 1 {
                let none = self.text.value(format!("icmp eq i32 {}, 0", value.name));
                let all = self.text.value(format!("icmp eq i32 {}, -1", value.name));
                (self.text.value(format!("or i1 {none}, {all}")), all)
            } else {
                self.base_of(&value.name, kind, bits)
            };
            alike = self.text.value(format!("and i1 {alike}, {same}"));
            values.push((register, Value { kind, name }));
        }
        (alike, values)
    }

    /// Whether a vector is a base and what `kind` says of its lanes, and the base.
    fn base_of(&mut self, vector: &str, kind: Kind, bits: u32) -> (String, String) {
        let ty = integer(bits, true);
        let pattern = self.facts().pattern(kind).unwrap_or([0; LANES]);
        let first = self.text.value(format!("extractelement {ty} {vector}, i32 0"));
        let base =
            self.text.value(format!("sub i{bits} {first}, {}", constant(bits, false, pattern[0] as u64)));
        let expected = self.shaped(&Value { kind, name: base.clone() }, bits, true);
        let differ = self.text.value(format!("icmp ne {ty} {vector}, {expected}"));
        let word = self.text.value(format!("bitcast <{LANES} x i1> {differ} to i32"));
        (self.text.value(format!("icmp eq i32 {word}, 0")), base)
    }

    /// A barrier in the second world: if all lanes are here, and registers are as the first world keeps them, as there.
    fn meet_again(&mut self, next: usize) {
        let mask = self.mask.clone().unwrap_or("-1".into());
        let live = self.graph.live_in[next].clone();
        let all = self.text.value(format!("icmp eq i32 {mask}, -1"));
        let others = self.kept_otherwise(&live);
        let (alike, values) = self.as_in_first(&others);
        let fine = self.text.value(format!("and i1 {all}, {alike}"));
        let (together, stop) = (self.text.label(), self.text.label());
        self.text.line(format!("br i1 {fine}, label %{together}, label %{stop}"));
        self.text.begin(&stop);
        self.write_stop(self.at);
        self.text.begin(&together);
        self.written.extend(values);
        self.world = World::First;
        self.arrive(next);
        self.world = World::Second;
    }

    /// Whether lanes come to a block from behind it.
    fn is_loop_head(&self, block: usize) -> bool {
        self.graph.blocks[block..].iter().any(|behind| behind.successors().any(|next| next == block))
    }

    /// Lanes may wait for others in a loop, and only the interpreter gives each its turn.
    fn spend_patience(&mut self) {
        let left = self.text.value("load i32, ptr %patience");
        let less = self.text.value(format!("sub i32 {left}, 1"));
        self.text.line(format!("store i32 {less}, ptr %patience"));
        let some = self.text.value(format!("icmp ne i32 {left}, 0"));
        self.assume(&some);
    }

    fn end_second(&mut self, queue: &mut Queue) {
        let mask = self.mask.clone().unwrap_or("-1".into());
        match self.graph.blocks[self.block].end {
            End::Jump(next) => {
                self.write_back();
                self.add_pending(next, &mask);
            }
            End::Exit => {}
            End::Stop => return self.write_stop(self.at),
            End::Barrier { next } => return self.meet_again(next),
            End::Branch { predicate, negated, taken, next } => {
                let condition = self.condition(predicate, negated);
                self.write_back();
                let word = self.word_of(&condition);
                let there = self.text.value(format!("and i32 {mask}, {word}"));
                let here = self.text.value(format!("xor i32 {mask}, {there}"));
                taken.iter().for_each(|taken| self.add_pending(*taken, &there));
                self.add_pending(next, &here);
            }
        }
        self.dispatch(queue);
    }

    /// Goes to the lowest block where lanes wait; if there is none, the warp has ended.
    fn dispatch(&mut self, queue: &mut Queue) {
        let block = self.block;
        let mut candidates: Vec<usize> = self.here().frontiers[block].iter().collect();
        candidates.extend(self.graph.blocks[block].successors());
        candidates.sort_unstable();
        candidates.dedup();
        for candidate in candidates {
            queue.want(World::Second, candidate);
            let place = self.pending(candidate);
            let mask = self.text.value(format!("load i32, ptr {place}"));
            let some = self.text.value(format!("icmp ne i32 {mask}, 0"));
            let (label, next) = (self.label(World::Second, candidate), self.text.label());
            self.text.line(format!("br i1 {some}, label %{label}, label %{next}"));
            self.text.begin(&next);
        }
        self.warp_ended();
    }

    fn pending(&mut self, block: usize) -> String {
        self.text.value(format!("getelementptr i32, ptr %pending, i32 {block}"))
    }

    fn set_pending(&mut self, block: usize, mask: &str) {
        let place = self.pending(block);
        self.text.line(format!("store i32 {mask}, ptr {place}"));
    }

    fn add_pending(&mut self, block: usize, mask: &str) {
        let place = self.pending(block);
        let old = self.text.value(format!("load i32, ptr {place}"));
        let all = self.text.value(format!("or i32 {old}, {mask}"));
        self.text.line(format!("store i32 {all}, ptr {place}"));
    }

    /// The lanes that wait for a block; then nobody does.
    pub(super) fn take_pending(&mut self, block: usize) -> String {
        let place = self.pending(block);
        let mask = self.text.value(format!("load i32, ptr {place}"));
        self.text.line(format!("store i32 0, ptr {place}"));
        mask
    }

    /// Lanes that wait elsewhere while the running block runs.
    pub(super) fn waiting_elsewhere(&mut self) -> String {
        let blocks: Vec<usize> = self.here().frontiers[self.block].iter().collect();
        let mut all = String::from("0");
        for block in blocks {
            let place = self.pending(block);
            let mask = self.text.value(format!("load i32, ptr {place}"));
            all = self.text.value(format!("or i32 {all}, {mask}"));
        }
        all
    }

    /// All lanes of the warp are at a barrier, or at the head of a loop in which warps take turns.
    pub(super) fn arrive(&mut self, next: usize) {
        let region = self.regions.iter().position(|entry| *entry == next).unwrap_or(0);
        let live = self.graph.live_in[next].clone();
        let changed = written_in_region(self.body, self.graph, self.regions[self.region]);
        for register in live.iter().map(|register| register as RegisterId) {
            // What the region has only read is where it was.
            if self.bits(register) != 0 && (self.region == 0 || changed.has(register as usize)) {
                self.store_out(register);
            }
        }
        self.text.line(format!("store i32 {region}, ptr %next{}", self.region));
        self.see(&(1u64 << region).to_string());
        self.text.line(format!("br label %r{}n", self.region));
    }

    fn warp_ended(&mut self) {
        self.text.line(format!("store i32 {}, ptr %next{}", ENDED as i32, self.region));
        self.text.line(format!("br label %r{}n", self.region));
    }

    /// Behind a block: the next one of the row.
    fn row_tail(&mut self) {
        self.text.begin("done");
        let field = self.field(offset_of!(Frame, left));
        let left = self.text.value(format!("load i32, ptr {field}"));
        let last = self.text.value(format!("icmp eq i32 {left}, 0"));
        self.text.line(format!("br i1 {last}, label %finished, label %again"));
        self.text.begin("again");
        let less = self.text.value(format!("sub i32 {left}, 1"));
        self.text.line(format!("store i32 {less}, ptr {field}"));
        let index = self.text.value("load i32, ptr %index");
        let next = self.text.value(format!("add i32 {index}, 1"));
        self.text.line(format!("store i32 {next}, ptr %index"));
        let field = self.field(offset_of!(Frame, index));
        self.text.line(format!("store i32 {next}, ptr {field}"));
        self.text.line("br label %r0h");
        self.text.begin("finished");
        self.text.line("ret i32 0");
    }

    /// The whole module: tables, the function, declarations.
    pub(super) fn function(&mut self) -> String {
        let mut text = self.position_tables();
        text += &self.matrix.tables();
        text +=
            "define i32 @kernel(ptr noalias noundef %frame, i32 %region, i32 %first) nounwind {\nentry:\n";
        let fields = [
            ("parameters", "i64", offset_of!(Frame, parameters)),
            ("shared", "i64", offset_of!(Frame, shared)),
            ("shared_bytes", "i64", offset_of!(Frame, shared_bytes)),
            ("local", "i64", offset_of!(Frame, local)),
            ("window", "i64", offset_of!(Frame, window)),
            ("outside", "i64", offset_of!(Frame, outside)),
            ("symbols", "ptr", offset_of!(Frame, symbols)),
            ("scratch", "ptr", offset_of!(Frame, scratch)),
            ("warps", "ptr", offset_of!(Frame, warps)),
            ("pending", "ptr", offset_of!(Frame, pending)),
            ("count", "i32", offset_of!(Frame, count)),
            ("dynamic", "i32", offset_of!(Frame, dynamic_shared)),
            ("index0", "i32", offset_of!(Frame, index)),
            ("index1", "i32", offset_of!(Frame, index) + 4),
            ("index2", "i32", offset_of!(Frame, index) + 8),
            ("grid0", "i32", offset_of!(Frame, grid)),
            ("grid1", "i32", offset_of!(Frame, grid) + 4),
            ("grid2", "i32", offset_of!(Frame, grid) + 8),
        ];
        for (name, ty, offset) in fields {
            let place = self.field(offset);
            self.text.line(format!("%{name} = load {ty}, ptr {place}, !invariant.load !0"));
        }
        self.text.line("%scratch_address = ptrtoint ptr %scratch to i64");
        self.text.line("%warp = alloca i32");
        self.text.line("%seen = alloca i64");
        self.text.line("%patience = alloca i32");
        self.text.line("%rounds = alloca i32");
        self.text.line("%index = alloca i32");
        self.begin_doubts();
        self.text.line("store i32 %index0, ptr %index");
        self.text.line("%buffer = alloca [256 x i8], align 32");
        self.packed_places();
        for register in self.all_registers() {
            for (world, facts) in [(World::First, &self.first.facts), (World::Second, &self.second.facts)] {
                let kind = facts.kinds[register as usize];
                let (variable, ty) = (self.variable(world, register), self.type_of(register, kind));
                let needed = world == World::First && !self.is_resident(register);
                if needed || variable.starts_with("%s") {
                    self.text.line(format!("{variable} = alloca {ty}"));
                }
            }
        }
        self.text.line("store i32 %first, ptr %warp");
        let place = self.field(offset_of!(Frame, seen));
        let seen = self.text.value(format!("load i64, ptr {place}"));
        self.text.line(format!("store i64 {seen}, ptr %seen"));
        let cases: Vec<String> =
            (1..self.regions.len()).map(|region| format!("i32 {region}, label %r{region}h")).collect();
        self.text.line(format!("switch i32 %region, label %r0h [ {} ]", cases.join(" ")));
        text += &self.text.take();
        text += &self.done;
        self.row_tail();
        text += &self.text.take();
        text += "parted:\n  ret i32 1\n}\n";
        text += &self.text.declarations();
        text + "!0 = !{}\n!1 = !{!\"branch_weights\", i32 2000, i32 1}\n"
    }
}

/// Blocks that lanes reach from a region's first block without a barrier.
fn region_blocks(graph: &Graph, entry: usize) -> Set {
    let mut reached = Set::new(graph.blocks.len());
    let mut waiting = vec![entry];
    while let Some(block) = waiting.pop() {
        if reached.insert(block) && !matches!(graph.blocks[block].end, End::Barrier { .. }) {
            waiting.extend(graph.blocks[block].successors());
        }
    }
    reached
}

/// Regions that can follow one.
fn reachable_regions(graph: &Graph, regions: &[usize], entry: usize) -> Vec<usize> {
    let blocks = region_blocks(graph, entry);
    let mut following: Vec<usize> = blocks
        .iter()
        .filter_map(|block| match graph.blocks[block].end {
            End::Barrier { next } => regions.iter().position(|entry| *entry == next),
            _ => None,
        })
        .collect();
    following.sort_unstable();
    following.dedup();
    following
}

/// Registers that a region may write.
fn written_in_region(body: &Body, graph: &Graph, entry: usize) -> Set {
    let mut written = Set::new(body.register_count as usize);
    for block in region_blocks(graph, entry).iter() {
        for index in graph.blocks[block].instructions.clone() {
            graph.roles[index].writes.iter().for_each(|register| {
                written.insert(*register as usize);
            });
        }
    }
    written
}
