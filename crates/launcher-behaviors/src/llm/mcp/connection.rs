//! What we are to a server, and what its failures mean.
//!
//! Texts of `rmcp`'s errors are not shown: they quote what the server wrote,
//! and addresses.

use std::{error::Error, sync::Arc};

use rmcp::{
    ClientHandler, RoleClient, ServiceError,
    model::{ClientCapabilities, ClientConfig, Implementation, ProtocolVersion},
    service::{ClientInitializeError, NotificationContext},
    transport::streamable_http_client::StreamableHttpError,
};
use tokio::sync::Notify;

/// A server that is not there any more.
pub(super) const ENDED: &str = "it ended the connection";

/// Our side of a connection. A server that wants something of us is refused,
/// by what the trait does unless it is told otherwise: no sampling, no
/// questions to people, no folders.
#[derive(Debug, Default)]
pub(super) struct Ours {
    /// The server says that its tools have changed.
    pub(super) changed: Arc<Notify>,
}

impl ClientHandler for Ours {
    fn get_info(&self) -> ClientConfig {
        let us = Implementation::new("launcher", env!("CARGO_PKG_VERSION"));
        // The newest version has no `initialize`; most servers know no other way.
        ClientConfig::new(ClientCapabilities::default(), us)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

/// Why a server did not begin.
pub(super) fn why_not(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::JsonRpcError(error) => {
            format!("it refused to begin, with code {}", error.code.0)
        }
        ClientInitializeError::ConnectionClosed(_) => ENDED.to_owned(),
        ClientInitializeError::TransportError { .. } if error.is_authorization_required() => {
            UNAUTHORIZED.to_owned()
        }
        ClientInitializeError::TransportError { error, .. } => transport(error.error.as_ref()),
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
            "it speaks no version of the protocol that is known here".to_owned()
        }
        _ => "it does not speak the protocol".to_owned(),
    }
}

/// Why a server did not answer.
pub(super) fn why(error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => format!("it refused, with code {}", error.code.0),
        ServiceError::TransportSend(_) if error.is_authorization_required() => {
            UNAUTHORIZED.to_owned()
        }
        ServiceError::TransportSend(error) => transport(error.error.as_ref()),
        ServiceError::TransportClosed => ENDED.to_owned(),
        ServiceError::UnexpectedResponse => "its answer makes no sense".to_owned(),
        _ => "it did not answer".to_owned(),
    }
}

const UNAUTHORIZED: &str = "it wants other credentials: look at `headers`";

fn transport(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => client(error),
        Some(StreamableHttpError::HttpStatus(error)) => format!("HTTP status {}", error.status),
        Some(StreamableHttpError::ResponseBodyTooLarge { max_size }) => {
            format!("its answer has more than {max_size} bytes")
        }
        Some(StreamableHttpError::SessionExpired) => "it ended the session".to_owned(),
        Some(StreamableHttpError::UnexpectedContentType(_)) => {
            "what is there is no tool server".to_owned()
        }
        Some(_) => "the connection broke".to_owned(),
        None => ENDED.to_owned(),
    }
}

fn client(error: &reqwest::Error) -> String {
    if let Some(status) = error.status() {
        return format!("HTTP status {}", status.as_u16());
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return format!("not connected: {}", io.kind());
        }
        source = inner.source();
    }
    if error.is_connect() { "not connected".to_owned() } else { "the connection broke".to_owned() }
}
