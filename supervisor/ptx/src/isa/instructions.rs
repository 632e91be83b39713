//! The table: one row, one instruction, with every form that PTX gives it.
//!
//! A form is a line of text that [`super::form`] compiles: the words behind the mnemonic, then the operands. It follows the
//! *Syntax* paragraph of the instruction in the PTX ISA 9.0, chapter 9.7; where that lists a set under a name (`.rnd`, `.space`)
//! the name is one of [`super::form::SETS`].
//!
//! | words | |
//! | --- | --- |
//! | `wide` | this word |
//! | `(hi\|lo)`, `INT` | one of these, one of a named set |
//! | `ftz?` | may be left out |
//!
//! | operands | |
//! | --- | --- |
//! | `T`, `T1` … `T4` | a value of the last type, of the first … fourth type |
//! | `W` | a value of twice the last type's width |
//! | `u32`, `pred` … | a value of this type |
//! | `a` | an address in a register, or of a variable |
//! | `V` | a value of the last type, or as many as `.v2`, `.v4`, `.v8` say |
//! | `{T}`, `{T}4` | values of this type in braces, exactly four |
//! | `A2`, `B3`, `C1` | a matrix fragment: left, right or accumulator, of the second, third, first type |
//! | `[]`, `[,]` | a memory operand; one with further operands inside the brackets |
//! | `imm`, `label`, `any` | a number; a branch target; whatever stands there |
//! | `=T` | written, not read |
//! | `=T\|p` | may have a second, predicate destination |
//! | `T~` | may be wider than the type (9.4.1) |
//! | `T.` | may select bytes: `.b0`, `.h1` … (9.7.17) |
//! | `T?` | may be left out |

macro_rules! instructions {
    ($($variant:ident $text:literal $about:literal [$($form:literal),* $(,)?];)*) => {
        /// An instruction, without its modifiers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Op { $(#[doc = $about] $variant),* }

        /// Every row of the table.
        pub const INSTRUCTIONS: &[Row] =
            &[$(Row { op: Op::$variant, mnemonic: $text, about: $about, forms: &[$($form),*] }),*];
    };
}

/// What the table knows about one instruction.
pub struct Row {
    /// The instruction.
    pub op: Op,
    /// Its first word.
    pub mnemonic: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Its forms, as text.
    pub forms: &'static [&'static str],
}

