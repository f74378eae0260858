//! Archives that only somebody with the key can make, and no launcher makes.

use std::io::Write;

use super::*;
use crate::{DamagedPart, NameProblem, header::Header, stream::Sealing};

/// A file in a tar stream, whatever its name and kind.
fn file(name: &[u8], kind: tar::EntryType, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o4777);
    header.set_cksum();
    let mut block = content.to_vec();
    block.resize(content.len().next_multiple_of(512), 0);
    [header.as_bytes().as_slice(), &block].concat()
}

fn plain(name: &[u8]) -> Vec<u8> {
    file(name, tar::EntryType::Regular, 7, b"content")
}

fn sealed(tar: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = Header::draw(&agent()).unwrap();
    let mut sealing = Sealing::begin(&mut bytes, &header, &key(1)).unwrap();
    sealing.write_all(tar).unwrap();
    sealing.finish().unwrap();
    bytes
}

fn archive(files: &[Vec<u8>]) -> Vec<u8> {
    sealed(&[files.concat(), vec![0; 1024]].concat())
}

fn name_refusal(files: &[Vec<u8>]) -> NameProblem {
    match Bench::new().refusal(&archive(files)) {
        ArchiveError::BadName { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

fn content_refusal(bytes: &[u8]) -> String {
    match Bench::new().refusal(bytes) {
        ArchiveError::Damaged { part: DamagedPart::Content { detail }, .. } => detail,
        other => panic!("{other}"),
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["../x", "/etc/passwd", "a/../../x", "./a", "a/", ".."] {
        let files = [plain(b"config.yaml"), plain(name.as_bytes())];
        assert_eq!(name_refusal(&files), NameProblem::NotPlain, "{name}");
    }
    assert_eq!(name_refusal(&[plain(b"a\xff")]), NameProblem::NotText);
    assert_eq!(name_refusal(&[plain(b"a\x1b[2J")]), NameProblem::NotText);
    assert_eq!(name_refusal(&[plain(b"")]), NameProblem::NotPlain);
}

#[test]
fn names_that_come_twice_are_refused() {
    assert_eq!(name_refusal(&[plain(b"a"), plain(b"a")]), NameProblem::Taken);
    assert_eq!(name_refusal(&[plain(b"a"), plain(b"a/b")]), NameProblem::Taken);
    assert_eq!(name_refusal(&[plain(b"a/b"), plain(b"a")]), NameProblem::Taken);
}

#[test]
fn what_is_not_a_file_is_refused() {
    for kind in *b"123456SLKxgX" {
        let kind = tar::EntryType::new(kind);
        let detail = content_refusal(&archive(&[file(b"a", kind, 0, b"")]));
        assert_eq!(detail, "something in it is no file", "{kind:?}");
    }
}

#[test]
fn a_file_that_is_cut_off_inside_is_refused() {
    for size in [8 << 30, u64::MAX / 2, u64::MAX] {
        let bytes = archive(&[file(b"a", tar::EntryType::Regular, size, b"content")]);
        content_refusal(&bytes);
    }
    content_refusal(&sealed(&plain(b"a")[..700]));
    content_refusal(&sealed(&plain(b"a")[..519]));
    content_refusal(&sealed(&plain(b"a")[..300]));
}

#[test]
fn a_header_that_contradicts_itself_is_refused() {
    let mut files = plain(b"a");
    files[0] = b'b';
    content_refusal(&archive(&[files]));
}

#[test]
fn noise_under_the_right_key_is_refused() {
    for seed in 1..50_u64 {
        let mut state = seed;
        let noise: Vec<_> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed);
            (state >> 56) as u8
        })
        .take(2048)
        .collect();
        Bench::new().refusal(&sealed(&noise));
    }
}

#[test]
fn what_was_unpacked_has_no_other_modes_than_ours() {
    let bench = Bench::new();
    fs::write(bench.archive(), archive(&[plain(b"a")])).unwrap();
    bench.unpack().unwrap();
    assert_eq!(tree(&bench.target()), [("a".to_owned(), 0o700)]);
}
