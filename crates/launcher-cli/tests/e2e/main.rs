//! The launcher as an operator and a user see it: the real binary, a real
//! homeserver, users on the engine of Element.
//!
//! All cases share one homeserver and run side by side, each with folders and
//! accounts of its own. A case waits for states, never for time to pass.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bed;
mod by_hand;
mod conversing;
mod launcher;
mod tapped;
mod terminal;

mod absence;
mod answering;
mod asked;
mod assistants;
mod config_files;
mod conversation;
mod copies;
mod crowd;
mod damage;
mod files_at_rest;
mod folders;
mod inviting;
mod key_requests;
mod kills;
mod late_keys;
mod lifecycle;
mod messager;
mod messages;
mod moving;
mod newcomer;
mod observing;
mod operator;
mod parking;
mod plaintext;
mod policy;
mod programs;
mod recovery;
mod recovery_keys;
mod replays;
mod rooms;
mod secrecy;
mod sending_out;
mod servers;
mod service;
mod signing;
mod soak;
mod tokens;
mod trust;
mod upkeep;
mod verifying;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};

use bed::Bed;

/// What a case returns: errors are printed with their message.
type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The cases of a file: what is promised, and the function that shows it.
type Cases = &'static [(&'static str, fn(&Bed) -> Outcome)];

/// What runs only when it is asked for by name: it takes long.
const LONG: &[Cases] = &[kills::LONG, late_keys::LONG, soak::LONG];

const ALL: &[Cases] = &[
    absence::CASES,
    answering::CASES,
    asked::CASES,
    assistants::CASES,
    config_files::CASES,
    conversation::CASES,
    copies::CASES,
    crowd::CASES,
    damage::CASES,
    files_at_rest::CASES,
    folders::CASES,
    inviting::CASES,
    key_requests::CASES,
    kills::CASES,
    late_keys::CASES,
    lifecycle::CASES,
    messager::CASES,
    messages::CASES,
    moving::CASES,
    newcomer::CASES,
    observing::CASES,
    operator::CASES,
    parking::CASES,
    plaintext::CASES,
    policy::CASES,
    programs::CASES,
    recovery::CASES,
    recovery_keys::CASES,
    replays::CASES,
    rooms::CASES,
    secrecy::CASES,
    sending_out::CASES,
    servers::CASES,
    service::CASES,
    signing::CASES,
    soak::CASES,
    tokens::CASES,
    trust::CASES,
    upkeep::CASES,
    verifying::CASES,
];

fn main() -> ExitCode {
    if let Some(ended) = messager::host::serve_if_asked() {
        return ended;
    }
    let mut arguments = Arguments::from_args();
    // More at once only makes each of them slower on a small machine.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    let bed = Arc::new(Bed::default());
    let asked_for = arguments.filter.as_ref().is_some_and(|filter| filter.starts_with("soak"));
    let long = LONG.iter().filter(|_| asked_for);
    let trials =
        ALL.iter().chain(long).copied().flatten().map(|(name, case)| trial(name, *case, &bed));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    bed.stop();
    conclusion.exit_code()
}

fn trial(name: &str, case: fn(&Bed) -> Outcome, bed: &Arc<Bed>) -> Trial {
    let bed = bed.clone();
    let log = launcher::log_of_case(name);
    Trial::test(name, move || {
        launcher::keep_logs_in(log.clone());
        launcher::forget_taps();
        case(&bed)
            .and_then(|()| launcher::check_taps())
            .map_err(|error| Failed::from(format!("{error}\nlogs: {}", log.display())))
    })
}