instructions! {
    // 9.7.1, 9.7.2: integer arithmetic, with and without carry; 9.7.3 to 9.7.5: floating point, half and mixed precision.
    Add "add" "Sum; `.cc` also writes the carry" [
        "INT =T T T", "(u16x2|s16x2) =T T T", "sat.s32 =T T T", "cc.(u32|s32|u64|s64) =T T T",
        "RND?.ftz?.sat?.f32 =T T T", "RND?.ftz?.f32x2 =T T T", "RND?.f64 =T T T",
        "rn?.ftz?.sat?.(f16|f16x2) =T T T", "rn?.(bf16|bf16x2) =T T T", "RND?.sat?.f32.(f16|bf16) =f32 T f32",
    ];
    Sub "sub" "Difference; `.cc` also writes the borrow" [
        "INT =T T T", "(u16x2|s16x2) =T T T", "sat.s32 =T T T", "cc.(u32|s32|u64|s64) =T T T",
        "RND?.ftz?.sat?.f32 =T T T", "RND?.ftz?.f32x2 =T T T", "RND?.f64 =T T T",
        "rn?.ftz?.sat?.(f16|f16x2) =T T T", "rn?.(bf16|bf16x2) =T T T", "RND?.sat?.f32.(f16|bf16) =f32 T f32",
    ];
    Addc "addc" "Sum with carry in" ["cc?.(u32|s32|u64|s64) =T T T"];
    Subc "subc" "Difference with borrow in" ["cc?.(u32|s32|u64|s64) =T T T"];
    Mul "mul" "Product: low, high or wide half for integers" [
        "(hi|lo).INT =T T T", "wide.(u16|s16|u32|s32) =W T T", "RND?.ftz?.sat?.f32 =T T T", "RND?.ftz?.f32x2 =T T T", "RND?.f64 =T T T",
        "rn?.ftz?.sat?.(f16|f16x2) =T T T", "rn?.(bf16|bf16x2) =T T T",
    ];
    Mad "mad" "Product plus addend" [
        "(hi|lo).INT =T T T T", "wide.(u16|s16|u32|s32) =W T T W", "hi.sat.s32 =T T T T", "(hi|lo).cc.(u32|s32|u64|s64) =T T T T",
        "RND?.ftz?.sat?.f32 =T T T T", "RND.f64 =T T T T",
    ];
    Madc "madc" "Product plus addend with carry in" ["(hi|lo).cc?.(u32|s32|u64|s64) =T T T T"];
    Mul24 "mul24" "Product of 24-bit operands" ["(hi|lo).(u32|s32) =T T T"];
    Mad24 "mad24" "Product of 24-bit operands plus addend" ["(hi|lo).(u32|s32) =T T T T", "hi.sat.s32 =T T T T"];
    Sad "sad" "Sum of absolute difference and addend" ["INT =T T T T"];
    Div "div" "Quotient" ["INT =T T T", "(approx|full|rn|rz|rm|rp).ftz?.f32 =T T T", "RND.f64 =T T T"];
    Rem "rem" "Remainder" ["INT =T T T"];
    Abs "abs" "Absolute value" ["(s16|s32|s64|f64|bf16|bf16x2) =T T", "ftz?.(f32|f16|f16x2) =T T"];
    Neg "neg" "Negation" ["(s16|s32|s64|f64|bf16|bf16x2) =T T", "ftz?.(f32|f16|f16x2) =T T"];
    Min "min" "Minimum" [
        "(u16|u32|u64|u16x2|s16|s64|f64) =T T T", "relu?.(s16x2|s32) =T T T", "ftz?.NaN?.f32 =T T T", "ftz?.NaN?.xorsign.abs.f32 =T T T",
        "ftz?.NaN?.abs?.f32 =T T T T", "ftz?.NaN?.(f16|f16x2) =T T T", "ftz?.NaN?.xorsign.abs.(f16|f16x2) =T T T",
        "NaN?.(bf16|bf16x2) =T T T", "NaN?.xorsign.abs.(bf16|bf16x2) =T T T",
    ];
    Max "max" "Maximum" [
        "(u16|u32|u64|u16x2|s16|s64|f64) =T T T", "relu?.(s16x2|s32) =T T T", "ftz?.NaN?.f32 =T T T", "ftz?.NaN?.xorsign.abs.f32 =T T T",
        "ftz?.NaN?.abs?.f32 =T T T T", "ftz?.NaN?.(f16|f16x2) =T T T", "ftz?.NaN?.xorsign.abs.(f16|f16x2) =T T T",
        "NaN?.(bf16|bf16x2) =T T T", "NaN?.xorsign.abs.(bf16|bf16x2) =T T T",
    ];
    Popc "popc" "Number of ones" ["(b32|b64) =u32 T"];
    Clz "clz" "Number of leading zeros" ["(b32|b64) =u32 T"];
    Bfind "bfind" "Position of the most significant non-sign bit" ["shiftamt?.(u32|u64|s32|s64) =u32 T"];
    Fns "fns" "Position of the n-th set bit" ["b32 =T T T T"];
    Brev "brev" "Bits in reverse order" ["(b32|b64) =T T"];
    Bfe "bfe" "Bit field extract" ["(u32|u64|s32|s64) =T T u32 u32"];
    Bfi "bfi" "Bit field insert" ["(b32|b64) =T T T u32 u32"];
    Szext "szext" "Sign or zero extension from a bit position" ["(clamp|wrap).(u32|s32) =T T u32"];
    Bmsk "bmsk" "Bit mask from position and width" ["(clamp|wrap).b32 =T T T"];
    Dp4a "dp4a" "Four-way byte dot product plus addend" ["(u32|s32).(u32|s32) =b32 T1 T2 b32"];
    Dp2a "dp2a" "Two-way dot product of halves and bytes plus addend" ["(lo|hi).(u32|s32).(u32|s32) =b32 T1 T2 b32"];
    Testp "testp" "Class test of a floating-point value" ["(finite|infinite|number|notanumber|normal|subnormal).(f32|f64) =pred T"];
    Copysign "copysign" "Sign of the first operand on the second" ["(f32|f64) =T T T"];
    Fma "fma" "Fused product and sum, rounded once" [
        "RND.ftz?.sat?.f32 =T T T T", "RND.ftz?.f32x2 =T T T T", "RND.f64 =T T T T", "rn.ftz?.(sat|relu)?.(f16|f16x2) =T T T T",
        "rn.relu?.(bf16|bf16x2) =T T T T", "rn.oob.relu?.(f16|f16x2|bf16|bf16x2) =T T T T", "RND.sat?.f32.(f16|bf16) =f32 T T f32",
    ];
    Rcp "rcp" "Reciprocal" ["(approx|rn|rz|rm|rp).ftz?.f32 =T T", "RND.f64 =T T", "approx.ftz.f64 =T T"];
    Sqrt "sqrt" "Square root" ["(approx|rn|rz|rm|rp).ftz?.f32 =T T", "RND.f64 =T T"];
    Rsqrt "rsqrt" "Reciprocal square root" ["approx.ftz?.(f32|f64) =T T"];
    Sin "sin" "Sine, approximate" ["approx.ftz?.f32 =T T"];
    Cos "cos" "Cosine, approximate" ["approx.ftz?.f32 =T T"];
    Lg2 "lg2" "Binary logarithm, approximate" ["approx.ftz?.f32 =T T"];
    Ex2 "ex2" "Power of two, approximate" ["approx.ftz?.f32 =T T", "approx.(f16|f16x2) =T T", "approx.ftz.(bf16|bf16x2) =T T"];
    Tanh "tanh" "Hyperbolic tangent, approximate" ["approx.(f32|f16|f16x2|bf16|bf16x2) =T T"];
    // 9.7.6, 9.7.7: comparison and selection.
    Set "set" "Comparison with a numeric result" [
        "COMPARE.ftz?.(u32|s32|f32).(BIT|INT|f32|f64) =T1 T T", "COMPARE.BOOLEAN.ftz?.(u32|s32|f32).(BIT|INT|f32|f64) =T1 T T pred",
        "COMPARE.ftz?.(f16|bf16).(BIT|INT|f16|f32|f64) =T1 T T", "COMPARE.BOOLEAN.ftz?.(f16|bf16).(BIT|INT|f16|f32|f64) =T1 T T pred",
        "COMPARE.ftz?.(u16|s16|u32|s32|f16).f16 =T1 T T", "COMPARE.BOOLEAN.ftz?.(u16|s16|u32|s32|f16).f16 =T1 T T pred",
        "COMPARE.ftz?.(u16|s16|u32|s32|bf16).bf16 =T1 T T", "COMPARE.BOOLEAN.ftz?.(u16|s16|u32|s32|bf16).bf16 =T1 T T pred",
        "COMPARE.ftz?.(f16x2|u32|s32).f16x2 =T1 T T", "COMPARE.BOOLEAN.ftz?.(f16x2|u32|s32).f16x2 =T1 T T pred",
        "COMPARE.ftz?.(bf16x2|u32|s32).bf16x2 =T1 T T", "COMPARE.BOOLEAN.ftz?.(bf16x2|u32|s32).bf16x2 =T1 T T pred",
    ];
    Setp "setp" "Comparison with a predicate result" [
        "COMPARE.ftz?.(BIT|INT|f32|f64|f16|f16x2|bf16|bf16x2) =pred|p T T",
        "COMPARE.BOOLEAN.ftz?.(BIT|INT|f32|f64|f16|f16x2|bf16|bf16x2) =pred|p T T pred",
    ];
    Selp "selp" "Selection by predicate" ["(BIT|INT|f32|f64) =T T T pred"];
    Slct "slct" "Selection by sign" ["(BIT|INT|f32|f64).s32 =T1 T1 T1 T2", "ftz?.(BIT|INT|f32|f64).f32 =T1 T1 T1 T2"];
    // 9.7.8: logic and shifts.
    And "and" "Bitwise and" ["(pred|BIT) =T T T"];
    Or "or" "Bitwise or" ["(pred|BIT) =T T T"];
    Xor "xor" "Bitwise exclusive or" ["(pred|BIT) =T T T"];
    Not "not" "Bitwise complement" ["(pred|BIT) =T T"];
    Cnot "cnot" "Logical complement" ["BIT =T T"];
    Lop3 "lop3" "Any logic function of three operands" ["b32 =T T T T imm", "(or|and).b32 =T|p T T T imm pred"];
    Shf "shf" "Funnel shift" ["(l|r).(clamp|wrap).b32 =T T T u32"];
    Shl "shl" "Shift left" ["BIT =T T u32"];
    Shr "shr" "Shift right" ["(BIT|INT) =T T u32"];
    // 9.7.9: data movement and conversion.
    Mov "mov" "Copy, pack, unpack, or address of a variable" ["(pred|BIT|INT|f32|f64|b128) =any any", "VECTOR.(BIT|INT|f32|f64) =V V"];
    Shfl "shfl" "Exchange between lanes" ["(up|down|bfly|idx).b32 =T|p T u32 u32", "sync.(up|down|bfly|idx).b32 =T|p T u32 u32 u32"];
    Prmt "prmt" "Byte permutation" ["b32.(f4e|b4e|rc8|ecl|ecr|rc16)? =T T T T"];
    Ld "ld" "Load" [
        "weak?.LD_SPACE?.nc?.CACHE_LD?.L1_EVICT?.L2_EVICT?.L2::cache_hint?.L2_PREFETCH?.VECTOR?.MEMORY =V~ [] b64?",
        "volatile.LD_SPACE?.L2_PREFETCH?.VECTOR?.MEMORY =V~ []",
        "(relaxed|acquire).SCOPE.LD_SPACE?.L1_EVICT?.L2_EVICT?.L2::cache_hint?.L2_PREFETCH?.VECTOR?.MEMORY =V~ [] b64?",
        "mmio.relaxed.sys.global?.MEMORY =V~ []",
    ];
    Ldu "ldu" "Load through a read-only path" ["global?.(v2|v4)?.MEMORY =V~ []"];
    St "st" "Store; `.async` and `.bulk` without waiting" [
        "weak?.ST_SPACE?.CACHE_ST?.L1_EVICT?.L2_EVICT?.L2::cache_hint?.VECTOR?.MEMORY [] V~ b64?",
        "volatile.ST_SPACE?.VECTOR?.MEMORY [] V~",
        "(relaxed|release).SCOPE.ST_SPACE?.L1_EVICT?.L2_EVICT?.L2::cache_hint?.VECTOR?.MEMORY [] V~ b64?",
        "mmio.relaxed.sys.global?.MEMORY [] V~",
        "async.weak?.cluster?.shared::cluster?.COMPLETES?.(v2|v4)?.(b32|b64|u32|u64|s32|s64|f32|f64) [] V []",
        "async.mmio?.release.(gpu|sys).global?.MEMORY [] V~",
        "bulk.weak?.shared::cta? [] u64 imm",
    ];
    Prefetch "prefetch" "Prefetch a line" [
        "(global|local)?.(L1|L2) []", "global.(L2::evict_last|L2::evict_normal) []", "(const|param)?.tensormap []",
    ];
    Prefetchu "prefetchu" "Prefetch a line to the uniform cache" ["L1 []"];
    Applypriority "applypriority" "Cache priority of a range" ["global?.L2::evict_normal [] imm"];
    Discard "discard" "Drop a range from the cache" ["global?.L2 [] imm"];
    Createpolicy "createpolicy" "Cache eviction policy" [
        "range.global?.L2_EVICT.(L2::evict_first|L2::evict_unchanged)?.b64 =T [] u32 u32",
        "fractional.L2_EVICT.(L2::evict_first|L2::evict_unchanged)?.b64 =T f32?", "cvt.L2.b64 =T b64",
    ];
    Isspacep "isspacep" "Does a generic address lie in a space" ["ADDRESS_SPACE =pred a"];
    Cvta "cvta" "Between generic and space addresses" ["to?.ADDRESS_SPACE.(u32|u64) =T T"];
    Cvt "cvt" "Type conversion" [
        "(RND|rni|rzi|rmi|rpi)?.ftz?.sat?.CONVERT.CONVERT =T1~ T2~", "(rn|rz).relu?.satfinite?.(f16|bf16).f32 =T1~ T2",
        "(rn|rz).relu?.satfinite?.(f16x2|bf16x2).f32 =T1 T2 T2", "rs.relu?.satfinite?.(f16x2|bf16x2).f32 =T1 T2 T2 b32",
        "rna.satfinite?.tf32.f32 =T1 T2", "(rn|rz).satfinite?.relu?.tf32.f32 =T1 T2",
        "rn.satfinite.relu?.(e4m3x2|e5m2x2|e2m3x2|e3m2x2).f32 =T1 T2 T2", "rn.satfinite.relu?.e2m1x2.f32 =b8 T2 T2",
        "rn.satfinite.relu?.(e4m3x2|e5m2x2|e2m3x2|e3m2x2).(f16x2|bf16x2) =T1 T2", "rn.satfinite.relu?.e2m1x2.(f16x2|bf16x2) =b8 T2",
        "rn.relu?.(f16x2|bf16x2).(e4m3x2|e5m2x2|e2m3x2|e3m2x2) =T1 T2", "rn.relu?.(f16x2|bf16x2).e2m1x2 =T1 b8",
        "rs.relu?.satfinite.(e4m3x4|e5m2x4|e2m3x4|e3m2x4|e2m1x4).f32 =T1 {f32}4 b32",
        "(rz|rp).satfinite?.ue8m0x2.f32 =T1 T2 T2", "(rz|rp).satfinite?.ue8m0x2.bf16x2 =T1 T2", "rn.bf16x2.ue8m0x2 =T1 T2",
        "pack.sat.(u16|s16).s32 =b32 T2 T2", "pack.sat.(u2|s2|u4|s4|u8|s8).s32.b32 =b32 T2 T2 b32",
    ];
    Mapa "mapa" "Shared address of another block of the cluster" ["shared::cluster?.(u32|u64) =T T u32"];
    Getctarank "getctarank" "Block rank of a shared address" ["shared::cluster?.(u32|u64) =u32 T"];
    Cp "cp" "Asynchronous copy" [
        "async.(ca|cg).SHARED.global.L2::cache_hint?.L2_PREFETCH? [] [] imm any? b64?", "async.(commit_group|wait_all)",
        "async.wait_group imm", "async.mbarrier.arrive.noinc?.SHARED?.b64 []",
        "async.bulk.(shared::cta|shared::cluster).global.COMPLETES.multicast::cluster?.L2::cache_hint? [] [] u32 [] b16? b64?",
        "async.bulk.shared::cta.global.COMPLETES.ignore_oob.L2::cache_hint? [] [] u32 u32 u32 [] b64?",
        "async.bulk.shared::cluster.shared::cta.COMPLETES [] [] u32 []",
        "async.bulk.global.shared::cta.bulk_group.L2::cache_hint?.cp_mask? [] [] u32 any? any?",
        "async.bulk.prefetch.L2.global.L2::cache_hint? [] u32 b64?", "async.bulk.commit_group", "async.bulk.wait_group.read? imm",
        "async.bulk.tensor.DIMENSIONS.(shared::cta|shared::cluster).global.TENSOR_LOAD?.COMPLETES.multicast::cluster?.CTA_GROUP?.L2::cache_hint? \
         [] [,] [] any? any? any?",
        "async.bulk.tensor.DIMENSIONS.global.shared::cta.(tile|tile::scatter4|im2col_no_offs)?.bulk_group.L2::cache_hint? [,] [] b64?",
        "async.bulk.prefetch.tensor.DIMENSIONS.L2.global.TENSOR_LOAD?.L2::cache_hint? [,] any? any?",
        "reduce.async.bulk.shared::cluster.shared::cta.COMPLETES.(and|or|xor|add|inc|dec|min|max).(b32|u32|s32|b64|u64) [] [] u32 []",
        "reduce.async.bulk.global.shared::cta.bulk_group.L2::cache_hint?.(and|or|xor|add|inc|dec|min|max).(f16|bf16|b32|u32|s32|b64|u64|s64|f32|f64) \
         [] [] u32 b64?",
        "reduce.async.bulk.global.shared::cta.bulk_group.L2::cache_hint?.add.noftz.(f16|bf16) [] [] u32 b64?",
        "reduce.async.bulk.tensor.DIMENSIONS.global.shared::cta.(add|min|max|inc|dec|and|or|xor).(tile|im2col_no_offs)?.bulk_group.L2::cache_hint? \
         [,] [] b64?",
    ];
    Tensormap "tensormap" "Change or publish a tensor map" [
        "replace.tile.(global_address|rank|elemtype|interleave_layout|swizzle_mode|swizzle_atomicity|fill_mode).(global|shared::cta)?.b1024.(b32|b64) [] T",
        "replace.tile.(box_dim|global_dim|global_stride|element_stride).(global|shared::cta)?.b1024.(b32|b64) [] imm T",
        "cp_fenceproxy.global.shared::cta.tensormap::generic.release.SCOPE.sync.aligned [] [] imm",
    ];
    // 9.7.10, 9.7.11: textures and surfaces.
    Tex "tex" "Texture lookup" [
        "base?.TEXTURE.v4.(u32|s32|f16|f32).(s32|f32) ={T1}4|p [,] any? any?", "base?.TEXTURE.v2.f16x2.(s32|f32) ={T1}2|p [,] any? any?",
        "level.TEXTURE.v4.(u32|s32|f16|f32).(s32|f32) ={T1}4|p [,] T2 any? any?", "level.TEXTURE.v2.f16x2.(s32|f32) ={T1}2|p [,] T2 any? any?",
        "grad.TEXTURE.v4.(u32|s32|f16|f32).(s32|f32) ={T1}4|p [,] any any any? any?",
        "grad.TEXTURE.v2.f16x2.(s32|f32) ={T1}2|p [,] any any any? any?",
    ];
    Tld4 "tld4" "Four-texel lookup" ["(r|g|b|a).(2d|a2d|cube|acube).v4.(u32|s32|f32).f32 ={T1}4|p [,] any? any?"];
    Txq "txq" "Texture query" [
        "(width|height|depth|channel_data_type|channel_order|normalized_coords|array_size|num_mipmap_levels|num_samples).b32 =T []",
        "level.(width|height|depth).b32 =T [] u32", "(force_unnormalized_coords|filter_mode|addr_mode_0|addr_mode_1|addr_mode_2).b32 =T []",
    ];
    Suld "suld" "Surface load" ["b.SURFACE.CACHE_LD?.(v2|v4)?.(b8|b16|b32|b64).OUTSIDE? =V~ [,]"];
    Sust "sust" "Surface store" [
        "b.SURFACE.CACHE_ST?.(v2|v4)?.(b8|b16|b32|b64).OUTSIDE? [,] V~", "p.(1d|2d|3d).(v2|v4)?.b32.OUTSIDE? [,] V",
    ];
    Sured "sured" "Surface reduction" [
        "b.(add|min|max|and|or).(1d|2d|3d).(u32|u64|s32|b32|s64).OUTSIDE? [,] T", "p.(add|min|max|and|or).(1d|2d|3d).(b32|b64).OUTSIDE? [,] T",
    ];
    Suq "suq" "Surface query" ["(width|height|depth|channel_data_type|channel_order|array_size|memory_layout).b32 =T []"];
    Istypep "istypep" "Type of an opaque reference" ["(texref|samplerref|surfref) =pred a"];
    // 9.7.12: control flow.
    Bra "bra" "Branch" ["uni? label"];
    Brx "brx" "Branch through a table" ["idx.uni? u32 any"];
    Call "call" "Function call" ["uni? any any? any? any?"];
    Ret "ret" "Return" ["uni?"];
    Exit "exit" "End the thread" [""];
    // 9.7.13: synchronisation.
    Bar "bar" "Barrier of the block or the warp" [
        "cta?.sync.aligned? u32 u32?", "cta?.arrive.aligned? u32 u32", "cta?.red.popc.aligned?.u32 =T u32 any pred?", "cta?.red.(and|or).aligned?.pred =T u32 any pred?",
        "warp.sync u32",
    ];
    Barrier "barrier" "Barrier, lanes may be apart" [
        "cta?.sync.aligned? u32 u32?", "cta?.arrive.aligned? u32 u32", "cta?.red.popc.aligned?.u32 =T u32 any pred?", "cta?.red.(and|or).aligned?.pred =T u32 any pred?",
        "cluster.arrive.(release|relaxed)?.aligned?", "cluster.wait.acquire?.aligned?",
    ];
    Membar "membar" "Memory barrier" ["(cta|gl|sys)", "proxy.(alias|async)", "proxy.async.(global|shared::cta|shared::cluster)"];
    Fence "fence" "Memory fence" [
        "(sc|acq_rel|acquire|release)?.SCOPE", "acquire.sync_restrict::shared::cluster.cluster", "release.sync_restrict::shared::cta.cluster",
        "mbarrier_init.release.cluster", "proxy.(alias|async)", "proxy.async.(global|shared::cta|shared::cluster)", "proxy.tensormap::generic.release.SCOPE", "proxy.tensormap::generic.acquire.SCOPE [] imm",
        "proxy.async::generic.acquire.sync_restrict::shared::cluster.cluster", "proxy.async::generic.release.sync_restrict::shared::cta.cluster",
    ];
    Atom "atom" "Atomic operation with result" [
        "ORDER?.SCOPE?.ATOMIC_SPACE?.(and|or|xor|exch).L2::cache_hint?.(b32|b64) =T [] T b64?", "ORDER?.SCOPE?.ATOMIC_SPACE?.exch.L2::cache_hint?.b128 =T [] T b64?",
        "ORDER?.SCOPE?.ATOMIC_SPACE?.cas.(b16|b32|b64|b128) =T [] T T",
        "ORDER?.SCOPE?.ATOMIC_SPACE?.add.L2::cache_hint?.(u32|s32|u64|s64|f32|f64) =T [] T b64?",
        "ORDER?.SCOPE?.ATOMIC_SPACE?.(min|max).L2::cache_hint?.(u32|s32|u64|s64) =T [] T b64?",
        "ORDER?.SCOPE?.ATOMIC_SPACE?.(inc|dec).L2::cache_hint?.u32 =T [] T b64?",
        "ORDER?.SCOPE?.ATOMIC_SPACE?.add.noftz.L2::cache_hint?.(f16|f16x2|bf16|bf16x2) =T [] T b64?",
        "ORDER?.SCOPE?.global?.add.L2::cache_hint?.(v2|v4).f32 =V [] V b64?",
        "ORDER?.SCOPE?.global?.(add|min|max).noftz.L2::cache_hint?.VECTOR.(f16|bf16|f16x2|bf16x2) =V [] V b64?",
    ];
    Red "red" "Atomic operation without result" [
        "ORDER?.SCOPE?.ATOMIC_SPACE?.(and|or|xor).L2::cache_hint?.(b32|b64) [] T b64?",
        "ORDER?.SCOPE?.ATOMIC_SPACE?.add.L2::cache_hint?.(u32|s32|u64|s64|f32|f64) [] T b64?",
        "ORDER?.SCOPE?.ATOMIC_SPACE?.(min|max).L2::cache_hint?.(u32|s32|u64|s64) [] T b64?",
        "ORDER?.SCOPE?.ATOMIC_SPACE?.(inc|dec).L2::cache_hint?.u32 [] T b64?",
        "ORDER?.SCOPE?.ATOMIC_SPACE?.add.noftz.L2::cache_hint?.(f16|f16x2|bf16|bf16x2) [] T b64?",
        "ORDER?.SCOPE?.global?.add.L2::cache_hint?.(v2|v4).f32 [] V b64?",
        "ORDER?.SCOPE?.global?.(add|min|max).noftz.L2::cache_hint?.VECTOR.(f16|bf16|f16x2|bf16x2) [] V b64?",
        "async.relaxed.cluster.shared::cluster?.COMPLETES.(inc|dec).u32 [] T []", "async.relaxed.cluster.shared::cluster?.COMPLETES.(min|max).(u32|s32) [] T []",
        "async.relaxed.cluster.shared::cluster?.COMPLETES.(and|or|xor).b32 [] T []", "async.relaxed.cluster.shared::cluster?.COMPLETES.add.(u32|s32|u64) [] T []",
        "async.mmio?.release.(gpu|cluster).global?.add.(u32|s32|u64|s64) [] T",
    ];
    Vote "vote" "Vote across the warp" ["(all|any|uni).pred =T pred", "ballot.b32 =T pred", "sync.(all|any|uni).pred =T pred u32", "sync.ballot.b32 =T pred u32"];
    Match "match" "Lanes with the same value" ["any.sync.(b32|b64) =u32 T u32", "all.sync.(b32|b64) =u32|p T u32"];
    Activemask "activemask" "Lanes that are here" ["b32 =T"];
    Redux "redux" "Reduction across the warp" [
        "sync.(add|min|max).(u32|s32) =T T u32", "sync.(and|or|xor).b32 =T T u32", "sync.(min|max).abs?.NaN?.f32 =T T u32",
    ];
    Griddepcontrol "griddepcontrol" "Order between dependent grids" ["(launch_dependents|wait)"];
    Elect "elect" "Choose one lane" ["sync =b32|p u32"];
    Mbarrier "mbarrier" "Barrier object in memory" [
        "init.SHARED?.b64 [] u32", "inval.SHARED?.b64 []", "(expect_tx|complete_tx).relaxed?.(cta|cluster)?.(SHARED|shared::cluster)?.b64 [] u32",
        "(arrive|arrive_drop).(release|relaxed)?.(cta|cluster)?.(SHARED|shared::cluster)?.b64 =T [] u32?",
        "(arrive|arrive_drop).expect_tx.(release|relaxed)?.(cta|cluster)?.(SHARED|shared::cluster)?.b64 =T [] u32",
        "(arrive|arrive_drop).noComplete.release?.cta?.SHARED?.b64 =T [] u32",
        "test_wait.(acquire|relaxed)?.(cta|cluster)?.SHARED?.b64 =pred [] T", "test_wait.parity.(acquire|relaxed)?.(cta|cluster)?.SHARED?.b64 =pred [] u32",
        "try_wait.(acquire|relaxed)?.(cta|cluster)?.SHARED?.b64 =pred [] T u32?", "try_wait.parity.(acquire|relaxed)?.(cta|cluster)?.SHARED?.b64 =pred [] u32 u32?",
        "pending_count.b64 =u32 T",
    ];
    Clusterlaunchcontrol "clusterlaunchcontrol" "Take over a cluster that has not been launched" [
        "try_cancel.async.shared::cta?.COMPLETES.multicast::cluster::all?.b128 [] []", "query_cancel.is_canceled.pred.b128 =T1 T2",
        "query_cancel.get_first_ctaid.v4.b32.b128 ={T1}4 T2", "query_cancel.(get_first_ctaid::x|get_first_ctaid::y|get_first_ctaid::z).b32.b128 =T1 T2",
    ];
    // 9.7.14, 9.7.15: matrices.
    Wmma "wmma" "Warp matrix load, store, multiply" [
        "load.a.sync.aligned.(row|col).(m16n16k16|m8n32k16|m32n8k16).MATRIX_SPACE?.(f16|bf16|s8|u8) =A1 [] u32?",
        "load.b.sync.aligned.(row|col).(m16n16k16|m8n32k16|m32n8k16).MATRIX_SPACE?.(f16|bf16|s8|u8) =B1 [] u32?",
        "load.c.sync.aligned.(row|col).(m16n16k16|m8n32k16|m32n8k16).MATRIX_SPACE?.(f16|f32|s32) =C1 [] u32?",
        "load.a.sync.aligned.(row|col).m16n16k8.MATRIX_SPACE?.tf32 =A1 [] u32?", "load.b.sync.aligned.(row|col).m16n16k8.MATRIX_SPACE?.tf32 =B1 [] u32?",
        "load.c.sync.aligned.(row|col).m16n16k8.MATRIX_SPACE?.f32 =C1 [] u32?", "load.a.sync.aligned.(row|col).m8n8k4.MATRIX_SPACE?.f64 =A1 [] u32?",
        "load.b.sync.aligned.(row|col).m8n8k4.MATRIX_SPACE?.f64 =B1 [] u32?", "load.c.sync.aligned.(row|col).m8n8k4.MATRIX_SPACE?.f64 =C1 [] u32?",
        "load.a.sync.aligned.row.m8n8k32.MATRIX_SPACE?.(s4|u4) =A1 [] u32?", "load.b.sync.aligned.col.m8n8k32.MATRIX_SPACE?.(s4|u4) =B1 [] u32?",
        "load.a.sync.aligned.row.m8n8k128.MATRIX_SPACE?.b1 =A1 [] u32?", "load.b.sync.aligned.col.m8n8k128.MATRIX_SPACE?.b1 =B1 [] u32?",
        "load.c.sync.aligned.(row|col).(m8n8k32|m8n8k128).MATRIX_SPACE?.s32 =C1 [] u32?",
        "store.d.sync.aligned.(row|col).(m16n16k16|m8n32k16|m32n8k16).MATRIX_SPACE?.(f16|f32|s32) [] C1 u32?",
        "store.d.sync.aligned.(row|col).(m8n8k32|m8n8k128).MATRIX_SPACE?.s32 [] C1 u32?", "store.d.sync.aligned.(row|col).m16n16k8.MATRIX_SPACE?.f32 [] C1 u32?",
        "store.d.sync.aligned.(row|col).m8n8k4.MATRIX_SPACE?.f64 [] C1 u32?",
        "mma.sync.aligned.(row|col).(row|col).(m16n16k16|m8n32k16|m32n8k16).(f16|f32).(f16|f32).satfinite? =C1 {b32}8 {b32}8 C2",
        "mma.sync.aligned.(row|col).(row|col).(m16n16k16|m8n32k16|m32n8k16).s32.(s8|u8).(s8|u8).s32.satfinite? =C1 A2 B3 C4",
        "mma.sync.aligned.(row|col).(row|col).(m16n16k16|m8n32k16|m32n8k16).f32.bf16.bf16.f32 =C1 A2 B3 C4",
        "mma.sync.aligned.(row|col).(row|col).m16n16k8.f32.tf32.tf32.f32 =C1 A2 B3 C4",
        "mma.sync.aligned.(row|col).(row|col).m8n8k4.RND?.f64.f64.f64.f64 =C1 A2 B3 C4",
        "mma.sync.aligned.row.col.m8n8k32.s32.(s4|u4).(s4|u4).s32.satfinite? =C1 A2 B3 C4",
        "mma.(xor|and).popc.sync.aligned.row.col.m8n8k128.s32.b1.b1.s32 =C1 A2 B3 C4",
    ];
    Mma "mma" "Warp matrix multiply and add" [
        "sync.aligned.m8n8k4.(row|col).(row|col).(f16|f32).f16.f16.(f16|f32) =C1 A2 B3 C4",
        "sync.aligned.(m16n8k8|m16n8k16).row.col.(f16|f32).f16.f16.(f16|f32) =C1 A2 B3 C4",
        "sync.aligned.(m16n8k8|m16n8k16).row.col.f32.bf16.bf16.f32 =C1 A2 B3 C4", "sync.aligned.(m16n8k4|m16n8k8).row.col.f32.tf32.tf32.f32 =C1 A2 B3 C4",
        "sync.aligned.(m16n8k16|m16n8k32).row.col.(f16|f32).(e4m3|e5m2).(e4m3|e5m2).(f16|f32) =C1 A2 B3 C4",
        "sync.aligned.m16n8k32.row.col.kind::f8f6f4.(f16|f32).NARROW.NARROW.(f16|f32) =C1 {b32}4 {b32}2 C4",
        "sync.aligned.m16n8k64.row.col.(kind::mxf4|kind::mxf4nvf4).block_scale.(scale_vec::2X|scale_vec::4X)?.f32.e2m1.e2m1.f32.(ue8m0|ue4m3) \
         =C1 {b32}4 {b32}2 C4 b32 {b16}2 b32 {b16}2",
        "sync.aligned.m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X?.f32.NARROW.NARROW.f32.ue8m0 =C1 {b32}4 {b32}2 C4 b32 {b16}2 b32 {b16}2",
        "sync.aligned.(m8n8k4|m16n8k4|m16n8k8|m16n8k16).row.col.RND?.f64.f64.f64.f64 =C1 A2 B3 C4",
        "sync.aligned.(m8n8k16|m16n8k16|m16n8k32).row.col.satfinite?.s32.(u8|s8).(u8|s8).s32 =C1 A2 B3 C4",
        "sync.aligned.(m8n8k32|m16n8k32|m16n8k64).row.col.satfinite?.s32.(u4|s4).(u4|s4).s32 =C1 A2 B3 C4",
        "sync.aligned.(m8n8k128|m16n8k128|m16n8k256).row.col.s32.b1.b1.s32.(xor|and).popc =C1 A2 B3 C4",
        "SPARSE.sync.aligned.(m16n8k16|m16n8k32).row.col.(f16|f32).f16.f16.(f16|f32) =C1 A2 B3 C4 b32 imm",
        "SPARSE.sync.aligned.(m16n8k16|m16n8k32).row.col.f32.bf16.bf16.f32 =C1 A2 B3 C4 b32 imm",
        "SPARSE.sync.aligned.(m16n8k8|m16n8k16).row.col.f32.tf32.tf32.f32 =C1 A2 B3 C4 b32 imm",
        "SPARSE.sync.aligned.m16n8k64.row.col.(f16|f32).(e4m3|e5m2).(e4m3|e5m2).(f16|f32) =C1 A2 B3 C4 b32 imm",
        "SPARSE.sync.aligned.(m16n8k32|m16n8k64).row.col.satfinite?.s32.(u8|s8).(u8|s8).s32 =C1 A2 B3 C4 b32 imm",
        "SPARSE.sync.aligned.(m16n8k64|m16n8k128).row.col.satfinite?.s32.(u4|s4).(u4|s4).s32 =C1 A2 B3 C4 b32 imm",
        "sp::ordered_metadata.sync.aligned.m16n8k64.row.col.kind::f8f6f4.(f16|f32).NARROW.NARROW.(f16|f32) =C1 {b32}4 {b32}4 C4 b32 imm",
        "sp::ordered_metadata.sync.aligned.m16n8k128.row.col.(kind::mxf4|kind::mxf4nvf4).block_scale.(scale_vec::2X|scale_vec::4X)?.f32.e2m1.e2m1.f32.(ue8m0|ue4m3) \
         =C1 {b32}4 {b32}4 C4 b32 imm b32 {b16}2 b32 {b16}2",
        "sp::ordered_metadata.sync.aligned.m16n8k64.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X?.f32.NARROW.NARROW.f32.ue8m0 \
         =C1 {b32}4 {b32}4 C4 b32 imm b32 {b16}2 b32 {b16}2",
    ];
    Ldmatrix "ldmatrix" "Load 8x8 matrices across the warp" [
        "sync.aligned.m8n8.(x1|x2|x4).trans?.SHARED?.b16 ={b32} []", "sync.aligned.m16n16.(x1|x2).trans.SHARED?.b8 ={b32} []",
        "sync.aligned.m8n16.(x1|x2|x4).SHARED?.b8x16.(b6x16_p32|b4x16_p64) ={b32} []", "sync.aligned.m16n16.(x1|x2).trans.SHARED?.b8x16.(b6x16_p32|b4x16_p64) ={b32} []",
    ];
    Stmatrix "stmatrix" "Store 8x8 matrices across the warp" [
        "sync.aligned.m8n8.(x1|x2|x4).trans?.SHARED?.b16 [] {b32}", "sync.aligned.m16n8.(x1|x2|x4).trans.SHARED?.b8 [] {b32}",
    ];
    Movmatrix "movmatrix" "Transpose an 8x8 matrix across the warp" ["sync.aligned.m8n8.trans.b16 =b32 b32"];
    Wgmma "wgmma" "Warpgroup matrix multiply" [
        "(fence|commit_group).sync.aligned", "wait_group.sync.aligned imm",
        "mma_async.sp?.sync.aligned.(m64nNk16|m64nNk32).(f16|f32).f16.f16 =C1 any b64 any any any any any? any? any?",
        "mma_async.sp?.sync.aligned.(m64nNk16|m64nNk32).f32.bf16.bf16 =C1 any b64 any any any any any? any? any?",
        "mma_async.sp?.sync.aligned.(m64nNk8|m64nNk16).f32.tf32.tf32 =C1 any b64 any any any any? any?",
        "mma_async.sp?.sync.aligned.(m64nNk32|m64nNk64).(f16|f32).(e4m3|e5m2).(e4m3|e5m2) =C1 any b64 any any any any? any?",
        "mma_async.sp?.sync.aligned.(m64nNk32|m64nNk64).satfinite?.s32.(s8|u8).(s8|u8) =C1 any b64 any any? any?",
        "mma_async.sync.aligned.m64nNk256.s32.b1.b1.and.popc =C1 any b64 any",
    ];
    Tcgen05 "tcgen05" "Tensor memory operation" [
        "alloc.CTA_GROUP.sync.aligned.shared::cta?.b32 [] u32", "dealloc.CTA_GROUP.sync.aligned.b32 b32 u32", "relinquish_alloc_permit.CTA_GROUP.sync.aligned",
        "commit.CTA_GROUP.mbarrier::arrive::one.shared::cluster?.multicast::cluster?.b64 [] b16?", "(fence::before_thread_sync|fence::after_thread_sync)",
        "(wait::ld|wait::st).sync.aligned", "shift.CTA_GROUP.down []",
        "cp.CTA_GROUP.(128x256b|4x256b|128x128b|64x128b|32x128b).(warpx2::02_13|warpx2::01_23|warpx4)?.b8x16?.(b6x16_p32|b4x16_p64)? [] b64",
        "ld.sync.aligned.TENSOR_SHAPE.COUNT.pack::16b?.b32 ={b32} [] imm?", "ld.red.sync.aligned.TENSOR_SHAPE.COUNT.(min|max).abs?.NaN?.(f32|u32|s32) ={T} =T [] imm?",
        "st.sync.aligned.TENSOR_SHAPE.COUNT.unpack::16b?.b32 [] any any?",
        "mma.ws?.sp?.CTA_GROUP.(kind::f16|kind::tf32|kind::f8f6f4|kind::i8).ashift?.COLLECTOR?.ashift? [] any b64 any any any? any? any?",
        "mma.sp?.CTA_GROUP.(kind::mxf8f6f4|kind::mxf4|kind::mxf4nvf4).block_scale.(scale_vec::1X|scale_vec::2X|scale_vec::4X|block16|block32)?.COLLECTOR? \
         [] any b64 any any any any any?",
    ];
    Setmaxnreg "setmaxnreg" "Change the register budget" ["(inc|dec).sync.aligned.u32 imm"];
    Multimem "multimem" "Operation on a multicast address" [
        "ld_reduce.(weak|relaxed|acquire)?.SCOPE?.global?.(min|max|add|and|or|xor).(b32|b64|u32|u64|s32|s64) =T []",
        "ld_reduce.(weak|relaxed|acquire)?.SCOPE?.global?.(min|max|add).(acc::f32|acc::f16)?.VECTOR?.\
         (f16|f16x2|bf16|bf16x2|f32|f64|e5m2|e5m2x2|e5m2x4|e4m3|e4m3x2|e4m3x4) =V []",
        "st.(weak|relaxed|release)?.SCOPE?.global?.VECTOR?.(b32|b64|u32|u64|s32|s64|f16|f16x2|bf16|bf16x2|f32|f64|e5m2|e5m2x2|e5m2x4|e4m3|e4m3x2|e4m3x4) [] V",
        "red.(relaxed|release)?.SCOPE?.global?.(min|max|add|and|or|xor).(b32|b64|u32|u64|s32|s64) [] T",
        "red.(relaxed|release)?.SCOPE?.global?.add.VECTOR?.(f16|f16x2|bf16|bf16x2|f32|f64) [] V",
    ];
    // 9.7.16: stack.
    Stacksave "stacksave" "Stack pointer" ["(u32|u64) =T"];
    Stackrestore "stackrestore" "Set the stack pointer" ["(u32|u64) T"];
    Alloca "alloca" "Dynamic stack memory" ["(u32|u64) =T T imm?"];
    // 9.7.17: video.
    Vadd "vadd" "Sum of selected parts" ["VIDEO.VIDEO.VIDEO.sat?.(add|min|max)? =b32. T2. T3. b32?"];
    Vsub "vsub" "Difference of selected parts" ["VIDEO.VIDEO.VIDEO.sat?.(add|min|max)? =b32. T2. T3. b32?"];
    Vabsdiff "vabsdiff" "Absolute difference of selected parts" ["VIDEO.VIDEO.VIDEO.sat?.(add|min|max)? =b32. T2. T3. b32?"];
    Vmin "vmin" "Minimum of selected parts" ["VIDEO.VIDEO.VIDEO.sat?.(add|min|max)? =b32. T2. T3. b32?"];
    Vmax "vmax" "Maximum of selected parts" ["VIDEO.VIDEO.VIDEO.sat?.(add|min|max)? =b32. T2. T3. b32?"];
    Vshl "vshl" "Left shift of selected parts" ["VIDEO.VIDEO.u32.sat?.(clamp|wrap).(add|min|max)? =b32. T2. T3. b32?"];
    Vshr "vshr" "Right shift of selected parts" ["VIDEO.VIDEO.u32.sat?.(clamp|wrap).(add|min|max)? =b32. T2. T3. b32?"];
    Vmad "vmad" "Product of selected parts plus addend" ["VIDEO.VIDEO.VIDEO.po?.sat?.(shr7|shr15)? =b32 T2. T3. b32"];
    Vset "vset" "Comparison of selected parts" ["VIDEO.VIDEO.(eq|ne|lt|le|gt|ge).(add|min|max)? =b32. T1. T2. b32?"];
    Vadd2 "vadd2" "Two sums" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vsub2 "vsub2" "Two differences" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vavrg2 "vavrg2" "Two averages" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vabsdiff2 "vabsdiff2" "Two absolute differences" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vmin2 "vmin2" "Two minima" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vmax2 "vmax2" "Two maxima" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vset2 "vset2" "Two comparisons" ["VIDEO.VIDEO.(eq|ne|lt|le|gt|ge).add? =b32. T1. T2. b32"];
    Vadd4 "vadd4" "Four sums" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vsub4 "vsub4" "Four differences" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vavrg4 "vavrg4" "Four averages" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vabsdiff4 "vabsdiff4" "Four absolute differences" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vmin4 "vmin4" "Four minima" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vmax4 "vmax4" "Four maxima" ["VIDEO.VIDEO.VIDEO.(sat|add)? =b32. T2. T3. b32"];
    Vset4 "vset4" "Four comparisons" ["VIDEO.VIDEO.(eq|ne|lt|le|gt|ge).add? =b32. T1. T2. b32"];
    // 9.7.18: the rest.
    Brkpt "brkpt" "Breakpoint" [""];
    Nanosleep "nanosleep" "Wait a little" ["u32 T"];
    Pmevent "pmevent" "Performance event" ["mask? imm"];
    Trap "trap" "End the grid with an error" [""];
}
