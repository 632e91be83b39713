//! What a session may ask of the driver.
//!
//! ```text
//!   a row ── in a denied set? ──▶ refused
//!         └─ is there a list of what is allowed, of sets or of rows? ── no ──▶ allowed
//!                                     └── yes: in it? ──▶ allowed, else refused
//! ```
//!
//! What is refused is answered like what the tables do not have, and named once with its set.

use std::collections::BTreeSet;

use nvidia_abi::{Abi, Kind, Row};

use crate::sets::Set;

/// What is allowed; everything, to begin with.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    denied: BTreeSet<Set>,
    allowed: Option<Allowed>,
}

#[derive(Clone, Debug, Default)]
struct Allowed {
    sets: BTreeSet<Set>,
    rows: BTreeSet<Key>,
}

/// A row, by its kind and number.
pub type Key = (Kind, u32);

/// Something that was refused because the session may not ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Its name.
    pub what: String,
    /// What it belongs to.
    pub set: Set,
}

/// A name, or a number, that no row has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the driver {version} has no {} `{name}`", kind_name(*.kind))]
pub struct NoSuchRow {
    kind: Kind,
    name: String,
    version: &'static str,
}

/// Kinds of rows that policies name, and what lists of them are called.
pub const KINDS: [(Kind, &str); 4] =
    [(Kind::Escape, "escapes"), (Kind::Class, "classes"), (Kind::Control, "controls"), (Kind::Uvm, "uvm")];

/// Of one.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Class => "class",
        Kind::Control => "control",
        Kind::Uvm => "command of /dev/nvidia-uvm",
        _ => "escape",
    }
}

impl Policy {
    /// Only what is allowed by name, of which this is some. What every program needs is as well.
    pub fn allow(&mut self, sets: &[Set]) {
        let allowed = self.allowed.get_or_insert_default();
        allowed.sets.insert(Set::Basic);
        allowed.sets.extend(sets);
    }

    /// Nothing of these.
    pub fn deny(&mut self, sets: &[Set]) {
        self.denied.extend(sets);
    }

    /// Only what is allowed by name, of which these rows are some.
    pub fn allow_rows(&mut self, rows: impl IntoIterator<Item = Key>) {
        self.allowed.get_or_insert_default().rows.extend(rows);
    }

    /// Whether a row may be asked.
    pub fn permits(&self, row: &Row) -> bool {
        let set = Set::of(row);
        let is_listed = |allowed: &Allowed| allowed.sets.contains(&set) || allowed.rows.contains(&key(row));
        !self.denied.contains(&set) && self.allowed.as_ref().is_none_or(is_listed)
    }
}

/// Forms of an escape are that escape.
pub fn key(row: &Row) -> Key {
    (if row.kind == Kind::Form { Kind::Escape } else { row.kind }, row.number)
}

/// The row of a kind that has such a name, or number as in `0x2080a026`.
pub fn named(abi: &Abi, kind: Kind, name: &str) -> Result<Key, NoSuchRow> {
    let number = name.strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let is_meant = |row: &&Row| row.kind == kind && (row.name == Some(name) || Some(row.number) == number);
    let missing = || NoSuchRow { kind, name: name.to_owned(), version: abi.version() };
    abi.rows().find(is_meant).map(key).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abi() -> Abi {
        Abi::of("580.159.04").expect("known")
    }

    fn permitted(policy: &Policy, names: &[&str]) -> Vec<bool> {
        let abi = abi();
        names.iter().map(|name| policy.permits(abi.named(name).expect("a row"))).collect()
    }

    const SOME: [&str; 3] = ["NV_ESC_RM_ALLOC", "HOPPER_COMPUTE_A", "NV_ESC_RM_SHARE"];

    #[test]
    fn without_a_word_everything_is_allowed() {
        assert_eq!(permitted(&Policy::default(), &SOME), [true; 3]);
    }

    #[test]
    fn what_is_allowed_by_sets_comes_with_the_basic_one() {
        let mut policy = Policy::default();
        policy.allow(&[Set::Ipc]);
        assert_eq!(permitted(&policy, &SOME), [true, false, true]);
        policy.deny(&[Set::Ipc]);
        assert_eq!(permitted(&policy, &SOME), [true, false, false]);
    }

    #[test]
    fn what_is_denied_is_all_that_is_refused() {
        let mut policy = Policy::default();
        policy.deny(&[Set::Compute]);
        assert_eq!(permitted(&policy, &SOME), [true, false, true]);
    }

    #[test]
    fn rows_are_allowed_alone() {
        let (abi, mut policy) = (abi(), Policy::default());
        policy.allow_rows([named(&abi, Kind::Class, "HOPPER_COMPUTE_A").expect("a row")]);
        assert_eq!(permitted(&policy, &SOME), [false, true, false]);
        policy.allow_rows([named(&abi, Kind::Escape, "0x2b").expect("a row")]);
        assert_eq!(permitted(&policy, &SOME), [true, true, false]);
        let wrong = named(&abi, Kind::Control, "NV_ESC_RM_ALLOC").expect_err("an escape");
        assert_eq!(wrong.to_string(), "the driver 580.159.04 has no control `NV_ESC_RM_ALLOC`");
        assert!(named(&abi, Kind::Uvm, "0xffff").is_err());
    }
}
