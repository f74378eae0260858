//! What an error of the store or of the server means for an agent, and what
//! helps on this network.

use std::{error::Error, path::Path};

use launcher_core::{fault::Fault, preflight::Mismatch, spec::AgentSpec};
use launcher_runtime::ports::SendFault;

use crate::{client::ClientError, crypto::Address, store::StoreError};

/// What helps if the server does not take the token.
const TOKEN: &str = "set messager.token to the account's token; if the token was revoked, make \
                     another device of the account with `messager account add NAME --data DIR` \
                     on the server, and set messager.token to its token";

/// What helps if the device cannot be kept.
const DEVICE: &str = "make another device of the account with `messager account add NAME --data \
                      DIR` on the server and set messager.token to its token: the agent becomes \
                      that device, and the old store is put aside";

/// What helps if the store is gone, and there may be a copy.
const STORE: &str = "put the agent's own crypto.db back; if it is lost, make another device of \
                     the account with `messager account add NAME --data DIR` on the server and \
                     set messager.token to its token";

/// What helps if the store is damaged: nobody can read whose it is, so it does
/// not make way for another device by itself.
const DAMAGED: &str = "put the agent's own crypto.db back; if it is lost, move the folder of the \
                       crypto store away, make another device of the account with `messager \
                       account add NAME --data DIR` on the server and set messager.token to its \
                       token";

/// What helps against a second launcher.
const CLONE: &str = "stop the other one; then make another device of the account with `messager \
                     account add NAME --data DIR` on the server and set messager.token to its \
                     token, as both have used the keys of this one";

/// What helps if there is no token.
const NO_TOKEN: &str = "set messager.token to the token that `messager account add NAME --data \
                        DIR` prints on the server";

/// An error of a store that is opened.
pub(crate) fn of_opening(path: &Path, error: StoreError) -> Fault {
    let path = path.to_owned();
    match error {
        StoreError::KeyWrong { path } => Fault::StoreKeyWrong { path },
        StoreError::Newer { .. } | StoreError::Damaged { .. } => {
            advised(Fault::StoreCorrupt { path, detail: chain(&error) }, DAMAGED)
        }
        StoreError::Sqlite(ref cause) if is_damage(cause) => {
            advised(Fault::StoreCorrupt { path, detail: chain(&error) }, DAMAGED)
        }
        StoreError::OtherIdentity { .. }
        | StoreError::Exists { .. }
        | StoreError::Sqlite(_)
        | StoreError::Io(_)
        | StoreError::Random { .. } => Fault::StoreUnusable { path, detail: chain(&error) },
    }
}

/// An error of a store that is open. The next start finds out what it means.
pub(crate) fn of_store(error: &StoreError) -> Fault {
    Fault::StoreFailed { detail: chain(error) }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt))
}

fn chain(error: &dyn Error) -> String {
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !detail.ends_with(&text) {
            detail = format!("{detail}: {text}");
        }
        source = cause.source();
    }
    detail
}

/// An error of a request that an agent cannot do without.
pub(crate) fn of_client(spec: &AgentSpec, error: &ClientError) -> Fault {
    let homeserver = spec.account.homeserver.as_str().trim_end_matches('/').to_owned();
    match error {
        ClientError::Unauthorized => {
            let user = spec.name().to_owned();
            advised(Fault::TokenInvalid { homeserver, user, password: false }, TOKEN)
        }
        ClientError::Unreachable { .. }
        | ClientError::Nonsense { .. }
        | ClientError::Refused { .. } => Fault::ServerUnavailable {
            homeserver,
            detail: error.to_string(),
            retry_after: error.retry_after(),
        },
    }
}

/// No token is configured.
pub(crate) fn no_token(spec: &AgentSpec) -> Fault {
    advised(Fault::NoDevice { user: spec.name().to_owned() }, NO_TOKEN)
}

/// The store is gone, and the device had keys.
pub(crate) fn store_lost(device: &Address) -> Fault {
    advised_mismatch(Mismatch::StoreLost { device: name(device) }, STORE)
}

/// The server shows keys for the device that nobody here has.
pub(crate) fn keys_differ(device: &Address) -> Fault {
    advised_mismatch(Mismatch::KeysDiffer { device: name(device) }, STORE)
}

/// The store is older than what the device did last.
pub(crate) fn rolled_back(device: &Address, detail: &str) -> Fault {
    let detail = detail.to_owned();
    advised_mismatch(Mismatch::RolledBack { device: name(device), detail }, DEVICE)
}

/// Somebody else runs as this device.
pub(crate) fn cloned(spec: &AgentSpec) -> Fault {
    advised_mismatch(Mismatch::Cloned { user: spec.name().to_owned() }, CLONE)
}

fn name(device: &Address) -> String {
    device.device.as_str().escape_debug().to_string()
}

fn advised_mismatch(mismatch: Mismatch, action: &'static str) -> Fault {
    advised(Fault::Mismatched { mismatch }, action)
}

fn advised(fault: Fault, action: &'static str) -> Fault {
    Fault::Advised { fault: Box::new(fault), action }
}

/// A fault that a send meets.
pub(crate) fn passing(fault: &Fault) -> SendFault {
    SendFault::Passing { detail: fault.to_string(), retry_after: fault.retry_after() }
}

/// What is not sent, whoever tries.
pub(crate) fn refused(detail: impl Into<String>) -> SendFault {
    SendFault::Refused { detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{AccountId, DeviceName};

    #[test]
    fn what_parks_an_agent_names_the_way_out_on_this_network() {
        let account = AccountId::from_bytes([1; 16]);
        let device = Address::new(account, DeviceName::new("d\u{1b}").unwrap());
        for fault in [store_lost(&device), keys_differ(&device), rolled_back(&device, "x")] {
            assert!(fault.is_permanent(), "{fault}");
            assert!(fault.action().contains("messager.token"), "{}", fault.action());
            assert!(!fault.action().contains("matrix"), "{}", fault.action());
            assert!(!fault.to_string().contains('\u{1b}'), "{fault}");
        }
    }

    #[test]
    fn a_file_that_is_no_database_is_told_from_one_that_cannot_be_reached() {
        let open = |code| {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            of_opening(Path::new("crypto.db"), error.into())
        };
        assert_eq!(open(rusqlite::ffi::SQLITE_NOTADB).code(), "store_corrupt");
        assert_eq!(open(rusqlite::ffi::SQLITE_CANTOPEN).code(), "store_unusable");
    }
}
