//! What a robot writes to its standard error, for the log.

use std::time::{Duration, Instant};

use tokio::net::unix::pipe::Receiver;
use tracing::{info, warn};

use super::allowance::Allowance;
use crate::child::{Line, Lines};

/// The longest line that is logged, in bytes; of the rest nothing is.
const LONGEST: usize = 500;

/// How many lines are logged in [`STRETCH`].
const MOST: u32 = 20;
const STRETCH: Duration = Duration::from_secs(10);

/// Logs lines until there are no more.
pub(super) async fn log(errors: Receiver) {
    let mut lines = Lines::new(errors, LONGEST);
    let mut allowance = Allowance::new(MOST, STRETCH);
    while let Ok(Some(Line::Whole(line) | Line::Cut(line))) = lines.next().await {
        if !allowance.take(Instant::now()) {
            continue;
        }
        let left_out = allowance.refused();
        if left_out > 0 {
            warn!(
                event = "robot_lines_left_out",
                count = left_out,
                "a program wrote too much to its standard error"
            );
        }
        let line = plain(&String::from_utf8_lossy(&line), LONGEST);
        info!(event = "robot_line", line, "a program wrote to its standard error");
    }
    // A robot may close it and go on.
    std::future::pending().await
}

/// Text as it may stand in a log: one line of at most so many characters.
pub(crate) fn plain(text: &str, most: usize) -> String {
    // Marks that change the direction of writing make a line look like another.
    let is_odd = |letter: char| {
        letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let letters = text.trim_end().chars().take(most);
    letters.map(|letter| if is_odd(letter) { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_line_of_the_log_is_one_line_of_plain_text() {
        assert_eq!(plain("a\u{1b}[31m b\n", 50), "a\u{fffd}[31m b");
        assert_eq!(plain("a\nb\u{202e}c", 50), "a\u{fffd}b\u{fffd}c");
        assert_eq!(plain("ääääää", 3), "äää");
    }
}
