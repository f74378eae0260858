//! Requests and their answers.

use std::{error::Error, time::Duration};

use reqwest::{Method, RequestBuilder, Response, header, redirect::Policy};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{Client, ClientError};

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a request may take with its answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// Bytes of an answer that are read at most.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Bytes of a refusal that are read at most.
const REFUSAL_LIMIT: usize = 64 * 1024;

/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// What says that this client can encrypt. Without it encrypted rooms are shut.
const CAPABILITIES: &str = "x-dyson-client-capabilities";

/// The HTTP connections that all accounts of a process share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connections {
    http: reqwest::Client,
}

impl Connections {
    /// Makes the shared part. HTTP/1.1 only, as websockets are; redirects are
    /// not followed, so that no token goes to another server.
    ///
    /// # Errors
    ///
    /// When there is no TLS on this computer.
    pub fn new() -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .http1_only()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(REQUEST_LIMIT)
            .tcp_keepalive(Duration::from_secs(60))
            .user_agent(concat!("launcher/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(described)?;
        Ok(Self { http })
    }
}

impl Client {
    /// A request with the token. `path` is in segments, as they are read.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.connections
            .http
            .request(method, address(&self.server, path))
            .bearer_auth(self.token.expose())
            .header(CAPABILITIES, "chat-e2ee-v1")
            .header(header::ACCEPT, "application/json")
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        ask(self.request(Method::GET, path)).await
    }

    /// Sends a body as JSON, and reads what comes back.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        ask(self.request(method, path).json(body)).await
    }

    /// Has something done whose answer says nothing more.
    pub(super) async fn order(&self, method: Method, path: &[&str]) -> Result<(), ClientError> {
        taken(self.request(method, path)).await.map(drop)
    }
}

fn address(server: &Url, path: &[&str]) -> Url {
    let mut address = server.clone();
    // An address that has no path leads to no server, and the request says so.
    if let Ok(mut segments) = address.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    address
}

/// The answer of a request that was carried out, as JSON.
pub(super) async fn ask<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, ClientError> {
    read(taken(request).await?).await
}

/// The answer as JSON.
pub(super) async fn read<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let body = body(response, ANSWER_LIMIT).await?;
    // The message of the parser has parts of the body in it.
    serde_json::from_slice(&body).map_err(|error| {
        ClientError::nonsense(format!("at line {} column {}", error.line(), error.column()))
    })
}

/// Sends a request, and gives the answer if it was carried out.
pub(super) async fn taken(request: RequestBuilder) -> Result<Response, ClientError> {
    let response = request.send().await.map_err(described)?;
    if response.status().is_success() {
        return Ok(response);
    }
    Err(refusal(response).await)
}

/// What an answer means that is no success.
pub(crate) async fn refusal(response: Response) -> ClientError {
    let (status, retry_after) = (response.status(), retry_after(&response));
    let body = body(response, REFUSAL_LIMIT).await.ok();
    ClientError::of(status, retry_after, body.as_deref())
}

/// What an answer has in it, up to `limit` bytes.
async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(described)? {
        if body.len() + chunk.len() > limit {
            return Err(ClientError::nonsense(format!("of more than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// How long the server wants to be left alone.
fn retry_after(response: &Response) -> Option<Duration> {
    let header = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    pause(header)
}

/// The seconds of a `Retry-After`, up to a limit: a server can neither silence
/// an account for long nor lead a clock beyond its end.
fn pause(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// An error of the HTTP client, with its causes. They carry no token: it is
/// sent in a header.
pub(crate) fn described(error: reqwest::Error) -> ClientError {
    let error = error.without_url();
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    ClientError::unreachable(detail)
}

#[cfg(test)]
mod tests {
    use launcher_core::secret::Secret;

    use super::*;

    #[test]
    fn names_stay_in_their_place_of_the_path() {
        let at = |server: &str, path: &[&str]| {
            address(&Url::parse(server).unwrap(), path).as_str().to_owned()
        };
        let server = "https://chat.example.org";
        assert_eq!(at(server, &["api", "chat"]), "https://chat.example.org/api/chat");
        assert_eq!(at("http://h/a/b/", &["x"]), "http://h/a/b/x");
        assert_eq!(at("http://h/a", &["c/d?e#f", "ü"]), "http://h/a/c%2Fd%3Fe%23f/%C3%BC");
    }

    #[test]
    fn a_server_can_ask_for_a_pause_of_minutes_at_most() {
        assert_eq!(pause(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(pause("18446744073709551615"), Some(LONGEST_PAUSE));
        assert_eq!(pause("301"), Some(LONGEST_PAUSE));
        assert_eq!(pause("-1"), None);
        assert_eq!(pause("18446744073709551616"), None);
        assert_eq!(pause("Wed, 21 Oct 2015 07:28:00 GMT"), None);
    }

    #[test]
    fn a_client_does_not_show_its_token() {
        let connections = Connections::new().unwrap();
        let server = Url::parse("http://localhost:1").unwrap();
        let client = Client::new(&connections, server, Secret::new("hunter2".to_owned()));
        assert!(!format!("{client:?}").contains("hunter2"));
    }
}
