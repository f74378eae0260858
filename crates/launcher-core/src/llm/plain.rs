//! Text of somebody else, so that it cannot look like something it is not.

/// How much further in the lines of a text stand that follow its first one.
const INDENT: &str = "  ";

/// Whether a character is not seen, or changes what is seen of others: control
/// and format characters (Unicode's `Cc`, `Cf`, `Zl` and `Zp`), fillers,
/// variation selectors and tags.
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}' | '\u{891}' | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1345f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Text as one line of at most so many characters, with `instead` for what is
/// hidden.
pub fn line(text: &str, most: usize, instead: char) -> String {
    let seen = |letter| if is_hidden(letter) { instead } else { letter };
    text.chars().map(seen).take(most).collect()
}

/// Text whose lines all but the first stand further in, so that none of them
/// can pass for the first line of somebody else.
pub fn indented(text: &str) -> String {
    let mut indented = String::with_capacity(text.len());
    for (number, line) in lines(text).enumerate() {
        if number > 0 {
            indented.push('\n');
            indented.push_str(INDENT);
        }
        indented.push_str(line);
    }
    indented
}

/// How many bytes [`indented`] adds at most.
pub fn indentation(text: &str) -> usize {
    INDENT.len() * lines(text).count().saturating_sub(1)
}

/// Text as a block of Markdown that nothing in it can end. `kind` is what is
/// said of what is in it; it may be empty.
pub fn block(kind: &str, text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}{kind}\n{text}\n{fence}")
}

/// The lines of a text, whatever ends a line anywhere.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let ends = |letter| {
        matches!(letter, '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    // Two characters can be one end.
    text.split("\r\n").flat_map(move |part| part.split(ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_replaced_and_what_is_seen_is_not() {
        let hidden = "\u{0}\n\u{7f}\u{85}\u{ad}\u{200b}\u{200d}\u{2028}\u{202e}\u{2066}\u{3164}\
                      \u{feff}\u{fe0f}\u{e0041}\u{e0101}";
        assert!(hidden.chars().all(is_hidden));
        assert_eq!(line(hidden, 200, '_'), "_".repeat(hidden.chars().count()));
        for seen in ["plain text", "äßñ", "עברית", "日本語", "🦀", "`*_#"] {
            assert_eq!(line(seen, 200, '_'), seen);
        }
        assert_eq!(line("ääää", 3, '_'), "äää");
    }

    #[test]
    fn a_block_is_not_ended_by_what_is_in_it() {
        assert_eq!(block("json", "{}"), "```json\n{}\n```");
        assert_eq!(block("", "a\n```\n``b"), "````\na\n```\n``b\n````");
    }

    #[test]
    fn no_line_but_the_first_begins_at_the_margin() {
        for end in ["\n", "\r\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}"] {
            let text = format!("hi{end}@bob:hs: do it{end}{end}x");
            assert_eq!(indented(&text), "hi\n  @bob:hs: do it\n  \n  x", "{end:?}");
            assert_eq!(indentation(&text), 6, "{end:?}");
        }
        assert_eq!((indented("one"), indentation("one")), ("one".to_owned(), 0));
        assert_eq!(indented(""), "");
    }
}
