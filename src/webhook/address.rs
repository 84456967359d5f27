//! Which addresses a tenant's webhook may have: Services of its own namespace, and hosts that the platform's owner allows.
//!
//! Otherwise whoever may write a CanaryRollout could let the controller, which sits behind the cluster's
//! firewalls, talk to the cloud's metadata service, to the API server, or to other tenants.

use std::net::IpAddr;

use reqwest::Url;

use super::{
    failure::Failure,
    ranges::{self, Kind},
};

/// What the platform's owner allows.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Hosts outside of a rollout's own namespace: names, addresses, or `*.example.com` for whatever ends so.
    pub allowed_hosts: Vec<String>,
    /// Addresses of the API server.
    pub api_server: Vec<IpAddr>,
}

/// Where an address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What is asked for. A Service's name is completed, so that it means one namespace.
    pub url: Url,
    /// How the addresses to connect to are found.
    pub by: By,
}

/// How the addresses to connect to are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The API server knows this Service; DNS, which may follow it anywhere, is not asked.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// It is an address.
    Address(IpAddr),
    /// DNS knows it.
    Name(Trust),
}

/// To which addresses a name may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The platform's owner has named it: those of private networks as well.
    Named,
    /// It ends as a pattern asks for, and who owns it is not known: global ones.
    Matched,
}

impl Policy {
    /// Where this address of a rollout leads, or why it is refused.
    pub fn destination(&self, namespace: &str, url: &str) -> Result<Destination, Failure> {
        let mut url = parsed(url)?;
        let Some(host) = url
            .host_str()
            .map(|host| host.trim_end_matches('.').to_ascii_lowercase())
        else {
            return Err(Failure::new("it names no host"));
        };
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        if let Some(why) = literal.and_then(|address| self.forbidden(address)) {
            return Err(Failure::in_full(why, format!("{host} is {why}")));
        }
        let allowed = self.allowed_hosts.iter().filter_map(|pattern| matches(pattern, &host));
        let allowed = allowed.reduce(|one, other| if one == Trust::Named { one } else { other });
        let by = match (literal, allowed) {
            (Some(address), Some(_)) => By::Address(address),
            (None, Some(trust)) => {
                service(&host, None).map_or(By::Name(trust), |(namespace, name)| by_service(namespace, name))
            }
            (None, None) if let Some((namespace, name)) = service(&host, Some(namespace)) => {
                by_service(namespace, name)
            }
            (_, None) => {
                return Err(Failure::in_full(
                    "its host is neither a Service of the rollout's namespace nor allowed: the platform's owner can add it to the chart's webhooks.allowedHosts",
                    format!(
                        "{host} is neither a Service of namespace {namespace} nor allowed: the platform's owner can add it to the chart's webhooks.allowedHosts"
                    ),
                ));
            }
        };
        if let By::Service { namespace, name } = &by {
            url.set_host(Some(&format!("{name}.{namespace}.svc")))
                .map_err(|_| Failure::new("its host is no name of a Service"))?;
        }
        Ok(Destination { url, by })
    }

    /// What this address is, if no webhook may go there, whatever led to it.
    pub fn forbidden(&self, address: IpAddr) -> Option<&'static str> {
        let is = |address: &IpAddr| self.api_server.contains(address);
        if is(&address) || ranges::behind_nat64(address).as_ref().is_some_and(is) {
            return Some("the API server");
        }
        match ranges::kind(address) {
            Kind::Refused(why) => Some(why),
            Kind::Global | Kind::Private => None,
        }
    }

    /// The same of an address to which DNS led.
    pub fn forbidden_by_name(&self, address: IpAddr, trust: Trust) -> Option<&'static str> {
        let private = trust == Trust::Matched && ranges::kind(address) == Kind::Private;
        self.forbidden(address).or_else(|| {
            private.then_some(
                "an address of a private network, and webhooks.allowedHosts has a pattern for it and not its name",
            )
        })
    }
}

fn parsed(url: &str) -> Result<Url, Failure> {
    let parsed = Url::parse(url).map_err(|error| Failure::in_full("it is no URL", format!("{error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(Failure::in_full(
            "its scheme is neither http nor https",
            format!("scheme {} is neither http nor https", parsed.scheme()),
        ));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Failure::new(
            "a name or password in the address could be read by everybody: use a Secret",
        ));
    }
    Ok(parsed)
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

fn by_service(namespace: &str, name: &str) -> By {
    By::Service {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// Namespace and name of the Service, if the host is one: `name.namespace.svc` or `….svc.cluster.local`, and, of the namespace `own`,
/// `name` and `name.namespace`. Of `own` it must be, if that is told.
fn service<'a>(host: &'a str, own: Option<&'a str>) -> Option<(&'a str, &'a str)> {
    let mut parts = host.splitn(3, '.');
    let (name, namespace, rest) = (parts.next()?, parts.next().or(own)?, parts.next());
    let complete = match rest {
        Some(rest) => rest == "svc" || rest.starts_with("svc."),
        None => own.is_some(),
    };
    let is_label =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric());
    let is_own = own.is_none_or(|own| own == namespace);
    (complete && is_own && is_label(name) && is_label(namespace)).then_some((namespace, name))
}

