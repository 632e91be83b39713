//! Choices that are made by an environment variable. A word that a variable does not know is a mistake, and said to be one.

use std::ffi::OsStr;

use crate::engine::{ISA_VARIABLE, TIER_VARIABLE};

/// A variable, and the words that it may hold. The first one is meant where it is empty or not there.
pub struct Choice<T: 'static> {
    /// The variable.
    pub variable: &'static str,
    words: &'static [(&'static str, T)],
}

/// What runs kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The interpreter, and compiled code where that is worth it.
    Auto,
    /// The interpreter alone.
    Interpreter,
    /// Compiled code wherever there can be some, before the first launch.
    Compiled,
}

/// For which processor code is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// For this one.
    Host,
    /// For the least that the engine runs on.
    Avx2,
}

/// What runs kernels.
pub const TIER: Choice<Tier> = Choice {
    variable: TIER_VARIABLE,
    words: &[("auto", Tier::Auto), ("interpreter", Tier::Interpreter), ("compiled", Tier::Compiled)],
};

/// For which processor code is made.
pub const ISA: Choice<Isa> =
    Choice { variable: ISA_VARIABLE, words: &[("host", Isa::Host), ("avx2", Isa::Avx2)] };

impl<T: Copy> Choice<T> {
    /// What this process's environment chooses; the error names the variable, what it holds, and what it may hold.
    pub fn made(&self) -> Result<T, String> {
        self.meaning(std::env::var_os(self.variable).as_deref().unwrap_or_default())
    }

    /// The words that it may hold.
    pub fn known(&self) -> impl Iterator<Item = &'static str> {
        self.words.iter().map(|(word, _)| *word)
    }

    fn meaning(&self, word: &OsStr) -> Result<T, String> {
        if word.is_empty() {
            return Ok(self.words[0].1);
        }
        let known = self.words.iter().find(|(known, _)| *known == word);
        known.map(|(_, meaning)| *meaning).ok_or_else(|| self.unknown(word))
    }

    fn unknown(&self, word: &OsStr) -> String {
        let words: Vec<String> = self.known().map(|word| format!("`{word}`")).collect();
        format!("{} is `{}`: it can be {}", self.variable, word.display(), words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_means_what_it_says_and_none_means_the_first() {
        let tier = |word: &str| TIER.meaning(OsStr::new(word));
        assert_eq!(tier(""), Ok(Tier::Auto));
        assert_eq!(tier("interpreter"), Ok(Tier::Interpreter));
        assert_eq!(ISA.meaning(OsStr::new("avx2")), Ok(Isa::Avx2));
    }

    #[test]
    fn an_unknown_word_is_an_error_that_names_the_known_ones() {
        let error = TIER.meaning(OsStr::new("Compiled")).unwrap_err();
        assert_eq!(error, "VGPU_RUN_TIER is `Compiled`: it can be `auto`, `interpreter`, `compiled`");
    }
}
