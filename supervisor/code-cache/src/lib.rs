//! Compiled code that outlives the process that compiled it: a file of objects by key, in the user's cache directory.
//!
//! ```text
//!   $XDG_CACHE_HOME/vgpu-run/code/objects:   head │ record │ record │ …      appended to; all engines of a user share it
//!                                                   └ key, label, last use, lengths, digest, object
//! ```
//!
//! - A **key** is a digest of all that the object depends on ([`Key`]). Who asks with the same key gets the same code.
//! - A **label** says to people what an object is: kernel, shape of its blocks, processor.
//! - **Generation**: a number in the file's head that changes whenever records have moved.
//!
//! # Why one file
//!
//! An engine runs its client's kernels, and so may open no files: its system calls are those of a computing process. What it can be
//! left is a descriptor that was opened before it was confined, and reads, writes and locks on that. A directory with a file per
//! object needs `openat`, which can't be limited to a directory by a filter of system calls, and would let a client that has
//! confined itself see the files of its user through its engine. So the engine opens this file between becoming the client's
//! user and confining itself (`engine::process`), which also makes the kernel answer whether that user may.
//! `vgpu-run cache` opens it like any program.
//!
//! # What can go wrong
//!
//! - *Several at once*: `flock`, shared to read and exclusive to write. Nobody waits long for it: what holds the lock might have
//!   been stopped, and compiling again is only slow.
//! - *Killed while it writes*: records are found one behind the other; a torn one is the end, and the next writer begins there.
//! - *Damage*: each record has a digest; one that is not right is marked as gone and counts as not there.
//! - *Growth*: beyond [`LIMIT`], the least recently used are dropped until half of it is left.
//! - *Others*: directory and file must belong to the user and be writable for nobody else (`own_directory`). A client can write its
//!   own user's cache, as it can write its own user's programs; it can't write another's.

mod key;
mod pack;
mod record;

use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use own_directory::OwnDirectory;

pub use key::Key;
pub use pack::Entry;

use pack::Pack;

/// Bytes that the file may have. A large language model's library has some 500 kernels in use, with 50 KB each.
pub const LIMIT: u64 = 512 << 20;

/// Below the directory that is ours in the user's cache directory.
const DIRECTORY: &str = "code";
const FILE: &str = "objects";

/// Why there is no cache, or nothing could be put into it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory or file is not one to trust, or can't be made.
    #[error("code cache `{0}` {1}")]
    Refused(String, own_directory::Refusal),
    /// Reading or writing failed.
    #[error("code cache: {0}")]
    Io(#[from] io::Error),
    /// Somebody else has had it for too long.
    #[error("code cache: it is in use")]
    Busy,
    /// One object would take the room of many.
    #[error("code cache: an object of {0} bytes is too large")]
    TooLarge(usize),
}

/// The objects of one user. Threads of a process share one.
#[derive(Debug)]
pub struct Cache {
    pack: Mutex<Pack>,
}

impl Cache {
    /// Opens the cache below `home`, such as `~/.cache/vgpu-run`, and makes what is missing.
    pub fn open(home: &Path) -> Result<Cache, Error> {
        Cache::open_with_limit(home, LIMIT)
    }

    /// The same, with other bounds than [`LIMIT`].
    pub fn open_with_limit(home: &Path, limit: u64) -> Result<Cache, Error> {
        let refused =
            |refusal| Error::Refused(home.join(DIRECTORY).join(FILE).display().to_string(), refusal);
        let directory =
            OwnDirectory::make(home).and_then(|home| home.make_inside(DIRECTORY)).map_err(refused)?;
        let file = directory.open_to_write(FILE).map_err(refused)?;
        Ok(Cache { pack: Mutex::new(Pack::new(file, limit)) })
    }

    /// The open file. All that the cache does from here on is to read, write, measure, cut and lock this one.
    pub fn descriptor(&self) -> RawFd {
        self.pack().descriptor()
    }

    /// The object, if there is a sound one.
    pub fn get(&self, key: &Key) -> Option<Vec<u8>> {
        // Whatever is wrong, it is as good as not there.
        self.pack().reading(Duration::from_millis(20), |pack| Ok(pack.get(key))).ok().flatten()
    }

    /// Keeps an object, if there is none under this key.
    pub fn put(&self, key: &Key, label: &str, object: &[u8]) -> Result<(), Error> {
        self.pack().writing(Duration::from_millis(500), |pack| pack.put(key, label, object))
    }

    /// All objects, the most recently used first.
    pub fn entries(&self) -> Result<Vec<Entry>, Error> {
        self.pack().reading(Duration::from_secs(5), Pack::entries)
    }

    /// Bytes of the file.
    pub fn size(&self) -> Result<u64, Error> {
        self.pack().reading(Duration::from_secs(5), |pack| Ok(pack.size()))
    }

    /// Removes all objects.
    pub fn clear(&self) -> Result<(), Error> {
        self.pack().writing(Duration::from_secs(5), Pack::clear)
    }

    fn pack(&self) -> MutexGuard<'_, Pack> {
        // What the index says is checked against the file at each use.
        self.pack.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