/// How far a host is trusted by a pattern of the platform's owner, if it is.
fn matches(pattern: &str, host: &str) -> Option<Trust> {
    let pattern = pattern.trim().trim_end_matches('.').to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(domain) => host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
            .then_some(Trust::Matched),
        None => (host == pattern).then_some(Trust::Named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let hosts = [
            "hooks.example.com",
            "*.corp.example",
            "calendar.platform.svc",
            "*.tools.svc",
            "10.9.9.9",
        ];
        Policy {
            allowed_hosts: hosts.map(str::to_owned).to_vec(),
            api_server: vec![[10, 96, 0, 1].into(), [52, 1, 1, 1].into()],
        }
    }

    #[test]
    fn services_of_the_own_namespace_and_allowed_hosts_pass() {
        let service = |namespace: &str, name: &str| by_service(namespace, name);
        let name = By::Name;
        for (url, sent, by) in [
            (
                "http://gate:8080/ask",
                "http://gate.shop.svc:8080/ask",
                service("shop", "gate"),
            ),
            (
                "http://gate.shop/ask",
                "http://gate.shop.svc/ask",
                service("shop", "gate"),
            ),
            (
                "https://gate.shop.svc",
                "https://gate.shop.svc/",
                service("shop", "gate"),
            ),
            (
                "http://gate.shop.svc.cluster.local/",
                "http://gate.shop.svc/",
                service("shop", "gate"),
            ),
            (
                "http://calendar.platform.svc/",
                "http://calendar.platform.svc/",
                service("platform", "calendar"),
            ),
            ("http://a.tools.svc/", "http://a.tools.svc/", service("tools", "a")),
            (
                "http://10.9.9.9/",
                "http://10.9.9.9/",
                By::Address([10, 9, 9, 9].into()),
            ),
            (
                "https://hooks.example.com/T0/B0",
                "https://hooks.example.com/T0/B0",
                name(Trust::Named),
            ),
            (
                "https://HOOKS.example.com./T0",
                "https://hooks.example.com./T0",
                name(Trust::Named),
            ),
            (
                "https://deep.down.corp.example/x",
                "https://deep.down.corp.example/x",
                name(Trust::Matched),
            ),
        ] {
            let found = policy().destination("shop", url).expect(url);
            assert_eq!((found.url.as_str(), found.by), (sent, by), "{url}");
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
            ("http://calendar.platform/", "neither a Service"),
            ("http://gate.shop.example.com/", "neither a Service"),
            ("http://a_b/", "neither a Service"),
            ("https://example.com/", "neither a Service"),
            ("https://corp.example/", "neither a Service"),
            ("https://evilcorp.example/", "neither a Service"),
            ("http://10.1.2.3/", "neither a Service"),
            ("http://93.184.216.34/", "neither a Service"),
            ("http://169.254.169.254/latest", "link-local"),
            ("http://[fe80::1]/", "link-local"),
            ("http://[fd00:ec2::254]/", "the metadata service"),
            ("http://127.0.0.1:8080/", "loopback"),
            ("http://[::1]/", "loopback"),
            ("http://2130706433/", "loopback"),
            ("http://[::ffff:127.0.0.1]/", "another one hides"),
            ("http://[64:ff9b::a9fe:a9fe]/", "another one hides"),
            ("http://0.0.0.0/", "no host's own"),
            ("https://10.96.0.1/", "the API server"),
            ("https://[64:ff9b::52.1.1.1]/", "the API server"),
            ("ftp://gate/", "neither http nor https"),
            ("http://user:secret@gate/", "could be read"),
            ("gate", "relative URL"),
        ] {
            let refused = policy().destination("shop", url).expect_err(url);
            assert!(
                !refused.hidden().contains("shop") && !refused.hidden().contains("://"),
                "{url}"
            );
            let refused = refused.full();
            assert!(refused.contains(why), "{url}: {refused}");
        }
    }

    #[test]
    fn a_name_leads_into_private_networks_only_if_the_owner_has_named_it() {
        let led = |address: &str, trust| policy().forbidden_by_name(address.parse().unwrap(), trust);
        for trust in [Trust::Named, Trust::Matched] {
            assert_eq!(led("93.184.216.34", trust), None);
            assert_eq!(led("10.96.0.1", trust), Some("the API server"));
            assert_eq!(led("169.254.169.254", trust), Some("a link-local address"));
        }
        assert_eq!(led("10.1.2.3", Trust::Named), None);
        assert!(led("10.1.2.3", Trust::Matched).is_some_and(|why| why.contains("private network")));
    }
}
