//! A fleet is played through as text: what happens on the left, what follows on the right.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    preflight::Mismatch,
    secret::Secret,
    spec::{
        Account, AnswerPolicy, BehaviorSpec, CatchUp, Encryption, InvitePolicy, Network,
        SettingsPolicy, TrustMode, UndecryptablePolicy, VerificationPolicy,
    },
    status::AgentState,
};

fn id(name: &str) -> AgentId {
    name.parse().unwrap()
}

fn spec(name: &str, prefix: &str) -> Box<AgentSpec> {
    Box::new(AgentSpec {
        id: id(name),
        enabled: true,
        folder: format!("/agents/{name}").into(),
        account: Account {
            network: Network::Matrix,
            homeserver: "https://hs".parse().unwrap(),
            user_id: format!("@{name}:hs"),
            password: None,
            access_token: Some(Secret::new("token".into())),
        },
        encryption: Encryption {
            store_path: format!("/agents/{name}/data/crypto").into(),
            pickle_key: Secret::new([1; 32]),
            recovery_key: None,
            trust_mode: TrustMode::Tofu,
        },
        invites: InvitePolicy::default(),
        verification: VerificationPolicy::default(),
        catch_up: CatchUp { max_age: Duration::from_secs(1) },
        undecryptable: UndecryptablePolicy { notice_after: None },
        answer: AnswerPolicy::default(),
        settings: SettingsPolicy::default(),
        rooms: BTreeMap::new(),
        behaviors: vec![BehaviorSpec::Echo {
            prefix: prefix.into(),
            delay: Duration::ZERO,
            files: false,
        }],
    })
}

fn passing() -> Fault {
    Fault::ServerUnavailable { homeserver: "hs".into(), detail: "down".into(), retry_after: None }
}

fn permanent() -> Fault {
    Fault::Mismatched { mismatch: Mismatch::KeysDiffer { device: "D".into() } }
}

/// A fleet with a clock that the test moves.
struct Play {
    fleet: Fleet,
    now: Moment,
}

impl Play {
    fn new() -> Self {
        Self { fleet: Fleet::new(), now: Moment::default() }
    }

    fn at(&mut self, seconds: u64) -> &mut Self {
        self.now = Moment::after_start(Duration::from_secs(seconds));
        self
    }

    fn on(&mut self, event: Event) -> Vec<String> {
        self.fleet.on_event(event, self.now).into_iter().map(describe).collect()
    }

    /// Reads files: `a` runs, `a=x` runs with another prefix, `a!` is broken, `a-` is disabled.
    fn files(&mut self, text: &str) -> Vec<String> {
        self.files_touched(text, &[])
    }

    fn files_touched(&mut self, text: &str, touched: &[&str]) -> Vec<String> {
        let agents = text
            .split_whitespace()
            .map(|word| match word.split_once(['!', '-', '=']) {
                None => (id(word), Wanted::Run(spec(word, ""))),
                Some((name, prefix)) if word.contains('=') => {
                    (id(name), Wanted::Run(spec(name, prefix)))
                }
                Some((name, _)) if word.ends_with('-') => (id(name), Wanted::Disabled),
                Some((name, _)) => {
                    let fault = Fault::ConfigInvalid { diagnostic: "bad".into() };
                    (id(name), Wanted::Broken(fault))
                }
            })
            .collect();
        let touched = touched.iter().map(|name| id(name)).collect();
        self.on(Event::Wanted { agents, touched })
    }

    fn ready(&mut self, name: &str) -> Vec<String> {
        self.on(Event::Ready(id(name)))
    }

    fn ended(&mut self, name: &str, fault: Option<Fault>) -> Vec<String> {
        self.on(Event::Ended { agent: id(name), fault, jitter: 0.0 })
    }

    fn state(&self, name: &str) -> Option<AgentState> {
        self.fleet.standings().get(&id(name)).map(|standing| standing.state)
    }
}

fn describe(effect: Effect) -> String {
    match effect {
        Effect::Launch(spec) => format!("launch {}", spec.id),
        Effect::Stop(id) => format!("stop {id}"),
        Effect::CutOff(id) => format!("cut off {id}"),
        Effect::Hold(id) => format!("hold {id}"),
        Effect::Parked(id, fault) => format!("{id} parked: {}", fault.code()),
        Effect::Restarting(id, _, wait) => format!("{id} again in {} s", wait.as_secs()),
        Effect::Stopped(id) => format!("{id} stopped"),
    }
}

