//! `--gpu auto`.

use crate::profile::{Profile, profiles};

/// Older cards are for those who ask for them by name: what runs on them runs on this one too, and costs less where there is `dp4a`.
const OLDEST: u32 = 61;

/// The cheapest card for which every library has PTX that it can run. `libraries`: for each library with device code, the
/// capabilities (10 × major + minor) of its PTX.
///
/// An exact match beats an older capability: host code sizes its launches by the capability it was compiled for, and some
/// programs (Ollama) insist on one. Libraries without any PTX can't be served by any card and do not vote.
pub fn automatic<'a>(libraries: impl IntoIterator<Item = &'a [u32]>) -> &'static Profile {
    let candidates = || profiles().iter().filter(|profile| profile.capability_number() >= OLDEST);
    let libraries: Vec<&[u32]> = libraries.into_iter().filter(|archs| !archs.is_empty()).collect();
    let suits = |profile: &&Profile, fits: fn(u32, u32) -> bool| {
        let capability = profile.capability_number();
        libraries.iter().all(|archs| archs.iter().any(|arch| fits(*arch, capability)))
    };
    let exact = candidates().find(|profile| suits(profile, |arch, capability| arch == capability));
    let older = || candidates().find(|profile| suits(profile, |arch, capability| arch <= capability));
    exact.or_else(older).unwrap_or(&profiles()[profiles().len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(libraries: &[&[u32]], expected: &str) {
        assert_eq!(automatic(libraries.iter().copied()).key, expected, "{libraries:?}");
    }

    #[test]
    fn cheapest_card_that_every_library_has_code_for() {
        check(&[], "gtx1080");
        check(&[&[50, 61, 70, 75, 80]], "gtx1080");
        check(&[&[75, 80, 90]], "t4");
        check(&[&[50, 61, 70, 75, 80], &[75, 80, 90]], "t4");
        check(&[&[89]], "h100");
        check(&[&[52]], "gtx1080");
        check(&[&[50]], "gtx1080");
        check(&[&[], &[80]], "a100");
        check(&[&[120]], "rtx5090");
    }
}
