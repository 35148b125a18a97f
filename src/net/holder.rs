//! Who holds a UDP port on this machine, as far as the system shows.

use std::fs;
use std::path::Path;

/// Pid and name of a process with a socket on this UDP port, other than this one; `None` where `/proc` hides it or there
/// is none.
///
/// Shared holders count like any other: it is asked only after a bind was refused.
pub(crate) fn holder_of(port: u16) -> Option<(u32, String)> {
    let sockets = fs::read_to_string("/proc/net/udp").ok()?;
    let sockets6 = fs::read_to_string("/proc/net/udp6").unwrap_or_default();
    let inodes: Vec<&str> = sockets.lines().chain(sockets6.lines()).filter_map(|line| inode_on(line, port)).collect();
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| pid != std::process::id())
        .collect();
    pids.sort_unstable();
    let pid = pids.into_iter().find(|&pid| has_socket(pid, &inodes))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some((pid, name.trim_end().to_owned()))
}

/// The socket's inode, when the line of `/proc/net/udp` is of this port.
fn inode_on(line: &str, port: u16) -> Option<&str> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let (_, hex) = local.rsplit_once(':')?;
    let is_ours = u16::from_str_radix(hex, 16) == Ok(port);
    fields.nth(7).filter(|_| is_ours)
}

fn has_socket(pid: u32, inodes: &[&str]) -> bool {
    let Ok(open) = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")) else { return false };
    open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).any(|target| {
        let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'));
        inode.is_some_and(|inode| inodes.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_the_port_gives_its_inode() {
        let line = "  123: 00000000:205C 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000  0 98765 2 0 0";
        assert_eq!(inode_on(line, 8284), Some("98765"));
        assert_eq!(inode_on(line, 8285), None);
        assert_eq!(inode_on("  sl  local_address rem_address   st", 8284), None);
    }
}
