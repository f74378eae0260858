//! Reads files with prompts.

use std::{io, path::Path};

use launcher_core::llm::prompt::{VARIABLES, unknown};

use crate::{reading::Reading, values::address};

/// What a model is told when nobody says otherwise.
pub(super) const DEFAULT: &str = "\
You are {agent}, a helpful assistant in a chat. Answer in the language in which you are asked, \
briefly and to the point. Say so when you do not know something. Today is {date}.";

/// The largest file.
const LARGEST: u64 = 64 << 10;

/// The content of the file that is named at `path`. `Some(None)`: it cannot be
/// read, which has been reported. Without a folder only the name is looked at.
pub(super) fn prompt(reading: &mut Reading<'_>, path: &str) -> Option<Option<String>> {
    reading.tree().at(path)?;
    let Some(name) = reading.parsed(path, address::folder) else { return Some(None) };
    let Some(folder) = reading.folder() else { return Some(None) };
    let file = folder.join(&name.value);
    let problem = match read(&file) {
        Ok(text) => match unknown(&text).first() {
            None => return Some(Some(text)),
            Some((line, word)) => {
                let known: Vec<String> =
                    VARIABLES.iter().map(|name| format!("`{{{name}}}`")).collect();
                format!(
                    "there is no variable `{{{word}}}`, in line {line} of the file; there are {}, and \
                     `{{{{` is one brace",
                    known.join(", ")
                )
            }
        },
        Err(problem) => problem,
    };
    reading.report(path, &name.place, problem, "relative to the agent's folder");
    Some(None)
}

fn read(file: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("the file cannot be read: {}", error.kind());
    let found = fs_err::metadata(file).map_err(unreadable)?;
    if !found.is_file() {
        return Err("this is not a file".to_owned());
    }
    if found.len() > LARGEST {
        return Err(format!("the file has more than {LARGEST} bytes"));
    }
    let bytes = fs_err::read(file).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| "the file is not UTF-8".to_owned())?;
    match text.trim().is_empty() {
        true => Err("the file is empty".to_owned()),
        false => Ok(text),
    }
}
