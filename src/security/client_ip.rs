//! The address that a request comes from: a proxy is believed only if it is ours.

use std::net::IpAddr;

use ipnet::IpNet;

/// The right-most address that is not one of our proxies.
///
/// `peer` is the other end of the connection. Only if it is a trusted proxy is `forwarded` (the values of
/// `X-Forwarded-For`, in order) read, from the right, until an address that is not a trusted proxy:
/// everything further left could have been written by the client, in any bytes.
#[must_use]
pub fn client_ip<'a>(
    peer: Option<IpAddr>,
    forwarded: impl Iterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    let mut client = peer?.to_canonical();
    if !is_among(trusted, client) {
        return Some(client);
    }
    let hops: Vec<_> = forwarded.flat_map(|value| value.split(|byte| *byte == b',')).collect();
    // Empty members of a list are ignored (RFC 9110, section 5.6.1).
    for hop in hops.into_iter().rev().map(<[u8]>::trim_ascii).filter(|hop| !hop.is_empty()) {
        let Some(address) = parse_hop(hop) else { break };
        client = address;
        if !is_among(trusted, client) {
            break;
        }
    }
    Some(client)
}

/// Whether the address is in one of the networks.
#[must_use]
pub fn is_among(nets: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    nets.iter().any(|net| net.contains(&address))
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:8080`, `2001:db8::1`, `[2001:db8::1]:8080`.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let address = text.parse().or_else(|_| bracketed.unwrap_or_default().parse());
    let address = address.or_else(|_| text.parse().map(|socket: std::net::SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let forwarded = forwarded.iter().map(|value| value.as_bytes());
        client_ip(Some(peer.parse().unwrap()), forwarded, &trusted).unwrap().to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(found("192.0.2.7", &["198.51.100.1"]), "192.0.2.7");
    }

    #[test]
    fn the_right_most_stranger_counts() {
        assert_eq!(found("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(found("10.0.0.1", &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(found("fd00::1", &["[2001:db8::5]:4711"]), "2001:db8::5");
    }

    #[test]
    fn nonsense_stops_the_search() {
        assert_eq!(found("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(found("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(found("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn what_a_client_has_written_before_is_not_even_read() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let seen = |lines: &[&'static [u8]]| {
            client_ip(Some("10.0.0.1".parse().unwrap()), lines.iter().copied(), &trusted).unwrap().to_string()
        };
        assert_eq!(seen(&[b"caf\xe9, 203.0.113.7"]), "203.0.113.7");
        assert_eq!(seen(&[b"198.51.100.1, caf\xe9", b"203.0.113.7, 10.0.0.2"]), "203.0.113.7");
        assert_eq!(seen(&[b"203.0.113.7", b"caf\xe9"]), "10.0.0.1", "the proxy itself has written nonsense");
        assert_eq!(seen(&[b"203.0.113.7, , ", b""]), "203.0.113.7");
    }
}
