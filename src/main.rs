//! The `warmfront` binary: parses its arguments and hands over.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use warmfront::runtime::{
    self,
    args::{Args, Command},
    generate,
};
use warmfront::{backtest::command::backtest, simulate::command::simulate};

/// The C library's allocator keeps what was freed, and spends a third of a pass on putting it in order.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<ExitCode> {
    match Args::parse().command {
        Command::Run(args) => block_on(runtime::run(args)),
        Command::ReleaseAll(args) => block_on(runtime::release_all::release_all(args)),
        Command::Simulate(args) => Ok(simulate(&args)),
        Command::Backtest(args) => block_on(backtest(*args)),
        Command::Crd => {
            for (_, text) in generate::crds().context("writing the CustomResourceDefinitions")? {
                print!("---\n{text}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Rbac { own_namespace } => {
            print!(
                "{}",
                if own_namespace {
                    generate::namespace_rbac()
                } else {
                    generate::rbac()
                }
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs the controller, in whatever way, until it ends.
fn block_on(running: impl Future<Output = ExitCode>) -> anyhow::Result<ExitCode> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("starting the async runtime")?;
    let ended = runtime.block_on(running);
    // Whatever still runs ends with the process: nothing may be waited for when the lease is lost.
    runtime.shutdown_background();
    Ok(ended)
}
