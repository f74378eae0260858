//! What an agent has spent today.
//!
//! What a question may cost at most is written down as spent before it is
//! asked, and put right afterwards. A kill in between leaves too much written
//! down, and never too little.

use jiff::{Span, civil::Date};
use launcher_core::llm::spending::{Amount, Day, Limits, Reserved, UsedUp};
use launcher_runtime::ports::{BehaviorFault, Memory, Stage};
use tokio::sync::Mutex;

/// Where it is remembered.
const KEY: &str = "llm/spending";

/// By how many days the day that is written down may be ahead of today: clocks
/// are put right and time zones changed. One that is further ahead was written
/// down by a clock that was wrong.
const AHEAD: i64 = 2;

/// Counts for all of an agent's rooms.
#[derive(Debug)]
pub(super) struct Purse {
    limits: Limits,
    /// Nothing until it was first looked at. Held while it is written down, so
    /// that what is written last is right.
    day: Mutex<Option<Day>>,
}

impl Purse {
    /// A purse with these limits.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, day: Mutex::new(None) }
    }

    /// Takes `amount` from what may be spent `today`, if that much is left. What
    /// day it is is asked when everybody before has had their turn.
    pub(super) async fn reserve(
        &self,
        stage: &dyn Stage,
        today: impl FnOnce() -> Date,
        amount: Amount,
    ) -> Result<Result<Reserved, UsedUp>, BehaviorFault> {
        let mut known = self.day.lock().await;
        let mut day = match known.take() {
            Some(day) => day,
            None => recall(stage).await?,
        };
        let date = not_before(day.date(), today());
        let reserved = day.reserve(&date, amount, &self.limits);
        *known = Some(day.clone());
        if reserved.is_ok() {
            self.write(stage, &day).await?;
        }
        Ok(reserved)
    }

    /// Puts right what was reserved.
    pub(super) async fn settle(
        &self,
        stage: &dyn Stage,
        reserved: Reserved,
        actual: Amount,
    ) -> Result<(), BehaviorFault> {
        let mut known = self.day.lock().await;
        let Some(day) = known.as_mut() else { return Ok(()) };
        day.settle(reserved, actual);
        let day = day.clone();
        self.write(stage, &day).await
    }

    /// Without limits nobody asks what was spent.
    async fn write(&self, stage: &dyn Stage, day: &Day) -> Result<(), BehaviorFault> {
        if self.limits == Limits::default() {
            return Ok(());
        }
        let value = serde_json::to_vec(day)
            .map_err(|_| BehaviorFault::new("what was spent cannot be written down"))?;
        stage.remember(vec![Memory { key: KEY.to_owned(), value: Some(value) }]).await
    }
}

/// Today, or the day that is written down if that is a little later: a day does
/// not begin twice.
fn not_before(written: &str, today: Date) -> String {
    let last = today.saturating_add(Span::new().days(AHEAD));
    match written.parse::<Date>() {
        Ok(written) if written > today && written <= last => written.to_string(),
        _ => today.to_string(),
    }
}

/// A record that cannot be read is of another version, and of nothing else:
/// nobody but this module writes it.
async fn recall(stage: &dyn Stage) -> Result<Day, BehaviorFault> {
    let kept = stage.recall(KEY).await?;
    Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default())
}
