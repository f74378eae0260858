//! What a command wrote, as much of it as fits into a message or a file.

use launcher_core::spec::OutputForm;

/// How many bytes of a command's output are kept. What comes after them is
/// read and thrown away, so that the command is not held up.
const KEPT: usize = 32 * 1024;

/// How many bytes the shown text may have as JSON. An event may have 65,536
/// bytes, and encryption adds a third; quotes and line breaks count twice.
const SHOWN: usize = 40 * 1024;

/// How many bytes are kept where the output becomes a file.
const KEPT_FOR_FILE: usize = 8 * 1024 * 1024;

/// Output of at most so many bytes is shown rather than sent as a file.
const SHORT: usize = 2 * 1024;

/// The beginning of what a command wrote, on both of its outputs.
pub(super) struct Output {
    bytes: Vec<u8>,
    most: usize,
    cut: bool,
}

/// Output as it may stand in a message.
pub(super) struct Shown {
    pub(super) text: String,
    /// There was more.
    pub(super) cut: bool,
}

impl Output {
    pub(super) fn of(form: OutputForm) -> Self {
        let most = match form {
            OutputForm::Block | OutputForm::Text => KEPT,
            OutputForm::File => KEPT_FOR_FILE,
        };
        Self { bytes: Vec::new(), most, cut: false }
    }

    /// Adds what was read, as far as there is room.
    pub(super) fn add(&mut self, chunk: &[u8]) {
        let room = self.most - self.bytes.len();
        self.bytes.extend(chunk.iter().take(room));
        self.cut |= chunk.len() > room;
    }

    /// The output as it was written, if it is worth a file: long, or no text.
    /// With it, whether there was more.
    pub(super) fn as_file(&self) -> Option<(Vec<u8>, bool)> {
        let is_text = std::str::from_utf8(&self.bytes).is_ok();
        (self.bytes.len() > SHORT || !is_text).then(|| (self.bytes.clone(), self.cut))
    }

    /// As text: what is no UTF-8 replaced, without control characters but for
    /// line breaks and tabs, and without white space at its end.
    pub(super) fn shown(&self) -> Shown {
        let text = String::from_utf8_lossy(&self.bytes);
        let plain = |letter: &char| matches!(letter, '\n' | '\t') || !letter.is_control();
        let mut shown = String::new();
        let (mut size, mut cut) = (0, self.cut);
        for letter in text.chars().filter(plain) {
            size += cost(letter);
            if size > SHOWN {
                cut = true;
                break;
            }
            shown.push(letter);
        }
        // The bound may have gone through the middle of a character.
        let whole = if self.cut { shown.trim_end_matches('\u{fffd}') } else { &shown };
        Shown { text: whole.trim_end().to_owned(), cut }
    }
}

fn cost(letter: char) -> usize {
    match letter {
        '"' | '\\' | '\n' | '\t' => 2,
        _ => letter.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(chunks: &[&[u8]]) -> Shown {
        let mut output = Output::of(OutputForm::Block);
        chunks.iter().for_each(|chunk| output.add(chunk));
        output.shown()
    }

    #[test]
    fn what_is_no_text_is_replaced_or_left_out() {
        for (bytes, text) in [
            (b"".as_slice(), ""),
            (b"  a\n\n", "  a"),
            (b"a\r\nb\tc\x1b[31m\x07\x00", "a\nb\tc[31m"),
            (b"a\xffb\xc3", "a\u{fffd}b\u{fffd}"),
            (b"\xc2\x85x", "x"),
        ] {
            let shown = shown(&[bytes]);
            assert_eq!(shown.text, text);
            assert!(!shown.cut);
        }
    }

    #[test]
    fn a_character_may_come_in_two_parts() {
        assert_eq!(shown(&[b"\xc3", b"\xa4"]).text, "ä");
    }

    #[test]
    fn what_is_over_the_bound_is_dropped() {
        let full = shown(&[&[b'a'; KEPT]]);
        assert_eq!((full.text.len(), full.cut), (KEPT, false));
        let over = shown(&[&[b'a'; KEPT - 1], b"\xc3\xa4", b"more"]);
        assert_eq!((over.text.len(), over.cut), (KEPT - 1, true));
    }

    #[test]
    fn only_what_is_long_or_no_text_is_worth_a_file() {
        let file = |bytes: &[u8]| {
            let mut output = Output::of(OutputForm::File);
            output.add(bytes);
            output.as_file()
        };
        assert_eq!(file(&[b'a'; SHORT]), None);
        assert_eq!(file(b"\xff"), Some((b"\xff".to_vec(), false)));
        let (bytes, cut) = file(&vec![b'a'; KEPT_FOR_FILE + 1]).unwrap();
        assert_eq!((bytes.len(), cut), (KEPT_FOR_FILE, true));
    }

    #[test]
    fn the_text_fits_into_a_message_whatever_it_is() {
        for byte in [b'"', b'\\', b'\xff', b'a'] {
            let shown = shown(&[&[byte; KEPT]]);
            let size: usize = shown.text.chars().map(cost).sum();
            assert!((KEPT..=SHOWN).contains(&size), "{byte}: {size}");
            assert_eq!(shown.cut, byte != b'a');
        }
    }
}
