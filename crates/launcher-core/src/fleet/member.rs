//! One agent of the fleet.

use std::time::Duration;

use super::{Degradation, Effect, RECOVERED_AFTER, STOP_LIMIT, Wanted};
use crate::{
    agent::AgentId,
    backoff,
    fault::Fault,
    moment::Moment,
    spec::AgentSpec,
    status::{AgentState, Standing},
};

/// One agent: what is wanted of it, and where it is.
#[derive(Debug)]
pub(super) struct Member {
    /// What it should run as; `None` while it is broken or disabled.
    pub(super) spec: Option<Box<AgentSpec>>,
    pub(super) phase: Phase,
    attempt: u32,
    degraded: Option<Degradation>,
}

/// Where an agent is. Those from `Starting` to `Stopping` have a task.
#[derive(Debug)]
pub(super) enum Phase {
    Waiting,
    Starting {
        limit: Moment,
        cut_off: bool,
    },
    Running {
        since: Moment,
    },
    Stopping {
        then: Next,
        limit: Moment,
        cut_off: bool,
    },
    Backoff {
        until: Moment,
        fault: Fault,
    },
    Parked {
        fault: Fault,
    },
    /// An operator has its files. What follows is what would follow now.
    Held {
        then: Next,
    },
    Stopped,
    Gone,
}

/// What follows when a task that was asked to stop has ended.
#[derive(Debug)]
pub(super) enum Next {
    Restart,
    Rest,
    Vanish,
    Park(Fault),
    Hold,
}

impl Member {
    pub(super) fn new() -> Self {
        Self { spec: None, phase: Phase::Stopped, attempt: 0, degraded: None }
    }

    pub(super) fn has_task(&self) -> bool {
        match self.phase {
            Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Held { .. } => true,
            Phase::Waiting
            | Phase::Backoff { .. }
            | Phase::Parked { .. }
            | Phase::Stopped
            | Phase::Gone => false,
        }
    }

