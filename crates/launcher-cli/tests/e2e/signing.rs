//! Devices of other bots, signed with `launcher verify`.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
    process::{Command, Output, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use launcher_testbed::{
    CrossSigning, DEFAULT_TIMEOUT, JsUser, LoginOptions, MessageFilter, RoomOptions,
    tap::{Action, Matcher, Point, Tap, invariants},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::Place,
};

pub(crate) const CASES: Cases = &[
    ("signing::an_account_without_an_identity_gets_one_with_a_recovery_key", first),
    ("signing::a_second_device_is_signed_with_password_and_recovery_key", second),
    ("signing::a_wrong_recovery_key_changes_nothing", wrong_key),
    ("signing::without_a_recovery_key_an_identity_is_left_alone", no_key),
    ("signing::without_a_place_for_a_recovery_key_no_identity_is_made", no_place),
    ("signing::among_several_unsigned_devices_the_operator_chooses", several),
    ("signing::a_homeserver_that_asks_for_the_password_gets_it", challenged),
    ("signing::an_identity_that_another_client_makes_meanwhile_is_not_replaced", overtaken),
    ("signing::a_homeserver_that_hides_an_identity_once_damages_nothing", hidden),
    ("signing::on_a_terminal_the_new_recovery_key_is_shown", on_a_terminal),
    ("signing::an_interrupted_call_leaves_no_temporary_device", interrupted),
    ("signing::a_kill_in_any_step_leaves_nothing_that_cannot_be_finished", killed),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A call of `launcher verify`, with what is not on its command line.
struct Call<'a> {
    arguments: Vec<&'a str>,
    variables: Vec<(&'static str, &'a str)>,
}

impl<'a> Call<'a> {
    fn of(user: &'a str) -> Self {
        Self { arguments: vec!["--username", user], variables: Vec::new() }
    }

    fn with(mut self, arguments: &[&'a str]) -> Self {
        self.arguments.extend_from_slice(arguments);
        self
    }

    fn token(self, token: &'a str) -> Self {
        self.secret("--token-env", "BOT_TOKEN", token)
    }

    fn password(self, password: &'a str) -> Self {
        self.secret("--password-env", "BOT_PASSWORD", password)
    }

    fn recovery_key(self, key: &'a str) -> Self {
        self.secret("--recovery-key-env", "BOT_RECOVERY_KEY", key)
    }

    fn secret(mut self, flag: &'static str, name: &'static str, value: &'a str) -> Self {
        self.arguments.extend([flag, name]);
        self.variables.push((name, value));
        self
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_launcher"));
        command
            .args(["verify", "--homeserver", place.homeserver()])
            .args(&self.arguments)
            .envs(self.variables.iter().copied())
            .current_dir(place.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it; nothing that it prints is a secret.
    fn run(&self, place: &Place) -> Result<Output> {
        let output = self.command(place).output()?;
        for (_, secret) in &self.variables {
            assert!(!said(&output).contains(secret), "{}", said(&output));
        }
        Ok(output)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &*String::from_utf8_lossy(&output.stderr)
}

/// Fails if the command did not end well.
fn done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    assert!(said(output).contains("signed       yes"), "{}", said(output));
}

/// Fails if the command did not end with status 1, these words and a way out.
fn refused(output: &Output, words: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(words) && said.contains("\ndo: "), "{said}");
}

fn unsigned() -> LoginOptions {
    LoginOptions { cross_signing: CrossSigning::Leave, ..LoginOptions::default() }
}

/// A bot whose owner has never heard of cross-signing.
fn bot(bed: &Bed) -> Result<JsUser> {
    with_keys(bed.person_with("bot", unsigned())?)
}

/// A further device, unsigned.
fn further(bed: &Bed, user: &JsUser) -> Result<JsUser> {
    with_keys(bed.device_of(user.user_id(), unsigned())?)
}

fn with_keys(user: JsUser) -> Result<JsUser> {
    user.wait_for_device(user.user_id(), user.device_id(), DEFAULT_TIMEOUT)?;
    Ok(user)
}

fn token(user: &JsUser) -> &str {
    &user.account().access_token
}

fn objects(bed: &Bed, user: &JsUser) -> Result<BTreeMap<String, Value>> {
    Ok(bed.homeserver().server_objects(token(user), user.user_id())?)
}

/// The objects of a device, without the signatures that others gave it.
fn keys(objects: &BTreeMap<String, Value>, device: &str) -> Value {
    let mut keys = objects[&format!("device {device}")].clone();
    assert!(keys.is_object());
    if let Some(keys) = keys.as_object_mut() {
        keys.remove("signatures");
    }
    keys
}

/// How many devices the account has, with and without keys.
fn devices(bed: &Bed, user: &JsUser) -> Result<usize> {
    let path = "/_matrix/client/v3/devices";
    let (_, answer) = bed.homeserver().request("GET", path, Some(token(user)), None)?;
    Ok(answer["devices"].as_array().map_or(0, Vec::len))
}

/// Somebody who shares an encrypted room with the user.
fn friend(bed: &Bed, user: &JsUser) -> Result<(JsUser, String)> {
    let alice = bed.person("alice")?;
    let room = alice.create_room(RoomOptions::encrypted().invite(user.user_id()))?;
    user.wait_for_member(&room, user.user_id(), "invite", DEFAULT_TIMEOUT)?;
    user.join(&room)?;
    alice.wait_for_member(&room, user.user_id(), "join", DEFAULT_TIMEOUT)?;
    Ok((alice, room))
}

fn first(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let bot = bot(bed)?;
    let (alice, room) = friend(bed, &bot)?;
    let before = objects(bed, &bot)?;
    assert!(before["identity master"].is_null());
    let status = alice.wait_for_device(bot.user_id(), bot.device_id(), DEFAULT_TIMEOUT)?;
    assert!(!status.signed_by_owner);

    let call = || Call::of(bot.user_id()).token(token(&bot)).with(&["--save-recovery-key", "key"]);
    let output = call().run(&place)?;
    done(&output);
    let file = place.path().join("key");
    let key = fs::read_to_string(&file)?.trim().to_owned();
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    assert!(!said(&output).contains(&key));
    alice.wait_for_signed_device(bot.user_id(), bot.device_id(), DEFAULT_TIMEOUT)?;
    let after = objects(bed, &bot)?;
    assert_eq!(keys(&before, bot.device_id()), keys(&after, bot.device_id()));
    assert!(after["identity master"]["signatures"].is_null(), "{}", after["identity master"]);

    // The bot is what it was, and reads what is said to it.
    let question = alice.send_text(&room, "still you?")?;
    let wanted = MessageFilter::new().event_id(&question);
    let message = bot.wait_for_message(&room, wanted, DEFAULT_TIMEOUT)?;
    assert_eq!(message.body.as_deref(), Some("still you?"));

    // The recovery key is good for any other client.
    let other = further(bed, &bot)?;
    assert!(other.recover(&key)?.cross_signed);

    // Doing it again does nothing; the file that is there is not touched.
    let again = Call::of(bot.user_id()).token(token(&bot)).run(&place)?;
    done(&again);
    assert!(String::from_utf8_lossy(&again.stderr).contains("already"));
    let output = call().run(&place)?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file)?.trim(), key);
    assert_eq!(after["identity master"], objects(bed, &bot)?["identity master"]);
    Ok(())
}

fn second(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let owner = bed.person("owner")?;
    let key = owner.set_up_recovery(None)?;
    let bot = further(bed, &owner)?;
    let (alice, _) = friend(bed, &owner)?;
    let before = objects(bed, &owner)?;
    let localpart = owner.user_id()[1..].split(':').next().unwrap();
    done(&Call::of(localpart).password(PASSWORD).recovery_key(&key).run(&place)?);
    assert!(
        alice
            .wait_for_signed_device(bot.user_id(), bot.device_id(), DEFAULT_TIMEOUT)?
            .signed_by_owner
    );
    assert_eq!(devices(bed, &owner)?, 2);
    // Only the signature is new.
    let mut after = objects(bed, &owner)?;
    let name = format!("device {}", bot.device_id());
    assert_ne!(before[&name], after[&name]);
    assert_eq!(keys(&before, bot.device_id()), keys(&after, bot.device_id()));
    after.insert(name.clone(), before[&name].clone());
    assert_eq!(before, after);
    Ok(())
}

fn wrong_key(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let owner = bed.person("owner")?;
    owner.set_up_recovery(None)?;
    let other_key = bed.person("other")?.set_up_recovery(None)?;
    let bot = further(bed, &owner)?;
    let before = objects(bed, &owner)?;
    for (key, words) in
        [(other_key.as_str(), "which has another key"), ("EsTc mistyped", "no recovery key")]
    {
        let call = Call::of(owner.user_id()).password(PASSWORD).recovery_key(key);
        refused(&call.run(&place)?, words);
        let call = Call::of(owner.user_id()).token(token(&bot)).recovery_key(key);
        refused(&call.run(&place)?, words);
    }
    let call = Call::of(owner.user_id()).password("wrong").recovery_key(&other_key);
    refused(&call.run(&place)?, "refused the login");
    let call = Call::of("somebody").token(token(&bot));
    refused(&call.run(&place)?, "not somebody's");
    assert_eq!(objects(bed, &owner)?, before);
    assert_eq!(devices(bed, &owner)?, 2);
    Ok(())
}

fn no_key(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let owner = bed.person("owner")?;
    let bot = further(bed, &owner)?;
    let before = objects(bed, &owner)?;
    let call = Call::of(owner.user_id()).password(PASSWORD).with(&[
        "--device",
        bot.device_id(),
        "--save-recovery-key",
        "key",
    ]);
    refused(&call.run(&place)?, "give the account's recovery key");
    assert!(!place.path().join("key").exists());
    assert_eq!(objects(bed, &owner)?, before);
    assert_eq!(devices(bed, &owner)?, 2);
    Ok(())
}

fn no_place(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let bot = bot(bed)?;
    let before = objects(bed, &bot)?;
    let call = || Call::of(bot.user_id()).token(token(&bot));
    refused(&call().run(&place)?, "has no cross-signing identity");
    let nowhere = call().with(&["--save-recovery-key", "nowhere/key"]);
    refused(&nowhere.run(&place)?, "could not be kept");
    assert_eq!(objects(bed, &bot)?, before);
    Ok(())
}

fn several(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let owner = bed.person("owner")?;
    let key = owner.set_up_recovery(None)?;
    let (one, other) = (further(bed, &owner)?, further(bed, &owner)?);
    let call = || Call::of(owner.user_id()).password(PASSWORD).recovery_key(&key);
    let output = call().run(&place)?;
    refused(&output, "2 devices of ");
    for device in [&one, &other] {
        assert!(said(&output).contains(device.device_id()), "{}", said(&output));
    }
    refused(&call().with(&["--device", "NOSUCH"]).run(&place)?, "has no keys of device NOSUCH");
    done(&call().with(&["--device", one.device_id()]).run(&place)?);
    let output = call().run(&place)?;
    done(&output);
    assert!(said(&output).contains(other.device_id()));
    assert_eq!(devices(bed, &owner)?, 3);
    Ok(())
}

fn challenged(bed: &Bed) -> Outcome {
    let tap = Tap::start(bed.homeserver().base_url())?;
    let place = Place::at(tap.base_url())?;
    let challenge = || {
        let flows = json!({ "flows": [{ "stages": ["m.login.password"] }], "session": "uia" });
        let upload = Matcher::path_contains("device_signing/upload").times(1);
        tap.add_rule(upload, Action::status(401, flows))
    };
    let bot = bot(bed)?;
    let rule = challenge();
    let save = ["--save-recovery-key", "key"];
    let call = Call::of(bot.user_id()).token(token(&bot)).with(&save);
    refused(&call.run(&place)?, "wants more proof");
    assert!(objects(bed, &bot)?["identity master"].is_null());
    rule.remove();
    let _rule = challenge();
    let key = fs::read_to_string(place.path().join("key"))?;
    let call = Call::of(bot.user_id()).password(PASSWORD).recovery_key(&key);
    done(&call.run(&place)?);
    let sent = tap.requests().into_iter().filter(|it| it.path.contains("device_signing/upload"));
    let last = sent.last().and_then(|request| request.json()).unwrap_or_default();
    assert_eq!(last["auth"]["session"], "uia");
    assert_eq!(last["auth"]["type"], "m.login.password");
    Ok(())
}

/// The homeserver asks before an identity is replaced: the one that has just come.
fn overtaken(bed: &Bed) -> Outcome {
    let tap = Tap::start(bed.homeserver().base_url())?;
    let place = Place::at(tap.base_url())?;
    let bot = bot(bed)?;
    let flows = json!({ "flows": [{ "stages": ["m.login.password"] }], "session": "uia" });
    let upload = Matcher::path_contains("device_signing/upload");
    let asked = tap.add_rule(upload, Action::status(401, flows));
    let user = bot.user_id().to_owned();
    let show = Action::rewrite(move |mut answer| {
        answer["master_keys"][&user] = json!({ "user_id": user, "keys": { "ed25519:x": "x" } });
        answer
    });
    let _shown = tap.add_rule(Matcher::path_contains("/keys/query").nth(2), show);
    let call = Call::of(bot.user_id()).password(PASSWORD).with(&["--save-recovery-key", "key"]);
    refused(&call.run(&place)?, "another client has made an identity");
    assert_eq!(asked.hits(), 1, "the password is not given for it");
    Ok(())
}

fn hidden(bed: &Bed) -> Outcome {
    let tap = Tap::start(bed.homeserver().base_url())?;
    let place = Place::at(tap.base_url())?;
    let owner = bed.person("owner")?;
    let key = owner.set_up_recovery(None)?;
    let bot = further(bed, &owner)?;
    let mut before = objects(bed, &owner)?;
    let hide = Action::rewrite(|mut answer| {
        for name in ["master_keys", "self_signing_keys", "user_signing_keys"] {
            answer[name] = json!({});
        }
        answer
    });
    let rule = tap.add_rule(Matcher::path_contains("/keys/query").times(1), hide);
    done(&Call::of(bot.user_id()).token(token(&bot)).recovery_key(&key).run(&place)?);
    assert_eq!(rule.hits(), 1);
    let mut after = objects(bed, &owner)?;
    let name = format!("device {}", bot.device_id());
    assert_eq!(keys(&before, bot.device_id()), keys(&after, bot.device_id()));
    before.remove(&name);
    after.remove(&name);
    assert_eq!(before, after);
    Ok(())
}

fn on_a_terminal(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let bot = bot(bed)?;
    // Two questions: the password, and a recovery key, of which there is none.
    let mut child = Command::new("python3")
        .args(["-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"])
        .arg(env!("CARGO_BIN_EXE_launcher"))
        .args(["verify", "--homeserver", place.homeserver(), "--username", bot.user_id()])
        .current_dir(place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut keyboard = child.stdin.take().ok_or("no standard input")?;
    writeln!(keyboard, "{PASSWORD}\n")?;
    let output = child.wait_with_output()?;
    drop(keyboard);
    done(&output);
    let shown = said(&output);
    let key = shown.lines().find_map(|line| line.trim().strip_prefix("new recovery key: "));
    let other = further(bed, &bot)?;
    assert!(other.recover(key.ok_or("no key")?)?.cross_signed);
    Ok(())
}

fn interrupted(bed: &Bed) -> Outcome {
    let tap = Tap::start(bed.homeserver().base_url())?;
    let place = Place::at(tap.base_url())?;
    let bot = bot(bed)?;
    let before = objects(bed, &bot)?;
    for signal in [Signal::INT, Signal::TERM] {
        let victim = Arc::new(OnceLock::<Pid>::new());
        let hook = {
            let victim = victim.clone();
            move |_: &_| kill_process(*victim.wait(), signal).unwrap()
        };
        let query = || Matcher::path_contains("/keys/query").times(1);
        let rules = [
            tap.add_rule(query(), Action::hook(Point::BeforeForwarding, hook)),
            tap.add_rule(query(), Action::Delay(DEFAULT_TIMEOUT)),
        ];
        let child = Call::of(bot.user_id()).password(PASSWORD).command(&place).spawn()?;
        victim.set(Pid::from_child(&child)).unwrap();
        refused(&child.wait_with_output()?, "interrupted");
        rules.into_iter().for_each(|rule| rule.remove());
        assert_eq!(devices(bed, &bot)?, 1);
    }
    assert_eq!(objects(bed, &bot)?, before);
    Ok(())
}

/// What changes something on the server, in this order.
const CHANGES: [&str; 7] = [
    "m.secret_storage.key.",
    "m.secret_storage.default_key",
    "m.cross_signing.master",
    "m.cross_signing.self_signing",
    "m.cross_signing.user_signing",
    "/keys/device_signing/upload",
    "/keys/signatures/upload",
];

/// The command is killed when the server has acted and before it hears of it.
fn killed(bed: &Bed) -> Outcome {
    for change in CHANGES {
        let tap = Tap::start(bed.homeserver().base_url())?;
        let place = Place::at(tap.base_url())?;
        let bot = bot(bed)?;
        let verb = if change.starts_with('/') { "POST" } else { "PUT" };
        let victim = Arc::new(OnceLock::<Pid>::new());
        let kill = {
            let victim = victim.clone();
            Action::hook(Point::AfterResponse, move |_| {
                kill_process(*victim.wait(), Signal::KILL).unwrap();
                std::thread::sleep(Duration::from_millis(50));
            })
        };
        let rule = tap.add_rule(Matcher::path_contains(change).method(verb).times(1), kill);
        let save = ["--save-recovery-key", "key"];
        let child =
            Call::of(bot.user_id()).token(token(&bot)).with(&save).command(&place).spawn()?;
        victim.set(Pid::from_child(&child)).unwrap();
        let output = child.wait_with_output()?;
        assert_eq!(output.status.signal(), Some(9), "{change}: {}", said(&output));
        rule.remove();
        let identity = objects(bed, &bot)?["identity master"].clone();
        let key = finish(&place, &bot, change)?;
        if !identity.is_null() {
            assert_eq!(identity, objects(bed, &bot)?["identity master"], "killed at {change}");
        }
        let other = further(bed, &bot)?;
        assert!(other.recover(&key)?.cross_signed, "killed at {change}");
        other.logout()?;
        bot.logout()?;
        violations(&tap, place.path(), &key)?;
    }
    Ok(())
}

/// Does it again, with the recovery key that was saved; returns the key.
fn finish(place: &Place, bot: &JsUser, change: &str) -> Result<String> {
    let key = fs::read_to_string(place.path().join("key"))?.trim().to_owned();
    let call = || Call::of(bot.user_id()).token(token(bot));
    let output = call().recovery_key(&key).run(place)?;
    if change == CHANGES[0] {
        // Its description is there, and nothing says that it is the account's.
        refused(&output, "leave the recovery key out");
        done(&call().with(&["--save-recovery-key", "key2"]).run(place)?);
        return Ok(fs::read_to_string(place.path().join("key2"))?.trim().to_owned());
    }
    done(&output);
    Ok(key)
}

fn violations(tap: &Tap, folder: &Path, key: &str) -> Outcome {
    assert!(invariants::request_storms(&tap.requests()).is_empty());
    let uploads = tap.requests().into_iter().filter(|it| it.path.ends_with("/keys/upload"));
    assert_eq!(uploads.count(), 0, "no device keys are uploaded");
    let shown = tap
        .requests()
        .into_iter()
        .any(|it| it.json().is_some_and(|json| json.to_string().contains(key)));
    assert!(!shown, "the recovery key was sent to the server ({})", folder.display());
    Ok(())
}
