//! What the SDK's errors mean for an agent.

use std::time::Duration;

use launcher_core::{fault::Fault, spec::MatrixAccount};
use launcher_runtime::ports::SendFault;
use matrix_sdk::{
    Error, HttpError,
    ruma::api::error::{ErrorKind, RetryAfter},
};

/// What an error during syncing or set-up means.
pub(crate) fn fault(account: &MatrixAccount, error: &Error) -> Fault {
    match error {
        Error::Http(http) => http_fault(account, http),
        Error::CryptoStoreError(_)
        | Error::OlmError(_)
        | Error::MegolmError(_)
        | Error::StateStore(_)
        | Error::BadCryptoStoreState
        | Error::NoOlmMachine
        | Error::Io(_) => Fault::StoreFailed { detail: error.to_string() },
        _ => unavailable(account, error.to_string(), None),
    }
}

fn http_fault(account: &MatrixAccount, error: &HttpError) -> Fault {
    let homeserver = account.homeserver.to_string();
    let user = account.user_id.clone();
    match error.client_api_error_kind() {
        Some(ErrorKind::UnknownToken(_) | ErrorKind::MissingToken) => {
            Fault::TokenInvalid { homeserver, user, password: account.password.is_some() }
        }
        Some(ErrorKind::UserDeactivated | ErrorKind::UserLocked | ErrorKind::UserSuspended) => {
            Fault::AccountUnusable { homeserver, user, detail: error.to_string() }
        }
        _ => unavailable(account, describe(error), retry_after(error)),
    }
}

fn unavailable(account: &MatrixAccount, detail: String, retry_after: Option<Duration>) -> Fault {
    Fault::ServerUnavailable { homeserver: account.homeserver.to_string(), detail, retry_after }
}

/// What an error while sending means.
pub(crate) fn send_fault(error: &Error) -> SendFault {
    let passing = |detail: String| SendFault::Passing { detail, retry_after: None };
    match error {
        Error::Http(http) => match http.as_client_api_error() {
            Some(api) if api.status_code.is_server_error() || is_limit(http) => {
                SendFault::Passing { detail: describe(http), retry_after: retry_after(http) }
            }
            // The token may be replaced, the session restored: only the sync decides that.
            Some(_) if is_token(http) => passing(describe(http)),
            Some(_) => SendFault::Refused { detail: describe(http) },
            None => passing(describe(http)),
        },
        Error::WrongRoomState(_) => SendFault::Refused { detail: error.to_string() },
        _ => passing(error.to_string()),
    }
}

fn is_limit(error: &HttpError) -> bool {
    matches!(error.client_api_error_kind(), Some(ErrorKind::LimitExceeded(_)))
}

fn is_token(error: &HttpError) -> bool {
    let kind = error.client_api_error_kind();
    matches!(kind, Some(ErrorKind::UnknownToken(_) | ErrorKind::MissingToken))
}

/// How long the server asked to be left alone.
fn retry_after(error: &HttpError) -> Option<Duration> {
    match error.client_api_error_kind() {
        Some(ErrorKind::LimitExceeded(limit)) => match limit.retry_after {
            Some(RetryAfter::Delay(delay)) => Some(delay),
            Some(RetryAfter::DateTime(_)) | None => None,
        },
        _ => None,
    }
}

/// The error with its causes, once each.
fn describe(error: &HttpError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
