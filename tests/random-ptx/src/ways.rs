//! Ways of running programs that must not show in what they leave.

use executors::Interpreter;
use executors::interpreter::Tier;
use jit::Forced;

/// A way of running.
pub struct Way {
    /// As reports and the command line call it.
    pub name: &'static str,
    /// What runs programs in this way.
    pub executor: Interpreter,
}

/// Code as clients get it, and as those get it whose processor has no more than AVX2.
pub fn plain() -> Vec<Way> {
    vec![on("compiled", Tier::Compiled, 1), on("compiled, avx2", Tier::Avx2, 1)]
}

/// Code that is forced to do what kernels seldom have it do, and orders that nothing promises.
pub fn forced() -> Vec<Way> {
    let none = Forced::default();
    let masked = Forced { masked: true, ..none };
    let splits = |seed| Forced { splits: Some(seed), ..none };
    let stops = |seed| Forced { stops: Some(seed), ..none };
    let order = |seed| Forced { order: Some(seed), ..none };
    let turns = |seed| Forced { turns: Some(seed), ..none };
    let way = |name, forced, threads| on(name, Tier::Forced(forced), threads);
    let shuffled = Interpreter::in_random_order(3, 1);
    vec![
        way("soon", none, 2),
        way("masked", masked, 1),
        way("splits", splits(1), 1),
        way("stops", stops(2), 1),
        way("masked, splits", Forced { masked: true, ..splits(3) }, 3),
        way("splits, stops", Forced { splits: Some(4), ..stops(5) }, 1),
        way("masked, stops", Forced { masked: true, ..stops(6) }, 2),
        way("order", order(7), 1),
        way("turns", turns(8), 1),
        way("order, turns, stops", Forced { turns: Some(9), stops: Some(10), ..order(11) }, 2),
        way("order, splits, turns", Forced { turns: Some(12), splits: Some(13), ..order(14) }, 1),
        Way { name: "interpreter in random order", executor: shuffled },
    ]
}

fn on(name: &'static str, tier: Tier, threads: usize) -> Way {
    Way { name, executor: Interpreter::on(tier, threads) }
}
