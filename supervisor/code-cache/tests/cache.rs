//! Caches of one user: alone, several at once, damaged, full.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use code_cache::{Cache, Error, Key};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> Cache {
        Cache::open(self.0.path()).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("code/objects")
    }
}

fn key(number: u32) -> Key {
    Key::of(&[&number.to_le_bytes()])
}

/// A different object for each number, in size too.
fn object(number: u32) -> Vec<u8> {
    (0..100 + number % 50).map(|index| (index * 7 + number) as u8).collect()
}

fn put(cache: &Cache, number: u32) {
    cache.put(&key(number), &format!("kernel {number}"), &object(number)).unwrap();
}

#[test]
fn what_was_put_is_there_for_this_process_and_the_next() {
    let home = Home::new();
    let cache = home.open();
    assert_eq!(cache.get(&key(1)), None);
    put(&cache, 1);
    put(&cache, 2);
    for cache in [cache, home.open()] {
        assert_eq!(cache.get(&key(1)), Some(object(1)));
        assert_eq!(cache.get(&key(2)), Some(object(2)));
        assert_eq!(cache.get(&key(3)), None);
    }
}

#[test]
fn two_that_have_it_open_see_each_others_objects() {
    let home = Home::new();
    let (one, other) = (home.open(), home.open());
    put(&one, 1);
    put(&other, 2);
    assert_eq!(other.get(&key(1)), Some(object(1)));
    assert_eq!(one.get(&key(2)), Some(object(2)));
}

#[test]
fn the_same_object_is_kept_once() {
    let home = Home::new();
    let (one, other) = (home.open(), home.open());
    put(&one, 1);
    let size = one.size().unwrap();
    put(&other, 1);
    put(&one, 1);
    assert_eq!(other.size().unwrap(), size);
}

#[test]
fn many_write_at_once_and_nothing_is_lost() {
    let home = Home::new();
    thread::scope(|scope| {
        for writer in 0..8 {
            let home = &home;
            scope.spawn(move || {
                let cache = home.open();
                for number in 0..25 {
                    put(&cache, writer * 25 + number);
                }
            });
        }
    });
    let cache = home.open();
    assert_eq!(cache.entries().unwrap().len(), 200);
    assert!((0..200).all(|number| cache.get(&key(number)) == Some(object(number))));
}

#[test]
fn every_damage_is_noticed() {
    let home = Home::new();
    let cache = home.open();
    (0..3).for_each(|number| put(&cache, number));
    drop(cache);
    let whole = fs::read(home.file()).unwrap();
    let file = OpenOptions::new().write(true).open(home.file()).unwrap();
    let mut lost = 0;
    for (index, byte) in whole.iter().enumerate() {
        file.write_all_at(&[byte ^ 0x55], index as u64).unwrap();
        let cache = home.open();
        for number in 0..3 {
            match cache.get(&key(number)) {
                Some(found) => assert_eq!(found, object(number), "byte {index}"),
                None => lost += 1,
            }
        }
        file.write_all_at(&whole, 0).unwrap();
        if index % 20 == 0 {
            // And what is lost can be put again.
            file.write_all_at(&[byte ^ 0x55], index as u64).unwrap();
            let cache = home.open();
            let _ = cache.get(&key(1));
            put(&cache, 1);
            assert_eq!(home.open().get(&key(1)), Some(object(1)), "byte {index}");
            file.write_all_at(&whole, 0).unwrap();
            file.set_len(whole.len() as u64).unwrap();
        }
    }
    assert!(lost > whole.len() / 2, "{lost} of {}", whole.len());
}

#[test]
fn a_torn_record_is_the_end_and_the_next_writer_goes_on_there() {
    let home = Home::new();
    let cache = home.open();
    put(&cache, 1);
    let before = cache.size().unwrap();
    put(&cache, 2);
    let whole = fs::read(home.file()).unwrap();
    for length in (before..whole.len() as u64).step_by(7) {
        fs::write(home.file(), &whole[..length as usize]).unwrap();
        let cache = home.open();
        assert_eq!((cache.get(&key(1)), cache.get(&key(2))), (Some(object(1)), None));
        put(&cache, 3);
        assert_eq!(home.open().get(&key(3)), Some(object(3)));
    }
}

