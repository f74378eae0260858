//! The sample agents of this repository, as somebody finds them who has filled
//! in `.env`.

use std::{collections::BTreeMap, path::Path};

use launcher_config::{Sources, load};
use tempfile::TempDir;

use crate::case::render;

/// What is run when nothing was changed: `make demo` talks to these.
const ENABLED: [&str; 2] = ["echo", "parrot"];

/// A value for each variable that `.env.example` names.
fn filled_in(example: &str) -> BTreeMap<String, String> {
    let lines = example.lines().filter(|line| !line.starts_with('#'));
    let value = |name: &str, given: &str| match given {
        "" if name.starts_with("PICKLE_KEY_") => "0f1e2d3c4b5a6978".repeat(4),
        "" => "correct-horse".to_owned(),
        given => given.to_owned(),
    };
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, given)| (name.to_owned(), value(name, given)))
        .collect()
}

#[test]
fn every_sample_is_accepted_and_only_two_are_enabled() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let variables = filled_in(&fs_err::read_to_string(repository.join(".env.example")).unwrap());
    // Not the one that somebody has beside it.
    let elsewhere = TempDir::new().unwrap();
    fs_err::write(elsewhere.path().join(".env"), "").unwrap();
    let sources = Sources {
        config: repository.join("config.yaml"),
        env_file: Some(elsewhere.path().join(".env")),
    };
    let loaded = load(&sources, &variables);
    assert!(loaded.diagnostics.is_empty(), "{}", render(&loaded));
    let enabled: Vec<&str> = loaded
        .agents
        .iter()
        .filter(|(_, agent)| agent.as_ref().is_ok_and(|spec| spec.enabled))
        .map(|(id, _)| id.as_str())
        .collect();
    assert_eq!(enabled, ENABLED);
    for sample in ["assistant", "clock", "hook", "ops", "robot-bash", "robot-python"] {
        assert!(loaded.agents.contains_key(&sample.parse().unwrap()), "{sample}");
    }
}
