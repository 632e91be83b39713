//! Values of options that are more than a word or a number.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use mediation::{SETS, Set, TimeShare};

use super::session::Gpus;

/// Threads of a block along each axis; missing ones are 1.
pub fn parse_shape(text: &str) -> Result<[u32; 3], String> {
    let sides: Result<Vec<u32>, _> = text.split('x').map(str::parse).collect();
    let mut sides = sides.map_err(|_| format!("`{text}` is no shape like `256` or `32x8x1`"))?;
    sides.resize(sides.len().max(3), 1);
    let threads = sides.iter().map(|side| u64::from(*side)).product::<u64>();
    match <[u32; 3]>::try_from(sides) {
        Ok(shape) if (1..=1024).contains(&threads) => Ok(shape),
        _ => Err(format!("`{text}` is no shape of 1 to 1024 threads")),
    }
}

/// Seconds between two looks.
pub fn parse_interval(text: &str) -> Result<f64, String> {
    let seconds: Option<f64> = text.parse().ok();
    let seconds = seconds.filter(|seconds| (0.05..=3600.0).contains(seconds));
    seconds.ok_or_else(|| format!("`{text}` is not a number of seconds from 0.05 to 3600"))
}

/// How many cards, or which.
pub fn parse_gpus(text: &str) -> Result<Gpus, String> {
    const MOST: u32 = 16;
    if let Ok(count) = text.parse() {
        let hint = || format!("`{text}` is not from 1 to {MOST}; the card with index {text} is `{text},`");
        return (1..=MOST).contains(&count).then_some(Gpus::Count(count)).ok_or_else(hint);
    }
    if text == "none" {
        return Ok(Gpus::Named(Vec::new()));
    }
    let names: Vec<String> =
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let is_name = |name: &String| name.parse::<u32>().is_ok() || name.starts_with("GPU-");
    match !names.is_empty() && names.iter().all(is_name) {
        true => Ok(Gpus::Named(names)),
        false => Err(format!("`{text}` is neither a number nor a list of indices and UUIDs")),
    }
}

/// Sets of what can be asked of the driver. What every program needs is not to be named.
pub fn set_parser() -> impl TypedValueParser<Value = Set> {
    let names = SETS.iter().filter(|(set, _)| *set != Set::Basic).map(|(_, name)| *name);
    PossibleValuesParser::new(names).map(|name| Set::named(&name).unwrap_or(Set::Other))
}

/// Part of the cards' time. A number alone could mean processors of a card.
pub fn parse_time_share(text: &str) -> Result<TimeShare, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
    percent.and_then(TimeShare::of_percent).ok_or_else(|| format!("`{text}` is not from `1%` to `100%`"))
}

/// A fault, as `vgpu-run inject` has them.
pub fn parse_fault(text: &str) -> Result<broker::Order, String> {
    text.parse().map_err(|mistake| format!("{mistake}; faults are: {}", broker::WORDS))
}

/// Bytes, with an optional binary suffix.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        other => return Err(format!("`{other}` is no unit; use K, M, G or T")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("`{text}` does not begin with a number"))?;
    let size = number.checked_mul(1 << shift).filter(|&size| size > 0);
    size.ok_or_else(|| format!("`{text}` is not a size of memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_size(text: &str, expected: Option<u64>) {
        assert_eq!(parse_size(text).ok(), expected, "{text}");
    }

    #[test]
    fn sizes_have_binary_units() {
        check_size("512", Some(512));
        check_size("4G", Some(4 << 30));
        check_size("100MiB", Some(100 << 20));
        check_size("1 apple", None);
        check_size("0", None);
        check_size("99999999999T", None);
    }

    #[test]
    fn cards_are_counted_or_named() {
        let named = |names: &[&str]| Ok(Gpus::Named(names.iter().map(|&name| name.to_owned()).collect()));
        assert_eq!(parse_gpus("2"), Ok(Gpus::Count(2)));
        assert_eq!(parse_gpus("0,"), named(&["0"]));
        assert_eq!(parse_gpus("GPU-1, 3"), named(&["GPU-1", "3"]));
        assert_eq!(parse_gpus("none"), named(&[]));
        assert!(parse_gpus("0").unwrap_err().contains("`0,`"));
        for odd in ["", ",", "17", "-1", "fast", "0,fast"] {
            assert!(parse_gpus(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn shares_are_whole_and_in_percent() {
        let percent = |text| parse_time_share(text).ok().map(TimeShare::percent);
        assert_eq!(["1%", "25 %", "100%"].map(percent), [Some(1), Some(25), Some(100)]);
        for odd in ["", "%", "0%", "101%", "25", "-1%", "2.5%", "half", "25%%"] {
            assert_eq!(percent(odd), None, "{odd}");
        }
    }

    #[test]
    fn intervals_are_neither_nothing_nor_forever() {
        assert_eq!(parse_interval("0.5"), Ok(0.5));
        for odd in ["", "0", "-1", "1e9", "NaN", "inf", "1s"] {
            assert!(parse_interval(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn shapes_have_one_to_three_sides() {
        assert_eq!(parse_shape("256"), Ok([256, 1, 1]));
        assert_eq!(parse_shape("32x8"), Ok([32, 8, 1]));
        for odd in ["", "0", "32x", "2048", "1x1x1x1", "65536x65536"] {
            assert!(parse_shape(odd).is_err(), "{odd}");
        }
    }
}
