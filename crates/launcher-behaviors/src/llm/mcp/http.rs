//! A server that is an address.

use std::{
    collections::{BTreeMap, HashMap},
    sync::OnceLock,
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use launcher_core::secret::Secret;
use rmcp::transport::{
    StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
};

use super::guard::LONGEST_LINE;

/// How long it may take to be connected.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a connection is kept that nobody needs.
const KEPT: Duration = Duration::from_secs(60);

/// How much of an error is read. It is not shown.
const LARGEST_ERROR: usize = 4096;

/// How messages come and go.
pub(super) type Transport = StreamableHttpClientTransport<reqwest::Client>;

/// The way to a server, or why there is none.
pub(super) fn transport(
    url: &Secret<String>,
    headers: &BTreeMap<String, Secret<String>>,
) -> Result<Transport, String> {
    static CLIENT: OnceLock<Option<reqwest::Client>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| client().ok()).clone();
    let client = client.ok_or("this process can make no connections")?;
    let mut sent = HashMap::new();
    for (name, value) in headers {
        let mut value = HeaderValue::from_str(value.expose())
            .map_err(|_| format!("the header {name} cannot be sent: it has odd characters"))?;
        value.set_sensitive(true);
        let name = HeaderName::try_from(name)
            .map_err(|_| "the name of a header has odd characters".to_owned())?;
        sent.insert(name, value);
    }
    let config = StreamableHttpClientTransportConfig::with_uri(url.expose().as_str())
        .custom_headers(sent)
        .max_sse_event_size(LONGEST_LINE)
        .max_json_response_size(LONGEST_LINE)
        .max_error_response_size(LARGEST_ERROR)
        // Its tools are looked at again when there is a new session.
        .reinit_on_expired_session(false);
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// Redirects are not followed: they would take the headers along. There is no
/// limit for a whole answer, since a server's messages are one that never ends;
/// each call has its own.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("launcher/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(KEPT)
        .build()
}
