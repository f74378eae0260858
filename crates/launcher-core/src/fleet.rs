//! Decides which agents are started, stopped, tried again and parked.
//!
//! The fleet is told what is wanted and what happened; it answers with
//! [`Effect`]s and never acts itself. It is level-triggered: a reload hands in
//! the whole wanted picture again, and only agents for which it differs from
//! what runs are touched.

mod member;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{agent::AgentId, fault::Fault, moment::Moment, spec::AgentSpec, status::Standing};

use member::{Member, Phase};

/// How many agents may be connecting at once: each costs the server a password
/// hash, key uploads and an initial sync.
pub const STARTING_AT_ONCE: usize = 8;

/// How long an agent may take to become ready before its task is cut off and
/// tried again. A first start on a busy server takes seconds, not minutes.
pub const START_LIMIT: Duration = Duration::from_secs(5 * 60);

/// How long an agent may take to stop, when its files changed, before its task
/// is cut off. Longer than an answer that is being made and sent should take.
pub const STOP_LIMIT: Duration = Duration::from_secs(60);

/// An agent that ran this long has recovered: its next fault starts the
/// back-off from the beginning.
pub const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// What the files say about one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It should run like this.
    Run(Box<AgentSpec>),
    /// Its file is not valid.
    Broken(Fault),
    /// It is switched off.
    Disabled,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The files were read.
    Wanted {
        /// All agents there are; one that is not named is gone.
        agents: BTreeMap<AgentId, Wanted>,
        /// Those that somebody acted on: parked ones among them are tried again.
        touched: BTreeSet<AgentId>,
    },
    /// An agent answers from now on.
    Ready(AgentId),
    /// An agent answers, but not everything is right (`Some`), or all is right again.
    Health(AgentId, Option<Degradation>),
    /// An agent's task has ended and everything it held is released.
    Ended {
        /// Whose task.
        agent: AgentId,
        /// `None` when it ended because it was asked to.
        fault: Option<Fault>,
        /// A random number from 0 to 1, for the wait before the next try.
        jitter: f64,
    },
    /// The time given by [`Fleet::deadline`] has come.
    DeadlineReached,
    /// An operator wants the agent's files for a moment: its task is to end, and
    /// no other to begin before [`Event::Released`].
    HoldAsked(AgentId),
    /// The operator is done with the agent's files.
    Released(AgentId),
    /// Everything should stop.
    StopAsked,
}

/// What is not right about an agent that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Degradation {
    /// Code and sentence.
    pub reason: String,
    /// What helps.
    pub action: String,
}

impl Degradation {
    /// Codes of what keeps answers from people.
    pub const SILENCING: [&'static str; 5] =
        ["server_unavailable", "sync_stalled", "sending_fails", "behavior_failed", "robot_missing"];

    /// Whether it keeps answers from people.
    pub fn is_silencing(&self) -> bool {
        let code = self.reason.split(':').next().unwrap_or_default();
        Self::SILENCING.contains(&code)
    }
}

/// Something the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start this agent's task.
    Launch(Box<AgentSpec>),
    /// Ask the agent's task to finish what it has in hand and end.
    Stop(AgentId),
    /// End the agent's task at once; it did not become ready, or stop, in time.
    CutOff(AgentId),
    /// The agent's task has ended: whoever wanted its files may have them.
    Hold(AgentId),
    /// Tell that the agent is parked.
    Parked(AgentId, Fault),
    /// Tell that the agent will be started again after the wait.
    Restarting(AgentId, Fault, Duration),
    /// Tell that the agent has stopped.
    Stopped(AgentId),
}

/// All agents and where they stand.
#[derive(Debug, Default)]
pub struct Fleet {
    members: BTreeMap<AgentId, Member>,
    stopping: bool,
}

impl Fleet {
    /// A fleet without agents.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened and says what follows.
    pub fn on_event(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Wanted { agents, touched } => {
                self.on_wanted(agents, &touched, now, &mut effects)
            }
            Event::Ready(agent) => self.with(&agent, |member| member.on_ready(now)),
            Event::Health(agent, found) => self.with(&agent, |member| member.on_health(found)),
            Event::Ended { agent, fault, jitter } => {
                self.on_ended(&agent, fault, jitter, now, &mut effects);
            }
            Event::DeadlineReached => {}
            Event::HoldAsked(agent) => {
                self.with(&agent, |member| member.on_hold_asked(&agent, now, &mut effects));
            }
            Event::Released(agent) => {
                self.with(&agent, |member| member.on_released(&agent, &mut effects));
                self.forget();
            }
            Event::StopAsked => self.on_stop_asked(now, &mut effects),
        }
        self.expire(now, &mut effects);
        self.launch(now, &mut effects);
        effects
    }

    /// When [`Event::DeadlineReached`] is due next, if ever.
    pub fn deadline(&self) -> Option<Moment> {
        self.members.values().filter_map(Member::deadline).min()
    }

    /// Whether a stop was asked for and every task has ended.
    pub fn is_done(&self) -> bool {
        self.stopping && !self.members.values().any(Member::has_task)
    }

    /// Whether a stop was asked for.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Where each agent stands.
    pub fn standings(&self) -> BTreeMap<AgentId, Standing> {
        self.members.iter().map(|(id, member)| (id.clone(), member.standing(id))).collect()
    }

    /// What an agent should run as; `None` if there is no such agent, or its
    /// file is not valid or switches it off.
    pub fn spec(&self, agent: &AgentId) -> Option<&AgentSpec> {
        self.members.get(agent)?.spec.as_deref()
    }

    fn with(&mut self, agent: &AgentId, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.members.get_mut(agent) {
            change(member);
        }
    }

    fn on_wanted(
        &mut self,
        agents: BTreeMap<AgentId, Wanted>,
        touched: &BTreeSet<AgentId>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        if self.stopping {
            return;
        }
        for (id, member) in &mut self.members {
            if !agents.contains_key(id) {
                member.on_removed(id, now, effects);
            }
        }
        for (id, wanted) in agents {
            let member = self.members.entry(id.clone()).or_insert_with(Member::new);
            member.on_wanted(&id, wanted, touched.contains(&id), now, effects);
        }
        self.forget();
    }

    fn on_ended(
        &mut self,
        agent: &AgentId,
        fault: Option<Fault>,
        jitter: f64,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        self.with(agent, |member| member.on_ended(agent, fault, jitter, now, effects));
        self.forget();
    }

    fn on_stop_asked(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.stopping = true;
        for (id, member) in &mut self.members {
            member.on_stop_asked(id, now, effects);
        }
    }

    /// Agents whose folder is gone stay only as long as their task.
    fn forget(&mut self) {
        self.members.retain(|_, member| !member.is_gone());
    }

    fn expire(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        for (id, member) in &mut self.members {
            member.on_deadline(id, now, effects);
        }
    }

    fn launch(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.stopping {
            return;
        }
        let starting =
            self.members.values().filter(|m| matches!(m.phase, Phase::Starting { .. })).count();
        let free = STARTING_AT_ONCE.saturating_sub(starting);
        let waiting = self.members.values_mut().filter(|m| matches!(m.phase, Phase::Waiting));
        for member in waiting.take(free) {
            if let Some(spec) = &member.spec {
                effects.push(Effect::Launch(spec.clone()));
                member.phase = Phase::Starting { limit: now.later(START_LIMIT), cut_off: false };
            }
        }
    }
}

#[cfg(test)]
mod tests;
