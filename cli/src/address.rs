//! Decides which address clients are told to reach the broker at.
//!
//! The address listened on and the address told are two things: behind NAT, in a container, or when listening on
//! all addresses, the first is of no use to clients.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The address to tell, and what the operator should know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advertised {
    pub(crate) address: IpAddr,
    pub(crate) warning: Option<String>,
}

/// The operator named an address that nobody can dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} stands for all addresses and is none that a client can reach; set brokerIP1 to one that it can")]
pub(crate) struct Unreachable(IpAddr);

/// Chooses: what `told` says, else what is listened on, else, when that is all addresses, what `local` finds.
pub(crate) fn advertised(
    bound: IpAddr,
    told: Option<IpAddr>,
    local: impl FnOnce(IpAddr) -> Option<IpAddr>,
) -> Result<Advertised, Unreachable> {
    match told {
        Some(told) if told.is_unspecified() => Err(Unreachable(told)),
        Some(told) => {
            let hidden = bound.is_loopback() && !told.is_loopback();
            let warning = hidden.then(|| {
                format!(
                    "clients are told {told} (brokerIP1), but bindAddress is {bound}, so that only this \
                     machine reaches the broker unless something forwards to it"
                )
            });
            Ok(Advertised { address: told, warning })
        }
        None if !bound.is_unspecified() => Ok(Advertised { address: bound, warning: None }),
        None => Ok(match local(bound) {
            Some(address) => Advertised { address, warning: None },
            None => {
                let loopback =
                    if bound.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
                let warning = format!(
                    "found no address of this machine to tell clients, so they are told {loopback}, which works \
                     on this machine only; set brokerIP1 to the address that they can reach"
                );
                Advertised { address: loopback, warning: Some(warning) }
            }
        }),
    }
}

/// The address of the interface with the default route, for a listener on all addresses `bound`.
///
/// Connecting a datagram socket sends nothing: it only has the kernel choose the route, and with it the source
/// address. The destinations are addresses reserved for documentation, which no route treats specially.
pub(crate) fn local(bound: IpAddr) -> Option<IpAddr> {
    let v4: (IpAddr, IpAddr) = (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let v6: (IpAddr, IpAddr) =
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    // A listener on `::` serves IPv4 too, and clients that know only IPv4 are the more common ones.
    let tries = if bound.is_ipv4() { vec![v4] } else { vec![v4, v6] };
    tries.into_iter().find_map(|(source, destination)| {
        let socket = UdpSocket::bind(SocketAddr::new(source, 0)).ok()?;
        socket.connect(SocketAddr::new(destination, 9)).ok()?;
        let address = socket.local_addr().ok()?.ip();
        (!address.is_unspecified() && !address.is_loopback()).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("a test's address")
    }

    fn choose(bound: &str, told: Option<&str>, local: Option<&str>) -> Result<Advertised, Unreachable> {
        advertised(ip(bound), told.map(ip), |_| local.map(ip))
    }

    #[test]
    fn what_the_operator_says_comes_first_then_what_is_listened_on_then_what_is_found() {
        let told = |bound, told, local| choose(bound, told, local).unwrap();
        let plain = |address| Advertised { address: ip(address), warning: None };
        assert_eq!(told("0.0.0.0", Some("203.0.113.7"), Some("10.0.0.1")), plain("203.0.113.7"));
        assert_eq!(told("10.0.0.2", None, Some("10.0.0.1")), plain("10.0.0.2"));
        assert_eq!(told("0.0.0.0", None, Some("10.0.0.1")), plain("10.0.0.1"));
        assert_eq!(told("::", Some("2001:db8::5"), None), plain("2001:db8::5"));
    }

    #[test]
    fn a_wildcard_cannot_be_told_to_clients() {
        assert_eq!(choose("0.0.0.0", Some("0.0.0.0"), None), Err(Unreachable(ip("0.0.0.0"))));
        assert_eq!(choose("::1", Some("::"), None), Err(Unreachable(ip("::"))));
    }

    #[test]
    fn an_address_that_cannot_work_elsewhere_is_told_with_a_warning() {
        let nothing_found = choose("::", None, None).unwrap();
        assert!(nothing_found.address == ip("::1") && nothing_found.warning.is_some());
        let behind_loopback = choose("127.0.0.1", Some("203.0.113.7"), None).unwrap();
        assert!(behind_loopback.warning.unwrap().contains("bindAddress is 127.0.0.1"));
    }
}
