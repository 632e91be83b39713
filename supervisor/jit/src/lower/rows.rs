//! Loads of which each lane has a row of words for itself: four words of all lanes are loaded as they lie, and transposed.
//!
//! ```text
//!   lane 0: a b c d     a-vector: lanes 0 to 31's a
//!   lane 1: a b c d ──▶ b-vector: …
//!   …
//! ```

use std::collections::BTreeSet;
use std::ops::Range;

use super::Lowering;
use super::groups::Member;
use super::memory::Access;

/// Words of a row that are loaded at once.
const WORDS: i64 = 4;
/// Their bytes.
const PIECE: i64 = 4 * WORDS;

/// Rows of all lanes.
struct Rows {
    /// Where each lane's row begins, from the first lane's on.
    lanes: Vec<i64>,
    /// Where pieces of the first lane's row begin.
    pieces: Vec<i64>,
}

impl Rows {
    /// Of lists of all lanes' places: if each lane reads the same words of a row of its own, and at least two pieces in a row.
    fn of(lists: &[Vec<i64>], access: Access) -> Option<Rows> {
        if access.bits != 32 || lists.iter().any(|places| places.len() % 8 != 0) {
            return None;
        }
        let lanes: Vec<i64> = lists[0].iter().map(|place| place - lists[0][0]).collect();
        let alike =
            |places: &Vec<i64>| places.iter().zip(&lanes).all(|(place, lane)| place - places[0] == *lane);
        if !lists.iter().all(alike) {
            return None;
        }
        let mut sorted = lanes.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[1] - pair[0] < 2 * PIECE) {
            return None;
        }
        let words: BTreeSet<i64> = lists.iter().map(|places| places[0]).collect();
        let (mut pieces, mut next) = (Vec::new(), words.iter().copied().peekable());
        while let Some(start) = next.next() {
            for index in 1..WORDS {
                next.next_if_eq(&(start + 4 * index))?;
            }
            pieces.push(start);
        }
        let in_a_row = pieces.chunks(2).all(|pair| matches!(pair, [a, b] if b - a == PIECE));
        in_a_row.then_some(Rows { lanes, pieces })
    }
}

/// Of a group of loads that are rows: the first lane's places of those that are loaded together with one of them.
pub(super) fn part_of_rows(
    lists: &[Vec<i64>],
    access: Access,
    load: usize,
    members: &[Member],
    first_lane: i64,
) -> Option<Range<i64>> {
    let rows = Rows::of(lists, access)?;
    let offset = members.iter().find(|member| member.loads.contains(&load))?.offset + first_lane;
    let pair = rows.pieces.chunks(2).find(|pair| (pair[0]..pair[0] + 2 * PIECE).contains(&offset))?;
    Some(pair[0]..pair[0] + 2 * PIECE)
}

impl Lowering<'_> {
    /// [`Lowering::fetch`] of rows, if that is what the lists are.
    pub(super) fn fetch_rows(
        &mut self,
        base: &str,
        lists: &[Vec<i64>],
        access: Access,
        align: i64,
        lanes: Option<&str>,
    ) -> Option<Vec<String>> {
        let rows = Rows::of(lists, access)?;
        self.used.note("rows transposed");
        let mut columns = Vec::new();
        for piece in &rows.pieces {
            let mut words = Vec::new();
            for (lane, more) in rows.lanes.iter().enumerate() {
                let place = self.plus(base, more + piece, false);
                let place = self.place_for(&place, 1 << (self.first_lane + lane), lanes);
                let pointer = self.pointer(&place);
                let load = format!("load <{WORDS} x i32>, ptr {pointer}, align {align}{}", access.note());
                words.push(self.text.value(load));
            }
            columns.push(self.columns_of_rows(&words));
        }
        let of = |places: &Vec<i64>| {
            let behind = rows.pieces.partition_point(|piece| *piece <= places[0]);
            let word = (places[0] - rows.pieces[behind - 1]) / 4;
            columns[behind - 1][word as usize].clone()
        };
        Some(lists.iter().map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::LANES;

    fn lists(step: i64, offsets: &[i64]) -> Vec<Vec<i64>> {
        offsets.iter().map(|offset| (0..LANES as i64).map(|lane| lane * step + offset).collect()).collect()
    }

    #[test]
    fn rows_are_whole_pieces_two_in_a_row_for_each_lane() {
        let access = Access { bits: 32, count: 1, constant: false };
        let eight = [0, 4, 8, 12, 16, 20, 24, 28];
        assert_eq!(Rows::of(&lists(264, &eight), access).map(|rows| rows.pieces), Some(vec![0, 16]));
        assert!(Rows::of(&lists(264, &eight[..4]), access).is_none());
        assert!(Rows::of(&lists(264, &eight[..7]), access).is_none());
        assert!(Rows::of(&lists(16, &eight), access).is_none(), "rows that overlap");
        assert!(Rows::of(&lists(264, &eight), Access { bits: 64, ..access }).is_none());
    }
}
