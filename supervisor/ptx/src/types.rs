//! Scalar types and state spaces, with the facts that depend on nothing else.

use std::fmt;

/// Declares an enum whose variants are the tokens of the language, and both directions of the spelling.
macro_rules! tokens {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum $name { $(#[doc = concat!("`.", $text, "`")] $variant),* }

        impl $name {
            /// Every variant, in declaration order.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The spelling without its dot.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }

            /// The variant spelled so, if there is one.
            pub fn from_name(name: &str) -> Option<$name> {
                match name { $($text => Some($name::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.name()) }
        }
    };
}
pub(crate) use tokens;

tokens! {
    /// A scalar type (PTX ISA 5.2.1, 5.2.3 and 5.2.5).
    Type {
        B8 = "b8", B16 = "b16", B32 = "b32", B64 = "b64", B128 = "b128",
        U8 = "u8", U16 = "u16", U32 = "u32", U64 = "u64",
        S8 = "s8", S16 = "s16", S32 = "s32", S64 = "s64",
        F16 = "f16", F16x2 = "f16x2", F32 = "f32", F32x2 = "f32x2", F64 = "f64",
        Bf16 = "bf16", Bf16x2 = "bf16x2", Tf32 = "tf32",
        E4m3 = "e4m3", E5m2 = "e5m2", E4m3x2 = "e4m3x2", E5m2x2 = "e5m2x2", E4m3x4 = "e4m3x4", E5m2x4 = "e5m2x4",
        E2m1 = "e2m1", E2m1x2 = "e2m1x2", E2m1x4 = "e2m1x4", E2m3 = "e2m3", E2m3x2 = "e2m3x2", E2m3x4 = "e2m3x4",
        E3m2 = "e3m2", E3m2x2 = "e3m2x2", E3m2x4 = "e3m2x4", Ue8m0 = "ue8m0", Ue8m0x2 = "ue8m0x2", Ue4m3 = "ue4m3",
        U16x2 = "u16x2", S16x2 = "s16x2", B1 = "b1", U2 = "u2", S2 = "s2", U4 = "u4", S4 = "s4", B1024 = "b1024",
        B8x16 = "b8x16", B6x16 = "b6x16_p32", B4x16 = "b4x16_p64",
        Pred = "pred", TexRef = "texref", SamplerRef = "samplerref", SurfRef = "surfref",
    }
}

impl Type {
    /// Bytes that a value takes in memory; a predicate counts as one.
    pub const fn size(self) -> u32 {
        use Type::*;
        match self {
            B8 | U8 | S8 | E4m3 | E5m2 | E2m1 | E2m1x2 | E2m3 | E3m2 | Ue8m0 | Ue4m3 => 1,
            Pred | B1 | U2 | S2 | U4 | S4 => 1,
            B16 | U16 | S16 | F16 | Bf16 | E4m3x2 | E5m2x2 | E2m3x2 | E3m2x2 | Ue8m0x2 | E2m1x4 => 2,
            B32 | U32 | S32 | F32 | F16x2 | Bf16x2 | Tf32 | U16x2 | S16x2 | E4m3x4 | E5m2x4 | E2m3x4
            | E3m2x4 => 4,
            B64 | U64 | S64 | F64 | F32x2 | TexRef | SamplerRef | SurfRef => 8,
            B128 | B8x16 | B6x16 | B4x16 => 16,
            B1024 => 128,
        }
    }

    /// Bits of one element of a matrix; a type that spans less than a byte says so.
    pub const fn bits(self) -> u32 {
        match self {
            Type::B1 => 1,
            Type::U2 | Type::S2 => 2,
            Type::U4 | Type::S4 | Type::E2m1 => 4,
            _ => self.size() * 8,
        }
    }

    /// Whether arithmetic on it is two's complement with a sign.
    pub const fn is_signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64 | Type::S16x2 | Type::S4 | Type::S2)
    }

    /// Whether it holds floating-point values of at most eight bits, which registers hold as plain bits.
    pub const fn is_narrow_float(self) -> bool {
        use Type::*;
        matches!(
            self,
            E4m3 | E5m2
                | E4m3x2
                | E5m2x2
                | E4m3x4
                | E5m2x4
                | E2m1
                | E2m1x2
                | E2m1x4
                | E2m3
                | E2m3x2
                | E2m3x4
                | E3m2
                | E3m2x2
                | E3m2x4
                | Ue8m0
                | Ue8m0x2
                | Ue4m3
        )
    }

    /// Whether its values are handles of textures, samplers and surfaces.
    pub const fn is_opaque(self) -> bool {
        matches!(self, Type::TexRef | Type::SamplerRef | Type::SurfRef)
    }

    /// Whether it says only how many bits there are.
    pub const fn is_untyped(self) -> bool {
        matches!(self, Type::B8 | Type::B16 | Type::B32 | Type::B64 | Type::B128)
    }

    /// Whether it is a floating-point type (packed ones included).
    pub const fn is_float(self) -> bool {
        use Type::*;
        matches!(self, F16 | F16x2 | F32 | F32x2 | F64 | Bf16 | Bf16x2 | Tf32) || self.is_narrow_float()
    }
}

tokens! {
    /// A state space (PTX ISA 5.1).
    Space {
        Reg = "reg", Const = "const", Global = "global", Local = "local", Param = "param", Shared = "shared",
    }
}
