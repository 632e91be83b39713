//! The thread that lets groups on the cards and takes them off.
//!
//! ```text
//!   Resting ──a group──▶ On ──turn over──▶ Off ──next may begin, cards free──▶ On …
//!      ▲                  │                 │
//!      └──── no group left ─────────────────┘
//! ```

use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::groups::{Group, Switch};
use super::turns::{PERIOD, Turns};
use super::{TimeShare, TimeUsed};
use crate::ledger::Object;

/// Lets the groups of a session take turns. Dropping it leaves them all on.
pub struct Pacer {
    shared: Arc<Shared>,
    /// Groups, to be asked without waiting for a switch.
    known: HashMap<Object, Known>,
    /// What stands for the card below a device.
    subdevices: HashMap<Object, u32>,
}

/// What the thread need not know of a group, and a copy of what it does.
struct Known {
    process: i32,
    channels: Vec<u32>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    groups: Vec<Group>,
    switch: Box<dyn Switch>,
    turns: Turns,
    /// Groups that are scheduled may run.
    is_on: bool,
    /// When a turn could have begun, if others have the cards.
    waits_since: Option<Instant>,
    /// Open nodes of the cards, whose locks say who is on.
    cards: Vec<OwnedFd>,
    holds_cards: bool,
    /// When there first was something to pace, and last.
    span: Option<(Instant, Instant)>,
    count: u64,
    /// Why a group could not be switched, in words, and not told yet.
    failed: Vec<String>,
    has_thread: bool,
    is_over: bool,
}

/// How often the lock of the cards is tried.
const RETRY: Duration = Duration::from_micros(500);
/// How long others may have them: more than a turn of each of several.
const PATIENCE: Duration = Duration::from_millis(8 * PERIOD.as_millis() as u64);

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing until something changes.
    Rest,
    /// Nothing for so long.
    Wait(Duration),
    /// A turn begins.
    Begin,
    /// It ends.
    End,
}

impl Pacer {
    /// A pacer without groups. The thread comes with the first.
    pub fn new(share: TimeShare, switch: Box<dyn Switch>) -> Self {
        let state = State {
            groups: Vec::new(),
            switch,
            turns: Turns::new(share, Instant::now()),
            is_on: true,
            waits_since: None,
            cards: Vec::new(),
            holds_cards: false,
            span: None,
            count: 0,
            failed: Vec::new(),
            has_thread: false,
            is_over: false,
        };
        let shared = Shared { state: Mutex::new(state), changed: Condvar::new() };
        Self { shared: Arc::new(shared), known: HashMap::new(), subdevices: HashMap::new() }
    }

    /// From now on another share.
    pub fn set_share(&self, share: TimeShare) {
        let mut state = self.shared.lock();
        state.turns.set_share(share, Instant::now());
        if share.is_all() {
            state.let_cards_go();
        }
        self.shared.changed.notify_one();
    }

    /// There is something that stands for the card below a device.
    pub fn has_subdevice(&mut self, device: Object, handle: u32) {
        self.subdevices.insert(device, handle);
    }

    /// A process has made a group below a device, without channels yet. `file`: the one that it was made on; `cards`: open nodes of the
    /// session's.
    pub fn made(
        &mut self,
        (device, handle): (Object, u32),
        process: i32,
        file: OwnedFd,
        cards: &[OwnedFd],
    ) -> std::io::Result<()> {
        let object = (device.0, handle);
        let subdevice = self.subdevices.get(&device).copied().unwrap_or(0);
        let mut state = self.shared.lock();
        if !state.has_thread {
            state.cards = cards.iter().map(OwnedFd::try_clone).collect::<Result<_, _>>()?;
            let shared = Arc::clone(&self.shared);
            thread::Builder::new().name("vgpu-pacer".into()).spawn(move || pace(&shared))?;
            state.has_thread = true;
        }
        state.forget(|group| group.object != object);
        let same = state.groups.iter().find(|group| group.object.0 == object.0);
        let file = same.map_or_else(|| Arc::new(file), |group| Arc::clone(&group.file));
        state.groups.push(Group { object, file, subdevice, channels: Vec::new(), is_scheduled: false });
        self.known.insert(object, Known { process, channels: Vec::new() });
        Ok(())
    }

    /// A channel came to a group.
    pub fn has_channel(&mut self, group: Object, channel: u32) {
        let Some(known) = self.known.get_mut(&group) else { return };
        known.channels.push(channel);
        self.shared.change(group, |group| group.channels.push(channel));
    }

