//! How an agent becomes one file that an operator can keep or carry away.

use std::{fmt, path::Path};

use async_trait::async_trait;
use launcher_core::spec::AgentSpec;

use super::maintenance::MaintenanceError;

/// Makes archives of agents.
#[async_trait]
pub trait Archives: Send + Sync + fmt::Debug {
    /// Writes everything that belongs to the agent into a new file at `out`, an
    /// absolute path, sealed with the agent's pickle key. Needs the agent at
    /// rest: its task ended and its folder locked by this process.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError::Refused`] if something has the name already, or the
    /// agent's files cannot be read now; nothing is left at `out` then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is dropped before it is done leaves no file at `out`,
    /// although it may go on for a moment.
    async fn write(&self, spec: &AgentSpec, out: &Path)
    -> Result<ArchiveSummary, MaintenanceError>;
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveSummary {
    /// How many files went into it.
    pub files: usize,
    /// How large it is, in bytes.
    pub size: u64,
}
