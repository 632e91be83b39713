//! `nvidia-smi` for machines that have none: what people and scripts ask of a card, in the forms that they know.
//!
//! ```text
//!   options ──▶ table | log (-q: query.txt) | csv (--query-…) | monitor (dmon, pmon) | changes (-pl, -lgc, -c, -mig …) | drain
//!                      └──────────┬─────────┘
//!                            properties: one row each
//!                                 │ nvml
//!                              libnvml, linked in ──control calls──▶ the device model and its ledger
//! ```
//!
//! All values come through NVML calls of the payload's own library, so this program and whatever else asks NVML agree.
//! Columns, widths and labels are those of driver 580.159.04 (recorded on an H100). XML and what there is none
//! of here (`NOT_OURS` in `options`) is refused by name. Unlike a library of the payload this is a program by itself; the overlay
//! answers `exec` with it where the machine has no `nvidia-smi` (`supervisor/overlay`, `programs`).

mod changes;
mod clock;
mod csv;
mod drain;
mod help;
mod log;
mod monitor;
mod nvml;
mod options;
mod properties;
mod table;

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use monitor::Watch;
use nvml::{Answer, Card, Error};
use options::{Form, Mistake, Options};

/// Exit statuses of the real program.
#[derive(Clone, Copy)]
enum Status {
    InvalidArgument = 2,
    NotSupported = 3,
    NoPermission = 4,
    NotFound = 6,
    NoDriver = 9,
    Lost = 15,
    Unrecognised = 255,
}

/// Why nothing, or not everything, was printed.
struct Failure(Status, String);

