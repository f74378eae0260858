//! Says that something takes its time, to whoever waits for it.

use std::{future::Future, pin::pin, time::Duration};

use tokio::time::{Instant, sleep};

use crate::exit::say;

/// After how long it is said for the first time: what is over before that needs
/// no word.
const FIRST: Duration = Duration::from_secs(2);

/// How often it is said again.
const AGAIN: Duration = Duration::from_secs(15);

/// Waits for `work`; if it takes long, says on standard error what is waited
/// for, and for how long already. Dropping this drops the work.
pub(crate) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    telling(what, work, say).await
}

async fn telling<T>(what: &str, work: impl Future<Output = T>, tell: impl Fn(&str)) -> T {
    let begun = Instant::now();
    let mut work = pin!(work);
    let mut pause = FIRST;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep(pause) => tell(&format!("{what} ({} s)", begun.elapsed().as_secs())),
        }
        pause = AGAIN;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_told_and_what_does_not_is_not() {
        let told = RefCell::new(Vec::new());
        let tell = |line: &str| told.borrow_mut().push(line.to_owned());
        telling("waiting", sleep(Duration::from_secs(1)), tell).await;
        assert_eq!(*told.borrow(), [""; 0]);
        telling("waiting", sleep(Duration::from_secs(20)), tell).await;
        assert_eq!(*told.borrow(), ["waiting (2 s)", "waiting (17 s)"]);
    }
}
