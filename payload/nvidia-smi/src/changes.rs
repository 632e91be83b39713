//! Options that change a card: what they take, and what is said of each card.
//!
//! No recording has the words of a change that was made. They are those of the public: NVIDIA's MIG user guide, and what users of
//! driver 5xx show of persistence, power, clocks, compute mode, ECC and accounting. Where nobody shows how the real one words a
//! refusal, it is worded as the others are. As with the real one a card that has nothing of the kind is passed over with a warning,
//! and anything else ends it with NVML's error as its status.

use std::fmt::Write;

use crate::nvml::{Answer, Card, Error};

/// One option that changes cards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `-pl`: mW.
    Power(u32),
    /// `-lgc`, `-rgc`: least and greatest MHz, or as they come.
    GraphicsClocks(Option<[u32; 2]>),
    /// `-lmc`, `-rmc`: the same.
    MemoryClocks(Option<[u32; 2]>),
    /// `-ac`, `-rac`: memory and graphics, MHz.
    ApplicationClocks(Option<[u32; 2]>),
    /// `-c`: an `nvmlComputeMode_t`.
    ComputeMode(u32),
    /// `-pm`, `-am`, `-e`, `-mig`
    Mode(Mode, bool),
    /// `-caa`
    ClearAccounts,
    /// `-p`: an `nvmlEccCounterType_t`.
    ClearErrors(u32),
    /// `-r`
    Reset,
}

/// Something that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Persistence,
    Accounting,
    Ecc,
    Mig,
}

/// Why an option is no change.
#[derive(Debug, PartialEq, Eq)]
pub enum Mistake {
    /// It changes nothing, or nothing that we have.
    NoChange,
    /// Its value is missing.
    NoValue,
    /// Its value is none that it takes: what it takes.
    Wrong(&'static str),
}

/// What became of a change, card by card.
pub struct Outcome {
    /// Whether everything was done, or passed over.
    pub result: Answer<()>,
    /// What is printed.
    pub text: String,
}

const ON_OFF: &str = "0/DISABLED or 1/ENABLED";
const COMPUTE_MODES: &[(u32, &str)] = &[(0, "DEFAULT"), (2, "PROHIBITED"), (3, "EXCLUSIVE_PROCESS")];
const COUNTERS: &[(u32, &str)] = &[(0, "VOLATILE"), (1, "AGGREGATE")];

impl Change {
    /// The change that an option makes; `value` gives its value.
    pub fn parse(option: &str, value: impl FnOnce() -> Option<String>) -> Result<Change, Mistake> {
        let value = || value().ok_or(Mistake::NoValue);
        Ok(match option {
            "-pl" | "--power-limit" => Self::Power(watts(&value()?).ok_or(Mistake::Wrong("watts"))?),
            "-lgc" | "--lock-gpu-clocks" => Self::GraphicsClocks(Some(range(&value()?)?)),
            "-rgc" | "--reset-gpu-clocks" => Self::GraphicsClocks(None),
            "-lmc" | "--lock-memory-clocks" => Self::MemoryClocks(Some(range(&value()?)?)),
            "-rmc" | "--reset-memory-clocks" => Self::MemoryClocks(None),
            "-ac" | "--applications-clocks" => Self::ApplicationClocks(Some(pair(&value()?)?)),
            "-rac" | "--reset-applications-clocks" => Self::ApplicationClocks(None),
            "-c" | "--compute-mode" => {
                let takes = "0/DEFAULT, 2/PROHIBITED or 3/EXCLUSIVE_PROCESS";
                Self::ComputeMode(named(COMPUTE_MODES, &value()?).ok_or(Mistake::Wrong(takes))?)
            }
            "-p" | "--reset-ecc-errors" => {
                let takes = "0/VOLATILE or 1/AGGREGATE";
                Self::ClearErrors(named(COUNTERS, &value()?).ok_or(Mistake::Wrong(takes))?)
            }
            "-pm" | "--persistence-mode" => Self::Mode(Mode::Persistence, on_off(&value()?)?),
            "-am" | "--accounting-mode" => Self::Mode(Mode::Accounting, on_off(&value()?)?),
            "-e" | "--ecc-config" => Self::Mode(Mode::Ecc, on_off(&value()?)?),
            "-mig" | "--multi-instance-gpu" => Self::Mode(Mode::Mig, on_off(&value()?)?),
            "-caa" | "--clear-accounted-apps" => Self::ClearAccounts,
            "-r" | "--gpu-reset" => Self::Reset,
            _ => return Err(Mistake::NoChange),
        })
    }

