//! Modes: a prefix that has a question answered in another way.

/// A prefix that begins with this is one word for a command.
pub const FORGET: &str = "!forget";

/// What a text means to an assistant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// A question, in the mode with this prefix, or in none.
    Ask {
        /// The mode's prefix.
        mode: Option<&'a str>,
        /// The question, without the prefix. It may be empty: then there is
        /// only what was attached or replied to.
        text: &'a str,
    },
    /// What was said before is to be forgotten.
    Forget {
        /// In the whole room and all its threads, and not only here.
        everywhere: bool,
    },
}

/// What `text` means, given the prefixes of all modes.
///
/// A prefix counts at the beginning, and if white space follows it or nothing.
/// The longest one wins.
pub fn meaning<'a>(text: &'a str, prefixes: impl Iterator<Item = &'a str>) -> Meaning<'a> {
    let text = text.trim();
    if let Some(rest) = after(text, FORGET) {
        match rest {
            "" => return Meaning::Forget { everywhere: false },
            "all" => return Meaning::Forget { everywhere: true },
            _ => {}
        }
    }
    prefixes
        .filter_map(|prefix| Some((prefix, after(text, prefix)?)))
        .max_by_key(|(prefix, _)| prefix.len())
        .map_or(Meaning::Ask { mode: None, text }, |(prefix, rest)| Meaning::Ask {
            mode: Some(prefix),
            text: rest,
        })
}

fn after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_whole_word_at_the_beginning() {
        let ask = |mode, text| Meaning::Ask { mode, text };
        for (written, meant) in [
            ("hello", ask(None, "hello")),
            ("!s hello", ask(Some("!s"), "hello")),
            (" !s\n\nhello ", ask(Some("!s"), "hello")),
            ("!s", ask(Some("!s"), "")),
            ("!sum hello", ask(Some("!sum"), "hello")),
            ("!super hello", ask(None, "!super hello")),
            ("hello !s", ask(None, "hello !s")),
            ("!forget", Meaning::Forget { everywhere: false }),
            ("!forget all", Meaning::Forget { everywhere: true }),
            ("!forget me not", ask(None, "!forget me not")),
            ("!forgetting", ask(None, "!forgetting")),
        ] {
            assert_eq!(meaning(written, ["!s", "!sum"].into_iter()), meant, "{written:?}");
        }
    }
}
