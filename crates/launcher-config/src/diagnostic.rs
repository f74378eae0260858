//! Decides how a problem in a file is told to a person.
//!
//! A diagnostic owns everything it shows, so that it outlives the files it is
//! about. What it shows of a line has been masked already; see [`mask`].

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
};

use crate::{mask, schema, source::Place};

/// The longest line that is shown, in bytes. Longer ones are not written by people.
const MAX_LINE: usize = 400;

/// One problem at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, relative to the folder of the root `config.yaml` if it is below it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The key, such as `matrix.password`; empty if the whole file is meant.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What stands beside the caret: the short way out. May be empty.
    pub label: String,
    /// Why, or the long way out.
    pub hint: Option<String>,
    /// The line, unless it is empty or there is none.
    pub excerpt: Option<Excerpt>,
    /// Another place that the problem has to do with.
    pub related: Option<Related>,
}

/// A line of a file as it may be shown: without secrets and control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The text, with `…` for what is hidden.
    pub text: String,
    /// Where the caret stands in `text`, from 1. Differs from the column in
    /// the file when something before it is hidden.
    pub column: usize,
    /// How many characters the caret covers, at least 1.
    pub width: usize,
}

/// A second place, shown below or above the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What it has to do with the problem.
    pub label: String,
    /// The line, unless it is empty or there is none.
    pub excerpt: Option<Excerpt>,
}

/// One line with the counts: `2 errors in 1 file`.
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let files: BTreeSet<&str> = diagnostics.iter().map(|found| found.file.as_str()).collect();
    let plural = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    match diagnostics.len() {
        0 => "no errors".to_owned(),
        count => format!("{} in {}", plural(count, "error"), plural(files.len(), "file")),
    }
}

impl Diagnostic {
    /// A problem at `place`, under the key `path`.
    pub(crate) fn at(place: &Place, path: impl Into<String>, message: impl Into<String>) -> Self {
        let (line, column) = place.line_and_column();
        let path: String = path.into();
        let kind = match schema::secret_names().any(|name| path.ends_with(name)) {
            true => mask::Line::Secret,
            false => mask::Line::Unknown,
        };
        Self {
            file: place.file().name().to_owned(),
            line,
            column,
            path,
            message: message.into(),
            label: String::new(),
            hint: None,
            excerpt: excerpt(place, kind),
            related: None,
        }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Shows the line at `place` although it names no key: it is known to hold
    /// no secret.
    pub(crate) fn showing(mut self, place: &Place) -> Self {
        self.excerpt = excerpt(place, mask::Line::Harmless);
        self
    }

    pub(crate) fn related(mut self, place: &Place, label: impl Into<String>) -> Self {
        let (line, column) = place.line_and_column();
        self.related = Some(Related {
            file: place.file().name().to_owned(),
            line,
            column,
            label: label.into(),
            excerpt: excerpt(place, mask::Line::Unknown),
        });
        self
    }
}

fn excerpt(place: &Place, kind: mask::Line) -> Option<Excerpt> {
    let (line, column) = place.line_and_column();
    let text = place.file().line(line);
    if text.trim().is_empty() || text.len() > MAX_LINE {
        return None;
    }
    let (masked, hidden_from) = mask::mask(text, kind);
    let room = text.chars().count().saturating_sub(column - 1);
    let covered = place.text().lines().next().unwrap_or_default().trim_end().chars().count();
    let (column, width) = match hidden_from {
        Some(hidden) if column > hidden => (hidden + 1, 1),
        Some(hidden) => (column, covered.min(hidden + 2 - column)),
        None => (column, covered.min(room)),
    };
    Some(Excerpt { text: masked, column, width: width.max(1) })
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}: error: ", self.file, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)?;

        let related_line = self.related.as_ref().map_or(0, |related| related.line);
        let margin = self.line.max(related_line).to_string().len();
        let main =
            self.excerpt.as_ref().map(|shown| block(margin, self.line, shown, '^', &self.label));
        let (before, after) = self.beside(margin);
        if main.is_some() || before.is_some() {
            write!(formatter, "\n{:margin$} |", "")?;
        }
        for part in [before, main, after].into_iter().flatten() {
            formatter.write_str(&part)?;
        }
        if self.excerpt.is_none() && !self.label.is_empty() {
            write!(formatter, "\nhint: {}", self.label)?;
        }
        match &self.hint {
            Some(hint) => write!(formatter, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl Diagnostic {
    /// The related place as text: before the main one if it is above it in the
    /// same file, else after it.
    fn beside(&self, margin: usize) -> (Option<String>, Option<String>) {
        let Some(related) = &self.related else {
            return (None, None);
        };
        let here = related.file == self.file;
        let snippet = related
            .excerpt
            .as_ref()
            .map(|shown| block(margin, related.line, shown, '-', &related.label));
        match (here, snippet) {
            (true, Some(snippet)) if related.line < self.line => (Some(snippet), None),
            (true, Some(snippet)) => (None, Some(snippet)),
            (_, snippet) => {
                let Related { file, line, column, label, .. } = related;
                let text = match snippet {
                    Some(snippet) => {
                        format!(
                            "\n{0:margin$} ::: {file}:{line}:{column}\n{0:margin$} |{snippet}",
                            ""
                        )
                    }
                    None => format!("\nnote: {file}:{line}:{column}: {label}"),
                };
                (None, Some(text))
            }
        }
    }
}

fn block(margin: usize, line: usize, shown: &Excerpt, mark: char, label: &str) -> String {
    let mut text = format!("\n{line:margin$} | {}", shown.text.trim_end());
    let marks = mark.to_string().repeat(shown.width);
    let below = format!("{}{marks} {label}", " ".repeat(shown.column - 1));
    // Writing to a String cannot fail.
    _ = write!(text, "\n{:margin$} | {}", "", below.trim_end());
    text
}
