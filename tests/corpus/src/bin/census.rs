//! `census [--images-one-in N] [--one-in N] [--seed N] [--no-decode] [--compile-one-in N] [--round-trip] [CARRIER…]`: parses every kernel of every PTX image that
//! packages of registries carry, and prints how many are parsed, what is refused, how many today's interpreter can run, and what
//! compiling one in so many of those took.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use corpus::carriers::{CARRIERS, Carrier};
use corpus::census::{Census, Plan, take};
use corpus::compile::Compiled;

/// How many lines of reasons are printed for each carrier.
const REASONS: usize = 12;

fn main() -> ExitCode {
    let (plan, chosen) = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!(
        "seed {}, one image in {}, of those one kernel in {}",
        plan.seed, plan.images_one_in, plan.one_in
    );
    println!(
        "carrier            images      MB   kernels    parsed   refused  invalid  changed   decoded compiled   scan  parse  seconds"
    );
    let (mut total, mut missing, started) = (Census::default(), 0, Instant::now());
    for carrier in chosen {
        let begun = Instant::now();
        match carrier.sources() {
            Ok(sources) => {
                let census = take(&sources, plan);
                print(carrier.name, &census, begun);
                total.add(census);
            }
            Err(error) => {
                missing += 1;
                println!("{}: can't be had: {error}", carrier.name);
            }
        }
    }
    print("total", &total, started);
    println!(
        "scan and parse are MB of text that one core does in a second; the largest image has {:.1} MB",
        total.largest as f64 / 1e6
    );
    print!("{}", total.compiled);
    let sound = total.compiled.broken.is_empty()
        && total.refused.is_empty()
        && total.changed.is_empty()
        && total.kernels > 0;
    let more = if missing == 0 { String::new() } else { format!("; {missing} carriers can't be had") };
    println!(
        "result {} of {} kernels parse ({:.1} GB of PTX), today's interpreter decodes {}{}{more}",
        total.parsed,
        total.kernels,
        total.bytes as f64 / 1e9,
        total.decoded,
        summary(&total.compiled),
    );
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn arguments() -> Result<(Plan, Vec<&'static Carrier>), String> {
    let mut plan =
        Plan { images_one_in: 1, one_in: 1, seed: 1, round_trip: false, decode: true, compile_one_in: 0 };
    let mut names = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().ok_or_else(|| format!("`{argument}` lacks its number"))?;
            value.parse::<u64>().map_err(|error| format!("`{argument} {value}`: {error}"))
        };
        match argument.as_str() {
            "--one-in" => plan.one_in = number()?.max(1),
            "--images-one-in" => plan.images_one_in = number()?.max(1),
            "--compile-one-in" => plan.compile_one_in = number()?,
            "--seed" => plan.seed = number()?,
            "--round-trip" => plan.round_trip = true,
            "--no-decode" => plan.decode = false,
            _ => names.push(argument),
        }
    }
    let unknown = names.iter().find(|name| !CARRIERS.iter().any(|carrier| carrier.name == **name));
    if let Some(name) = unknown {
        let known: Vec<&str> = CARRIERS.iter().map(|carrier| carrier.name).collect();
        return Err(format!("no carrier `{name}`; there are {}", known.join(", ")));
    }
    let wanted = |carrier: &&Carrier| names.is_empty() || names.iter().any(|name| name == carrier.name);
    Ok((plan, CARRIERS.iter().filter(wanted).collect()))
}

fn print(name: &str, census: &Census, begun: Instant) {
    let sum = |map: &BTreeMap<String, usize>| map.values().sum::<usize>();
    println!(
        "{name:17} {:7} {:7.1} {:9} {:9} {:9} {:8} {:8} {:9} {:8} {:6.0} {:6.0} {:8.1}",
        census.images,
        census.bytes as f64 / 1e6,
        census.kernels,
        census.parsed,
        sum(&census.refused),
        sum(&census.invalid),
        sum(&census.changed),
        census.decoded,
        census.compiled.compiled,
        census.scan_speed(),
        census.parse_speed(),
        begun.elapsed().as_secs_f64(),
    );
    for (what, reasons) in [
        ("refused", &census.refused),
        ("invalid", &census.invalid),
        ("changed", &census.changed),
        ("not decoded", &census.undecoded),
        ("not compiled", &census.compiled.refused),
    ] {
        let mut sorted: Vec<_> = reasons.iter().collect();
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (reason, count) in sorted.iter().take(REASONS) {
            println!("    {count:6} × {what}: {reason}");
        }
        if let Some(more) = sorted.len().checked_sub(REASONS).filter(|more| *more > 0) {
            println!("           and {more} more reasons");
        }
    }
}

fn summary(compiled: &Compiled) -> String {
    if compiled.times.is_empty() {
        return String::new();
    }
    let refused: usize = compiled.refused.values().sum();
    format!(
        "; compiled {} of {}, {} over their budget of time, {} broken",
        compiled.compiled,
        compiled.compiled + refused + compiled.broken.len(),
        compiled.late.len(),
        compiled.broken.len()
    )
}
