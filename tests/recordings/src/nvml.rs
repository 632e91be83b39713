//! Calls NVML's functions by a table of their arguments' kinds.

use crate::library::Library;

/// What asks.
pub const GETTERS: &str = include_str!("nvml/getters.txt");
/// What an unprivileged user may not set.
pub const REFUSED: &str = include_str!("nvml/refused.txt");

const BUFFER: usize = 64 << 10;
const SHOWN: usize = 4096;
const COUNT: u32 = 64;
const WRONG_VERSION: u32 = 0x7f00_0008;

/// A row of a table.
pub struct Row<'a> {
    /// The function.
    pub name: &'a str,
    arguments: Vec<Argument>,
}

enum Argument {
    Device,
    Values(Vec<u64>),
    /// Size, and version in the highest byte.
    Versioned(Vec<u32>),
    Buffer {
        count: bool,
    },
}

/// A call and its answer.
pub struct Answer {
    /// The numbers it was called with.
    pub values: Vec<u64>,
    /// `nvmlReturn_t`
    pub result: i32,
    /// Size and version that a versioned structure turned out to have.
    pub version: Option<u32>,
    /// What each buffer holds afterwards, up to its last byte that is not zero.
    pub buffers: Vec<Vec<u8>>,
}

/// The rows of a table.
pub fn rows(table: &str) -> Vec<Row<'_>> {
    table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(Row::parse).collect()
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a row has a name");
        Self { name, arguments: words.map(Argument::parse).collect() }
    }

    /// Calls the function with every value that the row lists.
    ///
    /// # Safety
    /// The row tells the truth about the function.
    pub unsafe fn call(&self, library: &Library, device: u64) -> Vec<Answer> {
        let mut combinations = vec![vec![]];
        for argument in &self.arguments {
            if let Argument::Values(values) = argument {
                combinations = combinations
                    .into_iter()
                    .flat_map(|combination: Vec<u64>| {
                        values.iter().map(move |&value| [combination.clone(), vec![value]].concat())
                    })
                    .collect();
            }
        }
        // SAFETY: passed on to the caller.
        combinations
            .into_iter()
            .flat_map(|values| unsafe { self.call_with(library, device, values) })
            .collect()
    }

    /// One call, or one for each version that a structure comes in and one for a version that it does not.
    unsafe fn call_with(&self, library: &Library, device: u64, values: Vec<u64>) -> Vec<Answer> {
        let versions = self.arguments.iter().find_map(|argument| match argument {
            Argument::Versioned(versions) => Some(versions),
            _ => None,
        });
        let Some(versions) = versions else {
            // SAFETY: passed on to the caller.
            return vec![unsafe { self.call_as(library, device, values, None) }];
        };
        let wrong = std::iter::once(&WRONG_VERSION);
        // SAFETY: passed on to the caller.
        versions
            .iter()
            .chain(wrong)
            .map(|&version| unsafe { self.call_as(library, device, values.clone(), Some(version)) })
            .collect()
    }

    unsafe fn call_as(
        &self,
        library: &Library,
        device: u64,
        values: Vec<u64>,
        version: Option<u32>,
    ) -> Answer {
        let mut buffers: Vec<Vec<u8>> = Vec::new();
        let mut next = values.iter();
        let arguments: Vec<u64> = self
            .arguments
            .iter()
            .map(|argument| match argument {
                Argument::Device => device,
                Argument::Values(_) => *next.next().expect("a value each"),
                Argument::Versioned(_) | Argument::Buffer { .. } => {
                    let first = match argument {
                        Argument::Versioned(_) => version.unwrap_or(0),
                        Argument::Buffer { count: true } => COUNT,
                        _ => 0,
                    };
                    let mut buffer = vec![0; BUFFER];
                    buffer[..4].copy_from_slice(&first.to_le_bytes());
                    buffers.push(buffer);
                    buffers.last().expect("just pushed").as_ptr() as u64
                }
            })
            .collect();
        // SAFETY: passed on to the caller; buffers are larger than anything that a function writes.
        let result = unsafe { library.call(self.name, &arguments) };
        for buffer in &mut buffers {
            let used = buffer.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            buffer.truncate(used.min(SHOWN));
        }
        Answer { values, result, version, buffers }
    }
}

impl Argument {
    fn parse(word: &str) -> Self {
        if let Some(versions) = word.strip_prefix("versioned:") {
            return Self::Versioned(versions.split(',').map(version).collect());
        }
        match word {
            "device" => Self::Device,
            "null" => Self::Values(vec![0]),
            "out" => Self::Buffer { count: false },
            "count" => Self::Buffer { count: true },
            "size" => Self::Values(vec![64]),
            numbers => Self::Values(numbers.split(',').flat_map(values).collect()),
        }
    }
}

fn version(word: &str) -> u32 {
    let parts = word
        .split_once('.')
        .and_then(|(version, size)| Some((version.parse::<u32>().ok()?, size.parse::<u32>().ok()?)));
    let (version, size) = parts.unwrap_or_else(|| panic!("{word} is no version and size"));
    size | version << 24
}

fn values(word: &str) -> Vec<u64> {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{word} is no kind of argument"));
    match word.split_once("..") {
        Some((from, to)) => (number(from)..number(to)).collect(),
        None => vec![number(word)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_reads() {
        assert!(rows(GETTERS).len() > 300 && rows(REFUSED).len() > 30);
    }

    #[test]
    fn ranges_leave_their_end_out() {
        let Argument::Values(values) = Argument::parse("0..3,9") else { panic!("not values") };
        assert_eq!(values, [0, 1, 2, 9]);
    }
}
