//! Regions, the loop over warps, and how blocks end in both worlds.

use std::mem::offset_of;

use interpreter::compiled::{ENDED, Frame, Leads, Place};
use ptx::RegisterId;

use super::narrow::FEW;
use super::regions::reachable_regions;
use super::{Ends, Lowering, Queue, World};
use crate::graph::End;
use crate::kind::Kind;

impl Lowering<'_> {
    /// The head of a region's loop over warps, up to its first block.
    pub(super) fn region_head(&mut self, entry: usize) {
        let region = self.region;
        self.text.begin(&format!("r{region}h"));
        let turn = self.text.value(format!("load i32, ptr {}", self.turn_variable()));
        let more = self.text.value(format!("icmp ult i32 {turn}, %count"));
        self.text.line(format!("br i1 {more}, label %r{region}w, label %r{region}t"));
        self.text.begin(&format!("r{region}w"));
        let warp = self.warp_of_turn(turn);
        self.text.line(format!(
            "%place{region} = getelementptr [{} x i8], ptr %warps, i32 {warp}",
            size_of::<Place>()
        ));
        let file = offset_of!(Place, registers);
        let words = offset_of!(Place, words);
        for (name, offset) in [("file", file), ("words", words)] {
            let place = self.text.value(format!("getelementptr i8, ptr %place{region}, i64 {offset}"));
            self.text.line(format!("%{name}{region} = load ptr, ptr {place}, !invariant.load !0"));
        }
        let next = offset_of!(Place, next);
        self.text.line(format!("%next{region} = getelementptr i8, ptr %place{region}, i64 {next}"));
        if self.turns.contains_key(&entry) {
            self.take_turn();
        } else if self.ways.is_whole(region) {
            self.text.line(format!("br label %r{region}b"));
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
        let (recomputed, _) = self.recomputing(entry);
        for register in live.iter().filter(|register| !recomputed.has(*register)) {
            if self.bits(register as RegisterId) != 0 {
                self.load_in(register as RegisterId);
            }
        }
        self.recompute(entry);
        let label = match self.turns.contains_key(&entry) {
            true => self.rounds_label(),
            false => self.label(World::First, entry),
        };
        if self.has_parts() {
            return self.begin_part(entry, &label);
        }
        self.text.line(format!("br label %{label}"));
    }

    /// The variable that counts warps: their numbers, if they run in that order.
    fn turn_variable(&self) -> &'static str {
        if self.manner.forced.order.is_some() { "%turn" } else { "%warp" }
    }

    /// The warp whose turn it is.
    fn warp_of_turn(&mut self, turn: String) -> String {
        if self.manner.forced.order.is_none() {
            return turn;
        }
        let before = self.text.value(format!("mul i32 {}, %count", self.region));
        let place = self.text.value(format!("add i32 {before}, {turn}"));
        let place = self.text.value(format!("getelementptr i32, ptr %order, i32 {place}"));
        let warp = self.text.value(format!("load i32, ptr {place}"));
        self.text.line(format!("store i32 {warp}, ptr %warp"));
        warp
    }

    /// Remembers that a warp has come to a region.
    pub(super) fn see(&mut self, bit: &str) {
        let seen = self.text.value("load i64, ptr %seen");
        let all = self.text.value(format!("or i64 {seen}, {bit}"));
        self.text.line(format!("store i64 {all}, ptr %seen"));
    }

    /// Behind a region: the next warp, or, behind the last, the region that all warps have come to.
    pub(super) fn region_tail(&mut self) {
        let region = self.region;
        self.text.begin(&format!("r{region}n"));
        let counter = self.turn_variable();
        let turn = self.text.value(format!("load i32, ptr {counter}"));
        let next = self.text.value(format!("add i32 {turn}, 1"));
        self.text.line(format!("store i32 {next}, ptr {counter}"));
        self.text.line(format!("br label %r{region}h"));
        self.text.begin(&format!("r{region}t"));
        let seen = self.text.value("load i64, ptr %seen");
        self.text.line("store i64 0, ptr %seen");
        self.text.line(format!("store i32 0, ptr {counter}"));
        if self.ways.leads(region) != Leads::Open && self.regions.len() > 1 {
            self.used.note("certain region");
        }
        match self.ways.leads(region) {
            Leads::Region(next) => self.text.line(format!("br label %r{next}h")),
            Leads::End => self.text.line("br label %done"),
            Leads::Open => self.region_choice(&seen),
        }
    }

    /// To the region that all warps have come to.
    fn region_choice(&mut self, seen: &str) {
        let region = self.region;
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
            World::Second | World::Narrow => self.end_second(queue),
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

    pub(super) fn go_first(&mut self, block: usize, queue: &mut Queue) {
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
            let mut word = condition.name;
            if let Some(Ends { any, all, parted: known }) = self.ends.take() {
                if let Some(lanes) = known {
                    self.used.note("parted in a known way");
                    word = (if negated { !lanes } else { lanes } as i32).to_string();
                }
                self.used.note("ends of a pattern");
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
            match self.detour(taken, next) {
                Some(detour) => self.take_detour(&detour, &word, queue),
                None => self.part(&word, taken, next, queue),
            }
        } else {
            self.text.line(format!("br i1 {}, label %{there}, label %{here}", condition.name));
        }
        if taken.is_none() {
            self.text.begin(&ended);
            self.warp_ended();
        }
        self.end_round();
    }

    /// All lanes of the warp are at a barrier, or at the head of a loop in which warps take turns.
    pub(super) fn arrive(&mut self, next: usize) {
        let region = self.regions.iter().position(|entry| *entry == next).unwrap_or(0);
        let live = self.graph.live_in[next].clone();
        let (recomputed, _) = self.recomputing(next);
        let (fresh, _) = self.recomputing(self.regions[self.region]);
        for register in live.iter().filter(|register| !recomputed.has(*register)) {
            // What the region has only read is where it was.
            let is_new = self.region == 0 || self.changed.has(register) || fresh.has(register);
            if is_new && self.bits(register as RegisterId) != 0 {
                self.store_out(register as RegisterId);
            }
        }
        if self.ways.is_noted(self.region, region) {
            self.text.line(format!("store i32 {region}, ptr %next{}", self.region));
        }
        if self.ways.leads(self.region) == Leads::Open {
            self.see(&(1u64 << region).to_string());
        }
        self.text.line(format!("br label %r{}n", self.region));
    }

    pub(super) fn warp_ended(&mut self) {
        if self.ways.leads(self.region) == Leads::Open {
            self.text.line(format!("store i32 {}, ptr %next{}", ENDED as i32, self.region));
        }
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
        self.begin_next();
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
            ("tiles", "ptr", offset_of!(Frame, tiles)),
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
        self.text.line("%pass = alloca i32");
        self.text.line("%index = alloca i32");
        self.text.line("%proven = alloca i32");
        if self.manner.forced.order.is_some() {
            self.text.line("%turn = alloca i32");
            let place = self.field(offset_of!(Frame, order));
            self.text.line(format!("%order = load ptr, ptr {place}, !invariant.load !0"));
        }
        self.begin_doubts();
        self.begin_atomics();
        self.begin_reach();
        self.text.line("store i32 %index0, ptr %index");
        self.text.line("store i32 0, ptr %proven");
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
        self.declare_pass_variables();
        if self.has_narrow() {
            let all = self.all_registers();
            let narrow: Vec<RegisterId> = all.into_iter().filter(|it| self.is_narrow(*it)).collect();
            for register in narrow {
                let variable = self.variable(World::Narrow, register);
                self.text.line(format!("{variable} = alloca <{FEW} x i{}>", self.bits(register)));
            }
        }
        self.text.line(format!("store i32 %first, ptr {}", self.turn_variable()));
        let place = self.field(offset_of!(Frame, seen));
        let seen = self.text.value(format!("load i64, ptr {place}"));
        self.text.line(format!("store i64 {seen}, ptr %seen"));
        let cases: Vec<String> =
            (1..self.regions.len()).map(|region| format!("i32 {region}, label %r{region}h")).collect();
        self.text.line(format!("switch i32 %region, label %begin [ {} ]", cases.join(" ")));
        self.text.begin("begin");
        let is_first = self.text.value("icmp eq i32 %first, 0");
        self.text.line(format!("br i1 {is_first}, label %{}, label %r0h", self.begin_label()));
        text += &self.text.take();
        text += &self.done;
        self.row_tail();
        text += &self.text.take();
        text += "parted:\n  ret i32 1\n}\n";
        text += &self.text.declarations();
        text + "!0 = !{}\n!1 = !{!\"branch_weights\", i32 2000, i32 1}\n"
    }
}
