//! Finds a homeserver, and makes or tries out an account on it.
//!
//! Nothing here is kept: whoever calls has the password before the server
//! hears of it, and can ask again after a kill. An account that was registered
//! in a life that ended before the answer came is told by its password, see
//! [`log_in`].

mod finding;

use std::time::Duration;

use launcher_core::secret::Secret;
use serde_json::{Value, json};
use tokio::time::sleep;
use url::Url;

pub use self::finding::{FindError, Found, find_homeserver};
use crate::{
    connector::MatrixConnector,
    rest::{Challenge, Rest, RestError},
};

const DUMMY: &str = "m.login.dummy";
const TOKEN: &str = "m.login.registration_token";

/// What the device is called that shows that a password is right.
const TEMPORARY: &str = "launcher new";

/// How often the question whether a name is free may be put off.
const MOST_PUT_OFF: u32 = 5;

/// How long to wait then, if the server does not say it.
const SHORT_WAIT: Duration = Duration::from_secs(1);

/// The longest wait, whatever the server says.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// How the homeserver is asked for an account.
#[derive(Clone, Debug)]
pub enum Entrance {
    /// Everybody may register.
    Open,
    /// With a token that the server's administrator gave out (spec, section
    /// 5.6.7; MSC3231).
    Token(Secret<String>),
    /// With Synapse's `registration_shared_secret`.
    SharedSecret(Secret<String>),
}

/// Ways to get an account that a homeserver offers to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Without any proof.
    pub open: bool,
    /// With a registration token.
    pub token: bool,
}

/// Why there is no account, or why a password was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The server said no. Nothing was registered.
    #[error("{reason}")]
    Refused {
        /// What it said.
        reason: String,
        /// What helps.
        action: String,
    },
    /// The name is taken: by somebody else, or by an earlier try of the same.
    #[error("the name `{localpart}` is taken on {homeserver}")]
    Taken {
        /// The name.
        localpart: String,
        /// The server.
        homeserver: String,
    },
    /// The answer was lost, or is none. An account may have been registered.
    #[error("{homeserver} gave no answer that can be understood: {detail}")]
    Unconfirmed {
        /// The server.
        homeserver: String,
        /// What came instead.
        detail: String,
    },
}

impl AccountError {
    /// What helps.
    pub fn action(&self) -> String {
        match self {
            Self::Refused { action, .. } => action.clone(),
            Self::Taken { .. } => "choose another name with --username, or give the password of \
                                   that account if it is yours (--password-env)"
                .to_owned(),
            Self::Unconfirmed { .. } => {
                "repeat the command: it goes on where this one ended".to_owned()
            }
        }
    }

    /// Whether the server has certainly not registered anything.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Taken { .. } => true,
            Self::Unconfirmed { .. } => false,
        }
    }
}

/// What a homeserver asks of whoever wants to register.
///
/// # Errors
///
/// See [`AccountError`].
pub async fn offer(connector: &MatrixConnector, server: &Url) -> Result<Offer, AccountError> {
    let rest = Rest::new(connector.http(), server.clone());
    let challenge = challenge(&rest).await?;
    Ok(Offer {
        open: stages(&challenge, &[DUMMY]).is_some(),
        token: stages(&challenge, &[TOKEN, DUMMY]).is_some_and(|flow| flow.contains(&TOKEN)),
    })
}

/// Finds out whether an account of this name could be registered, as far as the
/// server says before it happens. Registers nothing.
///
/// # Errors
///
/// See [`AccountError`].
pub async fn examine(
    connector: &MatrixConnector,
    server: &Url,
    localpart: &str,
    entrance: &Entrance,
) -> Result<(), AccountError> {
    let rest = Rest::new(connector.http(), server.clone());
    match entrance {
        // The closed door is told in place of the name: Synapse says neither
        // whether a name is free if it registers nobody.
        Entrance::Open | Entrance::Token(_) => way_in(&rest, entrance).await.map(drop)?,
        Entrance::SharedSecret(_) => rest
            .shared_secret_nonce()
            .await
            .map(drop)
            .map_err(|error| explain_shared_secret(&rest, localpart, error))?,
    }
    match is_available(&rest, localpart).await {
        Ok(()) => Ok(()),
        // A server that registers nobody in the open does not say which names
        // are free; with the secret it still registers.
        Err(error) if is_code(&error, &["M_FORBIDDEN", "M_UNRECOGNIZED"]) => Ok(()),
        Err(error) => Err(explain(&rest, localpart, error)),
    }
}

