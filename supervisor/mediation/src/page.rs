//! The page that the driver shares with clients (`RM_USER_SHARED_DATA`), as a session with a limit is to see it.
//!
//! ```text
//!   client: RM_MAP_MEMORY(page, fd) ──▶ the same with a file of ours ──▶ mapped here ──every 100 ms──▶ our page ◀── limit, what is held
//!           mmap(fd) ◀── in fd's place: our page's file ◀──────────────────────────────────────────────────┘
//! ```
//!
//! The page tells sensors, counters and the card's free memory without any call. Libraries cannot do without it: CUDA finds no GPU when its
//! class is refused, with whatever code. So each card's is copied, all but the two sizes, and clients map the copy, read-only.
//!
//! *Stamp*: a time or a sequence number before each group of figures. A reader takes a group if its stamp was the same before and after,
//! and none that says that it is being written. Where stamps are the tables do not say of every release; they are told by their values,
//! which nothing else there reaches.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nvidia_abi::{Abi, Row};

use crate::figures::Share;
use crate::ledger::Object;
use crate::numbers::SHARED_PAGE;

/// The pages of a session's cards. Dropping them leaves clients with the last figures.
#[derive(Default)]
pub struct Pages {
    /// What clients have made of that class.
    objects: HashSet<Object>,
    pages: Arc<Mutex<Vec<Page>>>,
}

/// A card's page, twice.
struct Page {
    card: u32,
    theirs: Words,
    ours: Words,
    /// What clients map.
    file: OwnedFd,
    /// Where the two sizes are: what there is, and what of it is free.
    sizes: [usize; 2],
    share: Share,
}

/// How old figures may be. The driver itself takes most of them anew each second.
const INTERVAL: Duration = Duration::from_millis(100);
const PAGE: usize = 4096;
const WORD: usize = size_of::<u64>();
/// What a stamp is at least: a time of this century, in ns.
const STAMPS: u64 = 1 << 60;
/// `RUSD_TIMESTAMP_WRITE_IN_PROGRESS`
const IN_PROGRESS: u64 = u64::MAX;

impl Pages {
    /// A client has made an object of the class.
    pub fn made(&mut self, object: Object) {
        self.objects.insert(object);
    }

    /// Whether it is one.
    pub fn knows(&self, object: Object) -> bool {
        self.objects.contains(&object)
    }

    /// Forgets objects that are no more.
    pub fn keep(&mut self, is_there: impl Fn(Object) -> bool) {
        self.objects.retain(|object| is_there(*object));
    }

    /// Cards whose pages are given.
    pub fn cards(&self) -> Vec<u32> {
        self.lock().iter().map(|page| page.card).collect()
    }

    /// From now on a card's memory is so.
    pub fn tell(&self, card: u32, share: Share) {
        if let Some(page) = self.lock().iter_mut().find(|page| page.card == card) {
            page.share = share;
        }
    }

