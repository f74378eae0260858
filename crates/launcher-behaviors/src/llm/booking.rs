//! Asking one model one thing, and booking what it costs.
//!
//! What it may cost at most is booked before. What an answer that broke off, came
//! too late or was hung up on has cost, nobody says: it keeps all that was booked.

use std::time::Duration;

use launcher_core::llm::{
    model::Provider,
    spending::{Amount, Price, Usage, UsedUp},
};
use launcher_runtime::ports::{BehaviorFault, Stage};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};

use super::{
    Llm,
    provider::{Model, ModelFault, ModelRequest, Piece, Reply},
};

/// How long a draft stays at least before there is a longer one: each is a copy
/// of all that was written.
const STAYS: Duration = Duration::from_millis(200);

/// Why there is no reply to one question.
pub(super) enum Failed {
    /// The model failed, after this text.
    Fault(ModelFault, String),
    /// The day's limit is reached; nothing was asked.
    UsedUp(UsedUp),
    /// The time is over; there was this text.
    Late(String),
}

impl Failed {
    /// In one word, for machines: stable, `snake_case`.
    fn code(&self) -> &'static str {
        match self {
            Self::Fault(fault, _) => fault.kind.code(),
            Self::UsedUp(used_up) => used_up.code(),
            Self::Late(_) => "answer_late",
        }
    }
}

impl Llm {
    /// Asks one model one thing, and books what it costs. `most` is how many
    /// tokens the question has at most.
    pub(super) async fn ask(
        &self,
        name: &str,
        request: ModelRequest<'_>,
        most: u64,
        until: Instant,
        stage: &dyn Stage,
        show: impl Fn(&str),
    ) -> Result<Result<Reply, Failed>, BehaviorFault> {
        let (Some(model), Some(spec)) = (self.models.get(name), self.spec.models.get(name)) else {
            return Err(BehaviorFault::new("a model is asked that there is not"));
        };
        if Instant::now() >= until {
            return Ok(Err(Failed::Late(String::new())));
        }
        let price = spec.price.as_ref();
        let output = u64::from(request.max_tokens.unwrap_or(spec.max_tokens));
        let most = Usage { input: most, cached: 0, output };
        let today = || self.now().date();
        let reserved = match self.purse.reserve(stage, today, Amount::of(most, price)).await? {
            Ok(reserved) => reserved,
            Err(used_up) => return Ok(Err(Failed::UsedUp(used_up))),
        };
        let started = Instant::now();
        let (asked, written) = hear(model, request, until, show).await;
        let counted = match &asked {
            Ok(reply) => reply.usage,
            Err(Failed::Fault(fault, _)) => fault.usage,
            Err(Failed::UsedUp(_) | Failed::Late(_)) => None,
        };
        let spent = spent(&asked, reserved.amount(), most.input, written, price);
        self.purse.settle(stage, reserved, spent).await?;
        let outcome = match &asked {
            Ok(reply) if reply.cut => "cut",
            Ok(_) => "answered",
            Err(failed) => failed.code(),
        };
        let counted = counted.unwrap_or_default();
        let (input, output, took) = (counted.input, counted.output, started.elapsed());
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let provider: Provider = spec.provider;
        debug!(event = "model_asked", model = name, %provider, outcome, input, output, booked = spent.tokens, ms, "a request to a model has ended");
        if asked.is_ok() {
            // What was not counted is what was booked.
            let uncounted = (input, output) == (0, 0);
            let input = if uncounted { most.input } else { input };
            let output = if uncounted { tokens(written) } else { output };
            info!(event = "model_answered", model = name, input, output, ?took, "a model answered");
        }
        Ok(asked)
    }
}

/// What a model says, and how much it wrote, in bytes: also what is not said.
async fn hear(
    model: &Model,
    request: ModelRequest<'_>,
    until: Instant,
    show: impl Fn(&str),
) -> (Result<Reply, Failed>, usize) {
    let mut answering = match model.ask(request) {
        Ok(answering) => answering,
        Err(fault) => return (Err(Failed::Fault(fault, String::new())), 0),
    };
    let mut next = Instant::now();
    let mut is_shown = true;
    loop {
        // A model that pauses has what it said so far shown all the same.
        let wait = if is_shown { until } else { until.min(next) };
        let heard = match timeout_at(wait, answering.next()).await {
            Ok(Ok(Piece::Text)) if Instant::now() < next => {
                is_shown = false;
                continue;
            }
            Ok(Ok(Piece::Text)) | Err(_) if Instant::now() < until => {
                show(answering.so_far());
                (next, is_shown) = (Instant::now() + STAYS, true);
                continue;
            }
            Ok(Ok(Piece::Done(reply))) => Ok(*reply),
            Ok(Err(fault)) => Err(Failed::Fault(fault, answering.so_far().to_owned())),
            // Dropping it hangs up.
            Ok(Ok(Piece::Text)) | Err(_) => Err(Failed::Late(answering.so_far().to_owned())),
        };
        return (heard, answering.written());
    }
}

/// What is booked for a question, of which `reserved` is booked by now.
fn spent(
    asked: &Result<Reply, Failed>,
    reserved: Amount,
    input: u64,
    written: usize,
    price: Option<&Price>,
) -> Amount {
    // Some servers count, and come to nothing.
    let counted = |usage: Option<Usage>| {
        let usage = usage.filter(|usage| usage.input > 0 || usage.output > 0);
        usage.map(|usage| Amount::of(usage, price))
    };
    match asked {
        Ok(reply) if reply.cut => counted(reply.usage).unwrap_or(reserved),
        Ok(reply) => counted(reply.usage).unwrap_or_else(|| {
            Amount::of(Usage { input, cached: 0, output: tokens(written) }, price)
        }),
        Err(Failed::Fault(fault, _)) if !fault.charged => Amount::default(),
        Err(Failed::Fault(fault, _)) => counted(fault.usage).unwrap_or_default().max(reserved),
        Err(Failed::UsedUp(_) | Failed::Late(_)) => reserved,
    }
}

fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(3)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