    /// Its client has scheduled a group, or taken it off.
    pub fn scheduled(&self, group: Object, on: bool) {
        self.shared.change(group, |group| group.is_scheduled = on);
    }

    /// Whether this is a group that is paced.
    pub fn knows(&self, object: Object) -> bool {
        self.known.contains_key(&object)
    }

    /// Forgets groups and channels that are no more.
    pub fn keep(&mut self, is_there: impl Fn(Object) -> bool) {
        self.subdevices.retain(|device, handle| is_there((device.0, *handle)));
        self.retain(|object, _| is_there(object));
        for (object, known) in &mut self.known {
            let before = known.channels.len();
            known.channels.retain(|channel| is_there((object.0, *channel)));
            if known.channels.len() != before {
                self.shared.change(*object, |group| group.channels.clone_from(&known.channels));
            }
        }
    }

    /// A process has ended.
    pub fn process_ended(&mut self, process: i32) {
        self.retain(|_, of| of != process);
    }

    fn retain(&mut self, is_kept: impl Fn(Object, i32) -> bool) {
        let before = self.known.len();
        self.known.retain(|object, known| is_kept(*object, known.process));
        if self.known.len() != before {
            self.shared.lock().forget(|group| self.known.contains_key(&group.object));
            self.shared.changed.notify_one();
        }
    }

    /// What has been used.
    pub fn used(&self) -> TimeUsed {
        let state = self.shared.lock();
        let of = state.span.map_or(Duration::ZERO, |(first, last)| last.duration_since(first));
        let used = state.turns.used(Instant::now());
        TimeUsed { share: state.turns.share(), used: used.min(of), of, turns: state.count }
    }

    /// What could not be switched since this was last asked.
    pub fn take_failed(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().failed)
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        state.set_on(true);
        state.let_cards_go();
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a group. During a pause, what is new of it is taken off as well.
    fn change(&self, object: Object, change: impl FnOnce(&mut Group)) {
        let mut state = self.lock();
        let Some(group) = state.groups.iter_mut().find(|group| group.object == object) else { return };
        change(group);
        let group = group.clone();
        if group.is_scheduled && !state.is_on {
            state.switch(&group, false);
        }
        self.changed.notify_one();
    }
}

fn pace(shared: &Shared) {
    let mut state = shared.lock();
    while !state.is_over {
        state = match state.step(Instant::now()) {
            Step::Rest => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Step::Wait(time) => shared
                .changed
                .wait_timeout(state, time)
                .map_or_else(|error| error.into_inner().0, |woken| woken.0),
            Step::Begin => {
                state.begin();
                state
            }
            Step::End => {
                state.end();
                state
            }
        };
    }
}

impl State {
    fn step(&mut self, now: Instant) -> Step {
        let is_running = self.turns.is_running();
        if !self.has_groups() {
            return if is_running || !self.is_on { Step::End } else { Step::Rest };
        }
        self.span = Some((self.span.map_or(now, |(first, _)| first), now));
        match self.turns.next() {
            None => Step::Rest,
            Some(next) if next > now => Step::Wait(next - now),
            Some(_) if is_running => Step::End,
            // Groups that came while there were no others are on already.
            Some(_) if self.is_on || self.turns.share().is_all() || self.takes_cards(now) => Step::Begin,
            Some(_) => Step::Wait(RETRY),
        }
    }

    fn has_groups(&self) -> bool {
        self.groups.iter().any(|group| group.is_scheduled)
    }

    fn begin(&mut self) {
        self.set_on(true);
        self.turns.begin(Instant::now());
        self.count += 1;
    }

    /// A turn is over; if nothing is to be paced any more, the first that comes may run at once.
    fn end(&mut self) {
        let begun = Instant::now();
        self.set_on(!self.has_groups());
        // For half of the time that a stop takes, groups still run.
        self.turns.end(begun + begun.elapsed() / 2);
        self.let_cards_go();
    }

    fn set_on(&mut self, on: bool) {
        if std::mem::replace(&mut self.is_on, on) == on {
            return;
        }
        let is_switched = |group: &&Group| group.is_scheduled && !group.channels.is_empty();
        let groups: Vec<_> = self.groups.iter().filter(is_switched).cloned().collect();
        groups.iter().for_each(|group| self.switch(group, on));
    }

    /// One that cannot be switched will not be again.
    fn switch(&mut self, group: &Group, on: bool) {
        if let Err(error) = self.switch.switch(group, on) {
            let (client, handle) = group.object;
            self.failed.push(format!("channel group {handle:#x} of client {client:#x}: {error}"));
            self.forget(|other| other.object != group.object);
        }
    }

