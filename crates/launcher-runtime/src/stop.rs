//! Asking a task to end, and making it.

use tokio_util::sync::CancellationToken;

/// How a task is told to end: *soft* to finish what it holds, *hard* to drop it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Stop {
    /// A stop that nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks to finish what is in hand and end.
    pub fn ask(&self) {
        self.soft.cancel();
    }

    /// Demands an end at once.
    pub fn demand(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Ends when a stop was asked for.
    pub async fn asked(&self) {
        self.soft.cancelled().await;
    }

    /// Ends when a stop was demanded.
    pub async fn demanded(&self) {
        self.hard.cancelled().await;
    }

    /// Whether a stop was asked for.
    pub fn is_asked(&self) -> bool {
        self.soft.is_cancelled()
    }
}
