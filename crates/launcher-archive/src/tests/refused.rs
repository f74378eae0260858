use super::*;
use crate::{NameProblem, write_if_wanted};

/// Writes, which has to fail and to leave no file.
fn refusal(bench: &Bench) -> ArchiveError {
    let error = bench.write().unwrap_err();
    let names: Vec<_> = fs::read_dir(bench.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "agents" && name != "sources")
        .collect();
    assert_eq!(names, [""; 0], "{error}");
    error
}

fn name_refusal(names: &[&str]) -> NameProblem {
    let files: Vec<_> = names.iter().map(|name| (*name, b"content".as_slice())).collect();
    match refusal(&Bench::with(&files)) {
        ArchiveError::BadName { name, problem, .. } if name == *names.last().unwrap() => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn names_that_lead_elsewhere_are_not_written() {
    for name in ["../x", "/etc/passwd", "a/../../x", ".", "a//b", ""] {
        assert_eq!(name_refusal(&["config.yaml", name]), NameProblem::NotPlain, "{name}");
    }
}

#[test]
fn no_name_is_written_twice() {
    assert_eq!(name_refusal(&["a", "a"]), NameProblem::Taken);
    assert_eq!(name_refusal(&["a", "a/b"]), NameProblem::Taken);
}

#[test]
fn names_that_do_not_fit_are_not_written() {
    assert_eq!(name_refusal(&[&"x".repeat(256)]), NameProblem::TooLong);
    assert_eq!(name_refusal(&[&"x".repeat(101)]), NameProblem::TooLong);
    assert_eq!(name_refusal(&[&format!("{}/x", "x".repeat(156))]), NameProblem::TooLong);
}

#[test]
fn a_file_that_exists_is_not_overwritten() {
    let bench = Bench::with(&[("config.yaml", b"content")]);
    fs::write(bench.archive(), b"precious").unwrap();
    let error = bench.write().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} exists: choose another place, or move it away", bench.archive().display())
    );
    assert_eq!(bench.bytes(), b"precious");
    assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 3);
}

#[test]
fn a_dangling_link_is_not_overwritten() {
    let bench = Bench::with(&[("config.yaml", b"content")]);
    let target = bench.folder.path().join("elsewhere");
    std::os::unix::fs::symlink(&target, bench.archive()).unwrap();
    assert!(matches!(bench.write(), Err(ArchiveError::Exists { .. })));
    assert!(!target.exists());
}

#[test]
fn what_is_not_a_file_is_not_written() {
    let mut bench = Bench::with(&[("config.yaml", b"content")]);
    let folder = bench.folder.path().join("sources");
    bench.add(folder.clone(), "data");
    let error = refusal(&bench);
    assert!(matches!(&error, ArchiveError::NotAFile { path } if *path == folder), "{error}");
}

#[test]
fn a_missing_source_is_named() {
    let mut bench = Bench::with(&[("config.yaml", b"content")]);
    bench.add(bench.source(7), "data/vault");
    let error = refusal(&bench);
    assert!(error.to_string().contains("sources/file 7"), "{error}");
}

#[test]
fn a_missing_place_is_named() {
    let bench = Bench::with(&[("config.yaml", b"content")]);
    let out = bench.folder.path().join("nowhere/assistant.backup");
    let error = write(&out, &agent(), &key(1), &bench.entries).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    bench.write().unwrap();
    let into = bench.folder.path().join("nowhere/assistant");
    let error = open(&bench.archive(), &key(1)).unwrap().unpack(&into).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn a_folder_with_something_in_it_is_not_unpacked_into() {
    let bench = Bench::with(&[("config.yaml", b"content")]);
    bench.write().unwrap();
    fs::create_dir(bench.target()).unwrap();
    fs::write(bench.target().join("config.yaml"), b"precious").unwrap();
    let before = tree(&bench.folder.path().join("agents"));
    assert!(matches!(bench.unpack(), Err(ArchiveError::Exists { .. })));
    assert_eq!(tree(&bench.folder.path().join("agents")), before);
    assert_eq!(fs::read(bench.target().join("config.yaml")).unwrap(), b"precious");
}

#[test]
fn a_file_or_a_link_is_not_unpacked_into() {
    let bench = Bench::with(&[("config.yaml", b"content")]);
    bench.write().unwrap();
    fs::write(bench.target(), b"precious").unwrap();
    assert!(matches!(bench.unpack(), Err(ArchiveError::Exists { .. })));
    assert_eq!(fs::read(bench.target()).unwrap(), b"precious");
    fs::remove_file(bench.target()).unwrap();
    let empty = bench.folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    std::os::unix::fs::symlink(&empty, bench.target()).unwrap();
    assert!(matches!(bench.unpack(), Err(ArchiveError::Exists { .. })));
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}

#[test]
fn an_archive_that_is_not_wanted_any_more_does_not_appear() {
    let bench = Bench::with(&[("config.yaml", b"content")]);
    let written = write_if_wanted(&bench.archive(), &agent(), &key(1), &bench.entries, || false);
    assert!(matches!(written, Err(ArchiveError::Unwanted { .. })), "{written:?}");
    assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 2);
}