    /// A descriptor of a card's page for a client. `mapped`: the driver's file that it was mapped on just now.
    pub fn file(&self, abi: &Abi, card: u32, share: Share, mapped: &OwnedFd) -> io::Result<OwnedFd> {
        let mut pages = self.lock();
        if let Some(page) = pages.iter().find(|page| page.card == card) {
            return page.file.try_clone();
        }
        let page = Page::new(abi.page(SHARED_PAGE), card, share, Words::map(mapped, libc::PROT_READ)?)?;
        page.refresh();
        let file = page.file.try_clone()?;
        pages.push(page);
        if pages.len() == 1 {
            let pages = Arc::downgrade(&self.pages);
            thread::Builder::new().name("vgpu-page".into()).spawn(move || {
                while let Some(pages) = pages.upgrade() {
                    lock(&pages).iter().for_each(Page::refresh);
                    drop(pages);
                    thread::sleep(INTERVAL);
                }
            })?;
        }
        Ok(file)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Page>> {
        lock(&self.pages)
    }
}

fn lock(pages: &Mutex<Vec<Page>>) -> MutexGuard<'_, Vec<Page>> {
    pages.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Page {
    fn new(row: Option<&Row>, card: u32, share: Share, theirs: Words) -> io::Result<Self> {
        let place = |name| row.and_then(|row| row.field(name)).map(|field| field.offset / WORD);
        let sizes = [TOTAL, FREE].map(|names| names.iter().find_map(|name| place(name)));
        let [Some(total), Some(free)] = sizes else { return Err(io::Error::from_raw_os_error(libc::ENOSYS)) };
        let (file, ours) = shared_page()?;
        Ok(Self { card, theirs, ours, file, sizes: [total, free], share })
    }

    /// Brings our page up to date. Where theirs is being written, next time.
    fn refresh(&self) {
        let Some(mut figures) = self.theirs.read() else { return };
        let [total, free] = self.sizes;
        figures[total] = figures[total].min(self.share.limit);
        figures[free] = figures[free].min(self.share.limit.saturating_sub(self.share.used));
        self.ours.write(&figures);
    }
}

/// The sizes' names, in this release or another.
const TOTAL: [&str; 2] = ["pmaMemoryInfo.totalPmaMemory", "totalPmaMemory"];
const FREE: [&str; 2] = ["pmaMemoryInfo.freePmaMemory", "freePmaMemory"];

/// A mapped page, of words that others read and write as well.
struct Words(NonNull<AtomicU64>);

// SAFETY: it is an address of memory that any thread may use, as atomic words only.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    fn map(file: &OwnedFd, protection: i32) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), PAGE, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        match NonNull::new(start.cast()) {
            Some(words) if start != libc::MAP_FAILED => Ok(Self(words)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn all(&self) -> &[AtomicU64] {
        // SAFETY: a page is mapped there for as long as `self` lives, and every value is a word.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), PAGE / WORD) }
    }

    /// All words, of groups that were not written meanwhile.
    fn read(&self) -> Option<Vec<u64>> {
        /// As often as the driver's own readers try.
        const ATTEMPTS: usize = 10;
        let take = || self.all().iter().map(|word| word.load(Ordering::Acquire)).collect::<Vec<_>>();
        (0..ATTEMPTS).find_map(|_| {
            let words = take();
            fence(Ordering::Acquire);
            let stamps = words.iter().zip(self.all()).filter(|(word, _)| **word >= STAMPS);
            let mut stamps = stamps.map(|(word, now)| (*word, now.load(Ordering::Acquire)));
            stamps.all(|(before, now)| before == now && !is_being_written(before)).then_some(words)
        })
    }

    /// Writes what differs, so that readers take no group half.
    fn write(&self, figures: &[u64]) {
        let changed = || {
            let pairs = self.all().iter().zip(figures.iter().copied());
            pairs.filter(|(word, figure)| word.load(Ordering::Relaxed) != *figure)
        };
        let stamps: Vec<_> = changed().filter(|(_, figure)| *figure >= STAMPS).collect();
        stamps.iter().for_each(|(word, _)| word.store(IN_PROGRESS, Ordering::Relaxed));
        fence(Ordering::SeqCst);
        for (word, figure) in changed().filter(|(_, figure)| *figure < STAMPS) {
            word.store(figure, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        stamps.iter().for_each(|(word, figure)| word.store(*figure, Ordering::Relaxed));
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the page was mapped by `map`, and nobody has its address any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), PAGE) };
    }
}

/// A time is always whole; an odd number of a sequence says that more is to come.
fn is_being_written(stamp: u64) -> bool {
    /// `RUSD_SEQ_START`
    const SEQUENCES: u64 = 0xff << 56;
    stamp >= SEQUENCES && stamp & 1 != 0
}

