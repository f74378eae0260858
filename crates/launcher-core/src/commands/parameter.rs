//! What people may write behind the name of a command.

use std::fmt;

use regex_lite::Regex;

use crate::names::UserId;

/// The most bytes of a value. The kernel takes 128 KiB for an argument.
const LONGEST: usize = 8 * 1024;

/// A parameter of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; see [`is_name`](super::template::is_name).
    pub name: String,
    /// What a value may be.
    pub kind: ParameterKind,
    /// Whether it may be left out. Those that may not come first.
    pub optional: bool,
    /// Its value when it is left out; good for its kind. Without one, every
    /// argument with this parameter is left out as well.
    pub default: Option<String>,
}

/// What a value may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A word.
    Text {
        /// It has to match, as a whole.
        pattern: Option<Pattern>,
        /// Whether it may begin with a dash, as the options of programs do.
        leading_dash: bool,
    },
    /// All that follows, as it is written. Only the last parameter can be this.
    Rest {
        /// As above.
        leading_dash: bool,
    },
    /// A whole number.
    Integer {
        /// The least. Below 0, numbers look like the options of programs.
        min: i64,
        /// The most.
        max: i64,
    },
    /// One of these words.
    Choice {
        /// At least one.
        words: Vec<String>,
    },
    /// A user id, `@localpart:server`.
    User,
}

impl ParameterKind {
    /// Whether a value is good, and the value as the program gets it.
    ///
    /// # Errors
    ///
    /// What a value has to be: the end of a sentence that begins with the
    /// parameter's name.
    pub fn check(&self, value: &str) -> Result<String, String> {
        if value.len() > LONGEST {
            return Err(format!("has to be shorter than {LONGEST} bytes"));
        }
        let line =
            |letter: char| matches!(letter, '\n' | '\t') && matches!(self, Self::Rest { .. });
        if value.chars().any(|letter| letter.is_control() && !line(letter)) {
            return Err("has to be without control characters".to_owned());
        }
        match self {
            Self::Text { leading_dash, .. } | Self::Rest { leading_dash }
                if !leading_dash && value.starts_with('-') =>
            {
                return Err("may not begin with `-`".to_owned());
            }
            Self::Text { pattern: Some(pattern), .. } if !pattern.matches(value) => {
                return Err(format!("has to match `{pattern}`"));
            }
            Self::Integer { min, max } => {
                let number =
                    value.parse::<i64>().ok().filter(|number| (min..=max).contains(&number));
                // `+5` and `007` are numbers, and what a program makes of them is its own affair.
                return number.map(|number| number.to_string()).ok_or_else(|| range(*min, *max));
            }
            Self::Choice { words } if !words.iter().any(|word| word == value) => {
                let list: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                return Err(format!("has to be one of {}", list.join(", ")));
            }
            Self::User if UserId::typed(value).is_none() => {
                return Err("has to be a user id, `@name:server`".to_owned());
            }
            _ => {}
        }
        Ok(value.to_owned())
    }
}

fn range(min: i64, max: i64) -> String {
    match (min, max) {
        (0, i64::MAX) => "has to be a whole number, 0 or more".to_owned(),
        (min, i64::MAX) => format!("has to be a whole number, at least {min}"),
        (min, max) => format!("has to be a whole number from {min} to {max}"),
    }
}

impl Parameter {
    /// How it looks in a usage line.
    pub fn usage(&self) -> String {
        let what = match &self.kind {
            ParameterKind::Choice { words } if words.len() <= 5 => words.join("|"),
            ParameterKind::Rest { .. } => format!("{}…", self.name),
            _ => self.name.clone(),
        };
        match self.optional {
            true => format!("[{what}]"),
            false => format!("<{what}>"),
        }
    }
}

/// A regular expression that a whole value has to match.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    compiled: Regex,
}

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        // By itself first: in `a)|(b` the group below would close another one.
        Regex::new(text).map_err(|error| error.to_string())?;
        let compiled = Regex::new(&format!("^(?:{text})$")).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), compiled })
    }

    fn matches(&self, value: &str) -> bool {
        self.compiled.is_match(value)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Pattern").field(&self.text).finish()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pattern: Option<&str>, leading_dash: bool) -> ParameterKind {
        ParameterKind::Text {
            pattern: pattern.map(|text| Pattern::new(text).unwrap()),
            leading_dash,
        }
    }

    #[test]
    fn a_value_is_good_or_it_is_said_what_it_has_to_be() {
        let words = vec!["staging".to_owned(), "production".to_owned()];
        let choice = ParameterKind::Choice { words };
        let number = ParameterKind::Integer { min: -5, max: 10 };
        let plain = ParameterKind::Integer { min: 0, max: i64::MAX };
        let large = ParameterKind::Integer { min: 20, max: i64::MAX };
        let rest = ParameterKind::Rest { leading_dash: false };
        for (kind, value, outcome) in [
            (&text(None, false), "a b; rm -rf /", Ok("a b; rm -rf /")),
            (&text(None, false), "-rf", Err("may not begin with `-`")),
            (&text(None, false), "--", Err("may not begin with `-`")),
            (&text(None, true), "-rf", Ok("-rf")),
            (&text(None, true), "a\nb", Err("has to be without control characters")),
            (&text(None, true), "a\0b", Err("has to be without control characters")),
            (&text(Some("[0-9.]+|latest"), false), "1.2", Ok("1.2")),
            (&text(Some("[0-9.]+|latest"), false), "latest", Ok("latest")),
            (&text(Some("[0-9.]+|latest"), false), "1.2;x", Err("has to match `[0-9.]+|latest`")),
            (&text(Some("[0-9.]+|latest"), false), "xlatest", Err("has to match `[0-9.]+|latest`")),
            (&rest, "a\n\tb", Ok("a\n\tb")),
            (&rest, "-a", Err("may not begin with `-`")),
            (&rest, "a\u{1b}[31m", Err("has to be without control characters")),
            (&choice, "staging", Ok("staging")),
            (&choice, "Staging", Err("has to be one of `staging`, `production`")),
            (&number, "+07", Ok("7")),
            (&number, "-5", Ok("-5")),
            (&number, "-6", Err("has to be a whole number from -5 to 10")),
            (&number, "11", Err("has to be a whole number from -5 to 10")),
            (&number, "1e1", Err("has to be a whole number from -5 to 10")),
            (&plain, "0", Ok("0")),
            (&plain, "-0", Ok("0")),
            (&plain, "-1", Err("has to be a whole number, 0 or more")),
            (&plain, "--help", Err("has to be a whole number, 0 or more")),
            (&plain, "9223372036854775808", Err("has to be a whole number, 0 or more")),
            (&large, "19", Err("has to be a whole number, at least 20")),
            (&ParameterKind::User, "@a:hs", Ok("@a:hs")),
            (&ParameterKind::User, "a", Err("has to be a user id, `@name:server`")),
        ] {
            let outcome = outcome.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(kind.check(value), outcome, "{value:?}");
        }
        let long = "x".repeat(LONGEST + 1);
        assert!(text(None, false).check(&long).unwrap_err().contains("shorter"));
    }

    #[test]
    fn a_pattern_has_to_be_one() {
        for bad in ["(", "a)|(b", "[z-a]", "*"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }
}
