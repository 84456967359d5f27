//! Which addresses a tenant's webhook may have: Services of its own namespace, and hosts that the platform's owner allows.
//!
//! Otherwise whoever may write a CanaryRollout could let the controller, which sits behind the cluster's
//! firewalls, talk to the cloud's metadata service, to the API server, or to other tenants.

use std::net::{IpAddr, Ipv6Addr};

use reqwest::Url;

/// What the platform's owner allows.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Hosts outside of a rollout's own namespace: names, addresses, or `*.example.com` for whatever ends so.
    pub allowed_hosts: Vec<String>,
    /// Addresses of the API server.
    pub api_server: Vec<IpAddr>,
}

/// Where a cloud's metadata service listens in IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

impl Policy {
    /// The URL to be sent to, or why it is refused. A Service's name is completed, so that it means the rollout's namespace.
    pub fn check(&self, namespace: &str, url: &str) -> Result<Url, String> {
        let mut parsed = Url::parse(url).map_err(|error| format!("{error}"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(format!("scheme {} is neither http nor https", parsed.scheme()));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("a name or password in the address could be read by everybody: use a Secret".to_owned());
        }
        let Some(host) = parsed
            .host_str()
            .map(|host| host.trim_end_matches('.').to_ascii_lowercase())
        else {
            return Err("it names no host".to_owned());
        };
        let literal = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .ok();
        if let Some(why) = literal.and_then(|address| self.forbidden(address)) {
            return Err(format!("{host} is {why}"));
        }
        if self.allowed_hosts.iter().any(|pattern| matches(pattern, &host)) {
            return Ok(parsed);
        }
        match service(&host, namespace).filter(|_| literal.is_none()) {
            Some(name) => {
                parsed
                    .set_host(Some(&format!("{name}.{namespace}.svc")))
                    .map_err(|error| format!("{error}"))?;
                Ok(parsed)
            }
            None => Err(format!(
                "{host} is neither a Service of namespace {namespace} nor allowed: the platform's owner can add it to the chart's webhooks.allowedHosts"
            )),
        }
    }

    /// What this address is, if no webhook may go there, whatever name led to it.
    pub fn forbidden(&self, address: IpAddr) -> Option<&'static str> {
        let address = match address {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
            IpAddr::V4(_) => address,
        };
        let link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6,
        };
        if self.api_server.contains(&address) {
            Some("the API server")
        } else if link_local {
            Some("a link-local address")
        } else if address.is_loopback() {
            Some("a loopback address")
        } else if address.is_unspecified() || address.is_multicast() || address == IpAddr::from([255, 255, 255, 255]) {
            Some("no host's own address")
        } else {
            None
        }
    }
}

/// Host and port of an address, for messages: what stands behind them may be a secret.
pub fn host(url: &str) -> String {
    let parsed = Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
    match host {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host.to_owned(),
        None => "an address that cannot be read".to_owned(),
    }
}

/// The Service's name, if the host is one of this namespace: `name`, `name.namespace`, `….svc` or `….svc.cluster.local`.
fn service<'a>(host: &'a str, namespace: &str) -> Option<&'a str> {
    let mut parts = host.splitn(3, '.');
    let (name, own, rest) = (parts.next()?, parts.next(), parts.next());
    let here =
        own.is_none_or(|own| own == namespace) && rest.is_none_or(|rest| rest == "svc" || rest.starts_with("svc."));
    (here && !name.is_empty()).then_some(name)
}

fn matches(pattern: &str, host: &str) -> bool {
    let pattern = pattern.trim().to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(domain) => host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
        None => host == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy {
            allowed_hosts: vec!["hooks.example.com".to_owned(), "*.corp.example".to_owned()],
            api_server: vec![[10, 96, 0, 1].into()],
        }
    }

    #[test]
    fn services_of_the_own_namespace_and_allowed_hosts_pass() {
        for (url, sent) in [
            ("http://gate:8080/ask", "http://gate.shop.svc:8080/ask"),
            ("http://gate.shop/ask", "http://gate.shop.svc/ask"),
            ("https://gate.shop.svc", "https://gate.shop.svc/"),
            ("http://gate.shop.svc.cluster.local/", "http://gate.shop.svc/"),
            ("https://hooks.example.com/T0/B0", "https://hooks.example.com/T0/B0"),
            ("https://HOOKS.example.com./T0", "https://hooks.example.com./T0"),
            ("https://deep.down.corp.example/x", "https://deep.down.corp.example/x"),
        ] {
            assert_eq!(
                policy().check("shop", url).map(|url| url.to_string()).as_deref(),
                Ok(sent),
                "{url}"
            );
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        for (url, why) in [
            (
                "http://gate.bank/ask",
                "neither a Service of namespace shop nor allowed",
            ),
            ("http://gate.bank.svc/ask", "neither a Service"),
            ("http://gate.shop.example.com/", "neither a Service"),
            ("https://example.com/", "neither a Service"),
            ("https://corp.example/", "neither a Service"),
            ("https://evilcorp.example/", "neither a Service"),
            ("http://10.1.2.3/", "neither a Service"),
            ("http://169.254.169.254/latest", "link-local"),
            ("http://[fe80::1]/", "link-local"),
            ("http://[fd00:ec2::254]/", "link-local"),
            ("http://127.0.0.1:8080/", "loopback"),
            ("http://[::1]/", "loopback"),
            ("http://2130706433/", "loopback"),
            ("http://[::ffff:127.0.0.1]/", "loopback"),
            ("http://0.0.0.0/", "no host's own"),
            ("https://10.96.0.1/", "the API server"),
            ("ftp://gate/", "neither http nor https"),
            ("http://user:secret@gate/", "could be read"),
            ("gate", "relative URL"),
        ] {
            let refused = policy().check("shop", url).expect_err(url);
            assert!(refused.contains(why), "{url}: {refused}");
        }
    }
}
