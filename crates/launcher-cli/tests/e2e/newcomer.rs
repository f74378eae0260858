//! `launcher new`: every way to an account, every refusal, and a kill in the
//! middle.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use launcher_testbed::{
    DEFAULT_TIMEOUT, Homeserver, HomeserverOptions, Registration,
    tap::{Action, Gate, Matcher, Tap},
};
use serde_json::{Value, json};

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::{Place, mode},
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("newcomer::an_empty_folder_becomes_an_agent_that_answers_within_two_minutes", first_contact),
    ("newcomer::a_registration_token_opens_a_server_and_each_refusal_says_what_helps", tokens),
    ("newcomer::the_shared_secret_opens_a_closed_server_while_the_launcher_runs", closed),
    ("newcomer::an_account_that_exists_is_taken_with_its_password", existing),
    ("newcomer::a_kill_before_and_after_the_registration_is_taken_up_by_the_same_command", kills),
    ("newcomer::starting_over_keeps_what_the_first_run_had_written_down", starting_over),
    ("newcomer::what_is_there_already_is_not_touched", collisions),
    ("newcomer::whoever_sits_at_a_terminal_is_asked_and_types_secrets_unseen", terminal),
    ("newcomer::the_well_known_file_of_a_server_leads_to_its_homeserver", discovery),
];

/// How long a newcomer may have to wait for the first answer.
const PATIENCE: Duration = Duration::from_secs(120);

type Variables<'a> = &'a [(&'a str, &'a str)];

fn new(
    place: &Place,
    id: &str,
    more: &[&str],
    variables: Variables<'_>,
) -> std::io::Result<Output> {
    let arguments = [&["new", id, "--homeserver", place.homeserver()], more].concat();
    place.prepare(&arguments, variables).output()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn printed(output: &Output) -> Result<Value, Box<dyn std::error::Error>> {
    serde_json::from_slice(&output.stdout).map_err(|_| said(output).into())
}

/// Fails unless the command ended with 1, this reason and this way out.
fn assert_refused(output: &Output, reason: &str, way_out: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(reason) && said.contains(way_out), "{said}");
}

