//! `launcher devices`: the devices of an agent's account.

use std::{collections::BTreeMap, time::Duration};

use launcher_control::wire::DeviceReply;

use super::{json, wait_for};
use crate::{
    args::Devices,
    configured::Configured,
    exit::{self, Exit, say},
    progress::patiently,
    table::{Table, harmless, yes},
    units,
    way::Purpose,
};

pub(crate) fn run(options: &Devices) -> anyhow::Result<Exit> {
    let configured = Configured::read(&options.agent.files)?;
    let spec = configured.agent(&options.agent.id)?;
    wait_for(async {
        let text = if options.prune_stale {
            let way = configured.way(spec, Purpose::Change).await?;
            say(&way.describe());
            let removed = patiently("removing devices", way.prune_devices()).await?;
            match options.json {
                true => json(&BTreeMap::from([("removed", &removed)]))?,
                false => pruned(&removed),
            }
        } else {
            let devices = configured.way(spec, Purpose::Look).await?.devices().await?;
            match options.json {
                true => json(&BTreeMap::from([("devices", &devices)]))?,
                false => table(&devices),
            }
        };
        exit::print(&text);
        Ok(Exit::Done)
    })
}

fn table(devices: &[DeviceReply]) -> String {
    if devices.is_empty() {
        return "the account has no devices\n".to_owned();
    }
    let mut table = Table::new(["DEVICE", "NAME", "LAST SEEN", "KEYS", "SIGNED", "WHAT"]);
    for device in devices {
        let what = match (device.own, device.stale) {
            (true, _) => "own",
            (false, true) => "stale",
            (false, false) => "-",
        };
        table.row([
            device.device_id.clone(),
            device.name.clone().unwrap_or_else(|| "-".to_owned()),
            device
                .last_seen_ms
                .map_or("-".to_owned(), |millis| units::moment(Duration::from_millis(millis))),
            yes(device.has_keys),
            yes(device.signed),
            what.to_owned(),
        ]);
    }
    table.to_string()
}

fn pruned(removed: &[DeviceReply]) -> String {
    if removed.is_empty() {
        return "no stale device\n".to_owned();
    }
    let line = |device: &DeviceReply| match &device.name {
        Some(name) => format!("removed {} ({})\n", harmless(&device.device_id), harmless(name)),
        None => format!("removed {}\n", harmless(&device.device_id)),
    };
    removed.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str, name: Option<&str>) -> DeviceReply {
        DeviceReply {
            device_id: id.to_owned(),
            name: name.map(str::to_owned),
            last_seen_ms: None,
            has_keys: false,
            signed: false,
            own: false,
            stale: false,
        }
    }

    #[test]
    fn devices_say_what_they_are_to_the_agent() {
        let own = DeviceReply {
            own: true,
            has_keys: true,
            signed: true,
            last_seen_ms: Some(951_782_400_123),
            ..device("NEW", Some("launcher assistant"))
        };
        let stale = DeviceReply { stale: true, has_keys: true, ..device("OLD", None) };
        assert_eq!(
            table(&[own, stale.clone(), device("PHONE", Some("\u{1b}[2Jphone"))]),
            "DEVICE  NAME                LAST SEEN             KEYS  SIGNED  WHAT\n\
             NEW     launcher assistant  2000-02-29 00:00 UTC  yes   yes     own\n\
             OLD     -                   -                     yes   no      stale\n\
             PHONE   \u{fffd}[2Jphone           -                     no    no      -\n"
        );
        assert_eq!(
            pruned(&[stale, device("X", Some("a\nb"))]),
            "removed OLD\nremoved X (a\u{fffd}b)\n"
        );
        assert_eq!(pruned(&[]), "no stale device\n");
    }
}
