//! Functions of CUDA's device runtime that kernels may call, written in PTX: what `libcudadevrt.a` holds as machine code.
//!
//! Today the cooperative groups' (`cuda_device_runtime_api.h`): the handle of a grid is its workspace, which a cooperative
//! launch puts into `%envreg1` and `%envreg2`; 0 in any other launch. A word behind the workspace's first counts arrivals, its
//! top bit flips each time all blocks have met.

/// Parameters and body of the barrier. The first block adds what makes the top bit flip once all others have added their 1.
macro_rules! synchronize {
    () => {
        "(.param .b64 handle, .param .b32 flags) {
            .reg .b32 %r<12>; .reg .b64 %rd<3>; .reg .pred %p<4>;
            ld.param.u64 %rd1, [handle];
            mov.u32 %r1, 1;
            setp.eq.u64 %p1, %rd1, 0; @%p1 bra DONE;
            bar.sync 0;
            mov.u32 %r2, %tid.x; mov.u32 %r3, %tid.y; mov.u32 %r4, %tid.z; or.b32 %r2, %r2, %r3; or.b32 %r2, %r2, %r4;
            setp.ne.u32 %p1, %r2, 0; @%p1 bra MEET;
            mov.u32 %r2, %nctaid.x; mov.u32 %r3, %nctaid.y; mul.lo.u32 %r2, %r2, %r3; mov.u32 %r3, %nctaid.z; mul.lo.u32 %r2, %r2, %r3;
            mov.u32 %r3, 0x80000001; sub.u32 %r2, %r3, %r2;
            mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ctaid.y; mov.u32 %r5, %ctaid.z; or.b32 %r3, %r3, %r4; or.b32 %r3, %r3, %r5;
            setp.eq.u32 %p2, %r3, 0; selp.b32 %r6, %r2, 1, %p2;
            membar.gl;
            atom.add.u32 %r7, [%rd1+4], %r6;
            AGAIN: ld.volatile.u32 %r8, [%rd1+4];
            xor.b32 %r9, %r7, %r8; setp.ge.s32 %p3, %r9, 0; @%p3 bra AGAIN;
            membar.gl;
            MEET: bar.sync 0;
            mov.u32 %r1, 0;
            DONE: st.param.b32 [result], %r1; ret; }"
    };
}

/// Name and text of each.
const FUNCTIONS: &[(&str, &str)] = &[
    (
        "cudaCGGetIntrinsicHandle",
        ".visible .func (.param .b64 result) cudaCGGetIntrinsicHandle(.param .b32 scope) {
            .reg .b32 %r<4>; .reg .b64 %rd<2>; .reg .pred %p;
            ld.param.u32 %r1, [scope];
            setp.eq.u32 %p, %r1, 1;
            mov.u32 %r2, %envreg1; mov.u32 %r3, %envreg2;
            mov.b64 %rd1, {%r3, %r2};
            selp.b64 %rd1, %rd1, 0, %p;
            st.param.b64 [result], %rd1; ret; }",
    ),
    ("cudaCGSynchronize", concat!(".visible .func (.param .b32 result) cudaCGSynchronize", synchronize!())),
    ("cudaCGSynchronizeGrid", concat!(".visible .func (.param .b32 result) cudaCGSynchronizeGrid", synchronize!())),
    (
        "cudaCGGetSize",
        ".visible .func (.param .b32 result) cudaCGGetSize(.param .b64 threads, .param .b64 grids, .param .b64 handle) {
            .reg .b32 %r<8>; .reg .b64 %rd<3>; .reg .pred %p;
            ld.param.u64 %rd1, [threads]; ld.param.u64 %rd2, [grids];
            mov.u32 %r1, %ntid.x; mov.u32 %r2, %ntid.y; mul.lo.u32 %r1, %r1, %r2; mov.u32 %r2, %ntid.z; mul.lo.u32 %r1, %r1, %r2;
            mov.u32 %r2, %nctaid.x; mul.lo.u32 %r1, %r1, %r2; mov.u32 %r2, %nctaid.y; mul.lo.u32 %r1, %r1, %r2;
            mov.u32 %r2, %nctaid.z; mul.lo.u32 %r1, %r1, %r2;
            mov.u32 %r3, 1; mov.u32 %r4, 0;
            setp.ne.u64 %p, %rd1, 0; @%p st.u32 [%rd1], %r1;
            setp.ne.u64 %p, %rd2, 0; @%p st.u32 [%rd2], %r3;
            st.param.b32 [result], %r4; ret; }",
    ),
    (
        "cudaCGGetRank",
        ".visible .func (.param .b32 result) cudaCGGetRank(.param .b64 thread, .param .b64 grid, .param .b64 handle) {
            .reg .b32 %r<8>; .reg .b64 %rd<3>; .reg .pred %p;
            ld.param.u64 %rd1, [thread]; ld.param.u64 %rd2, [grid];
            mov.u32 %r1, %ctaid.z; mov.u32 %r2, %nctaid.y; mov.u32 %r3, %ctaid.y; mad.lo.u32 %r1, %r1, %r2, %r3;
            mov.u32 %r2, %nctaid.x; mov.u32 %r3, %ctaid.x; mad.lo.u32 %r1, %r1, %r2, %r3;
            mov.u32 %r2, %ntid.z; mov.u32 %r3, %tid.z; mad.lo.u32 %r1, %r1, %r2, %r3;
            mov.u32 %r2, %ntid.y; mov.u32 %r3, %tid.y; mad.lo.u32 %r1, %r1, %r2, %r3;
            mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.u32 %r1, %r1, %r2, %r3;
            mov.u32 %r4, 0;
            setp.ne.u64 %p, %rd1, 0; @%p st.u32 [%rd1], %r1;
            setp.ne.u64 %p, %rd2, 0; @%p st.u32 [%rd2], %r4;
            st.param.b32 [result], %r4; ret; }",
    ),
];

/// A module with those of the functions that `wanted` names; `None` if it names none.
pub fn module(wanted: &[&str]) -> Option<String> {
    let texts: Vec<&str> =
        FUNCTIONS.iter().filter(|(name, _)| wanted.contains(name)).map(|(_, text)| *text).collect();
    let head = ".version 6.0\n.target sm_50\n.address_size 64\n".to_owned();
    (!texts.is_empty()).then(|| head + &texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_defines_its_name() {
        for (name, _) in FUNCTIONS {
            let declaration = format!(".extern .func {name} ();");
            assert_eq!(ptx_join::undefined(&declaration), [*name]);
            let text = declaration + &module(&[name]).expect("it is there");
            assert!(ptx_join::undefined(&text).is_empty(), "{name}");
        }
        assert_eq!(module(&["vprintf"]), None);
    }
}
