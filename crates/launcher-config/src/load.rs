//! Reads all files in their order and puts together what came of them.
//!
//! A problem in one agent's file breaks that agent only. A problem in the root
//! file or in `.env` breaks everything, but the agents' files are still read,
//! so that all problems are told at once.

mod open;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use launcher_core::{agent::AgentId, spec::AgentSpec};

pub(crate) use self::open::{env_file, shown_name};
use crate::{
    agent::{self, Common, Resolved},
    diagnostic::Diagnostic,
    environment::{Environment, Variables},
    folders::{self, AgentFolder},
    load::open::root_file,
    reading::Reading,
    rivals::{self, Rival},
    root::{self, RootConfig, RootValues},
    schema, shape,
    source::{self, Accept, Place, SourceFile},
    yaml::{self, Node, Value},
};

/// Which files to read.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The root `config.yaml`.
    pub config: PathBuf,
    /// The file with variables. `None` is `.env` beside the root `config.yaml`,
    /// which may be missing; a file that is named here may not.
    pub env_file: Option<PathBuf>,
}

/// What the files say.
#[derive(Debug)]
pub struct Loaded {
    /// The launcher's own settings. `None` if the root file or `.env` is
    /// broken: then nothing may start.
    pub root: Option<RootConfig>,
    /// One entry per agent's folder, with what is wrong with it if it is broken.
    pub agents: BTreeMap<AgentId, Result<AgentSpec, Vec<Diagnostic>>>,
    /// Every problem, in the order of files (root, `.env`, agents by name),
    /// then of lines and columns.
    pub diagnostics: Vec<Diagnostic>,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
}

/// Reads and checks everything.
///
/// Changes nothing: no file, and no variable of the process.
pub fn load(sources: &Sources, environment: &dyn Environment) -> Loaded {
    let mut found = Vec::new();
    let mut files = Vec::new();
    let parent = sources.config.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Without its folder the root file is missing too, and says so below.
    let given = parent.unwrap_or(Path::new("."));
    let directory = fs_err::canonicalize(given).unwrap_or_else(|_| given.to_owned());

    let config =
        sources.config.file_name().map_or_else(|| directory.clone(), |name| directory.join(name));
    let file = root_file(&config, &directory, &mut found, &mut files);
    let tree = file.as_ref().ok().and_then(|file| yaml::parse(file, &mut found));
    let file = match file {
        Ok(file) | Err(file) => file,
    };
    let mut env_found = Vec::new();
    let env_file = env_file(sources, &directory, &mut env_found, &mut files);
    let variables = Variables::new(environment, env_file);
    let values = tree.as_ref().map(|tree| read_root(tree, &variables, &mut found));

    let wanted = values.as_ref().and_then(|values| values.agents_dir.as_ref());
    let agents_dir: PathBuf = directory
        .join(wanted.map_or("agents", |wanted| wanted.value.as_str()))
        .components()
        .collect();
    let folders = match folders::list(&agents_dir) {
        Ok(folders) => folders,
        // Nobody can say which folder a broken root file means.
        Err(_)
            if found.iter().any(|problem| matches!(problem.path.as_str(), "" | "agents_dir")) =>
        {
            Vec::new()
        }
        Err(error) => {
            let place =
                wanted.map_or_else(|| Place::start_of(&file), |wanted| wanted.place.clone());
            found.push(no_folder(&place, error.kind(), wanted.is_some()));
            Vec::new()
        }
    };

    // An error about another section takes nothing from the agents.
    let unrelated =
        |path: &str| ["log", "admin", "agents_dir"].iter().any(|key| path.starts_with(key));
    let complete = tree.is_some() && found.iter().all(|problem| unrelated(&problem.path));
    let broken = !found.is_empty() || !env_found.is_empty() || values.is_none();
    in_order(&mut found);
    in_order(&mut env_found);
    found.append(&mut env_found);
    let common = Common {
        root_name: file.name(),
        broken: &found,
        directory: &directory,
        variables: &variables,
        homeserver: values.as_ref().and_then(|values| values.homeserver.clone()),
        defaults: tree
            .as_ref()
            .and_then(|tree| tree.at("defaults"))
            .filter(|defaults| matches!(defaults.value, Value::Map(_))),
        complete,
    };
    let mut loaded =
        Loaded { root: None, agents: BTreeMap::new(), diagnostics: found.clone(), files };
    loaded.add_agents(folders, &common);
    if !broken {
        loaded.root = values.map(|values| values.into_config(&directory, &agents_dir));
    }
    loaded
}

