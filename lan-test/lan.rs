//! A pretend LAN on one machine, made of namespaces, without root.
//!
//! Hosts `h1..hN` are network namespaces, each with one interface `eth` (10.77.0.i/24) into a bridge that lives in a
//! namespace of its own, `sw`. Everything sits in private user, network, mount and process namespaces: when the harness
//! ends, however it ends, the kernel removes the LAN and whatever still runs on it.

use crate::trouble::{Outcome, Trouble};
use ringtalk::sim::port::Bandwidth;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Set in the harness that runs inside the namespaces.
const INSIDE: &str = "LAN_TEST_INSIDE";
/// User, network, mount and process namespaces; the last one, so that nothing outlives the harness.
const UNSHARE: [&str; 7] = ["-Urnm", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
/// The longest IPv4 packet that carries one datagram of ringtalk: 1,400 bytes and the headers of IP and UDP.
const LONGEST_PACKET_BYTES: u64 = 1_428;

/// Bytes that a narrow wire takes on at once: what passes in some ten milliseconds, since its clock is no finer.
const AT_ONCE_BYTES: usize = 16_000;

/// Goes on inside the namespaces: returns there, and only there.
///
/// # Errors
/// One line that says why this machine cannot make them.
pub(crate) fn enter() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_some() {
        return prepare().map_err(|trouble| trouble.to_string());
    }
    for tool in ["ip", "nft", "tc", "mount"] {
        if let Err(error) = Command::new(tool).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status() {
            return Err(format!("no `{tool}` here ({error})"));
        }
    }
    let probe = Command::new("unshare").args(UNSHARE).arg("true").output();
    match probe {
        Err(error) => return Err(format!("no `unshare` here ({error})")),
        Ok(said) if !said.status.success() => {
            return Err(format!("namespaces are refused: {}", String::from_utf8_lossy(&said.stderr).trim()));
        }
        Ok(_) => {}
    }
    let harness = std::env::current_exe().map_err(|error| error.to_string())?;
    let error = Command::new("unshare")
        .args(UNSHARE)
        .arg("--")
        .arg(harness)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(format!("unshare: {error}"))
}

/// What `ip netns` needs: a private `/run/netns`.
fn prepare() -> Outcome<()> {
    tool("mount", &["-t", "tmpfs", "lan-test", "/run"], None)?;
    std::fs::create_dir("/run/netns").map_err(Trouble::io("create", "/run/netns"))
}

/// Runs a tool to its end and returns what it printed.
fn tool(program: &str, args: &[&str], script: Option<&str>) -> Outcome<String> {
    let command = || format!("{program} {}", args.join(" "));
    let mut child = Command::new(program)
        .args(args)
        .stdin(if script.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Trouble::io("run", program))?;
    if let (Some(script), Some(mut stdin)) = (script, child.stdin.take()) {
        stdin.write_all(script.as_bytes()).map_err(Trouble::io("write to", program))?;
    }
    let said = child.wait_with_output().map_err(Trouble::io("wait for", program))?;
    if said.status.success() {
        Ok(String::from_utf8_lossy(&said.stdout).into_owned())
    } else {
        Err(Trouble::Tool { command: command(), said: String::from_utf8_lossy(&said.stderr).into_owned() })
    }
}

/// Packets and bytes that an nftables counter saw.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Count {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Count {
    /// The mean size of a packet, in bytes; zero when there was none.
    pub(crate) fn mean_bytes(self) -> u64 {
        self.bytes.checked_div(self.packets).unwrap_or(0)
    }

    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// The LAN: its hosts, and what is wrong with its wires.
#[derive(Debug)]
pub(crate) struct Lan {
    hosts: u8,
    lossy: bool,
    narrow: bool,
    /// Everything that losses took since the LAN was built or mended.
    dropped: Count,
}

