//! The `kubectl-canary` binary, used as `kubectl canary`: hands its arguments to the command line of releases.

use std::process::ExitCode;

/// The C library's static allocator takes a lock for every piece of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    warmfront::cli::main(std::env::args_os())
}
