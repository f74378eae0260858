//! Whose token a request carries, without keeping the token.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use memchr::memmem;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Body, Request};

/// What stands for a secret in a body.
const REDACTED: &str = "(redacted)";

/// The fields whose values are secrets.
const SECRETS: [&str; 4] = ["access_token", "refresh_token", "password", "login_token"];

/// The beginning of the hash of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash(u64);

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        let hash = Sha256::digest(token);
        Self(hash[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// What its owner is called until it is known.
    fn placeholder(self) -> String {
        format!("token-{:016x}", self.0)
    }
}

/// The token of a request, from its header or its query.
pub(super) fn token_of<'a>(authorization: Option<&'a str>, target: &'a str) -> Option<&'a str> {
    let bearer = authorization.and_then(|value| value.strip_prefix("Bearer "));
    let query = || {
        let (_, query) = target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix("access_token="))
    };
    bearer.or_else(query)
}

/// The names of the owners of tokens.
#[derive(Debug, Default)]
pub(super) struct Owners {
    names: Mutex<HashMap<TokenHash, String>>,
}

/// An owner that was called something else before.
pub(super) struct Renamed {
    pub(super) from: String,
    pub(super) to: String,
}

impl Owners {
    pub(super) fn name(&self, token: TokenHash) -> String {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(&token).cloned().unwrap_or_else(|| token.placeholder())
    }

    /// Names an owner; says so if it was called something else.
    pub(super) fn set(&self, token: TokenHash, name: &str) -> Option<Renamed> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let before = names.insert(token, name.to_owned());
        let from = before.unwrap_or_else(|| token.placeholder());
        (from != name).then(|| Renamed { from, to: name.to_owned() })
    }

    /// Learns from an exchange that names an owner. A name that is known stays.
    pub(super) fn learn(
        &self,
        request: &Request,
        token: Option<TokenHash>,
        response: &[u8],
    ) -> Option<Renamed> {
        let (token, name) = told(request, token, response)?;
        if self.names.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&token) {
            return None;
        }
        self.set(token, &name)
    }
}

/// The owner that an exchange tells of.
fn told(
    request: &Request,
    token: Option<TokenHash>,
    response: &[u8],
) -> Option<(TokenHash, String)> {
    let response = || serde_json::from_slice::<Value>(response).ok();
    if request.path.ends_with("/login") || request.path.ends_with("/register") {
        let response = response()?;
        let token = TokenHash::of(response["access_token"].as_str()?);
        return Some((token, device(&response)?));
    }
    if request.path.ends_with("/account/whoami") {
        return Some((token?, device(&response()?)?));
    }
    if request.path.ends_with("/keys/upload") {
        return Some((token?, device(&request.json()?["device_keys"])?));
    }
    None
}

fn device(value: &Value) -> Option<String> {
    Some(format!("{}/{}", value["user_id"].as_str()?, value["device_id"].as_str()?))
}

/// A body without the secrets of a login, and without the token of its request.
pub(super) fn redacted(bytes: &[u8], token: Option<&str>) -> Body {
    let mentions = |text: &str| memmem::find(bytes, text.as_bytes()).is_some();
    let token = token.filter(|token| mentions(token));
    let has_secrets = SECRETS.iter().any(|field| mentions(field));
    if token.is_none() && !has_secrets {
        return Body::new(bytes);
    }
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if has_secrets {
        text = without_secrets(&text);
    }
    if let Some(token) = token {
        text = text.replace(token, REDACTED);
    }
    Body::new(text.as_bytes())
}

/// JSON without the secrets in it; nothing at all of a text that is not JSON.
fn without_secrets(text: &str) -> String {
    let Ok(mut json) = serde_json::from_str(text) else { return REDACTED.to_owned() };
    redact(&mut json);
    json.to_string()
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if SECRETS.contains(&name.as_str()) && value.is_string() {
                    *value = REDACTED.into();
                } else {
                    redact(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_owner_of_a_token_is_learned_from_its_login() {
        let owners = Owners::default();
        let answer = json!({ "access_token": "t", "user_id": "@a:x", "device_id": "D" });
        let login = Request::new("POST", "/_matrix/client/v3/login");
        assert!(owners.name(TokenHash::of("t")).starts_with("token-"));
        let renamed = owners.learn(&login, None, answer.to_string().as_bytes()).unwrap();
        assert_eq!(renamed.to, "@a:x/D");
        assert_eq!(owners.name(TokenHash::of("t")), "@a:x/D");
    }

    #[test]
    fn a_given_name_is_not_replaced_by_a_learned_one() {
        let owners = Owners::default();
        let token = TokenHash::of("t");
        owners.set(token, "the first agent");
        let whoami = Request::new("GET", "/_matrix/client/v3/account/whoami");
        let answer = br#"{"user_id":"@a:x","device_id":"D"}"#;
        assert!(owners.learn(&whoami, Some(token), answer).is_none());
        assert_eq!(owners.name(token), "the first agent");
    }

    #[test]
    fn a_token_is_found_in_the_header_and_in_the_query() {
        assert_eq!(token_of(Some("Bearer t"), "/?access_token=u"), Some("t"));
        assert_eq!(token_of(None, "/?a=b&access_token=u"), Some("u"));
        assert_eq!(token_of(None, "/"), None);
    }

    #[test]
    fn secrets_are_taken_out_of_a_body_and_nothing_else() {
        let body = json!({ "auth": { "password": "p" }, "device_id": "D", "access_token": "t" });
        let kept = redacted(body.to_string().as_bytes(), None).json().unwrap();
        assert_eq!(
            kept,
            json!({ "auth": { "password": REDACTED }, "device_id": "D", "access_token": REDACTED })
        );
        assert_eq!(redacted(b"{ }", Some("t0ken")).bytes(), b"{ }");
        assert_eq!(redacted(b"/?t0ken", Some("t0ken")).text(), "/?(redacted)");
        assert_eq!(redacted(b"user=a&password=p", None).text(), REDACTED);
    }
}
