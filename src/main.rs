//! Entry point of the `warmfront` binary.
fn main() {}
