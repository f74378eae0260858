//! What a command wrote, as much of it as fits into a message.

/// How many bytes of a command's output are kept. What comes after them is
/// read and thrown away, so that the command is not held up.
const KEPT: usize = 32 * 1024;

/// How many bytes the shown text may have as JSON. An event may have 65,536
/// bytes, and encryption adds a third; quotes and line breaks count twice.
const SHOWN: usize = 40 * 1024;

/// The beginning of what a command wrote, on both of its outputs.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    cut: bool,
}

/// Output as it may stand in a message.
pub(super) struct Shown {
    pub(super) text: String,
    /// There was more.
    pub(super) cut: bool,
}

impl Output {
    /// Adds what was read, as far as there is room.
    pub(super) fn add(&mut self, chunk: &[u8]) {
        let room = KEPT - self.bytes.len();
        self.bytes.extend(chunk.iter().take(room));
        self.cut |= chunk.len() > room;
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
        let mut output = Output::default();
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
    fn the_text_fits_into_a_message_whatever_it_is() {
        for byte in [b'"', b'\\', b'\xff', b'a'] {
            let shown = shown(&[&[byte; KEPT]]);
            let size: usize = shown.text.chars().map(cost).sum();
            assert!((KEPT..=SHOWN).contains(&size), "{byte}: {size}");
            assert_eq!(shown.cut, byte != b'a');
        }
    }
}
