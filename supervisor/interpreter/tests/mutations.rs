//! Damaged kernels: what still parses is decoded or refused, never a panic.

use std::sync::Arc;

use interpreter::Image;
use ptx::Module;

/// Where the stream of mutations begins; a failure names the round.
const SEED: u64 = 0x0dec_0de5_eed0_0001;
const ROUNDS: usize = 3000;

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Swaps words of the text for other words of it: most of what results still parses.
fn mutate(text: &str, random: &mut Random) -> String {
    let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '%' | '_' | '.' | ':' | '$' | '-'));
    let mut words: Vec<&str> = text.split_inclusive(ends).collect();
    for _ in 0..1 + random.below(4) {
        let (from, to) = (random.below(words.len()), random.below(words.len()));
        words[to] = words[from];
    }
    words.concat()
}

fn exercise(text: &str) -> (usize, usize) {
    let Ok(module) = Module::parse(text) else { return (0, 0) };
    let module = Arc::new(module);
    let mut memory = Vec::new();
    let mut place = |size: u64, align: u64| {
        memory.push(vec![0u128; ((size.min(1 << 20) + align) / 16 + 1) as usize]);
        let start = memory.last_mut()?.as_mut_ptr().expose_provenance() as u64;
        (size <= 1 << 20).then(|| start.next_multiple_of(align))
    };
    let Ok(image) = Image::load(module.clone(), &mut place) else { return (0, 0) };
    let outcomes: Vec<bool> = module.entries().map(|kernel| image.kernel(&kernel.name).is_ok()).collect();
    let decoded = outcomes.iter().filter(|decoded| **decoded).count();
    (decoded, outcomes.len() - decoded)
}

#[test]
fn damaged_kernels_are_decoded_or_refused() {
    let sources = [
        include_str!("../../ptx/tests/every_directive.ptx"),
        include_str!("../../../tests/ptx/votes.ptx"),
        include_str!("../../../tests/ptx/divergence.ptx"),
        include_str!("../../../tests/ptx/shuffles.ptx"),
        include_str!("../../../tests/ptx/memory.ptx"),
    ];
    let mut random = Random(SEED);
    let (mut decoded, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let text = mutate(sources[round % sources.len()], &mut random);
        match std::panic::catch_unwind(|| exercise(&text)) {
            Ok((more, less)) => (decoded, refused) = (decoded + more, refused + less),
            Err(_) => panic!("seed {SEED:#x}, round {round}:\n{text}"),
        }
    }
    assert!(decoded > ROUNDS / 10 && refused > ROUNDS / 10, "{decoded} decoded, {refused} refused");
}
