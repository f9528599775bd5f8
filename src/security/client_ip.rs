//! Whose address a request comes from: a proxy is believed only if it is ours.

use std::net::IpAddr;

use ipnet::IpNet;

/// The right-most address that is not one of our proxies.
///
/// `peer` is the other end of the connection. Only if it is a trusted proxy is `forwarded` (the values of
/// `X-Forwarded-For`, in order) read, from the right, until an address that is none of ours: everything further
/// left could have been written by the client.
#[must_use]
pub fn client_ip<'a>(
    peer: Option<IpAddr>,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    let ours = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut client = peer?.to_canonical();
    if !ours(&client) {
        return Some(client);
    }
    for hop in forwarded.flat_map(|value| value.split(',')).collect::<Vec<_>>().into_iter().rev() {
        let Some(address) = parse_hop(hop.trim()) else { break };
        client = address;
        if !ours(&client) {
            break;
        }
    }
    Some(client)
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:8080`, `2001:db8::1`, `[2001:db8::1]:8080`.
fn parse_hop(text: &str) -> Option<IpAddr> {
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
        client_ip(Some(peer.parse().unwrap()), forwarded.iter().copied(), &trusted).unwrap().to_string()
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
}
