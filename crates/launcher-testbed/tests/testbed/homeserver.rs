//! Shows what a homeserver does about tokens, devices and accounts that end.

use std::{
    thread,
    time::{Duration, Instant},
};

use launcher_testbed::{Account, DEFAULT_TIMEOUT, Homeserver, HomeserverOptions};
use serde_json::{Value, json};

use super::Testbed;

const WHO_AM_I: &str = "/_matrix/client/v3/account/whoami";

/// Long enough to be used once, short enough to be waited for.
const LIFETIME: Duration = Duration::from_secs(5);

/// What the homeserver says to the owner of a token.
fn ask(homeserver: &Homeserver, account: &Account) -> (u16, Value) {
    homeserver.request("GET", WHO_AM_I, Some(&account.access_token), None).unwrap()
}

/// Waits until a token is refused, and returns the refusal.
fn wait_for_refusal(homeserver: &Homeserver, token: &str) -> (u16, Value) {
    let deadline = Instant::now() + DEFAULT_TIMEOUT;
    loop {
        let answer = homeserver.request("GET", WHO_AM_I, Some(token), None).unwrap();
        if answer.0 != 200 {
            return answer;
        }
        assert!(Instant::now() < deadline, "the token lasts");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn tokens_expire_and_may_be_refreshed() {
    let options = HomeserverOptions::default()
        .access_token_lifetime(LIFETIME)
        .refreshable_access_token_lifetime(2 * LIFETIME);
    let homeserver = Homeserver::start(options).unwrap();
    let account = homeserver.register("amy", "secret").unwrap();
    let expired = json!({
        "errcode": "M_UNKNOWN_TOKEN",
        "error": "Access token has expired",
        "soft_logout": true,
    });
    let refusal = wait_for_refusal(&homeserver, &account.access_token);
    assert_eq!(refusal, (401, expired.clone()));

    let again = homeserver.login("amy", "secret").unwrap();
    assert_eq!(ask(&homeserver, &again).1["device_id"], json!(again.device_id));

    let body = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "amy" },
        "password": "secret",
        "refresh_token": true,
    });
    let (_, login) =
        homeserver.request("POST", "/_matrix/client/v3/login", None, Some(&body)).unwrap();
    let lasts = |login: &Value| Duration::from_millis(login["expires_in_ms"].as_u64().unwrap());
    // It is what is left when the answer is made.
    assert!(lasts(&login) > LIFETIME && lasts(&login) <= 2 * LIFETIME, "{login}");
    let token = login["access_token"].as_str().unwrap();
    assert_eq!(wait_for_refusal(&homeserver, token), (401, expired));
    let body = json!({ "refresh_token": login["refresh_token"] });
    let (status, refreshed) =
        homeserver.request("POST", "/_matrix/client/v3/refresh", None, Some(&body)).unwrap();
    assert_eq!(status, 200, "{refreshed}");
    assert!(lasts(&refreshed) > LIFETIME, "{refreshed}");
    assert_ne!(refreshed["access_token"], login["access_token"]);

    homeserver.admin_deactivate(&account.user_id).unwrap();
    assert_eq!(homeserver.login("amy", "secret").unwrap_err().code(), Some("M_FORBIDDEN"));
}

pub(super) fn an_administrator_deletes_devices_and_ends_accounts(testbed: &Testbed) {
    let homeserver = &testbed.homeserver;
    let first = homeserver.register("ben", "secret").unwrap();
    let second = homeserver.login("ben", "secret").unwrap();
    let unknown = json!({
        "errcode": "M_UNKNOWN_TOKEN",
        "error": "Invalid access token passed.",
        "soft_logout": false,
    });

    homeserver.admin_delete_device(&first.user_id, &first.device_id).unwrap();
    assert_eq!(ask(homeserver, &first), (401, unknown.clone()));
    assert_eq!(ask(homeserver, &second).0, 200);
    homeserver.admin_delete_device(&first.user_id, &first.device_id).unwrap();
    let nobody = homeserver.user_id("nobody");
    let error = homeserver.admin_delete_device(&nobody, "DEVICE").unwrap_err();
    assert_eq!(error.code(), Some("M_NOT_FOUND"));

    homeserver.admin_lock(&second.user_id).unwrap();
    let locked = json!({
        "errcode": "M_USER_LOCKED",
        "error": "User account has been locked",
        "soft_logout": true,
    });
    assert_eq!(ask(homeserver, &second), (401, locked));
    homeserver.admin_unlock(&second.user_id).unwrap();
    assert_eq!(ask(homeserver, &second).0, 200);

    homeserver.admin_deactivate(&second.user_id).unwrap();
    assert_eq!(ask(homeserver, &second), (401, unknown));
    let error = homeserver.login("ben", "secret").unwrap_err();
    assert_eq!(error.code(), Some("M_FORBIDDEN"));
}

pub(super) fn what_is_kept_for_encryption_can_be_compared(testbed: &Testbed) {
    let homeserver = &testbed.homeserver;
    let account = homeserver.register("cleo", "secret").unwrap();
    let token = account.access_token.as_str();
    let look = || homeserver.server_objects(token, &account.user_id).unwrap();
    let before = look();
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        [
            "account_data m.cross_signing.master",
            "account_data m.cross_signing.self_signing",
            "account_data m.cross_signing.user_signing",
            "account_data m.megolm_backup.v1",
            "account_data m.secret_storage.default_key",
            "backup",
            "identity master",
            "identity self_signing",
            "identity user_signing",
        ]
    );
    assert!(before.values().all(Value::is_null), "{before:#?}");

    let put = |name: &str| {
        let path = format!("/_matrix/client/v3/user/{}/account_data/{name}", account.user_id);
        let body = json!({ "name": name });
        assert_eq!(homeserver.request("PUT", &path, Some(token), Some(&body)).unwrap().0, 200);
    };
    put("m.direct");
    assert_eq!(look(), before, "it is not about encryption");
    put("m.secret_storage.key.abc");
    let after = look();
    let name = "m.secret_storage.key.abc";
    assert_eq!(after[&format!("account_data {name}")], json!({ "name": name }));
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(look(), after);
}
