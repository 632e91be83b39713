//! A group's loads, done when the first of them is due.

use super::Lowering;
use super::groups::{Group, Member};
use super::memory::{Access, Room};
use super::rows::part_of_rows;
use crate::kind::{Kind, LANES, Pattern};

impl Lowering<'_> {
    /// The values of a load that is part of a group, if all lanes execute and lie in a pattern.
    pub(super) fn fetched(&mut self, at: usize) -> Option<Vec<String>> {
        if let Some(values) = self.fetched.get(&at) {
            return Some(values.clone());
        }
        let number = *self.groups.of.get(&at)?;
        let group = self.groups.list[number].clone();
        if self.mask.is_some() || self.guard.is_some() {
            return None;
        }
        let Kind::Pattern(kind) = self.kind(group.base) else { return None };
        let pattern = *self.facts().patterns.get(kind);
        let start = group.members[0].offset + pattern[0];
        let mut places = places_of(&group.members, &pattern);
        let all = || places.iter().flatten().copied();
        if !all().all(|place| (place - start) % group.align == 0) {
            return None;
        }
        let (least, most) = (all().min()?, all().max()?);
        let access = Access { bits: group.members[0].bits, count: 1, constant: group.constant };
        let real = match self.tested.get(&number) {
            Some(real) => real.clone(),
            None => {
                let real = self.checked_group(&group, least, most, start, access)?;
                if group.by_block && group.room == Room::Window {
                    self.want_ahead(&real, &all().collect::<Vec<i64>>());
                }
                real
            }
        };
        let mut members = group.members;
        if let Some(part) = part_of_rows(&places, access, at, &members, pattern[0]) {
            // The others when they are needed: registers would not hold them all.
            members.retain(|member| part.contains(&(member.offset + pattern[0])));
            places = places_of(&members, &pattern);
            self.tested.insert(number, real.clone());
            self.used.note("part of rows");
        }
        self.note_group(&members);
        let values = self.fetch(&real, &places, access, group.align);
        let mut values = values.into_iter();
        for member in &members {
            let mine: Vec<String> = values.by_ref().take(member.count).collect();
            match member.loads[..] {
                [load] => {
                    self.fetched.insert(load, mine);
                }
                [low, high] => {
                    let (word, half) = (format!("<{LANES} x i32>"), format!("<{LANES} x i16>"));
                    let above = self.text.value(format!("lshr {word} {}, splat (i32 16)", mine[0]));
                    let first = self.text.value(format!("trunc {word} {} to {half}", mine[0]));
                    let second = self.text.value(format!("trunc {word} {above} to {half}"));
                    self.fetched.insert(low, vec![first]);
                    self.fetched.insert(high, vec![second]);
                }
                _ => return None,
            }
        }
        self.fetched.get(&at).cloned()
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
        least: i64,
        most: i64,
        start: i64,
        access: Access,
    ) -> Option<String> {
        let bits = self.bits(group.base);
        if bits != 64 && group.room != Room::Shared {
            return None;
        }
        let value = self.register(group.base);
        let base = self.in_width(value, bits, 64).name;
        let zeros = self.facts().register(group.base).zeros;
        let aligned = zeros >= group.align.trailing_zeros() && start % group.align == 0;
        let even = (!aligned).then_some((start, group.align));
        Some(self.reachable(group.room, &base, least..=most, access, even, None))
    }
}

/// Where lanes find each element of some loads.
fn places_of(members: &[Member], pattern: &Pattern) -> Vec<Vec<i64>> {
    let mut places = Vec::new();
    for member in members {
        for element in 0..member.count as i64 {
            let more = member.offset + element * i64::from(member.bits / 8);
            places.push(pattern.iter().map(|lane| lane + more).collect());
        }
    }
    places
}
