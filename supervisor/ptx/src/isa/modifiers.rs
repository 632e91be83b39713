//! Modifiers: the words behind the dots that are neither types nor shapes.

use crate::types::tokens;
use std::fmt;

tokens! {
    /// A modifier of an instruction that is not a scalar type.
    Modifier {
        // Rounding.
        Rn = "rn", Rz = "rz", Rm = "rm", Rp = "rp", Rna = "rna", Rs = "rs",
        Rni = "rni", Rzi = "rzi", Rmi = "rmi", Rpi = "rpi",
        Ftz = "ftz", Sat = "sat", Satfinite = "satfinite", Approx = "approx", Full = "full", Relu = "relu",
        NaN = "NaN", XorSign = "xorsign", AbsModifier = "abs", Oob = "oob", Pack = "pack",
        // Integer forms.
        Lo = "lo", Hi = "hi", Wide = "wide", Cc = "cc", ShiftAmt = "shiftamt", L = "l", R = "r", Clamp = "clamp", Wrap = "wrap",
        Po = "po", Shr7 = "shr7", Shr15 = "shr15",
        // Comparison; the logical ones double as combination and as atomic operation.
        Eq = "eq", Ne = "ne", Lt = "lt", Le = "le", Gt = "gt", Ge = "ge", Ls = "ls", Hs = "hs",
        Equ = "equ", Neu = "neu", Ltu = "ltu", Leu = "leu", Gtu = "gtu", Geu = "geu", Num = "num", Nan = "nan",
        And = "and", Or = "or", Xor = "xor", Popc = "popc",
        // testp.
        Finite = "finite", Infinite = "infinite", Number = "number", NotANumber = "notanumber", Normal = "normal", Subnormal = "subnormal",
        // Spaces and where the access goes.
        Global = "global", Shared = "shared", SharedCta = "shared::cta", SharedCluster = "shared::cluster", Local = "local",
        Const = "const", Param = "param", ParamEntry = "param::entry", ParamFunc = "param::func", To = "to",
        // Cache operators and hints.
        Ca = "ca", Cg = "cg", Cs = "cs", Lu = "lu", Cv = "cv", Wb = "wb", Wt = "wt", Nc = "nc",
        L1EvictNormal = "L1::evict_normal", L1EvictUnchanged = "L1::evict_unchanged", L1EvictFirst = "L1::evict_first",
        L1EvictLast = "L1::evict_last", L1NoAllocate = "L1::no_allocate", L2EvictLast = "L2::evict_last",
        L2EvictNormal = "L2::evict_normal", L2EvictFirst = "L2::evict_first", L2EvictUnchanged = "L2::evict_unchanged",
        L2CacheHint = "L2::cache_hint", L2Size64 = "L2::64B", L2Size128 = "L2::128B", L2Size256 = "L2::256B",
        L1 = "L1", L2 = "L2", Fractional = "fractional", Range = "range", CvtPolicy = "cvt",
        // Memory order and scope.
        Weak = "weak", Volatile = "volatile", Relaxed = "relaxed", Acquire = "acquire", Release = "release", AcqRel = "acq_rel",
        Sc = "sc", Mmio = "mmio", Cta = "cta", Cluster = "cluster", Gpu = "gpu", Sys = "sys", Gl = "gl", Proxy = "proxy",
        Alias = "alias", Async = "async", MbarrierInit = "mbarrier_init", AsyncGeneric = "async::generic",
        TensorMap = "tensormap", TensorMapGeneric = "tensormap::generic",
        SyncRestrictSharedCta = "sync_restrict::shared::cta", SyncRestrictSharedCluster = "sync_restrict::shared::cluster",
        // Vectors.
        V2 = "v2", V4 = "v4", V8 = "v8",
        // Atomic operations.
        Exch = "exch", Cas = "cas", Add = "add", Inc = "inc", Dec = "dec", Min = "min", Max = "max", Noftz = "noftz",
        // Warp and block.
        Sync = "sync", Arrive = "arrive", Red = "red", Warp = "warp", Aligned = "aligned", Uni = "uni", Idx = "idx",
        Up = "up", Down = "down", Bfly = "bfly", All = "all", Any = "any", Ballot = "ballot",
        LaunchDependents = "launch_dependents", Wait = "wait", WaitAll = "wait_all", WaitGroup = "wait_group", CommitGroup = "commit_group",
        // Asynchronous copies and barrier objects.
        Bulk = "bulk", BulkGroup = "bulk_group", Read = "read", Reduce = "reduce", PrefetchCopy = "prefetch", CpMask = "cp_mask", NoInc = "noinc", IgnoreOob = "ignore_oob",
        Mbarrier = "mbarrier", MbarrierBytes = "mbarrier::complete_tx::bytes", MbarrierArriveOne = "mbarrier::arrive::one",
        Init = "init", Inval = "inval", Expect = "expect_tx", CompleteTx = "complete_tx", NoComplete = "noComplete",
        TestWait = "test_wait", TryWait = "try_wait", Parity = "parity", PendingCount = "pending_count", ArriveDrop = "arrive_drop",
        MulticastCluster = "multicast::cluster", MulticastAll = "multicast::cluster::all",
        TryCancel = "try_cancel", QueryCancel = "query_cancel", IsCanceled = "is_canceled", FirstCtaid = "get_first_ctaid",
        FirstCtaidX = "get_first_ctaid::x", FirstCtaidY = "get_first_ctaid::y", FirstCtaidZ = "get_first_ctaid::z",
        // Tensors and their maps.
        Tensor = "tensor", Dim1 = "1d", Dim2 = "2d", Dim3 = "3d", Dim4 = "4d", Dim5 = "5d",
        Tile = "tile", TileGather4 = "tile::gather4", TileScatter4 = "tile::scatter4", Im2col = "im2col", Im2colW = "im2col::w",
        Im2colW128 = "im2col::w::128", Im2colNoOffsets = "im2col_no_offs", Replace = "replace", CpFenceProxy = "cp_fenceproxy",
        GlobalAddress = "global_address", Rank = "rank", ElementType = "elemtype", InterleaveLayout = "interleave_layout",
        SwizzleMode = "swizzle_mode", SwizzleAtomicity = "swizzle_atomicity", FillMode = "fill_mode", BoxDim = "box_dim",
        GlobalDim = "global_dim", GlobalStride = "global_stride", ElementStride = "element_stride",
        // prmt.
        F4e = "f4e", B4e = "b4e", Rc8 = "rc8", Ecl = "ecl", Ecr = "ecr", Rc16 = "rc16",
        // Matrices.
        X1 = "x1", X2 = "x2", X4 = "x4", X8 = "x8", X16 = "x16", X32 = "x32", X64 = "x64", X128 = "x128",
        Trans = "trans", Row = "row", Col = "col", A = "a", B = "b", C = "c", D = "d", G = "g", P = "p",
        Load = "load", Store = "store", Mma = "mma", Fence = "fence", MmaAsync = "mma_async",
        Sp = "sp", SpOrdered = "sp::ordered_metadata", BlockScale = "block_scale",
        KindF8f6f4 = "kind::f8f6f4", KindMxf4 = "kind::mxf4", KindMxf4nvf4 = "kind::mxf4nvf4", KindMxf8f6f4 = "kind::mxf8f6f4",
        KindF16 = "kind::f16", KindTf32 = "kind::tf32", KindI8 = "kind::i8",
        ScaleVec1 = "scale_vec::1X", ScaleVec2 = "scale_vec::2X", ScaleVec4 = "scale_vec::4X", Block16 = "block16", Block32 = "block32",
        LdReduce = "ld_reduce", St = "st", Ld = "ld", AccF32 = "acc::f32", AccF16 = "acc::f16",
        // Tensor memory.
        CtaGroup1 = "cta_group::1", CtaGroup2 = "cta_group::2", Alloc = "alloc", Dealloc = "dealloc",
        RelinquishAllocPermit = "relinquish_alloc_permit", Commit = "commit", Shift = "shift", Cp = "cp", Ws = "ws", Ashift = "ashift",
        FenceBefore = "fence::before_thread_sync", FenceAfter = "fence::after_thread_sync", WaitLd = "wait::ld", WaitSt = "wait::st",
        S128x256b = "128x256b", S4x256b = "4x256b", S128x128b = "128x128b", S64x128b = "64x128b", S32x128b = "32x128b",
        S16x64b = "16x64b", S16x128b = "16x128b", S16x256b = "16x256b", S32x32b = "32x32b", S16x32bx2 = "16x32bx2",
        WarpX2Interleaved = "warpx2::02_13", WarpX2 = "warpx2::01_23", WarpX4 = "warpx4", Pack16 = "pack::16b", Unpack16 = "unpack::16b",
        CollectAFill = "collector::a::fill", CollectAUse = "collector::a::use", CollectALastUse = "collector::a::lastuse", CollectADiscard = "collector::a::discard",
        CollectB0Fill = "collector::b0::fill", CollectB0Use = "collector::b0::use", CollectB0LastUse = "collector::b0::lastuse", CollectB0Discard = "collector::b0::discard",
        CollectB1Fill = "collector::b1::fill", CollectB1Use = "collector::b1::use", CollectB1LastUse = "collector::b1::lastuse", CollectB1Discard = "collector::b1::discard",
        CollectB2Fill = "collector::b2::fill", CollectB2Use = "collector::b2::use", CollectB2LastUse = "collector::b2::lastuse", CollectB2Discard = "collector::b2::discard",
        CollectB3Fill = "collector::b3::fill", CollectB3Use = "collector::b3::use", CollectB3LastUse = "collector::b3::lastuse", CollectB3Discard = "collector::b3::discard",
        // Textures and surfaces.
        Base = "base", Level = "level", Grad = "grad", A1d = "a1d", A2d = "a2d", Cube = "cube", Acube = "acube", Samples2d = "2dms", SamplesA2d = "a2dms",
        Trap = "trap", Zero = "zero", Width = "width", Height = "height", Depth = "depth", ChannelOrder = "channel_order",
        ChannelDataType = "channel_data_type", NormalizedCoords = "normalized_coords", ArraySize = "array_size",
        MipmapLevels = "num_mipmap_levels", SampleCount = "num_samples", MemoryLayout = "memory_layout",
        ForceUnnormalized = "force_unnormalized_coords", FilterMode = "filter_mode",
        AddressMode0 = "addr_mode_0", AddressMode1 = "addr_mode_1", AddressMode2 = "addr_mode_2",
        Mask = "mask",
    }
}

