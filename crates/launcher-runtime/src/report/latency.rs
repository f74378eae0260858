//! How long things take, counted as Prometheus' histograms are.

use std::time::Duration;

/// The upper bounds of the buckets, in seconds: from a send on a quiet server
/// to one that shares a room's key with hundreds of devices.
pub const BOUNDS: [f64; 12] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// Durations, counted by size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latency {
    /// How many fell into each bucket and into none before it; the last one has
    /// what is above all bounds.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// All of them together, in seconds.
    pub sum: f64,
}

impl Latency {
    /// Counts one.
    pub fn observe(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.sum += took;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_falls_into_the_first_bucket_that_holds_it() {
        let mut latency = Latency::default();
        for millis in [25, 26, 1_000, 500_000] {
            latency.observe(Duration::from_millis(millis));
        }
        assert_eq!(latency.buckets[..2], [1, 1]);
        assert_eq!((latency.buckets[5], latency.buckets[12]), (1, 1));
        assert_eq!(latency.count(), 4);
        assert!((latency.sum - 501.051).abs() < 1e-6, "{}", latency.sum);
    }
}
