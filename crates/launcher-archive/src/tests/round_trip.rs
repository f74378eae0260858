use super::*;
use crate::{agent_of, stream::CHUNK};

/// What the tar stream needs besides one file's content: its header and the end.
const AROUND: usize = 3 * 512;

fn returns(files: &[(&str, &[u8])]) {
    let bench = Bench::with(files);
    let written = bench.write().unwrap();
    assert_eq!(written.files, files.len());
    assert_eq!(written.bytes, files.iter().map(|(_, content)| content.len() as u64).sum::<u64>());
    assert_eq!(bench.unpack().unwrap(), written);
    for (name, content) in files {
        assert!(fs::read(bench.target().join(name)).unwrap() == *content, "{name}");
    }
}

#[test]
fn files_come_back_as_they_were() {
    returns(&[
        ("config.yaml", b"matrix: {}\n"),
        ("data/vault", &content(300)),
        ("data/journal.db", &content(3 * CHUNK + 17)),
        ("data/journal.db-wal", b""),
        ("data/crypto/crypto.db", &content(5 * CHUNK)),
    ]);
}

#[test]
fn a_file_of_any_size_comes_back() {
    let at_the_edge = [1, 2].map(|chunks| chunks * CHUNK - AROUND);
    for size in [0, 1, 511, 512, 513, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 7 * CHUNK + 1]
        .into_iter()
        .chain(at_the_edge)
        .chain(at_the_edge.map(|size| size + 1))
    {
        returns(&[("file", &content(size))]);
    }
}

#[test]
fn an_archive_may_be_empty() {
    returns(&[]);
}

#[test]
fn names_may_be_as_long_as_they_fit() {
    let folder = "f".repeat(155);
    let name = "n".repeat(99);
    returns(&[(&format!("{folder}/{name}"), b"a"), (&"x".repeat(100), b"b"), ("ä ö/\\", b"c")]);
}

#[test]
fn what_is_unpacked_is_for_its_owner_only() {
    let bench = Bench::with(&[("config.yaml", b"a"), ("data/crypto/crypto.db", b"b")]);
    fs::set_permissions(bench.source(0), std::fs::Permissions::from_mode(0o644)).unwrap();
    bench.write().unwrap();
    bench.unpack().unwrap();
    let expected = [
        ("assistant", 0o700),
        ("assistant/config.yaml", 0o600),
        ("assistant/data", 0o700),
        ("assistant/data/crypto", 0o700),
        ("assistant/data/crypto/crypto.db", 0o600),
    ];
    let expected = expected.map(|(name, mode)| (name.to_owned(), mode));
    assert_eq!(tree(&bench.folder.path().join("agents")), expected);
}

#[test]
fn an_archive_is_private_and_there_is_no_draft_beside_it() {
    let bench = Bench::with(&[]);
    bench.write().unwrap();
    let found = tree(bench.folder.path());
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["agents", "assistant.backup", "sources"]);
    assert_eq!(found[1].1, 0o600);
}

#[test]
fn an_archive_shows_the_agent_and_nothing_else() {
    let secret = b"syt_token_of_the_agent".repeat(20);
    let bench = Bench::with(&[("data/vault", &secret)]);
    bench.write().unwrap();
    let bytes = bench.bytes();
    for hidden in ["syt_token", "vault", "data/", "ustar", "file 0", "\0\0\0\0\0\0\0\0"] {
        assert!(!bytes.windows(hidden.len()).any(|seen| seen == hidden.as_bytes()), "{hidden}");
    }
    assert_eq!(agent_of(&bench.archive()).unwrap(), agent());
    assert_eq!(open(&bench.archive(), &key(1)).unwrap().agent(), &agent());
}

#[test]
fn the_same_files_never_look_the_same() {
    let bench = Bench::with(&[("file", b"content")]);
    bench.write().unwrap();
    let first = bench.bytes();
    fs::remove_file(bench.archive()).unwrap();
    bench.write().unwrap();
    let header = b"launcher archive\x01\x09assistant";
    assert!(first.starts_with(header) && bench.bytes().starts_with(header));
    let same = first.iter().zip(bench.bytes()).skip(header.len()).filter(|(a, b)| *a == b).count();
    assert!(same < first.len() / 50, "{same} of {}", first.len());
}

#[test]
fn an_empty_folder_is_unpacked_into() {
    let bench = Bench::with(&[("file", b"content")]);
    bench.write().unwrap();
    fs::create_dir(bench.target()).unwrap();
    fs::set_permissions(bench.target(), std::fs::Permissions::from_mode(0o755)).unwrap();
    bench.unpack().unwrap();
    let expected = [("assistant", 0o700), ("assistant/file", 0o600)];
    let expected = expected.map(|(name, mode)| (name.to_owned(), mode));
    assert_eq!(tree(&bench.folder.path().join("agents")), expected);
}

#[test]
fn symbolic_links_are_left_out_and_named() {
    let mut bench = Bench::with(&[("crypto/crypto.db", b"content")]);
    let link = bench.source(1);
    std::os::unix::fs::symlink(bench.source(0), &link).unwrap();
    bench.add(link, "crypto/matrix-sdk-crypto.sqlite3");
    let written = bench.write().unwrap();
    assert_eq!(written.files, 1);
    assert_eq!(written.skipped_links, ["crypto/matrix-sdk-crypto.sqlite3"]);
    let unpacked = bench.unpack().unwrap();
    assert_eq!(unpacked, Summary { files: 1, bytes: 7, skipped_links: vec![] });
}

#[test]
fn debug_shows_no_key_and_no_content() {
    let bench = Bench::with(&[("file", b"content")]);
    bench.write().unwrap();
    let archive = open(&bench.archive(), &key(1)).unwrap();
    let expected =
        format!("Archive {{ file: {:?}, agent: AgentId(\"assistant\"), .. }}", bench.archive());
    assert_eq!(format!("{archive:?}"), expected);
}
