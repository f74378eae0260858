//! What a changed `.env` looks like, and when it is left alone.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(".env");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn replace_in_env_file(path: &Path, name: &str, value: &str) -> Result<(), EnvFileError> {
    EnvFileEdit::prepare(path, name, value)?.commit()
}

/// The file after the value of `KEY` was replaced.
fn changed(text: &str) -> String {
    let (folder, path) = file(text);
    replace_in_env_file(&path, "KEY", KEY).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a draft was left behind");
    fs::read_to_string(&path).unwrap()
}

#[test]
fn only_the_value_changes() {
    for (before, after) in [
        ("KEY=old\n", "KEY=<>\n"),
        ("KEY=old", "KEY=<>"),
        ("KEY=old # why\nB=c\n", "KEY=<> # why\nB=c\n"),
        ("# KEY=no\n\nA=b\n  KEY = old  \nC=d", "# KEY=no\n\nA=b\n  KEY = <>  \nC=d"),
        ("export KEY=old\n", "export KEY=<>\n"),
        ("export  KEY = 'old'\n", "export  KEY = '<>'\n"),
        ("KEY='old' # why\n", "KEY='<>' # why\n"),
        ("KEY=\"old\"\n", "KEY=\"<>\"\n"),
        ("KEY=\"o\\\"ld\"\nB=c\n", "KEY=\"<>\"\nB=c\n"),
        ("A=b\r\nKEY=old\r\nC=d\r\n", "A=b\r\nKEY=<>\r\nC=d\r\n"),
        ("KEY=\r\nC=d\r\n", "KEY=<>\r\nC=d\r\n"),
        ("KEY=\"o\nl\nd\"\nB=c\n", "KEY=\"<>\"\nB=c\n"),
        ("A=\"x\nKEY=not this\n\"\nKEY='o\nKEY=nor this'\n", "A=\"x\nKEY=not this\n\"\nKEY='<>'\n"),
        ("KEYS=a\nKEY=old\nKEY2=b\n", "KEYS=a\nKEY=<>\nKEY2=b\n"),
        ("KEY=\n", "KEY=<>\n"),
        ("KEY=# empty\n", "KEY=<> # empty\n"),
        ("KEY= # empty\n", "KEY=<> # empty\n"),
        ("KEY='a'\"b\"c\n", "KEY='<>'\n"),
        ("KEY=old#1\n", "KEY=<>\n"),
        ("\u{feff}KEY=old\n", "\u{feff}KEY=<>\n"),
        ("ä=b\nKEY=old\n", "ä=b\nKEY=<>\n"),
    ] {
        assert_eq!(changed(before), after.replace("<>", KEY), "{before:?}");
    }
}

#[test]
fn of_two_definitions_the_first_counts() {
    let text = "KEY=first\nKEY=second\n";
    let parsed = dotenv::parse(&SourceFile::new("", text.to_owned()), &mut Vec::new());
    assert_eq!(parsed.values.get("KEY").map(String::as_str), Some("first"));
    assert_eq!(changed(text), format!("KEY={KEY}\nKEY=second\n"));
}

#[test]
fn a_value_that_needs_quotes_gets_them() {
    for (text, value, after) in [
        ("KEY=old\n", "two words", "KEY='two words'\n"),
        ("KEY=\"old\"\n", "a$b", "KEY='a$b'\n"),
        ("KEY='old'\n", "it's", "KEY=\"it's\"\n"),
    ] {
        let (_folder, path) = file(text);
        replace_in_env_file(&path, "KEY", value).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), after);
    }
}

#[test]
fn what_cannot_be_replaced_alone_stays() {
    let refused = |text: &str| {
        let (folder, path) = file(text);
        let error = replace_in_env_file(&path, "KEY", KEY).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(!error.to_string().contains("old") && !error.to_string().contains(KEY));
        error
    };
    for missing in ["", "A=b\n", "#KEY=old\n", "KEYS=old\n", "A='\nKEY=old\n'\n"] {
        assert!(matches!(refused(missing), EnvFileError::NotSet { .. }), "{missing:?}");
    }
    let used_elsewhere = "KEY=old\nOTHER=${KEY}\n";
    assert!(matches!(refused(used_elsewhere), EnvFileError::Entangled { .. }));
}

