//! Which calls are shown.

use wire::control::Caller;

/// Libraries as a filter names them, beside the names of functions.
const LIBRARIES: &[(&str, Caller)] = &[
    ("cuda", Caller::Driver),
    ("nvml", Caller::Nvml),
    ("cudart", Caller::Runtime),
    ("cublas", Caller::Blas),
    ("nccl", Caller::Collectives),
];

/// The library of a call, as a filter names it.
pub fn library(caller: u16) -> &'static str {
    let known = LIBRARIES.iter().find(|(_, known)| *known as u16 == caller);
    known.map_or("?", |(name, _)| name)
}

/// A choice of calls: patterns, of which those with `!` leave out. Without others everything is chosen first.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    wanted: Vec<Pattern>,
    unwanted: Vec<Pattern>,
}

/// The name of a library, or of a function, with `*` for any letters and `?` for any one.
#[derive(Clone, Debug)]
struct Pattern(String);

impl Filter {
    /// Of patterns as the command line has them.
    pub fn new(patterns: &[String]) -> Filter {
        let mut filter = Filter::default();
        for pattern in patterns {
            match pattern.strip_prefix('!') {
                Some(unwanted) => filter.unwanted.push(Pattern(unwanted.to_owned())),
                None => filter.wanted.push(Pattern(pattern.clone())),
            }
        }
        filter
    }

    /// Whether a call is shown that has these names, of no library.
    pub fn shows_one_of(&self, names: &[&str]) -> bool {
        let fits =
            |pattern: &Pattern| names.iter().any(|name| matches(pattern.0.as_bytes(), name.as_bytes()));
        (self.wanted.is_empty() || self.wanted.iter().any(fits)) && !self.unwanted.iter().any(fits)
    }

    /// Whether a call is shown.
    pub fn shows(&self, caller: u16, function: &str) -> bool {
        let fits = |pattern: &Pattern| pattern.fits(caller, function);
        (self.wanted.is_empty() || self.wanted.iter().any(fits)) && !self.unwanted.iter().any(fits)
    }
}

impl Pattern {
    fn fits(&self, caller: u16, function: &str) -> bool {
        match LIBRARIES.iter().find(|(name, _)| *name == self.0) {
            Some((_, library)) => *library as u16 == caller,
            None => matches(self.0.as_bytes(), function.as_bytes()),
        }
    }
}

/// Goes back to the last `*` only, which is enough: an earlier one has matched as little as it can.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut in_pattern, mut in_text) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                star = Some((in_pattern, in_text));
                in_pattern += 1;
            }
            Some(letter) if *letter == b'?' || *letter == text[in_text] => {
                in_pattern += 1;
                in_text += 1;
            }
            _ => match &mut star {
                None => return false,
                Some((at, from)) => {
                    *from += 1;
                    (in_pattern, in_text) = (*at + 1, *from);
                }
            },
        }
    }
    pattern[in_pattern..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(patterns: &[&str], caller: Caller, function: &str) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        Filter::new(&patterns).shows(caller as u16, function)
    }

    #[test]
    fn functions_and_libraries_are_chosen_and_left_out() {
        assert!(shows(&[], Caller::Driver, "cuInit"));
        assert!(shows(&["cuMem*"], Caller::Driver, "cuMemAlloc_v2"));
        assert!(!shows(&["cuMem*"], Caller::Driver, "cuInit"));
        assert!(shows(&["*Alloc*", "nvml"], Caller::Nvml, "nvmlInit_v2"));
        assert!(!shows(&["nvml"], Caller::Driver, "cuInit"));
        assert!(!shows(&["!cuMem*"], Caller::Driver, "cuMemFree_v2"));
        assert!(shows(&["!cuMem*"], Caller::Driver, "cuInit"));
        assert!(!shows(&["cuda", "!cuInit"], Caller::Driver, "cuInit"));
    }

    #[test]
    fn calls_of_several_names_are_chosen_by_any() {
        let shows = |pattern: &str, names: &[&str]| Filter::new(&[pattern.into()]).shows_one_of(names);
        let names = ["NV_ESC_RM_CONTROL", "NV2080_CTRL_CMD_FB_GET_INFO_V2"];
        assert!(shows("*_FB_*", &names) && shows("NV_ESC_*", &names) && !shows("UVM_*", &names));
        assert!(!shows("!*_FB_*", &names) && shows("!UVM_*", &names));
        assert!(!shows("*", &[]) && shows("!*", &[]));
    }

    #[test]
    fn stars_stand_for_any_letters() {
        for (pattern, text, expected) in [
            ("a*b*c", "axxbxxbxc", true),
            ("a*b*c", "axxbxx", false),
            ("*", "", true),
            ("?", "", false),
            ("cu?nit", "cuInit", true),
            ("cuInit", "cuInit2", false),
            ("**x", "aax", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