/// Whether a name is free. Synapse answers one such question of an address at a
/// time and puts off the others, by seconds.
async fn is_available(rest: &Rest, localpart: &str) -> Result<(), RestError> {
    let mut put_off = 0;
    loop {
        match rest.is_available(localpart).await {
            Err(RestError::Api { errcode, retry_after, .. })
                if errcode == "M_LIMIT_EXCEEDED" && put_off < MOST_PUT_OFF =>
            {
                put_off += 1;
                sleep(retry_after.unwrap_or(SHORT_WAIT).min(LONG_WAIT)).await;
            }
            done => return done,
        }
    }
}

/// Registers an account; no device is logged in to it. Returns its id.
///
/// # Errors
///
/// See [`AccountError`].
///
/// # Cancel safety
///
/// Whoever drops this does not know whether there is an account, but can find
/// out with [`log_in`].
pub async fn register(
    connector: &MatrixConnector,
    server: &Url,
    localpart: &str,
    password: &Secret<String>,
    entrance: &Entrance,
) -> Result<String, AccountError> {
    let rest = Rest::new(connector.http(), server.clone());
    if let Entrance::SharedSecret(secret) = entrance {
        let explain = |error| explain_shared_secret(&rest, localpart, error);
        let nonce = rest.shared_secret_nonce().await.map_err(explain)?;
        let done = rest.register_with_shared_secret(secret, &nonce, localpart, password).await;
        let (user, token) = done.map_err(explain)?;
        if let Some(token) = token {
            // The device of an older Synapse; the account is there in any case.
            drop(rest.logout(token.expose()).await);
        }
        return Ok(user);
    }
    let (mut challenge, flow) = way_in(&rest, entrance).await?;
    // Each stage is proved once; the last one registers.
    for stage in &flow {
        if challenge.completed.iter().any(|done| done == stage) {
            continue;
        }
        let auth = proof(stage, entrance, challenge.session.as_deref());
        match rest.register(localpart, password, Some(auth)).await {
            Ok(user) => return Ok(user),
            Err(RestError::Api { challenge: Some(next), .. }) => {
                if !next.completed.iter().any(|done| done == stage) {
                    return Err(not_accepted(&rest, stage));
                }
                challenge = *next;
            }
            Err(error) => return Err(explain(&rest, localpart, error)),
        }
    }
    Err(refused(
        format!("{} wants more than it said before", rest.homeserver()),
        "register the account with a client, and give its password (--password-env)",
    ))
}

/// Makes sure that a password opens an account; no device is left. Returns the
/// account's id.
///
/// # Errors
///
/// See [`AccountError`]: a wrong password is refused.
pub async fn log_in(
    connector: &MatrixConnector,
    server: &Url,
    user: &str,
    password: &Secret<String>,
) -> Result<String, AccountError> {
    let rest = Rest::new(connector.http(), server.clone());
    match rest.try_login(user, password, TEMPORARY).await {
        Ok((id, token)) => {
            // The device has no keys; one that is left disturbs nobody.
            drop(rest.logout(token.expose()).await);
            Ok(id)
        }
        Err(RestError::Api { errcode, message, .. }) if errcode == "M_FORBIDDEN" => Err(refused(
            format!("{} refused the login as `{user}`: {message}", rest.homeserver()),
            "correct the name (--username) or the password",
        )),
        Err(error) if is_code(&error, &["M_UNRECOGNIZED", "M_UNKNOWN"]) => Err(refused(
            format!("{} takes no passwords: {error}", rest.homeserver()),
            "an agent needs an account with a password, or an access token in its config.yaml",
        )),
        // Whose the account is, nobody knows then.
        Err(error) if is_code(&error, &["M_LIMIT_EXCEEDED"]) => {
            Err(unconfirmed(&rest, error.to_string()))
        }
        Err(error) => Err(explain(&rest, user, error)),
    }
}

