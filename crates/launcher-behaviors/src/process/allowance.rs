//! So many in so long.

use std::time::{Duration, Instant};

/// Counts in stretches of time.
#[derive(Debug)]
pub(crate) struct Allowance {
    most: u32,
    stretch: Duration,
    since: Option<Instant>,
    taken: u32,
    refused: u64,
}

impl Allowance {
    pub(crate) fn new(most: u32, stretch: Duration) -> Self {
        Self { most, stretch, since: None, taken: 0, refused: 0 }
    }

    /// Whether there may be one more now.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.duration_since(since) >= self.stretch) {
            (self.since, self.taken) = (Some(now), 0);
        }
        let allowed = self.taken < self.most;
        match allowed {
            true => self.taken += 1,
            false => self.refused += 1,
        }
        allowed
    }

    /// How many were refused since this was last asked.
    pub(crate) fn refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_refused_until_the_stretch_is_over() {
        let (mut allowance, now) = (Allowance::new(2, Duration::from_secs(10)), Instant::now());
        let taken: Vec<bool> = (0..4).map(|_| allowance.take(now)).collect();
        assert_eq!(taken, [true, true, false, false]);
        assert!(!allowance.take(now + Duration::from_secs(9)));
        assert!(allowance.take(now + Duration::from_secs(10)));
        assert_eq!((allowance.refused(), allowance.refused()), (3, 0));
    }
}
