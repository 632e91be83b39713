//! Whether accesses stay where they may go: tested once for all lanes; where the test fails the interpreter finds out.

use std::ops::RangeInclusive;

use super::memory::{Access, Address, Room};
use super::{Lowered, Lowering, Value};
use crate::kind::{Kind, LANES};
use crate::text::constants;

/// Bytes of the widest access.
const WIDEST: i64 = 32;

impl Lowering<'_> {
    /// Tests that an access with the lowest and highest of some offsets stays where it may go, and answers its real address.
    pub(super) fn checked(
        &mut self,
        address: &Address,
        access: Access,
        lanes: Option<&str>,
    ) -> Lowered<Value> {
        if address.value.kind == Kind::Varying {
            return self.checked_vector(address, access, lanes);
        }
        let pattern = self.pattern_tested(address.value.kind);
        let least = *pattern.iter().min().unwrap_or(&0);
        let most = *pattern.iter().max().unwrap_or(&0);
        let base = address.value.name.clone();
        let aligned = address.zeros >= access.total().trailing_zeros()
            && pattern.iter().all(|more| more % access.total() == 0);
        if pattern.iter().any(|more| (more - pattern[0]) % access.total() != 0) {
            return Err("lanes that are aligned in different ways".into());
        }
        let even = (!aligned && access.total() > 1).then_some((pattern[0], access.total()));
        let step = self.plan.stack_bytes as i64;
        let own = (0..).zip(pattern.iter()).all(|(lane, more)| more - pattern[0] == lane * step);
        let room = match address.room {
            Room::Generic if own && step > 0 => {
                self.used.note("stacked");
                Room::Stacked
            }
            room => room,
        };
        let any = matches!(room, Room::Generic | Room::Stacked);
        let name = match (room, lanes) {
            (Room::Sure, _) => base,
            // A range for all lanes would have to lie in one of the rooms: only of a single room its ends say all.
            (room, Some(lanes)) if !any && least != most && rises(&pattern) => {
                self.reachable_by(room, &base, &pattern, 0..=0, access, even, lanes)
            }
            (room, lanes) => self.reachable(room, &base, least..=most, access, even, lanes),
        };
        Ok(Value { kind: address.value.kind, name })
    }

    /// [`Lowering::reachable`] for the lanes that execute, of which the others may be beyond the end: at the first and the last
    /// one of a pattern that rises. Each accesses what lies in a range behind its place.
    #[expect(clippy::too_many_arguments, reason = "what reachable has, and the lanes")]
    pub(super) fn reachable_by(
        &mut self,
        room: Room,
        base: &str,
        pattern: &[i64],
        range: RangeInclusive<i64>,
        access: Access,
        even: Option<(i64, i64)>,
        lanes: &str,
    ) -> String {
        self.used.note("reach by lanes");
        let flag = ("i1", "false");
        let first = self.text.call("llvm.cttz.i32", "i32", &[("i32", lanes), flag]);
        let above = self.text.call("llvm.ctlz.i32", "i32", &[("i32", lanes), flag]);
        let last = self.text.value(format!("sub i32 31, {above}"));
        let (ty, table) = (format!("<{} x i64>", pattern.len()), constants(64, pattern.iter().copied()));
        let step = pattern[1] - pattern[0];
        let is_even = pattern.windows(2).all(|pair| pair[1] - pair[0] == step);
        for (lane, end) in [(first, range.start()), (last, range.end())] {
            // Without lanes any of them will do: nothing is assumed then.
            let lane = self.text.value(format!("and i32 {lane}, {}", pattern.len() - 1));
            let more = if is_even {
                let lane = self.text.value(format!("zext i32 {lane} to i64"));
                let far = self.text.value(format!("mul i64 {lane}, {step}"));
                self.plus(&far, pattern[0], false)
            } else {
                self.text.value(format!("extractelement {ty} {table}, i32 {lane}"))
            };
            let place = self.text.value(format!("add i64 {base}, {more}"));
            self.reachable(room, &place, *end..=*end, access, None, Some(lanes));
        }
        self.assume_even(base, even, Some(lanes));
        let shared = room == Room::Shared;
        if shared { self.text.value(format!("add i64 {base}, %shared")) } else { base.to_string() }
    }

    /// Assumes that accesses from the first to the last of a range behind a base stay in a room, and that the address `even.0`
    /// behind the base is a multiple of `even.1`. Answers the base's real address.
    pub(super) fn reachable(
        &mut self,
        room: Room,
        base: &str,
        range: RangeInclusive<i64>,
        access: Access,
        even: Option<(i64, i64)>,
        lanes: Option<&str>,
    ) -> String {
        let (least, most) = range.into_inner();
        let shared = room == Room::Shared;
        if shared {
            let end = self.plus(base, most + access.total(), false);
            let inside = self.text.value(format!("icmp sle i64 {end}, %shared_bytes"));
            self.assume_for(&inside, lanes);
            let start = self.plus(base, least.min(0), false);
            let inside = self.text.value(format!("icmp sge i64 {start}, 0"));
            self.assume_for(&inside, lanes);
        } else {
            let inside = self.inside(room, base, least, most, access);
            self.assume_for(&inside, lanes);
        }
        self.assume_even(base, even, lanes);
        if shared { self.text.value(format!("add i64 {base}, %shared")) } else { base.to_string() }
    }

    /// Assumes that accesses from the first to the last of a range behind each of two bases are to device memory, and aligned.
    pub(super) fn assume_in_window(&mut self, bases: [&str; 2], range: &RangeInclusive<i64>, access: Access) {
        let mut all = String::from("0");
        for base in bases {
            let offset = self.text.value(format!("sub i64 {base}, %window"));
            for place in [range.start(), range.end()] {
                let place = self.plus(&offset, *place, false);
                all = self.text.value(format!("or i64 {all}, {place}"));
            }
        }
        let wrong = self.text.value(format!("or i64 %outside, {}", access.total() - 1));
        let wrong = self.text.value(format!("and i64 {all}, {wrong}"));
        let right = self.text.value(format!("icmp eq i64 {wrong}, 0"));
        self.assume(&right);
    }

    /// Assumes that the address `even.0` behind the base is a multiple of `even.1`.
    fn assume_even(&mut self, base: &str, even: Option<(i64, i64)>, lanes: Option<&str>) {
        let Some((place, multiple)) = even else { return };
        let start = self.plus(base, place, false);
        let rest = self.text.value(format!("and i64 {start}, {}", multiple - 1));
        let even = self.text.value(format!("icmp eq i64 {rest}, 0"));
        self.assume_for(&even, lanes);
    }

    /// [`Lowering::assume`], or that no lane executes.
    fn assume_for(&mut self, test: &str, lanes: Option<&str>) {
        match lanes {
            Some(lanes) if self.guard.is_some() => {
                let none = self.text.value(format!("icmp eq i32 {lanes}, 0"));
                let test = self.text.value(format!("or i1 {none}, {test}"));
                self.assume(&test);
            }
            _ => self.assume(test),
        }
    }

    /// Whether lanes from `least` to `most` behind a base lie in a room.
    fn inside(&mut self, room: Room, base: &str, least: i64, most: i64, access: Access) -> String {
        let mut tests = Vec::new();
        if matches!(room, Room::Window | Room::Generic | Room::Stacked) {
            let offset = self.text.value(format!("sub i64 {base}, %window"));
            let first = self.plus(&offset, least, false);
            let last = self.plus(&offset, most, false);
            let both = if least == most { first } else { self.text.value(format!("or i64 {first}, {last}")) };
            let wrong = self.text.value(format!("and i64 {both}, %outside"));
            tests.push(self.text.value(format!("icmp eq i64 {wrong}, 0")));
        }
        let mut between = |lowering: &mut Self, start: &str, bytes: String| {
            let offset = lowering.text.value(format!("sub i64 {base}, {start}"));
            let first = lowering.plus(&offset, least, false);
            let end = lowering.plus(&offset, most + access.total(), false);
            let low = lowering.text.value(format!("icmp sge i64 {first}, 0"));
            let high = lowering.text.value(format!("icmp sle i64 {end}, {bytes}"));
            tests.push(lowering.text.value(format!("and i1 {low}, {high}")));
        };
        if matches!(room, Room::Generic | Room::Stacked) {
            between(self, "%shared", "%shared_bytes".into());
        }
        if room == Room::Parameters {
            let bytes = self.plan.parameter_bytes.to_string();
            between(self, "%parameters", bytes);
        }
        if room == Room::Local {
            let bytes = self.local_bytes().to_string();
            between(self, "%local", bytes);
        }
        if room == Room::Stacked {
            let start = self.local_of_warp();
            between(self, &start, (LANES as u64 * self.plan.stack_bytes).to_string());
        }
        let mut all = tests.remove(0);
        for test in tests {
            all = self.text.value(format!("or i1 {all}, {test}"));
        }
        all
    }

    fn local_bytes(&self) -> u64 {
        let warps = self.block_shape.iter().product::<u32>().div_ceil(LANES as u32);
        u64::from(warps) * LANES as u64 * self.plan.stack_bytes
    }

    /// [`Lowering::checked`] where each lane has an address of its own. Lanes that do not execute get the scratch memory's.
    fn checked_vector(&mut self, address: &Address, access: Access, lanes: Option<&str>) -> Lowered<Value> {
        let ty = self.text.integer(64, true);
        let mut name = address.value.name.clone();
        let chosen = lanes.map(|lanes| self.vector_of(lanes));
        let (start, bytes) = match address.room {
            Room::Sure => (None, String::new()),
            Room::Shared => (Some("0"), "%shared_bytes".into()),
            Room::Window | Room::Generic | Room::Stacked => (Some("%window"), String::new()),
            Room::Local => (Some("%local"), self.local_bytes().to_string()),
            Room::Parameters => (Some("%parameters"), self.plan.parameter_bytes.to_string()),
        };
        if let (Room::Shared, Some(narrow)) = (address.room, &address.narrow) {
            self.assume_inside_shared(narrow, access, chosen.as_deref());
        } else if let Some(start) = start {
            let far = self.splat(start, 64);
            let mut offset = self.text.value(format!("sub {ty} {name}, {far}"));
            if let Some(chosen) = &chosen {
                offset = self.text.value(format!(
                    "select {} {chosen}, {ty} {offset}, {ty} zeroinitializer",
                    self.text.integer(1, true)
                ));
            }
            self.assume_inside(address.room, &offset, &bytes, access);
        }
        if address.room == Room::Shared {
            let far = self.splat("%shared", 64);
            name = self.text.value(format!("add {ty} {name}, {far}"));
        }
        if let Some(chosen) = &chosen {
            let scratch = self.splat("%scratch_address", 64);
            name = self.text.value(format!(
                "select {} {chosen}, {ty} {name}, {ty} {scratch}",
                self.text.integer(1, true)
            ));
        }
        Ok(Value { kind: Kind::Varying, name })
    }

    fn assume_inside(&mut self, room: Room, offset: &str, bytes: &str, access: Access) {
        let ty = self.text.integer(64, true);
        let reduce = |lowering: &mut Self, how: &str| {
            lowering.text.call(
                &format!("llvm.vector.reduce.{how}.v{}i64", lowering.text.lanes),
                "i64",
                &[(&ty, offset)],
            )
        };
        let all = reduce(self, "or");
        if matches!(room, Room::Window | Room::Generic) {
            let wrong = self.text.value(format!("or i64 %outside, {}", access.total() - 1));
            let wrong = self.text.value(format!("and i64 {all}, {wrong}"));
            let right = self.text.value(format!("icmp eq i64 {wrong}, 0"));
            return self.assume(&right);
        }
        let sure = (room == Room::Shared).then(|| self.surely_shared(&all, 64, access));
        if access.total() > 1 {
            let rest = self.text.value(format!("and i64 {all}, {}", access.total() - 1));
            let aligned = self.text.value(format!("icmp eq i64 {rest}, 0"));
            self.assume(&aligned);
        }
        let most = reduce(self, "umax");
        let end = self.text.value(format!("add i64 {most}, {}", access.total()));
        let inside = self.text.value(format!("icmp ule i64 {end}, {bytes}"));
        // An offset near the end of all addresses would wrap.
        let small = self.text.value(format!("icmp ult i64 {most}, {}", 1u64 << 40));
        let both = self.text.value(format!("and i1 {inside}, {small}"));
        self.assume(&both);
        sure.iter().for_each(|sure| self.go_on_at(sure));
    }

    /// Goes on at the answer's label if offsets into shared memory, of which `all` has all bits, lie in the largest power of two of
    /// bytes that fits, and are even: far fewer instructions say so than find the highest.
    fn surely_shared(&mut self, all: &str, bits: u32, access: Access) -> String {
        let mut outside = String::from("%shared_outside");
        if bits < 64 {
            outside = self.text.value(format!("trunc i64 {outside} to i{bits}"));
        }
        let wrong = self.text.value(format!("or i{bits} {outside}, {}", access.total() - 1));
        let wrong = self.text.value(format!("and i{bits} {all}, {wrong}"));
        let right = self.text.value(format!("icmp eq i{bits} {wrong}, 0"));
        let right = self.text.value(format!("and i1 {right}, %shared_enough"));
        let (sure, unsure) = (self.text.label(), self.text.label());
        self.text.line(format!("br i1 {right}, label %{sure}, label %{unsure}, !prof !1"));
        self.text.begin(&unsure);
        sure
    }

    fn go_on_at(&mut self, label: &str) {
        self.text.line(format!("br label %{label}"));
        self.text.begin(label);
    }

    /// What [`Lowering::surely_shared`] asks for.
    pub(super) fn begin_reach(&mut self) {
        let zeros = self.text.call("llvm.ctlz.i64", "i64", &[("i64", "%shared_bytes"), ("i1", "false")]);
        let shift = self.text.value(format!("sub i64 63, {zeros}"));
        let shift = self.text.value(format!("and i64 {shift}, 63"));
        self.text.line(format!("%shared_outside = shl i64 -1, {shift}"));
        self.text.line(format!("%shared_enough = icmp uge i64 %shared_bytes, {WIDEST}"));
    }

    /// [`Lowering::assume_inside`] of offsets of 32 bits into shared memory.
    fn assume_inside_shared(&mut self, offset: &str, access: Access, chosen: Option<&str>) {
        let (ty, width) = (self.text.integer(32, true), self.text.lanes);
        let offset = match chosen {
            Some(chosen) => self.text.value(format!(
                "select {} {chosen}, {ty} {offset}, {ty} zeroinitializer",
                self.text.integer(1, true)
            )),
            None => offset.to_string(),
        };
        let all = self.text.call(&format!("llvm.vector.reduce.or.v{width}i32"), "i32", &[(&ty, &offset)]);
        let sure = self.surely_shared(&all, 32, access);
        if access.total() > 1 {
            let rest = self.text.value(format!("and i32 {all}, {}", access.total() - 1));
            let aligned = self.text.value(format!("icmp eq i32 {rest}, 0"));
            self.assume(&aligned);
        }
        let most = self.text.call(&format!("llvm.vector.reduce.umax.v{width}i32"), "i32", &[(&ty, &offset)]);
        let most = self.text.value(format!("zext i32 {most} to i64"));
        let end = self.text.value(format!("add i64 {most}, {}", access.total()));
        let inside = self.text.value(format!("icmp ule i64 {end}, %shared_bytes"));
        self.assume(&inside);
        self.go_on_at(&sure);
    }
}

/// Whether no lane lies before the one before it.
pub(super) fn rises(pattern: &[i64]) -> bool {
    pattern.windows(2).all(|pair| pair[0] <= pair[1])
}
