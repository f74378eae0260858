//! The few requests that are made before, or instead of, the SDK.

mod conversing;
mod media;
mod registering;
mod rooms;

use std::time::{Duration, SystemTime};

use launcher_core::{fault::Fault, preflight::IdentityKeys, secret::Secret, spec::Account};
use launcher_runtime::ports::journal::Stamp;
use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    redirect::{Attempt, Policy},
};
use serde_json::{Value, json};
use url::Url;

pub(crate) use self::{
    media::{DownloadError, Downloaded},
    registering::well_known,
};

/// How long an ordinary request may take. Logging in is slow on purpose (the
/// server hashes the password), and slower with many at once.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read at most. An initial sync goes through the
/// SDK; nothing that is asked for here is large.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;

/// Bytes of an error that are read at most.
const ERROR_LIMIT: usize = 64 * 1024;

/// How often a request is sent on to another address at most.
const REDIRECTS: usize = 5;

const PASSWORD_STAGE: &str = "m.login.password";

/// Makes the HTTP client that all agents share.
///
/// HTTP/1.1 only: over HTTP/2 every agent's long poll would share one
/// connection, and a proxy's limit on streams would cap the number of agents.
pub(crate) fn http_client() -> reqwest::Result<Client> {
    Client::builder()
        .http1_only()
        .redirect(Policy::custom(redirect))
        .connect_timeout(CONNECT_LIMIT)
        .tcp_keepalive(Duration::from_secs(60))
        .user_agent(concat!("launcher/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    match may_follow(attempt.previous(), attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(why) => attempt.error(why),
    }
}

/// Whether a request may be sent on: a homeserver may have its files somewhere
/// else, but what began encrypted stays so. (The HTTP client sends no token to
/// another server.)
fn may_follow(previous: &[Url], next: &Url) -> Result<(), &'static str> {
    let was_private = previous.iter().any(|url| url.scheme() == "https");
    match next.scheme() {
        _ if previous.len() > REDIRECTS => Err("too many redirects"),
        "https" => Ok(()),
        "http" if !was_private => Ok(()),
        _ => Err("a redirect to an address that is not encrypted"),
    }
}

/// A homeserver's client-server API, spoken to by hand.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    http: Client,
    base: Url,
}

/// Why a request had no useful answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestError {
    /// No answer, or none that is JSON.
    #[error("{detail}")]
    Network { detail: String },
    /// More than is read.
    #[error("an answer of more than {} MiB", ANSWER_LIMIT >> 20)]
    TooLarge,
    /// The server's error.
    #[error("{status} {errcode}: {message}")]
    Api {
        status: StatusCode,
        errcode: String,
        message: String,
        retry_after: Option<Duration>,
        soft_logout: bool,
        /// What the server wants to be proved first, if it says.
        challenge: Option<Box<Challenge>>,
    },
}

/// What has to be proved before a request is granted (UIA).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// What the proof has to name.
    pub(crate) session: Option<String>,
    /// The ways to prove it, each a sequence of stages.
    pub(crate) flows: Vec<Vec<String>>,
    /// The stages that are done.
    pub(crate) completed: Vec<String>,
    /// Whether the password is enough.
    pub(crate) takes_password: bool,
}

impl Challenge {
    fn read(answer: &Value) -> Option<Self> {
        let flows = answer["flows"].as_array()?;
        Some(Self {
            session: answer["session"].as_str().map(ToOwned::to_owned),
            takes_password: flows.iter().any(|flow| flow["stages"] == json!([PASSWORD_STAGE])),
            flows: flows.iter().map(|flow| words(&flow["stages"])).collect(),
            completed: words(&answer["completed"]),
        })
    }

    /// Proves with the password who asks.
    pub(crate) fn answer(&self, user: &str, password: &Secret<String>) -> Value {
        let mut auth = password_auth(user, password);
        if let Some(session) = &self.session {
            auth["session"] = json!(session);
        }
        auth
    }
}

