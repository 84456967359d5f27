//! Clients of metrics stores: those that use no TLS need no trusted certificates.

use std::{error::Error as _, sync::OnceLock, time::Duration};

use reqwest::{Client, ClientBuilder, Url, redirect::Policy};

use super::TIMEOUT;

/// Longest wait for a connection to a store.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects to metrics stores. The certificates that this machine trusts are read when the first address needs them: where no
/// store uses TLS there need be none.
pub(super) struct Clients {
    plain: Client,
    secure: OnceLock<Result<Client, String>>,
}

impl Clients {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        let none = std::iter::empty::<reqwest::Certificate>();
        Ok(Self {
            plain: Self::builder().tls_certs_only(none).build()?,
            secure: OnceLock::new(),
        })
    }

    fn builder() -> ClientBuilder {
        Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .user_agent("warmfront")
    }

    /// The client for an address, or why there is none.
    pub(super) fn of(&self, url: &Url) -> Result<&Client, String> {
        if url.scheme() != "https" {
            return Ok(&self.plain);
        }
        let client = self.secure.get_or_init(|| {
            let built = Self::builder().build();
            built.map_err(|error| {
                let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                format!("cannot be asked by TLS: {why}; give the controller's image the certificates of the authorities that it is to trust, and start it again")
            })
        });
        client.as_ref().map_err(Clone::clone)
    }
}
