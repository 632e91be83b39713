//! The instruction set as a table: one row, one instruction.
//!
//! A row says the mnemonic, the operands it takes and what it does. The parser looks mnemonics up here, the verifier
//! checks operand counts against the row, and the interpreter matches on [`Op`]. Modifiers are a second table, because
//! most of them mean the same wherever they stand. Source: PTX ISA 8.8, chapter 9.

use crate::types::{Type, tokens};
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

macro_rules! instructions {
    ($($variant:ident $text:literal $least:literal..$most:literal $about:literal;)*) => {
        /// An instruction, without its modifiers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Op { $(#[doc = $about] $variant),* }

        /// Every row of the table.
        pub const INSTRUCTIONS: &[Row] = &[$(Row { op: Op::$variant, mnemonic: $text, operands: ($least, $most), about: $about }),*];
    };
}

/// What the table knows about one instruction.
pub struct Row {
    /// The instruction.
    pub op: Op,
    /// Its first word.
    pub mnemonic: &'static str,
    /// Least and most operands, destinations included.
    pub operands: (u8, u8),
    /// What it does, in a line.
    pub about: &'static str,
}

instructions! {
    // 9.7.1, 9.7.2: integer arithmetic, with and without carry.
    Add "add" 3..3 "Sum; `.cc` also writes the carry";
    Sub "sub" 3..3 "Difference; `.cc` also writes the borrow";
    Addc "addc" 3..3 "Sum with carry in";
    Subc "subc" 3..3 "Difference with borrow in";
    Mul "mul" 3..3 "Product: low, high or wide half for integers";
    Mad "mad" 4..4 "Product plus addend";
    Madc "madc" 4..4 "Product plus addend with carry in";
    Mul24 "mul24" 3..3 "Product of 24-bit operands";
    Mad24 "mad24" 4..4 "Product of 24-bit operands plus addend";
    Sad "sad" 4..4 "Sum of absolute difference and addend";
    Div "div" 3..3 "Quotient";
    Rem "rem" 3..3 "Remainder";
    Abs "abs" 2..2 "Absolute value";
    Neg "neg" 2..2 "Negation";
    Min "min" 3..4 "Minimum";
    Max "max" 3..4 "Maximum";
    Popc "popc" 2..2 "Number of ones";
    Clz "clz" 2..2 "Number of leading zeros";
    Bfind "bfind" 2..2 "Position of the most significant non-sign bit";
    Fns "fns" 4..4 "Position of the n-th set bit";
    Brev "brev" 2..2 "Bits in reverse order";
    Bfe "bfe" 4..4 "Bit field extract";
    Bfi "bfi" 5..5 "Bit field insert";
    Szext "szext" 3..3 "Sign or zero extension from a bit position";
    Bmsk "bmsk" 3..3 "Bit mask from position and width";
    Dp4a "dp4a" 4..4 "Four-way byte dot product plus addend";
    Dp2a "dp2a" 4..4 "Two-way dot product of halves and bytes plus addend";
    // 9.7.3 to 9.7.5: floating point.
    Testp "testp" 2..2 "Class test of a floating-point value";
    Copysign "copysign" 3..3 "Sign of the first operand on the second";
    Fma "fma" 4..4 "Fused product and sum, rounded once";
    Rcp "rcp" 2..2 "Reciprocal";
    Sqrt "sqrt" 2..2 "Square root";
    Rsqrt "rsqrt" 2..2 "Reciprocal square root";
    Sin "sin" 2..2 "Sine, approximate";
    Cos "cos" 2..2 "Cosine, approximate";
    Lg2 "lg2" 2..2 "Binary logarithm, approximate";
    Ex2 "ex2" 2..2 "Power of two, approximate";
    Tanh "tanh" 2..2 "Hyperbolic tangent, approximate";
    // 9.7.6, 9.7.7: comparison and selection.
    Set "set" 3..4 "Comparison with a numeric result";
    Setp "setp" 3..4 "Comparison with a predicate result";
    Selp "selp" 4..4 "Selection by predicate";
    Slct "slct" 4..4 "Selection by sign";
    // 9.7.8: logic and shifts.
    And "and" 3..3 "Bitwise and";
    Or "or" 3..3 "Bitwise or";
    Xor "xor" 3..3 "Bitwise exclusive or";
    Not "not" 2..2 "Bitwise complement";
    Cnot "cnot" 2..2 "Logical complement";
    Lop3 "lop3" 5..7 "Any logic function of three operands";
    Shf "shf" 4..4 "Funnel shift";
    Shl "shl" 3..3 "Shift left";
    Shr "shr" 3..3 "Shift right";
    // 9.7.9: data movement and conversion.
    Mov "mov" 2..2 "Copy, pack, unpack, or address of a variable";
    Shfl "shfl" 4..5 "Exchange between lanes";
    Prmt "prmt" 4..4 "Byte permutation";
    Ld "ld" 2..3 "Load";
    Ldu "ldu" 2..2 "Load through a read-only path";
    St "st" 2..3 "Store";
    StAsync "stasync" 2..3 "Asynchronous store";
    Prefetch "prefetch" 1..1 "Prefetch a line";
    Prefetchu "prefetchu" 1..1 "Prefetch a line to the uniform cache";
    Applypriority "applypriority" 2..2 "Cache priority of a range";
    Discard "discard" 2..2 "Drop a range from the cache";
    Createpolicy "createpolicy" 1..5 "Cache eviction policy";
    Isspacep "isspacep" 2..2 "Does a generic address lie in a space";
    Cvta "cvta" 2..2 "Between generic and space addresses";
    Cvt "cvt" 2..4 "Type conversion";
    Mapa "mapa" 3..3 "Shared address of another block of the cluster";
    Getctarank "getctarank" 2..2 "Block rank of a shared address";
    Cp "cp" 0..9 "Asynchronous copy";
    // 9.7.10, 9.7.11: textures and surfaces.
    Tex "tex" 2..6 "Texture lookup";
    Tld4 "tld4" 2..6 "Four-texel lookup";
    Txq "txq" 2..3 "Texture query";
    Suld "suld" 2..2 "Surface load";
    Sust "sust" 2..2 "Surface store";
    Sured "sured" 2..2 "Surface reduction";
    Suq "suq" 2..2 "Surface query";
    Istypep "istypep" 2..2 "Type of an opaque reference";
    // 9.7.12: control flow.
    Bra "bra" 1..1 "Branch";
    Brx "brx" 2..2 "Branch through a table";
    Call "call" 1..4 "Function call";
    Ret "ret" 0..0 "Return";
    Exit "exit" 0..0 "End the thread";
    // 9.7.13: synchronisation.
    Bar "bar" 0..5 "Barrier of the block or the warp";
    Barrier "barrier" 0..5 "Barrier, lanes may be apart";
    Membar "membar" 0..0 "Memory barrier";
    Fence "fence" 0..2 "Memory fence";
    Atom "atom" 3..5 "Atomic operation with result";
    Red "red" 2..4 "Atomic operation without result";
    Vote "vote" 2..3 "Vote across the warp";
    Match "match" 3..3 "Lanes with the same value";
    Activemask "activemask" 1..1 "Lanes that are here";
    Redux "redux" 3..3 "Reduction across the warp";
    Griddepcontrol "griddepcontrol" 0..0 "Order between dependent grids";
    Elect "elect" 2..2 "Choose one lane";
    Mbarrier "mbarrier" 1..5 "Barrier object in memory";
    // 9.7.14, 9.7.15: matrices.
    Wmma "wmma" 2..6 "Warp matrix load, store, multiply";
    Mma "mma" 4..9 "Warp matrix multiply and add";
    Ldmatrix "ldmatrix" 2..2 "Load 8x8 matrices across the warp";
    Stmatrix "stmatrix" 2..2 "Store 8x8 matrices across the warp";
    Movmatrix "movmatrix" 2..2 "Transpose an 8x8 matrix across the warp";
    Wgmma "wgmma" 0..9 "Warpgroup matrix multiply";
    Tcgen05 "tcgen05" 0..9 "Tensor memory operation";
    Setmaxnreg "setmaxnreg" 1..1 "Change the register budget";
    Multimem "multimem" 2..3 "Operation on a multicast address";
    // 9.7.16: stack.
    Stacksave "stacksave" 1..1 "Stack pointer";
    Stackrestore "stackrestore" 1..1 "Set the stack pointer";
    Alloca "alloca" 2..3 "Dynamic stack memory";
    // 9.7.17: video.
    Vadd "vadd" 3..4 "Sum of selected parts"; Vsub "vsub" 3..4 "Difference of selected parts";
    Vabsdiff "vabsdiff" 3..4 "Absolute difference of selected parts";
    Vmin "vmin" 3..4 "Minimum of selected parts"; Vmax "vmax" 3..4 "Maximum of selected parts";
    Vshl "vshl" 3..4 "Left shift of selected parts"; Vshr "vshr" 3..4 "Right shift of selected parts";
    Vmad "vmad" 4..4 "Product of selected parts plus addend"; Vset "vset" 3..4 "Comparison of selected parts";
    Vadd2 "vadd2" 4..4 "Two sums"; Vsub2 "vsub2" 4..4 "Two differences"; Vavrg2 "vavrg2" 4..4 "Two averages";
    Vabsdiff2 "vabsdiff2" 4..4 "Two absolute differences"; Vmin2 "vmin2" 4..4 "Two minima";
    Vmax2 "vmax2" 4..4 "Two maxima"; Vset2 "vset2" 4..4 "Two comparisons";
    Vadd4 "vadd4" 4..4 "Four sums"; Vsub4 "vsub4" 4..4 "Four differences"; Vavrg4 "vavrg4" 4..4 "Four averages";
    Vabsdiff4 "vabsdiff4" 4..4 "Four absolute differences"; Vmin4 "vmin4" 4..4 "Four minima";
    Vmax4 "vmax4" 4..4 "Four maxima"; Vset4 "vset4" 4..4 "Four comparisons";
    // 9.7.18: the rest.
    Brkpt "brkpt" 0..0 "Breakpoint";
    Nanosleep "nanosleep" 1..1 "Wait a little";
    Pmevent "pmevent" 1..1 "Performance event";
    Trap "trap" 0..0 "End the grid with an error";
}

