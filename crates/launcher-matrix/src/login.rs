//! Which device an agent is, and the token for it.

use launcher_core::{
    fault::Fault,
    preflight::Mismatch,
    secret::Secret,
    situation::{Course, Situation},
    spec::AgentSpec,
};
use tracing::{info, warn};

use crate::{
    rest::{Rest, RestError, Tokens},
    vault::Vault,
};

/// A session that the server has just confirmed.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) device_id: String,
    pub(crate) access_token: Secret<String>,
    /// When the token should be refreshed, in milliseconds since 1970, if it expires.
    pub(crate) refresh_at: Option<u64>,
}

/// Finds or makes the agent's session. `keep` writes the vault down.
///
/// The configured token goes first. Without one, the vault's session is used;
/// one that has expired is refreshed. If the server does not know it any more,
/// the password logs in again, as the same device: whether that still has its
/// keys is for the preflight to find out. The device's name is chosen and
/// written down before the login, so a kill in between leads to the same device
/// again and not to one more; and tokens are written down before they are used.
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
            Err(Refusal::Token { soft, .. }) if account.password.is_some() => {
                vault.sessions_expire |= soft;
                tell_ended(soft);
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    if let Some(token) = vault.access_token.clone() {
        match whoami(spec, rest, &token).await {
            Ok(login) => return Ok(Login { refresh_at: vault.refresh_at, ..login }),
            Err(Refusal::Token { soft, fault }) => {
                if let Some(login) = refresh(spec, rest, vault, &keep).await? {
                    return Ok(login);
                }
                let situation = if soft { Situation::SoftLogout } else { Situation::TokenUnknown };
                if account.password.is_none() || situation.course() != Course::LogInAgain {
                    return Err(fault);
                }
                vault.sessions_expire |= soft;
                tell_ended(soft);
            }
            Err(refusal) => return Err(refusal.into()),
        }
    } else if vault.device_id.is_some() && vault.ed25519.is_none() {
        info!("continuing a login that was interrupted");
    }
    let device_id = match vault.device_id.clone() {
        Some(device) => device,
        None => new_device_id()?,
    };
    vault.device_id = Some(device_id.clone());
    keep(vault)?;
    let tokens = log_in(spec, rest, &device_id, vault.sessions_expire).await?;
    vault.set_tokens(&tokens);
    keep(vault)?;
    Ok(Login { device_id, access_token: tokens.access, refresh_at: vault.refresh_at })
}

/// Exchanges the vault's refresh token, if it has one, for a new session of
/// the same device; `None` if the server does not take it.
///
/// # Errors
///
/// Passing faults: the token may still be good.
pub(crate) async fn refresh(
    spec: &AgentSpec,
    rest: &Rest,
    vault: &mut Vault,
    keep: impl Fn(&Vault) -> Result<(), Fault>,
) -> Result<Option<Login>, Fault> {
    let (Some(token), Some(device_id)) = (vault.refresh_token.clone(), vault.device_id.clone())
    else {
        return Ok(None);
    };
    match rest.refresh(&token).await {
        Ok(tokens) => {
            vault.set_tokens(&tokens);
            keep(vault)?;
            info!("refreshed the session");
            Ok(Some(Login { device_id, access_token: tokens.access, refresh_at: vault.refresh_at }))
        }
        Err(RestError::Api { status, errcode, .. })
            if status.is_client_error() && errcode != "M_LIMIT_EXCEEDED" =>
        {
            info!(errcode, "the server does not take the refresh token");
            Ok(None)
        }
        Err(error) => Err(rest.fault(&spec.account, error)),
    }
}

/// Logs in again, as the same device, before a session that cannot be refreshed
/// expires; from then on it can be. `None` without a password.
pub(crate) async fn prolong(
    spec: &AgentSpec,
    rest: &Rest,
    vault: &mut Vault,
    keep: impl Fn(&Vault) -> Result<(), Fault>,
) -> Result<Option<Login>, Fault> {
    let Some(device_id) = vault.device_id.clone().filter(|_| spec.account.password.is_some())
    else {
        return Ok(None);
    };
    vault.sessions_expire = true;
    keep(vault)?;
    let tokens = log_in(spec, rest, &device_id, true).await?;
    vault.set_tokens(&tokens);
    keep(vault)?;
    Ok(Some(Login { device_id, access_token: tokens.access, refresh_at: vault.refresh_at }))
}

fn tell_ended(soft: bool) {
    let what = "the server ended the session; logging in again as the same device";
    match soft {
        true => info!(event = "soft_logout", "{what}"),
        false => warn!(event = "token_invalid", "{what}"),
    }
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
        Some(device_id) => {
            Ok(Login { device_id, access_token: Secret::new(token.to_owned()), refresh_at: None })
        }
        None => Err(Refusal::Other(Fault::NoDevice { user: account.user_id.clone() })),
    }
}

/// A token that should be good for the agent's session, without asking.
pub(crate) fn known_token(spec: &AgentSpec, vault: &Vault) -> Option<String> {
    let configured = spec.account.access_token.as_ref().map(|token| token.expose());
    let configured = configured.filter(|token| Some(*token) != vault.retired_token.as_deref());
    configured.or(vault.access_token.as_deref()).cloned()
}

/// Logs in as another device, with a password that is not configured.
pub(crate) async fn as_new_device(
    spec: &AgentSpec,
    rest: &Rest,
    password: &Secret<String>,
) -> Result<(String, Tokens), Fault> {
    let device = new_device_id()?;
    let mut account = spec.clone();
    account.account.password = Some(password.clone());
    let tokens = log_in(&account, rest, &device, false).await?;
    Ok((device, tokens))
}

/// What the agent's devices are called on the server.
pub(crate) fn device_name(spec: &AgentSpec) -> String {
    format!("launcher: {}", spec.id)
}

async fn log_in(
    spec: &AgentSpec,
    rest: &Rest,
    device: &str,
    refreshable: bool,
) -> Result<Tokens, Fault> {
    let account = &spec.account;
    let Some(password) = &account.password else {
        // Config makes sure of a token or a password; a token was refused above.
        return Err(Fault::TokenInvalid {
            homeserver: rest.homeserver(),
            user: account.user_id.clone(),
            password: false,
        });
    };
    let name = device_name(spec);
    match rest.login(&account.user_id, password, device, &name, refreshable).await {
        Ok(tokens) => {
            info!(device_id = device, "logged in");
            Ok(tokens)
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
pub(crate) fn new_device_id() -> Result<String, Fault> {
    let mut bytes = [0_u8; 10];
    getrandom::fill(&mut bytes)
        .map_err(|error| Fault::StoreFailed { detail: format!("no randomness: {error}") })?;
    Ok(bytes.iter().map(|byte| char::from(b'A' + byte % 26)).collect())
}
