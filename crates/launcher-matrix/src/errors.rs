//! What the SDK's errors mean for an agent.

use std::time::{Duration, SystemTime};

use launcher_core::{fault::Fault, spec::Account};
use launcher_runtime::ports::SendFault;
use matrix_sdk::{
    Error, HttpError,
    ruma::api::error::{ErrorKind, RetryAfter},
};
use matrix_sdk_base::crypto::{MegolmError, OlmError};

/// What an error during syncing or set-up means.
pub(crate) fn fault(account: &Account, error: &Error) -> Fault {
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

fn http_fault(account: &Account, error: &HttpError) -> Fault {
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

fn unavailable(account: &Account, detail: String, retry_after: Option<Duration>) -> Fault {
    Fault::ServerUnavailable { homeserver: account.homeserver.to_string(), detail, retry_after }
}

/// The fault that an error while sending shows the session itself to have, if
/// it does: then no other send will succeed either, until it begins anew.
pub(crate) fn session_fault(account: &Account, error: &Error) -> Option<Fault> {
    let is_of_store = match error {
        Error::CryptoStoreError(_) | Error::StateStore(_) | Error::BadCryptoStoreState => true,
        Error::OlmError(error) => matches!(**error, OlmError::Store(_)),
        Error::MegolmError(error) => matches!(**error, MegolmError::Store(_)),
        _ => false,
    };
    if is_of_store {
        return Some(Fault::StoreFailed { detail: error.to_string() });
    }
    match fault(account, error) {
        fault @ (Fault::TokenInvalid { .. } | Fault::AccountUnusable { .. }) => Some(fault),
        _ => None,
    }
}

/// What an error while sending means.
///
/// Only what a homeserver says in so many words is final. A proxy's page, a
/// limit, a token or an account that is not well now may be well again.
pub(crate) fn send_fault(error: &Error) -> SendFault {
    match error {
        Error::Http(http) if is_final(http) => SendFault::Refused { detail: describe(http) },
        Error::Http(http) => {
            SendFault::Passing { detail: describe(http), retry_after: retry_after(http) }
        }
        Error::WrongRoomState(_) => SendFault::Refused { detail: error.to_string() },
        _ => SendFault::Passing { detail: error.to_string(), retry_after: None },
    }
}

fn is_final(error: &HttpError) -> bool {
    matches!(
        error.client_api_error_kind(),
        Some(
            ErrorKind::Forbidden
                | ErrorKind::DuplicateAnnotation
                | ErrorKind::NotFound
                | ErrorKind::TooLarge
                | ErrorKind::BadJson
                | ErrorKind::InvalidParam
                | ErrorKind::UnsupportedRoomVersion
        )
    )
}

/// How long the server asked to be left alone.
fn retry_after(error: &HttpError) -> Option<Duration> {
    match error.client_api_error_kind() {
        Some(ErrorKind::LimitExceeded(limit)) => match limit.retry_after {
            Some(RetryAfter::Delay(delay)) => Some(delay),
            Some(RetryAfter::DateTime(then)) => then.duration_since(SystemTime::now()).ok(),
            None => None,
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
