//! From what somebody typed to the address of a homeserver's API.

use serde_json::Value;
use url::{Host, Url};

use crate::{
    connector::MatrixConnector,
    rest::{Rest, RestError, well_known},
};

/// A homeserver that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where its client-server API is.
    pub base: Url,
    /// The versions of the specification that it speaks, the newest last, as
    /// it says.
    pub versions: Vec<String>,
}

impl Found {
    /// Whether nobody on the way reads what is said: it is encrypted, or does
    /// not leave the machine.
    pub fn is_private(&self) -> bool {
        let is_here = match self.base.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        self.base.scheme() == "https" || is_here
    }
}

/// Why no homeserver was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// It is neither an address nor a server's name.
    #[error(
        "`{typed}` is neither an address such as https://matrix.example.org nor the name of a server"
    )]
    NotAnAddress {
        /// What was given; `…` if there may be a password in it.
        typed: String,
    },
    /// Nobody answers there.
    #[error("{address} cannot be reached: {detail}")]
    NotReached {
        /// Where it was tried.
        address: Url,
        /// What went wrong.
        detail: String,
    },
    /// Somebody answers who is no homeserver.
    #[error("{address} answers, but not as a Matrix homeserver does: {detail}")]
    NoHomeserver {
        /// Where it was tried.
        address: Url,
        /// What came instead.
        detail: String,
    },
}

impl FindError {
    /// What helps.
    pub fn action(&self) -> &'static str {
        match self {
            Self::NotAnAddress { .. } => {
                "give --homeserver https://…, or the part of user ids after the colon"
            }
            Self::NotReached { .. } => {
                "check the name, the network and whether the homeserver runs; --homeserver takes \
                 the address of its client-server API"
            }
            Self::NoHomeserver { .. } => {
                "give --homeserver the address of the client-server API, the one whose \
                 /_matrix/client/versions answers"
            }
        }
    }
}

/// Finds the homeserver that somebody means: by its address, or by the name of
/// the server, whose `/.well-known/matrix/client` is asked then (spec, section
/// "Server discovery"). An address without a homeserver is asked in the same way.
///
/// # Errors
///
/// See [`FindError`].
pub async fn find_homeserver(connector: &MatrixConnector, typed: &str) -> Result<Found, FindError> {
    let http = connector.http();
    let typed = typed.trim();
    let address = address(typed).ok_or_else(|| not_an_address(typed))?;
    let is_name = !typed.contains("://");
    let look_up = async || match well_known(&http, &address).await {
        Ok(answer) => base_url(&answer, &address),
        Err(_) => None,
    };
    // Names lead elsewhere more often than not; addresses are meant as they are.
    if is_name && let Some(base) = look_up().await {
        return ask(Rest::new(http.clone(), base.clone()), base).await;
    }
    let direct = ask(Rest::new(http.clone(), address.clone()), address.clone()).await;
    match direct {
        Err(FindError::NoHomeserver { .. }) if !is_name => match look_up().await {
            Some(base) => ask(Rest::new(http.clone(), base.clone()), base).await,
            None => direct,
        },
        direct => direct,
    }
}

async fn ask(rest: Rest, address: Url) -> Result<Found, FindError> {
    match rest.versions().await {
        Ok((answer, _)) => match versions(&answer) {
            Some(versions) => Ok(Found { base: address, versions }),
            None => {
                let detail = "its /_matrix/client/versions lists none".to_owned();
                Err(FindError::NoHomeserver { address, detail })
            }
        },
        Err(error) => Err(match is_reached(&rest, &error).await {
            true => FindError::NoHomeserver { address, detail: error.to_string() },
            false => FindError::NotReached { address, detail: error.to_string() },
        }),
    }
}

/// Whether somebody was there, whatever they said.
async fn is_reached(rest: &Rest, error: &RestError) -> bool {
    error.is_answer() || rest.answers().await
}