fn main() -> ExitCode {
    name_ourselves();
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let outcome = match options::parse(&words) {
        Ok(options) => run(&options),
        Err(Mistake::Unknown(word)) => Err(Failure(
            Status::Unrecognised,
            format!("ERROR: Option {word} is not recognized. Please run 'nvidia-smi -h'.\n\n"),
        )),
        Err(Mistake::Value(word, takes)) => Err(Failure(
            Status::InvalidArgument,
            format!("Option {word} takes {takes}. Please run 'nvidia-smi -h'.\n"),
        )),
        Err(Mistake::Missing(word)) => Err(Failure(
            Status::NotSupported,
            format!(
                "Option {word} is not supported by the nvidia-smi of vgpu-run. Please run 'nvidia-smi -h'.\n"
            ),
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(status, text)) => {
            // The real one tells mistakes where it tells everything else.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::from(status as u8)
        }
    }
}

/// We may have been executed through a descriptor, whose number would be our name in lists of processes.
fn name_ourselves() {
    // SAFETY: the call reads a text that ends in NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"nvidia-smi".as_ptr()) };
}

fn run(options: &Options) -> Result<(), Failure> {
    let mut out: Box<dyn Write> = match &options.file {
        Some(path) => Box::new(File::create(path).map_err(|error| {
            Failure(Status::InvalidArgument, format!("Failed to open {path}: {error}\n"))
        })?),
        None => Box::new(io::stdout()),
    };
    if let Some(text) = help::text(options.form) {
        return write(&mut out, &text);
    }
    let all = nvml::cards().map_err(refused)?;
    if options.form == Form::Drain {
        return drain(options, &mut out);
    }
    for index in &all.lost {
        let text = format!("Unable to determine the device handle for GPU{index}: {}", lost().1);
        write(&mut out, &text)?;
    }
    if all.present.is_empty() && !all.lost.is_empty() {
        return Err(Failure(Status::Lost, "No devices were found\n".to_owned()));
    }
    let cards = chosen(&all.present, options.cards.as_deref())?;
    let repeats = match options.form {
        Form::Change => return change(&cards, options, &mut out),
        Form::WatchDevices | Form::WatchProcesses => return watch(&cards, options, &mut out),
        _ => options.interval,
    };
    loop {
        write(&mut out, &text(&cards, all.count(), options)?)?;
        let Some(interval) = repeats else { break };
        std::thread::sleep(interval);
    }
    // Everything is printed; the status tells of those that could not be asked.
    if all.lost.is_empty() { Ok(()) } else { Err(Failure(Status::Lost, String::new())) }
}

/// What is printed once, or again and again.
fn text(cards: &[Card], all: usize, options: &Options) -> Result<String, Failure> {
    let invalid = |text: &str| Failure(Status::InvalidArgument, text.to_owned());
    let format = || {
        let words = options.format.as_deref().unwrap_or_default();
        csv::Format::parse(words).ok_or_else(|| {
            invalid(
                "\"--format=\" switch is missing or has unknown words. It takes csv, noheader and nounits.\n",
            )
        })
    };
    match options.form {
        Form::List => list(cards).map_err(refused),
        Form::Excluded => Ok("No excluded devices found.\n".to_owned()),
        Form::Log => {
            let sections = options.groups.as_deref().map(log::sections).transpose();
            let sections = sections.map_err(|_| invalid("Failed to parse --display/-d flags\n"))?;
            log::text(cards, all, sections.as_deref()).map_err(refused)
        }
        Form::Cards => csv::cards(cards, &options.names, format()?).map_err(|text| invalid(&text)),
        Form::Processes => csv::processes(cards, &options.names, format()?).map_err(|text| invalid(&text)),
        Form::Accounts => csv::accounts(cards, &options.names, format()?).map_err(|text| invalid(&text)),
        Form::Version => version().map_err(refused),
        Form::Topology => Ok(topology(cards)),
        _ => table::text(cards).map_err(refused),
    }
}

fn watch(cards: &[Card], options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let of_devices = options.form == Form::WatchDevices;
    let groups = options.groups.as_deref().unwrap_or(if of_devices { "puc" } else { "u" });
    let (count, delay) = (options.count, options.interval.unwrap_or(Duration::from_secs(1)));
    let watch = Watch { groups, count, delay };
    let watching = if of_devices { monitor::devices } else { monitor::processes };
    watching(cards, &watch, out).map_err(unwritten)
}

fn drain(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(place) = options.place.filter(|_| !options.drain.is_empty()) else {
        let text = "Option drain takes -p with a card's address, and -m or -q. Please run 'nvidia-smi -h'.\n";
        return Err(Failure(Status::InvalidArgument, text.to_owned()));
    };
    for &order in &options.drain {
        let told = drain::carry_out(&place, order).map_err(|error| {
            let verb = if order == drain::Order::Tell { "query" } else { "modify" };
            Failure(Status::Unrecognised, format!("Failed to {verb} the GPU drain state: {}\n", error.name()))
        })?;
        write(out, &told)?;
    }
    Ok(())
}

/// Makes one change after the other, up to one that a card refuses.
fn change(cards: &[Card], options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    for change in &options.changes {
        let outcome = change.make(cards);
        write(out, &outcome.text)?;
        outcome.result.map_err(|error| {
            let status =
                if error == Error::NO_PERMISSION { Status::NoPermission } else { Status::InvalidArgument };
            Failure(status, String::new())
        })?;
    }
    Ok(())
}

fn write(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(unwritten)
}

fn unwritten(error: io::Error) -> Failure {
    eprintln!("nvidia-smi: cannot write: {error}");
    Failure(Status::InvalidArgument, String::new())
}

fn refused(error: Error) -> Failure {
    /// `NVML_ERROR_DRIVER_NOT_LOADED`
    const NO_DRIVER: Error = Error(9);
    if error == NO_DRIVER {
        let text = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n\n";
        return Failure(Status::NoDriver, text.to_owned());
    }
    if error == Error::GPU_IS_LOST {
        return lost();
    }
    Failure(Status::InvalidArgument, format!("Failed to ask NVML: {}\n", error.text()))
}

/// Said of a card that does not answer any more.
fn lost() -> Failure {
    Failure(Status::Lost, format!("{}.  Reboot the system to recover this GPU\n", Error::GPU_IS_LOST.text()))
}

/// The cards that `-i` names.
fn chosen(all: &[Card], wanted: Option<&str>) -> Result<Vec<Card>, Failure> {
    let Some(wanted) = wanted else { return Ok(all.to_vec()) };
    let is = |card: &Card, name: &str| {
        let address = card.pci().map(|pci| pci.id()).unwrap_or_default();
        name.parse() == Ok(card.index)
            || card.uuid().is_ok_and(|uuid| uuid.eq_ignore_ascii_case(name))
            || card.serial().is_ok_and(|serial| serial == name)
            || !name.is_empty()
                && name.contains(':')
                && address.to_ascii_lowercase().ends_with(&name.to_ascii_lowercase())
    };
    let cards: Vec<Card> =
        all.iter().filter(|card| wanted.split(',').any(|name| is(card, name.trim()))).copied().collect();
    match cards.is_empty() {
        true => Err(Failure(Status::NotFound, "No devices were found\n".to_owned())),
        false => Ok(cards),
    }
}

fn list(cards: &[Card]) -> Answer<String> {
    cards
        .iter()
        .map(|card| Ok(format!("GPU {}: {} (UUID: {})\n", card.index, card.name()?, card.uuid()?)))
        .collect()
}

fn version() -> Answer<String> {
    let library = nvml::library_version()?;
    // It says CUDA's version first, and the driver's without the last part.
    let library: Vec<&str> = library.split('.').skip(1).take(2).collect();
    let driver = nvml::driver_version()?;
    Ok(format!(
        "NVIDIA-SMI version  : {driver}\nNVML version        : {}\nDRIVER version      : {driver}\nCUDA Version        : {}\n",
        library.join("."),
        nvml::cuda_version()?
    ))
}

/// Cards of ours share nothing but the host.
fn topology(cards: &[Card]) -> String {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    let affinity = if processors == 1 { "0".to_owned() } else { format!("0-{}", processors - 1) };
    let names: Vec<String> = cards.iter().map(|card| format!("GPU{}", card.index)).collect();
    let mut text =
        format!("\t\x1b[4m{}\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m\n", names.join("\t"));
    for (row, name) in names.iter().enumerate() {
        let links: Vec<&str> =
            (0..names.len()).map(|column| if row == column { " X " } else { "PHB" }).collect();
        text += &format!("{name}\t{}\t{affinity}\t0\t\tN/A\n", links.join("\t"));
    }
    text + help::LEGEND
}