impl RestError {
    /// Whether it is about the account or its token, and not about what was asked.
    pub(crate) fn is_of_session(&self) -> bool {
        let codes = [
            "M_UNKNOWN_TOKEN",
            "M_MISSING_TOKEN",
            "M_USER_DEACTIVATED",
            "M_USER_LOCKED",
            "M_USER_SUSPENDED",
        ];
        matches!(self, Self::Api { errcode, .. } if codes.contains(&errcode.as_str()))
    }

    /// Whether the homeserver itself says that there is no such thing for the asker.
    pub(crate) fn is_absence(&self) -> bool {
        let codes = ["M_NOT_FOUND", "M_FORBIDDEN"];
        matches!(self, Self::Api { errcode, .. } if codes.contains(&errcode.as_str()))
    }

    /// Whether the homeserver will never take it, as it is.
    pub(crate) fn is_final(&self) -> bool {
        let codes = ["M_FORBIDDEN", "M_NOT_FOUND", "M_TOO_LARGE", "M_BAD_JSON", "M_INVALID_PARAM"];
        // A proxy's limit has no code.
        matches!(self, Self::Api { status, errcode, .. }
            if codes.contains(&errcode.as_str()) || *status == StatusCode::PAYLOAD_TOO_LARGE)
    }

    /// Whether nothing was done, for sure: what fails in the middle may be done
    /// all the same.
    pub(crate) fn is_undone(&self) -> bool {
        matches!(self, Self::Api { status, .. } if status.is_client_error())
    }

    /// Whether the homeserver answered at all, if not well.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Api { status, .. } if status.as_u16() != 429)
    }
}

/// Some events of a room's timeline.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The events, newest first.
    pub(crate) events: Vec<Value>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<String>,
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WhoAmI {
    pub(crate) user_id: String,
    pub(crate) device_id: Option<String>,
}

/// What a login or a refresh brings.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: Secret<String>,
    pub(crate) refresh: Option<Secret<String>>,
    /// How long the access token is good for, if not for ever.
    pub(crate) lifetime: Option<Duration>,
}

impl Tokens {
    fn read(answer: &Value) -> Result<Self, RestError> {
        let refresh = answer["refresh_token"].as_str();
        Ok(Self {
            access: Secret::new(text(answer, "access_token")?),
            refresh: refresh.map(|token| Secret::new(token.to_owned())),
            lifetime: answer["expires_in_ms"].as_u64().map(Duration::from_millis),
        })
    }
}

impl Rest {
    pub(crate) fn new(http: Client, base: Url) -> Self {
        Self { http, base }
    }

    /// The server's address, for messages.
    pub(crate) fn homeserver(&self) -> String {
        self.base.to_string()
    }

    pub(crate) async fn whoami(&self, token: &str) -> Result<WhoAmI, RestError> {
        let answer = self.get("v3/account/whoami", token).await?;
        Ok(WhoAmI {
            user_id: text(&answer, "user_id")?,
            device_id: answer["device_id"].as_str().map(ToOwned::to_owned),
        })
    }

