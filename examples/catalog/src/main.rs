//! Entry point until the app is here.
fn main() {}
