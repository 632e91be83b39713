//! The kernel of a case: thread `i` reads the `i`-th value of every operand and writes the `i`-th of every result.
//!
//! All values lie as 64-bit words in memory, one array behind the other; the instruction's registers have the types that it
//! asks for.

use std::fmt::Write;

use executors::{Buffer, Executor, Failure, Parameter, Shape};
use ptx::Type;

use crate::case::{Case, Cell};
use crate::values;

/// Threads of a block.
const BLOCK: usize = 128;
/// Bytes of a thread's cell.
const CELL: usize = 32;

impl Case {
    /// The module with the kernel `vectors`.
    pub fn module(&self) -> String {
        let mut body = String::new();
        let mut declared = String::new();
        let register = |declared: &mut String, name: &str, class: &str| {
            let _ = writeln!(declared, ".reg .{class} {name};");
        };
        for (index, input) in self.inputs.iter().enumerate() {
            let class = self.class(input.ty, input.wide);
            register(&mut declared, &format!("%i{index}"), class);
            let _ = writeln!(
                body,
                "ld.global.b64 %w, [%in]; add.u64 %in, %in, %stride; {}",
                from_word(class, index)
            );
        }
        for (index, output) in self.outputs.iter().enumerate() {
            let class = self.class(output.ty, output.wide);
            register(&mut declared, &format!("%o{index}"), class);
            let _ = writeln!(body, "{}", zero(class, index));
        }
        let size = |ty: Type| ty.size().max(2);
        for index in 0..self.cell_values {
            let ty = self.inputs[index].ty;
            let at = index as u32 * size(ty);
            let _ = writeln!(body, "st.{}b{} [%cell+{at}], %i{index};", self.space(), size(ty) * 8);
        }
        // A label takes no semicolon.
        let end = if self.text.ends_with(':') { "" } else { ";" };
        let _ = writeln!(body, "{}{end}", self.text);
        for index in 0..self.cell_values {
            let output = self.outputs.len() - self.cell_values + index;
            let ty = self.outputs[output].ty;
            let at = index as u32 * size(ty);
            let _ = writeln!(body, "ld.{}b{} %o{output}, [%cell+{at}];", self.space(), size(ty) * 8);
        }
        for (index, output) in self.outputs.iter().enumerate() {
            let class = self.class(output.ty, output.wide);
            let _ = writeln!(
                body,
                "{} st.global.b64 [%out], %w; add.u64 %out, %out, %stride;",
                to_word(class, index)
            );
        }
        format!(
            "{HEAD}{}.reg .pred %apart;\n{declared}{PROLOGUE}{}{body}ret;\n}}\n",
            self.shared_cells(),
            self.own_cell()
        )
    }

    /// Runs it over all its vectors: the results, output after output.
    pub fn run(&self, executor: &dyn Executor) -> Result<Vec<u64>, Failure> {
        let count = self.count();
        let mut input = Buffer::of_words(&values::words(self));
        let mut output = Buffer::of_words(&vec![0; self.outputs.len() * count]);
        let mut cells = Buffer::zeroed(if self.cell == Cell::Global { count * CELL } else { 16 });
        let stride = (count * 8) as u64;
        let shape = Shape {
            grid: [(count / BLOCK) as u32, 1, 1],
            block: [BLOCK as u32, 1, 1],
            shared: 0,
            cooperative: false,
        };
        let mut parameters = [
            Parameter::Memory(&mut input),
            Parameter::Memory(&mut output),
            Parameter::Memory(&mut cells),
            Parameter::Value(stride.to_le_bytes().to_vec()),
        ];
        executor.run(&self.module(), "vectors", shape, &mut parameters)?;
        Ok(output.words())
    }

    /// What the register of an operand is declared as.
    fn class(&self, ty: Type, wide: bool) -> &'static str {
        match (ty, ty.size()) {
            _ if wide => "b64",
            (Type::Pred, _) => "pred",
            (Type::F32, _) => "f32",
            (Type::F64, _) => "f64",
            (Type::B8, 1) => "b8",
            // Compilers hold bytes in wider registers, which also shows how results are extended.
            (_, 1) => "b32",
            (_, 2) => "b16",
            (_, 4) => "b32",
            _ => "b64",
        }
    }

    /// The space of the memory operand as the instruction has it.
    fn space(&self) -> &'static str {
        match self.cell {
            Cell::Shared => "shared.",
            _ => "global.",
        }
    }

    fn shared_cells(&self) -> String {
        match self.cell {
            Cell::Shared => format!(".shared .align 16 .b8 cells[{}];\n", BLOCK * CELL),
            _ => String::new(),
        }
    }

    fn own_cell(&self) -> &'static str {
        match self.cell {
            Cell::None => "",
            Cell::Global => {
                "ld.param.u64 %cell, [cells]; mul.wide.u32 %w, %t, 32; add.u64 %cell, %cell, %w;\n"
            }
            Cell::Shared => {
                "mov.u32 %t, %tid.x; mul.wide.u32 %w, %t, 32; mov.u64 %cell, cells; add.u64 %cell, %cell, %w;\n"
            }
        }
    }
}

const HEAD: &str = ".version 9.0
.target sm_90
.address_size 64
.visible .entry vectors(.param .u64 in, .param .u64 out, .param .u64 cells, .param .u64 stride)
{
.reg .b32 %t, %block, %threads; .reg .b64 %in, %out, %cell, %stride, %w; .reg .b32 %half;
";

const PROLOGUE: &str = "mov.u32 %t, %tid.x; mov.u32 %block, %ctaid.x; mov.u32 %threads, %ntid.x; mad.lo.u32 %t, %block, %threads, %t;
ld.param.u64 %in, [in]; ld.param.u64 %out, [out]; ld.param.u64 %stride, [stride];
mul.wide.u32 %w, %t, 8; add.u64 %in, %in, %w; add.u64 %out, %out, %w;
";

fn from_word(class: &str, index: usize) -> String {
    match class {
        "pred" => format!("setp.ne.b64 %i{index}, %w, 0;"),
        "f32" => format!("cvt.u32.u64 %half, %w; mov.b32 %i{index}, %half;"),
        "b8" => format!("cvt.u8.u64 %i{index}, %w;"),
        "b16" => format!("cvt.u16.u64 %i{index}, %w;"),
        "b32" => format!("cvt.u32.u64 %i{index}, %w;"),
        _ => format!("mov.b64 %i{index}, %w;"),
    }
}

fn to_word(class: &str, index: usize) -> String {
    match class {
        "pred" => format!("selp.b64 %w, 1, 0, %o{index};"),
        "f32" => format!("mov.b32 %half, %o{index}; cvt.u64.u32 %w, %half;"),
        "b8" => format!("cvt.u64.u8 %w, %o{index};"),
        "b16" => format!("cvt.u64.u16 %w, %o{index};"),
        "b32" => format!("cvt.u64.u32 %w, %o{index};"),
        _ => format!("mov.b64 %w, %o{index};"),
    }
}

/// So that lanes that do not take part have a result too.
fn zero(class: &str, index: usize) -> String {
    match class {
        "pred" => format!("setp.ne.u32 %o{index}, 0, 0;"),
        "f32" => format!("mov.b32 %o{index}, 0;"),
        "b8" => format!("cvt.u8.u32 %o{index}, 0;"),
        "f64" => format!("mov.b64 %o{index}, 0;"),
        _ => format!("mov.{class} %o{index}, 0;"),
    }
}
