//! Makes an [`AgentSpec`] out of an agent's file and the defaults.
//!
//! The defaults are read by themselves first (see [`check_defaults`]), so a
//! bad value there is reported once, for the root file. Then each agent is
//! read with the defaults under it, and only here is anything missed.

mod answer;
mod behaviors;
mod children;
mod commands;
mod llm;
mod network;
mod parameters;
mod robots;
mod rooms;
mod schedule;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use launcher_core::{
    agent::AgentId,
    secret::{PickleKey, Secret},
    spec::{
        Account, AgentSpec, AnswerPolicy, BehaviorSpec, CatchUp, Encryption, InvitePolicy, Network,
        SettingsPolicy, TrustMode, UndecryptablePolicy, VerificationPolicy,
    },
};
use url::Url;

use self::{
    commands::COMMANDS,
    robots::{PROCESS, WEBHOOK},
    rooms::RoomSetting,
};
use crate::{
    diagnostic::Diagnostic,
    environment::Variables,
    merge::merge,
    reading::{Located, Reading},
    schema, shape,
    source::{Place, SourceFile},
    values::{
        address, command,
        duration::{duration, duration_or_off},
        members::members,
        pickle_key::pickle_key,
        user_id,
    },
    yaml::{Entry, Node, Value},
};

/// How far back an agent answers when nobody says otherwise.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an agent waits for a key before it says that it misses it.
const NOTICE_AFTER: Duration = Duration::from_secs(30);

/// What all agents have in common.
#[derive(Debug)]
pub(crate) struct Common<'a> {
    /// The root file's name in messages.
    pub(crate) root_name: &'a str,
    /// What is wrong with the root file and `.env`.
    pub(crate) broken: &'a [Diagnostic],
    pub(crate) directory: &'a Path,
    pub(crate) variables: &'a Variables<'a>,
    pub(crate) homeserver: Option<Url>,
    pub(crate) defaults: Option<&'a Node>,
    /// Whether everything that agents could take from the root file is known.
    /// If not, nothing is reported as missing.
    pub(crate) complete: bool,
}

/// An agent's file, read.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// `None` if something is wrong with it.
    pub(crate) spec: Option<AgentSpec>,
    pub(crate) found: Vec<Diagnostic>,
    /// The account, also of a broken agent.
    pub(crate) user_id: Option<Located<String>>,
    /// The token of an account on Messager, also of a broken agent.
    pub(crate) token: Option<Located<Secret<String>>>,
    /// The crypto store, also of a broken agent.
    pub(crate) store_path: Located<PathBuf>,
}

/// Reports what is wrong with the values under `defaults`.
pub(crate) fn check_defaults(defaults: &Node, variables: &Variables<'_>) -> Vec<Diagnostic> {
    let mut reading = Reading::new(defaults, "defaults", variables);
    Draft::read(&mut reading);
    reading.found
}

/// Reads one agent.
pub(crate) fn resolve(
    id: &AgentId,
    folder: &Path,
    file: &Rc<SourceFile>,
    common: &Common<'_>,
) -> Resolved {
    let mut found = Vec::new();
    let own = crate::yaml::parse(file, &mut found);
    let meant = own
        .as_ref()
        .map(|own| shape::check(own, &schema::AGENT, "", &mut found))
        .unwrap_or_default();
    let parsed = own.is_some();
    let own = own.unwrap_or_else(|| Node { place: Place::start_of(file), value: Value::Null });
    let tree = common.defaults.map_or_else(|| own.clone(), |defaults| merge(defaults, &own));

    let mut reading = Reading::new(&tree, "", common.variables).in_folder(folder);
    let mut draft = Draft::read(&mut reading);
    if parsed && common.complete {
        let needs = Needs { own: &own, meant: &meant };
        needs.check(&draft, common.homeserver.is_some(), &mut reading);
    }
    network::check(&draft, &own, &mut reading);
    let settings = std::mem::take(&mut draft.rooms);
    let user_id = draft.user_id.clone().filter(|_| draft.network == Network::Matrix);
    let token = messager_token(&draft, &tree);
    let store_path = match &draft.store_path {
        Some(path) => {
            Located { value: tidy(&common.directory.join(&path.value)), place: path.place.clone() }
        }
        None => Located { value: folder.join("data/crypto"), place: Place::start_of(file) },
    };
    let is_good = parsed && found.is_empty() && reading.found.is_empty();
    let mut spec = match is_good {
        true => draft.into_spec(id, folder, store_path.value.clone(), common.homeserver.as_ref()),
        false => None,
    };
    if let Some(spec) = &mut spec {
        rooms::check(spec, settings, &mut reading);
    }
    found.append(&mut reading.found);
    let spec = spec.filter(|_| found.is_empty());
    Resolved { spec, found, user_id, token, store_path }
}