    /// Changes the cards, in their order, up to one that refuses.
    pub fn make(&self, cards: &[Card]) -> Outcome {
        let mut outcome = Outcome { result: Ok(()), text: String::new() };
        for card in cards {
            let id = card.pci().map(|pci| pci.id()).unwrap_or_default();
            match self.make_one(card, &id) {
                Ok(told) => outcome.text += &told,
                Err(error) => {
                    let passed_over = error == Error::NOT_SUPPORTED || self.is_no_such_clock(error);
                    let _ = writeln!(outcome.text, "{}", self.refusal(card, &id, error));
                    if !passed_over {
                        outcome.text += "Terminating early due to previous errors.\n";
                        outcome.result = Err(error);
                        return outcome;
                    }
                    outcome.text += "Treating as warning and moving on.\n";
                }
            }
        }
        outcome.text += "All done.\n";
        if matches!(self, Self::Mode(Mode::Ecc, _)) && outcome.text.contains(" ECC support for ") {
            outcome.text += "Reboot required.\n";
        }
        outcome
    }

    /// What is told of a card that was changed, or was so before.
    fn make_one(&self, card: &Card, id: &str) -> Answer<String> {
        Ok(match *self {
            Self::Power(milliwatts) => {
                let before = card.power_limit()?;
                card.set_power_limit(milliwatts)?;
                let [now, before] = [milliwatts, before].map(watts_of);
                format!("Power limit for GPU {id} was set to {now} W from {before} W.\n")
            }
            Self::GraphicsClocks(Some([least, most])) => {
                card.lock_graphics_clocks(least, most)?;
                format!("GPU clocks set to \"(gpuClkMin {least}, gpuClkMax {most})\" for GPU {id}\n")
            }
            Self::MemoryClocks(Some([least, most])) => {
                card.lock_memory_clocks(least, most)?;
                format!("Memory clocks set to \"(memClkMin {least}, memClkMax {most})\" for GPU {id}\n")
            }
            Self::ApplicationClocks(Some([memory, graphics])) => {
                card.set_application_clocks(memory, graphics)?;
                format!("Applications clocks set to \"(MEM {memory}, SM {graphics})\" for GPU {id}\n")
            }
            Self::GraphicsClocks(None) => card.reset_graphics_clocks().map(|()| String::new())?,
            Self::MemoryClocks(None) => card.reset_memory_clocks().map(|()| String::new())?,
            Self::ApplicationClocks(None) => card.reset_application_clocks().map(|()| String::new())?,
            Self::ClearAccounts => card.clear_accounts().map(|()| String::new())?,
            Self::ClearErrors(counter) => card.clear_errors(counter).map(|()| String::new())?,
            Self::ComputeMode(mode) => {
                let name =
                    COMPUTE_MODES.iter().find(|(number, _)| *number == mode).map_or("", |(_, name)| name);
                if card.compute_mode()? == mode {
                    return Ok(format!("Compute mode is already set to {name} for GPU {id}.\n"));
                }
                card.set_compute_mode(mode)?;
                format!("Set compute mode to {name} for GPU {id}.\n")
            }
            Self::Mode(mode, on) => mode.switch(card, id, on)?,
            Self::Reset => {
                card.reset()?;
                format!("GPU {id} was successfully reset.\n")
            }
        })
    }

    /// A pair of clocks that the card does not have together.
    fn is_no_such_clock(&self, error: Error) -> bool {
        matches!(self, Self::ApplicationClocks(_)) && error == Error::INVALID_ARGUMENT
    }

