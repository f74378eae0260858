//! Which parked agents an operator knows about.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fs_err::{self as fs, OpenOptions, os::unix::fs::OpenOptionsExt};
use launcher_core::{
    acknowledgement::{Acknowledgement, clear},
    agent::AgentId,
    status::{AgentState, Standing},
};
use launcher_runtime::{StatusBoard, stamp};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{Denied, Desk, about::About};

/// The file's name in the launcher's own folder.
const FILE_NAME: &str = "acknowledged.json";

/// What is known, kept in a file so that it outlives the process.
#[derive(Clone, Debug, Default)]
pub struct Acknowledgements {
    known: Arc<Mutex<BTreeMap<AgentId, Acknowledgement>>>,
    path: Option<PathBuf>,
}

/// The file.
#[derive(Default, Serialize, Deserialize)]
struct Content {
    agents: BTreeMap<String, Acknowledgement>,
}

impl Acknowledgements {
    /// What is known in this folder, that of the launcher itself. A file that
    /// cannot be read is none: whoever knew will be asked to say so again.
    pub fn load(folder: &Path) -> Self {
        let path = folder.join(FILE_NAME);
        let read = || -> io::Result<Content> { Ok(serde_json::from_slice(&fs::read(&path)?)?) };
        let content = match read() {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(error) => {
                warn!(%error, "what operators acknowledged is lost: run `launcher acknowledge` again");
                Content::default()
            }
        };
        let known = content.agents.into_iter();
        let known = known.filter_map(|(agent, known)| Some((agent.parse().ok()?, known))).collect();
        Self { known: Arc::new(Mutex::new(known)), path: Some(path) }
    }

    /// What is known now.
    pub fn all(&self) -> BTreeMap<AgentId, Acknowledgement> {
        self.lock().clone()
    }

    /// Forgets what is of no use any more, whenever an agent's state changes.
    /// Never ends.
    pub async fn follow(&self, mut board: StatusBoard) {
        loop {
            let standings = board.changed().await;
            let mut known = self.lock();
            if clear(&mut known, &standings)
                && let Err(error) = self.write(&known)
            {
                warn!(%error, "what operators acknowledged could not be written");
            }
        }
    }

    fn add(&self, agent: AgentId, known: Acknowledgement) -> io::Result<()> {
        let mut all = self.lock();
        let mut wanted = all.clone();
        wanted.insert(agent, known);
        self.write(&wanted)?;
        *all = wanted;
        Ok(())
    }

    /// Replaces the file as a whole.
    fn write(&self, known: &BTreeMap<AgentId, Acknowledgement>) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let agents = known.iter().map(|(agent, known)| (agent.to_string(), known.clone()));
        let content = serde_json::to_vec(&Content { agents: agents.collect() })?;
        let draft = path.with_extension("json.new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft)?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AgentId, Acknowledgement>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    pub(crate) fn acknowledged(&self) -> BTreeMap<AgentId, Acknowledgement> {
        self.acknowledgements.all()
    }

    /// Notes that an operator knows why an agent is parked.
    pub(crate) fn acknowledge(
        &self,
        agent: &AgentId,
        note: Option<String>,
    ) -> Result<Acknowledgement, Denied> {
        About::agent(agent).noted("acknowledge", self.try_acknowledge(agent, note))
    }

    fn try_acknowledge(
        &self,
        agent: &AgentId,
        note: Option<String>,
    ) -> Result<Acknowledgement, Denied> {
        let standing = self.board.standing(agent);
        let standing =
            standing.ok_or_else(|| launcher_runtime::HoldError::Unknown(agent.clone()))?;
        let reason = parked_for(agent, &standing)?;
        let known = Acknowledgement { reason, at_ms: stamp().0, note };
        self.acknowledgements.add(agent.clone(), known.clone()).map_err(|error| {
            Denied::Refused {
                reason: format!("it could not be written down: {error}"),
                action: "make room, or put the folder's owner right".to_owned(),
            }
        })?;
        info!(agent = agent.as_str(), reason = known.reason, "an operator knows that it is parked");
        Ok(known)
    }
}

fn parked_for(agent: &AgentId, standing: &Standing) -> Result<String, Denied> {
    let reason = standing.reason_code().filter(|_| standing.state == AgentState::Parked);
    reason.map(ToOwned::to_owned).ok_or_else(|| Denied::Refused {
        reason: format!("{agent} is not parked ({})", standing.state.as_str()),
        action: "only what is parked waits for somebody; `launcher status` shows the rest"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn known() -> Acknowledgement {
        Acknowledgement { reason: "token_invalid".into(), at_ms: 5, note: Some("on leave".into()) }
    }

    #[test]
    fn what_is_known_outlives_the_process_in_a_file_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let agent: AgentId = "a".parse().unwrap();
        let first = Acknowledgements::load(folder.path());
        first.add(agent.clone(), known()).unwrap();
        let path = folder.path().join(FILE_NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = Acknowledgements::load(folder.path());
        assert_eq!(second.all(), BTreeMap::from([(agent, known())]));
    }

    #[test]
    fn a_damaged_file_is_no_reason_not_to_start() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), "{\"agents\":").unwrap();
        let found = Acknowledgements::load(folder.path());
        assert!(found.all().is_empty());
        found.add("a".parse().unwrap(), known()).unwrap();
        assert_eq!(Acknowledgements::load(folder.path()).all().len(), 1);
    }
}
