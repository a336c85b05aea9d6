//! Who has a port: Linux tells the sockets of all, and whose they are as far as one may look.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::transport::Protocol;

/// The state of a TCP socket that listens, in the tables.
const LISTENS: &str = "0A";
/// Processes that are looked at.
const MAX_PROCESSES: usize = 10_000;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// Who has the port; `None` where that cannot be seen.
pub(super) fn holder(protocol: Protocol, port: u16) -> Option<Holder> {
    let tables = match protocol {
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let tables = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    let mut wanted = Vec::new();
    for table in tables {
        let sockets = sockets_on(&table, protocol, port);
        wanted.extend(sockets.map(|inode| format!("socket:[{inode}]")));
    }
    if wanted.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut processes = processes
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse::<u32>().ok()?,
                entry.path(),
            ))
        })
        .take(MAX_PROCESSES);
    processes.find_map(|(pid, folder)| {
        has_one_of(&folder, &wanted).then(|| {
            let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
            let name = name.trim().to_owned();
            Holder { pid, name }
        })
    })
}

fn has_one_of(process: &Path, wanted: &[String]) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    files.flatten().any(|file| {
        let target = fs::read_link(file.path()).unwrap_or_default();
        target
            .to_str()
            .is_some_and(|target| wanted.iter().any(|one| one == target))
    })
}

/// The inodes of the sockets that are bound to a port, and of TCP those that listen.
fn sockets_on(table: &str, protocol: Protocol, port: u16) -> impl Iterator<Item = &str> {
    table.lines().skip(1).filter_map(move |line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, of) = columns.get(1)?.rsplit_once(':')?;
        let bound = u16::from_str_radix(of, 16).ok()? == port;
        let counts = protocol == Protocol::Udp || *columns.get(3)? == LISTENS;
        let inode = *columns.get(9)?;
        (bound && counts && inode != "0").then_some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:1F91 0100007F:D432 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000 20 4 30 10 -1
";

    #[test]
    fn the_sockets_of_a_port_are_found_in_the_table() {
        let tcp = sockets_on(TABLE, Protocol::Tcp, 8_080);
        assert_eq!(tcp.collect::<Vec<_>>(), ["4711"]);
        let all = sockets_on(TABLE, Protocol::Udp, 8_080);
        assert_eq!(all.collect::<Vec<_>>(), ["4711", "4712"]);
        assert_eq!(sockets_on(TABLE, Protocol::Udp, 8_081).count(), 0);
        assert_eq!(sockets_on("x\nnonsense", Protocol::Udp, 1).count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_found_by_its_ports() {
        let udp = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [
            (Protocol::Udp, udp.local_addr().unwrap().port()),
            (Protocol::Tcp, tcp.local_addr().unwrap().port()),
        ];
        for (protocol, port) in ports {
            let found = holder(protocol, port).map(|holder| holder.pid);
            assert_eq!(found, Some(std::process::id()));
        }
    }
}