impl Lan {
    /// Builds hosts 1 to `hosts` on one bridge. One LAN at a time.
    pub(crate) fn build(hosts: u8) -> Outcome<Self> {
        tool("ip", &["netns", "add", "sw"], None)?;
        tool(
            "ip",
            &["-n", "sw", "-batch", "-"],
            Some("link add br0 type bridge mcast_snooping 0\nlink set br0 up\nlink set lo up\n"),
        )?;
        for i in 1..=hosts {
            let host = format!("h{i}");
            tool("ip", &["netns", "add", &host], None)?;
            let wire = format!(
                "link add eth type veth peer name p{i} netns sw\naddr add 10.77.0.{i}/24 dev eth\nlink set lo up\n\
                 link set eth up\nroute add 224.0.0.0/4 dev eth\n"
            );
            tool("ip", &["-n", &host, "-batch", "-"], Some(&wire))?;
            tool("ip", &["-n", "sw", "link", "set", &format!("p{i}"), "master", "br0", "up"], None)?;
        }
        in_switch(
            "table bridge lan {\n chain cuts { type filter hook forward priority 0; policy accept; }\n \
             chain count { type filter hook prerouting priority 0; policy accept; ip protocol udp counter; }\n}\n",
        )?;
        Ok(Self { hosts, lossy: false, narrow: false, dropped: Count::default() })
    }

    /// How many hosts there are.
    pub(crate) fn hosts(&self) -> u8 {
        self.hosts
    }

    /// Loses `percent` of the datagrams that arrive at each host, each by itself; 0 ends it. TCP keeps its own promises.
    ///
    /// A veth carries a burst of datagrams as one packet, so bursts are forbidden while anything is lost.
    pub(crate) fn lose(&mut self, percent: u8) -> Outcome<()> {
        self.bursts(percent == 0)?;
        self.lose_bursts(percent)
    }

    /// As [`Lan::lose`], with bursts left as they are: what the check of the mean size must catch.
    pub(crate) fn lose_bursts(&mut self, percent: u8) -> Outcome<()> {
        self.end_loss()?;
        if percent == 0 {
            return Ok(());
        }
        for i in 1..=self.hosts {
            in_host(
                i,
                &format!(
                    "table netdev loss {{\n chain in {{ type filter hook ingress device \"eth\" priority 0; policy \
                     accept;\n  ip protocol udp numgen random mod 100 < {percent} counter drop\n }}\n}}\n"
                ),
            )?;
        }
        self.lossy = true;
        Ok(())
    }

    fn bursts(&self, allowed: bool) -> Outcome<()> {
        let most = if allowed { "65535" } else { "1" };
        for i in 1..=self.hosts {
            tool("ip", &["-n", &format!("h{i}"), "link", "set", "eth", "gso_max_segs", most], None)?;
        }
        Ok(())
    }

    fn end_loss(&mut self) -> Outcome<()> {
        if !self.lossy {
            return Ok(());
        }
        for i in 1..=self.hosts {
            let host = format!("h{i}");
            let list = ["netns", "exec", &host, "nft", "-j", "list", "table", "netdev", "loss"];
            self.dropped.add(counted(&tool("ip", &list, None)?));
            in_host(i, "delete table netdev loss\n")?;
        }
        self.lossy = false;
        Ok(())
    }

    /// Ends the loss and tells what it took. Each datagram must have been lost by itself.
    pub(crate) fn dropped(&mut self) -> Outcome<Count> {
        self.lose(0)?;
        let dropped = std::mem::take(&mut self.dropped);
        if dropped.mean_bytes() > LONGEST_PACKET_BYTES {
            return Err(Trouble::broken(format!(
                "the loss took bursts, not datagrams: {} packets of {} bytes in the mean",
                dropped.packets,
                dropped.mean_bytes()
            )));
        }
        Ok(dropped)
    }

    /// Whether this kernel can make a wire narrow.
    #[expect(clippy::unused_self, reason = "the LAN has to stand")]
    pub(crate) fn can_narrow(&self) -> bool {
        let tried = format!(
            "qdisc add dev lo root tbf rate 1mbit burst {AT_ONCE_BYTES} limit {AT_ONCE_BYTES}\nqdisc del dev lo root\n"
        );
        tool("ip", &["netns", "exec", "sw", "tc", "-batch", "-"], Some(&tried)).is_ok()
    }