fn messager_token(draft: &Draft, tree: &Node) -> Option<Located<Secret<String>>> {
    let value = draft.token.clone().filter(|_| draft.network == Network::Messager)?;
    Some(Located { value, place: tree.at("messager.token")?.place.clone() })
}

/// Without `.` and doubled slashes; `..` stays, as a link may stand before it.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The values of an agent, as far as they are there and good.
struct Draft {
    enabled: Option<bool>,
    network: Network,
    server: Option<Url>,
    token: Option<Secret<String>>,
    homeserver: Option<Url>,
    user_id: Option<Located<String>>,
    password: Option<Secret<String>>,
    access_token: Option<Secret<String>>,
    store_path: Option<Located<String>>,
    pickle_key: Option<PickleKey>,
    recovery_key: Option<Secret<String>>,
    trust_mode: Option<TrustMode>,
    invites: Invites,
    accept_from: Option<Vec<String>>,
    verification_timeout: Option<Duration>,
    max_age: Option<Duration>,
    /// What is said about notices: nothing, never, or when.
    notice_after: Option<Option<Duration>>,
    answer: AnswerPolicy,
    settings: SettingsPolicy,
    rooms: Vec<RoomSetting>,
    behaviors: Option<Vec<BehaviorSpec>>,
}

impl Draft {
    fn read(reading: &mut Reading<'_>) -> Self {
        let enabled = reading.flag("enabled").map(|flag| flag.value);
        refuse_plaintext(reading);
        let text = |text: &str| Ok(Secret::new(text.to_owned()));
        let network = network::network(reading);
        Self {
            enabled,
            network,
            server: reading.parsed("messager.server", address::messager).map(|found| found.value),
            token: reading.secret("messager.token", network::token),
            homeserver: reading
                .parsed("matrix.homeserver", address::homeserver)
                .map(|found| found.value),
            user_id: reading.parsed("matrix.user_id", user_id::user_id),
            password: reading.secret("matrix.password", text),
            access_token: reading.secret("matrix.access_token", text),
            store_path: reading.parsed("encryption.store_path", address::folder),
            pickle_key: reading.secret("encryption.pickle_key", pickle_key),
            recovery_key: reading.secret("encryption.recovery_key", text),
            trust_mode: trust_mode(reading),
            invites: Invites::read(reading),
            accept_from: reading.list("verification.accept_from", user_id::user_glob),
            verification_timeout: reading
                .parsed("verification.timeout", duration)
                .map(|found| found.value),
            max_age: reading.parsed("catch_up.max_age", duration).map(|found| found.value),
            notice_after: reading
                .parsed("undecryptable.notice_after", duration_or_off)
                .map(|found| found.value),
            answer: answer::answer(reading),
            settings: answer::settings(reading),
            rooms: rooms::read(reading),
            behaviors: behaviors::behaviors(reading),
        }
    }

