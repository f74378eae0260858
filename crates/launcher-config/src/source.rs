//! Reads a file whole, and turns offsets in it into lines and columns.
//!
//! Files over [`MAX_SIZE`] are refused before they are parsed: no
//! configuration is that large, and a wrong path (a log, a database) should
//! fail at once.

use std::{
    io::{self, Read as _},
    path::Path,
    rc::Rc,
};

/// The largest file that is read, in bytes.
pub(crate) const MAX_SIZE: u64 = 1024 * 1024;

/// A file in memory.
#[derive(Debug)]
pub(crate) struct SourceFile {
    name: String,
    text: String,
    /// The byte offset at which each line starts.
    lines: Vec<usize>,
}

/// A stretch of a file, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    file: Rc<SourceFile>,
    start: usize,
    end: usize,
}

/// Why a file gave no text.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// What is wrong, as the rest of a sentence about the file.
    pub(crate) message: String,
    /// Whether there is simply no such file.
    pub(crate) missing: bool,
}

/// Which things are taken for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    /// Regular files only: opening a pipe could wait forever.
    Regular,
    /// Anything that can be read, such as a shell's `<(…)`: the operator named it.
    Named,
}

/// The file's text, without a byte order mark.
pub(crate) fn read(path: &Path, accept: Accept) -> Result<String, Unreadable> {
    let refused = |message: String| Unreadable { message, missing: false };
    let failed = |error: io::Error| Unreadable {
        message: match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "the launcher may not read this file".to_owned(),
            // The outer error of fs_err names the absolute path; the kind alone does not.
            kind => format!("this file cannot be read: {kind}"),
        },
        missing: error.kind() == io::ErrorKind::NotFound,
    };
    let metadata = fs_err::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(refused("this is a folder, not a file".to_owned()));
    }
    if !metadata.is_file() && accept == Accept::Regular {
        return Err(refused("this is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path).map_err(failed)?;
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(refused("this file is larger than 1 MiB".to_owned()));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => {
            let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
            Err(refused(format!("this file is not UTF-8 text; line {line} has a wrong byte")))
        }
    }
}

impl SourceFile {
    pub(crate) fn new(name: impl Into<String>, text: String) -> Rc<Self> {
        let mut lines = vec![0];
        let bytes = text.as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            let ends = byte == b'\n' || (byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
            if ends {
                lines.push(at + 1);
            }
        }
        Rc::new(Self { name: name.into(), text, lines })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text of a line (from 1), without its end.
    pub(crate) fn line(&self, line: usize) -> &str {
        let start = self.line_start(line);
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or_default().trim_end_matches(['\r', '\n'])
    }

    fn line_start(&self, line: usize) -> usize {
        self.lines.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len())
    }
}

impl Place {
    /// From `start` to `end`, moved into the file and onto whole characters.
    pub(crate) fn new(file: &Rc<SourceFile>, start: usize, end: usize) -> Self {
        let start = file.text.floor_char_boundary(start);
        let end = file.text.floor_char_boundary(end).max(start);
        Self { file: Rc::clone(file), start, end }
    }

    /// The first character of the file.
    pub(crate) fn start_of(file: &Rc<SourceFile>) -> Self {
        Self::new(file, 0, 0)
    }

    /// The whole line (from 1).
    pub(crate) fn whole_line(file: &Rc<SourceFile>, line: usize) -> Self {
        let start = file.line_start(line);
        Self::new(file, start, start + file.line(line).len())
    }

    pub(crate) fn file(&self) -> &Rc<SourceFile> {
        &self.file
    }

    pub(crate) fn text(&self) -> &str {
        self.file.text.get(self.start..self.end).unwrap_or_default()
    }

    /// A stretch of this one, in bytes from its start.
    pub(crate) fn part(&self, from: usize, length: usize) -> Self {
        Self::new(&self.file, self.start + from, self.start + from + length)
    }

    /// Both from 1, the column in characters.
    pub(crate) fn line_and_column(&self) -> (usize, usize) {
        let line = self.file.lines.partition_point(|&start| start <= self.start).max(1);
        let start = self.file.line_start(line);
        let before = self.file.text.get(start..self.start).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}
