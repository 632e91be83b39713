//! The grammar around instructions: directives, declarations, scopes, initialisers; and what errors say.

use ptx::{Constant, Element, Linkage, Module, Operand, ParseError, Space, Type};

const EVERY_DIRECTIVE: &str = include_str!("every_directive.ptx");

fn every_directive() -> Module {
    Module::parse(EVERY_DIRECTIVE).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn module_has_its_variables_and_functions() {
    let module = every_directive();
    assert_eq!((module.version, &*module.target, module.address_size), ((9, 0), "sm_90a", 64));
    let names: Vec<&str> = module.functions().iter().map(|function| &*function.name).collect();
    assert_eq!(names, ["vprintf", "by_registers", "never", "helper", "kernel"]);
    let same = module.function_named("other_name").expect("an alias");
    assert_eq!(&*same.name, "helper");

    let variable = |name: &str| module.variable_named(name).unwrap_or_else(|| panic!("no `{name}`"));
    assert!(variable("shared_with_host").managed && !variable("unified").managed);
    assert_eq!((variable("elsewhere").linkage, variable("elsewhere").count), (Linkage::Extern, 0));
    assert_eq!((variable("quads").align, variable("quads").size()), (16, 32));
    assert_eq!((variable("several2").ty, variable("tentative").linkage), (Type::S16, Linkage::Common));
    assert_eq!((variable("texture").ty, variable("old_texture").ty), (Type::TexRef, Type::TexRef));
    assert_eq!(variable("barrier_object").space, Space::Shared);
    assert!(module.variable_named("several3").is_none());
}

#[test]
fn initialisers_have_numbers_of_every_base_and_addresses() {
    let module = every_directive();
    let elements = |name: &str| {
        let variable = module.variable_named(name).expect("a variable");
        module.initial_elements(variable).unwrap_or_else(|error| panic!("{error}"))
    };
    let numbers: Vec<Element> =
        (1..=15).chain([u64::MAX]).map(|n| Element::Constant(Constant::Integer(n))).collect();
    assert_eq!(elements("table"), numbers);
    let address = |symbol: &str, offset, generic, mask| Element::Address {
        symbol: symbol.into(),
        offset,
        generic,
        mask,
    };
    assert_eq!(
        elements("addresses"),
        [
            address("table", 8, true, None),
            address("table", 0, false, Some(0xff)),
            address("helper", 0, false, Some(0xff00)),
            address("table", 0, false, None),
        ]
    );
    assert_eq!(elements("quads").len(), 8);
}

#[test]
fn kernel_has_its_directives_and_body() {
    let module = every_directive();
    let kernel = module.function_named("kernel").expect("a kernel");
    assert_eq!((kernel.max_threads, kernel.min_blocks), (Some([256, 2, 1]), Some(2)));
    assert_eq!((kernel.max_registers, kernel.required_cluster), (Some(128), Some([1, 1, 1])));
    assert_eq!(kernel.max_cluster_rank, Some(8));
    assert!(module.function_named("never").expect("a function").no_return);
    let offsets: Vec<u32> = kernel.parameter_layout().iter().map(|slot| slot.offset).collect();
    assert_eq!(offsets, [0, 8, 48]);

    let body = module.body(kernel).unwrap_or_else(|error| panic!("{error}"));
    body.verify().unwrap_or_else(|(_, rule)| panic!("{rule}"));
    let printed: Vec<String> = body.instructions.iter().map(|instruction| body.print(instruction)).collect();
    let has = |text: &str| assert!(printed.iter().any(|line| line == text), "{text} in {printed:#?}");
    has("st.global.v4.f32 [%rd1+-16], {vector.x, vector.y, vector.z, vector.w};");
    has("mov.f32 vector.w, vector.y;");
    has("setp.lt.s32 %p1, 3, 32;");
    has("setp.eq.and.s32 %p1|%p2, %r3, 0, !%p3;");
    has("tex.2d.v4.f32.f32 {%f2, %f3, %f4, %f5}|%p2, [texture, sampler, {%f1, %f1}];");
    has("call (retval0), %single, (param0, param1), prototype0;");
    assert_eq!(body.call_targets.len() + body.prototypes.len() + body.branch_targets.len(), 3);
    // Two registers are called `%r1`; the inner scope's is not the outer one's.
    let written: Vec<&Operand> = body.instructions.iter().filter_map(|it| it.operands.first()).collect();
    let named_r1 =
        written.iter().filter(|it| matches!(it, Operand::Register(r) if body.register_name(*r) == "%r1"));
    let mut ids: Vec<&&Operand> = named_r1.collect();
    ids.dedup();
    assert_eq!(ids.len(), 2, "{ids:?}");
}

#[test]
fn labels_of_scopes_side_by_side_are_different_ones() {
    let scope = |number| format!("{{ $again: add.u32 %r1, %r1, {number}; bra $again; }}");
    let text = |body: String| {
        format!(".version 8.0\n.target sm_80\n.address_size 64\n.entry k() {{ .reg .b32 %r1; {body} ret; }}")
    };
    let module = Module::parse(text(scope(1) + &scope(2))).unwrap_or_else(|error| panic!("{error}"));
    let body = module.body(&module.functions()[0]).unwrap_or_else(|error| panic!("{error}"));
    let targets: Vec<u32> = body
        .instructions
        .iter()
        .filter_map(|it| match it.operands.first() {
            Some(Operand::Label(label)) => body.labels[*label as usize].target,
            _ => None,
        })
        .collect();
    assert_eq!(targets, [0, 2]);
    let twice = Module::parse(text("$a: ret; $a:".into())).expect("bodies are parsed later");
    let error = twice.body(&twice.functions()[0]).expect_err("a label cannot be in two places");
    assert!(error.to_string().contains("`$a` is defined twice"), "{error}");
}

#[test]
fn module_is_the_same_after_printing() {
    let module = every_directive();
    let printed = module.print().unwrap_or_else(|error| panic!("{error}"));
    let again = Module::parse(printed.clone()).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(again.print().unwrap_or_else(|error| panic!("{error}")), printed);
    assert_eq!(module.aliases(), again.aliases());
    assert_eq!(module.variables().len(), again.variables().len());
    for (function, other) in module.functions().iter().zip(again.functions()) {
        if function.is_defined() {
            let (body, other) = (module.body(function).expect("parsed"), again.body(other).expect("parsed"));
            assert_eq!(body.difference(&other), None, "{}", function.name);
        }
    }
}

/// PTX ISA 9.0, chapter 10.
#[test]
fn every_special_register_is_known() {
    let mut names: Vec<String> = Vec::new();
    for vector in
        ["tid", "ntid", "ctaid", "nctaid", "clusterid", "nclusterid", "cluster_ctaid", "cluster_nctaid"]
    {
        names.extend(["x", "y", "z"].map(|component| format!("{vector}.{component}")));
    }
    let scalars = "laneid warpid nwarpid smid nsmid gridid is_explicit_cluster cluster_ctarank cluster_nctarank lanemask_eq lanemask_le \
                   lanemask_lt lanemask_ge lanemask_gt clock clock_hi clock64 globaltimer globaltimer_lo globaltimer_hi \
                   reserved_smem_offset_begin reserved_smem_offset_end reserved_smem_offset_cap reserved_smem_offset_0 \
                   reserved_smem_offset_1 total_smem_size aggr_smem_size dynamic_smem_size current_graph_exec";
    names.extend(scalars.split_whitespace().map(str::to_owned));
    names.extend((0..8).flat_map(|n| [format!("pm{n}"), format!("pm{n}_64")]));
    names.extend((0..32).map(|n| format!("envreg{n}")));
    for name in names {
        let text =
            format!(".version 9.0\n.target sm_90\n.entry k() {{ .reg .b64 %rd; mov.u64 %rd, %{name}; }}");
        let module = Module::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let body = module.body(&module.functions()[0]).unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(body.instructions[0].operands[1], Operand::Special(_)), "{name}");
    }
}

