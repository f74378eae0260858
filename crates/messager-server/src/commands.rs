//! Commands that end by themselves: they print to standard output.

use std::{
    io::{self, Write},
    path::Path,
};

use clap::CommandFactory;
use messager_server::{KnownDevice, accounts, add_device, revoke_device};

use crate::{
    Outcome,
    args::{Add, Arguments, List, Revoke},
};

pub(crate) fn add(arguments: &Add) -> Outcome {
    let added = add_device(&arguments.data, &arguments.name, arguments.device.as_deref())?;
    let (account, device, token) = (added.account_id, added.device_id, added.token.expose());
    let mut stdout = io::stdout().lock();
    if arguments.json {
        let added = serde_json::json!({
            "account_id": account, "device_id": device, "token": token,
        });
        writeln!(stdout, "{added}")?;
    } else {
        writeln!(stdout, "account_id  {account}\ndevice_id   {device}\ntoken       {token}")?;
        writeln!(stdout, "\nThe token is shown only now.")?;
    }
    Ok(())
}

pub(crate) fn list(arguments: &List) -> Outcome {
    let accounts = accounts(&arguments.data)?;
    let mut stdout = io::stdout().lock();
    if arguments.json {
        writeln!(stdout, "{}", serde_json::to_string(&accounts)?)?;
        return Ok(());
    }
    for account in &accounts {
        writeln!(stdout, "{}  {}", account.account_id, account.name)?;
        for device in &account.devices {
            let label = device.label.as_deref().unwrap_or_default();
            let line = format!("    {}  {:16}  {label}", device.device_id, state(device));
            writeln!(stdout, "{}", line.trim_end())?;
        }
    }
    Ok(())
}

fn state(device: &KnownDevice) -> &'static str {
    match (device.has_token, device.is_revoked()) {
        (true, false) => "active",
        (true, true) => "keys out of use",
        (false, _) => "revoked",
    }
}

pub(crate) fn revoke(arguments: &Revoke) -> Outcome {
    revoke_device(&arguments.data, &arguments.name, &arguments.device)?;
    Ok(())
}

pub(crate) fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "messager", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}

pub(crate) fn manual(folder: Option<&Path>) -> Outcome {
    if let Some(folder) = folder {
        return Ok(clap_mangen::generate_to(Arguments::command(), folder)?);
    }
    Ok(clap_mangen::Man::new(Arguments::command()).render(&mut io::stdout().lock())?)
}
