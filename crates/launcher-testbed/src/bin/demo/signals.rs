//! Turns signals into a wish that is looked at between two steps.
//!
//! The first signal asks for an orderly end; the second ends the process at
//! once. Its children end with it in either case, only less politely.

use std::{
    io,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag, low_level,
};

use crate::{error::DemoError, progress::complain};

/// How long an orderly end may take.
///
/// Longer than the launcher (10 s), Synapse (15 s) and Node (15 s) may take
/// one after the other.
const ORDERLY_END: Duration = Duration::from_secs(45);

/// How often the clock of [`ORDERLY_END`] is looked at.
const POLL: Duration = Duration::from_millis(200);

/// What a process that ended by a signal exits with is this and its number.
const BY_SIGNAL: i32 = 128;

/// Whether somebody has asked for the end.
#[derive(Debug, Clone)]
pub(crate) struct Interruption {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Interruption {
    /// Takes the signals over; from here on the first of them only asks.
    pub(crate) fn listen() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the first signal finds the flag unset and sets it.
            flag::register_conditional_shutdown(number, BY_SIGNAL + number, asked.clone())?;
            flag::register_usize(number, signal.clone(), number.unsigned_abs() as usize)?;
            flag::register(number, asked.clone())?;
        }
        let interruption = Self { asked, signal };
        let watched = interruption.clone();
        thread::spawn(move || watched.enforce());
        Ok(interruption)
    }

    /// Whether a signal has come.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Fails once a signal has come.
    pub(crate) fn check(&self) -> Result<(), DemoError> {
        if self.is_asked() { Err(DemoError::Interrupted) } else { Ok(()) }
    }

    /// What the process exits with after a signal.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let number = self.signal.load(Ordering::SeqCst);
        ExitCode::from(u8::try_from(BY_SIGNAL.unsigned_abs() as usize + number).unwrap_or(u8::MAX))
    }

    /// Ends the process if the orderly end does not come.
    fn enforce(&self) {
        while !self.is_asked() {
            thread::sleep(POLL);
        }
        thread::sleep(ORDERLY_END);
        complain(format!("demo: not everything stopped within {ORDERLY_END:?}; it is cut off"));
        low_level::exit(1);
    }
}
