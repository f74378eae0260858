//! The connection to a provider, and its limits.
//!
//! All agents share one client and its connections. A provider is not trusted
//! with memory or time: an answer has to begin, go on and end in time, and it
//! may not become larger than any real one. Redirects are not followed, since
//! they would take the key along.

use std::{
    error::Error as _,
    fmt,
    future::{Future, ready},
    io,
    sync::OnceLock,
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header::AUTHORIZATION};
use rig_core::http_client::{
    BoxedStream, Error, HttpClientExt, LazyBody, MultipartForm, Result, StreamingResponse,
};
use tokio::time::{Instant, timeout};

mod body;

use self::body::Body;

/// How long it may take to be connected.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a connection is kept that nobody needs.
const KEPT: Duration = Duration::from_secs(60);

/// How large an answer may be, as it is sent. The longest real ones have a few
/// megabytes, most of which is around the text.
const LARGEST: usize = 16 << 20;

/// How long an answer may take as a whole, however busy it is.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Where Gemini's key belongs. In the address, where `rig-core` puts it, it
/// would be in every message about that address.
const GEMINI_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// What is a key, whoever's.
const SECRET: [HeaderName; 3] = [AUTHORIZATION, GEMINI_KEY, HeaderName::from_static("x-api-key")];

/// What went wrong between us and a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TransportFault {
    /// There is no connection.
    NotConnected {
        /// What the system said.
        reason: String,
    },
    /// The answer did not begin in time.
    NoAnswer {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The answer began and did not go on.
    Silent {
        /// How long nothing came.
        waited: Duration,
    },
    /// The connection broke.
    Lost {
        /// What the system said.
        reason: String,
    },
    /// More came than any answer has.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It took longer than any answer may.
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// The address or the key cannot be used in a request, or there is no
    /// client in this process.
    Unusable,
}

impl fmt::Display for TransportFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected { reason } => write!(formatter, "not connected: {reason}"),
            Self::NoAnswer { waited } => write!(formatter, "no answer within {waited:?}"),
            Self::Silent { waited } => write!(formatter, "nothing more came for {waited:?}"),
            Self::Lost { reason } => write!(formatter, "the connection broke: {reason}"),
            Self::TooLarge { limit } => write!(formatter, "it has more than {limit} bytes"),
            Self::TooSlow { limit } => write!(formatter, "it was not complete within {limit:?}"),
            Self::Unusable => formatter.write_str("the address or the key cannot be used"),
        }
    }
}

impl std::error::Error for TransportFault {}

/// What a provider may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long it may be silent, at the beginning and in between.
    pub(crate) silence: Duration,
    /// How long an answer may take.
    pub(crate) total: Duration,
    /// How many bytes it may have.
    pub(crate) bytes: usize,
}

impl Limits {
    /// The usual limits, with this one for silence.
    pub(crate) fn silence(silence: Duration) -> Self {
        Self { silence, total: LONGEST, bytes: LARGEST }
    }
}

/// Sends requests to providers.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    /// `None`: this process cannot have one.
    client: Option<reqwest::Client>,
    limits: Limits,
}

impl Transport {
    /// The process's one, with the usual limits.
    pub(crate) fn shared() -> Self {
        static CLIENT: OnceLock<Option<reqwest::Client>> = OnceLock::new();
        let client = CLIENT.get_or_init(|| client().ok()).clone();
        Self { client, limits: Limits::silence(super::SILENCE) }
    }

    /// The same connections with other limits.
    pub(crate) fn limited(&self, limits: Limits) -> Self {
        Self { client: self.client.clone(), limits }
    }
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("launcher/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(KEPT)
        .referer(false)
        // What is counted has to be what comes.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .build()
}

impl HttpClientExt for Transport {
    fn send<T, U>(
        &self,
        request: Request<T>,
    ) -> impl Future<Output = Result<Response<LazyBody<U>>>> + Send + 'static
    where
        T: Into<Bytes> + Send,
        U: From<Bytes> + Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let opened = self.clone().open(Request::from_parts(parts, body.into()));
        async move {
            let (parts, body) = opened.await.map_err(Error::instance)?.into_parts();
            let body: LazyBody<U> =
                Box::pin(async move { Ok(U::from(body.whole().await.map_err(Error::instance)?)) });
            Ok(Response::from_parts(parts, body))
        }
    }

