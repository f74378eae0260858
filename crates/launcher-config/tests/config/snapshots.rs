//! Every message that a person can see.

use crate::case::Case;

#[test]
fn every_broken_input_gets_its_messages() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
    let mut paths: Vec<_> =
        fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 30);
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs_err::read_to_string(&path).unwrap();
        let title = text.lines().next().unwrap().to_owned();
        let mut settings = insta::Settings::clone_current();
        settings.set_description(title);
        settings.set_prepend_module_to_snapshot(false);
        settings.bind(|| insta::assert_snapshot!(name, Case::new(&text).outcome()));
    }
}

#[test]
fn the_reference_describes_every_key() {
    insta::assert_snapshot!(launcher_config::reference_markdown());
}
