//! The file: what lies where, and how that changes.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytemuck::{Zeroable, bytes_of, bytes_of_mut};

use crate::record::{FILE_MAGIC, FileHead, LAST_USE, RecordHead};
use crate::{Error, Key};

const HEAD: u64 = size_of::<FileHead>() as u64;

/// The time of last use is as exact as this, so that reading seldom writes.
const EXACTNESS: u64 = 3600;

/// An object of the cache.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub label: String,
    /// Bytes of it.
    pub size: u64,
    /// When it was last used, to the hour.
    pub last_use: SystemTime,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    head: RecordHead,
}

impl Place {
    fn length(&self) -> u64 {
        self.head.record_length().unwrap_or(0)
    }
}

/// The open file and what is known of it. All methods but the two that lock want it locked, and seen by [`Pack::refresh`].
#[derive(Debug)]
pub struct Pack {
    file: File,
    limit: u64,
    /// Of the file when `index` was made.
    generation: u64,
    /// Where the next record begins.
    end: u64,
    index: HashMap<Key, Place>,
}

impl Pack {
    pub fn new(file: File, limit: u64) -> Pack {
        Pack { file, limit, generation: 0, end: HEAD, index: HashMap::new() }
    }

    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Does `work` while nobody writes.
    pub fn reading<T>(
        &mut self,
        patience: Duration,
        work: impl FnOnce(&mut Pack) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.locked(patience, File::try_lock_shared, work)
    }

    /// Does `work` while nobody else reads or writes.
    pub fn writing<T>(
        &mut self,
        patience: Duration,
        work: impl FnOnce(&mut Pack) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.locked(patience, File::try_lock, work)
    }

    fn locked<T>(
        &mut self,
        patience: Duration,
        lock: fn(&File) -> Result<(), TryLockError>,
        work: impl FnOnce(&mut Pack) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + patience;
        loop {
            match lock(&self.file) {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Err(Error::Busy),
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            }
        }
        let result = self.refresh().and_then(|()| work(self));
        self.file.unlock()?;
        result
    }

    /// Learns what others have done to the file.
    fn refresh(&mut self) -> Result<(), Error> {
        let mut head = FileHead::zeroed();
        let known = self.file.read_exact_at(bytes_of_mut(&mut head), 0).is_ok() && head.magic == FILE_MAGIC;
        let generation = if known { head.generation } else { 0 };
        if generation != self.generation || !known {
            self.index.clear();
            (self.generation, self.end) = (generation, HEAD);
        }
        let length = if known { self.length()? } else { 0 };
        while let Some(place) = self.record_at(self.end, length) {
            self.end += place.length();
            if place.head.last_use != 0 {
                self.index.insert(Key(place.head.key), place);
            }
        }
        Ok(())
    }

    /// The record at `offset` of a file of `length` bytes. A torn or damaged one is none, and so is the end.
    fn record_at(&self, offset: u64, length: u64) -> Option<Place> {
        let mut head = RecordHead::zeroed();
        self.file.read_exact_at(bytes_of_mut(&mut head), offset).ok()?;
        (head.record_length()? <= length.checked_sub(offset)?).then_some(Place { offset, head })
    }

    /// By a seek, as that is about an open file only.
    fn length(&self) -> io::Result<u64> {
        (&self.file).seek(SeekFrom::End(0))
    }

    pub fn size(&self) -> u64 {
        if self.generation == 0 { 0 } else { self.end }
    }

    pub fn get(&mut self, key: &Key) -> Option<Vec<u8>> {
        let place = *self.index.get(key)?;
        let body = self.body(&place).ok()?;
        let Some((_, object)) = place.head.open(&body) else {
            self.set_last_use(&place, 0);
            self.index.remove(key);
            return None;
        };
        let object = object.to_vec();
        if seconds() > place.head.last_use + EXACTNESS {
            self.set_last_use(&place, seconds());
        }
        Some(object)
    }

    pub fn entries(&mut self) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for place in self.index.values() {
            if let Some((label, object)) = place.head.open(&self.body(place)?) {
                let last_use = UNIX_EPOCH + Duration::from_secs(place.head.last_use);
                entries.push(Entry { label: label.to_owned(), size: object.len() as u64, last_use });
            }
        }
        entries.sort_by(|one, other| other.last_use.cmp(&one.last_use).then(one.label.cmp(&other.label)));
        Ok(entries)
    }

    pub fn put(&mut self, key: &Key, label: &str, object: &[u8]) -> Result<(), Error> {
        let head = RecordHead::new(key, label, object, seconds());
        let length = head.record_length().filter(|length| *length <= self.limit / 4);
        let length = length.ok_or(Error::TooLarge(object.len()))?;
        if self.index.contains_key(key) {
            return Ok(());
        }
        if self.generation == 0 {
            self.clear()?;
        } else if self.end + length > self.limit {
            self.drop_old()?;
        }
        // What lies behind the end is of somebody who was killed.
        self.file.set_len(self.end)?;
        let record = [bytes_of(&head), label.as_bytes(), object].concat();
        if let Err(error) = self.file.write_all_at(&record, self.end) {
            let _ = self.file.set_len(self.end);
            return Err(error.into());
        }
        self.index.insert(*key, Place { offset: self.end, head });
        self.end += length;
        Ok(())
    }

    pub fn clear(&mut self) -> Result<(), Error> {
        self.file.set_len(0)?;
        self.begin_generation()
    }

    /// All that is known of places ends here, for us and for others.
    fn begin_generation(&mut self) -> Result<(), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        self.generation = now.max(self.generation + 1);
        self.index.clear();
        self.end = HEAD;
        Ok(self
            .file
            .write_all_at(bytes_of(&FileHead { magic: FILE_MAGIC, generation: self.generation }), 0)?)
    }

    /// Keeps the most recently used half of what may be there, moved together.
    fn drop_old(&mut self) -> Result<(), Error> {
        let mut places: Vec<Place> = self.index.values().copied().collect();
        places.sort_by_key(|place| (std::cmp::Reverse(place.head.last_use), std::cmp::Reverse(place.offset)));
        let mut room = self.limit / 2;
        places.retain(|place| {
            let fits = place.length() <= room;
            room -= if fits { place.length() } else { room };
            fits
        });
        places.sort_by_key(|place| place.offset);
        // First: whoever is killed in the middle leaves a file in which the places that others know are not looked at.
        self.begin_generation()?;
        for place in places {
            let record = [bytes_of(&place.head), &*self.body(&place)?].concat();
            self.file.write_all_at(&record, self.end)?;
            self.index.insert(Key(place.head.key), Place { offset: self.end, ..place });
            self.end += place.length();
        }
        Ok(self.file.set_len(self.end)?)
    }

    /// Label and object.
    fn body(&self, place: &Place) -> io::Result<Vec<u8>> {
        let mut body = vec![0; (place.length() - RecordHead::SIZE) as usize];
        self.file.read_exact_at(&mut body, place.offset + RecordHead::SIZE)?;
        Ok(body)
    }

    /// Under a shared lock as well: eight bytes that all write alike.
    fn set_last_use(&mut self, place: &Place, time: u64) {
        // A cache that can't be written still gives what it has.
        if self.file.write_all_at(&time.to_le_bytes(), place.offset + LAST_USE).is_ok()
            && let Some(known) = self.index.get_mut(&Key(place.head.key))
        {
            known.head.last_use = time;
        }
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