impl Modifier {
    /// Whether its place says which operand it speaks of: `cp.async.shared.global` copies the other way than
    /// `cp.async.global.shared` would.
    pub fn is_ordered(self) -> bool {
        use Modifier::*;
        matches!(
            self,
            Row | Col
                | Global
                | Shared
                | SharedCta
                | SharedCluster
                | L2EvictFirst
                | L2EvictLast
                | L2EvictNormal
                | L2EvictUnchanged
        )
    }
}

const WORDS: usize = 6;
const _: () = assert!(Modifier::ALL.len() <= WORDS * 64, "a set holds one bit for each modifier");

/// A set of modifiers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Modifiers([u64; WORDS]);

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

    /// Whether every one of them is in `other` too.
    pub fn within(&self, other: &Modifiers) -> bool {
        self.0.iter().zip(&other.0).all(|(mine, others)| mine & !others == 0)
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        *self == Modifiers::default()
    }
}

/// The dimensions of a matrix operation: `m16n8k16`, or `m8n8` with a `k` of 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of the result.
    pub m: u32,
    /// Columns of the result.
    pub n: u32,
    /// What is summed over.
    pub k: u32,
}

impl Shape {
    /// The shape spelled so, if it is one.
    pub fn from_name(name: &str) -> Option<Shape> {
        let (m, rest) = name.strip_prefix('m')?.split_once('n')?;
        let (n, k) = rest.split_once('k').unwrap_or((rest, "0"));
        let number = |text: &str| {
            let plain = !text.starts_with(['0', '+']) || text == "0";
            text.parse::<u32>().ok().filter(|value| plain && *value <= 256)
        };
        Some(Shape { m: number(m)?, n: number(n)?, k: number(k)? })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}n{}", self.m, self.n)?;
        if self.k == 0 { Ok(()) } else { write!(f, "k{}", self.k) }
    }
}
