//! Link previews from a message to its row: only in here can a link lead to a
//! page of this computer.

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use serde_json::{Value, json};

use super::*;

/// Serves a page and gives its address.
async fn page() -> String {
    let html = || async { ([(CONTENT_TYPE, "text/html")], "<title>A page</title>") };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(html));
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/")
}

#[tokio::test]
async fn what_a_link_leads_to_arrives_as_a_row_and_stands_in_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { link_previews: true, ..Settings::in_folder(folder.path()) };
    let server = Server::open(settings).unwrap();
    let token = server.add_device("alice", None).unwrap().token;
    let mut bound = server.bind(TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
    bound.fetcher = Some(Fetcher::to(|address| address.is_loopback()).unwrap());
    let base = format!("http://{}/api/chat", bound.address());
    let link = page().await;
    let talking = async {
        let http = reqwest::Client::new();
        let ask = async |method: &str, path: String, body: Value| -> Value {
            let request = http.request(method.parse().unwrap(), format!("{base}{path}"));
            let answer = request.bearer_auth(token.expose()).json(&body).send().await.unwrap();
            answer.error_for_status().unwrap().json().await.unwrap()
        };
        let rows = async |room: &str| {
            let page =
                ask("POST", format!("/{room}/sync"), json!({ "last_sync_timestamp": 0 })).await;
            page["messages"].as_array().unwrap().clone()
        };
        let links = async |room: &str, count: usize| loop {
            let rows = rows(room).await;
            let is_links = |row: &&Value| row["type"] == "messages.update.links";
            let found: Vec<Value> = rows.iter().filter(is_links).cloned().collect();
            if found.len() == count {
                return (rows, found);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let room = ask("POST", String::new(), json!({ "name": "a" })).await;
        let room = room["id"].as_str().unwrap().to_owned();
        let said = json!({ "content": format!("look: {link}!") });
        let said = ask("POST", format!("/{room}/messages"), said).await;
        let (all, found) = links(&room, 1).await;
        let embeds = json!([{
            "type": "link", "url": link, "title": "A page", "description": null,
            "site_name": null, "image_url": null,
        }]);
        assert_eq!(found[0]["meta"], json!({ "message_id": said["id"], "embeds": embeds }));
        assert_eq!(all[0]["meta"]["embeds"], embeds);
        // An edit takes it away, and has its own links looked at.
        let path = format!("/{room}/messages/{}", said["id"].as_str().unwrap());
        let edited = ask("PATCH", path.clone(), json!({ "content": "nothing to see" })).await;
        assert_eq!(edited["meta"], json!({}));
        let edit = json!({ "content": format!("{link} again") });
        ask("PATCH", path, edit).await;
        links(&room, 2).await;
        // What is encrypted has no links, whatever is in it.
        ask("POST", format!("/{room}/e2ee/enable"), json!({})).await;
    };
    bound.run(talking).await.unwrap();
}
