//! Says where an agent's pickle key is written, so that it can be changed there.
//!
//! The loaded configuration knows the key; where it came from is forgotten as
//! soon as it is read. This looks at the files once more.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use launcher_core::agent::AgentId;

use crate::{
    dotenv,
    environment::Environment,
    load::{Sources, shown_name},
    root::RootConfig,
    source::{self, Accept, SourceFile},
    yaml::{self, Node, Value},
};

/// Where the key of every agent is.
const PICKLE_KEY: &str = "encryption.pickle_key";

/// Where an agent's pickle key is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOrigin {
    /// The place in a `config.yaml`, as `file:line`.
    pub place: String,
    /// Whether that file is the agent's own, not the defaults of all agents.
    pub is_own: bool,
    /// The variable, if the value is one and nothing else.
    pub variable: Option<KeyVariable>,
}

/// The variable that holds an agent's pickle key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVariable {
    /// Its name.
    pub name: String,
    /// Whether it is set in the environment, which wins over the file.
    pub is_in_environment: bool,
    /// The file with variables, if it sets this one.
    pub env_file: Option<PathBuf>,
    /// Where else it is used, as `file:line`.
    pub used_at: Vec<String>,
}

/// Where the pickle key of an agent is written. `None` if the files cannot be
/// read, or do not say.
pub fn key_origin(
    sources: &Sources,
    root: &RootConfig,
    environment: &dyn Environment,
    agent: &AgentId,
) -> Option<KeyOrigin> {
    let of_root = root.directory.join(sources.config.file_name()?);
    let of_agent = agent_file(root, agent.as_str());
    let own = Tree::read(&of_agent, &root.directory)?;
    let defaults = Tree::read(&of_root, &root.directory)?;
    let (tree, path) = match own.root.at(PICKLE_KEY) {
        Some(_) => (&own, PICKLE_KEY.to_owned()),
        None => (&defaults, format!("defaults.{PICKLE_KEY}")),
    };
    let node = tree.root.at(&path)?;
    let Value::Scalar(scalar) = &node.value else { return None };
    let variable = name_of(&scalar.text).map(|name| KeyVariable {
        name: name.to_owned(),
        is_in_environment: environment.var(name).is_some(),
        env_file: env_file_with(sources, root, name),
        used_at: used_elsewhere(root, &of_root, name, &shown(node)),
    });
    let is_own = std::ptr::eq(tree, &own);
    Some(KeyOrigin { place: shown(node), is_own, variable })
}

fn agent_file(root: &RootConfig, folder: &str) -> PathBuf {
    root.agents_dir.join(folder).join("config.yaml")
}

/// The name in a text that is `${NAME}` and nothing else.
pub(crate) fn name_of(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    is_name(name).then_some(name)
}

pub(crate) fn is_name(name: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || char == '_';
    !name.is_empty() && name.chars().all(plain)
}

fn env_file_with(sources: &Sources, root: &RootConfig, name: &str) -> Option<PathBuf> {
    let path = sources.env_file.clone().unwrap_or_else(|| root.directory.join(".env"));
    let text = source::read(&path, Accept::Regular).ok()?;
    let sets = dotenv::definitions(&text).iter().any(|found| found.name == name);
    sets.then_some(path)
}

/// Every other place in the files that uses the variable.
fn used_elsewhere(root: &RootConfig, of_root: &Path, name: &str, but: &str) -> Vec<String> {
    let agents = crate::folders::list(&root.agents_dir).unwrap_or_default();
    let agents = agents.into_iter().map(|folder| folder.path.join("config.yaml"));
    let mut found = Vec::new();
    for path in std::iter::once(of_root.to_owned()).chain(agents) {
        match Tree::read(&path, &root.directory) {
            Some(tree) => collect(&tree.root, &format!("${{{name}}}"), &mut found),
            // What cannot be read might use it.
            None => found.push(shown_name(&path, &root.directory)),
        }
    }
    if let Some(itself) = found.iter().position(|place| place == but) {
        found.remove(itself);
    }
    found
}

fn collect(node: &Node, reference: &str, found: &mut Vec<String>) {
    match &node.value {
        Value::Null => {}
        Value::Scalar(scalar) if scalar.text.contains(reference) => found.push(shown(node)),
        Value::Scalar(_) => {}
        Value::List(items) => items.iter().for_each(|item| collect(item, reference, found)),
        Value::Map(entries) => {
            entries.iter().for_each(|entry| collect(&entry.value, reference, found));
        }
    }
}

fn shown(node: &Node) -> String {
    let (line, _) = node.place.line_and_column();
    format!("{}:{line}", node.place.file().name())
}

/// A file that was read for this.
struct Tree {
    root: Node,
}

