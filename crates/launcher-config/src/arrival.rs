//! Looks at the file of an agent that is about to arrive: one that comes from
//! another place and is not in its folder yet.
//!
//! Before it gets there, it has to be known where it wants its crypto store;
//! and its operator has to know what it misses here.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use launcher_core::{agent::AgentId, secret::Secret};

use crate::{
    environment::{Environment, Lookup, Variables},
    load::{Sources, env_file},
    origin::{is_name, name_of},
    rivals::canonical,
    root::RootConfig,
    source::{self, Accept, SourceFile},
    substitute::substitute,
    yaml::{self, Node, Value},
};

const STORE_PATH: &str = "encryption.store_path";

/// What the file of an agent asks of the place where it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Where the agent will look for its crypto store.
    pub store: StoreHome,
    /// The variables in the file that are set neither in the environment nor in
    /// the file with variables, by name.
    pub missing: Vec<String>,
    /// The variable that is the pickle key, if it is one and nothing else.
    pub key_variable: Option<String>,
}

/// Where an agent that arrives will look for its crypto store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreHome {
    /// `data/crypto` in its folder, where stores usually are.
    Usual,
    /// Somewhere else in its folder; the path is relative to that.
    Inside(PathBuf),
    /// In this folder, outside its own.
    Outside(PathBuf),
    /// Somewhere that depends on variables that are not set; as it is written.
    Unclear(String),
}

/// The value of a variable: from the environment, else from the file with
/// variables.
pub fn variable(
    sources: &Sources,
    root: &RootConfig,
    environment: &dyn Environment,
    name: &str,
) -> Option<Secret<String>> {
    match variables(sources, root, environment).look_up(name) {
        Lookup::Set(value) => Some(Secret::new(value)),
        Lookup::Missing(_) | Lookup::Unknown => None,
    }
}

/// What the agent `id` asks for, whose `config.yaml` is `file` now and will be
/// in the folder of agents. `None` if it cannot be read.
pub fn arrival(
    sources: &Sources,
    root: &RootConfig,
    environment: &dyn Environment,
    id: &AgentId,
    file: &Path,
) -> Option<Arrival> {
    let own = tree(file)?;
    let defaults = tree(&root.directory.join(sources.config.file_name()?))?;
    let at = |path: &str| own.at(path).or_else(|| defaults.at(&format!("defaults.{path}")));
    let variables = variables(sources, root, environment);
    let is_missing = |name: &String| matches!(variables.look_up(name), Lookup::Missing(_));
    let mut used = BTreeSet::new();
    collect(&own, &mut used);
    Some(Arrival {
        store: store_home(root, id, &variables, at(STORE_PATH)),
        missing: used.into_iter().filter(is_missing).collect(),
        key_variable: at("encryption.pickle_key").and_then(text).and_then(name_of).map(Into::into),
    })
}

fn tree(path: &Path) -> Option<Node> {
    let text = source::read(path, Accept::Regular).ok()?;
    yaml::parse(&SourceFile::new("config.yaml", text), &mut Vec::new())
}

fn variables<'a>(
    sources: &Sources,
    root: &RootConfig,
    environment: &'a dyn Environment,
) -> Variables<'a> {
    // What is wrong with it was told when the root was read.
    let file = env_file(sources, &root.directory, &mut Vec::new(), &mut Vec::new());
    Variables::new(environment, file)
}

