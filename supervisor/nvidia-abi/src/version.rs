//! Releases of the driver, each told by what differs from its parent.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::RELEASES;
use crate::parse::{self, Key};
use crate::row::Row;

/// A driver whose ioctls are not known.
#[derive(Debug, thiserror::Error)]
#[error(
    "the ioctls of NVIDIA's driver {asked} are not known; the nearest release that is known is {nearest}"
)]
pub struct UnknownVersion {
    /// The version asked for.
    pub asked: String,
    /// The known one of its branch that is nearest, or else the nearest of all.
    pub nearest: &'static str,
}

impl UnknownVersion {
    /// The option by which somebody says which release's tables to use.
    pub const OVERRIDE: &str = "--driver-abi";

    /// What to do about it.
    pub fn hint(&self) -> String {
        format!(
            "`{} {}` takes the driver for that one; a call that differs may then fail",
            Self::OVERRIDE,
            self.nearest
        )
    }
}

/// As many rows as the largest releases have, and some more.
const ROWS: usize = 2000;

/// Every known release, oldest first.
pub fn versions() -> Vec<&'static str> {
    let mut versions: Vec<_> = RELEASES.iter().map(|release| release.version).collect();
    versions.sort_by_key(|version| numbers(version));
    versions
}

/// The rows of a release.
pub(crate) fn rows(asked: &str) -> Result<(&'static str, HashMap<Key, Row>), UnknownVersion> {
    let find = |version| RELEASES.iter().find(|release| release.version == version);
    let Some(release) = find(asked) else {
        return Err(UnknownVersion { asked: asked.into(), nearest: nearest(asked) });
    };
    let mut chain = vec![release];
    while let Some(parent) = chain[chain.len() - 1].parent {
        chain.push(find(parent).expect("a parent has a table"));
    }
    let mut lines = HashMap::with_capacity(ROWS);
    for line in chain.iter().rev().flat_map(|release| release.lines) {
        parse::apply(&mut lines, line);
    }
    Ok((release.version, lines.into_iter().map(|(key, line)| (key, parse::row(key, line))).collect()))
}

/// The parts of `580.159.04`; what is no number counts as none.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// The nearest release of the same branch; for another branch, the nearest end of the nearest one.
fn nearest(asked: &str) -> &'static str {
    let asked = numbers(asked);
    let distance = |version: &&'static str| {
        let known = numbers(version);
        (0..3).map(|index| part(&known, index).abs_diff(part(&asked, index))).collect::<Vec<_>>()
    };
    let versions = versions();
    let closest = *versions.iter().min_by_key(|version| distance(version)[0]).expect("tables are not empty");
    let branch = part(&numbers(closest), 0);
    let mut of_branch = versions.into_iter().filter(|version| part(&numbers(version), 0) == branch);
    match branch.cmp(&part(&asked, 0)) {
        Ordering::Equal => of_branch.min_by_key(distance),
        Ordering::Less => of_branch.next_back(),
        Ordering::Greater => of_branch.next(),
    }
    .expect("the branch has the closest")
}

fn part(numbers: &[u64], index: usize) -> u64 {
    numbers.get(index).copied().unwrap_or(0)
}
