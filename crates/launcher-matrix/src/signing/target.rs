//! Which device of an account is to be signed, if nobody has said.

use std::time::{Duration, SystemTime};

use launcher_runtime::ports::maintenance::MaintenanceError;
use serde_json::Value;

use crate::{devices::is_signed, maintenance::refused};

/// A device that has keys.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    device_id: String,
    name: Option<String>,
    /// In milliseconds since 1970.
    last_seen: u64,
    signed: bool,
}

/// The one device with keys that is not signed; where all are signed, the one
/// that was seen last.
///
/// `devices` is the account's list, `keys` the answer to `/keys/query`.
pub(super) fn choose(
    devices: &[Value],
    keys: &Value,
    user: &str,
) -> Result<String, MaintenanceError> {
    let mut candidates: Vec<Candidate> =
        devices.iter().filter_map(|device| candidate(device, keys, user)).collect();
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.last_seen));
    let unsigned: Vec<&Candidate> =
        candidates.iter().filter(|candidate| !candidate.signed).collect();
    match (unsigned.as_slice(), candidates.first()) {
        ([one], _) => Ok(one.device_id.clone()),
        // Done before, so that doing it again finds it done.
        ([], Some(latest)) => Ok(latest.device_id.clone()),
        ([], None) => Err(refused(
            format!("no device of {user} has keys"),
            "start the client whose device is to be signed once, so that it uploads them",
        )),
        (several, _) => {
            let list: Vec<String> = several.iter().map(|device| describe(device)).collect();
            Err(refused(
                format!("{} devices of {user} are not signed: {}", several.len(), list.join("; ")),
                "say which one is to be signed (--device)",
            ))
        }
    }
}

fn candidate(device: &Value, keys: &Value, user: &str) -> Option<Candidate> {
    let device_id = device["device_id"].as_str()?;
    keys["device_keys"][user][device_id].as_object()?;
    Some(Candidate {
        device_id: device_id.to_owned(),
        name: device["display_name"].as_str().map(ToOwned::to_owned),
        last_seen: device["last_seen_ts"].as_u64().unwrap_or_default(),
        signed: is_signed(keys, user, device_id),
    })
}

fn describe(device: &Candidate) -> String {
    let name = device.name.as_ref().map_or(String::new(), |name| format!(" {name:?}"));
    let seen = match device.last_seen {
        0 => "never seen".to_owned(),
        seen => {
            let then = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(seen));
            then.map_or("seen some day".to_owned(), |then| {
                format!("last seen {}", httpdate::fmt_http_date(then))
            })
        }
    };
    format!("{}{name}, {seen}", device.device_id)
}

/// A fingerprint as clients show it, in groups of four.
pub(super) fn fingerprint(keys: &Value, user: &str, device: &str) -> Option<String> {
    let key = keys["device_keys"][user][device]["keys"][format!("ed25519:{device}")].as_str()?;
    let letters: Vec<char> = key.chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    Some(groups.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const USER: &str = "@a:hs";

    /// An account with these devices; what is not signed by a real key is not signed.
    fn keys(devices: &[&str]) -> Value {
        let devices: serde_json::Map<String, Value> =
            devices.iter().map(|id| ((*id).to_owned(), json!({}))).collect();
        json!({ "device_keys": { USER: devices } })
    }

    fn device(id: &str, seen: u64) -> Value {
        json!({ "device_id": id, "display_name": format!("client {id}"), "last_seen_ts": seen })
    }

    #[test]
    fn the_only_device_with_keys_is_taken() {
        let list = [device("A", 1), device("B", 2)];
        assert_eq!(choose(&list, &keys(&["A"]), USER).unwrap(), "A");
    }

    #[test]
    fn among_several_unsigned_devices_none_is_taken() {
        let list = [device("A", 1_700_000_000_000), device("B", 0)];
        let error = choose(&list, &keys(&["A", "B"]), USER).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 devices of @a:hs are not signed: A \"client A\", last seen Tue, 14 Nov 2023 22:13:20 \
             GMT; B \"client B\", never seen"
        );
    }

    #[test]
    fn without_a_device_with_keys_there_is_nothing_to_sign() {
        let error = choose(&[device("A", 1)], &keys(&[]), USER).unwrap_err();
        assert_eq!(error.to_string(), "no device of @a:hs has keys");
    }

    #[test]
    fn a_device_that_is_logged_out_but_still_published_is_not_taken() {
        assert!(choose(&[], &keys(&["A"]), USER).is_err());
    }

    #[test]
    fn a_fingerprint_is_shown_in_groups() {
        let keys =
            json!({ "device_keys": { USER: { "A": { "keys": { "ed25519:A": "abcdefghi" } } } } });
        assert_eq!(fingerprint(&keys, USER, "A").as_deref(), Some("abcd efgh i"));
        assert_eq!(fingerprint(&keys, USER, "B"), None);
    }
}
