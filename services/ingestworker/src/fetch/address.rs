//! Which addresses may be fetched from: public ones, and what the operator allows beside them.
//! Source: IANA's special-purpose address registries (RFC 6890 and its updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A network in the configuration that is not one.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} in `ingestworker.fetch.allow_networks` is not a network such as 10.1.0.0/16")]
pub struct InvalidNetwork {
    text: String,
    #[source]
    source: ipnet::AddrParseError,
}

/// An address that is not fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a public address; allow its network in `ingestworker.fetch.allow_networks` if it is meant")]
pub struct RefusedAddress(pub IpAddr);

/// Decides by address alone, never by name: names are resolved again by whoever wants to cheat.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allowed: Vec<IpNet>,
}

impl AddressPolicy {
    /// `allow_networks`: CIDR, single addresses without a prefix length too.
    pub fn new(allow_networks: &[String]) -> Result<Self, InvalidNetwork> {
        let parse = |text: &String| {
            text.parse::<IpNet>()
                .or_else(|source| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| source))
                .map_err(|source| InvalidNetwork { text: text.clone(), source })
        };
        Ok(Self { allowed: allow_networks.iter().map(parse).collect::<Result<_, _>>()? })
    }

    pub fn check(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        let reached = embedded_ipv4(address).map_or(address, IpAddr::V4);
        let is_allowed = |candidate: IpAddr| self.allowed.iter().any(|network| network.contains(&candidate));
        if is_public(reached) || is_allowed(reached) || is_allowed(address) {
            Ok(())
        } else {
            Err(RefusedAddress(address))
        }
    }
}

/// The IPv4 host that an IPv6 address stands for, where the network or the kernel forwards to it.
fn embedded_ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    // NAT64 (RFC 6052): public hosts look like this in an IPv6-only cluster, so it is unpacked rather than refused.
    let is_nat64 = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    address.to_ipv4_mapped().or_else(|| {
        let [.., a, b, c, d] = address.octets();
        is_nat64.then(|| Ipv4Addr::new(a, b, c, d))
    })
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_IPV4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_UNICAST.contains(&address) && !SPECIAL_IPV6.iter().any(|network| network.contains(&address))
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: u16, second: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}

const SPECIAL_IPV4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),        // this network
    v4(10, 0, 0, 0, 8),       // private
    v4(100, 64, 0, 0, 10),    // carrier-grade NAT
    v4(127, 0, 0, 0, 8),      // loopback
    v4(168, 63, 129, 16, 32), // Azure's metadata and wire server: public by number only
    v4(169, 254, 0, 0, 16),   // link-local, cloud metadata among it
    v4(172, 16, 0, 0, 12),    // private
    v4(192, 0, 0, 0, 24),     // protocol assignments
    v4(192, 0, 2, 0, 24),     // documentation
    v4(192, 88, 99, 0, 24),   // 6to4 relays
    v4(192, 168, 0, 0, 16),   // private
    v4(198, 18, 0, 0, 15),    // benchmarks
    v4(198, 51, 100, 0, 24),  // documentation
    v4(203, 0, 113, 0, 24),   // documentation
    v4(224, 0, 0, 0, 4),      // multicast
    v4(240, 0, 0, 0, 4),      // reserved, broadcast
];

/// Everything outside is loopback, unspecified, IPv4-compatible, local NAT64, unique local, link-local, multicast or not assigned.
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 3);

const SPECIAL_IPV6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 23),      // protocol assignments: Teredo, ORCHID, benchmarks
    v6(0x2001, 0x0db8, 32), // documentation
    v6(0x2002, 0, 16),      // 6to4: carries any IPv4 address
    v6(0x3fff, 0, 20),      // documentation
];

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allowed: &[&str]) -> AddressPolicy {
        AddressPolicy::new(&allowed.iter().map(ToString::to_string).collect::<Vec<_>>()).expect("networks")
    }

    fn passes(policy: &AddressPolicy, address: &str) -> bool {
        policy.check(address.parse().expect("an address")).is_ok()
    }

    #[test]
    fn only_public_addresses_pass() {
        let public =
            ["1.1.1.1", "93.184.215.14", "172.32.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:1.1.1.1"];
        let refused = [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "2002:101:101::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        let policy = policy(&[]);
        assert!(public.iter().all(|address| passes(&policy, address)));
        for address in refused {
            assert!(!passes(&policy, address), "{address} passed");
        }
    }

    #[test]
    fn an_allowed_network_opens_just_itself_in_every_spelling() {
        let policy = policy(&["10.1.0.0/16", "127.0.0.1", "fd00::/8"]);
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "fd12::1"] {
            assert!(passes(&policy, address), "{address} refused");
        }
        for address in ["10.2.0.1", "127.0.0.2", "fe80::1"] {
            assert!(!passes(&policy, address), "{address} passed");
        }
    }

    #[test]
    fn a_network_that_is_none_is_named() {
        let error = AddressPolicy::new(&["10.0.0.0/40".to_owned()]).expect_err("no network");
        assert!(error.to_string().contains("10.0.0.0/40"));
    }
}
