//! Objects of LLVM, loaded and run; and damaged ones.

use code_memory::{Code, Error};
use llvm::{Target, compile};

fn object(ir: &str) -> Vec<u8> {
    compile(ir, &Target::avx2()).expect("an object")
}

fn load(ir: &str) -> Code {
    Code::load(&object(ir), &|_| None).expect("code")
}

/// The function `name` of `code`, as a pointer of the type `$type`, which the text above the call declares.
macro_rules! function {
    ($code:expr, $name:expr, $type:ty) => {{
        let address = $code.function($name).expect("a function of that name");
        // SAFETY: the object defines it with these parameters, and `$code` outlives the calls.
        unsafe { std::mem::transmute::<*const (), $type>(address) }
    }};
}

#[test]
fn vectors_and_constants_compute() {
    // The vector of constants goes to .rodata.cst32, and the multiplication and addition become one vfmadd.
    let code = load(
        "define void @f(ptr %x, ptr %y) {\n  %a = load <8 x float>, ptr %x, align 4\n  %b = load <8 x float>, ptr %y, align 4\n  \
         %r = call <8 x float> @llvm.fma.v8f32(<8 x float> %a, <8 x float> <float 1.0, float 2.0, float 3.0, float 4.0, \
         float 5.0, float 6.0, float 7.0, float 8.0>, <8 x float> %b)\n  store <8 x float> %r, ptr %y, align 4\n  ret void\n}\n\
         declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)\n",
    );
    let f = function!(code, "f", extern "C" fn(*const f32, *mut f32));
    let (x, mut y) = ([0.5f32; 8], [1.0f32; 8]);
    f(x.as_ptr(), y.as_mut_ptr());
    assert_eq!(y, [1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]);
}

#[test]
fn jump_table_leads_to_every_case() {
    // The cases do different things, so that the switch becomes a table of addresses and not one of results.
    let cases: String = (0..8).map(|case| format!("    i32 {case}, label %case{case}\n")).collect();
    let blocks: String = (0..8)
        .map(|case| format!("case{case}:\n  store volatile i32 {case}, ptr %p\n  %r{case} = load volatile i32, ptr %p\n  ret i32 %r{case}\n"))
        .collect();
    let ir = format!(
        "define i32 @f(i32 %x, ptr %p) {{\n  switch i32 %x, label %other [\n{cases}  ]\nother:\n  ret i32 -1\n{blocks}}}\n"
    );
    let bytes = object(&ir);
    assert!(bytes.windows(12).any(|window| window == b".rela.rodata"), "there is a table");
    let code = Code::load(&bytes, &|_| None).expect("code");
    let f = function!(code, "f", extern "C" fn(i32, *mut i32) -> i32);
    let mut place = 0;
    for case in 0..8 {
        assert_eq!(f(case, &mut place), case);
    }
    assert_eq!(f(8, &mut place), -1);
}

extern "C" fn twice(x: i32) -> i32 {
    2 * x
}

static SEVEN: i32 = 7;

fn externals(name: &str) -> Option<*const ()> {
    match name {
        "twice" => Some(twice as *const ()),
        "seven" => Some((&raw const SEVEN).cast()),
        _ => None,
    }
}

const WITH_EXTERNALS: &str = "declare i32 @twice(i32)\n@seven = external constant i32\n@table = constant [2 x ptr] [ptr @twice, ptr @local]\n\
    define internal i32 @local(i32 %x) noinline {\n  %r = mul i32 %x, 3\n  ret i32 %r\n}\n\
    define i32 @called(i32 %x) {\n  %a = call i32 @twice(i32 %x)\n  %r = add i32 %a, 1\n  ret i32 %r\n}\n\
    define i32 @data() {\n  %r = load i32, ptr @seven\n  ret i32 %r\n}\n\
    define ptr @address() {\n  ret ptr @twice\n}\n\
    define i32 @through(i64 %i, i32 %x) {\n  %p = getelementptr [2 x ptr], ptr @table, i64 0, i64 %i\n  %f = load ptr, ptr %p\n  \
    %r = call i32 %f(i32 %x)\n  ret i32 %r\n}\n";

#[test]
fn externals_are_called_read_and_pointed_to() {
    let code = Code::load(&object(WITH_EXTERNALS), &externals).expect("code");
    assert_eq!(function!(code, "called", extern "C" fn(i32) -> i32)(20), 41);
    assert_eq!(function!(code, "data", extern "C" fn() -> i32)(), 7);
    assert_eq!(function!(code, "address", extern "C" fn() -> *const ())(), twice as *const ());
    let through = function!(code, "through", extern "C" fn(i64, i32) -> i32);
    assert_eq!((through(0, 5), through(1, 5)), (10, 15));
    assert_eq!(code.functions().collect::<Vec<_>>(), ["address", "called", "data", "through"]);
}

#[test]
fn unknown_external_is_named() {
    let error = Code::load(&object(WITH_EXTERNALS), &|name| externals(name).filter(|_| name != "twice"));
    assert!(matches!(error, Err(Error::External(name)) if name == "twice"));
}

#[test]
fn variables_are_refused() {
    let ir = "@counter = global i32 0\ndefine ptr @f() {\n  ret ptr @counter\n}\n";
    assert!(
        matches!(Code::load(&object(ir), &|_| None), Err(Error::Writable(name)) if name.starts_with(".bss"))
    );
}

#[test]
fn other_files_are_refused() {
    assert!(matches!(Code::load(b"not an object", &|_| None), Err(Error::Read(_))));
    let mut executable = object(WITH_EXTERNALS);
    executable[16] = 2; // e_type: ET_EXEC
    assert!(matches!(Code::load(&executable, &externals), Err(Error::Kind(_))));
}

#[test]
fn no_page_is_writable_and_executable() {
    let code = Code::load(&object(WITH_EXTERNALS), &externals).expect("code");
    let address = code.function("called").expect("a function").addr();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut own = maps.lines().filter(|line| {
        let bounds = line.split([' ', '-']).take(2).map(|bound| usize::from_str_radix(bound, 16).unwrap());
        let bounds: Vec<_> = bounds.collect();
        (bounds[0]..bounds[1]).contains(&address)
    });
    assert!(own.next().expect("the code's mapping").contains(" r-xp "));
}

#[test]
fn unmapped_when_dropped() {
    let code = load("define void @f() {\n  ret void\n}\n");
    let page = code.function("f").expect("a function").addr() & !4095;
    let mapped = |page: usize| {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines()
            .any(|line| line.contains("r-xp 00000000 00:00 0") && line.starts_with(&format!("{page:x}-")))
    };
    assert!(mapped(page));
    drop(code);
    assert!(!mapped(page));
}

#[test]
fn damaged_objects_give_errors_or_other_code() {
    // Every byte of the tables, changed in two ways, and every length. What loads is not run.
    let whole = object(WITH_EXTERNALS);
    let mut refused = 0;
    for length in 0..whole.len() {
        refused += u32::from(Code::load(&whole[..length], &externals).is_err());
    }
    assert_eq!(refused as usize, whole.len(), "the section headers are at the end, so a part is no object");
    let mut refused = 0;
    for index in 0..whole.len() {
        for change in [0xff, 0x01] {
            let mut damaged = whole.clone();
            damaged[index] ^= change;
            refused += u32::from(Code::load(&damaged, &externals).is_err());
        }
    }
    assert!(refused > 500, "{refused} of {} changes were noticed", 2 * whole.len());
}
