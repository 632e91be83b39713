//! Numbers as PTX writes them (PTX ISA 4.5).

/// A literal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    /// An integer; negative ones in two's complement.
    Integer(u64),
    /// `0f` and eight digits.
    F32(u32),
    /// `0d` and sixteen digits, or a decimal fraction.
    F64(u64),
}

impl Constant {
    /// Parses a word that starts with a digit; `None` if it is no number.
    pub fn parse(word: &str, negative: bool) -> Option<Constant> {
        let prefix = word.get(..2).unwrap_or("");
        match prefix {
            "0f" | "0F" => {
                let bits = u32::from_str_radix(&word[2..], 16).ok()?;
                return Some(Constant::F32(bits ^ (u32::from(negative) << 31)));
            }
            "0d" | "0D" => {
                let bits = u64::from_str_radix(&word[2..], 16).ok()?;
                return Some(Constant::F64(bits ^ (u64::from(negative) << 63)));
            }
            _ => {}
        }
        if word.contains('.') || (!prefix.eq_ignore_ascii_case("0x") && word.contains(['e', 'E'])) {
            let value: f64 = word.parse().ok()?;
            return Some(Constant::F64(if negative { -value } else { value }.to_bits()));
        }
        let digits = word.trim_end_matches(['U', 'u']);
        let value = match prefix {
            "0x" | "0X" => u64::from_str_radix(&digits[2..], 16),
            "0b" | "0B" => u64::from_str_radix(&digits[2..], 2),
            _ if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(&digits[1..], 8),
            _ => digits.parse(),
        };
        value.ok().map(|value| Constant::Integer(if negative { value.wrapping_neg() } else { value }))
    }

    /// The bits of the constant as a value of the type: integers are converted for floating-point types.
    pub fn bits(self, ty: crate::Type) -> u64 {
        use crate::Type;
        match (self, ty) {
            (Constant::F32(bits), Type::F64) => f64::from(f32::from_bits(bits)).to_bits(),
            (Constant::F32(bits), _) => u64::from(bits),
            (Constant::F64(bits), Type::F32) => u64::from((f64::from_bits(bits) as f32).to_bits()),
            (Constant::F64(bits), _) => bits,
            (Constant::Integer(value), Type::F32) => u64::from((value as i64 as f32).to_bits()),
            (Constant::Integer(value), Type::F64) => (value as i64 as f64).to_bits(),
            (Constant::Integer(value), _) => value,
        }
    }
}