    /// Whether nothing is wanted of it and nothing is left to wait for.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone)
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        match self.phase {
            Phase::Starting { limit, cut_off: false }
            | Phase::Stopping { limit, cut_off: false, .. } => Some(limit),
            Phase::Backoff { until, .. } => Some(until),
            Phase::Starting { cut_off: true, .. }
            | Phase::Stopping { cut_off: true, .. }
            | Phase::Waiting
            | Phase::Running { .. }
            | Phase::Parked { .. }
            | Phase::Held { .. }
            | Phase::Stopped
            | Phase::Gone => None,
        }
    }

    /// Takes in what the files say now. `touched` means that somebody acted on
    /// this agent, so a parked one is worth another try.
    pub(super) fn on_wanted(
        &mut self,
        id: &AgentId,
        wanted: Wanted,
        touched: bool,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let parked = matches!(self.phase, Phase::Parked { .. });
        match wanted {
            Wanted::Run(spec) => {
                let changed = self.spec.as_ref() != Some(&spec);
                if changed || (parked && touched) {
                    self.spec = Some(spec);
                    self.attempt = 0;
                    self.leave(id, Next::Restart, now, effects);
                }
            }
            // A broken edit leaves alone what runs, or will run again by itself.
            Wanted::Broken(_) if self.spec.is_some() && !parked => {}
            Wanted::Broken(fault) => {
                self.spec = None;
                self.leave(id, Next::Park(fault), now, effects);
            }
            Wanted::Disabled => {
                self.spec = None;
                self.leave(id, Next::Rest, now, effects);
            }
        }
    }

    pub(super) fn on_removed(&mut self, id: &AgentId, now: Moment, effects: &mut Vec<Effect>) {
        self.spec = None;
        self.leave(id, Next::Vanish, now, effects);
    }

    /// Ends the agent's task, if it has one, for an operator who wants its files.
    pub(super) fn on_hold_asked(&mut self, id: &AgentId, now: Moment, effects: &mut Vec<Effect>) {
        // What is about to end for another reason is not to be had.
        let ends = |then: &Next| !matches!(then, Next::Restart | Next::Hold);
        if matches!(self.phase, Phase::Held { .. })
            || matches!(&self.phase, Phase::Stopping { then, .. } if ends(then))
        {
            return;
        }
        if self.has_task() {
            self.leave(id, Next::Hold, now, effects);
            return;
        }
        self.phase = Phase::Held { then: Next::Restart };
        effects.push(Effect::Hold(id.clone()));
    }

    /// Goes on: a hold is an act of the operator, so a parked agent is tried again.
    pub(super) fn on_released(&mut self, id: &AgentId, effects: &mut Vec<Effect>) {
        let then = match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Held { then } => then,
            // Whoever waited for it has given up.
            Phase::Stopping { then: Next::Hold, limit, cut_off } => {
                self.phase = Phase::Stopping { then: Next::Restart, limit, cut_off };
                return;
            }
            other => {
                self.phase = other;
                return;
            }
        };
        self.attempt = 0;
        match then {
            Next::Restart | Next::Hold if self.spec.is_some() => self.phase = Phase::Waiting,
            Next::Park(fault) => self.park(id, fault, effects),
            Next::Vanish => {
                effects.push(Effect::Stopped(id.clone()));
                self.phase = Phase::Gone;
            }
            Next::Restart | Next::Hold | Next::Rest => effects.push(Effect::Stopped(id.clone())),
        }
    }

    pub(super) fn on_ready(&mut self, now: Moment) {
        if matches!(self.phase, Phase::Starting { cut_off: false, .. }) {
            self.phase = Phase::Running { since: now };
        }
    }

    pub(super) fn on_health(&mut self, found: Option<Degradation>) {
        self.degraded = found;
    }

    pub(super) fn on_ended(
        &mut self,
        id: &AgentId,
        fault: Option<Fault>,
        jitter: f64,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        self.degraded = None;
        let ran = match self.phase {
            Phase::Running { since } => now.since(since),
            _ => Duration::ZERO,
        };
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Stopping { then: Next::Restart, .. } => self.phase = Phase::Waiting,
            Phase::Stopping { then: Next::Rest, .. } => effects.push(Effect::Stopped(id.clone())),
            Phase::Stopping { then: Next::Vanish, .. } => {
                effects.push(Effect::Stopped(id.clone()));
                self.phase = Phase::Gone;
            }
            Phase::Stopping { then: Next::Park(fault), .. } => self.park(id, fault, effects),
            Phase::Stopping { then: Next::Hold, .. } => {
                self.phase = Phase::Held { then: Next::Restart };
                effects.push(Effect::Hold(id.clone()));
            }
            Phase::Held { then } => self.phase = Phase::Held { then },
            Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Waiting
            | Phase::Backoff { .. }
            | Phase::Parked { .. }
            | Phase::Stopped
            | Phase::Gone => match fault {
                Some(fault) if fault.is_permanent() => self.park(id, fault, effects),
                Some(fault) => {
                    if ran >= RECOVERED_AFTER {
                        self.attempt = 0;
                    }
                    let wait = backoff::wait(self.attempt, jitter, fault.retry_after());
                    self.attempt = self.attempt.saturating_add(1);
                    effects.push(Effect::Restarting(id.clone(), fault.clone(), wait));
                    self.phase = Phase::Backoff { until: now.later(wait), fault };
                }
                None => effects.push(Effect::Stopped(id.clone())),
            },
        }
    }

    pub(super) fn on_stop_asked(&mut self, id: &AgentId, now: Moment, effects: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Parked { .. }) {
            self.leave(id, Next::Rest, now, effects);
        }
    }

    pub(super) fn on_deadline(&mut self, id: &AgentId, now: Moment, effects: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Starting { limit, cut_off } | Phase::Stopping { limit, cut_off, .. }
                if *limit <= now && !*cut_off =>
            {
                *cut_off = true;
                effects.push(Effect::CutOff(id.clone()));
            }
            Phase::Backoff { until, .. } if *until <= now => self.phase = Phase::Waiting,
            _ => {}
        }
    }

    pub(super) fn standing(&self, id: &AgentId) -> Standing {
        let state = match &self.phase {
            Phase::Waiting | Phase::Starting { .. } => AgentState::Starting,
            Phase::Running { .. } => match &self.degraded {
                Some(degraded) => {
                    return Standing {
                        state: AgentState::Degraded,
                        reason: Some(degraded.reason.clone()),
                        action: Some(degraded.action.clone()),
                    };
                }
                None => AgentState::Running,
            },
            Phase::Stopping { .. } | Phase::Held { .. } => AgentState::Stopping,
            Phase::Backoff { fault, .. } => return faulty(id, AgentState::Backoff, fault),
            Phase::Parked { fault } => return faulty(id, AgentState::Parked, fault),
            Phase::Stopped | Phase::Gone => AgentState::Stopped,
        };
        Standing::plain(state)
    }

    fn park(&mut self, id: &AgentId, fault: Fault, effects: &mut Vec<Effect>) {
        let known = matches!(&self.phase, Phase::Parked { fault: before } if *before == fault);
        if !known {
            effects.push(Effect::Parked(id.clone(), fault.clone()));
        }
        self.phase = Phase::Parked { fault };
    }

    /// Ends what the agent does now, and goes on with `next`.
    fn leave(&mut self, id: &AgentId, next: Next, now: Moment, effects: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Held { then } => {
                *then = next;
                return;
            }
            // Whoever waits for the files gets them; what is wanted now follows after that.
            Phase::Stopping { then: Next::Hold, .. } if matches!(next, Next::Restart) => return,
            Phase::Stopping { then, .. } => {
                *then = next;
                return;
            }
            _ => {}
        }
        if self.has_task() {
            effects.push(Effect::Stop(id.clone()));
            let limit = now.later(STOP_LIMIT);
            self.phase = Phase::Stopping { then: next, limit, cut_off: false };
            return;
        }
        let at_rest = matches!(self.phase, Phase::Stopped | Phase::Gone);
        match next {
            Next::Restart | Next::Hold => self.phase = Phase::Waiting,
            Next::Park(fault) => self.park(id, fault, effects),
            Next::Rest | Next::Vanish => {
                if !at_rest {
                    effects.push(Effect::Stopped(id.clone()));
                }
                let gone = matches!(next, Next::Vanish);
                self.phase = if gone { Phase::Gone } else { Phase::Stopped };
            }
        }
    }
}

fn faulty(id: &AgentId, state: AgentState, fault: &Fault) -> Standing {
    Standing { state, reason: Some(fault.reason()), action: Some(fault.action_for(id)) }
}