    /// Keeps some groups. A client's last file takes a while to close, which others need not wait for.
    fn forget(&mut self, is_kept: impl Fn(&Group) -> bool) {
        let gone: Vec<_> = self.groups.extract_if(.., |group| !is_kept(group)).collect();
        if !gone.is_empty() {
            // Where there is no other thread, here.
            let _ = thread::Builder::new().spawn(move || drop(gone));
        }
    }

    /// The cards are free, and now this session's; or others have had them for too long.
    fn takes_cards(&mut self, now: Instant) -> bool {
        let since = *self.waits_since.get_or_insert(now);
        self.holds_cards = self.cards.iter().all(|card| lock(card, libc::LOCK_EX | libc::LOCK_NB));
        if !self.holds_cards {
            self.unlock();
        }
        let may_begin = self.holds_cards || now.duration_since(since) > PATIENCE;
        if may_begin {
            self.waits_since = None;
        }
        may_begin
    }

    fn let_cards_go(&mut self) {
        if std::mem::take(&mut self.holds_cards) {
            self.unlock();
        }
    }

    fn unlock(&self) {
        for card in &self.cards {
            lock(card, libc::LOCK_UN);
        }
    }
}

/// Whether the lock of an open file could be changed so. Where files have none, everyone may.
fn lock(file: &OwnedFd, operation: i32) -> bool {
    // SAFETY: the call takes numbers.
    let result = unsafe { libc::flock(file.as_raw_fd(), operation) };
    result == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::EWOULDBLOCK)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;
    use crate::cores::groups::SwitchError;

    /// What was switched, and when.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<(u32, bool, Instant)>>>);

    impl Switch for Log {
        fn switch(&self, group: &Group, on: bool) -> Result<(), SwitchError> {
            let handle = group.object.1;
            self.0.lock().expect("not poisoned").push((handle, on, Instant::now()));
            if handle == ODD { Err(SwitchError::Status(0x57)) } else { Ok(()) }
        }
    }

    /// A group that cannot be switched.
    const ODD: u32 = 13;
    const PROCESS: i32 = 7;

    impl Log {
        fn of(&self, handle: u32) -> Vec<(bool, Instant)> {
            let all = self.0.lock().expect("not poisoned").clone();
            all.into_iter().filter(|(of, ..)| *of == handle).map(|(_, on, at)| (on, at)).collect()
        }

        /// Whether a group was last switched so.
        fn is(&self, handle: u32, on: bool) -> bool {
            self.states(handle).last() == Some(&on)
        }

        fn states(&self, handle: u32) -> Vec<bool> {
            self.of(handle).into_iter().map(|(on, _)| on).collect()
        }
    }

    fn pacer(percent: u32) -> (Pacer, Log) {
        let log = Log::default();
        let share = TimeShare::of_percent(percent).expect("a share");
        (Pacer::new(share, Box::new(log.clone())), log)
    }

    fn null() -> OwnedFd {
        File::open("/dev/null").expect("there is one").into()
    }

    fn make(pacer: &mut Pacer, handle: u32, file: OwnedFd, cards: &[OwnedFd]) {
        pacer.made(((1, 1), handle), PROCESS, file, cards).expect("a thread");
        pacer.has_channel((1, handle), 100 + handle);
    }

    fn add(pacer: &mut Pacer, handle: u32, cards: &[OwnedFd]) {
        make(pacer, handle, null(), cards);
        pacer.scheduled((1, handle), true);
    }

    fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// How long it was on until it was last switched, from the first time that it was taken off.
    fn share_of(switched: &[(bool, Instant)]) -> f64 {
        let on: Duration =
            switched.windows(2).filter(|pair| pair[0].0).map(|pair| pair[1].1 - pair[0].1).sum();
        on.as_secs_f64() / (switched[switched.len() - 1].1 - switched[0].1).as_secs_f64()
    }

    #[test]
    fn a_group_is_on_for_its_share_of_the_time() {
        let (mut pacer, log) = pacer(25);
        add(&mut pacer, 1, &[]);
        wait_for("turns", || log.of(1).len() > 21);
        let switched = log.of(1);
        assert!(switched.iter().zip(switched.iter().skip(1)).all(|(one, next)| one.0 != next.0));
        let share = share_of(&switched[..21]);
        // Not exactly: this machine may have other things to do.
        assert!((0.12..=0.35).contains(&share), "{share}");
        let used = pacer.used();
        let told = used.used.as_secs_f64() / used.of.as_secs_f64();
        assert!((0.12..=0.38).contains(&told) && used.turns > 9, "{used:?}");
    }

    #[test]
    fn a_group_that_its_client_has_not_scheduled_is_left_alone() {
        let (mut pacer, log) = pacer(25);
        add(&mut pacer, 1, &[]);
        make(&mut pacer, 2, null(), &[]);
        wait_for("turns", || log.of(1).len() > 4);
        assert!(log.of(2).is_empty());
    }

    #[test]
    fn a_group_that_comes_in_a_pause_has_to_wait_for_the_next_turn() {
        let (mut pacer, log) = pacer(1);
        add(&mut pacer, 1, &[]);
        wait_for("a pause", || log.is(1, false));
        add(&mut pacer, 2, &[]);
        assert_eq!(log.states(2).first(), Some(&false), "at once");
        wait_for("a turn", || log.states(2).contains(&true));
    }

    #[test]
    fn who_has_ended_in_a_pause_is_switched_no_more_and_its_file_is_closed() {
        let (mut pacer, log) = pacer(2);
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        make(&mut pacer, 1, writer.into(), &[]);
        make(&mut pacer, 2, null(), &[]);
        pacer.scheduled((1, 1), true);
        wait_for("a pause", || log.is(1, false));
        pacer.process_ended(PROCESS);
        assert_eq!(reader.read(&mut [0]).expect("readable"), 0, "nobody has the other end");
        let count = log.of(1).len();
        // The next one has its turn, if it does not come so soon that the pause was not over.
        add(&mut pacer, 3, &[]);
        wait_for("a turn", || log.states(3).contains(&true));
        assert_eq!(log.of(1).len(), count);
        assert!(pacer.knows((1, 3)) && !pacer.knows((1, 1)));
    }

    #[test]
    fn the_end_leaves_groups_on_and_all_of_the_time_does() {
        let (mut pacer, log) = pacer(2);
        add(&mut pacer, 1, &[]);
        wait_for("a pause", || log.is(1, false));
        pacer.set_share(TimeShare::of_percent(100).expect("a share"));
        wait_for("a turn", || log.is(1, true));
        let count = log.of(1).len();
        thread::sleep(2 * PERIOD);
        assert_eq!(log.of(1).len(), count);
        pacer.set_share(TimeShare::of_percent(2).expect("a share"));
        wait_for("a pause", || log.is(1, false));
        drop(pacer);
        assert!(log.is(1, true));
    }

    #[test]
    fn a_group_that_cannot_be_switched_is_told_once() {
        let (mut pacer, log) = pacer(50);
        add(&mut pacer, ODD, &[]);
        add(&mut pacer, 1, &[]);
        wait_for("turns", || log.of(1).len() > 3);
        assert_eq!(log.of(ODD).len(), 1);
        assert_eq!(pacer.take_failed(), ["channel group 0xd of client 0x1: the driver says 0x57"]);
        assert!(pacer.take_failed().is_empty());
    }

    #[test]
    fn two_that_share_a_card_are_never_on_together_and_have_their_shares() {
        let name = std::env::temp_dir().join(format!("vgpu-pacer-{}", std::process::id()));
        let open = || OwnedFd::from(File::create(&name).expect("a file"));
        let (cards, mut pacers) = ([[open()], [open()]], [pacer(25), pacer(50)]);
        for (card, (pacer, _)) in cards.iter().zip(&mut pacers) {
            add(pacer, 1, card);
        }
        wait_for("turns", || pacers.iter().all(|(_, log)| log.of(1).len() > 30));
        std::fs::remove_file(&name).expect("it was there");
        // The first turn begins with the group, and asks nobody.
        let [one, other] = pacers.map(|(_, log)| log.of(1)[2..].to_vec());
        for (at, shares) in [(&one, 0.12..0.35), (&other, 0.30..0.65)] {
            let share = share_of(&at[..28]);
            assert!(shares.contains(&share), "{share}");
        }
        let turns = |switched: &[(bool, Instant)]| {
            let begun = switched.iter().position(|(on, _)| *on).expect("a turn");
            let pairs = switched[begun..].chunks_exact(2);
            pairs.map(|pair| (pair[0].1, pair[1].1)).collect::<Vec<_>>()
        };
        // An end is told before the lock is let go, and a beginning after it is taken. Who had to wait too long, on a machine that has
        // other things to do, did not take it.
        let beside = |(begun, ended): &(Instant, Instant)| {
            turns(&other).iter().any(|(from, to)| *from < *ended && *begun < *to)
        };
        let together = turns(&one).iter().filter(|turn| beside(turn)).count();
        assert!(together <= 2, "{together} turns");
    }
}
