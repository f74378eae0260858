//! User ids and patterns for them.
//!
//! The local part may have the characters of old ids too (anything visible in
//! ASCII but `:`): the server knows whether the account exists, we only have
//! to know that this can be an account.

use super::Fault;

/// The longest user id in bytes, from the Matrix specification.
const MAX: usize = 255;

/// A full user id.
pub(crate) fn user_id(text: &str) -> Result<String, Fault> {
    let wrong = |predicate: &str| Err(Fault::new(predicate).label("write `\"@name:server\"`"));
    let Some(id) = text.strip_prefix('@') else {
        return wrong("is not a user id: it does not start with `@`");
    };
    let Some((local, server)) = id.split_once(':') else {
        return wrong("is not a user id: it has no `:` and server");
    };
    if text.len() > MAX {
        return Err(Fault::new(format!("is not a user id: it is longer than {MAX} bytes")));
    }
    if local.is_empty() || !local.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("is not a user id: what stands before the `:` is not a name");
    }
    if !is_server_name(server) {
        return wrong("is not a user id: what stands after the `:` is not a server");
    }
    Ok(text.to_owned())
}

/// A pattern that could match some user id, of Matrix or of Messager.
pub(crate) fn user_glob(text: &str) -> Result<(), Fault> {
    if could_be_uuid(text) {
        return Ok(());
    }
    let wild = text.contains(['*', '?']);
    let server = if text.contains(':') || text.is_empty() { "example.org" } else { text };
    let wrong = |why: &str| {
        let fault = Fault::new(format!("matches no user id: {why}"));
        Err(fault.label(format!("write `@*:{}` or `@name:{0}`", server.trim_start_matches('@'))))
    };
    if !text.starts_with(['@', '*', '?']) {
        wrong("it does not start with `@`")
    } else if !text.contains(':') && !wild {
        wrong("it has no `:` and server")
    } else {
        Ok(())
    }
}

/// Whether a pattern could match a UUID, as Messager's accounts have.
pub(crate) fn could_be_uuid(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f' | b'-' | b'*' | b'?');
    let is_long_enough = text.len() == 36 || text.contains('*');
    (1..=36).contains(&text.len()) && is_long_enough && text.bytes().all(fits)
}

/// A host name, an IPv4 address or an IPv6 address in brackets; perhaps a port.
fn is_server_name(server: &str) -> bool {
    let (host, port) = match server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("ip", port),
        Some(_) => return false,
        None => server.split_at(server.find(':').unwrap_or(server.len())),
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let numbered = match port.strip_prefix(':') {
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        }
        None => port.is_empty(),
    };
    !host.is_empty() && host.bytes().all(named) && numbered
}

#[cfg(test)]
mod tests {
    use super::{user_glob, user_id};

    #[test]
    fn a_user_id_has_a_name_and_a_server() {
        for good in ["@a:b", "@a.B=c/d:example.org", "@a:1.2.3.4:8448", "@a:[::1]:80", "@a:b:1"] {
            assert!(user_id(good).is_ok(), "{good}");
        }
        let long = format!("@{}:example.org", "a".repeat(250));
        for bad in [
            "",
            "a",
            "a:b",
            "@a",
            "@:b",
            "@a:",
            "@a b:c",
            "@a:b c",
            "@a:b:",
            "@ä:b",
            "@a:[x]",
            "@a:b:99999",
            &long,
        ] {
            assert!(user_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_can_match_some_user_id() {
        let uuid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
        for good in ["*", "@*:example.org", "@a:b", "*:example.org", "@a*", uuid, "0f1e*"] {
            assert!(user_glob(good).is_ok(), "{good}");
        }
        for bad in ["", "example.org", "alice", "@alice", "#room:b", "0f1e", "Alice*", &uuid[1..]] {
            assert!(user_glob(bad).is_err(), "{bad}");
        }
    }
}
