//! When a session's channels are on the card: turns, one after another.
//!
//! ```text
//!   share 25 %:   ▓▓▓▓▓░░░░░░░░░░░░░░░▓▓▓▓▓░░░░░░░░░░░░░░░▓▓▓▓▓…
//!                 │turn│  pause       │
//!                 └── turn / share ───┘  the next one may begin
//! ```
//!
//! A turn is paid for with a pause: what was used divided by the share lies between two beginnings. So a turn that was too long, as a
//! stop takes its time, makes the next pause longer, and one that began late, as others were on the card, makes it shorter. What is
//! saved up so is never more than a turn.

use std::time::{Duration, Instant};

use super::TimeShare;

/// How long a turn and its pause take together.
pub const PERIOD: Duration = Duration::from_millis(40);

/// What of a card's time a session may have, and has had.
#[derive(Debug)]
pub struct Turns {
    share: TimeShare,
    /// When the turn that runs began.
    begun: Option<Instant>,
    /// When the next one may begin.
    due: Instant,
    /// Of all turns that have ended.
    used: Duration,
}

impl Turns {
    /// The first turn may begin.
    pub fn new(share: TimeShare, now: Instant) -> Self {
        Self { share, begun: None, due: now, used: Duration::ZERO }
    }

    /// From now on another share. A turn that runs begins anew.
    pub fn set_share(&mut self, share: TimeShare, now: Instant) {
        self.used = self.used(now);
        self.begun = self.begun.map(|_| now);
        (self.share, self.due) = (share, now);
    }

    /// What is to be had.
    pub fn share(&self) -> TimeShare {
        self.share
    }

    /// What has been used.
    pub fn used(&self, now: Instant) -> Duration {
        self.used + self.begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun))
    }

    /// A turn has begun and not ended.
    pub fn is_running(&self) -> bool {
        self.begun.is_some()
    }

    /// When something is to happen next: a turn's end, or the earliest beginning of one. Never, if all time may be used.
    pub fn next(&self) -> Option<Instant> {
        match self.begun {
            None => Some(self.due),
            Some(_) if self.share.is_all() => None,
            Some(begun) => Some(begun + self.share.of(PERIOD)),
        }
    }

    /// A turn begins.
    pub fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
    }

    /// It has ended.
    pub fn end(&mut self, now: Instant) {
        let Some(begun) = self.begun.take() else { return };
        let used = now.saturating_duration_since(begun);
        self.used += used;
        let earliest = now.checked_sub(self.share.of(PERIOD)).unwrap_or(now);
        self.due = (self.due + self.share.price(used)).max(earliest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn share(percent: u32) -> TimeShare {
        TimeShare::of_percent(percent).expect("a share")
    }

    /// Lets turns begin `late` after they may, and end as much later; what was used of how much time.
    fn run(turns: &mut Turns, start: Instant, late: Duration, count: u32) -> f64 {
        let mut now = start;
        for _ in 0..count {
            now = turns.next().expect("a beginning").max(now) + late;
            turns.begin(now);
            now = turns.next().expect("an end") + late;
            turns.end(now);
        }
        // The last pause belongs to it.
        let end = turns.next().expect("a beginning");
        turns.used(end).as_secs_f64() / end.duration_since(start).as_secs_f64()
    }

    #[test]
    fn what_is_used_is_the_share_also_where_all_happens_late() {
        for percent in [1, 25, 50, 75, 99] {
            for late in [Duration::ZERO, MS / 10, MS] {
                let start = Instant::now();
                let used = run(&mut Turns::new(share(percent), start), start, late, 500);
                let of_share = used * 100.0 / f64::from(percent);
                assert!((0.95..=1.001).contains(&of_share), "{percent} %, {late:?} late: {of_share}");
            }
        }
    }

    #[test]
    fn a_turn_lasts_its_part_of_a_period() {
        let start = Instant::now();
        let mut turns = Turns::new(share(25), start);
        assert_eq!(turns.next(), Some(start));
        turns.begin(start);
        assert_eq!(turns.next(), Some(start + 10 * MS));
        turns.end(start + 10 * MS);
        assert_eq!(turns.next(), Some(start + 40 * MS));
    }

    #[test]
    fn a_turn_that_was_too_long_is_paid_for() {
        let start = Instant::now();
        let mut turns = Turns::new(share(25), start);
        turns.begin(start);
        turns.end(start + 500 * MS);
        assert_eq!(turns.next(), Some(start + 2000 * MS));
    }

    #[test]
    fn who_waited_may_begin_earlier_but_saves_up_no_more_than_a_turn() {
        let start = Instant::now();
        let mut turns = Turns::new(share(25), start);
        turns.begin(start + 20 * MS);
        turns.end(start + 30 * MS);
        assert_eq!(turns.next(), Some(start + 40 * MS), "as if it had not waited");
        let late = start + 10_000 * MS;
        turns.begin(late);
        turns.end(late + 10 * MS);
        assert_eq!(turns.next(), Some(late), "one turn more at once");
        turns.begin(late + 10 * MS);
        turns.end(late + 20 * MS);
        assert_eq!(turns.next(), Some(late + 40 * MS));
    }

    #[test]
    fn all_the_time_is_one_turn_without_an_end() {
        let start = Instant::now();
        let mut turns = Turns::new(share(100), start);
        turns.begin(start);
        assert_eq!(turns.next(), None);
        turns.set_share(share(50), start + 5000 * MS);
        assert_eq!(turns.next(), Some(start + 5020 * MS), "what was used before is not to be paid for");
        turns.end(start + 5020 * MS);
        assert_eq!(turns.next(), Some(start + 5040 * MS));
        assert_eq!(turns.used(start + 9000 * MS), 5020 * MS);
    }
}
