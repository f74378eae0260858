//! What a model may call, and who has to agree.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use launcher_core::{llm::plain, spec::Requirement};
use launcher_runtime::ports::{Answered, BehaviorFault, Question, Stage};
use serde_json::{Map, Value};
use tracing::{info, warn};

use super::{
    agreement,
    provider::{Call, CallResult, Tool},
    work::Work,
};

/// How much of a result a model is told, in bytes.
const RESULT: usize = 48 * 1024;

/// How long arguments may be that somebody has to agree to: they are shown
/// whole, since nobody can agree to what they do not see.
const SHOWN: usize = 4000;

/// Things that can be called.
#[async_trait]
pub(crate) trait Tools: Send + Sync + fmt::Debug {
    /// What there is at the moment.
    async fn list(&self) -> Vec<Offer>;

    /// Calls one of them. It has its own time limit.
    ///
    /// # Cancel safety
    ///
    /// Dropping this gives up the call; whether it did anything is unknown.
    async fn call(&self, name: &str, arguments: &Map<String, Value>) -> Outcome;

    /// What they do by themselves while the agent runs; never ends.
    ///
    /// # Cancel safety
    ///
    /// Dropped when the agent stops, and with it all that was started.
    async fn run(&self) {
        std::future::pending().await
    }
}

/// Something that can be called.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// What the model is told of it.
    pub(crate) tool: Tool,
    /// Who has to agree.
    pub(crate) policy: Policy,
}

/// What has to be before something is called.
#[derive(Clone, Debug)]
pub(crate) enum Policy {
    /// Nothing. It only reads, so it may be called again after a kill.
    Reads,
    /// Nothing; but it acts, so it is not called twice.
    Acts,
    /// Somebody agrees.
    Ask {
        /// Globs (`*`, `?`) on the ids of those who may.
        users: Vec<String>,
        /// How sure it has to be who they are.
        require: Requirement,
        /// How long they have for that.
        timeout: Duration,
    },
}

/// What came of a call.
#[derive(Clone)]
pub(crate) struct Outcome {
    /// What the model is told.
    pub(crate) text: String,
    /// It failed.
    pub(crate) failed: bool,
}

impl fmt::Debug for Outcome {
    /// Leaves out the text, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outcome").field("failed", &self.failed).finish_non_exhaustive()
    }
}

/// Nothing to call.
#[derive(Debug)]
pub(crate) struct NoTools;

#[async_trait]
impl Tools for NoTools {
    async fn list(&self) -> Vec<Offer> {
        Vec::new()
    }

    async fn call(&self, _name: &str, _arguments: &Map<String, Value>) -> Outcome {
        Outcome { text: "there is no such tool".to_owned(), failed: true }
    }
}

/// A call that was made, or was not.
pub(super) struct Made {
    /// What the model is told.
    pub(super) result: CallResult,
    /// How long somebody was asked for it.
    pub(super) asked: Duration,
    /// It did something that must not be done twice, or may have.
    pub(super) acted: bool,
}

/// Makes one call, or says why it was not made. Of one that acts it is noted
/// that it begins. Asking takes as long as it takes.
pub(super) async fn make(
    tools: &dyn Tools,
    offers: &[Offer],
    call: &Call,
    work: &mut Work,
    stage: &dyn Stage,
) -> Result<Made, BehaviorFault> {
    let asking = tokio::time::Instant::now();
    let allowed = allow(offers, call, work, stage).await?;
    let asked = asking.elapsed();
    let acted = match allowed {
        Ok(policy) => !matches!(policy, Policy::Reads),
        Err(why) => return Ok(Made { asked, ..refused(call, why) }),
    };
    if acted {
        work.begin();
        work.note(stage).await?;
    }
    let started = tokio::time::Instant::now();
    let outcome = tools.call(&call.name, &call.arguments).await;
    let took = started.elapsed();
    info!(
        event = "tool_called",
        tool = shown(&call.name),
        failed = outcome.failed,
        ?took,
        "a tool was called"
    );
    Ok(Made { result: result(call, outcome.text, outcome.failed), asked, acted })
}

