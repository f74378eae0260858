//! How often something may be done.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::values::Moment;

/// When more than so many are remembered, those that count no more are forgotten.
const REMEMBERED: usize = 10_000;

/// So many a minute for each `K`, and as many at once after a minute of nothing.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    per_minute: u32,
    used: Mutex<HashMap<K, Bucket>>,
}

/// When it will be empty, if nothing is put into it.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In microseconds since 1970.
    empty_at: i64,
}

const MINUTE: i64 = 60_000_000;

impl<K: Eq + Hash> Rates<K> {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute: per_minute.max(1), used: Mutex::default() }
    }

    /// Counts one.
    ///
    /// # Errors
    ///
    /// How long to wait, if it is too many. Then it is not counted.
    pub(crate) fn take(&self, key: K, now: Moment) -> Result<(), Duration> {
        let now = now.0.saturating_mul(1000);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= REMEMBERED {
            used.retain(|_, bucket| bucket.empty_at > now);
        }
        let bucket = used.entry(key).or_insert(Bucket { empty_at: now });
        let full = bucket.empty_at.max(now).saturating_add(MINUTE / i64::from(self.per_minute));
        let wait = full.saturating_sub(now).saturating_sub(MINUTE);
        if wait > 0 {
            return Err(Duration::from_micros(u64::try_from(wait).unwrap_or(0)));
        }
        bucket.empty_at = full;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_and_then_one_after_another() {
        let rates = Rates::new(3);
        let take = |at| rates.take("a", Moment(at));
        for _ in 0..3 {
            take(0).unwrap();
        }
        assert_eq!(take(0), Err(Duration::from_secs(20)));
        assert_eq!(take(5_000), Err(Duration::from_secs(15)));
        take(20_000).unwrap();
        assert_eq!(take(20_000), Err(Duration::from_secs(20)));
        rates.take("b", Moment(20_000)).unwrap();
        for _ in 0..3 {
            take(1_000_000).unwrap();
        }
        take(1_000_000).unwrap_err();
    }

    #[test]
    fn who_counts_no_more_is_forgotten() {
        let rates = Rates::new(60);
        for key in 0..REMEMBERED {
            rates.take(key, Moment(0)).unwrap();
        }
        rates.take(usize::MAX, Moment(60_000)).unwrap();
        assert_eq!(rates.used.lock().unwrap().len(), 1);
    }
}