    /// Logs in as `device`. A token that expires comes with another one to
    /// refresh it, if `refreshable`.
    pub(crate) async fn login(
        &self,
        user: &str,
        password: &Secret<String>,
        device: &str,
        name: &str,
        refreshable: bool,
    ) -> Result<Tokens, RestError> {
        let request = self.http.post(self.url("v3/login")).json(&json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user },
            "password": password.expose(),
            "device_id": device,
            "initial_device_display_name": name,
            "refresh_token": refreshable,
        }));
        Tokens::read(&send(request, REQUEST_LIMIT).await?)
    }

    /// Exchanges a refresh token for new tokens. The old ones stay valid until
    /// the new ones are used, so whoever is killed in between can ask again.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Tokens, RestError> {
        let body = json!({ "refresh_token": token });
        let request = self.http.post(self.url("v3/refresh")).json(&body);
        let tokens = Tokens::read(&send(request, REQUEST_LIMIT).await?)?;
        let refresh = tokens.refresh.or_else(|| Some(Secret::new(token.to_owned())));
        Ok(Tokens { refresh, ..tokens })
    }

    /// Ends the session of a token, and removes its device.
    pub(crate) async fn logout(&self, token: &str) -> Result<(), RestError> {
        let request = self.http.post(self.url("v3/logout")).bearer_auth(token).json(&json!({}));
        send(request, REQUEST_LIMIT).await.map(drop)
    }

    /// What the account keeps on the server under this type; `None` if nothing.
    pub(crate) async fn account_data(
        &self,
        token: &str,
        user: &str,
        kind: &str,
    ) -> Result<Option<Value>, RestError> {
        let path = format!("v3/user/{}/account_data/{}", segment(user), segment(kind));
        match self.get(&path, token).await {
            Ok(content) => Ok(Some(content)),
            Err(RestError::Api { errcode, .. }) if errcode == "M_NOT_FOUND" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps something on the server for the account.
    pub(crate) async fn set_account_data(
        &self,
        token: &str,
        user: &str,
        kind: &str,
        content: &Value,
    ) -> Result<(), RestError> {
        let path = format!("v3/user/{}/account_data/{}", segment(user), segment(kind));
        let request = self.http.put(self.url(&path)).bearer_auth(token).json(content);
        send(request, REQUEST_LIMIT).await.map(drop)
    }

    /// The identity keys that the server publishes for a device of the asker.
    pub(crate) async fn device_keys(
        &self,
        token: &str,
        user: &str,
        device: &str,
    ) -> Result<Option<IdentityKeys>, RestError> {
        let body = json!({ "device_keys": { user: [device] } });
        let request = self.http.post(self.url("v3/keys/query")).bearer_auth(token).json(&body);
        Self::identity_keys(&send(request, REQUEST_LIMIT).await?, user, device)
    }

    /// The identity keys of a device in an answer to `/keys/query`.
    pub(crate) fn identity_keys(
        answer: &Value,
        user: &str,
        device: &str,
    ) -> Result<Option<IdentityKeys>, RestError> {
        let Some(keys) = answer["device_keys"][user][device]["keys"].as_object() else {
            return Ok(None);
        };
        let key = |algorithm: &str| {
            keys.get(&format!("{algorithm}:{device}"))
                .and_then(Value::as_str)
                .map(ToOwned::to_owned)
        };
        match (key("ed25519"), key("curve25519")) {
            (Some(ed25519), Some(curve25519)) => Ok(Some(IdentityKeys { ed25519, curve25519 })),
            _ => Err(garbled("device keys without an ed25519 or curve25519 key")),
        }
    }

    /// Everything that the server publishes about a user's devices and identity.
    pub(crate) async fn query_keys(&self, token: &str, user: &str) -> Result<Value, RestError> {
        let body = json!({ "device_keys": { user: [] } });
        let request = self.http.post(self.url("v3/keys/query")).bearer_auth(token).json(&body);
        send(request, REQUEST_LIMIT).await
    }

    /// Publishes a cross-signing identity: `keys` with `master_key` and so on.
    /// `auth` proves who asks, if the server wanted that.
    pub(crate) async fn upload_signing_keys(
        &self,
        token: &str,
        keys: &Value,
        auth: Option<Value>,
    ) -> Result<(), RestError> {
        let mut body = keys.clone();
        if let Some(auth) = auth {
            body["auth"] = auth;
        }
        let request = self.http.post(self.url("v3/keys/device_signing/upload")).bearer_auth(token);
        send(request.json(&body), REQUEST_LIMIT).await.map(drop)
    }

    /// Adds signatures to keys that are published; `signed` has the signed
    /// objects by user and key. One that the server does not take is an error.
    pub(crate) async fn upload_signatures(
        &self,
        token: &str,
        signed: &Value,
    ) -> Result<(), RestError> {
        let request = self.http.post(self.url("v3/keys/signatures/upload")).bearer_auth(token);
        let answer = send(request.json(signed), REQUEST_LIMIT).await?;
        match failure(&answer) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// How many one-time keys of the token's device are on the server. Uploads nothing.
    pub(crate) async fn one_time_keys(&self, token: &str) -> Result<u64, RestError> {
        let request = self.http.post(self.url("v3/keys/upload")).bearer_auth(token);
        let answer = send(request.json(&json!({})), REQUEST_LIMIT).await?;
        Ok(answer["one_time_key_counts"]["signed_curve25519"].as_u64().unwrap_or_default())
    }

    /// The devices of the token's account.
    pub(crate) async fn devices(&self, token: &str) -> Result<Vec<Value>, RestError> {
        let answer = self.get("v3/devices", token).await?;
        Ok(answer["devices"].as_array().cloned().unwrap_or_default())
    }

    /// Sends something to a device in the clear; to all of the user's, with `*`.
    pub(crate) async fn send_to_device(
        &self,
        token: &str,
        kind: &str,
        user: &str,
        device: &str,
        content: &Value,
        transaction: &str,
    ) -> Result<(), RestError> {
        let path = format!("v3/sendToDevice/{}/{}", segment(kind), segment(transaction));
        let body = json!({ "messages": { user: { device: content } } });
        let request = self.http.put(self.url(&path)).bearer_auth(token).json(&body);
        send(request, REQUEST_LIMIT).await.map(drop)
    }

    /// Removes devices from the account.
    pub(crate) async fn delete_devices(
        &self,
        token: &str,
        user: &str,
        password: &Secret<String>,
        devices: &[&str],
    ) -> Result<(), RestError> {
        let body = json!({ "devices": devices, "auth": password_auth(user, password) });
        let request = self.http.post(self.url("v3/delete_devices")).bearer_auth(token).json(&body);
        send(request, REQUEST_LIMIT).await.map(drop)
    }

    /// The versions of the API that the server speaks, and its clock if it says.
    pub(crate) async fn versions(&self) -> Result<(Value, Option<Stamp>), RestError> {
        let request = self.http.get(self.url("versions")).timeout(REQUEST_LIMIT);
        let response = request.send().await.map_err(network)?;
        let date = response.headers().get("date").and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let date = date.and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok());
        let answer = response.json().await.map_err(network)?;
        Ok((answer, date.map(|date| Stamp::default().plus(date))))
    }

    /// The version of the account's key backup, if there is one.
    pub(crate) async fn backup_version(&self, token: &str) -> Result<Option<String>, RestError> {
        let found = self.backup(token).await?;
        Ok(found.and_then(|found| found["version"].as_str().map(ToOwned::to_owned)))
    }

    /// What the server says about the account's key backup, if there is one.
    pub(crate) async fn backup(&self, token: &str) -> Result<Option<Value>, RestError> {
        match self.get("v3/room_keys/version", token).await {
            Ok(answer) => Ok(Some(answer)),
            Err(RestError::Api { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a version of the account's key backup.
    pub(crate) async fn delete_backup(&self, token: &str, version: &str) -> Result<(), RestError> {
        let path = format!("v3/room_keys/version/{}", segment(version));
        let request = self.http.delete(self.url(&path)).bearer_auth(token);
        send(request, REQUEST_LIMIT).await.map(drop)
    }

    /// Asks for news since `since` (everything, if that is empty), waiting up
    /// to `wait` for them.
    pub(crate) async fn poll(
        &self,
        token: &str,
        since: &str,
        filter: &str,
        wait: Duration,
    ) -> Result<Value, RestError> {
        let timeout = wait.as_millis().to_string();
        let mut query =
            vec![("filter", filter), ("timeout", &timeout), ("set_presence", "offline")];
        if !since.is_empty() {
            query.push(("since", since));
        }
        let request = self.http.get(self.url("v3/sync")).bearer_auth(token).query(&query);
        send(request, wait + Duration::from_secs(30)).await
    }

    /// One page of a room's timeline backwards from `from` (its end without
    /// one), not beyond `to`.
    pub(crate) async fn messages(
        &self,
        token: &str,
        room: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Page, RestError> {
        let path = format!("v3/rooms/{}/messages", segment(room));
        let mut query = vec![("dir", "b"), ("limit", "100")];
        query.extend(from.map(|from| ("from", from)));
        query.extend(to.map(|to| ("to", to)));
        let request = self.http.get(self.url(&path)).bearer_auth(token).query(&query);
        let mut answer = send(request, REQUEST_LIMIT).await?;
        let events = match answer.get_mut("chunk").map(Value::take) {
            Some(Value::Array(events)) => events,
            _ => return Err(garbled("a page of a timeline without events")),
        };
        Ok(Page { events, next: answer["end"].as_str().map(ToOwned::to_owned) })
    }

    /// One event of a room, as it was sent.
    pub(crate) async fn event(
        &self,
        token: &str,
        room: &str,
        event: &str,
    ) -> Result<Value, RestError> {
        self.get(&format!("v3/rooms/{}/event/{}", segment(room), segment(event)), token).await
    }

    async fn get(&self, path: &str, token: &str) -> Result<Value, RestError> {
        send(self.http.get(self.url(path)).bearer_auth(token), REQUEST_LIMIT).await
    }

    /// The address without a slash at its end.
    fn origin(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    fn url(&self, path: &str) -> String {
        format!("{}/_matrix/client/{path}", self.origin())
    }

    /// What an error means for the agent.
    pub(crate) fn fault(&self, account: &Account, error: RestError) -> Fault {
        let homeserver = self.homeserver();
        let user = account.user_id.clone();
        let (detail, retry_after) = match error {
            RestError::Network { detail } => (detail, None),
            RestError::TooLarge => (error.to_string(), None),
            RestError::Api { ref errcode, ref message, retry_after, .. } => {
                match errcode.as_str() {
                    "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN" => {
                        let password = account.password.is_some();
                        return Fault::TokenInvalid { homeserver, user, password };
                    }
                    "M_USER_DEACTIVATED" | "M_USER_LOCKED" | "M_USER_SUSPENDED" => {
                        return Fault::AccountUnusable {
                            homeserver,
                            user,
                            detail: message.clone(),
                        };
                    }
                    _ => (error.to_string(), retry_after),
                }
            }
        };
        Fault::ServerUnavailable { homeserver, detail, retry_after }
    }
}

/// Proves who asks, for requests that want the password again (UIA).
pub(crate) fn password_auth(user: &str, password: &Secret<String>) -> Value {
    json!({
        "type": PASSWORD_STAGE,
        "identifier": { "type": "m.id.user", "user": user },
        "password": password.expose(),
    })
}

/// Escapes an id as one segment of a path.
fn segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The texts in a list.
fn words(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

async fn send(request: RequestBuilder, limit: Duration) -> Result<Value, RestError> {
    let response = request.timeout(limit).send().await.map_err(network)?;
    if !response.status().is_success() {
        return Err(api_error(response).await);
    }
    let body = body(response, ANSWER_LIMIT).await?;
    serde_json::from_slice::<Value>(&body).map_err(|_| garbled("an answer that is not JSON"))
}

/// What an answer has in it, up to `limit` bytes.
async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, RestError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(network)? {
        if body.len() + chunk.len() > limit {
            return Err(RestError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The error that an answer is.
async fn api_error(response: Response) -> RestError {
    let status = response.status();
    let header = retry_after(&response);
    let parsed = match body(response, ERROR_LIMIT).await {
        Ok(body) => serde_json::from_slice::<Value>(&body).unwrap_or_default(),
        // Somebody's long page.
        Err(RestError::TooLarge) => Value::Null,
        Err(error) => return error,
    };
    RestError::Api {
        status,
        errcode: parsed["errcode"].as_str().unwrap_or("(no errcode)").to_owned(),
        message: parsed["error"].as_str().unwrap_or("(no message)").to_owned(),
        retry_after: parsed["retry_after_ms"].as_u64().map(Duration::from_millis).or(header),
        soft_logout: parsed["soft_logout"].as_bool().unwrap_or(false),
        challenge: Challenge::read(&parsed).map(Box::new),
    }
}

/// The first of the failures in an answer that says `200 OK`.
fn failure(answer: &Value) -> Option<RestError> {
    let of_user = answer["failures"].as_object()?.values().filter_map(Value::as_object);
    let (key, failure) = of_user.flatten().next()?;
    let word = |name: &str| failure[name].as_str().unwrap_or("?").to_owned();
    Some(RestError::Api {
        status: StatusCode::OK,
        errcode: word("errcode"),
        message: format!("{} (for {key})", word("error")),
        retry_after: None,
        soft_logout: false,
        challenge: None,
    })
}

fn retry_after(response: &Response) -> Option<Duration> {
    let header = response.headers().get("retry-after")?.to_str().ok()?;
    header.parse().ok().map(Duration::from_secs).or_else(|| {
        let then = httpdate::parse_http_date(header).ok()?;
        then.duration_since(SystemTime::now()).ok()
    })
}

/// Errors of the HTTP client name the URL, which is not secret, but carry no
/// token: it is sent in a header.
fn network(error: reqwest::Error) -> RestError {
    let error = error.without_url();
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    RestError::Network { detail }
}

fn text(answer: &Value, key: &str) -> Result<String, RestError> {
    let found = answer[key].as_str().map(ToOwned::to_owned);
    found.ok_or_else(|| garbled(&format!("an answer without {key}")))
}

fn garbled(what: &str) -> RestError {
    RestError::Network { detail: format!("{what} from the server") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_says_whether_the_password_is_enough() {
        let read = |flows: Value| {
            Challenge::read(&json!({ "flows": flows, "session": "s" })).map(|c| c.takes_password)
        };
        assert_eq!(read(json!([{ "stages": ["m.login.password"] }])), Some(true));
        assert_eq!(
            read(json!([{ "stages": ["m.oauth"] }, { "stages": ["m.login.password"] }])),
            Some(true)
        );
        let both = json!([{ "stages": ["m.login.password", "m.login.terms"] }]);
        assert_eq!(read(both), Some(false));
        assert_eq!(Challenge::read(&json!({ "errcode": "M_UNKNOWN_TOKEN" })), None);
    }

    #[test]
    fn only_what_a_homeserver_says_itself_is_final_or_surely_not_done() {
        let api = |status: u16, errcode: &str| RestError::Api {
            status: StatusCode::from_u16(status).unwrap(),
            errcode: errcode.to_owned(),
            message: String::new(),
            retry_after: None,
            soft_logout: false,
            challenge: None,
        };
        let judged = |error: RestError| (error.is_final(), error.is_undone());
        assert_eq!(judged(api(403, "M_FORBIDDEN")), (true, true));
        assert_eq!(judged(api(413, "(no errcode)")), (true, true));
        assert_eq!(judged(api(429, "M_LIMIT_EXCEEDED")), (false, true));
        assert_eq!(judged(api(401, "M_UNKNOWN_TOKEN")), (false, true));
        assert_eq!(judged(api(502, "(no errcode)")), (false, false));
        assert_eq!(judged(garbled("nothing")), (false, false));
    }

    #[test]
    fn a_request_is_not_sent_on_into_the_clear_nor_for_ever() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (open, private) = (url("http://a.test/"), url("https://a.test/"));
        let ftp = url("ftp://a.test/");
        assert_eq!(may_follow(std::slice::from_ref(&open), &open), Ok(()));
        assert_eq!(may_follow(std::slice::from_ref(&open), &private), Ok(()));
        assert!(may_follow(&[open.clone(), private.clone()], &open).is_err());
        assert!(may_follow(std::slice::from_ref(&open), &ftp).is_err());
        let many = vec![private.clone(); 6];
        assert!(may_follow(&many, &private).is_err() && may_follow(&many[1..], &private).is_ok());
    }

    #[test]
    fn the_answer_to_a_challenge_names_its_session() {
        let challenge = Challenge::read(&json!({ "flows": [], "session": "abc" })).unwrap();
        let auth = challenge.answer("@a:hs", &Secret::new("secret".to_owned()));
        assert_eq!(auth["session"], "abc");
        assert_eq!(auth["identifier"]["user"], "@a:hs");
    }

    #[test]
    fn a_signature_that_was_not_taken_is_an_error() {
        assert!(failure(&json!({})).is_none());
        assert!(failure(&json!({ "failures": {} })).is_none());
        assert!(failure(&json!({ "failures": { "@a:hs": {} } })).is_none());
        let refused = json!({ "failures": { "@a:hs": { "DEV": {
            "errcode": "M_INVALID_SIGNATURE", "error": "no",
        } } } });
        let error = failure(&refused).unwrap().to_string();
        assert_eq!(error, "200 OK M_INVALID_SIGNATURE: no (for DEV)");
    }
}
