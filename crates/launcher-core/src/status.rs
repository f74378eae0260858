//! What an operator is told about an agent.

/// Where an agent is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentState {
    /// Waiting for its turn, or connecting.
    Starting,
    /// A message sent now is answered.
    Running,
    /// It answers, but something an operator should know about is not right.
    Degraded,
    /// It failed and will be started again by itself.
    Backoff,
    /// It failed for good: only the named action ends this.
    Parked,
    /// Finishing what it has in hand.
    Stopping,
    /// Not running, and not meant to.
    Stopped,
}

impl AgentState {
    /// Every state there is.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::Running,
        Self::Degraded,
        Self::Backoff,
        Self::Parked,
        Self::Stopping,
        Self::Stopped,
    ];

    /// The word for it in `status --json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Backoff => "backoff",
            Self::Parked => "parked",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// An agent's state with the reason for it and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where it is in its life.
    pub state: AgentState,
    /// Why, where that is not obvious: a code, then a sentence.
    pub reason: Option<String>,
    /// The command or edit that helps.
    pub action: Option<String>,
}

impl Standing {
    /// A state that needs no explanation.
    pub fn plain(state: AgentState) -> Self {
        Self { state, reason: None, action: None }
    }

    /// The code that the reason begins with.
    pub fn reason_code(&self) -> Option<&str> {
        let reason = self.reason.as_deref()?;
        Some(reason.split_once(':').map_or(reason, |(code, _)| code))
    }
}
