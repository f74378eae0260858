//! Which device an agent is, and the token for it.

use launcher_core::{fault::Fault, preflight::Mismatch, secret::Secret, spec::AgentSpec};
use tracing::info;

use crate::{
    rest::{Rest, RestError},
    vault::Vault,
};

/// A session that the server has just confirmed.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) device_id: String,
    pub(crate) access_token: Secret<String>,
}

/// Finds or makes the agent's session. `keep` writes the vault down.
///
/// The configured token goes first. Without one, the vault's session is used,
/// and only if there is none, or the server ended it softly, the password logs
/// in. The device's name is chosen and written down before the login, so a
/// kill in between leads to the same device again and not to one more.
pub(crate) async fn obtain(
    spec: &AgentSpec,
    rest: &Rest,
    vault: &mut Vault,
    keep: impl Fn(&Vault) -> Result<(), Fault>,
) -> Result<Login, Fault> {
    let account = &spec.account;
    let retired = vault.retired_token.as_deref();
    let configured = account.access_token.as_ref();
    if let Some(token) = configured.filter(|token| Some(token.expose()) != retired) {
        match whoami(spec, rest, token.expose()).await {
            Ok(login) => return Ok(login),
            Err(Refusal::Token { .. }) if account.password.is_some() => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    let mut device = vault.device_id.clone();
    if let Some(token) = vault.access_token.clone() {
        match whoami(spec, rest, &token).await {
            Ok(login) => return Ok(login),
            Err(Refusal::Token { soft: true, .. }) if account.password.is_some() => {
                info!(
                    event = "soft_logout",
                    "the session expired; logging in again on the same device"
                );
            }
            Err(refusal) => return Err(refusal.into()),
        }
    } else if device.is_some() && vault.ed25519.is_none() {
        info!("continuing a login that was interrupted");
    }
    let device_id = match device.take() {
        Some(device) => device,
        None => new_device_id()?,
    };
    vault.device_id = Some(device_id.clone());
    keep(vault)?;
    let token = log_in(spec, rest, &device_id).await?;
    vault.access_token = Some(token.expose().clone().into());
    keep(vault)?;
    Ok(Login { device_id, access_token: token })
}

enum Refusal {
    Token { soft: bool, fault: Fault },
    Other(Fault),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Token { fault, .. } | Refusal::Other(fault) => fault,
        }
    }
}

async fn whoami(spec: &AgentSpec, rest: &Rest, token: &str) -> Result<Login, Refusal> {
    let account = &spec.account;
    let found = rest.whoami(token).await.map_err(|error| {
        let soft = matches!(error, RestError::Api { soft_logout: true, .. });
        match rest.fault(account, error) {
            fault @ Fault::TokenInvalid { .. } => Refusal::Token { soft, fault },
            fault => Refusal::Other(fault),
        }
    })?;
    if found.user_id != account.user_id {
        let configured = account.user_id.clone();
        let mismatch = Mismatch::OtherToken { token: found.user_id, configured };
        return Err(Refusal::Other(Fault::Mismatched { mismatch }));
    }
    match found.device_id {
        Some(device_id) => Ok(Login { device_id, access_token: Secret::new(token.to_owned()) }),
        None => Err(Refusal::Other(Fault::NoDevice { user: account.user_id.clone() })),
    }
}

async fn log_in(spec: &AgentSpec, rest: &Rest, device: &str) -> Result<Secret<String>, Fault> {
    let account = &spec.account;
    let Some(password) = &account.password else {
        // Config makes sure of a token or a password; a token was refused above.
        return Err(Fault::TokenInvalid {
            homeserver: rest.homeserver(),
            user: account.user_id.clone(),
            password: false,
        });
    };
    let name = format!("launcher: {}", spec.id);
    match rest.login(&account.user_id, password, device, &name).await {
        Ok(token) => {
            info!(device_id = device, "logged in");
            Ok(Secret::new(token))
        }
        Err(RestError::Api { errcode, message, .. }) if errcode == "M_FORBIDDEN" => {
            Err(Fault::LoginRefused {
                homeserver: rest.homeserver(),
                user: account.user_id.clone(),
                detail: message,
            })
        }
        Err(error) => Err(rest.fault(account, error)),
    }
}

/// Ten random capitals, the form that homeservers use themselves.
fn new_device_id() -> Result<String, Fault> {
    let mut bytes = [0_u8; 10];
    getrandom::fill(&mut bytes)
        .map_err(|error| Fault::StoreFailed { detail: format!("no randomness: {error}") })?;
    Ok(bytes.iter().map(|byte| char::from(b'A' + byte % 26)).collect())
}
