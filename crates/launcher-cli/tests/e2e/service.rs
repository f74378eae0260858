//! The launcher as a service: what systemd is told, and what it forbids.

use std::{
    fs,
    io::Write,
    os::unix::{fs::symlink, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use launcher_testbed::testbed_root;
use rustix::process::{Signal, geteuid};

use crate::{
    Cases, Outcome,
    asked::bare,
    bed::Bed,
    launcher::{Place, Running, mode},
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("service::systemd_understands_the_unit_and_finds_it_well_locked_up", unit_is_good),
    ("service::a_manager_hears_that_it_is_up_lives_reloads_and_stops", manager),
    ("service::under_the_restrictions_of_the_unit_an_encrypted_message_is_answered", restricted),
    ("service::pages_and_completions_come_out_of_the_binary", pages),
    ("service::what_is_installed_can_be_read_by_everybody_whatever_the_umask", install),
    ("service::the_image_is_built_with_the_pinned_compiler_and_without_secrets", image),
    ("service::bash_completes_commands_orders_and_options", bash),
];

/// The exposure that `systemd-analyze security` may find, in tenths; 1.5 when
/// this was written, and 9.6 for a service without any restriction.
const EXPOSURE: &str = "--threshold=20";

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations/launcher.service")
}

/// The unit as it would be installed for the binary of the tests.
fn installed(folder: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let text = fs::read_to_string(unit())?;
    let path = folder.join("launcher.service");
    fs::write(&path, text.replace("/usr/local/bin/launcher", env!("CARGO_BIN_EXE_launcher")))?;
    Ok(path)
}

fn analyze(arguments: &[&str], unit: &Path) -> Result<Output, Box<dyn std::error::Error>> {
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    output.map_err(|error| {
        format!("this test needs systemd-analyze (apt-get install systemd): {error}").into()
    })
}

fn unit_is_good(_bed: &Bed) -> Outcome {
    let place = Place::empty("http://unused")?;
    let unit = installed(place.path())?;
    for arguments in [&["verify", "--man=no"][..], &["security", "--offline=yes", EXPOSURE]] {
        let output = analyze(arguments, &unit)?;
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
    Ok(())
}

/// What a service manager is told.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn listen(folder: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let path = folder.join("notify.sock");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { socket, path })
    }

    /// The next message that says something else than that it lives.
    fn hear(&self) -> Result<String, Box<dyn std::error::Error>> {
        loop {
            let text = self.hear_all()?;
            if text != "WATCHDOG=1" {
                return Ok(text);
            }
        }
    }

    fn hear_all(&self) -> Result<String, Box<dyn std::error::Error>> {
        let mut buffer = [0; 512];
        let length = self.socket.recv(&mut buffer).map_err(|error| format!("silence: {error}"))?;
        Ok(String::from_utf8(buffer[..length].to_vec())?.trim_end().to_owned())
    }
}

fn manager(_bed: &Bed) -> Outcome {
    let place = Place::at("http://127.0.0.1:9")?;
    let manager = Manager::listen(place.path())?;
    let path = manager.path.clone();
    let launcher = place.start_as(|mut command| {
        command.env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "300000");
        command
    })?;
    assert_eq!(manager.hear()?, "READY=1");
    assert_eq!(launcher.status()?["agents"].as_array().map(Vec::len), Some(0));
    for _ in 0..3 {
        assert_eq!(manager.hear_all()?, "WATCHDOG=1");
    }
    launcher.signal(Signal::HUP)?;
    let reloading = manager.hear()?;
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.hear()?, "READY=1");
    let stopped = launcher.stop()?;
    assert!(stopped.0.success());
    assert_eq!(manager.hear()?, "STOPPING=1");
    Ok(())
}

/// The command that starts something under the unit's restrictions; `what` are
/// arguments of the launcher, or `--` and another command.
fn sandbox(place: &Path, what: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/sandbox.py"))
        .arg(unit())
        .arg(place)
        .arg(env!("CARGO_BIN_EXE_launcher"))
        .args(what)
        .env_remove("RUST_LOG");
    command
}

fn restricted(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let manager = Manager::listen(place.path())?;
    let mut launcher = place.start_as(|_| {
        let mut command = sandbox(place.path(), &["--log-format", "json"]);
        command.env("NOTIFY_SOCKET", "/srv/launcher/notify.sock").env("WATCHDOG_USEC", "9000000");
        command
    })?;
    launcher.wait_for_event("agent_ready", "echo")?;
    assert_eq!(manager.hear()?, "READY=1");
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    assert!(ask(&alice, &room, "from inside?", &agent)?.encrypted);
    assert_is_locked_up(&launcher)?;
    assert!(launcher.stop()?.0.success());
    assert_eq!(manager.hear()?, "STOPPING=1");

    // And the restrictions are what they say.
    let probe = "umask; touch here && echo writes here; touch /tmp/x && ls /tmp; \
                 touch /etc/x /usr/x /srv/x /var/x /dev/x; ls -d /home/* /root/*; unshare -r true; \
                 chown 0:0 here; echo end";
    let output = sandbox(place.path(), &["--", "/bin/sh", "-c", probe]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(shown, "0077\nwrites here\nx\nend\n", "{said}");
    for refused in ["/etc/x", "/usr/x", "/srv/x", "/var/x", "/dev/x", "/home", "/root", "unshare"] {
        assert!(said.contains(refused), "{refused} was not refused: {said}");
    }
    Ok(())
}

/// Looks at the process as the kernel shows it.
fn assert_is_locked_up(launcher: &Running<'_>) -> Outcome {
    let status = fs::read_to_string(format!("/proc/{}/status", launcher.pid().as_raw_nonzero()))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:\t")));
        line.unwrap_or_default().to_owned()
    };
    assert_eq!((field("NoNewPrivs"), field("Seccomp")), ("1".to_owned(), "2".to_owned()));
    for set in ["CapEff", "CapPrm", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("Umask"), "0077");
    if geteuid().is_root() {
        assert_eq!(field("Uid"), "64999\t64999\t64999\t64999");
    }
    Ok(())
}

