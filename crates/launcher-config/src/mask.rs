//! Decides how much of a line may be shown.
//!
//! A line is shown up to the first thing that could be a secret. A misspelled
//! key (`pasword: hunter2`) or a forgotten colon must not give a password
//! away, so the rule is turned around: a value is shown if its key is known
//! and not secret, or if it is nothing but a `${NAME}` reference. A line
//! without any key could be the rest of something secret and is hidden too,
//! unless the caller knows better.
//!
//! This works on text, not on the tree: a file with a syntax error has none.

use crate::{schema, shape};

/// What the caller knows about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Nothing.
    Unknown,
    /// If there is no key on it, it belongs to a value that is not secret.
    Harmless,
    /// Unless it names a secret key itself, it belongs to the value of one.
    Secret,
}

/// The text to show, and the character index from which on it is hidden.
pub(crate) fn mask(line: &str, kind: Line) -> (String, Option<usize>) {
    let keys = keys(line);
    let hidden = [
        after_secret_names(line),
        keys.iter().filter_map(|key| unsafe_part(line, key)).min(),
        before_keys(line, &keys, kind),
        inside_url(line),
    ]
    .into_iter()
    .flatten()
    .min();
    let shown = line.get(..hidden.unwrap_or(line.len())).unwrap_or_default();
    let mut text: String =
        shown.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let hidden = hidden.map(|_| text.chars().count());
    if hidden.is_some() {
        text.push('…');
    }
    (text, hidden)
}

/// Wherever a secret key is named, whatever the syntax around it.
fn after_secret_names(line: &str) -> Option<usize> {
    let secrets = schema::secret_names();
    let ends = secrets.flat_map(|name| line.match_indices(name).map(|(at, name)| at + name.len()));
    ends.filter_map(|end| {
        let rest = line.get(end..)?;
        let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start();
        match rest.strip_prefix(':') {
            Some(value) => unreferenced(line, line.len() - value.len()),
            None if rest.is_empty() => None,
            None => Some(end),
        }
    })
    .min()
}

/// What cannot be shown of an unknown key: a name that is not like a name, or
/// the value, unless it is a mere reference.
fn unsafe_part(line: &str, key: &Named<'_>) -> Option<usize> {
    if schema::is_plain_name(key.name) {
        None
    } else if shape::is_word(key.name) {
        unreferenced(line, key.value)
    } else {
        Some(key.start)
    }
}

/// What stands before the first key, or instead of any.
fn before_keys(line: &str, keys: &[Named<'_>], kind: Line) -> Option<usize> {
    let content = content(line)?;
    let shown = match (kind, keys.first()) {
        (Line::Harmless, None) => true,
        (Line::Secret, _) => schema::secret_names().any(|name| line.contains(name)),
        (_, Some(first)) => first.start <= content,
        (Line::Unknown, None) => false,
    };
    (!shown).then_some(content)
}

/// Where the value at `from` has to be hidden: at its start, or after a
/// reference that is followed by something else.
fn unreferenced(line: &str, from: usize) -> Option<usize> {
    let value = line.get(from..)?.trim_start();
    let start = line.len() - value.len();
    if value.is_empty() {
        return None;
    }
    let Some(rest) = after_reference(value) else {
        return Some(start);
    };
    let end = line.len() - rest.len();
    let rest = rest.trim_start();
    (!rest.is_empty() && !rest.starts_with([',', '}', ']'])).then_some(end)
}

/// What follows `${NAME}`, quoted or not, if the text starts with that.
fn after_reference(value: &str) -> Option<&str> {
    let quote = value.chars().next().filter(|char| matches!(char, '"' | '\''));
    let inner = value.get(quote.map_or(0, char::len_utf8)..)?.strip_prefix("${")?;
    let (name, rest) = inner.split_once('}')?;
    let named = name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    match quote {
        _ if !named => None,
        Some(quote) => rest.strip_prefix(quote),
        None => Some(rest),
    }
}

/// The first character that is not indentation, a list's dash, or a bracket.
fn content(line: &str) -> Option<usize> {
    let punctuation = [' ', '\t', '-', '.', '[', ']', '{', '}', ','];
    line.find(|char| !punctuation.contains(&char))
}

/// Credentials and queries of an address.
fn inside_url(line: &str) -> Option<usize> {
    let ends = [' ', '\t', '"', '\'', '/', '}', ']'];
    line.match_indices("://").find_map(|(at, mark)| {
        let start = at + mark.len();
        let rest = line.get(start..)?;
        let authority = rest.split(ends).next().unwrap_or_default();
        let address = rest.split([' ', '\t', '"', '\'']).next().unwrap_or_default();
        if authority.contains('@') {
            return Some(start);
        }
        address.find(['?', '#', '@']).map(|found| start + found)
    })
}

/// A key on a line: where it starts and where what follows its colon does.
struct Named<'a> {
    name: &'a str,
    start: usize,
    value: usize,
}

