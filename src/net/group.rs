//! Which multicast group a net talks in.

use std::net::Ipv4Addr;

/// The group that the servers of every net listen to: who asks here finds out which nets there are.
///
/// Also the group of the net `default`.
pub const ANY_NET: Ipv4Addr = Ipv4Addr::new(239, 255, 82, 84);

/// The group of a net, of IPv4's local scope (RFC 2365): [`ANY_NET`] for `default`, else one drawn from the name's hash.
///
/// Names are compared without case. Two names may share a group: the datagrams' net tag keeps them apart.
pub fn group_of(net: &str) -> Ipv4Addr {
    let net = crate::name::fold(net);
    if net == "default" {
        return ANY_NET;
    }
    let hash = xxhash_rust::xxh3::xxh3_64(net.as_bytes()).to_le_bytes();
    // Bits of their own: the net tag is the hash's lower half.
    let group = Ipv4Addr::new(239, 255, hash[6], hash[7]);
    // x.0.0 and x.0.1 share their MAC address with 224.0.0.0 and 224.0.0.1, which switches never filter.
    let is_taken = group == ANY_NET || hash[6] == 0;
    if is_taken { Ipv4Addr::new(239, 255, 84, hash[7]) } else { group }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_has_the_group_that_everyone_knows() {
        assert_eq!(group_of("default"), ANY_NET);
        assert_eq!(group_of("Default"), ANY_NET);
    }

    #[test]
    fn other_nets_have_groups_of_their_own_in_the_local_scope() {
        let names: Vec<String> = (0..2000).map(|n| format!("net{n}")).collect();
        let groups: std::collections::BTreeSet<_> = names.iter().map(|name| group_of(name)).collect();
        assert!(groups.len() > 1900, "{} groups", groups.len());
        for group in groups {
            assert_eq!(group.octets()[..2], [239, 255]);
            assert_ne!(group.octets()[2], 0);
            assert_ne!(group, ANY_NET);
        }
        assert_eq!(group_of("Lab2"), group_of("lab2"));
    }
}