#[test]
fn at_most_eight_agents_start_at_once() {
    let mut play = Play::new();
    let names: Vec<String> = (0..20).map(|number| format!("a{number:02}")).collect();
    assert_eq!(play.files(&names.join(" ")).len(), STARTING_AT_ONCE);
    assert_eq!(play.ready("a00"), ["launch a08"]);
    assert_eq!(play.ended("a01", Some(permanent())), ["a01 parked: keys_differ", "launch a09"]);
    assert_eq!(play.state("a19"), Some(AgentState::Starting));
}

#[test]
fn a_broken_agent_is_parked_and_the_others_start() {
    let mut play = Play::new();
    assert_eq!(play.files("a b! c"), ["b parked: config_invalid", "launch a", "launch c"]);
    let standing = play.fleet.standings().remove(&id("b")).unwrap();
    assert_eq!(standing.state, AgentState::Parked);
    assert!(standing.reason.is_some() && standing.action.is_some());
}

#[test]
fn a_passing_fault_is_tried_again_with_growing_waits() {
    let mut play = Play::new();
    play.files("a");
    play.ready("a");
    assert_eq!(play.ended("a", Some(passing())), ["a again in 1 s"]);
    assert_eq!(play.fleet.deadline(), Some(play.now.later(Duration::from_secs(1))));
    assert_eq!(play.at(1).on(Event::DeadlineReached), ["launch a"]);
    assert_eq!(play.ended("a", Some(passing())), ["a again in 2 s"]);
    play.at(3).on(Event::DeadlineReached);
    play.ready("a");
    assert_eq!(play.at(63).ended("a", Some(passing())), ["a again in 1 s"]);
}

#[test]
fn a_permanent_fault_parks_until_somebody_acts() {
    let mut play = Play::new();
    play.files("a b");
    play.ready("b");
    assert_eq!(play.ended("a", Some(permanent())), ["a parked: keys_differ"]);
    assert_eq!(play.at(10_000).on(Event::DeadlineReached), [""; 0]);
    assert_eq!(play.files("a b"), [""; 0]);
    assert_eq!(play.files_touched("a b", &["a"]), ["launch a"]);
    play.ended("a", Some(permanent()));
    assert_eq!(play.files("a=other b"), ["launch a"]);
}

#[test]
fn an_edit_restarts_only_the_agent_it_changes() {
    let mut play = Play::new();
    play.files("a b");
    play.ready("a");
    play.ready("b");
    assert_eq!(play.files("a=new b"), ["stop a"]);
    assert_eq!(play.state("a"), Some(AgentState::Stopping));
    assert_eq!(play.ended("a", None), ["launch a"]);
    assert_eq!(play.state("b"), Some(AgentState::Running));
}

#[test]
fn a_broken_edit_leaves_the_running_agent_as_it_was() {
    let mut play = Play::new();
    play.files("a");
    play.ready("a");
    assert_eq!(play.files("a!"), [""; 0]);
    assert_eq!(play.state("a"), Some(AgentState::Running));
    assert_eq!(play.files("a"), [""; 0]);
}

#[test]
fn a_removed_folder_stops_its_agent_and_a_new_one_starts() {
    let mut play = Play::new();
    play.files("a");
    play.ready("a");
    assert_eq!(play.files("b"), ["stop a", "launch b"]);
    assert_eq!(play.ended("a", None), ["a stopped"]);
    assert_eq!(play.state("a"), None);
}

#[test]
fn a_folder_that_comes_back_while_its_agent_stops_starts_it_again() {
    let mut play = Play::new();
    play.files("a");
    play.ready("a");
    play.files("");
    assert_eq!(play.files("a"), [""; 0]);
    assert_eq!(play.ended("a", None), ["launch a"]);
}

#[test]
fn a_disabled_agent_rests() {
    let mut play = Play::new();
    play.files("a");
    play.ready("a");
    assert_eq!(play.files("a-"), ["stop a"]);
    assert_eq!(play.ended("a", None), ["a stopped"]);
    assert_eq!(play.state("a"), Some(AgentState::Stopped));
    assert_eq!(play.files("a"), ["launch a"]);
}

#[test]
fn an_agent_that_does_not_become_ready_is_cut_off_and_tried_again() {
    let mut play = Play::new();
    play.files("a");
    let limit = START_LIMIT.as_secs();
    assert_eq!(play.at(limit).on(Event::DeadlineReached), ["cut off a"]);
    assert_eq!(play.on(Event::DeadlineReached), [""; 0]);
    assert_eq!(play.fleet.deadline(), None);
    let stuck = Fault::Stuck { what: "starting".into(), limit: START_LIMIT };
    assert_eq!(play.ended("a", Some(stuck)), ["a again in 1 s"]);
}

