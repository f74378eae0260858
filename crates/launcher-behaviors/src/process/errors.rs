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
    let mut counted = Counted(Allowance::new(MOST, STRETCH));
    while let Ok(Some(Line::Whole(line) | Line::Cut(line))) = lines.next().await {
        if !counted.0.take(Instant::now()) {
            continue;
        }
        counted.tell();
        let line = plain(&String::from_utf8_lossy(&line), LONGEST);
        info!(event = "robot_line", line, "a program wrote to its standard error");
    }
    counted.tell();
    // A robot may close it and go on.
    std::future::pending().await
}

/// Tells how many lines were left out, at the latest when the robot has ended.
struct Counted(Allowance);

impl Counted {
    fn tell(&mut self) {
        let count = self.0.refused();
        if count > 0 {
            warn!(
                event = "robot_lines_left_out",
                count, "a program wrote too much to its standard error"
            );
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Text as it may stand in a log: one line of at most so many characters.
pub(crate) fn plain(text: &str, most: usize) -> String {
    // Marks that change the direction of writing make a line look like another,
    // and separators make two of it.
    let is_odd = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}')
            || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
        assert_eq!(plain("a\u{2028}b\u{200f}c", 50), "a\u{fffd}b\u{fffd}c");
        assert_eq!(plain("ääääää", 3), "äää");
    }
}
