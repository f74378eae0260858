//! Requests for accounts that are not there yet.

use hmac::{Hmac, Mac};
use launcher_core::secret::Secret;
use reqwest::Client;
use serde_json::{Value, json};
use sha1::Sha1;
use url::Url;

use super::{REQUEST_LIMIT, Rest, RestError, garbled, send, text};

/// What a homeserver says at `/.well-known/matrix/client` (spec, section 2.5).
pub(crate) async fn well_known(http: &Client, origin: &Url) -> Result<Value, RestError> {
    let origin = origin.as_str().trim_end_matches('/');
    send(http.get(format!("{origin}/.well-known/matrix/client")), REQUEST_LIMIT).await
}

impl Rest {
    /// Whether anybody answers at all, whatever they say.
    pub(crate) async fn answers(&self) -> bool {
        self.http.get(self.url("versions")).timeout(REQUEST_LIMIT).send().await.is_ok()
    }

    /// Whether the server lets this name be registered; its refusal if not.
    pub(crate) async fn is_available(&self, localpart: &str) -> Result<(), RestError> {
        let request = self.http.get(self.url("v3/register/available"));
        send(request.query(&[("username", localpart)]), REQUEST_LIMIT).await.map(drop)
    }

    /// Registers an account that no device is logged in to yet, and returns its
    /// id. Without `auth`, the refusal has the challenge to be met.
    pub(crate) async fn register(
        &self,
        localpart: &str,
        password: &Secret<String>,
        auth: Option<Value>,
    ) -> Result<String, RestError> {
        let mut body = json!({
            "username": localpart,
            "password": password.expose(),
            "inhibit_login": true,
        });
        if let Some(auth) = auth {
            body["auth"] = auth;
        }
        let request = self.http.post(self.url("v3/register")).json(&body);
        text(&send(request, REQUEST_LIMIT).await?, "user_id")
    }

    /// What the server asks of whoever wants to register. Registers nothing.
    pub(crate) async fn registration_challenge(&self) -> Result<Value, RestError> {
        send(self.http.post(self.url("v3/register")).json(&json!({})), REQUEST_LIMIT).await
    }

    /// A number for one registration with Synapse's shared secret.
    pub(crate) async fn shared_secret_nonce(&self) -> Result<String, RestError> {
        text(&send(self.http.get(self.shared_secret_url()), REQUEST_LIMIT).await?, "nonce")
    }

    /// Registers an account with Synapse's `registration_shared_secret`, and
    /// returns its id and the token of the device that older versions log in.
    ///
    /// See "Shared-Secret Registration" in Synapse's documentation.
    pub(crate) async fn register_with_shared_secret(
        &self,
        secret: &Secret<String>,
        nonce: &str,
        localpart: &str,
        password: &Secret<String>,
    ) -> Result<(String, Option<Secret<String>>), RestError> {
        let mac = shared_secret_mac(secret, nonce, localpart, password)
            .ok_or_else(|| garbled("a key for which there is no HMAC"))?;
        let body = json!({
            "nonce": nonce,
            "username": localpart,
            "password": password.expose(),
            "admin": false,
            "inhibit_login": true,
            "mac": mac,
        });
        let request = self.http.post(self.shared_secret_url()).json(&body);
        let answer = send(request, REQUEST_LIMIT).await?;
        let token = answer["access_token"].as_str().map(|token| Secret::new(token.to_owned()));
        Ok((text(&answer, "user_id")?, token))
    }

    fn shared_secret_url(&self) -> String {
        format!("{}/_synapse/admin/v1/register", self.origin())
    }

    /// Logs in as a new device that is to be logged out again. Returns the
    /// account's id and the token.
    pub(crate) async fn try_login(
        &self,
        user: &str,
        password: &Secret<String>,
        name: &str,
    ) -> Result<(String, Secret<String>), RestError> {
        let request = self.http.post(self.url("v3/login")).json(&json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user },
            "password": password.expose(),
            "initial_device_display_name": name,
        }));
        let answer = send(request, REQUEST_LIMIT).await?;
        Ok((text(&answer, "user_id")?, Secret::new(text(&answer, "access_token")?)))
    }
}

/// HMAC-SHA1 over the fields with a NUL between each two, in hex digits.
fn shared_secret_mac(
    secret: &Secret<String>,
    nonce: &str,
    localpart: &str,
    password: &Secret<String>,
) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes()).ok()?;
    for field in [nonce, localpart, password.expose().as_str()] {
        mac.update(field.as_bytes());
        mac.update(&[0]);
    }
    mac.update(b"notadmin");
    Some(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against `hmac.new(b"shared", …, hashlib.sha1).hexdigest()` of Python.
    #[test]
    fn the_mac_is_over_nonce_name_password_and_rank() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let mac = shared_secret_mac(&secret("shared"), "nonce", "bot", &secret("pass"));
        assert_eq!(mac.unwrap(), "50c19598bc0c7f2d84fcb550b45c5bafbba3cc11");
    }
}