    /// Lets so much pass each host's wire, each way, with a queue before it; `None` ends it.
    pub(crate) fn narrow(&mut self, bandwidth: Option<Bandwidth>) -> Outcome<()> {
        for i in (1..=self.hosts).filter(|_| self.narrow || bandwidth.is_some()) {
            for (host, port) in [(format!("h{i}"), "eth".to_owned()), ("sw".to_owned(), format!("p{i}"))] {
                let shaper = match bandwidth {
                    Some(Bandwidth { bits, queue_bytes }) => {
                        format!(
                            "qdisc replace dev {port} root tbf rate {bits}bit burst {AT_ONCE_BYTES} limit {queue_bytes}\n"
                        )
                    }
                    None => format!("qdisc del dev {port} root\n"),
                };
                tool("ip", &["netns", "exec", &host, "tc", "-batch", "-"], Some(&shaper))?;
            }
        }
        self.narrow = bandwidth.is_some();
        Ok(())
    }

    /// Drops everything from any host of `from` to any of `to`, until [`Lan::heal`]. Cuts add up.
    #[expect(clippy::unused_self, reason = "the LAN has to stand")]
    pub(crate) fn cut_one_way(&self, from: &[u8], to: &[u8]) -> Outcome<()> {
        let mut rules = String::new();
        for (i, j) in from.iter().flat_map(|i| to.iter().map(move |j| (i, j))) {
            let _ = writeln!(rules, "add rule bridge lan cuts iifname \"p{i}\" oifname \"p{j}\" drop");
        }
        in_switch(&rules)
    }

    /// Drops everything between the two groups, both ways.
    pub(crate) fn cut(&self, one: &[u8], other: &[u8]) -> Outcome<()> {
        self.cut_one_way(one, other)?;
        self.cut_one_way(other, one)
    }

    /// Undoes all cuts.
    #[expect(clippy::unused_self, reason = "the LAN has to stand")]
    pub(crate) fn heal(&self) -> Outcome<()> {
        in_switch("flush chain bridge lan cuts\n")
    }

    /// Undoes all cuts and losses, and widens all wires.
    pub(crate) fn mend(&mut self) -> Outcome<()> {
        self.heal()?;
        self.lose(0)?;
        self.narrow(None)?;
        self.dropped = Count::default();
        Ok(())
    }

    /// Datagrams that entered the bridge since the LAN was built: a multicast counts once.
    #[expect(clippy::unused_self, reason = "the LAN has to stand")]
    pub(crate) fn datagrams(&self) -> Outcome<Count> {
        let list = ["netns", "exec", "sw", "nft", "-j", "list", "chain", "bridge", "lan", "count"];
        Ok(counted(&tool("ip", &list, None)?))
    }
}

fn in_switch(script: &str) -> Outcome<()> {
    tool("ip", &["netns", "exec", "sw", "nft", "-f", "-"], Some(script)).map(drop)
}

fn in_host(host: u8, script: &str) -> Outcome<()> {
    tool("ip", &["netns", "exec", &format!("h{host}"), "nft", "-f", "-"], Some(script)).map(drop)
}

/// The sum of all counters in what `nft -j list` printed.
fn counted(listing: &str) -> Count {
    fn visit(value: &serde_json::Value, sum: &mut Count) {
        match value {
            serde_json::Value::Array(items) => items.iter().for_each(|item| visit(item, sum)),
            serde_json::Value::Object(fields) => {
                if let Some(counter) = fields.get("counter") {
                    let number = |name: &str| counter.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
                    sum.add(Count { packets: number("packets"), bytes: number("bytes") });
                }
                fields.values().for_each(|item| visit(item, sum));
            }
            _ => {}
        }
    }
    let mut sum = Count::default();
    if let Ok(listing) = serde_json::from_str(listing) {
        visit(&listing, &mut sum);
    }
    sum
}
