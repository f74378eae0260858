//! Words of a message.
//!
//! Like a shell's, as far as people expect it in a chat: quotation marks keep
//! words together. They count at the beginning of a word only, so `don't` is a
//! word; phones write curly ones, and those count as well. Nothing else is
//! special: `#5` is a word and no comment.

/// A quotation mark was opened and not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unclosed;

/// Takes the first word off a text; `None` if there is no other.
///
/// # Errors
///
/// [`Unclosed`].
pub(super) fn first(text: &str) -> Result<Option<(String, &str)>, Unclosed> {
    let text = text.trim_start();
    let Some(opening) = text.chars().next() else { return Ok(None) };
    if !is_quote(opening) {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return Ok(Some((word.to_owned(), rest)));
    }
    let mut word = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((place, letter)) = letters.next() {
        if closes(opening, letter) {
            let (_, rest) = text.split_at(place + letter.len_utf8());
            return Ok(Some((word, rest)));
        }
        let escaped = letters.peek().map(|(_, next)| *next);
        match escaped {
            Some(next) if letter == '\\' && opening != '\'' && (next == '\\' || is_quote(next)) => {
                word.push(next);
                letters.next();
            }
            _ => word.push(letter),
        }
    }
    Err(Unclosed)
}

fn is_quote(letter: char) -> bool {
    matches!(letter, '"' | '\'' | '“' | '”' | '„')
}

fn closes(opening: char, letter: char) -> bool {
    match opening {
        '\'' => letter == '\'',
        _ => letter != '\'' && is_quote(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<String>, Unclosed> {
        let (mut rest, mut words) = (text, Vec::new());
        while let Some((word, after)) = first(rest)? {
            words.push(word);
            rest = after;
        }
        Ok(words)
    }

    #[test]
    fn words_are_what_white_space_and_quotation_marks_make_them() {
        for (text, words) in [
            ("", vec![]),
            ("  \n", vec![]),
            ("a  b\tc\nd", vec!["a", "b", "c", "d"]),
            ("\"a b\" 'c d' “e f” „g h“", vec!["a b", "c d", "e f", "g h"]),
            ("\"\" ''", vec!["", ""]),
            (r#""a \"b\" \\ \n" 'it\' s"#, vec![r#"a "b" \ \n"#, r"it\", "s"]),
            ("don't say \"don't\"", vec!["don't", "say", "don't"]),
            ("#5 a\\b $HOME `id` ; rm *", vec!["#5", "a\\b", "$HOME", "`id`", ";", "rm", "*"]),
            ("--a=\"b c\"", vec!["--a=\"b", "c\""]),
            ("\"a\"b", vec!["a", "b"]),
        ] {
            assert_eq!(all(text).unwrap(), words, "{text}");
        }
    }

    #[test]
    fn a_quotation_mark_has_to_be_closed() {
        for text in ["\"", "a \"b", "'a\"", "\"a\\\"", "“a'"] {
            assert_eq!(all(text), Err(Unclosed), "{text}");
        }
    }
}