/// A kernel with these lines parses to an error.
fn refused(lines: &str) -> ParseError {
    let text = format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k()\n{{\n.reg .b32 %r<9>;\n.reg .pred %p1;\n{lines}\nret;\n}}\n"
    );
    let module = match Module::parse(text) {
        Ok(module) => module,
        Err(error) => return error,
    };
    let kernel = module.function_named("k").expect("the kernel");
    module.body(kernel).map(|_| ()).expect_err("an error")
}

#[test]
fn errors_name_line_column_kernel_and_instruction() {
    for (lines, message) in [
        ("frobnicate.u32 %r1;", "PTX line 8, column 1 in `k`: unknown instruction `frobnicate`"),
        (
            "mov.u32 %r1, 1; add.what.u32 %r1, 1, 1;",
            "PTX line 8, column 17 in `k`: unknown instruction `add.what.u32` (at `what`)",
        ),
        (
            "  mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.s32 %r1, %r1, %r1, %r1;",
            "PTX line 8, column 3 in `k`: `mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.s32` is no form of `mma`",
        ),
        ("add.u32 %r1, %r2;", "PTX line 8, column 1 in `k`: `add.u32` has 2 operands, 3 were expected"),
        ("add.u32 %r1, %r2, %r99;", "PTX line 8, column 1 in `k`: register `%r99` is not declared"),
        ("@%p7 add.u32 %r1, %r2, %r3;", "PTX line 8, column 1 in `k`: guard `%p7` is not declared"),
        ("add.u32 %r1, %r2, 08z;", "PTX line 8, column 1 in `k`: `08z` is no number"),
        (
            "add.u32 %r1, %r2, %r3",
            "PTX line 8, column 1 in `k`: `add.u32` is followed by `ret;` where `;` was expected",
        ),
        ("bra nowhere;", "PTX line 5, column 1 in `k`: label `nowhere` is used and not defined"),
        (".reg .b33 %x;", "PTX line 8, column 1 in `k`: unknown register type `.b33`"),
        (".wrong 1;", "PTX line 8, column 1 in `k`: unknown directive `.wrong`"),
        (
            ".reg .b32 %big<4000000000>;",
            "PTX line 8, column 1 in `k`: 4000000000 registers `%big` are more than a function can have",
        ),
        ("}\n.maxwell 1\n", "PTX line 9, column 1: unexpected text at module level: `.maxwell 1`"),
    ] {
        assert_eq!(refused(lines).to_string(), message);
    }
}

