//! Whatever a program asks, the resource manager stands: it is in the process that answers for all.

mod common;

use std::path::{Path, PathBuf};

use common::{folder, manager};
use recording::{Event, Ioctl};
use replay::{Mask, check};
use resource_manager::ResourceManager;

/// How often each recording is damaged anew; `VGPU_RUN_TEST_ROUNDS` for a longer look, which begins somewhere else.
fn rounds() -> (usize, u64) {
    const FEW: (usize, u64) = (2, 0x1234_5678_9abc_def1);
    let asked = std::env::var("VGPU_RUN_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    asked.map_or(FEW, |rounds| (rounds, u64::from(std::process::id()) << 32 | 1))
}

/// xorshift64
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }

    /// Puts a word of a kind that hurts somewhere, aligned as fields are.
    fn damage(&mut self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        let all = self.0.to_le_bytes();
        let word = match self.below(5) {
            0 => [0xff; 8],
            1 => [0; 8],
            2 => [0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0],
            3 => [self.below(200) as u8, 0, 0, 0, 0, 0, 0, 0],
            _ => all,
        };
        let width = [1, 4, 4, 8][self.below(4)];
        let at = self.below(bytes.len()) / width * width;
        bytes[at..].iter_mut().zip(&word[..width]).for_each(|(byte, new)| *byte = *new);
    }
}

fn damage(call: &mut Ioctl, random: &mut Random) {
    match random.below(4) {
        0 => random.damage(&mut call.outer_before),
        1 => call.indirect.iter_mut().for_each(|indirect| random.damage(&mut indirect.before)),
        _ => random.damage(&mut call.parameters_before),
    }
}

#[test]
fn damaged_calls_are_answered_too() {
    let folder = folder("h100-2");
    let recordings = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("readable").path();
        path.extension().is_some_and(|end| end == "xz").then_some(path)
    };
    let files: Vec<PathBuf> = folder.read_dir().expect("a folder").filter_map(recordings).collect();
    assert!(files.len() > 100);
    let (rounds, seed) = rounds();
    let (mut different, mut random) = (0, Random(seed));
    for file in &files {
        for _ in 0..rounds {
            different += play(file, manager(&folder), &mut random);
        }
    }
    assert!(different > 1000, "damage is seldom noticed: {different}");
}

/// One call in four is damaged. How many are answered otherwise than the recording's was.
fn play(file: &Path, mut manager: ResourceManager, random: &mut Random) -> usize {
    let mut events = recording::open(file).expect("a recording");
    for event in &mut events {
        if let Event::Ioctl(call) = event
            && random.below(4) == 0
        {
            damage(call, random);
        }
    }
    check(&events, &mut manager, &Mask::embedded()).mismatches.len()
}
