//! How much of the compiler random programs come by.

use std::collections::BTreeMap;
use std::fmt;

use executors::interpreter::{Loaded, Tier};
use jit::USES;

use crate::generate;
use crate::straight::Straight;

/// What the compiler does for some programs.
#[derive(Default)]
pub struct Reach {
    /// Programs.
    pub programs: usize,
    /// Of those, with code.
    pub compiled: usize,
    /// By [`USES`], in how many.
    pub uses: BTreeMap<&'static str, usize>,
    /// Instructions that the interpreter does for code, or takes over at, by their first word and the reason: in how many.
    pub refused: BTreeMap<String, usize>,
}

impl Reach {
    /// Lowers the programs of some seeds.
    pub fn of(seeds: impl Iterator<Item = u64>) -> Reach {
        let mut reach = Reach { uses: USES.iter().map(|name| (*name, 0)).collect(), ..Reach::default() };
        for seed in seeds {
            reach.add(seed);
            reach.add_straight(seed);
        }
        reach
    }

    fn add(&mut self, seed: u64) {
        let program = generate(seed);
        self.programs += 1;
        let Ok(loaded) = Loaded::on(Tier::Avx2, &program.text()) else { return };
        let Ok(made) = loaded.lowered("random", program.block) else { return };
        self.compiled += 1;
        made.used.iter().for_each(|name| *self.uses.entry(name).or_default() += 1);
        let mut reasons: Vec<String> = made.refused.iter().map(|(_, reason)| reason.clone()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons.into_iter().for_each(|reason| *self.refused.entry(reason).or_default() += 1);
    }

    fn add_straight(&mut self, seed: u64) {
        let program = Straight::of(seed);
        let loaded = Loaded::on(Tier::Avx2, program.text()).expect("PTX of ours");
        let made = loaded.lowered("straight", program.block).expect("it has code");
        made.used.iter().for_each(|name| *self.uses.entry(name).or_default() += 1);
    }

    /// What no program came by.
    pub fn missing(&self) -> Vec<&'static str> {
        self.uses.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} programs, {} with code", self.programs, self.compiled)?;
        for name in USES {
            writeln!(f, "{:7} {name}", self.uses.get(name).copied().unwrap_or(0))?;
        }
        writeln!(f, "left to the interpreter:")?;
        self.refused.iter().try_for_each(|(reason, count)| writeln!(f, "{count:7} {reason}"))
    }
}