/// The value of a variable in `.env`.
fn value(place: &Place, name: &str) -> Result<String, Box<dyn std::error::Error>> {
    let text = fs::read_to_string(place.path().join(".env"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    Ok(line.ok_or_else(|| format!("no {name}"))?.to_owned())
}

fn first_contact(bed: &Bed) -> Outcome {
    let alice = bed.person("alice")?;
    let place = Place::empty(bed.homeserver().base_url())?;
    let name = bed.name("assistant");
    let secret = bed.homeserver().registration_shared_secret();
    let begun = Instant::now();
    let more = ["--username", &name, "--shared-secret-env", "SECRET"];
    let made = new(&place, "assistant", &more, &[("SECRET", secret)])?;
    let said = said(&made);
    assert!(made.status.success(), "{said}");
    let user = bed.homeserver().user_id(&name);
    let page = String::from_utf8(made.stdout)?;
    let last = page.lines().last().unwrap_or_default();
    assert!(page.contains("launcher run"), "{page}");
    assert!(last.starts_with("try: `launcher invites assistant dm @you:"), "{page}");
    for name in [".env", "config.yaml", "agents/assistant/config.yaml", ".launcher/audit.jsonl"] {
        assert_eq!(mode(&place.path().join(name))?, 0o600, "{name}");
    }
    // Long, random, and never printed.
    let (password, key) =
        (value(&place, "MATRIX_PASSWORD_ASSISTANT")?, value(&place, "PICKLE_KEY_ASSISTANT")?);
    assert!(password.len() >= 32 && key.len() == 64);
    for hidden in [&password, &key, secret] {
        assert!(!said.contains(hidden) && !page.contains(hidden));
    }
    assert!(place.command(&["check"])?.status.success());
    let mut launcher = place.start()?;
    launcher.wait_for_event("agent_ready", "assistant")?;
    let room = room_with(&alice, &user)?;
    assert!(ask(&alice, &room, "hello", &user)?.encrypted);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(launcher.agent_status("assistant")?["cross_signed"], true);
    Ok(())
}

fn tokens(_bed: &Bed) -> Outcome {
    let options = HomeserverOptions::default().registration(Registration::Token);
    let homeserver = Homeserver::start(options)?;
    let place = Place::empty(homeserver.base_url())?;
    let token = homeserver.admin_registration_token(1)?;
    let with_token = ["--registration-token-env", "TOKEN"];

    let refused = new(&place, "bot", &["--open"], &[])?;
    assert_refused(
        &refused,
        "registers only with a registration token",
        "--registration-token-env",
    );
    let refused = new(&place, "bot", &with_token, &[("TOKEN", "made-up")])?;
    assert_refused(&refused, "does not accept the registration token", "administrator");
    assert!(!said(&refused).contains("made-up"));
    let audit = fs::read_to_string(place.path().join(".launcher/audit.jsonl"))?;
    assert_eq!(audit.lines().filter(|line| line.contains("\"refused\"")).count(), 2, "{audit}");
    assert!(!audit.contains("made-up"), "{audit}");
    // Whoever was refused leaves nothing that stops the next try.
    for name in [".env", "config.yaml", "agents/bot"] {
        assert!(!place.path().join(name).exists(), "{name}");
    }
    let made = new(&place, "bot", &[&with_token[..], &["--json"]].concat(), &[("TOKEN", &token)])?;
    let printed = printed(&made)?;
    assert_eq!(printed["user_id"], homeserver.user_id("bot"));
    assert_eq!((&printed["registered"], &printed["state"]), (&true.into(), &Value::Null));
    let password = value(&place, "MATRIX_PASSWORD_BOT")?;
    assert!(!String::from_utf8(made.stdout)?.contains(&password));
    homeserver.login("bot", &password)?;

    let env = fs::read_to_string(place.path().join(".env"))?;
    let refused = new(&place, "other", &with_token, &[("TOKEN", &token)])?;
    assert_refused(&refused, "does not accept the registration token", "used up");
    let taken = ["--username", "bot", "--registration-token-env", "TOKEN"];
    let refused =
        new(&place, "other", &taken, &[("TOKEN", &homeserver.admin_registration_token(1)?)])?;
    assert_refused(&refused, "the name `bot` is taken", "--username");
    assert_eq!(fs::read_to_string(place.path().join(".env"))?, env);
    Ok(())
}

fn closed(_bed: &Bed) -> Outcome {
    let options = HomeserverOptions::default().registration(Registration::Closed);
    let homeserver = Homeserver::start(options)?;
    let place = Place::at(homeserver.base_url())?;
    let refused = new(&place, "bot", &["--open"], &[])?;
    assert_refused(&refused, "registers nobody this way", "--shared-secret-env");
    let with_secret = ["--shared-secret-stdin", "--json"];
    let arguments =
        [&["new", "bot", "--homeserver", place.homeserver()], &with_secret[..]].concat();
    let refused = place.command_with_input(&arguments, "wrong")?;
    assert_refused(&refused, "does not accept the shared secret", "registration_shared_secret");
    // Somebody answers there, but no homeserver; and here nobody does.
    let nowhere = Place::at("http://127.0.0.1:9")?;
    assert_refused(&new(&nowhere, "bot", &["--open"], &[])?, "cannot be reached", "network");

    let _launcher = place.start()?;
    let made = place.command_with_input(&arguments, homeserver.registration_shared_secret())?;
    let printed = printed(&made)?;
    assert_eq!(printed["state"], "running", "{printed}");
    assert!(printed["device_id"].is_string(), "{printed}");
    // The agent's device, and the one that has just logged in to look.
    let token = homeserver.login("bot", &value(&place, "MATRIX_PASSWORD_BOT")?)?.access_token;
    let (_, devices) =
        homeserver.request("GET", "/_matrix/client/v3/devices", Some(&token), None)?;
    assert_eq!(devices["devices"].as_array().map(Vec::len), Some(2), "{devices}");
    Ok(())
}

fn existing(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let user = bed.homeserver().register_without_login(&bed.name("old"), PASSWORD)?;
    let more = ["--username", &user, "--password-env", "OLD_PASSWORD"];
    let refused = new(&place, "old", &more, &[("OLD_PASSWORD", "wrong")])?;
    assert_refused(&refused, "refused the login", "password");
    assert_eq!(fs::read_to_string(place.path().join(".env"))?, "");
    let made =
        new(&place, "old", &[&more[..], &["--json"]].concat(), &[("OLD_PASSWORD", PASSWORD)])?;
    let printed = printed(&made)?;
    assert_eq!(
        (&printed["user_id"], &printed["registered"]),
        (&user.as_str().into(), &false.into())
    );
    // With spaces in it, it needs quotes.
    assert_eq!(value(&place, "MATRIX_PASSWORD_OLD")?, format!("'{PASSWORD}'"));
    // One account is one agent, whichever comes first by its name.
    for id in ["a", "z"] {
        let refused = new(&place, id, &more, &[("OLD_PASSWORD", PASSWORD)])?;
        assert_refused(&refused, "another agent, old, has the account", "another account");
        assert!(!place.agent_folder(id).exists());
    }
    let _launcher = place.start_ready(&["old"])?;
    let devices = bed.homeserver().login(&user, PASSWORD)?;
    let all = bed.homeserver().request(
        "GET",
        "/_matrix/client/v3/devices",
        Some(&devices.access_token),
        None,
    )?;
    // The agent's, and the one that has just logged in to look.
    assert_eq!(all.1["devices"].as_array().map(Vec::len), Some(2), "{}", all.1);
    Ok(())
}

/// Kills the command when the request that registers is sent, or when it is
/// answered; what was sent before does not arrive.
fn kill_in_it(tap: &Tap, place: &Place, arguments: &[&str], is_registered: bool) -> Outcome {
    let registration =
        || Matcher::path_contains("/v3/register").method("POST").times(1).body(is_full);
    let gate = Gate::new();
    let held = match is_registered {
        false => Action::HoldBefore(gate.clone()),
        true => Action::HoldAfter(gate.clone()),
    };
    let rule = tap.add_rule(registration(), held);
    let lost = tap.add_rule(registration(), Action::DropBefore);
    if is_registered {
        lost.remove();
    } else {
        lost.keep();
    }
    let mut command = place.prepare(arguments, &[]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let reached = rule.wait_for_hits(1, DEFAULT_TIMEOUT);
    child.kill()?;
    child.wait()?;
    gate.open();
    reached?;
    rule.remove();
    Ok(())
}

/// How each order that is in the audit log went on.
fn outcomes(place: &Place) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let text = fs::read_to_string(place.path().join(".launcher/audit.jsonl"))?;
    let outcome = |line: &str| -> Result<String, Box<dyn std::error::Error>> {
        let line: Value = serde_json::from_str(line)?;
        assert_eq!(line["action"], "new", "{line}");
        Ok(line["outcome"].as_str().unwrap_or_default().to_owned())
    };
    text.lines().map(outcome).collect()
}

fn kills(bed: &Bed) -> Outcome {
    let tap = Tap::start(bed.homeserver().base_url())?;
    for (id, is_registered) in [("before", false), ("after", true)] {
        let place = Place::empty(tap.base_url())?;
        let name = bed.name(id);
        let arguments = ["new", id, "--homeserver", tap.base_url(), "--username", &name, "--open"];
        kill_in_it(&tap, &place, &arguments, is_registered)?;
        assert!(!place.agent_folder(id).exists(), "half an agent is there");
        let password = value(&place, &format!("MATRIX_PASSWORD_{}", id.to_uppercase()))?;
        assert_eq!(outcomes(&place)?, ["began"]);

        // Another account would take the place of what may be the only password.
        let env = fs::read_to_string(place.path().join(".env"))?;
        let note = place.path().join(format!(".launcher/new/{id}.json"));
        let (elsewhere, other) = (bed.homeserver().base_url(), bed.name("other"));
        for (homeserver, username, difference) in
            [(tap.base_url(), &other, "its account was"), (elsewhere, &name, "it was at")]
        {
            let arguments =
                ["new", id, "--homeserver", homeserver, "--username", username, "--open"];
            let refused = place.command(&arguments)?;
            assert_refused(&refused, difference, "--start-over");
            assert!(said(&refused).contains(&note.display().to_string()), "{}", said(&refused));
        }
        assert_eq!(fs::read_to_string(place.path().join(".env"))?, env);

        // Another spelling of the same is the same.
        let (homeserver, user) = (format!("{}/", tap.base_url()), bed.homeserver().user_id(&name));
        let again = ["new", id, "--homeserver", &homeserver, "--username", &user, "--open"];
        let made = place.command(&again)?;
        assert!(made.status.success(), "{}", said(&made));
        assert_eq!(said(&made).contains("an earlier run has registered"), is_registered);
        assert_eq!(outcomes(&place)?, ["began", "refused", "refused", "began", "done"]);
        let now = value(&place, &format!("MATRIX_PASSWORD_{}", id.to_uppercase()))?;
        assert_eq!(now, password);
        bed.homeserver().login(&name, &password)?;
        assert!(!note.exists());
        assert!(place.command(&["check"])?.status.success());
        // Killed when nothing but the note was left to remove: it is finished.
        let text = json!({ "homeserver": tap.base_url(), "username": name, "user_id": user });
        fs::write(&note, text.to_string())?;
        let other = place.command(&["new", id, "--username", &other, "--open"])?;
        assert_refused(&other, "its account was", "--start-over");
        let finished = place.command(&arguments)?;
        assert!(finished.status.success(), "{}", said(&finished));
        assert!(!note.exists());
        let again = place.command(&arguments)?;
        assert_refused(&again, "exists; nothing was done", "another id");
    }
    Ok(())
}

fn starting_over(bed: &Bed) -> Outcome {
    let tap = Tap::start(bed.homeserver().base_url())?;
    let place = Place::empty(tap.base_url())?;
    let (first, second) = (bed.name("first"), bed.name("second"));
    let begin = ["new", "bot", "--homeserver", tap.base_url(), "--open", "--username"];
    kill_in_it(&tap, &place, &[&begin[..], &[&first]].concat(), true)?;
    let password = value(&place, "MATRIX_PASSWORD_BOT")?;
    let made = place.command(&[&begin[..], &[&second, "--start-over"]].concat())?;
    assert!(made.status.success(), "{}", said(&made));
    let now = value(&place, "MATRIX_PASSWORD_BOT")?;
    bed.homeserver().login(&second, &now)?;
    // The account of the first run is there, and its password can be found.
    bed.homeserver().login(&first, &password)?;
    let env = fs::read_to_string(place.path().join(".env"))?;
    assert!(env.contains(&format!("# MATRIX_PASSWORD_BOT={password}\n")) && now != password);
    assert!(place.command(&["check"])?.status.success());
    Ok(())
}

/// The request that registers, not the one that asks how.
fn is_full(body: &Value) -> bool {
    body["auth"].is_object()
}

fn collisions(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    place.agent(bed, "echo")?;
    let env = fs::read_to_string(place.path().join(".env"))?;
    let refused = new(&place, "echo", &["--open"], &[])?;
    assert_refused(&refused, "exists; nothing was done", "another id");
    place.set_variable("MATRIX_PASSWORD_MY_BOT", "somebody-elses")?;
    let refused = new(&place, "my-bot", &["--open"], &[])?;
    assert_refused(&refused, "MATRIX_PASSWORD_MY_BOT is set in", "another id");
    let refused = new(&place, "bot", &["--open"], &[("PICKLE_KEY_BOT", "x")])?;
    assert_refused(&refused, "PICKLE_KEY_BOT is set in the environment", "unset it");
    let unclear = new(&place, "bot", &[], &[])?;
    assert_eq!(unclear.status.code(), Some(2), "{}", said(&unclear));
    for (typed, why) in [("s3cr3t", "name of a variable"), ("S3CR3T", "is not set, or empty")] {
        let secret = new(&place, "bot", &["--registration-token-env", typed], &[])?;
        assert!(said(&secret).contains(why) && !said(&secret).contains(typed), "{}", said(&secret));
        let audit = fs::read_to_string(place.path().join(".launcher/audit.jsonl"))?;
        assert!(audit.contains(why) && !audit.contains(typed), "{audit}");
    }
    let now = fs::read_to_string(place.path().join(".env"))?;
    assert!(now.starts_with(env.trim_end()), "{now}");
    assert_eq!(fs::read_dir(place.path().join("agents"))?.count(), 1);
    Ok(())
}

fn terminal(bed: &Bed) -> Outcome {
    let place = Place::empty("")?;
    let name = bed.name("asked");
    let answers = [bed.homeserver().base_url(), &name, "n"];
    let (is_made, shown) = place.command_answering(&["new", "first"], &answers)?;
    assert!(is_made && shown.contains("where everybody may"), "{shown}");
    let password = value(&place, "MATRIX_PASSWORD_FIRST")?;
    bed.homeserver().login(&name, &password)?;
    // Now the homeserver is known, and the other account is there.
    let old = bed.homeserver().register_without_login(&bed.name("old"), PASSWORD)?;
    let unseen = format!("unseen:{PASSWORD}");
    let answers = [old.as_str(), "y", &unseen];
    let (is_made, again) = place.command_answering(&["new", "second"], &answers)?;
    assert!(is_made && again.contains(&format!("the password opens {old}")), "{again}");
    assert!(!again.contains("Homeserver (") && again.contains("Password of"), "{again}");
    for text in [shown, again] {
        assert!(!text.contains(&password) && !text.contains(PASSWORD), "{text}");
    }
    Ok(())
}

/// A web server that is no homeserver, and says where one is, if it knows.
fn web_server(homeserver: Option<&str>) -> Result<String, Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    let file = homeserver.map(|base| json!({ "m.homeserver": { "base_url": base } }).to_string());
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let mut line = String::new();
            let mut request = BufReader::new(&mut connection);
            if request.read_line(&mut line).is_err() {
                continue;
            }
            let mut header = String::new();
            while request.read_line(&mut header).is_ok_and(|length| length > 2) {
                header.clear();
            }
            let known =
                file.as_ref().filter(|_| line.starts_with("GET /.well-known/matrix/client "));
            let (status, body) = match known {
                Some(file) => ("200 OK", file.as_str()),
                None => ("404 Not Found", "<html>nothing here</html>"),
            };
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close");
            drop(write!(connection, "{head}\r\n\r\n{body}"));
        }
    });
    Ok(address)
}

fn discovery(bed: &Bed) -> Outcome {
    let place = Place::empty(&web_server(None)?)?;
    let refused = new(&place, "bot", &["--open"], &[])?;
    assert_refused(&refused, "not as a Matrix homeserver does", "client-server API");
    let place = Place::empty(&web_server(Some(bed.homeserver().base_url()))?)?;
    let name = bed.name("found");
    let made = new(&place, "bot", &["--open", "--username", &name, "--json"], &[])?;
    let printed = printed(&made)?;
    assert_eq!(printed["user_id"], bed.homeserver().user_id(&name));
    assert_eq!(printed["homeserver"], format!("{}/", bed.homeserver().base_url()));
    Ok(())
}