/// A call that was cut off in an earlier attempt. What only reads is not noted
/// when it begins; so this one acted, or may have, whatever there is of its tool
/// by now.
pub(super) fn interrupted(call: &Call) -> Made {
    warn!(
        event = "tool_interrupted",
        tool = shown(&call.name),
        "the launcher ended while a tool was called; not called again"
    );
    refused(call, Refused::Interrupted)
}

/// A call that is not made any more.
pub(super) fn over(call: &Call, text: &str) -> Made {
    let result = result(call, text.to_owned(), true);
    Made { result, asked: Duration::ZERO, acted: false }
}

fn refused(call: &Call, why: Refused) -> Made {
    info!(
        event = "tool_refused",
        tool = shown(&call.name),
        reason = why.code(),
        "a tool was not called"
    );
    over(call, why.text())
}

fn result(call: &Call, text: String, failed: bool) -> CallResult {
    let mut text = text;
    if text.len() > RESULT {
        let end = (0..=RESULT).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
        text.truncate(end);
        text.push_str("\n[cut: there was more]");
    }
    CallResult { id: call.id.clone(), name: call.name.clone(), text, failed }
}

/// Why a call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Unknown,
    Garbled,
    Interrupted,
    TooLong,
    Declined,
    Expired,
}

impl Refused {
    /// In one word, for machines: stable, `snake_case`.
    fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Garbled => "garbled",
            Self::Interrupted => "interrupted",
            Self::TooLong => "too_long",
            Self::Declined => "declined",
            Self::Expired => "expired",
        }
    }

    /// For the model.
    fn text(self) -> &'static str {
        match self {
            Self::Unknown => "There is no tool of this name.",
            Self::Garbled => "The arguments were cut off or are no JSON object. Nothing was done.",
            Self::Interrupted => {
                "This was interrupted, and it is not known what it did. It is not done again: say \
                 so, so that somebody looks."
            }
            Self::TooLong => {
                "The arguments are too long to be shown to a person. Nothing was done."
            }
            Self::Declined => "A person was asked and declined. Nothing was done.",
            Self::Expired => "A person was asked and did not answer in time. Nothing was done.",
        }
    }
}

/// Whether a call may be made, and how its tool is used.
async fn allow<'a>(
    offers: &'a [Offer],
    call: &Call,
    work: &Work,
    stage: &dyn Stage,
) -> Result<Result<&'a Policy, Refused>, BehaviorFault> {
    let Some(offer) = offers.iter().find(|offer| offer.tool.name == call.name) else {
        return Ok(Err(Refused::Unknown));
    };
    if call.garbled {
        return Ok(Err(Refused::Garbled));
    }
    let Policy::Ask { users, require, timeout } = &offer.policy else {
        return Ok(Ok(&offer.policy));
    };
    let arguments = agreement::arguments(&call.arguments);
    if arguments.len() > SHOWN {
        return Ok(Err(Refused::TooLong));
    }
    let question = Question {
        // This very call, and those who may agree to it now.
        about: format!("{} {} {arguments} {users:?} {require:?}", work.place(), call.name),
        text: format!(
            "I want to call `{}` with:\n{}",
            shown(&call.name),
            plain::block("json", &arguments)
        ),
        users: users.clone(),
        require: *require,
        timeout: *timeout,
    };
    Ok(match stage.ask(question).await? {
        Answered::Yes(user) => {
            info!(event = "tool_approved", tool = shown(&call.name), by = %user, "somebody agreed to the call of a tool");
            Ok(&offer.policy)
        }
        Answered::No(_) => Err(Refused::Declined),
        Answered::Expired => Err(Refused::Expired),
    })
}

/// A tool's name as it may stand in a log and in a room: the model made it up.
fn shown(name: &str) -> String {
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || "_-.".contains(*letter);
    name.chars().filter(plain).take(64).collect()
}