tokens! {
    /// A modifier of an instruction that is not a scalar type.
    Modifier {
        // Rounding.
        Rn = "rn", Rz = "rz", Rm = "rm", Rp = "rp", Rna = "rna", Rs = "rs",
        Rni = "rni", Rzi = "rzi", Rmi = "rmi", Rpi = "rpi",
        Ftz = "ftz", Sat = "sat", Satfinite = "satfinite", Approx = "approx", Full = "full", Relu = "relu",
        NaN = "NaN", XorSign = "xorsign", AbsModifier = "abs", Oob = "oob",
        // Integer forms.
        Lo = "lo", Hi = "hi", Wide = "wide", Cc = "cc", ShiftAmt = "shiftamt", L = "l", R = "r", Clamp = "clamp", Wrap = "wrap",
        // Comparison; the logical ones double as combination and as atomic operation.
        Eq = "eq", Ne = "ne", Lt = "lt", Le = "le", Gt = "gt", Ge = "ge", Ls = "ls", Hs = "hs",
        Equ = "equ", Neu = "neu", Ltu = "ltu", Leu = "leu", Gtu = "gtu", Geu = "geu", Num = "num", Nan = "nan",
        And = "and", Or = "or", Xor = "xor", Popc = "popc",
        // testp.
        Finite = "finite", Infinite = "infinite", Number = "number", NotANumber = "notanumber", Normal = "normal", Subnormal = "subnormal",
        // Spaces and where the access goes.
        Global = "global", Shared = "shared", SharedCta = "shared::cta", SharedCluster = "shared::cluster", Local = "local",
        Const = "const", Param = "param", ParamEntry = "param::entry", ParamFunc = "param::func", Generic = "generic", To = "to",
        // Cache operators and hints.
        Ca = "ca", Cg = "cg", Cs = "cs", Lu = "lu", Cv = "cv", Wb = "wb", Wt = "wt", Nc = "nc",
        L1EvictNormal = "L1::evict_normal", L1EvictUnchanged = "L1::evict_unchanged", L1EvictFirst = "L1::evict_first",
        L1EvictLast = "L1::evict_last", L1NoAllocate = "L1::no_allocate", L2EvictLast = "L2::evict_last",
        L2EvictNormal = "L2::evict_normal", L2EvictFirst = "L2::evict_first", L2EvictUnchanged = "L2::evict_unchanged",
        L2CacheHint = "L2::cache_hint", L2Size64 = "L2::64B", L2Size128 = "L2::128B", L2Size256 = "L2::256B",
        L1 = "L1", L2 = "L2", TensorMap = "tensormap", Fractional = "fractional", Range = "range",
        // Memory order and scope.
        Weak = "weak", Volatile = "volatile", Relaxed = "relaxed", Acquire = "acquire", Release = "release", AcqRel = "acq_rel",
        Sc = "sc", Mmio = "mmio", Cta = "cta", Cluster = "cluster", Gpu = "gpu", Sys = "sys", Gl = "gl", Proxy = "proxy",
        Alias = "alias", Async = "async", AsyncGlobal = "async.global", Unified = "unified", MbarrierInit = "mbarrier_init",
        ProxyAsync = "proxy::async", ProxyAsyncGlobal = "proxy::async.global", AsyncSharedCta = "async::shared::cta",
        SyncRestrictSharedCta = "sync_restrict::shared::cta", SyncRestrictSharedCluster = "sync_restrict::shared::cluster",
        // Vectors.
        V2 = "v2", V4 = "v4", V8 = "v8",
        // Atomic operations.
        Exch = "exch", Cas = "cas", Add = "add", Inc = "inc", Dec = "dec", Min = "min", Max = "max", Noftz = "noftz",
        // Warp and block.
        Sync = "sync", Arrive = "arrive", Red = "red", Warp = "warp", Aligned = "aligned", Uni = "uni", Idx = "idx",
        Up = "up", Down = "down", Bfly = "bfly", All = "all", Any = "any", Ballot = "ballot",
        LaunchDependents = "launch_dependents", Wait = "wait", WaitAll = "wait_all", WaitGroup = "wait_group", CommitGroup = "commit_group",
        BulkGroup = "bulk_group", Bulk = "bulk", Read = "read", Expect = "expect_tx", CompleteTx = "complete_tx", NoComplete = "noComplete",
        Init = "init", Inval = "inval", TestWait = "test_wait", TryWait = "try_wait", Parity = "parity", PendingCount = "pending_count",
        ArriveDrop = "arrive_drop", B64Count = "count", Tensor = "tensor", Dim1 = "1d", Dim2 = "2d", Dim3 = "3d", Dim4 = "4d", Dim5 = "5d",
        MbarrierBytes = "mbarrier::complete_tx::bytes", MulticastCluster = "multicast::cluster", Tile = "tile", Mbarrier = "mbarrier",
        CtaGroup1 = "cta_group::1", CtaGroup2 = "cta_group::2", MbarrierArriveOne = "mbarrier::arrive::one",
        // prmt.
        F4e = "f4e", B4e = "b4e", Rc8 = "rc8", Ecl = "ecl", Ecr = "ecr", Rc16 = "rc16",
        // Matrices.
        M8n8k4 = "m8n8k4", M8n8k16 = "m8n8k16", M8n8k32 = "m8n8k32", M8n8k128 = "m8n8k128", M16n8k4 = "m16n8k4", M16n8k8 = "m16n8k8",
        M16n8k16 = "m16n8k16", M16n8k32 = "m16n8k32", M16n8k64 = "m16n8k64", M16n8k128 = "m16n8k128", M16n8k256 = "m16n8k256",
        M16n16k16 = "m16n16k16", M8n32k16 = "m8n32k16", M32n8k16 = "m32n8k16", M16n16k8 = "m16n16k8", M8n8 = "m8n8", M16n16 = "m16n16",
        X1 = "x1", X2 = "x2", X4 = "x4", Trans = "trans", Row = "row", Col = "col", A = "a", B = "b", C = "c", D = "d",
        Load = "load", Store = "store", Mma = "mma", Fence = "fence", MmaAsync = "mma_async",
        M64n8k16 = "m64n8k16", M64n16k16 = "m64n16k16", M64n32k16 = "m64n32k16", M64n64k16 = "m64n64k16", M64n128k16 = "m64n128k16", M64n256k16 = "m64n256k16",
        Aligned16 = "16", Geom128 = "128",
        // Textures and surfaces, parsed so that the refusal names the kernel and not a token.
        Level = "level", Grad = "grad", A1d = "a1d", A2d = "a2d", Cube = "cube", Acube = "acube", Trap = "trap", Zero = "zero",
        Width = "width", Height = "height", Depth = "depth", ChannelOrder = "channel_order", ChannelDataType = "channel_data_type",
        // isspacep, fence, the rest.
        Mask = "mask", Pop = "pop", SharedSpace = "shared::all",
    }
}

