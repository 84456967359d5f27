//! What kind of address an IP address is: one that anybody may have, one of a private network, or one to which no webhook goes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A global unicast address.
    Global,
    /// One of a private network, or one that is set aside for such.
    Private,
    /// No webhook goes there, for this reason.
    Refused(&'static str),
}

const METADATA: Kind = Kind::Refused("the metadata service of a cloud");
const HIDES: Kind = Kind::Refused("an address in which another one hides");
const NOBODY: Kind = Kind::Refused("no host's own address");
const LINK_LOCAL: Kind = Kind::Refused("a link-local address");
const LOOPBACK: Kind = Kind::Refused("a loopback address");

/// Where clouds serve metadata and credentials, or agents of theirs, besides link-local addresses: Alibaba, Azure, Oracle.
const METADATA_V4: [[u8; 4]; 3] = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]];
/// The same of AWS, Google and Scaleway.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// The kind of an address.
pub fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => of_v6(address),
    }
}

/// The IPv4 address to which a NAT64 gateway sends what is sent to this one.
pub fn behind_nat64(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else {
        return None;
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d).into())
}

fn of_v4(address: Ipv4Addr) -> Kind {
    if METADATA_V4.contains(&address.octets()) {
        return METADATA;
    }
    match address.octets() {
        [127, ..] => LOOPBACK,
        [169, 254, ..] => LINK_LOCAL,
        // This network, multicast, and what is reserved.
        [0 | 224..=255, ..] => NOBODY,
        // Relays of 6to4.
        [192, 88, 99, _] => HIDES,
        // Private networks, and those of providers.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..]
        // Protocols, benchmarks, documentation.
        | [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => Kind::Private,
        _ => Kind::Global,
    }
}

fn of_v6(address: Ipv6Addr) -> Kind {
    if METADATA_V6.contains(&address) {
        return METADATA;
    }
    if let Some(behind) = behind_nat64(address.into()) {
        // Its own prefix is for global addresses alone.
        return if kind(behind) == Kind::Global {
            Kind::Global
        } else {
            HIDES
        };
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => NOBODY,
        [0, 0, 0, 0, 0, 0, 0, 1] => LOOPBACK,
        // Compatible with IPv4, mapped from it, NAT64 of a network's own, Teredo, 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] | [0x2002, ..] => HIDES,
        [0xfe80..=0xfebf, ..] => LINK_LOCAL,
        // Private networks; protocols and documentation.
        [0xfc00..=0xfdff, ..] | [0x2001, 0xdb8 | 0..=0x1ff, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Private,
        [0x2000..=0x3fff, ..] => Kind::Global,
        _ => NOBODY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_anybody_may_have_is_global() {
        for (addresses, expected) in [
            (
                "1.1.1.1 8.8.8.8 93.184.216.34 172.15.0.1 172.32.0.1 100.63.255.255 100.128.0.1 192.0.1.1 198.17.0.1 223.255.255.255 2606:4700::1111 2a00:1450:4001::1 2001:4860:4860::8888 64:ff9b::8.8.8.8",
                "global",
            ),
            (
                "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 198.18.0.1 198.19.255.255 192.0.2.1 198.51.100.1 203.0.113.9 192.0.0.8 fc00::1 fd12:3456::1 2001:db8::1 3fff::1 2001:2::1",
                "private",
            ),
            ("127.0.0.1 127.255.255.255 ::1", "a loopback address"),
            (
                "169.254.0.1 169.254.169.254 169.254.170.2 fe80::1 febf::1",
                "a link-local address",
            ),
            (
                "100.100.100.200 168.63.129.16 192.0.0.192 fd00:ec2::254 fd20:ce::254 fd00:42::42",
                "the metadata service of a cloud",
            ),
            (
                "0.0.0.0 0.1.2.3 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ff02::1 fec0::1 100::1 4000::1 1::1",
                "no host's own address",
            ),
            (
                "::ffff:8.8.8.8 ::ffff:127.0.0.1 ::8.8.8.8 ::169.254.169.254 64:ff9b:1::8.8.8.8 64:ff9b::169.254.169.254 64:ff9b::10.0.0.1 64:ff9b::127.0.0.1 2002:a9fe:a9fe::1 2002:808:808::1 2001:0:1::1 192.88.99.1",
                "an address in which another one hides",
            ),
        ] {
            for address in addresses.split(' ') {
                let found = match kind(address.parse().unwrap()) {
                    Kind::Global => "global",
                    Kind::Private => "private",
                    Kind::Refused(why) => why,
                };
                assert_eq!(found, expected, "{address}");
            }
        }
    }
}
