//! Content that is stored on homeservers (spec, "Content repository").

use std::{io::Write, path::Path, time::Duration};

use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use tempfile::SpooledTempFile;
use tokio::time::timeout;

use super::{Rest, RestError, api_error, network, segment, send, text};

/// How long the homeserver may take until it begins: it may have to get the
/// content from another one.
const LONGEST_START: Duration = Duration::from_secs(60);

/// How long it may say nothing in the middle.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long all of it may take, however steadily it drips.
const LONGEST_DOWNLOAD: Duration = Duration::from_secs(15 * 60);

/// Bytes that are kept in memory; more go into a file.
const IN_MEMORY: usize = 4 * 1024 * 1024;

/// Bytes that are written at once.
const AT_ONCE: usize = 1024 * 1024;

/// What was downloaded.
#[derive(Debug)]
pub(crate) struct Downloaded {
    /// The content, in memory or in a file without a name. Stands at its end.
    pub(crate) file: SpooledTempFile,
    /// How many bytes it has.
    pub(crate) length: u64,
}

/// Why content was not downloaded.
#[derive(Debug)]
pub(crate) enum DownloadError {
    /// It has more bytes than are taken.
    TooLarge { limit: u64 },
    /// It could not be kept.
    Kept(std::io::Error),
    /// The server's answer.
    Rest(RestError),
}

impl From<RestError> for DownloadError {
    fn from(error: RestError) -> Self {
        Self::Rest(error)
    }
}

impl Rest {
    /// Stores content on the server, within `limit`; returns its `mxc` address.
    pub(crate) async fn upload(
        &self,
        token: &str,
        content_type: &str,
        content: Vec<u8>,
        limit: Duration,
    ) -> Result<String, RestError> {
        let url = format!("{}/_matrix/media/v3/upload", self.origin());
        let request = self.http.post(url).bearer_auth(token).header(CONTENT_TYPE, content_type);
        // Of nothing, it would not be said by itself; servers insist.
        let request = request.header(CONTENT_LENGTH, content.len());
        text(&send(request.body(content), limit).await?, "content_uri")
    }

    /// Downloads content of at most `limit` bytes; what does not fit into memory
    /// goes into a file without a name in `folder`.
    ///
    /// Servers from before version 1.11 of the specification know the old
    /// address only, which wants no token and gets none.
    pub(crate) async fn download(
        &self,
        token: &str,
        server: &str,
        id: &str,
        limit: u64,
        folder: &Path,
    ) -> Result<Downloaded, DownloadError> {
        let all = async {
            let place = format!("download/{}/{}", segment(server), segment(id));
            let wait = [("timeout_ms", "20000")];
            let request = self.http.get(self.url(&format!("v1/media/{place}")));
            let response = match begin(request.bearer_auth(token).query(&wait)).await {
                Err(error) if is_unknown(&error) => {
                    let url = format!("{}/_matrix/media/v3/{place}", self.origin());
                    let redirects = [("allow_redirect", "true")];
                    begin(self.http.get(url).query(&wait).query(&redirects)).await?
                }
                response => response?,
            };
            take(response, limit, folder).await
        };
        let late = || network_fault("it took too long");
        timeout(LONGEST_DOWNLOAD, all).await.unwrap_or_else(|_| Err(late().into()))
    }
}

/// Whether the server does not know the request at all.
fn is_unknown(error: &RestError) -> bool {
    let RestError::Api { status, errcode, .. } = error else { return false };
    let has_no_code = errcode == "(no errcode)";
    errcode == "M_UNRECOGNIZED" || (*status == StatusCode::NOT_FOUND && has_no_code)
}

/// Sends a request for content, up to where the content begins.
async fn begin(request: RequestBuilder) -> Result<Response, RestError> {
    let sent = timeout(LONGEST_START, request.send()).await;
    let response = sent.map_err(|_| network_fault("the server does not answer"))?;
    let response = response.map_err(network)?;
    match response.status().is_success() {
        true => Ok(response),
        false => {
            let error = timeout(LONGEST_PAUSE, api_error(response)).await;
            Err(error.unwrap_or_else(|_| network_fault("the server stopped in its answer")))
        }
    }
}

/// Reads what a server gives, and not a byte more than `limit`.
async fn take(
    mut response: Response,
    limit: u64,
    folder: &Path,
) -> Result<Downloaded, DownloadError> {
    let too_large = || DownloadError::TooLarge { limit };
    if response.content_length().is_some_and(|announced| announced > limit) {
        return Err(too_large());
    }
    let mut found =
        Downloaded { file: tempfile::spooled_tempfile_in(IN_MEMORY, folder), length: 0 };
    let mut waiting: Vec<u8> = Vec::new();
    loop {
        let chunk = timeout(LONGEST_PAUSE, response.chunk()).await;
        let chunk = chunk.map_err(|_| network_fault("the server stopped in the middle"))?;
        let Some(chunk) = chunk.map_err(network)? else { break };
        found.length = found.length.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if found.length > limit {
            return Err(too_large());
        }
        waiting.extend_from_slice(&chunk);
        if waiting.len() >= AT_ONCE {
            found = found.keep(std::mem::take(&mut waiting)).await?;
        }
    }
    found.keep(waiting).await
}

impl Downloaded {
    /// Appends some bytes, which may go to a disk.
    async fn keep(mut self, bytes: Vec<u8>) -> Result<Self, DownloadError> {
        let write = move || self.file.write_all(&bytes).map(|()| self);
        let written = tokio::task::spawn_blocking(write).await;
        let written = written.map_err(|error| DownloadError::Kept(error.into()))?;
        written.map_err(DownloadError::Kept)
    }
}

fn network_fault(what: &str) -> RestError {
    RestError::Network { detail: what.to_owned() }
}