fn store_home(
    root: &RootConfig,
    id: &AgentId,
    variables: &Variables<'_>,
    written: Option<&Node>,
) -> StoreHome {
    let Some((node, written)) = written.and_then(|node| Some((node, text(node)?))) else {
        return StoreHome::Usual;
    };
    let path = substitute(written, &node.place, STORE_PATH, variables, &mut Vec::new());
    let Some(path) = path.filter(|path| !path.value.is_empty()) else {
        return StoreHome::Unclear(written.to_owned());
    };
    let folder = canonical(&root.agents_dir.join(id.as_str()));
    let store = canonical(&root.directory.join(path.value));
    match store.strip_prefix(&folder) {
        Ok(inside) if inside == Path::new("data/crypto") => StoreHome::Usual,
        Ok(inside) => StoreHome::Inside(inside.to_owned()),
        Err(_) => StoreHome::Outside(store),
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(scalar) => Some(&scalar.text),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// Every variable that the tree refers to.
fn collect(node: &Node, used: &mut BTreeSet<String>) {
    match &node.value {
        Value::Null => {}
        Value::Scalar(scalar) => names_in(&scalar.text, used),
        Value::List(items) => items.iter().for_each(|item| collect(item, used)),
        Value::Map(entries) => entries.iter().for_each(|entry| collect(&entry.value, used)),
    }
}

fn names_in(text: &str, used: &mut BTreeSet<String>) {
    let mut before = "";
    for (number, part) in text.split("${").enumerate() {
        // After `$$`, the brace is meant as it stands.
        if number > 0
            && !before.ends_with('$')
            && let Some((name, _)) = part.split_once('}').filter(|(name, _)| is_name(name))
        {
            used.insert(name.to_owned());
        }
        before = part;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fs_err as fs;
    use tempfile::TempDir;

    use super::*;
    use crate::load::load;

    fn arriving(root: &str, env: &str, file: &str) -> (TempDir, Option<Arrival>) {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("agents")).unwrap();
        fs::write(path("config.yaml"), format!("homeserver: https://hs.test\n{root}")).unwrap();
        fs::write(path(".env"), env).unwrap();
        fs::write(path("arriving"), file).unwrap();
        let environment = BTreeMap::from([("OUTER".to_owned(), "1".to_owned())]);
        let sources = Sources { config: path("config.yaml"), env_file: None };
        let root = load(&sources, &environment).root.expect("a valid root");
        let id = "a".parse().unwrap();
        let found = arrival(&sources, &root, &environment, &id, &path("arriving"));
        (folder, found)
    }

    fn store(root: &str, file: &str) -> StoreHome {
        let (folder, found) = arriving(root, "", file);
        let base = fs::canonicalize(folder.path()).unwrap();
        match found.unwrap().store {
            StoreHome::Outside(path) => {
                StoreHome::Outside(path.strip_prefix(base).map(Into::into).unwrap_or(path))
            }
            other => other,
        }
    }

    #[test]
    fn a_store_is_found_where_the_file_or_the_defaults_say() {
        let at = |path: &str| store("", &format!("encryption: {{ store_path: \"{path}\" }}"));
        assert_eq!(store("", "enabled: true"), StoreHome::Usual);
        assert_eq!(at("./agents/a/data/crypto/"), StoreHome::Usual);
        assert_eq!(at("agents/b/../a/data/crypto"), StoreHome::Usual);
        assert_eq!(at("agents/a/keys"), StoreHome::Inside("keys".into()));
        assert_eq!(at("stores/a"), StoreHome::Outside("stores/a".into()));
        assert_eq!(at("/var/keys/a"), StoreHome::Outside("/var/keys/a".into()));
        assert_eq!(at("stores${OUTER}/a"), StoreHome::Outside("stores1/a".into()));
        assert_eq!(at("${WHERE}/a"), StoreHome::Unclear("${WHERE}/a".to_owned()));
        let defaults = "defaults: { encryption: { store_path: stores/all } }";
        assert_eq!(store(defaults, "enabled: true"), StoreHome::Outside("stores/all".into()));
    }

    #[test]
    fn variables_that_are_set_nowhere_are_missing() {
        let file = "matrix: { password: \"${PASSWORD}\", user_id: \"${USER}x${OUTER}\" }\n\
                    encryption: { pickle_key: \"${A_KEY}\" }\n\
                    behavior: { echo: { prefix: \"$${NOT} ${not one} ${TWICE}${TWICE}\" } }";
        let found = arriving("", "USER=u\n", file).1.unwrap();
        assert_eq!(found.missing, ["A_KEY", "PASSWORD", "TWICE"]);
        assert_eq!(found.key_variable.as_deref(), Some("A_KEY"));
    }

    #[test]
    fn a_file_that_is_no_yaml_asks_for_nothing() {
        assert_eq!(arriving("", "", "a: [").1, None);
    }
}
