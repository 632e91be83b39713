//! The tiers of the engine give the same.

use executors::Interpreter;
use executors::interpreter::Tier;
use random_ptx::generate;
use random_ptx::golden::Line;

/// Compiling takes longer than running: one of twenty of the programs that an H100 ran, or, where `EVERY_PROGRAM` is set, all.
#[test]
fn compiled_programs_give_what_an_h100_gave() {
    let every = if std::env::var_os("EVERY_PROGRAM").is_some() { 1 } else { 20 };
    let lines = Line::all(include_str!("../golden/h100.txt")).expect("the checksums are readable");
    let compiled = Interpreter::on(Tier::Compiled, 1);
    let mut wrong = Vec::new();
    for line in lines.iter().step_by(every) {
        let result = generate(line.seed).run(&compiled);
        if result != Ok(line.result) {
            println!("{} {result:?} {}", line.seed, line.result);
            wrong.push(line.seed);
        }
    }
    assert!(wrong.is_empty(), "{} programs differ: {wrong:?}", wrong.len());
}
