//! What the kernel drops before the server can read it: Linux counts it for each socket.

use std::fs;

/// The tables of all UDP sockets, which a system without them does not have.
const TABLES: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];

/// For each of `ports`, how many datagrams the kernel dropped since the socket was opened, mostly since its
/// buffer was full. `None` where the system does not say.
pub(super) fn kernel_drops(ports: &[u16]) -> Vec<Option<u64>> {
    let tables: Vec<String> = TABLES
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    ports
        .iter()
        .enumerate()
        .map(|(index, &port)| {
            // The sockets of a port that is shared are counted once, together.
            if ports[..index].contains(&port) {
                return None;
            }
            let drops = tables.iter().flat_map(|table| drops_in(table, port));
            drops.reduce(|sum, drops| sum + drops)
        })
        .collect()
}

/// The last column of the lines of sockets that are bound to `port` of every address.
fn drops_in(table: &str, port: u16) -> impl Iterator<Item = u64> {
    table.lines().skip(1).filter_map(move |line| {
        let mut columns = line.split_ascii_whitespace();
        let (address, of) = columns.nth(1)?.rsplit_once(':')?;
        let bound = u16::from_str_radix(of, 16).ok()? == port;
        let every = address.bytes().all(|digit| digit == b'0');
        let drops = columns.next_back()?.parse().ok()?;
        (bound && every).then_some(drops)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
   sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  412: 00000000000000000000000000000000:1EC8 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1234 2 0000000000000000 17
  413: 00000000000000000000000001000000:1EC8 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1235 2 0000000000000000 5
  414: 00000000000000000000000000000000:1EC9 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1236 2 0000000000000000 3
";

    #[test]
    fn the_drops_of_a_port_are_in_the_last_column() {
        assert_eq!(drops_in(TABLE, 7_880).collect::<Vec<_>>(), [17]);
        assert_eq!(drops_in(TABLE, 7_881).collect::<Vec<_>>(), [3]);
        assert_eq!(drops_in(TABLE, 7_882).count(), 0);
        assert_eq!(drops_in("nonsense\n1: x\n", 1).count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_buffer_is_seen() {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket2::SockRef::from(&socket)
            .set_recv_buffer_size(2_048)
            .unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(kernel_drops(&[port]), [Some(0)]);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1_000], ("127.0.0.1", port)).unwrap();
        }
        assert!(kernel_drops(&[port])[0] > Some(50));
    }
}