#[test]
fn an_agent_that_does_not_stop_is_cut_off_before_it_is_started_anew() {
    let mut play = Play::new();
    play.files("a");
    play.ready("a");
    assert_eq!(play.files("a=new"), ["stop a"]);
    assert_eq!(play.at(STOP_LIMIT.as_secs()).on(Event::DeadlineReached), ["cut off a"]);
    assert_eq!(play.ended("a", Some(passing())), ["launch a"]);
}

#[test]
fn edits_while_an_agent_stops_never_start_a_second_task() {
    let mut play = Play::new();
    play.files("a");
    play.ready("a");
    assert_eq!(play.files("a-"), ["stop a"]);
    assert_eq!(play.files("a!"), [""; 0]);
    assert_eq!(play.files("a=new"), [""; 0]);
    assert_eq!(play.ended("a", None), ["launch a"]);
    play.ready("a");
    play.files("a-");
    play.files("a!");
    assert_eq!(play.ended("a", None), ["a parked: config_invalid"]);
}

#[test]
fn a_parked_agent_whose_folder_goes_lets_go_of_what_it_holds() {
    let mut play = Play::new();
    play.files("a");
    play.ended("a", Some(permanent()));
    assert_eq!(play.files(""), ["a stopped"]);
    assert_eq!(play.state("a"), None);
}

#[test]
fn a_stop_waits_for_every_task_and_starts_nothing_more() {
    let mut play = Play::new();
    play.files("a b c!");
    play.ready("a");
    assert_eq!(play.on(Event::StopAsked), ["stop a", "stop b"]);
    assert_eq!(play.files("a b d"), [""; 0]);
    assert_eq!(play.ended("b", Some(passing())), ["b stopped"]);
    assert!(!play.fleet.is_done());
    assert_eq!(play.ended("a", None), ["a stopped"]);
    assert!(play.fleet.is_done());
}

#[test]
fn a_degraded_agent_says_why_until_it_is_well_again() {
    let mut play = Play::new();
    play.files("a");
    play.ready("a");
    let found = Degradation { reason: "unsigned: no".into(), action: "sign".into() };
    play.on(Event::Health(id("a"), Some(found)));
    assert_eq!(play.state("a"), Some(AgentState::Degraded));
    play.on(Event::Health(id("a"), None));
    assert_eq!(play.state("a"), Some(AgentState::Running));
}

#[test]
fn a_held_agent_starts_again_when_it_is_released() {
    let mut play = Play::new();
    play.files("a");
    play.ready("a");
    assert_eq!(play.on(Event::HoldAsked(id("a"))), ["stop a"]);
    assert_eq!(play.ended("a", None), ["hold a"]);
    assert_eq!(play.state("a"), Some(AgentState::Stopping));
    // Whatever the files say meanwhile, nothing starts.
    assert!(play.files("a=new").is_empty());
    assert_eq!(play.on(Event::Released(id("a"))), ["launch a"]);
}

#[test]
fn a_parked_agent_that_was_held_is_tried_again() {
    let mut play = Play::new();
    play.files("a");
    assert_eq!(play.ended("a", Some(permanent())), ["a parked: keys_differ"]);
    assert_eq!(play.on(Event::HoldAsked(id("a"))), ["hold a"]);
    assert_eq!(play.on(Event::Released(id("a"))), ["launch a"]);
}

#[test]
fn a_stop_waits_for_whoever_holds_an_agent() {
    let mut play = Play::new();
    play.files("a");
    play.ready("a");
    play.on(Event::HoldAsked(id("a")));
    play.ended("a", None);
    assert!(play.on(Event::StopAsked).is_empty());
    assert!(!play.fleet.is_done());
    assert_eq!(play.on(Event::Released(id("a"))), ["a stopped"]);
    assert!(play.fleet.is_done());
}

#[test]
fn an_agent_that_goes_away_while_it_is_held_is_not_started_again() {
    let mut play = Play::new();
    play.files("a b");
    play.ready("a");
    play.on(Event::HoldAsked(id("a")));
    play.ended("a", None);
    assert!(play.files("b").is_empty());
    assert_eq!(play.on(Event::Released(id("a"))), ["a stopped"]);
    assert_eq!(play.state("a"), None);
}

#[test]
fn whoever_waits_for_an_agent_gets_it_even_if_its_file_changes_meanwhile() {
    let mut play = Play::new();
    play.files("a");
    play.ready("a");
    play.on(Event::HoldAsked(id("a")));
    assert!(play.files("a=new").is_empty());
    assert_eq!(play.ended("a", None), ["hold a"]);
    assert_eq!(play.on(Event::Released(id("a"))), ["launch a"]);
}
