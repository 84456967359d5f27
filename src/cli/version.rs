//! `version`: which kubectl-canary this is.

use serde_json::json;

use super::{Frame, exit::Exit, print};
use crate::api::{GROUP, VERSION};

/// Options of `version`: none.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the version; needs no cluster.
pub fn run(frame: &Frame, _: &Args) -> anyhow::Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    match frame.data() {
        None => print::text(&format!("kubectl-canary {version} ({GROUP}/{VERSION})\n"))?,
        Some(output) => {
            let value = json!({"version": version, "apiVersion": format!("{GROUP}/{VERSION}")});
            print::data(output, &value, &[version.to_owned()])?;
        }
    }
    Ok(Exit::Reached)
}