async fn challenge(rest: &Rest) -> Result<Challenge, AccountError> {
    match rest.registration_challenge().await {
        Err(RestError::Api { challenge: Some(challenge), .. }) => Ok(*challenge),
        Err(error) => Err(explain(rest, "", error)),
        Ok(_) => Err(unconfirmed(rest, "an account for nothing".to_owned())),
    }
}

/// The challenge, and the stages that this entrance can go through.
async fn way_in(
    rest: &Rest,
    entrance: &Entrance,
) -> Result<(Challenge, Vec<&'static str>), AccountError> {
    let challenge = challenge(rest).await?;
    let can: &[&'static str] = match entrance {
        Entrance::Token(_) => &[TOKEN, DUMMY],
        Entrance::Open | Entrance::SharedSecret(_) => &[DUMMY],
    };
    match stages(&challenge, can) {
        Some(flow) => Ok((challenge, flow)),
        None => Err(no_way_in(rest, &challenge)),
    }
}

/// The shortest sequence of stages that needs nothing but these.
fn stages(challenge: &Challenge, can: &[&'static str]) -> Option<Vec<&'static str>> {
    let known = |stage: &String| can.iter().copied().find(|can| *can == stage.as_str());
    let flows = challenge.flows.iter();
    let all = flows.filter_map(|flow| flow.iter().map(known).collect::<Option<Vec<_>>>());
    all.filter(|flow| !flow.is_empty()).min_by_key(Vec::len)
}

fn proof(stage: &str, entrance: &Entrance, session: Option<&str>) -> Value {
    let mut proof = json!({ "type": stage, "session": session });
    if let (TOKEN, Entrance::Token(token)) = (stage, entrance) {
        proof["token"] = json!(token.expose());
    }
    proof
}

fn no_way_in(rest: &Rest, challenge: &Challenge) -> AccountError {
    let mut wanted: Vec<&str> = challenge
        .flows
        .iter()
        .flatten()
        .map(String::as_str)
        .filter(|&stage| stage != DUMMY)
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let homeserver = rest.homeserver();
    if wanted == [TOKEN] {
        return refused(
            format!("{homeserver} registers only with a registration token"),
            "give one with --registration-token-env; the server's administrator makes them",
        );
    }
    refused(
        format!("{homeserver} does not register that way; it wants {}", wanted.join(", ")),
        "register the account with a client, and give its password (--password-env)",
    )
}

fn not_accepted(rest: &Rest, stage: &str) -> AccountError {
    let homeserver = rest.homeserver();
    match stage {
        TOKEN => refused(
            format!("{homeserver} does not accept the registration token"),
            "it may be mistyped, used up or expired: ask the server's administrator for another one",
        ),
        _ => refused(
            format!("{homeserver} does not accept the proof that it asked for ({stage})"),
            "register the account with a client, and give its password (--password-env)",
        ),
    }
}

fn explain(rest: &Rest, localpart: &str, error: RestError) -> AccountError {
    let homeserver = rest.homeserver();
    let RestError::Api { status, errcode, message, retry_after, .. } = &error else {
        return unconfirmed(rest, error.to_string());
    };
    match errcode.as_str() {
        "M_USER_IN_USE" => AccountError::Taken { localpart: localpart.to_owned(), homeserver },
        "M_INVALID_USERNAME" => refused(
            format!("{homeserver} does not take the name `{localpart}`: {message}"),
            "choose another one with --username",
        ),
        "M_EXCLUSIVE" => refused(
            format!("{homeserver} keeps the name `{localpart}` for a bridge: {message}"),
            "choose another one with --username",
        ),
        "M_LIMIT_EXCEEDED" => {
            let wait = retry_after.map_or(60, |wait| wait.as_secs() + 1);
            let action = format!("repeat the command in {wait} s");
            refused(format!("{homeserver} was asked too often"), action)
        }
        "M_FORBIDDEN" | "M_UNRECOGNIZED" => refused(
            format!("{homeserver} registers nobody this way: {message}"),
            "give Synapse's secret (--shared-secret-env) if the server is yours; else register \
             the account with a client, and give its password (--password-env)",
        ),
        code if code == "M_WEAK_PASSWORD" || code.starts_with("M_PASSWORD_") => refused(
            format!("{homeserver} does not take a random password: {message}"),
            "register the account with a client, and give its password (--password-env)",
        ),
        // It may have been done before something broke.
        _ if status.is_server_error() => unconfirmed(rest, error.to_string()),
        _ => refused(
            format!("{homeserver} refused what was asked: {error}"),
            "see the homeserver's log",
        ),
    }
}

fn explain_shared_secret(rest: &Rest, localpart: &str, error: RestError) -> AccountError {
    let homeserver = rest.homeserver();
    match &error {
        RestError::Api { message, .. } if message.contains("HMAC") => refused(
            format!("{homeserver} does not accept the shared secret"),
            "take `registration_shared_secret` from the homeserver's configuration",
        ),
        // Synapse answers 400 M_UNKNOWN if it has no secret; others, and
        // proxies that hide the path, do not know it.
        RestError::Api { status, errcode, .. }
            if status.as_u16() == 404
                || errcode == "M_UNRECOGNIZED"
                || (status.as_u16() == 400 && errcode == "M_UNKNOWN" && !is_taken(&error)) =>
        {
            refused(
                format!("{homeserver} offers no registration with a shared secret: {error}"),
                "Synapse needs `registration_shared_secret`, and the address has to be one where \
                 `/_synapse/admin` is reached, such as http://localhost:8008",
            )
        }
        _ => explain(rest, localpart, error),
    }
}

fn is_taken(error: &RestError) -> bool {
    is_code(error, &["M_USER_IN_USE"])
}

fn is_code(error: &RestError, codes: &[&str]) -> bool {
    matches!(error, RestError::Api { errcode, .. } if codes.contains(&errcode.as_str()))
}

fn refused(reason: impl Into<String>, action: impl Into<String>) -> AccountError {
    AccountError::Refused { reason: reason.into(), action: action.into() }
}

fn unconfirmed(rest: &Rest, detail: String) -> AccountError {
    AccountError::Unconfirmed { homeserver: rest.homeserver(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(flows: &[&[&str]]) -> Challenge {
        let flow = |flow: &&[&str]| flow.iter().map(ToString::to_string).collect();
        Challenge {
            session: Some("s".to_owned()),
            takes_password: false,
            flows: flows.iter().map(flow).collect(),
            completed: Vec::new(),
        }
    }

    #[test]
    fn the_shortest_way_in_needs_nothing_that_is_not_there() {
        let email = "m.login.email.identity";
        let both = challenge(&[&[TOKEN, DUMMY], &[email], &[TOKEN]]);
        assert_eq!(stages(&both, &[TOKEN, DUMMY]), Some(vec![TOKEN]));
        assert_eq!(stages(&both, &[DUMMY]), None);
        assert_eq!(stages(&challenge(&[&[email, DUMMY], &[DUMMY]]), &[DUMMY]), Some(vec![DUMMY]));
        assert_eq!(stages(&challenge(&[&[]]), &[DUMMY]), None);
    }

    #[test]
    fn a_proof_names_its_session_and_has_a_token_only_where_one_is_asked_for() {
        let entrance = Entrance::Token(Secret::new("t".to_owned()));
        let token = proof(TOKEN, &entrance, Some("s"));
        assert_eq!(token, json!({ "type": TOKEN, "session": "s", "token": "t" }));
        assert_eq!(proof(DUMMY, &entrance, Some("s")), json!({ "type": DUMMY, "session": "s" }));
    }
}