/// An address, or that of the server with this name.
fn address(typed: &str) -> Option<Url> {
    let text = match typed.contains("://") {
        true => typed.to_owned(),
        false => format!("https://{typed}"),
    };
    let url = Url::parse(&text).ok()?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && !typed.contains([' ', '@']);
    let is_name = typed.contains("://") || url.path() == "/";
    (matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain && is_name)
        .then_some(url)
}

/// What stands before an `@` or behind a `?` in an address may be a secret.
fn not_an_address(typed: &str) -> FindError {
    let shown = if typed.contains(['@', '?', '#']) { "…" } else { typed };
    FindError::NotAnAddress { typed: shown.to_owned() }
}

/// Where `/.well-known/matrix/client` of `origin` says that the API is. What was
/// asked in private leads nowhere where others listen.
fn base_url(answer: &Value, origin: &Url) -> Option<Url> {
    let base = answer["m.homeserver"]["base_url"].as_str()?;
    let base = address(base).filter(|_| base.contains("://"))?;
    (base.scheme() == "https" || origin.scheme() == "http").then_some(base)
}

fn versions(answer: &Value) -> Option<Vec<String>> {
    let versions = answer["versions"].as_array()?.iter().filter_map(Value::as_str);
    let versions: Vec<String> = versions.map(ToOwned::to_owned).collect();
    (!versions.is_empty()).then_some(versions)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_and_names_of_servers_are_told_apart_from_everything_else() {
        let shown = |typed: &str| address(typed).map(|url| url.to_string());
        for (typed, meant) in [
            ("https://matrix.example.org", "https://matrix.example.org/"),
            ("http://localhost:8008", "http://localhost:8008/"),
            ("https://example.org/matrix", "https://example.org/matrix"),
            ("example.org", "https://example.org/"),
            ("example.org:8448", "https://example.org:8448/"),
        ] {
            assert_eq!(shown(typed).as_deref(), Some(meant));
        }
        for nonsense in [
            "",
            "ftp://hs",
            "@bot:hs",
            "a b",
            "https://u:p@hs",
            "https://hs?x=1",
            "hs/path",
            "https://",
        ] {
            assert_eq!(shown(nonsense), None, "{nonsense}");
        }
        let said = |typed: &str| not_an_address(typed).to_string();
        assert!(said("ftp://hs").starts_with("`ftp://hs` is neither"));
        assert!(!said("https://u:hunter2@hs").contains("hunter2"));
    }

    #[test]
    fn a_well_known_file_counts_only_if_it_names_an_address() {
        let origin = Url::parse("https://hs.test").unwrap();
        let base =
            |base: Value| base_url(&json!({ "m.homeserver": { "base_url": base } }), &origin);
        assert_eq!(base(json!("https://m.hs/")).unwrap().as_str(), "https://m.hs/");
        for nonsense in [json!("m.hs"), json!("file:///etc/passwd"), json!(1), json!(null)] {
            assert_eq!(base(nonsense), None);
        }
        assert_eq!(base_url(&json!([]), &origin), None);
        // An answer that came encrypted does not lead to where nothing is.
        assert_eq!(base(json!("http://m.hs/")), None);
    }

    #[test]
    fn only_what_is_encrypted_or_stays_here_is_private() {
        let is_private = |base: &str| {
            Found { base: Url::parse(base).unwrap(), versions: Vec::new() }.is_private()
        };
        for private in ["https://hs", "http://localhost:8008", "http://127.0.0.1", "http://[::1]"] {
            assert!(is_private(private), "{private}");
        }
        assert!(!is_private("http://hs.test") && !is_private("http://10.0.0.1"));
    }

    #[test]
    fn a_homeserver_lists_the_versions_that_it_speaks() {
        assert_eq!(versions(&json!({ "versions": ["v1.1", "v1.12"] })).unwrap().len(), 2);
        assert_eq!(versions(&json!({ "versions": [] })), None);
        assert_eq!(versions(&json!("hello")), None);
    }
}