impl Loaded {
    fn add_agents(&mut self, folders: Vec<AgentFolder>, common: &Common<'_>) {
        let mut read: Vec<(AgentId, Rc<SourceFile>, Resolved)> = Vec::new();
        // By folder: an invalid one has no agent but takes its turn.
        let mut order: Vec<Result<usize, Diagnostic>> = Vec::new();
        for folder in folders {
            let path = folder.path.join("config.yaml");
            match folder.name.parse::<AgentId>() {
                Ok(id) => {
                    let (file, resolved) = self.read_agent(&id, &folder, &path, common);
                    order.push(Ok(read.len()));
                    read.push((id, file, resolved));
                }
                Err(_) => order.push(Err(bad_name(&folder, common.directory))),
            }
        }
        let rivals: Vec<Rival<'_>> =
            read.iter().map(|(id, file, resolved)| Rival { id, file, resolved }).collect();
        let mut quarrels = rivals::compare(&rivals).into_iter();
        let mut read = read.into_iter();
        for turn in order {
            match turn {
                Err(problem) => self.diagnostics.push(problem),
                Ok(_) => {
                    let Some((id, _, mut resolved)) = read.next() else {
                        continue;
                    };
                    resolved.found.extend(quarrels.next().unwrap_or_default());
                    self.add_agent(id, resolved, common);
                }
            }
        }
    }

    fn read_agent(
        &mut self,
        id: &AgentId,
        folder: &AgentFolder,
        path: &Path,
        common: &Common<'_>,
    ) -> (Rc<SourceFile>, Resolved) {
        let name = shown_name(path, common.directory);
        match source::read(path, Accept::Regular) {
            Ok(text) => {
                self.files.push(path.to_owned());
                let file = SourceFile::new(name, text);
                let resolved = agent::resolve(id, &folder.path, &file, common);
                (file, resolved)
            }
            Err(unreadable) => {
                let file = SourceFile::new(name, String::new());
                let nothing = Common { complete: false, defaults: None, ..copy(common) };
                let mut resolved = agent::resolve(id, &folder.path, &file, &nothing);
                resolved.spec = None;
                resolved.found =
                    vec![Diagnostic::at(&Place::start_of(&file), "", unreadable.message)];
                (file, resolved)
            }
        }
    }

    fn add_agent(&mut self, id: AgentId, mut resolved: Resolved, common: &Common<'_>) {
        in_order(&mut resolved.found);
        // What is wrong with the defaults has been told for the root file.
        let own = resolved.found.iter().filter(|problem| problem.file != common.root_name);
        self.diagnostics.extend(own.cloned());
        let result = match resolved.spec {
            Some(spec) if resolved.found.is_empty() => Ok(spec),
            // Complete but for what the broken root file should have said.
            _ if resolved.found.is_empty() => Err(common.broken.to_vec()),
            _ => Err(resolved.found),
        };
        self.agents.insert(id, result);
    }
}

fn copy<'a>(common: &Common<'a>) -> Common<'a> {
    Common { homeserver: common.homeserver.clone(), ..*common }
}

fn read_root(tree: &Node, variables: &Variables<'_>, found: &mut Vec<Diagnostic>) -> RootValues {
    shape::check(tree, &schema::ROOT, "", found);
    if let Some(defaults) = tree.at("defaults") {
        found.append(&mut agent::check_defaults(defaults, variables));
    }
    let mut reading = Reading::new(tree, "", variables);
    let values = root::read(&mut reading);
    found.append(&mut reading.found);
    values
}

fn no_folder(place: &Place, kind: std::io::ErrorKind, named: bool) -> Diagnostic {
    let message = match kind {
        std::io::ErrorKind::NotFound => "there is no such folder".to_owned(),
        std::io::ErrorKind::NotADirectory => "this is not a folder".to_owned(),
        kind => format!("this folder cannot be read: {kind}"),
    };
    let hint = if named {
        "the path is relative to the folder of this file"
    } else {
        "agents live in `agents` beside this file unless `agents_dir` says otherwise; make that folder"
    };
    Diagnostic::at(place, "agents_dir", message).hint(hint)
}

fn bad_name(folder: &AgentFolder, directory: &Path) -> Diagnostic {
    let file = SourceFile::new(shown_name(&folder.path, directory), String::new());
    Diagnostic::at(
        &Place::start_of(&file),
        "",
        "the name of this folder cannot be the id of an agent",
    )
    .hint("an id is 1 to 63 of a-z, 0-9, `_` and `-`, and starts with a letter or digit")
}

fn in_order(found: &mut [Diagnostic]) {
    found.sort_by_key(|problem| (problem.line, problem.column));
}
