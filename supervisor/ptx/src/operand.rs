//! Operands of instructions.

use crate::body::{LabelId, RegisterId};
use crate::constant::Constant;

/// An operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A register.
    Register(RegisterId),
    /// `!p`.
    NotRegister(RegisterId),
    /// `d|p`: two destinations, either may be `_`.
    Pair(Option<RegisterId>, Option<RegisterId>),
    /// `_`: the result is not wanted.
    Sink,
    /// A number.
    Constant(Constant),
    /// A special register.
    Special(Special),
    /// `r.b0`: part of a register, in video instructions.
    Part(RegisterId, Box<str>),
    /// `-r`, `-r.b0`: in a product of video instructions.
    Negated(Box<Operand>),
    /// `{a, b, …}`.
    Vector(Vec<Operand>),
    /// `{a, b, …}|p`: texels, and a predicate that says whether they were in memory.
    Texel(Vec<Operand>, Option<RegisterId>),
    /// `(a, b, …)` of a call.
    List(Vec<Operand>),
    /// `[base+offset]`.
    Address {
        /// What the offset is added to.
        base: AddressBase,
        /// Bytes.
        offset: i64,
        /// What follows a comma inside the brackets (coordinates).
        extra: Vec<Operand>,
    },
    /// The address of a variable of this function.
    Variable(u32, i64),
    /// The address of a module-level variable or function, or the name of a table.
    Symbol(Box<str>, i64),
    /// The target of a branch.
    Label(LabelId),
}

/// The base of an address.
#[derive(Clone, Debug, PartialEq)]
pub enum AddressBase {
    /// A register.
    Register(RegisterId),
    /// A variable of this function: index into [`crate::Body::variables`].
    Variable(u32),
    /// A module-level variable.
    Global(Box<str>),
    /// A number.
    Absolute(u64),
}

macro_rules! specials {
    ($($variant:ident $text:literal;)*) => {
        /// A special register (PTX ISA 10); vectors appear by component.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Special { $(#[doc = concat!("`%", $text, "`")] $variant),* }

        impl Special {
            /// Looks up a name without `%` and a component such as `.x`, or nothing.
            pub fn from_name(name: &str, component: &str) -> Option<Special> {
                let whole = [name, component].concat();
                Some(match whole.as_str() { $($text => Special::$variant,)* _ => return None })
            }

            /// The spelling without `%`.
            pub fn name(self) -> &'static str {
                match self { $(Special::$variant => $text),* }
            }
        }
    };
}

specials! {
    TidX "tid.x"; TidY "tid.y"; TidZ "tid.z"; TidW "tid.w";
    NtidX "ntid.x"; NtidY "ntid.y"; NtidZ "ntid.z"; NtidW "ntid.w";
    CtaidX "ctaid.x"; CtaidY "ctaid.y"; CtaidZ "ctaid.z"; CtaidW "ctaid.w";
    NctaidX "nctaid.x"; NctaidY "nctaid.y"; NctaidZ "nctaid.z"; NctaidW "nctaid.w";
    ClusterIdX "clusterid.x"; ClusterIdY "clusterid.y"; ClusterIdZ "clusterid.z";
    NclusterIdX "nclusterid.x"; NclusterIdY "nclusterid.y"; NclusterIdZ "nclusterid.z";
    ClusterCtaidX "cluster_ctaid.x"; ClusterCtaidY "cluster_ctaid.y"; ClusterCtaidZ "cluster_ctaid.z";
    ClusterNctaidX "cluster_nctaid.x"; ClusterNctaidY "cluster_nctaid.y"; ClusterNctaidZ "cluster_nctaid.z";
    ClusterCtarank "cluster_ctarank"; ClusterNctarank "cluster_nctarank"; IsExplicitCluster "is_explicit_cluster";
    LaneId "laneid"; WarpId "warpid"; NwarpId "nwarpid"; SmId "smid"; NsmId "nsmid"; GridId "gridid";
    LanemaskEq "lanemask_eq"; LanemaskLe "lanemask_le"; LanemaskLt "lanemask_lt"; LanemaskGe "lanemask_ge"; LanemaskGt "lanemask_gt";
    Clock "clock"; ClockHi "clock_hi"; Clock64 "clock64";
    GlobalTimer "globaltimer"; GlobalTimerLo "globaltimer_lo"; GlobalTimerHi "globaltimer_hi";
    TotalSmemSize "total_smem_size"; DynamicSmemSize "dynamic_smem_size"; AggrSmemSize "aggr_smem_size";
    CurrentGraphExec "current_graph_exec"; Envreg0 "envreg0"; Envreg1 "envreg1"; Envreg2 "envreg2"; Envreg3 "envreg3";
    Envreg4 "envreg4"; Envreg5 "envreg5"; Envreg6 "envreg6"; Envreg7 "envreg7";
    ReservedSmemBegin "reserved_smem_offset_begin"; ReservedSmemEnd "reserved_smem_offset_end"; ReservedSmemCap "reserved_smem_offset_cap";
    ReservedSmem0 "reserved_smem_offset_0"; ReservedSmem1 "reserved_smem_offset_1";
    Pm0 "pm0"; Pm1 "pm1"; Pm2 "pm2"; Pm3 "pm3"; Pm4 "pm4"; Pm5 "pm5"; Pm6 "pm6"; Pm7 "pm7";
    Pm0Wide "pm0_64"; Pm1Wide "pm1_64"; Pm2Wide "pm2_64"; Pm3Wide "pm3_64";
    Pm4Wide "pm4_64"; Pm5Wide "pm5_64"; Pm6Wide "pm6_64"; Pm7Wide "pm7_64";
    Envreg8 "envreg8"; Envreg9 "envreg9"; Envreg10 "envreg10"; Envreg11 "envreg11"; Envreg12 "envreg12"; Envreg13 "envreg13";
    Envreg14 "envreg14"; Envreg15 "envreg15"; Envreg16 "envreg16"; Envreg17 "envreg17"; Envreg18 "envreg18"; Envreg19 "envreg19";
    Envreg20 "envreg20"; Envreg21 "envreg21"; Envreg22 "envreg22"; Envreg23 "envreg23"; Envreg24 "envreg24"; Envreg25 "envreg25";
    Envreg26 "envreg26"; Envreg27 "envreg27"; Envreg28 "envreg28"; Envreg29 "envreg29"; Envreg30 "envreg30"; Envreg31 "envreg31";
}
