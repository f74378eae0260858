//! A Messager in a process of its own, which can be killed and started again.
//! The process is this very program, called with [`SERVE`].

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
};

use launcher_core::secret::Secret;
use launcher_messager::client::{Client, Connections};
use messager_server::{Server, Settings, add_device, revoke_device};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use url::Url;

use super::Result;

/// The first argument of a process that is to serve: then come folder and address.
pub(crate) const SERVE: &str = "--serve-messager";

/// Serves until it is killed, if the arguments of this process say so.
pub(crate) fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != SERVE {
        return None;
    }
    let (folder, address) = (arguments.next()?, arguments.next()?);
    let served = Runtime::new().unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let bound = Server::open(Settings::in_folder(folder))?.bind(listener)?;
        bound.run(std::future::pending()).await?;
        Ok::<(), Box<dyn std::error::Error>>(())
    });
    Some(if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A server with a folder and an address that stay the same.
pub(crate) struct Host {
    folder: TempDir,
    address: SocketAddr,
    process: Option<Child>,
}

impl Host {
    pub(crate) fn start() -> Result<Self> {
        // Nobody else gets it so soon: the system goes round.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut host = Self { folder: tempfile::tempdir()?, address, process: None };
        host.start_again()?;
        Ok(host)
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}", self.address).parse().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A device of an account, which is made if it is not there. Returns the token.
    pub(crate) fn device(&self, name: &str) -> Result<String> {
        Ok(add_device(&self.data(), name, Some("test"))?.token.expose().to_owned())
    }

    /// Takes the rights of a device, while the server runs.
    pub(crate) fn revoke(&self, name: &str, device: &str) -> Result<()> {
        Ok(revoke_device(&self.data(), name, device)?)
    }

    pub(crate) fn client(&self, token: &str) -> Result<Client> {
        let token = Secret::new(token.to_owned());
        Ok(Client::new(&Connections::new()?, self.url(), token))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    pub(crate) fn start_again(&mut self) -> Result<()> {
        let process = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            .arg(self.data())
            .arg(self.address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.process = Some(process);
        self.wait_until_it_answers()
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        loop {
            let process = self.process.as_mut().ok_or("it was not started")?;
            if let Some(status) = process.try_wait()? {
                return Err(format!("the server has ended: {status}").into());
            }
            if std::net::TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Every file of the server that has this text in it.
    pub(crate) fn files_with(&self, text: &str) -> Result<Vec<PathBuf>> {
        files_with(&self.data(), text)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// Every file below a folder that has this text in it.
pub(crate) fn files_with(folder: &Path, text: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_with(&path, text)?);
        } else if path.is_file() {
            let bytes = fs_err::read(&path)?;
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(path);
            }
        }
    }
    Ok(found)
}
