//! Writes a parsed body as text again, for error messages and round trips.

use crate::body::{Body, Instruction};
use crate::constant::Constant;
use crate::operand::{AddressBase, Operand};
use std::fmt::Write;

impl Body {
    /// The instruction as text, with its guard and `;`.
    pub fn print(&self, instruction: &Instruction) -> String {
        let mut out = String::new();
        if let Some((register, negated)) = instruction.guard {
            let _ = write!(out, "@{}{} ", if negated { "!" } else { "" }, self.register_name(register));
        }
        out.push_str(&self.mnemonic(instruction).text);
        for (index, operand) in instruction.operands.iter().enumerate() {
            out.push_str(if index == 0 { " " } else { ", " });
            self.print_operand(operand, &mut out);
        }
        out.push(';');
        out
    }

    /// The whole body as text, with declarations first and labels in place; parses to an equal list of instructions.
    pub fn print_all(&self) -> String {
        let mut out = String::from("{\n");
        for range in &self.registers {
            let count = range.count.map_or(String::new(), |count| format!("<{count}>"));
            let _ = writeln!(out, "\t.reg .{} {}{count};", range.ty, range.name);
        }
        for (index, instruction) in self.instructions.iter().enumerate() {
            self.print_labels(index, &mut out);
            let _ = writeln!(out, "\t{}", self.print(instruction));
        }
        self.print_labels(self.instructions.len(), &mut out);
        out.push_str("}\n");
        out
    }

    fn print_labels(&self, index: usize, out: &mut String) {
        for label in self.labels.iter().filter(|label| label.target == Some(index as u32)) {
            let _ = writeln!(out, "{}:", label.name);
        }
    }

    fn print_operand(&self, operand: &Operand, out: &mut String) {
        let name = |register: &Option<u32>| {
            register.map_or("_".to_string(), |register| self.register_name(register))
        };
        match operand {
            Operand::Register(register) => out.push_str(&self.register_name(*register)),
            Operand::NotRegister(register) => out.push_str(&format!("!{}", self.register_name(*register))),
            Operand::Pair(first, second) => out.push_str(&format!("{}|{}", name(first), name(second))),
            Operand::Sink => out.push('_'),
            Operand::Constant(constant) => print_constant(*constant, out),
            Operand::Special(special) => out.push_str(&format!("%{}", special.name())),
            Operand::Part(register, part) => {
                out.push_str(&format!("{}.{part}", self.register_name(*register)))
            }
            Operand::Vector(list) => self.print_list(list, "{", "}", out),
            Operand::List(list) => self.print_list(list, "(", ")", out),
            Operand::Variable(variable, offset) => {
                out.push_str(&self.variables[*variable as usize].name);
                print_offset(*offset, out);
            }
            Operand::Symbol(symbol, offset) => {
                out.push_str(symbol);
                print_offset(*offset, out);
            }
            Operand::Label(label) => out.push_str(&self.labels[*label as usize].name),
            Operand::Address { base, offset, extra } => {
                out.push('[');
                match base {
                    AddressBase::Register(register) => out.push_str(&self.register_name(*register)),
                    AddressBase::Variable(variable) => out.push_str(&self.variables[*variable as usize].name),
                    AddressBase::Global(symbol) => out.push_str(symbol),
                    AddressBase::Absolute(value) => out.push_str(&value.to_string()),
                }
                print_offset(*offset, out);
                for operand in extra {
                    out.push_str(", ");
                    self.print_operand(operand, out);
                }
                out.push(']');
            }
        }
    }

    fn print_list(&self, list: &[Operand], open: &str, close: &str, out: &mut String) {
        out.push_str(open);
        for (index, operand) in list.iter().enumerate() {
            if index != 0 {
                out.push_str(", ");
            }
            self.print_operand(operand, out);
        }
        out.push_str(close);
    }
}

fn print_offset(offset: i64, out: &mut String) {
    if offset != 0 {
        let _ = write!(out, "+{offset}");
    }
}

fn print_constant(constant: Constant, out: &mut String) {
    let _ = match constant {
        Constant::Integer(value) => write!(out, "{}", value as i64),
        Constant::F32(bits) => write!(out, "0f{bits:08X}"),
        Constant::F64(bits) => write!(out, "0d{bits:016X}"),
    };
}
