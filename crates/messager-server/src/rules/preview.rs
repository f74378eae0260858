//! Which links are looked at, and where the server never goes for them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The most links of one message.
const MOST: usize = 3;

/// The links in a text: the first few, each once.
pub(crate) fn links(text: &str) -> Vec<Url> {
    let mut found = Vec::new();
    for word in text.split(|letter: char| letter.is_whitespace() || "<>\"".contains(letter)) {
        let begin = ["https://", "http://"].iter().filter_map(|scheme| word.find(scheme)).min();
        let Some(word) = begin.and_then(|begin| word.get(begin..)) else { continue };
        let word = word.trim_end_matches(|letter| ".,;:!?)]}'*_".contains(letter));
        if let Ok(url) = Url::parse(word)
            && is_plain(&url)
            && !found.contains(&url)
            && found.len() < MOST
        {
            found.push(url);
        }
    }
    found
}

/// Whether it is an address of the web, without a name and a password.
pub(crate) fn is_plain(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && matches!(url.host(), Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_)))
}

/// Whether an address is one of the internet, and none of this computer, of its
/// network or of a special use (the registries of RFC 6890).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Only 2000::/3 is given out. In it are ways to hide an address of IPv4:
    // 6to4 (2002::/16) and Teredo (2001::/32); both are not followed, nor is
    // documentation.
    let [first, second, ..] = segments;
    (first & 0xe000) == 0x2000
        && first != 0x2002
        && !(first == 0x2001 && second < 0x200)
        && !(first == 0x2001 && second == 0xdb8)
        && !(first == 0x3fff && second < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_in_what_people_write() {
        let text = "see https://a.example/x?y=1, (http://b.example). <https://a.example/x?y=1> \
                    ftp://c.example mailto:a@b http://user@d.example http:// x.https://e.example!";
        let found: Vec<String> = links(text).iter().map(Url::to_string).collect();
        assert_eq!(found, ["https://a.example/x?y=1", "http://b.example/", "https://e.example/"]);
        assert_eq!(links("http://a.b http://a.c http://a.d http://a.e").len(), 3);
    }

    #[test]
    fn no_address_of_this_computer_or_its_network_is_public() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::1",
            "3fff:1::1",
            "100::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
