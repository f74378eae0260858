//! What is printed.

use super::{
    super::show::{self, ExplainReply, ListReply},
    *,
};

fn shown(text: &str, language: Language) -> String {
    with_explanations(text, |found| show::text(found, language).unwrap())
}

#[test]
fn a_page_has_its_parts_and_the_agents_name_in_its_commands() {
    let line = r#"{"event":"agent_parked","agent":"helper","reason":"keys_differ: the server publishes other keys for device D than the crypto store holds"}"#;
    let english = shown(line, Language::En);
    assert!(english.starts_with("keys_differ: the server shows other keys"), "{english}");
    for part in
        ["What it means", "What follows", "What helps", "`launcher reset helper`", "See also"]
    {
        assert!(english.contains(part), "{part} is not in {english}");
    }
    let spanish = shown(line, Language::Es);
    assert!(spanish.starts_with("keys_differ: el servidor muestra claves"), "{spanish}");
    for part in ["Qué significa", "Qué implica", "Qué hacer", "`launcher reset helper`"] {
        assert!(spanish.contains(part), "{part} is not in {spanish}");
    }
    assert!(shown("keys_differ", Language::En).contains("`launcher reset ID`"));
}

#[test]
fn several_agents_are_named_and_none_is_put_into_the_commands() {
    let line = |agent: &str| format!(r#"{{"event":"otk_conflict","agent":"{agent}"}}"#);
    let text = shown(&format!("{}\n{}\n{}", line("a"), line("b"), line("a")), Language::En);
    assert!(text.contains("(3 lines; agents: a, b)"), "{text}");
    assert!(text.contains("`launcher reset ID`"), "{text}");
}

#[test]
fn nothing_of_the_text_itself_is_printed_again() {
    let secret = "syt_c2VjcmV0_PickleKeyAndPassword0123456789abcdef";
    for text in [
        format!("store_locked: {secret} is held by another process"),
        format!(
            r#"{{"event":"token_invalid","agent":"{secret}","reason":"{secret}","password":"{secret}"}}"#
        ),
        format!(
            "why: no_device: agents/{secret}/data password={secret}\n{secret} parked - - no 0 0"
        ),
    ] {
        with_explanations(&text, |found| {
            assert!(!found.is_empty());
            for language in [Language::En, Language::Es] {
                let json = serde_json::to_string(&ExplainReply::of(found, language)).unwrap();
                for shown in [show::text(found, language).unwrap(), json] {
                    assert!(!shown.contains("PickleKey"), "{shown}");
                }
            }
        });
    }
    assert!(!format!("{:?}", show::nothing_known(Language::En)).contains(secret));
}

#[test]
fn a_script_gets_everything_as_one_object() {
    let line = r#"{"event":"agent_restarting","agent":"a","reason":"store_failed: the crypto store failed: database or disk is full"}"#;
    let json = with_explanations(line, |found| {
        serde_json::to_value(ExplainReply::of(found, Language::En)).unwrap()
    });
    let one = &json["matches"][0];
    assert_eq!(one["id"], "no_space");
    assert_eq!(one["count"], 1);
    assert_eq!(one["agents"], serde_json::json!(["a"]));
    assert_eq!(one["others"], serde_json::json!(["agent_restarting", "store_failed"]));
    assert!(one["cure"].as_str().unwrap().contains("`launcher stores a --prune`"), "{one}");
    assert!(!one["cause"].as_str().unwrap().contains('\n'), "{one}");
    let none = with_explanations("?", |found| {
        serde_json::to_string(&ExplainReply::of(found, Language::En)).unwrap()
    });
    assert_eq!(none, r#"{"matches":[]}"#);
}

#[test]
fn the_list_has_every_page() {
    for language in [Language::En, Language::Es] {
        let list = show::list(&BOOK, language).unwrap();
        let json = serde_json::to_value(ListReply::of(&BOOK, language)).unwrap();
        assert_eq!(json["pages"].as_array().unwrap().len(), BOOK.pages().count());
        for page in BOOK.pages() {
            let line = list.lines().find(|line| line.split_whitespace().next() == Some(&page.id));
            assert!(
                line.is_some_and(|line| line.ends_with(&page.text(language).title)),
                "{}",
                page.id
            );
        }
    }
}
