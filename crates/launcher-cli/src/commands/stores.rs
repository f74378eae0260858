//! `launcher stores`: the crypto stores of an agent that were put aside.

use std::{collections::BTreeMap, time::Duration};

use launcher_control::wire::StoreReply;

use super::{json, wait_for};
use crate::{
    args::Stores,
    configured::Configured,
    exit::{self, Exit, say},
    progress::patiently,
    table::{Table, harmless},
    units,
    way::Purpose,
};

pub(crate) fn run(options: &Stores) -> anyhow::Result<Exit> {
    let configured = Configured::read(&options.agent.files)?;
    let spec = configured.agent(&options.agent.id)?;
    wait_for(async {
        let text = if options.prune {
            let way = configured.way(spec, Purpose::Change).await?;
            say(&way.describe());
            let removed = patiently("removing stores", way.prune_stores()).await?;
            match options.json {
                true => json(&BTreeMap::from([("removed", &removed)]))?,
                false => pruned(&removed),
            }
        } else {
            let stores = configured.way(spec, Purpose::Look).await?.stores().await?;
            match options.json {
                true => json(&BTreeMap::from([("stores", &stores)]))?,
                false => table(&stores),
            }
        };
        exit::print(&text);
        Ok(Exit::Done)
    })
}

fn table(stores: &[StoreReply]) -> String {
    if stores.is_empty() {
        return "no crypto store was put aside\n".to_owned();
    }
    let mut table = Table::new(["STORE", "DEVICE", "PUT ASIDE", "SIZE"]);
    for store in stores {
        table.row([
            store.name.clone(),
            store.device_id.clone(),
            units::moment(Duration::from_secs(store.retired)),
            units::size(store.size),
        ]);
    }
    table.to_string()
}

fn pruned(removed: &[StoreReply]) -> String {
    if removed.is_empty() {
        return "nothing to remove\n".to_owned();
    }
    let line = |store: &StoreReply| {
        let (name, device) = (harmless(&store.name), harmless(&store.device_id));
        format!("removed {name} (device {device}, {})\n", units::size(store.size))
    };
    removed.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_shown_with_device_moment_and_size() {
        let store = StoreReply {
            name: "crypto.retired-951782400-OLDDEVICE".to_owned(),
            device_id: "OLDDEVICE".to_owned(),
            retired: 951_782_400,
            size: 1_572_864,
        };
        assert_eq!(
            table(std::slice::from_ref(&store)),
            "STORE                               DEVICE     PUT ASIDE             SIZE\n\
             crypto.retired-951782400-OLDDEVICE  OLDDEVICE  2000-02-29 00:00 UTC  1.5 MiB\n"
        );
        assert_eq!(
            pruned(&[store]),
            "removed crypto.retired-951782400-OLDDEVICE (device OLDDEVICE, 1.5 MiB)\n"
        );
        assert_eq!(table(&[]), "no crypto store was put aside\n");
        assert_eq!(pruned(&[]), "nothing to remove\n");
    }
}