#[test]
fn a_file_that_nobody_may_write_to_stays() {
    let (folder, path) = file("KEY=old\n");
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    let error = replace_in_env_file(&path, "KEY", KEY).unwrap_err();
    assert!(matches!(error, EnvFileError::ReadOnly { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "KEY=old\n");

    // A draft that cannot be made, whoever runs this.
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(folder.path().join(".env.draft")).unwrap();
    let error = replace_in_env_file(&path, "KEY", KEY).unwrap_err();
    assert!(matches!(error, EnvFileError::Io(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "KEY=old\n");
    assert!(matches!(
        replace_in_env_file(&folder.path().join("none"), "KEY", KEY),
        Err(EnvFileError::Io(_))
    ));
}

#[test]
fn mode_and_links_stay_and_drafts_go() {
    let (folder, path) = file("KEY=old\n");
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    // Left behind by a kill.
    fs::write(folder.path().join(".env.draft"), "x").unwrap();

    let edit = EnvFileEdit::prepare(&link, "KEY", KEY).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "KEY=old\n");
    let draft = fs::metadata(folder.path().join(".env.draft")).unwrap();
    assert_eq!(draft.mode() & 0o777, 0o640);
    assert!(!format!("{edit:?}").contains("old"));
    edit.commit().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("KEY={KEY}\n"));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

    drop(EnvFileEdit::prepare(&path, "KEY", "other").unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("KEY={KEY}\n"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn an_edit_by_somebody_else_wins() {
    let (folder, path) = file("KEY=old\n");
    let edit = EnvFileEdit::prepare(&path, "KEY", KEY).unwrap();
    fs::write(&path, "KEY=old\nNEW=x\n").unwrap();
    assert!(matches!(edit.commit(), Err(EnvFileError::Changed { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "KEY=old\nNEW=x\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

#[test]
fn variables_are_added_at_the_end_in_the_plainest_form() {
    for (before, after) in [
        ("", "A=plain\nB='two words'\n"),
        ("X=1", "X=1\nA=plain\nB='two words'\n"),
        ("# only a comment\n", "# only a comment\nA=plain\nB='two words'\n"),
        ("\u{feff}X=1\n", "\u{feff}X=1\nA=plain\nB='two words'\n"),
    ] {
        let (folder, path) = file(before);
        let values = [("A", &secret("plain")), ("B", &secret("two words"))];
        let added = append_to_env_file(&path, &values).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), after);
        added.undo().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a draft was left behind");
    }
}

#[test]
fn every_value_is_read_as_it_was_added() {
    for value in ["it's", "$HOME", "a\\b", "\"", "#", "it's $5 \"\\", "ä=b"] {
        let (_folder, path) = file("X=1\n");
        append_to_env_file(&path, &[("A", &secret(value))]).unwrap();
        assert_eq!(read_env_file(&path).unwrap()["A"].expose(), value);
    }
}

#[test]
fn a_file_that_is_made_for_variables_is_private_and_goes_with_them() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(".env");
    assert!(read_env_file(&path).unwrap().is_empty());
    let added = append_to_env_file(&path, &[("A", &secret("1"))]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(format!("{added:?}"), format!("EnvFileAddition {{ path: {path:?}, .. }}"));
    added.undo().unwrap();
    assert!(!path.exists());
}

#[test]
fn nothing_is_added_where_it_would_mean_something_else_nor_taken_from_what_changed() {
    // What is open swallows what comes behind it.
    let (_folder, path) = file("X='open\n");
    assert!(append_to_env_file(&path, &[("A", &secret("1"))]).is_err());
    assert!(matches!(read_env_file(&path), Err(EnvFileError::Unreadable { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "X='open\n");
    let (_folder, path) = file("");
    let added = append_to_env_file(&path, &[("A", &secret("1"))]).unwrap();
    fs::write(&path, "A=1\nB=2\n").unwrap();
    assert!(matches!(added.undo(), Err(EnvFileError::Changed { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "A=1\nB=2\n");
    fs::remove_file(&path).unwrap();
    let added = append_to_env_file(&path, &[("A", &secret("1"))]).unwrap();
    fs::write(&path, "A=1\nB=2\n").unwrap();
    assert!(matches!(added.undo(), Err(EnvFileError::Changed { .. })));
    assert!(path.exists(), "what somebody else has written is gone");
}

#[test]
fn what_becomes_a_comment_is_still_there_and_sets_nothing() {
    for (before, after) in [
        ("A=1\nKEY=old\nB=2\n", "A=1\n# KEY=old\nB=2\n"),
        ("export KEY='two\nlines' # why\nB=2", "# export KEY='two\n# lines' # why\nB=2"),
        ("KEY=old\nKEY=older", "# KEY=old\n# KEY=older"),
        ("\u{feff}KEY=old\n", "\u{feff}# KEY=old\n"),
        ("KEY=\nOTHER=x\n", "# KEY=\n# OTHER=x\n"),
    ] {
        let (folder, path) = file(before);
        assert!(comment_out_in_env_file(&path, &["KEY", "OTHER"]).unwrap(), "{before:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), after);
        assert!(!comment_out_in_env_file(&path, &["KEY", "OTHER"]).unwrap(), "again: {before:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a draft was left behind");
    }
    let (folder, path) = file("KEY=old\nUSER_OF_IT=${KEY}\n");
    let error = comment_out_in_env_file(&path, &["KEY"]).unwrap_err();
    assert!(matches!(error, EnvFileError::Entangled { .. }), "{error}");
    assert!(!comment_out_in_env_file(&folder.path().join("none"), &["KEY"]).unwrap());
}
