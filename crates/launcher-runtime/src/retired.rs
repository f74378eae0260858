//! Crypto stores that were put aside: what their folders are called.

use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::{ports::maintenance::RetiredStore, stamp};

/// What follows the name of the store's folder in the name of one that is put
/// aside; then come the seconds since 1970 and the device.
const RETIRED: &str = ".retired-";

/// How many characters of a device's id are in that name; ids are ten, usually.
const LONGEST_NAME: usize = 64;

/// The name under which the store of `device`, in the folder `store`, is put
/// aside now.
pub fn folder_for(store: &Path, device: &str) -> String {
    let name = store.file_name().map(|name| name.to_string_lossy());
    let device = as_name(device);
    format!("{}{RETIRED}{}-{device}", name.unwrap_or_default(), stamp().0 / 1000)
}

/// The stores that were put aside beside the folder `store`, oldest first.
///
/// # Errors
///
/// Those of the operating system; a folder that is not there has none.
pub fn folders(store: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(parent), Some(name)) = (store.parent(), store.file_name()) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}{RETIRED}", name.to_string_lossy());
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let is_one = entry.file_name().to_string_lossy().starts_with(&prefix);
        if is_one && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// What the name and the files of a store say that was put aside; `None` if the
/// name is not one of those.
pub fn describe(folder: &Path) -> Option<RetiredStore> {
    let name = folder.file_name()?.to_str()?;
    let (_, rest) = name.split_once(RETIRED)?;
    let (seconds, device) = rest.split_once('-')?;
    let mut size = 0;
    for entry in fs::read_dir(folder).ok()?.flatten() {
        size += entry.metadata().map_or(0, |found| found.len());
    }
    Some(RetiredStore {
        name: name.to_owned(),
        device_id: device.to_owned(),
        retired: seconds.parse().unwrap_or_else(|_| stamp().0 / 1000),
        size,
    })
}

/// A device's id as a part of a file's name. A server may have made it up, and
/// one with `/` in it would lead elsewhere.
fn as_name(device: &str) -> String {
    let plain = |char: char| match char.is_ascii_alphanumeric() || char == '-' {
        true => char,
        false => '_',
    };
    device.chars().take(LONGEST_NAME).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_device_cannot_lead_elsewhere() {
        assert_eq!(as_name("JLAFKJWSCS"), "JLAFKJWSCS");
        assert_eq!(as_name("x/../../b\0.\u{e9}"), "x_______b___");
        assert_eq!(as_name(&"x".repeat(500)).len(), 64);
    }

    #[test]
    fn what_was_put_aside_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("crypto");
        assert_eq!(folders(&store).unwrap(), Vec::<PathBuf>::new());
        let aside = folder.path().join(folder_for(&store, "DEVICE"));
        fs::create_dir(&aside).unwrap();
        fs::write(aside.join("crypto.db"), "12345").unwrap();
        fs::create_dir(&store).unwrap();
        assert_eq!(folders(&store).unwrap(), std::slice::from_ref(&aside));
        let found = describe(&aside).unwrap();
        assert_eq!((found.device_id.as_str(), found.size), ("DEVICE", 5));
        assert_eq!(describe(&store), None);
    }
}
