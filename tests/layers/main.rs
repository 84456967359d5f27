//! The code keeps to its layout: who may use whom, who moves a release, how long a function may be.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod arms;
mod circles;
mod imports;
mod moves;
mod order;
mod sizes;
mod times;
mod tree;

use tree::{Complaint, Tree};

#[test]
fn the_code_keeps_to_its_layout() {
    let sources = tree::read("src");
    let others = [tree::read("tests"), tree::read("examples")].concat();
    let headings = sizes::headings(sources.iter().chain(&others));
    let tree = Tree::parse(sources);
    let imports = imports::imports(&tree);
    let found: Vec<Complaint> = [
        order::layers(&tree, &imports),
        order::engine_layers(&tree, &imports),
        circles::circles(&imports),
        moves::moves(&tree),
        arms::arms(&tree),
        sizes::flags(&tree),
        sizes::lengths(&tree),
        times::times(&tree),
        headings,
    ]
    .concat();
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(
        told.is_empty(),
        "the code leaves its layout in {} places:\n{}",
        told.len(),
        told.join("\n")
    );
}
