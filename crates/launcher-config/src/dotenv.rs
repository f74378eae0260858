//! Reads `.env` with dotenvy, without touching the process's variables.
//!
//! dotenvy reads line by line but does not tell which line it is at. It is
//! given one line at a time and the lines are counted as they go out. Nothing
//! of a line is ever shown: all of it may be secret.

use std::{cell::Cell, collections::BTreeMap, io, ops::Range, rc::Rc};

use crate::{
    diagnostic::Diagnostic,
    environment::EnvFile,
    source::{Place, SourceFile},
};

/// What the file says, and its problems.
pub(crate) fn parse(file: &Rc<SourceFile>, found: &mut Vec<Diagnostic>) -> EnvFile {
    let mut parsed = EnvFile::default();
    let mut first_lines: BTreeMap<String, usize> = BTreeMap::new();
    let count = Rc::new(Cell::new(0));
    let lines = Lines { rest: file.text().as_bytes(), count: Rc::clone(&count) };
    for item in dotenvy::from_read_iter(lines) {
        match item {
            Ok((name, value)) => {
                // A value may span lines; its first one is where the name stands.
                let line = line_of(file, &name, count.get());
                if let Some(&first) = first_lines.get(&name) {
                    found.push(twice(file, line, first));
                } else {
                    first_lines.insert(name.clone(), line);
                    parsed.values.insert(name, value);
                }
            }
            Err(dotenvy::Error::LineParse(text, _)) => {
                let line = (count.get() + 1).saturating_sub(text.lines().count().max(1)).max(1);
                parsed.broken.extend(name_on(file.line(line)).map(str::to_owned));
                found.push(malformed(file, line));
            }
            Err(_) => {
                parsed.unreadable = true;
                found.push(malformed(file, count.get().max(1)));
                break;
            }
        }
    }
    parsed
}

/// A definition in the file: a name and where its value stands.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    /// With its quotes, without what follows it; in bytes.
    pub(crate) value: Range<usize>,
}

/// Every definition that can be read, in order. Of two with one name the first
/// counts.
pub(crate) fn definitions(text: &str) -> Vec<Definition> {
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    let end_of = |line: usize| ends.get(line - 1).copied().unwrap_or(text.len());
    let count = Rc::new(Cell::new(0));
    let lines = Lines { rest: text.as_bytes(), count: Rc::clone(&count) };
    let mut found = Vec::new();
    // Where what has been read so far ends.
    let mut read = 0;
    for item in dotenvy::from_read_iter(lines) {
        let end = end_of(count.get().max(1));
        match item {
            Ok((name, _)) => {
                let place = text.get(read..end).and_then(|stretch| value_in(stretch, &name));
                if let Some(place) = place {
                    found.push(Definition { name, value: read + place.start..read + place.end });
                }
            }
            Err(dotenvy::Error::LineParse(..)) => {}
            Err(_) => break,
        }
        read = end;
    }
    found
}

/// Where the value stands in a stretch that holds comments and empty lines, and
/// then the definition of `name`.
fn value_in(stretch: &str, name: &str) -> Option<Range<usize>> {
    let mut line_start = 0;
    for line in stretch.split_inclusive('\n') {
        if name_on(line) == Some(name) {
            let after = line_start + line.find('=')? + 1;
            let rest = stretch.get(after..)?;
            let start = rest.find(|char: char| !matches!(char, ' ' | '\t'));
            let start = start.map_or(stretch.len(), |start| after + start);
            let length = value_length(stretch.get(start..)?);
            // An empty value stands right behind the sign, before a space that a comment needs.
            let start = if length == 0 && start > after { after } else { start };
            return Some(start..start + length);
        }
        line_start += line.len();
    }
    None
}

/// The length of the value that text begins with.
fn value_length(text: &str) -> usize {
    if text.starts_with('#') {
        return 0;
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match (quote, char) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '"' | '\'') => quote = Some(char),
            (Some(open), _) if open == char => quote = None,
            (None, _) if char.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

/// The last line up to `last` that sets `name`.
fn line_of(file: &SourceFile, name: &str, last: usize) -> usize {
    (1..=last).rev().find(|&line| name_on(file.line(line)) == Some(name)).unwrap_or(last.max(1))
}

fn name_on(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    Some(name.strip_prefix("export ").unwrap_or(name).trim())
}

fn malformed(file: &Rc<SourceFile>, line: usize) -> Diagnostic {
    let place = Place::whole_line(file, line).part(0, 0);
    let good = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.');
    let named = name_on(file.line(line)).is_some_and(|name| {
        name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
            && name.chars().all(good)
    });
    let problem = if named {
        Diagnostic::at(&place, "", "the value on this line cannot be read").hint(
            "put a value with spaces, quotes, `#`, `$` or `\\` into single quotes, and close them",
        )
    } else {
        Diagnostic::at(&place, "", "this line is not `NAME=value`")
            .hint("a name is made of letters, digits and `_`; a comment starts with `#`")
    };
    without_lines(problem)
}

fn twice(file: &Rc<SourceFile>, line: usize, first: usize) -> Diagnostic {
    let problem = Diagnostic::at(
        &Place::whole_line(file, line).part(0, 0),
        "",
        "this variable is set twice in this file",
    );
    let first = Place::whole_line(file, first).part(0, 0);
    without_lines(problem.related(&first, "first set here").hint("remove one of the two lines"))
}

fn without_lines(mut problem: Diagnostic) -> Diagnostic {
    problem.excerpt = None;
    if let Some(related) = &mut problem.related {
        related.excerpt = None;
    }
    problem
}

/// Hands out one line at each call, and counts them.
struct Lines<'a> {
    rest: &'a [u8],
    count: Rc<Cell<usize>>,
}

impl io::Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let length = end.unwrap_or(self.rest.len()).min(buffer.len());
        let (line, rest) = self.rest.split_at(length);
        for (to, from) in buffer.iter_mut().zip(line) {
            *to = *from;
        }
        self.rest = rest;
        if line.ends_with(b"\n") || (rest.is_empty() && !line.is_empty()) {
            self.count.set(self.count.get() + 1);
        }
        Ok(length)
    }
}
