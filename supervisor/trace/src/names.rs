//! Values as their headers name them: enumerations by the names of their values, addresses and handles in hexadecimal.

use std::collections::HashMap;
use std::sync::LazyLock;

use wire::trace::value::{Named, Value};

/// Which arguments are of which enumeration, and its values. See there.
const TABLE: &str = include_str!("names/enumerations.txt");

/// Arguments whose values are sizes and numbers, however large: everything else that is large is an address or a handle.
const COUNTED: &[&str] = &[
    "bytes",
    "size",
    "sizes",
    "length",
    "count",
    "width",
    "height",
    "depth",
    "pitch",
    "capacity",
    "offset",
    "total",
    "free",
    "used",
    "workspace",
    "leading",
    "rows",
    "columns",
    "room",
    "written",
    "milliseconds",
    "max_size",
    "blocks",
    "id",
];

/// Arguments through which nothing is written, though their type would allow it: what lies there is the caller's own.
const GIVEN: &[&str] = &["parameters", "extra", "options", "values", "jit_options", "jit_values", "data"];

#[derive(Default)]
struct Tables {
    enumerations: HashMap<&'static str, Enumeration>,
    /// Function (a beginning of its name, if `bool`), argument, enumeration.
    arguments: Vec<(&'static str, bool, &'static str, &'static str)>,
}

#[derive(Default)]
struct Enumeration {
    are_flags: bool,
    values: Vec<(i64, &'static str)>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| read(TABLE));

fn read(text: &'static str) -> Tables {
    let mut tables = Tables::default();
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        match (words.next(), words.next()) {
            (Some("in"), Some(name)) => {
                let arguments = words.filter_map(|word| word.split_once('.'));
                tables.arguments.extend(arguments.map(|(function, argument)| {
                    let beginning = function.strip_suffix('*');
                    (beginning.unwrap_or(function), beginning.is_some(), argument, name)
                }));
            }
            (Some(kind @ ("enum" | "flags")), Some(name)) => {
                current = name;
                let are_flags = kind == "flags";
                tables.enumerations.insert(name, Enumeration { are_flags, values: Vec::new() });
            }
            (Some(number), Some(name)) => {
                let enumeration = tables.enumerations.entry(current).or_default();
                enumeration.values.extend(number.parse().ok().map(|number| (number, name)));
            }
            _ => {}
        }
    }
    tables
}

fn enumeration(function: &str, argument: &str) -> Option<&'static Enumeration> {
    let is_it = |(known, is_beginning, name, _): &&(&str, bool, &str, &str)| {
        *name == argument && (*known == function || *is_beginning && function.starts_with(known))
    };
    let (.., name) = TABLES.arguments.iter().find(is_it)?;
    TABLES.enumerations.get(name)
}

impl Enumeration {
    fn show(&self, number: i64) -> Option<String> {
        let name =
            |wanted: i64| self.values.iter().find(|(value, _)| *value == wanted).map(|(_, name)| *name);
        if let Some(name) = name(number) {
            return Some(name.to_owned());
        }
        if !self.are_flags || number <= 0 {
            return None;
        }
        let mut left = number;
        let mut names = Vec::new();
        for (value, name) in self.values.iter().filter(|(value, _)| value.count_ones() == 1) {
            if left & value != 0 {
                names.push((*name).to_owned());
                left &= !value;
            }
        }
        (left != 0).then(|| names.push(format!("{left:#x}")));
        (names.len() > 1).then(|| names.join("|"))
    }
}

/// An argument's value as a reader wants it.
pub fn show(function: &str, argument: &Named) -> String {
    let Named { name, value } = argument;
    let number = match value {
        Value::Unsigned(number) => i64::try_from(*number).ok(),
        Value::Signed(number) => Some(*number),
        _ => None,
    };
    let named = number.and_then(|number| enumeration(function, name)?.show(number));
    named.unwrap_or_else(|| show_plain(name, value))
}

fn show_plain(name: &str, value: &Value) -> String {
    /// Handles and addresses are larger; so few sizes are not called what they are.
    const SMALL: u64 = 1 << 20;
    match value {
        Value::Unsigned(number) if *number >= SMALL && !COUNTED.contains(&name) => format!("{number:#x}"),
        Value::Fields(fields) => {
            let is_list = fields.iter().all(|field| field.name.is_empty());
            let show = |field: &Named| match is_list {
                true => show_plain(name, &field.value),
                false => format!("{}: {}", field.name, show_plain(&field.name, &field.value)),
            };
            let shown = fields.iter().map(show).collect::<Vec<_>>().join(", ");
            if is_list { format!("[{shown}]") } else { format!("{{{shown}}}") }
        }
        value => value.to_string(),
    }
}

/// Whether a call writes through an argument of that name.
pub fn is_told(name: &str) -> bool {
    !GIVEN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(function: &str, name: &str, value: Value, expected: &str) {
        assert_eq!(show(function, &Named { name: name.into(), value }), expected);
    }

    #[test]
    fn enumerations_are_named() {
        check(
            "cuDeviceGetAttribute",
            "attribute",
            Value::Signed(16),
            "CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT",
        );
        check("cudaMemcpyAsync", "kind", Value::Unsigned(1), "cudaMemcpyHostToDevice");
        check("cublasGemmEx", "a_type", Value::Unsigned(2), "CUDA_R_16F");
        check("cuDeviceGetAttribute", "attribute", Value::Signed(99_999), "99999");
        check("cuInit", "flags", Value::Unsigned(1), "1");
    }

    #[test]
    fn flags_are_combined() {
        check("cuEventCreate", "flags", Value::Unsigned(0), "CU_EVENT_DEFAULT");
        check("cuEventCreate", "flags", Value::Unsigned(6), "CU_EVENT_DISABLE_TIMING|CU_EVENT_INTERPROCESS");
        check("cuEventCreate", "flags", Value::Unsigned(0x102), "CU_EVENT_DISABLE_TIMING|0x100");
    }

    #[test]
    fn addresses_are_told_from_sizes_by_name() {
        check("cuMemFree_v2", "address", Value::Unsigned(0x3000_0000_0000), "0x300000000000");
        check("cuMemAlloc_v2", "bytes", Value::Unsigned(1 << 30), "1073741824");
        let extent = [1, 2].map(|number| Named { name: String::new(), value: Value::Unsigned(number) });
        check("f", "grid", Value::Fields(extent.into()), "[1, 2]");
    }

    #[test]
    fn table_is_whole() {
        assert!(TABLES.arguments.len() > 60);
        for (function, _, argument, name) in &TABLES.arguments {
            let enumeration = TABLES.enumerations.get(name);
            let enumeration = enumeration.unwrap_or_else(|| panic!("{function}.{argument} is of `{name}`"));
            assert!(!enumeration.values.is_empty(), "{name}");
        }
        for name in TABLES.enumerations.keys() {
            assert!(TABLES.arguments.iter().any(|(.., used)| used == name), "{name} is used nowhere");
        }
    }
}