#[test]
fn an_opaque_variable_without_a_name_is_refused() {
    for declaration in [".tex .u/", ".global .texref ;", ".surfref = 1;"] {
        let text = format!(".version 4.0\n.target sm_52\n.address_size 64\n{declaration}\n");
        let error = Module::parse(text).expect_err(declaration).to_string();
        assert!(error.contains("lacks its name"), "{declaration}: {error}");
    }
}

#[test]
fn endless_nesting_is_refused() {
    let deep = "{".repeat(100_000);
    for lines in [format!("mov.b32 %r1, {deep}"), format!("mov.b32 %r1, {}", "[%r1,".repeat(100_000))] {
        let error = refused(&lines).to_string();
        assert!(error.contains("nested too deeply") || error.contains("has no end"), "{error}");
    }
}

#[test]
fn verifier_says_which_rule_is_broken() {
    for (line, rule) in [
        ("add.u32 %r1, %r2, %f1;", "`%f1` is `.f32`, `.u32` was expected"),
        ("add.f32 %f1, %f1, %rd1;", "`%rd1` is `.b64`, `.f32` was expected"),
        ("add.u64 %rd1, %rd1, %r1;", "`%r1` is `.b32`, `.u64` was expected"),
        ("mul.wide.u32 %r1, %r1, %r1;", "`%r1` is `.b32`, `.u64` was expected"),
        ("ld.global.v2.u32 {%r1, %r1, %r1}, [%rd1];", "3 values in braces, 2 were expected"),
        ("ld.global.v4.u32 %r1, [%rd1];", "4 values in braces were expected"),
        ("ld.global.u32 5, [%rd1];", "the destination can't be written"),
        ("st.global.u32 %rd1, %r1;", "an address in brackets was expected"),
        ("ld.global.u32 %r1, [%f1];", "`%f1` holds no address"),
        ("selp.u32 %r1, %r1, %r1, %r1;", "`%r1` is `.b32`, `.pred` was expected"),
        ("and.pred %p1, %p1, %r1;", "`%r1` is `.b32`, `.pred` was expected"),
        ("mov.b64 {%r1, %rd1}, %rd1;", "12 bytes in braces are moved as `.b64`"),
        (
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1, %f1, %f1, %f1}, {%r1, %r1}, {%r1, %r1}, {%f1, %f1, %f1, %f1};",
            "2 values in braces, 4 were expected",
        ),
        (
            "mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%f1, %f1}, {%r1, %r1}, {%r1}, {%rd1, %r1};",
            "`%rd1` is `.b64`, `.b32` was expected",
        ),
        (
            "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r1}, [%r1];",
            "2 values in braces, 4 were expected",
        ),
        ("cp.async.cg.shared.global [%r1], [%rd1], %r1;", "a number was expected"),
        ("@%r1 add.u32 %r1, %r1, %r1;", "guard `%r1` is no predicate"),
    ] {
        let text = format!(
            ".version 8.0\n.target sm_90\n.entry k()\n{{\n.reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .f32 %f<9>; .reg .pred %p<9>;\n{line}\n}}"
        );
        let module = Module::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let body = module.body(&module.functions()[0]).unwrap_or_else(|error| panic!("{error}"));
        let (index, broken) = body.verify().expect_err(line);
        assert_eq!(index, 0);
        assert!(broken.ends_with(rule), "{broken}, not {rule}");
    }
}