    fn refusal(&self, card: &Card, id: &str, error: Error) -> String {
        let is_missing = error == Error::NOT_SUPPORTED;
        let why = error.name();
        let clocks = |what: &str| match error {
            Error::NO_PERMISSION => {
                format!("The current user does not have permission to change clocks for GPU {id}.")
            }
            Error::NOT_SUPPORTED => format!("Setting {what} clocks is not supported for GPU {id}."),
            _ => format!("Failed to set {what} clocks for GPU {id}: {why}"),
        };
        match *self {
            Self::Power(_) if is_missing => {
                format!("Changing power management limit is not supported for GPU: {id}.")
            }
            Self::Power(milliwatts) if error == Error::INVALID_ARGUMENT => {
                let wanted = watts_of(milliwatts);
                let [least, most] = card.power_constraints().unwrap_or_default().map(watts_of);
                format!(
                    "Provided power limit {wanted} W is not a valid power limit which should be between {least} W and {most} W for GPU {id}"
                )
            }
            Self::Power(_) => format!("Failed to set power management limit for GPU {id}: {why}"),
            Self::GraphicsClocks(_) => clocks("locked GPU"),
            Self::MemoryClocks(_) => clocks("locked Memory"),
            Self::ApplicationClocks(Some([memory, graphics])) if self.is_no_such_clock(error) => {
                format!(
                    "Specified clock combination \"(MEM {memory}, SM {graphics})\" is not supported for GPU {id}. Run 'nvidia-smi -q -d SUPPORTED_CLOCKS' to see list of supported clock combinations"
                )
            }
            Self::ApplicationClocks(_) => clocks("applications"),
            Self::ComputeMode(_) => format!("Unable to set compute mode for GPU {id}: {why}"),
            Self::Mode(Mode::Persistence, _) => {
                format!("Unable to set persistence mode for GPU {id}: {why}")
            }
            Self::Mode(Mode::Accounting, _) => format!("Unable to set Accounting Mode for GPU {id}: {why}"),
            Self::Mode(Mode::Ecc, _) => format!("Unable to set ECC support for GPU {id}: {why}"),
            Self::Mode(Mode::Mig, on) => {
                format!("Unable to {} MIG Mode for GPU {id}: {why}", if on { "enable" } else { "disable" })
            }
            Self::ClearAccounts => format!("Unable to clear accounted PIDs for GPU {id}: {why}"),
            Self::ClearErrors(_) => format!("Unable to reset ECC errors for GPU {id}: {why}"),
            Self::Reset if error == Error::IN_USE => {
                format!(
                    "GPU {id} is currently in use by another process.\n\nEnd all processes that have contexts on it first."
                )
            }
            Self::Reset => format!("Unable to reset GPU {id}: {why}"),
        }
    }
}

impl Mode {
    fn switch(self, card: &Card, id: &str, on: bool) -> Answer<String> {
        let word = if on { "Enabled" } else { "Disabled" };
        let (name, is_on) = match self {
            Self::Persistence => ("persistence mode", card.persistence_mode()? != 0),
            Self::Accounting => ("Accounting Mode", card.accounting_mode()? != 0),
            Self::Ecc => ("ECC support", card.ecc_mode()?[1] != 0),
            Self::Mig => return part(card, id, on, word),
        };
        if is_on == on {
            let name = name[..1].to_uppercase() + &name[1..];
            return Ok(format!("{name} is already {word} for GPU {id}.\n"));
        }
        match self {
            Self::Persistence => card.set_persistence_mode(on.into())?,
            Self::Accounting => card.set_accounting_mode(on.into())?,
            _ => card.set_ecc_mode(on.into())?,
        }
        Ok(format!("{word} {name} for GPU {id}.\n"))
    }
}

/// What NVML says of the activation: nothing, or why it has to wait.
fn part(card: &Card, id: &str, on: bool, word: &str) -> Answer<String> {
    Ok(match card.set_mig_mode(on.into())? {
        None => format!("{word} MIG Mode for GPU {id}\n"),
        Some(why) => {
            let state = if on { "enable" } else { "disable" };
            let what_to_do = if why == Error::IN_USE {
                format!(
                    "{id} is currently being used by one or more other processes (e.g. CUDA application or a monitoring application such as another instance of nvidia-smi). Please first kill all processes using the device and retry the command or reboot the system to make MIG mode effective."
                )
            } else {
                format!(
                    "Reboot the system or try nvidia-smi --gpu-reset to make MIG mode effective on GPU {id}"
                )
            };
            let why = why.name();
            format!("Warning: MIG mode is in pending {state} state for GPU {id}:{why}\n{what_to_do}\n")
        }
    })
}

/// As it is printed.
fn watts_of(milliwatts: u32) -> String {
    format!("{:.2}", f64::from(milliwatts) / 1000.0)
}

/// mW of a number of watts, which may have a fraction.
fn watts(text: &str) -> Option<u32> {
    const MOST: f64 = 100_000.0;
    let watts: f64 = text.parse().ok()?;
    (0.0..MOST).contains(&watts).then_some((watts * 1000.0).round() as u32)
}

fn pair(text: &str) -> Result<[u32; 2], Mistake> {
    let both = text.split_once(',').and_then(|(one, other)| Some([one.parse().ok()?, other.parse().ok()?]));
    both.ok_or(Mistake::Wrong("two clocks with a comma, MHz"))
}

/// One clock is both ends.
fn range(text: &str) -> Result<[u32; 2], Mistake> {
    match text.parse() {
        Ok(clock) => Ok([clock, clock]),
        Err(_) => pair(text),
    }
}

/// Of an option that is on or off.
pub fn on_off(text: &str) -> Result<bool, Mistake> {
    match named(&[(0, "DISABLED"), (1, "ENABLED")], text) {
        Some(number) => Ok(number == 1),
        None => Err(Mistake::Wrong(ON_OFF)),
    }
}

/// A value by its number or its name.
fn named(values: &[(u32, &str)], text: &str) -> Option<u32> {
    let is = |(number, name): &&(u32, &str)| name.eq_ignore_ascii_case(text) || text.parse() == Ok(*number);
    values.iter().find(is).map(|(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(option: &str, value: &str) -> Result<Change, Mistake> {
        Change::parse(option, || (!value.is_empty()).then(|| value.to_owned()))
    }

    #[test]
    fn values_are_numbers_or_names() {
        assert_eq!(parse("-pl", "250.5"), Ok(Change::Power(250_500)));
        assert_eq!(parse("-lgc", "300,1500"), Ok(Change::GraphicsClocks(Some([300, 1500]))));
        assert_eq!(parse("-lgc", "1500"), Ok(Change::GraphicsClocks(Some([1500, 1500]))));
        assert_eq!(parse("-rmc", ""), Ok(Change::MemoryClocks(None)));
        assert_eq!(parse("-c", "exclusive_process"), Ok(Change::ComputeMode(3)));
        assert_eq!(parse("-mig", "1"), Ok(Change::Mode(Mode::Mig, true)));
        assert_eq!(parse("-pm", "DISABLED"), Ok(Change::Mode(Mode::Persistence, false)));
    }

    #[test]
    fn what_is_no_value_is_told_with_what_is() {
        assert_eq!(parse("-pm", "2"), Err(Mistake::Wrong(ON_OFF)));
        assert_eq!(parse("-pl", "much"), Err(Mistake::Wrong("watts")));
        assert_eq!(parse("-ac", "1500"), Err(Mistake::Wrong("two clocks with a comma, MHz")));
        assert_eq!(parse("-c", "1"), Err(Mistake::Wrong("0/DEFAULT, 2/PROHIBITED or 3/EXCLUSIVE_PROCESS")));
        assert_eq!(parse("-e", ""), Err(Mistake::NoValue));
        assert_eq!(parse("-q", ""), Err(Mistake::NoChange));
    }
}
