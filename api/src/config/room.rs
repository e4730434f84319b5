//! Checks for `--check-config` whether the disk has the room that `store.min_free_bytes` requires.

use super::Settings;
use crate::Error;
use crate::data::STORE;
use zonepulse_store::Disk;

/// Fails if the disk is too small for the configuration, and returns a warning if too little is free now. If its size cannot
/// be determined, neither happens.
pub fn check(settings: &Settings) -> Result<Option<String>, Error> {
    let path = settings.data.join(STORE);
    let Some(Disk { total_bytes, free_bytes }) = Disk::of(&path) else { return Ok(None) };
    let (needed, path) = (settings.store.min_free_bytes, path.display());
    if needed > total_bytes {
        return Err(Error::Config(format!(
            "store.min_free_bytes: {needed} is more than the whole disk of {path} has, {total_bytes}: no batch would ever be taken"
        )));
    }
    Ok((needed > free_bytes).then(|| {
        format!(
            "store.min_free_bytes is {needed}, and only {free_bytes} bytes are free on the disk of {path}: no batch will be taken"
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(min_free_bytes: u64) -> Result<Option<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings { data: dir.path().join("not/made/yet"), ..Settings::default() };
        settings.store.min_free_bytes = min_free_bytes;
        check(&settings).map_err(|error| error.to_string())
    }

    fn disk() -> Disk {
        Disk::of(&std::env::temp_dir()).unwrap()
    }

    #[test]
    fn more_than_the_whole_disk_has_cannot_be_needed() {
        let total_bytes = disk().total_bytes;
        let said = checked(total_bytes + 1).unwrap_err();
        let expected = format!("store.min_free_bytes: {} is more than the whole disk", total_bytes + 1);
        assert!(said.contains(&expected) && said.contains(&format!("has, {total_bytes}")), "{said}");
    }

    #[test]
    fn more_than_is_free_is_warned_of_with_figures() {
        let Disk { total_bytes, free_bytes } = disk();
        // Others use the disk meanwhile, but do not free half of what is used.
        let needed = free_bytes + (total_bytes - free_bytes) / 2;
        let warning = checked(needed).unwrap().unwrap();
        assert!(warning.starts_with(&format!("store.min_free_bytes is {needed}, and only ")), "{warning}");
    }

    #[test]
    fn a_disk_with_room_is_nothing_to_speak_of() {
        assert_eq!(checked(0), Ok(None));
    }
}