impl Tree {
    fn read(path: &Path, directory: &Path) -> Option<Self> {
        let text = source::read(path, Accept::Regular).ok()?;
        let file: Rc<SourceFile> = SourceFile::new(shown_name(path, directory), text);
        yaml::parse(&file, &mut Vec::new()).map(|root| Self { root })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fs_err as fs;
    use tempfile::TempDir;

    use super::*;
    use crate::load::load;

    struct Files(TempDir);

    impl Files {
        fn new(root: &str, env: &str) -> Self {
            let files = Self(TempDir::new().unwrap());
            files.write("config.yaml", &format!("homeserver: https://hs.test\n{root}"));
            files.write(".env", env);
            files
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn agent(self, id: &str, key: &str) -> Self {
            let text = format!(
                "matrix: {{ user_id: \"@{id}:hs.test\", password: \"x\" }}\n\
                 behavior: {{ echo: {{}} }}\n{key}"
            );
            self.write(&format!("agents/{id}/config.yaml"), &text);
            self
        }

        fn origin(&self, environment: &[(&str, &str)]) -> Option<KeyOrigin> {
            let pairs =
                environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            let environment: BTreeMap<String, String> = pairs.collect();
            let sources = Sources { config: self.0.path().join("config.yaml"), env_file: None };
            let loaded = load(&sources, &environment);
            let root = loaded.root.expect("a valid root");
            key_origin(&sources, &root, &environment, &"a".parse().unwrap())
        }
    }

    fn key(seed: &str) -> String {
        seed.repeat(16)
    }

    #[test]
    fn a_variable_of_its_own_in_the_env_file_is_found() {
        let files = Files::new("", &format!("A_KEY={}\n", key("01ab")))
            .agent("a", "encryption: { pickle_key: \"${A_KEY}\" }\n");
        let origin = files.origin(&[]).unwrap();
        assert_eq!((origin.place.as_str(), origin.is_own), ("agents/a/config.yaml:3", true));
        let variable = origin.variable.unwrap();
        assert_eq!((variable.name.as_str(), variable.is_in_environment), ("A_KEY", false));
        let env_file = fs::canonicalize(files.0.path().join(".env")).unwrap();
        assert_eq!(variable.env_file, Some(env_file));
        assert!(variable.used_at.is_empty());

        let origin = files.origin(&[("A_KEY", &key("23cd"))]).unwrap();
        assert!(origin.variable.unwrap().is_in_environment);
    }

    #[test]
    fn a_variable_that_is_set_elsewhere_has_no_file() {
        let files = Files::new("", "").agent("a", "encryption:\n  pickle_key: ${A_KEY}\n");
        let variable = files.origin(&[("A_KEY", &key("23cd"))]).unwrap().variable.unwrap();
        assert!(variable.is_in_environment && variable.env_file.is_none());
    }

    #[test]
    fn other_uses_are_told() {
        let env = format!("SHARED={}\nEND={}\n", key("01ab"), key("1"));
        let shared = "encryption: { pickle_key: \"${SHARED}\" }\n";
        let files = Files::new("", &env)
            .agent("a", shared)
            .agent("b", &format!("encryption:\n  pickle_key: \"{}${{END}}\"\n", key("01a")))
            .agent("c", shared)
            .agent("d", &format!("# ${{SHARED}}\nenabled: false\n{shared}"));
        let variable = files.origin(&[]).unwrap().variable.unwrap();
        assert_eq!(variable.used_at, ["agents/c/config.yaml:3", "agents/d/config.yaml:5"]);
    }

    #[test]
    fn what_is_no_variable_alone_has_none() {
        let whole = format!("encryption: {{ pickle_key: \"{}\" }}\n", key("01ab"));
        let origin = Files::new("", "").agent("a", &whole).origin(&[]).unwrap();
        assert_eq!((origin.is_own, origin.variable), (true, None));

        let env = format!("END={}\n", key("1"));
        let part = format!("encryption: {{ pickle_key: \"{}${{END}}\" }}\n", key("01a"));
        let origin = Files::new("", &env).agent("a", &part).origin(&[]).unwrap();
        assert_eq!(origin.variable, None);
    }

    #[test]
    fn a_key_in_the_defaults_is_not_the_agents_own() {
        let root = "defaults:\n  encryption: { pickle_key: \"${ALL}\" }\n";
        let env = format!("ALL={}\n", key("01ab"));
        let origin = Files::new(root, &env).agent("a", "encryption:\n").origin(&[]).unwrap();
        assert_eq!((origin.place.as_str(), origin.is_own), ("config.yaml:3", false));
        assert_eq!(origin.variable.unwrap().name, "ALL");
    }
}
