//! Finds agents that want the same account or the same crypto store.
//!
//! Two devices of one account would each answer every message, and two owners
//! of one store would destroy it. The agent that comes second by name is the
//! broken one. Disabled agents count: they may be enabled at any moment.

use std::path::{Component, Path, PathBuf};

use launcher_core::agent::AgentId;

use crate::{
    agent::Resolved,
    diagnostic::Diagnostic,
    reading::Located,
    source::{Place, SourceFile},
};

/// An agent among the others.
pub(crate) struct Rival<'a> {
    pub(crate) id: &'a AgentId,
    pub(crate) file: &'a std::rc::Rc<SourceFile>,
    pub(crate) resolved: &'a Resolved,
}

/// What is wrong with each, in the order given.
pub(crate) fn compare(rivals: &[Rival<'_>]) -> Vec<Vec<Diagnostic>> {
    let stores: Vec<PathBuf> =
        rivals.iter().map(|rival| canonical(&rival.resolved.store_path.value)).collect();
    let mut all = Vec::new();
    for (index, second) in rivals.iter().enumerate() {
        let earlier = rivals.iter().take(index);
        let mut found = Vec::new();
        found.extend(earlier.clone().find_map(|first| same_account(first, second)));
        found.extend(earlier.clone().find_map(|first| same_token(first, second)));
        let store = stores.get(index);
        found.extend(
            earlier
                .zip(&stores)
                .find_map(|(first, first_store)| same_store(first, first_store, second, store?)),
        );
        all.push(found);
    }
    all
}

fn same_account(first: &Rival<'_>, second: &Rival<'_>) -> Option<Diagnostic> {
    let one = first.resolved.user_id.as_ref()?;
    let other = second.resolved.user_id.as_ref()?;
    if account(&one.value) != account(&other.value) {
        return None;
    }
    let place = own_place(second, other);
    // A user id from a variable is not shown: the variable could be the wrong one.
    let subject = match place.text().contains(&other.value) {
        true => format!("`{}`", other.value),
        false => "this".to_owned(),
    };
    let message = format!("{subject} is the account of agent `{}`", first.id);
    Some(
        Diagnostic::at(&place, "matrix.user_id", message)
            .label("two agents cannot share one account")
            .related(&one.place, "first used here")
            .hint("two devices of one account would each answer every message"),
    )
}

fn same_token(first: &Rival<'_>, second: &Rival<'_>) -> Option<Diagnostic> {
    let one = first.resolved.token.as_ref()?;
    let other = second.resolved.token.as_ref().filter(|other| other.value == one.value)?;
    let message = format!("this is the token of agent `{}`", first.id);
    Some(
        Diagnostic::at(&own_place(second, other), "messager.token", message)
            .label("two agents cannot share one device")
            .related(&one.place, "first used here")
            .hint("`messager account add` makes a token for each"),
    )
}

fn same_store(
    first: &Rival<'_>,
    first_store: &Path,
    second: &Rival<'_>,
    second_store: &Path,
) -> Option<Diagnostic> {
    let message = if first_store == second_store {
        format!("this is the crypto store of agent `{}`", first.id)
    } else if second_store.starts_with(first_store) {
        format!("this lies inside the crypto store of agent `{}`", first.id)
    } else if first_store.starts_with(second_store) {
        format!("the crypto store of agent `{}` lies inside this one", first.id)
    } else {
        return None;
    };
    let place = own_place(second, &second.resolved.store_path);
    Some(
        Diagnostic::at(&place, "encryption.store_path", message)
            .label("each agent needs a folder of its own")
            .related(&first.resolved.store_path.place, "the first agent's")
            .hint("without the key, the store is `data/crypto` in the agent's folder"),
    )
}

/// Where the agent's own file is to be changed, if the value comes from the defaults.
fn own_place<T>(rival: &Rival<'_>, located: &Located<T>) -> Place {
    if located.place.file().name() == rival.file.name() {
        located.place.clone()
    } else {
        Place::start_of(rival.file)
    }
}

/// Server names have no case.
fn account(user_id: &str) -> (&str, String) {
    let (local, server) = user_id.split_once(':').unwrap_or((user_id, ""));
    (local, server.to_ascii_lowercase())
}

/// The path without links, as far as it exists, and without `..`.
pub(crate) fn canonical(path: &Path) -> PathBuf {
    let mut known = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                known.pop();
            }
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                known.push(component);
                if let Ok(real) = fs_err::canonicalize(&known) {
                    known = real;
                }
            }
        }
    }
    known
}
