//! Finds Synapse and Node, and has them installed when they are not there.
//!
//! They live in the repository's cache directory. The script that installs
//! them decides whether anything is to be done; that takes a tenth of a
//! second when nothing is, so it is asked once per process.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use crate::TestbedError;

/// Where the programs of the testbed are.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The Python that has Synapse.
    pub python: PathBuf,
    /// Node.
    pub node: PathBuf,
    /// The directory of the JavaScript packages.
    pub node_modules: PathBuf,
    /// The directory of this crate, with the scripts that run inside the two.
    pub crate_directory: PathBuf,
}

/// The root of the repository, as it was when this crate was compiled.
pub fn testbed_root() -> PathBuf {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_directory.ancestors().nth(2).unwrap_or(crate_directory).to_path_buf()
}

/// Installs what is missing and says where everything is.
///
/// The first time takes about half a minute and needs package registries;
/// progress goes to standard error. Safe to call from several threads and
/// several processes: one installs and the others wait.
///
/// # Errors
///
/// [`TestbedError::Setup`] when the script fails, [`TestbedError::Spawn`] when
/// it cannot run, which mostly means that there is no `python3`.
pub fn ensure_installed() -> Result<Installation, TestbedError> {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let root = testbed_root();
    if !*done {
        run_setup(&root.join("bin/setup-testbed"), &[])?;
        *done = true;
    }
    let cache = root.join(".cache/testbed");
    Ok(Installation {
        python: cache.join("venv/bin/python"),
        node: cache.join("node"),
        node_modules: cache.join("js/node_modules"),
        crate_directory: PathBuf::from(env!("CARGO_MANIFEST_DIR")),
    })
}

/// Installs a tool server, `mcp-server-time`, and says where its program is. It
/// speaks the Model Context Protocol on its standard input and output, and has
/// the tools `get_current_time` and `convert_time`. It wants the arguments
/// `--local-timezone UTC`, and of its environment nothing.
///
/// The first time takes about a quarter of a minute and needs a package
/// registry. Safe to call from several threads and several processes.
///
/// # Errors
///
/// As for [`ensure_installed`].
pub fn mcp_server_time() -> Result<PathBuf, TestbedError> {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let root = testbed_root();
    if !*done {
        run_setup(&root.join("bin/setup-testbed"), &["time-server"])?;
        *done = true;
    }
    Ok(root.join(".cache/time-server/venv/bin/mcp-server-time"))
}

fn run_setup(script: &Path, arguments: &[&str]) -> Result<(), TestbedError> {
    let status = Command::new(script)
        .args(arguments)
        .status()
        .map_err(|source| TestbedError::Spawn { program: script.to_path_buf(), source })?;
    if status.success() {
        Ok(())
    } else {
        Err(TestbedError::Setup { script: script.to_path_buf(), status })
    }
}
