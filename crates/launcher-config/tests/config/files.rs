//! Files that are missing, or not what they should be.

use std::{collections::BTreeMap, path::PathBuf};

use launcher_config::{Loaded, Sources, load};

use crate::case::{Case, render};

const GOOD: &str = r#"
=== config.yaml
homeserver: https://matrix.example.org
=== .env
PASS=correct-horse
KEY=0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0
=== agents/a/config.yaml
matrix: { user_id: "@a:example.org", password: "${PASS}" }
encryption: { pickle_key: "${KEY}" }
behavior: { echo: {} }"#;

fn firsts(loaded: &Loaded) -> Vec<String> {
    let lines = loaded.diagnostics.iter().map(ToString::to_string);
    lines.map(|text| text.lines().next().unwrap().to_owned()).collect()
}

fn load_with(case: &Case, env_file: Option<PathBuf>) -> Loaded {
    load(&Sources { config: case.folder.path().join("config.yaml"), env_file }, &case.environment)
}

#[test]
fn a_missing_root_file_is_a_broken_one() {
    let case = Case::new("");
    insta::assert_snapshot!(case.outcome());
    let nowhere = Sources { config: PathBuf::from("no-such-folder/config.yaml"), env_file: None };
    let loaded = load(&nowhere, &BTreeMap::new());
    assert!(loaded.root.is_none());
    assert_eq!(firsts(&loaded).len(), 1);
}

#[test]
fn a_missing_default_env_file_is_fine_and_a_named_one_is_not() {
    let case = Case::new(GOOD);
    let other = case.folder.path().join("other.env");
    let missing = load_with(&case, Some(other.clone()));
    assert!(missing.root.is_none());
    assert_eq!(firsts(&missing).len(), 1);
    assert!(firsts(&missing)[0].ends_with("other.env:1:1: error: there is no such file"));

    fs_err::rename(case.folder.path().join(".env"), &other).unwrap();
    assert!(load_with(&case, Some(other)).diagnostics.is_empty());
    let absent = load_with(&case, None);
    assert!(absent.root.is_some());
    assert_eq!(absent.diagnostics.len(), 2);
}

#[test]
fn files_that_are_not_text_files_are_refused() {
    let case = Case::new(GOOD);
    fs_err::create_dir_all(case.folder.path().join("agents/b/config.yaml")).unwrap();
    case.write("agents/c/config.yaml", b"matrix:\n  user_id: \xff");
    case.write("agents/d/config.yaml", &vec![b'#'; 1024 * 1024 + 1]);
    fs_err::create_dir_all(case.folder.path().join("agents/Not-An-Agent")).unwrap();
    case.write("agents/README.md", b"not an agent either");
    insta::assert_snapshot!(render(&case.load()));
}

#[cfg(unix)]
#[test]
fn a_dangling_link_is_reported() {
    let case = Case::new(GOOD);
    let folder = case.folder.path().join("agents/b");
    fs_err::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.join("config.yaml")).unwrap();
    let lines = firsts(&case.load());
    assert_eq!(lines, ["agents/b/config.yaml:1:1: error: there is no such file"]);
}

#[test]
fn the_default_folder_of_agents_must_be_there() {
    let case = Case::new(GOOD);
    fs_err::remove_dir_all(case.folder.path().join("agents")).unwrap();
    insta::assert_snapshot!(case.outcome());
}