/// Every key that the line seems to name. Text that stands where a key should
/// be, or behind a closed quote, counts as a key without a name.
fn keys(line: &str) -> Vec<Named<'_>> {
    let mut found: Vec<Named<'_>> = Vec::new();
    let mut lists = 0_usize;
    let mut segment = None;
    let mut word = 0;
    let mut at = 0;
    while let Some(char) = line.get(at..).and_then(|rest| rest.chars().next()) {
        let mut next = at + char.len_utf8();
        let rest = line.get(next..).unwrap_or_default();
        match char {
            '"' | '\'' if word == at && rest.contains(char) => {
                let (name, after) = rest.split_once(char).unwrap_or_default();
                next = line.len() - after.len();
                if let Some(value) = after.trim_start().strip_prefix(':') {
                    next = line.len() - value.len();
                    found.push(Named { name, start: at, value: next });
                } else if !after.trim_start().is_empty()
                    && !after.trim_start().starts_with([',', '}', ']'])
                {
                    found.push(Named { name: "", start: next, value: next });
                }
                word = next;
            }
            ':' if rest.is_empty() || rest.starts_with([' ', '\t']) => {
                let name = line.get(word..at).unwrap_or_default();
                found.push(Named { name, start: word, value: next });
                word = next;
            }
            '$' if after_reference(line.get(at..).unwrap_or_default()).is_some() => {
                let after = after_reference(line.get(at..).unwrap_or_default());
                next = line.len() - after.unwrap_or_default().len();
            }
            '[' | '{' | ',' | '}' => {
                found.extend(keyless(line, segment.take(), at, &found));
                lists = if char == '[' { lists + 1 } else { lists };
                let list = lists > 0 && char != '{';
                segment = (char != '}' && !list).then_some(next);
                word = next;
            }
            ']' => lists = lists.saturating_sub(1),
            ' ' | '\t' => word = next,
            _ => {}
        }
        at = next;
    }
    found.extend(keyless(line, segment, line.len(), &found));
    found
}

/// The part of a flow map from `segment` to `end`, if it names no key.
fn keyless<'a>(
    line: &'a str,
    segment: Option<usize>,
    end: usize,
    found: &[Named<'_>],
) -> Option<Named<'a>> {
    let start = segment?;
    let blank = line.get(start..end)?.trim().is_empty();
    let named = found.last().is_some_and(|key| key.start >= start);
    (!blank && !named).then_some(Named { name: "", start, value: start })
}

#[cfg(test)]
mod tests {
    use super::{Line, mask};

    #[test]
    fn only_values_of_known_plain_keys_are_shown() {
        let shown = |line: &str| mask(line, Line::Unknown).0;
        for plain in [
            "matrix:",
            "  user_id: \"@a:b\"",
            "  password: \"${A_B}\"",
            "  password: ${A_B}",
            "matrix: { password: '${A}', user_id: 5 }",
            "homeserver: https://example.org:8448/path",
            "behavior: { echo: { prefix: \"echo: \" } }",
            "invites: { from: [\"@a:b\", c], prefix: x }",
            "---",
        ] {
            assert_eq!(shown(plain), plain);
        }
        for (line, masked) in [
            ("  password: hunter2", "  password: …"),
            ("  password:hunter2", "  …"),
            ("  \"password\":\"hunter2\"", "  \"password\":…"),
            ("  password hunter2", "  …"),
            ("  pasword: hunter2", "  pasword: …"),
            ("  password: \"${A}\" # hunter2", "  password: \"${A}\"…"),
            ("  password: \"${A}hunter2\"", "  password: …"),
            ("{ user_id: a, \"password: \"hunter2\"}", "{ user_id: a, \"password: …"),
            ("    hunter2", "    …"),
            ("  - hunter2", "  - …"),
            ("hunter2 user_id: x", "…"),
            ("  hunter2\"user_id:", "  …"),
            ("matrix: { user_id: x, pass hunter2 }", "matrix: { user_id: x, …"),
            ("matrix: { hunter2 }", "matrix: { …"),
            ("user_id: \"@a:b\" hunter2", "user_id: \"@a:b\" …"),
            ("homeserver: https://me:hunter2@example.org", "homeserver: https://…"),
            ("homeserver: https://me:hunt/er2@example.org", "homeserver: https://me:hunt/er2…"),
            ("homeserver: https://example.org?key=hunter2", "homeserver: https://example.org…"),
        ] {
            assert_eq!(shown(line), masked);
        }
    }
}
