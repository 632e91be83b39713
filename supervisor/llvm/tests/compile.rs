//! Text in, object or error out.

use llvm::{Error, Target, compile};

const ADD: &str = "define i32 @add(i32 %a, i32 %b) {\n  %sum = add i32 %a, %b\n  ret i32 %sum\n}\n";

fn error_of(ir: &str) -> Error {
    compile(ir, &Target::avx2()).expect_err("an error")
}

#[test]
fn valid_text_becomes_an_elf_object() {
    for target in [Target::avx2(), Target::host(), Target::avx2().with_passes("")] {
        let object = compile(ADD, &target).expect("an object");
        assert_eq!(&object[..4], b"\x7fELF");
        assert!(
            object.windows(4).any(|bytes| bytes == b"\0add"),
            "the function's name is in the string table"
        );
    }
}

#[test]
fn text_that_does_not_parse_is_refused_with_its_line() {
    let error = error_of(&ADD.replace("add i32 %a", "frobnicate i32 %a"));
    assert!(matches!(&error, Error::Parse(message) if message.contains(":2:")), "{error}");
}

#[test]
fn invalid_module_is_refused_with_its_line() {
    let error = error_of(
        "define i32 @f(i1 %c) {\nstart:\n  br i1 %c, label %left, label %right\nleft:\n  %x = add i32 1, 2\n  br label %right\n\
         right:\n  ret i32 %x\n}\n",
    );
    assert!(
        matches!(&error, Error::Verify { lines, message } if *lines == [5, 8] && message.contains("dominate")),
        "{error}"
    );
}

#[test]
fn unknown_pass_is_refused_by_name() {
    let target = Target::avx2().with_passes("no-such-pass");
    let error = compile(ADD, &target).expect_err("an error");
    assert!(matches!(&error, Error::Passes(message) if message.contains("no-such-pass")), "{error}");
}

#[test]
fn fatal_error_ends_the_compilation_only() {
    // The code generator has no lowering for this and says so by a fatal error.
    let error = error_of(
        "declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()\ndefine i32 @f() {\n  %x = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()\n  \
         ret i32 %x\n}\n",
    );
    assert!(matches!(&error, Error::Fatal(_)), "{error}");
    compile(ADD, &Target::avx2()).expect("the next compilation works");
}

#[test]
fn what_the_code_generator_reports_is_an_error() {
    let error = error_of(
        "define void @f() {\n  call void asm sideeffect \"nop\", \"{nosuchregister}\"(i32 0)\n  ret void\n}\n",
    );
    assert!(matches!(&error, Error::Emit(message) if message.contains("nosuchregister")), "{error}");
}

#[test]
fn features_are_those_of_the_target() {
    let target = Target::avx2();
    assert!(target.has("avx2") && target.has("f16c") && !target.has("avx512f"));
    // The engine refuses machines without it, and so do the tests.
    assert!(Target::host().has("avx2"));
    assert!(target.identity().starts_with("LLVM 19.1.") && target.identity().contains("+f16c"));
    assert_ne!(target.identity(), target.clone().with_level(llvm::Level::None).identity());
}

#[test]
fn compilations_run_side_by_side() {
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| compile(ADD, &Target::host()))).collect();
    let objects: Vec<_> =
        threads.into_iter().map(|thread| thread.join().unwrap().expect("an object")).collect();
    assert!(objects.iter().all(|object| *object == objects[0]), "the same text gives the same bytes");
}
