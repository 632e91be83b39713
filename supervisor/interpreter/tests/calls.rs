//! Device functions: parameters and results, recursion, pointers, and what goes wrong in them.

mod machine;

use interpreter::FaultKind;
use machine::{kernel, run};

/// Calls `name` with %r5 and gets %r6.
fn call(name: &str) -> String {
    format!(
        "{{ .param .b32 argument; .param .b32 result; st.param.b32 [argument], %r5;
           call.uni (result), {name}, (argument); ld.param.b32 %r6, [result]; }}"
    )
}

/// A function of one number.
fn function(name: &str, body: &str) -> String {
    format!(
        ".func (.param .b32 out) {name}(.param .b32 in) {{
            .reg .b32 %a<10>; .reg .pred %q<4>; .reg .b64 %b<4>;
            ld.param.b32 %a1, [in]; {body} st.param.b32 [out], %a2; ret; }}\n"
    )
}

#[test]
fn function_is_called_by_each_lane_with_its_own_value() {
    let mut memory = vec![0; 96];
    let text = function("triple", "mul.lo.s32 %a2, %a1, 3;")
        + &kernel(&format!("mov.u32 %r5, %r4; {} st.global.u32 [%rd2], %r6;", call("triple")));
    run(&text, 3, 32, &mut memory, 2).0.expect("no fault");
    assert!(memory.iter().enumerate().all(|(index, value)| *value == 3 * index as u32), "{memory:?}");
}

#[test]
fn function_without_a_result_may_be_called_as_if_it_had_one() {
    let mut memory = vec![0; 32];
    let text = ".visible .func store(.param .b64 where) { .reg .b64 %b<2>; .reg .b32 %a<2>; ld.param.b64 %b1, [where]; mov.u32 %a1, 42; st.u32 [%b1], %a1; ret; }\n"
        .to_owned()
        + &kernel(
            "{ .param .b64 argument; .param .b32 result; st.param.b64 [argument], %rd2; call.uni (result), store, (argument); }",
        );
    run(&text, 1, 32, &mut memory, 1).0.expect("no fault");
    assert_eq!(memory, [42; 32]);
}

#[test]
fn lanes_call_and_return_apart() {
    let mut memory = vec![0; 64];
    let early = function(
        "choose",
        "mov.u32 %a2, 7; setp.lt.u32 %q1, %a1, 10; @%q1 bra SMALL; mul.lo.s32 %a2, %a1, %a1; SMALL:",
    );
    let text = early
        + &kernel(&format!(
            "mov.u32 %r6, 1; mov.u32 %r5, %r4; setp.gt.u32 %p1, %r4, 50; @%p1 bra SKIP; {} SKIP:
             st.global.u32 [%rd2], %r6;",
            call("choose")
        ));
    run(&text, 2, 32, &mut memory, 1).0.expect("no fault");
    let expected = |n: u32| {
        if n > 50 {
            1
        } else if n < 10 {
            7
        } else {
            n * n
        }
    };
    assert!(memory.iter().enumerate().all(|(n, value)| *value == expected(n as u32)), "{memory:?}");
}

/// Fibonacci numbers by definition: lanes are at different depths, and each has its own frames.
const FIBONACCI: &str = "
.func (.param .b32 out) fib(.param .b32 in);
.func (.param .b32 out) fib(.param .b32 in) {
    .reg .b32 %a<10>; .reg .pred %q<4>;
    ld.param.b32 %a1, [in]; mov.u32 %a2, %a1;
    setp.lt.u32 %q1, %a1, 2; @%q1 bra DONE;
    sub.s32 %a3, %a1, 1; sub.s32 %a4, %a1, 2;
    { .param .b32 x; .param .b32 y; st.param.b32 [x], %a3; call.uni (y), fib, (x); ld.param.b32 %a5, [y]; }
    { .param .b32 x; .param .b32 y; st.param.b32 [x], %a4; call.uni (y), fib, (x); ld.param.b32 %a6, [y]; }
    add.s32 %a2, %a5, %a6;
    DONE: st.param.b32 [out], %a2; ret; }
";

#[test]
fn function_calls_itself() {
    let mut memory = vec![0; 32];
    let text = format!(
        "{FIBONACCI}{}",
        kernel(&format!("and.b32 %r5, %r4, 15; {} st.global.u32 [%rd2], %r6;", call("fib")))
    );
    run(&text, 1, 32, &mut memory, 1).0.expect("no fault");
    let mut expected = vec![0u32, 1];
    for n in 2..16 {
        expected.push(expected[n - 1] + expected[n - 2]);
    }
    assert!(memory.iter().enumerate().all(|(n, value)| *value == expected[n % 16]), "{memory:?}");
}

#[test]
fn endless_recursion_is_a_fault_that_names_the_function() {
    let mut memory = vec![0; 32];
    let endless = "
.func (.param .b32 out) down(.param .b32 in);
.func (.param .b32 out) down(.param .b32 in) {
    .reg .b32 %a<4>; ld.param.b32 %a1, [in];
    { .param .b32 x; .param .b32 y; st.param.b32 [x], %a1; call.uni (y), down, (x); ld.param.b32 %a2, [y]; }
    st.param.b32 [out], %a2; ret; }
";
    let text = format!("{endless}{}", kernel(&format!("mov.u32 %r5, 1; {}", call("down"))));
    let fault = run(&text, 1, 32, &mut memory, 1).0.expect_err("no stack is so deep");
    assert!(matches!(&fault.kind, FaultKind::InvalidCall(text) if text.contains("`down`")), "{fault}");
}

