//! Under which addresses clients are told to reach a shard.

use std::net::{IpAddr, SocketAddr};

/// The candidates of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardAddress {
    /// For a client on this machine: loopback first, since a laptop may have nothing else.
    pub local_candidates: Vec<SocketAddr>,
    /// For everybody else.
    pub candidates: Vec<SocketAddr>,
}

/// The candidates of a shard on `port`. `announce` replaces this machine's own addresses.
/// `ipv6` says whether the socket can speak it.
pub fn shard_addresses(port: u16, announce: &[IpAddr], ipv6: bool) -> ShardAddress {
    let own: Vec<IpAddr> = if announce.is_empty() {
        interface_addresses()
    } else {
        announce.to_vec()
    };
    let usable = |ip: &&IpAddr| ipv6 || ip.is_ipv4();
    let candidates: Vec<SocketAddr> = own
        .iter()
        .filter(usable)
        .filter(|ip| !announce.is_empty() || !ip.is_loopback())
        .map(|&ip| SocketAddr::new(ip, port))
        .collect();
    let loopback: [IpAddr; 2] = [
        std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::Ipv6Addr::LOCALHOST.into(),
    ];
    let mut local_candidates: Vec<SocketAddr> = loopback
        .iter()
        .filter(usable)
        .map(|&ip| SocketAddr::new(ip, port))
        .collect();
    for &candidate in &candidates {
        if !local_candidates.contains(&candidate) {
            local_candidates.push(candidate);
        }
    }
    ShardAddress {
        // A server that is reached through loopback alone has nothing else to offer to anybody.
        candidates: if candidates.is_empty() {
            local_candidates.clone()
        } else {
            candidates
        },
        local_candidates,
    }
}

/// This machine's addresses, IPv4 before IPv6, without link-local ones: those need a zone, which
/// candidates cannot carry.
fn interface_addresses() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces
            .into_iter()
            .map(|interface| interface.ip())
            .filter(|ip| match ip {
                IpAddr::V4(ip) => !ip.is_link_local(),
                IpAddr::V6(ip) => !ip.is_unicast_link_local(),
            })
            .collect(),
        Err(error) => {
            tracing::warn!(
                "the addresses of this machine cannot be read ({error}): use --announce"
            );
            Vec::new()
        }
    };
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_addresses_replace_the_machines_own() {
        let announce = [
            "203.0.113.5".parse().unwrap(),
            "2001:db8::5".parse().unwrap(),
        ];
        let address = shard_addresses(7880, &announce, true);
        let texts: Vec<_> = address.candidates.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["203.0.113.5:7880", "[2001:db8::5]:7880"]);
        assert_eq!(address.local_candidates[0].to_string(), "127.0.0.1:7880");
        assert_eq!(address.local_candidates.len(), 4);
    }

    #[test]
    fn without_ipv6_no_candidate_speaks_it() {
        let announce = ["2001:db8::5".parse().unwrap()];
        let address = shard_addresses(1, &announce, false);
        assert!(address.candidates.iter().all(SocketAddr::is_ipv4));
        assert!(!address.candidates.is_empty());
    }
}
