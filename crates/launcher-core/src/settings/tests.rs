use super::*;
use crate::{
    names::{EventId, UserId},
    spec::{BehaviorSpec, SettingsPolicy},
};

fn spec() -> AgentSpec {
    AgentSpec {
        settings: SettingsPolicy { users: vec!["@alice:hs".into()], require: Requirement::Trusted },
        rooms: [(room(), [("when".to_owned(), "mentioned".to_owned())].into())].into(),
        behaviors: vec![BehaviorSpec::Echo {
            prefix: String::new(),
            delay: Duration::ZERO,
            files: false,
        }],
        ..crate::reset::tests::spec(true, crate::spec::TrustMode::Tofu)
    }
}

fn room() -> RoomId {
    RoomId::new("!r:hs")
}

fn said(sender: &str, body: &str) -> Message {
    Message::text(room(), EventId::new("$e"), UserId::new(sender), body)
}

#[test]
fn the_room_goes_before_the_agent_and_what_was_set_before_both() {
    let spec = spec();
    let nothing = BTreeMap::new();
    assert_eq!(policy(&spec, &RoomId::new("!s:hs"), &nothing).when, [Occasion::Always]);
    assert_eq!(policy(&spec, &room(), &nothing).when, [Occasion::Mentioned]);
    let set = [("when".to_owned(), "direct, thread".to_owned())].into();
    assert_eq!(policy(&spec, &room(), &set).when, [Occasion::Direct, Occasion::Thread]);
}

#[test]
fn every_setting_can_be_set_and_taken_back() {
    let spec = spec();
    for (name, value) in [
        ("when", "always"),
        ("when", "direct, mentioned"),
        ("prefix", "!ask"),
        ("prefix", "off"),
        ("debounce", "2s"),
        ("debounce", "off"),
        ("per_user", "10/1m"),
        ("per_room", "off"),
        ("quiet_hours", "22:00-07:00 Europe/Madrid"),
        ("quiet_hours", "off"),
        ("typing", "off"),
    ] {
        let set = Order::Set { name: name.into(), value: Some(value.into()) };
        assert_eq!(order(&spec, &said("@alice:hs", &format!("!set {name} {value}"))), Some(set));
    }
    let back = Order::Set { name: "when".into(), value: None };
    assert_eq!(order(&spec, &said("@alice:hs", "!set when default")), Some(back));
}

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    let spec = spec();
    for (body, why) in [
        ("!set", "Write `!set NAME VALUE`"),
        ("!set when", "Write `!set NAME VALUE`"),
        ("!set when sometimes", "`when` has an unknown word, `sometimes`; it is what I answer"),
        ("!set color red", "there is no setting of that name; there are `debounce`"),
        ("!set color default", "there is no setting `color`"),
        ("!set debounce 2", "`debounce` has no unit"),
        ("!set debounce 1h", "`debounce` is longer than `1m`"),
        ("!set per_user 10", "`per_user` is not a number and a time"),
        ("!set per_user 0/1m", "`per_user` has no number from 1"),
        ("!set per_user 5/2d", "`per_user` has a time that is not between"),
        ("!set quiet_hours 22:00-07:00", "`quiet_hours` is not two times"),
        ("!set quiet_hours 07:00-07:00 UTC", "`quiet_hours` begins when it ends"),
        ("!set quiet_hours 25:00-07:00 UTC", "`quiet_hours` is not two times"),
        ("!set typing maybe", "`typing` is neither"),
    ] {
        match order(&spec, &said("@alice:hs", body)) {
            Some(Order::Refused(text)) => assert!(text.contains(why), "{body}: {text}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn only_those_who_may_change_settings_do() {
    let mut spec = spec();
    let refused = order(&spec, &said("@bob:hs", "!set when always"));
    assert!(matches!(refused, Some(Order::Refused(text)) if text.contains("may not")));
    assert_eq!(order(&spec, &said("@bob:hs", "!config")), Some(Order::Show));
    spec.settings.require = Requirement::Verified;
    let unsure = order(&spec, &said("@alice:hs", "!set when always"));
    assert!(matches!(unsure, Some(Order::Refused(text)) if text.contains("verified")));
    let sure = Message { assurance: Assurance::Verified, ..said("@alice:hs", "!set when always") };
    assert!(matches!(order(&spec, &sure), Some(Order::Set { .. })));
    spec.settings.users.clear();
    assert_eq!(order(&spec, &sure), None);
}

#[test]
fn what_holds_is_shown_with_where_it_comes_from() {
    let set = [("debounce".to_owned(), "2s".to_owned())].into();
    let text = shown(&spec(), &room(), &set);
    assert!(text.contains("- `debounce`: `2s` (set here)"), "{text}");
    assert!(text.contains("- `when`: `mentioned` (by the agent's file)"), "{text}");
    assert!(text.contains("- `typing`: as everywhere. Whether you see"), "{text}");
}

fn assistant() -> AgentSpec {
    let model = crate::llm::model::ModelSpec {
        provider: crate::llm::model::Provider::Ollama,
        url: "http://hs".parse().unwrap(),
        key: None,
        model: "m".into(),
        max_tokens: 1,
        context: 2,
        temperature: None,
        timeout: Duration::ZERO,
        price: None,
    };
    let mode = crate::spec::ModeSpec { about: String::new(), model: None, prompt: None };
    let llm = LlmSpec {
        models: [("large".to_owned(), model)].into(),
        model: "large".into(),
        fallback: Vec::new(),
        prompt: String::new(),
        modes: [("!s".to_owned(), mode)].into(),
        history: crate::spec::HistorySpec { tokens: 0, keep: Duration::ZERO, summary: false },
        images: None,
        files: None,
        spending: Default::default(),
        timezone: "UTC".into(),
        tools: crate::spec::ToolsSpec::default(),
        rounds: 1,
        timeout: Duration::ZERO,
    };
    AgentSpec { behaviors: vec![BehaviorSpec::Llm(Box::new(llm))], ..spec() }
}

#[test]
fn only_an_assistant_has_modes_and_models() {
    assert!(check(&spec(), "mode", "!s").is_err());
    let spec = assistant();
    for (name, value, wrong) in [
        ("mode", "!s", None),
        ("mode", "off", None),
        ("mode", "!d", Some("`mode` is no mode of mine; there are `!s`; it is how I answer")),
        ("model", "large", None),
        ("model", "gpt", Some("`model` is no model of mine; there are `large`; it is which")),
        ("when", "always", None),
    ] {
        match (check(&spec, name, value), wrong) {
            (Ok(()), None) => {}
            (Err(problem), Some(start)) => assert!(problem.starts_with(start), "{problem}"),
            (found, _) => panic!("{name} {value}: {found:?}"),
        }
    }
    let shown = shown(&spec, &room(), &BTreeMap::new());
    assert!(shown.contains("`mode`") && shown.contains("`model`"), "{shown}");
}
