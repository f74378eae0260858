//! The program: started, killed, stopped.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Output, Stdio},
    sync::{Arc, Mutex},
};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::world::PATIENCE;

pub(crate) fn messager(arguments: &[&str], data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_messager"));
    command.args(arguments).arg("--data").arg(data).kill_on_drop(true);
    command
}

/// A server that runs, and what it has logged.
pub(crate) struct Running {
    child: Child,
    pub url: String,
    log: Arc<Mutex<String>>,
    reading: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(data: &Path) -> Self {
        let arguments = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--log-level",
            "debug",
            "--writes-per-minute",
            "1000000",
            "--claims-per-minute",
            "1000000",
        ];
        Self::of(messager(&arguments, data)).await
    }

    /// Starts one, and waits until it listens.
    pub(crate) async fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let address = loop {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
            let line: Value =
                serde_json::from_str(&line).expect("lines are JSON without a terminal");
            if line["event"] == "listening" {
                break line["address"].as_str().unwrap().to_owned();
            }
        };
        let written = log.clone();
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, url: format!("http://{address}"), log, reading }
    }

    /// Ends it at once, as a loss of power would end the process.
    pub(crate) async fn kill(mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
        self.reading.await.unwrap();
    }

    /// Ends it as an init system does. Gives what it has logged.
    pub(crate) async fn terminate(mut self) -> String {
        let id =
            rustix::process::Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
        self.reading.await.unwrap();
        self.log.lock().unwrap().clone()
    }
}

async fn run(arguments: &[&str], data: &Path) -> Output {
    timeout(PATIENCE, messager(arguments, data).output()).await.unwrap().unwrap()
}

pub(crate) async fn add(name: &str, data: &Path) -> Value {
    let added = run(&["account", "add", name, "--device", "test", "--json"], data).await;
    assert!(added.status.success(), "{added:?}");
    serde_json::from_slice(&added.stdout).unwrap()
}

async fn post(http: &Client, token: &str, url: String, body: &Value) -> reqwest::Result<Value> {
    let request = http.post(url).bearer_auth(token).json(body);
    request
        .header("x-dyson-client-capabilities", "chat-e2ee-v1")
        .send()
        .await?
        .error_for_status()?
        .json()
        .await
}

#[tokio::test]
async fn a_second_server_on_a_folder_ends_at_once_and_accounts_can_be_added() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path()).await;
    let second = run(&["serve", "--listen", "127.0.0.1:0"], data.path()).await;
    let text = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(text.contains("another messager runs on the data folder"), "{text}");
    let [one, two] = [add("alice", data.path()).await, add("alice", data.path()).await];
    assert_eq!(one["account_id"], two["account_id"]);
    assert_ne!(one["device_id"], two["device_id"]);
    for added in [&one, &two] {
        let url = format!("{}/api/accounts/me", server.url);
        let request = Client::new().get(url).bearer_auth(added["token"].as_str().unwrap());
        let me: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!((&me["id"], &me["device_id"]), (&added["account_id"], &added["device_id"]));
    }
    server.terminate().await;
}

#[tokio::test]
async fn devices_are_listed_and_revoked_while_a_server_runs() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path()).await;
    let [one, two] = [add("alice", data.path()).await, add("alice", data.path()).await];
    let device = two["device_id"].as_str().unwrap();
    let wrong = run(&["account", "revoke", "alice", "--device", "nothing"], data.path()).await;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("there is no such device"));
    let revoked = run(&["account", "revoke", "alice", "--device", device], data.path()).await;
    assert!(revoked.status.success(), "{revoked:?}");
    let mut statuses = Vec::new();
    for added in [&one, &two] {
        let token = added["token"].as_str().unwrap();
        let request = Client::new().get(format!("{}/api/accounts/me", server.url));
        statuses.push(request.bearer_auth(token).send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 401]);
    let listed = run(&["account", "list", "--json"], data.path()).await.stdout;
    let accounts: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(accounts[0]["account_id"], one["account_id"]);
    let states: BTreeMap<&str, bool> = accounts[0]["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| (device["device_id"].as_str().unwrap(), device["revoked_at"].is_null()))
        .collect();
    let expected = [(one["device_id"].as_str().unwrap(), true), (device, false)];
    assert_eq!(states, BTreeMap::from(expected));
    let told = String::from_utf8(run(&["account", "list"], data.path()).await.stdout).unwrap();
    assert!(told.contains(&format!("{device}  revoked           test")), "{told}");
    for text in [&told, &String::from_utf8(listed).unwrap(), &server.terminate().await] {
        for added in [&one, &two] {
            assert!(!text.contains(added["token"].as_str().unwrap()), "{text}");
        }
    }
}

#[tokio::test]
async fn nothing_that_opens_an_account_is_logged() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start(data.path()).await;
    let token = add("alice", data.path()).await["token"].as_str().unwrap().to_owned();
    let http = Client::new();
    for path in ["/api/accounts/me", "/api/chat", "/nowhere", "/ws"] {
        let url = format!("{}{path}?tk={token}", server.url);
        http.get(url).header("x-request-id", "seen-1").send().await.unwrap();
    }
    let body = json!({ "name": "whispered" });
    post(&http, &token, format!("{}/api/chat", server.url), &body).await.unwrap();
    let log = server.terminate().await;
    assert!(log.contains("\"request_id\":\"seen-1\""), "requests are logged: {log}");
    assert!(log.contains("/api/accounts/me"), "{log}");
    for secret in [token.as_str(), "tk=", "whispered"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn wrong_arguments_are_told_and_nothing_is_started() {
    let data = tempfile::tempdir().unwrap();
    let wrong = run(&["account", "add", "a b"], data.path()).await;
    let text = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text.contains("`a b` cannot be the name of an account"), "{text}");
    let wrong = run(&["serve", "--push-webhook", "nowhere"], data.path()).await;
    assert_eq!(wrong.status.code(), Some(2));
    let missing = Command::new(env!("CARGO_BIN_EXE_messager")).arg("serve").output().await.unwrap();
    assert_eq!(missing.status.code(), Some(2));
}
