use super::*;
use crate::{
    DamagedPart,
    stream::{CHUNK, TAG},
};

/// `launcher archive`, version, length, `assistant`, salt, nonce.
const HEADER: usize = 16 + 1 + 1 + 9 + 32 + 19;

fn small() -> (Bench, Vec<u8>) {
    let bench = Bench::with(&[("data/vault", b"content")]);
    bench.write().unwrap();
    let bytes = bench.bytes();
    (bench, bytes)
}

/// Four chunks.
fn large() -> (Bench, Vec<u8>) {
    let bench = Bench::with(&[("config.yaml", b"a"), ("data/vault", &content(3 * CHUNK))]);
    bench.write().unwrap();
    let bytes = bench.bytes();
    assert_eq!(bytes.len().div_ceil(CHUNK + TAG), 4);
    (bench, bytes)
}

fn chunk_offset(error: &ArchiveError) -> Option<u64> {
    match error {
        ArchiveError::Damaged { part: DamagedPart::Chunk { offset }, .. } => Some(*offset),
        _ => None,
    }
}

fn start_of(chunk: usize) -> usize {
    HEADER + chunk * (CHUNK + TAG)
}

#[test]
fn every_flipped_byte_is_refused_and_leaves_nothing() {
    let (bench, bytes) = small();
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1 << (position % 8);
        let error = bench.refusal(&damaged);
        if position >= HEADER {
            assert!(matches!(error, ArchiveError::KeyWrong { .. }), "{position}: {error}");
        }
    }
}

#[test]
fn every_truncation_is_refused_and_leaves_nothing() {
    let (bench, bytes) = small();
    for length in 0..bytes.len() {
        bench.refusal(&bytes[..length]);
    }
}

#[test]
fn damage_in_a_later_chunk_is_found_and_leaves_nothing() {
    let (bench, bytes) = large();
    for position in (start_of(1)..bytes.len()).step_by(4999).chain([bytes.len() - 1]) {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x80;
        let chunk = (position - HEADER) / (CHUNK + TAG);
        let error = bench.refusal(&damaged);
        assert_eq!(chunk_offset(&error), Some(start_of(chunk) as u64), "{position}: {error}");
    }
}

#[test]
fn an_end_that_is_missing_is_found_and_leaves_nothing() {
    let (bench, bytes) = large();
    let ends =
        (1..4).flat_map(|chunk| (0..40).step_by(3).map(move |less| start_of(chunk) + 20 - less));
    for length in ends.chain([bytes.len() - 1]) {
        bench.refusal(&bytes[..length]);
    }
}

#[test]
fn whatever_is_appended_is_refused_and_leaves_nothing() {
    for (bench, bytes) in [small(), large()] {
        for more in [1, TAG, CHUNK, CHUNK + TAG, 3 * CHUNK] {
            bench.refusal(&[bytes.as_slice(), &vec![0; more]].concat());
        }
        bench.refusal(&[bytes.as_slice(), &bytes].concat());
        bench.refusal(&[bytes.as_slice(), &bytes[HEADER..]].concat());
    }
}

#[test]
fn chunks_that_were_swapped_are_refused_and_leave_nothing() {
    let (bench, bytes) = large();
    let (header, sealed) = bytes.split_at(HEADER);
    let chunks: Vec<_> = sealed.chunks(CHUNK + TAG).collect();
    let of = |order: &[usize]| {
        let chunks: Vec<_> = order.iter().map(|&number| chunks[number]).collect();
        [header, &chunks.concat()].concat()
    };
    let error = bench.refusal(&of(&[0, 2, 1, 3]));
    assert_eq!(chunk_offset(&error), Some(start_of(1) as u64));
    let error = bench.refusal(&of(&[1, 0, 2, 3]));
    assert!(matches!(error, ArchiveError::KeyWrong { .. }), "{error}");
    for order in [[0, 1, 2].as_slice(), &[0, 1, 3], &[0, 1, 2, 2, 3], &[3]] {
        bench.refusal(&of(order));
    }
    assert_eq!(of(&[0, 1, 2, 3]), bytes);
}

#[test]
fn chunks_of_another_archive_are_refused() {
    let (bench, bytes) = large();
    fs::remove_file(bench.archive()).unwrap();
    bench.write().unwrap();
    let other = bench.bytes();
    let mixed = [&bytes[..start_of(2)], &other[start_of(2)..]].concat();
    assert_eq!(chunk_offset(&bench.refusal(&mixed)), Some(start_of(2) as u64));
}

#[test]
fn another_key_is_refused() {
    let (bench, _) = large();
    let error = open(&bench.archive(), &key(2)).unwrap_err();
    assert!(matches!(error, ArchiveError::KeyWrong { .. }), "{error}");
}

#[test]
fn another_agent_in_the_header_is_refused() {
    let (bench, mut bytes) = small();
    bytes[18] = b'b';
    let error = bench.refusal(&bytes);
    assert!(matches!(error, ArchiveError::KeyWrong { .. }), "{error}");
    assert_eq!(crate::agent_of(&bench.archive()).unwrap().as_str(), "bssistant");
}

#[test]
fn the_messages_say_what_is_wrong_and_what_helps() {
    let say = |bytes: &[u8]| {
        let bench = Bench::new();
        let message = bench.refusal(bytes).to_string();
        message.replace(&bench.archive().display().to_string(), "FILE")
    };
    let bytes = small().1;
    let mut newer = bytes.clone();
    newer[16] = 2;
    let mut other = bytes.clone();
    other[HEADER] ^= 1;
    let (_, mut late) = large();
    late[start_of(1)] ^= 1;
    assert_eq!(say(b"PK\x03\x04"), "FILE is not an archive of an agent: choose another file");
    assert_eq!(
        say(&newer),
        "FILE has format 2, and this launcher knows 1 only: use a newer launcher"
    );
    assert_eq!(say(&bytes[..40]), "FILE is damaged in its header: use another copy of it");
    assert_eq!(
        say(&other),
        "the pickle key does not open FILE, or the beginning of the file is damaged, which looks \
         the same: use the pickle key that the agent had when the archive was written"
    );
    assert_eq!(say(&late), "FILE is damaged in the chunk at byte 65630: use another copy of it");
}