    fn into_spec(
        self,
        id: &AgentId,
        folder: &Path,
        store_path: PathBuf,
        homeserver: Option<&Url>,
    ) -> Option<AgentSpec> {
        let network = self.network;
        let account = match network {
            Network::Matrix => Account {
                network,
                homeserver: self.homeserver.or_else(|| homeserver.cloned())?,
                user_id: self.user_id?.value,
                password: self.password,
                access_token: self.access_token,
            },
            Network::Messager => Account {
                network,
                homeserver: self.server?,
                user_id: String::new(),
                password: None,
                access_token: Some(self.token?),
            },
        };
        let policy = VerificationPolicy::default();
        let everyone = account.everyone();
        Some(AgentSpec {
            id: id.clone(),
            enabled: self.enabled.unwrap_or(true),
            folder: folder.to_owned(),
            encryption: Encryption {
                store_path,
                pickle_key: self.pickle_key?,
                recovery_key: self.recovery_key,
                trust_mode: self.trust_mode.unwrap_or(TrustMode::Tofu),
            },
            invites: self.invites.into_policy(&everyone),
            verification: VerificationPolicy {
                accept_from: self.accept_from.unwrap_or_else(|| vec![everyone]),
                timeout: self.verification_timeout.unwrap_or(policy.timeout),
            },
            catch_up: CatchUp { max_age: self.max_age.unwrap_or(MAX_AGE) },
            undecryptable: UndecryptablePolicy {
                notice_after: self.notice_after.unwrap_or(Some(NOTICE_AFTER)),
            },
            answer: self.answer,
            settings: self.settings,
            rooms: BTreeMap::new(),
            behaviors: self.behaviors?,
            account,
        })
    }
}

fn trust_mode(reading: &mut Reading<'_>) -> Option<TrustMode> {
    let modes = [
        ("tofu", TrustMode::Tofu),
        ("cross-signing", TrustMode::CrossSigning),
        ("manual", TrustMode::Manual),
    ];
    reading.choice("encryption.trust_mode", &modes)
}

/// What is said about invitations.
struct Invites {
    from: Option<Vec<String>>,
    max_members: Option<u64>,
    require_encryption: Option<bool>,
    auto_leave_empty: Option<bool>,
}

impl Invites {
    fn read(reading: &mut Reading<'_>) -> Self {
        let max_members = reading.parsed("invites.max_members", members);
        Self {
            from: reading.list("invites.from", user_id::user_glob),
            max_members: max_members.map(|found| found.value),
            require_encryption: reading.flag("invites.require_encryption").map(|flag| flag.value),
            auto_leave_empty: reading.flag("invites.auto_leave_empty").map(|flag| flag.value),
        }
    }

    fn into_policy(self, everyone: &str) -> InvitePolicy {
        let policy = InvitePolicy::default();
        InvitePolicy {
            from: self.from.unwrap_or_else(|| vec![everyone.to_owned()]),
            max_members: self.max_members,
            require_encryption: self.require_encryption.unwrap_or(policy.require_encryption),
            auto_leave_empty: self.auto_leave_empty.unwrap_or(policy.auto_leave_empty),
        }
    }
}

fn refuse_plaintext(reading: &mut Reading<'_>) {
    let path = "encryption.enabled";
    let Some(Located { value: false, place }) = reading.flag(path) else {
        return;
    };
    let shown = reading.shown_path(path);
    reading.found.push(
        Diagnostic::at(&place, shown, "no agent runs without encryption")
            .label("write `true`, or remove the key")
            .hint("to stop the agent, write `enabled: false` at the top of its file"),
    );
}

/// What an agent cannot do without.
struct Needs<'a> {
    /// The agent's own file: that is where something is missing.
    own: &'a Node,
    /// Keys that are there under a wrong name.
    meant: &'a BTreeSet<&'static str>,
}