/// A file of a page that only we can write, and where we do.
fn shared_page() -> io::Result<(OwnedFd, Words)> {
    let checked = |result: i32| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) };
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is constant text, and the descriptor is nobody else's.
    let file = unsafe { OwnedFd::from_raw_fd(checked(libc::memfd_create(c"vgpu-page".as_ptr(), flags))?) };
    // SAFETY: the call takes numbers.
    checked(unsafe { libc::ftruncate(file.as_raw_fd(), PAGE as libc::off_t) })?;
    let ours = Words::map(&file, libc::PROT_READ | libc::PROT_WRITE)?;
    let seals = libc::F_SEAL_FUTURE_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: as above.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
    Ok((file, ours))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    const GIB: u64 = 1 << 30;
    const TIME: u64 = 1_790_000_000_000_000_000;

    /// A file that stands for the driver's page: sizes in a sequence, and another group with a time.
    fn theirs(sequence: u64, total: u64, free: u64) -> (OwnedFd, Words, File) {
        let (file, words) = shared_page().expect("a page");
        let figures = [(2, sequence), (3, total), (4, free), (9, TIME), (10, 7)];
        figures.iter().for_each(|(at, figure)| words.all()[*at].store(*figure, Ordering::Relaxed));
        let copy = File::from(file.try_clone().expect("a duplicate"));
        (file, words, copy)
    }

    fn word(file: &File, at: usize) -> u64 {
        let mut bytes = [0; WORD];
        file.read_exact_at(&mut bytes, (at * WORD) as u64).expect("it is there");
        u64::from_ne_bytes(bytes)
    }

    fn abi() -> Abi {
        Abi::of("580.159.04").expect("known")
    }

    const EVEN: u64 = (0xff << 56) + 8;

    #[test]
    fn a_clients_page_tells_the_share_and_follows_the_driver() {
        let (file, driver, _) = theirs(EVEN, 80 * GIB, 70 * GIB);
        let pages = Pages::default();
        let share = Share { limit: 10 * GIB, used: 3 * GIB };
        let copy = File::from(pages.file(&abi(), 0, share, &file).expect("a page"));
        let read = |places: [usize; 5]| places.map(|at| word(&copy, at));
        assert_eq!(read([2, 3, 4, 9, 10]), [EVEN, 10 * GIB, 7 * GIB, TIME, 7]);
        driver.all()[9].store(TIME + 5, Ordering::Relaxed);
        driver.all()[10].store(8, Ordering::Relaxed);
        pages.tell(0, Share { used: 10 * GIB, ..share });
        let begun = std::time::Instant::now();
        while read([2, 3, 4, 9, 10]) != [EVEN, 10 * GIB, 0, TIME + 5, 8] {
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", read([2, 3, 4, 9, 10]));
            thread::sleep(INTERVAL / 10);
        }
    }

    #[test]
    fn a_card_that_has_less_than_the_limit_says_so() {
        let (file, ..) = theirs(EVEN, 4 * GIB, GIB);
        let share = Share { limit: 10 * GIB, used: 0 };
        let copy = File::from(Pages::default().file(&abi(), 0, share, &file).expect("a page"));
        assert_eq!([3, 4].map(|at| word(&copy, at)), [4 * GIB, GIB]);
    }

    #[test]
    fn what_is_being_written_is_not_taken() {
        for (stamp, is_taken) in [(EVEN, true), (EVEN + 1, false), (IN_PROGRESS, false), (TIME + 1, true)] {
            let (_file, driver, _) = theirs(stamp, 80 * GIB, 70 * GIB);
            assert_eq!(driver.read().is_some(), is_taken, "{stamp:#x}");
        }
    }

    #[test]
    fn a_reader_takes_no_group_half() {
        let (_file, words, _) = theirs(EVEN, 0, 0);
        let (words, stop) = (&words, &std::sync::atomic::AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(move || {
                for step in 0..200_000u64 {
                    let mut figures = vec![0; PAGE / WORD];
                    figures[2..5].copy_from_slice(&[EVEN + 2 * step, step, step]);
                    words.write(&figures);
                }
                stop.store(true, Ordering::Release);
            });
            let at = |index: usize| words.all()[index].load(Ordering::Acquire);
            while !stop.load(Ordering::Acquire) {
                let stamp = at(2);
                let figures = [at(3), at(4)];
                fence(Ordering::Acquire);
                if at(2) == stamp && !is_being_written(stamp) {
                    assert_eq!(figures[0], figures[1]);
                }
            }
        });
    }

    #[test]
    fn clients_cannot_write_it() {
        let (file, ..) = theirs(EVEN, 0, 0);
        let share = Share { limit: GIB, used: 0 };
        let copy = Pages::default().file(&abi(), 0, share, &file).expect("a page");
        assert!(Words::map(&copy, libc::PROT_READ | libc::PROT_WRITE).is_err());
        assert!(File::from(copy).write_at(&[1], 0).is_err());
    }
}
