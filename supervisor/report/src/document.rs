//! The report as data: what `--report=json` prints, and what the text is made of.
//!
//! The field descriptions below are also those of `report.schema.json`, which a test holds equal to these types.

use serde::{Deserialize, Serialize};
use wire::control::NoteKind;
use wire::figures::KernelCost;

use crate::finding::Finding;
use crate::process::Exit;

/// Version of the form. It rises with every change of a field.
pub const SCHEMA: u32 = 1;

/// What `vgpu-run --report=json` prints at the end, as one object in lines of its own on standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Version of this form: 1. It rises with every change of a field.
    pub schema: u32,
    /// Version of vgpu-run.
    pub version: String,
    /// Name of the announced card; null if no program asked for one.
    pub device: Option<String>,
    /// Its compute capability, like `8.0`; null as `device`.
    pub capability: Option<String>,
    /// Programs that had to do with CUDA, in the order of their starts. A process that executes another program is listed again.
    pub processes: Vec<Account>,
    /// How many programs did nothing with CUDA.
    pub others: u64,
    /// What is worth saying, worst first.
    pub findings: Vec<Finding>,
}

/// What one program did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its process id, in vgpu-run's namespace.
    pub pid: i32,
    /// The program, as it was asked for.
    pub program: String,
    /// How it ended; null if that was not seen, or another program followed in this process.
    pub exit: Option<Exit>,
    /// Files that it opened and that have to do with CUDA, each once.
    pub opened: Vec<Opened>,
    /// What our libraries in it told, with repetitions counted.
    pub told: Vec<Told>,
    /// What `--check` found in its kernels.
    pub checks: Vec<Checked>,
    /// Most device memory that it held at once, in bytes.
    pub memory_peak: u64,
    /// What its kernels cost, the one that took longest first.
    pub kernels: Vec<Kernel>,
}

/// A file that was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// Its path as the program gave it.
    pub path: String,
    /// What the program got, in words.
    pub answer: String,
}

/// Something that our libraries told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// What it is about.
    pub kind: Kind,
    /// The thing's name, or why.
    pub text: String,
    /// A result of `initialised`, bytes of `allocation_failed`, 1 for `slower` by an error of ours; else 0.
    pub value: i64,
    /// How often it was told.
    pub times: u64,
    /// All of it, in words.
    pub message: String,
}

/// What something told is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A function was called that we lack.
    Unsupported,
    /// A function's name was asked for that we do not know.
    UnknownName,
    /// `cuInit`, `nvmlInit` or `cudaGetDeviceCount` answered.
    Initialised,
    /// A module or kernel can't run.
    CodeRefused,
    /// A kernel faulted.
    Fault,
    /// An allocation was refused.
    AllocationFailed,
    /// A private table of the driver was asked for.
    ExportTable,
    /// What the engine did for the process.
    Summary,
    /// A kernel is left to the interpreter, or compiled code is not kept.
    Slower,
    /// A check found something; listed under `checks`.
    Checked,
}

/// Something that a check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// Which check: `memory`, `race`, `init`, `leak`, or `other`.
    pub check: String,
    /// What it found.
    pub what: String,
    /// Kernel, thread and place, a line each.
    pub r#where: Vec<String>,
    /// How often.
    pub times: u64,
}

/// What a kernel cost, for blocks of one shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Its name in the PTX, or as much of it as fits.
    pub kernel: String,
    /// Threads of its blocks along x, y, z.
    pub block: [u32; 3],
    /// How often it was launched.
    pub launches: u64,
    /// How many of these ran in compiled code.
    pub compiled: u64,
    /// Time of all launches.
    pub seconds: f64,
    /// Time of those that were interpreted.
    pub interpreted_seconds: f64,
    /// Instructions that compiled code had the interpreter do, of a warp each.
    pub stepped: u64,
    /// Warps that compiled code handed to the interpreter.
    pub stops: u64,
    /// Time until there was code.
    pub compile_seconds: f64,
    /// Bytes of its code; zero if there is none.
    pub code_bytes: u64,
}

impl From<NoteKind> for Kind {
    fn from(kind: NoteKind) -> Self {
        match kind {
            NoteKind::Unsupported => Self::Unsupported,
            NoteKind::UnknownName => Self::UnknownName,
            NoteKind::Initialised => Self::Initialised,
            NoteKind::CodeRefused => Self::CodeRefused,
            NoteKind::Fault => Self::Fault,
            NoteKind::AllocationFailed => Self::AllocationFailed,
            NoteKind::ExportTable => Self::ExportTable,
            NoteKind::Summary => Self::Summary,
            NoteKind::Slower => Self::Slower,
            NoteKind::Checked => Self::Checked,
        }
    }
}

impl From<&KernelCost> for Kernel {
    fn from(cost: &KernelCost) -> Self {
        Self {
            kernel: cost.kernel.clone(),
            block: cost.block,
            launches: cost.launches,
            compiled: cost.compiled,
            seconds: cost.time.as_secs_f64(),
            interpreted_seconds: cost.interpreted.as_secs_f64(),
            stepped: cost.stepped,
            stops: cost.stops,
            compile_seconds: cost.compile_time.as_secs_f64(),
            code_bytes: cost.code_bytes,
        }
    }
}

impl Account {
    /// Program and pid, as every line names a process.
    pub fn title(&self) -> String {
        crate::process::title(self.program.as_ref(), self.pid)
    }
}

impl Document {
    /// The last report in what a run printed on standard error, where the program's own words come before it. The error says in
    /// which way it is no report of this version, field by field.
    pub fn last_in(printed: &str) -> Result<Self, String> {
        let start = printed.rmatch_indices("{\n").map(|(at, _)| at);
        let mut start = start.filter(|at| *at == 0 || printed.as_bytes()[at - 1] == b'\n');
        let at = start.next().ok_or("there is no report")?;
        let mut values = serde_json::Deserializer::from_str(&printed[at..]).into_iter();
        values.next().ok_or("there is no report")?.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the schema is kept, for readers and other programs.
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/report.schema.json");

    /// With REPORT_SCHEMA=write in the environment, writes it instead.
    #[test]
    fn the_schema_file_is_that_of_the_types() {
        let schema = format!("{:#}\n", schemars::schema_for!(Document).to_value());
        if std::env::var_os("REPORT_SCHEMA").is_some_and(|word| word == "write") {
            std::fs::write(FILE, &schema).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(FILE).unwrap(),
            schema,
            "rises `SCHEMA`? then REPORT_SCHEMA=write"
        );
    }

    #[test]
    fn a_report_is_found_behind_other_words_and_odd_fields_are_named() {
        let document = Document {
            schema: SCHEMA,
            version: "1".to_owned(),
            device: None,
            capability: None,
            processes: vec![],
            others: 3,
            findings: vec![],
        };
        let text = format!("words of a program\n{{\n}}\n{}", crate::render::json(&document));
        assert_eq!(Document::last_in(&text), Ok(document));
        let odd = text.replace("\"others\"", "\"ours\"");
        assert!(Document::last_in(&odd).unwrap_err().contains("unknown field `ours`"));
        assert!(Document::last_in("{} words").unwrap_err().contains("no report"));
    }
}