impl Needs<'_> {
    fn check(&self, draft: &Draft, root_homeserver: bool, reading: &mut Reading<'_>) {
        let absent = |path: &str| reading.tree().at(path).is_none();
        let mut missing: Vec<(&str, &str)> = Vec::new();
        if draft.network == Network::Messager {
            if absent("messager.server") {
                missing.push(("messager.server", "write `server: https://…`"));
            }
            if absent("messager.token") && !self.meant.contains("messager.token") {
                missing.push(("messager.token", "write `token: \"${NAME}\"`"));
            }
        } else {
            self.add_matrix(draft, root_homeserver, &absent, &mut missing);
        }
        if absent("encryption.pickle_key") {
            missing.push(("encryption.pickle_key", "write `pickle_key: \"${NAME}\"`"));
        }
        let nothing =
            reading.tree().at("behavior").is_none_or(|node| matches!(node.value, Value::Null));
        if nothing {
            missing.push(("behavior", "write `behavior: { echo: {} }`"));
        }
        missing.retain(|(path, _)| !self.meant.contains(path) && self.could_hold(path));
        for (path, label) in missing {
            let message = match path {
                "matrix.password" => "neither this key nor `matrix.access_token` is there",
                _ => "this key is missing",
            };
            reading.report(path, &self.place(path), message, label);
        }
        self.check_commands(reading);
        self.check_key(reading, PROCESS, "run", "write `run: [\"python3\", \"robot.py\"]`");
        self.check_key(reading, WEBHOOK, "url", "write `url: \"${NAME}\"`");
    }

    /// What an account on Matrix cannot do without.
    fn add_matrix(
        &self,
        draft: &Draft,
        root_homeserver: bool,
        absent: &dyn Fn(&str) -> bool,
        missing: &mut Vec<(&str, &str)>,
    ) {
        if draft.homeserver.is_none() && !root_homeserver && absent("matrix.homeserver") {
            let label = "write `homeserver: https://…` here, or in the root file for all agents";
            missing.push(("matrix.homeserver", label));
        }
        if absent("matrix.user_id") {
            missing.push(("matrix.user_id", "write `user_id: \"@name:server\"`"));
        }
        let meant_token = self.meant.contains("matrix.access_token");
        if absent("matrix.password") && absent("matrix.access_token") && !meant_token {
            let label = "write `password: \"${NAME}\"` or `access_token: \"${NAME}\"`";
            missing.push(("matrix.password", label));
        }
    }

    /// What the behavior at `path` cannot do without, if it is there.
    fn check_key(&self, reading: &mut Reading<'_>, path: &str, key: &str, label: &str) {
        let Some(node) = reading.tree().at(path) else { return };
        let full = shape::join(path, key);
        let map = matches!(node.value, Value::Map(_) | Value::Null);
        if map && node.entry(key).is_none() && !self.meant.contains(full.as_str()) {
            let (section, name) = path.rsplit_once('.').unwrap_or_default();
            let own = self.own.at(section).and_then(|section| section.entry(name));
            let place = own.map_or_else(|| self.place(section), |own| own.key_place.clone());
            reading.report(&full, &place, "this key is missing", label);
        }
    }

    /// An agent with commands needs one, and each needs something to run.
    fn check_commands(&self, reading: &mut Reading<'_>) {
        let Some(node) = reading.tree().at(COMMANDS) else { return };
        let own = self.own.at(COMMANDS);
        let map = |node: &Node| matches!(node.value, Value::Map(_) | Value::Null);
        if map(node) && node.entries().is_empty() {
            let place = own.map_or_else(|| self.place("behavior"), |own| own.place.clone());
            let label = "write `\"!uptime\": { run: [\"uptime\"] }`";
            reading.report(COMMANDS, &place, "there is no command", label);
        }
        let lacking = |entry: &&Entry| map(&entry.value) && entry.value.entry("run").is_none();
        for entry in node.entries().iter().filter(lacking) {
            // A typing error has been reported.
            if self.meant.contains("behavior.commands.<name>.run") {
                continue;
            }
            let own = own.and_then(|own| own.entry(&entry.key));
            let place = own.map_or_else(|| self.place("behavior"), |own| own.key_place.clone());
            let path = format!("{COMMANDS}.{}.run", command::shown(&entry.key));
            reading.report(&path, &place, "this key is missing", "write `run: [\"program\"]`");
        }
    }

    /// Whether the map that should have the key is one. If not, that is the problem.
    fn could_hold(&self, path: &str) -> bool {
        let parent = path.split_once('.').map(|(parent, _)| parent);
        let typo = parent.is_some_and(|parent| self.meant.contains(parent));
        let section = parent.and_then(|parent| self.own.at(parent));
        let map = |node: &Node| matches!(node.value, Value::Map(_) | Value::Null);
        map(self.own) && section.is_none_or(map) && !typo
    }

    /// The key of the section that should have it, or the start of the file.
    fn place(&self, path: &str) -> Place {
        let parent = path.split_once('.').map_or(path, |(parent, _)| parent);
        match self.own.entry(parent) {
            Some(entry) => entry.key_place.clone(),
            None => Place::start_of(self.own.place.file()),
        }
    }
}