/// A set of modifiers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Modifiers([u64; 4]);

impl Modifiers {
    /// Adds one.
    pub fn insert(&mut self, modifier: Modifier) {
        self.0[modifier as usize / 64] |= 1 << (modifier as usize % 64);
    }

    /// Whether it is there.
    pub fn has(&self, modifier: Modifier) -> bool {
        self.0[modifier as usize / 64] >> (modifier as usize % 64) & 1 != 0
    }

    /// The first of `candidates` that is there.
    pub fn first_of(&self, candidates: &[Modifier]) -> Option<Modifier> {
        candidates.iter().copied().find(|modifier| self.has(*modifier))
    }
}

/// A mnemonic with everything after its dots: `fma.rn.ftz.f32`.
#[derive(Clone, PartialEq, Debug)]
pub struct Mnemonic {
    /// The instruction.
    pub op: Op,
    /// Its types in the order written; most have one, `cvt` two, `mma` four.
    pub types: Vec<Type>,
    /// Its modifiers as a set.
    pub modifiers: Modifiers,
    /// Its modifiers in the order written (`mma` layouts and `set` combinations depend on it).
    pub order: Vec<Modifier>,
    /// As written.
    pub text: Box<str>,
}

impl Mnemonic {
    /// Splits and looks up; the error is the part that the tables lack.
    pub fn parse(text: &str) -> Result<Mnemonic, UnknownWord<'_>> {
        let mut words = text.split('.');
        let first = words.next().unwrap_or_default();
        let op = OPS.get(first).copied().ok_or(UnknownWord(first))?;
        let mut mnemonic = Mnemonic {
            op,
            types: Vec::new(),
            modifiers: Modifiers::default(),
            order: Vec::new(),
            text: text.into(),
        };
        for word in words {
            if let Some(ty) = Type::from_name(word) {
                mnemonic.types.push(ty);
            } else {
                let modifier = MODIFIERS.get(word).copied().ok_or(UnknownWord(word))?;
                mnemonic.modifiers.insert(modifier);
                mnemonic.order.push(modifier);
            }
        }
        Ok(mnemonic)
    }

    /// The last type written, which is that of the operands (`cvt`: of the source).
    pub fn ty(&self) -> Option<Type> {
        self.types.last().copied()
    }

    /// Whether the modifier is there.
    pub fn has(&self, modifier: Modifier) -> bool {
        self.modifiers.has(modifier)
    }

    /// Vector length by `.v2`, `.v4` or `.v8`, else 1.
    pub fn vector(&self) -> usize {
        match self.modifiers.first_of(&[Modifier::V2, Modifier::V4, Modifier::V8]) {
            Some(Modifier::V2) => 2,
            Some(Modifier::V4) => 4,
            Some(_) => 8,
            None => 1,
        }
    }
}

/// A word that neither table has.
pub struct UnknownWord<'a>(pub &'a str);

impl fmt::Display for UnknownWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The row of an instruction.
pub fn row(op: Op) -> &'static Row {
    &INSTRUCTIONS[op as usize]
}

static OPS: LazyLock<HashMap<&'static str, Op>> =
    LazyLock::new(|| INSTRUCTIONS.iter().map(|row| (row.mnemonic, row.op)).collect());
static MODIFIERS: LazyLock<HashMap<&'static str, Modifier>> =
    LazyLock::new(|| Modifier::ALL.iter().map(|modifier| (modifier.name(), *modifier)).collect());

const _: () = assert!(Modifier::ALL.len() <= 256, "Modifiers holds 256 bits");
