//! Looks at the links of messages that are in the clear, if it is turned on.
//!
//! A link is written by anybody, so what it leads to is not trusted: it may be
//! an address of this network that only the server can reach. The addresses
//! that a name has are looked at where the connection is made, so a name cannot
//! have others then; each redirect is another link. Of what comes, a bounded
//! part is read in a bounded time.

mod html;

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use reqwest::{
    Client, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, LOCATION},
    redirect::Policy,
};
use tokio::sync::mpsc;
use url::{Host, Url};

use crate::{
    app::App,
    rules::{is_plain, is_public},
    store::links,
    values::{MessageId, RoomId},
    wire::Link,
};

/// Messages whose links wait to be looked at.
pub(crate) const QUEUE: usize = 256;

/// Messages at once.
const AT_ONCE: usize = 4;

/// How long a link may take, with its redirects.
const PATIENCE: Duration = Duration::from_secs(8);

/// Redirects that are followed.
const REDIRECTS: usize = 3;

/// The most bytes of a page that are read. What is said about it is at its top.
const MOST: usize = 256 * 1024;

/// A message with links.
#[derive(Clone, Debug)]
pub(crate) struct Preview {
    pub room: RoomId,
    pub message: MessageId,
    pub links: Vec<Url>,
}

/// Looks at links.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    client: Client,
    is_allowed: fn(IpAddr) -> bool,
}

impl Fetcher {
    /// One that goes to addresses of the internet only.
    ///
    /// # Errors
    ///
    /// When the client cannot be made.
    pub(crate) fn new() -> reqwest::Result<Self> {
        Self::to(is_public)
    }

    /// One that goes where it is allowed to.
    pub(crate) fn to(is_allowed: fn(IpAddr) -> bool) -> reqwest::Result<Self> {
        let client = Client::builder()
            .dns_resolver(Arc::new(Guard { is_allowed }))
            // A proxy would look names up by itself.
            .no_proxy()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .build()?;
        Ok(Self { client, is_allowed })
    }

    /// What is behind a link, if it is a page that can be looked at.
    async fn look(&self, link: &Url) -> Option<Link> {
        let response = tokio::time::timeout(PATIENCE, self.page(link.clone())).await.ok()??;
        let page = tokio::time::timeout(PATIENCE, read(response)).await.ok()??;
        html::about(link, &page)
    }

    async fn page(&self, mut url: Url) -> Option<Response> {
        for _ in 0..=REDIRECTS {
            if !self.is_open(&url) {
                return None;
            }
            let response = self.client.get(url.clone()).send().await.ok()?;
            if response.status().is_redirection() {
                let location = response.headers().get(LOCATION)?.to_str().ok()?;
                url = url.join(location).ok()?;
                continue;
            }
            let kind = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
            let is_page = response.status().is_success() && kind.starts_with("text/html");
            return is_page.then_some(response);
        }
        None
    }

    /// Addresses in numbers are not looked up, so the guard does not see them.
    fn is_open(&self, url: &Url) -> bool {
        is_plain(url)
            && match url.host() {
                Some(Host::Ipv4(address)) => (self.is_allowed)(address.into()),
                Some(Host::Ipv6(address)) => (self.is_allowed)(address.into()),
                Some(Host::Domain(_)) => true,
                None => false,
            }
    }
}

async fn read(mut response: Response) -> Option<String> {
    let mut page = Vec::new();
    while page.len() < MOST
        && let Some(chunk) = response.chunk().await.ok()?
    {
        page.extend_from_slice(&chunk);
    }
    page.truncate(MOST);
    Some(String::from_utf8_lossy(&page).into_owned())
}

/// Looks names up, and gives only addresses that are allowed.
#[derive(Debug)]
struct Guard {
    is_allowed: fn(IpAddr) -> bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let is_allowed = self.is_allowed;
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let open: Vec<_> = all.filter(|address| is_allowed(address.ip())).collect();
            if open.is_empty() {
                let text = "the name has no address that may be asked";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text).into());
            }
            let addresses: Addrs = Box::new(open.into_iter());
            Ok(addresses)
        })
    }
}

/// Looks at what is in the queue until it is closed.
pub(crate) async fn run(fetcher: Option<Fetcher>, queue: mpsc::Receiver<Preview>, app: &App) {
    let previews = stream::unfold(queue, |mut queue| async move {
        let preview = queue.recv().await?;
        Some((preview, queue))
    });
    let looking = previews.for_each_concurrent(AT_ONCE, |preview| {
        let fetcher = fetcher.as_ref();
        async move {
            if let Some(fetcher) = fetcher {
                look(fetcher, preview, app).await;
            }
        }
    });
    looking.await;
}

async fn look(fetcher: &Fetcher, preview: Preview, app: &App) {
    let mut found = Vec::new();
    for link in &preview.links {
        match fetcher.look(link).await {
            Some(link) => {
                app.hub.counts().previews.inc();
                found.push(link);
            }
            None => {
                app.hub.counts().previews_failed.inc();
            }
        }
    }
    if found.is_empty() {
        return;
    }
    let Preview { room, message, links } = preview;
    let add =
        move |work: &mut crate::store::Work<'_>| links::add(work, (room, message), &links, &found);
    // The message may be gone by now, and a server that stops writes nothing.
    if let Err(refusal) = app.store.write(add).await {
        tracing::debug!(?refusal, "what links lead to was not written");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{Router, response::Redirect, routing::get};
    use tokio::net::TcpListener;

    use super::*;

    async fn site() -> SocketAddr {
        let html = |text: &'static str| async move { ([(CONTENT_TYPE, "text/html")], text) };
        let page = "<html><head><title>A page</title></head>";
        let router = Router::new()
            .route("/page", get(move || html(page)))
            .route("/moved", get(async || Redirect::temporary("/page")))
            .route("/inside", get(async || Redirect::temporary("http://169.254.169.254/secret")))
            .route("/round", get(async || Redirect::temporary("/round")))
            .route("/data", get(async || "no page"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn only_here(address: IpAddr) -> bool {
        address.is_loopback()
    }

    #[tokio::test]
    async fn a_page_is_looked_at_also_behind_a_redirect() {
        let (address, fetcher) = (site().await, Fetcher::to(only_here).unwrap());
        let look = async |path: &str| {
            let link = format!("http://localhost:{}{path}", address.port()).parse().unwrap();
            fetcher.look(&link).await.and_then(|link| link.title)
        };
        assert_eq!(look("/page").await.as_deref(), Some("A page"));
        assert_eq!(look("/moved").await.as_deref(), Some("A page"));
        for nothing in ["/inside", "/round", "/data", "/missing"] {
            assert_eq!(look(nothing).await, None, "{nothing}");
        }
    }

    #[tokio::test]
    async fn addresses_of_this_network_are_not_asked_by_name_or_in_numbers() {
        let (address, fetcher) = (site().await, Fetcher::new().unwrap());
        for host in ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0"] {
            let link: Url = format!("http://{host}:{}/page", address.port()).parse().unwrap();
            assert!(fetcher.look(&link).await.is_none(), "{link}");
        }
    }
}
