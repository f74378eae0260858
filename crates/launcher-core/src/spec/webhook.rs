//! A URL that decides what is said.

use std::time::Duration;

use url::Url;

use crate::secret::Secret;

/// Where the behavior `webhook` posts messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSpec {
    /// The address, `http` or `https`. It may have a secret in it.
    pub url: Secret<String>,
    /// The bytes of the signature's key; `None`: nothing is signed.
    pub signing_key: Option<Secret<Vec<u8>>>,
    /// How long one request may take, from [`WebhookSpec::SHORTEST_TIMEOUT`] to
    /// [`WebhookSpec::LONGEST_TIMEOUT`].
    pub timeout: Duration,
}

impl WebhookSpec {
    /// The time of a request when nobody says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(20);

    /// The least time of a request.
    pub const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

    /// The most time of a request. Three of them with their waits fit into what
    /// the runtime gives a behavior for one message.
    pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(45);

    /// Its host and port, which may be shown.
    pub fn shown(&self) -> String {
        let url = Url::parse(self.url.expose()).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        match url.as_ref().and_then(Url::port) {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}