fn pages(_bed: &Bed) -> Outcome {
    let place = Place::empty("http://unused")?;
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_launcher")).args(arguments).output()?;
        assert!(output.status.success(), "{arguments:?}");
        Ok::<_, Box<dyn std::error::Error>>(String::from_utf8(output.stdout)?)
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell])?.contains("registration-token-env"), "{shell}");
    }
    assert!(run(&["man"])?.contains(".SH NAME"));
    let folder = place.path().join("man");
    fs::create_dir(&folder)?;
    run(&["man", "--output", &folder.to_string_lossy()])?;
    for page in ["launcher.1", "launcher-run.1", "launcher-new.1"] {
        assert!(folder.join(page).exists(), "{page}");
    }
    let version = run(&["--version"])?;
    assert!(version.starts_with("launcher ") && version.contains("matrix-sdk 0."), "{version}");
    assert!(version.contains("rustc 1.") && version.contains("profile "), "{version}");
    assert_eq!(run(&["-V"])?.trim(), concat!("launcher ", env!("CARGO_PKG_VERSION")));
    Ok(())
}

fn image(_bed: &Bed) -> Outcome {
    let read = |path: &str| fs::read_to_string(testbed_root().join(path));
    let toolchain = read("rust-toolchain.toml")?;
    let channel = toolchain.split('"').nth(1).unwrap_or_default();
    let (compiler, _) = channel.rsplit_once('.').ok_or("no patch level")?;
    let container = read("docs/operations/Containerfile")?;
    assert!(container.contains(&format!("/rust:{compiler}-")), "{channel}: {container}");
    let left_out = read(".dockerignore")?;
    for path in read(".gitignore")?.lines().filter(|line| line.starts_with('/')) {
        assert!(left_out.lines().any(|line| line == path), "{path} would get into an image");
    }
    Ok(())
}

fn install(_bed: &Bed) -> Outcome {
    let place = Place::empty("http://unused")?;
    let release = place.path().join("build/release");
    fs::create_dir_all(&release)?;
    symlink(env!("CARGO_BIN_EXE_launcher"), release.join("launcher"))?;
    let system = place.path().join("system");
    let installed = Command::new("sh")
        .args(["-c", "umask 077 && make install"])
        .current_dir(testbed_root())
        .env("CARGO_TARGET_DIR", place.path().join("build"))
        .env("DESTDIR", &system)
        // Those of a `make` that runs the tests.
        .env_remove("MAKEFLAGS")
        .env_remove("PREFIX")
        .output()?;
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let files = everything_in(&system)?;
    for path in ["bin/launcher", "lib/systemd/system/launcher.service", "share/man/man1/launcher.1"]
    {
        let path = system.join("usr/local").join(path);
        assert!(files.contains(&path), "{} is not in {files:?}", path.display());
    }
    assert!(files.len() > 25, "{files:?}");
    for path in files {
        let expected = match path.is_dir() || path.ends_with("bin/launcher") {
            true => 0o755,
            false => 0o644,
        };
        assert_eq!(mode(&path)?, expected, "{}", path.display());
    }
    Ok(())
}

/// Every file and folder below a folder.
fn everything_in(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn std::error::Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(everything_in(&path)?);
        }
        found.push(path);
    }
    Ok(found)
}
/// Reads the script and offers what follows each line of words, the last of
/// which is being typed: a line of offers for each.
const COMPLETER: &str = r#"
source "$1" || exit 1
complete -p launcher > /dev/null || exit 1
while IFS= read -r line; do
    read -ra COMP_WORDS <<< "$line"
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _launcher launcher "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[*]}"
done
"#;

fn bash(_bed: &Bed) -> Outcome {
    let place = Place::empty("http://unused")?;
    let script = bare(&place, &["completions", "bash"]).output()?;
    let path = place.path().join("launcher.bash");
    fs::write(&path, script.stdout)?;
    let mut bash = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", COMPLETER, "bash"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let cases = [
        ("launcher inv", &["invites"][..]),
        ("launcher ac", &["acknowledge"]),
        ("launcher invites acc", &["accept"]),
        ("launcher invites assistant rej", &["reject"]),
        ("launcher invites assistant dm --w", &["--wait"]),
        ("launcher invites assistant room --t", &["--topic"]),
        ("launcher trust assistant app", &["approve"]),
        ("launcher explain --lang e", &["en", "es"]),
        ("launcher send --k", &["--key"]),
        ("launcher run --o", &["--only"]),
        ("launcher invites assistant dm @alice:example.org acc", &[]),
    ];
    let lines = cases.iter().map(|(line, _)| format!("{line}\n"));
    bash.stdin.take().ok_or("no input")?.write_all(lines.collect::<String>().as_bytes())?;
    let output = bash.wait_with_output()?;
    assert!(output.status.success());
    let offered = String::from_utf8(output.stdout)?;
    let offered: Vec<Vec<&str>> =
        offered.lines().map(|line| line.split_whitespace().collect()).collect();
    for ((line, wanted), offered) in cases.iter().zip(&offered) {
        assert_eq!(offered, wanted, "{line}");
    }
    assert_eq!(offered.len(), cases.len());
    Ok(())
}