/// Each lane takes a function out of a table and calls it.
fn by_pointer() -> String {
    function("twice", "add.s32 %a2, %a1, %a1;")
        + &function("next", "add.s32 %a2, %a1, 1;")
        + ".visible .global .align 8 .u64 table[2] = { twice, next };\n"
        + &kernel(
            "mov.u64 %rd4, table; and.b32 %r5, %r4, 1; mul.wide.u32 %rd5, %r5, 8; add.s64 %rd4, %rd4, %rd5;
             ld.global.u64 %rd6, [%rd4]; mov.u32 %r5, %r4;
             { .param .b32 argument; .param .b32 result; st.param.b32 [argument], %r5;
               prototype: .callprototype (.param .b32 _) _ (.param .b32 _);
               call (result), %rd6, (argument), prototype; ld.param.b32 %r6, [result]; }
             st.global.u32 [%rd2], %r6;",
        )
}

#[test]
fn lanes_call_through_different_pointers() {
    let mut memory = vec![0; 64];
    run(&by_pointer(), 2, 32, &mut memory, 1).0.expect("no fault");
    let expected = |n: u32| if n.is_multiple_of(2) { 2 * n } else { n + 1 };
    assert!(memory.iter().enumerate().all(|(n, value)| *value == expected(n as u32)), "{memory:?}");
}

#[test]
fn call_through_a_wild_pointer_is_a_fault() {
    let mut memory = vec![0; 32];
    let wild = by_pointer().replace("mov.u32 %r5, %r4;", "mov.u32 %r5, %r4; mov.u64 %rd6, 12345;");
    let fault = run(&wild, 1, 32, &mut memory, 1).0.expect_err("nothing lies there");
    assert!(
        matches!(&fault.kind, FaultKind::InvalidCall(_)) && fault.instruction.contains("call"),
        "{fault}"
    );
}

#[test]
fn table_sends_lanes_to_their_labels() {
    let mut memory = vec![0; 32];
    let text = kernel(
        "labels: .branchtargets ZERO, ONE, TWO;
         rem.u32 %r5, %r4, 3; mov.u32 %r6, 0;
         brx.idx %r5, labels;
         ZERO: mov.u32 %r6, 100; bra END;
         ONE: mov.u32 %r6, 200; bra END;
         TWO: mov.u32 %r6, 300;
         END: st.global.u32 [%rd2], %r6;",
    );
    run(&text, 1, 32, &mut memory, 1).0.expect("no fault");
    assert!(memory.iter().enumerate().all(|(n, value)| *value == 100 + 100 * (n as u32 % 3)), "{memory:?}");
}

#[test]
fn parameter_can_be_read_through_its_address() {
    let mut memory = vec![0; 32];
    let text = kernel(
        "mov.b64 %rd4, memory; cvta.param.u64 %rd5, %rd4; ld.u64 %rd6, [%rd5];
         add.s64 %rd6, %rd6, %rd3; st.global.u32 [%rd6], %r4;",
    );
    run(&text, 1, 32, &mut memory, 1).0.expect("no fault");
    assert!(memory.iter().enumerate().all(|(n, value)| *value == n as u32), "{memory:?}");
}

#[test]
fn text_as_gcc_writes_it_runs() {
    let mut memory = vec![0; 32];
    // Parameters in a row and with a percent sign, functions without any, spaces behind `@`, registers that are vectors.
    let text = ".func (.param .u32 %value_out) seven;
        .func (.param .u32 %value_out) seven { .reg .u32 %value; mov.u32 %value,7; st.param.u32 [%value_out],%value; ret; }
        .func (.param .u32 %value_out) sum (.param .u64 %in_ar0, .param .u64 %in_ar1) {
            .reg .u32 %value; .reg .u64 %ar0; ld.param.u64 %ar0,[%in_ar0]; .reg .u64 %ar1; ld.param.u64 %ar1,[%in_ar1];
            add.u64 %ar0,%ar0,%ar1; cvt.u32.u64 %value,%ar0; st.param.u32 [%value_out],%value; ret; }\n"
        .to_owned()
        + &kernel(
            ".reg .u64 %R<3>; .reg .v2 .u32 %v; .reg .pred %q; cvt.u64.u32 %R0,%r4; mov.u64 %R1,100;
             { .param .u64 %P<2>; st.param.u64 [%P0],%R0; st.param.u64 [%P1],%R1; .param .u32 %value_in;
               call.uni (%value_in),sum,(%P0,%P1); ld.param.u32 %v.x,[%value_in]; }
             { .param .u32 %value_in; call (%value_in),seven; ld.param.u32 %v.y,[%value_in]; }
             setp.lt.u32 %q,%r4,16; @ ! %q bra $L1; add.u32 %v.x,%v.x,%v.y; $L1: st.global.u32 [%rd2],%v.x;",
        );
    run(&text, 1, 32, &mut memory, 1).0.expect("no fault");
    assert!(
        memory.iter().enumerate().all(|(n, value)| *value == 100 + n as u32 + if n < 16 { 7 } else { 0 }),
        "{memory:?}"
    );
}
