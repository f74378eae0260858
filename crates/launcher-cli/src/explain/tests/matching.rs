//! A pasted text leads to the page that explains it.

use super::*;

#[test]
fn every_sample_leads_to_its_page() {
    let mut wrong = Vec::new();
    for page in BOOK.pages() {
        assert!(!page.samples.is_empty(), "{} has no sample", page.id);
        for sample in page.samples.iter().chain([&page.id]) {
            let found = page_of(sample);
            if found.as_ref() != Some(&page.id) {
                wrong.push(format!("{}: {sample} leads to {found:?}", page.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_leads_to_its_page() {
    for page in BOOK.pages() {
        for code in page.codes.iter().filter(|code| !code.contains(':')) {
            for text in [code.clone(), format!(" {}: ", code.to_uppercase()), format!("`{code}`.")]
            {
                assert_eq!(page_of(&text).as_ref(), Some(&page.id), "{text}");
            }
        }
    }
}

#[test]
fn both_formats_of_the_log_lead_to_the_same_page() {
    for (json, pretty, page) in [
        (
            r#"{"agent":"a","event":"agent_parked","reason":"store_locked: /x is held by another process","action":"stop it","level":"ERROR","message":"parked"}"#,
            r#"2026-11-22T00:13:15.8Z ERROR agent{agent="a"}: parked event="agent_parked" agent="a" reason="store_locked: /x is held by another process" action="stop it""#,
            "store_locked",
        ),
        (
            r#"{"event":"undecryptable","reason":"withheld: m.no_olm","room":"!a:b"}"#,
            r#"2026-11-22T00:13:15Z  WARN agent{agent="a"}: a message cannot be decrypted event="undecryptable" room=!a:b event_id=$x session_id="s" reason=withheld: m.no_olm"#,
            "withheld_no_olm",
        ),
        (
            r#"{"event":"message_refused","code":"unsigned","reason":"not signed by its owner"}"#,
            r#"2026-11-22T00:13:15Z  WARN message event="message_refused" code="unsigned" reason=not signed by its owner"#,
            "sender_unsigned",
        ),
        (
            r#"{"event":"agent_restarting","reason":"store_unusable: /x cannot be used: No space left on device (os error 28)"}"#,
            r#"WARN failed; tried again event="agent_restarting" agent="a" reason="store_unusable: /x cannot be used: No space left on device (os error 28)" retry_in=1.5s"#,
            "no_space",
        ),
        (
            r#"{"event":"store_reset","cause":"store_lost: the crypto store of device D is gone, and the server has its keys"}"#,
            r#"WARN the agent becomes a new device; its old store is kept event="store_reset" old_device="D" cause="store_lost: the crypto store of device D is gone, and the server has its keys""#,
            "store_reset",
        ),
    ] {
        assert_eq!(page_of(json).as_deref(), Some(page), "{json}");
        assert_eq!(page_of(pretty).as_deref(), Some(page), "{pretty}");
        let decorated = format!("Nov 22 00:13:15 host launcher[4711]: {json}");
        assert_eq!(page_of(&decorated).as_deref(), Some(page), "{decorated}");
    }
}

#[test]
fn colors_and_other_quotes_and_accents_do_not_matter() {
    let colored = "\u{1b}[2m2026-11-22\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m parked \u{1b}[3mevent\u{1b}[0m=\"agent_parked\" \u{1b}[3mreason\u{1b}[0m\u{1b}[2m=\u{1b}[0m\"no_device: the access token of @a:b belongs to no device\"";
    assert_eq!(page_of(colored).as_deref(), Some("no_device"));
    let curly = "The authenticity of this encrypted message can’t be guaranteed on this device.";
    assert_eq!(page_of(curly).as_deref(), Some("client_authenticity"));
    assert_eq!(
        page_of("CIFRADO por una sesion no verificada").as_deref(),
        Some("client_unsigned_device")
    );
}

#[test]
fn a_part_of_a_line_is_enough() {
    assert_eq!(page_of("held by another proc").as_deref(), Some("store_locked"));
    assert_eq!(page_of("no space left").as_deref(), Some("no_space"));
    assert_eq!(page_of("stalled").as_deref(), Some("sync_stalled"));
    assert_eq!(
        page_of("the server\nannounces news\nand then has none").as_deref(),
        Some("sync_stalled")
    );
}

#[test]
fn words_that_are_no_codes_lead_nowhere() {
    for text in ["", " ", "-", "the quick brown fox jumps", "we stopped and were blocked", "42"] {
        assert_eq!(explained(text), [], "{text}");
    }
}

#[test]
fn advice_is_not_taken_for_what_happened() {
    let json =
        r#"{"event":"operator_action","action":"wait if the database is locked","level":"INFO"}"#;
    assert_eq!(page_of(json).as_deref(), Some("operator_action"));
    let error = "error: another command is working on `a`\ndo: wait until the database is locked";
    assert_eq!(explained(error), [("agent_busy".to_owned(), 1)]);
}

#[test]
fn a_log_gives_each_page_once_in_order_with_its_count() {
    let log = r#"{"event":"agent_ready","agent":"a"}
noise that nobody knows
{"event":"undecryptable","agent":"a","reason":"unknown session"}
{"event":"undecryptable","agent":"b","reason":"unknown session"}

{"event":"agent_ready","agent":"b"}
{"event":"decrypted_late","agent":"b"}
"#;
    let count = |id: &str, count| (id.to_owned(), count);
    assert_eq!(
        explained(log),
        [count("agent_ready", 2), count("unknown_session", 2), count("decrypted_late", 1)]
    );
}

#[test]
fn the_agent_is_known_by_field_by_path_and_by_its_row() {
    let agents = |text: &str| {
        with_explanations(text, |found| {
            found.iter().flat_map(|one| &one.agents).map(ToString::to_string).collect::<Vec<_>>()
        })
    };
    assert_eq!(agents(r#"{"event":"agent_ready","agent":"helper"}"#), ["helper"]);
    assert_eq!(agents(r#"INFO agent{agent="helper"}: ready event="agent_ready""#), ["helper"]);
    assert_eq!(
        agents("store_locked: /srv/agents/helper/data is held by another process"),
        ["helper"]
    );
    let status = "AGENT   STATE   ACCOUNT  DEVICE  SIGNED  RECEIVED  ANSWERED
helper  parked  -        -       no             0         0
        why: login_refused: https://hs/ refused the login of @a:b: no
        do: correct matrix.password";
    assert_eq!(agents(status), ["helper"]);
    assert_eq!(explained(status), [("login_refused".to_owned(), 1)]);
    assert_eq!(agents(r#"{"event":"agent_ready","agent":"Not An Id"}"#), [""; 0]);
}
