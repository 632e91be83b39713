//! A share of the cards' time (`--cores 25%`).
//!
//! ```text
//!   client: RM_ALLOC of a channel group ──▶ groups ◀── Pacer (a thread): turns ──▶ NV2080_CTRL_CMD_FIFO_DISABLE_CHANNELS
//!           GPFIFO_SCHEDULE of it             │                                    of each group's channels, and enabling them
//!           its end                           └── one that is scheduled during a pause is stopped at once
//! ```
//!
//! *Channel group*: what the card's scheduler lets run or not, with all channels in it. A CUDA context has one for kernels, and others
//! for copies. *Turn*: a while in which the channels of a session's groups for kernels are enabled; for the *pause* behind it they are
//! disabled, and what runs is taken off the card with all its state, and goes on in the next turn. Programs notice nothing but the time.
//!
//! Of the driver's other controls for scheduling, none would do. Time slices and interleave levels say how long and how often a group
//! runs while others wait, and one that is alone has all time. `NVA06C_CTRL_CMD_GPFIFO_SCHEDULE` without `bEnable` succeeds, and what
//! runs goes on as if nothing had been said. The driver itself uses the control used here, to change address spaces.
//!
//! On an H100, driver 580.159.04: a stop takes 0.5 ms, of which the group still runs for 0.3; a start 0.3 ms; both are the same for
//! every user and from any process that has the client's file. What was stopped for 8 s, freed while it was stopped, or killed, is well.
//! Programs had 0.95 to 0.99 of their shares of 25, 50 and 75 %, alone and beside each other, and 0.84 of 5 %.
//!
//! - [`turns`]: when; what was used of the time is paid for by pauses. No driver there.
//! - [`groups`]: what is switched.
//! - [`pacer`]: the thread, so that neither a client's long call delays a turn's end nor a switch delays clients' calls.
//!
//! Sessions with a share take turns: one at a time is on a card, which the lock of its open node says (`flock`), so that two with 25 %
//! and 50 % get that also beside each other. Who waits too long for the lock goes on without it.
//!
//! The control is one that every user may make for an object of its own, through the file that the object was made on. So of clients
//! that have such groups, that file is held, until the last of them is freed, or the process has ended.
//!
//! Not limited are copies, video engines, and channels without a group, which no library makes. Programs without `--cores` take no
//! turns: they run beside those that do, and the driver divides the card's time among them. Sessions that have a card in common take turns
//! on all of theirs. Shares of more than 100 % in all cannot be had: then each waits for the others, and has less.

pub(crate) mod groups;
mod pacer;
mod seen;
pub(crate) mod turns;

use std::fmt;
use std::time::Duration;

pub use pacer::Pacer;

/// A part of a card's time, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeShare(u32);

/// What a session has had of the cards' time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeUsed {
    /// What it was to have last.
    pub share: TimeShare,
    /// How long its channels were on the cards.
    pub used: Duration,
    /// Of so much time in which it had any.
    pub of: Duration,
    /// In so many turns.
    pub turns: u64,
}

impl TimeShare {
    /// From 1 to 100.
    pub fn of_percent(percent: u32) -> Option<Self> {
        (1..=100).contains(&percent).then_some(Self(percent))
    }

    /// In percent.
    pub fn percent(self) -> u32 {
        self.0
    }

    /// Nothing is taken away.
    pub(crate) fn is_all(self) -> bool {
        self.0 == 100
    }

    /// Its part of a time.
    pub(crate) fn of(self, time: Duration) -> Duration {
        time * self.0 / 100
    }

    /// The time of which so much is its part.
    pub(crate) fn price(self, part: Duration) -> Duration {
        part * 100 / self.0
    }
}

impl fmt::Display for TimeShare {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} %", self.0)
    }
}
