//! Writes the configuration of Synapse.
//!
//! It is written anew at each start, from the options and from what must not
//! change between two starts, the [`Identity`]. JSON is YAML, so Synapse reads
//! what serde writes. Every secret in here is public: the homeserver listens
//! on the loopback address only and lets everybody register.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{HomeserverOptions, RateLimits, Registration};
use crate::{TestbedError, free_port};

/// The file that Synapse reads.
pub(super) const CONFIG_FILE: &str = "homeserver.yaml";

/// The file with the key that Synapse signs with; made at the first start.
pub(super) const SIGNING_KEY_FILE: &str = "signing.key";

/// The secret with which Synapse's own tools may register users.
pub(super) const REGISTRATION_SHARED_SECRET: &str = "testbed-registration";

/// The file that remembers an [`Identity`].
const IDENTITY_FILE: &str = "testbed.json";

/// What stays the same when a homeserver is started again.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) server_name: String,
    pub(super) port: u16,
}

/// Writes everything that Synapse needs into `directory`.
pub(super) fn write(
    directory: &Path,
    options: &HomeserverOptions,
) -> Result<Identity, TestbedError> {
    let identity = settle(directory, options, remembered(directory)?)?;
    write_json(&directory.join(IDENTITY_FILE), &json!(identity))?;
    write_json(&directory.join(CONFIG_FILE), &synapse_config(directory, &identity, options))?;
    Ok(identity)
}

/// Makes the next [`write()`] choose another port.
pub(super) fn forget_port(directory: &Path) -> Result<(), TestbedError> {
    let Some(mut identity) = remembered(directory)? else {
        return Ok(());
    };
    identity.port = free_port()?;
    write_json(&directory.join(IDENTITY_FILE), &json!(identity))
}

fn remembered(directory: &Path) -> Result<Option<Identity>, TestbedError> {
    let path = directory.join(IDENTITY_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs_err::read_to_string(&path).map_err(TestbedError::files)?;
    serde_json::from_str(&text).map(Some).map_err(|error| TestbedError::files(error.into()))
}

fn settle(
    directory: &Path,
    options: &HomeserverOptions,
    remembered: Option<Identity>,
) -> Result<Identity, TestbedError> {
    let Some(before) = remembered else {
        let server_name = options.server_name.clone().unwrap_or_else(|| "localhost".to_owned());
        let port = options.port.map_or_else(free_port, Ok)?;
        return Ok(Identity { server_name, port });
    };
    if let Some(wanted) =
        options.server_name.as_ref().filter(|wanted| **wanted != before.server_name)
    {
        return Err(TestbedError::OtherServer {
            directory: directory.to_path_buf(),
            wanted: wanted.clone(),
            found: before.server_name,
        });
    }
    Ok(Identity { port: options.port.unwrap_or(before.port), ..before })
}

fn synapse_config(directory: &Path, identity: &Identity, options: &HomeserverOptions) -> Value {
    let mut config = json!({
        "server_name": identity.server_name,
        "public_baseurl": format!("http://127.0.0.1:{}/", identity.port),
        "listeners": [{
            "port": identity.port,
            "type": "http",
            "bind_addresses": ["127.0.0.1"],
            "resources": [{ "names": ["client"] }],
        }],
        "database": { "name": "sqlite3", "args": { "database": directory.join("homeserver.db") } },
        "media_store_path": directory.join("media"),
        "signing_key_path": directory.join(SIGNING_KEY_FILE),
        "pid_file": directory.join("synapse.pid"),

        "enable_registration": options.registration != Registration::Closed,
        "enable_registration_without_verification": options.registration == Registration::Open,
        "registration_requires_token": options.registration == Registration::Token,
        "registration_shared_secret": REGISTRATION_SHARED_SECRET,
        "macaroon_secret_key": "testbed-macaroon",
        "form_secret": "testbed-form",
        // The least that bcrypt takes; the default of 12 costs 0.2 s per login.
        "bcrypt_rounds": 4,

        // Nothing leaves the machine.
        "federation_domain_whitelist": [],
        "trusted_key_servers": [],
        "suppress_key_server_warning": true,
        "report_stats": false,
        "url_preview_enabled": false,
        "presence": { "enabled": false },
    });
    if options.rate_limits == RateLimits::Off {
        lift_rate_limits(&mut config);
    }
    limit_tokens(&mut config, options);
    config
}

/// Neither of the two may be longer than a session, and Synapse does not start
/// otherwise; but without a `session_lifetime` sessions have no end.
fn limit_tokens(config: &mut Value, options: &HomeserverOptions) {
    for (name, lifetime) in [
        ("nonrefreshable_access_token_lifetime", options.access_token_lifetime),
        ("refreshable_access_token_lifetime", options.refreshable_access_token_lifetime),
    ] {
        if let Some(lifetime) = lifetime {
            // A number without a unit is one of milliseconds.
            config[name] = json!(lifetime.as_millis());
        }
    }
}

fn lift_rate_limits(config: &mut Value) {
    let unlimited = json!({ "per_second": 1_000_000, "burst_count": 1_000_000 });
    for name in [
        "rc_message",
        "rc_registration",
        "rc_registration_token_validity",
        "rc_admin_redaction",
        "rc_joins_per_room",
        "rc_key_requests",
        "rc_3pid_validation",
        "rc_third_party_invite",
        "rc_media_create",
        "rc_delayed_event_mgmt",
        "rc_room_creation",
        "rc_reports",
        "rc_user_directory",
        "rc_profile",
    ] {
        config[name] = unlimited.clone();
    }
    for (name, kinds) in [
        ("rc_login", ["address", "account", "failed_attempts"].as_slice()),
        ("rc_joins", &["local", "remote"]),
        ("rc_invites", &["per_room", "per_user", "per_issuer"]),
        ("rc_presence", &["per_user"]),
    ] {
        for kind in kinds {
            config[name][kind] = unlimited.clone();
        }
    }
}

fn write_json(path: &Path, value: &Value) -> Result<(), TestbedError> {
    fs_err::write(path, format!("{value:#}\n")).map_err(TestbedError::files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_keeps_the_name_and_the_port() {
        let directory = tempfile::tempdir().unwrap();
        let named =
            HomeserverOptions { server_name: Some("one.test".to_owned()), ..Default::default() };
        let first = write(directory.path(), &named).unwrap();
        let second = write(directory.path(), &HomeserverOptions::default()).unwrap();
        assert_eq!((second.server_name.as_str(), second.port), ("one.test", first.port));
    }

    #[test]
    fn another_name_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &HomeserverOptions::default()).unwrap();
        let other =
            HomeserverOptions { server_name: Some("two.test".to_owned()), ..Default::default() };
        let error = write(directory.path(), &other).unwrap_err();
        assert!(error.to_string().ends_with(
            "holds the homeserver localhost, not two.test; delete it or ask for localhost"
        ));
    }

    #[test]
    fn rate_limits_are_lifted_unless_asked_for() {
        let identity = Identity { server_name: "localhost".to_owned(), port: 8008 };
        let options = HomeserverOptions::default();
        let off = synapse_config(Path::new("d"), &identity, &options);
        assert_eq!(off["rc_login"]["address"]["burst_count"], 1_000_000);
        let on = synapse_config(Path::new("d"), &identity, &options.with_rate_limits());
        assert!(on.get("rc_login").is_none() && on.get("rc_message").is_none());
    }
}
