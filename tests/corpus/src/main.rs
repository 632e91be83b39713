//! `corpus [CLIENT…]`: decodes every kernel of the clients' PTX for capability 6.1 and names what is refused.

use std::collections::BTreeMap;
use std::process::ExitCode;

use corpus::{CLIENTS, client};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let chosen =
        CLIENTS.iter().map(|it| it.name).filter(|name| names.is_empty() || names.iter().any(|it| it == name));
    let mut refused = 0;
    for name in chosen {
        match client(name).ok_or_else(|| "unknown client".to_owned()).and_then(|client| client.open()) {
            Ok(library) => refused += report(name, &corpus::decode(&library, 61)),
            Err(error) => {
                eprintln!("error: {name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints counts and each reason with how often it occurs; gives the number of refused kernels.
fn report(name: &str, outcome: &corpus::Decoded) -> usize {
    println!("{name}: {} kernels decoded, {} refused", outcome.decoded, outcome.refused.len());
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, reason) in &outcome.refused {
        // What follows the quote is particular to one kernel.
        let short = reason.split("cannot run: ").last().unwrap_or(reason);
        *reasons.entry(short.split(", line").next().unwrap_or(short)).or_default() += 1;
    }
    reasons.iter().for_each(|(reason, count)| println!("  {count:6} × {reason}"));
    outcome.refused.len()
}
