//! `vgpu-run decode`: the device calls of recordings, as lines of text.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use nvidia_abi::{Abi, Behind, Call, Field, UnknownVersion};
use recording::{Event, Ioctl};
use trace::Filter;

use crate::cli;
use crate::failure::{Doing, Failure};

/// Prints the chosen calls of every file.
pub fn decode(order: &cli::Decode) -> Result<ExitCode, Failure> {
    let filter = Filter::new(&order.filter);
    let mut out = BufWriter::new(io::stdout().lock());
    for file in &order.files {
        let events = recording::open(file).doing(&format!("read `{}`", file.display()))?;
        let abi = abi(order.driver_abi.as_deref(), &events, file)?;
        for event in &events {
            match line(&abi, &filter, event).map_or(Ok(()), |line| writeln!(out, "{line}")) {
                // Whoever reads has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                printed => printed.doing("print")?,
            }
        }
    }
    out.flush().doing("print")?;
    Ok(ExitCode::SUCCESS)
}

/// The tables that somebody chose, or those of the driver that the recording names.
fn abi(chosen: Option<&str>, events: &[Event], file: &Path) -> Result<Abi, Failure> {
    let Some(version) = chosen.map(str::to_owned).or_else(|| version(events)) else {
        let failure = Failure::new(format!("`{}` does not say which driver it is of", file.display()));
        return Err(failure.hint(format!("say so by `{} VERSION`", UnknownVersion::OVERRIDE)));
    };
    Abi::of(&version).map_err(|unknown| {
        Failure::new(format!("cannot decode `{}`", file.display())).cause(&unknown).hint(unknown.hint())
    })
}

/// The driver's version as an answer told it: those that tell it are the same in every release.
pub fn version(events: &[Event]) -> Option<String> {
    let newest = Abi::of(nvidia_abi::versions().last()?).ok()?;
    let told = |ioctl: &Ioctl| {
        let call = call(ioctl, &[])?;
        let (row, answer) = match newest.of_parameters(&call) {
            Some((_, row)) => (row?, call.parameters_after),
            None => (newest.of_call(&call)?, call.after),
        };
        ["versionString", "driverVersionBuffer", "firmwareVersion"]
            .iter()
            .find_map(|name| text(row.field(name)?, answer))
    };
    events.iter().find_map(|event| if let Event::Ioctl(ioctl) = event { told(ioctl) } else { None })
}

fn text(field: &Field, bytes: &[u8]) -> Option<String> {
    let letters = (0..field.len()).map_while(|index| field.read(bytes, index)).map(|letter| letter as u8);
    let text = String::from_utf8(letters.take_while(|letter| *letter != 0).collect()).ok()?;
    (!text.is_empty()).then_some(text)
}

fn line(abi: &Abi, filter: &Filter, event: &Event) -> Option<String> {
    match event {
        Event::Ioctl(ioctl) => ioctl_line(abi, filter, ioctl),
        Event::Other(call) => filter.shows_one_of(&[]).then(|| call.to_string()),
    }
}

/// A call, if it is chosen.
pub fn ioctl_line(abi: &Abi, filter: &Filter, ioctl: &Ioctl) -> Option<String> {
    let behind: Vec<_> = (ioctl.indirect.iter())
        .map(|buffer| Behind { at: buffer.at, before: &buffer.before, after: &buffer.after })
        .collect();
    let call = call(ioctl, &behind)?;
    let outer = abi.of_call(&call).and_then(|row| row.name);
    let about = abi.of_parameters(&call).and_then(|(_, row)| row?.name);
    let names: Vec<_> = outer.into_iter().chain(about).collect();
    filter.shows_one_of(&names).then(|| abi.line(&call))
}

fn call<'a>(ioctl: &'a Ioctl, behind: &'a [Behind<'a>]) -> Option<Call<'a>> {
    Some(Call {
        node: &ioctl.dev,
        request: u32::from_str_radix(&ioctl.cmd, 16).ok()?,
        errno: ioctl.errno,
        before: &ioctl.outer_before,
        after: &ioctl.outer_after,
        parameters_before: &ioctl.parameters_before,
        parameters_after: &ioctl.parameters_after,
        behind,
    })
}
