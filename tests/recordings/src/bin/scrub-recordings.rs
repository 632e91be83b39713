//! Takes the identity of the card and the machine out of every file of a folder.
//!
//! ```text
//! scrub-recordings FOLDER SMI_Q_X_OUTPUT HOST_NAME
//! ```
//!
//! What identifies the card is read from the output of `nvidia-smi -q -x` and of `nvml-walk`.

use anyhow::{Context, Result, bail};
use recording::{Event, Scrubber, scrub_chip_identity};
use std::path::Path;

/// Elements of nvidia-smi's XML that hold identities, and what stands there afterwards.
const UUID: &str = "GPU-c0ffee00-1234-5678-9abc-def012345678";
const SERIAL: u64 = 1_650_000_000_001;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, identity, host] = words.as_slice() else {
        bail!("scrub-recordings FOLDER SMI_Q_X_OUTPUT HOST_NAME")
    };
    let identity = std::fs::read_to_string(identity).with_context(|| identity.clone())?;
    let answers = std::fs::read(Path::new(folder).join("nvml-getters.stdout")).unwrap_or_default();
    let scrubber = scrubber(&identity, &String::from_utf8_lossy(&answers), host);
    scrub_folder(Path::new(folder), &scrubber)
}

fn scrubber(identity: &str, answers: &str, host: &str) -> Scrubber {
    let mut scrubber = Scrubber::default();
    for (at, uuid) in
        elements(identity, "uuid").into_iter().filter(|uuid| uuid.len() == UUID.len()).enumerate()
    {
        let made_up = format!("{}{at}", &UUID[..UUID.len() - 1]);
        scrubber.replace_uuid(&uuid, if at == 0 { UUID } else { &made_up });
    }
    for name in ["serial", "chassis_serial_number", "module_serial"] {
        for serial in elements(identity, name) {
            match serial.parse() {
                Ok(number) if serial.len() == SERIAL.to_string().len() => {
                    scrubber.replace_number(number, SERIAL)
                }
                _ if serial.chars().all(|character| character.is_ascii_alphanumeric())
                    && serial.len() > 5 =>
                {
                    scrubber.replace_text(&serial, &"1".repeat(serial.len()));
                }
                _ => {}
            }
        }
    }
    for name in ["gpu_pdi", "gpu_fabric_guid"] {
        for number in elements(identity, name) {
            if let Ok(number) = u64::from_str_radix(number.trim_start_matches("0x"), 16) {
                scrub_identifier(&mut scrubber, number);
            }
        }
    }
    for number in answers.lines().filter_map(per_device_identifier) {
        scrub_identifier(&mut scrubber, number);
    }
    if host.len() > 3 && host != "localhost" {
        scrubber.replace_text(host, &"h".repeat(host.len()));
    }
    scrubber
}

/// A number that a card alone has: its bytes, and its digits in both bases.
fn scrub_identifier(scrubber: &mut Scrubber, real: u64) {
    const MADE_UP: u64 = 0xc0ff_ee00_1234_5678;
    let same_length =
        |made_up: String, real: &str| made_up[made_up.len().saturating_sub(real.len())..].to_owned();
    scrubber.replace(&real.to_le_bytes(), &MADE_UP.to_le_bytes());
    for real in [format!("{real:x}"), format!("{real:016x}"), format!("{real:X}"), format!("{real:016X}")] {
        scrubber.replace_text(&real, &same_length(format!("{MADE_UP:x}"), &real));
    }
    let decimal = real.to_string();
    if decimal.len() > 8 {
        scrubber.replace_text(&decimal, &same_length(format!("{MADE_UP:020}"), &decimal));
    }
}

/// `nvmlDeviceGetPdi`: a structure of a version and, at 8, the number.
fn per_device_identifier(line: &str) -> Option<u64> {
    let bytes = line.strip_prefix("nvmlDeviceGetPdi() = 0 ")?.split_once('[')?.1.trim_end_matches(']');
    let bytes = hex::decode(bytes).ok()?;
    let mut number = [0; 8];
    let there = bytes.get(8..)?;
    number[..there.len().min(8)].copy_from_slice(&there[..there.len().min(8)]);
    Some(u64::from_le_bytes(number)).filter(|&number| number != 0)
}

/// The texts of the XML elements of that name.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.trim().to_owned())).collect()
}

fn scrub_folder(folder: &Path, scrubber: &Scrubber) -> Result<()> {
    for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            scrub_folder(&path, scrubber)?;
        } else if path.is_file() {
            let mut bytes = std::fs::read(&path)?;
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                bytes = without_chip_identity(&bytes).with_context(|| path.display().to_string())?;
            }
            let scrubbed = scrubber.scrub(&bytes);
            if scrubbed != bytes {
                std::fs::write(&path, scrubbed)?;
            }
        }
    }
    Ok(())
}

fn without_chip_identity(lines: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(lines.len());
    for mut event in recording::read(lines)? {
        if let Event::Ioctl(ioctl) = &mut event {
            scrub_chip_identity(ioctl);
        }
        serde_json::to_writer(&mut out, &event)?;
        out.push(b'\n');
    }
    Ok(out)
}