    fn send_multipart<U>(
        &self,
        _request: Request<MultipartForm>,
    ) -> impl Future<Output = Result<Response<LazyBody<U>>>> + Send + 'static
    where
        U: From<Bytes> + Send + 'static,
    {
        // Only files are sent in this way, and no assistant sends any.
        ready(Err(Error::instance(TransportFault::Unusable)))
    }

    fn send_streaming<T>(
        &self,
        request: Request<T>,
    ) -> impl Future<Output = Result<StreamingResponse>> + Send
    where
        T: Into<Bytes> + Send,
    {
        let (parts, body) = request.into_parts();
        let opened = self.clone().open(Request::from_parts(parts, body.into()));
        async move {
            let (parts, body) = opened.await.map_err(Error::instance)?.into_parts();
            let chunks = stream::unfold(Some(body), |body| async move {
                let mut body = body?;
                match body.lines().await {
                    Ok(Some(chunk)) => Some((Ok(chunk), Some(body))),
                    Ok(None) => None,
                    Err(fault) => Some((Err(Error::instance(fault)), None)),
                }
            });
            let chunks: BoxedStream = Box::pin(chunks);
            Ok(Response::from_parts(parts, chunks))
        }
    }
}

impl Transport {
    async fn open(
        self,
        request: Request<Bytes>,
    ) -> std::result::Result<Response<Body>, TransportFault> {
        let started = Instant::now();
        let limits = self.limits;
        let client = self.client.ok_or(TransportFault::Unusable)?;
        let (mut parts, body) = request.into_parts();
        let uri = take_key(&parts.uri, &mut parts.headers)?;
        for name in &SECRET {
            if let Some(value) = parts.headers.get_mut(name) {
                value.set_sensitive(true);
            }
        }
        let sent = client.request(parts.method, uri).headers(parts.headers).body(body).send();
        let response = timeout(limits.silence, sent)
            .await
            .map_err(|_| TransportFault::NoAnswer { waited: limits.silence })?
            .map_err(|error| not_sent(&error))?;
        let mut opened = Response::new(());
        *opened.status_mut() = response.status();
        *opened.headers_mut() = response.headers().clone();
        let until = started + limits.total;
        let body = Body::new(response, limits, until);
        Ok(opened.map(|()| body))
    }
}

/// The address without Gemini's key, which goes into a header.
fn take_key(uri: &Uri, headers: &mut HeaderMap) -> std::result::Result<String, TransportFault> {
    let text = uri.to_string();
    let Some((address, query)) = text.split_once('?') else { return Ok(text) };
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match pair.strip_prefix("key=") {
            Some("") => {}
            Some(key) => {
                let value = HeaderValue::from_str(key).map_err(|_| TransportFault::Unusable)?;
                headers.insert(GEMINI_KEY, value);
            }
            None => kept.push(pair),
        }
    }
    Ok(if kept.is_empty() { address.to_owned() } else { format!("{address}?{}", kept.join("&")) })
}

fn not_sent(error: &reqwest::Error) -> TransportFault {
    if error.is_builder() {
        TransportFault::Unusable
    } else if error.is_connect() {
        TransportFault::NotConnected { reason: reason(error) }
    } else {
        TransportFault::Lost { reason: reason(error) }
    }
}

/// What the system said. Not what `reqwest` says, which begins with the
/// address, and nothing that came from the other side.
fn reason(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref::<io::Error>()
            && inner.source().is_none()
        {
            return error.kind().to_string();
        }
        match inner.source() {
            Some(deeper) => cause = Some(deeper),
            None => return inner.to_string(),
        }
    }
    let what = if error.is_timeout() { "timed out" } else { "closed by the other side" };
    what.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_an_address_becomes_a_header() {
        for (uri, address, key) in [
            ("https://h/m:s?alt=sse&key=abc-1_2", "https://h/m:s?alt=sse", Some("abc-1_2")),
            ("https://h/m?key=abc", "https://h/m", Some("abc")),
            ("https://h/m?key=", "https://h/m", None),
            ("https://h/m?monkey=1", "https://h/m?monkey=1", None),
            ("https://h/m", "https://h/m", None),
        ] {
            let mut headers = HeaderMap::new();
            assert_eq!(take_key(&uri.parse().unwrap(), &mut headers).unwrap(), address);
            let header = headers.get(GEMINI_KEY).map(|value| value.to_str().unwrap());
            assert_eq!(header, key);
        }
    }
}