#[test]
fn another_file_in_its_place_counts_as_empty() {
    let home = Home::new();
    drop(home.open());
    fs::write(home.file(), "this is something else, and longer than a head").unwrap();
    let cache = home.open();
    assert_eq!(cache.get(&key(1)), None);
    assert_eq!(cache.size().unwrap(), 0);
    put(&cache, 1);
    assert_eq!(home.open().get(&key(1)), Some(object(1)));
}

#[test]
fn least_recently_used_go_first_and_the_file_stays_small() {
    const LIMIT: u64 = 20_000;
    let home = Home::new();
    let cache = Cache::open_with_limit(home.0.path(), LIMIT).unwrap();
    let other = home.open();
    for number in 0..60 {
        put(&cache, number);
    }
    assert_eq!(other.get(&key(0)), Some(object(0)));
    age_all(&home);
    // Used now, hours after the others.
    let cache = Cache::open_with_limit(home.0.path(), LIMIT).unwrap();
    assert_eq!(cache.get(&key(3)), Some(object(3)));
    for number in 100..300 {
        put(&cache, number);
        assert!(cache.size().unwrap() <= LIMIT);
        if number == 140 {
            assert_eq!(cache.get(&key(3)), Some(object(3)), "kept when the first were dropped");
            assert_eq!(cache.get(&key(4)), None, "dropped");
        }
    }
    assert_eq!(cache.get(&key(299)), Some(object(299)));
    assert_eq!(other.get(&key(299)), Some(object(299)), "who had it open finds what has moved");
    assert_eq!(other.get(&key(4)), None);
}

/// Makes every record one that was last used in 1970.
fn age_all(home: &Home) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let bytes = fs::read(home.file()).unwrap();
    let file = OpenOptions::new().write(true).open(home.file()).unwrap();
    let mut aged = 0;
    for offset in 0..bytes.len() - 8 {
        let word = u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap());
        if word.abs_diff(now) < 60 {
            file.write_all_at(&1u64.to_le_bytes(), offset as u64).unwrap();
            aged += 1;
        }
    }
    assert_eq!(aged, 60);
}

#[test]
fn an_object_that_would_take_all_room_is_refused() {
    let home = Home::new();
    let cache = Cache::open_with_limit(home.0.path(), 1000).unwrap();
    assert!(matches!(cache.put(&key(1), "large", &[0; 500]), Err(Error::TooLarge(500))));
}

#[test]
fn cleared_it_is_empty_for_everybody() {
    let home = Home::new();
    let (one, other) = (home.open(), home.open());
    put(&one, 1);
    assert_eq!(other.get(&key(1)), Some(object(1)));
    one.clear().unwrap();
    assert_eq!(other.get(&key(1)), None);
    assert!(other.entries().unwrap().is_empty());
    put(&other, 2);
    assert_eq!(one.get(&key(2)), Some(object(2)));
}

#[test]
fn entries_say_what_they_are() {
    let home = Home::new();
    let cache = home.open();
    put(&cache, 1);
    let entries = cache.entries().unwrap();
    assert_eq!((entries[0].label.as_str(), entries[0].size), ("kernel 1", object(1).len() as u64));
    assert!(entries[0].last_use.elapsed().unwrap() < Duration::from_secs(60));
}

#[test]
fn nobody_waits_for_one_who_was_stopped() {
    let home = Home::new();
    let cache = home.open();
    put(&cache, 1);
    let holder = File::open(home.file()).unwrap();
    holder.lock().unwrap();
    let begun = Instant::now();
    assert_eq!(cache.get(&key(1)), None);
    assert!(matches!(cache.put(&key(2), "", b""), Err(Error::Busy)));
    assert!(begun.elapsed() < Duration::from_secs(5));
    holder.unlock().unwrap();
    assert_eq!(cache.get(&key(1)), Some(object(1)));
}

#[test]
fn a_file_that_others_can_write_is_refused() {
    let home = Home::new();
    put(&home.open(), 1);
    fs::set_permissions(home.file(), fs::Permissions::from_mode(0o666)).unwrap();
    let refused = Cache::open(home.0.path()).unwrap_err();
    assert!(matches!(&refused, Error::Refused(path, _) if path.ends_with("code/objects")), "{refused}");
}
