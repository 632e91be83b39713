//! Elements of buffers: how they are written in a fixture and when a result equals what is expected.

/// Type of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bits, of this many bytes.
    Bits(usize),
    /// `f32`, written in decimal.
    F32,
    /// `f64`, written in decimal.
    F64,
}

impl Kind {
    /// Reads `u32`, `f32`…
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "u8" => Kind::Bits(1),
            "u16" => Kind::Bits(2),
            "u32" => Kind::Bits(4),
            "u64" => Kind::Bits(8),
            "f32" => Kind::F32,
            "f64" => Kind::F64,
            _ => return Err(format!("`{text}` is no element type")),
        })
    }

    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Kind::Bits(size) => size,
            Kind::F32 => 4,
            Kind::F64 => 8,
        }
    }
}

/// One element as the fixture writes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Element {
    /// Exactly these bits.
    Bits(u64),
    /// A number, compared within a bound.
    Number(f64),
    /// Any NaN.
    Nan,
}

impl Element {
    /// Reads `0x1f`, `7`, `-2`, `1.5`, `nan`, `inf`.
    pub fn parse(text: &str, kind: Kind) -> Result<Self, String> {
        let bad = || format!("`{text}` is no element");
        if text == "nan" {
            return Ok(Element::Nan);
        }
        if let Some(hex) = text.strip_prefix("0x") {
            return u64::from_str_radix(hex, 16).map(Element::Bits).map_err(|_| bad());
        }
        match kind {
            Kind::Bits(_) => text.parse::<i128>().map(|it| Element::Bits(it as u64)).map_err(|_| bad()),
            _ => text.parse().map(Element::Number).map_err(|_| bad()),
        }
    }

    /// Appends the element's bytes.
    pub fn write(self, kind: Kind, bytes: &mut Vec<u8>) {
        let bits = match (self, kind) {
            (Element::Bits(bits), _) => bits,
            (Element::Number(number), Kind::F32) => u64::from((number as f32).to_bits()),
            (Element::Number(number), _) => number.to_bits(),
            (Element::Nan, Kind::F32 | Kind::Bits(4)) => 0x7fff_ffff,
            (Element::Nan, Kind::Bits(2)) => 0x7fff,
            (Element::Nan, _) => 0x7fff_ffff_ffff_ffff,
        };
        bytes.extend(&bits.to_le_bytes()[..kind.size()]);
    }

    /// Whether the result's bits are what is expected.
    pub fn accepts(self, bits: u64, kind: Kind, bound: Bound) -> bool {
        match self {
            Element::Bits(expected) => bits == expected,
            Element::Nan => is_nan(bits, kind.size()),
            Element::Number(expected) => bound.holds(expected, number(bits, kind), kind),
        }
    }
}

/// How far a result may be from the expected number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Not at all.
    Exact,
    /// Units in the last place of the expected number.
    Ulp(f64),
    /// Relative to the expected number.
    Relative(f64),
    /// Absolute.
    Absolute(f64),
}

impl Bound {
    /// Reads `2ulp`, `rel 1e-6`, `abs 1e-6`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no bound");
        let number = |text: &str| text.trim().parse().map_err(|_| bad());
        if let Some(ulps) = text.strip_suffix("ulp") {
            number(ulps).map(Bound::Ulp)
        } else if let Some(relative) = text.strip_prefix("rel ") {
            number(relative).map(Bound::Relative)
        } else {
            text.strip_prefix("abs ").ok_or_else(bad).and_then(number).map(Bound::Absolute)
        }
    }

    fn holds(self, expected: f64, actual: f64, kind: Kind) -> bool {
        let error = (actual - expected).abs();
        let fraction_bits = if kind == Kind::F32 { 23 } else { 52 };
        match self {
            Bound::Exact => actual == expected,
            // One more half for the rounding of the expected number itself.
            Bound::Ulp(ulps) => {
                error <= (ulps + 0.5) * expected.abs().log2().floor().exp2() / f64::from(fraction_bits).exp2()
            }
            // A result that is too small for the format may be zero.
            Bound::Relative(relative) => {
                error <= relative * expected.abs() || error < f64::from(f32::MIN_POSITIVE)
            }
            Bound::Absolute(absolute) => error <= absolute,
        }
    }
}

fn number(bits: u64, kind: Kind) -> f64 {
    match kind {
        Kind::F32 => f64::from(f32::from_bits(bits as u32)),
        _ => f64::from_bits(bits),
    }
}

/// Two bytes hold an f16 or a bf16: the exponent of the latter covers that of the former, so f16's is tested.
fn is_nan(bits: u64, size: usize) -> bool {
    match size {
        2 => bits & 0x7c00 == 0x7c00 && bits & 0x03ff != 0,
        4 => f32::from_bits(bits as u32).is_nan(),
        _ => f64::from_bits(bits).is_nan(),
    }
}
