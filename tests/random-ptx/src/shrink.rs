//! Fewer statements that still fail.

use crate::program::{Count, Node, Program};

/// Takes out and simplifies what it can while `fails` says so, asking at most so many times.
pub fn shrink(program: &Program, mut asks: usize, fails: &mut dyn FnMut(&Program) -> bool) -> Program {
    let mut best = program.clone();
    loop {
        let mut smaller = false;
        for candidate in shapes(&best) {
            if asks > 0 && fails(&candidate) {
                best = candidate;
                smaller = true;
            }
            asks = asks.saturating_sub(1);
        }
        // Whole stretches first, then single statements.
        let mut stretch = best.body.len().max(1);
        while stretch > 0 {
            let mut at = 0;
            while at < count(&best.body) && asks > 0 {
                let mut candidate = best.clone();
                let mut position = 0;
                take_out(&mut candidate.body, &mut position, at..at + stretch);
                asks -= 1;
                if count(&candidate.body) < count(&best.body) && fails(&candidate) {
                    best = candidate;
                    smaller = true;
                } else {
                    at += stretch;
                }
            }
            stretch /= 2;
        }
        for at in 0..count(&best.body) {
            for way in 0..3 {
                let mut candidate = best.clone();
                let mut position = 0;
                if asks > 0 && simplify(&mut candidate.body, &mut position, at, way) {
                    asks -= 1;
                    if fails(&candidate) {
                        best = candidate;
                        smaller = true;
                    }
                }
            }
        }
        if !smaller || asks == 0 {
            return best;
        }
    }
}

/// Statements in all.
pub fn count(nodes: &[Node]) -> usize {
    let inside = |node: &Node| match node {
        Node::If { then, otherwise, .. } => count(then) + count(otherwise),
        Node::Loop { body, .. } => count(body),
        Node::Maze { blocks, .. } => blocks.iter().map(|(body, _)| count(body)).sum(),
        _ => 0,
    };
    nodes.iter().map(|node| 1 + inside(node)).sum()
}

fn shapes(program: &Program) -> Vec<Program> {
    let shape = |grid: [u32; 3], block: [u32; 3]| Program { grid, block, ..program.clone() };
    let mut out = Vec::new();
    if program.grid != [1, 1, 1] {
        out.push(shape([1, 1, 1], program.block));
    }
    out
}

/// Removes the statements whose number, in the order of the text, is in a range.
fn take_out(nodes: &mut Vec<Node>, position: &mut usize, range: std::ops::Range<usize>) {
    nodes.retain_mut(|node| {
        let keep = !range.contains(position);
        *position += 1;
        match node {
            Node::If { then, otherwise, .. } => {
                take_out(then, position, range.clone());
                take_out(otherwise, position, range.clone());
            }
            Node::Loop { body, .. } => take_out(body, position, range.clone()),
            Node::Maze { blocks, .. } => {
                blocks.iter_mut().for_each(|(body, _)| take_out(body, position, range.clone()));
            }
            _ => {}
        }
        keep
    });
}

/// Puts something simpler in the place of the statement of that number, if there is something in this way.
fn simplify(nodes: &mut Vec<Node>, position: &mut usize, at: usize, way: usize) -> bool {
    for index in 0..nodes.len() {
        if *position == at {
            return simpler(nodes, index, way);
        }
        *position += 1;
        let found = match &mut nodes[index] {
            Node::If { then, otherwise, .. } => {
                simplify(then, position, at, way) || simplify(otherwise, position, at, way)
            }
            Node::Loop { body, .. } => simplify(body, position, at, way),
            Node::Maze { blocks, .. } => blocks.iter_mut().any(|(body, _)| simplify(body, position, at, way)),
            _ => false,
        };
        if found {
            return true;
        }
    }
    false
}

fn simpler(nodes: &mut Vec<Node>, index: usize, way: usize) -> bool {
    let inside = match (&mut nodes[index], way) {
        (Node::If { then, .. }, 0) => std::mem::take(then),
        (Node::If { otherwise, .. }, 1) if !otherwise.is_empty() => std::mem::take(otherwise),
        (Node::Loop { body, .. }, 0) => std::mem::take(body),
        (Node::Loop { count, .. }, 1) if !matches!(count, Count::Fixed(1)) => {
            *count = Count::Fixed(1);
            return true;
        }
        (Node::Maze { fuel, .. }, 0) if *fuel > 1 => {
            *fuel -= 1;
            return true;
        }
        _ => return false,
    };
    nodes.splice(index..=index, inside);
    true
}
