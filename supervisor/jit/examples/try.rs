//! Compiles one kernel of a file and shows what became of it: `try FILE KERNEL X Y Z [ir]`.
use std::sync::Arc;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&arguments[1]).expect("a file");
    let module = Arc::new(ptx::Module::parse(text).expect("PTX"));
    let mut memory = vec![0u64; 1 << 16];
    let mut free = memory.as_mut_ptr().expose_provenance() as u64;
    let image = interpreter::Image::load(module.clone(), &mut |size, align| {
        let place = free.next_multiple_of(align);
        free = place + size;
        Some(place)
    })
    .expect("loads");
    let names: Vec<String> = match arguments[2].as_str() {
        "all" => module.entries().map(|entry| entry.name.to_string()).collect(),
        name => vec![name.into()],
    };
    let shape = [3, 4, 5].map(|place| arguments[place].parse().expect("a number"));
    for name in names {
        if arguments.len() > 6 {
            println!(
                "{}",
                jit::lower(&image, &name, shape)
                    .map(|made| made.ir)
                    .unwrap_or_else(|error| error.to_string())
            );
        }
        match jit::lower(&image, &name, shape) {
            Ok(made) => println!("{name}: refused {:?}", made.refused),
            Err(error) => println!("{error}"),
        }
        match jit::compile(&image, &name, shape, &llvm::Target::avx2()) {
            Ok((compiled, cost)) => println!(
                "{name}: {} stops, {} regions, {cost:?}",
                compiled.stops.len(),
                compiled.regions.len()
            ),
            Err(error) => println!("{error}"),
        }
    }
}
