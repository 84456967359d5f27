//! Single requests through the gateway.

use std::time::Duration;

use anyhow::Context as _;

/// The version that answers one request; another answer than 200 is an error.
pub async fn version(host: &str, header: Option<(&str, &str)>) -> anyhow::Result<String> {
    let gateway = std::env::var("WF_GATEWAY").context("WF_GATEWAY is not set: run these tests by `make test`")?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .context("setting up a client")?;
    let mut request = client.get(format!("http://{gateway}/products/1")).header("host", host);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let reply = request.send().await.with_context(|| format!("asking {host}"))?;
    anyhow::ensure!(reply.status() == 200, "{host} answers {}", reply.status());
    let version = reply
        .headers()
        .get("x-version")
        .context("the answer names no version")?;
    Ok(version.to_str().context("reading the version")?.to_owned())
}
