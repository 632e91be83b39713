//! `dmon` and `pmon`: a line a second for each card or process, in columns.

use std::io::{self, Write};
use std::time::Duration;

use crate::nvml::{self, Answer, Card, Process};

/// What to watch, and for how long.
pub struct Watch<'a> {
    /// Letters of groups of columns.
    pub groups: &'a str,
    /// Lines of each card; none: for ever.
    pub count: Option<u64>,
    /// Between two lines.
    pub delay: Duration,
}

type Value = fn(&Card) -> Answer<u64>;

/// A column of `dmon`: its group, its name, its unit, and its value. `None`: there is nothing of the kind.
struct Column(char, &'static str, &'static str, Value);

fn zero(_: &Card) -> Answer<u64> {
    Ok(0)
}

#[rustfmt::skip]
const COLUMNS: &[Column] = &[
    Column('p', "pwr", "W", |card| card.power().map(|it| u64::from(it / 1000))),
    Column('p', "gtemp", "C", |card| card.temperature(0).map(u64::from)),
    Column('p', "mtemp", "C", |card| card.field(82)),
    Column('u', "sm", "%", |card| card.utilization().map(|it| it[0].into())),
    Column('u', "mem", "%", |card| card.utilization().map(|it| it[1].into())),
    Column('u', "enc", "%", |card| card.encoder().map(|it| it[0].into())),
    Column('u', "dec", "%", |card| card.decoder().map(|it| it[0].into())),
    Column('u', "jpg", "%", |card| card.jpeg().map(|it| it[0].into())),
    Column('u', "ofa", "%", |card| card.optical_flow().map(|it| it[0].into())),
    Column('c', "mclk", "MHz", |card| card.clock(2).map(u64::from)),
    Column('c', "pclk", "MHz", |card| card.clock(0).map(u64::from)),
    Column('v', "pviol", "%", zero),
    Column('v', "tviol", "bool", zero),
    Column('m', "fb", "MB", |card| card.memory().map(|it| it.used >> 20)),
    Column('m', "bar1", "MB", |card| card.bar1().map(|it| it[2] >> 20)),
    Column('m', "ccpm", "MB", |card| card.protected_memory().map(|it| it[2] >> 20)),
    Column('e', "sbecc", "errs", |card| card.errors(true, false)),
    Column('e', "dbecc", "errs", |card| card.errors(false, false)),
    Column('e', "pci", "errs", |card| card.replays().map(u64::from)),
    Column('t', "rxpci", "MB/s", |card| card.throughput(1).map(|it| u64::from(it / 1000))),
    Column('t', "txpci", "MB/s", |card| card.throughput(0).map(|it| u64::from(it / 1000))),
];

/// After so many lines the head is printed again.
const LINES: u64 = 20;

/// `dmon`
pub fn devices(cards: &[Card], watch: &Watch, out: &mut dyn Write) -> io::Result<()> {
    let columns: Vec<&Column> = COLUMNS.iter().filter(|column| watch.groups.contains(column.0)).collect();
    repeat(watch, |round| {
        if round % LINES == 0 {
            head(out, "# gpu ", columns.iter().map(|column| column.1))?;
            head(out, "# Idx ", columns.iter().map(|column| column.2))?;
        }
        for card in cards {
            let values =
                columns.iter().map(|column| column.3(card).map_or("-".to_owned(), |it| it.to_string()));
            let row: String = values.map(|value| format!("{value:>6} ")).collect();
            writeln!(out, "{:>5} {row}", card.index)?;
        }
        out.flush()
    })
}

/// `pmon`
pub fn processes(cards: &[Card], watch: &Watch, out: &mut dyn Write) -> io::Result<()> {
    let (usage, memory) = (watch.groups.contains('u'), watch.groups.contains('m'));
    let columns = |one: &[&'static str], other: &[&'static str]| {
        let empty = [].as_slice();
        let chosen = if usage { one } else { empty }.iter().chain(if memory { other } else { empty });
        chosen.copied().collect::<Vec<&str>>()
    };
    let names = columns(&["sm", "mem", "enc", "dec", "jpg", "ofa"], &["fb", "ccpm"]);
    let units = columns(&["%"; 6], &["MB"; 2]);
    repeat(watch, |round| {
        if round % LINES == 0 {
            for (start, id, kind, list, end) in
                [("# gpu", "pid", "type", &names, "command"), ("# Idx", "#", "C/G", &units, "name")]
            {
                let list: String = list.iter().map(|name| format!("{name:>7}")).collect();
                writeln!(out, "{start}{id:>12}{kind:>7}{list}    {end} ")?;
            }
        }
        for card in cards {
            let list = card.processes().unwrap_or_default();
            for process in &list {
                // The share of one process is known where it is the only one.
                let share = card.utilization().ok().filter(|_| list.len() == 1);
                row(out, card, Some((process, share)), usage, memory)?;
            }
            if list.is_empty() {
                row(out, card, None, usage, memory)?;
            }
        }
        out.flush()
    })
}

fn row(
    out: &mut dyn Write,
    card: &Card,
    of: Option<(&Process, Option<[u32; 2]>)>,
    usage: bool,
    memory: bool,
) -> io::Result<()> {
    let dash = || "-".to_owned();
    let mut values = Vec::new();
    if usage {
        let share = of.and_then(|(_, share)| share);
        values.extend([0, 1].map(|index| share.map_or_else(dash, |share| share[index].to_string())));
        values.extend([(); 4].map(|()| dash()));
    }
    if memory {
        values.push(of.map_or_else(dash, |(process, _)| (process.used >> 20).to_string()));
        values.push(of.map_or_else(dash, |_| "0".to_owned()));
    }
    let values: String = values.iter().map(|value| format!("{value:>7}")).collect();
    let (pid, kind) = of.map_or((dash(), "-"), |(process, _)| (process.pid.to_string(), "C"));
    let name = of.and_then(|(process, _)| nvml::process_name(process.pid).ok());
    let name = name.as_deref().map_or("-", |name| name.rsplit('/').next().unwrap_or(name));
    let name: String = name.chars().take(14).collect();
    writeln!(out, "{:>5}{pid:>11}{kind:>6}{values}    {name:<15}", card.index)
}

fn head<'a>(out: &mut dyn Write, start: &str, names: impl Iterator<Item = &'a str>) -> io::Result<()> {
    let names: String = names.map(|name| format!("{name:>6} ")).collect();
    writeln!(out, "{start}{names}")
}

fn repeat(watch: &Watch, mut each: impl FnMut(u64) -> io::Result<()>) -> io::Result<()> {
    let mut round = 0;
    while watch.count.is_none_or(|count| round < count) {
        if round > 0 {
            std::thread::sleep(watch.delay);
        }
        each(round)?;
        round += 1;
    }
    Ok(())
}
