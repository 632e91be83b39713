//! Lines of `routines.txt`, and the Rust of the functions that they stand for.

use std::fmt::Write;

/// One line.
pub struct Row<'a> {
    routine: &'a str,
    name: &'a str,
    letters: Vec<&'a str>,
    arguments: Vec<&'a str>,
}

/// One exported function.
pub struct Function<'a> {
    pub name: String,
    routine: &'a str,
    letter: &'a str,
    arguments: &'a [&'a str],
}

/// The lines that are not comments.
pub fn parse(text: &str) -> impl Iterator<Item = Row<'_>> {
    text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).map(|line| {
        let mut words = line.split_whitespace();
        let mut next = || words.next().unwrap_or_else(|| panic!("`{line}` has too few words"));
        let (routine, name, letters) = (next(), next(), next().split(',').collect());
        Row { routine, name, letters, arguments: words.collect() }
    })
}

impl<'a> Row<'a> {
    pub fn functions(&'a self) -> impl Iterator<Item = Function<'a>> {
        self.letters.iter().map(|letter| Function {
            name: self.name.replace('?', letter),
            routine: self.routine,
            letter,
            arguments: &self.arguments,
        })
    }
}

/// Element types of the three places, of the arithmetic and of scalars, and the real type beside it.
fn elements(letter: &str) -> ([&'static str; 3], &'static str, &'static str, &'static str) {
    match letter {
        "S" | "s" => (["F32"; 3], "F32", "F32", "F32"),
        "D" | "d" => (["F64"; 3], "F64", "F64", "F64"),
        "C" | "c" | "Sc" => (["C32"; 3], "C32", "C32", "F32"),
        "Z" | "z" | "Dz" => (["C64"; 3], "C64", "C64", "F64"),
        "H" => (["F16"; 3], "F32", "F16", "F16"),
        "HSH" => (["F16"; 3], "F32", "F32", "F32"),
        "HSS" => (["F16", "F16", "F32"], "F32", "F32", "F32"),
        "TST" => (["Bf16"; 3], "F32", "F32", "F32"),
        "TSS" => (["Bf16", "Bf16", "F32"], "F32", "F32", "F32"),
        // Overwritten by the types among the arguments; arithmetic is then chosen for them.
        "-" => (["F32"; 3], "F32", "F32", "F32"),
        other => panic!("unknown letter `{other}`"),
    }
}

/// The function under construction: parameters of the signature, statements of the body.
#[derive(Default)]
struct Text {
    parameters: String,
    body: String,
}

impl Text {
    fn add(&mut self, parameters: &str, body: String) {
        let _ = write!(self.parameters, ", {parameters}");
        let _ = writeln!(self.body, "        {body}");
    }
}

impl Function<'_> {
    /// The same with 64-bit extents.
    pub fn wide(&self) -> Self {
        Function { name: format!("{}_64", self.name), ..*self }
    }

    /// Its Rust; `int` is the type of extents.
    pub fn code(&self, int: &str) -> String {
        let (places, arithmetic, scalar, real) = elements(self.letter);
        let mut text = Text::default();
        for argument in self.arguments {
            argument_code(argument, int, scalar, real, &mut text);
        }
        if self.letter == "-" && !self.arguments.contains(&"compute") {
            text.body += "        call.choose_arithmetic();\n";
        }
        let [a, b, c] = places.map(|element| format!("Element::{element}"));
        let (name, routine, Text { parameters, body }) = (&self.name, self.routine, text);
        format!(
            "exports! {{\n    fn {name}(handle: usize{parameters}) {{\n        \
             let mut call = Call::new(Routine::{routine}, [{a}, {b}, {c}, Element::{arithmetic}]);\n\
             {body}        \
             // Scalars and results are where cuBLAS's documentation makes the caller put them.\n        \
             call.run(handle, \"{name}\\0\")\n    }}\n}}\n\n"
        )
    }
}

fn place_of(operand: &str) -> usize {
    match operand {
        "A" | "AP" => 0,
        "B" | "x" => 1,
        "C" | "CP" | "y" => 2,
        other => panic!("unknown operand `{other}`"),
    }
}

fn argument_code(argument: &str, int: &str, scalar: &str, real: &str, text: &mut Text) {
    let extent = |index: usize| format!("call.order.extent[{index}] = {argument} as i64;");
    match argument {
        "m" => text.add(&format!("m: {int}"), extent(0)),
        "n" => text.add(&format!("n: {int}"), extent(1)),
        "k" => text.add(&format!("k: {int}"), extent(2)),
        "kl" => text.add(&format!("kl: {int}"), extent(3)),
        "ku" => text.add(&format!("ku: {int}"), extent(4)),
        "side" | "uplo" => {
            text.add(&format!("{argument}: u32"), format!("call.order.{argument} = {argument};"))
        }
        "diag" => text.add("diag: u32", "call.order.unit = diag;".into()),
        "trans" | "transa" => {
            text.add(&format!("{argument}: u32"), format!("call.order.transpose[0] = {argument};"));
        }
        "transb" => text.add("transb: u32", "call.order.transpose[1] = transb;".into()),
        "alpha" | "beta" | "ralpha" | "rbeta" => {
            let element = if argument.starts_with('r') { real } else { scalar };
            let index = usize::from(argument.ends_with("beta"));
            text.add(
                &format!("{argument}: *const c_void"),
                format!("call.scalar({index}, {argument}, Element::{element} as u32);"),
            );
        }
        "alpha.t" => {
            text.add("alpha: *const c_void, alpha_type: u32", "call.scalar(0, alpha, alpha_type);".into())
        }
        "AP" | "CP" => text.add(
            &format!("{}: u64", argument.to_lowercase()),
            format!("call.place({}, {}, 1);", place_of(argument), argument.to_lowercase()),
        ),
        "result" | "rresult" => {
            let element = if argument == "result" { scalar } else { real };
            text.add("result: u64", format!("call.result(result, Element::{element} as u32);"));
        }
        "result.t" => {
            text.add("result: u64, result_type: u32", "call.result(result, result_type);".into());
        }
        "index" => {
            let element = if int == "i32" { "I32" } else { "I64" };
            text.add("result: u64", format!("call.result(result, Element::{element} as u32);"));
        }
        "batch" => text.add(&format!("batch: {int}"), "call.batch(batch as i64);".into()),
        "pivots" => text.add("pivots: u64", "call.order.result = pivots;".into()),
        "info" => text.add("info: u64", "call.order.info = info;".into()),
        "hostinfo" => text.add("info: *mut i32", "call.host_info = info;".into()),
        "compute" => text.add("compute: u32", "call.compute(compute)?;".into()),
        "algo" => text.add("_algo: i32", String::new()),
        "exec" => text.add("_exec: u32", String::new()),
        _ => operand_code(argument, int, text),
    }
}

fn operand_code(argument: &str, int: &str, text: &mut Text) {
    if let Some(operand) = argument.strip_prefix("stride") {
        let (place, name) = (place_of(operand), argument.to_lowercase());
        return text.add(&format!("{name}: i64"), format!("call.order.places[{place}].stride = {name};"));
    }
    let (plain, typed) = argument.strip_suffix(".t").map_or((argument, false), |plain| (plain, true));
    let (operand, array) = plain.strip_suffix("[]").map_or((plain, false), |operand| (operand, true));
    let (place, name) = (place_of(operand), operand.to_lowercase());
    let (kind, set) = match typed {
        true => (format!(", {name}_type: u32"), format!(" call.order.elements[{place}] = {name}_type;")),
        false => (String::new(), String::new()),
    };
    let arrays = if array { " call.order.pointer_arrays = 1;" } else { "" };
    text.add(
        &format!("{name}: u64{kind}, {name}_step: {int}"),
        format!("call.place({place}, {name}, {name}_step as i64);{set}{arrays}"),
    );
}
