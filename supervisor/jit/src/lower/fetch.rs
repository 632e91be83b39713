//! A group's loads, done when the first of them is due.

use std::ops::{Range, RangeInclusive};

use super::Lowering;
use super::groups::{Group, Member};
use super::memory::{Access, Room};
use super::reach::rises;
use super::rows::part_of_rows;
use crate::kind::Kind;

impl Lowering<'_> {
    /// The values of a load that is part of a group, if the lanes lie in a pattern.
    pub(super) fn fetched(&mut self, at: usize) -> Option<Vec<String>> {
        if let Some(values) = self.known_fetched(at) {
            return Some(values);
        }
        let number = *self.groups.of.get(&at)?;
        let group = self.groups.list[number].clone();
        let kind = self.kind(group.base);
        if self.guard.is_some() || !matches!(kind, Kind::Pattern(_)) {
            return None;
        }
        let real = self.real_base(number)?;
        let real = self.moved(&real, kind, 64);
        let pattern = self.pattern_here(kind);
        let access = group.access();
        let mut members = near(group.members, at, &pattern);
        let mut places = places_of(&members, &pattern);
        if let Some(part) = part_of_rows(&places, access, at, &members, pattern[0]) {
            // The others when they are needed: registers would not hold them all.
            members.retain(|member| part.contains(&(member.offset + pattern[0])));
            places = places_of(&members, &pattern);
            self.used.note("part of rows");
        }
        self.note_group(&members);
        let lanes = self.mask.clone();
        let values = self.fetch(&real, &places, access, group.align, lanes.as_deref());
        let mut values = values.into_iter();
        for member in &members {
            let mine: Vec<String> = values.by_ref().take(member.count).collect();
            match member.loads[..] {
                [load] => {
                    self.keep_fetched(load, mine);
                }
                [low, high] => {
                    let (word, half) = (self.text.integer(32, true), self.text.integer(16, true));
                    let above = self.text.value(format!("lshr {word} {}, splat (i32 16)", mine[0]));
                    let first = self.text.value(format!("trunc {word} {} to {half}", mine[0]));
                    let second = self.text.value(format!("trunc {word} {above} to {half}"));
                    self.halves.note_part(&first, &mine[0], 0);
                    self.halves.note_part(&second, &mine[0], 1);
                    self.keep_fetched(low, vec![first]);
                    self.keep_fetched(high, vec![second]);
                }
                _ => return None,
            }
        }
        self.known_fetched(at)
    }

    /// The real place of a load that is part of a group whose base all lanes share.
    pub(super) fn shared_place(&mut self, at: usize) -> Option<String> {
        let number = *self.groups.of.get(&at)?;
        let group = &self.groups.list[number];
        if self.pass.is_none() || self.guard.is_some() || self.kind(group.base) != Kind::Uniform {
            return None;
        }
        let member = group.members.iter().find(|member| member.loads.contains(&at))?;
        let second = member.loads[0] != at;
        let offset = member.offset + if second { i64::from(member.bits / 16) } else { 0 };
        let real = self.real_base(number)?;
        let real = self.hidden(&real);
        Some(self.plus(&real, offset, false))
    }

    /// The real base of a group's loads, all of which are tested when the first of them is due.
    pub(super) fn real_base(&mut self, number: usize) -> Option<String> {
        if let Some(real) = self.tested.get(&number) {
            return Some(real.clone());
        }
        let group = self.groups.list[number].clone();
        let kind = self.kind(group.base);
        let pattern = self.pattern_tested(kind);
        let some = self.mask.is_some() && kind != Kind::Uniform;
        if kind == Kind::Varying || some && !self.is_for_some(group.room, &pattern) {
            return None;
        }
        let start = group.members[0].offset + pattern[0];
        let places = places_of(&group.members, &pattern);
        let all = || places.iter().flatten().copied();
        if !all().all(|place| (place - start) % group.align == 0) {
            return None;
        }
        let (least, most) = (all().min()?, all().max()?);
        let real = self.checked_group(&group, least..=most, start, &pattern)?;
        if group.by_block && group.room == Room::Window && self.mask.is_none() && kind != Kind::Uniform {
            self.want_ahead(&real, &all().collect::<Vec<i64>>(), group.tile);
        }
        self.tested.insert(number, real.clone());
        Some(real)
    }

    fn note_group(&mut self, members: &[Member]) {
        if members.len() > 1 {
            self.used.note("group");
        }
        if members.iter().any(|member| member.loads.len() > 1) {
            self.used.note("halves as a word");
        }
    }

    /// Tests all accesses of a group, and answers its real base.
    fn checked_group(
        &mut self,
        group: &Group,
        range: RangeInclusive<i64>,
        start: i64,
        pattern: &[i64],
    ) -> Option<String> {
        let access = group.access();
        let bits = self.bits(group.base);
        if bits != 64 && group.room != Room::Shared {
            return None;
        }
        let value = self.register(group.base);
        let base = self.in_width(value, bits, 64).name;
        let zeros = self.facts().register(group.base).zeros;
        let aligned = zeros >= group.align.trailing_zeros() && start % group.align == 0;
        let even = (!aligned).then_some((start, group.align));
        let Some(lanes) = self.mask.clone().filter(|_| self.kind(group.base) != Kind::Uniform) else {
            return Some(self.reachable(group.room, &base, range, access, even, None));
        };
        // What each lane reads behind its place.
        let own = range.start() - pattern[0]..=range.end() - pattern[pattern.len() - 1];
        Some(self.reachable_by(group.room, &base, pattern, own, access, even, &lanes))
    }

    /// Whether loads of lanes in a pattern can be done for some of the lanes alone: their ends must tell where all of them are.
    fn is_for_some(&self, room: Room, pattern: &[i64]) -> bool {
        !matches!(room, Room::Generic | Room::Stacked) && rises(pattern)
    }
}

impl Group {
    /// What an element's access is like.
    fn access(&self) -> Access {
        Access { bits: self.members[0].bits, count: 1, constant: self.constant }
    }
}

/// Of the loads of a group those that lie among each other and among those of one of them. The others are done when they are
/// needed: registers would not hold them all.
fn near(mut members: Vec<Member>, at: usize, pattern: &[i64]) -> Vec<Member> {
    let lanes = pattern.iter().copied();
    let (Some(least), Some(most)) = (lanes.clone().min(), lanes.max()) else { return members };
    let range = |member: &Member| {
        let end = member.offset + most + member.count as i64 * i64::from(member.bits / 8);
        member.offset + least..end
    };
    let Some(first) = members.iter().find(|member| member.loads.contains(&at)).map(range) else {
        return members;
    };
    let mut reach = first;
    loop {
        let touches = |other: &Range<i64>| other.start < reach.end && reach.start < other.end;
        let among = members.iter().map(range).filter(touches);
        let wider = among.fold(reach.clone(), |a, b| a.start.min(b.start)..a.end.max(b.end));
        if wider == reach {
            break;
        }
        reach = wider;
    }
    members.retain(|member| range(member).start < reach.end && reach.start < range(member).end);
    members
}

/// Where lanes find each element of some loads.
fn places_of(members: &[Member], pattern: &[i64]) -> Vec<Vec<i64>> {
    let mut places = Vec::new();
    for member in members {
        for element in 0..member.count as i64 {
            let more = member.offset + element * i64::from(member.bits / 8);
            places.push(pattern.iter().map(|lane| lane + more).collect());
        }
    }
    places
}
