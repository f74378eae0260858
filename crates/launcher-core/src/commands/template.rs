//! Arguments of a program with places for what people write.

use std::{collections::BTreeMap, fmt};

/// An argument: text, with parameters as `{name}` in it. A name is a lower-case
/// letter and further ones, digits, `_` and `-`. Other braces are text, and
/// `{{name}}` is the text `{name}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Parameter(String),
}

/// Whether this can be the name of a parameter.
pub fn is_name(text: &str) -> bool {
    let inner = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-".contains(letter)
    };
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.chars().all(inner)
}

impl Template {
    /// Takes an argument apart.
    pub fn parse(text: &str) -> Self {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            plain.push_str(before);
            if let Some((name, after)) = named(after) {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Parameter(name.to_owned()));
                rest = after;
            } else if let Some((name, after)) = after.strip_prefix('{').and_then(named)
                && let Some(after) = after.strip_prefix('}')
            {
                plain.push_str(&format!("{{{name}}}"));
                rest = after;
            } else {
                plain.push('{');
                rest = after;
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() || parts.is_empty() {
            parts.push(Part::Text(plain));
        }
        Self { parts }
    }

    /// The parameters in it.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Its text, if it has no parameters.
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// With values for its parameters; `None` if one has no value.
    pub fn fill(&self, values: &BTreeMap<&str, String>) -> Option<String> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Parameter(name) => values.get(name.as_str()).map(String::as_str),
            })
            .collect()
    }
}

impl fmt::Debug for Template {
    /// Leaves out the text: a variable in it may be a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.parameters()).finish()
    }
}

/// A name and what stands behind its brace.
fn named(text: &str) -> Option<(&str, &str)> {
    text.split_once('}').filter(|(name, _)| is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Option<String> {
        let values = BTreeMap::from([("env", "staging".to_owned()), ("v", "{env}".to_owned())]);
        Template::parse(text).fill(&values)
    }

    #[test]
    fn parameters_are_replaced_once_and_other_braces_stay() {
        for (text, shown) in [
            ("", ""),
            ("plain", "plain"),
            ("{env}", "staging"),
            ("--env={env}!{v}", "--env=staging!{env}"),
            ("{{env}}", "{env}"),
            ("{{{env}}}", "{{env}}"),
            ("{}", "{}"),
            ("{print $1}", "{print $1}"),
            ("{ENV} {1} {e v} {", "{ENV} {1} {e v} {"),
            ("a{b {env}", "a{b staging"),
            ("{{env} {env}}", "{staging staging}"),
        ] {
            assert_eq!(filled(text).unwrap(), shown, "{text}");
        }
    }

    #[test]
    fn without_a_value_there_is_no_argument() {
        assert_eq!(filled("--tag={tag}"), None);
        let template = Template::parse("{tag}-{env}");
        assert_eq!(template.parameters().collect::<Vec<_>>(), ["tag", "env"]);
        assert_eq!(template.plain(), None);
        assert_eq!(Template::parse("{}").plain(), Some("{}"));
    }
}
