//! A command on a terminal, and somebody who types there.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::launcher::Place;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Starts a program on a terminal of its own. Each step waits until something is
/// shown, after what the step before waited for, and types something; then
/// everything that was shown is printed. Ends as the program does.
const DRIVER: &str = r#"
import json, os, pty, signal, sys
steps, program = json.loads(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(program[0], program)
shown = b""
def look():
    global shown
    try:
        more = os.read(terminal, 4096)
    except OSError:
        more = b""
    shown += more
    return more != b""
def give_up(*_):
    os.kill(pid, signal.SIGKILL)
    sys.stdout.buffer.write(shown + b"\n[nothing more was shown]\n")
    sys.stdout.flush()
    os._exit(99)
signal.signal(signal.SIGALRM, give_up)
signal.alarm(60)
at = 0
for wanted, typed in steps:
    wanted = wanted.encode()
    while wanted not in shown[at:] and look():
        pass
    at = max(shown.find(wanted, at), at) + len(wanted)
    os.write(terminal, typed.encode())
while look():
    pass
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

/// Runs a command of the launcher on a terminal. Each step is what has to be shown
/// before something is typed, and what is typed then. Returns what was shown.
pub(crate) fn typed(place: &Place, arguments: &[&str], steps: &[(&str, &str)]) -> Result<String> {
    let output = Command::new("python3")
        .args(["-c", DRIVER, &json!(steps).to_string()])
        .arg(env!("CARGO_BIN_EXE_launcher"))
        .args(arguments)
        .args(["--config", "config.yaml"])
        .current_dir(place.path())
        .env_remove("RUST_LOG")
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(shown),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{}:\n{shown}\n{said}", output.status).into())
        }
    }
}
