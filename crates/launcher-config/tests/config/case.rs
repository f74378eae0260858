//! A case: files as one text, and what `load` says about them as another.
//!
//! The text starts with a sentence about the case. `=== path` starts a file;
//! `=== environment` starts the variables of the process, `NAME=value`.

use std::collections::BTreeMap;

use launcher_config::{Loaded, Sources, load, summary};
use tempfile::TempDir;

/// The files of a case, in a folder of their own.
pub(crate) struct Case {
    pub(crate) folder: TempDir,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Case {
    pub(crate) fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs_err::create_dir(folder.path().join("agents")).unwrap();
        let mut case = Self { folder, environment: BTreeMap::new() };
        for part in format!("\n{text}").split("\n=== ").skip(1) {
            let (name, content) = part.split_once('\n').unwrap_or((part, ""));
            if name == "environment" {
                let pairs = content.lines().filter_map(|line| line.split_once('='));
                let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
                case.environment = owned.collect();
            } else {
                case.write(name, format!("{content}\n").as_bytes());
            }
        }
        case
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.folder.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    pub(crate) fn load(&self) -> Loaded {
        let sources = Sources { config: self.folder.path().join("config.yaml"), env_file: None };
        load(&sources, &self.environment)
    }

    /// Everything that `load` found, as an operator would see it.
    pub(crate) fn outcome(&self) -> String {
        render(&self.load())
    }
}

/// Diagnostics, the closing line, and which agents may start.
pub(crate) fn render(loaded: &Loaded) -> String {
    let mut text: String =
        loaded.diagnostics.iter().map(|problem| format!("{problem}\n\n")).collect();
    text.push_str(&format!("{}\n", summary(&loaded.diagnostics)));
    text.push_str(&format!("root: {}\n", if loaded.root.is_some() { "good" } else { "broken" }));
    for (id, result) in &loaded.agents {
        let word = match result {
            Ok(_) => "good".to_owned(),
            Err(problems) => format!("broken ({})", problems.len()),
        };
        text.push_str(&format!("{id}: {word}\n"));
    }
    text
}
