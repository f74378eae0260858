//! Link previews from a message to its row: only in here can a link lead to a
//! page of this computer.

use axum::{Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A page that somebody can be let wait for.
#[derive(Debug)]
struct Page {
    /// One for each time that it was asked for and that nobody has looked at.
    asked: Semaphore,
    /// One for each time that it may answer.
    answers: Semaphore,
}

async fn answer(State(page): State<Arc<Page>>) -> impl IntoResponse {
    page.asked.add_permits(1);
    page.answers.acquire().await.unwrap().forget();
    ([(CONTENT_TYPE, "text/html")], "<title>A page</title>")
}

impl Page {
    /// Serves one that answers so often, and gives its address.
    async fn serve(answers: usize) -> (Arc<Self>, String) {
        let (asked, answers) = (Semaphore::new(0), Semaphore::new(answers));
        let page = Arc::new(Self { asked, answers });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", routing::get(answer)).with_state(page.clone());
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        (page, format!("http://{address}/"))
    }

    /// Waits until it was asked for.
    async fn was_asked(&self) {
        tokio::time::timeout(PATIENCE, self.asked.acquire()).await.unwrap().unwrap().forget();
    }
}

/// Somebody who talks to a server that looks at links.
struct Talker {
    http: reqwest::Client,
    address: SocketAddr,
    token: String,
}

impl Talker {
    /// Lets somebody talk until the future ends, and the server stop after that.
    async fn with<F>(talk: impl FnOnce(Self) -> F)
    where
        F: Future<Output = ()> + Send,
    {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { link_previews: true, ..Settings::in_folder(folder.path()) };
        let server = Server::open(settings).unwrap();
        let token = server.add_device("alice", None).unwrap().token.expose().to_owned();
        let mut bound = server.bind(TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
        bound.fetcher = Some(Fetcher::to(|address| address.is_loopback()).unwrap());
        let talker = Self { http: reqwest::Client::new(), address: bound.address(), token };
        bound.run(talk(talker)).await.unwrap();
    }

    async fn text(&self, method: &str, path: &str, body: Value) -> String {
        let url = format!("http://{}{path}", self.address);
        let request = self.http.request(method.parse().unwrap(), url).bearer_auth(&self.token);
        let request = request.header("x-dyson-client-capabilities", "chat-e2ee-v1");
        let answer = request.timeout(PATIENCE).json(&body).send().await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let path = format!("/api/chat{path}");
        serde_json::from_str(&self.text(method, &path, body).await).unwrap()
    }

    async fn room(&self) -> String {
        let room = self.ask("POST", "", json!({ "name": "a" })).await;
        room["id"].as_str().unwrap().to_owned()
    }

    /// Sends a message, and gives where it is.
    async fn send(&self, room: &str, body: Value) -> String {
        let sent = self.ask("POST", &format!("/{room}/messages"), body).await;
        format!("/{room}/messages/{}", sent["id"].as_str().unwrap())
    }

    async fn rows(&self, room: &str) -> Vec<Value> {
        let since = json!({ "last_sync_timestamp": 0 });
        let page = self.ask("POST", &format!("/{room}/sync"), since).await;
        page["messages"].as_array().unwrap().clone()
    }

    /// Waits until so many links of a room were told; gives all rows, and those.
    async fn links(&self, room: &str, count: usize) -> (Vec<Value>, Vec<Value>) {
        let told = async {
            loop {
                let rows = self.rows(room).await;
                let is_links = |row: &&Value| row["type"] == "messages.update.links";
                let found: Vec<Value> = rows.iter().filter(is_links).cloned().collect();
                if found.len() == count {
                    return (rows, found);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.unwrap()
    }

    /// Waits until so many links were looked at. What follows from that is with the
    /// thread that writes by then: whatever is sent after this comes behind it.
    async fn looked(&self, count: usize) {
        let line = format!("messager_previews_total {count}");
        let looked = async {
            while !self.text("GET", "/metrics", json!({})).await.lines().any(|one| one == line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looked).await.unwrap();
    }
}

/// A message of an encrypted room in which a link could be read.
fn sealed(kind: &str, link: &str) -> Value {
    let bytes = STANDARD.encode(link);
    json!({
        "is_encrypted": true, "ciphertext": bytes, "encryption_header": bytes,
        "encryption_scheme": link, "encryption_message_type": kind,
    })
}

#[tokio::test]
async fn what_a_link_leads_to_arrives_as_a_row_and_stands_in_the_message() {
    let (_page, link) = Page::serve(9).await;
    let talk = async |talker: Talker| {
        let room = talker.room().await;
        let path = talker.send(&room, json!({ "content": format!("look: {link}!") })).await;
        let (all, found) = talker.links(&room, 1).await;
        let embeds = json!([{
            "type": "link", "url": link, "title": "A page", "description": null,
            "site_name": null, "image_url": null,
        }]);
        let meta = json!({ "message_id": all[0]["id"], "embeds": embeds });
        assert_eq!(found[0]["meta"], meta);
        assert_eq!(all[0]["meta"]["embeds"], embeds);
        // An edit takes it away, and has its own links looked at.
        let edited = talker.ask("PATCH", &path, json!({ "content": "nothing to see" })).await;
        assert_eq!(edited["meta"], json!({}));
        talker.ask("PATCH", &path, json!({ "content": format!("{link} again") })).await;
        talker.links(&room, 2).await;
    };
    Talker::with(talk).await;
}

#[tokio::test]
async fn what_is_encrypted_has_no_links_whatever_is_in_it() {
    let (page, link) = Page::serve(9).await;
    let talk = async |talker: Talker| {
        let room = talker.room().await;
        talker.ask("POST", &format!("/{room}/e2ee/enable"), json!({})).await;
        let path = talker.send(&room, sealed("content.new", &link)).await;
        talker.ask("PATCH", &path, sealed("content.edit", &link)).await;
        assert!(talker.rows(&room).await.iter().all(|row| row["meta"].get("embeds").is_none()));
        // Those of another room are looked at meanwhile.
        let open = talker.room().await;
        talker.send(&open, json!({ "content": link })).await;
        talker.links(&open, 1).await;
        assert_eq!(talker.links(&room, 0).await.0.len(), 3);
    };
    Talker::with(talk).await;
    // The server has stopped: all that was to be looked at was.
    assert_eq!(page.asked.available_permits(), 1);
}

#[tokio::test]
async fn what_a_link_leads_to_is_not_told_in_a_room_that_is_encrypted_by_then() {
    let (page, link) = Page::serve(0).await;
    let talk = async |talker: Talker| {
        let room = talker.room().await;
        talker.send(&room, json!({ "content": link })).await;
        page.was_asked().await;
        talker.ask("POST", &format!("/{room}/e2ee/enable"), json!({})).await;
        page.answers.add_permits(1);
        talker.looked(1).await;
        talker.send(&room, sealed("content.new", "a")).await;
        let rows = talker.rows(&room).await;
        let kinds: Vec<&Value> = rows.iter().map(|row| &row["type"]).collect();
        assert_eq!(kinds, ["text", "system.e2ee.enabled", "text"]);
        assert_eq!(rows[0]["meta"], json!({}));
    };
    Talker::with(talk).await;
}
